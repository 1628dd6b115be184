/* calib_noise.c - floor 6: likelihood of one measurement, its derivatives and its expected information.  O
 *
 *     h(m) = h(y) + s e,   h: identity, ln or log10;   e standard normal, or Laplace of scale 1
 *
 *     ln p(m) = ln h'(m) - ln s - r^2/2 - ln(2 pi)/2     r = (h(y) - h(m))/s
 *             = ln h'(m) - ln s - |r| - ln 2
 *
 * Information about h(y): 1/s^2 in both; about s: 2/s^2 (normal), 1/s^2 (Laplace).
 */
#include <math.h>

#include "infer/petab/calib.h"

static const double LN_2PI = 1.8378770664093454836, LN_2 = 0.69314718055994530942, LN_10 = 2.3025850929940456840;

const char *dpi_noise_name(dpi_noise noise) {
  static const char *const name[] = {"normal", "log-normal", "log10-normal", "laplace", "log-laplace", "log10-laplace"};
  return name[noise];
}

bool dpi_noise_eval(dpi_noise noise, double m, double y, double s, dpi_noise_value *out) {
  const int h = noise % 3; /* 0: identity, 1: ln, 2: log10 */
  const bool laplace = noise >= DPI_NOISE_LAPLACE;
  double slope = 1, r;
  if (!(s > 0) || !isfinite(s) || !isfinite(y) || (h > 0 && !(y > 0))) return false;
  if (h == 0) {
    r = (y - m) / s;
  } else {
    slope = 1 / (h == 1 ? y : y * LN_10);
    r = (h == 1 ? dpi_m_log(y) - dpi_m_log(m) : dpi_m_log10(y) - dpi_m_log10(m)) / s;
  }
  const double jacobian = h == 0 ? 0 : -dpi_m_log(h == 1 ? m : m * LN_10);
  out->residual = r;
  out->ln = jacobian - dpi_m_log(s) - (laplace ? fabs(r) + LN_2 : 0.5 * r * r + 0.5 * LN_2PI);
  out->dy = -slope / s * (laplace ? (r > 0) - (r < 0) : r);
  out->ds = ((laplace ? fabs(r) : r * r) - 1) / s;
  out->iy = slope * slope / (s * s);
  out->is = (laplace ? 1 : 2) / (s * s);
  return isfinite(out->ln);
}
