/* appraise.c - floor 6: given plans judged beside each other on the same draws.  R */
#include <math.h>
#include <string.h>

#include "decide/decide.h"

int dp_kind_nterm(const dp_kind *kind) { return kind->reward.given ? kind->reward.nterm : 0; }

dp_term_info dp_kind_term(const dp_kind *kind, int term) {
  const dpi_kind_term *t = &kind->reward.term[term];
  bool limit = t->goal == DPI_GOAL_LIMIT, number = limit || t->event || t->fraction || t->utility;
  return (dp_term_info){.id = t->id,
                        .name = t->name,
                        .text = t->text,
                        .unit = number ? "1" : t->unit,
                        .path_unit = t->unit,
                        .limit = limit,
                        .at_least = t->at_least,
                        .probability = limit ? t->probability : NAN,
                        .weight = limit ? 0 : t->weight,
                        .objective = t->objective >= 0 ? kind->reward.objective[t->objective] : ""};
}

/* An appraisal with what it owns beside it: values and totals lie in the rehearsal. */
typedef struct appraisal {
  dp_appraisal a; /* first: what the caller has */
  dpi_rehearsal r;
  double *gain;         /* [nplan x nterm x ndraw] */
  unsigned char *event; /* the same */
} appraisal;

void dp_appraisal_destroy(dp_appraisal *a) {
  if (!a) return;
  appraisal *all = (appraisal *)a;
  for (int i = 0; a->plan && i < a->nplan; i++) {
    dpi_free(a->ctx, a->plan[i].term);
    dpi_free(a->ctx, a->plan[i].objective);
  }
  dpi_free(a->ctx, a->plan);
  dpi_free(a->ctx, all->gain);
  dpi_free(a->ctx, all->event);
  dpi_rehearsal_release(a->ctx, &all->r);
  dpi_free(a->ctx, all);
}

/* What each draw of plan i contributes, term by term. */
static dp_status draw_by_draw(const dp_kind *kind, appraisal *all, int i) {
  dp_plan_appraisal *p = &all->a.plan[i];
  size_t n = (size_t)all->a.ndraw, first = (size_t)i * (size_t)all->a.nterm * n;
  p->gain = all->gain + first;
  p->event = all->event + first;
  for (int t = 0; t < all->a.nterm; t++) {
    const dpi_kind_term *k = &kind->reward.term[t];
    const double *v = dpi_rehearsed(&all->r, i, t);
    double *gain = all->gain + first + (size_t)t * n;
    unsigned char *event = all->event + first + (size_t)t * n;
    for (size_t d = 0; k->goal == DPI_GOAL_LIMIT && d < n; d++)
      event[d] = isnan(v[d]) ? !k->at_least : dpi_decide_event(k, v[d]);
    if (k->goal == DPI_GOAL_LIMIT) continue;
    DP_TRY(dpi_decide_earn(kind, k, v, all->a.ndraw, all->r.window[i], gain));
    for (size_t d = 0; d < n; d++) gain[d] = k->risk == DPI_RISK_EXPECTATION ? k->weight * gain[d] : NAN;
  }
  return DP_OK;
}

static dp_status judge_plan(const dp_kind *kind, appraisal *all, int i) {
  dp_plan_appraisal *p = &all->a.plan[i];
  dpi_judgement j;
  p->term = DPI_NEW_ARRAY(kind->ctx, dp_term_value, all->a.nterm + 1);
  if (kind->reward.nobjective) p->objective = DPI_NEW_ARRAY(kind->ctx, double, kind->reward.nobjective);
  if (!p->term || (kind->reward.nobjective && !p->objective)) return DP_ERR_MEMORY;
  DP_TRY(dpi_decide_judge_row(kind, &all->r, i, all->a.neff, kind->reward.confidence, p->term, p->objective, &j));
  p->reward = j.reward;
  p->reward_low = j.low;
  p->reward_high = j.high;
  p->admissible = j.admissible;
  dpi_decide_shortfall(kind, p->term, &p->binding);
  p->draw = all->r.total + (size_t)i * (size_t)all->r.ndraw;
  p->value = dpi_rehearsed(&all->r, i, 0);
  p->nfailed = j.nfailed;
  p->window = all->r.window[i];
  return draw_by_draw(kind, all, i);
}

/* P(best) of each plan among all, or among the admissible, draw by draw; ties are shared. */
static void count_wins(dp_appraisal *a, bool admissible) {
  for (int i = 0; i < a->nplan; i++) {
    dp_plan_appraisal *p = &a->plan[i];
    double wins = 0;
    for (int k = 0; k < a->ndraw; k++) {
      int same = 1;
      bool best = true;
      for (int j = 0; best && j < a->nplan; j++) {
        if (j == i || (admissible && !a->plan[j].admissible)) continue;
        if (a->plan[j].draw[k] > p->draw[k]) best = false;
        same += a->plan[j].draw[k] == p->draw[k];
      }
      if (best) wins += 1.0 / same;
    }
    if (admissible)
      p->best_admissible = p->admissible ? wins / a->ndraw : NAN;
    else
      p->best = wins / a->ndraw;
  }
}

/* A window shorter than a steady state's interval would not see its end: troughs would look high, areas too. */
static dp_status check_window(const dp_kind *kind, const dp_plan *plan) {
  const double window = kind->reward.window;
  for (int i = 0; window > 0 && i < plan->nrow; i++)
    if (plan->row[i].steady && plan->row[i].interval > window * (1 + 1e-9))
      return dpi_fail(
          kind->ctx, DP_ERR_UNSUPPORTED,
          "%s: reward.yaml: the window of %g %s is shorter than the interval of %g %s of plan '%s', row %d, "
          "whose end it would not see",
          kind->dir, window, kind->time_unit, plan->row[i].interval, kind->time_unit, plan->name, i + 1);
  return DP_OK;
}

static dp_status appraise(const dp_kind *kind, const dp_plan_patient *patient, dp_plan *const *plan,
                          const dp_belief *belief, appraisal *all) {
  dpi_rehearser h;
  dp_appraisal *a = &all->a;
  a->plan = DPI_NEW_ARRAY(kind->ctx, dp_plan_appraisal, a->nplan + 1);
  if (!a->plan) return DP_ERR_MEMORY;
  for (int i = 0; i < a->nplan; i++) DP_TRY(check_window(kind, plan[i]));
  DP_TRY(dpi_rehearser_open(kind, patient, belief, NULL, belief->ndraw, &h));
  dp_status status = dpi_decide_rehearse(&h, plan, NULL, a->nplan, &all->r);
  dpi_rehearser_close(&h);
  DP_TRY(status);
  size_t cells = (size_t)a->nplan * (size_t)a->nterm * (size_t)a->ndraw;
  all->gain = DPI_NEW_ARRAY(kind->ctx, double, cells + 1);
  all->event = DPI_NEW_ARRAY(kind->ctx, unsigned char, cells + 1);
  if (!all->gain || !all->event) return DP_ERR_MEMORY;
  for (int i = 0; i < a->nplan; i++) {
    DP_TRY(judge_plan(kind, all, i));
    if (a->plan[i].admissible && (a->best < 0 || a->plan[i].reward > a->plan[a->best].reward)) a->best = i;
  }
  count_wins(a, false);
  count_wins(a, true);
  return DP_OK;
}

dp_status dp_appraise(const dp_kind *kind, const dp_plan_patient *patient, dp_plan *const *plan, int nplan,
                      const dp_belief *belief, dp_appraisal **out) {
  *out = NULL;
  if (!belief) belief = patient->belief;
  if (!kind->reward.given)
    return dpi_fail(kind->ctx, DP_ERR_UNSUPPORTED, "%s: this kind has no reward.yaml, so no plan can be judged",
                    kind->dir);
  if (kind->reward.residual)
    return dpi_fail(kind->ctx, DP_ERR_UNSUPPORTED,
                    "%s: reward.yaml: residual: true (limits on measured rather than true values) is not supported",
                    kind->dir);
  if (nplan < 1 || belief->ndraw < 2)
    return dpi_fail(kind->ctx, DP_ERR_USAGE, "an appraisal needs at least one plan and two draws of the belief");
  if (!belief->usable)
    return dpi_fail(kind->ctx, DP_ERR_UNSUPPORTED, "the posterior may not be used, so no plan is judged on it: %s",
                    belief->verdict);
  appraisal *all = DPI_NEW(kind->ctx, appraisal);
  if (!all) return DP_ERR_MEMORY;
  all->a = (dp_appraisal){.ctx = kind->ctx,
                          .nplan = nplan,
                          .nterm = kind->reward.nterm,
                          .ndraw = belief->ndraw,
                          .nobjective = kind->reward.nobjective,
                          .best = -1,
                          .neff = dpi_decide_effective(belief, belief->ndraw)};
  dp_status status = appraise(kind, patient, plan, belief, all);
  if (status != DP_OK)
    dp_appraisal_destroy(&all->a);
  else
    *out = &all->a;
  return status;
}
