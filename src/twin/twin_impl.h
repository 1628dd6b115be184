/* twin_impl.h - floor 7: the state of one twin, grouped by the step that computes it. */
#ifndef DPI_TWIN_IMPL_H
#define DPI_TWIN_IMPL_H

#include "doppel/twin.h"
#include "kind/kind_impl.h"
#include "num/num.h"

enum { /* random purposes of this room */
  DPI_PURPOSE_NOISE = 0x4e4f4953,
  DPI_PURPOSE_PEOPLE = 0x50454f50,
};

/* An ensemble's predictions at some times: all draws, all outputs; kept from forecast to score. */
typedef struct dpi_prediction {
  dp_result *result;
  int ntime;
  /* model discrepancy given what was seen, [ndraw x ntime x nobservable] each, NULL when the term is off: mean and variance
   * of what is to be added to the prediction (to its logarithm under lognormal noise) */
  double *shift, *extra;
} dpi_prediction;

struct dp_twin {
  dp_ctx *ctx;
  const dp_kind *kind;       /* constant, shared */
  const dp_record *record;   /* borrowed */
  const dp_prior *prior;     /* borrowed; made without this person */
  dp_twin_def def;
  int subject;
  dpi_case *c;               /* this person under this kind */
  dp_twin_view view;

  /* O, computed by observe */
  double until;
  dp_seen *seen;             /* [c->nobs] */
  double *dose_time, *dose_amount;

  /* D, computed by assimilate */
  dp_belief *belief;         /* posterior */
  dp_belief *before;         /* prior belief */
  dp_belief *fresh;          /* independent draws of the posterior, for scoring the chosen plan again */

  /* Q, computed by forecast */
  double *fan_time;          /* [nfan] time units */
  dp_output_time *when;      /* [nwhen] fan times and observation rows merged, ascending */
  int nwhen;
  int *fan_row, *obs_row;    /* rows of `when`: [nfan], [c->nobs] */
  dpi_prediction ahead, population; /* of belief and of before */
  dp_fan *fan, *fan_population;     /* [nobservable] */

  /* computed by score */
  dp_sample_score *score;    /* [nsealed] */

  /* R and U, computed by decide */
  dp_advice *advice;
};

/* The steps, in the order of the loop; each leaves the twin as it was when it fails. */
dp_status dpi_twin_observe(dp_twin *t);    /* O: what may be seen */
dp_status dpi_twin_assimilate(dp_twin *t); /* D: prior and posterior beliefs */
dp_status dpi_twin_forecast(dp_twin *t);   /* Q: fans and predictions at the sealed samples' times */
dp_status dpi_twin_score(dp_twin *t);      /* the sealed samples opened, three forecasters compared */
dp_status dpi_twin_decide(dp_twin *t);     /* R, U: candidate regimens, or none because ... */
dp_status dpi_twin_audit(dp_twin *t);      /* one hash over every result */

/* Fill p->shift and p->extra when the belief b has the discrepancy term; the first nseen samples are conditioned on. */
dp_status dpi_twin_discrepancy(const dp_twin *t, const dp_belief *b, int nseen, dpi_prediction *p);
void dpi_prediction_release(dp_ctx *ctx, dpi_prediction *p);

/* Draw k's prediction of an observable at row `row` of when, and the sd of a measurement about it (discrepancy included). */
void dpi_twin_predicted(const dp_twin *t, const dpi_prediction *p, int draw, int row, int observable, double *f,
                        double *sigma);
/* Ensemble of what a measurement would show: n = draws x replicates values, stratified noise common to all times.
 * y [ndraw x nrep]. Draws that failed are left out; returns how many values. */
int dpi_twin_measured(const dp_twin *t, const dpi_prediction *p, const dp_belief *b, int row, int observable, int nrep,
                      double *y);
/* The rows of evidence.tsv that are about one person's path (methods map and typical). */
dp_status dpi_validate_paths(const dp_kind *kind, const dp_record *record, dp_validation_row *rows);
/* What a study says over its people, from their views: scores, who won and lost, order, hash. */
dp_status dpi_study_sum(dp_study *s);

#endif
