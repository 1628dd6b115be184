/* lane_math.h - floor 1: dpi_m_* for several lanes at once, in every lane the same bytes as the scalar function.
 *
 * A *set* is one instruction set, width and arithmetic. It is the caller's business that the processor has the
 * instructions and that the set's arithmetic is the one in force (dp_arithmetic): edges go to the scalar function.
 *
 *     set            width  arithmetic  needs
 *     avx512_fma     8      fma         AVX-512F, DQ          SLEEF ...d8_avx512f
 *     avx512_nofma   8      nofma       AVX-512F, DQ
 *     avx2_fma4      4      fma         AVX2, FMA
 *     avx_nofma4     4      nofma       AVX
 *     avx2_fma2      2      fma         AVX2, FMA
 *     sse2_nofma2    2      nofma       any x86-64
 *     neon_fma2      2      fma         any aarch64
 *     neon_nofma2    2      nofma       any aarch64
 *     each1, each2   1, 2   in force    nothing: the scalar function, lane by lane
 *
 * a, b, out: [width], aligned to their size; out may be a or b; b is read by functions of two arguments only.
 */
#ifndef DPI_LANE_MATH_H
#define DPI_LANE_MATH_H

#include "num/num.h"

typedef void (*dpi_lane_math_fn)(const double *a, const double *b, double *out);

/* what SLEEF calls it (dpi_m_<name> here), the same in capitals */
#define DPI_LANE_MATH_LIST(X)                                                                                      \
  X(exp, EXP) X(expm1, EXPM1) X(log, LOG) X(log10, LOG10) X(log1p, LOG1P) X(sin, SIN) X(cos, COS) X(tan, TAN)      \
  X(asin, ASIN) X(acos, ACOS) X(atan, ATAN) X(sinh, SINH) X(cosh, COSH) X(tanh, TANH) X(asinh, ASINH)              \
  X(acosh, ACOSH) X(atanh, ATANH) X(erf, ERF) X(lgamma, LGAMMA)
#define DPI_LANE_MATH_LIST2(X) X(pow, POW) X(atan2, ATAN2)

#define DPI_LANE_MATH_DECLARE(set)                                                                                 \
  void dpi_lane_exp_##set(const double *a, const double *b, double *out);                                          \
  void dpi_lane_expm1_##set(const double *a, const double *b, double *out);                                        \
  void dpi_lane_log_##set(const double *a, const double *b, double *out);                                          \
  void dpi_lane_log10_##set(const double *a, const double *b, double *out);                                        \
  void dpi_lane_log1p_##set(const double *a, const double *b, double *out);                                        \
  void dpi_lane_sin_##set(const double *a, const double *b, double *out);                                          \
  void dpi_lane_cos_##set(const double *a, const double *b, double *out);                                          \
  void dpi_lane_tan_##set(const double *a, const double *b, double *out);                                          \
  void dpi_lane_asin_##set(const double *a, const double *b, double *out);                                         \
  void dpi_lane_acos_##set(const double *a, const double *b, double *out);                                         \
  void dpi_lane_atan_##set(const double *a, const double *b, double *out);                                         \
  void dpi_lane_sinh_##set(const double *a, const double *b, double *out);                                         \
  void dpi_lane_cosh_##set(const double *a, const double *b, double *out);                                         \
  void dpi_lane_tanh_##set(const double *a, const double *b, double *out);                                         \
  void dpi_lane_asinh_##set(const double *a, const double *b, double *out);                                        \
  void dpi_lane_acosh_##set(const double *a, const double *b, double *out);                                        \
  void dpi_lane_atanh_##set(const double *a, const double *b, double *out);                                        \
  void dpi_lane_erf_##set(const double *a, const double *b, double *out);                                          \
  void dpi_lane_lgamma_##set(const double *a, const double *b, double *out);                                       \
  void dpi_lane_pow_##set(const double *a, const double *b, double *out);                                          \
  void dpi_lane_atan2_##set(const double *a, const double *b, double *out);

DPI_LANE_MATH_DECLARE(each1)
DPI_LANE_MATH_DECLARE(each2)
#if defined(__x86_64__)
DPI_LANE_MATH_DECLARE(avx512_fma)
DPI_LANE_MATH_DECLARE(avx512_nofma)
DPI_LANE_MATH_DECLARE(avx2_fma4)
DPI_LANE_MATH_DECLARE(avx_nofma4)
DPI_LANE_MATH_DECLARE(avx2_fma2)
DPI_LANE_MATH_DECLARE(sse2_nofma2)
#elif defined(__aarch64__)
DPI_LANE_MATH_DECLARE(neon_fma2)
DPI_LANE_MATH_DECLARE(neon_nofma2)
#endif

#endif
