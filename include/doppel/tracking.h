/* tracking.h - the state of a model that changes at random, and its constants, observation by observation.  O -> D -> Q
 *
 * For a sim whose members use random numbers (spoke stochastic), or whose states get noise here (def.noise), or start from
 * places that are not known (def.begin). A person of a kind, or a calibration problem, is assimilate.h's.
 *
 *     dp_tracking_def def = dp_tracking_def_default();
 *     dp_sensor sensor = {.id = "count", .observable = "x", .law = DP_SENSOR_NORMAL, .scale = 5};
 *     def.sensor = &sensor, def.nsensor = 1, def.time = times, def.ntime = n;
 *     dp_tracking *t;
 *     DP_TRY(dp_tracking_create(ctx, sim, &def, &t));
 *     for (int k = 0; k < n; k++) {
 *       DP_TRY(dp_tracking_forecast(t, &o[k], &outlook));      what it will show, and how it was met
 *       DP_TRY(dp_tracking_read(t, &o[k], 1));
 *       DP_TRY(dp_tracking_states(t, state));                  what the state is thought to be now
 *     }
 *     dp_tracking_destroy(t);
 *
 * Readings may come late: states go back to a kept place, or start again with all readings in order, and end with the bytes that
 * readings in order give. A missing one (NaN) is nothing. Same bytes on any number of threads.
 */
#ifndef DOPPEL_TRACKING_H
#define DOPPEL_TRACKING_H

#include "doppel/assimilate.h"
#include "doppel/random.h"
#include "doppel/sim.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What is not known beforehand, and its law: a parameter, or a state at the start. */
typedef struct dp_unknown {
  const char *id;
  dp_variation law;
  double a, b; /* as in random.h */
} dp_unknown;

typedef struct dp_state_noise {
  const char *state;
  double sd; /* unit of the state, per root of the time unit */
} dp_state_noise;

typedef struct dp_tracking_def {
  uint32_t cookie;
  uint64_t seed;
  const char *method; /* states, parameters known: "bootstrap" (default) and "auxiliary" (particles; the second looks ahead before
                         it chooses them), "enkf" and "esrf" (ensemble Kalman, perturbed or square root: an approximation
                         that takes states and readings as jointly normal). Parameters too (unknown): "ibis" where nothing
                         is random, "smc2" else: a bootstrap filter for each particle; "smoother": nothing random, all
                         readings at once in rounds, exact where predictions are linear in the parameters */
  int nmember;        /* particles or members: 1000 */
  int ninner;         /* smc2: of each inner filter at the start: 100. Doubled while moves are not accepted */
  double start;       /* time units */
  const double *param; /* [sim's nparam] or NULL: the sim's defaults */
  const dp_instant *instant; /* [ninstant] what is given meanwhile */
  int ninstant;
  const dp_sensor *sensor; /* [nsensor] observable: an output of the sim; law and scale must be given */
  int nsensor;
  const double *time; /* [ntime] at which readings may come or forecasts be wanted */
  int ntime;
  const dp_unknown *begin; /* [nbegin] states whose start is not known; the others start where the model says */
  int nbegin;
  const dp_unknown *unknown; /* [nunknown] parameters to be learnt; ibis and smc2 */
  int nunknown;
  const dp_state_noise *noise; /* [nnoise] noise that the sim's states do not have themselves, independent and Gaussian */
  int nnoise;
  double noise_step; /* it enters at multiples of this after the start, and at readings; 0: at readings only */
} dp_tracking_def;
dp_tracking_def dp_tracking_def_default(void);

typedef struct dp_tracking dp_tracking;
/* All of the def is copied but ids of sensors, which are borrowed, as is the sim. ERR_INPUT, by name: an unknown state,
 * parameter or output, a bad number; ERR_UNSUPPORTED: a sim whose state can't be changed, with enkf, esrf or noise; ibis where
 * something is random; ERR_USAGE: unknown parameters with a method that does not learn any, or none with one that does. */
dp_status dp_tracking_create(dp_ctx *ctx, const dp_sim *sim, const dp_tracking_def *def, dp_tracking **out);
void dp_tracking_destroy(dp_tracking *t); /* NULL allowed */
/* Of an observation time, sensor, value, censored and line (for messages) count. */
dp_status dp_tracking_read(dp_tracking *t, const dp_observation *o, int n);
/* ERR_USAGE: the time lies before the last reading (but with ibis and smoother). */
dp_status dp_tracking_forecast(dp_tracking *t, const dp_observation *at, dp_outlook *out);

typedef struct dp_believed {
  double mean, sd, q05, q50, q95; /* NaN: nobody is left */
} dp_believed;
/* The sim's states at the last reading (or forecast), [nstate of the sim]. */
dp_status dp_tracking_states(dp_tracking *t, dp_believed *out);
/* The unknown parameters, [nunknown]. */
dp_status dp_tracking_unknowns(dp_tracking *t, dp_believed *out);
void dp_tracking_judge(dp_tracking *t, dp_assimilation_report *report);

#ifdef __cplusplus
}
#endif
#endif
