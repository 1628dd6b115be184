/* test_net_draws.c - proposals on a net and even resampling, beside independent proposals and plain resampling: an
 * affinely mapped normal law in three dimensions, whose probabilities dpi_norm_cdf knows. 60 seeds 1..60, chosen before
 * any was looked at; errors of a seed are those of eight probabilities in the directions of axes and diagonals.
 *
 *     unbiased     the mean error over seeds lies within 4 of its own standard errors (false alarm: below 0.2 %)
 *     closer       its root mean square is less than half of that of independent numbers (it is about a third) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "closed_form.h"

enum { DIM = 3, SEEDS = 60, DRAWS = 1000, LINES = 8 };

static const double centre[DIM] = {0.4, -1.2, 2.0};
static const double factor[DIM * DIM] = {0.5, 0, 0, 0.3, 0.2, 0, -0.4, 0.1, 0.7};

/* ln density of the law, up to a constant */
static dp_status law(void *user, const double *x, int n, double *logp) {
  (void)user;
  for (int i = 0; i < n; i++) {
    double d[DIM];
    for (int a = 0; a < DIM; a++) d[a] = x[i * DIM + a] - centre[a];
    dpi_tri_solve_lower(factor, DIM, d);
    logp[i] = -0.5 * (d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
  }
  return DP_OK;
}

/* Line k: a half space in whitened coordinates, with its probability. */
static double line(int k, const double *x, double *known) {
  static const double way[LINES][DIM + 1] = {{1, 0, 0, 0.3},   {0, 1, 0, -0.7},   {0, 0, 1, 1.1},        {1, 1, 0, 0.5},
                                             {1, -1, 1, -1.3}, {0.3, 1, -2, 0.9}, {-1, 0.2, 0.5, 1.644}, {1, 1, 1, 0}};
  double d[DIM], sum = 0, length = 0;
  for (int a = 0; a < DIM; a++) d[a] = x[a] - centre[a];
  dpi_tri_solve_lower(factor, DIM, d);
  for (int a = 0; a < DIM; a++) {
    sum += way[k][a] * d[a];
    length += way[k][a] * way[k][a];
  }
  *known = dpi_norm_cdf(way[k][DIM]);
  return sum / sqrt(length) <= way[k][DIM];
}

/* Errors of the eight probabilities among draws kept, of one seed. */
static void errors(dp_ctx *ctx, uint64_t seed, bool even, double *error) {
  double mean[DIM], wide[DIM * DIM];
  int index[DRAWS];
  dpi_arena arena;
  dpi_importance im;
  for (int a = 0; a < DIM; a++) mean[a] = centre[a] + 0.1;
  for (int k = 0; k < DIM * DIM; k++) wide[k] = 1.1 * factor[k];
  dpi_component c = {1, mean, wide};
  dpi_importance_def def = {.dim = DIM,
                            .nproposal = 4 * DRAWS,
                            .max_round = 1,
                            .dof = 5,
                            .seed = seed,
                            .stream = 2,
                            .target = law,
                            .component = &c,
                            .ncomponent = 1,
                            .quasi = even};
  dpi_arena_init(&arena, ctx);
  assert_int_equal(dpi_importance_run(&arena, &def, &im), DP_OK);
  assert_true(im.good && im.khat < 0.7 && im.ess > 0.5 * im.n);
  dpi_rng rng = dpi_rng_make(seed, 2, DPI_RNG_RESAMPLE);
  if (even)
    assert_int_equal(dpi_resample_even(&arena, im.x, DIM, im.weight, im.n, &rng, DRAWS, index), DP_OK);
  else
    dpi_resample(im.weight, im.n, dpi_rng_uniform(&rng), DRAWS, index);
  for (int k = 0; k < LINES; k++) {
    double known = 0, sum = 0;
    for (int i = 0; i < DRAWS; i++) sum += line(k, im.x + (size_t)index[i] * DIM, &known);
    error[k] = sum / DRAWS - known;
  }
  dpi_arena_release(&arena);
}

static void test_closer(void **state) {
  (void)state;
  dp_ctx *ctx = test_ctx(1);
  static double error[2][SEEDS][LINES];
  double rms[2] = {0};
  for (int even = 0; even < 2; even++)
    for (int s = 0; s < SEEDS; s++) {
      errors(ctx, (uint64_t)s + 1, even, error[even][s]);
      for (int k = 0; k < LINES; k++) rms[even] += error[even][s][k] * error[even][s][k] / (SEEDS * LINES);
    }
  for (int k = 0; k < LINES; k++) {
    double mean = 0, square = 0;
    for (int s = 0; s < SEEDS; s++) {
      mean += error[1][s][k] / SEEDS;
      square += error[1][s][k] * error[1][s][k] / SEEDS;
    }
    assert_true(fabs(mean) < 4 * sqrt(square / SEEDS));
  }
  print_message("rms error of a probability by %d draws: %.2f points independent, %.2f on the net\n", DRAWS,
                100 * sqrt(rms[0]), 100 * sqrt(rms[1]));
  assert_true(sqrt(rms[1]) < 0.5 * sqrt(rms[0]));
  dp_ctx_destroy(ctx);
}

/* Each point comes as often as its weight says, to one; what is impossible never; any part of it all is a sample. */
static void test_counts(void **state) {
  (void)state;
  enum { N = 500, M = 777 };
  dp_ctx *ctx = test_ctx(1);
  dpi_arena arena;
  dpi_arena_init(&arena, ctx);
  static double x[N * 2], w[N];
  static int index[M], count[N];
  double sum = 0, first = 0, all = 0;
  dpi_rng rng = dpi_rng_make(5, 6, 7);
  for (int i = 0; i < N; i++) {
    x[2 * i] = dpi_rng_normal(&rng);
    x[2 * i + 1] = 3 * x[2 * i] + dpi_rng_normal(&rng);
    sum += w[i] = i % 7 == 3 ? 0 : dpi_rng_uniform(&rng);
  }
  for (int i = 0; i < N; i++) w[i] /= sum;
  assert_int_equal(dpi_resample_even(&arena, x, 2, w, N, &rng, M, index), DP_OK);
  for (int k = 0; k < M; k++) {
    assert_in_range(index[k], 0, N - 1);
    count[index[k]]++;
    all += x[2 * index[k]] / M;
    if (k < M / 3) first += x[2 * index[k]] / (M / 3);
  }
  for (int i = 0; i < N; i++) assert_true(fabs(count[i] - M * w[i]) < 1 + 1e-9);
  /* a third of them, drawn without return: its mean is within 4 of its standard errors, 1/sqrt(259) sqrt(2/3) */
  assert_true(fabs(first - all) < 4 * 0.051);
  dpi_arena_release(&arena);
  dp_ctx_destroy(ctx);
}

/* No axis at all, one, more than the curve looks at, and axes that do not move. */
static void test_shapes(void **state) {
  (void)state;
  static const int dims[] = {0, 1, 2, 9, 60};
  dp_ctx *ctx = test_ctx(1);
  static double x[100 * 60], w[100];
  int index[50];
  for (int k = 0; k < DPI_COUNT(dims); k++)
    for (int still = 0; still < 2; still++) {
      dpi_arena arena;
      dpi_arena_init(&arena, ctx);
      dpi_rng rng = dpi_rng_make(8, (uint64_t)k, 9);
      for (int i = 0; i < 100 * dims[k]; i++) x[i] = still ? 2 : dpi_rng_normal(&rng);
      for (int i = 0; i < 100; i++) w[i] = 0.01;
      assert_int_equal(dpi_resample_even(&arena, x, dims[k], w, 100, &rng, 50, index), DP_OK);
      int seen[100] = {0};
      for (int i = 0; i < 50; i++) assert_true(seen[index[i]]++ == 0);
      dpi_arena_release(&arena);
    }
  dp_ctx_destroy(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_closer), cmocka_unit_test(test_counts),
                                     cmocka_unit_test(test_shapes)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
