/* incidence.c - floor 3: products and exponentials, with directional derivatives, of matrices of one closed pattern.
 *
 * Exponential: scaling and squaring with the truncated Taylor series of degree 8, 12 or 16 in the form of Paterson and
 * Stockmeyer,
 *     exp(M h) = (exp(mu tau) T_m(N tau))^(2^s),   tau = h / 2^s,   N = M - mu I.
 * mu is the least diagonal entry when M is essentially nonnegative (compartments): N >= 0, so nothing cancels and every
 * entry keeps its relative accuracy (J. Xue, Q. Ye, Entrywise relative perturbation bounds for exponentials of
 * essentially non-negative matrices, Numer. Math. 110 (2008)). The size of N is taken as max(|N^3|^(1/3), |N^4|^(1/4))
 * (A. Al-Mohy, N. Higham, A new scaling and squaring algorithm, SIAM J. Matrix Anal. Appl. 31 (2009)), so units that
 * differ between states do not cause needless squaring. Derivatives go with every product by the product rule
 * (A. Al-Mohy, N. Higham, Computing the Frechet derivative, SIAM J. Matrix Anal. Appl. 30 (2009)).
 * Squaring doubles the relative error of a diagonal; where the diagonal is known (exp m_ii tau) it is put right on
 * the way, which also keeps the entries beside it right.
 *
 * Invariant: e does not depend on whether derivatives are asked.
 */
#include "solve/linear/incidence.h"

#include <math.h>
#include <string.h>

#include "num/num.h"

#define MAX_SQUARINGS 60
#define REFRESH 4 /* squarings between two corrections of known diagonals */

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

dp_status dpi_incidence_init(dp_ctx *ctx, int n, uint8_t *reach, dpi_incidence *p) {
  *p = (dpi_incidence){.n = n};
  close_relation(n, reach);
  for (int i = 0; i < n * n; i++) p->nnz += reach[i];
  p->row = DPI_NEW_ARRAY(ctx, int, p->nnz);
  p->col = DPI_NEW_ARRAY(ctx, int, p->nnz);
  p->at = DPI_NEW_ARRAY(ctx, int, n * n);
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
      if (i == j) p->diag[i] = c;
      else if (reach[j * n + i]) p->alone[i] = 0;
      p->row[c] = i;
      p->col[c++] = j;
    }
  }
  p->pair = NULL;
  int npair = list_pairs(p);
  p->pair = DPI_NEW_ARRAY(ctx, dpi_pair, npair);
  if (!p->pair) return DP_ERR_MEMORY;
  list_pairs(p);
  return DP_OK;
}

void dpi_incidence_release(dp_ctx *ctx, dpi_incidence *p) {
  dpi_free(ctx, p->row);
  dpi_free(ctx, p->col);
  dpi_free(ctx, p->at);
  dpi_free(ctx, p->diag);
  dpi_free(ctx, p->first);
  dpi_free(ctx, p->pair);
  dpi_free(ctx, p->alone);
  *p = (dpi_incidence){0};
}

/* ---------------------------------------------------------------- arithmetic */

void dpi_incidence_multiply(const dpi_incidence *p, int nblock, const double *a, const double *da, const double *b,
                            const double *db, double *restrict c, double *restrict dc) {
  int nl = 4 * nblock;
  for (int e = 0; e < p->nnz; e++) {
    const dpi_pair *from = p->pair + p->first[e], *to = p->pair + p->first[e + 1];
    double sum = 0.0;
    for (const dpi_pair *q = from; q < to; q++) sum += a[q->a] * b[q->b];
    c[e] = sum;
    for (int l = 0; l < nl; l += 4) {
      double acc[4] = {0.0, 0.0, 0.0, 0.0};
      for (const dpi_pair *q = from; q < to; q++) {
        double va = a[q->a], vb = b[q->b];
        const double *xa = da + q->a * nl + l, *xb = db + q->b * nl + l;
        for (int i = 0; i < 4; i++) acc[i] += xa[i] * vb + va * xb[i];
      }
      memcpy(dc + e * nl + l, acc, sizeof acc);
    }
  }
}

double dpi_incidence_norm(const dpi_incidence *p, const double *a, double *work) {
  double most = 0.0;
  for (int j = 0; j < p->n; j++) work[j] = 0.0;
  for (int e = 0; e < p->nnz; e++) work[p->col[e]] += fabs(a[e]);
  for (int j = 0; j < p->n; j++)
    if (!(work[j] <= most)) most = work[j];
  return most;
}

static void scale(double *v, int n, double factor) {
  for (int i = 0; i < n; i++) v[i] *= factor;
}

/* y += c0 I + c[1] x1 + c[2] x2 + c[3] x3 (and derivatives): one coefficient of Paterson and Stockmeyer's polynomial. */
static void add_block(const dpi_incidence *p, int nl, const double *c, double *const *x, double *const *dx, double *y,
                      double *dy) {
  for (int e = 0; e < p->nnz; e++) y[e] += c[1] * x[1][e] + c[2] * x[2][e] + c[3] * x[3][e];
  for (int i = 0; i < p->n; i++) y[p->diag[i]] += c[0];
  for (int e = 0; e < p->nnz * nl; e++) dy[e] += c[1] * dx[1][e] + c[2] * dx[2][e] + c[3] * dx[3][e];
}

/* Known diagonals: exp(m_ii tau), derivative tau dm_ii exp(m_ii tau). */
static void refresh_diagonal(const dpi_incidence *p, int nl, const double *m, const double *dm, double tau, double *e,
                             double *de) {
  for (int i = 0; i < p->n; i++) {
    if (!p->alone[i]) continue;
    int c = p->diag[i];
    e[c] = m[c] == 0.0 ? 1.0 : dpi_m_exp(m[c] * tau);
    for (int l = 0; l < nl; l++) de[c * nl + l] = tau * dm[c * nl + l] * e[c];
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

/* x[1..4] = powers of (m - mu I) h with derivatives; the size alpha comes back. */
static double powers(const dpi_incidence *p, int nblock, const double *m, const double *dm, double mu, double h,
                     dpi_expm_work *w) {
  int nl = 4 * nblock;
  double *const *x = w->x, *const *dx = w->dx;
  for (int e = 0; e < p->nnz; e++) x[1][e] = m[e] * h;
  for (int i = 0; i < p->n; i++) x[1][p->diag[i]] = (m[p->diag[i]] - mu) * h;
  for (int e = 0; e < p->nnz * nl; e++) dx[1][e] = dm[e] * h;
  dpi_incidence_multiply(p, nblock, x[1], dx[1], x[1], dx[1], x[2], dx[2]);
  dpi_incidence_multiply(p, nblock, x[1], dx[1], x[2], dx[2], x[3], dx[3]);
  dpi_incidence_multiply(p, nblock, x[2], dx[2], x[2], dx[2], x[4], dx[4]);
  double d3 = dpi_m_cbrt(dpi_incidence_norm(p, x[3], w->column));
  double d4 = sqrt(sqrt(dpi_incidence_norm(p, x[4], w->column)));
  return isfinite(d3 + d4) ? fmax(d3, d4) : INFINITY;
}

/* Degree of the series and number of squarings for size alpha: the first neglected term of the *derivative*,
 * theta^m / m!, stays below 2e-17. */
static int degree_for(double alpha, int *nsquare) {
  *nsquare = 0;
  if (alpha <= 0.0308) return 8;
  if (alpha <= 0.214) return 12;
  int exponent = 0;
  double mantissa = frexp(alpha / 0.615, &exponent);
  if (mantissa == 0.5) exponent--;
  *nsquare = exponent > 0 ? exponent : 0;
  return 16;
}

/* y = T_m(x1) by Horner in x4; returns which of the two scratch matrices (0 or 5) holds it. */
static int series(const dpi_incidence *p, int nblock, int degree, dpi_expm_work *w) {
  static const double inverse_factorial[17] = {
      1.0,           1.0,           1.0 / 2,           1.0 / 6,           1.0 / 24,           1.0 / 120,
      1.0 / 720,     1.0 / 5040,    1.0 / 40320,       1.0 / 362880,      1.0 / 3628800,      1.0 / 39916800,
      1.0 / 479001600, 1.0 / 6227020800.0, 1.0 / 87178291200.0, 1.0 / 1307674368000.0, 1.0 / 20922789888000.0};
  int nl = 4 * nblock, y = 0, other = 5;
  // the top block carries the term of x4 too
  for (int e = 0; e < p->nnz; e++) w->x[y][e] = inverse_factorial[degree] * w->x[4][e];
  for (int e = 0; e < p->nnz * nl; e++) w->dx[y][e] = inverse_factorial[degree] * w->dx[4][e];
  add_block(p, nl, inverse_factorial + degree - 4, w->x, w->dx, w->x[y], w->dx[y]);
  for (int k = degree - 8; k >= 0; k -= 4) {
    dpi_incidence_multiply(p, nblock, w->x[4], w->dx[4], w->x[y], w->dx[y], w->x[other], w->dx[other]);
    int t = y;
    y = other;
    other = t;
    add_block(p, nl, inverse_factorial + k, w->x, w->dx, w->x[y], w->dx[y]);
  }
  return y;
}

bool dpi_incidence_expm(const dpi_incidence *p, int nblock, const double *m, const double *dm, bool metzler, double h,
                        double *e, double *de, dpi_expm_work *w) {
  int nl = 4 * nblock, nsquare = 0;
  if (p->n == 0) return true;
  double mu = shift_of(p, m, metzler);
  double alpha = powers(p, nblock, m, dm, mu, h, w);
  if (!isfinite(alpha)) return false;
  int degree = degree_for(alpha, &nsquare);
  if (nsquare > MAX_SQUARINGS) return false;
  // scale the powers to tau = h / 2^s: exact
  for (int k = 1; k <= 4 && nsquare > 0; k++) {
    double factor = ldexp(1.0, -nsquare * k);
    scale(w->x[k], p->nnz, factor);
    scale(w->dx[k], p->nnz * nl, factor);
  }
  int y = series(p, nblock, degree, w), other = 5 - y;
  double tau = ldexp(h, -nsquare), back = dpi_m_exp(mu * tau);
  scale(w->x[y], p->nnz, back);
  scale(w->dx[y], p->nnz * nl, back);
  for (int k = 1; k <= nsquare; k++) {
    dpi_incidence_multiply(p, nblock, w->x[y], w->dx[y], w->x[y], w->dx[y], w->x[other], w->dx[other]);
    y = other;
    other = 5 - y;
    tau *= 2.0;
    if (k % REFRESH == 0) refresh_diagonal(p, nl, m, dm, tau, w->x[y], w->dx[y]);
  }
  refresh_diagonal(p, nl, m, dm, h, w->x[y], w->dx[y]);
  memcpy(e, w->x[y], (size_t)p->nnz * sizeof *e);
  memcpy(de, w->dx[y], (size_t)p->nnz * (size_t)nl * sizeof *de);
  return true;
}
