/* fixed.h - floor 3: the classical Runge-Kutta method of order 4 with steps of a given length, W members at once.
 *
 *     plan    (constant, shared)  one step written as a graph and compiled to a tape, as the steps of lanes.h are
 *                                 (W: twice what the processor computes at once, lang/tape_spread.c)
 *     group   (one thread)        W columns of state; whoever drives it says which lanes step and how long
 *     solver  (a lane's face)     bind, input, start of solve.h for one lane: parameters, input rates, state into
 *                                 its column; dense only at t_now. Steps are taken by the group
 *
 * Nothing is controlled and nothing is decided here: a step is x := Phi(t, h, x, p, u), so what happens in a lane
 * depends on its own column alone, the same bytes in each width, interpreted or as machine code. The caller reads and
 * writes rows: x[j][lane], held parameters through dpi_fixed_param.
 *
 * Source: the classical method is that of W. Kutta (1901); E. Hairer, S. P. Norsett, G. Wanner, Solving Ordinary
 * Differential Equations I, 2nd ed. 1993, section II.1, table 1.2. */
#ifndef DPI_FIXED_H
#define DPI_FIXED_H

#include "lang/tape.h"
#include "solve/solve.h"

typedef struct dpi_fixed_plan dpi_fixed_plan;

/* Can it take this system? false: *why says what stands against it. */
bool dpi_fixed_can(const dpi_system *sys, const char **why);
/* On any thread: the step has a graph of its own. sys: borrowed, outlives the plan. moving [nsym] (or NULL): parameters
 * that change so often that nothing is to be computed from them beforehand; fed [nstate] (or NULL: all): states that
 * may have input rates. Neither decides results. */
dp_status dpi_fixed_plan_create(dp_ctx *ctx, const dpi_system *sys, const uint8_t *moving, const uint8_t *fed,
                                dpi_fixed_plan **out);
void dpi_fixed_plan_destroy(dpi_fixed_plan *plan); /* NULL allowed */
/* Its tapes that are run in lanes, of the width of dpi_fixed_create; the most used first. */
enum { DPI_FIXED_TAPES = 2, DPI_FIXED_VECTORS = 2, DPI_FIXED_LANES = DPI_FIXED_VECTORS * DPI_LANES_MAX };
void dpi_fixed_plan_tapes(const dpi_fixed_plan *plan, const dpi_tape *tape[DPI_FIXED_TAPES]);

typedef struct dpi_fixed dpi_fixed;

/* A lane as a dpi_solver: step and input between steps are not offered. */
typedef struct dpi_fixed_face {
  dpi_solver base;
  dpi_fixed *g;
  int lane;
  double *x; /* [n] x_now */
} dpi_fixed_face;

struct dpi_fixed {
  dp_ctx *ctx;
  const dpi_fixed_plan *plan;
  const dpi_lane_ops *ops;
  int n, vector, width; /* vector: lanes that are computed at once; width: lanes */
  bool timed;  /* rates depend on time: t must be set before each step */
  double *reg; /* owned: rows of the tape, then spare ones for what it does not use */
  size_t size_reg;
  double *t, *h;        /* rows, set by who drives: the beginning and the length of a step */
  double **x;           /* [n] rows */
  double **u;           /* [n] rows of input rates; NULL: not fed, or not used */
  const double **x_new; /* [n] rows */
  int nmoved;           /* states whose row a step changes: from x_new to x */
  double **moved;
  const double **moved_from;
  const double *check; /* row: finite as long as x_new is, but for overflow */
  void *block;         /* owned */
  double *scratch;     /* owned: plain workspace of the tape */
  dpi_fixed_face face[DPI_FIXED_LANES];
};

/* vector: a width as in dpi_lanes_create; the group is DPI_FIXED_VECTORS of them wide. The plan is borrowed. */
dp_status dpi_fixed_create(dp_ctx *ctx, const dpi_fixed_plan *plan, int vector, dpi_fixed **out);
void dpi_fixed_destroy(dpi_fixed *g); /* NULL allowed */
dpi_solver *dpi_fixed_solver(dpi_fixed *g, int lane);
/* The row of a moving parameter's symbol; NULL: rates do not depend on it. */
double *dpi_fixed_param(const dpi_fixed *g, int sym);
/* One step of these lanes: x := x_new. Lanes of them whose state is not finite any more, as bits. */
uint32_t dpi_fixed_step(dpi_fixed *g, uint32_t on);
/* The lane's column becomes t_now, x_now of its face. */
void dpi_fixed_show(dpi_fixed *g, int lane, double t_now);

#endif
