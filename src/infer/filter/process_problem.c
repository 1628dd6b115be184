/* process_problem.c - floor 6, folder filter: a calibration problem as a process (process_problem.h).
 *
 * A course is what one point predicts. Swarms and the store of the last courses share them by counting; the store is a
 * queue whose oldest ones leave, found by a hash of the point's bytes. A course depends on its point alone, so whether
 * it was found or made again can't be seen in any result.
 */
#include "infer/filter/process_problem.h"

#include <math.h>
#include <string.h>

#include "infer/sample/chain.h"

#define STORE_BYTES ((size_t)192 << 20) /* of predictions that are kept */
#define CHUNK_NUMBERS ((size_t)4 << 20) /* of one batch of points */
enum { BUCKETS = 1 << 14 };

typedef struct course {
  int nuser;
  uint64_t hash;
  struct course *next;  /* in its bucket */
  struct course *newer; /* in the queue */
  bool stored, made;
  double *u; /* [n] */
  double *f; /* [nrow x 2] NaN where the point can't be evaluated */
} course;

typedef struct problem_process {
  dpi_process base;
  dp_problem *problem;
  int n, nrow;
  bool state;
  int *datum;    /* [nrow] */
  double *scale; /* [nrow] */
  double *zero;  /* [n] */
  course **bucket;
  course *oldest, *newest;
  size_t nstored, most;
} problem_process;

struct dpi_swarm {
  problem_process *p;
  int n;
  dp_time time;
  double *u;       /* [n x dim] */
  course **course; /* [n] */
  bool stale;      /* u was changed: simulate before anybody looks */
};

/* ---- courses ---- */

static void course_leave(dp_ctx *ctx, course *c) {
  if (!c || --c->nuser > 0) return;
  dpi_free(ctx, c->u);
  dpi_free(ctx, c->f);
  dpi_free(ctx, c);
}

static uint64_t hash_of(const double *u, int n) {
  uint64_t h = 1469598103934665603u, bits;
  for (int k = 0; k < n; k++) {
    memcpy(&bits, &u[k], sizeof bits);
    h = (h ^ bits) * 1099511628211u;
    h ^= h >> 29;
  }
  return h;
}

static course *store_find(const problem_process *p, const double *u, uint64_t hash) {
  for (course *c = p->bucket[hash % BUCKETS]; c; c = c->next)
    if (c->hash == hash && memcmp(c->u, u, (size_t)p->n * sizeof *u) == 0) return c;
  return NULL;
}

static void store_drop_oldest(problem_process *p) {
  course *c = p->oldest, **at = &p->bucket[c->hash % BUCKETS];
  while (*at != c) at = &(*at)->next;
  *at = c->next;
  p->oldest = c->newer;
  if (!p->oldest) p->newest = NULL;
  p->nstored--;
  c->stored = false;
  course_leave(p->base.ctx, c);
}

static void store_clear(problem_process *p) {
  while (p->oldest) store_drop_oldest(p);
}

static void store_add(problem_process *p, course *c) {
  course **bucket = &p->bucket[c->hash % BUCKETS];
  c->nuser++;
  c->stored = true;
  c->next = *bucket;
  *bucket = c;
  if (p->newest) p->newest->newer = c;
  p->newest = c;
  if (!p->oldest) p->oldest = c;
  p->nstored++;
}

static course *course_new(problem_process *p, const double *u, uint64_t hash) {
  dp_ctx *ctx = p->base.ctx;
  course *c = DPI_NEW(ctx, course);
  if (!c) return NULL;
  c->nuser = 1;
  c->hash = hash;
  c->u = DPI_NEW_ARRAY(ctx, double, (size_t)p->n + 1);
  c->f = DPI_NEW_ARRAY(ctx, double, 2 * (size_t)p->nrow + 1);
  if (c->u && c->f) {
    memcpy(c->u, u, (size_t)p->n * sizeof *u);
    return c;
  }
  course_leave(ctx, c);
  return NULL;
}

/* ---- simulation ---- */

static void take_rows(const problem_process *p, const dp_problem_value *v, course *c) {
  for (int r = 0; r < p->nrow; r++) {
    c->f[2 * r] = v->ok ? v->simulation[p->datum[r]] : NAN;
    c->f[2 * r + 1] = v->ok ? v->sigma[p->datum[r]] * p->scale[r] : NAN;
  }
  c->made = true;
}

/* Some courses as one batch. room: numbers for one point each: x, simulation, sigma. */
static dp_status make_some(problem_process *p, course *const *c, int n, dp_problem_value *v, double *room) {
  const size_t d = (size_t)p->n, nd = (size_t)p->problem->desc.ndatum;
  double *x = room, *f = room + (size_t)n * d;
  for (int i = 0; i < n; i++) {
    dpi_box_to(&p->problem->density, c[i]->u, x + (size_t)i * d);
    v[i] = (dp_problem_value){.simulation = f + 2 * (size_t)i * nd, .sigma = f + (2 * (size_t)i + 1) * nd};
  }
  DP_TRY(dp_problem_eval(p->problem, n, x, DP_PROBLEM_VALUE, v));
  for (int i = 0; i < n; i++) take_rows(p, &v[i], c[i]);
  return DP_OK;
}

static dp_status make_all(problem_process *p, course *const *c, int n) {
  dp_ctx *ctx = p->base.ctx;
  const size_t each = (size_t)p->n + 2 * (size_t)p->problem->desc.ndatum + 1;
  size_t chunk = CHUNK_NUMBERS / each + 16;
  if (chunk > (size_t)n) chunk = (size_t)n;
  dp_problem_value *v = DPI_NEW_ARRAY(ctx, dp_problem_value, chunk + 1);
  double *room = DPI_NEW_ARRAY(ctx, double, chunk *each + 1);
  dp_status status = v && room ? DP_OK : DP_ERR_MEMORY;
  for (int i = 0; i < n && status == DP_OK; i += (int)chunk) {
    int m = n - i < (int)chunk ? n - i : (int)chunk;
    status = make_some(p, c + i, m, v, room);
  }
  dpi_free(ctx, v);
  dpi_free(ctx, room);
  return status;
}

/* A course for each member, found or made. */
static dp_status find_courses(dpi_swarm *s) {
  problem_process *p = s->p;
  course **todo = DPI_NEW_ARRAY(p->base.ctx, course *, s->n + 1);
  int ntodo = 0;
  dp_status status = todo ? DP_OK : DP_ERR_MEMORY;
  for (int i = 0; i < s->n && status == DP_OK; i++) {
    const double *u = s->u + (size_t)i * (size_t)p->n;
    const uint64_t hash = hash_of(u, p->n);
    course *c = store_find(p, u, hash), *old = s->course[i];
    if (c) {
      c->nuser++;
    } else if ((c = course_new(p, u, hash)) != NULL) {
      store_add(p, c);
      todo[ntodo++] = c;
    } else {
      status = DP_ERR_MEMORY;
    }
    if (!c) break;
    s->course[i] = c;
    course_leave(p->base.ctx, old);
  }
  if (status == DP_OK && ntodo) status = make_all(p, todo, ntodo);
  if (status != DP_OK) store_clear(p); /* what has not been made must not be found */
  while (p->nstored > p->most) store_drop_oldest(p);
  dpi_free(p->base.ctx, todo);
  if (status == DP_OK) s->stale = false;
  return status;
}

/* ---- dpi_process_ops ---- */

static void problem_close(dpi_swarm *s) {
  if (!s) return;
  dp_ctx *ctx = s->p->base.ctx;
  for (int i = 0; s->course && i < s->n; i++) course_leave(ctx, s->course[i]);
  dpi_free(ctx, s->u);
  dpi_free(ctx, s->course);
  dpi_free(ctx, s);
}

static dpi_swarm *swarm_new(problem_process *p, int n) {
  dpi_swarm *s = DPI_NEW(p->base.ctx, dpi_swarm);
  if (!s) return NULL;
  s->p = p;
  s->n = n;
  s->time = p->base.start;
  s->u = DPI_NEW_ARRAY(p->base.ctx, double, (size_t)n *(size_t)p->n + 1);
  s->course = DPI_NEW_ARRAY(p->base.ctx, course *, n + 1);
  if (s->u && s->course) return s;
  problem_close(s);
  return NULL;
}

static dp_status problem_open(dpi_process *base, const dpi_swarm_def *def, dpi_swarm **out) {
  problem_process *p = (problem_process *)base;
  dpi_swarm *s = swarm_new(p, def->n);
  const size_t d = (size_t)p->n;
  *out = NULL;
  if (!s) return DP_ERR_MEMORY;
  const double *from = p->state ? def->state0 : def->param;
  for (size_t i = 0; i < (size_t)s->n; i++) memcpy(s->u + i * d, from ? from + i * d : p->zero, d * sizeof(double));
  const dp_status status = find_courses(s);
  if (status == DP_OK)
    *out = s;
  else
    problem_close(s);
  return status;
}

static dp_status problem_advance(dpi_swarm *s, dp_time to) {
  s->time = to;
  return DP_OK;
}

static dp_status problem_output(dpi_swarm *s, double *f) {
  const problem_process *p = s->p;
  if (s->time < 1 || s->time > p->nrow)
    return dpi_fail(p->base.ctx, DP_ERR_INPUT, "%s: measurement %lld is looked for, there are %d",
                    p->problem->desc.name, (long long)s->time, p->nrow);
  if (s->stale) DP_TRY(find_courses(s));
  for (int i = 0; i < s->n; i++) memcpy(f + 2 * (size_t)i, s->course[i]->f + 2 * (s->time - 1), 2 * sizeof *f);
  return DP_OK;
}

static dp_status problem_get(dpi_swarm *s, double *x) {
  const size_t all = (size_t)s->n * (size_t)s->p->base.nstate;
  if (all) memcpy(x, s->u, all * sizeof(double));
  return DP_OK;
}

static dp_status problem_set(dpi_swarm *s, const double *x) {
  const size_t d = (size_t)s->p->base.nstate;
  for (int i = 0; i < s->n; i++) {
    bool good = true;
    for (size_t j = 0; j < d; j++) good = good && isfinite(x[(size_t)i * d + j]);
    if (good && d) memcpy(s->u + (size_t)i * d, x + (size_t)i * d, d * sizeof(double));
  }
  s->stale = s->stale || d > 0;
  return DP_OK;
}

static dp_status problem_fork(dpi_swarm *s, const int *index, int n, const uint64_t *stream, dpi_swarm **out) {
  (void)stream; /* nothing here is random */
  const size_t d = (size_t)s->p->n;
  dpi_swarm *t = swarm_new(s->p, n);
  *out = NULL;
  if (!t) return DP_ERR_MEMORY;
  t->time = s->time;
  t->stale = s->stale;
  for (int k = 0; k < n; k++) {
    memcpy(t->u + (size_t)k * d, s->u + (size_t)index[k] * d, d * sizeof(double));
    t->course[k] = s->course[index[k]];
    t->course[k]->nuser++;
  }
  *out = t;
  return DP_OK;
}

static void problem_destroy(dpi_process *base) {
  problem_process *p = (problem_process *)base;
  if (p->bucket) store_clear(p);
  dpi_free(base->ctx, p->bucket);
  dpi_free(base->ctx, p->datum);
  dpi_free(base->ctx, p->scale);
  dpi_free(base->ctx, p->zero);
  dpi_free(base->ctx, p);
}

static const dpi_process_ops problem_ops = {.open = problem_open,
                                            .advance = problem_advance,
                                            .output = problem_output,
                                            .get = problem_get,
                                            .set = problem_set,
                                            .fork = problem_fork,
                                            .close = problem_close,
                                            .destroy = problem_destroy};

/* ---- create ---- */

dp_status dpi_process_problem(const dpi_process_problem_def *def, dpi_process **out) {
  dp_ctx *ctx = def->problem->ctx;
  const int n = def->problem->desc.nparam, nrow = def->problem->desc.ndatum;
  *out = NULL;
  problem_process *p = DPI_NEW(ctx, problem_process);
  if (!p) return DP_ERR_MEMORY;
  p->base = (dpi_process){.ops = &problem_ops,
                          .ctx = ctx,
                          .nstate = def->state ? n : 0,
                          .nparam = def->state ? 0 : n,
                          .noutput = 2,
                          .edit = def->state};
  p->problem = def->problem;
  p->n = n;
  p->nrow = nrow;
  p->state = def->state;
  p->most = STORE_BYTES / ((2 * (size_t)nrow + (size_t)n + 16) * sizeof(double)) + 1;
  p->datum = DPI_NEW_ARRAY(ctx, int, nrow + 1);
  p->scale = DPI_NEW_ARRAY(ctx, double, nrow + 1);
  p->zero = DPI_NEW_ARRAY(ctx, double, n + 1);
  p->bucket = DPI_NEW_ARRAY(ctx, course *, BUCKETS);
  if (!p->datum || !p->scale || !p->zero || !p->bucket) {
    problem_destroy(&p->base);
    return DP_ERR_MEMORY;
  }
  memcpy(p->datum, def->datum, (size_t)nrow * sizeof *p->datum);
  for (int r = 0; r < nrow; r++) p->scale[r] = def->unit[def->datum[r]];
  p->base.param_default = p->zero;
  *out = &p->base;
  return DP_OK;
}
