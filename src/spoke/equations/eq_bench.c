/* eq_bench.c - one thread's bench: a solver, tape registers and scratch, kept in a pool between calls.
 *
 * A bench belongs to one number of directions, so that a solver is never resized. The member that is laid on it brings
 * its parameters; nothing of an earlier member can be seen afterwards.
 */
#include "spoke/equations/eq_impl.h"

#include <math.h>

/* ---- the pool ---- */

static dp_status bench_memory(dpi_eq_bench *w) {
  const dpi_eq_spoke *sp = w->spoke;
  const int n = sp->nstate, nd = w->ndir;
  const int value = sp->nvalue_max > 3 * n ? sp->nvalue_max : 3 * n;
  struct {
    double **at;
    int count;
  } part[] = {
      {&w->sym, sp->nsym},
      {&w->val, value},
      {&w->xs, n},
      {&w->ss, n * nd},
      {&w->fa, n},
      {&w->fb, n},
      {&w->u, n},
      {&w->du, n * nd},
      {&w->dir, 8 * nd},
      {&w->sa, n * nd},
      {&w->sb, n * nd},
      {&w->xb, n},
      {&w->held, sp->nassign_max * (1 + nd)},
      {&w->memo_t, DPI_EQ_MEMO},
      {&w->memo_x, DPI_EQ_MEMO * n},
      {&w->cause, nd},
      {&w->act, (sp->nassign_max + 2) * nd},
      {&w->law_dir, sp->nlaw_max * nd},
      {&w->ext, n + sp->ndelayed},
      {&w->delayed, 3 * sp->ndelayed},
      {&w->slope_at, 3 * sp->ndelayed + n},
      {&w->slope_x, n},
      {&w->v[0], sp->watch.nall},
      {&w->v[1], sp->watch.nall},
      {&w->v[2], sp->watch.nall},
      {&w->v[3], sp->watch.nall},
      {&w->v[4], sp->watch.nall},
      {&w->v[5], sp->watch.nall},
      {&w->v[6], sp->watch.nall},
  };
  for (int i = 0; i < DPI_COUNT(part); i++) {
    *part[i].at = DPI_ARENA_ARRAY(&w->arena, double, part[i].count + 1);
    if (!*part[i].at) return DP_ERR_MEMORY;
  }
  w->reg = DPI_ARENA_ARRAY(&w->arena, double *, sp->nmap + 1);
  w->stale = DPI_ARENA_ARRAY(&w->arena, uint8_t, sp->nmap + 1);
  w->jac_piv = DPI_ARENA_ARRAY(&w->arena, int, n + 1);
  w->memo_piece = DPI_ARENA_ARRAY(&w->arena, uint64_t, DPI_EQ_MEMO);
  if (!w->reg || !w->stale || !w->jac_piv || !w->memo_piece) return DP_ERR_MEMORY;
  for (int i = 0; i < sp->nmap; i++) {
    w->reg[i] = DPI_ARENA_ARRAY(&w->arena, double, dpi_tape_nreg(sp->tape[i]) + 1);
    if (!w->reg[i]) return DP_ERR_MEMORY;
    dpi_tape_init(sp->tape[i], w->reg[i]);
  }
  return DP_OK;
}

static dp_status record_memory(dpi_eq_bench *w) {
  w->record_t = DPI_ARENA_ARRAY(&w->arena, double, DPI_EQ_RECORD);
  w->record_x = DPI_ARENA_ARRAY(&w->arena, double, DPI_EQ_RECORD * (size_t)w->spoke->nstate);
  return w->record_t && w->record_x ? DP_OK : DP_ERR_MEMORY;
}

void dpi_eq_bench_destroy(dpi_eq_bench *w) {
  if (!w) return;
  dp_ctx *ctx = w->spoke->base.ctx;
  dpi_solver_destroy(w->own);
  dpi_solver_destroy(w->steady);
  dpi_solver_destroy(w->rough);
  dpi_arena_release(&w->arena);
  dpi_free(ctx, w);
}

static void past_values(void *user, double t, const double *x, double *delayed) { dpi_eq_delayed(user, t, x, delayed); }

dp_status dpi_eq_bench_create(const dpi_eq_spoke *sp, int ndir, bool scalar, dpi_eq_bench **out) {
  dp_ctx *ctx = sp->base.ctx;
  dpi_eq_bench *w = DPI_NEW(ctx, dpi_eq_bench);
  if (!w) return DP_ERR_MEMORY;
  w->spoke = sp;
  w->ndir = ndir;
  dpi_arena_init(&w->arena, ctx);
  dp_status st = bench_memory(w);
  if (st == DP_OK && !scalar && ndir == 0) st = record_memory(w);
  if (st == DP_OK && scalar) st = dpi_solver_create(ctx, sp->method, sp->sys, &sp->opts, ndir, &w->own);
  if (st != DP_OK) {
    dpi_eq_bench_destroy(w);
    return st;
  }
  w->solver = w->own;
  if (scalar) {
    w->own->past = past_values;
    w->own->past_user = w;
  }
  *out = w;
  return DP_OK;
}

dp_status dpi_eq_bench_take(const dpi_eq_spoke *sp, int ndir, dpi_eq_bench **out) {
  dpi_eq_spoke *pool = (dpi_eq_spoke *)sp; /* the pool is the only part that changes */
  pthread_mutex_lock(&pool->lock);
  dpi_eq_bench **at = &pool->bench;
  while (*at && (*at)->ndir != ndir) at = &(*at)->free_next;
  dpi_eq_bench *w = *at;
  if (w) *at = w->free_next;
  pthread_mutex_unlock(&pool->lock);
  if (!w) return dpi_eq_bench_create(sp, ndir, true, out);
  w->free_next = NULL;
  *out = w;
  return DP_OK;
}

void dpi_eq_bench_give(dpi_eq_bench *w) {
  dpi_eq_spoke *pool = (dpi_eq_spoke *)w->spoke;
  w->batch = NULL;
  w->m = NULL;
  pthread_mutex_lock(&pool->lock);
  w->free_next = pool->bench;
  pool->bench = w;
  pthread_mutex_unlock(&pool->lock);
}

/* ---- the member on the bench ---- */

void dpi_eq_bench_params(dpi_eq_bench *w) {
  const dpi_eq_spoke *sp = w->spoke;
  for (int k = 0; k < sp->nparam; k++) w->sym[sp->param_sym[k]] = w->m->param[k];
  for (int i = 0; i < sp->ndraw; i++) w->sym[sp->model->draw[i].sym] = w->m->draw[i];
  for (int i = 0; i < sp->nmap; i++) w->stale[i] = 1;
  w->jac_inverse = -1;
  w->turn = -1;
  w->due = NAN;
  w->bound = false;
  w->live = false;
}

/* The member's digital state at its start. */
static void member_start(dpi_eq_bench *w) {
  const dpi_eq_spoke *sp = w->spoke;
  dpi_eq_member *m = w->m;
  const dp_member *def = w->def;
  const int nd = w->ndir;
  m->fresh = false;
  for (int k = 0; k < sp->nparam; k++) m->param[k] = def->param[k];
  for (int i = 0; i < sp->nactive * nd; i++) m->p[i] = def->seed && i < sp->nseed * nd ? def->seed[i] : 0;
  for (int j = 0; j < sp->nstate; j++) m->x[j] = 0;
  dpi_eq_bench_params(w);
  dpi_eq_draw_start(w);
  dpi_eq_initial(w, m->t, m->x, m->s);
}

dp_status dpi_eq_member_ready(const dpi_eq_batch *batch, int member) {
  dpi_eq_batch *b = (dpi_eq_batch *)batch; /* what it is was decided at open */
  dpi_eq_bench *w = NULL;
  if (!b->m[member].fresh) return DP_OK;
  DP_TRY(dpi_eq_bench_take(b->spoke, b->def.ndir, &w));
  dpi_eq_bench_lay(w, b, member);
  dpi_eq_bench_give(w);
  return DP_OK;
}

void dpi_eq_bench_lay(dpi_eq_bench *w, dpi_eq_batch *b, int member) {
  w->batch = b;
  w->m = &b->m[member];
  w->def = &b->def.member[member];
  w->out = &b->def.out[member];
  w->looked = w->m->t;
  w->scale = -1;
  w->storm = (dpi_storm){0};
  w->crowd = 0;
  w->chatter = 0;
  w->chatter_t = -INFINITY;
  w->mark = INFINITY;
  w->watch_credit = 500000; /* bounds the time of an advance; spent only where roots swing faster than the states */
  w->past_ready = false;
  w->bad_lag = -1;
  w->no_memory = false;
  w->found = INFINITY;
  if (w->m->fresh)
    member_start(w);
  else
    dpi_eq_bench_params(w);
  dpi_eq_input(w);
}

/* ---- evaluation ---- */

const double *dpi_eq_eval(dpi_eq_bench *w, const dpi_eq_map *map, double t, const double *x, double *out) {
  double *reg = w->reg[map->id];
  double *val = out ? out : w->val;
  w->sym[0] = t;
  for (int j = 0; j < w->spoke->nstate; j++) w->sym[1 + j] = x[j];
  if (w->spoke->ndelayed) dpi_eq_delayed(w, t, x, w->sym + 1 + w->spoke->nstate);
  if (w->stale[map->id]) {
    dpi_tape_prologue(map->tape, w->sym, reg);
    w->stale[map->id] = 0;
  }
  dpi_tape_eval(map->tape, w->sym, reg, val);
  return val;
}

void dpi_eq_rhs(dpi_eq_bench *w, double t, const double *x, const double *input, double *f) {
  dpi_eq_eval(w, &w->spoke->rhs, t, x, f);
  if (input)
    for (int j = 0; j < w->spoke->nstate; j++) f[j] += input[j];
}

void dpi_eq_chain(const dpi_eq_bench *w, const dpi_eq_map *map, const double *val, const double *s, const double *dtime,
                  double *d) {
  const int n = w->spoke->nstate, na = w->spoke->nactive, nd = w->ndir;
  for (int i = 0; i < map->nvalue * nd; i++) d[i] = 0;
  for (int k = 0; k < map->nder; k++) {
    const double g = val[map->nvalue + k];
    const int c = map->col[k];
    const double *row = c < n ? s + (size_t)c * nd : (c < n + na ? w->m->p + (size_t)(c - n) * nd : dtime);
    if (!row || g == 0) continue;
    double *to = d + (size_t)map->row[k] * nd;
    for (int q = 0; q < nd; q++) to[q] += g * row[q];
  }
}

void dpi_eq_initial(dpi_eq_bench *w, double t, double *x, double *s) {
  const int n = w->spoke->nstate, na = w->spoke->nactive, nd = w->ndir;
  const double *own = w->def->state0;
  const double *val = dpi_eq_eval(w, &w->spoke->init, t, x, NULL);
  for (int j = 0; j < n; j++) x[j] = own ? own[j] : val[j];
  for (int i = 0; i < n * nd; i++) s[i] = 0;
  if (own || nd == 0) return; /* a given state is a given number: it has no derivatives */
  for (int j = 0; j < n; j++)
    for (int a = 0; a < na; a++) {
      const double g = val[n + j * na + a];
      if (g == 0) continue;
      for (int q = 0; q < nd; q++) s[j * nd + q] += g * w->m->p[a * nd + q];
    }
}

bool dpi_eq_bind(dpi_eq_bench *w) {
  dpi_solver *s = w->solver;
  if (w->bound) return true;
  const dp_status st = s->ops->bind(s, w->sym, w->ndir ? w->m->p : NULL, w->ndir);
  if (st == DP_ERR_MEMORY) return dpi_eq_fail_memory(w);
  if (st != DP_OK) return dpi_eq_fail(w, w->m->t, "the solver could not take the parameters");
  return w->bound = true;
}

bool dpi_eq_settle(dpi_eq_bench *w) {
  if (!w->spoke->settles) return true;
  if (!dpi_eq_bind(w)) return false;
  const dpi_solve_outcome o = dpi_solver_settle(w->solver, w->m->t, w->m->x);
  if (o == DPI_SOLVE_MEMORY) return dpi_eq_fail_memory(w);
  return o == DPI_SOLVE_OK || dpi_eq_fail(w, w->m->t, "%s", w->solver->reason);
}

/* ---- failure of one member ---- */

bool dpi_eq_finite(const double *x, int n) {
  for (int i = 0; i < n; i++)
    if (!isfinite(x[i])) return false;
  return true;
}

/* A parameter without a value is the likeliest reason for numbers that are none; first those the equations need. */
static const char *missing_param(const dpi_eq_bench *w) {
  const dpi_eq_spoke *sp = w->spoke;
  for (int needed = 1; needed >= 0; needed--)
    for (int k = 0; k < sp->nparam; k++)
      if (isnan(w->m->param[k]) && sp->param_needed[k] == (needed != 0)) return sp->desc.param_id[k];
  return NULL;
}

bool dpi_eq_fail(dpi_eq_bench *w, double t, const char *fmt, ...) {
  dpi_member_out *out = w->out;
  va_list args;
  va_start(args, fmt);
  const int len = vsnprintf(out->reason, sizeof out->reason, fmt, args);
  va_end(args);
  const char *missing = missing_param(w);
  if (missing && len >= 0 && (size_t)len < sizeof out->reason)
    snprintf(out->reason + len, sizeof out->reason - (size_t)len, " (parameter '%s' has no value)", missing);
  out->status = DP_MEMBER_FAILED;
  out->fail_time = t;
  w->live = false;
  return false;
}

bool dpi_eq_fail_memory(dpi_eq_bench *w) {
  w->no_memory = true;
  w->live = w->bound = false;
  return false;
}

/* States as small as the absolute tolerance are noise to the solver: they may turn negative and then blow up. */
static const char *noise(const dpi_eq_bench *w, const dpi_solver *s) {
  int small = 0, any = 0;
  for (int j = 0; s->x_now && j < w->spoke->nstate; j++) {
    any += s->x_now[j] != 0;
    small += s->x_now[j] != 0 && fabs(s->x_now[j]) < 1e3 * w->spoke->opts.atol;
  }
  return 2 * small > any ? " (states are near atol: ask a smaller one)" : "";
}

bool dpi_eq_fail_solver(dpi_eq_bench *w, const dpi_solver *s, dpi_solve_outcome o) {
  if (o == DPI_SOLVE_MEMORY) return dpi_eq_fail_memory(w);
  if (w->bad_lag >= 0 && o == DPI_SOLVE_NONFINITE)
    return dpi_eq_fail(w, s->t_now, "'%s': its delay turns negative or is not finite",
                       w->spoke->model->sym[1 + w->spoke->nstate + w->bad_lag].id);
  return dpi_eq_fail(w, s->t_now, "%s%s%s%s", dpi_solve_outcome_text(o), s->reason[0] ? ": " : "", s->reason,
                     o == DPI_SOLVE_TOO_SMALL || o == DPI_SOLVE_NONFINITE ? noise(w, s) : "");
}
