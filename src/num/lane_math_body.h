/* lane_math_body.h - floor 1, inside the room: one set of lane_math.h. A body, not an interface: whoever includes it
 * defines
 *
 *     LANE_SET           name of the set
 *     LANE_W             width
 *     LANE_SLEEF(fn, u)  SLEEF's function of that name and error bound
 *     LANE_ANY(m)        is any lane of this mask set?
 *
 * and is compiled for the processor the set needs. Everything but the functions themselves is static: no code for one
 * processor may be taken for another's by the linker. What was defined is undefined again at the end.
 */
#include <float.h>

#include "num/lane_math.h"

#define LANE_JOIN_(a, b) a##_##b
#define LANE_JOIN(a, b) LANE_JOIN_(a, b)
#define VEC LANE_JOIN(vec, LANE_SET)
#define MASK LANE_JOIN(mask, LANE_SET)
#define SIZE LANE_JOIN(size, LANE_SET)
#define PATCH1 LANE_JOIN(patch1, LANE_SET)
#define PATCH2 LANE_JOIN(patch2, LANE_SET)

typedef double VEC __attribute__((vector_size(8 * LANE_W), may_alias));
typedef int64_t MASK __attribute__((vector_size(8 * LANE_W), may_alias));

static inline VEC SIZE(VEC x) { return (VEC)((MASK)x & INT64_MAX); }

/* the lanes of m again, by the scalar function */
__attribute__((noinline, cold)) static void PATCH1(double (*fn)(double), VEC x, MASK m, double *out) {
  for (int l = 0; l < LANE_W; l++)
    if (m[l] != 0) out[l] = fn(x[l]);
}

__attribute__((noinline, cold)) static void PATCH2(double (*fn)(double, double), VEC x, VEC y, MASK m, double *out) {
  for (int l = 0; l < LANE_W; l++)
    if (m[l] != 0) out[l] = fn(x[l], y[l]);
}

#define PLAIN(name, u)                                                                   \
  extern VEC LANE_SLEEF(name, u)(VEC);                                                   \
  void LANE_JOIN(dpi_lane_##name, LANE_SET)(const double *a, const double *b, double *out) { \
    (void)b;                                                                             \
    *(VEC *)out = LANE_SLEEF(name, u)(*(const VEC *)a);                                  \
  }
/* edge: what mathfn.c puts right, or more */
#define EDGED(name, u, edge)                                                             \
  extern VEC LANE_SLEEF(name, u)(VEC);                                                   \
  void LANE_JOIN(dpi_lane_##name, LANE_SET)(const double *a, const double *b, double *out) { \
    (void)b;                                                                             \
    VEC x = *(const VEC *)a;                                                             \
    *(VEC *)out = LANE_SLEEF(name, u)(x);                                                \
    MASK m = (edge);                                                                     \
    if (__builtin_expect(LANE_ANY(m), 0)) PATCH1(dpi_m_##name, x, m, out);               \
  }

PLAIN(exp, 10)
PLAIN(expm1, 10)
PLAIN(log, 10)
PLAIN(log10, 10)
PLAIN(sin, 10)
PLAIN(cos, 10)
PLAIN(asin, 10)
PLAIN(acos, 10)
PLAIN(atan, 10)
PLAIN(tanh, 35)
PLAIN(atanh, 10)
PLAIN(erf, 10)
PLAIN(lgamma, 10)
EDGED(log1p, 10, (MASK)(SIZE(x) < DBL_MIN) | (MASK)(x > 1e300))
EDGED(tan, 10, (MASK)(SIZE(x) < DBL_MIN))
EDGED(sinh, 10, (MASK)(SIZE(x) > 709.0))
EDGED(cosh, 10, (MASK)(SIZE(x) > 709.0))
EDGED(asinh, 10, (MASK)(SIZE(x) < DBL_MIN) | (MASK)(SIZE(x) > 1e150))
EDGED(acosh, 10, (MASK)(x > 1e150))

extern VEC LANE_SLEEF(atan2, 10)(VEC, VEC);
void LANE_JOIN(dpi_lane_atan2, LANE_SET)(const double *a, const double *b, double *out) {
  *(VEC *)out = LANE_SLEEF(atan2, 10)(*(const VEC *)a, *(const VEC *)b);
}

extern VEC LANE_SLEEF(pow, 10)(VEC, VEC);
void LANE_JOIN(dpi_lane_pow, LANE_SET)(const double *a, const double *b, double *out) {
  VEC x = *(const VEC *)a, y = *(const VEC *)b, r = LANE_SLEEF(pow, 10)(x, y);
  *(VEC *)out = r;
  MASK m = (MASK)(SIZE(r) > DBL_MAX);
  if (__builtin_expect(LANE_ANY(m), 0)) PATCH2(dpi_m_pow, x, y, m, out);
}

#undef PLAIN
#undef EDGED
#undef PATCH1
#undef PATCH2
#undef SIZE
#undef MASK
#undef VEC
#undef LANE_JOIN
#undef LANE_JOIN_
#undef LANE_ANY
#undef LANE_SLEEF
#undef LANE_W
#undef LANE_SET
