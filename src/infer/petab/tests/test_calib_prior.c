/* Independent comparison: densities integrate to one, quantiles invert them, derivatives against differences, some values of
 * SciPy 1.14 (stats). */
#include "calib_rig.h"

typedef struct law {
  dpi_law_kind kind;
  double a, b, lower, upper;
} law;

static const law LAWS[] = {
    {DPI_LAW_UNIFORM, 2, 8, 0, 10},
    {DPI_LAW_NORMAL, 4, 2, 0, 10},
    {DPI_LAW_LAPLACE, 3, 5, 0, 10},
    {DPI_LAW_CAUCHY, 3, 5, -4, 10},
    {DPI_LAW_CHISQUARE, 4, 0, 0, 10},
    {DPI_LAW_EXPONENTIAL, 3, 0, 0, 10},
    {DPI_LAW_GAMMA, 3, 5, 0, 10},
    {DPI_LAW_RAYLEIGH, 3, 0, 0, 10},
    {DPI_LAW_LOG_NORMAL, 1, 0.5, 0.1, 10},
    {DPI_LAW_LOG_LAPLACE, 1, 0.5, 0.1, 10},
    {DPI_LAW_LOG_UNIFORM, 0, 2, 0.5, 7},
    {DPI_LAW_NORMAL, 0, 1, 8, 9},
    {DPI_LAW_LOG_NORMAL, 0, 1, 0, INFINITY},
    {DPI_LAW_LAPLACE, 0, 1, 30, INFINITY},
};

static double density(const dpi_law *l, double v) {
  double a, b;
  const double ln = dpi_law_log(l, v, &a, &b);
  return isfinite(ln) ? exp(ln) : 0;
}

/* Simpson's rule between two numbers. */
static double integral(const dpi_law *l, double from, double to) {
  const int n = 20000;
  double sum = density(l, from) + density(l, to);
  for (int i = 1; i < n; i++) sum += (i % 2 ? 4 : 2) * density(l, from + (to - from) * i / n);
  return sum * (to - from) / (3 * n);
}

static void test_laws(void **state) {
  (void)state;
  for (int i = 0; i < DPI_COUNT(LAWS); i++) {
    const law *w = &LAWS[i];
    dpi_law l;
    char why[160];
    assert_true(dpi_law_init(&l, w->kind, w->a, w->b, w->lower, w->upper, why));
    const double lower = w->lower > 0 || w->lower < 0 ? w->lower : 1e-9,
                 upper = isinf(w->upper) ? w->lower + 200 : w->upper;
    const double whole = integral(&l, lower, upper);
    if (fabs(whole - 1) > 2e-3) fail_msg("law %d: its integral is %.9g", i, whole);
    for (double p = 0.1; p < 1; p += 0.2) {
      const double v = dpi_law_quantile(&l, p), part = integral(&l, lower, v);
      if (fabs(part - p) > 2e-3) fail_msg("law %d: below the quantile of %g lies %.9g", i, p, part);
      double d1, d2, e1, e2, f1, f2;
      const double h = 1e-5 * (1 + fabs(v));
      const double here = dpi_law_log(&l, v, &d1, &d2), up = dpi_law_log(&l, v + h, &e1, &e2),
                   down = dpi_law_log(&l, v - h, &f1, &f2);
      if (!isfinite(up) || !isfinite(down)) continue;
      check_near("slope", d1, (up - down) / (2 * h), 1e-6);
      check_near("curvature", d2, (e1 - f1) / (2 * h), 1e-6);
      assert_true(isfinite(here));
    }
    assert_true(isinf(dpi_law_log(&l, w->lower - 0.1, &(double){0}, &(double){0})));
  }
}

static void test_values(void **state) {
  (void)state;
  static const struct {
    law w;
    double v, ln;
  } known[] = {
      {{DPI_LAW_CAUCHY, 3, 5, -INFINITY, INFINITY}, 5, -2.9025878034017723},
      {{DPI_LAW_GAMMA, 3, 5, 0, INFINITY}, 5, -3.3025850929940455},
      {{DPI_LAW_RAYLEIGH, 3, 0, 0, INFINITY}, 5, -1.9766755537910052},
      {{DPI_LAW_CHISQUARE, 4, 0, 0, INFINITY}, 5, -2.2768564486857903},
  };
  for (int i = 0; i < DPI_COUNT(known); i++) {
    dpi_law l;
    char why[160];
    double d1, d2;
    const law *w = &known[i].w;
    assert_true(dpi_law_init(&l, w->kind, w->a, w->b, w->lower, w->upper, why));
    check_near("density", dpi_law_log(&l, known[i].v, &d1, &d2), known[i].ln, 1e-14);
  }
}

static void test_bad(void **state) {
  (void)state;
  dpi_law l;
  char why[160];
  assert_false(dpi_law_init(&l, DPI_LAW_NORMAL, 0, 0, -1, 1, why));
  assert_non_null(strstr(why, "scale"));
  assert_false(dpi_law_init(&l, DPI_LAW_UNIFORM, 3, 2, -1, 1, why));
  assert_false(dpi_law_init(&l, DPI_LAW_UNIFORM, 3, 4, -1, 1, why));
  assert_non_null(strstr(why, "leaves nothing"));
  assert_false(dpi_law_init(&l, DPI_LAW_GAMMA, -1, 2, 0, 1, why));
  assert_false(dpi_law_init(&l, DPI_LAW_NORMAL, NAN, 1, 0, 1, why));
}

/* Noise: derivatives against differences, information against the mean of the squared derivative by quadrature. */
static void test_noise(void **state) {
  (void)state;
  for (int kind = DPI_NOISE_NORMAL; kind <= DPI_NOISE_LOG10_LAPLACE; kind++) {
    const double y = 1.7, s = 0.3, h = 1e-6;
    double mass = 0, iy = 0, is = 0;
    dpi_noise_value v, a, b;
    const bool log = kind % 3 != 0;
    for (double u = -12; u < 15; u += 0.001) { /* m, or ln m */
      const double m = log ? exp(u) : u, dm = 0.001 * (log ? m : 1);
      if (!dpi_noise_eval((dpi_noise)kind, m, y, s, &v)) fail_msg("noise %d at %g", kind, m);
      mass += exp(v.ln) * dm;
      iy += exp(v.ln) * v.dy * v.dy * dm;
      is += exp(v.ln) * v.ds * v.ds * dm;
    }
    check_near("mass", mass, 1, 1e-4);
    check_near("information about y", iy, v.iy, 1e-3);
    check_near("information about s", is, v.is, 1e-3);
    assert_true(dpi_noise_eval((dpi_noise)kind, 2.2, y, s, &v));
    assert_true(dpi_noise_eval((dpi_noise)kind, 2.2, y + h, s, &a) &&
                dpi_noise_eval((dpi_noise)kind, 2.2, y - h, s, &b));
    check_near("by y", v.dy, (a.ln - b.ln) / (2 * h), 1e-7);
    assert_true(dpi_noise_eval((dpi_noise)kind, 2.2, y, s + h, &a) &&
                dpi_noise_eval((dpi_noise)kind, 2.2, y, s - h, &b));
    check_near("by s", v.ds, (a.ln - b.ln) / (2 * h), 1e-7);
    assert_false(dpi_noise_eval((dpi_noise)kind, 2.2, y, 0, &v));
    assert_false(dpi_noise_eval((dpi_noise)kind, 2.2, NAN, s, &v));
    assert_int_equal(dpi_noise_eval((dpi_noise)kind, 2.2, -1, s, &v), kind % 3 == 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_laws), cmocka_unit_test(test_values),
                                     cmocka_unit_test(test_bad), cmocka_unit_test(test_noise)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
