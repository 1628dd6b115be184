/* insulin_study.c - floor 8: twins of virtual people on insulin: what they foretell of another therapy, and what
 * therapy they choose (insulin.h).
 *
 * Days by number: 0 the days from which the twin learns, lived under A and, the same meals, under B; 1 the days on
 * which the twin rehearses therapies; 2 the days on which A and C are compared. Sensor errors: 0 under A, 3 under B, 2
 * on the last days (the same for A and C). Rehearsed meals are of the twin's own invention; what it says of days has
 * errors of the sensor and of its model in it (insulin_outlook.c).
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bench/insulin_impl.h"
#include "doppel/glucose.h"

#define COOKIE 0x696e7331u
enum { PURPOSE_PEOPLE = 0x494e5303, NRESAMPLE = 2000, SEARCHES = 6 };

static const dp_insulin_therapy START = {1, 1, 1};

dp_insulin_def dp_insulin_def_default(void) {
  return (dp_insulin_def){.cookie = COOKIE,
                          .people = "twins/s2008",
                          .twin = "twins/insulin",
                          .work = ".",
                          .days = 7,
                          .after = 14,
                          .every = 15,
                          .ndraw = 200,
                          .ntune = 50,
                          .other = {.basal = 0.9, .ratio = 0.8, .factor = 0.9},
                          .seed = 1};
}

static double processor(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct study {
  dp_ctx *ctx;
  const dp_insulin_def *def;
  dpi_insulin_people people;
  dpi_insulin_world body, model;
  dp_kind *kind;
  dp_prior *prior;
  dp_tune *tune; /* NULL: nothing is tuned */
} study;

/* ---------------------------------------------------------------- one person's days */

/* Under a therapy: subcutaneous glucose [nt], boluses [meals->n]. */
static dp_status live(dpi_arena *arena, const dpi_insulin_case *c, const dpi_meals *meals, dp_insulin_therapy therapy,
                      double *glucose, double *bolus) {
  double *param = DPI_ARENA_ARRAY(arena, double, dp_sim_describe(c->body->kind->sim)->nparam);
  if (!param) return DP_ERR_MEMORY;
  DP_TRY(dpi_insulin_person_param(c->body, c->people, c->row, therapy, param));
  return dpi_insulin_live(c->body, param, 1, meals, NULL, glucose, bolus);
}

/* The twin of the days under A. */
static dp_status learn(dpi_arena *arena, const dpi_insulin_case *c, dpi_meals *meals, dp_insulin_person *o,
                       dp_belief **out) {
  const int nt = meals->days * DPI_INSULIN_DAY + 1;
  const dp_sensor_model sensor = dp_sensor_model_default();
  double *glucose = DPI_ARENA_ARRAY(arena, double, nt), *shown = DPI_ARENA_ARRAY(arena, double, nt),
         *bolus = DPI_ARENA_ARRAY(arena, double, meals->n);
  dp_record *record = NULL;
  if (!glucose || !shown || !bolus) return DP_ERR_MEMORY;
  DP_TRY(dpi_insulin_errors(c, 0, meals, shown));
  DP_TRY(live(arena, c, meals, START, glucose, bolus));
  dpi_insulin_ranges(glucose, nt, &o->tir_a, &o->tbr_a);
  for (int k = 0; k < nt; k++) shown[k] = dp_sensor_show(&sensor, glucose[k], shown[k]);
  DP_TRY(dpi_insulin_record(c, meals, shown, bolus, &record));
  dp_assimilate_def def = dp_assimilate_def_default();
  def.seed = c->def->seed;
  def.nstart = 4;
  def.khat = 0.5;
  def.nproposal = 1000; /* a round; further rounds come as the weights need them */
  double begin = processor();
  dp_status status = dp_assimilate(c->kind, record, 0, 1440.0 * meals->days, c->prior, &def, out);
  o->seconds = processor() - begin;
  dp_record_destroy(record);
  if (status != DP_OK) return status;
  o->usable = (*out)->usable;
  o->ess = (*out)->ess;
  o->khat = (*out)->khat;
  return DP_OK;
}

/* ---------------------------------------------------------------- another therapy foretold */

/* Share of the readings within the 90 % bands of what the sensor would show. */
static double coverage(const dpi_insulin_outlook *o, const double *draw, const double *shown, double *work) {
  const dp_sensor_model sensor = dp_sensor_model_default();
  int in = 0;
  for (int k = 1; k < o->nt; k++) {
    for (int i = 0; i < o->n; i++)
      work[i] = dp_sensor_show(&sensor, draw[(size_t)i * o->nt + k], o->sensor[(size_t)i * o->nt + k]);
    dpi_sort(work, o->n);
    in += shown[k] >= dpi_quantile_weighted(work, NULL, o->n, 0.05, NULL) &&
          shown[k] <= dpi_quantile_weighted(work, NULL, o->n, 0.95, NULL);
  }
  return (double)in / (o->nt - 1);
}

static dp_status foretell(dpi_arena *arena, const dpi_insulin_case *c, dpi_meals *meals, const dp_belief *b,
                          dp_insulin_person *o) {
  const int nt = meals->days * DPI_INSULIN_DAY + 1, n = c->def->ndraw < b->ndraw ? c->def->ndraw : b->ndraw;
  const dp_sensor_model sensor = dp_sensor_model_default();
  double *glucose = DPI_ARENA_ARRAY(arena, double, nt), *shown = DPI_ARENA_ARRAY(arena, double, nt),
         *draw = DPI_ARENA_ARRAY(arena, double, (size_t)n *nt), *in = DPI_ARENA_ARRAY(arena, double, 3 * (size_t)n),
         *low = in + n, *work = in + 2 * n;
  dpi_insulin_outlook outlook;
  if (!glucose || !shown || !draw || !in) return DP_ERR_MEMORY;
  /* what happens: boluses go by readings */
  DP_TRY(dpi_insulin_errors(c, 3, meals, shown));
  DP_TRY(live(arena, c, meals, c->def->other, glucose, NULL));
  dpi_insulin_ranges(glucose, nt, &o->tir_b, &o->tbr_b);
  for (int k = 0; k < nt; k++) shown[k] = dp_sensor_show(&sensor, glucose[k], shown[k]);
  /* what the twin says beforehand, of errors of its own */
  DP_TRY(dpi_insulin_outlook_make(arena, c, b, n, meals, &outlook));
  DP_TRY(dpi_insulin_outlook_say(&outlook, c->def->other, draw));
  for (int i = 0; i < n; i++) dpi_insulin_ranges(draw + (size_t)i * nt, nt, &in[i], &low[i]);
  o->tir_said = dpi_sum(in, n) / n;
  o->tbr_said = dpi_sum(low, n) / n;
  dpi_sort(in, n);
  o->tir_low = dpi_quantile_weighted(in, NULL, n, 0.05, NULL);
  o->tir_high = dpi_quantile_weighted(in, NULL, n, 0.95, NULL);
  o->covered = coverage(&outlook, draw, shown, work);
  return DP_OK;
}

/* ---------------------------------------------------------------- a therapy chosen */

static dp_status tune(dpi_arena *arena, const dpi_insulin_case *c, const dp_belief *b, dp_insulin_person *o) {
  dpi_meals meals;
  o->tuned = START;
  if (b->usable) DP_TRY(dpi_insulin_tune(arena, c, b, &o->tuned)); /* else nothing is proposed */
  DP_TRY(dpi_insulin_meals_make(arena, c, 2, c->def->after, &meals));
  const int nt = meals.days * DPI_INSULIN_DAY + 1;
  double *glucose = DPI_ARENA_ARRAY(arena, double, nt);
  if (!glucose) return DP_ERR_MEMORY;
  DP_TRY(dpi_insulin_errors(c, 2, &meals, glucose));
  DP_TRY(live(arena, c, &meals, START, glucose, NULL));
  dpi_insulin_ranges(glucose, nt, &o->tir_start, &o->tbr_start);
  DP_TRY(live(arena, c, &meals, o->tuned, glucose, NULL));
  dpi_insulin_ranges(glucose, nt, &o->tir_tuned, &o->tbr_tuned);
  return DP_OK;
}

static dp_status loops(dpi_arena *arena, const dpi_insulin_case *c, const dp_belief *b, dp_insulin_person *o) {
  dpi_meals meals;
  DP_TRY(dpi_insulin_meals_make(arena, c, 2, c->def->after, &meals));
  const int nt = meals.days * DPI_INSULIN_DAY + 1;
  double *error = DPI_ARENA_ARRAY(arena, double, nt), *glucose = DPI_ARENA_ARRAY(arena, double, nt);
  if (!error || !glucose) return DP_ERR_MEMORY;
  DP_TRY(dpi_insulin_errors(c, 2, &meals, error));
  for (int r = 0; r < DP_INSULIN_NRULE; r++) {
    DP_TRY(dpi_insulin_loop(c, b, (dp_insulin_rule)r, o->tuned, &meals, error, glucose));
    dpi_insulin_ranges(glucose, nt, &o->tir_loop[r], &o->tbr_loop[r]);
  }
  return DP_OK;
}

/* ---------------------------------------------------------------- everybody */

static dp_status case_of(const study *s, int row, dpi_insulin_case *c) {
  const dpi_insulin_people *p = &s->people;
  *c = (dpi_insulin_case){
      .def = s->def, .body = &s->body, .model = &s->model, .kind = s->kind, .prior = s->prior, .tune = s->tune,
      .people = p, .row = row};
  DP_TRY(dpi_table_text(p->t, row, p->id, &c->id));
  DP_TRY(dpi_table_number(p->t, row, p->bw, &c->bw));
  DP_TRY(dpi_table_number(p->t, row, p->basal, &c->basal));
  DP_TRY(dpi_table_number(p->t, row, p->cr, &c->cr));
  DP_TRY(dpi_table_number(p->t, row, p->cf, &c->cf));
  if (strlen(c->id) > 60 || strchr(c->id, '/'))
    return dpi_table_fail(p->t, row, p->id, "found '%.70s', expected at most 60 letters without '/'", c->id);
  c->stream = dpi_hash64(c->id) & ~(uint64_t)0xff;
  return DP_OK;
}

static dp_status person(const study *s, int row, dp_insulin_person *o) {
  dpi_insulin_case c;
  dpi_meals meals;
  dpi_arena arena;
  dp_belief *b = NULL;
  DP_TRY(case_of(s, row, &c));
  *o = (dp_insulin_person){
      .id = c.id, .tir_start = NAN, .tbr_start = NAN, .tir_tuned = NAN, .tbr_tuned = NAN, .tuned = START};
  dpi_arena_init(&arena, s->ctx);
  dp_status status = dpi_insulin_meals_make(&arena, &c, 0, s->def->days, &meals);
  if (status == DP_OK) status = learn(&arena, &c, &meals, o, &b);
  if (status == DP_OK) status = foretell(&arena, &c, &meals, b, o);
  if (status == DP_OK && s->def->ntune > 0) status = tune(&arena, &c, b, o);
  for (int r = 0; r < DP_INSULIN_NRULE; r++) o->tir_loop[r] = o->tbr_loop[r] = NAN;
  if (status == DP_OK && s->def->nloop > 0) status = loops(&arena, &c, b, o);
  dp_belief_destroy(b);
  dpi_arena_release(&arena);
  return status;
}

static double median(double *x, int n) {
  dpi_sort(x, n);
  return n % 2 ? x[n / 2] : 0.5 * (x[n / 2 - 1] + x[n / 2]);
}

/* Mean of x and its 95 % interval by resampling people; work: NRESAMPLE. */
static void mean_interval(uint64_t seed, const double *x, int n, double *work, double *mean, double *low,
                          double *high) {
  dpi_rng rng = dpi_rng_make(seed, 0, PURPOSE_PEOPLE);
  *mean = dpi_sum(x, n) / n;
  for (int r = 0; r < NRESAMPLE; r++) {
    work[r] = 0;
    for (int i = 0; i < n; i++) {
      int k = (int)(dpi_rng_uniform(&rng) * n);
      work[r] += x[k < n ? k : n - 1] / n;
    }
  }
  dpi_sort(work, NRESAMPLE);
  *low = dpi_quantile_weighted(work, NULL, NRESAMPLE, 0.025, NULL);
  *high = dpi_quantile_weighted(work, NULL, NRESAMPLE, 0.975, NULL);
}

static dp_status add_up(const study *s, const dp_insulin_person *p, int n, dp_insulin_sum *sum) {
  double *x = DPI_NEW_ARRAY(s->ctx, double, n + NRESAMPLE), *work = x + n;
  if (!x) return DP_ERR_MEMORY;
  *sum = (dp_insulin_sum){.npeople = n};
  for (int i = 0; i < n; i++) {
    for (int r = 0; r < DP_INSULIN_NRULE; r++) {
      sum->tir_loop[r] += p[i].tir_loop[r] / n;
      sum->tbr_loop[r] += p[i].tbr_loop[r] / n;
    }
    sum->nusable += p[i].usable;
    sum->covered += p[i].covered / n;
    sum->ncovered_tir += p[i].tir_b >= p[i].tir_low && p[i].tir_b <= p[i].tir_high;
    sum->nraised_tir += p[i].tir_tuned > p[i].tir_start;
    sum->nraised_tbr += p[i].tbr_tuned > p[i].tbr_start;
    sum->nraised += p[i].tir_tuned > p[i].tir_start && p[i].tbr_tuned <= p[i].tbr_start;
    sum->nheld += p[i].tir_tuned >= p[i].tir_start && p[i].tbr_tuned <= p[i].tbr_start;
    sum->nkept += p[i].tuned.basal == START.basal && p[i].tuned.ratio == START.ratio &&
                  p[i].tuned.factor == START.factor;
    const double *tir = p[i].tir_loop, *tbr = p[i].tbr_loop;
    const bool no_lower = tbr[DP_INSULIN_TWIN] <= tbr[DP_INSULIN_OPEN];
    sum->nraised_loop += tir[DP_INSULIN_TWIN] > tir[DP_INSULIN_OPEN] && no_lower;
    sum->nheld_loop += tir[DP_INSULIN_TWIN] >= tir[DP_INSULIN_OPEN] && no_lower;
    sum->nfull += (s->def->ntune > 0 ? p[i].tir_start : tir[DP_INSULIN_OPEN]) == 1;
  }
  for (int i = 0; i < n; i++) x[i] = 100 * fabs(p[i].tir_said - p[i].tir_b);
  sum->tir_error = median(x, n);
  for (int i = 0; i < n; i++) x[i] = 100 * fabs(p[i].tbr_said - p[i].tbr_b);
  sum->tbr_error = median(x, n);
  for (int i = 0; i < n; i++) x[i] = 100 * (p[i].tir_tuned - p[i].tir_start);
  mean_interval(s->def->seed, x, n, work, &sum->tir_gain, &sum->tir_gain_low, &sum->tir_gain_high);
  for (int i = 0; i < n; i++) x[i] = 100 * (p[i].tbr_tuned - p[i].tbr_start);
  mean_interval(s->def->seed, x, n, work, &sum->tbr_change, &sum->tbr_change_low, &sum->tbr_change_high);
  for (int i = 0; i < n; i++) x[i] = 100 * (p[i].tir_loop[DP_INSULIN_TWIN] - p[i].tir_loop[DP_INSULIN_OPEN]);
  mean_interval(s->def->seed, x, n, work, &sum->loop_gain, &sum->loop_gain_low, &sum->loop_gain_high);
  for (int i = 0; i < n; i++) x[i] = 100 * (p[i].tbr_loop[DP_INSULIN_TWIN] - p[i].tbr_loop[DP_INSULIN_OPEN]);
  mean_interval(s->def->seed, x, n, work, &sum->loop_change, &sum->loop_change_low, &sum->loop_change_high);
  dpi_free(s->ctx, x);
  return DP_OK;
}

static bool therapy_good(dp_insulin_therapy t) {
  return t.basal >= 0 && t.basal <= 5 && t.ratio > 0.05 && t.ratio <= 20 && t.factor > 0.05 && t.factor <= 20;
}

static dp_status study_open(study *s) {
  const dp_insulin_def *d = s->def;
  if (d->cookie != COOKIE) return dpi_fail(s->ctx, DP_ERR_USAGE, "expected a definition from dp_insulin_def_default");
  if (d->meals > DP_INSULIN_RANDOM) return dpi_fail(s->ctx, DP_ERR_USAGE, "expected regular or random days");
  if (d->days < 1 || d->days > 60 || d->after < 1 || d->after > 60)
    return dpi_fail(s->ctx, DP_ERR_USAGE, "expected 1 to 60 days to learn from, and to compare on");
  if (d->ndraw < 20 || d->ndraw > 1000 || d->ntune < 0 || d->ntune > 1000 || d->nloop < 0 ||
      d->nloop > DPI_INSULIN_LOOP_DRAWS || !(d->every >= 5) || fmod(d->every, 5) != 0 || d->every > 240 ||
      !therapy_good(d->other) || strlen(d->work) > 1000)
    return dpi_fail(s->ctx, DP_ERR_USAGE,
                    "expected 20 to 1000 draws, readings every 5, 10, 15 ... min, factors of therapy within 0.05 to 20 "
                    "(basal 0 to 5)");
  DP_TRY(dpi_insulin_people_read(s->ctx, d->people, &s->people));
  DP_TRY(dpi_insulin_world_open(s->ctx, d->people, true, &s->body));
  DP_TRY(dpi_insulin_world_open(s->ctx, d->twin, false, &s->model));
  DP_TRY(dp_kind_load(s->ctx, d->twin, &s->kind));
  if (d->ntune > 0) DP_TRY(dpi_insulin_tuning_open(s->ctx, d, &s->tune));
  return dp_prior_nominal(s->kind, &s->prior);
}

static void study_close(study *s) {
  dp_tune_destroy(s->tune);
  dp_prior_destroy(s->prior);
  dp_kind_destroy(s->kind);
  dpi_insulin_world_close(&s->model);
  dpi_insulin_world_close(&s->body);
  dpi_table_destroy(s->people.t);
}

static dp_status study_run(study *s, dp_insulin_fn each, void *user, dp_insulin_sum *sum) {
  int n = 0;
  dp_insulin_person *p = DPI_NEW_ARRAY(s->ctx, dp_insulin_person, s->people.t->nrow + 1);
  dp_status status = p ? DP_OK : DP_ERR_MEMORY;
  for (int row = 0; row < s->people.t->nrow && status == DP_OK; row++) {
    const char *id = dpi_table_cell(s->people.t, row, s->people.id);
    if (s->def->only && strcmp(s->def->only, id) != 0) continue;
    status = person(s, row, &p[n]);
    if (status == DP_OK) each(user, &p[n++]);
  }
  if (status == DP_OK && n == 0)
    status = dpi_fail(s->ctx, DP_ERR_INPUT, "%s: has nobody%s%s", s->people.t->source, s->def->only ? " of id " : "",
                      s->def->only ? s->def->only : "");
  if (status == DP_OK) status = add_up(s, p, n, sum);
  dpi_free(s->ctx, p);
  return status;
}

dp_status dp_insulin_study(dp_ctx *ctx, const dp_insulin_def *def, dp_insulin_fn each, void *user,
                           dp_insulin_sum *sum) {
  study s = {.ctx = ctx, .def = def};
  dp_status status = study_open(&s);
  if (status == DP_OK) status = study_run(&s, each, user, sum);
  study_close(&s);
  return status;
}

/* ---------------------------------------------------------------- a day's twin found again and again */

/* The person's first day as a problem; *record is the caller's. */
static dp_status day_problem(const study *s, dp_record **record, dpi_person **out) {
  dpi_insulin_case c;
  dpi_meals meals;
  dpi_arena arena;
  dp_insulin_def def = *s->def;
  const dp_sensor_model sensor = dp_sensor_model_default();
  double glucose[DPI_INSULIN_DAY + 1], shown[DPI_INSULIN_DAY + 1], bolus[DPI_INSULIN_MEALS], omega[64 * 64];
  int row = 0;
  while (row < s->people.t->nrow && s->def->only &&
         strcmp(s->def->only, dpi_table_cell(s->people.t, row, s->people.id)) != 0)
    row++;
  if (row == s->people.t->nrow) return dpi_fail(s->ctx, DP_ERR_INPUT, "%s: has nobody of that id", s->people.t->source);
  DP_TRY(case_of(s, row, &c));
  def.every = DPI_INSULIN_STEP;
  c.def = &def;
  dpi_arena_init(&arena, s->ctx);
  dp_status status = dpi_insulin_meals_make(&arena, &c, 0, 1, &meals);
  if (status == DP_OK) status = dpi_insulin_errors(&c, 0, &meals, shown);
  if (status == DP_OK) status = live(&arena, &c, &meals, START, glucose, bolus);
  for (int k = 0; k <= DPI_INSULIN_DAY && status == DP_OK; k++)
    shown[k] = dp_sensor_show(&sensor, glucose[k], shown[k]);
  if (status == DP_OK) status = dpi_insulin_record(&c, &meals, shown, bolus, record);
  dpi_arena_release(&arena);
  if (status == DP_OK) status = dpi_person_create(s->kind, *record, 0, 1440, false, out);
  if (status != DP_OK) return status;
  (*out)->typical = s->prior->typical;
  dpi_person_omega(*out, s->prior->omega, omega);
  return dpi_indiv_prior((*out)->iv, omega);
}

static dp_status many_starts(dpi_person *p, uint64_t seed, int nstart, dp_insulin_search *o) {
  const dpi_mode_def def = dpi_mode_def_default();
  const int n = p->iv->dim;
  double x[64], z[64], *l = DPI_NEW_ARRAY(p->ctx, double, nstart), begin = processor();
  dp_status status = l ? DP_OK : DP_ERR_MEMORY;
  dpi_rng rng = dpi_rng_make(seed, 0, DPI_RNG_START);
  o->best = INFINITY;
  for (int k = 0; k < nstart && status == DP_OK; k++) {
    dpi_mode m;
    for (int a = 0; a < n; a++) z[a] = dpi_rng_normal(&rng);
    dpi_tri_mul_lower(p->iv->chol, n, z, x);
    status = dpi_mode_find(p->iv, &def, x, &m);
    l[k] = m.ok ? 0.5 * m.l : INFINITY;
    o->best = fmin(o->best, l[k]);
  }
  for (int k = 0; k < nstart && status == DP_OK; k++) o->nbest += l[k] - o->best <= 1e-3;
  o->seconds_many = processor() - begin;
  dpi_free(p->ctx, l);
  return status;
}

static dp_status seeds(dpi_person *p, int nseed, double best, dp_insulin_search *o) {
  const dpi_mode_def def = dpi_mode_def_default();
  for (int k = 1; k <= nseed; k++) {
    double x[4 * 64], begin = processor();
    dpi_mode mode[4];
    int nmode = 0;
    DP_TRY(dpi_mode_multi(p->iv, &def, NULL, SEARCHES, dpi_rng_make((uint64_t)k, p->c->stream, DPI_RNG_START), 4, x,
                          mode, &nmode));
    double spent = processor() - begin, excess = nmode ? 0.5 * mode[0].l - best : INFINITY;
    o->nfound += excess <= 1e-3;
    o->worst = k == 1 ? excess : fmax(o->worst, excess);
    o->seconds_mean += spent / nseed;
    o->seconds_most = fmax(o->seconds_most, spent);
  }
  o->nseed = nseed;
  return DP_OK;
}

static dp_status identify(const study *s, int nseed, int nstart, dp_insulin_search *out) {
  dp_record *record = NULL;
  dpi_person *p = NULL;
  dp_belief *b = NULL;
  dp_status status = day_problem(s, &record, &p);
  if (status == DP_OK) status = many_starts(p, s->def->seed, nstart, out);
  if (status == DP_OK) status = seeds(p, nseed, out->best, out);
  dp_assimilate_def def = dp_assimilate_def_default();
  def.nproposal = 3500; /* a round; further rounds from an adapted mixture until the draws are worth as many */
  def.ess = def.ndraw;
  def.nstart = SEARCHES;
  def.khat = 0.5;
  const double begin = processor(), wall = dpi_clock_s();
  if (status == DP_OK) status = dp_assimilate(s->kind, record, 0, 1440, s->prior, &def, &b);
  if (status == DP_OK) {
    out->posterior_seconds = processor() - begin;
    out->posterior_wall = dpi_clock_s() - wall;
    out->posterior_ess = b->ess;
  }
  dp_belief_destroy(b);
  dpi_person_destroy(p);
  dp_record_destroy(record);
  return status;
}

dp_status dp_insulin_identify(dp_ctx *ctx, const dp_insulin_def *def, int nseed, int nstart, dp_insulin_search *out) {
  dp_insulin_def untuned = *def;
  untuned.ntune = 0;
  study s = {.ctx = ctx, .def = &untuned};
  *out = (dp_insulin_search){0};
  dp_status status = study_open(&s);
  if (status == DP_OK && (nseed < 1 || nstart < 1))
    status = dpi_fail(ctx, DP_ERR_USAGE, "expected 1 or more seeds and starts");
  if (status == DP_OK) status = identify(&s, nseed, nstart, out);
  study_close(&s);
  return status;
}
