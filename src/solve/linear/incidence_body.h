/* incidence_body.h - floor 3, private to linear: the arithmetic of incidence.c once for each instruction set. Nothing
 * is summed in another order by wider registers and nothing is contracted (-ffp-contract=off),
 * so all give the same bytes.
 *
 * Before it is included: OPS, the table's name; WIDE, doubles of the widest register, 4 or 8.
 */
#include <math.h>
#include <string.h>

#include "num/num.h"
#include "solve/linear/incidence.h"

#define MAX_SQUARINGS 60
#define REFRESH 4       /* squarings between two corrections of known diagonals */
#define BLOCK_REFRESH 8 /* blocks are corrected from this many squarings on */

typedef double lanes4 __attribute__((vector_size(32), aligned(8), may_alias));
typedef double lanes8 __attribute__((vector_size(64), aligned(8), may_alias));

/* c = a b: entries alone. */
static void multiply_values(const dpi_incidence *p, const double *a, const double *b, double *restrict c) {
  const dpi_pair *q = p->pair;
  for (int e = 0; e < p->nnz; e++) {
    const dpi_pair *to = p->pair + p->first[e + 1];
    double sum = 0.0;
    for (; q < to; q++) sum += a[q->a] * b[q->b];
    c[e] = sum;
  }
}

/* dc = da b + a db for one register's directions, `from` on, of nl. */
#define MULTIPLY(NAME, LANES)                                                                                          \
  static inline __attribute__((always_inline)) void NAME(const dpi_incidence *p, int nl, int from, const double *a,    \
                                                         const double *da, const double *b, const double *db,          \
                                                         double *restrict dc) {                                        \
    const dpi_pair *q = p->pair;                                                                                       \
    for (int e = 0; e < p->nnz; e++) {                                                                                 \
      const dpi_pair *to = p->pair + p->first[e + 1];                                                                  \
      LANES sum = {0.0};                                                                                               \
      for (; q < to; q++)                                                                                              \
        sum += *(const LANES *)(da + q->a * nl + from) * b[q->b] + a[q->a] * *(const LANES *)(db + q->b * nl + from);  \
      *(LANES *)(dc + e * nl + from) = sum;                                                                            \
    }                                                                                                                  \
  }

/* Both at once where one register holds all directions: each pair is looked up once. */
#define MULTIPLY_BOTH(NAME, LANES, NL)                                                                                 \
  static inline __attribute__((always_inline)) void NAME(const dpi_incidence *p, const double *a, const double *da,    \
                                                         const double *b, const double *db, double *restrict c,        \
                                                         double *restrict dc) {                                        \
    const dpi_pair *q = p->pair;                                                                                       \
    for (int e = 0; e < p->nnz; e++) {                                                                                 \
      const dpi_pair *to = p->pair + p->first[e + 1];                                                                  \
      LANES sum = {0.0};                                                                                               \
      double value = 0.0;                                                                                              \
      for (; q < to; q++) {                                                                                            \
        const double left = a[q->a], right = b[q->b];                                                                  \
        value += left * right;                                                                                         \
        sum += *(const LANES *)(da + q->a * NL) * right + left * *(const LANES *)(db + q->b * NL);                     \
      }                                                                                                                \
      c[e] = value;                                                                                                    \
      *(LANES *)(dc + e * NL) = sum;                                                                                   \
    }                                                                                                                  \
  }
MULTIPLY(multiply4, lanes4)
MULTIPLY_BOTH(multiply_both4, lanes4, 4)
#if WIDE == 8
MULTIPLY(multiply8, lanes8)
MULTIPLY_BOTH(multiply_both8, lanes8, 8)
#endif

static void multiply(const dpi_incidence *p, int nblock, const double *a, const double *da, const double *b,
                     const double *db, double *restrict c, double *restrict dc) {
  if (nblock == 1) {
    multiply_both4(p, a, da, b, db, c, dc);
    return;
  }
#if WIDE == 8
  if (nblock == 2) {
    multiply_both8(p, a, da, b, db, c, dc);
    return;
  }
  multiply_values(p, a, b, c);
  for (int l = 0; l + 8 <= 4 * nblock; l += 8) multiply8(p, 4 * nblock, l, a, da, b, db, dc);
  if (nblock % 2) multiply4(p, 4 * nblock, 4 * nblock - 4, a, da, b, db, dc);
#else
  multiply_values(p, a, b, c);
  for (int l = 0; l < 4 * nblock; l += 4) multiply4(p, 4 * nblock, l, a, da, b, db, dc);
#endif
}

static bool expm(const dpi_incidence *p, int nblock, const double *m, const double *dm, bool metzler, double h,
                 double *e, double *de, dpi_expm_work *w);

#include "solve/linear/incidence_chain.h"
#include "solve/linear/incidence_cycle.h"

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
    if (!expm(sub, nblock, w->m, w->dm, metzler, tau, w->e, w->de, w->inner))
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
  multiply(p, nblock, x[1], dx[1], x[1], dx[1], x[2], dx[2]);
  multiply(p, nblock, x[1], dx[1], x[2], dx[2], x[3], dx[3]);
  multiply(p, nblock, x[2], dx[2], x[2], dx[2], x[4], dx[4]);
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
    multiply(p, nblock, w->x[4], w->dx[4], w->x[y], w->dx[y], w->x[other],
                           w->dx[other]);
    int t = y;
    y = other;
    other = t;
    add_block(p, nl, c + k, w->x, w->dx, w->x[y], w->dx[y]);
  }
  return y;
}

static bool expm(const dpi_incidence *p, int nblock, const double *m, const double *dm,
                        bool metzler, double h, double *e, double *de, dpi_expm_work *w) {
  int nl = 4 * nblock, nsquare = 0;
  if (p->n == 0) return true;
  if (p->nchain > 0) return expm_chain(p, nblock, m, dm, h, e, de);
  const bool closed = p->has_cycle && expm_cycle(p, m, h, e);
  if (closed && nblock == 0) return true;
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
    multiply(p, nblock, w->x[y], w->dx[y], w->x[y], w->dx[y], w->x[other],
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
  if (!closed) memcpy(e, w->x[y], (size_t)p->nnz * sizeof *e); /* e is the same with directions and without */
  memcpy(de, w->dx[y], (size_t)p->nnz * (size_t)nl * sizeof *de);
  return true;
}

const dpi_incidence_ops OPS = {.multiply = multiply, .expm = expm};
