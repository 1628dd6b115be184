/* Independent comparison: Gauss-Hermite moments; the linear kind's likelihood, its maximum and the standard errors of a
 * balanced design in closed form; the gradient with differences; theophylline's exact optimum with twice as
 * many nodes. */
#include "../../tests/linear_kind.h"
#include "infer/population_impl.h"

#define M_PI_ 3.14159265358979323846

enum { NPEOPLE = 12, NTIME = 4 };
static const double T[NTIME] = {1, 2, 4, 7};

static void make_lines(world *w, double *y) {
  char text[4000] = "ID,TIME,DV\n";
  dpi_rng rng = dpi_rng_make(5, 6, 7);
  for (int i = 0; i < NPEOPLE; i++) {
    double z = noise(&rng), base = 2 + .7 * z, slope = 1 - .4 * z + .5 * noise(&rng);
    for (int k = 0; k < NTIME; k++) {
      char number[32];
      y[i * NTIME + k] = base + slope * T[k] + .4 * noise(&rng);
      dpi_format_double(y[i * NTIME + k], number);
      snprintf(text + strlen(text), sizeof text - strlen(text), "%d,%g,%s\n", i + 1, T[k], number);
    }
  }
  OK(linear_read(w, text));
}

static void test_nodes(void **state) {
  (void)state;
  dp_ctx *ctx = NULL;
  dp_ctx_def def = dp_ctx_def_default();
  assert_int_equal(dp_ctx_create(&def, &ctx), DP_OK);
  for (int n = 1; n <= 64; n += 7) {
    double z[64], logw[64], moment[3] = {0};
    assert_int_equal(dpi_gauss_hermite(ctx, n, z, logw), DP_OK);
    for (int j = 0; j < n; j++) {
      double w = exp(logw[j] - z[j] * z[j]);
      moment[0] += w, moment[1] += w * z[j] * z[j], moment[2] += w * pow(z[j], 4);
    }
    near("weight", moment[0], sqrt(M_PI_), 1e-13);
    if (n > 1) near("second", moment[1], sqrt(M_PI_) / 2, 1e-13);
    if (n > 2) near("fourth", moment[2], sqrt(M_PI_) * .75, 1e-13);
  }
  dp_ctx_destroy(ctx);
}

/* A Gaussian model is exact with any nodes; its standard errors, shrinkage and distances are known. */
static void test_linear(void **state) {
  (void)state;
  static const variant v = {.name = "quadrature", .correlated = true};
  world W, *w = &W;
  double y[NPEOPLE * NTIME], o, laplace;
  dp_prior *p = NULL;
  dp_fit_check *c = NULL;
  linear_open(w, &v, 2);
  make_lines(w, y);
  dp_fit_def def = dp_fit_def_default();
  def.method = "agq";
  OK(dp_prior_fit(w->kind, w->record, NULL, 0, &def, &p));
  assert_true(p->converged);
  assert_string_equal(p->method, "agq");
  OK(dp_prior_objective(w->kind, w->record, NULL, 0, p, "laplace", &laplace));
  OK(dp_prior_objective(w->kind, w->record, NULL, 0, p, "agq", &o));
  near("objective", o, laplace, 1e-9);
  near("fit", p->objective, laplace, 1e-7);
  for (int m = 0; m < 2; m++) {
    OK(dp_prior_check(w->kind, w->record, NULL, 0, p, m ? "agq" : "laplace", &c));
    assert_true(c->determined);
    assert_int_equal(c->ntheta, 6);
    /* balanced: var of the typical values = (Omega + sd^2 (A'A)^-1)/N, of sd^2 = 2 sd^4/(N (n - 2)) */
    double st = 0, stt = 0, sd = p->typical[2];
    for (int k = 0; k < NTIME; k++) st += T[k], stt += T[k] * T[k];
    double det = NTIME * stt - st * st;
    near("se base", c->se[0], sqrt((p->omega[0] + sd * sd * stt / det) / NPEOPLE), 2e-3);
    near("se slope", c->se[1], sqrt((p->omega[3] + sd * sd * NTIME / det) / NPEOPLE), 2e-3);
    near("se sd", c->se[2], sd / sqrt(2.0 * NPEOPLE * (NTIME - 2)), 5e-3);
    assert_true(c->robust[0] > 0.3 * c->se[0] && c->robust[0] < 3 * c->se[0]);
    for (int i = 0; i < NPEOPLE; i++) {
      double a[2 * NTIME], r[NTIME], mean[2], cov[4];
      for (int k = 0; k < NTIME; k++) {
        a[2 * k] = 1, a[2 * k + 1] = T[k];
        r[k] = y[i * NTIME + k] - p->typical[0] - p->typical[1] * T[k];
      }
      gaussian(NTIME, 2, a, p->omega, sd, r, mean, cov);
      for (int k = 0; k < 4; k++) cov[k] = p->omega[k] - cov[k];
      double d = (cov[3] * mean[0] * mean[0] - 2 * cov[1] * mean[0] * mean[1] + cov[0] * mean[1] * mean[1]) /
                 (cov[0] * cov[3] - cov[1] * cov[2]);
      assert_int_equal(c->directions[i], 2);
      near("distance", c->distance[i], d, 1e-6);
      near("p", c->conflict[i], exp(-d / 2), 1e-6);
      assert_int_equal(c->subject[i], i);
      for (int k = 0; k < 2; k++) {
        near("own effect", c->effect[2 * i + k], mean[k], 1e-5);
        near("own parameter", c->individual[2 * i + k], p->typical[k] + mean[k], 1e-5);
      }
    }
    assert_true(c->eta_shrinkage[0] > -.2 && c->eta_shrinkage[0] < .5 && c->epsilon_shrinkage > 0);
    dp_fit_check_destroy(c);
  }
  dp_prior_destroy(p);
  world_close(w);
}

static void test_gradient(void **state) {
  (void)state;
  world W, *w = &W;
  dp_prior *p = NULL;
  dpi_population *pop = NULL;
  double x[7], t[7], g[7], f, hi, lo;
  bool ok;
  world_open(w, 2);
  OK(dp_prior_nominal(w->kind, &p));
  OK(dpi_population_create(w->kind, w->record, NULL, 0, p, DPI_QUADRATURE, &pop));
  dpi_population_nodes(pop, 4);
  dpi_population_start(pop, x);
  OK(dpi_population_eval(pop, x, &f, NULL, &ok));
  assert_true(ok);
  for (int k = 0; k < 7; k++) x[k] += 0.03 * (k % 3 - 1) + 0.02;
  OK(dpi_population_eval(pop, x, &f, g, &ok));
  for (int k = 0; k < 7; k++) {
    memcpy(t, x, sizeof t);
    t[k] = x[k] + 1e-4;
    OK(dpi_population_eval(pop, t, &hi, NULL, &ok));
    t[k] = x[k] - 1e-4;
    OK(dpi_population_eval(pop, t, &lo, NULL, &ok));
    near("gradient", g[k], (hi - lo) / 2e-4, 1e-5);
  }
  dpi_population_destroy(pop);
  dp_prior_destroy(p);
  world_close(w);
}

static void test_theophylline(void **state) {
  (void)state;
  world W, *w = &W;
  dp_fit_def def = dp_fit_def_default();
  dp_prior *p = NULL, *again = NULL;
  double o, at_laplace;
  world_open(w, 2);
  def.method = "agq";
  OK(dp_prior_fit(w->kind, w->record, NULL, 0, &def, &p));
  assert_true(p->converged);
  near("exact optimum", p->objective, 360.70071, 3e-7); /* 17 and 21 nodes in each direction agree to 1e-5 */
  /* better, as a likelihood, than Laplace's estimate */
  def.method = "laplace";
  OK(dp_prior_fit(w->kind, w->record, NULL, 0, &def, &again));
  OK(dp_prior_objective(w->kind, w->record, NULL, 0, again, "agq", &at_laplace));
  OK(dp_prior_objective(w->kind, w->record, NULL, 0, p, "agq", &o));
  near("same", o, p->objective, 5e-7);
  assert_true(at_laplace > o);
  assert_string_not_equal(p->hash, again->hash);
  dp_prior_destroy(p);
  dp_prior_destroy(again);
  def.nodes = 65;
  assert_int_equal(dp_prior_fit(w->kind, w->record, NULL, 0, &def, &p), DP_ERR_USAGE);
  dp_ctx_clear_error(w->ctx);
  world_close(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_nodes), cmocka_unit_test(test_linear),
                                     cmocka_unit_test(test_gradient), cmocka_unit_test(test_theophylline)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
