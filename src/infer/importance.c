/* importance.c - weighted draws from an unnormalised density by mixture importance sampling, adapted when needed.
 *
 * Proposals are mixtures of multivariate t; round 1 uses the caller's components (modes with their curvature). Weights
 * are smoothed by PSIS, whose k-hat judges them (Vehtari et al. 2024, JMLR 25: above 0.7 they are not to be trusted).
 * When k-hat or the effective sample size is bad, the mixture gets one more component, moment-matched to the weighted
 * draws, and another round is drawn; all rounds together are weighted by the deterministic mixture of all proposals
 * (adaptive multiple importance sampling, Cornuet et al. 2012, Scand J Stat 39:798).
 *
 * Several such sets can be drawn one after the other (pool.h); dpi_importance_run draws one.
 *
 * Draw number k of a round has its own stream, so draws never depend on how many are made or by whom. With `quasi` it
 * is point k of a scrambled Sobol net instead (which component, how far, which direction: each a coordinate), which
 * knows means and probabilities several times better than as many independent draws; weights, k-hat and effective
 * sample keep their meaning, and bounds that count draws are on the safe side.
 */
#include "infer/pool.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "infer/sobol/sens.h"

#define ESS_WANTED 0.10 /* of the draws of one round */
#define KHAT_GOOD 0.7

enum { CHUNK = 512 }; /* draws whose densities one thread finds at a time */

typedef struct sampler { /* of one set */
  const dpi_importance_def *def;
  dpi_pool *pool;
  int first; /* round of the pool that is its own */
} sampler;

void dpi_pool_init(dpi_pool *pool, dpi_arena *arena, int dim) { *pool = (dpi_pool){.arena = arena, .dim = dim}; }

/* Room for n draws in all; what there was before stays the arena's, so it grows by doubling. */
static dp_status pool_reserve(dpi_pool *p, int n) {
  if (n <= p->cap) return DP_OK;
  if (n < 2 * p->cap) n = 2 * p->cap;
  const size_t cap = (size_t)n, dim = (size_t)p->dim, have = (size_t)p->n;
  double *x = DPI_ARENA_ARRAY(p->arena, double, cap *dim + 1), *logp = DPI_ARENA_ARRAY(p->arena, double, cap + 1);
  p->logw = DPI_ARENA_ARRAY(p->arena, double, cap + 1);
  p->work = DPI_ARENA_ARRAY(p->arena, double, 2 * cap + 1);
  p->order = DPI_ARENA_ARRAY(p->arena, int, cap + 1);
  if (!x || !logp || !p->logw || !p->work || !p->order) return DP_ERR_MEMORY;
  if (have > 0) {
    memcpy(x, p->x, sizeof *x * have * dim);
    memcpy(logp, p->logp, sizeof *logp * have);
  }
  for (int r = 0; r < p->nround; r++) {
    double *logq = DPI_ARENA_ARRAY(p->arena, double, cap);
    if (!logq) return DP_ERR_MEMORY;
    memcpy(logq, p->round[r].logq, sizeof *logq * have);
    p->round[r].logq = logq;
  }
  p->x = x;
  p->logp = logp;
  p->cap = n;
  return DP_OK;
}

static dp_status sampler_init(sampler *s, dpi_pool *pool, const dpi_importance_def *def) {
  *s = (sampler){.def = def, .pool = pool, .first = pool->nround};
  DP_ASSERT(pool->nround + def->max_round <= DPI_POOL_ROUNDS);
  return pool_reserve(pool, pool->n + def->nproposal * def->max_round);
}

/* The next round's mixture: copies of components, weights normalised. */
static dp_status round_make(sampler *s, const dpi_component *c, int n) {
  dpi_pool *pool = s->pool;
  dpi_pool_round *round = &pool->round[pool->nround];
  dpi_mixture *mix = &round->mix;
  const size_t dim = (size_t)pool->dim;
  double sum = 0;
  *round = (dpi_pool_round){.dof = s->def->dof, .first = pool->n};
  round->logq = DPI_ARENA_ARRAY(pool->arena, double, (size_t)pool->cap + 1);
  if (!round->logq) return DP_ERR_MEMORY;
  DP_TRY(dpi_mixture_make(pool->arena, pool->dim, n, mix));
  for (int k = 0; k < n; k++) sum += c[k].weight;
  for (int k = 0; k < n; k++) {
    double *chol = mix->chol + (size_t)k * dim * dim;
    mix->weight[k] = c[k].weight / sum;
    memcpy(mix->mean + (size_t)k * dim, c[k].mean, sizeof(double) * dim);
    memcpy(chol, c[k].chol, sizeof(double) * dim * dim);
    for (size_t a = 0; a < dim; a++) mix->logdet[k] += dpi_m_log(chol[a * dim + a]);
  }
  return DP_OK;
}

/* chi-squared variate with integer degrees of freedom */
static double chi2_draw(dpi_rng *rng, int dof) {
  double s = 0;
  for (int i = 0; i < dof; i++) {
    double z = dpi_rng_normal(rng);
    s += z * z;
  }
  return s;
}

/* Distribution function of chi-squared with two or more whole degrees of freedom at 2 y, and its derivative by y. */
static double chi2_cdf(double y, int dof, double *slope) {
  const bool odd = dof % 2 == 1;
  const double root = sqrt(y), e = dpi_m_exp(-y);
  double term = odd ? root / 0.88622692545275801365 : 1.0, sum = term; /* Gamma(3/2) */
  for (int k = odd ? 3 : 2; k < dof; k += 2) {
    term *= y / (0.5 * k);
    sum += term;
  }
  *slope = e * term;
  return (odd ? dpi_m_erf(root) : 1.0) - e * sum;
}

/* Its quantile: Wilson and Hilferty's cube is right to some parts in a thousand, Newton's steps do the rest. */
static double chi2_at(double p, int dof) {
  if (!(p > 0.002 && p < 0.998) || dof < 4) return dpi_chi2_quantile(p, dof);
  const double h = 2.0 / (9.0 * dof), t = 1 - h + dpi_norm_quantile(p) * sqrt(h);
  double y = 0.5 * dof * t * t * t, slope;
  for (int k = 0; k < 5; k++) {
    const double miss = chi2_cdf(y, dof, &slope) - p;
    y -= miss / slope;
  }
  return 2 * y;
}

/* What draw k is made of: u picks the component (stratified: (k + u)/n), z its direction, the radius comes back. */
static double ingredients(const sampler *s, int r, int k, const dpi_net *net, double *u, double *z) {
  const dpi_importance_def *def = s->def;
  const int n = def->dim, dof = (int)def->dof;
  if (net) {
    double point[68];
    dpi_net_point(net, (uint32_t)k, point);
    *u = point[0];
    for (int a = 0; a < n; a++) z[a] = dpi_norm_quantile(point[2 + a]);
    return sqrt(dof / chi2_at(point[1], dof));
  }
  dpi_rng rng = dpi_rng_make(def->seed, def->stream, DPI_RNG_PROPOSAL + (uint32_t)(def->first_round + r));
  rng.counter = (uint64_t)k << 16;
  *u = (k + dpi_rng_uniform(&rng)) / def->nproposal;
  for (int a = 0; a < n; a++) z[a] = dpi_rng_normal(&rng);
  return sqrt(dof / chi2_draw(&rng, dof));
}

/* Draws of the set's round r, behind those there are. */
static dp_status draw_round(sampler *s, int r) {
  const dpi_importance_def *def = s->def;
  const dpi_mixture *mix = &s->pool->round[s->first + r].mix;
  const int n = def->dim;
  dpi_net net = {0};
  double z[65], u;
  dp_status status = DP_OK;
  DP_ASSERT(n <= 64);
  if (def->quasi) {
    const uint64_t seed = dpi_rng_at(def->seed, def->stream, DPI_RNG_PROPOSAL + (uint32_t)(def->first_round + r), 0);
    status = dpi_net_init(&net, s->pool->arena->ctx, n + 2, seed);
  }
  for (int k = 0; status == DP_OK && k < def->nproposal; k++) {
    const double scale = ingredients(s, r, k, def->quasi ? &net : NULL, &u, z);
    int c = 0;
    while (c < mix->ncomponent - 1 && u > mix->weight[c]) u -= mix->weight[c++];
    double *x = s->pool->x + ((size_t)s->pool->n + (size_t)k) * (size_t)n;
    const double *mean = mix->mean + (size_t)c * (size_t)n;
    dpi_tri_mul_lower(mix->chol + (size_t)c * (size_t)n * (size_t)n, n, z, x);
    for (int a = 0; a < n; a++) x[a] = mean[a] + scale * x[a];
  }
  if (def->quasi) dpi_net_release(&net, s->pool->arena->ctx);
  return status;
}

/* ---- weights ---- */

/* dpi_work_fn: densities of a chunk of draws. Those of the last round under all mixtures, older ones under the last. */
static dp_status density_chunk(void *user, int chunk, int worker) {
  dpi_pool *p = user;
  const int at = chunk * CHUNK, end = at + CHUNK < p->n ? at + CHUNK : p->n, last = p->nround - 1;
  const int before = p->round[last].first;
  size_t most = 0;
  (void)worker;
  for (int r = 0; r <= last; r++) {
    const size_t size = dpi_mixture_work(&p->round[r].mix);
    most = size > most ? size : most;
  }
  double *work = DPI_NEW_ARRAY(p->arena->ctx, double, most);
  if (!work) return DP_ERR_MEMORY;
  for (int r = end > before ? 0 : last; r <= last; r++) {
    const int from = r < last && at < before ? before : at;
    dpi_mixture_logpdf(&p->round[r].mix, p->round[r].dof, p->x + (size_t)from * (size_t)p->dim, end - from,
                       p->round[r].logq + from, NULL, work);
  }
  dpi_free(p->arena->ctx, work);
  return DP_OK;
}

/* With few possible draws the smoothed tail reaches impossible ones and would give them weight: take it back. */
static void drop_impossible(const double *logw, double *w, int n) {
  double taken = 0;
  for (int i = 0; i < n; i++)
    if (logw[i] == -INFINITY && w[i] > 0) {
      taken += w[i];
      w[i] = 0;
    }
  for (int i = 0; taken > 0 && taken < 1 && i < n; i++) w[i] /= 1 - taken;
}

/* What the weights know about a component's variance: sum w^2 (d^2 - v)^2 is its estimate's own variance, which for n normal draws
 * is 2 v^2 / n. Weights that are harmless to means may sit on few far draws that make up a variance. */
static double spread_ess(const double *x, int dim, const double *w, int n) {
  double least = INFINITY;
  for (int a = 0; a < dim; a++) {
    double mean = 0, v = 0, e = 0;
    for (int i = 0; i < n; i++)
      if (w[i] > 0) mean += w[i] * x[(size_t)i * (size_t)dim + (size_t)a];
    for (int i = 0; i < n; i++) {
      double d = x[(size_t)i * (size_t)dim + (size_t)a] - mean;
      if (w[i] > 0) v += w[i] * d * d;
    }
    for (int i = 0; i < n; i++) {
      double d = x[(size_t)i * (size_t)dim + (size_t)a] - mean, q = w[i] * (d * d - v);
      if (w[i] > 0) e += q * q;
    }
    least = fmin(least, e > 0 ? 2 * v * v / e : n);
  }
  return dim > 0 ? least : n;
}

/* Weights of all draws of the pool's rounds from `from` on under the mixture of these rounds' proposals, each with its
 * share of draws; smoothed; diagnostics. */
static dp_status weigh(sampler *s, int from, dpi_importance *out) {
  const dpi_importance_def *def = s->def;
  const dpi_pool *p = s->pool;
  const int nround = p->nround - from, first = p->round[from].first, n = p->n - first;
  double best = -INFINITY, sum = 0, *logw = p->logw, *w = DPI_ARENA_ARRAY(p->arena, double, (size_t)n + 1);
  if (!w) return DP_ERR_MEMORY;
  for (int i = 0; i < n; i++) {
    double q = 0, top = -INFINITY;
    for (int k = 0; k < nround; k++) top = fmax(top, p->round[from + k].logq[first + i]);
    for (int k = 0; k < nround; k++)
      q += p->round[from + k].n * dpi_m_exp(p->round[from + k].logq[first + i] - top);
    logw[i] = p->logp[first + i] - (top + dpi_m_log(q / n));
    best = fmax(best, logw[i]);
  }
  for (int i = 0; i < n; i++) sum += dpi_m_exp(logw[i] - best);
  *out = (dpi_importance){.n = n, .nround = nround, .x = p->x + (size_t)first * (size_t)p->dim, .weight = w};
  out->evidence = best + dpi_m_log(sum / n);
  memcpy(w, logw, sizeof(double) * (size_t)n);
  out->khat = dpi_psis(w, n, p->work, p->order);
  drop_impossible(logw, w, n);
  out->ess = dpi_ess(w, n);
  out->ess_spread = def->spread ? spread_ess(out->x, p->dim, w, n) : NAN;
  out->good = out->khat <= KHAT_GOOD && out->ess >= ESS_WANTED * def->nproposal && isfinite(best);
  if (def->spread && !(out->ess_spread >= ESS_WANTED * def->nproposal)) out->good = false;
  return DP_OK;
}

/* ---- rounds ---- */

/* The next mixture: the last one at half weight and a component with the moments of the set's weighted draws. */
static dp_status adapt(sampler *s, const dpi_importance *now) {
  const dpi_mixture *last = &s->pool->round[s->pool->nround - 1].mix;
  dpi_arena *arena = s->pool->arena;
  const int n = s->def->dim, nc = last->ncomponent + 1 > 60 ? 60 : last->ncomponent + 1;
  dpi_component *c = DPI_ARENA_ARRAY(arena, dpi_component, (size_t)nc);
  double *mean = DPI_ARENA_ARRAY(arena, double, (size_t)n + 1);
  double *cov = DPI_ARENA_ARRAY(arena, double, (size_t)n *(size_t)n + 1);
  if (!c || !mean || !cov) return DP_ERR_MEMORY;
  for (int i = 0; i < now->n; i++)
    for (int a = 0; a < n; a++) mean[a] += now->weight[i] * now->x[(size_t)i * n + a];
  for (int i = 0; i < now->n; i++) {
    const double *x = now->x + (size_t)i * n;
    for (int a = 0; a < n; a++)
      for (int b = 0; b <= a; b++)
        cov[a * n + b] += now->weight[i] * (x[a] - mean[a]) * (x[b] - mean[b]);
  }
  for (int k = 0; k < nc - 1; k++)
    c[k] = (dpi_component){0.5 * last->weight[k], last->mean + (size_t)k * n, last->chol + (size_t)k * n * n};
  for (int a = 0; a < n; a++) cov[a * n + a] *= 1 + 1e-6;
  if (!dpi_chol(cov, n)) {
    /* too few distinct draws carry weight: widen what there is */
    for (int k = 0; k < n * n; k++) cov[k] = 2 * last->chol[k];
  }
  for (int a = 0; a < n; a++)
    for (int b = a + 1; b < n; b++) cov[a * n + b] = 0;
  c[nc - 1] = (dpi_component){0.5, mean, cov};
  return round_make(s, c, nc);
}

dp_status dpi_pool_run(dpi_pool *pool, const dpi_importance_def *def, dpi_importance *own, dpi_importance *all) {
  sampler s;
  memset(own, 0, sizeof *own);
  DP_TRY(sampler_init(&s, pool, def));
  DP_TRY(round_make(&s, def->component, def->ncomponent));
  for (int r = 0; r < def->max_round; r++) {
    DP_TRY(draw_round(&s, r));
    DP_TRY(def->target(def->user, pool->x + (size_t)pool->n * (size_t)pool->dim, def->nproposal, pool->logp + pool->n));
    pool->n += def->nproposal;
    pool->round[pool->nround++].n = def->nproposal;
    DP_TRY(dpi_parallel_for(pool->arena->ctx, (pool->n + CHUNK - 1) / CHUNK, density_chunk, pool));
    DP_TRY(weigh(&s, s.first, own));
    if ((own->good && own->ess >= def->ess) || r + 1 == def->max_round) break;
    DP_TRY(adapt(&s, own));
  }
  return all ? weigh(&s, 0, all) : DP_OK;
}

dp_status dpi_importance_run(dpi_arena *arena, const dpi_importance_def *def, dpi_importance *out) {
  dpi_pool pool;
  dpi_pool_init(&pool, arena, def->dim);
  return dpi_pool_run(&pool, def, out, NULL);
}

void dpi_resample(const double *weight, int n, double u, int m, int *index) {
  double sum = 0, total = 0;
  for (int i = 0; i < n; i++) total += weight[i];
  for (int i = 0, k = 0; i < n && k < m; i++) {
    sum += weight[i];
    bool last = i == n - 1;
    while (k < m && (last || (k + u) * total < sum * m)) index[k++] = i;
  }
}

/* ---- along a curve that fills space ---- */

enum { CURVE_DIM = 8, CURVE_BITS = 60 }; /* axes that are looked at, bits of a place on the curve */

typedef struct placed {
  uint64_t at;
  int index;
} placed;

/* Hilbert's curve in n dimensions of `bits` bits: where the point is on it (J. Skilling, AIP Conf. Proc. 707 (2004)
 * 381). */
static uint64_t curve_place(uint32_t *x, int n, int bits) {
  const uint32_t top = 1u << (bits - 1);
  for (uint32_t q = top; q > 1; q >>= 1)
    for (int i = 0; i < n; i++) {
      const uint32_t low = q - 1, swap = (x[0] ^ x[i]) & low;
      if (x[i] & q)
        x[0] ^= low;
      else
        x[0] ^= swap, x[i] ^= swap;
    }
  for (int i = 1; i < n; i++) x[i] ^= x[i - 1];
  uint32_t turn = 0;
  for (uint32_t q = top; q > 1; q >>= 1)
    if (x[n - 1] & q) turn ^= q - 1;
  uint64_t place = 0;
  for (int i = 0; i < n; i++) x[i] ^= turn;
  for (int b = bits - 1; b >= 0; b--)
    for (int i = 0; i < n; i++) place = place << 1 | (x[i] >> b & 1u);
  return place;
}

/* Mean and factor of the covariance of the first n axes; where it has none, deviations alone. */
static void moments(const double *x, int dim, int n, const double *weight, int count, double *mean, double *chol) {
  for (int a = 0; a < n; a++) mean[a] = 0;
  for (int k = 0; k < n * n; k++) chol[k] = 0;
  for (int i = 0; i < count; i++)
    for (int a = 0; a < n && weight[i] > 0; a++) mean[a] += weight[i] * x[(size_t)i * (size_t)dim + (size_t)a];
  for (int i = 0; i < count; i++) {
    const double *y = x + (size_t)i * (size_t)dim;
    for (int a = 0; a < n && weight[i] > 0; a++)
      for (int b = 0; b <= a; b++) chol[a * n + b] += weight[i] * (y[a] - mean[a]) * (y[b] - mean[b]);
  }
  double sd[CURVE_DIM];
  for (int a = 0; a < n; a++) sd[a] = chol[a * n + a] > 0 ? sqrt(chol[a * n + a]) : 1;
  if (dpi_chol(chol, n)) return;
  for (int k = 0; k < n * n; k++) chol[k] = k / n == k % n ? sd[k / n] : 0;
}

static int by_place(const void *a, const void *b) {
  const placed *p = a, *q = b;
  return p->at != q->at ? (p->at > q->at) - (p->at < q->at) : (p->index > q->index) - (p->index < q->index);
}

/* Everything in the order of the curve. Deviations are drawn into (0, 1), half of what is normal into a third. */
static void lay_along(const double *x, int dim, const double *weight, int count, placed *out) {
  const int n = dim < CURVE_DIM ? dim : CURVE_DIM, bits = n > 0 ? (CURVE_BITS / n < 20 ? CURVE_BITS / n : 20) : 0;
  double mean[CURVE_DIM], chol[CURVE_DIM * CURVE_DIM], d[CURVE_DIM];
  uint32_t cell[CURVE_DIM];
  moments(x, dim, n, weight, count, mean, chol);
  for (int i = 0; i < count; i++) {
    out[i] = (placed){0, i};
    if (!(weight[i] > 0) || n == 0) continue;
    for (int a = 0; a < n; a++) d[a] = x[(size_t)i * (size_t)dim + (size_t)a] - mean[a];
    dpi_tri_solve_lower(chol, n, d);
    for (int a = 0; a < n; a++) {
      const double u = 0.5 + 0.5 * d[a] / sqrt(2 + d[a] * d[a]);
      cell[a] = u >= 0 && u <= 1 ? (uint32_t)(u * (double)((1u << bits) - 1)) : 0;
    }
    out[i].at = curve_place(cell, n, bits);
  }
  qsort(out, (size_t)count, sizeof *out, by_place);
}

dp_status dpi_resample_even(dpi_arena *arena, const double *x, int dim, const double *weight, int n, dpi_rng *rng, int m,
                            int *index) {
  placed *order = DPI_ARENA_ARRAY(arena, placed, (size_t)n + 1);
  double *sorted = DPI_ARENA_ARRAY(arena, double, (size_t)n + 1);
  if (!order || !sorted) return DP_ERR_MEMORY;
  lay_along(x, dim, weight, n, order);
  for (int i = 0; i < n; i++) sorted[i] = weight[order[i].index];
  dpi_resample(sorted, n, dpi_rng_uniform(rng), m, index);
  for (int k = 0; k < m; k++) index[k] = order[index[k]].index;
  for (int k = m - 1; k > 0; k--) {
    const int j = (int)(dpi_rng_uniform(rng) * (k + 1)), swap = index[k];
    index[k] = index[j];
    index[j] = swap;
  }
  return DP_OK;
}
