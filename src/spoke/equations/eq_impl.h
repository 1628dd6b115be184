/* eq_impl.h - the equations spoke's private contract between its files (floor 4).
 *
 *     create    model, system, tapes                                  constant, shared by all threads   (eq_compile.c)
 *     open      members' digital states                               one batch                         (equations.c)
 *     advance   take a bench from the pool, lay each member on it     one thread                        (eq_advance.c)
 *               machine code, once enough work is seen                                                  (eq_code.c)
 *               several members in lanes                                                               (eq_lanes.c)
 *               several members in steps of a fixed length, their laws together                        (eq_fixed.c)
 *               timeline: what comes next                                                               (eq_timeline.c)
 *               doses: what a dose does and when                                                        (eq_dose.c)
 *               laws                                                                                    (eq_law.c)
 *               steady states                                                                           (eq_steady.c)
 *               changes of triggers and rates: found on the path                                        (eq_watch.c)
 *               model events: scheduled and executed                                                    (eq_event.c)
 *               delayed values and what they are read from                                              (eq_history.c)
 *               random draws                                                                            (eq_draw.c)
 *               functionals of the path
 *               (eq_functional.c)
 *
 * Invariants:
 *   1. a real time is ticks/DP_TICKS (+ lag, + duration), never a running sum;
 *   2. the sum of running input rates is always formed anew from the list of running infusions, so it is exactly zero
 *      when none runs;
 *   3. output times never steer the integration: the solver goes from discontinuity to discontinuity, outputs and
 *      functionals read its dense output;
 *   4. what a member becomes depends on this member alone: a bench is bound anew for each member.
 */
#ifndef DPI_EQ_IMPL_H
#define DPI_EQ_IMPL_H

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "jit/jit.h"
#include "lang/lang.h"
#include "num/num.h"
#include "solve/fixed.h"
#include "solve/lanes.h"
#include "solve/solve.h"
#include "spoke/event_pool.h"
#include "spoke/spoke.h"
#include "spoke/timeline.h"

#define DPI_EQ_BLOCK 32 /* members in a batch; */
#define DPI_EQ_BLOCK_MOST 512 /* in lanes, where there are many: the last ones leave lanes idle */
#define DPI_EQ_NODES 9  /* values kept of each step of the path for delays */
#define DPI_EQ_MEMO 256 /* states read from dense output that several functionals share; a power of two */

/* Values and their sparse derivatives in one tape: out = value[nvalue], then d value[row[k]] / d column col[k]. */
typedef struct dpi_eq_map {
  dpi_tape *tape; /* owned */
  int id;         /* place of its registers on a bench */
  int nvalue, nder;
  int *row, *col; /* [nder] in the spoke's arena */
} dpi_eq_map;

/* Formulas of a control, in this order in its map; derivatives by active parameter, column nactive is time. */
enum { DPI_EQ_F, DPI_EQ_LAG, DPI_EQ_RATE, DPI_EQ_DURATION, DPI_EQ_NFORMULA };

typedef struct dpi_eq_control {
  int state;                   /* index of the target state */
  bool has[DPI_EQ_NFORMULA];
  dpi_eq_map map;              /* [DPI_EQ_NFORMULA] values; missing ones are 1 (F) or 0 */
} dpi_eq_control;

/* A model event, compiled; derivative columns are states, active, time. */
typedef struct dpi_eq_event {
  dpi_eq_map act;    /* priority, delay, assignments[nassign]; derivatives of all but the priority */
  dpi_eq_map times;  /* [nassign] by what values from trigger time are multiplied at execution; no tape: by nothing */
} dpi_eq_event;

/* What may change suddenly while time goes on. All in one tape: triggers[nevent], switches[nswitch] of the rates (truth
 * of a relation, value of a floor: constant but for jumps), roots[nroot] (functions whose zeros are where those may
 * change). Marks are expressions free of states and affine in time: where they pass zero (or an integer) is known
 * beforehand. */
typedef struct dpi_eq_watch {
  dpi_eq_map value;  /* [nevent + nswitch + nroot] */
  dpi_eq_map slope;  /* roots with derivatives; columns states, active, time */
  dpi_eq_map mark;   /* [2 nmark] value and slope in time */
  int nswitch, nroot, nmark, nall;
  const uint8_t *whole; /* [nmark] 1: passes of integers count, 0: of zero */
  const uint8_t *timed; /* [nevent + nswitch] time and parameters alone decide, at marks only */
  bool any_timed, all_timed;
  int nlook;       /* states that it looks at; 0: all */
  const int *look; /* [nlook] */
} dpi_eq_watch;

/* A law, compiled; derivative columns are states, active. */
typedef struct dpi_eq_law {
  const char *id;
  dpi_eq_map map;
  const int *target; /* [map.nvalue] state, or nstate + parameter */
  const dpi_node *node; /* [map.nvalue] formulas, while the spoke is made */
  int nnoise;
  const int *noise;  /* [nnoise] parameters that hold fresh normal numbers at each application */
  uint32_t purpose;  /* of the law's random stream: by its id */
} dpi_eq_law;

/* A draw: its arguments. */
typedef struct dpi_eq_draw {
  dpi_eq_map arg;
} dpi_eq_draw;

#define DPI_EQ_NO_CHANGE -2 /* bench->due_root */

typedef struct dpi_eq_bench dpi_eq_bench;
typedef struct dpi_eq_batch dpi_eq_batch;
typedef struct dpi_eq_tangent dpi_eq_tangent; /* plans that carry directions (eq_tangent.c) */
typedef struct dpi_eq_rig dpi_eq_rig; /* one thread's lanes (eq_lanes.c) */

/* What integrates a member: lanes of one kind, or a scalar solver. */
enum { DPI_EQ_EXPLICIT, DPI_EQ_IMPLICIT, DPI_EQ_NCREW, DPI_EQ_ALONE = DPI_EQ_NCREW };

typedef struct dpi_eq_spoke {
  dpi_spoke base;
  dpi_spoke_desc desc;
  dpi_arena arena;
  const dp_model *model;       /* borrowed */
  dpi_system *sys;             /* owned */
  int nsym, nstate, nparam, noutput, ncontrol, nevent;
  int nactive;                 /* parameters that carry directions: first the caller's, then those that follow them */
  int nseed;                   /* the caller's active parameters: rows of member.seed */
  int nassign_max;
  const int *param_sym;        /* [nparam] symbol of each param */
  const bool *param_needed;    /* [nparam] the equations can't run without its value */
  const int *active_param;     /* [nactive] param of each active */
  const int *param_active;     /* [nparam] active of each param, or -1 */
  dpi_eq_map out;              /* outputs */
  int *out_state;              /* [noutput] where all of them are states: which; else NULL */
  dpi_eq_map out_der;          /* outputs with derivatives: columns states, then active */
  dpi_eq_map *dot;             /* [noutput] slope along the path without inputs, value; derivatives of the value by
                                  state */
  const bool *affine;          /* [noutput] affine in the states, free of time */
  /* a cascade: the head's rates are affine in the head alone, the tail's affine in the tail when the head is given */
  bool cascade;                /* there is a head, a tail, and both are so */
  int nhead, ntail;
  const int *head, *tail;      /* states */
  const int *head_at;          /* [nstate] place in head or -1 */
  dpi_eq_map rhs, full, init;  /* the system's tapes; owned by it */
  dpi_eq_control *control;
  dpi_eq_event *event;
  int nlaw, nlaw_max;          /* nlaw_max: most targets of one */
  dpi_eq_law *law;
  dpi_eq_watch watch;
  int ndraw;
  dpi_eq_draw *draw;
  bool settles;                /* states have to be settled after jumps: algebraic ones, or at rest under
                                  fast reactions */
  int ndelayed;
  dpi_eq_map lag, past;        /* lags and delayed expressions; the latter before the start. The system's own tapes */
  bool lag_nested;             /* a lag depends on a delayed value */
  const uint8_t *lag_steady;   /* [ndelayed] 0: moves with time or state; 1: parameters only; 2: a number */
  const bool *out_delayed;     /* [noutput] depends on delayed values */
  int nmap;                    /* maps given an id */
  const dpi_tape **tape;       /* [nmap] */
  int nvalue_max;              /* most values any tape gives */
  const char *method;
  dpi_solve_opts opts;
  bool whole;                  /* the solver takes a whole segment in one exact step */
  const char *lane_method;     /* NULL: members never go in lanes */
  bool lane_forced;            /* by this method or not at all */
  int width;                   /* members side by side */
  uint8_t crew0;               /* where members begin, but those who end sooner than calm_for after it: explicit */
  double calm_for;             /* as long as that the model's own parameters show nothing stiff */
  dpi_jit *jit;                /* owned; NULL: nothing is compiled yet (eq_code.c) */
  _Atomic bool code_asked;     /* whoever set it starts it */
  int64_t seen_members, seen_work; /* guarded by lock */
  dpi_lane_plan *plan[DPI_EQ_NCREW]; /* owned; NULL: not offered */
  struct dpi_eq_fixed *fixed;  /* owned; method "fixed", else NULL (eq_fixed.c) */
  dpi_eq_tangent *tangent;     /* list */
  struct dpi_eq_back *back;    /* what gradients need; made by the first (eq_adjoint.c) */
  pthread_mutex_t lock;        /* guards the pools */
  dpi_eq_bench *bench;
  dpi_eq_rig *rig;
  dpi_eq_batch *batch;
  int nbatch;
} dpi_eq_spoke;

/* One dose under way: waiting for its lag to pass, or an infusion that runs. Its derivatives lie in member->vec. */
typedef struct dpi_eq_dose {
  double start, stop;  /* real times; stop unused for a bolus */
  double amount;       /* bolus: what the state gets; infusion: the rate */
  int32_t state;
  uint8_t infusion, running;
  uint8_t zero[2]; /* no padding: these bytes are saved */
} dpi_eq_dose;

/* Path functional in progress. */
typedef struct dpi_eq_path {
  double value;  /* integral so far, best so far, time so far, first passage */
  double seen;   /* real time up to which the path was looked at; NaN: nothing yet */
  uint8_t any;   /* value holds something */
  uint8_t done;
  uint8_t unknown; /* the output was no number somewhere, and the answer may lie there */
  uint8_t zero[5]; /* no padding: these bytes are saved */
} dpi_eq_path;

/* What delays need to know of the past (eq_history.c). */
typedef struct dpi_eq_history dpi_eq_history;

/* D: the digital state of one member between calls. Arrays are slices of the batch's memory. */
typedef struct dpi_eq_member {
  dp_time now;          /* all instants and outputs up to here are done (valid once begun) */
  bool begun;
  bool fresh;           /* opened, and not yet laid on a bench: no values yet */
  double t;             /* real time of x */
  double *x;            /* [nstate] */
  double *s;            /* [nstate x ndir] */
  double *param;        /* [nparam] present values */
  double *p;            /* [nactive x ndir] present directions */
  bool edited;          /* the state was set from outside since the last advance */
  uint8_t crew;         /* what integrates it from here on */
  dpi_timeline line;
  int path_first;       /* index into batch->path */
  int ndose, cap_dose, cap_vec;
  dpi_eq_dose *dose;    /* owned, kept for reuse */
  double *vec;          /* [cap_vec] of each dose: d start, d stop, d amount; [3 x ndir] each */
  dpi_event_pool pool;  /* with each: d time [ndir], then assigned values and their directions */
  uint8_t *truth;       /* [nevent] trigger truth */
  double *draw;         /* [ndraw] present values */
  uint64_t ndrawn;      /* numbers taken from the member's stream for draws */
  double longest;       /* method "fixed": no step longer than this; 0: not known yet */
  uint64_t ntie;        /* and for events of equal priority */
  double *applied;      /* [nlaw] how often each law that draws numbers was applied: a whole number */
  dpi_eq_history *history; /* owned, kept for reuse; NULL where nothing is delayed */
} dpi_eq_member;

struct dpi_eq_batch {
  dpi_eq_batch *free_next;
  const dpi_eq_spoke *spoke;
  dpi_batch_def def;
  int cap_member, nhave; /* nhave: members that ever existed, their lists are kept */
  dpi_eq_member *m;
  int cap_real, cap_int, cap_path, cap_byte;
  double *real;
  int *ints;
  dpi_eq_path *path;
  uint8_t *bytes;
};

/* What comes next in a member's time (eq_advance.c). */
typedef struct dpi_eq_next {
  bool known;     /* nothing has happened since this was found */
  enum { DPI_EQ_WAY, DPI_EQ_INSTANT, DPI_EQ_OUTPUT, DPI_EQ_END } what; /* WAY: of what is under way; END: of this
                                                                          advance */
  double t, first; /* when; how far the path must be known before */
  double before;  /* the first of what is no output */
  double horizon; /* next discontinuity known beforehand, except marks; infinite: none */
  dpi_coming line; /* the instant */
  int dose;       /* WAY: the dose that arrives or ends, or -1 */
} dpi_eq_next;

typedef enum dpi_eq_need {
  DPI_EQ_WANTS_STEP, /* the solver must go on: to bench->target at most, unattended up to bench->attend */
  DPI_EQ_DONE,       /* stands at the end of this advance */
  DPI_EQ_FAILED,     /* or no memory: bench->no_memory */
} dpi_eq_need;

/* Numbers kept with a scheduled execution: d time, then assigned values and their directions. */
static inline int dpi_eq_due_row(const dpi_eq_spoke *sp, int ndir) { return ndir + sp->nassign_max * (1 + ndir); }

/* Where an advance to `to` ends for this member, and whether it has anything to do until there. */
static inline dp_time dpi_eq_end(const dpi_eq_batch *b, int i, dp_time to) {
  return b->def.end && b->def.end[i] < to ? b->def.end[i] : to;
}
static inline bool dpi_eq_waits(const dpi_eq_batch *b, int i, dp_time end) {
  return b->def.out[i].status == DP_MEMBER_OK && !(b->m[i].begun && b->m[i].now >= end);
}

/* One thread's bench: solver, registers and scratch, with the member that lies on it. */
#define DPI_EQ_RECORD 48 /* outputs recorded without a stop */

struct dpi_eq_bench {
  dpi_eq_bench *free_next;
  const dpi_eq_spoke *spoke;
  dpi_arena arena;
  int ndir;
  dpi_solver *solver;      /* the bench's own, or its lane's face */
  dpi_solver *own;         /* owned; NULL: on lanes */
  dpi_solver *steady;      /* owned; made when first needed, for nstate + ndir directions */
  dpi_solver *rough;       /* owned; the same at low accuracy, for nstate directions */
  double *sym;             /* [nsym] present symbol values */
  double **reg;            /* [nmap] registers */
  uint8_t *stale;          /* [nmap] prologue must run */
  double *val;             /* [nvalue_max] */
  double *xs, *ss;         /* state and sensitivities read from dense output */
  double *fa, *fb;         /* [nstate] right-hand sides before and after a jump */
  double *u, *du;          /* [nstate], [nstate x ndir] present input */
  double *dir;             /* [8 x ndir] scratch directions */
  double *sa, *sb;         /* [nstate x ndir] */
  double *xb;              /* [nstate] */
  double *held;            /* [nassign_max x (1 + ndir)] values that an event is about to assign */
  struct dpi_eq_rest *rest; /* what steady states need: eq_steady.c; made when first needed, in the arena */
  /* the member on the bench */
  dpi_eq_batch *batch;
  dpi_eq_member *m;
  const dp_member *def;
  dpi_member_out *out;
  bool bound;              /* solver knows the present parameters */
  bool live;               /* solver holds the path since m->t */
  bool have_input;         /* any infusion runs */
  double found;            /* real time of a trigger's change seen on the path; infinite: none */
  dp_time to;              /* this advance ends here, */
  double limit;            /* and as a real time */
  dpi_eq_next next;
  double target, attend;   /* with WANTS_STEP: no step goes beyond target; nobody looks before attend (t_now: at each
                              step) */
  int nrecord;             /* outputs before `attend` whose states the lanes are to record on the way, */
  double *record_t;        /* [DPI_EQ_RECORD] their times, */
  double *record_x;        /* [DPI_EQ_RECORD x nstate] and states; NULL: who drives does not record */
  double looked;           /* functionals and events have seen the path up to here */
  double *jac;             /* [nstate x nstate] factored Jacobian of a linear system, for exact areas */
  int *jac_piv;
  double jac_inverse;      /* its inverse's largest row sum; infinite: singular; < 0: not formed yet */
  double jac_size;         /* its largest entry */
  double turn;             /* stretch on which an affine output bends once at most; < 0: not known yet */
  double scale;            /* fastest rate of the segment (1/time), for the cells of functionals; < 0 unknown */
  double *memo_t, *memo_x; /* [DPI_EQ_MEMO], [DPI_EQ_MEMO x nstate] dense output read for functionals */
  uint64_t *memo_piece;    /* [DPI_EQ_MEMO] the piece of path it belongs to; 0: none */
  uint64_t piece;          /* counts solver steps and starts */
  double found_left;       /* the number before it */
  int found_root;          /* the root that changed its sign there, or -1 */
  double *v[7];            /* [watch.nall] what eq_watch.c compares */
  int watch_credit;        /* looks that may still be spent on roots that swing fast */
  double mark;             /* next time at which something changes that is known beforehand; infinite: none */
  double due, due_left;    /* next change of what time alone decides (infinite: none; NaN: not known), the number before
                              it */
  int due_root;            /* root that changes its sign there, or -1; DPI_EQ_NO_CHANGE: look again there */
  bool due_jump;           /* a rate jumps there */
  double chatter_t;        /* switches of the rates that follow each other without time moving on */
  int chatter;
  double *ext;             /* [nstate + ndelayed] argument of the lag tape */
  double *delayed;         /* [3 x ndelayed] scratch */
  double *slope_at;        /* [3 x ndelayed + nstate] scratch of functionals of delayed outputs */
  double *slope_x;         /* [nstate] */
  bool past_ready;         /* the prologue of the past's tape has run for this member */
  int bad_lag;             /* delayed symbol whose lag was negative, or -1 */
  double *cause;           /* [ndir] how the time of what happens now depends on the parameters */
  double *law_dir;         /* [nlaw_max x ndir] */
  double *act;             /* [(nassign_max + 2) x ndir] */
  dpi_storm storm;         /* events executed without time moving on */
  double crowd_t;          /* happenings of the model's own since then, where time hardly moves on */
  int crowd;
  bool no_memory;          /* the advance must end with DP_ERR_MEMORY: no fault of this member */
  struct dpi_eq_trace *trace; /* what the solver does is kept there; NULL: nowhere */
  const double *left;      /* [nstate] rates just before what was found, where the path is not this bench's;
                              else NULL */
  int rate_dir;            /* 1 + the direction of an infusion's given rate; 0: none */
};

extern const dpi_spoke_ops dp_spoke_equations;

/* ---- eq_compile.c ---- */
dp_status dpi_eq_compile(dpi_eq_spoke *sp, const dp_sim_def *def);
/* Map of `n` nodes; derivatives by the symbols column[0..ncol) of nodes [first_der, n). fast [nsym]: time, states,
 * delayed. */
dp_status dpi_eq_build(dpi_eq_spoke *sp, dp_model *m, const uint8_t *fast, const dpi_node *node, int n,
                       const int *column, int ncol, int first_der, dpi_eq_map *map);
void dpi_eq_release(dpi_eq_spoke *sp);

/* ---- eq_bench.c: benches, evaluation ---- */
/* scalar: with a solver of its own; else whoever lays a member on it sets `solver`. */
dp_status dpi_eq_bench_create(const dpi_eq_spoke *sp, int ndir, bool scalar, dpi_eq_bench **out);
dp_status dpi_eq_bench_take(const dpi_eq_spoke *sp, int ndir, dpi_eq_bench **out);
void dpi_eq_bench_give(dpi_eq_bench *w);
void dpi_eq_bench_destroy(dpi_eq_bench *w);
void dpi_eq_bench_lay(dpi_eq_bench *w, dpi_eq_batch *b, int member);
/* Values at the start are there, for those who look before the first advance. */
dp_status dpi_eq_member_ready(const dpi_eq_batch *b, int member);
/* Parameters or directions changed. */
void dpi_eq_bench_params(dpi_eq_bench *w);
/* Evaluate a map at (t, x) with the present parameters into out (w->val when NULL); gives out back. */
const double *dpi_eq_eval(dpi_eq_bench *w, const dpi_eq_map *map, double t, const double *x, double *out);
/* x' with the present input, or without (input == NULL). */
void dpi_eq_rhs(dpi_eq_bench *w, double t, const double *x, const double *input, double *f);
/* d [n x ndir] of a map's values when columns are states, then active, then time (dtime [ndir] or NULL). */
void dpi_eq_chain(const dpi_eq_bench *w, const dpi_eq_map *map, const double *val, const double *s, const double *dtime,
                  double *d);
/* The member fails; false, so that `return dpi_eq_fail(...)`. */
bool dpi_eq_fail(dpi_eq_bench *w, double t, const char *fmt, ...) DPI_PRINTF(3, 4);
/* Memory ran out: the advance ends with DP_ERR_MEMORY. False. */
bool dpi_eq_fail_memory(dpi_eq_bench *w);
bool dpi_eq_fail_solver(dpi_eq_bench *w, const dpi_solver *s, dpi_solve_outcome o);
bool dpi_eq_finite(const double *x, int n);
/* Initial values (model's or the member's) with derivatives under the present parameters. */
void dpi_eq_initial(dpi_eq_bench *w, double t, double *x, double *s);
/* The solver knows the present parameters. */
bool dpi_eq_bind(dpi_eq_bench *w);
/* Algebraic states of m->x as their constraints say at m->t. */
bool dpi_eq_settle(dpi_eq_bench *w);

/* ---- eq_advance.c ---- */
/* The member on the bench to `to`, by its own solver. */
void dpi_eq_member_advance(dpi_eq_bench *w, dp_time to);
/* The same in pieces. False: failed. */
bool dpi_eq_member_begin(dpi_eq_bench *w, dp_time to);
dpi_eq_need dpi_eq_member_next(dpi_eq_bench *w);
/* The solver took one step, or several that nobody had to see. */
bool dpi_eq_member_stepped(dpi_eq_bench *w, dpi_solve_outcome o);
/* Outputs that were recorded on the way: the first n of record_t, before `stepped`. */
bool dpi_eq_member_recorded(dpi_eq_bench *w, int n);
/* What comes next happens. */
bool dpi_eq_happen(dpi_eq_bench *w, const dpi_eq_next *k);
/* State at real time t into m->x, m->s; the solver's path ends there. */
bool dpi_eq_reach(dpi_eq_bench *w, double t);

/* ---- eq_lanes.c ---- */
bool dpi_eq_lanes_named(const char *method); /* a method that runs in lanes */
/* What of it these equations allow; the system, the options and a scalar method are there. */
dp_status dpi_eq_lanes_compile(dpi_eq_spoke *sp, const char *method);
void dpi_eq_lanes_release(dpi_eq_spoke *sp);
bool dpi_eq_lanes_apply(const dpi_eq_spoke *sp, int ndir);
/* Where this member begins: by its end and what the model's own parameters show. */
uint8_t dpi_eq_lanes_crew(const dpi_eq_spoke *sp, const dp_member *def);
dp_status dpi_eq_lanes_advance(dpi_eq_batch *b, dp_time to);
void dpi_eq_rig_destroy(dpi_eq_rig *r);

/* ---- eq_fixed.c ---- */
bool dpi_eq_fixed_named(const char *method);
/* The system and its laws are there. What they ask for that the method can't give is refused by name. */
dp_status dpi_eq_fixed_compile(dpi_eq_spoke *sp, const dp_sim_def *def);
void dpi_eq_fixed_release(dpi_eq_spoke *sp);
dp_status dpi_eq_fixed_advance(dpi_eq_batch *b, dp_time to);
/* Its tapes, for the jit: the most used first. */
int dpi_eq_fixed_tapes(const dpi_eq_spoke *sp, const dpi_tape **tape, int most);

/* ---- eq_tangent.c ---- */
int dpi_eq_tangent_most(const dpi_eq_spoke *sp); /* directions that steps in lanes can carry; 0: none go in lanes */
/* May steps in lanes carry so many directions? */
bool dpi_eq_tangent_fits(const dpi_eq_spoke *sp, int ndir);
/* The crew's plan with ndir directions; that of the spoke for 0, NULL where it has none. */
dp_status dpi_eq_tangent_plan(const dpi_eq_spoke *sp, int crew, int ndir, const dpi_lane_plan **out);
/* So many members went that way: its steps may be worth machine code. */
dp_status dpi_eq_tangent_members(const dpi_eq_spoke *sp, int ndir, int n);
void dpi_eq_tangent_destroy(dp_ctx *ctx, dpi_eq_tangent *list);

/* ---- eq_trace.c, eq_adjoint.c: where bench->trace is set ---- */
bool dpi_eq_trace_start(dpi_eq_bench *w);
bool dpi_eq_trace_step(dpi_eq_bench *w, double t, double h, const double *x);
bool dpi_eq_trace_reach(dpi_eq_bench *w, double t);
bool dpi_eq_trace_output(dpi_eq_bench *w, int row, double t, const double *x, bool path);
bool dpi_eq_trace_happen(dpi_eq_bench *w, const dpi_eq_next *next,
                         bool (*happen)(dpi_eq_bench *w, const dpi_eq_next *next));
bool dpi_eq_back_can(const dpi_eq_spoke *sp);
void dpi_eq_back_release(dpi_eq_spoke *sp);
dp_status dpi_eq_gradient(const dpi_spoke *spoke, const dpi_batch_def *batch, const dpi_gradient_def *def);

/* ---- eq_code.c ---- */
/* So many members were opened in lanes; scalar methods evaluated the rates so often. */
dp_status dpi_eq_code_members(const dpi_eq_spoke *sp, int n);
dp_status dpi_eq_code_evaluations(const dpi_eq_spoke *sp, long n);
dp_status dpi_eq_code_warm(const dpi_spoke *spoke, int *ncode);

/* ---- eq_timeline.c ---- */
bool dpi_eq_instant(dpi_eq_bench *w, const dpi_coming *n);

/* ---- eq_dose.c ---- */
/* What a dose is under the parameters at its nominal time. Directions [ndir] lie in bench->dir. */
typedef struct dpi_eq_plan {
  int state;
  bool infusion;
  double amount;  /* bioavailable amount of a bolus; rate of an infusion */
  double lag, duration;
  double *damount, *dlag, *dduration, *dtime;
} dpi_eq_plan;
bool dpi_eq_dose_plan(dpi_eq_bench *w, const dp_instant *in, double t, dpi_eq_plan *plan);
bool dpi_eq_dose_give(dpi_eq_bench *w, const dp_instant *in, double t);
/* Add a dose of this plan that starts at t + shift; running: it started before. */
bool dpi_eq_dose_add(dpi_eq_bench *w, const dpi_eq_plan *plan, double t, double shift, bool running);
int dpi_eq_dose_next(const dpi_eq_bench *w, double *t); /* index or -1 */
bool dpi_eq_dose_happen(dpi_eq_bench *w, int i);
void dpi_eq_input(dpi_eq_bench *w); /* form u, du from the running infusions */
/* s += (f(x-) - f(x+)) dtau, f with input `u` on both sides */
void dpi_eq_jump(dpi_eq_bench *w, double t, const double *before, const double *after, const double *dtau, double *s,
                 int stride);

/* ---- eq_law.c ---- */
dp_status dpi_eq_law_compile(dpi_eq_spoke *sp, dp_model *m, const dp_sim_def *def, const uint8_t *fast,
                             const int *column);
int dpi_eq_law_active(const dp_model *m, const dp_sim_def *def, int *active, int n);
bool dpi_eq_law_apply(dpi_eq_bench *w, int law, double t);
bool dpi_eq_law_noisy(const dpi_eq_spoke *sp); /* any law draws numbers */
/* Number `position` of the k-th application (k = 0, 1, ..) by the member of this stream. */
double dpi_eq_law_noise(const dpi_eq_law *law, uint64_t seed, uint64_t stream, double k, int position);

/* ---- eq_steady.c ---- */
bool dpi_eq_steady_dose(dpi_eq_bench *w, const dp_instant *in, double t, const dpi_eq_plan *plan);
bool dpi_eq_equilibrate(dpi_eq_bench *w, double t);

/* ---- eq_event.c ---- */
void dpi_eq_event_begin(dpi_eq_bench *w);
/* All triggers and due executions at m->t. */
bool dpi_eq_event_run(dpi_eq_bench *w);

/* ---- eq_watch_compile.c, eq_watch.c ---- */
dp_status dpi_eq_watch_compile(dpi_eq_spoke *sp, dp_model *m, const uint8_t *fast, const int *column, int ncol);
static inline bool dpi_eq_watches(const dpi_eq_bench *w) { return w->spoke->watch.nall > 0; }
/* First change of a trigger or of a switch in (from, to] of the solver's last step; true and its time when there is
 * one. */
bool dpi_eq_watch_find(dpi_eq_bench *w, double from, double to, double *when);
/* The path was left where something was found: set bench->cause from its root, carry m->s over the jump of the rates.
 * f: rates just before (dpi_eq_watch_left). */
void dpi_eq_watch_cross(dpi_eq_bench *w, const double *f);
/* Rates just before what was found, while the path is still there; only with directions. */
void dpi_eq_watch_left(dpi_eq_bench *w, double *f);
/* Time at which the solver should stop on its way to `target`, from t: for changes known beforehand. */
double dpi_eq_watch_stop(dpi_eq_bench *w, double t, double target);
/* Expect them anew from t on, where a path starts. */
void dpi_eq_watch_marks(dpi_eq_bench *w, double t);
/* Where time alone decides all that is watched: is the next change at `to` at the latest? It is then found, as
 * by find. */
bool dpi_eq_watch_due(dpi_eq_bench *w, double to, double *when);

/* ---- eq_draw.c ---- */
/* All that are made at the start, in order; one that can't be made is no number: said by started, at the
 * first advance. */
void dpi_eq_draw_start(dpi_eq_bench *w);
bool dpi_eq_draw_started(dpi_eq_bench *w);
/* Those that belong to this phase of this event, in order. */
bool dpi_eq_draw_now(dpi_eq_bench *w, dpi_draw_phase phase, int event);
/* One of n, at random. */
int dpi_eq_draw_tie(void *bench, int n);

/* ---- eq_history.c ---- */
dp_status dpi_eq_history_create(const dpi_eq_spoke *sp, dpi_eq_history **out);
void dpi_eq_history_destroy(dp_ctx *ctx, dpi_eq_history *h);
void dpi_eq_history_reset(dpi_eq_history *h); /* NULL allowed; nothing is delayed until begin */
/* Nothing has happened yet; the past is that of the present parameters. */
void dpi_eq_history_begin(dpi_eq_bench *w);
/* The state jumped, or its rates, at m->t. */
bool dpi_eq_history_jump(dpi_eq_bench *w);
/* The path starts anew at m->t. */
bool dpi_eq_history_start(dpi_eq_bench *w);
/* Keep the solver's last step. */
bool dpi_eq_history_step(dpi_eq_bench *w);
/* Forget what lies behind t. */
void dpi_eq_history_cut(dpi_eq_bench *w, double t);
/* Delayed values at (t, x), t in what is known or in the step under way. */
void dpi_eq_delayed(dpi_eq_bench *w, double t, const double *x, double *delayed);
/* When an earlier jump comes back through a constant lag; infinite: never. */
double dpi_eq_history_break(const dpi_eq_bench *w);
bool dpi_eq_history_pass(dpi_eq_bench *w);

/* ---- eq_functional.c ---- */
void dpi_eq_path_begin(dpi_eq_path *p);
/* Fastest rate of the segment that begins at m->t (1/time). */
double dpi_eq_segment_rate(dpi_eq_bench *w);
/* How near to singular the Jacobian of a linear system is, for the member's parameters: size times its inverse's. */
double dpi_eq_jac_condition(dpi_eq_bench *w);
/* Look at the path on [from, to] of the solver's last step. */
void dpi_eq_path_look(dpi_eq_bench *w, double from, double to);
/* The run stands at `now`: close windows that have passed. */
bool dpi_eq_path_close(dpi_eq_bench *w, dp_time now);

/* ---- eq_save.c ---- */
dp_status dpi_eq_fork(const dpi_batch *from, int member, dpi_batch *to, int member_to);
dp_status dpi_eq_save(const dpi_batch *batch, int member, dpi_str *bytes);
dp_status dpi_eq_load(dpi_batch *batch, int member, const void *bytes, size_t size);
dp_status dpi_eq_member_doses(dpi_eq_batch *b, dpi_eq_member *m, int need);


#endif
