/* st_channel.c - from a model's reactions to channels: propensities, changes, what depends on what; and the flow: what
 * of the equations is left when the channels are taken out. Part of compiling (st_compile.c).
 *
 * A propensity that is a product of constants and of at most DPI_ST_FACTORS states, each perhaps less a constant, as in
 * k*x*(x - 1)/2, needs no tape.
 */
#include "spoke/stochastic/st_impl.h"

static dpi_gnode at(const dpi_st_builder *b, dpi_node n) { return dpi_graph_at(b->model->graph, n); }

static bool is_zero(const dpi_st_builder *b, dpi_node n) {
  const dpi_gnode v = at(b, n);
  return v.op == DPI_OP_CONST && v.value == 0;
}

/* Does the node depend on time, states or draws? */
static dp_status is_fast(dpi_st_builder *b, dpi_node n, bool *fast) {
  int kind = 0;
  *fast = true;
  if (n == DPI_NODE_NONE) return dpi_fail(b->sp->base.ctx, DP_ERR_MEMORY, "no memory for a propensity");
  DP_TRY(dpi_st_kind(b, n, &kind));
  *fast = (kind & DPI_ST_FAST) != 0;
  return DP_OK;
}

static bool is_state(const dpi_st_builder *b, dpi_node n) {
  const dpi_gnode v = at(b, n);
  return v.op == DPI_OP_SYM && v.arg[0] >= 1 && v.arg[0] <= b->sp->nstate;
}

/* ---- coefficients: values that change with parameters only ---- */

static dp_status coefficient(dpi_st_builder *b, dpi_node node, int *index) {
  if (node == DPI_NODE_NONE) return dpi_fail(b->sp->base.ctx, DP_ERR_MEMORY, "no memory for a propensity");
  for (int i = 0; i < b->ncoef; i++) {
    if (b->coef[i] != node) continue;
    *index = i;
    return DP_OK;
  }
  DP_TRY(dpi_grow(b->sp->base.ctx, (void **)&b->coef, &b->cap_coef, b->ncoef + 1, sizeof *b->coef));
  b->coef[b->ncoef] = node;
  *index = b->ncoef++;
  return DP_OK;
}

/* ---- the flow ---- */

/* Rate of state j - sum over reactions of change * rate; *scale: the sum of their sizes. */
static dpi_node rest_of(const dpi_st_builder *b, int j, bool *counted, dpi_node *scale) {
  const dp_model *m = b->model;
  dpi_graph *g = m->graph;
  dpi_node rest = m->sym[1 + j].formula;
  *counted = false;
  *scale = dpi_g_const(g, 0);
  for (int r = 0; r < m->nreaction; r++)
    for (int k = 0; k < m->reaction[r].nchange; k++) {
      const dpi_change *c = &m->reaction[r].change[k];
      if (c->state != 1 + j) continue;
      *counted = true;
      const dpi_node part = dpi_g_op2(g, DPI_OP_MUL, c->by, m->reaction[r].rate);
      rest = dpi_g_op2(g, DPI_OP_SUB, rest, part);
      *scale = dpi_g_op2(g, DPI_OP_ADD, *scale, dpi_g_op1(g, DPI_OP_ABS, part));
    }
  return rest;
}

/* Is the difference nothing but rounding? Tried at a few points, since a graph can't tell that two sums are equal. */
static dp_status vanishes(dpi_st_builder *b, dpi_node rest, dpi_node scale, bool *zero) {
  const dp_model *m = b->model;
  dp_ctx *ctx = b->sp->base.ctx;
  const dpi_node pair[2] = {rest, scale};
  dpi_tape *tape = NULL;
  DP_TRY(dpi_tape_create(ctx, m->graph, pair, 2, b->fast, b->sp->nsym, &tape));
  double *reg = DPI_NEW_ARRAY(ctx, double, dpi_tape_nreg(tape) + 1), *sym = DPI_NEW_ARRAY(ctx, double, b->sp->nsym);
  bool flat = true;
  for (int try = 0; reg && sym && try < 4; try++) {
    dpi_rng rng = dpi_rng_make(1, (uint64_t)try, 0x5453u);
    double out[2];
    for (int s = 0; s < b->sp->nsym; s++) sym[s] = 0.5 + dpi_rng_uniform(&rng);
    dpi_tape_init(tape, reg);
    dpi_tape_prologue(tape, sym, reg);
    dpi_tape_eval(tape, sym, reg, out);
    if (isfinite(out[0]) && fabs(out[0]) > 1e-9 * out[1]) flat = false;
  }
  const bool lost = !reg || !sym;
  dpi_free(ctx, reg);
  dpi_free(ctx, sym);
  dpi_tape_destroy(tape);
  *zero = flat;
  return lost ? DP_ERR_MEMORY : DP_OK;
}

dp_status dpi_st_flow_find(dpi_st_builder *b) {
  dpi_st_spoke *sp = b->sp;
  uint8_t *counted = DPI_ARENA_ARRAY(&sp->arena, uint8_t, sp->nstate + 1);
  b->flow = DPI_ARENA_ARRAY(&sp->arena, dpi_node, sp->nstate + 1);
  sp->flow_sym = DPI_ARENA_ARRAY(&sp->arena, int, sp->nstate + 1);
  if (!counted || !b->flow || !sp->flow_sym) return DP_ERR_MEMORY;
  for (int j = 0; j < sp->nstate; j++) {
    bool has, zero;
    dpi_node scale;
    const dpi_node rest = rest_of(b, j, &has, &scale);
    if (rest == DPI_NODE_NONE || scale == DPI_NODE_NONE)
      return dpi_fail(sp->base.ctx, DP_ERR_MEMORY, "no memory for the rate of '%s'", sp->desc.state_id[j]);
    counted[j] = has;
    zero = is_zero(b, rest);
    if (has && !zero) DP_TRY(vanishes(b, rest, scale, &zero));
    if (zero) continue;
    b->flow[sp->nflow] = rest;
    sp->flow_sym[sp->nflow++] = 1 + j;
  }
  sp->counted = counted;
  b->moving[0] = 1;
  for (int i = 0; i < sp->nflow; i++) b->moving[sp->flow_sym[i]] = 1;
  return DP_OK;
}

dp_status dpi_st_flow_build(dpi_st_builder *b) {
  dpi_st_spoke *sp = b->sp;
  sp->straight = true;
  for (int i = 0; i < sp->nflow; i++) {
    DP_TRY(dpi_st_depends(b, b->flow[i]));
    for (int s = 0; s < sp->nsym; s++)
      if (b->seen[s] && b->moving[s]) sp->straight = false;
    for (int r = 0; r < sp->nchannel; r++)
      for (int k = 0; k < sp->channel[r].nchange; k++)
        if (b->seen[sp->channel[r].change[k].sym]) sp->channel[r].steers = true;
  }
  for (int r = 0; r < sp->nchannel; r++) sp->drift = sp->drift || sp->channel[r].drifts;
  sp->drift = sp->drift || !sp->straight;
  if (!sp->nflow) return DP_OK;
  return dpi_st_map_build(b, b->flow, sp->nflow, &sp->flow);
}

/* ---- propensities ---- */

typedef struct product {
  dpi_node slow; /* product of what is constant */
  int n;
  int sym[DPI_ST_FACTORS];
  dpi_node offset[DPI_ST_FACTORS];
  bool good;
} product;

static void add_factor(product *p, int sym, dpi_node offset) {
  if (p->n >= DPI_ST_FACTORS) {
    p->good = false;
    return;
  }
  p->sym[p->n] = sym;
  p->offset[p->n++] = offset;
}

/* x - c, x + c, c + x with a state x and a constant c. */
static dp_status shifted(dpi_st_builder *b, dpi_gnode v, product *p) {
  dpi_graph *g = b->model->graph;
  bool fast = true;
  dpi_node x = v.arg[0], c = v.arg[1];
  p->good = false;
  if (v.op == DPI_OP_ADD && !is_state(b, x)) {
    x = v.arg[1];
    c = v.arg[0];
  }
  if (!is_state(b, x)) return DP_OK;
  DP_TRY(is_fast(b, c, &fast));
  if (fast) return DP_OK;
  p->good = true;
  add_factor(p, at(b, x).arg[0], v.op == DPI_OP_SUB ? c : dpi_g_op1(g, DPI_OP_NEG, c));
  return DP_OK;
}

/* Take node apart into factors of p; products nest at most `depth` deep. */
static dp_status take_apart(dpi_st_builder *b, dpi_node node, product *p, int depth) {
  dpi_graph *g = b->model->graph;
  const dpi_gnode v = at(b, node);
  bool fast;
  DP_TRY(is_fast(b, node, &fast));
  if (!fast) {
    p->slow = dpi_g_op2(g, DPI_OP_MUL, p->slow, node);
    return DP_OK;
  }
  if (depth > 64) p->good = false;
  if (!p->good) return DP_OK;
  switch (v.op) {
    case DPI_OP_SYM:
      p->good = is_state(b, node);
      if (p->good) add_factor(p, v.arg[0], dpi_g_const(g, 0));
      return DP_OK;
    case DPI_OP_MUL: DP_TRY(take_apart(b, v.arg[0], p, depth + 1)); return take_apart(b, v.arg[1], p, depth + 1);
    case DPI_OP_DIV:
      DP_TRY(is_fast(b, v.arg[1], &fast));
      p->good = !fast;
      if (fast) return DP_OK;
      p->slow = dpi_g_op2(g, DPI_OP_DIV, p->slow, v.arg[1]);
      return take_apart(b, v.arg[0], p, depth + 1);
    case DPI_OP_POWI:
      if (v.arg[1] < 1 || v.arg[1] > DPI_ST_FACTORS) p->good = false;
      for (int i = 0; i < v.arg[1] && p->good; i++) DP_TRY(take_apart(b, v.arg[0], p, depth + 1));
      return DP_OK;
    case DPI_OP_ADD:
    case DPI_OP_SUB: return shifted(b, v, p);
    default: p->good = false; return DP_OK;
  }
}

static dp_status build_rate(dpi_st_builder *b, dpi_node rate, dpi_st_channel *c) {
  product p = {.slow = dpi_g_const(b->model->graph, 1), .good = true};
  DP_TRY(take_apart(b, rate, &p, 0));
  for (int k = 0; k < p.n && p.good; k++) p.good = p.offset[k] != DPI_NODE_NONE && !b->moving[p.sym[k]];
  c->product = p.good;
  if (!p.good) return dpi_st_map_build(b, &rate, 1, &c->rate);
  DP_TRY(coefficient(b, p.slow, &c->coef));
  c->nfactor = p.n;
  for (int k = 0; k < p.n; k++) {
    c->factor[k].sym = p.sym[k];
    DP_TRY(coefficient(b, p.offset[k], &c->factor[k].offset));
  }
  return DP_OK;
}

/* A difference of two things that change, on the way down through factors: what a reversible reaction's net rate is. */
static dp_status is_net(dpi_st_builder *b, dpi_node node, bool *net, int depth) {
  const dpi_gnode v = at(b, node);
  bool left, right;
  if (*net || depth > 64) return DP_OK;
  if (v.op == DPI_OP_SUB) {
    DP_TRY(is_fast(b, v.arg[0], &left));
    DP_TRY(is_fast(b, v.arg[1], &right));
    *net = left && right;
    return DP_OK;
  }
  if (v.op == DPI_OP_MUL || v.op == DPI_OP_DIV || v.op == DPI_OP_NEG) DP_TRY(is_net(b, v.arg[0], net, depth + 1));
  if (v.op == DPI_OP_MUL) DP_TRY(is_net(b, v.arg[1], net, depth + 1));
  return DP_OK;
}

/* ---- changes ---- */

static dp_status build_changes(dpi_st_builder *b, const dpi_model_reaction *r, dpi_st_channel *c) {
  dpi_st_spoke *sp = b->sp;
  bool any = false, fast = false;
  c->change = DPI_ARENA_ARRAY(&sp->arena, dpi_st_change, r->nchange + 1);
  dpi_node *by = DPI_ARENA_ARRAY(&sp->arena, dpi_node, r->nchange + 1);
  if (!c->change || !by) return DP_ERR_MEMORY;
  for (int k = 0; k < r->nchange; k++) {
    if (is_zero(b, r->change[k].by)) continue;
    DP_TRY(is_fast(b, r->change[k].by, &fast));
    any = any || fast;
    by[c->nchange] = r->change[k].by;
    c->change[c->nchange++].sym = r->change[k].state;
  }
  for (int k = 0; k < c->nchange; k++) {
    const dpi_gnode v = at(b, by[k]);
    if (!(v.op == DPI_OP_CONST && rint(v.value) == v.value)) sp->fractions = true;
    c->change[k].by = k;
    if (!any) DP_TRY(coefficient(b, by[k], &c->change[k].by));
  }
  return any ? dpi_st_map_build(b, by, c->nchange, &c->by) : DP_OK;
}

/* How many of state s are among the reactants: by the propensity where it is a product, else by the stoichiometry. */
static int count_of(const dpi_st_builder *b, const dpi_model_reaction *r, const dpi_st_channel *c, int s) {
  int n = 0;
  for (int k = 0; c->product && k < c->nfactor; k++) n += c->factor[k].sym == s;
  for (int k = 0; !c->product && k < r->norder; k++) {
    const dpi_gnode v = at(b, r->order[k].by);
    if (r->order[k].state == s) n = v.op == DPI_OP_CONST && v.value >= 1 && v.value <= 100 ? (int)v.value : 1;
  }
  return n > 0 ? n : 1;
}

/* For leaps: every state that the propensity follows, reactant or not. */
static dp_status build_reactants(dpi_st_builder *b, const dpi_model_reaction *r, dpi_st_channel *c) {
  const int most = b->sp->nstate;
  int order = 0;
  DP_TRY(dpi_st_depends(b, r->rate));
  for (int s = 1; s <= most; s++) c->nreactant += b->seen[s];
  c->reactant = DPI_ARENA_ARRAY(&b->sp->arena, dpi_st_reactant, c->nreactant + 1);
  if (!c->reactant) return DP_ERR_MEMORY;
  c->nreactant = 0;
  for (int s = 1; s <= most; s++) {
    if (!b->seen[s]) continue;
    const int count = count_of(b, r, c, s);
    c->reactant[c->nreactant++] = (dpi_st_reactant){s, count, 0};
    order += count;
  }
  for (int k = 0; k < c->nreactant; k++) c->reactant[k].order = order;
  return DP_OK;
}

static dp_status build_channel(dpi_st_builder *b, const dpi_model_reaction *r, dpi_st_channel *c) {
  dp_ctx *ctx = b->sp->base.ctx;
  bool net = false;
  c->id = r->id;
  if (r->reversible) DP_TRY(is_net(b, r->rate, &net, 0));
  if (net)
    return dpi_fail(
        ctx, DP_ERR_UNSUPPORTED,
        "%s:%d: reaction '%s' is reversible and its rate a difference: a net rate is no propensity, split it in two",
        b->model->source, r->line, r->id);
  DP_TRY(build_rate(b, r->rate, c));
  DP_TRY(build_changes(b, r, c));
  DP_TRY(build_reactants(b, r, c));
  int kind;
  DP_TRY(dpi_st_kind(b, r->rate, &kind));
  c->drifts = (kind & DPI_ST_DEGREE) != 0;
  return DP_OK;
}

dp_status dpi_st_channels(dpi_st_builder *b) {
  dpi_st_spoke *sp = b->sp;
  const dp_model *m = b->model;
  int zero;
  DP_TRY(coefficient(b, dpi_g_const(m->graph, 0), &zero)); /* coef[0] */
  sp->channel = DPI_ARENA_ARRAY(&sp->arena, dpi_st_channel, m->nreaction + 1);
  if (!sp->channel) return DP_ERR_MEMORY;
  for (; sp->nchannel < m->nreaction; sp->nchannel++)
    DP_TRY(build_channel(b, &m->reaction[sp->nchannel], &sp->channel[sp->nchannel]));
  for (sp->leaf = 1; sp->leaf < sp->nchannel;) sp->leaf *= 2;
  sp->ncoef = b->ncoef;
  return dpi_st_map_build(b, b->coef, b->ncoef, &sp->coef);
}

/* ---- what depends on what ---- */

/* Add `what` to the list of each channel that changes a symbol in b->seen. */
static dp_status note(dpi_st_builder *b, int what, int **list, int *count) {
  dpi_st_spoke *sp = b->sp;
  for (int r = 0; r < sp->nchannel; r++) {
    const dpi_st_channel *c = &sp->channel[r];
    bool touches = false;
    for (int k = 0; k < c->nchange; k++) touches = touches || b->seen[c->change[k].sym];
    if (!touches) continue;
    const int n = count[r];
    if (n == 0 || (n >= 8 && (n & (n - 1)) == 0)) { /* full: 8, 16, 32, ... */
      int *longer = DPI_ARENA_ARRAY(&sp->arena, int, n < 8 ? 8 : 2 * n);
      if (!longer) return DP_ERR_MEMORY;
      if (n) memcpy(longer, list[r], sizeof(int) * (size_t)n);
      list[r] = longer;
    }
    list[r][count[r]++] = what;
  }
  return DP_OK;
}

dp_status dpi_st_dependencies(dpi_st_builder *b) {
  dpi_st_spoke *sp = b->sp;
  const dp_model *m = b->model;
  int **list = DPI_ARENA_ARRAY(&sp->arena, int *, sp->nchannel + 1);
  int *count = DPI_ARENA_ARRAY(&sp->arena, int, sp->nchannel + 1);
  if (!list || !count) return DP_ERR_MEMORY;
  for (int r = 0; r < sp->nchannel; r++) {
    DP_TRY(dpi_st_depends(b, m->reaction[r].rate));
    DP_TRY(note(b, r, list, count));
  }
  for (int r = 0; r < sp->nchannel; r++) {
    sp->channel[r].hit = list[r];
    sp->channel[r].nhit = count[r];
    list[r] = NULL;
    count[r] = 0;
  }
  for (int e = 0; e < m->nevent; e++) {
    DP_TRY(dpi_st_depends(b, m->event[e].trigger));
    DP_TRY(note(b, e, list, count));
  }
  for (int r = 0; r < sp->nchannel; r++) {
    sp->channel[r].watch = list[r];
    sp->channel[r].nwatch = count[r];
  }
  return DP_OK;
}
