/* relax.c - floor 3: bring fast reactions to rest, everything else standing still.
 *
 * The rates of fast reactions carry the parameter DPI_FAST_SPEED, so that f = slow + speed * fast, and what is
 * followed here is
 *
 *     dx/ds = fast(t, x),   fast = f at speed 1 - f at speed 0,   s -> infinity, t held
 *
 * by linearly implicit Euler steps (I - h J) dx = h fast. Which of several equilibria is reached depends on where x
 * comes from: steps are kept accurate by doubling (one step against two halves) until they are so long that a step
 * is Newton's. What the fast reactions conserve is conserved by each step. Algebraic states stay consistent along
 * the way (rows without I).
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "num/num.h"
#include "solve/solve_rhs.h"

#define STEPS 4000    /* they grow by 1.5 at least: without rest in so many there is none */
#define LONGEST 1e8   /* h |J|: beyond it a step is as good as Newton's */
#define ACCURACY 1e-2 /* of a step, relative to the largest value: enough to stay on the way to the right rest */
#define AT_REST 1e-14 /* a step that moves less, relative to the largest value */

typedef struct relaxer {
  dpi_solver *s;
  double t;
  int n, speed;      /* states; symbol of the speed */
  int na;            /* states that move here */
  int *row;          /* [na] their numbers, owned */
  int *place;        /* [n] place in row, -1: held */
  int *piv;          /* [na] */
  double *block;     /* owned */
  double *out;       /* [nstate + jac_nnz] at speed 0 */
  double *jac;       /* [na x na] of the fast part */
  double *f;         /* [na] the fast part */
  double *lu;        /* [na x na] */
  double *dx;        /* [na] */
  double *one, *two; /* [n] after one step; after two halves */
  double norm;       /* of J */
} relaxer;

/* ---- what moves ---- */
static void mark_rows(const relaxer *k) {
  const dp_model *m = k->s->sys->model;
  for (int i = 0; i < k->n; i++) k->place[i] = i >= k->n - k->s->sys->nalgebraic ? 0 : -1;
  for (int r = 0; r < m->nreaction; r++) {
    for (int c = 0; m->reaction[r].fast && c < m->reaction[r].nchange; c++) {
      int state = m->reaction[r].change[c].state - 1;
      if (state >= 0 && state < k->n) k->place[state] = 0;
    }
  }
}

static bool relaxer_init(relaxer *k) {
  dp_ctx *ctx = k->s->ctx;
  const dpi_system *sys = k->s->sys;
  k->place = DPI_NEW_ARRAY(ctx, int, k->n);
  k->row = DPI_NEW_ARRAY(ctx, int, k->n);
  k->piv = DPI_NEW_ARRAY(ctx, int, k->n);
  if (!k->place || !k->row || !k->piv) return false;
  mark_rows(k);
  for (int i = 0; i < k->n; i++) {
    if (k->place[i] < 0) continue;
    k->place[i] = k->na;
    k->row[k->na++] = i;
  }
  size_t n = (size_t)k->n, na = (size_t)k->na, nout = n + (size_t)sys->jac_nnz;
  k->block = DPI_NEW_ARRAY(ctx, double, nout + 2 * na * na + 2 * na + 2 * n);
  if (!k->block) return false;
  k->out = k->block;
  k->jac = k->out + nout;
  k->lu = k->jac + na * na;
  k->f = k->lu + na * na;
  k->dx = k->f + na;
  k->one = k->dx + na;
  k->two = k->one + n;
  return true;
}

static void relaxer_release(relaxer *k) {
  dp_ctx *ctx = k->s->ctx;
  dpi_free(ctx, k->place);
  dpi_free(ctx, k->row);
  dpi_free(ctx, k->piv);
  dpi_free(ctx, k->block);
}

/* ---- the fast part ---- */
static void evaluate(relaxer *k, double speed, const double *x) {
  dpi_solve_rhs *r = k->s->rhs;
  r->sym[k->speed] = speed;
  dpi_tape_prologue(k->s->sys->full, r->sym, r->reg_full);
  dpi_solve_rhs_full(r, k->t, x);
}

static bool is_algebraic(const relaxer *k, int state) {
  return state >= k->n - k->s->sys->nalgebraic;
}

/* f and J of the fast part at x; rows of algebraic states as they are */
static bool fast_part(relaxer *k, const double *x) {
  const dpi_system *sys = k->s->sys;
  const dpi_solve_rhs *r = k->s->rhs;
  evaluate(k, 0.0, x);
  memcpy(k->out, r->out, (size_t)(k->n + sys->jac_nnz) * sizeof *k->out);
  evaluate(k, 1.0, x);
  for (int a = 0; a < k->na; a++) {
    int i = k->row[a];
    k->f[a] = is_algebraic(k, i) ? r->out[i] : r->out[i] - k->out[i];
  }
  memset(k->jac, 0, (size_t)k->na * (size_t)k->na * sizeof *k->jac);
  k->norm = 0.0;
  for (int e = 0; e < sys->jac_nnz; e++) {
    int i = sys->jac_row[e], a = k->place[i], b = k->place[sys->jac_col[e]];
    if (a < 0 || b < 0) continue;
    double v = r->out[k->n + e] - (is_algebraic(k, i) ? 0.0 : k->out[k->n + e]);
    k->jac[a * k->na + b] = v;
    if (!is_algebraic(k, i) && fabs(v) > k->norm) k->norm = fabs(v);
  }
  return dpi_solve_nonfinite(k->f, k->na) < 0 && dpi_solve_nonfinite(k->jac, k->na * k->na) < 0;
}

/* y = x + dx, from the f and J at hand */
static bool step(relaxer *k, double h, const double *x, double *y) {
  int na = k->na;
  for (int a = 0; a < na; a++) {
    bool constraint = is_algebraic(k, k->row[a]);
    for (int b = 0; b < na; b++) {
      double v = k->jac[a * na + b];
      k->lu[a * na + b] = constraint ? -v : (a == b ? 1.0 : 0.0) - h * v;
    }
    k->dx[a] = constraint ? k->f[a] : h * k->f[a];
  }
  if (!dpi_lu(k->lu, na, k->piv)) return false;
  dpi_lu_solve(k->lu, na, k->piv, k->dx);
  memcpy(y, x, (size_t)k->n * sizeof *y);
  for (int a = 0; a < na; a++) y[k->row[a]] += k->dx[a];
  return dpi_solve_nonfinite(k->dx, na) < 0;
}

static double largest(const relaxer *k, const double *x) {
  double most = 0.0;
  for (int a = 0; a < k->na; a++) most = fmax(most, fabs(x[k->row[a]]));
  return most;
}

static double distance(const relaxer *k, const double *x, const double *y) {
  double most = 0.0;
  for (int a = 0; a < k->na; a++) most = fmax(most, fabs(x[k->row[a]] - y[k->row[a]]));
  return most;
}

/* One try with h: k->two is where two halves lead. Infinite: it can't be made. */
static double try_step(relaxer *k, double h, const double *x) {
  if (!fast_part(k, x) || !step(k, h, x, k->one)) return INFINITY;
  if (!step(k, 0.5 * h, x, k->two) || !fast_part(k, k->two)) return INFINITY;
  double *half = k->out; /* its values are used up: at least [n] */
  memcpy(half, k->two, (size_t)k->n * sizeof *half);
  if (!step(k, 0.5 * h, half, k->two)) return INFINITY;
  return distance(k, k->one, k->two);
}

static dpi_solve_outcome restless(relaxer *k, const char *what) {
  snprintf(k->s->reason, sizeof k->s->reason, "at t = %.10g: the fast reactions %s", k->t, what);
  return DPI_SOLVE_FAILED;
}

static dpi_solve_outcome follow(relaxer *k, double *x) {
  if (!fast_part(k, x)) return restless(k, "have a rate that is not finite");
  double scale = largest(k, x), h = k->norm > 0.0 ? 0.1 / k->norm : 1.0;
  for (int turn = 0; turn < STEPS; turn++) {
    double error = try_step(k, h, x), size = fmax(scale, largest(k, k->two));
    if (!(error <= ACCURACY * size)) {
      h *= 0.25;
      continue;
    }
    double moved = distance(k, x, k->two);
    memcpy(x, k->two, (size_t)k->n * sizeof *x);
    scale = fmax(scale, largest(k, x));
    if (moved <= AT_REST * scale && h * k->norm >= 1.0) return DPI_SOLVE_OK;
    if (moved == 0.0) return DPI_SOLVE_OK;
    h *= error <= 0.1 * ACCURACY * size ? 4.0 : 1.5;
    if (h * k->norm > LONGEST) h = LONGEST / k->norm;
  }
  return restless(k, "do not come to rest");
}

dpi_solve_outcome dpi_solver_relax(dpi_solver *s, double t, double *x) {
  const dpi_system *sys = s->sys;
  int speed = dpi_model_find(sys->model, DPI_FAST_SPEED);
  if (speed < 0 || s->rhs == NULL) return DPI_SOLVE_OK;
  relaxer k = {.s = s, .t = t, .n = sys->nstate, .speed = speed};
  double kept = s->rhs->sym[speed];
  dpi_solve_outcome o = DPI_SOLVE_MEMORY;
  if (relaxer_init(&k)) {
    o = k.na > 0 ? follow(&k, x) : DPI_SOLVE_OK;
    s->rhs->sym[speed] = kept;
    dpi_tape_prologue(sys->full, s->rhs->sym, s->rhs->reg_full);
  } else {
    snprintf(s->reason, sizeof s->reason, "at t = %.10g: no memory to bring fast reactions to rest",
             t);
  }
  relaxer_release(&k);
  return o;
}
