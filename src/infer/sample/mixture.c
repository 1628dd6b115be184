/* mixture.c - floor 6, folder sample: expectation and maximisation (A. P. Dempster, N. M. Laird, D. B. Rubin, J. R.
 * Stat. Soc. B 39 (1977) 1).
 *
 *     seed        places far from each other (k-means++: D. Arthur, S. Vassilvitskii, SODA (2007) 1027), by a stream
 *                 that depends on nothing but the number of components
 *     expect      each component's share of each point
 *     maximise    weight, mean, covariance by shares; covariances are drawn a little towards the one of all points, as
 *                 a piece may have hardly more points than directions
 *     choose      1, 2, 3 ... components, fitted to every other point and judged by the points left out, until two more
 *                 numbers are no better
 */
#include "infer/sample/mixture.h"

#include <math.h>
#include <string.h>

#include "num/num.h"

#define LN_2PI 1.8378770664093454836

enum { ROUNDS = 60, WORSE_MOST = 2, PURPOSE_SEED = 0x1409 };
#define SETTLED 1e-4 /* gain of the mean ln density in a round that ends it */

typedef struct points { /* distinct ones */
  int n, count;
  const double **x;
  double *w, *root; /* weight; root: room for distances */
  double *work;     /* [n] */
  double total, effective;
} points;

double dpi_mixture_logpdf(const dpi_mixture *mix, double dof, const double *x, double *share, double *work) {
  double term[DPI_MIXTURE_MOST], top = -INFINITY, sum = 0;
  const int n = mix->n;
  const double constant = isinf(dof) ? -0.5 * n * LN_2PI : dpi_t_logpdf(0, n, dof);
  for (int k = 0; k < mix->ncomponent; k++) {
    double d2 = 0;
    for (int a = 0; a < n; a++) work[a] = x[a] - mix->mean[(size_t)k * n + a];
    dpi_tri_solve_lower(mix->chol + (size_t)k * n * n, n, work);
    for (int a = 0; a < n; a++) d2 += work[a] * work[a];
    term[k] = dpi_m_log(mix->weight[k]) - mix->logdet[k] + constant -
              (isinf(dof) ? 0.5 * d2 : 0.5 * (dof + n) * dpi_m_log1p(d2 / dof));
    top = fmax(top, term[k]);
  }
  for (int k = 0; k < mix->ncomponent; k++) sum += term[k] = dpi_m_exp(term[k] - top);
  for (int k = 0; share && k < mix->ncomponent; k++) share[k] = term[k] / sum;
  return top + dpi_m_log(sum);
}

/* Mean and covariance (lower) of all points. */
static void moments(const points *p, double *mean, double *cov) {
  const int n = p->n;
  memset(mean, 0, sizeof(double) * (size_t)n);
  memset(cov, 0, sizeof(double) * (size_t)n * (size_t)n);
  for (int i = 0; i < p->count; i++)
    for (int a = 0; a < n; a++) mean[a] += p->w[i] / p->total * p->x[i][a];
  for (int i = 0; i < p->count; i++)
    for (int a = 0; a < n; a++) {
      const double d = p->w[i] / p->total * (p->x[i][a] - mean[a]);
      for (int b = 0; b <= a; b++) cov[a * n + b] += d * (p->x[i][b] - mean[b]);
    }
}

/* Factor of a covariance in place, of its diagonal where it has none; ln of its determinant / 2. variance: room [n] */
static double factor(double *cov, int n, double *variance) {
  double logdet = 0;
  for (int a = 0; a < n; a++) variance[a] = cov[a * n + a] = cov[a * n + a] * (1 + 1e-9) + 1e-300;
  const bool ok = dpi_chol(cov, n);
  for (int a = 0; a < n; a++) {
    for (int b = 0; b < n; b++)
      if (b > a || (!ok && b < a)) cov[a * n + b] = 0;
    if (!ok) cov[a * n + a] = sqrt(variance[a]);
    logdet += dpi_m_log(cov[a * n + a]);
  }
  return logdet;
}

static double distance2(const double *chol, int n, const double *x, const double *y, double *d) {
  double s = 0;
  for (int a = 0; a < n; a++) d[a] = x[a] - y[a];
  dpi_tri_solve_lower(chol, n, d);
  for (int a = 0; a < n; a++) s += d[a] * d[a];
  return s;
}

/* share [count x k]: each point belongs to the nearest of k places far from each other. */
static void seed(points *p, int k, const double *whole, double *share) {
  dpi_rng rng = dpi_rng_make((uint64_t)k, 0, PURPOSE_SEED);
  for (int i = 0; i < p->count; i++) p->root[i] = INFINITY;
  for (int c = 0; c < k; c++) {
    double sum = 0, at;
    int i = 0;
    for (int j = 0; j < p->count; j++) sum += p->w[j] * (c ? p->root[j] : 1);
    at = dpi_rng_uniform(&rng) * sum;
    for (; i < p->count - 1; i++)
      if ((at -= p->w[i] * (c ? p->root[i] : 1)) < 0) break;
    for (int j = 0; j < p->count; j++) {
      const double d = distance2(whole, p->n, p->x[j], p->x[i], p->work);
      if (!(d < p->root[j])) continue;
      p->root[j] = d;
      for (int b = 0; b < k; b++) share[(size_t)j * k + b] = b == c;
    }
  }
}

/* One component from the shares; pooled: the covariance that it is drawn towards, with the weight of n + 2 points. */
static void maximise(const points *p, const double *share, int c, const double *pooled, dpi_mixture *mix) {
  const int n = p->n, k = mix->ncomponent;
  double *mean = mix->mean + (size_t)c * n, *cov = mix->chol + (size_t)c * n * n, sum = 0;
  memset(mean, 0, sizeof(double) * (size_t)n);
  memset(cov, 0, sizeof(double) * (size_t)n * (size_t)n);
  for (int i = 0; i < p->count; i++) sum += p->w[i] * share[(size_t)i * k + c];
  mix->weight[c] = fmax(sum / p->total, 1e-12);
  if (!(sum > 0)) sum = p->total;
  for (int i = 0; i < p->count; i++) {
    const double w = p->w[i] * share[(size_t)i * k + c] / sum;
    for (int a = 0; w > 0 && a < n; a++) mean[a] += w * p->x[i][a];
  }
  for (int i = 0; i < p->count; i++) {
    const double w = p->w[i] * share[(size_t)i * k + c] / sum;
    for (int a = 0; w > 1e-12 && a < n; a++) {
      const double d = w * (p->x[i][a] - mean[a]);
      for (int b = 0; b <= a; b++) cov[a * n + b] += d * (p->x[i][b] - mean[b]);
    }
  }
  const double have = p->effective * mix->weight[c], lent = k > 1 ? n + 2 : 0;
  for (int a = 0; a < n; a++)
    for (int b = 0; b <= a; b++)
      cov[a * n + b] = (have * cov[a * n + b] + lent * pooled[a * n + b]) / (have + lent);
  mix->logdet[c] = factor(cov, n, p->work);
}

static dp_status mixture_make(dpi_arena *arena, int n, int k, dpi_mixture *mix) {
  const size_t d = (size_t)n, m = (size_t)k;
  *mix = (dpi_mixture){.n = n, .ncomponent = k};
  mix->weight = DPI_ARENA_ARRAY(arena, double, m);
  mix->mean = DPI_ARENA_ARRAY(arena, double, m * d);
  mix->chol = DPI_ARENA_ARRAY(arena, double, m * d * d);
  mix->logdet = DPI_ARENA_ARRAY(arena, double, m);
  return mix->weight && mix->mean && mix->chol && mix->logdet ? DP_OK : DP_ERR_MEMORY;
}

/* k components; share: room for [count x k]. */
static dp_status fit(dpi_arena *arena, points *p, int k, double *share, dpi_mixture *mix) {
  const int n = p->n;
  double before = -INFINITY;
  double *pooled = DPI_ARENA_ARRAY(arena, double, (size_t)n *n), *whole = DPI_ARENA_ARRAY(arena, double, (size_t)n *n);
  DP_TRY(mixture_make(arena, n, k, mix));
  if (!pooled || !whole) return DP_ERR_MEMORY;
  moments(p, mix->mean, pooled);
  memcpy(whole, pooled, sizeof(double) * (size_t)n * (size_t)n);
  factor(whole, n, p->work);
  /* k equal pieces of a space of n directions are each narrower by k^(1/n) */
  const double narrow = dpi_m_exp(-2.0 / n * dpi_m_log(k));
  for (int a = 0; a < n * n; a++) pooled[a] *= narrow;
  if (k > 1) seed(p, k, whole, share);
  for (int i = 0; k == 1 && i < p->count; i++) share[i] = 1;
  for (int r = 0; r < ROUNDS; r++) {
    double l = 0;
    for (int c = 0; c < k; c++) maximise(p, share, c, pooled, mix);
    if (k == 1) break;
    for (int i = 0; i < p->count; i++)
      l += p->w[i] / p->total * dpi_mixture_logpdf(mix, INFINITY, p->x[i], share + (size_t)i * k, p->work);
    if (l - before < SETTLED) break;
    before = l;
  }
  double sum = 0;
  for (int c = 0; c < k; c++) sum += mix->weight[c];
  for (int c = 0; c < k; c++) mix->weight[c] /= sum;
  return DP_OK;
}

static void totals(points *p) {
  double square = 0;
  p->total = 0;
  for (int i = 0; i < p->count; i++) {
    p->total += p->w[i];
    square += p->w[i] * p->w[i];
  }
  p->effective = square > 0 ? p->total * p->total / square : 0;
}

static dp_status points_room(dpi_arena *arena, int n, int count, points *p) {
  *p = (points){.n = n};
  p->x = DPI_ARENA_ARRAY(arena, const double *, (size_t)count + 1);
  p->w = DPI_ARENA_ARRAY(arena, double, (size_t)count + 1);
  p->root = DPI_ARENA_ARRAY(arena, double, (size_t)count + 1);
  p->work = DPI_ARENA_ARRAY(arena, double, (size_t)n);
  return p->x && p->w && p->root && p->work ? DP_OK : DP_ERR_MEMORY;
}

static dp_status gather(dpi_arena *arena, const dpi_mixture_def *def, points *p) {
  const size_t n = (size_t)def->n;
  DP_TRY(points_room(arena, def->n, def->npoint, p));
  for (int i = 0; i < def->npoint; i++) {
    const double *x = def->x + (size_t)i * n, w = def->weight ? def->weight[i] : 1;
    if (!(w > 0)) continue;
    if (p->count > 0 && memcmp(p->x[p->count - 1], x, n * sizeof *x) == 0) {
      p->w[p->count - 1] += w;
      continue;
    }
    p->x[p->count] = x;
    p->w[p->count++] = w;
  }
  totals(p);
  return DP_OK;
}

/* Every other one, from `first` on. */
static dp_status half_of(dpi_arena *arena, const points *p, int first, points *out) {
  DP_TRY(points_room(arena, p->n, p->count / 2 + 1, out));
  for (int i = first; i < p->count; i += 2) {
    out->x[out->count] = p->x[i];
    out->w[out->count++] = p->w[i];
  }
  totals(out);
  return DP_OK;
}

/* How many components foretell points left out best? */
static dp_status choose(dpi_arena *arena, points *all, int most, double *share, int *out) {
  points half[2];
  dpi_mixture mix;
  double best = -INFINITY;
  int worse = 0;
  *out = 1;
  for (int h = 0; h < 2; h++) DP_TRY(half_of(arena, all, h, &half[h]));
  for (int k = 1; k <= most && worse < WORSE_MOST && half[0].effective > 2.0 * k * all->n; k++) {
    double l = 0;
    for (int h = 0; h < 2; h++) {
      DP_TRY(fit(arena, &half[h], k, share, &mix));
      const points *other = &half[1 - h];
      for (int i = 0; i < other->count; i++)
        l += other->w[i] / all->total * dpi_mixture_logpdf(&mix, INFINITY, other->x[i], NULL, all->work);
    }
    worse = l > best ? 0 : worse + 1;
    if (l <= best) continue;
    best = l;
    *out = k;
  }
  return DP_OK;
}

dp_status dpi_mixture_fit(dpi_arena *arena, const dpi_mixture_def *def, dpi_mixture *out) {
  points all;
  dpi_arena room;
  int k = 1;
  DP_ASSERT(def->n >= 1 && def->npoint >= 1 && def->most >= 1 && def->most <= DPI_MIXTURE_MOST);
  dpi_arena_init(&room, arena->ctx);
  dp_status status = gather(&room, def, &all);
  double *share = DPI_ARENA_ARRAY(&room, double, (size_t)def->npoint * DPI_MIXTURE_MOST + 1);
  if (!share) status = DP_ERR_MEMORY;
  if (status == DP_OK && all.count == 0)
    status = dpi_fail(arena->ctx, DP_ERR_NUMERIC, "mixture: none of %d points has a weight", def->npoint);
  if (status == DP_OK && def->most > 1) status = choose(&room, &all, def->most, share, &k);
  if (status == DP_OK) status = fit(arena, &all, k, share, out);
  dpi_arena_release(&room);
  return status;
}
