/* sim_instances.c - floor 5: how many runs of one spoke are open in this process.
 *
 * Only spokes that set a limit are counted ("one per process": a plug-in with global variables), so that the others pay
 * nothing. The count belongs to the process, not to a sim: two sims of one plug-in share its globals.
 */
#include <pthread.h>

#include "sim/sim_impl.h"

#define SPOKE_MOST 64

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
  const dpi_spoke_ops *ops;
  int count;
} held[SPOKE_MOST]; /* guarded by lock */

/* Count of this spoke, a new one when there is room; called with the lock. */
static int *count_of(const dpi_spoke_ops *ops) {
  for (int k = 0; k < SPOKE_MOST; k++) {
    if (held[k].ops == ops) return &held[k].count;
    if (held[k].ops) continue;
    held[k].ops = ops;
    return &held[k].count;
  }
  return NULL;
}

dp_status dpi_instance_take(const dp_sim *sim) {
  int most = sim->spoke_desc->max_instances;
  if (most <= 0) return DP_OK;
  pthread_mutex_lock(&lock);
  int *count = count_of(sim->ops);
  bool ok = count && *count < most;
  if (ok) ++*count;
  pthread_mutex_unlock(&lock);
  if (ok) return DP_OK;
  return dpi_fail(sim->ctx, DP_ERR_UNSUPPORTED,
                  "spoke '%s': max_instances is %d and as many runs are open: close one first",
                  sim->ops->name, most);
}

void dpi_instance_give(const dp_sim *sim) {
  if (sim->spoke_desc->max_instances <= 0) return;
  pthread_mutex_lock(&lock);
  int *count = count_of(sim->ops);
  if (count && *count > 0) --*count;
  pthread_mutex_unlock(&lock);
}
