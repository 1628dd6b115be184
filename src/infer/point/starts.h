/* starts.h - floor 6, inside infer/point: where searches begin; points of a box, addressed by (seed, start, attempt).
 *
 * latin: every parameter's range is cut into nstart strata, each used once; sobol: Sobol's sequence with Joe and Kuo's
 * direction numbers, shifted digitally by the seed; uniform; prior: draws of the density itself. Attempts after the
 * first (a start that could not be evaluated) are uniform, further points of the sequence, or further draws.
 */
#ifndef DPI_STARTS_H
#define DPI_STARTS_H

#include "infer/density.h"

#define DPI_SAMPLING_LIST(X)                              \
  X(LATIN, "latin", "Latin hypercube over the box")       \
  X(SOBOL, "sobol", "Sobol's sequence over the box")      \
  X(UNIFORM, "uniform", "uniform over the box")           \
  X(PRIOR, "prior", "draws from the prior")
typedef enum dpi_sampling {
#define DPI_SAMPLING_ENUM(name, word, help) DPI_SAMPLING_##name,
  DPI_SAMPLING_LIST(DPI_SAMPLING_ENUM)
#undef DPI_SAMPLING_ENUM
      DPI_SAMPLING_COUNT
} dpi_sampling;
const char *dpi_sampling_name(dpi_sampling s);
int dpi_sampling_find(const char *word); /* -1: none */

#define DPI_SOBOL_MAX 360 /* dimensions in the table */
/* Point `index` of the sequence in [0, 1)^n, unshifted. */
void dpi_sobol_point(uint32_t index, int n, double *u);

typedef struct dpi_starts { /* plain; release with dpi_starts_release */
  dpi_density *d;
  dpi_sampling sampling;
  int nstart;
  uint64_t seed;
  int *stratum; /* latin: [n x nstart] */
} dpi_starts;

/* Refused, by the name of the parameter, where the box is infinite and the sampling needs it. */
dp_status dpi_starts_init(dpi_starts *s, dpi_density *d, dpi_sampling sampling, int nstart, uint64_t seed);
void dpi_starts_release(dpi_starts *s);
dp_status dpi_starts_point(const dpi_starts *s, int start, int attempt, double *x);

#endif
