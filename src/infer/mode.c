/* mode.c - the mode of l for one person: trust region in the prior's metric, several starts, the Hessian.
 *
 * Coordinates u with x = L u (L: Cholesky factor of the prior covariance; ln delta keeps its scale), so one unit of u is
 * one prior standard deviation. The model of l/2 is g'u + u'(F + S)u/2 with the Fisher matrix F, which is exact in the
 * large, and a symmetric rank-one estimate S of what F leaves out (structured quasi-Newton: Dennis, Gay & Welsch 1981,
 * ACM TOMS 7:348). The step is the exact solution of the trust-region problem in the eigenvectors of F + S.
 *
 * Near the solution differences of l drown in the integrator's error; there the Newton decrement sqrt(g'B^-1 g) decides,
 * because gradients stay accurate.
 */
#include "infer/infer.h"

#include <math.h>
#include <string.h>

#define KINK_STARTS 8 /* further starts when the best mode lies on a corner */
#define MORE_STARTS 7 /* and when there is more than one */

dpi_mode_def dpi_mode_def_default(void) {
  dpi_mode_def d = {.tolerance = 1e-8, .max_iter = 100, .hess = NULL};
  return d;
}

typedef struct search {
  dpi_indiv *iv;
  int n;
  double *x, *xt; /* present and trial point */
  double *g, *gt; /* dl/dx / 2 in u */
  double *b, *s;  /* F in u; S */
  double *bt;
  double *w, *v, *c, *p; /* eigenvalues, vectors, g in their axes, step in u */
  double *tmp, *mat;
  dpi_point pt;
  double l, radius, decrement;
} search;

static dp_status search_init(search *q, dpi_arena *arena, dpi_indiv *iv) {
  size_t n = (size_t)iv->dim;
  memset(q, 0, sizeof *q);
  q->iv = iv;
  q->n = iv->dim;
  double *m = DPI_ARENA_ARRAY(arena, double, 10 * n + 7 * n * n + 1);
  if (!m) return DP_ERR_MEMORY;
  double **vec[] = {&q->x, &q->xt, &q->g, &q->gt, &q->w, &q->c, &q->p, &q->tmp, &q->pt.g};
  double **mat[] = {&q->b, &q->s, &q->bt, &q->v, &q->mat, &q->pt.fisher};
  for (int k = 0; k < DPI_COUNT(vec); k++, m += n) *vec[k] = m;
  for (int k = 0; k < DPI_COUNT(mat); k++, m += n * n) *mat[k] = m;
  return DP_OK;
}

/* x = L u for a difference; L is identity for ln delta */
static void to_x(const dpi_indiv *iv, const double *u, double *x) {
  int m = iv->nfree;
  for (int a = 0; a < m; a++) {
    double s = 0;
    for (int b = 0; b <= a; b++) s += iv->chol[a * m + b] * u[b];
    x[a] = s;
  }
  if (iv->dim > m) x[m] = u[m];
}

/* g_u = L' g */
static void grad_to_u(const dpi_indiv *iv, const double *g, double *gu) {
  int m = iv->nfree;
  for (int a = 0; a < m; a++) {
    double s = 0;
    for (int b = a; b < m; b++) s += iv->chol[b * m + a] * g[b];
    gu[a] = s;
  }
  if (iv->dim > m) gu[m] = g[m];
}

/* B_u = L' B L */
static void mat_to_u(const dpi_indiv *iv, const double *b, double *bu, double *tmp) {
  int n = iv->dim;
  for (int r = 0; r < n; r++) grad_to_u(iv, b + r * n, tmp + r * n);
  for (int c = 0; c < n; c++) {
    double col[64], out[64];
    for (int r = 0; r < n; r++) col[r] = tmp[r * n + c];
    grad_to_u(iv, col, out);
    for (int r = 0; r < n; r++) bu[r * n + c] = out[r];
  }
}

/* Evaluate at x: l, g and F in u. */
static dp_status evaluate(search *q, const double *x, double *l, double *g, double *b, bool *ok) {
  DP_TRY(dpi_indiv_eval(q->iv, x, true, &q->pt, ok));
  if (!*ok) return DP_OK;
  *l = q->pt.l;
  grad_to_u(q->iv, q->pt.g, g);
  for (int a = 0; a < q->n; a++) g[a] *= 0.5;
  mat_to_u(q->iv, q->pt.fisher, b, q->mat);
  return DP_OK;
}

/* Eigenvectors of B = F + S, g in their axes, Newton decrement. */
static void decompose(search *q) {
  int n = q->n;
  for (int k = 0; k < n * n; k++) q->mat[k] = q->b[k] + q->s[k];
  dpi_sym_eig(q->mat, n, q->w, q->v);
  double d = 0;
  for (int a = 0; a < n; a++) {
    double s = 0;
    for (int b = 0; b < n; b++) s += q->v[b * n + a] * q->g[b];
    q->c[a] = s;
    /* a flat or falling direction counts with unit curvature (the prior's) */
    d += s * s / (q->w[a] > 1e-3 ? q->w[a] : 1.0);
  }
  q->decrement = sqrt(d);
}

static double step_length(const search *q, double lambda) {
  double s = 0;
  for (int a = 0; a < q->n; a++) {
    double t = q->c[a] / (q->w[a] + lambda);
    s += t * t;
  }
  return sqrt(s);
}

/* Shift of the spectrum that brings the step to the trust radius (More & Sorensen 1983), by bisection on a bracket. */
static double trust_shift(const search *q) {
  double low = q->w[0] > 0 ? 0 : -q->w[0] + 1e-10;
  if (q->w[0] > 1e-12 && step_length(q, 0) <= q->radius) return 0;
  double high = low + 1;
  while (step_length(q, high) > q->radius && high < 1e30) high = low + (high - low) * 4;
  if (step_length(q, low) <= q->radius) return low;
  for (int k = 0; k < 60 && high - low > 1e-6 * high; k++) {
    double mid = 0.5 * (low + high);
    if (step_length(q, mid) > q->radius)
      low = mid;
    else
      high = mid;
  }
  return high;
}

/* Step p, trial point xt; gives the predicted fall of l/2 and the step's length. */
static void propose(search *q, double *fall, double *length) {
  int n = q->n;
  double lambda = trust_shift(q);
  memset(q->p, 0, sizeof(double) * (size_t)n);
  *fall = 0;
  *length = 0;
  for (int a = 0; a < n; a++) {
    double t = -q->c[a] / (q->w[a] + lambda);
    *fall -= q->c[a] * t + 0.5 * q->w[a] * t * t;
    *length += t * t;
    for (int b = 0; b < n; b++) q->p[b] += q->v[b * n + a] * t;
  }
  *length = sqrt(*length);
  to_x(q->iv, q->p, q->tmp);
  for (int a = 0; a < n; a++) q->xt[a] = q->x[a] + q->tmp[a];
}

/* Symmetric rank-one update of S so that (F_new + S) p = g_new - g, with the sizing of Dennis, Gay & Welsch. */
static void update_remainder(search *q) {
  int n = q->n;
  double psp = 0, py = 0;
  double y[64], sp[64];
  for (int a = 0; a < n; a++) {
    y[a] = q->gt[a] - q->g[a];
    sp[a] = 0;
    for (int b = 0; b < n; b++) {
      y[a] -= q->bt[a * n + b] * q->p[b];
      sp[a] += q->s[a * n + b] * q->p[b];
    }
    psp += q->p[a] * sp[a];
    py += q->p[a] * y[a];
  }
  double size = fabs(psp) > 0 ? fmin(1.0, fabs(py) / fabs(psp)) : 1.0;
  double rp = 0, rr = 0, pp = 0;
  for (int a = 0; a < n; a++) {
    y[a] -= size * sp[a];
    rp += y[a] * q->p[a];
    rr += y[a] * y[a];
    pp += q->p[a] * q->p[a];
  }
  for (int k = 0; k < n * n; k++) q->s[k] *= size;
  if (!(fabs(rp) > 1e-3 * sqrt(rr * pp))) return;
  for (int a = 0; a < n; a++)
    for (int b = 0; b < n; b++) q->s[a * n + b] += y[a] * y[b] / rp;
}

static void accept(search *q, double l) {
  update_remainder(q);
  double *t;
  t = q->x, q->x = q->xt, q->xt = t;
  t = q->g, q->g = q->gt, q->gt = t;
  t = q->b, q->b = q->bt, q->bt = t;
  q->l = l;
  decompose(q);
}

/* One trial. *moved: accepted. *quiet: the predicted fall is below the noise of l. */
static dp_status trial(search *q, bool *moved, bool *quiet) {
  double fall, length, l = 0;
  bool ok = false;
  *moved = false;
  propose(q, &fall, &length);
  double noise = 1e-9 * (1 + fabs(q->l));
  *quiet = fall < noise;
  DP_TRY(evaluate(q, q->xt, &l, q->gt, q->bt, &ok));
  if (!ok) {
    q->radius = 0.25 * length;
    return DP_OK;
  }
  double got = 0.5 * (q->l - l), rho = got / fall;
  if (*quiet) {
    *moved = got > -10 * noise;
    if (!*moved) q->radius = 0.25 * length;
  } else {
    *moved = rho > 1e-4;
    if (rho < 0.25)
      q->radius = 0.4 * length;
    else if (rho > 0.75 && length > 0.9 * q->radius)
      q->radius = fmin(2.5 * q->radius, 30.0);
  }
  if (*moved) accept(q, l);
  return DP_OK;
}

/* S from a known Hessian of l/2 in x. */
static void remainder_from(search *q, const double *hess) {
  mat_to_u(q->iv, hess, q->s, q->mat);
  for (int k = 0; k < q->n * q->n; k++) q->s[k] -= q->b[k];
}

static dp_status search_run(search *q, const dpi_mode_def *def, double *x, dpi_mode *mode) {
  bool ok = false;
  memcpy(q->x, x, sizeof(double) * (size_t)q->n);
  DP_TRY(evaluate(q, q->x, &q->l, q->g, q->b, &ok));
  if (!ok) return DP_OK;
  mode->ok = true;
  if (def->hess) remainder_from(q, def->hess);
  q->radius = 2;
  decompose(q);
  int stalled = 0;
  while (mode->niter < def->max_iter && q->decrement > def->tolerance && q->radius > 1e-12 &&
         stalled < 3) {
    double before = q->decrement;
    bool moved, quiet;
    mode->niter++;
    DP_TRY(trial(q, &moved, &quiet));
    /* in the noise only a falling decrement is progress */
    if (quiet && (!moved || q->decrement > 0.5 * before))
      stalled++;
    else
      stalled = 0;
  }
  mode->l = q->l;
  mode->decrement = q->decrement;
  mode->converged = q->decrement <= 1e-4;
  memcpy(x, q->x, sizeof(double) * (size_t)q->n);
  return DP_OK;
}

dp_status dpi_mode_find(dpi_indiv *iv, const dpi_mode_def *def, double *x, dpi_mode *mode) {
  memset(mode, 0, sizeof *mode);
  mode->l = INFINITY;
  mode->decrement = INFINITY;
  if (iv->dim > 64)
    return dpi_fail(iv->ctx, DP_ERR_UNSUPPORTED,
                    "mode search: %d random effects of one person, at most 64 are supported",
                    iv->dim);
  dpi_arena arena;
  dpi_arena_init(&arena, iv->ctx);
  search q;
  dp_status st = search_init(&q, &arena, iv);
  if (st == DP_OK) st = search_run(&q, def, x, mode);
  dpi_arena_release(&arena);
  return st;
}

/* Distance of two points in prior standard deviations. */
static double prior_distance(const dpi_indiv *iv, const double *x, const double *y) {
  int m = iv->nfree;
  double d[64], s = 0;
  for (int a = 0; a < m; a++) d[a] = x[a] - y[a];
  dpi_tri_solve_lower(iv->chol, m, d);
  for (int a = 0; a < m; a++) s += d[a] * d[a];
  if (iv->dim > m) s += (x[m] - y[m]) * (x[m] - y[m]);
  return sqrt(s);
}

/* Put a mode into the list (best first) unless it is there already. */
static void insert_mode(const dpi_indiv *iv, const double *xn, const dpi_mode *mn, int max,
                        double *x, dpi_mode *mode, int *nmode) {
  size_t n = (size_t)iv->dim;
  for (int k = 0; k < *nmode; k++)
    if (prior_distance(iv, xn, x + (size_t)k * n) < 1e-3) {
      if (mn->l < mode[k].l && mn->converged) {
        mode[k] = *mn;
        memcpy(x + (size_t)k * n, xn, n * sizeof(double));
      }
      return;
    }
  int at = *nmode;
  while (at > 0 && mn->l < mode[at - 1].l) at--;
  if (at >= max) return;
  int last = *nmode < max ? (*nmode)++ : max - 1;
  for (int k = last; k > at; k--) {
    mode[k] = mode[k - 1];
    memcpy(x + (size_t)k * n, x + (size_t)(k - 1) * n, n * sizeof(double));
  }
  mode[at] = *mn;
  memcpy(x + (size_t)at * n, xn, n * sizeof(double));
}

/* Starting point k: 0 the prior's centre, then `first`, then draws. */
static void start_point(const dpi_indiv *iv, int k, const double *first, dpi_rng *rng, double *x) {
  int m = iv->nfree;
  double z[64] = {0};
  if (k == 1 && first) {
    memcpy(x, first, sizeof(double) * (size_t)iv->dim);
    return;
  }
  for (int a = 0; k > 0 && a < m; a++) z[a] = dpi_rng_normal(rng);
  to_x(iv, z, x);
  if (iv->dim > m) x[m] = dpi_m_log(0.5 * iv->def.discrepancy_sd);
}

/* Has a search that is only half done come into the basin of a mode known already? */
static bool known_basin(const dpi_indiv *iv, const double *x, const dpi_mode *m,
                        const double *modes, const dpi_mode *known, int n) {
  for (int k = 0; k < n; k++)
    if (known[k].converged && m->l - known[k].l < 0.1 &&
        prior_distance(iv, x, modes + (size_t)k * iv->dim) < 0.1)
      return true;
  return false;
}

/* Corners come in numbers: where the best search ended on one, polish it and as many from further starts. */
static dp_status look_around(dpi_indiv *iv, const dpi_mode_def *def, dpi_rng *rng, int max,
                             double *x, dpi_mode *mode, int *nmode) {
  DP_TRY(dpi_mode_kink(iv, x, &mode[0]));
  for (int k = 0; k < KINK_STARTS; k++) {
    double xt[65];
    dpi_mode m;
    start_point(iv, 2, NULL, rng, xt);
    DP_TRY(dpi_mode_find(iv, def, xt, &m));
    if (!m.ok || m.l > mode[0].l + 20) continue;
    if (!m.converged) DP_TRY(dpi_mode_kink(iv, xt, &m));
    insert_mode(iv, xt, &m, max, x, mode, nmode);
  }
  return DP_OK;
}

dp_status dpi_mode_multi(dpi_indiv *iv, const dpi_mode_def *def, const double *first, int nstart,
                         dpi_rng rng, int max, double *x, dpi_mode *mode, int *nmode) {
  *nmode = 0;
  int nfound = 0, wanted = nstart;
  dpi_mode_def rough = *def;
  rough.tolerance = fmax(0.05, def->tolerance);
  /* a start at which the model can't be evaluated is replaced, within reason */
  for (int k = 0; k < wanted + 10 && nfound < wanted; k++) {
    double xt[65];
    dpi_mode m;
    start_point(iv, k, first, &rng, xt);
    DP_TRY(dpi_mode_find(iv, *nmode > 0 ? &rough : def, xt, &m));
    if (!m.ok) continue;
    nfound++;
    if (*nmode > 0) {
      if (known_basin(iv, xt, &m, x, mode, *nmode)) continue;
      DP_TRY(dpi_mode_find(iv, def, xt, &m));
      /* a second mode: there may be more */
      if (prior_distance(iv, xt, x) > 0.01 && m.l < mode[0].l + 20) wanted = nstart + MORE_STARTS;
    }
    insert_mode(iv, xt, &m, max, x, mode, nmode);
  }
  if (*nmode > 0 && !mode[0].converged) DP_TRY(look_around(iv, def, &rng, max, x, mode, nmode));
  return DP_OK;
}

/* Columns of V: steps of one posterior standard deviation along independent axes, V V' = F^-1. */
static bool fisher_axes(double *fisher, int n, double *v) {
  if (!dpi_chol(fisher, n)) return false;
  memset(v, 0, sizeof(double) * (size_t)n * (size_t)n);
  double e[64];
  for (int m = 0; m < n; m++) {
    memset(e, 0, sizeof e);
    e[m] = 1;
    dpi_tri_solve_lower_t(fisher, n, e);
    for (int a = 0; a < n; a++) v[a * n + m] = e[a];
  }
  return true;
}

/* hess (of l/2) from H V = (g+ - g-)/(2 h) / 2 and V' F V = 1: H = (H V) V^-1, V^-1 = L_F'. */
static void hess_from_axes(const double *hv, const double *lf, int n, double *hess) {
  for (int a = 0; a < n; a++)
    for (int b = 0; b < n; b++) {
      double s = 0;
      /* V^-1 = L' : row m, column b is L[b][m], non-zero for m <= b */
      for (int m = 0; m <= b; m++) s += hv[a * n + m] * lf[b * n + m];
      hess[a * n + b] = s;
    }
  for (int a = 0; a < n; a++)
    for (int b = 0; b < a; b++)
      hess[a * n + b] = hess[b * n + a] = 0.5 * (hess[a * n + b] + hess[b * n + a]);
}

/* l, g at x + h v_m; ln|F| there when asked for. */
static dp_status side(dpi_indiv *iv, const double *x, const double *v, int m, double h,
                      dpi_point *pt, double *logdet, bool *ok) {
  int n = iv->dim;
  double xt[65];
  for (int a = 0; a < n; a++) xt[a] = x[a] + h * v[a * n + m];
  DP_TRY(dpi_indiv_eval(iv, xt, true, pt, ok));
  if (!*ok || !logdet) return DP_OK;
  *ok = dpi_chol(pt->fisher, n);
  if (*ok) *logdet = dpi_chol_logdet(pt->fisher, n);
  return DP_OK;
}

/* Column m of H V and the slope of ln|F| along v_m; *ok = false when the model fails on either side. */
static dp_status hess_column(dpi_indiv *iv, const double *x, const double *v, int m, double step,
                             double *hv, double *slope, dpi_point *pt, bool *ok) {
  int n = iv->dim;
  double g[65], plus = 0, minus = 0;
  DP_TRY(side(iv, x, v, m, step, pt, slope ? &plus : NULL, ok));
  if (!*ok) return DP_OK;
  memcpy(g, pt->g, sizeof(double) * (size_t)n);
  DP_TRY(side(iv, x, v, m, -step, pt, slope ? &minus : NULL, ok));
  for (int a = 0; *ok && a < n; a++) hv[a * n + m] = (g[a] - pt->g[a]) / (4 * step);
  if (slope) slope[m] = (plus - minus) / (2 * step);
  return DP_OK;
}

static dp_status hessian_run(dpi_indiv *iv, const double *x, double step, double *work,
                             double *hess, double *dlogdet, bool *ok) {
  int n = iv->dim;
  double *v = work, *hv = v + n * n, *lf = hv + n * n, *slope = lf + n * n;
  dpi_point pt = {0, slope + n, slope + 2 * n};
  DP_TRY(dpi_indiv_eval(iv, x, true, &pt, ok));
  if (!*ok) return DP_OK;
  memcpy(lf, pt.fisher, sizeof(double) * (size_t)n * (size_t)n);
  *ok = fisher_axes(lf, n, v);
  for (int m = 0; *ok && m < n; m++) {
    bool fine = false;
    double h = step;
    for (int k = 0; !fine && k < 3; k++, h *= 0.25)
      DP_TRY(hess_column(iv, x, v, m, h, hv, dlogdet ? slope : NULL, &pt, &fine));
    *ok = fine;
  }
  if (!*ok) return DP_OK;
  hess_from_axes(hv, lf, n, hess);
  if (dlogdet) dpi_tri_mul_lower(lf, n, slope, dlogdet); /* V'^-1 = L_F */
  return DP_OK;
}

dp_status dpi_mode_hessian(dpi_indiv *iv, const double *x, double step, double *hess,
                           double *dlogdet, bool *ok) {
  size_t n = (size_t)iv->dim;
  double *work = DPI_NEW_ARRAY(iv->ctx, double, 4 * n * n + 2 * n + 1);
  if (!work) return DP_ERR_MEMORY;
  dp_status st = hessian_run(iv, x, step, work, hess, dlogdet, ok);
  dpi_free(iv->ctx, work);
  return st;
}
