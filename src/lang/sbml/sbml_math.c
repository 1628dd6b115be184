/* sbml_math.c - floor 3: libSBML's mathematics -> dpi_ast.
 *
 * Numbers keep the value that their text has (1.1e5 written as mantissa and exponent is read as
 * decimal, not multiplied). Sums and products that libSBML parsed from the left out of a Level 1
 * formula become one n-ary node: the same order of evaluation, a flat tree. Depth is bounded by
 * DPI_AST_DEPTH. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lang/sbml/sbml_impl.h"

typedef struct math_place {
  dpi_sbml_reader *r;
  int line;
  const char *owner, *id;
} math_place;

static const struct {
  signed char least, most;
} arity[] = {
#define ROW(name, text, min, max) [DPI_AST_##name] = {min, max},
    DPI_AST_LIST(ROW)
#undef ROW
};

/* libSBML's node type, our operation; what needs more than its arguments stands in `convert` */
static const struct {
  ASTNodeType_t type;
  dpi_ast_op op;
} plain[] = {
    {AST_PLUS, DPI_AST_PLUS},
    {AST_MINUS, DPI_AST_MINUS},
    {AST_TIMES, DPI_AST_TIMES},
    {AST_DIVIDE, DPI_AST_DIVIDE},
    {AST_POWER, DPI_AST_POWER},
    {AST_FUNCTION_POWER, DPI_AST_POWER},
    {AST_FUNCTION_ROOT, DPI_AST_ROOT},
    {AST_FUNCTION_LOG, DPI_AST_LOG},
    {AST_FUNCTION_LN, DPI_AST_LN},
    {AST_FUNCTION_EXP, DPI_AST_EXP},
    {AST_FUNCTION_ABS, DPI_AST_ABS},
    {AST_FUNCTION_FLOOR, DPI_AST_FLOOR},
    {AST_FUNCTION_CEILING, DPI_AST_CEIL},
    {AST_FUNCTION_FACTORIAL, DPI_AST_FACTORIAL},
    {AST_FUNCTION_QUOTIENT, DPI_AST_QUOTIENT},
    {AST_FUNCTION_REM, DPI_AST_REM},
    {AST_FUNCTION_MIN, DPI_AST_MIN},
    {AST_FUNCTION_MAX, DPI_AST_MAX},
    {AST_FUNCTION_SIN, DPI_AST_SIN},
    {AST_FUNCTION_COS, DPI_AST_COS},
    {AST_FUNCTION_TAN, DPI_AST_TAN},
    {AST_FUNCTION_SEC, DPI_AST_SEC},
    {AST_FUNCTION_CSC, DPI_AST_CSC},
    {AST_FUNCTION_COT, DPI_AST_COT},
    {AST_FUNCTION_SINH, DPI_AST_SINH},
    {AST_FUNCTION_COSH, DPI_AST_COSH},
    {AST_FUNCTION_TANH, DPI_AST_TANH},
    {AST_FUNCTION_SECH, DPI_AST_SECH},
    {AST_FUNCTION_CSCH, DPI_AST_CSCH},
    {AST_FUNCTION_COTH, DPI_AST_COTH},
    {AST_FUNCTION_ARCSIN, DPI_AST_ARCSIN},
    {AST_FUNCTION_ARCCOS, DPI_AST_ARCCOS},
    {AST_FUNCTION_ARCTAN, DPI_AST_ARCTAN},
    {AST_FUNCTION_ARCSEC, DPI_AST_ARCSEC},
    {AST_FUNCTION_ARCCSC, DPI_AST_ARCCSC},
    {AST_FUNCTION_ARCCOT, DPI_AST_ARCCOT},
    {AST_FUNCTION_ARCSINH, DPI_AST_ARCSINH},
    {AST_FUNCTION_ARCCOSH, DPI_AST_ARCCOSH},
    {AST_FUNCTION_ARCTANH, DPI_AST_ARCTANH},
    {AST_FUNCTION_ARCSECH, DPI_AST_ARCSECH},
    {AST_FUNCTION_ARCCSCH, DPI_AST_ARCCSCH},
    {AST_FUNCTION_ARCCOTH, DPI_AST_ARCCOTH},
    {AST_LOGICAL_NOT, DPI_AST_NOT},
    {AST_LOGICAL_AND, DPI_AST_AND},
    {AST_LOGICAL_OR, DPI_AST_OR},
    {AST_LOGICAL_XOR, DPI_AST_XOR},
    {AST_LOGICAL_IMPLIES, DPI_AST_IMPLIES},
    {AST_RELATIONAL_EQ, DPI_AST_EQ},
    {AST_RELATIONAL_NEQ, DPI_AST_NE},
    {AST_RELATIONAL_LT, DPI_AST_LT},
    {AST_RELATIONAL_LEQ, DPI_AST_LE},
    {AST_RELATIONAL_GT, DPI_AST_GT},
    {AST_RELATIONAL_GEQ, DPI_AST_GE},
    {AST_FUNCTION_PIECEWISE, DPI_AST_PIECEWISE},
    {AST_FUNCTION_DELAY, DPI_AST_DELAY},
    {AST_FUNCTION_RATE_OF, DPI_AST_RATEOF},
    {AST_NAME_TIME, DPI_AST_TIME},
    {AST_NAME_AVOGADRO, DPI_AST_AVOGADRO},
    {AST_CONSTANT_PI, DPI_AST_PI},
    {AST_CONSTANT_E, DPI_AST_E},
    {AST_CONSTANT_TRUE, DPI_AST_TRUE},
    {AST_CONSTANT_FALSE, DPI_AST_FALSE},
};

static dp_status refuse(const math_place *p, dp_status status, const char *what) {
  return dpi_fail(p->r->ctx, status, "%s:%d: %s '%s': %s", p->r->source, p->line, p->owner, p->id,
                  what);
}

static int operation_of(ASTNodeType_t type) {
  for (int i = 0; i < DPI_COUNT(plain); i++)
    if (plain[i].type == type) return (int)plain[i].op;
  return -1;
}

/* ---- leaves ---- */
static double decimal_of(const ASTNode_t *n) {
  char mantissa[32], text[64];
  dpi_format_double(ASTNode_getMantissa(n), mantissa);
  if (strpbrk(mantissa, "ni") != NULL) return ASTNode_getReal(n); /* nan, inf */
  const char *e = strchr(mantissa, 'e');
  long exponent = ASTNode_getExponent(n);
  if (exponent > 100000) exponent = 100000;
  if (exponent < -100000) exponent = -100000;
  if (e) exponent += strtol(e + 1, NULL, 10);
  snprintf(text, sizeof text, "%.*se%ld", e ? (int)(e - mantissa) : (int)strlen(mantissa), mantissa,
           exponent);
  return strtod(text, NULL);
}

static dpi_ast *infinite(dpi_net *net, double value) {
  if (value != value) return dpi_ast_new(net, DPI_AST_NAN, 0);
  dpi_ast *a = dpi_ast_new(net, DPI_AST_INFINITY, 0);
  return value < 0 ? dpi_ast_op1(net, DPI_AST_MINUS, a) : a;
}

static dp_status number(const math_place *p, const ASTNode_t *n, dpi_ast **out) {
  dpi_net *net = p->r->net;
  double value = 0;
  switch (ASTNode_getType(n)) {
    case AST_INTEGER:
      value = (double)ASTNode_getInteger(n);
      break;
    case AST_RATIONAL:
      value = (double)ASTNode_getNumerator(n) / (double)ASTNode_getDenominator(n);
      break;
    case AST_REAL_E:
      value = decimal_of(n);
      break;
    default:
      value = ASTNode_getReal(n);
      break;
  }
  dpi_ast *a = isfinite(value) ? dpi_ast_number(net, value) : infinite(net, value);
  if (a == NULL) return DP_ERR_MEMORY;
  *out = a;
  if (a->op != DPI_AST_NUMBER || !ASTNode_isSetUnits(n)) return DP_OK;
  char *unit = ASTNode_getUnits(n); /* ours to free */
  dp_status s = dpi_sbml_text(p->r, unit, &a->unit);
  util_free(unit);
  return s;
}

/* Level 1 has no constants, but libSBML's parser of its formulas takes some words for them, whatever
 * their case. Where the model has an element of that name it is meant. */
static const char *element_called(const dpi_sbml_reader *r, const char *word) {
  const dpi_net *net = r->net;
  for (int i = 0; i < r->nlocal; i++)
    if (strcasecmp(r->local[i].id, word) == 0) return r->local[i].id;
  for (int i = 0; i < net->ncompartment; i++)
    if (strcasecmp(net->compartment[i].id, word) == 0) return net->compartment[i].id;
  for (int i = 0; i < net->nspecies; i++)
    if (strcasecmp(net->species[i].id, word) == 0) return net->species[i].id;
  for (int i = 0; i < net->nparameter; i++)
    if (strcasecmp(net->parameter[i].id, word) == 0) return net->parameter[i].id;
  return NULL;
}

static dp_status name_of_level_1(const math_place *p, dpi_ast **out) {
  static const struct {
    dpi_ast_op op;
    const char *word;
  } known[] = {{DPI_AST_PI, "pi"},        {DPI_AST_E, "exponentiale"},
               {DPI_AST_TRUE, "true"},    {DPI_AST_FALSE, "false"},
               {DPI_AST_TIME, "time"},    {DPI_AST_AVOGADRO, "avogadro"},
               {DPI_AST_INFINITY, "inf"}, {DPI_AST_INFINITY, "infinity"},
               {DPI_AST_NAN, "nan"},      {DPI_AST_NAN, "notanumber"}};
  const char *name = NULL;
  for (int i = 0; i < DPI_COUNT(known); i++) {
    const char *id = known[i].op == (*out)->op ? element_called(p->r, known[i].word) : NULL;
    if (id && name) return refuse(p, DP_ERR_UNSUPPORTED, "a name that libSBML takes for another");
    if (id) name = id;
  }
  if (name == NULL) return DP_OK;
  *out = dpi_ast_name(p->r->net, name);
  return *out ? DP_OK : DP_ERR_MEMORY;
}

/* ---- inner nodes ---- */
/* A function by name: a draw, or a function definition. */
static dp_status call(const math_place *p, const ASTNode_t *n, int narg, dpi_ast **out) {
  char text[256];
  const char *name = ASTNode_getName(n), *mark = p->r->scan->mark;
  if (name == NULL || name[0] == '\0') return refuse(p, DP_ERR_INPUT, "a function without a name");
  bool draw = p->r->scan->draws && strncmp(name, mark, strlen(mark)) == 0;
  dpi_ast *a = dpi_ast_new(p->r->net, draw ? DPI_AST_DRAW : DPI_AST_CALL, narg);
  if (a == NULL) return DP_ERR_MEMORY;
  *out = a;
  if (!draw) return dpi_sbml_text(p->r, name, &a->name);
  name += strlen(mark);
  a->draw = dpi_variate_find(name);
  int least = a->draw < 0 ? 0 : dpi_variate_narg((dpi_variate)a->draw);
  bool scale_only = (a->draw == DPI_VARIATE_CAUCHY || a->draw == DPI_VARIATE_LAPLACE) && narg == 1;
  if (a->draw < 0) {
    snprintf(text, sizeof text, "draws from the distribution '%.100s' are not supported", name);
    return refuse(p, DP_ERR_UNSUPPORTED, text);
  }
  if (narg != least && narg != least + 2 && !scale_only) {
    snprintf(text, sizeof text, "a draw '%.100s' has %d arguments, expected %d, or two bounds more",
             name, narg, least);
    return refuse(p, DP_ERR_INPUT, text);
  }
  return DP_OK;
}

static dp_status head(const math_place *p, const ASTNode_t *n, int narg, dpi_ast **out) {
  char text[256];
  ASTNodeType_t type = ASTNode_getType(n);
  if (type == AST_FUNCTION) return call(p, n, narg, out);
  int op = operation_of(type);
  if (op < 0) {
    const char *name = ASTNode_getName(n);
    snprintf(text, sizeof text, "mathematics '%.100s' that is not part of SBML", name ? name : "");
    return refuse(p, type == AST_LAMBDA ? DP_ERR_INPUT : DP_ERR_UNSUPPORTED,
                  type == AST_LAMBDA ? "a lambda outside a function definition" : text);
  }
  if (narg < arity[op].least || (arity[op].most >= 0 && narg > arity[op].most)) {
    snprintf(text, sizeof text, "'%s' has %d argument%s", dpi_ast_text((dpi_ast_op)op), narg,
             narg == 1 ? "" : "s");
    return refuse(p, DP_ERR_INPUT, text);
  }
  if (op == DPI_AST_RATEOF && ASTNode_getType(ASTNode_getChild(n, 0)) != AST_NAME)
    return refuse(p, DP_ERR_INPUT, "rateOf takes the name of a variable");
  *out = dpi_ast_new(p->r->net, (dpi_ast_op)op, narg);
  return *out ? DP_OK : DP_ERR_MEMORY;
}

/* ((a + b) + c) as libSBML's formula parser builds it: the number of summands, and the innermost sum. */
static int chain(const ASTNode_t *n, const ASTNode_t **inner) {
  ASTNodeType_t type = ASTNode_getType(n);
  int extra = 0;
  *inner = n;
  if (type != AST_PLUS && type != AST_TIMES) return (int)ASTNode_getNumChildren(n);
  while (ASTNode_getNumChildren(*inner) >= 2 &&
         ASTNode_getType(ASTNode_getChild(*inner, 0)) == type &&
         ASTNode_getNumChildren(ASTNode_getChild(*inner, 0)) >= 2) {
    extra += (int)ASTNode_getNumChildren(*inner) - 1;
    *inner = ASTNode_getChild(*inner, 0);
  }
  return extra + (int)ASTNode_getNumChildren(*inner);
}

static dp_status convert(const math_place *p, const ASTNode_t *n, int depth, dpi_ast **out);

static dp_status arguments(const math_place *p, const ASTNode_t *n, const ASTNode_t *inner,
                           int depth, dpi_ast *a) {
  /* from the outermost sum inwards, so the last summands come first */
  int at = a->narg;
  for (const ASTNode_t *s = n;; s = ASTNode_getChild(s, 0)) {
    int first = s == inner ? 0 : 1, count = (int)ASTNode_getNumChildren(s);
    at -= count - first;
    for (int i = first; i < count; i++)
      DP_TRY(convert(p, ASTNode_getChild(s, (unsigned)i), depth + 1, &a->arg[at + i - first]));
    if (s == inner) return DP_OK;
  }
}

static dp_status convert(const math_place *p, const ASTNode_t *n, int depth, dpi_ast **out) {
  const ASTNode_t *inner = n;
  if (n == NULL) return refuse(p, DP_ERR_INPUT, "mathematics with a missing argument");
  if (depth >= DPI_AST_DEPTH)
    return refuse(p, DP_ERR_UNSUPPORTED, "mathematics is nested too deep");
  switch (ASTNode_getType(n)) {
    case AST_INTEGER:
    case AST_REAL:
    case AST_REAL_E:
    case AST_RATIONAL:
      DP_TRY(number(p, n, out));
      return p->r->level == 1 ? name_of_level_1(p, out) : DP_OK;
    case AST_NAME: {
      const char *name = ASTNode_getName(n);
      if (name == NULL || name[0] == '\0') return refuse(p, DP_ERR_INPUT, "an empty name");
      *out = dpi_ast_name(p->r->net, name);
      if (*out) (*out)->line = p->line;
      return *out ? DP_OK : DP_ERR_MEMORY;
    }
    default:
      break;
  }
  int narg = chain(n, &inner);
  DP_TRY(head(p, n, narg, out));
  (*out)->line = p->line;
  if (p->r->level == 1 && narg == 0) return name_of_level_1(p, out);
  DP_TRY(arguments(p, n, inner, depth, *out));
  /* the base and the degree that libSBML puts in where none was written */
  dpi_ast_op op = (*out)->op;
  if ((op == DPI_AST_ROOT || op == DPI_AST_LOG) &&
      strcmp((*out)->arg[0]->unit, "dimensionless") == 0)
    (*out)->arg[0]->unit = "";
  /* a Cauchy or Laplace draw with one argument has its centre at 0 */
  if ((*out)->op == DPI_AST_DRAW && narg == 1 && dpi_variate_narg((dpi_variate)(*out)->draw) == 2) {
    dpi_ast *scale = (*out)->arg[0],
            *full = dpi_ast_op2(p->r->net, DPI_AST_DRAW, dpi_ast_number(p->r->net, 0), scale);
    if (full == NULL) return DP_ERR_MEMORY;
    full->draw = (*out)->draw;
    full->line = p->line;
    *out = full;
  }
  return DP_OK;
}

dp_status dpi_sbml_take_math(dpi_sbml_reader *r, const ASTNode_t *math, int line, const char *owner,
                             const char *id, dpi_ast **out) {
  math_place p = {r, line, owner, id ? id : ""};
  *out = NULL;
  return math ? convert(&p, math, 0, out) : DP_OK;
}
