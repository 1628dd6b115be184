/* nuts_metric.h - floor 6, folder sample: what the No-U-Turn sampler adapts: step size, metric, and when.
 *
 * The metric is an estimate of the posterior's covariance in R^n (its inverse is the mass matrix): a diagonal or a full
 * matrix, learnt in windows of growing length, shrunk towards what a few draws can tell.
 */
#ifndef DPI_NUTS_METRIC_H
#define DPI_NUTS_METRIC_H

#include "infer/sample/chain.h"

typedef struct dpi_metric {
  int n;
  bool dense;
  double *cov;       /* [n] variances or [n x n] covariance */
  double *chol;      /* dense: its Cholesky factor */
  double *mean, *m2; /* Welford: of the draws of this window; m2 like cov */
  double *work;      /* [n x n] when dense, [n] */
  long count;
} dpi_metric;

dp_status dpi_metric_make(dpi_arena *arena, int n, bool dense, dpi_metric *m);
void dpi_metric_identity(dpi_metric *m);
/* Inverse of a curvature [n x n] where that is usable (else nothing changes); the curvature is overwritten. */
void dpi_metric_fisher(dpi_metric *m, double *fisher);
void dpi_metric_velocity(const dpi_metric *m, const double *p, double *v); /* v = cov p */
void dpi_metric_momentum(const dpi_metric *m, dpi_rng *rng, double *p);    /* p ~ N(0, cov^-1) */
void dpi_metric_add(dpi_metric *m, const double *u);
void dpi_metric_update(dpi_metric *m); /* the window's draws become the metric; the next window is empty */

/* Nesterov's dual averaging of ln step (Hoffman & Gelman 2014, eq. 6). */
typedef struct dpi_dual_average {
  double step, mean_step, mu, error;
  long count;
} dpi_dual_average;
void dpi_dual_restart(dpi_dual_average *a, double step);
void dpi_dual_add(dpi_dual_average *a, double accept, double wanted);

/* Numbers that both need to go on. load: false when they make no sense. */
int dpi_metric_size(const dpi_metric *m);
void dpi_metric_save(const dpi_metric *m, const dpi_dual_average *a, double *out);
bool dpi_metric_load(dpi_metric *m, dpi_dual_average *a, const double *in);

/* Warm-up: a fast part, windows of doubling length for the metric, a fast part (Stan's scheme). */
typedef struct dpi_nuts_schedule {
  int nwarmup, first, last; /* windows cover [first, last) */
  int base;                 /* length of the first window */
} dpi_nuts_schedule;
void dpi_nuts_schedule_make(int nwarmup, dpi_nuts_schedule *s);
bool dpi_nuts_window_holds(const dpi_nuts_schedule *s, int t);
bool dpi_nuts_window_ends(const dpi_nuts_schedule *s, int t); /* after draw t the metric is renewed */

#endif
