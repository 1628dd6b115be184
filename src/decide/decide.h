/* decide.h - floor 6: what the files of this room share.
 *
 *   candidates.c   tablets that exist x intervals allowed -> list of regimens
 *   rehearse.c     regimens x draws -> path functionals at steady state, through the waist
 *   limits.c       events counted, confidence bounds, admissible or not
 *   next_sample.c  would another sample change the advice?
 *   advice.c       the search itself: dp_plan_search
 */
#ifndef DPI_DECIDE_H
#define DPI_DECIDE_H

#include "doppel/plan.h"
#include "kind/kind_impl.h"
#include "num/num.h"

/* Values of every term's functional for some candidates on some draws: the rehearsal's whole result. */
typedef struct dpi_rehearsal {
  int ncandidate, nterm, ndraw;
  double *value; /* [ncandidate x nterm x ndraw], NaN where the member failed, infinite for a passage that never comes */
} dpi_rehearsal;

static inline const double *dpi_rehearsed(const dpi_rehearsal *r, int candidate, int term) {
  return r->value + ((size_t)candidate * (size_t)r->nterm + (size_t)term) * (size_t)r->ndraw;
}

/* All regimens of the kind's planned control, ascending interval then dose; arrays belong to the advice's context. */
dp_status dpi_decide_candidates(const dp_kind *kind, dp_candidate **out, int *n);

/* Rehearse candidates[which[k]] on `draw[0..ndraw)` of the belief. value is allocated from the kind's context. */
dp_status dpi_decide_rehearse(const dp_kind *kind, const dp_plan_patient *patient, const dp_belief *belief,
                              const dp_candidate *candidate, const int *which, int nwhich, const int *draw,
                              int ndraw, dpi_rehearsal *out);

/* Did the limit's event happen for this functional value? A failed member counts against the plan. */
bool dpi_decide_event(const dpi_kind_term *term, double value);
/* What one draw adds to a reward term, before its weight: a failed member adds nothing. */
double dpi_decide_reward(const dp_kind *kind, const dpi_kind_term *term, double value, double interval);
/* Length of the window that a reward is counted over, time units. */
double dpi_decide_window(const dp_kind *kind, double interval);

/* Estimate and bounds of one term from n (effective) draws; holds is set for limits. */
dp_term_value dpi_decide_judge(const dp_kind *kind, const dpi_kind_term *term, const double *value, int ndraw,
                               double neff, double interval, double confidence);
/* Largest (at_least: smallest) estimate of P(event) that holds at the bound with n effective draws. */
double dpi_decide_threshold(const dpi_kind_term *term, double neff, double confidence);

/* Preposterior analysis; fills advice->next from the screening rehearsal of all candidates. */
dp_status dpi_decide_next(const dp_kind *kind, const dp_plan_patient *patient, const dp_plan_def *def,
                          const dpi_rehearsal *screen, const int *draw, dp_advice *advice);

/* Parameter vector of one draw for a plan from now on: covariates of now, the last occasion's effects. */
void dpi_decide_param(const dp_kind *kind, const dp_plan_patient *patient, const dp_belief *belief, int draw,
                      double *param);
/* Parameters and instants [nhistory] of one draw living through the history again, occasion by occasion. */
void dpi_decide_relive(const dp_kind *kind, const dp_plan_patient *patient, const dp_belief *belief, int draw,
                       double *param, dp_instant *instant);

enum { DPI_PURPOSE_NEXT_SAMPLE = 0x4e585431 }; /* random purposes of this room */

#endif
