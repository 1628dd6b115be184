/* infix.c - floor 3: infix formulas into mathematics as written.
 *
 *     expr  := rel (('&&' | '||') rel)*         both the same rank, from the left, as in Antimony and PEtab
 *     rel   := sum (('<' | '<=' | ...) sum)*    a < b < c means a < b && b < c
 *     sum   := prod (('+' | '-') prod)*
 *     prod  := unary (('*' | '/' | '%') unary)*
 *     unary := ('-' | '+' | '!') unary | power  so -a^b is -(a^b)
 *     power := atom ('^' unary)?                so a^b^c is a^(b^c)
 *     atom  := number unit? | name | name '(' expr, ... ')' | '(' expr ')'
 *
 * A chain of one operator is one node with many arguments: long sums are not deep. Every tree is at most
 * DPI_AST_DEPTH deep.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lang/infix.h"

#define MAX_DEPTH 256 /* nesting of parentheses, calls and signs */
#define MAX_ARGS 200
#define MAX_CHAIN 32 /* relations a < b < ... in one chain */

typedef struct part { /* a subtree while it is read */
  dpi_ast *ast;
  int depth;
  long size;
} part;

typedef struct list { /* operands of one n-ary node */
  dpi_ast **item;
  int n, cap, depth;
  long size;
} list;

/* ---- words and messages ---- */
const dpi_tok *dpi_infix_peek(dpi_infix *p) {
  while (p->paren > 0 && p->tok[p->pos].kind == DPI_TOK_NEWLINE) p->pos++;
  return &p->tok[p->pos];
}

const dpi_tok *dpi_infix_next(dpi_infix *p) {
  const dpi_tok *t = dpi_infix_peek(p);
  if (t->kind != DPI_TOK_END) p->pos++;
  p->budget--;
  return t;
}

bool dpi_infix_take(dpi_infix *p, int kind) {
  if (dpi_infix_peek(p)->kind != kind) return false;
  dpi_infix_next(p);
  return true;
}

#define peek dpi_infix_peek
#define next dpi_infix_next
#define take dpi_infix_take

/* an operator: the next operand may stand on the next line */
static bool take_op(dpi_infix *p, int kind) {
  if (!take(p, kind)) return false;
  while (p->tok[p->pos].kind == DPI_TOK_NEWLINE) p->pos++;
  return true;
}

dp_status dpi_infix_fail(const dpi_infix *p, const dpi_tok *t, dp_status status, const char *fmt, ...) {
  char text[400];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  if (p->antimony) return dpi_fail(p->net->ctx, status, "%s:%d: %s", p->where, t->line, text);
  return dpi_fail(p->net->ctx, status, "%s: column %d: %s", p->where, t->col, text);
}

dp_status dpi_infix_expected(dpi_infix *p, const char *what) {
  char buf[48];
  const dpi_tok *t = peek(p);
  return dpi_infix_fail(p, t, DP_ERR_INPUT, "found %s, expected %s", dpi_tok_say(t, buf), what);
}

static dp_status memory(dpi_infix *p) {
  return dpi_fail(p->net->ctx, DP_ERR_MEMORY, "%s: the expression can't be stored", p->where);
}

static dp_status too_deep(dpi_infix *p) {
  return dpi_infix_fail(p, peek(p), DP_ERR_UNSUPPORTED, "the formula is nested more than %d deep", MAX_DEPTH);
}

/* the new node around what was read so far */
static dp_status finish(dpi_infix *p, const dpi_tok *at, part *out, dpi_ast *ast, int depth, long size) {
  if (ast == NULL) return memory(p);
  ast->line = at->line;
  *out = (part){ast, depth + 1, size + 1};
  return depth + 1 >= DPI_AST_DEPTH ? too_deep(p) : DP_OK;
}

static dp_status list_add(dpi_infix *p, list *l, part x) {
  if (l->n == l->cap) {
    int cap = l->cap ? 2 * l->cap : 4;
    dpi_ast **item = DPI_ARENA_ARRAY(&p->net->arena, dpi_ast *, cap);
    if (item == NULL) return memory(p);
    if (l->n > 0) memcpy(item, l->item, (size_t)l->n * sizeof *item);
    l->item = item;
    l->cap = cap;
  }
  l->item[l->n++] = x.ast;
  l->depth = x.depth > l->depth ? x.depth : l->depth;
  l->size += x.size;
  return DP_OK;
}

static dp_status nary(dpi_infix *p, const dpi_tok *at, dpi_ast_op op, const list *l, part *out) {
  dpi_ast *a = dpi_ast_new(p->net, op, 0);
  if (a == NULL) return memory(p);
  a->arg = l->item;
  a->narg = l->n;
  return finish(p, at, out, a, l->depth, l->size);
}

static dp_status binary(dpi_infix *p, const dpi_tok *at, dpi_ast_op op, part a, part b, part *out) {
  return finish(p, at, out, dpi_ast_op2(p->net, op, a.ast, b.ast), a.depth > b.depth ? a.depth : b.depth,
                a.size + b.size);
}

/* ---- constants ---- */
static const struct {
  const char *name;
  dpi_ast_op op;
} constants[] = {
    {"pi", DPI_AST_PI},        {"exponentiale", DPI_AST_E}, {"avogadro", DPI_AST_AVOGADRO},
    {"inf", DPI_AST_INFINITY}, {"INF", DPI_AST_INFINITY},   {"infinity", DPI_AST_INFINITY},
    {"nan", DPI_AST_NAN},      {"NaN", DPI_AST_NAN},        {"notanumber", DPI_AST_NAN},
    {"true", DPI_AST_TRUE},    {"True", DPI_AST_TRUE},      {"false", DPI_AST_FALSE},
    {"False", DPI_AST_FALSE},  {"time", DPI_AST_TIME},
};

static int find_constant(const char *name) {
  for (int i = 0; i < DPI_COUNT(constants); i++)
    if (strcmp(name, constants[i].name) == 0) return i;
  return -1;
}

bool dpi_infix_reserved(const char *word) {
  return find_constant(word) >= 0 && strcmp(word, "INF") != 0 && strcmp(word, "NaN") != 0;
}

/* ---- functions ---- */
typedef enum shape {
  PLAIN, /* the operation with the arguments as they stand */
  NAMED, /* only our own tables know it */
  LOGARITHM,
  FIXED_LOG, /* op is the base */
  ROOT,
  SQUARE,
  RATE,
  DRAWN, /* op is the variate */
} shape;

typedef struct builtin {
  const char *name;
  int min, max;
  shape shape;
  int op;
} builtin;

// clang-format off
#define ROW1(name, op) {name, 1, 1, PLAIN, DPI_AST_##op},
#define OWN(name, n) {name, n, n, NAMED, DPI_AST_BUILTIN},
#define DRAW(name, min, max, v) {name, min, max, DRAWN, DPI_VARIATE_##v},
static const builtin builtins[] = {
    ROW1("exp", EXP) ROW1("ln", LN) ROW1("abs", ABS) ROW1("floor", FLOOR) ROW1("ceil", CEIL) ROW1("ceiling", CEIL)
    ROW1("sin", SIN) ROW1("cos", COS) ROW1("tan", TAN) ROW1("asin", ARCSIN) ROW1("arcsin", ARCSIN)
    ROW1("acos", ARCCOS) ROW1("arccos", ARCCOS) ROW1("atan", ARCTAN) ROW1("arctan", ARCTAN) ROW1("sinh", SINH)
    ROW1("cosh", COSH) ROW1("tanh", TANH) ROW1("asinh", ARCSINH) ROW1("arcsinh", ARCSINH) ROW1("acosh", ARCCOSH)
    ROW1("arccosh", ARCCOSH) ROW1("atanh", ARCTANH) ROW1("arctanh", ARCTANH) ROW1("not", NOT) ROW1("sec", SEC)
    ROW1("csc", CSC) ROW1("cot", COT) ROW1("sech", SECH) ROW1("csch", CSCH) ROW1("coth", COTH) ROW1("asec", ARCSEC)
    ROW1("arcsec", ARCSEC) ROW1("acsc", ARCCSC) ROW1("arccsc", ARCCSC) ROW1("acot", ARCCOT) ROW1("arccot", ARCCOT)
    ROW1("asech", ARCSECH) ROW1("arcsech", ARCSECH) ROW1("acsch", ARCCSCH) ROW1("arccsch", ARCCSCH)
    ROW1("acoth", ARCCOTH) ROW1("arccoth", ARCCOTH) ROW1("factorial", FACTORIAL)
    OWN("expm1", 1) OWN("log1p", 1) OWN("erf", 1) OWN("lgamma", 1) OWN("digamma", 1) OWN("sign", 1) OWN("atan2", 2)
    {"log", 1, 2, LOGARITHM, 0}, {"log10", 1, 1, FIXED_LOG, 10}, {"log2", 1, 1, FIXED_LOG, 2},
    {"root", 1, 2, ROOT, 0}, {"sqrt", 1, 1, ROOT, 0}, {"sqr", 1, 1, SQUARE, 0},
    {"pow", 2, 2, PLAIN, DPI_AST_POWER}, {"power", 2, 2, PLAIN, DPI_AST_POWER}, {"mod", 2, 2, PLAIN, DPI_AST_REM},
    {"rem", 2, 2, PLAIN, DPI_AST_REM}, {"quotient", 2, 2, PLAIN, DPI_AST_QUOTIENT},
    {"divide", 2, 2, PLAIN, DPI_AST_DIVIDE}, {"minus", 1, 2, PLAIN, DPI_AST_MINUS},
    {"min", 1, MAX_ARGS, PLAIN, DPI_AST_MIN}, {"max", 1, MAX_ARGS, PLAIN, DPI_AST_MAX},
    {"plus", 0, MAX_ARGS, PLAIN, DPI_AST_PLUS}, {"times", 0, MAX_ARGS, PLAIN, DPI_AST_TIMES},
    {"and", 0, MAX_ARGS, PLAIN, DPI_AST_AND}, {"or", 0, MAX_ARGS, PLAIN, DPI_AST_OR},
    {"xor", 0, MAX_ARGS, PLAIN, DPI_AST_XOR}, {"implies", 2, 2, PLAIN, DPI_AST_IMPLIES},
    {"gt", 2, MAX_ARGS, PLAIN, DPI_AST_GT}, {"geq", 2, MAX_ARGS, PLAIN, DPI_AST_GE},
    {"lt", 2, MAX_ARGS, PLAIN, DPI_AST_LT}, {"leq", 2, MAX_ARGS, PLAIN, DPI_AST_LE},
    {"eq", 2, MAX_ARGS, PLAIN, DPI_AST_EQ}, {"neq", 2, 2, PLAIN, DPI_AST_NE},
    {"piecewise", 1, MAX_ARGS, PLAIN, DPI_AST_PIECEWISE}, {"delay", 2, 2, PLAIN, DPI_AST_DELAY},
    {"rateOf", 1, 1, RATE, DPI_AST_RATEOF},
    DRAW("normal", 2, 4, NORMAL) DRAW("truncatedNormal", 4, 4, NORMAL) DRAW("uniform", 2, 2, UNIFORM)
    DRAW("exponential", 1, 3, EXPONENTIAL) DRAW("gamma", 2, 4, GAMMA) DRAW("poisson", 1, 3, POISSON)
    DRAW("lognormal", 2, 4, LOGNORMAL) DRAW("chisquare", 1, 3, CHISQUARE) DRAW("laplace", 1, 4, LAPLACE)
    DRAW("cauchy", 1, 4, CAUCHY) DRAW("rayleigh", 1, 3, RAYLEIGH) DRAW("binomial", 2, 4, BINOMIAL)
    DRAW("bernoulli", 1, 1, BERNOULLI)
};
// clang-format on

static const builtin *find_builtin(const char *name) {
  for (int i = 0; i < DPI_COUNT(builtins); i++)
    if (strcmp(name, builtins[i].name) == 0) return &builtins[i];
  return NULL;
}

bool dpi_infix_builtin(const char *word) { return find_builtin(word) != NULL; }

/* ---- grammar ---- */
static dp_status parse_expr(dpi_infix *p, part *out);
static dp_status parse_unary(dpi_infix *p, part *out);

static dp_status too_large(dpi_infix *p) {
  return dpi_infix_fail(p, peek(p), DP_ERR_UNSUPPORTED, "the formula is too large when it is written out");
}

static dp_status enter(dpi_infix *p) {
  if (++p->depth > MAX_DEPTH) return too_deep(p);
  return p->budget < 0 ? too_large(p) : DP_OK;
}

static dp_status unknown_function(dpi_infix *p, const dpi_tok *t) {
  const char *words[DPI_COUNT(builtins) + 64];
  int n = 0;
  for (int i = 0; i < DPI_COUNT(builtins); i++) words[n++] = builtins[i].name;
  if (p->functions != NULL) n += p->functions(p->user, words + n, 64);
  const char *near = dpi_nearest_word(t->text, words, n);
  if (near == NULL) return dpi_infix_fail(p, t, DP_ERR_INPUT, "unknown function '%s'", t->text);
  return dpi_infix_fail(p, t, DP_ERR_INPUT, "unknown function '%s'; did you mean '%s'?", t->text, near);
}

static dp_status parse_args(dpi_infix *p, list *l) {
  p->paren++;
  next(p); /* the opening parenthesis */
  while (!take(p, ')')) {
    part x;
    if (l->n > 0 && !take(p, ',')) return dpi_infix_expected(p, "',' or ')'");
    if (l->n >= MAX_ARGS)
      return dpi_infix_fail(p, peek(p), DP_ERR_UNSUPPORTED, "a function with more than %d arguments", MAX_ARGS);
    DP_TRY(parse_expr(p, &x));
    DP_TRY(list_add(p, l, x));
  }
  p->paren--;
  return DP_OK;
}

static dp_status put_first(dpi_infix *p, list *l, double value) {
  dpi_ast *number = dpi_ast_number(p->net, value);
  if (number == NULL) return memory(p);
  DP_TRY(list_add(p, l, (part){number, 1, 1}));
  for (int i = l->n - 1; i > 0; i--) l->item[i] = l->item[i - 1];
  l->item[0] = number;
  return DP_OK;
}

static dp_status check_draw(dpi_infix *p, const dpi_tok *t, const builtin *f, int n) {
  int plain = dpi_variate_narg((dpi_variate)f->op);
  if (n == plain || n == plain + 2 || (n < plain && f->min == n)) return DP_OK;
  return dpi_infix_fail(p, t, DP_ERR_INPUT, "'%s' has %d arguments, expected %d, or %d with bounds", f->name, n, plain,
                        plain + 2);
}

static void swap(list *l) {
  dpi_ast *first = l->item[0];
  l->item[0] = l->item[1];
  l->item[1] = first;
}

static dp_status build(dpi_infix *p, const dpi_tok *t, const builtin *f, list *l, part *out) {
  dpi_ast_op op = (dpi_ast_op)f->op;
  switch (f->shape) {
    case LOGARITHM:
      op = l->n == 1 ? DPI_AST_LN : DPI_AST_LOG;
      if (l->n == 2 && !p->antimony) swap(l);
      break;
    case FIXED_LOG:
      DP_TRY(put_first(p, l, f->op));
      op = DPI_AST_LOG;
      break;
    case ROOT:
      if (l->n == 1) DP_TRY(put_first(p, l, 2.0));
      op = DPI_AST_ROOT;
      break;
    case SQUARE:
      DP_TRY(put_first(p, l, 2.0));
      swap(l);
      op = DPI_AST_POWER;
      break;
    case RATE:
      if (l->item[0]->op != DPI_AST_NAME) return dpi_infix_fail(p, t, DP_ERR_INPUT, "rateOf() takes a name");
      break;
    case DRAWN:
      DP_TRY(check_draw(p, t, f, l->n));
      op = DPI_AST_DRAW;
      break;
    default:
      break;
  }
  DP_TRY(nary(p, t, op, l, out));
  if (f->shape == NAMED) out->ast->name = f->name;
  if (f->shape == DRAWN) out->ast->draw = f->op;
  return DP_OK;
}

static dp_status call_defined(dpi_infix *p, const dpi_tok *t, int narg, list *l, part *out) {
  if (l->n != narg)
    return dpi_infix_fail(p, t, DP_ERR_INPUT, "function '%s' has %d arguments, expected %d", t->text, l->n, narg);
  DP_TRY(nary(p, t, DPI_AST_CALL, l, out));
  out->ast->name = dpi_net_text(p->net, t->text);
  return out->ast->name == NULL ? memory(p) : DP_OK;
}

static dp_status parse_call(dpi_infix *p, const dpi_tok *t, part *out) {
  list l = {0};
  DP_TRY(parse_args(p, &l));
  int narg = p->function == NULL ? -1 : p->function(p->user, t->text);
  if (narg >= 0) return call_defined(p, t, narg, &l, out);
  const builtin *f = find_builtin(t->text);
  if (f == NULL) return unknown_function(p, t);
  if (l.n < f->min || l.n > f->max)
    return dpi_infix_fail(p, t, DP_ERR_INPUT, "'%s' has %d arguments, expected %d%s", f->name, l.n,
                          l.n < f->min ? f->min : f->max,
                          f->min == f->max ? ""
                          : l.n < f->min   ? " or more"
                                           : " or less");
  return build(p, t, f, &l, out);
}

static dp_status parse_name(dpi_infix *p, part *out) {
  const dpi_tok *t = next(p);
  bool quoted = t->kind == DPI_TOK_QUOTED;
  int k = quoted ? -1 : find_constant(t->text);
  dpi_ast *a = NULL;
  if (!quoted && peek(p)->kind == '(') return parse_call(p, t, out);
  if (k >= 0)
    a = dpi_ast_new(p->net, constants[k].op, 0);
  else if (p->name != NULL)
    DP_TRY(p->name(p, t, &a));
  else
    a = dpi_ast_name(p->net, t->text);
  return finish(p, t, out, a, 0, 0);
}

/* Antimony allows a unit after a number: 3 mL */
static dp_status parse_number(dpi_infix *p, part *out) {
  const dpi_tok *t = next(p);
  DP_TRY(finish(p, t, out, dpi_ast_number(p->net, t->num), 0, 0));
  const dpi_tok *u = peek(p);
  if (u->kind != DPI_TOK_ID || strcmp(u->text, "after") == 0 || strcmp(u->text, "end") == 0 ||
      strcmp(u->text, "in") == 0)
    return DP_OK;
  const char *unit = p->unit == NULL ? NULL : p->unit(p->user, u->text);
  if (unit == NULL)
    return dpi_infix_fail(p, u, DP_ERR_INPUT, "found '%s' after the number %s, expected an operator%s", u->text,
                          t->text, p->antimony ? " or a unit" : "");
  next(p);
  out->ast->unit = dpi_net_text(p->net, unit);
  return out->ast->unit == NULL ? memory(p) : DP_OK;
}

static dp_status parse_ellipsis(dpi_infix *p, part *out) {
  const dpi_tok *t = next(p);
  if (!take(p, '.') || !take(p, '.')) return dpi_infix_expected(p, "'...'");
  return finish(p, t, out, dpi_ast_name(p->net, "..."), 0, 0);
}

static dp_status parse_atom(dpi_infix *p, part *out) {
  const dpi_tok *t = peek(p);
  if (t->kind == DPI_TOK_NUM) return parse_number(p, out);
  if (t->kind == DPI_TOK_ID || t->kind == DPI_TOK_QUOTED) return parse_name(p, out);
  if (t->kind == '.' && p->ellipsis) return parse_ellipsis(p, out);
  if (t->kind != '(') return dpi_infix_expected(p, "a number, a name or '('");
  p->paren++;
  next(p);
  DP_TRY(parse_expr(p, out));
  if (!take(p, ')')) return dpi_infix_expected(p, "')'");
  p->paren--;
  return DP_OK;
}

static dp_status parse_power(dpi_infix *p, part *out) {
  part b;
  DP_TRY(parse_atom(p, out));
  const dpi_tok *at = peek(p);
  if (!take_op(p, '^') && !take_op(p, DPI_TOK_POW2)) return DP_OK;
  DP_TRY(parse_unary(p, &b));
  return binary(p, at, DPI_AST_POWER, *out, b, out);
}

static dp_status parse_unary(dpi_infix *p, part *out) {
  const dpi_tok *t = peek(p);
  DP_TRY(enter(p));
  if (t->kind == '-' || t->kind == '+' || t->kind == '!') {
    next(p);
    DP_TRY(parse_unary(p, out));
    dpi_ast_op op = t->kind == '-' ? DPI_AST_MINUS : DPI_AST_NOT;
    if (t->kind != '+') DP_TRY(finish(p, t, out, dpi_ast_op1(p->net, op, out->ast), out->depth, out->size));
  } else {
    DP_TRY(parse_power(p, out));
  }
  p->depth--;
  return DP_OK;
}

/* a op b op c ...: a run of the n-ary operator is one node, the others are binary */
typedef struct rung {
  int kind;
  dpi_ast_op op;
  bool nary;
} rung;

static const rung *take_rung(dpi_infix *p, const rung *r, int n) {
  for (int i = 0; i < n; i++)
    if (take_op(p, r[i].kind)) return &r[i];
  return NULL;
}

static dp_status parse_run(dpi_infix *p, const rung *rungs, int n, dp_status (*operand)(dpi_infix *, part *),
                           part *out) {
  part b;
  list run = {0};
  const rung *of = NULL; /* what the run is of */
  DP_TRY(operand(p, out));
  for (;;) {
    const dpi_tok *at = peek(p);
    const rung *r = take_rung(p, rungs, n);
    if (run.n > 0 && r != of) { /* the run ends */
      DP_TRY(nary(p, at, of->op, &run, out));
      run = (list){0};
    }
    if (r == NULL) return DP_OK;
    of = r;
    DP_TRY(operand(p, &b));
    if (!r->nary) {
      DP_TRY(binary(p, at, r->op, *out, b, out));
      continue;
    }
    if (run.n == 0) DP_TRY(list_add(p, &run, *out));
    DP_TRY(list_add(p, &run, b));
  }
}

static dp_status parse_product(dpi_infix *p, part *out) {
  static const rung rungs[] = {{'*', DPI_AST_TIMES, true}, {'/', DPI_AST_DIVIDE, false}, {'%', DPI_AST_REM, false}};
  return parse_run(p, rungs, DPI_COUNT(rungs), parse_unary, out);
}

static dp_status parse_sum(dpi_infix *p, part *out) {
  static const rung rungs[] = {{'+', DPI_AST_PLUS, true}, {'-', DPI_AST_MINUS, false}};
  return parse_run(p, rungs, DPI_COUNT(rungs), parse_product, out);
}

/* ---- relations ---- */
static bool take_relation(dpi_infix *p, dpi_ast_op *op) {
  static const rung rel[] = {{'<', DPI_AST_LT, true},        {'>', DPI_AST_GT, true},
                             {DPI_TOK_LE, DPI_AST_LE, true}, {DPI_TOK_GE, DPI_AST_GE, true},
                             {DPI_TOK_EQ, DPI_AST_EQ, true}, {DPI_TOK_NE, DPI_AST_NE, false}};
  const rung *r = take_rung(p, rel, DPI_COUNT(rel));
  if (r != NULL) *op = r->op;
  if (r != NULL) return true;
  if (peek(p)->kind == '!' && p->tok[p->pos + 1].kind == '=') { /* "a! = b", as some programs write it */
    next(p);
    *op = DPI_AST_NE;
    return take_op(p, '=');
  }
  return false;
}

/* a < b <= c: every pair of neighbours, joined by && */
static dp_status pairs(dpi_infix *p, const dpi_tok *at, const list *sum, const part *operand, const dpi_ast_op *op,
                       part *out) {
  list all = {0};
  for (int i = 0; i + 1 < sum->n; i++) {
    part left = operand[i], pair = {0};
    if (i > 0) { /* an expression stands in one place only */
      p->budget -= left.size;
      if (p->budget < 0) return too_large(p);
      left.ast = dpi_ast_copy(p->net, left.ast);
    }
    DP_TRY(binary(p, at, op[i], left, operand[i + 1], &pair));
    DP_TRY(list_add(p, &all, pair));
  }
  return nary(p, at, DPI_AST_AND, &all, out);
}

static dp_status parse_relation(dpi_infix *p, part *out) {
  part operand[MAX_CHAIN];
  dpi_ast_op op[MAX_CHAIN];
  list sum = {0};
  bool same = true;
  DP_TRY(parse_sum(p, &operand[0]));
  *out = operand[0];
  const dpi_tok *at = peek(p);
  if (!take_relation(p, &op[0])) return DP_OK;
  DP_TRY(list_add(p, &sum, operand[0]));
  do {
    if (sum.n >= MAX_CHAIN - 1)
      return dpi_infix_fail(p, at, DP_ERR_UNSUPPORTED, "a chain of more than %d relations", MAX_CHAIN - 2);
    DP_TRY(parse_sum(p, &operand[sum.n]));
    DP_TRY(list_add(p, &sum, operand[sum.n]));
    same &= op[sum.n - 2] == op[0];
  } while (take_relation(p, &op[sum.n - 1]));
  if (sum.n == 2 || (same && op[0] != DPI_AST_NE)) return nary(p, at, op[0], &sum, out);
  return pairs(p, at, &sum, operand, op, out);
}

static dp_status parse_expr(dpi_infix *p, part *out) {
  static const rung rungs[] = {{DPI_TOK_AND, DPI_AST_AND, true}, {DPI_TOK_OR, DPI_AST_OR, true}};
  return parse_run(p, rungs, DPI_COUNT(rungs), parse_relation, out);
}

dp_status dpi_infix_expr(dpi_infix *p, dpi_ast **out) {
  part x;
  DP_TRY(parse_expr(p, &x));
  *out = x.ast;
  return DP_OK;
}
