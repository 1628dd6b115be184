/* Normal numbers of eight streams at once: the bytes of dpi_rng_normal, counters and streams of all sizes, also of
 * several counters at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "num/lane_normal.h"

static void same(dpi_lane_normal_fn fn, dpi_lane_math_fn log) {
  enum { ROUNDS = 3000, MOST = 13, STRIDE = DPI_NORMAL_LANES + 3 };
  uint64_t state = 0x1234567;
  for (int r = 0; r < ROUNDS; r++) {
    uint64_t stream[DPI_NORMAL_LANES], counter[DPI_NORMAL_LANES], seed = (uint64_t)r * 0x9e3779b97f4a7c15u;
    double z[MOST * STRIDE];
    const int n = 1 + r % MOST;
    for (int i = 0; i < MOST * STRIDE; i++) z[i] = -99;
    for (int l = 0; l < DPI_NORMAL_LANES; l++) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      stream[l] = r % 2 ? state : (uint64_t)l;
      counter[l] = r % 3 ? (uint64_t)(r + l) : state >> (r % 60);
    }
    fn(dpi_rng_key(seed, 77), stream, counter, n, log, z, STRIDE);
    for (int i = 0; i < MOST * STRIDE; i++) {
      const int l = i % STRIDE;
      double want = -99; /* what lies between rows and behind them is left alone */
      if (i / STRIDE < n && l < DPI_NORMAL_LANES) {
        dpi_rng rng = dpi_rng_make(seed, stream[l], 77);
        rng.counter = counter[l] + (uint64_t)(i / STRIDE);
        want = dpi_rng_normal(&rng);
      }
      assert_memory_equal(&z[i], &want, sizeof want);
    }
  }
}

static void test_plain(void **state) {
  (void)state;
  same(dpi_lane_normal_plain, NULL);
}

static void test_avx512(void **state) {
  (void)state;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) {
    same(dpi_lane_normal_avx512, dp_arithmetic()[0] == 'f' ? dpi_lane_log_avx512_fma : dpi_lane_log_avx512_nofma);
    return;
  }
#endif
  print_message("skipped: this processor has no AVX-512\n");
  skip();
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_plain), cmocka_unit_test(test_avx512)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
