/* belief.h - D: what is thought of one patient's parameters, and where the prior came from.
 *
 * A prior is a population's law without the patient under test; a belief is the posterior as a weighted ensemble.
 *
 *     dp_prior *prior;   dp_belief *belief;
 *     DP_TRY(dp_prior_fit(kind, record, exclude, 1, &fit_def, &prior));      leave-one-out
 *     DP_TRY(dp_assimilate(kind, record, subject, until, prior, &def, &belief));
 */
#ifndef DOPPEL_BELIEF_H
#define DOPPEL_BELIEF_H

#include "doppel/kind.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The law of individual parameters in a population: typical values and covariance of random effects. */
typedef struct dp_prior {
  dp_ctx *ctx;
  int nparam;            /* kind's parameters.tsv rows */
  int neffect;
  double *typical;       /* [nparam] linear scale, includes error parameters */
  double *omega;         /* [neffect x neffect] covariance between people */
  double *uncertainty;   /* [neffect x neffect] covariance of the estimated typical values on the effects' scale: added to
                            omega when predicting a new person; zero for a published prior */
  uint8_t *undetermined; /* [nparam] estimated, but of it the data say nothing: no estimate. All 0 for a prior from a store, whose
                            source says it in words */
  double objective;      /* -2 ln marginal likelihood with the constant; NaN for a published prior */
  double objective_error; /* its standard error where it comes from draws ("saem"); else 0 */
  int npeople;           /* people it was estimated from */
  int converged;
  int iterations;
  char method[32];       /* "laplace", "focei", "agq", "saem", "published" */
  char source[200];      /* for the report: "11 other people of the theophylline study, Laplace" */
  char hash[65];         /* of kind, data used, method, version: same hash, same bytes */
} dp_prior;
void dp_prior_destroy(dp_prior *prior);
/* The kind's own published or nominal values. */
dp_status dp_prior_nominal(const dp_kind *kind, dp_prior **out);
dp_status dp_prior_copy(const dp_prior *from, dp_prior **out);

typedef struct dp_fit_def {
  uint32_t cookie;
  const char *method;       /* "laplace" (default), "focei", "agq" (quadrature, exact for few effects), "saem"
                               (stochastic approximation EM, exact in the limit for any number of effects) */
  double tolerance;         /* of the objective, -2 lnL units: 1e-5 */
  int max_iterations;       /* 200 */
  const dp_prior *start;    /* starting point or NULL: nominal. Only a starting point: converged results do not depend on it
                               beyond the tolerance */
  int nodes;                /* agq: nodes in each direction; 0: as many as each person needs */
  uint64_t seed;            /* saem: of its draws: 1 */
} dp_fit_def;
dp_fit_def dp_fit_def_default(void);
/* Maximise the marginal likelihood over all subjects of the record except those listed. */
dp_status dp_prior_fit(const dp_kind *kind, const dp_record *record, const int *exclude, int nexclude, const dp_fit_def *def,
                       dp_prior **out);
/* -2 ln marginal likelihood (with constant) at a given prior, without fitting. */
dp_status dp_prior_objective(const dp_kind *kind, const dp_record *record, const int *exclude, int nexclude,
                             const dp_prior *prior, const char *method, double *objective);

/* What an estimated law is worth: standard errors, shrinkage, and who does not fit in. */
typedef struct dp_fit_check {
  dp_ctx *ctx;
  int ntheta, neffect, npeople;
  /* estimated numbers: typical values, error parameters, entries of Omega */
  char (*label)[96];          /* [ntheta] */
  double *value, *se, *robust; /* [ntheta] natural scale; inverse observed information, and sandwich. NaN: not determined */
  double *covariance;         /* [ntheta x ntheta] inverse observed information, on the scales of estimation (ln, logit) */
  int determined;             /* 0: the information is not positive definite, no standard errors */
  /* individual estimates: modes */
  double *eta_shrinkage;      /* [neffect] 1 - sd(modes)/sqrt(omega): 0 well measured, 1 nothing learned */
  double epsilon_shrinkage;   /* 1 - sd(weighted residuals at the modes) */
  /* conflict between a person's data and the law of the others: mode' (Omega - C)^-1 mode, C the posterior covariance. For a
   * linear model it has the chi-squared law with as many degrees as directions the data inform (Evans & Moshonov 2006,
   * Bayesian Anal 1:893) */
  double *distance, *conflict; /* [npeople] and its p-value: small is an alarm */
  int *directions;            /* [npeople] */
  /* everybody's own estimate: the mode under this law. NaN: no estimate, the model can't be run there */
  int *subject;               /* [npeople] who it is: index in the record */
  double *effect;             /* [npeople x neffect] random effects; of an occasion: the last one's */
  double *individual;         /* [npeople x neffect] individual parameters (CL, V ...), natural units, at the last observation */
} dp_fit_check;
void dp_fit_check_destroy(dp_fit_check *check);
/* At a prior, usually the estimate from the same people. method as of dp_fit_def. */
dp_status dp_prior_check(const dp_kind *kind, const dp_record *record, const int *exclude, int nexclude,
                         const dp_prior *prior, const char *method, dp_fit_check **out);

/* Priors on disk: a text table of one or several, each under a key (a leave-one-out set: the id of the person left out;
 * "*" nobody). Numbers read back to the same bytes. */
dp_status dp_prior_write(const dp_kind *kind, const char *path, const char *const *key, const dp_prior *const *prior,
                         int n);
/* *out stays NULL when the file has no such key. */
dp_status dp_prior_read(const dp_kind *kind, const char *path, const char *key, dp_prior **out);
/* The prior of everybody else for one person of the record (subject -1: of everybody, for a person who is not in it). Taken from store (a path or NULL) only when everything it
 * depends on has the same hash there; otherwise estimated now. */
dp_status dp_prior_loo(const dp_kind *kind, const dp_record *record, int subject, const char *store, dp_prior **out);
/* Estimate the whole leave-one-out set (what path already holds and still fits is kept) and write it. */
dp_status dp_prior_loo_store(const dp_kind *kind, const dp_record *record, const char *path);
/* The same by another method than Laplace's; dp_prior_loo takes what is stored whichever method made it. */
dp_status dp_prior_loo_store_by(const dp_kind *kind, const dp_record *record, const char *path, const dp_fit_def *def);

typedef struct dp_assimilate_def {
  uint32_t cookie;
  uint64_t seed;
  int ndraw;             /* draws kept: 1000 (equal weights after resampling) */
  int nproposal;         /* importance proposals: 4000 */
  int nstart;            /* mode searches: 8 */
  int discrepancy;       /* 1: model-discrepancy term on; 0 off; -1 as the kind says */
  double ess;            /* effective draws wanted: further rounds of nproposal, at most 5 in all; 0: as the verdict asks */
  double khat;           /* from this k-hat on, or where the verdict is against them or `ess` is not reached, draws are settled: moved,
                            described by a mixture and drawn anew until two sets agree. 0.7; at most that. 0.5: weights of
                            finite variance, several times the work where posteriors are bent */
} dp_assimilate_def;
dp_assimilate_def dp_assimilate_def_default(void);

typedef struct dp_belief {
  dp_ctx *ctx;
  int ndraw, neta, nindividual; /* nindividual = kind's effects: the individual parameters (ka, CL, V ...) */
  double *eta;           /* [ndraw x neta] */
  double *individual;    /* [ndraw x nindividual] linear scale, natural units, at the last occasion */
  double *weight;        /* [ndraw] sum to 1 */
  double *mode;          /* [neta] */
  double *covariance;    /* [neta x neta] Laplace */
  double *discrepancy;   /* [ndraw] sd of the discrepancy term, or NULL when off */
  double nll;            /* at the mode: -ln p(y, eta) */
  double evidence;       /* ln p(y) by importance sampling; NaN: not known */
  int nobs;              /* observations used */
  char method[48];       /* "laplace+importance", "adaptive mixture", "prior" */
  /* verdict */
  int usable;            /* 0: must not be decided upon */
  double ess, khat;
  char verdict[160];     /* in words */
  double ppc_p;          /* posterior-predictive check: P(chi2_rep >= chi2_obs), NaN without data */
  char hash[65];         /* of all draws */
} dp_belief;
void dp_belief_destroy(dp_belief *belief);

/* Posterior of one subject from observations at or before `until` (time units). `until` < first observation gives the
 * prior (method "prior"). Nothing later than until is read. */
dp_status dp_assimilate(const dp_kind *kind, const dp_record *record, int subject, double until, const dp_prior *prior,
                        const dp_assimilate_def *def, dp_belief **out);

#ifdef __cplusplus
}
#endif
#endif
