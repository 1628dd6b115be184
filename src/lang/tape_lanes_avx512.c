/* tape_lanes_avx512.c - floor 3: eight lanes. Compiled with -mavx512f -mavx512dq -mfma (room.cmake). */
#include "lang/tape_lanes.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define LANE_TABLE dpi_lane_ops_avx512_fma
#define LANE_SET avx512_fma
#define LANE_W 8
#define LANE_ISA "avx512"
#define LANE_FUSED true
#define LANE_FMA(a, b, c) _mm512_fmadd_pd(a, b, c)
#define LANE_SQRT(a) _mm512_sqrt_pd(a)
#include "lang/tape_lanes_body.h"

#define LANE_TABLE dpi_lane_ops_avx512_nofma
#define LANE_SET avx512_nofma
#define LANE_W 8
#define LANE_ISA "avx512"
#define LANE_FUSED false
#define LANE_FMA(a, b, c) ((a) * (b) + (c))
#define LANE_SQRT(a) _mm512_sqrt_pd(a)
#include "lang/tape_lanes_body.h"
#endif
