/* sens_net.c - floor 6, inside infer/sobol: Sobol's sequence, scrambled.
 *
 * Each coordinate's direction numbers are multiplied by a random lower triangular matrix over the two-element field
 * and shifted by random bits: the net's balance stays, each point is uniform, and a seed gives another net (J.
 * Matousek, "On the L2-discrepancy for anchored boxes", J. Complexity 14 (1998) 527). Points are addressed by number.
 */
#include <math.h>

#include "infer/point/starts.h"
#include "infer/sobol/sens.h"

enum { BITS = 32, PURPOSE_MATRIX = 0x534e4554, PURPOSE_BEYOND = 0x534e4232 };

/* Direction number k of all coordinates is the point whose Gray code is bit k alone. */
static void direction(int k, int n, double *u, uint32_t *out) {
  uint32_t index = k == 31 ? UINT32_MAX : (1u << (k + 1)) - 1;
  dpi_sobol_point(index, n, u);
  for (int i = 0; i < n; i++) out[i] = (uint32_t)(u[i] * 4294967296.0);
}

static uint32_t parity(uint32_t x) {
  x ^= x >> 16;
  x ^= x >> 8;
  x ^= x >> 4;
  x ^= x >> 2;
  return (x ^ (x >> 1)) & 1u;
}

/* row[b]: which bits of the number make bit b (from the top) of the scrambled one: itself and some above it. */
static uint32_t scramble(uint32_t v, const uint32_t *row) {
  uint32_t out = 0;
  for (int b = 0; b < BITS; b++) out |= parity(v & row[b]) << (31 - b);
  return out;
}

static void scramble_coordinate(dpi_net *net, int i) {
  uint32_t row[BITS];
  dpi_rng rng = dpi_rng_make(net->seed, (uint64_t)i, PURPOSE_MATRIX);
  for (int b = 0; b < BITS; b++) {
    uint32_t own = 1u << (31 - b), above = b == 0 ? 0 : ~(UINT32_MAX >> b);
    row[b] = own | ((uint32_t)(dpi_rng_u64(&rng) >> 32) & above);
  }
  net->shift[i] = (uint32_t)(dpi_rng_u64(&rng) >> 32);
  for (int k = 0; k < BITS; k++) {
    uint32_t *v = &net->direction[(size_t)k * (size_t)net->ntable + (size_t)i];
    *v = scramble(*v, row);
  }
}

dp_status dpi_net_init(dpi_net *net, dp_ctx *ctx, int n, uint64_t seed) {
  *net = (dpi_net){.n = n, .ntable = n < DPI_SOBOL_MAX ? n : DPI_SOBOL_MAX, .seed = seed};
  net->direction = DPI_NEW_ARRAY(ctx, uint32_t, BITS * (size_t)net->ntable);
  net->shift = DPI_NEW_ARRAY(ctx, uint32_t, net->ntable);
  double *u = DPI_NEW_ARRAY(ctx, double, net->ntable);
  bool there = net->direction && net->shift && u;
  for (int k = 0; k < BITS && there; k++)
    direction(k, net->ntable, u, net->direction + (size_t)k * (size_t)net->ntable);
  for (int i = 0; i < net->ntable && there; i++) scramble_coordinate(net, i);
  dpi_free(ctx, u);
  return there ? DP_OK : DP_ERR_MEMORY;
}

void dpi_net_release(dpi_net *net, dp_ctx *ctx) {
  dpi_free(ctx, net->direction);
  dpi_free(ctx, net->shift);
}

void dpi_net_point(const dpi_net *net, uint32_t index, double *u) {
  uint32_t gray = index ^ (index >> 1);
  for (int i = 0; i < net->ntable; i++) {
    uint32_t x = net->shift[i];
    for (uint32_t g = gray, k = 0; g; g >>= 1, k++)
      if (g & 1u) x ^= net->direction[k * (uint32_t)net->ntable + (uint32_t)i];
    u[i] = ((double)x + 0.5) * 0x1p-32;
  }
  dpi_rng rng = dpi_rng_make(net->seed, index, PURPOSE_BEYOND);
  for (int i = net->ntable; i < net->n; i++) u[i] = dpi_rng_uniform(&rng);
}
