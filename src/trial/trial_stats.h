/* trial_stats.h - floor 8: what people's endpoints are added up in, shared by estimates (trial_stats.c), comparisons
 * (trial_compare.c, trial_shares.c) and power (trial_power.c). */
#ifndef DPI_TRIAL_STATS_H
#define DPI_TRIAL_STATS_H

#include "num/num.h"
#include "num/sketch.h"
#include "trial/trial_impl.h"

/* People of the same arms count alike, whoever they are, in a stratum: all of them, those of one sequence of arms in a
 * cross-over, or those of one stratum of the randomisation. */
#define DPI_TRIAL_STRATA 64

struct dpi_trial_tally {
  const dp_trial *t;
  int nperson, nkept, narm, nend;
  int nstratum;        /* sequences of a cross-over, or strata of the randomisation; else 1 */
  dpi_moments *one;    /* [narm x nend] */
  dpi_moments *part;   /* [narm x nend x nstratum] parallel arms with strata; else none */
  dpi_moments *two;    /* [npair x nend x nstratum] of differences, same people */
  dp_trial_seen *look; /* [npair x nend x nlook] */
  int nlook;           /* looks taken */
  dpi_sketch *sketch;  /* [narm x nend] */
  dpi_sketch_scratch scratch;
  double *kept; /* [nkept x narm x nend] of the first people */
  short *group; /* [nkept] arm, or sequence of a cross-over */
  short *layer; /* [nkept] stratum */
  int have, seen;
  double *x, *piece; /* of one block */
  uint64_t *work;
  int *stratum; /* of one block */
  int room;
};

/* Numbers that are drawn from, and how much their mean counts. fewer: so many fewer than n are drawn; by one the mean
 * varies as it should also where n is small, as it is in strata (Rao & Wu 1988). */
typedef struct dpi_trial_pool {
  const double *x;
  int n;
  double weight;
  int fewer;
} dpi_trial_pool;

bool dpi_trial_same_people(const dp_trial *t);
static inline int dpi_trial_npair(const dpi_trial_tally *w) { return w->narm * (w->narm - 1) / 2; }
/* Parallel arms: moments of an arm's endpoint, [nstratum]. */
static inline const dpi_moments *dpi_trial_in_arm(const dpi_trial_tally *w, int arm, int e) {
  const int cell = arm * w->nend + e;
  return w->nstratum > 1 ? &w->part[cell * w->nstratum] : &w->one[cell];
}
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
/* Numbers that are kept of one arm's endpoint, or (b >= 0) of the differences of two, of one stratum (-1: all). Gives
 * how many. */
int dpi_trial_kept(const dpi_trial_tally *w, int a, int b, int e, int stratum, double *x);
int dpi_trial_draw(dpi_rng *rng, int n); /* 0 to n - 1 */

/* ---- comparisons ---- */

/* A difference and its test; found: there is a difference. p NaN: no test. */
typedef struct dpi_trial_verdict {
  bool found;
  dpi_trial_mean mean;
  double p;
  const char *test;
} dpi_trial_verdict;
/* m [nstratum]: of an arm, and q of the one it is compared with; q NULL: m of differences in the same people. share: of
 * 0 and 1. Reports and power take it from here. */
void dpi_trial_test(const dpi_moments *m, const dpi_moments *q, int nstratum, bool share, dpi_trial_verdict *v);
/* Shares (trial_shares.c), the same people and parallel arms; intervals in percent. */
void dpi_trial_changes_interval(const dp_trial *t, const dpi_moments *m, int nstratum, dp_trial_estimate *s);
double dpi_trial_changes_p(const dpi_moments *m, int nstratum, const char **test);
bool dpi_trial_shares_mean(const dpi_moments *p, const dpi_moments *q, int n, double *value);
void dpi_trial_shares_interval(const dp_trial *t, const dpi_moments *p, const dpi_moments *q, int n,
                               dp_trial_estimate *s);
double dpi_trial_shares_p(const dpi_moments *p, const dpi_moments *q, int n, const char **test);
/* Look k, at all that has been added so far; the two-sided level at which it ends the trial. */
void dpi_trial_look(dpi_trial_tally *w, int k);
double dpi_trial_nominal(const dp_trial *t, int k);
dp_status dpi_trial_power(const dpi_trial_tally *w, dp_trial_result *out); /* of all differences */

void dpi_trial_tell_period(const dpi_trial_tally *w, dp_trial_result *out); /* a row of evidence */
dp_status dpi_trial_compare(dpi_trial_tally *w, dp_trial_result *out);
void dpi_trial_holm_of(const double *p, int n, int *order, double *holm); /* of p without NaN; order [n] is scratch */
dp_status dpi_trial_holm(const dp_trial *t, dp_trial_result *out);        /* p_holm of all differences */

#endif
