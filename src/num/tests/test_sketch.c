/* Quantile sketches against sorting all numbers: the guaranteed rank error, ties, order, blocks; moments against their
 * definition. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "num/num.h"
#include "num/sketch.h"

static dp_ctx *context(void) {
  dp_ctx_def def = dp_ctx_def_default();
  dp_ctx *ctx = NULL;
  assert_int_equal(dp_ctx_create(&def, &ctx), DP_OK);
  return ctx;
}

static double draw(dpi_rng *r, int kind, int i) {
  switch (kind) {
    case 0:
      return dpi_rng_normal(r);
    case 1:
      return i;
    case 2:
      return -i;
    case 3:
      return floor(20 * dpi_rng_uniform(r));
    case 4:
      return 7.0;
    case 5:
      return i % 2 ? i : -i;
    default:
      return i % 3 ? 0.0 : -0.0;
  }
}
enum { KINDS = 7 };

static void add_all(dp_ctx *ctx, dpi_sketch *s, const double *x, int n, int block) {
  dpi_sketch_scratch scratch = {0};
  double *b = malloc((size_t)block * sizeof *b);
  uint64_t *work = malloc(2 * (size_t)block * sizeof *work);
  for (int i = 0; i < n; i += block) {
    int m = n - i < block ? n - i : block;
    memcpy(b, x + i, (size_t)m * sizeof *b);
    dpi_sketch_sort(b, m, work);
    for (int k = 1; k < m; k++) assert_true(b[k - 1] <= b[k]);
    assert_int_equal(dpi_sketch_digest(b, m, s->eps, b), dpi_sketch_piece(m, s->eps));
    assert_int_equal(dpi_sketch_add(ctx, s, b, m, &scratch), DP_OK);
  }
  dpi_sketch_scratch_release(ctx, &scratch);
  free(b);
  free(work);
}

/* How many places v is away from place `rank` (from 1) in the sorted numbers. */
static int64_t away(const double *sorted, int n, double v, int64_t rank) {
  int64_t first = 0, last = n;
  while (first < n && sorted[first] < v) first++;
  while (last > 0 && sorted[last - 1] > v) last--;
  assert_true(last > first); /* one of the numbers themselves */
  return rank <= first ? first + 1 - rank : rank > last ? rank - last : 0;
}

static void test_rank_error(void **state) {
  (void)state;
  enum { N = 50000 };
  static double x[N], sorted[N];
  dp_ctx *ctx = context();
  static const double eps[] = {0, 5e-4, 1e-2};
  static const int block[] = {64, 4096, N};
  for (int kind = 0; kind < KINDS; kind++) {
    dpi_rng r = dpi_rng_make(5, (uint64_t)kind, 0);
    for (int i = 0; i < N; i++) sorted[i] = x[i] = draw(&r, kind, i);
    dpi_sort(sorted, N);
    for (int e = 0; e < 3; e++)
      for (int b = 0; b < 3; b++) {
        dpi_sketch s = {.eps = eps[e]};
        add_all(ctx, &s, x, N, block[b]);
        assert_true(s.count == N && dpi_sketch_error(&s) <= eps[e]);
        for (int p = 0; p <= 100; p += 5) {
          int64_t rank = (int64_t)(p / 100.0 * (N - 1) + 0.5) + 1;
          assert_true((double)away(sorted, N, dpi_sketch_quantile(&s, p / 100.0), rank) <=
                      eps[e] * N);
        }
        if (eps[e] > 0) assert_true(s.n < 4 / eps[e] + 70);
        dpi_sketch_release(ctx, &s);
      }
  }
  assert_int_equal(dpi_alloc_live(ctx), 0);
  dp_ctx_destroy(ctx);
}

static void test_small(void **state) {
  (void)state;
  dp_ctx *ctx = context();
  dpi_sketch s = {.eps = 0.01};
  dpi_sketch_scratch scratch = {0};
  assert_true(isnan(dpi_sketch_quantile(&s, 0.5)));
  assert_int_equal(dpi_sketch_add(ctx, &s, NULL, 0, &scratch), DP_OK);
  double one = -3;
  assert_int_equal(dpi_sketch_add(ctx, &s, &one, 1, &scratch), DP_OK);
  assert_true(dpi_sketch_quantile(&s, 0) == -3 && dpi_sketch_quantile(&s, 1) == -3 &&
              dpi_sketch_error(&s) == 0);
  s.count = DPI_SKETCH_MOST;
  assert_int_equal(dpi_sketch_add(ctx, &s, &one, 1, &scratch), DP_ERR_INPUT);
  dpi_sketch_release(ctx, &s);
  dpi_sketch_scratch_release(ctx, &scratch);
  dp_ctx_destroy(ctx);
}

static void test_moments(void **state) {
  (void)state;
  enum { N = 10000 };
  static double x[N];
  dpi_rng r = dpi_rng_make(5, 1, 0);
  for (int i = 0; i < N; i++) x[i] = 1e6 + dpi_rng_normal(&r);
  double mean = dpi_sum(x, N) / N, square = 0;
  for (int i = 0; i < N; i++) square += (x[i] - mean) * (x[i] - mean);
  dpi_moments m = {0};
  for (int i = 0; i < N; i += 300) {
    dpi_moments block = dpi_moments_of(x + i, N - i < 300 ? N - i : 300);
    dpi_moments_add(&m, &block);
  }
  assert_true(m.count == N && fabs(m.mean - mean) < 1e-9 * fabs(mean));
  assert_true(fabs(dpi_moments_sd(&m) - sqrt(square / (N - 1))) < 1e-8);
  dpi_moments none = {0};
  assert_true(isnan(dpi_moments_sd(&none)));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_rank_error),
                                     cmocka_unit_test(test_small), cmocka_unit_test(test_moments)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
