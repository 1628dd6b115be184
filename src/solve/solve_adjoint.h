/* solve_adjoint.h - floor 3: the way back along a piece of a path that no lane can go, by CVODES.
 *
 *     lambda' = -J^T lambda        mu = integral of F_p^T lambda        u_bar = integral of lambda
 *
 * from the piece's end to its beginning, with weights added to lambda where outputs were read. The piece is integrated
 * once more on the way forward (steps kept, checkpoints beyond `memory`), so all it takes is where it began. What comes
 * out is the derivative to tolerance, not that of the steps that were taken.
 *
 *     dpi_adjoint_path(a, sym, u, t0, x0, t1)
 *     dpi_adjoint_weigh(a, t, w)  ...              from late to early
 *     dpi_adjoint_start(a, lambda, mu, u_bar)      adds to these
 */
#ifndef DPI_SOLVE_ADJOINT_H
#define DPI_SOLVE_ADJOINT_H

#include "solve/solve.h"

typedef struct dpi_adjoint dpi_adjoint; /* one per thread */

/* Differential equations without delays or constraints, at least one state. */
bool dpi_adjoint_can(const dpi_system *sys);
/* inputs: there are input rates now and then. memory: bytes for steps kept at a time. */
dp_status dpi_adjoint_create(dp_ctx *ctx, const dpi_system *sys, const dpi_solve_opts *opts, bool inputs, size_t memory,
                             dpi_adjoint **out);
void dpi_adjoint_destroy(dpi_adjoint *a); /* NULL allowed */
/* A piece from (t0, x0) to t1, with these symbol values [nsym] and input rates [nstate] (NULL: none). lambda is 0. */
dpi_solve_outcome dpi_adjoint_path(dpi_adjoint *a, const double *sym, const double *u, double t0, const double *x0,
                                   double t1);
/* Back to t, not later than before; there lambda += w [nstate]. */
dpi_solve_outcome dpi_adjoint_weigh(dpi_adjoint *a, double t, const double *w);
/* Back to t0. Adds to lambda [nstate], mu [nactive], and u_bar [nstate] where there are inputs. */
dpi_solve_outcome dpi_adjoint_start(dpi_adjoint *a, double *lambda, double *mu, double *u_bar);
const char *dpi_adjoint_reason(const dpi_adjoint *a); /* for an outcome other than OK */

#endif
