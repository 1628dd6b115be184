/* st_bench.c - one thread's bench: symbols, registers of tapes, propensities, random numbers; kept in a pool between
 * calls.
 *
 * A member is laid on it and lifted off: everything on the bench follows from the member, so nothing of an earlier one
 * can be seen.
 */
#include "spoke/stochastic/st_impl.h"

#define PURPOSE_CLOCK 0x53740001u /* unit exponentials and choices of channels */
#define PURPOSE_DRAW 0x53740002u  /* the model's draws, ties, leaps */
#define CLOCK_SHIFT 40            /* clock c counts from c << 40 */

/* ---- the pool ---- */

static dp_status bench_memory(dpi_st_bench *w) {
  const dpi_st_spoke *sp = w->spoke;
  struct {
    double **at;
    int count;
  } part[] = {
      {&w->sym, sp->nsym},
      {&w->val, sp->nvalue_max},
      {&w->coef, sp->ncoef},
      {&w->unit, sp->nsym},
      {&w->tree, 2 * sp->leaf},
      {&w->when, sp->nevent},
      {&w->due, sp->nchannel},
      {&w->base, sp->nflow},
      {&w->slope, sp->nflow},
      {&w->y, 3 * (sp->nflow + 1)},
      {&w->k, 12 * (sp->nflow + 1)},
      {&w->held, sp->nassign_max + sp->ntrigger_max},
      {&w->leap, dpi_st_leap_room(sp)},
  };
  for (int i = 0; i < DPI_COUNT(part); i++) {
    *part[i].at = DPI_ARENA_ARRAY(&w->arena, double, part[i].count + 2);
    if (!*part[i].at) return DP_ERR_MEMORY;
  }
  w->heap = DPI_ARENA_ARRAY(&w->arena, int, sp->nchannel + 1);
  w->place = DPI_ARENA_ARRAY(&w->arena, int, sp->nchannel + 1);
  w->fired = DPI_ARENA_ARRAY(&w->arena, int, sp->nchannel + 1);
  w->reg = DPI_ARENA_ARRAY(&w->arena, double *, sp->nmap + 1);
  w->stale = DPI_ARENA_ARRAY(&w->arena, uint8_t, sp->nmap + 1);
  if (!w->heap || !w->place || !w->fired || !w->reg || !w->stale) return DP_ERR_MEMORY;
  for (int i = 0; i < sp->nmap; i++) {
    w->reg[i] = DPI_ARENA_ARRAY(&w->arena, double, dpi_tape_nreg(sp->tape[i]) + 1);
    if (!w->reg[i]) return DP_ERR_MEMORY;
    dpi_tape_init(sp->tape[i], w->reg[i]);
  }
  return DP_OK;
}

void dpi_st_bench_destroy(dpi_st_bench *w) {
  if (!w) return;
  dpi_arena_release(&w->arena);
  dpi_free(w->spoke->base.ctx, w);
}

dp_status dpi_st_bench_take(const dpi_st_spoke *sp, dpi_st_bench **out) {
  dpi_st_spoke *pool = (dpi_st_spoke *)sp; /* the pool is the only part that changes */
  pthread_mutex_lock(&pool->lock);
  dpi_st_bench *w = pool->bench;
  if (w) pool->bench = w->free_next;
  pthread_mutex_unlock(&pool->lock);
  if (!w) {
    w = DPI_NEW(sp->base.ctx, dpi_st_bench);
    if (!w) return DP_ERR_MEMORY;
    w->spoke = sp;
    dpi_arena_init(&w->arena, sp->base.ctx);
    if (bench_memory(w) != DP_OK) {
      dpi_st_bench_destroy(w);
      return DP_ERR_MEMORY;
    }
  }
  *out = w;
  return DP_OK;
}

void dpi_st_bench_give(dpi_st_bench *w) {
  dpi_st_spoke *pool = (dpi_st_spoke *)w->spoke;
  w->batch = NULL;
  w->m = NULL;
  pthread_mutex_lock(&pool->lock);
  w->free_next = pool->bench;
  pool->bench = w;
  pthread_mutex_unlock(&pool->lock);
}

/* ---- trouble ---- */

bool dpi_st_fail(dpi_st_bench *w, double t, const char *fmt, ...) {
  dpi_member_out *out = w->out;
  if (out->status != DP_MEMBER_OK) return false;
  va_list args;
  va_start(args, fmt);
  vsnprintf(out->reason, sizeof out->reason, fmt, args);
  va_end(args);
  out->status = DP_MEMBER_FAILED;
  out->fail_time = t;
  return false;
}

bool dpi_st_no_memory(dpi_st_bench *w) {
  w->no_memory = true;
  return false;
}

/* ---- evaluation ---- */

const double *dpi_st_eval(dpi_st_bench *w, const dpi_st_map *map) {
  double *reg = w->reg[map->id];
  if (w->stale[map->id]) {
    dpi_tape_prologue(map->tape, w->sym, reg);
    w->stale[map->id] = 0;
  }
  dpi_tape_eval(map->tape, w->sym, reg, w->val);
  return w->val;
}

double dpi_st_value(dpi_st_bench *w, const dpi_st_map *map) { return dpi_st_eval(w, map)[0]; }

static bool is_whole(double x) { return rint(x) == x; }

/* Steps of counted states: 0 where all are whole numbers or have no common measure. */
static void find_units(dpi_st_bench *w) {
  const dpi_st_spoke *sp = w->spoke;
  for (int j = 0; j < sp->nstate; j++) w->unit[1 + j] = 0;
  for (int turn = 0; turn < 2; turn++) /* the smallest; then: are all others multiples of it? */
    for (int r = 0; r < sp->nchannel; r++) {
      const dpi_st_channel *c = &sp->channel[r];
      for (int k = 0; k < c->nchange; k++) {
        double *unit = &w->unit[c->change[k].sym];
        const double by = c->by.tape ? NAN : fabs(w->coef[c->change[k].by]);
        if (turn == 0 && !(by >= *unit && *unit > 0) && by != 0) *unit = isnan(*unit) ? NAN : by;
        const double n = by / *unit;
        if (turn == 1 && !(fabs(n - rint(n)) < 1e-9)) *unit = NAN;
      }
    }
  for (int j = 0; j < sp->nstate; j++)
    if (!(w->unit[1 + j] > 0) || is_whole(w->unit[1 + j])) w->unit[1 + j] = 0;
}

double dpi_st_snap(const dpi_st_bench *w, int sym, double x) {
  const double unit = w->unit[sym];
  if (unit == 0) return x;
  const double n = rint(x / unit);
  return fabs(x / unit - n) < 1e-6 ? n * unit : x;
}

void dpi_st_bench_params(dpi_st_bench *w) {
  const dpi_st_spoke *sp = w->spoke;
  for (int k = 0; k < sp->nparam; k++) w->sym[sp->param_sym[k]] = w->m->param[k];
  memset(w->stale, 1, (size_t)sp->nmap);
  const double *c = dpi_st_eval(w, &sp->coef);
  memcpy(w->coef, c, sizeof *c * (size_t)sp->ncoef);
  if (sp->fractions) find_units(w);
}

/* ---- laying and lifting ---- */

void dpi_st_bench_lay(dpi_st_bench *w, dpi_st_batch *b, int member) {
  const dpi_st_spoke *sp = w->spoke;
  dpi_st_member *m = w->m = &b->m[member];
  w->batch = b;
  w->def = &b->def.member[member];
  w->out = &b->def.out[member];
  w->beat = w->quota = 0;
  w->storm = (dpi_storm){0};
  w->beat_t = -INFINITY;
  w->paced = 0;
  w->paced_t = b->m[member].t;
  w->step = 0;
  w->no_memory = w->stopped = false;
  const uint64_t k = dpi_rng_at(b->def.seed, 0, PURPOSE_CLOCK, 0);
  w->key[0] = (uint32_t)k;
  w->key[1] = (uint32_t)(k >> 32);
  w->sym[0] = w->from = m->from;
  memcpy(w->sym + 1, m->x, sizeof(double) * (size_t)sp->nstate);
  for (int i = 0; i < sp->nflow; i++) w->base[i] = w->sym[sp->flow_sym[i]];
  for (int i = 0; i < sp->ndraw; i++) w->sym[sp->model->draw[i].sym] = m->draw[i];
  dpi_st_bench_params(w);
}

void dpi_st_bench_lift(dpi_st_bench *w) {
  const dpi_st_spoke *sp = w->spoke;
  for (int i = 0; i < sp->nflow && sp->straight; i++) w->sym[sp->flow_sym[i]] = w->base[i];
  memcpy(w->m->x, w->sym + 1, sizeof(double) * (size_t)sp->nstate);
  w->m->from = sp->straight ? w->from : w->m->t;
  for (int i = 0; i < sp->ndraw; i++) w->m->draw[i] = w->sym[sp->model->draw[i].sym];
}

/* ---- random numbers ---- */

void dpi_st_uniforms(dpi_st_bench *w, int c, double u[2]) {
  const uint64_t n = w->m->count[c]++ + ((uint64_t)c << CLOCK_SHIFT), s = w->m->stream;
  const uint32_t counter[4] = {(uint32_t)n, (uint32_t)(n >> 32), (uint32_t)s, (uint32_t)(s >> 32)};
  uint32_t out[4];
  dpi_philox4x32(counter, w->key, out);
  for (int i = 0; i < 2; i++) {
    const uint64_t v = (uint64_t)out[2 * i + 1] << 32 | out[2 * i];
    u[i] = ((double)(v >> 12) + 0.5) * 0x1p-52;
  }
}

dpi_rng dpi_st_rng(const dpi_st_bench *w) {
  dpi_rng rng = dpi_rng_make(w->batch->def.seed, w->def->stream, PURPOSE_DRAW);
  rng.counter = w->m->count[w->spoke->nclock];
  return rng;
}

void dpi_st_rng_put(dpi_st_bench *w, const dpi_rng *rng) { w->m->count[w->spoke->nclock] = rng->counter; }

bool dpi_st_draw(dpi_st_bench *w, int i) {
  const dpi_draw *d = &w->spoke->model->draw[i];
  const double *arg = dpi_st_eval(w, &w->spoke->draw[i]);
  dpi_rng rng = dpi_st_rng(w);
  const double x = dpi_variate_draw((dpi_variate)d->variate, arg, d->narg, &rng);
  dpi_st_rng_put(w, &rng);
  if (!isfinite(x))
    return dpi_st_fail(w, w->m->t, "line %d: %s(%g%s%g) can't be drawn", d->line,
                       dpi_variate_name((dpi_variate)d->variate), arg[0], d->narg > 1 ? ", " : "; ",
                       d->narg > 1 ? arg[1] : NAN);
  w->sym[d->sym] = x;
  return true;
}

bool dpi_st_initial(dpi_st_bench *w) {
  const dpi_st_spoke *sp = w->spoke;
  for (int i = 0; i < sp->ndraw; i++)
    if (sp->model->draw[i].phase == DPI_DRAW_START && !dpi_st_draw(w, i)) return false;
  const double *x = w->def->state0 ? w->def->state0 : dpi_st_eval(w, &sp->start);
  memmove(w->sym + 1, x, sizeof *x * (size_t)sp->nstate);
  for (int j = 0; j < sp->nstate; j++) {
    w->sym[1 + j] = dpi_st_snap(w, 1 + j, w->sym[1 + j]);
    if (!isfinite(w->sym[1 + j]))
      return dpi_st_fail(w, w->m->t, "initial value of '%s' is %g", sp->desc.state_id[j], w->sym[1 + j]);
  }
  return true;
}
