/* plan.h - U and R: candidate regimens rehearsed on a belief, held against the kind's hard limits, ranked by its reward.
 *
 * Limits are probabilities of events on the path at steady state (a trough below 5 mg/L); a candidate is admissible when
 * every limit holds at the confidence bound of the ensemble's estimate, not only at the estimate. Among admissible ones
 * the best reward wins and is scored again on fresh draws. "No recommendation, because ..." is a normal result.
 *
 *     dp_advice *advice = NULL;
 *     DP_TRY(dp_plan_search(kind, base, typical, belief, fresh, &def, &advice));
 *     if (advice->chosen < 0) puts(advice->reason);
 */
#ifndef DOPPEL_PLAN_H
#define DOPPEL_PLAN_H

#include "doppel/belief.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One term of the kind's reward for one candidate. */
typedef struct dp_term_value {
  double value;   /* limit: estimated P(event); reward: expected value */
  double low, high; /* confidence bounds of the estimate (Clopper-Pearson; normal for rewards) */
  int holds;      /* limit: holds at the bound; reward: 1 */
} dp_term_value;

typedef struct dp_candidate {
  double dose;        /* amount each time, control's unit */
  double interval;    /* time units */
  int units;          /* tablets each time */
  char tablets[96];   /* "300 mg + 100 mg" */
  dp_term_value *term; /* [nterm] on the search ensemble, or on the screen's part of it: ndraw says which */
  dp_term_value *fresh; /* [nterm] on fresh draws, or NULL when not scored again */
  double reward;      /* weighted sum of expected rewards */
  double reward_low, reward_high;
  int admissible;     /* all limits hold at the bound */
  int ndraw;          /* draws it was judged on */
} dp_candidate;

/* Would another sample at this time change the advice? (preposterior analysis on the ensemble) */
typedef struct dp_next_sample {
  double time;        /* after the start of the record, time units */
  int observable;
  double change;      /* probability that the advice would be another one */
  double gain;        /* expected gain in reward of deciding after that sample, >= 0 where rewards are; no plan, or one that
                         the sample shows to be inadmissible, counts as 0 */
  double advise;      /* probability that there would be an admissible plan */
} dp_next_sample;

typedef struct dp_advice {
  dp_ctx *ctx;
  int ncandidate, nterm;
  dp_candidate *candidate;  /* ascending interval, dose */
  int chosen;               /* index or -1 */
  int runner_up;            /* index or -1: next admissible, or the nearest miss when nothing is admissible */
  double best_probability;  /* P(the chosen plan has the highest reward among admissible ones), by draws; NaN when none */
  int nnext;
  dp_next_sample *next;     /* ascending time */
  char reason[640];         /* why this, or why none */
  char binding[160];        /* the limit that binds */
} dp_advice;
void dp_advice_destroy(dp_advice *advice);

typedef struct dp_plan_def {
  uint32_t cookie;
  uint64_t seed;
  int nscreen;              /* draws on which all candidates are screened: 120 */
  const double *next_time;  /* candidate times of a next sample, borrowed */
  int nnext_time;
  int nhypothetical;        /* hypothetical results for each next sample: 60 */
} dp_plan_def;
dp_plan_def dp_plan_def_default(void);

/* The patient a plan is for; everything is borrowed. */
typedef struct dp_plan_patient {
  const double *param;       /* [sim nparam] typical values and covariates; each draw's effects are written into a copy */
  const int *eta_effect;     /* [neta] kind effect of each direction; of an effect with occasions the last one is used */
  const dp_instant *history; /* what was given so far: a next sample is imagined under it */
  int nhistory;
  double now;                /* a plan is made with the covariates that hold at this time (time units) */
  uint64_t stream;
  const dp_belief *belief, *fresh; /* fresh: independent draws on which the chosen plan is scored again */
} dp_plan_patient;
dp_status dp_plan_search(const dp_kind *kind, const dp_plan_patient *patient, const dp_plan_def *def, dp_advice **out);

#ifdef __cplusplus
}
#endif
#endif
