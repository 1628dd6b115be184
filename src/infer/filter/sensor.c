/* sensor.c - floor 6, folder filter: what a reading says about the quantity that its sensor sees.
 *
 * Noise laws and their distribution functions for censored readings; the Gaussian reading that stands for any of
 * them in
 * ensemble Kalman methods (assumed-density filtering: first two moments of N(m, c) x likelihood).
 */
#include <math.h>

#include "infer/filter/filter.h"

#define LN_2PI 1.8378770664093454836
#define LN_2 0.69314718055994530942

/* ln density of the standardised residual */
static double log_pdf(const dpi_sensor *s, double z) {
  switch (s->noise) {
    case DPI_SENSOR_LAPLACE:
    case DPI_SENSOR_LOGLAPLACE:
      return -LN_2 - fabs(z);
    case DPI_SENSOR_STUDENT:
      return dpi_t_logpdf(z * z, 1, s->dof);
    default:
      return -0.5 * (z * z + LN_2PI);
  }
}

/* ln P(Z <= z) */
static double log_cdf(const dpi_sensor *s, double z) {
  switch (s->noise) {
    case DPI_SENSOR_LAPLACE:
    case DPI_SENSOR_LOGLAPLACE:
      return z < 0 ? z - LN_2 : dpi_m_log1p(-0.5 * dpi_m_exp(-z));
    case DPI_SENSOR_STUDENT: {
      double half = 0.5 * dpi_beta_cdf(s->dof / (s->dof + z * z), 0.5 * s->dof, 0.5);
      return z < 0 ? dpi_m_log(half) : dpi_m_log1p(-half);
    }
    default:
      return dpi_norm_logcdf(z);
  }
}

double dpi_sensor_cdf(const dpi_sensor *s, double z) {
  switch (s->noise) {
    case DPI_SENSOR_LAPLACE:
    case DPI_SENSOR_LOGLAPLACE:
      return z < 0 ? 0.5 * dpi_m_exp(z) : 1 - 0.5 * dpi_m_exp(-z);
    case DPI_SENSOR_STUDENT: {
      double half = 0.5 * dpi_beta_cdf(s->dof / (s->dof + z * z), 0.5 * s->dof, 0.5);
      return z < 0 ? half : 1 - half;
    }
    default:
      return dpi_norm_cdf(z);
  }
}

/* ln likelihood on the sensor's own scale: h and y are logarithms under log-normal noise */
static double log_like(const dpi_sensor *s, int censored, double y, double h, double scale) {
  double z = (y - h) / scale;
  if (isnan(z)) return -INFINITY;
  if (!censored) return log_pdf(s, z) - dpi_m_log(scale);
  return log_cdf(s, censored > 0 ? z : -z);
}

static double on_scale(const dpi_sensor *s, double v) {
  if (!dpi_sensor_log(s)) return v;
  return v > 0 ? dpi_m_log(v) : NAN;
}

double dpi_sensor_loglik(const dpi_sensor *s, const dpi_reading *r, double f, double bias, double scale) {
  double y = on_scale(s, r->y), h = on_scale(s, f) + bias;
  if (!isfinite(h) || !(scale > 0)) return -INFINITY;
  double l = log_like(s, r->censored, y, h, scale);
  return dpi_sensor_log(s) && !r->censored ? l - y : l;
}

/* chi-squared / dof by its quantile: any dof */
static double student_draw(double dof, dpi_rng *rng) {
  double z = dpi_rng_normal(rng);
  return z / sqrt(dpi_chi2_quantile(dpi_rng_uniform(rng), dof) / dof);
}

double dpi_sensor_draw(const dpi_sensor *s, double f, double bias, double scale, dpi_rng *rng) {
  double u, h = on_scale(s, f) + bias;
  switch (s->noise) {
    case DPI_SENSOR_LAPLACE:
    case DPI_SENSOR_LOGLAPLACE:
      u = dpi_rng_uniform(rng);
      h += scale * (u < 0.5 ? dpi_m_log(2 * u) : -dpi_m_log(2 - 2 * u));
      return dpi_sensor_log(s) ? dpi_m_exp(h) : h;
    case DPI_SENSOR_STUDENT:
      return h + scale * student_draw(s->dof, rng);
    case DPI_SENSOR_LOGNORMAL:
      return dpi_m_exp(h + scale * dpi_rng_normal(rng));
    default:
      return h + scale * dpi_rng_normal(rng);
  }
}

/* ---- moments by quadrature ---- */

#define GRID 400 /* points of either kind */

/* Two grids merged: even steps over N(m, c), and steps that grow with the distance from y, where likelihoods have their
 * kinks and narrow peaks. */
typedef struct grid {
  double m, sd, y, scale, reach;
  int a, b;
} grid;

static double grid_even(const grid *g, int i) { return g->m + 9 * g->sd * (2.0 * i / (GRID - 1) - 1); }
static double grid_grown(const grid *g, int i) { return g->y + g->scale * dpi_m_sinh(g->reach * (2.0 * i / GRID - 1)); }

static bool grid_next(grid *g, double *h) {
  if (g->a >= GRID && g->b > GRID) return false;
  double even = g->a < GRID ? grid_even(g, g->a) : INFINITY;
  double grown = g->b <= GRID ? grid_grown(g, g->b) : INFINITY;
  *h = even <= grown ? even : grown;
  if (even <= grown)
    g->a++;
  else
    g->b++;
  return true;
}

/* Mean and variance of N(m, c) x likelihood, and ln of its integral. */
static bool moments(const dpi_sensor *s, int censored, double y, double m, double c, double scale, double *mean,
                    double *var, double *lnz) {
  double sd = sqrt(c), h[2 * GRID + 1], l[2 * GRID + 1], top = -INFINITY, sum[3] = {0, 0, 0};
  grid g = {.m = m, .sd = sd, .y = y, .scale = scale};
  g.reach = dpi_m_asinh((fabs(y - m) + 9 * sd) / scale);
  int n = 0;
  while (grid_next(&g, &h[n])) {
    double z = (h[n] - m) / sd;
    l[n] = log_like(s, censored, y, h[n], scale) - 0.5 * (z * z + LN_2PI) - dpi_m_log(sd);
    top = fmax(top, l[n++]);
  }
  if (!isfinite(top)) return false;
  for (int i = 0; i < n; i++) {
    double left = i > 0 ? h[i - 1] : h[i], right = i < n - 1 ? h[i + 1] : h[i];
    double w = 0.5 * (right - left) * dpi_m_exp(l[i] - top), d = h[i] - m;
    sum[0] += w;
    sum[1] += w * d;
    sum[2] += w * d * d;
  }
  double shift = sum[1] / sum[0];
  *mean = m + shift;
  *var = sum[2] / sum[0] - shift * shift;
  *lnz = top + dpi_m_log(sum[0]);
  return sum[0] > 0 && *var > 0;
}

dpi_matched dpi_sensor_match(const dpi_sensor *s, const dpi_reading *r, double m, double c, double scale) {
  double y = on_scale(s, r->y), mean, var, lnz;
  bool normal = s->noise == DPI_SENSOR_NORMAL || s->noise == DPI_SENSOR_LOGNORMAL;
  double jacobian = dpi_sensor_log(s) && !r->censored ? y : 0;
  if (normal && !r->censored) {
    double v = c + scale * scale, d = y - m;
    return (dpi_matched){y, scale * scale, -0.5 * (d * d / v + LN_2PI + dpi_m_log(v)) - jacobian};
  }
  dpi_matched none = {m, INFINITY, log_like(s, r->censored, y, m, scale) - jacobian};
  if (!(c > 0)) return none;
  if (!moments(s, r->censored, y, m, c, scale, &mean, &var, &lnz)) return none;
  /* an outlier may widen the law: a Gaussian reading can't say that, it then says next to nothing of the spread */
  double v = fmin(var, c * (1 - 1e-6));
  double noise = v * c / (c - v);
  return (dpi_matched){m + (mean - m) * (noise + c) / c, noise, lnz - jacobian};
}
