/* tangent_model.c - floor 3: a sealed model's equations, start and formulas with their tangents, as a new model. */
#include "lang/tangent_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef dpi_tangent_maker maker;

const char *dpi_tangent_id(dpi_arena *arena, const char *id) { return dpi_arena_printf(arena, "tangent(%s)", id); }

/* ---- what has no second derivative ---- */

static dp_status refuse(const dp_model *m, const char *what) {
  return dpi_fail(m->ctx, DP_ERR_UNSUPPORTED, "%s: second derivatives are not offered for a model with %s", m->source,
                  what);
}

static dp_status check(const dp_model *m) {
  if (!m->sealed) return dpi_fail(m->ctx, DP_ERR_USAGE, "%s: a tangent is made of a sealed model", m->source);
  if (m->nalgebraic > 0) return refuse(m, "constraints that are not solved symbolically");
  if (m->ndelayed > 0) return refuse(m, "delays");
  if (m->ndraw > 0) return refuse(m, "random draws");
  if (dpi_model_find(m, DPI_FAST_SPEED) >= 0) return refuse(m, "fast reactions");
  return DP_OK;
}

/* ---- symbols ---- */

static dp_status add(maker *k, const char *id, dpi_sym_kind kind, double value, int *sym) {
  if (!id) return DP_ERR_MEMORY;
  DP_TRY(dpi_model_declare(k->t, id, 0, sym));
  k->t->sym[*sym].kind = kind;
  k->t->sym[*sym].value = value;
  return DP_OK;
}

static dp_status add_tangent(maker *k, int s) {
  const dpi_sym_kind kind = k->m->sym[s].kind;
  if (k->dot[s] > 0) return DP_OK;
  return add(k, dpi_tangent_id(&k->t->arena, k->m->sym[s].id), kind, kind == DPI_SYM_STATE ? NAN : 0, &k->dot[s]);
}

/* Parameters that events set move as well. */
static dp_status add_tangents(maker *k, const char *const *param, int nparam) {
  const dp_model *m = k->m;
  for (int s = 1; s <= m->nstate; s++) DP_TRY(add_tangent(k, s));
  for (int i = 0; i < nparam; i++) {
    const int s = dpi_model_find(m, param[i]);
    if (s <= 0 || m->sym[s].kind != DPI_SYM_PARAM)
      return dpi_fail(k->ctx, DP_ERR_BUG, "%s: '%s' is no parameter that a tangent can have", m->source, param[i]);
    DP_TRY(add_tangent(k, s));
  }
  for (int e = 0; e < m->nevent; e++)
    for (int i = 0; i < m->event[e].nassign; i++) {
      const int s = m->event[e].assign[i].sym;
      if (m->sym[s].kind == DPI_SYM_PARAM) DP_TRY(add_tangent(k, s));
    }
  return DP_OK;
}

static dp_status add_symbols(maker *k, const char *const *param, int nparam) {
  const dp_model *m = k->m;
  for (int s = 1; s < m->nsym; s++) {
    const dpi_symbol *y = &m->sym[s];
    if (y->kind != DPI_SYM_STATE && y->kind != DPI_SYM_PARAM) continue;
    DP_TRY(add(k, y->id, y->kind, y->value, &k->sym[s]));
    k->t->sym[k->sym[s]].unit = dpi_arena_strdup(&k->t->arena, y->unit ? y->unit : "");
    if (!k->t->sym[k->sym[s]].unit) return DP_ERR_MEMORY;
  }
  DP_TRY(add_tangents(k, param, nparam));
  k->at = DPI_ARENA_ARRAY(&k->t->arena, dpi_node, m->nsym + 2);
  k->to = DPI_ARENA_ARRAY(&k->t->arena, dpi_node, m->nsym + 2);
  if (!k->at || !k->to) return DP_ERR_MEMORY;
  for (int s = 1; s < m->nsym; s++) {
    if (k->dot[s] == 0) continue;
    k->at[k->nat] = dpi_g_sym(k->g, k->sym[s]);
    k->to[k->nat] = dpi_g_sym(k->g, k->dot[s]);
    if (k->at[k->nat] == DPI_NODE_NONE || k->to[k->nat] == DPI_NODE_NONE) return DP_ERR_MEMORY;
    k->nat++;
  }
  return DP_OK;
}

/* ---- expressions ---- */

dp_status dpi_tangent_of(const maker *k, const dpi_node *node, int n, dpi_node *out) {
  return dpi_g_jvp(k->g, node, n, k->at, k->to, k->nat, out);
}

dp_status dpi_tangent_copy(const maker *k, const dpi_node *list, int n, const dpi_node *as, dpi_node *copy) {
  for (int i = 0; i < n; i++) {
    const dpi_gnode node = dpi_graph_at(k->m->graph, list[i]);
    dpi_node arg[3] = {DPI_NODE_NONE, DPI_NODE_NONE, DPI_NODE_NONE};
    for (int a = 0; a < dpi_op_arity(node.op); a++) arg[a] = copy[node.arg[a]];
    dpi_node *to = &copy[list[i]];
    if (as && as[list[i]] != DPI_NODE_NONE)
      *to = as[list[i]];
    else if (node.op == DPI_OP_CONST)
      *to = dpi_g_const(k->g, node.value);
    else if (node.op == DPI_OP_SYM)
      *to = dpi_g_sym(k->g, k->sym[node.arg[0]]); /* 0 is the time in both */
    else
      *to = dpi_g_rebuild(k->g, node, arg);
    if (*to == DPI_NODE_NONE) return DP_ERR_MEMORY;
  }
  return DP_OK;
}

typedef struct roots {
  dpi_node *node;
  int n, cap;
} roots;

static dp_status push(maker *k, roots *r, dpi_node node) {
  if (node == DPI_NODE_NONE) return DP_OK;
  DP_TRY(dpi_grow(k->ctx, (void **)&r->node, &r->cap, r->n + 1, sizeof *r->node));
  r->node[r->n++] = node;
  return DP_OK;
}

static dp_status gather(maker *k, roots *r) {
  const dp_model *m = k->m;
  for (int s = 1; s <= m->nstate; s++) {
    DP_TRY(push(k, r, m->sym[s].formula));
    DP_TRY(push(k, r, m->sym[s].init));
  }
  for (int i = 0; i < m->nevent; i++) {
    const dpi_model_event *e = &m->event[i];
    DP_TRY(push(k, r, e->trigger));
    DP_TRY(push(k, r, e->delay));
    DP_TRY(push(k, r, e->priority));
    for (int j = 0; j < e->nroot; j++) DP_TRY(push(k, r, e->root[j]));
    for (int j = 0; j < e->nassign; j++) {
      DP_TRY(push(k, r, e->assign[j].value));
      if (e->assign[j].times > 0) DP_TRY(push(k, r, dpi_model_value(m, e->assign[j].times)));
    }
  }
  return DP_OK;
}

/* The derivative of ln gamma's derivative is not known here. */
static dp_status check_known(const maker *k, const dpi_node *list, int n) {
  for (int i = 0; i < n; i++) {
    const dpi_gnode node = dpi_graph_at(k->m->graph, list[i]);
    if (node.op != DPI_OP_LGAMMA && node.op != DPI_OP_DIGAMMA) continue;
    dpi_node d;
    double zero;
    DP_TRY(dpi_tangent_of(k, &k->copy[node.arg[0]], 1, &d));
    if (!dpi_g_is_const(k->g, d, &zero) || zero != 0)
      return refuse(k->m, "lgamma of something that changes: its second derivative is not known");
  }
  return DP_OK;
}

static dp_status copy_all(maker *k) {
  roots r = {0};
  dpi_node *list = NULL;
  int n = 0;
  dp_status st = gather(k, &r);
  if (st == DP_OK) st = dpi_g_reach(k->m->graph, r.node, r.n, &list, &n);
  if (st == DP_OK) st = dpi_tangent_copy(k, list, n, NULL, k->copy);
  if (st == DP_OK) st = check_known(k, list, n);
  dpi_free(k->ctx, r.node);
  dpi_free(k->ctx, list);
  return st;
}

/* Rates and starts with their tangents. */
static dp_status equations(maker *k) {
  const dp_model *m = k->m;
  const int n = m->nstate;
  dpi_node *all = DPI_NEW_ARRAY(k->ctx, dpi_node, 4 * n + 1), *tangent = all ? all + 2 * n : NULL;
  k->rate = DPI_ARENA_ARRAY(&k->t->arena, dpi_node, n + 1);
  dp_status st = all && k->rate ? DP_OK : DP_ERR_MEMORY;
  for (int j = 0; j < n && st == DP_OK; j++) {
    const dpi_symbol *y = &m->sym[1 + j];
    all[j] = k->rate[j] = k->copy[y->formula];
    all[n + j] = y->init == DPI_NODE_NONE ? dpi_g_const(k->g, y->value) : k->copy[y->init];
  }
  if (st == DP_OK) st = dpi_tangent_of(k, all, 2 * n, tangent);
  for (int j = 0; j < n && st == DP_OK; j++) {
    dpi_symbol *x = &k->t->sym[k->sym[1 + j]], *d = &k->t->sym[k->dot[1 + j]];
    x->formula = all[j];
    x->init = all[n + j];
    d->formula = tangent[j];
    d->init = tangent[n + j];
    if (x->init == DPI_NODE_NONE || d->formula == DPI_NODE_NONE || d->init == DPI_NODE_NONE) st = DP_ERR_MEMORY;
  }
  dpi_free(k->ctx, all);
  return st;
}

/* ---- the model ---- */

static dp_status identify(maker *k) {
  dpi_str s;
  dpi_str_init(&s, k->ctx);
  dpi_str_addf(&s, "tangent %s\n", k->m->hash);
  for (int i = 1; i < k->m->nsym; i++)
    if (k->dot[i] > 0) dpi_str_addf(&s, "%s\n", k->m->sym[i].id);
  const dp_status st = s.failed ? DP_ERR_MEMORY : DP_OK;
  if (st == DP_OK) dpi_sha256_hex(s.data, s.len, k->t->hash);
  dpi_str_release(&s);
  return st;
}

static dp_status fill(maker *k, const char *const *param, int nparam, bool at_rest) {
  k->count = dpi_graph_count(k->m->graph);
  k->sym = DPI_ARENA_ARRAY(&k->t->arena, int, k->m->nsym);
  k->dot = DPI_ARENA_ARRAY(&k->t->arena, int, k->m->nsym);
  k->copy = DPI_NEW_ARRAY(k->ctx, dpi_node, k->count + 1);
  if (!k->sym || !k->dot || !k->copy) return DP_ERR_MEMORY;
  for (int i = 0; i < k->count; i++) k->copy[i] = DPI_NODE_NONE;
  DP_TRY(add_symbols(k, param, nparam));
  DP_TRY(copy_all(k));
  DP_TRY(equations(k));
  DP_TRY(dpi_tangent_events(k, at_rest));
  DP_TRY(identify(k));
  return dpi_model_seal(k->t);
}

dp_status dpi_model_tangent(const dp_model *m, const char *const *param, int nparam, bool at_rest, dp_model **out) {
  maker k = {.ctx = m->ctx, .m = m};
  *out = NULL;
  DP_TRY(check(m));
  DP_TRY(dpi_model_create(m->ctx, m->name, m->source, &k.t));
  k.g = k.t->graph;
  const dp_status st = fill(&k, param, nparam, at_rest);
  dpi_free(k.ctx, k.copy);
  if (st != DP_OK) {
    dp_model_destroy(k.t);
    return st;
  }
  *out = k.t;
  return DP_OK;
}

/* ---- formulas ---- */

dp_status dpi_tangent_written(dp_model *m, const char *formula, dpi_arena *arena, const char **out) {
  dpi_node node;
  DP_TRY(dpi_model_parse(m, formula, "formula", false, &node));
  return dpi_model_quote(m, m->graph, node, arena, out);
}

dp_status dpi_tangent_formula(dp_model *t, const char *formula, dpi_arena *arena, const char **out) {
  dpi_graph *g = t->graph;
  dpi_node node, tangent;
  const int32_t *list;
  int n, nat = 0;
  DP_TRY(dpi_model_parse(t, formula, "tangent", false, &node));
  DP_TRY(dpi_g_symbols(g, node, &list, &n));
  dpi_node *at = DPI_NEW_ARRAY(t->ctx, dpi_node, 2 * n + 1), *to = at ? at + n : NULL;
  dpi_str id;
  dpi_str_init(&id, t->ctx);
  dp_status st = at ? DP_OK : DP_ERR_MEMORY;
  for (int i = 0; i < n && st == DP_OK; i++) {
    id.len = 0;
    dpi_str_addf(&id, "tangent(%s)", t->sym[list[i]].id);
    const int dot = id.failed ? -1 : dpi_model_find(t, dpi_str_text(&id));
    if (id.failed) st = DP_ERR_MEMORY;
    if (dot <= 0) continue;
    at[nat] = list[i];
    to[nat++] = dot;
  }
  for (int i = 0; i < nat && st == DP_OK; i++) { /* the list is the graph's */
    at[i] = dpi_g_sym(g, at[i]);
    to[i] = dpi_g_sym(g, to[i]);
    if (at[i] == DPI_NODE_NONE || to[i] == DPI_NODE_NONE) st = DP_ERR_MEMORY;
  }
  if (st == DP_OK) st = dpi_g_jvp(g, &node, 1, at, to, nat, &tangent);
  if (st == DP_OK) st = dpi_model_quote(t, g, tangent, arena, out);
  dpi_str_release(&id);
  dpi_free(t->ctx, at);
  return st;
}
