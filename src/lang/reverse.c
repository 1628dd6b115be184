/* reverse.c - floor 3: the gradient of a weighted sum of expressions in one backward pass.
 *
 * From the outputs down, each node hands its adjoint to its arguments times the partial derivative (the rules of
 * diff.c), so the gradient by any number of inputs costs a small multiple of the expressions themselves.
 *
 * Piecewise. Only the branch taken may be non-finite, and 0 * inf is no number: so what is needed under a condition
 * only carries that condition, its guard, and products there are made under it. A node that is needed under several
 * conditions has their disjunction; one that is needed anyway has none.
 */
#include <math.h>
#include <string.h>

#include "lang/sweep.h"

#define OP1(op, a) dpi_g_op1(g, DPI_OP_##op, (a))
#define OP2(op, a, b) dpi_g_op2(g, DPI_OP_##op, (a), (b))
#define ALWAYS DPI_NODE_NONE

typedef struct reverse {
  dpi_sweep s;
  dpi_graph *g;
  dpi_node *adjoint; /* [n] NONE: nothing yet */
  dpi_node *guard;   /* [n] ALWAYS or a condition outside of which the adjoint is 0 */
  dpi_node zero, one;
  bool failed;       /* memory ran out */
} reverse;

/* A node that is there: without memory it is none, which as a guard would say "always" and as a term "no term". */
static dpi_node made(reverse *r, dpi_node node) {
  if (node == DPI_NODE_NONE) r->failed = true;
  return node;
}

/* a + b, fused where b is a product: this is arithmetic of ours, not the model's */
static dpi_node sum(dpi_graph *g, dpi_node a, dpi_node b) {
  const dpi_gnode n = dpi_graph_at(g, b);
  return n.op == DPI_OP_MUL ? dpi_g_fma(g, n.arg[0], n.arg[1], a) : OP2(ADD, a, b);
}

/* adjoint of argument `node` += a, which is 0 where guard is false */
static void hand(reverse *r, dpi_node node, dpi_node a, dpi_node guard) {
  dpi_graph *g = r->g;
  const int i = dpi_sweep_find(&r->s, node);
  if (a == DPI_NODE_NONE) r->failed = true;
  if (r->failed || i < 0 || !r->s.active[i] || a == r->zero) return;
  if (r->adjoint[i] == DPI_NODE_NONE) {
    r->adjoint[i] = a;
    r->guard[i] = guard;
    return;
  }
  r->adjoint[i] = sum(g, r->adjoint[i], a);
  if (r->adjoint[i] == DPI_NODE_NONE) r->failed = true;
  if (r->guard[i] == ALWAYS || guard == r->guard[i]) return;
  r->guard[i] = guard == ALWAYS ? ALWAYS : made(r, OP2(OR, r->guard[i], guard));
}

/* a without its IF(guard, a, 0) */
static dpi_node bare(const reverse *r, dpi_node a, dpi_node guard) {
  const dpi_gnode n = dpi_graph_at(r->g, a);
  return n.op == DPI_OP_IF && n.arg[0] == guard && n.arg[2] == r->zero ? n.arg[1] : a;
}

/* a op partial, 0 where guard is false */
static dpi_node under(reverse *r, dpi_op op, dpi_node a, dpi_node partial, dpi_node guard) {
  double v;
  if (a == DPI_NODE_NONE || partial == DPI_NODE_NONE) return DPI_NODE_NONE;
  if (guard == ALWAYS || (dpi_g_is_const(r->g, partial, &v) && isfinite(v))) return dpi_g_op2(r->g, op, a, partial);
  return dpi_g_if(r->g, guard, dpi_g_op2(r->g, op, bare(r, a, guard), partial), r->zero);
}

static dpi_node both(reverse *r, dpi_node guard, dpi_node cond) {
  return made(r, guard == ALWAYS ? cond : dpi_g_op2(r->g, DPI_OP_AND, guard, cond));
}

/* adjoint a goes to `yes` where cond holds, to `no` where it does not */
static void fork_at(reverse *r, dpi_node cond, dpi_node yes, dpi_node no, dpi_node a, dpi_node guard) {
  dpi_graph *g = r->g;
  hand(r, yes, dpi_g_if(g, cond, a, r->zero), both(r, guard, cond));
  hand(r, no, dpi_g_if(g, cond, r->zero, a), both(r, guard, OP1(NOT, cond)));
}

/* a / b = self. Of 1 / b the quotient itself is what to multiply by. */
static void quotient(reverse *r, dpi_node self, const dpi_gnode *n, dpi_node a, dpi_node guard) {
  double one;
  const bool reciprocal = dpi_g_is_const(r->g, n->arg[0], &one) && one == 1.0;
  const dpi_node t =
      made(r, reciprocal ? under(r, DPI_OP_MUL, a, self, guard) : under(r, DPI_OP_DIV, a, n->arg[1], guard));
  if (!reciprocal) hand(r, n->arg[0], t, guard);
  hand(r, n->arg[1], dpi_g_op1(r->g, DPI_OP_NEG, under(r, DPI_OP_MUL, t, self, guard)), guard);
}

/* The partial derivatives of all other operations: the chain rule with unit derivatives. */
static void by_rule(reverse *r, dpi_node self, const dpi_gnode *n, dpi_node a, dpi_node guard) {
  const int arity = dpi_op_table[n->op].arity;
  for (int k = 0; k < arity && !r->failed; k++) {
    dpi_node unit[3] = {r->zero, r->zero, r->zero};
    const int i = dpi_sweep_find(&r->s, n->arg[k]);
    if (i < 0 || !r->s.active[i]) continue;
    unit[k] = r->one;
    hand(r, n->arg[k], under(r, DPI_OP_MUL, a, dpi_g_chain(r->g, self, *n, unit), guard), guard);
  }
}

static void down(reverse *r, int i) {
  dpi_graph *g = r->g;
  const dpi_node self = r->s.list[i], a = r->adjoint[i], guard = r->guard[i];
  const dpi_gnode n = dpi_graph_at(g, self);
  switch (n.op) {
    case DPI_OP_CONST:
    case DPI_OP_SYM:
      return;
    case DPI_OP_ADD:
      hand(r, n.arg[0], a, guard);
      hand(r, n.arg[1], a, guard);
      return;
    case DPI_OP_SUB:
      hand(r, n.arg[0], a, guard);
      hand(r, n.arg[1], OP1(NEG, a), guard);
      return;
    case DPI_OP_NEG:
      hand(r, n.arg[0], OP1(NEG, a), guard);
      return;
    case DPI_OP_MUL:
      hand(r, n.arg[0], under(r, DPI_OP_MUL, a, n.arg[1], guard), guard);
      hand(r, n.arg[1], under(r, DPI_OP_MUL, a, n.arg[0], guard), guard);
      return;
    case DPI_OP_FMA:
      hand(r, n.arg[0], under(r, DPI_OP_MUL, a, n.arg[1], guard), guard);
      hand(r, n.arg[1], under(r, DPI_OP_MUL, a, n.arg[0], guard), guard);
      hand(r, n.arg[2], a, guard);
      return;
    case DPI_OP_DIV: /* one division for both */
      quotient(r, self, &n, a, guard);
      return;
    case DPI_OP_IF:
      fork_at(r, n.arg[0], n.arg[1], n.arg[2], a, guard);
      return;
    case DPI_OP_MIN:
      fork_at(r, OP2(LE, n.arg[0], n.arg[1]), n.arg[0], n.arg[1], a, guard);
      return;
    case DPI_OP_MAX:
      fork_at(r, OP2(GE, n.arg[0], n.arg[1]), n.arg[0], n.arg[1], a, guard);
      return;
    default:
      by_rule(r, self, &n, a, guard);
  }
}

static void backward(reverse *r, const dpi_node *out, const dpi_node *weight, int nout) {
  for (int i = 0; i < nout; i++)
    if (out[i] >= 0 && weight[i] >= 0) hand(r, out[i], weight[i], ALWAYS);
  for (int i = r->s.n - 1; i >= 0 && !r->failed; i--)
    if (r->s.active[i] && !r->s.input[i] && r->adjoint[i] != DPI_NODE_NONE) down(r, i);
}

dp_status dpi_g_vjp(dpi_graph *g, const dpi_node *out, const dpi_node *weight, int nout, const dpi_node *at, int nat,
                    dpi_node *grad) {
  dp_ctx *ctx = dpi_g_ctx(g);
  reverse r = {.g = g, .zero = dpi_g_const(g, 0.0), .one = dpi_g_const(g, 1.0)};
  DP_TRY(dpi_sweep_init(&r.s, ctx, g, out, nout, at, nat));
  r.adjoint = DPI_NEW_ARRAY(ctx, dpi_node, (size_t)r.s.n + 1);
  r.guard = DPI_NEW_ARRAY(ctx, dpi_node, (size_t)r.s.n + 1);
  r.failed = !r.adjoint || !r.guard || r.one == DPI_NODE_NONE || r.zero == DPI_NODE_NONE;
  if (!r.failed) {
    memset(r.adjoint, 0xff, ((size_t)r.s.n + 1) * sizeof *r.adjoint); /* all NONE */
    memset(r.guard, 0xff, ((size_t)r.s.n + 1) * sizeof *r.guard);
    backward(&r, out, weight, nout);
  }
  for (int i = 0; i < nat && !r.failed; i++) {
    const int k = dpi_sweep_find(&r.s, at[i]);
    grad[i] = k < 0 || r.adjoint[k] == DPI_NODE_NONE ? r.zero : r.adjoint[k];
  }
  dpi_free(ctx, r.adjoint);
  dpi_free(ctx, r.guard);
  dpi_sweep_release(&r.s, ctx);
  return r.failed ? DP_ERR_MEMORY : DP_OK;
}
