/* vary.c - named variation of a parameter from the counter-based streams. */
#include "doppel/random.h"

#include "num/num.h"

double dp_vary(dp_variation kind, double a, double b, uint64_t seed, uint64_t stream, const char *name) {
  uint64_t h = dpi_hash64(name);
  dpi_rng rng = dpi_rng_make(seed, stream, (uint32_t)(h ^ (h >> 32)));
  switch (kind) {
    case DP_VARY_NORMAL: return a + b * dpi_rng_normal(&rng);
    case DP_VARY_LOGNORMAL: return a * dpi_m_exp(b * dpi_rng_normal(&rng));
    case DP_VARY_LOGUNIFORM: return a * dpi_m_exp(dpi_rng_uniform(&rng) * dpi_m_log(b / a));
    case DP_VARY_FACTOR: return a * dpi_m_exp((2 * dpi_rng_uniform(&rng) - 1) * dpi_m_log(b));
    case DP_VARY_UNIFORM: break;
  }
  return a + (b - a) * dpi_rng_uniform(&rng);
}
