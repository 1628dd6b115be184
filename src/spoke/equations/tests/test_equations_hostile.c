/* Models that no solver can follow, or that are only long: each ends soon, by a message that names thing and time. Long
 * ones against closed forms. */
#include "eq_text.h"

static void fails(const char *text, const char *part1, const char *part2, double t) {
  for (int k = 0; k < 2; k++) {
    text_run r = {.method = k ? "rk853" : NULL, .rtol = 1e-6, .out = {"x"}};
    text_times(&r, 10, 2);
    text_go(&r, text);
    assert_int_equal(r.created, DP_OK);
    assert_int_equal(r.status, DP_MEMBER_FAILED);
    if (!strstr(r.reason, part1) || !strstr(r.reason, part2)) fail_msg("%s", r.reason);
    bed_near(r.fail_time, t, 1e-3, 1e-3, text, t);
  }
}

static void events_that_crowd_are_named(void **state) {
  (void)state;
  fails("model m\n x = 0; x' = 1\n Tick: at x > 1e-9: x = 0\nend\n", "'Tick'", "too often", 0);
  fails("model m\n x = 1; v = 0; x' = v; v' = -9.81\n Bounce: at x < 0: v = -0.9*v, x = 0\nend\n", "'Bounce'",
        "too often", 8.578949);
  fails("model m\n x = 0; x' = 1\n A: at 1e-12 after x > 1: x = 0\n B: at x < 0.5: x = 2\nend\n", "'", "too often", 1);
}

static void rates_that_jump_without_rest_are_refused(void **state) {
  (void)state;
  fails("model m\n x = 0; x' = piecewise(1, sin(1e9*time) > 0, -1)\nend\n", "rates jump", "too often", 0);
}

/* A rate that is n assigned variables deep: x' = S + 1 + 2 + ... */
static void long_chains_do_not_exhaust_the_stack(void **state) {
  (void)state;
  enum { N = 100000 };
  char *text = malloc((size_t)N * 32 + 200);
  size_t n = (size_t)sprintf(text, "model m\n S = 1; x = 0; x0 := S; S' = 0\n");
  for (int i = 1; i < N; i++) n += (size_t)sprintf(text + n, " x%d := x%d + %d\n", i, i - 1, i % 7);
  sprintf(text + n, " x' = x%d\nend\n", N - 1);
  double rate = 1;
  for (int i = 1; i < N; i++) rate += i % 7;
  text_run r = {.out = {"x"}};
  text_times(&r, 1, 1);
  text_go(&r, text);
  text_good(&r, "chain");
  bed_near(r.value[1][0], rate, 1e-9, 0, "chain", 1);
  free(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(events_that_crowd_are_named),
      cmocka_unit_test(rates_that_jump_without_rest_are_refused),
      cmocka_unit_test(long_chains_do_not_exhaust_the_stack),
  };
  return cmocka_run_group_tests(tests, bed_setup, bed_teardown);
}
