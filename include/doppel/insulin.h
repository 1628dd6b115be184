/* insulin.h - the experiment on twins of insulin therapy: virtual people, twins that learn from their sensor, another
 * therapy foretold, therapies tuned. In silico throughout: nobody in it is a real person.
 *
 *     dp_insulin_def def = dp_insulin_def_default();
 *     DP_TRY(dp_insulin_study(ctx, &def, each, user, &sum));
 *
 * A virtual person (twins/s2008) lives `days` days under the starting therapy A: basal rate that holds their steady
 * state, meal and correction boluses by their carbohydrate ratio and correction factor. The twin (twins/insulin,
 * another model) sees sensor readings with the error of glucose.h, announced meals, boluses and basal rate, no more.
 * Then, for the same meals under therapy B, it foretells time in range; and it chooses therapy C, for which it
 * foretells more time in range and no more time low; C is judged on the virtual person over other days, and so is
 * the twin in a loop, which decides the basal rate besides. What is foretold has the error of the twin's model in it,
 * as far as twins of other people were found to err.
 */
#ifndef DOPPEL_INSULIN_H
#define DOPPEL_INSULIN_H

#include <stdint.h>

#include "doppel/context.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Factors on the starting therapy. */
typedef struct dp_insulin_therapy {
  double basal, ratio, factor; /* of the basal rate, of g/U, of mg/dL/U */
} dp_insulin_therapy;

/* What is eaten; always announced exactly.
 * regular: breakfast, lunch and dinner of 50, 70 and 80 g near 7:00, 12:30 and 19:00 (children half), times +- 20 min,
 *   amounts +- 20 %
 * random: as the open simulator that people.tsv comes from draws days: breakfast, lunch, dinner (45, 70, 80 g +- 10)
 *   with probability 0.95 each and three snacks (10 g +- 5) with 0.3 each, for everybody; times +- 60 min (snacks 30),
 *   within the meal's own hours */
typedef enum dp_insulin_meals { DP_INSULIN_REGULAR, DP_INSULIN_RANDOM } dp_insulin_meals;

typedef struct dp_insulin_def {
  uint32_t cookie;
  const char *people;       /* folder of the kind s2008, with people.tsv: "twins/s2008" */
  const char *twin;         /* folder of the kind insulin: "twins/insulin" */
  const char *tuning;       /* file of `doppel tune` that C is chosen by; NULL: tunings/pump.yaml in the twin's folder */
  const char *work;         /* folder for the records that the twins read: "." */
  const char *only;         /* one person's id; NULL: all */
  dp_insulin_meals meals;   /* regular */
  int days;                 /* the twin learns from: 7 */
  int after;                /* other days on which therapies are compared: 14 */
  double every;             /* min between readings: 15 */
  int ndraw;                /* of a belief used in forecasts: 200 */
  int ntune;                /* and in the choice of a therapy: 50; 0: nothing is tuned */
  dp_insulin_therapy other; /* B: basal 0.9, ratio 0.8, factor 0.9 */
  uint64_t seed;            /* 1 */
  int nloop;                /* draws of the twin in a loop, at most 64; 0: no loops */
} dp_insulin_def;
dp_insulin_def dp_insulin_def_default(void);

/* Who decides the basal rate on the last days: nobody, a PID rule, the twin over a receding horizon (boluses by C). */
typedef enum dp_insulin_rule { DP_INSULIN_OPEN, DP_INSULIN_PID, DP_INSULIN_TWIN, DP_INSULIN_NRULE } dp_insulin_rule;

typedef struct dp_insulin_person {
  const char *id;
  int usable;                /* the belief's verdict */
  double ess, khat, seconds; /* of the belief; processor seconds */
  double tir_a, tbr_a;       /* shares under A, of subcutaneous glucose without sensor error */
  double tir_b, tbr_b;       /* under B, the same meals */
  double tir_said, tbr_said; /* by the twin, mean over draws */
  double tir_low, tir_high;  /* its 90 % interval */
  double covered;            /* share of the sensor's readings under B within the twin's 90 % bands of them */
  dp_insulin_therapy tuned;  /* C */
  double tir_start, tbr_start, tir_tuned, tbr_tuned;             /* over other days; NaN: not tuned */
  double tir_loop[DP_INSULIN_NRULE], tbr_loop[DP_INSULIN_NRULE]; /* over the same other days; NaN: no loops */
} dp_insulin_person;
typedef void (*dp_insulin_fn)(void *user, const dp_insulin_person *person);

typedef struct dp_insulin_sum {
  int npeople, nusable;
  double tir_error, tbr_error; /* medians of |said - so|, points (per cent) */
  double covered;              /* over all readings */
  int ncovered_tir;            /* people whose TIR lay in its 90 % interval */
  double tir_gain, tir_gain_low,
      tir_gain_high; /* mean of C - A over people, points, with 95 % interval by resampling people */
  double tbr_change, tbr_change_low, tbr_change_high;
  double tir_loop[DP_INSULIN_NRULE], tbr_loop[DP_INSULIN_NRULE]; /* means, shares */
  int nraised;                  /* people with more time in range and no more time below 70 */
  int nraised_tir, nraised_tbr; /* with more time in range; with more time below 70 */
  int nheld, nkept;             /* with neither less time in range nor more time below 70; who kept A */
  int nfull;                    /* whose time in range under A is 100 % on the days of comparison already */
  /* the twin in a loop beside the open one, as C beside A above */
  double loop_gain, loop_gain_low, loop_gain_high, loop_change, loop_change_low, loop_change_high; /* points */
  int nraised_loop, nheld_loop;
} dp_insulin_sum;

dp_status dp_insulin_study(dp_ctx *ctx, const dp_insulin_def *def, dp_insulin_fn each, void *user, dp_insulin_sum *sum);

/* One person's first day found again and again: mode searches of `nseed` seeds beside `nstart` searches to their end
 * from draws of the prior. Objective: -ln p(y, x). */
typedef struct dp_insulin_search {
  double best;                       /* of the many starts */
  double seconds_many;               /* processor time */
  int nseed, nfound;                 /* seeds within 1e-3 of the best */
  double worst;                      /* largest excess over the best */
  double seconds_mean, seconds_most; /* of a search, processor time */
  double posterior_seconds, posterior_wall, posterior_ess; /* seconds: processor */
  int nbest; /* of the many starts, those that came within 1e-3 of the best */
} dp_insulin_search;
dp_status dp_insulin_identify(dp_ctx *ctx, const dp_insulin_def *def, int nseed, int nstart, dp_insulin_search *out);

#ifdef __cplusplus
}
#endif
#endif
