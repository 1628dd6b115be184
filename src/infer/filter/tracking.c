/* tracking.c - floor 6, folder filter: the state of a sim that changes at random, and its constants, by name
 * (doppel/tracking.h).  O -> D -> Q
 *
 *     make_sensors, make_unknown, make_noise    names to numbers
 *     make_filter, make_statics                 what learns: a filter of states, or particles of parameters (smc2: each
 *                                               with a filter of its own)
 *     gather                                    all members at the present time, with weights
 */
#include "doppel/tracking.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "infer/filter/outlook.h"
#include "infer/filter/smoother.h"
#include "infer/filter/statics_impl.h"
#include "infer/infer.h"

/* Copies with which an auxiliary particle looks ahead: of jumps a single one says nearly nothing. */
#define NLOOK 16
#define NROUND 4 /* of the smoother */

enum { BOOTSTRAP, AUXILIARY, ENKF, ESRF, IBIS, SMC2, SMOOTHER, NMETHOD };
static const char *const method_name[NMETHOD] = {"bootstrap", "auxiliary", "enkf", "esrf", "ibis", "smc2", "smoother"};

/* A law on the scale of learning: the number itself, or its logarithm. */
typedef struct law {
  int index; /* parameter or state */
  uint8_t log, flat;
  double a, b; /* mean and sd; flat: ends */
} law;

struct dp_tracking {
  dp_ctx *ctx;
  dpi_arena arena;
  const dp_sim *sim;
  dp_tracking_def def;
  int method;
  double *param; /* [nparam] what all have in common */
  law *begin, *unknown;
  double *noise; /* [nstate] or NULL */
  dpi_sensor *sensor;
  dpi_drift *drift;
  dp_time *time;
  int ndrift;
  int *index;   /* [nunknown] parameters of the process */
  uint8_t *log; /* [nunknown] */
  dpi_process *process;
  dpi_problem problem;
  dpi_static_prior prior;
  dpi_filter *filter; /* one of these two, or the smoother's: */
  dpi_statics *statics;
  double *x, *equal; /* [nmember x nunknown], weights */
  dpi_reading *reading;
  int nreading, cap_reading;
  dpi_smoother_report smoothed;
  dp_time last;
  int nread, nmissing, nlate;
};

/* ---- laws ---- */

static dp_status make_law(dp_tracking *t, const dp_unknown *u, const char *what, int index, law *l) {
  if (index < 0) return dpi_fail(t->ctx, DP_ERR_INPUT, "tracking: the model has no %s '%s'", what, u->id ? u->id : "");
  const bool log = u->law == DP_VARY_LOGNORMAL || u->law == DP_VARY_LOGUNIFORM || u->law == DP_VARY_FACTOR;
  const bool flat = u->law == DP_VARY_UNIFORM || u->law == DP_VARY_LOGUNIFORM, factor = u->law == DP_VARY_FACTOR;
  if ((int)u->law < 0 || u->law > DP_VARY_FACTOR || !isfinite(u->a) || !isfinite(u->b) || (log && !(u->a > 0)) ||
      (flat     ? !(u->b > u->a)
       : factor ? !(u->b > 1)
                : !(u->b > 0)))
    return dpi_fail(t->ctx, DP_ERR_INPUT, "tracking: the law of %s '%s' has %.9g and %.9g: expected %s", what, u->id,
                    u->a, u->b,
                    flat && log ? "0 < a < b"
                    : flat      ? "a < b"
                    : factor    ? "a > 0, b > 1"
                    : log       ? "a > 0, b > 0"
                                : "b > 0");
  *l = (law){.index = index, .log = log, .flat = flat || factor, .a = u->a, .b = u->b};
  if (factor) *l = (law){index, true, true, u->a / u->b, u->a * u->b};
  if (l->log && l->flat) l->b = dpi_m_log(l->b);
  if (l->log) l->a = dpi_m_log(l->a);
  return DP_OK;
}

static double law_draw(const law *l, dpi_rng *rng) {
  return l->flat ? l->a + (l->b - l->a) * dpi_rng_uniform(rng) : l->a + l->b * dpi_rng_normal(rng);
}

static double law_density(const law *l, double x) {
  if (l->flat) return x >= l->a && x <= l->b ? -dpi_m_log(l->b - l->a) : -INFINITY;
  const double z = (x - l->a) / l->b;
  return -0.5 * (z * z + 1.8378770664093454836) - dpi_m_log(l->b);
}

static double log_prior(void *user, const double *x) {
  const dp_tracking *t = user;
  double sum = 0;
  for (int k = 0; k < t->def.nunknown; k++) sum += law_density(&t->unknown[k], x[k]);
  return sum;
}

static void draw_prior(void *user, dpi_rng *rng, double *x) {
  const dp_tracking *t = user;
  for (int k = 0; k < t->def.nunknown; k++) x[k] = law_draw(&t->unknown[k], rng);
}

/* A member's start: the model's own under its parameters, and draws where that is not known. */
static dp_status begin_member(void *user, const double *param, dpi_rng *rng, double *state0) {
  const dp_tracking *t = user;
  const dp_member m = {.param = param, .start = t->process->start};
  dp_run_opts opts = dp_run_opts_default();
  dp_run *run = NULL;
  DP_TRY(dp_run_open(t->sim, &m, 1, &opts, &run));
  dp_status st = dp_run_advance(run, t->process->start);
  if (st == DP_OK) st = dp_run_state_get(run, 0, state0);
  dp_run_close(run);
  for (int k = 0; k < t->def.nbegin && st == DP_OK; k++) {
    const double x = law_draw(&t->begin[k], rng);
    state0[t->begin[k].index] = t->begin[k].log ? dpi_m_exp(x) : x;
  }
  return st;
}

static dp_status make_laws(dp_tracking *t) {
  const dp_tracking_def *d = &t->def;
  t->begin = DPI_ARENA_ARRAY(&t->arena, law, (size_t)d->nbegin + 1);
  t->unknown = DPI_ARENA_ARRAY(&t->arena, law, (size_t)d->nunknown + 1);
  t->index = DPI_ARENA_ARRAY(&t->arena, int, (size_t)d->nunknown + 1);
  t->log = DPI_ARENA_ARRAY(&t->arena, uint8_t, (size_t)d->nunknown + 1);
  if (!t->begin || !t->unknown || !t->index || !t->log) return DP_ERR_MEMORY;
  for (int k = 0; k < d->nbegin; k++)
    DP_TRY(
        make_law(t, &d->begin[k], "state", d->begin[k].id ? dp_sim_state(t->sim, d->begin[k].id) : -1, &t->begin[k]));
  for (int k = 0; k < d->nunknown; k++) {
    DP_TRY(make_law(t, &d->unknown[k], "parameter", d->unknown[k].id ? dp_sim_param(t->sim, d->unknown[k].id) : -1,
                    &t->unknown[k]));
    t->index[k] = t->unknown[k].index;
    t->log[k] = t->unknown[k].log;
    for (int i = 0; i < k; i++)
      if (t->index[i] == t->index[k])
        return dpi_fail(t->ctx, DP_ERR_INPUT, "tracking: parameter '%s' is unknown twice", d->unknown[k].id);
  }
  return DP_OK;
}

static dp_status make_noise(dp_tracking *t) {
  if (t->def.nnoise == 0) return DP_OK;
  t->noise = DPI_ARENA_ARRAY(&t->arena, double, (size_t)dp_sim_describe(t->sim)->nstate + 1);
  if (!t->noise) return DP_ERR_MEMORY;
  for (int k = 0; k < t->def.nnoise; k++) {
    const dp_state_noise *n = &t->def.noise[k];
    const int j = n->state ? dp_sim_state(t->sim, n->state) : -1;
    if (j < 0) return dpi_fail(t->ctx, DP_ERR_INPUT, "tracking: the model has no state '%s'", n->state ? n->state : "");
    if (!(n->sd > 0) || !isfinite(n->sd))
      return dpi_fail(t->ctx, DP_ERR_INPUT, "tracking: noise of state '%s' is %.9g, expected more than 0", n->state,
                      n->sd);
    t->noise[j] = n->sd;
  }
  return DP_OK;
}

/* ---- sensors and times ---- */

static dp_status make_sensor(dp_tracking *t, int k) {
  static const dpi_sensor_noise noise[] = {0, DPI_SENSOR_NORMAL, DPI_SENSOR_LOGNORMAL, DPI_SENSOR_LAPLACE,
                                           DPI_SENSOR_STUDENT};
  const dp_sensor *from = &t->def.sensor[k];
  const char *output = from->observable ? from->observable : "", *id = from->id ? from->id : output;
  const int o = dp_sim_output(t->sim, output);
  if (o < 0) return dpi_fail(t->ctx, DP_ERR_INPUT, "sensor '%s': the model has no output '%s'", id, output);
  if (from->law <= DP_SENSOR_AS_KIND || from->law > DP_SENSOR_STUDENT)
    return dpi_fail(t->ctx, DP_ERR_INPUT, "sensor '%s': expected a law: normal, log-normal, Laplace or Student", id);
  if (!(from->scale > 0) || !isfinite(from->scale))
    return dpi_fail(t->ctx, DP_ERR_INPUT, "sensor '%s': scale of noise %.9g, expected a number above 0", id,
                    from->scale);
  t->sensor[k] = (dpi_sensor){.id = id, .index = o, .noise = noise[from->law], .scale = from->scale, .dof = from->dof};
  if (from->drift_sd == 0 && from->drift_diffusion == 0) return DP_OK;
  t->sensor[k].drifts = true;
  t->sensor[k].drift = t->ndrift;
  t->drift[t->ndrift++] =
      (dpi_drift){.sd = from->drift_sd, .rate = from->drift_rate, .diffusion = from->drift_diffusion};
  return DP_OK;
}

static dp_status ticks(const dp_tracking *t, double time, const char *what, dp_time *out) {
  if (!isfinite(time) || fabs(time) > 9e9)
    return dpi_fail(t->ctx, DP_ERR_INPUT, "tracking: %s %.9g, expected a number up to 9e9", what, time);
  *out = (dp_time)llround(time * (double)DP_TICKS);
  return DP_OK;
}

static dp_status make_sensors(dp_tracking *t) {
  const dp_tracking_def *d = &t->def;
  if (d->nsensor < 1 || d->ntime < 1)
    return dpi_fail(t->ctx, DP_ERR_INPUT, "tracking: %d sensors, %d times: expected one or more of each", d->nsensor,
                    d->ntime);
  t->sensor = DPI_ARENA_ARRAY(&t->arena, dpi_sensor, (size_t)d->nsensor);
  t->drift = DPI_ARENA_ARRAY(&t->arena, dpi_drift, (size_t)d->nsensor);
  t->time = DPI_ARENA_ARRAY(&t->arena, dp_time, (size_t)d->ntime);
  if (!t->sensor || !t->drift || !t->time) return DP_ERR_MEMORY;
  for (int k = 0; k < d->nsensor; k++) DP_TRY(make_sensor(t, k));
  for (int k = 0; k < d->ntime; k++) DP_TRY(ticks(t, d->time[k], "time", &t->time[k]));
  return DP_OK;
}

/* ---- what learns ---- */

static dp_status find_method(dp_tracking *t) {
  const char *name = t->def.method ? t->def.method : t->def.nunknown ? "smc2" : "bootstrap";
  for (t->method = 0; t->method < NMETHOD && strcmp(method_name[t->method], name) != 0;) t->method++;
  if (t->method == NMETHOD)
    return dpi_fail(t->ctx, DP_ERR_USAGE,
                    "method '%s': expected bootstrap, auxiliary, enkf, esrf, ibis, smc2 or smoother", name);
  const bool learns = t->method >= IBIS;
  if (learns == (t->def.nunknown > 0)) return DP_OK;
  return dpi_fail(t->ctx, DP_ERR_USAGE,
                  learns ? "method %s learns parameters, and none is unknown"
                         : "method %s does not learn parameters, and some are unknown: ibis and smc2 do",
                  name);
}

static dp_status make_process(dp_tracking *t) {
  const dp_sim_desc *d = dp_sim_describe(t->sim);
  dpi_process_plan plan = {.instant = t->def.instant,
                           .ninstant = t->def.ninstant,
                           .time = t->time,
                           .ntime = t->def.ntime,
                           .order = INT32_MAX};
  dp_time step = 0;
  DP_TRY(ticks(t, t->def.start, "start", &plan.start));
  DP_TRY(ticks(t, t->def.noise_step, "step of the noise", &step));
  if (step < 0)
    return dpi_fail(t->ctx, DP_ERR_INPUT, "tracking: step of the noise %.9g, expected 0 or more", t->def.noise_step);
  t->param = DPI_ARENA_ARRAY(&t->arena, double, (size_t)d->nparam + 1);
  if (!t->param) return DP_ERR_MEMORY;
  if (d->nparam) memcpy(t->param, t->def.param ? t->def.param : d->param_default, (size_t)d->nparam * sizeof(double));
  DP_TRY(dpi_process_sim(t->ctx, t->sim, &plan, &t->process));
  t->process->param_default = t->param;
  t->last = plan.start - 1;
  t->problem = (dpi_problem){.process = t->process,
                             .sensor = t->sensor,
                             .nsensor = t->def.nsensor,
                             .drift = t->drift,
                             .ndrift = t->ndrift,
                             .noise = t->noise,
                             .noise_step = step,
                             .begin = t->def.nbegin ? begin_member : NULL,
                             .user = t};
  return DP_OK;
}

static dp_status make_filter(dp_tracking *t) {
  static const dpi_filter_method method[] = {DPI_FILTER_BOOTSTRAP, DPI_FILTER_AUXILIARY, DPI_FILTER_ENKF,
                                             DPI_FILTER_ESRF};
  dpi_filter_def def = dpi_filter_def_default();
  def.seed = t->def.seed;
  def.method = method[t->method];
  def.n = t->def.nmember;
  def.nlook = NLOOK;
  return dpi_filter_create(&t->problem, &def, &t->filter);
}

/* All readings so far, from the prior on. */
static dp_status smooth(dp_tracking *t) {
  return dpi_smoother_run(&t->problem, &t->prior, t->def.seed, t->def.nmember, NROUND, t->reading, t->nreading, t->x,
                          &t->smoothed);
}

static dp_status make_smoother(dp_tracking *t) {
  const size_t n = (size_t)t->def.nmember;
  t->x = DPI_ARENA_ARRAY(&t->arena, double, n *(size_t)t->def.nunknown);
  t->equal = DPI_ARENA_ARRAY(&t->arena, double, n);
  if (!t->x || !t->equal) return DP_ERR_MEMORY;
  for (size_t i = 0; i < n; i++) t->equal[i] = 1.0 / (double)n;
  return smooth(t);
}

static dp_status make_statics(dp_tracking *t) {
  dpi_statics_def def = dpi_statics_def_default();
  if (t->method != SMC2 && (t->process->stochastic || t->noise || t->ndrift || t->def.nbegin))
    return dpi_fail(t->ctx, DP_ERR_UNSUPPORTED,
                    "method %s: the model, its start or a sensor's drift is random, so that the likelihood can't be "
                    "computed: smc2 estimates it",
                    method_name[t->method]);
  def.seed = t->def.seed;
  def.n = t->def.nmember;
  def.nested = t->method == SMC2;
  def.ninner = t->def.ninner;
  def.ninner_most = 16 * t->def.ninner;
  t->prior = (dpi_static_prior){.n = t->def.nunknown,
                                .param = t->index,
                                .log = t->log,
                                .logprior = log_prior,
                                .draw = draw_prior,
                                .user = t,
                                .other = t->param};
  if (t->method == SMOOTHER) return make_smoother(t);
  return dpi_statics_create(&t->problem, &t->prior, &def, &t->statics);
}

/* ---- create ---- */

dp_tracking_def dp_tracking_def_default(void) {
  return (dp_tracking_def){.cookie = 0x74726b31u, .seed = 1, .nmember = 1000, .ninner = 100};
}

static dp_status make(dp_tracking *t) {
  const dp_tracking_def *d = &t->def;
  if (d->cookie != dp_tracking_def_default().cookie)
    return dpi_fail(t->ctx, DP_ERR_USAGE, "dp_tracking_def: start from dp_tracking_def_default()");
  if (d->nmember < 10 || d->nmember > 1000000 || d->ninner < 2 || d->ninner > 100000)
    return dpi_fail(t->ctx, DP_ERR_USAGE, "tracking: %d members (10 to 1000000), %d inner ones (2 to 100000)",
                    d->nmember, d->ninner);
  DP_TRY(find_method(t));
  DP_TRY(make_laws(t));
  DP_TRY(make_noise(t));
  DP_TRY(make_sensors(t));
  DP_TRY(make_process(t));
  return t->method >= IBIS ? make_statics(t) : make_filter(t);
}

dp_status dp_tracking_create(dp_ctx *ctx, const dp_sim *sim, const dp_tracking_def *def, dp_tracking **out) {
  *out = NULL;
  dp_tracking *t = DPI_NEW(ctx, dp_tracking);
  if (!t) return DP_ERR_MEMORY;
  t->ctx = ctx;
  t->sim = sim;
  t->def = *def;
  dpi_arena_init(&t->arena, ctx);
  const dp_status st = make(t);
  /* borrowed during create only */
  t->def.param = t->def.time = NULL;
  t->def.instant = NULL;
  t->def.sensor = NULL;
  t->def.begin = t->def.unknown = NULL;
  t->def.noise = NULL;
  t->def.method = NULL;
  if (st == DP_OK)
    *out = t;
  else
    dp_tracking_destroy(t);
  return st;
}

void dp_tracking_destroy(dp_tracking *t) {
  if (!t) return;
  dp_ctx *ctx = t->ctx;
  dpi_statics_destroy(t->statics);
  dpi_free(ctx, t->reading);
  dpi_filter_destroy(t->filter);
  dpi_process_destroy(t->process);
  dpi_arena_release(&t->arena);
  dpi_free(ctx, t);
}

/* ---- readings and forecasts ---- */

static dp_status reading_of(const dp_tracking *t, const dp_observation *o, int k, dpi_reading *r) {
  bool planned = false;
  if (o->sensor < 0 || o->sensor >= t->def.nsensor)
    return dpi_fail(t->ctx, DP_ERR_INPUT, "observation %d: sensor %d, there are %d", k, o->sensor, t->def.nsensor);
  *r = (dpi_reading){.sensor = o->sensor, .y = o->value, .censored = o->censored};
  DP_TRY(ticks(t, o->time, "time of an observation", &r->time));
  for (int i = 0; i < t->def.ntime && !planned; i++) planned = t->time[i] == r->time;
  if (planned) return DP_OK;
  return dpi_fail(t->ctx, DP_ERR_INPUT, "observation %d of sensor '%s' at %.9g: not among the times prepared for", k,
                  t->sensor[o->sensor].id, o->time);
}

static dp_status take(dp_tracking *t, const dpi_reading *r, int n) {
  if (t->filter) return dpi_filter_read(t->filter, r, n);
  if (t->statics) return dpi_statics_read(t->statics, r, n);
  DP_TRY(dpi_grow(t->ctx, (void **)&t->reading, &t->cap_reading, t->nreading + n, sizeof *r));
  memcpy(t->reading + t->nreading, r, (size_t)n * sizeof *r);
  t->nreading += n;
  return smooth(t);
}

dp_status dp_tracking_read(dp_tracking *t, const dp_observation *o, int n) {
  dpi_reading *r = DPI_NEW_ARRAY(t->ctx, dpi_reading, n + 1);
  if (!r) return DP_ERR_MEMORY;
  dp_status st = DP_OK;
  for (int k = 0; k < n && st == DP_OK; k++) st = reading_of(t, &o[k], k, &r[k]);
  if (st == DP_OK) st = take(t, r, n);
  for (int k = 0; k < n && st == DP_OK; k++) {
    if (isnan(r[k].y)) {
      t->nmissing++;
      continue;
    }
    t->nread++;
    t->nlate += r[k].time < t->last;
    if (r[k].time > t->last) t->last = r[k].time;
  }
  dpi_free(t->ctx, r);
  return st;
}

/* A forecast that went further is dropped: time goes forward from the last reading. */
static void drop_ahead(dpi_filter *f, dp_time time) {
  if (!f || !f->ahead || f->ahead->time <= time) return;
  dpi_place_close(f, f->ahead);
  f->ahead = NULL;
}

/* Particles of parameters without filters: all of them from the start to a time. */
static dp_status run_again(dp_tracking *t, dp_time time, dpi_filter **out) {
  const size_t np = (size_t)t->process->nparam, d = (size_t)t->def.nunknown;
  const double *x = t->statics ? t->statics->x : t->x;
  double *param = DPI_NEW_ARRAY(t->ctx, double, (size_t)t->def.nmember *np + 1);
  if (!param) return DP_ERR_MEMORY;
  for (int i = 0; i < t->def.nmember; i++) {
    double *own = param + (size_t)i * np;
    memcpy(own, t->param, np * sizeof(double));
    for (size_t k = 0; k < d; k++)
      own[t->index[k]] = t->log[k] ? dpi_m_exp(x[(size_t)i * d + k]) : x[(size_t)i * d + k];
  }
  dpi_filter_def def = dpi_filter_def_default();
  def.method = DPI_FILTER_BOOTSTRAP;
  def.n = t->def.nmember;
  def.param = param;
  def.ncheckpoint = 0;
  const dp_status st = dpi_filter_create(&t->problem, &def, out);
  dpi_free(t->ctx, param);
  return st == DP_OK ? dpi_filter_advance(*out, time) : st;
}

static dp_status outlook_again(dp_tracking *t, dp_time time, int sensor, dpi_arena *arena, dpi_outlook *m) {
  dpi_filter *f = NULL;
  dp_status st = run_again(t, time, &f);
  if (st == DP_OK) st = dpi_outlook_filter(f, time, sensor, arena, m);
  dpi_filter_destroy(f);
  return st;
}

static dp_status mixture(dp_tracking *t, dp_time time, int sensor, dpi_arena *arena, dpi_outlook *m) {
  if (t->method != IBIS && t->method != SMOOTHER && time < t->last)
    return dpi_fail(t->ctx, DP_ERR_USAGE, "a forecast is asked for at %.9g, before the last reading at %.9g",
                    (double)time / DP_TICKS, (double)t->last / DP_TICKS);
  if (t->filter) {
    drop_ahead(t->filter, time);
    return dpi_outlook_filter(t->filter, time, sensor, arena, m);
  }
  if (t->method == SMOOTHER) return outlook_again(t, time, sensor, arena, m);
  for (int i = 0; t->method == SMC2 && i < t->statics->n; i++) drop_ahead(t->statics->inner[i], time);
  return dpi_outlook_statics(t->statics, time, sensor, arena, m);
}

dp_status dp_tracking_forecast(dp_tracking *t, const dp_observation *at, dp_outlook *out) {
  dpi_outlook m;
  dpi_reading r = {0};
  *out = dpi_outlook_unknown();
  DP_TRY(reading_of(t, at, 0, &r));
  dpi_arena arena;
  dpi_arena_init(&arena, t->ctx);
  dp_status st = mixture(t, r.time, at->sensor, &arena, &m);
  const uint64_t seed = dpi_rng_at(t->def.seed, (uint64_t)r.time, DPI_RNG_FILTER_OUTLOOK, (uint64_t)at->sensor);
  if (st == DP_OK) st = dpi_outlook_tell(&m, at, seed, &arena, out);
  dpi_arena_release(&arena);
  return st;
}

/* ---- what is believed ---- */

/* x[i x stride] with weights [n]. */
static dp_status believed(dp_tracking *t, const double *x, size_t stride, const double *weight, int n, bool log,
                          dp_believed *out) {
  dpi_arena arena;
  dpi_arena_init(&arena, t->ctx);
  double *v = DPI_ARENA_ARRAY(&arena, double, (size_t)n + 1), *w = DPI_ARENA_ARRAY(&arena, double, (size_t)n + 1),
         sum = 0, square = 0;
  int *order = DPI_ARENA_ARRAY(&arena, int, (size_t)n + 1), m = 0;
  *out = (dp_believed){NAN, NAN, NAN, NAN, NAN};
  for (int i = 0; v && w && i < n; i++) {
    if (!(weight[i] > 0) || isnan(x[(size_t)i * stride])) continue;
    v[m] = log ? dpi_m_exp(x[(size_t)i * stride]) : x[(size_t)i * stride];
    sum += w[m++] = weight[i];
  }
  if (v && w && order && m) {
    out->mean = 0;
    for (int i = 0; i < m; i++) out->mean += w[i] / sum * v[i];
    for (int i = 0; i < m; i++) square += w[i] / sum * (v[i] - out->mean) * (v[i] - out->mean);
    out->sd = sqrt(square);
    dpi_argsort(v, m, order);
    out->q05 = dpi_quantile_weighted(v, w, m, 0.05, order);
    out->q50 = dpi_quantile_weighted(v, w, m, 0.5, order);
    out->q95 = dpi_quantile_weighted(v, w, m, 0.95, order);
  }
  dpi_arena_release(&arena);
  return v && w && order ? DP_OK : DP_ERR_MEMORY;
}

/* Of those that run_again has. */
static dp_status gather_again(dp_tracking *t, double *z, double *weight) {
  dpi_filter *f = NULL;
  dp_status st = run_again(t, t->nread ? t->last : t->process->start, &f);
  if (st == DP_OK) st = dpi_filter_members(f, z, NULL);
  if (st == DP_OK) memcpy(weight, t->statics ? t->statics->weight : t->equal, (size_t)t->def.nmember * sizeof(double));
  dpi_filter_destroy(f);
  return st;
}

/* Rows of states and drifts with their weights; at the start nobody has been moved yet: moved to where they are. */
static dp_status gather(dp_tracking *t, int n, int nz, double *z, double *weight) {
  if (t->method == IBIS || t->method == SMOOTHER) return gather_again(t, z, weight);
  if (t->statics) DP_TRY(dpi_nested_begin(t->statics, 0));
  const int nfilter = t->statics ? t->statics->n : 1, each = n / nfilter;
  for (int i = 0; i < nfilter; i++) {
    dpi_filter *f = t->statics ? t->statics->inner[i] : t->filter;
    double *w = weight + (size_t)i * (size_t)each;
    if (!f->ahead && !f->now->reached) DP_TRY(dpi_filter_advance(f, t->process->start));
    DP_TRY(dpi_filter_members(f, z + (size_t)i * (size_t)each * (size_t)nz, w));
    for (int k = 0; t->statics && k < each; k++) w[k] *= t->statics->weight[i];
  }
  return DP_OK;
}

dp_status dp_tracking_states(dp_tracking *t, dp_believed *out) {
  const int ns = t->process->nstate, nz = ns + t->ndrift;
  const int n = t->method == SMC2 ? t->statics->n * t->statics->ninner : t->def.nmember;
  double *z = DPI_NEW_ARRAY(t->ctx, double, (size_t)n *(size_t)nz + 1),
         *w = DPI_NEW_ARRAY(t->ctx, double, (size_t)n + 1);
  dp_status st = z && w ? gather(t, n, nz, z, w) : DP_ERR_MEMORY;
  for (int j = 0; j < ns && st == DP_OK; j++) st = believed(t, z + j, (size_t)nz, w, n, false, &out[j]);
  dpi_free(t->ctx, z);
  dpi_free(t->ctx, w);
  return st;
}

dp_status dp_tracking_unknowns(dp_tracking *t, dp_believed *out) {
  for (int k = 0; k < t->def.nunknown; k++)
    DP_TRY(believed(t, (t->statics ? t->statics->x : t->x) + k, (size_t)t->def.nunknown,
                    t->statics ? t->statics->weight : t->equal, t->def.nmember, t->log[k], &out[k]));
  return DP_OK;
}

static void judge_statics(dp_tracking *t, dp_assimilation_report *r) {
  const dpi_statics_report *s = dpi_statics_judge(t->statics);
  r->evidence = s->evidence;
  r->ninner = s->ninner;
  r->ess = s->ess;
  r->ess_least = s->ess_least;
  r->nrejuvenate = s->nrejuvenate;
  r->nrestart = s->nrestart;
  if (s->nsweep) r->accept = s->accept;
  r->usable = s->usable;
  snprintf(r->verdict, sizeof r->verdict, "%s", s->verdict);
}

void dp_tracking_judge(dp_tracking *t, dp_assimilation_report *r) {
  *r = (dp_assimilation_report){.method = method_name[t->method],
                                .nread = t->nread,
                                .nmissing = t->nmissing,
                                .nlate = t->nlate,
                                .nparticle = t->def.nmember,
                                .accept = NAN};
  if (t->statics) {
    judge_statics(t, r);
    return;
  }
  if (t->method == SMOOTHER) {
    r->evidence = NAN;
    r->ess = r->ess_least = t->def.nmember - t->smoothed.nfailed;
    r->usable = t->smoothed.usable;
    snprintf(r->verdict, sizeof r->verdict, "%.170s; an approximation: predictions taken as linear",
             t->smoothed.verdict);
    return;
  }
  dpi_filter_report f;
  dpi_filter_judge(t->filter, &f);
  r->evidence = f.evidence;
  r->ess = f.ess;
  r->ess_least = f.ess_least;
  r->nrejuvenate = f.nresample;
  r->nrestart = f.nrestart;
  r->usable = f.usable;
  snprintf(r->verdict, sizeof r->verdict, "%.170s%s", f.verdict,
           t->method >= ENKF ? "; an approximation: states and readings taken as jointly normal" : "");
}
