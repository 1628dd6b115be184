/* Compared with: records built by hand, and ticks worked out by hand or with 128-bit whole
 * numbers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/tests/own_context.h"
#include "record/record_build.h"

static void ticks_are_exact(void **state) {
  (void)state;
  static const struct {
    const char *text;
    dp_time want;
  } cases[] = {
      {"0", 0},
      {"1", 1000000000},
      {"0.1", 100000000},
      {".25", 250000000},
      {" 24 ", 24000000000},
      {"1e-3", 1000000},
      {"2.5E1", 25000000000},
      {"0.000000001", 1},
      {"0.0000000005", 1},
      {"0.00000000049999999999", 0},
      {"0.0000000015", 2},
      {"1.0000000004", 1000000000},
      {"1.0000000005", 1000000001},
      {"0.9999999999", 1000000000},
      {"-1.5", -1500000000},
      {"-0", 0},
      {"1e9", 1000000000000000000},
      {"9223372036.854775807", INT64_MAX},
      {"0e99999999999", 0},
      {"1e-99999999999", 0},
      {"0000000000000000000000001", 1000000000},
      {"123456789.123456789", 123456789123456789},
      {"5.", 5000000000},
      {"+7", 7000000000},
      {"12345678901e-10", 1234567890},
      {"0.00000001e8", 1000000000},
  };
  for (int k = 0; k < DPI_COUNT(cases); k++) {
    dp_time t = -77;
    if (!dpi_ticks_parse(cases[k].text, &t)) fail_msg("'%s'", cases[k].text);
    if (t != cases[k].want) fail_msg("'%s': %lld", cases[k].text, (long long)t);
  }
  static const char *const wrong[] = {"",
                                      " ",
                                      ".",
                                      "-",
                                      "1x",
                                      "1e",
                                      "e1",
                                      "8:30",
                                      "1 2",
                                      "1.2.3",
                                      "9223372036.854775808",
                                      "1e10",
                                      "1e999999999",
                                      "9223372036.8547758075",
                                      "nan",
                                      "inf",
                                      "0x1"};
  for (int k = 0; k < DPI_COUNT(wrong); k++) {
    dp_time t = -77;
    if (dpi_ticks_parse(wrong[k], &t)) fail_msg("'%s' was taken as %lld", wrong[k], (long long)t);
    assert_true(t == -77);
  }
}

/* Every tick count written as a decimal reads back, whatever the number of decimals. */
static void ticks_round_trip(void **state) {
  (void)state;
  uint64_t x = 42;
  for (int k = 0; k < 100000; k++) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    dp_time want = (dp_time)(x >> (1 + x % 40)), got;
    char text[40];
    snprintf(text, sizeof text, "%lld.%09lld", (long long)(want / DP_TICKS),
             (long long)(want % DP_TICKS));
    assert_true(dpi_ticks_parse(text, &got));
    assert_true(got == want);
  }
}

/* A record with two subjects, the second with a fault when wanted. */
static dp_record *built(int fault) {
  dp_record *r;
  assert_int_equal(dpi_record_create(ctx, "hand.csv", "abc", 3, &r), DP_OK);
  dpi_arena *arena = dpi_record_arena(r);
  dp_event *e = DPI_ARENA_ARRAY(arena, dp_event, 3);
  dp_subject *s = DPI_ARENA_ARRAY(arena, dp_subject, 2);
  for (int k = 0; k < 3; k++) {
    e[k] = dpi_event_default();
    e[k].time = k * DP_TICKS;
    e[k].line = k + 2;
  }
  s[0] = (dp_subject){"ann", e, 1};
  s[1] = (dp_subject){"bob", e + 1, 2};
  if (fault == 1) e[2].time = 0;
  if (fault == 2) s[1].id = "ann";
  if (fault == 3) s[1].id = "";
  if (fault == 4) e[1].value = INFINITY;
  if (fault == 5) e[1].amount = NAN;
  if (fault == 6) e[1].dvid = NULL;
  if (fault == 7) e[0].time = -1;
  if (fault == 8) r->ncovariate = 1;
  r->subject = s;
  r->nsubject = 2;
  return r;
}

static void a_record_is_built_and_searched(void **state) {
  (void)state;
  dp_record *r = built(0);
  assert_int_equal(dpi_record_warn(r, "hand.csv:%d: odd", 3), DP_OK);
  assert_int_equal(dpi_record_warn(r, "and again"), DP_OK);
  assert_int_equal(dpi_record_seal(r), DP_OK);
  assert_string_equal(r->source, "hand.csv");
  assert_string_equal(
      r->hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"); /* FIPS 180-4 */
  assert_int_equal(r->nwarning, 2);
  assert_string_equal(r->warning[0], "hand.csv:3: odd");
  assert_int_equal(dp_record_subject(r, "ann"), 0);
  assert_int_equal(dp_record_subject(r, "bob"), 1);
  assert_int_equal(dp_record_subject(r, "eve"), -1);
  assert_true(isnan(r->subject[0].event[0].value) && isnan(r->subject[0].event[0].limit));
  dp_record_destroy(r);
  dp_record_destroy(NULL);
}

static void a_broken_promise_is_a_bug(void **state) {
  (void)state;
  for (int fault = 1; fault <= 8; fault++) {
    dp_record *r = built(fault);
    if (dpi_record_seal(r) != DP_ERR_BUG) fail_msg("fault %d passed", fault);
    assert_memory_equal(dp_ctx_error(ctx), "hand.csv:", 9);
    dp_ctx_clear_error(ctx);
    dp_record_destroy(r);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ticks_are_exact),
      cmocka_unit_test(ticks_round_trip),
      cmocka_unit_test(a_record_is_built_and_searched),
      cmocka_unit_test(a_broken_promise_is_a_bug),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
