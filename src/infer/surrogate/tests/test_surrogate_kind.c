/* Independent comparison: a person's observables through the surrogate beside the same draws through the model itself;
 * one compartment with first-order absorption and elimination in closed form. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "base/tests/failing_memory.h"
#include "doppel/surrogate.h"

enum { NTIME = 3 };
static const double TIME[NTIME] = {24, 2, 9}; /* in no order */

typedef struct scene {
  failing_memory memory;
  dp_ctx *ctx;
  dp_kind *kind;
  dp_record *record;
  dp_prior *prior;
  dp_surrogate_person who;
  dp_surrogate_def def;
} scene;

static scene theophylline;

static void must(const scene *s, dp_status status) {
  if (status != DP_OK) print_error("%s\n", dp_ctx_error(s->ctx));
  assert_int_equal(status, DP_OK);
}

static int setup(void **state) {
  scene *s = *state = &theophylline;
  *s = (scene){0};
  s->ctx = failing_context(&s->memory);
  must(s, dp_kind_load(s->ctx, DOPPEL_SOURCE_DIR "/twins/theophylline", &s->kind));
  must(s, dp_kind_record(s->kind, dp_kind_patients(s->kind), &s->record));
  must(s, dp_prior_nominal(s->kind, &s->prior));
  s->who = (dp_surrogate_person){s->kind, s->record, dp_record_subject(s->record, "3"), s->prior, TIME, NTIME};
  s->def = dp_surrogate_def_default();
  s->def.npoint = 80;
  s->def.ntest = 60;
  return 0;
}

static int teardown(void **state) {
  scene *s = *state;
  dp_prior_destroy(s->prior);
  dp_record_destroy(s->record);
  dp_kind_destroy(s->kind);
  const int live = (int)dpi_alloc_live(s->ctx);
  dp_ctx_destroy(s->ctx);
  return live;
}

static dp_belief *believe(const scene *s) {
  dp_assimilate_def def = dp_assimilate_def_default();
  dp_belief *b = NULL;
  def.ndraw = 600;
  def.nproposal = 1200;
  def.discrepancy = 0;
  must(s, dp_assimilate(s->kind, s->record, s->who.subject, 4, s->prior, &def, &b));
  return b;
}

/* The forecast is the model's, within what the surrogate says of itself; its error is part of the deviation. */
static void test_forecast(void **state) {
  const scene *s = *state;
  dp_surrogate *g = NULL;
  dp_belief *b = believe(s);
  dp_surrogate_fan near_[NTIME], exact[NTIME];
  must(s, dp_surrogate_fit_person(&s->who, &s->def, &g));
  const dp_surrogate_desc d = dp_surrogate_describe(g);
  assert_int_equal(d.ninput, 3);
  assert_string_equal(d.input[0].id, "eta_ka");
  assert_int_equal(d.noutput, NTIME);
  assert_true(d.good);
  must(s, dp_surrogate_forecast(&s->who, g, b, 7, near_));
  must(s, dp_surrogate_forecast(&s->who, NULL, b, 7, exact));
  for (int i = 0; i < NTIME; i++) {
    assert_true(near_[i].time == TIME[i] && exact[i].time == TIME[i]);
    assert_string_equal(near_[i].observable, "c");
    assert_true(near_[i].error > 0 && near_[i].error < 0.1 * near_[i].sd && exact[i].error == 0);
    assert_true(near_[i].nfailed < 6 && exact[i].nfailed == 0);
    /* draws of the error: the mean over 600 of them, and quantiles, stay within 4 errors */
    const double within = 4 * near_[i].error + 0.02 * exact[i].sd;
    assert_true(fabs(near_[i].mean - exact[i].mean) < within && fabs(near_[i].sd - exact[i].sd) < within);
    assert_true(fabs(near_[i].q05 - exact[i].q05) < within && fabs(near_[i].q95 - exact[i].q95) < within);
  }
  dp_surrogate_fan again[NTIME];
  must(s, dp_surrogate_forecast(&s->who, g, b, 7, again));
  for (int i = 0; i < NTIME; i++) /* the same seed, the same numbers */
    assert_true(again[i].mean == near_[i].mean && again[i].sd == near_[i].sd && again[i].q05 == near_[i].q05 &&
                again[i].q50 == near_[i].q50 && again[i].q95 == near_[i].q95 && again[i].error == near_[i].error);
  dp_surrogate_destroy(g);
  dp_belief_destroy(b);
}

/* By the model itself: one draw of no effects is the closed form of theophylline's one compartment. */
static void test_exact_is_closed_form(void **state) {
  const scene *s = *state;
  dp_belief *b = believe(s);
  memset(b->eta, 0, sizeof *b->eta * (size_t)(b->ndraw * b->neta));
  dp_surrogate_fan f[NTIME];
  must(s, dp_surrogate_forecast(&s->who, NULL, b, 1, f));
  double ka = 0, cl = 0, v = 0;
  for (int i = 0; i < 3; i++) {
    const char *id = dp_kind_parameter_id(s->kind, i);
    double *to = strstr(id, "ka") ? &ka : strstr(id, "CL") ? &cl : &v;
    *to = s->prior->typical[i];
  }
  const double ratio = f[1].mean / f[0].mean; /* the dose and the weight cancel */
  const double k = cl / v;
  const double want = (exp(-k * 2) - exp(-ka * 2)) / (exp(-k * 24) - exp(-ka * 24));
  assert_true(f[0].sd < 1e-9 * f[0].mean && f[0].q05 == f[0].q95);
  if (!(fabs(ratio / want - 1) < 1e-4)) fail_msg("ratio %.8g, want %.8g (ka %g CL %g V %g)", ratio, want, ka, cl, v);
  dp_belief_destroy(b);
}

/* Somebody else's surrogate is refused; so are times that were not learnt, and no times at all. */
static void test_refusals(void **state) {
  const scene *s = *state;
  dp_surrogate *g = NULL, *none = (dp_surrogate *)s;
  dp_surrogate_def small = s->def;
  dp_surrogate_fan f[NTIME];
  dp_belief *b = believe(s);
  small.npoint = 30;
  small.ntest = 0;
  must(s, dp_surrogate_fit_person(&s->who, &small, &g));
  dp_surrogate_person other = s->who;
  other.subject = dp_record_subject(s->record, "4");
  assert_int_equal(dp_surrogate_forecast(&other, g, b, 1, f), DP_ERR_CONFLICT);
  assert_non_null(strstr(dp_ctx_error(s->ctx), "another person"));
  const double later[1] = {30}, twice[2] = {3, 3}, before[1] = {-1};
  other = s->who;
  other.time = later;
  other.ntime = 1;
  must(s, dp_surrogate_forecast(&other, g, b, 1, f)); /* all draws fail there: an outcome, not a number */
  assert_true(f[0].nfailed == b->ndraw && isnan(f[0].mean) && isnan(f[0].q50));
  other.time = twice;
  other.ntime = 2;
  assert_int_equal(dp_surrogate_fit_person(&other, &small, &none), DP_ERR_USAGE);
  assert_null(none);
  other.time = before;
  other.ntime = 1;
  assert_int_equal(dp_surrogate_fit_person(&other, &small, &none), DP_ERR_INPUT);
  other.ntime = 0;
  assert_int_equal(dp_surrogate_fit_person(&other, &small, &none), DP_ERR_USAGE);
  small.accuracy = 0;
  assert_int_equal(dp_surrogate_fit_person(&s->who, &small, &none), DP_ERR_USAGE);
  dp_ctx_clear_error(s->ctx);
  dp_surrogate_destroy(g);
  dp_belief_destroy(b);
}

static void test_memory(void **state) {
  scene *s = *state;
  dp_surrogate_def small = s->def;
  dp_surrogate_person who = s->who;
  small.npoint = 24;
  small.ntest = 20;
  who.ntime = 1;
  small.kind = DP_SURROGATE_PCE;
  dp_belief *b = believe(s);
  const long before = dpi_alloc_live(s->ctx);
  bool failed = true;
  int rounds = 0;
  for (long granted = 0; failed; granted += 1 + granted / 5, rounds++) {
    dp_surrogate *g = NULL;
    dp_surrogate_fan f[1];
    failing_next(&s->memory, granted);
    dp_status st = dp_surrogate_fit_person(&who, &small, &g);
    if (st == DP_OK) st = dp_surrogate_forecast(&who, g, b, 1, f);
    failed = failing_happened(&s->memory);
    failing_never(&s->memory);
    if (st != DP_OK) assert_true(failed && st == DP_ERR_MEMORY);
    dp_surrogate_destroy(g);
    dp_ctx_clear_error(s->ctx);
    assert_int_equal(dpi_alloc_live(s->ctx), before);
  }
  assert_true(rounds > 10);
  dp_belief_destroy(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_forecast, setup, teardown),
      cmocka_unit_test_setup_teardown(test_exact_is_closed_form, setup, teardown),
      cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
      cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
