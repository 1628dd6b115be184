/* stochastic.c - spoke `stochastic` (floor 4): reactions as random jumps, exactly (direct, next-reaction) or
 * approximately (tau-leap, langevin), with continuous states, time-dependent propensities, events and random draws.
 * D, U -> O
 *
 * This file: life of the spoke and of batches, the member's state as bytes, the descriptor. The map of the other files
 * stands in st_impl.h.
 */
#include "spoke/stochastic/st_impl.h"

/* ---- the spoke ---- */

static void stochastic_destroy(dpi_spoke *spoke) {
  dpi_st_spoke *sp = (dpi_st_spoke *)spoke;
  if (!sp) return;
  dp_ctx *ctx = sp->base.ctx;
  while (sp->bench) {
    dpi_st_bench *next = sp->bench->free_next;
    dpi_st_bench_destroy(sp->bench);
    sp->bench = next;
  }
  dpi_st_release(sp);
  pthread_mutex_destroy(&sp->lock);
  dpi_free(ctx, sp);
}

static dp_status stochastic_create(dp_ctx *ctx, const dp_sim_def *def, dpi_spoke **out) {
  dpi_st_spoke *sp = DPI_NEW(ctx, dpi_st_spoke);
  if (!sp) return DP_ERR_MEMORY;
  sp->base = (dpi_spoke){.ops = &dp_spoke_stochastic, .ctx = ctx};
  dpi_arena_init(&sp->arena, ctx);
  pthread_mutex_init(&sp->lock, NULL);
  sp->desc.caps = DP_CAP_SAVE | DP_CAP_STOCHASTIC | DP_CAP_THREADS | DP_CAP_EDIT | DP_CAP_FUSED;
  sp->desc.ranks = 1;
  sp->desc.block = DPI_ST_BLOCK;
  const dp_status st = dpi_st_compile(sp, def);
  if (st != DP_OK) {
    stochastic_destroy(&sp->base);
    return st;
  }
  *out = &sp->base;
  return DP_OK;
}

static const dpi_spoke_desc *stochastic_describe(const dpi_spoke *spoke) {
  return &((const dpi_st_spoke *)spoke)->desc;
}

/* ---- batches ---- */

static dp_status refuse(const dpi_st_spoke *sp, const dp_member *m) {
  for (int i = 0; i < m->ninstant; i++)
    if (m->instant[i].type == DP_INFUSE)
      return dpi_fail(sp->base.ctx, DP_ERR_UNSUPPORTED,
                      "spoke 'stochastic': instant %d is an infusion, only single doses are taken", i);
  return DP_OK;
}

/* Members and all their arrays of fixed size in one block. */
static dp_status lay_out(dpi_st_batch *b) {
  const dpi_st_spoke *sp = b->spoke;
  const size_t n = (size_t)b->def.n, clock = (size_t)sp->nclock;
  const size_t real = (size_t)(sp->nstate + sp->nparam + sp->ndraw) + 2 * clock, count = clock + 1;
  size_t ints = 0;
  for (int i = 0; i < b->def.n; i++) ints += 2 * (size_t)dpi_timeline_repeating(&b->def.member[i]);
  const size_t size =
      n * (sizeof *b->m + real * sizeof(double) + count * sizeof(uint64_t) + (size_t)sp->nevent) + ints * sizeof(int);
  char *p = dpi_alloc(sp->base.ctx, size);
  if (!p) return DP_ERR_MEMORY;
  b->m = (dpi_st_member *)p;
  double *at = (double *)(p + n * sizeof *b->m);
  uint64_t *numbers = (uint64_t *)(at + n * real);
  int *repeat = (int *)(numbers + n * count);
  uint8_t *truth = (uint8_t *)(repeat + ints);
  for (int i = 0; i < b->def.n; i++) {
    dpi_st_member *m = &b->m[i];
    m->x = at;
    m->param = m->x + sp->nstate;
    m->draw = m->param + sp->nparam;
    m->left = m->draw + sp->ndraw;
    m->since = m->left + clock;
    m->count = numbers + (size_t)i * count;
    m->line.repeat = repeat;
    m->truth = truth + (size_t)i * (size_t)sp->nevent;
    at += real;
    repeat += 2 * dpi_timeline_repeating(&b->def.member[i]);
  }
  return DP_OK;
}
_Static_assert(sizeof(dpi_st_member) % 8 == 0, "numbers follow them");

static void member_init(dpi_st_bench *w, dpi_st_batch *b, int i) {
  const dpi_st_spoke *sp = b->spoke;
  const dp_member *def = &b->def.member[i];
  dpi_st_member *m = &b->m[i];
  m->now = def->start;
  m->t = m->from = dpi_real(def->start);
  m->stream = def->stream;
  if (sp->nparam) memcpy(m->param, def->param, sizeof(double) * (size_t)sp->nparam);
  dpi_st_bench_lay(w, b, i);
  dpi_st_wind(w, m->t);
  const dp_member_status before =
      w->out->status; /* open leaves the status alone: a bad start shows at the first advance */
  m->bad = !dpi_st_initial(w);
  if (m->bad) w->out->status = before;
  dpi_st_flow_start(w, m->t);
  dpi_st_bench_lift(w);
}

static void stochastic_close(dpi_batch *batch) {
  dpi_st_batch *b = (dpi_st_batch *)batch;
  if (!b) return;
  dp_ctx *ctx = b->spoke->base.ctx;
  for (int i = 0; b->m && i < b->def.n; i++) {
    dpi_free(ctx, b->m[i].dose);
    dpi_event_pool_release(ctx, &b->m[i].pool);
  }
  dpi_free(ctx, b->m);
  dpi_free(ctx, b);
}

static dp_status stochastic_open(const dpi_spoke *spoke, const dpi_batch_def *def, dpi_batch **out) {
  const dpi_st_spoke *sp = (const dpi_st_spoke *)spoke;
  for (int i = 0; i < def->n; i++) DP_TRY(refuse(sp, &def->member[i]));
  dpi_st_batch *b = DPI_NEW(sp->base.ctx, dpi_st_batch);
  if (!b) return DP_ERR_MEMORY;
  b->spoke = sp;
  b->def = *def;
  dpi_st_bench *w = NULL;
  dp_status st = lay_out(b);
  if (st == DP_OK) st = dpi_st_bench_take(sp, &w);
  if (st != DP_OK) {
    stochastic_close((dpi_batch *)b);
    return st;
  }
  for (int i = 0; i < def->n; i++) member_init(w, b, i);
  dpi_st_bench_give(w);
  *out = (dpi_batch *)b;
  return DP_OK;
}

static dp_status stochastic_advance(dpi_batch *batch, dp_time to) {
  dpi_st_batch *b = (dpi_st_batch *)batch;
  dpi_st_bench *w = NULL;
  dp_status st = DP_OK;
  DP_TRY(dpi_st_bench_take(b->spoke, &w));
  for (int i = 0; i < b->def.n && st == DP_OK; i++) {
    if (b->def.out[i].status != DP_MEMBER_OK || (b->m[i].begun && b->m[i].now >= to)) continue;
    if (b->def.stop && b->def.stop(b->def.stop_user)) {
      st = DP_ERR_CANCELLED;
      break;
    }
    dpi_st_bench_lay(w, b, i);
    dpi_st_member_advance(w, to);
    dpi_st_bench_lift(w);
    if (w->no_memory) st = dpi_fail(b->spoke->base.ctx, DP_ERR_MEMORY, "member %d: no memory to advance it", i);
    if (w->stopped) st = dpi_fail(b->spoke->base.ctx, DP_ERR_CANCELLED, "member %d: stopped on the way", i);
  }
  dpi_st_bench_give(w);
  return st;
}

/* ---- state ---- */

/* A straight flow stands at the last happening: it is carried on to the time of the run. */
static dp_status stochastic_state_get(const dpi_batch *batch, int member, double *x) {
  dpi_st_batch *b = (dpi_st_batch *)batch;
  const dpi_st_spoke *sp = b->spoke;
  memcpy(x, b->m[member].x, sizeof(double) * (size_t)sp->nstate);
  if (!sp->nflow || !sp->straight) return DP_OK;
  dpi_st_bench *w = NULL;
  DP_TRY(dpi_st_bench_take(sp, &w));
  dpi_st_bench_lay(w, b, member);
  dpi_st_flow_start(w, b->m[member].from);
  dpi_st_flow_at(w, dpi_real(b->m[member].now));
  memcpy(x, w->sym + 1, sizeof(double) * (size_t)sp->nstate);
  dpi_st_bench_give(w);
  return DP_OK;
}

/* What is left of the exponentials is counted up to now under the old state; then the new one holds. */
static dp_status stochastic_state_set(dpi_batch *batch, int member, const double *x) {
  dpi_st_batch *b = (dpi_st_batch *)batch;
  const dpi_st_spoke *sp = b->spoke;
  dpi_st_member *m = &b->m[member];
  for (int j = 0; j < sp->nstate; j++)
    if (!isfinite(x[j]))
      return dpi_fail(sp->base.ctx, DP_ERR_INPUT, "member %d: state '%s': found %g, expected a finite number", member,
                      sp->desc.state_id[j], x[j]);
  if (m->begun) {
    dpi_st_bench *w = NULL;
    const double now = dpi_real(m->now), t = now > m->t ? now : m->t;
    DP_TRY(dpi_st_bench_take(sp, &w));
    dpi_st_bench_lay(w, b, member);
    dpi_st_flow_start(w, m->from);
    if (dpi_st_refresh(w, -INFINITY)) (void)dpi_st_refresh(w, t); /* the second spends what has passed */
    m->t = m->from = t;
    dpi_st_bench_give(w);
  }
  m->bad = false;
  memcpy(m->x, x, sizeof(double) * (size_t)sp->nstate);
  return DP_OK;
}

/* ---- bytes ---- */

#define SAVE_COOKIE 0x73743031u /* "st01" */

typedef struct header {
  uint32_t cookie;
  int32_t nstate, nparam, ndraw, nclock, nevent, begun, next, nrepeat, ndose, ndue;
  uint32_t serial;
  uint64_t stream;
  int64_t now;
  double t, from;
} header;
_Static_assert(sizeof(header) == 12 * sizeof(int32_t) + 4 * 8, "header without padding");

typedef struct slice {
  void *at;
  size_t size;
} slice;

#define NSLICE 11
static void slices(const dpi_st_batch *b, int member, slice s[NSLICE]) {
  const dpi_st_spoke *sp = b->spoke;
  const dpi_st_member *m = &b->m[member];
  const size_t d = sizeof(double), row = (size_t)dpi_st_due_width(sp);
  const slice all[NSLICE] = {
      {m->x, d * (size_t)sp->nstate},
      {m->param, d * (size_t)sp->nparam},
      {m->draw, d * (size_t)sp->ndraw},
      {m->left, d * (size_t)sp->nclock},
      {m->since, d * (size_t)sp->nclock},
      {m->count, sizeof(uint64_t) * (size_t)(sp->nclock + 1)},
      {m->line.repeat, sizeof(int) * 2 * (size_t)m->line.nrepeat},
      {m->dose, sizeof *m->dose * (size_t)m->ndose},
      {m->pool.due, sizeof *m->pool.due * (size_t)m->pool.n},
      {m->pool.vec, d * row * (size_t)m->pool.n},
      {m->truth, (size_t)sp->nevent},
  };
  memcpy(s, all, sizeof all);
}

static dp_status stochastic_save(const dpi_batch *batch, int member, dpi_str *bytes) {
  const dpi_st_batch *b = (const dpi_st_batch *)batch;
  const dpi_st_spoke *sp = b->spoke;
  const dpi_st_member *m = &b->m[member];
  const header h = {.cookie = SAVE_COOKIE, .nstate = sp->nstate, .nparam = sp->nparam, .ndraw = sp->ndraw,
                    .nclock = sp->nclock, .nevent = sp->nevent, .begun = m->begun | m->bad << 1, .next = m->line.next,
                    .nrepeat = m->line.nrepeat, .ndose = m->ndose, .ndue = m->pool.n, .serial = m->pool.serial,
                    .stream = m->stream, .now = m->now, .t = m->t, .from = m->from};
  slice s[NSLICE];
  slices(b, member, s);
  dpi_str_addn(bytes, (const char *)&h, sizeof h);
  for (int i = 0; i < NSLICE; i++)
    if (s[i].size) dpi_str_addn(bytes, s[i].at, s[i].size);
  return bytes->failed ? DP_ERR_MEMORY : DP_OK;
}

static dp_status nonsense(const dpi_st_batch *b) {
  return dpi_fail(b->spoke->base.ctx, DP_ERR_INPUT, "saved state: found bytes that make no sense for this member");
}

/* Indices in what was read point into the member's own lists. */
static bool plausible(const dpi_st_batch *b, int member) {
  const dpi_st_spoke *sp = b->spoke;
  const dpi_st_member *m = &b->m[member];
  for (int i = 0; i < m->ndose; i++)
    if (m->dose[i].sym < 1 || m->dose[i].sym > sp->nstate || isnan(m->dose[i].time)) return false;
  for (int c = 0; c < sp->nclock; c++)
    if (!(m->left[c] >= 0) || isnan(m->since[c])) return false;
  return dpi_timeline_plausible(&m->line, &b->def.member[member]) &&
         dpi_event_pool_plausible(&m->pool, sp->nevent);
}

static dp_status stochastic_load(dpi_batch *batch, int member, const void *bytes, size_t size) {
  dpi_st_batch *b = (dpi_st_batch *)batch;
  const dpi_st_spoke *sp = b->spoke;
  dpi_st_member *m = &b->m[member];
  const dp_member *def = &b->def.member[member];
  header h;
  if (size < sizeof h) return nonsense(b);
  memcpy(&h, bytes, sizeof h);
  size_t left = size - sizeof h;
  if (h.cookie != SAVE_COOKIE || h.nstate != sp->nstate || h.nparam != sp->nparam || h.ndraw != sp->ndraw ||
      h.nclock != sp->nclock || h.nevent != sp->nevent || h.next < 0 || h.next > def->ninstant || h.nrepeat < 0 ||
      h.nrepeat > dpi_timeline_repeating(def) || h.ndose < 0 || (size_t)h.ndose > left / sizeof *m->dose ||
      h.ndue < 0 || (size_t)h.ndue > left / sizeof *m->pool.due || !isfinite(h.t) || !isfinite(h.from))
    return nonsense(b);
  DP_TRY(dpi_grow(sp->base.ctx, (void **)&m->dose, &m->cap_dose, h.ndose, sizeof *m->dose));
  DP_TRY(dpi_event_pool_room(sp->base.ctx, &m->pool, h.ndue, dpi_st_due_width(sp)));
  m->begun = h.begun & 1;
  m->bad = h.begun >> 1 & 1;
  m->line.next = h.next;
  m->line.nrepeat = h.nrepeat;
  m->ndose = h.ndose;
  m->pool.n = h.ndue;
  m->pool.serial = h.serial;
  m->stream = h.stream;
  m->now = h.now;
  m->t = h.t;
  m->from = h.from;
  slice s[NSLICE];
  slices(b, member, s);
  const char *at = (const char *)bytes + sizeof h;
  bool good = true;
  for (int i = 0; i < NSLICE && good; i++) {
    good = s[i].size <= left;
    if (good && s[i].size) memcpy(s[i].at, at, s[i].size);
    at += good ? s[i].size : 0;
    left -= good ? s[i].size : 0;
  }
  if (good && left == 0 && plausible(b, member)) return DP_OK;
  m->line.nrepeat = m->ndose = m->pool.n = 0;
  return nonsense(b);
}

const dpi_spoke_ops dp_spoke_stochastic = {
    .interface = DPI_SPOKE_INTERFACE,
    .name = "stochastic",
    .help = "reactions as random jumps: exact (direct, next-reaction), tau-leap, langevin; events and random draws",
    .create = stochastic_create,
    .destroy = stochastic_destroy,
    .describe = stochastic_describe,
    .open = stochastic_open,
    .advance = stochastic_advance,
    .close = stochastic_close,
    .save = stochastic_save,
    .load = stochastic_load,
    .state_get = stochastic_state_get,
    .state_set = stochastic_state_set,
};
