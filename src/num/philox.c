/* philox.c - random streams: Philox4x32-10, a keyed bijection of a 128-bit counter.
 *
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
 *
 * Layout (fixed for ever; stored forecasts depend on it):
 *   counter words 0,1 = counter (low, high); words 2,3 = stream (low, high);
 *   key = mix(seed + mix(purpose + 0x9e3779b97f4a7c15)), mix = the finalizer of SplitMix64 (a
 *   bijection), so that for one seed different purposes have different keys;
 *   the number = output words 0 (low half) and 1 (high half).
 */
#include "num/num.h"

#define ROUNDS 10
#define MULTIPLIER_0 0xD2511F53u
#define MULTIPLIER_1 0xCD9E8D57u
#define WEYL_0 0x9E3779B9u
#define WEYL_1 0xBB67AE85u

void dpi_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
  uint32_t k0 = key[0], k1 = key[1];
  for (int r = 0; r < ROUNDS; r++) {
    uint64_t p0 = (uint64_t)MULTIPLIER_0 * c0;
    uint64_t p1 = (uint64_t)MULTIPLIER_1 * c2;
    c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    c1 = (uint32_t)p1;
    c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c3 = (uint32_t)p0;
    k0 += WEYL_0;
    k1 += WEYL_1;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/* Finalizer of SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t mix64(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

dpi_rng dpi_rng_make(uint64_t seed, uint64_t stream, uint32_t purpose) {
  dpi_rng rng = {.seed = seed, .stream = stream, .purpose = purpose, .counter = 0};
  return rng;
}

uint64_t dpi_rng_key(uint64_t seed, uint32_t purpose) { return mix64(seed + mix64(purpose + 0x9e3779b97f4a7c15u)); }

uint64_t dpi_rng_at(uint64_t seed, uint64_t stream, uint32_t purpose, uint64_t counter) {
  uint64_t k = dpi_rng_key(seed, purpose);
  uint32_t key[2] = {(uint32_t)k, (uint32_t)(k >> 32)};
  uint32_t c[4] = {(uint32_t)counter, (uint32_t)(counter >> 32), (uint32_t)stream,
                   (uint32_t)(stream >> 32)};
  uint32_t out[4];
  dpi_philox4x32(c, key, out);
  return (uint64_t)out[1] << 32 | out[0];
}

uint64_t dpi_rng_u64(dpi_rng *rng) {
  return dpi_rng_at(rng->seed, rng->stream, rng->purpose, rng->counter++);
}

/* Odd multiples of 2^-53: never 0 or 1, symmetric about 1/2, each exact. */
double dpi_rng_uniform(dpi_rng *rng) { return ((double)(dpi_rng_u64(rng) >> 12) + 0.5) * 0x1p-52; }

double dpi_rng_normal(dpi_rng *rng) { return dpi_norm_quantile(dpi_rng_uniform(rng)); }

/* FNV-1a over the bytes, then mixed: names that differ in one letter differ in half the bits. */
uint64_t dpi_hash64(const char *text) {
  uint64_t h = 0xcbf29ce484222325u;
  for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
    h ^= *p;
    h *= 0x100000001b3u;
  }
  return mix64(h);
}
