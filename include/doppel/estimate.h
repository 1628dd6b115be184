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
  /* What follows the starts: "starts" (default) nothing; "scatter": scatter search from what they have found: parameters
   * scanned over their box, minima combined and perturbed, searched on from, until nothing better is found or the time is
   * spent. "crs2", "esch", "isres", "direct" (NLopt), "mlsl": instead of the starts one search over the whole box, without
   * derivatives, and searches with them from what it gives (infer/point/global.h); the box must be finite. */
  const char *search;
  long points;          /* of a search over the whole box, which may end its round with a few more; 0: 10000 */
  /* The same problem opened with coarser tolerances, borrowed; NULL: none. Searches go there, and what the best of them find is
   * polished with the problem's own. */
  dp_problem *coarse;
  double max_cpu;       /* seconds of processor time; then searches under way end where they are; 0: no limit. Starts take turns,
                         * the better ones more of them (a race), so that what there is of it is spent well */
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
  long neval, nfailed;  /* points, those of the scatter search included; of them not evaluable */
  long nglobal;         /* of these, points of the search over the whole box; 0: there was none */
  double j_starts;      /* best of the starts, before the scatter search; by the coarse problem where there is one */
  int nscatter, ngeneration; /* searches and generations of the scatter search; 0: none was asked for, or there was no time */
  int scatter_ended;    /* 1: it found nothing better any more; 0: the time was spent */
  int rank;             /* directions of the best one's information that are determined */
  const char *rank_words; /* one line for each that is not */
} dp_fit;
/* ERR_CONVERGE: no start could be evaluated, with the commonest reasons. */
dp_status dp_problem_fit(dp_problem *problem, const dp_problem_fit_def *def, dp_fit **out);
void dp_fit_destroy(dp_fit *fit); /* NULL allowed */

/* ---- profiles ---- */

/* A quantity of interest (Q): an observable of the problem, or a formula of its model and observables, in one of its
 * experiments (conditions) at any time, measured or not. */
typedef struct dp_problem_quantity {
  const char *name;       /* for messages and tables */
  const char *formula;
  const char *experiment; /* as dp_problem_desc.datum_experiment; NULL: the only one */
  double time;            /* infinity: at steady state */
} dp_problem_quantity;

typedef struct dp_problem_limits_def {
  uint32_t cookie;
  double level;         /* 0.95 */
  const int *param;     /* [n] which; NULL: all, or none where quantities are asked for */
  int n;
  const dp_problem_quantity *quantity; /* [nquantity] prediction profiles, behind those of the parameters */
  int nquantity;
  const double *other;  /* [nother x nparam] further places where J may be low, such as a fit's optima */
  int nother;
} dp_problem_limits_def;
dp_problem_limits_def dp_problem_limits_def_default(void);

typedef struct dp_limit_point {
  double at, j;         /* value of the parameter; least J there */
  double slope;         /* dJ/dat there, all others following */
} dp_limit_point;

typedef struct dp_limit { /* one parameter, or one quantity */
  int param;            /* -1: a quantity */
  const char *name;     /* the parameter's id, the quantity's name */
  double at;            /* at the optimum */
  double lower, upper;  /* ends of the interval; infinite: open */
  const char *verdict;  /* "identifiable", "open above", ...; of a quantity "bounded", "unbounded above", ... */
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
  const char *better;   /* on whose profile the last one was met; NULL */
  double threshold;     /* rise of J at which an interval ends */
  long neval;
} dp_limits;
/* x [nparam]: an optimum. Where quantities are asked for and the problem solves parameters inside its objective, those
 * are parameters here too: x of the answer is that of the problem without them. */
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
  /* nuts: the same problem opened with coarser tolerances, borrowed: warm-up goes there, draws are by the problem's own. NULL: none */
  dp_problem *coarse;
  int nstart;           /* chains take them in turn, those near the best one in J; which, the verdict says */
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
  /* [nparam] the problem's own, borrowed: its estimated parameters, and those that it solves for inside its objective, as
   * parameters like all others (uniform within their bounds; ERR_UNSUPPORTED where they have none) */
  const char *const *id;
  const dp_problem_scale *scale;
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

/* ---- which model: several problems of the same data ----
 *
 * By how well each predicts what it has not seen (WAIC, leave-one-out), by its evidence; weights, and the mixture of what the
 * models say. Larger elpd is better. */

typedef struct dp_compare_def {
  uint32_t cookie;
  int n;
  dp_problem *const *problem;     /* [n] of the same measurements in the same order */
  const dp_sample *const *sample; /* [n] posterior draws of each */
  const dp_problem_quantity *quantity; /* [nquantity] to average */
  int nquantity;
} dp_compare_def;
dp_compare_def dp_compare_def_default(void);

typedef struct dp_elpd { /* expected log pointwise predictive density */
  double elpd, se; /* and its standard error over measurements */
  double p, ic;    /* effective number of parameters; -2 elpd */
  int nbad;        /* measurements for which the estimate can't be relied on */
  double worst;    /* WAIC: largest variance (0.4 is bad); leave-one-out: largest k-hat (0.7 is bad) */
} dp_elpd;

typedef struct dp_compared {
  const char *name;
  int nparam, ndraw, usable; /* ndraw: draws used; usable: the sample's verdict */
  dp_elpd waic, loo;
  double difference, difference_se; /* elpd by leave-one-out, less that of the best one */
  double evidence, evidence_error;  /* ln p(data); NaN: the sampler does not give it */
  double weight_stack;    /* stacking: largest log score of the mixture (Yao et al. 2018) */
  double weight_evidence; /* posterior probability of the model, all being as probable before; NaN: not known */
  double *mean, *sd;      /* [nquantity] over the draws */
} dp_compared;

typedef struct dp_averaged { /* a quantity by the mixture of all models: variance within and between them */
  const char *name;
  double stack_mean, stack_sd, evidence_mean, evidence_sd;
} dp_averaged;

typedef struct dp_comparison {
  int n, ndatum, nquantity;
  const dp_compared *model; /* [n] */
  int best;                 /* by leave-one-out */
  int evidence_known;
  const dp_averaged *average; /* [nquantity] */
} dp_comparison;
dp_status dp_compare(dp_ctx *ctx, const dp_compare_def *def, dp_comparison **out);
void dp_comparison_destroy(dp_comparison *comparison); /* NULL allowed */

/* ---- which model: PEtab Select ----
 *
 * A table says for each of some parameters whether they are estimated or have one of some values: a model is one choice
 * for all of them. Models are fitted and compared by an information criterion. */

typedef struct dp_select_def {
  uint32_t cookie;
  const char *criterion;  /* "AIC", "AICc", "BIC"; NULL: the file's */
  const char *method;     /* "brute_force", "forward", "backward", "famos"; NULL: the file's */
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
  double nspace;            /* models in the table */
  int nmodel;
  const dp_select_model *model; /* [nmodel] fitted ones, in the order of fitting */
  int best;                 /* -1: none could be fitted */
} dp_selection;
/* path: a PEtab Select problem. ERR_UNSUPPORTED: what it asks for is not offered (constraints, several rows for famos). */
dp_status dp_select_run(dp_ctx *ctx, const char *path, const dp_select_def *def, dp_selection **out);
void dp_selection_destroy(dp_selection *selection); /* NULL allowed */

#ifdef __cplusplus
}
#endif
#endif
