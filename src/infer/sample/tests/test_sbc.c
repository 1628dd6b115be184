/* Independent comparison: the band's probability with a simulation of uniform ranks; then simulation-based calibration
 * of the samplers on a straight line with a normal prior, 500 replicates, false-alarm rate 1 % over all quantities of a
 * sampler. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "infer/sample/laplace.h"
#include "infer/sample/nuts.h"
#include "infer/sample/sbc.h"
#include "infer/sample/smc.h"
#include "infer/sample/tempering.h"
#include "sample_target.h"

#define REPLICATES 500
#define DRAWS 99

static void test_interval(void **state) {
  int low, high;
  (void)state;
  /* binomial(20, 0.5): P(X <= 5) = 0.0207, P(X <= 6) = 0.0577; 95 % central: 6..14 (tables) */
  dpi_sbc_interval(20, 0.5, 0.95, &low, &high);
  assert_int_equal(low, 6);
  assert_int_equal(high, 14);
  dpi_sbc_interval(10, 0.1, 0.9, &low, &high);
  assert_int_equal(low, 0);
  assert_int_equal(high, 3); /* P(X <= 2) = 0.930, P(X <= 3) = 0.987; 0.93 < 0.95 */
}

/* 20000 sets of 100 uniform numbers, 20 places: share inside within 4.5 standard errors */
static void test_band_probability(void **state) {
  dp_ctx *ctx = target_ctx();
  enum { SETS = 20000, N = 100, M = 20 };
  double p, pointwise;
  int inside = 0, low[M], high[M];
  (void)state;
  assert_int_equal(dpi_sbc_simultaneous(ctx, N, M, 0.99, &p), DP_OK);
  for (int k = 1; k < M; k++) dpi_sbc_interval(N, (double)k / M, 0.99, &low[k], &high[k]);
  dpi_rng rng = dpi_rng_make(5, 0, 0x7e58);
  for (int s = 0; s < SETS; s++) {
    int bin[M] = {0}, count = 0;
    bool in = true;
    for (int i = 0; i < N; i++) bin[(int)(dpi_rng_uniform(&rng) * M)]++;
    for (int k = 1; k < M; k++) {
      count += bin[k - 1];
      in = in && count >= low[k] && count <= high[k];
    }
    inside += in;
  }
  assert_true(fabs((double)inside / SETS - p) < 4.5 * sqrt(p * (1 - p) / SETS));
  assert_true(p > 0.85 && p < 0.97);
  assert_int_equal(dpi_sbc_pointwise(ctx, N, M, 0.95, &pointwise), DP_OK);
  assert_int_equal(dpi_sbc_simultaneous(ctx, N, M, pointwise, &p), DP_OK);
  assert_true(p >= 0.95 && p < 0.975);
  assert_int_equal(dpi_sbc_pointwise(ctx, 0, M, 0.95, &pointwise), DP_ERR_USAGE);
  dp_ctx_destroy(ctx);
}

/* y_j = x0 + x1 s_j + e, e ~ N(0, b), s = 1..5; x ~ N(0, 1) each: correlated */
static double data[5];
static bool line_fn(const target *t, const double *x, dpi_density_value *v) {
  for (int j = 0; j < 5; j++) {
    double s = j + 1, r = (data[j] - x[0] - x[1] * s) / t->b;
    v->loglik -= 0.5 * r * r;
    if (v->gradient) {
      v->gradient[0] += r / t->b;
      v->gradient[1] += r * s / t->b;
    }
    if (!v->fisher) continue;
    double f[4] = {1, s, s, s * s};
    for (int i = 0; i < 4; i++) v->fisher[i] += f[i] / (t->b * t->b) + (j == 0 && i % 3 == 0);
  }
  for (int k = 0; k < 2; k++) {
    v->logprior += target_normal(x[k], 0, 1);
    if (v->gradient) v->gradient[k] -= x[k];
  }
  return true;
}

typedef dpi_draws *(*sampler_fn)(target *t, uint64_t seed, int *stride);

static dpi_draws *by_nuts(target *t, uint64_t seed, int *stride) {
  dpi_nuts_def def = dpi_nuts_def_default();
  dpi_nuts_report report;
  dpi_draws *s = NULL;
  def.seed = seed;
  def.nchain = 1;
  def.nwarmup = 150;
  *stride = 3;
  def.ndraw = DRAWS * *stride;
  assert_int_equal(dpi_nuts_run(&t->d, &def, &s, &report), DP_OK);
  return s;
}

static dpi_draws *by_smc(target *t, uint64_t seed, int *stride) {
  dpi_smc_def def = dpi_smc_def_default();
  dpi_smc_report report;
  dpi_draws *s = NULL;
  def.seed = seed;
  def.nrepeat = 1;
  *stride = 2;
  def.nparticle = DRAWS * *stride;
  assert_int_equal(dpi_smc_run(&t->d, &def, &s, &report), DP_OK);
  return s;
}

static dpi_draws *by_tempering(target *t, uint64_t seed, int *stride) {
  dpi_tempering_def def = dpi_tempering_def_default();
  dpi_tempering_report report;
  dpi_draws *s = NULL;
  def.seed = seed;
  def.nchain = 1;
  def.nlevel = 5;
  def.nwarmup = 300;
  def.ndraw = DRAWS;
  def.thin = 10;
  *stride = 1;
  assert_int_equal(dpi_tempering_run(&t->d, &def, &s, &report), DP_OK);
  return s;
}

static dpi_draws *by_laplace(target *t, uint64_t seed, int *stride) {
  dpi_laplace_def def = dpi_laplace_def_default();
  dpi_laplace_report report;
  dpi_draws *s = NULL;
  double zero[2] = {0, 0};
  def.seed = seed;
  def.nproposal = 1000;
  def.mode = zero;
  def.nmode = 1;
  def.ndraw = DRAWS;
  *stride = 1;
  assert_int_equal(dpi_laplace_run(&t->d, &def, &s, &report), DP_OK);
  assert_int_equal(report.verdict.usable, 1);
  return s;
}

/* wrong: the sampler believes in other noise than the data had */
static void calibrate(sampler_fn sampler, double wrong, dpi_sbc_report *report) {
  dp_ctx *ctx = target_ctx();
  target *t = target_make(ctx, 2, -INFINITY, INFINITY, true, line_fn);
  dpi_sbc sbc;
  t->sd = 1;
  assert_int_equal(dpi_sbc_init(&sbc, ctx, 3, REPLICATES, DRAWS, 0.01), DP_OK);
  for (int r = 0; r < REPLICATES; r++) {
    dpi_rng rng = dpi_rng_make(11, (uint64_t)r, 0x7e59);
    double truth[3] = {dpi_rng_normal(&rng), dpi_rng_normal(&rng), 0}, all[DRAWS * 3];
    int stride;
    for (int j = 0; j < 5; j++) data[j] = truth[0] + truth[1] * (j + 1) + 0.5 * dpi_rng_normal(&rng);
    t->b = 0.5 * wrong;
    truth[2] = truth[0] + 3 * truth[1]; /* the middle of the line */
    dpi_draws *s = sampler(t, 1000 + (uint64_t)r, &stride);
    for (int i = 0; i < DRAWS; i++) {
      const double *x = s->x + (size_t)(i * stride) * 2;
      all[3 * i] = x[0], all[3 * i + 1] = x[1], all[3 * i + 2] = x[0] + 3 * x[1];
    }
    for (int q = 0; q < 3; q++) assert_int_equal(dpi_sbc_add(&sbc, q, truth[q], all + q, 3), DP_OK);
    dpi_draws_destroy(s);
  }
  assert_int_equal(dpi_sbc_check(&sbc, report), DP_OK);
  if (getenv("SHOW")) print_message("%s\n", report->words);
  dpi_sbc_release(&sbc);
  free(t);
  assert_int_equal(dpi_alloc_live(ctx), 0);
  dp_ctx_destroy(ctx);
}

static void test_nuts(void **state) {
  dpi_sbc_report report;
  (void)state;
  calibrate(by_nuts, 1, &report);
  assert_int_equal(report.uniform, 1);
}

static void test_smc(void **state) {
  dpi_sbc_report report;
  (void)state;
  calibrate(by_smc, 1, &report);
  assert_int_equal(report.uniform, 1);
}

static void test_tempering(void **state) {
  dpi_sbc_report report;
  (void)state;
  calibrate(by_tempering, 1, &report);
  assert_int_equal(report.uniform, 1);
}

static void test_laplace(void **state) {
  dpi_sbc_report report;
  (void)state;
  calibrate(by_laplace, 1, &report);
  assert_int_equal(report.uniform, 1);
}

static void test_a_wrong_model_is_found(void **state) {
  dpi_sbc_report report;
  (void)state;
  calibrate(by_nuts, 0.7, &report);
  assert_int_equal(report.uniform, 0);
  assert_non_null(strstr(report.words, "not calibrated"));
}

static void test_misuse(void **state) {
  dp_ctx *ctx = target_ctx();
  dpi_sbc sbc;
  double draw[3] = {1, 1, 1};
  (void)state;
  assert_int_equal(dpi_sbc_init(&sbc, ctx, 1, 2, 0, 0.01), DP_ERR_USAGE);
  dpi_sbc_release(&sbc);
  dp_ctx_clear_error(ctx);
  assert_int_equal(dpi_sbc_init(&sbc, ctx, 1, 2, 3, 0.01), DP_OK);
  assert_int_equal(dpi_sbc_add(&sbc, 0, 2, draw, 1), DP_OK);
  assert_int_equal(sbc.rank[0], 3);
  assert_int_equal(dpi_sbc_add(&sbc, 0, 1, draw, 1), DP_OK); /* a tie */
  assert_in_range(sbc.rank[1], 0, 3);
  assert_int_equal(dpi_sbc_add(&sbc, 0, 1, draw, 1), DP_ERR_USAGE);
  assert_int_equal(dpi_sbc_add(&sbc, 1, 1, draw, 1), DP_ERR_USAGE);
  dpi_sbc_release(&sbc);
  dp_ctx_destroy(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_interval),
      cmocka_unit_test(test_band_probability),
      cmocka_unit_test(test_nuts),
      cmocka_unit_test(test_smc),
      cmocka_unit_test(test_a_wrong_model_is_found),
      cmocka_unit_test(test_misuse),
      cmocka_unit_test(test_tempering),
      cmocka_unit_test(test_laplace),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
