/* Normal numbers of eight streams at once: the bytes of dpi_rng_normal, counters and streams of all sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "num/lane_normal.h"

static void same(void (*fn)(uint64_t, const uint64_t *, const uint64_t *, double *)) {
  enum { ROUNDS = 4000 };
  uint64_t state = 0x1234567;
  for (int r = 0; r < ROUNDS; r++) {
    uint64_t stream[DPI_NORMAL_LANES], counter[DPI_NORMAL_LANES], seed = (uint64_t)r * 0x9e3779b97f4a7c15u;
    double z[DPI_NORMAL_LANES];
    for (int l = 0; l < DPI_NORMAL_LANES; l++) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      stream[l] = r % 2 ? state : (uint64_t)l;
      counter[l] = r % 3 ? (uint64_t)(r + l) : state >> (r % 60);
    }
    fn(dpi_rng_key(seed, 77), stream, counter, z);
    for (int l = 0; l < DPI_NORMAL_LANES; l++) {
      dpi_rng rng = dpi_rng_make(seed, stream[l], 77);
      rng.counter = counter[l];
      const double want = dpi_rng_normal(&rng);
      assert_memory_equal(&z[l], &want, sizeof want);
    }
  }
}

static void test_plain(void **state) {
  (void)state;
  same(dpi_lane_normal_plain);
}

static void test_avx512(void **state) {
  (void)state;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) {
    same(dpi_lane_normal_avx512);
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
