/* formula.c - floor 3: infix formulas into graph nodes.
 *
 *     expr  := rel (('&&' | '||') rel)*         both the same rank, from the left, as in Antimony and PEtab
 *     rel   := sum (('<' | '<=' | ...) sum)*    a < b < c means a < b && b < c
 *     sum   := prod (('+' | '-') prod)*
 *     prod  := unary (('*' | '/' | '%') unary)*
 *     unary := ('-' | '+' | '!') unary | power  so -a^b is -(a^b)
 *     power := atom ('^' unary)?                so a^b^c is a^(b^c)
 *     atom  := number unit? | name | name '(' expr, ... ')' | '(' expr ')'
 *
 * Two dialects differ in one function: Antimony's log(base, x) is PEtab's log(x, base).
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lang/lang_impl.h"

#define MAX_DEPTH 256 /* nesting of parentheses, calls and signs */
#define MAX_ARGS 200
#define MAX_WORK 4000000L /* words read, functions expanded */

typedef struct dpi_frame {
  const dpi_func *func;
  const dpi_node *arg;
} frame;

/* ---- words and messages ---- */
const dpi_tok *dpi_parser_peek(dpi_parser *p) {
  while (p->paren > 0 && p->tok[p->pos].kind == DPI_TOK_NEWLINE) p->pos++;
  return &p->tok[p->pos];
}

static const dpi_tok *next(dpi_parser *p) {
  const dpi_tok *t = dpi_parser_peek(p);
  if (t->kind != DPI_TOK_END) p->pos++;
  p->budget--;
  return t;
}

static bool take(dpi_parser *p, int kind) {
  if (dpi_parser_peek(p)->kind != kind) return false;
  next(p);
  return true;
}

/* an operator: the next operand may stand on the next line */
static bool take_op(dpi_parser *p, int kind) {
  if (!take(p, kind)) return false;
  while (p->tok[p->pos].kind == DPI_TOK_NEWLINE) p->pos++;
  return true;
}

dp_status dpi_parser_fail(const dpi_parser *p, const dpi_tok *t, dp_status status, const char *fmt,
                          ...) {
  char text[400];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  if (p->antimony) return dpi_fail(p->m->ctx, status, "%s:%d: %s", p->where, t->line, text);
  return dpi_fail(p->m->ctx, status, "%s: column %d: %s", p->where, t->col, text);
}

static dp_status expected(dpi_parser *p, const char *what) {
  char buf[48];
  const dpi_tok *t = dpi_parser_peek(p);
  return dpi_parser_fail(p, t, DP_ERR_INPUT, "found %s, expected %s", dpi_tok_say(t, buf), what);
}

static dp_status memory_or(dpi_parser *p, dpi_node n) {
  return n < 0 ? dpi_fail(p->m->ctx, DP_ERR_MEMORY, "%s: the expression can't be stored", p->where)
               : DP_OK;
}

/* ---- constants ---- */
static const struct {
  const char *name;
  double value;
} constants[] = {
    {"pi", 3.14159265358979323846},
    {"exponentiale", 2.71828182845904523536},
    {"avogadro", 6.02214179e23}, /* as fixed by SBML Level 3 (CODATA 2006) */
    {"inf", INFINITY},
    {"infinity", INFINITY},
    {"nan", NAN},
    {"notanumber", NAN},
    {"true", 1.0},
    {"True", 1.0},
    {"false", 0.0},
    {"False", 0.0},
};

static int find_constant(const char *name) {
  for (int i = 0; i < DPI_COUNT(constants); i++)
    if (strcmp(name, constants[i].name) == 0) return i;
  return -1;
}

/* ---- functions ---- */
typedef struct builtin builtin;
typedef dp_status (*build_fn)(dpi_parser *p, const dpi_tok *at, const builtin *f, const dpi_node *a,
                              int n, dpi_node *out);
struct builtin {
  const char *name;
  int min, max;
  build_fn build;
  int op; /* the operation, or what the builder makes of it */
};

#define G (p->m->graph)
#define CONST(v) dpi_g_const(G, (v))

static dp_status build_op1(dpi_parser *p, const dpi_tok *at, const builtin *f, const dpi_node *a,
                           int n, dpi_node *out) {
  (void)at, (void)n;
  *out = dpi_g_op1(G, (dpi_op)f->op, a[0]);
  return DP_OK;
}

static dp_status build_op2(dpi_parser *p, const dpi_tok *at, const builtin *f, const dpi_node *a,
                           int n, dpi_node *out) {
  (void)at, (void)n;
  *out = dpi_g_op2(G, (dpi_op)f->op, a[0], a[1]);
  return DP_OK;
}

/* max(a, b, c) and the like, from the left */
static dp_status build_fold(dpi_parser *p, const dpi_tok *at, const builtin *f, const dpi_node *a,
                            int n, dpi_node *out) {
  (void)at;
  *out = a[0];
  for (int i = 1; i < n; i++) *out = dpi_g_op2(G, (dpi_op)f->op, *out, a[i]);
  if (n == 1 && (f->op == DPI_OP_AND || f->op == DPI_OP_OR))
    *out = dpi_g_op2(G, DPI_OP_NE, a[0], CONST(0.0));
  return DP_OK;
}

static dp_status build_log(dpi_parser *p, const dpi_tok *at, const builtin *f, const dpi_node *a,
                           int n, dpi_node *out) {
  (void)at, (void)f;
  dpi_node x = n == 2 && p->antimony ? a[1] : a[0], base = p->antimony ? a[0] : a[n - 1];
  *out = dpi_g_op1(G, DPI_OP_LOG, x);
  if (n == 1) return DP_OK;
  double b;
  if (dpi_g_is_const(G, base, &b) && b == 10.0)
    *out = dpi_g_op1(G, DPI_OP_LOG10, x);
  else
    *out = dpi_g_op2(G, DPI_OP_DIV, *out, dpi_g_op1(G, DPI_OP_LOG, base));
  return DP_OK;
}

/* log2(x) = ln(x) / ln(2) */
static dp_status build_log2(dpi_parser *p, const dpi_tok *at, const builtin *f, const dpi_node *a,
                            int n, dpi_node *out) {
  (void)at, (void)f, (void)n;
  *out = dpi_g_op2(G, DPI_OP_DIV, dpi_g_op1(G, DPI_OP_LOG, a[0]), CONST(0.69314718055994530942));
  return DP_OK;
}

/* root(n, x) = x^(1/n); root(x) is the square root */
static dp_status build_root(dpi_parser *p, const dpi_tok *at, const builtin *f, const dpi_node *a,
                            int n, dpi_node *out) {
  (void)at, (void)f;
  dpi_node degree = n == 2 ? a[0] : CONST(2.0);
  *out = dpi_g_op2(G, DPI_OP_POW, a[n - 1], dpi_g_op2(G, DPI_OP_DIV, CONST(1.0), degree));
  return DP_OK;
}

static dp_status build_square(dpi_parser *p, const dpi_tok *at, const builtin *f, const dpi_node *a,
                              int n, dpi_node *out) {
  (void)at, (void)f, (void)n;
  *out = dpi_g_powi(G, a[0], 2);
  return DP_OK;
}

/* sec x = 1 / cos x */
static dp_status build_reciprocal(dpi_parser *p, const dpi_tok *at, const builtin *f,
                                  const dpi_node *a, int n, dpi_node *out) {
  (void)at, (void)n;
  *out = dpi_g_op2(G, DPI_OP_DIV, CONST(1.0), dpi_g_op1(G, (dpi_op)f->op, a[0]));
  return DP_OK;
}

/* arcsec x = arccos(1 / x) */
static dp_status build_of_reciprocal(dpi_parser *p, const dpi_tok *at, const builtin *f,
                                     const dpi_node *a, int n, dpi_node *out) {
  (void)at, (void)n;
  *out = dpi_g_op1(G, (dpi_op)f->op, dpi_g_op2(G, DPI_OP_DIV, CONST(1.0), a[0]));
  return DP_OK;
}

static dp_status build_quotient(dpi_parser *p, const dpi_tok *at, const builtin *f,
                                const dpi_node *a, int n, dpi_node *out) {
  (void)at, (void)f, (void)n;
  dpi_node q = dpi_g_op2(G, DPI_OP_DIV, a[0], a[1]);
  *out = dpi_g_if(G, dpi_g_op2(G, DPI_OP_LT, q, CONST(0.0)), dpi_g_op1(G, DPI_OP_CEIL, q),
                  dpi_g_op1(G, DPI_OP_FLOOR, q));
  return DP_OK;
}

static dp_status build_implies(dpi_parser *p, const dpi_tok *at, const builtin *f,
                               const dpi_node *a, int n, dpi_node *out) {
  (void)at, (void)f, (void)n;
  *out = dpi_g_op2(G, DPI_OP_OR, dpi_g_op1(G, DPI_OP_NOT, a[0]), a[1]);
  return DP_OK;
}

/* true when an odd number of arguments is true */
static dp_status build_xor(dpi_parser *p, const dpi_tok *at, const builtin *f, const dpi_node *a,
                           int n, dpi_node *out) {
  (void)at, (void)f;
  *out = CONST(0.0);
  for (int i = 0; i < n; i++)
    *out = dpi_g_op2(G, DPI_OP_NE, *out, dpi_g_op2(G, DPI_OP_NE, a[i], CONST(0.0)));
  return DP_OK;
}

static dp_status build_minus(dpi_parser *p, const dpi_tok *at, const builtin *f, const dpi_node *a,
                             int n, dpi_node *out) {
  (void)at, (void)f;
  *out = n == 1 ? dpi_g_op1(G, DPI_OP_NEG, a[0]) : dpi_g_op2(G, DPI_OP_SUB, a[0], a[1]);
  return DP_OK;
}

/* gt(a, b, c) = a > b && b > c */
static dp_status build_chain(dpi_parser *p, const dpi_tok *at, const builtin *f, const dpi_node *a,
                             int n, dpi_node *out) {
  (void)at;
  *out = dpi_g_op2(G, (dpi_op)f->op, a[0], a[1]);
  for (int i = 2; i < n; i++)
    *out = dpi_g_op2(G, DPI_OP_AND, *out, dpi_g_op2(G, (dpi_op)f->op, a[i - 1], a[i]));
  return DP_OK;
}

/* piecewise(value, condition, value, condition, otherwise); without otherwise: NaN */
static dp_status build_piecewise(dpi_parser *p, const dpi_tok *at, const builtin *f,
                                 const dpi_node *a, int n, dpi_node *out) {
  (void)at, (void)f;
  *out = n % 2 ? a[n - 1] : CONST(NAN);
  for (int i = n - n % 2 - 2; i >= 0; i -= 2) *out = dpi_g_if(G, a[i + 1], a[i], *out);
  return DP_OK;
}

static dp_status build_factorial(dpi_parser *p, const dpi_tok *at, const builtin *f,
                                 const dpi_node *a, int n, dpi_node *out) {
  (void)n;
  double x, r = 1.0;
  if (!dpi_g_is_const(G, a[0], &x))
    return dpi_parser_fail(p, at, DP_ERR_UNSUPPORTED,
                           "%s of something that is not a constant number", f->name);
  if (!(x >= 0.0 && x <= 170.0 && x == floor(x)))
    return dpi_parser_fail(p, at, DP_ERR_INPUT, "%s of %g, expected a whole number from 0 to 170",
                           f->name, x);
  for (int i = 2; i <= (int)x; i++) r *= (double)i;
  *out = CONST(r);
  return DP_OK;
}

static dp_status build_refused(dpi_parser *p, const dpi_tok *at, const builtin *f,
                               const dpi_node *a, int n, dpi_node *out) {
  (void)a, (void)n, (void)out;
  return dpi_parser_fail(p, at, DP_ERR_UNSUPPORTED, "the function '%s' is not supported", f->name);
}

// clang-format off
#define ROW1(name, op) {name, 1, 1, build_op1, DPI_OP_##op},
static const builtin builtins[] = {
    ROW1("exp", EXP) ROW1("ln", LOG) ROW1("log10", LOG10) ROW1("sqrt", SQRT) ROW1("abs", ABS) ROW1("floor", FLOOR)
    ROW1("ceil", CEIL) ROW1("ceiling", CEIL) ROW1("sin", SIN) ROW1("cos", COS) ROW1("tan", TAN) ROW1("asin", ASIN)
    ROW1("arcsin", ASIN) ROW1("acos", ACOS) ROW1("arccos", ACOS) ROW1("atan", ATAN) ROW1("arctan", ATAN)
    ROW1("sinh", SINH) ROW1("cosh", COSH) ROW1("tanh", TANH) ROW1("asinh", ASINH) ROW1("arcsinh", ASINH)
    ROW1("acosh", ACOSH) ROW1("arccosh", ACOSH) ROW1("atanh", ATANH) ROW1("arctanh", ATANH) ROW1("expm1", EXPM1)
    ROW1("log1p", LOG1P) ROW1("erf", ERF) ROW1("lgamma", LGAMMA) ROW1("digamma", DIGAMMA) ROW1("sign", SIGN)
    ROW1("not", NOT)
    {"log", 1, 2, build_log, 0}, {"log2", 1, 1, build_log2, 0}, {"pow", 2, 2, build_op2, DPI_OP_POW},
    {"power", 2, 2, build_op2, DPI_OP_POW}, {"atan2", 2, 2, build_op2, DPI_OP_ATAN2}, {"mod", 2, 2, build_op2, DPI_OP_MOD},
    {"rem", 2, 2, build_op2, DPI_OP_MOD}, {"quotient", 2, 2, build_quotient, 0}, {"divide", 2, 2, build_op2, DPI_OP_DIV},
    {"min", 1, MAX_ARGS, build_fold, DPI_OP_MIN}, {"max", 1, MAX_ARGS, build_fold, DPI_OP_MAX},
    {"plus", 1, MAX_ARGS, build_fold, DPI_OP_ADD}, {"times", 1, MAX_ARGS, build_fold, DPI_OP_MUL},
    {"and", 1, MAX_ARGS, build_fold, DPI_OP_AND}, {"or", 1, MAX_ARGS, build_fold, DPI_OP_OR},
    {"xor", 1, MAX_ARGS, build_xor, 0}, {"implies", 2, 2, build_implies, 0}, {"minus", 1, 2, build_minus, 0},
    {"root", 1, 2, build_root, 0}, {"sqr", 1, 1, build_square, 0},
    {"sec", 1, 1, build_reciprocal, DPI_OP_COS}, {"csc", 1, 1, build_reciprocal, DPI_OP_SIN},
    {"cot", 1, 1, build_reciprocal, DPI_OP_TAN}, {"sech", 1, 1, build_reciprocal, DPI_OP_COSH},
    {"csch", 1, 1, build_reciprocal, DPI_OP_SINH}, {"coth", 1, 1, build_reciprocal, DPI_OP_TANH},
    {"asec", 1, 1, build_of_reciprocal, DPI_OP_ACOS}, {"arcsec", 1, 1, build_of_reciprocal, DPI_OP_ACOS},
    {"acsc", 1, 1, build_of_reciprocal, DPI_OP_ASIN}, {"arccsc", 1, 1, build_of_reciprocal, DPI_OP_ASIN},
    {"acot", 1, 1, build_of_reciprocal, DPI_OP_ATAN}, {"arccot", 1, 1, build_of_reciprocal, DPI_OP_ATAN},
    {"asech", 1, 1, build_of_reciprocal, DPI_OP_ACOSH}, {"arcsech", 1, 1, build_of_reciprocal, DPI_OP_ACOSH},
    {"acsch", 1, 1, build_of_reciprocal, DPI_OP_ASINH}, {"arccsch", 1, 1, build_of_reciprocal, DPI_OP_ASINH},
    {"acoth", 1, 1, build_of_reciprocal, DPI_OP_ATANH}, {"arccoth", 1, 1, build_of_reciprocal, DPI_OP_ATANH},
    {"gt", 2, MAX_ARGS, build_chain, DPI_OP_GT}, {"geq", 2, MAX_ARGS, build_chain, DPI_OP_GE},
    {"lt", 2, MAX_ARGS, build_chain, DPI_OP_LT}, {"leq", 2, MAX_ARGS, build_chain, DPI_OP_LE},
    {"eq", 2, MAX_ARGS, build_chain, DPI_OP_EQ}, {"neq", 2, 2, build_op2, DPI_OP_NE},
    {"piecewise", 1, MAX_ARGS, build_piecewise, 0}, {"factorial", 1, 1, build_factorial, 0},
    {"delay", 1, MAX_ARGS, build_refused, 0}, {"rateOf", 1, MAX_ARGS, build_refused, 0},
    {"normal", 1, MAX_ARGS, build_refused, 0}, {"uniform", 1, MAX_ARGS, build_refused, 0},
    {"exponential", 1, MAX_ARGS, build_refused, 0}, {"gamma", 2, MAX_ARGS, build_refused, 0},
    {"poisson", 1, MAX_ARGS, build_refused, 0}, {"bernoulli", 1, MAX_ARGS, build_refused, 0},
    {"binomial", 1, MAX_ARGS, build_refused, 0}, {"cauchy", 1, MAX_ARGS, build_refused, 0},
    {"chisquare", 1, MAX_ARGS, build_refused, 0}, {"laplace", 1, MAX_ARGS, build_refused, 0},
    {"lognormal", 1, MAX_ARGS, build_refused, 0}, {"rayleigh", 1, MAX_ARGS, build_refused, 0},
    {"truncatedNormal", 1, MAX_ARGS, build_refused, 0},
};
// clang-format on

static const builtin *find_builtin(const char *name) {
  for (int i = 0; i < DPI_COUNT(builtins); i++)
    if (strcmp(name, builtins[i].name) == 0) return &builtins[i];
  return NULL;
}

bool dpi_formula_reserved(const char *word) {
  return find_constant(word) >= 0 || strcmp(word, "time") == 0;
}

/* ---- grammar ---- */
static dp_status parse_unary(dpi_parser *p, dpi_node *out);

static dp_status enter(dpi_parser *p) {
  if (++p->depth > MAX_DEPTH)
    return dpi_parser_fail(p, dpi_parser_peek(p), DP_ERR_UNSUPPORTED,
                           "the formula is nested more than %d deep", MAX_DEPTH);
  if (p->budget < 0)
    return dpi_parser_fail(p, dpi_parser_peek(p), DP_ERR_UNSUPPORTED,
                           "the formula is too large when its functions are written out");
  return DP_OK;
}

static dp_status unknown_function(dpi_parser *p, const dpi_tok *t) {
  const char *words[DPI_COUNT(builtins) + 64];
  int n = 0;
  for (int i = 0; i < DPI_COUNT(builtins); i++) words[n++] = builtins[i].name;
  for (int i = 0; i < p->nfunc && n < DPI_COUNT(words); i++) words[n++] = p->func[i].name;
  const char *near = dpi_nearest_word(t->text, words, n);
  if (near == NULL) return dpi_parser_fail(p, t, DP_ERR_INPUT, "unknown function '%s'", t->text);
  return dpi_parser_fail(p, t, DP_ERR_INPUT, "unknown function '%s'; did you mean '%s'?", t->text,
                         near);
}

static dp_status parse_args(dpi_parser *p, dpi_node *arg, int *n) {
  *n = 0;
  p->paren++;
  next(p); /* the opening parenthesis */
  while (!take(p, ')')) {
    if (*n > 0 && !take(p, ',')) return expected(p, "',' or ')'");
    if (*n >= MAX_ARGS)
      return dpi_parser_fail(p, dpi_parser_peek(p), DP_ERR_UNSUPPORTED,
                             "a function with more than %d arguments", MAX_ARGS);
    DP_TRY(dpi_parse_expr(p, &arg[(*n)++]));
  }
  p->paren--;
  return DP_OK;
}

/* write out a function of the text: read its body with the arguments bound */
static dp_status expand_function(dpi_parser *p, const dpi_tok *at, const dpi_func *f,
                                 const dpi_node *arg, int n, dpi_node *out) {
  if (n != f->narg)
    return dpi_parser_fail(p, at, DP_ERR_INPUT, "function '%s' has %d arguments, expected %d",
                           f->name, n, f->narg);
  frame fr = {f, arg};
  dpi_parser q = *p;
  q.tok = f->body;
  q.pos = 0;
  q.paren = 0;
  q.frame = &fr;
  while (q.tok[q.pos].kind == DPI_TOK_NEWLINE) q.pos++;
  DP_TRY(dpi_parse_expr(&q, out));
  while (q.tok[q.pos].kind == DPI_TOK_NEWLINE || q.tok[q.pos].kind == ';') q.pos++;
  if (&q.tok[q.pos] != f->body + f->nbody) return expected(&q, "'end' of the function");
  p->budget = q.budget;
  return DP_OK;
}

static dp_status parse_call(dpi_parser *p, const dpi_tok *t, dpi_node *out) {
  dpi_node arg[MAX_ARGS];
  int n;
  DP_TRY(parse_args(p, arg, &n));
  for (int i = p->nfunc - 1; i >= 0; i--)
    if (strcmp(p->func[i].name, t->text) == 0)
      return expand_function(p, t, &p->func[i], arg, n, out);
  const builtin *f = find_builtin(t->text);
  if (f == NULL) return unknown_function(p, t);
  if (n < f->min || n > f->max)
    return dpi_parser_fail(p, t, DP_ERR_INPUT, "'%s' has %d arguments, expected %d%s", f->name, n,
                           n < f->min ? f->min : f->max,
                           f->min == f->max ? ""
                           : n < f->min     ? " or more"
                                            : " or less");
  DP_TRY(f->build(p, t, f, arg, n, out));
  return memory_or(p, *out);
}

static dp_status frame_name(dpi_parser *p, const dpi_tok *t, dpi_node *out) {
  const dpi_func *f = p->frame->func;
  for (int i = 0; i < f->narg; i++) {
    if (strcmp(f->arg_name[i], t->text) != 0) continue;
    *out = p->frame->arg[i];
    return DP_OK;
  }
  return dpi_parser_fail(p, t, DP_ERR_INPUT,
                         "function '%s' uses '%s', which is not one of its arguments", f->name,
                         t->text);
}

static dp_status model_name(dpi_parser *p, const dpi_tok *t, dpi_node *out) {
  dp_model *m = p->m;
  char place[300], near[160];
  int sym = dpi_model_find(m, t->text);
  if (sym < 0 && !p->allow_new && !p->use_new)
    return dpi_parser_fail(p, t, DP_ERR_INPUT, "unknown name '%s'%s", t->text,
                           dpi_model_suggest(m, t->text, -1, near));
  if (sym < 0 && p->allow_new) {
    DP_TRY(dpi_model_symbol(m, t->text, t->line, &sym));
  } else if (sym < 0) {
    snprintf(place, sizeof place, p->antimony ? "%.280s:%d" : "%.280s", p->where, t->line);
    DP_TRY(dpi_model_use(m, t->text, place, &sym));
  }
  *out = m->sealed ? dpi_model_value(m, sym) : dpi_g_sym(G, sym);
  return memory_or(p, *out);
}

static dp_status parse_name(dpi_parser *p, dpi_node *out) {
  const dpi_tok *t = next(p);
  int k = find_constant(t->text);
  if (dpi_parser_peek(p)->kind == '(') return parse_call(p, t, out);
  if (dpi_parser_peek(p)->kind == '.')
    return dpi_parser_fail(p, t, DP_ERR_UNSUPPORTED, "'%s.': parts of submodels are not supported",
                           t->text);
  if (k >= 0)
    *out = CONST(constants[k].value);
  else if (p->frame != NULL)
    return frame_name(p, t, out);
  else
    return model_name(p, t, out);
  return memory_or(p, *out);
}

/* Antimony allows a unit after a number: 3 mL */
static dp_status parse_number(dpi_parser *p, dpi_node *out) {
  const dpi_tok *t = next(p);
  *out = CONST(t->num);
  const dpi_tok *u = dpi_parser_peek(p);
  if (u->kind == DPI_TOK_ID && p->is_unit != NULL && p->is_unit(p->user, u->text)) {
    next(p);
  } else if (u->kind == DPI_TOK_ID && strcmp(u->text, "after") != 0 &&
             strcmp(u->text, "end") != 0) {
    return dpi_parser_fail(p, u, DP_ERR_INPUT,
                           "found '%s' after the number %s, expected an operator%s", u->text,
                           t->text, p->antimony ? " or a unit" : "");
  }
  return memory_or(p, *out);
}

static dp_status parse_atom(dpi_parser *p, dpi_node *out) {
  const dpi_tok *t = dpi_parser_peek(p);
  if (t->kind == DPI_TOK_NUM) return parse_number(p, out);
  if (t->kind == DPI_TOK_ID) return parse_name(p, out);
  if (t->kind != '(') return expected(p, "a number, a name or '('");
  p->paren++;
  next(p);
  DP_TRY(dpi_parse_expr(p, out));
  if (!take(p, ')')) return expected(p, "')'");
  p->paren--;
  return DP_OK;
}

static dp_status parse_power(dpi_parser *p, dpi_node *out) {
  DP_TRY(parse_atom(p, out));
  if (!take_op(p, '^') && !take_op(p, DPI_TOK_POW2)) return DP_OK;
  dpi_node b;
  DP_TRY(parse_unary(p, &b));
  *out = dpi_g_op2(G, DPI_OP_POW, *out, b);
  return memory_or(p, *out);
}

static dp_status parse_unary(dpi_parser *p, dpi_node *out) {
  int kind = dpi_parser_peek(p)->kind;
  DP_TRY(enter(p));
  if (kind == '-' || kind == '+' || kind == '!') {
    next(p);
    DP_TRY(parse_unary(p, out));
    if (kind == '-') *out = dpi_g_op1(G, DPI_OP_NEG, *out);
    if (kind == '!') *out = dpi_g_op1(G, DPI_OP_NOT, *out);
    DP_TRY(memory_or(p, *out));
  } else {
    DP_TRY(parse_power(p, out));
  }
  p->depth--;
  return DP_OK;
}

static dp_status parse_product(dpi_parser *p, dpi_node *out) {
  DP_TRY(parse_unary(p, out));
  for (;;) {
    dpi_op op;
    if (take_op(p, '*'))
      op = DPI_OP_MUL;
    else if (take_op(p, '/'))
      op = DPI_OP_DIV;
    else if (take_op(p, '%'))
      op = DPI_OP_MOD;
    else
      return DP_OK;
    dpi_node b;
    DP_TRY(parse_unary(p, &b));
    *out = dpi_g_op2(G, op, *out, b);
    DP_TRY(memory_or(p, *out));
  }
}

static dp_status parse_sum(dpi_parser *p, dpi_node *out) {
  DP_TRY(parse_product(p, out));
  for (;;) {
    dpi_op op;
    if (take_op(p, '+'))
      op = DPI_OP_ADD;
    else if (take_op(p, '-'))
      op = DPI_OP_SUB;
    else
      return DP_OK;
    dpi_node b;
    DP_TRY(parse_product(p, &b));
    *out = dpi_g_op2(G, op, *out, b);
    DP_TRY(memory_or(p, *out));
  }
}

static bool take_relation(dpi_parser *p, dpi_op *op) {
  static const struct {
    int kind;
    dpi_op op;
  } rel[] = {{'<', DPI_OP_LT},        {'>', DPI_OP_GT},        {DPI_TOK_LE, DPI_OP_LE},
             {DPI_TOK_GE, DPI_OP_GE}, {DPI_TOK_EQ, DPI_OP_EQ}, {DPI_TOK_NE, DPI_OP_NE}};
  for (int i = 0; i < DPI_COUNT(rel); i++) {
    if (!take_op(p, rel[i].kind)) continue;
    *op = rel[i].op;
    return true;
  }
  if (dpi_parser_peek(p)->kind == '!' &&
      p->tok[p->pos + 1].kind == '=') { /* "a! = b", as some programs write it */
    next(p);
    *op = DPI_OP_NE;
    return take_op(p, '=');
  }
  return false;
}

static dp_status parse_relation(dpi_parser *p, dpi_node *out) {
  dpi_node left, right, all = DPI_NODE_NONE;
  dpi_op op;
  DP_TRY(parse_sum(p, &left));
  while (take_relation(p, &op)) {
    DP_TRY(parse_sum(p, &right));
    dpi_node r = dpi_g_op2(G, op, left, right);
    all = all == DPI_NODE_NONE ? r : dpi_g_op2(G, DPI_OP_AND, all, r);
    DP_TRY(memory_or(p, all));
    left = right;
  }
  *out = all == DPI_NODE_NONE ? left : all;
  return DP_OK;
}

dp_status dpi_parse_expr(dpi_parser *p, dpi_node *out) {
  DP_TRY(parse_relation(p, out));
  for (;;) {
    dpi_op op;
    if (take_op(p, DPI_TOK_AND))
      op = DPI_OP_AND;
    else if (take_op(p, DPI_TOK_OR))
      op = DPI_OP_OR;
    else
      return DP_OK;
    dpi_node b;
    DP_TRY(parse_relation(p, &b));
    *out = dpi_g_op2(G, op, *out, b);
    DP_TRY(memory_or(p, *out));
  }
}

dp_status dpi_formula_parse(dp_model *m, const char *text, const char *where, bool allow_new,
                            bool use_new, dpi_node *out) {
  dpi_arena arena;
  dpi_arena_init(&arena, m->ctx);
  dpi_tok *tok = NULL;
  int ntok = 0;
  dpi_lex_def def = {.arena = &arena, .text = text, .size = strlen(text), .where = where};
  dp_status status = dpi_lex(m->ctx, &def, &tok, &ntok);
  if (status == DP_OK) {
    dpi_parser p = {.m = m,
                    .tok = tok,
                    .where = where,
                    .allow_new = allow_new,
                    .use_new = use_new,
                    .budget = MAX_WORK};
    status = dpi_parse_expr(&p, out);
    if (status == DP_OK && dpi_parser_peek(&p)->kind != DPI_TOK_END)
      status = expected(&p, "an operator or the end");
  }
  dpi_arena_release(&arena);
  return status;
}
