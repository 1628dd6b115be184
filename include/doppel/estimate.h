/* estimate.h - what the data of a calibration problem say about its parameters.  O -> D
 *
 *     dp_fit      many searches from many places: the optimum, how often it was found, standard deviations
 *     dp_limits   likelihood profiles: intervals, and parameters that the data leave open, by name
 *     dp_sample   the posterior as draws, with a verdict that says whether they may be used
 *
 *     dp_problem_fit_def def = dp_problem_fit_def_default();
 *     dp_fit *fit;
 *     DP_TRY(dp_problem_fit(problem, &def, &fit));
 *     fit->optimum[0].x ...
 *     dp_fit_destroy(fit);
 *
 * Numbers x are on each parameter's scale of estimation (calibrate.h). J = -(ln likelihood + ln prior), smaller is
 * better; the prior is that of the scale of estimation. The same def gives the same bytes on any number of threads.
 * Each of the calls goes on from its file where there is one; ERR_CANCELLED leaves one behind.
 */
#ifndef DOPPEL_ESTIMATE_H
#define DOPPEL_ESTIMATE_H

#include "doppel/calibrate.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- point estimates ---- */

typedef struct dp_problem_fit_def {
  uint32_t cookie;
  int nstart;           /* drawn starts: 100 */
  const char *sampling; /* "latin" (default), "sobol", "uniform", "prior" */
  int nominal;          /* 1: the nominal point is one more start; 0 (default): it is not used */
  const double *given;  /* [ngiven x nparam] further starts; borrowed */
  int ngiven;
  const char *hessian;  /* "hybrid" (default), "fisher", "bfgs", "sr1" */
  int max_iterations;   /* of a search: 0: the method's own */
  int screen;           /* points a drawn start is the best of: 1 */
  /* The same problem opened with coarser tolerances, borrowed; NULL: none. Searches go there, and what the best of them find is
   * polished with the problem's own. */
  dp_problem *coarse;
  double max_cpu;       /* seconds of processor time; then searches under way end where they are; 0: no limit */
  int batch;            /* searches side by side; 0: as many as are good. The answer does not depend on it */
  uint64_t seed;
  const char *file;     /* what was found so far, for going on; NULL: none */
  void (*progress)(void *user, int done, int of, double best); /* may be NULL */
  void *user;
} dp_problem_fit_def;
dp_problem_fit_def dp_problem_fit_def_default(void);

typedef struct dp_fit_start { /* what one start gave, the best one first: the waterfall */
  int start;            /* its number */
  double j, j_start;    /* infinite: could not be evaluated. By the coarse problem where nothing was polished */
  int optimum;          /* into optimum[], -1: none */
  int niter;
  long neval;
  const char *end;      /* why it ended, in words */
} dp_fit_start;

typedef struct dp_fit_optimum { /* distinct ones */
  double j, llh, log_prior;
  const double *x;      /* [nparam] */
  const double *sd;     /* [nparam] from the inverse of the Fisher information; infinite: it has no inverse there */
  const signed char *at; /* [nparam] -1 at the lower bound, 1 at the upper, 0 inside */
  int count;            /* starts that found it */
} dp_fit_optimum;

typedef struct dp_fit { /* one block of memory; free with dp_fit_destroy */
  int nparam, nstart, nfound, noptimum;
  int nended;           /* searches that came to an end of their own; fewer than nstart: the processor time was spent */
  const dp_fit_start *start;     /* [nstart] by j, ascending */
  const dp_fit_optimum *optimum; /* [noptimum] by j, ascending */
  double j_nominal;     /* at the nominal point; infinite: not evaluable there (nominal_reason), NaN: it is not given */
  const char *nominal_reason; /* "" when it is */
  double hit_rate;      /* share of the starts begun that came within 0.1 of the best */
  double aic, aicc, bic; /* of the best one */
  long neval, nfailed;  /* points; of them not evaluable */
  int rank;             /* directions of the best one's information that are determined */
  const char *rank_words; /* one line for each that is not */
} dp_fit;
/* ERR_CONVERGE: no start could be evaluated, with the commonest reasons. */
dp_status dp_problem_fit(dp_problem *problem, const dp_problem_fit_def *def, dp_fit **out);
void dp_fit_destroy(dp_fit *fit); /* NULL allowed */

/* ---- profiles ---- */

typedef struct dp_problem_limits_def {
  uint32_t cookie;
  double level;         /* 0.95 */
  const int *param;     /* [n] which; NULL: all */
  int n;
  const double *other;  /* [nother x nparam] further places where J may be low, such as a fit's optima */
  int nother;
} dp_problem_limits_def;
dp_problem_limits_def dp_problem_limits_def_default(void);

typedef struct dp_limit_point {
  double at, j;         /* value of the parameter; least J there */
  double slope;         /* dJ/dat there, all others following */
} dp_limit_point;

typedef struct dp_limit { /* one parameter */
  int param;
  double at;            /* at the optimum */
  double lower, upper;  /* ends of the interval; infinite: open */
  const char *verdict;  /* "identifiable", "open above", ... and in words: */
  const char *words;
  int npoint;
  const dp_limit_point *point; /* the profile, ascending */
} dp_limit;

typedef struct dp_limits {
  int nparam, n;
  const dp_limit *limit; /* [n] */
  double j;             /* of the optimum all of them start from */
  const double *x;      /* [nparam] that optimum: better than the given one if one was met on the way */
  int nbetter;          /* how often that happened */
  double threshold;     /* rise of J at which an interval ends */
  long neval;
} dp_limits;
/* x [nparam]: an optimum. */
dp_status dp_problem_limits(dp_problem *problem, const double *x, const dp_problem_limits_def *def, dp_limits **out);
void dp_limits_destroy(dp_limits *limits); /* NULL allowed */

/* ---- posteriors ---- */

typedef struct dp_problem_sample_def {
  uint32_t cookie;
  const char *method;   /* "nuts" (default), "tempering", "smc", "laplace" */
  int nchain;           /* 0: the method's own; smc: repeats */
  int nwarmup, ndraw;   /* a chain; 0: the method's own. smc: particles; laplace: draws */
  const double *start;  /* [nstart x nparam] places to start from (laplace: modes); NULL: nuts and tempering draw from the
                           prior, laplace refuses */
  int nstart;           /* chains take them in turn */
  uint64_t seed;
  const char *file;
} dp_problem_sample_def;
dp_problem_sample_def dp_problem_sample_def_default(void);

typedef struct dp_sample_param {
  double mean, sd, mcse;         /* standard error of the mean by the draws' correlation */
  double q05, q25, q50, q75, q95;
  double rhat, ess_bulk, ess_tail;
} dp_sample_param;

typedef struct dp_sample {
  int nparam, nchain, ndraw;     /* ndraw of each chain */
  const double *x;               /* [nchain x ndraw x nparam] */
  const double *llh, *log_prior; /* [nchain x ndraw] */
  const dp_sample_param *param;  /* [nparam] */
  int usable;                    /* 0: must not be used */
  const char *verdict;           /* in words */
  double rhat, ess_bulk, ess_tail, divergent, khat; /* the worst; NaN: does not apply */
  double evidence, evidence_error; /* ln p(data) and one standard error; NaN: not known */
  long neval;
} dp_sample;
dp_status dp_problem_sample(dp_problem *problem, const dp_problem_sample_def *def, dp_sample **out);
void dp_sample_destroy(dp_sample *sample); /* NULL allowed */

/* ---- which model: PEtab Select ----
 *
 * A table says for each of some parameters whether they are estimated or have one of some values: a model is one choice
 * for all of them. Models are fitted and compared by an information criterion. */

typedef struct dp_select_def {
  uint32_t cookie;
  const char *criterion;  /* "AIC", "AICc", "BIC"; NULL: the file's */
  const char *method;     /* "brute_force", "forward", "backward"; NULL: the file's */
  dp_problem_def problem; /* tolerances of the models' problems */
  double search_rtol;     /* as dp_problem_fit_def.coarse; not above problem.rtol: none */
  int nstart;             /* of each fit: 20 */
  uint64_t seed;
  int max_models;         /* more would have to be fitted: refused (1000) */
  void (*progress)(void *user, int done, const char *id, double criterion);
  void *user;
} dp_select_def;
dp_select_def dp_select_def_default(void);

typedef struct dp_select_model {
  const char *id;           /* MODELSUBSPACE_INDICES: which value each parameter of the table has */
  const char *subspace, *problem;
  const char *const *value; /* [nparam] "estimate" or a number, as in the table */
  int nestimated;           /* all that this model's fit estimated */
  double j, llh, aic, aicc, bic; /* infinite: it could not be fitted (reason) */
  double criterion, weight; /* weights sum to 1 over the models fitted */
  int turn;                 /* when it was fitted, from 0 */
  int predecessor;          /* into model[], -1: none */
  const char *reason;
} dp_select_model;

typedef struct dp_selection {
  const char *criterion, *method;
  int nparam;
  const char *const *param; /* [nparam] columns of the table */
  int nspace;               /* models in the table */
  int nmodel;
  const dp_select_model *model; /* [nmodel] fitted ones, in the order of fitting */
  int best;                 /* -1: none could be fitted */
} dp_selection;
/* path: a PEtab Select problem. ERR_UNSUPPORTED: what it asks for is not offered (famos, constraints, predecessors). */
dp_status dp_select_run(dp_ctx *ctx, const char *path, const dp_select_def *def, dp_selection **out);
void dp_selection_destroy(dp_selection *selection); /* NULL allowed */

#ifdef __cplusplus
}
#endif
#endif
