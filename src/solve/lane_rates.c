/* lane_rates.c - floor 3: rates and their derivatives as a step computes them: the model's expressions, written anew so
 * that they cost less. Rounding differs from the model's own, nothing else does; the model's nodes stay as they are.
 *
 * Each expression is a product of two parts, (coefficient) * (rest): what hangs on parameters alone, which the prologue
 * computes once a member, and what changes from step to step.
 *
 *     a * b    coefficients multiply, rests multiply
 *     a / b    coefficients are divided, so that dividing by parameters costs nothing in a step; the rest becomes a
 *              quotient, or a product with 1 / rest(b) where other quotients have the same denominator: one division
 *              for all of them. The derivative of a quotient, (a' - q b') / b, always has
 *     a +- b   a coefficient and a rest are added by one fused multiply-add
 *
 * Are reciprocals safe? 1 / b is finite for every b that has all its digits (from 2.2e-308), and has all its own
 * up to b = 4.5e307. A coefficient is gathered from MOST factors at most: it leaves the range of numbers only where
 * those are beyond 10^38 or below 10^-38 on average. Powers are left alone: (x / K)^16 with both near 1e-20 is 1, but
 * x^16 is 0.
 *
 * Invariant: what comes out depends on the expressions given alone, so all forms of a step have
 * the same. */
#include <string.h>

#include "solve/lane_step_impl.h"

#define MOST 8

/* coef * rest; NONE: 1 */
typedef struct part {
  dpi_node coef, rest;
  int factors;
} part;

typedef struct rates {
  dp_ctx *ctx;
  dpi_graph *g;
  const dpi_system *sys;
  int count;        /* nodes of the graph that can be met: [count] all below */
  uint8_t *wanted;
  uint8_t *fast;
  uint8_t *shared;  /* DIV: its denominator's reciprocal is used more than once */
  part *is;
  dpi_node *den;    /* DIV: the denominator's rest */
  bool failed;      /* no memory for some node: NONE is not to be taken for 1 */
} rates;

static dpi_node made(rates *w, dpi_node n) {
  if (n == DPI_NODE_NONE) w->failed = true;
  return n;
}

#define OP1(op, a) made(w, dpi_g_op1(w->g, DPI_OP_##op, (a)))
#define OP2(op, a, b) made(w, dpi_g_op2(w->g, DPI_OP_##op, (a), (b)))
#define CONST(v) made(w, dpi_g_const(w->g, (v)))
#define FMA(a, b, c) made(w, dpi_g_fma(w->g, (a), (b), (c)))

/* ---- parts ---- */

static part rest_of(dpi_node n) { return (part){DPI_NODE_NONE, n, 1}; }

static dpi_node times(rates *w, dpi_node a, dpi_node b) {
  return a == DPI_NODE_NONE ? b : b == DPI_NODE_NONE ? a : OP2(MUL, a, b);
}

/* as one node */
static dpi_node whole(rates *w, part p) {
  return p.coef == DPI_NODE_NONE && p.rest == DPI_NODE_NONE ? CONST(1.0) : times(w, p.coef, p.rest);
}

static part product(rates *w, part a, part b) {
  if (a.factors + b.factors > MOST) return rest_of(OP2(MUL, whole(w, a), whole(w, b)));
  return (part){times(w, a.coef, b.coef), times(w, a.rest, b.rest), a.factors + b.factors};
}

static part negative(rates *w, part a) {
  a.coef = a.coef == DPI_NODE_NONE ? CONST(-1.0) : OP1(NEG, a.coef);
  return a;
}

static dpi_node one_over(rates *w, dpi_node a) { return OP2(DIV, CONST(1.0), a); }

/* shared: of the rest of b only 1/b is used */
static part quotient(rates *w, part a, part b, bool shared) {
  if (a.factors + b.factors > MOST) return rest_of(OP2(DIV, whole(w, a), whole(w, b)));
  part q = {a.coef, a.rest, a.factors + b.factors};
  if (b.coef != DPI_NODE_NONE) q.coef = a.coef == DPI_NODE_NONE ? one_over(w, b.coef) : OP2(DIV, a.coef, b.coef);
  if (b.rest == DPI_NODE_NONE) return q;
  if (shared)
    q.rest = times(w, a.rest, one_over(w, b.rest));
  else if (a.rest != DPI_NODE_NONE)
    q.rest = OP2(DIV, a.rest, b.rest);
  else
    q = rest_of(OP2(DIV, q.coef == DPI_NODE_NONE ? CONST(1.0) : q.coef, b.rest));
  return q;
}

/* A coefficient that is no plain sign, and a rest: worth a fused multiply-add. */
static bool two_factors(rates *w, part p) {
  if (p.coef == DPI_NODE_NONE || p.rest == DPI_NODE_NONE) return false;
  const dpi_gnode c = dpi_graph_at(w->g, p.coef);
  return c.op != DPI_OP_CONST || (c.value != 1.0 && c.value != -1.0);
}

static part sum(rates *w, part a, part b) {
  if (two_factors(w, b)) return rest_of(FMA(b.coef, b.rest, whole(w, a)));
  if (two_factors(w, a)) return rest_of(FMA(a.coef, a.rest, whole(w, b)));
  return rest_of(OP2(ADD, whole(w, a), whole(w, b)));
}

/* ---- one node ---- */

static part other(rates *w, dpi_gnode n) {
  dpi_node a = DPI_NODE_NONE, b = a, c = a;
  if (dpi_op_arity(n.op) > 0) a = whole(w, w->is[n.arg[0]]);
  if (dpi_op_arity(n.op) > 1) b = whole(w, w->is[n.arg[1]]);
  if (dpi_op_arity(n.op) > 2) c = whole(w, w->is[n.arg[2]]);
  if (n.op == DPI_OP_IF) return rest_of(made(w, dpi_g_if(w->g, a, b, c)));
  if (n.op == DPI_OP_FMA) return rest_of(FMA(a, b, c));
  if (n.op == DPI_OP_POWI) return rest_of(OP2(POW, a, CONST(n.arg[1])));
  return rest_of(made(w, dpi_op_arity(n.op) == 1 ? dpi_g_op1(w->g, n.op, a) : dpi_g_op2(w->g, n.op, a, b)));
}

static part rewrite(rates *w, dpi_node k) {
  const dpi_gnode n = dpi_graph_at(w->g, k);
  if (!w->fast[k]) return (part){k, DPI_NODE_NONE, 1};
  switch (n.op) {
    case DPI_OP_SYM:
      return rest_of(k);
    case DPI_OP_NEG:
      return negative(w, w->is[n.arg[0]]);
    case DPI_OP_MUL:
      return product(w, w->is[n.arg[0]], w->is[n.arg[1]]);
    case DPI_OP_DIV:
      w->den[k] = w->is[n.arg[1]].rest;
      return quotient(w, w->is[n.arg[0]], w->is[n.arg[1]], w->shared[k]);
    case DPI_OP_ADD:
      return sum(w, w->is[n.arg[0]], w->is[n.arg[1]]);
    case DPI_OP_SUB:
      return sum(w, w->is[n.arg[0]], negative(w, w->is[n.arg[1]]));
    default:
      return other(w, n);
  }
}

/* ---- all of them ---- */

static bool is_fast(const rates *w, dpi_gnode n) {
  if (n.op == DPI_OP_SYM) return n.arg[0] <= w->sys->nstate;
  for (int j = 0; j < dpi_op_arity(n.op); j++)
    if (w->fast[n.arg[j]]) return true;
  return false;
}

static void mark(rates *w, const dpi_node *root, int nroot) {
  for (int i = 0; i < nroot; i++)
    if (root[i] != DPI_NODE_NONE) w->wanted[root[i]] = 1;
  for (dpi_node k = w->count - 1; k >= 0; k--) {
    if (!w->wanted[k]) continue;
    const dpi_gnode n = dpi_graph_at(w->g, k);
    for (int j = 0; j < dpi_op_arity(n.op); j++) w->wanted[n.arg[j]] = 1;
  }
  for (dpi_node k = 0; k < w->count; k++)
    if (w->wanted[k]) w->fast[k] = is_fast(w, dpi_graph_at(w->g, k));
}

static bool rewrite_all(rates *w) {
  for (dpi_node k = 0; k < w->count; k++) {
    if (!w->wanted[k]) continue;
    w->is[k] = rewrite(w, k);
    if (w->failed) return false;
  }
  return true;
}

/* Which reciprocals are used by more than one product? All quotients have been written with reciprocals. */
static dp_status find_shared(rates *w) {
  const size_t now = (size_t)dpi_graph_count(w->g);
  /* by denominator: 0 none, -1 several, else the product + 1 */
  dpi_node *user = DPI_NEW_ARRAY(w->ctx, dpi_node, now + 1);
  if (user == NULL) return DP_ERR_MEMORY;
  for (dpi_node k = 0; k < w->count; k++) {
    if (w->den[k] == DPI_NODE_NONE) continue;
    dpi_node *u = &user[w->den[k]];
    *u = *u == 0 || *u == w->is[k].rest + 1 ? w->is[k].rest + 1 : -1;
  }
  for (dpi_node k = 0; k < w->count; k++) w->shared[k] = w->den[k] != DPI_NODE_NONE && user[w->den[k]] < 0;
  dpi_free(w->ctx, user);
  return DP_OK;
}

static dp_status make(rates *w, dpi_node *root, int nroot) {
  mark(w, root, nroot);
  for (dpi_node k = 0; k < w->count; k++) w->den[k] = DPI_NODE_NONE;
  memset(w->shared, 1, (size_t)w->count);
  if (!rewrite_all(w)) return DP_ERR_MEMORY;
  DP_TRY(find_shared(w));
  if (!rewrite_all(w)) return DP_ERR_MEMORY;
  for (int i = 0; i < nroot; i++) {
    if (root[i] == DPI_NODE_NONE) continue;
    root[i] = whole(w, w->is[root[i]]);
    if (root[i] == DPI_NODE_NONE) return DP_ERR_MEMORY;
  }
  return DP_OK;
}

dp_status dpi_lane_rewrite(dp_ctx *ctx, const dpi_system *sys, dpi_node *root, int nroot) {
  rates w = {.ctx = ctx, .g = sys->model->graph, .sys = sys};
  for (int i = 0; i < nroot; i++)
    if (root[i] >= w.count) w.count = root[i] + 1;
  const size_t n = (size_t)w.count + 1;
  w.wanted = DPI_NEW_ARRAY(ctx, uint8_t, n);
  w.fast = DPI_NEW_ARRAY(ctx, uint8_t, n);
  w.shared = DPI_NEW_ARRAY(ctx, uint8_t, n);
  w.is = DPI_NEW_ARRAY(ctx, part, n);
  w.den = DPI_NEW_ARRAY(ctx, dpi_node, n);
  dp_status status = w.wanted && w.fast && w.shared && w.is && w.den ? make(&w, root, nroot) : DP_ERR_MEMORY;
  dpi_free(ctx, w.wanted);
  dpi_free(ctx, w.fast);
  dpi_free(ctx, w.shared);
  dpi_free(ctx, w.is);
  dpi_free(ctx, w.den);
  return status;
}
