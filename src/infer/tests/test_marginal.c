/* Independent comparison: the linear-Gaussian person's posterior and evidence in closed form; a non-linear person's
 * posterior moments and evidence by dense-grid quadrature; derivatives of ln|Q| by differences of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "closed_form.h"

static const double LN_2PI = 1.8378770664093454836;
static const double LT[] = {0, 1, 2, 4, 7}, LY[] = {2.2, 2.9, 4.3, 6.1, 9.4};
static const double LOMEGA[4] = {.5, .1, .1, .3};

static dpi_indiv *make_line(dp_ctx *ctx, line_model *m, dpi_datum *d) {
  dpi_indiv *iv = NULL;
  *m = (line_model){5, LT, 2, 1, .4};
  for (int i = 0; i < 5; i++) d[i] = (dpi_datum){LY[i], LT[i], 0, 0, false, NULL};
  dpi_indiv_def def = {.neta = 2, .nobs = 5, .datum = d, .predict = line_predict, .user = m};
  assert_int_equal(dpi_indiv_create(ctx, &def, &iv), DP_OK);
  assert_int_equal(dpi_indiv_prior(iv, LOMEGA), DP_OK);
  return iv;
}

/* posterior mean and covariance, ln p(y), from y ~ N(A mu, A Omega A' + sigma^2 I) */
static void line_truth(double mean[2], double cov[4], double *evidence) {
  double k[25], r[5], prec[4] = {0}, b[2] = {0}, om[4];
  memcpy(om, LOMEGA, sizeof om);
  dpi_chol(om, 2);
  dpi_chol_inverse(om, 2, prec);
  for (int i = 0; i < 5; i++) {
    r[i] = LY[i] - (2 + LT[i]);
    double a[2] = {1, LT[i]};
    for (int p = 0; p < 2; p++) {
      b[p] += a[p] * r[i] / .16;
      for (int q = 0; q < 2; q++) prec[2 * p + q] += a[p] * a[q] / .16;
    }
    for (int j = 0; j < 5; j++)
      k[5 * i + j] = .5 + .1 * (LT[i] + LT[j]) + .3 * LT[i] * LT[j] + (i == j ? .16 : 0);
  }
  dpi_chol(prec, 2);
  dpi_chol_inverse(prec, 2, cov);
  for (int p = 0; p < 2; p++) mean[p] = cov[2 * p] * b[0] + cov[2 * p + 1] * b[1];
  dpi_chol(k, 5);
  dpi_tri_solve_lower(k, 5, r);
  *evidence = -0.5 * (5 * LN_2PI + dpi_chol_logdet(k, 5));
  for (int i = 0; i < 5; i++) *evidence -= 0.5 * r[i] * r[i];
}

static void test_linear_gaussian(void **state) {
  (void)state;
  dp_ctx *ctx = test_ctx(1);
  line_model m;
  dpi_datum d[5];
  dpi_indiv *iv = make_line(ctx, &m, d);
  double mean[2], cov[4], evidence;
  line_truth(mean, cov, &evidence);
  for (int method = 0; method < 2; method++) {
    dpi_arena arena;
    dpi_marginal mg;
    dpi_arena_init(&arena, ctx);
    assert_int_equal(dpi_marginal_create(&arena, 2, &mg), DP_OK);
    assert_int_equal(dpi_marginal_eval(iv, method ? DPI_FOCEI : DPI_LAPLACE, true, &mg), DP_OK);
    assert_true(mg.ok);
    assert_true(fabs(-0.5 * mg.value - evidence) < 1e-9);
    for (int k = 0; k < 2; k++) assert_true(fabs(mg.x[k] - mean[k]) < 1e-9);
    for (int k = 0; k < 4; k++) assert_true(fabs(mg.qinv[k] - cov[k]) < 1e-9);
    for (int k = 0; k < 2; k++)
      assert_true(fabs(mg.q[k]) < 1e-7); /* a quadratic has no third derivative */
    dpi_arena_release(&arena);
  }
  dpi_indiv_destroy(iv);
  dp_ctx_destroy(ctx);
}

/* the importance sampler with the exact target: evidence and moments */
static dp_status target(void *user, const double *x, int n, double *logp) {
  dpi_indiv *iv = user;
  for (int k = 0; k < n; k++) {
    bool ok = false;
    dpi_point pt = {0, NULL, NULL};
    DP_TRY(dpi_indiv_eval(iv, x + k * iv->dim, false, &pt, &ok));
    logp[k] = ok ? -0.5 * (pt.l + dpi_indiv_constant(iv, false)) : -INFINITY;
  }
  return DP_OK;
}

static void moments(const dpi_importance *im, int dim, double *mean, double *cov) {
  memset(mean, 0, sizeof(double) * (size_t)dim);
  memset(cov, 0, sizeof(double) * (size_t)(dim * dim));
  for (int i = 0; i < im->n; i++)
    for (int a = 0; a < dim; a++) mean[a] += im->weight[i] * im->x[i * dim + a];
  for (int i = 0; i < im->n; i++)
    for (int a = 0; a < dim; a++)
      for (int b = 0; b < dim; b++)
        cov[a * dim + b] +=
            im->weight[i] * (im->x[i * dim + a] - mean[a]) * (im->x[i * dim + b] - mean[b]);
}

static void test_importance_linear(void **state) {
  (void)state;
  dp_ctx *ctx = test_ctx(1);
  line_model m;
  dpi_datum d[5];
  dpi_indiv *iv = make_line(ctx, &m, d);
  double mean[2], cov[4], evidence, got[2], gcov[4], chol[4];
  line_truth(mean, cov, &evidence);
  memcpy(chol, cov, sizeof chol);
  dpi_chol(chol, 2);
  dpi_arena arena;
  dpi_arena_init(&arena, ctx);
  /* from the true curvature; and from a proposal far off and far too narrow, which must adapt */
  for (int bad = 0; bad < 2; bad++) {
    double mu[2] = {mean[0] + bad * 1.0, mean[1]}, l[4];
    for (int k = 0; k < 4; k++) l[k] = chol[k] * (bad ? 0.3 : 1);
    dpi_component c = {1, mu, l};
    dpi_importance_def def = {.dim = 2,
                              .nproposal = 4000,
                              .max_round = 5,
                              .dof = 5,
                              .seed = 3,
                              .stream = 9,
                              .target = target,
                              .user = iv,
                              .component = &c,
                              .ncomponent = 1};
    dpi_importance im;
    assert_int_equal(dpi_importance_run(&arena, &def, &im), DP_OK);
    assert_true(im.good);
    assert_int_equal(im.nround > 1, bad);
    assert_true(fabs(im.evidence - evidence) < 0.05);
    moments(&im, 2, got, gcov);
    for (int k = 0; k < 2; k++) assert_true(fabs(got[k] - mean[k]) < 0.08 * sqrt(cov[3 * k]));
    for (int k = 0; k < 4; k++)
      assert_true(fabs(gcov[k] - cov[k]) < 0.1 * sqrt(cov[3 * (k / 2)] * cov[3 * (k % 2)]));
  }
  dpi_arena_release(&arena);
  dpi_indiv_destroy(iv);
  dp_ctx_destroy(ctx);
}

/* a posterior with two modes far apart: y = eta^2 */
static dp_status square_predict(void *user, const double *eta, bool deriv, dpi_pred *out,
                                bool *ok) {
  (void)user;
  *ok = true;
  out->f[0] = eta[0] * eta[0] + 0.05 * eta[0];
  out->s[0] = 0.1;
  if (deriv) {
    out->df[0] = 2 * eta[0] + 0.05;
    out->ds[0] = 0;
  }
  return DP_OK;
}

static void test_two_modes(void **state) {
  (void)state;
  dp_ctx *ctx = test_ctx(1);
  dpi_datum d = {1.0, 0, 0, 0, false, NULL};
  dpi_indiv_def def = {.neta = 1, .nobs = 1, .datum = &d, .predict = square_predict};
  dpi_indiv *iv = NULL;
  double one = 1, x[8];
  dpi_mode mode[8];
  int n = 0;
  assert_int_equal(dpi_indiv_create(ctx, &def, &iv), DP_OK);
  assert_int_equal(dpi_indiv_prior(iv, &one), DP_OK);
  dpi_mode_def md = dpi_mode_def_default();
  assert_int_equal(
      dpi_mode_multi(iv, &md, NULL, 8, dpi_rng_make(1, 2, DPI_RNG_START), 8, x, mode, &n), DP_OK);
  assert_int_equal(n, 2);
  assert_true(x[0] * x[1] < 0 && mode[0].l <= mode[1].l);
  /* stationary points of l: roots of the gradient, checked by bisection around +-1 */
  for (int k = 0; k < 2; k++) {
    double lo = x[k] - .2, hi = x[k] + .2;
    for (int i = 0; i < 60; i++) {
      double mid = 0.5 * (lo + hi), f = mid * mid + .05 * mid,
             g = -2 * (1 - f) / .01 * (2 * mid + .05) + 2 * mid;
      if (g < 0)
        lo = mid;
      else
        hi = mid;
    }
    assert_true(fabs(x[k] - lo) < 1e-7);
  }
  dpi_indiv_destroy(iv);
  dp_ctx_destroy(ctx);
}

/* d ln|Q|/dx against differences of dpi_marginal_logdet, for a non-linear person */
static void test_logdet_gradient(void **state) {
  (void)state;
  dp_ctx *ctx = test_ctx(1);
  static const double t[] = {.5, 1, 2, 4, 8, 12}, y[] = {30, 52, 88, 105, 70, 60}, dt[] = {0},
                      dose[] = {10000};
  static const double omega[9] = {.2, 0, 0, 0, .2, .05, 0, .05, .3};
  oral o = {6, 1, t, dt, dose, 4, 70, 1, .2, 2};
  dpi_datum d[6];
  for (int i = 0; i < 6; i++) d[i] = (dpi_datum){y[i], t[i], 0, 0, false, NULL};
  dpi_indiv_def def = {.neta = 3, .nobs = 6, .datum = d, .predict = oral_predict, .user = &o};
  dpi_indiv *iv = NULL;
  assert_int_equal(dpi_indiv_create(ctx, &def, &iv), DP_OK);
  assert_int_equal(dpi_indiv_prior(iv, omega), DP_OK);
  for (int method = 0; method < 2; method++) {
    dpi_marginal_method mm = method ? DPI_FOCEI : DPI_LAPLACE;
    dpi_arena arena;
    dpi_marginal mg;
    dpi_arena_init(&arena, ctx);
    assert_int_equal(dpi_marginal_create(&arena, 3, &mg), DP_OK);
    assert_int_equal(dpi_marginal_eval(iv, mm, true, &mg), DP_OK);
    assert_true(mg.ok);
    for (int k = 0; k < 3; k++) {
      double x[3], ld[2];
      bool ok;
      for (int s = 0; s < 2; s++) {
        memcpy(x, mg.x, sizeof x);
        x[k] += s ? -1e-3 : 1e-3;
        assert_int_equal(dpi_marginal_logdet(iv, mm, x, &ld[s], &ok), DP_OK);
        assert_true(ok);
      }
      double want = (ld[0] - ld[1]) / 2e-3;
      if (fabs(mg.q[k] - want) > 2e-3 * (1 + fabs(want)))
        fail_msg("%d %d: %.8g %.8g", method, k, mg.q[k], want);
    }
    dpi_arena_release(&arena);
  }
  dpi_indiv_destroy(iv);
  dp_ctx_destroy(ctx);
}

/* two effects (ka fixed), four samples: dense quadrature of the unnormalised posterior on a 400 x 400 grid */
static void test_against_quadrature(void **state) {
  (void)state;
  dp_ctx *ctx = test_ctx(1);
  static const double t[] = {1, 4}, y[] = {70, 100}, dt[] = {0}, dose[] = {10000};
  static const double omega[9] = {.4, 0, 0, 0, .4, 0, 0, 0, 0};
  oral o = {2, 1, t, dt, dose, 4, 70, 1, .3, 2};
  dpi_datum d[2];
  for (int i = 0; i < 2; i++) d[i] = (dpi_datum){y[i], t[i], 0, 0, false, NULL};
  dpi_indiv_def def = {.neta = 3, .nobs = 2, .datum = d, .predict = oral_predict, .user = &o};
  dpi_indiv *iv = NULL;
  assert_int_equal(dpi_indiv_create(ctx, &def, &iv), DP_OK);
  assert_int_equal(dpi_indiv_prior(iv, omega), DP_OK);
  double sum = 0, mean[2] = {0}, second[2] = {0}, h = 8.0 / 400;
  for (int i = 0; i < 400; i++)
    for (int j = 0; j < 400; j++) {
      double x[2] = {-4 + (i + .5) * h, -4 + (j + .5) * h}, lp = 0;
      assert_int_equal(target(iv, x, 1, &lp), DP_OK);
      double w = dpi_m_exp(lp) * h * h;
      sum += w;
      for (int a = 0; a < 2; a++) {
        mean[a] += w * x[a];
        second[a] += w * x[a] * x[a];
      }
    }
  double mu[2] = {0, 0}, chol[4] = {.6, 0, 0, .3}, got[2], cov[4];
  dpi_component c = {1, mu, chol};
  dpi_importance_def idef = {.dim = 2,
                             .nproposal = 8000,
                             .max_round = 5,
                             .dof = 5,
                             .seed = 1,
                             .stream = 1,
                             .target = target,
                             .user = iv,
                             .component = &c,
                             .ncomponent = 1};
  dpi_importance im;
  dpi_arena arena;
  dpi_arena_init(&arena, ctx);
  assert_int_equal(dpi_importance_run(&arena, &idef, &im), DP_OK);
  assert_true(im.good);
  moments(&im, 2, got, cov);
  assert_true(fabs(im.evidence - dpi_m_log(sum)) < 0.05);
  for (int a = 0; a < 2; a++) {
    double m = mean[a] / sum, v = second[a] / sum - m * m;
    assert_true(fabs(got[a] - m) < 0.06 * sqrt(v));
    assert_true(fabs(cov[3 * a] / v - 1) < 0.1);
  }
  dpi_arena_release(&arena);
  dpi_indiv_destroy(iv);
  dp_ctx_destroy(ctx);
}

/* f = 0.1 eta_0 + 3 |eta_1 - 0.5| against y = -1: the mode sits on the corner eta_1 = 0.5, where
 * eta_0 = -(0.1/s^2)/(1 + 0.01/s^2) minimises what is left */
static dp_status corner_predict(void *user, const double *eta, bool deriv, dpi_pred *out,
                                bool *ok) {
  (void)user;
  *ok = true;
  out->f[0] = 0.1 * eta[0] + 3 * fabs(eta[1] - 0.5);
  out->s[0] = 0.5;
  if (!deriv) return DP_OK;
  out->df[0] = 0.1;
  out->df[1] = eta[1] > 0.5 ? 3 : -3;
  out->ds[0] = out->ds[1] = 0;
  return DP_OK;
}

static void test_corner(void **state) {
  (void)state;
  dp_ctx *ctx = test_ctx(1);
  dpi_datum d = {-1, 0, 0, 0, false, NULL};
  dpi_indiv_def def = {.neta = 2, .nobs = 1, .datum = &d, .predict = corner_predict};
  dpi_indiv *iv = NULL;
  double one[4] = {1, 0, 0, 1}, x[2];
  dpi_mode mode;
  int n = 0;
  assert_int_equal(dpi_indiv_create(ctx, &def, &iv), DP_OK);
  assert_int_equal(dpi_indiv_prior(iv, one), DP_OK);
  dpi_mode_def md = dpi_mode_def_default();
  assert_int_equal(
      dpi_mode_multi(iv, &md, NULL, 3, dpi_rng_make(1, 2, DPI_RNG_START), 1, x, &mode, &n), DP_OK);
  assert_int_equal(n, 1);
  assert_true(mode.converged && mode.kink);
  assert_true(fabs(x[1] - 0.5) < 1e-6);
  assert_true(fabs(x[0] + 0.4 / 1.04) < 1e-3);
  dpi_indiv_destroy(iv);
  dp_ctx_destroy(ctx);
}

/* ln p of a standard normal that is impossible below the limit */
static dp_status cut_target(void *user, const double *x, int n, double *logp) {
  for (int k = 0; k < n; k++) logp[k] = x[k] < *(double *)user ? -INFINITY : -0.5 * x[k] * x[k];
  return DP_OK;
}

/* Few possible draws: the smoothed tail reaches impossible ones, which must not be given weight. */
static void test_impossible_draws(void **state) {
  (void)state;
  dp_ctx *ctx = test_ctx(1);
  double limit = 1.1, mu = 0, one = 1;
  dpi_component c = {1, &mu, &one};
  dpi_importance_def def = {.dim = 1,
                            .nproposal = 100,
                            .max_round = 1,
                            .dof = 5,
                            .stream = 4,
                            .target = cut_target,
                            .user = &limit,
                            .component = &c,
                            .ncomponent = 1};
  int few = 0;
  for (def.seed = 1; def.seed <= 30; def.seed++) {
    dpi_arena arena;
    dpi_importance im;
    double sum = 0;
    int npossible = 0;
    dpi_arena_init(&arena, ctx);
    assert_int_equal(dpi_importance_run(&arena, &def, &im), DP_OK);
    for (int i = 0; i < im.n; i++) {
      npossible += im.x[i] >= limit;
      sum += im.weight[i];
      if (im.x[i] < limit) assert_true(im.weight[i] == 0);
    }
    few += npossible > 0 && npossible < 20;
    assert_true(fabs(sum - 1) < 1e-12);
    dpi_arena_release(&arena);
  }
  assert_true(few > 10);
  dp_ctx_destroy(ctx);
}

static void test_resample(void **state) {
  (void)state;
  static const double w[4] = {.1, 0, .5, .4};
  int index[10], count[4] = {0};
  dpi_resample(w, 4, 0.3, 10, index);
  for (int k = 0; k < 10; k++) count[index[k]]++;
  assert_int_equal(count[0], 1);
  assert_int_equal(count[1], 0);
  assert_int_equal(count[2], 5);
  assert_int_equal(count[3], 4);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_linear_gaussian),  cmocka_unit_test(test_importance_linear),
      cmocka_unit_test(test_two_modes),        cmocka_unit_test(test_corner),
      cmocka_unit_test(test_logdet_gradient),  cmocka_unit_test(test_against_quadrature),
      cmocka_unit_test(test_impossible_draws), cmocka_unit_test(test_resample)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
