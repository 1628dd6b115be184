/* calibrate.h - a calibration problem: a model, what was measured of it, and which numbers are to be found.  O -> D
 *
 * A problem is read from a PEtab file (version 1 or 2), compiled once and then asked for its likelihood at points.
 * A point x [nparam] holds the estimated parameters, each on its own scale (linear, ln, log10).
 *
 *     dp_problem_def def = dp_problem_def_default();
 *     dp_problem *problem;
 *     dp_problem_value v = {.gradient = g};
 *     DP_TRY(dp_problem_open(ctx, "problem.yaml", &def, &problem));
 *     DP_TRY(dp_problem_eval(problem, 1, dp_problem_describe(problem)->nominal, DP_PROBLEM_GRADIENT, &v));
 *     printf("%.10g\n", v.llh);
 *     dp_problem_close(problem);
 *
 * All conditions of all points of a call are one batch of members behind the waist (sim.h). What a point gives depends
 * on that point alone. A point where the model can't be run is an outcome: ok = 0 and a reason.
 */
#ifndef DOPPEL_CALIBRATE_H
#define DOPPEL_CALIBRATE_H

#include "doppel/context.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum dp_problem_scale { DP_SCALE_LIN, DP_SCALE_LOG, DP_SCALE_LOG10 } dp_problem_scale;

/* How gradients are made: carried along (as many directions as parameters a simulation depends on), or backwards (as
 * costly as a few simulations). */
typedef enum dp_problem_derivative {
  DP_DERIVATIVE_AUTO, /* the cheaper one */
  DP_DERIVATIVE_FORWARD,
  DP_DERIVATIVE_ADJOINT,
} dp_problem_derivative;

/* Another choice of what is estimated than the file's: a parameter of its table is estimated, or has this value. */
typedef struct dp_problem_choice {
  const char *id;
  int estimate;
  double value; /* not scaled; when it is not estimated */
} dp_problem_choice;

typedef struct dp_problem_def {
  uint32_t cookie;    /* set by dp_problem_def_default */
  const char *method; /* an integrator, as in dp_sim_def: "ensemble" */
  double rtol, atol;  /* 1e-8, 1e-12 */
  dp_problem_derivative derivative;
  int same_steps; /* 1: derivatives take no part in error control (dp_sim_def.same_steps): faster, and the gradient is that of
                         the value as it is computed; a kink of a rate, or a path at rest, then costs accuracy */
  int quiet;      /* 1: what is allowed in the tables but probably not meant is not logged */
  int max_steps;  /* of a simulation between two discontinuities: beyond it the point is not evaluable; 0: 100000 */
  const dp_problem_choice *choice; /* [nchoice] borrowed during the call; NULL: as the file has it */
  int nchoice;
} dp_problem_def;
dp_problem_def dp_problem_def_default(void);

typedef struct dp_problem dp_problem;

typedef struct dp_problem_desc {
  const char *name;              /* from the file's name */
  int version;                   /* of the format: 1 or 2 */
  int nparam;                    /* estimated */
  const char *const *id;         /* [nparam] */
  const dp_problem_scale *scale; /* [nparam] */
  const double *lower, *upper;   /* [nparam] on the scale; infinite allowed */
  const double *nominal;         /* [nparam] on the scale; NaN: the file gives none */
  int nfixed;                    /* parameters of the table that are not estimated */
  int ndatum;                    /* measurements, in the order of the files */
  int nobservable;
  const char *const *observable;          /* [nobservable] ids */
  const int *datum_observable;            /* [ndatum] */
  const char *const *datum_experiment;    /* [ndatum] "" when there is none */
  const double *datum_time, *datum_value; /* [ndatum] time: infinity at steady state */
  const char *const *datum_where;         /* [ndatum] "measurements.tsv:3" */
  int nmodel, nstate;                     /* states of all models */
  int nexperiment;                        /* experiments (conditions) that have measurements */
  int nsimulation; /* simulations of one point: experiments that differ in nothing that matters share one */
  int ndirection;  /* most directions that a simulation needs */
  int adjoint;     /* 0: the model does not offer gradients backwards */
  int has_prior;
  /* Not searched for: at each point their best values, given all others, are solved for (scalings, offsets, standard deviations of
   * parameterType; thresholds of ordinal observables). llh is maximal in them, its gradient that of this maximum. */
  int nsolved;
  const char *const *solved; /* [nsolved] ids */
} dp_problem_desc;

/* The file's tables are checked against each other and against the model; what is wrong is named with table and row. */
dp_status dp_problem_open(dp_ctx *ctx, const char *path, const dp_problem_def *def, dp_problem **out);
const dp_problem_desc *dp_problem_describe(const dp_problem *problem);
int dp_problem_param(const dp_problem *problem, const char *id); /* index or -1 */
void dp_problem_close(dp_problem *problem);                      /* NULL allowed */

enum {
  DP_PROBLEM_VALUE = 0,
  DP_PROBLEM_GRADIENT = 1 << 0,
  DP_PROBLEM_FISHER = 1 << 1, /* with the gradient, forward */
};

/* One point's answer. Arrays are the caller's and may be NULL. */
typedef struct dp_problem_value {
  int ok;             /* 0: could not be evaluated here; llh is -infinity */
  double llh;         /* ln p(data | x), all constants included */
  double chi2;        /* sum of squared residuals */
  double log_prior;   /* ln p of the table's priors, as PEtab has it: densities of what each prior is of; 0: none */
  double *gradient;   /* [nparam] of llh by x, without the prior */
  double *fisher;     /* [nparam x nparam] expected information of the likelihood */
  double *prior;      /* [nparam] terms of log_prior */
  double *simulation; /* [ndatum] the observable, as measured */
  double *sigma;      /* [ndatum] scale of the noise */
  double *residual;   /* [ndatum] (simulation - measurement) / sigma, on the scale of the noise */
  double *pointwise;  /* [ndatum] terms of llh */
  double *solved;     /* [nsolved] values, not scaled */
  char reason[200];   /* ok = 0: why and where */
} dp_problem_value;

/* x [npoint x nparam], value [npoint]. Other than DP_OK ends the work (memory, cancelled). One thread at a time. */
dp_status dp_problem_eval(dp_problem *problem, int npoint, const double *x, unsigned what, dp_problem_value *value);

/* ---- second derivatives ----
 *
 * H v, with H the matrix of second derivatives of llh by x: exact, at the cost of a few gradients. The model's tangent
 * along v is integrated beside the model, and the gradient of the slope along v is taken of both, forward or backwards
 * as the problem's gradients are. All columns of H are one call with as many points. Refused by name, ERR_UNSUPPORTED,
 * where it would not be exact: models without derivatives, events with a delay whose time moves with parameters, rates
 * that jump by floor, ceil, mod or sign of what moves, a steady state at the end beside jumps whose times move. At
 * kinks (Laplace noise whose residual is zero, an output exactly at a moving jump) it is that of one side. */
typedef struct dp_problem_product {
  int ok;
  double slope;    /* of llh along v: gradient . v */
  double *product; /* [nparam] H v, without the prior; NaN where it could not be evaluated */
  char reason[200];
} dp_problem_product;

/* x, v [npoint x nparam]; out [npoint]. What one gives depends on its own x and v alone. */
dp_status dp_problem_hessian_vector(dp_problem *problem, int npoint, const double *x, const double *v,
                                    dp_problem_product *out);
/* Second derivatives of log_prior, which are a diagonal, into d2 [nparam]. */
void dp_problem_prior_hessian(const dp_problem *problem, const double *x, double *d2);

/* Values on the scale of estimation to those of the table, and back. */
double dp_problem_unscale(dp_problem_scale scale, double x);
double dp_problem_rescale(dp_problem_scale scale, double value);

#ifdef __cplusplus
}
#endif
#endif
