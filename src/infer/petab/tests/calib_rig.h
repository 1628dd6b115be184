/* calib_rig.h - what the folder's tests share: a context, a folder of their own, files written from texts. */
#ifndef DPI_CALIB_RIG_H
#define DPI_CALIB_RIG_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/tests/failing_memory.h"
#include "infer/petab/calib.h"

typedef struct rig {
  dp_ctx *ctx;
  failing_memory memory;
  char dir[64], path[200];
  char made[16][160]; /* files, removed at the end */
  int nmade;
} rig;

static inline int rig_setup(void **state) {
  rig *r = calloc(1, sizeof *r);
  if (!r) return -1;
  dp_ctx_def def = failing_def(&r->memory);
  def.interpret = 1; /* no thread asks for memory meanwhile */
  if (dp_ctx_create(&def, &r->ctx) != DP_OK) return -1;
  strcpy(r->dir, "/tmp/doppel-calib-XXXXXX");
  if (!mkdtemp(r->dir)) return -1;
  *state = r;
  return 0;
}

static inline void rig_clear(rig *r) {
  for (; r->nmade > 0; r->nmade--) unlink(r->made[r->nmade - 1]);
}

static inline int rig_teardown(void **state) {
  rig *r = *state;
  rig_clear(r);
  rmdir(r->dir);
  dp_ctx_destroy(r->ctx);
  free(r);
  return 0;
}

/* '|' becomes a tab: tables stay legible in the tests. */
static inline void rig_file(rig *r, const char *name, const char *text) {
  char *path = r->made[r->nmade];
  int at = 0;
  while (at < r->nmade && !strstr(r->made[at], name)) at++;
  if (at < r->nmade)
    path = r->made[at];
  else
    r->nmade++;
  snprintf(path, sizeof r->made[0], "%s/%s", r->dir, name);
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  const bool table = strstr(name, ".tsv") != NULL;
  for (const char *p = text; *p; p++) fputc(table && *p == '|' ? '\t' : *p, f);
  fclose(f);
}

typedef struct tables { /* version 2; NULL: none */
  const char *model, *parameters, *observables, *measurements, *conditions, *experiments;
} tables;

static inline const char *rig_v2(rig *r, const tables *t) {
  char yaml[1000];
  rig_clear(r);
  rig_file(r, "model.ant", t->model);
  rig_file(r, "parameters.tsv", t->parameters);
  rig_file(r, "observables.tsv", t->observables);
  rig_file(r, "measurements.tsv", t->measurements);
  if (t->conditions) rig_file(r, "conditions.tsv", t->conditions);
  if (t->experiments) rig_file(r, "experiments.tsv", t->experiments);
  snprintf(yaml, sizeof yaml,
           "format_version: 2.0.0\nparameter_files: [parameters.tsv]\nmodel_files:\n  m:\n    language: antimony\n    "
           "location: "
           "model.ant\nobservable_files: [observables.tsv]\nmeasurement_files: [measurements.tsv]\n%s%s",
           t->conditions ? "condition_files: [conditions.tsv]\n" : "",
           t->experiments ? "experiment_files: [experiments.tsv]\n" : "");
  rig_file(r, "problem.yaml", yaml);
  snprintf(r->path, sizeof r->path, "%s/problem.yaml", r->dir);
  return r->path;
}

static inline const char *rig_v1(rig *r, const tables *t) {
  rig_clear(r);
  rig_file(r, "model.xml", t->model);
  rig_file(r, "parameters.tsv", t->parameters);
  rig_file(r, "observables.tsv", t->observables);
  rig_file(r, "measurements.tsv", t->measurements);
  rig_file(r, "conditions.tsv", t->conditions);
  rig_file(
      r, "problem.yaml",
      "format_version: 1\nparameter_file: parameters.tsv\nproblems:\n- sbml_files: [model.xml]\n  condition_files: "
      "[conditions.tsv]\n  measurement_files: [measurements.tsv]\n  observable_files: [observables.tsv]\n");
  snprintf(r->path, sizeof r->path, "%s/problem.yaml", r->dir);
  return r->path;
}

static inline dp_problem *rig_open(rig *r, const char *path, dp_problem_derivative derivative) {
  dp_problem_def def = dp_problem_def_default();
  dp_problem *p = NULL;
  def.rtol = 1e-11;
  def.atol = 1e-15;
  def.derivative = derivative;
  if (dp_problem_open(r->ctx, path, &def, &p) != DP_OK) fail_msg("%s", dp_ctx_error(r->ctx));
  return p;
}

/* At the nominal point. */
static inline dp_problem_value rig_eval(dp_problem *p, unsigned what, dp_problem_value v) {
  assert_int_equal(dp_problem_eval(p, 1, dp_problem_describe(p)->nominal, what, &v), DP_OK);
  if (!v.ok) fail_msg("%s", v.reason);
  return v;
}

static inline void check_near(const char *what, double got, double want, double tolerance) {
  if (!(fabs(got - want) <= tolerance * (1 + fabs(want)))) fail_msg("%s: found %.15g, expected %.15g", what, got, want);
}

/* Central differences, extrapolated twice. */
static inline double rig_difference(dp_problem *p, int q, double h) {
  const dp_problem_desc *d = dp_problem_describe(p);
  double x[6][32], slope[3];
  dp_problem_value v[6] = {{0}};
  assert_true(d->nparam <= 32);
  for (int i = 0; i < 6; i++) {
    memcpy(x[i], d->nominal, sizeof(double) * (size_t)d->nparam);
    x[i][q] += (i % 2 ? -h : h) / (1 << (i / 2));
  }
  for (int i = 0; i < 6; i++) {
    assert_int_equal(dp_problem_eval(p, 1, x[i], DP_PROBLEM_VALUE, &v[i]), DP_OK);
    if (!v[i].ok) fail_msg("%s", v[i].reason);
  }
  for (int i = 0; i < 3; i++) slope[i] = (v[2 * i].llh - v[2 * i + 1].llh) / (x[2 * i][q] - x[2 * i + 1][q]);
  const double a = (4 * slope[1] - slope[0]) / 3, b = (4 * slope[2] - slope[1]) / 3;
  return (16 * b - a) / 15;
}

/* Opening a problem and evaluating it at x (NULL: the nominal point) with memory that ends at any request. */
static inline void rig_short_of_memory(rig *r, const char *path, const double *x, unsigned what, dp_problem_value v) {
  const dp_problem_def def = dp_problem_def_default();
  const size_t live = dpi_alloc_live(r->ctx);
  bool done = false;
  for (long n = 0; !done; n += 1 + n / 6) {
    dp_problem *p = NULL;
    failing_next(&r->memory, n);
    dp_status st = dp_problem_open(r->ctx, path, &def, &p);
    if (st == DP_OK) st = dp_problem_eval(p, 1, x ? x : dp_problem_describe(p)->nominal, what, &v);
    done = !failing_happened(&r->memory);
    failing_never(&r->memory);
    if (!done && st != DP_ERR_MEMORY && st != DP_OK) fail_msg("request %ld: %s", n, dp_ctx_error(r->ctx));
    dp_problem_close(p);
    dp_ctx_clear_error(r->ctx);
    if (dpi_alloc_live(r->ctx) != live) fail_msg("request %ld: %zu blocks are left", n, dpi_alloc_live(r->ctx) - live);
  }
}

static inline void check_refused(rig *r, const char *path, dp_status status, const char *part) {
  dp_problem_def def = dp_problem_def_default();
  dp_problem *p = NULL;
  dp_ctx_clear_error(r->ctx);
  const dp_status st = dp_problem_open(r->ctx, path, &def, &p);
  if (st != status || !strstr(dp_ctx_error(r->ctx), part))
    fail_msg("found %s: %s; expected %s: ...%s...", dp_status_name(st), dp_ctx_error(r->ctx), dp_status_name(status),
             part);
  assert_null(p);
  dp_ctx_clear_error(r->ctx);
}

#endif
