/* trial.h - a virtual trial: policies tried on many virtual people, and what can be said of the differences.  S -> R
 *
 *     dp_trial *trial;  dp_trial_result *result;
 *     DP_TRY(dp_trial_read(ctx, "trial.yaml", dirs, ndir, &trial));
 *     DP_TRY(dp_trial_run(trial, &def, &result));
 *     ... result->arm[a].estimate[e].value, .low, .high; result->difference[...] ...
 *     dp_trial_result_destroy(result);
 *     dp_trial_destroy(trial);
 *
 * What the file may say: docs/trial.md. People are drawn from a table, a population's law or matched to a target; arms
 * are
 * policies (policy.h); results are the same bytes for any number of threads and lanes, and memory does not grow with
 * the number
 * of people.
 */
#ifndef DOPPEL_TRIAL_H
#define DOPPEL_TRIAL_H

#include "doppel/policy.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dp_trial dp_trial;

/* dirs: folders in which kinds are looked for by id. ERR_INPUT with file and line. */
dp_status dp_trial_read(dp_ctx *ctx, const char *path, const char *const *dirs, int ndir, dp_trial **out);
void dp_trial_destroy(dp_trial *trial); /* NULL allowed */

typedef enum dp_trial_design { DP_TRIAL_PARALLEL, DP_TRIAL_CROSSOVER, DP_TRIAL_PAIRED } dp_trial_design;

typedef struct dp_trial_endpoint { /* strings belong to the trial */
  const char *id, *name, *unit;
  int proportion; /* 1: share of people in whom an event happened; 0: mean of a number */
} dp_trial_endpoint;

typedef struct dp_trial_desc {
  const char *title, *question, *source, *time_unit;
  const dp_kind *kind;
  char hash[65]; /* of the trial, the kind and all policies */
  dp_trial_design design;
  double horizon, washout; /* time units */
  double run_in;           /* before the horizon: policies act already and nothing is counted */
  int nperson, narm, nendpoint;
  const char *const *arm; /* names */
  const dp_trial_endpoint *endpoint;
  uint64_t seed;
} dp_trial_desc;
const dp_trial_desc *dp_trial_describe(const dp_trial *trial);

typedef struct dp_trial_def {
  uint32_t cookie;
  int nperson; /* 0: as the file says */
  int check;   /* 1: the engine's own checks for the credibility report (step error, determinism, drivers) */
  void (*progress)(void *user, double done); /* may be NULL */
  void *progress_user;
} dp_trial_def;
dp_trial_def dp_trial_def_default(void);

/* A number with its interval at the trial's confidence. NaN where there are too few people. */
typedef struct dp_trial_estimate {
  int n; /* people behind it */
  double value, low, high;
  double sd;          /* between people (paired: of the differences) */
  const char *method; /* of the interval: "t", "bootstrap", "Wilson", "Clopper-Pearson", "Newcombe", "paired t", ... */
} dp_trial_estimate;

typedef struct dp_trial_arm {
  const char *name;
  int nperson;                     /* who were assigned to it */
  int ndropout, nmissing, nfailed; /* who left; endpoints that are missing; simulations that failed */
  int64_t nlimited;                /* gifts that were cut to the bounds of their control */
  int nincident;                   /* of outside policies */
  dp_trial_estimate *estimate;     /* [nendpoint] */
  double *q05, *median, *q95;      /* [nendpoint] of people */
} dp_trial_arm;

/* A look at the data when some of the people are through (group sequential trials). */
typedef struct dp_trial_look {
  int people;      /* who are looked at: the first ones */
  double share;    /* of all people */
  double boundary; /* |z| that ends the trial */
  double p;        /* the same as a two-sided p */
} dp_trial_look;

/* What a look sees of a difference. NaN: too few people. */
typedef struct dp_trial_seen {
  double value, p;
} dp_trial_seen;

/* A stratum of the randomisation, and how many of it were put into each arm. */
typedef struct dp_trial_stratum {
  char name[200];
  int *nperson; /* [narm] */
} dp_trial_stratum;

typedef struct dp_trial_difference {
  int arm, against, endpoint; /* arm - against */
  dp_trial_estimate estimate;
  double p;         /* two-sided, of no difference */
  double p_holm;    /* the same, corrected for all comparisons of the trial (Holm); NaN: not asked */
  const char *test; /* of p: "Welch t", "stratified t", "paired t", "chi-squared", "McNemar exact", ... */
  double power, power_low,
      power_high;      /* of a trial of power_n people an arm: share of such trials that find it; NaN: not asked */
  double power_people; /* with looks: people of such a trial when it ends, on average; else NaN */
  int power_n, power_trials;
  const char *power_method; /* "none: ...": why there is no power; "": not asked */
  dp_trial_seen *seen; /* [nlook of the result] NULL without looks */
  int crossed;         /* the first look (from 1) at which it was beyond the boundary; 0: at none */
} dp_trial_difference;

typedef struct dp_trial_incident {
  int arm;
  char person[64];
  double time;
  char reason[160];
} dp_trial_incident;

/* One line of the credibility report: what stands behind it, or that nothing does. */
typedef enum dp_evidence_state {
  DP_EVIDENCE_PASS,
  DP_EVIDENCE_FAIL,
  DP_EVIDENCE_MISSING,
  DP_EVIDENCE_STATED
} dp_evidence_state;
typedef struct dp_trial_evidence {
  char factor[48]; /* of ASME V&V 40: "code verification: numerical code" */
  char what[240];
  dp_evidence_state state;
  double value, limit; /* NaN where there are none */
} dp_trial_evidence;

typedef struct dp_trial_credibility {
  const char *question, *context, *influence, *consequence, *risk; /* "" not stated */
  int nevidence;
  dp_trial_evidence *evidence;
} dp_trial_credibility;

typedef struct dp_trial_result {
  dp_ctx *ctx;
  const dp_trial *trial; /* borrowed */
  int nperson, narm, nendpoint, ndifference, nincident;
  dp_trial_arm *arm;
  dp_trial_difference *difference;
  int nstratum, nlook; /* 0: randomisation without strata; no looks */
  dp_trial_stratum *stratum;
  dp_trial_look *look;
  const char *boundary;        /* of looks, "" without */
  dp_trial_seen *seen;         /* [differences x nlook] */
  dp_trial_incident *incident; /* the first 100 */
  int64_t ncall;               /* simulations of one person each */
  int64_t ncandidate;          /* people proposed before nperson were accepted */
  int64_t nmatched;            /* simulations that matching them took (the pilot's too), beside ncall */
  double acceptance;           /* nperson / ncandidate; 1 without a target */
  dp_trial_credibility credibility;
  char hash[65]; /* of every person's endpoints, in order */
} dp_trial_result;
dp_status dp_trial_run(const dp_trial *trial, const dp_trial_def *def, dp_trial_result **out);
void dp_trial_result_destroy(dp_trial_result *result); /* NULL allowed */

/* JSON (one object), or the page as HTML; free with dp_trial_text_free. */
dp_status dp_trial_json(const dp_trial_result *result, char **text);
dp_status dp_trial_page(const dp_trial_result *result, char **text);
void dp_trial_text_free(const dp_trial_result *result, char *text);

#ifdef __cplusplus
}
#endif
#endif
