/* petab_prior.c - floor 3: priors of single parameters: densities with derivatives, the mass that truncation
 * leaves, quantiles.
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

static bool of_positive(dpi_petab_family f) {
  return f == DPI_PETAB_CHISQUARE || f == DPI_PETAB_EXPONENTIAL || f == DPI_PETAB_GAMMA || f == DPI_PETAB_RAYLEIGH;
}

/* ---- densities ---- */

/* ln of y^(k) exp(-y/b) / (Gamma(k + 1) b^(k + 1)): gamma, and chi-squared with b = 2. y >= 0 */
static double log_gamma_density(double k, double b, double y, double *d1, double *d2) {
  *d1 = (k == 0.0 ? 0.0 : k / y) - 1.0 / b;
  *d2 = k == 0.0 ? 0.0 : -k / (y * y);
  return (k == 0.0 ? 0.0 : k * dpi_m_log(y / b)) - y / b - dpi_m_lgamma(k + 1.0) - dpi_m_log(b);
}

/* ln density of the family at y, with derivatives. */
static double log_density(const dpi_petab_prior *p, double y, double *d1, double *d2) {
  const double a = p->a, b = p->b, z = (y - a) / b, r = 1.0 + z * z;
  *d1 = *d2 = 0.0;
  if (of_positive(p->family) && y < 0.0) return -INFINITY;
  switch (p->family) {
    case DPI_PETAB_UNIFORM:
      return y >= a && y <= b ? -dpi_m_log(b - a) : -INFINITY;
    case DPI_PETAB_NORMAL:
      *d1 = -z / b;
      *d2 = -1.0 / (b * b);
      return -LN_SQRT_2PI - dpi_m_log(b) - 0.5 * z * z;
    case DPI_PETAB_LAPLACE:
      *d1 = y > a ? -1.0 / b : y < a ? 1.0 / b : 0.0;
      return -dpi_m_log(2.0 * b) - fabs(z);
    case DPI_PETAB_CAUCHY:
      *d1 = -2.0 * z / (b * r);
      *d2 = 2.0 * (z * z - 1.0) / (b * b * r * r);
      return -dpi_m_log(PI * b) - dpi_m_log1p(z * z);
    case DPI_PETAB_CHISQUARE:
      return log_gamma_density(0.5 * a - 1.0, 2.0, y, d1, d2);
    case DPI_PETAB_GAMMA:
      return log_gamma_density(a - 1.0, b, y, d1, d2);
    case DPI_PETAB_EXPONENTIAL:
      *d1 = -1.0 / a;
      return -dpi_m_log(a) - y / a;
    case DPI_PETAB_RAYLEIGH:
      *d1 = 1.0 / y - y / (a * a);
      *d2 = -1.0 / (y * y) - 1.0 / (a * a);
      return dpi_m_log(y / (a * a)) - 0.5 * (y / a) * (y / a);
    default:
      return 0.0;
  }
}

/* The bounds on the prior's scale. */
static void scaled_bounds(const dpi_petab_prior *p, double *low, double *high) {
  *low = p->lower;
  *high = p->upper;
  if (p->scale == DPI_PETAB_LIN) return;
  *low = *low <= 0.0 ? -INFINITY : dpi_petab_to_scale(p->scale, *low);
  *high = *high <= 0.0 ? -INFINITY : dpi_petab_to_scale(p->scale, *high);
}

double dpi_petab_log_prior_on_scale(const dpi_petab_prior *p, double y, double *d1, double *d2) {
  double low, high, e1 = 0.0, e2 = 0.0, value = 0.0;
  if (p->family != DPI_PETAB_FLAT) {
    scaled_bounds(p, &low, &high);
    value = !(y >= low && y <= high) ? -INFINITY : log_density(p, y, &e1, &e2) - p->log_mass;
    if (y != y) value = y;
  }
  const bool usable = value > -INFINITY;
  if (d1) *d1 = usable ? e1 : 0.0;
  if (d2) *d2 = usable ? e2 : 0.0;
  return value;
}

double dpi_petab_log_prior(const dpi_petab_prior *p, double x, double *d1, double *d2) {
  double e1, e2;
  if (d1) *d1 = 0.0;
  if (d2) *d2 = 0.0;
  if (p->family == DPI_PETAB_FLAT) return 0.0;
  if (!(x >= p->lower && x <= p->upper)) return x != x ? x : -INFINITY;
  if (p->scale != DPI_PETAB_LIN && x <= 0.0) return -INFINITY;
  /* y' = factor, y'' = bend: of the logarithm 1/(c x) and -1/(c x^2) */
  const bool lin = p->scale == DPI_PETAB_LIN;
  const double c = p->scale == DPI_PETAB_LOG10 ? LN10 : 1.0;
  const double factor = lin ? 1.0 : 1.0 / (c * x), bend = lin ? 0.0 : -factor / x;
  double value = log_density(p, dpi_petab_to_scale(p->scale, x), &e1, &e2) - p->log_mass;
  if (!(value > -INFINITY)) return value;
  const bool jacobian = !lin && !p->on_scale; /* ln y' = -ln x - ln c */
  if (jacobian) value += dpi_m_log(factor);
  if (d1) *d1 = e1 * factor - (jacobian ? 1.0 / x : 0.0);
  if (d2) *d2 = e2 * factor * factor + e1 * bend + (jacobian ? 1.0 / (x * x) : 0.0);
  return value;
}

/* ---- mass between bounds ---- */

/* Probability below y (upper: above), each exact where it is small. */
static double tail(const dpi_petab_prior *p, double y, bool upper) {
  double a = p->a, b = p->b, z = (y - a) / b, below;
  if (isinf(y)) return (y > 0.0) != upper;
  switch (p->family) {
    case DPI_PETAB_UNIFORM:
      below = y <= a ? 0.0 : y >= b ? 1.0 : (y - a) / (b - a);
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
      below = y <= 0.0 ? 0.0 : dpi_gamma_p(0.5 * a, 0.5 * y);
      break;
    case DPI_PETAB_GAMMA:
      below = y <= 0.0 ? 0.0 : dpi_gamma_p(a, y / b);
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

static double mass_between(const dpi_petab_prior *p, double low, double high) {
  const double above = tail(p, low, true);
  return above < 0.5 ? above - tail(p, high, true) : tail(p, high, false) - tail(p, low, false);
}

double petab_log_mass(const dpi_petab_prior *p) {
  if (p->family == DPI_PETAB_FLAT || (p->lower == -INFINITY && p->upper == INFINITY)) return 0.0;
  double low, high;
  scaled_bounds(p, &low, &high);
  const double mass = mass_between(p, low, high);
  return mass > 0.0 ? dpi_m_log(mass) : -INFINITY;
}

/* By bisection of the mass, which is monotone: ends at neighbouring numbers. */
double dpi_petab_prior_quantile(const dpi_petab_prior *p, double share) {
  double low, high;
  scaled_bounds(p, &low, &high);
  if (p->family == DPI_PETAB_UNIFORM) {
    low = low > p->a ? low : p->a;
    high = high < p->b ? high : p->b;
  }
  if (of_positive(p->family) && low < 0.0) low = 0.0;
  const double target = share * mass_between(p, low, high);
  const double location = of_positive(p->family) || p->family == DPI_PETAB_UNIFORM ? 0.0 : p->a;
  const double width = of_positive(p->family) ? p->a : p->b;
  double from = low, to = high;
  if (isinf(low)) from = (isinf(high) || location < high ? location : high) - fabs(width);
  if (isinf(high)) to = (location > from ? location : from) + fabs(width);
  for (double step = fabs(width); isinf(low) && from > -1e300 && mass_between(p, low, from) > target; step *= 2.0)
    from -= step;
  for (double step = fabs(width); isinf(high) && to < 1e300 && mass_between(p, low, to) < target; step *= 2.0)
    to += step;
  for (int i = 0; i < 2000; i++) {
    const double mid = from + 0.5 * (to - from);
    if (!(mid > from) || !(mid < to)) break;
    if (mass_between(p, low, mid) < target)
      from = mid;
    else
      to = mid;
  }
  return from + 0.5 * (to - from);
}
