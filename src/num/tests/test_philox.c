/* Random streams against the known answers published with Random123 (Salmon et al.), moments and
 * uniformity against the exact laws, independence of streams by correlation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "num/num.h"

static void test_known_answers(void **state) {
  (void)state;
  /* Random123's kat_vectors, philox4x32 with 10 rounds */
  static const struct {
    uint32_t counter[4], key[2], out[4];
  } kat[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (int i = 0; i < DPI_COUNT(kat); i++) {
    uint32_t out[4];
    dpi_philox4x32(kat[i].counter, kat[i].key, out);
    for (int k = 0; k < 4; k++) assert_int_equal(out[k], kat[i].out[k]);
  }
}

static void test_stateless(void **state) {
  (void)state;
  dpi_rng a = dpi_rng_make(17, 5, 3);
  for (uint64_t k = 0; k < 100; k++) assert_true(dpi_rng_u64(&a) == dpi_rng_at(17, 5, 3, k));
  assert_true(dpi_rng_at(17, 5, 3, 7) != dpi_rng_at(18, 5, 3, 7));
  assert_true(dpi_rng_at(17, 5, 3, 7) != dpi_rng_at(17, 6, 3, 7));
  assert_true(dpi_rng_at(17, 5, 3, 7) != dpi_rng_at(17, 5, 4, 7));
  assert_true(dpi_rng_at(17, 5ull << 40, 3, 7) != dpi_rng_at(17, 0, 3, 7));
  /* stored forecasts depend on these bits; computed by a second program from the layout in
   * philox.c */
  assert_true(dpi_rng_at(1, 2, 3, 4) == 0xfd5e03768e02dc3bull);
}

static void test_uniform(void **state) {
  (void)state;
  enum { N = 200000, BINS = 64 };
  int bin[BINS] = {0};
  dpi_rng r = dpi_rng_make(1, 1, 1);
  double s = 0.0;
  for (int i = 0; i < N; i++) {
    double u = dpi_rng_uniform(&r);
    assert_true(u > 0.0 && u < 1.0);
    bin[(int)(u * BINS)]++;
    s += u;
  }
  /* chi-square with 63 degrees of freedom: 0.1 % to 99.9 % is 33.9 to 103.4 */
  double chi2 = 0.0, e = (double)N / BINS;
  for (int i = 0; i < BINS; i++) chi2 += (bin[i] - e) * (bin[i] - e) / e;
  assert_true(chi2 > 33.9 && chi2 < 103.4);
  assert_true(fabs(s / N - 0.5) < 4.0 / sqrt(12.0 * N));
}

static void test_normal(void **state) {
  (void)state;
  enum { N = 200000 };
  dpi_rng r = dpi_rng_make(2, 9, 1);
  double m1 = 0, m2 = 0, m3 = 0, m4 = 0;
  for (int i = 0; i < N; i++) {
    double z = dpi_rng_normal(&r);
    m1 += z;
    m2 += z * z;
    m3 += z * z * z;
    m4 += z * z * z * z;
  }
  /* variances of the sample moments: 1, 2, 15, 96 over N */
  assert_true(fabs(m1 / N) < 4.0 * sqrt(1.0 / N));
  assert_true(fabs(m2 / N - 1.0) < 4.0 * sqrt(2.0 / N));
  assert_true(fabs(m3 / N) < 4.0 * sqrt(15.0 / N));
  assert_true(fabs(m4 / N - 3.0) < 4.0 * sqrt(96.0 / N));
}

/* neighbouring streams, purposes and seeds have no correlation */
static void test_independent(void **state) {
  (void)state;
  enum { N = 50000 };
  dpi_rng a = dpi_rng_make(1, 1, 1),
          b[3] = {dpi_rng_make(1, 2, 1), dpi_rng_make(1, 1, 2), dpi_rng_make(2, 1, 1)};
  double c[3] = {0};
  for (int i = 0; i < N; i++) {
    double z = dpi_rng_normal(&a);
    for (int k = 0; k < 3; k++) c[k] += z * dpi_rng_normal(&b[k]);
  }
  for (int k = 0; k < 3; k++) assert_true(fabs(c[k] / N) < 4.0 / sqrt(N));
}

static void test_hash(void **state) {
  (void)state;
  assert_true(dpi_hash64("eta_ka") == dpi_hash64("eta_ka"));
  assert_true(dpi_hash64("eta_ka") != dpi_hash64("eta_kb"));
  /* one letter changes about half of the bits */
  uint64_t d = dpi_hash64("patient 1") ^ dpi_hash64("patient 2");
  int bits = __builtin_popcountll(d);
  assert_true(bits > 16 && bits < 48);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_known_answers), cmocka_unit_test(test_stateless),
      cmocka_unit_test(test_uniform),       cmocka_unit_test(test_normal),
      cmocka_unit_test(test_independent),   cmocka_unit_test(test_hash),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
