/* starts.c - floor 6, inside infer/point: points of a box, addressed by (seed, start, attempt).
 *
 * Sources: McKay, Beckman, Conover, Technometrics 21 (1979) 239 (Latin hypercube); Joe & Kuo 2008, see sobol_table.inc;
 * Owen, "Scrambled net variance", Ann. Stat. 25 (1997): a digital shift keeps the balance of the sequence.
 */
#include "infer/point/starts.h"

#include <math.h>
#include <string.h>

#include "num/num.h"

enum {
  PURPOSE_STRATUM = 0x4c415431,
  PURPOSE_WITHIN = 0x4c415432,
  PURPOSE_SHIFT = 0x534f4231,
  PURPOSE_AGAIN = 0x41474131
};

#define SOBOL_BITS 32

static const char *const sampling_name[] = {
#define SAMPLING_WORD(name, word, help) word,
    DPI_SAMPLING_LIST(SAMPLING_WORD)};
const char *dpi_sampling_name(dpi_sampling s) { return sampling_name[s]; }
int dpi_sampling_find(const char *word) {
  for (int k = 0; k < DPI_SAMPLING_COUNT; k++) {
    if (strcmp(word, sampling_name[k]) == 0) return k;
  }
  return -1;
}

static const uint16_t sobol_table[] = {
#include "infer/point/sobol_table.inc"
};

/* One coordinate of point `index` as 32 bits: direction numbers follow from the row by the polynomial's recurrence. */
static uint32_t sobol_bits(uint32_t index, const uint16_t *row) {
  uint32_t v[SOBOL_BITS], x = 0, s = row ? row[0] : 0, a = row ? row[1] : 0, gray = index ^ (index >> 1);
  for (uint32_t k = 0; k < SOBOL_BITS; k++) {
    if (!row) {
      v[k] = 1u << (31 - k);
    } else if (k < s) {
      v[k] = (uint32_t)row[2 + k] << (31 - k);
    } else {
      v[k] = v[k - s] ^ (v[k - s] >> s);
      for (uint32_t j = 1; j < s; j++) v[k] ^= ((a >> (s - 1 - j)) & 1u) * v[k - j];
    }
    if ((gray >> k) & 1u) x ^= v[k];
  }
  return x;
}

/* Calls sobol_bits for every dimension; shift NULL: none. */
static void sobol(uint32_t index, int n, const uint32_t *shift, double *u) {
  const uint16_t *row = NULL;
  DP_ASSERT(n <= DPI_SOBOL_MAX);
  for (int i = 0; i < n; i++) {
    uint32_t bits = sobol_bits(index, row) ^ (shift ? shift[i] : 0);
    u[i] = (double)bits / 4294967296.0;
    row = row ? row + 2 + row[0] : sobol_table;
  }
}

void dpi_sobol_point(uint32_t index, int n, double *u) { sobol(index, n, NULL, u); }

/* Each parameter's strata in an order of its own (Fisher-Yates). */
static dp_status make_strata(dpi_starts *s) {
  int n = s->d->n, count = s->nstart;
  s->stratum = DPI_NEW_ARRAY(s->d->ctx, int, (size_t)n * (size_t)count + 1);
  if (!s->stratum) return DP_ERR_MEMORY;
  for (int i = 0; i < n; i++) {
    int *order = s->stratum + (size_t)i * (size_t)count;
    dpi_rng rng = dpi_rng_make(s->seed, (uint64_t)i, PURPOSE_STRATUM);
    for (int k = 0; k < count; k++) order[k] = k;
    for (int k = count - 1; k > 0; k--) {
      int j = (int)floor(dpi_rng_uniform(&rng) * (k + 1)), t = order[k];
      order[k] = order[j];
      order[j] = t;
    }
  }
  return DP_OK;
}

dp_status dpi_starts_init(dpi_starts *s, dpi_density *d, dpi_sampling sampling, int nstart, uint64_t seed) {
  *s = (dpi_starts){d, sampling, nstart, seed, NULL};
  if (sampling == DPI_SAMPLING_PRIOR) {
    if (d->ops->prior_draw) return DP_OK;
    return dpi_fail(d->ctx, DP_ERR_UNSUPPORTED,
                    "starts from the prior: there is no proper prior and the box is not finite; give bounds or priors");
  }
  for (int i = 0; i < d->n; i++) {
    if (isfinite(d->lower[i]) && isfinite(d->upper[i])) continue;
    return dpi_fail(
        d->ctx, DP_ERR_INPUT,
        "parameter '%s': its bounds are [%g, %g], and %s starts need finite ones; give bounds or take starts "
        "from the prior",
        d->name[i], d->lower[i], d->upper[i], dpi_sampling_name(sampling));
  }
  if (sampling == DPI_SAMPLING_SOBOL && d->n > DPI_SOBOL_MAX)
    return dpi_fail(d->ctx, DP_ERR_UNSUPPORTED, "Sobol starts: %d parameters, at most %d; take latin", d->n,
                    DPI_SOBOL_MAX);
  return sampling == DPI_SAMPLING_LATIN ? make_strata(s) : DP_OK;
}

void dpi_starts_release(dpi_starts *s) {
  if (s->d) dpi_free(s->d->ctx, s->stratum);
  s->stratum = NULL;
}

static void sobol_start(const dpi_starts *s, int start, int attempt, double *u) {
  uint32_t shift[DPI_SOBOL_MAX], index = (uint32_t)start + (uint32_t)attempt * (uint32_t)s->nstart;
  for (int i = 0; i < s->d->n; i++) shift[i] = (uint32_t)dpi_rng_at(s->seed, (uint64_t)i, PURPOSE_SHIFT, 0);
  sobol(index, s->d->n, shift, u);
}

dp_status dpi_starts_point(const dpi_starts *s, int start, int attempt, double *x) {
  const dpi_density *d = s->d;
  if (s->sampling == DPI_SAMPLING_PRIOR)
    return d->ops->prior_draw(s->d, s->seed, (uint64_t)start + (uint64_t)attempt * (uint64_t)s->nstart, x);
  bool within = attempt == 0 && s->sampling == DPI_SAMPLING_LATIN;
  uint64_t stream = (uint64_t)start + ((uint64_t)attempt << 32);
  dpi_rng rng = dpi_rng_make(s->seed, stream, within ? PURPOSE_WITHIN : PURPOSE_AGAIN);
  if (s->sampling == DPI_SAMPLING_SOBOL) sobol_start(s, start, attempt, x);
  for (int i = 0; i < d->n; i++) {
    double u = s->sampling == DPI_SAMPLING_SOBOL ? x[i] : dpi_rng_uniform(&rng);
    if (within) u = (s->stratum[(size_t)i * (size_t)s->nstart + (size_t)start] + u) / s->nstart;
    x[i] = fmin(fmax(d->lower[i] + u * (d->upper[i] - d->lower[i]), d->lower[i]), d->upper[i]);
  }
  return DP_OK;
}
