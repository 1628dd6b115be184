/* particle.c - floor 6, folder filter: bootstrap and auxiliary particle filters.
 *
 *     bootstrap   N. J. Gordon, D. J. Salmond, A. F. M. Smith, IEE Proc. F 140 (1993) 107
 *     auxiliary   M. K. Pitt, N. Shephard, J. Am. Stat. Assoc. 94 (1999) 590. A particle's promise is the mean
 * likelihood
 *                 that some copies of it reach with random streams of their own, plus a share of the average promise so
 *                 that no second weight is large. Any positive promise that does not know the real future leaves the
 *                 estimate of the likelihood unbiased (M. K. Pitt, R. Silva, P. Giordani, R. Kohn, J. Econometrics 171
 *                 (2012) 134).
 *
 * Resampling is systematic, when fewer than def.ess of the particles are effective; weights stay otherwise.
 */
#include <math.h>

#include "infer/filter/filter_impl.h"
#include "infer/infer.h"

#define PROMISE_FLOOR 0.05 /* of the mean promise */

/* ln likelihood of the readings in each member, added to l [n]. */
static dp_status likelihood(const dpi_filter *f, dpi_place *p, const dpi_reading *r, int nr, double *l) {
  dpi_view v;
  dpi_arena arena;
  dpi_arena_init(&arena, f->ctx);
  dp_status status = dpi_view_make(f, p, r, nr, &arena, &v);
  for (int i = 0; i < f->n && status == DP_OK; i++) {
    if (!v.good[i]) l[i] = -INFINITY;
    for (int k = 0; k < nr && v.good[i]; k++) {
      const dpi_sensor *s = &f->problem.sensor[r[k].sensor];
      l[i] += dpi_sensor_loglik(s, &r[k], dpi_view_seen(f, &v, s, i), dpi_view_bias(f, &v, s, i),
                                dpi_view_scale(f, &v, s, i));
    }
  }
  dpi_arena_release(&arena);
  return status;
}

dp_status dpi_particle_likelihood(const dpi_filter *f, dpi_place *p, const dpi_reading *r, int n, double *l) {
  DP_TRY(dpi_place_advance(f, p, r->time));
  return likelihood(f, p, r, n, l);
}

/* weight := weight x exp(l), normalised; gives ln of the sum, -infinity (weights unchanged) when nothing is left. */
static double reweigh(double *weight, const double *l, int n) {
  double top = -INFINITY, sum = 0;
  for (int i = 0; i < n; i++)
    if (weight[i] > 0) top = fmax(top, l[i]);
  if (!isfinite(top)) return -INFINITY;
  for (int i = 0; i < n; i++) sum += weight[i] * dpi_m_exp(l[i] - top);
  for (int i = 0; i < n; i++) weight[i] = weight[i] * dpi_m_exp(l[i] - top) / sum;
  return top + dpi_m_log(sum);
}

static void note(const dpi_filter *f, dpi_place *p, const dpi_reading *r, double gained) {
  p->evidence += gained;
  if (gained == -INFINITY && !p->lost) {
    p->lost = true;
    p->lost_time = p->time;
    p->lost_sensor = r->sensor;
  }
  p->ess_least = fmin(p->ess_least, gained == -INFINITY ? 0 : dpi_ess(p->weight, f->n));
}

static dp_status bootstrap(const dpi_filter *f, dpi_place *p, const dpi_reading *r, int nr, double *l) {
  DP_TRY(dpi_place_advance(f, p, r->time));
  DP_TRY(likelihood(f, p, r, nr, l));
  note(f, p, r, reweigh(p->weight, l, f->n));
  if (dpi_ess(p->weight, f->n) < f->def.ess * f->n) return dpi_place_resample(f, p, NULL);
  return DP_OK;
}

/* One set of copies with streams of their own, led to the readings: their ln likelihood into l. */
static dp_status look(const dpi_filter *f, const dpi_place *p, const dpi_reading *r, int nr, int round, double *l) {
  const dpi_process_ops *ops = f->problem.process->ops;
  dpi_place *copy = NULL;
  DP_TRY(dpi_place_fork(f, p, &copy));
  int *index = DPI_NEW_ARRAY(f->ctx, int, f->n);
  dpi_swarm *swarm = NULL;
  dp_status status = index ? DP_OK : DP_ERR_MEMORY;
  for (int i = 0; i < f->n && status == DP_OK; i++) {
    index[i] = i;
    copy->stream[i] = dpi_rng_at(f->def.seed ^ (uint64_t)round, (uint64_t)i, DPI_RNG_FILTER_LOOK, (uint64_t)r->time);
  }
  if (status == DP_OK) status = ops->fork(copy->swarm, index, f->n, copy->stream, &swarm);
  if (status == DP_OK) {
    ops->close(copy->swarm);
    copy->swarm = swarm;
    status = dpi_place_advance(f, copy, r->time);
  }
  for (int i = 0; i < f->n; i++) l[i] = 0;
  if (status == DP_OK) status = likelihood(f, copy, r, nr, l);
  dpi_free(f->ctx, index);
  dpi_place_close(f, copy);
  return status;
}

/* ln promise of each particle; false: nobody promises anything. */
static dp_status promises(const dpi_filter *f, const dpi_place *p, const dpi_reading *r, int nr, double *l,
                          double *promise, bool *any) {
  double top = -INFINITY, mean = 0;
  *any = false;
  for (int i = 0; i < f->n; i++) promise[i] = 0;
  for (int k = 0; k < f->def.nlook; k++) {
    double now = -INFINITY;
    DP_TRY(look(f, p, r, nr, k, l));
    for (int i = 0; i < f->n; i++) now = fmax(now, l[i]);
    if (now == -INFINITY) continue;
    double next = fmax(top, now), shrink = top == -INFINITY ? 0 : dpi_m_exp(top - next);
    for (int i = 0; i < f->n; i++) promise[i] = promise[i] * shrink + dpi_m_exp(l[i] - next);
    top = next;
    *any = true;
  }
  for (int i = 0; i < f->n; i++) mean += p->weight[i] * promise[i];
  if (!(mean > 0)) *any = false;
  for (int i = 0; i < f->n && *any; i++) promise[i] = dpi_m_log(promise[i] + PROMISE_FLOOR * mean);
  return DP_OK;
}

static dp_status auxiliary(const dpi_filter *f, dpi_place *p, const dpi_reading *r, int nr, double *l) {
  bool any;
  double *promise = DPI_NEW_ARRAY(f->ctx, double, f->n);
  if (!promise) return DP_ERR_MEMORY;
  dp_status status = promises(f, p, r, nr, l, promise, &any);
  for (int i = 0; i < f->n; i++) l[i] = 0;
  if (status != DP_OK || !any) {
    dpi_free(f->ctx, promise);
    return status == DP_OK ? bootstrap(f, p, r, nr, l) : status;
  }
  double gained = reweigh(p->weight, promise, f->n);
  /* the promise is taken back below, from those that were chosen */
  if (dpi_ess(p->weight, f->n) < f->def.ess * f->n) status = dpi_place_resample(f, p, promise);
  if (status == DP_OK) status = dpi_place_advance(f, p, r->time);
  if (status == DP_OK) status = likelihood(f, p, r, nr, l);
  for (int i = 0; i < f->n && status == DP_OK; i++) l[i] -= promise[i];
  if (status == DP_OK) note(f, p, r, gained + reweigh(p->weight, l, f->n));
  dpi_free(f->ctx, promise);
  return status;
}

dp_status dpi_particle_step(const dpi_filter *f, dpi_place *p, const dpi_reading *r, int n) {
  double *l = DPI_NEW_ARRAY(f->ctx, double, f->n);
  if (!l) return DP_ERR_MEMORY;
  dp_status status = f->def.method == DPI_FILTER_AUXILIARY ? auxiliary(f, p, r, n, l) : bootstrap(f, p, r, n, l);
  dpi_free(f->ctx, l);
  return status;
}
