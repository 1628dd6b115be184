/* select_arguments.h - floor 6, inside infer/estimate: what a PEtab Select problem says to famos. */
#ifndef DPI_SELECT_ARGUMENTS_H
#define DPI_SELECT_ARGUMENTS_H

#include "infer/estimate/select_famos.h"
#include "kind/kind_yaml.h"

typedef struct dpi_select_names { /* what arguments refer to */
  dpi_arena *arena;
  const char *path, *criterion; /* the problem's file */
  int nparam;
  const char *const *param; /* columns of the model space */
  const bool *may_fix, *may_estimate;
} dpi_select_names;

/* A name in a file at path, seen from that file's folder. NULL: no memory. */
const char *dpi_select_beside(dpi_arena *arena, const char *path, const char *name);
bool dpi_select_is_null(const dpi_yaml *node); /* missing, empty, null */
/* candidate_space_arguments (NULL: none) into out, whose may_fix, may_estimate and nparam are set. */
dp_status dpi_select_arguments(const dpi_select_names *names, const dpi_yaml *args, dpi_famos_def *out);

#endif
