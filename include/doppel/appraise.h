/* appraise.h - R: given plans judged on a belief, with the kind's limits and rewards.
 *
 * What dp_plan_search does to plans of its own making is done here to any: every plan on every draw (the same draws for
 * all: common
 * random numbers), each term with its bounds, rewards draw by draw, and with what probability each plan is the best of
 * those given.
 * Nothing is chosen, and bounds of the controls are not looked at (dp_plan_check).
 *
 *     dp_appraisal *a;
 *     DP_TRY(dp_appraise(kind, &patient, plan, nplan, belief, &a));
 *     ... a->plan[i].reward, a->plan[i].term[t].holds, a->plan[i].best ...
 *     dp_appraisal_destroy(a);
 *
 * A plan whose first row is `steady` is rehearsed in that steady state with the covariates of now; any other begins at
 * now, in the
 * state that each draw's own history gives.
 */
#ifndef DOPPEL_APPRAISE_H
#define DOPPEL_APPRAISE_H

#include "doppel/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A term of reward.yaml, for people and for tables; texts borrowed from the kind. */
typedef struct dp_term_info {
  const char *id, *name, *text;
  const char *unit;      /* of dp_term_value: "1" for probabilities, shares and utilities */
  const char *path_unit; /* of dp_plan_appraisal.value: the functional's */
  int limit;             /* 1: a hard limit; 0: a reward */
  int at_least;          /* limit: P(event) >= probability; else <= */
  double probability;    /* limit: allowed or required; NaN for a reward */
  double weight;         /* reward */
  const char *objective; /* reward: "" none */
} dp_term_info;
int dp_kind_nterm(const dp_kind *kind);                       /* 0: no reward.yaml */
dp_term_info dp_kind_term(const dp_kind *kind, int term);

typedef struct dp_plan_appraisal {
  dp_term_value *term;   /* [nterm] */
  double reward, reward_low, reward_high;
  double *objective;     /* [nobjective] as in dp_candidate, NULL: none */
  int admissible;        /* all limits hold at their bound */
  int binding;           /* the limit that is closest to its bound, or missed by most; -1: no limits */
  double best;           /* P(highest reward of all plans given), by draws; ties are shared */
  double best_admissible; /* the same among admissible plans; NaN for others */
  int nfailed;           /* draws that could not be simulated */
  double window;         /* the whole that terms without a window of their own are about, time units */
  const double *draw;    /* [ndraw] weighted reward of each draw */
  const double *value;   /* [nterm x ndraw] what each term is about: the functional (first passages that never come: infinite),
                            NaN where a draw failed */
  const double *gain;    /* [nterm x ndraw] what each reward term adds to `draw`, weight included; 0 for limits; NaN where a term
                            counts by a risk measure, which no draw has alone */
  const unsigned char *event; /* [nterm x ndraw] limits: 1 where the event counts as having happened (a draw that failed: as
                            hurts the plan) */
} dp_plan_appraisal;

typedef struct dp_appraisal {
  dp_ctx *ctx;
  int nplan, nterm, ndraw, nobjective;
  double neff;           /* draws that count in the bounds */
  dp_plan_appraisal *plan; /* [nplan] as given */
  int best;              /* highest reward among the admissible, -1: none is */
} dp_appraisal;

/* belief NULL: the patient's. A belief whose verdict failed is refused (ERR_UNSUPPORTED with the verdict). */
dp_status dp_appraise(const dp_kind *kind, const dp_plan_patient *patient, dp_plan *const *plan, int nplan,
                      const dp_belief *belief, dp_appraisal **out);
void dp_appraisal_destroy(dp_appraisal *appraisal); /* NULL allowed */

#ifdef __cplusplus
}
#endif
#endif
