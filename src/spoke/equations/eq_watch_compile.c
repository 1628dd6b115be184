/* eq_watch_compile.c - what may change suddenly while time goes on: gathered from triggers and rates.
 *
 *     trigger              itself, a truth value; seal gave the roots at which it may change
 *     relation in a rate   its truth value; root: the difference of its sides
 *     floor, ceil, mod, sign in a rate, a number as condition: a value that is constant but for jumps
 *
 * Whatever is free of states and affine in time passes zero (an integer) at a time that is known beforehand: these are
 * marks. What hangs on comparisons of such things alone is *timed*: when it changes is found without a path.
 * Kinks (abs, min, max) are no jumps: the integrator's error control steps over them.
 */
#include "spoke/equations/eq_impl.h"

/* How a node depends on what moves. */
enum { STILL, RAMP, TIMED, MOVING }; /* not at all; affine in time; on time alone; on states or delayed values */

typedef struct gather {
  dpi_eq_spoke *sp;
  dp_model *m;
  dpi_graph *g;
  const uint8_t *fast;
  int count;         /* nodes when this began */
  uint8_t *how;      /* [count] */
  uint8_t *seen;     /* [count] */
  dpi_node *node;    /* triggers, switches */
  int nnode, cap_node;
  dpi_node *root;
  int nroot, cap_root;
  dpi_node *mark;    /* value, slope */
  uint8_t *whole;
  int nmark, cap_mark, cap_whole;
} gather;

static const uint8_t arity[DPI_OP_COUNT] = {
#define ARITY(name, n, text) [DPI_OP_##name] = n,
    DPI_OP_LIST(ARITY)
#undef ARITY
};

static int arguments(const dpi_gnode *n) { return n->op == DPI_OP_CONST || n->op == DPI_OP_SYM ? 0 : arity[n->op]; }
static bool relation(dpi_op op) { return op >= DPI_OP_LT && op <= DPI_OP_NE; }
static bool logical(dpi_op op) { return op >= DPI_OP_LT && op <= DPI_OP_NOT; }

/* Arguments come before their users. */
static void classify(gather *k) {
  for (int i = 0; i < k->count; i++) {
    const dpi_gnode n = dpi_graph_at(k->g, i);
    int a[3] = {STILL, STILL, STILL}, most = STILL;
    for (int j = 0; j < arguments(&n); j++) {
      a[j] = k->how[n.arg[j]];
      if (a[j] > most) most = a[j];
    }
    int how = most == RAMP ? TIMED : most;
    if (n.op == DPI_OP_SYM) how = n.arg[0] == 0 ? RAMP : (k->fast[n.arg[0]] ? MOVING : STILL);
    if (most == RAMP && (n.op == DPI_OP_ADD || n.op == DPI_OP_SUB || n.op == DPI_OP_NEG)) how = RAMP;
    if (most == RAMP && n.op == DPI_OP_MUL && (a[0] == STILL || a[1] == STILL)) how = RAMP;
    if (most == RAMP && n.op == DPI_OP_DIV && a[1] == STILL) how = RAMP;
    k->how[i] = (uint8_t)how;
  }
}

static void reach(gather *k) {
  for (int i = k->count - 1; i >= 0; i--) {
    if (!k->seen[i]) continue;
    const dpi_gnode n = dpi_graph_at(k->g, i);
    for (int j = 0; j < arguments(&n); j++) k->seen[n.arg[j]] = 1;
  }
}

/* A node made here is classified by what it was made of. */
static int how_of(const gather *k, dpi_node a) { return a < k->count ? k->how[a] : TIMED; }

static dp_status append(gather *k, dpi_node **list, int *n, int *cap, dpi_node node) {
  if (node == DPI_NODE_NONE) return DP_ERR_MEMORY;
  DP_TRY(dpi_grow(k->sp->base.ctx, (void **)list, cap, *n + 1, sizeof **list));
  (*list)[(*n)++] = node;
  return DP_OK;
}

static dp_status add_root(gather *k, dpi_node root) {
  for (int i = 0; i < k->nroot; i++)
    if (k->root[i] == root) return DP_OK;
  return append(k, &k->root, &k->nroot, &k->cap_root, root);
}

static dp_status add_switch(gather *k, dpi_node node) {
  for (int i = k->sp->nevent; i < k->nnode; i++)
    if (k->node[i] == node) return DP_OK;
  return append(k, &k->node, &k->nnode, &k->cap_node, node);
}

static dp_status add_mark(gather *k, dpi_node value, bool whole) {
  if (value == DPI_NODE_NONE) return DP_ERR_MEMORY;
  for (int i = 0; i < k->nmark; i++)
    if (k->mark[2 * i] == value && k->whole[i] == whole) return DP_OK;
  int n = 2 * k->nmark;
  DP_TRY(append(k, &k->mark, &n, &k->cap_mark, value));
  DP_TRY(append(k, &k->mark, &n, &k->cap_mark, dpi_g_diff(k->g, value, 0)));
  DP_TRY(dpi_grow(k->sp->base.ctx, (void **)&k->whole, &k->cap_whole, k->nmark + 1, 1));
  k->whole[k->nmark++] = whole;
  return DP_OK;
}

/* Marks of one node, in a trigger or in a rate. */
static dp_status marks(gather *k, const dpi_gnode *n) {
  const int a = arguments(n) > 0 ? k->how[n->arg[0]] : STILL, b = arguments(n) > 1 ? k->how[n->arg[1]] : STILL;
  if (relation(n->op) && (a == RAMP || b == RAMP) && a <= RAMP && b <= RAMP)
    return add_mark(k, dpi_g_op2(k->g, DPI_OP_SUB, n->arg[0], n->arg[1]), false);
  if (a != RAMP) return DP_OK;
  if (n->op == DPI_OP_FLOOR || n->op == DPI_OP_CEIL) return add_mark(k, n->arg[0], true);
  if (n->op == DPI_OP_MOD && b == STILL) return add_mark(k, dpi_g_op2(k->g, DPI_OP_DIV, n->arg[0], n->arg[1]), true);
  return n->op == DPI_OP_SIGN ? add_mark(k, n->arg[0], false) : DP_OK;
}

/* A trigger may touch zero where its square, or its size, does: `(time - 2)^2 <= 0`. */
static dp_status touches(gather *k, const dpi_gnode *n) {
  const bool even = n->op == DPI_OP_ABS || (n->op == DPI_OP_POWI && n->arg[1] % 2 == 0) ||
                    (n->op == DPI_OP_MUL && n->arg[0] == n->arg[1]);
  return even && k->how[n->arg[0]] == RAMP ? add_mark(k, n->arg[0], false) : DP_OK;
}

static dp_status truth_switch(gather *k, dpi_node a) {
  if (how_of(k, a) == STILL || logical(dpi_graph_at(k->g, a).op)) return DP_OK;
  DP_TRY(add_switch(k, dpi_g_op2(k->g, DPI_OP_NE, a, dpi_g_const(k->g, 0))));
  return add_root(k, a);
}

/* Jumps of one node of a rate. */
static dp_status jumps(gather *k, dpi_node at, const dpi_gnode *n) {
  if (k->how[at] == STILL) return DP_OK;
  if (relation(n->op)) {
    DP_TRY(add_switch(k, at));
    return add_root(k, dpi_g_op2(k->g, DPI_OP_SUB, n->arg[0], n->arg[1]));
  }
  switch (n->op) {
    case DPI_OP_FLOOR:
    case DPI_OP_CEIL: return add_switch(k, at);
    case DPI_OP_SIGN: DP_TRY(add_switch(k, at)); return add_root(k, n->arg[0]);
    case DPI_OP_MOD:
      return add_switch(k, dpi_g_op1(k->g, DPI_OP_FLOOR, dpi_g_op2(k->g, DPI_OP_DIV, n->arg[0], n->arg[1])));
    case DPI_OP_AND:
    case DPI_OP_OR: DP_TRY(truth_switch(k, n->arg[0])); return truth_switch(k, n->arg[1]);
    case DPI_OP_NOT:
    case DPI_OP_IF: return truth_switch(k, n->arg[0]);
    default: return DP_OK;
  }
}

static dp_status each_reached(gather *k, bool rates) {
  reach(k);
  dp_status st = DP_OK;
  for (int i = 0; i < k->count && st == DP_OK; i++) {
    if (!k->seen[i]) continue;
    const dpi_gnode n = dpi_graph_at(k->g, i);
    st = marks(k, &n);
    if (st == DP_OK) st = rates ? jumps(k, i, &n) : touches(k, &n);
  }
  return st;
}

static dp_status from_triggers(gather *k) {
  const dp_model *m = k->m;
  memset(k->seen, 0, (size_t)k->count);
  for (int e = 0; e < m->nevent; e++) {
    k->seen[m->event[e].trigger] = 1;
    DP_TRY(append(k, &k->node, &k->nnode, &k->cap_node, m->event[e].trigger));
    for (int r = 0; r < m->event[e].nroot; r++) DP_TRY(add_root(k, m->event[e].root[r]));
  }
  return each_reached(k, false);
}

static dp_status from_rates(gather *k) {
  const dp_model *m = k->m;
  memset(k->seen, 0, (size_t)k->count);
  for (int j = 1; j <= m->nstate + m->ndelayed; j++) {
    if (m->sym[j].formula >= 0) k->seen[m->sym[j].formula] = 1;
    if (j > m->nstate && m->sym[j].delay >= 0) k->seen[m->sym[j].delay] = 1;
  }
  return each_reached(k, true);
}

/* Truth of comparisons between what stands still or moves straight with time: known at marks. But `==` is true at
 * single numbers. */
static void find_covered(const gather *k, uint8_t *covered) {
  for (int i = 0; i < k->count; i++) {
    const dpi_gnode n = dpi_graph_at(k->g, i);
    const bool order = n.op == DPI_OP_LT || n.op == DPI_OP_LE || n.op == DPI_OP_GT || n.op == DPI_OP_GE;
    covered[i] = k->how[i] == STILL;
    if (order) covered[i] = k->how[n.arg[0]] <= RAMP && k->how[n.arg[1]] <= RAMP;
    if (n.op == DPI_OP_AND || n.op == DPI_OP_OR) covered[i] = covered[n.arg[0]] && covered[n.arg[1]];
    if (n.op == DPI_OP_NOT) covered[i] = covered[n.arg[0]];
  }
}

/* Steps of what moves straight with time are timed too. */
static bool timed(const gather *k, const uint8_t *covered, dpi_node node) {
  const dpi_gnode n = dpi_graph_at(k->g, node);
  if (node < k->count && covered[node]) return true;
  if (n.op != DPI_OP_FLOOR && n.op != DPI_OP_CEIL && n.op != DPI_OP_SIGN) return false;
  if (n.arg[0] < k->count) return k->how[n.arg[0]] == RAMP;
  const dpi_gnode part = dpi_graph_at(k->g, n.arg[0]); /* of mod: the quotient was made here */
  return part.op == DPI_OP_DIV && how_of(k, part.arg[0]) == RAMP && how_of(k, part.arg[1]) == STILL;
}

static dp_status find_timed(gather *k) {
  dpi_eq_watch *w = &k->sp->watch;
  uint8_t *covered = DPI_NEW_ARRAY(k->sp->base.ctx, uint8_t, k->count + 1);
  uint8_t *list = DPI_ARENA_ARRAY(&k->sp->arena, uint8_t, k->nnode + 1);
  if (covered && list) {
    find_covered(k, covered);
    w->all_timed = k->nnode > 0 && k->m->ndelayed == 0;
    for (int i = 0; i < k->nnode; i++) {
      list[i] = k->m->ndelayed == 0 && timed(k, covered, k->node[i]);
      w->any_timed = w->any_timed || list[i];
      w->all_timed = w->all_timed && list[i];
    }
    w->timed = list;
  }
  dpi_free(k->sp->base.ctx, covered);
  return w->timed ? DP_OK : DP_ERR_MEMORY;
}

/* The states that values of what is watched hang on: paths are read at many places for them. */
static dp_status find_look(dpi_eq_spoke *sp) {
  dpi_eq_watch *w = &sp->watch;
  int *look = DPI_ARENA_ARRAY(&sp->arena, int, sp->nstate + 1);
  if (!look) return DP_ERR_MEMORY;
  for (int j = 0; j < sp->nstate; j++)
    if (dpi_tape_row(w->value.tape, 1 + j) >= 0) look[w->nlook++] = j;
  w->look = look;
  return DP_OK;
}

static dp_status make_maps(gather *k, const int *column, int ncol) {
  dpi_eq_spoke *sp = k->sp;
  dpi_eq_watch *w = &sp->watch;
  w->nswitch = k->nnode - sp->nevent;
  w->nroot = k->nroot;
  w->nmark = k->nmark;
  DP_TRY(find_timed(k));
  for (int r = 0; r < k->nroot; r++) DP_TRY(append(k, &k->node, &k->nnode, &k->cap_node, k->root[r]));
  w->nall = k->nnode;
  if (w->nall == 0) return DP_OK;
  uint8_t *whole = DPI_ARENA_ARRAY(&sp->arena, uint8_t, w->nmark + 1);
  if (!whole) return DP_ERR_MEMORY;
  for (int i = 0; i < w->nmark; i++) whole[i] = k->whole[i];
  w->whole = whole;
  DP_TRY(dpi_eq_build(sp, k->m, k->fast, k->node, k->nnode, NULL, 0, 0, &w->value));
  DP_TRY(find_look(sp));
  DP_TRY(dpi_eq_build(sp, k->m, k->fast, k->root, k->nroot, column, ncol, 0, &w->slope));
  return dpi_eq_build(sp, k->m, k->fast, k->mark, 2 * k->nmark, NULL, 0, 0, &w->mark);
}

dp_status dpi_eq_watch_compile(dpi_eq_spoke *sp, dp_model *m, const uint8_t *fast, const int *column, int ncol) {
  dp_ctx *ctx = sp->base.ctx;
  gather k = {.sp = sp, .m = m, .g = m->graph, .fast = fast, .count = dpi_graph_count(m->graph)};
  k.how = DPI_NEW_ARRAY(ctx, uint8_t, k.count + 1);
  k.seen = DPI_NEW_ARRAY(ctx, uint8_t, k.count + 1);
  dp_status st = k.how && k.seen ? DP_OK : DP_ERR_MEMORY;
  if (st == DP_OK) classify(&k);
  if (st == DP_OK) st = from_triggers(&k);
  if (st == DP_OK) st = from_rates(&k);
  if (st == DP_OK) st = make_maps(&k, column, ncol);
  dpi_free(ctx, k.how);
  dpi_free(ctx, k.seen);
  dpi_free(ctx, k.node);
  dpi_free(ctx, k.root);
  dpi_free(ctx, k.mark);
  dpi_free(ctx, k.whole);
  if (st == DP_ERR_MEMORY) return dpi_fail(ctx, st, "%s: no memory for what triggers and rates may jump at", m->source);
  return st;
}
