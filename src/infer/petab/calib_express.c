/* calib_express.c - floor 6: what tables give as values: expressions of the parameter table, with their derivatives.  O
 *
 * Symbols of the scope: time, the parameters of the table, and constants of a model that values name. Equal expressions
 * have one number, so that conditions can be compared.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "infer/petab/calib.h"

/* number_of[node]: 1 + its number among the expressions, 0: it is none */
static dp_status append(dpi_express *e, dpi_node node, int *out) {
  if (node == DPI_NODE_NONE) return DP_ERR_MEMORY;
  const int before = e->cap_number;
  DP_TRY(dpi_grow(e->ctx, (void **)&e->number_of, &e->cap_number, node + 1, sizeof *e->number_of));
  for (int i = before; i < e->cap_number; i++) e->number_of[i] = 0;
  *out = e->number_of[node] - 1;
  if (*out >= 0) return DP_OK;
  DP_TRY(dpi_grow(e->ctx, (void **)&e->node, &e->cap, e->n + 1, sizeof *e->node));
  *out = e->n;
  e->node[e->n++] = node;
  e->number_of[node] = e->n;
  return DP_OK;
}

dp_status dpi_express_init(dpi_express *e, dpi_arena *arena, const dpi_calib_param *param, int nparam, const int *est) {
  *e = (dpi_express){.ctx = arena->ctx, .arena = arena, .param = param, .nparam = nparam, .est = est};
  DP_TRY(dpi_model_create(e->ctx, "parameters", "parameters", &e->scope));
  e->sym = DPI_ARENA_ARRAY(arena, int, nparam + 1);
  if (!e->sym) return DP_ERR_MEMORY;
  for (int k = 0; k < nparam; k++) {
    int number;
    DP_TRY(dpi_model_declare(e->scope, param[k].element, 0, &e->sym[k]));
    DP_TRY(append(e, dpi_g_sym(e->scope->graph, e->sym[k]), &number));
    if (number != k)
      return dpi_fail(e->ctx, DP_ERR_INPUT, "%s: parameter '%s' stands in the table twice; remove one of its rows",
                      param[k].where, param[k].id);
  }
  return DP_OK;
}

void dpi_express_release(dpi_express *e) {
  dpi_tape_destroy(e->tape);
  dp_model_destroy(e->scope);
  dpi_free(e->ctx, e->node);
  dpi_free(e->ctx, e->number_of);
  dpi_free(e->ctx, e->constant_sym);
  dpi_free(e->ctx, e->constant);
}

dp_status dpi_express_constant(dpi_express *e, double value, int *out) {
  return append(e, dpi_g_const(e->scope->graph, value), out);
}

/* A name that is no parameter of the table: a constant of the model counts with its value. */
static dp_status settle_name(dpi_express *e, const dp_model *m, int sym, const char **foreign) {
  const char *id = e->scope->sym[sym].id;
  for (int i = 0; i < e->nconstant; i++)
    if (e->constant_sym[i] == sym) return DP_OK;
  const int in = m ? dpi_model_find(m, id) : -1;
  const dpi_symbol *y = in > 0 ? &m->sym[in] : NULL;
  if (!y || y->kind != DPI_SYM_PARAM || y->init != DPI_NODE_NONE || isnan(y->value)) {
    *foreign = id;
    return DP_OK;
  }
  int cap = e->cap_constant;
  DP_TRY(dpi_grow(e->ctx, (void **)&e->constant, &cap, e->nconstant + 1, sizeof *e->constant));
  DP_TRY(dpi_grow(e->ctx, (void **)&e->constant_sym, &e->cap_constant, e->nconstant + 1, sizeof *e->constant_sym));
  e->constant[e->nconstant] = y->value;
  e->constant_sym[e->nconstant++] = sym;
  return DP_OK;
}

static dp_status settle_names(dpi_express *e, const dp_model *m, dpi_node node, const char **foreign) {
  const int32_t *list;
  int n;
  DP_TRY(dpi_g_symbols(e->scope->graph, node, &list, &n));
  for (int i = 0; i < n && !*foreign; i++) {
    bool known = list[i] == 0;
    for (int k = 0; k < e->nparam && !known; k++) known = e->sym[k] == list[i];
    if (!known) DP_TRY(settle_name(e, m, list[i], foreign));
  }
  return DP_OK;
}

dp_status dpi_express_add(dpi_express *e, const dp_model *m, const char *text, const char *where, double at, int *out,
                          const char **foreign) {
  double number;
  dpi_node node;
  *out = -1;
  *foreign = NULL;
  if (dpi_parse_double(text, &number)) return dpi_express_constant(e, number, out);
  DP_TRY(dpi_model_parse(e->scope, text, where, true, &node));
  const dpi_node time = dpi_g_const(e->scope->graph, at);
  node = time == DPI_NODE_NONE ? time : dpi_g_subst(e->scope->graph, node, &time, 1);
  if (node == DPI_NODE_NONE) return DP_ERR_MEMORY;
  DP_TRY(settle_names(e, m, node, foreign));
  return *foreign ? DP_OK : append(e, node, out);
}

/* Partial derivatives that are not zero everywhere, expression by expression. */
static dp_status differentiate(dpi_express *e, dpi_node **all) {
  dpi_graph *g = e->scope->graph;
  const dpi_node zero = dpi_g_const(g, 0);
  int cap = 0, cap_by = 0, *by = NULL;
  dp_status st = dpi_grow(e->ctx, (void **)all, &cap, e->n + 1, sizeof **all);
  if (st == DP_OK) memcpy(*all, e->node, (size_t)e->n * sizeof **all);
  for (int i = 0; i < e->n && st == DP_OK; i++) {
    e->first[i] = e->npartial;
    if (dpi_graph_at(g, e->node[i]).op == DPI_OP_CONST) continue;
    for (int k = 0; k < e->nparam && st == DP_OK; k++) {
      if (e->est[k] < 0 || (i < e->nparam && i != k)) continue;
      const dpi_node d = dpi_g_diff(g, e->node[i], e->sym[k]);
      if (d == zero) continue;
      st = d == DPI_NODE_NONE ? DP_ERR_MEMORY
                              : dpi_grow(e->ctx, (void **)all, &cap, e->n + e->npartial + 1, sizeof **all);
      if (st == DP_OK) st = dpi_grow(e->ctx, (void **)&by, &cap_by, e->npartial + 1, sizeof *by);
      if (st != DP_OK) break;
      (*all)[e->n + e->npartial] = d;
      by[e->npartial++] = e->est[k];
    }
  }
  e->first[e->n] = e->npartial;
  e->by = DPI_ARENA_ARRAY(e->arena, int, e->npartial + 1);
  if (st == DP_OK && !e->by) st = DP_ERR_MEMORY;
  if (st == DP_OK && by) memcpy(e->by, by, (size_t)e->npartial * sizeof *by);
  dpi_free(e->ctx, by);
  return st;
}

dp_status dpi_express_compile(dpi_express *e) {
  dpi_node *all = NULL;
  e->first = DPI_ARENA_ARRAY(e->arena, int, e->n + 1);
  uint8_t *fast = DPI_ARENA_ARRAY(e->arena, uint8_t, e->scope->nsym);
  if (!e->first || !fast) return DP_ERR_MEMORY;
  memset(fast, 1, (size_t)e->scope->nsym);
  dp_status st = differentiate(e, &all);
  if (st == DP_OK)
    st = dpi_tape_create(e->ctx, e->scope->graph, all, e->n + e->npartial, fast, e->scope->nsym, &e->tape);
  dpi_free(e->ctx, all);
  if (st == DP_OK) e->nreg = dpi_tape_nreg(e->tape);
  return st;
}

size_t dpi_express_work(const dpi_express *e) { return (size_t)e->nreg + (size_t)e->scope->nsym + 1; }

void dpi_express_eval(const dpi_express *e, const double *theta, double *work, double *out) {
  double *sym = work + e->nreg;
  memset(sym, 0, sizeof *sym * (size_t)e->scope->nsym);
  for (int k = 0; k < e->nparam; k++) sym[e->sym[k]] = theta[k];
  for (int i = 0; i < e->nconstant; i++) sym[e->constant_sym[i]] = e->constant[i];
  dpi_tape_init(e->tape, work);
  dpi_tape_prologue(e->tape, sym, work);
  dpi_tape_eval(e->tape, sym, work, out);
}
