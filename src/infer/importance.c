/* importance.c - weighted draws from an unnormalised density by mixture importance sampling, adapted when needed.
 *
 * Proposals are mixtures of multivariate t; round 1 uses the caller's components (modes with their curvature). Weights
 * are smoothed by PSIS, whose k-hat judges them (Vehtari et al. 2024, JMLR 25: above 0.7 they are not to be trusted).
 * When k-hat or the effective sample size is bad, the mixture gets one more component, moment-matched to the weighted
 * draws, and another round is drawn; all rounds together are weighted by the deterministic mixture of all proposals
 * (adaptive multiple importance sampling, Cornuet et al. 2012, Scand J Stat 39:798).
 *
 * Draw number k of a round has its own stream, so draws never depend on how many are made or by whom. With `quasi` it
 * is point k of a scrambled Sobol net instead (which component, how far, which direction: each a coordinate), which
 * knows means and probabilities several times better than as many independent draws; weights, k-hat and effective
 * sample keep their meaning, and bounds that count draws are on the safe side.
 */
#include "infer/infer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "infer/sobol/sens.h"

#define ESS_WANTED 0.10 /* of the draws of one round */
#define KHAT_GOOD 0.7

typedef struct proposal { /* the mixture of one round */
  int n;
  dpi_component *c;
  double *logdet; /* ln |L| */
} proposal;

typedef struct sampler {
  const dpi_importance_def *def;
  dpi_arena *arena;
  int ncap;
  proposal round[8];
  double *x, *logp, *logw, *w, *work;
  double *logq; /* [ncap x max_round] ln density of each draw under each round's mixture */
  int *order;
} sampler;

static dp_status sampler_init(sampler *s, dpi_arena *arena, const dpi_importance_def *def) {
  memset(s, 0, sizeof *s);
  s->def = def;
  s->arena = arena;
  s->ncap = def->nproposal * def->max_round;
  size_t n = (size_t)s->ncap;
  s->x = DPI_ARENA_ARRAY(arena, double, n *(size_t)def->dim + 1);
  s->logp = DPI_ARENA_ARRAY(arena, double, n + 1);
  s->logw = DPI_ARENA_ARRAY(arena, double, n + 1);
  s->w = DPI_ARENA_ARRAY(arena, double, n + 1);
  s->work = DPI_ARENA_ARRAY(arena, double, 2 * n + 1);
  s->logq = DPI_ARENA_ARRAY(arena, double, n * (size_t)def->max_round + 1);
  s->order = DPI_ARENA_ARRAY(arena, int, n + 1);
  return s->x && s->logp && s->logw && s->w && s->work && s->logq && s->order ? DP_OK : DP_ERR_MEMORY;
}

/* Copy components, weights normalised; ln|L| of each. */
static dp_status proposal_make(sampler *s, proposal *p, const dpi_component *c, int n) {
  double sum = 0;
  p->n = n;
  p->c = DPI_ARENA_ARRAY(s->arena, dpi_component, (size_t)n);
  p->logdet = DPI_ARENA_ARRAY(s->arena, double, (size_t)n);
  if (!p->c || !p->logdet) return DP_ERR_MEMORY;
  for (int k = 0; k < n; k++) sum += c[k].weight;
  for (int k = 0; k < n; k++) {
    p->c[k] = c[k];
    p->c[k].weight /= sum;
    for (int a = 0; a < s->def->dim; a++) p->logdet[k] += dpi_m_log(c[k].chol[a * s->def->dim + a]);
  }
  return DP_OK;
}

static double proposal_logpdf(const sampler *s, const proposal *p, const double *x) {
  int n = s->def->dim;
  const double dof = s->def->dof, constant = dpi_t_logpdf(0, n, dof);
  double term[64], best = -INFINITY, sum = 0, d[65];
  for (int k = 0; k < p->n; k++) {
    double m2 = 0;
    for (int a = 0; a < n; a++) d[a] = x[a] - p->c[k].mean[a];
    dpi_tri_solve_lower(p->c[k].chol, n, d);
    for (int a = 0; a < n; a++) m2 += d[a] * d[a];
    term[k] = dpi_m_log(p->c[k].weight) + constant - 0.5 * (dof + n) * dpi_m_log1p(m2 / dof) - p->logdet[k];
    if (term[k] > best) best = term[k];
  }
  for (int k = 0; k < p->n; k++) sum += dpi_m_exp(term[k] - best);
  return best + dpi_m_log(sum);
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

/* One round of draws. */
static dp_status draw_round(sampler *s, int r) {
  const dpi_importance_def *def = s->def;
  const proposal *p = &s->round[r];
  const int n = def->dim;
  dpi_net net = {0};
  double z[65], u;
  dp_status status = DP_OK;
  DP_ASSERT(n <= 64);
  if (def->quasi) {
    const uint64_t seed = dpi_rng_at(def->seed, def->stream, DPI_RNG_PROPOSAL + (uint32_t)(def->first_round + r), 0);
    status = dpi_net_init(&net, s->arena->ctx, n + 2, seed);
  }
  for (int k = 0; status == DP_OK && k < def->nproposal; k++) {
    const double scale = ingredients(s, r, k, def->quasi ? &net : NULL, &u, z);
    int c = 0;
    while (c < p->n - 1 && u > p->c[c].weight) u -= p->c[c++].weight;
    double *x = s->x + ((size_t)r * def->nproposal + (size_t)k) * n;
    dpi_tri_mul_lower(p->c[c].chol, n, z, x);
    for (int a = 0; a < n; a++) x[a] = p->c[c].mean[a] + scale * x[a];
  }
  if (def->quasi) dpi_net_release(&net, s->arena->ctx);
  return status;
}

/* With few possible draws the smoothed tail reaches impossible ones and would give them weight: take it back. */
static void drop_impossible(sampler *s, int n) {
  double taken = 0;
  for (int i = 0; i < n; i++)
    if (s->logw[i] == -INFINITY && s->w[i] > 0) {
      taken += s->w[i];
      s->w[i] = 0;
    }
  for (int i = 0; taken > 0 && taken < 1 && i < n; i++) s->w[i] /= 1 - taken;
}

/* What the weights know about a component's variance: sum w^2 (d^2 - v)^2 is its estimate's own variance, which for n normal draws
 * is 2 v^2 / n. Weights that are harmless to means may sit on few far draws that make up a variance. */
static double spread_ess(const sampler *s, int n) {
  int dim = s->def->dim;
  double least = INFINITY;
  for (int a = 0; a < dim; a++) {
    double mean = 0, v = 0, e = 0;
    for (int i = 0; i < n; i++)
      if (s->w[i] > 0) mean += s->w[i] * s->x[(size_t)i * (size_t)dim + (size_t)a];
    for (int i = 0; i < n; i++) {
      double d = s->x[(size_t)i * (size_t)dim + (size_t)a] - mean;
      if (s->w[i] > 0) v += s->w[i] * d * d;
    }
    for (int i = 0; i < n; i++) {
      double d = s->x[(size_t)i * (size_t)dim + (size_t)a] - mean, q = s->w[i] * (d * d - v);
      if (s->w[i] > 0) e += q * q;
    }
    least = fmin(least, e > 0 ? 2 * v * v / e : n);
  }
  return dim > 0 ? least : n;
}

/* Weights of all draws of rounds 0..r under the mixture of all their proposals; smoothed; diagnostics. */
static void weigh(sampler *s, int r, dpi_importance *out) {
  const dpi_importance_def *def = s->def;
  int n = (r + 1) * def->nproposal;
  double best = -INFINITY, sum = 0;
  for (int i = 0; i < n; i++) {
    double q = 0, *term = s->logq + (size_t)i * (size_t)def->max_round, top = -INFINITY;
    const double *x = s->x + (size_t)i * def->dim;
    for (int k = i < r * def->nproposal ? r : 0; k <= r; k++) term[k] = proposal_logpdf(s, &s->round[k], x);
    for (int k = 0; k <= r; k++) top = fmax(top, term[k]);
    for (int k = 0; k <= r; k++) q += dpi_m_exp(term[k] - top);
    s->logw[i] = s->logp[i] - (top + dpi_m_log(q / (r + 1)));
    best = fmax(best, s->logw[i]);
  }
  for (int i = 0; i < n; i++) sum += dpi_m_exp(s->logw[i] - best);
  out->evidence = best + dpi_m_log(sum / n);
  memcpy(s->w, s->logw, sizeof(double) * (size_t)n);
  out->khat = dpi_psis(s->w, n, s->work, s->order);
  drop_impossible(s, n);
  out->ess = dpi_ess(s->w, n);
  out->ess_spread = def->spread ? spread_ess(s, n) : NAN;
  out->n = n;
  out->nround = r + 1;
  out->x = s->x;
  out->weight = s->w;
  out->good = out->khat <= KHAT_GOOD && out->ess >= ESS_WANTED * def->nproposal && isfinite(best);
  if (def->spread && !(out->ess_spread >= ESS_WANTED * def->nproposal)) out->good = false;
}

/* The next mixture: the last one at half weight and a component with the moments of the weighted draws. */
static dp_status adapt(sampler *s, int r, const dpi_importance *now) {
  int n = s->def->dim, nc = s->round[r].n + 1 > 60 ? 60 : s->round[r].n + 1;
  dpi_component *c = DPI_ARENA_ARRAY(s->arena, dpi_component, (size_t)nc);
  double *mean = DPI_ARENA_ARRAY(s->arena, double, (size_t)n + 1);
  double *cov = DPI_ARENA_ARRAY(s->arena, double, (size_t)n *(size_t)n + 1);
  if (!c || !mean || !cov) return DP_ERR_MEMORY;
  for (int i = 0; i < now->n; i++)
    for (int a = 0; a < n; a++) mean[a] += now->weight[i] * now->x[(size_t)i * n + a];
  for (int i = 0; i < now->n; i++) {
    const double *x = now->x + (size_t)i * n;
    for (int a = 0; a < n; a++)
      for (int b = 0; b <= a; b++)
        cov[a * n + b] += now->weight[i] * (x[a] - mean[a]) * (x[b] - mean[b]);
  }
  memcpy(c, s->round[r].c, sizeof *c * (size_t)(nc - 1));
  for (int k = 0; k < nc - 1; k++) c[k].weight *= 0.5;
  for (int a = 0; a < n; a++) cov[a * n + a] *= 1 + 1e-6;
  if (!dpi_chol(cov, n)) {
    /* too few distinct draws carry weight: widen what there is */
    const double *l = s->round[r].c[0].chol;
    for (int k = 0; k < n * n; k++) cov[k] = 2 * l[k];
  }
  for (int a = 0; a < n; a++)
    for (int b = a + 1; b < n; b++) cov[a * n + b] = 0;
  c[nc - 1] = (dpi_component){0.5, mean, cov};
  return proposal_make(s, &s->round[r + 1], c, nc);
}

dp_status dpi_importance_run(dpi_arena *arena, const dpi_importance_def *def, dpi_importance *out) {
  sampler s;
  memset(out, 0, sizeof *out);
  DP_TRY(sampler_init(&s, arena, def));
  DP_TRY(proposal_make(&s, &s.round[0], def->component, def->ncomponent));
  for (int r = 0; r < def->max_round; r++) {
    size_t first = (size_t)r * (size_t)def->nproposal;
    DP_TRY(draw_round(&s, r));
    DP_TRY(def->target(def->user, s.x + first * (size_t)def->dim, def->nproposal, s.logp + first));
    weigh(&s, r, out);
    if ((out->good && out->ess >= def->ess) || r + 1 == def->max_round) break;
    DP_TRY(adapt(&s, r, out));
  }
  return DP_OK;
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
