/* context.h - the caller's side of the library: memory, threads, messages, cancelling.
 *
 * One dp_ctx is made by the caller and handed to everything. The library allocates through its hook, never prints,
 * never exits, never reads the environment. A context may be used by many threads at once; the error record keeps the
 * first message since dp_ctx_clear_error.
 *
 *     dp_ctx_def def = dp_ctx_def_default();
 *     def.nthread = 2;
 *     dp_ctx *ctx = NULL;
 *     if (dp_ctx_create(&def, &ctx) != DP_OK) ...
 *     ...
 *     fprintf(stderr, "%s\n", dp_ctx_error(ctx));
 *     dp_ctx_destroy(ctx);
 */
#ifndef DOPPEL_CONTEXT_H
#define DOPPEL_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

#include "doppel/ranks.h"
#include "doppel/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dp_ctx dp_ctx;

/* Memory hook in Lua's form: size_new == 0 frees, ptr == NULL allocates; the old size is always given.
 * Must return memory aligned for any type, or NULL when there is none. */
typedef void *(*dp_alloc_fn)(void *user, void *ptr, size_t size_old, size_t size_new);

/* Receives progress and log lines (without newline). level: 0 error, 1 warning, 2 info, 3 debug. */
typedef void (*dp_log_fn)(void *user, int level, const char *line);

typedef struct dp_ctx_def {
  uint32_t cookie;   /* set by dp_ctx_def_default, checked at create */
  dp_alloc_fn alloc; /* NULL: the C library */
  void *alloc_user;  /* borrowed */
  dp_log_fn log;     /* NULL: silent */
  void *log_user;    /* borrowed */
  int nthread;       /* workers below the waist; 1 = everything on the calling thread; results never depend on it */
  int interpret;     /* not 0: never make machine code of models; results do not depend on it */
  const char *cache; /* folder for machine code kept between runs, NULL: none; copied; made when needed */
  const dp_ranks *ranks; /* NULL: this process alone; borrowed */
} dp_ctx_def;

dp_ctx_def dp_ctx_def_default(void);

/* Owned by the caller, destroyed with dp_ctx_destroy (NULL is allowed). */
dp_status dp_ctx_create(const dp_ctx_def *def, dp_ctx **out);
void dp_ctx_destroy(dp_ctx *ctx);

int dp_ctx_nthread(const dp_ctx *ctx);

/* First message since the last clear: "place: what was found, what was expected". "" when there is none.
 * Borrowed until the next failing call or clear. */
const char *dp_ctx_error(const dp_ctx *ctx);
void dp_ctx_clear_error(dp_ctx *ctx);

/* Ask all running work of this context to stop soon (safe from a signal handler); it returns DP_ERR_CANCELLED. */
void dp_ctx_cancel(dp_ctx *ctx);
void dp_ctx_resume(dp_ctx *ctx); /* takes the request back, so that the context can be used again */
int dp_ctx_cancelled(const dp_ctx *ctx);

/* Version of the library ("0.1.0") and the arithmetic in use: "fma" or "nofma" (which of the two reproducible ones). */
const char *dp_version(void);
const char *dp_arithmetic(void);

#ifdef __cplusplus
}
#endif
#endif
