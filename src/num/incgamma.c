/* incgamma.c - incomplete gamma and beta functions, their inverses, and exact binomial bounds.
 *
 * The leading factors x^a e^-x / Gamma(a+1) and x^a (1-x)^b / B(a,b) are taken in the saddle-
 * point form of C. Loader, "Fast and accurate computation of binomial probabilities" (2000):
 * deviations from the mean instead of differences of large logarithms, so that a and b of a
 * million keep 13 digits. Then series or continued fraction (NIST DLMF 8.7.1,
 * 8.9.2 and 8.17.22) by the modified Lentz method.
 */
#include "num/num.h"

#include <float.h>
#include <math.h>

#define LN_SQRT_2PI 0x1.d67f1c864beb5p-1
#define TWO_PI 0x1.921fb54442d18p+2
#define TINY 1e-300
#define EPS (0.25 * DBL_EPSILON)
#define MAX_TERMS 100000 /* enough for shapes of 1e8; beyond, NaN */

/* S(x) = ln Gamma(x) - ((x - 1/2) ln x - x + ln sqrt(2 pi)) for x >= 10 (Abramowitz & Stegun
 * 6.1.41). */
static double stirling_tail(double x) {
  double r = 1.0 / x, r2 = r * r;
  return r * (1.0 / 12.0 -
              r2 * (1.0 / 360.0 -
                    r2 * (1.0 / 1260.0 -
                          r2 * (1.0 / 1680.0 - r2 * (1.0 / 1188.0 - r2 * 691.0 / 360360.0)))));
}

/* ln Gamma(a + d) - ln Gamma(a) without the cancellation of large arguments. */
double dpi_lgamma_ratio(double a, double d) {
  if (a < 10.0) return dpi_m_lgamma(a + d) - dpi_m_lgamma(a);
  double b = a + d;
  return (a - 0.5) * dpi_m_log1p(d / a) + d * dpi_m_log(b) - d + stirling_tail(b) -
         stirling_tail(a);
}

/* error of Stirling's formula: ln n! - ((n + 1/2) ln n - n + ln sqrt(2 pi)) */
static double stirling_error(double n) {
  if (n < 16.0) return dpi_m_lgamma(n + 1.0) - (n + 0.5) * dpi_m_log(n) + n - LN_SQRT_2PI;
  double r = 1.0 / (n * n);
  return (1.0 / 12.0 - r * (1.0 / 360.0 - r * (1.0 / 1260.0 - r * (1.0 / 1680.0 - r / 1188.0)))) /
         n;
}

/* deviance x ln(x/m) + m - x, by series where x is near m (Loader's bd0) */
static double deviance(double x, double m) {
  double d = x - m;
  if (fabs(d) > 0.1 * (x + m)) return x * dpi_m_log(x / m) - d;
  double v = d / (x + m), s = d * v, ej = 2.0 * x * v;
  v *= v;
  for (int j = 1; j < 1000; j++) {
    ej *= v;
    double s1 = s + ej / (2 * j + 1);
    if (s1 == s) return s1;
    s = s1;
  }
  return s;
}

/* x^a e^-x / Gamma(a + 1), a > 0, x > 0 */
static double gamma_factor(double a, double x) {
  if (a < 1.0) return dpi_m_exp(a * dpi_m_log(x) - x - dpi_m_lgamma(a + 1.0));
  return dpi_m_exp(-stirling_error(a) - deviance(a, x)) / sqrt(TWO_PI * a);
}

/* P by the series sum x^n / ((a+1)...(a+n)) */
static double gamma_series(double a, double x) {
  double term = 1.0, sum = 1.0;
  for (int n = 1; n < MAX_TERMS; n++) {
    term *= x / (a + n);
    sum += term;
    if (term < sum * EPS) return gamma_factor(a, x) * sum;
  }
  return NAN;
}

/* Q by the continued fraction */
static double gamma_fraction(double a, double x) {
  double b = x + 1.0 - a, c = 1.0 / TINY, d = 1.0 / b, h = d;
  for (int n = 1; n < MAX_TERMS; n++) {
    double an = -n * (n - a);
    b += 2.0;
    d = an * d + b;
    if (fabs(d) < TINY) d = TINY;
    c = b + an / c;
    if (fabs(c) < TINY) c = TINY;
    d = 1.0 / d;
    double f = d * c;
    h *= f;
    if (fabs(f - 1.0) < 2.0 * EPS) return gamma_factor(a, x) * a * h;
  }
  return NAN;
}

double dpi_gamma_p(double a, double x) {
  if (!(a > 0.0) || !(x >= 0.0) || isinf(a)) return NAN;
  if (x == 0.0) return 0.0;
  if (isinf(x)) return 1.0;
  return x < a + 1.0 ? gamma_series(a, x) : 1.0 - gamma_fraction(a, x);
}

/* x^a (1-x)^b / (a B(a,b)) with y = 1 - x given, so that neither end loses digits */
static double beta_factor(double x, double y, double a, double b) {
  if (a < 1.0 || b < 1.0) {
    double lb = dpi_m_lgamma(fmin(a, b)) - dpi_lgamma_ratio(fmax(a, b), fmin(a, b));
    double lx = y < x ? dpi_m_log1p(-y) : dpi_m_log(x), ly = x < y ? dpi_m_log1p(-x) : dpi_m_log(y);
    return dpi_m_exp(a * lx + b * ly - lb) / a;
  }
  /* binomial probability of a successes out of n = a + b, times b / n */
  double n = a + b;
  double lc = stirling_error(n) - stirling_error(a) - stirling_error(b) - deviance(a, n * x) -
              deviance(b, n * y);
  return dpi_m_exp(lc) * sqrt(n / (TWO_PI * a * b)) * (b / n);
}

/* continued fraction of I_x(a,b) for x < (a+1)/(a+b+2) */
static double beta_fraction(double x, double a, double b) {
  double c = 1.0, d = 1.0 - (a + b) * x / (a + 1.0);
  if (fabs(d) < TINY) d = TINY;
  d = 1.0 / d;
  double h = d;
  for (int m = 1; m < MAX_TERMS; m++) {
    double even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
    double odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
    d = 1.0 + even * d;
    c = 1.0 + even / c;
    if (fabs(d) < TINY) d = TINY;
    if (fabs(c) < TINY) c = TINY;
    d = 1.0 / d;
    h *= d * c;
    d = 1.0 + odd * d;
    c = 1.0 + odd / c;
    if (fabs(d) < TINY) d = TINY;
    if (fabs(c) < TINY) c = TINY;
    d = 1.0 / d;
    double f = d * c;
    h *= f;
    if (fabs(f - 1.0) < 2.0 * EPS) return h;
  }
  return NAN;
}

/* I_x(a,b), y = 1 - x; *upper says that the value is that of the complement */
static double beta_side(double x, double y, double a, double b, bool *upper) {
  *upper = x > (a + 1.0) / (a + b + 2.0);
  if (*upper) return beta_factor(y, x, b, a) * beta_fraction(y, b, a);
  return beta_factor(x, y, a, b) * beta_fraction(x, a, b);
}

double dpi_beta_cdf(double x, double a, double b) {
  if (!(a > 0.0) || !(b > 0.0) || x != x) return NAN;
  if (x <= 0.0) return 0.0;
  if (x >= 1.0) return 1.0;
  bool upper;
  double r = beta_side(x, 1.0 - x, a, b, &upper);
  return upper ? 1.0 - r : r;
}

/* ---- inverses ---- */
typedef struct inverse { /* a distribution function and its density */
  double a, b;
  double (*cdf)(const struct inverse *f, double x);
  double (*pdf)(const struct inverse *f, double x);
} inverse;

static double gamma_cdf_of(const inverse *f, double x) { return dpi_gamma_p(f->a, x); }
static double gamma_pdf_of(const inverse *f, double x) { return gamma_factor(f->a, x) * f->a / x; }
static double beta_cdf_of(const inverse *f, double x) { return dpi_beta_cdf(x, f->a, f->b); }
static double beta_pdf_of(const inverse *f, double x) {
  return beta_factor(x, 1.0 - x, f->a, f->b) * f->a / (x * (1.0 - x));
}

/* the same as functions of y = 1 - x: minus the distribution function grows with y */
static double beta_minus_cdf_of(const inverse *f, double y) {
  bool upper;
  double r = beta_side(1.0 - y, y, f->a, f->b, &upper);
  return upper ? r - 1.0 : -r;
}
static double beta_mirror_pdf_of(const inverse *f, double y) {
  return beta_factor(1.0 - y, y, f->a, f->b) * f->a / (y * (1.0 - y));
}

/* Solve cdf(x) = p on [lo, hi] by Newton's method kept inside a shrinking bracket; where Newton
 * leaves it, the bracket is halved, geometrically while its ends differ in magnitude (quantiles
 * of small shapes lie at 1e-200). */
static double solve(const inverse *f, double p, double lo, double hi, double x) {
  for (int k = 0; k < 400; k++) {
    double r = f->cdf(f, x) - p;
    if (r == 0.0 || r != r) return r == 0.0 ? x : NAN;
    if (r > 0.0)
      hi = x;
    else
      lo = x;
    double next = x - r / f->pdf(f, x);
    if (!(next > lo && next < hi)) {
      next = lo == 0.0 ? 1e-3 * x : hi > 16.0 * lo ? sqrt(lo) * sqrt(hi) : lo + 0.5 * (hi - lo);
    }
    if (fabs(next - x) <= 2.0 * DBL_EPSILON * fabs(x) || next < DBL_MIN) return next;
    x = next;
  }
  return x;
}

double dpi_beta_quantile(double p, double a, double b) {
  if (!(a > 0.0) || !(b > 0.0) || !(p >= 0.0 && p <= 1.0)) return NAN;
  if (p == 0.0) return 0.0;
  if (p == 1.0) return 1.0;
  double mean = a / (a + b);
  if (dpi_beta_cdf(0.5, a, b) >= p) {
    inverse f = {.a = a, .b = b, .cdf = beta_cdf_of, .pdf = beta_pdf_of};
    return solve(&f, p, 0.0, 0.5, mean < 0.5 ? mean : 0.25);
  }
  /* a quantile beyond 1/2 is sought as its distance from 1 */
  inverse f = {.a = a, .b = b, .cdf = beta_minus_cdf_of, .pdf = beta_mirror_pdf_of};
  return 1.0 - solve(&f, -p, 0.0, 0.5, mean > 0.5 ? 1.0 - mean : 0.25);
}

double dpi_chi2_quantile(double p, double dof) {
  if (!(dof > 0.0) || isinf(dof) || !(p >= 0.0 && p <= 1.0)) return NAN;
  if (p == 0.0) return 0.0;
  if (p == 1.0) return INFINITY;
  inverse f = {.a = 0.5 * dof, .cdf = gamma_cdf_of, .pdf = gamma_pdf_of};
  double hi = f.a + 1.0;
  while (dpi_gamma_p(f.a, hi) < p) hi *= 2.0;
  return 2.0 * solve(&f, p, 0.0, hi, f.a);
}

void dpi_binomial_bounds(double k, double n, double confidence, double *lower, double *upper) {
  double tail = 0.5 * (1.0 - confidence);
  *lower = k > 0.0 ? dpi_beta_quantile(tail, k, n - k + 1.0) : 0.0;
  *upper = k < n ? 1.0 - dpi_beta_quantile(tail, n - k, k + 1.0) : 1.0;
}
