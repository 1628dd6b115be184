/* smoother.c - floor 6, folder filter: iterated ensemble smoother. Parameters and predictions of all readings are
 * columns of
 * one ensemble; readings enter one by one (as in enkf.c) with their variance times the number of rounds. */
#include "infer/filter/smoother.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "infer/filter/filter_impl.h"
#include "infer/filter/statics_impl.h"

typedef struct smoother {
  const dpi_problem *problem;
  dpi_statics s; /* its prior and parameters only */
  dpi_reading *reading;
  int n, dim, nread, ngood;
  double *col; /* [(dim + nread) x n], good members first in `member` */
  double *param, *dev;
  int *member;
  uint8_t *good;
} smoother;

/* On the scale on which the reading's noise is normal. */
static double scaled(const dpi_sensor *s, double v) {
  if (s->noise == DPI_SENSOR_NORMAL) return v;
  return v > 0 ? dpi_m_log(v) : NAN;
}

/* Predictions of all readings by all members into the columns behind the parameters. */
static dp_status predict(smoother *m, dpi_filter *f) {
  for (int k = 0; k < m->nread;) {
    const dpi_reading *r = m->reading + k;
    int n = 1;
    while (k + n < m->nread && r[n].time == r->time) n++;
    dpi_view v;
    dpi_arena arena;
    dpi_arena_init(&arena, f->ctx);
    dp_status status = dpi_place_advance(f, f->now, r->time);
    if (status == DP_OK) status = dpi_view_make(f, f->now, r, n, &arena, &v);
    for (int j = 0; j < n && status == DP_OK; j++)
      for (int i = 0; i < m->n; i++) {
        const dpi_sensor *s = &m->problem->sensor[r[j].sensor];
        double h = scaled(s, dpi_view_seen(f, &v, s, i));
        m->col[(size_t)(m->dim + k + j) * (size_t)m->n + (size_t)i] = h;
        if (!isfinite(h)) m->good[i] = 0;
      }
    dpi_arena_release(&arena);
    DP_TRY(status);
    k += n;
  }
  return DP_OK;
}

static dp_status simulate(smoother *m, const double *x) {
  size_t np = (size_t)m->problem->process->nparam;
  dpi_filter_def def = dpi_filter_def_default();
  dpi_filter *f;
  for (int i = 0; i < m->n; i++) {
    m->good[i] = 1;
    dpi_statics_param(&m->s, x + (size_t)i * (size_t)m->dim, m->param + (size_t)i * np);
  }
  def.method = DPI_FILTER_BOOTSTRAP;
  def.n = m->n;
  def.param = m->param;
  def.ncheckpoint = 0;
  DP_TRY(dpi_filter_create(m->problem, &def, &f));
  dp_status status = predict(m, f);
  dpi_filter_destroy(f);
  return status;
}

static double mean_good(const smoother *m, const double *c) {
  double s = 0;
  for (int i = 0; i < m->ngood; i++) s += c[m->member[i]];
  return s / m->ngood;
}

/* Square root update of all columns by reading k with variance r. */
static void take(smoother *m, int k, double r) {
  double *own = m->col + (size_t)(m->dim + k) * (size_t)m->n, c = 0, mean = mean_good(m, own);
  const dpi_sensor *s = &m->problem->sensor[m->reading[k].sensor];
  for (int i = 0; i < m->ngood; i++) {
    m->dev[i] = own[m->member[i]] - mean;
    c += m->dev[i] * m->dev[i] / (m->ngood - 1);
  }
  double d = scaled(s, m->reading[k].y) - mean, alpha = 1 / (1 + sqrt(r / (c + r)));
  for (int j = 0; j < m->dim + m->nread; j++) {
    double *x = m->col + (size_t)j * (size_t)m->n, cov = 0, mx = mean_good(m, x);
    for (int i = 0; i < m->ngood; i++) cov += (x[m->member[i]] - mx) * m->dev[i] / (m->ngood - 1);
    double gain = cov / (c + r);
    for (int i = 0; i < m->ngood; i++) x[m->member[i]] += gain * (d - alpha * m->dev[i]);
  }
}

static dp_status one_round(smoother *m, double *x, int niter) {
  DP_TRY(simulate(m, x));
  m->ngood = 0;
  for (int i = 0; i < m->n; i++)
    if (m->good[i]) m->member[m->ngood++] = i;
  if (m->ngood < 2) return DP_OK;
  for (int i = 0; i < m->n; i++)
    for (int j = 0; j < m->dim; j++)
      m->col[(size_t)j * (size_t)m->n + (size_t)i] = x[(size_t)i * (size_t)m->dim + (size_t)j];
  for (int k = 0; k < m->nread; k++) {
    double sd = m->problem->sensor[m->reading[k].sensor].scale;
    take(m, k, niter * sd * sd);
  }
  for (int i = 0; i < m->ngood; i++)
    for (int j = 0; j < m->dim; j++)
      x[(size_t)m->member[i] * (size_t)m->dim + (size_t)j] = m->col[(size_t)j * (size_t)m->n + (size_t)m->member[i]];
  return DP_OK;
}

static dp_status check(const dpi_problem *p, int n, int niter, const dpi_reading *r, int nr) {
  dp_ctx *ctx = p->process->ctx;
  if (n < 2 || niter < 1)
    return dpi_fail(ctx, DP_ERR_INPUT, "ensemble smoother: %d members (2 or more), %d rounds (1 or more)", n, niter);
  if (p->process->stochastic || p->noise || p->ndrift)
    return dpi_fail(ctx, DP_ERR_UNSUPPORTED, "ensemble smoother: the process has noise or a sensor drifts");
  for (int k = 0; k < nr; k++) {
    DP_TRY(dpi_reading_check(p, &r[k], k));
    const dpi_sensor *s = &p->sensor[r[k].sensor];
    if (r[k].censored || s->scale_given || (s->noise != DPI_SENSOR_NORMAL && s->noise != DPI_SENSOR_LOGNORMAL))
      return dpi_fail(
          ctx, DP_ERR_UNSUPPORTED,
          "ensemble smoother: reading %d of sensor '%s' is censored, or its noise not normal or log-normal of "
          "known size",
          k, s->id ? s->id : "?");
  }
  return DP_OK;
}

static dp_status make_room(smoother *m, dpi_arena *a, const dpi_reading *r, int nr) {
  size_t n = (size_t)m->n;
  int cap = 0;
  for (int k = 0; k < nr; k++)
    if (!isnan(r[k].y)) DP_TRY(dpi_reading_insert(a->ctx, &m->reading, &m->nread, &cap, &r[k]));
  m->col = DPI_ARENA_ARRAY(a, double, n *(size_t)(m->dim + m->nread + 1));
  m->param = DPI_ARENA_ARRAY(a, double, n *(size_t)m->problem->process->nparam + 1);
  m->dev = DPI_ARENA_ARRAY(a, double, n);
  m->member = DPI_ARENA_ARRAY(a, int, n);
  m->good = DPI_ARENA_ARRAY(a, uint8_t, n);
  m->s.weight = DPI_ARENA_ARRAY(a, double, n);
  m->s.logprior = DPI_ARENA_ARRAY(a, double, n);
  return m->col && m->param && m->dev && m->member && m->good && m->s.weight && m->s.logprior ? DP_OK : DP_ERR_MEMORY;
}

static void judge(const smoother *m, dpi_smoother_report *r) {
  r->nfailed = m->n - m->ngood;
  r->usable = m->ngood > m->dim + 1 && 2 * m->ngood > m->n;
  for (int k = 0; k < m->nread && m->ngood > 0; k++) {
    const dpi_sensor *s = &m->problem->sensor[m->reading[k].sensor];
    double z = (scaled(s, m->reading[k].y) - mean_good(m, m->col + (size_t)(m->dim + k) * (size_t)m->n)) / s->scale;
    r->misfit += z * z / m->nread;
  }
  snprintf(r->verdict, sizeof r->verdict,
           r->usable ? "in order; %d of %d members failed" : "unfit: %d of %d members failed", r->nfailed, m->n);
}

dp_status dpi_smoother_run(const dpi_problem *problem, const dpi_static_prior *prior, uint64_t seed, int n, int niter,
                           const dpi_reading *reading, int nreading, double *x, dpi_smoother_report *report) {
  dpi_arena arena;
  smoother m = {.problem = problem, .n = n, .dim = prior->n};
  *report = (dpi_smoother_report){0};
  DP_TRY(check(problem, n, niter, reading, nreading));
  m.s = (dpi_statics){.problem = *problem,
                      .prior = *prior,
                      .def = {.seed = seed},
                      .ctx = problem->process->ctx,
                      .n = n,
                      .dim = prior->n,
                      .x = x};
  dpi_arena_init(&arena, problem->process->ctx);
  dp_status status = make_room(&m, &arena, reading, nreading);
  if (status == DP_OK) status = dpi_statics_draw_prior(&m.s);
  for (int k = 0; k < niter && status == DP_OK; k++) status = one_round(&m, x, niter);
  if (status == DP_OK) status = simulate(&m, x);
  if (status == DP_OK) judge(&m, report);
  dpi_free(problem->process->ctx, m.reading);
  dpi_arena_release(&arena);
  return status;
}
