/* Independent comparison: closed forms. Sobol indices of Ishigami's function and of the g-function; Shapley effects
 * of a linear model of correlated normal inputs; Morris effects of a linear function; moments of truncated laws. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/sobol/sens.h"

#define PI 3.14159265358979323846

static dp_ctx *make_ctx(int nthread) {
  dp_ctx *ctx = NULL;
  dp_ctx_def def = dp_ctx_def_default();
  def.nthread = nthread;
  assert_int_equal(dp_ctx_create(&def, &ctx), DP_OK);
  return ctx;
}

/* sin x1 + 7 sin^2 x2 + 0.1 x3^4 sin x1; the second output is constant, the third linear */
static dp_status ishigami(void *user, dp_points *p) {
  (void)user;
  for (int i = 0; i < p->n; i++) {
    const double *x = p->x + 3 * i;
    double *y = p->y + 3 * i;
    y[0] = 100 + sin(x[0]) + 7 * sin(x[1]) * sin(x[1]) + 0.1 * pow(x[2], 4) * sin(x[0]);
    y[1] = 5;
    y[2] = 3 * x[0] + 4 * x[1];
  }
  return DP_OK;
}

static const dp_input_def angle[3] = {
    {.id = "x1", .a = -PI, .b = PI}, {.id = "x2", .a = -PI, .b = PI}, {.id = "x3", .a = -PI, .b = PI}};

static dp_sensitivity *ask(dp_ctx *ctx, const dp_sensitivity_def *def, int noutput, dp_points_fn fn) {
  dp_sensitivity *a = NULL;
  dp_status status = dp_sensitivity_run(ctx, def, noutput, fn, NULL, &a);
  if (status != DP_OK) print_error("%s\n", dp_ctx_error(ctx));
  assert_int_equal(status, DP_OK);
  return a;
}

static void near(double found, double want, double within) {
  if (!(fabs(found - want) <= within)) print_error("found %.6g, want %.6g within %g\n", found, want, within);
  assert_true(fabs(found - want) <= within);
}

static void test_ishigami(void **state) {
  (void)state;
  double v1 = 0.5 * pow(1 + 0.1 * pow(PI, 4) / 5, 2), v2 = 49.0 / 8, v13 = 0.01 * pow(PI, 8) * 8 / 225,
         v = v1 + v2 + v13;
  const double first[] = {v1 / v, v2 / v, 0}, total[] = {(v1 + v13) / v, v2 / v, v13 / v};
  dp_ctx *ctx = make_ctx(2);
  dp_sensitivity_def def = dp_sensitivity_def_default();
  def.input = angle;
  def.ninput = 3;
  def.nsample = 4096;
  def.nboot = 100;
  for (int e = 0; e < 2; e++) {
    def.estimator = e ? DP_ESTIMATOR_JANSEN : DP_ESTIMATOR_SALTELLI;
    def.second = e;
    dp_sensitivity *a = ask(ctx, &def, 3, ishigami);
    dp_sensitivity_desc d = dp_sensitivity_describe(a);
    assert_int_equal(d.npoint, 4096 * (e ? 8 : 5));
    assert_int_equal(d.nfailed, 0);
    for (int g = 0; g < 3; g++) {
      dp_estimate f = dp_sensitivity_value(a, 0, g, 0), t = dp_sensitivity_value(a, 0, g, 1);
      near(f.value, first[g], 0.012);
      near(t.value, total[g], 0.012);
      assert_true(f.low < f.value && f.value < f.high && f.high - f.low < 0.12); /* what they hold: test_coverage */
      assert_true(t.low < t.value && t.value < t.high && t.high - t.low < 0.12);
      assert_int_equal(f.nused, 4096);
      assert_true(isnan(dp_sensitivity_value(a, 1, g, 0).value)); /* what does not vary has no shares */
      assert_true(!dp_sensitivity_constant(a, 0) && dp_sensitivity_constant(a, 1));
    }
    near(dp_sensitivity_mean(a, 0), 103.5, 0.02);
    near(dp_sensitivity_sd(a, 0), sqrt(v), 0.03);
    near(dp_sensitivity_value(a, 2, 0, 0).value, 9.0 / 25, 0.005);
    if (e) near(dp_sensitivity_pair(a, 0, 0, 2).value, v13 / v, 0.03);
    if (e) near(dp_sensitivity_pair(a, 0, 2, 1).value, 0, 0.03);
    dp_sensitivity_destroy(a);
  }
  dp_ctx_destroy(ctx);
}

/* Intervals meant to hold 95 of 100 do so, also for what is exactly 0: 400 seeds, 512 rows, 15 indices. An index passes
 * with 363 to 395 of 400. With 95 % in truth, one of 15 misses that in 2.3 of 1000 choices of seeds at most (binomial:
 * 1.4e-4 below, 1.2e-5 above, times 15); a true 86 % (resampled rows) passes in 2.6 of 1000. */
static void test_coverage(void **state) {
  (void)state;
  enum { SEEDS = 400, LEAST = 363, MOST = 395, NINDEX = 9 };
  double v1 = 0.5 * pow(1 + 0.1 * pow(PI, 4) / 5, 2), v2 = 49.0 / 8, v13 = 0.01 * pow(PI, 8) * 8 / 225,
         v = v1 + v2 + v13;
  const double want[NINDEX] = {v1 / v, v2 / v, 0, (v1 + v13) / v, v2 / v, v13 / v, 0, v13 / v, 0};
  dp_ctx *ctx = make_ctx(1);
  dp_sensitivity_def def = dp_sensitivity_def_default();
  def.input = angle;
  def.ninput = 3;
  def.nsample = 512;
  for (int jansen = 0; jansen < 2; jansen++) {
    int inside[NINDEX] = {0};
    def.second = !jansen;
    def.estimator = jansen ? DP_ESTIMATOR_JANSEN : DP_ESTIMATOR_SALTELLI;
    for (int seed = 1; seed <= SEEDS; seed++) {
      def.seed = (uint64_t)seed;
      dp_sensitivity *a = ask(ctx, &def, 3, ishigami);
      for (int k = 0; k < (jansen ? 6 : NINDEX); k++) {
        dp_estimate e = k < 6    ? dp_sensitivity_value(a, 0, k % 3, k / 3)
                        : k == 6 ? dp_sensitivity_pair(a, 0, 0, 1)
                        : k == 7 ? dp_sensitivity_pair(a, 0, 0, 2)
                                 : dp_sensitivity_pair(a, 0, 1, 2);
        inside[k] += e.low <= want[k] && want[k] <= e.high;
      }
      dp_sensitivity_destroy(a);
    }
    for (int k = 0; k < (jansen ? 6 : NINDEX); k++) {
      bool good = inside[k] >= LEAST && inside[k] <= MOST;
      if (!good || getenv("SHOW"))
        print_error("jansen %d index %d (%g): %d of %d\n", jansen, k, want[k], inside[k], SEEDS);
      if (!getenv("SHOW")) assert_true(good);
    }
  }
  dp_ctx_destroy(ctx);
}

enum { NG = 6 };
static const double ga[NG] = {0, 0.5, 3, 9, 99, 99};

/* product of (|4 x - 2| + a) / (1 + a) (Sobol 1993) */
static dp_status gfunction(void *user, dp_points *p) {
  (void)user;
  for (int i = 0; i < p->n; i++) {
    p->y[i] = 1;
    for (int k = 0; k < NG; k++) p->y[i] *= (fabs(4 * p->x[i * NG + k] - 2) + ga[k]) / (1 + ga[k]);
  }
  return DP_OK;
}

static void test_gfunction(void **state) {
  (void)state;
  dp_input_def in[NG];
  double part[NG], all = 1;
  for (int k = 0; k < NG; k++) {
    in[k] = (dp_input_def){.id = "u", .a = 0, .b = 1};
    part[k] = 1 / (3 * (1 + ga[k]) * (1 + ga[k]));
    all *= 1 + part[k];
  }
  dp_ctx *ctx = make_ctx(1);
  dp_sensitivity_def def = dp_sensitivity_def_default();
  def.input = in;
  def.ninput = NG;
  def.nsample = 8192;
  def.nboot = 20;
  dp_sensitivity *a = ask(ctx, &def, 1, gfunction);
  for (int k = 0; k < NG; k++) {
    near(dp_sensitivity_value(a, 0, k, 0).value, part[k] / (all - 1), 0.01);
    near(dp_sensitivity_value(a, 0, k, 1).value, part[k] * all / (1 + part[k]) / (all - 1), 0.01);
  }
  dp_sensitivity_destroy(a);
  in[0].group = in[1].group = 7; /* a group's closed first order */
  a = ask(ctx, &def, 1, gfunction);
  assert_int_equal(dp_sensitivity_describe(a).ngroup, NG - 1);
  assert_string_equal(dp_sensitivity_describe(a).group[0], "u+u");
  near(dp_sensitivity_value(a, 0, 0, 0).value, ((1 + part[0]) * (1 + part[1]) - 1) / (all - 1), 0.01);
  dp_sensitivity_destroy(a);
  dp_ctx_destroy(ctx);
}

static const double beta[3] = {1, 1, 1};
static dp_status linear(void *user, dp_points *p) {
  (void)user;
  for (int i = 0; i < p->n; i++) {
    p->y[i] = 0;
    for (int k = 0; k < 3; k++) p->y[i] += beta[k] * p->x[3 * i + k];
  }
  return DP_OK;
}

/* Var(y | x_K) of a linear function of normals, K as bits, by elimination. */
static double left_over(const double *c, unsigned known) {
  double s[9], w[3] = {1, 1, 1}, v = 0;
  memcpy(s, c, sizeof s);
  for (int k = 0; k < 3; k++)
    if (known >> k & 1)
      for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3 && s[4 * k] > 0; j++)
          if (i != k && j != k) s[3 * i + j] -= s[3 * i + k] * s[3 * k + j] / s[4 * k];
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++)
      if (!(known >> i & 1) && !(known >> j & 1)) v += w[i] * w[j] * s[3 * i + j];
  return v;
}

static double shapley_of(const double *c, int k) {
  double sum = 0;
  int a = (k + 1) % 3, b = (k + 2) % 3;
  const unsigned one = 1u << k, other[4] = {0, 1u << a, 1u << b, (1u << a) | (1u << b)};
  const double weight[4] = {1.0 / 3, 1.0 / 6, 1.0 / 6, 1.0 / 3};
  for (int q = 0; q < 4; q++) sum += weight[q] * (left_over(c, 7u & ~(other[q] | one)) - left_over(c, 7u & ~other[q]));
  return sum / left_over(c, 0);
}

static void test_shapley(void **state) {
  (void)state;
  const double sd[3] = {1, 1, 2}, rho = 0.7;
  const double r[9] = {1, 0, 0, 0, 1, rho, 0, rho, 1};
  double c[9];
  for (int i = 0; i < 9; i++) c[i] = r[i] * sd[i / 3] * sd[i % 3];
  dp_input_def in[3];
  for (int k = 0; k < 3; k++)
    in[k] = (dp_input_def){.id = k == 0 ? "a" : k == 1 ? "b" : "c", .kind = DP_INPUT_NORMAL, .a = 1, .b = sd[k]};
  dp_ctx *ctx = make_ctx(2);
  dp_sensitivity_def def = dp_sensitivity_def_default();
  def.method = DP_SENSITIVITY_SHAPLEY;
  def.input = in;
  def.ninput = 3;
  def.correlation = r;
  def.nsample = 20000;
  def.nvariance = 20000;
  def.nboot = 200;
  def.level = 0.99; /* of three shares all are met in 97 of 100 seeds */
  dp_sensitivity *a = ask(ctx, &def, 1, linear);
  double sum = 0;
  /* published form for one independent and two correlated inputs (Iooss & Prieur 2019, example 3) */
  double v = 1 + 1 + 4 + 2 * rho * 2, with = 1 + rho * 2 * 0.5 * 2, half = 0.5 * rho * rho * (4 - 1);
  near(shapley_of(c, 1), (with + half) / v, 1e-12);
  for (int k = 0; k < 3; k++) {
    dp_estimate e = dp_sensitivity_value(a, 0, k, 0);
    near(e.value, shapley_of(c, k), 0.012);
    assert_true(e.low < shapley_of(c, k) && shapley_of(c, k) < e.high);
    sum += e.value;
  }
  near(sum, 1, 1e-12);
  dp_sensitivity_destroy(a);
  def.method = DP_SENSITIVITY_SOBOL; /* refused by name */
  assert_int_equal(dp_sensitivity_run(ctx, &def, 1, linear, NULL, &a), DP_ERR_UNSUPPORTED);
  assert_null(a);
  assert_non_null(strstr(dp_ctx_error(ctx), "b and c are correlated"));
  dp_ctx_destroy(ctx);
}

/* A sample in place of laws: marginals and correlation come from it. */
static void test_sample(void **state) {
  (void)state;
  enum { N = 4000 };
  double *row = malloc(sizeof *row * 3 * N), c[9] = {1, 0, 0, 0, 1, 1.4, 0, 1.4, 4};
  for (int i = 0; i < N; i++) {
    dpi_rng rng = dpi_rng_make(5, (uint64_t)i, 1);
    double z[3] = {dpi_rng_normal(&rng), dpi_rng_normal(&rng), dpi_rng_normal(&rng)};
    row[3 * i] = z[0];
    row[3 * i + 1] = z[1];
    row[3 * i + 2] = 2 * (0.7 * z[1] + sqrt(0.51) * z[2]);
  }
  const dp_input_def in[3] = {{.id = "a"}, {.id = "b"}, {.id = "c"}};
  dp_ctx *ctx = make_ctx(1);
  dp_sensitivity_def def = dp_sensitivity_def_default();
  def.method = DP_SENSITIVITY_SHAPLEY;
  def.input = in;
  def.ninput = 3;
  def.row = row;
  def.nrow = N;
  def.nsample = 10000;
  def.nvariance = 10000;
  def.nboot = 0;
  dp_sensitivity *a = ask(ctx, &def, 1, linear);
  for (int k = 0; k < 3; k++) {
    near(dp_sensitivity_value(a, 0, k, 0).value, shapley_of(c, k), 0.03);
    assert_true(isnan(dp_sensitivity_value(a, 0, k, 0).low));
  }
  dp_sensitivity_destroy(a);
  dp_ctx_destroy(ctx);
  free(row);
}

static void test_morris(void **state) {
  (void)state;
  const double slope[3] = {3, 4, 0};
  dp_ctx *ctx = make_ctx(1);
  dp_sensitivity_def def = dp_sensitivity_def_default();
  def.method = DP_SENSITIVITY_MORRIS;
  def.input = angle;
  def.ninput = 3;
  def.nsample = 20;
  def.nboot = 50;
  dp_sensitivity *a = ask(ctx, &def, 3, ishigami);
  assert_int_equal(dp_sensitivity_describe(a).npoint, 80);
  for (int k = 0; k < 3; k++) {
    near(dp_sensitivity_value(a, 2, k, 0).value, slope[k] * 2 * PI, 1e-12);
    near(dp_sensitivity_value(a, 2, k, 1).value, slope[k] * 2 * PI, 1e-12);
    near(dp_sensitivity_value(a, 2, k, 2).value, 0, 1e-10);
  }
  assert_true(dp_sensitivity_value(a, 0, 2, 2).value > 1); /* x3 acts through x1 */
  dp_sensitivity_destroy(a);
  dp_ctx_destroy(ctx);
}

/* Fails where x1 > 2.5; output 1 is unknown where x2 < -2.5. */
static dp_status partly(void *user, dp_points *p) {
  (void)user;
  for (int i = 0; i < p->n; i++) {
    const double *x = p->x + 3 * i;
    p->y[2 * i] = p->y[2 * i + 1] = x[0] + x[1] + x[2];
    if (x[1] < -2.5) p->y[2 * i + 1] = NAN;
    if (x[0] <= 2.5) continue;
    p->ok[i] = 0;
    strcpy(p->reason, "x1 is too large");
  }
  return DP_OK;
}

static void test_failures(void **state) {
  (void)state;
  dp_ctx *ctx = make_ctx(1);
  dp_sensitivity_def def = dp_sensitivity_def_default();
  def.input = angle;
  def.ninput = 3;
  def.nboot = 20;
  for (int m = 0; m < 3; m++) {
    def.method = (dp_sensitivity_method)m;
    dp_sensitivity *a = ask(ctx, &def, 2, partly);
    dp_sensitivity_desc d = dp_sensitivity_describe(a);
    assert_true(d.nfailed > 0 && d.nfailed < d.npoint);
    assert_string_equal(d.reason, "x1 is too large");
    for (int g = 0; g < 3; g++) {
      dp_estimate e = dp_sensitivity_value(a, 0, g, 0), f = dp_sensitivity_value(a, 1, g, 0);
      assert_true(e.nused > 0 && e.nused < 1024 && isfinite(e.value));
      assert_true(f.nused <= e.nused && isfinite(f.value));
    }
    dp_sensitivity_destroy(a);
  }
  dp_ctx_destroy(ctx);
}

static void test_laws(void **state) {
  (void)state;
  dp_ctx *ctx = make_ctx(1);
  const double inf = INFINITY;
  const dp_input_def in[4] = {{.id = "n", .kind = DP_INPUT_NORMAL, .a = 2, .b = 3},
                              {.id = "t", .kind = DP_INPUT_NORMAL, .a = 0, .b = 1, .low = 0, .high = inf},
                              {.id = "far", .kind = DP_INPUT_NORMAL, .a = 0, .b = 1, .low = 20, .high = inf},
                              {.id = "l", .kind = DP_INPUT_LOGUNIFORM, .a = -1, .b = -100}};
  dp_sensitivity_def def = dp_sensitivity_def_default();
  def.input = in;
  def.ninput = 4;
  dpi_inputs inputs;
  assert_int_equal(dpi_inputs_init(&inputs, ctx, &def), DP_OK);
  near(dpi_inputs_quantile(&inputs, 0, 0.975), 2 + 3 * 1.959963984540054, 1e-12);
  near(dpi_inputs_quantile(&inputs, 1, 0.5), 0.6744897501960817, 1e-12);
  near(dpi_inputs_quantile(&inputs, 3, 0.5), -10, 1e-12);
  double mean = 0;
  for (int i = 0; i < 2000; i++) mean += dpi_inputs_quantile(&inputs, 2, (i + 0.5) / 2000) / 2000;
  near(mean, 20.04975, 1e-4); /* phi(20) / Phi(-20) */
  assert_false(dpi_inputs_bounded(&inputs, 1));
  assert_true(dpi_inputs_bounded(&inputs, 3));
  dpi_inputs_release(&inputs);
  const dp_input_def bad[4] = {{.id = "u", .a = 1, .b = 1},
                               {.id = "g", .kind = DP_INPUT_LOGUNIFORM, .a = -1, .b = 1},
                               {.id = "s", .kind = DP_INPUT_NORMAL, .b = 0},
                               {.id = "c", .kind = DP_INPUT_NORMAL, .b = 1, .low = 3, .high = 2}};
  for (int k = 0; k < 4; k++) {
    dp_sensitivity *a;
    def.input = &bad[k];
    def.ninput = 1;
    assert_int_equal(dp_sensitivity_run(ctx, &def, 1, linear, NULL, &a), DP_ERR_USAGE);
    assert_non_null(strstr(dp_ctx_error(ctx), bad[k].id));
    dp_ctx_clear_error(ctx);
  }
  dp_ctx_destroy(ctx);
}

/* 7 and its rounding */
static dp_status at_rest(void *user, dp_points *p) {
  (void)user;
  for (int i = 0; i < p->n; i++) p->y[i] = 7 + 1e-14 * p->x[3 * i] * p->x[3 * i + 1];
  return DP_OK;
}

/* What varies by rounding alone is named constant by every method and gets no number; unless exact values
 * are claimed. */
static void test_constant(void **state) {
  (void)state;
  dp_ctx *ctx = make_ctx(1);
  dp_sensitivity_def def = dp_sensitivity_def_default();
  def.input = angle;
  def.ninput = 3;
  def.nsample = 64;
  for (int m = 0; m < 6; m++) {
    def.method = (dp_sensitivity_method)(m % 3);
    def.rtol = m < 3 ? 1e-12 : 0;
    dp_sensitivity *a = ask(ctx, &def, 1, at_rest);
    assert_int_equal(dp_sensitivity_constant(a, 0), m < 3);
    near(dp_sensitivity_mean(a, 0), 7, 1e-12);
    for (int k = 0; k < dp_sensitivity_describe(a).nmeasure; k++)
      assert_true(isnan(dp_sensitivity_value(a, 0, 0, k).value) == (m < 3));
    dp_sensitivity_destroy(a);
  }
  dp_ctx_destroy(ctx);
}

/* Points are balanced, and the answer does not depend on threads. */
static void test_net(void **state) {
  (void)state;
  dp_ctx *ctx = make_ctx(1), *three = make_ctx(3);
  dpi_net net;
  double u[400], square = 0;
  assert_int_equal(dpi_net_init(&net, ctx, 400, 9), DP_OK);
  int count[400][16] = {{0}};
  for (uint32_t i = 0; i < 1024; i++) {
    dpi_net_point(&net, i, u);
    for (int k = 0; k < 400; k++) {
      assert_true(u[k] > 0 && u[k] < 1);
      count[k][(int)(16 * u[k])]++;
    }
    square += u[0] * u[1] / 1024;
  }
  for (int k = 0; k < 360; k++)
    for (int b = 0; b < 16; b++) assert_int_equal(count[k][b], 64); /* equidistributed in each coordinate */
  near(square, 0.25, 1e-3);
  dpi_net_release(&net, ctx);
  dp_sensitivity_def def = dp_sensitivity_def_default();
  def.input = angle;
  def.ninput = 3;
  for (int m = 0; m < 3; m++) {
    def.method = (dp_sensitivity_method)m;
    dp_sensitivity *a = ask(ctx, &def, 3, ishigami), *b = ask(three, &def, 3, ishigami);
    for (int o = 0; o < 3; o += 2)
      for (int g = 0; g < 3; g++) {
        dp_estimate x = dp_sensitivity_value(a, o, g, 0), y = dp_sensitivity_value(b, o, g, 0);
        assert_memory_equal(&x, &y, offsetof(dp_estimate, nused));
      }
    dp_sensitivity_destroy(a);
    dp_sensitivity_destroy(b);
  }
  dp_ctx_destroy(ctx);
  dp_ctx_destroy(three);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_ishigami),  cmocka_unit_test(test_coverage),
                                     cmocka_unit_test(test_gfunction), cmocka_unit_test(test_shapley),
                                     cmocka_unit_test(test_sample),    cmocka_unit_test(test_morris),
                                     cmocka_unit_test(test_failures),  cmocka_unit_test(test_laws),
                                     cmocka_unit_test(test_constant),  cmocka_unit_test(test_net)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
