/* why.h - R, U: why this plan and not another one? What stands behind a proposal, in numbers and in words.
 *
 *     dp_why *why;  char *text;
 *     DP_TRY(dp_why_advice(kind, &patient, advice, &def, &why));     or dp_why_plans for plans of one's own
 *     DP_TRY(dp_why_text(kind, why, &text));  puts(text);  dp_report_free(ctx, text);
 *     dp_why_destroy(why);
 *
 * Terms       every reward term and limit of the best plan beside the runner-up's, and the difference.
 * Limits      how much of what each limit allows the best plan uses up.
 * Drivers     which parameters' uncertainty the answer hangs on: the share of the variance, over what is believed of this person, that
 *             goes when the parameter becomes known (correlation ratio, corrected for the number of draws; interval by bootstrap over
 *             draws). Of the difference in reward between best and runner-up; and of the number that the binding limit is about, under
 *             the best plan. Parameters that go together in the belief share what they explain, so shares need not sum to 1.
 * Rivals      what would have to be true for another plan to win: the smallest change of one parameter, in standard deviations of what
 *             is believed; of one weight; of one limit. A parameter is moved by weighing the draws anew (the least change of the
 *             belief that gives the parameter that mean), so nothing is simulated again and parameters that go together move together.
 *             A plan wins when it holds its limits and has the most reward of all plans compared that do.
 */
#ifndef DOPPEL_WHY_H
#define DOPPEL_WHY_H

#include "doppel/appraise.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dp_why_def {
  uint32_t cookie;
  uint64_t seed;      /* of the bootstrap: 1 */
  int nboot;          /* 200; 0: no intervals */
  int most_rivals;    /* 5 */
  double most_sd;     /* parameters are moved by at most so many standard deviations: 3 */
  double least_ess;   /* ... and while at least so many of the draws count: 50 */
} dp_why_def;
dp_why_def dp_why_def_default(void);

/* A term of the best plan beside the runner-up's. */
typedef struct dp_why_term {
  int term;
  double best, other;      /* reward: weight x value; limit: estimated probability of its event */
  double difference;       /* best - other */
  double low, high;        /* 95 %: what the number of draws leaves open of it, draw by draw; NaN where a risk measure forbids it */
} dp_why_term;

/* A limit under one plan. */
typedef struct dp_why_limit {
  int term;
  double estimate, bound, allowed; /* of the event's probability; it holds at the bound */
  double slack;            /* what is left, >= 0 where it holds: allowed - bound (limits from below: bound - required) */
  int holds;
} dp_why_limit;

typedef struct dp_why_driver {
  const char *parameter, *name; /* borrowed from the kind */
  double share, low, high; /* of the variance, 0 to 1; 90 % interval */
  double direction;        /* rank correlation: > 0 the larger the parameter, the larger the number */
} dp_why_driver;

typedef enum dp_why_way { DP_WHY_PARAMETER, DP_WHY_WEIGHT, DP_WHY_LIMIT } dp_why_way;

typedef struct dp_why_shift {
  dp_why_way way;
  const char *what;        /* the parameter or the term; borrowed from the kind */
  double from, to;         /* PARAMETER: median-like centre of the belief (geometric where positive) and where it would have to be;
                              WEIGHT: the weight; LIMIT: the allowed probability (at least, or below `to`) */
  double sd;               /* PARAMETER: the shift in standard deviations of the belief, signed; else NaN */
  int loosen;              /* LIMIT: 1 allowed at least `to`; 0 below `to` the best plan breaks it */
} dp_why_shift;

typedef struct dp_why_rival {
  int plan;                /* as given */
  char text[192];
  double reward, difference; /* best - rival */
  double better;           /* P(rival has more reward than the best), ties shared; NaN when there is no best */
  int admissible, failing; /* failing: a limit that does not hold, -1 */
  int nfailing;
  int nshift;
  dp_why_shift *shift;     /* the smallest first: parameters, then limits, then weights */
  double within_sd;        /* parameters were moved to this far, both ways; no parameter among `shift`: not within that */
} dp_why_rival;

typedef struct dp_why {
  dp_ctx *ctx;
  int best;                /* plan, as given; -1: none holds its limits */
  int runner_up;           /* plan, -1: none */
  char best_text[192];
  double reward;
  double best_probability; /* P(best has the most reward of those compared (of an advice: of all candidates) that hold their limits), by draws */
  int nterm, nlimit, ndriver, nlimit_driver, nrival;
  dp_why_term *term;       /* [nterm] NULL: no runner-up */
  dp_why_limit *limit;     /* [nlimit] of the best plan, or of the nearest miss; the tightest first */
  dp_why_driver *driver;   /* [ndriver] of the difference in reward; none: it is the same in every draw */
  dp_why_driver *limit_driver; /* [nlimit_driver] of what the tightest limit is about */
  dp_why_rival *rival;     /* [nrival] the closest first */
  int risky;               /* rewards have a risk measure: no intervals of differences, no shifts of parameters */
  int next_asked;          /* data: from the advice; 1: further samples were imagined */
  int next_known;          /* 1: of one of them it can be said how likely it is to change the advice */
  double next_time, next_change, next_gain; /* the sample most likely to change the advice */
  double next_low, next_high; /* 95 % interval of next_change */
  int next_results;
  double next_ess;         /* effective draws after a result, median */
  const char *next_observable; /* "" none */
} dp_why;

/* best: one of the plans, or -1 for the appraisal's best. text [nplan]: plans in a line. */
dp_status dp_why_plans(const dp_kind *kind, const dp_belief *belief, const dp_appraisal *appraisal, const char (*text)[192], int best,
                       const dp_why_def *def, dp_why **out);
/* The chosen plan of an advice beside the runner-up and the candidates that came closest, judged anew on the patient's belief. */
dp_status dp_why_advice(const dp_kind *kind, const dp_plan_patient *patient, const dp_advice *advice, const dp_why_def *def,
                        dp_why **out);
/* For people; one JSON object. Free with dp_report_free. */
dp_status dp_why_text(const dp_kind *kind, const dp_why *why, char **text);
dp_status dp_why_json(const dp_kind *kind, const dp_why *why, char **text);
void dp_why_destroy(dp_why *why); /* NULL allowed */

#ifdef __cplusplus
}
#endif
#endif
