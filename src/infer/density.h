/* density.h - floor 6, inside infer: what estimators and samplers see of a calibration problem.
 *
 *     p(x | data) ~ likelihood(x) prior(x),   x in a box of R^n (the scale on which parameters are estimated)
 *
 * Estimators (trust region, multi-start, profiles) minimise -(loglik + logprior); samplers (NUTS, tempering, sequential
 * Monte Carlo, importance) draw from it. None of them knows what a model is: a density can be a PEtab problem behind
 * the waist, a population's likelihood, a closed form in a test.
 *
 * Many points at once: an implementation simulates them as one batch (lanes, threads, ranks); so whoever has several
 * chains, starts or particles asks for all of them in one call. What a point gives depends on that point alone.
 *
 * A point where the density can't be evaluated (the model fails there) is an outcome, never an error: ok = false.
 * Values outside the box are never asked for.
 */
#ifndef DPI_DENSITY_H
#define DPI_DENSITY_H

#include "base/base.h"

/* What is asked for; a bit set. */
enum {
  DPI_DENSITY_VALUE = 0,         /* loglik, logprior */
  DPI_DENSITY_GRADIENT = 1 << 0,
  DPI_DENSITY_FISHER = 1 << 1,   /* with the gradient */
};

/* One point's answer. The caller's memory: gradient and fisher point to room enough where they are asked for. */
typedef struct dpi_density_value {
  bool ok;             /* false: not evaluable here; loglik = -infinity, gradient and fisher NaN */
  double loglik;       /* ln p(data | x), with all constants */
  double logprior;     /* ln p(x), with all constants; 0 where there is no prior. On the estimation scale,
                          Jacobian included */
  double *gradient;    /* [n] of loglik + logprior */
  double *fisher;      /* [n x n] expected information of the likelihood (J' W J with what noise parameters add), plus
                          minus the prior's curvature where that is positive: symmetric, positive semidefinite */
  char reason[160];    /* ok = false: in words, with the place */
} dpi_density_value;

typedef struct dpi_density dpi_density;

typedef struct dpi_density_ops {
  /* x [npoint x n]. Other than DP_OK ends the work (memory, cancelled). Called on one thread at a time. */
  dp_status (*eval)(dpi_density *d, int npoint, const double *x, unsigned what, dpi_density_value *value);
  /* Draw number `index` of stream `seed` of the prior (uniform on the box where there is none) into x [n]; NULL: there
   * is no proper prior and the box is not finite. */
  dp_status (*prior_draw)(dpi_density *d, uint64_t seed, uint64_t index, double *x);
  /* Optional: pointwise log-likelihood of one point's data, lp [ndatum] (WAIC, leave-one-out); NULL: not offered. */
  dp_status (*pointwise)(dpi_density *d, const double *x, double *lp, bool *ok);
  /* Optional: exact second derivatives of loglik + logprior at x [npoint x n] times v [npoint x n] into product
   * [npoint x n]; ok [npoint] false: not evaluable there, product NaN. DP_ERR_UNSUPPORTED: not for this one, by name.
   * NULL: not offered. */
  dp_status (*hessian_vector)(dpi_density *d, int npoint, const double *x, const double *v, double *product, bool *ok);
} dpi_density_ops;

/* Embedded as the first member of whoever implements it. */
struct dpi_density {
  const dpi_density_ops *ops;
  dp_ctx *ctx;
  int n;
  const char *const *name;     /* [n] ids, for messages and tables */
  const double *lower, *upper; /* [n] the box; infinite allowed. lower < upper */
  int ndatum;                  /* observations in the likelihood */
  long neval;                  /* points evaluated, whatever was asked; counted by dpi_density_eval */
};

static inline dp_status dpi_density_eval(dpi_density *d, int npoint, const double *x, unsigned what,
                                         dpi_density_value *value) {
  d->neval += npoint;
  return d->ops->eval(d, npoint, x, what, value);
}

#endif
