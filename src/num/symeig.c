/* symeig.c - eigenvalues and vectors of a small symmetric matrix by cyclic Jacobi rotations.
 *
 * Source: Golub & Van Loan, Matrix Computations, 4th ed., section 8.5 (the rotation of smaller
 * angle). Chosen for its accuracy on small matrices and because its order of operations never
 * depends on anything but the matrix.
 */
#include "num/num.h"

#include <float.h>
#include <math.h>

#define MAX_SWEEPS 60

/* Rotation in the plane (p, q) that makes s(p,q) zero; v collects the rotations. */
static void rotate(double *s, double *v, int n, int p, int q) {
#define S(i, j) s[(size_t)(i)*n + (j)]
#define V(i, j) v[(size_t)(i)*n + (j)]
  double apq = S(p, q);
  double theta = (S(q, q) - S(p, p)) / (2.0 * apq);
  double t = copysign(1.0, theta) / (fabs(theta) + sqrt(theta * theta + 1.0));
  double c = 1.0 / sqrt(t * t + 1.0), sn = t * c;
  S(p, p) -= t * apq;
  S(q, q) += t * apq;
  S(p, q) = S(q, p) = 0.0;
  for (int k = 0; k < n; k++) {
    if (k != p && k != q) {
      double x = S(k, p), y = S(k, q);
      S(k, p) = S(p, k) = c * x - sn * y;
      S(k, q) = S(q, k) = sn * x + c * y;
    }
    double x = V(k, p), y = V(k, q);
    V(k, p) = c * x - sn * y;
    V(k, q) = sn * x + c * y;
  }
}

/* One sweep over all planes; true when nothing was left to rotate. */
static bool sweep(double *s, double *v, int n) {
  bool done = true;
  for (int p = 0; p < n - 1; p++) {
    for (int q = p + 1; q < n; q++) {
      /* negligible against both diagonals: relative accuracy of small eigenvalues is kept */
      double small = 0.25 * DBL_EPSILON * sqrt(fabs(S(p, p))) * sqrt(fabs(S(q, q)));
      if (fabs(S(p, q)) <= small || fabs(S(p, q)) < DBL_MIN) continue;
      rotate(s, v, n, p, q);
      done = false;
    }
  }
  return done;
}

/* Ascending values; each vector's largest component is made positive, so that the result is one
 * and the same. */
static void order(double *w, double *v, int n) {
  for (int i = 0; i < n; i++) {
    int m = i;
    for (int j = i + 1; j < n; j++) {
      if (w[j] < w[m]) m = j;
    }
    double t = w[i];
    w[i] = w[m];
    w[m] = t;
    int big = 0;
    for (int k = 0; k < n; k++) {
      double x = V(k, i);
      V(k, i) = V(k, m);
      V(k, m) = x;
      if (fabs(V(k, i)) > fabs(V(big, i))) big = k;
    }
    if (V(big, i) < 0.0) {
      for (int k = 0; k < n; k++) V(k, i) = -V(k, i);
    }
  }
}

void dpi_sym_eig(const double *a, int n, double *w, double *v) {
  double s[DPI_EIG_MAX * DPI_EIG_MAX];
  DP_ASSERT(n <= DPI_EIG_MAX);
  for (int i = 0; i < n; i++) {
    /* the lower triangle decides */
    for (int j = 0; j <= i; j++) S(i, j) = S(j, i) = a[(size_t)i * n + j];
    for (int j = 0; j < n; j++) V(i, j) = i == j;
  }
  for (int k = 0; k < MAX_SWEEPS && !sweep(s, v, n); k++) continue;
  for (int i = 0; i < n; i++) w[i] = S(i, i);
  order(w, v, n);
}
