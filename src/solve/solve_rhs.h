/* solve_rhs.h - floor 3, private to the room: the right-hand side that all methods share.
 *
 *     x' = f(t, x, p) + u        S' = J S + F_p P + U
 *
 * One object holds a member's symbol array, the tapes' workspaces and the input, and evaluates
 * either f alone (rhs tape) or f, J and F_p at once (full tape).
 *
 * Invariants:
 *   1. bind runs both prologues once; afterwards only sym[0] (time) and sym[1..nstate] (x) change;
 *   2. S is row-major [nstate x ndir], so that loops over directions run through contiguous memory.
 */
#ifndef DPI_SOLVE_RHS_H
#define DPI_SOLVE_RHS_H

#include "solve/solve.h"

/* One term of F_p P that is not structurally zero: S'[row][dir] += F_p[entry] * weight. */
typedef struct dpi_solve_term {
  int row, dir;
  int at;        /* row * ndir + dir */
  int entry;     /* index into the F_p values */
  double weight; /* P[col of entry][dir] */
} dpi_solve_term;

typedef struct dpi_solve_rhs {
  const dpi_system *sys;
  dpi_solver *delayed; /* who gives the delayed values; NULL: there are none */
  int max_dir, ndir;
  bool has_u, has_du;
  double *sym;      /* [nsym] */
  double *reg_rhs;  /* workspace of the rhs tape */
  double *reg_full; /* workspace of the full tape */
  double *out;      /* [nstate + jac_nnz + fp_nnz] what the full tape gave last */
  double *seed;     /* P [nactive x ndir] */
  double *u;        /* [nstate] */
  double *du;       /* U [nstate x ndir] */
  dpi_solve_term *term;
  int nterm;
  long nrhs, njac; /* evaluations of either tape; of the full tape */
} dpi_solve_rhs;

dp_status dpi_solve_rhs_init(dpi_solver *s, int max_dir, dpi_solve_rhs *r);
void dpi_solve_rhs_release(dpi_solver *s, dpi_solve_rhs *r);
/* ERR_USAGE when ndir is out of range or P is missing. */
dp_status dpi_solve_rhs_bind(dp_ctx *ctx, dpi_solve_rhs *r, const double *sym, const double *seed,
                             int ndir);
void dpi_solve_rhs_input(dpi_solve_rhs *r, const double *u, const double *du);

/* f = x'. False when something in it is not finite. */
bool dpi_solve_rhs_f(dpi_solve_rhs *r, double t, const double *x, double *f);
/* Evaluate the full tape at (t, x): r->out is [f without u, J values, F_p values]. */
void dpi_solve_rhs_full(dpi_solve_rhs *r, double t, const double *x);
/* The longest step allowed by max_step and step_limit; 0: any. */
static inline double dpi_solve_step_limit(const dpi_solver *s) {
  double a = s->opts.max_step, b = s->step_limit;
  return b > 0.0 && !(a > 0.0 && a < b) ? b : a;
}
/* After dpi_solve_rhs_full: f and, from S, S'. False when something is not finite. */
bool dpi_solve_rhs_apply(const dpi_solve_rhs *r, const double *sens, double *f, double *dsens);
/* J values of the last dpi_solve_rhs_full. */
static inline const double *dpi_solve_rhs_jac(const dpi_solve_rhs *r) {
  return r->out + r->sys->nstate;
}

/* Size of a change of the parameters along direction dir: max over active p of |P| / max(1, |p|), 1
 * when P is zero there (a direction of doses only). Absolute tolerances of sensitivities are the
 * states' times this. */
double dpi_solve_scale(const dpi_system *sys, const double *sym, const double *seed, int dir, int ndir);
double dpi_solve_rhs_scale(const dpi_solve_rhs *r, int dir);
/* Index of the first element that is not finite, -1: all are. */
int dpi_solve_nonfinite(const double *v, int n);
/* Write "at t = 3.5: d[depot]/dt is not finite" into s->reason for the first bad element of f. */
void dpi_solve_say_nonfinite(dpi_solver *s, double t, const double *f);
/* Bring fast reactions to rest at t, in x (relax.c). Does nothing where there are none. */
dpi_solve_outcome dpi_solver_relax(dpi_solver *s, double t, double *x);
/* Add "; depot changes fastest" to s->reason: relative to its size, at (t, x). f [nstate] is scratch. */
void dpi_solve_say_fastest(dpi_solver *s, double t, const double *x, double *f);
/* id of state i, "?" when out of range */
const char *dpi_solve_state_id(const dpi_system *sys, int i);

#endif
