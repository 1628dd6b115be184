/* Elementary functions against mpmath's values (num_reference.h), special cases against C17 annex
 * F, both arithmetics; dense sweeps against the C library of this machine, an implementation of
 * its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "num/num.h"
#include "num_reference.h"

typedef double (*fn1)(double);
static const struct {
  const char *name;
  fn1 ours, libm;
  double low, high; /* range of the sweep */
  double ulp;       /* SLEEF's bound plus that of glibc's manual (cbrt: 4) */
} functions[] = {
    {"exp", dpi_m_exp, exp, -700, 700, 2.1},
    {"expm1", dpi_m_expm1, expm1, -5, 50, 2.1},
    {"log", dpi_m_log, log, 1e-6, 1e6, 2.1},
    {"log10", dpi_m_log10, log10, 1e-6, 1e6, 3.1},
    {"log1p", dpi_m_log1p, log1p, -0.99, 10, 2.1},
    {"sin", dpi_m_sin, sin, -1e4, 1e4, 2.1},
    {"cos", dpi_m_cos, cos, -1e4, 1e4, 2.1},
    {"tan", dpi_m_tan, tan, -1e3, 1e3, 2.1},
    {"asin", dpi_m_asin, asin, -1, 1, 2.1},
    {"acos", dpi_m_acos, acos, -1, 1, 2.1},
    {"atan", dpi_m_atan, atan, -50, 50, 2.1},
    {"sinh", dpi_m_sinh, sinh, -20, 20, 3.1},
    {"cosh", dpi_m_cosh, cosh, -20, 20, 3.1},
    {"tanh", dpi_m_tanh, tanh, -5, 5, 3.6},
    {"asinh", dpi_m_asinh, asinh, -1e3, 1e3, 3.1},
    {"acosh", dpi_m_acosh, acosh, 1, 1e3, 3.6},
    {"atanh", dpi_m_atanh, atanh, -0.999, 0.999, 3.1},
    {"erf", dpi_m_erf, erf, -4, 4, 2.6},
    {"erfc", dpi_m_erfc, erfc, -4, 25, 6.6},
    {"lgamma", dpi_m_lgamma, lgamma, 3.0, 100, 6.1},
    {"cbrt", dpi_m_cbrt, cbrt, -1e3, 1e3, 5.1},
};

/* distance in units in the last place of the reference */
static double ulps(double x, double ref) {
  if (x == ref || (isnan(x) && isnan(ref))) return 0.0;
  if (!isfinite(x) || !isfinite(ref)) return INFINITY;
  double ulp = nextafter(fabs(ref), INFINITY) - fabs(ref);
  return fabs(x - ref) / ulp;
}

static void check_table(void) {
  for (int i = 0; i < DPI_COUNT(ref_math_table); i++) {
    const ref_math *r = &ref_math_table[i];
    fn1 f = NULL;
    for (int k = 0; k < DPI_COUNT(functions); k++) {
      if (strcmp(functions[k].name, r->name) == 0) f = functions[k].ours;
    }
    assert_non_null(f);
    double d = ulps(f(r->x), r->value);
    if (!(d <= 2.5))
      fail_msg("%s %s(%.17g): %.17g, expected %.17g (%g ulp)", dp_arithmetic(), r->name, r->x,
               f(r->x), r->value, d);
  }
}

static void check_sweeps(void) {
  for (int k = 0; k < DPI_COUNT(functions); k++) {
    double worst = 0.0, at = 0.0;
    for (int i = 0; i <= 20000; i++) {
      double x = functions[k].low + (functions[k].high - functions[k].low) * i / 20000.0;
      double d = ulps(functions[k].ours(x), functions[k].libm(x));
      if (d > worst) {
        worst = d;
        at = x;
      }
    }
    if (!(worst <= functions[k].ulp)) fail_msg("%s: %g ulp at %.17g", functions[k].name, worst, at);
  }
}

static void same(const char *what, double x, double expected) {
  bool ok = isnan(expected) ? isnan(x) : x == expected && signbit(x) == signbit(expected);
  if (!ok) fail_msg("%s %s: found %.17g, expected %.17g", dp_arithmetic(), what, x, expected);
}

/* C17 annex F */
static void check_special(void) {
  const double inf = INFINITY;
  same("exp(-inf)", dpi_m_exp(-inf), 0.0);
  same("exp(inf)", dpi_m_exp(inf), inf);
  same("exp(710)", dpi_m_exp(710.0), inf);
  same("exp(-746)", dpi_m_exp(-746.0), 0.0);
  same("exp(0)", dpi_m_exp(0.0), 1.0);
  same("exp(nan)", dpi_m_exp(NAN), NAN);
  same("expm1(-inf)", dpi_m_expm1(-inf), -1.0);
  same("expm1(-0)", dpi_m_expm1(-0.0), -0.0);
  same("log(0)", dpi_m_log(0.0), -inf);
  same("log(-0)", dpi_m_log(-0.0), -inf);
  same("log(-1)", dpi_m_log(-1.0), NAN);
  same("log(1)", dpi_m_log(1.0), 0.0);
  same("log(inf)", dpi_m_log(inf), inf);
  same("log10(0)", dpi_m_log10(0.0), -inf);
  same("log10(1000)", dpi_m_log10(1000.0), 3.0);
  same("log1p(-1)", dpi_m_log1p(-1.0), -inf);
  same("log1p(-2)", dpi_m_log1p(-2.0), NAN);
  same("log1p(-0)", dpi_m_log1p(-0.0), -0.0);
  same("log1p(inf)", dpi_m_log1p(inf), inf);
  same("sin(inf)", dpi_m_sin(inf), NAN);
  same("sin(-0)", dpi_m_sin(-0.0), -0.0);
  same("cos(inf)", dpi_m_cos(-inf), NAN);
  same("tan(-0)", dpi_m_tan(-0.0), -0.0);
  same("asin(2)", dpi_m_asin(2.0), NAN);
  same("acos(1)", dpi_m_acos(1.0), 0.0);
  same("acosh(0.5)", dpi_m_acosh(0.5), NAN);
  same("acosh(1)", dpi_m_acosh(1.0), 0.0);
  same("acosh(inf)", dpi_m_acosh(inf), inf);
  same("asinh(-inf)", dpi_m_asinh(-inf), -inf);
  same("asinh(-0)", dpi_m_asinh(-0.0), -0.0);
  same("atanh(1)", dpi_m_atanh(1.0), inf);
  same("atanh(2)", dpi_m_atanh(2.0), NAN);
  same("tanh(-inf)", dpi_m_tanh(-inf), -1.0);
  same("sinh(711)", dpi_m_sinh(711.0), inf);
  same("sinh(-inf)", dpi_m_sinh(-inf), -inf);
  same("cosh(-inf)", dpi_m_cosh(-inf), inf);
  same("cosh(nan)", dpi_m_cosh(NAN), NAN);
  same("erf(inf)", dpi_m_erf(inf), 1.0);
  same("erfc(inf)", dpi_m_erfc(inf), 0.0);
  same("erfc(-inf)", dpi_m_erfc(-inf), 2.0);
  same("lgamma(1)", dpi_m_lgamma(1.0), 0.0);
  same("lgamma(0)", dpi_m_lgamma(0.0), inf);
  same("lgamma(-3)", dpi_m_lgamma(-3.0), inf);
  same("lgamma(inf)", dpi_m_lgamma(inf), inf);
  same("cbrt(-8)", dpi_m_cbrt(-8.0), -2.0);
}

static void check_pow(void) {
  static const double v[] = {0.0,
                             -0.0,
                             1.0,
                             -1.0,
                             2.0,
                             -2.0,
                             0.5,
                             -0.5,
                             3.0,
                             -3.0,
                             2.5,
                             -2.5,
                             1e300,
                             -1e300,
                             1e-300,
                             -1e-300,
                             5e-324,
                             -5e-324,
                             1e-310,
                             1025,
                             -1074,
                             -1075,
                             1e10,
                             9007199254740993.0,
                             INFINITY,
                             -INFINITY,
                             NAN,
                             DBL_MAX,
                             -DBL_MAX,
                             DBL_MIN,
                             0.9999999999999999,
                             1.0000000000000002};
  for (int i = 0; i < DPI_COUNT(v); i++) {
    for (int j = 0; j < DPI_COUNT(v); j++) {
      double x = dpi_m_pow(v[i], v[j]), ref = pow(v[i], v[j]);
      bool ok = isnan(ref) ? isnan(x) : ulps(x, ref) <= 2.0 && signbit(x) == signbit(ref);
      if (!ok) fail_msg("pow(%.17g, %.17g): found %.17g, expected %.17g", v[i], v[j], x, ref);
      x = dpi_m_atan2(v[i], v[j]);
      ref = atan2(v[i], v[j]);
      ok = isnan(ref) ? isnan(x) : ulps(x, ref) <= 2.0 && signbit(x) == signbit(ref);
      /* below the normal numbers the quotient itself is rounded */
      if (!ok && fabs(ref) < DBL_MIN) ok = fabs(x - ref) < 1e-320 || fabs(x / ref - 1.0) < 1e-12;
      if (!ok) fail_msg("atan2(%.17g, %.17g): found %.17g, expected %.17g", v[i], v[j], x, ref);
    }
  }
  for (int i = 1; i < 400; i++) {
    for (int j = -40; j <= 40; j++) {
      double a = 0.031 * i, b = 0.77 * j;
      assert_true(ulps(dpi_m_pow(a, b), pow(a, b)) <= 2.1);
    }
  }
}

static void in_both(void (*check)(void)) {
  assert_true(dpi_math_select("nofma"));
  assert_string_equal(dp_arithmetic(), "nofma");
  check();
  if (dpi_math_select("fma")) {
    assert_string_equal(dp_arithmetic(), "fma");
    check();
  }
  assert_true(dpi_math_select(NULL));
}

static void test_reference(void **s) {
  (void)s;
  in_both(check_table);
}
static void test_sweeps(void **s) {
  (void)s;
  in_both(check_sweeps);
}
static void test_special(void **s) {
  (void)s;
  in_both(check_special);
}
static void test_pow(void **s) {
  (void)s;
  in_both(check_pow);
}

static void test_select(void **state) {
  (void)state;
  assert_false(dpi_math_select("fast"));
  const char *native = dp_arithmetic();
  assert_true(strcmp(native, "fma") == 0 || strcmp(native, "nofma") == 0);
}

/* Hash of the bits of a sweep, recorded on an x86-64 with Debian's SLEEF 3.5.1: the same on every
 * machine. */
#define HASH_NOFMA 0x8a694f99abd8c295ull
#define HASH_FMA 0xff30260646380d35ull
static uint64_t hash_sweep(void) {
  uint64_t h = 0xcbf29ce484222325u;
  for (int k = 0; k < DPI_COUNT(functions); k++) {
    for (int i = 0; i <= 2000; i++) {
      double y =
          functions[k].ours(functions[k].low + (functions[k].high - functions[k].low) * i / 2000.0);
      uint64_t bits;
      memcpy(&bits, &y, sizeof bits);
      h = (h ^ bits) * 0x100000001b3u;
    }
  }
  return h;
}

static void check_bits(uint64_t expected) {
  if (hash_sweep() != expected)
    fail_msg("%s: other bits than SLEEF 3.5.1: stored forecasts do not re-run with this library",
             dp_arithmetic());
}

static void test_bits(void **state) {
  (void)state;
  assert_true(dpi_math_select("nofma"));
  check_bits(HASH_NOFMA);
  if (dpi_math_select("fma")) check_bits(HASH_FMA);
  assert_true(dpi_math_select(NULL));
}

static void test_environment(void **state) {
  (void)state;
  volatile double tiny = DBL_MIN, two = 2.0, one = 1.0, ten = 10.0;
  double nearest = one / ten; /* 0.1 rounds up to nearest, so towards zero differs */
#if defined(__SSE2__)
  /* FTZ, DAZ and rounding towards zero, as a host may have left them */
  unsigned saved = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(saved | 0x8040u | 0x6000u);
  volatile double flushed = tiny / two;
  volatile double down = one / ten;
  uint64_t before = dpi_fp_enter();
  volatile double kept = tiny / two, tenth = one / ten;
  dpi_fp_leave(before);
  volatile double flushed_again = tiny / two;
  __builtin_ia32_ldmxcsr(saved);
  assert_true(flushed == 0.0 && flushed_again == 0.0);
  assert_true(kept == DBL_MIN / 2 && kept > 0.0);
  assert_true(tenth == nearest);
  assert_true(down < nearest);
#else
  uint64_t before = dpi_fp_enter();
  volatile double kept = tiny / two, tenth = one / ten;
  dpi_fp_leave(before);
  assert_true(kept > 0.0 && tenth == nearest);
#endif
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_select),      cmocka_unit_test(test_reference),
      cmocka_unit_test(test_special),     cmocka_unit_test(test_pow),
      cmocka_unit_test(test_sweeps),      cmocka_unit_test(test_bits),
      cmocka_unit_test(test_environment),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
