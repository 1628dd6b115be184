/* lang_check.h - what the tests of this room share: a context, models from text, and an evaluator of their own. */
#ifndef LANG_CHECK_H
#define LANG_CHECK_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/tests/own_context.h"
#include "lang/lang_impl.h"

static inline void check_ok(dp_status s) {
  if (s != DP_OK) print_message("%s: %s\n", dp_status_name(s), dp_ctx_error(ctx));
  assert_int_equal(s, DP_OK);
}

static inline dp_model *read_text(const char *text) {
  dp_model *m = NULL;
  dp_ctx_clear_error(ctx);
  check_ok(dpi_antimony_read(ctx, text, strlen(text), "m.ant", &m));
  return m;
}

static inline dp_model *read_sealed(const char *text) {
  dp_model *m = read_text(text);
  check_ok(dpi_model_seal(m));
  return m;
}

/* reading or sealing must fail with this status and a message containing every given part */
static inline void check_refused(const char *text, dp_status want, const char *part1,
                                 const char *part2) {
  dp_model *m = NULL;
  dp_ctx_clear_error(ctx);
  dp_status s = dpi_antimony_read(ctx, text, strlen(text), "m.ant", &m);
  if (s == DP_OK) s = dpi_model_seal(m);
  dp_model_destroy(m);
  if (s != want || strstr(dp_ctx_error(ctx), part1) == NULL ||
      strstr(dp_ctx_error(ctx), part2) == NULL)
    print_message("text: %s\n  gave %s: %s\n  wanted %s: ..%s..%s\n", text, dp_status_name(s),
                  dp_ctx_error(ctx), dp_status_name(want), part1, part2);
  assert_int_equal(s, want);
  assert_non_null(strstr(dp_ctx_error(ctx), part1));
  assert_non_null(strstr(dp_ctx_error(ctx), part2));
}

static inline char *printed(const dp_model *m, dpi_node n, char *buf, size_t size) {
  dpi_str s;
  dpi_str_init(&s, ctx);
  dpi_model_print(m, n, &s);
  snprintf(buf, size, "%s", dpi_str_text(&s));
  dpi_str_release(&s);
  return buf;
}

static inline int sym_of(const dp_model *m, const char *id) {
  int s = dpi_model_find(m, id);
  if (s < 0) print_message("no symbol %s\n", id);
  assert_true(s >= 0);
  return s;
}

/* The plain method: recursion over the graph with the C library's functions. */
static inline double oracle(const dpi_graph *g, dpi_node node, const double *sym) {
  dpi_gnode n = dpi_graph_at(g, node);
  if (n.op == DPI_OP_CONST) return n.value;
  if (n.op == DPI_OP_SYM) return sym[n.arg[0]];
  double a = oracle(g, n.arg[0], sym), b = 0, c = 0;
  if (n.op == DPI_OP_IF) return a != 0 ? oracle(g, n.arg[1], sym) : oracle(g, n.arg[2], sym);
  if (n.op == DPI_OP_FMA) return a * oracle(g, n.arg[1], sym) + oracle(g, n.arg[2], sym);
  if (n.op == DPI_OP_POWI) return pow(a, (double)n.arg[1]);
  if (dpi_op_table[n.op].arity > 1) b = oracle(g, n.arg[1], sym);
  (void)c;
  switch (n.op) {
    case DPI_OP_ADD:
      return a + b;
    case DPI_OP_SUB:
      return a - b;
    case DPI_OP_MUL:
      return a * b;
    case DPI_OP_DIV:
      return a / b;
    case DPI_OP_NEG:
      return -a;
    case DPI_OP_POW:
      return pow(a, b);
    case DPI_OP_EXP:
      return exp(a);
    case DPI_OP_LOG:
      return log(a);
    case DPI_OP_LOG10:
      return log10(a);
    case DPI_OP_SQRT:
      return sqrt(a);
    case DPI_OP_ABS:
      return fabs(a);
    case DPI_OP_FLOOR:
      return floor(a);
    case DPI_OP_CEIL:
      return ceil(a);
    case DPI_OP_SIN:
      return sin(a);
    case DPI_OP_COS:
      return cos(a);
    case DPI_OP_TAN:
      return tan(a);
    case DPI_OP_ASIN:
      return asin(a);
    case DPI_OP_ACOS:
      return acos(a);
    case DPI_OP_ATAN:
      return atan(a);
    case DPI_OP_SINH:
      return sinh(a);
    case DPI_OP_COSH:
      return cosh(a);
    case DPI_OP_TANH:
      return tanh(a);
    case DPI_OP_ASINH:
      return asinh(a);
    case DPI_OP_ACOSH:
      return acosh(a);
    case DPI_OP_ATANH:
      return atanh(a);
    case DPI_OP_EXPM1:
      return expm1(a);
    case DPI_OP_LOG1P:
      return log1p(a);
    case DPI_OP_ERF:
      return erf(a);
    case DPI_OP_LGAMMA:
      return lgamma(a);
    case DPI_OP_SIGN:
      return (a > 0) - (a < 0);
    case DPI_OP_ATAN2:
      return atan2(a, b);
    case DPI_OP_MIN:
      return fmin(a, b);
    case DPI_OP_MAX:
      return fmax(a, b);
    case DPI_OP_MOD:
      return fmod(a, b);
    case DPI_OP_LT:
      return a < b;
    case DPI_OP_LE:
      return a <= b;
    case DPI_OP_GT:
      return a > b;
    case DPI_OP_GE:
      return a >= b;
    case DPI_OP_EQ:
      return a == b;
    case DPI_OP_NE:
      return a != b;
    case DPI_OP_AND:
      return a != 0 && b != 0;
    case DPI_OP_OR:
      return a != 0 || b != 0;
    case DPI_OP_NOT:
      return a == 0;
    default:
      fail_msg("operation %d has no oracle", (int)n.op);
      return 0;
  }
}

static inline bool near_enough(double a, double b, double rel) {
  if (a != a || b != b) return a != a && b != b;
  return a == b || fabs(a - b) <= rel * (1.0 + fabs(a) + fabs(b));
}

/* Value of one node by a tape in which every symbol is fast. */
static inline double tape_value(const dpi_graph *g, dpi_node node, const double *sym, int nsym) {
  uint8_t fast[64];
  double reg[4096], out;
  dpi_tape *t = NULL;
  memset(fast, 1, sizeof fast);
  assert_true(nsym <= 64);
  check_ok(dpi_tape_create(ctx, g, &node, 1, fast, nsym, &t));
  assert_true(dpi_tape_nreg(t) <= 4096);
  dpi_tape_init(t, reg);
  dpi_tape_prologue(t, sym, reg);
  dpi_tape_eval(t, sym, reg, &out);
  dpi_tape_destroy(t);
  return out;
}

/* Both texts must be the same expression: equal expressions are one node, so their numbers are compared. */
static inline void check_same(dp_model *m, const char *id, dpi_node got, const char *text) {
  dpi_node want = DPI_NODE_NONE;
  char buf[2000];
  check_ok(dpi_model_parse(m, text, "expected", false, &want));
  if (got != want) print_message("%s is %s, not %s\n", id, printed(m, got, buf, sizeof buf), text);
  assert_int_equal(got, want);
}

#endif
