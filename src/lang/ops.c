/* ops.c - floor 3: the meaning of each operation, in one place for folding and for tapes.
 *
 * 1. comparisons and logic give 0 or 1; a number counts as true when it is not 0 (NaN counts as true);
 * 2. min and max give NaN when either argument is NaN;
 * 3. only reproducible functions (num.h) and exactly rounded ones (sqrt, floor, ceil, fmod, fma) are used.
 */
#include <math.h>

#include "lang/lang_impl.h"

const dpi_op_info dpi_op_table[DPI_OP_COUNT] = {
#define DPI_OP_ROW(name, arity, text) {text, arity},
    DPI_OP_LIST(DPI_OP_ROW)
#undef DPI_OP_ROW
};

int dpi_op_arity(dpi_op op) { return dpi_op_table[op].arity; }

bool dpi_op_hides(dpi_op op) {
  return op == DPI_OP_FLOOR || op == DPI_OP_CEIL || op == DPI_OP_SIGN || op == DPI_OP_MOD || op == DPI_OP_DIGAMMA ||
         op == DPI_OP_IF || (op >= DPI_OP_LT && op <= DPI_OP_NOT);
}

double dpi_powi(double x, int n) {
  unsigned k = n < 0 ? 0u - (unsigned)n : (unsigned)n;
  double r = 1.0, b = x;
  bool first = true;
  for (; k != 0; k >>= 1) {
    if (k & 1u) {
      r = first ? b : r * b;
      first = false;
    }
    if (k > 1) b = b * b;
  }
  return n < 0 ? 1.0 / r : r;
}

/* psi(x): reflection below 0, recurrence up to 10, then the asymptotic series (Abramowitz & Stegun 6.3.7, 6.3.5,
 * 6.3.18). */
double dpi_op_digamma(double x) {
  const double pi = 3.14159265358979323846;
  if (x != x) return x;
  if (x <= 0.0 && floor(x) == x) return NAN;
  double extra = 0.0;
  if (x < 0.0) {
    double frac = x - floor(x);
    extra = -pi / dpi_m_tan(pi * frac);
    x = 1.0 - x;
  }
  for (; x < 10.0; x += 1.0) extra -= 1.0 / x;
  double z = 1.0 / (x * x);
  double tail =
      z * (1.0 / 12 -
           z * (1.0 / 120 -
                z * (1.0 / 252 -
                     z * (1.0 / 240 - z * (1.0 / 132 - z * (691.0 / 32760 - z * (1.0 / 12)))))));
  return extra + dpi_m_log(x) - 0.5 / x - tail;
}

static double sign_of(double x) { return x != x ? x : (double)((x > 0.0) - (x < 0.0)); }

static double eval_function(dpi_op op, double a) {
  switch (op) {
    case DPI_OP_EXP:
      return dpi_m_exp(a);
    case DPI_OP_LOG:
      return dpi_m_log(a);
    case DPI_OP_LOG10:
      return dpi_m_log10(a);
    case DPI_OP_SIN:
      return dpi_m_sin(a);
    case DPI_OP_COS:
      return dpi_m_cos(a);
    case DPI_OP_TAN:
      return dpi_m_tan(a);
    case DPI_OP_ASIN:
      return dpi_m_asin(a);
    case DPI_OP_ACOS:
      return dpi_m_acos(a);
    case DPI_OP_ATAN:
      return dpi_m_atan(a);
    case DPI_OP_SINH:
      return dpi_m_sinh(a);
    case DPI_OP_COSH:
      return dpi_m_cosh(a);
    case DPI_OP_TANH:
      return dpi_m_tanh(a);
    case DPI_OP_ASINH:
      return dpi_m_asinh(a);
    case DPI_OP_ACOSH:
      return dpi_m_acosh(a);
    case DPI_OP_ATANH:
      return dpi_m_atanh(a);
    case DPI_OP_EXPM1:
      return dpi_m_expm1(a);
    case DPI_OP_LOG1P:
      return dpi_m_log1p(a);
    case DPI_OP_ERF:
      return dpi_m_erf(a);
    case DPI_OP_LGAMMA:
      return dpi_m_lgamma(a);
    case DPI_OP_DIGAMMA:
      return dpi_op_digamma(a);
    default:
      return NAN;
  }
}

double dpi_op_eval(dpi_op op, double a, double b, double c) {
  switch (op) {
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
      return dpi_m_pow(a, b);
    case DPI_OP_SQRT:
      return sqrt(a);
    case DPI_OP_ABS:
      return fabs(a);
    case DPI_OP_FLOOR:
      return floor(a);
    case DPI_OP_CEIL:
      return ceil(a);
    case DPI_OP_SIGN:
      return sign_of(a);
    case DPI_OP_ATAN2:
      return dpi_m_atan2(a, b);
    case DPI_OP_MIN:
      return a < b || a != a ? a : b;
    case DPI_OP_MAX:
      return a > b || a != a ? a : b;
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
      return a != 0.0 && b != 0.0;
    case DPI_OP_OR:
      return a != 0.0 || b != 0.0;
    case DPI_OP_NOT:
      return a == 0.0;
    case DPI_OP_IF:
      return a != 0.0 ? b : c;
    case DPI_OP_FMA:
      return dpi_m_fma(a, b, c);
    default:
      return eval_function(op, a);
  }
}
