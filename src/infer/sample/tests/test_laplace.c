/* Independent comparison: moments and evidence of densities known in closed form (bounds stated at each); the climb's
 * curvature by differences with the analytic one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "infer/sample/laplace.h"
#include "sample_target.h"

static dpi_draws *run(target *t, dpi_laplace_def def, dpi_laplace_report *report) {
  dpi_draws *s = NULL;
  dp_status status = dpi_laplace_run(&t->d, &def, &s, report);
  if (status != DP_OK) print_message("%s\n", dp_ctx_error(t->d.ctx));
  assert_int_equal(status, DP_OK);
  if (getenv("SHOW"))
    print_message("%ld points, %d modes, %d rounds: ln Z %.4f +- %.4f (Laplace %.4f): %s\n", report->npoint,
                  report->nmode, report->nround, report->evidence, report->evidence_error, report->evidence_laplace,
                  report->verdict.words);
  return s;
}

/* effective numbers of some hundreds: 4.5 standard errors of a mean */
static void check(const dpi_draws *s, const dpi_laplace_report *r, int k, double mean, double sd) {
  double m = 0, v = 0, e = sd / sqrt(r->verdict.ess) + sd / sqrt(s->ndraw);
  for (int i = 0; i < s->ndraw; i++) m += s->x[(size_t)i * (size_t)s->n + (size_t)k] / s->ndraw;
  for (int i = 0; i < s->ndraw; i++) {
    double d = s->x[(size_t)i * (size_t)s->n + (size_t)k] - mean;
    v += d * d / s->ndraw;
  }
  assert_true(fabs(m - mean) < 4.5 * e);
  assert_true(fabs(sqrt(v) - sd) < 4.5 * e);
}

static void test_gaussians(void **state) {
  dp_ctx *ctx = target_ctx();
  (void)state;
  for (int way = 0; way < 2; way++)
    for (int n = 1; n <= 25; n *= 5) {
      target *t = conjugate_make(ctx, n, 2, 1.5, 0.3);
      dpi_laplace_def def = dpi_laplace_def_default();
      dpi_laplace_report r;
      double mode[25];
      for (int k = 0; k < n; k++) mode[k] = datum_of(t, k); /* near, not at */
      def.mode = mode;
      def.nmode = 1;
      def.nproposal = 4000;
      def.differences = way == 1;
      dpi_draws *s = run(t, def, &r);
      assert_int_equal(r.verdict.usable, 1);
      for (int k = 0; k < n; k++) {
        double mean, sd;
        conjugate_posterior(t, k, &mean, &sd);
        check(s, &r, k, mean, sd);
      }
      assert_true(fabs(r.evidence_laplace - conjugate_evidence(t)) < 1e-6);
      assert_true(fabs(r.evidence - conjugate_evidence(t)) < 5 * r.evidence_error);
      dpi_draws_destroy(s);
      free(t);
    }
  dp_ctx_destroy(ctx);
}

/* two modes that are given three times: 0.3 and 0.7, and a box whose volume is the prior's mass */
static void test_two_peaks(void **state) {
  dp_ctx *ctx = target_ctx();
  target *t = target_make(ctx, 2, -10, 10, true, peaks_fn);
  dpi_laplace_def def = dpi_laplace_def_default();
  dpi_laplace_report r;
  double mode[6] = {4.9, 5.1, -5, -5, 5, 5}, right = 0;
  (void)state;
  t->a = 5;
  t->b = 0.5;
  def.mode = mode;
  def.nmode = 3;
  dpi_draws *s = run(t, def, &r);
  assert_int_equal(r.verdict.usable, 1);
  assert_int_equal(r.nmode, 2);
  for (int i = 0; i < s->ndraw; i++) right += s->x[2 * i] > 0;
  assert_true(fabs(right / s->ndraw - 0.7) < 0.05);
  assert_true(fabs(r.evidence + 2 * dpi_m_log(20)) < 5 * r.evidence_error);
  dpi_draws_destroy(s);
  free(t);
  dp_ctx_destroy(ctx);
}

/* beta(2, 5) on [0, 1] without a prior, not normalised: evidence B(2, 5) = 1/30; the mode also given on a bound */
static bool beta_fn(const target *t, const double *x, dpi_density_value *v) {
  (void)t;
  v->loglik = dpi_m_log(x[0]) + 4 * dpi_m_log1p(-x[0]);
  if (v->gradient) v->gradient[0] = 1 / x[0] - 4 / (1 - x[0]);
  if (v->fisher) v->fisher[0] = 1 / (x[0] * x[0]) + 4 / ((1 - x[0]) * (1 - x[0]));
  return true;
}

static void test_bounds(void **state) {
  dp_ctx *ctx = target_ctx();
  target *t = target_make(ctx, 1, 0, 1, false, beta_fn);
  dpi_laplace_def def = dpi_laplace_def_default();
  dpi_laplace_report r;
  (void)state;
  for (int i = 0; i < 3; i++) {
    double mode = 0.5 * i; /* 0, 1/2, 1 */
    def.mode = &mode;
    def.nmode = 1;
    def.differences = true;
    dpi_draws *s = run(t, def, &r);
    assert_int_equal(r.verdict.usable, 1);
    check(s, &r, 0, 2.0 / 7, sqrt(10.0 / (49 * 8)));
    assert_true(fabs(r.evidence + dpi_m_log(30)) < 5 * r.evidence_error + 1e-3);
    dpi_draws_destroy(s);
  }
  free(t);
  dp_ctx_destroy(ctx);
}

/* a peak on a base ten times as wide that holds most of the mass: weights say so */
static bool base_fn(const target *t, const double *x, dpi_density_value *v) {
  double l = dpi_m_log(0.2), r = dpi_m_log(0.8), top;
  int n = t->d.n;
  for (int k = 0; k < n; k++) {
    l += target_normal(x[k], 0, 0.3);
    r += target_normal(x[k], 0.5, 3);
  }
  top = fmax(l, r);
  v->loglik = top + dpi_m_log(dpi_m_exp(l - top) + dpi_m_exp(r - top));
  double w = dpi_m_exp(l - v->loglik);
  for (int k = 0; k < n; k++) {
    if (v->gradient) v->gradient[k] = -w * x[k] / 0.09 - (1 - w) * (x[k] - 0.5) / 9;
    if (v->fisher) v->fisher[k * n + k] = w / 0.09 + (1 - w) / 9;
  }
  return true;
}

static void test_bad_weights(void **state) {
  dp_ctx *ctx = target_ctx();
  target *t = target_make(ctx, 4, -INFINITY, INFINITY, false, base_fn);
  dpi_laplace_def def = dpi_laplace_def_default();
  dpi_laplace_report r;
  double mode[4] = {0, 0, 0, 0};
  (void)state;
  def.mode = mode;
  def.nmode = 1;
  def.max_round = 1;
  dpi_draws *s = run(t, def, &r);
  assert_int_equal(r.verdict.usable, 0);
  assert_non_null(strstr(r.verdict.words, "not usable: k-hat"));
  dpi_draws_destroy(s);
  free(t);
  dp_ctx_destroy(ctx);
}

/* x = ln of an exponential variate: variance pi^2 / 6, a left tail that falls like exp(x) where the normal of the mode's
 * curvature falls like exp(-x^2 / 2): few far draws make up much of the variance. */
static bool tail_fn(const target *t, const double *x, dpi_density_value *v) {
  for (int k = 0; k < t->d.n; k++) {
    v->loglik += x[k] - dpi_m_exp(x[k]);
    if (v->gradient) v->gradient[k] = 1 - dpi_m_exp(x[k]);
    if (v->fisher) v->fisher[k * t->d.n + k] = dpi_m_exp(x[k]);
  }
  return true;
}

/* More draws know more: effective numbers rise with them, and a deviation is as far from the truth as it is said to be. 48
 * comparisons (3 directions, 8 seeds, 2 sizes) with 4.5 standard errors each: false alarms below 5e-4 where errors are normal.
 * The resampled draws add their own error: (kurtosis - 1) / 4 = 1.1 over their number. */
static void test_more_draws(void **state) {
  dp_ctx *ctx = target_ctx();
  target *t = target_make(ctx, 3, -INFINITY, INFINITY, false, tail_fn);
  double mode[3] = {0, 0, 0}, sd = 1.2825498301618640955, least[2] = {INFINITY, INFINITY}, worst[2] = {0, 0};
  (void)state;
  for (int size = 0; size < 2; size++)
    for (uint64_t seed = 1; seed <= 8; seed++) {
      dpi_laplace_def def = dpi_laplace_def_default();
      dpi_laplace_report r;
      def.mode = mode;
      def.nmode = 1;
      def.seed = seed;
      def.ndraw = def.nproposal = size ? 16000 : 1000;
      dpi_draws *s = run(t, def, &r);
      assert_int_equal(r.verdict.usable, 1);
      least[size] = fmin(least[size], fmin(r.verdict.ess, r.ess_spread));
      for (int k = 0; k < 3; k++) {
        double mean = 0, v = 0;
        for (int i = 0; i < s->ndraw; i++) mean += s->x[3 * i + k] / s->ndraw;
        for (int i = 0; i < s->ndraw; i++) v += (s->x[3 * i + k] - mean) * (s->x[3 * i + k] - mean) / s->ndraw;
        double off = fabs(sqrt(v) / sd - 1);
        assert_true(off < 4.5 * sqrt(0.5 / r.ess_spread + 1.1 / s->ndraw));
        worst[size] = fmax(worst[size], off);
      }
      dpi_draws_destroy(s);
    }
  assert_true(least[1] > 8 * least[0]);
  assert_true(worst[1] < 0.5 * worst[0]);
  free(t);
  dp_ctx_destroy(ctx);
}

static bool nowhere_fn(const target *t, const double *x, dpi_density_value *v) {
  (void)t, (void)x, (void)v;
  return false;
}

static void test_no_mode(void **state) {
  dp_ctx *ctx = target_ctx();
  target *t = target_make(ctx, 2, -1, 1, true, nowhere_fn);
  dpi_laplace_def def = dpi_laplace_def_default();
  dpi_laplace_report r;
  double mode[2] = {0, 0};
  dpi_draws *s;
  (void)state;
  def.mode = mode;
  def.nmode = 1;
  s = run(t, def, &r);
  assert_int_equal(r.verdict.usable, 0);
  assert_non_null(strstr(r.verdict.words, "no mode"));
  assert_int_equal(s->done[0], 0);
  dpi_draws_destroy(s);
  def.nmode = 0;
  assert_int_equal(dpi_laplace_run(&t->d, &def, &s, &r), DP_ERR_USAGE);
  t->d.n = 61;
  def.nmode = 1;
  dp_ctx_clear_error(ctx);
  assert_int_equal(dpi_laplace_run(&t->d, &def, &s, &r), DP_ERR_UNSUPPORTED);
  free(t);
  assert_int_equal(dpi_alloc_live(ctx), 0);
  dp_ctx_destroy(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_gaussians),   cmocka_unit_test(test_two_peaks), cmocka_unit_test(test_bounds),
      cmocka_unit_test(test_bad_weights), cmocka_unit_test(test_more_draws), cmocka_unit_test(test_no_mode),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
