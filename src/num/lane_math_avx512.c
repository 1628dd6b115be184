/* lane_math_avx512.c - floor 1: functions in eight lanes. Compiled with -mavx512f -mavx512dq (room.cmake). */
#include "num/lane_math.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define LANE_SET avx512_fma
#define LANE_W 8
#define LANE_SLEEF(fn, u) Sleef_finz_##fn##d8_u##u##avx512f
#define LANE_ANY(m) (_mm512_movepi64_mask((__m512i)(m)) != 0)
#include "num/lane_math_body.h"

#define LANE_SET avx512_nofma
#define LANE_W 8
#define LANE_SLEEF(fn, u) Sleef_cinz_##fn##d8_u##u##avx512fnofma
#define LANE_ANY(m) (_mm512_movepi64_mask((__m512i)(m)) != 0)
#include "num/lane_math_body.h"
#endif
