/* validate.c - published figures beside ours: each row of a kind's evidence table names a population fit (its method) and a
 * quantity of it:  ofv (-2 ln L without n ln 2 pi), minus2ll, a parameter's id, ln(id), variance(effect id); or a person, and a
 * figure of this person's path (validate_path.c). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "twin/twin_impl.h"

/* Text between the parentheses of name(...), or NULL. */
static const char *inside(const char *what, const char *name, char out[64]) {
  size_t n = strlen(name), len = strlen(what);
  if (strncmp(what, name, n) != 0 || what[n] != '(' || what[len - 1] != ')' || len - n - 2 > 63) return NULL;
  snprintf(out, 64, "%.*s", (int)(len - n - 2), what + n + 1);
  return out;
}

static int param_row(const dp_kind *k, const char *id) {
  for (int i = 0; i < k->nparam; i++)
    if (strcmp(k->param[i].id, id) == 0) return i;
  return -1;
}

static int effect_row(const dp_kind *k, const char *id) {
  for (int i = 0; i < k->neffect; i++)
    if (strcmp(k->effect[i].id, id) == 0) return i;
  return -1;
}

/* Observations that enter the likelihood. */
static int count_observations(const dp_record *r) {
  int n = 0;
  for (int s = 0; s < r->nsubject; s++)
    for (int i = 0; i < r->subject[s].nevent; i++) n += r->subject[s].event[i].evid == 0 && !r->subject[s].event[i].missing;
  return n;
}

static double figure(const dp_kind *k, const dp_prior *p, int nobs, const char *what) {
  char id[64];
  int row;
  if (strcmp(what, "minus2ll") == 0) return p->objective;
  if (strcmp(what, "ofv") == 0) return p->objective - nobs * dpi_m_log(2.0 * 3.14159265358979323846);
  if (inside(what, "variance", id))
    return (row = effect_row(k, id)) < 0 ? NAN : p->omega[row * k->neffect + row];
  if (inside(what, "ln", id)) return (row = param_row(k, id)) < 0 ? NAN : dpi_m_log(p->typical[row]);
  return (row = param_row(k, what)) < 0 ? NAN : p->typical[row];
}

static dp_status fill(const dp_kind *k, const dp_record *record, dp_validation_row *rows) {
  for (int i = 0; i < k->nevidence; i++) {
    const dpi_kind_evidence *e = &k->evidence[i];
    if (*e->person) continue;
    int before = 0; /* one fit serves all rows of its method: take it at the first of them */
    while (before < i && strcmp(k->evidence[before].method, e->method) != 0) before++;
    if (before < i) continue;
    dp_fit_def def = dp_fit_def_default();
    def.method = e->method;
    def.tolerance = 1e-6;
    dp_prior *fit = NULL;
    DP_TRY(dp_prior_fit(k, record, NULL, 0, &def, &fit));
    int nobs = count_observations(record);
    for (int j = i; j < k->nevidence; j++) {
      const dpi_kind_evidence *f = &k->evidence[j];
      if (strcmp(f->method, e->method) != 0) continue;
      dp_validation_row *r = &rows[j];
      *r = (dp_validation_row){.id = f->id, .what = f->what, .source = f->source, .unit = f->unit,
                               .published = f->published, .tolerance = f->tolerance};
      r->ours = figure(k, fit, nobs, f->what);
      r->pass = fabs(r->ours - r->published) <= r->tolerance; /* NaN does not pass */
      if (isnan(r->ours)) snprintf(r->note, sizeof r->note, "'%.60s' is no quantity of a fit", f->what);
      else if (!fit->converged) snprintf(r->note, sizeof r->note, "the fit did not converge");
    }
    dp_prior_destroy(fit);
  }
  return dpi_validate_paths(k, record, rows);
}

dp_status dp_twin_validate(const dp_kind *kind, dp_validation_row **rows, int *n) {
  *n = kind->nevidence;
  *rows = DPI_NEW_ARRAY(kind->ctx, dp_validation_row, kind->nevidence + 1);
  if (!*rows) return DP_ERR_MEMORY;
  if (kind->nevidence == 0) return DP_OK;
  dp_record *record = NULL;
  dp_status status = dp_kind_record(kind, kind->patients, &record);
  if (status == DP_OK) status = fill(kind, record, *rows);
  dp_record_destroy(record);
  if (status != DP_OK) {
    dpi_free(kind->ctx, *rows);
    *rows = NULL;
    *n = 0;
  }
  return status;
}

void dp_validation_free(dp_ctx *ctx, dp_validation_row *rows) { dpi_free(ctx, rows); }
