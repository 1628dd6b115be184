/* rank.c - floor 6, inside infer/point: which directions the data say nothing about, near one point. */
#include <math.h>
#include <string.h>

#include "infer/point/point_impl.h"
#include "infer/point/profile.h"

#define SHARE 0.05 /* of the largest component: less is not worth a word */

dp_status dpi_rank_analyse(dpi_arena *arena, const dpi_density *d, const double *x, const double *fisher,
                           const double *scale, double tol, dpi_rank *out) {
  size_t n = (size_t)d->n;
  *out = (dpi_rank){.n = d->n};
  out->value = DPI_ARENA_ARRAY(arena, double, n + 1);
  out->vector = DPI_ARENA_ARRAY(arena, double, n * n + 1);
  out->scale = DPI_ARENA_ARRAY(arena, double, n + 1);
  double *a = DPI_ARENA_ARRAY(arena, double, n * n + 2 * n + 1);
  if (!out->value || !out->vector || !out->scale || !a) return DP_ERR_MEMORY;
  for (size_t i = 0; i < n; i++) {
    double width = d->upper[i] - d->lower[i], size = fmax(1, fabs(x[i]));
    out->scale[i] = scale ? scale[i] : isfinite(width) ? fmin(width / 10, size) : size;
  }
  for (size_t i = 0; i < n; i++) {
    for (size_t j = 0; j < n; j++) a[i * n + j] = out->scale[i] * out->scale[j] * fisher[i * n + j];
  }
  if (n) dpi_point_eig(a, d->n, out->value, out->vector, a + n * n);
  for (size_t k = 0; k < n; k++) out->rank += out->value[k] > tol * fmax(1, out->value[n - 1]);
  return DP_OK;
}

/* "'a' by 1, 'b' by -1": the direction, its largest component 1; gives the length of this change in units of scale. */
static double add_direction(const dpi_rank *r, const dpi_density *d, int k, dpi_str *out) {
  double most = 0;
  bool first = true;
  for (int i = 0; i < r->n; i++) {
    double c = r->vector[(size_t)i * r->n + k] * r->scale[i];
    if (fabs(c) > fabs(most)) most = c;
  }
  for (int i = 0; i < r->n; i++) {
    double c = r->vector[(size_t)i * r->n + k] * r->scale[i] / most;
    if (!(fabs(c) >= SHARE)) continue;
    dpi_str_addf(out, "%s'%s' by %.3g", first ? "" : ", ", d->name[i], c);
    first = false;
  }
  return 1 / fabs(most);
}

void dpi_rank_write(const dpi_rank *r, const dpi_density *d, dpi_str *out) {
  dpi_str_addf(out, "%d of %d directions are determined by the data near this point\n", r->rank, r->n);
  for (int k = 0; k < r->n - r->rank; k++) {
    dpi_str_add(out, "no information: a change of ");
    add_direction(r, d, k, out);
    dpi_str_add(out, " leaves the data as they are\n");
  }
  if (r->rank < 1) return;
  dpi_str_add(out, "least determined: ");
  double length = add_direction(r, d, r->n - r->rank, out);
  dpi_str_addf(out, ": %.3g times this change is one standard deviation\n",
               1 / (sqrt(r->value[r->n - r->rank]) * length));
}
