/* kalman.c - floor 6, folder filter: exact filter and smoother of a linear Gaussian system with drifting sensors. */
#include "infer/filter/kalman.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LN_2PI 1.8378770664093454836

typedef struct walk {
  dpi_kalman *k;
  const dpi_problem *problem;
  dpi_linear full; /* states and drifts */
  int nz, ns;
  double *f, *d, *q, *work; /* one transition */
  double *step;             /* [ntime x nz x nz] transitions, for the smoother */
  double *row, *gain, *t, *u;
} walk;

/* a b, or a b' */
static void mul(const double *a, const double *b, bool turned, double *c, int n) {
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) {
      double s = 0;
      for (int k = 0; k < n; k++) s += a[i * n + k] * (turned ? b[j * n + k] : b[k * n + j]);
      c[i * n + j] = s;
    }
}

static void symmetric(double *p, int n) {
  for (int i = 0; i < n; i++)
    for (int j = 0; j < i; j++) p[i * n + j] = p[j * n + i] = 0.5 * (p[i * n + j] + p[j * n + i]);
}

/* The system with the drifts behind its states; a discrete system's drifts are taken over one time unit. */
static dp_status join(dpi_arena *arena, const dpi_linear *s, const dpi_problem *problem, dpi_linear *out) {
  int n = s->nstate, nd = problem->ndrift, nz = n + nd;
  *out = (dpi_linear){.nstate = nz, .noutput = s->noutput, .discrete = s->discrete};
  double **square[] = {&out->a, &out->q, &out->p0}, **line[] = {&out->b, &out->m0};
  for (int k = 0; k < 3; k++)
    if (!(*square[k] = DPI_ARENA_ARRAY(arena, double, (size_t)nz *(size_t)nz))) return DP_ERR_MEMORY;
  for (int k = 0; k < 2; k++)
    if (!(*line[k] = DPI_ARENA_ARRAY(arena, double, (size_t)nz))) return DP_ERR_MEMORY;
  out->c = s->c;
  for (int i = 0; i < n; i++) {
    for (int j = 0; j < n; j++) {
      out->a[i * nz + j] = s->a[i * n + j];
      out->q[i * nz + j] = s->q[i * n + j];
      out->p0[i * nz + j] = s->p0[i * n + j];
    }
    out->b[i] = s->b[i];
    out->m0[i] = s->m0[i];
  }
  for (int k = 0; k < nd; k++) {
    const dpi_drift *d = &problem->drift[k];
    int i = n + k;
    double var = d->rate > 0 ? -dpi_m_expm1(-2 * d->rate) / (2 * d->rate) : 1;
    out->a[i * nz + i] = s->discrete ? dpi_m_exp(-d->rate) : -d->rate;
    out->q[i * nz + i] = d->diffusion * d->diffusion * (s->discrete ? var : 1);
    out->m0[i] = d->mean;
    out->p0[i * nz + i] = d->sd * d->sd;
  }
  return DP_OK;
}

static dp_status check_reading(dp_ctx *ctx, const dpi_linear *s, const dpi_problem *p, const dpi_reading *r, int k) {
  double t = (double)r->time / DP_TICKS;
  if (r->sensor < 0 || r->sensor >= p->nsensor)
    return dpi_fail(ctx, DP_ERR_INPUT, "reading %d at %.9g: sensor %d, there are %d", k, t, r->sensor, p->nsensor);
  const dpi_sensor *m = &p->sensor[r->sensor];
  if (m->noise != DPI_SENSOR_NORMAL || m->scale_given || r->censored)
    return dpi_fail(ctx, DP_ERR_UNSUPPORTED,
                    "reading %d, sensor '%s' at %.9g: the exact filter knows normal noise of known size, not censored",
                    k, m->id ? m->id : "?", t);
  if (m->index < 0 || m->index >= (m->of_state ? s->nstate : s->noutput) ||
      (m->drifts && (m->drift < 0 || m->drift >= p->ndrift)))
    return dpi_fail(ctx, DP_ERR_INPUT, "sensor '%s': looks at what is not there", m->id ? m->id : "?");
  return DP_OK;
}

static int compare(const void *a, const void *b) {
  const dpi_reading *x = a, *y = b;
  if (x->time != y->time) return x->time < y->time ? -1 : 1;
  if (x->sensor != y->sensor) return x->sensor < y->sensor ? -1 : 1;
  return (x->y > y->y) - (x->y < y->y);
}

/* Scalar reading into mean and covariance. */
static void take(walk *w, const dpi_reading *r, double *mean, double *cov) {
  const dpi_sensor *s = &w->problem->sensor[r->sensor];
  int n = w->nz, at = w->k->nreading++;
  double var = s->scale * s->scale, v = var, expect = 0;
  memset(w->row, 0, (size_t)n * sizeof(double));
  if (s->of_state)
    w->row[s->index] = 1;
  else
    memcpy(w->row, w->full.c + (size_t)s->index * (size_t)w->ns, (size_t)w->ns * sizeof(double));
  if (s->drifts) w->row[w->ns + s->drift] += 1;
  for (int i = 0; i < n; i++) {
    w->gain[i] = 0;
    for (int j = 0; j < n; j++) w->gain[i] += cov[i * n + j] * w->row[j];
    expect += w->row[i] * mean[i];
  }
  for (int i = 0; i < n; i++) v += w->row[i] * w->gain[i];
  for (int i = 0; i < n; i++) w->gain[i] /= v;
  double d = r->y - expect;
  w->k->evidence -= 0.5 * (d * d / v + LN_2PI + dpi_m_log(v));
  w->k->expect[at] = expect;
  w->k->expect_sd[at] = sqrt(v);
  w->k->expect_y[at] = r->y;
  for (int i = 0; i < n; i++) mean[i] += w->gain[i] * d;
  /* (I - K h) P (I - K h)' + K r K' */
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) w->t[i * n + j] = (i == j) - w->gain[i] * w->row[j];
  mul(w->t, cov, false, w->u, n);
  mul(w->u, w->t, true, cov, n);
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) cov[i * n + j] += w->gain[i] * var * w->gain[j];
  symmetric(cov, n);
}

static void predict(walk *w, const double *mean, const double *cov, double *ahead, double *ahead_cov) {
  int n = w->nz;
  for (int i = 0; i < n; i++) {
    ahead[i] = w->d[i];
    for (int j = 0; j < n; j++) ahead[i] += w->f[i * n + j] * mean[j];
  }
  mul(w->f, cov, false, w->t, n);
  mul(w->t, w->f, true, ahead_cov, n);
  for (int i = 0; i < n * n; i++) ahead_cov[i] += w->q[i];
  symmetric(ahead_cov, n);
}

static void forward(walk *w, dp_time start, const dpi_reading *r, int n) {
  dpi_kalman *k = w->k;
  size_t nz = (size_t)w->nz, nn = nz * nz;
  const double *mean = w->full.m0, *cov = w->full.p0;
  dp_time time = start, step = -1;
  for (int i = 0, t = 0; i < n; t++) {
    double *am = k->ahead + (size_t)t * nz, *ac = k->ahead_cov + (size_t)t * nn;
    k->time[t] = r[i].time;
    if (r[i].time - time != step) {
      step = r[i].time - time;
      dpi_linear_step(&w->full, (double)step / (double)DP_TICKS, w->f, w->d, w->q, w->work);
    }
    memcpy(w->step + (size_t)t * nn, w->f, nn * sizeof(double));
    predict(w, mean, cov, am, ac);
    memcpy(k->mean + (size_t)t * nz, am, nz * sizeof(double));
    memcpy(k->cov + (size_t)t * nn, ac, nn * sizeof(double));
    mean = k->mean + (size_t)t * nz;
    cov = k->cov + (size_t)t * nn;
    for (; i < n && r[i].time == k->time[t]; i++) take(w, &r[i], k->mean + (size_t)t * nz, k->cov + (size_t)t * nn);
    time = k->time[t];
    k->ntime = t + 1;
  }
}

/* G = P(t) F' Pahead(t+1)^-1; smooth += G (smooth(t+1) - ahead(t+1)). False: a forecast without spread. */
static bool backward(walk *w) {
  dpi_kalman *k = w->k;
  int n = w->nz;
  size_t nz = (size_t)n, nn = nz * nz;
  memcpy(k->smooth, k->mean, (size_t)k->ntime * nz * sizeof(double));
  memcpy(k->smooth_cov, k->cov, (size_t)k->ntime * nn * sizeof(double));
  for (int t = k->ntime - 2; t >= 0; t--) {
    size_t m = (size_t)t, s = m + 1;
    mul(w->step + s * nn, k->cov + m * nn, false, w->t, n); /* F P, columns are those of (P F')' */
    memcpy(w->u, k->ahead_cov + s * nn, nn * sizeof(double));
    if (!dpi_chol(w->u, n)) return false;
    for (int j = 0; j < n; j++) {
      for (int i = 0; i < n; i++) w->row[i] = w->t[i * n + j];
      dpi_chol_solve(w->u, n, w->row);
      for (int i = 0; i < n; i++) w->q[j * n + i] = w->row[i];
    }
    for (int i = 0; i < n; i++)
      for (int j = 0; j < n; j++)
        k->smooth[m * nz + (size_t)i] +=
            w->q[i * n + j] * (k->smooth[s * nz + (size_t)j] - k->ahead[s * nz + (size_t)j]);
    for (size_t i = 0; i < nn; i++) w->u[i] = k->smooth_cov[s * nn + i] - k->ahead_cov[s * nn + i];
    mul(w->q, w->u, false, w->t, n);
    mul(w->t, w->q, true, w->u, n);
    for (size_t i = 0; i < nn; i++) k->smooth_cov[m * nn + i] += w->u[i];
    symmetric(k->smooth_cov + m * nn, n);
  }
  return true;
}

static dp_status make_room(walk *w, int n) {
  dpi_kalman *k = w->k;
  size_t nz = (size_t)w->nz, nn = nz * nz, many = (size_t)n + 1;
  double **line[] = {&k->ahead, &k->mean, &k->smooth};
  double **square[] = {&k->ahead_cov, &k->cov, &k->smooth_cov, &w->step};
  double **one[] = {&k->expect, &k->expect_sd, &k->expect_y};
  double **own[] = {&w->f, &w->q, &w->t, &w->u, &w->d, &w->row, &w->gain};
  bool ok = (k->time = DPI_ARENA_ARRAY(&k->arena, dp_time, many)) != NULL;
  for (int i = 0; i < 3; i++) ok = ok && (*line[i] = DPI_ARENA_ARRAY(&k->arena, double, many *nz)) != NULL;
  for (int i = 0; i < 4; i++) ok = ok && (*square[i] = DPI_ARENA_ARRAY(&k->arena, double, many *nn)) != NULL;
  for (int i = 0; i < 3; i++) ok = ok && (*one[i] = DPI_ARENA_ARRAY(&k->arena, double, many)) != NULL;
  for (int i = 0; i < 7; i++) ok = ok && (*own[i] = DPI_ARENA_ARRAY(&k->arena, double, nn)) != NULL;
  w->work = DPI_ARENA_ARRAY(&k->arena, double, dpi_linear_work(w->nz));
  return ok && w->work ? DP_OK : DP_ERR_MEMORY;
}

static dp_status run(dp_ctx *ctx, dpi_kalman *k, const dpi_linear_def *def, const dpi_problem *problem,
                     const double *param, const dpi_reading *reading, int n) {
  dpi_linear own;
  walk w = {.k = k, .problem = problem, .ns = def->system.nstate, .nz = def->system.nstate + problem->ndrift};
  k->nz = w.nz;
  DP_TRY(dpi_linear_at(&k->arena, def, param ? param : def->param_default, &own));
  DP_TRY(join(&k->arena, &own, problem, &w.full));
  DP_TRY(make_room(&w, n));
  dpi_reading *r = DPI_ARENA_ARRAY(&k->arena, dpi_reading, (size_t)n + 1);
  int m = 0;
  if (!r) return DP_ERR_MEMORY;
  for (int i = 0; i < n; i++) {
    DP_TRY(check_reading(ctx, &own, problem, &reading[i], i));
    if (reading[i].time < def->start)
      return dpi_fail(ctx, DP_ERR_INPUT, "reading %d: at %.9g, before the start at %.9g", i,
                      (double)reading[i].time / DP_TICKS, (double)def->start / DP_TICKS);
    if (!isnan(reading[i].y)) r[m++] = reading[i];
  }
  qsort(r, (size_t)m, sizeof *r, compare);
  forward(&w, def->start, r, m);
  if (!backward(&w)) return dpi_fail(ctx, DP_ERR_INPUT, "exact smoother: a forecast has no spread in some direction");
  return DP_OK;
}

dp_status dpi_kalman_run(dp_ctx *ctx, const dpi_linear_def *linear, const dpi_problem *problem, const double *param,
                         const dpi_reading *reading, int n, dpi_kalman **out) {
  *out = NULL;
  dpi_kalman *k = DPI_NEW(ctx, dpi_kalman);
  if (!k) return DP_ERR_MEMORY;
  dpi_arena_init(&k->arena, ctx);
  dp_status status = run(ctx, k, linear, problem, param, reading, n);
  if (status == DP_OK) {
    *out = k;
    return DP_OK;
  }
  dpi_kalman_destroy(k);
  return status;
}

void dpi_kalman_destroy(dpi_kalman *k) {
  if (!k) return;
  dp_ctx *ctx = k->arena.ctx;
  dpi_arena_release(&k->arena);
  dpi_free(ctx, k);
}
