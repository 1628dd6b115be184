/* Linear algebra against definitions (residuals, identities); expm against mpmath's Taylor sums
 * with 400 digits (num_reference.h) and against closed forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "num/num.h"
#include "num_reference.h"

#define MAXN 40

static void random_matrix(double *a, int n, uint64_t stream) {
  dpi_rng r = dpi_rng_make(11, stream, 0);
  for (int i = 0; i < n * n; i++) a[i] = dpi_rng_normal(&r);
}

/* m m' + I: symmetric, positive definite */
static void random_spd(double *a, int n, uint64_t stream) {
  double m[MAXN * MAXN];
  random_matrix(m, n, stream);
  for (int i = 0; i < n; i++) {
    for (int j = 0; j < n; j++) {
      double s = i == j;
      for (int k = 0; k < n; k++) s += m[i * n + k] * m[j * n + k];
      a[i * n + j] = s;
    }
  }
}

static void test_cholesky(void **state) {
  (void)state;
  for (int n = 1; n <= MAXN; n += 3) {
    double a[MAXN * MAXN], l[MAXN * MAXN], inv[MAXN * MAXN], b[MAXN], x[MAXN], y[MAXN];
    random_spd(a, n, (uint64_t)n);
    memcpy(l, a, sizeof l);
    assert_true(dpi_chol(l, n));
    for (int i = 0; i < n; i++) {
      for (int j = i + 1; j < n; j++) assert_true(l[i * n + j] == a[i * n + j]);
    }
    /* L L' = A through tri_mul on unit vectors of L' */
    for (int j = 0; j < n; j++) {
      for (int k = 0; k < n; k++) x[k] = k <= j ? l[j * n + k] : 0.0;
      dpi_tri_mul_lower(l, n, x, y);
      for (int i = 0; i < n; i++)
        assert_true(fabs(y[i] - a[i * n + j]) < 1e-13 * a[i * n + i] + 1e-13 * a[j * n + j]);
    }
    for (int i = 0; i < n; i++) b[i] = x[i] = i - 2.5;
    dpi_chol_solve(l, n, x);
    dpi_chol_inverse(l, n, inv);
    for (int i = 0; i < n; i++) {
      double r = -b[i], q = -x[i];
      for (int k = 0; k < n; k++) {
        r += a[i * n + k] * x[k];
        q += inv[i * n + k] * b[k];
        assert_true(inv[i * n + k] == inv[k * n + i]);
      }
      assert_true(fabs(r) < 1e-10 && fabs(q) < 1e-10);
    }
    memcpy(y, b, sizeof y);
    dpi_tri_solve_lower(l, n, y);
    double quad = 0.0, direct = 0.0;
    for (int i = 0; i < n; i++) {
      quad += y[i] * y[i];
      direct += b[i] * x[i];
    }
    assert_true(fabs(quad - direct) < 1e-10 * (1.0 + fabs(direct)));
    dpi_tri_solve_lower_t(l, n, y);
    for (int i = 0; i < n; i++) assert_true(y[i] == x[i]);
  }
}

static void test_cholesky_refuses(void **state) {
  (void)state;
  double indefinite[4] = {1, 2, 2, 1}, zero[1] = {0}, nan[1] = {NAN}, inf[1] = {INFINITY}, empty[1];
  assert_false(dpi_chol(indefinite, 2));
  assert_false(dpi_chol(zero, 1));
  assert_false(dpi_chol(nan, 1));
  assert_false(dpi_chol(inf, 1));
  assert_true(dpi_chol(empty, 0));
}

/* ln|A| by Cholesky = sum of ln of the diagonal of LU = sum of ln of eigenvalues */
static void test_logdet(void **state) {
  (void)state;
  for (int n = 1; n <= 20; n++) {
    double a[MAXN * MAXN], l[MAXN * MAXN], w[MAXN], v[MAXN * MAXN];
    int piv[MAXN];
    random_spd(a, n, 100u + (uint64_t)n);
    memcpy(l, a, sizeof l);
    assert_true(dpi_chol(l, n));
    double d = dpi_chol_logdet(l, n), e = 0.0, f = 0.0;
    dpi_sym_eig(a, n, w, v);
    assert_true(dpi_lu(a, n, piv));
    for (int i = 0; i < n; i++) {
      e += log(fabs(a[i * n + i]));
      f += log(w[i]);
    }
    assert_true(fabs(d - e) < 1e-11 * (1 + fabs(d)) && fabs(d - f) < 1e-11 * (1 + fabs(d)));
  }
}

static void test_lu(void **state) {
  (void)state;
  for (int n = 1; n <= MAXN; n += 3) {
    double a[MAXN * MAXN], lu[MAXN * MAXN], x[MAXN];
    int piv[MAXN];
    random_matrix(a, n, 500u + (uint64_t)n);
    a[0] = 0.0; /* must exchange rows */
    if (n == 1) a[0] = -3.0;
    memcpy(lu, a, sizeof lu);
    assert_true(dpi_lu(lu, n, piv));
    for (int i = 0; i < n; i++) x[i] = i + 1.0;
    dpi_lu_solve(lu, n, piv, x);
    double norm = 0.0;
    for (int i = 0; i < n; i++) norm = fmax(norm, fabs(x[i]));
    for (int i = 0; i < n; i++) {
      double r = -(i + 1.0);
      for (int k = 0; k < n; k++) r += a[i * n + k] * x[k];
      assert_true(fabs(r) < 1e-13 * n * (norm + 1.0));
    }
  }
  double singular[9] = {1, 2, 3, 2, 4, 6, 1, 1, 1}, nan[4] = {NAN, 1, 1, 1};
  int piv[3];
  assert_false(dpi_lu(singular, 3, piv));
  assert_false(dpi_lu(nan, 2, piv));
}

static void test_eigen(void **state) {
  (void)state;
  for (int n = 1; n <= MAXN; n += 3) {
    double a[MAXN * MAXN], w[MAXN], v[MAXN * MAXN];
    random_spd(a, n, 900u + (uint64_t)n);
    for (int i = 0; i < n; i++) a[i * n + i] -= 2.0; /* signs mixed */
    dpi_sym_eig(a, n, w, v);
    for (int i = 0; i < n; i++) {
      if (i) assert_true(w[i] >= w[i - 1]);
      for (int j = 0; j < n; j++) {
        double r = -w[j] * v[i * n + j], o = -(double)(i == j);
        for (int k = 0; k < n; k++) {
          r += a[i * n + k] * v[k * n + j];
          o += v[k * n + i] * v[k * n + j];
        }
        assert_true(fabs(r) < 1e-13 * n * w[n - 1] + 1e-13 && fabs(o) < 1e-14 * n);
      }
    }
  }
}

/* Jacobi keeps the relative accuracy of small eigenvalues of graded definite matrices: closed
 * form for 2 x 2 */
static void test_eigen_graded(void **state) {
  (void)state;
  double a[4] = {1e20, 1e10, 1e10, 4.0}, w[2], v[4];
  dpi_sym_eig(a, 2, w, v);
  assert_true(fabs(w[0] - 3.0) < 1e-14 * 3.0); /* det = 3e20, trace = 1e20: 3 (1 - 1e-20...) */
  assert_true(fabs(w[1] - 1e20) < 1e5);
}

static double matrix_error(const double *e, const double *ref, int n) {
  double err = 0.0, norm = 0.0;
  for (int j = 0; j < n; j++) {
    double c = 0.0, r = 0.0;
    for (int i = 0; i < n; i++) {
      c += fabs(e[i * n + j] - ref[i * n + j]);
      r += fabs(ref[i * n + j]);
    }
    err = fmax(err, c);
    norm = fmax(norm, r);
  }
  return err / norm;
}

static void test_expm_reference(void **state) {
  (void)state;
  for (int i = 0; i < DPI_COUNT(ref_expm_table); i++) {
    const ref_expm *r = &ref_expm_table[i];
    double e[64], work[8 * 64];
    dpi_expm(r->a, r->n, r->h, e, work);
    double err = matrix_error(e, r->e, r->n);
    print_message("expm %-18s relative error %.1e\n", r->name, err);
    if (!(err < 1e-14)) fail_msg("%s: %g", r->name, err);
  }
}

/* exp(-k h) and the Bateman function for absorption and elimination, each element relative to
 * itself */
static void test_expm_closed_form(void **state) {
  (void)state;
  static const double step[] = {1e-12, 1e-6, 1e-3, 0.01, 0.1, 0.5, 1, 3, 10, 24};
  double ka = 1.5, k = 0.08, a[4] = {-ka, 0, ka, -k}, e[4], work[32];
  for (int i = 0; i < DPI_COUNT(step); i++) {
    double h = step[i];
    dpi_expm(a, 2, h, e, work);
    double ref[4] = {exp(-ka * h), 0.0, -ka / (ka - k) * exp(-k * h) * expm1(-(ka - k) * h),
                     exp(-k * h)};
    for (int j = 0; j < 4; j++) {
      if (!(fabs(e[j] - ref[j]) <= 1e-13 * fabs(ref[j])))
        fail_msg("h %g element %d: %.17g, expected %.17g", h, j, e[j], ref[j]);
    }
  }
}

/* every degree is used and agrees with two half steps squared, for random matrices of growing
 * size */
static void test_expm_semigroup(void **state) {
  (void)state;
  for (int n = 2; n <= 12; n++) {
    double a[144], full[144], half[144], sq[144], work[8 * 144];
    random_matrix(a, n, 2000u + (uint64_t)n);
    for (double h = 1e-4; h < 8.0; h *= 1.7) {
      dpi_expm(a, n, h, full, work);
      dpi_expm(a, n, 0.5 * h, half, work);
      double size = 0.0;
      for (int i = 0; i < n * n; i++) size = fmax(size, fabs(half[i]));
      for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
          sq[i * n + j] = 0.0;
          for (int k = 0; k < n; k++) sq[i * n + j] += half[i * n + k] * half[k * n + j];
        }
      }
      /* the square of half can lose size^2 / |full| digits */
      double norm = 0.0;
      for (int i = 0; i < n * n; i++) norm = fmax(norm, fabs(full[i]));
      assert_true(matrix_error(sq, full, n) < 1e-14 * n * (1.0 + size * size / norm));
    }
  }
}

static void test_expm_edges(void **state) {
  (void)state;
  double zero[9] = {0}, e[9], work[72], bad[4] = {1, NAN, 0, 1}, huge[4] = {-1e200, 0, 1e200, -1},
         one[1] = {-2.0};
  dpi_expm(zero, 3, 5.0, e, work);
  for (int i = 0; i < 9; i++) assert_true(e[i] == (i % 4 == 0));
  dpi_expm(bad, 2, 1.0, e, work);
  assert_true(isnan(e[0]) && isnan(e[3]));
  dpi_expm(huge, 2, 1.0, e, work);
  for (int i = 0; i < 4; i++) assert_true(!(fabs(e[i]) > 2.0));
  dpi_expm(one, 1, 0.5, e, work);
  assert_true(fabs(e[0] - exp(-1.0)) < 1e-16);
}

static void test_expm_speed(void **state) {
  (void)state;
  double a[16] = {-1.2, 0, 0, 0, 1.2, -0.55, 0.3, 0, 0, 0.25, -0.3, 0, 0, 0.3, 0, 0}, e[16],
         work[128], s = 0.0;
  static const double step[] = {0.01, 0.5, 4.0};
  for (int k = 0; k < 3; k++) {
    clock_t t = clock();
    for (int i = 0; i < 20000; i++) {
      dpi_expm(a, 4, step[k], e, work);
      s += e[5];
    }
    double us = (double)(clock() - t) / CLOCKS_PER_SEC * 1e6 / 20000;
    print_message("expm n = 4, h = %g: %.2f us\n", step[k], us);
    assert_true(us < 200.0); /* only a disaster fails, also under sanitizers */
  }
  assert_true(s > 0.0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_cholesky),       cmocka_unit_test(test_cholesky_refuses),
      cmocka_unit_test(test_logdet),         cmocka_unit_test(test_lu),
      cmocka_unit_test(test_eigen),          cmocka_unit_test(test_eigen_graded),
      cmocka_unit_test(test_expm_reference), cmocka_unit_test(test_expm_closed_form),
      cmocka_unit_test(test_expm_semigroup), cmocka_unit_test(test_expm_edges),
      cmocka_unit_test(test_expm_speed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
