/* normdist.c - the normal distribution with its deep tails, and Student's t.
 *
 * The tails go through Mills' ratio m(x) = Q(x) / phi(x), x > 0, by Laplace's continued fraction
 *   m(x) = 1/(x + 1/(x + 2/(x + 3/(x + ...))))    (Abramowitz & Stegun 26.2.14),
 * so that hazards and log probabilities keep all their digits where the probability itself
 * underflows.
 */
#include "num/num.h"
#include "num/ppnd16.h"

#include <float.h>
#include <math.h>

#define SQRT1_2 0x1.6a09e667f3bcdp-1
#define LN_SQRT_2PI 0x1.d67f1c864beb5p-1
#define INV_SQRT_2PI 0x1.9884533d43651p-2
#define LN_PI 0x1.250d048e7a1bdp+0
#define TAIL (-4.0) /* below this the continued fraction converges fast enough */

/* x >= 4; the number of terms is chosen so that the truncation is below the roundoff (at x = 4:
 * 80). */
static double mills(double x) {
  int terms = x < 5.0 ? 80 : x < 8.0 ? 50 : x < 20.0 ? 24 : 10;
  if (x > 1e8) return 1.0 / x;
  double t = x;
  for (int k = terms; k >= 1; k--) t = x + k / t;
  return 1.0 / t;
}

/* exp(-z^2/2) with the square split so that no digit is lost for large |z| (Cody 1969). */
static double gauss(double z) {
  double a = fabs(z);
  if (a > 39.0) return z != z ? z : 0.0;
  double high = floor(a * 16.0) * 0.0625;
  return dpi_m_exp(-0.5 * high * high) * dpi_m_exp(-0.5 * (a - high) * (a + high));
}

double dpi_norm_pdf(double z) { return INV_SQRT_2PI * gauss(z); }

double dpi_norm_cdf(double z) {
  if (z < TAIL) return z < -39.0 ? 0.0 : dpi_norm_pdf(z) * mills(-z);
  return 0.5 * dpi_m_erfc(-z * SQRT1_2);
}

double dpi_norm_logcdf(double z) {
  if (z < TAIL) {
    if (z < -1e154) return -INFINITY;
    return -0.5 * z * z - LN_SQRT_2PI + dpi_m_log(mills(-z));
  }
  if (z > 0.0) return dpi_m_log1p(-dpi_norm_cdf(-z));
  return dpi_m_log(dpi_norm_cdf(z));
}

double dpi_norm_hazard(double z) {
  if (z < TAIL) return isinf(z) ? INFINITY : 1.0 / mills(-z);
  return dpi_norm_pdf(z) / dpi_norm_cdf(z);
}

/* ratio of two polynomials of degree 7 */
static double ratio7(const double *a, const double *b, double x) {
  double p = a[7], q = b[7];
  for (int k = 6; k >= 0; k--) {
    p = p * x + a[k];
    q = q * x + b[k];
  }
  return p / q;
}

/* M. J. Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Appl.
 * Statist. 37 (1988) 477, routine PPND16. */
double dpi_norm_quantile(double p) {
  static const double a[8] = DPI_PPND16_A;
  static const double b[8] = DPI_PPND16_B;
  static const double c[8] = DPI_PPND16_C;
  static const double d[8] = DPI_PPND16_D;
  static const double e[8] = DPI_PPND16_E;
  static const double f[8] = DPI_PPND16_F;
  if (!(p >= 0.0 && p <= 1.0)) return NAN;
  if (p == 0.0) return -INFINITY;
  if (p == 1.0) return INFINITY;
  double q = p - 0.5;
  if (fabs(q) <= 0.425) return q * ratio7(a, b, 0.180625 - q * q);
  double r = sqrt(-dpi_m_log(q < 0.0 ? p : 1.0 - p));
  double z = r <= 5.0 ? ratio7(c, d, r - 1.6) : ratio7(e, f, r - 5.0);
  return q < 0.0 ? -z : z;
}

double dpi_t_logpdf(double x2, int dim, double dof) {
  double half = 0.5 * dim;
  if (dof > 1e15) return -dim * LN_SQRT_2PI - 0.5 * x2;
  return dpi_lgamma_ratio(0.5 * dof, half) - half * (dpi_m_log(dof) + LN_PI) -
         (0.5 * dof + half) * dpi_m_log1p(x2 / dof);
}
