/* lower_math.c - floor 3: mathematics as written -> nodes of a model's graph.
 *
 *  1. functions of the text are written out at each call, their arguments as nodes;
 *  2. one delayed symbol for each (expression, lag), one rate symbol for each target, a new draw at each place;
 *  3. recursion is bounded by MAX_DEPTH, work by the scope's budget.
 *
 * Nodes have the shape that formula.c has always given them: same bytes for the same formula.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lang/network/lower_impl.h"

#define MAX_DEPTH 2000

static dp_status lower(dpi_scope *s, const dpi_ast *a, dpi_node *out);

#define G (s->m->graph)
#define CONST(v) dpi_g_const(G, (v))

void dpi_scope_init(dpi_scope *s, dp_model *m, const char *where) {
  *s = (dpi_scope){.m = m, .net = m->net, .where = where, .what = "", .budget = DPI_LOWER_BUDGET};
  dpi_str_init(&s->text, m->ctx);
}

void dpi_scope_release(dpi_scope *s) {
  dpi_free(s->m->ctx, s->stack);
  dpi_str_release(&s->text);
  s->stack = NULL;
}

dp_status dpi_scope_fail(const dpi_scope *s, const dpi_ast *a, dp_status status, const char *fmt,
                         ...) {
  char text[400];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  (void)a;
  return dpi_fail(s->m->ctx, status, "%s: %s%s%s", s->where, text, s->what[0] ? " in " : "",
                  s->what);
}

static dp_status push(dpi_scope *s, dpi_node n) {
  DP_TRY(dpi_grow(s->m->ctx, (void **)&s->stack, &s->cap_stack, s->nstack + 1, sizeof *s->stack));
  s->stack[s->nstack++] = n;
  return DP_OK;
}

/* ---- names ---- */
static bool bound(const dpi_scope *s, const char *name, dpi_node *out) {
  const dpi_net_function *f = s->frame->function;
  for (int i = 0; i < f->narg; i++) {
    if (strcmp(f->arg[i], name) != 0) continue;
    *out = s->stack[s->frame->base + i];
    return true;
  }
  return false;
}

/* symbol of the local parameter `name` of the reaction, or -1 */
static dp_status local_symbol(dpi_scope *s, const char *name, int *sym) {
  *sym = -1;
  if (s->reaction == NULL || s->reaction->nlocal == 0) return DP_OK;
  s->text.len = 0;
  dpi_str_addf(&s->text, "%s.%s", s->reaction->id, name);
  if (s->text.failed) return DP_ERR_MEMORY;
  *sym = dpi_model_find(s->m, dpi_str_text(&s->text));
  return DP_OK;
}

static dp_status find_symbol(dpi_scope *s, const dpi_ast *a, int *sym) {
  char near[160];
  DP_TRY(local_symbol(s, a->name, sym));
  if (*sym < 0) *sym = dpi_model_find(s->m, a->name);
  if (*sym >= 0) return DP_OK;
  switch (s->names) {
    case DPI_NAMES_NEW:
      return dpi_model_symbol(s->m, a->name, a->line, sym);
    case DPI_NAMES_USE:
      return dpi_model_use(s->m, a->name, s->where, sym);
    default:
      return dpi_scope_fail(s, a, DP_ERR_INPUT, "unknown name '%s'%s", a->name,
                            dpi_model_suggest(s->m, a->name, -1, near));
  }
}

static dp_status lower_name(dpi_scope *s, const dpi_ast *a, dpi_node *out) {
  int sym;
  if (s->frame != NULL) {
    if (bound(s, a->name, out)) return DP_OK;
    return dpi_scope_fail(s, a, DP_ERR_INPUT,
                          "function '%s' uses '%s', which is not one of its arguments",
                          s->frame->function->id, a->name);
  }
  DP_TRY(find_symbol(s, a, &sym));
  *out = s->m->sealed ? dpi_model_value(s->m, sym) : dpi_g_sym(G, sym);
  return DP_OK;
}

/* ---- symbols of our own ---- */
static dp_status refuse_sealed(dpi_scope *s, const dpi_ast *a, const char *name) {
  return dpi_scope_fail(s, a, DP_ERR_UNSUPPORTED,
                        "'%s' in a formula that is added to a finished model", name);
}

static dp_status lower_rate_of(dpi_scope *s, const dpi_ast *a, dpi_node *out) {
  const dpi_ast *of = a->arg[0];
  int target = -1, sym;
  if (of->op == DPI_AST_TIME) {
    *out = CONST(1.0);
    return DP_OK;
  }
  if (of->op != DPI_AST_NAME)
    return dpi_scope_fail(s, a, DP_ERR_INPUT, "rateOf of something that is not a name");
  if (s->m->sealed) return refuse_sealed(s, a, "rateOf");
  DP_TRY(lower_name(s, of, out));
  dpi_gnode n = dpi_graph_at(G, *out);
  if (n.op == DPI_OP_SYM) target = n.arg[0];
  if (n.op != DPI_OP_SYM && n.op != DPI_OP_CONST)
    return dpi_scope_fail(s, a, DP_ERR_INPUT, "rateOf of '%s', which stands for an expression",
                          of->name);
  *out = CONST(target == 0 ? 1.0 : 0.0);
  if (target <= 0) return DP_OK;
  s->text.len = 0;
  dpi_str_addf(&s->text, "rateOf(%s)", s->m->sym[target].id);
  if (s->text.failed) return DP_ERR_MEMORY;
  DP_TRY(dpi_model_declare(s->m, dpi_str_text(&s->text), a->line, &sym));
  s->m->sym[sym].kind = DPI_SYM_RATEOF;
  s->m->sym[sym].target = target;
  *out = dpi_g_sym(G, sym);
  return DP_OK;
}

/* the id says what is delayed as far as that is short; a number tells long ones apart */
static dp_status delayed_symbol(dpi_scope *s, dpi_node x, dpi_node lag, int *sym) {
  s->text.len = 0;
  dpi_str_add(&s->text, "delay(");
  dpi_gnode of = dpi_graph_at(G, x), by = dpi_graph_at(G, lag);
  /* not the model's time: an element may have its name */
  bool simple = of.op == DPI_OP_SYM && of.arg[0] != 0 &&
                (by.op == DPI_OP_CONST || (by.op == DPI_OP_SYM && by.arg[0] != 0));
  if (simple) {
    dpi_model_print(s->m, x, &s->text);
    dpi_str_add(&s->text, ", ");
    dpi_model_print(s->m, lag, &s->text);
  } else {
    dpi_str_addf(&s->text, "#%d, #%d", x, lag);
  }
  dpi_str_add(&s->text, ")");
  if (s->text.failed) return DP_ERR_MEMORY;
  return dpi_model_declare(s->m, dpi_str_text(&s->text), 0, sym);
}

static dp_status lower_delay(dpi_scope *s, const dpi_ast *a, dpi_node *out) {
  dpi_node x, lag;
  double value;
  int sym;
  DP_TRY(lower(s, a->arg[0], &x));
  DP_TRY(lower(s, a->arg[1], &lag));
  *out = x;
  if (dpi_g_is_const(G, x, &value)) return DP_OK;
  if (dpi_g_is_const(G, lag, &value)) {
    if (value == 0.0) return DP_OK;
    if (!(value > 0.0))
      return dpi_scope_fail(s, a, DP_ERR_INPUT, "a delay by %g, expected one that is not negative",
                            value);
  }
  if (s->m->sealed) return refuse_sealed(s, a, "delay");
  DP_TRY(delayed_symbol(s, x, lag, &sym));
  s->m->sym[sym].kind = DPI_SYM_DELAYED;
  s->m->sym[sym].formula = x;
  s->m->sym[sym].delay = lag;
  if (s->m->sym[sym].line == 0) s->m->sym[sym].line = a->line;
  *out = dpi_g_sym(G, sym);
  return DP_OK;
}

static dp_status draw_args(dpi_scope *s, const dpi_ast *a, dpi_draw *d) {
  int want = dpi_variate_narg(d->variate), skip = 0;
  bool located = d->variate == DPI_VARIATE_CAUCHY || d->variate == DPI_VARIATE_LAPLACE;
  if (located && a->narg == 1) { /* only the scale is given */
    d->arg[0] = CONST(0.0);
    skip = 1;
  }
  if (a->narg + skip != want && a->narg != want + 2)
    return dpi_scope_fail(s, a, DP_ERR_INPUT,
                          "'%s' has %d arguments, expected %d, or %d with bounds",
                          dpi_variate_name((dpi_variate)d->variate), a->narg, want, want + 2);
  d->narg = a->narg + skip;
  for (int i = 0; i < a->narg; i++) DP_TRY(lower(s, a->arg[i], &d->arg[i + skip]));
  return DP_OK;
}

static dp_status lower_draw(dpi_scope *s, const dpi_ast *a, dpi_node *out) {
  dpi_draw d = {.variate = a->draw, .phase = s->phase, .event = s->event, .line = a->line};
  for (int i = 0; i < DPI_COUNT(d.arg); i++) d.arg[i] = DPI_NODE_NONE;
  if (a->draw < 0 || a->draw >= DPI_VARIATE_COUNT)
    return dpi_scope_fail(s, a, DP_ERR_INPUT, "an unknown random draw");
  const char *name = dpi_variate_name((dpi_variate)a->draw);
  if (!s->draws)
    return dpi_scope_fail(s, a, DP_ERR_UNSUPPORTED,
                          "the random draw '%s' (only initial assignments and events may draw)",
                          name);
  if (s->m->sealed) return refuse_sealed(s, a, name);
  DP_TRY(draw_args(s, a, &d));
  s->text.len = 0;
  dpi_str_addf(&s->text, "%s#%d", name, s->m->ndraw + 1);
  if (s->text.failed) return DP_ERR_MEMORY;
  DP_TRY(dpi_model_declare(s->m, dpi_str_text(&s->text), a->line, &d.sym));
  DP_TRY(dpi_model_add_draw(s->m, &d));
  *out = dpi_g_sym(G, d.sym);
  return DP_OK;
}

/* ---- functions of the text ---- */
static dp_status unknown_function(dpi_scope *s, const dpi_ast *a) {
  const char *near = NULL;
  int n = s->net ? s->net->nfunction : 0;
  const char **words = DPI_NEW_ARRAY(s->m->ctx, const char *, n > 0 ? n : 1);
  if (words == NULL) return DP_ERR_MEMORY;
  for (int i = 0; i < n; i++) words[i] = s->net->function[i].id;
  near = dpi_nearest_word(a->name, words, n);
  dp_status status =
      near ? dpi_scope_fail(s, a, DP_ERR_INPUT, "unknown function '%s'; did you mean '%s'?",
                            a->name, near)
           : dpi_scope_fail(s, a, DP_ERR_INPUT, "unknown function '%s'", a->name);
  dpi_free(s->m->ctx, (void *)words);
  return status;
}

static dp_status check_call(dpi_scope *s, const dpi_ast *a, const dpi_net_function *f) {
  if (f->body == NULL)
    return dpi_scope_fail(s, a, DP_ERR_INPUT, "function '%s' has no mathematics", f->id);
  if (f->narg != a->narg)
    return dpi_scope_fail(s, a, DP_ERR_INPUT, "function '%s' has %d arguments, expected %d", f->id,
                          a->narg, f->narg);
  for (const dpi_lower_frame *at = s->frame; at != NULL; at = at->up)
    if (at->function == f)
      return dpi_scope_fail(s, a, DP_ERR_INPUT, "function '%s' calls itself", f->id);
  return DP_OK;
}

static dp_status lower_call(dpi_scope *s, const dpi_ast *a, dpi_node *out) {
  int index = -1;
  if (s->net == NULL || dpi_net_find(s->net, a->name, &index) != DPI_NET_FUNCTION)
    return unknown_function(s, a);
  const dpi_net_function *f = &s->net->function[index];
  DP_TRY(check_call(s, a, f));
  int base = s->nstack;
  for (int i = 0; i < a->narg; i++) {
    dpi_node n;
    DP_TRY(lower(s, a->arg[i], &n));
    DP_TRY(push(s, n));
  }
  dpi_lower_frame frame = {.function = f, .base = base, .up = s->frame};
  s->frame = &frame;
  dp_status status = lower(s, f->body, out);
  s->frame = frame.up;
  s->nstack = base;
  return status;
}

/* ---- operations ---- */
typedef struct row row;
typedef dpi_node (*build_fn)(dpi_scope *s, const row *r, const dpi_node *a, int n);
struct row {
  build_fn build;
  int op; /* what the builder makes */
};

static dpi_node op1(dpi_scope *s, const row *r, const dpi_node *a, int n) {
  (void)n;
  return dpi_g_op1(G, (dpi_op)r->op, a[0]);
}

static dpi_node op2(dpi_scope *s, const row *r, const dpi_node *a, int n) {
  (void)n;
  return dpi_g_op2(G, (dpi_op)r->op, a[0], a[1]);
}

/* from the left; of nothing: the neutral element */
static dpi_node fold(dpi_scope *s, const row *r, const dpi_node *a, int n) {
  if (n == 0) return CONST(r->op == DPI_OP_MUL || r->op == DPI_OP_AND ? 1.0 : 0.0);
  dpi_node out = a[0];
  for (int i = 1; i < n; i++) out = dpi_g_op2(G, (dpi_op)r->op, out, a[i]);
  if (n == 1 && (r->op == DPI_OP_AND || r->op == DPI_OP_OR))
    out = dpi_g_op2(G, DPI_OP_NE, a[0], CONST(0.0));
  return out;
}

static dpi_node minus(dpi_scope *s, const row *r, const dpi_node *a, int n) {
  (void)r;
  return n == 1 ? dpi_g_op1(G, DPI_OP_NEG, a[0]) : dpi_g_op2(G, DPI_OP_SUB, a[0], a[1]);
}

/* a > b > c is a > b && b > c */
static dpi_node chain(dpi_scope *s, const row *r, const dpi_node *a, int n) {
  if (n < 2) return CONST(1.0);
  dpi_node out = dpi_g_op2(G, (dpi_op)r->op, a[0], a[1]);
  for (int i = 2; i < n; i++)
    out = dpi_g_op2(G, DPI_OP_AND, out, dpi_g_op2(G, (dpi_op)r->op, a[i - 1], a[i]));
  return out;
}

/* true when an odd number of arguments is true */
static dpi_node parity(dpi_scope *s, const row *r, const dpi_node *a, int n) {
  (void)r;
  dpi_node out = CONST(0.0);
  for (int i = 0; i < n; i++)
    out = dpi_g_op2(G, DPI_OP_NE, out, dpi_g_op2(G, DPI_OP_NE, a[i], CONST(0.0)));
  return out;
}

static dpi_node implies(dpi_scope *s, const row *r, const dpi_node *a, int n) {
  (void)r, (void)n;
  return dpi_g_op2(G, DPI_OP_OR, dpi_g_op1(G, DPI_OP_NOT, a[0]), a[1]);
}

static dpi_node piecewise(dpi_scope *s, const row *r, const dpi_node *a, int n) {
  (void)r;
  dpi_node out = n % 2 ? a[n - 1] : CONST(NAN);
  for (int i = n - n % 2 - 2; i >= 0; i -= 2) out = dpi_g_if(G, a[i + 1], a[i], out);
  return out;
}

static dpi_node logarithm(dpi_scope *s, const row *r, const dpi_node *a, int n) {
  (void)r, (void)n;
  double base;
  if (dpi_g_is_const(G, a[0], &base) && base == 10.0) return dpi_g_op1(G, DPI_OP_LOG10, a[1]);
  return dpi_g_op2(G, DPI_OP_DIV, dpi_g_op1(G, DPI_OP_LOG, a[1]), dpi_g_op1(G, DPI_OP_LOG, a[0]));
}

/* log2(x) = ln(x) / ln(2) */
static dpi_node log2_of(dpi_scope *s, const row *r, const dpi_node *a, int n) {
  (void)r, (void)n;
  return dpi_g_op2(G, DPI_OP_DIV, dpi_g_op1(G, DPI_OP_LOG, a[0]), CONST(0.69314718055994530942));
}

static dpi_node square(dpi_scope *s, const row *r, const dpi_node *a, int n) {
  (void)r, (void)n;
  return dpi_g_powi(G, a[0], 2);
}

/* x^(1/n); for odd n that of a negative number is negative */
static dpi_node root_of(dpi_scope *s, const row *r, const dpi_node *a, int n) {
  (void)r, (void)n;
  double degree;
  if (dpi_g_is_const(G, a[0], &degree) && degree == 2.0) return dpi_g_op1(G, DPI_OP_SQRT, a[1]);
  dpi_node power = dpi_g_op2(G, DPI_OP_DIV, CONST(1.0), a[0]), x = a[1];
  dpi_node out = dpi_g_op2(G, DPI_OP_POW, x, power);
  bool known = dpi_g_is_const(G, a[0], &degree);
  if (known && (fmod(fabs(degree), 2.0) != 1.0 || fabs(degree) == 1.0)) return out;
  dpi_node mirrored =
      dpi_g_op1(G, DPI_OP_NEG, dpi_g_op2(G, DPI_OP_POW, dpi_g_op1(G, DPI_OP_NEG, x), power));
  dpi_node below = dpi_g_op2(G, DPI_OP_LT, x, CONST(0.0));
  if (!known) {
    dpi_node rest = dpi_g_op2(G, DPI_OP_MOD, dpi_g_op1(G, DPI_OP_ABS, a[0]), CONST(2.0));
    below = dpi_g_op2(G, DPI_OP_AND, below, dpi_g_op2(G, DPI_OP_EQ, rest, CONST(1.0)));
  }
  return dpi_g_if(G, below, mirrored, out);
}

/* sec x = 1 / cos x */
static dpi_node reciprocal(dpi_scope *s, const row *r, const dpi_node *a, int n) {
  (void)n;
  return dpi_g_op2(G, DPI_OP_DIV, CONST(1.0), dpi_g_op1(G, (dpi_op)r->op, a[0]));
}

/* arcsec x = arccos(1 / x) */
static dpi_node of_reciprocal(dpi_scope *s, const row *r, const dpi_node *a, int n) {
  (void)n;
  return dpi_g_op1(G, (dpi_op)r->op, dpi_g_op2(G, DPI_OP_DIV, CONST(1.0), a[0]));
}

/* towards zero */
static dpi_node quotient(dpi_scope *s, const row *r, const dpi_node *a, int n) {
  (void)r, (void)n;
  dpi_node q = dpi_g_op2(G, DPI_OP_DIV, a[0], a[1]);
  return dpi_g_if(G, dpi_g_op2(G, DPI_OP_LT, q, CONST(0.0)), dpi_g_op1(G, DPI_OP_CEIL, q),
                  dpi_g_op1(G, DPI_OP_FLOOR, q));
}

/* x! = Gamma(x + 1) = +-exp(lgamma(x + 1)), below zero with the sign of Gamma; whole constants exactly */
static dpi_node factorial(dpi_scope *s, const row *r, const dpi_node *a, int n) {
  (void)r, (void)n;
  double x, product = 1.0;
  if (dpi_g_is_const(G, a[0], &x) && x >= 0.0 && x <= 170.0 && x == floor(x)) {
    for (int i = 2; i <= (int)x; i++) product *= (double)i;
    return CONST(product);
  }
  dpi_node y = dpi_g_op2(G, DPI_OP_ADD, a[0], CONST(1.0)), zero = CONST(0.0);
  dpi_node size = dpi_g_op1(G, DPI_OP_EXP, dpi_g_op1(G, DPI_OP_LGAMMA, y));
  dpi_node whole = dpi_g_op1(G, DPI_OP_FLOOR, y);
  dpi_node odd = dpi_g_op2(G, DPI_OP_NE, dpi_g_op2(G, DPI_OP_MOD, whole, CONST(2.0)), zero);
  dpi_node below = dpi_g_if(G, odd, dpi_g_op1(G, DPI_OP_NEG, size), size);
  below = dpi_g_if(G, dpi_g_op2(G, DPI_OP_EQ, whole, y), CONST(NAN), below);
  return dpi_g_if(G, dpi_g_op2(G, DPI_OP_GT, y, zero), size, below);
}

static const row rows[DPI_AST_COUNT] = {
    [DPI_AST_PLUS] = {fold, DPI_OP_ADD},
    [DPI_AST_TIMES] = {fold, DPI_OP_MUL},
    [DPI_AST_MINUS] = {minus, 0},
    [DPI_AST_DIVIDE] = {op2, DPI_OP_DIV},
    [DPI_AST_POWER] = {op2, DPI_OP_POW},
    [DPI_AST_ROOT] = {root_of, 0},
    [DPI_AST_LOG] = {logarithm, 0},
    [DPI_AST_LN] = {op1, DPI_OP_LOG},
    [DPI_AST_EXP] = {op1, DPI_OP_EXP},
    [DPI_AST_ABS] = {op1, DPI_OP_ABS},
    [DPI_AST_FLOOR] = {op1, DPI_OP_FLOOR},
    [DPI_AST_CEIL] = {op1, DPI_OP_CEIL},
    [DPI_AST_FACTORIAL] = {factorial, 0},
    [DPI_AST_QUOTIENT] = {quotient, 0},
    [DPI_AST_REM] = {op2, DPI_OP_MOD},
    [DPI_AST_MIN] = {fold, DPI_OP_MIN},
    [DPI_AST_MAX] = {fold, DPI_OP_MAX},
    [DPI_AST_SIN] = {op1, DPI_OP_SIN},
    [DPI_AST_COS] = {op1, DPI_OP_COS},
    [DPI_AST_TAN] = {op1, DPI_OP_TAN},
    [DPI_AST_SEC] = {reciprocal, DPI_OP_COS},
    [DPI_AST_CSC] = {reciprocal, DPI_OP_SIN},
    [DPI_AST_COT] = {reciprocal, DPI_OP_TAN},
    [DPI_AST_SINH] = {op1, DPI_OP_SINH},
    [DPI_AST_COSH] = {op1, DPI_OP_COSH},
    [DPI_AST_TANH] = {op1, DPI_OP_TANH},
    [DPI_AST_SECH] = {reciprocal, DPI_OP_COSH},
    [DPI_AST_CSCH] = {reciprocal, DPI_OP_SINH},
    [DPI_AST_COTH] = {reciprocal, DPI_OP_TANH},
    [DPI_AST_ARCSIN] = {op1, DPI_OP_ASIN},
    [DPI_AST_ARCCOS] = {op1, DPI_OP_ACOS},
    [DPI_AST_ARCTAN] = {op1, DPI_OP_ATAN},
    [DPI_AST_ARCSEC] = {of_reciprocal, DPI_OP_ACOS},
    [DPI_AST_ARCCSC] = {of_reciprocal, DPI_OP_ASIN},
    [DPI_AST_ARCCOT] = {of_reciprocal, DPI_OP_ATAN},
    [DPI_AST_ARCSINH] = {op1, DPI_OP_ASINH},
    [DPI_AST_ARCCOSH] = {op1, DPI_OP_ACOSH},
    [DPI_AST_ARCTANH] = {op1, DPI_OP_ATANH},
    [DPI_AST_ARCSECH] = {of_reciprocal, DPI_OP_ACOSH},
    [DPI_AST_ARCCSCH] = {of_reciprocal, DPI_OP_ASINH},
    [DPI_AST_ARCCOTH] = {of_reciprocal, DPI_OP_ATANH},
    [DPI_AST_NOT] = {op1, DPI_OP_NOT},
    [DPI_AST_AND] = {fold, DPI_OP_AND},
    [DPI_AST_OR] = {fold, DPI_OP_OR},
    [DPI_AST_XOR] = {parity, 0},
    [DPI_AST_IMPLIES] = {implies, 0},
    [DPI_AST_EQ] = {chain, DPI_OP_EQ},
    [DPI_AST_NE] = {op2, DPI_OP_NE},
    [DPI_AST_LT] = {chain, DPI_OP_LT},
    [DPI_AST_LE] = {chain, DPI_OP_LE},
    [DPI_AST_GT] = {chain, DPI_OP_GT},
    [DPI_AST_GE] = {chain, DPI_OP_GE},
    [DPI_AST_PIECEWISE] = {piecewise, 0},
};

/* functions that only our own tables know */
static const struct {
  const char *name;
  int min, max; /* arguments; -1: any number */
  row row;
} builtins[] = {
    {"erf", 1, 1, {op1, DPI_OP_ERF}},
    {"lgamma", 1, 1, {op1, DPI_OP_LGAMMA}},
    {"digamma", 1, 1, {op1, DPI_OP_DIGAMMA}},
    {"sign", 1, 1, {op1, DPI_OP_SIGN}},
    {"log1p", 1, 1, {op1, DPI_OP_LOG1P}},
    {"expm1", 1, 1, {op1, DPI_OP_EXPM1}},
    {"log10", 1, 1, {op1, DPI_OP_LOG10}},
    {"sqrt", 1, 1, {op1, DPI_OP_SQRT}},
    {"log2", 1, 1, {log2_of, 0}},
    {"sqr", 1, 1, {square, 0}},
    {"atan2", 2, 2, {op2, DPI_OP_ATAN2}},
    {"mod", 2, 2, {op2, DPI_OP_MOD}},
};

static int find_builtin(const char *name) {
  for (int i = 0; i < DPI_COUNT(builtins); i++)
    if (strcmp(builtins[i].name, name) == 0) return i;
  return -1;
}

static dp_status row_of(dpi_scope *s, const dpi_ast *a, const row **r) {
  static const struct {
    int min, max;
  } count[] = {
#define ROW(name, text, min, max) [DPI_AST_##name] = {min, max},
      DPI_AST_LIST(ROW)
#undef ROW
  };
  int min = count[a->op].min, max = count[a->op].max;
  const char *name = a->op == DPI_AST_BUILTIN ? a->name : dpi_ast_text(a->op);
  *r = &rows[a->op];
  if (a->op == DPI_AST_BUILTIN) {
    int k = find_builtin(a->name);
    if (k < 0) return unknown_function(s, a);
    *r = &builtins[k].row;
    min = builtins[k].min;
    max = builtins[k].max;
  }
  if (a->narg >= min && (max < 0 || a->narg <= max)) return DP_OK;
  return dpi_scope_fail(s, a, DP_ERR_INPUT, "'%s' has %d arguments, expected %d%s", name, a->narg,
                        a->narg < min ? min : max,
                        min == max      ? ""
                        : a->narg < min ? " or more"
                                        : " or less");
}

static dp_status lower_operation(dpi_scope *s, const dpi_ast *a, dpi_node *out) {
  const row *r;
  int base = s->nstack;
  DP_TRY(row_of(s, a, &r));
  for (int i = 0; i < a->narg; i++) {
    dpi_node n;
    DP_TRY(lower(s, a->arg[i], &n));
    DP_TRY(push(s, n));
  }
  *out = r->build(s, r, s->stack == NULL ? NULL : s->stack + base, a->narg); /* NULL: nothing has had arguments yet */
  s->nstack = base;
  return DP_OK;
}

static dp_status lower_one(dpi_scope *s, const dpi_ast *a, dpi_node *out) {
  switch (a->op) {
    case DPI_AST_NUMBER:
      *out = CONST(a->value);
      return DP_OK;
    case DPI_AST_NAME:
      return lower_name(s, a, out);
    case DPI_AST_TIME:
      *out = dpi_g_sym(G, 0);
      return DP_OK;
    case DPI_AST_AVOGADRO:
      *out = CONST(6.02214179e23);
      return DP_OK; /* as fixed by SBML Level 3 (CODATA 2006) */
    case DPI_AST_PI:
      *out = CONST(3.14159265358979323846);
      return DP_OK;
    case DPI_AST_E:
      *out = CONST(2.71828182845904523536);
      return DP_OK;
    case DPI_AST_TRUE:
      *out = CONST(1.0);
      return DP_OK;
    case DPI_AST_FALSE:
      *out = CONST(0.0);
      return DP_OK;
    case DPI_AST_INFINITY:
      *out = CONST(INFINITY);
      return DP_OK;
    case DPI_AST_NAN:
      *out = CONST(NAN);
      return DP_OK;
    case DPI_AST_DELAY:
      return a->narg == 2 ? lower_delay(s, a, out)
                          : dpi_scope_fail(s, a, DP_ERR_INPUT,
                                           "'delay' has %d arguments, expected 2", a->narg);
    case DPI_AST_RATEOF:
      return a->narg == 1 ? lower_rate_of(s, a, out)
                          : dpi_scope_fail(s, a, DP_ERR_INPUT,
                                           "'rateOf' has %d arguments, expected 1", a->narg);
    case DPI_AST_CALL:
      return lower_call(s, a, out);
    case DPI_AST_DRAW:
      return lower_draw(s, a, out);
    default:
      return lower_operation(s, a, out);
  }
}

static dp_status lower(dpi_scope *s, const dpi_ast *a, dpi_node *out) {
  if (s->depth >= MAX_DEPTH)
    return dpi_scope_fail(s, a, DP_ERR_UNSUPPORTED,
                          "nested more than %d deep when its functions are written out", MAX_DEPTH);
  if (--s->budget < 0)
    return dpi_scope_fail(s, a, DP_ERR_UNSUPPORTED, "too large when its functions are written out");
  s->depth++;
  dp_status status = lower_one(s, a, out);
  s->depth--;
  if (status == DP_OK && *out == DPI_NODE_NONE)
    return dpi_fail(s->m->ctx, DP_ERR_MEMORY, "%s: the expression can't be stored", s->where);
  return status;
}

dp_status dpi_scope_lower(dpi_scope *s, const dpi_ast *a, dpi_node *out) {
  return lower(s, a, out);
}

dp_status dpi_ast_lower(dp_model *m, const dpi_ast *a, const char *where, dpi_names names,
                        dpi_node *out) {
  dpi_scope s;
  dpi_scope_init(&s, m, where);
  s.names = names;
  dp_status status = dpi_scope_lower(&s, a, out);
  dpi_scope_release(&s);
  return status;
}
