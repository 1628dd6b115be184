/* laplace.h - floor 6, folder sample: importance-resampled Laplace, for milliseconds.  O -> D
 *
 * From known modes: each is climbed to in R^n (where bounds are far away), a multivariate t with the curvature there is
 * its component of a proposal, weights are smoothed and judged by k-hat (num/psis.c), the proposal is adapted when they
 * are bad (infer/importance.c), and equally weighted draws are resampled.
 *
 *     dpi_laplace_def def = dpi_laplace_def_default();
 *     def.mode = modes, def.nmode = 2;                       [nmode x n] in the box, of multi-start for example
 *     DP_TRY(dpi_laplace_run(density, &def, &draws, &report));
 *     if (!report.verdict.usable) ... NUTS or tempering
 */
#ifndef DPI_LAPLACE_H
#define DPI_LAPLACE_H

#include "infer/sample/chain.h"
#include "infer/sample/verdict.h"

#define DPI_LAPLACE_MODES 32
#define DPI_LAPLACE_DIRECTIONS 60 /* parameters, at most: beyond it importance weights have no chance anyway */

typedef struct dpi_laplace_def {
  uint64_t seed;
  int chain; /* number of this sampling: its streams */
  int nmode;
  const double *mode; /* [nmode x n] */
  /* [nmode x n x n] curvature of -(loglik + logprior) by x at the modes, or NULL: the Fisher matrix */
  const double *hessian;
  bool differences; /* curvature by central differences of the gradient: 2 n more points, all in one batch */
  int nproposal;    /* a round */
  int max_round;    /* 1..8 */
  int ndraw;        /* resampled */
  /* ln of the integral of exp(logprior) over the box (without a prior: of its volume); NaN: unknown, no evidence */
  double log_prior_mass;
} dpi_laplace_def;

dpi_laplace_def dpi_laplace_def_default(void);

typedef struct dpi_laplace_report {
  dpi_verdict verdict;
  double evidence;         /* of importance sampling: ln of the integral of likelihood x prior */
  double evidence_error;   /* one standard error, from the weights */
  double evidence_laplace; /* of the Gaussian integrals at the modes */
  double ess_spread;       /* effective draws for the standard deviation that is known worst */
  int nmode;               /* distinct ones that were used */
  int nround;
  long npoint;
} dpi_laplace_report;

/* Weights can't show what no proposal ever met: a far mode that was not given stays unseen, whatever k-hat says.
 * No usable mode is an outcome: verdict says so and draws have done = 0. ERR_UNSUPPORTED: more than
 * DPI_LAPLACE_DIRECTIONS. */
dp_status dpi_laplace_run(dpi_density *d, const dpi_laplace_def *def, dpi_draws **out, dpi_laplace_report *report);

#endif
