/* process_person.c - floor 6, folder filter: one person of a kind as a process (process_person.h). */
#include "infer/filter/process_person.h"
#include "infer/infer.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

typedef struct person_process {
  dpi_process base;
  dpi_process_person_def def; /* row: owned */
  dp_output_time *row;
  dp_time *time; /* [nrow] rising */
  double *zero;  /* [nfree] */
} person_process;

/* Predictions of distinct vectors; shared by a swarm and its copies. */
typedef struct table {
  atomic_int nuser;
  double *f; /* [ncourse x nrow x noutput] NaN where a member failed */
} table;

struct dpi_swarm {
  person_process *p;
  int n;
  dp_time time;
  double *x;   /* [n x nfree] */
  int *course; /* [n] row of the table */
  table *shared;
  bool stale; /* x was changed: simulate before anybody looks */
};

static void table_leave(dp_ctx *ctx, table *t) {
  if (!t || atomic_fetch_sub(&t->nuser, 1) > 1) return;
  dpi_free(ctx, t->f);
  dpi_free(ctx, t);
}

static void person_close(dpi_swarm *s) {
  if (!s) return;
  dp_ctx *ctx = s->p->base.ctx;
  table_leave(ctx, s->shared);
  dpi_free(ctx, s->x);
  dpi_free(ctx, s->course);
  dpi_free(ctx, s);
}

static dpi_swarm *swarm_new(person_process *p, int n) {
  dpi_swarm *s = DPI_NEW(p->base.ctx, dpi_swarm);
  if (!s) return NULL;
  s->p = p;
  s->n = n;
  s->time = p->base.start;
  s->x = DPI_NEW_ARRAY(p->base.ctx, double, (size_t)n *(size_t)p->def.nfree + 1);
  s->course = DPI_NEW_ARRAY(p->base.ctx, int, n + 1);
  if (s->x && s->course) return s;
  person_close(s);
  return NULL;
}

/* ---- simulation ---- */

/* Neighbours that are equal share a course (all members of an inner filter do). Gives the number of courses; first
 * [n]: a member of each. */
static int find_courses(dpi_swarm *s, int *first) {
  size_t d = (size_t)s->p->def.nfree;
  int ncourse = 0;
  for (int i = 0; i < s->n; i++) {
    const double *x = s->x + (size_t)i * d;
    if (!i || (d && memcmp(x, x - d, d * sizeof(double)) != 0)) first[ncourse++] = i;
    s->course[i] = ncourse - 1;
  }
  return ncourse;
}

static void read_rows(const person_process *p, const dp_result *r, int k, double *f) {
  const dp_kind *kind = p->def.c->kind;
  int no = p->base.noutput;
  for (int t = 0; t < p->def.nrow; t++)
    for (int o = 0; o < kind->nobservable; o++) {
      const double *v = r->value + (r->value_at[k] + (size_t)t) * (size_t)r->noutput;
      bool ok = r->status[k] == DP_MEMBER_OK;
      f[t * no + 2 * o] = ok ? v[kind->observable[o].value_output] : NAN;
      f[t * no + 2 * o + 1] = ok ? v[kind->observable[o].sigma_output] : NAN;
    }
}

static dp_status simulate(const dpi_swarm *s, const int *first, int n, double *f) {
  const person_process *p = s->p;
  const dpi_case *c = p->def.c;
  size_t np = (size_t)dp_sim_describe(c->kind->sim)->nparam, ni = (size_t)c->ninstant, d = (size_t)p->def.nfree;
  dpi_arena arena;
  dpi_arena_init(&arena, p->base.ctx);
  dp_member *m = DPI_ARENA_ARRAY(&arena, dp_member, (size_t)n + 1);
  double *param = DPI_ARENA_ARRAY(&arena, double, (size_t)n *np + 1);
  double *eta = DPI_ARENA_ARRAY(&arena, double, (size_t)c->neta + 1);
  dp_instant *inst = DPI_ARENA_ARRAY(&arena, dp_instant, (size_t)n * ni + 1);
  dp_result *r = NULL;
  dp_status status = m && param && eta && inst ? DP_OK : DP_ERR_MEMORY;
  for (int k = 0; status == DP_OK && k < n; k++) {
    dp_instant *in = inst + (size_t)k * ni;
    for (size_t a = 0; a < d; a++) eta[p->def.free[a]] = s->x[(size_t)first[k] * d + a];
    dpi_case_apply(c, p->def.typical, eta, param + (size_t)k * np, in);
    dpi_case_undirect(in, c->ninstant);
    m[k] = (dp_member){.param = param + (size_t)k * np,
                       .instant = in,
                       .ninstant = c->ninstant,
                       .out = p->row,
                       .nout = p->def.nrow,
                       .stream = c->stream};
  }
  dp_run_opts opts = dp_run_opts_default();
  if (status == DP_OK) status = dp_simulate(c->kind->ensemble, m, n, &opts, &r);
  for (int k = 0; status == DP_OK && k < n; k++)
    read_rows(p, r, k, f + (size_t)k * (size_t)p->def.nrow * (size_t)p->base.noutput);
  dp_result_destroy(r);
  dpi_arena_release(&arena);
  return status;
}

static dp_status fill_table(dpi_swarm *s) {
  dp_ctx *ctx = s->p->base.ctx;
  int *first = DPI_NEW_ARRAY(ctx, int, s->n + 1);
  table *t = DPI_NEW(ctx, table);
  dp_status status = first && t ? DP_OK : DP_ERR_MEMORY;
  if (t) atomic_init(&t->nuser, 1);
  int ncourse = status == DP_OK ? find_courses(s, first) : 0;
  if (status == DP_OK) {
    t->f = DPI_NEW_ARRAY(ctx, double, (size_t)ncourse *(size_t)s->p->def.nrow *(size_t)s->p->base.noutput + 1);
    status = t->f ? simulate(s, first, ncourse, t->f) : DP_ERR_MEMORY;
  }
  dpi_free(ctx, first);
  if (status != DP_OK) {
    table_leave(ctx, t);
    return status;
  }
  table_leave(ctx, s->shared);
  s->shared = t;
  s->stale = false;
  return DP_OK;
}

/* ---- dpi_process_ops ---- */

static dp_status person_open(dpi_process *base, const dpi_swarm_def *def, dpi_swarm **out) {
  person_process *p = (person_process *)base;
  dpi_swarm *s = swarm_new(p, def->n);
  size_t d = (size_t)p->def.nfree;
  *out = NULL;
  if (!s) return DP_ERR_MEMORY;
  const double *from = p->def.state ? def->state0 : def->param;
  for (size_t i = 0; i < (size_t)s->n && d; i++)
    memcpy(s->x + i * d, from ? from + i * d : p->zero, d * sizeof(double));
  dp_status status = fill_table(s);
  if (status == DP_OK) {
    *out = s;
    return DP_OK;
  }
  person_close(s);
  return status;
}

static dp_status person_advance(dpi_swarm *s, dp_time to) {
  s->time = to;
  return DP_OK;
}

static dp_status person_output(dpi_swarm *s, double *f) {
  const person_process *p = s->p;
  int row = dpi_process_person_row(&s->p->base, s->time);
  size_t no = (size_t)p->base.noutput;
  if (row < 0)
    return dpi_fail(p->base.ctx, DP_ERR_INPUT,
                    "subject %s: a reading at %.9g %s, which is none of the %d times it was prepared for", p->def.c->id,
                    (double)s->time / DP_TICKS, p->def.c->kind->time_unit, p->def.nrow);
  if (s->stale) DP_TRY(fill_table(s));
  for (int i = 0; i < s->n; i++)
    memcpy(f + (size_t)i * no, s->shared->f + ((size_t)s->course[i] * (size_t)p->def.nrow + (size_t)row) * no,
           no * sizeof(double));
  return DP_OK;
}

static dp_status person_get(dpi_swarm *s, double *x) {
  size_t all = (size_t)s->n * (size_t)s->p->base.nstate;
  if (all) memcpy(x, s->x, all * sizeof(double));
  return DP_OK;
}

static dp_status person_set(dpi_swarm *s, const double *x) {
  size_t d = (size_t)s->p->base.nstate;
  for (int i = 0; i < s->n; i++) {
    bool good = true;
    for (size_t j = 0; j < d; j++) good = good && isfinite(x[(size_t)i * d + j]);
    if (good && d) memcpy(s->x + (size_t)i * d, x + (size_t)i * d, d * sizeof(double));
  }
  s->stale = s->stale || d > 0;
  return DP_OK;
}

static dp_status person_fork(dpi_swarm *s, const int *index, int n, const uint64_t *stream, dpi_swarm **out) {
  (void)stream; /* nothing here is random */
  size_t d = (size_t)s->p->def.nfree;
  dpi_swarm *t = swarm_new(s->p, n);
  *out = NULL;
  if (!t) return DP_ERR_MEMORY;
  atomic_fetch_add(&s->shared->nuser, 1);
  t->shared = s->shared;
  t->time = s->time;
  t->stale = s->stale;
  for (int k = 0; k < n; k++) {
    if (d) memcpy(t->x + (size_t)k * d, s->x + (size_t)index[k] * d, d * sizeof(double));
    t->course[k] = s->course[index[k]];
  }
  *out = t;
  return DP_OK;
}

static void person_destroy(dpi_process *base) {
  person_process *p = (person_process *)base;
  dpi_free(base->ctx, p->row);
  dpi_free(base->ctx, p->time);
  dpi_free(base->ctx, p->zero);
  dpi_free(base->ctx, p);
}

static const dpi_process_ops person_ops = {.open = person_open,
                                           .advance = person_advance,
                                           .output = person_output,
                                           .get = person_get,
                                           .set = person_set,
                                           .fork = person_fork,
                                           .close = person_close,
                                           .destroy = person_destroy};

/* ---- create ---- */

dp_time dpi_process_person_time(const dpi_process *base, int row) { return ((const person_process *)base)->time[row]; }

int dpi_process_person_row(const dpi_process *base, dp_time time) {
  const person_process *p = (const person_process *)base;
  int low = 0, high = p->def.nrow;
  while (low < high) {
    int mid = (low + high) / 2;
    if (p->time[mid] < time)
      low = mid + 1;
    else
      high = mid;
  }
  return low < p->def.nrow && p->time[low] == time ? low : -1;
}

static dp_status copy_rows(person_process *p) {
  size_t n = (size_t)p->def.nrow;
  p->row = DPI_NEW_ARRAY(p->base.ctx, dp_output_time, n + 1);
  p->time = DPI_NEW_ARRAY(p->base.ctx, dp_time, n + 1);
  p->zero = DPI_NEW_ARRAY(p->base.ctx, double, p->def.nfree + 1);
  if (!p->row || !p->time || !p->zero) return DP_ERR_MEMORY;
  for (size_t k = 0; k < n; k++) {
    p->row[k] = p->def.row[k];
    p->time[k] = p->row[k].time;
    if (k && p->time[k] <= p->time[k - 1]) p->time[k] = p->time[k - 1] + 1;
  }
  p->def.row = p->row;
  return DP_OK;
}

dp_status dpi_process_person(const dpi_process_person_def *def, dpi_process **out) {
  const dp_kind *kind = def->c->kind;
  const dp_sim_desc *d = dp_sim_describe(kind->ensemble);
  *out = NULL;
  if (d->caps & DP_CAP_STOCHASTIC)
    return dpi_fail(kind->ctx, DP_ERR_UNSUPPORTED,
                    "kind %s: its model is stochastic; observation by observation it needs a process of states",
                    kind->id);
  DP_TRY(dpi_refuse_links(kind, "observation by observation; a belief is made from all of them at once"));
  person_process *p = DPI_NEW(kind->ctx, person_process);
  if (!p) return DP_ERR_MEMORY;
  p->def = *def;
  p->base = (dpi_process){.ops = &person_ops,
                          .ctx = kind->ctx,
                          .nstate = def->state ? def->nfree : 0,
                          .nparam = def->state ? 0 : def->nfree,
                          .noutput = 2 * kind->nobservable,
                          .edit = def->state,
                          .threads = (d->caps & DP_CAP_THREADS) != 0 && !d->max_instances};
  dp_status status = copy_rows(p);
  p->base.param_default = p->zero;
  /* the plan's first time, and not later than 0, is where drifts begin */
  p->base.start = def->nrow && p->time[0] < 0 ? p->time[0] : 0;
  if (status == DP_OK) {
    *out = &p->base;
    return DP_OK;
  }
  person_destroy(&p->base);
  return status;
}
