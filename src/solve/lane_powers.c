/* lane_powers.c - floor 3: powers of one base in a step, by as few calls of pow as can be.
 *
 * A derivative of x^n has x^(n - 1) in it, one of that x^(n - 2): a call of pow takes as long as a hundred products, a
 * quotient as long as ten. So of the powers of one base whose exponents differ by whole numbers only the highest is
 * called for, the lower ones come from it:
 *
 *     x^(n - 1) = x = 0 ? 0^(n - 1) : x^n / x
 *
 * where 0^(n - 1) hangs on parameters alone, so the prologue has it. Rounding differs from pow's in the last digits;
 * where the highest power is too small for a number (x below 1e-70 with exponents up to 4), the lower ones are 0 with
 * it.
 *
 * Invariant: derivatives add lower powers only, so what values are computed from stays the same, to the byte, whether
 * derivatives go with them or not. */
#include <math.h>
#include <string.h>

#include "solve/lane_step_impl.h"

enum { FAR = 6 }; /* quotients in a row at most */

typedef struct powers {
  dp_ctx *ctx;
  dpi_graph *g;
  int count;       /* nodes that can be met: all below */
  uint8_t *wanted, *fast;
  dpi_node *is;    /* what a wanted node becomes */
  dpi_node *first; /* by base: the first power of it that was met, NONE; */
  dpi_node *next;  /* the others */
} powers;

static bool constant(const powers *w, dpi_node n, double *c) {
  const dpi_gnode at = dpi_graph_at(w->g, n);
  *c = at.value;
  return at.op == DPI_OP_CONST;
}

/* Exponent = root + offset; root NONE: a constant. */
static dpi_node root_of(const powers *w, dpi_node e, double *offset) {
  double c;
  *offset = 0;
  for (;;) {
    if (constant(w, e, &c)) {
      *offset += c;
      return DPI_NODE_NONE;
    }
    const dpi_gnode n = dpi_graph_at(w->g, e);
    if (n.op == DPI_OP_SUB && constant(w, n.arg[1], &c)) {
      *offset -= c;
      e = n.arg[0];
    } else if (n.op == DPI_OP_ADD && constant(w, n.arg[1], &c)) {
      *offset += c;
      e = n.arg[0];
    } else if (n.op == DPI_OP_ADD && constant(w, n.arg[0], &c)) {
      *offset += c;
      e = n.arg[1];
    } else {
      return e;
    }
  }
}

/* The highest power that k comes from by at most FAR quotients; *far: how many. */
static dpi_node highest(const powers *w, dpi_node k, int *far) {
  const dpi_gnode n = dpi_graph_at(w->g, k);
  double own, other;
  const dpi_node root = root_of(w, n.arg[1], &own);
  dpi_node best = k;
  *far = 0;
  for (dpi_node p = w->first[n.arg[0]]; p != DPI_NODE_NONE; p = w->next[p]) {
    if (p == k || root_of(w, dpi_graph_at(w->g, p).arg[1], &other) != root) continue;
    const double d = other - own;
    if (!(d > *far && d <= FAR && d == floor(d))) continue;
    best = p;
    *far = (int)d;
  }
  return best;
}

/* The node with what its arguments have become. */
static dpi_node again(const powers *w, dpi_node k) {
  const dpi_gnode n = dpi_graph_at(w->g, k);
  const int arity = dpi_op_arity(n.op);
  dpi_node a[3] = {DPI_NODE_NONE, DPI_NODE_NONE, DPI_NODE_NONE};
  bool same = true;
  for (int j = 0; j < arity; j++) {
    a[j] = w->is[n.arg[j]];
    same = same && a[j] == n.arg[j];
  }
  if (same) return k;
  if (n.op == DPI_OP_IF) return dpi_g_if(w->g, a[0], a[1], a[2]);
  if (n.op == DPI_OP_FMA) return dpi_g_fma(w->g, a[0], a[1], a[2]);
  if (n.op == DPI_OP_POWI) return dpi_g_op2(w->g, DPI_OP_POW, a[0], dpi_g_const(w->g, n.arg[1]));
  return arity == 1 ? dpi_g_op1(w->g, n.op, a[0]) : dpi_g_op2(w->g, n.op, a[0], a[1]);
}

static bool lowers(const powers *w, dpi_gnode n) {
  return n.op == DPI_OP_POW && w->fast[n.arg[0]] && !w->fast[n.arg[1]];
}

static dpi_node lower(const powers *w, dpi_node k) {
  int far;
  const dpi_node high = highest(w, k, &far);
  if (high == k) return again(w, k);
  const dpi_gnode n = dpi_graph_at(w->g, k), top = dpi_graph_at(w->g, high);
  const dpi_node x = w->is[n.arg[0]], zero = dpi_g_const(w->g, 0.0);
  dpi_node v = dpi_g_op2(w->g, DPI_OP_POW, x, w->is[top.arg[1]]);
  for (int i = 0; i < far; i++) v = dpi_g_op2(w->g, DPI_OP_DIV, v, x);
  return dpi_g_if(w->g, dpi_g_op2(w->g, DPI_OP_EQ, x, zero), dpi_g_op2(w->g, DPI_OP_POW, zero, w->is[n.arg[1]]), v);
}

static void mark(powers *w, const dpi_node *root, int nroot, const uint8_t *fast) {
  for (int i = 0; i < nroot; i++)
    if (root[i] != DPI_NODE_NONE) w->wanted[root[i]] = 1;
  for (dpi_node k = w->count - 1; k >= 0; k--) {
    if (!w->wanted[k]) continue;
    const dpi_gnode n = dpi_graph_at(w->g, k);
    for (int j = 0; j < dpi_op_arity(n.op); j++) w->wanted[n.arg[j]] = 1;
  }
  for (dpi_node k = 0; k < w->count; k++) {
    w->first[k] = w->next[k] = DPI_NODE_NONE;
    if (!w->wanted[k]) continue;
    const dpi_gnode n = dpi_graph_at(w->g, k);
    w->fast[k] = n.op == DPI_OP_SYM && fast[n.arg[0]];
    for (int j = 0; j < dpi_op_arity(n.op); j++) w->fast[k] |= w->fast[n.arg[j]];
    if (!lowers(w, n)) continue;
    w->next[k] = w->first[n.arg[0]];
    w->first[n.arg[0]] = k;
  }
}

static dp_status make(powers *w, dpi_node *root, int nroot, const uint8_t *fast) {
  mark(w, root, nroot, fast);
  for (dpi_node k = 0; k < w->count; k++)
    if (w->wanted[k]) w->is[k] = k; /* exponents and all else that hangs on parameters alone */
  for (dpi_node k = 0; k < w->count; k++) {
    if (!w->wanted[k] || !w->fast[k]) continue;
    w->is[k] = lowers(w, dpi_graph_at(w->g, k)) ? lower(w, k) : again(w, k);
    if (w->is[k] == DPI_NODE_NONE) return DP_ERR_MEMORY;
  }
  for (int i = 0; i < nroot; i++)
    if (root[i] != DPI_NODE_NONE) root[i] = w->is[root[i]];
  return DP_OK;
}

dp_status dpi_lane_powers(dp_ctx *ctx, dpi_graph *g, dpi_node *root, int nroot, const uint8_t *fast) {
  powers w = {.ctx = ctx, .g = g};
  for (int i = 0; i < nroot; i++)
    if (root[i] >= w.count) w.count = root[i] + 1;
  const size_t n = (size_t)w.count + 1;
  w.wanted = DPI_NEW_ARRAY(ctx, uint8_t, n);
  w.fast = DPI_NEW_ARRAY(ctx, uint8_t, n);
  w.is = DPI_NEW_ARRAY(ctx, dpi_node, n);
  w.first = DPI_NEW_ARRAY(ctx, dpi_node, n);
  w.next = DPI_NEW_ARRAY(ctx, dpi_node, n);
  const bool room = w.wanted && w.fast && w.is && w.first && w.next;
  const dp_status status = room ? make(&w, root, nroot, fast) : DP_ERR_MEMORY;
  dpi_free(ctx, w.wanted);
  dpi_free(ctx, w.fast);
  dpi_free(ctx, w.is);
  dpi_free(ctx, w.first);
  dpi_free(ctx, w.next);
  return status;
}
