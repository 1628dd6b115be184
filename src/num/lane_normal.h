/* lane_normal.h - floor 1: standard normal numbers of eight random streams at once, each the number that
 * dpi_rng_normal gives for its stream and counter, to the byte.
 *
 * key: dpi_rng_key(seed, purpose), the same for all. stream, counter: [DPI_NORMAL_LANES]. z[i * stride + l], i < n, is
 * the number of stream l at counter[l] + i; all are computed, those of several i side by side. The set avx512 needs
 * AVX-512F and DQ, and is handed the logarithm of eight numbers of the arithmetic in force (lane_math.h); plain runs
 * anywhere, and takes none. */
#ifndef DPI_LANE_NORMAL_H
#define DPI_LANE_NORMAL_H

#include "num/lane_math.h"

enum { DPI_NORMAL_LANES = 8 };

typedef void (*dpi_lane_normal_fn)(uint64_t key, const uint64_t *stream, const uint64_t *counter, int n,
                                   dpi_lane_math_fn log, double *z, int stride);
void dpi_lane_normal_plain(uint64_t key, const uint64_t *stream, const uint64_t *counter, int n, dpi_lane_math_fn log,
                           double *z, int stride);
#if defined(__x86_64__)
void dpi_lane_normal_avx512(uint64_t key, const uint64_t *stream, const uint64_t *counter, int n,
                            dpi_lane_math_fn log, double *z, int stride);
#endif

#endif
