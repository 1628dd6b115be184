/* select.h - floor 6, inside infer/point: which model, and how much each of several is worth.
 *
 * Information criteria from an optimum; predictive accuracy from draws (lp [ndraw x ndatum], the log-likelihood of each
 * observation under each draw); weights; averages. Smaller criteria and larger elpd are better.
 */
#ifndef DPI_SELECT_H
#define DPI_SELECT_H

#include "infer/density.h"

typedef struct dpi_criteria {
  double aic;  /* 2 k - 2 loglik (Akaike 1974) */
  double aicc; /* + 2 k (k + 1) / (n - k - 1) (Hurvich & Tsai 1989); infinite when n <= k + 1 */
  double bic;  /* k ln n - 2 loglik (Schwarz 1978) */
} dpi_criteria;
dpi_criteria dpi_criteria_of(double loglik, int nparam, int ndatum);

/* exp(-(c - min)/2), summing to 1; models without a finite criterion get 0. */
void dpi_select_weights(const double *criterion, int nmodel, double *weight);

typedef struct dpi_elpd { /* expected log pointwise predictive density */
  double elpd, se; /* and its standard error over observations */
  double p;        /* effective number of parameters */
  double ic;       /* -2 elpd */
  int nbad;        /* observations for which the estimate can't be relied on */
  double worst;    /* WAIC: largest variance; leave-one-out: largest k-hat */
} dpi_elpd;
/* WAIC (Watanabe 2010; Vehtari, Gelman, Gabry 2017); bad: variance above 0.4. point [ndatum]: each one's
 * part, or NULL. */
dp_status dpi_select_waic(dp_ctx *ctx, const double *lp, int ndraw, int ndatum, double *point, dpi_elpd *out);
/* Leave-one-out by Pareto-smoothed importance sampling (Vehtari et al. 2024); bad: k-hat above
 * min(1 - 1/log10 S, 0.7). */
dp_status dpi_select_loo(dp_ctx *ctx, const double *lp, int ndraw, int ndatum, double *point, double *khat,
                         dpi_elpd *out);
/* elpd of a minus that of b, and the standard error of the difference. */
void dpi_select_difference(const double *point_a, const double *point_b, int ndatum, double *difference, double *se);
/* Weights that maximise the log score of the mixture (stacking; Yao et al. 2018). point [nmodel x ndatum]. */
void dpi_select_stack(const double *point, int nmodel, int ndatum, double *weight);
/* Mean and variance of a mixture: what models say, and how they differ. */
void dpi_select_average(const double *weight, const double *mean, const double *variance, int nmodel, double *out_mean,
                        double *out_variance);

/* lp of draws x [ndraw x n] by the density; draws that are not evaluable are left out: *nused rows are filled. */
dp_status dpi_select_pointwise(dpi_density *d, const double *x, int ndraw, double *lp, int *nused);

#endif
