/* st_impl.h - the stochastic spoke's private contract between its files (floor 4).
 *
 *     create    model -> channels, flow, events, outputs                constant, shared by all threads
 *                                                                       (st_compile.c, st_channel.c)
 *     open      members' digital states                                 one batch               (stochastic.c)
 *     advance   lay each member on a bench, take it off again           one thread              (st_bench.c)
 *               timeline: what comes next                                                       (st_timeline.c)
 *               jumps, one by one, under constant propensities                                  (st_jump.c)
 *               continuous states, propensities that change between jumps                       (st_flow.c)
 *               many jumps at once; jumps as noise                                              (st_leap.c)
 *               the model's events                                                              (st_event.c)
 *
 * Words: a *channel* is a reaction as a jump with a propensity; *flow* are the states that change continuously (rate
 * rules); a *counted* state is changed by channels. A channel fires when the integral of its propensity has used up a
 * unit exponential: what is left of it is kept, so doses, switches and events change the way but waste no random
 * number.
 *
 * Invariants:
 *   1. a real time is ticks/DP_TICKS, the time of a jump, of a trigger or of a due execution; never a running sum of
 *      steps;
 *   2. sums of propensities lie in a binary tree whose inner nodes are always the sum of their two children: what it
 *      says depends on the propensities alone, not on how they came about;
 *   3. random numbers are addressed by (seed, stream, purpose, counter); counters are part of the member's state.
 */
#ifndef DPI_ST_IMPL_H
#define DPI_ST_IMPL_H

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "lang/lang.h"
#include "num/num.h"
#include "spoke/event_pool.h"
#include "spoke/spoke.h"
#include "spoke/timeline.h"

#define DPI_ST_BLOCK 32  /* members in a batch */
#define DPI_ST_FACTORS 4 /* states in a propensity that is evaluated without a tape */

typedef enum dpi_st_method { DPI_ST_DIRECT, DPI_ST_NEXT, DPI_ST_LEAP, DPI_ST_LANGEVIN } dpi_st_method;

typedef struct dpi_st_map { /* values in one tape; id: place of its registers on a bench */
  dpi_tape *tape;           /* owned; NULL: nothing */
  int id, n;
} dpi_st_map;

typedef struct dpi_st_factor { /* sym[sym] - coef[offset] */
  int sym, offset;
} dpi_st_factor;

typedef struct dpi_st_change { /* sym[sym] += coef[by], or the by-th value of the channel's map when the map is there */
  int sym, by;
} dpi_st_change;

typedef struct dpi_st_reactant { /* for leaps: state, how many are used up, how many of it and of all are reactants */
  int sym, count, order;
} dpi_st_reactant;

typedef struct dpi_st_channel {
  const char *id;
  bool product; /* propensity = coef[coef] * factors */
  int coef, nfactor;
  dpi_st_factor factor[DPI_ST_FACTORS];
  dpi_st_map rate; /* otherwise */
  int nchange;
  dpi_st_change *change;
  dpi_st_map by;      /* stoichiometries that change in time */
  int nhit, *hit;     /* channels whose propensity depends on what this one changes */
  int nwatch, *watch; /* events whose trigger does */
  bool steers;        /* slopes of the flow do */
  bool drifts;        /* propensity depends on time or on the flow */
  int nreactant;
  dpi_st_reactant *reactant;
} dpi_st_channel;

typedef struct dpi_st_control {
  int sym;
  dpi_st_map map; /* bioavailability, lag */
} dpi_st_control;

/* How a trigger may change without a jump. */
typedef enum dpi_st_reach { DPI_ST_STILL, DPI_ST_AFFINE, DPI_ST_CURVED } dpi_st_reach;

typedef struct dpi_st_event {
  dpi_st_map test; /* trigger, roots */
  dpi_st_map delay, priority, act;
  dpi_st_map times; /* [nassign] by what values from trigger time are multiplied at execution; no tape: by nothing */
  dpi_st_reach reach;
  int ntrigger, nexecution;                 /* draws made when triggered, when executed */
  const int *trigger_draw, *execution_draw; /* indices of model->draw */
} dpi_st_event;

typedef struct dpi_st_bench dpi_st_bench;
typedef struct dpi_st_batch dpi_st_batch;

typedef struct dpi_st_spoke {
  dpi_spoke base;
  dpi_spoke_desc desc;
  dpi_arena arena;
  const dp_model *model; /* borrowed */
  int nsym, nstate, nparam, noutput, ncontrol, nevent, nchannel, ndraw;
  const int *param_sym;
  dpi_st_method method;
  double rtol, atol;
  double eps; /* leaps: largest relative change of a propensity */
  dpi_st_channel *channel;
  int leaf;   /* first leaf of the tree: a power of two >= nchannel */
  int nclock; /* random clocks of a member: 1, or one for each channel */
  int ncoef;
  dpi_st_map coef; /* constants between changes of parameters; coef[0] is 0 */
  bool fractions;  /* some counted state moves by other than whole numbers */
  int nflow;
  int *flow_sym;          /* [nflow] */
  dpi_st_map flow;        /* their rates */
  bool straight;          /* rates are constant between jumps */
  bool drift;             /* some propensity depends on time or on the flow, or the flow is not straight */
  const uint8_t *counted; /* [nstate] */
  dpi_st_map out, start;
  dpi_st_map *draw; /* [ndraw] arguments */
  dpi_st_control *control;
  dpi_st_event *event;
  int nassign_max, ntrigger_max;
  int naffine, ncurved; /* events by the reach of their triggers */
  int nmap;
  const dpi_tape **tape; /* [nmap] */
  int cap_tape, nvalue_max;
  pthread_mutex_t lock;
  dpi_st_bench *bench; /* pool */
} dpi_st_spoke;

typedef struct dpi_st_dose { /* waits for its lag to pass */
  double time, amount;
  int32_t sym, zero; /* no padding: saved */
} dpi_st_dose;

/* D: one member between calls. Arrays are slices of the batch's memory. */
typedef struct dpi_st_member {
  dp_time now;
  bool begun;
  bool bad;             /* no initial values could be made: fails when it begins */
  double t;             /* real time of the last happening */
  double from;          /* real time of the flow in x: straight flow stays where it was last changed */
  double *x;            /* [nstate] */
  double *param;        /* [nparam] */
  double *draw;         /* [ndraw] last values of the draws */
  double *left, *since; /* [nclock] what is left of the unit exponential at that time */
  uint64_t *count;      /* [nclock] numbers taken; then [1] draws of the model, leaps */
  uint64_t stream;      /* the stream the clocks were wound from */
  dpi_timeline line;
  int ndose, cap_dose;
  dpi_st_dose *dose;   /* owned */
  dpi_event_pool pool; /* with each: assigned values [nassign_max], trigger draws [ntrigger_max] */
  uint8_t *truth; /* [nevent] */
} dpi_st_member;

struct dpi_st_batch {
  const dpi_st_spoke *spoke;
  dpi_batch_def def;
  dpi_st_member *m; /* with all their arrays in one block */
};

/* One thread's bench. */
struct dpi_st_bench {
  dpi_st_bench *free_next;
  const dpi_st_spoke *spoke;
  dpi_arena arena;
  double *sym;       /* [nsym] present values of all symbols */
  double **reg;      /* [nmap] */
  uint8_t *stale;    /* [nmap] */
  double *val;       /* [nvalue_max] */
  double *coef;      /* [ncoef] */
  double *unit;      /* [nsym] the step in which a counted state moves; 0: whole numbers, or none */
  double *tree;      /* [2 leaf] propensities from leaf on; tree[1] their sum */
  double *when;      /* [nevent] next time at which an affine trigger may change; NaN: not known */
  int *heap, *place; /* next reaction: channels by time, and where each stands */
  double *due;       /* [nchannel] its times */
  double *base;      /* [nflow] the flow at time `from` */
  double *slope;     /* [nflow] straight: its rates */
  double from;
  double *y, *k;         /* [3 (nflow + 1)], [12 (nflow + 1)] integrator: values, stages, dense output */
  double y_from, y_step; /* its last step */
  double step;           /* next step to try; 0: not known */
  double *held;          /* [nassign_max + ntrigger_max] */
  double *leap;          /* scratch of leaps */
  int *fired;            /* [nchannel] scratch of leaps */
  uint32_t key[2];
  int beat;      /* jumps since the caller was last asked whether to stop */
  double beat_t; /* time then */
  double paced, paced_t; /* jumps, one by one, since that time: at that pace, is the end reached? */
  int quota;     /* jumps to make before looking around; 0: no limit */
  dpi_storm storm; /* executions without time moving on */
  double limit;
  dpi_st_batch *batch;
  dpi_st_member *m;
  const dp_member *def;
  dpi_member_out *out;
  bool no_memory, stopped;
};

typedef enum dpi_st_outcome { DPI_ST_THERE, DPI_ST_AGAIN, DPI_ST_FAIL } dpi_st_outcome;

extern const dpi_spoke_ops dp_spoke_stochastic;

/* ---- st_compile.c, st_channel.c ---- */
typedef struct dpi_st_builder {
  dpi_st_spoke *sp;
  dp_model *model;
  uint8_t *fast;   /* [nsym] time, states, draws */
  uint8_t *moving; /* [nsym] time and the flow */
  uint8_t *seen;   /* [nsym] scratch */
  uint8_t *kind;   /* [nkind] of each node: DPI_ST_FAST, and its degree in time and flow */
  int nkind, cap_kind;
  dpi_node *coef; /* nodes of the coefficients */
  int ncoef, cap_coef;
  dpi_node *flow; /* [nstate] rate of each state apart from channels; NONE: none */
} dpi_st_builder;
enum { DPI_ST_DEGREE = 3, DPI_ST_FAST = 4 }; /* degree: 0 free of time and flow, 1 affine in them, 2 otherwise */
dp_status dpi_st_kind(dpi_st_builder *b, dpi_node node, int *kind); /* fast: depends on time, states or draws */
dp_status dpi_st_compile(dpi_st_spoke *sp, const dp_sim_def *def);
void dpi_st_release(dpi_st_spoke *sp);
dp_status dpi_st_map_build(dpi_st_builder *b, const dpi_node *node, int n, dpi_st_map *map);
dp_status dpi_st_depends(dpi_st_builder *b, dpi_node node); /* into b->seen, cleared first */
dp_status dpi_st_channels(dpi_st_builder *b);
dp_status dpi_st_flow_find(dpi_st_builder *b);  /* before the channels */
dp_status dpi_st_flow_build(dpi_st_builder *b); /* after them */
dp_status dpi_st_dependencies(dpi_st_builder *b);

/* ---- st_bench.c ---- */
dp_status dpi_st_bench_take(const dpi_st_spoke *sp, dpi_st_bench **out);
void dpi_st_bench_give(dpi_st_bench *w);
void dpi_st_bench_destroy(dpi_st_bench *w);
void dpi_st_bench_lay(dpi_st_bench *w, dpi_st_batch *b, int member);
void dpi_st_bench_lift(dpi_st_bench *w); /* write the state back into the member */
/* Parameters have changed. */
void dpi_st_bench_params(dpi_st_bench *w);
const double *dpi_st_eval(dpi_st_bench *w, const dpi_st_map *map); /* at the present symbols */
double dpi_st_value(dpi_st_bench *w, const dpi_st_map *map);       /* its first value */
bool dpi_st_fail(dpi_st_bench *w, double t, const char *fmt, ...) DPI_PRINTF(3, 4);
bool dpi_st_no_memory(dpi_st_bench *w);
/* Initial values into the symbols; random ones are drawn. */
bool dpi_st_initial(dpi_st_bench *w);
bool dpi_st_draw(dpi_st_bench *w, int draw); /* one draw of the model into its symbol */
dpi_rng dpi_st_rng(const dpi_st_bench *w);   /* the stream of draws and leaps; put its counter back by: */
void dpi_st_rng_put(dpi_st_bench *w, const dpi_rng *rng);
/* Clock c's next two uniforms. */
void dpi_st_uniforms(dpi_st_bench *w, int c, double u[2]);
/* Round a counted state to whole steps where it is within rounding of one. */
double dpi_st_snap(const dpi_st_bench *w, int sym, double x);

/* ---- st_jump.c ---- */
double dpi_st_rate(dpi_st_bench *w, int r);
/* All propensities anew at time t, the clocks going on with what is left; t = since: nothing has passed. */
bool dpi_st_refresh(dpi_st_bench *w, double t);
void dpi_st_wind(dpi_st_bench *w, double t);                   /* wind all clocks anew */
bool dpi_st_pick(dpi_st_bench *w, double u, double t, int *r); /* a channel in proportion to its propensity */
bool dpi_st_fire(dpi_st_bench *w, int r, double times, double t);
void dpi_st_put(dpi_st_bench *w, int r, double a); /* into the tree */
dpi_st_outcome dpi_st_jump_to(dpi_st_bench *w, double t);
bool dpi_st_bad_rate(dpi_st_bench *w, int r, double a, double t);
bool dpi_st_halt(dpi_st_bench *w); /* the caller wants to stop */

/* ---- st_flow.c ---- */
void dpi_st_flow_start(dpi_st_bench *w, double t); /* the symbols hold the flow at t */
void dpi_st_flow_at(dpi_st_bench *w, double t);    /* straight: write time and the flow at t into the symbols */
dpi_st_outcome dpi_st_drift_to(dpi_st_bench *w, double t);

/* ---- st_leap.c ---- */
int dpi_st_leap_room(const dpi_st_spoke *sp);
dpi_st_outcome dpi_st_leap_to(dpi_st_bench *w, double t);
dpi_st_outcome dpi_st_langevin_to(dpi_st_bench *w, double t);

/* ---- st_event.c ---- */
void dpi_st_event_begin(dpi_st_bench *w);
void dpi_st_event_forget(dpi_st_bench *w); /* inputs of triggers have changed: known times are not valid any more */
/* The symbols stand at w->m->t: triggers and due executions. */
bool dpi_st_event_run(dpi_st_bench *w);
/* Next time after m->t at which an affine trigger may change; infinite: none. */
double dpi_st_event_next(dpi_st_bench *w);
bool dpi_st_event_changed(dpi_st_bench *w, int r); /* has channel r, at m->t, changed a trigger? */
/* First change in (from, to] of a curved trigger along a path that `at` writes into the symbols. */
typedef void (*dpi_st_path_fn)(dpi_st_bench *w, double t);
bool dpi_st_event_find(dpi_st_bench *w, double from, double to, dpi_st_path_fn at, double *when);

/* ---- st_timeline.c ---- */
void dpi_st_member_advance(dpi_st_bench *w, dp_time to);
/* Numbers that a scheduled execution carries. */
static inline int dpi_st_due_width(const dpi_st_spoke *sp) { return sp->nassign_max + sp->ntrigger_max; }

#endif
