/* why_advice.c - floor 8: an advice explained. Compared with the chosen plan are the runner-up, the admissible candidates next in
 * reward, and those that promise more and miss a limit by least; all are judged anew on the whole belief. */
#include "explain/why_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST = 12, EACH = 4 };

typedef struct choice {
  const dp_kind *kind;
  const dp_advice *advice;
  int list[MOST], n;
} choice;

static bool has(const choice *c, int which) {
  for (int i = 0; i < c->n; i++)
    if (c->list[i] == which) return true;
  return false;
}

static void add(choice *c, int which) {
  if (which >= 0 && c->n < MOST && !has(c, which)) c->list[c->n++] = which;
}

/* Was it scored again and did not hold its limits there, or left out with one that did not? Then it is no rival,
 * whatever the belief says; the reason tells of it. */
static bool refuted(const choice *c, const dp_candidate *x) {
  if (x->left_out) return true;
  for (int t = 0; x->fresh && t < c->kind->reward.nterm; t++)
    if (!x->fresh[t].holds) return true;
  return false;
}

/* How much more than allowed the worst limit takes at its bound, as a share of what is allowed. */
static double excess(const choice *c, const dp_candidate *x) {
  double worst = 0;
  for (int t = 0; t < c->kind->reward.nterm; t++) {
    const dpi_kind_term *k = &c->kind->reward.term[t];
    if (k->goal != DPI_GOAL_LIMIT) continue;
    double allowed = k->at_least ? 1 - k->probability : k->probability, risk = k->at_least ? 1 - x->term[t].low : x->term[t].high;
    worst = fmax(worst, risk / fmax(allowed, 1e-6) - 1);
  }
  return worst;
}

/* EACH further candidates in the order of a score, the least first; NaN: not wanted. */
static void add_by(choice *c, double (*score)(const choice *, const dp_candidate *)) {
  for (int i = 0; i < EACH; i++) {
    int best = -1;
    double least = INFINITY;
    for (int k = 0; k < c->advice->ncandidate; k++) {
      double s = has(c, k) || refuted(c, &c->advice->candidate[k]) ? NAN : score(c, &c->advice->candidate[k]);
      if (s < least) {
        least = s;
        best = k;
      }
    }
    add(c, best);
  }
}

static double by_reward(const choice *c, const dp_candidate *x) {
  (void)c;
  return x->admissible ? -x->reward : NAN;
}

/* What promises more than the choice (anything, where there is none) and misses a limit. */
static double by_miss(const choice *c, const dp_candidate *x) {
  bool more = c->advice->chosen < 0 || x->reward > c->advice->candidate[c->advice->chosen].reward;
  return more && !x->admissible ? excess(c, x) : NAN;
}

static void note_next(const dp_kind *kind, const dp_advice *advice, dp_why *why) {
  why->next_asked = advice->nnext > 0;
  if (advice->next_best < 0) return;
  const dp_next_sample *n = &advice->next[advice->next_best];
  why->next_known = 1;
  why->next_time = n->time;
  why->next_change = n->change;
  why->next_low = n->change_low;
  why->next_high = n->change_high;
  why->next_results = n->nresult;
  why->next_ess = n->ess;
  why->next_gain = n->gain;
  why->next_observable = kind->observable[n->observable].name;
}

static dp_status compare(const dp_kind *kind, const dp_plan_patient *patient, const choice *c, const dp_why_def *def, dp_why **out) {
  dp_plan *plan[MOST];
  char text[MOST][192];
  dp_appraisal *a = NULL;
  for (int i = 0; i < c->n; i++) {
    plan[i] = c->advice->plan[c->list[i]];
    snprintf(text[i], sizeof text[i], "%s", c->advice->candidate[c->list[i]].text);
    if (!text[i][0]) DP_TRY(dp_plan_describe(kind, plan[i], text[i], sizeof text[i]));
  }
  DP_TRY(dp_appraise(kind, patient, plan, c->n, NULL, &a));
  dp_status status =
      dp_why_plans(kind, patient->belief, a, (const char(*)[192])text, c->advice->chosen >= 0 ? 0 : DPI_WHY_NONE, def, out);
  dp_appraisal_destroy(a);
  return status;
}

dp_status dp_why_advice(const dp_kind *kind, const dp_plan_patient *patient, const dp_advice *advice, const dp_why_def *def,
                        dp_why **out) {
  *out = NULL;
  choice c = {.kind = kind, .advice = advice};
  add(&c, advice->chosen);
  add(&c, advice->runner_up);
  add_by(&c, by_miss);
  add_by(&c, by_reward);
  if (c.n == 0) return dpi_fail(kind->ctx, DP_ERR_UNSUPPORTED, "there is nothing to explain: no plan was looked at");
  DP_TRY(compare(kind, patient, &c, def, out));
  note_next(kind, advice, *out);
  if (advice->chosen >= 0) (*out)->best_probability = advice->best_probability; /* among all candidates, not those shown */
  for (int i = 0; i < (*out)->nrival; i++) (*out)->rival[i].plan = c.list[(*out)->rival[i].plan];
  if ((*out)->best >= 0) (*out)->best = c.list[(*out)->best];
  if ((*out)->runner_up >= 0) (*out)->runner_up = c.list[(*out)->runner_up];
  return DP_OK;
}
