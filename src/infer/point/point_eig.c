/* point_eig.c - floor 6, inside infer/point: eigenvectors of a symmetric matrix of any size.
 *
 * Up to DPI_EIG_MAX by num's Jacobi rotations. Beyond, Householder reflections to tridiagonal form and implicit QL
 * steps with Wilkinson's shift (Golub & Van Loan, Matrix Computations, 4th ed., sections 8.3.1 to 8.3.3).
 */
#include "infer/point/point_impl.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "num/num.h"

#define MAX_QL 60 /* steps an eigenvalue; two or three are usual */

/* One reflection H = I - beta u u' of rows and columns 0..k-1 that leaves a(k, 0..k-2) zero; u stays in row k of a. */
static double reflect_row(double *a, int n, int k, double *p) {
  double *u = a + (size_t)k * n, scale = 0, h = 0;
  for (int j = 0; j < k; j++) scale += fabs(u[j]);
  double rest = 0;
  for (int j = 0; j < k - 1; j++) rest += fabs(u[j]);
  if (rest == 0) return 0;
  for (int j = 0; j < k; j++) {
    u[j] /= scale;
    h += u[j] * u[j];
  }
  double f = u[k - 1], alpha = f > 0 ? -sqrt(h) : sqrt(h);
  h -= f * alpha;
  u[k - 1] = f - alpha;
  double dot = 0;
  for (int j = 0; j < k; j++) {
    double s = 0;
    for (int i = 0; i <= j; i++) s += a[(size_t)j * n + i] * u[i];
    for (int i = j + 1; i < k; i++) s += a[(size_t)i * n + j] * u[i];
    p[j] = s / h;
    dot += p[j] * u[j];
  }
  for (int j = 0; j < k; j++) p[j] -= dot / (2 * h) * u[j];
  for (int j = 0; j < k; j++) {
    for (int i = 0; i <= j; i++) a[(size_t)j * n + i] -= u[j] * p[i] + p[j] * u[i];
  }
  p[k] = scale * alpha;
  return h;
}

/* a -> d (diagonal), e (e[k]: between k-1 and k), v: the product of the reflections. */
static void tridiagonal(double *a, int n, double *d, double *e, double *v) {
  memset(v, 0, sizeof(double) * (size_t)n * (size_t)n);
  for (int k = 0; k < n; k++) e[k] = 0;
  double *p = d; /* d is free until the end */
  double *h = v; /* the h of row k waits at v(k, k) */
  for (int k = n - 1; k > 0; k--) {
    double off = a[(size_t)k * n + k - 1], hk = reflect_row(a, n, k, p);
    e[k] = hk == 0 ? off : p[k];
    h[(size_t)k * n + k] = hk;
  }
  for (int k = 0; k < n; k++) {
    double hk = v[(size_t)k * n + k], diag = a[(size_t)k * n + k];
    const double *u = a + (size_t)k * n;
    for (int j = 0; hk != 0 && j < k; j++) { /* rows and columns 0..k-1 of v get H from the left */
      double s = 0;
      for (int i = 0; i < k; i++) s += u[i] * v[(size_t)i * n + j];
      for (int i = 0; i < k; i++) v[(size_t)i * n + j] -= s / hk * u[i];
    }
    v[(size_t)k * n + k] = 1;
    d[k] = diag;
  }
}

/* One implicit QL step on rows l..m, shift by the leading 2 x 2 block. */
static void ql_step(double *d, double *e, double *v, int n, int l, int m) {
  double g = (d[l + 1] - d[l]) / (2 * e[l]), r = sqrt(g * g + 1);
  g = d[m] - d[l] + e[l] / (g + copysign(r, g));
  double s = 1, c = 1, p = 0;
  int i = m - 1;
  for (; i >= l; i--) {
    double f = s * e[i], b = c * e[i];
    r = sqrt(f * f + g * g);
    e[i + 1] = r;
    if (r == 0) {
      d[i + 1] -= p;
      e[m] = 0;
      break;
    }
    s = f / r;
    c = g / r;
    g = d[i + 1] - p;
    r = (d[i] - g) * s + 2 * c * b;
    p = s * r;
    d[i + 1] = g + p;
    g = c * r - b;
    for (int k = 0; k < n; k++) {
      double *row = v + (size_t)k * n + i, t = row[1];
      row[1] = s * row[0] + c * t;
      row[0] = c * row[0] - s * t;
    }
  }
  if (i >= l) return;
  d[l] -= p;
  e[l] = g;
  e[m] = 0;
}

static void ql(double *d, double *e, double *v, int n) {
  for (int k = 1; k < n; k++) e[k - 1] = e[k];
  e[n - 1] = 0;
  for (int l = 0; l < n; l++) {
    for (int step = 0; step < MAX_QL; step++) {
      int m = l;
      while (m < n - 1 && fabs(e[m]) > DBL_EPSILON * (fabs(d[m]) + fabs(d[m + 1]))) m++;
      if (m == l) break;
      ql_step(d, e, v, n, l, m);
    }
  }
}

static void ascending(double *w, double *v, int n) {
  for (int i = 0; i < n - 1; i++) {
    int least = i;
    for (int j = i + 1; j < n; j++) {
      if (w[j] < w[least]) least = j;
    }
    if (least == i) continue;
    double t = w[i];
    w[i] = w[least];
    w[least] = t;
    for (int k = 0; k < n; k++) {
      double *row = v + (size_t)k * n, x = row[i];
      row[i] = row[least];
      row[least] = x;
    }
  }
}

void dpi_point_eig(double *a, int n, double *w, double *v, double *work) {
  if (n <= DPI_EIG_MAX) {
    dpi_sym_eig(a, n, w, v);
    return;
  }
  tridiagonal(a, n, w, work, v);
  ql(w, work, v, n);
  ascending(w, v, n);
}
