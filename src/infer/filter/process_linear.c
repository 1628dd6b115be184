/* process_linear.c - floor 6, folder filter: a linear Gaussian system as a process, and its exact transitions.
 *
 * Transition over h of dx = (A x + b) dt + dW: exp of [A b; 0 0] h gives F and d; C. F. Van Loan, IEEE Trans. Autom.
 * Control 23 (1978) 395 gives the noise: exp of [-A Q; 0 A'] h = [. G; 0 F'], Q(h) = F G.
 */
#include <math.h>
#include <string.h>

#include "infer/filter/filter.h"

/* ---- systems ---- */

static double *copy(dpi_arena *arena, const double *from, size_t n) {
  double *to = DPI_ARENA_ARRAY(arena, double, n + 1);
  if (to && from && n) memcpy(to, from, n * sizeof(double));
  return to;
}

static bool copy_system(dpi_arena *arena, const dpi_linear *s, dpi_linear *out) {
  size_t n = (size_t)s->nstate, m = (size_t)s->noutput;
  *out = *s;
  out->a = copy(arena, s->a, n * n);
  out->b = copy(arena, s->b, n);
  out->q = copy(arena, s->q, n * n);
  out->c = copy(arena, s->c, m * n);
  out->m0 = copy(arena, s->m0, n);
  out->p0 = copy(arena, s->p0, n * n);
  return out->a && out->b && out->q && out->c && out->m0 && out->p0;
}

dp_status dpi_linear_at(dpi_arena *arena, const dpi_linear_def *def, const double *param, dpi_linear *out) {
  if (!copy_system(arena, &def->system, out)) return DP_ERR_MEMORY;
  if (def->apply) def->apply(def->user, param, out);
  return DP_OK;
}

/* c := a b */
static void mul(const double *a, const double *b, double *c, int n) {
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) {
      double s = 0;
      for (int k = 0; k < n; k++) s += a[i * n + k] * b[k * n + j];
      c[i * n + j] = s;
    }
}

size_t dpi_linear_work(int nstate) { return (size_t)(9 * (2 * nstate + 1) * (2 * nstate + 1) + 3 * nstate * nstate); }

/* Noise over h from F(h) and exp of [-A Q; 0 A'] h. */
static void noise_over(const dpi_linear *s, double h, const double *f, double *q, double *work) {
  int n = s->nstate, m = 2 * n;
  double *big = work, *e = big + m * m, *g = e + m * m, *rest = g + n * n;
  memset(big, 0, (size_t)(m * m) * sizeof(double));
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) {
      big[i * m + j] = -s->a[i * n + j];
      big[i * m + n + j] = s->q[i * n + j];
      big[(n + i) * m + n + j] = s->a[j * n + i];
    }
  dpi_expm(big, m, h, e, rest);
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) g[i * n + j] = e[i * m + n + j];
  mul(f, g, q, n);
}

static void step_discrete(const dpi_linear *s, long count, double *f, double *d, double *q, double *work) {
  int n = s->nstate;
  size_t nn = (size_t)n * (size_t)n;
  double *t = work, *u = work + nn, *v = u + nn;
  memset(f, 0, nn * sizeof(double));
  memset(q, 0, nn * sizeof(double));
  memset(d, 0, (size_t)n * sizeof(double));
  for (int i = 0; i < n; i++) f[i * n + i] = 1;
  for (long k = 0; k < count; k++) {
    mul(s->a, f, t, n);
    memcpy(f, t, nn * sizeof(double));
    for (int i = 0; i < n; i++) {
      v[i] = s->b[i];
      for (int j = 0; j < n; j++) v[i] += s->a[i * n + j] * d[j];
    }
    memcpy(d, v, (size_t)n * sizeof(double));
    mul(s->a, q, t, n);
    for (int i = 0; i < n; i++)
      for (int j = 0; j < n; j++) u[i * n + j] = s->a[j * n + i];
    mul(t, u, q, n);
    for (size_t i = 0; i < nn; i++) q[i] += s->q[i];
  }
}

void dpi_linear_step(const dpi_linear *s, double h, double *f, double *d, double *q, double *work) {
  int n = s->nstate, m = n + 1;
  if (s->discrete) {
    step_discrete(s, (long)floor(h + 0.5), f, d, q, work);
  } else {
    double *big = work, *e = big + m * m, *rest = e + m * m;
    memset(big, 0, (size_t)(m * m) * sizeof(double));
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) big[i * m + j] = s->a[i * n + j];
      big[i * m + n] = s->b[i];
    }
    dpi_expm(big, m, h, e, rest);
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) f[i * n + j] = e[i * m + j];
      d[i] = e[i * m + n];
    }
    noise_over(s, h, f, q, work);
  }
  for (int i = 0; i < n; i++)
    for (int j = 0; j < i; j++) q[i * n + j] = q[j * n + i] = 0.5 * (q[i * n + j] + q[j * n + i]);
}

void dpi_linear_root(double *q, int n) {
  double top = 0;
  for (int i = 0; i < n; i++) top = fmax(top, q[i * n + i]);
  for (int j = 0; j < n; j++) {
    double s = q[j * n + j];
    for (int k = 0; k < j; k++) s -= q[j * n + k] * q[j * n + k];
    double l = s > 1e-14 * top ? sqrt(s) : 0;
    for (int i = j + 1; i < n; i++) {
      double t = q[i * n + j];
      for (int k = 0; k < j; k++) t -= q[i * n + k] * q[j * n + k];
      q[i * n + j] = l > 0 ? t / l : 0;
      q[j * n + i] = 0;
    }
    q[j * n + j] = l;
  }
}

/* ---- the process ---- */

typedef struct linear_process {
  dpi_process base;
  dpi_arena arena;
  dpi_linear_def def;
} linear_process;

/* Members with equal parameters share a system. */
struct dpi_swarm {
  linear_process *p;
  dpi_arena arena;
  int n, nsystem;
  dp_time time;
  uint64_t seed;
  uint64_t *stream; /* [n] */
  int *which;       /* [n] system of a member */
  dpi_linear *system;
  double *param;            /* [nsystem x nparam] */
  double *x;                /* [n x nstate] */
  double *f, *d, *q, *work; /* transition under way */
};

static void linear_close(dpi_swarm *s) {
  if (!s) return;
  dp_ctx *ctx = s->p->base.ctx;
  dpi_arena_release(&s->arena);
  dpi_free(ctx, s);
}

static dpi_swarm *linear_new(linear_process *p, int n, int nsystem) {
  dpi_swarm *s = DPI_NEW(p->base.ctx, dpi_swarm);
  if (!s) return NULL;
  s->p = p;
  dpi_arena_init(&s->arena, p->base.ctx);
  size_t ns = (size_t)p->base.nstate, np = (size_t)p->base.nparam;
  s->n = n;
  s->stream = DPI_ARENA_ARRAY(&s->arena, uint64_t, (size_t)n + 1);
  s->which = DPI_ARENA_ARRAY(&s->arena, int, (size_t)n + 1);
  s->system = DPI_ARENA_ARRAY(&s->arena, dpi_linear, (size_t)nsystem + 1);
  s->param = DPI_ARENA_ARRAY(&s->arena, double, (size_t)nsystem *np + 1);
  s->x = DPI_ARENA_ARRAY(&s->arena, double, (size_t)n *ns + 1);
  s->f = DPI_ARENA_ARRAY(&s->arena, double, 2 * ns * ns + ns + 1);
  s->work = DPI_ARENA_ARRAY(&s->arena, double, dpi_linear_work((int)ns) + 1);
  if (s->stream && s->which && s->system && s->param && s->x && s->f && s->work) {
    s->q = s->f + ns * ns;
    s->d = s->q + ns * ns;
    return s;
  }
  linear_close(s);
  return NULL;
}

/* System of parameters: an earlier one when the numbers are the same as the last one's. */
static dp_status system_of(dpi_swarm *s, const double *param, int *which) {
  size_t np = (size_t)s->p->base.nparam;
  int k = s->nsystem - 1;
  if (k < 0 || (np && memcmp(s->param + (size_t)k * np, param, np * sizeof(double)))) {
    k = s->nsystem++;
    if (np) memcpy(s->param + (size_t)k * np, param, np * sizeof(double));
    DP_TRY(dpi_linear_at(&s->arena, &s->p->def, param, &s->system[k]));
  }
  *which = k;
  return DP_OK;
}

static dpi_rng member_rng(const dpi_swarm *s, int i, dp_time t) {
  uint64_t key = dpi_rng_at(s->seed, s->stream[i], DPI_RNG_FILTER_LINEAR, (uint64_t)t);
  return dpi_rng_make(key, s->stream[i], DPI_RNG_FILTER_LINEAR);
}

static void add_gaussian(dpi_swarm *s, int i, dp_time t, const double *root) {
  int n = s->p->base.nstate;
  double *x = s->x + (size_t)i * (size_t)n;
  dpi_rng rng = member_rng(s, i, t);
  for (int k = 0; k < n; k++) {
    double z = dpi_rng_normal(&rng);
    for (int j = k; j < n; j++) x[j] += root[j * n + k] * z;
  }
}

static dp_status begin_members(dpi_swarm *s, const dpi_swarm_def *def) {
  size_t ns = (size_t)s->p->base.nstate, np = (size_t)s->p->base.nparam;
  int last = -1;
  for (int i = 0; i < s->n; i++) {
    const double *param = def->param ? def->param + (size_t)i * np : s->p->base.param_default;
    DP_TRY(system_of(s, param, &s->which[i]));
    const dpi_linear *system = &s->system[s->which[i]];
    if (def->state0) {
      memcpy(s->x + (size_t)i * ns, def->state0 + (size_t)i * ns, ns * sizeof(double));
      continue;
    }
    if (s->which[i] != last) {
      memcpy(s->q, system->p0, ns * ns * sizeof(double));
      dpi_linear_root(s->q, (int)ns);
      last = s->which[i];
    }
    memcpy(s->x + (size_t)i * ns, system->m0, ns * sizeof(double));
    add_gaussian(s, i, s->time - 1, s->q);
  }
  return DP_OK;
}

static dp_status linear_open(dpi_process *base, const dpi_swarm_def *def, dpi_swarm **out) {
  linear_process *p = (linear_process *)base;
  *out = NULL;
  dpi_swarm *s = linear_new(p, def->n, def->n);
  if (!s) return DP_ERR_MEMORY;
  s->time = base->start;
  s->seed = def->seed;
  memcpy(s->stream, def->stream, (size_t)def->n * sizeof *s->stream);
  dp_status status = begin_members(s, def);
  if (status == DP_OK) {
    *out = s;
    return DP_OK;
  }
  linear_close(s);
  return status;
}

static void move_member(dpi_swarm *s, int i) {
  int n = s->p->base.nstate;
  double *x = s->x + (size_t)i * (size_t)n, *next = s->work;
  for (int j = 0; j < n; j++) {
    next[j] = s->d[j];
    for (int k = 0; k < n; k++) next[j] += s->f[j * n + k] * x[k];
  }
  memcpy(x, next, (size_t)n * sizeof(double));
}

static dp_status linear_advance(dpi_swarm *s, dp_time to) {
  double h = (double)(to - s->time) / (double)DP_TICKS;
  int last = -1;
  if (to <= s->time) return DP_OK;
  for (int i = 0; i < s->n; i++) {
    if (s->which[i] != last) {
      last = s->which[i];
      dpi_linear_step(&s->system[last], h, s->f, s->d, s->q, s->work);
      dpi_linear_root(s->q, s->p->base.nstate);
    }
    move_member(s, i);
    add_gaussian(s, i, to, s->q);
  }
  s->time = to;
  return DP_OK;
}

static dp_status linear_output(dpi_swarm *s, double *f) {
  int n = s->p->base.nstate, m = s->p->base.noutput;
  for (int i = 0; i < s->n; i++) {
    const double *c = s->system[s->which[i]].c, *x = s->x + (size_t)i * (size_t)n;
    for (int j = 0; j < m; j++) {
      double sum = 0;
      for (int k = 0; k < n; k++) sum += c[j * n + k] * x[k];
      f[(size_t)i * (size_t)m + (size_t)j] = sum;
    }
  }
  return DP_OK;
}

static dp_status linear_get(dpi_swarm *s, double *x) {
  memcpy(x, s->x, (size_t)s->n * (size_t)s->p->base.nstate * sizeof(double));
  return DP_OK;
}

static dp_status linear_set(dpi_swarm *s, const double *x) {
  size_t ns = (size_t)s->p->base.nstate;
  for (size_t i = 0; i < (size_t)s->n; i++) {
    bool good = true;
    for (size_t j = 0; j < ns; j++) good = good && !isnan(x[i * ns + j]);
    if (good) memcpy(s->x + i * ns, x + i * ns, ns * sizeof(double));
  }
  return DP_OK;
}

static dp_status linear_fork(dpi_swarm *s, const int *index, int n, const uint64_t *stream, dpi_swarm **out) {
  size_t ns = (size_t)s->p->base.nstate;
  *out = NULL;
  dpi_swarm *t = linear_new(s->p, n, s->nsystem);
  if (!t) return DP_ERR_MEMORY;
  t->time = s->time;
  t->seed = s->seed;
  dp_status status = DP_OK;
  for (int k = 0; k < s->nsystem && status == DP_OK; k++) {
    if (s->p->base.nparam)
      memcpy(t->param + k * s->p->base.nparam, s->param + k * s->p->base.nparam,
             (size_t)s->p->base.nparam * sizeof(double));
    if (!copy_system(&t->arena, &s->system[k], &t->system[k])) status = DP_ERR_MEMORY;
  }
  t->nsystem = s->nsystem;
  for (int k = 0; k < n; k++) {
    t->stream[k] = stream ? stream[k] : s->stream[index[k]];
    t->which[k] = s->which[index[k]];
    memcpy(t->x + (size_t)k * ns, s->x + (size_t)index[k] * ns, ns * sizeof(double));
  }
  if (status == DP_OK) {
    *out = t;
    return DP_OK;
  }
  linear_close(t);
  return status;
}

static void linear_destroy(dpi_process *base) {
  linear_process *p = (linear_process *)base;
  dpi_arena_release(&p->arena);
  dpi_free(base->ctx, p);
}

static const dpi_process_ops linear_ops = {.open = linear_open,
                                           .advance = linear_advance,
                                           .output = linear_output,
                                           .get = linear_get,
                                           .set = linear_set,
                                           .fork = linear_fork,
                                           .close = linear_close,
                                           .destroy = linear_destroy};

dp_status dpi_process_linear(dp_ctx *ctx, const dpi_linear_def *def, dpi_process **out) {
  *out = NULL;
  if (def->system.nstate < 1 || def->system.nstate > DPI_EIG_MAX || def->system.noutput < 0 || def->nparam < 0)
    return dpi_fail(ctx, DP_ERR_INPUT, "linear process: %d states (1 to %d), %d outputs, %d parameters",
                    def->system.nstate, DPI_EIG_MAX, def->system.noutput, def->nparam);
  linear_process *p = DPI_NEW(ctx, linear_process);
  if (!p) return DP_ERR_MEMORY;
  dpi_arena_init(&p->arena, ctx);
  p->def = *def;
  double *param = copy(&p->arena, def->param_default, (size_t)def->nparam);
  bool ok = param && copy_system(&p->arena, &def->system, &p->def.system);
  p->def.param_default = param;
  p->base = (dpi_process){.ops = &linear_ops,
                          .ctx = ctx,
                          .nstate = def->system.nstate,
                          .nparam = def->nparam,
                          .noutput = def->system.noutput,
                          .param_default = param,
                          .edit = true,
                          .threads = true,
                          .start = def->start};
  for (int k = 0; ok && k < p->base.nstate; k++)
    if (p->def.system.q[k * p->base.nstate + k] > 0) p->base.stochastic = true;
  if (ok) {
    *out = &p->base;
    return DP_OK;
  }
  linear_destroy(&p->base);
  return DP_ERR_MEMORY;
}
