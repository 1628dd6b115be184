/* calib_noise.c - floor 6: likelihood of one measurement, its derivatives and its expected information.  O
 *
 *     h(m) = h(y) + s e,   h: identity, ln or log10;   e standard normal, or Laplace of scale 1
 *
 *     ln p(m) = ln h'(m) - ln s - r^2/2 - ln(2 pi)/2     r = (h(y) - h(m))/s
 *             = ln h'(m) - ln s - |r| - ln 2
 *
 * Information about h(y): 1/s^2 in both; about s: 2/s^2 (normal), 1/s^2 (Laplace).
 *
 * Of a value that is only known to lie within [low, high] (M3 of values below quantification; ordered categories):
 *
 *     ln P = ln [F(b) - F(a)],   a = (h(low) - h(y))/s,  b = (h(high) - h(y))/s
 *
 * with F the standardised error's distribution; formed from ln F on the side where it is small, so that it has its
 * digits however far out. Both errors have log-concave densities: -ln P is convex in (a, b).
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

double dpi_noise_scale(dpi_noise noise, double v) {
  const int h = noise % 3;
  return h == 0 || isinf(v) ? v : v <= 0 ? -INFINITY : h == 1 ? dpi_m_log(v) : dpi_m_log10(v);
}

double dpi_noise_unscale(dpi_noise noise, double hv) {
  const int h = noise % 3;
  return h == 0 ? hv : h == 1 ? dpi_m_exp(hv) : dpi_m_pow(10, hv);
}

/* ln F(z); ln f(z) */
static double log_below(bool laplace, double z) {
  if (isinf(z)) return z > 0 ? 0 : -INFINITY;
  if (!laplace) return dpi_norm_logcdf(z);
  return z < 0 ? z - LN_2 : dpi_m_log1p(-0.5 * dpi_m_exp(-z));
}

static double log_pdf(bool laplace, double z) {
  if (isinf(z)) return -INFINITY;
  return laplace ? -fabs(z) - LN_2 : -0.5 * z * z - 0.5 * LN_2PI;
}

/* f'(z)/f(z) */
static double bend(bool laplace, double z) { return isinf(z) ? 0 : laplace ? (z < 0) - (z > 0) : -z; }

void dpi_noise_between(dpi_noise noise, double a, double b, dpi_noise_slice *out) {
  const bool laplace = noise >= DPI_NOISE_LAPLACE, flip = a > 0 || (isinf(a) ? b > 0 && isinf(b) : a + b > 0);
  const double low = flip ? -b : a, high = flip ? -a : b; /* the same slice on the lower side */
  const double below = log_below(laplace, low), up_to = log_below(laplace, high);
  /* a sliver: f(middle) (b - a), before the difference loses its digits */
  const bool sliver = (high - low) * (1 + fabs(low)) < 1e-7;
  out->ln = sliver ? log_pdf(laplace, low + 0.5 * (high - low)) + dpi_m_log(high - low)
                   : up_to + dpi_m_log1p(-dpi_m_exp(below - up_to));
  const double fa = isinf(a) ? 0 : dpi_m_exp(log_pdf(laplace, a) - out->ln),
               fb = isinf(b) ? 0 : dpi_m_exp(log_pdf(laplace, b) - out->ln);
  out->da = -fa;
  out->db = fb;
  out->aa = fa * fa + bend(laplace, a) * fa;
  out->bb = fb * fb - bend(laplace, b) * fb;
  out->ab = fa * fb;
}

bool dpi_noise_within(dpi_noise noise, double low, double high, double y, double s, dpi_noise_value *out) {
  const int h = noise % 3;
  if (!(s > 0) || !isfinite(s) || !isfinite(y) || (h > 0 && !(y > 0)) || !(low < high)) return false;
  const double slope = h == 0 ? 1 : 1 / (h == 1 ? y : y * LN_10), at = dpi_noise_scale(noise, y);
  const double a = (dpi_noise_scale(noise, low) - at) / s, b = (dpi_noise_scale(noise, high) - at) / s;
  dpi_noise_slice t;
  dpi_noise_between(noise, a, b, &t);
  const double curvature = t.aa + t.bb - 2 * t.ab;
  out->residual = 0;
  out->ln = t.ln;
  out->dy = -slope / s * (t.da + t.db);
  out->ds = -((isinf(a) ? 0 : a * t.da) + (isinf(b) ? 0 : b * t.db)) / s;
  out->iy = slope * slope / (s * s) * (curvature > 0 ? curvature : 0);
  out->is = out->ds * out->ds;
  return isfinite(out->ln);
}
