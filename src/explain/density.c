/* density.c - prior beside posterior: Gaussian kernel densities with Silverman's bandwidth (Silverman 1986, eq.
 * 3.31). */
#include <math.h>

#include "explain/explain.h"

static double spread(const double *v, int n, double *mean) {
  double m = 0, s = 0;
  for (int i = 0; i < n; i++) m += v[i];
  m /= n;
  for (int i = 0; i < n; i++) s += (v[i] - m) * (v[i] - m);
  *mean = m;
  return sqrt(s / (n > 1 ? n - 1 : 1));
}

static double kernel_sum(const double *v, int n, double width, double x) {
  double sum = 0;
  for (int i = 0; i < n; i++) sum += dpi_norm_pdf((x - v[i]) / width);
  return sum / (n * width);
}

void dpi_explain_density(const double *a, int na, const double *b, int nb, bool log_scale, double *x, double *da,
                         double *db) {
  double ma, mb, sa = spread(a, na, &ma), sb = spread(b, nb, &mb);
  double ha = fmax(1.06 * sa * dpi_m_pow(na, -0.2), 1e-9), hb = fmax(1.06 * sb * dpi_m_pow(nb, -0.2), 1e-9);
  double low = fmin(ma - 3 * sa, mb - 3 * sb), high = fmax(ma + 3 * sa, mb + 3 * sb);
  for (int i = 0; i < DPI_DENSITY_POINTS; i++) {
    double at = low + (high - low) * i / (DPI_DENSITY_POINTS - 1);
    x[i] = log_scale ? dpi_m_exp(at) : at;
    da[i] = kernel_sum(a, na, ha, at);
    db[i] = kernel_sum(b, nb, hb, at);
  }
}
