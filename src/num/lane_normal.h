/* lane_normal.h - floor 1: standard normal numbers of up to eight random streams at once, each the number that
 * dpi_rng_normal gives for its stream and counter, to the byte.
 *
 * key: dpi_rng_key(seed, purpose), the same for all. stream, counter, z: [DPI_NORMAL_LANES]; all are computed. The set
 * avx512 needs AVX-512F and DQ; plain runs anywhere. */
#ifndef DPI_LANE_NORMAL_H
#define DPI_LANE_NORMAL_H

#include "num/num.h"

enum { DPI_NORMAL_LANES = 8 };

void dpi_lane_normal_plain(uint64_t key, const uint64_t *stream, const uint64_t *counter, double *z);
#if defined(__x86_64__)
void dpi_lane_normal_avx512(uint64_t key, const uint64_t *stream, const uint64_t *counter, double *z);
#endif

#endif
