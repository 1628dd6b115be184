/* resolve.c - floor 3: the value of every symbol, written out: at the start, or at any time. Loops are named.
 *
 * A symbol is opened (what it needs goes onto the stack first), then closed (its expression is written in values).
 *
 *  at any time       assigned symbols are replaced; everything else stands for itself;
 *  before the start  initial expressions are replaced too: what has a value was its initial expression, as a function
 *                    of time, and changed as that does: rateOf(x) is its derivative by time. A delayed symbol is what
 *                    its expression was at time - lag. A state that a constraint gives implicitly stands for itself:
 *                    its value is found when the model runs;
 *  at the start      the same, but rates are those of the running model and delayed symbols come from before the start.
 */
#include <string.h>

#include "lang/seal_impl.h"

dp_status dpi_seal_no_memory(const dpi_sealer *s) {
  return dpi_fail(s->ctx, DP_ERR_MEMORY, "model '%s' is too large to write out", s->m->name);
}

dp_status dpi_seal_symbols(dpi_sealer *s, dpi_node node, int *n) {
  const dpi_node *list;
  int count;
  *n = 0;
  if (node == DPI_NODE_NONE) return DP_OK;
  if (dpi_g_reach_fast(s->m->graph, node, -1, &list, &count) != DP_OK) return dpi_seal_no_memory(s);
  for (int i = 0; i < count; i++) {
    dpi_gnode at = dpi_graph_at(s->m->graph, list[i]);
    if (at.op != DPI_OP_SYM) continue;
    DP_TRY(dpi_grow(s->ctx, (void **)&s->list, &s->cap_list, *n + 1, sizeof *s->list));
    s->list[(*n)++] = at.arg[0];
  }
  return DP_OK;
}

/* a rate of change before the start, where nothing follows the model's equations yet */
static bool is_past_rate(const dpi_sealer *s, int sym) {
  const dpi_symbol *y = &s->m->sym[sym];
  return s->when == DPI_SEAL_PAST && y->target > 0 && y->kind == DPI_SYM_ASSIGNED;
}

/* the expression that gives the symbol's value, or NONE: the symbol itself stands for it */
static dpi_node source_of(const dpi_sealer *s, int sym) {
  const dpi_symbol *y = &s->m->sym[sym];
  if (is_past_rate(s, sym)) return dpi_g_sym(s->m->graph, y->target);
  if (y->kind == DPI_SYM_ASSIGNED) return y->formula;
  if (s->when == DPI_SEAL_PRESENT || s->when == DPI_SEAL_NOW || y->algebraic) return DPI_NODE_NONE;
  if (y->kind != DPI_SYM_DELAYED) return y->init;
  return s->when == DPI_SEAL_PAST ? y->formula : DPI_NODE_NONE;
}

static dp_status push(dpi_sealer *s, int sym) {
  DP_TRY(dpi_grow(s->ctx, (void **)&s->stack, &s->cap_stack, s->nstack + 1, sizeof *s->stack));
  s->stack[s->nstack++] = sym;
  return DP_OK;
}

static dp_status name_loop(const dpi_sealer *s, int again) {
  dpi_str text;
  dpi_str_init(&text, s->ctx);
  int from = s->npath - 1, line = s->m->sym[again].line;
  bool assigned = true;
  while (from > 0 && s->path[from] != again) from--;
  for (int i = from; i < s->npath; i++) {
    const dpi_symbol *y = &s->m->sym[s->path[i]];
    dpi_str_addf(&text, "%s -> ", y->id);
    assigned = assigned && y->kind == DPI_SYM_ASSIGNED;
  }
  dpi_str_add(&text, s->m->sym[again].id);
  dp_status status = dpi_fail(s->ctx, DP_ERR_INPUT, "%s:%d: %s loop: %s", s->m->source, line,
                              assigned ? "assignment" : "initial value", dpi_str_text(&text));
  dpi_str_release(&text);
  return status;
}

static dp_status push_needs(dpi_sealer *s, dpi_node source) {
  int n;
  DP_TRY(dpi_seal_symbols(s, source, &n));
  for (int i = 0; i < n; i++) {
    int need = s->list[i];
    if (s->mark[need] == 2) continue;
    if (s->mark[need] == 1) return name_loop(s, need);
    DP_TRY(push(s, need));
  }
  return DP_OK;
}

/* push what sym needs first; *ready when there is nothing */
static dp_status open_symbol(dpi_sealer *s, int sym, bool *ready) {
  int before = s->nstack;
  *ready = true;
  dpi_node source = source_of(s, sym);
  if (source == DPI_NODE_NONE) return DP_OK;
  s->mark[sym] = 1;
  s->path[s->npath++] = sym;
  DP_TRY(push_needs(s, source));
  if (s->m->sym[sym].kind == DPI_SYM_DELAYED) DP_TRY(push_needs(s, s->m->sym[sym].delay)); /* PAST */
  *ready = s->nstack == before;
  return DP_OK;
}

/* what an expression of time was a lag earlier */
static dpi_node earlier(dpi_sealer *s, int sym, dpi_node then, const dpi_node *value) {
  dpi_graph *g = s->m->graph;
  dpi_node lag = dpi_g_subst(g, s->m->sym[sym].delay, value, s->n);
  dpi_node shifted = dpi_g_op2(g, DPI_OP_SUB, dpi_g_sym(g, 0), lag);
  return shifted == DPI_NODE_NONE ? DPI_NODE_NONE : dpi_g_subst(g, then, &shifted, 1); /* symbol 0 is time */
}

static dpi_node value_of(dpi_sealer *s, int sym, const dpi_node *value) {
  dpi_graph *g = s->m->graph;
  dpi_node source = source_of(s, sym);
  bool delayed = s->m->sym[sym].kind == DPI_SYM_DELAYED;
  if (delayed && s->when == DPI_SEAL_START) return s->past[sym];
  if (source == DPI_NODE_NONE) return dpi_g_sym(g, s->when == DPI_SEAL_NOW ? s->number[sym] : sym);
  dpi_node made = dpi_g_subst(g, source, value, s->n);
  if (is_past_rate(s, sym)) return dpi_g_diff(g, made, 0); /* by time */
  return delayed ? earlier(s, sym, made, value) : made;
}

static dp_status close_symbol(dpi_sealer *s, int sym, dpi_node *value) {
  value[sym] = value_of(s, sym, value);
  if (value[sym] == DPI_NODE_NONE) return dpi_seal_no_memory(s);
  if (s->mark[sym] == 1) s->npath--;
  s->mark[sym] = 2;
  return DP_OK;
}

dp_status dpi_seal_resolve(dpi_sealer *s, dpi_seal_when when, dpi_node *value) {
  s->when = when;
  s->npath = 0;
  memset(s->mark, 0, (size_t)s->n);
  for (int i = 0; i < s->n; i++) value[i] = DPI_NODE_NONE;
  for (int i = 0; i < s->n; i++) {
    s->nstack = 0;
    DP_TRY(push(s, i));
    while (s->nstack > 0) {
      int sym = s->stack[s->nstack - 1];
      bool ready = true;
      if (s->mark[sym] == 0) DP_TRY(open_symbol(s, sym, &ready));
      if (!ready) continue;
      s->nstack--;
      if (s->mark[sym] != 2) DP_TRY(close_symbol(s, sym, value));
    }
  }
  return DP_OK;
}

dp_status dpi_seal_write_out(dpi_sealer *s, dpi_node *node, const dpi_node *value) {
  if (*node == DPI_NODE_NONE) return DP_OK;
  *node = dpi_g_subst(s->m->graph, *node, value, s->n);
  return *node == DPI_NODE_NONE ? dpi_seal_no_memory(s) : DP_OK;
}
