/* solve_rig.h - what the tests of this room share: a model text becomes a system, a solver goes
 * through a list of times. */
#ifndef DPI_SOLVE_RIG_H
#define DPI_SOLVE_RIG_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "solve/solve.h"

enum { RIG_ACTIVE = 8, RIG_STATE = 64 };

typedef struct rig {
  dp_ctx *ctx;
  dp_model *model;
  dpi_system *sys;
  int nactive;
  int active[RIG_ACTIVE];
  double *sym;                          /* [nsym] the model's own values */
  double seed[RIG_ACTIVE * RIG_ACTIVE]; /* unit directions: one for each active parameter */
} rig;

static inline void rig_must(const rig *r, dp_status status) {
  if (status != DP_OK) print_error("%s: %s\n", dp_status_name(status), dp_ctx_error(r->ctx));
  assert_int_equal(status, DP_OK);
}

/* Index of a state, 0-based, or of a symbol. */
static inline int rig_sym(const rig *r, const char *id) {
  int s = dpi_model_find(r->model, id);
  assert_true(s > 0);
  return s;
}
static inline int rig_state(const rig *r, const char *id) { return rig_sym(r, id) - 1; }

/* active: ids separated by spaces, "" for none. */
static inline rig rig_make(const char *text, const char *active) {
  rig r = {0};
  dp_ctx_def def = dp_ctx_def_default();
  assert_int_equal(dp_ctx_create(&def, &r.ctx), DP_OK);
  rig_must(&r, dpi_antimony_read(r.ctx, text, strlen(text), "test.ant", &r.model));
  rig_must(&r, dp_model_seal(r.model));
  char ids[256];
  snprintf(ids, sizeof ids, "%s", active);
  for (char *id = strtok(ids, " "); id; id = strtok(NULL, " "))
    r.active[r.nactive++] = rig_sym(&r, id);
  rig_must(&r, dpi_system_create(r.ctx, r.model, r.active, r.nactive, &r.sys));
  r.sym = calloc((size_t)r.model->nsym, sizeof *r.sym);
  assert_non_null(r.sym);
  for (int i = 0; i < r.model->nsym; i++)
    if (r.model->sym[i].kind == DPI_SYM_PARAM) r.sym[i] = r.model->sym[i].value;
  for (int a = 0; a < r.nactive; a++) r.seed[a * r.nactive + a] = 1.0;
  return r;
}

static inline void rig_drop(rig *r) {
  free(r->sym);
  dpi_system_destroy(r->sys);
  dp_model_destroy(r->model);
  assert_int_equal(dpi_alloc_live(r->ctx), 0);
  dp_ctx_destroy(r->ctx);
}

static inline dpi_solver *rig_solver(const rig *r, const char *method, double rtol, double atol) {
  dpi_solve_opts o = dpi_solve_opts_default();
  o.rtol = rtol;
  o.atol = atol;
  dpi_solver *s = NULL;
  rig_must(r, dpi_solver_create(r->ctx, method, r->sys, &o, r->nactive, &s));
  return s;
}

/* Step until t_end. */
static inline dpi_solve_outcome rig_go(dpi_solver *s, double t_end) {
  while (s->t_now < t_end) {
    dpi_solve_outcome o = s->ops->step(s, t_end);
    if (o != DPI_SOLVE_OK) return o;
  }
  return DPI_SOLVE_OK;
}

static inline void rig_must_go(dpi_solver *s, double t_end) {
  dpi_solve_outcome o = rig_go(s, t_end);
  if (o != DPI_SOLVE_OK)
    print_error("%s: %s: %s\n", s->ops->name, dpi_solve_outcome_text(o), s->reason);
  assert_int_equal(o, DPI_SOLVE_OK);
  assert_true(s->t_now == t_end);
}

/* |a - b| <= rel |b| + abs, says what differed. */
static inline void rig_near(const char *what, double t, double a, double b, double rel,
                            double abs_) {
  if (fabs(a - b) <= rel * fabs(b) + abs_) return;
  print_error("%s at t = %g: found %.17g, expected %.17g, relative %.3g\n", what, t, a, b,
              fabs(a - b) / fabs(b));
  fail();
}

#endif
