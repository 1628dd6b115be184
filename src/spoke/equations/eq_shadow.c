/* eq_shadow.c - one happening again in all directions at once: its Jacobian, by the same code that carries forward
 * derivatives.  D
 *
 *     take     before it: the member's state is copied; each number of it gets a direction of its own
 *     follow   after it: the copy does the same, and the derivatives of what has become of it are the Jacobian's rows
 *
 * So whatever forward derivatives know (moving times, saltation, delays of events, steady states) backward ones know
 * too, and one is the transpose of the other to rounding.
 */
#include "spoke/equations/eq_adjoint.h"

#include <math.h>

struct dpi_eq_shadow {
  const dpi_eq_spoke *spoke;
  dp_ctx *ctx;
  dpi_eq_bench *w;     /* owned */
  int ndir;            /* of the bench */
  int nin;             /* numbers of the state taken */
  dpi_eq_batch batch;
  dpi_eq_member m;     /* arrays owned */
  dp_member def;
  dp_instant *instant; /* owned: the member's, with directions */
  int cap_instant, cap_repeat;
  dpi_member_out out;
  double *left;        /* [nstate] rates just before what was found on the path */
  bool found;
  int root;
  double found_t, found_left;
  double *block;       /* owned: x, param, draw, left, s, p */
  uint8_t *truth;      /* owned */
  double *row;         /* [nin] scratch */
};

void dpi_shadow_destroy(dpi_eq_shadow *h) {
  if (!h) return;
  dpi_eq_bench_destroy(h->w);
  dpi_free(h->ctx, h->instant);
  dpi_free(h->ctx, h->m.line.repeat);
  dpi_free(h->ctx, h->m.dose);
  dpi_free(h->ctx, h->m.vec);
  dpi_event_pool_release(h->ctx, &h->m.pool);
  dpi_free(h->ctx, h->block);
  dpi_free(h->ctx, h->truth);
  dpi_free(h->ctx, h);
}

dp_status dpi_shadow_create(const dpi_eq_spoke *sp, dpi_eq_shadow **out) {
  dpi_eq_shadow *h = DPI_NEW(sp->base.ctx, dpi_eq_shadow);
  if (!h) return DP_ERR_MEMORY;
  h->spoke = sp;
  h->ctx = sp->base.ctx;
  h->ndir = -1;
  h->truth = DPI_NEW_ARRAY(h->ctx, uint8_t, (size_t)sp->nevent + 1);
  if (!h->truth) {
    dpi_shadow_destroy(h);
    return DP_ERR_MEMORY;
  }
  *out = h;
  return DP_OK;
}

/* ---- room ---- */

static int due_width(const dpi_eq_spoke *sp) { return 1 + sp->nassign_max; }
static int due_stride(const dpi_eq_spoke *sp, int nd) { return nd + sp->nassign_max * (1 + nd); }

/* Bench and arrays for at least nd directions. */
static dp_status room(dpi_eq_shadow *h, int nd) {
  const dpi_eq_spoke *sp = h->spoke;
  if (nd <= h->ndir) return DP_OK;
  if (h->ndir >= 0) nd += nd / 2; /* more doses are under way than expected: more may come */
  dpi_eq_bench_destroy(h->w);
  dpi_free(h->ctx, h->block);
  h->w = NULL;
  h->block = NULL;
  h->ndir = -1;
  const size_t n = (size_t)sp->nstate, na = (size_t)sp->nactive, cols = (size_t)nd;
  h->block = DPI_NEW_ARRAY(h->ctx, double, 2 * n + sp->nparam + sp->ndraw + (n + na + 1) * cols + 1);
  if (!h->block) return DP_ERR_MEMORY;
  DP_TRY(dpi_eq_bench_create(sp, nd, false, &h->w));
  h->m.x = h->block;
  h->left = h->m.x + n;
  h->m.param = h->left + n;
  h->m.draw = h->m.param + sp->nparam;
  h->m.s = h->m.draw + sp->ndraw;
  h->m.p = h->m.s + n * cols;
  h->row = h->m.p + na * cols;
  h->ndir = nd;
  return DP_OK;
}

static dp_status list_room(dpi_eq_shadow *h, const dpi_eq_bench *w) {
  const dp_member *def = w->def;
  DP_TRY(dpi_grow(h->ctx, (void **)&h->instant, &h->cap_instant, def->ninstant + 1, sizeof *h->instant));
  DP_TRY(
      dpi_grow(h->ctx, (void **)&h->m.line.repeat, &h->cap_repeat, 2 * dpi_timeline_repeating(def) + 1, sizeof(int)));
  h->batch.spoke = h->spoke;
  h->batch.m = &h->m;
  h->batch.def = w->batch->def;
  h->batch.def.member = &h->def;
  h->batch.def.n = 1;
  h->batch.def.ndir = h->ndir;
  h->batch.def.out = &h->out;
  DP_TRY(dpi_eq_member_doses(&h->batch, &h->m, w->m->ndose + 1));
  return dpi_event_pool_room(h->ctx, &h->m.pool, w->m->pool.n + 1, due_stride(h->spoke, h->ndir));
}

/* ---- taking ---- */

/* What a member is, but for derivatives. */
static void copy_state(dpi_eq_shadow *h, const dpi_eq_bench *w) {
  const dpi_eq_spoke *sp = h->spoke;
  const dpi_eq_member *from = w->m;
  dpi_eq_member *to = &h->m;
  to->now = from->now;
  to->begun = from->begun;
  to->t = from->t;
  to->edited = from->edited;
  to->crew = from->crew;
  to->ndrawn = from->ndrawn;
  to->ntie = from->ntie;
  to->truth = h->truth;
  memcpy(to->x, from->x, sizeof(double) * (size_t)sp->nstate);
  memcpy(to->param, from->param, sizeof(double) * (size_t)sp->nparam);
  memcpy(to->draw, from->draw, sizeof(double) * (size_t)sp->ndraw);
  if (sp->nevent) memcpy(to->truth, from->truth, (size_t)sp->nevent);
  to->line.next = from->line.next;
  to->line.nrepeat = from->line.nrepeat;
  for (int i = 0; i < 2 * from->line.nrepeat; i++) to->line.repeat[i] = from->line.repeat[i];
  to->ndose = from->ndose;
  for (int i = 0; i < from->ndose; i++) to->dose[i] = from->dose[i];
  h->def = *w->def;
  h->def.instant = h->instant;
  h->def.functional = NULL;
  h->def.nfunctional = 0;
  h->def.seed = NULL;
  for (int i = 0; i < w->def->ninstant; i++) {
    h->instant[i] = w->def->instant[i];
    h->instant[i].dir_amount = h->instant[i].dir_time = -1;
  }
  h->out = (dpi_member_out){.status = DP_MEMBER_OK};
}

/* Events under way: values held, with room for their derivatives. */
static void copy_pool(dpi_eq_shadow *h, const dpi_eq_bench *w) {
  const dpi_eq_spoke *sp = h->spoke;
  const int wide = due_stride(sp, h->ndir), plain = due_stride(sp, w->ndir);
  const dpi_event_pool *from = &w->m->pool;
  dpi_event_pool *to = &h->m.pool;
  to->n = from->n;
  to->serial = from->serial;
  for (int i = 0; i < from->n; i++) {
    double *v = to->vec + (size_t)wide * i;
    to->due[i] = from->due[i];
    for (int k = 0; k < wide; k++) v[k] = 0;
    const int held = sp->model->event[from->due[i].event].nassign;
    for (int a = 0; a < held; a++) v[h->ndir + a] = from->vec[(size_t)plain * i + w->ndir + a];
  }
}

/* Each number its own direction. */
static void seed(dpi_eq_shadow *h) {
  const dpi_eq_spoke *sp = h->spoke;
  const size_t nd = (size_t)h->ndir;
  const int n = sp->nstate, na = sp->nactive;
  size_t c = 0;
  for (size_t i = 0; i < (size_t)(n + na) * nd; i++) h->m.s[i] = 0; /* p lies behind s */
  for (int j = 0; j < n; j++) h->m.s[j * nd + c++] = 1;
  for (int a = 0; a < na; a++) h->m.p[a * nd + c++] = 1;
  for (size_t i = 0; i < 3 * nd * (size_t)h->m.ndose; i++) h->m.vec[i] = 0;
  for (int i = 0; i < 3 * h->m.ndose; i++) h->m.vec[(size_t)i * nd + c++] = 1;
  for (int i = 0; i < h->m.pool.n; i++) {
    double *v = h->m.pool.vec + (size_t)due_stride(sp, h->ndir) * i;
    const int held = sp->model->event[h->m.pool.due[i].event].nassign;
    v[c++] = 1;
    for (int a = 0; a < sp->nassign_max; a++, c++)
      if (a < held) v[nd + held + (size_t)a * nd + c] = 1;
  }
  h->nin = (int)c;
}

bool dpi_shadow_take(dpi_eq_shadow *h, dpi_eq_bench *w) {
  const dpi_eq_spoke *sp = h->spoke;
  const int need = sp->nstate + sp->nactive + 3 * w->m->ndose + due_width(sp) * w->m->pool.n + DPI_TRACE_NCONTROL;
  if (room(h, need) != DP_OK || list_room(h, w) != DP_OK) return dpi_eq_fail_memory(w);
  copy_state(h, w);
  copy_pool(h, w);
  seed(h);
  h->found = w->live && isfinite(w->found);
  h->found_t = w->found;
  h->found_left = w->found_left;
  h->root = w->found_root;
  h->w->storm = w->storm;
  if (h->found) dpi_eq_watch_left(w, h->left);
  return true;
}

/* ---- following ---- */

/* Directions of an instant's own numbers: the columns behind the state's. */
static void control_directions(dpi_eq_shadow *h, int instant) {
  dp_instant *in = &h->instant[instant];
  const bool dose = in->type == DP_ADD || in->type == DP_INFUSE, set = in->type == DP_SET || in->type == DP_SCALE;
  const bool active = in->type == DP_SWITCH && h->spoke->param_active[in->target] >= 0;
  if (dose || set || active) in->dir_amount = h->nin + DPI_TRACE_AMOUNT;
  if (in->type == DP_INFUSE && in->rate > 0) h->w->rate_dir = 1 + h->nin + DPI_TRACE_RATE;
  if (dose && (!in->steady || h->spoke->sys->autonomous)) in->dir_time = h->nin + DPI_TRACE_TIME;
}

static void lay(dpi_eq_shadow *h, const dpi_eq_bench *w) {
  dpi_eq_bench *k = h->w;
  const dpi_eq_trace *tr = w->trace;
  const dpi_storm storm = k->storm;
  if (tr->reached) {
    memcpy(h->m.x, tr->x_reached, sizeof(double) * (size_t)h->spoke->nstate);
    h->m.t = w->m->t;
  }
  dpi_eq_bench_lay(k, &h->batch, 0);
  k->storm = storm;
  k->to = w->to;
  k->limit = w->limit;
  k->rate_dir = 0;
  k->left = h->left;
  if (h->found) {
    k->found = h->found_t;
    k->found_left = h->found_left;
    k->found_root = h->root;
  }
}

/* Row r of the Jacobian: derivatives by the numbers taken and by the instant's own. */
static void put_row(dpi_eq_trace *tr, const double *d, int n) {
  for (int c = 0; c < n; c++) {
    if (d[c] == 0) continue;
    tr->element[tr->nelement] = d[c];
    tr->column[tr->nelement++] = c;
  }
  tr->index[tr->nindex++] = tr->nelement;
}

static bool put_jacobian(dpi_eq_shadow *h, dpi_eq_bench *w, int instant) {
  const dpi_eq_spoke *sp = h->spoke;
  const dpi_eq_member *m = &h->m;
  dpi_eq_trace *tr = w->trace;
  const int n = sp->nstate, na = sp->nactive, nc = h->nin + DPI_TRACE_NCONTROL, nd = h->ndir;
  const int nout = n + na + 3 * m->ndose + due_width(sp) * m->pool.n;
  if (!dpi_trace_jacobian_room(tr, nout + 1, nout * nc)) return dpi_eq_fail_memory(w);
  tr->jacobian[tr->njacobian++] =
      (dpi_trace_jacobian){.nin = h->nin, .nout = nout, .row = tr->nindex, .instant = instant};
  tr->index[tr->nindex++] = tr->nelement;
  for (int j = 0; j < n; j++) put_row(tr, m->s + (size_t)j * nd, nc);
  for (int a = 0; a < na; a++) put_row(tr, m->p + (size_t)a * nd, nc);
  for (int i = 0; i < 3 * m->ndose; i++) put_row(tr, m->vec + (size_t)i * nd, nc);
  for (int i = 0; i < m->pool.n; i++) {
    const double *v = m->pool.vec + (size_t)due_stride(sp, nd) * i;
    const int held = sp->model->event[m->pool.due[i].event].nassign;
    put_row(tr, v, nc);
    for (int a = 0; a < sp->nassign_max; a++) put_row(tr, v + nd + held + (size_t)a * nd, a < held ? nc : 0);
  }
  return true;
}

static bool same_shape(const dpi_eq_member *a, const dpi_eq_member *b) {
  bool same = a->ndose == b->ndose && a->pool.n == b->pool.n;
  for (int i = 0; same && i < a->pool.n; i++) same = a->pool.due[i].event == b->pool.due[i].event;
  return same;
}

bool dpi_shadow_follow(dpi_eq_shadow *h, dpi_eq_bench *w, const dpi_eq_next *next) {
  const int instant = next && next->what == DPI_EQ_INSTANT ? next->line.instant : -1;
  lay(h, w);
  if (instant >= 0) control_directions(h, instant);
  const bool done = next ? dpi_eq_happen(h->w, next) : dpi_eq_member_begin(h->w, w->to);
  if (h->w->no_memory) return dpi_eq_fail_memory(w);
  if (!done) return dpi_eq_fail(w, w->m->t, "its gradient: %.120s", h->out.reason);
  if (!same_shape(&h->m, w->m))
    return dpi_eq_fail(w, w->m->t, "its gradient: derivatives take another course than values");
  return put_jacobian(h, w, instant);
}
