/* filter.c - floor 6, folder filter: readings in any order, places to go back to, what is thought now.
 *
 * Readings stand in one sorted list. `now` is the ensemble after the first `ntaken` of them; copies of it are kept
 * behind.
 * A reading that belongs before `now` sends it back to the newest copy that lies before that reading, and the list is
 * taken from there again. A forecast is a copy that goes ahead and is dropped at the next reading, so that forecasts
 * never change what readings do.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "infer/filter/filter_impl.h"

dpi_filter_def dpi_filter_def_default(void) {
  return (dpi_filter_def){
      .method = DPI_FILTER_ESRF, .n = 100, .inflation = 1, .ess = 0.5, .nlook = 1, .ncheckpoint = 8, .every = 1};
}

/* ---- create ---- */

static dp_status check_sensor(const dpi_problem *p, int k) {
  const dpi_sensor *s = &p->sensor[k];
  dp_ctx *ctx = p->process->ctx;
  int most = s->of_state ? p->process->nstate : p->process->noutput;
  const char *id = s->id ? s->id : "?";
  if (s->index < 0 || s->index >= most)
    return dpi_fail(ctx, DP_ERR_INPUT, "sensor '%s': looks at %s %d, there are %d", id,
                    s->of_state ? "state" : "output", s->index, most);
  if (s->scale_given && (s->scale_output < 0 || s->scale_output >= p->process->noutput))
    return dpi_fail(ctx, DP_ERR_INPUT, "sensor '%s': its scale is output %d, there are %d", id, s->scale_output,
                    p->process->noutput);
  if (!s->scale_given && (!(s->scale > 0) || !isfinite(s->scale)))
    return dpi_fail(ctx, DP_ERR_INPUT, "sensor '%s': scale of noise %g, expected a number above 0", id, s->scale);
  if (s->noise == DPI_SENSOR_STUDENT && !(s->dof > 0))
    return dpi_fail(ctx, DP_ERR_INPUT, "sensor '%s': %g degrees of freedom, expected more than 0", id, s->dof);
  if (s->drifts && (s->drift < 0 || s->drift >= p->ndrift))
    return dpi_fail(ctx, DP_ERR_INPUT, "sensor '%s': bias is drift %d, there are %d", id, s->drift, p->ndrift);
  return DP_OK;
}

static dp_status check_drift(const dpi_problem *p, int k) {
  const dpi_drift *d = &p->drift[k];
  if (isfinite(d->mean) && d->sd >= 0 && d->rate >= 0 && d->diffusion >= 0 && isfinite(d->sd + d->rate + d->diffusion))
    return DP_OK;
  return dpi_fail(p->process->ctx, DP_ERR_INPUT, "drift %d: mean %g, sd %g, rate %g, diffusion %g; none below 0", k,
                  d->mean, d->sd, d->rate, d->diffusion);
}

static dp_status check_weights(dp_ctx *ctx, const double *w, int n) {
  double sum = 0;
  for (int i = 0; w && i < n; i++) {
    if (!(w[i] >= 0) || !isfinite(w[i]))
      return dpi_fail(ctx, DP_ERR_INPUT, "filter: weight of member %d is %g, expected a number from 0 on", i, w[i]);
    sum += w[i];
  }
  if (w && !(sum > 0)) return dpi_fail(ctx, DP_ERR_INPUT, "filter: all weights are 0");
  return DP_OK;
}

static dp_status check_def(const dpi_problem *p, const dpi_filter_def *def) {
  dp_ctx *ctx = p->process->ctx;
  bool kalman = def->method == DPI_FILTER_ENKF || def->method == DPI_FILTER_ESRF;
  if (def->n < 2) return dpi_fail(ctx, DP_ERR_INPUT, "filter: %d members, expected 2 or more", def->n);
  if (!(def->inflation >= 1) || !(def->relax >= 0 && def->relax <= 1) || !(def->ess >= 0 && def->ess <= 1))
    return dpi_fail(ctx, DP_ERR_INPUT, "filter: inflation %g (1 or more), relaxation %g and ess %g (0 to 1)",
                    def->inflation, def->relax, def->ess);
  if (def->ncheckpoint < 0 || def->every < 1 || def->nlook < 1)
    return dpi_fail(ctx, DP_ERR_INPUT, "filter: %d checkpoints (0 or more), every %d times, %d copies (1 or more)",
                    def->ncheckpoint, def->every, def->nlook);
  if (!p->process->edit && (kalman || p->noise))
    return dpi_fail(ctx, DP_ERR_UNSUPPORTED, "filter: states of this process can't be changed: particles only");
  for (int k = 0; p->noise && p->process->discrete && p->process->output_first && k < p->nsensor; k++)
    if (!p->sensor[k].of_state)
      return dpi_fail(ctx, DP_ERR_UNSUPPORTED,
                      "sensor '%s': outputs of a model that goes in steps do not know of noise that is added to its states",
                      p->sensor[k].id ? p->sensor[k].id : "?");
  for (int j = 0; p->noise && j < p->process->nstate; j++)
    if (!(p->noise[j] >= 0) || !isfinite(p->noise[j]))
      return dpi_fail(ctx, DP_ERR_INPUT, "filter: noise of state %d is %g, expected 0 or more", j, p->noise[j]);
  for (int k = 0; k < p->nsensor; k++) DP_TRY(check_sensor(p, k));
  for (int k = 0; k < p->ndrift; k++) DP_TRY(check_drift(p, k));
  return check_weights(ctx, def->weight, def->n);
}

static dp_status copy_numbers(dp_ctx *ctx, const double *from, size_t n, double **to) {
  *to = NULL;
  if (!from) return DP_OK;
  *to = DPI_NEW_ARRAY(ctx, double, n);
  if (!*to) return DP_ERR_MEMORY;
  if (n) memcpy(*to, from, n * sizeof(double));
  return DP_OK;
}

/* Everything but places and readings. */
static dp_status filter_init(dpi_filter *f, const dpi_problem *problem, const dpi_filter_def *def) {
  size_t n = (size_t)def->n, np = (size_t)problem->process->nparam;
  f->problem = *problem;
  f->def = *def;
  f->n = def->n;
  f->nstate = problem->process->nstate;
  f->ndrift = problem->ndrift;
  f->nz = f->nstate + f->ndrift;
  f->noutput = problem->process->noutput;
  const double *param = def->param ? def->param : def->param_one;
  DP_TRY(copy_numbers(f->ctx, param, def->param ? n * np : np, &f->param));
  DP_TRY(copy_numbers(f->ctx, def->weight, n, &f->start_weight));
  DP_TRY(copy_numbers(f->ctx, def->taper, (size_t)problem->nsensor * (size_t)f->nz, &f->taper));
  double sum = 0;
  for (int i = 0; f->start_weight && i < f->n; i++) sum += f->start_weight[i];
  for (int i = 0; f->start_weight && i < f->n; i++) f->start_weight[i] /= sum;
  f->kept = DPI_NEW_ARRAY(f->ctx, dpi_place *, def->ncheckpoint + 1);
  return f->kept ? DP_OK : DP_ERR_MEMORY;
}

dp_status dpi_filter_create(const dpi_problem *problem, const dpi_filter_def *def, dpi_filter **out) {
  *out = NULL;
  DP_TRY(check_def(problem, def));
  dpi_filter *f = DPI_NEW(problem->process->ctx, dpi_filter);
  if (!f) return DP_ERR_MEMORY;
  f->ctx = problem->process->ctx;
  dp_status status = filter_init(f, problem, def);
  if (status == DP_OK) status = dpi_place_open(f, &f->now);
  if (status == DP_OK) {
    *out = f;
    return DP_OK;
  }
  dpi_filter_destroy(f);
  return status;
}

static void drop_kept(dpi_filter *f, int from) {
  for (int k = from; k < f->nkept; k++) dpi_place_close(f, f->kept[k]);
  if (f->nkept > from) f->nkept = from;
}

void dpi_filter_destroy(dpi_filter *f) {
  if (!f) return;
  drop_kept(f, 0);
  dpi_place_close(f, f->ahead);
  dpi_place_close(f, f->now);
  dpi_free(f->ctx, f->kept);
  dpi_free(f->ctx, f->reading);
  dpi_free(f->ctx, f->param);
  dpi_free(f->ctx, f->start_weight);
  dpi_free(f->ctx, f->taper);
  dpi_free(f->ctx, f);
}

/* ---- readings ---- */

dp_status dpi_reading_check(const dpi_problem *p, const dpi_reading *r, int k) {
  dp_ctx *ctx = p->process->ctx;
  double t = (double)r->time / DP_TICKS;
  if (r->sensor < 0 || r->sensor >= p->nsensor)
    return dpi_fail(ctx, DP_ERR_INPUT, "reading %d at %.9g: sensor %d, there are %d", k, t, r->sensor, p->nsensor);
  const char *id = p->sensor[r->sensor].id ? p->sensor[r->sensor].id : "?";
  if (r->time < p->process->start)
    return dpi_fail(ctx, DP_ERR_INPUT, "reading %d, sensor '%s': at %.9g, before the start at %.9g", k, id, t,
                    (double)p->process->start / DP_TICKS);
  if (isinf(r->y) || r->censored < -1 || r->censored > 1)
    return dpi_fail(ctx, DP_ERR_INPUT, "reading %d, sensor '%s' at %.9g: value %g, censored %d (-1, 0 or 1)", k, id, t,
                    r->y, r->censored);
  if (dpi_sensor_log(&p->sensor[r->sensor]) && r->y <= 0)
    return dpi_fail(ctx, DP_ERR_INPUT,
                    "reading %d, sensor '%s' at %.9g: value %g under noise of its logarithm, expected more than 0", k,
                    id, t, r->y);
  return DP_OK;
}

static int order_of(const dpi_reading *a, const dpi_reading *b) {
  if (a->time != b->time) return a->time < b->time ? -1 : 1;
  if (a->sensor != b->sensor) return a->sensor < b->sensor ? -1 : 1;
  if (a->censored != b->censored) return a->censored < b->censored ? -1 : 1;
  return (a->y > b->y) - (a->y < b->y);
}

dp_status dpi_reading_insert(dp_ctx *ctx, dpi_reading **list, int *n, int *cap, const dpi_reading *r) {
  DP_TRY(dpi_grow(ctx, (void **)list, cap, *n + 1, sizeof *r));
  dpi_reading *a = *list;
  int k = (*n)++;
  for (; k > 0 && order_of(r, &a[k - 1]) < 0; k--) a[k] = a[k - 1];
  a[k] = *r;
  return DP_OK;
}

/* `now` := the newest copy before t, or the start. */
static dp_status go_back(dpi_filter *f, dp_time t) {
  int k = f->nkept;
  while (k > 0 && f->kept[k - 1]->time >= t) k--;
  drop_kept(f, k);
  dpi_place *p = NULL;
  if (k > 0)
    DP_TRY(dpi_place_fork(f, f->kept[k - 1], &p));
  else
    DP_TRY(dpi_place_open(f, &p));
  dpi_place_close(f, f->now);
  f->now = p;
  f->since = 0;
  f->nrestart++;
  return DP_OK;
}

/* A copy to come back to; the oldest one goes when there are too many. */
static dp_status keep(dpi_filter *f) {
  if (!f->def.ncheckpoint || ++f->since < f->def.every) return DP_OK;
  f->since = 0;
  if (f->nkept == f->def.ncheckpoint) {
    dpi_place_close(f, f->kept[0]);
    memmove(f->kept, f->kept + 1, (size_t)(--f->nkept) * sizeof *f->kept);
  }
  DP_TRY(dpi_place_fork(f, f->now, &f->kept[f->nkept]));
  f->nkept++;
  return DP_OK;
}

/* All readings of the next time. */
static dp_status step(dpi_filter *f) {
  const dpi_reading *r = f->reading + f->now->ntaken;
  int n = 1;
  while (f->now->ntaken + n < f->nreading && r[n].time == r->time) n++;
  if (dp_ctx_cancelled(f->ctx)) return dpi_fail(f->ctx, DP_ERR_CANCELLED, "filter: stopped on request");
  bool kalman = f->def.method == DPI_FILTER_ENKF || f->def.method == DPI_FILTER_ESRF;
  DP_TRY(kalman ? dpi_kalman_step(f, f->now, r, n) : dpi_particle_step(f, f->now, r, n));
  f->now->ntaken += n;
  return keep(f);
}

dp_status dpi_filter_read(dpi_filter *f, const dpi_reading *reading, int n) {
  dp_time first = DP_TIME_MAX, reached = f->now->ntaken ? f->now->time : f->problem.process->start - 1;
  for (int k = 0; k < n; k++) DP_TRY(dpi_reading_check(&f->problem, &reading[k], k));
  for (int k = 0; k < n; k++) {
    if (isnan(reading[k].y)) {
      f->nmissing++;
      continue;
    }
    DP_TRY(dpi_reading_insert(f->ctx, &f->reading, &f->nreading, &f->cap_reading, &reading[k]));
    if (reading[k].time < first) first = reading[k].time;
    if (reading[k].time <= reached) f->nlate++;
  }
  if (first == DP_TIME_MAX) return DP_OK;
  dpi_place_close(f, f->ahead);
  f->ahead = NULL;
  if (first <= reached) DP_TRY(go_back(f, first));
  while (f->now->ntaken < f->nreading) DP_TRY(step(f));
  return DP_OK;
}

/* ---- what is thought now ---- */

static const dpi_place *present(const dpi_filter *f) { return f->ahead ? f->ahead : f->now; }

dp_status dpi_filter_advance(dpi_filter *f, dp_time to) {
  const dpi_place *p = present(f);
  if (to < p->time)
    return dpi_fail(f->ctx, DP_ERR_USAGE, "filter: asked to go to %.9g, but it is at %.9g", (double)to / DP_TICKS,
                    (double)p->time / DP_TICKS);
  if (!f->ahead) DP_TRY(dpi_place_fork(f, f->now, &f->ahead));
  return dpi_place_advance(f, f->ahead, to);
}

static dp_status fork_rest(const dpi_filter *f, dpi_filter *g) {
  DP_TRY(dpi_grow(g->ctx, (void **)&g->reading, &g->cap_reading, f->nreading + 1, sizeof *g->reading));
  if (f->nreading) memcpy(g->reading, f->reading, (size_t)f->nreading * sizeof *g->reading);
  g->nreading = f->nreading;
  g->nmissing = f->nmissing;
  g->nlate = f->nlate;
  g->nrestart = f->nrestart;
  g->since = f->since;
  DP_TRY(dpi_place_fork(g, f->now, &g->now));
  if (f->ahead) DP_TRY(dpi_place_fork(g, f->ahead, &g->ahead));
  for (; g->nkept < f->nkept; g->nkept++) DP_TRY(dpi_place_fork(g, f->kept[g->nkept], &g->kept[g->nkept]));
  return DP_OK;
}

dp_status dpi_filter_fork(const dpi_filter *f, dpi_filter **out) {
  *out = NULL;
  dpi_filter *g = DPI_NEW(f->ctx, dpi_filter);
  if (!g) return DP_ERR_MEMORY;
  g->ctx = f->ctx;
  dpi_filter_def def = f->def;
  def.param = f->def.param ? f->param : NULL;
  def.param_one = f->def.param ? NULL : f->param;
  def.weight = f->start_weight;
  def.taper = f->taper;
  dp_status status = filter_init(g, &f->problem, &def);
  if (status == DP_OK) status = fork_rest(f, g);
  if (status == DP_OK) {
    *out = g;
    return DP_OK;
  }
  dpi_filter_destroy(g);
  return status;
}

dp_status dpi_filter_fork_as(const dpi_filter *f, uint64_t seed, dpi_filter **out) {
  dpi_filter *g;
  dpi_swarm *swarm = NULL;
  *out = NULL;
  DP_TRY(dpi_filter_fork(f, &g));
  const dpi_process_ops *ops = g->problem.process->ops;
  int *index = DPI_NEW_ARRAY(g->ctx, int, g->n);
  dp_status status = index ? DP_OK : DP_ERR_MEMORY;
  g->def.seed = seed;
  for (int i = 0; i < g->n && index; i++) {
    index[i] = i;
    g->now->stream[i] = dpi_rng_at(seed, (uint64_t)i, DPI_RNG_FILTER_STREAM, (uint64_t)g->now->time);
  }
  if (status == DP_OK) status = ops->fork(g->now->swarm, index, g->n, g->now->stream, &swarm);
  dpi_free(g->ctx, index);
  if (status != DP_OK) {
    dpi_filter_destroy(g);
    return status;
  }
  ops->close(g->now->swarm);
  g->now->swarm = swarm;
  *out = g;
  return DP_OK;
}

int dpi_filter_nstate(const dpi_filter *f) { return f->nz; }

/* Weights with those of failed members taken away. */
static void good_weights(const dpi_filter *f, const dpi_place *p, const dpi_view *v, double *weight) {
  double sum = 0;
  for (int i = 0; i < f->n; i++) sum += v->good[i] ? p->weight[i] : 0;
  for (int i = 0; i < f->n; i++) weight[i] = v->good[i] && sum > 0 ? p->weight[i] / sum : 0;
}

dp_status dpi_filter_members(const dpi_filter *f, double *z, double *weight) {
  dpi_place *p = f->ahead ? f->ahead : f->now;
  dpi_view v;
  dpi_arena arena;
  dpi_arena_init(&arena, f->ctx);
  dp_status status = dpi_view_make(f, p, NULL, 0, &arena, &v);
  if (status == DP_OK && z) memcpy(z, v.z, (size_t)f->n * (size_t)f->nz * sizeof(double));
  if (status == DP_OK && weight) good_weights(f, p, &v, weight);
  dpi_arena_release(&arena);
  return status;
}

void dpi_filter_params(const dpi_filter *f, double *param) {
  const dpi_place *p = present(f);
  size_t np = (size_t)f->problem.process->nparam;
  for (int i = 0; i < f->n && np; i++) {
    const double *from = f->param ? f->param : f->problem.process->param_default;
    if (f->def.param) from = f->param + (size_t)p->origin[i] * np;
    memcpy(param + (size_t)i * np, from, np * sizeof(double));
  }
}

static void covariance(const dpi_filter *f, const double *z, const double *w, const double *mean, double *cov) {
  int nz = f->nz;
  double rest = 1;
  for (int i = 0; i < f->n; i++) rest -= w[i] * w[i];
  for (int a = 0; a < nz; a++)
    for (int b = 0; b <= a; b++) {
      double s = 0;
      for (int i = 0; i < f->n; i++)
        if (w[i] > 0) s += w[i] * (z[(size_t)i * nz + a] - mean[a]) * (z[(size_t)i * nz + b] - mean[b]);
      cov[a * nz + b] = cov[b * nz + a] = rest > 0 ? s / rest : 0;
    }
}

dp_status dpi_filter_moments(const dpi_filter *f, double *mean, double *cov) {
  double *z = DPI_NEW_ARRAY(f->ctx, double, f->n * f->nz + 1), *w = DPI_NEW_ARRAY(f->ctx, double, f->n);
  dp_status status = z && w ? dpi_filter_members(f, z, w) : DP_ERR_MEMORY;
  for (int j = 0; j < f->nz && status == DP_OK; j++) {
    mean[j] = 0;
    for (int i = 0; i < f->n; i++)
      if (w[i] > 0) mean[j] += w[i] * z[(size_t)i * (size_t)f->nz + (size_t)j];
  }
  if (status == DP_OK && cov) covariance(f, z, w, mean, cov);
  dpi_free(f->ctx, z);
  dpi_free(f->ctx, w);
  return status;
}

dp_status dpi_filter_predict(const dpi_filter *f, int sensor, double *h) { return dpi_filter_seen(f, sensor, h, NULL); }

dp_status dpi_filter_seen(const dpi_filter *f, int sensor, double *h, double *scale) {
  dpi_place *p = f->ahead ? f->ahead : f->now;
  if (sensor < 0 || sensor >= f->problem.nsensor)
    return dpi_fail(f->ctx, DP_ERR_INPUT, "filter: sensor %d, there are %d", sensor, f->problem.nsensor);
  const dpi_sensor *s = &f->problem.sensor[sensor];
  dpi_reading r = {.time = p->time, .sensor = sensor};
  dpi_view v;
  dpi_arena arena;
  dpi_arena_init(&arena, f->ctx);
  dp_status status = p->reached ? DP_OK : dpi_place_advance(f, p, p->time);
  if (status == DP_OK) status = dpi_view_make(f, p, &r, 1, &arena, &v);
  for (int i = 0; i < f->n && status == DP_OK; i++) {
    double bias = dpi_view_bias(f, &v, s, i);
    h[i] = dpi_view_seen(f, &v, s, i);
    h[i] = dpi_sensor_log(s) ? h[i] * dpi_m_exp(bias) : h[i] + bias;
    if (scale) scale[i] = dpi_view_scale(f, &v, s, i);
  }
  dpi_arena_release(&arena);
  return status;
}

/* ---- the verdict ---- */

static void words(dpi_filter_report *r, bool bad, const char *text) {
  size_t at = strlen(r->verdict);
  snprintf(r->verdict + at, sizeof r->verdict - at, "%s%s", at ? "; " : "", text);
  if (bad) r->usable = 0;
}

/* Do resampled particles get apart again? */
static bool moves(const dpi_filter *f) {
  bool any = f->problem.process->stochastic;
  for (int j = 0; f->problem.noise && j < f->nstate; j++) any = any || f->problem.noise[j] > 0;
  return any;
}

static void judge_particles(const dpi_filter *f, const dpi_place *p, dpi_filter_report *r) {
  double least = fmax(10, 0.01 * f->n);
  char text[120];
  if (r->ess_least < least) {
    snprintf(text, sizeof text, "only %.3g of %d particles were effective at one time, %.3g are wanted", r->ess_least,
             f->n, least);
    words(r, true, text);
  }
  if (p->nresample && !moves(f))
    words(r, true, "particles were chosen again but nothing moves them apart: use ibis for a model without noise");
}

void dpi_filter_judge(const dpi_filter *f, dpi_filter_report *r) {
  const dpi_place *p = present(f);
  double *w = DPI_NEW_ARRAY(f->ctx, double, f->n);
  char text[160];
  *r = (dpi_filter_report){.time = p->time,
                           .evidence = p->evidence,
                           .nreading = p->ntaken,
                           .nmissing = f->nmissing,
                           .nlate = f->nlate,
                           .nrestart = f->nrestart,
                           .nresample = p->nresample,
                           .ess_least = p->ess_least,
                           .usable = 1};
  if (!w || dpi_filter_members(f, NULL, w) != DP_OK) words(r, true, "its members can't be read");
  for (int i = 0; w && i < f->n; i++) r->nfailed += w[i] == 0 && p->weight[i] > 0;
  r->ess = w ? dpi_ess(w, f->n) : 0;
  dpi_free(f->ctx, w);
  if (p->lost) {
    snprintf(text, sizeof text, "no member could explain sensor '%.40s' at %.9g",
             f->problem.sensor[p->lost_sensor].id ? f->problem.sensor[p->lost_sensor].id : "?",
             (double)p->lost_time / DP_TICKS);
    words(r, true, text);
  }
  bool kalman = f->def.method == DPI_FILTER_ENKF || f->def.method == DPI_FILTER_ESRF;
  if (!kalman) judge_particles(f, p, r);
  if (kalman && r->ess <= f->nz) words(r, true, "fewer members than states and drifts");
  if (2 * r->nfailed > f->n) words(r, true, "more than half of the members have failed");
  if (r->usable) words(r, false, "in order");
}
