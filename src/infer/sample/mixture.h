/* mixture.h - floor 6, folder sample: a mixture of normal laws fitted to weighted points.
 *
 * What particles look like in pieces: where they lie in several clusters, or along a bent ridge, one mean and
 * covariance describe none of them. Moves and importance proposals are made from the pieces instead.
 *
 *     dpi_mixture mix;
 *     DP_TRY(dpi_mixture_fit(&arena, &def, &mix));
 *     dpi_mixture_logpdf(&mix, 5, x, npoint, l, share, work);     as a mixture of t laws with 5 degrees of freedom
 */
#ifndef DPI_MIXTURE_H
#define DPI_MIXTURE_H

#include "base/base.h"

#define DPI_MIXTURE_MOST 12 /* components */

typedef struct dpi_mixture {
  int n, ncomponent;
  double *weight; /* [ncomponent] sum 1 */
  double *mean;   /* [ncomponent x n] */
  double *chol;   /* [ncomponent x n x n] Cholesky factors of the covariances, lower; zero above */
  double *logdet; /* [ncomponent] ln |chol| */
} dpi_mixture;

typedef struct dpi_mixture_def {
  const double *x;      /* [npoint x n] */
  const double *weight; /* [npoint] or NULL: equal; any sum */
  int npoint, n;
  int most; /* components, at most; 1..DPI_MIXTURE_MOST. As many are taken as foretell points that were left out best */
} dpi_mixture_def;

/* Everything the arena's. Points that stand several times in a row count as one of their weight together. Where even
 * one covariance is singular the component has the deviations alone. ERR_NUMERIC: no point has a weight. */
dp_status dpi_mixture_fit(dpi_arena *arena, const dpi_mixture_def *def, dpi_mixture *out);
/* ln densities of points x [npoint x n] into out [npoint], each component a t law of `dof` degrees of freedom with its
 * covariance as scale matrix (infinite: normal); share [npoint x ncomponent] receives each one's part of the density
 * unless NULL. work: dpi_mixture_work(mix) numbers. A point's bytes do not depend on the others. */
void dpi_mixture_logpdf(const dpi_mixture *mix, double dof, const double *x, int npoint, double *out, double *share,
                        double *work);
size_t dpi_mixture_work(const dpi_mixture *mix);
/* Room for one, nothing in it but its sizes. */
dp_status dpi_mixture_make(dpi_arena *arena, int n, int ncomponent, dpi_mixture *mix);

#endif
