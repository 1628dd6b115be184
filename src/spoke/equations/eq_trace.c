/* eq_trace.c - what the integrator did with one member, kept for the way back.  D
 *
 * Beyond the limit of memory states are thinned: of each piece every 2nd, 4th, ... stays, with the begin and size of
 * every step, from which the others can be computed anew (the step is a function of them alone).
 */
#include "spoke/equations/eq_adjoint.h"

#include <math.h>

static dp_ctx *ctx_of(const dpi_eq_trace *tr) { return tr->spoke->base.ctx; }

void dpi_trace_clear(dpi_eq_trace *tr) {
  tr->nitem = tr->npiece = tr->nstep = tr->nkept = tr->nreal = tr->npair = tr->njacobian = tr->nindex = tr->nelement =
      0;
  tr->stride = 1;
  tr->param = -1;
}

void dpi_trace_release(dpi_eq_trace *tr) {
  dp_ctx *ctx = ctx_of(tr);
  dpi_free(ctx, tr->item);
  dpi_free(ctx, tr->piece);
  dpi_free(ctx, tr->step);
  dpi_free(ctx, tr->kept);
  dpi_free(ctx, tr->real);
  dpi_free(ctx, tr->pair);
  dpi_free(ctx, tr->jacobian);
  dpi_free(ctx, tr->index);
  dpi_free(ctx, tr->element);
  dpi_free(ctx, tr->column);
  dpi_free(ctx, tr->x_reached);
}

/* ---- room ---- */

static size_t size_of(const dpi_eq_trace *tr) {
  const size_t n = (size_t)tr->spoke->nstate, d = sizeof(double);
  return (size_t)tr->nitem * sizeof *tr->item + (size_t)tr->npiece * sizeof *tr->piece + 2 * d * (size_t)tr->nstep +
         d * n * (size_t)tr->nkept + d * (size_t)tr->nreal + (d + sizeof(int)) * (size_t)tr->nelement +
         sizeof(int) * (size_t)(tr->nindex + tr->npair);
}

/* Keep every second of the states kept so far. */
static void thin(dpi_eq_trace *tr) {
  const size_t n = (size_t)tr->spoke->nstate;
  int to = 0;
  for (int p = 0; p < tr->npiece; p++) {
    dpi_trace_piece *k = &tr->piece[p];
    const int have = (k->nstep + tr->stride - 1) / tr->stride, from = k->kept;
    k->kept = to;
    for (int i = 0; i < have; i += 2, to++)
      memmove(tr->kept + n * (size_t)to, tr->kept + n * (size_t)(from + i), n * sizeof *tr->kept);
  }
  tr->nkept = to;
  tr->stride *= 2;
}

/* More was added: does it still fit? */
static bool fits(dpi_eq_bench *w) {
  dpi_eq_trace *tr = w->trace;
  while (size_of(tr) > tr->limit) {
    if (tr->nkept <= tr->npiece || tr->stride > 1 << 20)
      return dpi_eq_fail(w, w->m->t, "the gradient needs more than %zu bytes for the path of this member", tr->limit);
    thin(tr);
  }
  return true;
}

static bool grow(dpi_eq_bench *w, void **at, int *cap, size_t need, size_t size) {
  if (need > INT32_MAX / 2)
    return dpi_eq_fail(w, w->m->t, "the gradient needs too many numbers for the path of this member");
  return dpi_grow(w->spoke->base.ctx, at, cap, (int)need, size) == DP_OK || dpi_eq_fail_memory(w);
}

/* Copy n numbers; their place, -1: failed. */
static int keep(dpi_eq_bench *w, const double *x, int n) {
  dpi_eq_trace *tr = w->trace;
  if (!grow(w, (void **)&tr->real, &tr->cap_real, (size_t)tr->nreal + (size_t)n + 1, sizeof *tr->real)) return -1;
  for (int i = 0; i < n; i++) tr->real[tr->nreal + i] = x[i];
  tr->nreal += n;
  return tr->nreal - n;
}

static dpi_trace_item *add(dpi_eq_bench *w, int what, double t) {
  dpi_eq_trace *tr = w->trace;
  if (!grow(w, (void **)&tr->item, &tr->cap_item, (size_t)tr->nitem + 1, sizeof *tr->item)) return NULL;
  dpi_trace_item *k = &tr->item[tr->nitem++];
  *k = (dpi_trace_item){.what = what, .piece = tr->npiece - 1, .t = t, .at = -1, .der = -1};
  if (tr->npiece > 0) k->nstep = tr->piece[tr->npiece - 1].nstep;
  return k;
}

bool dpi_trace_jacobian_room(dpi_eq_trace *tr, int nrow, int nelement) {
  dp_ctx *ctx = ctx_of(tr);
  if ((size_t)tr->nelement + (size_t)nelement > INT32_MAX / 2) return false;
  return dpi_grow(ctx, (void **)&tr->jacobian, &tr->cap_jacobian, tr->njacobian + 1, sizeof *tr->jacobian) == DP_OK &&
         dpi_grow(ctx, (void **)&tr->index, &tr->cap_index, tr->nindex + nrow + 1, sizeof *tr->index) == DP_OK &&
         dpi_grow(ctx, (void **)&tr->element, &tr->cap_element, tr->nelement + nelement + 1, sizeof *tr->element) ==
             DP_OK &&
         dpi_grow(ctx, (void **)&tr->column, &tr->cap_column, tr->nelement + nelement + 1, sizeof *tr->column) == DP_OK;
}

/* ---- what takes place ---- */

/* Parameters and draws as they are now. */
static bool keep_params(dpi_eq_bench *w) {
  dpi_eq_trace *tr = w->trace;
  const dpi_eq_spoke *sp = w->spoke;
  if (tr->param >= 0 && memcmp(tr->real + tr->param, w->m->param, sizeof(double) * (size_t)sp->nparam) == 0 &&
      memcmp(tr->real + tr->param + sp->nparam, w->m->draw, sizeof(double) * (size_t)sp->ndraw) == 0)
    return true;
  tr->param = keep(w, w->m->param, sp->nparam);
  return tr->param >= 0 && keep(w, w->m->draw, sp->ndraw) >= 0;
}

static bool keep_running(dpi_eq_bench *w, dpi_trace_piece *k) {
  dpi_eq_trace *tr = w->trace;
  const dpi_eq_member *m = w->m;
  k->run = tr->npair;
  if (!grow(w, (void **)&tr->pair, &tr->cap_pair, (size_t)tr->npair + 2 * (size_t)m->ndose + 1, sizeof *tr->pair))
    return false;
  for (int i = 0; i < m->ndose; i++) {
    if (!m->dose[i].running) continue;
    tr->pair[tr->npair++] = i;
    tr->pair[tr->npair++] = m->dose[i].state;
    k->nrun++;
  }
  return true;
}

/* The solver was started at the member's state. */
bool dpi_eq_trace_start(dpi_eq_bench *w) {
  dpi_eq_trace *tr = w->trace;
  const int n = w->spoke->nstate;
  dpi_trace_piece k = {.first = tr->nstep, .kept = tr->nkept, .crew = tr->crew, .u = -1, .x = -1, .moved = -1};
  if (!grow(w, (void **)&tr->piece, &tr->cap_piece, (size_t)tr->npiece + 1, sizeof *tr->piece) || !keep_params(w))
    return false;
  k.param = tr->param;
  k.t = w->m->t;
  if (tr->along && w->ndir == 1 && (k.moved = keep(w, w->m->s, n)) < 0) return false;
  for (int j = 0; k.moved >= 0 && j < n; j++) tr->real[k.moved + j] = w->m->s[j] != 0 ? 0 : INFINITY;
  if (k.crew == DPI_EQ_ALONE && (k.x = keep(w, w->m->x, n)) < 0) return false;
  if ((w->have_input && (k.u = keep(w, w->u, n)) < 0) || !keep_running(w, &k)) return false;
  tr->piece[tr->npiece++] = k;
  return add(w, DPI_TRACE_START, w->m->t) != NULL && fits(w);
}

void dpi_trace_moved(dpi_eq_trace *tr, const double *s) {
  const dpi_trace_piece *p = &tr->piece[tr->npiece - 1];
  if (p->moved < 0) return;
  double *moved = tr->real + p->moved;
  for (int j = 0; j < tr->spoke->nstate; j++)
    if (s[j] != 0 && moved[j] > p->nstep) moved[j] = p->nstep;
}

/* A step was accepted from t, x. */
bool dpi_eq_trace_step(dpi_eq_bench *w, double t, double h, const double *x) {
  dpi_eq_trace *tr = w->trace;
  dpi_trace_piece *p = &tr->piece[tr->npiece - 1];
  const size_t n = (size_t)w->spoke->nstate;
  if (!grow(w, (void **)&tr->step, &tr->cap_step, 2 * (size_t)tr->nstep + 2, sizeof *tr->step)) return false;
  tr->step[2 * tr->nstep] = t;
  tr->step[2 * tr->nstep + 1] = h;
  tr->nstep++;
  if (p->nstep++ % tr->stride == 0) {
    if (!grow(w, (void **)&tr->kept, &tr->cap_kept, n * ((size_t)tr->nkept + 1), sizeof *tr->kept)) return false;
    memcpy(tr->kept + n * (size_t)tr->nkept++, x, n * sizeof *x);
  }
  return fits(w);
}

bool dpi_eq_trace_reach(dpi_eq_bench *w, double t) {
  dpi_eq_trace *tr = w->trace;
  tr->reached = true;
  memcpy(tr->x_reached, w->m->x, sizeof(double) * (size_t)w->spoke->nstate);
  return add(w, DPI_TRACE_REACH, t) != NULL;
}

/* A row of outputs at (t, x). */
bool dpi_eq_trace_output(dpi_eq_bench *w, int row, double t, const double *x, bool path) {
  const dpi_eq_map *map = &w->spoke->out_der;
  const double *val = dpi_eq_eval(w, map, t, x, NULL);
  const int der = keep(w, val + map->nvalue, map->nder);
  dpi_trace_item *k = der < 0 ? NULL : add(w, DPI_TRACE_OUTPUT, t);
  if (!k) return false;
  k->at = row;
  k->der = der;
  k->path = path;
  return fits(w);
}

/* next NULL: the member begins. */
bool dpi_eq_trace_happen(dpi_eq_bench *w, const dpi_eq_next *next,
                         bool (*happen)(dpi_eq_bench *w, const dpi_eq_next *next)) {
  dpi_eq_trace *tr = w->trace;
  tr->reached = false;
  if (!dpi_shadow_take(tr->shadow, w)) return w->no_memory ? dpi_eq_fail_memory(w) : false;
  if (!happen(w, next)) return false;
  if (!dpi_shadow_follow(tr->shadow, w, next)) return false;
  dpi_trace_item *k = add(w, DPI_TRACE_HAPPEN, w->m->t);
  if (!k) return false;
  k->at = tr->njacobian - 1;
  return fits(w);
}
