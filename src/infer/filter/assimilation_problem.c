/* assimilation_problem.c - floor 6, folder filter: a calibration problem observation by observation
 * (doppel/assimilate.h).
 * O -> D
 *
 *     list_data      measurements in the order of time, each a time of the process; a sensor for each observable of
 * an experiment
 *     learn          prior and parameters in R^n (process_problem.h); IBIS or a Kalman ensemble
 *
 * The law of a measurement is a sensor's, and what a sensor says of it is what the problem's own likelihood says.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "infer/filter/assimilation.h"
#include "infer/filter/process_problem.h"
#include "infer/sample/chain.h"

static const double LN_10 = 2.3025850929940456840;

typedef struct lister {
  dp_assimilation *a;
  const dpi_calib_datum **from; /* [ndatum] by number */
  dpi_noise *noise;             /* [ndatum] */
  int *sensor;                  /* [ndatum] */
  int *order;                   /* [ndatum] of several of one sensor at one time */
  double *unit;                 /* [ndatum] */
  int *sorted;                  /* [ndatum] */
} lister;

/* ---- the prior, in R^n ---- */

static double log_prior(void *user, const double *u) {
  const dp_assimilation *a = user;
  double x[DPI_EIG_MAX];
  const double logjac = dpi_box_to(&a->calib->density, u, x);
  return logjac + (a->calib->has_prior ? dpi_calib_prior(a->calib, x, true, NULL, NULL, NULL) : 0);
}

/* That the prior can be drawn from was tried when this was made. */
static void draw_into(const dp_assimilation *a, const dpi_rng *rng, double *u) {
  dpi_density *d = &a->calib->density;
  if (d->ops->prior_draw(d, rng->seed, rng->stream, u) == DP_OK) dpi_box_from(d, u, u);
}

static void draw_prior(void *user, dpi_rng *rng, double *u) { draw_into(user, rng, u); }

static dp_status begin_member(void *user, const double *param, dpi_rng *rng, double *state0) {
  (void)param;
  draw_into(user, rng, state0);
  return DP_OK;
}

/* ---- measurements ---- */

static dp_status law_of(const lister *k, int i, dpi_sensor_noise *law) {
  static const dpi_sensor_noise of[] = {
      [DPI_NOISE_NORMAL] = DPI_SENSOR_NORMAL,          [DPI_NOISE_LOG_NORMAL] = DPI_SENSOR_LOGNORMAL,
      [DPI_NOISE_LOG10_NORMAL] = DPI_SENSOR_LOGNORMAL, [DPI_NOISE_LAPLACE] = DPI_SENSOR_LAPLACE,
      [DPI_NOISE_LOG_LAPLACE] = DPI_SENSOR_LOGLAPLACE, [DPI_NOISE_LOG10_LAPLACE] = DPI_SENSOR_LOGLAPLACE};
  const dpi_noise n = k->noise[i];
  *law = of[n];
  k->unit[i] = n == DPI_NOISE_LOG10_NORMAL || n == DPI_NOISE_LOG10_LAPLACE ? LN_10 : 1;
  return DP_OK;
}

/* What is known of a measurement: its value, or on which side of a number it lies. */
static dp_status value_of(const lister *k, int i, dp_observation *o) {
  const dpi_calib_datum *d = k->from[i];
  const char *text = d->high ? d->high : d->low;
  char *end;
  o->value = d->value;
  o->censored = 0;
  if (!text) return DP_OK;
  if (d->low && d->high)
    return dpi_fail(
        k->a->ctx, DP_ERR_UNSUPPORTED,
        "%s: the measurement is known to lie between two bounds: observation by observation one of them can be "
        "taken, not both",
        d->where);
  o->value = strtod(text, &end);
  o->censored = d->high ? 1 : -1;
  if (end != text && !*end) return DP_OK;
  return dpi_fail(k->a->ctx, DP_ERR_UNSUPPORTED,
                  "%s: the measurement is ordinal: its thresholds have no prior to begin with", d->where);
}

/* Data by number, from all models. */
static dp_status collect(lister *k) {
  const dp_problem *p = k->a->calib;
  for (int m = 0; m < p->file.ntable; m++) {
    const dpi_calib_table *t = &p->file.table[m];
    for (int d = 0; d < t->ndatum; d++) {
      k->from[t->number[d]] = &t->datum[d];
      k->noise[t->number[d]] = t->observable[t->datum[d].observable].distribution;
    }
  }
  return DP_OK;
}

/* Sensors: pairs of an observable and an experiment, as they come. A pair may be in two models: then it is two. */
static dp_status find_sensor(lister *k, int i, int *pair) {
  dp_assimilation *a = k->a;
  const dp_problem_desc *d = &a->calib->desc;
  dpi_sensor_noise law;
  DP_TRY(law_of(k, i, &law));
  for (int s = 0; s < a->nsensor; s++) {
    const int j = pair[s];
    if (d->datum_observable[j] == d->datum_observable[i] && a->sensor[s].noise == law &&
        strcmp(d->datum_experiment[j], d->datum_experiment[i]) == 0) {
      k->sensor[i] = s;
      return DP_OK;
    }
  }
  const char *observable = d->observable[d->datum_observable[i]], *experiment = d->datum_experiment[i];
  const char *id = d->nexperiment > 1 ? dpi_arena_printf(&a->arena, "%s@%s", observable, experiment) : observable;
  if (!id) return DP_ERR_MEMORY;
  const int s = k->sensor[i] = a->nsensor++;
  pair[s] = i;
  a->sensor[s] = (dpi_sensor){.id = id, .noise = law, .scale_given = true, .scale_output = 1};
  a->desc[s] = (dp_sensor_desc){id, ""};
  return DP_OK;
}

typedef struct place {
  double time;
  int order, number;
} place;

static int by_place(const void *pa, const void *pb) {
  const place *a = pa, *b = pb;
  if (a->time != b->time) return a->time < b->time ? -1 : 1;
  if (a->order != b->order) return a->order < b->order ? -1 : 1;
  return (a->number > b->number) - (a->number < b->number);
}

/* Which of its sensor's measurements at its time each one is: neighbours once they are sorted by that. */
static int by_sensor(const void *pa, const void *pb) {
  const place *a = pa, *b = pb;
  if (a->order != b->order) return a->order < b->order ? -1 : 1;
  if (a->time != b->time) return a->time < b->time ? -1 : 1;
  return (a->number > b->number) - (a->number < b->number);
}

static dp_status sort_data(lister *k) {
  const dp_problem_desc *d = &k->a->calib->desc;
  place *p = DPI_ARENA_ARRAY(&k->a->arena, place, d->ndatum + 1);
  if (!p) return DP_ERR_MEMORY;
  for (int i = 0; i < d->ndatum; i++) p[i] = (place){d->datum_time[i], k->sensor[i], i};
  qsort(p, (size_t)d->ndatum, sizeof *p, by_sensor);
  for (int i = 0; i < d->ndatum; i++) {
    const bool again = i && p[i].time == p[i - 1].time && k->sensor[p[i].number] == k->sensor[p[i - 1].number];
    k->order[p[i].number] = again ? k->order[p[i - 1].number] + 1 : 0;
  }
  for (int i = 0; i < d->ndatum; i++) p[i].order = k->order[p[i].number];
  qsort(p, (size_t)d->ndatum, sizeof *p, by_place);
  for (int i = 0; i < d->ndatum; i++) k->sorted[i] = p[i].number;
  return DP_OK;
}

static dp_status list_data(lister *k) {
  dp_assimilation *a = k->a;
  const dp_problem_desc *d = &a->calib->desc;
  const size_t n = (size_t)d->ndatum + 1;
  k->from = DPI_ARENA_ARRAY(&a->arena, const dpi_calib_datum *, n);
  k->noise = DPI_ARENA_ARRAY(&a->arena, dpi_noise, n);
  k->sensor = DPI_ARENA_ARRAY(&a->arena, int, n);
  k->order = DPI_ARENA_ARRAY(&a->arena, int, n);
  k->unit = DPI_ARENA_ARRAY(&a->arena, double, n);
  a->datum = k->sorted = DPI_ARENA_ARRAY(&a->arena, int, n);
  a->sensor = DPI_ARENA_ARRAY(&a->arena, dpi_sensor, n);
  a->desc = DPI_ARENA_ARRAY(&a->arena, dp_sensor_desc, n);
  a->record_obs = DPI_ARENA_ARRAY(&a->arena, dp_observation, n);
  int *pair = DPI_ARENA_ARRAY(&a->arena, int, n);
  if (!k->from || !k->noise || !k->sensor || !k->order || !k->unit || !k->sorted || !a->sensor || !a->desc ||
      !a->record_obs || !pair)
    return DP_ERR_MEMORY;
  DP_TRY(collect(k));
  for (int i = 0; i < d->ndatum; i++) DP_TRY(find_sensor(k, i, pair));
  DP_TRY(sort_data(k));
  for (int r = 0; r < d->ndatum; r++) {
    const int i = k->sorted[r];
    const char *line = strrchr(d->datum_where[i], ':');
    dp_observation *o = &a->record_obs[r];
    *o = (dp_observation){
        .time = d->datum_time[i], .order = k->order[i], .sensor = k->sensor[i], .line = line ? atoi(line + 1) : 0};
    DP_TRY(value_of(k, i, o));
  }
  a->nrecord = d->ndatum;
  return DP_OK;
}

/* The process's time is the place in the record. */
dp_status dpi_assimilation_problem_reading(const dp_assimilation *a, const dp_observation *o, int k, dpi_reading *r) {
  int low = 0, high = a->nrecord;
  while (low < high) { /* the first one at this time and order */
    const int mid = (low + high) / 2;
    const dp_observation *m = &a->record_obs[mid];
    if (m->time < o->time || (m->time == o->time && m->order < o->order))
      low = mid + 1;
    else
      high = mid;
  }
  for (; low < a->nrecord && a->record_obs[low].time == o->time && a->record_obs[low].order == o->order; low++)
    if (a->record_obs[low].sensor == o->sensor) {
      *r = (dpi_reading){.time = low + 1, .sensor = o->sensor, .y = o->value, .censored = o->censored};
      return DP_OK;
    }
  return dpi_fail(a->ctx, DP_ERR_INPUT, "observation %d of '%s' at %.9g: %s measures nothing there", k,
                  a->sensor[o->sensor].id, o->time, a->calib->desc.name);
}

/* ---- what learns ---- */

static dp_status check_problem(const dp_assimilation *a, int method, double *x) {
  const dp_problem_desc *d = &a->calib->desc;
  dpi_density *density = &a->calib->density;
  if (a->def.sensor || a->def.time || a->def.belief || a->def.known)
    return dpi_fail(a->ctx, DP_ERR_USAGE,
                    "%s is a calibration problem: its sensors, times and prior are those of its tables", d->name);
  if (method == 1)
    return dpi_fail(a->ctx, DP_ERR_UNSUPPORTED,
                    "%s: smc2 is for what changes at random, and nothing does in a calibration problem: use ibis",
                    d->name);
  if (d->nparam < 1) return dpi_fail(a->ctx, DP_ERR_INPUT, "%s: no parameter is estimated", d->name);
  if (d->nparam > DPI_EIG_MAX && method == 0)
    return dpi_fail(a->ctx, DP_ERR_UNSUPPORTED,
                    "%s: %d parameters, ibis can learn up to %d: use esrf, or sample with smc", d->name, d->nparam,
                    DPI_EIG_MAX);
  return density->ops->prior_draw(density, a->def.seed, 0, x);
}

static dp_status learn(dp_assimilation *a, const lister *k, int method) {
  const int n = a->calib->desc.nparam;
  const dpi_process_problem_def def = {.problem = a->calib, .datum = k->sorted, .unit = k->unit, .state = method >= 2};
  a->nfree = n;
  a->index = DPI_ARENA_ARRAY(&a->arena, int, n + 1);
  if (!a->index) return DP_ERR_MEMORY;
  for (int q = 0; q < n; q++) a->index[q] = q;
  DP_TRY(dpi_process_problem(&def, &a->process));
  a->last = a->process->start - 1;
  a->problem = (dpi_problem){.process = a->process,
                             .sensor = a->sensor,
                             .nsensor = a->nsensor,
                             .begin = method >= 2 ? begin_member : NULL,
                             .user = a};
  a->prior_def = (dpi_static_prior){.n = n, .param = a->index, .logprior = log_prior, .draw = draw_prior, .user = a};
  return dpi_assimilation_learn(a, method, NULL, 0);
}

static dp_status make(dp_assimilation *a) {
  lister k = {.a = a};
  int method;
  DP_TRY(dpi_assimilation_check(a));
  DP_TRY(dpi_assimilation_find_method(a, &method));
  double *x = DPI_ARENA_ARRAY(&a->arena, double, a->calib->desc.nparam + 1);
  if (!x) return DP_ERR_MEMORY;
  DP_TRY(list_data(&k)); /* first: an ordinal measurement is named before its thresholds are */
  DP_TRY(check_problem(a, method, x));
  return learn(a, &k, method);
}

/* ---- the calls ---- */

dp_status dp_assimilation_problem(dp_problem *problem, const dp_assimilation_def *def, dp_assimilation **out) {
  *out = NULL;
  dp_assimilation *a = DPI_NEW(problem->ctx, dp_assimilation);
  if (!a) return DP_ERR_MEMORY;
  a->ctx = problem->ctx;
  a->calib = problem->full ? problem->full : problem;
  a->density = &a->calib->density;
  a->def = *def;
  dpi_arena_init(&a->arena, a->ctx);
  const dp_status status = make(a);
  if (status == DP_OK)
    *out = a;
  else
    dp_assimilation_destroy(a);
  return status;
}
