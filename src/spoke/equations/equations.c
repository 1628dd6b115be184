/* equations.c - spoke `equations` (floor 4): systems of ordinary differential equations under event timelines, with
 * exact event times, forward sensitivities through everything and exact functionals of the path.  D, U -> O, Q
 *
 * This file: life of the spoke and of batches, reading and editing a member's state, the descriptor. The map of the
 * other files stands in eq_impl.h.
 */
#include "spoke/equations/eq_impl.h"

#include <math.h>

#define POOL_MAX 64 /* closed batches kept for reuse */

/* ---- the spoke ---- */

static void batch_destroy(dpi_eq_batch *b) {
  dp_ctx *ctx = b->spoke->base.ctx;
  for (int i = 0; i < b->nhave; i++) {
    dpi_free(ctx, b->m[i].dose);
    dpi_free(ctx, b->m[i].vec);
    dpi_event_pool_release(ctx, &b->m[i].pool);
    dpi_eq_history_destroy(ctx, b->m[i].history);
  }
  dpi_free(ctx, b->m);
  dpi_free(ctx, b->real);
  dpi_free(ctx, b->ints);
  dpi_free(ctx, b->path);
  dpi_free(ctx, b->bytes);
  dpi_free(ctx, b);
}

static void equations_destroy(dpi_spoke *spoke) {
  dpi_eq_spoke *sp = (dpi_eq_spoke *)spoke;
  if (!sp) return;
  dp_ctx *ctx = sp->base.ctx;
  dpi_jit_destroy(sp->jit);
  while (sp->bench) {
    dpi_eq_bench *next = sp->bench->free_next;
    dpi_eq_bench_destroy(sp->bench);
    sp->bench = next;
  }
  while (sp->batch) {
    dpi_eq_batch *next = sp->batch->free_next;
    batch_destroy(sp->batch);
    sp->batch = next;
  }
  dpi_eq_back_release(sp);
  dpi_eq_release(sp);
  pthread_mutex_destroy(&sp->lock);
  dpi_free(ctx, sp);
}

static dp_status equations_create(dp_ctx *ctx, const dp_sim_def *def, dpi_spoke **out) {
  dpi_eq_spoke *sp = DPI_NEW(ctx, dpi_eq_spoke);
  if (!sp) return DP_ERR_MEMORY;
  sp->base = (dpi_spoke){.ops = &dp_spoke_equations, .ctx = ctx};
  dpi_arena_init(&sp->arena, ctx);
  pthread_mutex_init(&sp->lock, NULL);
  sp->desc.caps = DP_CAP_JVP | DP_CAP_SAVE | DP_CAP_THREADS | DP_CAP_FUNCTIONALS | DP_CAP_EDIT | DP_CAP_FUSED |
                  DP_CAP_STEADY | DP_CAP_LAWS;
  sp->desc.ranks = 1;
  sp->desc.block = DPI_EQ_BLOCK;
  sp->desc.own_end = true;
  const dp_status st = dpi_eq_compile(sp, def);
  if (dpi_eq_lanes_apply(sp, 0) || sp->fixed) sp->desc.block_most = DPI_EQ_BLOCK_MOST;
  if (st != DP_OK) {
    equations_destroy(&sp->base);
    return st;
  }
  if (dpi_eq_law_noisy(sp)) sp->desc.caps |= DP_CAP_STOCHASTIC;
  if (dpi_eq_back_can(sp) && !dpi_eq_law_noisy(sp) && !sp->fixed) /* a law's shadow would draw anew */
    sp->desc.caps |= DP_CAP_VJP;
  if (sp->whole) sp->desc.caps |= DP_CAP_EXACT;
  *out = &sp->base;
  return DP_OK;
}

static const dpi_spoke_desc *equations_describe(const dpi_spoke *spoke) { return &((const dpi_eq_spoke *)spoke)->desc; }

/* ---- batches ---- */

static dp_status batch_room(dpi_eq_batch *b, const dpi_batch_def *def) {
  const dpi_eq_spoke *sp = b->spoke;
  dp_ctx *ctx = sp->base.ctx;
  const int each = (sp->nstate + sp->nactive) * (1 + def->ndir) + sp->nparam + sp->ndraw + sp->nlaw;
  int nint = 0, npath = 0;
  for (int i = 0; i < def->n; i++) {
    nint += 2 * dpi_timeline_repeating(&def->member[i]);
    npath += def->member[i].nfunctional;
  }
  DP_TRY(dpi_grow(ctx, (void **)&b->m, &b->cap_member, def->n, sizeof *b->m));
  for (; b->nhave < def->n; b->nhave++) b->m[b->nhave] = (dpi_eq_member){0};
  for (int i = 0; i < def->n; i++) { /* so that an advance rarely needs any */
    dpi_eq_member *m = &b->m[i];
    if (sp->ndelayed > 0 && !m->history) DP_TRY(dpi_eq_history_create(sp, &m->history));
    if (def->member[i].ninstant > 0 && sp->ncontrol > 0) DP_TRY(dpi_eq_member_doses(b, m, 1));
    if (sp->nevent > 0) DP_TRY(dpi_event_pool_room(ctx, &m->pool, 1, dpi_eq_due_row(sp, def->ndir)));
  }
  DP_TRY(dpi_grow(ctx, (void **)&b->real, &b->cap_real, each * def->n + 1, sizeof *b->real));
  DP_TRY(dpi_grow(ctx, (void **)&b->ints, &b->cap_int, nint + 1, sizeof *b->ints));
  DP_TRY(dpi_grow(ctx, (void **)&b->path, &b->cap_path, npath + 1, sizeof *b->path));
  return dpi_grow(ctx, (void **)&b->bytes, &b->cap_byte, def->n * sp->nevent + 1, sizeof *b->bytes);
}

/* Arrays of all members; their values at the start are found when they are first laid on a bench. */
static void batch_lay_out(dpi_eq_batch *b) {
  const dpi_eq_spoke *sp = b->spoke;
  const int nd = b->def.ndir;
  double *real = b->real;
  int *ints = b->ints;
  int path = 0;
  for (int i = 0; i < b->def.n; i++) {
    const dp_member *def = &b->def.member[i];
    dpi_eq_member *m = &b->m[i];
    const dpi_eq_member keep = *m; /* lists are kept for reuse */
    *m = (dpi_eq_member){.fresh = true,
                         .dose = keep.dose,
                         .cap_dose = keep.cap_dose,
                         .vec = keep.vec,
                         .cap_vec = keep.cap_vec,
                         .pool = keep.pool,
                         .history = keep.history};
    m->pool.n = 0;
    m->pool.serial = 0;
    dpi_eq_history_reset(m->history);
    m->now = def->start;
    m->crew = dpi_eq_lanes_crew(sp, def);
    m->t = dpi_real(def->start);
    m->x = real;
    m->s = m->x + sp->nstate;
    m->param = m->s + (size_t)sp->nstate * nd;
    m->p = m->param + sp->nparam;
    m->draw = m->p + (size_t)sp->nactive * nd;
    m->applied = m->draw + sp->ndraw;
    real = m->applied + sp->nlaw;
    for (int l = 0; l < sp->nlaw; l++) m->applied[l] = 0;
    m->line.repeat = ints;
    ints += 2 * dpi_timeline_repeating(def);
    m->path_first = path;
    path += def->nfunctional;
    m->truth = b->bytes + (size_t)i * sp->nevent;
    for (int f = 0; f < def->nfunctional; f++) {
      dpi_eq_path_begin(&b->path[m->path_first + f]);
      b->def.out[i].functional[f] = NAN;
    }
  }
}

static dpi_eq_batch *batch_take(dpi_eq_spoke *sp) {
  pthread_mutex_lock(&sp->lock);
  dpi_eq_batch *b = sp->batch;
  if (b) {
    sp->batch = b->free_next;
    sp->nbatch--;
  }
  pthread_mutex_unlock(&sp->lock);
  if (!b) b = DPI_NEW(sp->base.ctx, dpi_eq_batch);
  if (b) b->spoke = sp;
  return b;
}

static void equations_close(dpi_batch *batch) {
  dpi_eq_batch *b = (dpi_eq_batch *)batch;
  if (!b) return;
  dpi_eq_spoke *sp = (dpi_eq_spoke *)b->spoke;
  pthread_mutex_lock(&sp->lock);
  const bool keep = sp->nbatch < POOL_MAX;
  if (keep) {
    b->free_next = sp->batch;
    sp->batch = b;
    sp->nbatch++;
  }
  pthread_mutex_unlock(&sp->lock);
  if (!keep) batch_destroy(b);
}

static dp_status equations_open(const dpi_spoke *spoke, const dpi_batch_def *def, dpi_batch **out) {
  dpi_eq_spoke *sp = (dpi_eq_spoke *)spoke; /* only its pools change, under their lock */
  dpi_eq_batch *b = batch_take(sp);
  if (!b) return DP_ERR_MEMORY;
  b->def = *def;
  dp_status st = batch_room(b, def);
  if (st == DP_OK && (dpi_eq_lanes_apply(sp, def->ndir) || sp->fixed)) st = dpi_eq_code_members(sp, def->n);
  if (st != DP_OK) {
    equations_close((dpi_batch *)b);
    return st;
  }
  batch_lay_out(b);
  *out = (dpi_batch *)b;
  return DP_OK;
}

static dp_status equations_advance(dpi_batch *batch, dp_time to) {
  dpi_eq_batch *b = (dpi_eq_batch *)batch;
  dpi_eq_bench *w = NULL;
  dp_status st = DP_OK;
  if (b->spoke->fixed) return dpi_eq_fixed_advance(b, to);
  if (dpi_eq_lanes_apply(b->spoke, b->def.ndir)) return dpi_eq_lanes_advance(b, to);
  DP_TRY(dpi_eq_bench_take(b->spoke, b->def.ndir, &w));
  const long before = w->solver->nrhs;
  for (int i = 0; i < b->def.n && st == DP_OK; i++) {
    const dp_time end = dpi_eq_end(b, i, to);
    if (!dpi_eq_waits(b, i, end)) continue;
    if (b->def.stop && b->def.stop(b->def.stop_user)) {
      st = DP_ERR_CANCELLED; /* members before i stand at `to`, the others where they were */
      break;
    }
    dpi_eq_bench_lay(w, b, i);
    dpi_eq_member_advance(w, end);
    if (w->no_memory) st = dpi_fail(b->spoke->base.ctx, DP_ERR_MEMORY, "member %d: no memory to advance it", i);
  }
  const long evaluated = w->solver->nrhs - before;
  dpi_eq_bench_give(w);
  return st == DP_OK ? dpi_eq_code_evaluations(b->spoke, evaluated) : st;
}

/* ---- state ---- */

static dp_status equations_state_get(const dpi_batch *batch, int member, double *x) {
  const dpi_eq_batch *b = (const dpi_eq_batch *)batch;
  DP_TRY(dpi_eq_member_ready(b, member));
  memcpy(x, b->m[member].x, sizeof(double) * b->spoke->nstate);
  return DP_OK;
}

/* The edited state keeps its derivatives: an edit is a shift by a constant. */
static dp_status equations_state_set(dpi_batch *batch, int member, const double *x) {
  dpi_eq_batch *b = (dpi_eq_batch *)batch;
  DP_TRY(dpi_eq_member_ready(b, member));
  for (int j = 0; j < b->spoke->nstate; j++)
    if (!isfinite(x[j]))
      return dpi_fail(b->spoke->base.ctx, DP_ERR_INPUT, "member %d: state '%s': found %g, expected a finite number",
                      member, b->spoke->desc.state_id[j], x[j]);
  memcpy(b->m[member].x, x, sizeof(double) * b->spoke->nstate);
  b->m[member].edited = true;
  return DP_OK;
}

const dpi_spoke_ops dp_spoke_equations = {
    .interface = DPI_SPOKE_INTERFACE,
    .name = "equations",
    .help = "ordinary differential equations under dose and event timelines, with exact event times and derivatives",
    .create = equations_create,
    .destroy = equations_destroy,
    .describe = equations_describe,
    .open = equations_open,
    .advance = equations_advance,
    .close = equations_close,
    .warm = dpi_eq_code_warm,
    .fork = dpi_eq_fork,
    .save = dpi_eq_save,
    .load = dpi_eq_load,
    .state_get = equations_state_get,
    .state_set = equations_state_set,
    .gradient = dpi_eq_gradient,
};
