/* lane_normal_plain.c - floor 1: normal numbers of eight streams at once, on any processor.
 *
 * Philox4x32-10 as in philox.c, words as 64-bit numbers below 2^32; the middle of the inverse distribution function: M.
 * J. Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Appl. Statist. 37 (1988) 477,
 * routine PPND16, as in normdist.c: the same operations in the same order, in loops over lanes without branches, for
 * the vectoriser. What lies in the tails (15 %) is found again by the scalar function. */
#include <math.h>

#include "num/lane_normal.h"
#include "num/ppnd16.h"

#define LOW 0xffffffffu
enum { L = DPI_NORMAL_LANES };

static void philox(uint64_t key, const uint64_t *stream, const uint64_t *counter, uint64_t *out) {
  uint64_t c0[L], c1[L], c2[L], c3[L], k0 = key & LOW, k1 = key >> 32;
  for (int l = 0; l < L; l++) {
    c0[l] = counter[l] & LOW;
    c1[l] = counter[l] >> 32;
    c2[l] = stream[l] & LOW;
    c3[l] = stream[l] >> 32;
  }
  for (int r = 0; r < 10; r++) {
    for (int l = 0; l < L; l++) {
      const uint64_t p0 = 0xD2511F53u * c0[l], p1 = 0xCD9E8D57u * c2[l];
      c0[l] = (p1 >> 32) ^ c1[l] ^ k0;
      c1[l] = p1 & LOW;
      c2[l] = (p0 >> 32) ^ c3[l] ^ k1;
      c3[l] = p0 & LOW;
    }
    k0 = (k0 + 0x9E3779B9u) & LOW;
    k1 = (k1 + 0xBB67AE85u) & LOW;
  }
  for (int l = 0; l < L; l++) out[l] = c1[l] << 32 | c0[l];
}

static void eight(uint64_t key, const uint64_t *stream, const uint64_t *counter, double *z) {
  static const double a[8] = DPI_PPND16_A;
  static const double b[8] = DPI_PPND16_B;
  uint64_t bits[L];
  double p[L], q[L], x[L], top[L], low[L];
  unsigned tails = 0;
  philox(key, stream, counter, bits);
  for (int l = 0; l < L; l++) p[l] = ((double)(int64_t)(bits[l] >> 12) + 0.5) * 0x1p-52;
  for (int l = 0; l < L; l++) q[l] = p[l] - 0.5;
  for (int l = 0; l < L; l++) x[l] = 0.180625 - q[l] * q[l];
  for (int l = 0; l < L; l++) top[l] = a[7], low[l] = b[7];
  for (int k = 6; k >= 0; k--)
    for (int l = 0; l < L; l++) {
      top[l] = top[l] * x[l] + a[k];
      low[l] = low[l] * x[l] + b[k];
    }
  for (int l = 0; l < L; l++) z[l] = q[l] * (top[l] / low[l]);
  for (int l = 0; l < L; l++) tails |= (unsigned)(fabs(q[l]) > 0.425) << l;
  for (; tails; tails &= tails - 1) {
    const int l = __builtin_ctz(tails);
    z[l] = dpi_norm_quantile(p[l]);
  }
}

void dpi_lane_normal_plain(uint64_t key, const uint64_t *stream, const uint64_t *counter, int n, dpi_lane_math_fn log,
                           double *z, int stride) {
  (void)log;
  for (int i = 0; i < n; i++) {
    uint64_t at[L];
    for (int l = 0; l < L; l++) at[l] = counter[l] + (uint64_t)i;
    eight(key, stream, at, z + (size_t)i * (size_t)stride);
  }
}
