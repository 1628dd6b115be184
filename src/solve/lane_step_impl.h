/* lane_step_impl.h - floor 3, inside the room: what the parts of a step graph share.
 *
 *     lane_step.c      rates at a stage, error norm, dense output
 *     lane_rates.c     the rates and their derivatives, written so that they cost less
 *     lane_powers.c    powers of one base, in all that becomes a tape
 *     lane_step_ros.c  Rosenbrock-Wanner;  lane_lu.c  its elimination
 *     lane_step_rk.c   explicit Runge-Kutta
 */
#ifndef DPI_LANE_STEP_IMPL_H
#define DPI_LANE_STEP_IMPL_H

#include "solve/lane_step.h"
#include "solve/lane_tableau.h"

/* Solves (-A) x = b for a sparse A of nodes: pivots from the diagonal, in an order of its own that keeps it sparse.
 * With L D U = A: -L, -U and -1/D are kept, so that every step of it is one fused multiply-add. */
typedef struct dpi_lane_lu {
  int n;
  int *order;    /* [n] order[k]: row and column that is eliminated k-th */
  dpi_node *a;   /* [n x n] by row and column as given; NONE: zero. After factor: -L and -U */
  dpi_node *inv; /* [n] by row as given: -1 / pivot */
  dpi_node
      growth; /* largest |pivot / diagonal element before| of those that elimination changed; NONE: it changed none */
  int nnz;    /* elements of L and U without the diagonal */
} dpi_lane_lu;

/* All in the arena. a [n x n], NONE: zero; the diagonal must be there. Becomes the factors. */
dp_status dpi_lane_lu_factor(dpi_arena *arena, dpi_graph *g, int n, dpi_node *a, dpi_lane_lu *lu);
/* b [n] becomes x. */
void dpi_lane_lu_solve(dpi_graph *g, const dpi_lane_lu *lu, dpi_node *b);

/* One step being built. Kept (in the arena) as long as its dpi_lane_step: derivatives of a step start from here. */
typedef struct dpi_lane_build {
  dp_ctx *ctx;
  dpi_arena *arena;
  dpi_graph *g;
  const dpi_system *sys;
  dpi_lane_step_def def;
  const dpi_lane_tableau *tab;
  int n;
  dpi_node t, h, h_inv;  /* h_inv: implicit only */
  dpi_node *x;           /* [n] at the beginning */
  dpi_node *u;           /* [n] input rates; NULL: built without */
  dpi_node *formula;     /* [n] rates in the model's symbols, as the first stage computes them */
  dpi_node *later;       /* [n] ... and the other stages */
  dpi_node *jac;         /* [jac_nnz] of them; implicit only */
  dpi_node *rate_t;      /* [n] df/dt at the beginning; NULL: no rate has time in it; implicit only */
  dpi_node *replacement; /* [nsym] scratch: what stands for time and states at a stage */
  int nstage;
  dpi_node time[DPI_LANE_STAGE_MAX];   /* of each stage */
  dpi_node *point[DPI_LANE_STAGE_MAX]; /* [n] x of each stage */
  dpi_node *rate[DPI_LANE_STAGE_MAX];  /* [n] f + u there */
  dpi_node *stage[DPI_LANE_STAGE_MAX]; /* [n] U_i; explicit: h (f + u) */
  dpi_lane_lu lu;                      /* of J - 1/(h gamma); implicit only */
} dpi_lane_build;

/* root[nroot] become nodes of the same values but for rounding, which cost less in a step: fewer divisions.
 * NONE stays. */
dp_status dpi_lane_rewrite(dp_ctx *ctx, const dpi_system *sys, dpi_node *root, int nroot);

/* The system as a step sees it: the same model in the arena, its states' rates in a graph of their own, which the
 * caller owns even where this fails (NULL: there is none yet). (lanes_plan.c) */
dp_status dpi_lane_copy_system(dp_ctx *ctx, const dpi_system *from, dpi_arena *arena, dpi_graph **graph,
                               dpi_system **out);

/* No node could be stored: said by name. */
dp_status dpi_lane_no_memory(const dpi_lane_build *b);
dpi_node *dpi_lane_nodes(dpi_lane_build *b, int n); /* all NONE; NULL: no memory */
static inline dpi_node dpi_lane_const(const dpi_lane_build *b, double v) { return dpi_g_const(b->g, v); }
/* tolerance of a state in this step: atol + rtol max(|x|, |x_new|) */
dpi_node dpi_lane_weight(const dpi_lane_build *b, const dpi_lane_step *s, int k);
/* f + u at (time[i], point[i]) into rate[i] */
dp_status dpi_lane_rates(dpi_lane_build *b, int i);
/* acc + sum_j w[j] v[j] for one state, j from `from` to m; w as nodes (NONE or constant 0: left out) */
dpi_node dpi_lane_sum(const dpi_lane_build *b, dpi_node acc, const dpi_node *w, dpi_node *const *v, int from, int m,
                      int state);
/* rows of a table as nodes; NONE: 0 */
dp_status dpi_lane_row(const dpi_lane_build *b, const double *row, int m, dpi_node *w);
/* point[i] = x + sum_j<i w[j] stage[j]; starts from the point before where the rows of the table begin alike */
dp_status dpi_lane_point(dpi_lane_build *b, int i, const double *row, const double *before, const dpi_node *w,
                         dpi_node *out);

dp_status dpi_lane_build_ros(dpi_lane_build *b, dpi_lane_step *s);
dp_status dpi_lane_build_rk(dpi_lane_build *b, dpi_lane_step *s);

#endif
