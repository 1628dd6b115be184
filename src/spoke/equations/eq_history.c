/* eq_history.c - delayed values: what delayed expressions were, read from the path already gone.  D
 *
 *     before the start        the system's tape of the past, with the parameters of the start
 *     on a step of the path   values of the expressions at Chebyshev-Lobatto nodes of that step, barycentric
 *                             interpolation
 *                             (J.-P. Berrut, L. N. Trefethen, SIAM Rev. 46 (2004) 501)
 *     in the step under way   (lags shorter than the step: they vary or vanish) straight from its beginning to the
 *                             present
 *
 * What is kept are values of the delayed expressions, not states: so parameters that change later do not change the
 * past, and an expression that is delayed itself needs no recursion. Values at jumps are exact on both sides: each step
 * has its own ends. An evaluation at the very beginning of a path sees the side after a jump, every other one the side
 * before.
 *
 * A jump at T comes back at T + lag as a jump of a derivative, at T + 2 lag of a higher one, ...: constant lags stop
 * the solver there (breaks), up to ORDER times.
 */
#include "spoke/equations/eq_impl.h"

#include <float.h>
#include <math.h>

#define ORDER 5           /* how often a jump is followed */
#define BREAKS_MAX 4096
#define HEAD 3            /* of a piece: beginning, end of its polynomial, end of its validity */
#define LEAST_STEP 1e-4   /* times (1 + time under way): steps are not held shorter by a lag that vanishes */
#define PASSES 3          /* values in the step under way that depend on each other */

typedef struct brk {
  double time;
  int order;
} brk;

struct dpi_eq_history {
  bool ready;              /* begun */
  double *sym;             /* [nsym] symbols at the start, owned */
  double begin;
  double *end_value;       /* [ndelayed] expressions where the path stands, in sym's block */
  double end;              /* and when that is */
  int npiece, cap_piece;   /* cap in doubles */
  double *piece;           /* each: HEAD, then DPI_EQ_NODES x ndelayed values */
  int nbreak, cap_break;
  brk *at;
};

static const double node_at[DPI_EQ_NODES] = { /* cos of k pi/8, from -1 to 1 */
    -1, -0.92387953251128674, -0.70710678118654757, -0.38268343236508978, 0, 0.38268343236508978, 0.70710678118654757,
    0.92387953251128674, 1};

static size_t row_of(const dpi_eq_spoke *sp) { return HEAD + (size_t)DPI_EQ_NODES * (size_t)sp->ndelayed; }
static double *piece_at(const dpi_eq_spoke *sp, const dpi_eq_history *h, int i) {
  return h->piece + row_of(sp) * (size_t)i;
}
static double near_of(double a, double b) { return 64 * DBL_EPSILON * fmax(fabs(a), fabs(b)); }

dp_status dpi_eq_history_create(const dpi_eq_spoke *sp, dpi_eq_history **out) {
  dp_ctx *ctx = sp->base.ctx;
  dpi_eq_history *h = DPI_NEW(ctx, dpi_eq_history);
  if (!h) return DP_ERR_MEMORY;
  *out = h; /* also half built: destroy takes it */
  h->sym = DPI_NEW_ARRAY(ctx, double, sp->nsym + sp->ndelayed);
  if (!h->sym) return DP_ERR_MEMORY;
  h->end_value = h->sym + sp->nsym;
  return DP_OK;
}

void dpi_eq_history_destroy(dp_ctx *ctx, dpi_eq_history *h) {
  if (!h) return;
  dpi_free(ctx, h->sym);
  dpi_free(ctx, h->piece);
  dpi_free(ctx, h->at);
  dpi_free(ctx, h);
}

/* ---- reading ---- */

static double before_start(dpi_eq_bench *w, int k, double t) {
  const dpi_eq_spoke *sp = w->spoke;
  dpi_eq_history *h = w->m->history;
  double *reg = w->reg[sp->past.id];
  h->sym[0] = t;
  if (!w->past_ready) dpi_tape_prologue(sp->past.tape, h->sym, reg);
  w->past_ready = true;
  dpi_tape_eval(sp->past.tape, h->sym, reg, w->delayed + sp->ndelayed);
  return w->delayed[sp->ndelayed + k];
}

static double interpolate(const dpi_eq_spoke *sp, const double *p, int k, double t) {
  const double mid = 0.5 * (p[0] + p[1]), half = 0.5 * (p[1] - p[0]), z = (t - mid) / half;
  const double *v = p + HEAD;
  double above = 0, below = 0;
  for (int i = 0; i < DPI_EQ_NODES; i++) {
    const double d = z - node_at[i];
    if (d == 0) return v[i * sp->ndelayed + k];
    double c = (i % 2 ? -1 : 1) / d;
    if (i == 0 || i == DPI_EQ_NODES - 1) c *= 0.5;
    above += c * v[i * sp->ndelayed + k];
    below += c;
  }
  return above / below;
}

/* Expression k at time t, not after where the path stands; after: the side after a jump that lies there. */
static double kept(dpi_eq_bench *w, int k, double t, bool after, double slack) {
  const dpi_eq_spoke *sp = w->spoke;
  const dpi_eq_history *h = w->m->history;
  const double key = after ? t + slack : t - slack;
  int lo = 0, hi = h->npiece; /* pieces before lo begin at or before key */
  while (lo < hi) {
    const int mid = lo + (hi - lo) / 2;
    const double begin = piece_at(sp, h, mid)[0];
    if (after ? begin <= key : begin < key)
      lo = mid + 1;
    else
      hi = mid;
  }
  if (lo == 0) return before_start(w, k, t < h->begin ? t : h->begin);
  const double *p = piece_at(sp, h, lo - 1);
  return interpolate(sp, p, k, t < p[0] ? p[0] : (t > p[2] ? p[2] : t));
}

/* The lag tape at (t, [x, delayed]): lags, then expressions. */
static const double *lag_tape(dpi_eq_bench *w, double t, const double *x, const double *delayed, const int32_t **at) {
  const dpi_eq_spoke *sp = w->spoke;
  double *reg = w->reg[sp->lag.id];
  memcpy(w->ext, x, sizeof(double) * (size_t)sp->nstate);
  memcpy(w->ext + sp->nstate, delayed, sizeof(double) * (size_t)sp->ndelayed);
  if (w->stale[sp->lag.id]) dpi_tape_prologue(sp->lag.tape, w->sym, reg);
  w->stale[sp->lag.id] = 0;
  *at = dpi_tape_run(sp->lag.tape, t, w->ext, reg);
  return reg;
}

/* Delayed value k at time t with this lag; *here: it lies in the step under way, `present` is the expression now. */
static double value_at(dpi_eq_bench *w, int k, double t, double lag, double present, bool *here) {
  const dpi_eq_history *h = w->m->history;
  const double from = t - lag, slack = near_of(t, from);
  const bool after = t <= w->m->t + slack;
  if (!(lag >= 0) || !isfinite(lag)) {
    w->bad_lag = k;
    return NAN;
  }
  if (lag == 0 || from > h->end + slack || (from >= h->end - slack && after)) {
    *here = true;
    if (lag == 0) return present;
    const double span = t - h->end, part = span > slack ? (from - h->end) / span : 1;
    return part < 1 ? h->end_value[k] + (part > 0 ? part : 0) * (present - h->end_value[k]) : present;
  }
  return kept(w, k, from, after, slack);
}

void dpi_eq_delayed(dpi_eq_bench *w, double t, const double *x, double *delayed) {
  const dpi_eq_spoke *sp = w->spoke;
  const int nd = sp->ndelayed;
  for (int k = 0; k < nd; k++) delayed[k] = 0;
  if (!w->m->history->ready) return;
  for (int pass = 0; pass < PASSES; pass++) {
    const int32_t *at;
    const double *reg = lag_tape(w, t, x, delayed, &at);
    bool again = sp->lag_nested;
    double *now = w->delayed + 2 * nd;
    for (int k = 0; k < nd; k++) now[k] = value_at(w, k, t, reg[at[k]], reg[at[nd + k]], &again);
    memcpy(delayed, now, sizeof(double) * (size_t)nd);
    if (!again) return;
  }
}

/* The expressions themselves at (t, x). */
static void expressions(dpi_eq_bench *w, double t, const double *x, double *value) {
  const int nd = w->spoke->ndelayed;
  const int32_t *at;
  dpi_eq_delayed(w, t, x, w->delayed);
  const double *reg = lag_tape(w, t, x, w->delayed, &at);
  for (int k = 0; k < nd; k++) value[k] = reg[at[nd + k]];
}

/* ---- keeping ---- */

void dpi_eq_history_reset(dpi_eq_history *h) {
  if (h) h->ready = false;
}

void dpi_eq_history_begin(dpi_eq_bench *w) {
  dpi_eq_history *h = w->m->history;
  h->ready = true;
  h->npiece = h->nbreak = 0;
  h->begin = h->end = w->m->t;
  memcpy(h->sym, w->sym, sizeof(double) * (size_t)w->spoke->nsym);
  w->past_ready = false;
  for (int k = 0; k < w->spoke->ndelayed; k++) h->end_value[k] = before_start(w, k, h->begin);
}

/* No step may be longer than the shortest lag; lags that vanish hold no step below a little. */
static bool limit_step(dpi_eq_bench *w, double t, const double *x) {
  const dpi_eq_spoke *sp = w->spoke;
  const int nd = sp->ndelayed;
  double limit = 0;
  const int32_t *at;
  dpi_eq_delayed(w, t, x, w->delayed);
  const double *reg = lag_tape(w, t, x, w->delayed, &at);
  for (int k = 0; k < nd; k++) {
    double lag = reg[at[k]];
    if (!(lag >= 0) || !isfinite(lag))
      return dpi_eq_fail(w, t, "'%s': found a delay of %g, expected a finite number, not negative",
                         sp->model->sym[1 + sp->nstate + k].id, lag);
    if (lag == 0 && sp->lag_steady[k]) continue; /* the present value: exact at any step */
    const double least = LEAST_STEP * (1 + fabs(t - w->m->history->begin));
    if (!sp->lag_steady[k] && lag < least) lag = least;
    if (limit == 0 || lag < limit) limit = lag;
  }
  w->solver->step_limit = limit;
  return true;
}

bool dpi_eq_history_start(dpi_eq_bench *w) {
  dpi_eq_history *h = w->m->history;
  h->end = w->m->t;
  expressions(w, w->m->t, w->m->x, h->end_value);
  return limit_step(w, w->m->t, w->m->x);
}

/* Steps that no lag reaches back to any more; only when every lag is a number. */
static void prune(dpi_eq_bench *w, double t) {
  const dpi_eq_spoke *sp = w->spoke;
  dpi_eq_history *h = w->m->history;
  double longest = 0;
  const int32_t *at;
  for (int k = 0; k < sp->ndelayed; k++)
    if (sp->lag_steady[k] < 2) return;
  const double *reg = lag_tape(w, t, w->solver->x_now, w->delayed, &at);
  for (int k = 0; k < sp->ndelayed; k++) longest = fmax(longest, reg[at[k]]);
  int gone = 0;
  while (gone < h->npiece && piece_at(sp, h, gone)[2] < t - 2 * longest) gone++;
  if (2 * gone < h->npiece || gone < 64) return;
  h->npiece -= gone;
  memmove(h->piece, piece_at(sp, h, gone), sizeof(double) * row_of(sp) * (size_t)h->npiece);
}

bool dpi_eq_history_step(dpi_eq_bench *w) {
  const dpi_eq_spoke *sp = w->spoke;
  dpi_eq_history *h = w->m->history;
  dpi_solver *s = w->solver;
  const double a = s->t_prev, b = s->t_now;
  if (!(b > a)) return true;
  const size_t need = row_of(sp) * (size_t)(h->npiece + 1);
  if (need > INT32_MAX ||
      dpi_grow(sp->base.ctx, (void **)&h->piece, &h->cap_piece, (int)need, sizeof *h->piece) != DP_OK)
    return dpi_eq_fail_memory(w);
  double *p = piece_at(sp, h, h->npiece);
  for (int i = 0; i < DPI_EQ_NODES; i++) {
    const double t = i == DPI_EQ_NODES - 1 ? b : 0.5 * (a + b) + 0.5 * (b - a) * node_at[i];
    s->ops->dense(s, i == 0 ? a : t, w->xs, NULL);
    expressions(w, i == 0 ? a : t, w->xs, p + HEAD + i * sp->ndelayed);
  }
  p[0] = a;
  p[1] = p[2] = b;
  h->npiece++;
  h->end = b;
  memcpy(h->end_value, p + HEAD + (DPI_EQ_NODES - 1) * sp->ndelayed, sizeof(double) * (size_t)sp->ndelayed);
  prune(w, b);
  return limit_step(w, b, s->x_now);
}

void dpi_eq_history_cut(dpi_eq_bench *w, double t) {
  const dpi_eq_spoke *sp = w->spoke;
  dpi_eq_history *h = w->m->history;
  while (h->npiece > 0 && piece_at(sp, h, h->npiece - 1)[0] >= t) h->npiece--;
  if (h->npiece > 0 && piece_at(sp, h, h->npiece - 1)[2] > t) piece_at(sp, h, h->npiece - 1)[2] = t;
  h->end = t;
}

/* ---- jumps that come back ---- */

static bool add_break(dpi_eq_bench *w, double time, int order) {
  dpi_eq_history *h = w->m->history;
  for (int i = 0; i < h->nbreak; i++) {
    if (fabs(h->at[i].time - time) > near_of(time, h->at[i].time)) continue;
    if (order < h->at[i].order) h->at[i].order = order;
    return true;
  }
  if (h->nbreak >= BREAKS_MAX) return true; /* the error control of the solver goes on without them */
  if (dpi_grow(w->spoke->base.ctx, (void **)&h->at, &h->cap_break, h->nbreak + 1, sizeof *h->at) != DP_OK)
    return dpi_eq_fail_memory(w);
  h->at[h->nbreak++] = (brk){time, order};
  return true;
}

static bool follow(dpi_eq_bench *w, double t, int order) {
  const dpi_eq_spoke *sp = w->spoke;
  double lag[64];
  const int32_t *at;
  const int n = sp->ndelayed < DPI_COUNT(lag) ? sp->ndelayed : DPI_COUNT(lag);
  if (order > ORDER) return true;
  dpi_eq_delayed(w, w->m->t, w->m->x, w->delayed);
  const double *reg = lag_tape(w, w->m->t, w->m->x, w->delayed, &at);
  for (int k = 0; k < n; k++) lag[k] = reg[at[k]];
  for (int k = 0; k < n; k++) {
    if (!sp->lag_steady[k] || !(lag[k] > 0) || !isfinite(lag[k])) continue;
    if (t + lag[k] > w->m->t + near_of(w->m->t, t) && !add_break(w, t + lag[k], order)) return false;
  }
  return true;
}

bool dpi_eq_history_jump(dpi_eq_bench *w) { return follow(w, w->m->t, 1); }

double dpi_eq_history_break(const dpi_eq_bench *w) {
  const dpi_eq_history *h = w->m->history;
  double t = INFINITY;
  for (int i = 0; h && i < h->nbreak; i++)
    if (h->at[i].time < t) t = h->at[i].time;
  return t;
}

bool dpi_eq_history_pass(dpi_eq_bench *w) {
  dpi_eq_history *h = w->m->history;
  for (int i = h->nbreak - 1; i >= 0; i--) {
    const brk b = h->at[i];
    if (b.time > w->m->t) continue;
    h->at[i] = h->at[--h->nbreak];
    if (!follow(w, b.time, b.order + 1)) return false;
  }
  return true;
}
