/* cross_entropy.c - floor 6: the cross-entropy method: each variable has a distribution of its own (a probability for
 * every level, a
 * normal law where it is continuous), which moves towards the best of each generation.
 *
 * R. Rubinstein, D. Kroese, The Cross-Entropy Method (Springer 2004), ch. 4 (levels) and 5 (normal laws, smoothed).
 * Good where
 * variables are many and discrete; a generation is one batch through the waist. */
#include <math.h>
#include <string.h>

#include "decide/decide.h"

#define SMOOTH 0.7
enum { MAX_LEVEL = 4096 };

typedef struct entropy {
  int n, size, elite;
  double *mean, *sd;     /* [n] continuous, on [0, 1] */
  double **p;            /* [n] of levels, NULL where continuous */
  double *u;             /* [size x n] */
  double *reward, *miss; /* [size] */
  int *rank;
  dpi_rng rng;
} entropy;

static double draw_level(entropy *e, const dpi_variable *v, int i) {
  double r = dpi_rng_uniform(&e->rng), sum = 0;
  int k = 0;
  while (k + 1 < v->n && (sum += e->p[i][k]) < r) k++;
  return (k + 0.5) / v->n;
}

static void sample(const dpi_space *space, entropy *e) {
  for (int k = 0; k < e->size; k++)
    for (int i = 0; i < e->n; i++) {
      double *u = &e->u[(size_t)k * (size_t)e->n + (size_t)i];
      *u =
          e->p[i] ? draw_level(e, &space->var[i], i) : dpi_search_fold(e->mean[i] + e->sd[i] * dpi_rng_normal(&e->rng));
    }
}

static void rank_all(entropy *e) {
  for (int i = 0; i < e->size; i++) e->rank[i] = i;
  for (int i = 1; i < e->size; i++)
    for (int j = i; j > 0; j--) {
      int a = e->rank[j], b = e->rank[j - 1];
      if (!dpi_search_better(e->miss[a], e->reward[a], e->miss[b], e->reward[b])) break;
      e->rank[j] = b;
      e->rank[j - 1] = a;
    }
}

static double elite_u(const entropy *e, int k, int i) { return e->u[(size_t)e->rank[k] * (size_t)e->n + (size_t)i]; }

/* Towards the elite. */
static void update(const dpi_space *space, entropy *e) {
  for (int i = 0; i < e->n; i++) {
    if (e->p[i]) {
      int n = space->var[i].n;
      for (int k = 0; k < n; k++) e->p[i][k] *= 1 - SMOOTH;
      for (int k = 0; k < e->elite; k++) e->p[i][(int)(elite_u(e, k, i) * n)] += SMOOTH / e->elite;
      continue;
    }
    double mean = 0, var = 0;
    for (int k = 0; k < e->elite; k++) mean += elite_u(e, k, i) / e->elite;
    for (int k = 0; k < e->elite; k++) var += (elite_u(e, k, i) - mean) * (elite_u(e, k, i) - mean) / e->elite;
    e->mean[i] = SMOOTH * mean + (1 - SMOOTH) * e->mean[i];
    e->sd[i] = SMOOTH * sqrt(var) + (1 - SMOOTH) * e->sd[i];
  }
}

/* Is every law narrow? */
static bool settled(const dpi_space *space, const entropy *e) {
  for (int i = 0; i < e->n; i++) {
    double most = 0;
    for (int k = 0; e->p[i] && k < space->var[i].n; k++) most = fmax(most, e->p[i][k]);
    if (e->p[i] ? most < 0.999 : e->sd[i] > 1e-9) return false;
  }
  return true;
}

static dp_status begin(dpi_search *s, entropy *e) {
  dp_ctx *ctx = s->kind->ctx;
  size_t n = (size_t)e->n, size = (size_t)e->size;
  e->p = DPI_NEW_ARRAY(ctx, double *, n + 1);
  e->mean = DPI_NEW_ARRAY(ctx, double, 2 * n + size * n + 2 * size + 1);
  e->rank = DPI_NEW_ARRAY(ctx, int, size + 1);
  if (!e->p || !e->mean || !e->rank) return DP_ERR_MEMORY;
  e->sd = e->mean + n;
  e->u = e->sd + n;
  e->reward = e->u + size * n;
  e->miss = e->reward + size;
  for (int i = 0; i < e->n; i++) {
    int levels = s->space->var[i].n;
    e->mean[i] = 0.5;
    e->sd[i] = 0.5;
    if (!levels) continue;
    if (!(e->p[i] = DPI_NEW_ARRAY(ctx, double, levels))) return DP_ERR_MEMORY;
    for (int k = 0; k < levels; k++) e->p[i][k] = 1.0 / levels;
  }
  return DP_OK;
}

static dp_status cross_entropy_run(dpi_search *s) {
  dp_ctx *ctx = s->kind->ctx;
  entropy e = {.n = s->space->nvar, .rng = dpi_rng_make(s->seed, 0, DPI_PURPOSE_CROSS_ENTROPY)};
  int most = s->budget / 8;
  e.size = 20 + 10 * e.n;
  if (e.size > most) e.size = most > 10 ? most : 10;
  e.elite = e.size / 5;
  dp_status status = begin(s, &e);
  for (int idle = 0; status == DP_OK && s->nseen < s->budget && idle < 20 && !settled(s->space, &e);) {
    int before = s->nseen;
    sample(s->space, &e);
    status = dpi_search_score(s, e.u, e.size, e.reward, e.miss);
    rank_all(&e);
    update(s->space, &e);
    idle = s->nseen > before ? 0 : idle + 1;
  }
  for (int i = 0; e.p && i < e.n; i++) dpi_free(ctx, e.p[i]);
  dpi_free(ctx, e.p);
  dpi_free(ctx, e.mean);
  dpi_free(ctx, e.rank);
  return status;
}

static dp_status cross_entropy_offered(const dp_kind *kind, const dpi_space *space) {
  for (int i = 0; i < space->nvar; i++)
    if (space->var[i].n > MAX_LEVEL)
      return dpi_fail(kind->ctx, DP_ERR_UNSUPPORTED, "%s: search cross-entropy: a variable of %d levels, at most %d",
                      kind->dir, space->var[i].n, MAX_LEVEL);
  return DP_OK;
}

const dpi_search_ops dp_search_cross_entropy = {
    .name = "cross-entropy",
    .help = "cross-entropy method: many discrete doses, any reward, limits",
    .offered = cross_entropy_offered,
    .run = cross_entropy_run,
};
