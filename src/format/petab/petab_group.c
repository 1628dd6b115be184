/* petab_group.c - floor 3: the YAML file that says which files a PEtab problem is made of, in both versions.
 *
 * libyaml's document is walked as it is; nothing of it outlives this file. Keys that are not known are refused, so
 * that a typing error does not leave out a table, and extensions that a problem requires are refused by name.
 */
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "format/petab/petab_impl.h"

typedef struct grouping {
  petab_reader *r;
  yaml_document_t *doc;
} grouping;

static const char *text_of(const yaml_node_t *n) { return (const char *)n->data.scalar.value; }

static dp_status fail_at(const grouping *g, const yaml_node_t *n, dp_status status, const char *fmt, ...)
    DPI_PRINTF(4, 5);
static dp_status fail_at(const grouping *g, const yaml_node_t *n, dp_status status, const char *fmt, ...) {
  char text[400];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  dpi_petab_place place = {g->r->p->path, n ? (int)n->start_mark.line + 1 : 1, ""};
  return petab_fail(g->r->p, &place, status, "%s", text);
}

/* ---- nodes ---- */

static bool is_null(const yaml_node_t *n) {
  if (!n || n->type != YAML_SCALAR_NODE || n->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) return !n;
  const char *t = text_of(n);
  return *t == '\0' || strcmp(t, "null") == 0 || strcmp(t, "~") == 0;
}

/* The entry of a map, NULL when it is absent or null. */
static yaml_node_t *get(const grouping *g, const yaml_node_t *map, const char *key) {
  if (!map || map->type != YAML_MAPPING_NODE) return NULL;
  for (yaml_node_pair_t *it = map->data.mapping.pairs.start; it < map->data.mapping.pairs.top; it++) {
    yaml_node_t *k = yaml_document_get_node(g->doc, it->key), *v = yaml_document_get_node(g->doc, it->value);
    if (k && k->type == YAML_SCALAR_NODE && strcmp(text_of(k), key) == 0) return is_null(v) ? NULL : v;
  }
  return NULL;
}

/* The map's keys are among the words, each once. */
static dp_status known(const grouping *g, const yaml_node_t *map, const char *what, const char *const *words,
                       int nword) {
  if (map->type != YAML_MAPPING_NODE) return fail_at(g, map, DP_ERR_INPUT, "%s: expected 'key: value' lines", what);
  uint64_t seen = 0;
  for (yaml_node_pair_t *it = map->data.mapping.pairs.start; it < map->data.mapping.pairs.top; it++) {
    yaml_node_t *k = yaml_document_get_node(g->doc, it->key);
    if (!k || k->type != YAML_SCALAR_NODE) return fail_at(g, map, DP_ERR_INPUT, "%s: a key must be a plain word", what);
    int at = 0;
    while (at < nword && strcmp(text_of(k), words[at]) != 0) at++;
    if (at == nword) {
      const char *near = dpi_nearest_word(text_of(k), words, nword);
      return fail_at(g, k, DP_ERR_INPUT, "%s has no key '%.60s'%s%s%s", what, text_of(k),
                     near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    if (seen >> at & 1) return fail_at(g, k, DP_ERR_INPUT, "key '%s' occurs twice; join the two lists", words[at]);
    seen |= (uint64_t)1 << at;
  }
  return DP_OK;
}

static dp_status scalar(const grouping *g, const yaml_node_t *n, const char *key, const char **out) {
  if (n->type != YAML_SCALAR_NODE)
    return fail_at(g, n, DP_ERR_INPUT, "%s: expected one value, found a list or map", key);
  if (strlen(text_of(n)) != n->data.scalar.length)
    return fail_at(g, n, DP_ERR_INPUT, "%s: a NUL character in a text", key);
  *out = dpi_arena_strdup(&g->r->p->arena, text_of(n));
  return *out ? DP_OK : petab_memory(g->r->p);
}

/* ---- files ---- */

/* A name as written -> a path beside the grouping file. */
static dp_status join(const grouping *g, const yaml_node_t *n, const char *key, const char **out) {
  dpi_petab *p = g->r->p;
  const char *name;
  DP_TRY(scalar(g, n, key, &name));
  if (*name == '\0') return fail_at(g, n, DP_ERR_INPUT, "%s: an empty file name", key);
  if (strstr(name, "://"))
    return fail_at(g, n, DP_ERR_UNSUPPORTED, "%s: '%.100s' is an address; download the file and name it here", key,
                   name);
  const char *slash = strrchr(p->path, '/');
  *out = *name == '/' || !slash ? name : dpi_arena_printf(&p->arena, "%.*s/%s", (int)(slash - p->path), p->path, name);
  return *out ? DP_OK : petab_memory(p);
}

/* A file name or a list of them; absent: none. */
static dp_status files(const grouping *g, const yaml_node_t *map, const char *key, petab_files *out) {
  const yaml_node_t *n = get(g, map, key);
  if (!n) return DP_OK;
  if (n->type == YAML_MAPPING_NODE) return fail_at(g, n, DP_ERR_INPUT, "%s: expected a list of file names", key);
  bool list = n->type == YAML_SEQUENCE_NODE;
  long count = list ? n->data.sequence.items.top - n->data.sequence.items.start : 1;
  if (count + out->n > PETAB_FILES)
    return fail_at(g, n, DP_ERR_UNSUPPORTED, "%s: more than %d files", key, PETAB_FILES);
  const char **path = DPI_ARENA_ARRAY(&g->r->p->arena, const char *, count + out->n);
  if (!path) return petab_memory(g->r->p);
  for (int i = 0; i < out->n; i++) path[i] = out->path[i];
  for (long i = 0; i < count; i++) {
    const yaml_node_t *item = list ? yaml_document_get_node(g->doc, n->data.sequence.items.start[i]) : n;
    DP_TRY(join(g, item, key, &path[out->n + i]));
  }
  out->path = path;
  out->n += (int)count;
  return DP_OK;
}

static dp_status needed(const grouping *g, const yaml_node_t *map, const char *key, petab_files *out) {
  DP_TRY(files(g, map, key, out));
  return out->n > 0 ? DP_OK : fail_at(g, map, DP_ERR_INPUT, "key '%s' is missing or names no file", key);
}

static dp_status add_model(const grouping *g, const yaml_node_t *at, const char *id, const char *path,
                           const char *language) {
  dpi_petab *p = g->r->p;
  static const char *const languages[] = {"sbml", "antimony"};
  size_t n = strlen(path);
  if (n > 4 && strcmp(path + n - 4, ".ant") == 0) language = "antimony";
  if (strcmp(language, languages[0]) != 0 && strcmp(language, languages[1]) != 0)
    return fail_at(g, at, DP_ERR_UNSUPPORTED, "model language '%.40s' is not read; offered are sbml and antimony",
                   language);
  dpi_petab_model *model = DPI_ARENA_ARRAY(&p->arena, dpi_petab_model, p->nmodel + 1);
  if (!model) return petab_memory(p);
  for (int i = 0; i < p->nmodel; i++) model[i] = p->model[i];
  model[p->nmodel] = (dpi_petab_model){id, path, language};
  p->model = model;
  return dpi_map_put(&g->r->models, id, p->nmodel++);
}

static dp_status add_group(const grouping *g, petab_group group) {
  petab_reader *r = g->r;
  DP_TRY(dpi_grow(r->ctx, (void **)&r->group, &r->cap_group, r->ngroup + 1, sizeof *r->group));
  r->group[r->ngroup++] = group;
  return DP_OK;
}

/* ---- version 1 ---- */

static dp_status read_v1_problem(const grouping *g, const yaml_node_t *n) {
  static const char *const words[] = {"sbml_files",       "measurement_files",   "condition_files",
                                      "observable_files", "visualization_files", "simulation_files"};
  dpi_petab *p = g->r->p;
  petab_group group = {.model = p->nmodel};
  petab_files model = {0};
  DP_TRY(known(g, n, "an entry of problems", words, DPI_COUNT(words)));
  DP_TRY(needed(g, n, "sbml_files", &model));
  if (model.n > 1)
    return fail_at(g, get(g, n, "sbml_files"), DP_ERR_UNSUPPORTED,
                   "more than one model in an entry of problems; give each model an entry with its own tables");
  DP_TRY(needed(g, n, "measurement_files", &group.measurement));
  DP_TRY(needed(g, n, "condition_files", &group.condition));
  DP_TRY(needed(g, n, "observable_files", &group.observable));
  char id[32];
  snprintf(id, sizeof id, "model_%d", p->nmodel);
  const char *copy = dpi_arena_strdup(&p->arena, id);
  if (!copy) return petab_memory(p);
  DP_TRY(add_model(g, n, copy, model.path[0], "sbml"));
  return add_group(g, group);
}

static dp_status read_v1(const grouping *g, const yaml_node_t *root) {
  static const char *const words[] = {"format_version", "parameter_file", "problems"};
  DP_TRY(known(g, root, "a PEtab problem of version 1", words, DPI_COUNT(words)));
  DP_TRY(needed(g, root, "parameter_file", &g->r->parameter));
  const yaml_node_t *n = get(g, root, "problems");
  if (!n || n->type != YAML_SEQUENCE_NODE || n->data.sequence.items.start == n->data.sequence.items.top)
    return fail_at(g, n ? n : root, DP_ERR_INPUT, "key 'problems' is missing or no list");
  if (n->data.sequence.items.top - n->data.sequence.items.start > PETAB_FILES)
    return fail_at(g, n, DP_ERR_UNSUPPORTED, "problems: more than %d entries", PETAB_FILES);
  for (yaml_node_item_t *it = n->data.sequence.items.start; it < n->data.sequence.items.top; it++)
    DP_TRY(read_v1_problem(g, yaml_document_get_node(g->doc, *it)));
  return DP_OK;
}

/* ---- version 2 ---- */

static dp_status read_models(const grouping *g, const yaml_node_t *root) {
  static const char *const words[] = {"location", "language"};
  const yaml_node_t *n = get(g, root, "model_files");
  if (!n || n->type != YAML_MAPPING_NODE || n->data.mapping.pairs.start == n->data.mapping.pairs.top)
    return fail_at(g, n ? n : root, DP_ERR_INPUT,
                   "key 'model_files' is missing or names no model; expected 'id:' with 'location:' and 'language:'");
  if (n->data.mapping.pairs.top - n->data.mapping.pairs.start > PETAB_FILES)
    return fail_at(g, n, DP_ERR_UNSUPPORTED, "model_files: more than %d models", PETAB_FILES);
  for (yaml_node_pair_t *it = n->data.mapping.pairs.start; it < n->data.mapping.pairs.top; it++) {
    const yaml_node_t *key = yaml_document_get_node(g->doc, it->key),
                      *entry = yaml_document_get_node(g->doc, it->value);
    const char *id, *language, *path;
    DP_TRY(scalar(g, key, "model_files", &id));
    if (!petab_valid_id(id)) return fail_at(g, key, DP_ERR_INPUT, "model_files: '%.60s' is no identifier", id);
    if (dpi_map_get(&g->r->models, id) >= 0) return fail_at(g, key, DP_ERR_INPUT, "model_files: '%s' occurs twice", id);
    DP_TRY(known(g, entry, "a model", words, 2));
    const yaml_node_t *where = get(g, entry, "location"), *what = get(g, entry, "language");
    if (!where || !what) return fail_at(g, entry, DP_ERR_INPUT, "model '%s' needs 'location:' and 'language:'", id);
    DP_TRY(join(g, where, "location", &path));
    DP_TRY(scalar(g, what, "language", &language));
    DP_TRY(add_model(g, what, id, path, language));
  }
  return DP_OK;
}

/* What a problem can do without is left out; the rest is refused. */
static dp_status read_extensions(const grouping *g, const yaml_node_t *root) {
  const yaml_node_t *n = get(g, root, "extensions");
  if (!n) return DP_OK;
  if (n->type != YAML_MAPPING_NODE) {
    bool none = n->type == YAML_SEQUENCE_NODE && n->data.sequence.items.start == n->data.sequence.items.top;
    return none ? DP_OK : fail_at(g, n, DP_ERR_INPUT, "extensions: expected 'name:' lines");
  }
  for (yaml_node_pair_t *it = n->data.mapping.pairs.start; it < n->data.mapping.pairs.top; it++) {
    const yaml_node_t *key = yaml_document_get_node(g->doc, it->key);
    const yaml_node_t *required = get(g, yaml_document_get_node(g->doc, it->value), "required");
    const char *name;
    DP_TRY(scalar(g, key, "extensions", &name));
    bool optional = required && required->type == YAML_SCALAR_NODE &&
                    (strcmp(text_of(required), "false") == 0 || strcmp(text_of(required), "False") == 0);
    if (!optional)
      return fail_at(g, key, DP_ERR_UNSUPPORTED,
                     "the problem requires the PEtab extension '%.60s', which is not offered", name);
  }
  return DP_OK;
}

static dp_status read_v2(const grouping *g, const yaml_node_t *root) {
  static const char *const words[] = {"format_version",      "id",
                                      "parameter_files",     "parameter_file",
                                      "model_files",         "measurement_files",
                                      "condition_files",     "experiment_files",
                                      "observable_files",    "mapping_files",
                                      "visualization_files", "simulation_files",
                                      "extensions"};
  petab_reader *r = g->r;
  petab_group group = {.model = -1};
  DP_TRY(known(g, root, "a PEtab problem of version 2", words, DPI_COUNT(words)));
  DP_TRY(read_extensions(g, root));
  const yaml_node_t *id = get(g, root, "id");
  if (id) DP_TRY(scalar(g, id, "id", &r->p->id));
  DP_TRY(files(g, root, "parameter_file", &r->parameter));
  DP_TRY(needed(g, root, "parameter_files", &r->parameter));
  DP_TRY(needed(g, root, "measurement_files", &group.measurement));
  DP_TRY(needed(g, root, "observable_files", &group.observable));
  DP_TRY(files(g, root, "condition_files", &group.condition));
  DP_TRY(files(g, root, "experiment_files", &group.experiment));
  DP_TRY(files(g, root, "mapping_files", &group.mapping));
  DP_TRY(read_models(g, root));
  return add_group(g, group);
}

/* ---- the document ---- */

static dp_status read_root(const grouping *g) {
  const yaml_node_t *root = yaml_document_get_root_node(g->doc);
  const char *version;
  if (!root || root->type != YAML_MAPPING_NODE)
    return fail_at(g, root, DP_ERR_INPUT, "this is no PEtab problem: expected 'format_version:' and lists of files");
  const yaml_node_t *n = get(g, root, "format_version");
  if (!n)
    return fail_at(g, root, DP_ERR_INPUT, "key 'format_version' is missing; a PEtab problem says 1 or 2.0.0 there");
  DP_TRY(scalar(g, n, "format_version", &version));
  char major = version[0], next = major ? version[1] : '\0';
  if ((major != '1' && major != '2') || (next >= '0' && next <= '9'))
    return fail_at(g, n, DP_ERR_UNSUPPORTED, "format_version '%.40s' is not read; offered are 1 and 2", version);
  g->r->p->version = major - '0';
  return major == '1' ? read_v1(g, root) : read_v2(g, root);
}

dp_status petab_grouping(petab_reader *r, const char *text, size_t size) {
  yaml_parser_t parser;
  yaml_document_t doc;
  if (size > ((size_t)1 << 20)) return dpi_fail(r->ctx, DP_ERR_UNSUPPORTED, "%s: more than 1 MiB of YAML", r->p->path);
  if (!yaml_parser_initialize(&parser)) return petab_memory(r->p);
  yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
  dp_status status;
  if (yaml_parser_load(&parser, &doc)) {
    grouping g = {r, &doc};
    status = read_root(&g);
    yaml_document_delete(&doc);
  } else {
    status = parser.error == YAML_MEMORY_ERROR
                 ? petab_memory(r->p)
                 : dpi_fail(r->ctx, DP_ERR_INPUT, "%s:%d: not YAML: %s", r->p->path, (int)parser.problem_mark.line + 1,
                            parser.problem ? parser.problem : "unreadable");
  }
  yaml_parser_delete(&parser);
  return status;
}
