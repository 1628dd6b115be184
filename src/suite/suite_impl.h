/* suite_impl.h - floor 8: what the runners of the SBML Test Suite share: cases, results, order.
 *
 * Flow: dpi_suite_run -> dpi_suite_list_read -> in parallel for each case: dpi_suite_case_read, judge -> told in order.
 */
#ifndef DPI_SUITE_IMPL_H
#define DPI_SUITE_IMPL_H

#include "base/base.h"
#include "doppel/suite.h"

/* ---- one case as its folder states it (suite_case.c) ---- */
typedef struct dpi_suite_case {
  dp_ctx *ctx;
  dpi_arena arena;
  const char *id, *dir; /* dir/id-settings.txt */
  /* settings */
  bool timed; /* start, duration and steps are given; else one steady answer is expected */
  double start, duration;
  int steps;
  int nvariable;
  const char **variable; /* ids as written */
  const char **signal;   /* what to ask a sim for: "amount(S)", "concentration(S)" or the id */
  double absolute, relative; /* 0 when not given */
  double mean_range[2], sd_range[2]; /* stochastic; NaN when not given */
  /* results.csv */
  int ncolumn; /* without time */
  const char **column;
  int nrow;
  double *time;  /* [nrow]; NULL unless timed */
  double *value; /* [nrow x ncolumn]; NaN and infinities as they are */
  bool analytic; /* model.m: generatedBy Analytic */
} dpi_suite_case;

dp_status dpi_suite_case_read(dp_ctx *ctx, const char *dir, const char *id, dpi_suite_case **out);
/* The two texts, which are changed, into c, whose ctx and arena are there; c points into them. */
dp_status dpi_suite_case_parse(dpi_suite_case *c, const char *settings_path, char *settings, const char *results_path,
                               char *results);
void dpi_suite_case_destroy(dpi_suite_case *c); /* NULL allowed */
/* Signal of a variable or column; of an id that is no variable, the id. */
const char *dpi_suite_signal(const dpi_suite_case *c, const char *name);
/* Expected value. */
double dpi_suite_expected(const dpi_suite_case *c, int row, int column);

#define DPI_SUITE_FILES 24
typedef struct dpi_suite_file {
  char level[16]; /* "l3v2"; "antimony" */
  const char *path;
} dpi_suite_file;
/* The case's model files, highest level and version first; an Antimony text only where there is no SBML. */
dp_status dpi_suite_files(dpi_suite_case *c, dpi_suite_file file[DPI_SUITE_FILES], int *nfile);

/* ---- all cases of a folder (suite_cases.c) ---- */
typedef struct dpi_suite_list { /* ids in ascending order */
  dpi_arena arena;
  const char *dir;
  int n;
  const char **id;
} dpi_suite_list;
/* Those that def asks for: each of def->only is an id, or two with a '-' between: all from one to the other. One that
 * matches nothing is ERR_INPUT, as is a folder without cases. Free with dpi_arena_release(&list->arena). */
dp_status dpi_suite_list_read(dp_ctx *ctx, const char *dir, const dp_sbml_def *def, dpi_suite_list *list);

/* Judge one case: fill result (id is set). A status other than DP_OK becomes "error" (ERR_UNSUPPORTED: "refused") with
 * the context's message. */
typedef dp_status (*dpi_judge_fn)(dp_ctx *ctx, dpi_suite_case *c, const dp_sbml_def *def, dp_sbml_case *result);
/* All cases on the context's threads; each is called in ascending order, never twice at once, as soon as a case and all
 * before it are done. in_turn: one case after the other (for judges that use the threads themselves). */
dp_status dpi_suite_run(dp_ctx *ctx, const char *dir, const dp_sbml_def *def, bool in_turn, dpi_judge_fn judge,
                        dp_sbml_fn each, void *user);
void dpi_suite_verdict(dp_sbml_case *r, const char *status, const char *fmt, ...) DPI_PRINTF(3, 4);

#endif
