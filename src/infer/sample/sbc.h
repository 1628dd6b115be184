/* sbc.h - floor 6, folder sample: simulation-based calibration.
 *
 * Draw parameters from the prior, data from the model, the posterior by the sampler: then the parameter's rank among
 * the posterior's draws is uniform, and only then is everything right (Talts et al., arXiv:1804.06788). Whether ranks
 * are uniform is judged by a band around the empirical distribution function that holds everywhere at once with a
 * stated probability (T. Saeilynoja, P.-C. Buerkner, A. Vehtari, Stat. Comput. 32 (2022) 32).
 *
 *     dpi_sbc sbc;
 *     DP_TRY(dpi_sbc_init(&sbc, ctx, nquantity, nreplicate, 99, 0.01));
 *     for each replicate: draws -> dpi_sbc_add(&sbc, q, truth, draws, 99)
 *     DP_TRY(dpi_sbc_check(&sbc, &report));        report.uniform, report.words
 *     dpi_sbc_release(&sbc);
 *
 * Draws of a chain must be thinned until nearly independent; correlated ones make ranks look too wide.
 */
#ifndef DPI_SBC_H
#define DPI_SBC_H

#include "infer/sample/chain.h"

typedef struct dpi_sbc {
  dp_ctx *ctx;
  int nquantity, nreplicate; /* quantities (parameters, the log likelihood ...); replicates at most */
  int ndraw;                 /* ranks are 0..ndraw */
  double false_alarm;        /* probability that a calibrated sampler is called uncalibrated, over all quantities */
  int *n;                    /* [nquantity] ranks so far */
  int *rank;                 /* [nquantity x nreplicate] */
} dpi_sbc;

typedef struct dpi_sbc_report {
  int uniform;      /* 1: every quantity inside its band */
  int worst;        /* quantity that leaves it most, or comes nearest */
  double excess;    /* how far: in widths of the band; above 1: outside */
  double at;        /* fraction of ranks where */
  double pointwise; /* coverage of the band at each single place */
  char words[240];
} dpi_sbc_report;

dp_status dpi_sbc_init(dpi_sbc *s, dp_ctx *ctx, int nquantity, int nreplicate, int ndraw, double false_alarm);
void dpi_sbc_release(dpi_sbc *s);
/* Rank of truth among draws [ndraw]; ties are broken by a fair coin that the replicate's number throws. */
dp_status dpi_sbc_add(dpi_sbc *s, int quantity, double truth, const double *draw, int stride);
dp_status dpi_sbc_check(const dpi_sbc *s, dpi_sbc_report *report);

/* Probability that the empirical distribution function of n uniform numbers stays, at all of z_k = k/m (k = 1..m-1)
 * together, within the central pointwise-probability interval of its binomial law; and that pointwise probability for a
 * wanted one. */
dp_status dpi_sbc_simultaneous(dp_ctx *ctx, int n, int m, double pointwise, double *probability);
dp_status dpi_sbc_pointwise(dp_ctx *ctx, int n, int m, double simultaneous, double *pointwise);
/* The interval itself at z: counts low..high of n. */
void dpi_sbc_interval(int n, double z, double pointwise, int *low, int *high);

#endif
