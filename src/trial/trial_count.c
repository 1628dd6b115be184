/* trial_count.c - floor 8: endpoints of readings that are at hand, one after another: what the laws of an arm count on
 * their way (trial_model.c), over an array.
 */
#include <math.h>

#include "num/num.h"
#include "trial/trial_impl.h"

/* Kovatchev's symmetrised glucose, mg/dL; its risk below (side -1) or above 0. */
static double risk(double g, double side) {
  const double f = 1.509 * (dpi_m_pow(dpi_m_log(g > 1 ? g : 1), 1.084) - 5.381);
  return f * side > 0 ? 10 * f * f : 0;
}

/* Mean and sum of squares about it, updated one by one (Welford 1962). */
static double spread(const double *x, int n, bool relative) {
  double mean = 0, square = 0;
  for (int k = 0; k < n; k++) {
    const double away = x[k] - mean;
    mean += away / (k + 1);
    square += away * away * k / (k + 1);
  }
  const double sd = sqrt(square / (n > 1 ? n - 1 : 1));
  return n < 2 ? NAN : relative ? 100 * sd / mean : sd;
}

/* What one reading adds. */
static double part(const dpi_endpoint *e, double x) {
  switch (e->metric) {
    case DPI_METRIC_BETWEEN:
      return x >= e->level && x <= e->level2;
    case DPI_METRIC_BELOW:
      return x < e->level;
    case DPI_METRIC_ABOVE:
      return x > e->level;
    case DPI_METRIC_LBGI:
      return risk(x, -1);
    case DPI_METRIC_HBGI:
      return risk(x, 1);
    default:
      return x;
  }
}

double dpi_trial_count(const dp_trial *t, const dpi_endpoint *e, const double *x, int n) {
  double sum = 0, most = -INFINITY;
  if (n < 1) return NAN;
  if (e->metric == DPI_METRIC_SD || e->metric == DPI_METRIC_CV) return spread(x, n, e->metric == DPI_METRIC_CV);
  const double sign = e->metric == DPI_METRIC_MINIMUM ? -1 : 1;
  for (int k = 0; k < n; k++) {
    if (isnan(x[k])) return NAN;
    sum += part(e, x[k]);
    if (sign * x[k] > most) most = sign * x[k];
  }
  if (e->metric == DPI_METRIC_MAXIMUM || e->metric == DPI_METRIC_MINIMUM) return sign * most;
  if (e->metric == DPI_METRIC_GMI) return 3.31 + 0.02392 * sum / n;
  if (e->metric > DPI_METRIC_ABOVE) return sum / n;
  return e->percent ? 100 * sum / n : t->sampling * sum; /* a reading stands for the time to the next */
}
