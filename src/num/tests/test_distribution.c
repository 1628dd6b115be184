/* Distributions against mpmath's values with 60 digits (num_reference.h) and against each other's
 * inverses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "num/num.h"
#include "num_reference.h"

/* relative difference, absolute below the normal numbers */
static void near_(const char *what, double at, double x, double ref, double tol) {
  double err = fabs(x - ref);
  bool ok = x == ref || err <= tol * fabs(ref) || (fabs(ref) < 1e-307 && err < 1e-321);
  if (!ok)
    fail_msg("%s at %g: found %.17g, expected %.17g (%.2g)", what, at, x, ref, err / fabs(ref));
}

static void test_normal(void **state) {
  (void)state;
  for (int i = 0; i < DPI_COUNT(ref_normal_table); i++) {
    const ref_normal *r = &ref_normal_table[i];
    near_("pdf", r->z, dpi_norm_pdf(r->z), r->pdf, 1e-15);
    near_("cdf", r->z, dpi_norm_cdf(r->z), r->cdf, 5e-15);
    near_("logcdf", r->z, dpi_norm_logcdf(r->z), r->logcdf, 1e-14);
    near_("hazard", r->z, dpi_norm_hazard(r->z), r->hazard, 5e-15);
  }
  assert_true(dpi_norm_cdf(-INFINITY) == 0.0 && dpi_norm_cdf(INFINITY) == 1.0);
  assert_true(dpi_norm_logcdf(-INFINITY) == -INFINITY && dpi_norm_logcdf(INFINITY) == 0.0);
  assert_true(isnan(dpi_norm_cdf(NAN)) && isnan(dpi_norm_logcdf(NAN)) &&
              isnan(dpi_norm_hazard(NAN)));
  assert_true(dpi_norm_hazard(INFINITY) == 0.0 && dpi_norm_hazard(-INFINITY) == INFINITY);
}

/* the two branches meet: no step where the tail begins */
static void test_continuous(void **state) {
  (void)state;
  double at = -4.0, below = nextafter(at, -5.0);
  near_("cdf seam", at, dpi_norm_cdf(below), dpi_norm_cdf(at), 1e-14);
  near_("logcdf seam", at, dpi_norm_logcdf(below), dpi_norm_logcdf(at), 1e-15);
  near_("hazard seam", at, dpi_norm_hazard(below), dpi_norm_hazard(at), 1e-14);
}

static void test_quantile(void **state) {
  (void)state;
  for (int i = 0; i < DPI_COUNT(ref_quantile_table); i++) {
    near_("quantile", ref_quantile_table[i][0], dpi_norm_quantile(ref_quantile_table[i][0]),
          ref_quantile_table[i][1], 1e-15);
  }
  assert_true(dpi_norm_quantile(0.0) == -INFINITY && dpi_norm_quantile(1.0) == INFINITY);
  assert_true(isnan(dpi_norm_quantile(-0.1)) && isnan(dpi_norm_quantile(1.1)) &&
              isnan(dpi_norm_quantile(NAN)));
}

/* hazard is the derivative of logcdf: central differences */
static void test_hazard_derivative(void **state) {
  (void)state;
  for (double z = -40.0; z < 5.0; z += 0.7) {
    double h = 1e-5 * (1.0 + fabs(z)),
           d = (dpi_norm_logcdf(z + h) - dpi_norm_logcdf(z - h)) / (2 * h);
    assert_true(fabs(d - dpi_norm_hazard(z)) < 1e-7 * (1e-3 + fabs(d)));
  }
}

static void test_gamma(void **state) {
  (void)state;
  for (int i = 0; i < DPI_COUNT(ref_gamma_table); i++) {
    const double *r = ref_gamma_table[i];
    near_("gamma_p", r[1], dpi_gamma_p(r[0], r[1]), r[2], 1e-13);
  }
  for (int i = 0; i < DPI_COUNT(ref_chi2_table); i++) {
    const double *r = ref_chi2_table[i];
    near_("chi2_quantile", r[0], dpi_chi2_quantile(r[0], r[1]), r[2], 1e-13);
  }
  assert_true(dpi_gamma_p(2.0, 0.0) == 0.0 && dpi_gamma_p(2.0, INFINITY) == 1.0);
  assert_true(isnan(dpi_gamma_p(-1.0, 1.0)) && isnan(dpi_gamma_p(1.0, -1.0)) &&
              isnan(dpi_gamma_p(1.0, NAN)));
  assert_true(isnan(dpi_chi2_quantile(0.5, -1.0)) && isnan(dpi_chi2_quantile(1.5, 1.0)));
}

static void test_beta(void **state) {
  (void)state;
  for (int i = 0; i < DPI_COUNT(ref_beta_table); i++) {
    const double *r = ref_beta_table[i];
    near_("beta_cdf", r[0], dpi_beta_cdf(r[0], r[1], r[2]), r[3], 2e-13);
  }
  assert_true(dpi_beta_cdf(-1.0, 2.0, 3.0) == 0.0 && dpi_beta_cdf(2.0, 2.0, 3.0) == 1.0);
  assert_true(isnan(dpi_beta_cdf(0.5, 0.0, 1.0)) && isnan(dpi_beta_quantile(0.5, 1.0, -1.0)));
  assert_true(dpi_beta_quantile(0.0, 2.0, 3.0) == 0.0 && dpi_beta_quantile(1.0, 2.0, 3.0) == 1.0);
}

/* the quantile inverts the distribution function over a wide range of shapes */
static void test_inverse(void **state) {
  (void)state;
  static const double shape[] = {0.02, 0.3, 1, 1.7, 12, 340, 5000},
                      prob[] = {1e-8, 0.01, 0.3, 0.5, 0.9, 0.999};
  for (int i = 0; i < DPI_COUNT(shape); i++) {
    for (int k = 0; k < DPI_COUNT(prob); k++) {
      double x = dpi_chi2_quantile(prob[k], 2.0 * shape[i]);
      near_("chi2 inverse", shape[i], dpi_gamma_p(shape[i], 0.5 * x),
            x > 0.0 && x < 1e-300 ? dpi_gamma_p(shape[i], 0.5 * x) : prob[k], 1e-12);
      for (int j = 0; j < DPI_COUNT(shape); j++) {
        x = dpi_beta_quantile(prob[k], shape[i], shape[j]);
        assert_true(x >= 0.0 && x <= 1.0);
        /* the double nearest to the quantile limits what its probability can be */
        double low =
            dpi_beta_cdf(nextafter(nextafter(nextafter(x, 0.0), 0.0), 0.0), shape[i], shape[j]);
        double high =
            dpi_beta_cdf(nextafter(nextafter(nextafter(x, 1.0), 1.0), 1.0), shape[i], shape[j]);
        double slack = 1e-12 * prob[k];
        if (x < 1e-300) continue;
        if (!(low - slack <= prob[k] && prob[k] <= high + slack)) {
          fail_msg("beta quantile(%g; %g, %g) = %.17g: [%.17g, %.17g]", prob[k], shape[i], shape[j],
                   x, low, high);
        }
      }
    }
  }
}

static void test_binomial(void **state) {
  (void)state;
  for (int i = 0; i < DPI_COUNT(ref_binomial_table); i++) {
    const double *r = ref_binomial_table[i];
    double lower, upper;
    dpi_binomial_bounds(r[0], r[1], r[2], &lower, &upper);
    near_("lower bound", r[0], lower, r[3], 1e-12);
    near_("upper bound", r[0], upper, r[4], 1e-12);
  }
}

/* exact coverage by summing the binomial law: never below the confidence */
static void test_coverage(void **state) {
  (void)state;
  enum { N = 25 };
  for (double p = 0.02; p < 1.0; p += 0.07) {
    double covered = 0.0, prob = pow(1 - p, N);
    for (int k = 0; k <= N; k++) {
      double lower, upper;
      dpi_binomial_bounds(k, N, 0.9, &lower, &upper);
      if (lower <= p && p <= upper) covered += prob;
      prob *= p / (1 - p) * (N - k) / (k + 1);
    }
    assert_true(covered >= 0.9);
  }
}

static void test_student(void **state) {
  (void)state;
  for (int i = 0; i < DPI_COUNT(ref_t_table); i++) {
    const double *r = ref_t_table[i];
    near_("t_logpdf", r[2], dpi_t_logpdf(r[0], (int)r[1], r[2]), r[3], 1e-14);
  }
  /* no end of freedom is the normal law */
  assert_true(fabs(dpi_t_logpdf(4.0, 1, INFINITY) - log(dpi_norm_pdf(2.0))) < 1e-14);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_normal),   cmocka_unit_test(test_continuous),
      cmocka_unit_test(test_quantile), cmocka_unit_test(test_hazard_derivative),
      cmocka_unit_test(test_gamma),    cmocka_unit_test(test_beta),
      cmocka_unit_test(test_inverse),  cmocka_unit_test(test_binomial),
      cmocka_unit_test(test_coverage), cmocka_unit_test(test_student),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
