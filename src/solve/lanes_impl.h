/* lanes_impl.h - floor 3, inside the room: what a group of lanes is made of.
 *
 *     lanes_plan.c    plan: a step's graph and tapes, tolerances
 *     lanes.c         group: memory, send, run, what a lane's stop means
 *     lanes_face.c    a lane as a dpi_solver
 *     lanes_zero.c    steps over zero that must not be
 *     lanes_body.h    control of the step sizes for W lanes, compiled once for each instruction set (lanes_avx512.c,
 *                     ...)
 *
 * A lane's column of t, x and h lives in the rows of the tape's registers, where the step reads it. Between two steps
 * of a running lane it is moved on there. A lane that stops keeps the column of the step that stopped it: the others go
 * on, the tape computes the same step in the idle lane again and again, and so x_new and the stages of dense output
 * stay in their rows without being copied. The column moves on when the lane is sent again (dpi_lanes_send).
 *
 * Invariants:
 *   1. a lane that is not on is only read: its rows hold its last step, or zeros;
 *   2. decisions are made in comparisons, sums, products and one division, lane by lane: the same for
 * each width. */
#ifndef DPI_LANES_IMPL_H
#define DPI_LANES_IMPL_H

#include "solve/lane_tangent.h"

#define DPI_LANES_STIFF_COUNT 15   /* steps at the border of stability in a row (six quiet ones reset) */
#define DPI_LANES_STIFF_AHEAD 100  /* ... and this many more such steps ahead, or ... */
#define DPI_LANES_STIFF_TOTAL 300  /* ... this many such steps already since the start */
#define DPI_LANES_FAR_TRIED 200    /* also: after this many tries since the start ... */
#define DPI_LANES_FAR_SHARE 0.25   /* ... a step beyond this part of the border ... */
#define DPI_LANES_FAR_AHEAD 1000   /* ... with this many more such steps ahead: at tight tolerances stability holds
                                      steps long before they are at the border, and an implicit step costs about three
                                      explicit ones */
#define DPI_LANES_LOST_MOST 8      /* refused steps in a row whose elimination lost digits */
#define DPI_LANES_JUMP 1e-6        /* of the size that steps lately had: below, rates jump (cross) */
#define DPI_LANES_AFTER 1e-3       /* ... and with this part of it a lane goes on behind a jump */
#define DPI_LANES_NOISE 100.0      /* absolute tolerances of a step: a state as small may change its sign as it likes */
#define DPI_LANES_SHRINK 0.2       /* limits of the change of a step's size */
#define DPI_LANES_GROW 6.0
#define DPI_LANES_GROW_FIRST 1e3 /* ... behind the first step of a start: that one is small by caution */
#define DPI_LANES_EPS 2.220446049250313e-16
#define DPI_LANES_LAND 1.01        /* an end is reached with a step so much longer than wished for: no crumb is left */
#define DPI_LANES_QUIET 6.0        /* steps below the border of stability that end a row of those at it (DOPRI5) */
#define DPI_LANES_LOST_SHRINK 0.25 /* ... of a step whose elimination lost digits: eight such make it
                                      65,000 times smaller, and growth falls with h */
#define DPI_LANES_FADE 0.8         /* of LATELY with each step: after some twenty a hundredth is left */
#define DPI_LANES_NOTHING (16.0 * DPI_LANES_EPS) /* of |t|: in a step as short the stages' times are no longer apart,
                                                    ... */
#define DPI_LANES_LEAST 1e-290 /* ... and at t = 0 this: powers of 1/h in an implicit step stay finite above */

/* A step comes in two forms. The first leaves input rates out; adding -0 in the other changes no number and no sign of
 * one: a lane without input has the same bytes in both, and a group needs the second only while one of its lanes has an
 * input. */
enum { DPI_FORM_PLAIN, DPI_FORM_INPUT, DPI_NFORM };

struct dpi_lane_plan {
  dp_ctx *ctx;
  const dpi_system *sys;
  dpi_solve_opts opts; /* atol_state: owned copy or NULL */
  double *atol_state;  /* owned, asked of the result */
  double *atol_step;   /* owned [nstate], asked of a step */
  double rtol_step;
  dpi_lane_kind kind;
  int ndir;            /* directions carried in the step */
  dpi_arena arena;     /* of the step */
  dpi_graph *graph;    /* owned: the steps' */
  dpi_lane_step step[DPI_NFORM];
  dpi_tape *tape[DPI_NFORM]; /* owned */
};

/* Why a lane stopped: DPI_COL_STOP. */
enum {
  DPI_LANES_COVERED, /* what was asked for */
  DPI_LANES_HELD,    /* stiff; implicit: pivots lost */
  DPI_LANES_TINY,    /* the step has no size left */
  DPI_LANES_SPENT,   /* too many */
  DPI_LANES_ZERO,    /* accepted, but a state goes through zero: has to be looked at (lanes_zero.c) */
};

/* Outputs of a plan's tape, in this order: x_new [n], size and room of the error, growth, stages [nstage x n]. */
static inline int dpi_lanes_out_size(int n) { return n; }
static inline int dpi_lanes_out_room(int n) { return n + 1; }
static inline int dpi_lanes_out_growth(int n) { return n + 2; }
static inline int dpi_lanes_out_stage(int n, int i) { return n + 3 + i * n; }
/* With directions: behind the m stages S_new [n x ndir], then the stages' derivatives [m x n x ndir]. */
static inline int dpi_lanes_out_tangent(int n, int m) { return dpi_lanes_out_stage(n, m); }

/* A group's columns besides its registers, [width] each, in this order in `col`. */
enum {
  DPI_COL_T_END, /* set by send */
  DPI_COL_ATTEND,
  DPI_COL_LONGEST,
  DPI_COL_WISH, /* size the next step should have */
  DPI_COL_PACE, /* 1 / (h * change) of the last accepted step; 0: none */
  DPI_COL_LATELY, /* of the larger ones of some twenty accepted steps */
  DPI_COL_LEFT, /* tries left until max_steps */
  DPI_COL_TAKEN, /* accepted since somebody looked */
  DPI_COL_HELD, /* steps in a row: at the border of stability; implicit: that lost digits */
  DPI_COL_QUIET,
  DPI_COL_HELD_ALL,
  DPI_COL_T_NEW, /* end of the step under way */
  DPI_COL_NEXT,  /* next time to be recorded; infinite: none */
  DPI_COL_STOP,  /* why, as a number */
  DPI_COL_COUNT
};

/* Registers of a group for one form of the step. */
typedef struct dpi_lanes_regs {
  const dpi_tape *tape;
  double *reg;                        /* owned, aligned: rows of the tape, then spare ones for what it does not use */
  size_t size_reg;
  double *t, *h;                      /* rows: of the step under way */
  const double *size, *room, *growth; /* rows: of the error, and what it may be */
  double **x;                         /* [nall] rows: states, then S [n x ndir] */
  const double **x_new;               /* [nall] rows */
  double **u;                         /* [nall] rows of input rates and their derivatives, NULL where the tape
                                         has none */
  const double **stage;               /* [nstage x nstate] rows */
  const double **part;                /* [nstate x npart] rows of the stages that dense output is made of, state by
                                         state */
  double *read;                       /* [nstate] rows: what was read from it */
  double **row;                       /* owned: x, u, x_new, stages, part */
  double *scratch;                    /* owned: plain workspace of the tape */
} dpi_lanes_regs;

/* What one lane is to record on its way (dpi_lanes_record): borrowed times and states. */
typedef struct dpi_lanes_log {
  const double *t; /* [n] */
  double *x;       /* [nstate] where the next one goes */
  int n, done;
} dpi_lanes_log;

/* What the vector code reads and writes. on, again: lanes as bits. */
typedef struct dpi_lanes_ctl {
  int n;            /* numbers that are moved on: states, then S */
  int nstate;
  const double *atol; /* [nstate] of a step */
  bool implicit;
  uint32_t on;      /* sent */
  uint32_t again;   /* the last try was refused */
  uint32_t counted; /* implicit: HELD is not 0 */
  double share;     /* 1 / (order_error + 1) */
  double limit;     /* explicit: growth at the border of stability */
  double most;      /* tries a start may take */
  const dpi_lane_ops *ops;
  const dpi_lanes_regs *regs; /* of the form that is run */
  double *col;                /* owned, aligned */
  const dpi_lane_step *step;  /* dense output */
  int npart, part[DPI_LANE_STAGE_MAX]; /* stages that have a part in it */
  dpi_lanes_log log[DPI_LANES_MAX];
} dpi_lanes_ctl;

/* Steps all lanes that are on until at least one stops: those as bits; they are on no more. */
typedef uint32_t (*dpi_lanes_go)(dpi_lanes_ctl *c);
uint32_t dpi_lanes_go1(dpi_lanes_ctl *c);
uint32_t dpi_lanes_go2(dpi_lanes_ctl *c);
uint32_t dpi_lanes_go4(dpi_lanes_ctl *c);
uint32_t dpi_lanes_go8(dpi_lanes_ctl *c);

/* A lane as a dpi_solver. */
typedef struct dpi_lane_face {
  dpi_solver base;
  dpi_lanes *g;
  int lane;
  double *x;       /* [nall] x_now, then S */
  double *fewer;   /* [n x base.ndir] S where fewer directions were bound than the plan has */
  double *reg_rhs; /* workspace of the rate's tape, for the first step size */
  double h_prev;   /* size of the last accepted step; 0: there is no dense output */
  bool moved;      /* the column in the rows is not yet x_now, t_now */
  int form;        /* whose registers hold its last step */
  bool has_input;
  bool bound[DPI_NFORM]; /* sym is in the registers */
  double *sym;     /* [dpi_tangent_nsym] */
  bool fresh;      /* started or given another input: what the last step said about the next is void */
  int nleap;       /* steps refused by dpi_lanes_pass_zero since the start */
  double left;     /* tries left when somebody looked last; -1: as many as there may be since the start */
  dpi_solve_outcome outcome;
} dpi_lane_face;

struct dpi_lanes {
  dp_ctx *ctx;
  const dpi_lane_plan *plan;
  int n, nall, width;   /* nall: with S */
  dpi_lanes_ctl c;
  dpi_lanes_go go;
  uint32_t done;        /* lanes that were sent and have nothing to do */
  size_t ncol;          /* doubles of c.col */
  dpi_lanes_regs regs[DPI_NFORM];
  double *work;         /* owned: [4 n] f, moved state, f there, 1 / tolerances */
  double *block;        /* owned: x, sym and reg_rhs of the faces */
  dpi_lane_plan *owned; /* by dpi_lane_solver_create */
  dpi_lane_face face[DPI_LANES_MAX];
};

/* A number of a lane's own. */
static inline double *dpi_lanes_own(dpi_lanes *g, int column, int lane) {
  return g->c.col + (size_t)column * (size_t)g->width + lane;
}

/* ---- lanes.c ---- */
/* The column of a lane that ran without anybody looking becomes x_now, t_now. */
void dpi_lanes_show(dpi_lanes *g, int lane);
/* Times to be recorded that the accepted step of this lane covers (its column not yet moved on). */
void dpi_lanes_log_step(dpi_lanes *g, int lane);
/* Step this lane alone. */
void dpi_lanes_single(dpi_lanes *g, int lane, double t_end);

/* ---- lanes_zero.c ---- */
/* A lane stopped by DPI_LANES_ZERO: true: it goes on, with this step or with a smaller one; false: another reason
 * stands there. */
bool dpi_lanes_pass_zero(dpi_lanes *g, int lane);

/* ---- lanes_face.c ---- */
/* x' with the input rates; false when something is not finite. */
bool dpi_lane_face_rate(dpi_lane_face *f, double t, const double *x, double *out);
void dpi_lane_face_init(dpi_lanes *g, int lane, double *block);
/* The lane's parameters are in the registers of this form. */
void dpi_lane_face_prepare(dpi_lane_face *f, int form);
/* State at t inside the accepted step that lies in the rows; t_new, h: its end and size. */
void dpi_lane_face_inside(const dpi_lane_face *f, double t_new, double h, double t, double *x);
/* x was written: S as whoever bound fewer directions than the plan has sees it. */
void dpi_lane_face_fewer(dpi_lane_face *f);
/* Size of a first step from x_now towards t_end. NONFINITE with reason: there is no rate. */
dpi_solve_outcome dpi_lane_face_first(dpi_lane_face *f, double t_end, double *h);
/* A plan and a group of width 1 as a solver of its own, for the methods' folders. */
dp_status dpi_lane_solver_create(dp_ctx *ctx, const dpi_solver_ops *ops, const dpi_system *sys,
                                 const dpi_solve_opts *opts, dpi_lane_kind kind, int max_dir, dpi_solver **out);
bool dpi_lane_solver_can(const dpi_system *sys, dpi_lane_kind kind);
void dpi_lane_solver_destroy(dpi_solver *s);
dp_status dpi_lane_face_bind(dpi_solver *s, const double *sym, const double *seed, int ndir);
void dpi_lane_face_input(dpi_solver *s, const double *u, const double *du);
dpi_solve_outcome dpi_lane_face_start(dpi_solver *s, double t, const double *x, const double *sens);
dpi_solve_outcome dpi_lane_face_step(dpi_solver *s, double t_end);
void dpi_lane_face_dense(dpi_solver *s, double t, double *x, double *sens);

#endif
