/* nm_expr.c - floor 3: expressions of a control stream as a graph in which equal parts are one node.
 *
 * A node is simplified when it is made: constants are folded where IEEE arithmetic is exact about it (+ - * /,
 * comparisons), neutral elements go, exp(ln x + eta) becomes x*exp(eta) so that an individual parameter shows its
 * typical value and its effects. Elementary functions are never evaluated here: that is the model's own arithmetic.
 */
#include <math.h>
#include <string.h>

#include "format/nmtran/nm_control.h"

void nm_graph_init(nm_graph *g, dp_ctx *ctx) { *g = (nm_graph){.ctx = ctx}; }

void nm_graph_release(nm_graph *g) {
  dpi_free(g->ctx, g->node);
  dpi_free(g->ctx, g->slot);
  *g = (nm_graph){0};
}

int nm_nchild(nm_op op) { return op < X_NEG ? 0 : op < X_ADD ? 1 : op < X_IF ? 2 : 3; }

/* ---- one node each ---- */

static uint64_t hash_of(const nm_expr *e) {
  uint64_t bits;
  memcpy(&bits, &e->value, sizeof bits);
  uint64_t h = 1469598103934665603u ^ (uint64_t)e->op;
  for (int i = 0; i < 3; i++) h = (h ^ (uint32_t)e->a[i]) * 1099511628211u;
  h = (h ^ bits) * 1099511628211u;
  return h ^ (h >> 31);
}

static bool equal(const nm_expr *x, const nm_expr *y) {
  return x->op == y->op && memcmp(x->a, y->a, sizeof x->a) == 0 && memcmp(&x->value, &y->value, sizeof x->value) == 0;
}

static bool rehash(nm_graph *g) {
  int want = g->nslot ? 2 * g->nslot : 1024;
  int *slot = DPI_NEW_ARRAY(g->ctx, int, want);
  if (!slot) return false;
  for (int i = 0; i < g->n; i++) {
    uint64_t h = hash_of(&g->node[i]);
    while (slot[h & (uint64_t)(want - 1)]) h++;
    slot[h & (uint64_t)(want - 1)] = i + 1;
  }
  dpi_free(g->ctx, g->slot);
  g->slot = slot;
  g->nslot = want;
  return true;
}

static nm_node intern(nm_graph *g, nm_expr e) {
  if (g->failed) return 0;
  if (2 * (g->n + 1) > g->nslot && !rehash(g)) return g->failed = true, 0;
  uint64_t h = hash_of(&e), mask = (uint64_t)(g->nslot - 1);
  for (; g->slot[h & mask]; h++)
    if (equal(&g->node[g->slot[h & mask] - 1], &e)) return g->slot[h & mask] - 1;
  if (g->n >= NM_MAX_NODE) return g->failed = g->full = true, 0;
  if (dpi_grow(g->ctx, (void **)&g->node, &g->cap, g->n + 1, sizeof *g->node) != DP_OK) return g->failed = true, 0;
  e.leaves = nm_nchild(e.op) == 0 ? NM_BIT(e.op) : 0;
  for (int i = 0; i < nm_nchild(e.op); i++) e.leaves |= g->node[e.a[i]].leaves;
  g->node[g->n] = e;
  g->slot[h & mask] = g->n + 1;
  return g->n++;
}

nm_node nm_num(nm_graph *g, double value) {
  return intern(g, (nm_expr){.op = X_NUM, .value = value == 0 ? 0.0 : value});
}

nm_node nm_leaf(nm_graph *g, nm_op op, int index) { return intern(g, (nm_expr){.op = op, .a = {index}}); }

bool nm_is_num(const nm_graph *g, nm_node x, double *value) {
  if (x < 0 || x >= g->n || g->node[x].op != X_NUM) return false;
  if (value) *value = g->node[x].value;
  return true;
}

/* ---- simplification ---- */

static bool is(const nm_graph *g, nm_node x, double value) {
  double v;
  return nm_is_num(g, x, &v) && v == value;
}

/* Made of effects, columns and numbers only, with at least one effect? */
static bool pure_eta(const nm_graph *g, nm_node x) {
  uint32_t l = g->node[x].leaves;
  return (l & NM_BIT(X_ETA)) && !(l & ~(NM_BIT(X_ETA) | NM_BIT(X_COL) | NM_BIT(X_NUM) | NM_BIT(X_UNDEF)));
}

static nm_node raw(nm_graph *g, nm_op op, nm_node a, nm_node b, nm_node c) {
  nm_expr e = {.op = op};
  const nm_node child[3] = {a, b, c};
  for (int i = 0; i < nm_nchild(op); i++) e.a[i] = child[i];
  return intern(g, e);
}

/* exp(a + b): effects apart from what is typical, logarithms undone. */
static nm_node make_exp(nm_graph *g, nm_node x) {
  const nm_expr e = g->node[x];
  if (is(g, x, 0)) return nm_num(g, 1);
  if (e.op == X_LOG) return e.a[0];
  if (e.op == X_ADD) {
    bool pa = pure_eta(g, e.a[0]), pb = pure_eta(g, e.a[1]);
    bool la = g->node[e.a[0]].op == X_LOG, lb = g->node[e.a[1]].op == X_LOG;
    if (pa != pb || la || lb) {
      nm_node first = nm_make(g, X_EXP, e.a[0], 0, 0), second = nm_make(g, X_EXP, e.a[1], 0, 0);
      return nm_make(g, X_MUL, first, second, 0);
    }
  }
  return raw(g, X_EXP, x, 0, 0);
}

static bool exp_of_effects(const nm_graph *g, nm_node x) {
  return g->node[x].op == X_EXP && pure_eta(g, g->node[x].a[0]);
}

static nm_node make_mul(nm_graph *g, nm_node a, nm_node b) {
  if (is(g, a, 1)) return b;
  if (is(g, b, 1)) return a;
  if (is(g, a, 0) || is(g, b, 0)) return nm_num(g, 0);
  if (exp_of_effects(g, b)) { /* effects of one product stand in one exponent */
    if (exp_of_effects(g, a)) return make_exp(g, nm_make(g, X_ADD, g->node[a].a[0], g->node[b].a[0], 0));
    if (g->node[a].op == X_MUL && exp_of_effects(g, g->node[a].a[1])) {
      nm_node sum = nm_make(g, X_ADD, g->node[g->node[a].a[1]].a[0], g->node[b].a[0], 0);
      return raw(g, X_MUL, g->node[a].a[0], make_exp(g, sum), 0);
    }
  }
  return raw(g, X_MUL, a, b, 0);
}

static bool fold2(nm_op op, double x, double y, double *out) {
  switch (op) {
    case X_ADD:
      *out = x + y;
      return true;
    case X_SUB:
      *out = x - y;
      return true;
    case X_MUL:
      *out = x * y;
      return true;
    case X_DIV:
      *out = x / y;
      return y != 0;
    case X_MIN:
      *out = x < y ? x : y;
      return true;
    case X_MAX:
      *out = x > y ? x : y;
      return true;
    case X_EQ:
      *out = x == y;
      return true;
    case X_NE:
      *out = x != y;
      return true;
    case X_LT:
      *out = x < y;
      return true;
    case X_LE:
      *out = x <= y;
      return true;
    case X_GT:
      *out = x > y;
      return true;
    case X_GE:
      *out = x >= y;
      return true;
    case X_AND:
      *out = x != 0 && y != 0;
      return true;
    case X_OR:
      *out = x != 0 || y != 0;
      return true;
    default:
      return false;
  }
}

static nm_node make1(nm_graph *g, nm_op op, nm_node a) {
  double v;
  if (op == X_EXP) return make_exp(g, a);
  if (op == X_NEG && g->node[a].op == X_NEG) return g->node[a].a[0];
  if (nm_is_num(g, a, &v)) {
    if (op == X_NEG) return nm_num(g, -v);
    if (op == X_NOT) return nm_num(g, v == 0);
    if (op == X_ABS) return nm_num(g, fabs(v));
    if (op == X_SQRT && v >= 0) return nm_num(g, sqrt(v));
    if (op == X_LOG && v == 1) return nm_num(g, 0);
    if (op == X_INT) return nm_num(g, v < 0 ? ceil(v) : floor(v));
  }
  if (op == X_ABS && (g->node[a].op == X_SQRT || g->node[a].op == X_EXP || g->node[a].op == X_ABS)) return a;
  return raw(g, op, a, 0, 0);
}

static nm_node make2(nm_graph *g, nm_op op, nm_node a, nm_node b) {
  double x = 0, y = 0, v = 0;
  bool nx = nm_is_num(g, a, &x), ny = nm_is_num(g, b, &y);
  if (nx && ny && fold2(op, x, y, &v) && isfinite(v)) return nm_num(g, v);
  switch (op) {
    case X_ADD:
      if (nx && x == 0) return b;
      if (ny && y == 0) return a;
      break;
    case X_SUB:
      if (ny && y == 0) return a;
      if (nx && x == 0) return make1(g, X_NEG, b);
      if (a == b && !(g->node[a].leaves & NM_BIT(X_UNDEF))) return nm_num(g, 0);
      break;
    case X_MUL:
      return make_mul(g, a, b);
    case X_DIV:
      if (ny && y == 1) return a;
      if (nx && x == 0) return a;
      break;
    case X_POW:
      if (ny && y == 1) return a;
      if (ny && y == 0) return nm_num(g, 1);
      if (nx && x == 1) return a;
      break;
    case X_AND:
      if ((nx && x == 0) || (ny && y == 0)) return nm_num(g, 0);
      if (nx) return b;
      if (ny) return a;
      break;
    case X_OR:
      if ((nx && x != 0) || (ny && y != 0)) return nm_num(g, 1);
      if (nx) return b;
      if (ny) return a;
      break;
    default:
      break;
  }
  return raw(g, op, a, b, 0);
}

nm_node nm_make(nm_graph *g, nm_op op, nm_node a, nm_node b, nm_node c) {
  if (g->failed) return 0;
  if (op == X_IF) {
    double v;
    if (nm_is_num(g, a, &v)) return v != 0 ? b : c;
    return b == c ? b : raw(g, op, a, b, c);
  }
  return nm_nchild(op) == 1 ? make1(g, op, a) : make2(g, op, a, b);
}

/* ---- walks ---- */

dp_status nm_reach(const nm_graph *g, const nm_node *root, int nroot, uint8_t **mark) {
  *mark = DPI_NEW_ARRAY(g->ctx, uint8_t, g->n + 1);
  if (!*mark) return DP_ERR_MEMORY;
  for (int i = 0; i < nroot; i++)
    if (root[i] >= 0) (*mark)[root[i]] = 1;
  for (int i = g->n - 1; i >= 0; i--)
    for (int k = 0; (*mark)[i] && k < nm_nchild(g->node[i].op); k++) (*mark)[g->node[i].a[k]] = 1;
  return DP_OK;
}

static dp_status substitute_with(nm_graph *g, const uint8_t *mark, int n0, int *map, const nm_node *from,
                                 const nm_node *to, int n) {
  for (int i = 0; i < n0; i++) map[i] = NM_NONE;
  for (int k = 0; k < n; k++)
    if (from[k] >= 0 && from[k] < n0) map[from[k]] = to[k];
  for (int i = 0; i < n0; i++) {
    if (!mark[i] || map[i] >= 0) continue;
    const nm_expr e = g->node[i];
    int nchild = nm_nchild(e.op);
    bool same = true;
    nm_node a[3] = {0, 0, 0};
    for (int k = 0; k < nchild; k++) {
      a[k] = map[e.a[k]];
      same = same && a[k] == e.a[k];
    }
    map[i] = same ? i : nm_make(g, e.op, a[0], a[1], a[2]);
    if (g->failed) return DP_ERR_MEMORY;
  }
  return DP_OK;
}

dp_status nm_substitute(nm_graph *g, nm_node *root, int nroot, const nm_node *from, const nm_node *to, int n) {
  uint8_t *mark;
  DP_TRY(nm_reach(g, root, nroot, &mark));
  int *map = DPI_NEW_ARRAY(g->ctx, int, g->n + 1);
  dp_status st = map ? substitute_with(g, mark, g->n, map, from, to, n) : DP_ERR_MEMORY;
  for (int i = 0; i < nroot && st == DP_OK; i++)
    if (root[i] >= 0) root[i] = map[root[i]];
  dpi_free(g->ctx, map);
  dpi_free(g->ctx, mark);
  if (g->full) return dpi_fail(g->ctx, DP_ERR_UNSUPPORTED, "the control stream's formulas are too large");
  return st;
}

/* ---- derivative by an error ---- */

/* d e by the rules; da, db, dc: derivatives of the children. *ok false: no rule. */
static nm_node rule(nm_graph *g, const nm_expr *e, nm_node self, nm_node da, nm_node db, nm_node dc, bool *ok) {
  nm_node a = e->a[0], b = e->a[1], one = nm_num(g, 1);
  switch (e->op) {
    case X_NEG:
      return nm_make(g, X_NEG, da, 0, 0);
    case X_EXP:
      return nm_make(g, X_MUL, self, da, 0);
    case X_LOG:
      return nm_make(g, X_DIV, da, a, 0);
    case X_SQRT:
      return nm_make(g, X_DIV, da, nm_make(g, X_MUL, nm_num(g, 2), self, 0), 0);
    case X_ADD:
    case X_SUB:
      return nm_make(g, e->op, da, db, 0);
    case X_MUL:
      return nm_make(g, X_ADD, nm_make(g, X_MUL, da, b, 0), nm_make(g, X_MUL, a, db, 0), 0);
    case X_DIV:
      return nm_make(g, X_DIV, nm_make(g, X_SUB, da, nm_make(g, X_MUL, self, db, 0), 0), b, 0);
    case X_POW:
      if (!is(g, db, 0)) break;
      return nm_make(g, X_MUL, nm_make(g, X_MUL, b, nm_make(g, X_POW, a, nm_make(g, X_SUB, b, one, 0), 0), 0), da, 0);
    case X_IF:
      return nm_make(g, X_IF, a, db, dc);
    default:
      break;
  }
  *ok = false;
  return 0;
}

static nm_node slope_with(nm_graph *g, nm_node x, int eps, const uint8_t *mark, nm_node *d, bool *ok) {
  nm_node zero = nm_num(g, 0), one = nm_num(g, 1);
  for (int i = 0; i <= x && *ok && !g->failed; i++) {
    if (!mark[i]) continue;
    const nm_expr e = g->node[i];
    d[i] = zero;
    if (e.op == X_EPS) d[i] = e.a[0] == eps ? one : zero;
    if (!(e.leaves & NM_BIT(X_EPS)) || e.op == X_EPS) continue;
    nm_node c[3] = {zero, zero, zero};
    for (int k = 0; k < nm_nchild(e.op); k++) c[k] = d[e.a[k]];
    if (e.op == X_IF && (g->node[e.a[0]].leaves & NM_BIT(X_EPS))) return *ok = false, zero;
    if (is(g, c[0], 0) && is(g, c[1], 0) && is(g, c[2], 0)) continue;
    d[i] = rule(g, &e, i, c[0], c[1], c[2], ok);
  }
  return *ok && !g->failed ? d[x] : zero;
}

dp_status nm_slope(nm_graph *g, nm_node x, int eps, nm_node *out, bool *ok) {
  uint8_t *mark;
  *ok = true;
  DP_TRY(nm_reach(g, &x, 1, &mark));
  nm_node *d = DPI_NEW_ARRAY(g->ctx, nm_node, g->n + 1);
  if (d) *out = slope_with(g, x, eps, mark, d, ok);
  dpi_free(g->ctx, mark);
  if (!d) return DP_ERR_MEMORY;
  dpi_free(g->ctx, d);
  return g->failed ? DP_ERR_MEMORY : DP_OK;
}
