/* settle.c - floor 3: bring the algebraic states to where their constraints hold, the others held.
 *
 * Newton on 0 = g(t, y, z) in z, from the values z has, with the exact block dg/dz (LU). A step is
 * halved until the next correction foretold by the same block is smaller (the natural monotonicity
 * test: P. Deuflhard, Newton Methods for Nonlinear Problems, 2004, section 3.3): it does not care
 * how the equations are scaled. Where the block is singular at the very start (z = 0 for z^2 = y),
 * z is moved a little, always in the same way.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "num/num.h"
#include "solve/solve_rhs.h"

#define TURNS 60      /* Newton steps */
#define HALVINGS 30   /* of one step */
#define NUDGES 4      /* other starts where the block is singular */

typedef struct settler {
  dpi_solver *s;
  double t;
  int n, na, first; /* states, algebraic ones, the first of these */
  double *x;        /* [n] the caller's */
  double *block;    /* owned */
  double *lu;       /* [na x na] */
  double *step;     /* [na] Newton's correction */
  double *next;     /* [na] the one after it, foretold */
  double *trial;    /* [n] */
  double *f;        /* [n] */
  int *piv;         /* [na], owned */
} settler;

static dpi_solve_outcome without_memory(dpi_solver *s, double t) {
  snprintf(s->reason, sizeof s->reason, "at t = %.10g: no memory to settle the constraints", t);
  return DPI_SOLVE_MEMORY;
}

static bool settler_init(settler *k) {
  dp_ctx *ctx = k->s->ctx;
  size_t n = (size_t)k->n, na = (size_t)k->na;
  k->block = DPI_NEW_ARRAY(ctx, double, na * na + 2 * na + 2 * n);
  k->piv = DPI_NEW_ARRAY(ctx, int, na);
  if (!k->block || !k->piv) return false;
  k->lu = k->block;
  k->step = k->lu + na * na;
  k->next = k->step + na;
  k->trial = k->next + na;
  k->f = k->trial + n;
  return true;
}

static void settler_release(settler *k) {
  dpi_free(k->s->ctx, k->block);
  dpi_free(k->s->ctx, k->piv);
}

/* Length of a correction in units of what z can resolve, here or at x; infinite or NaN when it is not finite. The same
 * units for both ends of a step: else going towards zero would look longer. A unit is 1e-12 of a value (some thousand
 * roundings, far finer than results are asked for); about zero a ten-thousandth of the absolute tolerance. */
static double length(const settler *k, const double *step, const double *x) {
  const dpi_solve_opts *o = &k->s->opts;
  double most = 0.0;
  for (int i = 0; i < k->na; i++) {
    double atol = o->atol_state ? o->atol_state[k->first + i] : o->atol;
    double size = fmax(fabs(x[k->first + i]), fabs(k->x[k->first + i]));
    double unit = 1e-12 * size + 1e-4 * fmin(atol, 1e-8);
    double v = fabs(step[i]) / unit;
    if (!(v <= most)) most = v;
  }
  return most;
}

/* The block dg/dz at x, factored, and g in f; what is wrong with it, or NULL. */
static const char *factor(settler *k, const double *x) {
  const dpi_system *sys = k->s->sys;
  dpi_solve_rhs *r = k->s->rhs;
  dpi_solve_rhs_full(r, k->t, x);
  const double *jac = dpi_solve_rhs_jac(r);
  memset(k->lu, 0, (size_t)k->na * (size_t)k->na * sizeof *k->lu);
  for (int e = 0; e < sys->jac_nnz; e++) {
    int i = sys->jac_row[e] - k->first, j = sys->jac_col[e] - k->first;
    if (i >= 0 && j >= 0) k->lu[i * k->na + j] = jac[e];
  }
  memcpy(k->f, r->out, (size_t)k->n * sizeof *k->f);
  if (dpi_solve_nonfinite(k->f + k->first, k->na) >= 0) return "is not finite";
  if (dpi_solve_nonfinite(k->lu, k->na * k->na) >= 0) return "has a derivative that is not finite";
  return dpi_lu(k->lu, k->na, k->piv) ? NULL : "does not say which value it determines";
}

/* trial = x with a part of the step; the next correction and its length. */
static double foretell(settler *k, double part) {
  memcpy(k->trial, k->x, (size_t)k->n * sizeof *k->x);
  for (int i = 0; i < k->na; i++) k->trial[k->first + i] += part * k->step[i];
  (void)dpi_solve_rhs_f(k->s->rhs, k->t, k->trial, k->f);
  for (int i = 0; i < k->na; i++) k->next[i] = -k->f[k->first + i];
  dpi_lu_solve(k->lu, k->na, k->piv, k->next);
  return length(k, k->next, k->trial);
}

/* Move z a little: other amounts for each of them and each turn. */
static void nudge(settler *k, int turn) {
  for (int i = 0; i < k->na; i++) {
    double *z = &k->x[k->first + i];
    *z += 1e-3 * (1 + turn) * (1.0 + 0.1 * (i % 7)) * (fabs(*z) > 1.0 ? fabs(*z) : 1.0);
  }
}

static dpi_solve_outcome unmet(settler *k, const char *what) {
  int which = dpi_solve_nonfinite(k->f + k->first, k->na);
  for (int i = 0, none = which < 0; none && i < k->na; i++)
    if (which < 0 || fabs(k->f[k->first + i]) > fabs(k->f[k->first + which])) which = i;
  snprintf(k->s->reason, sizeof k->s->reason,
           "at t = %.10g: the constraint that determines %s %s", k->t,
           dpi_solve_state_id(k->s->sys, k->first + which), what);
  return DPI_SOLVE_FAILED;
}

/* One damped Newton step; *done when it was the last one needed. */
static dpi_solve_outcome improve(settler *k, int turn, int *nudges, bool *done) {
  const char *wrong = factor(k, k->x);
  if (wrong) {
    if ((*nudges)++ >= NUDGES) return unmet(k, wrong);
    nudge(k, *nudges);
    return DPI_SOLVE_OK;
  }
  for (int i = 0; i < k->na; i++) k->step[i] = -k->f[k->first + i];
  dpi_lu_solve(k->lu, k->na, k->piv, k->step);
  const double size = length(k, k->step, k->x);
  *done = size <= 1.0;
  if (*done && turn > 0) return DPI_SOLVE_OK;
  double part = 1.0, next = foretell(k, part);
  for (int h = 0; h < HALVINGS && size > 1.0 && !(next <= (1.0 - 0.25 * part) * size); h++) {
    part *= 0.5;
    next = foretell(k, part);
  }
  if (dpi_solve_nonfinite(k->trial + k->first, k->na) >= 0) return unmet(k, "is not finite");
  /* at the resolution of numbers nothing gets smaller any more: well if that is within 1e-8 of a value, the tolerance
   * of results by default */
  if (size > 1.0 && !(next < size)) {
    *done = size < 1e4;
    return *done ? DPI_SOLVE_OK : unmet(k, "can't be met");
  }
  memcpy(k->x, k->trial, (size_t)k->n * sizeof *k->x);
  *done = next <= 1.0;
  return DPI_SOLVE_OK;
}

dpi_solve_outcome dpi_solver_settle(dpi_solver *s, double t, double *x) {
  const dpi_system *sys = s->sys;
  if (sys->nalgebraic == 0) return dpi_solver_relax(s, t, x);
  settler k = {.s = s, .t = t, .n = sys->nstate, .na = sys->nalgebraic, .x = x};
  k.first = k.n - k.na;
  s->reason[0] = '\0';
  dpi_solve_outcome o = settler_init(&k) ? DPI_SOLVE_OK : without_memory(s, t);
  int bad = dpi_solve_nonfinite(x, k.first);
  if (o == DPI_SOLVE_OK && bad >= 0) {
    snprintf(s->reason, sizeof s->reason, "at t = %.10g: %s is not finite", t,
             dpi_solve_state_id(sys, bad));
    o = DPI_SOLVE_NONFINITE;
  }
  for (int i = k.first; i < k.n; i++)
    if (!isfinite(x[i])) x[i] = 1.0; /* nobody said where to begin */
  bool done = false;
  int nudges = 0;
  for (int turn = 0; o == DPI_SOLVE_OK && !done; turn++)
    o = turn < TURNS ? improve(&k, turn, &nudges, &done) : unmet(&k, "can't be met");
  settler_release(&k);
  return o == DPI_SOLVE_OK ? dpi_solver_relax(s, t, x) : o;
}
