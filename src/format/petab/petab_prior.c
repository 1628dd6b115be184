/* petab_prior.c - floor 3: densities of priors, with derivatives, and the mass that truncation leaves.
 *
 * y = scale(x) is distributed as the family says. The density of x is that of y times dy/dx, unless the prior is on
 * the scale itself. Masses are taken from the nearer tail, so that bounds far out keep their digits.
 */
#include "format/petab/petab_impl.h"

#include <math.h>

#include "num/num.h"

#define LN10 2.302585092994045684
#define LN_SQRT_2PI 0.918938533204672742
#define PI 3.14159265358979323846

double dpi_petab_to_scale(dpi_petab_scale scale, double x) {
  return scale == DPI_PETAB_LIN ? x : scale == DPI_PETAB_LOG ? dpi_m_log(x) : dpi_m_log10(x);
}

double dpi_petab_from_scale(dpi_petab_scale scale, double s) {
  return scale == DPI_PETAB_LIN ? s : scale == DPI_PETAB_LOG ? dpi_m_exp(s) : dpi_m_pow(10.0, s);
}

/* ln density of the family at y, and its derivative */
static double log_density(const dpi_petab_prior *p, double y, double *dy) {
  double a = p->a, b = p->b, z = (y - a) / b;
  *dy = 0.0;
  switch (p->family) {
    case DPI_PETAB_UNIFORM:
      return y >= a && y <= b ? -dpi_m_log(b - a) : -INFINITY;
    case DPI_PETAB_NORMAL:
      *dy = -z / b;
      return -LN_SQRT_2PI - dpi_m_log(b) - 0.5 * z * z;
    case DPI_PETAB_LAPLACE:
      *dy = y > a ? -1.0 / b : y < a ? 1.0 / b : 0.0;
      return -dpi_m_log(2.0 * b) - fabs(z);
    case DPI_PETAB_CAUCHY:
      *dy = -2.0 * z / (b * (1.0 + z * z));
      return -dpi_m_log(PI * b) - dpi_m_log1p(z * z);
    case DPI_PETAB_CHISQUARE: /* gamma of shape a/2 and scale 2 */
      if (y < 0.0) return -INFINITY;
      *dy = (0.5 * a - 1.0) / y - 0.5;
      return (a == 2.0 ? 0.0 : (0.5 * a - 1.0) * dpi_m_log(0.5 * y)) - 0.5 * y - dpi_m_lgamma(0.5 * a) - dpi_m_log(2.0);
    case DPI_PETAB_EXPONENTIAL:
      if (y < 0.0) return -INFINITY;
      *dy = -1.0 / a;
      return -dpi_m_log(a) - y / a;
    case DPI_PETAB_GAMMA:
      if (y < 0.0) return -INFINITY;
      *dy = (a - 1.0) / y - 1.0 / b;
      return (a == 1.0 ? 0.0 : (a - 1.0) * dpi_m_log(y / b)) - y / b - dpi_m_lgamma(a) - dpi_m_log(b);
    case DPI_PETAB_RAYLEIGH:
      if (y < 0.0) return -INFINITY;
      *dy = 1.0 / y - y / (a * a);
      return dpi_m_log(y / (a * a)) - 0.5 * (y / a) * (y / a);
    default:
      return 0.0;
  }
}

double dpi_petab_log_prior(const dpi_petab_prior *p, double x, double *dx) {
  double slope = 0.0, factor = 1.0, jacobian = 0.0;
  if (dx) *dx = 0.0;
  if (p->family == DPI_PETAB_FLAT) return 0.0;
  if (!(x >= p->lower && x <= p->upper)) return x != x ? x : -INFINITY;
  if (p->scale != DPI_PETAB_LIN) {
    if (x <= 0.0) return -INFINITY;
    factor = p->scale == DPI_PETAB_LOG ? 1.0 / x : 1.0 / (x * LN10);
    if (!p->on_scale) jacobian = dpi_m_log(factor);
  }
  double value = log_density(p, dpi_petab_to_scale(p->scale, x), &slope) + jacobian - p->log_mass;
  if (dx && value > -INFINITY) *dx = slope * factor - (p->scale != DPI_PETAB_LIN && !p->on_scale ? 1.0 / x : 0.0);
  return value;
}

/* ---- mass between bounds ---- */

/* Probability below y (upper: above). */
static double tail(const dpi_petab_prior *p, double y, bool upper) {
  double a = p->a, b = p->b, z = (y - a) / b, below;
  switch (p->family) {
    case DPI_PETAB_UNIFORM:
      below = z <= 0.0 ? 0.0 : y >= b ? 1.0 : (y - a) / (b - a);
      break;
    case DPI_PETAB_NORMAL:
      return dpi_norm_cdf(upper ? -z : z);
    case DPI_PETAB_LAPLACE:
      z = upper ? -z : z;
      return z < 0.0 ? 0.5 * dpi_m_exp(z) : 1.0 - 0.5 * dpi_m_exp(-z);
    case DPI_PETAB_CAUCHY: /* arctan 1/z keeps the digits of the far tail */
      z = upper ? -z : z;
      return z < 0.0 ? dpi_m_atan(-1.0 / z) / PI : 0.5 + dpi_m_atan(z) / PI;
    case DPI_PETAB_CHISQUARE:
      below = y <= 0.0 ? 0.0 : y == INFINITY ? 1.0 : dpi_gamma_p(0.5 * a, 0.5 * y);
      break;
    case DPI_PETAB_GAMMA:
      below = y <= 0.0 ? 0.0 : y == INFINITY ? 1.0 : dpi_gamma_p(a, y / b);
      break;
    case DPI_PETAB_EXPONENTIAL:
      if (y <= 0.0) return upper ? 1.0 : 0.0;
      return upper ? dpi_m_exp(-y / a) : -dpi_m_expm1(-y / a);
    default: /* RAYLEIGH */
      if (y <= 0.0) return upper ? 1.0 : 0.0;
      z = 0.5 * (y / a) * (y / a);
      return upper ? dpi_m_exp(-z) : -dpi_m_expm1(-z);
  }
  return upper ? 1.0 - below : below;
}

double petab_log_mass(const dpi_petab_prior *p) {
  if (p->family == DPI_PETAB_FLAT || (p->lower == -INFINITY && p->upper == INFINITY)) return 0.0;
  double low = p->lower, high = p->upper;
  if (p->scale != DPI_PETAB_LIN) {
    if (high <= 0.0) return -INFINITY;
    low = low <= 0.0 ? -INFINITY : dpi_petab_to_scale(p->scale, low);
    high = dpi_petab_to_scale(p->scale, high);
  }
  double above = tail(p, low, true);
  double mass = above < 0.5 ? above - tail(p, high, true) : tail(p, high, false) - tail(p, low, false);
  return mass > 0.0 ? dpi_m_log(mass) : -INFINITY;
}
