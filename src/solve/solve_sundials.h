/* solve_sundials.h - floor 3, private to the room: what the two SUNDIALS methods, cvode and idas, share.
 *
 * One object beside the method's own: the library's context, the state vector and its tolerances, the matrix with its
 * pattern and its linear solver, and the bookkeeping of steps. The method keeps the integrator's memory and its two
 * copies of x.
 *
 * Invariants:
 *   1. `dirty`: the next step re-initialises the integrator at (t_now, x_now); nothing it learned before survives;
 *   2. `moved`: the last step was the library's, so it can interpolate;
 *   3. SUNDIALS allocates by the C library: its blocks do not pass the context's hook, the
 * pattern does. */
#ifndef DPI_SOLVE_SUNDIALS_H
#define DPI_SOLVE_SUNDIALS_H

#include <sundials/sundials_linearsolver.h>
#include <sundials/sundials_matrix.h>
#include <sundials/sundials_nvector.h>

#include "solve/solve_rhs.h"

enum { DPI_KLU_AMD = 0 }; /* orderings by the library's number */

typedef struct dpi_sundials {
  SUNContext sun;
  N_Vector y, atol, dky; /* state; absolute tolerance of a step; scratch */
  SUNMatrix jac;
  SUNLinearSolver lin;
  bool sparse;
  int nnz;           /* sparse: pattern of J and the diagonal, by columns */
  sunindextype *colptr, *rowval;
  int *place;        /* [jac_nnz] where entry k of the tape goes */
  int *diagonal;     /* [nstate] where the diagonal goes */
  bool dirty, moved;
  long taken;        /* steps since start */
  int ntiny;         /* tiny steps in a row */
  long fails_seen;   /* error test failures already counted */
  char message[80];  /* what the library said last */
} dpi_sundials;

/* What is asked of a step so that the result keeps rtol. */
double dpi_sundials_safety(const dpi_solve_opts *o);
double dpi_sundials_rtol(const dpi_solve_opts *o);

/* Pattern (where sparse pays), context, vectors with the tolerances of a step, matrix, linear solver. Not for systems
 * without states. What was made is given back by release, also after a failure. */
dp_status dpi_sundials_init(dpi_solver *s, dpi_sundials *c);
void dpi_sundials_tolerances(const dpi_solver *s, dpi_sundials *c); /* of a step, into atol (done by init) */
dp_status dpi_sundials_failed(dpi_solver *s, const dpi_sundials *c); /* the integrator could not be set up: says so */
void dpi_sundials_release(dpi_solver *s, dpi_sundials *c);

/* Error handler of either library; user: dpi_sundials. */
void dpi_sundials_on_error(int code, const char *module, const char *function, char *text, void *user);
/* The tape's Jacobian values into the library's matrix, whose old content does not matter. */
void dpi_sundials_fill(const dpi_sundials *c, const dpi_system *sys, const double *value, SUNMatrix jac);
/* Subtract shift from the first n elements of its diagonal. */
void dpi_sundials_shift(const dpi_sundials *c, int n, double shift, SUNMatrix jac);

/* A start at (t_now, x_now) was asked, x [nstate]: its check and the bookkeeping. */
dpi_solve_outcome dpi_sundials_start(dpi_solver *s, dpi_sundials *c, double t, const double *x);
void dpi_sundials_restarted(dpi_sundials *c);
/* Before a step: true when nothing is left to do, *o says why: t_end is reached (a distance below the resolution of
 * time is jumped over), or too many steps. Else *stop: where this step has to end at the latest. */
bool dpi_sundials_before(dpi_solver *s, dpi_sundials *c, double t_end, double *stop, dpi_solve_outcome *o);
/* After a good step to t_new: time, counts. */
void dpi_sundials_after(dpi_solver *s, dpi_sundials *c, double t_new);
/* After it, once x_now is known: h and last are the step and the library's own; TOO_SMALL: its steps stay at the
 * rounding of t. f [nstate] is scratch. */
dpi_solve_outcome dpi_sundials_tiny(dpi_solver *s, dpi_sundials *c, double h, double last, double *f);
/* fails: error test failures since the restart. */
void dpi_sundials_count(dpi_solver *s, dpi_sundials *c, long fails);

/* Is t an end of the last step (or is there none to interpolate)? Then its state: now or prev; else NULL. */
const double *dpi_sundials_end(const dpi_solver *s, const dpi_sundials *c, double t, const double *now,
                               const double *prev);

#endif
