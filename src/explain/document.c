/* document.c - the study as one JSON document: the page draws it and programs read it (docs/report-json.md). Timings
 * are left out, and so is where files lie, so that the same command gives the same bytes. */
#include <math.h>
#include <string.h>

#include "explain/explain.h"

static json_t *range(double low, double high) {
  return json_pack("[o, o]", dpi_explain_number(low), dpi_explain_number(high));
}

/* Where a record lies on this machine is nobody's business; its hash says what it is. */
static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static json_t *finish(json_t *part, bool good) {
  if (good) return part;
  json_decref(part);
  return NULL;
}

json_t *dpi_explain_kind(const dp_kind *k) {
  return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s}", "id", dpi_explain_text(k->id), "title",
                   dpi_explain_text(k->title), "question", dpi_explain_text(k->question), "intended_use",
                   dpi_explain_text(k->intended_use), "people", dpi_explain_text(k->people), "source",
                   dpi_explain_text(k->source), "time_unit", dpi_explain_text(k->time_unit), "hash", k->hash);
}

json_t *dpi_explain_observables(const dp_kind *k) {
  json_t *a = json_array();
  bool good = a != NULL;
  for (int i = 0; i < k->nobservable; i++) {
    const dpi_kind_observable *o = &k->observable[i];
    dpi_explain_append(a,
                       json_pack("{s:o, s:o, s:o, s:b, s:o}", "id", dpi_explain_text(o->id), "name",
                                 dpi_explain_text(o->name), "unit", dpi_explain_text(o->unit), "primary", o->primary,
                                 "reference", range(o->axis_low, o->axis_high)),
                       &good);
  }
  return finish(a, good);
}

json_t *dpi_explain_parameters(const dp_kind *k) {
  json_t *a = json_array();
  bool good = a != NULL;
  for (int e = 0; e < k->neffect; e++)
    dpi_explain_append(a,
                       json_pack("{s:o, s:o, s:o}", "id", dpi_explain_text(k->effect[e].parameter), "name",
                                 dpi_explain_text(k->effect[e].name), "unit", dpi_explain_text(k->effect[e].unit)),
                       &good);
  return finish(a, good);
}

static json_t *reward_terms(const dp_kind *k) {
  json_t *terms = json_array();
  bool good = terms != NULL;
  for (int t = 0; t < k->reward.nterm; t++) {
    const dpi_kind_term *x = &k->reward.term[t];
    bool limit = x->goal == DPI_GOAL_LIMIT;
    dpi_explain_append(terms,
                       json_pack("{s:o, s:o, s:s, s:o, s:b}", "id", dpi_explain_text(x->id), "text",
                                 dpi_explain_text(x->text), "goal", limit ? "limit" : "reward", "probability",
                                 dpi_explain_number(limit ? x->probability : NAN), "at_least", x->at_least),
                       &good);
  }
  return finish(terms, good);
}

json_t *dpi_explain_reward(const dp_kind *k) {
  if (!k->reward.given) return json_null();
  const dpi_kind_control *c = &k->control[k->reward.control];
  return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:o, s:o}", "form",
                   k->reward.form == DPI_FORM_COURSE ? "course" : "regimen", "control", dpi_explain_text(c->id), "name",
                   dpi_explain_text(c->name), "unit", dpi_explain_text(c->unit), "strengths",
                   dpi_explain_numbers(c->strength, c->nstrength), "intervals",
                   dpi_explain_numbers(c->interval, c->ninterval), "residual_error_counts", k->reward.residual,
                   "confidence", dpi_explain_number(k->reward.confidence), "approver", dpi_explain_text(c->approver),
                   "note", dpi_explain_text(k->reward.note), "terms", reward_terms(k));
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
  return json_pack("{s:o, s:i, s:[i,i,i,i], s:o, s:o, s:i, s:o, s:i, s:o, s:o, s:o, s:o, s:o, s:o}", "observable",
                   dpi_explain_text(s->kind->observable[x->observable].id), "samples", x->nsample, "inside_50_80_90_95",
                   x->inside[0], x->inside[1], x->inside[2], x->inside[3], "coverage_90",
                   dpi_explain_number(x->coverage90), "coverage_90_interval", range(x->coverage_low, x->coverage_high),
                   "inside_population_90", x->inside_population, "crps", three(x->crps), "samples_with_last_value",
                   x->nlast, "crps_twin_where_last_value", dpi_explain_number(x->crps_twin_last),
                   "mean_absolute_error", three(x->mae), "root_mean_square_error", three(x->rmse), "skill",
                   dpi_explain_number(x->skill), "skill_interval", range(x->skill_low, x->skill_high), "reliability",
                   reliability(s, x->observable));
}

static json_t *summary(const dp_study *s) {
  json_t *scores = json_array(), *order = json_array();
  bool good = scores && order;
  int advised = 0;
  for (int o = 0; o < s->nscore; o++) dpi_explain_append(scores, score_part(s, &s->score[o]), &good);
  for (int i = 0; i < s->ntwin; i++) {
    dpi_explain_append(order, dpi_explain_text(dp_twin_look(s->twin[s->worst_first[i]])->subject), &good);
    advised += dpi_explain_chosen(dp_twin_look(s->twin[i])->advice) != NULL;
  }
  return json_pack("{s:i, s:i, s:i, s:i, s:i, s:o, s:o}", "people", s->ntwin, "twin_lost", s->nlost, "twin_won",
                   s->nwon, "twin_lost_to_last_value", s->nlost_last, "with_recommendation", advised, "worst_first",
                   finish(order, good), "scores", finish(scores, good));
}

/* Is the model-discrepancy term on? It is for all people or for none. */
static bool with_discrepancy(const dp_study *s) { return dp_twin_look(s->twin[0])->belief->discrepancy != NULL; }

static void add_head(json_t *o, const dp_study *s, const char *command, bool *good) {
  dpi_explain_set(o, "doppel", json_pack("{s:s, s:s}", "version", dp_version(), "arithmetic", dp_arithmetic()), good);
  dpi_explain_set(o, "command", dpi_explain_text(command), good);
  dpi_explain_set(o, "kind", dpi_explain_kind(s->kind), good);
  dpi_explain_set(o, "record",
                  json_pack("{s:o, s:s, s:i, s:b}", "source", dpi_explain_text(base_name(s->record->source)), "hash",
                            s->record->hash, "subjects", s->record->nsubject, "own", s->own),
                  good);
  dpi_explain_set(o, "seed", json_integer((json_int_t)s->def.twin.seed), good);
  dpi_explain_set(o, "draws", json_integer(s->def.twin.ndraw), good);
  dpi_explain_set(o, "proposals", json_integer(s->def.twin.nproposal), good);
  dpi_explain_set(o, "discrepancy", json_boolean(with_discrepancy(s)), good);
  dpi_explain_set(o, "levels", dpi_explain_numbers(dp_level, DP_NLEVEL), good);
  dpi_explain_set(o, "observables", dpi_explain_observables(s->kind), good);
  dpi_explain_set(o, "parameters", dpi_explain_parameters(s->kind), good);
  dpi_explain_set(o, "reward", dpi_explain_reward(s->kind), good);
  dpi_explain_set(o, "summary", summary(s), good);
  dpi_explain_set(o, "until", dpi_explain_number(dp_twin_look(s->twin[0])->until), good);
}

static void add_people(json_t *o, const dp_study *s, bool for_page, bool *good) {
  if (!for_page && s->ntwin == 1) { /* one person: the keys of docs/cli stand at the top */
    json_t *person = dpi_explain_person(s, 0, false);
    if (!person || json_object_update(o, person) != 0) *good = false;
    json_decref(person);
    return;
  }
  json_t *people = json_array();
  for (int i = 0; i < s->ntwin; i++) dpi_explain_append(people, dpi_explain_person(s, i, for_page), good);
  dpi_explain_set(o, "patients", people, good);
  if (for_page) dpi_explain_set(o, "untils", dpi_explain_numbers(s->until, s->nuntil), good);
}

static void add_hashes(json_t *o, const dp_study *s, bool *good) {
  json_t *hashes = json_object_get(o, "hashes"); /* one person has brought some */
  if (!hashes) {
    hashes = json_object();
    dpi_explain_set(o, "hashes", hashes, good);
  }
  dpi_explain_set(hashes, "kind", json_string(s->kind->hash), good);
  dpi_explain_set(hashes, "model", json_string(dp_model_hash(s->kind->model)), good);
  dpi_explain_set(hashes, "data", json_string(s->record->hash), good);
  dpi_explain_set(hashes, "study", json_string(s->hash), good);
}

json_t *dpi_explain_document(const dp_study *s, const char *command, bool for_page) {
  json_t *o = json_object();
  bool good = o != NULL;
  add_head(o, s, command, &good);
  add_people(o, s, for_page, &good);
  add_hashes(o, s, &good);
  return finish(o, good);
}

dp_status dp_report_json(const dp_study *s, const char *command, char **text) {
  json_t *o = dpi_explain_document(s, command, false);
  return dpi_explain_dump(s->ctx, o, JSON_REAL_PRECISION(12) | JSON_INDENT(1), text);
}

dp_status dpi_explain_page_data(const dp_study *s, const char *command, char **text) {
  json_t *o = dpi_explain_document(s, command, true);
  return dpi_explain_dump(s->ctx, o, JSON_REAL_PRECISION(5) | JSON_COMPACT, text);
}

void dp_report_free(dp_ctx *ctx, char *text) { dpi_free(ctx, text); }
