/* Independent comparison: densities of noise integrate to one, derivatives against differences, information by
 * quadrature. */
#include "calib_rig.h"

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
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_noise)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
