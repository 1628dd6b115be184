/* st_compile.c - from a sealed model and a sim's definition to tapes: parameters, outputs, controls, draws, events.
 * What channels and flow are made of stands in st_channel.c. Happens once, on one thread; constant afterwards.
 */
#include "spoke/stochastic/st_impl.h"

dp_status dpi_st_map_build(dpi_st_builder *b, const dpi_node *node, int n, dpi_st_map *map) {
  dpi_st_spoke *sp = b->sp;
  dp_ctx *ctx = sp->base.ctx;
  for (int i = 0; i < n; i++)
    if (node[i] == DPI_NODE_NONE)
      return dpi_fail(ctx, DP_ERR_MEMORY, "%s: no memory for its formulas", b->model->source);
  DP_TRY(dpi_tape_create(ctx, b->model->graph, node, n, b->fast, sp->nsym, &map->tape));
  map->n = n;
  map->id = sp->nmap;
  if (n > sp->nvalue_max) sp->nvalue_max = n;
  if (dpi_grow(ctx, (void **)&sp->tape, &sp->cap_tape, sp->nmap + 1, sizeof *sp->tape) != DP_OK) {
    dpi_tape_destroy(map->tape);
    map->tape = NULL;
    return DP_ERR_MEMORY;
  }
  sp->tape[sp->nmap++] = map->tape; /* the list owns them */
  return DP_OK;
}

dp_status dpi_st_depends(dpi_st_builder *b, dpi_node node) {
  memset(b->seen, 0, (size_t)b->sp->nsym);
  if (node == DPI_NODE_NONE) return DP_OK;
  return dpi_g_depends(b->model->graph, node, b->seen, b->sp->nsym);
}

/* Arguments have smaller numbers than their users, so one pass upwards tells of all. */
static uint8_t kind_of(const dpi_st_builder *b, dpi_gnode n) {
  uint8_t arg[3] = {0, 0, 0}, fast = 0, most = 0;
  if (n.op == DPI_OP_CONST) return 0;
  if (n.op == DPI_OP_SYM) return (uint8_t)((b->fast[n.arg[0]] ? DPI_ST_FAST : 0) | b->moving[n.arg[0]]);
  for (int k = 0; k < 3 && !(n.op == DPI_OP_POWI && k == 1) && n.arg[k] >= 0; k++) {
    arg[k] = b->kind[n.arg[k]] & DPI_ST_DEGREE;
    fast |= b->kind[n.arg[k]] & DPI_ST_FAST;
    if (arg[k] > most) most = arg[k];
  }
  uint8_t degree = most > 0 ? 2 : 0;
  if (n.op == DPI_OP_ADD || n.op == DPI_OP_SUB || n.op == DPI_OP_NEG) degree = most;
  if (n.op == DPI_OP_MUL && (arg[0] == 0 || arg[1] == 0)) degree = most;
  if (n.op == DPI_OP_DIV && arg[1] == 0) degree = most;
  return (uint8_t)(fast | degree);
}

dp_status dpi_st_kind(dpi_st_builder *b, dpi_node node, int *kind) {
  DP_TRY(dpi_grow(b->sp->base.ctx, (void **)&b->kind, &b->cap_kind, node + 1, 1));
  for (; b->nkind <= node; b->nkind++) b->kind[b->nkind] = kind_of(b, dpi_graph_at(b->model->graph, b->nkind));
  *kind = b->kind[node];
  return DP_OK;
}

/* ---- what is refused ---- */

static dp_status refuse(dpi_st_builder *b) {
  const dp_model *m = b->model;
  dp_ctx *ctx = b->sp->base.ctx;
  if (m->nalgebraic > 0)
    return dpi_fail(ctx, DP_ERR_UNSUPPORTED,
                    "%s: '%s' is given by an algebraic rule: spoke 'stochastic' can't solve for it", m->source,
                    m->sym[1 + m->nstate - m->nalgebraic].id);
  if (m->ndelayed > 0)
    return dpi_fail(ctx, DP_ERR_UNSUPPORTED, "%s: delay() in line %d: spoke 'stochastic' keeps no past values",
                    m->source, m->sym[1 + m->nstate].line);
  for (int r = 0; r < m->nreaction; r++)
    if (m->reaction[r].fast)
      return dpi_fail(ctx, DP_ERR_UNSUPPORTED,
                      "%s:%d: reaction '%s' is fast: spoke 'stochastic' knows no partial equilibrium", m->source,
                      m->reaction[r].line, m->reaction[r].id);
  return DP_OK;
}

/* What changes by jumps has no rate of change. Such a symbol is "rateOf(X)", which no id of a modeller is. */
static dp_status refuse_rates(dpi_st_builder *b) {
  const dp_model *m = b->model;
  for (int s = 1; s < m->nsym; s++) {
    const dpi_symbol *y = &m->sym[s];
    const size_t n = strlen(y->id);
    if (n < 9 || strncmp(y->id, "rateOf(", 7) != 0) continue;
    char *name = dpi_arena_strndup(&b->sp->arena, y->id + 7, n - 8);
    if (!name) return DP_ERR_MEMORY;
    const int of = dpi_model_find(m, name);
    if (of < 0) continue;
    DP_TRY(dpi_st_depends(b, dpi_model_value(m, of)));
    for (int j = 0; j < b->sp->nstate; j++)
      if (b->seen[1 + j] && b->sp->counted[j])
        return dpi_fail(b->sp->base.ctx, DP_ERR_UNSUPPORTED,
                        "%s:%d: %s: '%s' changes by jumps: spoke 'stochastic' knows no rate of it", m->source, y->line,
                        y->id, name);
  }
  return DP_OK;
}

/* ---- parameters, states ---- */

static dp_status list_symbols(dpi_st_builder *b) {
  dpi_st_spoke *sp = b->sp;
  const dp_model *m = b->model;
  int n = 0;
  for (int s = 0; s < m->nsym; s++) n += m->sym[s].kind == DPI_SYM_PARAM;
  int *sym = DPI_ARENA_ARRAY(&sp->arena, int, n + 1);
  const char **param = DPI_ARENA_ARRAY(&sp->arena, const char *, n + 1);
  double *value = DPI_ARENA_ARRAY(&sp->arena, double, n + 1);
  const char **state = DPI_ARENA_ARRAY(&sp->arena, const char *, m->nstate + 1);
  const char **unit = DPI_ARENA_ARRAY(&sp->arena, const char *, m->nstate + 1);
  if (!sym || !param || !value || !state || !unit) return DP_ERR_MEMORY;
  for (int s = 0; s < m->nsym; s++) {
    if (m->sym[s].kind != DPI_SYM_PARAM) continue;
    sym[sp->nparam] = s;
    param[sp->nparam] = m->sym[s].id;
    value[sp->nparam++] = m->sym[s].value;
  }
  for (int j = 0; j < m->nstate; j++) {
    state[j] = m->sym[1 + j].id;
    unit[j] = m->sym[1 + j].unit ? m->sym[1 + j].unit : "";
  }
  sp->nstate = sp->desc.nstate = m->nstate;
  sp->desc.state_id = state;
  sp->desc.state_unit = unit;
  sp->param_sym = sym;
  sp->desc.nparam = sp->nparam;
  sp->desc.param_id = param;
  sp->desc.param_default = value;
  return DP_OK;
}

/* ---- outputs, controls, draws ---- */

static dp_status build_outputs(dpi_st_builder *b, const dp_sim_def *def) {
  dpi_st_spoke *sp = b->sp;
  sp->noutput = def->noutput;
  dpi_node *node = DPI_ARENA_ARRAY(&sp->arena, dpi_node, def->noutput + 1);
  if (!node) return DP_ERR_MEMORY;
  for (int i = 0; i < def->noutput; i++) {
    const dp_output_def *o = &def->output[i];
    char where[200];
    snprintf(where, sizeof where, "output '%.150s'", o->id ? o->id : "?");
    if (!o->id) return dpi_fail(sp->base.ctx, DP_ERR_USAGE, "output %d has no id", i + 1);
    const char *text = o->formula ? o->formula : o->id;
    const int sym = dpi_model_find(b->model, text); /* also of names that are no formulas: "amount(S)" */
    if (sym >= 0)
      node[i] = dpi_model_value(b->model, sym);
    else
      DP_TRY(dpi_model_parse(b->model, text, where, false, &node[i]));
  }
  return dpi_st_map_build(b, node, def->noutput, &sp->out);
}

static dp_status build_control(dpi_st_builder *b, const dp_control_def *c, dpi_st_control *out) {
  dpi_st_spoke *sp = b->sp;
  dp_ctx *ctx = sp->base.ctx;
  dpi_graph *g = b->model->graph;
  if (!c->id || !c->target) return dpi_fail(ctx, DP_ERR_USAGE, "a control needs an id and a target state");
  if (c->rate || c->duration)
    return dpi_fail(ctx, DP_ERR_UNSUPPORTED, "control '%s': spoke 'stochastic' takes no infusions", c->id);
  const int sym = dpi_model_find(b->model, c->target);
  if (sym < 1 || sym > sp->nstate)
    return dpi_fail(ctx, DP_ERR_INPUT, "control '%s': target '%s': found no state of that name in %s", c->id, c->target,
                    b->model->source);
  out->sym = sym;
  char where[200];
  snprintf(where, sizeof where, "control '%.150s'", c->id);
  dpi_node node[2] = {dpi_g_const(g, 1), dpi_g_const(g, 0)};
  if (c->bioavailability) DP_TRY(dpi_model_parse(b->model, c->bioavailability, where, false, &node[0]));
  if (c->lag) DP_TRY(dpi_model_parse(b->model, c->lag, where, false, &node[1]));
  return dpi_st_map_build(b, node, 2, &out->map);
}

static dp_status build_controls(dpi_st_builder *b, const dp_sim_def *def) {
  dpi_st_spoke *sp = b->sp;
  sp->control = DPI_ARENA_ARRAY(&sp->arena, dpi_st_control, def->ncontrol + 1);
  if (!sp->control) return DP_ERR_MEMORY;
  for (; sp->ncontrol < def->ncontrol; sp->ncontrol++)
    DP_TRY(build_control(b, &def->control[sp->ncontrol], &sp->control[sp->ncontrol]));
  return DP_OK;
}

static dp_status build_draws(dpi_st_builder *b) {
  dpi_st_spoke *sp = b->sp;
  const dp_model *m = b->model;
  sp->ndraw = m->ndraw;
  sp->draw = DPI_ARENA_ARRAY(&sp->arena, dpi_st_map, m->ndraw + 1);
  if (!sp->draw) return DP_ERR_MEMORY;
  for (int i = 0; i < m->ndraw; i++) DP_TRY(dpi_st_map_build(b, m->draw[i].arg, m->draw[i].narg, &sp->draw[i]));
  return DP_OK;
}

/* ---- initial values ---- */

static dp_status build_start(dpi_st_builder *b) {
  dpi_st_spoke *sp = b->sp;
  const dp_model *m = b->model;
  dpi_node *node = DPI_ARENA_ARRAY(&sp->arena, dpi_node, m->nstate + 1);
  if (!node) return DP_ERR_MEMORY;
  for (int j = 0; j < m->nstate; j++) {
    node[j] = m->start ? m->start[1 + j] : m->sym[1 + j].init;
    if (node[j] == DPI_NODE_NONE)
      return dpi_fail(sp->base.ctx, DP_ERR_INPUT, "%s:%d: '%s' has no initial value", m->source, m->sym[1 + j].line,
                      m->sym[1 + j].id);
  }
  return dpi_st_map_build(b, node, m->nstate, &sp->start);
}

/* ---- events ---- */

static dp_status find_reach(dpi_st_builder *b, const dpi_model_event *e, dpi_st_event *out) {
  dpi_st_spoke *sp = b->sp;
  int own, kind, most = 0;
  DP_TRY(dpi_st_kind(b, e->trigger, &own));
  for (int r = 0; r < e->nroot; r++) {
    DP_TRY(dpi_st_kind(b, e->root[r], &kind));
    if ((kind & DPI_ST_DEGREE) > most) most = kind & DPI_ST_DEGREE;
  }
  out->reach = (own & DPI_ST_DEGREE) == 0 ? DPI_ST_STILL : (e->nroot > 0 && most == 1 ? DPI_ST_AFFINE : DPI_ST_CURVED);
  /* a line in time, unless it is in a flow that is no line */
  bool flow = false;
  for (int r = 0; r < e->nroot && out->reach == DPI_ST_AFFINE; r++) {
    DP_TRY(dpi_st_depends(b, e->root[r]));
    for (int i = 0; i < sp->nflow; i++) flow = flow || b->seen[sp->flow_sym[i]];
  }
  if (flow && !sp->straight) out->reach = DPI_ST_CURVED;
  sp->naffine += out->reach == DPI_ST_AFFINE;
  sp->ncurved += out->reach == DPI_ST_CURVED;
  return DP_OK;
}

static dp_status list_draws(dpi_st_builder *b, int e, dpi_draw_phase phase, int *n, const int **list) {
  dpi_st_spoke *sp = b->sp;
  const dp_model *m = b->model;
  int *at = DPI_ARENA_ARRAY(&sp->arena, int, m->ndraw + 1);
  if (!at) return DP_ERR_MEMORY;
  for (int i = 0; i < m->ndraw; i++)
    if (m->draw[i].phase == phase && m->draw[i].event == e) at[(*n)++] = i;
  *list = at;
  return DP_OK;
}

static dp_status build_event(dpi_st_builder *b, int index, dpi_st_event *out) {
  dpi_st_spoke *sp = b->sp;
  const dpi_model_event *e = &b->model->event[index];
  const int most = e->nassign > e->nroot ? e->nassign : e->nroot;
  dpi_node *node = DPI_ARENA_ARRAY(&sp->arena, dpi_node, most + 1);
  if (!node) return DP_ERR_MEMORY;
  node[0] = e->trigger;
  for (int r = 0; r < e->nroot; r++) node[1 + r] = e->root[r];
  DP_TRY(dpi_st_map_build(b, node, 1 + e->nroot, &out->test));
  if (e->delay != DPI_NODE_NONE) DP_TRY(dpi_st_map_build(b, &e->delay, 1, &out->delay));
  if (e->priority != DPI_NODE_NONE) DP_TRY(dpi_st_map_build(b, &e->priority, 1, &out->priority));
  for (int a = 0; a < e->nassign; a++) node[a] = e->assign[a].value;
  if (e->nassign) DP_TRY(dpi_st_map_build(b, node, e->nassign, &out->act));
  bool any = false;
  for (int a = 0; a < e->nassign; a++) {
    any = any || e->assign[a].times > 0;
    node[a] = e->assign[a].times > 0 ? b->model->value[e->assign[a].times] : dpi_g_const(b->model->graph, 1);
  }
  if (any) DP_TRY(dpi_st_map_build(b, node, e->nassign, &out->times));
  DP_TRY(list_draws(b, index, DPI_DRAW_TRIGGER, &out->ntrigger, &out->trigger_draw));
  DP_TRY(list_draws(b, index, DPI_DRAW_EXECUTION, &out->nexecution, &out->execution_draw));
  if (e->nassign > sp->nassign_max) sp->nassign_max = e->nassign;
  if (out->ntrigger > sp->ntrigger_max) sp->ntrigger_max = out->ntrigger;
  return find_reach(b, e, out);
}

static dp_status build_events(dpi_st_builder *b) {
  dpi_st_spoke *sp = b->sp;
  sp->event = DPI_ARENA_ARRAY(&sp->arena, dpi_st_event, b->model->nevent + 1);
  if (!sp->event) return DP_ERR_MEMORY;
  for (int e = 0; e < b->model->nevent; e++) DP_TRY(build_event(b, e, &sp->event[e]));
  sp->nevent = b->model->nevent;
  return DP_OK;
}

/* ---- the method ---- */

static dp_status choose_method(dpi_st_builder *b, const dp_sim_def *def) {
  static const struct {
    const char *name;
    dpi_st_method method;
  } table[] = {{"auto", DPI_ST_DIRECT},
               {"direct", DPI_ST_DIRECT},
               {"next-reaction", DPI_ST_NEXT},
               {"tau-leap", DPI_ST_LEAP},
               {"langevin", DPI_ST_LANGEVIN}};
  dpi_st_spoke *sp = b->sp;
  const char *name = def->method ? def->method : "auto";
  int at = -1;
  for (int i = 0; i < DPI_COUNT(table); i++)
    if (strcmp(name, table[i].name) == 0) at = i;
  if (at < 0)
    return dpi_fail(sp->base.ctx, DP_ERR_INPUT,
                    "spoke 'stochastic': method '%s', expected auto, direct, next-reaction, tau-leap or langevin",
                    name);
  sp->method = table[at].method;
  sp->rtol = def->rtol;
  sp->atol = def->atol;
  sp->eps = def->rtol >= 1e-4 ? def->rtol : 0.03; /* far finer ones are meant for integrators */
  if (sp->method == DPI_ST_LEAP && sp->drift)
    return dpi_fail(
        sp->base.ctx, DP_ERR_UNSUPPORTED,
        "%s: rates depend on time or on states that change continuously: method 'tau-leap' can't take them, "
        "'direct' can",
        b->model->source);
  if (sp->method == DPI_ST_NEXT && sp->drift) sp->method = DPI_ST_DIRECT; /* one clock, whose hazard is integrated */
  sp->nclock = sp->method == DPI_ST_NEXT && sp->nchannel > 0 ? sp->nchannel : 1;
  return DP_OK;
}

/* ---- the whole ---- */

static dp_status compile(dpi_st_builder *b, const dp_sim_def *def) {
  dpi_st_spoke *sp = b->sp;
  DP_TRY(refuse(b));
  DP_TRY(list_symbols(b));
  if (def->nactive > 0)
    return dpi_fail(sp->base.ctx, DP_ERR_UNSUPPORTED, "active '%s': spoke 'stochastic' has no derivatives",
                    def->active[0]);
  for (int s = 0; s <= sp->nstate; s++) b->fast[s] = 1;
  for (int s = 0; s < sp->nsym; s++) b->fast[s] |= b->model->sym[s].kind == DPI_SYM_DRAW;
  DP_TRY(dpi_st_flow_find(b));
  DP_TRY(refuse_rates(b));
  DP_TRY(dpi_st_channels(b));
  DP_TRY(dpi_st_flow_build(b));
  DP_TRY(build_start(b));
  DP_TRY(build_draws(b));
  DP_TRY(build_outputs(b, def));
  DP_TRY(build_controls(b, def));
  DP_TRY(build_events(b));
  DP_TRY(dpi_st_dependencies(b));
  return choose_method(b, def);
}

dp_status dpi_st_compile(dpi_st_spoke *sp, const dp_sim_def *def) {
  dp_ctx *ctx = sp->base.ctx;
  dp_model *m = def->model;
  if (!m) return dpi_fail(ctx, DP_ERR_USAGE, "spoke stochastic: found no model, expected a sealed one");
  if (!m->sealed) return dpi_fail(ctx, DP_ERR_USAGE, "%s: the model is not sealed", m->source);
  sp->model = m;
  sp->nsym = m->nsym;
  dpi_st_builder b = {.sp = sp, .model = m};
  b.fast = DPI_ARENA_ARRAY(&sp->arena, uint8_t, m->nsym + 1);
  b.moving = DPI_ARENA_ARRAY(&sp->arena, uint8_t, m->nsym + 1);
  b.seen = DPI_ARENA_ARRAY(&sp->arena, uint8_t, m->nsym + 1);
  if (!b.fast || !b.moving || !b.seen) return DP_ERR_MEMORY;
  const dp_status st = compile(&b, def);
  dpi_free(ctx, b.coef);
  dpi_free(ctx, b.kind);
  return st;
}

void dpi_st_release(dpi_st_spoke *sp) {
  for (int i = 0; i < sp->nmap; i++) dpi_tape_destroy((dpi_tape *)sp->tape[i]);
  dpi_free(sp->base.ctx, sp->tape);
  dpi_arena_release(&sp->arena);
}
