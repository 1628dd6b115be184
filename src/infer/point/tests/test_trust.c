/* Independent comparison: minima known in closed form or published (Moré, Garbow, Hillstrom, ACM TOMS 7 (1981) 17); the
 * exact step against its optimality conditions; eigenvectors against the definition. Evaluations are counted: a slower
 * search fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/tests/failing_memory.h"
#include "infer/point/point_impl.h"
#include "infer/point/tests/point_densities.h"

static dpi_trust_result run(squares *q, const dpi_trust_def *def, const double *x0, double *x) {
  dpi_trust *t = NULL;
  assert_int_equal(dpi_trust_create(q->base.ctx, &q->base, def, &t), DP_OK);
  assert_int_equal(dpi_trust_minimise(&q->base, t, x0, NULL), DP_OK);
  dpi_trust_result r = *dpi_trust_result_of(t);
  memcpy(x, r.x, sizeof(double) * (size_t)q->base.n);
  dpi_trust_destroy(t);
  return r;
}

/* ---- problems ---- */

/* Freudenstein & Roth: local minimum 48.98425 / 2 at (11.41.., -0.8968..) */
static void freudenstein(const void *user, const double *x, double *r, double *jac) {
  (void)user;
  r[0] = -13 + x[0] + ((5 - x[1]) * x[1] - 2) * x[1];
  r[1] = -29 + x[0] + ((x[1] + 1) * x[1] - 14) * x[1];
  jac[0] = jac[2] = 1;
  jac[1] = 10 * x[1] - 3 * x[1] * x[1] - 2;
  jac[3] = 3 * x[1] * x[1] + 2 * x[1] - 14;
}

/* Brown & Dennis: 85822.2 / 2, large residuals, so the Fisher information alone is slow */
static void brown_dennis(const void *user, const double *x, double *r, double *jac) {
  (void)user;
  for (int i = 0; i < 20; i++) {
    double t = (i + 1) / 5.0, s = dpi_m_sin(t), a = x[0] + t * x[1] - dpi_m_exp(t), b = x[2] + x[3] * s - dpi_m_cos(t);
    r[i] = a * a + b * b;
    jac[4 * i] = 2 * a;
    jac[4 * i + 1] = 2 * a * t;
    jac[4 * i + 2] = 2 * b;
    jac[4 * i + 3] = 2 * b * s;
  }
}

/* Kowalik & Osborne: 3.07505e-4 / 2, residuals here times 100 */
static void kowalik(const void *user, const double *x, double *r, double *jac) {
  static const double y[11] = {.1957, .1947, .1735, .1600, .0844, .0627, .0456, .0342, .0323, .0235, .0246},
                      u[11] = {4, 2, 1, .5, .25, .167, .125, .1, .0833, .0714, .0625};
  (void)user;
  for (int i = 0; i < 11; i++) {
    double a = u[i] * u[i] + u[i] * x[1], b = u[i] * u[i] + u[i] * x[2] + x[3], *j = jac + 4 * i;
    r[i] = 100 * (y[i] - x[0] * a / b);
    j[0] = -100 * a / b;
    j[1] = -100 * x[0] * u[i] / b;
    j[2] = 100 * x[0] * a * u[i] / b / b;
    j[3] = 100 * x[0] * a / b / b;
  }
}

/* only a + b and exp(c) are seen: minimum 0.004 on a line */
static void flat(const void *user, const double *x, double *r, double *jac) {
  (void)user;
  memset(jac, 0, 9 * sizeof *jac);
  r[0] = x[0] + x[1] - 1;
  r[1] = dpi_m_exp(x[2]) - 2;
  r[2] = 2 * (x[0] + x[1] - 1.1);
  jac[0] = jac[1] = 1;
  jac[5] = dpi_m_exp(x[2]);
  jac[6] = jac[7] = 2;
}

/* r_i = s_i (x_i - c_i), user: s and c, n each */
static void bowl(const void *user, const double *x, double *r, double *jac) {
  const double *u = user;
  memset(jac, 0, 25 * sizeof *jac);
  for (int i = 0; i < 5; i++) {
    r[i] = u[i] * (x[i] - u[5 + i]);
    jac[6 * i] = u[i];
  }
}

/* ---- tests ---- */

static void test_quadratic_in_one_step(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  squares q;
  const double u[10] = {1, 10, .1, 3, .5, .3, -.2, .5, .1, -.4}, x0[5] = {0};
  double x[5];
  squares_init(&q, ctx, 5, 5, bowl, u, -INFINITY, INFINITY);
  dpi_trust_result r = run(&q, NULL, x0, x);
  assert_int_equal(r.end, DPI_TRUST_GRADIENT);
  assert_int_equal(r.neval, 2);
  for (int i = 0; i < 5; i++) assert_true(fabs(x[i] - u[5 + i]) < 1e-12);
  dp_ctx_destroy(ctx);
}

/* with a box the answer of a separable bowl is the centre, clamped; parameters on a bound are exactly there
 * and are told */
static void test_bounds_active(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  squares q;
  const double u[10] = {1, 10, .1, 3, .5, 5, -7, .5, 1.001, -.4}, x0[5] = {.9, .9, -.9, 0, 1};
  double x[5];
  squares_init(&q, ctx, 5, 5, bowl, u, -1, 1);
  for (int h = 0; h < DPI_HESSIAN_COUNT; h++) {
    dpi_trust_def def = dpi_trust_def_default();
    def.hessian = (dpi_hessian)h;
    dpi_trust *t = NULL;
    assert_int_equal(dpi_trust_create(ctx, &q.base, &def, &t), DP_OK);
    assert_int_equal(dpi_trust_minimise(&q.base, t, x0, NULL), DP_OK);
    const dpi_trust_result *r = dpi_trust_result_of(t);
    const signed char at[5] = {1, -1, 0, 1, 0};
    assert_true(dpi_trust_end_good(r->end));
    for (int i = 0; i < 5; i++) {
      double want = fmin(fmax(u[5 + i], -1), 1);
      assert_int_equal(r->at[i], at[i]);
      assert_true(at[i] ? r->x[i] == want : fabs(r->x[i] - want) < (h < 2 ? 1e-6 : 2e-2));
    }
    dpi_trust_destroy(t);
  }
  (void)x;
  dp_ctx_destroy(ctx);
}

typedef struct known { /* a problem, its box, start, minimum, and how many evaluations may be spent */
  squares_fn fn;
  int n, nres;
  double lower, upper, x0[4], j;
  long most[DPI_HESSIAN_COUNT];
} known;

static const known problem[] = {
    {rosenbrock, 2, 2, -INFINITY, INFINITY, {-1.2, 1}, 0, {35, 26, 60, 180}},
    {rosenbrock, 2, 2, -5, 5, {-1.2, 1}, 0, {22, 22, 60, 180}},
    {rosenbrock, 2, 2, -2, .5, {-1.2, .4}, .125, {25, 15, 40, 60}},   /* a at its bound: (1 - 0.5)^2 / 2 */
    {rosenbrock, 2, 2, 1.5, 3, {3, 1.5}, .125, {13, 12, 14, 20}},
    {freudenstein, 2, 2, -20, 20, {.5, -2}, 24.49212684, {10, 60, 25, 20}},
    {brown_dennis, 4, 20, -INFINITY, INFINITY, {25, 5, -5, -1}, 42911.10081, {18, 700, 50, 40}},
    {kowalik, 4, 11, -INFINITY, INFINITY, {.25, .39, .415, .39}, 1.537528, {17, 32, 50, 45}},
    {flat, 3, 3, -INFINITY, INFINITY, {5, -3, 3}, .004, {10, 10, 60, 60}},
    {flat, 3, 3, -5, 5, {4, 4, -4}, .004, {18, 18, 330, 80}},
};

static void test_known_minima(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  for (int p = 0; p < DPI_COUNT(problem); p++) {
    for (int h = 0; h < 2 * DPI_HESSIAN_COUNT; h++) {
      const known *k = &problem[p];
      dpi_trust_def def = dpi_trust_def_default();
      squares q;
      double x[4];
      def.hessian = (dpi_hessian)(h % DPI_HESSIAN_COUNT);
      if (h >= DPI_HESSIAN_COUNT) def.exact_max = 0; /* steps in a plane */
      squares_init(&q, ctx, k->n, k->nres, k->fn, NULL, k->lower, k->upper);
      dpi_trust_result r = run(&q, &def, k->x0, x);
      if (!(dpi_trust_end_good(r.end) && r.j - k->j < 1e-6 * fmax(1, k->j) && r.j - k->j > -1e-6 * fmax(1, k->j)))
        fail_msg("problem %d, %s%s: %s, J %.10g, not %.10g", p, dpi_hessian_name(def.hessian),
                 def.exact_max ? "" : " in a plane", dpi_trust_end_name(r.end), r.j, k->j);
      if (def.exact_max && r.neval > k->most[h])
        fail_msg("problem %d, %s: %ld evaluations, %ld allowed", p, dpi_hessian_name(def.hessian), r.neval, k->most[h]);
    }
  }
  dp_ctx_destroy(ctx);
}

/* Information at every fourth point: the same minima, for fewer than half as much information as points, and not many
 * points more (what the secant part learns takes the place of what is not asked for). */
static void test_information_now_and_then(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  for (int p = 0; p < DPI_COUNT(problem); p++) {
    const known *k = &problem[p];
    dpi_trust_def def = dpi_trust_def_default();
    dpi_trust *t = NULL;
    dpi_density_value v;
    squares q;
    unsigned what;
    double x[4];
    long asked = 0, points = 0;
    def.refresh = 4;
    def.value_first = 2;
    squares_init(&q, ctx, k->n, k->nres, k->fn, NULL, k->lower, k->upper);
    assert_int_equal(dpi_trust_create(ctx, &q.base, &def, &t), DP_OK);
    dpi_trust_begin(t, k->x0, NULL);
    while (dpi_trust_next(t, x, &what, &v)) {
      points++;
      asked += (what & DPI_DENSITY_FISHER) != 0;
      assert_true((what & DPI_DENSITY_FISHER) == 0 || v.fisher);
      assert_int_equal(dpi_density_eval(&q.base, 1, x, what, &v), DP_OK);
      dpi_trust_tell(t, &v);
    }
    const dpi_trust_result *r = dpi_trust_result_of(t);
    if (!(dpi_trust_end_good(r->end) && fabs(r->j - k->j) < 1e-6 * fmax(1, k->j)))
      fail_msg("problem %d: %s, J %.10g, not %.10g", p, dpi_trust_end_name(r->end), r->j, k->j);
    if (!(2 * asked < points && points < 4 * k->most[DPI_HESSIAN_HYBRID] + 40))
      fail_msg("problem %d: %ld points, information at %ld", p, points, asked);
    dpi_trust_destroy(t);
  }
  dp_ctx_destroy(ctx);
}

/* a wall in the way: searches go round it, or end before it and say why; a start behind it is told */
static void test_not_evaluable(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  squares q;
  const double wall[3] = {1, 0, 1.1}, tight[3] = {1, 0, .2}, x0[2] = {-1.2, 1}, behind[2] = {2, 0};
  double x[2];
  squares_init(&q, ctx, 2, 2, rosenbrock, NULL, -5, 5);
  q.wall = wall;
  dpi_trust_result r = run(&q, NULL, x0, x);
  assert_true(dpi_trust_end_good(r.end) && fabs(x[0] - 1) < 1e-6 && fabs(x[1] - 1) < 1e-6);
  r = run(&q, NULL, behind, x);
  assert_int_equal(r.end, DPI_TRUST_START);
  assert_string_equal(r.reason, "beyond the wall");
  q.wall = tight;
  r = run(&q, NULL, x0, x);
  assert_true(r.end == DPI_TRUST_STUCK && r.nfailed > 0 && x[0] > .19 && x[0] <= .2);
  assert_string_equal(r.reason, "beyond the wall");
  dp_ctx_destroy(ctx);
}

static void test_budgets_and_held(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  squares q;
  dpi_trust_def def = dpi_trust_def_default();
  const double x0[2] = {-1.2, 1};
  const bool held[2] = {true, false}, both[2] = {true, true};
  double x[2];
  squares_init(&q, ctx, 2, 2, rosenbrock, NULL, -5, 5);
  def.max_iter = 3;
  assert_int_equal(run(&q, &def, x0, x).end, DPI_TRUST_ITERATIONS);
  def.max_iter = 100;
  def.max_eval = 5;
  assert_int_equal(run(&q, &def, x0, x).end, DPI_TRUST_EVALUATIONS);
  def.max_eval = 0;
  def.fixed = held;
  assert_int_equal(run(&q, &def, x0, x).end, DPI_TRUST_GRADIENT);
  assert_true(x[0] == -1.2 && fabs(x[1] - 1.44) < 1e-9);
  def.fixed = both;
  dpi_trust_result r = run(&q, &def, x0, x);
  assert_true(r.end == DPI_TRUST_GRADIENT && r.neval == 1 && x[0] == -1.2 && x[1] == 1);
  dp_ctx_destroy(ctx);
}

/* saved between any two questions and read back by another search: the same points follow, byte by byte */
static void test_save_and_load(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  const double x0[4] = {.1, .1, .1, .1};
  for (int h = 0; h <= DPI_HESSIAN_COUNT; h++) { /* the last: hybrid with information now and then */
    squares q;
    dpi_trust_def def = dpi_trust_def_default();
    dpi_trust *a = NULL, *b = NULL;
    dpi_density_value v;
    unsigned what;
    double x[4];
    long moves = 0;
    def.hessian = h < DPI_HESSIAN_COUNT ? (dpi_hessian)h : DPI_HESSIAN_HYBRID;
    def.refresh = h < DPI_HESSIAN_COUNT ? 1 : 3;
    squares_init(&q, ctx, 4, 11, kowalik, NULL, 0, .18);
    assert_int_equal(dpi_trust_create(ctx, &q.base, &def, &a), DP_OK);
    assert_int_equal(dpi_trust_minimise(&q.base, a, x0, NULL), DP_OK);
    dpi_trust_result whole = *dpi_trust_result_of(a);
    double at[4];
    memcpy(at, whole.x, sizeof at);
    assert_int_equal(dpi_trust_create(ctx, &q.base, &def, &b), DP_OK);
    dpi_trust_begin(b, x0, NULL);
    while (dpi_trust_next(b, x, &what, &v)) {
      dpi_str s;
      dpi_str_init(&s, ctx);
      dpi_trust_save(b, &s);
      dpi_trust_destroy(b);
      assert_int_equal(dpi_trust_create(ctx, &q.base, &def, &b), DP_OK);
      assert_true(dpi_trust_load(b, dpi_str_text(&s)));
      assert_false(dpi_trust_load(a, "3 4 4 0"));
      dpi_str_release(&s);
      for (int turn = 0; turn < 2 && dpi_trust_next(b, x, &what, &v); turn++) {
        assert_int_equal(dpi_density_eval(&q.base, 1, x, what, &v), DP_OK);
        dpi_trust_tell(b, &v);
      }
      assert_true(++moves < 1000);
    }
    const dpi_trust_result *pieces = dpi_trust_result_of(b);
    assert_true(pieces->end == whole.end && pieces->neval == whole.neval && pieces->niter == whole.niter);
    assert_true(pieces->j == whole.j && memcmp(pieces->x, at, sizeof at) == 0);
    dpi_trust_destroy(a);
    dpi_trust_destroy(b);
  }
  dp_ctx_destroy(ctx);
}

/* the eigenvectors of a matrix larger than Jacobi's: A v = lambda v, orthonormal, ascending; with repeated values */
static void test_large_eigenvectors(void **state) {
  (void)state;
  enum { N = 97 };
  static double a[N * N], copy[N * N], v[N * N], w[N], work[2 * N];
  for (int kind = 0; kind < 3; kind++) {
    dpi_rng rng = dpi_rng_make(5, (uint64_t)kind, 1);
    for (int i = 0; i < N; i++) {
      for (int j = 0; j <= i; j++) {
        double x = kind == 2 ? (i == j) : dpi_rng_normal(&rng);
        if (kind == 1 && i - j > 1) x = 0; /* tridiagonal, of a wide range */
        if (kind == 1) x *= dpi_m_exp(-0.2 * i);
        a[i * N + j] = a[j * N + i] = x;
      }
    }
    memcpy(copy, a, sizeof a);
    dpi_point_eig(a, N, w, v, work);
    for (int k = 0; k < N; k++) {
      assert_true(k == 0 || w[k] >= w[k - 1]);
      for (int i = 0; i < N; i++) {
        double s = -w[k] * v[i * N + k], o = -(i == k);
        for (int j = 0; j < N; j++) s += copy[i * N + j] * v[j * N + k];
        for (int j = 0; j < N; j++) o += v[j * N + i] * v[j * N + k];
        assert_true(fabs(s) < 1e-11 && fabs(o) < 1e-11);
      }
    }
  }
}

/* the exact step: (B + sigma) p = -g with sigma >= 0, B + sigma positive semidefinite, sigma (radius - |p|) = 0; also
 * in the hard case, where g has nothing along the lowest eigenvector */
static void test_exact_step(void **state) {
  (void)state;
  enum { M = 3 };
  const double inf = INFINITY;
  double b[2][9] = {{2, .5, 0, .5, 1, .1, 0, .1, .3}, {-2, 0, 0, 0, 1, 0, 0, 0, 3}}, g[2][3] = {{1, -2, .5}, {0, 1, 1}};
  for (int hard = 0; hard < 2; hard++) {
    double lo[M] = {-inf, -inf, -inf}, hi[M] = {inf, inf, inf}, v[M], r[M], c[M], lambda[M], vec[9], m1[9], m2[9],
           t[12 * M], s[M];
    int index[2 * M];
    dpi_quad q = {M, g[hard], b[hard], v, r, c, lo, hi, false, false, lambda, vec, m1, m2, t, index};
    bool inside;
    dpi_quad_scale(&q);
    double length = dpi_quad_step(&q, .7, .95, 0, s, &inside), sigma = 0, top = 0;
    assert_true(!inside && fabs(length - .7) < 1e-6);
    for (int i = 0; i < M; i++) {
      double y = g[hard][i];
      for (int j = 0; j < M; j++) y += b[hard][3 * i + j] * s[j];
      if (fabs(s[i]) > top) {
        top = fabs(s[i]);
        sigma = -y / s[i];
      }
    }
    assert_true(sigma >= -lambda[0] - 1e-7 && sigma >= 0);
    for (int i = 0; i < M; i++) {
      double y = g[hard][i] + sigma * s[i];
      for (int j = 0; j < M; j++) y += b[hard][3 * i + j] * s[j];
      assert_true(fabs(y) < 1e-6);
    }
  }
}

static void test_memory(void **state) {
  (void)state;
  failing_memory memory = {0};
  dp_ctx *ctx = failing_context(&memory);
  squares q;
  const double x0[2] = {-1.2, 1};
  squares_init(&q, ctx, 2, 2, rosenbrock, NULL, -5, 5);
  for (long n = 0;; n++) {
    dpi_trust *t = NULL;
    failing_next(&memory, n);
    dp_status status = dpi_trust_create(ctx, &q.base, NULL, &t);
    if (status == DP_OK) status = dpi_trust_minimise(&q.base, t, x0, NULL);
    bool failed = failing_happened(&memory);
    failing_never(&memory);
    dpi_trust_destroy(t);
    assert_int_equal(dpi_alloc_live(ctx), 0);
    assert_int_equal(status, failed ? DP_ERR_MEMORY : DP_OK);
    dp_ctx_clear_error(ctx);
    if (!failed) break;
  }
  dp_ctx_destroy(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_quadratic_in_one_step),
      cmocka_unit_test(test_bounds_active),
      cmocka_unit_test(test_known_minima),
      cmocka_unit_test(test_not_evaluable),
      cmocka_unit_test(test_budgets_and_held),
      cmocka_unit_test(test_save_and_load),
      cmocka_unit_test(test_information_now_and_then),
      cmocka_unit_test(test_large_eigenvectors),
      cmocka_unit_test(test_exact_step),
      cmocka_unit_test(test_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
