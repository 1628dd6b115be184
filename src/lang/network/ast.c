/* ast.c - floor 3: mathematics as written: making, copying, visiting, printing. Readers bound the depth of a tree
 * (DPI_AST_DEPTH), so recursion here is bounded too. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lang/network.h"

static const char *const op_text[] = {
#define ROW(name, text, min, max) [DPI_AST_##name] = text,
    DPI_AST_LIST(ROW)
#undef ROW
};

const char *dpi_ast_text(dpi_ast_op op) { return op_text[op]; }

dpi_ast *dpi_ast_new(dpi_net *net, dpi_ast_op op, int narg) {
  dpi_ast *a = DPI_ARENA_NEW(&net->arena, dpi_ast);
  if (a == NULL) return NULL;
  *a = (dpi_ast){.op = op, .narg = narg, .name = "", .unit = "", .draw = -1};
  if (narg > 0) a->arg = DPI_ARENA_ARRAY(&net->arena, dpi_ast *, narg);
  return narg > 0 && a->arg == NULL ? NULL : a;
}

dpi_ast *dpi_ast_number(dpi_net *net, double value) {
  dpi_ast *a = dpi_ast_new(net, DPI_AST_NUMBER, 0);
  if (a) a->value = value;
  return a;
}

dpi_ast *dpi_ast_name(dpi_net *net, const char *name) {
  dpi_ast *a = dpi_ast_new(net, DPI_AST_NAME, 0);
  if (a) a->name = dpi_net_text(net, name);
  return a && a->name ? a : NULL;
}

dpi_ast *dpi_ast_op1(dpi_net *net, dpi_ast_op op, dpi_ast *x) {
  dpi_ast *a = x ? dpi_ast_new(net, op, 1) : NULL;
  if (a) a->arg[0] = x;
  return a;
}

dpi_ast *dpi_ast_op2(dpi_net *net, dpi_ast_op op, dpi_ast *x, dpi_ast *y) {
  dpi_ast *a = x && y ? dpi_ast_new(net, op, 2) : NULL;
  if (a == NULL) return NULL;
  a->arg[0] = x;
  a->arg[1] = y;
  return a;
}

dpi_ast *dpi_ast_copy(dpi_net *net, const dpi_ast *a) {
  if (a == NULL) return NULL;
  dpi_ast *b = dpi_ast_new(net, a->op, a->narg);
  if (b == NULL) return NULL;
  b->value = a->value;
  b->draw = a->draw;
  b->line = a->line;
  b->name = dpi_net_text(net, a->name);
  b->unit = dpi_net_text(net, a->unit);
  if (b->name == NULL || b->unit == NULL) return NULL;
  for (int i = 0; i < a->narg; i++)
    if ((b->arg[i] = dpi_ast_copy(net, a->arg[i])) == NULL) return NULL;
  return b;
}

dp_status dpi_ast_walk(dpi_ast *a, dpi_ast_visit visit, void *user) {
  if (a == NULL) return DP_OK;
  for (int i = 0; i < a->narg; i++) DP_TRY(dpi_ast_walk(a->arg[i], visit, user));
  return visit(user, a);
}

bool dpi_ast_uses(const dpi_ast *a, const char *name) {
  if (a == NULL) return false;
  if (a->op == DPI_AST_NAME && strcmp(a->name, name) == 0) return true;
  for (int i = 0; i < a->narg; i++)
    if (dpi_ast_uses(a->arg[i], name)) return true;
  return false;
}

/* ---- printing ---- */
/* ranks of L3 infix, loosest first */
enum { RANK_LOGIC = 1, RANK_RELATION, RANK_SUM, RANK_PRODUCT, RANK_SIGN, RANK_POWER, RANK_ATOM };

static int rank_of(const dpi_ast *a) {
  switch (a->op) {
    case DPI_AST_AND:
    case DPI_AST_OR: return a->narg > 1 ? RANK_LOGIC : RANK_ATOM;
    case DPI_AST_EQ:
    case DPI_AST_NE:
    case DPI_AST_LT:
    case DPI_AST_LE:
    case DPI_AST_GT:
    case DPI_AST_GE: return a->narg > 1 ? RANK_RELATION : RANK_ATOM;
    case DPI_AST_PLUS: return a->narg > 1 ? RANK_SUM : RANK_ATOM;
    case DPI_AST_MINUS: return a->narg > 1 ? RANK_SUM : RANK_SIGN;
    case DPI_AST_TIMES: return a->narg > 1 ? RANK_PRODUCT : RANK_ATOM;
    case DPI_AST_DIVIDE: return RANK_PRODUCT;
    case DPI_AST_POWER: return RANK_POWER;
    case DPI_AST_NOT: return RANK_SIGN;
    case DPI_AST_NUMBER: return a->value < 0 || (a->value == 0 && signbit(a->value)) ? RANK_SIGN : RANK_ATOM;
    default: return RANK_ATOM;
  }
}

static void print_number(double v, dpi_str *out) {
  char text[40];
  if (v != v) {
    dpi_str_add(out, "notanumber");
    return;
  }
  if (v > 1.7976931348623157e308 || v < -1.7976931348623157e308) {
    dpi_str_add(out, v > 0 ? "infinity" : "-infinity");
    return;
  }
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, v);
    if (strtod(text, NULL) == v) break;
  }
  dpi_str_add(out, text);
}

static void print_at(const dpi_ast *a, int least, dpi_str *out) {
  bool paren = rank_of(a) < least;
  if (paren) dpi_str_add(out, "(");
  dpi_ast_print(a, out);
  if (paren) dpi_str_add(out, ")");
}

static void print_infix(const dpi_ast *a, dpi_str *out) {
  int rank = rank_of(a);
  bool tight = rank >= RANK_PRODUCT;
  for (int i = 0; i < a->narg; i++) {
    if (i > 0) dpi_str_addf(out, tight ? "%s" : " %s ", op_text[a->op]);
    /* the right side of - and / binds tighter; `^` goes from the right,
     * logic and relations are never chained blindly */
    int least = rank + (rank == RANK_LOGIC || rank == RANK_RELATION            ? 1
                        : rank == RANK_POWER                                  ? i == 0
                        : i > 0 || a->op == DPI_AST_MINUS                      ? 1
                                                                              : 0);
    if (rank == RANK_SUM && i == 0) least = RANK_SUM;
    print_at(a->arg[i], least, out);
  }
}

static void print_call(const char *name, const dpi_ast *a, dpi_str *out) {
  dpi_str_addf(out, "%s(", name);
  for (int i = 0; i < a->narg; i++) {
    if (i > 0) dpi_str_add(out, ", ");
    dpi_ast_print(a->arg[i], out);
  }
  dpi_str_add(out, ")");
}

static const char *call_name(const dpi_ast *a) {
  switch (a->op) {
    case DPI_AST_CALL:
    case DPI_AST_BUILTIN: return a->name;
    case DPI_AST_DRAW: return dpi_variate_name((dpi_variate)a->draw);
    case DPI_AST_PLUS: return "plus";
    case DPI_AST_TIMES: return "times";
    case DPI_AST_AND: return "and";
    case DPI_AST_OR: return "or";
    case DPI_AST_EQ: return "eq";
    case DPI_AST_LT: return "lt";
    case DPI_AST_LE: return "leq";
    case DPI_AST_GT: return "gt";
    case DPI_AST_GE: return "geq";
    default: return op_text[a->op];
  }
}

void dpi_ast_print(const dpi_ast *a, dpi_str *out) {
  if (a == NULL) return;
  if (a->op == DPI_AST_NUMBER) {
    print_number(a->value, out);
    if (a->unit[0]) dpi_str_addf(out, " %s", a->unit);
  } else if (a->op == DPI_AST_NAME) {
    dpi_str_add(out, a->name);
  } else if (a->narg == 0 && a->op < DPI_AST_PLUS) {
    dpi_str_add(out, op_text[a->op]);
  } else if (a->op == DPI_AST_NOT || (a->op == DPI_AST_MINUS && a->narg == 1)) {
    dpi_str_add(out, op_text[a->op]);
    print_at(a->arg[0], RANK_SIGN + (a->op == DPI_AST_MINUS), out);
  } else if (rank_of(a) < RANK_ATOM) {
    print_infix(a, out);
  } else if (a->op == DPI_AST_LOG && a->arg[0]->op == DPI_AST_NUMBER && a->arg[0]->value == 10.0) {
    dpi_str_add(out, "log10(");
    dpi_ast_print(a->arg[1], out);
    dpi_str_add(out, ")");
  } else {
    print_call(call_name(a), a, out);
  }
}
