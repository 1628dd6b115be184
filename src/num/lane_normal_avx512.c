/* lane_normal_avx512.c - floor 1: normal numbers of eight streams at once. Compiled with -mavx512f -mavx512dq
 * (room.cmake).
 *
 * What normdist.c and philox.c do, the same operations in the same order, for four counters of eight streams side by
 * side: one waits for its own rounds, several do not. Numbers in the tails of the distribution (15 %) are gathered and
 * gone through eight at a time; those beyond 5 in AS 241's r (below exp(-25)) are left to the scalar function. */
#if defined(__x86_64__)
#include <immintrin.h>

#include "num/lane_normal.h"
#include "num/ppnd16.h"

enum { L = DPI_NORMAL_LANES, SIDE = 4, ROOM = (SIDE + 1) * L };

/* of the tails: their probabilities, and where in z the numbers belong */
typedef struct tails {
  int n;
  _Alignas(64) double p[ROOM + L];
  _Alignas(64) int64_t place[ROOM + L];
} tails;

typedef struct words {
  __m512i c0, c1, c2, c3; /* 64 bits each; of c0 and c2 only the lower halves count */
} words;

static inline words turn(words w, __m512i k0, __m512i k1) {
  const __m512i low = _mm512_set1_epi64(0xffffffff);
  const __m512i p0 = _mm512_mul_epu32(_mm512_set1_epi64(0xD2511F53), w.c0);
  const __m512i p1 = _mm512_mul_epu32(_mm512_set1_epi64(0xCD9E8D57), w.c2);
  return (words){_mm512_xor_si512(_mm512_xor_si512(_mm512_srli_epi64(p1, 32), w.c1), k0), _mm512_and_si512(p1, low),
                 _mm512_xor_si512(_mm512_xor_si512(_mm512_srli_epi64(p0, 32), w.c3), k1), _mm512_and_si512(p0, low)};
}

static inline words begin(__m512i counter, __m512i stream) {
  return (words){counter, _mm512_srli_epi64(counter, 32), stream, _mm512_srli_epi64(stream, 32)};
}

/* Odd multiples of 2^-53. */
static inline __m512d uniform(words w) {
  const __m512i low = _mm512_set1_epi64(0xffffffff);
  const __m512i bits = _mm512_or_si512(_mm512_slli_epi64(w.c1, 32), _mm512_and_si512(w.c0, low));
  const __m512d top = _mm512_cvtepi64_pd(_mm512_srli_epi64(bits, 12));
  return _mm512_mul_pd(_mm512_add_pd(top, _mm512_set1_pd(0.5)), _mm512_set1_pd(0x1p-52));
}

static void four(uint64_t key, __m512i stream, __m512i counter, __m512d p[SIDE]) {
  const __m512i one = _mm512_set1_epi64(1), two = _mm512_set1_epi64(2);
  const __m512i second = _mm512_add_epi64(counter, one);
  words a = begin(counter, stream), b = begin(second, stream), c = begin(_mm512_add_epi64(counter, two), stream),
        d = begin(_mm512_add_epi64(second, two), stream);
  uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
  for (int r = 0; r < 10; r++) {
    const __m512i v0 = _mm512_set1_epi64(k0), v1 = _mm512_set1_epi64(k1);
    a = turn(a, v0, v1);
    b = turn(b, v0, v1);
    c = turn(c, v0, v1);
    d = turn(d, v0, v1);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  p[0] = uniform(a);
  p[1] = uniform(b);
  p[2] = uniform(c);
  p[3] = uniform(d);
}

static inline __m512d next(__m512d v, __m512d x, double coefficient) {
  return _mm512_add_pd(_mm512_mul_pd(v, x), _mm512_set1_pd(coefficient));
}

/* The middle of four. */
static void middle(const __m512d q[SIDE], __m512d z[SIDE]) {
  static const double a[8] = DPI_PPND16_A;
  static const double b[8] = DPI_PPND16_B;
  __m512d x0, x1, x2, x3, t0, t1, t2, t3, u0, u1, u2, u3;
  const __m512d from = _mm512_set1_pd(0.180625);
  x0 = _mm512_sub_pd(from, _mm512_mul_pd(q[0], q[0]));
  x1 = _mm512_sub_pd(from, _mm512_mul_pd(q[1], q[1]));
  x2 = _mm512_sub_pd(from, _mm512_mul_pd(q[2], q[2]));
  x3 = _mm512_sub_pd(from, _mm512_mul_pd(q[3], q[3]));
  t0 = t1 = t2 = t3 = _mm512_set1_pd(a[7]);
  u0 = u1 = u2 = u3 = _mm512_set1_pd(b[7]);
  for (int k = 6; k >= 0; k--) {
    t0 = next(t0, x0, a[k]);
    t1 = next(t1, x1, a[k]);
    t2 = next(t2, x2, a[k]);
    t3 = next(t3, x3, a[k]);
    u0 = next(u0, x0, b[k]);
    u1 = next(u1, x1, b[k]);
    u2 = next(u2, x2, b[k]);
    u3 = next(u3, x3, b[k]);
  }
  z[0] = _mm512_mul_pd(q[0], _mm512_div_pd(t0, u0));
  z[1] = _mm512_mul_pd(q[1], _mm512_div_pd(t1, u1));
  z[2] = _mm512_mul_pd(q[2], _mm512_div_pd(t2, u2));
  z[3] = _mm512_mul_pd(q[3], _mm512_div_pd(t3, u3));
}

/* The last eight of those gathered, or all of them if they are fewer. */
static void eight_tails(tails *t, dpi_lane_math_fn log, double *z) {
  static const double c[8] = DPI_PPND16_C;
  static const double d[8] = DPI_PPND16_D;
  const int n = t->n < L ? t->n : L, first = t->n - n;
  _Alignas(64) double side[L], value[L];
  const __m512d p = _mm512_loadu_pd(t->p + first), zero = _mm512_setzero_pd();
  const __mmask8 below = _mm512_cmp_pd_mask(_mm512_sub_pd(p, _mm512_set1_pd(0.5)), zero, _CMP_LT_OQ);
  _mm512_store_pd(side, _mm512_mask_mov_pd(_mm512_sub_pd(_mm512_set1_pd(1.0), p), below, p));
  log(side, side, value);
  const __m512i sign = _mm512_set1_epi64(INT64_MIN);
  const __m512d minus = _mm512_castsi512_pd(_mm512_xor_si512(_mm512_castpd_si512(_mm512_load_pd(value)), sign));
  const __m512d r = _mm512_sqrt_pd(minus), x = _mm512_sub_pd(r, _mm512_set1_pd(1.6));
  __m512d top = _mm512_set1_pd(c[7]), low = _mm512_set1_pd(d[7]);
  for (int k = 6; k >= 0; k--) {
    top = next(top, x, c[k]);
    low = next(low, x, d[k]);
  }
  __m512d v = _mm512_div_pd(top, low);
  v = _mm512_mask_mov_pd(v, below, _mm512_castsi512_pd(_mm512_xor_si512(_mm512_castpd_si512(v), sign)));
  _mm512_store_pd(value, v);
  const __mmask8 far = _mm512_cmp_pd_mask(r, _mm512_set1_pd(5.0), _CMP_NLE_UQ);
  for (int l = 0; l < n; l++)
    z[t->place[first + l]] = far >> l & 1 ? dpi_norm_quantile(t->p[first + l]) : value[l];
  t->n = first;
}

/* Numbers of the tails among these eight, whose first belongs at z[first]. */
static inline void gather(tails *t, __m512d p, __m512d q, int64_t first) {
  const __m512i lane = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
  const __mmask8 m = _mm512_cmp_pd_mask(_mm512_abs_pd(q), _mm512_set1_pd(0.425), _CMP_GT_OQ);
  _mm512_mask_compressstoreu_pd(t->p + t->n, m, p);
  _mm512_mask_compressstoreu_epi64(t->place + t->n, m, _mm512_add_epi64(lane, _mm512_set1_epi64(first)));
  t->n += __builtin_popcount(m);
}

void dpi_lane_normal_avx512(uint64_t key, const uint64_t *stream, const uint64_t *counter, int n,
                            dpi_lane_math_fn log, double *z, int stride) {
  tails t;
  t.n = 0;
  for (int l = 0; l < ROOM + L; l++) t.p[l] = 0.01; /* the last ones are filled up with these */
  const __m512i from = _mm512_loadu_si512(counter), streams = _mm512_loadu_si512(stream);
  for (int i = 0; i < n; i += SIDE) {
    __m512d p[SIDE], q[SIDE], v[SIDE];
    four(key, streams, _mm512_add_epi64(from, _mm512_set1_epi64(i)), p);
    for (int k = 0; k < SIDE; k++) q[k] = _mm512_sub_pd(p[k], _mm512_set1_pd(0.5));
    middle(q, v);
    for (int k = 0; k < SIDE && i + k < n; k++) {
      const int64_t at = (int64_t)(i + k) * stride;
      _mm512_storeu_pd(z + at, v[k]);
      gather(&t, p[k], q[k], at);
    }
    while (t.n >= L) eight_tails(&t, log, z);
  }
  if (t.n > 0) eight_tails(&t, log, z);
}
#endif
