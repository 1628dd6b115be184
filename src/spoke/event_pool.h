/* event_pool.h - ring two of the waist (floor 4), for spokes: triggered executions of a model's events.  D
 *
 *     trigger turns true  -> add: waits until t + delay, with `width` numbers of the spoke's own
 *     trigger turns false -> revoke: what is not persistent and not executed yet is taken back
 *     at one instant, until choose gives none: of what is due the one of the highest priority, evaluated just
 *     then; events without priority come last; one of several that tie at random, as SBML leaves their order open
 *
 * An execution may trigger others at the same instant, and these it again: `calm` ends that after 10000.
 */
#ifndef DPI_EVENT_POOL_H
#define DPI_EVENT_POOL_H

#include "base/base.h"

typedef struct dpi_due { /* no padding: saved */
  double time;
  int32_t event;
  uint32_t serial; /* order in which they were scheduled */
} dpi_due;

typedef struct dpi_event_pool {
  int n, cap, cap_vec;
  uint32_t serial;
  dpi_due *due; /* owned, kept for reuse */
  double *vec;  /* [n x width], owned */
} dpi_event_pool;

/* What choose asks the spoke; `w` is the spoke's bench. */
typedef struct dpi_event_law {
  bool (*priority)(void *w, int i, double *p); /* of due execution i; false: the member has failed */
  int (*lot)(void *w, int n);                  /* one of 0 .. n-1, each as likely; only asked where two tie */
} dpi_event_law;

/* Executions without time moving on; all zero at first. */
typedef struct dpi_storm {
  int n, event;
  double t;
} dpi_storm;

dp_status dpi_event_pool_room(dp_ctx *ctx, dpi_event_pool *pool, int n, int width);
void dpi_event_pool_release(dp_ctx *ctx, dpi_event_pool *pool);
/* t + delay; where that is a tick's time but for rounding, the tick's:
 * 0.1 + 0.2 meets an output or a trigger at 0.3. */
double dpi_event_pool_time(double t, double delay);
/* Into room that was made: the new execution's numbers, zero at first. */
double *dpi_event_pool_add(dpi_event_pool *pool, int width, double time, int event);
void dpi_event_pool_remove(dpi_event_pool *pool, int width, int i);
void dpi_event_pool_revoke(dpi_event_pool *pool, int width, int event);
/* Time at which the next one is due; infinite: none. */
double dpi_event_pool_next(const dpi_event_pool *pool);
/* The execution due at t that comes first: -1 none, -2 the member has failed. */
int dpi_event_pool_choose(const dpi_event_pool *pool, double t, const dpi_event_law *law, void *w);
/* Do all its events exist? For bytes that were read. */
bool dpi_event_pool_plausible(const dpi_event_pool *pool, int nevent);
/* Event e is executed at t. False: too often without time moving on; *other: the event it alternates with, or e. */
bool dpi_event_calm(dpi_storm *storm, double t, int e, int *other);

#endif
