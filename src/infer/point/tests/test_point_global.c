/* Independent comparison: the best of all minima of a separable function, by a fine scan of one coordinate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/tests/failing_memory.h"
#include "infer/point/global.h"
#include "infer/point/tests/point_densities.h"

static void waves(const void *user, const double *x, double *r, double *jac) {
  const int n = 2;
  (void)user;
  memset(jac, 0, 8 * sizeof *jac);
  for (int i = 0; i < n; i++) {
    r[2 * i] = 0.5 * x[i];
    r[2 * i + 1] = 3 * dpi_m_sin(1.5 * x[i]) + 0.3;
    jac[2 * i * n + i] = 0.5;
    jac[(2 * i + 1) * n + i] = 4.5 * dpi_m_cos(1.5 * x[i]);
  }
}

static double best_of_all(void) {
  double least = INFINITY;
  for (int k = -800000; k <= 800000; k++) {
    double x = 1e-5 * k, s = 3 * dpi_m_sin(1.5 * x) + 0.3;
    least = fmin(least, 0.125 * x * x + 0.5 * s * s);
  }
  return 2 * least;
}

static const double wall[3] = {1, 1, 6};

static void test_every_method(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  double want = best_of_all();
  for (int m = 0; m < DPI_GLOBAL_COUNT; m++) {
    dpi_multistart *first = NULL, *second = NULL;
    dpi_global_def def = dpi_global_def_default();
    squares q;
    long count = 0;
    assert_int_equal(dpi_global_find(dpi_global_name((dpi_global_method)m)), m);
    def.method = (dpi_global_method)m;
    def.max_eval = m == DPI_GLOBAL_MLSL ? 1500 : 3000;
    squares_init(&q, ctx, 2, 4, waves, NULL, -8, 8);
    q.wall = wall;
    dp_status status = dpi_global_run(&q.base, &def, &count, &first);
    if (!dpi_global_offered(def.method)) {
      assert_int_equal(status, DP_ERR_UNSUPPORTED);
      assert_non_null(strstr(dp_ctx_error(ctx), "built without NLopt"));
      dp_ctx_clear_error(ctx);
      continue;
    }
    if (status != DP_OK) fail_msg("%s: %s", dpi_global_name(def.method), dp_ctx_error(ctx));
    if (!(fabs(first->optimum[0].j - want) < 1e-8))
      fail_msg("%s: J %.12g, not %.12g", dpi_global_name(def.method), first->optimum[0].j, want);
    assert_true(count <= def.max_eval + 64 && count + first->neval <= q.calls);
    assert_int_equal(dpi_global_run(&q.base, &def, NULL, &second), DP_OK); /* the same seed gives the same bytes */
    assert_true(first->optimum[0].j == second->optimum[0].j && first->neval == second->neval);
    dpi_multistart_destroy(first);
    dpi_multistart_destroy(second);
  }
  assert_int_equal(dpi_global_find("nothing"), -1);
  dp_ctx_destroy(ctx);
}

static void test_trouble(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  const double everywhere[3] = {0, 0, -1};
  squares q;
  for (int m = 0; m < DPI_GLOBAL_COUNT; m++) {
    dpi_multistart *ms = NULL;
    dpi_global_def def = dpi_global_def_default();
    def.method = (dpi_global_method)m;
    def.max_eval = 200;
    if (!dpi_global_offered(def.method)) continue;
    squares_init(&q, ctx, 2, 4, waves, NULL, -8, 8);
    q.wall = everywhere;
    assert_int_equal(dpi_global_run(&q.base, &def, NULL, &ms), DP_ERR_CONVERGE);
    assert_non_null(strstr(dp_ctx_error(ctx), "beyond the wall"));
    dp_ctx_clear_error(ctx);
    q.wall = NULL;
    q.cancel_after = 1;
    def.polish.batch = 16;
    assert_int_equal(dpi_global_run(&q.base, &def, NULL, &ms), DP_ERR_CANCELLED);
    q.upper[1] = INFINITY;
    assert_int_equal(dpi_global_run(&q.base, &def, NULL, &ms), DP_ERR_INPUT);
    assert_non_null(strstr(dp_ctx_error(ctx), "parameter 'b': its bounds are [-8, inf]"));
    dp_ctx_clear_error(ctx);
  }
  dp_ctx_destroy(ctx);
}

static void test_memory(void **state) {
  (void)state;
  for (int m = 0; m < 2; m++) {
    failing_memory memory = {0};
    dp_ctx *ctx = failing_context(&memory);
    dpi_global_def def = dpi_global_def_default();
    squares q;
    def.method = m ? DPI_GLOBAL_MLSL : DPI_GLOBAL_CRS2;
    def.max_eval = 50;
    if (!dpi_global_offered(def.method)) def.method = DPI_GLOBAL_MLSL;
    squares_init(&q, ctx, 2, 4, waves, NULL, -8, 8);
    for (long n = 0;; n++) {
      dpi_multistart *ms = NULL;
      failing_next(&memory, n);
      dp_status status = dpi_global_run(&q.base, &def, NULL, &ms);
      bool failed = failing_happened(&memory);
      failing_never(&memory);
      assert_int_equal(status, failed ? DP_ERR_MEMORY : DP_OK);
      dpi_multistart_destroy(ms);
      assert_int_equal(dpi_alloc_live(ctx), 0);
      dp_ctx_clear_error(ctx);
      if (!failed) break;
    }
    dp_ctx_destroy(ctx);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_method), cmocka_unit_test(test_trouble),
                                     cmocka_unit_test(test_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
