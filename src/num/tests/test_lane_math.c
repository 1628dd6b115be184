/* Functions in lanes against the scalar ones, byte for byte, in every set that this processor has and in both
 * arithmetics: edges, specials, denormals, random bits and random numbers of usual size, mixed over the lanes. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "num/lane_math.h"

#define FUNCTIONS(set)                                                                                              \
  dpi_lane_exp_##set, dpi_lane_expm1_##set, dpi_lane_log_##set, dpi_lane_log10_##set, dpi_lane_log1p_##set,         \
      dpi_lane_sin_##set, dpi_lane_cos_##set, dpi_lane_tan_##set, dpi_lane_asin_##set, dpi_lane_acos_##set,         \
      dpi_lane_atan_##set, dpi_lane_sinh_##set, dpi_lane_cosh_##set, dpi_lane_tanh_##set, dpi_lane_asinh_##set,     \
      dpi_lane_acosh_##set, dpi_lane_atanh_##set, dpi_lane_erf_##set, dpi_lane_lgamma_##set, dpi_lane_pow_##set,    \
      dpi_lane_atan2_##set

typedef double (*scalar1)(double);
typedef double (*scalar2)(double, double);
static const scalar1 one[] = {
#define SCALAR(name, op) dpi_m_##name,
    DPI_LANE_MATH_LIST(SCALAR)};
static const char *const one_name[] = {
#define NAME(name, op) #name,
    DPI_LANE_MATH_LIST(NAME)};
static const scalar2 two[] = {DPI_LANE_MATH_LIST2(SCALAR)};
static const char *const two_name[] = {DPI_LANE_MATH_LIST2(NAME)};
#define NONE DPI_COUNT(one)
#define NTWO DPI_COUNT(two)

typedef struct sets {
  const char *name, *arithmetic; /* NULL: any */
  int width;
  const char *need; /* "" nothing */
  dpi_lane_math_fn fn[NONE + NTWO];
} sets;

static const sets all[] = {
    {"each1", NULL, 1, "", {FUNCTIONS(each1)}},
    {"each2", NULL, 2, "", {FUNCTIONS(each2)}},
#if defined(__x86_64__)
    {"avx512_fma", "fma", 8, "avx512dq", {FUNCTIONS(avx512_fma)}},
    {"avx512_nofma", "nofma", 8, "avx512dq", {FUNCTIONS(avx512_nofma)}},
    {"avx2_fma4", "fma", 4, "avx2", {FUNCTIONS(avx2_fma4)}},
    {"avx_nofma4", "nofma", 4, "avx", {FUNCTIONS(avx_nofma4)}},
    {"avx2_fma2", "fma", 2, "avx2", {FUNCTIONS(avx2_fma2)}},
    {"sse2_nofma2", "nofma", 2, "", {FUNCTIONS(sse2_nofma2)}},
#elif defined(__aarch64__)
    {"neon_fma2", "fma", 2, "", {FUNCTIONS(neon_fma2)}},
    {"neon_nofma2", "nofma", 2, "", {FUNCTIONS(neon_nofma2)}},
#endif
};

static bool processor_has(const char *need) {
#if defined(__x86_64__)
  if (strcmp(need, "avx") == 0) return __builtin_cpu_supports("avx");
  if (strcmp(need, "avx2") == 0) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (strcmp(need, "avx512dq") == 0) return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
#endif
  return need[0] == '\0';
}

/* where mathfn.c turns aside, and what SLEEF branches at */
static const double hard[] = {
    0.0, 1.0, 0.5, 2.0, 3.0, 10.0, 1e-3, 1e-8, 1e-16, 1e-20, 1e-100, 1e-300, DBL_MIN, DBL_MIN / 2,
    4.9406564584124654e-324, 3e-310, 1.0 + DBL_EPSILON, 1.0 - DBL_EPSILON / 2, 0.9, 1.1, 1.5707963267948966,
    3.141592653589793, 15.0, 22.5, 37.0, 100.0, 125.0, 1e3, 1e4, 1e5, 12345.678, 1e6, 39000.0, 1e9, 1e14, 1e15,
    1e16, 1e22, 1e50, 1e100, 1e149, 1e150, 1.1e150, 1e154, 1.4e154, 1e299, 1e300, 1.1e300, 8e307, 9e307,
    DBL_MAX, INFINITY, 30.0, 36.7, 18.7, 19.1, 350.0, 700.0, 708.0, 708.5, 709.0, 709.1, 709.7, 709.78, 709.79,
    710.0, 710.4, 710.47, 710.48, 711.0, 744.0, 745.0, 745.2, 746.0, 2.3, 2.5, 4.3, 171.6, 5.9, 26.5, 27.3,
    1.7976931348623e308, 1.0000000001, 0.3, 0.7071067811865476, 308.0, 308.3, 324.0,
};
#define NHARD ((int)DPI_COUNT(hard))

static double hard_one(int i) {
  i %= 2 * NHARD + 1;
  if (i == 2 * NHARD) return NAN;
  return i & 1 ? -hard[i / 2] : hard[i / 2];
}

static double any_bits(dpi_rng *rng) {
  uint64_t bits = dpi_rng_u64(rng);
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* kind 0 bits, 1 usual size, 2 small, 3 large, 4 near one, 5 hard */
static double number(dpi_rng *rng) {
  double u = 2 * dpi_rng_uniform(rng) - 1;
  switch (dpi_rng_u64(rng) % 6) {
    case 0: return any_bits(rng);
    case 1: return 10 * u;
    case 2: return u * 1e-3;
    case 3: return u * 800;
    case 4: return 1 + u * 1e-3;
    default: return hard_one((int)(dpi_rng_u64(rng) % 100000));
  }
}

static bool same(double a, double b) { return (a != a && b != b) || memcmp(&a, &b, sizeof a) == 0; }

static void compare(const sets *s, int f, const double *a, const double *b) {
  double out[8] __attribute__((aligned(64)));
  s->fn[f](a, b, out);
  for (int l = 0; l < s->width; l++) {
    const double want = f < (int)NONE ? one[f](a[l]) : two[f - (int)NONE](a[l], b[l]);
    if (!same(out[l], want))
      fail_msg("%s %s %s(%a, %a) lane %d: %a, scalar %a", dp_arithmetic(), s->name,
               f < (int)NONE ? one_name[f] : two_name[f - (int)NONE], a[l], b[l], l, out[l], want);
  }
}

static void check_set(const sets *s) {
  double a[8] __attribute__((aligned(64))), b[8] __attribute__((aligned(64)));
  dpi_rng rng = dpi_rng_make(7, 1, 1);
  for (int f = 0; f < (int)(NONE + NTWO); f++) {
    for (int i = 0; i < 2 * NHARD + 1; i++) /* the same in all lanes, then each its own */
      for (int j = 0; j < (f < (int)NONE ? 2 : 2 * NHARD + 1); j++) {
        for (int l = 0; l < 8; l++) a[l] = hard_one(f < (int)NONE ? i + j * l : i), b[l] = hard_one(j + l);
        compare(s, f, a, b);
      }
    for (int i = 0; i < 5000; i++) {
      for (int l = 0; l < 8; l++) a[l] = number(&rng), b[l] = number(&rng);
      compare(s, f, a, b);
    }
  }
}

static void lanes_have_the_bytes_of_the_scalar_functions(void **state) {
  (void)state;
  static const char *const arithmetic[] = {"fma", "nofma"};
  for (int k = 0; k < 2; k++) {
    if (!dpi_math_select(arithmetic[k])) continue;
    for (int i = 0; i < (int)DPI_COUNT(all); i++)
      if (processor_has(all[i].need) && (all[i].arithmetic == NULL || strcmp(all[i].arithmetic, arithmetic[k]) == 0))
        check_set(&all[i]);
  }
  dpi_math_select(NULL);
}

/* out may be an argument */
static void results_may_overwrite_arguments(void **state) {
  (void)state;
  for (int i = 0; i < (int)DPI_COUNT(all); i++) {
    const sets *s = &all[i];
    if (!processor_has(s->need) || (s->arithmetic != NULL && strcmp(s->arithmetic, dp_arithmetic()) != 0)) continue;
    for (int f = 0; f < (int)(NONE + NTWO); f++) {
      double a[8] __attribute__((aligned(64))) = {720, 0.5, 1e200, 2, 3e-320, 1.5, 1e301, 0.1};
      double b[8] __attribute__((aligned(64))) = {2, 108, 1e10, 3, 4, 5, 6, -7}, want[8] __attribute__((aligned(64)));
      s->fn[f](a, b, want);
      double a2[8] __attribute__((aligned(64))), b2[8] __attribute__((aligned(64)));
      memcpy(a2, a, sizeof a);
      memcpy(b2, b, sizeof b);
      s->fn[f](a2, b, a2);
      s->fn[f](a, b2, b2);
      for (int l = 0; l < s->width; l++) {
        assert_true(same(a2[l], want[l]));
        assert_true(same(b2[l], want[l]));
      }
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lanes_have_the_bytes_of_the_scalar_functions),
      cmocka_unit_test(results_may_overwrite_arguments),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
