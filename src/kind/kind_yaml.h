/* kind_yaml.h - twin.yaml and reward.yaml as a small tree whose every node knows its line.  Private to the room.
 *
 *     const dpi_yaml *root;
 *     DP_TRY(dpi_yaml_parse(&arena, text, size, "twin.yaml", &root));
 *     DP_TRY(dpi_yaml_known(&doc, root, words, nword));          unknown keys are refused with "did you mean"
 *     DP_TRY(dpi_yaml_number(&doc, root, "until", NAN, &until));
 *
 * Only what a configuration needs is read: maps, sequences, scalars. Aliases, tags and several documents are refused, so
 * that a file is never larger in memory than on disk. Every node lives in the arena.
 */
#ifndef DPI_KIND_YAML_H
#define DPI_KIND_YAML_H

#include "base/base.h"

typedef enum dpi_yaml_type { DPI_YAML_SCALAR, DPI_YAML_SEQUENCE, DPI_YAML_MAP } dpi_yaml_type;

typedef struct dpi_yaml {
  dpi_yaml_type type;
  int line;               /* 1-based, of the value (of the key, for a map's entry) */
  const char *key;        /* when the parent is a map, else NULL */
  const char *text;       /* SCALAR */
  struct dpi_yaml *first; /* children in file order */
  struct dpi_yaml *next;
  int count;
} dpi_yaml;

/* Where messages point and where memory comes from. */
typedef struct dpi_yaml_doc {
  dp_ctx *ctx;
  dpi_arena *arena;
  const char *source; /* path as the person knows it */
  const dpi_yaml *root;
} dpi_yaml_doc;

dp_status dpi_yaml_parse(dpi_yaml_doc *doc, const char *text, size_t size);
/* The map's entry, NULL when there is none. */
const dpi_yaml *dpi_yaml_get(const dpi_yaml *map, const char *key);
/* node must be a map (of `what`) whose keys are all among the words. */
dp_status dpi_yaml_known(const dpi_yaml_doc *doc, const dpi_yaml *node, const char *what,
                         const char *const *words, int nword);
/* A scalar entry of the map; absent: the default (required when that is NULL, NaN). Borrowed from the arena. */
dp_status dpi_yaml_string(const dpi_yaml_doc *doc, const dpi_yaml *map, const char *key,
                          const char *fallback, const char **out);
dp_status dpi_yaml_number(const dpi_yaml_doc *doc, const dpi_yaml *map, const char *key,
                          double fallback, double *out);
dp_status dpi_yaml_bool(const dpi_yaml_doc *doc, const dpi_yaml *map, const char *key,
                        bool fallback, bool *out);
/* A whole number in [low, high]; absent: the default. */
dp_status dpi_yaml_int(const dpi_yaml_doc *doc, const dpi_yaml *map, const char *key, int fallback,
                       int low, int high, int *out);

#endif
