/* solve.h - floor 3: integrators for one member at a time, stepwise, with dense output and forward sensitivities.
 *
 *     bind (constants, directions) -> start (t, x, S) -> step ... step -> dense(t) inside the last step
 *
 * What is integrated:  x' = f(t, x, p) + u,   S' = J S + F_p P + U,   one column of S for each of ndir directions,
 * where P [nactive x ndir] are the directions of the active parameters, u [nstate] constant input rates (infusions) and
 * U [nstate x ndir] their directions. S is row-major [nstate x ndir].
 *
 * Methods are folders under src/solve/<name>/, found by name through the generated registry:
 *   linear    exact propagation by the matrix exponential; only where sys->linear (refuses otherwise)
 *   rk853     explicit Runge-Kutta 8(5,3) of Dormand and Prince with 7th-order dense output; stops with
 *             DPI_SOLVE_STIFF when it sees stiffness
 *   cvode     SUNDIALS CVODES: BDF with analytic dense or sparse (KLU) Jacobian and simultaneous/staggered
 *             sensitivities with analytic right-hand side
 *   idas      SUNDIALS IDAS: BDF for systems with algebraic states (index 1); the only one that takes them
 * dpi_solver_create("auto") chooses linear, idas where there are algebraic states, else rk853 with a fall back to cvode
 * for that member when stiff.
 *
 * Algebraic states: 0 = f_i(t, x, p) for the last sys->nalgebraic states. start needs them consistent:
 * dpi_solver_settle. Delayed values: sys->ndelayed symbols are given by whoever keeps the history, through `past`; it
 * keeps `step_limit` below the shortest lag.
 *
 * Invariant: what a solver does depends on this member alone, never on what it did
 * before bind/start. */
#ifndef DPI_SOLVE_H
#define DPI_SOLVE_H

#include "lang/lang.h"

typedef struct dpi_solve_opts {
  double rtol;        /* relative tolerance asked of the *result*; methods apply their own safety inside */
  double atol;        /* absolute tolerance, state units (one for all states unless atol_state) */
  const double *atol_state; /* [nstate] borrowed or NULL */
  int max_steps;      /* between start and the end of integration; 0: 100000 */
  double max_step;    /* 0: none */
  bool sens_error;    /* sensitivities take part in error control (default true) */
} dpi_solve_opts;
dpi_solve_opts dpi_solve_opts_default(void); /* rtol 1e-8, atol 1e-10 */

typedef enum dpi_solve_outcome {
  DPI_SOLVE_OK,
  DPI_SOLVE_STIFF,      /* an explicit method gives up: take an implicit one from the start of this step */
  DPI_SOLVE_TOO_SMALL,  /* step size underflow: likely blow-up */
  DPI_SOLVE_NONFINITE,  /* f is not finite */
  DPI_SOLVE_MAX_STEPS,
  DPI_SOLVE_FAILED,     /* library failure; see reason */
  DPI_SOLVE_MEMORY,     /* no memory: no fault of this member */
  DPI_SOLVE_PIVOT       /* a step in lanes needs pivoting: take a method that does from the start of this step */
} dpi_solve_outcome;

typedef struct dpi_solver dpi_solver; /* one per thread; starts with the fields below, the rest is the method's own */

typedef struct dpi_solver_ops {
  const char *name;
  const char *help;
  bool (*can)(const dpi_system *sys);
  dp_status (*create)(dp_ctx *ctx, const dpi_system *sys, const dpi_solve_opts *opts, int max_dir, dpi_solver **out);
  void (*destroy)(dpi_solver *s);
  /* sym [nsym]: all symbol values (time and states ignored); copied. seed: P [nactive x ndir] copied, may be NULL when
   * ndir = 0. */
  dp_status (*bind)(dpi_solver *s, const double *sym, const double *seed, int ndir);
  /* constant input rates from now on (copied); NULL: zero. Call before start, or between steps (then acts as restart,
   * and dense is not offered until the next step). */
  void (*input)(dpi_solver *s, const double *u, const double *du);
  dpi_solve_outcome (*start)(dpi_solver *s, double t, const double *x, const double *sens);
  /* One accepted step towards t_end, never beyond it; afterwards [t_prev, t_now] can be evaluated by dense. `linear`
   * goes to t_end at once. */
  dpi_solve_outcome (*step)(dpi_solver *s, double t_end);
  /* State (and S unless NULL) anywhere in the last step. Exact at its ends. */
  void (*dense)(dpi_solver *s, double t, double *x, double *sens);
} dpi_solver_ops;

struct dpi_solver {
  const dpi_solver_ops *ops;
  dp_ctx *ctx;
  const dpi_system *sys;
  dpi_solve_opts opts;
  int ndir;
  double t_prev, t_now;   /* last accepted step */
  const double *x_now;    /* [nstate] at t_now, owned by the solver */
  const double *sens_now; /* [nstate x ndir] at t_now, NULL when ndir = 0 */
  double step_limit;      /* no step longer than this; 0: none. May be changed before start and between steps */
  void (*past)(void *user, double t, const double *x, double *delayed); /* must be set when sys->ndelayed > 0 */
  void *past_user;
  const int *some;        /* [nsome] states that dense has to give, where its user wants no others; borrowed. Not
                             all methods make use of it */
  int nsome;              /* 0: all */
  double *point;          /* [nstate + ndelayed] scratch of dpi_solver_point, owned */
  struct dpi_solve_rhs *rhs; /* the method's own (solve_rhs.h); NULL: the method works through others */
  long nstep, nreject, nrhs, njac; /* work since create */
  char reason[160];       /* for an outcome other than OK */
};

/* method: "auto" or a method's name; ERR_UNSUPPORTED names the reason when it can't take this system. */
dp_status dpi_solver_create(dp_ctx *ctx, const char *method, const dpi_system *sys, const dpi_solve_opts *opts,
                            int max_dir, dpi_solver **out);
void dpi_solver_destroy(dpi_solver *s); /* NULL allowed */
/* x with the delayed values behind it, as tapes want it: x itself where nothing is delayed. Borrowed until the next
 * call. */
const double *dpi_solver_point(dpi_solver *s, double t, const double *x);
/* Make the algebraic states of x consistent at t (Newton, from the values they have; differential states stay), then
 * bring fast reactions to rest. Bound solver only. Does nothing where there are neither; FAILED says which constraint
 * can't be met, or that there is no rest. */
dpi_solve_outcome dpi_solver_settle(dpi_solver *s, double t, double *x);
/* All compiled-in methods, NULL-terminated (generated registry). */
const dpi_solver_ops *const *dpi_solver_registry(void);
const char *dpi_solve_outcome_text(dpi_solve_outcome o);

#endif
