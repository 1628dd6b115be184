/* incidence.c - floor 3: products and exponentials, with directional derivatives, of matrices of
 * one closed pattern.
 *
 * Exponential: scaling and squaring with the truncated Taylor series of degree 8, 12 or 16 in the
 * form of Paterson and Stockmeyer,
 *
 *     exp(M h) = (exp(mu tau) T_m(N tau))^(2^s),   tau = h / 2^s,   N = M - mu I.
 *
 * - mu is the least diagonal entry when M is essentially nonnegative (compartments): N >= 0, so
 *   nothing cancels and every entry keeps its relative accuracy (J. Xue, Q. Ye, Entrywise relative
 *   perturbation bounds for exponentials of essentially non-negative matrices, Numer. Math. 110
 *   (2008)).
 * - The size of N is taken as alpha = max(|N^3|^(1/3), |N^4|^(1/4)), compared without taking roots (A. Al-Mohy,
 *   N. Higham, A new scaling and squaring algorithm, SIAM J. Matrix Anal. Appl. 31 (2009)), so units that differ
 *   between states do not cause needless squaring.
 * - Derivatives go with every product by the product rule (A. Al-Mohy, N. Higham, Computing the
 *   Frechet derivative, SIAM J. Matrix Anal. Appl. 30 (2009)).
 * - Squaring doubles the relative error of what lies on the diagonal. Where that is known it is put
 *   right on the way, which also keeps the entries beside it right: exp(m_ii tau) for a state in no
 *   cycle, the block's own exponential (which a fast rate elsewhere does not force into many
 *   squarings) for a cycle.
 *
 * Invariant: e does not depend on whether derivatives are asked.
 */
#include "solve/linear/incidence.h"

#include <math.h>
#include <string.h>

#include "num/num.h"

#define MAX_SQUARINGS 60
#define REFRESH 4       /* squarings between two corrections of known diagonals */
#define BLOCK_REFRESH 8 /* blocks are corrected from this many squarings on */

/* ---------------------------------------------------------------- the pattern */

/* Reflexive and transitive closure (Warshall). */
static void close_relation(int n, uint8_t *reach) {
  for (int i = 0; i < n; i++) reach[i * n + i] = 1;
  for (int k = 0; k < n; k++)
    for (int i = 0; i < n; i++)
      if (reach[i * n + k])
        for (int j = 0; j < n; j++) reach[i * n + j] |= reach[k * n + j];
}

/* For each entry (i, j) the pairs (i, k), (k, j); counts only while pair is NULL. */
static int list_pairs(dpi_incidence *p) {
  int n = p->n, count = 0;
  for (int c = 0; c < p->nnz; c++) {
    if (p->pair) p->first[c] = count;
    for (int k = 0; k < n; k++) {
      int a = p->at[p->row[c] * n + k], b = p->at[k * n + p->col[c]];
      if (a < 0 || b < 0) continue;
      if (p->pair) p->pair[count] = (dpi_pair){a, b};
      count++;
    }
  }
  if (p->pair) p->first[p->nnz] = count;
  return count;
}

/* The block of the states in member[]. */
static dp_status make_block(dp_ctx *ctx, const dpi_incidence *p, const int *member, int count,
                            dpi_block *b) {
  uint8_t *all = DPI_NEW_ARRAY(ctx, uint8_t, count * count);
  b->sub = DPI_NEW(ctx, dpi_incidence);
  b->entry = DPI_NEW_ARRAY(ctx, int, count *count);
  dp_status status = DP_ERR_MEMORY;
  if (all && b->sub && b->entry) {
    memset(all, 1, (size_t)(count * count));
    status = dpi_incidence_init(ctx, count, all, b->sub);
  }
  for (int i = 0; i < count * count && status == DP_OK; i++)
    b->entry[i] = p->at[member[i / count] * p->n + member[i % count]];
  dpi_free(ctx, all);
  return status;
}

/* Find the cycles that are not everything. */
static dp_status find_blocks(dp_ctx *ctx, dpi_incidence *p) {
  int n = p->n;
  int *member = DPI_NEW_ARRAY(ctx, int, n);
  p->block = DPI_NEW_ARRAY(ctx, dpi_block, n / 2);
  dp_status status = member && p->block ? DP_OK : DP_ERR_MEMORY;
  for (int i = 0; i < n && status == DP_OK; i++) {
    int count = 0;
    for (int j = 0; j < n; j++)
      if (p->at[i * n + j] >= 0 && p->at[j * n + i] >= 0) member[count++] = j;
    // each once, by its first state
    if (count < 2 || count == n || member[0] != i) continue;
    status = make_block(ctx, p, member, count, &p->block[p->nblock++]);
  }
  dpi_free(ctx, member);
  return status;
}

dp_status dpi_incidence_init(dp_ctx *ctx, int n, uint8_t *reach, dpi_incidence *p) {
  *p = (dpi_incidence){.n = n};
  close_relation(n, reach);
  for (int i = 0; i < n * n; i++) p->nnz += reach[i];
  p->row = DPI_NEW_ARRAY(ctx, int, p->nnz);
  p->col = DPI_NEW_ARRAY(ctx, int, p->nnz);
  p->at = DPI_NEW_ARRAY(ctx, int, n *n);
  p->diag = DPI_NEW_ARRAY(ctx, int, n);
  p->first = DPI_NEW_ARRAY(ctx, int, p->nnz + 1);
  p->alone = DPI_NEW_ARRAY(ctx, uint8_t, n);
  if (!p->row || !p->col || !p->at || !p->diag || !p->first || !p->alone) return DP_ERR_MEMORY;
  int c = 0;
  for (int i = 0; i < n; i++) {
    p->alone[i] = 1;
    for (int j = 0; j < n; j++) {
      p->at[i * n + j] = reach[i * n + j] ? c : -1;
      if (!reach[i * n + j]) continue;
      if (i == j)
        p->diag[i] = c;
      else if (reach[j * n + i])
        p->alone[i] = 0;
      p->row[c] = i;
      p->col[c++] = j;
    }
  }
  p->pair = NULL;
  int npair = list_pairs(p);
  p->pair = DPI_NEW_ARRAY(ctx, dpi_pair, npair);
  if (!p->pair) return DP_ERR_MEMORY;
  list_pairs(p);
  return find_blocks(ctx, p);
}

void dpi_incidence_release(dp_ctx *ctx, dpi_incidence *p) {
  dpi_free(ctx, p->row);
  dpi_free(ctx, p->col);
  dpi_free(ctx, p->at);
  dpi_free(ctx, p->diag);
  dpi_free(ctx, p->first);
  dpi_free(ctx, p->pair);
  dpi_free(ctx, p->alone);
  for (int i = 0; i < p->nblock; i++) {
    if (p->block[i].sub) dpi_incidence_release(ctx, p->block[i].sub);
    dpi_free(ctx, p->block[i].sub);
    dpi_free(ctx, p->block[i].entry);
  }
  dpi_free(ctx, p->block);
  *p = (dpi_incidence){0};
}

/* ---------------------------------------------------------------- arithmetic */

static inline __attribute__((always_inline)) void multiply(const dpi_incidence *p, int nl,
                                                           const double *a, const double *da,
                                                           const double *b, const double *db,
                                                           double *restrict c,
                                                           double *restrict dc) {
  const dpi_pair *q = p->pair;
  for (int e = 0; e < p->nnz; e++) {
    const dpi_pair *from = q, *to = p->pair + p->first[e + 1];
    double sum = 0.0;
    for (; q < to; q++) sum += a[q->a] * b[q->b];
    c[e] = sum;
    for (int l = 0; l < nl; l += 4) {
      double acc[4] = {0.0, 0.0, 0.0, 0.0};
      for (const dpi_pair *r = from; r < to; r++) {
        double va = a[r->a], vb = b[r->b];
        const double *xa = da + r->a * nl + l, *xb = db + r->b * nl + l;
        for (int i = 0; i < 4; i++) acc[i] += xa[i] * vb + va * xb[i];
      }
      memcpy(dc + e * nl + l, acc, sizeof acc);
    }
  }
}

void dpi_incidence_multiply(const dpi_incidence *p, int nblock, const double *a, const double *da,
                            const double *b, const double *db, double *c, double *dc) {
  switch (nblock) {
    case 0:
      multiply(p, 0, a, da, b, db, c, dc);
      break;
    case 1:
      multiply(p, 4, a, da, b, db, c, dc);
      break;
    case 2:
      multiply(p, 8, a, da, b, db, c, dc);
      break;
    default:
      multiply(p, 4 * nblock, a, da, b, db, c, dc);
      break;
  }
}

double dpi_incidence_norm(const dpi_incidence *p, const double *a) {
  double most = 0.0, sum = 0.0;
  for (int e = 0; e < p->nnz; e++) {
    sum = e > 0 && p->row[e] == p->row[e - 1] ? sum + fabs(a[e]) : fabs(a[e]);
    if (sum > most || sum != sum) most = sum; /* not a number stays */
  }
  return most;
}

/* y += c0 I + c[1] x1 + c[2] x2 + c[3] x3 (and derivatives): one coefficient of Paterson and
 * Stockmeyer's polynomial. */
static void add_block(const dpi_incidence *p, int nl, const double *c, double *const *x,
                      double *const *dx, double *y, double *dy) {
  for (int e = 0; e < p->nnz; e++) y[e] += c[1] * x[1][e] + c[2] * x[2][e] + c[3] * x[3][e];
  for (int i = 0; i < p->n; i++) y[p->diag[i]] += c[0];
  for (int e = 0; e < p->nnz * nl; e++)
    dy[e] += c[1] * dx[1][e] + c[2] * dx[2][e] + c[3] * dx[3][e];
}

/* Known diagonals: exp(m_ii tau), derivative tau dm_ii exp(m_ii tau). power = exp(mu tau). */
static void refresh_diagonal(const dpi_incidence *p, int nl, const double *m, const double *dm,
                             double tau, double mu, double power, double *e, double *de) {
  for (int i = 0; i < p->n; i++) {
    if (!p->alone[i]) continue;
    int c = p->diag[i];
    e[c] = m[c] == 0.0 ? 1.0 : m[c] == mu ? power : dpi_m_exp(m[c] * tau);
    for (int l = 0; l < nl; l++) de[c * nl + l] = tau * dm[c * nl + l] * e[c];
  }
}

/* Known blocks: the same by their own exponential. */
static void refresh_blocks(const dpi_incidence *p, int nblock, const double *m, const double *dm,
                           double tau, double *e, double *de, const dpi_expm_work *w) {
  size_t nl = 4 * (size_t)nblock;
  for (int i = 0; i < p->nblock; i++) {
    const dpi_incidence *sub = p->block[i].sub;
    const int *entry = p->block[i].entry;
    bool metzler = true;
    for (int c = 0; c < sub->nnz; c++) {
      w->m[c] = m[entry[c]];
      memcpy(w->dm + (size_t)c * nl, dm + (size_t)entry[c] * nl, nl * sizeof *dm);
      if (sub->row[c] != sub->col[c] && !(w->m[c] >= 0.0)) metzler = false;
    }
    if (!dpi_incidence_expm(sub, nblock, w->m, w->dm, metzler, tau, w->e, w->de, w->inner))
      continue;
    for (int c = 0; c < sub->nnz; c++) {
      e[entry[c]] = w->e[c];
      memcpy(de + (size_t)entry[c] * nl, w->de + (size_t)c * nl, nl * sizeof *de);
    }
  }
}

/* The shift mu: see the top. */
static double shift_of(const dpi_incidence *p, const double *m, bool metzler) {
  double least = m[p->diag[0]], sum = 0.0;
  for (int i = 0; i < p->n; i++) {
    double d = m[p->diag[i]];
    if (d < least) least = d;
    sum += d;
  }
  return metzler ? least : sum / p->n;
}

/* x[1..4] = powers of (m - mu I) h with derivatives; the norms of the third and fourth come back. */
static void powers(const dpi_incidence *p, int nblock, const double *m, const double *dm, double mu,
                   double h, dpi_expm_work *w, double *n3, double *n4) {
  int nl = 4 * nblock;
  double *const *x = w->x, *const *dx = w->dx;
  for (int e = 0; e < p->nnz; e++) x[1][e] = m[e] * h;
  for (int i = 0; i < p->n; i++) x[1][p->diag[i]] = (m[p->diag[i]] - mu) * h;
  for (int e = 0; e < p->nnz * nl; e++) dx[1][e] = dm[e] * h;
  dpi_incidence_multiply(p, nblock, x[1], dx[1], x[1], dx[1], x[2], dx[2]);
  dpi_incidence_multiply(p, nblock, x[1], dx[1], x[2], dx[2], x[3], dx[3]);
  dpi_incidence_multiply(p, nblock, x[2], dx[2], x[2], dx[2], x[4], dx[4]);
  *n3 = dpi_incidence_norm(p, x[3]);
  *n4 = dpi_incidence_norm(p, x[4]);
}

/* alpha <= theta */
static bool below(double n3, double n4, double theta) {
  double square = theta * theta;
  return n3 <= square * theta && n4 <= square * square;
}

/* Least s >= 0 with value <= 2^(power s) */
static int halvings(double value, int power) {
  int exponent = 0;
  if (frexp(value, &exponent) == 0.5) exponent--;
  return exponent > 0 ? (exponent + power - 1) / power : 0;
}

/* Degree of the series and number of squarings for size alpha: the first neglected term of the
 * *derivative*, theta^m / m!, stays below 2e-17. */
static int degree_for(double n3, double n4, int *nsquare) {
  const double theta = 0.615;
  *nsquare = 0;
  if (below(n3, n4, 0.0308)) return 8;
  if (below(n3, n4, 0.214)) return 12;
  int s3 = halvings(n3 / (theta * theta * theta), 3);
  int s4 = halvings(n4 / (theta * theta * theta * theta), 4);
  *nsquare = s3 > s4 ? s3 : s4;
  return 16;
}

/* y = factor T_m(x1 / 2^s) by Horner in x4; returns which of the two scratch matrices (0 or 5)
 * holds it. The scaling sits in the coefficients: powers of two, exact. */
static int series(const dpi_incidence *p, int nblock, int degree, int nsquare, double factor,
                  dpi_expm_work *w) {
  static const double factorial[17] = {1.0,
                                       1.0,
                                       2.0,
                                       6.0,
                                       24.0,
                                       120.0,
                                       720.0,
                                       5040.0,
                                       40320.0,
                                       362880.0,
                                       3628800.0,
                                       39916800.0,
                                       479001600.0,
                                       6227020800.0,
                                       87178291200.0,
                                       1307674368000.0,
                                       20922789888000.0};
  int nl = 4 * nblock, y = 0, other = 5;
  double c[17], power = factor, half = ldexp(1.0, -nsquare);
  for (int k = 0; k <= degree; k++, power *= half) c[k] = power / factorial[k];
  // the top block carries the term of x4 too
  for (int e = 0; e < p->nnz; e++) w->x[y][e] = c[degree] * w->x[4][e];
  for (int e = 0; e < p->nnz * nl; e++) w->dx[y][e] = c[degree] * w->dx[4][e];
  add_block(p, nl, c + degree - 4, w->x, w->dx, w->x[y], w->dx[y]);
  for (int k = degree - 8; k >= 0; k -= 4) {
    dpi_incidence_multiply(p, nblock, w->x[4], w->dx[4], w->x[y], w->dx[y], w->x[other],
                           w->dx[other]);
    int t = y;
    y = other;
    other = t;
    add_block(p, nl, c + k, w->x, w->dx, w->x[y], w->dx[y]);
  }
  return y;
}

bool dpi_incidence_expm(const dpi_incidence *p, int nblock, const double *m, const double *dm,
                        bool metzler, double h, double *e, double *de, dpi_expm_work *w) {
  int nl = 4 * nblock, nsquare = 0;
  if (p->n == 0) return true;
  double mu = shift_of(p, m, metzler);
  double n3, n4;
  powers(p, nblock, m, dm, mu, h, w, &n3, &n4);
  if (!isfinite(n3 + n4)) return false;
  int degree = degree_for(n3, n4, &nsquare);
  if (nsquare > MAX_SQUARINGS) return false;
  double tau = ldexp(h, -nsquare);
  double power = dpi_m_exp(mu * tau);
  int y = series(p, nblock, degree, nsquare, power, w), other = 5 - y;
  for (int k = 1; k <= nsquare; k++) {
    dpi_incidence_multiply(p, nblock, w->x[y], w->dx[y], w->x[y], w->dx[y], w->x[other],
                           w->dx[other]);
    y = other;
    other = 5 - y;
    tau *= 2.0;
    if (k < nsquare && k % REFRESH != 0) continue;
    power = dpi_m_exp(mu * tau);
    refresh_diagonal(p, nl, m, dm, tau, mu, power, w->x[y], w->dx[y]);
    if (k >= BLOCK_REFRESH) refresh_blocks(p, nblock, m, dm, tau, w->x[y], w->dx[y], w);
  }
  if (nsquare == 0) refresh_diagonal(p, nl, m, dm, h, mu, power, w->x[y], w->dx[y]);
  memcpy(e, w->x[y], (size_t)p->nnz * sizeof *e);
  memcpy(de, w->dx[y], (size_t)p->nnz * (size_t)nl * sizeof *de);
  return true;
}
