/* tape.h - floor 3: what a tape is inside, for those who run it in another way: in lanes (tape_lanes.c), as machine
 * code (room `jit`).
 *
 * Registers of a workspace, one row each:  [constants][slow symbols][slow values][fast symbols][body values, reused]
 *
 * A workspace of width W holds W members side by side: row r of lane l is reg[r * W + l], 64-byte aligned. Width 1 is
 * the plain workspace of lang.h. All ways of running a tape give the same bytes in a lane, whatever the other lanes
 * hold: every step is one IEEE operation or one dpi_m_* function; STEP_MADD and the like round twice; DPI_OP_FMA is a
 * fused multiply-add in the arithmetic `fma`, a product and a sum in `nofma` (dp_arithmetic).
 */
#ifndef DPI_TAPE_H
#define DPI_TAPE_H

#include <stdatomic.h>

#include "lang/lang.h"

/* operations of steps beyond those of the graph */
enum {
  DPI_STEP_MADD = DPI_OP_COUNT, /* a*b + c */
  DPI_STEP_MSUB,                /* a*b - c */
  DPI_STEP_NMADD,               /* c - a*b */
  DPI_STEP_CUBE,                /* x^3 as a * (a * a) */
  DPI_STEP_END,
  DPI_STEP_COUNT
};

typedef struct dpi_step {
  int32_t op, dst, a, b, c; /* rows; POWI: b is the exponent */
} dpi_step;

typedef struct dpi_load {
  int32_t reg, sym;
} dpi_load;

/* Machine code of a tape's prologue or body: reads and writes rows of one workspace, like the interpreter: all rows of
 * slow values (prologue), the rows of all outputs (body); other body rows are left undefined. `op` holds the functions
 * for what is called: dpi_lane_ops of that width. */
struct dpi_lane_ops;
typedef void (*dpi_code_fn)(double *reg, const struct dpi_lane_ops *op);
typedef struct dpi_code {
  dpi_code_fn prologue, body; /* either may be NULL: interpreted */
} dpi_code;

enum { DPI_NWIDTH = 4, DPI_LANES_MAX = 8 }; /* widths 1, 2, 4, 8 */
static inline int dpi_width_index(int width) { return width >= 8 ? 3 : width >= 4 ? 2 : width >= 2 ? 1 : 0; }

struct dpi_tape {
  dp_ctx *ctx;
  int nconst, nslow, nfast, nout, nreg;
  double *constant;   /* [nconst] go to rows 0.. */
  dpi_load *slow;     /* [nslow] symbols copied by the prologue */
  dpi_load *fast;     /* [nfast] symbols copied by every evaluation */
  dpi_step *prologue; /* ends with DPI_STEP_END */
  dpi_step *body;     /* ends with DPI_STEP_END */
  int nprologue, nbody;
  int32_t *out;       /* [nout] rows */
  /* Machine code, by dpi_width_index; NULL: none (yet). Borrowed from the jit. */
  _Atomic(const dpi_code *) code[DPI_NWIDTH];
};

/* Run this tape by code from now on (NULL: by the interpreter again); other threads may be running it meanwhile. The
 * code must stay valid until the tape is destroyed or nobody runs it any more. */
void dpi_tape_attach(const dpi_tape *tape, int width, const dpi_code *code);

/* ---- lanes (tape_lanes.c) ---- */

/* One way of running W lanes on this processor. Tables of functions are indexed by dpi_op; where an entry is NULL the
 * step is plain arithmetic that the caller must do itself (ADD .. SQRT, comparisons, IF). a, b, out: [W], aligned; out
 * may be a or b. */
typedef void (*dpi_lane_fn)(const double *a, const double *b, double *out);
typedef struct dpi_lane_ops {
  int width;
  const char *isa;        /* "avx512", "avx2", "sse2", "neon", "plain" */
  bool fma;               /* which of the two arithmetics */
  dpi_lane_fn call[DPI_OP_COUNT];
  void (*run)(const dpi_step *step, double *reg); /* the interpreter in lanes */
} dpi_lane_ops;

/* The ops of this width in the arithmetic in force; NULL: the processor can't (8 needs AVX-512F/DQ, 4 AVX2 with fma or
 * AVX without; 2 and 1 always). width 0: the widest it can. */
const dpi_lane_ops *dpi_lane_ops_find(int width);

/* Row that holds a symbol's value before the body runs: fast symbols only; -1: the tape does not use it. */
int dpi_tape_row(const dpi_tape *tape, int sym);
/* Doubles of a workspace of width W (64-byte aligned memory is the caller's: dpi_lanes_alloc). */
size_t dpi_tape_lanes_size(const dpi_tape *tape, int width);
void dpi_tape_lanes_init(const dpi_tape *tape, int width, double *reg); /* constants into all lanes, the rest 0 */
/* Slow symbols of one lane changed: its column of the slow rows. scratch: a plain workspace (nreg doubles,
 * dpi_tape_init done). */
void dpi_tape_lanes_prologue(const dpi_tape *tape, int width, double *reg, int lane, const double *sym,
                             double *scratch);
/* The body for all lanes: by machine code where there is some, else interpreted. */
void dpi_tape_lanes_run(const dpi_tape *tape, const dpi_lane_ops *ops, double *reg);
/* A tape whose body is that of `tape` for the first `copies` vectors of a workspace of `of` vectors side by side (its
 * width is `of` times the vector's): runs with the vector's ops, on such a workspace; begun at vector k of it, for the
 * vectors from k on. Rows are found, and constants and slow symbols put there, by `tape`. Freed by dpi_tape_destroy. */
dp_status dpi_tape_spread(const dpi_tape *tape, int of, int copies, dpi_tape **out);
/* Memory for workspaces: 64-byte aligned, zero, freed by dpi_lanes_free with the same size. */
double *dpi_lanes_alloc(dp_ctx *ctx, size_t ndouble);
void dpi_lanes_free(dp_ctx *ctx, double *p, size_t ndouble);

#endif
