/* plan.h - U and R: plans of treatment, written and read; plans searched on a belief, held against the kind's hard
 * limits, ranked
 * by its reward.
 *
 * A plan is rows of controls from `now` on. It has a text form (plan.tsv, docs/decide.md) that every command reads:
 *
 *     controlId  time  amount  duration  interval  repeats  steady
 *     iv         0     1500    2         12        9
 *
 * Limits are probabilities of events on the path (a trough below 5 mg/L); a candidate is admissible when every limit
 * holds at the
 * confidence bound of the ensemble's estimate, not only at the estimate. Among admissible ones the best reward wins
 * that holds its limits on fresh draws too: where the best one does not, the search steps back to more cautious plans.
 * "No recommendation, because ..." is a normal result. Any plan of one's own is judged by appraise.h.
 *
 *     dp_advice *advice = NULL;
 *     DP_TRY(dp_plan_search(kind, &patient, &def, &advice));
 *     if (advice->chosen < 0) puts(advice->reason);
 *     else print(advice->plan[advice->chosen]);
 */
#ifndef DOPPEL_PLAN_H
#define DOPPEL_PLAN_H

#include "doppel/belief.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- a plan ---- */

/* One row: a dose, or the same dose several times. */
typedef struct dp_plan_row {
  int control;     /* row of controls.tsv */
  double time;     /* time units after now, >= 0 */
  double amount;   /* control's unit, >= 0 */
  double duration; /* of the infusion, time units; 0: at once, or as the control's own duration or rate formula says */
  double interval; /* time units between repeats; 0: none */
  int repeats;     /* how often more */
  int steady;      /* 1: the path begins in the steady state of this row (interval needed); rows with 1 at the same time add up */
} dp_plan_row;

typedef struct dp_plan {
  dp_ctx *ctx;
  char name[64];   /* from the file's name; "" */
  int nrow;
  dp_plan_row *row;
} dp_plan;

/* An empty plan with room for nrow rows, all zero. */
dp_status dp_plan_create(dp_ctx *ctx, int nrow, dp_plan **out);
dp_status dp_plan_copy(const dp_plan *from, dp_plan **out);
void dp_plan_destroy(dp_plan *plan); /* NULL allowed */
/* From a file, or from text (source: its name in messages). What is wrong is named with file, line and column. A number
 * may carry a
 * unit ("36 h", "1.5 g"), which is converted. Not yet held against the control's bounds: dp_plan_check. */
dp_status dp_plan_read(const dp_kind *kind, const char *path, dp_plan **out);
dp_status dp_plan_read_text(const dp_kind *kind, const char *text, size_t size, const char *source, dp_plan **out);
/* Refuse what may not be given at `now` (time units): amounts outside the control's bounds or that no tablets make up
 * (rows of a control that begin at one time count as one dose), intervals that are not allowed, infusions longer than
 * the interval they are repeated at, changes beyond the rate limit, doses outside clinic hours. ERR_INPUT names row and
 * bound. */
dp_status dp_plan_check(const dp_kind *kind, const dp_plan *plan, double now);
/* The same for one person: the rate limit also holds from the last dose that was given before the plan. */
struct dp_plan_patient;
dp_status dp_plan_check_for(const dp_kind *kind, const dp_plan *plan, const struct dp_plan_patient *patient);
/* As plan.tsv, which dp_plan_read_text reads back to the same numbers. Free with dp_plan_text_free. */
dp_status dp_plan_write(const dp_kind *kind, const dp_plan *plan, char **out);
void dp_plan_text_free(const dp_plan *plan, char *text);
/* In one line for people: "300 mg + 100 mg every 12 h". */
dp_status dp_plan_describe(const dp_kind *kind, const dp_plan *plan, char *out, size_t size);
/* What the waist is given: ascending (time, order), times now + row's; order > 0, so that they come after what history
 * has at
 * `now`. *n may be 0. Free with dp_plan_instants_free. */
dp_status dp_plan_instants(const dp_kind *kind, const dp_plan *plan, double now, dp_instant **out, int *n);
void dp_plan_instants_free(const dp_plan *plan, dp_instant *instants);

/* ---- plans searched ---- */

/* One term of the kind's reward for one candidate. */
typedef struct dp_term_value {
  double value;   /* limit: estimated P(event); reward: its risk measure over draws (expectation, quantile, CVaR) */
  double low, high; /* confidence bounds of the estimate (Clopper-Pearson; order statistics for quantiles; else normal) */
  int holds;      /* limit: holds at the bound; reward: 1 */
} dp_term_value;

typedef struct dp_candidate {
  double dose;        /* amount of the plan's first row, control's unit */
  double interval;    /* regimen: time units between doses; course: between the first two decision times, 0: one alone */
  int units;          /* tablets each time, 0: no tablets */
  char tablets[96];   /* "300 mg + 100 mg"; without tablets "1250 mg" */
  char text[192];     /* the whole plan in a line */
  dp_term_value *term; /* [nterm] on the search ensemble, or on the screen's part of it: ndraw says which */
  dp_term_value *fresh; /* [nterm] on fresh draws, or NULL when not scored again */
  double reward;      /* weighted sum of the reward terms' values */
  double reward_low, reward_high;
  double *objective;  /* [nobjective] the same sum by objective; NULL when the kind names none */
  int admissible;     /* all limits hold at the bound, where it was scored on fresh draws there too */
  int pareto;         /* admissible and not dominated in the objectives of `pareto` */
  int ndraw;          /* draws it was judged on */
  int nfailed;        /* of them, those that could not be simulated: they count against it */
  int left_out;       /* 1: promises more than the chosen plan, but so does one that did not hold on fresh draws; not looked
                         at there, and not admissible */
} dp_candidate;

/* Would another sample at this time change the advice? (preposterior analysis on the ensemble) */
typedef struct dp_next_sample {
  double time;        /* after the start of the record, time units */
  int observable;
  int nresult;        /* hypothetical results it rests on */
  const char *id;     /* of the observable, borrowed from the kind */
  /* NaN where nothing can be said: after too many of the results too few draws of the belief count (unclear), or the rule
     would not give the present advice on the belief's draws alone */
  double change;      /* probability that the advice would be another one */
  double change_low, change_high; /* 95 % interval of it: what the number of results and the belief's draws leave open */
  double gain;        /* expected gain in reward of deciding after that sample, >= 0 where rewards are; no plan, or one that
                         the sample shows to be inadmissible, counts as 0 */
  double advise;      /* probability that there would be an admissible plan */
  double ess;         /* effective draws after a result: the median over results */
  double unclear;     /* share of the results after which too few draws count (below 50) to decide anything */
} dp_next_sample;

typedef struct dp_advice {
  dp_ctx *ctx;
  int ncandidate, nterm;
  dp_candidate *candidate;  /* regimens that are listed: ascending interval, dose; else the best of the search, best first, then its Pareto front */
  dp_plan **plan;           /* [ncandidate] what each candidate is */
  int chosen;               /* index or -1 */
  int runner_up;            /* index or -1: next admissible, or the nearest miss when nothing is admissible */
  double best_probability;  /* P(the chosen plan has the highest reward among admissible ones), by draws, ties shared; NaN when none */
  int nnext;
  dp_next_sample *next;     /* ascending time; none where rewards have a risk measure; of courses one, taken now */
  int next_best;            /* the one that would change the advice most often, -1 none is known; stated from results of its
                               own, seven times as many */
  char reason[640];         /* why this, or why none */
  char binding[160];        /* the limit that binds */
  char approver[160];       /* who must approve the chosen plan: those named by the controls it gives; "" nobody is named */
  int nconflict;            /* no candidate is admissible: the smallest set of limits that none holds together */
  int *conflict;            /* [nconflict] terms */
  int nobjective;
  const char *const *objective; /* [nobjective] words, borrowed from the kind */
  char search[32];          /* "exhaustive", "cma", "cross-entropy", "gradient" */
  int evaluations;          /* plans that were rehearsed */
} dp_advice;
void dp_advice_destroy(dp_advice *advice);

typedef struct dp_plan_def {
  uint32_t cookie;
  uint64_t seed;
  int nscreen;              /* draws on which all candidates are screened: 120 */
  const double *next_time;  /* candidate times of a next sample, borrowed */
  int nnext_time;
  int nhypothetical;        /* hypothetical results for each next sample: 60; seven times as many for the one that stands out */
  int next_one;             /* 1: only of the sample that stands out anything is stated, which costs less; 0: of each */
  const char *search;       /* NULL: as reward.yaml says */
  int evaluations;          /* 0: as reward.yaml says */
} dp_plan_def;
dp_plan_def dp_plan_def_default(void);

/* The patient a plan is for; everything is borrowed. */
typedef struct dp_plan_patient {
  const double *param;       /* [sim nparam] typical values and covariates; each draw's effects are written into a copy */
  const int *eta_effect;     /* [neta] kind effect of each direction; of an effect with occasions the last one is used */
  const dp_instant *history; /* what was given so far: a course goes on from it, a next sample is imagined under it */
  int nhistory;
  double now;                /* a plan is made with the covariates that hold at this time (time units), and begins here */
  uint64_t stream;
  const dp_belief *belief, *fresh; /* fresh: independent draws on which plans are confirmed */
} dp_plan_patient;
dp_status dp_plan_search(const dp_kind *kind, const dp_plan_patient *patient, const dp_plan_def *def, dp_advice **out);

#ifdef __cplusplus
}
#endif
#endif
