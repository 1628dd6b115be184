/* smallmat.c - Cholesky, triangular and LU solves for small dense row-major matrices. Every loop
 * runs in a fixed order. */
#include "num/num.h"

#include <math.h>

#define A(i, j) a[(size_t)(i)*n + (j)]
#define L(i, j) l[(size_t)(i)*n + (j)]

/* L L' = A by rows (Cholesky-Banachiewicz); reads and writes the lower triangle only. */
bool dpi_chol(double *a, int n) {
  for (int i = 0; i < n; i++) {
    for (int j = 0; j < i; j++) {
      double s = A(i, j);
      for (int k = 0; k < j; k++) s -= A(i, k) * A(j, k);
      A(i, j) = s / A(j, j);
    }
    double d = A(i, i);
    for (int k = 0; k < i; k++) d -= A(i, k) * A(i, k);
    if (!(d > 0.0) || isinf(d)) return false;
    A(i, i) = sqrt(d);
  }
  return true;
}

void dpi_tri_solve_lower(const double *l, int n, double *b) {
  for (int i = 0; i < n; i++) {
    double s = b[i];
    for (int k = 0; k < i; k++) s -= L(i, k) * b[k];
    b[i] = s / L(i, i);
  }
}

void dpi_tri_solve_lower_t(const double *l, int n, double *b) {
  for (int i = n - 1; i >= 0; i--) {
    double s = b[i];
    for (int k = i + 1; k < n; k++) s -= L(k, i) * b[k];
    b[i] = s / L(i, i);
  }
}

void dpi_tri_mul_lower(const double *l, int n, const double *x, double *y) {
  /* from the last row up, so that y may be x */
  for (int i = n - 1; i >= 0; i--) {
    double s = 0.0;
    for (int k = 0; k <= i; k++) s += L(i, k) * x[k];
    y[i] = s;
  }
}

void dpi_chol_solve(const double *l, int n, double *b) {
  dpi_tri_solve_lower(l, n, b);
  dpi_tri_solve_lower_t(l, n, b);
}

/* Inverse of L below the diagonal of inv, then A^-1 = L'^-1 L^-1 in place. */
void dpi_chol_inverse(const double *l, int n, double *inv) {
#define INV(i, j) inv[(size_t)(i)*n + (j)]
  for (int j = 0; j < n; j++) {
    INV(j, j) = 1.0 / L(j, j);
    for (int i = j + 1; i < n; i++) {
      double s = 0.0;
      for (int k = j; k < i; k++) s -= L(i, k) * INV(k, j);
      INV(i, j) = s / L(i, i);
    }
  }
  /* row i of the product needs rows i.. of L^-1, so going down overwrites nothing still needed */
  for (int i = 0; i < n; i++) {
    for (int j = 0; j <= i; j++) {
      double s = 0.0;
      for (int k = i; k < n; k++) s += INV(k, i) * INV(k, j);
      INV(i, j) = s;
    }
  }
  for (int i = 0; i < n; i++) {
    for (int j = i + 1; j < n; j++) INV(i, j) = INV(j, i);
  }
#undef INV
}

double dpi_chol_logdet(const double *l, int n) {
  double s = 0.0;
  for (int i = 0; i < n; i++) s += dpi_m_log(L(i, i));
  return 2.0 * s;
}

/* P A = L U by columns, unit lower L; piv[k] = row exchanged with row k. */
bool dpi_lu(double *a, int n, int *piv) {
  for (int k = 0; k < n; k++) {
    int p = k;
    for (int i = k + 1; i < n; i++) {
      if (fabs(A(i, k)) > fabs(A(p, k))) p = i;
    }
    piv[k] = p;
    double d = A(p, k);
    if (!(fabs(d) > 0.0) || isinf(d)) return false;
    if (p != k) {
      for (int j = 0; j < n; j++) {
        double t = A(k, j);
        A(k, j) = A(p, j);
        A(p, j) = t;
      }
    }
    for (int i = k + 1; i < n; i++) {
      double f = A(i, k) / d;
      A(i, k) = f;
      if (f == 0.0) continue;
      for (int j = k + 1; j < n; j++) A(i, j) -= f * A(k, j);
    }
  }
  return true;
}

void dpi_lu_solve(const double *lu, int n, const int *piv, double *b) {
#define LU(i, j) lu[(size_t)(i)*n + (j)]
  for (int k = 0; k < n; k++) {
    if (piv[k] == k) continue;
    double t = b[k];
    b[k] = b[piv[k]];
    b[piv[k]] = t;
  }
  for (int i = 1; i < n; i++) {
    for (int k = 0; k < i; k++) b[i] -= LU(i, k) * b[k];
  }
  for (int i = n - 1; i >= 0; i--) {
    for (int k = i + 1; k < n; k++) b[i] -= LU(i, k) * b[k];
    b[i] /= LU(i, i);
  }
#undef LU
}
