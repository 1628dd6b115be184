/* rate.c - floor 3: rateOf(x) as a formula.
 *
 *  of a state           its rate;
 *  of what is assigned  the total derivative: d/dt of the formula by the chain rule, rates of assigned symbols being
 *                       symbols of their own, so that they are shared and their loops are found by resolving;
 *  of a state that a constraint 0 = g gives implicitly, alone in its equation: -(dg/dt without it) / (dg/dx);
 *  of parameters and draws 0, though events change them.
 *
 * What a constraint may determine is left until the constraints have found their variables.
 */
#include <math.h>

#include "lang/seal_impl.h"

#define RATE_ORDER 8 /* derivatives of derivatives */

bool dpi_seal_is_unknown(const dpi_sealer *s, int sym) {
  const dpi_symbol *y = &s->m->sym[sym];
  double rate;
  if (!y->free || y->algebraic) return false;
  if (y->kind == DPI_SYM_PARAM) return true;
  return y->kind == DPI_SYM_STATE && dpi_g_is_const(s->m->graph, y->formula, &rate) && rate == 0.0;
}

static bool may_be_determined(const dpi_sealer *s, int sym) {
  return !s->settled && s->m->nconstraint > 0 && dpi_seal_is_unknown(s, sym);
}

static dp_status note_rate(dpi_sealer *s, int sym, int rate, int order) {
  int before = s->cap_rate;
  DP_TRY(dpi_grow(s->ctx, (void **)&s->rate, &s->cap_rate, s->m->nsym, sizeof *s->rate));
  for (int i = before; i < s->cap_rate; i++) s->rate[i] = 0;
  before = s->cap_order;
  DP_TRY(dpi_grow(s->ctx, (void **)&s->order, &s->cap_order, s->m->nsym, sizeof *s->order));
  for (int i = before; i < s->cap_order; i++) s->order[i] = 0;
  s->rate[sym] = rate;
  s->order[rate] = order;
  return DP_OK;
}

/* the symbol whose value is the rate of sym, made when there is none */
static dp_status rate_symbol(dpi_sealer *s, int sym, int *rate) {
  dp_model *m = s->m;
  *rate = sym < s->cap_rate ? s->rate[sym] : 0;
  if (*rate > 0) return DP_OK;
  int order = 1 + (sym < s->cap_order ? s->order[sym] : 0);
  if (order > s->nrate_text + 1 || order > RATE_ORDER)
    return dpi_fail(s->ctx, DP_ERR_INPUT, "%s:%d: loop: '%s' depends on its own rate of change", m->source,
                    m->sym[sym].line, m->sym[sym].id);
  char *id = dpi_arena_printf(&m->arena, "rateOf(%s)", m->sym[sym].id);
  if (id == NULL) return DP_ERR_MEMORY;
  DP_TRY(dpi_model_declare(m, id, m->sym[sym].line, rate));
  m->sym[*rate].kind = DPI_SYM_RATEOF;
  m->sym[*rate].target = sym;
  return note_rate(s, sym, *rate, order);
}

/* d sym / dt as a node in symbols: 0 and 1 where it is known to be */
static dp_status rate_of(dpi_sealer *s, int sym, dpi_node *out) {
  dpi_graph *g = s->m->graph;
  const dpi_symbol *y = &s->m->sym[sym];
  int rate;
  if (y->kind == DPI_SYM_DELAYED)
    return dpi_fail(s->ctx, DP_ERR_UNSUPPORTED, "%s:%d: the rate of change of what depends on a delay is not supported",
                    s->m->source, y->line);
  if (y->kind == DPI_SYM_TIME) {
    *out = dpi_g_const(g, 1.0);
  } else if (y->kind == DPI_SYM_DRAW || (y->kind == DPI_SYM_PARAM && !may_be_determined(s, sym))) {
    *out = dpi_g_const(g, 0.0);
  } else if (y->kind == DPI_SYM_STATE && !y->algebraic && !may_be_determined(s, sym)) {
    *out = y->formula;
  } else {
    DP_TRY(rate_symbol(s, sym, &rate));
    *out = dpi_g_sym(g, rate);
  }
  return *out == DPI_NODE_NONE ? dpi_seal_no_memory(s) : DP_OK;
}

/* d node / dt by the chain rule; `but` is left out (-1: none) */
static dp_status total_derivative(dpi_sealer *s, dpi_node node, int but, dpi_node *out) {
  dpi_graph *g = s->m->graph;
  int n;
  DP_TRY(dpi_seal_symbols(s, node, &n));
  *out = dpi_g_const(g, 0.0);
  for (int i = 0; i < n && *out != DPI_NODE_NONE; i++) {
    int sym = s->list[i];
    dpi_node d = dpi_g_diff(g, node, sym), rate;
    double zero;
    if (sym == but || (d != DPI_NODE_NONE && dpi_g_is_const(g, d, &zero) && zero == 0.0)) continue;
    DP_TRY(rate_of(s, sym, &rate));
    *out = dpi_g_op2(g, DPI_OP_ADD, *out, dpi_g_op2(g, DPI_OP_MUL, d, rate));
  }
  return *out == DPI_NODE_NONE ? dpi_seal_no_memory(s) : DP_OK;
}

/* 0 = g: dx/dt = -(dg/dt, x held) / (dg/dx) */
static dp_status implicit_rate(dpi_sealer *s, int sym, dpi_node *out) {
  dpi_graph *g = s->m->graph;
  dpi_node residual = s->m->sym[sym].formula, others;
  int n;
  DP_TRY(dpi_seal_symbols(s, residual, &n));
  for (int i = 0; i < n; i++)
    if (s->list[i] != sym && s->m->sym[s->list[i]].algebraic)
      return dpi_fail(s->ctx, DP_ERR_UNSUPPORTED,
                      "%s:%d: the rate of change of '%s', which several algebraic rules determine together, is not "
                      "supported",
                      s->m->source, s->m->sym[sym].line, s->m->sym[sym].id);
  DP_TRY(total_derivative(s, residual, sym, &others));
  *out = dpi_g_op1(g, DPI_OP_NEG, dpi_g_op2(g, DPI_OP_DIV, others, dpi_g_diff(g, residual, sym)));
  return *out == DPI_NODE_NONE ? dpi_seal_no_memory(s) : DP_OK;
}

static dp_status expand(dpi_sealer *s, int rate) {
  dp_model *m = s->m;
  int target = m->sym[rate].target;
  const dpi_symbol *y = &m->sym[target];
  dpi_node formula;
  if (may_be_determined(s, target) || y->kind == DPI_SYM_RATEOF) return DP_OK; /* later */
  if (y->kind == DPI_SYM_ASSIGNED)
    DP_TRY(total_derivative(s, y->formula, -1, &formula));
  else if (y->kind == DPI_SYM_STATE && y->algebraic)
    DP_TRY(implicit_rate(s, target, &formula));
  else
    DP_TRY(rate_of(s, target, &formula));
  m->sym[rate].kind = DPI_SYM_ASSIGNED;
  m->sym[rate].formula = formula;
  m->sym[rate].init = DPI_NODE_NONE;
  return DP_OK;
}

static dp_status find_rates(dpi_sealer *s) {
  dp_model *m = s->m;
  for (int i = 1; i < m->nsym; i++) {
    if (m->sym[i].kind != DPI_SYM_RATEOF) continue;
    s->nrate_text++;
    int target = m->sym[i].target;
    if (target < 0 || target >= m->nsym || m->sym[target].kind == DPI_SYM_RATEOF)
      return dpi_fail(s->ctx, DP_ERR_INPUT, "%s:%d: '%s' is the rate of change of nothing", m->source, m->sym[i].line,
                      m->sym[i].id);
    DP_TRY(note_rate(s, target, i, 1));
  }
  return DP_OK;
}

dp_status dpi_seal_rates(dpi_sealer *s) {
  if (!s->settled) DP_TRY(find_rates(s));
  /* symbols made on the way come later, and what they are the rate of comes before them */
  for (int i = 1; s->nrate_text > 0 && i < s->m->nsym; i++)
    if (s->m->sym[i].kind == DPI_SYM_RATEOF) DP_TRY(expand(s, i));
  return DP_OK;
}
