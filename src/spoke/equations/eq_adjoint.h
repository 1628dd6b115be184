/* eq_adjoint.h - inside the spoke: gradients backwards along a member's path (floor 4).
 *
 *     eq_trace.c    what the integrator did: pieces of path, accepted steps, outputs, happenings
 *     eq_shadow.c   the local Jacobian of one happening, by the forward machinery in all directions at once
 *     eq_adjoint_probe.c  the direction that a path is recorded with, so that its steps suit derivatives too
 *     eq_adjoint.c  one member forward and back; the entry
 *     eq_adjoint_alone.c  back over a piece that no lane can go: the adjoint equations themselves
 *                         (solve/solve_adjoint.h)
 *
 * A path is a sequence of items in the order in which they took place:
 *
 *     START    the path begins at the member's state (one piece: constant parameters, input, method)
 *     OUTPUT   a row was read, from dense output or from the member's state
 *     REACH    the member's state became that of the path at t
 *     HAPPEN   a dose, an instant, an event: member's state, parameters and what is under way changed
 *
 * with a piece's accepted steps between them. Backwards, HAPPEN multiplies by the transpose of its Jacobian, a step by
 * that of its own (solve/lane_tangent.h). A piece that is gone alone (crew ALONE) has no steps, but the state it began
 * with.
 *
 * What HAPPEN maps: the state [nstate], the active parameters [nactive], of each dose under way start, stop, amount; of
 * each event under way its time and the values it holds [1 + nassign_max]; and, as inputs only, amount, rate and time
 * of an instant.
 */
#ifndef DPI_EQ_ADJOINT_H
#define DPI_EQ_ADJOINT_H

#include "solve/lane_tangent.h"
#include "solve/solve_adjoint.h"
#include "spoke/equations/eq_impl.h"

enum { DPI_TRACE_START, DPI_TRACE_OUTPUT, DPI_TRACE_REACH, DPI_TRACE_HAPPEN };
enum { DPI_TRACE_AMOUNT, DPI_TRACE_RATE, DPI_TRACE_TIME, DPI_TRACE_NCONTROL };

typedef struct dpi_trace_item {
  int32_t what, piece;
  int32_t nstep; /* steps of the piece so far: OUTPUT and REACH read the last of them */
  int32_t at;    /* OUTPUT: row; HAPPEN: Jacobian */
  int32_t der;   /* OUTPUT: its derivatives in `real` */
  bool path;     /* OUTPUT: read from the path */
  double t;
} dpi_trace_item;

typedef struct dpi_trace_piece {
  int first, nstep; /* in step */
  int kept;         /* first of its kept states */
  int u;            /* in real; -1: no input */
  int param;        /* in real: parameters and draws */
  int crew;         /* method */
  int run, nrun;    /* running infusions, in pair: dose, state */
  int x;            /* in real: the state it began with; alone only */
  double t;         /* when it began */
  int moved;        /* in real: per state, the step before which the path's one direction first
                     * moves it; -1: not known */
} dpi_trace_piece;

/* One happening, sparse by rows: row r of what was after it has elements [row[r], row[r + 1]). */
typedef struct dpi_trace_jacobian {
  int nin, nout; /* without the controls, whose columns come last */
  int row;       /* in index: [nout + 1] */
  int instant;   /* whose controls these are, -1: none */
} dpi_trace_jacobian;

typedef struct dpi_eq_shadow dpi_eq_shadow;
typedef struct dpi_eq_back dpi_eq_back;
typedef struct dpi_eq_worker dpi_eq_worker;

typedef struct dpi_eq_trace {
  const dpi_eq_spoke *spoke;
  size_t limit;      /* bytes */
  int stride;        /* every stride-th state of a piece is kept */
  int nitem, cap_item;
  dpi_trace_item *item;
  int npiece, cap_piece;
  dpi_trace_piece *piece;
  int nstep, cap_step;
  double *step;      /* [2 nstep] begin, size */
  int nkept, cap_kept;
  double *kept;      /* [nkept x nstate] */
  int nreal, cap_real;
  double *real;
  int npair, cap_pair;
  int *pair;
  int njacobian, cap_jacobian;
  dpi_trace_jacobian *jacobian;
  int nindex, cap_index;
  int *index;        /* rows' beginnings */
  int nelement, cap_element, cap_column;
  double *element;
  int *column;
  int param;         /* in real: as they are now; -1: changed since */
  int crew;          /* what integrates now */
  bool along;        /* derivatives are wanted along the path's one direction only */
  bool reached;      /* the state was read from the path since the happening began: */
  double *x_reached; /* [nstate] */
  dpi_eq_shadow *shadow;
} dpi_eq_trace;

/* ---- eq_trace.c: called from eq_advance.c where bench->trace is set ---- */
void dpi_trace_clear(dpi_eq_trace *tr);
void dpi_trace_release(dpi_eq_trace *tr);
/* s [nstate]: the path's direction after the last step. */
void dpi_trace_moved(dpi_eq_trace *tr, const double *s);
bool dpi_trace_jacobian_room(dpi_eq_trace *tr, int nrow, int nelement);

/* ---- eq_adjoint_probe.c ---- */
/* A member that carries the probe. Memory kept for reuse. */
typedef struct dpi_eq_probe {
  dp_member def;
  dp_instant *instant; /* owned: the member's, with directions */
  int cap_instant;
} dpi_eq_probe;
/* Directions that steps of a recorded path carry: 0 where derivatives are to choose none. */
int dpi_probe_ndir(const dpi_eq_spoke *sp);
/* The member has just been laid on w, a bench of one direction. False: no memory. */
bool dpi_probe_lay(dpi_eq_probe *p, dpi_eq_bench *w, bool along); /* along: its seed is the direction */

/* ---- eq_adjoint_alone.c ---- */
typedef struct dpi_eq_alone {
  dpi_adjoint *adjoint; /* owned; made when first needed */
  size_t memory;        /* it was made for */
  double *sym;          /* owned: [nsym] */
  int piece;            /* it lies on this piece; -1: on none */
} dpi_eq_alone;
bool dpi_alone_can(const dpi_eq_spoke *sp);
void dpi_alone_release(const dpi_eq_spoke *sp, dpi_eq_alone *a);
/* weight [nstate] on the state at t of this piece, from late to early. False: the member failed, or no memory. */
bool dpi_alone_weigh(dpi_eq_alone *a, dpi_eq_bench *w, const dpi_eq_trace *tr, int piece, double t,
                     const double *weight);
/* Back at its beginning: adds to lambda, mu, u_bar. */
bool dpi_alone_start(dpi_eq_alone *a, dpi_eq_bench *w, int piece, double *lambda, double *mu, double *u_bar);

/* ---- eq_shadow.c ---- */
dp_status dpi_shadow_create(const dpi_eq_spoke *sp, dpi_eq_shadow **out);
void dpi_shadow_destroy(dpi_eq_shadow *h); /* NULL allowed */
/* Before a happening of the member on w: take its state. False: no memory. */
bool dpi_shadow_take(dpi_eq_shadow *h, dpi_eq_bench *w);
/* What `w` did is done in all directions; its Jacobian goes to the trace. next NULL: the member's beginning. */
bool dpi_shadow_follow(dpi_eq_shadow *h, dpi_eq_bench *w, const dpi_eq_next *next);

#endif
