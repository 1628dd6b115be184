/* filter.h - floor 6, folder filter: assimilation observation by observation.  O -> D
 *
 * A *process* is what goes through time: members behind the waist (process_sim.c) or a closed form (process_linear.c).
 * *Sensors* look at it, each with its own noise; *readings* are what they said. A *filter* keeps an ensemble and takes
 * readings in any order:
 *
 *     dpi_process *process;   dpi_filter *filter;
 *     DP_TRY(dpi_process_sim(ctx, sim, &plan, &process));
 *     dpi_problem problem = {.process = process, .sensor = sensor, .nsensor = 2};
 *     dpi_filter_def def = dpi_filter_def_default();
 *     def.method = DPI_FILTER_ESRF;
 *     DP_TRY(dpi_filter_create(&problem, &def, &filter));
 *     DP_TRY(dpi_filter_read(filter, reading, nreading));      as they arrive: late ones too
 *     DP_TRY(dpi_filter_moments(filter, mean, cov));
 *     dpi_filter_destroy(filter);
 *     dpi_process_destroy(process);
 *
 * ibis.h and nested.h estimate static parameters, kalman.h is the exact answer of the linear case, carry.h takes a
 * batch posterior into a filter and back.
 *
 * Invariants:
 *   1. random numbers are addressed by (seed, member's stream, purpose, time), never by how many were drawn before:
 * what
 *      a reading does depends on the readings before it in time, not on when it arrived;
 *   2. readings of one time are taken together, ordered by (sensor, censored, y): equal sets give equal bytes;
 *   3. a missing value (NaN) is nothing: same bytes as without it;
 *   4. a member that fails has likelihood 0 and no part in moments; it is never an error;
 *   5. the same bytes on any number of threads.
 */
#ifndef DPI_FILTER_H
#define DPI_FILTER_H

#include "base/base.h"
#include "doppel/sim.h"
#include "num/num.h"

/* purposes of random streams used here */
enum {
  DPI_RNG_FILTER_STREAM = 0x1501,  /* streams of members, at the start and after resampling */
  DPI_RNG_FILTER_START = 0x1502,   /* initial states */
  DPI_RNG_FILTER_NOISE = 0x1503,   /* process noise, drift */
  DPI_RNG_FILTER_PERTURB = 0x1504, /* perturbed observations */
  DPI_RNG_FILTER_RESAMPLE = 0x1505,
  DPI_RNG_FILTER_LOOK = 0x1506,   /* streams of look-ahead copies */
  DPI_RNG_FILTER_LINEAR = 0x1507, /* noise of the closed form */
  DPI_RNG_FILTER_STATIC = 0x1508, /* draws of a prior of static parameters */
  DPI_RNG_FILTER_MOVE = 0x1509,   /* moves of static parameters */
  DPI_RNG_FILTER_CARRY = 0x150a,
  DPI_RNG_FILTER_OUTLOOK = 0x150b /* draws of a reading to come */
};

/* ---- sensors and readings (sensor.c) ---- */

typedef enum dpi_sensor_noise {
  DPI_SENSOR_NORMAL,
  DPI_SENSOR_LOGNORMAL, /* ln y about ln f */
  DPI_SENSOR_LAPLACE,
  DPI_SENSOR_STUDENT,   /* outliers */
  DPI_SENSOR_LOGLAPLACE /* Laplace of ln y about ln f */
} dpi_sensor_noise;

/* y = f + bias + noise (on a logarithmic scale: ln y = ln f + bias + noise). */
typedef struct dpi_sensor {
  const char *id;
  bool of_state; /* f is a state: can be read at any time; else an output: at the plan's times only */
  int index;     /* of the state or output */
  dpi_sensor_noise noise;
  double scale;     /* sd (log-normal: of the logarithm; Laplace: b; Student: scale) */
  bool scale_given; /* the scale is the output `scale_output`, which may depend on the member */
  int scale_output;
  double dof;  /* Student, > 0 */
  bool drifts; /* bias is the problem's drift number `drift` */
  int drift;
} dpi_sensor;
/* Is its noise added to the logarithm? */
static inline bool dpi_sensor_log(const dpi_sensor *s) {
  return s->noise == DPI_SENSOR_LOGNORMAL || s->noise == DPI_SENSOR_LOGLAPLACE;
}

typedef struct dpi_reading {
  dp_time time;
  int sensor;
  double y;     /* NaN: missing */
  int censored; /* 0; 1: the truth lies below y; -1: above */
} dpi_reading;

/* ln p(reading | f, scale, bias included in f already for linear noise, in ln f for log-normal): -infinity when
 * impossible or when f is no number. */
double dpi_sensor_loglik(const dpi_sensor *s, const dpi_reading *r, double f, double bias, double scale);
/* P(Z <= z) of the standardised noise: z = (y - f - bias) / scale on the sensor's scale. */
double dpi_sensor_cdf(const dpi_sensor *s, double z);
/* A value of the sensor. */
double dpi_sensor_draw(const dpi_sensor *s, double f, double bias, double scale, dpi_rng *rng);

/* The Gaussian reading (y, variance r) of h that, under h ~ N(m, c), gives the mean and variance that the true
 * likelihood gives (exact for normal and log-normal readings, by quadrature else); h is on the sensor's scale (ln f for
 * log-normal). evidence: ln of the reading's probability under N(m, c). */
typedef struct dpi_matched {
  double y, r, evidence;
} dpi_matched;
dpi_matched dpi_sensor_match(const dpi_sensor *s, const dpi_reading *r, double m, double c, double scale);

/* ---- processes ---- */
typedef struct dpi_process dpi_process;
typedef struct dpi_swarm dpi_swarm; /* its members going through time; each implementation has its own */

typedef struct dpi_swarm_def {
  int n;
  const double *param;    /* [n x nparam] or NULL: defaults. Copied */
  const double *state0;   /* [n x nstate] or NULL: the process's own start. Copied */
  const uint64_t *stream; /* [n] copied */
  uint64_t seed;
} dpi_swarm_def;

typedef struct dpi_process_ops {
  dp_status (*open)(dpi_process *p, const dpi_swarm_def *def, dpi_swarm **out);
  dp_status (*advance)(dpi_swarm *s, dp_time to);
  /* Outputs at the time reached, [n x noutput]; NaN of failed members. ERR_INPUT: the time is not one of the plan's. */
  dp_status (*output)(dpi_swarm *s, double *f);
  dp_status (*get)(dpi_swarm *s, double *x);       /* [n x nstate]; NaN of failed members */
  dp_status (*set)(dpi_swarm *s, const double *x); /* rows with a NaN are left as they are */
  dp_status (*fork)(dpi_swarm *s, const int *index, int n, const uint64_t *stream, dpi_swarm **out); /* NULL: keep */
  void (*close)(dpi_swarm *s);
  void (*destroy)(dpi_process *p);
} dpi_process_ops;

/* Embedded as the first member of whoever implements it. */
struct dpi_process {
  const dpi_process_ops *ops;
  dp_ctx *ctx;
  int nstate, nparam, noutput;
  const double *param_default; /* [nparam] */
  bool stochastic;             /* its members use their streams */
  bool edit;                   /* states may be set */
  bool output_first;           /* outputs are those of the states as they were when the time was reached, before they are set */
  bool discrete;               /* a map from one time to the next */
  bool threads;                /* different swarms may run on different threads */
  dp_time start;
};
static inline void dpi_process_destroy(dpi_process *p) {
  if (p) p->ops->destroy(p);
}

/* Behind the waist (process_sim.c). All is copied but the sim. */
typedef struct dpi_process_plan {
  dp_time start;
  const dp_instant *instant;
  int ninstant;
  const dp_time *time; /* at which outputs may be asked for, in any order */
  int ntime;
  int order; /* of outputs among instants at the same time */
} dpi_process_plan;
dp_status dpi_process_sim(dp_ctx *ctx, const dp_sim *sim, const dpi_process_plan *plan, dpi_process **out);

/* Linear and Gaussian (process_linear.c): dx = (A x + b) dt + dW, cov of dW = Q dt, or x' = A x + b + N(0, Q) every
 * time unit when discrete; f = C x. What a member's own parameters change: the callback, or NULL. */
typedef struct dpi_linear {
  int nstate, noutput;
  double *a;       /* [nstate x nstate] */
  double *b;       /* [nstate] */
  double *q;       /* [nstate x nstate] */
  double *c;       /* [noutput x nstate] */
  double *m0, *p0; /* [nstate], [nstate x nstate] law at the start */
  bool discrete;
} dpi_linear;
typedef struct dpi_linear_def {
  dpi_linear system; /* copied */
  int nparam;
  const double *param_default;                                        /* [nparam] */
  void (*apply)(void *user, const double *param, dpi_linear *system); /* system holds the def's values on entry */
  void *user;
  dp_time start;
} dpi_linear_def;
dp_status dpi_process_linear(dp_ctx *ctx, const dpi_linear_def *def, dpi_process **out);
/* The system of one parameter vector, memory of the arena. */
dp_status dpi_linear_at(dpi_arena *arena, const dpi_linear_def *def, const double *param, dpi_linear *out);
/* x(t + h) = F x + d + N(0, Q): transition over a time. work: dpi_linear_work(nstate) doubles. */
size_t dpi_linear_work(int nstate);
void dpi_linear_step(const dpi_linear *s, double h, double *f, double *d, double *q, double *work);
/* q = L L' (lower) of a matrix that may be singular, in place, upper part 0. */
void dpi_linear_root(double *q, int n);

/* ---- the problem ---- */

/* A sensor's bias going its own way: db = -rate b dt + diffusion dW; b(start) ~ N(mean, sd^2). */
typedef struct dpi_drift {
  double mean, sd;
  double rate;      /* 1/time unit; 0: random walk */
  double diffusion; /* unit/sqrt(time unit) */
} dpi_drift;

typedef struct dpi_problem { /* all borrowed */
  dpi_process *process;
  const dpi_sensor *sensor;
  int nsensor;
  const dpi_drift *drift;
  int ndrift;
  /* Process noise that the process does not have itself: sd of each state per sqrt(time unit) [nstate], or NULL. Added
   * at every multiple of noise_step after the start (0: only at readings) and at readings; behind the waist a tick
   * before, so that outputs have it. */
  const double *noise;
  dp_time noise_step;
  /* Start of a member: fill state0 [nstate], from rng and its param only. NULL: the process's own start. */
  dp_status (*begin)(void *user, const double *param, dpi_rng *rng, double *state0);
  void *user;
} dpi_problem;

/* ---- filters (filter.c, enkf.c, particle.c) ---- */

typedef enum dpi_filter_method {
  DPI_FILTER_ENKF,      /* ensemble Kalman with perturbed observations */
  DPI_FILTER_ESRF,      /* square root, no perturbation: exact given the ensemble's mean and covariance */
  DPI_FILTER_BOOTSTRAP, /* particles */
  DPI_FILTER_AUXILIARY  /* particles that look ahead before they are chosen */
} dpi_filter_method;

typedef struct dpi_filter_def {
  uint64_t seed;
  dpi_filter_method method;
  int n;                   /* members */
  const double *param;     /* [n x nparam] or NULL: the process's defaults. Copied */
  const double *param_one; /* [nparam] of all members, or NULL */
  const double *weight;    /* [n] or NULL: equal. Ensemble Kalman methods resample them at the start */
  double inflation;        /* >= 1: spread of the forecast is multiplied by it before each analysis */
  double relax;            /* 0..1: share of the lost spread that is given back after it (Whitaker & Hamill 2012) */
  const double *taper;     /* [nsensor x (nstate + ndrift)] multiplies the gain; NULL: 1 */
  double ess;              /* particles are resampled when fewer than this share are effective */
  int nlook;               /* auxiliary: copies a particle looks ahead with */
  int ncheckpoint;         /* places to go back to; 0: late readings start from the beginning */
  int every;               /* times between checkpoints */
} dpi_filter_def;
dpi_filter_def dpi_filter_def_default(void); /* ESRF, 100 members, ess 0.5, 8 checkpoints, each time */

typedef struct dpi_filter dpi_filter;
dp_status dpi_filter_create(const dpi_problem *problem, const dpi_filter_def *def, dpi_filter **out);
void dpi_filter_destroy(dpi_filter *f); /* NULL allowed */
/* Take readings, in any order. After an error the filter can only be destroyed. */
dp_status dpi_filter_read(dpi_filter *f, const dpi_reading *reading, int n);
/* Forecast: go on without readings. Readings before `to` that come afterwards are late. */
dp_status dpi_filter_advance(dpi_filter *f, dp_time to);
/* The same filter once more, going its own way (what-if). */
dp_status dpi_filter_fork(const dpi_filter *f, dpi_filter **out);

typedef struct dpi_filter_report {
  dp_time time;
  double evidence; /* ln p(readings): estimate (particles: unbiased on the natural scale; Kalman: Gaussian) */
  int nreading, nmissing, nlate;
  int nrestart; /* times it went back */
  int nresample;
  double ess;        /* of the weights now */
  double ess_least;  /* and the worst so far, before resampling */
  int nfailed;       /* members */
  int usable;        /* 0: not to be used */
  char verdict[240]; /* in words */
} dpi_filter_report;
void dpi_filter_judge(const dpi_filter *f, dpi_filter_report *report);
int dpi_filter_nstate(const dpi_filter *f); /* states and drifts */
/* Ensemble now: z [n x (nstate + ndrift)], weight [n] (sum 1; 0 of failed members). Either may be NULL. */
dp_status dpi_filter_members(const dpi_filter *f, double *z, double *weight);
/* Parameters of the members now [n x nparam]. */
void dpi_filter_params(const dpi_filter *f, double *param);
/* mean [nz]; cov [nz x nz] or NULL (divisor: 1 - sum w^2). */
dp_status dpi_filter_moments(const dpi_filter *f, double *mean, double *cov);
/* What sensor k would see without its noise: [n]. Outputs: only at the plan's times. */
dp_status dpi_filter_predict(const dpi_filter *f, int sensor, double *h);
/* The same, and the scale of its noise [n] unless NULL. */
dp_status dpi_filter_seen(const dpi_filter *f, int sensor, double *h, double *scale);

#endif
