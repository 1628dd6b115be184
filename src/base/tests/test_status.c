/* Compared with: the list in status.h itself, walked a second time, and with the exit codes
 * written out here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

static void every_status_has_its_texts(void **state) {
  (void)state;
#define CHECK(name, code, sentence, advice)                     \
  assert_string_equal(dp_status_name(DP_##name), #name);        \
  assert_string_equal(dp_status_sentence(DP_##name), sentence); \
  assert_string_equal(dp_status_advice(DP_##name), advice);     \
  assert_int_equal(dp_status_exit_code(DP_##name), code);       \
  if (DP_##name != DP_OK) assert_true(strlen(sentence) > 5 && strlen(advice) > 5);
  DP_STATUS_LIST(CHECK)
#undef CHECK
}

static void exit_codes_are_the_documented_ones(void **state) {
  (void)state;
  assert_int_equal(dp_status_exit_code(DP_OK), 0);
  assert_int_equal(dp_status_exit_code(DP_ERR_USAGE), 2);
  assert_int_equal(dp_status_exit_code(DP_ERR_INPUT), 3);
  assert_int_equal(dp_status_exit_code(DP_ERR_UNSUPPORTED), 7);
  assert_int_equal(dp_status_exit_code(DP_ERR_MEMORY), 75);
}

static void a_number_that_is_no_status_is_a_bug(void **state) {
  (void)state;
  assert_string_equal(dp_status_name((dp_status)9999), "ERR_BUG");
  assert_string_equal(dp_status_name((dp_status)-1), "ERR_BUG");
  assert_int_equal(dp_status_exit_code(DP_STATUS_COUNT), 70);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_status_has_its_texts),
      cmocka_unit_test(exit_codes_are_the_documented_ones),
      cmocka_unit_test(a_number_that_is_no_status_is_a_bug),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
