/* twin.h - one patient's double: the whole loop on one record.  O -> D -> Q -> R -> U
 *
 * A twin is changing and owned by one thread at a time; its kind is constant and shared. One turn of the loop is
 * dp_twin_step (src/twin/step.c): observe, assimilate, forecast, open what was sealed and score, decide, audit.
 *
 *     dp_twin *twin;
 *     DP_TRY(dp_twin_create(kind, record, subject, prior, &def, &twin));
 *     DP_TRY(dp_twin_step(twin));
 *     const dp_twin_view *v = dp_twin_look(twin);
 *     dp_twin_destroy(twin);
 *
 * dp_study runs all subjects of a record, each with a prior from which that person's data were left out, and adds up the
 * scores over people.
 */
#ifndef DOPPEL_TWIN_H
#define DOPPEL_TWIN_H

#include "doppel/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DP_NLEVEL 9 /* quantile levels of every band */
extern const double dp_level[DP_NLEVEL]; /* .025 .05 .10 .25 .50 .75 .90 .95 .975 */

/* One observation as the twin treats it. */
typedef struct dp_seen {
  double time, value, limit;
  int observable, censored, line;
  int sealed;              /* 1: later than until; opened only by score */
} dp_seen;

/* A fan: quantiles of what a measurement would show (prediction + residual error). */
typedef struct dp_fan {
  int observable, ntime;
  const double *time;      /* [ntime] */
  double *q;               /* [ntime x DP_NLEVEL] */
} dp_fan;

/* The score of one sealed sample by the three forecasters. */
typedef struct dp_sample_score {
  int observation;         /* index in seen[] */
  double q[DP_NLEVEL];     /* the twin's predictive quantiles there */
  double pit;              /* F(y): uniform when the forecast is honest */
  double crps[3];          /* twin, population, last value carried forward */
  double error[3];         /* median (or value) minus measured */
  int inside[4];           /* 50, 80, 90, 95 % band of the twin */
  int inside_population;   /* 90 % band of the population's forecast */
} dp_sample_score;
enum { DP_BY_TWIN = 0, DP_BY_POPULATION = 1, DP_BY_LAST = 2 };

/* Everything a page or program may show about one turn. Borrowed from the twin until its next step. */
typedef struct dp_twin_view {
  const char *subject;
  double until;
  int nseen, nsealed;
  const dp_seen *seen;     /* [nseen + nsealed] in time order */
  const dp_prior *prior;
  const dp_belief *belief; /* posterior */
  const dp_belief *before; /* prior belief: the population's forecast; NULL without opponent */
  int nfan;
  const dp_fan *fan;       /* the twin's, one an observable */
  const dp_fan *population; /* the population's, or NULL */
  int nscore;
  const dp_sample_score *score;
  double rel_crps[3];      /* mean over samples of CRPS / the population's mean CRPS of that observable: see dp_study */
  double rel_crps_last;    /* rel_crps[DP_BY_TWIN] on the samples that rel_crps[DP_BY_LAST] is about */
  const dp_advice *advice; /* NULL when deciding was not asked for */
  int ndose;
  const double *dose_time, *dose_amount;
  double seconds[4];       /* assimilate, forecast, score, decide */
  char hash[65];           /* of everything above that is a result */
} dp_twin_view;

typedef struct dp_twin_def {
  uint32_t cookie;
  uint64_t seed;
  double until;            /* NaN: the kind's */
  int ndraw;               /* posterior draws */
  int nproposal;
  int nfan;                /* points in time of a fan */
  int discrepancy;         /* -1 as the kind says */
  int decide;              /* 1: search a plan */
  int opponent;            /* 1: also the population's forecast (before, population, crps[DP_BY_POPULATION]) */
} dp_twin_def;
dp_twin_def dp_twin_def_default(void);

typedef struct dp_twin dp_twin;
/* kind, record and prior are borrowed. */
dp_status dp_twin_create(const dp_kind *kind, const dp_record *record, int subject, const dp_prior *prior,
                         const dp_twin_def *def, dp_twin **out);
dp_status dp_twin_step(dp_twin *twin);
const dp_twin_view *dp_twin_look(const dp_twin *twin);
void dp_twin_destroy(dp_twin *twin);

/* ---- a study: many people of one kind ---- */
typedef struct dp_study_def {
  uint32_t cookie;
  dp_twin_def twin;
  const char *priors;      /* file with stored leave-one-out priors or NULL; used only where its hash matches */
  int nuntil;              /* further values of `until` for the report's slider (0: none); 5 */
  const char *only;        /* one subject's id or NULL */
} dp_study_def;
dp_study_def dp_study_def_default(void);

/* Sums over people for one observable. */
typedef struct dp_study_score {
  int observable, nsample;
  int inside[4];           /* of nsample, in the 50, 80, 90, 95 % bands */
  double coverage90, coverage_low, coverage_high; /* interval from resampling people */
  int inside_population;   /* 90 % band of the population's forecast */
  double crps[3], mae[3], rmse[3];
  int nlast;               /* of nsample, with a last value to carry forward: what the third figures are about */
  double crps_twin_last;   /* the twin's CRPS on those nlast samples: the fair comparison with crps[DP_BY_LAST] */
  double skill, skill_low, skill_high; /* 1 - crps[twin]/crps[population], interval from resampling people */
} dp_study_score;

typedef struct dp_study {
  dp_ctx *ctx;
  const dp_kind *kind;
  const dp_record *record;
  dp_study_def def;
  int ntwin;
  dp_twin **twin;          /* at the default until, in record order */
  int *subject;
  int own;                 /* the record is the kind's own: kind's words about its people are about these */
  dp_prior **prior;        /* each person's */
  int nuntil;
  double *until;           /* slider's values */
  dp_twin **at;            /* [nuntil x ntwin] without decision */
  int nscore;
  dp_study_score *score;   /* one an observable */
  int nlost, nwon;         /* people in whom the twin's CRPS is higher / lower than the population's */
  int nlost_last;          /* people in whom it is higher than the last value's */
  int *worst_first;        /* [ntwin] order for a sceptic */
  double seconds;
  char hash[65];
} dp_study;
dp_status dp_study_run(const dp_kind *kind, const dp_record *record, const dp_study_def *def, dp_study **out);
void dp_study_destroy(dp_study *study);

/* ---- validation: published figures beside ours ---- */
typedef struct dp_validation_row {
  const char *id, *what, *source, *unit; /* borrowed from the kind */
  double published, ours, tolerance;
  int pass;
  char note[120];
} dp_validation_row;
dp_status dp_twin_validate(const dp_kind *kind, dp_validation_row **rows, int *n);
void dp_validation_free(dp_ctx *ctx, dp_validation_row *rows);

#ifdef __cplusplus
}
#endif
#endif
