/* statics.h - floor 6, folder filter: static parameters, observation by observation.  O -> D
 *
 * Particles of a prior are weighted by each reading's likelihood; when few are effective they are resampled and
 * moved by
 * Metropolis steps whose target is the posterior of all readings so far. Parameters are never jittered: what moves them
 * leaves the posterior as it is.
 *
 *     ibis     processes without noise: the likelihood of the past is computed          N. Chopin, Biometrika 89
 * (2002) 539
 *     nested   stochastic ones (SMC2): each particle owns a particle filter, whose estimate of the likelihood is
 *              unbiased                         N. Chopin, P. E. Jacob, O. Papaspiliopoulos, J. R. Stat. Soc. B 75
 * (2013) 397
 *
 *     DP_TRY(dpi_statics_create(&problem, &prior, &def, &s));
 *     DP_TRY(dpi_statics_read(s, reading, n));          as they arrive
 *     const dpi_statics_report *r = dpi_statics_judge(s);
 *     dpi_statics_destroy(s);
 *
 * A late reading makes everything start again with all readings in order: same bytes as if it had come in time.
 */
#ifndef DPI_STATICS_H
#define DPI_STATICS_H

#include "infer/filter/filter.h"

/* What is to be estimated, x [n], and its prior. */
typedef struct dpi_static_prior {
  int n;
  const char *const *name;                         /* [n] or NULL */
  const int *param;                                /* [n] the process's parameters */
  const uint8_t *log;                              /* [n] not 0: parameter = exp(x); or NULL */
  const double *mean, *sd;                         /* [n] independent normal laws of x, unless: */
  double (*logprior)(void *user, const double *x); /* ln density with constants; -infinity outside */
  void (*draw)(void *user, dpi_rng *rng, double *x);
  void *user;
  const double *other; /* [nparam] the other parameters, or NULL: defaults */
} dpi_static_prior;

typedef struct dpi_statics_def {
  uint64_t seed;
  bool nested;
  int n;              /* particles */
  double ess;         /* resample and move when fewer than this share are effective */
  double correlation; /* moves go on until no parameter correlates more with before */
  int max_move;
  int ninner;              /* nested: particles of each filter at the start ... */
  int ninner_most;         /* ... doubled while few moves are accepted, up to this */
  dpi_filter_method inner; /* BOOTSTRAP or AUXILIARY */
  /* nested: particles of a pilot, which goes the same way by itself and decides when all others move, and how often: what
   * decides must not be what is moved (nested.c). 0: they decide themselves; -1: a quarter of n, 30 to 200 */
  int npilot;
} dpi_statics_def;
dpi_statics_def dpi_statics_def_default(
    void); /* ibis, 1000 particles, ess 0.5, correlation 0.3, 10 moves; 100 to 1600 */

typedef struct dpi_statics_report {
  double evidence; /* ln p(readings) */
  int ntime;
  const dp_time *time;  /* [ntime] of the readings */
  const double *gained; /* [ntime] evidence that each time's readings added: ln p(they | those before) */
  double ess, ess_least;
  int nrejuvenate;    /* times of resampling and moving */
  int nunmixed;       /* of these, how often moves left particles close to where they had been */
  int nsweep;         /* moves made in all */
  double accept;      /* share accepted, of the last sweep */
  double correlation; /* left after the last moves */
  int ninner;         /* nested: now */
  int nrestart;
  long nrun; /* simulations of a member through readings so far */
  int usable;
  char verdict[240];
} dpi_statics_report;

typedef struct dpi_statics dpi_statics;
dp_status dpi_statics_create(const dpi_problem *problem, const dpi_static_prior *prior, const dpi_statics_def *def,
                             dpi_statics **out);
/* Right after create: go on from draws x [nx x prior.n] of a posterior with weights (NULL: equal) and the readings that
 * they know, instead of the prior (statics_adopt.c). The report's evidence is then, for ibis, of later readings only. A
 * late reading goes back to the prior with all readings. */
dp_status dpi_statics_adopt(dpi_statics *s, const double *x, const double *weight, int nx, const dpi_reading *known,
                            int nknown);
void dpi_statics_destroy(dpi_statics *s); /* NULL allowed */
dp_status dpi_statics_read(dpi_statics *s, const dpi_reading *reading, int n);
const dpi_statics_report *dpi_statics_judge(dpi_statics *s);
const double *dpi_statics_x(const dpi_statics *s);      /* [n x prior.n] */
const double *dpi_statics_weight(const dpi_statics *s); /* [n] sum 1 */
/* Parameters of the process for each particle [n x nparam]: a filter's start. */
void dpi_statics_params(const dpi_statics *s, double *param);
/* mean [dim], cov [dim x dim] (divisor 1). */
void dpi_statics_moments(const dpi_statics *s, double *mean, double *cov);

#endif
