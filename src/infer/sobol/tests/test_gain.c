/* Independent comparison: the linear Gaussian case in closed form; a forecast that only a nonlinear look can narrow;
 * weights against repeated draws. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/sobol/sens.h"

enum { N = 3000, K = 3 };
static double q[N], f[N * K], sd[N * K], weight[N];

static dp_ctx *make_ctx(int nthread) {
  dp_ctx *ctx = NULL;
  dp_ctx_def def = dp_ctx_def_default();
  def.nthread = nthread;
  assert_int_equal(dp_ctx_create(&def, &ctx), DP_OK);
  return ctx;
}

static void near(double found, double want, double within) {
  if (!(fabs(found - want) <= within)) print_error("found %.6g, want %.6g within %g\n", found, want, within);
  assert_true(fabs(found - want) <= within);
}

static dp_gain_def make_def(void) {
  dp_gain_def def = dp_gain_def_default();
  def.ndraw = N;
  def.nmeasure = K;
  def.forecast = q;
  def.predicted = f;
  def.sd = sd;
  return def;
}

/* q = a + b; candidates measure a + 2 b, a alone, and something that has nothing to do with q. */
static void draw(double error) {
  for (int k = 0; k < N; k++) {
    dpi_rng rng = dpi_rng_make(3, (uint64_t)k, 1);
    double a = dpi_rng_normal(&rng), b = dpi_rng_normal(&rng), c = dpi_rng_normal(&rng);
    q[k] = 50 + a + b;
    f[K * k] = a + 2 * b;
    f[K * k + 1] = a;
    f[K * k + 2] = c;
    for (int j = 0; j < K; j++) sd[K * k + j] = error;
    weight[k] = 1;
  }
}

static void test_linear(void **state) {
  (void)state;
  dp_ctx *ctx = make_ctx(2);
  dp_gain g[K];
  const double s = 0.8, cov[K] = {3, 1, 0}, vf[K] = {5, 1, 1};
  draw(s);
  dp_gain_def def = make_def();
  assert_int_equal(dp_gain_of(ctx, &def, g), DP_OK);
  for (int j = 0; j < K; j++) {
    double narrowing = cov[j] * cov[j] / (2 * (vf[j] + s * s)), information = 0.5 * log(1 + vf[j] / (s * s));
    near(g[j].linear_narrowing, narrowing, 0.02);
    near(g[j].linear_information, information, 0.03);
    near(g[j].narrowing, narrowing, 0.02);
    near(g[j].narrowing, narrowing, 4 * g[j].narrowing_se + 0.004);
    near(g[j].information, information, 4 * g[j].information_se + 0.01);
    assert_true(g[j].narrowing_se > 0 && g[j].narrowing_se < 0.02 && g[j].information_se < 0.05);
    assert_true(g[j].usable && g[j].ess > 100);
    assert_int_equal(g[j].ndraw, N);
  }
  near(g[0].linear_forecast_information, -0.5 * log(1 - g[0].linear_narrowing), 1e-12);
  dp_ctx_destroy(ctx);
}

/* Few draws, many beliefs: on average the closed form, though each belief is coarse. 300 beliefs of 200 draws: 6 means
 * within 4.2 standard errors of the truth, of which chance alone misses one in 6200. */
static void test_unbiased(void **state) {
  (void)state;
  enum { FEW = 200, BELIEFS = 300 };
  dp_ctx *ctx = make_ctx(1);
  const double s = 0.8, cov[K] = {3, 1, 0}, vf[K] = {5, 1, 1};
  double sum[2 * K] = {0}, square[2 * K] = {0};
  for (int belief = 0; belief < BELIEFS; belief++) {
    dp_gain g[K];
    for (int k = 0; k < FEW; k++) {
      dpi_rng rng = dpi_rng_make(11, (uint64_t)(belief * FEW + k), 4);
      double a = dpi_rng_normal(&rng), b = dpi_rng_normal(&rng), c = dpi_rng_normal(&rng);
      q[k] = a + b;
      f[K * k] = a + 2 * b;
      f[K * k + 1] = a;
      f[K * k + 2] = c;
      for (int j = 0; j < K; j++) sd[K * k + j] = s;
    }
    dp_gain_def def = make_def();
    def.ndraw = FEW;
    def.seed = (uint64_t)belief + 1;
    assert_int_equal(dp_gain_of(ctx, &def, g), DP_OK);
    for (int j = 0; j < K; j++) {
      const double x[2] = {g[j].narrowing, g[j].information};
      for (int m = 0; m < 2; m++) {
        sum[2 * j + m] += x[m] / BELIEFS;
        square[2 * j + m] += x[m] * x[m] / BELIEFS;
      }
    }
  }
  for (int j = 0; j < 2 * K; j++) {
    double want = j % 2 ? 0.5 * log(1 + vf[j / 2] / (s * s)) : cov[j / 2] * cov[j / 2] / (2 * (vf[j / 2] + s * s));
    double se = sqrt((square[j] - sum[j] * sum[j]) / (BELIEFS - 1));
    if (getenv("SHOW"))
      print_error("%d: %.5f want %.5f se %.5f\n", j, sum[j], want, se);
    else
      near(sum[j], want, 4.2 * se);
  }
  dp_ctx_destroy(ctx);
}

/* q = a^2, measured by a: no correlation, yet almost everything is told. By weights or by repetition: the same. */
static void test_nonlinear(void **state) {
  (void)state;
  dp_ctx *ctx = make_ctx(1);
  dp_gain g[K], h[K];
  draw(0.1);
  for (int k = 0; k < N; k++) q[k] = f[K * k + 1] * f[K * k + 1];
  dp_gain_def def = make_def();
  assert_int_equal(dp_gain_of(ctx, &def, g), DP_OK);
  assert_true(g[1].linear_narrowing < 0.02);
  assert_true(g[1].narrowing > 0.93 && g[1].narrowing < 1);
  assert_true(fabs(g[2].narrowing) < 0.03);
  /* draws beyond the first third have no weight; the same as those alone */
  for (int k = 0; k < N; k++) weight[k] = k < N / 3 ? 3 : 0;
  def.weight = weight;
  assert_int_equal(dp_gain_of(ctx, &def, g), DP_OK);
  def.weight = NULL;
  def.ndraw = N / 3;
  assert_int_equal(dp_gain_of(ctx, &def, h), DP_OK);
  near(g[1].narrowing, h[1].narrowing, 1e-9);
  near(g[0].information, h[0].information, 1e-9);
  assert_int_equal(g[0].ndraw, N / 3);
  dp_ctx_destroy(ctx);
}

/* Errors so small that no other draw explains a measurement: said, not hidden. */
static void test_collapse(void **state) {
  (void)state;
  dp_ctx *ctx = make_ctx(1);
  dp_gain g[K];
  draw(1e-4);
  f[K * 7] = NAN; /* this draw is left out */
  dp_gain_def def = make_def();
  assert_int_equal(dp_gain_of(ctx, &def, g), DP_OK);
  assert_false(g[0].usable);
  assert_int_equal(g[0].ndraw, N - 1);
  near(g[0].linear_narrowing, 0.9, 0.02);
  f[K * 7] = 1;
  sd[K * 7 + 1] = 0;
  assert_int_equal(dp_gain_of(ctx, &def, g), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(ctx), "candidate 2, draw 8"));
  dp_ctx_destroy(ctx);
}

/* Relative errors. */
static void test_lognormal(void **state) {
  (void)state;
  dp_ctx *ctx = make_ctx(1);
  dp_gain g[K], h[K];
  draw(0.5);
  dp_gain_def def = make_def();
  assert_int_equal(dp_gain_of(ctx, &def, g), DP_OK);
  for (int k = 0; k < N * K; k++) f[k] = exp(f[k]);
  def.lognormal = 1;
  assert_int_equal(dp_gain_of(ctx, &def, h), DP_OK);
  for (int j = 0; j < K; j++) near(g[j].narrowing, h[j].narrowing, 1e-9);
  dp_ctx_destroy(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_linear), cmocka_unit_test(test_unbiased),
                                     cmocka_unit_test(test_nonlinear), cmocka_unit_test(test_collapse),
                                     cmocka_unit_test(test_lognormal)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
