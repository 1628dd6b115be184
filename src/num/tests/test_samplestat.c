/* Statistics of samples against their definitions by brute force and closed forms; psis against
 * arviz-stats (num_reference.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "num/num.h"
#include "num_reference.h"

static void test_sum(void **state) {
  (void)state;
  double x[] = {1e16, 1.0, 1.0, -1e16, 1e-3}, inf[] = {1.0, INFINITY, 2.0}, nan[] = {1.0, NAN};
  assert_true(dpi_sum(x, 5) == 2.001);
  assert_true(dpi_sum(inf, 3) == INFINITY);
  assert_true(isnan(dpi_sum(nan, 2)));
  assert_true(dpi_sum(x, 0) == 0.0);
}

/* inputs that break careless quicksorts */
static void fill(double *x, int n, int kind) {
  dpi_rng r = dpi_rng_make(3, (uint64_t)kind, 0);
  for (int i = 0; i < n; i++) {
    switch (kind) {
      case 0:
        x[i] = dpi_rng_normal(&r);
        break;
      case 1:
        x[i] = i;
        break;
      case 2:
        x[i] = n - i;
        break;
      case 3:
        x[i] = i % 3;
        break;
      case 4:
        x[i] = 1.0;
        break;
      case 5:
        x[i] = i < n / 2 ? i : n - i;
        break;
      case 6:
        x[i] = dpi_rng_uniform(&r) < 0.1 ? NAN : dpi_rng_normal(&r);
        break;
      default:
        x[i] = i % 2 ? -INFINITY : INFINITY;
        break;
    }
  }
}

static void test_sort(void **state) {
  (void)state;
  enum { MAX = 5000 };
  static double x[MAX], y[MAX];
  static int order[MAX], seen[MAX];
  static const int size[] = {0, 1, 2, 3, 24, 25, 26, 100, 1000, MAX};
  for (int kind = 0; kind < 8; kind++) {
    for (int k = 0; k < DPI_COUNT(size); k++) {
      int n = size[k];
      fill(x, n, kind);
      memcpy(y, x, sizeof y);
      dpi_argsort(x, n, order);
      dpi_sort(y, n);
      memset(seen, 0, sizeof seen);
      for (int i = 0; i < n; i++) {
        int o = order[i];
        assert_true(o >= 0 && o < n && !seen[o]++);
        assert_true(x[o] == y[i] || (isnan(x[o]) && isnan(y[i])));
        if (i == 0) continue;
        int before = order[i - 1];
        assert_true(x[before] < x[o] || isnan(x[o]) || (x[before] == x[o] && before < o));
        if (isnan(x[before])) assert_true(isnan(x[o]) && before < o);
      }
    }
  }
}

static void test_quantile(void **state) {
  (void)state;
  double x[] = {4, 1, 3, 2}, w[] = {1, 1, 1, 1}, zero[] = {0, 2, 0, 2};
  int order[4];
  dpi_argsort(x, 4, order);
  /* midpoints of equal steps: (k + 1/2) / n, Hazen's definition */
  assert_true(dpi_quantile_weighted(x, NULL, 4, 0.125, order) == 1.0);
  assert_true(dpi_quantile_weighted(x, NULL, 4, 0.5, order) == 2.5);
  assert_true(dpi_quantile_weighted(x, w, 4, 0.5, order) == 2.5);
  assert_true(dpi_quantile_weighted(x, NULL, 4, 0.05, order) == 1.0);
  assert_true(dpi_quantile_weighted(x, NULL, 4, 0.99, order) == 4.0);
  assert_true(dpi_quantile_weighted(x, NULL, 4, 0.0, order) == 1.0);
  assert_true(dpi_quantile_weighted(x, NULL, 4, 1.0, order) == 4.0);
  /* points without weight do not exist: 1 and 2 remain */
  assert_true(dpi_quantile_weighted(x, zero, 4, 0.5, order) == 1.5);
  assert_true(isnan(dpi_quantile_weighted(x, zero, 1, 0.5, NULL)));
  /* scaling all weights by a power of two changes nothing, bit for bit */
  double a[] = {0.1, 0.2, 0.7, 0.4}, b[] = {0.4, 0.8, 2.8, 1.6};
  for (double p = 0.01; p < 1.0; p += 0.01) {
    assert_true(dpi_quantile_weighted(x, a, 4, p, order) ==
                dpi_quantile_weighted(x, b, 4, p, order));
  }
}

/* many equal draws: within sampling error of the normal quantile, error sqrt(p(1-p)/n)/pdf */
static void test_quantile_normal(void **state) {
  (void)state;
  enum { N = 20000 };
  static double x[N];
  dpi_rng r = dpi_rng_make(8, 1, 0);
  for (int i = 0; i < N; i++) x[i] = dpi_rng_normal(&r);
  dpi_sort(x, N);
  for (double p = 0.05; p < 1.0; p += 0.15) {
    double z = dpi_norm_quantile(p), sd = sqrt(p * (1 - p) / N) / dpi_norm_pdf(z);
    assert_true(fabs(dpi_quantile_weighted(x, NULL, N, p, NULL) - z) < 4.0 * sd);
  }
}

/* Gneiting & Raftery 2007 eq. 20 as it stands: E|X - y| - E|X - X'| / 2, all pairs */
static double crps_pairs(const double *x, const double *w, int n, double y) {
  double a = 0, b = 0, t = 0;
  for (int i = 0; i < n; i++) {
    t += w[i];
    a += w[i] * fabs(x[i] - y);
    for (int j = 0; j < n; j++) b += w[i] * w[j] * fabs(x[i] - x[j]);
  }
  return a / t - 0.5 * b / (t * t);
}

static void test_crps(void **state) {
  (void)state;
  enum { N = 300 };
  double x[N], w[N], one[N];
  int order[N];
  dpi_rng r = dpi_rng_make(4, 2, 0);
  for (int i = 0; i < N; i++) {
    x[i] = floor(20.0 * dpi_rng_normal(&r)) / 10.0; /* with ties */
    w[i] = i % 7 == 0 ? 0.0 : dpi_rng_uniform(&r);
    one[i] = 1.0;
  }
  dpi_argsort(x, N, order);
  for (double y = -9.0; y < 9.0; y += 0.35) {
    assert_true(fabs(dpi_crps_sample(x, w, N, y, order) - crps_pairs(x, w, N, y)) < 1e-12);
    assert_true(fabs(dpi_crps_sample(x, NULL, N, y, order) - crps_pairs(x, one, N, y)) < 1e-12);
  }
  double single[] = {3.0};
  assert_true(dpi_crps_sample(single, NULL, 1, 5.5, NULL) == 2.5);
  assert_true(dpi_crps_sample(single, NULL, 1, 1.0, NULL) == 2.0);
  assert_true(isnan(dpi_crps_sample(single, NULL, 0, 1.0, NULL)));
}

/* closed form for the normal law (Gneiting & Raftery 2007): y(2 Phi - 1) + 2 phi - 1/sqrt(pi) */
static void test_crps_normal(void **state) {
  (void)state;
  enum { N = 4000 };
  static double x[N];
  for (int i = 0; i < N; i++) x[i] = dpi_norm_quantile((i + 0.5) / N);
  for (double y = -3.0; y <= 3.0; y += 0.5) {
    double ref =
        y * (2 * dpi_norm_cdf(y) - 1) + 2 * dpi_norm_pdf(y) - 1 / sqrt(3.14159265358979323846);
    assert_true(fabs(dpi_crps_sample(x, NULL, N, y, NULL) - ref) < 2e-4);
  }
}

static void test_ess(void **state) {
  (void)state;
  double equal[] = {2, 2, 2, 2}, one[] = {0, 5, 0}, none[] = {0, 0}, tiny[] = {1e-200, 1e-200};
  assert_true(dpi_ess(equal, 4) == 4.0);
  assert_true(dpi_ess(one, 3) == 1.0);
  assert_true(dpi_ess(none, 2) == 0.0);
  assert_true(dpi_ess(tiny, 2) == 2.0);
}

/* the log weights of the reference: heavy tail by u^-tail with a little noise */
static void log_weights(double *l, int n, double tail) {
  for (int i = 0; i < n; i++) {
    double u = ((double)(((int64_t)i * 7919) % n) + 0.5) / n;
    l[i] = -tail * dpi_m_log(u) + 0.3 * (double)(((int64_t)i * 104729) % n) / n;
  }
}

static void test_psis_reference(void **state) {
  (void)state;
  for (int i = 0; i < DPI_COUNT(ref_psis_table); i++) {
    const ref_psis *r = &ref_psis_table[i];
    static double l[4000], work[8000];
    static int order[4000];
    log_weights(l, r->n, r->tail);
    double k = dpi_psis(l, r->n, work, order);
    if (!(fabs(k - r->khat) < 1e-8))
      fail_msg("n %d tail %g: k %.17g, expected %.17g", r->n, r->tail, k, r->khat);
    for (int j = 0; j < 4; j++) {
      double w = l[r->at[j]];
      if (!(fabs(w - r->w[j]) < 1e-8 * r->w[j]))
        fail_msg("n %d tail %g: w[%d] %.17g, expected %.17g", r->n, r->tail, r->at[j], w, r->w[j]);
    }
  }
}

/* a Pareto tail of known index: w = u^-k with u uniform has shape k */
static void test_psis_shape(void **state) {
  (void)state;
  enum { N = 20000 };
  static double l[N], work[2 * N];
  static int order[N];
  static const double index[] = {0.2, 0.5, 0.7, 1.0};
  for (int j = 0; j < DPI_COUNT(index); j++) {
    dpi_rng r = dpi_rng_make(6, (uint64_t)j, 0);
    for (int i = 0; i < N; i++) l[i] = -index[j] * dpi_m_log(dpi_rng_uniform(&r)) + 700.0;
    double k = dpi_psis(l, N, work, order);
    /* standard error of the shape is (1 + k) / sqrt(tail) */
    assert_true(fabs(k - index[j]) < 4.0 * (1 + index[j]) / sqrt(3.0 * sqrt(N)));
    double s = 0.0;
    for (int i = 0; i < N; i++) {
      assert_true(l[i] > 0.0);
      s += l[i];
    }
    assert_true(fabs(s - 1.0) < 1e-12);
  }
}

static void test_psis_edges(void **state) {
  (void)state;
  double equal[100], work[200], few[3] = {0.0, 1.0, -INFINITY}, none[2] = {-INFINITY, -INFINITY},
                                nan[2] = {0.0, NAN};
  int order[100];
  for (int i = 0; i < 100; i++) equal[i] = -1e4;
  assert_true(dpi_psis(equal, 100, work, order) == INFINITY);
  for (int i = 0; i < 100; i++) assert_true(fabs(equal[i] - 0.01) < 1e-17);
  assert_true(dpi_psis(few, 3, work, order) == INFINITY);
  assert_true(few[2] == 0.0 && fabs(few[1] / few[0] - exp(1.0)) < 1e-15 * 3);
  assert_true(dpi_psis(none, 2, work, order) == INFINITY && none[0] == 0.0);
  assert_true(isnan(dpi_psis(nan, 2, work, order)) && nan[0] == 0.0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sum),        cmocka_unit_test(test_sort),
      cmocka_unit_test(test_quantile),   cmocka_unit_test(test_quantile_normal),
      cmocka_unit_test(test_crps),       cmocka_unit_test(test_crps_normal),
      cmocka_unit_test(test_ess),        cmocka_unit_test(test_psis_reference),
      cmocka_unit_test(test_psis_shape), cmocka_unit_test(test_psis_edges),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
