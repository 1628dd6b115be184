/* limits.c - floor 6: from functional values on draws to probabilities, rewards and risks with bounds.
 *
 * A limit "P(event) <= p" holds when the one-sided upper Clopper-Pearson bound of the ensemble's estimate is <= p; a
 * limit
 * "P(event) >= p" when the lower bound is >= p. The number of draws is the effective one, so that a poor ensemble makes
 * the judgement stricter and never looser. Clopper & Pearson 1934; bounds by the beta quantile.
 *
 * A reward counts by its expectation, by a quantile, or by the mean of the worst share of draws (CVaR; Rockafellar &
 * Uryasev 2000).
 * Worst is in the sense of the weight: the smallest values where more is better, the largest where more is worse. */
#include <math.h>
#include <string.h>

#include "decide/decide.h"

bool dpi_decide_event(const dpi_kind_term *term, double value) {
  if (term->band) return (value >= term->bound && value <= term->bound2) == (term->band > 0);
  if (value == term->bound) return term->closed;
  return term->relation < 0 ? value < term->bound : value > term->bound;
}

/* one-sided bounds at `confidence` are two-sided ones at 2 confidence - 1 */
static void bounds(double p, double neff, double confidence, double *low, double *high) {
  dpi_binomial_bounds(p * neff, neff, 2.0 * confidence - 1.0, low, high);
}

dp_term_value dpi_decide_judge_limit(const dpi_kind_term *term, const double *value, int ndraw, double neff,
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

/* How much of what a limit allows is used up at a bound. */
static double used(const dpi_kind_term *k, double low, double high) {
  double allowed = k->at_least ? 1.0 - k->probability : k->probability;
  return (k->at_least ? 1.0 - low : high) / fmax(allowed, 1e-6);
}

double dpi_decide_used(const dpi_kind_term *term, double estimate, double neff, double confidence) {
  double low, high;
  bounds(estimate, neff, confidence, &low, &high);
  return used(term, low, high);
}

/* ---------------------------------------------------------------- risk, where counting is too coarse */

#define TAIL 0.25 /* a limit that allows less is about a tail */

/* How far a value lies on the harmless side of a limit; negative: it counts against the plan. */
static double margin(const dpi_kind_term *term, double value) {
  if (isnan(value)) return -INFINITY;
  double good = term->relation < 0 ? value - term->bound : term->bound - value;
  if (term->band) good = fmax(term->bound - value, value - term->bound2) * term->band;
  return term->at_least ? -good : good;
}

/* Share of draws whose margin m is negative. In a tail that a few draws make up, counts do not tell plans apart:
 * there a normal law through the margins' median and the quantile that the limit is about says how the tail goes
 * on. */
static double tail_share(double *m, int n, double allowed) {
  const int at = (int)(allowed * n);
  int hit = 0;
  dpi_sort(m, n);
  while (hit < n && m[hit] < 0) hit++;
  const double middle = m[n / 2], counted = (hit + 0.5) / (n + 1);
  if (allowed > TAIL || !isfinite(middle) || !isfinite(m[at]) || middle <= 0) return counted;
  const double reach = middle - m[at];
  if (!(reach > 0)) return counted;
  return dpi_norm_cdf(dpi_norm_quantile((at + 0.5) / n) * (middle / reach));
}

dp_status dpi_decide_risk(const dp_kind *kind, const dpi_rehearsal *r, int row, double *out) {
  double *m = DPI_NEW_ARRAY(kind->ctx, double, r->ndraw + 1);
  *out = 0;
  if (!m) return DP_ERR_MEMORY;
  for (int t = 0; t < r->nterm; t++) {
    const dpi_kind_term *k = &kind->reward.term[t];
    if (k->goal != DPI_GOAL_LIMIT) continue;
    const double allowed = k->at_least ? 1 - k->probability : k->probability, *value = dpi_rehearsed(r, row, t);
    for (int i = 0; i < r->ndraw; i++) m[i] = margin(k, value[i]);
    *out = fmax(*out, tail_share(m, r->ndraw, allowed) / fmax(allowed, 1e-6));
  }
  dpi_free(kind->ctx, m);
  return DP_OK;
}

double dpi_decide_effective(const dp_belief *b, int ndraw) {
  double n = b->ess > 0 ? b->ess : (double)b->ndraw;
  return fmin(n, (double)ndraw);
}

/* ---------------------------------------------------------------- what a draw earns */

static dp_status by_utility(const dp_kind *kind, const dpi_kind_term *term, const double *value, int n, double *x) {
  double *work = DPI_NEW_ARRAY(kind->ctx, double, dpi_kind_formula_work(term->utility) + 1);
  if (!work) return DP_ERR_MEMORY;
  dpi_kind_formula_many(term->utility, x, n, work, x);
  dpi_free(kind->ctx, work);
  for (int k = 0; k < n; k++)
    if (!isfinite(x[k]) && !isnan(value[k]))
      return dpi_fail(kind->ctx, DP_ERR_INPUT, "%s: reward '%s': its utility gives no number at x = %.9g %s", kind->dir,
                      term->id, value[k], term->unit);
  for (int k = 0; k < n; k++)
    if (isnan(value[k])) x[k] = NAN; /* piecewise(0, x > 20, 1) has a number even for what is none */
  return DP_OK;
}

dp_status dpi_decide_earn(const dp_kind *kind, const dpi_kind_term *term, const double *value, int n, double window,
                          double *out) {
  double whole = term->windowed ? term->to - term->from : window;
  for (int k = 0; k < n; k++) {
    double x = value[k];
    /* a passage that does not come within the window: as if at its end, from now on as all passages are */
    if (isinf(x) && term->of == DPI_OF_PATH) x = term->windowed ? term->to : window;
    if (term->event) x = isnan(value[k]) ? term->weight < 0 : dpi_decide_event(term, value[k]);
    out[k] = term->fraction ? x / whole : x;
  }
  if (term->utility) DP_TRY(by_utility(kind, term, value, n, out));
  /* a member that failed earns nothing, or as little as the worst of the others where that is less than nothing */
  double least = 0;
  for (int k = 0; k < n; k++)
    if (term->weight < 0 ? out[k] > least : out[k] < least) least = out[k];
  for (int k = 0; k < n; k++)
    if (isnan(out[k])) out[k] = least;
  return DP_OK;
}

/* ---------------------------------------------------------------- rewards */

/* The mean of zeros and ones: bounds of a probability, which never leave 0 to 1 (Clopper-Pearson, as limits have). */
static dp_term_value judge_event(const double *x, int n, double neff, double confidence) {
  double hit = 0;
  for (int k = 0; k < n; k++) hit += x[k];
  dp_term_value v = {.value = hit / n, .holds = 1};
  bounds(v.value, neff, confidence, &v.low, &v.high);
  return v;
}

static dp_term_value judge_mean(const double *x, int n, double neff, double confidence) {
  double sum = 0, square = 0;
  for (int k = 0; k < n; k++) sum += x[k];
  double mean = sum / n;
  for (int k = 0; k < n; k++) square += (x[k] - mean) * (x[k] - mean);
  double var = square / n;
  double half = dpi_norm_quantile(confidence) * sqrt(var / fmax(neff, 1.0));
  return (dp_term_value){.value = mean, .low = mean - half, .high = mean + half, .holds = 1};
}

/* Value at a share p of ascending x; bounds by order statistics. */
static dp_term_value judge_quantile(const double *x, int n, double p, double neff, double confidence) {
  double half = dpi_norm_quantile(confidence) * sqrt(p * (1 - p) / fmax(neff, 1.0));
  return (dp_term_value){.value = dpi_quantile_weighted(x, NULL, n, p, NULL),
                         .low = dpi_quantile_weighted(x, NULL, n, fmax(p - half, 0.0), NULL),
                         .high = dpi_quantile_weighted(x, NULL, n, fmin(p + half, 1.0), NULL),
                         .holds = 1};
}

/* Mean of the smallest share p of ascending x; the draw at the edge counts in part. Its error: that of the mean of
 * min(x, q) - q over p, q the quantile (Manistre & Hancock 2005, N Am Actuar J 9:129). */
static dp_term_value judge_worst(const double *x, int n, double p, double neff, double confidence) {
  double share = p * n, sum = 0, left = share, q = x[n - 1], mean = 0, var = 0;
  for (int k = 0; k < n && left > 0; k++) {
    double w = fmin(left, 1.0);
    sum += w * x[k];
    left -= w;
    q = x[k];
  }
  for (int k = 0; k < n; k++) mean += fmin(x[k] - q, 0.0) / n;
  for (int k = 0; k < n; k++) {
    double d = fmin(x[k] - q, 0.0) - mean;
    var += d * d / n;
  }
  double value = sum / share, half = dpi_norm_quantile(confidence) * sqrt(var / fmax(neff, 1.0)) / p;
  return (dp_term_value){.value = value, .low = value - half, .high = value + half, .holds = 1};
}

/* The same of zeros and ones: what an event's probability makes of it, at the estimate and at its bounds. */
static dp_term_value judge_worst_event(const dpi_kind_term *term, dp_term_value v) {
  const double p = term->risk_level;
  double *const of[3] = {&v.value, &v.low, &v.high};
  for (int i = 0; i < 3; i++) /* the worst share are ones where they hurt, zeros where they help, as far as they go */
    *of[i] = term->weight < 0 ? fmin(*of[i], p) / p : fmax(*of[i] - (1 - p), 0) / p;
  return v;
}

/* x [n] is put in order. */
static dp_term_value judge_risk(const dpi_kind_term *term, double *x, int n, double neff, double confidence) {
  double sign = term->weight < 0 ? -1.0 : 1.0; /* the worst first */
  if (term->event && term->risk == DPI_RISK_CVAR) return judge_worst_event(term, judge_event(x, n, neff, confidence));
  for (int k = 0; k < n; k++) x[k] *= sign;
  dpi_sort(x, n);
  dp_term_value v = term->risk == DPI_RISK_QUANTILE ? judge_quantile(x, n, term->risk_level, neff, confidence)
                                                    : judge_worst(x, n, term->risk_level, neff, confidence);
  if (sign > 0) return v;
  return (dp_term_value){.value = 0 - v.value, .low = 0 - v.high, .high = 0 - v.low, .holds = 1}; /* no -0 */
}

dp_status dpi_decide_judge(const dp_kind *kind, const dpi_kind_term *term, const double *value, int ndraw, double neff,
                           double window, double confidence, dp_term_value *out) {
  if (term->goal == DPI_GOAL_LIMIT) {
    *out = dpi_decide_judge_limit(term, value, ndraw, neff, confidence);
    return DP_OK;
  }
  double *x = DPI_NEW_ARRAY(kind->ctx, double, ndraw + 1);
  if (!x) return DP_ERR_MEMORY;
  dp_status status = dpi_decide_earn(kind, term, value, ndraw, window, x);
  if (status == DP_OK)
    *out = term->risk != DPI_RISK_EXPECTATION ? judge_risk(term, x, ndraw, neff, confidence)
           : term->event                      ? judge_event(x, ndraw, neff, confidence)
                                              : judge_mean(x, ndraw, neff, confidence);
  dpi_free(kind->ctx, x);
  return status;
}

/* ---------------------------------------------------------------- a plan */

/* Draws in which some functional could not be had. */
static int failed_draws(const dpi_rehearsal *r, int row) {
  int n = 0;
  for (int k = 0; k < r->ndraw; k++) {
    bool failed = false;
    for (int t = 0; t < r->nterm; t++) failed |= isnan(dpi_rehearsed(r, row, t)[k]);
    n += failed;
  }
  return n;
}

dp_status dpi_decide_judge_row(const dp_kind *kind, const dpi_rehearsal *r, int row, double neff, double confidence,
                               dp_term_value *term, double *objective, dpi_judgement *out) {
  *out = (dpi_judgement){.admissible = true, .nfailed = failed_draws(r, row)};
  if (out->nfailed == r->ndraw) out->admissible = false; /* nothing is known of it */
  for (int i = 0; objective && i < kind->reward.nobjective; i++) objective[i] = 0;
  for (int t = 0; t < r->nterm; t++) {
    const dpi_kind_term *k = &kind->reward.term[t];
    DP_TRY(dpi_decide_judge(kind, k, dpi_rehearsed(r, row, t), r->ndraw, neff, r->window[row], confidence, &term[t]));
    if (!term[t].holds) out->admissible = false;
    if (k->goal != DPI_GOAL_REWARD) continue;
    out->reward += k->weight * term[t].value;
    out->low += k->weight * (k->weight > 0 ? term[t].low : term[t].high);
    out->high += k->weight * (k->weight > 0 ? term[t].high : term[t].low);
    if (objective && k->objective >= 0) objective[k->objective] += k->weight * term[t].value;
  }
  return DP_OK;
}

double dpi_decide_shortfall(const dp_kind *kind, const dp_term_value *term, int *which) {
  double worst = -INFINITY;
  *which = -1;
  for (int t = 0; t < kind->reward.nterm; t++) {
    const dpi_kind_term *k = &kind->reward.term[t];
    if (k->goal != DPI_GOAL_LIMIT) continue;
    double miss = used(k, term[t].low, term[t].high);
    if (miss > worst) {
      worst = miss;
      *which = t;
    }
  }
  return worst;
}

bool dpi_decide_neutral(const dp_kind *kind) {
  for (int t = 0; t < kind->reward.nterm; t++)
    if (kind->reward.term[t].goal == DPI_GOAL_REWARD && kind->reward.term[t].risk != DPI_RISK_EXPECTATION) return false;
  return true;
}
