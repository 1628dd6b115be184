/* tape_lanes_avx2.c - floor 3: four, two lanes and one, fused multiply-add. Compiled with -mavx2 -mfma (room.cmake). */
#include "lang/tape_lanes.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define LANE_TABLE dpi_lane_ops_avx2_fma4
#define LANE_SET avx2_fma4
#define LANE_W 4
#define LANE_ISA "avx2"
#define LANE_FUSED true
#define LANE_FMA(a, b, c) _mm256_fmadd_pd(a, b, c)
#define LANE_SQRT(a) _mm256_sqrt_pd(a)
#include "lang/tape_lanes_body.h"

#define LANE_TABLE dpi_lane_ops_avx2_fma2
#define LANE_SET avx2_fma2
#define LANE_W 2
#define LANE_ISA "avx2"
#define LANE_FUSED true
#define LANE_FMA(a, b, c) _mm_fmadd_pd(a, b, c)
#define LANE_SQRT(a) _mm_sqrt_pd(a)
#include "lang/tape_lanes_body.h"

#define LANE_TABLE dpi_lane_ops_avx2_fma1
#define LANE_SET each1
#define LANE_W 1
#define LANE_ISA "avx2"
#define LANE_FUSED true
#define LANE_FMA(a, b, c) __builtin_fma(a, b, c)
#include "lang/tape_lanes_body.h"
#endif
