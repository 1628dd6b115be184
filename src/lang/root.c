/* root.c - floor 3: root functions of an event's trigger: it can change only where one of them passes through 0. */
#include "lang/seal_impl.h"

static bool is_logical_op(dpi_op op) { return op >= DPI_OP_LT && op <= DPI_OP_NOT; }

static dp_status add_root(dpi_sealer *s, dpi_node *root, int *nroot, dpi_node r) {
  double value;
  if (r == DPI_NODE_NONE) return DP_ERR_MEMORY;
  if (dpi_g_is_const(s->m->graph, r, &value)) return DP_OK;
  for (int i = 0; i < *nroot; i++)
    if (root[i] == r) return DP_OK;
  root[(*nroot)++] = r;
  return DP_OK;
}

/* a relation gives a - b; a number where a truth value stands gives itself */
static dp_status node_roots(dpi_sealer *s, dpi_node *root, int *nroot, dpi_gnode n) {
  dpi_graph *g = s->m->graph;
  if (n.op >= DPI_OP_LT && n.op <= DPI_OP_NE)
    return add_root(s, root, nroot, dpi_g_op2(g, DPI_OP_SUB, n.arg[0], n.arg[1]));
  int nlogical = n.op == DPI_OP_AND || n.op == DPI_OP_OR   ? 2
                 : n.op == DPI_OP_NOT || n.op == DPI_OP_IF ? 1
                                                           : 0;
  for (int k = 0; k < nlogical; k++)
    if (!is_logical_op(dpi_graph_at(g, n.arg[k]).op)) DP_TRY(add_root(s, root, nroot, n.arg[k]));
  return DP_OK;
}

dp_status dpi_seal_event_roots(dpi_sealer *s, dpi_model_event *e) {
  dpi_graph *g = s->m->graph;
  const dpi_node *list;
  int n = 0;
  /* a trigger that is a number counts as true when it is not 0 */
  if (!is_logical_op(dpi_graph_at(g, e->trigger).op))
    e->trigger = dpi_g_op2(g, DPI_OP_NE, e->trigger, dpi_g_const(g, 0.0));
  if (e->trigger == DPI_NODE_NONE) return DP_ERR_MEMORY;
  DP_TRY(dpi_g_reach_fast(g, e->trigger, -1, &list, &n)); /* building nodes leaves the list alone */
  dpi_node *root = DPI_ARENA_ARRAY(&s->m->arena, dpi_node, 2 * n + 1);
  if (root == NULL) return DP_ERR_MEMORY;
  for (int i = 0; i < n; i++) DP_TRY(node_roots(s, root, &e->nroot, dpi_graph_at(g, list[i])));
  e->root = root;
  return DP_OK;
}
