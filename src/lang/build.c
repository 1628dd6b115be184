/* build.c - floor 3: builders of graph nodes: constants fold, safe identities apply, equal expressions are shared.
 *
 * An identity is safe when it gives the same bytes for all finite arguments (the sign of a zero excepted). One goes
 * further on purpose: x * 0 and 0 / x are 0, so that derivatives stay sparse.
 */
#include <math.h>
#include <string.h>

#include "lang/lang_impl.h"

static dpi_node make(dpi_graph *g, dpi_op op, dpi_node a, dpi_node b, dpi_node c) {
  return dpi_g_intern(g, (dpi_gnode){.op = op, .arg = {a, b, c}});
}

dpi_node dpi_g_const(dpi_graph *g, double value) {
  if (value != value) value = NAN; /* one NaN only */
  return dpi_g_intern(g, (dpi_gnode){.op = DPI_OP_CONST, .arg = {-1, -1, -1}, .value = value});
}

dpi_node dpi_g_sym(dpi_graph *g, int sym) {
  return sym < 0 ? DPI_NODE_NONE : make(g, DPI_OP_SYM, sym, -1, -1);
}

static bool is(const dpi_graph *g, dpi_node n, double v) {
  double x;
  return dpi_g_is_const(g, n, &x) && x == v;
}

static dpi_op op_of(const dpi_graph *g, dpi_node n) { return dpi_graph_at(g, n).op; }
static dpi_node arg_of(const dpi_graph *g, dpi_node n, int k) { return dpi_graph_at(g, n).arg[k]; }

static bool is_logical(const dpi_graph *g, dpi_node n) {
  dpi_op op = op_of(g, n);
  return (op >= DPI_OP_LT && op <= DPI_OP_NOT) || is(g, n, 0) || is(g, n, 1);
}

/* a + b and b + a are one node, with the arguments in the order in which they were first written */
static dpi_node make_either(dpi_graph *g, dpi_op op, dpi_node a, dpi_node b) {
  dpi_node swapped = dpi_g_find(g, (dpi_gnode){.op = op, .arg = {b, a, -1}});
  return swapped != DPI_NODE_NONE ? swapped : make(g, op, a, b, -1);
}

static dpi_node truth(dpi_graph *g, dpi_node n) {
  return is_logical(g, n) ? n : make_either(g, DPI_OP_NE, n, dpi_g_const(g, 0.0)); /* 0 != n is the same node */
}

dpi_node dpi_g_powi(dpi_graph *g, dpi_node a, int n) {
  double x;
  if (a < 0) return DPI_NODE_NONE;
  if (n == 0) return dpi_g_const(g, 1.0);
  if (n == 1) return a;
  if (dpi_g_is_const(g, a, &x)) return dpi_g_const(g, dpi_powi(x, n));
  return make(g, DPI_OP_POWI, a, n, -1);
}

dpi_node dpi_g_op1(dpi_graph *g, dpi_op op, dpi_node a) {
  if (a < 0) return DPI_NODE_NONE;
  DP_ASSERT(op != DPI_OP_POWI && dpi_op_table[op].arity == 1);
  double x;
  if (dpi_g_is_const(g, a, &x)) return dpi_g_const(g, dpi_op_eval(op, x, 0.0, 0.0));
  if (op == DPI_OP_NEG && op_of(g, a) == DPI_OP_NEG) return arg_of(g, a, 0);
  if (op == DPI_OP_NEG && op_of(g, a) == DPI_OP_SUB)
    return dpi_g_op2(g, DPI_OP_SUB, arg_of(g, a, 1), arg_of(g, a, 0));
  if (op == DPI_OP_NOT && op_of(g, a) == DPI_OP_NOT) return truth(g, arg_of(g, a, 0));
  return make(g, op, a, -1, -1);
}

static dpi_node neg(dpi_graph *g, dpi_node a) { return dpi_g_op1(g, DPI_OP_NEG, a); }

static bool is_negative(const dpi_graph *g, dpi_node n) {
  double x;
  return dpi_g_is_const(g, n, &x) && x < 0;
}

/* negative numbers change the sign of a sum, which is the same number and reads better */
static dpi_node build_add(dpi_graph *g, dpi_node a, dpi_node b) {
  if (is(g, a, 0)) return b;
  if (is(g, b, 0)) return a;
  if (is_negative(g, b)) return dpi_g_op2(g, DPI_OP_SUB, a, neg(g, b));
  if (is_negative(g, a)) return dpi_g_op2(g, DPI_OP_SUB, b, neg(g, a));
  if (op_of(g, b) == DPI_OP_NEG) return dpi_g_op2(g, DPI_OP_SUB, a, arg_of(g, b, 0));
  if (op_of(g, a) == DPI_OP_NEG) return dpi_g_op2(g, DPI_OP_SUB, b, arg_of(g, a, 0));
  return make_either(g, DPI_OP_ADD, a, b);
}

static dpi_node build_sub(dpi_graph *g, dpi_node a, dpi_node b) {
  if (is(g, b, 0)) return a;
  if (is(g, a, 0)) return neg(g, b);
  if (a == b) return dpi_g_const(g, 0.0);
  if (is_negative(g, b)) return dpi_g_op2(g, DPI_OP_ADD, a, neg(g, b));
  if (op_of(g, b) == DPI_OP_NEG) return dpi_g_op2(g, DPI_OP_ADD, a, arg_of(g, b, 0));
  return make(g, DPI_OP_SUB, a, b, -1);
}

static dpi_node build_mul(dpi_graph *g, dpi_node a, dpi_node b) {
  if (is(g, a, 0) || is(g, b, 0)) return dpi_g_const(g, 0.0);
  if (is(g, a, 1)) return b;
  if (is(g, b, 1)) return a;
  if (is(g, a, -1)) return neg(g, b);
  if (is(g, b, -1)) return neg(g, a);
  if (op_of(g, a) == DPI_OP_NEG) return neg(g, dpi_g_op2(g, DPI_OP_MUL, arg_of(g, a, 0), b));
  if (op_of(g, b) == DPI_OP_NEG) return neg(g, dpi_g_op2(g, DPI_OP_MUL, a, arg_of(g, b, 0)));
  return make_either(g, DPI_OP_MUL, a, b);
}

static dpi_node build_div(dpi_graph *g, dpi_node a, dpi_node b) {
  if (is(g, b, 1)) return a;
  if (is(g, b, -1)) return neg(g, a);
  if (is(g, a, 0) && !is(g, b, 0)) return dpi_g_const(g, 0.0);
  if (op_of(g, a) == DPI_OP_NEG) return neg(g, dpi_g_op2(g, DPI_OP_DIV, arg_of(g, a, 0), b));
  if (op_of(g, b) == DPI_OP_NEG) return neg(g, dpi_g_op2(g, DPI_OP_DIV, a, arg_of(g, b, 0)));
  return make(g, DPI_OP_DIV, a, b, -1);
}

static dpi_node build_pow(dpi_graph *g, dpi_node a, dpi_node b) {
  double n;
  if (is(g, a, 1)) return a;
  if (dpi_g_is_const(g, b, &n)) {
    if (n == floor(n) && fabs(n) <= DPI_POWI_MAX) return dpi_g_powi(g, a, (int)n);
    if (n == 0.5) return dpi_g_op1(g, DPI_OP_SQRT, a);
  }
  return make(g, DPI_OP_POW, a, b, -1);
}

static dpi_node build_logic(dpi_graph *g, dpi_op op, dpi_node a, dpi_node b) {
  double x, absorbing = op == DPI_OP_AND ? 0.0 : 1.0;
  for (int k = 0; k < 2; k++) {
    dpi_node one = k ? b : a, other = k ? a : b;
    if (dpi_g_is_const(g, one, &x))
      return (x != 0.0) == (absorbing != 0.0) ? dpi_g_const(g, absorbing) : truth(g, other);
  }
  if (a == b) return truth(g, a);
  return make_either(g, op, a, b);
}

dpi_node dpi_g_op2(dpi_graph *g, dpi_op op, dpi_node a, dpi_node b) {
  if (a < 0 || b < 0) return DPI_NODE_NONE;
  DP_ASSERT(dpi_op_table[op].arity == 2);
  double x, y;
  if (op != DPI_OP_POW && dpi_g_is_const(g, a, &x) && dpi_g_is_const(g, b, &y))
    return dpi_g_const(g, dpi_op_eval(op, x, y, 0.0));
  switch (op) {
    case DPI_OP_ADD:
      return build_add(g, a, b);
    case DPI_OP_SUB:
      return build_sub(g, a, b);
    case DPI_OP_MUL:
      return build_mul(g, a, b);
    case DPI_OP_DIV:
      return build_div(g, a, b);
    case DPI_OP_POW:
      break;
    case DPI_OP_AND:
    case DPI_OP_OR:
      return build_logic(g, op, a, b);
    case DPI_OP_EQ:
    case DPI_OP_NE:
      return make_either(g, op, a, b);
    case DPI_OP_MIN:
    case DPI_OP_MAX:
      return a == b ? a : make(g, op, a, b, -1);
    default:
      return make(g, op, a, b, -1);
  }
  dpi_node r = build_pow(g, a, b);
  if (r >= 0 && op_of(g, r) == DPI_OP_POW && dpi_g_is_const(g, a, &x) && dpi_g_is_const(g, b, &y))
    return dpi_g_const(g, dpi_op_eval(DPI_OP_POW, x, y, 0.0));
  return r;
}

dpi_node dpi_g_if(dpi_graph *g, dpi_node cond, dpi_node a, dpi_node b) {
  if (cond < 0 || a < 0 || b < 0) return DPI_NODE_NONE;
  double c;
  if (dpi_g_is_const(g, cond, &c)) return c != 0.0 ? a : b;
  if (a == b) return a;
  return make(g, DPI_OP_IF, cond, a, b);
}

/* Numbers fold where the fused result is that of a product and a sum: the arithmetic may change after building. */
dpi_node dpi_g_fma(dpi_graph *g, dpi_node a, dpi_node b, dpi_node c) {
  if (a < 0 || b < 0 || c < 0) return DPI_NODE_NONE;
  double x, y, z;
  if (is(g, a, 0) || is(g, b, 0)) return c;
  if (is(g, c, 0)) return dpi_g_op2(g, DPI_OP_MUL, a, b);
  if (is(g, a, 1)) return dpi_g_op2(g, DPI_OP_ADD, b, c);
  if (is(g, b, 1)) return dpi_g_op2(g, DPI_OP_ADD, a, c);
  if (is(g, a, -1)) return dpi_g_op2(g, DPI_OP_SUB, c, b);
  if (is(g, b, -1)) return dpi_g_op2(g, DPI_OP_SUB, c, a);
  if (dpi_g_is_const(g, a, &x) && dpi_g_is_const(g, b, &y) && dpi_g_is_const(g, c, &z)) {
    double fused = fma(x, y, z), twice = x * y + z;
    if (memcmp(&fused, &twice, sizeof fused) == 0) return dpi_g_const(g, fused);
  }
  dpi_node swapped = dpi_g_find(g, (dpi_gnode){.op = DPI_OP_FMA, .arg = {b, a, c}});
  return swapped != DPI_NODE_NONE ? swapped : make(g, DPI_OP_FMA, a, b, c);
}

dpi_node dpi_g_rebuild(dpi_graph *g, dpi_gnode n, const dpi_node arg[3]) {
  if (n.op == DPI_OP_POWI) return dpi_g_powi(g, arg[0], n.arg[1]);
  if (n.op == DPI_OP_IF) return dpi_g_if(g, arg[0], arg[1], arg[2]);
  if (n.op == DPI_OP_FMA) return dpi_g_fma(g, arg[0], arg[1], arg[2]);
  return dpi_op_table[n.op].arity == 1 ? dpi_g_op1(g, n.op, arg[0])
                                       : dpi_g_op2(g, n.op, arg[0], arg[1]);
}
