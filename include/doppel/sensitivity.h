/* sensitivity.h - what an answer depends on: shares of its variance by input, and what a measurement would tell.  D,
 * Q
 *
 * Inputs have laws (or are the columns of a sample that is given), a function gives outputs for many points at once,
 * and each output's variation is laid to the inputs:
 *
 *     dp_input_def input[2] = {{.id = "ka", .kind = DP_INPUT_LOGNORMAL, .a = 1.5, .b = 0.3}, ...};
 *     dp_sensitivity_def def = dp_sensitivity_def_default();
 *     def.input = input; def.ninput = 2;
 *     DP_TRY(dp_sensitivity_sim(ctx, sim, &member, &def, &answer));     outputs of a sim at the member's times
 *     ... dp_sensitivity_value(answer, output, group, measure).value ...
 *     dp_sensitivity_destroy(answer);
 *
 * sobol     "first": share of the variance that goes when the input alone becomes known; "total": share that stays
 * when
 *           all the others are known (Saltelli et al. 2010; Jansen 1999); "second": what two do together beyond that.
 *           nsample rows of a scrambled Sobol sequence, nsample x (groups + 2) points. Independent inputs only.
 * morris    elementary effects along nsample trajectories: "mu", "mu_star", "sigma", in the output's unit per unit
 * of the
 *           input's quantile (Morris 1991; Campolongo et al. 2007). nsample x (groups + 1) points. Independent
 * inputs only.
 * shapley   "share": the variance divided fairly among inputs, correlated ones too; shares sum to 1 (Owen 2014;
 * Song, Nelson,
 *           Staum 2016). nsample permutations of the groups.
 *
 * Points where the function fails are an outcome: what needs them is left out, and counted. An output that varies by no
 * more than its values' own error (rtol, atol) is constant: it has no indices. Intervals of sobol come from 4 to 16
 * independent nets, one left out at a time; of morris and shapley they are percentiles of a bootstrap over trajectories
 * or permutations. What is given depends on the definition alone, never on threads.
 */
#ifndef DOPPEL_SENSITIVITY_H
#define DOPPEL_SENSITIVITY_H

#include <stddef.h>
#include <stdint.h>

#include "doppel/context.h"
#include "doppel/sim.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- inputs ---- */

typedef enum dp_input_kind {
  DP_INPUT_UNIFORM,    /* a to b */
  DP_INPUT_LOGUNIFORM, /* a to b, both of one sign: uniform in the logarithm */
  DP_INPUT_NORMAL,     /* mean a, standard deviation b */
  DP_INPUT_LOGNORMAL,  /* median a, standard deviation b of the logarithm */
} dp_input_kind;

typedef struct dp_input_def {
  const char *id;
  dp_input_kind kind; /* not used where rows are given */
  double a, b;
  double low, high; /* NORMAL, LOGNORMAL: only between these; both 0: everywhere. An end may be infinite */
  int group;        /* inputs of one number > 0 are one thing to be explained; 0: by itself */
} dp_input_def;

/* ---- the function ---- */

typedef struct dp_points {
  int n;
  const double *x;        /* [n x ninput] */
  const uint64_t *stream; /* [n] random stream, for what draws numbers itself: points that are compared share theirs */
  double *y;              /* [n x noutput] to fill; NaN: this output is not known here */
  uint8_t *ok;            /* [n] 1 on entry; 0: the point failed */
  char reason[160];       /* why the first one failed */
} dp_points;
/* Other than DP_OK ends the work with that. What a point gives must depend on that point alone. */
typedef dp_status (*dp_points_fn)(void *user, dp_points *points);

/* ---- definition ---- */

typedef enum dp_sensitivity_method {
  DP_SENSITIVITY_SOBOL,
  DP_SENSITIVITY_MORRIS,
  DP_SENSITIVITY_SHAPLEY
} dp_sensitivity_method;
typedef enum dp_sensitivity_estimator {
  DP_ESTIMATOR_SALTELLI, /* first order by products (Saltelli et al. 2010), total by squared differences (Jansen) */
  DP_ESTIMATOR_JANSEN,   /* both by squared differences: better where first orders are large */
} dp_sensitivity_estimator;

typedef struct dp_sensitivity_def {
  uint32_t cookie; /* set by dp_sensitivity_def_default */
  dp_sensitivity_method method;
  const dp_input_def *input;
  int ninput;
  const double *correlation; /* [ninput x ninput] of the normal scores of the inputs, or NULL: independent */
  const double *row;         /* [nrow x ninput] a sample of the inputs (a posterior) in place of laws: its columns'
                                    distributions, joined by the correlation of their normal scores; or NULL */
  int nrow;
  int nsample; /* rows, trajectories or permutations (1024) */
  uint64_t seed;
  double rtol, atol; /* of the function's values (1e-12, 0): what varies by no more is constant */
  /* sobol */
  dp_sensitivity_estimator estimator;
  int second; /* 1: second order too, nsample x (2 groups + 2) points */
  /* morris */
  int nlevel;     /* levels of the grid, even (4) */
  int ncandidate; /* trajectories of which the nsample most spread are taken; 0: four times as many */
  double tail;    /* quantile at which laws without bounds end (0.01) */
  /* shapley */
  int nouter, ninner, nvariance; /* points of one cost (1, 3), of the variance (1024) */
  /* intervals */
  int nboot;    /* replicates (400; sobol needs none); 0: no intervals */
  double level; /* 0.95 */
} dp_sensitivity_def;
dp_sensitivity_def dp_sensitivity_def_default(void);

/* ---- the answer ---- */

typedef struct dp_sensitivity dp_sensitivity;

typedef struct dp_sensitivity_desc {
  dp_sensitivity_method method;
  int noutput, ngroup, nmeasure, npair; /* npair: of groups, for second order; 0: not asked for */
  const char *const *group;             /* [ngroup] an input's id, or those of a group joined by '+' */
  const char *const *measure;           /* [nmeasure] */
  int npoint, nfailed;                  /* function values asked for; points that failed */
  const char *reason;                   /* of the first that failed, "" */
} dp_sensitivity_desc;

typedef struct dp_estimate {
  double value;     /* NaN: not known (the output does not vary, or too few points are left) */
  double low, high; /* interval; NaN where none was asked for */
  int nused;        /* rows, trajectories or permutations that it rests on */
} dp_estimate;

/* outputs: noutput numbers a point. */
dp_status dp_sensitivity_run(dp_ctx *ctx, const dp_sensitivity_def *def, int noutput, dp_points_fn fn, void *user,
                             dp_sensitivity **out);
/* Inputs are parameters of the sim by their ids; all else is as in base: parameters (NULL: the model's), doses,
 * start, output times. Output number t x (the sim's outputs) + o: output o at time t; functionals follow. */
dp_status dp_sensitivity_sim(dp_ctx *ctx, const dp_sim *sim, const dp_member *base, const dp_sensitivity_def *def,
                             dp_sensitivity **out);
dp_sensitivity_desc dp_sensitivity_describe(const dp_sensitivity *s);
dp_estimate dp_sensitivity_value(const dp_sensitivity *s, int output, int group, int measure);
dp_estimate dp_sensitivity_pair(const dp_sensitivity *s, int output, int group, int other); /* group != other */
/* 1: the output varies by no more than its values' own error; it has no indices. */
int dp_sensitivity_constant(const dp_sensitivity *s, int output);
double dp_sensitivity_mean(const dp_sensitivity *s, int output); /* over the inputs' law (morris: over the grid) */
double dp_sensitivity_sd(const dp_sensitivity *s, int output);
void dp_sensitivity_destroy(dp_sensitivity *s); /* NULL allowed */

/* ---- which measurement would narrow a forecast most ----
 *
 * Draws of what is believed now, each with its forecast q and with what each candidate measurement would give without
 * error. A measurement y = f + sd z (or f exp(sd z)) that is not made yet is imagined from one draw at a time; the
 * other draws are weighted by how well they explain it. Nothing is simulated again. */
typedef struct dp_gain_def {
  uint32_t cookie; /* set by dp_gain_def_default */
  int ndraw;
  const double *weight;   /* [ndraw] or NULL: equal */
  const double *forecast; /* [ndraw] */
  int nmeasure;
  const double *predicted; /* [ndraw x nmeasure]; NaN: the draw is left out for that candidate */
  const double *sd;        /* [ndraw x nmeasure] of the measurement error, positive */
  int lognormal;           /* 1: errors are relative, on the logarithm */
  int nimagined;           /* measurements imagined (as many as draws, at most 2000) */
  uint64_t seed;
} dp_gain_def;
dp_gain_def dp_gain_def_default(void);

typedef struct dp_gain { /* of one candidate */
  /* from the draws, reweighted */
  double narrowing, narrowing_se;     /* expected share of the forecast's variance that goes: 0 to 1 */
  double information, information_se; /* expected information about all that is uncertain, nat */
  /* if forecast and measurement were jointly normal, with the draws' moments */
  double linear_narrowing;            /* squared correlation of forecast and measurement */
  double linear_forecast_information; /* about the forecast, nat: -ln(1 - narrowing) / 2 */
  double linear_information;          /* about all, nat: ln(1 + var f / sd^2) / 2 */
  double ess;                         /* draws that an imagined measurement leaves, on average */
  int ndraw;                          /* draws used */
  int usable;                         /* 0: too few draws left (ess < 20): go by the linear figures */
} dp_gain;
dp_status dp_gain_of(dp_ctx *ctx, const dp_gain_def *def, dp_gain *gain /* [nmeasure] */);

#ifdef __cplusplus
}
#endif
#endif
