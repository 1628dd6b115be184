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
#include "num/points8.h"

#define LN_2PI 1.8378770664093454836

enum { ROUNDS = 60, WORSE_MOST = 2, PURPOSE_SEED = 0x1409, L = DPI_POINTS };
#define SETTLED 1e-4 /* gain of the mean ln density in a round that ends it */

typedef struct points { /* distinct ones */
  int n, count, nblock;
  double *x;     /* [nblock x n x L] eight side by side; behind the last its like */
  double *w;     /* [nblock x L] weights; 0 behind the last */
  double *room;  /* [nblock x L] distances */
  double *share; /* [most x nblock x L] each component's part of each point */
  double *work;  /* what densities and moments ask for */
  double total, effective;
} points;

/* ---- densities ---- */

/* What they need of a mixture, once for all points. */
typedef struct ready {
  const dpi_mixture *mix;
  double dof;
  double *inverse; /* [ncomponent x n] of the factors' diagonals */
  double *head;    /* [ncomponent] ln of weight and of the law's constant */
  double *term;    /* [ncomponent x L] */
  double *room;    /* a block */
} ready;

/* Numbers of work that a mixture of k components in n directions asks for: what is above, and a block of points. */
static size_t work_size(size_t n, size_t k) { return k * n + k + k * L + 2 * n * L; }

size_t dpi_mixture_work(const dpi_mixture *mix) { return work_size((size_t)mix->n, (size_t)mix->ncomponent); }

static ready make_ready(const dpi_mixture *mix, double dof, double *work) {
  const size_t n = (size_t)mix->n, k = (size_t)mix->ncomponent;
  const ready r = {mix, dof, work, work + k * n, work + k * n + k, work + k * n + k + k * L};
  const double constant = isinf(dof) ? -0.5 * mix->n * LN_2PI : dpi_t_logpdf(0, mix->n, dof);
  for (size_t c = 0; c < k; c++) {
    for (size_t a = 0; a < n; a++) r.inverse[c * n + a] = 1 / mix->chol[(c * n + a) * n + a];
    r.head[c] = dpi_m_log(mix->weight[c]) - mix->logdet[c] + constant;
  }
  return r;
}

/* ln densities of the first m points of a block; each component's part at share + c stride + i, unless NULL. */
static void densities(const ready *r, const double *block, int m, double *out, double *share, size_t stride) {
  const dpi_mixture *mix = r->mix;
  const size_t n = (size_t)mix->n;
  const int k = mix->ncomponent;
  for (int c = 0; c < k; c++) {
    double *term = r->term + (size_t)c * L;
    const size_t at = (size_t)c * n;
    dpi_points_distance2(mix->chol + at * n, r->inverse + at, mix->n, mix->mean + at, block, r->room, term);
    for (int i = 0; i < m; i++)
      term[i] = r->head[c] - (isinf(r->dof) ? 0.5 * term[i] : 0.5 * (r->dof + mix->n) * dpi_m_log1p(term[i] / r->dof));
  }
  for (int i = 0; i < m; i++) {
    double top = -INFINITY, sum = 0;
    for (int c = 0; c < k; c++) top = fmax(top, r->term[c * L + i]);
    for (int c = 0; c < k; c++) sum += r->term[c * L + i] = dpi_m_exp(r->term[c * L + i] - top);
    for (int c = 0; share && c < k; c++) share[(size_t)c * stride + (size_t)i] = r->term[c * L + i] / sum;
    out[i] = top + dpi_m_log(sum);
  }
}

/* Points first .. of x [npoint x n] side by side; behind the last its like. */
static void lay_beside(const double *x, int n, int npoint, int first, double *block) {
  for (int i = 0; i < L; i++) {
    const double *from = x + (size_t)(first + i < npoint ? first + i : npoint - 1) * (size_t)n;
    for (int a = 0; a < n; a++) block[a * L + i] = from[a];
  }
}

void dpi_mixture_logpdf(const dpi_mixture *mix, double dof, const double *x, int npoint, double *out, double *share,
                        double *work) {
  const ready r = make_ready(mix, dof, work);
  const size_t k = (size_t)mix->ncomponent;
  double *block = r.room + (size_t)mix->n * L, part[DPI_MIXTURE_MOST * L];
  DP_ASSERT(!share || k <= DPI_MIXTURE_MOST);
  for (int first = 0; first < npoint; first += L) {
    const int m = npoint - first < L ? npoint - first : L;
    lay_beside(x, mix->n, npoint, first, block);
    densities(&r, block, m, out + first, share ? part : NULL, L);
    for (int i = 0; share && i < m; i++)
      for (size_t c = 0; c < k; c++) share[(size_t)(first + i) * k + c] = part[c * L + (size_t)i];
  }
}

/* ---- moments ---- */

/* The eight parts of a sum, one after the other. */
static double together(const double *part) {
  double s = 0;
  for (int i = 0; i < L; i++) s += part[i];
  return s;
}

/* Room that moments need. */
static size_t moments_size(size_t n) { return (n * (n + 1) / 2 + 2 * n) * L; }

/* Mean and covariance (lower) of points with weights w share / sum (share NULL: 1). */
static void moments(const points *p, const double *share, double sum, double *mean, double *cov) {
  const int n = p->n, half = n * (n + 1) / 2;
  double *square = p->work, *part = square + (size_t)half * L, *room = part + (size_t)n * L, w[L];
  memset(square, 0, sizeof(double) * (size_t)half * L);
  memset(part, 0, sizeof(double) * (size_t)n * L);
  for (int pass = 0; pass < 2; pass++) {
    for (int b = 0; b < p->nblock; b++) {
      double most = 0;
      for (int i = 0; i < L; i++) {
        w[i] = p->w[b * L + i] * (share ? share[b * L + i] : 1) / sum;
        most = fmax(most, w[i]);
      }
      const double *x = p->x + (size_t)b * (size_t)n * L;
      if (pass == 0 && most > 0) dpi_points_add(n, w, x, part);
      if (pass == 1 && most > 1e-12) dpi_points_add_square(n, w, x, mean, room, square);
    }
    for (int a = 0; pass == 0 && a < n; a++) mean[a] = together(part + (size_t)a * L);
  }
  for (int a = 0, k = 0; a < n; a++)
    for (int b = 0; b <= a; b++) cov[a * n + b] = together(square + (size_t)L * (size_t)k++);
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

/* share: each point belongs to the nearest of k places far from each other. */
static void seed(const points *p, int k, const double *whole, double *share) {
  dpi_rng rng = dpi_rng_make((uint64_t)k, 0, PURPOSE_SEED);
  const int n = p->n, all = p->nblock * L;
  double *inverse = p->work, *place = inverse + n, *room = place + n, d[L];
  for (int a = 0; a < n; a++) inverse[a] = 1 / whole[a * n + a];
  for (int i = 0; i < all; i++) p->room[i] = INFINITY;
  for (int c = 0; c < k; c++) {
    double sum = 0, at;
    int chosen = 0;
    for (int j = 0; j < p->count; j++) sum += p->w[j] * (c ? p->room[j] : 1);
    at = dpi_rng_uniform(&rng) * sum;
    for (; chosen < p->count - 1; chosen++)
      if ((at -= p->w[chosen] * (c ? p->room[chosen] : 1)) < 0) break;
    for (int a = 0; a < n; a++) place[a] = p->x[((size_t)(chosen / L) * (size_t)n + (size_t)a) * L + chosen % L];
    for (int b = 0; b < p->nblock; b++) {
      dpi_points_distance2(whole, inverse, n, place, p->x + (size_t)b * (size_t)n * L, room, d);
      for (int i = 0; i < L; i++) {
        const int j = b * L + i;
        if (!(d[i] < p->room[j])) continue;
        p->room[j] = d[i];
        for (int o = 0; o < k; o++) share[(size_t)o * (size_t)all + (size_t)j] = o == c;
      }
    }
  }
}

/* One component from the shares; pooled: the covariance that it is drawn towards, with the weight of n + 2 points. */
static void maximise(const points *p, const double *share, int c, const double *pooled, dpi_mixture *mix) {
  const int n = p->n, k = mix->ncomponent, all = p->nblock * L;
  double *mean = mix->mean + (size_t)c * n, *cov = mix->chol + (size_t)c * n * n, sum = 0;
  share += (size_t)c * (size_t)all;
  for (int i = 0; i < p->count; i++) sum += p->w[i] * share[i];
  mix->weight[c] = fmax(sum / p->total, 1e-12);
  if (!(sum > 0)) sum = p->total;
  moments(p, share, sum, mean, cov);
  const double have = p->effective * mix->weight[c], lent = k > 1 ? n + 2 : 0;
  for (int a = 0; a < n; a++)
    for (int b = 0; b <= a; b++)
      cov[a * n + b] = (have * cov[a * n + b] + lent * pooled[a * n + b]) / (have + lent);
  mix->logdet[c] = factor(cov, n, p->work);
}

dp_status dpi_mixture_make(dpi_arena *arena, int n, int ncomponent, dpi_mixture *mix) {
  const size_t d = (size_t)n, m = (size_t)ncomponent;
  *mix = (dpi_mixture){.n = n, .ncomponent = ncomponent};
  mix->weight = DPI_ARENA_ARRAY(arena, double, m);
  mix->mean = DPI_ARENA_ARRAY(arena, double, m * d + 1);
  mix->chol = DPI_ARENA_ARRAY(arena, double, m * d * d + 1);
  mix->logdet = DPI_ARENA_ARRAY(arena, double, m);
  return mix->weight && mix->mean && mix->chol && mix->logdet ? DP_OK : DP_ERR_MEMORY;
}

/* Mean ln density of the points of `of`; share: each component's parts, or NULL. */
static double mean_density(const dpi_mixture *mix, const points *of, double total, double *share, double *work) {
  const ready r = make_ready(mix, INFINITY, work);
  const size_t all = (size_t)of->nblock * L;
  double out[L], l = 0;
  for (int b = 0; b < of->nblock; b++) {
    densities(&r, of->x + (size_t)b * (size_t)of->n * L, L, out, share ? share + b * L : NULL, all);
    for (int i = 0; i < L; i++) l += of->w[b * L + i] / total * out[i];
  }
  return l;
}

/* k components. */
static dp_status fit(dpi_arena *arena, points *p, int k, dpi_mixture *mix) {
  const int n = p->n;
  double before = -INFINITY, *share = p->share;
  double *pooled = DPI_ARENA_ARRAY(arena, double, (size_t)n *n), *whole = DPI_ARENA_ARRAY(arena, double, (size_t)n *n);
  DP_TRY(dpi_mixture_make(arena, n, k, mix));
  if (!pooled || !whole) return DP_ERR_MEMORY;
  moments(p, NULL, p->total, mix->mean, pooled);
  memcpy(whole, pooled, sizeof(double) * (size_t)n * (size_t)n);
  factor(whole, n, p->work);
  /* k equal pieces of a space of n directions are each narrower by k^(1/n) */
  const double narrow = dpi_m_exp(-2.0 / n * dpi_m_log(k));
  for (int a = 0; a < n * n; a++) pooled[a] *= narrow;
  if (k > 1) seed(p, k, whole, share);
  for (int i = 0; k == 1 && i < p->nblock * L; i++) share[i] = 1;
  for (int r = 0; r < ROUNDS; r++) {
    for (int c = 0; c < k; c++) maximise(p, share, c, pooled, mix);
    if (k == 1) break;
    const double l = mean_density(mix, p, p->total, share, p->work);
    if (l - before < SETTLED) break;
    before = l;
  }
  double sum = 0;
  for (int c = 0; c < k; c++) sum += mix->weight[c];
  for (int c = 0; c < k; c++) mix->weight[c] /= sum;
  return DP_OK;
}

/* ---- points ---- */

static void totals(points *p) {
  double square = 0;
  p->total = 0;
  for (int i = 0; i < p->count; i++) {
    p->total += p->w[i];
    square += p->w[i] * p->w[i];
  }
  p->effective = square > 0 ? p->total * p->total / square : 0;
}

static dp_status points_room(dpi_arena *arena, int n, int count, int most, points *p) {
  const size_t room = moments_size((size_t)n), work = work_size((size_t)n, (size_t)most);
  const size_t all = (size_t)(count / L + 1) * L;
  *p = (points){.n = n};
  p->x = DPI_ARENA_ARRAY(arena, double, all * (size_t)n);
  p->w = DPI_ARENA_ARRAY(arena, double, all);
  p->room = DPI_ARENA_ARRAY(arena, double, all);
  p->share = DPI_ARENA_ARRAY(arena, double, all * (size_t)most);
  p->work = DPI_ARENA_ARRAY(arena, double, room > work ? room : work);
  return p->x && p->w && p->room && p->share && p->work ? DP_OK : DP_ERR_MEMORY;
}

/* Where coordinate a of point i stands. */
static double *coordinate(const points *p, int i, int a) {
  return p->x + ((size_t)(i / L) * (size_t)p->n + (size_t)a) * L + i % L;
}

/* The last block filled up, sums. */
static void points_end(points *p) {
  p->nblock = (p->count + L - 1) / L;
  for (int i = p->count; i < p->nblock * L; i++)
    for (int a = 0; a < p->n; a++) *coordinate(p, i, a) = *coordinate(p, p->count - 1, a);
  totals(p);
}

static dp_status gather(dpi_arena *arena, const dpi_mixture_def *def, points *p) {
  const size_t n = (size_t)def->n;
  const double *last = NULL;
  DP_TRY(points_room(arena, def->n, def->npoint, def->most, p));
  for (int i = 0; i < def->npoint; i++) {
    const double *x = def->x + (size_t)i * n, w = def->weight ? def->weight[i] : 1;
    if (!(w > 0)) continue;
    if (last && memcmp(last, x, n * sizeof *x) == 0) {
      p->w[p->count - 1] += w;
      continue;
    }
    last = x;
    for (int a = 0; a < def->n; a++) *coordinate(p, p->count, a) = x[a];
    p->w[p->count++] = w;
  }
  points_end(p);
  return DP_OK;
}

/* Every other one, from `first` on. */
static dp_status half_of(dpi_arena *arena, const points *p, int first, int most, points *out) {
  DP_TRY(points_room(arena, p->n, p->count / 2 + 1, most, out));
  for (int i = first; i < p->count; i += 2) {
    for (int a = 0; a < p->n; a++) *coordinate(out, out->count, a) = *coordinate(p, i, a);
    out->w[out->count++] = p->w[i];
  }
  points_end(out);
  return DP_OK;
}

/* ---- how many components ---- */

typedef struct halves {
  dp_ctx *ctx;
  dpi_arena room[2];
  points half[2];
  double total, foretold[2]; /* mean ln density of the other half, as a share of all points */
  int k;
} halves;

/* dpi_work_fn: k components for half h, judged by the other. */
static dp_status foretell(void *user, int h, int worker) {
  halves *s = user;
  dpi_mixture mix;
  (void)worker;
  DP_TRY(fit(&s->room[h], &s->half[h], s->k, &mix));
  s->foretold[h] = mean_density(&mix, &s->half[1 - h], s->total, NULL, s->half[h].work);
  return DP_OK;
}

/* How many components foretell points left out best? */
static dp_status count_components(halves *s, const points *all, int most, int *out) {
  double best = -INFINITY;
  int worse = 0;
  s->total = all->total;
  for (int h = 0; h < 2; h++) DP_TRY(half_of(&s->room[h], all, h, most, &s->half[h]));
  for (s->k = 1; s->k <= most && worse < WORSE_MOST && s->half[0].effective > 2.0 * s->k * all->n; s->k++) {
    DP_TRY(dpi_parallel_for(s->ctx, 2, foretell, s));
    const double l = s->foretold[0] + s->foretold[1];
    worse = l > best ? 0 : worse + 1;
    if (l <= best) continue;
    best = l;
    *out = s->k;
  }
  return DP_OK;
}

static dp_status choose(dp_ctx *ctx, const points *all, int most, int *out) {
  halves s = {.ctx = ctx};
  for (int h = 0; h < 2; h++) dpi_arena_init(&s.room[h], ctx);
  dp_status status = count_components(&s, all, most, out);
  for (int h = 0; h < 2; h++) dpi_arena_release(&s.room[h]);
  return status;
}

dp_status dpi_mixture_fit(dpi_arena *arena, const dpi_mixture_def *def, dpi_mixture *out) {
  points all = {0};
  dpi_arena room;
  int k = 1;
  DP_ASSERT(def->n >= 1 && def->npoint >= 1 && def->most >= 1 && def->most <= DPI_MIXTURE_MOST);
  dpi_arena_init(&room, arena->ctx);
  dp_status status = gather(&room, def, &all);
  if (status == DP_OK && all.count == 0)
    status = dpi_fail(arena->ctx, DP_ERR_NUMERIC, "mixture: none of %d points has a weight", def->npoint);
  if (status == DP_OK && def->most > 1) status = choose(arena->ctx, &all, def->most, &k);
  if (status == DP_OK) status = fit(arena, &all, k, out);
  dpi_arena_release(&room);
  return status;
}
