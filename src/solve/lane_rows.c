/* lane_rows.c - floor 3: rows of eight by AVX-512F where there is such a processor, else lane by lane. */
#include "solve/lane_rows.h"

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx512f"))) static void move_eight(double *const *to, const double *const *from, int n,
                                                          uint32_t mask) {
  if (mask == 0xff) {
    for (int i = 0; i < n; i++) _mm512_storeu_pd(to[i], _mm512_loadu_pd(from[i]));
    return;
  }
  for (int i = 0; i < n; i++) _mm512_mask_storeu_pd(to[i], (__mmask8)mask, _mm512_loadu_pd(from[i]));
}

__attribute__((target("avx512f"))) static void move_sixteen(double *const *to, const double *const *from, int n,
                                                            uint32_t mask) {
  const __mmask8 low = (__mmask8)mask, high = (__mmask8)(mask >> 8);
  if (mask == 0xffff) {
    for (int i = 0; i < n; i++) {
      _mm512_storeu_pd(to[i], _mm512_loadu_pd(from[i]));
      _mm512_storeu_pd(to[i] + 8, _mm512_loadu_pd(from[i] + 8));
    }
    return;
  }
  for (int i = 0; i < n; i++) {
    _mm512_mask_storeu_pd(to[i], low, _mm512_loadu_pd(from[i]));
    _mm512_mask_storeu_pd(to[i] + 8, high, _mm512_loadu_pd(from[i] + 8));
  }
}

__attribute__((target("avx512f"))) static uint32_t wild_eights(int lanes, const double *row) {
  const __m512d most = _mm512_set1_pd(DBL_MAX);
  uint32_t wild = 0;
  for (int l = 0; l < lanes; l += 8) {
    const __mmask8 m = _mm512_cmp_pd_mask(_mm512_abs_pd(_mm512_loadu_pd(row + l)), most, _CMP_NLE_UQ);
    wild |= (uint32_t)m << l;
  }
  return wild;
}
#endif

void dpi_rows_move(int vector, int lanes, double *const *to, const double *const *from, int n, uint32_t mask) {
#if defined(__x86_64__)
  if (vector == 8 && lanes <= 16) {
    if (lanes == 8)
      move_eight(to, from, n, mask);
    else
      move_sixteen(to, from, n, mask);
    return;
  }
#endif
  (void)vector;
  const size_t size = (size_t)lanes * sizeof(double);
  for (int i = 0; i < n; i++) {
    if (mask == (1u << lanes) - 1) {
      if (to[i] != from[i]) memcpy(to[i], from[i], size);
      continue;
    }
    for (uint32_t left = mask; left; left &= left - 1) to[i][__builtin_ctz(left)] = from[i][__builtin_ctz(left)];
  }
}

uint32_t dpi_rows_wild(int vector, int lanes, const double *row) {
#if defined(__x86_64__)
  if (vector == 8) return wild_eights(lanes, row);
#endif
  (void)vector;
  uint32_t wild = 0;
  for (int l = 0; l < lanes; l++) wild |= (uint32_t) !(fabs(row[l]) <= DBL_MAX) << l;
  return wild;
}
