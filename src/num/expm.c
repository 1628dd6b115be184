/* expm.c - exponential of a small matrix by scaling and squaring with Pade approximants.
 *
 * Sources: N. J. Higham, "The scaling and squaring method for the matrix exponential revisited",
 * SIAM J. Matrix Anal. Appl. 26 (2005) 1179 (the approximants); A. H. Al-Mohy, N. J. Higham, "A
 * new scaling and squaring algorithm for the matrix exponential", SIAM J. Matrix Anal. Appl. 31
 * (2009) 970 (the choice of degree and scaling by the norms of powers, algorithm 5.1). The second
 * matters here: a model with an infusion has a matrix [A b; 0 0] with a large b, and a choice by
 * |A| alone would square too often and lose digits.
 *
 * The norms of powers are computed, not estimated: n is small. No elementary function is used,
 * only + - x /.
 */
#include "num/num.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define MAX_SQUARINGS 1100

/* largest |A^k|^(1/k) for which degree m has a backward error below the unit roundoff (2009,
 * table 3.1) */
static const double theta3 = 1.495585217958292e-2, theta5 = 2.539398330063230e-1,
                    theta7 = 9.504178996162932e-1, theta9 = 2.097847961257068, theta13 = 4.25;

static const double pade3[] = {120, 60, 12, 1};
static const double pade5[] = {30240, 15120, 3360, 420, 30, 1};
static const double pade7[] = {17297280, 8648640, 1995840, 277200, 25200, 1512, 56, 1};
static const double pade9[] = {17643225600, 8821612800, 2075673600, 302702400, 30270240,
                               2162160,     110880,     3960,       90,        1};
static const double pade13[] = {64764752532480000,
                                32382376266240000,
                                7771770303897600,
                                1187353796428800,
                                129060195264000,
                                10559470521600,
                                670442572800,
                                33522128640,
                                1323241920,
                                40840800,
                                960960,
                                16380,
                                182,
                                1};

/* c := a b */
static void multiply(const double *a, const double *b, double *c, int n) {
  for (int i = 0; i < n; i++) {
    double *row = c + (size_t)i * n;
    for (int j = 0; j < n; j++) row[j] = 0.0;
    for (int k = 0; k < n; k++) {
      double x = a[(size_t)i * n + k];
      if (x == 0.0) continue;
      const double *bk = b + (size_t)k * n;
      for (int j = 0; j < n; j++) row[j] += x * bk[j];
    }
  }
}

/* Largest column sum of absolute values; NaN and infinity come through. */
static double norm1(const double *a, int n) {
  double best = 0.0;
  for (int j = 0; j < n; j++) {
    double s = 0.0;
    for (int i = 0; i < n; i++) s += fabs(a[(size_t)i * n + j]);
    if (!(s <= best)) best = s;
    if (s != s) return s;
  }
  return best;
}

/* norm1 of (|a| / norm)^k: row vector of ones times |a|, again and again. t, u: n doubles each. */
static double norm1_power_abs(const double *a, int n, double norm, int k, double *t, double *u) {
  double r = 1.0 / norm, best = 0.0;
  for (int j = 0; j < n; j++) t[j] = 1.0;
  for (int p = 0; p < k; p++) {
    for (int j = 0; j < n; j++) u[j] = 0.0;
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) u[j] += t[i] * fabs(a[(size_t)i * n + j]);
    }
    for (int j = 0; j < n; j++) t[j] = u[j] * r;
  }
  for (int j = 0; j < n; j++) {
    if (t[j] > best) best = t[j];
  }
  return best;
}

static double ipow(double x, int k) {
  double r = 1.0;
  for (int i = 0; i < k; i++) r *= x;
  return r;
}

/* Further halvings l so that the leading backward error of degree m, |c| ||A|^(2m+1)| / |A| of
 * the matrix halved s times already, stays below the unit roundoff (2009, eq. 5.1). */
static int extra_scaling(const double *a, int n, int m, int s, double norm, double *scratch) {
  /* c_m = (m!)^2 / ((2m)! (2m+1)!) */
  static const double c[14] = {[3] = 1.0 / 100800.0,
                               [5] = 1.0 / 10059033600.0,
                               [7] = 1.0 / 4487938430976000.0,
                               [9] = 1.0 / 5914384781877411840000.0,
                               [13] = 1.0 / 113250775606021113483283660800000000.0};
  if (norm < DBL_MIN) return 0;
  double q = norm1_power_abs(a, n, norm, 2 * m + 1, scratch, scratch + n);
  if (q == 0.0) return 0;
  double alpha = c[m] * q * ipow(ldexp(norm, -s), 2 * m), limit = 0.5 * DBL_EPSILON;
  double step = ldexp(1.0, 2 * m);
  int extra = 0;
  while (alpha > limit) {
    limit *= step;
    extra++;
  }
  return extra;
}

/* u := odd part, v := even part of the approximant's numerator, degrees 3 to 9. power[k] =
 * A^(2k). */
static void pade_low(const double *b, int m, const double *a, double *const *power, int n,
                     double *u, double *v, double *t) {
  size_t nn = (size_t)n * n;
  for (size_t i = 0; i < nn; i++) {
    double odd = 0.0, even = 0.0;
    for (int k = m / 2; k >= 1; k--) {
      odd += b[2 * k + 1] * power[k][i];
      even += b[2 * k] * power[k][i];
    }
    t[i] = odd;
    v[i] = even;
  }
  for (int i = 0; i < n; i++) {
    t[(size_t)i * n + i] += b[1];
    v[(size_t)i * n + i] += b[0];
  }
  multiply(a, t, u, n);
}

/* The same for degree 13 with six products (2005, eq. 2.9 and 2.10). */
static void pade_13(const double *a, double *const *power, int n, double *u, double *v, double *t) {
  const double *b = pade13, *a2 = power[1], *a4 = power[2], *a6 = power[3];
  size_t nn = (size_t)n * n;
  for (size_t i = 0; i < nn; i++) t[i] = b[13] * a6[i] + b[11] * a4[i] + b[9] * a2[i];
  multiply(a6, t, v, n);
  for (size_t i = 0; i < nn; i++) v[i] += b[7] * a6[i] + b[5] * a4[i] + b[3] * a2[i];
  for (int i = 0; i < n; i++) v[(size_t)i * n + i] += b[1];
  multiply(a, v, u, n);
  for (size_t i = 0; i < nn; i++) t[i] = b[12] * a6[i] + b[10] * a4[i] + b[8] * a2[i];
  multiply(a6, t, v, n);
  for (size_t i = 0; i < nn; i++) v[i] += b[6] * a6[i] + b[4] * a4[i] + b[2] * a2[i];
  for (int i = 0; i < n; i++) v[(size_t)i * n + i] += b[0];
}

/* Solve q x = p for all columns, p := x; elimination with row exchanges. False when q is
 * singular. */
static bool solve_matrix(double *q, double *p, int n) {
#define Q(i, j) q[(size_t)(i)*n + (j)]
#define P(i, j) p[(size_t)(i)*n + (j)]
  for (int k = 0; k < n; k++) {
    int best = k;
    for (int i = k + 1; i < n; i++) {
      if (fabs(Q(i, k)) > fabs(Q(best, k))) best = i;
    }
    if (!(fabs(Q(best, k)) > 0.0)) return false;
    for (int j = 0; j < n && best != k; j++) {
      double x = Q(k, j), y = P(k, j);
      Q(k, j) = Q(best, j);
      Q(best, j) = x;
      P(k, j) = P(best, j);
      P(best, j) = y;
    }
    double r = 1.0 / Q(k, k);
    for (int i = k + 1; i < n; i++) {
      double f = Q(i, k) * r;
      if (f == 0.0) continue;
      for (int j = k + 1; j < n; j++) Q(i, j) -= f * Q(k, j);
      for (int j = 0; j < n; j++) P(i, j) -= f * P(k, j);
    }
  }
  for (int i = n - 1; i >= 0; i--) {
    double r = 1.0 / Q(i, i);
    for (int k = i + 1; k < n; k++) {
      double f = Q(i, k);
      if (f == 0.0) continue;
      for (int j = 0; j < n; j++) P(i, j) -= f * P(k, j);
    }
    for (int j = 0; j < n; j++) P(i, j) *= r;
  }
  return true;
}

/* e := (v - u)^-1 (v + u), squared s times; t is scratch. */
static bool finish(double *u, double *v, double *e, double *t, int n, int s) {
  size_t nn = (size_t)n * n;
  for (size_t i = 0; i < nn; i++) {
    e[i] = v[i] + u[i];
    t[i] = v[i] - u[i];
  }
  if (!solve_matrix(t, e, n)) return false;
  for (int k = 0; k < s; k++) {
    multiply(e, e, t, n);
    memcpy(e, t, nn * sizeof *e);
  }
  return true;
}

/* Degree 13: number of halvings from the norms of A^4, A^6, A^8, A^10; t is scratch. */
static int scaling_13(const double *a, double *const *power, int n, double norm, double *t) {
  multiply(power[2], power[2], t, n);
  double n6 = norm1(power[3], n), n8 = norm1(t, n);
  multiply(power[2], power[3], t, n);
  double n10 = norm1(t, n);
  double t6 = ipow(theta13, 6), t8 = ipow(theta13, 8), t10 = ipow(theta13, 10);
  int s = 0;
  /* eta = min(max(d6, d8), max(d8, d10)), d_k = |A^k|^(1/k), compared through its powers */
  while (s < MAX_SQUARINGS && (n8 > t8 || (n6 > t6 && n10 > t10))) {
    n6 *= 0x1p-6;
    n8 *= 0x1p-8;
    n10 *= 0x1p-10;
    s++;
  }
  return s + extra_scaling(a, n, 13, s, norm, t);
}

static void fill(double *e, int n, double x) {
  for (size_t i = 0; i < (size_t)n * n; i++) e[i] = x;
}

/* Halve so often that no power overflows: only for matrices beyond any use, kept finite all the
 * same. */
static int tame(double *a, int n, double *norm) {
  int s = 0;
  while (*norm > 1e25) {
    *norm *= 0x1p-10;
    s += 10;
  }
  if (s) {
    double f = ldexp(1.0, -s);
    for (size_t i = 0; i < (size_t)n * n; i++) a[i] *= f;
  }
  return s;
}

/* Degrees 3 to 9 when one of them will do; true when u and v are set. */
static bool try_low(const double *a, double *const *power, int n, double norm, double *u, double *v,
                    double *t) {
  multiply(a, a, power[1], n);
  multiply(power[1], power[1], power[2], n);
  multiply(power[1], power[2], power[3], n);
  double n4 = norm1(power[2], n), n6 = norm1(power[3], n);
  bool ok3 = n4 <= ipow(theta3, 4) && n6 <= ipow(theta3, 6);
  bool ok5 = n4 <= ipow(theta5, 4) && n6 <= ipow(theta5, 6);
  if (ok3 && extra_scaling(a, n, 3, 0, norm, t) == 0) {
    pade_low(pade3, 3, a, power, n, u, v, t);
    return true;
  }
  if (ok5 && extra_scaling(a, n, 5, 0, norm, t) == 0) {
    pade_low(pade5, 5, a, power, n, u, v, t);
    return true;
  }
  multiply(power[2], power[2], power[4], n);
  double n8 = norm1(power[4], n);
  if (n6 <= ipow(theta7, 6) && n8 <= ipow(theta7, 8) && extra_scaling(a, n, 7, 0, norm, t) == 0) {
    pade_low(pade7, 7, a, power, n, u, v, t);
    return true;
  }
  if (n6 <= ipow(theta9, 6) && n8 <= ipow(theta9, 8) && extra_scaling(a, n, 9, 0, norm, t) == 0) {
    pade_low(pade9, 9, a, power, n, u, v, t);
    return true;
  }
  return false;
}

void dpi_expm(const double *a, int n, double h, double *e, double *work) {
  size_t nn = (size_t)n * n;
  double *x = work, *u = work + 5 * nn, *v = work + 6 * nn, *t = work + 7 * nn;
  double *power[5] = {NULL, work + nn, work + 2 * nn, work + 3 * nn, work + 4 * nn};
  for (size_t i = 0; i < nn; i++) x[i] = a[i] * h;
  double norm = norm1(x, n);
  if (!(norm <= DBL_MAX)) {
    fill(e, n, NAN);
    return;
  }
  if (n == 1) {
    e[0] = dpi_m_exp(x[0]);
    return;
  }
  int s = tame(x, n, &norm);
  if (!try_low(x, power, n, norm, u, v, t)) {
    int k = scaling_13(x, power, n, norm, t);
    for (int p = 1; p <= 3; p++) {
      double f = ldexp(1.0, -2 * p * k);
      for (size_t i = 0; i < nn; i++) power[p][i] *= f;
    }
    double f = ldexp(1.0, -k);
    for (size_t i = 0; i < nn; i++) x[i] *= f;
    s += k;
    pade_13(x, power, n, u, v, t);
  }
  if (!finish(u, v, e, t, n, s)) fill(e, n, NAN);
}
