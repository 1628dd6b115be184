/* own_context.h - for tests of every room that need a context and no more: one for the whole program, `ctx`; what is not
 * given back by its end fails the teardown.
 *
 *     return cmocka_run_group_tests(tests, setup, teardown);
 *
 * A test that needs another context than the default one says which before it includes this:
 *
 *     #define OWN_CONTEXT_DEF failing_def(&memory)
 */
#ifndef OWN_CONTEXT_H
#define OWN_CONTEXT_H

#include "base/base.h"

#ifndef OWN_CONTEXT_DEF
#define OWN_CONTEXT_DEF dp_ctx_def_default()
#endif

static dp_ctx *ctx;

static int setup(void **state) {
  (void)state;
  dp_ctx_def def = OWN_CONTEXT_DEF;
  return dp_ctx_create(&def, &ctx) == DP_OK ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  size_t live = dpi_alloc_live(ctx);
  dp_ctx_destroy(ctx);
  return live == 0 ? 0 : -1;
}

#endif
