/* kind_linear.c - which responses are proportional to the doses, found in the formulas. Floor 5.
 *
 * Where every rate is a sum of states times what no state reaches, and nothing starts, jumps or is delayed by itself,
 * the state under
 * twice the doses is twice the state; a quantity that is such a sum too is then twice the quantity. A search over doses
 * uses it: one
 * simulation serves every dose of the same schedule.
 *
 * The degree of a node: 0 no state or time in it, 1 homogeneous of degree one in the states, ANY the number zero (fits
 * with both),
 * OTHER everything else, which is always a safe answer.
 */
#include "kind/kind_draft.h"
#include "lang/lang.h"

#include <string.h>

enum { UNKNOWN, CONSTANT, PROPORTIONAL, ANY, OTHER };

typedef struct degrees {
  const dp_model *m;
  uint8_t *of; /* [nodes] memo */
} degrees;

static int of_symbol(const degrees *d, int sym) {
  if (d->m->sym[sym].kind == DPI_SYM_STATE) return PROPORTIONAL;
  return d->m->sym[sym].kind == DPI_SYM_PARAM ? CONSTANT : OTHER;
}

/* Of a sum. */
static int of_sum(int a, int b) {
  if (a == OTHER || b == OTHER) return OTHER;
  if (a == ANY || b == ANY) return a == ANY ? b : a;
  return a == b ? a : OTHER;
}

static int of_product(int a, int b) {
  if (a == OTHER || b == OTHER) return OTHER;
  if (a == ANY || b == ANY) return ANY;
  return a == CONSTANT ? b : b == CONSTANT ? a : OTHER;
}

static int degree(const degrees *d, dpi_node n, int depth);

/* Any other operation: of what no state reaches. */
static int of_other(const degrees *d, const dpi_gnode *g, int depth) {
  for (int i = 0; i < dpi_op_arity(g->op); i++) {
    int a = degree(d, g->arg[i], depth);
    if (a != CONSTANT && a != ANY) return OTHER;
  }
  return CONSTANT;
}

/* Between two formulas under a condition that no state decides. */
static int of_choice(const degrees *d, const dpi_gnode *g, int depth) {
  int c = degree(d, g->arg[0], depth);
  if (c != CONSTANT && c != ANY) return OTHER;
  return of_sum(degree(d, g->arg[1], depth), degree(d, g->arg[2], depth));
}

static int find_degree(const degrees *d, dpi_node n, int depth) {
  dpi_gnode g = dpi_graph_at(d->m->graph, n);
  switch (g.op) {
    case DPI_OP_CONST:
      return g.value == 0 ? ANY : CONSTANT;
    case DPI_OP_SYM:
      return of_symbol(d, g.arg[0]);
    case DPI_OP_NEG:
      return degree(d, g.arg[0], depth);
    case DPI_OP_ADD:
    case DPI_OP_SUB:
      return of_sum(degree(d, g.arg[0], depth), degree(d, g.arg[1], depth));
    case DPI_OP_MUL:
      return of_product(degree(d, g.arg[0], depth), degree(d, g.arg[1], depth));
    case DPI_OP_DIV:
      return degree(d, g.arg[1], depth) == CONSTANT ? degree(d, g.arg[0], depth) : OTHER;
    case DPI_OP_IF:
      return of_choice(d, &g, depth);
    default:
      return of_other(d, &g, depth);
  }
}

static int degree(const degrees *d, dpi_node n, int depth) {
  if (depth > 2000) return OTHER; /* nobody's formula; keeps the stack */
  if (d->of[n] == UNKNOWN) d->of[n] = (uint8_t)find_degree(d, n, depth + 1);
  return d->of[n];
}

/* Everything that moves the states is proportional to them, and they start from nothing. */
static bool proportional_rates(const degrees *d) {
  const dp_model *m = d->m;
  if (m->nevent || m->ndelayed || m->nalgebraic || m->ndraw || m->nconstraint) return false;
  for (int s = 1; s <= m->nstate; s++) {
    int rate = m->sym[s].formula == DPI_NODE_NONE ? ANY : degree(d, m->sym[s].formula, 0);
    if (rate != PROPORTIONAL && rate != ANY) return false;
    double start = m->sym[s].init == DPI_NODE_NONE ? m->sym[s].value : 1;
    if (m->sym[s].init != DPI_NODE_NONE && degree(d, m->sym[s].init, 0) == ANY) start = 0;
    if (start != 0) return false;
  }
  return true;
}

dp_status dpi_draft_linear(dpi_draft *d) {
  dp_kind *k = d->kind;
  dp_model *m = k->model;
  dpi_node *node = DPI_NEW_ARRAY(d->ctx, dpi_node, k->nquantity + 1);
  dp_status status = node ? DP_OK : DP_ERR_MEMORY;
  for (int i = 0; status == DP_OK && i < k->nquantity; i++)
    status = dpi_model_parse(m, d->formula[i].text, d->formula[i].where, false, &node[i]);
  degrees at = {.m = m, .of = NULL};
  if (status == DP_OK && !(at.of = DPI_NEW_ARRAY(d->ctx, uint8_t, dpi_graph_count(m->graph) + 1)))
    status = DP_ERR_MEMORY;
  if (status == DP_OK) {
    k->proportional = proportional_rates(&at);
    for (int i = 0; i < k->nquantity; i++) {
      int q = degree(&at, node[i], 0);
      d->quantity[i].proportional = k->proportional && (q == PROPORTIONAL || q == ANY);
    }
  }
  dpi_free(d->ctx, at.of);
  dpi_free(d->ctx, node);
  return status;
}
