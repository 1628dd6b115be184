/* Independent comparison: draws of the discrepancy against Gaussian conditioning written out for one measured value; a
 * censored value's slopes against differences, with more effects than any small buffer holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "closed_form.h"

enum { NDRAW = 20000 };

/* mean, variances and covariance of two asked values over many draws */
static void moments(const dpi_disc_draw_def *q, double mean[2], double cov[3]) {
  double *work = malloc(dpi_disc_draw_work(q->n, q->m) * sizeof *work);
  double sum[2] = {0}, square[3] = {0};
  dpi_rng rng = dpi_rng_make(3, 1, DPI_RNG_DISCREPANCY);
  for (int k = 0; k < NDRAW; k++) {
    double d[2];
    assert_true(dpi_disc_draw(q, &rng, work, d));
    for (int a = 0; a < 2; a++) sum[a] += d[a] / NDRAW;
    square[0] += d[0] * d[0] / NDRAW;
    square[1] += d[0] * d[1] / NDRAW;
    square[2] += d[1] * d[1] / NDRAW;
  }
  for (int a = 0; a < 2; a++) mean[a] = sum[a];
  cov[0] = square[0] - sum[0] * sum[0];
  cov[1] = square[1] - sum[0] * sum[1];
  cov[2] = square[2] - sum[1] * sum[1];
  free(work);
}

/* With one residual r: mean c r/(k + s^2), covariance S - c c'/(k + s^2), c and S from the kernel. */
static void test_draw(void **state) {
  (void)state;
  static const double t[] = {2}, resid[] = {1.5}, f[] = {8}, s[] = {.5}, at[] = {2, 5},
                      fstar[] = {8, 3};
  for (int log_scale = 0; log_scale < 2; log_scale++)
    for (int n = 0; n < 2; n++) {
      double delta = .3, tau = 4, u = log_scale ? 1 : 8,
             v[2] = {log_scale ? 1 : 8, log_scale ? 1 : 3};
      dpi_disc_draw_def q = {n, 2, t, resid, f, s, at, fstar, delta, tau, log_scale};
      double mean[2], cov[3], d2 = delta * delta, k = d2 * u * u + .25;
      double c[2] = {d2 * u * v[0], d2 * u * v[1] * exp(-3 / tau)};
      moments(&q, mean, cov);
      double want[3] = {d2 * v[0] * v[0] - n * c[0] * c[0] / k,
                        d2 * v[0] * v[1] * exp(-3 / tau) - n * c[0] * c[1] / k,
                        d2 * v[1] * v[1] - n * c[1] * c[1] / k};
      for (int a = 0; a < 2; a++) /* standard error of the mean .007 sd, of a variance .01 */
        assert_true(fabs(mean[a] - n * c[a] * 1.5 / k) < .03 * sqrt(want[2 * a]));
      for (int a = 0; a < 3; a++)
        assert_true(fabs(cov[a] - want[a]) < .04 * sqrt(want[0] * want[2]));
    }
}

/* a measured value without error at an asked time: the discrepancy there is known */
static void test_draw_known(void **state) {
  (void)state;
  static const double t[] = {2}, resid[] = {1.5}, f[] = {8}, s[] = {1e-6}, at[] = {2, 100},
                      fstar[] = {8, 8};
  dpi_disc_draw_def q = {1, 2, t, resid, f, s, at, fstar, .3, 4, false};
  double mean[2], cov[3];
  moments(&q, mean, cov);
  assert_true(fabs(mean[0] - 1.5) < 1e-3 && cov[0] < 1e-6);
  assert_true(fabs(mean[1]) < .1 && fabs(cov[2] / (.09 * 64) - 1) < .05);
}

enum { NETA = 300 };

/* f = 5 + sum of all effects / 10, s = 1 */
static dp_status sum_predict(void *user, const double *eta, bool deriv, dpi_pred *out, bool *ok) {
  (void)user;
  *ok = true;
  for (int i = 0; i < 2; i++) {
    out->f[i] = 5;
    out->s[i] = 1;
    for (int j = 0; j < NETA; j++) {
      out->f[i] += .1 * eta[j];
      if (deriv) out->df[i * NETA + j] = .1, out->ds[i * NETA + j] = 0;
    }
  }
  return DP_OK;
}

static void test_censored_with_many_effects(void **state) {
  (void)state;
  dp_ctx *ctx = test_ctx(1);
  dpi_datum d[2] = {{4, 1, 0, 0, false, NULL}, {4.5, 2, 1, 0, false, NULL}};
  dpi_indiv_def def = {.neta = NETA,
                       .nobs = 2,
                       .datum = d,
                       .predict = sum_predict,
                       .discrepancy = true,
                       .discrepancy_sd = .2,
                       .discrepancy_tau = 5};
  dpi_indiv *iv = NULL;
  double *omega = calloc(NETA * NETA, sizeof *omega), *fisher = calloc(9, sizeof *fisher);
  assert_int_equal(dpi_indiv_create(ctx, &def, &iv), DP_OK);
  omega[0] = omega[(NETA + 1) * 7] = .3; /* two of them differ */
  assert_int_equal(dpi_indiv_prior(iv, omega), DP_OK);
  assert_int_equal(iv->dim, 3);
  double x[3] = {.4, -.2, log(.15)}, g[3], l[2];
  bool ok = false;
  dpi_point pt = {0, g, fisher};
  assert_int_equal(dpi_indiv_eval(iv, x, true, &pt, &ok), DP_OK);
  assert_true(ok);
  for (int a = 0; a < 3; a++) {
    double at = x[a];
    for (int side = 0; side < 2; side++) {
      dpi_point value = {0, NULL, NULL};
      x[a] = at + (side ? -1e-5 : 1e-5);
      assert_int_equal(dpi_indiv_eval(iv, x, false, &value, &ok), DP_OK);
      l[side] = value.l;
    }
    x[a] = at;
    assert_true(fabs(g[a] - (l[0] - l[1]) / 2e-5) < 1e-6);
  }
  free(omega), free(fisher);
  dpi_indiv_destroy(iv);
  dp_ctx_destroy(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_draw), cmocka_unit_test(test_draw_known),
                                     cmocka_unit_test(test_censored_with_many_effects)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
