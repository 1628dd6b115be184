/* failing_memory.h - for tests of every room: memory that gives nothing at the n-th request, once or from then on.
 *
 *     failing_memory memory = {0};
 *     dp_ctx *ctx = failing_context(&memory);
 *     failing_next(&memory, n);       n requests are granted, the next one is refused (failing_stays: and all after it)
 *     ...
 *     bool failed = failing_happened(&memory);
 *     failing_never(&memory);
 */
#ifndef FAILING_MEMORY_H
#define FAILING_MEMORY_H

#include <stdbool.h>
#include <stdlib.h>

#include "doppel/context.h"

typedef struct failing_memory {
  long calls;   /* requests so far */
  long fail_at; /* the request of this number is refused; 0: none */
  bool stays;   /* and all after it */
} failing_memory;

static inline void *failing_alloc(void *user, void *ptr, size_t size_old, size_t size_new) {
  failing_memory *m = user;
  (void)size_old;
  if (size_new == 0) {
    free(ptr);
    return NULL;
  }
  m->calls++;
  bool refused = m->fail_at > 0 && (m->stays ? m->calls >= m->fail_at : m->calls == m->fail_at);
  return refused ? NULL : realloc(ptr, size_new);
}

static inline dp_ctx_def failing_def(failing_memory *m) {
  dp_ctx_def def = dp_ctx_def_default();
  def.alloc = failing_alloc;
  def.alloc_user = m;
  return def;
}

/* NULL: the context itself got no memory. */
static inline dp_ctx *failing_context(failing_memory *m) {
  dp_ctx_def def = failing_def(m);
  dp_ctx *ctx = NULL;
  return dp_ctx_create(&def, &ctx) == DP_OK ? ctx : NULL;
}

static inline void failing_next(failing_memory *m, long granted) {
  m->fail_at = m->calls + granted + 1;
  m->stays = false;
}
static inline void failing_stays(failing_memory *m, long granted) {
  m->fail_at = m->calls + granted + 1;
  m->stays = true;
}
static inline bool failing_happened(const failing_memory *m) { return m->fail_at > 0 && m->calls >= m->fail_at; }
static inline void failing_never(failing_memory *m) { m->fail_at = 0; }

#endif
