/* tape_spread.c - floor 3: the body of a tape for a workspace that is a whole number of vectors wide.
 *
 *     row r of a workspace of 2 vectors:   [vector 0][vector 1]  =  rows 2 r and 2 r + 1 of one of a single vector
 *
 * A body for one vector waits for itself: what a step computes is needed by one of the next. With two copies of it,
 * step by step in turn, one vector works while the other waits. Each copy does what the tape says, in its order. */
#include <string.h>

#include "lang/tape.h"

static dp_status alloc(dpi_tape *t, int count) {
  dp_ctx *ctx = t->ctx;
  t->constant = DPI_NEW_ARRAY(ctx, double, t->nconst + 1);
  t->slow = DPI_NEW_ARRAY(ctx, dpi_load, 1);
  t->fast = DPI_NEW_ARRAY(ctx, dpi_load, 1);
  t->prologue = DPI_NEW_ARRAY(ctx, dpi_step, 1);
  t->body = DPI_NEW_ARRAY(ctx, dpi_step, t->nbody + 1);
  t->out = DPI_NEW_ARRAY(ctx, int32_t, count + 1);
  return t->constant && t->slow && t->fast && t->prologue && t->body && t->out ? DP_OK : DP_ERR_MEMORY;
}

/* An exponent of POWI is no row. */
static dpi_step moved(dpi_step s, int of, int which) {
  s.dst = s.dst * of + which;
  s.a = s.a * of + which;
  if (s.op != DPI_OP_POWI) s.b = s.b * of + which;
  s.c = s.c * of + which;
  return s;
}

dp_status dpi_tape_spread(const dpi_tape *t, int of, int copies, dpi_tape **out) {
  dpi_tape *p = DPI_NEW(t->ctx, dpi_tape);
  *out = NULL;
  DP_ASSERT(copies >= 1 && copies <= of && t->nreg <= INT32_MAX / of && t->nbody <= INT32_MAX / of - 1);
  if (!p) return DP_ERR_MEMORY;
  p->ctx = t->ctx;
  p->nconst = t->nconst * of;
  p->nreg = t->nreg * of;
  p->nbody = t->nbody * copies;
  p->nout = t->nout * copies;
  if (alloc(p, p->nout) != DP_OK) {
    dpi_tape_destroy(p);
    return DP_ERR_MEMORY;
  }
  for (int i = 0; i < p->nconst; i++) p->constant[i] = t->constant[i / of];
  for (int i = 0; i < p->nbody; i++) p->body[i] = moved(t->body[i / copies], of, i % copies);
  for (int i = 0; i < p->nout; i++) p->out[i] = t->out[i / copies] * of + i % copies;
  p->prologue[0].op = p->body[p->nbody].op = DPI_STEP_END;
  *out = p;
  return DP_OK;
}
