/* Independent comparison: moments of densities known in closed form, within 4.5 Monte Carlo standard errors (a false
 * alarm in 150,000 comparisons; some 300 are made, with fixed seeds); bytes of other compositions of chains and of an
 * interrupted run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "infer/sample/nuts.h"
#include "infer/sample/verdict.h"
#include "sample_target.h"

#define SIGMAS 4.5

static dpi_draws *run(target *t, dpi_nuts_def def, dpi_verdict *v, dpi_mixing *m) {
  dpi_draws *s = NULL;
  dpi_nuts_report report;
  dp_status status = dpi_nuts_run(&t->d, &def, &s, &report);
  if (status != DP_OK) print_message("%s\n", dp_ctx_error(t->d.ctx));
  assert_int_equal(status, DP_OK);
  assert_int_equal(dpi_verdict_chains(s, m, v), DP_OK);
  if (getenv("SHOW")) print_message("%ld points, %ld batches: %s\n", report.npoint, report.nbatch, v->words);
  return s;
}

static void check(const dpi_mixing *m, double mean, double sd) {
  if (!(fabs(m->mean - mean) < SIGMAS * m->mcse_mean && fabs(m->sd - sd) < SIGMAS * m->mcse_sd))
    print_message("mean %g (%g +- %g) sd %g (%g +- %g)\n", mean, m->mean, m->mcse_mean, sd, m->sd, m->mcse_sd);
  assert_true(fabs(m->mean - mean) < SIGMAS * m->mcse_mean);
  assert_true(fabs(m->sd - sd) < SIGMAS * m->mcse_sd);
}

static void gaussian(dp_ctx *ctx, int n, dpi_nuts_metric metric) {
  target *t = conjugate_make(ctx, n, 2, 1.5, 0.7);
  dpi_nuts_def def = dpi_nuts_def_default();
  dpi_verdict v;
  dpi_mixing m[TARGET_MOST];
  def.metric = metric;
  def.nwarmup = 500;
  def.seed = (uint64_t)n;
  dpi_draws *s = run(t, def, &v, m);
  assert_int_equal(v.usable, 1);
  for (int k = 0; k < n; k++) {
    double mean, sd;
    conjugate_posterior(t, k, &mean, &sd);
    check(&m[k], mean, sd);
  }
  assert_int_equal(t->width, 4);
  dpi_draws_destroy(s);
  free(t);
}

static void test_gaussians(void **state) {
  dp_ctx *ctx = target_ctx();
  (void)state;
  gaussian(ctx, 1, DPI_NUTS_DIAGONAL);
  gaussian(ctx, 5, DPI_NUTS_DENSE);
  gaussian(ctx, 50, DPI_NUTS_DIAGONAL);
  gaussian(ctx, 50, DPI_NUTS_AUTO);
  dp_ctx_destroy(ctx);
}

/* x0 ~ N(0, 1), x1 = 0.999 x0 + sqrt(1 - 0.999^2) N, scales 1 and 100 */
static bool correlated_fn(const target *t, const double *x, dpi_density_value *v) {
  double r = 0.999, q = 1 - r * r, a = x[0], b = x[1] / 100;
  (void)t;
  v->loglik = -0.5 * (a * a - 2 * r * a * b + b * b) / q;
  if (v->gradient) {
    v->gradient[0] = -(a - r * b) / q;
    v->gradient[1] = -(b - r * a) / q / 100;
  }
  if (v->fisher) {
    double f[4] = {1 / q, -r / q / 100, -r / q / 100, 1 / q / 1e4};
    memcpy(v->fisher, f, sizeof f);
  }
  return true;
}

static void test_correlated(void **state) {
  dp_ctx *ctx = target_ctx();
  target *t = target_make(ctx, 2, -INFINITY, INFINITY, false, correlated_fn);
  dpi_nuts_def def = dpi_nuts_def_default();
  dpi_verdict v;
  dpi_mixing m[2];
  (void)state;
  for (int fisher = 0; fisher < 2; fisher++) {
    def.no_fisher = !fisher;
    dpi_draws *s = run(t, def, &v, m);
    assert_int_equal(v.usable, 1);
    check(&m[0], 0, 1);
    check(&m[1], 0, 100);
    dpi_draws_destroy(s);
  }
  free(t);
  dp_ctx_destroy(ctx);
}

/* Neal's funnel: x0 ~ N(0, 3), others ~ N(0, exp(x0/2)) */
static bool funnel_fn(const target *t, const double *x, dpi_density_value *v) {
  int n = t->d.n;
  double w = dpi_m_exp(-x[0]), sum = 0;
  for (int k = 1; k < n; k++) sum += x[k] * x[k];
  v->loglik = -x[0] * x[0] / 18 - 0.5 * (n - 1) * x[0] - 0.5 * w * sum;
  if (v->gradient) {
    v->gradient[0] = -x[0] / 9 - 0.5 * (n - 1) + 0.5 * w * sum;
    for (int k = 1; k < n; k++) v->gradient[k] = -w * x[k];
  }
  for (int k = 0; v->fisher && k < n; k++) v->fisher[k * n + k] = k == 0 ? 1.0 / 9 + 0.5 * (n - 1) : w;
  return true;
}

static void test_funnel_is_noticed(void **state) {
  dp_ctx *ctx = target_ctx();
  target *t = target_make(ctx, 10, -INFINITY, INFINITY, false, funnel_fn);
  dpi_nuts_def def = dpi_nuts_def_default();
  dpi_verdict v;
  (void)state;
  dpi_draws *s = run(t, def, &v, NULL);
  assert_int_equal(v.usable, 0);
  assert_true(v.divergent > DPI_VERDICT_DIVERGENT);
  assert_non_null(strstr(v.words, "diverged"));
  assert_true(s->nplace > 4);
  /* the places are in the neck */
  int neck = 0;
  for (int i = 0; i < s->nplace; i++) neck += s->place[(size_t)i * 12 + 2] < 0;
  assert_true(neck > s->nplace * 3 / 4);
  dpi_draws_destroy(s);
  free(t);
  dp_ctx_destroy(ctx);
}

static void test_two_peaks_are_noticed(void **state) {
  dp_ctx *ctx = target_ctx();
  target *t = target_make(ctx, 2, -10, 10, true, peaks_fn);
  dpi_nuts_def def = dpi_nuts_def_default();
  dpi_verdict v;
  (void)state;
  t->a = 5;
  t->b = 0.5;
  def.seed = 3;
  dpi_draws *s = run(t, def, &v, NULL);
  assert_int_equal(v.usable, 0);
  assert_true(v.rhat > 1.5);
  assert_non_null(strstr(v.words, "chains disagree"));
  dpi_draws_destroy(s);
  free(t);
  dp_ctx_destroy(ctx);
}

/* boxes: truncated normal on [1, inf), on (-inf, -1]; beta(2, 5) and uniform on [0, 1] */
static bool boxes_fn(const target *t, const double *x, dpi_density_value *v) {
  (void)t;
  v->loglik = -0.5 * x[0] * x[0] - 0.5 * x[1] * x[1] + dpi_m_log(x[2]) + 4 * dpi_m_log1p(-x[2]);
  if (v->gradient) {
    v->gradient[0] = -x[0];
    v->gradient[1] = -x[1];
    v->gradient[2] = 1 / x[2] - 4 / (1 - x[2]);
  }
  if (v->fisher) v->fisher[0] = v->fisher[5] = 1;
  return true;
}

static void test_boxes(void **state) {
  dp_ctx *ctx = target_ctx();
  target *t = target_make(ctx, 4, 0, 1, false, boxes_fn);
  dpi_nuts_def def = dpi_nuts_def_default();
  dpi_verdict v;
  dpi_mixing m[4];
  (void)state;
  t->lower[0] = 1, t->upper[0] = INFINITY;
  t->lower[1] = -INFINITY, t->upper[1] = -1;
  double start[16];
  for (int c = 0; c < 4; c++) memcpy(start + 4 * c, (double[]){1, -1, 0, 1}, sizeof(double) * 4); /* on the bounds */
  def.start = start;
  dpi_draws *s = run(t, def, &v, m);
  assert_int_equal(v.usable, 1);
  double hazard = dpi_norm_pdf(1) / dpi_norm_cdf(-1), sd = sqrt(1 + hazard - hazard * hazard);
  check(&m[0], hazard, sd);
  check(&m[1], -hazard, sd);
  check(&m[2], 2.0 / 7, sqrt(10.0 / (49 * 8)));
  check(&m[3], 0.5, sqrt(1.0 / 12));
  dpi_draws_destroy(s);
  free(t);
  dp_ctx_destroy(ctx);
}

/* N(0, 1) in both directions, not evaluable where x0 < 0 */
static bool half_fn(const target *t, const double *x, dpi_density_value *v) {
  (void)t;
  if (x[0] < 0) return false;
  v->loglik = -0.5 * (x[0] * x[0] + x[1] * x[1]);
  for (int k = 0; v->gradient && k < 2; k++) v->gradient[k] = -x[k];
  for (int k = 0; v->fisher && k < 2; k++) v->fisher[3 * k] = 1;
  return true;
}

static void test_half_space(void **state) {
  dp_ctx *ctx = target_ctx();
  target *t = target_make(ctx, 2, -INFINITY, INFINITY, false, half_fn);
  dpi_nuts_def def = dpi_nuts_def_default();
  dpi_verdict v;
  dpi_mixing m[2];
  (void)state;
  def.ndraw = 4000;
  dpi_draws *s = run(t, def, &v, m);
  assert_true(v.failed > 0.01);
  assert_true(v.divergent == 0);
  assert_int_equal(v.usable, 1);
  check(&m[0], 0.79788456080286536, sqrt(1 - 2 / 3.14159265358979323846));
  check(&m[1], 0, 1);
  dpi_draws_destroy(s);
  free(t);
  dp_ctx_destroy(ctx);
}

static bool nowhere_fn(const target *t, const double *x, dpi_density_value *v) {
  (void)t, (void)x, (void)v;
  return false;
}

static void test_no_place_to_start(void **state) {
  dp_ctx *ctx = target_ctx();
  target *t = target_make(ctx, 2, -1, 1, true, nowhere_fn);
  dpi_nuts_def def = dpi_nuts_def_default();
  dpi_nuts_report report;
  dpi_draws *s = NULL;
  dpi_verdict v;
  (void)state;
  assert_int_equal(dpi_nuts_run(&t->d, &def, &s, &report), DP_OK);
  assert_int_equal(report.nstuck, 4);
  assert_non_null(strstr(report.reason, "chain 0: no place to start from: not here"));
  assert_int_equal(dpi_verdict_chains(s, NULL, &v), DP_OK);
  assert_int_equal(v.usable, 0);
  assert_non_null(strstr(v.words, "no place to start"));
  dpi_draws_destroy(s);
  free(t);
  dp_ctx_destroy(ctx);
}

/* chain 2 of four = chain 2 alone; a run cut short and gone on = the run undisturbed */
static bool same(const dpi_draws *a, int ca, const dpi_draws *b, int cb) {
  size_t n = (size_t)a->ndraw, at = dpi_draws_at(a, ca, 0), bt = dpi_draws_at(b, cb, 0), d = (size_t)a->n;
  return memcmp(a->x + at * d, b->x + bt * d, sizeof(double) * n * d) == 0 &&
         memcmp(a->loglik + at, b->loglik + bt, sizeof(double) * n) == 0 &&
         memcmp(a->stat + at * DPI_DRAW_NSTAT, b->stat + bt * DPI_DRAW_NSTAT, sizeof(double) * n * DPI_DRAW_NSTAT) == 0;
}

static dp_status count_down(dpi_density *d, int npoint, const double *x, unsigned what, dpi_density_value *value) {
  target *t = (target *)d;
  if (t->ncall == (long)t->mean) dp_ctx_cancel(d->ctx);
  return target_eval(d, npoint, x, what, value);
}
static const dpi_density_ops cancelling = {.eval = count_down, .prior_draw = target_prior_draw};

static void test_same_bytes(void **state) {
  dp_ctx *ctx = target_ctx();
  target *t = target_make(ctx, 3, -10, 10, true, peaks_fn);
  dpi_nuts_def def = dpi_nuts_def_default();
  dpi_nuts_report report;
  dpi_draws *all = NULL, *one = NULL, *again = NULL;
  char path[64];
  (void)state;
  snprintf(path, sizeof path, "/tmp/test_nuts.%d.tsv", (int)getpid());
  t->a = 1;
  t->b = 1;
  def.nwarmup = 300;
  def.ndraw = 200;
  assert_int_equal(dpi_nuts_run(&t->d, &def, &all, &report), DP_OK);
  dpi_nuts_def alone = def;
  alone.nchain = 1;
  alone.first_chain = 2;
  assert_int_equal(dpi_nuts_run(&t->d, &alone, &one, &report), DP_OK);
  assert_true(same(all, 2, one, 0));
  assert_false(same(all, 1, one, 0));
  /* interrupted in warm-up, then while drawing, then gone on to the end; then only read */
  def.file = path;
  t->d.ops = &cancelling;
  for (int i = 0; i < 2; i++) {
    t->ncall = 0;
    t->mean = i == 0 ? 700 : 1500;
    assert_int_equal(dpi_nuts_run(&t->d, &def, &again, &report), DP_ERR_CANCELLED);
    assert_null(again);
    dp_ctx_resume(ctx);
    dp_ctx_clear_error(ctx);
  }
  t->mean = -1;
  assert_int_equal(dpi_nuts_run(&t->d, &def, &again, &report), DP_OK);
  assert_true(report.nbatch > 0);
  for (int c = 0; c < 4; c++) assert_true(same(all, c, again, c));
  dpi_draws_destroy(again);
  assert_int_equal(dpi_nuts_run(&t->d, &def, &again, &report), DP_OK);
  assert_int_equal(report.nbatch, 0);
  for (int c = 0; c < 4; c++) assert_true(same(all, c, again, c));
  dpi_draws_destroy(again);
  /* a file of another seed is refused by name */
  def.seed = 99;
  assert_int_equal(dpi_nuts_run(&t->d, &def, &again, &report), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(ctx), "expected '# seed 99'"));
  unlink(path);
  dpi_draws_destroy(all);
  dpi_draws_destroy(one);
  free(t);
  assert_int_equal(dpi_alloc_live(ctx), 0);
  dp_ctx_destroy(ctx);
}

static long calls_left;
static dp_status count_all(dpi_density *d, int npoint, const double *x, unsigned what, dpi_density_value *value) {
  if (calls_left-- == 0) dp_ctx_cancel(d->ctx);
  return target_eval(d, npoint, x, what, value);
}
static const dpi_density_ops counting = {.eval = count_all, .prior_draw = target_prior_draw};

static bool outside_fn(const target *t, const double *x, dpi_density_value *v) {
  return fabs(x[0]) < t->mean ? conjugate_fn(t, x, v) : false;
}

/* Chains of one start begin apart (or at it, where there is nothing beside it), warm up by another density, and draw
 * by the
 * density itself: moments as in closed form, what stands beside a draw is the density's, bytes as without the other one
 * where the two are the same, and after an interruption. */
static void test_warm_and_spread(void **state) {
  enum { D = 3 };
  dp_ctx *ctx = target_ctx();
  target *t = conjugate_make(ctx, D, 2, 1.5, 0.7), *rough = conjugate_make(ctx, D, 2, 1.5, 0.75);
  dpi_nuts_def def = dpi_nuts_def_default();
  dpi_nuts_report report;
  dpi_draws *plain = NULL, *same_one = NULL, *other = NULL;
  dpi_mixing m[D];
  dpi_verdict v;
  double start[4 * D], mean, sd;
  char path[64];
  (void)state;
  snprintf(path, sizeof path, "/tmp/test_nuts_warm.%d.tsv", (int)getpid());
  for (int i = 0; i < 4 * D; i++) start[i] = 1;
  def.start = start;
  def.spread = 1;
  def.nwarmup = 0;
  def.ndraw = 4;
  assert_int_equal(dpi_nuts_run(&t->d, &def, &plain, &report), DP_OK);
  for (int c = 1; c < 4; c++)
    assert_true(plain->x[dpi_draws_at(plain, c, 0) * D] != plain->x[dpi_draws_at(plain, 0, 0) * D]);
  dpi_draws_destroy(plain);
  def.nwarmup = 300;
  def.ndraw = 1500;
  assert_int_equal(dpi_nuts_run(&t->d, &def, &plain, &report), DP_OK);
  def.warm = &t->d;
  assert_int_equal(dpi_nuts_run(&t->d, &def, &same_one, &report), DP_OK);
  for (int c = 0; c < 4; c++) assert_true(same(plain, c, same_one, c));
  def.warm = &rough->d;
  other = run(t, def, &v, m);
  assert_false(same(plain, 0, other, 0));
  for (int k = 0; k < D; k++) {
    conjugate_posterior(t, k, &mean, &sd);
    check(&m[k], mean, sd);
  }
  for (int i = 0; i < 4 * 1500; i += 37) {
    dpi_density_value value = {0};
    conjugate_fn(t, other->x + (size_t)i * D, &value);
    assert_true(fabs(value.loglik - other->loglik[i]) < 1e-12 && fabs(value.logprior - other->logprior[i]) < 1e-12);
  }
  def.file = path;
  t->d.ops = rough->d.ops = &counting;
  for (int i = 0; i < 3; i++) { /* interrupted while the one is asked, then the other, then gone on to the end */
    dpi_draws *again = NULL;
    calls_left = i == 0 ? 300 : i == 1 ? 3000 : -1;
    assert_int_equal(dpi_nuts_run(&t->d, &def, &again, &report), i < 2 ? DP_ERR_CANCELLED : DP_OK);
    for (int c = 0; c < 4 && i == 2; c++) assert_true(same(other, c, again, c));
    dpi_draws_destroy(again);
    dp_ctx_resume(ctx);
    dp_ctx_clear_error(ctx);
  }
  unlink(path);
  dpi_draws_destroy(plain);
  dpi_draws_destroy(same_one);
  dpi_draws_destroy(other);
  free(rough);
  free(t);
  /* everything beside the start is out: it is begun at */
  t = conjugate_make(ctx, 1, 2, 0, 0.7);
  t->fn = outside_fn;
  t->mean = 1e-6;
  def = dpi_nuts_def_default();
  def.start = (const double[]){0, 0, 0, 0};
  def.spread = 1;
  def.nwarmup = 0;
  def.ndraw = 1;
  assert_int_equal(dpi_nuts_run(&t->d, &def, &plain, &report), DP_OK);
  assert_int_equal(report.nstuck, 0);
  for (int c = 0; c < 4; c++) assert_true(fabs(plain->x[c]) < 1e-6);
  dpi_draws_destroy(plain);
  free(t);
  assert_int_equal(dpi_alloc_live(ctx), 0);
  dp_ctx_destroy(ctx);
}

static void test_bad_options(void **state) {
  dp_ctx *ctx = target_ctx();
  target *t = target_make(ctx, 2, -1, 1, true, peaks_fn);
  dpi_nuts_report report;
  dpi_draws *s = NULL;
  (void)state;
  for (int i = 0; i < 4; i++) {
    dpi_nuts_def def = dpi_nuts_def_default();
    if (i == 0) def.nchain = 0;
    if (i == 1) def.max_depth = 40;
    if (i == 2) def.accept = 1;
    if (i == 3) def.ndraw = 2000000000;
    assert_int_not_equal(dpi_nuts_run(&t->d, &def, &s, &report), DP_OK);
    assert_null(s);
    assert_true(strlen(dp_ctx_error(ctx)) > 10);
    dp_ctx_clear_error(ctx);
  }
  free(t);
  dp_ctx_destroy(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_gaussians),
      cmocka_unit_test(test_correlated),
      cmocka_unit_test(test_funnel_is_noticed),
      cmocka_unit_test(test_two_peaks_are_noticed),
      cmocka_unit_test(test_boxes),
      cmocka_unit_test(test_half_space),
      cmocka_unit_test(test_no_place_to_start),
      cmocka_unit_test(test_same_bytes),
      cmocka_unit_test(test_warm_and_spread),
      cmocka_unit_test(test_bad_options),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
