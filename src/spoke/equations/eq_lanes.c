/* eq_lanes.c - a batch in SIMD lanes: each lane carries one member, a free lane takes the next one at once.  D, U -> O
 *
 *     queue of the batch's members, most work first
 *       explicit lanes    members that are not known to be stiff      -- stiff? --> implicit lanes
 *       implicit lanes    the others                                  -- gives up? -> alone
 *       alone             by the scalar method `auto`
 *
 * A *crew* is what integrates a member: the explicit lanes, the implicit lanes, or a scalar solver alone
 * (DPI_EQ_EXPLICIT ...). A *job* is a member's place in the queue of one call: how far it has to go, how much work that
 * will be.
 * A *rig* is one thread's: the two sets of lanes and a bench for each lane, kept in a pool as benches are. A member
 * lies on a lane's bench with the lane's face as its solver, so doses, events, outputs and functionals are those of
 * eq_advance.c.
 *
 * Invariants:
 *   1. where a member goes on is part of its state (member->crew, saved and forked) and depends on what it did alone;
 *   2. order of the queue, width and neighbours change no byte of any member;
 *   3. nothing is allocated once a rig is warm.
 */
#include "spoke/equations/eq_impl.h"

#include <math.h>
#include <stdlib.h>

#define PROBE_STEPS 400 /* explicit steps after which the model's own parameters count as not stiff */

/* A member in the queue; the longest go first. */
typedef struct job {
  double span; /* time to go */
  dp_time end; /* until then */
  int ninstant, member;
} job;

/* One thread's lanes. */
struct dpi_eq_rig {
  dpi_eq_rig *free_next;
  const dpi_eq_spoke *spoke;
  int ndir, width;
  dpi_lanes *lanes[DPI_EQ_NCREW]; /* owned; NULL: not offered */
  dpi_eq_bench *w[DPI_LANES_MAX]; /* owned */
  job *queue;                     /* owned, kept for reuse */
  int njob, cap_job;
};

/* ---- what the spoke offers ---- */

static const dpi_lane_kind kind_of[DPI_EQ_NCREW] = {
    [DPI_EQ_EXPLICIT] = DPI_LANE_EXPLICIT, [DPI_EQ_IMPLICIT] = DPI_LANE_IMPLICIT};

static const struct {
  const char *name;
  bool explicit_one, implicit_one, forced;
} method[] = {
    {"ensemble", true, true, false},
    {"tsit", true, false, true},
    {"rodas", false, true, true},
};

static int method_find(const char *name) {
  for (int i = 0; i < DPI_COUNT(method); i++)
    if (strcmp(method[i].name, name) == 0) return i;
  return -1;
}

bool dpi_eq_lanes_named(const char *name) { return method_find(name) >= 0; }

/* Where members begin: the model's own parameters speak for all. Those that are stiff though they do not show it here,
 * or only for some members, are found by each member itself. */
static dp_status probe(dpi_eq_spoke *sp) {
  dpi_eq_bench *w = NULL;
  dpi_solver *s = NULL;
  DP_TRY(dpi_eq_bench_take(sp, 0, &w));
  dp_status st = dpi_solver_create(sp->base.ctx, "rk853", sp->sys, &sp->opts, 0, &s);
  for (int k = 0; k < sp->nparam; k++) w->sym[sp->param_sym[k]] = sp->desc.param_default[k];
  for (int i = 0; i < sp->ndraw; i++) w->sym[sp->model->draw[i].sym] = NAN;
  for (int i = 0; i < sp->nmap; i++) w->stale[i] = 1;
  if (st == DP_OK) st = s->ops->bind(s, w->sym, NULL, 0);
  if (st == DP_OK) {
    const double *x = dpi_eq_eval(w, &sp->init, 0, w->xb, w->val);
    dpi_solve_outcome o = dpi_eq_finite(x, sp->nstate) ? s->ops->start(s, 0, x, NULL) : DPI_SOLVE_NONFINITE;
    for (int i = 0; i < PROBE_STEPS && o == DPI_SOLVE_OK; i++) o = s->ops->step(s, 1e12);
    if (o == DPI_SOLVE_STIFF) {
      sp->crew0 = DPI_EQ_IMPLICIT;
      sp->calm_for = s->t_now;
    }
    if (o == DPI_SOLVE_MEMORY) st = DP_ERR_MEMORY;
  }
  dpi_solver_destroy(s);
  dpi_eq_bench_give(w);
  return st;
}

/* A member that is to end before the model becomes stiff has no use for implicit steps. */
uint8_t dpi_eq_lanes_crew(const dpi_eq_spoke *sp, const dp_member *def) {
  if (sp->calm_for <= 0 || def->nout == 0) return sp->crew0;
  const double end = dpi_real(def->out[def->nout - 1].time) - dpi_real(def->start);
  bool calm = end <= sp->calm_for;
  for (int i = 0; i < def->ninstant; i++) calm = calm && def->instant[i].type != DP_EQUILIBRATE;
  return calm ? DPI_EQ_EXPLICIT : sp->crew0;
}

static dp_status plan_one(dpi_eq_spoke *sp, int crew, bool forced) {
  const char *why = "";
  if (!dpi_lane_can(sp->sys, kind_of[crew], &why)) {
    if (!forced) return DP_OK;
    return dpi_fail(sp->base.ctx, DP_ERR_UNSUPPORTED, "%s: method '%s' can't take these equations: %s",
                    sp->model->source, sp->lane_method, why);
  }
  dp_ctx *ctx = sp->base.ctx;
  const bool clean = !dp_ctx_error(ctx)[0];
  const dp_status st = dpi_lane_plan_create(ctx, sp->sys, &sp->opts, kind_of[crew], 0, &sp->plan[crew]);
  if (st != DP_ERR_UNSUPPORTED || forced) return st;
  if (clean) dp_ctx_clear_error(ctx); /* a step that is found too long only when it is written: not offered, like the
                                         others */
  return DP_OK;
}

dp_status dpi_eq_lanes_compile(dpi_eq_spoke *sp, const char *name) {
  const int i = method_find(name);
  sp->lane_method = method[i].name;
  sp->lane_forced = method[i].forced;
  while (sp->width > 1 && !dpi_lane_ops_find(sp->width)) sp->width /= 2; /* what was asked for, as far as the processor
                                                                            goes */
  if (sp->width == 0) sp->width = dpi_lane_ops_find(0)->width;
  /* what is exact in one step for all is not better in many */
  if (!method[i].forced && sp->sys->linear) return DP_OK;
  if (method[i].explicit_one) DP_TRY(plan_one(sp, DPI_EQ_EXPLICIT, method[i].forced));
  if (method[i].implicit_one) DP_TRY(plan_one(sp, DPI_EQ_IMPLICIT, method[i].forced));
  sp->crew0 =
      sp->plan[DPI_EQ_EXPLICIT] ? DPI_EQ_EXPLICIT : (sp->plan[DPI_EQ_IMPLICIT] ? DPI_EQ_IMPLICIT : DPI_EQ_ALONE);
  return sp->plan[DPI_EQ_EXPLICIT] && sp->plan[DPI_EQ_IMPLICIT] ? probe(sp) : DP_OK;
}

void dpi_eq_lanes_release(dpi_eq_spoke *sp) {
  while (sp->rig) {
    dpi_eq_rig *next = sp->rig->free_next;
    dpi_eq_rig_destroy(sp->rig);
    sp->rig = next;
  }
  dpi_eq_tangent_destroy(sp->base.ctx, sp->tangent);
  for (int c = 0; c < DPI_EQ_NCREW; c++) dpi_lane_plan_destroy(sp->plan[c]);
}

bool dpi_eq_lanes_apply(const dpi_eq_spoke *sp, int ndir) {
  return (sp->plan[DPI_EQ_EXPLICIT] || sp->plan[DPI_EQ_IMPLICIT]) && (ndir == 0 || dpi_eq_tangent_fits(sp, ndir));
}

/* ---- the pool ---- */

void dpi_eq_rig_destroy(dpi_eq_rig *r) {
  if (!r) return;
  dp_ctx *ctx = r->spoke->base.ctx;
  for (int l = 0; l < DPI_LANES_MAX; l++) dpi_eq_bench_destroy(r->w[l]);
  for (int c = 0; c < DPI_EQ_NCREW; c++) dpi_lanes_destroy(r->lanes[c]);
  dpi_free(ctx, r->queue);
  dpi_free(ctx, r);
}

static dp_status rig_build(dpi_eq_rig *r) {
  const dpi_eq_spoke *sp = r->spoke;
  for (int c = 0; c < DPI_EQ_NCREW; c++)
    if (sp->plan[c]) {
      const dpi_lane_plan *plan;
      DP_TRY(dpi_eq_tangent_plan(sp, c, r->ndir, &plan));
      DP_TRY(dpi_lanes_create(sp->base.ctx, plan, sp->width, &r->lanes[c]));
      r->width = dpi_lanes_width(r->lanes[c]);
    }
  for (int l = 0; l < r->width; l++) DP_TRY(dpi_eq_bench_create(sp, r->ndir, false, &r->w[l]));
  return DP_OK;
}

static dp_status rig_take(const dpi_eq_spoke *sp, int ndir, dpi_eq_rig **out) {
  dpi_eq_spoke *pool = (dpi_eq_spoke *)sp; /* the pool is the only part that changes */
  pthread_mutex_lock(&pool->lock);
  dpi_eq_rig **at = &pool->rig;
  while (*at && (*at)->ndir != ndir) at = &(*at)->free_next;
  dpi_eq_rig *r = *at;
  if (r) *at = r->free_next;
  pthread_mutex_unlock(&pool->lock);
  if (r) {
    *out = r;
    return DP_OK;
  }
  r = DPI_NEW(sp->base.ctx, dpi_eq_rig);
  if (!r) return DP_ERR_MEMORY;
  r->spoke = sp;
  r->ndir = ndir;
  const dp_status st = rig_build(r);
  if (st != DP_OK) {
    dpi_eq_rig_destroy(r);
    return st;
  }
  *out = r;
  return DP_OK;
}

static void rig_give(dpi_eq_rig *r) {
  dpi_eq_spoke *pool = (dpi_eq_spoke *)r->spoke;
  pthread_mutex_lock(&pool->lock);
  r->free_next = pool->rig;
  pool->rig = r;
  pthread_mutex_unlock(&pool->lock);
}

/* ---- the queue ---- */

/* Instants up to `to` that are still to come, each a restart of the solver. */
static int instants_left(const dp_member *def, const dpi_eq_member *m, dp_time to) {
  int64_t n = 0;
  for (int i = m->line.next; i < def->ninstant && def->instant[i].time <= to; i++) {
    const dp_instant *in = &def->instant[i];
    const int64_t most = in->interval > 0 ? (to - in->time) / in->interval : 0;
    n += 1 + (most < in->repeats ? most : in->repeats);
  }
  return n < INT32_MAX ? (int)n : INT32_MAX;
}

static int most_first(const void *pa, const void *pb) {
  const job *a = pa, *b = pb;
  if (a->span != b->span) return a->span > b->span ? -1 : 1;
  if (a->ninstant != b->ninstant) return a->ninstant > b->ninstant ? -1 : 1;
  return a->member < b->member ? -1 : 1;
}

static dp_status line_up(dpi_eq_rig *r, dpi_eq_batch *b, dp_time to) {
  bool sorted = true;
  r->njob = 0;
  DP_TRY(dpi_grow(r->spoke->base.ctx, (void **)&r->queue, &r->cap_job, b->def.n, sizeof *r->queue));
  for (int i = 0; i < b->def.n; i++) {
    const dp_time end = dpi_eq_end(b, i, to);
    if (!dpi_eq_waits(b, i, end)) continue;
    const job j = {dpi_real(end) - b->m[i].t, end, instants_left(&b->def.member[i], &b->m[i], end), i};
    sorted = sorted && (r->njob == 0 || most_first(&r->queue[r->njob - 1], &j) < 0);
    r->queue[r->njob++] = j;
  }
  if (!sorted) qsort(r->queue, (size_t)r->njob, sizeof *r->queue, most_first);
  return DP_OK;
}

/* ---- a crew: the members that go the same way ---- */

typedef struct crew {
  dpi_eq_rig *rig;
  dpi_lanes *lanes;
  dpi_eq_batch *b;
  int which, next; /* place in the queue */
  dp_status status;
} crew;

/* The next member of this crew that is not done; NULL: none, or the work is to stop. */
static const job *next_job(crew *k) {
  const dpi_eq_batch *b = k->b;
  while (k->status == DP_OK && k->next < k->rig->njob) {
    const job *j = &k->rig->queue[k->next++];
    if (b->m[j->member].crew != k->which || !dpi_eq_waits(b, j->member, j->end)) continue;
    if (!b->def.stop || !b->def.stop(b->def.stop_user)) return j;
    k->status = DP_ERR_CANCELLED; /* those under way go on to their end */
  }
  return NULL;
}

static void no_memory(crew *k, const dpi_eq_bench *w) {
  if (w->no_memory)
    k->status =
        dpi_fail(w->spoke->base.ctx, DP_ERR_MEMORY, "member %d: no memory to advance it", (int)(w->m - k->b->m));
}

/* Send the lane on; false: its member is done, failed, or has to wait for memory. */
static bool go_on(crew *k, int lane) {
  dpi_eq_bench *w = k->rig->w[lane];
  if (dpi_eq_member_next(w) == DPI_EQ_WANTS_STEP) {
    dpi_lanes_send(k->lanes, lane, w->target, w->attend);
    dpi_lanes_record(k->lanes, lane, w->record_t, w->nrecord, w->record_x);
    return true;
  }
  no_memory(k, w);
  return false;
}

/* Take members until one needs steps. */
static void refill(crew *k, int lane) {
  dpi_eq_bench *w = k->rig->w[lane];
  for (const job *j; (j = next_job(k));) {
    dpi_eq_bench_lay(w, k->b, j->member);
    w->solver = dpi_lanes_solver(k->lanes, lane);
    if (dpi_eq_member_begin(w, j->end)) {
      if (go_on(k, lane)) return;
    } else {
      no_memory(k, w);
    }
  }
  dpi_lanes_halt(k->lanes, lane);
}

/* Where a member goes whose lane can't go on; -1: nowhere. */
static int way_out(const crew *k, dpi_solve_outcome o) {
  const dpi_eq_spoke *sp = k->rig->spoke;
  if (sp->lane_forced || o == DPI_SOLVE_MEMORY) return -1;
  return o == DPI_SOLVE_STIFF && sp->plan[DPI_EQ_IMPLICIT] && k->which == DPI_EQ_EXPLICIT ? DPI_EQ_IMPLICIT
                                                                                          : DPI_EQ_ALONE;
}

static void attend(crew *k, int lane) {
  dpi_eq_bench *w = k->rig->w[lane];
  const dpi_solve_outcome o = dpi_lanes_outcome(k->lanes, lane);
  const int out = o == DPI_SOLVE_OK ? -1 : way_out(k, o);
  if (!dpi_eq_member_recorded(w, dpi_lanes_recorded(k->lanes, lane))) {
    no_memory(k, w);
  } else if (out >= 0) { /* it goes on from where its path ends */
    if (dpi_eq_reach(w, w->solver->t_now)) w->m->crew = (uint8_t)out;
  } else if (dpi_eq_member_stepped(w, o) && go_on(k, lane)) {
    return;
  }
  refill(k, lane);
}

static dp_status crew_go(dpi_eq_rig *r, dpi_eq_batch *b, int which) {
  crew k = {.rig = r, .lanes = r->lanes[which], .b = b, .which = which};
  for (int l = 0; l < r->width; l++) refill(&k, l);
  for (uint32_t mask; (mask = dpi_lanes_run(k.lanes));)
    for (int l = 0; l < r->width; l++)
      if (mask >> l & 1) attend(&k, l);
  return k.status;
}

/* Those that no lane could take further. */
static dp_status alone_go(dpi_eq_rig *r, dpi_eq_batch *b) {
  crew k = {.rig = r, .b = b, .which = DPI_EQ_ALONE};
  dpi_eq_bench *w = NULL;
  for (const job *j; (j = next_job(&k));) {
    if (!w) DP_TRY(dpi_eq_bench_take(r->spoke, r->ndir, &w));
    dpi_eq_bench_lay(w, b, j->member);
    dpi_eq_member_advance(w, j->end);
    no_memory(&k, w);
  }
  if (w) dpi_eq_bench_give(w);
  return k.status;
}

dp_status dpi_eq_lanes_advance(dpi_eq_batch *b, dp_time to) {
  dpi_eq_rig *r = NULL;
  DP_TRY(rig_take(b->spoke, b->def.ndir, &r));
  dp_status st = line_up(r, b, to);
  if (st == DP_OK) st = dpi_eq_tangent_members(b->spoke, r->ndir, r->njob);
  for (int c = 0; c < DPI_EQ_NCREW && st == DP_OK; c++)
    if (r->lanes[c]) st = crew_go(r, b, c);
  if (st == DP_OK) st = alone_go(r, b);
  rig_give(r);
  return st;
}
