/* assimilate.h - observation by observation: a person's belief grows with each reading, and forecasts the next.
 * O -> D -> Q
 *
 *     dp_assimilation_def def = dp_assimilation_def_default();
 *     dp_assimilation *a;
 *     DP_TRY(dp_assimilation_create(kind, record, subject, prior, &def, &a));
 *     int n;
 *     const dp_observation *o = dp_assimilation_record(a, &n);      what the record has, in the order of time
 *     for (int k = 0; k < n; k++) {
 *       DP_TRY(dp_assimilation_forecast(a, &o[k], &outlook));       what it will show, and how it was met
 *       DP_TRY(dp_assimilation_read(a, &o[k], 1));
 *     }
 *     DP_TRY(dp_assimilation_belief(a, &belief));                   as dp_assimilate gives it
 *     dp_assimilation_destroy(a);
 *
 * Doses and covariates are the record's; what was measured may be the record's or the caller's. Readings may
 * come in any order, late ones too: static parameters then start again with all readings in order. A missing one (NaN) is nothing.
 * A belief (of dp_assimilate or of this) may be the start instead of the prior: def.belief.
 *
 * Who owns what: kind, record, prior, the def's sensors and their ids are borrowed until destroy; def.belief,
 * def.known and def.time during create only. One thread at a time; the same bytes on any number of threads. The
 * model-discrepancy term of dp_assimilate has no part in this, and the verdict says so where the kind has it switched on.
 */
#ifndef DOPPEL_ASSIMILATE_H
#define DOPPEL_ASSIMILATE_H

#include "doppel/belief.h"
#include "doppel/calibrate.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum dp_sensor_law {
  DP_SENSOR_AS_KIND, /* the noise that the kind gives the observable */
  DP_SENSOR_NORMAL,
  DP_SENSOR_LOGNORMAL, /* scale: sd of the logarithm */
  DP_SENSOR_LAPLACE,   /* scale: mean absolute deviation */
  DP_SENSOR_STUDENT    /* outliers: scale and dof */
} dp_sensor_law;

/* One way of looking at an observable. Several sensors may look at the same one, each with its own noise. */
typedef struct dp_sensor {
  const char *id;         /* for messages */
  const char *observable; /* id of the kind's observable */
  dp_sensor_law law;
  double scale; /* unit of the observable; NaN: the kind's, which may depend on the prediction */
  double dof;   /* of Student's law: 4 */
  /* drift: a bias b of its own, db = -rate b dt + diffusion dW, b(0) ~ N(0, sd^2); under log-normal noise of the
   * logarithm. All 0: none */
  double drift_sd;        /* unit of the observable */
  double drift_rate;      /* 1/time unit */
  double drift_diffusion; /* unit/sqrt(time unit) */
} dp_sensor;

typedef struct dp_observation {
  double time; /* time units of the kind */
  int order;   /* of several rows of the record at this time (before and after a dose): 0 the first */
  int sensor;
  double value; /* unit of the observable; of a censored one: the limit; NaN: missing */
  int censored; /* 0; 1: the truth lies below value; -1: above */
  int line;     /* in the record's file; 0: not from there */
} dp_observation;

typedef struct dp_assimilation_def {
  uint32_t cookie;
  uint64_t seed;
  const char *method;      /* "ibis" (default): exact but for Monte Carlo error, sensors without drift
                              "smc2":   the same with drift: a particle filter of the drifts for each particle
                              "enkf", "esrf": ensemble Kalman over the random effects, perturbed or square root:
                                        an approximation that takes effects and readings as jointly normal */
  int nparticle;           /* 1000 */
  int ninner;              /* smc2: of each filter at the start: 50. Doubled while moves are not accepted */
  int ndraw;               /* of beliefs: 1000 */
  const dp_sensor *sensor; /* [nsensor] or NULL: one for each observable, as the kind has it */
  int nsensor;
  const double *time; /* [ntime] further times, not the record's, at which readings may come or forecasts be wanted */
  int ntime;
  const dp_belief *belief;     /* start from it instead of the prior, or NULL. ERR_CONFLICT: it is not usable */
  const dp_observation *known; /* [nknown] what the belief knows; NULL: the first belief->nobs of the record */
  int nknown;
} dp_assimilation_def;
dp_assimilation_def dp_assimilation_def_default(void);

typedef struct dp_assimilation dp_assimilation;
/* ERR_UNSUPPORTED, by name: a stochastic kind, a drift with ibis; ERR_INPUT: an unknown observable, a bad number. */
dp_status dp_assimilation_create(const dp_kind *kind, const dp_record *record, int subject, const dp_prior *prior,
                                 const dp_assimilation_def *def, dp_assimilation **out);
void dp_assimilation_destroy(dp_assimilation *a); /* NULL allowed */

/* A calibration problem instead of a person: its measurements, over all of its experiments, in the order of time (steady states
 * last); what is learnt are its estimated parameters, on the scale of estimation, from their priors (uniform within the bounds where
 * there is none). Once all measurements are read this is the posterior that dp_problem_sample draws from. Parameters that are solved
 * inside the objective (calibrate.h) are learnt like all others. A point where any simulation fails has likelihood 0 from the start.
 * Sensors are the problem's observables, one for each experiment. The problem is borrowed until destroy, and nobody else may use
 * it meanwhile; of the def method (ibis, enkf, esrf), seed, nparticle and ndraw count.
 * ERR_UNSUPPORTED, by name: smc2 (nothing drifts), measurements known only between two bounds, ordinal ones, and more than 64 parameters
 * with ibis. ERR_INPUT: a parameter with neither prior nor bounds. */
dp_status dp_assimilation_problem(dp_problem *problem, const dp_assimilation_def *def, dp_assimilation **out);

typedef struct dp_sensor_desc {
  const char *id, *unit;
} dp_sensor_desc;
int dp_assimilation_nsensor(const dp_assimilation *a);
const dp_sensor_desc *dp_assimilation_sensor(const dp_assimilation *a, int k);
/* Id of individual parameter e (dp_belief.individual's order); unit may be NULL. */
const char *dp_assimilation_parameter(const dp_assimilation *a, int e, const char **unit);
/* The record's observations in the order of time, each by the first sensor of its observable. Borrowed. */
const dp_observation *dp_assimilation_record(const dp_assimilation *a, int *n);
/* ERR_INPUT: a time that was not prepared, a sensor that is none, an impossible number. */
dp_status dp_assimilation_read(dp_assimilation *a, const dp_observation *o, int n);

#define DP_OUTLOOK_NLEVEL 7
extern const double dp_outlook_level[DP_OUTLOOK_NLEVEL]; /* .025 .05 .25 .50 .75 .95 .975 */

/* What a sensor is going to show at a time, under all that was read so far; and, where the value is given, how it was
 * met. Unit of the observable. */
typedef struct dp_outlook {
  double q[DP_OUTLOOK_NLEVEL]; /* quantiles of the exact mixture of the particles' laws of a reading */
  double pit;                  /* P(reading <= value): uniform when forecasts are honest. NaN: missing or censored */
  double crps;                 /* continuous ranked probability score, in the unit. NaN: missing or censored */
  double log_density;          /* ln p(value), of a censored one ln P. NaN: missing; -infinity: impossible */
  int inside90;                /* the value lies in q[1]..q[5]; -1: missing or censored */
} dp_outlook;
/* ERR_USAGE where drifting sensors are asked for a time that is over. */
dp_status dp_assimilation_forecast(dp_assimilation *a, const dp_observation *at, dp_outlook *out);

typedef struct dp_assimilation_report {
  const char *method;
  int nread, nmissing, nlate; /* readings taken, missing ones, and those that came after a later one */
  double evidence;            /* ln p(readings) */
  int nparticle, ninner;      /* now */
  double ess, ess_least;      /* effective particles now, and the least so far */
  int nrejuvenate, nrestart;  /* times of resampling and moving; times everything was started again */
  double accept;              /* share of the last moves that were accepted; NaN: none were made */
  int usable;                 /* 0: must not be decided upon */
  char verdict[240];          /* in words */
} dp_assimilation_report;
void dp_assimilation_judge(dp_assimilation *a, dp_assimilation_report *report);

/* What is thought now: ndraw draws of equal weight, as of dp_assimilate. mode: the draw of greatest density (ensemble
 * Kalman: the mean); khat and ppc_p NaN: they do not apply. */
dp_status dp_assimilation_belief(dp_assimilation *a, dp_belief **out);
/* Of a calibration problem: ndraw draws x [ndraw x nparam] of equal weight, on the scale of estimation, of the parameters that
 * dp_assimilation_parameter names. */
int dp_assimilation_nparam(const dp_assimilation *a);
dp_status dp_assimilation_draws(dp_assimilation *a, double *x);

#ifdef __cplusplus
}
#endif
#endif
