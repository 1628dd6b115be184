/* trial_stats.h - floor 8: what people's endpoints are added up in, shared by estimates (trial_stats.c) and comparisons
 * (trial_compare.c). */
#ifndef DPI_TRIAL_STATS_H
#define DPI_TRIAL_STATS_H

#include "num/num.h"
#include "num/sketch.h"
#include "trial/trial_impl.h"

/* People of the same arms count alike, whoever they are, in a stratum: all of them, or, in a cross-over, those of one
 * sequence of arms. */
#define DPI_TRIAL_STRATA 16

struct dpi_trial_tally {
  const dp_trial *t;
  int nperson, nkept, narm, nend;
  int nstratum;       /* sequences of a cross-over; else 1 */
  dpi_moments *one;   /* [narm x nend] */
  dpi_moments *two;   /* [npair x nend x nstratum] of differences, same people */
  dpi_sketch *sketch; /* [narm x nend] */
  dpi_sketch_scratch scratch;
  double *kept; /* [nkept x narm x nend] of the first people */
  short *group; /* [nkept] arm, or sequence of a cross-over */
  int have, seen;
  double *x, *piece; /* of one block */
  uint64_t *work;
  int *stratum; /* of one block */
  int room;
};

/* Numbers that are drawn from, and how much their mean counts. */
typedef struct dpi_trial_pool {
  const double *x;
  int n;
  double weight;
} dpi_trial_pool;

bool dpi_trial_same_people(const dp_trial *t);
/* |T| is beyond it with probability alpha; probability that |T| is beyond t. */
double dpi_trial_t_quantile(double alpha, double dof);
double dpi_trial_t_tail(double t, double dof);
void dpi_trial_t_interval(double mean, double se, double dof, double confidence, dp_trial_estimate *out);
void dpi_trial_wilson(double k, double n, double z, double *low, double *high);
/* Welch's standard error of a difference of means, and its degrees of freedom. */
double dpi_trial_welch(double v1, double n1, double v2, double n2, double *dof);
/* Mean of strata that count alike, with the variance that they share (where dof >= 1); one stratum: the ordinary mean.
 * false: a stratum is empty. */
typedef struct dpi_trial_mean {
  double value, se, dof, sd;
} dpi_trial_mean;
bool dpi_trial_strata_mean(const dpi_moments *m, int n, dpi_trial_mean *out);
/* Two-sided P of Fisher's exact test of the table a b / c d (counts): all tables with the same sums that are as likely
 * or less. */
double dpi_trial_fisher(double a, double b, double c, double d);
/* Percentile interval of the sum of the pools' weighted means, drawn again. */
dp_status dpi_trial_bootstrap(const dp_trial *t, const dpi_trial_pool *pool, int npool, uint64_t what, double *low,
                              double *high);
/* What is kept of one arm's endpoint, or (b >= 0) of the differences of two, of one stratum (-1: all). all: people of
 * the arm whose number is missing as well, as NaN. Gives how many. */
int dpi_trial_kept(const dpi_trial_tally *w, int a, int b, int e, int stratum, bool all, double *x);
int dpi_trial_draw(dpi_rng *rng, int n); /* 0 to n - 1 */

void dpi_trial_tell_period(const dpi_trial_tally *w, dp_trial_result *out); /* a row of evidence */
dp_status dpi_trial_compare(dpi_trial_tally *w, dp_trial_result *out);
dp_status dpi_trial_holm(const dp_trial *t, dp_trial_result *out); /* p_holm of all differences */

#endif
