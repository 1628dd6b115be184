/* tape_lanes.h - floor 3, inside the room: the tables of dpi_lane_ops, one for each set of num/lane_math.h. */
#ifndef DPI_TAPE_LANES_H
#define DPI_TAPE_LANES_H

#include "lang/tape.h"

/* whoever asks for one answers for the processor: dpi_lane_ops_find does */
extern const dpi_lane_ops dpi_lane_ops_plain_fma1, dpi_lane_ops_plain_nofma1;
extern const dpi_lane_ops dpi_lane_ops_plain_fma2;
#if defined(__x86_64__)
extern const dpi_lane_ops dpi_lane_ops_avx512_fma, dpi_lane_ops_avx512_nofma;             /* AVX-512F, DQ, FMA */
extern const dpi_lane_ops dpi_lane_ops_avx2_fma4, dpi_lane_ops_avx2_fma2, dpi_lane_ops_avx2_fma1; /* AVX2, FMA */
extern const dpi_lane_ops dpi_lane_ops_avx_nofma4;                                        /* AVX */
extern const dpi_lane_ops dpi_lane_ops_sse2_nofma2;
#elif defined(__aarch64__)
extern const dpi_lane_ops dpi_lane_ops_neon_fma2, dpi_lane_ops_neon_nofma2;
#else
extern const dpi_lane_ops dpi_lane_ops_plain_nofma2;
#endif

#endif
