/* select_arguments.c - floor 6: candidate_space_arguments of a PEtab Select problem, for famos.
 *
 * Names are those of version 0.3 of PEtab Select and those of before it (number_of_reattempts, swap_only_once).
 */
#include "infer/estimate/select_arguments.h"

#include <math.h>
#include <string.h>

#define MOST_BYTES ((size_t)1 << 20)

const char *dpi_select_beside(dpi_arena *arena, const char *path, const char *name) {
  const char *slash = strrchr(path, '/');
  if (!slash || name[0] == '/') return dpi_arena_strdup(arena, name);
  return dpi_arena_printf(arena, "%.*s/%s", (int)(slash - path), path, name);
}

bool dpi_select_is_null(const dpi_yaml *node) {
  if (!node) return true;
  if (node->type != DPI_YAML_SCALAR) return node->count == 0;
  return !node->text[0] || strcmp(node->text, "null") == 0 || strcmp(node->text, "~") == 0;
}

static dp_status bad(const dpi_select_names *k, const dpi_yaml *at, const char *name, const char *expected) {
  return dpi_fail(k->arena->ctx, DP_ERR_INPUT, "%s:%d: %s: expected %s", k->path, at->line, name, expected);
}

/* ---- sets ---- */

static dp_status read_set(const dpi_select_names *k, const dpi_yaml *list, const char *name, dpi_famos_set *set) {
  static const char *const expected = "a list of lists of parameters";
  if (list->type != DPI_YAML_SEQUENCE) return bad(k, list, name, expected);
  int *param = DPI_ARENA_ARRAY(k->arena, int, list->count + 1);
  if (!param) return DP_ERR_MEMORY;
  set->param = param;
  for (const dpi_yaml *id = list->first; id; id = id->next) {
    if (id->type != DPI_YAML_SCALAR) return bad(k, id, name, expected);
    int i = 0;
    while (i < k->nparam && strcmp(k->param[i], id->text) != 0) i++;
    if (i == k->nparam)
      return dpi_fail(k->arena->ctx, DP_ERR_INPUT, "%s:%d: %s: '%s' is no column of the model space", k->path, id->line,
                      name, id->text);
    param[set->n++] = i;
  }
  return DP_OK;
}

static dp_status read_sets(const dpi_select_names *k, const dpi_yaml *list, const char *name, int *n,
                           const dpi_famos_set **out) {
  *n = 0;
  if (dpi_select_is_null(list)) return DP_OK;
  if (list->type != DPI_YAML_SEQUENCE) return bad(k, list, name, "a list of lists of parameters");
  dpi_famos_set *set = DPI_ARENA_ARRAY(k->arena, dpi_famos_set, list->count + 1);
  if (!set) return DP_ERR_MEMORY;
  for (const dpi_yaml *one = list->first; one; one = one->next) DP_TRY(read_set(k, one, name, &set[(*n)++]));
  *out = set;
  return DP_OK;
}

/* ---- the scheme ---- */

static dp_status read_method(const dpi_select_names *k, const dpi_yaml *at, dpi_famos_method *out) {
  if (at->type == DPI_YAML_SCALAR && dpi_famos_named(at->text, out)) return DP_OK;
  return bad(k, at, "method_scheme", "forward, backward, lateral, most_distant or null");
}

static dp_status read_rule(const dpi_select_names *k, const dpi_yaml *at, dpi_famos_rule *rule) {
  const dpi_yaml *last = at->type == DPI_YAML_MAP ? dpi_yaml_get(at, "previous_methods") : NULL;
  const dpi_yaml *next = at->type == DPI_YAML_MAP ? dpi_yaml_get(at, "next_method") : NULL;
  if (!next) return bad(k, at, "method_scheme", "entries with previous_methods and next_method");
  rule->next = DPI_FAMOS_END;
  if (!dpi_select_is_null(next)) DP_TRY(read_method(k, next, &rule->next));
  if (dpi_select_is_null(last)) return DP_OK;
  if (last->type != DPI_YAML_SEQUENCE || last->count > DPI_FAMOS_PATTERN)
    return bad(k, last, "previous_methods", "null, or a list of 1 to 8 methods");
  for (const dpi_yaml *m = last->first; m; m = m->next) DP_TRY(read_method(k, m, &rule->previous[rule->n++]));
  return DP_OK;
}

static dp_status read_scheme(const dpi_select_names *k, const dpi_yaml *list, dpi_famos_def *out) {
  if (dpi_select_is_null(list)) return DP_OK;
  if (list->type != DPI_YAML_SEQUENCE) return bad(k, list, "method_scheme", "a list");
  dpi_famos_rule *rule = DPI_ARENA_ARRAY(k->arena, dpi_famos_rule, list->count + 1);
  if (!rule) return DP_ERR_MEMORY;
  out->rule = rule;
  for (const dpi_yaml *at = list->first; at; at = at->next) DP_TRY(read_rule(k, at, &rule[out->nrule++]));
  return DP_OK;
}

/* ---- numbers ---- */

static dp_status read_flag(const dpi_select_names *k, const dpi_yaml *at, const char *name, bool *out) {
  if (dpi_select_is_null(at)) return DP_OK;
  const char *text = at->type == DPI_YAML_SCALAR ? at->text : "";
  *out = strcmp(text, "true") == 0 || strcmp(text, "True") == 0;
  if (*out || strcmp(text, "false") == 0 || strcmp(text, "False") == 0) return DP_OK;
  return bad(k, at, name, "true or false");
}

static dp_status read_count(const dpi_select_names *k, const dpi_yaml *at, const char *name, int *out) {
  double x;
  if (dpi_select_is_null(at)) return DP_OK;
  if (at->type != DPI_YAML_SCALAR || !dpi_parse_double(at->text, &x) || !(x >= 0 && x <= 1000) || x != floor(x))
    return bad(k, at, name, "a count of at most 1000");
  *out = (int)x;
  return DP_OK;
}

/* ---- where to begin ---- */

/* Said to be infinitely bad: nobody has fitted it, and whatever comes is better. */
static bool is_nothing(const dpi_select_names *k, const dpi_yaml *known) {
  if (!known || known->type != DPI_YAML_MAP) return false;
  for (int i = 0; i < 2; i++) {
    const dpi_yaml *c = dpi_yaml_get(known, i ? "NLLH" : k->criterion);
    double x;
    if (c && c->type == DPI_YAML_SCALAR && dpi_parse_double(c->text, &x) && x == INFINITY) return true;
    if (c && c->type == DPI_YAML_SCALAR && (strcmp(c->text, "inf") == 0 || strcmp(c->text, ".inf") == 0)) return true;
  }
  return false;
}

static dp_status read_start(const dpi_select_names *k, const char *path, const dpi_yaml *root, dpi_famos_def *out) {
  dp_ctx *ctx = k->arena->ctx;
  const dpi_yaml *value = root->type == DPI_YAML_MAP ? dpi_yaml_get(root, "parameters") : NULL;
  bool *start = DPI_ARENA_ARRAY(k->arena, bool, k->nparam + 1);
  if (!start) return DP_ERR_MEMORY;
  if (!value || value->type != DPI_YAML_MAP)
    return dpi_fail(ctx, DP_ERR_INPUT, "%s: not a model of PEtab Select: found no parameters", path);
  for (int i = 0; i < k->nparam; i++) {
    const dpi_yaml *v = dpi_yaml_get(value, k->param[i]);
    start[i] = v && v->type == DPI_YAML_SCALAR && strcmp(v->text, "estimate") == 0;
    if (v && (start[i] ? k->may_estimate[i] : k->may_fix[i])) continue;
    return dpi_fail(ctx, DP_ERR_INPUT, "%s: parameter '%s' is %s; the model space does not have that", path,
                    k->param[i],
                    !v         ? "missing"
                    : start[i] ? "estimated"
                               : "not estimated");
  }
  out->start = start;
  out->start_is_nothing = is_nothing(k, dpi_yaml_get(root, "criteria"));
  return DP_OK;
}

static dp_status read_predecessor(const dpi_select_names *k, const char *name, dpi_famos_def *out) {
  char *text = NULL;
  size_t size;
  const char *path = dpi_select_beside(k->arena, k->path, name);
  if (!path) return DP_ERR_MEMORY;
  dpi_yaml_doc doc = {.ctx = k->arena->ctx, .arena = k->arena, .source = path};
  DP_TRY(dpi_file_read(doc.ctx, path, MOST_BYTES, &text, &size));
  const dp_status st = dpi_yaml_parse(&doc, text, size);
  dpi_free(doc.ctx, text);
  DP_TRY(st);
  return read_start(k, path, doc.root, out);
}

/* ---- all ---- */

enum { CRITICAL, SWAP, SCHEME, REATTEMPTS, OLD_REATTEMPTS, CONSECUTIVE, OLD_ONCE, PREDECESSOR, SUMMARY, NARGUMENT };
static const char *const argument[NARGUMENT] = {"critical_parameter_sets",
                                                "swap_parameter_sets",
                                                "method_scheme",
                                                "n_reattempts",
                                                "number_of_reattempts",
                                                "consecutive_laterals",
                                                "swap_only_once",
                                                "predecessor_model",
                                                "summary_tsv"}; /* the last: PEtab Select's own */

dp_status dpi_select_arguments(const dpi_select_names *k, const dpi_yaml *args, dpi_famos_def *out) {
  bool once = true;
  if (dpi_select_is_null(args)) return DP_OK;
  if (args->type != DPI_YAML_MAP) return bad(k, args, "candidate_space_arguments", "entries");
  for (const dpi_yaml *e = args->first; e; e = e->next) {
    int i = 0;
    while (i < NARGUMENT && strcmp(e->key, argument[i]) != 0) i++;
    if (i == NARGUMENT)
      return dpi_fail(k->arena->ctx, DP_ERR_UNSUPPORTED,
                      "%s:%d: candidate_space_arguments: '%s' is not offered; remove it", k->path, e->line, e->key);
  }
  const dpi_yaml *at[NARGUMENT];
  for (int i = 0; i < NARGUMENT; i++) at[i] = dpi_yaml_get(args, argument[i]);
  DP_TRY(read_sets(k, at[CRITICAL], argument[CRITICAL], &out->ncritical, &out->critical));
  DP_TRY(read_sets(k, at[SWAP], argument[SWAP], &out->nswap, &out->swap));
  DP_TRY(read_scheme(k, at[SCHEME], out));
  DP_TRY(read_count(k, at[OLD_REATTEMPTS], argument[OLD_REATTEMPTS], &out->nreattempt));
  DP_TRY(read_count(k, at[REATTEMPTS], argument[REATTEMPTS], &out->nreattempt));
  DP_TRY(read_flag(k, at[OLD_ONCE], argument[OLD_ONCE], &once));
  out->consecutive = !once;
  DP_TRY(read_flag(k, at[CONSECUTIVE], argument[CONSECUTIVE], &out->consecutive));
  if (dpi_select_is_null(at[PREDECESSOR])) return DP_OK;
  if (at[PREDECESSOR]->type != DPI_YAML_SCALAR) return bad(k, at[PREDECESSOR], argument[PREDECESSOR], "a file's name");
  return read_predecessor(k, at[PREDECESSOR]->text, out);
}
