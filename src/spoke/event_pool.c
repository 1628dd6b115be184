/* event_pool.c - floor 4: triggered executions of a model's events, until they are executed or taken back.  D */
#include "spoke/event_pool.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "doppel/sim.h"

#define TICKS_EXACT 9e15 /* below it each tick is a number of its own */
#define STORM 10000      /* far above any cascade that a model means; far below what a person waits for */
#define STORM_TIME 1e-13 /* of the time itself: a few roundings are no moving on */

dp_status dpi_event_pool_room(dp_ctx *ctx, dpi_event_pool *pool, int n, int width) {
  DP_TRY(dpi_grow(ctx, (void **)&pool->due, &pool->cap, n, sizeof *pool->due));
  return dpi_grow(ctx, (void **)&pool->vec, &pool->cap_vec, n * width + 1, sizeof *pool->vec);
}

void dpi_event_pool_release(dp_ctx *ctx, dpi_event_pool *pool) {
  dpi_free(ctx, pool->due);
  dpi_free(ctx, pool->vec);
  *pool = (dpi_event_pool){0};
}

double dpi_event_pool_time(double t, double delay) {
  const double sum = t + delay, ticks = rint(sum * (double)DP_TICKS);
  if (!(fabs(ticks) < TICKS_EXACT)) return sum;
  const double near = ticks / (double)DP_TICKS;
  return delay > 0 && fabs(near - sum) <= 4 * DBL_EPSILON * (fabs(t) + delay) ? near : sum;
}

double *dpi_event_pool_add(dpi_event_pool *pool, int width, double time, int event) {
  double *vec = pool->vec + (size_t)width * (size_t)pool->n;
  memset(vec, 0, sizeof *vec * (size_t)width);
  pool->due[pool->n++] = (dpi_due){time, event, pool->serial++};
  return vec;
}

void dpi_event_pool_remove(dpi_event_pool *pool, int width, int i) {
  const size_t row = (size_t)width, behind = (size_t)(--pool->n - i);
  memmove(pool->due + i, pool->due + i + 1, sizeof *pool->due * behind);
  memmove(pool->vec + row * (size_t)i, pool->vec + row * (size_t)(i + 1), sizeof(double) * row * behind);
}

void dpi_event_pool_revoke(dpi_event_pool *pool, int width, int event) {
  for (int i = pool->n - 1; i >= 0; i--)
    if (pool->due[i].event == event) dpi_event_pool_remove(pool, width, i);
}

double dpi_event_pool_next(const dpi_event_pool *pool) {
  double t = INFINITY;
  for (int i = 0; i < pool->n; i++)
    if (pool->due[i].time < t) t = pool->due[i].time;
  return t;
}

int dpi_event_pool_choose(const dpi_event_pool *pool, double t, const dpi_event_law *law, void *w) {
  int best = -1, ntie = 0;
  double highest = 0, p;
  for (int i = 0; i < pool->n; i++) {
    if (pool->due[i].time > t) continue;
    if (!law->priority(w, i, &p)) return -2;
    if (best < 0 || p > highest) best = i, highest = p, ntie = 0;
    ntie += p == highest;
  }
  if (ntie < 2) return best;
  int skip = law->lot(w, ntie);
  for (int i = 0; i < pool->n; i++) {
    if (pool->due[i].time > t) continue;
    if (!law->priority(w, i, &p)) return -2;
    if (p == highest && skip-- == 0) return i;
  }
  return best;
}

bool dpi_event_pool_plausible(const dpi_event_pool *pool, int nevent) {
  for (int i = 0; i < pool->n; i++)
    if (pool->due[i].event < 0 || pool->due[i].event >= nevent || isnan(pool->due[i].time)) return false;
  return true;
}

bool dpi_event_calm(dpi_storm *storm, double t, int e, int *other) {
  if (storm->n == 0 || fabs(t - storm->t) > STORM_TIME * (1 + fabs(t))) {
    storm->n = 0;
    storm->t = t;
  }
  *other = storm->event;
  if (storm->n == 0 || e != storm->event) storm->event = e;
  return ++storm->n <= STORM;
}
