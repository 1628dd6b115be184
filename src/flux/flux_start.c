/* flux_start.c - floor 4: what a symbol is at time zero: its initial expression, its formula or its number.
 *
 * Works on sealed and unsealed models: the symbols that a formula needs are found first (with a stack, no recursion),
 * then put in as constants; the graph's builders fold what is left to one constant.
 */
#include <math.h>
#include <string.h>

#include "flux/flux.h"

enum { UNKNOWN, WAITING, KNOWN };

dp_status dpi_flux_start_init(dpi_flux_start *s, const dp_model *model) {
  memset(s, 0, sizeof *s);
  s->ctx = model->ctx;
  s->model = model;
  s->nsym = model->nsym;
  dpi_arena_init(&s->arena, model->ctx);
  s->value = DPI_ARENA_ARRAY(&s->arena, double, s->nsym);
  s->state = DPI_ARENA_ARRAY(&s->arena, uint8_t, s->nsym);
  s->seen = DPI_ARENA_ARRAY(&s->arena, uint8_t, s->nsym);
  s->constant = DPI_ARENA_ARRAY(&s->arena, dpi_node, s->nsym);
  s->stack = DPI_ARENA_ARRAY(&s->arena, int, s->nsym);
  if (s->value && s->state && s->seen && s->constant && s->stack) return DP_OK;
  dpi_flux_start_release(s);
  return DP_ERR_MEMORY;
}

void dpi_flux_start_release(dpi_flux_start *s) { dpi_arena_release(&s->arena); }

/* The formula that gives a symbol at the start, DPI_NODE_NONE: its number does. */
static dpi_node formula_of(const dpi_symbol *y) { return y->kind == DPI_SYM_ASSIGNED ? y->formula : y->init; }

static dp_status unusable(const dpi_flux_start *s, const dpi_symbol *y) {
  return dpi_fail(s->ctx, DP_ERR_UNSUPPORTED,
                  "%s:%d: '%s' decides a flux balance problem and is no number at time zero", s->model->source,
                  y->line, y->id);
}

/* Put first what symbol `sym` still needs on the stack; *more: how many were put there. */
static dp_status push_needs(dpi_flux_start *s, int sym, int *depth, bool *more) {
  const dpi_symbol *y = &s->model->sym[sym];
  memset(s->seen, 0, (size_t)s->nsym);
  DP_TRY(dpi_g_depends(s->model->graph, formula_of(y), s->seen, s->nsym));
  *more = false;
  for (int k = 0; k < s->nsym; k++) {
    if (!s->seen[k] || s->state[k] == KNOWN) continue;
    if (s->state[k] == WAITING)
      return dpi_fail(s->ctx, DP_ERR_INPUT, "%s:%d: '%s' and '%s' need each other", s->model->source, y->line, y->id,
                      s->model->sym[k].id);
    s->state[k] = WAITING;
    s->stack[(*depth)++] = k;
    *more = true;
    break; /* one at a time: what waits is on one path, so that a loop is seen */
  }
  return DP_OK;
}

/* All that the formula needs is known: fold it. */
static dp_status fold(dpi_flux_start *s, int sym) {
  const dpi_symbol *y = &s->model->sym[sym];
  dpi_graph *g = s->model->graph;
  for (int k = 0; k < s->nsym; k++) s->constant[k] = s->seen[k] ? dpi_g_const(g, s->value[k]) : DPI_NODE_NONE;
  dpi_node n = dpi_g_subst(g, formula_of(y), s->constant, s->nsym);
  if (n == DPI_NODE_NONE) return DP_ERR_MEMORY;
  dpi_gnode at = dpi_graph_at(g, n);
  if (at.op != DPI_OP_CONST) return unusable(s, y);
  s->value[sym] = at.value;
  return DP_OK;
}

static dp_status find_value(dpi_flux_start *s, int sym) {
  int depth = 0;
  s->state[sym] = WAITING;
  s->stack[depth++] = sym;
  while (depth > 0) {
    int top = s->stack[depth - 1];
    const dpi_symbol *y = &s->model->sym[top];
    bool more = false;
    if (y->kind == DPI_SYM_RATEOF || y->kind == DPI_SYM_DELAYED || y->kind == DPI_SYM_DRAW) return unusable(s, y);
    if (y->kind == DPI_SYM_TIME) {
      s->value[top] = 0;
    } else if (formula_of(y) == DPI_NODE_NONE) {
      s->value[top] = y->value;
    } else {
      DP_TRY(push_needs(s, top, &depth, &more));
      if (!more) DP_TRY(fold(s, top));
    }
    if (more) continue;
    s->state[top] = KNOWN;
    depth--;
  }
  return DP_OK;
}

dp_status dpi_flux_start_value(dpi_flux_start *s, const char *id, double *out) {
  int sym = dpi_model_find(s->model, id);
  *out = NAN;
  if (sym < 0) return DP_OK;
  if (s->state[sym] != KNOWN) DP_TRY(find_value(s, sym));
  *out = s->value[sym];
  return DP_OK;
}
