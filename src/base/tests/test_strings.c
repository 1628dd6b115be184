/* Compared with: the C library's strtod (correctly rounded in glibc) on many texts, and examples
 * worked by hand. */
#include <float.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

/* a small generator of its own, so that the cases never change (Marsaglia 2003, xorshift64) */
static uint64_t shift(uint64_t *x) {
  *x ^= *x << 13;
  *x ^= *x >> 7;
  *x ^= *x << 17;
  return *x;
}

static void numbers_equal_strtod(void **state) {
  (void)state;
  uint64_t x = 88172645463325252u;
  for (int k = 0; k < 200000; k++) {
    char text[80];
    uint64_t a = shift(&x), b = shift(&x);
    int digits = (int)(b % 20), exponent = (int)(b / 32 % 40) - 20;
    if (b >> 60 == 3) exponent *= 16;
    snprintf(text, sizeof text, "%s%.*fe%d", b >> 63 ? "-" : "", digits,
             (double)(a >> (b % 64)) / 4096, exponent);
    double got = 0, want = strtod(text, NULL);
    bool ok = dpi_parse_double(text, &got);
    assert_int_equal(ok, isfinite(want) != 0);
    if (ok && memcmp(&got, &want, sizeof got) != 0) fail_msg("%s: %a, not %a", text, got, want);
  }
}

static void numbers_of_edge(void **state) {
  (void)state;
  static const struct {
    const char *text;
    double want;
  } cases[] = {
      {"0", 0},
      {"7", 7},
      {" 7 ", 7},
      {"\t-2.5\r\n", -2.5},
      {"+.5", 0.5},
      {"5.", 5},
      {"1e-3", 0.001},
      {"1E3", 1000},
      {"0.1", 0.1},
      {"1e22", 1e22},
      {"1e23", 1e23},
      {"9007199254740993", 9007199254740992.0},
      {"1.7976931348623157e308", DBL_MAX},
      {"4.9406564584124654e-324", 4.9406564584124654e-324},
      {"2.2250738585072011e-308", 2.2250738585072011e-308},
      {"1e-999999999999", 0},
      {"0e999999999999", 0},
      {"00000000000000000000000000000000012", 12},
      {"0.000000000000000000000000000000000000012", 1.2e-38},
      {"123456789012345678901234567890", 123456789012345678901234567890.0},
      {"1000000000000000000000000000000000000000e-39", 1},
  };
  for (int k = 0; k < DPI_COUNT(cases); k++) {
    double x = -77;
    if (!dpi_parse_double(cases[k].text, &x)) fail_msg("%s", cases[k].text);
    if (x != cases[k].want) fail_msg("%s: %a", cases[k].text, x);
  }
  static const char *const wrong[] = {"",      " ",      ".",   "-",   "+",     "e5",
                                      "1e",    "1e+",    "1x",  "x1",  "1 2",   "1,5",
                                      "1.2.3", "0x10",   "nan", "inf", "-inf",  "infinity",
                                      "1e400", "-1e400", "--1", "1d5", "1_000", "\xc2\xbd"};
  for (int k = 0; k < DPI_COUNT(wrong); k++) {
    double x = -77;
    if (dpi_parse_double(wrong[k], &x)) fail_msg("'%s' was taken as %g", wrong[k], x);
    assert_true(x == -77);
  }
  double x;
  assert_false(dpi_parse_double(NULL, &x));
}

static void whole_numbers(void **state) {
  (void)state;
  int64_t x = 0;
  assert_true(dpi_parse_int(" -42 ", &x) && x == -42);
  assert_true(dpi_parse_int("9223372036854775807", &x) && x == INT64_MAX);
  assert_true(dpi_parse_int("-9223372036854775808", &x) && x == INT64_MIN);
  assert_true(dpi_parse_int("+0", &x) && x == 0);
  x = 5;
  static const char *const wrong[] = {"",
                                      "-",
                                      "1.0",
                                      "1e3",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999999",
                                      "0x1",
                                      "1 1",
                                      "a"};
  for (int k = 0; k < DPI_COUNT(wrong); k++) {
    if (dpi_parse_int(wrong[k], &x)) fail_msg("'%s'", wrong[k]);
  }
  assert_true(x == 5);
  assert_false(dpi_parse_int(NULL, &x));
}

static void numbers_to_text_and_back(void **state) {
  (void)state;
  static const struct {
    double x;
    const char *text;
  } cases[] = {{0.1, "0.1"},
               {1e-300, "1e-300"},
               {1.0 / 3, "0.3333333333333333"},
               {0, "0"},
               {-0.0, "-0"},
               {100, "100"},
               {1e20, "1e20"},
               {1e-5, "1e-5"},
               {1e100, "1e100"},
               {NAN, "nan"},
               {INFINITY, "inf"},
               {-INFINITY, "-inf"},
               {5e-324, "5e-324"},
               {0.1 + 0.2, "0.30000000000000004"},
               {-123456.789, "-123456.789"}};
  char text[32];
  for (int k = 0; k < DPI_COUNT(cases); k++) {
    dpi_format_double(cases[k].x, text);
    assert_string_equal(text, cases[k].text);
  }
  uint64_t s = 123456789;
  for (int k = 0; k < 100000; k++) {
    uint64_t bits = shift(&s);
    double x, back;
    memcpy(&x, &bits, sizeof x);
    if (!isfinite(x)) continue;
    dpi_format_double(x, text);
    assert_true(strlen(text) < 32);
    if (!dpi_parse_double(text, &back) || back != x) fail_msg("%s: %a", text, x);
  }
}

/* The decimal comma of a locale of the caller must not come in. Only where such a locale is
 * installed. */
static void the_locale_does_not_matter(void **state) {
  (void)state;
  static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "nl_NL.UTF-8",
                                      "de_DE"};
  bool found = false;
  for (int k = 0; k < DPI_COUNT(names) && !found; k++) found = setlocale(LC_ALL, names[k]) != NULL;
  if (!found) {
    printf("skipped: no locale with a decimal comma there\n");
    skip();
  }
  double x = 0;
  char text[32];
  assert_true(dpi_parse_double("1234567.12345678901234567890", &x)); /* not by the short cut */
  dpi_format_double(0.5, text);
  setlocale(LC_ALL, "C");
  assert_true(x == 1234567.12345678901234567890);
  assert_string_equal(text, "0.5");
}

static void nearest_words(void **state) {
  (void)state;
  static const char *const words[] = {"AMT", "RATE", "ADDL", "parameterId", "II"};
  int n = DPI_COUNT(words);
  assert_string_equal(dpi_nearest_word("AMTT", words, n), "AMT");
  assert_string_equal(dpi_nearest_word("amt", words, n), "AMT");
  assert_string_equal(dpi_nearest_word("RAET", words, n),
                      "RATE"); /* two letters swapped; AMT is two changes away */
  assert_string_equal(dpi_nearest_word("ADL", words, n), "ADDL");
  assert_string_equal(dpi_nearest_word("parametreId", words, n), "parameterId");
  assert_null(dpi_nearest_word("WEIGHT", words, n));
  assert_null(dpi_nearest_word("X", words, n)); /* one letter resembles everything */
  assert_null(dpi_nearest_word("", words, n));
  assert_null(dpi_nearest_word("AMT", words, 0));
  char word[300];
  memset(word, 'a', sizeof word - 1);
  word[sizeof word - 1] = '\0';
  const char *const longer[] = {word};
  assert_null(dpi_nearest_word(word, longer, 1));
  assert_null(dpi_nearest_word("a", longer, 1));
}

static void growing_text(void **state) {
  (void)state;
  dpi_str s;
  dpi_str_init(&s, NULL);
  assert_string_equal(dpi_str_text(&s), "");
  for (int k = 0; k < 1000; k++) dpi_str_addf(&s, "%d,", k % 10);
  assert_int_equal(s.len, 2000);
  assert_memory_equal(dpi_str_text(&s) + 1990, "5,6,7,8,9,", 11);
  dpi_str_addn(&s, "abcdef", 3);
  dpi_str_add(&s, "");
  assert_string_equal(dpi_str_text(&s) + 2000, "abc");
  assert_false(s.failed);
  dpi_str_release(&s);
  assert_string_equal(dpi_str_text(&s), "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers_equal_strtod),
      cmocka_unit_test(numbers_of_edge),
      cmocka_unit_test(whole_numbers),
      cmocka_unit_test(numbers_to_text_and_back),
      cmocka_unit_test(the_locale_does_not_matter),
      cmocka_unit_test(nearest_words),
      cmocka_unit_test(growing_text),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
