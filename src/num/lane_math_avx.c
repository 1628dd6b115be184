/* lane_math_avx.c - floor 1: functions in four lanes without fused multiply-add. Compiled with -mavx (room.cmake). */
#include "num/lane_math.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define LANE_SET avx_nofma4
#define LANE_W 4
#define LANE_SLEEF(fn, u) Sleef_cinz_##fn##d4_u##u##avx
#define LANE_ANY(m) (_mm256_movemask_pd((__m256d)(m)) != 0)
#include "num/lane_math_body.h"
#endif
