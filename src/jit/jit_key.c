/* jit_key.c - floor 3: what an entry of the cache is known by: everything the code follows from.
 *
 * Constants are no part of it: code reads them from their rows.
 */
#include <stdio.h>
#include <string.h>

#include "jit/jit_impl.h"

/* changes whenever the same tape may give other code: jit_emit.c, jit_target.c */
#define GENERATOR 1

/* numbers of operations and the place of their functions are in the code: so are their names in the key */
static const char op_names[] =
#define OP_NAME(name, arity, text) #name ","
    DPI_OP_LIST(OP_NAME);
#undef OP_NAME

void dpi_jit_key(dp_ctx *ctx, const dpi_tape *t, const dpi_jit_target *target, dpi_jit_tier tier, char key[65]) {
  key[0] = '\0';
  dpi_sha256 *h = dpi_sha256_create(ctx);
  if (h == NULL) return;
  char head[512];
  int n = snprintf(head, sizeof head, "doppel %s generator %d llvm %s %s %s %s width %d %s tier %d call %zu %zu\n",
                   dp_version(), GENERATOR, dpi_jit_llvm_version(), target->triple, target->cpu, target->features,
                   target->width, target->fma ? "fma" : "nofma", (int)tier, offsetof(dpi_lane_ops, call),
                   sizeof(dpi_lane_fn));
  DP_ASSERT(n > 0 && (size_t)n < sizeof head);
  dpi_sha256_add(h, head, (size_t)n);
  dpi_sha256_add(h, op_names, sizeof op_names);
  const int32_t shape[] = {t->nconst, t->nslow, t->nfast, t->nout, t->nreg, t->nprologue, t->nbody};
  dpi_sha256_add(h, shape, sizeof shape);
  dpi_sha256_add(h, t->prologue, (size_t)t->nprologue * sizeof *t->prologue);
  dpi_sha256_add(h, t->body, (size_t)t->nbody * sizeof *t->body);
  dpi_sha256_add(h, t->out, (size_t)t->nout * sizeof *t->out);
  dpi_sha256_finish(h, key);
}
