/* psis.c - Pareto-smoothed importance sampling.
 *
 * Sources: A. Vehtari, D. Simpson, A. Gelman, Y. Yao, J. Gabry, "Pareto smoothed importance
 * sampling", JMLR 25 (2024), section 3; the generalised Pareto fit is J. Zhang, M. A. Stephens,
 * "A new and efficient estimation method for the generalized Pareto distribution", Technometrics
 * 51 (2009) 316, with the paper's weak prior on the shape. The tail is rounded down as in arviz-
 * stats (the R package loo rounds up).
 */
#include "num/num.h"

#include <math.h>

#define GRID_MAX 512
#define PRIOR 3.0       /* Zhang & Stephens' choice for the spread of the grid */
#define PRIOR_SHAPE 0.5 /* weak prior: ten observations at k = 1/2 */
#define PRIOR_SIZE 10.0
#define MIN_TAIL 5

/* profile shape: mean of ln(1 - theta x) */
static double shape(const double *x, int n, double theta) {
  double s = 0.0;
  for (int i = 0; i < n; i++) s += dpi_m_log1p(-theta * x[i]);
  return s / n;
}

/* Fit to ascending exceedances x > 0; k NaN when they do not allow it. */
static void pareto_fit(const double *x, int n, double *k, double *sigma) {
  double theta[GRID_MAX], loglik[GRID_MAX];
  int m = 30 + (int)floor(sqrt((double)n));
  if (m > GRID_MAX) m = GRID_MAX;
  double quartile = x[(int)floor(n / 4.0 + 0.5) - 1], best = -INFINITY;
  for (int j = 0; j < m; j++) {
    theta[j] = 1.0 / x[n - 1] + (1.0 - sqrt(m / (j + 0.5))) / (PRIOR * quartile);
    double kj = shape(x, n, theta[j]);
    loglik[j] = n * (dpi_m_log(-theta[j] / kj) - kj - 1.0);
    if (loglik[j] > best) best = loglik[j];
  }
  double sum = 0.0, mean = 0.0;
  for (int j = 0; j < m; j++) {
    double w = dpi_m_exp(loglik[j] - best);
    sum += w;
    mean += w * theta[j];
  }
  mean /= sum;
  double raw = shape(x, n, mean);
  *sigma = -raw / mean;
  *k = (raw * n + PRIOR_SHAPE * PRIOR_SIZE) / (n + PRIOR_SIZE);
}

/* quantile of the generalised Pareto distribution */
static double pareto_quantile(double p, double k, double sigma) {
  double l = dpi_m_log1p(-p);
  return fabs(k) < 1e-30 ? -sigma * l : sigma * dpi_m_expm1(-k * l) / k;
}

/* Replace the tail (the last m of order) by quantiles of the fit, none above the largest raw
 * weight 1. */
static double smooth_tail(double *w, const int *order, int n, int m, double *tail) {
  double cutoff = w[order[n - m - 1]], k, sigma;
  for (int i = 0; i < m; i++) tail[i] = w[order[n - m + i]] - cutoff;
  if (!(tail[m - 1] > 0.0)) return INFINITY;
  pareto_fit(tail, m, &k, &sigma);
  if (!isfinite(k) || !isfinite(sigma)) return INFINITY;
  for (int i = 0; i < m; i++) {
    double q = cutoff + pareto_quantile((i + 0.5) / m, k, sigma);
    w[order[n - m + i]] = fmin(q, 1.0);
  }
  return k;
}

double dpi_psis(double *logw, int n, double *work, int *order) {
  double best = -INFINITY, khat = INFINITY;
  bool nan = false;
  for (int i = 0; i < n; i++) {
    if (logw[i] > best) best = logw[i];
    nan = nan || logw[i] != logw[i];
  }
  if (nan || !isfinite(best)) {
    for (int i = 0; i < n; i++) logw[i] = 0.0;
    return nan ? NAN : INFINITY;
  }
  for (int i = 0; i < n; i++) logw[i] = dpi_m_exp(logw[i] - best);
  int m = (int)floor(fmin(0.2 * n, 3.0 * sqrt((double)n)));
  if (m >= MIN_TAIL && n > m) {
    dpi_argsort(logw, n, order);
    khat = smooth_tail(logw, order, n, m, work);
  }
  double total = dpi_sum(logw, n);
  for (int i = 0; i < n; i++) logw[i] /= total;
  return khat;
}
