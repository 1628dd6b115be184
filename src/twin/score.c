/* score.c - the sealed samples are opened: was the forecast right, and was it better than two plain alternatives?
 *
 *   population   the prior's predictive distribution with the same noise model (the fair opponent)
 *   last value   the last seen value of the same observable carried forward (a point: its CRPS is the absolute error)
 * CRPS: Gneiting & Raftery 2007. PIT: F(y) of the exact mixture of the draws' laws of a measurement (noise and, when it is on,
 * discrepancy). */
#include <math.h>

#include "twin/twin_impl.h"

#define REPLICATES 4 /* noise replicates of each draw, stratified */

/* P(measurement <= y) under the ensemble. */
static double mixture_cdf(const dp_twin *t, const dpi_prediction *p, const dp_belief *b, int row, int observable,
                          double y) {
  const dpi_kind_observable *o = &t->kind->observable[observable];
  double sum = 0;
  int n = 0;
  for (int k = 0; k < b->ndraw; k++) {
    double f, sigma, slope;
    dpi_twin_predicted(t, p, k, row, observable, &f, &sigma);
    if (!isfinite(f) || !(sigma > 0)) continue;
    const double z = dpi_kind_error(o, y, f, sigma, &slope);
    sum += isnan(z) ? 0 : dpi_norm_cdf(z);
    n++;
  }
  return n ? sum / n : NAN;
}

/* Last seen, measured value of the observable, or NaN. */
static double last_value(const dp_twin *t, int observable) {
  for (int i = t->view.nseen - 1; i >= 0; i--)
    if (t->seen[i].observable == observable && !t->seen[i].censored) return t->seen[i].value;
  return NAN;
}

static bool within(const double *q, int low, int high, double y) { return y >= q[low] && y <= q[high]; }

/* One sample against one ensemble: quantiles, CRPS, error of the median. */
static void against(const dp_twin *t, const dpi_prediction *p, const dp_belief *b, int row, const dp_seen *s,
                    double *work, double q[DP_NLEVEL], double *crps, double *error) {
  int n = dpi_twin_measured(t, p, b, row, s->observable, REPLICATES, work);
  *crps = *error = NAN;
  for (int l = 0; l < DP_NLEVEL; l++) q[l] = NAN;
  if (n < 2) return;
  dpi_sort(work, n);
  for (int l = 0; l < DP_NLEVEL; l++) q[l] = dpi_quantile_weighted(work, NULL, n, dp_level[l], NULL);
  *crps = dpi_crps_sample(work, NULL, n, s->value, NULL);
  *error = q[DP_NLEVEL / 2] - s->value;
}

static void score_sample(dp_twin *t, int i, double *work, dp_sample_score *out) {
  const dp_seen *s = &t->seen[i];
  int row = t->obs_row[i];
  double q[DP_NLEVEL], last = last_value(t, s->observable);
  out->observation = i;
  against(t, &t->ahead, t->belief, row, s, work, out->q, &out->crps[DP_BY_TWIN], &out->error[DP_BY_TWIN]);
  out->crps[DP_BY_POPULATION] = out->error[DP_BY_POPULATION] = NAN;
  for (int l = 0; l < DP_NLEVEL; l++) q[l] = NAN; /* nothing is within a band that was not made */
  if (t->before)
    against(t, &t->population, t->before, row, s, work, q, &out->crps[DP_BY_POPULATION],
            &out->error[DP_BY_POPULATION]);
  out->crps[DP_BY_LAST] = fabs(last - s->value);
  out->error[DP_BY_LAST] = last - s->value;
  out->pit = mixture_cdf(t, &t->ahead, t->belief, row, s->observable, s->value);
  for (int w = 0; w < 4; w++) out->inside[w] = within(out->q, 3 - w, 5 + w, s->value);
  out->inside_population = within(q, 1, 7, s->value);
}

dp_status dpi_twin_score(dp_twin *t) {
  double begin = dpi_clock_s();
  int big = t->belief->ndraw;
  if (t->before && t->before->ndraw > big) big = t->before->ndraw;
  double *work = DPI_NEW_ARRAY(t->ctx, double, (size_t)big *REPLICATES);
  t->score = DPI_NEW_ARRAY(t->ctx, dp_sample_score, t->view.nsealed + 1);
  if (!work || !t->score) {
    dpi_free(t->ctx, work);
    return DP_ERR_MEMORY;
  }
  int n = 0;
  for (int i = t->view.nseen; i < t->c->nobs; i++)
    if (!t->seen[i].censored) score_sample(t, i, work, &t->score[n++]); /* a censored value has no number to score */
  dpi_free(t->ctx, work);
  dpi_prediction_release(t->ctx, &t->ahead); /* megabytes a person, and of no further use */
  dpi_prediction_release(t->ctx, &t->population);
  t->view.nscore = n;
  t->view.score = t->score;
  t->view.seconds[2] = dpi_clock_s() - begin;
  return DP_OK;
}
