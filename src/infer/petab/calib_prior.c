/* calib_prior.c - floor 6: laws of single parameters, truncated to their bounds.  D
 *
 * A law within [lower, upper] is its density divided by the mass that lies there. Laws of a logarithm are the law of
 * ln v with the factor 1/v. The mass is formed on the side where it is small, so that bounds far out in a tail count.
 */
#include <math.h>
#include <stdio.h>

#include "infer/petab/calib.h"

static const double LN_2PI = 1.8378770664093454836, LN_2 = 0.69314718055994530942, PI = 3.14159265358979323846;

static bool of_logarithm(dpi_law_kind kind) {
  return kind == DPI_LAW_LOG_NORMAL || kind == DPI_LAW_LOG_LAPLACE || kind == DPI_LAW_LOG_UNIFORM;
}

static bool of_positive(dpi_law_kind kind) {
  return of_logarithm(kind) || kind == DPI_LAW_CHISQUARE || kind == DPI_LAW_EXPONENTIAL || kind == DPI_LAW_GAMMA ||
         kind == DPI_LAW_RAYLEIGH;
}

/* The law of ln v that a law of a logarithm is. */
static dpi_law_kind plain(dpi_law_kind kind) {
  return kind == DPI_LAW_LOG_NORMAL ? DPI_LAW_NORMAL : kind == DPI_LAW_LOG_LAPLACE ? DPI_LAW_LAPLACE : kind;
}

/* P(V <= v), and P(V > v) where `above`: each exact where it is small. */
static double mass_beside(const dpi_law *law, double v, bool above) {
  double z;
  if (of_positive(law->kind) && !(v > 0)) return above;
  if (of_logarithm(law->kind)) v = isinf(v) ? v : dpi_m_log(v);
  if (isinf(v)) return (v > 0) != above;
  switch (plain(law->kind)) {
    case DPI_LAW_NORMAL:
      z = (v - law->a) / law->b;
      return dpi_norm_cdf(above ? -z : z);
    case DPI_LAW_LAPLACE:
      z = (above ? law->a - v : v - law->a) / law->b;
      return z < 0 ? 0.5 * dpi_m_exp(z) : 1 - 0.5 * dpi_m_exp(-z);
    case DPI_LAW_CAUCHY:
      z = (above ? law->a - v : v - law->a) / law->b;
      return z < -1 ? dpi_m_atan(-1 / z) / PI : 0.5 + dpi_m_atan(z) / PI;
    case DPI_LAW_CHISQUARE:
      z = dpi_gamma_p(0.5 * law->a, 0.5 * v);
      return above ? 1 - z : z;
    case DPI_LAW_GAMMA:
      z = dpi_gamma_p(law->a, v / law->b);
      return above ? 1 - z : z;
    case DPI_LAW_EXPONENTIAL:
      return above ? dpi_m_exp(-v / law->a) : -dpi_m_expm1(-v / law->a);
    case DPI_LAW_RAYLEIGH:
      z = 0.5 * (v / law->a) * (v / law->a);
      return above ? dpi_m_exp(-z) : -dpi_m_expm1(-z);
    default: /* uniform; log-uniform: ln v */
      z = (v - law->a) / (law->b - law->a);
      z = z < 0 ? 0 : z > 1 ? 1 : z;
      return above ? 1 - z : z;
  }
}

static double mass_between(const dpi_law *law, double lower, double upper) {
  if (mass_beside(law, lower, false) < 0.5) return mass_beside(law, upper, false) - mass_beside(law, lower, false);
  return mass_beside(law, lower, true) - mass_beside(law, upper, true);
}

static const char *trouble(const dpi_law *law) {
  const bool second =
      law->kind != DPI_LAW_CHISQUARE && law->kind != DPI_LAW_EXPONENTIAL && law->kind != DPI_LAW_RAYLEIGH;
  const bool range = law->kind == DPI_LAW_UNIFORM || law->kind == DPI_LAW_LOG_UNIFORM;
  if (!isfinite(law->a) || (second && !isfinite(law->b))) return "its parameters are not finite numbers";
  if (range && !(law->a < law->b)) return "its first parameter is not below its second";
  if (!range && second && !(law->b > 0)) return "its second parameter (a scale) is not positive";
  if (!second && !(law->a > 0)) return "its parameter is not positive";
  if (law->kind == DPI_LAW_GAMMA && !(law->a > 0)) return "its first parameter (the shape) is not positive";
  return NULL;
}

bool dpi_law_init(dpi_law *law, dpi_law_kind kind, double a, double b, double lower, double upper, char why[160]) {
  *law = (dpi_law){.kind = kind, .a = a, .b = b, .lower = lower, .upper = upper};
  if (kind == DPI_LAW_NONE) return true;
  const char *what = trouble(law);
  if (what) {
    snprintf(why, 160, "%s", what);
    return false;
  }
  const double mass = mass_between(law, lower, upper);
  if (!(mass > 0)) {
    snprintf(why, 160, "it leaves nothing between the bounds %g and %g", lower, upper);
    return false;
  }
  law->mass = mass < 1 ? dpi_m_log(mass) : 0;
  return true;
}

/* ln density of the law without truncation at v, which lies in its domain, with derivatives. */
static double log_plain(const dpi_law *law, dpi_law_kind kind, double v, double *d1, double *d2) {
  const double a = law->a, b = law->b, z = (v - a) / b;
  switch (kind) {
    case DPI_LAW_NORMAL:
      *d1 = -z / b;
      *d2 = -1 / (b * b);
      return -0.5 * z * z - 0.5 * LN_2PI - dpi_m_log(b);
    case DPI_LAW_LAPLACE:
      *d1 = z > 0 ? -1 / b : z < 0 ? 1 / b : 0;
      *d2 = 0;
      return -fabs(z) - LN_2 - dpi_m_log(b);
    case DPI_LAW_CAUCHY:
      *d1 = -2 * z / (b * (1 + z * z));
      *d2 = 2 * (z * z - 1) / (b * b * (1 + z * z) * (1 + z * z));
      return -dpi_m_log1p(z * z) - dpi_m_log(PI * b);
    case DPI_LAW_CHISQUARE:
      *d1 = (0.5 * a - 1) / v - 0.5;
      *d2 = -(0.5 * a - 1) / (v * v);
      return (0.5 * a - 1) * dpi_m_log(v) - 0.5 * v - 0.5 * a * LN_2 - dpi_m_lgamma(0.5 * a);
    case DPI_LAW_GAMMA:
      *d1 = (a - 1) / v - 1 / b;
      *d2 = -(a - 1) / (v * v);
      return (a - 1) * dpi_m_log(v) - v / b - dpi_m_lgamma(a) - a * dpi_m_log(b);
    case DPI_LAW_EXPONENTIAL:
      *d1 = -1 / a;
      *d2 = 0;
      return -v / a - dpi_m_log(a);
    case DPI_LAW_RAYLEIGH:
      *d1 = 1 / v - v / (a * a);
      *d2 = -1 / (v * v) - 1 / (a * a);
      return dpi_m_log(v) - 0.5 * (v / a) * (v / a) - 2 * dpi_m_log(a);
    default: /* uniform; log-uniform: of ln v */
      *d1 = *d2 = 0;
      return -dpi_m_log(b - a);
  }
}

double dpi_law_log(const dpi_law *law, double v, double *d1, double *d2) {
  const bool range = law->kind == DPI_LAW_UNIFORM, log_range = law->kind == DPI_LAW_LOG_UNIFORM;
  *d1 = *d2 = 0;
  if (law->kind == DPI_LAW_NONE) return 0;
  if (v < law->lower || v > law->upper || (of_positive(law->kind) && !(v > 0))) return -INFINITY;
  if (range && (v < law->a || v > law->b)) return -INFINITY;
  if (!of_logarithm(law->kind)) return log_plain(law, law->kind, v, d1, d2) - law->mass;
  /* ln p(v) = ln q(ln v) - ln v */
  const double u = dpi_m_log(v);
  double e1, e2;
  if (log_range && (u < law->a || u > law->b)) return -INFINITY;
  const double ln = log_plain(law, plain(law->kind), u, &e1, &e2) - u - law->mass;
  *d1 = (e1 - 1) / v;
  *d2 = (e2 - e1 + 1) / (v * v);
  return ln;
}

/* By bisection of the mass: monotone, so that it ends at neighbouring numbers. */
double dpi_law_quantile(const dpi_law *law, double p) {
  double lo = law->lower, hi = law->upper;
  if (law->kind == DPI_LAW_UNIFORM || law->kind == DPI_LAW_LOG_UNIFORM) {
    const bool log = law->kind == DPI_LAW_LOG_UNIFORM;
    const double a = log ? dpi_m_exp(law->a) : law->a, b = log ? dpi_m_exp(law->b) : law->b;
    lo = lo > a ? lo : a;
    hi = hi < b ? hi : b;
  }
  if (of_positive(law->kind) && lo < 0) lo = 0;
  const double mass = mass_between(law, lo, hi);
  double from = isinf(lo) ? -1 : lo, to = isinf(hi) ? 1 : hi;
  while (isinf(lo) && from > -1e300 && mass_between(law, lo, from) > p * mass) from = 2 * from - 1;
  while (isinf(hi) && to < 1e300 && (to <= from || mass_between(law, lo, to) < p * mass))
    to = 2 * (to > 0 ? to : -to) + 1;
  for (int i = 0; i < 2000; i++) {
    /* halves the distance of exponents while it is large: laws of a logarithm have mass near zero */
    double mid = from > 0 && to > 4 * from ? sqrt(from) * sqrt(to) : from + 0.5 * (to - from);
    if (from == 0 && to > 1e-300 && of_positive(law->kind)) mid = to * 0.25;
    if (!(mid > from) || !(mid < to)) break;
    if (mass_between(law, lo, mid) < p * mass)
      from = mid;
    else
      to = mid;
  }
  return from + 0.5 * (to - from);
}
