/* record_text.c - a record as a kind understands it, for `doppel data check --kind`: what is dose of which control,
 * sample of which observable, what is censored or only carries covariates. The mapping itself is the kind's
 * (src/kind/case.c). */
#include <math.h>

#include "explain/explain.h"
#include "kind/kind_events.h"

typedef struct range_of {
  int n, censored, people;
  double low, high;
} range_of;

static void take(range_of *r, double x) {
  r->low = r->n ? fmin(r->low, x) : x;
  r->high = r->n ? fmax(r->high, x) : x;
  r->n++;
}

typedef struct mapping {
  range_of *observable, *control;
  int nother, nmissing, nreset;
} mapping;

/* One person's rows. */
static dp_status map_person(const dp_kind *k, const dp_record *record, int subject, mapping *m) {
  const dp_subject *s = &record->subject[subject];
  dpi_case *c = NULL;
  DP_TRY(dpi_case_create(k, record, subject, &c));
  for (int o = 0; o < k->nobservable; o++) {
    int before = m->observable[o].n;
    for (int i = 0; i < c->nobs; i++) {
      if (c->obs[i].observable != o) continue;
      take(&m->observable[o], c->obs[i].censored ? c->obs[i].limit : c->obs[i].value);
      m->observable[o].censored += c->obs[i].censored != 0;
    }
    m->observable[o].people += m->observable[o].n > before;
  }
  dpi_case_destroy(c);
  for (int i = 0; i < s->nevent; i++) {
    const dp_event *e = &s->event[i];
    int control;
    m->nreset += e->evid == 3 || e->evid == 4;
    m->nother += e->evid == 2;
    m->nmissing += e->evid == 0 && e->missing;
    if (e->evid != 1 && e->evid != 4) continue;
    DP_TRY(dpi_event_control(k, record->source, e, &control));
    take(&m->control[control], e->amount);
  }
  return DP_OK;
}

static void add_covariates(dpi_str *out, const dp_kind *k, const dp_record *r) {
  for (int i = 0; i < k->ncovariate; i++) {
    const dpi_kind_covariate *v = &k->covariate[i];
    int column = dpi_record_covariate(r, v->id);
    static const char *const policy[] = {"must be there", "a value stands in", "the last one is carried on"};
    dpi_str_addf(out, "covariate   %-10s %-8s %s, %s\n", v->id, v->unit,
                 column >= 0 ? r->covariate_id[column] : "no column",
                 v->sim_param < 0 && !v->occasion ? "not used" : policy[v->missing]);
  }
}

static void add_text(dpi_str *out, const dp_kind *k, const dp_record *r, const mapping *m) {
  for (int i = 0; i < k->ncontrol; i++) {
    const range_of *x = &m->control[i];
    dpi_str_addf(out, "doses       %-10s %-8s %d rows", k->control[i].id, k->control[i].unit, x->n);
    if (x->n) dpi_str_addf(out, ", %g to %g", x->low, x->high);
    dpi_str_add(out, "\n");
  }
  for (int o = 0; o < k->nobservable; o++) {
    const range_of *x = &m->observable[o];
    dpi_str_addf(out, "samples     %-10s %-8s %d rows of %d people", k->observable[o].id, k->observable[o].unit, x->n,
                 x->people);
    if (x->n) dpi_str_addf(out, ", %g to %g", x->low, x->high);
    if (x->censored) dpi_str_addf(out, "; %d below their limit of quantification", x->censored);
    dpi_str_add(out, "\n");
  }
  add_covariates(out, k, r);
  if (m->nmissing) dpi_str_addf(out, "left out    %d samples without a value (MDV)\n", m->nmissing);
  if (m->nother) dpi_str_addf(out, "other rows  %d (EVID 2): only their covariates count\n", m->nother);
  if (m->nreset) dpi_str_addf(out, "resets      %d\n", m->nreset);
}

dp_status dp_report_record(const dp_kind *kind, const dp_record *record, char **text) {
  dp_ctx *ctx = kind->ctx;
  dpi_str out;
  mapping m = {.observable = DPI_NEW_ARRAY(ctx, range_of, kind->nobservable + 1),
               .control = DPI_NEW_ARRAY(ctx, range_of, kind->ncontrol + 1)};
  dp_status status = m.observable && m.control ? DP_OK : DP_ERR_MEMORY;
  *text = NULL;
  for (int s = 0; status == DP_OK && s < record->nsubject; s++) status = map_person(kind, record, s, &m);
  dpi_str_init(&out, ctx);
  if (status == DP_OK) add_text(&out, kind, record, &m);
  dpi_free(ctx, m.observable);
  dpi_free(ctx, m.control);
  if (status == DP_OK && out.failed) status = DP_ERR_MEMORY;
  if (status != DP_OK)
    dpi_str_release(&out);
  else
    *text = out.data;
  return status;
}
