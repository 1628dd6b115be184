/* Errors correlated in time, compared with: the dense Gaussian law (C_ij = s_i s_j exp(-|t_i - t_j|/tau)), its Fisher
 * matrix by traces, and differences of values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "infer/infer.h"

enum { N = 7, P = 2 };
static const double T[N] = {0, 1, 1.5, 4, 4.5, 8, 9}, Y[N] = {9, 7.6, 6, 3.1, 2.2, 1.6, 0.4}, TAU = 2.5;
static const int GROUP[N] = {0, 0, 1, 0, 1, 0, 1}; /* two observables, each with a chain of its own */

/* f = 10 exp(eta_0 - 0.3 exp(eta_1) t), s = 0.5 + 0.2 f */
static dp_status predict(void *user, const double *eta, bool deriv, dpi_pred *out, bool *ok) {
  (void)user;
  for (int i = 0; i < N; i++) {
    double k = 0.3 * exp(eta[1]), f = 10 * exp(eta[0] - k * T[i]);
    out->f[i] = f;
    out->s[i] = 0.5 + 0.2 * f;
    if (!deriv) continue;
    out->df[i * P] = f;
    out->df[i * P + 1] = -f * k * T[i];
    for (int a = 0; a < P; a++) out->ds[i * P + a] = 0.2 * out->df[i * P + a];
  }
  *ok = true;
  return DP_OK;
}

static double correlation(int i, int j) { return GROUP[i] == GROUP[j] ? exp(-fabs(T[i] - T[j]) / TAU) : 0; }

static void covariance(const dpi_pred *p, double *c) {
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) c[i * N + j] = p->s[i] * p->s[j] * correlation(i, j);
}

static double dense_value(const dpi_pred *p, const double *eta) {
  double c[N * N], r[N], l = 0;
  covariance(p, c);
  assert_true(dpi_chol(c, N));
  for (int i = 0; i < N; i++) r[i] = Y[i] - p->f[i];
  dpi_tri_solve_lower(c, N, r);
  for (int i = 0; i < N; i++) l += r[i] * r[i];
  return l + dpi_chol_logdet(c, N) + eta[0] * eta[0] / 0.04 + eta[1] * eta[1] / 0.09;
}

/* df' C^-1 df + tr(C^-1 dC C^-1 dC)/2 + Omega^-1 */
static void dense_fisher(const dpi_pred *p, double *fisher) {
  double c[N * N], inv[N * N], w[P][N * N];
  covariance(p, c);
  assert_true(dpi_chol(c, N));
  dpi_chol_inverse(c, N, inv);
  for (int a = 0; a < P; a++)
    for (int i = 0; i < N; i++)
      for (int j = 0; j < N; j++) {
        w[a][i * N + j] = 0;
        for (int m = 0; m < N; m++) {
          double dc = (p->ds[m * P + a] * p->s[j] + p->s[m] * p->ds[j * P + a]) * correlation(m, j);
          w[a][i * N + j] += inv[i * N + m] * dc;
        }
      }
  for (int a = 0; a < P; a++)
    for (int b = 0; b < P; b++) {
      double s = a != b ? 0 : a ? 1 / 0.09 : 1 / 0.04;
      for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
          s += p->df[i * P + a] * inv[i * N + j] * p->df[j * P + b] + 0.5 * w[a][i * N + j] * w[b][j * N + i];
      fisher[a * P + b] = s;
    }
}

static void near(double x, double want, double tolerance) {
  if (!(fabs(x - want) <= tolerance * (1 + fabs(want)))) fail_msg("found %.15g, expected %.15g", x, want);
}

static void as_the_dense_law(void **state) {
  (void)state;
  dp_ctx *ctx;
  dp_ctx_def context = dp_ctx_def_default();
  assert_int_equal(dp_ctx_create(&context, &ctx), DP_OK);
  dpi_datum datum[N];
  dpi_link link[N];
  memset(datum, 0, sizeof datum);
  for (int i = 0; i < N; i++) {
    datum[i].y = Y[i], datum[i].time = T[i], datum[i].group = GROUP[i];
    link[i] = (dpi_link){-1, 0};
    for (int j = 0; j < i; j++)
      if (GROUP[j] == GROUP[i]) link[i] = (dpi_link){j, correlation(i, j)};
  }
  dpi_indiv_def def = {.neta = P, .nobs = N, .datum = datum, .link = link, .predict = predict};
  dpi_indiv *iv;
  const double omega[P * P] = {0.04, 0, 0, 0.09};
  double x[P] = {0.1, -0.2}, g[P], fisher[P * P], want[P * P], eta[P];
  assert_int_equal(dpi_indiv_create(ctx, &def, &iv), DP_OK);
  assert_int_equal(dpi_indiv_prior(iv, omega), DP_OK);
  dpi_point pt = {0, g, fisher};
  bool ok = false;
  assert_int_equal(dpi_indiv_eval(iv, x, true, &pt, &ok), DP_OK);
  assert_true(ok);
  near(pt.l, dense_value(&iv->pred, x), 1e-13);
  dense_fisher(&iv->pred, want);
  for (int k = 0; k < P * P; k++) near(fisher[k], want[k], 1e-12);
  for (int a = 0; a < P; a++) {
    double l[2];
    for (int side = 0; side < 2; side++) {
      memcpy(eta, x, sizeof eta);
      eta[a] += side ? 1e-5 : -1e-5;
      dpi_point value = {0, NULL, NULL};
      assert_int_equal(dpi_indiv_eval(iv, eta, false, &value, &ok), DP_OK);
      l[side] = value.l;
    }
    near(g[a], (l[1] - l[0]) / 2e-5, 1e-8);
  }
  /* whitened residuals: r' C^-1 r */
  assert_int_equal(dpi_indiv_eval(iv, x, true, &pt, &ok), DP_OK);
  double c[N * N], r[N], chi2 = 0;
  covariance(&iv->pred, c);
  assert_true(dpi_chol(c, N));
  for (int i = 0; i < N; i++) r[i] = Y[i] - iv->pred.f[i];
  dpi_tri_solve_lower(c, N, r);
  for (int i = 0; i < N; i++) chi2 += r[i] * r[i];
  near(dpi_indiv_chi2(iv, x, &iv->pred), chi2, 1e-13);
  dpi_indiv_destroy(iv);
  dp_ctx_destroy(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(as_the_dense_law)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
