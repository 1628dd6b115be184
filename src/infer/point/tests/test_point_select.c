/* Independent comparison: formulas by hand; leave-one-out and WAIC of a normal mean against the exact predictive
 * density in closed form (known variance, flat prior), from 4000 posterior draws. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/tests/failing_memory.h"
#include "infer/point/select.h"
#include "infer/point/tests/point_densities.h"

static void test_criteria(void **state) {
  (void)state;
  dpi_criteria c = dpi_criteria_of(-100, 3, 20);
  assert_true(fabs(c.aic - 206) < 1e-12 && fabs(c.aicc - (206 + 24.0 / 16)) < 1e-12);
  assert_true(fabs(c.bic - (200 + 3 * 2.995732273553991)) < 1e-9);
  assert_true(isinf(dpi_criteria_of(-1, 4, 5).aicc));
  double w[4];
  const double ic[4] = {10, 12, INFINITY, 10};
  dpi_select_weights(ic, 4, w);
  assert_true(w[2] == 0 && fabs(w[1] / w[0] - 0.36787944117144233) < 1e-12 && fabs(w[0] + w[1] + w[3] - 1) < 1e-12);
  double mean[2] = {1, 3}, var[2] = {.5, 1.5}, half[2] = {.25, .75}, m, v;
  dpi_select_average(half, mean, var, 2, &m, &v);
  assert_true(fabs(m - 2.5) < 1e-12 && fabs(v - (.25 * .5 + .75 * 1.5 + .25 * 2.25 + .75 * .25)) < 1e-12);
}

enum { N = 40, S = 4000 };

/* y ~ N(mu, 1), mu | y ~ N(mean, 1/N); left out: y_i ~ N(mean of the others, 1 + 1/(N-1)) */
static void test_predictive_accuracy(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  static double lp[S * N], point[N], other[N], khat[N];
  double y[N], mean = 0, exact = 0;
  dpi_rng rng = dpi_rng_make(3, 1, 1);
  for (int i = 0; i < N; i++) mean += (y[i] = dpi_rng_normal(&rng)) / N;
  for (int s = 0; s < S; s++) {
    double mu = mean + dpi_rng_normal(&rng) / sqrt(N);
    for (int i = 0; i < N; i++) lp[s * N + i] = -0.5 * (y[i] - mu) * (y[i] - mu) - 0.9189385332046727;
  }
  for (int i = 0; i < N; i++) {
    double rest = (N * mean - y[i]) / (N - 1), v = 1 + 1.0 / (N - 1);
    exact += -0.5 * (y[i] - rest) * (y[i] - rest) / v - 0.9189385332046727 - 0.5 * dpi_m_log(v);
  }
  dpi_elpd waic, loo;
  assert_int_equal(dpi_select_waic(ctx, lp, S, N, point, &waic), DP_OK);
  assert_int_equal(dpi_select_loo(ctx, lp, S, N, other, khat, &loo), DP_OK);
  assert_true(fabs(loo.elpd - exact) < 0.05 && fabs(waic.elpd - exact) < 0.1);
  assert_true(fabs(loo.p - 1) < 0.4 && fabs(waic.p - 1) < 0.4 && loo.nbad == 0 && waic.nbad == 0 && loo.worst < 0.7);
  assert_true(fabs(waic.ic + 2 * waic.elpd) < 1e-12 && waic.se > 0);
  double diff, se;
  dpi_select_difference(point, other, N, &diff, &se);
  assert_true(fabs(diff - (waic.elpd - loo.elpd)) < 1e-9 && se < 0.1);
  assert_int_equal(dpi_select_waic(ctx, lp, 1, N, NULL, &waic), DP_ERR_USAGE);
  dp_ctx_destroy(ctx);
}

/* one observation far out: told by k-hat */
static void test_influential(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  static double lp[1000 * 2];
  double khat[2];
  dpi_rng rng = dpi_rng_make(4, 1, 1);
  for (int s = 0; s < 1000; s++) {
    double mu = dpi_rng_normal(&rng);
    lp[2 * s] = -0.05 * mu * mu;
    lp[2 * s + 1] = -0.5 * 25 * (mu - 3) * (mu - 3);
  }
  dpi_elpd loo, waic;
  assert_int_equal(dpi_select_loo(ctx, lp, 1000, 2, NULL, khat, &loo), DP_OK);
  assert_int_equal(dpi_select_waic(ctx, lp, 1000, 2, NULL, &waic), DP_OK);
  assert_true(khat[1] > 0.7 && khat[0] < 0.7 && loo.nbad == 1 && waic.nbad >= 1);
  dp_ctx_destroy(ctx);
}

/* stacking: a model that is right for a third of the data, another for the rest; a third one, a copy,
 * changes nothing */
static void test_stacking(void **state) {
  (void)state;
  enum { M = 300 };
  static double point[2 * M];
  double w[2];
  for (int i = 0; i < M; i++) {
    point[i] = i % 3 == 0 ? -1 : -9;
    point[M + i] = i % 3 == 0 ? -9 : -1;
  }
  dpi_select_stack(point, 2, M, w);
  assert_true(fabs(w[0] - 1.0 / 3) < 1e-3 && fabs(w[0] + w[1] - 1) < 1e-12);
}

static void test_memory(void **state) {
  (void)state;
  failing_memory memory = {0};
  dp_ctx *ctx = failing_context(&memory);
  double lp[40];
  for (int k = 0; k < 40; k++) lp[k] = -0.1 * (k % 7);
  for (int kind = 0; kind < 2; kind++) {
    for (long n = 0;; n++) {
      dpi_elpd out;
      failing_next(&memory, n);
      dp_status status =
          kind ? dpi_select_loo(ctx, lp, 20, 2, NULL, NULL, &out) : dpi_select_waic(ctx, lp, 20, 2, NULL, &out);
      bool failed = failing_happened(&memory);
      failing_never(&memory);
      assert_int_equal(status, failed ? DP_ERR_MEMORY : DP_OK);
      assert_int_equal(dpi_alloc_live(ctx), 0);
      dp_ctx_clear_error(ctx);
      if (!failed) break;
    }
  }
  squares q;
  double x[2] = {0, 0};
  int used;
  squares_init(&q, ctx, 2, 2, rosenbrock, NULL, -5, 5);
  assert_int_equal(dpi_select_pointwise(&q.base, x, 1, lp, &used), DP_ERR_UNSUPPORTED);
  dp_ctx_destroy(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_criteria), cmocka_unit_test(test_predictive_accuracy),
                                     cmocka_unit_test(test_influential), cmocka_unit_test(test_stacking),
                                     cmocka_unit_test(test_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
