/* BFGS and root finding on functions whose minima and roots are known in closed form; evaluations
 * are counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "num/num.h"

static dp_ctx *ctx;

typedef struct problem {
  int n, evaluations;
  double offset;
} problem;

/* extended Rosenbrock (More, Garbow, Hillstrom 1981, no. 21): minimum 0 at (1, ..., 1) */
static bool rosenbrock(void *user, const double *x, double *f, double *g) {
  problem *p = user;
  p->evaluations++;
  *f = p->offset;
  for (int i = 0; i < p->n; i += 2) {
    double a = x[i + 1] - x[i] * x[i], b = 1.0 - x[i];
    *f += 100.0 * a * a + b * b;
    g[i] = -400.0 * a * x[i] - 2.0 * b;
    g[i + 1] = 200.0 * a;
  }
  return true;
}

static void test_rosenbrock(void **state) {
  (void)state;
  static const double offset[] = {0.0, 1.0, 1e4}; /* a large constant hides the last digits of f */
  for (int n = 2; n <= 10; n += 4) {
    for (int k = 0; k < 3; k++) {
      double x[10], f;
      bool converged;
      problem p = {.n = n, .offset = offset[k]};
      for (int i = 0; i < n; i++) x[i] = i % 2 ? 1.0 : -1.2;
      int it = dpi_bfgs(ctx, rosenbrock, &p, n, x, &f, NULL, 1e-8, 500, &converged);
      assert_true(converged);
      assert_true(it > 5 && it < 120 && p.evaluations < 200);
      for (int i = 0; i < n; i++) assert_true(fabs(x[i] - 1.0) < (k == 2 ? 1e-3 : 1e-5));
      assert_true(f - offset[k] < (k == 2 ? 1e-8 : 1e-11));
    }
  }
}

/* a quadratic of condition 1e6; exact inverse Hessian known */
static bool quadratic(void *user, const double *x, double *f, double *g) {
  problem *p = user;
  p->evaluations++;
  double c = 1.0;
  *f = -3.0;
  for (int i = 0; i < p->n; i++, c *= 10.0) {
    *f += 0.5 * c * (x[i] - i) * (x[i] - i);
    g[i] = c * (x[i] - i);
  }
  return true;
}

static void test_quadratic(void **state) {
  (void)state;
  enum { N = 7 };
  double x[N] = {5, 5, 5, 5, 5, 5, 5}, h[N * N] = {0}, f;
  bool converged;
  problem p = {.n = N};
  for (int i = 0; i < N; i++) h[i * N + i] = 1.0;
  dpi_bfgs(ctx, quadratic, &p, N, x, &f, h, 1e-9, 300, &converged);
  assert_true(converged && fabs(f + 3.0) < 1e-12);
  for (int i = 0; i < N; i++) assert_true(fabs(x[i] - i) < 1e-7);
  /* warm start with the true inverse Hessian: one Newton step */
  double c = 1.0;
  for (int i = 0; i < N; i++, c *= 10.0) {
    x[i] = 20.0;
    for (int j = 0; j < N; j++) h[i * N + j] = i == j ? 1.0 / c : 0.0;
  }
  p.evaluations = 0;
  int it = dpi_bfgs(ctx, quadratic, &p, N, x, &f, h, 1e-9, 300, &converged);
  assert_true(converged && it == 1 && p.evaluations == 2);
}

/* not defined for x <= 0: minimum of x - ln x at 1 */
static bool guarded(void *user, const double *x, double *f, double *g) {
  (void)user;
  if (!(x[0] > 0.0)) return false;
  *f = x[0] - log(x[0]);
  g[0] = 1.0 - 1.0 / x[0];
  return true;
}

static void test_domain(void **state) {
  (void)state;
  static const double start[] = {1e-4, 0.3, 40.0, 1e5};
  for (int i = 0; i < DPI_COUNT(start); i++) {
    double x = start[i], f;
    bool converged;
    dpi_bfgs(ctx, guarded, NULL, 1, &x, &f, NULL, 1e-9, 200, &converged);
    assert_true(converged && fabs(x - 1.0) < 1e-8 && fabs(f - 1.0) < 1e-15);
  }
  double x = -1.0, f;
  bool converged = true;
  assert_int_equal(dpi_bfgs(ctx, guarded, NULL, 1, &x, &f, NULL, 1e-9, 200, &converged), 0);
  assert_true(!converged && isinf(f));
}

/* no minimum: must say so, not loop */
static bool downhill(void *user, const double *x, double *f, double *g) {
  (void)user;
  *f = -x[0];
  g[0] = -1.0;
  return isfinite(x[0]);
}

/* gradient of the wrong sign: must say so */
static bool wrong_gradient(void *user, const double *x, double *f, double *g) {
  (void)user;
  *f = x[0] * x[0];
  g[0] = -2.0 * x[0];
  return true;
}

static void test_no_minimum(void **state) {
  (void)state;
  double x = 0.0, f;
  bool converged;
  dpi_bfgs(ctx, downhill, NULL, 1, &x, &f, NULL, 1e-9, 50, &converged);
  assert_false(converged);
  x = 3.0;
  dpi_bfgs(ctx, wrong_gradient, NULL, 1, &x, &f, NULL, 1e-9, 50, &converged);
  assert_false(converged);
}

static int calls;
static double cubic(void *user, double x) {
  (void)user;
  calls++;
  return (x - 1.25) * (x * x + 1.0);
}
static double flat_root(void *user, double x) {
  (void)user;
  calls++;
  return x * x * x * x * x;
}
static double step(void *user, double x) {
  (void)user;
  calls++;
  return x < 0.3 ? -1.0 : 1.0;
}
static double steep(void *user, double x) {
  (void)user;
  calls++;
  return dpi_m_exp(x) - 1e8;
}
static double nan_inside(void *user, double x) {
  (void)user;
  (void)x;
  return NAN;
}

static void test_root(void **state) {
  (void)state;
  calls = 0;
  double r = dpi_root(cubic, NULL, -10.0, cubic(NULL, -10.0), 10.0, cubic(NULL, 10.0), 1e-14);
  assert_true(fabs(r - 1.25) < 1e-14 && calls < 25);
  calls = 0;
  r = dpi_root(steep, NULL, 0.0, steep(NULL, 0.0), 100.0, steep(NULL, 100.0), 1e-13);
  assert_true(fabs(r - 8.0 * log(10.0)) < 1e-12 && calls < 60);
  calls = 0;
  r = dpi_root(flat_root, NULL, -1.0, -1.0, 1.5, flat_root(NULL, 1.5), 1e-10);
  assert_true(fabs(r) < 1e-10 && calls < 200);
  r = dpi_root(step, NULL, 0.0, -1.0, 1.0, 1.0, 1e-12);
  assert_true(fabs(r - 0.3) <= 1e-12);
  r = dpi_root(step, NULL, 1.0, 1.0, 0.0, -1.0, 1e-12);
  assert_true(fabs(r - 0.3) <= 1e-12);
  assert_true(dpi_root(step, NULL, 5.0, 0.0, 1.0, 1.0, 1e-12) == 5.0);
  assert_true(dpi_root(step, NULL, 5.0, 1.0, 1.0, 0.0, 1e-12) == 1.0);
  assert_true(isnan(dpi_root(nan_inside, NULL, 0.0, -1.0, 1.0, 1.0, 1e-12)));
}

/* memory that can be refused */
static bool refusing;
static void *hook(void *user, void *ptr, size_t size_old, size_t size_new) {
  (void)user;
  (void)size_old;
  if (size_new == 0) {
    free(ptr);
    return NULL;
  }
  return refusing ? NULL : realloc(ptr, size_new);
}

static void test_memory(void **state) {
  (void)state;
  dp_ctx_def def = dp_ctx_def_default();
  def.alloc = hook;
  dp_ctx *own = NULL;
  assert_int_equal(dp_ctx_create(&def, &own), DP_OK);
  double x = 3.0, f;
  bool converged;
  size_t live = dpi_alloc_live(own);
  assert_true(dpi_bfgs(own, guarded, NULL, 1, &x, &f, NULL, 1e-9, 50, &converged) > 0);
  assert_true(dpi_alloc_live(own) == live);
  refusing = true;
  x = 3.0;
  assert_int_equal(dpi_bfgs(own, guarded, NULL, 1, &x, &f, NULL, 1e-9, 50, &converged), -1);
  assert_true(!converged && x == 3.0);
  refusing = false;
  dp_ctx_destroy(own);
}

int main(void) {
  dp_ctx_def def = dp_ctx_def_default();
  if (dp_ctx_create(&def, &ctx) != DP_OK) return 1;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rosenbrock), cmocka_unit_test(test_quadratic),
      cmocka_unit_test(test_domain),     cmocka_unit_test(test_no_minimum),
      cmocka_unit_test(test_root),       cmocka_unit_test(test_memory),
  };
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  dp_ctx_destroy(ctx);
  return failed;
}
