/* lane_step.h - floor 3, inside the room: one step of an integration method as nodes of the model's graph.
 *
 *     def = {method, rtol, atol, input} --dpi_lane_step_build--> dpi_lane_step (nodes)
 *
 * Symbols that vary from step to step ("fast"): time, states, h, input rates. All others are set once a member: what
 * depends on those alone goes to the tape's prologue.
 *
 * `err` <= 1 means accepted (it is never NaN; infinite where anything is not finite). How long the next step is to be,
 * is decided outside (lanes_body.h).
 *
 * Dense output needs no further rates: with V the stage vectors and the table dense_weight,
 *     D_k = sum_i dense_weight[k * nstage + i] V_i,
 *     x(t + theta h) = (1 - theta) x + theta (x_new + (1 - theta) (D_0 + theta (D_1 + theta D_2 ...)));
 * that is x and x_new themselves at the ends. dense[k] are the nodes of D_k, for who wants them from
 * a tape. */
#ifndef DPI_LANE_STEP_H
#define DPI_LANE_STEP_H

#include "solve/lanes.h"

#define DPI_LANE_LOST 1e8   /* implicit: growth beyond this: the elimination lost too many digits */

enum { DPI_LANE_STAGE_MAX = 16 };

typedef struct dpi_lane_step_def {
  const char *method;       /* "rodas4", "rodas5p", "tsit5", ...: lane_tableau.c */
  double rtol, atol;        /* asked of one step: weighted maximum norm of its error */
  const double *atol_state; /* [nstate] or NULL; read while building only */
  bool input;               /* with input rates u (one addition more for each rate); without, u is taken to be 0 */
} dpi_lane_step_def;

/* What lives as long as the step does is in the arena. Adds nodes to the model's graph: one thread at a time. */
dp_status dpi_lane_step_build(dp_ctx *ctx, const dpi_system *sys, const dpi_lane_step_def *def, dpi_arena *arena,
                              dpi_lane_step *out);

/* root[nroot] become nodes of the same values but for rounding, with fewer calls of pow; fast [nsym of the step]. For
 * all that becomes one tape at once. NONE stays. */
dp_status dpi_lane_powers(dp_ctx *ctx, dpi_graph *g, dpi_node *root, int nroot, const uint8_t *fast);

/* Symbols of a step: how many, and which are fast [n]. */
static inline int dpi_lane_nsym(const dpi_system *sys) { return sys->nsym + DPI_LANE_U + sys->nstate; }
void dpi_lane_fast(const dpi_system *sys, uint8_t *fast);

#endif
