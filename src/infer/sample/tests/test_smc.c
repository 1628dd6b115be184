/* Independent comparison: moments and evidence of densities known in closed form (4.5 standard errors, or a stated
 * bound where the error is itself an estimate from few repeats); bytes of other compositions, of an interrupted run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "infer/sample/smc.h"
#include "sample_target.h"

static dpi_draws *run(target *t, dpi_smc_def def, dpi_verdict *v, dpi_smc_report *report) {
  dpi_draws *s = NULL;
  dp_status status = dpi_smc_run(&t->d, &def, &s, report);
  if (status != DP_OK) print_message("%s\n", dp_ctx_error(t->d.ctx));
  assert_int_equal(status, DP_OK);
  assert_int_equal(dpi_smc_verdict(s, report, v), DP_OK);
  if (getenv("SHOW"))
    print_message("%ld points, %ld batches, %g steps: ln Z %.4f +- %.3f: %s\n", report->npoint, report->nbatch,
                  s->state[DPI_SMC_STEPS], report->evidence, report->evidence_error, v->words);
  return s;
}

/* 4.5 Monte Carlo standard errors (a false alarm in 150,000 comparisons), and 2 % of a standard deviation for the bias
 * of adaptation with some hundred particles */
static void check(const dpi_draws *s, int k, double mean, double sd) {
  double *x = malloc(sizeof(double) * (size_t)(s->nchain * s->ndraw));
  dpi_mixing m;
  dpi_draws_column(s, k, x);
  assert_int_equal(dpi_mixing_of(s->ctx, x, s->nchain, s->ndraw, &m), DP_OK);
  if (getenv("SHOW") && k < 2)
    print_message("  %d: mean off by %.2f mcse, sd by %.2f\n", k, (m.mean - mean) / m.mcse_mean,
                  (m.sd - sd) / m.mcse_sd);
  assert_true(fabs(m.mean - mean) < 4.5 * m.mcse_mean + 0.02 * sd);
  assert_true(fabs(m.sd - sd) < 4.5 * m.mcse_sd + 0.02 * sd);
  free(x);
}

static void gaussian(dp_ctx *ctx, int n, int npart, double sd0, double b) {
  target *t = conjugate_make(ctx, n, sd0, 0.75 * sd0, b);
  dpi_smc_def def = dpi_smc_def_default();
  dpi_smc_report report;
  dpi_verdict v;
  def.nparticle = npart;
  if (n >= 50) def.nrepeat = 2, def.correlation = 0.2;
  dpi_draws *s = run(t, def, &v, &report);
  assert_int_equal(v.usable, 1);
  for (int k = 0; k < n; k++) {
    double mean, sd;
    conjugate_posterior(t, k, &mean, &sd);
    check(s, k, mean, sd);
  }
  double off = report.evidence - conjugate_evidence(t);
  if (getenv("SHOW")) print_message("  evidence off by %+.4f\n", off);
  assert_true(report.evidence_error > 0 && report.evidence_error < 0.25);
  assert_true(fabs(off) < 5 * report.evidence_error + 0.02);
  assert_int_equal(t->width, npart);
  dpi_draws_destroy(s);
  free(t);
}

static void test_gaussians(void **state) {
  dp_ctx *ctx = target_ctx();
  (void)state;
  gaussian(ctx, 1, 1000, 2, 0.3);
  gaussian(ctx, 5, 1000, 2, 0.3);
  gaussian(ctx, 50, 800, 1, 1);
  dp_ctx_destroy(ctx);
}

/* 20 evidences against the truth, each with an error from 8 halves: standardised they are t with 7 degrees of freedom,
 * whose squares sum to 28 on average; below 5 with probability 1e-4, above 110 with 1e-3 (from 1e6 simulated sums) */
static void test_errors_are_honest(void **state) {
  dp_ctx *ctx = target_ctx();
  target *t = conjugate_make(ctx, 2, 2, 1.5, 0.3);
  double sum = 0;
  (void)state;
  for (int r = 0; r < 20; r++) {
    dpi_smc_def def = dpi_smc_def_default();
    dpi_smc_report report;
    dpi_draws *s = NULL;
    def.seed = 500 + (uint64_t)r;
    def.nparticle = 400;
    assert_int_equal(dpi_smc_run(&t->d, &def, &s, &report), DP_OK);
    double z = (report.evidence - conjugate_evidence(t)) / report.evidence_error;
    sum += z * z;
    dpi_draws_destroy(s);
  }
  if (getenv("SHOW")) print_message("  sum of squares %.1f, 28 expected\n", sum);
  assert_true(sum > 5 && sum < 110);
  free(t);
  dp_ctx_destroy(ctx);
}

/* both peaks with their weights: each repeat's share is binomial-like, together within 0.06 of 0.7 */
static void test_two_peaks(void **state) {
  dp_ctx *ctx = target_ctx();
  target *t = target_make(ctx, 3, -10, 10, true, peaks_fn);
  dpi_smc_def def = dpi_smc_def_default();
  dpi_smc_report report;
  dpi_verdict v;
  (void)state;
  t->a = 4;
  t->b = 0.5;
  def.nparticle = 1000;
  dpi_draws *s = run(t, def, &v, &report);
  double right = 0;
  for (int i = 0; i < 4000; i++) right += s->x[3 * i] > 0;
  if (getenv("SHOW")) print_message("  right peak %.4f\n", right / 4000);
  assert_true(fabs(right / 4000 - 0.7) < 0.06);
  assert_true(fabs(report.evidence - -3 * dpi_m_log(20)) < 5 * report.evidence_error + 0.02);
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
  dpi_smc_def def = dpi_smc_def_default();
  dpi_smc_report report;
  dpi_verdict v;
  (void)state;
  dpi_draws *s = run(t, def, &v, &report);
  assert_int_equal(v.usable, 1);
  check(s, 0, 2.0 / 3, sqrt(1.0 / 18));
  check(s, 1, 0.7, 0.6 / sqrt(12));
  for (int i = 0; i < 4000; i++) assert_true(s->x[2 * i + 1] >= 0.4);
  assert_true(fabs(report.evidence - dpi_m_log(0.6)) < 5 * report.evidence_error + 0.01);
  dpi_draws_destroy(s);
  /* nowhere at all */
  t->lower[1] = 0, t->upper[1] = 0.3;
  def.nrepeat = 2;
  s = run(t, def, &v, &report);
  assert_int_equal(v.usable, 0);
  assert_int_equal(report.nempty, 2);
  assert_non_null(strstr(report.reason, "none of 20000 draws of the prior can be evaluated: not here"));
  assert_true(isnan(report.evidence));
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
  dpi_smc_def def = dpi_smc_def_default(), alone;
  dpi_smc_report report, first;
  dpi_draws *all = NULL, *one = NULL, *again = NULL;
  char path[64];
  (void)state;
  snprintf(path, sizeof path, "/tmp/test_smc.%d.tsv", (int)getpid());
  t->a = t->b = 1;
  def.nparticle = 200;
  assert_int_equal(dpi_smc_run(&t->d, &def, &all, &first), DP_OK);
  alone = def;
  alone.nrepeat = 1;
  alone.first_repeat = 2;
  assert_int_equal(dpi_smc_run(&t->d, &alone, &one, &report), DP_OK);
  assert_memory_equal(one->x, all->x + 2 * 400, sizeof(double) * 400);
  assert_memory_not_equal(one->x, all->x + 400, sizeof(double) * 400);
  assert_true(one->state[0] == all->state[2 * DPI_SMC_NSTATE] && one->state[1] == all->state[2 * DPI_SMC_NSTATE + 1]);
  def.file = path;
  t->d.ops = &cancelling;
  t->ncall = 0;
  t->mean = (double)(first.nbatch / 2);
  assert_int_equal(dpi_smc_run(&t->d, &def, &again, &report), DP_ERR_CANCELLED);
  assert_null(again);
  dp_ctx_resume(ctx);
  t->mean = -1;
  assert_int_equal(dpi_smc_run(&t->d, &def, &again, &report), DP_OK);
  assert_true(report.nbatch < first.nbatch);
  assert_memory_equal(again->x, all->x, sizeof(double) * 1600);
  assert_true(report.evidence == first.evidence && report.evidence_error == first.evidence_error);
  unlink(path);
  dpi_draws_destroy(all);
  dpi_draws_destroy(one);
  dpi_draws_destroy(again);
  free(t);
  assert_int_equal(dpi_alloc_live(ctx), 0);
  dp_ctx_destroy(ctx);
}

static void test_bad_options(void **state) {
  dp_ctx *ctx = target_ctx();
  target *t = target_make(ctx, 2, -1, 1, false, peaks_fn);
  dpi_smc_report report;
  dpi_draws *s = NULL;
  (void)state;
  for (int i = 0; i < 3; i++) {
    dpi_smc_def def = dpi_smc_def_default();
    if (i == 0) def.nparticle = 3;
    if (i == 1) def.ess = 1.5;
    assert_int_equal(dpi_smc_run(&t->d, &def, &s, &report), i == 2 ? DP_ERR_UNSUPPORTED : DP_ERR_USAGE);
    assert_null(s);
    dp_ctx_clear_error(ctx);
  }
  free(t);
  dp_ctx_destroy(ctx);
}

/* Two unequal crescents: in each x is normal and y + bend x^2 too; one draw of them per particle. */
static const struct {
  double weight, at[2], sd[2], bend;
} crescent[2] = {{0.75, {0, 0}, {1.5, 0.3}, 0.6}, {0.25, {1, 3.5}, {0.5, 0.2}, -1.5}};

static bool crescents_fn(const target *t, const double *x, dpi_density_value *v) {
  double l[2];
  (void)t;
  for (int k = 0; k < 2; k++) {
    const double dx = x[0] - crescent[k].at[0], dy = x[1] - crescent[k].at[1] - crescent[k].bend * dx * dx;
    l[k] = dpi_m_log(crescent[k].weight) + target_normal(dx, 0, crescent[k].sd[0]) +
           target_normal(dy, 0, crescent[k].sd[1]);
  }
  v->loglik = fmax(l[0], l[1]) + dpi_m_log1p(dpi_m_exp(-fabs(l[0] - l[1])));
  return true;
}

static void crescents_draw(dpi_rng *rng, double *x) {
  const int k = dpi_rng_uniform(rng) < crescent[1].weight;
  const double dx = crescent[k].sd[0] * dpi_rng_normal(rng);
  x[0] = crescent[k].at[0] + dx;
  x[1] = crescent[k].at[1] + crescent[k].bend * dx * dx + crescent[k].sd[1] * dpi_rng_normal(rng);
}

enum { FEATURES = 7, STILL = 1000 };

/* Means, squares, the product, the second crescent's share, a tail. */
static void features(const double *x, double *f) {
  const double g[FEATURES] = {x[0], x[1], x[0] * x[0], x[1] * x[1], x[0] * x[1], x[1] > 2 && x[0] > 0, fabs(x[0]) > 3};
  memcpy(f, g, sizeof g);
}

/* Draws of the law itself stay draws of it under walks, autoregressions and jumps by pieces: each feature's mean over
 * 12 clouds (LONG: 80) against that of 400,000 draws made directly. Particles of one cloud share what they are moved
 * by, so the error is taken from as many independent draws times 1.5; 4.5 of them. */
static void test_moves_leave_the_law(void **state) {
  const int ncloud = getenv("LONG") ? 80 : 12, nsweep = 40, ndirect = 400000;
  dp_ctx *ctx = target_ctx();
  target *t = target_make(ctx, 2, -INFINITY, INFINITY, false, crescents_fn);
  double f[FEATURES], mean[FEATURES] = {0}, square[FEATURES] = {0}, now[FEATURES] = {0}, *x;
  int moved = 0;
  (void)state;
  x = malloc(sizeof(double) * 2 * STILL);
  dpi_rng rng = dpi_rng_make(1, 0, 0x7e57);
  for (int i = 0; i < ndirect; i++) {
    crescents_draw(&rng, x);
    features(x, f);
    for (int k = 0; k < FEATURES; k++) mean[k] += f[k] / ndirect, square[k] += f[k] * f[k] / ndirect;
  }
  for (int c = 0; c < ncloud; c++) {
    dpi_smc_def def = dpi_smc_def_default();
    double first[2];
    def.seed = 900 + (uint64_t)c;
    def.nparticle = STILL;
    for (int i = 0; i < STILL; i++) crescents_draw(&rng, x + 2 * i);
    memcpy(first, x, sizeof first);
    assert_int_equal(dpi_smc_settle(&t->d, &def, nsweep, nsweep, x), DP_OK);
    moved += memcmp(first, x, sizeof first) != 0;
    for (int i = 0; i < STILL; i++) {
      features(x + 2 * i, f);
      for (int k = 0; k < FEATURES; k++) now[k] += f[k] / (STILL * ncloud);
    }
  }
  for (int k = 0; k < FEATURES; k++) {
    const double sd = sqrt(square[k] - mean[k] * mean[k]), error = 1.5 * sd / sqrt(STILL * ncloud);
    if (getenv("SHOW"))
      print_message("  feature %d: %.4f, %.4f expected, off by %+.2f\n", k, now[k], mean[k],
                    (now[k] - mean[k]) / error);
    assert_true(fabs(now[k] - mean[k]) < 4.5 * error);
  }
  assert_int_equal(moved, ncloud);
  free(x);
  free(t);
  assert_int_equal(dpi_alloc_live(ctx), 0);
  dp_ctx_destroy(ctx);
}

/* More directions than anything of fixed size would hold. */
static void test_eighty_directions(void **state) {
  dp_ctx *ctx = target_ctx();
  (void)state;
  gaussian(ctx, 80, 800, 1, 2);
  dp_ctx_destroy(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_gaussians),  cmocka_unit_test(test_errors_are_honest),
      cmocka_unit_test(test_two_peaks),  cmocka_unit_test(test_part_of_a_box),
      cmocka_unit_test(test_same_bytes), cmocka_unit_test(test_bad_options),
      cmocka_unit_test(test_moves_leave_the_law), cmocka_unit_test(test_eighty_directions),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
