/* The experiment on insulin, compared with: the rule of therapy worked out by hand from the glucose it saw; the twin's
 * model with the rule in it against the twin's kind fed with the record that came out (boluses as rows, a lag by its
 * control); what is said of a therapy against lives of single members put together here; refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/insulin_impl.h"

#define TWINS DOPPEL_SOURCE_DIR "/twins"
enum { DAYS = 2, NT = DAYS * DPI_INSULIN_DAY + 1 };
static const dp_insulin_therapy START = {1, 1, 1}, TUNED = {1, 2, 2};

#define OK(expression) \
  if ((expression) != DP_OK) fail_msg("%s", dp_ctx_error(ctx))

static void rule_and_record_agree(void **state) {
  (void)state;
  dp_ctx *ctx;
  dp_ctx_def context = dp_ctx_def_default();
  char work[] = "/tmp/doppel-insulin-XXXXXX", path[200];
  assert_int_equal(dp_ctx_create(&context, &ctx), DP_OK);
  assert_non_null(mkdtemp(work));
  dp_insulin_def def = dp_insulin_def_default();
  def.work = work;
  def.every = 5;
  dpi_insulin_people people;
  dpi_insulin_world model;
  dp_kind *kind;
  dp_prior *prior;
  OK(dpi_insulin_people_read(ctx, TWINS "/s2008", &people));
  OK(dpi_insulin_world_open(ctx, TWINS "/insulin", false, &model));
  OK(dp_kind_load(ctx, TWINS "/insulin", &kind));
  OK(dp_prior_nominal(kind, &prior));
  dpi_arena arena;
  dpi_arena_init(&arena, ctx);
  dpi_insulin_case c = {.def = &def,
                        .model = &model,
                        .kind = kind,
                        .prior = prior,
                        .people = &people,
                        .id = "adult#004",
                        .bw = 63,
                        .basal = 0.9,
                        .cr = 16,
                        .cf = 42,
                        .stream = 256};
  dpi_meals meals;
  double eta[64] = {0}, error[NT], glucose[NT], bolus[DAYS * DPI_INSULIN_MEALS];
  double *param = calloc((size_t)dp_sim_describe(model.kind->sim)->nparam, sizeof *param);
  OK(dpi_insulin_meals_make(&arena, &c, 0, DAYS, &meals));
  OK(dpi_insulin_errors(&c, 0, &meals, error));
  dpi_insulin_twin_param(&c, eta, START, param);
  OK(dpi_insulin_live(&model, param, 1, &meals, NULL, glucose, bolus));
  for (int k = 0; k < meals.n; k++) {
    int at = (int)(meals.time[k] / DPI_INSULIN_STEP);
    double want = meals.gram[k] / 16 + fmax(0, glucose[at] + error[at] - 140) / 42;
    if (fabs(bolus[k] - want) > 1e-9) fail_msg("meal %d: %.12g U, expected %.12g", k, bolus[k], want);
  }
  /* the same from rows of a record */
  dp_record *record;
  dpi_person *p;
  OK(dpi_insulin_record(&c, &meals, glucose, bolus, &record));
  OK(dpi_person_create(kind, record, 0, 1440 * DAYS, false, &p));
  assert_int_equal(p->nobs, NT);
  double *f = calloc(2 * NT, sizeof *f), individual[64];
  uint8_t ok;
  dpi_person_batch out = {f, f + NT, individual, &ok};
  OK(dpi_person_simulate_by(p, kind->sim, eta, 1, &out));
  assert_true(ok);
  for (int k = 0; k < NT; k++)
    if (fabs(f[k] - glucose[k]) > 0.02) fail_msg("%d min: %.9g by record, %.9g by rule", 5 * k, f[k], glucose[k]);
  free(f);
  free(param);
  dpi_person_destroy(p);
  dp_record_destroy(record);
  dpi_arena_release(&arena);
  dp_prior_destroy(prior);
  dp_kind_destroy(kind);
  dpi_insulin_world_close(&model);
  dpi_table_destroy(people.t);
  snprintf(path, sizeof path, "%s/adult#004.csv", work);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(rmdir(work), 0);
  assert_int_equal(dpi_alloc_live(ctx), 0);
  dp_ctx_destroy(ctx);
}

/* Decisions from outside, step by step, give the open loop the glucose that the law in the sim gives; a twin that may
 * not be used decides nothing; one that may decides something, the same each time. */
static void loops(void **state) {
  (void)state;
  dp_ctx *ctx;
  dp_ctx_def context = dp_ctx_def_default();
  assert_int_equal(dp_ctx_create(&context, &ctx), DP_OK);
  dp_insulin_def def = dp_insulin_def_default();
  dpi_insulin_people people;
  dpi_insulin_world body, model;
  dp_kind *kind;
  def.nloop = 4;
  OK(dpi_insulin_people_read(ctx, TWINS "/s2008", &people));
  OK(dpi_insulin_world_open(ctx, TWINS "/s2008", true, &body));
  OK(dpi_insulin_world_open(ctx, TWINS "/insulin", false, &model));
  OK(dp_kind_load(ctx, TWINS "/insulin", &kind));
  dpi_arena arena;
  dpi_arena_init(&arena, ctx);
  dpi_insulin_case c = {
      .def = &def, .body = &body, .model = &model, .kind = kind, .people = &people, .row = 2, .stream = 512};
  OK(dpi_table_text(people.t, c.row, people.id, &c.id));
  OK(dpi_table_number(people.t, c.row, people.bw, &c.bw));
  OK(dpi_table_number(people.t, c.row, people.basal, &c.basal));
  OK(dpi_table_number(people.t, c.row, people.cr, &c.cr));
  OK(dpi_table_number(people.t, c.row, people.cf, &c.cf));
  dpi_meals meals;
  double error[NT], law[NT], open[NT], unusable[NT], twin[NT], again[NT], pid[NT], eta[4 * 64] = {0};
  double *param = calloc((size_t)dp_sim_describe(body.kind->sim)->nparam, sizeof *param);
  dp_belief belief = {.ndraw = 4, .neta = kind->neffect, .eta = eta};
  OK(dpi_insulin_meals_make(&arena, &c, 2, DAYS, &meals));
  OK(dpi_insulin_errors(&c, 2, &meals, error));
  OK(dpi_insulin_person_param(&body, &people, c.row, START, param));
  OK(dpi_insulin_live(&body, param, 1, &meals, NULL, law, NULL));
  OK(dpi_insulin_loop(&c, &belief, DP_INSULIN_OPEN, TUNED, &meals, error, open));
  for (int k = 0; k < NT; k++)
    if (fabs(open[k] - law[k]) > 0.02) fail_msg("%d min: %.9g step by step, %.9g by law", 5 * k, open[k], law[k]);
  OK(dpi_insulin_loop(&c, &belief, DP_INSULIN_TWIN, TUNED, &meals, error, unusable));
  assert_memory_equal(unusable, open, sizeof open);
  OK(dpi_insulin_loop(&c, &belief, DP_INSULIN_PID, TUNED, &meals, error, pid));
  belief.usable = 1; /* four draws: the typical person */
  OK(dpi_insulin_loop(&c, &belief, DP_INSULIN_TWIN, START, &meals, error, twin));
  OK(dpi_insulin_loop(&c, &belief, DP_INSULIN_TWIN, START, &meals, error, again));
  assert_memory_equal(twin, again, sizeof twin);
  OK(dpi_insulin_loop(&c, &belief, DP_INSULIN_TWIN, TUNED, &meals, error, again));
  assert_true(dpi_sum(again, NT) > dpi_sum(twin, NT) + NT); /* half the boluses: more than 1 mg/dL higher */
  double by_twin = 0, by_pid = 0;
  for (int k = 0; k < NT; k++) {
    by_twin = fmax(by_twin, fabs(twin[k] - open[k]));
    by_pid = fmax(by_pid, fabs(pid[k] - open[k]));
  }
  if (!(by_twin > 2 && by_pid > 2)) fail_msg("the loops move glucose by %g (twin) and %g (PID)", by_twin, by_pid);
  free(param);
  dpi_arena_release(&arena);
  dp_kind_destroy(kind);
  dpi_insulin_world_close(&model);
  dpi_insulin_world_close(&body);
  dpi_table_destroy(people.t);
  assert_int_equal(dpi_alloc_live(ctx), 0);
  dp_ctx_destroy(ctx);
}

/* What is said of a therapy, put together once more here from lives of one member each with the errors of that draw:
 * A, A with the other basal rate and the therapy, each weighed by hand. Under A itself nothing is left but the drift,
 * and the drift of many draws has the stated sd. */
static void outlook(void **state) {
  (void)state;
  enum { NDRAW = 3, MANY = 400 };
  dp_ctx *ctx;
  dp_ctx_def context = dp_ctx_def_default();
  assert_int_equal(dp_ctx_create(&context, &ctx), DP_OK);
  dp_insulin_def def = dp_insulin_def_default();
  dpi_insulin_world model;
  dp_kind *kind;
  OK(dpi_insulin_world_open(ctx, TWINS "/insulin", false, &model));
  OK(dp_kind_load(ctx, TWINS "/insulin", &kind));
  dpi_arena arena;
  dpi_arena_init(&arena, ctx);
  dpi_insulin_case c = {
      .def = &def, .model = &model, .kind = kind, .id = "x", .bw = 63, .basal = 0.9, .cr = 16, .cf = 42, .stream = 256};
  dpi_meals meals;
  dpi_insulin_outlook o;
  const dp_insulin_therapy other = {0.9, 0.8, 0.7}, basal = {0.9, 1, 1};
  double eta[NDRAW * 64] = {0}, said[NDRAW * NT], start[NT], moved[NT], whole[NT];
  double *param = calloc((size_t)dp_sim_describe(model.kind->sim)->nparam, sizeof *param);
  for (int i = 0; i < NDRAW; i++)
    for (int e = 0; e < kind->neffect; e++) eta[i * kind->neffect + e] = 0.1 * (i - 1) * (e % 3 - 1);
  const dp_belief belief = {.ndraw = NDRAW, .neta = kind->neffect, .eta = eta};
  OK(dpi_insulin_meals_make(&arena, &c, 1, DAYS, &meals));
  OK(dpi_insulin_outlook_make(&arena, &c, &belief, NDRAW, &meals, &o));
  OK(dpi_insulin_outlook_say(&o, START, said));
  for (int k = 0; k < NDRAW * NT; k++) assert_true(fabs(said[k] - o.start[k] - o.drift[k]) < 1e-9);
  OK(dpi_insulin_outlook_say(&o, other, said));
  double largest = 0;
  for (int i = 0; i < NDRAW; i++) {
    const dp_insulin_therapy therapy[] = {START, basal, other};
    double *into[] = {start, moved, whole};
    for (int m = 0; m < meals.n; m++) {
      int at = i * NT + (int)(meals.time[m] / DPI_INSULIN_STEP);
      meals.error[m] = o.sensor[at] + o.drift[at];
    }
    for (int t = 0; t < 3; t++) {
      dpi_insulin_twin_param(&c, eta + i * kind->neffect, therapy[t], param);
      OK(dpi_insulin_live(&model, param, 1, &meals, NULL, into[t], NULL));
    }
    for (int k = 0; k < NT; k++) {
      double want = start[k] + (1 + o.basal[i]) * (moved[k] - start[k]) + (1 + o.bolus[i]) * (whole[k] - moved[k]) +
                    o.drift[i * NT + k];
      if (fabs(said[i * NT + k] - want) > 1e-6)
        fail_msg("draw %d, %d min: %.9g, expected %.9g", i, 5 * k, said[i * NT + k], want);
      largest = fmax(largest, fabs(whole[k] - start[k]));
    }
  }
  assert_true(largest > 10); /* the therapy does something */
  assert_true(o.bolus[0] != o.bolus[1] && o.drift[0] != o.drift[NT]);
  /* sd over draws at one time: 6 mg/dL; 400 draws: +- 4.5 standard errors, false alarm 7e-6 */
  double square = 0, *typical = calloc((size_t)MANY * (size_t)kind->neffect, sizeof *typical);
  const dp_belief many = {.ndraw = MANY, .neta = kind->neffect, .eta = typical};
  OK(dpi_insulin_outlook_make(&arena, &c, &many, MANY, &meals, &o));
  for (int i = 0; i < MANY; i++) square += o.drift[(size_t)i * NT + 100] * o.drift[(size_t)i * NT + 100] / MANY;
  if (fabs(square / 16 - 1) > 4.5 * sqrt(2.0 / MANY)) fail_msg("the drift has a variance of %g", square);
  free(typical);
  free(param);
  dpi_arena_release(&arena);
  dp_kind_destroy(kind);
  dpi_insulin_world_close(&model);
  assert_int_equal(dpi_alloc_live(ctx), 0);
  dp_ctx_destroy(ctx);
}

/* Random days: in order, nothing begins while something is still eaten, and as often and as much as the simulator has
 * it: 0.95 and 0.3 of the days, 45, 10, 70, 10, 80, 10 g. 4,000 days: sd of the mean of a day's food 0.50 g, of meals a
 * day 0.014; 5 of them are allowed, false alarm 6e-7 each. */
static void random_days(void **state) {
  (void)state;
  enum { MANY = 4000 };
  dp_ctx *ctx;
  dp_ctx_def context = dp_ctx_def_default();
  assert_int_equal(dp_ctx_create(&context, &ctx), DP_OK);
  dp_insulin_def def = dp_insulin_def_default();
  def.meals = DP_INSULIN_RANDOM;
  const dpi_insulin_case c = {.def = &def, .id = "child#001", .stream = 768};
  dpi_arena arena;
  dpi_arena_init(&arena, ctx);
  dpi_meals m, few;
  OK(dpi_insulin_meals_make(&arena, &c, 0, MANY, &m));
  OK(dpi_insulin_meals_make(&arena, &c, 0, 3, &few));
  assert_memory_equal(few.time, m.time, sizeof(double) * (size_t)few.n); /* further days change nothing */
  for (int k = 0; k < m.n; k++) {
    assert_true(fmod(m.time[k], 5) == 0 && m.gram[k] >= 1 && m.gram[k] == floor(m.gram[k]));
    if (k > 0) assert_true(m.time[k] > m.time[k - 1] + fmax(m.gram[k - 1] / 5, 8));
  }
  const double meals = (double)m.n / MANY, food = dpi_sum(m.gram, m.n) / MANY,
               want = 0.95 * (45 + 70 + 80) + 0.3 * 3 * 10.042; /* 2.9 % of snacks round to none */
  if (fabs(meals - (3 * 0.95 + 0.9 * 0.971)) > 0.07) fail_msg("%g meals a day", meals);
  if (fabs(food - want) > 2.5) fail_msg("%g g a day, expected %g", food, want);
  dpi_arena_release(&arena);
  assert_int_equal(dpi_alloc_live(ctx), 0);
  dp_ctx_destroy(ctx);
}

/* What makes a therapy better is in the file: its settings are rehearsed, its endpoints are those of the readings. */
static void tuning_file(void **state) {
  (void)state;
  static const double glucose[] = {53, 69, 79.9, 80, 180, 200, 100, 100, 100, 100};
  dp_ctx *ctx;
  dp_ctx_def context = dp_ctx_def_default();
  dp_tune *tune;
  assert_int_equal(dp_ctx_create(&context, &ctx), DP_OK);
  dp_insulin_def def = dp_insulin_def_default();
  def.twin = TWINS "/insulin";
  OK(dpi_insulin_tuning_open(ctx, &def, &tune));
  const dp_tune_desc *d = dp_tune_describe(tune);
  assert_int_equal(d->ncandidate, 84);
  for (int e = 0; e < d->nendpoint; e++) {
    const char *id = d->endpoint[e].id;
    const double want = strcmp(id, "tir") == 0    ? 70
                        : strcmp(id, "low") == 0  ? 30
                        : strcmp(id, "tbr") == 0  ? 20
                        : strcmp(id, "tbr2") == 0 ? 10
                                                  : NAN;
    assert_true(dp_tune_counts(tune, e));
    assert_true(fabs(dp_tune_count(tune, e, glucose, DPI_COUNT(glucose)) - want) < 1e-12);
  }
  dp_tune_destroy(tune);
  def.tuning = TWINS "/insulin/tunings/none.yaml";
  assert_int_equal(dpi_insulin_tuning_open(ctx, &def, &tune), DP_ERR_INPUT);
  dp_ctx_clear_error(ctx);
  assert_int_equal(dpi_alloc_live(ctx), 0);
  dp_ctx_destroy(ctx);
}

static void refusals(void **state) {
  (void)state;
  dp_ctx *ctx;
  dp_ctx_def context = dp_ctx_def_default();
  dp_insulin_sum sum;
  assert_int_equal(dp_ctx_create(&context, &ctx), DP_OK);
  dp_insulin_def def = dp_insulin_def_default();
  def.people = TWINS "/s2008";
  def.twin = TWINS "/insulin";
  def.every = 7;
  assert_int_equal(dp_insulin_study(ctx, &def, NULL, NULL, &sum), DP_ERR_USAGE);
  dp_ctx_clear_error(ctx);
  def.every = 15;
  def.nloop = 65;
  assert_int_equal(dp_insulin_study(ctx, &def, NULL, NULL, &sum), DP_ERR_USAGE);
  dp_ctx_clear_error(ctx);
  def.nloop = 0;
  def.only = "nobody";
  assert_int_equal(dp_insulin_study(ctx, &def, NULL, NULL, &sum), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(ctx), "has nobody of id nobody"));
  dp_ctx_clear_error(ctx);
  def.twin = TWINS "/theophylline"; /* another kind than the experiment's */
  assert_int_not_equal(dp_insulin_study(ctx, &def, NULL, NULL, &sum), DP_OK);
  dp_ctx_clear_error(ctx);
  assert_int_equal(dpi_alloc_live(ctx), 0);
  dp_ctx_destroy(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(rule_and_record_agree), cmocka_unit_test(loops),
                                     cmocka_unit_test(outlook), cmocka_unit_test(random_days), cmocka_unit_test(tuning_file),
                                     cmocka_unit_test(refusals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
