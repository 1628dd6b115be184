/* marginal.c - -2 ln p(y) of one person by a Gaussian integral at the mode, and what its gradient needs.
 *
 *     -2 ln p(y) ~ l(x*) + ln|Omega| + ln|Q| + n ln 2 pi
 * Q = Hessian of l/2 at the mode x*               (Laplace)
 * Q = Omega^-1 + sum JJ'/v + 1/2 sum dv dv'/v^2   (FOCE with interaction: Fisher matrix)
 *
 * q = d ln|Q|/dx. FOCE-I: slopes of ln|F| along F's axes. Laplace: with axes W W' = H^-1,
 *     d ln|H| / dx_k = tr(H^-1 dH/dx_k) = 1/2 sum_m d^2 g_k / dw_m^2,
 * second differences of the exact gradient: third derivatives at the price of a Hessian.
 */
#include "infer/infer.h"

#include <math.h>
#include <string.h>

#define THIRD_STEP 0.04

dp_status dpi_marginal_method_find(dp_ctx *ctx, const char *name, dpi_marginal_method *method) {
  if (!name || !strcmp(name, "laplace"))
    *method = DPI_LAPLACE;
  else if (!strcmp(name, "focei"))
    *method = DPI_FOCEI;
  else if (!strcmp(name, "agq"))
    *method = DPI_QUADRATURE;
  else
    return dpi_fail(ctx, DP_ERR_USAGE, "method: found '%s', expected laplace, focei or agq", name);
  return DP_OK;
}

dp_status dpi_marginal_create(dpi_arena *arena, int dim, dpi_marginal *m) {
  size_t n = (size_t)dim;
  memset(m, 0, sizeof *m);
  m->x = DPI_ARENA_ARRAY(arena, double, n + 1);
  m->hess = DPI_ARENA_ARRAY(arena, double, n *n + 1);
  m->qinv = DPI_ARENA_ARRAY(arena, double, n *n + 1);
  m->q = DPI_ARENA_ARRAY(arena, double, n + 1);
  return m->x && m->hess && m->qinv && m->q ? DP_OK : DP_ERR_MEMORY;
}

/* The mode: from the last one when warm, else from several starts. */
static dp_status locate(dpi_indiv *iv, dpi_marginal *m, double *l, bool *ok) {
  dpi_mode_def def = dpi_mode_def_default();
  dpi_mode mode;
  *ok = false;
  if (m->warm) {
    def.hess = m->hess;
    DP_TRY(dpi_mode_find(iv, &def, m->x, &mode));
    *l = mode.l;
    *ok = mode.ok && mode.converged;
    if (*ok) return DP_OK;
    def.hess = NULL;
  }
  int nmode = 0;
  DP_TRY(
      dpi_mode_multi(iv, &def, NULL, 3, dpi_rng_make(0, 0, DPI_RNG_START), 1, m->x, &mode, &nmode));
  *ok = nmode > 0 && mode.converged;
  if (*ok) *l = mode.l;
  return DP_OK;
}

/* Fisher matrix at x into out. */
static dp_status fisher_at(dpi_indiv *iv, const double *x, double *out, bool *ok) {
  double g[65];
  dpi_point pt = {0, g, out};
  return dpi_indiv_eval(iv, x, true, &pt, ok);
}

/* chol := W = L_H'^-1 with W W' = H^-1 */
static void inverse_axes(const double *l, int n, double *w) {
  double e[65];
  for (int m = 0; m < n; m++) {
    memset(e, 0, sizeof e);
    e[m] = 1;
    dpi_tri_solve_lower_t(l, n, e);
    for (int a = 0; a < n; a++) w[a * n + m] = e[a];
  }
}

/* q for Laplace: 1/2 sum over axes of (g+ - 2 g0 + g-)/h^2 */
static dp_status third_order(dpi_indiv *iv, const double *x, const double *w, dpi_point *pt,
                             double *q, bool *ok) {
  int n = iv->dim;
  double h2 = THIRD_STEP * THIRD_STEP, g0[65], xt[65];
  DP_TRY(dpi_indiv_eval(iv, x, true, pt, ok));
  if (!*ok) return DP_OK;
  memcpy(g0, pt->g, sizeof(double) * (size_t)n);
  memset(q, 0, sizeof(double) * (size_t)n);
  for (int m = 0; m < n; m++)
    for (int sign = -1; sign <= 1; sign += 2) {
      for (int a = 0; a < n; a++) xt[a] = x[a] + sign * THIRD_STEP * w[a * n + m];
      DP_TRY(dpi_indiv_eval(iv, xt, true, pt, ok));
      if (!*ok) return DP_OK;
      for (int a = 0; a < n; a++) q[a] += 0.5 * (pt->g[a] - g0[a]) / h2;
    }
  return DP_OK;
}

/* ln|Q| and Q^-1 from Q (destroyed: its Cholesky factor stays). */
static bool invert(double *q, int n, double *inv, double *logdet) {
  if (!dpi_chol(q, n)) return false;
  *logdet = dpi_chol_logdet(q, n);
  dpi_chol_inverse(q, n, inv);
  return true;
}

static dp_status laplace_part(dpi_indiv *iv, bool gradient, dpi_marginal *m, double *work,
                              bool *ok) {
  int n = iv->dim;
  double *chol = work, *w = work + n * n;
  dpi_point pt = {0, w + n * n, w + n * n + n};
  DP_TRY(dpi_mode_hessian(iv, m->x, DPI_HESS_STEP, m->hess, NULL, ok));
  if (!*ok) return DP_OK;
  memcpy(chol, m->hess, sizeof(double) * (size_t)n * (size_t)n);
  *ok = invert(chol, n, m->qinv, &m->logdet);
  if (!*ok || !gradient) return DP_OK;
  inverse_axes(chol, n, w);
  return third_order(iv, m->x, w, &pt, m->q, ok);
}

static dp_status focei_part(dpi_indiv *iv, bool gradient, dpi_marginal *m, double *work, bool *ok) {
  int n = iv->dim;
  if (gradient)
    DP_TRY(dpi_mode_hessian(iv, m->x, DPI_HESS_STEP, m->hess, m->q, ok));
  else
    *ok = true;
  if (*ok) DP_TRY(fisher_at(iv, m->x, work, ok));
  if (*ok) *ok = invert(work, n, m->qinv, &m->logdet);
  /* the next search starts better with some curvature */
  if (*ok && !gradient && !m->warm) DP_TRY(fisher_at(iv, m->x, m->hess, ok));
  return DP_OK;
}

dp_status dpi_marginal_eval(dpi_indiv *iv, dpi_marginal_method method, bool gradient,
                            dpi_marginal *m) {
  size_t n = (size_t)iv->dim;
  double l = 0;
  m->ok = false;
  bool ok = false;
  DP_TRY(locate(iv, m, &l, &ok));
  if (!ok) return DP_OK;
  double *work = DPI_NEW_ARRAY(iv->ctx, double, 3 * n * n + n + 1);
  if (!work) return DP_ERR_MEMORY;
  dp_status st = method == DPI_LAPLACE ? laplace_part(iv, gradient, m, work, &ok)
                                       : focei_part(iv, gradient, m, work, &ok);
  dpi_free(iv->ctx, work);
  DP_TRY(st);
  if (!ok) return DP_OK;
  m->value = l + iv->logdet + m->logdet + dpi_indiv_constant(iv, true);
  m->warm = true;
  m->ok = isfinite(m->value);
  return DP_OK;
}

dp_status dpi_marginal_logdet(dpi_indiv *iv, dpi_marginal_method method, const double *x,
                              double *logdet, bool *ok) {
  size_t n = (size_t)iv->dim;
  double *q = DPI_NEW_ARRAY(iv->ctx, double, n *n + 1);
  if (!q) return DP_ERR_MEMORY;
  dp_status st = method == DPI_LAPLACE ? dpi_mode_hessian(iv, x, DPI_HESS_STEP, q, NULL, ok)
                                       : fisher_at(iv, x, q, ok);
  if (st == DP_OK && *ok) {
    *ok = dpi_chol(q, iv->dim);
    if (*ok) *logdet = dpi_chol_logdet(q, iv->dim);
  }
  dpi_free(iv->ctx, q);
  return st;
}
