/* mode.c - the mode of l for one person: trust region in the prior's metric, as question and answer; the Hessian.
 *
 * Coordinates u with x = L u (L: Cholesky factor of the prior covariance; ln delta keeps its scale), so one unit of u is
 * one prior standard deviation. The model of l/2 is g'u + u'(F + S)u/2 with the Fisher matrix F, which is exact in the
 * large, and an estimate S of what F leaves out (structured quasi-Newton: Dennis, Gay & Welsch 1981, ACM TOMS 7:348).
 * The step is the exact solution of the trust-region problem in the eigenvectors of F + S. Where values are cheap, the
 * radius is the best of several by value.
 *
 * Near the solution differences of l drown in the integrator's error; there the Newton decrement sqrt(g'B^-1 g) decides,
 * because gradients stay accurate.
 */
#include <math.h>
#include <string.h>

#include "infer/mode_search.h"

#define FIRST_RADIUS 2.0 /* prior standard deviations */
#define PROBES 8         /* values of a probe: here, and at steps of as many lengths but one */
#define PROBE_FALL 0.5   /* of l/2 predicted: below, the step's length is hardly in question */
#define PROBE_AGAIN 3
#define MOST_RADIUS 30.0
#define DRAWN_FROM 4.0 /* posterior standard deviations from a mode */
#define DRAWN_PART 0.5 /* of the gradient there that its quadratic leaves open */

dpi_mode_def dpi_mode_def_default(void) {
  dpi_mode_def d = {.tolerance = 1e-8, .noise = 1e-9, .max_iter = 100, .hess = NULL};
  return d;
}

dp_status dpi_search_create(dpi_arena *arena, dpi_indiv *iv, dpi_search *q) {
  size_t n = (size_t)iv->dim;
  memset(q, 0, sizeof *q);
  if (iv->dim > 64)
    return dpi_fail(iv->ctx, DP_ERR_UNSUPPORTED, "mode search: %d random effects of one person, at most 64 are supported",
                    iv->dim);
  q->iv = iv;
  q->n = iv->dim;
  q->held = -1;
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

/* g and F of the evaluated point in u, as the trial's. */
static void take_point(dpi_search *q) {
  grad_to_u(q->iv, q->pt.g, q->gt);
  for (int a = 0; a < q->n; a++) q->gt[a] *= 0.5;
  mat_to_u(q->iv, q->pt.fisher, q->bt, q->mat);
}

/* The unit vector in u across the plane in which x[held] stays: x = L u, so row `held` of L. */
static void across(const dpi_search *q, int held, double *r) {
  const dpi_indiv *iv = q->iv;
  double rr = 0;
  memset(r, 0, sizeof(double) * (size_t)q->n);
  for (int b = 0; b <= held; b++) {
    r[b] = iv->chol[held * iv->nfree + b];
    rr += r[b] * r[b];
  }
  for (int b = 0; b <= held; b++) r[b] /= sqrt(rr);
}

double dpi_search_across(const dpi_search *q, int held) {
  double r[65], s = 0;
  across(q, held, r);
  for (int a = 0; a < q->n; a++) s += r[a] * q->g[a];
  return s;
}

/* M = P M P + r r', g = P g with P = 1 - r r': nothing is left to gain across the plane. */
static void hold(const dpi_search *q, double *m, double *g) {
  int n = q->n;
  double r[65], mr[65], gr = 0, rmr = 0;
  across(q, q->held, r);
  for (int a = 0; a < n; a++) {
    mr[a] = 0;
    for (int b = 0; b < n; b++) mr[a] += m[a * n + b] * r[b];
    rmr += r[a] * mr[a];
    gr += r[a] * g[a];
  }
  for (int a = 0; a < n; a++) {
    g[a] -= gr * r[a];
    for (int b = 0; b < n; b++) m[a * n + b] += (rmr + 1) * r[a] * r[b] - mr[a] * r[b] - r[a] * mr[b];
  }
}

/* Eigenvectors of B = F + S, g in their axes, Newton decrement. */
static void decompose(dpi_search *q) {
  int n = q->n;
  double g[65];
  for (int k = 0; k < n * n; k++) q->mat[k] = q->b[k] + q->s[k];
  memcpy(g, q->g, sizeof(double) * (size_t)n);
  if (q->held >= 0) hold(q, q->mat, g);
  dpi_sym_eig(q->mat, n, q->w, q->v);
  double d = 0;
  for (int a = 0; a < n; a++) {
    double s = 0;
    for (int b = 0; b < n; b++) s += q->v[b * n + a] * g[b];
    q->c[a] = s;
    /* a flat or falling direction counts with unit curvature (the prior's) */
    d += s * s / (q->w[a] > 1e-3 ? q->w[a] : 1.0);
  }
  q->decrement = sqrt(d);
}

static double step_length(const dpi_search *q, double lambda) {
  double s = 0;
  for (int a = 0; a < q->n; a++) {
    double t = q->c[a] / (q->w[a] + lambda);
    s += t * t;
  }
  return sqrt(s);
}

/* Shift of the spectrum that brings the step to a radius (More & Sorensen 1983), by bisection on a bracket. */
static double trust_shift(const dpi_search *q, double radius) {
  double low = q->w[0] > 0 ? 0 : -q->w[0] + 1e-10;
  if (q->w[0] > 1e-12 && step_length(q, 0) <= radius) return 0;
  double high = low + 1;
  if (!(high > low)) high = 2 * low; /* 1 is nothing beside it */
  while (step_length(q, high) > radius && high < 1e30) high = low + (high - low) * 4;
  if (step_length(q, low) <= radius) return low;
  for (int k = 0; k < 60 && high - low > 1e-6 * high; k++) {
    double mid = 0.5 * (low + high);
    if (step_length(q, mid) > radius)
      low = mid;
    else
      high = mid;
  }
  return high;
}

/* Step p within a radius, trial point xt, the predicted fall of l/2 and the step's length. */
static void propose(dpi_search *q, double radius) {
  int n = q->n;
  double lambda = trust_shift(q, radius);
  memset(q->p, 0, sizeof(double) * (size_t)n);
  q->fall = 0;
  q->length = 0;
  for (int a = 0; a < n; a++) {
    double t = -q->c[a] / (q->w[a] + lambda);
    q->fall -= q->c[a] * t + 0.5 * q->w[a] * t * t;
    q->length += t * t;
    for (int b = 0; b < n; b++) q->p[b] += q->v[b * n + a] * t;
  }
  q->length = sqrt(q->length);
  to_x(q->iv, q->p, q->tmp);
  for (int a = 0; a < n; a++) q->xt[a] = q->x[a] + q->tmp[a];
  if (q->held >= 0) q->xt[q->held] = q->x[q->held];
}

/* Rank-two update of S so that (F_new + S) p = v = g_new - g, with sizing, both of Dennis, Gay & Welsch. It asks only
 * for l to curve upwards along p; errors of the gradient over a short step do it less harm than one of rank one. */
static void update_remainder(dpi_search *q) {
  int n = q->n;
  double psp = 0, py = 0, vp = 0, vv = 0, pp = 0, rp = 0;
  double v[64], r[64], sp[64];
  for (int a = 0; a < n; a++) {
    v[a] = r[a] = q->gt[a] - q->g[a];
    sp[a] = 0;
    for (int b = 0; b < n; b++) {
      r[a] -= q->bt[a * n + b] * q->p[b];
      sp[a] += q->s[a * n + b] * q->p[b];
    }
    psp += q->p[a] * sp[a];
    py += q->p[a] * r[a];
    vp += v[a] * q->p[a];
    vv += v[a] * v[a];
    pp += q->p[a] * q->p[a];
  }
  double size = fabs(psp) > 0 ? fmin(1.0, fabs(py) / fabs(psp)) : 1.0;
  for (int k = 0; k < n * n; k++) q->s[k] *= size;
  for (int a = 0; a < n; a++) {
    r[a] -= size * sp[a];
    rp += r[a] * q->p[a];
  }
  if (!(vp > 1e-3 * sqrt(pp * vv))) return;
  for (int a = 0; a < n; a++)
    for (int b = 0; b < n; b++)
      q->s[a * n + b] += (r[a] * v[b] + v[a] * r[b]) / vp - rp * v[a] * v[b] / (vp * vp);
}

/* The trial becomes the present point. */
static void move(dpi_search *q) {
  double *t;
  t = q->x, q->x = q->xt, q->xt = t;
  t = q->g, q->g = q->gt, q->gt = t;
  t = q->b, q->b = q->bt, q->bt = t;
  q->l = q->pt.l;
}

/* Judge the trial that was evaluated; true when it was accepted. *quiet: the predicted fall is below the noise of l. */
static bool judge(dpi_search *q, bool ok, bool *quiet) {
  double noise = q->def.noise * (1 + fabs(q->l));
  *quiet = q->fall < noise;
  if (!ok) {
    q->radius = 0.25 * q->length;
    return false;
  }
  take_point(q);
  bool moved;
  double got = 0.5 * (q->l - q->pt.l), rho = got / q->fall;
  if (*quiet) {
    moved = got > -10 * noise;
    if (!moved) q->radius = 0.25 * q->length;
  } else {
    moved = rho > 1e-4;
    if (rho < 0.25)
      q->radius = 0.4 * q->length;
    else if (rho > 0.75 && q->length > 0.9 * q->radius)
      q->radius = fmin(2.5 * q->radius, MOST_RADIUS);
  }
  if (!moved) return false;
  update_remainder(q);
  move(q);
  decompose(q);
  return true;
}

/* S from a known Hessian of l/2 in x. */
static void remainder_from(dpi_search *q, const double *hess) {
  mat_to_u(q->iv, hess, q->s, q->mat);
  for (int k = 0; k < q->n * q->n; k++) q->s[k] -= q->b[k];
}

void dpi_search_begin(dpi_search *q, const dpi_mode_def *def, const double *x, const double *remainder) {
  size_t n = (size_t)q->n;
  q->mode = (dpi_mode){.l = INFINITY, .decrement = INFINITY};
  q->def = *def;
  q->stalled = 0;
  q->held = -1;
  q->first = q->open = true;
  memcpy(q->xt, x, n * sizeof(double));
  if (remainder)
    memmove(q->s, remainder, n * n * sizeof(double)); /* it may be this search's own */
  else
    memset(q->s, 0, n * n * sizeof(double));
}

void dpi_search_along(dpi_search *q, const dpi_mode_def *def, const double *x, int held) {
  dpi_search_begin(q, def, x, NULL);
  q->held = held;
}

/* Propose the next point, or come to the end. */
static void go_on(dpi_search *q) {
  dpi_mode *m = &q->mode;
  if (m->niter < q->def.max_iter && q->decrement > q->def.tolerance && q->radius > 1e-12 && q->stalled < 3) {
    q->before = q->decrement;
    m->niter++;
    propose(q, q->radius);
    return;
  }
  q->open = false;
  m->l = q->l;
  m->decrement = q->decrement;
  m->converged = q->decrement <= fmax(1e-4, q->def.tolerance);
}

void dpi_search_resume(dpi_search *q, const dpi_mode_def *def, const double *x, double l, const double *g, const double *b,
                       const double *s) {
  size_t n = (size_t)q->n;
  dpi_search_begin(q, def, x, s);
  q->first = false;
  q->mode.ok = true;
  memcpy(q->x, x, n * sizeof *x);
  memcpy(q->g, g, n * sizeof *g);
  memcpy(q->b, b, n * n * sizeof *b);
  q->l = l;
  q->radius = FIRST_RADIUS;
  decompose(q);
  go_on(q);
}

void dpi_search_told(dpi_search *q, bool ok) {
  if (q->first) {
    q->first = false;
    q->open = q->mode.ok = ok;
    if (!ok) return;
    take_point(q);
    move(q);
    if (q->def.hess) remainder_from(q, q->def.hess);
    q->radius = FIRST_RADIUS;
    decompose(q);
  } else {
    /* in the noise only a falling decrement is progress */
    bool quiet, moved = judge(q, ok, &quiet);
    q->stalled = quiet && (!moved || q->decrement > 0.5 * q->before) ? q->stalled + 1 : 0;
  }
  go_on(q);
}

/* x differences to u */
static void to_u(const dpi_indiv *iv, double *x) { dpi_tri_solve_lower(iv->chol, iv->nfree, x); }

bool dpi_search_drawn(const dpi_search *q, const double *x, const double *b, const double *s) {
  int n = q->n;
  double d[65], r[65], bd[65], m[64 * 64], size = 0, part = 0;
  for (int a = 0; a < n; a++) d[a] = q->x[a] - x[a];
  to_u(q->iv, d);
  for (int a = 0; a < n; a++) {
    bd[a] = 0;
    for (int c = 0; c < n; c++) {
      m[a * n + c] = b[a * n + c] + s[a * n + c];
      bd[a] += m[a * n + c] * d[c];
    }
    r[a] = q->g[a] - bd[a];
    size += d[a] * bd[a];
  }
  if (!(size >= 0 && size < DRAWN_FROM * DRAWN_FROM) || !dpi_chol(m, n)) return false;
  dpi_tri_solve_lower(m, n, r);
  for (int a = 0; a < n; a++) part += r[a] * r[a];
  return part <= DRAWN_PART * DRAWN_PART * size;
}

/* Lengths tried, over the radius. */
static const double probe_part[PROBES - 1] = {15.625, 6.25, 2.5, 1, 0.4, 0.16, 0.064};

/* The radius whose step has the lowest value; 0: none is lower than here. */
static dp_status best_radius(dpi_search *q, double *best) {
  double x[PROBES * 64], l[PROBES], radius[PROBES], length = INFINITY;
  size_t n = (size_t)q->n;
  int count = 1, low = 0;
  radius[0] = 0;
  memcpy(x, q->x, n * sizeof *x);
  for (int k = 0; k < PROBES - 1; k++) {
    radius[count] = fmin(MOST_RADIUS, q->radius * probe_part[k]);
    propose(q, radius[count]);
    if (q->length > 0.999 * length) continue; /* the same again */
    length = q->length;
    memcpy(x + (size_t)count++ * n, q->xt, n * sizeof *x);
  }
  DP_TRY(dpi_indiv_many(q->iv, x, count, l));
  if (!isfinite(l[0])) { /* the cheap sim fails here: it can't tell */
    *best = q->radius;
    return DP_OK;
  }
  for (int k = 1; k < count; k++)
    if (l[k] < l[low]) low = k;
  *best = radius[low];
  return DP_OK;
}

dp_status dpi_search_probe(dpi_search *q) {
  if (!q->open || q->first || q->held >= 0 || !q->iv->def.many || !(q->fall > PROBE_FALL)) return DP_OK;
  double best = 0;
  for (int k = 0; k < PROBE_AGAIN && !(best > 0); k++) {
    DP_TRY(best_radius(q, &best));
    q->radius = best > 0 ? best : 0.4 * probe_part[PROBES - 2] * q->radius;
  }
  propose(q, q->radius);
  return DP_OK;
}

dp_status dpi_search_run(dpi_search *q) {
  while (q->open) {
    bool ok = false;
    DP_TRY(dpi_search_probe(q));
    DP_TRY(dpi_indiv_eval(q->iv, q->xt, true, &q->pt, &ok));
    dpi_search_told(q, ok);
  }
  return DP_OK;
}

dp_status dpi_mode_find(dpi_indiv *iv, const dpi_mode_def *def, double *x, dpi_mode *mode) {
  dpi_arena arena;
  dpi_arena_init(&arena, iv->ctx);
  dpi_search q;
  dp_status st = dpi_search_create(&arena, iv, &q);
  if (st == DP_OK) {
    dpi_search_begin(&q, def, x, NULL);
    st = dpi_search_run(&q);
    *mode = q.mode;
    if (q.mode.ok) memcpy(x, q.x, sizeof(double) * (size_t)q.n);
  }
  dpi_arena_release(&arena);
  return st;
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
