/* sbml_write_math.c - floor 3: mathematics as MathML, the subset of SBML Level 3. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lang/sbml/sbml_write_impl.h"

/* MathML's names of what is <apply><name/> arguments</apply> */
static const char *const apply_name[DPI_AST_COUNT] = {
    [DPI_AST_PLUS] = "plus",         [DPI_AST_TIMES] = "times",       [DPI_AST_MINUS] = "minus",
    [DPI_AST_DIVIDE] = "divide",     [DPI_AST_POWER] = "power",       [DPI_AST_LN] = "ln",
    [DPI_AST_EXP] = "exp",           [DPI_AST_ABS] = "abs",           [DPI_AST_FLOOR] = "floor",
    [DPI_AST_CEIL] = "ceiling",      [DPI_AST_FACTORIAL] = "factorial", [DPI_AST_QUOTIENT] = "quotient",
    [DPI_AST_REM] = "rem",           [DPI_AST_MIN] = "min",           [DPI_AST_MAX] = "max",
    [DPI_AST_SIN] = "sin",           [DPI_AST_COS] = "cos",           [DPI_AST_TAN] = "tan",
    [DPI_AST_SEC] = "sec",           [DPI_AST_CSC] = "csc",           [DPI_AST_COT] = "cot",
    [DPI_AST_SINH] = "sinh",         [DPI_AST_COSH] = "cosh",         [DPI_AST_TANH] = "tanh",
    [DPI_AST_SECH] = "sech",         [DPI_AST_CSCH] = "csch",         [DPI_AST_COTH] = "coth",
    [DPI_AST_ARCSIN] = "arcsin",     [DPI_AST_ARCCOS] = "arccos",     [DPI_AST_ARCTAN] = "arctan",
    [DPI_AST_ARCSEC] = "arcsec",     [DPI_AST_ARCCSC] = "arccsc",     [DPI_AST_ARCCOT] = "arccot",
    [DPI_AST_ARCSINH] = "arcsinh",   [DPI_AST_ARCCOSH] = "arccosh",   [DPI_AST_ARCTANH] = "arctanh",
    [DPI_AST_ARCSECH] = "arcsech",   [DPI_AST_ARCCSCH] = "arccsch",   [DPI_AST_ARCCOTH] = "arccoth",
    [DPI_AST_NOT] = "not",           [DPI_AST_AND] = "and",           [DPI_AST_OR] = "or",
    [DPI_AST_XOR] = "xor",           [DPI_AST_IMPLIES] = "implies",   [DPI_AST_EQ] = "eq",
    [DPI_AST_NE] = "neq",            [DPI_AST_LT] = "lt",             [DPI_AST_LE] = "leq",
    [DPI_AST_GT] = "gt",             [DPI_AST_GE] = "geq",
};
static const char *const constant_name[DPI_AST_COUNT] = {
    [DPI_AST_PI] = "pi",       [DPI_AST_E] = "exponentiale",     [DPI_AST_TRUE] = "true",
    [DPI_AST_FALSE] = "false", [DPI_AST_INFINITY] = "infinity", [DPI_AST_NAN] = "notanumber",
};

const char *dpi_sbmlw_core_uri(const dpi_sbmlw *w) {
  return w->version == 1 ? "http://www.sbml.org/sbml/level3/version1/core"
                         : "http://www.sbml.org/sbml/level3/version2/core";
}

/* ---- what is needed ---- */
static dp_status note_need(void *user, dpi_ast *a) {
  dpi_sbmlw *w = user;
  if (a->op == DPI_AST_DRAW) w->draws = true;
  if (a->op == DPI_AST_MIN || a->op == DPI_AST_MAX || a->op == DPI_AST_QUOTIENT || a->op == DPI_AST_REM ||
      a->op == DPI_AST_IMPLIES || a->op == DPI_AST_RATEOF)
    w->extended = true;
  return DP_OK;
}

void dpi_sbmlw_math_needs(dpi_sbmlw *w) {
  const dpi_net *net = w->net;
  for (int i = 0; i < net->nfunction; i++) dpi_ast_walk(net->function[i].body, note_need, w);
  for (int i = 0; i < net->nrule; i++) dpi_ast_walk(net->rule[i].math, note_need, w);
  for (int i = 0; i < net->nconstraint; i++) dpi_ast_walk(net->constraint[i].math, note_need, w);
  for (int i = 0; i < net->nreaction; i++) {
    const dpi_net_reaction *r = &net->reaction[i];
    dpi_ast_walk(r->rate, note_need, w);
    for (int k = 0; k < r->nreactant; k++) dpi_ast_walk(r->reactant[k].math, note_need, w);
    for (int k = 0; k < r->nproduct; k++) dpi_ast_walk(r->product[k].math, note_need, w);
  }
  for (int i = 0; i < net->nevent; i++) {
    const dpi_net_event *e = &net->event[i];
    dpi_ast_walk(e->trigger, note_need, w);
    dpi_ast_walk(e->delay, note_need, w);
    dpi_ast_walk(e->priority, note_need, w);
    for (int k = 0; k < e->nassign; k++) dpi_ast_walk(e->assign[k].math, note_need, w);
  }
  w->extended = w->extended && w->version == 1;
}

/* ---- numbers ---- */
/* "1.5e-12" is written with <sep/> where mantissa x 10^exponent gives the same bits to a reader that multiplies; else
 * as one real number, which readers take with its exponent */
static void write_real(dpi_sbmlw *w, double v, const char *unit) {
  char text[32];
  dpi_format_double(v, text);
  char *e = strpbrk(text, "eE");
  dpi_xml_start(w, "cn");
  if (e == NULL) {
    bool whole = strchr(text, '.') == NULL && fabs(v) < 2147483647.0 && !(v == 0 && signbit(v));
    if (whole) dpi_xml_attr(w, "type", "integer");
    dpi_xml_attr(w, "sbml:units", unit);
    dpi_str_addf(w->out, "> %s </cn>\n", text);
  } else {
    char mantissa[32];
    snprintf(mantissa, sizeof mantissa, "%.*s", (int)(e - text), text);
    double m = 0.0;
    int exponent = atoi(e + 1);
    bool exact = dpi_parse_double(mantissa, &m) && m * pow(10.0, exponent) == v;
    if (exact) dpi_xml_attr(w, "type", "e-notation");
    dpi_xml_attr(w, "sbml:units", unit);
    if (exact) dpi_str_addf(w->out, "> %s <sep/> %d </cn>\n", mantissa, exponent);
    else dpi_str_addf(w->out, "> %s </cn>\n", text);
  }
  w->open = false;
  w->depth--;
}

static void write_number(dpi_sbmlw *w, double v, const char *unit) {
  if (isnan(v)) {
    dpi_xml_start(w, "notanumber");
    dpi_xml_end(w, "notanumber");
  } else if (isinf(v)) {
    if (v < 0) dpi_xml_start(w, "apply"), dpi_xml_start(w, "minus"), dpi_xml_end(w, "minus");
    dpi_xml_start(w, "infinity");
    dpi_xml_end(w, "infinity");
    if (v < 0) dpi_xml_end(w, "apply");
  } else {
    write_real(w, v, dpi_sbmlw_unit(w, unit));
  }
}

/* ---- symbols ---- */
static void write_symbol(dpi_sbmlw *w, const char *uri, const char *name) {
  dpi_xml_start(w, "csymbol");
  dpi_xml_attr(w, "encoding", "text");
  char url[120];
  snprintf(url, sizeof url, "http://www.sbml.org/sbml/symbols/%s%s", uri, name);
  dpi_xml_attr(w, "definitionURL", url);
  dpi_str_addf(w->out, "> %s </csymbol>\n", name);
  w->open = false;
  w->depth--;
}

static void write_node(dpi_sbmlw *w, const dpi_ast *a);

static void write_args(dpi_sbmlw *w, const dpi_ast *a, int from) {
  for (int i = from; i < a->narg; i++) write_node(w, a->arg[i]);
}

static void write_piecewise(dpi_sbmlw *w, const dpi_ast *a) {
  dpi_xml_start(w, "piecewise");
  for (int i = 0; i + 1 < a->narg; i += 2) {
    dpi_xml_start(w, "piece");
    write_node(w, a->arg[i]);
    write_node(w, a->arg[i + 1]);
    dpi_xml_end(w, "piece");
  }
  if (a->narg % 2) {
    dpi_xml_start(w, "otherwise");
    write_node(w, a->arg[a->narg - 1]);
    dpi_xml_end(w, "otherwise");
  }
  dpi_xml_end(w, "piecewise");
}

static void write_empty(dpi_sbmlw *w, const char *name) {
  dpi_xml_start(w, name);
  dpi_xml_end(w, name);
}

/* root and log: the first argument is the degree, the base */
static void write_qualified(dpi_sbmlw *w, const dpi_ast *a, const char *name, const char *qualifier) {
  dpi_xml_start(w, "apply");
  write_empty(w, name);
  dpi_xml_start(w, qualifier);
  write_node(w, a->arg[0]);
  dpi_xml_end(w, qualifier);
  write_node(w, a->arg[1]);
  dpi_xml_end(w, "apply");
}

static bool has_draw(const dpi_ast *a) {
  if (a == NULL) return false;
  if (a->op == DPI_AST_DRAW) return true;
  for (int i = 0; i < a->narg; i++)
    if (has_draw(a->arg[i])) return true;
  return false;
}

/* functions of our own tables: those that SBML can say in other words are; the others are refused */
static void write_builtin(dpi_sbmlw *w, const dpi_ast *a) {
  if (strcmp(a->name, "expm1") == 0 && a->narg == 1) { /* exp(x) - 1 */
    dpi_xml_start(w, "apply");
    write_empty(w, "minus");
    dpi_xml_start(w, "apply");
    write_empty(w, "exp");
    write_args(w, a, 0);
    dpi_xml_end(w, "apply");
    write_number(w, 1.0, "");
    dpi_xml_end(w, "apply");
  } else if (strcmp(a->name, "log1p") == 0 && a->narg == 1) { /* ln(1 + x) */
    dpi_xml_start(w, "apply");
    write_empty(w, "ln");
    dpi_xml_start(w, "apply");
    write_empty(w, "plus");
    write_number(w, 1.0, "");
    write_args(w, a, 0);
    dpi_xml_end(w, "apply");
    dpi_xml_end(w, "apply");
  } else if (strcmp(a->name, "sign") == 0 && a->narg == 1 && !has_draw(a)) { /* 1, -1 or x itself: 0 or NaN */
    dpi_xml_start(w, "piecewise");
    for (int k = 0; k < 2; k++) {
      dpi_xml_start(w, "piece");
      write_number(w, k ? -1.0 : 1.0, "");
      dpi_xml_start(w, "apply");
      write_empty(w, k ? "lt" : "gt");
      write_args(w, a, 0);
      write_number(w, 0.0, "");
      dpi_xml_end(w, "apply");
      dpi_xml_end(w, "piece");
    }
    dpi_xml_start(w, "otherwise");
    write_args(w, a, 0);
    dpi_xml_end(w, "otherwise");
    dpi_xml_end(w, "piecewise");
  } else if (w->status == DP_OK) {
    w->status = dpi_fail(w->net->ctx, DP_ERR_UNSUPPORTED, "%s:%d: SBML has no function '%s'", w->net->source, a->line,
                         a->name);
  }
}

static void write_apply(dpi_sbmlw *w, const dpi_ast *a) {
  dpi_xml_start(w, "apply");
  if (a->op == DPI_AST_CALL) {
    dpi_xml_leaf(w, "ci", dpi_sbmlw_id(w, a->name));
  } else if (a->op == DPI_AST_DRAW) {
    write_symbol(w, "distrib/", dpi_variate_name((dpi_variate)a->draw));
  } else if (a->op == DPI_AST_DELAY || a->op == DPI_AST_RATEOF) {
    write_symbol(w, "", dpi_ast_text(a->op));
  } else {
    write_empty(w, apply_name[a->op]);
  }
  write_args(w, a, 0);
  dpi_xml_end(w, "apply");
}

static bool is_local(const dpi_net_reaction *r, const char *id) {
  for (int k = 0; r && k < r->nlocal; k++)
    if (strcmp(r->local[k].id, id) == 0) return true;
  return false;
}

static void write_name(dpi_sbmlw *w, const dpi_ast *a) {
  int index;
  if (!w->lambda && !is_local(w->law, a->name) && dpi_net_find(w->net, a->name, &index) == DPI_NET_NOTHING)
    w->status =
        dpi_fail(w->net->ctx, DP_ERR_INPUT, "%s:%d: '%s' is used but not defined", w->net->source, a->line, a->name);
  dpi_xml_leaf(w, "ci", dpi_sbmlw_id(w, a->name));
}

static void write_node(dpi_sbmlw *w, const dpi_ast *a) {
  if (a == NULL || w->status != DP_OK) return;
  switch (a->op) {
    case DPI_AST_NUMBER: write_number(w, a->value, a->unit); break;
    case DPI_AST_NAME: write_name(w, a); break;
    case DPI_AST_TIME: write_symbol(w, "", "time"); break;
    case DPI_AST_AVOGADRO: write_symbol(w, "", "avogadro"); break;
    case DPI_AST_ROOT: write_qualified(w, a, "root", "degree"); break;
    case DPI_AST_LOG: write_qualified(w, a, "log", "logbase"); break;
    case DPI_AST_PIECEWISE: write_piecewise(w, a); break;
    case DPI_AST_BUILTIN: write_builtin(w, a); break;
    default:
      if (constant_name[a->op]) write_empty(w, constant_name[a->op]);
      else write_apply(w, a);
  }
}

/* ---- whole formulas ---- */
static bool has_unit(const dpi_ast *a) {
  if (a == NULL) return false;
  if (a->unit[0]) return true;
  for (int i = 0; i < a->narg; i++)
    if (has_unit(a->arg[i])) return true;
  return false;
}

static void start_math(dpi_sbmlw *w, const dpi_ast *a) {
  dpi_xml_start(w, "math");
  dpi_xml_attr(w, "xmlns", "http://www.w3.org/1998/Math/MathML");
  if (has_unit(a)) dpi_xml_attr(w, "xmlns:sbml", dpi_sbmlw_core_uri(w));
}

void dpi_sbmlw_math(dpi_sbmlw *w, const dpi_ast *a) {
  if (a == NULL) return;
  start_math(w, a);
  write_node(w, a);
  dpi_xml_end(w, "math");
}

/* a function knows its arguments only */
static void check_names(dpi_sbmlw *w, const dpi_net_function *f, const dpi_ast *a) {
  if (a == NULL || w->status != DP_OK) return;
  if (a->op == DPI_AST_NAME) {
    for (int k = 0; k < f->narg; k++)
      if (strcmp(a->name, f->arg[k]) == 0) return;
    w->status = dpi_fail(w->net->ctx, DP_ERR_UNSUPPORTED,
                         "%s:%d: function '%s' uses '%s', which is not one of its arguments: SBML can't say that",
                         w->net->source, f->line, f->id, a->name);
  }
  for (int k = 0; k < a->narg; k++) check_names(w, f, a->arg[k]);
}

void dpi_sbmlw_lambda(dpi_sbmlw *w, const dpi_net_function *f) {
  if (f->body == NULL) return;
  check_names(w, f, f->body);
  start_math(w, f->body);
  dpi_xml_start(w, "lambda");
  for (int k = 0; k < f->narg; k++) {
    dpi_xml_start(w, "bvar");
    dpi_xml_leaf(w, "ci", dpi_sbmlw_id(w, f->arg[k]));
    dpi_xml_end(w, "bvar");
  }
  w->lambda = true;
  write_node(w, f->body);
  w->lambda = false;
  dpi_xml_end(w, "lambda");
  dpi_xml_end(w, "math");
}
