/* enkf.c - floor 6, folder filter: ensemble Kalman analyses, one reading after the other.
 *
 * States and what all readings of this time would see stand side by side as columns of one ensemble; a reading's
 * gain is
 * the regression of each column on its own. With independent noise that equals taking all readings at once.
 *
 *     perturbed observations   G. Burgers, P. J. van Leeuwen, G. Evensen, Mon. Weather Rev. 126 (1998) 1719; the
 *                              perturbations of a reading are centred and scaled so that they add no bias
 *     square root              J. S. Whitaker, T. M. Hamill, Mon. Weather Rev. 130 (2002) 1913: the anomalies' gain is
 *                              1/(1 + sqrt(r/(c + r))) of the mean's, which gives Kalman's covariance exactly
 *     relaxation of spread     J. S. Whitaker, T. M. Hamill, Mon. Weather Rev. 140 (2012) 3078
 *
 * A reading that is not normal, or censored, is replaced by the normal one of the same first two moments under the
 * forecast (dpi_sensor_match).
 */
#include <math.h>
#include <string.h>

#include "infer/filter/filter_impl.h"

typedef struct analysis {
  const dpi_filter *f;
  int n, nz, ncol; /* members that are good; columns: nz, then one each reading */
  int *member;     /* [n] */
  double *col;     /* [ncol x n] */
  double *spread;  /* [nz] before */
  double *scale;   /* [nreading] mean of the members' */
  double *h;       /* [n] deviations of the reading under way */
  double *eps;     /* [n] */
} analysis;

static double mean_of(const double *x, int n) {
  double s = 0;
  for (int i = 0; i < n; i++) s += x[i];
  return s / n;
}

static double cov_of(const double *x, const double *y, double mx, double my, int n) {
  double s = 0;
  for (int i = 0; i < n; i++) s += (x[i] - mx) * (y[i] - my);
  return s / (n - 1);
}

/* On the sensor's scale with its bias; ln of a value that is too small or below zero as of a small part of the
 * reading. */
static double seen(const dpi_filter *f, const dpi_view *v, const dpi_sensor *s, const dpi_reading *r, int i) {
  double h = dpi_view_seen(f, v, s, i), bias = dpi_view_bias(f, v, s, i);
  if (!dpi_sensor_log(s)) return h + bias;
  return dpi_m_log(fmax(h, 1e-4 * r->y)) + bias;
}

static dp_status analysis_make(analysis *a, const dpi_filter *f, const dpi_view *v, const dpi_reading *r, int nr,
                               dpi_arena *arena) {
  *a = (analysis){.f = f, .nz = f->nz, .ncol = f->nz + nr};
  size_t n = (size_t)f->n;
  a->member = DPI_ARENA_ARRAY(arena, int, n);
  a->col = DPI_ARENA_ARRAY(arena, double, n *(size_t)a->ncol);
  a->spread = DPI_ARENA_ARRAY(arena, double, (size_t)a->nz + 1);
  a->scale = DPI_ARENA_ARRAY(arena, double, (size_t)nr + 1);
  a->h = DPI_ARENA_ARRAY(arena, double, n);
  a->eps = DPI_ARENA_ARRAY(arena, double, n);
  if (!a->member || !a->col || !a->spread || !a->scale || !a->h || !a->eps) return DP_ERR_MEMORY;
  for (int i = 0; i < f->n; i++) {
    bool good = v->good[i];
    for (int k = 0; k < nr && good; k++) {
      const dpi_sensor *s = &f->problem.sensor[r[k].sensor];
      good = isfinite(dpi_view_seen(f, v, s, i)) && dpi_view_scale(f, v, s, i) > 0;
    }
    if (good) a->member[a->n++] = i;
  }
  for (int i = 0; i < a->n; i++) {
    int m = a->member[i];
    for (int j = 0; j < a->nz; j++) a->col[j * a->n + i] = v->z[(size_t)m * (size_t)f->nz + (size_t)j];
    for (int k = 0; k < nr; k++) {
      const dpi_sensor *s = &f->problem.sensor[r[k].sensor];
      a->col[(a->nz + k) * a->n + i] = seen(f, v, s, &r[k], m);
      a->scale[k] += dpi_view_scale(f, v, s, m) / a->n;
    }
  }
  return DP_OK;
}

static void stretch(double *x, int n, double factor) {
  double m = mean_of(x, n);
  for (int i = 0; i < n; i++) x[i] = m + factor * (x[i] - m);
}

/* Perturbations of reading k, centred, with variance exactly r. */
static void perturb(analysis *a, const dpi_place *p, int k, double r) {
  double m, v;
  for (int i = 0; i < a->n; i++) {
    dpi_rng rng = dpi_place_rng(a->f, p, a->member[i], DPI_RNG_FILTER_PERTURB);
    rng.counter = (uint64_t)k;
    a->eps[i] = dpi_rng_normal(&rng);
  }
  m = mean_of(a->eps, a->n);
  v = cov_of(a->eps, a->eps, m, m, a->n);
  for (int i = 0; i < a->n; i++) a->eps[i] = v > 0 ? (a->eps[i] - m) * sqrt(r / v) : 0;
}

/* Take reading k into all columns. */
static void take(analysis *a, dpi_place *p, const dpi_reading *r, int k) {
  const dpi_filter *f = a->f;
  int n = a->n;
  double *own = a->col + (a->nz + k) * n;
  double m = mean_of(own, n), c = cov_of(own, own, m, m, n);
  dpi_matched g = dpi_sensor_match(&f->problem.sensor[r[k].sensor], &r[k], m, c, a->scale[k]);
  p->evidence += g.evidence;
  if (!(c > 0) || !isfinite(g.r) || !isfinite(g.y)) return;
  bool root = f->def.method == DPI_FILTER_ESRF;
  double s = c + g.r, alpha = 1 / (1 + sqrt(g.r / s));
  if (!root) perturb(a, p, k, g.r);
  for (int i = 0; i < n; i++) a->h[i] = own[i] - m;
  for (int j = 0; j < a->ncol; j++) {
    double *x = a->col + j * n, mx = mean_of(x, n);
    double gain = cov_of(x, a->h, mx, 0, n) / s;
    if (j < a->nz && f->taper) gain *= f->taper[r[k].sensor * f->nz + j];
    for (int i = 0; i < n; i++)
      x[i] += root ? gain * (g.y - m - alpha * a->h[i]) : gain * (g.y - m - a->h[i] + a->eps[i]);
  }
}

static double spread_of(const double *x, int n) {
  double m = mean_of(x, n);
  return sqrt(cov_of(x, x, m, m, n));
}

/* Back into the members; those that were not good keep what they have. */
static dp_status put_back(const analysis *a, dpi_place *p, dpi_view *v) {
  const dpi_filter *f = a->f;
  size_t nz = (size_t)f->nz, ns = (size_t)f->nstate, nd = (size_t)f->ndrift;
  double *x = DPI_NEW_ARRAY(f->ctx, double, f->n * f->nstate);
  if (!x) return DP_ERR_MEMORY;
  for (size_t i = 0; i < (size_t)f->n * ns; i++) x[i] = NAN;
  for (int i = 0; i < a->n; i++) {
    size_t m = (size_t)a->member[i];
    for (int j = 0; j < a->nz; j++) v->z[m * nz + (size_t)j] = a->col[j * a->n + i];
    memcpy(x + m * ns, v->z + m * nz, ns * sizeof(double));
    if (nd) memcpy(p->drift + m * nd, v->z + m * nz + ns, nd * sizeof(double));
  }
  dp_status status = f->problem.process->ops->set(p->swarm, x);
  dpi_free(f->ctx, x);
  return status;
}

static void weigh_good(const dpi_filter *f, const analysis *a, dpi_place *p) {
  for (int i = 0; i < f->n; i++) p->weight[i] = 0;
  for (int i = 0; i < a->n; i++) p->weight[a->member[i]] = 1.0 / a->n;
  p->ess_least = fmin(p->ess_least, a->n);
}

static dp_status analyse(const dpi_filter *f, dpi_place *p, const dpi_reading *r, int nr, dpi_arena *arena) {
  dpi_view v;
  analysis a;
  DP_TRY(dpi_view_make(f, p, r, nr, arena, &v));
  DP_TRY(analysis_make(&a, f, &v, r, nr, arena));
  if (a.n < 2) {
    if (!p->lost) p->lost_sensor = r[0].sensor, p->lost_time = p->time;
    p->lost = true;
    p->evidence = -INFINITY;
    return DP_OK;
  }
  weigh_good(f, &a, p);
  for (int j = 0; j < a.ncol && f->def.inflation > 1; j++) stretch(a.col + j * a.n, a.n, f->def.inflation);
  for (int j = 0; j < a.nz; j++) a.spread[j] = spread_of(a.col + j * a.n, a.n);
  for (int k = 0; k < nr; k++) take(&a, p, r, k);
  for (int j = 0; j < a.nz && f->def.relax > 0; j++) {
    double now = spread_of(a.col + j * a.n, a.n);
    if (now > 0) stretch(a.col + j * a.n, a.n, 1 + f->def.relax * (a.spread[j] / now - 1));
  }
  return put_back(&a, p, &v);
}

dp_status dpi_kalman_step(const dpi_filter *f, dpi_place *p, const dpi_reading *r, int n) {
  DP_TRY(dpi_place_advance(f, p, r->time));
  dpi_arena arena;
  dpi_arena_init(&arena, f->ctx);
  dp_status status = analyse(f, p, r, n, &arena);
  dpi_arena_release(&arena);
  return status;
}
