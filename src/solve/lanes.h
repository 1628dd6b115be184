/* lanes.h - floor 3: integrators that take one step of W members at once, each with its own time and step size.
 *
 *     plan    (constant, shared)  one step of a method written as a graph: stages, Jacobian, LU, error, dense output;
 *                                 compiled to tapes, interpreted or as machine code
 *     lanes   (one thread)        W columns of state; control of the step sizes in lanes; refill of single lanes
 *     solver  (a lane's face)     the stepwise interface of solve.h for one lane, so that everything that works on a
 *                                 dpi_solver (doses, events, dense output, functionals) works on a lane
 *
 *     for each free lane: s = dpi_lanes_solver(g, l); s->ops->bind, input, start; dpi_lanes_send(g, l, t_end, attend)
 *     mask = dpi_lanes_run(g)      steps all sent lanes until at least one wants attention
 *     for each lane in mask: outcome = dpi_lanes_outcome(g, l); s->t_prev, t_now, x_now, dense as after ops->step
 *
 * How a step is a graph: symbols of the model are kept (time, states, parameters); the step adds symbols of its own
 * behind the model's (dpi_lane_sym): step size, input rates. A stage is the model's rates with stage values substituted
 * for states (dpi_g_subst); W = I/(h gamma) - J is eliminated symbolically on its sparsity pattern, without pivoting.
 * So common subexpressions are shared by hash-consing, the interpreter runs it as it runs everything, and derivatives
 * of a step are derivatives of a graph.
 *
 * Invariants:
 *   1. what happens in a lane depends on that member alone: never on its neighbours, the width, the lane's number, how
 *      the code is run, or when;
 *   2. all arithmetic of a step that decides anything (error, next step size) is done in IEEE operations, square roots
 *      and DPI_OP_FMA, the same in each width;
 *   3. no memory is allocated by send, run, bind, start, step, dense.
 */
#ifndef DPI_LANES_H
#define DPI_LANES_H

#include "lang/tape.h"
#include "solve/solve.h"

/* Symbols of a step behind those of the model (nsym of them). */
enum {
  DPI_LANE_H,    /* step size */
  DPI_LANE_U,    /* input rates: nstate symbols from here on */
};
static inline int dpi_lane_sym(const dpi_system *sys, int which) { return sys->nsym + which; }

/* One step from (t, x) with step h as nodes of the model's graph. */
#define DPI_LANE_DENSE_MAX 8
typedef struct dpi_lane_step {
  const char *method;  /* "rodas5p", "tsit5", ... */
  int order, order_error; /* of the result; of the embedded one: error ~ h^(order_error + 1) */
  bool implicit;
  int nstage;
  dpi_node *x_new;     /* [nstate] */
  dpi_node *error;     /* [nstate] estimate of the local error, state units */
  dpi_node err;        /* max_i |error_i| / (atol_i + rtol max(|x_i|, |x_new_i|)); <= 1: accepted. Never NaN: infinite
                          where anything is not finite */
  dpi_node **stage;    /* [nstage][nstate] vectors from which dense output is made (state units; explicit: h f) */
  const double *dense_weight; /* [ndense x nstage]: D_k = sum_i dense_weight[k * nstage + i] stage[i] */
  int ndense;          /* x(t + theta h) = (1 - theta) x + theta (x_new + (1 - theta) sum_k theta^k D_k): exact at both
                          ends */
  dpi_node *dense[DPI_LANE_DENSE_MAX]; /* [nstate] each: D_k as nodes */
  dpi_node growth; /* implicit: by how much elimination made a diagonal element larger (beyond DPI_LANE_LOST of
                          lane_step.h: the elimination without pivoting is not to be trusted); explicit: |h lambda|,
                          beyond `limit` stiff.
                          DPI_NODE_NONE: none */
  double limit;
  struct dpi_lane_build *build; /* lane_step_impl.h: J, factors, stages, for derivatives of a step */
} dpi_lane_step;

typedef struct dpi_lane_plan dpi_lane_plan;

typedef enum dpi_lane_kind {
  DPI_LANE_EXPLICIT,
  DPI_LANE_IMPLICIT,
} dpi_lane_kind;

/* Can this system go in lanes? false: *why says what stands against it (algebraic states, delays, fast reactions, too
 * many states, a step that is too long as straight-line code). */
bool dpi_lane_can(const dpi_system *sys, dpi_lane_kind kind, const char **why);
/* On any thread: its graph is its own, the model's is only read. ndir: directions carried in the step. opts: NULL for
 * the default; copied. sys: borrowed, outlives the plan. ERR_UNSUPPORTED says what stands against it. */
dp_status dpi_lane_plan_create(dp_ctx *ctx, const dpi_system *sys, const dpi_solve_opts *opts, dpi_lane_kind kind,
                               int ndir, dpi_lane_plan **out);
void dpi_lane_plan_destroy(dpi_lane_plan *plan);
/* Its tapes, for the jit: first the one for lanes without input rates, then the one that adds them, which a group runs
 * only while one of its lanes has an input. Both give the same bytes to a lane without. */
int dpi_lane_plan_tapes(const dpi_lane_plan *plan, const dpi_tape *const **tape);
/* The step with input rates. */
const dpi_lane_step *dpi_lane_plan_step(const dpi_lane_plan *plan);

typedef struct dpi_lanes dpi_lanes;
/* width: 1, 2, 4, 8 (ERR_UNSUPPORTED where the processor can't); 0: the widest of this processor. The plan
 * is borrowed. */
dp_status dpi_lanes_create(dp_ctx *ctx, const dpi_lane_plan *plan, int width, dpi_lanes **out);
void dpi_lanes_destroy(dpi_lanes *g); /* NULL allowed */
int dpi_lanes_width(const dpi_lanes *g);
/* Owned by g, as long as it lives. Its ops->step takes a step of this lane alone, with the same result as
 * dpi_lanes_run; other lanes stay as they are. bind, input and start halt the lane. Between send and the stop of a lane
 * its x_now, t_now are old. */
dpi_solver *dpi_lanes_solver(dpi_lanes *g, int lane);
/* Size of the last accepted step of a lane's face: t_now - t_prev but for rounding. */
double dpi_lanes_step_size(const dpi_solver *face);
/* Let a started lane go towards t_end (never beyond it; reached exactly) until its path covers `attend` (<= t_end);
 * attend = its t_now: a single step. step_limit and max_step are read here. Where t_end is not ahead, or there is no
 * first step, the lane wants attention at once. When and where a lane is looked at has no influence on its steps; t_end
 * has. */
void dpi_lanes_send(dpi_lanes *g, int lane, double t_end, double attend);
/* After send, with no directions: the states x [n x nstate] at these ascending times, all behind t_now, are written on
 * the way, without a stop: the numbers that ops->dense gives. Borrowed until the lane stops; the next send forgets
 * them. */
void dpi_lanes_record(dpi_lanes *g, int lane, const double *t, int n, double *x);
/* How many of them have been, since they were asked for. */
int dpi_lanes_recorded(const dpi_lanes *g, int lane);
/* Sent no more; x_now, t_now are the end of its last accepted step, of which there is no dense output. */
void dpi_lanes_halt(dpi_lanes *g, int lane);
/* Steps all sent lanes until at least one wants attention, which is sent no more: those as bits. 0: none was sent. A
 * lane that stopped keeps its dense output until it is sent, bound, started or given an input; others may go on
 * meanwhile. */
uint32_t dpi_lanes_run(dpi_lanes *g);
/* Why it wants it. OK: covered. Else x_now, t_now are the start of a step that was refused, with the solver's reason:
 * STIFF (explicit only), PIVOT (implicit only: elimination without pivoting keeps losing digits), TOO_SMALL, NONFINITE,
 * MAX_STEPS. Behind each of them but MAX_STEPS a scalar method may still get through: go on with `auto` from there. */
dpi_solve_outcome dpi_lanes_outcome(const dpi_lanes *g, int lane);

#endif
