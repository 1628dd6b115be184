/* dose.c - floor 7: dp_dose_find. The dose at the mode by the kind's own tolerances, the draws' by those of
 * ensembles. */
#include "doppel/dose.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kind/kind_find.h"
#include "num/num.h"
#include "twin/path.h"

#define COOKIE 0x444f5345u

dp_dose_def dp_dose_def_default(void) {
  return (dp_dose_def){.cookie = COOKIE, .dose = NAN, .now = NAN, .low = NAN, .high = NAN, .lower = NAN, .upper = NAN};
}

void dp_dose_answer_destroy(dp_dose_answer *a) {
  if (!a) return;
  dpi_free(a->ctx, a->draw_dose);
  dpi_free(a->ctx, a->draw_value);
  dpi_free(a->ctx, a);
}

typedef struct work {
  const dp_kind *kind;
  const dp_dose_def *def;
  const dp_belief *belief;
  dp_dose_answer *a;
  dpi_path_request request;
  dpi_path_job job;
  double lower, upper;
} work;

/* ---- what is asked ---- */

static dp_status find_control(const dp_kind *kind, const char *id, int *out) {
  const char *word[64], *near;
  *out = dpi_kind_find_control(kind, id);
  if (*out >= 0) return DP_OK;
  int n = kind->ncontrol < 64 ? kind->ncontrol : 64;
  for (int i = 0; i < n; i++) word[i] = kind->control[i].id;
  near = dpi_nearest_word(id, word, n);
  return dpi_fail(kind->ctx, DP_ERR_INPUT, "control: found '%s', expected a control of kind %s%s%s%s", id, kind->id,
                  near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static bool time_like(double t) { return t >= 0 && t <= 1e9; }

static dp_status read_def(work *w) {
  const dp_dose_def *def = w->def;
  dp_ctx *ctx = w->kind->ctx;
  dpi_dosing *d = &w->request.dosing;
  if (def->cookie != COOKIE) return dpi_fail(ctx, DP_ERR_USAGE, "dp_dose_def not from dp_dose_def_default");
  if (!def->target) return dpi_fail(ctx, DP_ERR_USAGE, "a dose needs a target");
  DP_TRY(dpi_path_request_parse(w->kind, def->target, "target", &w->request));
  if (w->request.ask != DPI_ASK_FIGURE)
    return dpi_fail(ctx, DP_ERR_INPUT,
                    "target: found '%.100s', expected FIGURE = NUMBER; doses have options of their own", def->target);
  if (w->request.figure.form == DPI_PATH_EFFECT || isnan(w->request.figure.from))
    return dpi_fail(ctx, DP_ERR_INPUT, "target: '%.100s': expected a figure of the path, such as Q(TIME)", def->target);
  if (!time_like(def->interval) || !time_like(def->duration) || !(isnan(def->now) || time_like(def->now)) ||
      def->count < 0 || def->count > 100000)
    return dpi_fail(ctx, DP_ERR_INPUT,
                    "target: interval, duration, now and count: expected 0 to 1e9, count up to 100000");
  if (isnan(def->dose) && isnan(w->request.wanted))
    return dpi_fail(ctx, DP_ERR_INPUT, "target: '%.100s': expected FIGURE = NUMBER, or a dose", def->target);
  if (!isnan(def->dose) && !(def->dose > 0 && isfinite(def->dose)))
    return dpi_fail(ctx, DP_ERR_INPUT, "dose: found %g, expected > 0", def->dose);
  *d = (dpi_dosing){.control = -1,
                    .dose = def->dose,
                    .interval = def->interval,
                    .duration = def->duration,
                    .count = def->count,
                    .steady = def->steady != 0};
  if (def->control) DP_TRY(find_control(w->kind, def->control, &d->control));
  return dpi_dosing_check(w->kind, "target", d);
}

/* Doses looked at. */
static dp_status read_bounds(work *w) {
  const dpi_kind_control *c = &w->kind->control[w->request.dosing.control];
  w->upper = isnan(w->def->upper) ? c->upper : w->def->upper;
  w->lower = isnan(w->def->lower) ? c->lower : w->def->lower;
  if (isnan(w->lower)) w->lower = 0;
  if (w->def->dose < w->lower || w->def->dose > w->upper)
    return dpi_fail(w->kind->ctx, DP_ERR_INPUT, "dose: found %g %s, expected %g to %g %s, the bounds of control '%s'",
                    w->def->dose, c->unit, w->lower, w->upper, c->unit, c->id);
  if (!isnan(w->def->dose)) return DP_OK;
  if (!isfinite(w->upper) || !(w->upper > 0) || !(w->lower >= 0) || w->lower >= w->upper)
    return dpi_fail(w->kind->ctx, DP_ERR_INPUT,
                    "control '%s': doses from %g to %g %s: expected a finite range to look in; give lower and upper",
                    c->id, w->lower, w->upper, c->unit);
  w->lower = fmax(w->lower, 1e-6 * w->upper); /* an infusion of nothing is none */
  return DP_OK;
}

/* ---- the answer ---- */

static dp_status say_none(work *w, double side) {
  dp_dose_answer *a = w->a;
  double end = side < 0 ? w->lower : w->upper, value = NAN;
  if (isfinite(side) || isnan(side)) {
    snprintf(a->reason, sizeof a->reason,
             "no dose from %g to %g %s was found that gives %g %s: the figure jumps over it, never depends on the "
             "dose, or can't be "
             "simulated",
             w->lower, w->upper, a->dose_unit, a->wanted, a->value_unit);
    return DP_OK;
  }
  DP_TRY(dpi_path_eval(&w->job, w->belief->mode, &end, 1, &value));
  snprintf(a->reason, sizeof a->reason, "no dose from %g to %g %s gives %g %s: %g %s still gives %.6g", w->lower,
           w->upper, a->dose_unit, a->wanted, a->value_unit, end, a->dose_unit, value);
  return DP_OK;
}

static dp_status at_mode(work *w) {
  dp_dose_answer *a = w->a;
  w->job.sim = w->kind->sim;
  w->job.same = 1e-10;
  a->dose = w->def->dose;
  if (isnan(a->dose))
    DP_TRY(dpi_path_dose(&w->job, w->belief->mode, 1, w->request.wanted, w->lower, w->upper, &a->dose));
  if (!isfinite(a->dose)) {
    const double side = a->dose;
    a->dose = a->value = NAN;
    return say_none(w, side);
  }
  DP_TRY(dpi_path_eval(&w->job, w->belief->mode, &a->dose, 1, &a->value));
  if (isnan(a->value))
    snprintf(a->reason, sizeof a->reason, "the path can't be simulated at the most probable parameters");
  return DP_OK;
}

static dp_status over_draws(work *w) {
  dp_dose_answer *a = w->a;
  const dp_belief *b = w->belief;
  w->job.sim = w->kind->ensemble;
  w->job.same = 1e-7;
  a->draw_dose = DPI_NEW_ARRAY(a->ctx, double, b->ndraw);
  a->draw_value = DPI_NEW_ARRAY(a->ctx, double, b->ndraw);
  double *dose = DPI_NEW_ARRAY(a->ctx, double, b->ndraw);
  dp_status status = a->draw_dose && a->draw_value && dose ? DP_OK : DP_ERR_MEMORY;
  if (status == DP_OK) {
    a->ndraw = b->ndraw;
    for (int k = 0; k < b->ndraw; k++) {
      a->draw_dose[k] = a->draw_value[k] = NAN;
      dose[k] = a->dose;
    }
    if (isnan(w->def->dose))
      status = dpi_path_dose(&w->job, b->eta, b->ndraw, w->request.wanted, w->lower, w->upper, a->draw_dose);
    if (status == DP_OK && isfinite(a->dose)) status = dpi_path_eval(&w->job, b->eta, dose, b->ndraw, a->draw_value);
  }
  dpi_free(a->ctx, dose);
  return status;
}

/* P(low <= figure <= high): a draw that can't be simulated counts as outside. */
static void probability(work *w) {
  dp_dose_answer *a = w->a;
  const dp_belief *b = w->belief;
  double inside = 0;
  if (!isfinite(a->dose)) return;
  for (int k = 0; k < a->ndraw; k++) {
    a->nfailed += isnan(a->draw_value[k]);
    if (a->draw_value[k] >= a->low && a->draw_value[k] <= a->high) inside += b->weight[k];
  }
  if (isnan(a->low)) return;
  const double n = b->ess > 0 ? fmin(b->ess, (double)b->ndraw) : (double)b->ndraw;
  a->probability = fmin(inside, 1.0);
  dpi_binomial_bounds(a->probability * n, n, 0.95, &a->probability_low, &a->probability_high);
}

static dp_status answer(work *w, const dp_prior *prior) {
  dp_dose_answer *a = w->a;
  DP_TRY(read_def(w));
  DP_TRY(read_bounds(w));
  a->wanted = w->request.wanted;
  a->dose_unit = w->kind->control[w->request.dosing.control].unit;
  if (isnan(a->low) && !isnan(a->wanted)) {
    a->low = a->wanted - 0.2 * fabs(a->wanted);
    a->high = a->wanted + 0.2 * fabs(a->wanted);
  }
  snprintf(a->value_unit, sizeof a->value_unit, "%s", w->request.figure.unit);
  if (w->belief->neta != w->job.c->neta)
    return dpi_fail(w->kind->ctx, DP_ERR_USAGE, "this belief is another person's: %d directions, %d expected",
                    w->belief->neta, w->job.c->neta);
  w->job.figure = &w->request.figure;
  w->job.dosing = &w->request.dosing;
  w->job.typical = prior->typical;
  w->job.now = w->def->now;
  a->probability = a->probability_low = a->probability_high = NAN;
  if (!w->belief->usable) {
    snprintf(a->reason, sizeof a->reason, "no dose, because the posterior may not be used: %.200s", w->belief->verdict);
    return DP_OK;
  }
  DP_TRY(at_mode(w));
  DP_TRY(over_draws(w));
  probability(w);
  return DP_OK;
}

dp_status dp_dose_find(const dp_kind *kind, const dp_record *record, int subject, const dp_prior *prior,
                       const dp_belief *belief, const dp_dose_def *def, dp_dose_answer **out) {
  dpi_case *c = NULL;
  *out = NULL;
  dp_dose_answer *a = DPI_NEW(kind->ctx, dp_dose_answer);
  if (!a) return DP_ERR_MEMORY;
  *a = (dp_dose_answer){.ctx = kind->ctx, .dose = NAN, .value = NAN, .low = def->low, .high = def->high};
  work w = {.kind = kind, .def = def, .belief = belief, .a = a};
  dp_status status = dpi_case_create(kind, record, subject, &c);
  w.job.kind = kind;
  w.job.c = c;
  if (status == DP_OK) status = answer(&w, prior);
  dpi_case_destroy(c);
  if (status == DP_OK)
    *out = a;
  else
    dp_dose_answer_destroy(a);
  return status;
}
