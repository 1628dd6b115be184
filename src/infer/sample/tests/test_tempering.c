/* Independent comparison: moments (4.5 Monte Carlo standard errors) and evidence of densities known in closed form (5
 * reported errors + 0.01), weights of peaks; bytes of other compositions of chains. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "infer/sample/tempering.h"
#include "sample_target.h"

static dpi_draws *run(target *t, dpi_tempering_def def, dpi_verdict *v, dpi_tempering_report *report) {
  dpi_draws *s = NULL;
  dp_status status = dpi_tempering_run(&t->d, &def, &s, report);
  if (status != DP_OK) print_message("%s\n", dp_ctx_error(t->d.ctx));
  assert_int_equal(status, DP_OK);
  assert_int_equal(dpi_tempering_verdict(s, report, v), DP_OK);
  if (getenv("SHOW")) {
    print_message("%ld points: ln Z %.4f +- %.4f (integrated %.4f): %s\n  beta", report->npoint, report->evidence,
                  report->evidence_error, report->integrated, v->words);
    for (int k = 0; k < report->nlevel; k++) print_message(" %.3g", report->beta[k]);
    print_message("\n");
  }
  return s;
}

static void check(dp_ctx *ctx, const dpi_draws *s, int k, double mean, double sd) {
  double *x = malloc(sizeof(double) * (size_t)(s->nchain * s->ndraw));
  dpi_mixing m;
  dpi_draws_column(s, k, x);
  assert_int_equal(dpi_mixing_of(ctx, x, s->nchain, s->ndraw, &m), DP_OK);
  if (getenv("SHOW"))
    print_message("  %d: mean off by %.2f, sd by %.2f mcse, ess %.0f\n", k, (m.mean - mean) / m.mcse_mean,
                  (m.sd - sd) / m.mcse_sd, m.ess_mean);
  assert_true(fabs(m.mean - mean) < 4.5 * m.mcse_mean);
  assert_true(fabs(m.sd - sd) < 4.5 * m.mcse_sd);
  free(x);
}

static void gaussian(dp_ctx *ctx, int n) {
  target *t = conjugate_make(ctx, n, 2, 1.5, 0.3);
  dpi_tempering_def def = dpi_tempering_def_default();
  dpi_tempering_report report;
  dpi_verdict v;
  def.thin = 3;
  dpi_draws *s = run(t, def, &v, &report);
  assert_int_equal(v.usable, 1);
  for (int k = 0; k < n; k++) {
    double mean, sd;
    conjugate_posterior(t, k, &mean, &sd);
    check(ctx, s, k, mean, sd);
  }
  assert_true(report.evidence_error > 0 && report.evidence_error < 0.2);
  assert_true(fabs(report.evidence - conjugate_evidence(t)) < 5 * report.evidence_error + 0.01);
  assert_true(report.swap_least > 0.1);
  assert_int_equal(t->width, 2 * report.nlevel);
  dpi_draws_destroy(s);
  free(t);
}

static void test_gaussians(void **state) {
  dp_ctx *ctx = target_ctx();
  (void)state;
  gaussian(ctx, 1);
  gaussian(ctx, 5);
  dp_ctx_destroy(ctx);
}

/* 20 evidences against the truth: the sum of squared standardised errors, chi-squared with 20 degrees of freedom were
 * the errors exact: 2.7 and 59 each cut off 1e-5; a factor of 1.2 on the errors is granted below and above */
static void test_errors_are_honest(void **state) {
  dp_ctx *ctx = target_ctx();
  target *t = conjugate_make(ctx, 2, 2, 1.5, 0.3);
  double sum = 0;
  (void)state;
  for (int r = 0; r < 20; r++) {
    dpi_tempering_def def = dpi_tempering_def_default();
    dpi_tempering_report report;
    dpi_draws *s = NULL;
    def.seed = 500 + (uint64_t)r;
    def.nwarmup = 1500;
    def.ndraw = 1000;
    assert_int_equal(dpi_tempering_run(&t->d, &def, &s, &report), DP_OK);
    double z = (report.evidence - conjugate_evidence(t)) / report.evidence_error;
    sum += z * z;
    dpi_draws_destroy(s);
  }
  if (getenv("SHOW")) print_message("  sum of squares %.1f of 20\n", sum);
  assert_true(sum > 2.7 / 1.44 && sum < 59 * 1.44);
  free(t);
  dp_ctx_destroy(ctx);
}

static void test_two_peaks(void **state) {
  dp_ctx *ctx = target_ctx();
  target *t = target_make(ctx, 2, -10, 10, true, peaks_fn);
  dpi_tempering_def def = dpi_tempering_def_default();
  dpi_tempering_report report;
  dpi_verdict v;
  (void)state;
  t->a = 5;
  t->b = 0.5;
  def.nwarmup = 3000;
  def.thin = 3;
  dpi_draws *s = run(t, def, &v, &report);
  assert_int_equal(v.usable, 1);
  check(ctx, s, 0, 0.4 * 5, sqrt(0.25 + 25 * (1 - 0.16)));
  double right = 0;
  for (int i = 0; i < s->nchain * s->ndraw; i++) right += s->x[2 * i] > 0;
  right /= s->nchain * s->ndraw;
  if (getenv("SHOW")) print_message("  right peak %.4f\n", right);
  assert_true(fabs(right - 0.7) < 0.05);
  assert_true(fabs(report.evidence + 2 * dpi_m_log(20)) < 5 * report.evidence_error + 0.01);
  assert_true(fabs(report.integrated + 2 * dpi_m_log(20)) < 0.5);
  /* too short a run says so */
  dpi_draws_destroy(s);
  def.nwarmup = 20;
  def.ndraw = 100;
  s = run(t, def, &v, &report);
  assert_int_equal(v.usable, 0);
  assert_non_null(strstr(v.words, "round trips"));
  dpi_draws_destroy(s);
  free(t);
  dp_ctx_destroy(ctx);
}

/* x in [0, 1]^2 uniform, likelihood 2 x0 (beta(2, 1)), not evaluable where x1 < 0.4: evidence 0.6 */
static bool part_fn(const target *t, const double *x, dpi_density_value *v) {
  (void)t;
  if (x[1] < 0.4) return false;
  v->loglik = dpi_m_log(2 * x[0]);
  return true;
}

static void test_part_of_a_box(void **state) {
  dp_ctx *ctx = target_ctx();
  target *t = target_make(ctx, 2, 0, 1, true, part_fn);
  dpi_tempering_def def = dpi_tempering_def_default();
  dpi_tempering_report report;
  dpi_verdict v;
  (void)state;
  def.nlevel = 4;
  dpi_draws *s = run(t, def, &v, &report);
  assert_int_equal(v.usable, 1);
  check(ctx, s, 0, 2.0 / 3, sqrt(1.0 / 18));
  check(ctx, s, 1, 0.7, 0.6 / sqrt(12));
  for (int i = 0; i < s->nchain * s->ndraw; i++) assert_true(s->x[2 * i + 1] >= 0.4);
  assert_true(fabs(report.evidence - dpi_m_log(0.6)) < 5 * report.evidence_error + 0.005);
  dpi_draws_destroy(s);
  t->upper[1] = 0.3; /* nowhere */
  s = run(t, def, &v, &report);
  assert_int_equal(v.usable, 0);
  assert_int_equal(report.nstuck, 2);
  assert_non_null(strstr(v.words, "not here"));
  dpi_draws_destroy(s);
  free(t);
  dp_ctx_destroy(ctx);
}

/* no prior: a start is needed for nothing, the hottest level is finite, and there is no evidence */
static bool plain_fn(const target *t, const double *x, dpi_density_value *v) {
  double l = -0.5 * (x[0] + 3) * (x[0] + 3) - dpi_m_log(2), r = -0.5 * (x[0] - 3) * (x[0] - 3) - dpi_m_log(2),
         top = fmax(l, r);
  (void)t;
  v->loglik = top + dpi_m_log(dpi_m_exp(l - top) + dpi_m_exp(r - top));
  return true;
}

static void test_no_prior(void **state) {
  dp_ctx *ctx = target_ctx();
  target *t = target_make(ctx, 1, -INFINITY, INFINITY, false, plain_fn);
  dpi_tempering_def def = dpi_tempering_def_default();
  dpi_tempering_report report;
  dpi_verdict v;
  double from[2] = {3, 3};
  (void)state;
  def.start = from;
  def.thin = 4;
  dpi_draws *s = run(t, def, &v, &report);
  check(ctx, s, 0, 0, sqrt(10));
  assert_true(isnan(report.evidence));
  assert_true(report.beta[report.nlevel - 1] == 0.01 || fabs(report.beta[report.nlevel - 1] - 0.01) < 1e-9);
  dpi_draws_destroy(s);
  free(t);
  dp_ctx_destroy(ctx);
}

static dp_status count_down(dpi_density *d, int npoint, const double *x, unsigned what, dpi_density_value *value) {
  target *t = (target *)d;
  if (t->ncall == (long)t->mean) dp_ctx_cancel(d->ctx);
  return target_eval(d, npoint, x, what, value);
}
static const dpi_density_ops cancelling = {.eval = count_down, .prior_draw = target_prior_draw};

static void test_same_bytes(void **state) {
  dp_ctx *ctx = target_ctx();
  target *t = target_make(ctx, 2, -10, 10, true, peaks_fn);
  dpi_tempering_def def = dpi_tempering_def_default();
  dpi_tempering_report report;
  dpi_draws *all = NULL, *one = NULL;
  (void)state;
  t->a = t->b = 1;
  def.nchain = 3;
  def.nwarmup = 300;
  def.ndraw = 200;
  assert_int_equal(dpi_tempering_run(&t->d, &def, &all, &report), DP_OK);
  def.nchain = 1;
  def.first_chain = 2;
  assert_int_equal(dpi_tempering_run(&t->d, &def, &one, &report), DP_OK);
  assert_memory_equal(one->x, all->x + 2 * 400, sizeof(double) * 400);
  assert_memory_not_equal(one->x, all->x + 400, sizeof(double) * 400);
  /* interrupted in warm-up, then while drawing, then gone on to the end; then only read */
  char path[64];
  dpi_tempering_report again;
  snprintf(path, sizeof path, "/tmp/test_tempering.%d.tsv", (int)getpid());
  double evidence = report.evidence;
  def.file = path;
  t->d.ops = &cancelling;
  for (int i = 0; i < 4; i++) {
    dpi_draws *s = NULL;
    t->ncall = 0;
    t->mean = i == 0 ? 100 : i == 1 ? 350 : -1;
    assert_int_equal(dpi_tempering_run(&t->d, &def, &s, &again), i < 2 ? DP_ERR_CANCELLED : DP_OK);
    dp_ctx_resume(ctx);
    dp_ctx_clear_error(ctx);
    if (i < 2) continue;
    assert_memory_equal(one->x, s->x, sizeof(double) * 400);
    assert_true(again.evidence == evidence && again.round_trips == report.round_trips);
    assert_int_equal(again.nbatch > 0, i == 2);
    dpi_draws_destroy(s);
  }
  unlink(path);
  dpi_draws_destroy(all);
  dpi_draws_destroy(one);
  for (int i = 0; i < 3; i++) {
    def = dpi_tempering_def_default();
    if (i == 0) def.nlevel = 1;
    if (i == 1) def.thin = 0;
    if (i == 2) def.beta_least = 0;
    assert_int_equal(dpi_tempering_run(&t->d, &def, &all, &report), DP_ERR_USAGE);
    assert_null(all);
    dp_ctx_clear_error(ctx);
  }
  free(t);
  assert_int_equal(dpi_alloc_live(ctx), 0);
  dp_ctx_destroy(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_gaussians),     cmocka_unit_test(test_errors_are_honest), cmocka_unit_test(test_two_peaks),
      cmocka_unit_test(test_part_of_a_box), cmocka_unit_test(test_no_prior),          cmocka_unit_test(test_same_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
