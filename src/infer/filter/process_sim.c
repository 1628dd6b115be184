/* process_sim.c - floor 6, folder filter: members behind the waist as a process.
 *
 * A swarm is a run. What its members borrow (parameters, initial states) lies in a roster that a run and all its forks
 * share; the last one frees it.
 */
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "infer/filter/filter.h"

typedef struct sim_process {
  dpi_process base;
  const dp_sim *sim; /* borrowed */
  dp_instant *instant;
  int ninstant;
  dp_output_time *out;
  int nout;
} sim_process;

typedef struct roster {
  atomic_int nuser;
  double *param, *state0;
} roster;

struct dpi_swarm {
  sim_process *p;
  roster *shared;
  dp_run *run;
  int n;
  dp_time time;
  bool advanced;
  double *f;      /* [n x noutput] of the last output time passed */
  dp_time f_time; /* when that was; start - 1: none */
};

static void roster_leave(dp_ctx *ctx, roster *r) {
  if (!r || atomic_fetch_sub(&r->nuser, 1) > 1) return;
  dpi_free(ctx, r->param);
  dpi_free(ctx, r->state0);
  dpi_free(ctx, r);
}

static void sim_close(dpi_swarm *s) {
  if (!s) return;
  dp_ctx *ctx = s->p->base.ctx;
  dp_run_close(s->run);
  roster_leave(ctx, s->shared);
  dpi_free(ctx, s->f);
  dpi_free(ctx, s);
}

static dpi_swarm *swarm_new(sim_process *p, int n) {
  dpi_swarm *s = DPI_NEW(p->base.ctx, dpi_swarm);
  if (!s) return NULL;
  s->p = p;
  s->n = n;
  s->f_time = p->base.start - 1;
  s->time = p->base.start;
  s->f = DPI_NEW_ARRAY(p->base.ctx, double, (size_t)n *(size_t)p->base.noutput + 1);
  if (s->f) return s;
  sim_close(s);
  return NULL;
}

static dp_status roster_make(const sim_process *p, const dpi_swarm_def *def, roster **out) {
  dp_ctx *ctx = p->base.ctx;
  size_t np = (size_t)p->base.nparam, ns = (size_t)p->base.nstate, n = (size_t)def->n;
  roster *r = *out = DPI_NEW(ctx, roster);
  if (!r) return DP_ERR_MEMORY;
  atomic_init(&r->nuser, 1);
  r->param = DPI_NEW_ARRAY(ctx, double, n *np + 1);
  if (!r->param) return DP_ERR_MEMORY;
  for (size_t i = 0; i < n && np; i++) {
    const double *from = def->param ? def->param + i * np : p->base.param_default;
    memcpy(r->param + i * np, from, np * sizeof(double));
  }
  if (!def->state0) return DP_OK;
  r->state0 = DPI_NEW_ARRAY(ctx, double, n *ns + 1);
  if (!r->state0) return DP_ERR_MEMORY;
  memcpy(r->state0, def->state0, n * ns * sizeof(double));
  return DP_OK;
}

static dp_status open_run(dpi_swarm *s, const dpi_swarm_def *def) {
  const sim_process *p = s->p;
  dp_member *m = DPI_NEW_ARRAY(p->base.ctx, dp_member, def->n);
  if (!m) return DP_ERR_MEMORY;
  for (int i = 0; i < def->n; i++)
    m[i] = (dp_member){.param = s->shared->param + (size_t)i * (size_t)p->base.nparam,
                       .state0 = s->shared->state0 ? s->shared->state0 + (size_t)i * (size_t)p->base.nstate : NULL,
                       .instant = p->instant,
                       .ninstant = p->ninstant,
                       .out = p->out,
                       .nout = p->nout,
                       .start = p->base.start,
                       .stream = def->stream[i]};
  dp_run_opts opts = dp_run_opts_default();
  opts.seed = def->seed;
  dp_run *first = NULL;
  int *index = DPI_NEW_ARRAY(p->base.ctx, int, def->n);
  dp_status status = index ? dp_run_open(p->sim, m, def->n, &opts, &first) : DP_ERR_MEMORY;
  /* a fork keeps members of its own, so that the list above need not stay */
  for (int i = 0; i < def->n && status == DP_OK; i++) index[i] = i;
  if (status == DP_OK) status = dp_run_fork(first, index, def->n, NULL, &s->run);
  dp_run_close(first);
  dpi_free(p->base.ctx, index);
  dpi_free(p->base.ctx, m);
  return status;
}

static dp_status sim_open(dpi_process *base, const dpi_swarm_def *def, dpi_swarm **out) {
  sim_process *p = (sim_process *)base;
  dpi_swarm *s = swarm_new(p, def->n);
  *out = NULL;
  if (!s) return DP_ERR_MEMORY;
  dp_status status = roster_make(p, def, &s->shared);
  if (status == DP_OK) status = open_run(s, def);
  if (status == DP_OK) {
    *out = s;
    return DP_OK;
  }
  sim_close(s);
  return status;
}

/* The last row is the one that counts. */
static dp_status take_rows(void *user, const dp_member_result *block, int nblock) {
  dpi_swarm *s = user;
  size_t no = (size_t)s->p->base.noutput;
  for (int k = 0; k < nblock; k++) {
    const dp_member_result *b = &block[k];
    if (!b->nout) continue;
    memcpy(s->f + (size_t)b->member * no, b->value + (size_t)(b->nout - 1) * no, no * sizeof(double));
    s->f_time = s->p->out[b->out_first + b->nout - 1].time;
  }
  return DP_OK;
}

static dp_status sim_advance(dpi_swarm *s, dp_time to) {
  DP_TRY(dp_run_advance(s->run, to));
  s->time = to;
  s->advanced = true;
  return dp_run_emit(s->run, take_rows, s);
}

static dp_status sim_output(dpi_swarm *s, double *f) {
  if (!s->advanced || s->f_time != s->time)
    return dpi_fail(s->p->base.ctx, DP_ERR_INPUT,
                    "filter: an output is wanted at %.9g, which is not among the %d times of the plan; give the plan "
                    "this time or let the sensor look at a state",
                    (double)s->time / DP_TICKS, s->p->nout);
  memcpy(f, s->f, (size_t)s->n * (size_t)s->p->base.noutput * sizeof(double));
  return DP_OK;
}

static dp_status sim_get(dpi_swarm *s, double *x) {
  for (int i = 0; i < s->n; i++) DP_TRY(dp_run_state_get(s->run, i, x + (size_t)i * (size_t)s->p->base.nstate));
  return DP_OK;
}

static dp_status sim_set(dpi_swarm *s, const double *x) {
  size_t ns = (size_t)s->p->base.nstate;
  for (int i = 0; i < s->n; i++) {
    bool good = true;
    for (size_t j = 0; j < ns; j++) good = good && isfinite(x[(size_t)i * ns + j]);
    if (good) DP_TRY(dp_run_state_set(s->run, i, x + (size_t)i * ns));
  }
  return DP_OK;
}

static dp_status sim_fork(dpi_swarm *s, const int *index, int n, const uint64_t *stream, dpi_swarm **out) {
  dpi_swarm *t = swarm_new(s->p, n);
  *out = NULL;
  if (!t) return DP_ERR_MEMORY;
  size_t no = (size_t)s->p->base.noutput;
  atomic_fetch_add(&s->shared->nuser, 1);
  t->shared = s->shared;
  t->time = s->time;
  t->advanced = s->advanced;
  t->f_time = s->f_time;
  for (int k = 0; k < n && no; k++) memcpy(t->f + (size_t)k * no, s->f + (size_t)index[k] * no, no * sizeof(double));
  dp_status status = dp_run_fork(s->run, index, n, stream, &t->run);
  if (status == DP_OK) {
    *out = t;
    return DP_OK;
  }
  sim_close(t);
  return status;
}

static void sim_destroy(dpi_process *base) {
  sim_process *p = (sim_process *)base;
  dpi_free(base->ctx, p->instant);
  dpi_free(base->ctx, p->out);
  dpi_free(base->ctx, p);
}

static const dpi_process_ops sim_ops = {.open = sim_open,
                                        .advance = sim_advance,
                                        .output = sim_output,
                                        .get = sim_get,
                                        .set = sim_set,
                                        .fork = sim_fork,
                                        .close = sim_close,
                                        .destroy = sim_destroy};

static int by_time(const void *a, const void *b) {
  dp_time x = ((const dp_output_time *)a)->time, y = ((const dp_output_time *)b)->time;
  return (x > y) - (x < y);
}

static dp_status copy_plan(sim_process *p, const dpi_process_plan *plan) {
  p->instant = DPI_NEW_ARRAY(p->base.ctx, dp_instant, plan->ninstant + 1);
  p->out = DPI_NEW_ARRAY(p->base.ctx, dp_output_time, plan->ntime + 1);
  if (!p->instant || !p->out) return DP_ERR_MEMORY;
  if (plan->ninstant) memcpy(p->instant, plan->instant, (size_t)plan->ninstant * sizeof *p->instant);
  p->ninstant = plan->ninstant;
  for (int k = 0; k < plan->ntime; k++) {
    if (plan->time[k] < plan->start)
      return dpi_fail(p->base.ctx, DP_ERR_INPUT, "filter: plan's time %d is %.9g, before the start at %.9g", k,
                      (double)plan->time[k] / DP_TICKS, (double)plan->start / DP_TICKS);
    p->out[k] = (dp_output_time){.time = plan->time[k], .order = plan->order};
  }
  qsort(p->out, (size_t)plan->ntime, sizeof *p->out, by_time);
  for (int k = 0; k < plan->ntime; k++)
    if (!p->nout || p->out[k].time != p->out[p->nout - 1].time) p->out[p->nout++] = p->out[k];
  return DP_OK;
}

dp_status dpi_process_sim(dp_ctx *ctx, const dp_sim *sim, const dpi_process_plan *plan, dpi_process **out) {
  const dp_sim_desc *d = dp_sim_describe(sim);
  *out = NULL;
  sim_process *p = DPI_NEW(ctx, sim_process);
  if (!p) return DP_ERR_MEMORY;
  p->base = (dpi_process){.ops = &sim_ops,
                          .ctx = ctx,
                          .nstate = d->nstate,
                          .nparam = d->nparam,
                          .noutput = d->noutput,
                          .param_default = d->param_default,
                          .stochastic = (d->caps & DP_CAP_STOCHASTIC) != 0,
                          .edit = (d->caps & DP_CAP_EDIT) != 0,
                          .output_first = true,
                          .discrete = (d->caps & DP_CAP_DISCRETE) != 0,
                          .threads = (d->caps & DP_CAP_THREADS) != 0 && !d->max_instances,
                          .start = plan->start};
  p->sim = sim;
  dp_status status = copy_plan(p, plan);
  if (status == DP_OK) {
    *out = &p->base;
    return DP_OK;
  }
  sim_destroy(&p->base);
  return status;
}
