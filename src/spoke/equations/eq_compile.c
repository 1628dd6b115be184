/* eq_compile.c - from a sealed model and a sim's definition to tapes: outputs, controls, events, with derivatives.
 *
 * Everything here happens once, on one thread, and is constant afterwards. Derivatives are symbolic and sparse: only
 * entries that are not identically zero become tape outputs.
 */
#include "spoke/equations/eq_impl.h"

#include <math.h>
#include <stdlib.h>

/* What every map of this spoke is built from. */
typedef struct builder {
  dpi_eq_spoke *sp;
  dp_model *model;
  uint8_t *fast;      /* [nsym] time and states */
  int *state_active;  /* [nstate + nactive + 1] symbols of the columns "states, active, time" */
  int *state_delayed; /* [nstate + ndelayed] */
  const dpi_node *output; /* [noutput] */
} builder;

static bool is_zero(const dpi_graph *g, dpi_node n) {
  const dpi_gnode v = dpi_graph_at(g, n);
  return v.op == DPI_OP_CONST && v.value == 0;
}

/* Give the map a place on the benches. */
static void register_map(dpi_eq_spoke *sp, dpi_eq_map *map) {
  map->id = sp->nmap++;
  if (map->nvalue + map->nder > sp->nvalue_max) sp->nvalue_max = map->nvalue + map->nder;
}

/* Columns [0, plain) are the states 1, 2, ...; -1: no column. */
static int column_of(const int *column, int ncol, int plain, int sym) {
  if (sym >= 1 && sym <= plain) return sym - 1;
  for (int c = plain; c < ncol; c++)
    if (column[c] == sym) return c;
  return -1;
}

static int by_column(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

typedef struct pattern { /* nonzero derivatives while they are found */
  int n, cap_row, cap_col, cap_node, cap_list;
  int *row, *col, *list; /* list: columns of one row */
  dpi_node *node;        /* values, then derivatives */
} pattern;

static dp_status add_row(dpi_eq_spoke *sp, dpi_graph *g, pattern *p, int nvalue, int row, const int *column, int ncol,
                         int plain) {
  dp_ctx *ctx = sp->base.ctx;
  const int32_t *sym;
  int nsym, n = 0;
  DP_TRY(dpi_g_symbols(g, p->node[row], &sym, &nsym));
  DP_TRY(dpi_grow(ctx, (void **)&p->list, &p->cap_list, nsym + 1, sizeof *p->list));
  for (int k = 0; k < nsym; k++) {
    p->list[n] = column_of(column, ncol, plain, sym[k]);
    n += p->list[n] >= 0;
  }
  qsort(p->list, (size_t)n, sizeof *p->list, by_column);
  DP_TRY(dpi_grow(ctx, (void **)&p->row, &p->cap_row, p->n + n + 1, sizeof *p->row));
  DP_TRY(dpi_grow(ctx, (void **)&p->col, &p->cap_col, p->n + n + 1, sizeof *p->col));
  DP_TRY(dpi_grow(ctx, (void **)&p->node, &p->cap_node, nvalue + p->n + n + 1, sizeof *p->node));
  for (int k = 0; k < n; k++) {
    const dpi_node d = dpi_g_diff(g, p->node[row], column[p->list[k]]);
    if (d == DPI_NODE_NONE) return dpi_fail(ctx, DP_ERR_MEMORY, "no memory for derivatives of the outputs");
    if (is_zero(g, d)) continue;
    p->row[p->n] = row;
    p->col[p->n] = p->list[k];
    p->node[nvalue + p->n++] = d;
  }
  return DP_OK;
}

dp_status dpi_eq_build(dpi_eq_spoke *sp, dp_model *m, const uint8_t *fast, const dpi_node *node, int n,
                       const int *column, int ncol, int first_der, dpi_eq_map *map) {
  dp_ctx *ctx = sp->base.ctx;
  pattern p = {0};
  int plain = 0;
  while (plain < ncol && column[plain] == plain + 1) plain++;
  dp_status st = dpi_grow(ctx, (void **)&p.node, &p.cap_node, n + 1, sizeof *p.node);
  for (int i = 0; i < n && st == DP_OK; i++) p.node[i] = node[i];
  for (int i = first_der; i < n && ncol > 0 && st == DP_OK; i++)
    st = add_row(sp, m->graph, &p, n, i, column, ncol, plain);
  if (st == DP_OK) {
    map->nvalue = n;
    map->nder = p.n;
    map->row = DPI_ARENA_ARRAY(&sp->arena, int, p.n + 1);
    map->col = DPI_ARENA_ARRAY(&sp->arena, int, p.n + 1);
    st = map->row && map->col ? DP_OK : DP_ERR_MEMORY;
  }
  if (st == DP_OK && p.n > 0) {
    memcpy(map->row, p.row, sizeof *p.row * (size_t)p.n);
    memcpy(map->col, p.col, sizeof *p.col * (size_t)p.n);
  }
  if (st == DP_OK) st = dpi_tape_create(ctx, m->graph, p.node, n + p.n, fast, sp->nsym, &map->tape);
  if (st == DP_OK) register_map(sp, map);
  dpi_free(ctx, p.row);
  dpi_free(ctx, p.col);
  dpi_free(ctx, p.list);
  dpi_free(ctx, p.node);
  return st;
}

static dp_status build(builder *b, const dpi_node *node, int n, const int *column, int ncol, int first_der,
                       dpi_eq_map *map) {
  return dpi_eq_build(b->sp, b->model, b->fast, node, n, column, ncol, first_der, map);
}

/* ---- parameters, states, active ---- */

static dp_status list_params(builder *b) {
  dpi_eq_spoke *sp = b->sp;
  const dp_model *m = b->model;
  int n = 0;
  for (int s = 0; s < m->nsym; s++) n += m->sym[s].kind == DPI_SYM_PARAM;
  int *sym = DPI_ARENA_ARRAY(&sp->arena, int, n + 1);
  const char **id = DPI_ARENA_ARRAY(&sp->arena, const char *, n + 1);
  double *value = DPI_ARENA_ARRAY(&sp->arena, double, n + 1);
  bool *needed = DPI_ARENA_ARRAY(&sp->arena, bool, n + 1);
  if (!sym || !id || !value || !needed) return DP_ERR_MEMORY;
  for (int s = 0; s < m->nsym; s++) {
    const dpi_symbol *y = &m->sym[s];
    if (y->kind != DPI_SYM_PARAM) continue;
    const int k = sp->nparam++;
    sym[k] = s;
    id[k] = y->id;
    value[k] = y->value;
    needed[k] = y->needed;
  }
  sp->param_sym = sym;
  sp->param_needed = needed;
  sp->desc.nparam = sp->nparam;
  sp->desc.param_id = id;
  sp->desc.param_default = value;
  return DP_OK;
}

static dp_status list_states(builder *b) {
  dpi_eq_spoke *sp = b->sp;
  const dp_model *m = b->model;
  const char **id = DPI_ARENA_ARRAY(&sp->arena, const char *, m->nstate + 1);
  const char **unit = DPI_ARENA_ARRAY(&sp->arena, const char *, m->nstate + 1);
  if (!id || !unit) return DP_ERR_MEMORY;
  for (int j = 0; j < m->nstate; j++) {
    id[j] = m->sym[1 + j].id;
    unit[j] = m->sym[1 + j].unit ? m->sym[1 + j].unit : "";
  }
  sp->nstate = sp->desc.nstate = m->nstate;
  sp->desc.state_id = id;
  sp->desc.state_unit = unit;
  return DP_OK;
}

static int param_of_symbol(const dpi_eq_spoke *sp, int sym) {
  for (int k = 0; k < sp->nparam; k++)
    if (sp->param_sym[k] == sym) return k;
  return -1;
}

/* Parameters that events assign carry directions too, behind those that the caller named: their values may depend on
 * the state, and so on the caller's parameters. */
static int add_assigned(builder *b, int *active, int n) {
  const dp_model *m = b->model;
  for (int e = 0; e < m->nevent; e++)
    for (int a = 0; a < m->event[e].nassign; a++) {
      const int sym = m->event[e].assign[a].sym;
      if (m->sym[sym].kind != DPI_SYM_PARAM) continue;
      bool have = false;
      for (int i = 0; i < n; i++) have = have || active[i] == sym;
      if (!have) active[n++] = sym;
    }
  return n;
}

static dp_status list_active(builder *b, const dp_sim_def *def, const int **out) {
  dpi_eq_spoke *sp = b->sp;
  int *active = DPI_ARENA_ARRAY(&sp->arena, int, def->nactive + sp->nparam + 1);
  int *param = DPI_ARENA_ARRAY(&sp->arena, int, def->nactive + sp->nparam + 1);
  int *inverse = DPI_ARENA_ARRAY(&sp->arena, int, sp->nparam + 1);
  if (!active || !param || !inverse) return DP_ERR_MEMORY;
  for (int a = 0; a < def->nactive; a++) {
    const int sym = dpi_model_find(b->model, def->active[a]);
    if (sym < 0 || b->model->sym[sym].kind != DPI_SYM_PARAM)
      return dpi_fail(sp->base.ctx, DP_ERR_INPUT, "%s: active '%s': found %s, expected a parameter of the model",
                      b->model->source, def->active[a],
                      sym < 0 ? "no such symbol"
                              : (b->model->sym[sym].kind == DPI_SYM_STATE ? "a state" : "an assigned symbol"));
    active[a] = sym;
  }
  sp->nseed = def->nactive;
  const int n = dpi_eq_law_active(b->model, def, active, add_assigned(b, active, def->nactive));
  for (int k = 0; k < sp->nparam; k++) inverse[k] = -1;
  for (int a = 0; a < n; a++) {
    param[a] = param_of_symbol(sp, active[a]);
    inverse[param[a]] = a;
  }
  sp->nactive = n;
  sp->active_param = param;
  sp->param_active = inverse;
  *out = active;
  return DP_OK;
}

/* ---- outputs ---- */

/* d node/dt along the path without inputs: sum_j d node/d x_j * f_j + d node/d time. */
static dpi_node along_path(builder *b, dpi_node node) {
  dpi_graph *g = b->model->graph;
  const int32_t *sym;
  int n;
  if (dpi_g_symbols(g, node, &sym, &n) != DP_OK) return DPI_NODE_NONE;
  int *mine = DPI_NEW_ARRAY(b->sp->base.ctx, int, n + 1); /* the list is the graph's */
  if (!mine) return DPI_NODE_NONE;
  for (int k = 0; k < n; k++) mine[k] = sym[k];
  dpi_node sum = dpi_g_diff(g, node, 0);
  for (int k = 0; k < n; k++) {
    if (mine[k] < 1 || mine[k] > b->model->nstate) continue;
    const dpi_node d = dpi_g_diff(g, node, mine[k]);
    sum = dpi_g_op2(g, DPI_OP_ADD, sum, dpi_g_op2(g, DPI_OP_MUL, d, b->model->sym[mine[k]].formula));
  }
  dpi_free(b->sp->base.ctx, mine);
  return sum;
}

/* How a node depends on time and states, given how its arguments do: 0 not at all, 1 affine in the states,
 * 2 otherwise. */
static int degree_of(const builder *b, dpi_node node, const int8_t *degree) {
  const dpi_gnode n = dpi_graph_at(b->model->graph, node);
  int arg[3] = {0, 0, 0}, most = 0;
  const bool leaf = n.op == DPI_OP_CONST || n.op == DPI_OP_SYM;
  for (int k = 0; k < 3 && !leaf && !(n.op == DPI_OP_POWI && k == 1); k++) {
    if (n.arg[k] < 0) break;
    arg[k] = degree[n.arg[k]];
    if (arg[k] > most) most = arg[k];
  }
  if (n.op == DPI_OP_SYM) return n.arg[0] == 0 || n.arg[0] >= b->model->nsym ? 2 : b->fast[n.arg[0]];
  if (n.op == DPI_OP_ADD || n.op == DPI_OP_SUB || n.op == DPI_OP_NEG) return most;
  if (n.op == DPI_OP_MUL && (arg[0] == 0 || arg[1] == 0)) return most;
  if (n.op == DPI_OP_DIV && arg[1] == 0) return most;
  return most > 0 ? 2 : 0;
}

/* Of all nodes there are now: arguments come before their users. */
static void find_degrees(const builder *b, int8_t *degree, int count) {
  for (dpi_node i = 0; i < count; i++) degree[i] = (int8_t)degree_of(b, i, degree);
}

static dp_status find_affine(builder *b, const dpi_node *node, int n) {
  dp_ctx *ctx = b->sp->base.ctx;
  const int count = dpi_graph_count(b->model->graph);
  bool *flag = DPI_ARENA_ARRAY(&b->sp->arena, bool, n + 1);
  int8_t *degree = DPI_NEW_ARRAY(ctx, int8_t, count);
  if (!flag || !degree) {
    dpi_free(ctx, degree);
    return DP_ERR_MEMORY;
  }
  find_degrees(b, degree, count);
  for (int i = 0; i < n; i++) flag[i] = degree[node[i]] <= 1;
  dpi_free(ctx, degree);
  b->sp->affine = flag;
  return DP_OK;
}

/* in[j]: state j's rate is affine in states that are in, and free of time. Chains run along the order of states as
 * often as against it: each sweep goes both ways. */
static void find_head(const builder *b, const int8_t *degree, bool *in) {
  const dpi_system *sys = b->sp->sys;
  const int n = sys->jac_nnz;
  for (int j = 0; j < b->model->nstate; j++) in[j] = degree[b->model->sym[1 + j].formula] <= 1;
  for (bool changed = true; changed;) {
    changed = false;
    for (int k = 0; k < 2 * n; k++) {
      const int at = k < n ? k : 2 * n - 1 - k, row = sys->jac_row[at], col = sys->jac_col[at];
      if (in[row] && !in[col]) in[row] = false, changed = true;
    }
  }
}

/* Is every other state's rate affine in these others when those of the head are held? */
static bool tail_affine(builder *b, int8_t *degree, int count, const bool *in) {
  const dp_model *m = b->model;
  bool all = true;
  for (int j = 0; j < m->nstate; j++) b->fast[1 + j] = !in[j];
  find_degrees(b, degree, count);
  for (int j = 0; j < m->nstate; j++) all = all && (in[j] || degree[m->sym[1 + j].formula] <= 1);
  for (int j = 0; j < m->nstate; j++) b->fast[1 + j] = 1;
  return all;
}

/* Typical of drugs: linear kinetics drive a response that is linear in itself. Steady states are cheap there. */
static dp_status find_cascade(builder *b) {
  dpi_eq_spoke *sp = b->sp;
  dp_ctx *ctx = sp->base.ctx;
  const int n = sp->nstate, count = dpi_graph_count(b->model->graph);
  int *head = DPI_ARENA_ARRAY(&sp->arena, int, n + 1), *tail = DPI_ARENA_ARRAY(&sp->arena, int, n + 1);
  int *at = DPI_ARENA_ARRAY(&sp->arena, int, n + 1);
  bool *in = DPI_ARENA_ARRAY(&sp->arena, bool, n + 1);
  int8_t *degree = DPI_NEW_ARRAY(ctx, int8_t, count + 1);
  dp_status st = head && tail && at && in && degree ? DP_OK : DP_ERR_MEMORY;
  if (st == DP_OK) find_degrees(b, degree, count);
  if (st == DP_OK) find_head(b, degree, in);
  for (int j = 0; j < n && st == DP_OK; j++) {
    at[j] = in[j] ? sp->nhead : -1;
    if (in[j])
      head[sp->nhead++] = j;
    else
      tail[sp->ntail++] = j;
  }
  sp->head = head;
  sp->tail = tail;
  sp->head_at = at;
  sp->cascade = st == DP_OK && b->model->nalgebraic == 0 && b->model->ndelayed == 0 && sp->nhead > 0 && sp->ntail > 0 &&
                tail_affine(b, degree, count, in);
  dpi_free(ctx, degree);
  return st;
}

static dp_status output_node(builder *b, const dp_output_def *o, int i, dpi_node *node) {
  char where[200];
  snprintf(where, sizeof where, "output '%.150s'", o->id ? o->id : "?");
  if (!o->id) return dpi_fail(b->sp->base.ctx, DP_ERR_USAGE, "output %d has no id", i + 1);
  if (o->formula) return dpi_model_parse(b->model, o->formula, where, false, node);
  /* a symbol's id need not be a formula: amount(S), R.k */
  int sym = dpi_model_find(b->model, o->id);
  if (sym < 0) return dpi_model_parse(b->model, o->id, where, false, node);
  *node = dpi_model_value(b->model, sym);
  return *node == DPI_NODE_NONE ? DP_ERR_MEMORY : DP_OK;
}

/* Outputs that are the states themselves are copied. */
static dp_status find_plain(builder *b, const dpi_node *node) {
  dpi_eq_spoke *sp = b->sp;
  int *state = DPI_ARENA_ARRAY(&sp->arena, int, sp->noutput + 1);
  if (!state) return DP_ERR_MEMORY;
  for (int i = 0; i < sp->noutput; i++) {
    const dpi_gnode n = dpi_graph_at(b->model->graph, node[i]);
    if (n.op != DPI_OP_SYM || n.arg[0] < 1 || n.arg[0] > sp->nstate) return DP_OK;
    state[i] = n.arg[0] - 1;
  }
  sp->out_state = state;
  return DP_OK;
}

static dp_status build_outputs(builder *b, const dp_sim_def *def) {
  dpi_eq_spoke *sp = b->sp;
  const int n = sp->noutput = def->noutput, ns = sp->nstate;
  dpi_node *node = DPI_ARENA_ARRAY(&sp->arena, dpi_node, n + 1);
  sp->dot = DPI_ARENA_ARRAY(&sp->arena, dpi_eq_map, n + 1);
  if (!node || !sp->dot) return DP_ERR_MEMORY;
  for (int i = 0; i < n; i++) DP_TRY(output_node(b, &def->output[i], i, &node[i]));
  b->output = node;
  DP_TRY(find_affine(b, node, n));
  DP_TRY(build(b, node, n, NULL, 0, 0, &sp->out));
  DP_TRY(find_plain(b, node));
  DP_TRY(build(b, node, n, b->state_active, ns + sp->nactive, 0, &sp->out_der));
  for (int i = 0; i < n; i++) {
    /* value, its slope, then the derivatives by state of the value alone: put the value last so that first_der = 1 */
    const dpi_node pair[2] = {along_path(b, node[i]), node[i]};
    if (pair[0] == DPI_NODE_NONE) return dpi_fail(sp->base.ctx, DP_ERR_MEMORY, "no memory for the slope of an output");
    DP_TRY(build(b, pair, 2, b->state_delayed, ns + b->model->ndelayed, 1, &sp->dot[i]));
  }
  return DP_OK;
}

/* ---- controls ---- */

static dp_status control_formula(builder *b, const dp_control_def *c, int f, const char *text, dpi_node *node) {
  static const char *const name[DPI_EQ_NFORMULA] = {"bioavailability", "lag", "rate", "duration"};
  dp_ctx *ctx = b->sp->base.ctx;
  const dp_model *m = b->model;
  char where[200];
  snprintf(where, sizeof where, "control '%s': %s", c->id, name[f]);
  DP_TRY(dpi_model_parse(b->model, text, where, false, node));
  uint8_t *seen = DPI_NEW_ARRAY(ctx, uint8_t, m->nsym);
  if (!seen) return DP_ERR_MEMORY;
  dp_status st = dpi_g_depends(m->graph, *node, seen, m->nsym);
  for (int j = 1; j <= m->nstate && st == DP_OK; j++)
    if (seen[j])
      st = dpi_fail(ctx, DP_ERR_UNSUPPORTED, "%s: found state '%s', expected parameters and time only", where,
                    m->sym[j].id);
  dpi_free(ctx, seen);
  return st;
}

static dp_status build_control(builder *b, const dp_control_def *c, dpi_eq_control *out) {
  dpi_eq_spoke *sp = b->sp;
  dp_ctx *ctx = sp->base.ctx;
  if (!c->id || !c->target) return dpi_fail(ctx, DP_ERR_USAGE, "a control needs an id and a target state");
  const int sym = dpi_model_find(b->model, c->target);
  if (sym < 1 || sym > sp->nstate)
    return dpi_fail(ctx, DP_ERR_INPUT, "control '%s': target '%s': found no state of that name in %s", c->id, c->target,
                    b->model->source);
  if (b->model->sym[sym].algebraic)
    return dpi_fail(ctx, DP_ERR_INPUT, "control '%s': target '%s' is determined by an algebraic equation of %s", c->id,
                    c->target, b->model->source);
  out->state = sym - 1;
  const char *const text[DPI_EQ_NFORMULA] = {c->bioavailability, c->lag, c->rate, c->duration};
  dpi_node node[DPI_EQ_NFORMULA];
  for (int f = 0; f < DPI_EQ_NFORMULA; f++) {
    out->has[f] = text[f] != NULL;
    node[f] = dpi_g_const(b->model->graph, f == DPI_EQ_F ? 1 : 0);
    if (text[f]) DP_TRY(control_formula(b, c, f, text[f], &node[f]));
  }
  /* columns: active, then time */
  return build(b, node, DPI_EQ_NFORMULA, b->state_active + sp->nstate, sp->nactive + 1, 0, &out->map);
}

static dp_status build_controls(builder *b, const dp_sim_def *def) {
  dpi_eq_spoke *sp = b->sp;
  sp->control = DPI_ARENA_ARRAY(&sp->arena, dpi_eq_control, def->ncontrol + 1);
  if (!sp->control) return DP_ERR_MEMORY;
  for (; sp->ncontrol < def->ncontrol; sp->ncontrol++)
    DP_TRY(build_control(b, &def->control[sp->ncontrol], &sp->control[sp->ncontrol]));
  return DP_OK;
}

/* ---- events ---- */

static dp_status build_event(builder *b, const dpi_model_event *e, dpi_eq_event *out) {
  dpi_eq_spoke *sp = b->sp;
  dpi_graph *g = b->model->graph;
  const int ncol = sp->nstate + sp->nactive + 1;
  dpi_node *node = DPI_NEW_ARRAY(sp->base.ctx, dpi_node, 2 + e->nassign);
  if (!node) return DP_ERR_MEMORY;
  node[0] = e->priority == DPI_NODE_NONE ? dpi_g_const(g, 0) : e->priority;
  node[1] = e->delay == DPI_NODE_NONE ? dpi_g_const(g, 0) : e->delay;
  for (int a = 0; a < e->nassign; a++) node[2 + a] = e->assign[a].value;
  dp_status st = build(b, node, 2 + e->nassign, b->state_active, ncol, 1, &out->act);
  bool any = false;
  for (int a = 0; a < e->nassign; a++) {
    any = any || e->assign[a].times > 0;
    node[a] = e->assign[a].times > 0 ? b->model->value[e->assign[a].times] : dpi_g_const(g, 1);
  }
  if (st == DP_OK && any) st = build(b, node, e->nassign, b->state_active, ncol, 0, &out->times);
  dpi_free(sp->base.ctx, node);
  return st;
}

static dp_status build_events(builder *b) {
  dpi_eq_spoke *sp = b->sp;
  sp->event = DPI_ARENA_ARRAY(&sp->arena, dpi_eq_event, b->model->nevent + 1);
  if (!sp->event) return DP_ERR_MEMORY;
  for (; sp->nevent < b->model->nevent; sp->nevent++) {
    DP_TRY(build_event(b, &b->model->event[sp->nevent], &sp->event[sp->nevent]));
    if (b->model->event[sp->nevent].nassign > sp->nassign_max) sp->nassign_max = b->model->event[sp->nevent].nassign;
  }
  return DP_OK;
}

/* ---- draws ---- */

static dp_status build_draws(builder *b) {
  dpi_eq_spoke *sp = b->sp;
  const dp_model *m = b->model;
  sp->draw = DPI_ARENA_ARRAY(&sp->arena, dpi_eq_draw, m->ndraw + 1);
  if (!sp->draw) return DP_ERR_MEMORY;
  for (; sp->ndraw < m->ndraw; sp->ndraw++)
    DP_TRY(build(b, m->draw[sp->ndraw].arg, m->draw[sp->ndraw].narg, NULL, 0, 0, &sp->draw[sp->ndraw].arg));
  return DP_OK;
}

/* When an event is executed, where numbers alone say so (`time >= 420`, which a later start does not fire); NAN:
 * something else says it. */
static double fixed_time(const dp_model *m, const dpi_model_event *e) {
  const dpi_gnode n = dpi_graph_at(m->graph, e->trigger);
  const bool after = n.op == DPI_OP_GE || n.op == DPI_OP_GT, before = n.op == DPI_OP_LE || n.op == DPI_OP_LT;
  if (!(after || before) || !e->initial_value) return NAN;
  const dpi_gnode time = dpi_graph_at(m->graph, n.arg[after ? 0 : 1]);
  const dpi_gnode at = dpi_graph_at(m->graph, n.arg[after ? 1 : 0]);
  if (time.op != DPI_OP_SYM || time.arg[0] != 0 || at.op != DPI_OP_CONST) return NAN;
  if (e->delay == DPI_NODE_NONE) return at.value;
  const dpi_gnode delay = dpi_graph_at(m->graph, e->delay);
  return delay.op == DPI_OP_CONST ? at.value + delay.value : NAN;
}

/* May two events tie? With a priority each, or without one both; never those that have times of their own. */
static bool may_tie(const dp_model *m) {
  for (int i = 0; i < m->nevent; i++) {
    const dpi_model_event *a = &m->event[i];
    const double at = fixed_time(m, a);
    for (int j = 0; j < i; j++) {
      const dpi_model_event *b = &m->event[j];
      const bool apart = fabs(at - fixed_time(m, b)) * (double)DP_TICKS >= 2;
      if (!apart && (a->priority == DPI_NODE_NONE) == (b->priority == DPI_NODE_NONE)) return true;
    }
  }
  return false;
}

/* ---- delays ---- */

/* 0: moves with time or state; 1: parameters only; 2: a number. */
static dp_status lag_kind(builder *b, dpi_node lag, uint8_t *seen, uint8_t *kind) {
  const dp_model *m = b->model;
  memset(seen, 0, (size_t)m->nsym);
  DP_TRY(dpi_g_depends(m->graph, lag, seen, m->nsym));
  *kind = dpi_graph_at(m->graph, lag).op == DPI_OP_CONST ? 2 : 1;
  for (int s = 0; s < m->nsym; s++)
    if (seen[s] && b->fast[s]) *kind = 0;
  for (int k = 0; k < m->ndelayed; k++) b->sp->lag_nested = b->sp->lag_nested || seen[1 + m->nstate + k];
  return DP_OK;
}

static dp_status find_delays(builder *b, uint8_t *seen, uint8_t *kind, bool *out) {
  const dp_model *m = b->model;
  for (int k = 0; k < m->ndelayed; k++) DP_TRY(lag_kind(b, m->sym[1 + m->nstate + k].delay, seen, &kind[k]));
  for (int i = 0; i < b->sp->noutput; i++) {
    memset(seen, 0, (size_t)m->nsym);
    DP_TRY(dpi_g_depends(m->graph, b->output[i], seen, m->nsym));
    for (int k = 0; k < m->ndelayed; k++) out[i] = out[i] || seen[1 + m->nstate + k];
  }
  return DP_OK;
}

static dp_status build_delays(builder *b) {
  dpi_eq_spoke *sp = b->sp;
  uint8_t *kind = DPI_ARENA_ARRAY(&sp->arena, uint8_t, b->model->ndelayed + 1);
  bool *out = DPI_ARENA_ARRAY(&sp->arena, bool, sp->noutput + 1);
  uint8_t *seen = DPI_NEW_ARRAY(sp->base.ctx, uint8_t, sp->nsym + 1);
  const dp_status st = kind && out && seen ? find_delays(b, seen, kind, out) : DP_ERR_MEMORY;
  dpi_free(sp->base.ctx, seen);
  sp->lag_steady = kind;
  sp->out_delayed = out;
  return st;
}

/* ---- the whole ---- */

static dp_status choose_method(dpi_eq_spoke *sp, const dp_sim_def *def) {
  const char *method = def->method ? def->method : "auto";
  const bool lanes = dpi_eq_lanes_named(method);
  const bool fixed = dpi_eq_fixed_named(method);
  sp->method = dpi_arena_strdup(&sp->arena, lanes || fixed ? "auto" : method);
  if (!sp->method) return DP_ERR_MEMORY;
  sp->crew0 = DPI_EQ_ALONE;
  sp->width = def->lanes;
  sp->opts = dpi_solve_opts_default();
  sp->opts.rtol = def->rtol;
  sp->opts.sens_error = !def->same_steps;
  sp->opts.atol = def->atol;
  sp->opts.max_steps = def->max_steps;
  /* a method that can't take this system is refused now, not at the first run */
  dpi_eq_bench *bench = NULL;
  DP_TRY(dpi_eq_bench_take(sp, 0, &bench));
  sp->whole = sp->sys->linear && strcmp(bench->solver->ops->name, "linear") == 0;
  dpi_eq_bench_give(bench);
  if (fixed) return dpi_eq_fixed_compile(sp, def);
  if (!lanes) return DP_OK;
  DP_TRY(dpi_eq_lanes_compile(sp, method));
  if (sp->lane_forced) sp->whole = false;
  return DP_OK;
}

static dp_status system_maps(dpi_eq_spoke *sp) {
  const dpi_system *y = sp->sys;
  const int n = sp->nstate;
  sp->rhs = (dpi_eq_map){.tape = y->rhs, .nvalue = n};
  sp->full = (dpi_eq_map){.tape = y->full, .nvalue = n, .nder = y->jac_nnz + y->fp_nnz};
  sp->init = (dpi_eq_map){.tape = y->init, .nvalue = n, .nder = n * sp->nactive};
  register_map(sp, &sp->rhs);
  register_map(sp, &sp->full);
  register_map(sp, &sp->init);
  sp->ndelayed = y->ndelayed;
  if (y->ndelayed == 0) return DP_OK;
  sp->lag = (dpi_eq_map){.tape = y->lag, .nvalue = 2 * y->ndelayed};
  sp->past = (dpi_eq_map){.tape = y->past, .nvalue = y->ndelayed};
  register_map(sp, &sp->lag);
  register_map(sp, &sp->past);
  return DP_OK;
}

static dp_status list_tapes(dpi_eq_spoke *sp) {
  const dpi_tape **tape = DPI_ARENA_ARRAY(&sp->arena, const dpi_tape *, sp->nmap);
  if (!tape) return DP_ERR_MEMORY;
#define PUT(map)                                          \
  do {                                                    \
    if ((map).tape) tape[(map).id] = (map).tape;          \
  } while (0)
  PUT(sp->rhs);
  PUT(sp->full);
  PUT(sp->init);
  PUT(sp->out);
  PUT(sp->out_der);
  for (int i = 0; i < sp->noutput; i++) PUT(sp->dot[i]);
  for (int i = 0; i < sp->ncontrol; i++) PUT(sp->control[i].map);
  for (int i = 0; i < sp->nevent; i++) PUT(sp->event[i].act);
  for (int i = 0; i < sp->nevent; i++) PUT(sp->event[i].times);
  for (int i = 0; i < sp->nlaw; i++) PUT(sp->law[i].map);
  for (int i = 0; i < sp->ndraw; i++) PUT(sp->draw[i].arg);
  PUT(sp->watch.value);
  PUT(sp->watch.slope);
  PUT(sp->watch.mark);
  PUT(sp->lag);
  PUT(sp->past);
#undef PUT
  sp->tape = tape;
  return DP_OK;
}

/* What such a model keeps the spoke from offering, and what it brings. */
static void declare(dpi_eq_spoke *sp) {
  const dpi_system *y = sp->sys;
  sp->settles = y->nalgebraic > 0 || dpi_model_find(sp->model, DPI_FAST_SPEED) >= 0;
  if (sp->settles || y->ndelayed > 0) sp->desc.caps &= ~(uint32_t)(DP_CAP_JVP | DP_CAP_STEADY);
  if (y->ndelayed > 0) sp->desc.caps &= ~(uint32_t)DP_CAP_SAVE; /* replayed from the start instead */
  if (sp->ndraw > 0) sp->desc.caps &= ~(uint32_t)DP_CAP_JVP;
  if (sp->ndraw > 0 || may_tie(sp->model)) sp->desc.caps |= DP_CAP_STOCHASTIC;
}

dp_status dpi_eq_compile(dpi_eq_spoke *sp, const dp_sim_def *def) {
  dp_ctx *ctx = sp->base.ctx;
  dp_model *m = def->model;
  if (!m) return dpi_fail(ctx, DP_ERR_USAGE, "spoke equations: found no model, expected a sealed one");
  if (!m->sealed) return dpi_fail(ctx, DP_ERR_USAGE, "%s: the model is not sealed", m->source);
  if (!(def->rtol > 0) || !(def->atol >= 0))
    return dpi_fail(ctx, DP_ERR_INPUT, "tolerances: found rtol %g, atol %g, expected rtol > 0 and atol >= 0", def->rtol,
                    def->atol);
  sp->model = m;
  sp->nsym = m->nsym;
  builder b = {.sp = sp, .model = m};
  const int *active = NULL;
  DP_TRY(list_states(&b));
  DP_TRY(list_params(&b));
  DP_TRY(list_active(&b, def, &active));
  b.fast = DPI_ARENA_ARRAY(&sp->arena, uint8_t, m->nsym + 1);
  b.state_active = DPI_ARENA_ARRAY(&sp->arena, int, sp->nstate + sp->nactive + 1);
  b.state_delayed = DPI_ARENA_ARRAY(&sp->arena, int, sp->nstate + m->ndelayed + 1);
  if (!b.fast || !b.state_active || !b.state_delayed) return DP_ERR_MEMORY;
  for (int s = 0; s <= m->nstate + m->ndelayed; s++) b.fast[s] = 1;
  for (int j = 0; j < sp->nstate + m->ndelayed; j++) b.state_delayed[j] = 1 + j;
  for (int j = 0; j < sp->nstate; j++) b.state_active[j] = 1 + j;
  for (int a = 0; a < sp->nactive; a++) b.state_active[sp->nstate + a] = active[a];
  b.state_active[sp->nstate + sp->nactive] = 0;
  DP_TRY(build_outputs(&b, def));
  DP_TRY(build_controls(&b, def));
  DP_TRY(build_events(&b));
  DP_TRY(dpi_eq_law_compile(sp, m, def, b.fast, b.state_active));
  DP_TRY(build_draws(&b));
  DP_TRY(build_delays(&b));
  DP_TRY(dpi_eq_watch_compile(sp, m, b.fast, b.state_active, sp->nstate + sp->nactive + 1));
  DP_TRY(dpi_system_create(ctx, m, active, sp->nactive, &sp->sys));
  DP_TRY(find_cascade(&b));
  DP_TRY(system_maps(sp));
  DP_TRY(list_tapes(sp));
  declare(sp);
  DP_TRY(choose_method(sp, def));
  sp->desc.lane_dirs = dpi_eq_tangent_most(sp);
  return DP_OK;
}

static void release_map(dpi_eq_map *map) { dpi_tape_destroy(map->tape); }

void dpi_eq_release(dpi_eq_spoke *sp) {
  dpi_eq_lanes_release(sp);
  dpi_eq_fixed_release(sp);
  release_map(&sp->out);
  release_map(&sp->out_der);
  for (int i = 0; sp->dot && i < sp->noutput; i++) release_map(&sp->dot[i]);
  for (int i = 0; sp->control && i <= sp->ncontrol; i++) release_map(&sp->control[i].map);
  for (int i = 0; sp->event && i <= sp->nevent; i++) release_map(&sp->event[i].act);
  for (int i = 0; sp->event && i <= sp->nevent; i++) release_map(&sp->event[i].times);
  for (int i = 0; sp->law && i <= sp->nlaw; i++) release_map(&sp->law[i].map);
  for (int i = 0; sp->draw && i <= sp->ndraw; i++) release_map(&sp->draw[i].arg);
  release_map(&sp->watch.value);
  release_map(&sp->watch.slope);
  release_map(&sp->watch.mark);
  dpi_system_destroy(sp->sys);
  dpi_arena_release(&sp->arena);
}
