/* lane_math_base.c - floor 1: functions in lanes that every processor of its kind can do: two by SSE2 or NEON, and lane
 * by lane. */
#include "num/lane_math.h"

#if defined(__x86_64__)
#include <emmintrin.h>

#define LANE_SET sse2_nofma2
#define LANE_W 2
#define LANE_SLEEF(fn, u) Sleef_cinz_##fn##d2_u##u##sse2
#define LANE_ANY(m) (_mm_movemask_pd((__m128d)(m)) != 0)
#include "num/lane_math_body.h"

#elif defined(__aarch64__)
#define LANE_SET neon_fma2
#define LANE_W 2
#define LANE_SLEEF(fn, u) Sleef_finz_##fn##d2_u##u##advsimd
#define LANE_ANY(m) (((m)[0] | (m)[1]) != 0)
#include "num/lane_math_body.h"

#define LANE_SET neon_nofma2
#define LANE_W 2
#define LANE_SLEEF(fn, u) Sleef_cinz_##fn##d2_u##u##advsimdnofma
#define LANE_ANY(m) (((m)[0] | (m)[1]) != 0)
#include "num/lane_math_body.h"
#endif

#define EACH(name, capitals)                                                             \
  void dpi_lane_##name##_each1(const double *a, const double *b, double *out) {          \
    (void)b;                                                                             \
    *out = dpi_m_##name(*a);                                                             \
  }                                                                                      \
  void dpi_lane_##name##_each2(const double *a, const double *b, double *out) {          \
    (void)b;                                                                             \
    for (int l = 0; l < 2; l++) out[l] = dpi_m_##name(a[l]);                             \
  }
DPI_LANE_MATH_LIST(EACH)

#define EACH2(name, capitals)                                                            \
  void dpi_lane_##name##_each1(const double *a, const double *b, double *out) { *out = dpi_m_##name(*a, *b); } \
  void dpi_lane_##name##_each2(const double *a, const double *b, double *out) {          \
    for (int l = 0; l < 2; l++) out[l] = dpi_m_##name(a[l], b[l]);                       \
  }
DPI_LANE_MATH_LIST2(EACH2)
