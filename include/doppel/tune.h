/* tune.h - a person's settings of a rule of therapy, tuned on their twin.  D -> R -> U
 *
 *     dp_tune *tune;  dp_tune_result *result;
 *     DP_TRY(dp_tune_read(ctx, "pump.yaml", dirs, ndir, &tune));
 *     ... record, prior and belief of one person, of the kind dp_tune_describe(tune)->kind ...
 *     DP_TRY(dp_tune_run(tune, &person, &def, &result));
 *     ... result->outcome, result->proposed, result->reason ...
 *     dp_tune_result_destroy(result);
 *     dp_tune_destroy(tune);
 *
 * What the file may say: docs/tune.md. Settings are numbers that a policy of kind rule (policy.h) or the model reads of
 * a person: a basal rate, a carbohydrate ratio. Every combination of their values is rehearsed on the same draws of the
 * belief, with the same inputs and errors; the file says what makes one better than the present one. Results are the
 * same bytes for any number of threads and lanes.
 *
 * Ownership: a dp_tune owns its kind and all strings of its description; a result owns its numbers and strings and
 * borrows the tune, which must outlive it. Times are in the kind's time unit, endpoints in their own units.
 */
#ifndef DOPPEL_TUNE_H
#define DOPPEL_TUNE_H

#include "doppel/belief.h"
#include "doppel/record.h"
#include "doppel/trial.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dp_tune dp_tune;

/* dirs: folders in which kinds are looked for by id. ERR_INPUT with file and line; ERR_UNSUPPORTED: a rule that can't
 * be tuned, by name. */
dp_status dp_tune_read(dp_ctx *ctx, const char *path, const char *const *dirs, int ndir, dp_tune **out);
void dp_tune_destroy(dp_tune *tune); /* NULL allowed */

typedef struct dp_tune_setting {
  const char *id, *name, *unit; /* unit "": none is known */
  int relative;                 /* 1: multiples of the person's present value; 0: values */
  int n;
  const double *value; /* [n] */
  int line;            /* of the file */
} dp_tune_setting;

typedef enum dp_tune_goal {
  DP_TUNE_LIMIT, /* hard, of a setting by itself: the bound of P(event) over draws */
  DP_TUNE_SHARE, /* condition: the share of draws in which the change from the present settings is so */
  DP_TUNE_MEAN   /* condition: the mean change over draws */
} dp_tune_goal;

typedef struct dp_tune_term {
  const char *id, *text; /* text: as a person reads it */
  dp_tune_goal goal;
  int endpoint;
  int relation, at_bound; /* of the event, the change, the mean: -1 below `bound`, 1 above; with the bound itself */
  double bound;           /* the endpoint's unit */
  int at_least;           /* LIMIT, SHARE: the probability is to be >= (else <=) this: */
  double probability;
  int line;
} dp_tune_term;

typedef struct dp_tune_desc {
  const char *title, *question, *source, *time_unit, *approver, *note, *reward; /* reward: its formula */
  const dp_kind *kind;
  const char *kind_folder;
  char hash[65]; /* of the file, the kind and the policy */
  double horizon, run_in, confidence;
  int nsetting, nendpoint, nterm, ncandidate; /* candidates: combinations and the present settings, at most */
  const dp_tune_setting *setting;
  const dp_trial_endpoint *endpoint;
  const dp_tune_term *term;            /* limits first, then conditions, in the file's order */
  int draws, fresh;                    /* searched on; scored again on, draws that the search did not see */
  double drift_sd, drift_time, change; /* error of the model; 0: none */
} dp_tune_desc;
const dp_tune_desc *dp_tune_describe(const dp_tune *tune);

/* ---- the rule by itself ---- */

typedef struct dp_tune_value {
  double value;     /* LIMIT, SHARE: a probability; MEAN: the mean change */
  double low, high; /* LIMIT: its bounds at the confidence, each one-sided; else NaN */
  int holds;
} dp_tune_value;

typedef struct dp_tune_verdict {
  int safe;      /* every limit holds */
  int better;    /* every condition holds */
  double reward; /* NaN where its formula gives no number */
  int nfailed;   /* draws in which an endpoint is missing */
} dp_tune_verdict;

/* One candidate beside the present settings on the same n draws: endpoints [n x nendpoint] under both, NaN: missing.
 * A draw without a number under the present settings is left out of changes; one without a number under the candidate
 * counts against it. effective: how many draws count for limits, at most n. term [nterm]. */
dp_status dp_tune_judge(const dp_tune *tune, const double *present, const double *candidate, int n, double effective,
                        dp_tune_value *term, dp_tune_verdict *out);

/* An endpoint of a series of values of its observable as often as the file's `sampling`, in the endpoint's unit; of an
 * event 0 or 1. NaN: a value is missing, or the endpoint is none of `by: samples` of an observable (dp_tune_counts: 0).
 */
double dp_tune_count(const dp_tune *tune, int endpoint, const double *x, int n);
int dp_tune_counts(const dp_tune *tune, int endpoint);

/* ---- one person ---- */

typedef struct dp_tune_person { /* borrowed; of the tune's kind */
  const dp_record *record;
  int subject;
  double until; /* covariates are those of the last row up to here */
  const dp_prior *prior;
  const dp_belief *belief;
} dp_tune_person;

typedef struct dp_tune_number {
  const char *id;
  double value;
} dp_tune_number;

typedef struct dp_tune_def {
  uint32_t cookie;
  uint64_t seed; /* of inputs, readings, errors: 1 */
  int nset;      /* numbers of the person that the record does not have, or that are to count instead: settings, and
                    what the policy alone reads */
  const dp_tune_number *set;
  void (*progress)(void *user, double done); /* may be NULL */
  void *progress_user;
} dp_tune_def;
dp_tune_def dp_tune_def_default(void);

typedef enum dp_tune_outcome {
  DP_TUNE_PROPOSED,
  DP_TUNE_KEEP,    /* nothing is better than the present settings */
  DP_TUNE_NO_SAFE, /* the present settings break a limit, and nothing that holds all of them is better: `reason` says
                      whether others hold them */
  DP_TUNE_UNFIT    /* the belief is not fit for use: nothing was rehearsed */
} dp_tune_outcome;

typedef struct dp_tune_candidate {
  const char *text;      /* in a line, for people */
  const double *setting; /* [nsetting] values */
  const double *step;    /* [nsetting] as in the file: multiples or values; the present one: 1 or its value */
  const double *mean;    /* [nendpoint] over the draws that have a number */
  dp_tune_value *term;   /* [nterm] */
  dp_tune_verdict verdict;
} dp_tune_candidate;

typedef struct dp_tune_result {
  dp_ctx *ctx;
  const dp_tune *tune;
  dp_tune_outcome outcome;
  const char *reason;    /* in words */
  const double *present; /* [nsetting] */
  int ncandidate;
  dp_tune_candidate *candidate; /* on the draws searched on; 0: the present settings */
  int ndraw, nfresh;
  int fresh_new;                     /* 1: no draw of the second look was among those of the search */
  double effective, effective_fresh; /* how many draws count for limits */
  int nfinal;               /* candidates scored again: the present settings, then the best ones of the search */
  int *final;               /* [nfinal] which */
  dp_tune_candidate *again; /* [nfinal] what came of it */
  int proposed, runner_up;  /* among the finals; -1: none */
  double best_probability;  /* share of resampled sets of the second look in which the rule takes the same; NaN */
  double beats_runner_up;   /* ... in which its reward is larger than the runner-up's; NaN */
  int nbinding, *binding;   /* terms that alone keep out a candidate of the search with a larger reward */
  int nconflict, *conflict; /* NO_SAFE: the smallest set of limits that no candidate holds together */
  int64_t nsimulated, nfailed;
  int64_t nlimited; /* gifts that were cut to the bounds of their control */
  char hash[65];    /* of all endpoints of all candidates */
} dp_tune_result;

/* The person's present settings [nsetting], checked as dp_tune_run does, before a belief is made (person->belief and
 * prior are not used). */
dp_status dp_tune_present(const dp_tune *tune, const dp_tune_person *person, const dp_tune_def *def, double *present);
/* ERR_INPUT: a present value is missing or out of range, or fewer draws count than a limit needs, by file and line. A
 * belief that is not fit for use is no
 * error: the outcome says so. */
dp_status dp_tune_run(const dp_tune *tune, const dp_tune_person *person, const dp_tune_def *def, dp_tune_result **out);
void dp_tune_result_destroy(dp_tune_result *result); /* NULL allowed */

#ifdef __cplusplus
}
#endif
#endif
