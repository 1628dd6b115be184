/* document.c - the study as one JSON document: the page draws it and programs read it (docs/report-json.md). Timings are
 * left out, so that the same command gives the same bytes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "explain/explain.h"

static json_t *range(double low, double high) {
  return json_pack("[o, o]", dpi_explain_number(low), dpi_explain_number(high));
}

static json_t *kind_part(const dp_kind *k) {
  return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "id", k->id, "title", k->title, "question", k->question,
                   "intended_use", k->intended_use ? k->intended_use : "", "people", k->people ? k->people : "",
                   "source", k->source ? k->source : "", "time_unit", k->time_unit, "hash", k->hash);
}

static json_t *observables(const dp_kind *k) {
  json_t *a = json_array();
  for (int i = 0; i < k->nobservable; i++) {
    const dpi_kind_observable *o = &k->observable[i];
    json_array_append_new(a, json_pack("{s:s, s:s, s:s, s:b, s:o}", "id", o->id, "name", o->name, "unit", o->unit,
                                       "primary", o->primary, "reference", range(o->axis_low, o->axis_high)));
  }
  return a;
}

static json_t *parameters(const dp_kind *k) {
  json_t *a = json_array();
  for (int e = 0; e < k->neffect; e++)
    json_array_append_new(a, json_pack("{s:s, s:s, s:s}", "id", k->effect[e].parameter, "name", k->effect[e].name,
                                       "unit", k->effect[e].unit));
  return a;
}

static json_t *reward_part(const dp_kind *k) {
  if (!k->reward.given) return json_null();
  json_t *terms = json_array();
  for (int t = 0; t < k->reward.nterm; t++) {
    const dpi_kind_term *x = &k->reward.term[t];
    json_array_append_new(terms, json_pack("{s:s, s:s, s:s, s:o, s:b}", "id", x->id, "text", x->text, "goal",
                                           x->goal == DPI_GOAL_LIMIT ? "limit" : "reward", "probability",
                                           dpi_explain_number(x->goal == DPI_GOAL_LIMIT ? x->probability : NAN),
                                           "at_least", x->at_least));
  }
  const dpi_kind_control *c = &k->control[k->reward.control];
  return json_pack("{s:s, s:s, s:s, s:o, s:o, s:b, s:o, s:s, s:s, s:o}", "control", c->id, "name", c->name, "unit",
                   c->unit, "strengths", dpi_explain_numbers(c->strength, c->nstrength), "intervals",
                   dpi_explain_numbers(c->interval, c->ninterval), "residual_error_counts", k->reward.residual,
                   "confidence", dpi_explain_number(k->reward.confidence), "approver",
                   c->approver ? c->approver : "", "note", k->reward.note ? k->reward.note : "", "terms", terms);
}

static json_t *three(const double x[3]) {
  return json_pack("{s:o, s:o, s:o}", "twin", dpi_explain_number(x[0]), "population", dpi_explain_number(x[1]),
                   "last_value", dpi_explain_number(x[2]));
}

/* Central coverage by nominal level, and the histogram of PIT values: the reliability of all forecasts together. */
static json_t *reliability(const dp_study *s, int observable) {
  enum { NBIN = 10, NLEV = 19 };
  double bin[NBIN] = {0}, inside[NLEV] = {0}, nominal[NLEV];
  int n = 0;
  for (int i = 0; i < s->ntwin; i++) {
    const dp_twin_view *v = dp_twin_look(s->twin[i]);
    for (int k = 0; k < v->nscore; k++) {
      double pit = v->score[k].pit;
      if (v->seen[v->score[k].observation].observable != observable || isnan(pit)) continue;
      n++;
      bin[pit >= 1 ? NBIN - 1 : (int)(pit * NBIN)]++;
      for (int l = 0; l < NLEV; l++) inside[l] += fabs(pit - 0.5) <= 0.025 * (l + 1);
    }
  }
  for (int l = 0; l < NLEV; l++) {
    nominal[l] = 0.05 * (l + 1);
    inside[l] = n ? inside[l] / n : NAN;
  }
  return json_pack("{s:i, s:o, s:o, s:o}", "samples", n, "pit_counts", dpi_explain_numbers(bin, NBIN), "nominal",
                   dpi_explain_numbers(nominal, NLEV), "observed", dpi_explain_numbers(inside, NLEV));
}

static json_t *score_part(const dp_study *s, const dp_study_score *x) {
  return json_pack("{s:s, s:i, s:[i,i,i,i], s:o, s:o, s:i, s:o, s:o, s:o, s:o, s:o, s:o}", "observable",
                   s->kind->observable[x->observable].id, "samples", x->nsample, "inside_50_80_90_95", x->inside[0],
                   x->inside[1], x->inside[2], x->inside[3], "coverage_90", dpi_explain_number(x->coverage90),
                   "coverage_90_interval", range(x->coverage_low, x->coverage_high), "inside_population_90",
                   x->inside_population, "crps", three(x->crps), "mean_absolute_error", three(x->mae),
                   "root_mean_square_error", three(x->rmse), "skill", dpi_explain_number(x->skill), "skill_interval",
                   range(x->skill_low, x->skill_high), "reliability", reliability(s, x->observable));
}

static json_t *summary(const dp_study *s) {
  json_t *scores = json_array(), *order = json_array();
  int advised = 0;
  for (int o = 0; o < s->nscore; o++) json_array_append_new(scores, score_part(s, &s->score[o]));
  for (int i = 0; i < s->ntwin; i++) {
    json_array_append_new(order, json_string(dp_twin_look(s->twin[s->worst_first[i]])->subject));
    advised += dpi_explain_chosen(dp_twin_look(s->twin[i])->advice) != NULL;
  }
  return json_pack("{s:i, s:i, s:i, s:i, s:i, s:o, s:o}", "people", s->ntwin, "twin_lost", s->nlost, "twin_won", s->nwon,
                   "twin_lost_to_last_value", s->nlost_last, "with_recommendation", advised, "worst_first", order,
                   "scores", scores);
}

static json_t *head(const dp_study *s, const char *command) {
  json_t *o = json_pack("{s:{s:s, s:s}, s:s}", "doppel", "version", dp_version(), "arithmetic", dp_arithmetic(),
                        "command", command ? command : "");
  json_object_set_new(o, "kind", kind_part(s->kind));
  json_object_set_new(o, "record", json_pack("{s:s, s:s, s:i}", "source", s->record->source, "hash", s->record->hash,
                                             "subjects", s->record->nsubject));
  json_object_set_new(o, "seed", json_integer((json_int_t)s->def.twin.seed));
  json_object_set_new(o, "draws", json_integer(s->def.twin.ndraw));
  json_object_set_new(o, "levels", dpi_explain_numbers(dp_level, DP_NLEVEL));
  json_object_set_new(o, "observables", observables(s->kind));
  json_object_set_new(o, "parameters", parameters(s->kind));
  json_object_set_new(o, "reward", reward_part(s->kind));
  json_object_set_new(o, "summary", summary(s));
  return o;
}

json_t *dpi_explain_document(const dp_study *s, const char *command, bool for_page) {
  json_t *o = head(s, command);
  json_object_set_new(o, "until", dpi_explain_number(dp_twin_look(s->twin[0])->until));
  if (!for_page && s->ntwin == 1) { /* one person: the keys of docs/cli stand at the top */
    json_t *person = dpi_explain_person(s, 0, false);
    json_object_update(o, person);
    json_decref(person);
  } else {
    json_t *people = json_array();
    for (int i = 0; i < s->ntwin; i++) json_array_append_new(people, dpi_explain_person(s, i, for_page));
    json_object_set_new(o, "patients", people);
    if (for_page) json_object_set_new(o, "untils", dpi_explain_numbers(s->until, s->nuntil));
  }
  json_t *hashes = json_object_get(o, "hashes");
  if (!hashes) json_object_set_new(o, "hashes", hashes = json_object());
  json_object_set_new(hashes, "kind", json_string(s->kind->hash));
  json_object_set_new(hashes, "model", json_string(dp_model_hash(s->kind->model)));
  json_object_set_new(hashes, "data", json_string(s->record->hash));
  json_object_set_new(hashes, "study", json_string(s->hash));
  return o;
}

/* Text of a document in the library's memory. */
static dp_status dump(const dp_study *s, json_t *doc, size_t flags, char **text) {
  char *raw = json_dumps(doc, flags);
  json_decref(doc);
  if (!raw) return dpi_fail(s->ctx, DP_ERR_MEMORY, "no memory for the JSON document");
  size_t n = strlen(raw);
  *text = dpi_alloc(s->ctx, n + 1);
  if (*text) memcpy(*text, raw, n + 1);
  free(raw);
  return *text ? DP_OK : DP_ERR_MEMORY;
}

dp_status dp_report_json(const dp_study *s, const char *command, char **text) {
  return dump(s, dpi_explain_document(s, command, false), JSON_REAL_PRECISION(12) | JSON_INDENT(1), text);
}

dp_status dpi_explain_page_data(const dp_study *s, const char *command, char **text) {
  return dump(s, dpi_explain_document(s, command, true), JSON_REAL_PRECISION(5) | JSON_COMPACT, text);
}

void dp_report_free(dp_ctx *ctx, char *text) { dpi_free(ctx, text); }
