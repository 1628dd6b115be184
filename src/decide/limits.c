/* limits.c - from functional values on draws to probabilities with bounds.
 *
 * A limit "P(event) <= p" holds when the one-sided upper Clopper-Pearson bound of the ensemble's estimate is <= p; a limit
 * "P(event) >= p" when the lower bound is >= p. The number of draws is the effective one, so that a poor ensemble makes
 * the judgement stricter and never looser. Clopper & Pearson 1934; bounds by the beta quantile. */
#include <math.h>

#include "decide/decide.h"

bool dpi_decide_event(const dpi_kind_term *term, double value) {
  return term->relation < 0 ? value < term->bound : value > term->bound;
}

/* one-sided bounds at `confidence` are two-sided ones at 2 confidence - 1 */
static void bounds(double p, double neff, double confidence, double *low, double *high) {
  dpi_binomial_bounds(p * neff, neff, 2.0 * confidence - 1.0, low, high);
}

static dp_term_value judge_limit(const dpi_kind_term *term, const double *value, int ndraw, double neff,
                                 double confidence) {
  int hit = 0;
  for (int k = 0; k < ndraw; k++) {
    /* a member that failed counts against the plan, whichever way the limit points */
    bool event = isnan(value[k]) ? !term->at_least : dpi_decide_event(term, value[k]);
    hit += event;
  }
  dp_term_value v = {.value = (double)hit / ndraw};
  bounds(v.value, neff, confidence, &v.low, &v.high);
  v.holds = term->at_least ? v.low >= term->probability : v.high <= term->probability;
  return v;
}

double dpi_decide_reward(const dp_kind *kind, const dpi_kind_term *term, double value, double interval) {
  double window = dpi_decide_window(kind, interval);
  if (isnan(value)) return 0.0;
  if (isinf(value)) value = window; /* a passage that does not come within the window */
  return term->fraction ? value / window : value;
}

static dp_term_value judge_reward(const dp_kind *kind, const dpi_kind_term *term, const double *value, int ndraw,
                                  double neff, double interval, double confidence) {
  double sum = 0, sum2 = 0;
  for (int k = 0; k < ndraw; k++) {
    double x = dpi_decide_reward(kind, term, value[k], interval);
    sum += x;
    sum2 += x * x;
  }
  double mean = sum / ndraw, var = fmax(sum2 / ndraw - mean * mean, 0.0);
  double half = dpi_norm_quantile(confidence) * sqrt(var / fmax(neff, 1.0));
  return (dp_term_value){.value = mean, .low = mean - half, .high = mean + half, .holds = 1};
}

dp_term_value dpi_decide_judge(const dp_kind *kind, const dpi_kind_term *term, const double *value, int ndraw,
                               double neff, double interval, double confidence) {
  if (term->goal == DPI_GOAL_LIMIT) return judge_limit(term, value, ndraw, neff, confidence);
  return judge_reward(kind, term, value, ndraw, neff, interval, confidence);
}

double dpi_decide_threshold(const dpi_kind_term *term, double neff, double confidence) {
  double a = 0, b = 1; /* bisection: the bound is monotone in the estimate */
  for (int i = 0; i < 40; i++) {
    double mid = 0.5 * (a + b), low, high;
    bounds(mid, neff, confidence, &low, &high);
    bool holds = term->at_least ? low >= term->probability : high <= term->probability;
    if (holds == term->at_least)
      b = mid;
    else
      a = mid;
  }
  return term->at_least ? b : a;
}
