/* random.h - one reproducible random number by name: the same (seed, stream, name) gives the same value everywhere.
 *
 *     x = dp_vary(DP_VARY_LOGNORMAL, 1.0, 0.3, seed, member, "ka");
 */
#ifndef DOPPEL_RANDOM_H
#define DOPPEL_RANDOM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum dp_variation {
  DP_VARY_NORMAL,     /* a + b z */
  DP_VARY_LOGNORMAL,  /* a exp(b z) */
  DP_VARY_UNIFORM,    /* a + (b - a) u */
  DP_VARY_LOGUNIFORM, /* a (b / a)^u: uniform in the logarithm */
  DP_VARY_FACTOR,     /* a b^(2 u - 1): log-uniform within a factor b around a, on a's side of zero */
} dp_variation;

double dp_vary(dp_variation kind, double a, double b, uint64_t seed, uint64_t stream, const char *name);

#ifdef __cplusplus
}
#endif
#endif
