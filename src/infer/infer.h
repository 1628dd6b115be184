/* infer.h - floor 6, ring two: what the files of this room share.  O -> D
 *
 * One person under one prior is a dpi_indiv: data, a predictor (the sim behind the waist, or a closed form in tests) and
 * the covariance of the random effects. Everything else stands on its evaluation:
 *
 *     individual.c    l(x), exact gradient, Fisher matrix
 *     censored_run.c  its part where values beyond a limit follow each other under errors correlated in time
 *     shaped_error.c  its part of errors that are not normal
 *     mode.c          trust-region search of the mode, several starts, Hessian
 *     marginal.c      -2 ln of the marginal likelihood and what its gradient needs
 *     population.c    all people: objective and gradient in the estimated parameters; the fit
 *     population/     quadrature, stochastic approximation, standard errors, checks of a population
 *     importance.c    weighted draws by (adaptive) mixture importance sampling
 *     assimilate.c    all of it for one patient: dp_belief
 *
 * Conventions:
 *   1. l(x) = -2 ln p(y | x) - 2 ln p(x) without constants; x = (free etas, ln delta when the discrepancy term is on);
 *   2. Hessians and Fisher matrices belong to l/2, so that their inverse is a covariance;
 *   3. a model that fails at a trial point is an outcome (ok = false), never an error;
 *   4. nothing here depends on the number of threads: one person is one piece of work, sums run in the order of people.
 */
#ifndef DPI_INFER_H
#define DPI_INFER_H

#include "base/base.h"
#include "doppel/belief.h"
#include "kind/kind_impl.h"
#include "num/num.h"

/* purposes of random streams used here */
enum {
  DPI_RNG_START = 0x1001,    /* starting points of mode searches */
  DPI_RNG_PROPOSAL = 0x1002, /* importance proposals (+ round) */
  DPI_RNG_RESAMPLE = 0x1102,
  DPI_RNG_PRIOR = 0x1103, /* draws from the prior */
  DPI_RNG_DISCREPANCY = 0x1104,
  DPI_RNG_SETTLE = 0x110a,     /* moves of draws that are settled */
  DPI_RNG_VPC_EFFECT = 0x1105, /* replicates of a data set: effects, */
  DPI_RNG_VPC_NOISE = 0x1106,  /* residual error, */
  DPI_RNG_VPC_STREAM = 0x1107  /* the model's own stream */
};

/* ---- one person (individual.c) ---- */

typedef struct dpi_datum {
  double y;     /* measured value, or the limit of a censored one; its logarithm when `log` */
  double time;  /* time units */
  int censored; /* 0; 1: the truth lies below y; -1: above */
  int group;    /* observable: discrepancies of different groups are independent */
  bool log;     /* ln f is compared, sigma is the sd of the logarithm */
  const dpi_johnson *shape; /* of the error in standard deviations; NULL: normal */
} dpi_datum;

/* Errors correlated in time: the datum before of the same group, and the correlation of the two standardised errors. */
typedef struct dpi_link {
  int before; /* -1 none */
  double rho;
} dpi_link;

/* Censored values of one group that follow each other under such errors, and the measured ones around them. */
typedef struct dpi_run {
  int n;
  const int *at;        /* [n] their places among the data */
  const double *sign;   /* [n] 1: the truth lies below the limit; -1: above */
  const double *rho;    /* [n + 1] correlation with the one before, reflected by signs; at last that of `after` */
  const double *free_sd; /* [n] of z when only what is measured around is known */
  int before, after;    /* measured, -1 none */
  size_t nodes, widest; /* at most, of all and of one */
} dpi_run;
typedef struct dpi_run_rules dpi_run_rules;
#define DPI_RUN_NEAR 1e-4 /* of the correlation time: nearer neighbours are refused */

/* Predictions at the data: [nobs] and [nobs x neta]. */
typedef struct dpi_pred {
  double *f, *s;   /* value, standard deviation (linear or of the log, as the kind's sigma says) */
  double *df, *ds; /* derivatives by eta; not written when not asked for */
} dpi_pred;

/* Predict at eta [neta]. *ok = false: the model can't be evaluated there. A status other than DP_OK ends the work. */
typedef dp_status (*dpi_predict_fn)(void *user, const double *eta, bool deriv, dpi_pred *out,
                                    bool *ok);

/* Values alone, by what is cheap where there are many: eta [n x neta] -> f, s [n x nobs], ok [n]. */
typedef dp_status (*dpi_predict_many_fn)(void *user, const double *eta, int n, double *f, double *s, uint8_t *ok);

typedef struct dpi_indiv_def {
  int neta, nobs;
  const dpi_datum *datum; /* [nobs] borrowed */
  const dpi_link *link;   /* [nobs] borrowed; NULL: errors are independent */
  dpi_predict_fn predict;
  dpi_predict_many_fn many; /* NULL: nothing that is cheap beside derivatives */
  void *user; /* borrowed */
  bool corners; /* parameters move doses in time: where one meets an observation l may have a corner, nobody knows where */
  /* Where corners are known: corner k lies where eta `*j` is `*at`; false when there are no more. NULL: there are none. */
  bool (*corner)(void *user, int k, int *j, double *at);
  bool smooth; /* l is known to have none: a search that stops short stops at the noise of l, not at a corner */
  bool discrepancy;
  double discrepancy_sd, discrepancy_tau; /* half-normal scale of delta; correlation time */
} dpi_indiv_def;

typedef struct dpi_indiv {
  dp_ctx *ctx;
  dpi_arena arena;
  dpi_indiv_def def;
  int dim;       /* nfree + 1 when the discrepancy term is on */
  int nfree;     /* etas with a variance; the others stay 0 */
  int *free;     /* [nfree] their indices */
  double *chol;  /* [nfree x nfree] Cholesky factor of the prior covariance */
  double *prec;  /* [nfree x nfree] its inverse */
  double logdet; /* ln of its determinant */
  dpi_pred pred; /* of the last evaluation */
  double *eta;   /* [neta] of the last evaluation */
  double *work;  /* kernels of the discrepancy term */
  double *many;  /* [DPI_MANY x (neta + 2 nobs)] etas and cheap predictions; NULL before their first use */
  const dpi_run *run; /* [nrun] censored values under correlated errors; their data, and those after, count in runs */
  int nrun;
  const dpi_run_rules *run_rules;
  uint8_t *in_run; /* [nobs] */
  const double *shape_info; /* [nobs x 16] what a datum of a shaped error tells (shaped_error.c); NULL: there is none */
  long neval;    /* evaluations of the model */
} dpi_indiv;

typedef struct dpi_point { /* caller's memory; g and fisher may be NULL when not asked for */
  double l;
  double *g;      /* [dim] dl/dx */
  double *fisher; /* [dim x dim] Fisher matrix of l/2, prior included */
} dpi_point;

dp_status dpi_indiv_create(dp_ctx *ctx, const dpi_indiv_def *def, dpi_indiv **out);
void dpi_indiv_destroy(dpi_indiv *iv);
/* Set the prior covariance [neta x neta]; zero variance fixes an eta at 0. ERR_INPUT when not a covariance. */
dp_status dpi_indiv_prior(dpi_indiv *iv, const double *omega);
dp_status dpi_indiv_eval(dpi_indiv *iv, const double *x, bool deriv, dpi_point *out, bool *ok);
/* The same from the predictions that stand in iv->pred, with derivatives; false when outside the domain. */
bool dpi_indiv_point(dpi_indiv *iv, const double *x, dpi_point *out);
/* l from given predictions (batch simulations); false when outside the domain. */
bool dpi_indiv_value(dpi_indiv *iv, const double *x, const dpi_pred *pred, double *l);
/* Cheap values, by def.many: good to its tolerance, to compare points and for the way to a mode, not its last steps. */
#define DPI_MANY 65 /* points at once: one, and one aside along each of 64 effects */
/* l at n points, x [n x dim]; INFINITY where the model can't be evaluated. */
dp_status dpi_indiv_many(dpi_indiv *iv, const double *x, int n, double *l);
/* dpi_indiv_eval with derivatives, by differences of cheap values; iv->pred is what it was found from. */
dp_status dpi_indiv_rough(dpi_indiv *iv, const double *x, dpi_point *out, bool *ok);
/* What turns l into -2 ln p(y, x): data_only leaves the prior's part out. */
double dpi_indiv_constant(const dpi_indiv *iv, bool data_only);
int dpi_indiv_nmeasured(const dpi_indiv *iv);
/* x -> eta [neta] with zeros where fixed, and back. */
void dpi_indiv_eta(const dpi_indiv *iv, const double *x, double *eta);
void dpi_indiv_x(const dpi_indiv *iv, const double *eta, double *x);
/* Sum of squared standardised residuals of the measured data under pred (whitened by the discrepancy kernel). */
double dpi_indiv_chi2(dpi_indiv *iv, const double *x, const dpi_pred *pred);

/* ---- errors that are not normal (shaped_error.c) ---- */
typedef struct dpi_shaped {
  double z, slope, bend; /* of e = (y - f)/s: z, dz/de, d ln(dz/de)/de */
} dpi_shaped;
/* law NULL: the error is normal, z = e. */
dpi_shaped dpi_shaped_at(const dpi_johnson *law, double error);
/* Slopes g [4] of a measured datum's part of l/2 by (w, a, w_b, a_b), w = df/s and a = ds/s of it and of the datum
 * before; rho 0: there is none before. */
void dpi_shaped_slopes(const dpi_johnson *law, double error, double before, double rho, double *g);
/* The mean of g g' over the law [4 x 4]: the Fisher matrix in those slopes. */
void dpi_shaped_info(const dpi_johnson *law, double rho, double *info);
/* [nobs x 16] of all measured data, NULL where no error is shaped. */
dp_status dpi_shaped_create(dpi_arena *arena, const dpi_indiv_def *def, const double **info);

/* ---- censored values in a row under errors correlated in time (censored_run.c) ---- */
/* Memory from the arena; no runs, no memory. */
dp_status dpi_runs_create(dpi_arena *arena, const dpi_indiv_def *def, const dpi_run **run, int *nrun,
                          const dpi_run_rules **rules);
/* ln L of limits c [n] (times their signs), and of za given them; zb and za are 0 where there is no such datum. ln
 * sqrt(2 pi) of za is left out. g [n + 2], or NULL: slopes by zb, c, za. work: dpi_run_work doubles. False: no number. */
size_t dpi_run_work(const dpi_run *run, bool slopes);
bool dpi_run_lnl(const dpi_run_rules *rules, const dpi_run *run, const double *c, double zb, double za, double *work,
                 double *lnl, double *g);
/* Normal factors in place of the limits, settled without za: mean m and variance v [n + 1] of each z given the factors
 * before, the last of za; w [n]: the share of v that goes by its own. work [4 n] */
void dpi_run_moments(const dpi_run *run, const double *c, double zb, double *work, double *m, double *v, double *w);

/* ---- model discrepancy (discrepancy.c) ---- */
/* Within an observable, residuals y - f have covariance diag(s^2) + delta^2 f_i f_j exp(-|t_i - t_j|/tau) (log scale: f
 * replaced by 1). Censored values enter by their marginal law. */
typedef struct dpi_disc_point {
  double l;       /* data part of l */
  double *g;      /* [neta + 1] by eta and ln delta, or NULL */
  double *fisher; /* [(neta + 1)^2] of l/2, or NULL */
} dpi_disc_point;
size_t dpi_disc_work(int nobs, int neta); /* doubles of workspace */
bool dpi_disc_eval(const dpi_datum *d, int nobs, int neta, const dpi_pred *p, double delta,
                   double tau, double *work, dpi_disc_point *out);
double dpi_disc_chi2(const dpi_datum *d, int nobs, const dpi_pred *p, double delta, double tau,
                     double *work);
/* Draw the discrepancy of one observable at m times with predictions fstar (log: pass log = true), given its measured
 * residuals at n times. work: dpi_disc_draw_work(n, m) doubles. out [m] is to be added to f (to ln f when log). */
typedef struct dpi_disc_draw_def {
  int n, m;
  const double *t, *resid, *f, *s; /* [n] measured */
  const double *tstar, *fstar;     /* [m] asked for */
  double delta, tau;
  bool log;
} dpi_disc_draw_def;
size_t dpi_disc_draw_work(int n, int m);
bool dpi_disc_draw(const dpi_disc_draw_def *def, dpi_rng *rng, double *work, double *out);

/* ---- modes (mode.c) ---- */

typedef struct dpi_mode_def {
  double tolerance;   /* of the Newton decrement: 1e-8 */
  double noise;       /* of l, relative: 1e-9 */
  int max_iter;       /* 100 */
  const double *hess; /* [dim x dim] Hessian of l/2 known from a point nearby, or NULL */
} dpi_mode_def;
dpi_mode_def dpi_mode_def_default(void);

typedef struct dpi_mode {
  double l;
  double decrement; /* at x */
  int niter;
  bool ok; /* model could be evaluated at the start */
  bool converged;
  bool kink; /* it lies where l has a corner: found by values, the decrement does not vanish */
} dpi_mode;
/* Minimise l from x [dim] (replaced). */
dp_status dpi_mode_find(dpi_indiv *iv, const dpi_mode_def *def, double *x, dpi_mode *mode);
/* From 0, from first [dim] unless NULL, and from further draws of the prior: distinct converged modes, best first, at most
 * max. x [max x dim]. */
dp_status dpi_mode_multi(dpi_indiv *iv, const dpi_mode_def *def, const double *first, int nstart,
                         dpi_rng rng, int max, double *x, dpi_mode *mode, int *nmode);
/* Minimise values of l from a mode whose search stalled (mode_kink.c). */
dp_status dpi_mode_kink(dpi_indiv *iv, double *x, dpi_mode *mode);
/* Central differences of the exact gradient along the Fisher matrix's own axes: Hessian of l/2, symmetric; from the same
 * points the gradient of ln |Fisher matrix| [dim], unless NULL. */
#define DPI_HESS_STEP 4e-3 /* posterior standard deviations */
dp_status dpi_mode_hessian(dpi_indiv *iv, const double *x, double step, double *hess,
                           double *dlogdet, bool *ok);

/* ---- marginal likelihood of one person (marginal.c) ---- */

/* DPI_QUADRATURE is no matter of one mode: population.c hands it to population/quadrature.c. */
typedef enum dpi_marginal_method { DPI_LAPLACE, DPI_FOCEI, DPI_QUADRATURE } dpi_marginal_method;

typedef struct dpi_marginal {
  bool ok;
  double value;  /* -2 ln p(y), constant included */
  double logdet; /* ln |Q| */
  double *x;     /* [dim] mode; in: starting point when warm */
  double *hess;  /* [dim x dim] true Hessian of l/2; in: of the last point when warm */
  double *qinv;  /* [dim x dim] inverse of Q: the Hessian (Laplace) or Fisher matrix (FOCE-I) */
  double *q;     /* [dim] d ln|Q| / dx, only with gradient */
  bool warm;
} dpi_marginal;
dp_status dpi_marginal_create(dpi_arena *arena, int dim, dpi_marginal *m);
dp_status dpi_marginal_eval(dpi_indiv *iv, dpi_marginal_method method, bool gradient,
                            dpi_marginal *m);
/* ln |Q| at a given x, without a search (for derivatives by parameters). */
dp_status dpi_marginal_logdet(dpi_indiv *iv, dpi_marginal_method method, const double *x,
                              double *logdet, bool *ok);
dp_status dpi_marginal_method_find(dp_ctx *ctx, const char *name, dpi_marginal_method *method);

/* ---- a case as data and predictor (prediction.c) ---- */

typedef struct dpi_person {
  dp_ctx *ctx;
  dpi_arena arena;
  dpi_case *c;           /* owned */
  dpi_indiv *iv;         /* owned */
  const double *typical; /* [nparam] borrowed; used by predictions */
  dpi_datum *datum;
  dpi_link *link;     /* NULL: errors are independent */
  int nobs;           /* observations used: the first of c->obs */
  int nout, ninstant; /* what of the case's timeline the predictor uses */
  dp_output_time *out;
  double *param;
  dp_instant *instant;
  double jacobian; /* 2 sum ln y of the values under lognormal noise */
  struct dpi_meeting *meeting; /* [nmeeting] values of individual parameters at which a dose meets something */
  int nmeeting;
} dpi_person;
/* Observations at or before `until` only. Nothing later is used. */
dp_status dpi_person_create(const dp_kind *kind, const dp_record *record, int subject, double until,
                            bool discrepancy, dpi_person **out);
void dpi_person_destroy(dpi_person *p);
/* Covariance of all directions from the effects' [neffect x neffect]; occasions are independent copies. */
/* Occasion of direction j: 0 for the person's own effects, then 1, 2, ... */
int dpi_person_occasion(const dpi_person *p, int j);
void dpi_person_omega(const dpi_person *p, const double *effect_cov, double *omega);
/* What takes measurements one by one, or draws their errors, as independent refuses a kind whose errors are correlated in time. */
dp_status dpi_refuse_links(const dp_kind *kind, const char *what);
/* The same where errors are taken as normal, links or not; dpi_refuse_links refuses them too. */
dp_status dpi_refuse_shapes(const dp_kind *kind, const char *what);
/* Many people at once, each at its own iv->eta: predictions (deriv: and derivatives) into iv->pred, ok [n]. All have the same number
 * of directions. */
dp_status dpi_people_predict(dpi_person *const *person, int n, const dp_sim *sim, bool deriv, uint8_t *ok);
/* Batch without derivatives: eta [n x neta] -> f, s [n x nobs], ok [n], individual [n x neffect] at the last output. */
typedef struct dpi_person_batch {
  double *f, *s, *individual;
  uint8_t *ok;
} dpi_person_batch;
dp_status dpi_person_simulate(const dpi_person *p, const double *eta, int n,
                              const dpi_person_batch *out);
/* The same by a sim of the kind: kind->sim where the last digits count, kind->ensemble for draws. */
dp_status dpi_person_simulate_by(const dpi_person *p, const dp_sim *sim, const double *eta, int n,
                                 const dpi_person_batch *out);

/* The same, each draw with a random stream of its own [n]; NULL: all with the person's. */
dp_status dpi_person_simulate_streams(const dpi_person *p, const dp_sim *sim, const double *eta,
                                      const uint64_t *stream, int n, const dpi_person_batch *out);

/* ---- priors (prior.c, prior_store.c) ---- */
dp_status dpi_prior_create(const dp_kind *kind, dp_prior **out);
/* Hash of everything an estimate depends on. */
dp_status dpi_prior_hash(const dp_kind *kind, const dp_record *record, const int *exclude,
                         int nexclude, const dp_fit_def *def, char hash[65]);

/* ---- the population (population.c, fit.c) ---- */
typedef struct dpi_population dpi_population;
dp_status dpi_population_create(const dp_kind *kind, const dp_record *record, const int *exclude,
                                int nexclude, const dp_prior *start, dpi_marginal_method method,
                                dpi_population **out);
void dpi_population_destroy(dpi_population *pop);
int dpi_population_ntheta(const dpi_population *pop);
int dpi_population_npeople(const dpi_population *pop);
void dpi_population_bounds(const dpi_population *pop, double *lower, double *upper);
void dpi_population_start(const dpi_population *pop, double *theta);
const char *dpi_population_label(const dpi_population *pop, int k, char text[96]);
/* "FILE:LINE: person 'ID': " of the first person whom the last evaluation could not give a value, and their first
 * observation; "" when it could all */
const char *dpi_population_failing(const dpi_population *pop, char text[320]);
/* Objective (with constant) and gradient [ntheta] (NULL: none). *ok = false: some person can't be evaluated there. */
dp_status dpi_population_eval(dpi_population *pop, const double *theta, double *value, double *grad,
                              bool *ok);
/* Gradients of single people from the last evaluation with gradient [npeople x ntheta]. */
const double *dpi_population_scores(const dpi_population *pop);
/* Search all modes again from several starts at theta; *changed: some person has a better one. */
dp_status dpi_population_restart(dpi_population *pop, const double *theta, bool *changed);
/* Variances at their floor back to 0.1; false when there are none. */
bool dpi_population_lift(const dpi_population *pop, double *theta);
/* The following evaluations by another method. */
void dpi_population_method(dpi_population *pop, dpi_marginal_method method);
/* Quadrature nodes in each direction; 0: as many as the objective needs to 1e-4. The next evaluation looks for all modes
 * anew and lays the nodes around them. */
void dpi_population_nodes(dpi_population *pop, int nodes);
void dpi_population_write(const dpi_population *pop, const double *theta, dp_prior *prior);
/* Covariance of the typical values on the effects' scale at theta. */
dp_status dpi_population_uncertainty(dpi_population *pop, const double *theta, double *cov);
/* undetermined [nparam]: parameters among theta on which nobody's likelihood depends. The method becomes FOCE-I. */
dp_status dpi_population_undetermined(dpi_population *pop, const double *theta, uint8_t *undetermined);

/* ---- importance sampling (importance.c) ---- */
typedef dp_status (*dpi_target_fn)(void *user, const double *x, int n,
                                   double *logp); /* -inf outside the domain */
typedef struct dpi_component {
  double weight;
  double *mean; /* [dim] */
  double *chol; /* [dim x dim] of the scale matrix */
} dpi_component;
typedef struct dpi_importance_def {
  int dim, nproposal, max_round;
  int first_round; /* its number: rounds of another number are of other draws */
  double dof;
  uint64_t seed, stream;
  dpi_target_fn target;
  void *user;
  const dpi_component *component;
  int ncomponent;
  bool spread; /* another round also while deviations are known from too few draws (ess_spread) */
  double ess;  /* another round also while there are fewer effective draws; 0: a tenth of a round are enough */
  bool quasi;  /* proposals from a scrambled Sobol net instead of independent numbers */
} dpi_importance_def;
typedef struct dpi_importance {
  int n, nround;
  double *x;      /* [n x dim] */
  double *weight; /* [n] smoothed, sum to 1 */
  double ess, khat, evidence;
  double ess_spread; /* as many equally weighted normal draws know a standard deviation as well, the worst component's */
  bool good;
} dpi_importance;
/* Memory from the arena. */
dp_status dpi_importance_run(dpi_arena *arena, const dpi_importance_def *def, dpi_importance *out);
/* Systematic resampling: index [m] of n weighted draws. */
void dpi_resample(const double *weight, int n, double u, int m, int *index);
/* The same along a curve that fills the space of x [n x dim], so that what is kept lies as evenly as what is there; the
 * kept ones come in a random order (of rng, which also gives u): any part of them is a sample. */
dp_status dpi_resample_even(dpi_arena *arena, const double *x, int dim, const double *weight, int n, dpi_rng *rng, int m,
                            int *index);

#endif
