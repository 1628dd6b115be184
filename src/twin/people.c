/* people.c - whose data may make whose prior.
 *
 * Priors come from the kind's own record. Whoever of that record may be the person under test is left out of that person's
 * prior. Ids say nothing (a file of one's own numbers people anew), so two people are taken for the same when they have the
 * same doses, one's samples lie at the other's times, and a third of the values there agree: a copy of the record is
 * recognised also when its later rows were cut off or its later values were changed. Study protocols give many people the
 * same doses and times; without a look at the values every newcomer of that protocol would shut them all out.
 */
#include <math.h>
#include <string.h>

#include "twin/people.h"

/* times are copied with fewer digits, amounts are rounded */
#define SAME_TIME 0.01   /* of the time, or of the unit of time where that is more */
#define SAME_AMOUNT 0.01 /* of the amount */
#define SAME_VALUE 0.02  /* of the value */

static bool same_time(const dp_event *a, const dp_event *b) {
  double x = (double)a->time / (double)DP_TICKS, y = (double)b->time / (double)DP_TICKS;
  return fabs(x - y) <= SAME_TIME * fmax(1.0, fmin(x, y));
}

static bool is_dose(const dp_event *e) { return e->evid == 1 || e->evid == 4; }
static bool is_sample(const dp_event *e) { return e->evid == 0 && !e->missing; }

static const dp_event *next_dose(const dp_subject *s, int *at) {
  while (*at < s->nevent && !is_dose(&s->event[*at])) (*at)++;
  return *at < s->nevent ? &s->event[(*at)++] : NULL;
}

/* The doses of one are those of the other, as far as the shorter list goes; both have some. */
static bool same_doses(const dp_subject *a, const dp_subject *b) {
  int i = 0, j = 0, n = 0;
  for (;; n++) {
    const dp_event *x = next_dose(a, &i), *y = next_dose(b, &j);
    if (!x || !y) return n > 0 || (!x && !y);
    if (!same_time(x, y) || fabs(x->amount - y->amount) > SAME_AMOUNT * fmax(fabs(x->amount), fabs(y->amount)))
      return false;
  }
}

static bool same_value(const dp_event *a, const dp_event *b) {
  return fabs(a->value - b->value) <= SAME_VALUE * fmax(fabs(a->value), fabs(b->value)) && strcmp(a->dvid, b->dvid) == 0;
}

/* Each sample of a lies at the time of one of b's, and at least a third of them have its value too. */
static bool sampled_within(const dp_subject *a, const dp_subject *b) {
  int n = 0, agree = 0;
  for (int i = 0; i < a->nevent; i++) {
    if (!is_sample(&a->event[i])) continue;
    bool found = false, equal = false;
    for (int j = 0; !equal && j < b->nevent; j++) {
      if (!is_sample(&b->event[j]) || !same_time(&a->event[i], &b->event[j])) continue;
      found = true;
      equal = same_value(&a->event[i], &b->event[j]);
    }
    if (!found) return false;
    n++;
    agree += equal;
  }
  return n == 0 || 3 * agree >= n;
}

bool dpi_people_same(const dp_subject *a, const dp_subject *b) {
  return same_doses(a, b) && (sampled_within(a, b) || sampled_within(b, a));
}

dp_status dpi_people_create(const dp_kind *kind, const dp_record *study, dpi_people *out) {
  *out = (dpi_people){.study = study, .source = study, .itself = true};
  if (!kind->patients || !kind->patients[0]) return DP_OK;
  DP_TRY(dp_kind_record(kind, kind->patients, &out->own));
  out->source = out->own;
  out->itself = strcmp(out->own->hash, study->hash) == 0;
  return DP_OK;
}

void dpi_people_release(dpi_people *p) {
  dp_record_destroy(p->own);
  *p = (dpi_people){0};
}

/* The source is the study itself: only the person, whose place is known. Else everybody who may be the person. */
static int list_left_out(const dpi_people *p, int subject, int *out) {
  int n = 0;
  if (p->itself) {
    out[n++] = subject;
    return n;
  }
  for (int i = 0; i < p->source->nsubject; i++)
    if (dpi_people_same(&p->source->subject[i], &p->study->subject[subject])) out[n++] = i;
  return n;
}

dp_status dpi_people_prior(const dp_kind *kind, const dpi_people *p, int subject, const char *store, dp_prior **out) {
  int *left_out = DPI_NEW_ARRAY(kind->ctx, int, p->source->nsubject + 1);
  if (!left_out) return DP_ERR_MEMORY;
  int n = list_left_out(p, subject, left_out);
  dp_status status;
  if (p->source->nsubject - n < 2) { /* nobody to learn from: the kind's published values, and the report says so */
    status = dp_prior_nominal(kind, out);
  } else if (n <= 1) {
    status = dp_prior_loo(kind, p->source, n ? left_out[0] : -1, store, out);
  } else {
    dp_fit_def def = dp_fit_def_default();
    status = dp_prior_fit(kind, p->source, left_out, n, &def, out);
  }
  dpi_free(kind->ctx, left_out);
  return status;
}
