/* mathfn.c - reproducible elementary functions: one table of SLEEF's functions, chosen once from
 * the processor.
 *
 * SLEEF's finz (fused multiply-add) and cinz (without) give the same bits on every machine and at
 * every vector width. What SLEEF 3.5 gets wrong at the edge of the double range is put right
 * here, after the call, in branches that only such arguments enter; a vector caller must apply
 * the same list (README.md, "Edges"):
 *   sinh, cosh  overflow from 709.79 though the result is finite up to 710.47;
 *   asinh, acosh  square their argument: infinite beyond 1.3e154;
 *   log1p  infinite beyond 8e307, 0 for denormals; tan, asinh give 0 for denormals;
 *   pow  infinite within a factor 1 + 1e-9 of the largest double.
 */
#include "num/num.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* our name, SLEEF's name, error bound in its name */
// clang-format off
#define DPI_MATH_LIST(X)                                                          \
  X(exp, 10) X(expm1, 10) X(log, 10) X(log10, 10) X(log1p, 10) X(sin, 10)         \
  X(cos, 10) X(tan, 10) X(asin, 10) X(acos, 10) X(atan, 10) X(sinh, 10)           \
  X(cosh, 10) X(tanh, 35) X(asinh, 10) X(acosh, 10) X(atanh, 10) X(erf, 10)       \
  X(erfc, 15) X(lgamma, 10) X(cbrt, 10)
// clang-format on

#define DPI_MATH_DECLARE(name, u)                             \
  extern double Sleef_finz_##name##d1_u##u##purecfma(double); \
  extern double Sleef_cinz_##name##d1_u##u##purec(double);
DPI_MATH_LIST(DPI_MATH_DECLARE)
extern double Sleef_finz_powd1_u10purecfma(double, double);
extern double Sleef_cinz_powd1_u10purec(double, double);
extern double Sleef_finz_atan2d1_u10purecfma(double, double);
extern double Sleef_cinz_atan2d1_u10purec(double, double);

typedef struct math_table {
  const char *name;
#define DPI_MATH_FIELD(name, u) double (*name)(double);
  DPI_MATH_LIST(DPI_MATH_FIELD)
#undef DPI_MATH_FIELD
  double (*pow)(double, double);
  double (*atan2)(double, double);
} math_table;

#define DPI_MATH_FMA(name, u) .name = Sleef_finz_##name##d1_u##u##purecfma,
#define DPI_MATH_NOFMA(name, u) .name = Sleef_cinz_##name##d1_u##u##purec,
static const math_table table_fma = {.name = "fma",
                                     DPI_MATH_LIST(DPI_MATH_FMA).pow = Sleef_finz_powd1_u10purecfma,
                                     .atan2 = Sleef_finz_atan2d1_u10purecfma};
static const math_table table_nofma = {
    .name = "nofma",
    DPI_MATH_LIST(DPI_MATH_NOFMA).pow = Sleef_cinz_powd1_u10purec,
    .atan2 = Sleef_cinz_atan2d1_u10purec};

/* Set before main by the constructor below, so that no call pays for a check. */
static const math_table *math = &table_nofma;

/* True when the processor (and, for the wide registers, the operating system) offers fused
 * multiply-add. */
static bool processor_has_fma(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_cpu_init();
  return __builtin_cpu_supports("fma");
#elif defined(__aarch64__) || defined(FP_FAST_FMA)
  return true;
#else
  return false;
#endif
}

__attribute__((constructor)) static void select_from_processor(void) {
  math = processor_has_fma() ? &table_fma : &table_nofma;
}

bool dpi_math_select(const char *name) {
  if (!name) {
    select_from_processor();
    return true;
  }
  if (strcmp(name, "nofma") == 0) {
    math = &table_nofma;
    return true;
  }
  if (strcmp(name, "fma") == 0 && processor_has_fma()) {
    math = &table_fma;
    return true;
  }
  return false;
}

const char *dp_arithmetic(void) { return math->name; }

#define DPI_MATH_PLAIN(fn) \
  double dpi_m_##fn(double x) { return math->fn(x); }
DPI_MATH_PLAIN(exp)
DPI_MATH_PLAIN(expm1)
DPI_MATH_PLAIN(log)
DPI_MATH_PLAIN(log10)
DPI_MATH_PLAIN(sin)
DPI_MATH_PLAIN(cos)
DPI_MATH_PLAIN(asin)
DPI_MATH_PLAIN(acos)
DPI_MATH_PLAIN(atan)
DPI_MATH_PLAIN(tanh)
DPI_MATH_PLAIN(atanh)
DPI_MATH_PLAIN(erf)
DPI_MATH_PLAIN(erfc)
DPI_MATH_PLAIN(lgamma)
DPI_MATH_PLAIN(cbrt)

double dpi_m_atan2(double y, double x) { return math->atan2(y, x); }

double dpi_m_fma(double a, double b, double c) { return math == &table_fma ? fma(a, b, c) : a * b + c; }

/* ln(1 + x). */
double dpi_m_log1p(double x) {
  if (fabs(x) < DBL_MIN) return x;
  if (x > 1e300 && x <= DBL_MAX) return math->log(x);
  return math->log1p(x);
}

double dpi_m_tan(double x) { return fabs(x) < DBL_MIN ? x : math->tan(x); }

/* sinh x; near overflow e^x/2 as the product of two representable factors. */
double dpi_m_sinh(double x) {
  if (fabs(x) > 709.0 && fabs(x) <= DBL_MAX) {
    double h = math->exp(0.5 * fabs(x));
    return copysign(0.5 * h * h, x);
  }
  return math->sinh(x);
}

double dpi_m_cosh(double x) {
  if (fabs(x) > 709.0 && fabs(x) <= DBL_MAX) {
    double h = math->exp(0.5 * fabs(x));
    return 0.5 * h * h;
  }
  return math->cosh(x);
}

#define LN2 0x1.62e42fefa39efp-1

/* asinh x; for large |x| it is ln|x| + ln 2 to the last bit. */
double dpi_m_asinh(double x) {
  double a = fabs(x);
  if (a < DBL_MIN) return x;
  if (a > 1e150 && a <= DBL_MAX) return copysign(math->log(a) + LN2, x);
  return math->asinh(x);
}

double dpi_m_acosh(double x) {
  if (x > 1e150 && x <= DBL_MAX) return math->log(x) + LN2;
  return math->acosh(x);
}

/* x^y; an infinity from finite arguments is tried again through the square root of the result. */
double dpi_m_pow(double x, double y) {
  if (y == 0.0) return 1.0; /* of anything; factors of covariates that are off */
  double r = math->pow(x, y);
  if (fabs(r) <= DBL_MAX || r != r) return r;
  if (!(fabs(x) <= DBL_MAX && fabs(y) <= DBL_MAX) || x == 0.0) return r;
  if (y == 1.0) return x;
  double h = math->pow(fabs(x), 0.5 * y);
  return copysign(h * h, r);
}
