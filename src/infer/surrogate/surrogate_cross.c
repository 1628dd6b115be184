/* surrogate_cross.c - floor 6, inside infer/surrogate: how large a surrogate's errors really are.
 *
 * A surrogate's own error is what its kind says from its settings, and these were chosen to please the rows: a Gaussian
 * process' likelihood and a polynomial's terms both flatter. So everything is chosen anew without each tenth of the
 * rows, and errors made there are compared with errors promised there:
 *
 *     z_i = |y_i - mean| / promised        inflate = z_(k) / 1.645,  k = ceil(0.9 (n + 1)) of n, ascending
 *
 * An interval of 1.645 deviations then holds 9 in 10 of the rows left out, whatever law errors follow, and a new point
 * of the same law about as often: the rows left out were answered from a tenth less, which makes it a little wide.
 * Source: the rank is that of conformal prediction (V. Vovk, A. Gammerman, G. Shafer 2005; jackknife and
 * cross-validation: R. F. Barber et al., Ann. Stat. 49 (2021) 486, which also says what is not promised: 80 % for
 * certain, 90 % in practice).
 */
#include <math.h>
#include <string.h>

#include "infer/surrogate/surrogate_train.h"

#define LEVEL 0.9
#define DEVIATIONS 1.6448536269514722 /* that hold LEVEL of a normal law */
#define ROUNDING 1e-13                /* of y's size: no error is smaller */
#define LEAST_INFLATE 0.5             /* where errors are rounding, their ratio says nothing */
enum { FOLDS = 10 };

/* The rows of s that are not of the fold (every FOLDS-th), with the part as the only output. */
static dp_status without_fold(const dpi_surrogate *s, int part, int fold, dpi_surrogate **out) {
  int d = s->ninput, n = s->nrow, m = 0;
  DP_TRY(dpi_surrogate_create(s->ctx, d, n - (n - fold + FOLDS - 1) / FOLDS, 1, out));
  dpi_surrogate_part *p = &(*out)->part[0];
  memcpy(p->id, s->part[part].id, sizeof p->id);
  memcpy((*out)->input, s->input, sizeof *s->input * (size_t)d);
  for (int i = 0; i < n; i++) {
    if (i % FOLDS == fold) continue;
    memcpy((*out)->x + (size_t)m * (size_t)d, s->x + (size_t)i * (size_t)d, sizeof *s->x * (size_t)d);
    p->y[m++] = s->part[part].y[i];
  }
  return DP_OK;
}

/* Into z [nrow] for the rows of the fold; their squared errors are added up. */
static dp_status try_fold(const dpi_surrogate *s, int part, const dpi_training_def *def, dpi_cross_fn fit, int fold,
                          double least, double *z, double *square) {
  const dpi_surrogate_part *p = &s->part[part];
  dpi_surrogate *t = NULL;
  double mean, sd;
  dp_status status = without_fold(s, part, fold, &t);
  if (status == DP_OK) status = fit(t, 0, def, p);
  for (int i = fold; i < s->nrow && status == DP_OK; i += FOLDS) {
    status = dpi_surrogate_ask_all(t, 0, 1, s->x + (size_t)i * (size_t)s->ninput, &mean, &sd);
    if (status != DP_OK) break;
    double error = fabs(mean - p->y[i]);
    *square += error * error;
    z[i] = error / fmax(sd, least);
  }
  dpi_surrogate_destroy(t);
  return status;
}

dp_status dpi_surrogate_cross(dpi_surrogate *s, int part, const dpi_training_def *def, dpi_cross_fn fit) {
  dpi_surrogate_part *p = &s->part[part];
  int n = s->nrow, rank = (int)ceil(LEVEL * (n + 1)) - 1;
  double square = 0, size = 0;
  p->cross = p->loo;
  if (n < 2 * FOLDS) return DP_OK;
  double *z = DPI_NEW_ARRAY(s->ctx, double, n);
  dp_status status = z ? DP_OK : DP_ERR_MEMORY;
  for (int i = 0; i < n; i++) size = fmax(size, fabs(p->y[i]));
  for (int fold = 0; fold < FOLDS && status == DP_OK; fold++)
    status = try_fold(s, part, def, fit, fold, fmax(ROUNDING * size, 1e-300), z, &square);
  if (status == DP_OK) {
    dpi_sort(z, n);
    p->inflate = fmax(z[rank < n ? rank : n - 1] / DEVIATIONS, LEAST_INFLATE);
    p->cross = sqrt(square / n);
    status = isfinite(p->inflate) ? dpi_surrogate_assemble(s, part)
                                  : dpi_fail(s->ctx, DP_ERR_CONVERGE,
                                             "surrogate, output %s: errors of cross-validation are not finite", p->id);
  }
  dpi_free(s->ctx, z);
  return status;
}
