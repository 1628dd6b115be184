/* whatif.h - D, U -> Q, R: what would this person's double do under a plan? Branches of one twin, side by side.
 *
 * The belief's draws live through what was given up to `now`, then through each plan: the same draws and the same measurement noise
 * for all of them (common random numbers), so that a difference between two branches is a difference between the plans. What the
 * record orders later than now is not given: a plan takes its place. Covariates of now stay.
 *
 *     dp_patient *patient;  dp_whatif *w;
 *     DP_TRY(dp_patient_create(kind, record, subject, prior, now, belief, NULL, &patient));
 *     DP_TRY(dp_whatif_run(kind, patient, plan, nplan, &def, &w));
 *     ... w->strand[i * w->nshown + s].q ...  w->appraisal->plan[i].reward ...  dp_whatif_pair(w, 0, 1)->better ...
 *     dp_whatif_destroy(w);  dp_patient_destroy(patient);
 *
 * A discrepancy term of the belief takes no part: branches are about the model's own curves.
 */
#ifndef DOPPEL_WHATIF_H
#define DOPPEL_WHATIF_H

#include "doppel/appraise.h"
#include "doppel/twin.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the person a plan is for ---- */

/* One person at `now`, as dp_plan_search and dp_appraise want them. kind, record, prior and beliefs are borrowed. */
typedef struct dp_patient dp_patient;
/* fresh: independent draws for dp_plan_search, NULL where nothing is searched. */
dp_status dp_patient_create(const dp_kind *kind, const dp_record *record, int subject, const dp_prior *prior, double now,
                            const dp_belief *belief, const dp_belief *fresh, dp_patient **out);
const dp_plan_patient *dp_patient_look(const dp_patient *patient);
/* The observations at or before now, in time order; borrowed from the patient. */
const dp_seen *dp_patient_seen(const dp_patient *patient, int *n);
void dp_patient_destroy(dp_patient *patient); /* NULL allowed */

/* ---- branches ---- */

typedef struct dp_whatif_def {
  uint32_t cookie;
  uint64_t seed;       /* of measurement noise: 1 */
  int ntime;           /* points in time of a fan: 121 */
  double from;         /* where fans begin, time units; NaN: at now */
  int doses;           /* 1: doses, what follows soon after them and ends of infusions are among the points too; 0 */
  double end;          /* where they end; NaN: at the kind's horizon, or where the longest plan has run out, if that is later */
} dp_whatif_def;
dp_whatif_def dp_whatif_def_default(void);

/* What is shown: an observable as it would be measured, or a quantity itself. Texts borrowed from the kind. */
typedef struct dp_shown {
  const char *id, *name, *unit;
  int measured;        /* 1: an observable, with measurement error; 0: a quantity */
  int primary;
  double low, high;    /* reference range, NaN: none */
} dp_shown;

/* One of them under one plan. */
typedef struct dp_strand {
  double *q;           /* [ntime x DP_NLEVEL] */
  double lowest[3], highest[3]; /* 5 %, 50 %, 95 % over draws of the path's own extremes from now to the end, without
                                   measurement error: of quantities that the kind's reward is about (of all, without one); else NaN */
} dp_strand;

/* Plan i against plan j by the kind's reward. */
typedef struct dp_whatif_pair_value {
  double difference;   /* reward i - reward j */
  double low, high;    /* 95 % interval of the mean difference: what the number of draws leaves open; NaN under a risk measure */
  double q05, q95;     /* of the difference over draws: what is not known about the person leaves open */
  double better;       /* P(i better than j) over draws, ties shared */
} dp_whatif_pair_value;

typedef struct dp_whatif {
  dp_ctx *ctx;
  int nplan, nshown, ntime, ndraw;
  int doses;                /* doses are among the times; 0: not asked for, or more than can be shown */
  double now, end;
  double *time;             /* [ntime] */
  dp_shown *shown;          /* [nshown] observables, then quantities */
  dp_strand *strand;        /* [nplan x nshown] */
  int *nfailed;             /* [nplan] draws that could not be simulated, or show an observable that is no number */
  char (*text)[192];        /* [nplan] the plan in a line */
  dp_appraisal *appraisal;  /* NULL: the kind has no rewards */
  dp_whatif_pair_value *pair; /* [nplan x nplan], NULL without rewards */
  char hash[65];            /* of everything above that is a result */
} dp_whatif;
dp_status dp_whatif_run(const dp_kind *kind, const dp_patient *patient, dp_plan *const *plan, int nplan, const dp_whatif_def *def,
                        dp_whatif **out);
const dp_whatif_pair_value *dp_whatif_pair(const dp_whatif *w, int i, int j);
void dp_whatif_destroy(dp_whatif *w); /* NULL allowed */

#ifdef __cplusplus
}
#endif
#endif
