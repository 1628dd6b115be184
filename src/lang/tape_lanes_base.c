/* tape_lanes_base.c - floor 3: one lane and two, as every processor of its kind can: SSE2, NEON, plain C. */
#include <math.h>

#include "lang/tape_lanes.h"

#define LANE_TABLE dpi_lane_ops_plain_fma1
#define LANE_SET each1
#define LANE_W 1
#define LANE_ISA "plain"
#define LANE_FUSED true
#define LANE_FMA(a, b, c) fma(a, b, c)
#include "lang/tape_lanes_body.h"

#define LANE_TABLE dpi_lane_ops_plain_nofma1
#define LANE_SET each1
#define LANE_W 1
#define LANE_ISA "plain"
#define LANE_FUSED false
#define LANE_FMA(a, b, c) ((a) * (b) + (c))
#include "lang/tape_lanes_body.h"

typedef double pair __attribute__((vector_size(16)));
static inline pair pair_fma(pair a, pair b, pair c) { return (pair){fma(a[0], b[0], c[0]), fma(a[1], b[1], c[1])}; }

#if defined(__x86_64__)
#include <emmintrin.h>
#define PAIR_SQRT(a) _mm_sqrt_pd(a)
#else
static inline pair pair_sqrt(pair a) { return (pair){sqrt(a[0]), sqrt(a[1])}; }
#define PAIR_SQRT(a) pair_sqrt(a)
#endif

#define LANE_TABLE dpi_lane_ops_plain_fma2
#define LANE_SET each2
#define LANE_W 2
#define LANE_ISA "plain"
#define LANE_FUSED true
#define LANE_FMA(a, b, c) pair_fma(a, b, c)
#define LANE_SQRT(a) PAIR_SQRT(a)
#include "lang/tape_lanes_body.h"

#if defined(__x86_64__)
#define LANE_TABLE dpi_lane_ops_sse2_nofma2
#define LANE_SET sse2_nofma2
#define LANE_W 2
#define LANE_ISA "sse2"
#define LANE_FUSED false
#define LANE_FMA(a, b, c) ((a) * (b) + (c))
#define LANE_SQRT(a) PAIR_SQRT(a)
#include "lang/tape_lanes_body.h"

#elif defined(__aarch64__)
#include <arm_neon.h>

#define LANE_TABLE dpi_lane_ops_neon_fma2
#define LANE_SET neon_fma2
#define LANE_W 2
#define LANE_ISA "neon"
#define LANE_FUSED true
#define LANE_FMA(a, b, c) (pair)vfmaq_f64((float64x2_t)(c), (float64x2_t)(a), (float64x2_t)(b))
#define LANE_SQRT(a) (pair)vsqrtq_f64((float64x2_t)(a))
#include "lang/tape_lanes_body.h"

#define LANE_TABLE dpi_lane_ops_neon_nofma2
#define LANE_SET neon_nofma2
#define LANE_W 2
#define LANE_ISA "neon"
#define LANE_FUSED false
#define LANE_FMA(a, b, c) ((a) * (b) + (c))
#define LANE_SQRT(a) (pair)vsqrtq_f64((float64x2_t)(a))
#include "lang/tape_lanes_body.h"

#else
#define LANE_TABLE dpi_lane_ops_plain_nofma2
#define LANE_SET each2
#define LANE_W 2
#define LANE_ISA "plain"
#define LANE_FUSED false
#define LANE_FMA(a, b, c) ((a) * (b) + (c))
#define LANE_SQRT(a) PAIR_SQRT(a)
#include "lang/tape_lanes_body.h"
#endif
