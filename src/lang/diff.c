/* diff.c - floor 3: symbolic derivatives, node by node in order of evaluation, memoised for (node, symbol).
 *
 * Where a function has a kink (abs, min, max, piecewise) the derivative is that of the branch taken; where it jumps
 * (floor, comparisons) it is 0, as it is on both sides.
 */
#include <math.h>

#include "lang/lang_impl.h"

#define C(v) dpi_g_const(g, (v))
#define OP1(op, a) dpi_g_op1(g, DPI_OP_##op, (a))
#define OP2(op, a, b) dpi_g_op2(g, DPI_OP_##op, (a), (b))

/* d f(a) / d a for functions of one argument; self is f(a) */
static dpi_node slope(dpi_graph *g, dpi_op op, dpi_node a, dpi_node self) {
  const double pi = 3.14159265358979323846;
  switch (op) {
    case DPI_OP_NEG:
      return C(-1.0);
    case DPI_OP_EXP:
      return self;
    case DPI_OP_LOG:
      return OP2(DIV, C(1.0), a);
    case DPI_OP_LOG10:
      return OP2(DIV, C(0.43429448190325182765), a); /* 1 / ln 10 */
    case DPI_OP_SQRT:
      return OP2(DIV, C(0.5), self);
    case DPI_OP_ABS:
      return OP1(SIGN, a);
    case DPI_OP_SIN:
      return OP1(COS, a);
    case DPI_OP_COS:
      return OP1(NEG, OP1(SIN, a));
    case DPI_OP_TAN:
      return OP2(ADD, C(1.0), OP2(MUL, self, self));
    case DPI_OP_ASIN:
      return OP2(DIV, C(1.0), OP1(SQRT, OP2(SUB, C(1.0), OP2(MUL, a, a))));
    case DPI_OP_ACOS:
      return OP2(DIV, C(-1.0), OP1(SQRT, OP2(SUB, C(1.0), OP2(MUL, a, a))));
    case DPI_OP_ATAN:
      return OP2(DIV, C(1.0), OP2(ADD, C(1.0), OP2(MUL, a, a)));
    case DPI_OP_SINH:
      return OP1(COSH, a);
    case DPI_OP_COSH:
      return OP1(SINH, a);
    case DPI_OP_TANH:
      return OP2(SUB, C(1.0), OP2(MUL, self, self));
    case DPI_OP_ASINH:
      return OP2(DIV, C(1.0), OP1(SQRT, OP2(ADD, OP2(MUL, a, a), C(1.0))));
    case DPI_OP_ACOSH:
      return OP2(DIV, C(1.0),
                 OP2(MUL, OP1(SQRT, OP2(SUB, a, C(1.0))), OP1(SQRT, OP2(ADD, a, C(1.0)))));
    case DPI_OP_ATANH:
      return OP2(DIV, C(1.0), OP2(SUB, C(1.0), OP2(MUL, a, a)));
    case DPI_OP_EXPM1:
      return OP2(ADD, self, C(1.0));
    case DPI_OP_LOG1P:
      return OP2(DIV, C(1.0), OP2(ADD, C(1.0), a));
    case DPI_OP_ERF:
      return OP2(MUL, C(2.0 / sqrt(pi)), OP1(EXP, OP1(NEG, OP2(MUL, a, a))));
    case DPI_OP_LGAMMA:
      return OP1(DIGAMMA, a);
    case DPI_OP_DIGAMMA:
      return C(NAN); /* trigamma is not offered: loud, never wrong */
    default:
      return C(0.0); /* floor, ceil, sign, not: constant between jumps */
  }
}

/* d a^b = b a^(b-1) a' + a^b ln(a) b'. At a = 0 the second term is 0 (its limit for b > 0), not 0 * -inf. */
static dpi_node diff_pow(dpi_graph *g, dpi_node self, dpi_node a, dpi_node b, dpi_node da,
                         dpi_node db) {
  dpi_node base = OP2(MUL, OP2(MUL, b, OP2(POW, a, OP2(SUB, b, C(1.0)))), da);
  double zero;
  if (dpi_g_is_const(g, db, &zero) && zero == 0.0) return base;
  dpi_node log_term = dpi_g_if(g, OP2(EQ, a, C(0.0)), C(0.0), OP2(MUL, self, OP1(LOG, a)));
  return OP2(ADD, base, OP2(MUL, log_term, db));
}

/* a mod b = a - b trunc(a / b) */
static dpi_node diff_mod(dpi_graph *g, dpi_node a, dpi_node b, dpi_node da, dpi_node db) {
  dpi_node q = OP2(DIV, a, b);
  dpi_node trunc = dpi_g_if(g, OP2(LT, q, C(0.0)), OP1(CEIL, q), OP1(FLOOR, q));
  return OP2(SUB, da, OP2(MUL, trunc, db));
}

/* q = a / b. Of q = 1 / b or -1 / b the quotient itself is what to multiply by: no other division. In this order it is
 * finite wherever q b' / b is. */
static dpi_node diff_div(dpi_graph *g, dpi_node self, dpi_node a, dpi_node b, dpi_node da, dpi_node db) {
  double one;
  if (dpi_g_is_const(g, a, &one) && (one == 1.0 || one == -1.0)) {
    dpi_node d = OP2(MUL, self, OP2(MUL, self, db));
    return one > 0.0 ? OP1(NEG, d) : d;
  }
  return OP2(DIV, OP2(SUB, da, OP2(MUL, self, db)), b);
}

static dpi_node diff_atan2(dpi_graph *g, dpi_node a, dpi_node b, dpi_node da, dpi_node db) {
  dpi_node r2 = OP2(ADD, OP2(MUL, a, a), OP2(MUL, b, b));
  return OP2(DIV, OP2(SUB, OP2(MUL, b, da), OP2(MUL, a, db)), r2);
}

dpi_node dpi_g_chain(dpi_graph *g, dpi_node self, dpi_gnode n, const dpi_node d[3]) {
  dpi_node a = n.arg[0], b = n.arg[1];
  switch (n.op) {
    case DPI_OP_ADD:
      return OP2(ADD, d[0], d[1]);
    case DPI_OP_SUB:
      return OP2(SUB, d[0], d[1]);
    case DPI_OP_MUL:
      return OP2(ADD, OP2(MUL, d[0], b), OP2(MUL, a, d[1]));
    case DPI_OP_DIV:
      return diff_div(g, self, a, b, d[0], d[1]);
    case DPI_OP_POW:
      return diff_pow(g, self, a, b, d[0], d[1]);
    case DPI_OP_POWI:
      return OP2(MUL, OP2(MUL, C((double)b), dpi_g_powi(g, a, b - 1)), d[0]);
    case DPI_OP_MIN:
      return dpi_g_if(g, OP2(LE, a, b), d[0], d[1]);
    case DPI_OP_MAX:
      return dpi_g_if(g, OP2(GE, a, b), d[0], d[1]);
    case DPI_OP_MOD:
      return diff_mod(g, a, b, d[0], d[1]);
    case DPI_OP_ATAN2:
      return diff_atan2(g, a, b, d[0], d[1]);
    case DPI_OP_IF:
      return dpi_g_if(g, a, d[1], d[2]);
    case DPI_OP_FMA:
      return dpi_g_fma(g, d[0], b, dpi_g_fma(g, a, d[1], d[2]));
    case DPI_OP_LT:
    case DPI_OP_LE:
    case DPI_OP_GT:
    case DPI_OP_GE:
    case DPI_OP_EQ:
    case DPI_OP_NE:
    case DPI_OP_AND:
    case DPI_OP_OR:
      return C(0.0);
    default: {
      double zero;
      if (dpi_g_is_const(g, d[0], &zero) && zero == 0.0) return d[0];
      return OP2(MUL, slope(g, n.op, a, self), d[0]);
    }
  }
}

static dpi_node diff_node(dpi_graph *g, dpi_node self, dpi_gnode n, int sym) {
  dpi_node d[3];
  if (n.op == DPI_OP_CONST) return C(0.0);
  if (n.op == DPI_OP_SYM) return C(n.arg[0] == sym ? 1.0 : 0.0);
  for (int k = 0; k < dpi_op_table[n.op].arity; k++) {
    d[k] = dpi_g_memo_get(g, n.arg[k], sym); /* what was passed over does not depend on sym */
    if (d[k] == DPI_NODE_NONE) d[k] = C(0.0);
  }
  return dpi_g_chain(g, self, n, d);
}

dpi_node dpi_g_diff(dpi_graph *g, dpi_node node, int sym) {
  if (node < 0) return DPI_NODE_NONE;
  dpi_node known = dpi_g_memo_get(g, node, sym);
  if (known != DPI_NODE_NONE) return known;
  const dpi_node *list;
  int n;
  if (dpi_g_reach_fast(g, node, sym, &list, &n) != DP_OK) return DPI_NODE_NONE;
  for (int i = 0; i < n; i++) {
    dpi_node d = diff_node(g, list[i], dpi_graph_at(g, list[i]), sym);
    if (d == DPI_NODE_NONE || !dpi_g_memo_put(g, list[i], sym, d)) return DPI_NODE_NONE;
  }
  return dpi_g_memo_get(g, node, sym);
}
