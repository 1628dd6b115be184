/* eq_fixed.c - a batch in steps of a fixed length, its members side by side, their laws applied together.  D, U -> O
 *
 *     lane:  IDLE -> WALKS (steps left) -> WAITS (a law is due) -> WALKS ...    nothing but laws: here, in lanes
 *                         |
 *                         +-> anything else: eq_advance.c, on the lane's bench, as for all methods -> WALKS
 *
 * A closed loop is a law that repeats hundreds of times a day. What eq_advance.c does for one happening (look ahead,
 * read the path, apply, bind, start) takes longer than the step between two of them; so repeats of laws are done here:
 * one tape for the step (solve/fixed.h), one for each law, both over all lanes, and the timeline is only counted on.
 * All else (doses, switches, outputs, first times) goes the general way, for its lane alone.
 *
 * A lane is *ahead* when laws were applied here that its member does not know of: its column, `held` parameters and
 * timeline are right, m->x, m->t, m->param are old. `sync` brings the parameters up; x and t come by the face, as the
 * end of a path.
 *
 * Steps are no longer than what keeps the method stable: a member's own limit is found once, where it starts, from the
 * spectral radius of its Jacobian (power iteration), and is part of its state. Members with the same limit go together.
 *
 * Laws wait until no lane walks any more: members with the same clock stay in step by themselves. That decides when,
 * never what.
 *
 * A lane is *plain* while nothing comes but the one law that repeats, the same number of equal steps apart: the same
 * thing again and again, which is done for all plain lanes together without looking at any of them. What is counted for
 * one (`at`, `tick`, times) is then behind by the rounds since; `unplain` catches up. A plain lane is in WAITS.
 *
 * Invariants:
 *   1. what a member becomes depends on this member alone: segments are cut where something of its own happens, a law's
 *      numbers are those that eq_law.c would have given;
 *   2. nothing is allocated once a gang is warm. */
#include "num/lane_normal.h"
#include "solve/lane_rows.h"
#include "spoke/equations/eq_impl.h"

#include <math.h>

#define STABLE \
  2.6 /* h |lambda|: the classical method's region reaches to -2.785 and to 2.828 i, and holds the half disk of 2.6 */
#define ROUNDS 96           /* of the power iteration; the second half counts */
#define STEPS_MOST 100000.0 /* of a segment, where max_steps says nothing */

/* One law for all lanes. */
typedef struct law_tape {
  dpi_tape *tape;              /* owned; values, then their sum: finite as long as they are, but for overflow */
  dpi_tape *all;               /* owned: the same for all vectors of a gang */
  int time;                    /* row or -1 */
  int nx, *x, *x_row;          /* states that it reads */
  int nheld, *held, *held_row; /* moving parameters that it reads */
  const int *moved;            /* [nvalue] moving parameter of a target; -1: a state */
} law_tape;

/* What the spoke has for this method; constant. */
typedef struct dpi_eq_fixed {
  double step, most;
  dpi_fixed_plan *plan; /* owned */
  int nmoving;
  const int *moving;    /* [nmoving] parameters that laws set or hold numbers in */
  const int *moving_of; /* [nparam] or -1 */
  law_tape *law;        /* [nlaw] */
  bool together;        /* laws may be applied here */
  struct gang *gang;    /* pool, under the spoke's lock */
} dpi_eq_fixed;

enum { IDLE, WALKS, WAITS };
enum { LANES = DPI_FIXED_LANES };
enum { PLAIN_STEPS = 16 }; /* most steps between two laws of a plain lane */
enum { AHEAD = 8 }; /* applications whose numbers are drawn at once: one waits for its own rounds, several do not */

/* Numbers of a law that draws, for all lanes. */
typedef struct noise {
  uint32_t valid;       /* lanes that have numbers here, */
  uint64_t place;       /* all the next ones at this place */
  uint64_t base[LANES]; /* a lane's applications so far: base, and place where it is valid */
  double (*z)[LANES];   /* owned [nnoise x AHEAD] */
} noise;
_Static_assert(LANES % DPI_NORMAL_LANES == 0, "numbers are drawn for DPI_NORMAL_LANES lanes at once");

typedef struct lane {
  uint8_t state;
  bool law_next; /* at the end of this segment only a law is due: the one below */
  bool ahead;
  double from, to, h;
  double k, n;            /* steps taken, of how many */
  double span;            /* of which h and n are */
  double other;           /* before this real time nothing but repeats of laws happens */
  int law, entry;         /* which, and its place among the repeats */
  const dp_instant *only; /* the one law that repeats, where there is one; */
  int *at;                /* its entry in the timeline, */
  dp_time tick;           /* and when it comes next */
  int64_t since, until;   /* plain: from this round on, and up to this one */
} lane;

/* Rows that are copied: to[i] := from[i]. */
typedef struct rows {
  int n;
  double **to;
  const double **from;
} rows;

/* One thread's lanes. */
typedef struct gang {
  struct gang *free_next;
  const dpi_eq_spoke *spoke;
  int vector, width;        /* lanes that are computed at once; lanes */
  dpi_fixed *g;             /* owned */
  dpi_eq_bench *w[LANES];   /* owned */
  lane lane[LANES];
  uint32_t in[WAITS + 1];   /* lanes in this state, as bits */
  uint32_t plain;           /* lanes */
  uint32_t owes[PLAIN_STEPS]; /* those that take more steps than this from law to law */
  int64_t round, due;       /* applications so far; at the next of which a lane is plain no more, at the earliest */
  double **law_reg;       /* owned [nlaw], each too */
  double *scratch;        /* owned: plain workspace of the largest law */
  double *store;          /* owned [nmoving x width] */
  double **held; /* owned [nmoving]: where a moving parameter is kept: its row in the one law or the step that reads
                       it, else in the store */
  rows *load;    /* owned [nlaw], lists too: what a law reads that is kept elsewhere */
  rows *give;    /* owned [nlaw], lists too: from a law's values to where they belong */
  noise *noise;  /* owned [nlaw] */
  double **row;  /* owned [nmoving]: their rows in the step; NULL: not used there */
  dpi_lane_normal_fn normal;
  dpi_eq_batch *b; /* the call */
  dp_time to;
  int *queue; /* owned: members, in the order in which they are taken */
  int njob, cap_job, next;
  dp_status status;
} gang;

/* ---- making ---- */

bool dpi_eq_fixed_named(const char *method) { return strcmp(method, "fixed") == 0; }

/* Parameters that change at every law. */
static dp_status find_moving(dpi_eq_spoke *sp, dpi_eq_fixed *f) {
  int *list = DPI_ARENA_ARRAY(&sp->arena, int, sp->nparam + 1), *of = DPI_ARENA_ARRAY(&sp->arena, int, sp->nparam + 1);
  if (!list || !of) return DP_ERR_MEMORY;
  for (int p = 0; p < sp->nparam; p++) of[p] = -1;
  for (int l = 0; l < sp->nlaw; l++) {
    for (int k = 0; k < sp->law[l].map.nvalue; k++)
      if (sp->law[l].target[k] >= sp->nstate) of[sp->law[l].target[k] - sp->nstate] = 0;
    for (int k = 0; k < sp->law[l].nnoise; k++) of[sp->law[l].noise[k]] = 0;
  }
  for (int p = 0; p < sp->nparam; p++)
    if (of[p] == 0) list[of[p] = f->nmoving++] = p;
  f->moving = list;
  f->moving_of = of;
  return DP_OK;
}

/* What of its symbols the law's tape reads. */
static dp_status find_reads(dpi_eq_spoke *sp, const dpi_eq_fixed *f, law_tape *t) {
  int *p = DPI_ARENA_ARRAY(&sp->arena, int, 2 * (size_t)(sp->nstate + f->nmoving) + 1);
  if (!p) return DP_ERR_MEMORY;
  t->x = p;
  t->x_row = t->x + sp->nstate;
  t->held = t->x_row + sp->nstate;
  t->held_row = t->held + f->nmoving;
  t->time = dpi_tape_row(t->tape, 0);
  for (int j = 0; j < sp->nstate; j++) {
    const int row = dpi_tape_row(t->tape, 1 + j);
    if (row < 0) continue;
    t->x[t->nx] = j;
    t->x_row[t->nx++] = row;
  }
  for (int i = 0; i < f->nmoving; i++) {
    const int row = dpi_tape_row(t->tape, sp->param_sym[f->moving[i]]);
    if (row < 0) continue;
    t->held[t->nheld] = i;
    t->held_row[t->nheld++] = row;
  }
  return DP_OK;
}

static dp_status make_law(dpi_eq_spoke *sp, const dpi_eq_fixed *f, const uint8_t *fast, int l) {
  const dpi_eq_law *law = &sp->law[l];
  law_tape *t = &f->law[l];
  const int n = law->map.nvalue;
  int *moved = DPI_ARENA_ARRAY(&sp->arena, int, n + 1);
  dpi_node *node = DPI_ARENA_ARRAY(&sp->arena, dpi_node, n + 1);
  if (!moved || !node) return DP_ERR_MEMORY;
  node[n] = law->node[0];
  for (int k = 0; k < n; k++) {
    node[k] = law->node[k];
    if (k > 0) node[n] = dpi_g_op2(sp->model->graph, DPI_OP_ADD, node[n], node[k]);
  }
  if (node[n] == DPI_NODE_NONE) return DP_ERR_MEMORY;
  for (int k = 0; k < n; k++) moved[k] = law->target[k] >= sp->nstate ? f->moving_of[law->target[k] - sp->nstate] : -1;
  t->moved = moved;
  DP_TRY(dpi_tape_create(sp->base.ctx, sp->model->graph, node, n + 1, fast, sp->nsym, &t->tape));
  DP_TRY(dpi_tape_spread(t->tape, DPI_FIXED_VECTORS, DPI_FIXED_VECTORS, &t->all));
  return find_reads(sp, f, t);
}

static dp_status make(dpi_eq_spoke *sp, dpi_eq_fixed *f) {
  dp_ctx *ctx = sp->base.ctx;
  uint8_t *fast = DPI_NEW_ARRAY(ctx, uint8_t, (size_t)sp->nsym + 1), *fed = DPI_NEW_ARRAY(ctx, uint8_t, sp->nstate + 1);
  f->law = DPI_ARENA_ARRAY(&sp->arena, law_tape, sp->nlaw + 1);
  dp_status st = fast && fed && f->law ? find_moving(sp, f) : DP_ERR_MEMORY;
  if (st == DP_OK) {
    for (int j = 0; j < sp->nstate; j++) fed[j] = 0;
    for (int c = 0; c < sp->ncontrol; c++) fed[sp->control[c].state] = 1;
    memset(fast, 0, (size_t)sp->nsym);
    for (int i = 0; i < f->nmoving; i++) fast[sp->param_sym[f->moving[i]]] = 1;
    st = dpi_fixed_plan_create(ctx, sp->sys, fast, fed, &f->plan);
  }
  for (int s = 0; s <= sp->nstate && st == DP_OK; s++) fast[s] = 1;
  for (int l = 0; l < sp->nlaw && st == DP_OK; l++) st = make_law(sp, f, fast, l);
  dpi_free(ctx, fast);
  dpi_free(ctx, fed);
  return st;
}

dp_status dpi_eq_fixed_compile(dpi_eq_spoke *sp, const dp_sim_def *def) {
  const dpi_eq_watch *k = &sp->watch;
  if (k->nall > 0 && !k->all_timed)
    return dpi_fail(sp->base.ctx, DP_ERR_UNSUPPORTED, "%s: method 'fixed' can't take this model: %s depends on states",
                    sp->model->source,
                    sp->nevent > 0 ? "when an event happens, or a rate jumps," : "when a rate jumps");
  dpi_eq_fixed *f = DPI_ARENA_NEW(&sp->arena, dpi_eq_fixed);
  if (!f) return DP_ERR_MEMORY;
  f->step = def->step;
  f->most = def->max_steps > 0 ? def->max_steps : STEPS_MOST;
  f->together = k->nall == 0 && sp->nevent == 0 && !sp->settles;
  sp->fixed = f;
  sp->whole = false;
  while (sp->width > 1 && !dpi_lane_ops_find(sp->width)) sp->width /= 2;
  if (sp->width == 0) sp->width = dpi_lane_ops_find(0)->width;
  sp->desc.caps &= ~(uint32_t)(DP_CAP_JVP | DP_CAP_FUNCTIONALS | DP_CAP_STEADY);
  return make(sp, f);
}

static void gang_destroy(gang *a);

void dpi_eq_fixed_release(dpi_eq_spoke *sp) {
  dpi_eq_fixed *f = sp->fixed;
  if (!f) return;
  while (f->gang) {
    gang *next = f->gang->free_next;
    gang_destroy(f->gang);
    f->gang = next;
  }
  for (int l = 0; f->law && l < sp->nlaw; l++) {
    dpi_tape_destroy(f->law[l].tape);
    dpi_tape_destroy(f->law[l].all);
  }
  dpi_fixed_plan_destroy(f->plan);
}

int dpi_eq_fixed_tapes(const dpi_eq_spoke *sp, const dpi_tape **tape, int most) {
  const dpi_eq_fixed *f = sp->fixed;
  const dpi_tape *step[DPI_FIXED_TAPES];
  int n = 0;
  if (!f) return 0;
  dpi_fixed_plan_tapes(f->plan, step);
  for (int i = 0; i < DPI_FIXED_TAPES && n < most; i++) tape[n++] = step[i];
  for (int l = 0; l < sp->nlaw && n < most; l++) tape[n++] = f->law[l].all;
  return n;
}

/* ---- how long a step may be ---- */

static double largest(const double *v, int n) {
  double most = 0;
  for (int j = 0; j < n; j++) most = fabs(v[j]) > most || isnan(v[j]) ? fabs(v[j]) : most;
  return most;
}

/* Spectral radius of the Jacobian where the member stands, 1/time: v := J v again and again; the mean growth of the
 * second half, which complex pairs do not disturb. */
static double spectral_radius(dpi_eq_bench *w) {
  const dpi_system *y = w->spoke->sys;
  const int n = w->spoke->nstate;
  const double *jac = dpi_eq_eval(w, &w->spoke->full, w->m->t, w->m->x, NULL) + n;
  double *v = w->xs, *next = w->fa, growth = 0;
  for (int j = 0; j < n; j++) v[j] = 1 + 0.1 * (j % 7);
  for (int k = 0; k < ROUNDS; k++) {
    for (int j = 0; j < n; j++) next[j] = 0;
    for (int e = 0; e < y->jac_nnz; e++) next[y->jac_row[e]] += jac[e] * v[y->jac_col[e]];
    const double size = largest(next, n);
    if (!(size > 0) || !isfinite(size)) return size; /* nothing moves; or there are no numbers to tell */
    for (int j = 0; j < n; j++) v[j] = next[j] / size;
    if (k >= ROUNDS / 2) growth += dpi_m_log(size);
  }
  return dpi_m_exp(growth / (ROUNDS / 2));
}

static void find_longest(dpi_eq_bench *w) {
  const double step = w->spoke->fixed->step, rate = spectral_radius(w);
  w->m->longest = rate * step > STABLE && isfinite(rate) ? STABLE / rate : step;
}

/* ---- the pool ---- */

static void gang_destroy(gang *a) {
  if (!a) return;
  const dpi_eq_spoke *sp = a->spoke;
  dp_ctx *ctx = sp->base.ctx;
  for (int l = 0; l < LANES; l++) dpi_eq_bench_destroy(a->w[l]);
  for (int l = 0; a->law_reg && l < sp->nlaw; l++) dpi_lanes_free(ctx, a->law_reg[l], 0);
  dpi_fixed_destroy(a->g);
  for (int l = 0; a->load && l < sp->nlaw; l++) dpi_free(ctx, a->load[l].to);
  for (int l = 0; a->give && l < sp->nlaw; l++) dpi_free(ctx, a->give[l].to);
  dpi_free(ctx, a->load);
  dpi_free(ctx, a->give);
  dpi_lanes_free(ctx, a->store, 0);
  dpi_free(ctx, a->held);
  dpi_free(ctx, a->law_reg);
  dpi_free(ctx, a->scratch);
  for (int l = 0; a->noise && l < sp->nlaw; l++) dpi_free(ctx, a->noise[l].z);
  dpi_free(ctx, a->noise);
  dpi_free(ctx, a->row);
  dpi_free(ctx, a->queue);
  dpi_free(ctx, a);
}

static double *law_row(const gang *a, int law, int row) { return a->law_reg[law] + (size_t)row * (size_t)a->width; }

/* A law's value may be a row that it reads, as it is (before := now): values are taken one after the other, so such a
 * row must not be one that they go to. */
static bool is_value(const law_tape *t, int row) {
  for (int k = 0; k < t->tape->nout; k++)
    if (t->tape->out[k] == row) return true;
  return false;
}

static void find_homes(gang *a) {
  const dpi_eq_spoke *sp = a->spoke;
  const dpi_eq_fixed *f = sp->fixed;
  for (int i = 0; i < f->nmoving; i++) {
    int nreader = 0;
    double *home = NULL;
    for (int l = 0; l < sp->nlaw; l++) {
      const int row = dpi_tape_row(f->law[l].tape, sp->param_sym[f->moving[i]]);
      if (row < 0) continue;
      nreader++;
      if (!is_value(&f->law[l], row)) home = law_row(a, l, row);
    }
    if (nreader == 0) home = a->row[i];
    a->held[i] = nreader <= 1 && home ? home : a->store + (size_t)i * (size_t)a->width;
    if (a->held[i] == a->row[i]) a->row[i] = NULL;
  }
}

static dp_status rows_create(dp_ctx *ctx, int most, rows *r) {
  r->to = dpi_alloc_array(ctx, 2 * (size_t)most + 1, sizeof *r->to);
  r->from = r->to ? (const double **)(void *)(r->to + most) : NULL;
  return r->to ? DP_OK : DP_ERR_MEMORY;
}

static void rows_add(rows *r, double *to, const double *from) {
  if (!to || to == from) return;
  r->to[r->n] = to;
  r->from[r->n++] = from;
}

/* What is copied before and after law l. */
static dp_status list_rows(gang *a, int l) {
  const dpi_eq_law *law = &a->spoke->law[l];
  const law_tape *t = &a->spoke->fixed->law[l];
  DP_TRY(rows_create(a->spoke->base.ctx, t->nx + t->nheld, &a->load[l]));
  DP_TRY(rows_create(a->spoke->base.ctx, 2 * law->map.nvalue, &a->give[l]));
  for (int i = 0; i < t->nx; i++) rows_add(&a->load[l], law_row(a, l, t->x_row[i]), a->g->x[t->x[i]]);
  for (int i = 0; i < t->nheld; i++) rows_add(&a->load[l], law_row(a, l, t->held_row[i]), a->held[t->held[i]]);
  for (int k = 0; k < law->map.nvalue; k++) {
    const double *value = law_row(a, l, t->tape->out[k]);
    const int i = t->moved[k];
    rows_add(&a->give[l], i < 0 ? a->g->x[law->target[k]] : a->held[i], value);
    if (i >= 0) rows_add(&a->give[l], a->row[i], value);
  }
  return DP_OK;
}

static dp_status gang_build(gang *a) {
  const dpi_eq_spoke *sp = a->spoke;
  const dpi_eq_fixed *f = sp->fixed;
  dp_ctx *ctx = sp->base.ctx;
  int largest = 0;
  DP_TRY(dpi_fixed_create(ctx, f->plan, sp->width, &a->g));
  a->vector = a->g->vector;
  a->width = a->g->width;
  a->normal = dpi_lane_normal_plain;
#if defined(__x86_64__)
  if (a->vector == 8) a->normal = dpi_lane_normal_avx512; /* eight lanes: this processor has it */
#endif
  a->law_reg = DPI_NEW_ARRAY(ctx, double *, sp->nlaw + 1);
  a->row = DPI_NEW_ARRAY(ctx, double *, f->nmoving + 1);
  a->store = dpi_lanes_alloc(ctx, (size_t)(f->nmoving + 1) * (size_t)a->width);
  a->held = DPI_NEW_ARRAY(ctx, double *, f->nmoving + 1);
  a->load = DPI_NEW_ARRAY(ctx, rows, sp->nlaw + 1);
  a->give = DPI_NEW_ARRAY(ctx, rows, sp->nlaw + 1);
  a->noise = DPI_NEW_ARRAY(ctx, noise, sp->nlaw + 1);
  if (!a->law_reg || !a->row || !a->store || !a->held || !a->load || !a->give || !a->noise) return DP_ERR_MEMORY;
  for (int i = 0; i < f->nmoving; i++) a->row[i] = dpi_fixed_param(a->g, sp->param_sym[f->moving[i]]);
  for (int l = 0; l < sp->nlaw; l++) {
    const dpi_tape *tape = f->law[l].tape;
    a->law_reg[l] = dpi_lanes_alloc(ctx, dpi_tape_lanes_size(tape, a->width));
    if (!a->law_reg[l]) return DP_ERR_MEMORY;
    dpi_tape_lanes_init(tape, a->width, a->law_reg[l]);
    a->noise[l].z = dpi_alloc_array(ctx, (size_t)sp->law[l].nnoise * AHEAD + 1, sizeof *a->noise[l].z);
    if (!a->noise[l].z) return DP_ERR_MEMORY;
    if (dpi_tape_nreg(tape) > largest) largest = dpi_tape_nreg(tape);
  }
  a->scratch = DPI_NEW_ARRAY(ctx, double, largest + 1);
  if (!a->scratch) return DP_ERR_MEMORY;
  find_homes(a);
  for (int l = 0; l < sp->nlaw; l++) DP_TRY(list_rows(a, l));
  for (int l = 0; l < a->width; l++) DP_TRY(dpi_eq_bench_create(sp, 0, false, &a->w[l]));
  return DP_OK;
}

static dp_status gang_take(const dpi_eq_spoke *sp, gang **out) {
  dpi_eq_spoke *pool = (dpi_eq_spoke *)sp; /* the pool is the only part that changes */
  pthread_mutex_lock(&pool->lock);
  gang *a = pool->fixed->gang;
  if (a) pool->fixed->gang = a->free_next;
  pthread_mutex_unlock(&pool->lock);
  if (!a) {
    a = DPI_NEW(sp->base.ctx, gang);
    if (!a) return DP_ERR_MEMORY;
    a->spoke = sp;
    const dp_status st = gang_build(a);
    if (st != DP_OK) {
      gang_destroy(a);
      return st;
    }
  }
  *out = a;
  return DP_OK;
}

static void gang_give(gang *a) {
  dpi_eq_spoke *pool = (dpi_eq_spoke *)a->spoke;
  pthread_mutex_lock(&pool->lock);
  a->free_next = pool->fixed->gang;
  pool->fixed->gang = a;
  pthread_mutex_unlock(&pool->lock);
}

/* ---- a segment ---- */

static void put(gang *a, int l, int state) {
  a->in[a->lane[l].state] &= ~(1u << l);
  a->in[state] |= 1u << l;
  a->lane[l].state = (uint8_t)state;
}

/* Equal steps from where the lane stands to `to`. */
static void segment(gang *a, int l, double from, double to) {
  lane *k = &a->lane[l];
  const double span = to - from;
  k->from = from;
  k->to = to;
  k->k = 0;
  if (span != k->span) { /* mostly it is the law's period, again and again */
    const double n = ceil(span / a->w[l]->m->longest * (1 - 1e-12));
    k->span = span;
    k->n = n < 1 ? 1 : n;
    k->h = span / k->n;
  }
  put(a, l, WALKS);
  a->g->t[l] = from;
  a->g->h[l] = k->h;
}

/* ---- the general way ---- */

/* Real time of the first thing that is not a repeat of a law. */
static double other_time(const dpi_eq_bench *w) {
  const dpi_timeline *line = &w->m->line;
  const dp_member *def = w->def;
  double first = w->limit, t;
  if (line->next < def->ninstant && (t = dpi_real(def->instant[line->next].time)) < first) first = t;
  for (int r = 0; r < line->nrepeat; r++) {
    const dp_instant *in = &def->instant[line->repeat[2 * r]];
    if (in->type == DP_APPLY) continue;
    t = dpi_real(in->time + line->repeat[2 * r + 1] * in->interval);
    if (t < first) first = t;
  }
  if (w->out->ndone < def->nout && (t = dpi_real(def->out[w->out->ndone].time)) < first) first = t;
  if (dpi_eq_dose_next(w, &t) >= 0 && t < first) first = t;
  return first;
}

/* The first repeat of a law: its real time, infinite: there is none. */
static double next_law(const gang *a, int l, int *entry) {
  const dpi_timeline *line = &a->w[l]->m->line;
  const dp_member *def = a->w[l]->def;
  dp_time best = DP_TIME_MAX;
  int first = -1;
  for (int r = 0; r < line->nrepeat; r++) {
    const int i = line->repeat[2 * r];
    const dp_instant *in = &def->instant[i];
    if (in->type != DP_APPLY) continue;
    const dp_time t = in->time + line->repeat[2 * r + 1] * in->interval;
    const int b = first >= 0 ? line->repeat[2 * first] : -1;
    const bool before =
        first < 0 || t < best ||
        (t == best && (in->order < def->instant[b].order || (in->order == def->instant[b].order && i < b)));
    if (!before) continue;
    best = t;
    first = r;
  }
  *entry = first;
  return first >= 0 ? dpi_real(best) : INFINITY;
}

static void leave(gang *a, int l, double t_now);

/* From here on only laws happen in lanes: is it one alone that repeats? */
static void look_for_only(gang *a, int l) {
  const dpi_timeline *line = &a->w[l]->m->line;
  lane *k = &a->lane[l];
  int n = 0;
  for (int r = 0; r < line->nrepeat; r++) {
    const dp_instant *in = &a->w[l]->def->instant[line->repeat[2 * r]];
    if (in->type != DP_APPLY) continue;
    n++;
    k->only = in;
    k->at = line->repeat + 2 * r + 1;
    k->tick = in->time + *k->at * in->interval;
  }
  if (n != 1) k->only = NULL;
}

/* One repeat of the lane's law is done: real time of the next law's; infinite: there is none. */
static double pass(gang *a, int l) {
  lane *k = &a->lane[l];
  if (k->only && *k->at < k->only->repeats) { /* as dpi_timeline_pass and next_law, of one */
    *k->at += 1;
    k->tick += k->only->interval;
    return dpi_real(k->tick);
  }
  dpi_timeline *line = &a->w[l]->m->line;
  const int *entry = line->repeat + 2 * k->entry;
  const dpi_coming c = {.instant = entry[0], .repeat = k->entry, .k = entry[1]};
  dpi_timeline_pass(line, a->w[l]->def, &c);
  k->only = NULL;
  const double law = next_law(a, l, &k->entry);
  if (k->entry >= 0) k->law = a->w[l]->def->instant[line->repeat[2 * k->entry]].target;
  return law;
}

/* Where the lane goes: to the next law, or to whatever else comes before it. */
static void head_for(gang *a, int l, double now, double law) {
  lane *k = &a->lane[l];
  k->law_next = law < k->other;
  if (k->law_next && !(law > now)) {
    put(a, l, WAITS);
    k->to = now;
    return;
  }
  segment(a, l, now, k->law_next ? law : k->other);
  if (!(k->n <= a->spoke->fixed->most)) leave(a, l, now); /* the general way refuses it */
}

/* How often the lane has applied this law. */
static uint64_t applied(const noise *z, int l) { return z->base[l] + (z->valid >> l & 1 ? z->place : 0); }

static void not_valid(noise *z, uint32_t lanes) {
  for (uint32_t left = z->valid & lanes; left; left &= left - 1) z->base[__builtin_ctz(left)] += z->place;
  z->valid &= ~lanes;
}

/* The member has applied law i so often; numbers drawn ahead for it stay where it has come from here. */
static void count_from(gang *a, int i, int l) {
  const uint64_t n = (uint64_t)a->w[l]->m->applied[i];
  noise *z = &a->noise[i];
  if (applied(z, l) == n) return;
  not_valid(z, 1u << l);
  z->base[l] = n;
}

/* The member goes the general way until it needs steps; false: it is done or failed. */
static bool go_on(gang *a, int l) {
  dpi_eq_bench *w = a->w[l];
  lane *k = &a->lane[l];
  k->ahead = k->law_next = false;
  if (dpi_eq_member_next(w) != DPI_EQ_WANTS_STEP) return false;
  segment(a, l, w->solver->t_now, w->target);
  if (!(k->n <= a->spoke->fixed->most)) {
    snprintf(w->solver->reason, sizeof w->solver->reason, "%.0f from here to time %.9g", k->n, w->target);
    dpi_eq_member_stepped(w, DPI_SOLVE_MAX_STEPS);
    return false;
  }
  if (!a->spoke->fixed->together || w->next.what != DPI_EQ_INSTANT || w->next.line.repeat < 0 ||
      w->def->instant[w->next.line.instant].type != DP_APPLY)
    return true;
  k->other = other_time(w);
  if (!(w->next.t < k->other)) return true;
  /* from here on in lanes: what laws read */
  const dpi_eq_fixed *f = a->spoke->fixed;
  for (int i = 0; i < f->nmoving; i++) a->held[i][l] = w->m->param[f->moving[i]];
  for (int i = 0; i < a->spoke->nlaw; i++) count_from(a, i, l);
  for (int i = 0; i < a->spoke->nlaw; i++)
    dpi_tape_lanes_prologue(f->law[i].tape, a->width, a->law_reg[i], l, w->sym,
                            (dpi_tape_init(f->law[i].tape, a->scratch), a->scratch));
  k->law_next = true;
  k->entry = w->next.line.repeat;
  k->law = w->def->instant[w->next.line.instant].target;
  look_for_only(a, l);
  return true;
}

static void no_memory(gang *a, const dpi_eq_bench *w) {
  if (w->no_memory && a->status == DP_OK)
    a->status =
        dpi_fail(w->spoke->base.ctx, DP_ERR_MEMORY, "member %d: no memory to advance it", (int)(w->m - a->b->m));
}

/* The next member of the queue; -1: none, or the work is to stop. */
static int next_member(gang *a) {
  const dpi_eq_batch *b = a->b;
  if (a->status != DP_OK || a->next >= a->njob) return -1;
  if (!b->def.stop || !b->def.stop(b->def.stop_user)) return a->queue[a->next++];
  a->status = DP_ERR_CANCELLED; /* those under way go on to their end */
  return -1;
}

/* Take members until one needs steps. */
static void refill(gang *a, int l) {
  dpi_eq_bench *w = a->w[l];
  for (int i; (i = next_member(a)) >= 0;) {
    dpi_eq_bench_lay(w, a->b, i);
    w->solver = dpi_fixed_solver(a->g, l);
    a->lane[l].span = -1;
    for (int k = 0; k < a->spoke->nlaw; k++) not_valid(&a->noise[k], 1u << l);
    if (dpi_eq_member_begin(w, dpi_eq_end(a->b, i, a->to)) && go_on(a, l)) return;
    no_memory(a, w);
  }
  put(a, l, IDLE);
  a->g->h[l] = 0;
}

/* The member learns what laws did in lanes. */
static void sync(gang *a, int l) {
  const dpi_eq_spoke *sp = a->spoke;
  const dpi_eq_fixed *f = sp->fixed;
  dpi_eq_bench *w = a->w[l];
  if (!a->lane[l].ahead) return;
  for (int i = 0; i < f->nmoving; i++) {
    const double v = a->held[i][l];
    w->m->param[f->moving[i]] = w->sym[sp->param_sym[f->moving[i]]] = v;
  }
  for (int i = 0; i < sp->nlaw; i++)
    if (sp->law[i].nnoise > 0) w->m->applied[i] = (double)applied(&a->noise[i], l);
  memset(w->stale, 1, (size_t)sp->nmap);
  w->jac_inverse = -1;
  w->next.known = false;
  w->past_ready = false;
  a->lane[l].ahead = false;
}

/* The lane's path ends at t_now: go on from there the general way, or with another member. */
static void leave(gang *a, int l, double t_now) {
  dpi_eq_bench *w = a->w[l];
  dpi_fixed_show(a->g, l, t_now);
  sync(a, l);
  if (dpi_eq_member_stepped(w, DPI_SOLVE_OK) && go_on(a, l)) return;
  no_memory(a, w);
  refill(a, l);
}

/* ---- plain lanes ---- */

/* At which real time the law that is due, or comes next, is this lane's. */
static double law_time(const gang *a, int l) {
  const lane *k = &a->lane[l];
  return a->plain >> l & 1 ? k->to + (double)(a->round - k->since) * k->span : k->to;
}

/* A multiple of 2^-9 units of time: sums of such are exact. */
static bool is_exact(dp_time t) { return t % (DP_TICKS >> 9) == 0; }

/* The lane is on its way to the law that repeats: how often more does it come with nothing else before it, and the
 * same way again? */
static int64_t alike(const gang *a, const lane *k) {
  if (a->spoke->nlaw != 1 || a->g->timed || !k->law_next || !k->only || k->state != WALKS || k->k != 0) return 0;
  if (!is_exact(k->tick) || !is_exact(k->only->interval) || k->n > PLAIN_STEPS) return 0;
  if (k->span != dpi_real(k->only->interval) || k->to != dpi_real(k->tick)) return 0;
  const double left = floor((k->other - k->to) / k->span);
  int64_t n = k->only->repeats - *k->at;
  if (left < (double)n) n = (int64_t)left;
  while (n > 0 && !(k->to + (double)n * k->span < k->other)) n--;
  return n;
}

/* A lane that is on its way to a law goes on without being looked at, if it can. */
static void try_plain(gang *a, int l) {
  lane *k = &a->lane[l];
  const int64_t n = alike(a, k);
  if (n <= 0) return;
  put(a, l, WAITS);
  k->since = a->round;
  k->until = a->round + n;
  if (a->plain == 0 || k->until < a->due) a->due = k->until;
  a->plain |= 1u << l;
  for (int s = 0; s < PLAIN_STEPS; s++) a->owes[s] = (a->owes[s] & ~(1u << l)) | (uint32_t)(s < k->n) << l;
}

/* What was not counted. */
static void unplain(gang *a, int l) {
  lane *k = &a->lane[l];
  const int64_t n = a->round - k->since;
  *k->at += (int)n;
  k->tick += n * k->only->interval;
  k->to = law_time(a, l);
  k->from = k->to - k->span;
  a->plain &= ~(1u << l);
}

/* Those in which something else comes after this round. */
static void unplain_due(gang *a) {
  if (a->plain == 0 || a->round < a->due) return;
  a->due = INT64_MAX;
  for (uint32_t left = a->plain; left; left &= left - 1) {
    const int l = __builtin_ctz(left);
    if (a->lane[l].until <= a->round)
      unplain(a, l);
    else if (a->lane[l].until < a->due)
      a->due = a->lane[l].until;
  }
}

/* ---- laws together ---- */

static void load_law(const gang *a, int which, uint32_t mask) {
  const law_tape *t = &a->spoke->fixed->law[which];
  const size_t width = (size_t)a->width;
  double *reg = a->law_reg[which];
  const rows *r = &a->load[which];
  dpi_rows_move(a->vector, a->width, r->to, r->from, r->n, (1u << width) - 1);
  for (uint32_t left = t->time >= 0 ? mask : 0; left; left &= left - 1) {
    const int l = __builtin_ctz(left);
    reg[(size_t)t->time * width + (size_t)l] = law_time(a, l);
  }
}

/* For these lanes, from their next application on. */
static void draw_ahead(gang *a, int which, uint32_t mask) {
  const dpi_eq_law *law = &a->spoke->law[which];
  const uint64_t key = dpi_rng_key(a->b->def.seed, law->purpose), n = (uint64_t)law->nnoise;
  noise *z = &a->noise[which];
  uint64_t stream[LANES] = {0}, counter[LANES];
  not_valid(z, UINT32_MAX);
  z->valid = mask;
  z->place = 0;
  for (uint32_t left = mask; left; left &= left - 1)
    stream[__builtin_ctz(left)] = a->w[__builtin_ctz(left)]->def->stream;
  for (int l = 0; l < LANES; l++) counter[l] = z->base[l] * n;
  for (int l = 0; l < a->width; l += DPI_NORMAL_LANES)
    a->normal(key, stream + l, counter + l, law->nnoise * AHEAD, a->g->ops->call[DPI_OP_LOG], z->z[0] + l, LANES);
}

/* Each lane's numbers of this application, and count it. */
static void draw(gang *a, int which, uint32_t mask) {
  const dpi_eq_law *law = &a->spoke->law[which];
  noise *z = &a->noise[which];
  if (law->nnoise == 0) return;
  if (mask & ~z->valid || z->place == AHEAD) draw_ahead(a, which, mask);
  not_valid(z, ~mask);
  for (int k = 0; k < law->nnoise; k++) {
    const int i = a->spoke->fixed->moving_of[law->noise[k]];
    const double *number = z->z[z->place * (uint64_t)law->nnoise + (uint64_t)k];
    dpi_rows_move(a->vector, a->width, &a->held[i], &number, 1, mask);
    if (a->row[i]) dpi_rows_move(a->vector, a->width, &a->row[i], &number, 1, mask);
  }
  z->place++;
}

/* Lanes that the law gives something that is not finite. */
static uint32_t not_finite(const gang *a, int which, uint32_t mask) {
  const int n = a->spoke->law[which].map.nvalue;
  const int32_t *out = a->spoke->fixed->law[which].tape->out;
  uint32_t found = 0;
  for (uint32_t left = dpi_rows_wild(a->vector, a->width, law_row(a, which, out[n])) & mask; left; left &= left - 1) {
    const int l = __builtin_ctz(left);
    for (int k = 0; k < n; k++) found |= (uint32_t)!isfinite(law_row(a, which, out[k])[l]) << l;
  }
  return found;
}

/* The law gives this lane what no member can hold: the general way says so in its own words. */
static void refuse(gang *a, int l, int which) {
  noise *z = &a->noise[which];
  if (a->spoke->law[which].nnoise > 0) {
    not_valid(z, 1u << l);
    z->base[l] -= 1;
  }
  leave(a, l, a->lane[l].to);
}

static void apply(gang *a, int which, uint32_t mask) {
  unplain_due(a);
  draw(a, which, mask);
  load_law(a, which, mask);
  dpi_tape_lanes_run(a->spoke->fixed->law[which].all, a->g->ops, a->law_reg[which]);
  const uint32_t bad = not_finite(a, which, mask);
  dpi_rows_move(a->vector, a->width, a->give[which].to, a->give[which].from, a->give[which].n, mask & ~bad);
  for (uint32_t left = bad & a->plain; left; left &= left - 1) unplain(a, __builtin_ctz(left));
  a->round++;
  for (uint32_t left = mask & ~a->plain; left; left &= left - 1) {
    const int l = __builtin_ctz(left);
    if (bad >> l & 1) {
      refuse(a, l, which);
      continue;
    }
    a->lane[l].ahead = true;
    head_for(a, l, a->lane[l].to, pass(a, l));
    try_plain(a, l);
  }
}

/* ---- the loop ---- */

/* These plain lanes hold something that is not finite after so many steps: the general way finds it, and says what it
 * says. */
static void fail_plain(gang *a, uint32_t bad, double taken) {
  for (; bad; bad &= bad - 1) {
    const int l = __builtin_ctz(bad);
    lane *k = &a->lane[l];
    unplain(a, l);
    leave(a, l, taken >= k->n ? k->to : k->from + taken * k->h);
  }
}

/* One step of these lanes is taken. */
static void count_step(gang *a, uint32_t on, uint32_t bad) {
  for (; on; on &= on - 1) {
    const int l = __builtin_ctz(on);
    lane *k = &a->lane[l];
    k->k += 1;
    const double now = k->k >= k->n ? k->to : k->from + k->k * k->h;
    a->g->t[l] = now;
    if (bad >> l & 1)
      leave(a, l, now);
    else if (k->k >= k->n && k->law_next)
      put(a, l, WAITS);
    else if (k->k >= k->n)
      leave(a, l, now);
  }
}

/* Until no lane walks. */
static void walk(gang *a) {
  for (int s = 0;; s++) {
    const uint32_t plain = s < PLAIN_STEPS ? a->owes[s] & a->plain : 0, walks = a->in[WALKS];
    if ((plain | walks) == 0) return;
    const uint32_t bad = dpi_fixed_step(a->g, plain | walks);
    if (bad & plain) fail_plain(a, bad & plain, s + 1);
    count_step(a, walks, bad);
  }
}

static void go(gang *a) {
  a->plain = 0;
  a->round = 0;
  for (int l = 0; l < a->width; l++) refill(a, l);
  for (;;) {
    walk(a);
    uint32_t waiting = a->in[WAITS];
    if (!waiting) return;
    const int law = a->lane[__builtin_ctz(waiting)].law;
    uint32_t mask = a->spoke->nlaw == 1 ? waiting : 0;
    for (waiting &= ~mask; waiting; waiting &= waiting - 1) {
      const int l = __builtin_ctz(waiting);
      if (a->lane[l].law == law) mask |= 1u << l;
    }
    apply(a, law, mask);
  }
}

/* Members to be advanced, those of the same steps together. */
static dp_status line_up(gang *a) {
  const dpi_eq_batch *b = a->b;
  DP_TRY(dpi_grow(a->spoke->base.ctx, (void **)&a->queue, &a->cap_job, b->def.n, sizeof *a->queue));
  a->njob = a->next = 0;
  for (int i = 0; i < b->def.n; i++) {
    if (!dpi_eq_waits(b, i, dpi_eq_end(b, i, a->to))) continue;
    if (!(b->m[i].longest > 0)) {
      dpi_eq_bench_lay(a->w[0], a->b, i);
      find_longest(a->w[0]);
    }
    int k = a->njob++;
    for (; k > 0 && b->m[a->queue[k - 1]].longest < b->m[i].longest; k--) a->queue[k] = a->queue[k - 1];
    a->queue[k] = i;
  }
  return DP_OK;
}

dp_status dpi_eq_fixed_advance(dpi_eq_batch *b, dp_time to) {
  gang *a = NULL;
  DP_TRY(gang_take(b->spoke, &a));
  a->b = b;
  a->to = to;
  a->status = line_up(a);
  if (a->status == DP_OK) go(a);
  const dp_status st = a->status;
  gang_give(a);
  return st;
}
