/* variate.c - floor 1: draws from the distributions of SBML's package distrib, exact, also within bounds.
 *
 * Every sampler is exact up to the rounding of its formulas and reads uniforms of one dpi_rng only:
 *   gamma     Marsaglia & Tsang 2000, ACM Trans. Math. Softw. 26:363; shape < 1 by the power of a uniform
 *   Poisson   inversion below a mean of 10, else PTRS (Hoermann 1993, Insurance Math. Econom. 12:39)
 *   binomial  inversion below a mean of 10, else BTRS (Hoermann 1993, J. Stat. Comput. Simul. 46:101)
 *   the rest  inverse distribution functions
 * Within bounds: the inverse distribution function between them where there is one in closed form. Gamma, Poisson and
 * binomial try rejection a few times, then invert: gamma by bisection of its distribution function or, in the upper
 * tail, by rejection from an exponential; the discrete ones by their probabilities, taken outwards from the most likely
 * value.
 */
#include <math.h>
#include <string.h>

#include "num/num.h"

static const struct {
  const char *name;
  int narg;
} table[] = {
#define ROW(id, text, narg) {text, narg},
    DPI_VARIATE_LIST(ROW)
#undef ROW
};

const char *dpi_variate_name(dpi_variate v) { return table[v].name; }
int dpi_variate_narg(dpi_variate v) { return table[v].narg; }

int dpi_variate_find(const char *name) {
  for (int i = 0; i < DPI_VARIATE_COUNT; i++)
    if (strcmp(table[i].name, name) == 0) return i;
  return -1;
}

#define PI 3.14159265358979323846
#define TRIES 24        /* rejections before a truncated draw is inverted */
#define SMALL_MEAN 10.0 /* below it Poisson and binomial are inverted */
#define COUNT_MAX 0x1p53

typedef struct bounds {
  double low, high;
} bounds;

static double clamp(double x, bounds b) { return x < b.low ? b.low : (x > b.high ? b.high : x); }

/* ---------------------------------------------------------------- continuous, by inversion */

/* Exponential of rate 1 within [low, high], low >= 0. */
static double exponential_within(double low, double high, double u) {
  if (isinf(high)) return low - dpi_m_log(u);
  const double width = high - low;
  const double x = -dpi_m_log1p(u * dpi_m_expm1(-width)); /* u from 0 to 1: 0 to width */
  return low + (x < width ? x : width);
}

/* Standard normal within [low, high]: inversion on the side where probabilities are small; far out in a tail by
 * rejection from an exponential (Robert 1995, Stat. Comput. 5:121). */
static double normal_within(double low, double high, dpi_rng *rng) {
  if (low > 0) return -normal_within(-high, -low, rng);
  /* low <= 0: the lower tail is accurate */
  if (high > -30) {
    const double a = dpi_norm_cdf(low), b = high > 0 ? 1 - dpi_norm_cdf(-high) : dpi_norm_cdf(high);
    const double z = dpi_norm_quantile(a + (b - a) * dpi_rng_uniform(rng));
    return clamp(z, (bounds){low, high});
  }
  const double c = -high; /* the mirrored draw lies in [c, -low], c >= 30 */
  for (;;) {
    const double x = exponential_within(0, (-low - c) * c, dpi_rng_uniform(rng)) / c;
    if (dpi_rng_uniform(rng) <= dpi_m_exp(-0.5 * x * x)) return -(c + x);
  }
}

static double laplace_cdf(double z) { return z < 0 ? 0.5 * dpi_m_exp(z) : 1 - 0.5 * dpi_m_exp(-z); }
static double laplace_quantile(double p) { return p < 0.5 ? dpi_m_log(2 * p) : -dpi_m_log(2 * (1 - p)); }

/* Standard Laplace within [low, high]. */
static double laplace_within(double low, double high, dpi_rng *rng) {
  const double u = dpi_rng_uniform(rng);
  if (low >= 0) return exponential_within(low, high, u);
  if (high <= 0) return -exponential_within(-high, -low, u);
  const double a = laplace_cdf(low), b = laplace_cdf(high);
  return clamp(laplace_quantile(a + (b - a) * u), (bounds){low, high});
}

/* Standard Cauchy within [low, high]: an angle. */
static double cauchy_within(double low, double high, dpi_rng *rng) {
  /* angles from the pole, so that far tails keep their digits: tan(pi/2 - 1/x) = x */
  const double u = dpi_rng_uniform(rng);
  if (low > 1) {
    const double a = dpi_m_atan2(1, low), b = isinf(high) ? 0 : dpi_m_atan2(1, high);
    return clamp(1 / dpi_m_tan(a + (b - a) * u), (bounds){low, high});
  }
  if (high < -1) {
    const double a = dpi_m_atan2(1, -high), b = isinf(low) ? 0 : dpi_m_atan2(1, -low);
    return clamp(-1 / dpi_m_tan(a + (b - a) * u), (bounds){low, high});
  }
  const double a = isinf(low) ? -0.5 * PI : dpi_m_atan(low), b = isinf(high) ? 0.5 * PI : dpi_m_atan(high);
  return clamp(dpi_m_tan(a + (b - a) * u), (bounds){low, high});
}

/* ---------------------------------------------------------------- gamma */

/* Shape k, scale 1. */
static double gamma_draw(double k, dpi_rng *rng) {
  if (k < 1) {
    const double x = gamma_draw(k + 1, rng);
    return x * dpi_m_exp(dpi_m_log(dpi_rng_uniform(rng)) / k);
  }
  const double d = k - 1.0 / 3, c = 1 / sqrt(9 * d);
  for (;;) {
    const double z = dpi_rng_normal(rng), u = dpi_rng_uniform(rng), w = 1 + c * z;
    if (w <= 0) continue;
    const double v = w * w * w, z2 = z * z;
    if (u < 1 - 0.0331 * z2 * z2) return d * v;
    if (dpi_m_log(u) < 0.5 * z2 + d - d * v + d * dpi_m_log(v)) return d * v;
  }
}

/* In the upper tail, low > mode: a tangent of the logarithm of the density is above it (shape < 1: the exponential's
 * slope). */
static double gamma_tail(double k, double low, double high, dpi_rng *rng) {
  const double rate = k > 1 ? 1 - (k - 1) / low : 1;
  for (;;) {
    const double x = low + exponential_within(0, (high - low) * rate, dpi_rng_uniform(rng)) / rate;
    const double slack = (k - 1) * dpi_m_log(x / low) - (1 - rate) * (x - low);
    if (dpi_m_log(dpi_rng_uniform(rng)) <= slack) return clamp(x, (bounds){low, high});
  }
}

static double gamma_within(double k, double low, double high, dpi_rng *rng) {
  for (int i = 0; i < TRIES; i++) {
    const double x = gamma_draw(k, rng);
    if (x >= low && x <= high) return x;
  }
  if (low < 0) low = 0;
  const double pa = dpi_gamma_p(k, low);
  if (pa > 0.5 && low > k - 1) return gamma_tail(k, low, high, rng);
  const double pb = isinf(high) ? 1 : dpi_gamma_p(k, high);
  const double p = pa + (pb - pa) * dpi_rng_uniform(rng);
  double a = low, b = high;
  if (isinf(b)) {
    for (b = 2 * (k + a + 1); dpi_gamma_p(k, b) < p;) b *= 2;
  }
  for (;;) {
    const double m = a + 0.5 * (b - a);
    if (!(m > a && m < b)) return m;
    if (dpi_gamma_p(k, m) < p)
      a = m;
    else
      b = m;
  }
}

/* ---------------------------------------------------------------- discrete */

/* ln k! - ln(sqrt(2 pi k) (k/e)^k): the rest of Stirling's formula. */
static double stirling_rest(double k) {
  if (k < 16) return dpi_m_lgamma(k + 1) - ((k + 0.5) * dpi_m_log(k) - k + 0.5 * dpi_m_log(2 * PI));
  const double r = 1 / (k * k);
  return (1.0 / 12 - (1.0 / 360 - (1.0 / 1260 - r / 1680) * r) * r) / k;
}

/* x ln(x/m) + m - x, without cancellation when x is near m (Loader 2000). */
static double deviance(double x, double m) {
  const double d = x - m;
  if (fabs(d) >= 0.1 * (x + m)) return x * dpi_m_log(x / m) - d;
  const double v = d / (x + m), v2 = v * v;
  double sum = d * v, term = 2 * x * v;
  for (int j = 1; j < 1000; j++) {
    term *= v2;
    const double next = sum + term / (2 * j + 1);
    if (next == sum) return sum;
    sum = next;
  }
  return sum;
}

/* ln of the Poisson probability of k. */
static double poisson_log(double mean, double k) {
  if (k == 0) return -mean;
  return -stirling_rest(k) - deviance(k, mean) - 0.5 * dpi_m_log(2 * PI * k);
}

/* ln of the binomial probability of k of n, 0 < p < 1. */
static double binomial_log(double n, double p, double k) {
  const double q = 1 - p;
  if (k == 0) return n * dpi_m_log1p(-p);
  if (k == n) return n * dpi_m_log(p);
  return stirling_rest(n) - stirling_rest(k) - stirling_rest(n - k) - deviance(k, n * p) - deviance(n - k, n * q) +
         0.5 * (dpi_m_log(n) - dpi_m_log(k) - dpi_m_log(n - k) - dpi_m_log(2 * PI));
}

static double poisson_draw(double mean, dpi_rng *rng) {
  if (mean == 0) return 0;
  if (mean < SMALL_MEAN) {
    double u = dpi_rng_uniform(rng), p = dpi_m_exp(-mean), k = 0;
    while (u > p && k < 1000) {
      u -= p;
      p *= mean / ++k;
    }
    return k;
  }
  const double b = 0.931 + 2.53 * sqrt(mean), a = -0.059 + 0.02483 * b;
  const double inv_alpha = 1.1239 + 1.1328 / (b - 3.4), vr = 0.9277 - 3.6224 / (b - 2);
  for (;;) {
    const double u = dpi_rng_uniform(rng) - 0.5, v = dpi_rng_uniform(rng), us = 0.5 - fabs(u);
    const double k = floor((2 * a / us + b) * u + mean + 0.43);
    if (us >= 0.07 && v <= vr) return k;
    if (k < 0 || (us < 0.013 && v > us)) continue;
    if (dpi_m_log(v * inv_alpha / (a / (us * us) + b)) <= poisson_log(mean, k)) return k;
  }
}

static double binomial_draw(double n, double p, dpi_rng *rng) {
  if (p == 0 || n == 0) return 0;
  if (p > 0.5) return n - binomial_draw(n, 1 - p, rng);
  const double q = 1 - p;
  if (n * p < SMALL_MEAN) {
    double u = dpi_rng_uniform(rng), f = dpi_m_exp(n * dpi_m_log1p(-p)), k = 0;
    while (u > f && k < n && k < 1000) {
      u -= f;
      f *= (n - k) / (k + 1) * (p / q);
      k++;
    }
    return k;
  }
  const double spq = sqrt(n * p * q), b = 1.15 + 2.53 * spq, a = -0.0873 + 0.0248 * b + 0.01 * p, c = n * p + 0.5;
  const double alpha = (2.83 + 5.1 / b) * spq, vr = 0.92 - 4.2 / b, mode = floor((n + 1) * p);
  const double at_mode = binomial_log(n, p, mode);
  for (;;) {
    const double u = dpi_rng_uniform(rng) - 0.5, us = 0.5 - fabs(u);
    double v = dpi_rng_uniform(rng);
    const double k = floor((2 * a / us + b) * u + c);
    if (us >= 0.07 && v <= vr) return k;
    if (k < 0 || k > n) continue;
    v = v * alpha / (a / (us * us) + b);
    if (dpi_m_log(v) <= binomial_log(n, p, k) - at_mode) return k;
  }
}

/* P(k + 1) / P(k); n NaN: Poisson of mean p. */
static double ratio_up(double n, double p, double k) {
  return isnan(n) ? p / (k + 1) : (n - k) / (k + 1) * (p / (1 - p));
}

/* Poisson (n NaN) or binomial among the whole numbers low..high, by their probabilities relative to that of the most
 * likely one; both sides are followed until nothing more can be added. */
static double discrete_invert(double n, double p, double low, double high, dpi_rng *rng) {
  const double mode = clamp(floor(isnan(n) ? p : (n + 1) * p), (bounds){low, high});
  double total = 1, w = 1;
  for (double k = mode; k < high && w > 1e-18 * total; k++) total += w *= ratio_up(n, p, k);
  w = 1;
  for (double k = mode; k > low && w > 1e-18 * total; k--) total += w /= ratio_up(n, p, k - 1);
  double u = total * dpi_rng_uniform(rng) - 1, last = mode;
  if (u <= 0) return mode;
  w = 1;
  for (double k = mode; k < high && w > 1e-18 * total; k++) {
    u -= w *= ratio_up(n, p, k);
    last = k + 1;
    if (u <= 0) return last;
  }
  w = 1;
  for (double k = mode; k > low && w > 1e-18 * total; k--) {
    u -= w /= ratio_up(n, p, k - 1);
    last = k - 1;
    if (u <= 0) return last;
  }
  return last;
}

static double poisson_within(double mean, bounds b, dpi_rng *rng) {
  const double low = ceil(b.low > 0 ? b.low : 0), high = floor(b.high);
  if (!(low <= high) || (mean == 0 && low > 0)) return NAN;
  for (int i = 0; i < TRIES; i++) {
    const double k = poisson_draw(mean, rng);
    if (k >= low && k <= high) return k;
  }
  return discrete_invert(NAN, mean, low, high, rng);
}

static double binomial_within(double n, double p, bounds b, dpi_rng *rng) {
  const double low = ceil(b.low > 0 ? b.low : 0), high = b.high < n ? floor(b.high) : n;
  if (!(low <= high)) return NAN;
  if (p == 0 || p == 1) {
    const double k = p == 0 ? 0 : n;
    return k >= low && k <= high ? k : NAN;
  }
  for (int i = 0; i < TRIES; i++) {
    const double k = binomial_draw(n, p, rng);
    if (k >= low && k <= high) return k;
  }
  return discrete_invert(n, p, low, high, rng);
}

/* ---------------------------------------------------------------- all */

static bool whole(double n) { return n >= 0 && n <= COUNT_MAX && floor(n) == n; }

/* Are the arguments in the distribution's domain? Location a, scale b where there are two. */
static bool domain(dpi_variate v, double a, double b) {
  switch (v) {
    case DPI_VARIATE_NORMAL:
    case DPI_VARIATE_LOGNORMAL: return isfinite(a) && b >= 0 && isfinite(b);
    case DPI_VARIATE_LAPLACE:
    case DPI_VARIATE_CAUCHY: return isfinite(a) && b > 0 && isfinite(b);
    case DPI_VARIATE_UNIFORM: return isfinite(a) && isfinite(b) && a <= b;
    case DPI_VARIATE_GAMMA: return a > 0 && b > 0 && isfinite(a) && isfinite(b);
    case DPI_VARIATE_EXPONENTIAL:
    case DPI_VARIATE_CHISQUARE:
    case DPI_VARIATE_RAYLEIGH: return a > 0 && isfinite(a);
    case DPI_VARIATE_POISSON: return a >= 0 && a <= COUNT_MAX;
    case DPI_VARIATE_BINOMIAL: return whole(a) && b >= 0 && b <= 1;
    case DPI_VARIATE_BERNOULLI: return a >= 0 && a <= 1;
    default: return false;
  }
}

static double draw(dpi_variate v, double a, double b, dpi_rng *rng) {
  switch (v) {
    case DPI_VARIATE_NORMAL: return a + b * dpi_rng_normal(rng);
    case DPI_VARIATE_UNIFORM: return clamp(a + (b - a) * dpi_rng_uniform(rng), (bounds){a, b});
    case DPI_VARIATE_EXPONENTIAL: return -dpi_m_log(dpi_rng_uniform(rng)) / a;
    case DPI_VARIATE_GAMMA: return b * gamma_draw(a, rng);
    case DPI_VARIATE_POISSON: return poisson_draw(a, rng);
    case DPI_VARIATE_LOGNORMAL: return dpi_m_exp(a + b * dpi_rng_normal(rng));
    case DPI_VARIATE_CHISQUARE: return 2 * gamma_draw(0.5 * a, rng);
    case DPI_VARIATE_LAPLACE: return a + b * laplace_quantile(dpi_rng_uniform(rng));
    case DPI_VARIATE_CAUCHY: return a + b * dpi_m_tan(PI * (dpi_rng_uniform(rng) - 0.5));
    case DPI_VARIATE_RAYLEIGH: return a * sqrt(-2 * dpi_m_log(dpi_rng_uniform(rng)));
    case DPI_VARIATE_BINOMIAL: return binomial_draw(a, b, rng);
    case DPI_VARIATE_BERNOULLI: return dpi_rng_uniform(rng) < a ? 1 : 0;
    default: return NAN;
  }
}

static double point(double x, bounds t) { return x >= t.low && x <= t.high ? x : NAN; }
static double positive(double x) { return x > 0 ? x : 0; }

static double rayleigh_within(double a, bounds t, dpi_rng *rng) {
  const double l = positive(t.low) / a, h = t.high / a;
  return clamp(a * sqrt(2 * exponential_within(0.5 * l * l, 0.5 * h * h, dpi_rng_uniform(rng))), t);
}

static double lognormal_within(double a, double b, bounds t, dpi_rng *rng) {
  const double l = t.low > 0 ? dpi_m_log(t.low) : -INFINITY, h = dpi_m_log(t.high);
  if (b == 0) return point(dpi_m_exp(a), t);
  return clamp(dpi_m_exp(a + b * normal_within((l - a) / b, (h - a) / b, rng)), t);
}

static double bernoulli_within(double a, bounds t, dpi_rng *rng) {
  const bool zero = a < 1 && t.low <= 0 && t.high >= 0, one = a > 0 && t.low <= 1 && t.high >= 1;
  if (!zero && !one) return NAN;
  const double u = dpi_rng_uniform(rng);
  if (zero && one) return u < a ? 1 : 0;
  return one ? 1 : 0;
}

static double draw_within(dpi_variate v, double a, double b, bounds t, dpi_rng *rng) {
  const bounds z = {(t.low - a) / b, (t.high - a) / b};
  switch (v) {
    case DPI_VARIATE_NORMAL: return b == 0 ? point(a, t) : clamp(a + b * normal_within(z.low, z.high, rng), t);
    case DPI_VARIATE_LAPLACE: return clamp(a + b * laplace_within(z.low, z.high, rng), t);
    case DPI_VARIATE_CAUCHY: return clamp(a + b * cauchy_within(z.low, z.high, rng), t);
    case DPI_VARIATE_UNIFORM: {
      const bounds w = {clamp(t.low, (bounds){a, b}), clamp(t.high, (bounds){a, b})};
      if (t.high < a || t.low > b) return NAN;
      return draw(v, w.low, w.high, rng);
    }
    case DPI_VARIATE_POISSON: return poisson_within(a, t, rng);
    case DPI_VARIATE_BINOMIAL: return binomial_within(a, b, t, rng);
    case DPI_VARIATE_BERNOULLI: return bernoulli_within(a, t, rng);
    default: break;
  }
  if (t.high < 0) return NAN; /* what is left is never negative */
  switch (v) {
    case DPI_VARIATE_EXPONENTIAL:
      return clamp(exponential_within(positive(t.low) * a, t.high * a, dpi_rng_uniform(rng)) / a, t);
    case DPI_VARIATE_GAMMA: return clamp(b * gamma_within(a, positive(t.low) / b, t.high / b, rng), t);
    case DPI_VARIATE_CHISQUARE: return clamp(2 * gamma_within(0.5 * a, 0.5 * positive(t.low), 0.5 * t.high, rng), t);
    case DPI_VARIATE_RAYLEIGH: return rayleigh_within(a, t, rng);
    case DPI_VARIATE_LOGNORMAL: return t.high > 0 ? lognormal_within(a, b, t, rng) : NAN;
    default: return NAN;
  }
}

double dpi_variate_draw(dpi_variate v, const double *arg, int narg, dpi_rng *rng) {
  double a = arg[0], b = narg >= 2 ? arg[1] : 0;
  int n = dpi_variate_narg(v);
  /* a scale alone: around 0 */
  if ((v == DPI_VARIATE_LAPLACE || v == DPI_VARIATE_CAUCHY) && narg % 2 == 1) {
    b = a;
    a = 0;
    n = 1;
  }
  if (narg != n && narg != n + 2) return NAN;
  if (!domain(v, a, b)) return NAN;
  if (narg == n) return draw(v, a, b, rng);
  const bounds t = {arg[n], arg[n + 1]};
  if (!(t.low <= t.high) || t.low == INFINITY || t.high == -INFINITY) return NAN;
  if (t.low == -INFINITY && t.high == INFINITY) return draw(v, a, b, rng);
  return draw_within(v, a, b, t, rng);
}
