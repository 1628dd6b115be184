/* sweep.h - floor 3, inside the room: what both passes of derivatives over a graph start from.
 *
 * A sweep is the list of nodes that some outputs are made of, ascending, with those marked that depend on the inputs.
 * An input may be any node: derivatives enter there and what it is made of is not looked at.
 */
#ifndef DPI_SWEEP_H
#define DPI_SWEEP_H

#include "lang/lang_impl.h"

typedef struct dpi_sweep {
  dpi_graph *g;
  int n;
  dpi_node *list;  /* [n] ascending */
  int32_t *place;  /* [top + 1] index of a node in list */
  uint8_t *active; /* [n] depends on an input */
  uint8_t *input;  /* [n] is one */
  dpi_node top;
} dpi_sweep;

dp_status dpi_sweep_init(dpi_sweep *s, dp_ctx *ctx, dpi_graph *g, const dpi_node *out, int nout, const dpi_node *at,
                         int nat);
void dpi_sweep_release(dpi_sweep *s, dp_ctx *ctx);
/* Index of a node, -1 when no output is made of it. */
static inline int dpi_sweep_find(const dpi_sweep *s, dpi_node node) {
  return node < 0 || node > s->top ? -1 : s->place[node];
}

#endif
