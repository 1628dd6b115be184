/* tune_people.c - floor 8: one person as a cohort: draws of the belief with the person's covariates and what the policy
 * reads of them.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kind/kind_events.h"
#include "trial/tune_impl.h"

typedef struct maker {
  const dp_tune *tune;
  const dp_tune_person *who;
  const dp_tune_def *def;
} maker;

/* ---- numbers of the person ---- */

static bool is_set(const maker *m, const char *id, double *out) {
  bool found = false;
  for (int i = 0; i < m->def->nset; i++) {
    if (strcmp(m->def->set[i].id, id) != 0) continue;
    *out = m->def->set[i].value; /* the last one */
    found = true;
  }
  return found;
}

/* The column's last value up to `until`. */
static bool recorded(const maker *m, const char *id, double *out) {
  const dp_record *r = m->who->record;
  const dp_subject *s = &r->subject[m->who->subject];
  const int column = dpi_record_covariate(r, id);
  const double last = (double)(INT64_MAX / 2 / DP_TICKS); /* beyond that everything is known */
  const dp_time until = m->who->until < last ? dpi_trial_ticks(m->who->until) : INT64_MAX;
  bool found = false;
  for (int i = 0; i < s->nevent && column >= 0; i++) {
    if (s->event[i].time > until && found) break; /* of rows after that only the first, where there is none before */
    if (isnan(s->event[i].covariate[column])) continue;
    *out = s->event[i].covariate[column];
    found = true;
  }
  return found;
}

/* Given, recorded, or what the kind takes where nothing is known. */
static bool number_of(const maker *m, const char *id, double *out) {
  const dp_kind *k = m->tune->trial->kind;
  if (is_set(m, id, out) || recorded(m, id, out)) return true;
  for (int i = 0; i < k->ncovariate; i++) {
    if (strcmp(k->covariate[i].id, id) != 0 || k->covariate[i].missing != DPI_MISSING_VALUE) continue;
    *out = k->covariate[i].value;
    return true;
  }
  return false;
}

static dp_status missing(const maker *m, const char *id) {
  const dp_tune_desc *d = &m->tune->desc;
  const char *who = m->who->record->subject[m->who->subject].id;
  for (int i = 0; i < d->nsetting; i++)
    if (strcmp(d->setting[i].id, id) == 0)
      return dpi_fail(
          m->tune->ctx, DP_ERR_INPUT,
          "%s:%d: settings: the present value of '%s' is missing: %s has no such number of %s; give it (--set "
          "%s=VALUE)",
          d->source, d->setting[i].line, id, m->who->record->source, who, id);
  return dpi_fail(m->tune->ctx, DP_ERR_INPUT,
                  "%s: the person's '%s' is missing: %s has no such number of %s; give it (--set %s=VALUE)",
                  m->tune->trial->arm[0].policy->desc.source, id, m->who->record->source, who, id);
}

/* All columns that are not the draw's own. */
static dp_status fill_known(const maker *m, double *value) {
  const dp_trial *t = m->tune->trial;
  const dpi_cohort *c = &t->cohort;
  const int first = t->kind->neffect + t->kind->nparam;
  for (int k = 0; k < t->kind->nparam && m->who->prior; k++) value[t->kind->neffect + k] = m->who->prior->typical[k];
  for (int k = first; k < c->ncolumn; k++) {
    if (number_of(m, c->column[k], &value[k])) continue;
    const int sim = dp_sim_param(t->kind->sim, c->column[k]);
    bool covariate = false;
    for (int i = 0; i < t->kind->ncovariate; i++)
      covariate = covariate || strcmp(t->kind->covariate[i].id, c->column[k]) == 0;
    if (sim < 0 || covariate) return missing(m, c->column[k]);
    value[k] = dp_sim_describe(t->kind->sim)->param_default[sim]; /* a number of the model */
  }
  return DP_OK;
}

/* A covariate of the model that is no setting: the belief is made with the record's. */
static bool is_of_record(const maker *m, const char *id) {
  const dp_kind *k = m->tune->trial->kind;
  bool setting = false, read = false;
  for (int i = 0; i < m->tune->desc.nsetting; i++) setting = setting || strcmp(m->tune->desc.setting[i].id, id) == 0;
  for (int i = 0; i < k->ncovariate; i++)
    read = read || (k->covariate[i].sim_param >= 0 && strcmp(k->covariate[i].id, id) == 0);
  return read && !setting;
}

/* Nobody asks for a number that is given: a slip of its name. */
static dp_status check_set(const maker *m) {
  const dpi_cohort *c = &m->tune->trial->cohort;
  const int first = m->tune->trial->kind->neffect + m->tune->trial->kind->nparam;
  for (int i = 0; i < m->def->nset; i++) {
    const char *id = m->def->set[i].id;
    if (dpi_cohort_column(c, id) < first || !isfinite(m->def->set[i].value))
      return dpi_fail(m->tune->ctx, DP_ERR_INPUT, "%s: nobody asks for '%s' of the person, or it is no number",
                      m->tune->desc.source, id);
    if (is_of_record(m, id))
      return dpi_fail(m->tune->ctx, DP_ERR_INPUT,
                      "%s: '%s' is of the record, from which the belief is made; change it there",
                      m->tune->desc.source, id);
  }
  return DP_OK;
}

static dp_status check_range(const maker *m, int k, double value) {
  const dp_tune_setting *s = &m->tune->desc.setting[k];
  const dp_kind *kind = m->tune->trial->kind;
  for (int i = 0; i < kind->ncovariate; i++) {
    const dpi_kind_covariate *v = &kind->covariate[i];
    if (strcmp(v->id, s->id) != 0 || !(value < v->lower || value > v->upper)) continue;
    return dpi_fail(m->tune->ctx, DP_ERR_INPUT, "%s:%d: settings: %s %g %s is beyond what the kind takes, %g to %g",
                    m->tune->desc.source, s->line, s->id, value, v->unit, v->lower, v->upper);
  }
  return DP_OK;
}

static dp_status check_settings(const maker *m, const double *present) {
  const dp_tune_desc *d = &m->tune->desc;
  for (int k = 0; k < d->nsetting; k++) {
    const dp_tune_setting *s = &d->setting[k];
    if (s->relative && !(present[k] > 0))
      return dpi_fail(m->tune->ctx, DP_ERR_INPUT,
                      "%s:%d: settings: the present value of '%s' is %g, expected one > 0 for "
                      "multiples of it",
                      d->source, s->line, s->id, present[k]);
    for (int i = 0; i < s->n; i++) DP_TRY(check_range(m, k, s->relative ? present[k] * s->value[i] : s->value[i]));
  }
  return DP_OK;
}

/* ---- draws ---- */

static bool same_draw(const dp_belief *b, int i, int j) {
  return memcmp(b->eta + (size_t)i * (size_t)b->neta, b->eta + (size_t)j * (size_t)b->neta,
                sizeof(double) * (size_t)b->neta) == 0;
}

/* n of list[m], as evenly as can be; more than there are: again from the first. */
static void spread(const int *list, int m, int n, int *out) {
  for (int i = 0; i < n; i++) out[i] = list[n <= m ? (int)((double)i * m / n) : i % m];
}

/* Is the draw on the search's side? By its numbers alone, so that copies go together and no side is of lighter ones. */
static bool is_searched(const dp_belief *b, int draw, int nsearch, int nfresh) {
  uint64_t hash = 0xcbf29ce484222325u, bits;
  for (int e = 0; e < b->neta; e++) {
    memcpy(&bits, &b->eta[(size_t)draw * (size_t)b->neta + (size_t)e], sizeof bits);
    hash = (hash ^ bits) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 32;
  }
  return hash % ((uint64_t)nsearch + (uint64_t)nfresh) < (uint64_t)nsearch;
}

/* Both from sides that have no draw in common; false: one of them has too few. */
static bool choose_apart(const dp_belief *b, int *list, int *search, int nsearch, int *fresh, int nfresh) {
  int m = 0, at = b->ndraw; /* the search's from the front, others from the back */
  for (int i = 0; i < b->ndraw; i++) list[is_searched(b, i, nsearch, nfresh) ? m++ : --at] = i;
  if (m < nsearch || b->ndraw - m < nfresh) return false;
  spread(list, m, nsearch, search);
  spread(list + m, b->ndraw - m, nfresh, fresh);
  return true;
}

/* Draws of the search, and others for the second look: none of them, nor copies that resampling made. Where sides of
 * the belief have too few: what the search left over, in which draws with many copies are rarer than in the belief. */
static void choose_draws(const dp_belief *b, int *list, int *search, int nsearch, int *fresh, int nfresh,
                         bool *fresh_new) {
  int m = 0;
  *fresh_new = true;
  if (choose_apart(b, list, search, nsearch, fresh, nfresh)) return;
  for (int i = 0; i < b->ndraw; i++) list[i] = i;
  spread(list, b->ndraw, nsearch, search);
  for (int i = 0; i < b->ndraw; i++) {
    bool used = false;
    for (int k = 0; k < nsearch && !used; k++) used = search[k] == i || same_draw(b, search[k], i);
    if (!used) list[m++] = i;
  }
  *fresh_new = m >= nfresh;
  if (!*fresh_new)
    for (m = 0; m < b->ndraw; m++) list[m] = m;
  spread(list, m, nfresh, fresh);
}

static void fill_draws(const maker *m, const int *draw, int n, const double *known, double *value) {
  const dp_belief *b = m->who->belief;
  const size_t width = (size_t)m->tune->trial->cohort.ncolumn;
  for (int i = 0; i < n; i++) {
    double *row = value + (size_t)i * width;
    memcpy(row, known, sizeof *row * width);
    memcpy(row, b->eta + (size_t)draw[i] * (size_t)b->neta, sizeof *row * (size_t)b->neta);
  }
}

/* Columns of the person [ncolumn], present settings [nsetting]; both checked. */
static dp_status know(const maker *m, double *known, double *present) {
  const dp_tune_desc *d = &m->tune->desc;
  DP_TRY(check_set(m));
  DP_TRY(fill_known(m, known));
  for (int k = 0; k < d->nsetting; k++) present[k] = known[m->tune->column[k]];
  return check_settings(m, present);
}

dp_status dp_tune_present(const dp_tune *tune, const dp_tune_person *person, const dp_tune_def *def, double *present) {
  const maker m = {tune, person, def};
  double *known = DPI_NEW_ARRAY(tune->ctx, double, tune->trial->cohort.ncolumn + 1);
  const dp_status status = known ? know(&m, known, present) : DP_ERR_MEMORY;
  dpi_free(tune->ctx, known);
  return status;
}

dp_status dpi_tune_people_make(dpi_arena *arena, const dp_tune *tune, const dp_tune_person *person,
                               const dp_tune_def *def, dpi_tune_people *out) {
  const maker m = {tune, person, def};
  const dp_belief *b = person->belief;
  const dp_tune_desc *d = &tune->desc;
  const size_t width = (size_t)tune->trial->cohort.ncolumn;
  if (b->neta != tune->trial->kind->neffect)
    return dpi_fail(tune->ctx, DP_ERR_UNSUPPORTED, "%s: effects of occasions are not offered in tunings", d->source);
  *out = (dpi_tune_people){.nsearch = d->draws < b->ndraw ? d->draws : b->ndraw,
                           .nfresh = d->fresh < b->ndraw ? d->fresh : b->ndraw};
  double *known = DPI_ARENA_ARRAY(arena, double, width);
  int *list = DPI_ARENA_ARRAY(arena, int, 3 * (size_t)b->ndraw), *search = list + b->ndraw, *fresh = search + b->ndraw;
  out->search = DPI_ARENA_ARRAY(arena, double, (size_t)out->nsearch *width);
  out->fresh = DPI_ARENA_ARRAY(arena, double, (size_t)out->nfresh *width);
  out->present = DPI_ARENA_ARRAY(arena, double, d->nsetting);
  if (!known || !list || !out->search || !out->fresh || !out->present) return DP_ERR_MEMORY;
  DP_TRY(know(&m, known, out->present));
  choose_draws(b, list, search, out->nsearch, fresh, out->nfresh, &out->fresh_new);
  fill_draws(&m, search, out->nsearch, known, out->search);
  fill_draws(&m, fresh, out->nfresh, known, out->fresh);
  return DP_OK;
}
