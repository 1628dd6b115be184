/* tape_lanes_avx.c - floor 3: four lanes without fused multiply-add. Compiled with -mavx (room.cmake). */
#include "lang/tape_lanes.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define LANE_TABLE dpi_lane_ops_avx_nofma4
#define LANE_SET avx_nofma4
#define LANE_W 4
#define LANE_ISA "avx"
#define LANE_FUSED false
#define LANE_FMA(a, b, c) ((a) * (b) + (c))
#define LANE_SQRT(a) _mm256_sqrt_pd(a)
#include "lang/tape_lanes_body.h"
#endif
