/* Errors by Johnson's law, compared with: the density written down again here, differences of values, the mean of
 * second differences over the law, and the normal law that they come to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "infer/infer.h"

enum { N = 8, P = 2 };
static const double T[N] = {0, 1, 1.5, 4, 4.5, 8, 9, 9.5}, TAU = 2.5, GAMMA = -0.6, DELTA = 1.7;
static const int GROUP[N] = {0, 0, 1, 0, 1, 0, 1, 1}; /* two observables, each with a chain of its own */

/* f = 10 exp(eta_0 - 0.3 exp(eta_1) t), s = 0.5 + 0.2 f */
static dp_status predict(void *user, const double *eta, bool deriv, dpi_pred *out, bool *ok) {
  const int n = *(const int *)user;
  for (int i = 0; i < n; i++) {
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

static void near(double x, double want, double tolerance) {
  if (!(fabs(x - want) <= tolerance * (1 + fabs(want)))) fail_msg("found %.15g, expected %.15g", x, want);
}

/* mean and sd of sinh((z - gamma)/delta), by the sum over a grid */
static void moments(double gamma, double delta, double *mean, double *sd) {
  double m = 0, v = 0, all = 0;
  for (int k = -16000; k <= 16000; k++) {
    const double z = k * 0.001, p = exp(-0.5 * z * z), y = sinh((z - gamma) / delta);
    all += p, m += p * y, v += p * y * y;
  }
  *mean = m / all;
  *sd = sqrt(v / all - *mean * *mean);
}

static double z_of(double e, double *ln_slope) {
  double mean, sd;
  moments(GAMMA, DELTA, &mean, &sd);
  const double u = e * sd + mean; /* sinh((z - gamma)/delta) */
  *ln_slope = log(DELTA * sd / sqrt(1 + u * u));
  return GAMMA + DELTA * log(u + sqrt(1 + u * u));
}

static void the_law(void **state) {
  (void)state;
  dpi_johnson law;
  assert_true(dpi_johnson_make(GAMMA, DELTA, &law));
  double mean = 0, v = 0, all = 0, slope, bend, low, high, ln_slope, none;
  for (int k = -8000; k <= 8000; k++) {
    const double z = k * 0.001, p = exp(-0.5 * z * z), e = dpi_johnson_error(&law, z);
    all += p, mean += p * e, v += p * e * e;
    near(dpi_johnson_z(&law, e, &slope, &bend), z, 1e-12);
  }
  near(mean / all, 0, 1e-10);
  near(v / all, 1, 1e-10);
  for (double e = -4; e < 6; e += 0.7) {
    const double z = dpi_johnson_z(&law, e, &slope, &bend);
    near(z, z_of(e, &ln_slope), 1e-9);
    near(slope, exp(ln_slope), 1e-9);
    const double above = dpi_johnson_z(&law, e + 1e-5, &high, &none), below = dpi_johnson_z(&law, e - 1e-5, &low, &none);
    near((above - below) / 2e-5, slope, 1e-8);
    near((log(high) - log(low)) / 2e-5, bend, 1e-8);
  }
  assert_false(dpi_johnson_make(0, 0, &law));
  assert_false(dpi_johnson_make(0, 0.01, &law)); /* exp(10000) */
}

typedef struct problem {
  dp_ctx *ctx;
  dpi_indiv *iv;
  dpi_johnson law;
  dpi_datum datum[N];
  dpi_link link[N];
  int n;
} problem;

/* The first n data, their errors by `law`; those whose bit is set in `beyond` lie below their limits. */
static void open(problem *q, const double *y, int n, bool linked, unsigned beyond) {
  dp_ctx_def context = dp_ctx_def_default();
  assert_int_equal(dp_ctx_create(&context, &q->ctx), DP_OK);
  memset(q->datum, 0, sizeof q->datum);
  q->n = n;
  for (int i = 0; i < n; i++) {
    q->datum[i] = (dpi_datum){
        .y = y[i], .time = T[i], .group = GROUP[i], .censored = beyond >> i & 1, .shape = &q->law};
    q->link[i] = (dpi_link){-1, 0};
    for (int j = 0; j < i; j++)
      if (GROUP[j] == GROUP[i]) q->link[i] = (dpi_link){j, exp((T[j] - T[i]) / TAU)};
  }
  dpi_indiv_def def = {.neta = P, .nobs = n, .datum = q->datum, .link = linked ? q->link : NULL, .predict = predict,
                       .user = &q->n};
  const double omega[P * P] = {0.04, 0, 0, 0.09};
  assert_int_equal(dpi_indiv_create(q->ctx, &def, &q->iv), DP_OK);
  assert_int_equal(dpi_indiv_prior(q->iv, omega), DP_OK);
}

static void close_(problem *q) {
  dpi_indiv_destroy(q->iv);
  dp_ctx_destroy(q->ctx);
}

static double value(problem *q, const double *x) {
  dpi_point pt = {0, NULL, NULL};
  bool ok = false;
  assert_int_equal(dpi_indiv_eval(q->iv, x, false, &pt, &ok), DP_OK);
  assert_true(ok);
  return pt.l;
}

static void slopes(problem *q, const double *x, double *g, double *fisher) {
  dpi_point pt = {0, g, fisher};
  bool ok = false;
  assert_int_equal(dpi_indiv_eval(q->iv, x, true, &pt, &ok), DP_OK);
  assert_true(ok);
  near(pt.l, value(q, x), 1e-14);
}

static const double Y[N] = {9, 7.6, 6, 3.1, 2.2, 1.6, 0.4, 0.3}, X[P] = {0.1, -0.2};

static void values(void **state) {
  (void)state;
  for (int linked = 0; linked < 2; linked++) {
    problem q;
    assert_true(dpi_johnson_make(GAMMA, DELTA, &q.law));
    open(&q, Y, N, linked, 0);
    double c[N * N], z[N], l = X[0] * X[0] / 0.04 + X[1] * X[1] / 0.09, ln_slope;
    const double got = value(&q, X);
    for (int i = 0; i < N; i++) {
      const double f = 10 * exp(X[0] - 0.3 * exp(X[1]) * T[i]), s = 0.5 + 0.2 * f;
      z[i] = z_of((Y[i] - f) / s, &ln_slope);
      l += 2 * log(s) - 2 * ln_slope;
      for (int j = 0; j < N; j++)
        c[i * N + j] = i == j ? 1 : linked && GROUP[i] == GROUP[j] ? exp(-fabs(T[i] - T[j]) / TAU) : 0;
    }
    assert_true(dpi_chol(c, N));
    dpi_tri_solve_lower(c, N, z);
    for (int i = 0; i < N; i++) l += z[i] * z[i];
    near(got, l + dpi_chol_logdet(c, N), 1e-9);
    close_(&q);
  }
}

/* Beyond limits: with z of the limits, the normal law has the same value, but for the shape of what is measured. */
static void limits(void **state) {
  (void)state;
  const unsigned beyond = 1u << 3 | 1u << 6; /* between measured ones */
  problem q, normal;
  double at[N], moved = 0, ln_slope;
  assert_true(dpi_johnson_make(GAMMA, DELTA, &q.law));
  open(&q, Y, N, true, beyond);
  const double got = value(&q, X);
  for (int i = 0; i < N; i++) {
    at[i] = q.iv->pred.f[i] + q.iv->pred.s[i] * z_of((Y[i] - q.iv->pred.f[i]) / q.iv->pred.s[i], &ln_slope);
    if (!(beyond >> i & 1)) moved -= 2 * ln_slope;
  }
  open(&normal, at, N, true, beyond);
  for (int i = 0; i < N; i++) normal.datum[i].shape = NULL;
  near(got, value(&normal, X) + moved, 1e-9);
  close_(&normal);
  close_(&q);
}

static void gradients(void **state) {
  (void)state;
  static const unsigned beyond[] = {0, 1u << 3, 1u << 3 | 1u << 5 | 1u << 6, 1u << 7, 1};
  for (int linked = 0; linked < 2; linked++)
    for (int k = 0; k < DPI_COUNT(beyond); k++) {
      problem q;
      double g[P], fisher[P * P];
      assert_true(dpi_johnson_make(GAMMA, DELTA, &q.law));
      open(&q, Y, N, linked, beyond[k]);
      slopes(&q, X, g, fisher);
      assert_true(fisher[0] > 0 && fisher[3] > 0 && fisher[0] * fisher[3] > fisher[1] * fisher[1]);
      for (int a = 0; a < P; a++) {
        double low[P] = {X[0], X[1]}, high[P] = {X[0], X[1]};
        low[a] -= 1e-5, high[a] += 1e-5;
        near(g[a], (value(&q, high) - value(&q, low)) / 2e-5, 1e-7);
      }
      close_(&q);
    }
}

/* Two data of one chain: the Fisher matrix is the mean of l/2's second differences over what could be measured. */
static void information(void **state) {
  (void)state;
  for (int linked = 0; linked < 2; linked++) {
    problem q;
    double y[2] = {9, 7}, g[P], fisher[P * P], mean[P * P] = {0}, all = 0, f[2], s[2];
    assert_true(dpi_johnson_make(GAMMA, DELTA, &q.law));
    open(&q, y, 2, linked, 0);
    slopes(&q, X, g, fisher);
    memcpy(f, q.iv->pred.f, sizeof f);
    memcpy(s, q.iv->pred.s, sizeof s);
    const double r = linked ? exp(-1 / TAU) : 0, h = 1e-3;
    for (int i = -60; i <= 60; i++)
      for (int j = -60; j <= 60; j++) {
        const double zb = 0.1 * i, v = 0.1 * j, p = exp(-0.5 * (zb * zb + v * v));
        q.datum[0].y = f[0] + s[0] * dpi_johnson_error(&q.law, zb);
        q.datum[1].y = f[1] + s[1] * dpi_johnson_error(&q.law, r * zb + sqrt(1 - r * r) * v);
        all += p;
        for (int a = 0; a < P; a++)
          for (int b = 0; b <= a; b++) {
            double l = 0;
            for (int corner = 0; corner < 4; corner++) {
              double x[P] = {X[0], X[1]};
              const double da = corner & 1 ? h : -h, db = corner & 2 ? h : -h;
              x[a] += da, x[b] += db;
              l += (da > 0) == (db > 0) ? value(&q, x) : -value(&q, x);
            }
            mean[a * P + b] += p * 0.5 * l / (4 * h * h);
          }
      }
    near(fisher[0], mean[0] / all, 1e-5);
    near(fisher[2], mean[2] / all, 1e-5);
    near(fisher[3], mean[3] / all, 1e-5);
    assert_true(fisher[1] == fisher[2]);
    close_(&q);
  }
}

/* delta grows: the normal law, limits and all */
static void comes_to_the_normal(void **state) {
  (void)state;
  static const unsigned beyond[] = {0, 1u << 3 | 1u << 5};
  for (int linked = 0; linked < 2; linked++)
    for (int k = 0; k < DPI_COUNT(beyond); k++) {
      problem q;
      double g[P], fisher[P * P], want_g[P], want[P * P];
      assert_true(dpi_johnson_make(0, 2000, &q.law));
      open(&q, Y, N, linked, beyond[k]);
      slopes(&q, X, g, fisher);
      const double l = value(&q, X);
      for (int i = 0; i < N; i++) q.datum[i].shape = NULL;
      slopes(&q, X, want_g, want);
      near(l, value(&q, X), 1e-5);
      for (int a = 0; a < P; a++) near(g[a], want_g[a], 1e-5);
      /* what is measured after a run: by its own slopes in place of their mean */
      for (int a = 0; a < P * P; a++) near(fisher[a], want[a], linked && beyond[k] ? 0.3 : 1e-5);
      close_(&q);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_law),   cmocka_unit_test(values),
                                     cmocka_unit_test(limits),    cmocka_unit_test(gradients),
                                     cmocka_unit_test(information), cmocka_unit_test(comes_to_the_normal)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
