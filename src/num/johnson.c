/* johnson.c - floor 1: Johnson's unbounded law (Johnson 1949, Biometrika 36:149), scaled to mean 0 and variance 1
 * (num.h).
 *
 * e = shift + scale sinh((z - gamma)/delta), z standard normal. With w = exp(1/delta^2) the law of sinh has the mean
 * -sqrt(w) sinh(gamma/delta) and the variance (w - 1)(w cosh(2 gamma/delta) + 1)/2.
 */
#include "num/num.h"

#include <math.h>

bool dpi_johnson_make(double gamma, double delta, dpi_johnson *out) {
  const double w = dpi_m_exp(1 / (delta * delta));
  const double variance = 0.5 * dpi_m_expm1(1 / (delta * delta)) * (w * dpi_m_cosh(2 * gamma / delta) + 1);
  *out = (dpi_johnson){.gamma = gamma, .delta = delta, .scale = 1 / sqrt(variance)};
  out->shift = out->scale * sqrt(w) * dpi_m_sinh(gamma / delta);
  return delta > 0 && variance > 0 && isfinite(variance) && isfinite(out->shift);
}

double dpi_johnson_error(const dpi_johnson *law, double z) {
  return law->shift + law->scale * dpi_m_sinh((z - law->gamma) / law->delta);
}

double dpi_johnson_z(const dpi_johnson *law, double error, double *slope, double *bend) {
  const double u = (error - law->shift) / law->scale, root = 1 + u * u;
  const double far = sqrt(root);
  *slope = law->delta / (law->scale * far);
  *bend = -u / (root * law->scale);
  /* asinh at a third of the time of dpi_m_asinh; near 0 what is lost is of the size of z's own rounding, |gamma| or 1 */
  return law->gamma + law->delta * copysign(dpi_m_log(fabs(u) + far), u);
}
