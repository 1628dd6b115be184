/* verdict.h - floor 6, folder sample: may these draws be used?
 *
 * A posterior that is not fit for use says so. The statistics are those of A. Vehtari, A. Gelman, D. Simpson, B.
 * Carpenter, P.-C. Buerkner, "Rank-normalization, folding, and localization: an improved R-hat", Bayesian Analysis 16
 * (2021) 667.
 *
 * The bounds, and where they come from:
 */
#ifndef DPI_VERDICT_H
#define DPI_VERDICT_H

#include "infer/sample/chain.h"

#define DPI_VERDICT_RHAT 1.01 /* Vehtari et al. 2021, section 4.1; of every parameter and of the log density */
#define DPI_VERDICT_ESS 400.0 /* bulk and tail, all chains together: same place */
#define DPI_VERDICT_DIVERGENT \
  1e-3 /* share of draws. Stan warns at the first one; a single one in thousands, with all else in
                                      order, is taken as chance: our choice */
#define DPI_VERDICT_BFMI \
  0.3 /* of the worst chain. Betancourt, arXiv:1604.00695 (2016); bound as in arviz and CmdStan */
#define DPI_VERDICT_KHAT 0.7 /* Vehtari et al., JMLR 25 (2024), section 3.2.4 */
#define DPI_VERDICT_CHAINS 2 /* one chain alone can't show that others would disagree */

/* One quantity's draws. NaN where there are too few (4 a chain), or they do not vary. */
typedef struct dpi_mixing {
  double mean, sd, mcse_mean, mcse_sd;
  double rhat;     /* the larger of rank-normalised split R-hat and the same of |x - median| */
  double ess_bulk; /* rank-normalised, split */
  double ess_tail; /* the smaller one of the indicators of the 5 % and 95 % quantiles */
  double ess_mean; /* of x itself, split */
} dpi_mixing;

/* x [nchain x ndraw]. */
dp_status dpi_mixing_of(dp_ctx *ctx, const double *x, int nchain, int ndraw, dpi_mixing *out);
/* Effective number of draws of x [nchain x ndraw], unsplit, as it is: Geyer's initial monotone sequence. Without
 * memory: NaN. */
double dpi_mixing_ess(const double *x, int nchain, int ndraw);
/* Energy [ndraw] of one chain: sum of squared changes over sum of squared deviations. */
double dpi_mixing_bfmi(const double *energy, int ndraw);

typedef struct dpi_verdict {
  int usable;                             /* 1: yes */
  char words[640];                        /* why, or why not */
  double rhat, ess_bulk, ess_tail;        /* worst over parameters and the log density */
  int worst_rhat, worst_bulk, worst_tail; /* whose; -1: the log density */
  double divergent;                       /* share of draws whose trajectory diverged ... */
  double failed;                          /* ... or ran to where the density can't be evaluated */
  double bfmi;                            /* worst chain; NaN: not offered */
  double khat, ess;                       /* of importance weights; NaN: there are none */
} dpi_verdict;

/* Judge chains. param [n] receives each parameter's statistics, or NULL. */
dp_status dpi_verdict_chains(const dpi_draws *s, dpi_mixing *param, dpi_verdict *v);
/* Judge importance weights: k-hat, effective number of draws. */
void dpi_verdict_weights(double khat, double ess, double ess_wanted, dpi_verdict *v);
/* One more reason; against: it makes the draws unusable. */
void dpi_verdict_add(dpi_verdict *v, bool against, const char *fmt, ...) DPI_PRINTF(3, 4);

#endif
