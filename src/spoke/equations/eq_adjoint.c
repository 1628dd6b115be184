/* eq_adjoint.c - gradients: one member forward with its path recorded, then back.  D, U -> O -> dL / dD, dL / dU
 *
 * Backwards, with lambda the adjoint of the member's state and mu that of the parameters:
 *
 *     OUTPUT    weights of a row -> mu, and lambda or the step that the row was read from
 *     REACH     lambda -> that step; lambda := 0
 *     step      weights of its end and of what was read in it -> weight of its beginning, mu, input rates
 *     START     weight of the piece's beginning -> lambda; input rates -> amounts of the infusions that ran
 *     HAPPEN    (lambda, mu, doses, events) := transposed Jacobian
 *
 * What was read in a step: x(t + theta h) = (1 - theta) x + theta (x_new + (1 - theta) sum_k theta^k D_k).
 */
#include "spoke/equations/eq_adjoint.h"

#include <math.h>

/* ---- what the spoke needs for it, made at the first gradient ---- */

struct dpi_eq_back {
  int ndir;                             /* directions that paths are recorded with */
  dpi_lane_plan *own[DPI_EQ_NCREW];     /* plans made for gradients alone */
  const dpi_lane_plan *plan[DPI_EQ_NCREW];
  dpi_lane_adjoint *adj[DPI_EQ_NCREW];
  bool alone;                           /* none of these: members go by themselves */
  dpi_jit *jit;                         /* owned: code for all these tapes */
  dpi_eq_worker *free_worker;
};

/* Registers of one backward tape for all lanes. */
typedef struct back_regs {
  const dpi_tape *tape;
  double *reg;     /* owned */
  size_t size;
  double *scratch; /* owned: plain workspace */
  int t, h;        /* rows, -1: the tape does not use it */
  int *row;        /* owned: x [nstate], u [nstate], weights [(1 + ndense) nstate] */
} back_regs;

/* One lane's member. */
typedef struct way {
  dpi_eq_bench *w;
  dpi_eq_trace trace;
  dpi_eq_probe probe;
  dpi_eq_alone alone;
  double *block;                  /* owned: what lies behind */
  double *x_prev;                 /* [nstate] */
  double *lambda, *u_bar;         /* [nstate] */
  double *w_x, *w_new, *w_dense;  /* [nstate], [nstate], [DENSE_MAX x nstate]: weights on the step under way */
  bool any, dense;                /* some of these are not 0 */
  double *mu;                     /* [nactive] */
  int param[DPI_EQ_NCREW];        /* the parameters that the registers know: place in the trace */
  double *sym, *reg_step[DPI_EQ_NCREW]; /* for states computed anew: symbols, registers */
  double *between;                /* [stride x nstate] these states, owned */
  int cap_between, block_step, block_piece; /* which ones they are */
  double *z, *z_new;              /* adjoint of doses and events under way, owned */
  int cap_z, cap_z_new, nz;
  double *weight;                 /* of the rows, owned */
  int cap_weight;
  int member;                     /* of the batch */
  bool going;                     /* forward or back under way */
  int item, piece, step, target;  /* backwards: the next item; steps of the piece still to be gone back over, and down
                                     to which */
} way;

/* One thread's: as many members at once as there are lanes. */
struct dpi_eq_worker {
  dpi_eq_worker *free_next;
  const dpi_eq_spoke *spoke;
  int width;
  const dpi_lane_ops *ops;
  dpi_lanes *lanes[DPI_EQ_NCREW];
  back_regs back[DPI_EQ_NCREW][2]; /* plain, with dense output */
  way k[DPI_LANES_MAX];
};

static dp_ctx *ctx_of(const dpi_eq_spoke *sp) { return sp->base.ctx; }

static dp_status back_plan(const dpi_eq_spoke *sp, dpi_eq_back *b, int crew) {
  static const dpi_lane_kind kind[] = {[DPI_EQ_EXPLICIT] = DPI_LANE_EXPLICIT, [DPI_EQ_IMPLICIT] = DPI_LANE_IMPLICIT};
  b->plan[crew] = sp->plan[crew];
  if (!sp->plan[crew] && (sp->lane_forced || !dpi_lane_can(sp->sys, kind[crew], NULL))) return DP_OK;
  if (!sp->plan[crew] || b->ndir > 0) {
    DP_TRY(dpi_lane_plan_create(ctx_of(sp), sp->sys, &sp->opts, kind[crew], b->ndir, &b->own[crew]));
    b->plan[crew] = b->own[crew];
  }
  return DP_OK;
}

/* With the probe where its steps are not too long as straight-line code, else without. */
static dp_status back_plans(const dpi_eq_spoke *sp, dpi_eq_back *b) {
  dp_ctx *ctx = ctx_of(sp);
  const bool clean = !dp_ctx_error(ctx)[0];
  dp_status st = DP_OK;
  for (b->ndir = dpi_probe_ndir(sp); b->ndir >= 0; b->ndir--) {
    st = DP_OK;
    for (int c = 0; c < DPI_EQ_NCREW && st == DP_OK; c++) st = back_plan(sp, b, c);
    if (st != DP_ERR_UNSUPPORTED || b->ndir == 0) return st;
    if (clean) dp_ctx_clear_error(ctx);
    for (int c = 0; c < DPI_EQ_NCREW; c++) {
      dpi_lane_plan_destroy(b->own[c]);
      b->own[c] = NULL;
    }
  }
  return st;
}

bool dpi_eq_back_can(const dpi_eq_spoke *sp) {
  if (!sp->lane_method) return dpi_alone_can(sp);
  if (sp->lane_forced) return sp->plan[DPI_EQ_EXPLICIT] || sp->plan[DPI_EQ_IMPLICIT];
  return dpi_lane_can(sp->sys, DPI_LANE_EXPLICIT, NULL) || dpi_lane_can(sp->sys, DPI_LANE_IMPLICIT, NULL) ||
         dpi_alone_can(sp);
}

/* Machine code for what gradients run, in the background. */
static dp_status back_code(const dpi_eq_spoke *sp, dpi_eq_back *b) {
  const int width = dpi_lane_ops_find(sp->width)->width;
  const dpi_jit_opts opts = dpi_jit_opts_default();
  dpi_jit_unit unit[4 + 4 * DPI_EQ_NCREW];
  int n = 0;
  if (dpi_ctx_interpret(ctx_of(sp))) return DP_OK;
  for (int c = 0; c < DPI_EQ_NCREW; c++) {
    const dpi_tape *const *tape;
    if (!b->adj[c]) continue;
    unit[n++] = (dpi_jit_unit){b->adj[c]->back, width};
    unit[n++] = (dpi_jit_unit){b->adj[c]->back_dense, width};
    for (int i = b->own[c] ? dpi_lane_plan_tapes(b->own[c], &tape) : 0; i > 0 && n < DPI_COUNT(unit); i--)
      unit[n++] = (dpi_jit_unit){*tape++, width};
  }
  return dpi_jit_start(ctx_of(sp), unit, n, &opts, &b->jit);
}

static void back_destroy(dp_ctx *ctx, dpi_eq_back *b) {
  if (b) dpi_jit_destroy(b->jit);
  for (int c = 0; b && c < DPI_EQ_NCREW; c++) {
    dpi_lane_adjoint_destroy(b->adj[c]);
    dpi_lane_plan_destroy(b->own[c]);
  }
  dpi_free(ctx, b);
}

/* By lanes where there are any for these equations, and where steps and steps back are not too long. */
static dp_status back_lanes(const dpi_eq_spoke *sp, dpi_eq_back *b) {
  DP_TRY(back_plans(sp, b));
  for (int c = 0; c < DPI_EQ_NCREW; c++)
    if (b->plan[c]) DP_TRY(dpi_lane_adjoint_create(ctx_of(sp), dpi_lane_plan_step(b->plan[c]), &b->adj[c]));
  if (!b->plan[DPI_EQ_EXPLICIT] && !b->plan[DPI_EQ_IMPLICIT])
    return dpi_fail(ctx_of(sp), DP_ERR_UNSUPPORTED, "%s: gradients: these equations can't be integrated in lanes",
                    sp->model->source);
  return back_code(sp, b);
}

/* What was made of it before that was seen goes again. */
static void back_forget(dpi_eq_back *b) {
  for (int c = 0; c < DPI_EQ_NCREW; c++) {
    dpi_lane_adjoint_destroy(b->adj[c]);
    dpi_lane_plan_destroy(b->own[c]);
  }
  *b = (dpi_eq_back){.alone = true};
}

/* Under the spoke's lock: the steps' graphs grow. */
static dp_status back_make(dpi_eq_spoke *sp) {
  if (sp->back) return DP_OK;
  dpi_eq_back *b = DPI_NEW(ctx_of(sp), dpi_eq_back);
  if (!b) return DP_ERR_MEMORY;
  const bool clean = !dp_ctx_error(ctx_of(sp))[0];
  dp_status st = DP_OK;
  b->alone = !sp->lane_method;
  if (!b->alone) st = back_lanes(sp, b);
  if (st == DP_ERR_UNSUPPORTED && dpi_alone_can(sp)) {
    if (clean) dp_ctx_clear_error(ctx_of(sp));
    back_forget(b);
    st = DP_OK;
  }
  if (st != DP_OK) {
    back_destroy(ctx_of(sp), b);
    return st;
  }
  sp->back = b;
  return DP_OK;
}

/* ---- workers ---- */

static void way_release(const dpi_eq_spoke *sp, way *k) {
  dp_ctx *ctx = ctx_of(sp);
  dpi_eq_bench_destroy(k->w);
  dpi_shadow_destroy(k->trace.shadow);
  if (k->trace.spoke) dpi_trace_release(&k->trace);
  dpi_free(ctx, k->block);
  dpi_free(ctx, k->between);
  dpi_free(ctx, k->z);
  dpi_free(ctx, k->z_new);
  dpi_free(ctx, k->weight);
  dpi_free(ctx, k->probe.instant);
  dpi_alone_release(sp, &k->alone);
}

static void worker_destroy(dpi_eq_worker *g) {
  if (!g) return;
  dp_ctx *ctx = ctx_of(g->spoke);
  for (int l = 0; l < DPI_LANES_MAX; l++) way_release(g->spoke, &g->k[l]);
  for (int c = 0; c < DPI_EQ_NCREW; c++) {
    dpi_lanes_destroy(g->lanes[c]);
    for (int d = 0; d < 2; d++) {
      dpi_lanes_free(ctx, g->back[c][d].reg, g->back[c][d].size);
      dpi_free(ctx, g->back[c][d].scratch);
      dpi_free(ctx, g->back[c][d].row);
    }
  }
  dpi_free(ctx, g);
}

void dpi_eq_back_release(dpi_eq_spoke *sp) {
  if (!sp->back) return;
  while (sp->back->free_worker) {
    dpi_eq_worker *next = sp->back->free_worker->free_next;
    worker_destroy(sp->back->free_worker);
    sp->back->free_worker = next;
  }
  back_destroy(ctx_of(sp), sp->back);
  sp->back = NULL;
}

static dp_status make_regs(const dpi_eq_worker *g, const dpi_lane_adjoint *adj, const dpi_tape *tape, back_regs *r) {
  const dpi_system *sys = g->spoke->sys;
  dp_ctx *ctx = ctx_of(g->spoke);
  const int n = sys->nstate;
  int at = 0;
  r->tape = tape;
  r->size = dpi_tape_lanes_size(tape, g->width);
  r->reg = dpi_lanes_alloc(ctx, r->size);
  r->scratch = DPI_NEW_ARRAY(ctx, double, (size_t)dpi_tape_nreg(tape) + 1);
  r->row = DPI_NEW_ARRAY(ctx, int, (size_t)(3 + adj->ndense) * (size_t)n + 1);
  if (!r->reg || !r->scratch || !r->row) return DP_ERR_MEMORY;
  dpi_tape_lanes_init(tape, g->width, r->reg);
  dpi_tape_init(tape, r->scratch);
  r->t = dpi_tape_row(tape, 0);
  r->h = dpi_tape_row(tape, dpi_lane_sym(sys, DPI_LANE_H));
  for (int j = 0; j < n; j++) r->row[at++] = dpi_tape_row(tape, 1 + j);
  for (int j = 0; j < n; j++) r->row[at++] = dpi_tape_row(tape, dpi_lane_sym(sys, DPI_LANE_U) + j);
  for (int j = 0; j < (1 + adj->ndense) * n; j++) r->row[at++] = dpi_tape_row(tape, dpi_adjoint_w(sys, -1, j));
  return DP_OK;
}

static dp_status way_build(const dpi_eq_worker *g, way *k) {
  const dpi_eq_spoke *sp = g->spoke;
  dp_ctx *ctx = ctx_of(sp);
  const size_t n = (size_t)sp->nstate, na = (size_t)sp->nactive;
  size_t nsym = 0, nreg[DPI_EQ_NCREW] = {0};
  k->trace.spoke = sp;
  for (int c = 0; c < DPI_EQ_NCREW; c++) {
    const dpi_lane_adjoint *adj = sp->back->adj[c];
    if (!adj) continue;
    nreg[c] = (size_t)dpi_tape_nreg(adj->step);
    if ((size_t)adj->nsym > nsym) nsym = (size_t)adj->nsym;
  }
  k->block = DPI_NEW_ARRAY(ctx, double, (6 + DPI_LANE_DENSE_MAX) * n + na + nsym + nreg[0] + nreg[1] + 1);
  k->trace.x_reached = DPI_NEW_ARRAY(ctx, double, n + 1);
  if (!k->block || !k->trace.x_reached) return DP_ERR_MEMORY;
  double **part[] = {&k->x_prev, &k->lambda, &k->u_bar, &k->w_x, &k->w_new};
  double *at = k->block;
  for (int i = 0; i < DPI_COUNT(part); i++, at += n) *part[i] = at;
  k->w_dense = at;
  k->mu = at + DPI_LANE_DENSE_MAX * n;
  k->sym = k->mu + na;
  k->reg_step[0] = k->sym + nsym;
  k->reg_step[1] = k->reg_step[0] + nreg[0];
  for (int c = 0; c < DPI_EQ_NCREW; c++)
    if (sp->back->adj[c]) dpi_tape_init(sp->back->adj[c]->step, k->reg_step[c]);
  DP_TRY(dpi_shadow_create(sp, &k->trace.shadow));
  return dpi_eq_bench_create(sp, sp->back->ndir, sp->back->alone, &k->w);
}

static dp_status worker_build(dpi_eq_worker *g) {
  const dpi_eq_spoke *sp = g->spoke;
  for (int c = 0; c < DPI_EQ_NCREW; c++) {
    const dpi_lane_adjoint *adj = sp->back->adj[c];
    if (!adj) continue;
    DP_TRY(dpi_lanes_create(ctx_of(sp), sp->back->plan[c], g->width, &g->lanes[c]));
    DP_TRY(make_regs(g, adj, adj->back, &g->back[c][0]));
    DP_TRY(make_regs(g, adj, adj->back_dense, &g->back[c][1]));
  }
  for (int l = 0; l < g->width; l++) DP_TRY(way_build(g, &g->k[l]));
  return DP_OK;
}

/* Is there machine code of this width for the steps back? */
static bool has_code(const dpi_eq_back *b, int width) {
  for (int c = 0; c < DPI_EQ_NCREW; c++) {
    if (!b->adj[c]) continue;
    dpi_tape *tape[] = {b->adj[c]->back, b->adj[c]->back_dense};
    for (int i = 0; i < DPI_COUNT(tape); i++)
      if (!atomic_load_explicit(&tape[i]->code[dpi_width_index(width)], memory_order_relaxed)) return false;
  }
  return true;
}

/* Few members don't fill lanes: the same bytes by one, where these are interpreted. */
static dp_status worker_take(dpi_eq_spoke *sp, int nmember, dpi_eq_worker **out) {
  int width = dpi_lane_ops_find(sp->width)->width;
  pthread_mutex_lock(&sp->lock);
  dp_status st = back_make(sp);
  if (st == DP_OK && (sp->back->alone || (nmember <= 2 && !has_code(sp->back, width)))) width = 1;
  dpi_eq_worker **at = st == DP_OK ? &sp->back->free_worker : NULL, *g = NULL;
  while (at && *at && (*at)->width != width) at = &(*at)->free_next;
  if (at && *at) {
    g = *at;
    *at = g->free_next;
  }
  pthread_mutex_unlock(&sp->lock);
  DP_TRY(st);
  if (!g) {
    g = DPI_NEW(ctx_of(sp), dpi_eq_worker);
    if (!g) return DP_ERR_MEMORY;
    g->spoke = sp;
    g->width = width;
    g->ops = dpi_lane_ops_find(width);
    st = worker_build(g);
    if (st != DP_OK) {
      worker_destroy(g);
      return st;
    }
  }
  *out = g;
  return DP_OK;
}

static void worker_give(dpi_eq_spoke *sp, dpi_eq_worker *g) {
  pthread_mutex_lock(&sp->lock);
  g->free_next = sp->back->free_worker;
  sp->back->free_worker = g;
  pthread_mutex_unlock(&sp->lock);
}

/* ---- forward ---- */

/* False: no memory for a solver of its own. */
static bool choose_crew(dpi_eq_worker *g, int lane, int crew) {
  const dpi_eq_spoke *sp = g->spoke;
  dpi_eq_bench *w = g->k[lane].w;
  if (crew == DPI_EQ_ALONE && !w->own &&
      dpi_solver_create(ctx_of(sp), sp->method, sp->sys, &sp->opts, w->ndir, &w->own) != DP_OK)
    return dpi_eq_fail_memory(w);
  w->m->crew = (uint8_t)crew;
  w->solver = crew == DPI_EQ_ALONE ? w->own : dpi_lanes_solver(g->lanes[crew], lane);
  w->bound = w->live = false;
  g->k[lane].trace.crew = crew;
  return true;
}

/* Where a member goes on whose lane can't; -1: nowhere. */
static int way_out(const dpi_eq_worker *g, int crew, dpi_solve_outcome o) {
  if (o == DPI_SOLVE_OK || o == DPI_SOLVE_MEMORY) return -1;
  if (o == DPI_SOLVE_STIFF && crew == DPI_EQ_EXPLICIT && g->lanes[DPI_EQ_IMPLICIT]) return DPI_EQ_IMPLICIT;
  return dpi_alone_can(g->spoke) ? DPI_EQ_ALONE : -1;
}

/* Up to the next step that the member needs; it is sent for it. Not going any more: done, or failed. */
static void send_on(dpi_eq_worker *g, int lane, bool good) {
  way *k = &g->k[lane];
  const dpi_eq_need need = good ? dpi_eq_member_next(k->w) : DPI_EQ_FAILED;
  k->going = need == DPI_EQ_WANTS_STEP;
  if (!k->going || k->trace.crew == DPI_EQ_ALONE) return;
  memcpy(k->x_prev, k->w->solver->x_now, sizeof(double) * (size_t)g->spoke->nstate);
  dpi_lanes_send(g->lanes[k->trace.crew], lane, k->w->target, k->w->solver->t_now);
}

/* A member by itself to its end, recorded. */
static void forward_alone(dpi_eq_worker *g, int lane) {
  way *k = &g->k[lane];
  while (k->going)
    send_on(g, lane, dpi_eq_member_stepped(k->w, k->w->solver->ops->step(k->w->solver, k->w->target)));
}

/* A step was tried. */
static void stepped(dpi_eq_worker *g, int lane) {
  way *k = &g->k[lane];
  dpi_eq_bench *w = k->w;
  dpi_solver *s = w->solver;
  const dpi_solve_outcome o = dpi_lanes_outcome(g->lanes[k->trace.crew], lane);
  const int out = way_out(g, k->trace.crew, o);
  bool good = true;
  if (out >= 0) {
    good = dpi_eq_reach(w, s->t_now) && choose_crew(g, lane, out);
  } else {
    if (o == DPI_SOLVE_OK && dpi_lanes_step_size(s) > 0) {
      good = dpi_eq_trace_step(w, s->t_prev, dpi_lanes_step_size(s), k->x_prev);
      if (w->ndir == 1) dpi_trace_moved(&k->trace, s->sens_now);
    }
    good = good && dpi_eq_member_stepped(w, o);
  }
  send_on(g, lane, good);
  if (k->trace.crew == DPI_EQ_ALONE) forward_alone(g, lane);
}

static void begin(dpi_eq_worker *g, int lane, dpi_eq_batch *b, int member, const dpi_gradient_def *def) {
  way *k = &g->k[lane];
  dpi_trace_clear(&k->trace);
  k->trace.limit = def->memory;
  k->trace.along = def->along && b->def.member[member].seed;
  k->member = member;
  dpi_eq_bench_lay(k->w, b, member);
  const int crew = k->w->m->crew < DPI_EQ_NCREW ? k->w->m->crew : DPI_EQ_EXPLICIT;
  const bool chosen =
      choose_crew(g, lane, g->spoke->back->alone ? DPI_EQ_ALONE : g->lanes[crew] ? crew : DPI_EQ_NCREW - 1 - crew);
  k->w->trace = &k->trace;
  send_on(g, lane,
          chosen && (k->w->ndir == 0 || dpi_probe_lay(&k->probe, k->w, def->along)) &&
              dpi_eq_member_begin(k->w, def->to[member]));
}

/* All members that were begun to their ends, recorded. */
static void forward(dpi_eq_worker *g) {
  if (g->spoke->back->alone) forward_alone(g, 0);
  for (uint32_t any = 1; any;) {
    any = 0;
    for (int c = 0; c < DPI_EQ_NCREW; c++) {
      if (!g->lanes[c]) continue;
      const uint32_t mask = dpi_lanes_run(g->lanes[c]);
      any |= mask;
      for (int l = 0; l < g->width; l++)
        if (mask >> l & 1) stepped(g, l);
    }
  }
}

/* ---- backward: steps ---- */

/* Symbols and prologues for the piece that a lane goes back over. */
static void know_piece(dpi_eq_worker *g, int lane) {
  const dpi_eq_spoke *sp = g->spoke;
  way *k = &g->k[lane];
  const dpi_trace_piece *p = &k->trace.piece[k->piece];
  const dpi_eq_trace *tr = &k->trace;
  for (int j = 0; j < sp->nstate; j++)
    k->sym[dpi_lane_sym(sp->sys, DPI_LANE_U) + j] = p->u < 0 ? 0 : tr->real[p->u + j];
  if (k->param[p->crew] == p->param) return;
  k->param[p->crew] = p->param;
  for (int i = 0; i < sp->nparam; i++) k->sym[sp->param_sym[i]] = tr->real[p->param + i];
  for (int i = 0; i < sp->ndraw; i++) k->sym[sp->model->draw[i].sym] = tr->real[p->param + sp->nparam + i];
  dpi_tape_prologue(sp->back->adj[p->crew]->step, k->sym, k->reg_step[p->crew]);
  for (int d = 0; d < 2; d++) {
    const back_regs *r = &g->back[p->crew][d];
    dpi_tape_lanes_prologue(r->tape, g->width, r->reg, lane, k->sym, r->scratch);
  }
}

/* State at the beginning of step i of the piece; NULL: no memory. */
static const double *state_at(const dpi_eq_spoke *sp, way *k, int i) {
  const dpi_eq_trace *tr = &k->trace;
  const dpi_trace_piece *p = &tr->piece[k->piece];
  const size_t n = (size_t)sp->nstate;
  const int block = i / tr->stride, first = block * tr->stride;
  const double *kept = tr->kept + n * (size_t)(p->kept + block);
  if (i == first) return kept;
  if (k->block_piece == k->piece && k->block_step == first) return k->between + n * (size_t)(i - first);
  if (dpi_grow(ctx_of(sp), (void **)&k->between, &k->cap_between, (tr->stride + 1) * (int)n, sizeof *k->between) !=
      DP_OK)
    return NULL;
  memcpy(k->between, kept, n * sizeof *kept);
  for (int s = first; s < i; s++) {
    double *x = k->between + n * (size_t)(s - first);
    k->sym[0] = tr->step[2 * (p->first + s)];
    k->sym[dpi_lane_sym(sp->sys, DPI_LANE_H)] = tr->step[2 * (p->first + s) + 1];
    memcpy(k->sym + 1, x, n * sizeof *x);
    dpi_tape_eval(sp->back->adj[p->crew]->step, k->sym, k->reg_step[p->crew], x + n);
  }
  k->block_piece = k->piece;
  k->block_step = first;
  return k->between + n * (size_t)(i - first);
}

static void clear_weights(const dpi_eq_spoke *sp, way *k) {
  const int n = sp->nstate;
  for (int j = 0; j < n; j++) k->w_x[j] = 0;
  for (int j = 0; k->dense && j < DPI_LANE_DENSE_MAX * n; j++) k->w_dense[j] = 0;
  k->dense = false;
}

static inline void put(const dpi_eq_worker *g, const back_regs *r, int row, int lane, double v) {
  if (row >= 0) r->reg[(size_t)row * (size_t)g->width + (size_t)lane] = v;
}

/* What the tape needs to go back over the lane's next step. False: no memory. */
static bool load_step(dpi_eq_worker *g, const back_regs *r, int lane) {
  const dpi_eq_spoke *sp = g->spoke;
  way *k = &g->k[lane];
  const dpi_trace_piece *p = &k->trace.piece[k->piece];
  const int n = sp->nstate, m = sp->back->adj[p->crew]->ndense, i = k->step - 1;
  const double *x = state_at(sp, k, i), *u = k->sym + dpi_lane_sym(sp->sys, DPI_LANE_U);
  if (!x) return dpi_eq_fail_memory(k->w);
  put(g, r, r->t, lane, k->trace.step[2 * (p->first + i)]);
  put(g, r, r->h, lane, k->trace.step[2 * (p->first + i) + 1]);
  for (int j = 0; j < n; j++) put(g, r, r->row[j], lane, x[j]);
  for (int j = 0; j < n; j++) put(g, r, r->row[n + j], lane, u[j]);
  for (int j = 0; j < n; j++) put(g, r, r->row[2 * n + j], lane, k->w_new[j]);
  for (int j = 0; k->dense && j < m * n; j++) put(g, r, r->row[3 * n + j], lane, k->w_dense[j]);
  return true;
}

/* A state at rest that nothing of what is asked along has woken so far: its adjoint meets zeros only. Explicit steps
 * may be too long for its speed, of which the path knows nothing, and backwards it would grow until it is no number. */
static void forget_unmoved(const dpi_eq_spoke *sp, way *k) {
  const dpi_trace_piece *p = &k->trace.piece[k->piece];
  const double *moved = p->moved < 0 ? NULL : k->trace.real + p->moved;
  for (int j = 0; moved && j < sp->nstate; j++)
    if (moved[j] > k->step - 1) k->w_new[j] = 0;
}

/* Its weights become those of the step before. */
static void absorb_step(dpi_eq_worker *g, const back_regs *r, int lane) {
  const int n = g->spoke->nstate, na = g->spoke->nactive, w = g->width;
  const int32_t *out = r->tape->out;
  way *k = &g->k[lane];
  for (int j = 0; j < n; j++) {
    k->w_new[j] = r->reg[(size_t)out[j] * w + lane] + k->w_x[j];
    k->u_bar[j] += r->reg[(size_t)out[n + j] * w + lane];
  }
  for (int a = 0; a < na; a++) k->mu[a] += r->reg[(size_t)out[2 * n + a] * w + lane];
  forget_unmoved(g->spoke, k);
  clear_weights(g->spoke, k);
  k->step--;
}

/* w [nstate] on the state at t in step i of the piece. False: failed, alone only. */
static bool weigh(const dpi_eq_spoke *sp, way *k, const dpi_trace_item *it, const double *w) {
  const dpi_trace_piece *p = &k->trace.piece[it->piece];
  const double t = it->t;
  if (p->crew == DPI_EQ_ALONE) return dpi_alone_weigh(&k->alone, k->w, &k->trace, it->piece, t, w);
  const int n = sp->nstate, m = sp->back->adj[p->crew]->ndense, i = it->nstep - 1;
  const double *step = &k->trace.step[2 * (p->first + i)];
  const double end = i + 1 < p->nstep ? step[2] : INFINITY, h = step[1];
  double theta = (t - step[0]) / h;
  if (t == step[0] + h || t == end) theta = 1;
  const double rest = 1 - theta;
  k->any = true;
  for (int j = 0; j < n; j++) {
    k->w_new[j] += theta * w[j];
    k->w_x[j] += rest * w[j];
  }
  double c = theta * rest;
  if (c == 0) return true;
  k->dense = true;
  for (int d = 0; d < m; d++, c *= theta)
    for (int j = 0; j < n; j++) k->w_dense[d * n + j] += c * w[j];
  return true;
}

/* ---- backward: the rest ---- */

static bool back_output(const dpi_eq_spoke *sp, way *k, const dpi_trace_item *it) {
  const dpi_eq_map *map = &sp->out_der;
  const double *g = k->trace.real + it->der, *weight = k->weight + (size_t)it->at * sp->noutput;
  double *w = k->w->xs;
  for (int j = 0; j < sp->nstate; j++) w[j] = 0;
  for (int e = 0; e < map->nder; e++) {
    const double v = weight[map->row[e]];
    if (v == 0 || g[e] == 0) continue;
    if (map->col[e] < sp->nstate)
      w[map->col[e]] += v * g[e];
    else
      k->mu[map->col[e] - sp->nstate] += v * g[e];
  }
  if (it->path) return weigh(sp, k, it, w);
  for (int j = 0; j < sp->nstate; j++) k->lambda[j] += w[j];
  return true;
}

static bool back_reach(const dpi_eq_spoke *sp, way *k, const dpi_trace_item *it) {
  bool zero = true;
  for (int j = 0; j < sp->nstate; j++) zero = zero && k->lambda[j] == 0;
  if (!zero && !weigh(sp, k, it, k->lambda)) return false;
  for (int j = 0; j < sp->nstate; j++) k->lambda[j] = 0;
  return true;
}

/* z: doses' start, stop, amount; then events. */
static bool back_start(const dpi_eq_spoke *sp, way *k, const dpi_trace_item *it) {
  const dpi_trace_piece *p = &k->trace.piece[it->piece];
  const int n = sp->nstate;
  if (p->crew == DPI_EQ_ALONE && !dpi_alone_start(&k->alone, k->w, it->piece, k->lambda, k->mu, k->u_bar)) return false;
  for (int j = 0; j < n && k->any; j++) k->lambda[j] += k->w_new[j] + k->w_x[j];
  for (int r = 0; r < p->nrun; r++) {
    const int *pair = k->trace.pair + p->run + 2 * r;
    k->z[3 * pair[0] + 2] += k->u_bar[pair[1]];
  }
  for (int j = 0; j < n; j++) k->u_bar[j] = k->w_new[j] = 0;
  k->any = false;
  clear_weights(sp, k);
  return true;
}

/* Row r of what was after the happening has adjoint a: to what was before. */
static void spread(const dpi_eq_trace *tr, int row, double a, double *to) {
  if (a == 0) return;
  for (int e = tr->index[row]; e < tr->index[row + 1]; e++) to[tr->column[e]] += a * tr->element[e];
}

static bool back_happen(const dpi_eq_spoke *sp, way *k, const dpi_trace_item *it, dpi_member_gradient *g) {
  const dpi_eq_trace *tr = &k->trace;
  const dpi_trace_jacobian *jac = &tr->jacobian[it->at];
  const int n = sp->nstate, na = sp->nactive, nin = jac->nin + DPI_TRACE_NCONTROL;
  if (dpi_grow(ctx_of(sp), (void **)&k->z_new, &k->cap_z_new, nin + 1, sizeof *k->z_new) != DP_OK ||
      dpi_grow(ctx_of(sp), (void **)&k->z, &k->cap_z, nin + 1, sizeof *k->z) != DP_OK)
    return dpi_eq_fail_memory(k->w);
  for (int c = 0; c < nin; c++) k->z_new[c] = 0;
  for (int j = 0; j < n; j++) spread(tr, jac->row + j, k->lambda[j], k->z_new);
  for (int a = 0; a < na; a++) spread(tr, jac->row + n + a, k->mu[a], k->z_new);
  for (int r = n + na; r < jac->nout; r++) spread(tr, jac->row + r, k->z[r - n - na], k->z_new);
  for (int j = 0; j < n; j++) k->lambda[j] = k->z_new[j];
  for (int a = 0; a < na; a++) k->mu[a] = k->z_new[n + a];
  k->nz = jac->nin - n - na;
  for (int r = 0; r < k->nz; r++) k->z[r] = k->z_new[n + na + r];
  if (jac->instant < 0) return true;
  g->amount[jac->instant] += k->z_new[jac->nin + DPI_TRACE_AMOUNT];
  g->rate[jac->instant] += k->z_new[jac->nin + DPI_TRACE_RATE];
  g->time[jac->instant] += k->z_new[jac->nin + DPI_TRACE_TIME];
  return true;
}

/* Adjoint of what is under way at the end: nothing hangs on it. */
static bool back_begin(const dpi_eq_spoke *sp, way *k) {
  const dpi_eq_member *m = k->w->m;
  k->nz = 3 * m->ndose + (1 + sp->nassign_max) * m->pool.n;
  if (dpi_grow(ctx_of(sp), (void **)&k->z, &k->cap_z, k->nz + 1, sizeof *k->z) != DP_OK)
    return dpi_eq_fail_memory(k->w);
  for (int i = 0; i < k->nz; i++) k->z[i] = 0;
  for (int j = 0; j < sp->nstate; j++) k->lambda[j] = k->u_bar[j] = k->w_new[j] = 0;
  for (int a = 0; a < sp->nactive; a++) k->mu[a] = 0;
  k->any = false;
  k->dense = true;
  clear_weights(sp, k);
  k->block_piece = k->piece = k->alone.piece = -1;
  for (int c = 0; c < DPI_EQ_NCREW; c++) k->param[c] = -1;
  k->item = k->trace.nitem - 1;
  k->step = k->target = 0;
  return true;
}

/* How far back the steps must be gone over before this item has its turn. */
static void aim(dpi_eq_worker *g, int lane, const dpi_trace_item *it) {
  way *k = &g->k[lane];
  k->target = it->what == DPI_TRACE_START ? 0 : it->nstep;
  if (k->piece != it->piece) {
    k->piece = it->piece;
    k->step = k->trace.piece[it->piece].nstep;
    k->any = false;
    k->block_piece = -1;
    if (k->trace.piece[it->piece].crew != DPI_EQ_ALONE) know_piece(g, lane);
  }
  if (!k->any) k->step = k->target;
}

/* Back to the next step; false: no memory. Not going any more: at the beginning. */
static bool back_on(dpi_eq_worker *g, int lane, dpi_member_gradient *grad) {
  way *k = &g->k[lane];
  for (; k->item >= 0; k->item--) {
    const dpi_trace_item *it = &k->trace.item[k->item];
    if (it->what == DPI_TRACE_HAPPEN) {
      if (!back_happen(g->spoke, k, it, grad)) return false;
      continue;
    }
    if (it->piece < 0) continue;
    aim(g, lane, it);
    if (k->step > k->target) return true;
    if (it->what == DPI_TRACE_OUTPUT && !back_output(g->spoke, k, it)) return false;
    if (it->what == DPI_TRACE_REACH && !back_reach(g->spoke, k, it)) return false;
    if (it->what == DPI_TRACE_START && !back_start(g->spoke, k, it)) return false;
  }
  k->going = false;
  return true;
}

/* One tape for all lanes that want it: steps of this method, with or without dense output. */
static void back_together(dpi_eq_worker *g, int crew, int dense, const dpi_gradient_def *def) {
  const back_regs *r = &g->back[crew][dense];
  uint32_t mask = 0;
  for (int l = 0; l < g->width; l++) {
    way *k = &g->k[l];
    if (!k->going || k->trace.piece[k->piece].crew != crew || k->dense != (dense != 0)) continue;
    k->going = load_step(g, r, l);
    mask |= (uint32_t)k->going << l;
  }
  if (mask == 0) return;
  dpi_tape_lanes_run(r->tape, g->ops, r->reg);
  for (int l = 0; l < g->width; l++) {
    way *k = &g->k[l];
    if (!(mask >> l & 1)) continue;
    absorb_step(g, r, l);
    if (k->step <= k->target && !back_on(g, l, &def->out[k->member])) k->going = false;
  }
}

static void backward(dpi_eq_worker *g, const dpi_gradient_def *def) {
  for (bool any = true; any;) {
    any = false;
    for (int c = 0; c < DPI_EQ_NCREW; c++)
      for (int d = 0; d < 2 && g->back[c][d].tape; d++) back_together(g, c, d, def);
    for (int l = 0; l < g->width; l++) any = any || g->k[l].going;
  }
}

/* To what the member was given: by the initial values to the parameters. */
static void finish(const dpi_eq_spoke *sp, way *k, dpi_member_gradient *g) {
  dpi_eq_bench *w = k->w;
  const int n = sp->nstate, na = sp->nactive;
  for (int j = 0; j < n; j++) g->state[j] = k->lambda[j];
  for (int a = 0; a < sp->nseed; a++) g->param[a] = k->mu[a];
  if (w->def->state0) return;
  for (int i = 0; i < sp->nparam; i++) w->m->param[i] = w->def->param[i];
  for (int i = 0; i < sp->ndraw && k->trace.npiece; i++)
    w->m->draw[i] = k->trace.real[k->trace.piece[0].param + sp->nparam + i];
  dpi_eq_bench_params(w);
  const double *val = dpi_eq_eval(w, &sp->init, dpi_real(w->def->start), w->m->x, NULL);
  for (int a = 0; a < sp->nseed; a++)
    for (int j = 0; j < n; j++)
      if (val[n + j * na + a] != 0) g->param[a] += k->lambda[j] * val[n + j * na + a];
}

/* ---- the entry ---- */

/* The member went to its end: what hangs on its outputs? */
static dp_status ask_weights(dpi_eq_worker *g, int lane, const dpi_gradient_def *def) {
  const dpi_eq_spoke *sp = g->spoke;
  way *k = &g->k[lane];
  const int size = k->w->def->nout * sp->noutput;
  DP_TRY(dpi_grow(ctx_of(sp), (void **)&k->weight, &k->cap_weight, size + 1, sizeof *k->weight));
  for (int r = 0; r < size; r++) k->weight[r] = 0;
  DP_TRY(def->weight(def->user, def->first + k->member, k->w->out->value, k->weight));
  k->going = back_begin(sp, k) && back_on(g, lane, &def->out[k->member]) && k->going;
  return DP_OK;
}

/* Members [first, first + n), n at most the number of lanes. */
static dp_status some_members(dpi_eq_worker *g, dpi_eq_batch *b, int first, int n, const dpi_gradient_def *def) {
  dp_status st = DP_OK;
  for (int l = 0; l < g->width; l++) g->k[l].going = false;
  for (int l = 0; l < n; l++) begin(g, l, b, first + l, def);
  forward(g);
  for (int l = 0; l < n; l++) g->k[l].w->trace = NULL;
  for (int l = 0; l < n && st == DP_OK; l++) {
    way *k = &g->k[l];
    k->going = k->w->out->status == DP_MEMBER_OK && !k->w->no_memory;
    if (k->going) st = ask_weights(g, l, def);
  }
  if (st == DP_OK) backward(g, def);
  for (int l = 0; l < n && st == DP_OK; l++) {
    way *k = &g->k[l];
    if (k->w->no_memory)
      st = dpi_fail(ctx_of(g->spoke), DP_ERR_MEMORY, "member %d: no memory for its gradient", first + l);
    else if (k->w->out->status == DP_MEMBER_OK) finish(g->spoke, k, &def->out[k->member]);
  }
  for (int c = 0; c < DPI_EQ_NCREW; c++)
    for (int l = 0; g->lanes[c] && l < g->width; l++) dpi_lanes_halt(g->lanes[c], l);
  return st;
}

/* Evaluations of the rates by members that go alone: enough of them are worth machine code. */
static long evaluations(const dpi_eq_worker *g) {
  long n = 0;
  for (int l = 0; l < g->width; l++)
    if (g->k[l].w->own) n += g->k[l].w->own->nrhs;
  return n;
}

dp_status dpi_eq_gradient(const dpi_spoke *spoke, const dpi_batch_def *batch, const dpi_gradient_def *def) {
  dpi_eq_spoke *sp = (dpi_eq_spoke *)spoke; /* its pools */
  dpi_batch *b = NULL;
  dpi_eq_worker *g = NULL;
  DP_TRY(worker_take(sp, batch->n, &g));
  const long before = evaluations(g);
  dpi_batch_def probed = *batch;
  probed.ndir = sp->back->ndir;
  dp_status st = dp_spoke_equations.open(spoke, &probed, &b);
  for (int i = 0; i < batch->n && st == DP_OK; i += g->width) {
    const int rest = batch->n - i;
    if (batch->stop && batch->stop(batch->stop_user))
      st = dpi_fail(ctx_of(sp), DP_ERR_CANCELLED, "gradients: stopped on request or at the deadline");
    else
      st = some_members(g, (dpi_eq_batch *)b, i, rest < g->width ? rest : g->width, def);
  }
  if (b) dp_spoke_equations.close(b);
  const long evaluated = evaluations(g) - before;
  worker_give(sp, g);
  return st == DP_OK && evaluated > 0 ? dpi_eq_code_evaluations(sp, evaluated) : st;
}
