/* why.c - floor 8: what stands behind a proposal: terms, limits, drivers, and what would have to be true for another plan to win.
 *
 * Everything is computed from the appraisal's numbers draw by draw; nothing is simulated here.
 *
 * A parameter is moved by exponential tilting: draw k weighs exp(lambda z_k), z the parameter standardised over the belief. Of all
 * beliefs over these draws in which the parameter has the same mean this is the one nearest to the present (Csiszar 1975, Ann Probab
 * 3:146), and the shift of the mean is sum w z. */
#include "explain/why_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "decide/decide.h"

#define COOKIE 0x57485921u
#define Z95 1.959963984540054
#define LAMBDA_STEP 0.02

dp_why_def dp_why_def_default(void) {
  return (dp_why_def){.cookie = COOKIE, .seed = 1, .nboot = 200, .most_rivals = 5, .most_sd = 3.0, .least_ess = 50.0};
}

void dp_why_destroy(dp_why *w) {
  if (!w) return;
  for (int i = 0; w->rival && i < w->nrival; i++) dpi_free(w->ctx, w->rival[i].shift);
  dpi_free(w->ctx, w->term);
  dpi_free(w->ctx, w->limit);
  dpi_free(w->ctx, w->driver);
  dpi_free(w->ctx, w->limit_driver);
  dpi_free(w->ctx, w->rival);
  dpi_free(w->ctx, w);
}

static bool is_limit(const dp_kind *k, int t) { return k->reward.term[t].goal == DPI_GOAL_LIMIT; }

/* The bound of the event's probability that counts, and what the limit leaves. */
static dp_why_limit limit_of(const dp_kind *k, const dp_plan_appraisal *p, int t) {
  const dpi_kind_term *x = &k->reward.term[t];
  const dp_term_value *v = &p->term[t];
  double bound = x->at_least ? v->low : v->high;
  return (dp_why_limit){.term = t,
                        .estimate = v->value,
                        .bound = bound,
                        .allowed = x->probability,
                        .slack = x->at_least ? bound - x->probability : x->probability - bound,
                        .holds = v->holds};
}

/* ---- terms, best beside runner-up ---- */

static bool risky(const dp_kind *k) {
  for (int t = 0; t < k->reward.nterm; t++)
    if (!is_limit(k, t) && k->reward.term[t].risk != DPI_RISK_EXPECTATION) return true;
  return false;
}

/* Mean and standard error of x over its finite values. */
static int mean_error(const double *x, int n, double neff, double *mean, double *error) {
  double sum = 0, sum2 = 0;
  int m = 0;
  for (int k = 0; k < n; k++)
    if (isfinite(x[k])) {
      sum += x[k];
      sum2 += x[k] * x[k];
      m++;
    }
  *mean = m ? sum / m : NAN;
  *error = m ? sqrt(fmax(sum2 / m - *mean * *mean, 0) / fmax(fmin(neff, m), 1)) : NAN;
  return m;
}

static double event_of(const dp_appraisal *a, int plan, int t, int draw) {
  return a->plan[plan].event[(size_t)t * (size_t)a->ndraw + (size_t)draw];
}

static void fill_term(const dpi_why_work *w, int t, dp_why_term *out) {
  const dp_appraisal *a = w->a;
  const dp_plan_appraisal *b = &a->plan[w->why->best], *r = &a->plan[w->why->runner_up];
  double weight = is_limit(w->kind, t) ? 1 : w->kind->reward.term[t].weight, mean, error;
  size_t first = (size_t)t * (size_t)a->ndraw;
  *out = (dp_why_term){.term = t, .low = NAN, .high = NAN};
  out->best = 0 + weight * b->term[t].value; /* no -0 */
  out->other = 0 + weight * r->term[t].value;
  out->difference = out->best - out->other;
  for (int k = 0; k < a->ndraw; k++)
    w->work[k] = is_limit(w->kind, t) ? event_of(a, w->why->best, t, k) - event_of(a, w->why->runner_up, t, k)
                                      : b->gain[first + (size_t)k] - r->gain[first + (size_t)k];
  if (mean_error(w->work, a->ndraw, a->neff, &mean, &error) < a->ndraw) return; /* a risk measure's error is not a mean's */
  out->low = out->difference - Z95 * error;
  out->high = out->difference + Z95 * error;
}

static dp_status fill_terms(dpi_why_work *w) {
  dp_why *y = w->why;
  if (y->best < 0 || y->runner_up < 0) return DP_OK;
  y->term = DPI_NEW_ARRAY(y->ctx, dp_why_term, w->a->nterm + 1);
  if (!y->term) return DP_ERR_MEMORY;
  y->nterm = w->a->nterm;
  for (int t = 0; t < y->nterm; t++) fill_term(w, t, &y->term[t]);
  return DP_OK;
}

/* Room left, as a share of what the limit allows to go wrong: limits of different strictness are compared by it. */
static double tightness(const dp_kind *k, const dp_why_limit *l) {
  double allowed = k->reward.term[l->term].at_least ? 1 - l->allowed : l->allowed;
  return l->slack / fmax(allowed, 1e-6);
}

static dp_status fill_limits(dpi_why_work *w, int plan) {
  dp_why *y = w->why;
  y->limit = DPI_NEW_ARRAY(y->ctx, dp_why_limit, w->a->nterm + 1);
  if (!y->limit) return DP_ERR_MEMORY;
  for (int t = 0; t < w->a->nterm; t++) {
    if (!is_limit(w->kind, t)) continue;
    dp_why_limit l = limit_of(w->kind, &w->a->plan[plan], t);
    int at = y->nlimit++;
    for (; at > 0 && tightness(w->kind, &l) < tightness(w->kind, &y->limit[at - 1]); at--) y->limit[at] = y->limit[at - 1];
    y->limit[at] = l;
  }
  return DP_OK;
}

/* ---- the parameters of the belief ---- */

/* Columns of the belief's individual parameters, standardised; of a parameter that occasions make several times, the last. */
static dp_status standardise(dpi_why_work *w) {
  const dp_belief *b = w->belief;
  dp_ctx *ctx = w->kind->ctx;
  int n = b->ndraw;
  w->z = DPI_NEW_ARRAY(ctx, double, (size_t)n *(size_t)(b->nindividual + 1));
  w->column = DPI_NEW_ARRAY(ctx, dpi_why_column, b->nindividual + 1);
  if (!w->z || !w->column) return DP_ERR_MEMORY;
  for (int e = 0; e < b->nindividual; e++) {
    bool again = false, positive = true;
    for (int f = e + 1; f < b->nindividual; f++)
      again = again || strcmp(w->kind->effect[e].parameter, w->kind->effect[f].parameter) == 0;
    for (int k = 0; k < n; k++) positive = positive && b->individual[(size_t)k * (size_t)b->nindividual + (size_t)e] > 0;
    if (again) continue;
    double *z = w->z + (size_t)w->ncolumn * (size_t)n, sum = 0, sum2 = 0;
    for (int k = 0; k < n; k++) {
      double x = b->individual[(size_t)k * (size_t)b->nindividual + (size_t)e];
      z[k] = positive ? dpi_m_log(x) : x;
      sum += z[k];
    }
    double mean = sum / n;
    for (int k = 0; k < n; k++) sum2 += (z[k] - mean) * (z[k] - mean);
    double sd = sqrt(sum2 / n);
    if (!(sd > 1e-12 * (1 + fabs(mean)))) continue; /* the same in every draw */
    for (int k = 0; k < n; k++) z[k] = (z[k] - mean) / sd;
    w->column[w->ncolumn++] = (dpi_why_column){.effect = e, .log = positive, .mean = mean, .sd = sd};
  }
  return DP_OK;
}

/* ---- what would have to be true ---- */

typedef struct tilted { /* a plan under weighed draws */
  double reward;
  bool admissible;
} tilted;

static tilted judge_tilted(const dpi_why_work *w, int plan, const double *weight) {
  const dp_appraisal *a = w->a;
  tilted out = {.admissible = true};
  double sum = 0, total = 0;
  for (int k = 0; k < a->ndraw; k++) {
    double x = a->plan[plan].draw[k];
    total += weight[k];
    if (isfinite(x)) sum += weight[k] * x;
  }
  out.reward = sum / total;
  for (int t = 0; t < a->nterm && out.admissible; t++) {
    if (!is_limit(w->kind, t)) continue;
    const dpi_kind_term *term = &w->kind->reward.term[t];
    double p = 0;
    for (int k = 0; k < a->ndraw; k++) p += weight[k] * event_of(a, plan, t, k);
    out.admissible = term->at_least ? p / total >= w->threshold[t] : p / total <= w->threshold[t];
  }
  return out;
}

/* Weights of the draws for one tilt; the shift of the mean in *sd. False when too few draws count. */
static bool tilt(const dpi_why_work *w, const double *z, double lambda, double *weight, double *sd) {
  int n = w->a->ndraw;
  double top = 0, sum = 0, sum2 = 0, mean = 0;
  for (int k = 0; k < n; k++) top = fmax(top, lambda * z[k]);
  for (int k = 0; k < n; k++) {
    weight[k] = dpi_m_exp(lambda * z[k] - top);
    sum += weight[k];
    sum2 += weight[k] * weight[k];
    mean += weight[k] * z[k];
  }
  *sd = mean / sum;
  return sum * sum / sum2 >= fmin(w->def->least_ess, 0.5 * n);
}

/* Who is the best of the plans compared under these weights; -1: none holds its limits. Equal ones: the present best stays. */
static int winner(const dpi_why_work *w, const double *weight) {
  int out = -1;
  double most = 0;
  for (int i = -1; i < w->a->nplan; i++) { /* the present best first */
    int plan = i < 0 ? w->why->best : i;
    if (plan < 0 || (i >= 0 && plan == w->why->best)) continue;
    tilted x = judge_tilted(w, plan, weight);
    if (!x.admissible || (out >= 0 && !(x.reward > most))) continue;
    out = plan;
    most = x.reward;
  }
  return out;
}

/* Along one column in one direction: least[plan] becomes the smallest shift at which each plan wins (NaN: none), and what comes back
 * is how far was looked. */
static double scan(const dpi_why_work *w, const dpi_why_column *c, int side, double *least) {
  const double *z = w->z + (size_t)(c - w->column) * (size_t)w->a->ndraw;
  double *weight = w->work, sd = 0, reach = 0, at;
  int before = w->why->best;
  for (int i = 0; i < w->a->nplan; i++) least[i] = NAN;
  for (double lambda = LAMBDA_STEP; tilt(w, z, side * lambda, weight, &sd) && fabs(sd) <= w->def->most_sd; lambda += LAMBDA_STEP) {
    int now = winner(w, weight);
    reach = fabs(sd);
    if (now == before) continue;
    before = now;
    if (now < 0 || !isnan(least[now])) continue;
    double low = lambda - LAMBDA_STEP, high = lambda;
    for (int i = 0; i < 10; i++) { /* between the last that another wins and the first that this one does */
      double middle = (low + high) / 2;
      tilt(w, z, side * middle, weight, &at);
      if (winner(w, weight) == now) high = middle;
      else low = middle;
    }
    tilt(w, z, side * high, weight, &least[now]);
  }
  return reach;
}

/* Least shifts of every parameter for every plan, [ncolumn x nplan]; the nearer of the two directions. */
static dp_status scan_all(dpi_why_work *w) {
  int nplan = w->a->nplan;
  double *least = DPI_NEW_ARRAY(w->kind->ctx, double, nplan + 1);
  w->shift = DPI_NEW_ARRAY(w->kind->ctx, double, (size_t)nplan *(size_t)(w->ncolumn + 1));
  w->reach = INFINITY;
  if (!least || !w->shift) {
    dpi_free(w->kind->ctx, least);
    return DP_ERR_MEMORY;
  }
  for (int c = 0; c < w->ncolumn; c++)
    for (int side = -1; side <= 1; side += 2) {
      w->reach = fmin(w->reach, scan(w, &w->column[c], side, least));
      for (int i = 0; i < nplan; i++) {
        double *best = &w->shift[c * nplan + i];
        if (side < 0 || isnan(*best) || fabs(least[i]) < fabs(*best)) *best = least[i];
      }
    }
  dpi_free(w->kind->ctx, least);
  return DP_OK;
}

static void add_parameters(const dpi_why_work *w, dp_why_rival *r) {
  r->within_sd = w->reach;
  for (int c = 0; c < w->ncolumn; c++) {
    const dpi_why_column *x = &w->column[c];
    double best = w->shift[c * w->a->nplan + r->plan];
    if (isnan(best)) continue;
    double to = x->mean + best * x->sd;
    dp_why_shift s = {.way = DP_WHY_PARAMETER,
                      .what = w->kind->effect[x->effect].parameter,
                      .from = x->log ? dpi_m_exp(x->mean) : x->mean,
                      .to = x->log ? dpi_m_exp(to) : to,
                      .sd = best};
    int at = r->nshift++;
    for (; at > 0 && fabs(s.sd) < fabs(r->shift[at - 1].sd); at--) r->shift[at] = r->shift[at - 1];
    r->shift[at] = s;
  }
}

/* Is bound a of a limit's event nearer to being allowed than b? */
static bool safer(const dpi_kind_term *t, double a, double b) { return t->at_least ? a > b : a < b; }

/* Would plan i hold all its limits if term t allowed `to`? */
static bool holds_with(const dpi_why_work *w, int plan, int t, double to) {
  for (int k = 0; k < w->a->nterm; k++) {
    if (!is_limit(w->kind, k)) continue;
    dp_why_limit l = limit_of(w->kind, &w->a->plan[plan], k);
    if (k == t ? safer(&w->kind->reward.term[t], to, l.bound) : !l.holds) return false;
  }
  return true;
}

/* Looser: the rival's own bound, if no better plan holds with it too. */
static bool loosened(const dpi_why_work *w, const dp_why_rival *r, int t, double *to) {
  *to = limit_of(w->kind, &w->a->plan[r->plan], t).bound;
  if (!holds_with(w, r->plan, t, *to)) return false;
  for (int i = 0; i < w->a->nplan; i++)
    if (i != r->plan && w->a->plan[i].reward > r->reward && holds_with(w, i, t, *to)) return false;
  return true;
}

/* Stricter: below the bounds of all better plans that hold their limits now, if the rival's own is still below that. */
static bool tightened(const dpi_why_work *w, const dp_why_rival *r, int t, double *to) {
  const dpi_kind_term *x = &w->kind->reward.term[t];
  double mine = limit_of(w->kind, &w->a->plan[r->plan], t).bound;
  bool any = false;
  for (int i = 0; i < w->a->nplan; i++) {
    if (i == r->plan || !w->a->plan[i].admissible || !(w->a->plan[i].reward > r->reward)) continue;
    double bound = limit_of(w->kind, &w->a->plan[i], t).bound;
    if (!any || safer(x, bound, *to)) *to = bound;
    any = true;
  }
  return any && safer(x, mine, *to);
}

static void add_limits(const dpi_why_work *w, dp_why_rival *r) {
  for (int t = 0; t < w->a->nterm; t++) {
    const dpi_kind_term *x = &w->kind->reward.term[t];
    double to = NAN;
    if (!is_limit(w->kind, t)) continue;
    bool missed = !limit_of(w->kind, &w->a->plan[r->plan], t).holds;
    if (missed ? loosened(w, r, t, &to) : r->admissible && tightened(w, r, t, &to))
      r->shift[r->nshift++] =
          (dp_why_shift){.way = DP_WHY_LIMIT, .what = x->id, .from = x->probability, .to = to, .sd = NAN, .loosen = missed};
  }
}

/* Another weight of one term at which the rival has drawn level with the best and no other holds more, as long as the term keeps its
 * sign and a weight of its size. */
static void add_weights(const dpi_why_work *w, dp_why_rival *r) {
  const dp_appraisal *a = w->a;
  if (w->why->best < 0 || !r->admissible) return;
  for (int t = 0; t < a->nterm; t++) {
    const dpi_kind_term *x = &w->kind->reward.term[t];
    if (is_limit(w->kind, t)) continue;
    double gap = a->plan[w->why->best].term[t].value - a->plan[r->plan].term[t].value, to = x->weight - r->difference / gap;
    if (gap == 0 || !isfinite(to) || !(to / x->weight >= 0.1 && to / x->weight <= 10)) continue;
    double level = r->reward + (to - x->weight) * a->plan[r->plan].term[t].value;
    bool first = true;
    for (int i = 0; i < a->nplan; i++)
      if (i != r->plan && i != w->why->best && a->plan[i].admissible)
        first = first && a->plan[i].reward + (to - x->weight) * a->plan[i].term[t].value <= level + 1e-9 * fabs(level);
    if (first) r->shift[r->nshift++] = (dp_why_shift){.way = DP_WHY_WEIGHT, .what = x->id, .from = x->weight, .to = to, .sd = NAN};
  }
}

static double probability_better(const dp_appraisal *a, int plan, int best) {
  double sum = 0;
  int n = 0;
  if (best < 0) return NAN;
  for (int k = 0; k < a->ndraw; k++) {
    double x = a->plan[plan].draw[k] - a->plan[best].draw[k];
    if (!isfinite(x)) continue;
    sum += x > 0 ? 1 : x == 0 ? 0.5 : 0;
    n++;
  }
  return n ? sum / n : NAN;
}

static dp_status fill_rival(dpi_why_work *w, int plan, dp_why_rival *r) {
  const dp_appraisal *a = w->a;
  dp_why *y = w->why;
  *r = (dp_why_rival){.plan = plan, .reward = a->plan[plan].reward, .admissible = a->plan[plan].admissible, .failing = -1};
  snprintf(r->text, sizeof r->text, "%s", w->text[plan]);
  r->difference = y->best >= 0 ? a->plan[y->best].reward - r->reward : NAN;
  r->better = probability_better(a, plan, y->best);
  for (int t = 0; t < a->nterm; t++)
    if (is_limit(w->kind, t) && !a->plan[plan].term[t].holds) {
      r->nfailing++;
      if (r->failing < 0) r->failing = t;
    }
  r->shift = DPI_NEW_ARRAY(y->ctx, dp_why_shift, w->ncolumn + 2 * a->nterm + 1);
  if (!r->shift) return DP_ERR_MEMORY;
  r->within_sd = NAN;
  if (!y->risky) add_parameters(w, r);
  add_limits(w, r);
  add_weights(w, r);
  return DP_OK;
}

/* How far a plan is from being the best one: the smallest shift of a parameter, else by what it lacks. */
static double distance(const dp_why_rival *r) {
  for (int i = 0; i < r->nshift; i++)
    if (r->shift[i].way == DP_WHY_PARAMETER) return fabs(r->shift[i].sd);
  return 100 + (r->admissible ? 0 : 10 * r->nfailing) + (isfinite(r->difference) ? fmin(fabs(r->difference), 1e6) * 1e-6 : 0);
}

/* All plans but the best are rivals; the closest are kept. */
static dp_status fill_rivals(dpi_why_work *w) {
  dp_why *y = w->why;
  y->rival = DPI_NEW_ARRAY(y->ctx, dp_why_rival, w->a->nplan + 1);
  if (!y->rival) return DP_ERR_MEMORY;
  for (int i = 0; i < w->a->nplan; i++) {
    if (i == y->best) continue;
    dp_why_rival r;
    dp_status status = fill_rival(w, i, &r);
    int at = y->nrival++;
    for (; at > 0 && distance(&r) < distance(&y->rival[at - 1]); at--) y->rival[at] = y->rival[at - 1];
    y->rival[at] = r;
    DP_TRY(status);
  }
  while (y->nrival > w->def->most_rivals) dpi_free(y->ctx, y->rival[--y->nrival].shift);
  return DP_OK;
}

/* ---- altogether ---- */

static int second(const dp_appraisal *a, int best) {
  int out = -1;
  for (int i = 0; i < a->nplan; i++)
    if (i != best && a->plan[i].admissible && (out < 0 || a->plan[i].reward > a->plan[out].reward)) out = i;
  if (out >= 0) return out;
  for (int i = 0; i < a->nplan; i++) /* none holds its limits: the one with the highest reward */
    if (i != best && (out < 0 || a->plan[i].reward > a->plan[out].reward)) out = i;
  return out;
}

/* The plan that comes closest to holding its limits. */
static int nearest_miss(const dp_kind *k, const dp_appraisal *a) {
  int out = 0;
  double most = -INFINITY;
  for (int i = 0; i < a->nplan; i++) {
    double worst = INFINITY;
    for (int t = 0; t < a->nterm; t++) {
      if (!is_limit(k, t)) continue;
      dp_why_limit l = limit_of(k, &a->plan[i], t);
      worst = fmin(worst, tightness(k, &l));
    }
    if (worst > most) {
      most = worst;
      out = i;
    }
  }
  return out;
}

static dp_status explain(dpi_why_work *w) {
  dp_why *y = w->why;
  const dp_appraisal *a = w->a;
  int shown = y->best >= 0 ? y->best : w->none ? 0 : nearest_miss(w->kind, a);
  y->runner_up = second(a, y->best);
  y->risky = risky(w->kind);
  y->reward = y->best >= 0 ? a->plan[y->best].reward : NAN;
  y->best_probability = y->best >= 0 ? a->plan[y->best].best_admissible : NAN;
  snprintf(y->best_text, sizeof y->best_text, "%s", w->text[shown]);
  for (int t = 0; t < a->nterm; t++)
    if (is_limit(w->kind, t)) w->threshold[t] = dpi_decide_threshold(&w->kind->reward.term[t], a->neff, w->kind->reward.confidence);
  DP_TRY(standardise(w));
  DP_TRY(fill_terms(w));
  DP_TRY(fill_limits(w, shown));
  DP_TRY(dpi_why_drivers(w, shown));
  if (!y->risky) DP_TRY(scan_all(w));
  return fill_rivals(w);
}

dp_status dp_why_plans(const dp_kind *kind, const dp_belief *belief, const dp_appraisal *a, const char (*text)[192], int best,
                       const dp_why_def *def, dp_why **out) {
  *out = NULL;
  if (def->cookie != COOKIE) return dpi_fail(kind->ctx, DP_ERR_USAGE, "dp_why_def not from dp_why_def_default");
  if (a->nplan < 1 || a->ndraw != belief->ndraw || best >= a->nplan)
    return dpi_fail(kind->ctx, DP_ERR_USAGE, "an explanation needs plans that were appraised on this belief");
  dp_why *y = DPI_NEW(kind->ctx, dp_why);
  if (!y) return DP_ERR_MEMORY;
  *y = (dp_why){.ctx = kind->ctx, .best = best >= 0 ? best : best == DPI_WHY_NONE ? -1 : a->best, .runner_up = -1, .next_observable = ""};
  dpi_why_work w = {.kind = kind, .belief = belief, .a = a, .text = text, .def = def, .why = y};
  w.none = best == DPI_WHY_NONE;
  w.work = DPI_NEW_ARRAY(kind->ctx, double, 4 * (size_t)a->ndraw + 1);
  w.threshold = DPI_NEW_ARRAY(kind->ctx, double, a->nterm + 1);
  dp_status status = w.work && w.threshold ? explain(&w) : DP_ERR_MEMORY;
  dpi_free(kind->ctx, w.work);
  dpi_free(kind->ctx, w.threshold);
  dpi_free(kind->ctx, w.z);
  dpi_free(kind->ctx, w.column);
  dpi_free(kind->ctx, w.shift);
  if (status != DP_OK) {
    dp_why_destroy(y);
    return status;
  }
  *out = y;
  return DP_OK;
}
