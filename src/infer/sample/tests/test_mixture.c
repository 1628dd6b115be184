/* Independent comparison: densities of mixtures by the formula written out, points alone and among others; what is
 * fitted to draws of two clusters; all draws of two sets, one of which knows a half only, against the law itself. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/pool.h"
#include "infer/sample/mixture.h"

static dp_ctx_def two_threads(void) {
  dp_ctx_def def = dp_ctx_def_default();
  def.nthread = 2;
  return def;
}
#define OWN_CONTEXT_DEF two_threads()
#include "base/tests/own_context.h"

static double t_density(const dpi_mixture *mix, int k, double dof, const double *x) {
  const int n = mix->n;
  double d[16], d2 = 0, logdet = 0;
  for (int a = 0; a < n; a++) {
    const double *row = mix->chol + ((size_t)k * (size_t)n + (size_t)a) * (size_t)n;
    d[a] = x[a] - mix->mean[k * n + a];
    for (int b = 0; b < a; b++) d[a] -= row[b] * d[b];
    d[a] /= row[a];
    d2 += d[a] * d[a];
    logdet += log(row[a]);
  }
  if (isinf(dof)) return exp(-0.5 * d2 - logdet - 0.5 * n * log(2 * 3.14159265358979323846));
  return exp(lgamma(0.5 * (dof + n)) - lgamma(0.5 * dof) - 0.5 * n * log(dof * 3.14159265358979323846) - logdet -
             0.5 * (dof + n) * log1p(d2 / dof));
}

static void test_densities(void **state) {
  enum { N = 5, K = 3, POINTS = 37 };
  dpi_arena arena;
  dpi_mixture mix;
  double x[POINTS * N], out[POINTS], share[POINTS * K], alone, part[K];
  (void)state;
  dpi_arena_init(&arena, ctx);
  assert_int_equal(dpi_mixture_make(&arena, N, K, &mix), DP_OK);
  dpi_rng rng = dpi_rng_make(1, 0, 0x7e57);
  for (int k = 0; k < K; k++) {
    mix.weight[k] = (k + 1) / 6.0;
    for (int a = 0; a < N; a++) {
      mix.mean[k * N + a] = dpi_rng_normal(&rng);
      for (int b = 0; b < a; b++) mix.chol[(k * N + a) * N + b] = 0.3 * dpi_rng_normal(&rng);
      mix.chol[(k * N + a) * N + a] = 0.5 + dpi_rng_uniform(&rng);
      mix.logdet[k] += log(mix.chol[(k * N + a) * N + a]);
    }
  }
  double *work = DPI_ARENA_ARRAY(&arena, double, dpi_mixture_work(&mix));
  assert_non_null(work);
  for (int i = 0; i < POINTS * N; i++) x[i] = 2 * dpi_rng_normal(&rng);
  for (int law = 0; law < 2; law++) {
    const double dof = law ? 5 : INFINITY;
    dpi_mixture_logpdf(&mix, dof, x, POINTS, out, share, work);
    for (int i = 0; i < POINTS; i++) {
      double want = 0;
      for (int k = 0; k < K; k++) want += mix.weight[k] * t_density(&mix, k, dof, x + i * N);
      assert_true(fabs(out[i] - log(want)) < 1e-12 * fmax(1, fabs(out[i])));
      for (int k = 0; k < K; k++)
        assert_true(fabs(share[i * K + k] - mix.weight[k] * t_density(&mix, k, dof, x + i * N) / want) < 1e-12);
      dpi_mixture_logpdf(&mix, dof, x + i * N, 1, &alone, part, work);
      assert_memory_equal(&alone, &out[i], sizeof alone);
      assert_memory_equal(part, share + i * K, sizeof part);
    }
  }
  dpi_arena_release(&arena);
}

/* 3000 draws, 30 % of them at (4, 4) with deviations 0.5, the others at 0 with 1 and a correlation of 0.8. */
static void test_clusters(void **state) {
  enum { COUNT = 3000 };
  dpi_arena arena;
  dpi_mixture mix;
  double *x = malloc(sizeof(double) * 2 * COUNT);
  (void)state;
  dpi_arena_init(&arena, ctx);
  dpi_rng rng = dpi_rng_make(2, 0, 0x7e57);
  for (int i = 0; i < COUNT; i++) {
    const double u = dpi_rng_normal(&rng), v = dpi_rng_normal(&rng);
    x[2 * i] = i % 10 < 3 ? 4 + 0.5 * u : u;
    x[2 * i + 1] = i % 10 < 3 ? 4 + 0.5 * v : 0.8 * u + 0.6 * v;
  }
  const dpi_mixture_def def = {.x = x, .npoint = COUNT, .n = 2, .most = 2};
  assert_int_equal(dpi_mixture_fit(&arena, &def, &mix), DP_OK);
  assert_int_equal(mix.ncomponent, 2);
  const int far = mix.mean[2] > mix.mean[0];
  const double *l = mix.chol + 4 * !far;
  assert_true(fabs(mix.weight[far] - 0.3) < 0.01);
  for (int a = 0; a < 2; a++)
    assert_true(fabs(mix.mean[2 * far + a] - 4) < 0.08 && fabs(mix.mean[2 * !far + a]) < 0.1);
  assert_true(fabs(l[0] - 1) < 0.06 && fabs(l[2] - 0.8) < 0.08 && fabs(l[3] - 0.6) < 0.06);
  assert_true(fabs(mix.chol[4 * far] - 0.5) < 0.04);
  free(x);
  dpi_arena_release(&arena);
}

/* Half the mass at -5, half at 5, deviations 1, integral 1. */
static dp_status two_peaks(void *user, const double *x, int n, double *logp) {
  (void)user;
  for (int i = 0; i < n; i++)
    logp[i] = dpi_m_log(0.5 * dpi_norm_pdf(x[i] - 5) + 0.5 * dpi_norm_pdf(x[i] + 5));
  return DP_OK;
}

/* A set of so many rounds around one place; first_round numbers its draws. */
static dpi_importance_def around(const dpi_component *c, int nproposal, int rounds, int first_round) {
  return (dpi_importance_def){.dim = 1,
                              .nproposal = nproposal,
                              .max_round = rounds,
                              .first_round = first_round,
                              .dof = 30,
                              .seed = 3,
                              .target = two_peaks,
                              .component = c,
                              .ncomponent = 1};
}

/* A set around one peak finds half of the integral, and no weight tells; so does its neighbour; together they find it
 * all. Errors of 1000 to 3000 draws: 0.05 is beyond four of them. */
static void test_two_sets(void **state) {
  dpi_arena arena;
  dpi_pool pool;
  dpi_importance own, all;
  double mean[2] = {-5, 5}, chol = 1.2;
  (void)state;
  dpi_arena_init(&arena, ctx);
  dpi_pool_init(&pool, &arena, 1);
  for (int k = 0; k < 2; k++) {
    const dpi_component c = {1, &mean[k], &chol};
    const dpi_importance_def def = around(&c, 1000 * (k + 1), 1, k);
    assert_int_equal(dpi_pool_run(&pool, &def, &own, &all), DP_OK);
    assert_int_equal(own.n, 1000 * (k + 1));
    assert_true(fabs(dpi_m_exp(own.evidence) - 0.5) < 0.05);
  }
  double right = 0, sum = 0;
  assert_int_equal(all.n, 3000);
  for (int i = 0; i < all.n; i++) {
    sum += all.weight[i];
    right += all.x[i] > 0 ? all.weight[i] : 0;
  }
  assert_true(fabs(sum - 1) < 1e-12 && fabs(right - 0.5) < 0.05 && fabs(all.evidence) < 0.05);
  assert_true(all.good && all.ess > 1500);
  dpi_arena_release(&arena);
}

/* As many sets and rounds as a belief may ask for, never satisfied: all their draws stand there, in the order drawn, with
 * the integral known. Errors of 13,000 draws: 0.02 is beyond six of them. */
static void test_many_sets(void **state) {
  enum { SETS = 13, EACH = 5, DRAWS = 200 };
  dpi_arena arena;
  dpi_pool pool;
  dpi_importance own, all;
  double mean[2] = {-5, 5}, chol = 1.2, first[DRAWS];
  (void)state;
  dpi_arena_init(&arena, ctx);
  dpi_pool_init(&pool, &arena, 1);
  for (int k = 0; k < SETS; k++) {
    const dpi_component c = {1, &mean[k % 2], &chol};
    dpi_importance_def def = around(&c, DRAWS, EACH, EACH * k);
    def.ess = 1e9;
    assert_int_equal(dpi_pool_run(&pool, &def, &own, &all), DP_OK);
    assert_int_equal(own.n, EACH * DRAWS);
    assert_int_equal(all.n, (k + 1) * EACH * DRAWS);
    if (k == 0) memcpy(first, all.x, sizeof first);
    assert_memory_equal(first, all.x, sizeof first);
  }
  if (!(fabs(all.evidence) < 0.02)) fail_msg("ln of the integral is %g", all.evidence);
  dpi_arena_release(&arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_densities), cmocka_unit_test(test_clusters),
                                     cmocka_unit_test(test_two_sets), cmocka_unit_test(test_many_sets)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
