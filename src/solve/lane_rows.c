/* lane_rows.c - floor 3: rows of eight by AVX-512F where there is such a processor, else lane by lane. */
#include "solve/lane_rows.h"

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
#endif

void dpi_rows_move(int width, double *const *to, const double *const *from, int n, uint32_t mask) {
#if defined(__x86_64__)
  if (width == 8) {
    move_eight(to, from, n, mask);
    return;
  }
#endif
  const size_t size = (size_t)width * sizeof(double);
  for (int i = 0; i < n; i++) {
    if (mask == (1u << width) - 1) {
      if (to[i] != from[i]) memcpy(to[i], from[i], size);
      continue;
    }
    for (uint32_t left = mask; left; left &= left - 1) to[i][__builtin_ctz(left)] = from[i][__builtin_ctz(left)];
  }
}
