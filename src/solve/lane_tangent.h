/* lane_tangent.h - floor 3: derivatives of an integration step, of the step itself and not of the equations it
 * approximates.
 *
 * A step is a map x_new = Phi(t, h, x, p, u) given as a graph (lanes.h). With t and h held fixed
 *
 *     tangent   S_new = Phi_x S + Phi_p P + Phi_u U        nodes for the same tape as the step: what they share is
 *                                                          computed once
 *     adjoint   (x, p, u) <- weights of x_new and of the dense output: tapes of their own, run backwards over recorded
 *               steps
 *
 * So forward and backward derivatives of a path are the exact derivatives of the numbers the integrator gives, and each
 * other's transpose to rounding.
 *
 * Symbols behind those of the step (dpi_lane_nsym):
 *     tangent   S [nstate x ndir], P [nactive x ndir], U [nstate x ndir], scale [ndir]
 *     adjoint   weight of x_new [nstate], then of the dense output's columns D_k [ndense x nstate]
 */
#ifndef DPI_LANE_TANGENT_H
#define DPI_LANE_TANGENT_H

#include "solve/lane_step.h"

/* ---- tangent ---- */
static inline int dpi_tangent_s(const dpi_system *sys, int state, int dir, int ndir) {
  return dpi_lane_nsym(sys) + state * ndir + dir;
}
static inline int dpi_tangent_p(const dpi_system *sys, int active, int dir, int ndir) {
  return dpi_tangent_s(sys, sys->nstate, 0, ndir) + active * ndir + dir;
}
static inline int dpi_tangent_u(const dpi_system *sys, int state, int dir, int ndir) {
  return dpi_tangent_p(sys, sys->nactive, 0, ndir) + state * ndir + dir;
}
/* By what a direction's absolute tolerance is that of the states multiplied: dpi_solve_rhs_scale. */
static inline int dpi_tangent_scale(const dpi_system *sys, int dir, int ndir) {
  return dpi_tangent_u(sys, sys->nstate, 0, ndir) + dir;
}
static inline int dpi_tangent_nsym(const dpi_system *sys, int ndir) { return dpi_tangent_scale(sys, ndir, ndir); }

/* Derivatives of the step in ndir directions, each [nstate x ndir], state by state as S. Adds nodes to the model's
 * graph. Dense output of S is made of the stages' derivatives as that of x is of the stages. */
typedef struct dpi_lane_tangent {
  dp_ctx *ctx;
  int ndir, nstage;
  dpi_node *x_new, *error; /* x_new: owned, with all others behind it */
  dpi_node *stage;         /* [nstage] of them */
  dpi_node *point;         /* explicit: of the point at which the last stage but one stands; implicit: NULL */
} dpi_lane_tangent;
dp_status dpi_lane_tangent_init(dpi_lane_tangent *tan, dp_ctx *ctx, const dpi_system *sys, const dpi_lane_step *step,
                                int ndir);
void dpi_lane_tangent_release(dpi_lane_tangent *tan);

/* The step's err with that of every direction: the largest, infinite where one is no number. At least one direction. */
dp_status dpi_lane_tangent_error(const dpi_lane_tangent *tan, const dpi_lane_step *step, dpi_node *err);
/* Explicit: the step's growth (|h lambda|) as values and directions see it, the larger: on a path at rest values say
 * nothing, and directions that are woken there are held by stability all the same. */
dp_status dpi_lane_tangent_growth(const dpi_lane_tangent *tan, const dpi_lane_step *step, dpi_node *growth);
void dpi_tangent_fast(const dpi_system *sys, int ndir, uint8_t *fast); /* [dpi_tangent_nsym] */

/* ---- adjoint ---- */
static inline int dpi_adjoint_w(const dpi_system *sys, int dense /* -1: x_new */, int state) {
  return dpi_lane_nsym(sys) + (dense + 1) * sys->nstate + state;
}
static inline int dpi_adjoint_nsym(const dpi_system *sys, int ndense) { return dpi_adjoint_w(sys, ndense, 0); }

/* Tapes over the same symbols. Constant, shared by threads. */
typedef struct dpi_lane_adjoint {
  dp_ctx *ctx;
  const dpi_system *sys; /* the step's; borrowed */
  int nsym, ndense;
  dpi_tape *step;        /* x_new [nstate]: to recompute what was not kept */
  dpi_tape *back;        /* gradient by x [nstate], u [nstate], active parameters [nactive], for weights of x_new */
  dpi_tape *back_dense;  /* the same for weights of x_new and of dense output */
  dpi_tape *out;         /* x_new, then dense [ndense x nstate] */
} dpi_lane_adjoint;
/* The step's graph grows. */
dp_status dpi_lane_adjoint_create(dp_ctx *ctx, const dpi_lane_step *step, dpi_lane_adjoint **out);
void dpi_lane_adjoint_destroy(dpi_lane_adjoint *adj); /* NULL allowed */

#endif
