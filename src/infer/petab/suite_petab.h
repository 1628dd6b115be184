/* suite_petab.h - floor 6, private to the folder: what PEtab's two suites share. */
#ifndef DPI_SUITE_PETAB_H
#define DPI_SUITE_PETAB_H

#include "base/base.h"
#include "doppel/suite.h"

/* Names in a folder, sorted, without hidden ones; memory from the arena. */
dp_status dpi_suite_names(dpi_arena *arena, const char *dir, int *n, const char ***out);
bool dpi_suite_folder(const char *path);
bool dpi_suite_wanted(const dp_petab_suite_def *def, const char *id);
/* ERR_INPUT: a case or problem is asked for, or to be left out, that is none of id [n]. */
dp_status dpi_suite_all_found(dp_ctx *ctx, const dp_petab_suite_def *def, const char *dir, const char *const *id, int n);
dp_status dpi_suite_check_def(dp_ctx *ctx, const char *dir, const dp_petab_suite_def *def);
dp_status dpi_suite_outcome(dp_ctx *ctx, dp_status st, char status[12], char *why, size_t room);

#endif
