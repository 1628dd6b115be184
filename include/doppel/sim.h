/* sim.h - the waist: advance a batch of digital states under plans and give the outputs asked for.  D, U -> O, Q
 *
 * Everything that learns or decides talks to everything that simulates through this header. A *sim* is constant and
 * shared: a spoke with a compiled model, outputs composed as formulas over the spoke's signals. A *run* is a batch of
 * members going through time; lanes, threads and ranks live below it and never change a result.
 *
 *     dp_sim *sim;  dp_run *run;
 *     DP_TRY(dp_sim_create(ctx, &def, &sim));              compile once
 *     DP_TRY(dp_run_open(sim, member, nmember, &opts, &run));
 *     DP_TRY(dp_run_advance(run, t1));                      all members to t1
 *     DP_TRY(dp_run_emit(run, sink, user));                 outputs up to t1, in blocks, in member order
 *     dp_run_close(run);
 * or in one call: dp_simulate(sim, member, nmember, &opts, &result).
 *
 * Time is integer ticks: DP_TICKS of them make one unit of time of the sim (def.time_unit). Repeats are t0 + k *
 * interval in ticks, never a running sum. At equal times things happen in ascending `order` (instants and output times
 * share the same numbering, ties by position, instants first), so each output says on which side of an instant it lies.
 *
 * Members fail alone: member status, time and reason are in the result; outputs that could not be given are masked and
 * hold NaN.
 */
#ifndef DOPPEL_SIM_H
#define DOPPEL_SIM_H

#include <stddef.h>
#include <stdint.h>

#include "doppel/context.h"
#include "doppel/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef int64_t dp_time;
#define DP_TICKS 1000000000LL /* ticks in one unit of time */
#define DP_TIME_MAX INT64_MAX

/* ---- definition of a sim (constant) ---- */

/* A quantity computed at output times: a formula over the spoke's signals, parameters and `time`. */
typedef struct dp_output_def {
  const char *id;
  const char *formula; /* NULL: the signal named id */
  const char *unit;    /* documentation */
} dp_output_def;

/* A way in which a plan acts: doses into a state. The formulas may use parameters (evaluated when the dose is
 * given). */
typedef struct dp_control_def {
  const char *id;
  const char *target;          /* state that receives the amount */
  const char *bioavailability; /* formula, NULL: 1 */
  const char *lag;             /* formula in time units, NULL: 0 */
  const char *rate;            /* formula for DP_RATE_MODEL, NULL: not offered */
  const char *duration;        /* formula for DP_DURATION_MODEL, NULL: not offered */
} dp_control_def;

/* Several assignments made together at an instant (DP_APPLY): a discrete-time map, a feedback law, a sampled
 * controller: (x+, p+) = h(t, x-, p-). The formulas see states, parameters and time as they are just before; values are
 * in the units of their targets. What does not exist, or is a target twice, is refused at create; derivatives are
 * carried through h.
 *
 * Noise: parameters that hold fresh independent standard normal numbers each time the law is applied, drawn just before
 * its formulas are evaluated. The k-th application by a member takes numbers of (run's seed, member's stream, this
 * law's id, k): the same in any company and in pieces, and the same for two sims whose laws have the same id, so that
 * arms of a trial are compared on common random numbers. Derivatives take them as given (zero by any parameter). Counters that
 * a law adds to (`low := low + if(g < 70, 1, 0)`) are ordinary parameters or states. */
typedef struct dp_law_def {
  const char *id;
  int n;
  const char *const *target;  /* [n] states or parameters */
  const char *const *formula; /* [n] */
  int nnoise;
  const char *const *noise;   /* [nnoise] parameters, each once and no target of this law */
} dp_law_def;

typedef struct dp_sim_def {
  uint32_t cookie;       /* set by dp_sim_def_default */
  const char *spoke;     /* "equations" */
  dp_model *model;       /* equations: sealed model, borrowed, must outlive the sim; else NULL */
  const char *config;    /* other spokes: their own text, borrowed during create; NULL: defaults */
  const char *time_unit; /* "h"; documentation and checks */
  const dp_output_def *output;
  int noutput;
  const dp_control_def *control;
  int ncontrol;
  const dp_law_def *law;
  int nlaw;
  const char *const *active; /* ids of the parameters that may carry derivative directions */
  int nactive;
  /* Integrator: "auto", "linear", "rk853", "cvode", "idas"; "ensemble": members side by side in SIMD lanes where the
   * equations allow, else auto; "tsit", "rodas": in lanes by this method or not at all; "fixed": the classical
   * Runge-Kutta method of order 4 with steps of `step`, members in lanes, for closed loops in which many members repeat
   * a law: no error is controlled, so choose `step` by comparing with another method. Spoke stochastic: "direct",
   * "next-reaction", "tau-leap", "langevin". */
  const char *method;
  double rtol, atol;     /* of the result; atol in state units */
  bool same_steps;       /* directions take no part in error control: steps, and so values, are as without them */
  int lanes;             /* members side by side: 1, 2, 4, 8; 0: as many as the processor has; never decides results */
  int max_steps;         /* of a member between two discontinuities of its path: beyond it the member fails; 0: 100000 */
  /* Method "fixed": longest step, time units; must be given there and nowhere else. A stretch between two things that
   * happen (an instant, the end of an infusion, an output time, the end of an advance) is gone in equal steps, as few
   * as are no longer than this, nor than what keeps the method stable for this member: 2.6 over the spectral radius of
   * its Jacobian at the start (a Jacobian that grows later is not watched). Not offered with it: derivatives,
   * functionals of the path, steady states, algebraic equations, delays, fast reactions, events or rates that jump
   * where states decide it. */
  double step;
} dp_sim_def;
dp_sim_def dp_sim_def_default(void); /* spoke equations, method auto, rtol 1e-8, atol 1e-10 */

typedef struct dp_sim dp_sim;

/* What a spoke can do; a capability not offered is refused by name, never imitated. */
enum {
  DP_CAP_JVP = 1 << 0,          /* forward derivatives */
  DP_CAP_VJP = 1 << 1,          /* reverse derivatives */
  DP_CAP_SAVE = 1 << 2,         /* native save/load/fork (default: replay from the start) */
  DP_CAP_STOCHASTIC = 1 << 3,   /* uses the member's random stream */
  DP_CAP_DISCRETE = 1 << 4,     /* discrete-time map */
  DP_CAP_THREADS = 1 << 5,      /* different batches may run on different threads */
  DP_CAP_FUNCTIONALS = 1 << 6,  /* exact path functionals */
  DP_CAP_EDIT = 1 << 7,         /* state may be edited between advances */
  DP_CAP_FUSED = 1 << 8,        /* evaluates composed outputs itself */
  DP_CAP_STEADY = 1 << 9,       /* equilibrate and steady-state doses */
  DP_CAP_LAWS = 1 << 10,        /* laws */
  DP_CAP_EXACT = 1 << 11,       /* closed form between instants: outputs do not depend on tolerances */
};

typedef struct dp_sim_desc {
  const char *spoke;
  uint32_t caps;          /* DP_CAP_* */
  int max_instances;      /* most runs at once; 0: any number */
  int ranks;              /* MPI ranks wanted by one member; 1 */
  int nparam;             /* member.param's length */
  const char *const *param_id;
  const double *param_default; /* NaN where the model gives none */
  int nstate;
  const char *const *state_id;
  const char *const *state_unit;
  int noutput, ncontrol, nactive, nlaw;
  int lane_dirs;          /* most directions that members carry side by side; more go one member at a time; 0: always */
  const char *hash;       /* of everything that decides results: model, outputs, controls, method, tolerances */
} dp_sim_desc;

dp_status dp_sim_create(dp_ctx *ctx, const dp_sim_def *def, dp_sim **out);
void dp_sim_destroy(dp_sim *sim);
const dp_sim_desc *dp_sim_describe(const dp_sim *sim);
/* A sim makes machine code of its model in the background once it has seen enough work; results do not depend on it.
 * This makes it now and returns when it is there. *npiece (may be NULL): pieces that are compiled; 0: all is
 * interpreted, which is no error (no LLVM, a spoke or method without machine code, dp_ctx_def.interpret). */
dp_status dp_sim_warm(const dp_sim *sim, int *npiece);
int dp_sim_param(const dp_sim *sim, const char *id);  /* index or -1 */
int dp_sim_output(const dp_sim *sim, const char *id); /* index or -1 */
int dp_sim_control(const dp_sim *sim, const char *id);
int dp_sim_active(const dp_sim *sim, const char *id); /* index into the active list or -1 */
int dp_sim_state(const dp_sim *sim, const char *id);
int dp_sim_law(const dp_sim *sim, const char *id);

/* ---- members (the changing part) ---- */

typedef enum dp_instant_type {
  DP_ADD,         /* dose: state of control += bioavailability * amount, at time + lag */
  DP_INFUSE,      /* dose at a rate or over a duration, from time + lag */
  DP_SET,         /* state := amount */
  DP_SCALE,       /* state *= amount */
  DP_RESET,       /* all states to their initial values; infusions stop, doses still in their lag are lost */
  DP_SWITCH,      /* parameter := amount (covariates, occasions) */
  DP_EQUILIBRATE, /* state := steady state without doses, under the present parameters */
  DP_APPLY,       /* a law: its targets := its formulas; may repeat */
} dp_instant_type;

#define DP_RATE_MODEL (-1.0)     /* rate comes from the control's rate formula */
#define DP_DURATION_MODEL (-2.0) /* duration comes from the control's duration formula */

typedef struct dp_instant {
  dp_time time;
  int32_t order;        /* at equal times, ascending */
  dp_instant_type type;
  int32_t target;       /* ADD, INFUSE: control; SET, SCALE: state; SWITCH: parameter; APPLY: law; else ignored */
  double amount;
  double rate;          /* INFUSE: amount per time unit, or DP_RATE_MODEL, DP_DURATION_MODEL */
  dp_time interval;     /* II; 0 none */
  int32_t repeats;      /* ADDL, and of APPLY: further ones at time + k interval, k = 1..repeats */
  int32_t steady;       /* ADD, INFUSE: 0; 1: the state becomes the steady state of this dose every interval (rate > 0
                           and amount 0: of the constant infusion), repeats that earlier instants ordered are
                           cancelled; 2: that steady state is added to the present state */
  int32_t dir_amount;   /* direction whose derivative of amount is 1, or -1 */
  int32_t dir_time;     /* direction whose derivative of time is 1, or -1 (ADD, INFUSE) */
} dp_instant;
dp_instant dp_instant_default(void); /* zero, dir_* = -1 */

typedef struct dp_output_time {
  dp_time time;
  int32_t order;
} dp_output_time;

typedef enum dp_functional_kind {
  DP_INTEGRAL,      /* integral of the output over the window */
  DP_MAXIMUM,       /* largest value on the window: an extremum of the curve or an end point, not a grid point */
  DP_MINIMUM,
  DP_TIME_BETWEEN,  /* time spent with level <= output <= level2 */
  DP_FIRST_ABOVE,   /* first time the output reaches level (time unit); masked when it never does */
  DP_FIRST_BELOW,
} dp_functional_kind;

typedef struct dp_functional {
  dp_functional_kind kind;
  int32_t output;
  dp_time from, to;     /* window; both ends belong to it, values at `from` are taken after all instants there */
  double level, level2;
} dp_functional;

/* One member. All pointers are borrowed and must stay valid until the run is closed. */
typedef struct dp_member {
  const double *param;      /* [nparam] */
  const double *seed;       /* [nactive x ndir] derivative of active params by direction; NULL: none */
  const double *state0;     /* [nstate] or NULL: the model's own initial values */
  const dp_instant *instant;
  int ninstant;             /* ascending (time, order) */
  const dp_output_time *out;
  int nout;                 /* ascending (time, order) */
  const dp_functional *functional;
  int nfunctional;
  dp_time start;            /* usually 0 */
  uint64_t stream;          /* random stream of this member */
} dp_member;

typedef struct dp_run_opts {
  uint32_t cookie;
  int ndir;                 /* derivative directions carried by every member; 0: none */
  uint64_t seed;
  double deadline_s;        /* seconds from open; 0: none. Looked at between batches */
  void (*progress)(void *user, double done); /* 0..1 of the present call, may be NULL; called on the calling thread */
  void *progress_user;
} dp_run_opts;
dp_run_opts dp_run_opts_default(void);

/* ---- results ---- */

typedef enum dp_member_status { DP_MEMBER_OK = 0, DP_MEMBER_FAILED = 1 } dp_member_status;

/* One member's part of a block of results. Pointers are borrowed for the duration of the sink call. */
typedef struct dp_member_result {
  int member;               /* index in the run */
  dp_member_status status;
  double fail_time;         /* NaN when ok */
  const char *reason;       /* "" when ok */
  int out_first, nout;      /* output times [out_first, out_first + nout) are in this block */
  const double *value;      /* [nout x noutput], NaN where masked */
  const double *dvalue;     /* [nout x noutput x ndir] or NULL */
  int nfunctional;          /* 0 until the window has passed: functionals come with the last block */
  const double *functional; /* [nfunctional] NaN where masked */
} dp_member_result;
typedef dp_status (*dp_sink_fn)(void *user, const dp_member_result *block, int nblock);

/* Everything at once, by dp_simulate. One block of memory; free with dp_result_destroy. */
typedef struct dp_result {
  dp_ctx *ctx;
  int nmember, noutput, ndir;
  uint8_t *status;          /* [nmember] dp_member_status */
  double *fail_time;        /* [nmember] */
  const char **reason;      /* [nmember] */
  size_t *value_at;         /* [nmember + 1] first row of member i in value */
  double *value;            /* [rows x noutput] */
  double *dvalue;           /* [rows x noutput x ndir] or NULL */
  size_t *functional_at;    /* [nmember + 1] */
  double *functional;
  int nfailed;
} dp_result;

/* ---- runs ---- */
typedef struct dp_run dp_run;

/* Members are borrowed until close. What is wrong with them, or not offered by the spoke, is refused here by name.
 * Which parameters may be NaN is known to the spoke only: a NaN that reaches a result makes that member fail. */
dp_status dp_run_open(const dp_sim *sim, const dp_member *member, int nmember, const dp_run_opts *opts, dp_run **out);
/* All members to `to`, instants and outputs at `to` included. DP_ERR_CANCELLED (cancel, deadline): what was done can be
 * emitted; the next advance first completes this one. */
dp_status dp_run_advance(dp_run *run, dp_time to);
/* Give everything produced since the last emit, blocks in member order; every member appears once, if with no new rows.
 * Rows that a failed member could not give come as NaN when their time has passed. */
dp_status dp_run_emit(dp_run *run, dp_sink_fn sink, void *user);
/* A new run whose member k continues from member index[k] (duplicates allowed: resampling). Own state, own future;
 * members keep their stream unless streams is given. It emits its own future only (and all functionals); what the
 * parent has not emitted yet stays the parent's. The parent's members must stay valid until the child is closed. */
dp_status dp_run_fork(const dp_run *run, const int *index, int n, const uint64_t *streams, dp_run **out);
/* State as bytes with the sim's hash in front; load refuses another sim's bytes, and other members, seed or ndir than
 * those saved (a fork with new streams: those streams). Rows not emitted yet are saved too. Free with
 * dp_run_bytes_free. */
dp_status dp_run_save(const dp_run *run, void **bytes, size_t *size);
dp_status dp_run_load(const dp_sim *sim, const dp_member *member, int nmember, const dp_run_opts *opts,
                      const void *bytes, size_t size, dp_run **out);
void dp_run_bytes_free(const dp_sim *sim, void *bytes);
/* Read or replace the named state of one member (filters). Setting re-projects the spoke's constraints. An edit is a
 * shift by a constant: derivatives stay as they are. A failed member reads as NaN and cannot be set. */
dp_status dp_run_state_get(const dp_run *run, int member, double *x /*[nstate]*/);
dp_status dp_run_state_set(dp_run *run, int member, const double *x);
/* Further instants of one member, ascending (time, order), none before the run's present time: what a controller
 * outside or an adaptive design decides on its way. Copied. At equal time and order they come behind those the member
 * has; those at the present time happen first in the next advance, behind all that was done there (their order is
 * raised accordingly). They are the member's from now on: forks take them along, saved bytes hold them (load wants the
 * members as they were at open). Refused where the spoke does not offer DP_CAP_SAVE. A run pays for additions once, at
 * its next advance. */
dp_status dp_run_add(dp_run *run, int member, const dp_instant *instant, int n);
void dp_run_close(dp_run *run); /* NULL allowed */

/* Open, advance each member to its own last output time or window, emit, close. */
dp_status dp_simulate(const dp_sim *sim, const dp_member *member, int nmember, const dp_run_opts *opts,
                      dp_result **out);
/* The same into a sink, in member order, with memory for a fixed number of members however many there are. The sink is
 * called on the calling thread only, between pieces of its own work. */
dp_status dp_simulate_into(const dp_sim *sim, const dp_member *member, int nmember, const dp_run_opts *opts,
                           dp_sink_fn sink, void *user);
/* Members made when they are needed: fill gives numbers first to first + n - 1 of the whole. On entry member[i].param
 * points to param + i x nparam, which holds the sim's defaults; change those numbers in place and set what else the
 * member has. Called from several threads at once, for different members. What it gives must depend on the number
 * alone; what it points to must stay until the members have been given. Other than DP_OK ends the call with that. */
typedef struct dp_source {
  dp_status (*fill)(void *user, int first, int n, dp_member *member, double *param);
  void *user;
} dp_source;
/* As dp_simulate_into, for members first to first + nmember - 1 of a source: memory for some of them, however many
 * there are. DP_ERR_CANCELLED (cancel, deadline): the sink has had all members before some number. */
dp_status dp_simulate_stream(const dp_sim *sim, int first, int nmember, const dp_source *source,
                             const dp_run_opts *opts, dp_sink_fn sink, void *user);
void dp_result_destroy(dp_result *result);

/* ---- gradients: reverse derivatives (DP_CAP_VJP) ----
 *
 * The gradient of a number L made of a member's outputs, at the cost of a few simulations whatever the number of
 * parameters. The member is simulated, the caller says how L depends on the outputs, and what the integrator did is
 * gone through backwards:
 *
 *     dp_gradient *g;
 *     DP_TRY(dp_simulate_vjp(sim, member, n, &opts, weight, user, &g));     weight: dL / d value, row by row
 *     ... g->param[i * g->nactive + a], g->state[i * g->nstate + j] ...
 *     dp_gradient_destroy(g);
 *
 * It is the derivative of the numbers the integrator gives (a discrete adjoint): step sizes are held fixed; times of
 * events, doses and ends of infusions move with the parameters. Steps are chosen so that derivatives are as accurate
 * as values (dp_sim_def.same_steps: by values alone; values are then those of dp_simulate to the byte, else to the
 * tolerance). It goes through all that is on a member's time:
 * instants, lags, events with delays, steady states (by the implicit function theorem). Members must not ask for
 * functionals or bring directions (a seed: dp_vjp_opts.along). Where it is offered: equations by "ensemble", "tsit" or "rodas", where
 * they can go in lanes (DP_CAP_VJP); by "cvode", and by "ensemble" where lanes can't (too many stiff states, too long a step),
 * without delays and constraints: there the adjoint equations are integrated back, and what comes out is the derivative to the
 * tolerance; else ERR_UNSUPPORTED. Units: those of L over those of the parameter, state,
 * amount, rate or time. The equations: src/spoke/equations/README.md. */

/* dL / d value of this member into weight [nout x noutput], which is zero on entry; value [nout x noutput]. Called once
 * for each member that went to its end, on any thread. Other than DP_OK: that is what dp_simulate_vjp gives. */
typedef dp_status (*dp_weight_fn)(void *user, int member, const double *value, double *weight);

typedef struct dp_vjp_opts {
  uint32_t cookie;
  uint64_t seed;     /* random numbers, as dp_run_opts.seed */
  double deadline_s; /* 0: none */
  size_t memory;     /* bytes that a member's path may take (64 MiB); beyond it only every k-th state is kept and the
                        others are computed anew on the way back. What happened at discontinuities is always kept:
                        where that alone is too much, the member fails */
  bool along;        /* members' seed [nactive x 1] says by how much parameters will be moved, and steps suit derivatives
                        along that, and what stays at rest along it is not followed (its own derivative is not asked);
                        false: by all numbers together, each by its own size, and seeds are not read */
} dp_vjp_opts;
dp_vjp_opts dp_vjp_opts_default(void);

/* One block of memory; free with dp_gradient_destroy. A member that failed has NaN for its gradient. */
typedef struct dp_gradient {
  dp_ctx *ctx;
  int nmember, noutput, nactive, nstate, nfailed;
  uint8_t *status;          /* [nmember] dp_member_status */
  double *fail_time;        /* [nmember] */
  const char **reason;      /* [nmember] */
  size_t *value_at;         /* [nmember + 1] first row of member i in value */
  double *value;            /* [rows x noutput] */
  double *param;            /* [nmember x nactive] by the active parameters, by way of initial values too */
  double *state;            /* [nmember x nstate] by a shift of the state at the start */
  size_t *instant_at;       /* [nmember + 1] first instant of member i in the three lists below */
  double *amount;           /* [instants] by its amount, through all of its repeats; 0 where it has none */
  double *rate;             /* [instants] INFUSE by a given rate; else 0 */
  double *time;             /* [instants] ADD, INFUSE by its time, repeats moving with it; else 0 */
} dp_gradient;
dp_status dp_simulate_vjp(const dp_sim *sim, const dp_member *member, int nmember, const dp_vjp_opts *opts,
                          dp_weight_fn weight, void *user, dp_gradient **out);
void dp_gradient_destroy(dp_gradient *g); /* NULL allowed */

#ifdef __cplusplus
}
#endif
#endif
