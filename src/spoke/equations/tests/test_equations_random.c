/* Draws and ties: functions of seed, stream and place in the member's life; saved, forked and reproducible; right on
 * average. */
#include "eq_text.h"

static const char *const drawing =
    "model m\n x = normal(5, 2); x' = 0; y = 0; n = 0; p = 0\n"
    " at (time >= 1): y = uniform(2, 3);\n"
    " at exponential(1/2) after (time >= 2), fromTrigger = false: n = time;\n"
    " at (time >= 3): y = y + 10*bernoulli(0.5);\nend\n";

enum { MANY = 4000 };

/* Many members of one sim; rows of x, y, n at the end. */
static double *ensemble(const char *text, uint64_t seed, int n, int nthread) {
  dp_model *m = text_model(text);
  text_run r = {.out = {"x", "y", "n"}};
  dp_sim *sim = text_sim(&r, m);
  if (!sim) fail_msg("%s", r.error);
  assert_true(r.caps & DP_CAP_STOCHASTIC);
  const dp_output_time out[1] = {{bed_ticks(60), 0}};
  const dp_sim_desc *d = dp_sim_describe(sim);
  dp_member *member = calloc((size_t)n, sizeof *member);
  double *value = calloc((size_t)n * 3, sizeof *value);
  assert_true(member && value);
  for (int i = 0; i < n; i++)
    member[i] = (dp_member){.param = d->param_default, .out = out, .nout = 1, .stream = (uint64_t)(i / nthread)};
  dp_run_opts opts = dp_run_opts_default();
  opts.seed = seed;
  dp_result *res = NULL;
  BED_OK(dp_simulate(sim, member, n, &opts, &res));
  for (int i = 0; i < n; i++) assert_int_equal(res->status[i], DP_MEMBER_OK);
  memcpy(value, res->value, sizeof *value * 3 * (size_t)n);
  dp_result_destroy(res);
  dp_sim_destroy(sim);
  dp_model_destroy(m);
  free(member);
  return value;
}

static void test_moments(void **state) {
  (void)state;
  double *v = ensemble(drawing, 7, MANY, 1);
  double x = 0, xx = 0, late = 0, heads = 0;
  for (int i = 0; i < MANY; i++) {
    const double y = v[3 * i + 1], frac = y >= 10 ? y - 10 : y;
    x += v[3 * i];
    xx += v[3 * i] * v[3 * i];
    late += v[3 * i + 2] - 2;
    heads += y >= 10;
    assert_true(frac >= 2 && frac <= 3);
  }
  x /= MANY;
  bed_near(x, 5, 0, 4 * 2 / sqrt(MANY), "mean", 0);
  bed_near(sqrt(xx / MANY - x * x), 2, 0, 4 * 2 / sqrt(2.0 * MANY), "sd", 0);
  bed_near(late / MANY, 2, 0, 4 * 2 / sqrt(MANY), "mean delay", 0);
  bed_near(heads / MANY, 0.5, 0, 4 * 0.5 / sqrt(MANY), "heads", 0);
  free(v);
}

static void test_streams(void **state) {
  (void)state;
  double *a = ensemble(drawing, 1, 64, 1), *b = ensemble(drawing, 1, 64, 1), *c = ensemble(drawing, 2, 64, 1),
         *twin = ensemble(drawing, 1, 64, 2);
  assert_memory_equal(a, b, sizeof *a * 3 * 64);
  for (int i = 0; i < 64; i++) assert_true(a[3 * i] != c[3 * i]);
  for (int i = 0; i < 64; i++)
    assert_memory_equal(twin + 3 * i, a + 3 * (i / 2), sizeof *a * 3); /* stream alone counts */
  free(a);
  free(b);
  free(c);
  free(twin);
}

/* ---- ties ---- */

static const char *const race =
    "model m\n x = 0; x' = 1; y = 0; n = 0; last = 0\n"
    " one: at (x - last >= 0.25), priority = 1, persistent = false: last = x, y = y + 1;\n"
    " two: at (x - last >= 0.25), priority = 1, persistent = false: last = x, n = n + 1;\nend\n";

static void test_ties(void **state) {
  (void)state;
  double *v = ensemble(race, 3, 64, 1);
  double first = 0;
  int differ = 0;
  for (int i = 0; i < 64; i++) {
    const double sum = v[3 * i + 1] + v[3 * i + 2];
    bed_near(sum, 240, 0, 1, "one of both each time", i);
    first += v[3 * i + 1];
    differ += i > 0 && v[3 * i + 1] != v[1];
  }
  bed_near(first, 0.5 * 64 * 240, 0, 4 * 0.5 * sqrt(64 * 240.0), "half of them", 0);
  assert_true(differ > 40);
  free(v);
}

/* ---- save, load, fork ---- */

static dp_status last_row(void *user, const dp_member_result *block, int nblock) {
  double *v = user;
  for (int b = 0; b < nblock; b++)
    for (int i = 0; i < block[b].nout; i++) memcpy(v + 3 * block[b].member, block[b].value + 3 * i, 3 * sizeof *v);
  return DP_OK;
}

static void test_goes_on(void **state) {
  (void)state;
  dp_model *m = text_model(race);
  text_run r = {.out = {"x", "y", "n"}};
  dp_sim *sim = text_sim(&r, m);
  const dp_output_time out[1] = {{bed_ticks(60), 0}};
  const dp_member member = {.param = dp_sim_describe(sim)->param_default, .out = out, .nout = 1, .stream = 5};
  const dp_run_opts opts = dp_run_opts_default();
  dp_run *run = NULL, *copy = NULL, *fork = NULL;
  void *bytes = NULL;
  size_t size = 0;
  double a[3], b[3], c[6];
  BED_OK(dp_run_open(sim, &member, 1, &opts, &run));
  BED_OK(dp_run_advance(run, bed_ticks(20.1)));
  BED_OK(dp_run_save(run, &bytes, &size));
  BED_OK(dp_run_load(sim, &member, 1, &opts, bytes, size, &copy));
  const int index[2] = {0, 0};
  const uint64_t stream[2] = {5, 6};
  BED_OK(dp_run_fork(run, index, 2, stream, &fork));
  BED_OK(dp_run_advance(run, bed_ticks(60)));
  BED_OK(dp_run_advance(copy, bed_ticks(60)));
  BED_OK(dp_run_advance(fork, bed_ticks(60)));
  BED_OK(dp_run_emit(run, last_row, a));
  BED_OK(dp_run_emit(copy, last_row, b));
  BED_OK(dp_run_emit(fork, last_row, c));
  assert_memory_equal(a, b, sizeof a);
  assert_memory_equal(a, c, sizeof a);
  assert_true(c[4] != c[1]); /* another stream: other lots from there on */
  dp_run_bytes_free(sim, bytes);
  dp_run_close(run);
  dp_run_close(copy);
  dp_run_close(fork);
  dp_sim_destroy(sim);
  dp_model_destroy(m);
}

static void test_bad_arguments(void **state) {
  (void)state;
  text_run r = {.out = {"x"}, .t = {0, 1, 2}, .nt = 3};
  text_go(&r, "model m\n s = -1; x = normal(5, s)\nend\n");
  assert_int_equal(r.status, DP_MEMBER_FAILED);
  if (!strstr(r.reason, "normal(5, -1)")) fail_msg("%s", r.reason);
  text_go(&r, "model m\n x = 1; x' = 0\n at (time > 1): x = gamma(-2, 1);\nend\n");
  assert_int_equal(r.status, DP_MEMBER_FAILED);
  if (!strstr(r.reason, "gamma(-2, 1)")) fail_msg("%s", r.reason);
  bed_near(r.value[1][0], 1, 0, 0, "rows before", 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_moments), cmocka_unit_test(test_streams), cmocka_unit_test(test_ties),
      cmocka_unit_test(test_goes_on), cmocka_unit_test(test_bad_arguments),
  };
  return cmocka_run_group_tests(tests, bed_setup, bed_teardown);
}
