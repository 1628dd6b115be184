/* kind_yaml.c - YAML text to a tree with line numbers, by libyaml's event parser.
 *
 * Invariants:
 *   1. depth and node count are limited; aliases are refused: memory is proportional to the text;
 *   2. keys of a map are unique scalars; scalars hold no NUL byte;
 *   3. a tree is complete or not returned.
 */
#include "kind/kind_yaml.h"

#include <math.h>
#include <string.h>
#include <yaml.h>

enum { max_depth = 24, max_node = 200000 };

typedef struct reader {
  dpi_yaml_doc *doc;
  yaml_parser_t parser;
  int nnode;
} reader;

/* The next event, or ERR_INPUT with libyaml's words and the line. The caller deletes the event. */
static dp_status next_event(reader *r, yaml_event_t *event) {
  if (yaml_parser_parse(&r->parser, event)) return DP_OK;
  const char *problem = r->parser.problem ? r->parser.problem : "unreadable";
  if (r->parser.error == YAML_MEMORY_ERROR)
    return dpi_fail(r->doc->ctx, DP_ERR_MEMORY, "out of memory");
  return dpi_fail(r->doc->ctx, DP_ERR_INPUT, "%s:%d: not YAML: %s", r->doc->source,
                  (int)r->parser.problem_mark.line + 1, problem);
}

static dp_status fail_at(reader *r, int line, const char *what) {
  return dpi_fail(r->doc->ctx, DP_ERR_INPUT, "%s:%d: %s", r->doc->source, line, what);
}

/* A fresh node at the event's line. */
static dp_status new_node(reader *r, const yaml_event_t *event, dpi_yaml_type type,
                          dpi_yaml **out) {
  int line = (int)event->start_mark.line + 1;
  if (++r->nnode > max_node) return fail_at(r, line, "too many entries");
  dpi_yaml *node = DPI_ARENA_NEW(r->doc->arena, dpi_yaml);
  if (!node) return DP_ERR_MEMORY;
  node->type = type;
  node->line = line;
  *out = node;
  return DP_OK;
}

/* The event's scalar as text of the arena. */
static dp_status scalar_text(reader *r, const yaml_event_t *event, const char **out) {
  const char *value = (const char *)event->data.scalar.value;
  size_t n = event->data.scalar.length;
  if (strlen(value) != n)
    return fail_at(r, (int)event->start_mark.line + 1, "a NUL character in a text");
  *out = dpi_arena_strndup(r->doc->arena, value, n);
  return *out ? DP_OK : DP_ERR_MEMORY;
}

static dp_status read_value(reader *r, yaml_event_t *event, int depth, dpi_yaml **out);

static void append(dpi_yaml *parent, dpi_yaml **tail, dpi_yaml *child) {
  if (*tail)
    (*tail)->next = child;
  else
    parent->first = child;
  *tail = child;
  parent->count++;
}

/* Entries up to the end of the sequence. */
static dp_status read_sequence(reader *r, dpi_yaml *parent, int depth) {
  dpi_yaml *tail = NULL;
  for (;;) {
    yaml_event_t event;
    DP_TRY(next_event(r, &event));
    if (event.type == YAML_SEQUENCE_END_EVENT) {
      yaml_event_delete(&event);
      return DP_OK;
    }
    dpi_yaml *child = NULL;
    DP_TRY(read_value(r, &event, depth + 1, &child));
    append(parent, &tail, child);
  }
}

/* A map's key: a scalar, not seen before in this map. Deletes the event. */
static dp_status read_key(reader *r, const dpi_yaml *parent, yaml_event_t *event,
                          const char **key) {
  int line = (int)event->start_mark.line + 1;
  dp_status status = DP_OK;
  if (event->type != YAML_SCALAR_EVENT)
    status = fail_at(r, line, "a key must be a plain word");
  else
    status = scalar_text(r, event, key);
  if (status == DP_OK && dpi_yaml_get(parent, *key))
    status = dpi_fail(r->doc->ctx, DP_ERR_INPUT, "%s:%d: key '%s' occurs twice (first in line %d)",
                      r->doc->source, line, *key, dpi_yaml_get(parent, *key)->line);
  yaml_event_delete(event);
  return status;
}

/* Entries up to the end of the map. */
static dp_status read_map(reader *r, dpi_yaml *parent, int depth) {
  dpi_yaml *tail = NULL;
  for (;;) {
    yaml_event_t event;
    DP_TRY(next_event(r, &event));
    if (event.type == YAML_MAPPING_END_EVENT) {
      yaml_event_delete(&event);
      return DP_OK;
    }
    int line = (int)event.start_mark.line + 1;
    const char *key = NULL;
    DP_TRY(read_key(r, parent, &event, &key));
    DP_TRY(next_event(r, &event));
    dpi_yaml *child = NULL;
    DP_TRY(read_value(r, &event, depth + 1, &child));
    child->key = key;
    child->line = line;
    append(parent, &tail, child);
  }
}

/* One value from its first event on; the event is deleted here. */
static dp_status read_value(reader *r, yaml_event_t *event, int depth, dpi_yaml **out) {
  int line = (int)event->start_mark.line + 1;
  dp_status status = DP_OK;
  yaml_event_type_t type = event->type;
  if (depth > max_depth) {
    status = fail_at(r, line, "nested too deeply");
  } else if (type == YAML_SCALAR_EVENT) {
    status = new_node(r, event, DPI_YAML_SCALAR, out);
    if (status == DP_OK) status = scalar_text(r, event, &(*out)->text);
  } else if (type == YAML_SEQUENCE_START_EVENT) {
    status = new_node(r, event, DPI_YAML_SEQUENCE, out);
  } else if (type == YAML_MAPPING_START_EVENT) {
    status = new_node(r, event, DPI_YAML_MAP, out);
  } else {
    status = fail_at(r, line,
                     type == YAML_ALIAS_EVENT ? "aliases (*name) are not used in a kind's files"
                                              : "expected a value");
  }
  yaml_event_delete(event);
  DP_TRY(status);
  if (type == YAML_SEQUENCE_START_EVENT) return read_sequence(r, *out, depth);
  if (type == YAML_MAPPING_START_EVENT) return read_map(r, *out, depth);
  return DP_OK;
}

/* Skip one event that must be of this type. */
static dp_status expect(reader *r, yaml_event_type_t type, const char *complaint) {
  yaml_event_t event;
  DP_TRY(next_event(r, &event));
  int line = (int)event.start_mark.line + 1;
  bool right = event.type == type;
  yaml_event_delete(&event);
  return right ? DP_OK : fail_at(r, line, complaint);
}

static dp_status read_document(reader *r, dpi_yaml **root) {
  DP_TRY(expect(r, YAML_STREAM_START_EVENT, "not YAML"));
  DP_TRY(expect(r, YAML_DOCUMENT_START_EVENT, "the file is empty"));
  yaml_event_t event;
  DP_TRY(next_event(r, &event));
  DP_TRY(read_value(r, &event, 0, root));
  DP_TRY(expect(r, YAML_DOCUMENT_END_EVENT, "not YAML"));
  return expect(r, YAML_STREAM_END_EVENT, "only one document may stand in the file");
}

dp_status dpi_yaml_parse(dpi_yaml_doc *doc, const char *text, size_t size) {
  reader r = {.doc = doc};
  if (!yaml_parser_initialize(&r.parser)) return dpi_fail(doc->ctx, DP_ERR_MEMORY, "out of memory");
  yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, size);
  dpi_yaml *root = NULL;
  dp_status status = read_document(&r, &root);
  yaml_parser_delete(&r.parser);
  if (status == DP_OK) doc->root = root;
  return status;
}

const dpi_yaml *dpi_yaml_get(const dpi_yaml *map, const char *key) {
  if (!map || map->type != DPI_YAML_MAP) return NULL;
  for (const dpi_yaml *n = map->first; n; n = n->next)
    if (strcmp(n->key, key) == 0) return n;
  return NULL;
}

dp_status dpi_yaml_known(const dpi_yaml_doc *doc, const dpi_yaml *node, const char *what,
                         const char *const *words, int nword) {
  if (node->type != DPI_YAML_MAP)
    return dpi_fail(doc->ctx, DP_ERR_INPUT, "%s:%d: %s: expected 'key: value' lines", doc->source,
                    node->line, what);
  for (const dpi_yaml *n = node->first; n; n = n->next) {
    bool known = false;
    for (int i = 0; i < nword; i++) known = known || strcmp(n->key, words[i]) == 0;
    if (known) continue;
    const char *near = dpi_nearest_word(n->key, words, nword);
    return dpi_fail(doc->ctx, DP_ERR_INPUT, "%s:%d: %s has no key '%s'%s%s%s", doc->source, n->line,
                    what, n->key, near ? "; did you mean '" : "", near ? near : "",
                    near ? "'?" : "");
  }
  return DP_OK;
}

/* The scalar under key; *out stays NULL when it is absent. */
static dp_status find_scalar(const dpi_yaml_doc *doc, const dpi_yaml *map, const char *key,
                             const dpi_yaml **out) {
  *out = dpi_yaml_get(map, key);
  if (!*out || (*out)->type == DPI_YAML_SCALAR) return DP_OK;
  return dpi_fail(doc->ctx, DP_ERR_INPUT, "%s:%d: %s: expected one value, found a list or map",
                  doc->source, (*out)->line, key);
}

static dp_status missing(const dpi_yaml_doc *doc, const dpi_yaml *map, const char *key) {
  return dpi_fail(doc->ctx, DP_ERR_INPUT, "%s:%d: key '%s' is missing", doc->source, map->line,
                  key);
}

dp_status dpi_yaml_string(const dpi_yaml_doc *doc, const dpi_yaml *map, const char *key,
                          const char *fallback, const char **out) {
  const dpi_yaml *n;
  DP_TRY(find_scalar(doc, map, key, &n));
  if (!n && !fallback) return missing(doc, map, key);
  *out = n ? n->text : fallback;
  return DP_OK;
}

dp_status dpi_yaml_number(const dpi_yaml_doc *doc, const dpi_yaml *map, const char *key,
                          double fallback, double *out) {
  const dpi_yaml *n;
  DP_TRY(find_scalar(doc, map, key, &n));
  *out = fallback;
  if (!n) return isnan(fallback) ? missing(doc, map, key) : DP_OK;
  if (dpi_parse_double(n->text, out)) return DP_OK;
  return dpi_fail(doc->ctx, DP_ERR_INPUT, "%s:%d: %s: found '%s', expected a number", doc->source,
                  n->line, key, n->text);
}

dp_status dpi_yaml_bool(const dpi_yaml_doc *doc, const dpi_yaml *map, const char *key,
                        bool fallback, bool *out) {
  static const char *const yes[] = {"true", "on", "yes"}, *const no[] = {"false", "off", "no"};
  const dpi_yaml *n;
  DP_TRY(find_scalar(doc, map, key, &n));
  *out = fallback;
  if (!n) return DP_OK;
  for (int i = 0; i < 3; i++) {
    if (strcmp(n->text, yes[i]) == 0) return *out = true, DP_OK;
    if (strcmp(n->text, no[i]) == 0) return *out = false, DP_OK;
  }
  return dpi_fail(doc->ctx, DP_ERR_INPUT, "%s:%d: %s: found '%s', expected true or false",
                  doc->source, n->line, key, n->text);
}

dp_status dpi_yaml_int(const dpi_yaml_doc *doc, const dpi_yaml *map, const char *key, int fallback,
                       int low, int high, int *out) {
  const dpi_yaml *n;
  DP_TRY(find_scalar(doc, map, key, &n));
  *out = fallback;
  if (!n) return DP_OK;
  int64_t value;
  if (!dpi_parse_int(n->text, &value) || value < low || value > high)
    return dpi_fail(doc->ctx, DP_ERR_INPUT,
                    "%s:%d: %s: found '%s', expected a whole number from %d to %d", doc->source,
                    n->line, key, n->text, low, high);
  *out = (int)value;
  return DP_OK;
}
