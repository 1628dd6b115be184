/* gain.h - which measurement of this person would narrow a forecast most?  D -> Q
 *
 *     dp_gain_place forecast = {"cp", 24}, candidate[] = {{"cp", 1}, {"cp", 8}};
 *     dp_gain_outlook o = {0};  dp_gain gain[2];
 *     DP_TRY(dp_gain_kind(kind, record, subject, prior, belief, &forecast, candidate, 2, 1, &o, gain));
 *
 * What is forecast is the observable itself, without measurement error, under the doses of the record. A candidate is a
 * measurement of an observable, with the kind's error model. Each draw of the belief is simulated once; what the figures
 * mean stands at dp_gain in sensitivity.h. A discrepancy term of the belief takes no part.
 */
#ifndef DOPPEL_GAIN_H
#define DOPPEL_GAIN_H

#include "doppel/belief.h"
#include "doppel/estimate.h"
#include "doppel/sensitivity.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dp_gain_place {
  const char *observable; /* id */
  double time;            /* the kind's time unit */
} dp_gain_place;

typedef struct dp_gain_outlook { /* the forecast as it is now, over the belief's draws */
  double mean, sd;
  int ndraw, nfailed; /* draws simulated; failed ones are left out */
} dp_gain_outlook;

dp_status dp_gain_kind(const dp_kind *kind, const dp_record *record, int subject, const dp_prior *prior,
                       const dp_belief *belief, const dp_gain_place *forecast, const dp_gain_place *candidate,
                       int ncandidate, uint64_t seed, dp_gain_outlook *outlook, dp_gain *gain /* [ncandidate] */);

/* The same of a calibration problem: draws x [ndraw x n] of equal weight of what is believed now, on the scale of estimation, n
 * parameters as dp_assimilation_draws or dp_sample have them (those that are solved inside the objective are among them). The
 * forecast may be any quantity; a candidate is an observable, in any experiment at any time, with its own noise, normal or
 * normal of the logarithm. ERR_UNSUPPORTED, by name: another noise. */
dp_status dp_gain_problem(dp_problem *problem, const double *x, int ndraw, const dp_problem_quantity *forecast,
                          const dp_problem_quantity *candidate, int ncandidate, uint64_t seed, dp_gain_outlook *outlook,
                          dp_gain *gain /* [ncandidate] */);

#ifdef __cplusplus
}
#endif
#endif
