/* lane_math_avx2.c - floor 1: functions in four and two lanes with fused multiply-add. Compiled with -mavx2 -mfma
 * (room.cmake). */
#include "num/lane_math.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define LANE_SET avx2_fma4
#define LANE_W 4
#define LANE_SLEEF(fn, u) Sleef_finz_##fn##d4_u##u##avx2
#define LANE_ANY(m) (_mm256_movemask_pd((__m256d)(m)) != 0)
#include "num/lane_math_body.h"

#define LANE_SET avx2_fma2
#define LANE_W 2
#define LANE_SLEEF(fn, u) Sleef_finz_##fn##d2_u##u##avx2128
#define LANE_ANY(m) (_mm_movemask_pd((__m128d)(m)) != 0)
#include "num/lane_math_body.h"
#endif
