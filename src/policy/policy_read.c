/* policy_read.c - floor 7: policy.yaml to a dp_policy, complete and checked, or not at all. The keys: docs/trial.md.
 *
 *     policy: pid            every: 5 min           reads: {g: cgm}         announces: {meal: carbs g}
 *     person: [CR, CF]       parameters: {target: 140}                      state: {integral: 0}
 *     let: {e: "g - target"} next: {integral: "integral + e"}               gives: {bolus: "meal/CR"}
 */
#include "policy/policy_twin.h"

#include "kind/kind_find.h"

#include <math.h>
#include <string.h>

enum { most_names = 200, most_arguments = 60, deepest = 2 };

static dp_status read_policy(const dp_kind *kind, const char *path, int depth, dp_policy **out);

typedef struct reader {
  dp_policy *p;
  dpi_yaml_doc doc;
  int depth;
} reader;

static dp_status wrong(reader *r, int line, const char *what, const char *found, const char *expected) {
  return dpi_fail(r->p->ctx, DP_ERR_INPUT, "%s:%d: %s: found '%.60s', expected %s", r->doc.source, line, what, found,
                  expected);
}

/* ---- lists of names ---- */

static bool taken(const reader *r, const char *id) {
  const dp_policy_desc *d = &r->p->desc;
  const dpi_policy_rule *u = &r->p->rule;
  const struct {
    const char *const *id;
    int n;
  } list[] = {{d->read, d->nread},
              {d->announce, d->nannounce},
              {d->person, d->nperson},
              {(const char *const *)u->parameter, u->nparameter},
              {(const char *const *)u->state, u->nstate}};
  for (int k = 0; k < DPI_COUNT(list); k++)
    for (int i = 0; i < list[k].n; i++)
      if (list[k].id[i] && strcmp(list[k].id[i], id) == 0) return true;
  for (int i = 0; i < u->nlet; i++)
    if (u->let[i].id && strcmp(u->let[i].id, id) == 0) return true;
  return false;
}

static dp_status name(reader *r, int line, const char *what, const char *id) {
  if (!id || !dpi_policy_name(id))
    return wrong(r, line, what, id ? id : "", "a name of letters, digits and _ that is no word of formulas");
  return taken(r, id) ? wrong(r, line, what, id, "a name that is not in use in this file") : DP_OK;
}

/* The map under key: its number of entries, each with a scalar. */
static dp_status map_of(reader *r, const char *key, const dpi_yaml **map, int *n) {
  *map = dpi_yaml_get(r->doc.root, key);
  *n = 0;
  if (!*map) return DP_OK;
  if ((*map)->type != DPI_YAML_MAP) return wrong(r, (*map)->line, key, "something else", "{name: value, ...}");
  if ((*map)->count > most_names) return wrong(r, (*map)->line, key, "more", "at most 200 entries");
  for (const dpi_yaml *e = (*map)->first; e; e = e->next)
    if (e->type != DPI_YAML_SCALAR) return wrong(r, e->line, e->key, "a list or map", "one value");
  *n = (*map)->count;
  return DP_OK;
}

static dp_status read_reads(reader *r) {
  dp_policy *p = r->p;
  const dpi_yaml *map;
  int n;
  DP_TRY(map_of(r, "reads", &map, &n));
  const char **id = DPI_ARENA_ARRAY(&p->arena, const char *, n + 1),
             **of = DPI_ARENA_ARRAY(&p->arena, const char *, n + 1);
  p->observable = DPI_ARENA_ARRAY(&p->arena, int, n + 1);
  p->quantity = DPI_ARENA_ARRAY(&p->arena, int, n + 1);
  if (!id || !of || !p->observable || !p->quantity) return DP_ERR_MEMORY;
  p->desc.read = id;
  p->desc.read_of = of;
  for (const dpi_yaml *e = map ? map->first : NULL; e; e = e->next) {
    const int k = p->desc.nread;
    DP_TRY(name(r, e->line, "reads", e->key));
    id[k] = e->key;
    of[k] = e->text;
    p->observable[k] = dpi_kind_find_observable(p->kind, e->text);
    p->quantity[k] = dpi_kind_find_quantity(p->kind, e->text);
    if (p->observable[k] < 0 && p->quantity[k] < 0)
      return wrong(r, e->line, e->key, e->text, "an observable or a quantity of the kind");
    if (p->observable[k] >= 0) p->quantity[k] = -1; /* as measured */
    p->desc.nread++;
  }
  return DP_OK;
}

/* "carbs" or "carbs g": a control of the kind, in its own unit or another. */
static dp_status read_announces(reader *r) {
  dp_policy *p = r->p;
  const dpi_yaml *map;
  int n;
  DP_TRY(map_of(r, "announces", &map, &n));
  const char **id = DPI_ARENA_ARRAY(&p->arena, const char *, n + 1),
             **of = DPI_ARENA_ARRAY(&p->arena, const char *, n + 1);
  p->announce_factor = DPI_ARENA_ARRAY(&p->arena, double, n + 1);
  if (!id || !of || !p->announce_factor) return DP_ERR_MEMORY;
  p->desc.announce = id;
  p->desc.announce_of = of;
  for (const dpi_yaml *e = map ? map->first : NULL; e; e = e->next) {
    const int k = p->desc.nannounce;
    const size_t length = strcspn(e->text, " ");
    const char *control = dpi_arena_strndup(&p->arena, e->text, length), *unit = e->text + length;
    if (!control) return DP_ERR_MEMORY;
    while (*unit == ' ') unit++;
    DP_TRY(name(r, e->line, "announces", e->key));
    const int c = dpi_kind_find_control(p->kind, control);
    if (c < 0) return wrong(r, e->line, e->key, e->text, "a control of the kind, and a unit if need be");
    p->announce_factor[k] = 1;
    if (*unit && (dp_ctx_clear_error(p->ctx),
                  dp_unit_convert(p->ctx, 1, p->kind->control[c].unit, unit, p->kind->control[c].molar_mass,
                                  &p->announce_factor[k]) != DP_OK)) {
      dp_ctx_clear_error(p->ctx);
      return wrong(r, e->line, e->key, unit, "a unit that the control's converts to");
    }
    id[k] = e->key;
    of[k] = control;
    p->desc.nannounce++;
  }
  return DP_OK;
}

static dp_status read_person(reader *r) {
  dp_policy *p = r->p;
  const dpi_yaml *list = dpi_yaml_get(r->doc.root, "person");
  if (list && (list->type != DPI_YAML_SEQUENCE || list->count > most_names))
    return wrong(r, list->line, "person", "something else", "[name, ...], at most 200");
  const char **id = DPI_ARENA_ARRAY(&p->arena, const char *, (list ? list->count : 0) + 1);
  if (!id) return DP_ERR_MEMORY;
  p->desc.person = id;
  for (const dpi_yaml *e = list ? list->first : NULL; e; e = e->next) {
    DP_TRY(name(r, e->line, "person", e->text));
    id[p->desc.nperson++] = e->text;
  }
  return DP_OK;
}

/* {name: number} as two arrays. */
static dp_status read_numbers(reader *r, const char *key, const char ***id, double **value, int *count) {
  const dpi_yaml *map;
  int n;
  DP_TRY(map_of(r, key, &map, &n));
  *id = DPI_ARENA_ARRAY(&r->p->arena, const char *, n + 1);
  *value = DPI_ARENA_ARRAY(&r->p->arena, double, n + 1);
  if (!*id || !*value) return DP_ERR_MEMORY;
  for (const dpi_yaml *e = map ? map->first : NULL; e; e = e->next) {
    DP_TRY(name(r, e->line, key, e->key));
    if (!dpi_parse_double(e->text, &(*value)[*count])) return wrong(r, e->line, e->key, e->text, "a number");
    (*id)[(*count)++] = e->key;
  }
  return DP_OK;
}

/* ---- formulas ---- */

static dp_status read_let(reader *r) {
  dpi_policy_rule *u = &r->p->rule;
  const dpi_yaml *map;
  int n;
  DP_TRY(map_of(r, "let", &map, &n));
  u->let = DPI_ARENA_ARRAY(&r->p->arena, dpi_policy_formula, n + 1);
  if (!u->let) return DP_ERR_MEMORY;
  for (const dpi_yaml *e = map ? map->first : NULL; e; e = e->next) {
    DP_TRY(name(r, e->line, "let", e->key));
    u->let[u->nlet++] = (dpi_policy_formula){e->key, e->text, e->line};
  }
  return DP_OK;
}

static dp_status read_next(reader *r) {
  dpi_policy_rule *u = &r->p->rule;
  const dpi_yaml *map;
  int n;
  DP_TRY(map_of(r, "next", &map, &n));
  u->next = DPI_ARENA_ARRAY(&r->p->arena, dpi_policy_formula, u->nstate + 1);
  if (!u->next) return DP_ERR_MEMORY;
  for (int i = 0; i < u->nstate; i++) u->next[i].id = u->state[i];
  for (const dpi_yaml *e = map ? map->first : NULL; e; e = e->next) {
    int k = 0;
    while (k < u->nstate && strcmp(u->state[k], e->key) != 0) k++;
    if (k == u->nstate) return wrong(r, e->line, "next", e->key, "a name of `state`");
    u->next[k] = (dpi_policy_formula){e->key, e->text, e->line};
  }
  return DP_OK;
}

/* What a policy sets: a control, or a parameter of the model. */
static dp_status check_give(reader *r, const dpi_yaml *e) {
  const dp_kind *k = r->p->kind;
  const int c = dpi_kind_find_control(k, e->key);
  if (c >= 0 && k->control[c].reset_state >= 0)
    return dpi_fail(
        r->p->ctx, DP_ERR_UNSUPPORTED,
        "%s:%d: gives '%s': its doses reset a state, which policies can't give; make it an input of the trial",
        r->doc.source, e->line, e->key);
  if (c >= 0 || dp_sim_param(k->sim, e->key) >= 0) return DP_OK;
  return wrong(r, e->line, "gives", e->key, "a control or a parameter of the kind");
}

static dp_status read_gives(reader *r) {
  dp_policy *p = r->p;
  const dpi_yaml *map;
  int n;
  DP_TRY(map_of(r, "gives", &map, &n));
  if (p->desc.kind != DP_POLICY_PLAN && n == 0)
    return wrong(r, r->doc.root->line, "gives", "nothing", "what the policy gives");
  const char **id = DPI_ARENA_ARRAY(&p->arena, const char *, n + 1);
  p->rule.give = DPI_ARENA_ARRAY(&p->arena, dpi_policy_formula, n + 1);
  if (!id || !p->rule.give) return DP_ERR_MEMORY;
  p->desc.give = id;
  for (const dpi_yaml *e = map ? map->first : NULL; e; e = e->next) {
    DP_TRY(check_give(r, e));
    if (p->desc.kind == DP_POLICY_RULE && !*e->text) return wrong(r, e->line, e->key, "nothing", "a formula");
    p->rule.give[p->desc.ngive] = (dpi_policy_formula){e->key, e->text, e->line};
    id[p->desc.ngive++] = e->key;
  }
  return DP_OK;
}

/* The formulas of a rule parse, and know all that they name. */
static dp_status check_rule(reader *r) {
  dpi_rule_session *s;
  if (r->p->desc.kind != DP_POLICY_RULE) return DP_OK;
  DP_TRY(dpi_rule_open(r->p, NULL, &s));
  dpi_rule_close(s);
  return DP_OK;
}

/* ---- the other kinds ---- */

static dp_status read_plan(reader *r) {
  dp_policy *p = r->p;
  const char *file;
  DP_TRY(dpi_yaml_string(&r->doc, r->doc.root, "plan", NULL, &file));
  const char *path = dpi_policy_path(&p->arena, p->folder, file);
  if (!path) return DP_ERR_MEMORY;
  const char *why = dpi_policy_no_file(path);
  if (why) return dpi_fail(p->ctx, DP_ERR_INPUT, "%s:%d: plan: %s: %s", r->doc.source,
                           dpi_yaml_get(r->doc.root, "plan")->line, path, why);
  DP_TRY(dp_plan_read(p->kind, path, &p->plan));
  return dp_plan_check(p->kind, p->plan, 0);
}

static dp_status read_seconds(reader *r, const char *key, double fallback, double *out) {
  DP_TRY(dpi_policy_yaml_quantity(&r->doc, r->doc.root, key, "s", fallback, out));
  if (*out > 0 && *out <= 86400) return DP_OK;
  return wrong(r, dpi_yaml_get(r->doc.root, key)->line, key, "something else", "a time over 0 and up to a day");
}

static dp_status read_process(reader *r) {
  dp_policy *p = r->p;
  const dpi_yaml *list = dpi_yaml_get(r->doc.root, "command");
  if (!list || list->type != DPI_YAML_SEQUENCE || list->count < 1 || list->count > most_arguments)
    return wrong(r, list ? list->line : r->doc.root->line, "command", "something else", "[program, argument, ...]");
  p->process.command = DPI_ARENA_ARRAY(&p->arena, char *, list->count + 1);
  if (!p->process.command) return DP_ERR_MEMORY;
  for (const dpi_yaml *e = list->first; e; e = e->next) {
    if (e->type != DPI_YAML_SCALAR) return wrong(r, e->line, "command", "a list or map", "one word");
    /* what names a file beside policy.yaml is that file; else as it stands, the program by the search path */
    const char *path = dpi_policy_path(&p->arena, p->folder, e->text);
    if (!path) return DP_ERR_MEMORY;
    const bool file = dpi_file_exists(path);
    char *word = file && !strchr(path, '/') ? dpi_arena_printf(&p->arena, "./%s", path) /* not by the search path */
                                            : dpi_arena_strdup(&p->arena, file ? path : e->text);
    if (!word) return DP_ERR_MEMORY;
    p->process.command[p->process.narg++] = word;
  }
  DP_TRY(read_seconds(r, "timeout", 2, &p->process.step_s));
  return read_seconds(r, "start", 10, &p->process.start_s);
}

static dp_status read_library(reader *r) {
  const char *file;
  DP_TRY(dpi_yaml_string(&r->doc, r->doc.root, "library", NULL, &file));
  const char *path = dpi_policy_path(&r->p->arena, r->p->folder, file);
  r->p->library_path = path;
  return path ? dpi_library_load(r->p, path) : DP_ERR_MEMORY;
}

/* Where each of a[n] stands in b[m]. */
static dp_status map_names(reader *r, const char *what, const char *const *a, int n, const char *const *b, int m,
                           int **out) {
  *out = DPI_ARENA_ARRAY(&r->p->arena, int, n + 1);
  if (!*out) return DP_ERR_MEMORY;
  for (int i = 0; i < n; i++) {
    int k = 0;
    while (k < m && strcmp(a[i], b[k]) != 0) k++;
    if (k == m)
      return dpi_fail(r->p->ctx, DP_ERR_INPUT, "%s: the fallback %s '%s', which the policy itself does not",
                      r->doc.source, what, a[i]);
    (*out)[i] = k;
  }
  return DP_OK;
}

static dp_status read_fallback(reader *r) {
  dp_policy *p = r->p;
  const char *file;
  const bool needed =
      p->desc.kind == DP_POLICY_PROCESS || p->desc.kind == DP_POLICY_LIBRARY || p->desc.kind == DP_POLICY_TWIN;
  DP_TRY(dpi_yaml_string(&r->doc, r->doc.root, "fallback", "", &file));
  if (!*file && needed)
    return wrong(r, r->doc.root->line, "fallback", "nothing", "the policy that decides when this one fails");
  if (!*file) return DP_OK;
  if (!needed)
    return wrong(r, dpi_yaml_get(r->doc.root, "fallback")->line, "fallback", file, "none: this kind can't fail");
  const char *path = dpi_policy_path(&p->arena, p->folder, file);
  if (!path) return DP_ERR_MEMORY;
  DP_TRY(read_policy(p->kind, path, r->depth + 1, &p->fallback));
  const dp_policy_desc *d = &p->desc, *f = &p->fallback->desc;
  if (f->kind == DP_POLICY_PLAN || f->every != d->every)
    return wrong(r, dpi_yaml_get(r->doc.root, "fallback")->line, "fallback", file,
                 "a policy that decides as often, and no plan");
  DP_TRY(map_names(r, "reads", f->read_of, f->nread, d->read_of, d->nread, &p->fallback_read));
  DP_TRY(map_names(r, "is told", f->announce_of, f->nannounce, d->announce_of, d->nannounce, &p->fallback_announce));
  DP_TRY(map_names(r, "uses the person's", f->person, f->nperson, d->person, d->nperson, &p->fallback_person));
  return map_names(r, "gives", f->give, f->ngive, d->give, d->ngive, &p->fallback_give);
}

/* ---- the whole ---- */

static dp_status read_kind(reader *r) {
  static const char *const words[] = {"rule", "plan", "process", "library", "twin"};
  const char *text;
  DP_TRY(dpi_yaml_string(&r->doc, r->doc.root, "kind", "rule", &text));
  for (int i = 0; i < DPI_COUNT(words); i++)
    if (strcmp(words[i], text) == 0) return r->p->desc.kind = (dp_policy_kind)i, DP_OK;
  return wrong(r, dpi_yaml_get(r->doc.root, "kind")->line, "kind", text, "rule, plan, process, library or twin");
}

/* Keys that this kind has. */
static dp_status check_keys(reader *r) {
  static const char *const all[] = {"policy",     "name",  "kind",    "every",    "reads", "announces", "person",
                                    "parameters", "state", "let",     "next",     "gives", "plan",      "command",
                                    "timeout",    "start", "library", "fallback", "twin"};
  static const struct {
    const char *key;
    unsigned kinds;
  } own[] = {{"state", 1u << DP_POLICY_RULE},      {"let", 1u << DP_POLICY_RULE},
             {"next", 1u << DP_POLICY_RULE},       {"plan", 1u << DP_POLICY_PLAN},
             {"command", 1u << DP_POLICY_PROCESS}, {"timeout", 1u << DP_POLICY_PROCESS},
             {"start", 1u << DP_POLICY_PROCESS},   {"library", 1u << DP_POLICY_LIBRARY},
             {"twin", 1u << DP_POLICY_TWIN},       {"every", ~(1u << DP_POLICY_PLAN)},
             {"reads", ~(1u << DP_POLICY_PLAN)},   {"announces", ~(1u << DP_POLICY_PLAN)},
             {"gives", ~(1u << DP_POLICY_PLAN)},   {"parameters", ~(1u << DP_POLICY_PLAN)},
             {"person", ~(1u << DP_POLICY_PLAN)}};
  DP_TRY(dpi_yaml_known(&r->doc, r->doc.root, "a policy", all, DPI_COUNT(all)));
  DP_TRY(read_kind(r));
  for (int i = 0; i < DPI_COUNT(own); i++) {
    const dpi_yaml *n = dpi_yaml_get(r->doc.root, own[i].key);
    if (n && !(own[i].kinds >> r->p->desc.kind & 1))
      return wrong(r, n->line, own[i].key, "it", "not to be here: a policy of this kind has no such key");
  }
  return DP_OK;
}

static dp_status read_all(reader *r) {
  dp_policy *p = r->p;
  DP_TRY(check_keys(r));
  DP_TRY(dpi_yaml_string(&r->doc, r->doc.root, "policy", NULL, &p->desc.id));
  DP_TRY(dpi_yaml_string(&r->doc, r->doc.root, "name", p->desc.id, &p->desc.name));
  if (p->desc.kind == DP_POLICY_PLAN) return read_plan(r);
  DP_TRY(dpi_policy_yaml_quantity(&r->doc, r->doc.root, "every", p->kind->time_unit, NAN, &p->desc.every));
  if (!(p->desc.every >= 1e-6) || p->desc.every > 1e9)
    return wrong(r, dpi_yaml_get(r->doc.root, "every")->line, "every", "something else",
                 "a time from 1e-6 to 1e9 units");
  DP_TRY(read_reads(r));
  DP_TRY(read_announces(r));
  DP_TRY(read_person(r));
  DP_TRY(read_numbers(r, "parameters", &p->rule.parameter, &p->rule.value, &p->rule.nparameter));
  DP_TRY(read_numbers(r, "state", &p->rule.state, &p->rule.start, &p->rule.nstate));
  DP_TRY(read_let(r));
  DP_TRY(read_next(r));
  DP_TRY(read_gives(r));
  if (p->desc.kind == DP_POLICY_PROCESS) DP_TRY(read_process(r));
  if (p->desc.kind == DP_POLICY_LIBRARY) DP_TRY(read_library(r));
  if (p->desc.kind == DP_POLICY_TWIN) DP_TRY(dpi_twin_policy_read(p, &r->doc));
  DP_TRY(check_rule(r));
  return read_fallback(r);
}

static dp_status hash_file(dp_policy *p, dpi_sha256 *h, const char *path) {
  char *text;
  size_t size;
  if (dpi_policy_no_file(path)) return DP_OK; /* a program by the search path is not ours to know, nor is a folder */
  DP_TRY(dpi_file_read(p->ctx, path, 64u << 20, &text, &size));
  dpi_sha256_add(h, text, size);
  dpi_free(p->ctx, text);
  return DP_OK;
}

/* Its own bytes, and those of the files that it names. */
static dp_status make_hash(dp_policy *p, const char *text, size_t size) {
  dpi_sha256 *h = dpi_sha256_create(p->ctx);
  if (!h) return DP_ERR_MEMORY;
  dpi_sha256_add(h, text, size);
  if (p->fallback) dpi_sha256_add(h, p->fallback->desc.hash, 64);
  if (p->twin.kind) dpi_sha256_add(h, p->twin.kind->hash, 64);
  char *plan = NULL;
  dp_status status = p->plan ? dp_plan_write(p->kind, p->plan, &plan) : DP_OK;
  for (int i = 0; i < p->process.narg && status == DP_OK; i++)
    if (strncmp(p->process.command[i], p->folder, strlen(p->folder)) == 0)
      status = hash_file(p, h, p->process.command[i]);
  if (p->library && status == DP_OK) status = hash_file(p, h, p->library_path);
  if (plan) dpi_sha256_add(h, plan, strlen(plan));
  if (plan) dp_plan_text_free(p->plan, plan);
  dpi_sha256_finish(h, p->desc.hash);
  return status;
}

static dp_status read_policy(const dp_kind *kind, const char *path, int depth, dp_policy **out) {
  dp_ctx *ctx = kind->ctx;
  *out = NULL;
  if (depth > deepest) return dpi_fail(ctx, DP_ERR_INPUT, "%s: a fallback of a fallback of a fallback", path);
  const char *why = dpi_policy_no_file(path);
  if (why) return dpi_fail(ctx, DP_ERR_INPUT, "%s: %s", path, why);
  dp_policy *p = DPI_NEW(ctx, dp_policy);
  if (!p) return DP_ERR_MEMORY;
  p->ctx = ctx;
  p->kind = kind;
  dpi_arena_init(&p->arena, ctx);
  p->desc.source = dpi_arena_strdup(&p->arena, path);
  p->folder = dpi_policy_folder(&p->arena, path);
  reader r = {p, {.ctx = ctx, .arena = &p->arena, .source = p->desc.source}, depth};
  char *text = NULL;
  size_t size = 0;
  dp_status status = p->desc.source && p->folder ? dpi_file_read(ctx, path, 1u << 20, &text, &size) : DP_ERR_MEMORY;
  if (status == DP_OK) status = dpi_yaml_parse(&r.doc, text, size);
  if (status == DP_OK) status = read_all(&r);
  if (status == DP_OK) status = make_hash(p, text, size);
  dpi_free(ctx, text);
  if (status == DP_OK)
    *out = p;
  else
    dp_policy_destroy(p);
  return status;
}

dp_status dp_policy_read(const dp_kind *kind, const char *path, dp_policy **out) {
  return read_policy(kind, path, 0, out);
}

void dp_policy_destroy(dp_policy *policy) {
  if (!policy) return;
  dp_policy_destroy(policy->fallback);
  dp_plan_destroy(policy->plan);
  dpi_horizon_release(policy);
  dp_kind_destroy(policy->twin.kind);
  dpi_library_unload(policy);
  dpi_arena_release(&policy->arena);
  dpi_free(policy->ctx, policy);
}

const dp_policy_desc *dp_policy_describe(const dp_policy *policy) { return &policy->desc; }
