/* seal.c - floor 3: sealing turns what was read into a closed system in states, parameters and time.
 *
 *  1. every used symbol must be defined, every state must have an initial value;
 *  2. values at start: initial expressions are written out in parameters; loops are named;
 *  3. parameters with an initial expression become assigned formulas of other parameters (k2 follows k1), or, when an event
 *     changes them or what they were computed from, or when they depend on the start time, states with rate 0;
 *  4. states are numbered first;
 *  5. assigned symbols are written out everywhere; loops are named;
 *  6. each event gets one root function for each elementary relation of its trigger.
 */
#include <math.h>
#include <string.h>

#include "lang/lang_impl.h"

typedef struct sealer {
  dp_model *m;
  dp_ctx *ctx;
  int n;           /* symbols */
  bool at_start;   /* which values are being resolved */
  uint8_t *target; /* [n] an event sets it */
  dpi_node *start; /* [n] value at start, old numbering */
  dpi_node *now;   /* [n] value at any time, new numbering */
  int *number;     /* [n] old -> new */
  uint8_t *mark;   /* [n] 0 not seen, 1 open, 2 done */
  int *stack, *path;
  int nstack, cap_stack, npath;
} sealer;

static dp_status sealer_init(sealer *s) {
  int n = s->n;
  s->target = DPI_NEW_ARRAY(s->ctx, uint8_t, n);
  s->start = DPI_NEW_ARRAY(s->ctx, dpi_node, n);
  s->now = DPI_NEW_ARRAY(s->ctx, dpi_node, n);
  s->number = DPI_NEW_ARRAY(s->ctx, int, n);
  s->mark = DPI_NEW_ARRAY(s->ctx, uint8_t, n);
  s->path = DPI_NEW_ARRAY(s->ctx, int, n);
  bool ok = s->target && s->start && s->now && s->number && s->mark && s->path;
  return ok ? DP_OK : DP_ERR_MEMORY;
}

static void sealer_release(sealer *s) {
  dpi_free(s->ctx, s->target);
  dpi_free(s->ctx, s->start);
  dpi_free(s->ctx, s->now);
  dpi_free(s->ctx, s->number);
  dpi_free(s->ctx, s->mark);
  dpi_free(s->ctx, s->path);
  dpi_free(s->ctx, s->stack);
}

static dp_status check_defined(const sealer *s) {
  char near[160];
  for (int i = 0; i < s->n; i++) {
    const dpi_symbol *y = &s->m->sym[i];
    if (!y->defined && y->value != y->value) /* who gives a value defines */
      return dpi_fail(s->ctx, DP_ERR_INPUT, "%s: '%s' is used but not defined%s", y->where, y->id,
                      dpi_model_suggest(s->m, y->id, i, near));
    if (y->kind == DPI_SYM_STATE && y->init == DPI_NODE_NONE)
      return dpi_fail(s->ctx, DP_ERR_INPUT,
                      "%s:%d: state '%s' has no initial value, expected '%s = ...'", s->m->source,
                      y->line, y->id, y->id);
  }
  return DP_OK;
}

static dp_status mark_targets(sealer *s) {
  const dp_model *m = s->m;
  for (int i = 0; i < m->nevent; i++) {
    for (int k = 0; k < m->event[i].nassign; k++) {
      int sym = m->event[i].assign[k].sym;
      if (m->sym[sym].kind == DPI_SYM_ASSIGNED || m->sym[sym].kind == DPI_SYM_TIME)
        return dpi_fail(s->ctx, DP_ERR_INPUT,
                        "%s:%d: event '%s' sets '%s', which is given by a formula at all times",
                        m->source, m->event[i].line, m->event[i].id, m->sym[sym].id);
      s->target[sym] = 1;
    }
  }
  return DP_OK;
}

/* ---- resolving one kind of value over all symbols ---- */

/* the expression that gives the symbol's value, or NONE: the symbol itself stands for it */
static dpi_node source_of(const sealer *s, int sym) {
  const dpi_symbol *y = &s->m->sym[sym];
  if (y->kind == DPI_SYM_ASSIGNED) return y->formula;
  return s->at_start ? y->init : DPI_NODE_NONE;
}

static dp_status push(sealer *s, int sym) {
  DP_TRY(dpi_grow(s->ctx, (void **)&s->stack, &s->cap_stack, s->nstack + 1, sizeof *s->stack));
  s->stack[s->nstack++] = sym;
  return DP_OK;
}

static dp_status name_loop(const sealer *s, int again) {
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

/* push what sym needs first; *ready when there is nothing */
static dp_status open_symbol(sealer *s, int sym, bool *ready) {
  const dpi_node *list;
  int n, before = s->nstack;
  *ready = true;
  dpi_node src = source_of(s, sym);
  if (src == DPI_NODE_NONE) return DP_OK;
  DP_TRY(dpi_g_reach_fast(s->m->graph, src, -1, &list, &n));
  s->mark[sym] = 1;
  s->path[s->npath++] = sym;
  for (int i = 0; i < n; i++) {
    dpi_gnode at = dpi_graph_at(s->m->graph, list[i]);
    if (at.op != DPI_OP_SYM || s->mark[at.arg[0]] == 2) continue;
    if (s->mark[at.arg[0]] == 1) return name_loop(s, at.arg[0]);
    DP_TRY(push(s, at.arg[0]));
  }
  *ready = s->nstack == before;
  return DP_OK;
}

static dp_status close_symbol(sealer *s, int sym, dpi_node *value) {
  dpi_node src = source_of(s, sym);
  int self = s->at_start ? sym : s->number[sym];
  value[sym] = src == DPI_NODE_NONE ? dpi_g_sym(s->m->graph, self)
                                    : dpi_g_subst(s->m->graph, src, value, s->n);
  if (value[sym] == DPI_NODE_NONE)
    return dpi_fail(s->ctx, DP_ERR_MEMORY, "model '%s' is too large to write out", s->m->name);
  if (s->mark[sym] == 1) s->npath--;
  s->mark[sym] = 2;
  return DP_OK;
}

static dp_status resolve(sealer *s, bool at_start, dpi_node *value) {
  s->at_start = at_start;
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

/* ---- parameters with an initial expression ---- */
static dp_status settle_params(sealer *s) {
  dp_model *m = s->m;
  uint8_t *moving = DPI_NEW_ARRAY(s->ctx, uint8_t, s->n); /* may differ between start and later */
  if (moving == NULL) return DP_ERR_MEMORY;
  dp_status status = DP_OK;
  for (int i = 0; i < s->n; i++) moving[i] = s->target[i] || m->sym[i].kind == DPI_SYM_TIME;
  for (int i = 0; i < s->n && status == DP_OK; i++) {
    dpi_symbol *y = &m->sym[i];
    bool moves = false;
    if (y->kind != DPI_SYM_PARAM || y->init == DPI_NODE_NONE) continue;
    if (dpi_g_is_const(m->graph, s->start[i], &y->value)) {
      y->init = DPI_NODE_NONE;
      continue;
    }
    status = dpi_g_uses(m->graph, s->start[i], moving, s->n, &moves);
    y->value = NAN;
    if (moves || s->target[i]) {
      y->kind = DPI_SYM_STATE;
      y->formula = dpi_g_const(m->graph, 0.0);
    } else {
      y->kind = DPI_SYM_ASSIGNED;
      y->formula = s->start[i];
      y->init = DPI_NODE_NONE;
    }
  }
  dpi_free(s->ctx, moving);
  return status;
}

/* ---- numbering and writing out ---- */
static void number_symbols(sealer *s) {
  dp_model *m = s->m;
  int next = 1;
  s->number[0] = 0;
  for (int i = 1; i < s->n; i++)
    if (m->sym[i].kind == DPI_SYM_STATE) s->number[i] = next++;
  m->nstate = next - 1;
  for (int i = 1; i < s->n; i++)
    if (m->sym[i].kind != DPI_SYM_STATE) s->number[i] = next++;
}

static dp_status write_out(sealer *s, dpi_node *node, const dpi_node *value) {
  if (*node == DPI_NODE_NONE) return DP_OK;
  *node = dpi_g_subst(s->m->graph, *node, value, s->n);
  return *node == DPI_NODE_NONE
             ? dpi_fail(s->ctx, DP_ERR_MEMORY, "model '%s' is too large to write out", s->m->name)
             : DP_OK;
}

/* initial values: from the old numbering to the new */
static dp_status write_initial(sealer *s) {
  dpi_node *rename = DPI_NEW_ARRAY(s->ctx, dpi_node, s->n);
  if (rename == NULL) return DP_ERR_MEMORY;
  dp_status status = DP_OK;
  for (int i = 0; i < s->n; i++) rename[i] = dpi_g_sym(s->m->graph, s->number[i]);
  for (int i = 0; i < s->n && status == DP_OK; i++) {
    dpi_symbol *y = &s->m->sym[i];
    if (y->kind != DPI_SYM_STATE) continue;
    y->init = s->start[i];
    status = write_out(s, &y->init, rename);
  }
  dpi_free(s->ctx, rename);
  return status;
}

static dp_status write_formulas(sealer *s) {
  dp_model *m = s->m;
  for (int i = 0; i < s->n; i++) {
    dpi_symbol *y = &m->sym[i];
    if (y->kind == DPI_SYM_STATE) DP_TRY(write_out(s, &y->formula, s->now));
    if (y->kind == DPI_SYM_ASSIGNED) y->formula = s->now[i];
  }
  for (int i = 0; i < m->nevent; i++) {
    dpi_model_event *e = &m->event[i];
    dpi_event_assign *a =
        DPI_ARENA_ARRAY(&m->arena, dpi_event_assign, e->nassign > 0 ? e->nassign : 1);
    if (a == NULL) return DP_ERR_MEMORY;
    DP_TRY(write_out(s, &e->trigger, s->now));
    DP_TRY(write_out(s, &e->delay, s->now));
    DP_TRY(write_out(s, &e->priority, s->now));
    for (int k = 0; k < e->nassign; k++) {
      a[k] = (dpi_event_assign){s->number[e->assign[k].sym], e->assign[k].value};
      DP_TRY(write_out(s, &a[k].value, s->now));
    }
    e->assign = a;
  }
  return DP_OK;
}

/* ---- roots ---- */
static bool is_logical_op(dpi_op op) { return op >= DPI_OP_LT && op <= DPI_OP_NOT; }

static dp_status add_root(sealer *s, dpi_node *root, int *nroot, dpi_node r) {
  double value;
  if (r == DPI_NODE_NONE) return DP_ERR_MEMORY;
  if (dpi_g_is_const(s->m->graph, r, &value)) return DP_OK;
  for (int i = 0; i < *nroot; i++)
    if (root[i] == r) return DP_OK;
  root[(*nroot)++] = r;
  return DP_OK;
}

/* a relation gives a - b; a number where a truth value stands gives itself */
static dp_status node_roots(sealer *s, dpi_node *root, int *nroot, dpi_gnode n) {
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

static dp_status event_roots(sealer *s, dpi_model_event *e) {
  dpi_graph *g = s->m->graph;
  dpi_node *list = NULL;
  int n = 0;
  /* a trigger that is a number counts as true when it is not 0 */
  if (!is_logical_op(dpi_graph_at(g, e->trigger).op))
    e->trigger = dpi_g_op2(g, DPI_OP_NE, e->trigger, dpi_g_const(g, 0.0));
  if (e->trigger == DPI_NODE_NONE) return DP_ERR_MEMORY;
  DP_TRY(dpi_g_reach(g, &e->trigger, 1, &list, &n));
  dpi_node *root = DPI_ARENA_ARRAY(&s->m->arena, dpi_node, 2 * n + 1);
  dp_status status = root == NULL ? DP_ERR_MEMORY : DP_OK;
  for (int i = 0; i < n && status == DP_OK; i++)
    status = node_roots(s, root, &e->nroot, dpi_graph_at(g, list[i]));
  dpi_free(s->ctx, list);
  e->root = root;
  return status;
}

/* ---- putting the symbols into their new order ---- */
static dp_status reorder(sealer *s) {
  dp_model *m = s->m;
  dpi_symbol *sym = DPI_NEW_ARRAY(s->ctx, dpi_symbol, s->n);
  m->value = DPI_NEW_ARRAY(s->ctx, dpi_node, s->n);
  if (sym == NULL || m->value == NULL) {
    dpi_free(s->ctx, sym);
    return DP_ERR_MEMORY;
  }
  for (int i = 0; i < s->n; i++) {
    sym[s->number[i]] = m->sym[i];
    m->value[s->number[i]] = s->now[i];
  }
  dpi_free(s->ctx, m->sym);
  m->sym = sym;
  m->cap_sym = s->n;
  for (int i = 0; i < s->n; i++) DP_TRY(dpi_map_put(&m->ids, m->sym[i].id, i));
  return DP_OK;
}

static dp_status seal(sealer *s) {
  DP_TRY(sealer_init(s));
  DP_TRY(check_defined(s));
  DP_TRY(mark_targets(s));
  DP_TRY(resolve(s, true, s->start));
  DP_TRY(settle_params(s));
  number_symbols(s);
  DP_TRY(resolve(s, false, s->now));
  DP_TRY(write_initial(s));
  DP_TRY(write_formulas(s));
  for (int i = 0; i < s->m->nevent; i++) DP_TRY(event_roots(s, &s->m->event[i]));
  return reorder(s);
}

dp_status dpi_model_seal(dp_model *m) {
  if (m->sealed) return DP_OK;
  sealer s = {.m = m, .ctx = m->ctx, .n = m->nsym};
  dp_status status = seal(&s);
  sealer_release(&s);
  m->sealed = status == DP_OK;
  return status;
}

dp_status dp_model_seal(dp_model *m) { return dpi_model_seal(m); }
