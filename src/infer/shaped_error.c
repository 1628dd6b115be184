/* shaped_error.c - floor 6: measurements whose errors are skewed or have long tails (Johnson's unbounded law).
 *
 * z(e) of the error e = (y - f)/s is standard normal; h = dz/de, L = d ln h/de. Correlated in time are the z: with the
 * datum before, v = (z - r z_b)/q, q^2 = 1 - r^2, a measured datum counts, without constants,
 *     l/2 = v^2/2 + ln s - ln h
 * and since de = -(w + e a), w = df/s, a = ds/s, and dz = -h (w + e a), its slopes are
 *     by w: L - v h/q     by a: 1 + e (L - v h/q)     by w_b: v r h_b/q     by a_b: e_b v r h_b/q.
 * The Fisher matrix is the mean of their products over z_b and v, standard normal and independent: two Gauss-Legendre
 * rules between -LIMIT and LIMIT.
 */
#include "infer/infer.h"

#include <math.h>
#include <string.h>

enum { NODES = 40 };
static const double LIMIT = 7;

dpi_shaped dpi_shaped_at(const dpi_johnson *law, double error) {
  dpi_shaped r = {error, 1, 0};
  if (law) r.z = dpi_johnson_z(law, error, &r.slope, &r.bend);
  return r;
}

void dpi_shaped_slopes(const dpi_johnson *law, double error, double before, double rho, double *g) {
  const dpi_shaped e = dpi_shaped_at(law, error), b = dpi_shaped_at(law, before);
  const double q = sqrt(1 - rho * rho), v = (rho == 0 ? e.z : e.z - rho * b.z) / q;
  g[0] = e.bend - v * e.slope / q;
  g[1] = 1 + error * g[0];
  g[2] = rho * v * b.slope / q;
  g[3] = before * g[2];
}

void dpi_shaped_info(const dpi_johnson *law, double rho, double *info) {
  double g[4], node[NODES], weight[NODES];
  memset(info, 0, 16 * sizeof *info);
  for (int i = 0; i < NODES; i++) {
    dpi_gauss_legendre(NODES, i, &node[i], &weight[i]);
    node[i] *= LIMIT;
  }
  for (int i = 0; i < NODES; i++)
    for (int j = 0; j < NODES; j++) {
      const double zb = node[i], v = node[j], z = rho * zb + sqrt(1 - rho * rho) * v,
                   p = LIMIT * LIMIT * weight[i] * weight[j] * dpi_norm_pdf(zb) * dpi_norm_pdf(v);
      dpi_shaped_slopes(law, dpi_johnson_error(law, z), dpi_johnson_error(law, zb), rho, g);
      for (int a = 0; a < 4; a++)
        for (int b = 0; b < 4; b++) info[4 * a + b] += p * g[a] * g[b];
    }
}

dp_status dpi_shaped_create(dpi_arena *arena, const dpi_indiv_def *def, const double **out) {
  double *info = NULL;
  int last = -1;
  *out = NULL;
  for (int i = 0; i < def->nobs; i++) {
    const dpi_johnson *law = def->datum[i].shape;
    if (!law || def->datum[i].censored) continue;
    if (!info && !(info = DPI_ARENA_ARRAY(arena, double, 16 * (size_t)def->nobs))) return DP_ERR_MEMORY;
    const bool linked = def->link && def->link[i].before >= 0, same = last >= 0 && def->datum[last].shape == law;
    const double rho = linked ? def->link[i].rho : 0,
                 again = same && def->link && def->link[last].before >= 0 ? def->link[last].rho : 0;
    if (same && rho == again) /* sensors keep time: one rule for all */
      memcpy(info + 16 * (size_t)i, info + 16 * (size_t)last, 16 * sizeof *info);
    else
      dpi_shaped_info(law, rho, info + 16 * (size_t)i);
    last = i;
  }
  *out = info;
  return DP_OK;
}
