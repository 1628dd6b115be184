/* tangent.c - floor 3: directional derivatives of many expressions in one forward pass.
 *
 * Each node that depends on an input gets a derivative from those of its arguments by the rules of diff.c; shared nodes
 * get it once, so all outputs together cost a small multiple of what they cost themselves,
 * whatever the number of inputs.
 */
#include <string.h>

#include "lang/sweep.h"

static void mark(dpi_sweep *s, const dpi_node *at, int nat) {
  for (int i = 0; i < nat; i++) {
    const int k = dpi_sweep_find(s, at[i]);
    if (k >= 0) s->input[k] = s->active[k] = 1;
  }
  for (int i = 0; i < s->n; i++) {
    const dpi_gnode n = dpi_graph_at(s->g, s->list[i]);
    for (int k = 0; k < dpi_op_arity(n.op); k++) s->active[i] |= s->active[s->place[n.arg[k]]];
  }
}

dp_status dpi_sweep_init(dpi_sweep *s, dp_ctx *ctx, dpi_graph *g, const dpi_node *out, int nout, const dpi_node *at,
                         int nat) {
  *s = (dpi_sweep){.g = g, .top = -1};
  DP_TRY(dpi_g_reach(g, out, nout, &s->list, &s->n));
  if (s->n > 0) s->top = s->list[s->n - 1];
  s->place = DPI_NEW_ARRAY(ctx, int32_t, (size_t)s->top + 2);
  s->active = DPI_NEW_ARRAY(ctx, uint8_t, (size_t)s->n + 1);
  s->input = DPI_NEW_ARRAY(ctx, uint8_t, (size_t)s->n + 1);
  if (!s->place || !s->active || !s->input) {
    dpi_sweep_release(s, ctx);
    return DP_ERR_MEMORY;
  }
  memset(s->place, 0xff, ((size_t)s->top + 2) * sizeof *s->place);
  for (int i = 0; i < s->n; i++) s->place[s->list[i]] = i;
  mark(s, at, nat);
  return DP_OK;
}

void dpi_sweep_release(dpi_sweep *s, dp_ctx *ctx) {
  dpi_free(ctx, s->list);
  dpi_free(ctx, s->place);
  dpi_free(ctx, s->active);
  dpi_free(ctx, s->input);
  *s = (dpi_sweep){0};
}

/* Derivative of each active node into d [n]; inputs have theirs. */
static dp_status forward(const dpi_sweep *s, dpi_node *d) {
  const dpi_node zero = dpi_g_const(s->g, 0.0);
  if (zero == DPI_NODE_NONE) return DP_ERR_MEMORY;
  for (int i = 0; i < s->n; i++) {
    if (s->input[i]) continue;
    d[i] = zero;
    if (!s->active[i]) continue;
    const dpi_gnode n = dpi_graph_at(s->g, s->list[i]);
    dpi_node arg[3] = {zero, zero, zero};
    bool any = false;
    for (int k = 0; k < dpi_op_arity(n.op); k++) {
      arg[k] = d[s->place[n.arg[k]]];
      any = any || arg[k] != zero;
    }
    if (any) d[i] = dpi_g_chain(s->g, s->list[i], n, arg);
    if (d[i] == DPI_NODE_NONE) return DP_ERR_MEMORY;
  }
  return DP_OK;
}

dp_status dpi_g_jvp(dpi_graph *g, const dpi_node *out, int nout, const dpi_node *at, const dpi_node *dot, int nat,
                    dpi_node *tangent) {
  dp_ctx *ctx = dpi_g_ctx(g);
  const dpi_node zero = dpi_g_const(g, 0.0);
  dpi_sweep s;
  DP_TRY(dpi_sweep_init(&s, ctx, g, out, nout, at, nat));
  dpi_node *d = DPI_NEW_ARRAY(ctx, dpi_node, (size_t)s.n + 1);
  dp_status status = d && zero != DPI_NODE_NONE ? DP_OK : DP_ERR_MEMORY;
  for (int i = 0; i < nat && status == DP_OK; i++) {
    const int k = dpi_sweep_find(&s, at[i]);
    if (k >= 0) d[k] = dot[i] == DPI_NODE_NONE ? zero : dot[i];
  }
  if (status == DP_OK) status = forward(&s, d);
  for (int i = 0; i < nout && status == DP_OK; i++) tangent[i] = out[i] < 0 ? DPI_NODE_NONE : d[s.place[out[i]]];
  dpi_free(ctx, d);
  dpi_sweep_release(&s, ctx);
  return status;
}
