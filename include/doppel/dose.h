/* dose.h - U: which dose brings one number of this person's path to where it is wanted.  D, U -> Q
 *
 * The dose is found by root finding through the waist: integrals, extremes and passages are those of the curve. It is
 * the dose of the most probable parameters (the mode); how sure it is, the draws of the belief say: which dose each
 * of them would need, and with what probability the number comes to lie in a range under the dose of the mode.
 *
 *     dp_dose_def def = dp_dose_def_default();
 *     def.target = "integral(c, 216 h, 240 h) = 400 mg.h/L";
 *     def.interval = 24;  def.count = 11;  def.duration = 2;
 *     DP_TRY(dp_dose_find(kind, record, subject, prior, belief, &def, &answer));
 *     if (answer->reason[0]) puts(answer->reason);
 *
 * What a target is: docs/kind.md, "Figures of a path".
 */
#ifndef DOPPEL_DOSE_H
#define DOPPEL_DOSE_H

#include "doppel/belief.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dp_dose_def {
  uint32_t cookie;
  const char *target;        /* FIGURE = NUMBER, or with a dose FIGURE alone */
  const char *control;       /* NULL: the one the kind plans, or its only one */
  double dose;               /* NaN: to be found; else what the figure is under it */
  double interval, duration; /* time units; 0: none (duration: at once, or as the control's own formula says) */
  int count;                 /* how often in all; 0: once, at steady state as often as the target's time needs */
  int steady;                /* 1: in the steady state of these doses */
  /* NaN: as if nothing had been given before; else what the record gave up to now goes on, and times of the target and
   * the doses count from now */
  double now;
  double low, high;    /* range of the figure whose probability is wanted; NaN: 20 % about the number */
  double lower, upper; /* doses looked at; NaN: the control's bounds */
} dp_dose_def;
dp_dose_def dp_dose_def_default(void);

typedef struct dp_dose_answer {
  dp_ctx *ctx;
  double dose;  /* control's unit; NaN when there is none, with the reason */
  double value; /* the figure at the mode under it */
  double wanted, low, high;
  const char *dose_unit; /* borrowed from the kind */
  char value_unit[128];
  char reason[320];   /* "" when found */
  int ndraw, nfailed; /* draws; of these could not be simulated */
  /* [ndraw] dose that this draw would need; infinite: none between the bounds (the sign says which side); NaN: failed,
   * or the dose was given */
  double *draw_dose;
  double *draw_value; /* [ndraw] the figure under `dose`; infinite: a passage that does not come; NaN: failed */
  /* of the range under `dose`, with Clopper and Pearson's 95 % for the effective draws; NaN: no range or no dose */
  double probability, probability_low, probability_high;
} dp_dose_answer;
/* Observations of the record are not looked at: what they say is in the belief. */
dp_status dp_dose_find(const dp_kind *kind, const dp_record *record, int subject, const dp_prior *prior,
                       const dp_belief *belief, const dp_dose_def *def, dp_dose_answer **out);
void dp_dose_answer_destroy(dp_dose_answer *answer);

#ifdef __cplusplus
}
#endif
#endif
