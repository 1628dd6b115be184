/* ranks.h - other processes that share the work (MPI), as the library sees them.
 *
 * All ranks make the same calls with the same arguments on contexts of their own (dp_ctx_def.ranks); rank 0 gets the
 * results. The library neither makes nor ends them. The program `doppel` gets them from a plug-in (libdoppel_mpi.so),
 * which it opens when it was started by mpirun; another program may fill a dp_ranks from whatever it has.
 */
#ifndef DOPPEL_RANKS_H
#define DOPPEL_RANKS_H

#include <stddef.h>
#include <stdint.h>

#include "doppel/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Messages from one rank to another keep their order. Called by one thread at a time. After an error they can't be used
 * again. */
typedef struct dp_ranks {
  int rank, nrank;
  void *user; /* borrowed */
  /* Returns when bytes may be used again, which may be before they arrive. DP_ERR_CANCELLED: `to` has left. */
  dp_status (*send)(void *user, int to, const void *bytes, size_t size);
  /* 1: a message of *size bytes is there; 0: none yet; -1: that rank has left, with *status and *why (borrowed). */
  int (*poll)(void *user, int from, size_t *size, dp_status *status, const char **why);
  /* The message that poll has told of, with its size. */
  dp_status (*receive)(void *user, int from, void *bytes, size_t size);
} dp_ranks;

/* What a plug-in exports, under the name DP_RANKS_PLUGIN. */
#define DP_RANKS_INTERFACE 1u
#define DP_RANKS_PLUGIN "dp_plugin_ranks"
typedef struct dp_ranks_plugin {
  uint32_t interface;
  const char *about;                               /* what carries the messages: "MPI" */
  const dp_ranks *(*join)(char *why, size_t size); /* NULL: could not, why; borrowed until leave */
  /* The last call: tells the others, waits until all have left (not long: then they are ended), ends the connection. */
  void (*leave)(dp_status status, const char *why);
} dp_ranks_plugin;

#ifdef __cplusplus
}
#endif
#endif
