/* assimilation.c - floor 6, folder filter: a person's record observation by observation (doppel/assimilate.h).  O -> D
 *
 *     prepare     the person's case, prior over the directions that vary, times at which readings may come
 *     make_sensors, make_engine     what looks, and who learns: static parameters (IBIS, SMC2) or a Kalman ensemble
 *     dp_assimilation_read          a reading's time becomes the process's own (rows of one moment are times apart)
 */
#include "infer/filter/assimilation.h"
#include "kind/kind_find.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "infer/filter/process_person.h"
#include "infer/infer.h"

/* ---- the prior ---- */

/* ln N(0, omega) over the directions that vary, with constants. */
static double log_prior(void *user, const double *x) {
  const dp_assimilation *a = user;
  double z[DPI_EIG_MAX], m2 = 0, logdet = 0;
  for (int i = 0; i < a->nfree; i++) z[i] = x[i];
  dpi_tri_solve_lower(a->chol, a->nfree, z);
  for (int i = 0; i < a->nfree; i++) {
    m2 += z[i] * z[i];
    logdet += dpi_m_log(a->chol[i * a->nfree + i]);
  }
  return -0.5 * (m2 + a->nfree * 1.8378770664093454836) - logdet;
}

static void draw_prior(void *user, dpi_rng *rng, double *x) {
  const dp_assimilation *a = user;
  double z[DPI_EIG_MAX];
  for (int i = 0; i < a->nfree; i++) z[i] = dpi_rng_normal(rng);
  dpi_tri_mul_lower(a->chol, a->nfree, z, x);
}

/* Start of a Kalman ensemble's member: of the belief, or of the prior. */
static dp_status begin_member(void *user, const double *param, dpi_rng *rng, double *state0) {
  const dp_assimilation *a = user;
  (void)param;
  if (!a->draw) {
    draw_prior(user, rng, state0);
    return DP_OK;
  }
  int k = (int)(dpi_rng_uniform(rng) * a->ndraw);
  memcpy(state0, a->draw + (size_t)(k < a->ndraw ? k : a->ndraw - 1) * (size_t)a->nfree,
         (size_t)a->nfree * sizeof(double));
  return DP_OK;
}

static dp_status prepare_prior(dp_assimilation *a) {
  int ne = a->kind->neffect, n = a->c->neta;
  if (a->prior->neffect != ne || a->prior->nparam != a->kind->nparam)
    return dpi_fail(a->ctx, DP_ERR_USAGE, "prior of %d parameters and %d effects: kind %s has %d and %d",
                    a->prior->nparam, a->prior->neffect, a->kind->id, a->kind->nparam, ne);
  double *cov = DPI_ARENA_ARRAY(&a->arena, double, (size_t)ne *(size_t)ne + 1);
  double *omega = DPI_ARENA_ARRAY(&a->arena, double, (size_t)n *(size_t)n + 1);
  a->free = DPI_ARENA_ARRAY(&a->arena, int, (size_t)n + 1);
  if (!cov || !omega || !a->free) return DP_ERR_MEMORY;
  for (int i = 0; i < ne * ne; i++) cov[i] = a->prior->omega[i] + a->prior->uncertainty[i];
  dpi_person person = {.c = a->c};
  dpi_person_omega(&person, cov, omega);
  for (int i = 0; i < n; i++)
    if (omega[i * n + i] > 0) a->free[a->nfree++] = i;
  if (a->nfree < 1 || a->nfree > DPI_EIG_MAX)
    return dpi_fail(a->ctx, DP_ERR_UNSUPPORTED, "subject %s: %d random effects to learn, 1 to %d can be", a->c->id,
                    a->nfree, DPI_EIG_MAX);
  a->chol = DPI_ARENA_ARRAY(&a->arena, double, (size_t)a->nfree *(size_t)a->nfree);
  a->index = DPI_ARENA_ARRAY(&a->arena, int, (size_t)a->nfree);
  if (!a->chol || !a->index) return DP_ERR_MEMORY;
  for (int i = 0; i < a->nfree; i++) {
    a->index[i] = i;
    for (int j = 0; j < a->nfree; j++) a->chol[i * a->nfree + j] = omega[a->free[i] * n + a->free[j]];
  }
  if (dpi_chol(a->chol, a->nfree)) return DP_OK;
  return dpi_fail(a->ctx, DP_ERR_INPUT, "prior: the covariance of the random effects is not positive definite");
}

/* ---- sensors ---- */

static dp_status make_sensor(dp_assimilation *a, int k, const dp_sensor *from) {
  static const dpi_sensor_noise law[] = {0, DPI_SENSOR_NORMAL, DPI_SENSOR_LOGNORMAL, DPI_SENSOR_LAPLACE,
                                         DPI_SENSOR_STUDENT};
  dpi_sensor *s = &a->sensor[k];
  int o = dpi_kind_find_observable(a->kind, from->observable);
  const char *id = from->id ? from->id : from->observable ? from->observable : "?";
  if (o < 0)
    return dpi_fail(a->ctx, DP_ERR_INPUT, "sensor '%s': '%s' is no observable of kind %s", id,
                    from->observable ? from->observable : "", a->kind->id);
  if ((int)from->law < 0 || (int)from->law > DP_SENSOR_STUDENT)
    return dpi_fail(a->ctx, DP_ERR_INPUT, "sensor '%s': noise law %d is none", id, (int)from->law);
  bool kind_log = a->kind->observable[o].noise == DPI_NOISE_LOGNORMAL;
  dpi_sensor_noise own = kind_log ? DPI_SENSOR_LOGNORMAL : DPI_SENSOR_NORMAL;
  *s = (dpi_sensor){.id = id,
                    .index = 2 * o,
                    .noise = from->law == DP_SENSOR_AS_KIND ? own : law[from->law],
                    .scale = from->scale,
                    .scale_given = isnan(from->scale),
                    .scale_output = 2 * o + 1,
                    .dof = from->dof};
  a->observable[k] = o;
  a->desc[k] = (dp_sensor_desc){id, a->kind->observable[o].unit};
  if (s->scale_given && kind_log != (s->noise == DPI_SENSOR_LOGNORMAL))
    return dpi_fail(a->ctx, DP_ERR_INPUT, "sensor '%s': the kind's scale is %s, the sensor's law is not: give a scale",
                    id, kind_log ? "of the logarithm" : "of the value itself");
  if (!isnan(from->scale) && !(from->scale > 0 && isfinite(from->scale)))
    return dpi_fail(a->ctx, DP_ERR_INPUT, "sensor '%s': scale of noise %g, expected a number above 0", id, from->scale);
  if (s->noise == DPI_SENSOR_STUDENT && !(from->dof > 0 && isfinite(from->dof)))
    return dpi_fail(a->ctx, DP_ERR_INPUT, "sensor '%s': %g degrees of freedom, expected more than 0", id, from->dof);
  if (!(from->drift_sd >= 0 && from->drift_rate >= 0 && from->drift_diffusion >= 0) ||
      !isfinite(from->drift_sd + from->drift_rate + from->drift_diffusion))
    return dpi_fail(a->ctx, DP_ERR_INPUT, "sensor '%s': drift of sd %g, rate %g, diffusion %g; none below 0", id,
                    from->drift_sd, from->drift_rate, from->drift_diffusion);
  if (from->drift_sd == 0 && from->drift_diffusion == 0) return DP_OK;
  s->drifts = true;
  s->drift = a->ndrift;
  a->drift[a->ndrift++] =
      (dpi_drift){.sd = from->drift_sd, .rate = from->drift_rate, .diffusion = from->drift_diffusion};
  return DP_OK;
}

static dp_status make_sensors(dp_assimilation *a) {
  int n = a->def.sensor ? a->def.nsensor : a->kind->nobservable;
  if (n < 1) return dpi_fail(a->ctx, DP_ERR_INPUT, "kind %s: no sensor", a->kind->id);
  a->nsensor = n;
  a->sensor = DPI_ARENA_ARRAY(&a->arena, dpi_sensor, (size_t)n);
  a->drift = DPI_ARENA_ARRAY(&a->arena, dpi_drift, (size_t)n);
  a->observable = DPI_ARENA_ARRAY(&a->arena, int, (size_t)n);
  a->desc = DPI_ARENA_ARRAY(&a->arena, dp_sensor_desc, (size_t)n);
  if (!a->sensor || !a->drift || !a->observable || !a->desc) return DP_ERR_MEMORY;
  for (int k = 0; k < n; k++) {
    dp_sensor plain = {.scale = NAN};
    if (!a->def.sensor) plain.id = plain.observable = a->kind->observable[k].id;
    DP_TRY(make_sensor(a, k, a->def.sensor ? &a->def.sensor[k] : &plain));
  }
  return DP_OK;
}

/* ---- times and the record's observations ---- */

static bool before(const dp_output_time *x, const dp_output_time *y) {
  return x->time != y->time ? x->time < y->time : x->order < y->order;
}

/* The case's rows and the def's times, ascending. */
static dp_status make_rows(dp_assimilation *a, dp_output_time **row, int *nrow) {
  const dpi_case *c = a->c;
  dp_output_time *r = *row = DPI_ARENA_ARRAY(&a->arena, dp_output_time, (size_t)c->nout + (size_t)a->def.ntime + 1);
  if (!r) return DP_ERR_MEMORY;
  int n = c->nout;
  if (n) memcpy(r, c->out, sizeof *r * (size_t)n);
  for (int k = 0; k < a->def.ntime; k++) {
    double t = a->def.time[k];
    if (!isfinite(t) || fabs(t) > 1e9)
      return dpi_fail(a->ctx, DP_ERR_INPUT, "subject %s: time %g to prepare for, expected a number", c->id, t);
    dp_output_time at = {(dp_time)llround(t * (double)DP_TICKS), INT32_MAX};
    bool have = false;
    for (int i = 0; i < n; i++) have = have || r[i].time == at.time;
    if (have) continue;
    int i = n++;
    for (; i > 0 && before(&at, &r[i - 1]); i--) r[i] = r[i - 1];
    r[i] = at;
  }
  *nrow = n;
  return n ? DP_OK : dpi_fail(a->ctx, DP_ERR_INPUT, "subject %s: no observation and no time to prepare for", c->id);
}

/* Row `order` of those at a moment, or -1. */
static int row_at(const dp_assimilation *a, double time, int order) {
  dp_time t = (dp_time)llround(time * (double)DP_TICKS);
  for (int k = 0; k < a->nrow; k++)
    if (a->row[k].time == t && order-- == 0) return k;
  return -1;
}

static dp_status list_record(dp_assimilation *a) {
  const dpi_case *c = a->c;
  a->record_obs = DPI_ARENA_ARRAY(&a->arena, dp_observation, (size_t)c->nobs + 1);
  if (!a->record_obs) return DP_ERR_MEMORY;
  for (int i = 0; i < c->nobs; i++) {
    const dpi_case_obs *o = &c->obs[i];
    int k = 0, order = 0;
    while (k < a->nsensor && a->observable[k] != o->observable) k++;
    if (k == a->nsensor) continue; /* nobody looks at it */
    for (int r = o->row - 1; r >= 0 && c->out[r].time == c->out[o->row].time; r--) order++;
    a->record_obs[a->nrecord++] = (dp_observation){.time = o->time,
                                                   .order = order,
                                                   .sensor = k,
                                                   .value = o->censored ? o->limit : o->value,
                                                   .censored = o->censored,
                                                   .line = o->line};
  }
  return DP_OK;
}

/* ---- what learns ---- */

static dp_status check_number(const dp_assimilation *a, const dp_observation *o, int k) {
  if (o->sensor < 0 || o->sensor >= a->nsensor)
    return dpi_fail(a->ctx, DP_ERR_INPUT, "observation %d: sensor %d, there are %d", k, o->sensor, a->nsensor);
  if (!a->calib && (!isfinite(o->time) || fabs(o->time) > 1e9))
    return dpi_fail(a->ctx, DP_ERR_INPUT, "observation %d of sensor '%s': time %g", k, a->sensor[o->sensor].id,
                    o->time);
  return DP_OK;
}

dp_status dpi_assimilation_reading(const dp_assimilation *a, const dp_observation *o, int k, dpi_reading *r) {
  DP_TRY(check_number(a, o, k));
  if (a->calib) return dpi_assimilation_problem_reading(a, o, k, r);
  int row = row_at(a, o->time, o->order);
  if (row < 0)
    return dpi_fail(a->ctx, DP_ERR_INPUT,
                    "observation %d of sensor '%s' at %.9g %s: neither the record nor the times prepared for have it",
                    k, a->sensor[o->sensor].id, o->time, a->kind->time_unit);
  *r = (dpi_reading){
      .time = dpi_process_person_time(a->process, row), .sensor = o->sensor, .y = o->value, .censored = o->censored};
  return DP_OK;
}

/* The belief's draws on the directions that vary, and the readings that it knows. */
static dp_status take_belief(dp_assimilation *a, const dp_belief *b, dpi_reading **known, int *nknown) {
  const dp_observation *o = a->def.known ? a->def.known : a->record_obs;
  int n = a->def.known ? a->def.nknown : b->nobs;
  if (b->neta != a->c->neta)
    return dpi_fail(a->ctx, DP_ERR_INPUT, "belief of %d directions, subject %s has %d", b->neta, a->c->id, a->c->neta);
  if (!b->usable) return dpi_fail(a->ctx, DP_ERR_CONFLICT, "the belief to go on from is not usable: %s", b->verdict);
  if (b->discrepancy)
    return dpi_fail(
        a->ctx, DP_ERR_UNSUPPORTED,
        "the belief to go on from has the model-discrepancy term, which has no part in this: make it without");
  if (!a->def.known && n > a->nrecord)
    return dpi_fail(a->ctx, DP_ERR_INPUT, "the belief knows %d observations, the record has %d", n, a->nrecord);
  a->ndraw = b->ndraw;
  a->draw = DPI_ARENA_ARRAY(&a->arena, double, (size_t)b->ndraw *(size_t)a->nfree + 1);
  *known = DPI_ARENA_ARRAY(&a->arena, dpi_reading, (size_t)n + 1);
  if (!a->draw || !*known) return DP_ERR_MEMORY;
  for (int i = 0; i < b->ndraw; i++)
    for (int j = 0; j < a->nfree; j++)
      a->draw[(size_t)i * (size_t)a->nfree + (size_t)j] = b->eta[(size_t)i * (size_t)b->neta + (size_t)a->free[j]];
  for (int k = 0; k < n; k++) DP_TRY(dpi_assimilation_reading(a, &o[k], k, &(*known)[k]));
  *nknown = n;
  for (int k = 0; k < n; k++) {
    if ((*known)[k].time > a->last) a->last = (*known)[k].time;
    if (!k || o[k].time > a->until) a->until = o[k].time;
  }
  a->nknown = n;
  a->known_evidence = b->evidence;
  return DP_OK;
}

static dp_status make_statics(dp_assimilation *a, bool nested) {
  dpi_statics_def def = dpi_statics_def_default();
  def.seed = a->def.seed;
  def.n = a->def.nparticle;
  def.nested = nested;
  def.ninner = a->def.ninner;
  def.ninner_most = 32 * a->def.ninner;
  if (a->calib) def.max_move = 40; /* calibration problems are often long and bent, and their points are cheap */
  return dpi_statics_create(&a->problem, &a->prior_def, &def, &a->statics);
}

static dp_status make_filter(dp_assimilation *a, dpi_filter_method method) {
  dpi_filter_def def = dpi_filter_def_default();
  def.seed = a->def.seed;
  def.method = method;
  def.n = a->def.nparticle;
  return dpi_filter_create(&a->problem, &def, &a->filter);
}

dp_status dpi_assimilation_find_method(dp_assimilation *a, int *method) {
  static const char *const name[] = {"ibis", "smc2", "enkf", "esrf"};
  for (*method = 0; *method < 4; ++*method)
    if (strcmp(name[*method], a->def.method) == 0) {
      a->method = name[*method];
      return DP_OK;
    }
  return dpi_fail(a->ctx, DP_ERR_USAGE, "method '%s': expected ibis, smc2, enkf or esrf", a->def.method);
}

dp_status dpi_assimilation_learn(dp_assimilation *a, int method, const dpi_reading *known, int nknown) {
  if (method >= 2) return make_filter(a, method == 2 ? DPI_FILTER_ENKF : DPI_FILTER_ESRF);
  DP_TRY(make_statics(a, method == 1));
  return a->draw ? dpi_statics_adopt(a->statics, a->draw, NULL, a->ndraw, known, nknown) : DP_OK;
}

static dp_status make_engine(dp_assimilation *a) {
  int method, nknown = 0;
  dpi_reading *known = NULL;
  DP_TRY(dpi_assimilation_find_method(a, &method));
  for (int k = 0; k < a->nsensor && method == 0; k++)
    if (a->sensor[k].drifts)
      return dpi_fail(a->ctx, DP_ERR_UNSUPPORTED, "sensor '%s' drifts: ibis can't follow that, smc2 and enkf can",
                      a->sensor[k].id);
  dpi_process_person_def def = {.c = a->c,
                                .typical = a->prior->typical,
                                .free = a->free,
                                .nfree = a->nfree,
                                .row = a->row,
                                .nrow = a->nrow,
                                .state = method >= 2};
  DP_TRY(dpi_process_person(&def, &a->process));
  a->last = a->process->start - 1;
  a->problem = (dpi_problem){
      .process = a->process, .sensor = a->sensor, .nsensor = a->nsensor, .drift = a->drift, .ndrift = a->ndrift};
  if (a->def.belief) DP_TRY(take_belief(a, a->def.belief, &known, &nknown));
  a->problem.begin = method >= 2 ? begin_member : NULL; /* else the effects are parameters, and there is no state */
  a->problem.user = a;
  a->prior_def =
      (dpi_static_prior){.n = a->nfree, .param = a->index, .logprior = log_prior, .draw = draw_prior, .user = a};
  return dpi_assimilation_learn(a, method, known, nknown);
}

/* ---- the calls ---- */

dp_assimilation_def dp_assimilation_def_default(void) {
  return (dp_assimilation_def){
      .cookie = 0x61736d31u, .seed = 1, .method = "ibis", .nparticle = 1000, .ninner = 50, .ndraw = 1000};
}

dp_status dpi_assimilation_check(const dp_assimilation *a) {
  if (a->def.cookie != dp_assimilation_def_default().cookie || !a->def.method)
    return dpi_fail(a->ctx, DP_ERR_USAGE, "dp_assimilation_def: start from dp_assimilation_def_default()");
  if (a->def.nparticle < 10 || a->def.nparticle > 1000000 || a->def.ninner < 2 || a->def.ninner > 100000 ||
      a->def.ndraw < 1)
    return dpi_fail(a->ctx, DP_ERR_USAGE,
                    "dp_assimilation_def: %d particles (10 to 1000000), %d inner (2 to 100000), %d draws (1 or more)",
                    a->def.nparticle, a->def.ninner, a->def.ndraw);
  return DP_OK;
}

static dp_status make(dp_assimilation *a) {
  DP_TRY(dpi_assimilation_check(a));
  DP_TRY(dpi_case_create(a->kind, a->record, a->subject, &a->c));
  DP_TRY(prepare_prior(a));
  DP_TRY(make_sensors(a));
  DP_TRY(make_rows(a, &a->row, &a->nrow));
  DP_TRY(list_record(a));
  return make_engine(a);
}

dp_status dp_assimilation_create(const dp_kind *kind, const dp_record *record, int subject, const dp_prior *prior,
                                 const dp_assimilation_def *def, dp_assimilation **out) {
  *out = NULL;
  dp_assimilation *a = DPI_NEW(kind->ctx, dp_assimilation);
  if (!a) return DP_ERR_MEMORY;
  a->ctx = kind->ctx;
  a->kind = kind;
  a->record = record;
  a->subject = subject;
  a->prior = prior;
  a->def = *def;
  dpi_arena_init(&a->arena, a->ctx);
  dp_status status = make(a);
  a->def.belief = NULL; /* borrowed during create only */
  a->def.known = NULL;
  a->def.time = NULL;
  if (status == DP_OK) {
    *out = a;
    return DP_OK;
  }
  dp_assimilation_destroy(a);
  return status;
}

void dp_assimilation_destroy(dp_assimilation *a) {
  if (!a) return;
  dp_ctx *ctx = a->ctx;
  dpi_statics_destroy(a->statics);
  dpi_filter_destroy(a->filter);
  dpi_process_destroy(a->process);
  dpi_case_destroy(a->c);
  dpi_arena_release(&a->arena);
  dpi_free(ctx, a);
}

int dp_assimilation_nsensor(const dp_assimilation *a) { return a->nsensor; }
const dp_sensor_desc *dp_assimilation_sensor(const dp_assimilation *a, int k) { return &a->desc[k]; }

const char *dp_assimilation_parameter(const dp_assimilation *a, int e, const char **unit) {
  if (a->calib) {
    static const char *const scale[] = {"", "ln", "log10"};
    if (unit) *unit = scale[dp_problem_describe(a->calib)->scale[e]];
    return dp_problem_describe(a->calib)->id[e];
  }
  if (unit) *unit = a->kind->effect[e].unit;
  return a->kind->effect[e].parameter;
}

const dp_observation *dp_assimilation_record(const dp_assimilation *a, int *n) {
  *n = a->nrecord;
  return a->record_obs;
}

dp_status dp_assimilation_read(dp_assimilation *a, const dp_observation *o, int n) {
  dpi_reading *r = DPI_NEW_ARRAY(a->ctx, dpi_reading, n + 1);
  if (!r) return DP_ERR_MEMORY;
  dp_status status = DP_OK;
  for (int k = 0; k < n && status == DP_OK; k++) status = dpi_assimilation_reading(a, &o[k], k, &r[k]);
  if (status == DP_OK) status = a->statics ? dpi_statics_read(a->statics, r, n) : dpi_filter_read(a->filter, r, n);
  for (int k = 0; k < n && status == DP_OK; k++) {
    if (isnan(r[k].y)) {
      a->nmissing++;
      continue;
    }
    a->nread++;
    a->nlate += r[k].time < a->last;
    if (r[k].time > a->last) a->last = r[k].time;
    if (o[k].time > a->until || a->nread + a->nknown == 1) a->until = o[k].time;
  }
  dpi_free(a->ctx, r);
  return status;
}
