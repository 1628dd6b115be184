/* validate_path.c - floor 7: rows of evidence.tsv about one person: effects and parameters at the mode under the
 * published prior, and figures of the path there, under the record's own doses, a plan, or the doses that the row
 * names; also the dose that a figure needs. Method `map`: at the mode given all of the person's observations;
 * `typical`: without random effects. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "twin/path.h"
#include "twin/twin_impl.h"

typedef struct someone {
  const char *id; /* whom the rest is about, NULL: nobody yet */
  int subject;
  dpi_case *c;
  double *mode, *zero; /* [neta] mode: NULL until asked for */
} someone;

static void leave(const dp_kind *k, someone *s) {
  dpi_case_destroy(s->c);
  dpi_free(k->ctx, s->mode);
  dpi_free(k->ctx, s->zero);
  *s = (someone){0};
}

static dp_status meet(const dp_kind *k, const dp_record *record, const dpi_kind_evidence *e, someone *s) {
  if (s->id && strcmp(s->id, e->person) == 0) return DP_OK;
  leave(k, s);
  s->subject = dp_record_subject(record, e->person);
  if (s->subject < 0)
    return dpi_fail(k->ctx, DP_ERR_INPUT, "%s: person '%s' is not in %s", e->where, e->person, record->source);
  DP_TRY(dpi_case_create(k, record, s->subject, &s->c));
  s->zero = DPI_NEW_ARRAY(k->ctx, double, s->c->neta + 1);
  if (!s->zero) return DP_ERR_MEMORY;
  s->id = e->person;
  return DP_OK;
}

/* The mode given everything that the record has of this person. */
static dp_status find_mode(const dp_kind *k, const dp_record *record, const dp_prior *prior, someone *s) {
  if (s->mode) return DP_OK;
  dp_assimilate_def def = dp_assimilate_def_default();
  def.ndraw = 100; /* draws are not looked at */
  def.nproposal = 200;
  def.discrepancy = 0;
  dp_belief *b = NULL;
  DP_TRY(dp_assimilate(k, record, s->subject, INFINITY, prior, &def, &b));
  s->mode = DPI_NEW_ARRAY(k->ctx, double, b->neta + 1);
  if (s->mode && b->neta) memcpy(s->mode, b->mode, sizeof(double) * (size_t)b->neta);
  dp_belief_destroy(b);
  return s->mode ? DP_OK : DP_ERR_MEMORY;
}

static dp_status compute(const dp_kind *k, const dp_prior *prior, const dpi_kind_evidence *e, const someone *s,
                         dp_plan *plan, dp_validation_row *row) {
  dpi_path_request q;
  DP_TRY(dpi_path_request_parse(k, e->what, e->where, &q));
  const double *eta = strcmp(e->method, "map") == 0 ? s->mode : s->zero;
  dpi_path_job job = {.kind = k,
                      .sim = k->sim,
                      .c = s->c,
                      .typical = prior->typical,
                      .figure = &q.figure,
                      .plan = plan,
                      .same = 1e-10,
                      .now = NAN,
                      .dosing = q.ask == DPI_ASK_FIGURE ? NULL : &q.dosing};
  const char *unit = dpi_path_request_unit(k, &q);
  if (q.ask != DPI_ASK_DOSE_FOR) {
    DP_TRY(dpi_path_eval(&job, eta, NULL, 1, &row->ours));
    return isfinite(row->ours) ? dp_unit_convert(k->ctx, row->ours, unit, e->unit, 0.0, &row->ours) : DP_OK;
  }
  const dpi_kind_control *c = &k->control[q.dosing.control];
  const double upper = isfinite(c->upper) && c->upper > 0 ? c->upper : 1e6;
  DP_TRY(dpi_path_dose(&job, eta, 1, q.wanted, fmax(c->lower, 1e-6 * upper), upper, &row->ours));
  if (isfinite(row->ours)) return dp_unit_convert(k->ctx, row->ours, unit, e->unit, 0.0, &row->ours);
  snprintf(row->note, sizeof row->note, "no dose up to %g %.20s gives it", upper, c->unit);
  return DP_OK;
}

static dp_status one_row(const dp_kind *k, const dp_record *record, const dp_prior *prior, const dpi_kind_evidence *e,
                         someone *s, dp_validation_row *row) {
  dp_plan *plan = NULL;
  *row = (dp_validation_row){.id = e->id,
                             .what = e->what,
                             .source = e->source,
                             .unit = e->unit,
                             .published = e->published,
                             .tolerance = e->tolerance,
                             .ours = NAN};
  DP_TRY(meet(k, record, e, s));
  if (strcmp(e->method, "map") == 0) DP_TRY(find_mode(k, record, prior, s));
  if (*e->plan) DP_TRY(dp_plan_read(k, e->plan, &plan));
  dp_status status = compute(k, prior, e, s, plan, row);
  dp_plan_destroy(plan);
  row->pass = fabs(row->ours - row->published) <= row->tolerance; /* NaN does not pass */
  if (isnan(row->ours) && !row->note[0]) snprintf(row->note, sizeof row->note, "the path can't be simulated");
  return status;
}

dp_status dpi_validate_paths(const dp_kind *k, const dp_record *record, dp_validation_row *rows) {
  someone s = {0};
  dp_prior *prior = NULL;
  dp_status status = dp_prior_nominal(k, &prior);
  for (int i = 0; i < k->nevidence && status == DP_OK; i++)
    if (*k->evidence[i].person) status = one_row(k, record, prior, &k->evidence[i], &s, &rows[i]);
  leave(k, &s);
  dp_prior_destroy(prior);
  return status;
}
