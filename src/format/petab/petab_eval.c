/* petab_eval.c - floor 3: what expressions are worth: values, derivatives, text in the project's formula syntax.
 *
 * True is 1, false is 0, every number but 0 is true. Functions that have no operation of their own are written with
 * those that have one (arccoth x = artanh 1/x), in values and derivatives alike.
 */
#include <math.h>
#include <string.h>

#include "format/petab/petab_impl.h"
#include "num/num.h"

#define LN10 2.302585092994045684
#define LN2 0.693147180559945309

/* ---- values ---- */

static double relation(int fn, double a, double b) {
  switch ((petab_relation)fn) {
    case PETAB_LT:
      return a < b;
    case PETAB_LE:
      return a <= b;
    case PETAB_GT:
      return a > b;
    case PETAB_GE:
      return a >= b;
    case PETAB_EQ:
      return a == b;
    default:
      return a != b;
  }
}

static double logarithm(double a, double base) {
  if (base == 10.0) return dpi_m_log10(a);
  return dpi_m_log(a) / dpi_m_log(base);
}

static double sign_of(double x) { return x != x ? x : (double)((x > 0.0) - (x < 0.0)); }

/* functions of one argument */
static double plain(int fn, double x) {
  switch ((petab_function)fn) {
    case PETAB_FN_exp:
      return dpi_m_exp(x);
    case PETAB_FN_sqrt:
      return sqrt(x);
    case PETAB_FN_log2:
      return dpi_m_log(x) / LN2;
    case PETAB_FN_log10:
      return dpi_m_log10(x);
    case PETAB_FN_abs:
      return fabs(x);
    case PETAB_FN_sign:
      return sign_of(x);
    default:
      return dpi_m_log(x);
  }
}

static double circular(int fn, double x) {
  switch ((petab_function)fn) {
    case PETAB_FN_sin:
      return dpi_m_sin(x);
    case PETAB_FN_cos:
      return dpi_m_cos(x);
    case PETAB_FN_tan:
      return dpi_m_tan(x);
    case PETAB_FN_cot:
      return 1.0 / dpi_m_tan(x);
    case PETAB_FN_sec:
      return 1.0 / dpi_m_cos(x);
    case PETAB_FN_csc:
      return 1.0 / dpi_m_sin(x);
    case PETAB_FN_arcsin:
      return dpi_m_asin(x);
    case PETAB_FN_arccos:
      return dpi_m_acos(x);
    case PETAB_FN_arctan:
      return dpi_m_atan(x);
    case PETAB_FN_arccot:
      return dpi_m_atan(1.0 / x);
    case PETAB_FN_arcsec:
      return dpi_m_acos(1.0 / x);
    default: /* arccsc */
      return dpi_m_asin(1.0 / x);
  }
}

static double hyperbolic(int fn, double x) {
  switch ((petab_function)fn) {
    case PETAB_FN_sinh:
      return dpi_m_sinh(x);
    case PETAB_FN_cosh:
      return dpi_m_cosh(x);
    case PETAB_FN_tanh:
      return dpi_m_tanh(x);
    case PETAB_FN_coth:
      return 1.0 / dpi_m_tanh(x);
    case PETAB_FN_sech:
      return 1.0 / dpi_m_cosh(x);
    case PETAB_FN_csch:
      return 1.0 / dpi_m_sinh(x);
    case PETAB_FN_arcsinh:
      return dpi_m_asinh(x);
    case PETAB_FN_arccosh:
      return dpi_m_acosh(x);
    case PETAB_FN_arctanh:
      return dpi_m_atanh(x);
    case PETAB_FN_arccoth:
      return dpi_m_atanh(1.0 / x);
    case PETAB_FN_arcsech:
      return dpi_m_acosh(1.0 / x);
    default: /* arccsch */
      return dpi_m_asinh(1.0 / x);
  }
}

static bool is_circular(int fn) { return fn >= PETAB_FN_sin && fn <= PETAB_FN_arccsc; }
static bool is_hyperbolic(int fn) { return fn >= PETAB_FN_sinh && fn <= PETAB_FN_arccsch; }

/* the argument of a piecewise that counts */
static const dpi_petab_expr *chosen(const dpi_petab_expr *e, const double *value) {
  int i = 1;
  while (i < e->narg && dpi_petab_eval(e->arg[i], value) == 0.0) i += 2;
  return e->arg[i < e->narg ? i - 1 : e->narg - 1];
}

static double call(const dpi_petab_expr *e, const double *value) {
  if (e->fn == PETAB_FN_piecewise) return dpi_petab_eval(chosen(e, value), value);
  double a = dpi_petab_eval(e->arg[0], value), b = e->narg > 1 ? dpi_petab_eval(e->arg[1], value) : 0.0;
  if (is_circular(e->fn)) return circular(e->fn, a);
  if (is_hyperbolic(e->fn)) return hyperbolic(e->fn, a);
  switch ((petab_function)e->fn) {
    case PETAB_FN_pow:
      return dpi_m_pow(a, b);
    case PETAB_FN_min:
      return a < b || a != a ? a : b;
    case PETAB_FN_max:
      return a > b || a != a ? a : b;
    case PETAB_FN_log:
      return e->narg > 1 ? logarithm(a, b) : dpi_m_log(a);
    default:
      return plain(e->fn, a);
  }
}

/* sums, products and logic from left to right */
static double run(const dpi_petab_expr *e, const double *value) {
  double x = dpi_petab_eval(e->arg[0], value);
  if (e->op == PETAB_LOGIC) x = x != 0.0;
  for (int i = 1; i < e->narg; i++) {
    double y = dpi_petab_eval(e->arg[i], value);
    switch (e->sign[i]) {
      case '+':
        x = x + y;
        break;
      case '-':
        x = x - y;
        break;
      case '*':
        x = x * y;
        break;
      case '/':
        x = x / y;
        break;
      case '&':
        x = x != 0.0 && y != 0.0;
        break;
      default:
        x = x != 0.0 || y != 0.0;
    }
  }
  return x;
}

double dpi_petab_eval(const dpi_petab_expr *e, const double *value) {
  switch (e->op) {
    case PETAB_NUMBER:
      return e->value;
    case PETAB_NAME:
      return value[e->name];
    case PETAB_SUM:
    case PETAB_PRODUCT:
    case PETAB_LOGIC:
      return run(e, value);
    case PETAB_RELATION:
      return relation(e->fn, dpi_petab_eval(e->arg[0], value), dpi_petab_eval(e->arg[1], value));
    case PETAB_POWER:
      return dpi_m_pow(dpi_petab_eval(e->arg[0], value), dpi_petab_eval(e->arg[1], value));
    case PETAB_MINUS:
      return -dpi_petab_eval(e->arg[0], value);
    case PETAB_NOT:
      return dpi_petab_eval(e->arg[0], value) == 0.0;
    default:
      return call(e, value);
  }
}

/* ---- derivatives ---- */

static void slopes(const dpi_petab_expr *e, const double *value, double seed, double *grad);

/* d/dx of a function of one argument */
static double slope_plain(int fn, double x) {
  switch ((petab_function)fn) {
    case PETAB_FN_exp:
      return dpi_m_exp(x);
    case PETAB_FN_sqrt:
      return 0.5 / sqrt(x);
    case PETAB_FN_log2:
      return 1.0 / (x * LN2);
    case PETAB_FN_log10:
      return 1.0 / (x * LN10);
    case PETAB_FN_abs:
      return sign_of(x);
    case PETAB_FN_sign:
      return 0.0;
    default: /* log, ln */
      return 1.0 / x;
  }
}

static double slope_circular(int fn, double x) {
  double s = dpi_m_sin(x), c = dpi_m_cos(x), q = x * x;
  switch ((petab_function)fn) {
    case PETAB_FN_sin:
      return c;
    case PETAB_FN_cos:
      return -s;
    case PETAB_FN_tan:
      return 1.0 / (c * c);
    case PETAB_FN_cot:
      return -1.0 / (s * s);
    case PETAB_FN_sec:
      return s / (c * c);
    case PETAB_FN_csc:
      return -c / (s * s);
    case PETAB_FN_arcsin:
      return 1.0 / sqrt(1.0 - q);
    case PETAB_FN_arccos:
      return -1.0 / sqrt(1.0 - q);
    case PETAB_FN_arctan:
      return 1.0 / (1.0 + q);
    case PETAB_FN_arccot:
      return -1.0 / (1.0 + q);
    case PETAB_FN_arcsec:
      return 1.0 / (fabs(x) * sqrt(q - 1.0));
    default: /* arccsc */
      return -1.0 / (fabs(x) * sqrt(q - 1.0));
  }
}

static double slope_hyperbolic(int fn, double x) {
  double s = dpi_m_sinh(x), c = dpi_m_cosh(x), q = x * x;
  switch ((petab_function)fn) {
    case PETAB_FN_sinh:
      return c;
    case PETAB_FN_cosh:
      return s;
    case PETAB_FN_tanh:
      return 1.0 / (c * c);
    case PETAB_FN_coth:
      return -1.0 / (s * s);
    case PETAB_FN_sech:
      return -s / (c * c);
    case PETAB_FN_csch:
      return -c / (s * s);
    case PETAB_FN_arcsinh:
      return 1.0 / sqrt(q + 1.0);
    case PETAB_FN_arccosh:
      return 1.0 / sqrt(q - 1.0);
    case PETAB_FN_arctanh:
    case PETAB_FN_arccoth:
      return 1.0 / (1.0 - q);
    case PETAB_FN_arcsech:
      return -1.0 / (x * sqrt(1.0 - q));
    default: /* arccsch */
      return -1.0 / (fabs(x) * sqrt(1.0 + q));
  }
}

static void slopes_power(const dpi_petab_expr *e, const double *value, double seed, double *grad) {
  double a = dpi_petab_eval(e->arg[0], value), b = dpi_petab_eval(e->arg[1], value);
  if (b != 0.0) slopes(e->arg[0], value, seed * b * dpi_m_pow(a, b - 1.0), grad);
  if (e->arg[1]->op == PETAB_NUMBER) return;
  slopes(e->arg[1], value, a == 0.0 && b > 0.0 ? 0.0 : seed * dpi_m_pow(a, b) * dpi_m_log(a), grad);
}

static void slopes_log(const dpi_petab_expr *e, const double *value, double seed, double *grad) {
  double a = dpi_petab_eval(e->arg[0], value), b = dpi_petab_eval(e->arg[1], value), lb = dpi_m_log(b);
  slopes(e->arg[0], value, seed / (a * lb), grad);
  if (e->arg[1]->op != PETAB_NUMBER) slopes(e->arg[1], value, -seed * dpi_m_log(a) / (b * lb * lb), grad);
}

static void slopes_call(const dpi_petab_expr *e, const double *value, double seed, double *grad) {
  int fn = e->fn;
  if (fn == PETAB_FN_piecewise) {
    slopes(chosen(e, value), value, seed, grad);
  } else if (fn == PETAB_FN_pow) {
    slopes_power(e, value, seed, grad);
  } else if (fn == PETAB_FN_log && e->narg == 2) {
    slopes_log(e, value, seed, grad);
  } else if (fn == PETAB_FN_min || fn == PETAB_FN_max) {
    double a = dpi_petab_eval(e->arg[0], value), b = dpi_petab_eval(e->arg[1], value);
    bool first = fn == PETAB_FN_min ? a < b : a > b;
    slopes(e->arg[first || a != a ? 0 : 1], value, seed, grad);
  } else {
    double x = dpi_petab_eval(e->arg[0], value);
    double d = is_circular(fn)     ? slope_circular(fn, x)
               : is_hyperbolic(fn) ? slope_hyperbolic(fn, x)
                                   : slope_plain(fn, x);
    slopes(e->arg[0], value, seed * d, grad);
  }
}

/* Product of all factors but the i-th, with the derivative of that one's place. */
static double others(const dpi_petab_expr *e, const double *value, int i) {
  double d = 1.0;
  for (int k = 0; k < e->narg; k++) {
    double x = dpi_petab_eval(e->arg[k], value);
    if (k == i && e->sign[k] == '/') d = -d / (x * x);
    if (k != i) d = e->sign[k] == '/' ? d / x : d * x;
  }
  return d;
}

/* Any factor of a short product may be 0; of a long one too, but then it takes time. */
static void slopes_product(const dpi_petab_expr *e, const double *value, double seed, double *grad) {
  double total = e->narg > 8 ? run(e, value) : 0.0;
  for (int i = 0; i < e->narg; i++) {
    if (e->arg[i]->op == PETAB_NUMBER) continue;
    double x = total != 0.0 ? dpi_petab_eval(e->arg[i], value) : 0.0;
    double d = total == 0.0 ? others(e, value, i) : e->sign[i] == '/' ? -total / x : total / x;
    slopes(e->arg[i], value, seed * d, grad);
  }
}

static void slopes(const dpi_petab_expr *e, const double *value, double seed, double *grad) {
  switch (e->op) {
    case PETAB_NAME:
      grad[e->name] += seed;
      break;
    case PETAB_SUM:
      for (int i = 0; i < e->narg; i++) slopes(e->arg[i], value, e->sign[i] == '-' ? -seed : seed, grad);
      break;
    case PETAB_PRODUCT:
      slopes_product(e, value, seed, grad);
      break;
    case PETAB_POWER:
      slopes_power(e, value, seed, grad);
      break;
    case PETAB_MINUS:
      slopes(e->arg[0], value, -seed, grad);
      break;
    case PETAB_CALL:
      slopes_call(e, value, seed, grad);
      break;
    default: /* numbers, relations, logic */
      break;
  }
}

double dpi_petab_eval_grad(const dpi_petab_expr *e, const double *value, double seed, double *grad) {
  slopes(e, value, seed, grad);
  return dpi_petab_eval(e, value);
}

/* ---- questions ---- */

static bool has_name(const dpi_petab_expr *e) {
  bool any = e->op == PETAB_NAME;
  for (int i = 0; i < e->narg && !any; i++) any = has_name(e->arg[i]);
  return any;
}

bool dpi_petab_number(const dpi_petab_expr *e, double *out) {
  if (has_name(e)) return false;
  *out = dpi_petab_eval(e, NULL);
  return true;
}

int dpi_petab_lone_name(const dpi_petab_expr *e) { return e->op == PETAB_NAME ? e->name : -1; }

void dpi_petab_uses(const dpi_petab_expr *e, bool *used) {
  if (e->op == PETAB_NAME) used[e->name] = true;
  for (int i = 0; i < e->narg; i++) dpi_petab_uses(e->arg[i], used);
}

/* ---- text ---- */

static void print(const dpi_petab *p, const dpi_petab_expr *e, const char *const *put, dpi_str *out);

static void print_number(double x, dpi_str *out) {
  char text[32];
  dpi_format_double(x, text);
  dpi_str_addf(out, text[0] == '-' ? "(%s)" : "%s", text);
}

static void print_name(const dpi_petab *p, int name, const char *const *put, dpi_str *out) {
  if (put && put[name])
    dpi_str_addf(out, "(%s)", put[name]);
  else if (p->name[name].kind == DPI_PETAB_TIME)
    dpi_str_add(out, "time");
  else
    dpi_str_addf(out, "`%s`", p->name[name].model_id);
}

/* Subtractions of a long sum are added with a minus sign: readers nest one level for each. */
static void print_run(const dpi_petab *p, const dpi_petab_expr *e, const char *const *put, dpi_str *out) {
  bool lengthy = e->op == PETAB_SUM && e->narg > 50;
  dpi_str_add(out, "(");
  for (int i = 0; i < e->narg; i++) {
    char c = e->sign[i];
    if (i > 0 && e->op == PETAB_LOGIC)
      dpi_str_add(out, c == '&' ? " && " : " || ");
    else if (i > 0 && lengthy)
      dpi_str_add(out, c == '-' ? " + -" : " + ");
    else if (i > 0)
      dpi_str_addf(out, " %c ", c);
    print(p, e->arg[i], put, out);
  }
  dpi_str_add(out, ")");
}

static void print_args(const dpi_petab *p, const dpi_petab_expr *e, const char *const *put, dpi_str *out) {
  dpi_str_addf(out, "%s(", petab_function_name(e->fn));
  for (int i = 0; i < e->narg; i++) {
    if (i > 0) dpi_str_add(out, ", ");
    print(p, e->arg[i], put, out);
  }
  dpi_str_add(out, ")");
}

static void print(const dpi_petab *p, const dpi_petab_expr *e, const char *const *put, dpi_str *out) {
  static const char *const relations[] = {"<", "<=", ">", ">=", "==", "!="};
  switch (e->op) {
    case PETAB_NUMBER:
      print_number(e->value, out);
      return;
    case PETAB_NAME:
      print_name(p, e->name, put, out);
      return;
    case PETAB_CALL:
      print_args(p, e, put, out);
      return;
    case PETAB_SUM:
    case PETAB_PRODUCT:
    case PETAB_LOGIC:
      print_run(p, e, put, out);
      return;
    case PETAB_MINUS:
    case PETAB_NOT:
      dpi_str_add(out, e->op == PETAB_MINUS ? "(-" : "(!");
      print(p, e->arg[0], put, out);
      break;
    default:
      dpi_str_add(out, "(");
      print(p, e->arg[0], put, out);
      dpi_str_addf(out, " %s ", e->op == PETAB_POWER ? "^" : relations[e->fn]);
      print(p, e->arg[1], put, out);
  }
  dpi_str_add(out, ")");
}

void dpi_petab_print(const dpi_petab *p, const dpi_petab_expr *e, const char *const *put, dpi_str *out) {
  print(p, e, put, out);
}
