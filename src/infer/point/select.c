/* select.c - floor 6, inside infer/point: criteria, predictive accuracy, weights, averages. */
#include "infer/point/select.h"

#include <math.h>
#include <string.h>

#include "num/num.h"

#define WAIC_BAD 0.4
#define STACK_STEPS 10000
#define STACK_TOL 1e-10

dpi_criteria dpi_criteria_of(double loglik, int nparam, int ndatum) {
  double k = nparam, n = ndatum;
  dpi_criteria c = {2 * k - 2 * loglik, INFINITY, (k > 0 ? k * dpi_m_log(n) : 0) - 2 * loglik};
  if (n > k + 1) c.aicc = c.aic + 2 * k * (k + 1) / (n - k - 1);
  return c;
}

void dpi_select_weights(const double *criterion, int nmodel, double *weight) {
  double least = INFINITY, sum = 0;
  for (int k = 0; k < nmodel; k++) {
    if (criterion[k] < least) least = criterion[k];
  }
  for (int k = 0; k < nmodel; k++) {
    bool counts = isfinite(criterion[k]) && isfinite(least);
    weight[k] = counts ? dpi_m_exp(-0.5 * (criterion[k] - least)) : 0;
    sum += weight[k];
  }
  for (int k = 0; k < nmodel; k++) weight[k] = sum > 0 ? weight[k] / sum : 0;
}

/* ---- predictive accuracy ---- */

/* ln mean exp of a column */
static double log_mean_exp(const double *v, int n) {
  double top = -INFINITY, sum = 0;
  for (int s = 0; s < n; s++) top = fmax(top, v[s]);
  if (!isfinite(top)) return top;
  for (int s = 0; s < n; s++) sum += dpi_m_exp(v[s] - top);
  return top + dpi_m_log(sum / n);
}

static double variance(const double *v, int n) {
  double mean = dpi_sum(v, n) / n, sum = 0;
  for (int s = 0; s < n; s++) sum += (v[s] - mean) * (v[s] - mean);
  return n > 1 ? sum / (n - 1) : 0;
}

static void finish(const double *part, int n, dpi_elpd *out) {
  out->elpd = dpi_sum(part, n);
  out->se = sqrt(n * variance(part, n));
  out->ic = -2 * out->elpd;
}

static dp_status check_draws(dp_ctx *ctx, int ndraw, int ndatum) {
  if (ndraw >= 2 && ndatum >= 1) return DP_OK;
  return dpi_fail(ctx, DP_ERR_USAGE,
                  "predictive accuracy: %d draws, %d observations; two draws and one observation needed", ndraw,
                  ndatum);
}

dp_status dpi_select_waic(dp_ctx *ctx, const double *lp, int ndraw, int ndatum, double *point, dpi_elpd *out) {
  *out = (dpi_elpd){0};
  DP_TRY(check_draws(ctx, ndraw, ndatum));
  double *column = DPI_NEW_ARRAY(ctx, double, (size_t)ndraw + (size_t)ndatum), *part = column + ndraw;
  if (!column) return DP_ERR_MEMORY;
  for (int i = 0; i < ndatum; i++) {
    for (int s = 0; s < ndraw; s++) column[s] = lp[(size_t)s * (size_t)ndatum + (size_t)i];
    double p = variance(column, ndraw);
    part[i] = log_mean_exp(column, ndraw) - p;
    out->p += p;
    out->worst = fmax(out->worst, p);
    out->nbad += !(p <= WAIC_BAD);
  }
  finish(part, ndatum, out);
  if (point) memcpy(point, part, sizeof(double) * (size_t)ndatum);
  dpi_free(ctx, column);
  return DP_OK;
}

/* One observation left out: its part of elpd; k-hat. work [4 ndraw] */
static double leave_out(const double *lp, int ndraw, double *work, int *order, double *khat) {
  double *w = work, *sum = work + 3 * (size_t)ndraw;
  for (int s = 0; s < ndraw; s++) w[s] = -lp[s];
  *khat = dpi_psis(w, ndraw, work + ndraw, order);
  double top = -INFINITY;
  for (int s = 0; s < ndraw; s++) top = fmax(top, lp[s]);
  if (!isfinite(top)) return top;
  for (int s = 0; s < ndraw; s++) sum[s] = w[s] * dpi_m_exp(lp[s] - top);
  return top + dpi_m_log(dpi_sum(sum, ndraw));
}

dp_status dpi_select_loo(dp_ctx *ctx, const double *lp, int ndraw, int ndatum, double *point, double *khat,
                         dpi_elpd *out) {
  *out = (dpi_elpd){.worst = -INFINITY};
  DP_TRY(check_draws(ctx, ndraw, ndatum));
  double *column = DPI_NEW_ARRAY(ctx, double, 5 * (size_t)ndraw + (size_t)ndatum), *part = column + 5 * (size_t)ndraw;
  int *order = DPI_NEW_ARRAY(ctx, int, ndraw);
  double limit = fmin(1 - 1 / dpi_m_log10(ndraw), 0.7);
  for (int i = 0; column && order && i < ndatum; i++) {
    double k;
    for (int s = 0; s < ndraw; s++) column[s] = lp[(size_t)s * (size_t)ndatum + (size_t)i];
    part[i] = leave_out(column, ndraw, column + ndraw, order, &k);
    out->p += log_mean_exp(column, ndraw) - part[i];
    out->worst = fmax(out->worst, k);
    out->nbad += !(k <= limit);
    if (khat) khat[i] = k;
  }
  bool memory = column && order;
  if (memory) finish(part, ndatum, out);
  if (memory && point) memcpy(point, part, sizeof(double) * (size_t)ndatum);
  dpi_free(ctx, column);
  dpi_free(ctx, order);
  return memory ? DP_OK : DP_ERR_MEMORY;
}

void dpi_select_difference(const double *point_a, const double *point_b, int ndatum, double *difference, double *se) {
  double sum = 0, squares = 0;
  for (int i = 0; i < ndatum; i++) sum += point_a[i] - point_b[i];
  for (int i = 0; i < ndatum; i++) {
    double e = point_a[i] - point_b[i] - sum / ndatum;
    squares += e * e;
  }
  *difference = sum;
  *se = ndatum > 1 ? sqrt(ndatum * squares / (ndatum - 1)) : 0;
}

/* Each step gives a model the share of the mixture's density that is its own: the score never falls. */
void dpi_select_stack(const double *point, int nmodel, int ndatum, double *weight) {
  for (int k = 0; k < nmodel; k++) weight[k] = 1.0 / nmodel;
  for (int step = 0; step < STACK_STEPS; step++) {
    double change = 0;
    for (int k = 0; k < nmodel; k++) {
      double share = 0;
      for (int i = 0; i < ndatum; i++) {
        double mix = 0; /* of the mixture, relative to model k */
        for (int l = 0; l < nmodel; l++)
          mix += weight[l] * dpi_m_exp(point[(size_t)l * ndatum + i] - point[(size_t)k * ndatum + i]);
        share += 1 / mix;
      }
      double next = weight[k] * share / ndatum;
      change = fmax(change, fabs(next - weight[k]));
      weight[k] = next;
    }
    double sum = 0;
    for (int k = 0; k < nmodel; k++) sum += weight[k];
    for (int k = 0; k < nmodel; k++) weight[k] /= sum;
    if (change < STACK_TOL) return;
  }
}

void dpi_select_average(const double *weight, const double *mean, const double *variance, int nmodel, double *out_mean,
                        double *out_variance) {
  double m = 0, v = 0;
  for (int k = 0; k < nmodel; k++) m += weight[k] > 0 ? weight[k] * mean[k] : 0;
  for (int k = 0; k < nmodel; k++) {
    if (weight[k] > 0) v += weight[k] * (variance[k] + (mean[k] - m) * (mean[k] - m));
  }
  *out_mean = m;
  *out_variance = v;
}

dp_status dpi_select_pointwise(dpi_density *d, const double *x, int ndraw, double *lp, int *nused) {
  *nused = 0;
  if (!d->ops->pointwise)
    return dpi_fail(d->ctx, DP_ERR_UNSUPPORTED,
                    "predictive accuracy: this density has no log-likelihood by observation");
  for (int s = 0; s < ndraw; s++) {
    bool ok = false;
    DP_TRY(d->ops->pointwise(d, x + (size_t)s * (size_t)d->n, lp + (size_t)*nused * (size_t)d->ndatum, &ok));
    *nused += ok;
  }
  return DP_OK;
}
