/* carry.c - floor 6, folder filter: batch draws as members of one run, reweighed by what comes. */
#include "infer/filter/carry.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "infer/filter/filter_impl.h"

#define KHAT_MOST 0.7 /* Vehtari et al., JMLR 25 (2024), section 3.2.4 */

struct dpi_carry {
  dp_ctx *ctx;
  dpi_arena arena;
  dpi_filter *run;
  int n, dim;
  double *x, *weight, *first; /* weights now and at the start */
  double *gained;             /* ln likelihood of the new readings */
  double *smooth, *work;
  int *order;
  double evidence, khat, ess;
  bool was_usable, read;
  char was[160];
};

static dp_status make_room(dpi_carry *c, const dpi_draws_carried *from) {
  size_t n = (size_t)from->n, d = (size_t)from->dim;
  double **one[] = {&c->weight, &c->first, &c->gained, &c->smooth};
  bool ok = (c->x = DPI_ARENA_ARRAY(&c->arena, double, n *d)) != NULL;
  for (int i = 0; i < DPI_COUNT(one); i++) ok = ok && (*one[i] = DPI_ARENA_ARRAY(&c->arena, double, n)) != NULL;
  ok = ok && (c->work = DPI_ARENA_ARRAY(&c->arena, double, 2 * n)) != NULL;
  ok = ok && (c->order = DPI_ARENA_ARRAY(&c->arena, int, n)) != NULL;
  if (!ok) return DP_ERR_MEMORY;
  double sum = 0;
  memcpy(c->x, from->x, n * d * sizeof(double));
  for (size_t i = 0; i < n; i++) {
    c->first[i] = from->weight ? from->weight[i] : 1.0;
    if (!(c->first[i] >= 0) || isinf(c->first[i]))
      return dpi_fail(c->ctx, DP_ERR_INPUT, "carried draws: weight %d is %g, expected 0 or more", (int)i, c->first[i]);
    sum += c->first[i];
  }
  if (!(sum > 0)) return dpi_fail(c->ctx, DP_ERR_INPUT, "carried draws: all weights are 0");
  for (size_t i = 0; i < n; i++) c->weight[i] = c->first[i] /= sum;
  c->ess = dpi_ess(c->weight, c->n);
  return DP_OK;
}

static dp_status open_run(dpi_carry *c, const dpi_problem *problem, const dpi_static_prior *prior) {
  size_t np = (size_t)problem->process->nparam;
  double *param = DPI_NEW_ARRAY(c->ctx, double, (size_t)c->n *np + 1);
  if (!param) return DP_ERR_MEMORY;
  const double *from = prior->other ? prior->other : problem->process->param_default;
  for (int i = 0; i < c->n; i++) {
    double *p = param + (size_t)i * np;
    if (np) memcpy(p, from, np * sizeof(double));
    for (int k = 0; k < c->dim; k++) {
      double v = c->x[(size_t)i * (size_t)c->dim + (size_t)k];
      p[prior->param[k]] = prior->log && prior->log[k] ? dpi_m_exp(v) : v;
    }
  }
  dpi_filter_def def = dpi_filter_def_default();
  def.method = DPI_FILTER_BOOTSTRAP;
  def.n = c->n;
  def.param = param;
  def.ncheckpoint = 0;
  dp_status status = dpi_filter_create(problem, &def, &c->run);
  dpi_free(c->ctx, param);
  return status;
}

/* Readings of the list that are not in the run yet. */
static dp_status take(dpi_carry *c, const dpi_reading *reading, int n, double *l) {
  dpi_filter *f = c->run;
  dp_time reached = f->now->ntaken ? f->now->time : f->problem.process->start - 1;
  for (int k = 0; k < n; k++) {
    DP_TRY(dpi_reading_check(&f->problem, &reading[k], k));
    if (isnan(reading[k].y)) continue;
    if (reading[k].time <= reached)
      return dpi_fail(c->ctx, DP_ERR_INPUT, "carried draws: reading %d at %.9g is late, they are at %.9g", k,
                      (double)reading[k].time / DP_TICKS, (double)reached / DP_TICKS);
    DP_TRY(dpi_reading_insert(c->ctx, &f->reading, &f->nreading, &f->cap_reading, &reading[k]));
  }
  while (f->now->ntaken < f->nreading) {
    const dpi_reading *r = f->reading + f->now->ntaken;
    int m = 1;
    while (f->now->ntaken + m < f->nreading && r[m].time == r->time) m++;
    DP_TRY(dpi_particle_likelihood(f, f->now, r, m, l));
    f->now->ntaken += m;
  }
  return DP_OK;
}

static dp_status begin(dpi_carry *c, const dpi_problem *problem, const dpi_static_prior *prior,
                       const dpi_draws_carried *from, const dpi_reading *known, int nknown) {
  if (problem->process->stochastic || problem->noise || problem->ndrift)
    return dpi_fail(
        c->ctx, DP_ERR_UNSUPPORTED,
        "carried draws: the process has noise or a sensor drifts: give the draws to a filter as its members");
  if (from->dim != prior->n || from->n < 2)
    return dpi_fail(c->ctx, DP_ERR_INPUT, "carried draws: %d of %d numbers, expected 2 or more of %d", from->n,
                    from->dim, prior->n);
  DP_TRY(make_room(c, from));
  DP_TRY(open_run(c, problem, prior));
  DP_TRY(take(c, known, nknown, c->gained));
  memset(c->gained, 0, (size_t)c->n * sizeof(double)); /* the draws know these already */
  return DP_OK;
}

dp_status dpi_carry_begin(const dpi_problem *problem, const dpi_static_prior *prior, const dpi_draws_carried *from,
                          const dpi_reading *known, int nknown, dpi_carry **out) {
  dp_ctx *ctx = problem->process->ctx;
  *out = NULL;
  dpi_carry *c = DPI_NEW(ctx, dpi_carry);
  if (!c) return DP_ERR_MEMORY;
  c->ctx = ctx;
  c->n = from->n;
  c->dim = from->dim;
  c->evidence = from->evidence;
  c->khat = NAN;
  c->was_usable = from->usable;
  snprintf(c->was, sizeof c->was, "%.159s", from->verdict);
  dpi_arena_init(&c->arena, ctx);
  dp_status status = begin(c, problem, prior, from, known, nknown);
  if (status == DP_OK) {
    *out = c;
    return DP_OK;
  }
  dpi_carry_destroy(c);
  return status;
}

dp_status dpi_carry_read(dpi_carry *c, const dpi_reading *reading, int n) {
  double top = -INFINITY, sum = 0, old = 0, old_top = -INFINITY;
  for (int i = 0; i < c->n; i++)
    if (c->first[i] > 0) old_top = fmax(old_top, c->gained[i]);
  for (int i = 0; i < c->n; i++) old += c->first[i] > 0 ? c->first[i] * dpi_m_exp(c->gained[i] - old_top) : 0;
  DP_TRY(take(c, reading, n, c->gained));
  c->read = true;
  for (int i = 0; i < c->n; i++)
    if (c->first[i] > 0) top = fmax(top, c->gained[i]);
  if (!isfinite(top)) {
    c->evidence = -INFINITY;
    c->ess = 0;
    c->khat = INFINITY;
    return DP_OK;
  }
  for (int i = 0; i < c->n; i++) {
    c->weight[i] = c->first[i] > 0 ? c->first[i] * dpi_m_exp(c->gained[i] - top) : 0;
    sum += c->weight[i];
    c->smooth[i] = c->first[i] > 0 ? c->gained[i] + dpi_m_log(c->first[i]) : -INFINITY;
  }
  for (int i = 0; i < c->n; i++) c->weight[i] /= sum;
  c->evidence += top + dpi_m_log(sum) - old_top - dpi_m_log(old);
  c->khat = dpi_psis(c->smooth, c->n, c->work, c->order);
  c->ess = dpi_ess(c->weight, c->n);
  return DP_OK;
}

void dpi_carry_back(const dpi_carry *c, dpi_draws_carried *now) {
  double least = fmax(50, 0.05 * c->n);
  *now = (dpi_draws_carried){.n = c->n,
                             .dim = c->dim,
                             .x = c->x,
                             .weight = c->weight,
                             .evidence = c->evidence,
                             .usable = c->was_usable,
                             .ess = c->ess,
                             .khat = c->khat};
  if (!c->was_usable) {
    snprintf(now->verdict, sizeof now->verdict, "unfit when it was taken over: %s", c->was);
  } else if (c->ess < least) {
    now->usable = 0;
    snprintf(now->verdict, sizeof now->verdict,
             "only %.3g of %d draws are effective, %.3g are wanted: start from the prior with all readings", c->ess,
             c->n, least);
  } else if (c->read && !(c->khat <= KHAT_MOST)) {
    now->usable = 0;
    snprintf(now->verdict, sizeof now->verdict, "k-hat %.2g is above %.2g: the draws lie elsewhere than the posterior",
             c->khat, KHAT_MOST);
  } else {
    snprintf(now->verdict, sizeof now->verdict, "in order");
  }
}

void dpi_carry_destroy(dpi_carry *c) {
  if (!c) return;
  dp_ctx *ctx = c->ctx;
  dpi_filter_destroy(c->run);
  dpi_arena_release(&c->arena);
  dpi_free(ctx, c);
}
