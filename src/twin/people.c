/* people.c - whose data may make whose prior.
 *
 * Priors come from the kind's own record. A person of the study who is also in that record is left out of their own prior:
 * whoever has the same doses at the same times and samples at the same times is taken for the same person, whatever the id
 * or the values say (the cautious reading: leaving out a stranger costs little, keeping the person in would be peeking). */
#include <math.h>

#include "twin/people.h"

static bool same_amount(double a, double b) { return a == b || (isnan(a) && isnan(b)); }

static bool same_person(const dp_subject *a, const dp_subject *b) {
  if (a->nevent != b->nevent) return false;
  for (int i = 0; i < a->nevent; i++) {
    const dp_event *x = &a->event[i], *y = &b->event[i];
    if (x->time != y->time || x->evid != y->evid || x->compartment != y->compartment) return false;
    if (!same_amount(x->amount, y->amount)) return false;
  }
  return true;
}

dp_status dpi_people_create(const dp_kind *kind, const dp_record *study, dpi_people *out) {
  *out = (dpi_people){.study = study, .source = study};
  if (!kind->patients || !kind->patients[0]) return DP_OK;
  DP_TRY(dp_kind_record(kind, kind->patients, &out->own));
  out->source = out->own;
  return DP_OK;
}

void dpi_people_release(dpi_people *p) {
  dp_record_destroy(p->own);
  *p = (dpi_people){0};
}

dp_status dpi_people_prior(const dp_kind *kind, const dpi_people *p, int subject, const char *store, dp_prior **out) {
  int left_out = p->source == p->study ? subject : -1;
  for (int i = 0; left_out < 0 && i < p->source->nsubject; i++)
    if (same_person(&p->source->subject[i], &p->study->subject[subject])) left_out = i;
  int others = p->source->nsubject - (left_out >= 0);
  if (others < 2) /* nobody to learn from: the kind's published values, and the report says so */
    return dp_prior_nominal(kind, out);
  return dp_prior_loo(kind, p->source, left_out, store, out);
}
