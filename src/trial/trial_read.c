/* trial_read.c - floor 8: trial.yaml to a dp_trial, complete and checked, or not at all. The keys: docs/trial.md. What
 * a tuning has in common with it (a form) is read here too. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kind/kind_find.h"
#include "num/num.h"
#include "trial/trial_impl.h"

enum {
  most_arms = 16,
  most_endpoints = 64,
  most_meals = 1000,
  most_also = 16,
  most_evidence = 50,
  most_sensor = 16,
  most_inputs = 50000
};

typedef struct reader {
  dp_trial *t;
  dpi_yaml_doc doc;
  const char *const *dirs;
  int ndir;
  const dpi_trial_form *form; /* NULL: a trial */
} reader;

static dp_status wrong(const dpi_yaml_doc *doc, const dpi_yaml *node, const char *what, const char *expected) {
  return dpi_fail(doc->ctx, DP_ERR_INPUT, "%s:%d: %s: found %s%.60s%s, expected %s", doc->source, node->line, what,
                  node->text ? "'" : "", node->text ? node->text : "a list or map", node->text ? "'" : "", expected);
}

/* Something about the file as a whole, or that is not there: at the node, if there is one, else at the file's begin. */
static dp_status demand(const reader *r, const dpi_yaml *node, const char *what, const char *expected) {
  return dpi_fail(r->doc.ctx, DP_ERR_INPUT, "%s:%d: %s: expected %s", r->doc.source,
                  node ? node->line : r->doc.root->line, what, expected);
}

static dp_status entry(const dpi_yaml_doc *doc, const dpi_yaml *map, const char *key, dpi_yaml_type type,
                       const char *expected, const dpi_yaml **out) {
  *out = dpi_yaml_get(map, key);
  if (*out && (*out)->type != type) return wrong(doc, *out, key, expected);
  return DP_OK;
}

/* A covariate that is drawn for nobody to read is a slip of its name. */
static dp_status check_read(const reader *r, const dpi_yaml *cohort) {
  const dp_trial *t = r->t;
  const dpi_yaml *map = dpi_yaml_get(cohort, "covariates"), *match = dpi_yaml_get(cohort, "match");
  for (const dpi_yaml *e = map ? map->first : NULL; e; e = e->next) {
    bool used = dp_sim_param(t->kind->sim, e->key) >= 0 || (match && dpi_yaml_get(match, e->key));
    for (int i = 0; i < t->kind->ncovariate; i++) used = used || strcmp(t->kind->covariate[i].id, e->key) == 0;
    for (int a = 0; a < t->desc.narm; a++) {
      const dp_policy *p = t->arm[a].policy;
      for (int i = 0; i < p->desc.nperson; i++) used = used || strcmp(p->desc.person[i], e->key) == 0;
    }
    if (!used)
      return dpi_fail(t->ctx, DP_ERR_INPUT,
                      "%s:%d: covariates: nobody reads '%s': neither a covariate of the kind nor a policy's number",
                      r->doc.source, e->line, e->key);
  }
  return DP_OK;
}

/* A share in [0, 1), as number or percent. */
static dp_status share(const dpi_yaml_doc *doc, const dpi_yaml *map, const char *key, double fallback, double *out) {
  DP_TRY(dpi_policy_yaml_quantity(doc, map, key, "1", fallback, out));
  return *out >= 0 && *out < 1 ? DP_OK : wrong(doc, dpi_yaml_get(map, key), key, "a share from 0 to below 1");
}

static dp_status duration(const reader *r, const dpi_yaml *map, const char *key, double fallback, double low,
                          double *out) {
  DP_TRY(dpi_policy_yaml_quantity(&r->doc, map, key, r->t->kind->time_unit, fallback, out));
  if (!dpi_yaml_get(map, key) || (*out >= low && *out <= 4e9)) return DP_OK;
  return wrong(&r->doc, dpi_yaml_get(map, key), key, "a longer time, or one up to 4e9 units");
}

/* One item of a list, as a quantity. */
static dp_status item(const dpi_yaml_doc *doc, const dpi_yaml *node, const char *unit, double molar_mass, double *out) {
  char where[400];
  if (!node || node->type != DPI_YAML_SCALAR)
    return dpi_fail(doc->ctx, DP_ERR_INPUT, "%s:%d: expected a number, or a number and a unit", doc->source,
                    node ? node->line : 0);
  snprintf(where, sizeof where, "%s:%d", doc->source, node->line);
  return dpi_policy_quantity(doc->ctx, where, node->text, unit, molar_mass, out);
}

/* ---- kind ---- */

/* The kind of that id; where there is none the message names the line that asks for it. */
static dp_status find_kind(const reader *r, const char *name, char *path, size_t size) {
  dp_ctx *ctx = r->t->ctx;
  const bool clean = !*dp_ctx_error(ctx);
  const dp_status status = dp_kind_find(ctx, name, r->dirs, r->ndir, path, size);
  if (status != DP_ERR_INPUT || !clean) return status;
  char why[300];
  snprintf(why, sizeof why, "%s", dp_ctx_error(ctx));
  dp_ctx_clear_error(ctx);
  return dpi_fail(ctx, status, "%s:%d: kind: %s", r->doc.source, dpi_yaml_get(r->doc.root, "kind")->line, why);
}

static dp_status read_kind(reader *r) {
  dp_trial *t = r->t;
  const char *name;
  char path[1024];
  DP_TRY(dpi_yaml_string(&r->doc, r->doc.root, "kind", NULL, &name));
  const char *beside = dpi_policy_path(&t->arena, t->folder, name);
  if (!beside) return DP_ERR_MEMORY;
  const char *file = dpi_arena_printf(&t->arena, "%s/twin.yaml", beside);
  if (!file) return DP_ERR_MEMORY;
  if (strchr(name, '/') || name[0] == '.' || dpi_file_exists(file))
    snprintf(path, sizeof path, "%s", beside);
  else
    DP_TRY(find_kind(r, name, path, sizeof path));
  t->kind_dir = dpi_arena_strdup(&t->arena, path);
  if (!t->kind_dir) return DP_ERR_MEMORY;
  DP_TRY(dp_kind_load(t->ctx, path, &t->kind));
  t->desc.kind = t->kind;
  t->desc.time_unit = t->kind->time_unit;
  return DP_OK;
}

/* ---- inputs ---- */

static dp_status read_scenario(const reader *r, const dpi_yaml *list, const dpi_kind_control *c, dpi_trial_input *in) {
  if (!list || list->type != DPI_YAML_SEQUENCE || list->count < 1 || list->count > most_meals)
    return demand(r, list, "scenario", "1 to 1000 of [time, amount]");
  in->time = DPI_ARENA_ARRAY(&r->t->arena, double, list->count);
  in->amount = DPI_ARENA_ARRAY(&r->t->arena, double, list->count);
  if (!in->time || !in->amount) return DP_ERR_MEMORY;
  for (const dpi_yaml *e = list->first; e; e = e->next) {
    if (e->type != DPI_YAML_SEQUENCE || e->count != 2) return wrong(&r->doc, e, "scenario", "[time, amount]");
    const int k = in->n++;
    DP_TRY(item(&r->doc, e->first, r->t->kind->time_unit, 0, &in->time[k]));
    DP_TRY(item(&r->doc, e->first->next, c->unit, c->molar_mass, &in->amount[k]));
    if (!(in->time[k] >= 0 && in->time[k] < 4e9) || !(in->amount[k] > 0 && in->amount[k] <= c->upper))
      return wrong(&r->doc, e, "scenario", "a time >= 0 and an amount > 0 within the control's bounds");
  }
  return DP_OK;
}

static dp_status read_rate(const reader *r, const dpi_yaml *map, const dpi_kind_control *c, double *out) {
  const dpi_yaml *n = dpi_yaml_get(map, "rate");
  char unit[128];
  *out = 0;
  if (!n) return DP_OK;
  snprintf(unit, sizeof unit, "%s/%s", c->unit, r->t->kind->time_unit);
  DP_TRY(item(&r->doc, n, unit, c->molar_mass, out));
  return *out > 0 ? DP_OK : wrong(&r->doc, n, "rate", "a rate > 0");
}

/* also: [control, ...]: what is given with it, the same amount at the same time (a meal in two parts). */
static dp_status read_also(const reader *r, const dpi_yaml *map, dpi_trial_input *in) {
  const dpi_yaml *list;
  const dp_kind *k = r->t->kind;
  DP_TRY(entry(&r->doc, map, "also", DPI_YAML_SEQUENCE, "[control, ...]", &list));
  if (!list) return DP_OK;
  if (list->count > most_also) return wrong(&r->doc, list, "also", "at most 16 controls");
  in->also = DPI_ARENA_ARRAY(&r->t->arena, int, list->count + 1);
  if (!in->also) return DP_ERR_MEMORY;
  for (const dpi_yaml *e = list->first; e; e = e->next) {
    const int c = e->text ? dpi_kind_find_control(k, e->text) : -1;
    bool again = c == in->control;
    for (int i = 0; i < in->nalso; i++) again = again || in->also[i] == c;
    if (c < 0 || again) return wrong(&r->doc, e, "also", "another control of the kind");
    const dpi_kind_control *own = &k->control[in->control], *other = &k->control[c];
    if (strcmp(other->unit, own->unit) != 0 || other->upper < own->upper)
      return wrong(&r->doc, e, "also", "a control with the unit, and at least the bound, of the input's own");
    in->also[in->nalso++] = c;
  }
  return DP_OK;
}

static dp_status read_input(const reader *r, const dpi_yaml *map, dpi_trial_input *in) {
  static const char *const keys[] = {"scenario", "every", "rate", "variation", "skip", "also"};
  static const char *const varied[] = {"time", "amount"};
  const dp_kind *k = r->t->kind;
  DP_TRY(dpi_yaml_known(&r->doc, map, "an input", keys, DPI_COUNT(keys)));
  in->control = dpi_kind_find_control(k, map->key);
  if (in->control < 0)
    return dpi_fail(r->t->ctx, DP_ERR_INPUT, "%s:%d: inputs: the kind has no control '%s'", r->doc.source, map->line,
                    map->key);
  const dpi_kind_control *c = &k->control[in->control];
  DP_TRY(read_also(r, map, in));
  bool whole = c->with < 0;
  for (int i = 0; i < in->nalso; i++) whole = whole || in->also[i] == c->with;
  if (!whole)
    return dpi_fail(r->t->ctx, DP_ERR_INPUT, "%s:%d: inputs: '%s' alone, expected also: [%s], which belongs with it",
                    r->doc.source, map->line, map->key, k->control[c->with].id);
  DP_TRY(read_scenario(r, dpi_yaml_get(map, "scenario"), c, in));
  DP_TRY(duration(r, map, "every", 0, 1e-6, &in->every));
  DP_TRY(read_rate(r, map, c, &in->rate));
  DP_TRY(share(&r->doc, map, "skip", 0, &in->skip));
  const dpi_yaml *v;
  DP_TRY(entry(&r->doc, map, "variation", DPI_YAML_MAP, "{time: ..., amount: ...}", &v));
  if (!v) return DP_OK;
  DP_TRY(dpi_yaml_known(&r->doc, v, "variation", varied, 2));
  DP_TRY(duration(r, v, "time", 0, 0, &in->sd_time));
  return share(&r->doc, v, "amount", 0, &in->sd_amount);
}

static dp_status read_inputs(reader *r) {
  dp_trial *t = r->t;
  const dpi_yaml *map;
  DP_TRY(entry(&r->doc, r->doc.root, "inputs", DPI_YAML_MAP, "{control: {...}}", &map));
  t->input = DPI_ARENA_ARRAY(&t->arena, dpi_trial_input, (map ? map->count : 0) + 1);
  if (!t->input) return DP_ERR_MEMORY;
  for (const dpi_yaml *e = map ? map->first : NULL; e; e = e->next) DP_TRY(read_input(r, e, &t->input[t->ninput++]));
  return DP_OK;
}

/* ---- arms and design ---- */

/* What a policy is told of must be an input of the trial, what it wants to know of a person a column or a parameter. */
static dp_status check_arm(const reader *r, const dpi_yaml *e, const dp_policy *p) {
  const dp_trial *t = r->t;
  for (int i = 0; i < p->desc.nannounce; i++) {
    bool have = false;
    for (int k = 0; k < t->ninput; k++)
      have = have || strcmp(t->kind->control[t->input[k].control].id, p->desc.announce_of[i]) == 0;
    if (!have)
      return dpi_fail(t->ctx, DP_ERR_INPUT, "%s:%d: %s: %s is told of '%s', which is no input of the trial",
                      r->doc.source, e->line, r->form ? "policy" : "arms", p->desc.source, p->desc.announce_of[i]);
  }
  for (int i = 0; i < p->desc.nperson; i++) {
    bool have = dp_sim_param(t->kind->sim, p->desc.person[i]) >= 0;
    for (int k = 0; k < t->cohort.ncolumn; k++) have = have || strcmp(t->cohort.column[k], p->desc.person[i]) == 0;
    if (!have)
      return dpi_fail(t->ctx, DP_ERR_INPUT,
                      "%s:%d: arms: %s wants the person's '%s', which neither cohort nor model has", r->doc.source,
                      e->line, p->desc.source, p->desc.person[i]);
  }
  return DP_OK;
}

/* The next arm: `file` is named at node. */
static dp_status take_arm(reader *r, const dpi_yaml *node, const char *name, const char *file) {
  dp_trial *t = r->t;
  dpi_trial_arm_def *a = &t->arm[t->desc.narm];
  a->name = name;
  a->path = dpi_policy_path(&t->arena, t->folder, file);
  if (!a->path) return DP_ERR_MEMORY;
  t->arm_name[t->desc.narm++] = a->name;
  DP_TRY(dp_policy_read(t->kind, a->path, &a->policy));
  if (r->form) DP_TRY(dpi_cohort_add(t, a->policy));
  return check_arm(r, node, a->policy);
}

static dp_status make_arms(reader *r, int n) {
  dp_trial *t = r->t;
  t->arm = DPI_ARENA_ARRAY(&t->arena, dpi_trial_arm_def, n);
  t->arm_name = DPI_ARENA_ARRAY(&t->arena, const char *, n);
  t->desc.arm = t->arm_name;
  return t->arm && t->arm_name ? DP_OK : DP_ERR_MEMORY;
}

static dp_status read_arms(reader *r) {
  static const char *const keys[] = {"name", "policy"};
  dp_trial *t = r->t;
  const dpi_yaml *list;
  DP_TRY(entry(&r->doc, r->doc.root, "arms", DPI_YAML_SEQUENCE, "a list of arms", &list));
  if (!list || list->count < 1 || list->count > most_arms) return demand(r, list, "arms", "a list of 1 to 16 arms");
  DP_TRY(make_arms(r, list->count));
  for (const dpi_yaml *e = list->first; e; e = e->next) {
    const char *name, *file;
    DP_TRY(dpi_yaml_known(&r->doc, e, "an arm", keys, DPI_COUNT(keys)));
    DP_TRY(dpi_yaml_string(&r->doc, e, "name", NULL, &name));
    DP_TRY(dpi_yaml_string(&r->doc, e, "policy", NULL, &file));
    if (!*name) return demand(r, e, "arms", "a name for each of them");
    for (int i = 0; i < t->desc.narm; i++)
      if (strcmp(t->arm[i].name, name) == 0) return wrong(&r->doc, e, "arms", "a name of its own for each arm");
    DP_TRY(take_arm(r, e, name, file));
  }
  return DP_OK;
}

/* A form's only arm: a rule that a law can be. */
static dp_status read_policy(reader *r) {
  dp_trial *t = r->t;
  const dpi_yaml *n = dpi_yaml_get(r->doc.root, "policy");
  const char *file;
  DP_TRY(dpi_yaml_string(&r->doc, r->doc.root, "policy", NULL, &file));
  DP_TRY(make_arms(r, 1));
  DP_TRY(take_arm(r, n, "rule", file));
  if (t->arm[0].policy->desc.kind != DP_POLICY_RULE) return wrong(&r->doc, n, "policy", "a policy of kind rule");
  if (!dpi_trial_outside(t, 0)) return DP_OK;
  return dpi_fail(t->ctx, DP_ERR_UNSUPPORTED,
                  "%s:%d: policy: %s gives infusions, or doses after a lag that is no number: such a rule is not tuned",
                  r->doc.source, n->line, t->arm[0].policy->desc.source);
}

static dp_status read_crossover(reader *r, const dpi_yaml *map) {
  static const char *const keys[] = {"washout", "during"};
  dp_trial *t = r->t;
  const char *during;
  t->desc.design = DP_TRIAL_CROSSOVER;
  DP_TRY(dpi_yaml_known(&r->doc, map, "crossover", keys, 2));
  DP_TRY(duration(r, map, "washout", 0, 0, &t->desc.washout));
  DP_TRY(dpi_yaml_string(&r->doc, map, "during", "nothing", &during));
  t->washout_next = strcmp(during, "next") == 0;
  if (!t->washout_next && strcmp(during, "nothing") != 0)
    return wrong(&r->doc, dpi_yaml_get(map, "during"), "during",
                 "nothing, or next (the next arm's policy acts already)");
  return DP_OK;
}

static dp_status read_design(reader *r) {
  static const char *const keys[] = {"blocks", "strata"};
  dp_trial *t = r->t;
  const dpi_yaml *cross, *random;
  bool paired;
  DP_TRY(entry(&r->doc, r->doc.root, "crossover", DPI_YAML_MAP, "{washout: ...}", &cross));
  DP_TRY(entry(&r->doc, r->doc.root, "randomisation", DPI_YAML_MAP, "{blocks: ...}", &random));
  DP_TRY(dpi_yaml_bool(&r->doc, r->doc.root, "paired", false, &paired));
  if ((cross != NULL) + (random != NULL) + paired > 1)
    return demand(r, cross ? cross : random, "design", "one of randomisation, crossover, paired");
  t->block = t->nstratum = 1;
  t->desc.design = paired ? DP_TRIAL_PAIRED : DP_TRIAL_PARALLEL;
  if (cross) return read_crossover(r, cross);
  if (!random) return DP_OK;
  int size;
  DP_TRY(dpi_yaml_known(&r->doc, random, "randomisation", keys, 2));
  DP_TRY(dpi_trial_read_strata(t, &r->doc, dpi_yaml_get(random, "strata")));
  DP_TRY(dpi_yaml_int(&r->doc, random, "blocks", 2 * t->desc.narm, 1, 1024, &size));
  if (size % t->desc.narm)
    return wrong(&r->doc, dpi_yaml_get(random, "blocks"), "blocks", "a multiple of the number of arms");
  t->block = size / t->desc.narm;
  return DP_OK;
}

static dp_status read_loss(reader *r) {
  static const char *const keys[] = {"probability", "per", "analysis"};
  dp_trial *t = r->t;
  DP_TRY(share(&r->doc, r->doc.root, "missing", 0, &t->missing));
  const dpi_yaml *n = dpi_yaml_get(r->doc.root, "dropout");
  t->dropout_per = dpi_trial_length(t);
  if (!n) return DP_OK;
  if (n->type == DPI_YAML_SCALAR) return share(&r->doc, r->doc.root, "dropout", 0, &t->dropout);
  const char *analysis;
  DP_TRY(dpi_yaml_known(&r->doc, n, "dropout", keys, DPI_COUNT(keys)));
  DP_TRY(share(&r->doc, n, "probability", NAN, &t->dropout));
  DP_TRY(duration(r, n, "per", t->dropout_per, 1e-6, &t->dropout_per));
  DP_TRY(dpi_yaml_string(&r->doc, n, "analysis", "until", &analysis));
  t->dropout_analysis = strcmp(analysis, "exclude") == 0 ? DPI_DROPOUT_EXCLUDE : DPI_DROPOUT_UNTIL;
  if (t->dropout_analysis == DPI_DROPOUT_UNTIL && strcmp(analysis, "until") != 0)
    return wrong(&r->doc, dpi_yaml_get(n, "analysis"), "analysis",
                 "until (what was seen until then counts) or exclude");
  return DP_OK;
}

/* ---- sensors ---- */

static dp_status names_of(const reader *r, const dpi_yaml *list, const char ***out, int *n) {
  *out = DPI_ARENA_ARRAY(&r->t->arena, const char *, (list ? list->count : 0) + 1);
  if (!*out) return DP_ERR_MEMORY;
  for (const dpi_yaml *e = list ? list->first : NULL; e; e = e->next) {
    if (!e->text || !dpi_policy_name(e->text) || *n >= most_sensor)
      return wrong(&r->doc, e, "noise", "at most 16 names");
    for (int i = 0; i < *n; i++)
      if (strcmp((*out)[i], e->text) == 0) return wrong(&r->doc, e, "noise", "each name once");
    (*out)[(*n)++] = e->text;
  }
  return DP_OK;
}

static dp_status read_sensor_state(const reader *r, const dpi_yaml *map, dpi_trial_sensor *s) {
  const dpi_yaml *state, *next;
  DP_TRY(entry(&r->doc, map, "state", DPI_YAML_MAP, "{name: number}", &state));
  DP_TRY(entry(&r->doc, map, "next", DPI_YAML_MAP, "{name: formula}", &next));
  s->state = DPI_ARENA_ARRAY(&r->t->arena, const char *, most_sensor);
  s->start = DPI_ARENA_ARRAY(&r->t->arena, double, most_sensor);
  s->next = DPI_ARENA_ARRAY(&r->t->arena, dpi_policy_formula, most_sensor);
  if (!s->state || !s->start || !s->next) return DP_ERR_MEMORY;
  for (const dpi_yaml *e = state ? state->first : NULL; e; e = e->next) {
    if (s->nstate >= most_sensor || !dpi_policy_name(e->key)) return wrong(&r->doc, e, "state", "at most 16 names");
    for (int i = 0; i < s->nnoise; i++)
      if (strcmp(s->noise[i], e->key) == 0 || strcmp(s->value.id, e->key) == 0)
        return wrong(&r->doc, e, "state", "another name than that of a noise or of what is read");
    DP_TRY(item(&r->doc, e, "1", 0, &s->start[s->nstate]));
    s->state[s->nstate++] = e->key;
  }
  for (const dpi_yaml *e = next ? next->first : NULL; e; e = e->next) {
    int k = 0;
    while (k < s->nstate && strcmp(s->state[k], e->key) != 0) k++;
    if (k == s->nstate || !e->text) return wrong(&r->doc, e, "next", "a formula for a name of `state`");
    s->next[k] = (dpi_policy_formula){e->key, e->text, e->line};
  }
  return DP_OK;
}

static dp_status read_sensor(const reader *r, const dpi_yaml *map, dpi_trial_sensor *s) {
  static const char *const keys[] = {"noise", "state", "next", "value", "range"};
  const dpi_yaml *list;
  DP_TRY(dpi_yaml_known(&r->doc, map, "a sensor", keys, DPI_COUNT(keys)));
  s->observable = dpi_kind_find_observable(r->t->kind, map->key);
  if (s->observable < 0) return wrong(&r->doc, map, map->key, "an observable of the kind as the name of a sensor");
  DP_TRY(entry(&r->doc, map, "noise", DPI_YAML_SEQUENCE, "[name, ...]", &list));
  DP_TRY(names_of(r, list, &s->noise, &s->nnoise));
  for (int i = 0; i < s->nnoise; i++)
    if (strcmp(s->noise[i], map->key) == 0) return wrong(&r->doc, list, "noise", "other names than what is read");
  s->value.id = map->key;
  DP_TRY(read_sensor_state(r, map, s));
  DP_TRY(dpi_yaml_string(&r->doc, map, "value", NULL, &s->value.text));
  s->low = -INFINITY;
  s->high = INFINITY;
  DP_TRY(entry(&r->doc, map, "range", DPI_YAML_SEQUENCE, "[low, high]", &list));
  if (!list) return DP_OK;
  const dpi_kind_observable *o = &r->t->kind->observable[s->observable];
  if (list->count != 2) return wrong(&r->doc, list, "range", "[low, high]");
  DP_TRY(item(&r->doc, list->first, o->unit, o->molar_mass, &s->low));
  DP_TRY(item(&r->doc, list->first->next, o->unit, o->molar_mass, &s->high));
  return s->low < s->high ? DP_OK : wrong(&r->doc, list, "range", "low < high");
}

static dp_status read_sensors(reader *r) {
  dp_trial *t = r->t;
  const dpi_yaml *map;
  DP_TRY(entry(&r->doc, r->doc.root, "sensor", DPI_YAML_MAP, "{observable: {...}}", &map));
  t->sensor = DPI_ARENA_ARRAY(&t->arena, dpi_trial_sensor, (map ? map->count : 0) + 1);
  if (!t->sensor) return DP_ERR_MEMORY;
  for (const dpi_yaml *e = map ? map->first : NULL; e; e = e->next) DP_TRY(read_sensor(r, e, &t->sensor[t->nsensor++]));
  return DP_OK;
}

/* ---- endpoints ---- */

static const struct metric {
  const char *word;
  int nlevel;
  bool readings, path;
  const char *unit; /* NULL: of the quantity */
} metrics[] = {[DPI_METRIC_BETWEEN] = {"time_between", 2, true, true, "%"},
               [DPI_METRIC_BELOW] = {"time_below", 1, true, true, "%"},
               [DPI_METRIC_ABOVE] = {"time_above", 1, true, true, "%"},
               [DPI_METRIC_MEAN] = {"mean", 0, true, true, NULL},
               [DPI_METRIC_SD] = {"sd", 0, true, false, NULL},
               [DPI_METRIC_CV] = {"cv", 0, true, false, "%"},
               [DPI_METRIC_MAXIMUM] = {"maximum", 0, true, true, NULL},
               [DPI_METRIC_MINIMUM] = {"minimum", 0, true, true, NULL},
               [DPI_METRIC_INTEGRAL] = {"integral", 0, false, true, ""},
               [DPI_METRIC_FINAL] = {"final", 0, false, true, NULL},
               [DPI_METRIC_FIRST_ABOVE] = {"first_above", 1, false, true, ""},
               [DPI_METRIC_FIRST_BELOW] = {"first_below", 1, false, true, ""},
               [DPI_METRIC_GMI] = {"gmi", 0, true, false, "%"},
               [DPI_METRIC_LBGI] = {"lbgi", 0, true, false, "1"},
               [DPI_METRIC_HBGI] = {"hbgi", 0, true, false, "1"},
               [DPI_METRIC_TOTAL] = {"total", 0, false, true, ""}};

static const char *quantity_unit(const dp_kind *k, const dpi_endpoint *e) {
  return e->observable >= 0 ? k->observable[e->observable].unit
         : e->quantity >= 0 ? k->quantity[e->quantity].unit
                            : "1";
}

static double molar_mass(const dp_kind *k, const dpi_endpoint *e) {
  return e->observable >= 0 ? k->observable[e->observable].molar_mass : 0;
}

/* A level in `unit`, or its own, as the quantity's. */
static dp_status level(const reader *r, const dpi_yaml *map, const dpi_yaml *node, const dpi_endpoint *e,
                       const char *unit, double *out) {
  const dp_kind *k = r->t->kind;
  DP_TRY(item(&r->doc, node, *unit ? unit : quantity_unit(k, e), molar_mass(k, e), out));
  if (!*unit) return DP_OK;
  const dp_status status = dp_unit_convert(r->t->ctx, *out, unit, quantity_unit(k, e), molar_mass(k, e), out);
  if (status == DP_OK) return DP_OK;
  dp_ctx_clear_error(r->t->ctx); /* said again with its place */
  return wrong(&r->doc, dpi_yaml_get(map, "unit"), "unit", "a unit that the quantity's converts to");
}

static dp_status read_levels(const reader *r, const dpi_yaml *map, const struct metric *m, dpi_endpoint *e) {
  const dpi_yaml *range = dpi_yaml_get(map, "range"), *one = dpi_yaml_get(map, "level");
  const char *unit;
  DP_TRY(dpi_yaml_string(&r->doc, map, "unit", "", &unit));
  if ((range != NULL) != (m->nlevel == 2))
    return wrong(&r->doc, range ? range : map, "range", "it with time_between, and there alone");
  if ((one != NULL) != (m->nlevel == 1))
    return wrong(&r->doc, one ? one : map, "level", "it where one level is meant, and there alone");
  if (one) return level(r, map, one, e, unit, &e->level);
  if (!range) return DP_OK;
  if (range->type != DPI_YAML_SEQUENCE || range->count != 2) return wrong(&r->doc, range, "range", "[low, high]");
  DP_TRY(level(r, map, range->first, e, unit, &e->level));
  DP_TRY(level(r, map, range->first->next, e, unit, &e->level2));
  return e->level < e->level2 ? DP_OK : wrong(&r->doc, range, "range", "low < high");
}

/* "> 4", "<= 4": of the endpoint's own unit. */
static dp_status read_event(const reader *r, const dpi_yaml *map, dpi_endpoint *e) {
  const char *text;
  DP_TRY(dpi_yaml_string(&r->doc, map, "event", "", &text));
  if (!*text) return DP_OK;
  const dpi_yaml *n = dpi_yaml_get(map, "event");
  if (*text != '<' && *text != '>') return wrong(&r->doc, n, "event", "<, <=, > or >= and a number");
  e->relation = *text == '<' ? -1 : 1;
  e->at_bound = text[1] == '=';
  char where[400];
  snprintf(where, sizeof where, "%s:%d: event", r->doc.source, n->line);
  text += 1 + e->at_bound;
  DP_TRY(dpi_policy_quantity(r->t->ctx, where, text, e->pub.unit, molar_mass(r->t->kind, e), &e->bound));
  e->pub.proportion = 1;
  e->pub.unit = "%";
  return DP_OK;
}

static dp_status read_of(const reader *r, const dpi_yaml *map, dpi_endpoint *e) {
  const char *of, *by;
  DP_TRY(dpi_yaml_string(&r->doc, map, "of", NULL, &of));
  const dpi_yaml *n = dpi_yaml_get(map, "of");
  e->observable = dpi_kind_find_observable(r->t->kind, of);
  e->quantity = dpi_kind_find_quantity(r->t->kind, of);
  if (strncmp(of, "given ", 6) == 0)
    e->give = of + 6;
  else if (e->observable < 0 && e->quantity < 0)
    return wrong(&r->doc, n, "of", "an observable or a quantity of the kind, or `given NAME`");
  for (int a = 0; e->give && a < r->t->desc.narm; a++) {
    const dp_policy *p = r->t->arm[a].policy;
    bool have = p->plan != NULL;
    for (int i = 0; i < p->desc.ngive; i++) have = have || strcmp(p->desc.give[i], e->give) == 0;
    if (!have) return wrong(&r->doc, n, "of", "what all arms give");
  }
  DP_TRY(dpi_yaml_string(&r->doc, map, "by", "path", &by));
  e->samples = strcmp(by, "samples") == 0;
  e->readings = e->samples || strcmp(by, "readings") == 0;
  if (!e->readings && strcmp(by, "path") != 0)
    return wrong(&r->doc, dpi_yaml_get(map, "by"), "by", "path, readings or samples");
  if (e->samples && e->give) return wrong(&r->doc, n, "of", "an observable or a quantity, where samples are counted");
  if (e->readings && !e->samples && e->observable < 0)
    return wrong(&r->doc, n, "of", "an observable, where readings are counted");
  if (!e->readings && e->quantity >= 0) e->observable = -1;
  return DP_OK;
}

static dp_status read_endpoint(reader *r, const dpi_yaml *map, dpi_endpoint *e) {
  static const char *const keys[] = {"id", "name", "of", "by", "metric", "range", "level", "unit", "as", "event"};
  dp_trial *t = r->t;
  const char *word, *as;
  DP_TRY(dpi_yaml_known(&r->doc, map, "an endpoint", keys, DPI_COUNT(keys)));
  DP_TRY(dpi_yaml_string(&r->doc, map, "id", NULL, &e->pub.id));
  if (!dpi_policy_name(e->pub.id)) return wrong(&r->doc, dpi_yaml_get(map, "id"), "id", "letters, digits and _");
  for (const dpi_endpoint *o = t->endpoint; o < e; o++)
    if (strcmp(o->pub.id, e->pub.id) == 0) return wrong(&r->doc, dpi_yaml_get(map, "id"), "id", "an id of its own");
  DP_TRY(dpi_yaml_string(&r->doc, map, "name", e->pub.id, &e->pub.name));
  DP_TRY(read_of(r, map, e));
  DP_TRY(dpi_yaml_string(&r->doc, map, "metric", e->give ? "total" : NULL, &word));
  int m = 0;
  while (m < DPI_COUNT(metrics) && strcmp(metrics[m].word, word) != 0) m++;
  const dpi_yaml *n = dpi_yaml_get(map, "metric");
  if (m == DPI_COUNT(metrics) || (m == DPI_METRIC_TOTAL) != (e->give != NULL))
    return wrong(&r->doc, n ? n : map, "metric", "a metric that docs/trial.md names (total: of what is given)");
  if (e->readings ? !metrics[m].readings : !metrics[m].path)
    return wrong(&r->doc, n, "metric",
                 e->readings ? "one that readings have: by: path has this one"
                             : "one that a path has: by: readings has this one");
  e->metric = (dpi_metric)m;
  const bool glucose = m == DPI_METRIC_GMI || m == DPI_METRIC_LBGI || m == DPI_METRIC_HBGI;
  if (glucose && strcmp(quantity_unit(t->kind, e), "mg/dL") != 0)
    return wrong(&r->doc, n, "metric", "an observable in mg/dL for this one");
  DP_TRY(read_levels(r, map, &metrics[m], e));
  DP_TRY(dpi_yaml_string(&r->doc, map, "as", "percent", &as));
  e->percent = strcmp(as, "time") != 0;
  if (e->percent && strcmp(as, "percent") != 0) return wrong(&r->doc, dpi_yaml_get(map, "as"), "as", "percent or time");
  const char *unit = metrics[m].unit;
  e->pub.unit = !unit ? quantity_unit(t->kind, e) : *unit ? unit : t->kind->time_unit;
  if (m <= DPI_METRIC_ABOVE && !e->percent) e->pub.unit = t->kind->time_unit;
  if (m == DPI_METRIC_INTEGRAL)
    e->pub.unit = dpi_arena_printf(&t->arena, "%s.%s", quantity_unit(t->kind, e), t->kind->time_unit);
  if (m == DPI_METRIC_TOTAL) {
    double low, high;
    int control;
    dpi_trial_bounds(t->kind, e->give, &low, &high, &control);
    e->pub.unit = control >= 0 ? t->kind->control[control].unit : "1";
  }
  if (!e->pub.unit) return DP_ERR_MEMORY;
  return read_event(r, map, e);
}

/* Steps of equal length see the path at their ends alone. */
static dp_status check_fixed(const reader *r, const dpi_yaml *map, const dpi_endpoint *e) {
  const dpi_yaml *method = dpi_yaml_get(r->doc.root, "method");
  if (!method || !method->text || strcmp(method->text, "fixed") != 0) return DP_OK;
  if (e->readings || e->give || e->metric == DPI_METRIC_FINAL) return DP_OK;
  return dpi_fail(r->t->ctx, DP_ERR_UNSUPPORTED,
                  "%s:%d: endpoint '%s': method fixed offers no endpoints by path but final; take by: readings, or "
                  "another method",
                  r->doc.source, map->line, e->pub.id);
}

static dp_status read_endpoints(reader *r) {
  dp_trial *t = r->t;
  const dpi_yaml *list;
  DP_TRY(entry(&r->doc, r->doc.root, "endpoints", DPI_YAML_SEQUENCE, "a list of endpoints", &list));
  if (!list || list->count < 1 || list->count > most_endpoints)
    return demand(r, list, "endpoints", "a list of 1 to 64 endpoints");
  t->endpoint = DPI_ARENA_ARRAY(&t->arena, dpi_endpoint, list->count);
  t->endpoint_pub = DPI_ARENA_ARRAY(&t->arena, dp_trial_endpoint, list->count);
  if (!t->endpoint || !t->endpoint_pub) return DP_ERR_MEMORY;
  for (const dpi_yaml *e = list->first; e; e = e->next) {
    DP_TRY(read_endpoint(r, e, &t->endpoint[t->desc.nendpoint]));
    DP_TRY(check_fixed(r, e, &t->endpoint[t->desc.nendpoint]));
    t->endpoint_pub[t->desc.nendpoint] = t->endpoint[t->desc.nendpoint].pub;
    t->desc.nendpoint++;
  }
  t->desc.endpoint = t->endpoint_pub;
  return DP_OK;
}

/* ---- statistics, method, credibility ---- */

static dp_status read_statistics(reader *r) {
  static const char *const keys[] = {"n", "trials"};
  dp_trial *t = r->t;
  const char *interval, *proportion, *multiplicity;
  const dpi_yaml *power, *looks;
  DP_TRY(share(&r->doc, r->doc.root, "confidence", 0.95, &t->confidence));
  if (t->confidence < 0.5) return wrong(&r->doc, dpi_yaml_get(r->doc.root, "confidence"), "confidence", "0.5 or more");
  DP_TRY(dpi_yaml_string(&r->doc, r->doc.root, "interval", "t", &interval));
  t->bootstrap = strcmp(interval, "bootstrap") == 0;
  t->nbootstrap = 2000;
  if (!t->bootstrap && strcmp(interval, "t") != 0)
    return wrong(&r->doc, dpi_yaml_get(r->doc.root, "interval"), "interval", "t or bootstrap");
  DP_TRY(dpi_yaml_string(&r->doc, r->doc.root, "proportion", "wilson", &proportion));
  t->clopper = strcmp(proportion, "clopper-pearson") == 0;
  if (!t->clopper && strcmp(proportion, "wilson") != 0)
    return wrong(&r->doc, dpi_yaml_get(r->doc.root, "proportion"), "proportion", "wilson or clopper-pearson");
  DP_TRY(dpi_yaml_string(&r->doc, r->doc.root, "multiplicity", "none", &multiplicity));
  t->holm = strcmp(multiplicity, "holm") == 0;
  if (!t->holm && strcmp(multiplicity, "none") != 0)
    return wrong(&r->doc, dpi_yaml_get(r->doc.root, "multiplicity"), "multiplicity", "holm or none");
  DP_TRY(entry(&r->doc, r->doc.root, "looks", DPI_YAML_MAP, "{at: how many, boundary: ...}", &looks));
  DP_TRY(dpi_trial_read_looks(t, &r->doc, looks));
  DP_TRY(entry(&r->doc, r->doc.root, "power", DPI_YAML_MAP, "{n: people of an arm}", &power));
  if (!power) return DP_OK;
  DP_TRY(dpi_yaml_known(&r->doc, power, "power", keys, 2));
  DP_TRY(dpi_yaml_int(&r->doc, power, "n", 0, 2, 4096, &t->power_n));
  if (!t->power_n) return wrong(&r->doc, power, "power", "n: people of an arm");
  if (!dpi_trial_looks_fit(t, t->power_n * (t->desc.design == DP_TRIAL_PARALLEL ? t->desc.narm : 1)))
    return wrong(&r->doc, dpi_yaml_get(power, "n"), "n", "more people, so that each look sees somebody more");
  return dpi_yaml_int(&r->doc, power, "trials", 1000, 100, 100000, &t->power_trials);
}

static dp_status read_method(reader *r) {
  dp_trial *t = r->t;
  DP_TRY(dpi_yaml_string(&r->doc, r->doc.root, "method", "", &t->method));
  if (!*t->method) t->method = NULL;
  if (t->method) t->method_line = dpi_yaml_get(r->doc.root, "method")->line;
  DP_TRY(duration(r, r->doc.root, "step", 0, 1e-6, &t->step));
  const bool fixed = t->method && strcmp(t->method, "fixed") == 0;
  if (fixed != (t->step > 0))
    return demand(r, dpi_yaml_get(r->doc.root, "step"), "step", "it with method: fixed, and there alone");
  DP_TRY(dpi_yaml_number(&r->doc, r->doc.root, "rtol", 0, &t->rtol));
  DP_TRY(dpi_yaml_number(&r->doc, r->doc.root, "atol", 0, &t->atol));
  const dpi_yaml *rtol = dpi_yaml_get(r->doc.root, "rtol"), *atol = dpi_yaml_get(r->doc.root, "atol");
  if (rtol && !(t->rtol >= 1e-14 && t->rtol <= 0.1)) return demand(r, rtol, "rtol", "1e-14 to 0.1");
  if (atol && !(t->atol > 0)) return demand(r, atol, "atol", "a number > 0");
  return duration(r, r->doc.root, "sampling", 0, 1e-6, &t->sampling);
}

static dp_status read_credibility(reader *r) {
  static const char *const keys[] = {"context", "influence", "consequence", "risk", "evidence", "error_limit"};
  dp_trial *t = r->t;
  const dpi_yaml *map, *list;
  t->context = t->influence = t->consequence = t->risk = "";
  DP_TRY(entry(&r->doc, r->doc.root, "credibility", DPI_YAML_MAP, "{context: ...}", &map));
  if (!map) return DP_OK;
  DP_TRY(dpi_yaml_known(&r->doc, map, "credibility", keys, DPI_COUNT(keys)));
  DP_TRY(dpi_yaml_string(&r->doc, map, "context", "", &t->context));
  DP_TRY(dpi_yaml_string(&r->doc, map, "influence", "", &t->influence));
  DP_TRY(dpi_yaml_string(&r->doc, map, "consequence", "", &t->consequence));
  DP_TRY(dpi_yaml_string(&r->doc, map, "risk", "", &t->risk));
  DP_TRY(dpi_yaml_number(&r->doc, map, "error_limit", 0, &t->error_limit));
  if (!(t->error_limit >= 0)) return wrong(&r->doc, dpi_yaml_get(map, "error_limit"), "error_limit", "a number >= 0");
  DP_TRY(entry(&r->doc, map, "evidence", DPI_YAML_SEQUENCE, "a list of sentences", &list));
  t->evidence = DPI_ARENA_ARRAY(&t->arena, const char *, (list ? list->count : 0) + 1);
  if (!t->evidence) return DP_ERR_MEMORY;
  for (const dpi_yaml *e = list ? list->first : NULL; e; e = e->next) {
    if (!e->text || t->nevidence == most_evidence) return wrong(&r->doc, e, "evidence", "at most 50 sentences");
    t->evidence[t->nevidence++] = e->text;
  }
  return DP_OK;
}

/* ---- the whole ---- */

/* Readings need a time between them; what is taken for it. */
static dp_status check_sampling(reader *r) {
  dp_trial *t = r->t;
  bool needed = false;
  for (int e = 0; e < t->desc.nendpoint; e++) needed = needed || t->endpoint[e].readings;
  for (int a = 0; a < t->desc.narm && t->sampling == 0; a++) t->sampling = t->arm[a].policy->desc.every;
  if (needed && t->sampling == 0) return demand(r, NULL, "sampling", "the time between readings");
  return DP_OK;
}

/* A sensor whose readings nobody takes is a slip of its name; nothing would look at its formulas. */
static dp_status check_sensors(const reader *r) {
  const dp_trial *t = r->t;
  const dpi_yaml *map = dpi_yaml_get(r->doc.root, "sensor");
  const dpi_yaml *e = map ? map->first : NULL;
  for (int i = 0; i < t->nsensor && e; i++, e = e->next) {
    bool used = false;
    for (int k = 0; k < t->desc.nendpoint; k++)
      used = used || (t->endpoint[k].readings && !t->endpoint[k].samples &&
                      t->endpoint[k].observable == t->sensor[i].observable);
    for (int a = 0; a < t->desc.narm; a++)
      for (int k = 0; k < t->arm[a].policy->desc.nread; k++)
        used = used || t->arm[a].policy->observable[k] == t->sensor[i].observable;
    if (!used) return demand(r, e, e->key, "an observable that a policy or an endpoint reads as the name of a sensor");
  }
  return DP_OK;
}

/* Times fit into ticks, and what happens to one person into memory. */
static dp_status check_size(reader *r) {
  const dp_trial *t = r->t;
  const double length = dpi_trial_length(t), most = 1e8;
  const dpi_yaml *root = r->doc.root;
  if (!(length <= 4e9)) return demand(r, dpi_yaml_get(root, "horizon"), "horizon", "at most 4e9 units of time in all");
  if (dpi_trial_meal_most(t, length) > most_inputs)
    return demand(r, dpi_yaml_get(root, "inputs"), "inputs", "at most 50000 of them for a person");
  for (int a = 0; a < t->desc.narm; a++)
    if (t->arm[a].policy->desc.every > 0 && length / t->arm[a].policy->desc.every > most)
      return demand(r, dpi_yaml_get(root, "arms"), "arms", "at most 100000000 decisions for a person");
  if (t->sampling > 0 && length / t->sampling > most)
    return demand(r, dpi_yaml_get(root, "sampling"), "sampling", "at most 100000000 readings of a person");
  return DP_OK;
}

static dp_status read_head(reader *r, const char *title) {
  dp_trial *t = r->t;
  const dpi_yaml *root = r->doc.root;
  DP_TRY(dpi_yaml_string(&r->doc, root, title, NULL, &t->desc.title));
  DP_TRY(dpi_yaml_string(&r->doc, root, "question", "", &t->desc.question));
  DP_TRY(read_kind(r));
  if (!dpi_yaml_get(root, "horizon")) return demand(r, NULL, "horizon", "a time: how long each person is followed");
  return duration(r, root, "horizon", 0, 1e-6, &t->desc.horizon);
}

static dp_status read_people(reader *r) {
  dp_trial *t = r->t;
  const dpi_yaml *root = r->doc.root, *cohort;
  int seed;
  DP_TRY(dpi_yaml_int(&r->doc, root, "seed", 1, 0, 2147483647, &seed));
  t->desc.seed = (uint64_t)seed;
  DP_TRY(entry(&r->doc, root, "cohort", DPI_YAML_MAP, "{table: ...} or {population: ...}", &cohort));
  if (!cohort) return demand(r, NULL, "cohort", "who takes part: {table: ...} or {population: ...}");
  DP_TRY(dpi_trial_read_cohort(t, &r->doc, cohort));
  t->desc.nperson = t->cohort.n;
  DP_TRY(read_inputs(r));
  DP_TRY(read_arms(r));
  return check_read(r, cohort);
}

/* What is counted, and how it is integrated. */
static dp_status read_counts(reader *r) {
  DP_TRY(read_sensors(r));
  DP_TRY(read_endpoints(r));
  if (!r->form) DP_TRY(read_statistics(r));
  DP_TRY(read_method(r));
  DP_TRY(check_sampling(r));
  DP_TRY(check_sensors(r));
  return check_size(r);
}

static dp_status read_all(reader *r) {
  static const char *const keys[] = {
      "trial",    "question",  "kind",          "horizon",   "seed",       "cohort",       "inputs",
      "arms",     "sensor",    "randomisation", "crossover", "paired",     "dropout",      "missing",
      "sampling", "endpoints", "confidence",    "interval",  "proportion", "multiplicity", "power",
      "run_in",   "method",    "step",          "rtol",      "atol",       "credibility",  "looks"};
  dp_trial *t = r->t;
  const dpi_yaml *root = r->doc.root;
  DP_TRY(dpi_yaml_known(&r->doc, root, "a trial", keys, DPI_COUNT(keys)));
  DP_TRY(read_head(r, "trial"));
  DP_TRY(read_people(r));
  DP_TRY(read_design(r));
  DP_TRY(duration(r, root, "run_in", 0, 0, &t->desc.run_in));
  if (t->desc.run_in > 0 && t->desc.design == DP_TRIAL_CROSSOVER)
    return wrong(&r->doc, dpi_yaml_get(root, "run_in"), "run_in",
                 "none in a cross-over: during: next says what a wash-out is");
  DP_TRY(read_loss(r));
  DP_TRY(read_counts(r));
  return read_credibility(r);
}

static dp_status read_form(reader *r) {
  const dpi_trial_form *form = r->form;
  dp_trial *t = r->t;
  const dpi_yaml *root = r->doc.root;
  t->desc.design = DP_TRIAL_PAIRED;
  t->block = t->nstratum = 1;
  t->context = t->influence = t->consequence = t->risk = "";
  DP_TRY(dpi_yaml_known(&r->doc, root, form->what, form->key, form->nkey));
  DP_TRY(read_head(r, form->title));
  DP_TRY(dpi_cohort_given(t));
  DP_TRY(read_inputs(r));
  DP_TRY(read_policy(r));
  DP_TRY(duration(r, root, "run_in", 0, 0, &t->desc.run_in));
  t->dropout_per = dpi_trial_length(t);
  DP_TRY(read_counts(r));
  DP_TRY(share(&r->doc, root, "confidence", 0.95, &t->confidence));
  if (t->confidence < 0.5) return wrong(&r->doc, dpi_yaml_get(root, "confidence"), "confidence", "0.5 or more");
  return form->rest(form->user, t, &r->doc);
}

static dp_status make_hash(dp_trial *t, const char *text, size_t size) {
  dpi_sha256 *h = dpi_sha256_create(t->ctx);
  if (!h) return DP_ERR_MEMORY;
  dpi_sha256_add(h, text, size);
  dpi_sha256_add(h, t->kind->hash, 64);
  for (int a = 0; a < t->desc.narm; a++) dpi_sha256_add(h, t->arm[a].policy->desc.hash, 64);
  for (int i = 0; t->cohort.person && i < t->cohort.nrow; i++)
    dpi_sha256_add(h, t->cohort.person[i], strlen(t->cohort.person[i]) + 1);
  if (t->cohort.value)
    dpi_sha256_add(h, t->cohort.value, (size_t)t->cohort.nrow * (size_t)t->cohort.ncolumn * sizeof(double));
  dpi_sha256_finish(h, t->desc.hash);
  return DP_OK;
}

dp_status dpi_trial_read_form(dp_ctx *ctx, const char *path, const char *const *dirs, int ndir,
                              const dpi_trial_form *form, dp_trial **out) {
  *out = NULL;
  const char *why = dpi_policy_no_file(path);
  if (why) return dpi_fail(ctx, DP_ERR_INPUT, "%s: %s", path, why);
  dp_trial *t = DPI_NEW(ctx, dp_trial);
  if (!t) return DP_ERR_MEMORY;
  t->ctx = ctx;
  dpi_arena_init(&t->arena, ctx);
  t->desc.source = dpi_arena_strdup(&t->arena, path);
  t->folder = dpi_policy_folder(&t->arena, path);
  t->drift.observable = -1;
  reader r = {t, {.ctx = ctx, .arena = &t->arena, .source = t->desc.source}, dirs, ndir, form};
  char *text = NULL;
  size_t size = 0;
  dp_status status = t->desc.source && t->folder ? dpi_file_read(ctx, path, 1u << 20, &text, &size) : DP_ERR_MEMORY;
  if (status == DP_OK) status = dpi_yaml_parse(&r.doc, text, size);
  if (status == DP_OK) status = form ? read_form(&r) : read_all(&r);
  if (status == DP_OK) status = make_hash(t, text, size);
  dpi_free(ctx, text);
  if (status == DP_OK)
    *out = t;
  else
    dp_trial_destroy(t);
  return status;
}

dp_status dp_trial_read(dp_ctx *ctx, const char *path, const char *const *dirs, int ndir, dp_trial **out) {
  return dpi_trial_read_form(ctx, path, dirs, ndir, NULL, out);
}

void dp_trial_destroy(dp_trial *t) {
  if (!t) return;
  for (int a = 0; t->arm && a < t->desc.narm; a++) dp_policy_destroy(t->arm[a].policy);
  dpi_free(t->ctx, t->cohort.accepted);
  dp_kind_destroy(t->kind);
  dpi_arena_release(&t->arena);
  dpi_free(t->ctx, t);
}

const dp_trial_desc *dp_trial_describe(const dp_trial *trial) { return &trial->desc; }
