/* Independent comparison: gradients with Richardson-extrapolated differences, Fisher matrix and M3 with the formulas
 * written out, objective, mode and covariance of one person with NONMEM 7.4.4's printed result (FOCE with
 * interaction). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "closed_form.h"

static const double T[] = {1.5, 4.4, 7.1, 24.6}, DOSE_T[] = {0}, DOSE[] = {10000};

static oral run001(void) {
  oral o = {.nobs = 4,
            .ndose = 1,
            .t = T,
            .dose_t = DOSE_T,
            .dose = DOSE,
            .cl = 4,
            .v = 70,
            .ka = 1,
            .prop = sqrt(0.05)};
  return o;
}

static const double OMEGA[9] = {.2, 0, 0, 0, .2, 0, 0, 0, .2};

static dpi_indiv *make(dp_ctx *ctx, oral *o, const dpi_datum *d, bool disc) {
  dpi_indiv *iv = NULL;
  dpi_indiv_def def = {.neta = 3,
                       .nobs = o->nobs,
                       .datum = d,
                       .predict = oral_predict,
                       .user = o,
                       .discrepancy = disc,
                       .discrepancy_sd = 0.2,
                       .discrepancy_tau = 5};
  assert_int_equal(dpi_indiv_create(ctx, &def, &iv), DP_OK);
  assert_int_equal(dpi_indiv_prior(iv, OMEGA), DP_OK);
  return iv;
}

static double value(dpi_indiv *iv, const double *x, int k, double h) {
  double y[8];
  bool ok;
  dpi_point pt = {0, NULL, NULL};
  memcpy(y, x, sizeof(double) * (size_t)iv->dim);
  y[k] += h;
  assert_int_equal(dpi_indiv_eval(iv, y, false, &pt, &ok), DP_OK);
  assert_true(ok);
  return pt.l;
}

/* central differences, extrapolated twice */
static double richardson(dpi_indiv *iv, const double *x, int k) {
  double h = 0.02, d[3];
  for (int i = 0; i < 3; i++, h *= 0.5) d[i] = (value(iv, x, k, h) - value(iv, x, k, -h)) / (2 * h);
  double e0 = (4 * d[1] - d[0]) / 3, e1 = (4 * d[2] - d[1]) / 3;
  return (16 * e1 - e0) / 15;
}

static void check_gradient(dpi_indiv *iv, const double *x) {
  double g[8], fisher[64];
  bool ok;
  dpi_point pt = {0, g, fisher};
  assert_int_equal(dpi_indiv_eval(iv, x, true, &pt, &ok), DP_OK);
  assert_true(ok);
  assert_true(fabs(pt.l - value(iv, x, 0, 0)) < 1e-12 * (1 + fabs(pt.l)));
  for (int k = 0; k < iv->dim; k++) {
    double r = richardson(iv, x, k);
    if (fabs(g[k] - r) > 1e-7 * (1 + fabs(r)))
      fail_msg("gradient %d: %.12g, differences %.12g", k, g[k], r);
  }
}

static void test_gradients(void **state) {
  (void)state;
  dp_ctx *ctx = test_ctx(1);
  static const double eta[][4] = {
      {0, 0, 0, -2}, {.4, .1, -.1, -1}, {-.7, .5, .9, -3}, {1.2, -.8, -1.5, -1.5}};
  static const double y[] = {91.2904, 110.826, 79.384, 20.6671};
  for (int variant = 0; variant < 16; variant++) {
    oral o = run001();
    dpi_datum d[4];
    if (variant & 1) o.add = 3;
    for (int i = 0; i < 4; i++) {
      d[i] = (dpi_datum){y[i], T[i], 0, i / 2 * ((variant >> 3) & 1), (variant & 2) != 0, NULL};
      if ((variant & 4) && i == 3) d[i].censored = 1;
      if ((variant & 4) && i == 0) d[i].censored = -1;
      if (d[i].log) d[i].y = dpi_m_log(d[i].y);
    }
    for (int disc = 0; disc < 2; disc++) {
      dpi_indiv *iv = make(ctx, &o, d, disc);
      for (int k = 0; k < 4; k++) check_gradient(iv, eta[k]);
      dpi_indiv_destroy(iv);
    }
  }
  dp_ctx_destroy(ctx);
}

static void test_fisher_formula(void **state) {
  (void)state;
  dp_ctx *ctx = test_ctx(1);
  oral o = run001();
  o.add = 2;
  dpi_datum d[4];
  for (int i = 0; i < 4; i++) d[i] = (dpi_datum){50, T[i], 0, 0, false, NULL};
  dpi_indiv *iv = make(ctx, &o, d, false);
  double x[3] = {.3, -.2, .1}, g[3], fisher[9];
  bool ok;
  dpi_point pt = {0, g, fisher};
  assert_int_equal(dpi_indiv_eval(iv, x, true, &pt, &ok), DP_OK);
  for (int a = 0; a < 3; a++)
    for (int b = 0; b < 3; b++) {
      double want = a == b ? 5.0 : 0;
      for (int i = 0; i < 4; i++) {
        double c = iv->pred.f[i], v = o.prop * o.prop * c * c + o.add * o.add,
               J1 = iv->pred.df[3 * i + a], J2 = iv->pred.df[3 * i + b],
               dv1 = 2 * o.prop * o.prop * c * J1, dv2 = 2 * o.prop * o.prop * c * J2;
        want += J1 * J2 / v + 0.5 * dv1 * dv2 / (v * v);
      }
      assert_true(fabs(fisher[3 * a + b] - want) < 1e-12 * (1 + fabs(want)));
    }
  dpi_indiv_destroy(iv);
  dp_ctx_destroy(ctx);
}

/* M3: a censored value counts -2 ln Phi((limit - f)/s), nothing else changes */
static void test_m3(void **state) {
  (void)state;
  dp_ctx *ctx = test_ctx(1);
  oral o = run001();
  dpi_datum d[4];
  for (int i = 0; i < 4; i++) d[i] = (dpi_datum){50, T[i], 0, 0, false, NULL};
  d[3].y = 12;
  d[3].censored = 1;
  dpi_indiv *iv = make(ctx, &o, d, false);
  double x[3] = {.3, -.2, .1}, want = 0;
  double got = value(iv, x, 0, 0);
  for (int i = 0; i < 3; i++) {
    double z = (50 - iv->pred.f[i]) / iv->pred.s[i];
    want += z * z + 2 * dpi_m_log(iv->pred.s[i]);
  }
  double u = (12 - iv->pred.f[3]) / iv->pred.s[3];
  want += -2 * dpi_m_log(0.5 * dpi_m_erfc(-u / sqrt(2.0)));
  for (int a = 0; a < 3; a++) want += x[a] * x[a] / .2;
  assert_true(fabs(got - want) < 1e-10);
  assert_int_equal(dpi_indiv_nmeasured(iv), 3);
  dpi_indiv_destroy(iv);
  dp_ctx_destroy(ctx);
}

/* Subject 1 of run 001: NONMEM 7.4.4, FOCE with interaction */
static void test_nonmem_subject(void **state) {
  (void)state;
  dp_ctx *ctx = test_ctx(1);
  oral o = run001();
  static const double y[] = {91.2904, 110.826, 79.384, 20.6671};
  static const double eta[] = {4.05058386E-001, 7.28505976E-002, -7.49540941E-002};
  static const double etc[] = {1.28120118E-002, 5.40868557E-003, 4.69547364E-004,
                               5.40868557E-003, 2.31664035E-002, 2.19133609E-002,
                               4.69547364E-004, 2.19133609E-002, 1.25252672E-001};
  dpi_datum d[4];
  for (int i = 0; i < 4; i++) d[i] = (dpi_datum){y[i], T[i], 0, 0, false, NULL};
  dpi_indiv *iv = make(ctx, &o, d, false);
  double g[3], fisher[9], c[9];
  bool ok;
  dpi_point pt = {0, g, fisher};
  assert_int_equal(dpi_indiv_eval(iv, eta, true, &pt, &ok), DP_OK);
  assert_true(dpi_chol(fisher, 3));
  double obj = pt.l + iv->logdet + dpi_chol_logdet(fisher, 3);
  assert_true(fabs(obj - 27.967767051231519) < 1e-5);
  dpi_chol_inverse(fisher, 3, c);
  for (int k = 0; k < 9; k++) assert_true(fabs(c[k] - etc[k]) < 1e-6);
  double x[3] = {0, 0, 0};
  dpi_mode mode;
  dpi_mode_def def = dpi_mode_def_default();
  assert_int_equal(dpi_mode_find(iv, &def, x, &mode), DP_OK);
  assert_true(mode.converged);
  assert_true(mode.l <= pt.l + 1e-9);
  for (int k = 0; k < 3; k++) assert_true(fabs(x[k] - eta[k]) < 1e-5);
  /* the work of it: a slower search fails */
  assert_true(iv->neval < 20);
  dpi_indiv_destroy(iv);
  dp_ctx_destroy(ctx);
}

static void test_fixed_effect_and_bad_prior(void **state) {
  (void)state;
  dp_ctx *ctx = test_ctx(1);
  oral o = run001();
  dpi_datum d[4];
  for (int i = 0; i < 4; i++) d[i] = (dpi_datum){50, T[i], 0, 0, false, NULL};
  dpi_indiv *iv = make(ctx, &o, d, false);
  static const double singular[9] = {.2, 0, 0, 0, 0, 0, 0, 0, .2},
                      negative[9] = {.2, 0, 0, 0, -1, 0, 0, 0, .2},
                      broken[9] = {.2, .3, 0, .3, .2, 0, 0, 0, .2};
  assert_int_equal(dpi_indiv_prior(iv, singular), DP_OK);
  assert_int_equal(iv->dim, 2);
  double x[2] = {.1, .2}, eta[3];
  dpi_indiv_eta(iv, x, eta);
  assert_true(eta[0] == .1 && eta[1] == 0 && eta[2] == .2);
  assert_int_equal(dpi_indiv_prior(iv, negative), DP_ERR_INPUT);
  dp_ctx_clear_error(ctx);
  assert_int_equal(dpi_indiv_prior(iv, broken), DP_ERR_INPUT);
  dpi_indiv_destroy(iv);
  dp_ctx_destroy(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_gradients), cmocka_unit_test(test_fisher_formula),
      cmocka_unit_test(test_m3), cmocka_unit_test(test_nonmem_subject),
      cmocka_unit_test(test_fixed_effect_and_bad_prior)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
