/* tune_read.c - floor 8: a tuning's file to a dp_tune. What it has in common with a trial is read by trial_read.c. The
 * keys: docs/tune.md.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kind/kind_find.h"
#include "trial/tune_impl.h"

enum { most_settings = 8, most_values = 200, most_draws = 10000 };

static dp_status wrong(const dpi_yaml_doc *doc, const dpi_yaml *node, const char *what, const char *expected) {
  return dpi_fail(doc->ctx, DP_ERR_INPUT, "%s:%d: %s: found %s%.60s%s, expected %s", doc->source, node->line, what,
                  node->text ? "'" : "", node->text ? node->text : "a list or map", node->text ? "'" : "", expected);
}

/* ---- settings ---- */

static const dpi_kind_covariate *covariate_of(const dp_kind *k, const char *id) {
  for (int i = 0; i < k->ncovariate; i++)
    if (k->covariate[i].sim_param >= 0 && strcmp(k->covariate[i].id, id) == 0) return &k->covariate[i];
  return NULL;
}

/* A setting is a covariate that the model reads, or a number that the policy wants to know of the person. */
static dp_status check_reader(const dp_tune *tune, const dpi_yaml_doc *doc, const dpi_yaml *e) {
  const dp_policy *p = tune->trial->arm[0].policy;
  bool read = covariate_of(tune->trial->kind, e->key) != NULL;
  for (int i = 0; i < p->desc.nperson; i++) read = read || strcmp(p->desc.person[i], e->key) == 0;
  if (read) return DP_OK;
  return dpi_fail(doc->ctx, DP_ERR_INPUT,
                  "%s:%d: settings: nobody reads '%s': it is neither among `person` of %s nor a covariate of the model",
                  doc->source, e->line, e->key, p->desc.source);
}

static dp_status read_values(dp_tune *tune, const dpi_yaml_doc *doc, const dpi_yaml *map, dp_tune_setting *s) {
  const dpi_yaml *times = dpi_yaml_get(map, "times"), *values = dpi_yaml_get(map, "values");
  const dpi_yaml *list = times ? times : values;
  if ((times != NULL) == (values != NULL) || list->type != DPI_YAML_SEQUENCE || list->count < 1)
    return wrong(doc, list ? list : map, s->id,
                 "one of times: [multiples of the present value] and values: [...], not empty");
  if (list->count > most_values) return wrong(doc, list, s->id, "at most 200 of them");
  double *value = DPI_ARENA_ARRAY(&tune->trial->arena, double, list->count);
  if (!value) return DP_ERR_MEMORY;
  s->relative = times != NULL;
  s->value = value;
  for (const dpi_yaml *e = list->first; e; e = e->next) {
    if (!e->text || !dpi_parse_double(e->text, &value[s->n]) || (s->relative && !(value[s->n] > 0)))
      return wrong(doc, e, s->id, s->relative ? "numbers > 0" : "numbers");
    for (int i = 0; i < s->n; i++)
      if (value[i] == value[s->n]) return wrong(doc, e, s->id, "each of them once");
    s->n++;
  }
  return DP_OK;
}

static dp_status read_setting(dp_tune *tune, const dpi_yaml_doc *doc, const dpi_yaml *e, dp_tune_setting *s) {
  static const char *const keys[] = {"times", "values", "name", "unit"};
  const dpi_kind_covariate *v = covariate_of(tune->trial->kind, e->key);
  DP_TRY(dpi_yaml_known(doc, e, "a setting", keys, DPI_COUNT(keys)));
  s->id = e->key;
  s->line = e->line;
  DP_TRY(check_reader(tune, doc, e));
  DP_TRY(dpi_yaml_string(doc, e, "name", v ? v->name : s->id, &s->name));
  DP_TRY(dpi_yaml_string(doc, e, "unit", v ? v->unit : "", &s->unit));
  if (v && dpi_yaml_get(e, "unit") && strcmp(s->unit, v->unit) != 0)
    return wrong(doc, dpi_yaml_get(e, "unit"), "unit", "the unit that covariates.tsv has");
  return read_values(tune, doc, e, s);
}

static dp_status read_settings(dp_tune *tune, const dpi_yaml_doc *doc) {
  const dpi_yaml *map = dpi_yaml_get(doc->root, "settings");
  if (!map || map->type != DPI_YAML_MAP || map->count < 1 || map->count > most_settings)
    return wrong(doc, map ? map : doc->root, "settings", "{name: {times: [...]}}, 1 to 8 of them");
  dp_tune_setting *s = DPI_ARENA_ARRAY(&tune->trial->arena, dp_tune_setting, map->count);
  tune->column = DPI_ARENA_ARRAY(&tune->trial->arena, int, map->count);
  if (!s || !tune->column) return DP_ERR_MEMORY;
  tune->desc.setting = s;
  double n = 1;
  bool present = true; /* is the combination of the present values among them? */
  for (const dpi_yaml *e = map->first; e; e = e->next) {
    const int k = tune->desc.nsetting++;
    bool one = false;
    DP_TRY(read_setting(tune, doc, e, &s[k]));
    tune->column[k] = dpi_cohort_column(&tune->trial->cohort, s[k].id);
    for (int i = 0; i < s[k].n; i++) one = one || (s[k].relative && s[k].value[i] == 1);
    present = present && one;
    n *= s[k].n;
  }
  if (n > DPI_TUNE_CANDIDATES)
    return dpi_fail(doc->ctx, DP_ERR_INPUT, "%s:%d: settings: found %.0f combinations, expected at most %d",
                    doc->source, map->line, n, DPI_TUNE_CANDIDATES);
  tune->desc.ncandidate = (int)n + !present;
  return DP_OK;
}

/* ---- error of the model ---- */

static dp_status read_drift(dp_tune *tune, const dpi_yaml_doc *doc, const dpi_yaml *map) {
  static const char *const keys[] = {"of", "sd", "timescale"};
  dp_trial *t = tune->trial;
  const char *of;
  if (!map) return DP_OK;
  DP_TRY(dpi_yaml_known(doc, map, "a drift", keys, DPI_COUNT(keys)));
  DP_TRY(dpi_yaml_string(doc, map, "of", NULL, &of));
  t->drift.observable = dpi_kind_find_observable(t->kind, of);
  if (t->drift.observable < 0) return wrong(doc, dpi_yaml_get(map, "of"), "of", "an observable of the kind");
  const char *unit = t->kind->observable[t->drift.observable].unit;
  DP_TRY(dpi_policy_yaml_quantity(doc, map, "sd", unit, NAN, &t->drift.sd));
  DP_TRY(dpi_policy_yaml_quantity(doc, map, "timescale", t->kind->time_unit, NAN, &t->drift.timescale));
  if (!(t->drift.sd > 0)) return wrong(doc, dpi_yaml_get(map, "sd"), "sd", "a number > 0");
  if (!(t->drift.timescale > 0)) return wrong(doc, dpi_yaml_get(map, "timescale"), "timescale", "a time > 0");
  if (fabs(t->sampling - t->arm[0].policy->desc.every) > 1e-9 * t->sampling)
    return wrong(doc, map, "drift", "none, or readings as often as the policy decides (sampling)");
  tune->desc.drift_sd = t->drift.sd;
  tune->desc.drift_time = t->drift.timescale;
  return DP_OK;
}

static dp_status read_error(dp_tune *tune, const dpi_yaml_doc *doc) {
  static const char *const keys[] = {"drift", "change"};
  dp_trial *t = tune->trial;
  const dpi_yaml *map = dpi_yaml_get(doc->root, "model_error"), *change;
  if (!map) return DP_OK;
  DP_TRY(dpi_yaml_known(doc, map, "model_error", keys, DPI_COUNT(keys)));
  DP_TRY(read_drift(tune, doc, dpi_yaml_get(map, "drift")));
  DP_TRY(dpi_yaml_number(doc, map, "change", 0, &tune->desc.change));
  change = dpi_yaml_get(map, "change");
  if (change && !(tune->desc.change >= 0 && tune->desc.change <= 2))
    return wrong(doc, change, "change", "a number from 0 to 2");
  tune->rows = t->rows = change != NULL;
  for (int e = 0; e < t->desc.nendpoint; e++)
    if (!t->endpoint[e].readings && !t->endpoint[e].give)
      return dpi_fail(
          doc->ctx, DP_ERR_INPUT,
          "%s:%d: model_error: endpoint '%s' is counted by: path, which has no error of the model: take by: "
          "samples or by: readings",
          doc->source, map->line, t->endpoint[e].pub.id);
  return DP_OK;
}

/* ---- the model ---- */

static dp_status build(const dp_trial *t) {
  dpi_trial_model *m;
  const dp_status status = dpi_trial_model_create(t, 0, 1, &m);
  if (status == DP_OK) dpi_trial_model_destroy(m);
  return status;
}

/* Formulas of sensors are read with the model only: once here, so that a slip is found before a belief is made. */
static dp_status check_model(const dp_tune *tune, const dpi_yaml_doc *doc) {
  const dpi_yaml *sensor = dpi_yaml_get(doc->root, "sensor");
  dp_trial plain = *tune->trial;
  char why[400];
  const bool first = !*dp_ctx_error(doc->ctx);
  const dp_status status = build(tune->trial);
  if (status == DP_OK || status == DP_ERR_MEMORY || !first) return status;
  snprintf(why, sizeof why, "%s", dp_ctx_error(doc->ctx));
  plain.nsensor = 0;
  const bool by_sensor = sensor && build(&plain) == DP_OK; /* without them there is nothing wrong */
  dp_ctx_clear_error(doc->ctx);
  if (by_sensor) return dpi_fail(doc->ctx, status, "%s:%d: sensor: %s", doc->source, sensor->line, why);
  return dpi_fail(doc->ctx, status, "%s: %s", doc->source, why);
}

/* ---- the whole ---- */

static dp_status rest(void *user, dp_trial *t, const dpi_yaml_doc *doc) {
  dp_tune *tune = user;
  dp_tune_desc *d = &tune->desc;
  tune->trial = t;
  DP_TRY(read_settings(tune, doc));
  DP_TRY(read_error(tune, doc));
  DP_TRY(dpi_yaml_int(doc, doc->root, "draws", 60, 10, most_draws, &d->draws));
  DP_TRY(dpi_yaml_int(doc, doc->root, "fresh", 200, 10, most_draws, &d->fresh));
  DP_TRY(dpi_yaml_string(doc, doc->root, "approver", "", &d->approver));
  DP_TRY(dpi_yaml_string(doc, doc->root, "note", "", &d->note));
  d->confidence = t->confidence;
  d->nendpoint = t->desc.nendpoint;
  d->endpoint = t->desc.endpoint;
  DP_TRY(dpi_tune_read_rule(tune, doc));
  return check_model(tune, doc);
}

dp_status dp_tune_read(dp_ctx *ctx, const char *path, const char *const *dirs, int ndir, dp_tune **out) {
  static const char *const keys[] = {"tune",       "question", "kind",       "policy",      "horizon",  "run_in",
                                     "inputs",     "sensor",   "sampling",   "endpoints",   "method",   "step",
                                     "rtol",       "atol",     "settings",   "model_error", "draws",    "fresh",
                                     "confidence", "limits",   "conditions", "reward",      "approver", "note"};
  *out = NULL;
  dp_tune *tune = DPI_NEW(ctx, dp_tune);
  if (!tune) return DP_ERR_MEMORY;
  tune->ctx = ctx;
  const dpi_trial_form form = {
      .title = "tune", .what = "a tuning", .key = keys, .nkey = DPI_COUNT(keys), .rest = rest, .user = tune};
  dp_trial *t = NULL;
  const dp_status status = dpi_trial_read_form(ctx, path, dirs, ndir, &form, &t);
  tune->trial = t; /* NULL after a failure, when it is gone already */
  if (status != DP_OK) {
    dp_tune_destroy(tune);
    return status;
  }
  dp_tune_desc *d = &tune->desc;
  d->title = t->desc.title;
  d->question = t->desc.question;
  d->source = t->desc.source;
  d->time_unit = t->desc.time_unit;
  d->kind = t->kind;
  d->kind_folder = t->kind_dir;
  d->horizon = t->desc.horizon;
  d->run_in = t->desc.run_in;
  memcpy(d->hash, t->desc.hash, sizeof d->hash);
  *out = tune;
  return DP_OK;
}

void dp_tune_destroy(dp_tune *tune) {
  if (!tune) return;
  dpi_tune_formula_destroy(tune->reward);
  dp_trial_destroy(tune->trial);
  dpi_free(tune->ctx, tune);
}

const dp_tune_desc *dp_tune_describe(const dp_tune *tune) { return &tune->desc; }
