/* petab_files.h - for tests: PEtab problems whose files are texts in memory. */
#ifndef PETAB_FILES_H
#define PETAB_FILES_H

#include <string.h>

#include "format/petab.h"

typedef struct petab_text {
  const char *path, *text;
} petab_text;

typedef struct petab_texts {
  const petab_text *file;
  int n;
} petab_texts;

static inline dp_status petab_texts_load(void *user, dp_ctx *ctx, const char *path, char **data, size_t *size) {
  const petab_texts *all = user;
  for (int i = 0; i < all->n; i++) {
    if (strcmp(all->file[i].path, path) != 0) continue;
    *size = strlen(all->file[i].text);
    *data = dpi_alloc(ctx, *size + 1);
    if (!*data) return DP_ERR_MEMORY;
    memcpy(*data, all->file[i].text, *size);
    return DP_OK;
  }
  return dpi_fail(ctx, DP_ERR_IO, "%s: there is no such file", path);
}

/* Version 1 and 2 with the usual files; a test replaces the one it is about. */
#define PETAB_V1_YAML                                                                                                  \
  "format_version: 1\nparameter_file: p.tsv\nproblems:\n- condition_files: [c.tsv]\n  measurement_files: [m.tsv]\n"   \
  "  observable_files: [o.tsv]\n  sbml_files: [model.xml]\n"
#define PETAB_V2_YAML                                                                                                  \
  "format_version: 2.0.0\nparameter_files: [p.tsv]\nmodel_files:\n  m1: {location: model.xml, language: sbml}\n"      \
  "measurement_files: [m.tsv]\nobservable_files: [o.tsv]\ncondition_files: [c.tsv]\nexperiment_files: [e.tsv]\n"      \
  "mapping_files: [map.tsv]\n"

#endif
