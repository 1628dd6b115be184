/* context_impl.h - the inside of dp_ctx; only the files of src/base include it.
 *
 * A thread that runs an item of dpi_parallel_for carries a *mark* (thread-local): which context,
 * which worker number, and a slot for messages. While a thread has a mark for a context, messages
 * of that context go to the mark's slot, not to the context, so that the message kept at the end
 * is that of the lowest failing item and not of the fastest.
 */
#ifndef DPI_CONTEXT_IMPL_H
#define DPI_CONTEXT_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/base.h"

#define DPI_CTX_COOKIE 0x44504358u /* "DPCX" */
#define DPI_ERROR_SIZE 2048

typedef struct dpi_error_slot {
  bool set;
  char text[DPI_ERROR_SIZE];
} dpi_error_slot;

typedef struct dpi_mark {
  const dp_ctx *ctx;
  int worker;
  bool alone; /* the loop has one item only and leaves the pool to loops inside it */
  dpi_error_slot error;
  struct dpi_mark *outer; /* marks nest as calls do */
} dpi_mark;

struct dp_ctx {
  dp_alloc_fn alloc;
  void *alloc_user;
  dp_log_fn log;
  void *log_user;
  int nthread;
  bool interpret;
  char *cache; /* owned */
  const dp_ranks *ranks; /* borrowed */

  pthread_mutex_t error_lock;
  dpi_error_slot error; /* guarded by error_lock until set, then constant until cleared */
  pthread_mutex_t log_lock;
  atomic_int cancelled;
  atomic_size_t live, total;

  pthread_mutex_t pool_lock; /* held by the thread whose loop the pool is running */
  struct dpi_pool *pool;     /* made by the first loop that wants it; guarded by pool_lock */
};

/* The innermost mark of this thread for ctx, or NULL. (threads.c) */
dpi_mark *dpi_mark_of(const dp_ctx *ctx);
/* Stop and free the workers. (threads.c) */
void dpi_pool_destroy(dp_ctx *ctx);

#endif
