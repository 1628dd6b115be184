/* test_trial_stats.c - statistics of trials against SciPy and statsmodels (trial_figures.inc, by
 * tools/trial_figures.py): people's endpoints are put into the tally as a run does, and estimates, intervals, tests
 * and power come out of it. Beside them: permuted blocks, boundaries of looks at the data against print, and trials
 * in which nothing differs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "trial/trial_stats.h"

#include "trial_figures.inc"

static dp_ctx *ctx;

/* A trial of nothing but its statistics, and what comes of it. */
typedef struct bench {
  dp_trial t;
  dpi_endpoint endpoint[2];
  dpi_trial_arm_def arm[3];
  dpi_trial_tally *tally;
  dp_trial_result out;
  dp_trial_arm result[3];
  dp_trial_difference difference[6];
  dp_trial_estimate estimate[6];
  dp_trial_seen seen[6 * DPI_TRIAL_LOOKS];
  double q[18];
} bench;

static bench *begin(dp_trial_design design, int narm, int n, bool share) {
  bench *b = calloc(1, sizeof *b);
  assert_non_null(b);
  b->t = (dp_trial){.ctx = ctx,
                    .desc = {.design = design, .narm = narm, .nendpoint = 1, .nperson = n, .seed = 4},
                    .cohort = {.n = n},
                    .arm = b->arm,
                    .endpoint = b->endpoint,
                    .block = 1,
                    .confidence = 0.95,
                    .nbootstrap = 2000};
  b->endpoint[0].relation = share;
  b->out = (dp_trial_result){
      .ctx = ctx, .narm = narm, .nendpoint = 1, .arm = b->result, .difference = b->difference, .seen = b->seen};
  for (int a = 0; a < narm; a++)
    b->result[a] = (dp_trial_arm){
        .estimate = &b->estimate[a], .q05 = &b->q[3 * a], .median = &b->q[3 * a + 1], .q95 = &b->q[3 * a + 2]};
  return b;
}

static void add(bench *b, const double *value) {
  assert_int_equal(dpi_trial_tally_create(&b->t, &b->tally), DP_OK);
  const int n = b->t.cohort.n, half = n / 2;
  if (half) assert_int_equal(dpi_trial_tally_add(b->tally, value, half), DP_OK);
  assert_int_equal(dpi_trial_tally_add(b->tally, value + half * b->t.desc.narm, n - half), DP_OK);
  assert_int_equal(dpi_trial_tally_finish(b->tally, &b->out), DP_OK);
}

static void end(bench *b) {
  dpi_trial_tally_destroy(b->tally);
  free(b);
}

static void near_to(const char *what, int row, double found, double expected, double tolerance) {
  if (fabs(found - expected) <= tolerance * fmax(1, fabs(expected))) return;
  fail_msg("%s, row %d: %.15g, expected %.15g", what, row, found, expected);
}

static void is(const char *what, int row, const dp_trial_estimate *e, const double *golden, double scale) {
  near_to(what, row, e->value, scale * golden[0], 1e-9);
  near_to(what, row, e->low, scale * golden[1], 1e-9);
  near_to(what, row, e->high, scale * golden[2], 1e-9);
}

/* Values of parallel arms: whoever is put into an arm takes its next number, and nobody's is missing after the last. */
static void deal(const bench *b, const double *const *sample, const int *n, double *value) {
  int next[3] = {0};
  for (int i = 0; i < b->t.cohort.n; i++) {
    const int arm = dpi_trial_assigned(&b->t, i);
    for (int a = 0; a < b->t.desc.narm; a++)
      value[i * b->t.desc.narm + a] = a == arm && next[a] < n[a] ? sample[a][next[a]] : NAN;
    next[arm]++;
  }
}

static void means(void **state) {
  (void)state;
  double value[40];
  for (int row = 0; row < DPI_COUNT(of_means); row++) {
    const double *g = of_means[row], *const sample[] = {sample_b, sample_a};
    const int n[] = {5, 7};
    bench *b = begin(DP_TRIAL_PARALLEL, 2, 14, false);
    b->t.confidence = g[0];
    deal(b, sample, n, value);
    add(b, value);
    assert_int_equal(b->estimate[1].n, 7);
    is("mean", row, &b->estimate[1], g + 1, 1);
    is("Welch", row, &b->difference[0].estimate, g + 4, 1);
    near_to("Welch, p", row, b->difference[0].p, g[7], 1e-10);
    end(b);
    b = begin(DP_TRIAL_PAIRED, 2, 5, false);
    b->t.confidence = g[0];
    for (int i = 0; i < 5; i++) value[2 * i] = sample_b[i], value[2 * i + 1] = sample_a[i];
    add(b, value);
    is("paired", row, &b->difference[0].estimate, g + 8, 1);
    near_to("paired, p", row, b->difference[0].p, g[11], 1e-10);
    end(b);
  }
}

static void shares(void **state) {
  (void)state;
  static double yes[2][200], value[1000];
  for (int row = 0; row < DPI_COUNT(of_shares); row++)
    for (int clopper = 0; clopper < 2; clopper++) {
      const double *g = of_shares[row], *const sample[] = {yes[0], yes[1]};
      const int n[] = {(int)g[3], (int)g[1]};
      for (int i = 0; i < 200; i++) yes[0][i] = i < g[2], yes[1][i] = i < g[0];
      bench *b = begin(DP_TRIAL_PARALLEL, 2, 2 * (n[0] > n[1] ? n[0] : n[1]), true);
      b->t.clopper = clopper;
      deal(b, sample, n, value);
      add(b, value);
      near_to("share, low", row, b->estimate[1].low, 100 * g[4 + 2 * clopper], 1e-9);
      near_to("share, high", row, b->estimate[1].high, 100 * g[5 + 2 * clopper], 1e-9);
      near_to("Newcombe, low", row, b->difference[0].estimate.low, 100 * g[8], 1e-9);
      near_to("Newcombe, high", row, b->difference[0].estimate.high, 100 * g[9], 1e-9);
      near_to("shares, p", row, b->difference[0].p, g[10], 1e-9);
      assert_true(isnan(b->q[0])); /* percentiles of yes and no are none */
      end(b);
    }
}

/* Pairs of no and yes in which so many changed. */
static int changed(const double *g, double *value) {
  for (int i = 0; i < (int)g[2]; i++) {
    value[2 * i] = i >= g[0] && i < g[0] + g[1];
    value[2 * i + 1] = i < g[0];
  }
  return (int)g[2];
}

static void changes(void **state) {
  (void)state;
  double value[200];
  for (int row = 0; row < DPI_COUNT(of_changes); row++) {
    const double *g = of_changes[row];
    bench *b = begin(DP_TRIAL_PAIRED, 2, changed(g, value), true);
    add(b, value);
    is("changes", row, &b->difference[0].estimate, g + 3, 100);
    near_to("McNemar", row, b->difference[0].p, g[6], 1e-9);
    end(b);
  }
}

static void tables(void **state) {
  (void)state;
  for (int row = 0; row < DPI_COUNT(of_tables); row++) {
    const double *g = of_tables[row];
    near_to("Fisher", row, dpi_trial_fisher(g[0], g[1], g[2], g[3]), g[4], 1e-10);
    near_to("Fisher, turned", row, dpi_trial_fisher(g[2], g[3], g[0], g[1]), g[4], 1e-10);
    near_to("Fisher, other way", row, dpi_trial_fisher(g[0], g[2], g[1], g[3]), g[4], 1e-10);
  }
  assert_true(dpi_trial_fisher(4000, 0, 0, 4000) == 0); /* beneath what a double holds */
  near_to("Fisher, equal", 0, dpi_trial_fisher(50000, 50000, 50000, 50000), 1, 1e-12);
}

/* People of a cross-over: whoever has a sequence takes its next row; who comes after the last is missing. */
static void deal_sequences(const bench *b, const double *row, int nrow, double *value) {
  const int narm = b->t.desc.narm;
  int next[3] = {0};
  for (int i = 0; i < b->t.cohort.n; i++) {
    const int s = dpi_trial_assigned(&b->t, i);
    int k = 0, skip = next[s]++;
    for (; k < nrow; k++)
      if (row[k * (narm + 1)] == s && skip-- == 0) break;
    for (int a = 0; a < narm; a++) value[i * narm + a] = k < nrow ? row[k * (narm + 1) + 1 + a] : NAN;
  }
}

/* Periods that add something: what least squares with terms for people and periods says. */
static void crossover(void **state) {
  (void)state;
  double value[60];
  bench *b = begin(DP_TRIAL_CROSSOVER, 2, 14, false);
  deal_sequences(b, people_two[0], DPI_COUNT(people_two), value);
  add(b, value);
  assert_int_equal(b->difference[0].estimate.n, 11);
  assert_string_equal(b->difference[0].test, "cross-over t");
  is("two", 0, &b->difference[0].estimate, of_two, 1);
  near_to("two, p", 0, b->difference[0].p, of_two[3], 1e-9);
  end(b);
  b = begin(DP_TRIAL_CROSSOVER, 3, 15, false);
  deal_sequences(b, people_three[0], DPI_COUNT(people_three), value);
  add(b, value);
  assert_int_equal(b->out.ndifference, 3);
  for (int k = 0; k < 3; k++) {
    assert_true(b->difference[k].arm == of_three[k][0] && b->difference[k].against == of_three[k][1]);
    is("three", k, &b->difference[k].estimate, of_three[k] + 2, 1);
    near_to("three, p", k, b->difference[k].p, of_three[k][5], 1e-9);
  }
  end(b);
}

static void crossover_shares(void **state) {
  (void)state;
  for (int row = 0; row < DPI_COUNT(of_sequences); row++) {
    const double *g = of_sequences[row];
    double people[40][3], pair[80], value[160];
    int n = 0;
    for (int s = 0; s < 2; s++) {
      const int m = changed(g + 3 * s, pair);
      for (int i = 0; i < m; i++, n++) people[n][0] = s, people[n][1] = pair[2 * i], people[n][2] = pair[2 * i + 1];
    }
    bench *b = begin(DP_TRIAL_CROSSOVER, 2, 2 * (int)fmax(g[2], g[5]), true);
    deal_sequences(b, people[0], n, value);
    add(b, value);
    is("sequences", row, &b->difference[0].estimate, g + 6, 100);
    near_to("sequences, p", row, b->difference[0].p, g[9], 1e-9);
    end(b);
  }
}

/* Where nobody of a sequence is left, periods can't be told from arms: no number, and the method says why. */
static void crossover_without(void **state) {
  (void)state;
  double value[40];
  bench *b = begin(DP_TRIAL_CROSSOVER, 2, 14, false);
  deal_sequences(b, people_two[0], 7, value);
  add(b, value);
  assert_int_equal(b->difference[0].estimate.n, 7);
  assert_string_equal(b->difference[0].test, "none: nobody in a sequence");
  assert_true(isnan(b->difference[0].estimate.value) && isnan(b->difference[0].p));
  end(b);
}

static void few(void **state) {
  (void)state;
  const double one[] = {1, 2}, none[] = {NAN, NAN};
  bench *b = begin(DP_TRIAL_PAIRED, 2, 1, false);
  add(b, one);
  assert_true(b->estimate[0].value == 1 && isnan(b->estimate[0].low));
  assert_true(b->difference[0].estimate.value == 1 && isnan(b->difference[0].estimate.low));
  assert_true(isnan(b->difference[0].p));
  end(b);
  for (int share = 0; share < 2; share++) {
    b = begin(DP_TRIAL_PARALLEL, 2, 1, share);
    b->t.power_n = 5;
    b->t.power_trials = 100;
    b->t.bootstrap = b->t.holm = true;
    add(b, none);
    assert_true(b->estimate[0].n == 0 && isnan(b->estimate[0].value) && isnan(b->difference[0].p));
    assert_true(isnan(b->difference[0].p_holm) && isnan(b->difference[0].power));
    assert_string_equal(b->difference[0].power_method, "none: fewer than two people with a number to draw from");
    end(b);
  }
}

/* p of a set of comparisons through the whole: endpoints are made so that they have nearly these p, and Holm's rule
 * is held against the p that came out. The golden rows check the rule itself. */
static void holm(void **state) {
  (void)state;
  double value[7 * 6];
  bench *b = begin(DP_TRIAL_PAIRED, 3, 7, false);
  b->t.holm = true;
  for (int i = 0; i < 7; i++) {
    value[3 * i] = sample_a[i];
    value[3 * i + 1] = sample_a[i] + 0.4 * (i % 3);
    value[3 * i + 2] = sample_a[6 - i];
  }
  add(b, value);
  double p[3];
  for (int k = 0; k < 3; k++) p[k] = b->difference[k].p;
  for (int k = 0; k < 3; k++) { /* by its definition: the largest of what stands at or before it */
    double expected = 0;
    for (int i = 0; i < 3; i++) {
      int after = 0;
      for (int j = 0; j < 3; j++) after += p[j] > p[i] || (p[j] == p[i] && j >= i);
      if (p[i] <= p[k]) expected = fmax(expected, fmin(1, p[i] * after));
    }
    near_to("Holm", k, b->difference[k].p_holm, expected, 1e-14);
    assert_true(b->difference[k].p_holm >= p[k]);
  }
  end(b);
  dp_trial t = {.ctx = ctx};
  dp_trial_difference d[DPI_COUNT(of_holm)];
  dp_trial_result out = {.ctx = ctx, .ndifference = DPI_COUNT(of_holm), .difference = d};
  for (int k = 0; k < DPI_COUNT(of_holm); k++) d[k] = (dp_trial_difference){.p = of_holm[k][0], .p_holm = NAN};
  assert_int_equal(dpi_trial_holm(&t, &out), DP_OK);
  for (int k = 0; k < DPI_COUNT(of_holm); k++) near_to("Holm", k, d[k].p_holm, of_holm[k][1], 1e-14);
}

/* Trials drawn from 4,000 people an arm at the quantiles of the normal law: power of the t tests by the noncentral t,
 * within five standard errors of 4,000 trials (a false alarm in 17,000 such comparisons; there are twelve). */
static void power(void **state) {
  (void)state;
  enum { n = 4000, trials = 4000 };
  static double value[2 * n], sample[2][n];
  for (int i = 0; i < n; i++) sample[0][i] = dpi_norm_quantile((i + 0.5) / n);
  for (int row = 0; row < DPI_COUNT(of_power); row++)
    for (int how = 0; how < 4; how++) { /* parallel, paired, cross-over, paired with losses */
      static const dp_trial_design designs[] = {DP_TRIAL_PARALLEL, DP_TRIAL_PAIRED, DP_TRIAL_CROSSOVER,
                                                DP_TRIAL_PAIRED};
      const double *g = of_power[row];
      bench *b = begin(designs[how], 2, how ? n : 2 * n, false);
      b->t.power_n = (int)g[0];
      b->t.power_trials = trials;
      static double apart[4 * n];
      const double *const samples[] = {sample[0], sample[1]};
      const int size[] = {n, n};
      for (int i = 0; i < n; i++) {
        const int k = (i * 1231) % n; /* no order that sequences could see; 30 % of those who are lost are anybody */
        sample[1][i] = sample[0][i] + g[1];
        value[2 * i] = 0;
        value[2 * i + 1] = how == 3 && i % 10 < 3 ? NAN : sample[0][k] + g[1];
      }
      if (!how) deal(b, samples, size, apart);
      if (how == 2) { /* everybody of the law in either sequence */
        int next[2] = {0};
        for (int i = 0; i < n; i++) {
          const int s = dpi_trial_assigned(&b->t, i), k = next[s]++ * 2 % n;
          value[2 * i + 1] = (sample[0][k] + sample[0][k + 1]) / 2 + g[1] + (s ? -5 : 5); /* periods */
        }
      }
      add(b, how ? value : apart);
      const double expected = g[2 + how], p = b->difference[0].power;
      near_to("power", 10 * row + how, p, expected, 5 * sqrt(expected * (1 - expected) / trials) + 0.004);
      end(b);
    }
}

/* Two endpoints under Holm's correction, of people in whom they know nothing of each other. */
static void power_by_holm(void **state) {
  (void)state;
  enum { grid = 90, n = grid * grid, trials = 4000 };
  static double value[4 * n], z[grid];
  double square = 0;
  for (int i = 0; i < grid; i++) z[i] = dpi_norm_quantile((i + 0.5) / grid), square += z[i] * z[i] / grid;
  for (int row = 0; row < DPI_COUNT(of_holm_power); row++) {
    const double *g = of_holm_power[row];
    bench *b = begin(DP_TRIAL_PAIRED, 2, n, false);
    b->t.desc.nendpoint = b->out.nendpoint = 2;
    for (int a = 0; a < 2; a++) {
      b->result[a].estimate = &b->estimate[2 * a];
      b->result[a].q05 = &b->q[6 * a], b->result[a].median = &b->q[6 * a + 2], b->result[a].q95 = &b->q[6 * a + 4];
    }
    b->t.holm = true;
    b->t.power_n = (int)g[0];
    b->t.power_trials = trials;
    for (int i = 0; i < n; i++) {
      value[4 * i] = value[4 * i + 1] = 0;
      value[4 * i + 2] = z[i % grid] / sqrt(square) + g[1];
      value[4 * i + 3] = z[i / grid];
    }
    assert_int_equal(dpi_trial_tally_create(&b->t, &b->tally), DP_OK);
    assert_int_equal(dpi_trial_tally_add(b->tally, value, n), DP_OK);
    assert_int_equal(dpi_trial_tally_finish(b->tally, &b->out), DP_OK);
    const double found = b->difference[0].power;
    near_to("power by Holm", row, found, g[2], 5 * sqrt(g[2] * (1 - g[2]) / trials) + 0.004);
    end(b);
  }
}

/* ---- strata ---- */

/* People of two arms in strata, a row a person: stratum, arm, value. */
static bench *stratified(const double *row, int n, int nstratum, bool share, unsigned short *allotted) {
  double *value = calloc(2 * (size_t)n, sizeof *value);
  bench *b = begin(DP_TRIAL_PARALLEL, 2, n, share);
  b->t.nstratum = nstratum;
  b->t.allotted = allotted;
  for (int i = 0; i < n; i++) {
    const int arm = (int)row[3 * i + 1];
    allotted[i] = (unsigned short)((int)row[3 * i] << 4 | arm);
    value[2 * i + arm] = row[3 * i + 2];
    value[2 * i + 1 - arm] = NAN;
  }
  add(b, value);
  free(value);
  return b;
}

static void means_in_strata(void **state) {
  (void)state;
  unsigned short allotted[DPI_COUNT(people_strata)];
  bench *b = stratified(people_strata[0], DPI_COUNT(people_strata), 3, false, allotted);
  const dp_trial_difference *d = &b->difference[0];
  assert_string_equal(d->test, "stratified t");
  assert_int_equal(d->estimate.n, DPI_COUNT(people_strata));
  is("strata", 0, &d->estimate, of_strata, 1);
  near_to("strata, p", 0, d->p, of_strata[3], 1e-10);
  near_to("strata, sd", 0, d->estimate.sd, of_strata[4], 1e-10);
  end(b);
  /* nobody to compare anybody with: arm 1 in the first stratum, arm 0 in the second */
  const double apart[] = {0, 1, 5, 0, 1, 6, 1, 0, 2, 1, 0, 3};
  b = stratified(apart, 4, 2, false, allotted);
  assert_string_equal(b->difference[0].test, "none: no stratum has both arms");
  assert_true(isnan(b->difference[0].p) && isnan(b->difference[0].estimate.value));
  end(b);
}

static void shares_in_strata(void **state) {
  (void)state;
  static double row[3 * 400];
  static unsigned short allotted[400];
  for (int r = 0; r < DPI_COUNT(of_strata_shares); r++) {
    const double *g = of_strata_shares[r];
    int n = 0;
    for (int s = 0; s < 3; s++)
      for (int second = 0; second < 2; second++)
        for (int i = 0; i < g[4 * s + 2 * second + 1]; i++, n++) {
          row[3 * n] = s;
          row[3 * n + 1] = !second;
          row[3 * n + 2] = i < g[4 * s + 2 * second];
        }
    bench *b = stratified(row, n, 3, true, allotted);
    const dp_trial_difference *d = &b->difference[0];
    near_to("shares in strata", r, d->estimate.value, 100 * g[12], 1e-9);
    near_to("shares in strata, low", r, d->estimate.low, 100 * g[13], 1e-6);
    near_to("shares in strata, high", r, d->estimate.high, 100 * g[14], 1e-6);
    near_to("shares in strata, p", r, d->p, g[16], 1e-9);
    assert_string_equal(d->test, g[15] ? "exact Cochran-Mantel-Haenszel" : "Cochran-Mantel-Haenszel");
    end(b);
  }
}

/* Trials of nothing in strata that differ much: how often is p < 0.05, and how often does the interval miss 0? Within
 * five standard errors of 5 % for means (Student's t is exact); shares: what a score test of 60 people may be off is
 * 1 %. */
static void nothing_in_strata(void **state) {
  (void)state;
  enum { trials = 2000, n = 60 };
  static double row[3 * n];
  static unsigned short allotted[n];
  for (int share = 0; share < 2; share++) {
    int found = 0, missed = 0;
    for (int k = 0; k < trials; k++) {
      dpi_rng rng = dpi_rng_make(5, (uint64_t)k, (uint32_t)share);
      for (int i = 0; i < n; i++) {
        const int s = i / 20;
        row[3 * i] = s;
        row[3 * i + 1] = i % 2;
        row[3 * i + 2] = share ? dpi_rng_uniform(&rng) < 0.3 + 0.2 * s : 10 * s + dpi_rng_normal(&rng);
      }
      bench *b = stratified(row, n, 3, share, allotted);
      found += b->difference[0].p < 0.05;
      missed += b->difference[0].estimate.low > 0 || b->difference[0].estimate.high < 0;
      end(b);
    }
    const double room = 5 * sqrt(0.05 * 0.95 / trials) + (share ? 0.01 : 0);
    print_message("%s in strata, trials of nothing: p < 0.05 in %.1f %%, the interval misses in %.1f %%\n",
                  share ? "shares" : "means", 100.0 * found / trials, 100.0 * missed / trials);
    near_to("found", share, (double)found / trials, 0.05, room);
    near_to("missed", share, (double)missed / trials, 0.05, room);
  }
}

/* Two people of each arm in each of 15 strata: the bootstrap within them misses as often as it should, where drawing as
 * many as there are would miss in 17 %: 5 % within five standard errors of 1,000 trials and 2 %, which percentiles of
 * 60 people may be off. One person of a stratum in an arm: Student's t. */
static void bootstrap_in_strata(void **state) {
  (void)state;
  enum { trials = 1000, n = 60 };
  static double value[2 * n];
  static unsigned short allotted[n];
  int missed = 0;
  for (int k = 0; k <= trials; k++) {
    dpi_rng rng = dpi_rng_make(11, (uint64_t)k, 3);
    bench *b = begin(DP_TRIAL_PARALLEL, 2, n, false);
    b->t.nstratum = k < trials ? 15 : 30;
    b->t.allotted = allotted;
    b->t.bootstrap = true;
    b->t.nbootstrap = 500;
    for (int i = 0; i < n; i++) {
      const int arm = i % 2;
      allotted[i] = (unsigned short)(i / 2 % b->t.nstratum << 4 | arm);
      value[2 * i + arm] = dpi_rng_normal(&rng);
      value[2 * i + 1 - arm] = NAN;
    }
    add(b, value);
    const dp_trial_estimate *e = &b->difference[0].estimate;
    assert_string_equal(e->method, k < trials ? "stratified bootstrap" : "stratified t");
    if (k < trials) missed += e->low > 0 || e->high < 0;
    end(b);
  }
  print_message("bootstrap in 15 strata of 4: the interval misses in %.1f %%\n", 100.0 * missed / trials);
  near_to("missed", 0, (double)missed / trials, 0.05, 5 * sqrt(0.05 * 0.95 / trials) + 0.02);
}

/* Power draws an arm's people from their stratum. Where nobody of a stratum was simulated in an arm there is nobody to
 * draw: those trials would be of fewer people than asked for, so there is no power, and it is said why. A stratum that
 * nobody is in is none. */
static void power_in_strata(void **state) {
  (void)state;
  static const char empty[] = "none: a stratum has nobody in one of the arms";
  static double value[2 * 60];
  static unsigned short allotted[60];
  for (int how = 0; how < 2; how++) { /* the last person: in a stratum of their own, or with others */
    bench *b = begin(DP_TRIAL_PARALLEL, 2, 60, false);
    b->t.nstratum = 4;
    b->t.allotted = allotted;
    b->t.power_n = 30;
    b->t.power_trials = 200;
    for (int i = 0; i < 60; i++) {
      const int arm = i % 2, stratum = i == 59 && !how ? 3 : i / 2 % 2;
      allotted[i] = (unsigned short)(stratum << 4 | arm);
      value[2 * i + arm] = i * 7 % 11 + arm;
      value[2 * i + 1 - arm] = NAN;
    }
    add(b, value);
    const dp_trial_difference *d = &b->difference[0];
    assert_true(isfinite(d->p) && isfinite(d->power) == how);
    assert_true((strcmp(d->power_method, empty) == 0) == !how);
    end(b);
  }
}

/* ---- looks at the data ---- */

/* Boundaries against those found on a grid by the trapezoidal rule, and against print: Jennison & Turnbull 2000,
 * tables 2.1 and 2.3 (C_P, C_B), and the program of Reboussin, DeMets, Kim & Lan (2000) for five looks. */
static void boundaries(void **state) {
  (void)state;
  double critical[DPI_TRIAL_LOOKS], share[DPI_TRIAL_LOOKS];
  for (int row = 0; row < DPI_COUNT(of_boundaries); row++) {
    const double *g = of_boundaries[row];
    const int n = (int)g[1];
    dpi_trial_boundaries((dpi_boundary)g[0], g + 3, n, g[2], critical);
    for (int k = 0; k < n; k++) near_to("boundary", 10 * row + k, critical[k], g[8 + k], 2e-5);
  }
  static const struct {
    dpi_boundary kind;
    int n;
    double alpha, last;
  } printed[] = {{DPI_BOUNDARY_POCOCK, 2, 0.05, 2.178},  {DPI_BOUNDARY_POCOCK, 5, 0.05, 2.413},
                 {DPI_BOUNDARY_POCOCK, 10, 0.05, 2.555}, {DPI_BOUNDARY_POCOCK, 5, 0.01, 2.986},
                 {DPI_BOUNDARY_POCOCK, 5, 0.1, 2.122},   {DPI_BOUNDARY_OBF, 2, 0.05, 1.977},
                 {DPI_BOUNDARY_OBF, 5, 0.05, 2.040},     {DPI_BOUNDARY_OBF, 10, 0.05, 2.087},
                 {DPI_BOUNDARY_OBF, 4, 0.01, 2.609},     {DPI_BOUNDARY_OBF, 5, 0.01, 2.621},
                 {DPI_BOUNDARY_OBF, 5, 0.1, 1.751}};
  for (int i = 0; i < DPI_COUNT(printed); i++) {
    for (int k = 0; k < printed[i].n; k++) share[k] = (k + 1.0) / printed[i].n;
    dpi_trial_boundaries(printed[i].kind, share, printed[i].n, printed[i].alpha, critical);
    if (!(fabs(critical[printed[i].n - 1] - printed[i].last) < 5.5e-4))
      fail_msg("printed %d: %.6f, expected %.3f", i, critical[printed[i].n - 1], printed[i].last);
  }
  static const double spent[] = {4.8769, 3.3569, 2.6803, 2.2898, 2.0310};
  for (int k = 0; k < 5; k++) share[k] = (k + 1) / 5.0;
  dpi_trial_boundaries(DPI_BOUNDARY_LD_OBF, share, 5, 0.05, critical);
  for (int k = 0; k < 5; k++) assert_true(fabs(critical[k] - spent[k]) < 1.5e-4);
  share[0] = 1; /* one look is no look */
  for (int kind = 0; kind < 4; kind++) {
    dpi_trial_boundaries((dpi_boundary)kind, share, 1, 0.05, critical);
    assert_true(fabs(critical[0] - dpi_norm_quantile(0.975)) < 1e-9);
  }
}

static void looked_at(bench *b, dpi_boundary kind, const double *share, int n) {
  b->t.nlook = b->out.nlook = n;
  memcpy(b->t.look, share, sizeof *share * (size_t)n);
  dpi_trial_boundaries(kind, share, n, 1 - b->t.confidence, b->t.critical);
}

/* Trials of nothing, by means of 100 people an arm: each boundary keeps its level (five standard errors of 6,000
 * trials; what t and z differ by in the first look is within 0.003). */
static void nothing_at_looks(void **state) {
  (void)state;
  enum { trials = 6000, n = 200 };
  static double value[2 * n];
  static const double share[] = {0.2, 0.4, 0.6, 0.8, 1};
  for (int kind = 0; kind < 4; kind++) {
    int found = 0, last = 0;
    bench *b = begin(DP_TRIAL_PARALLEL, 2, n, false);
    looked_at(b, (dpi_boundary)kind, share, 5);
    for (int k = 0; k < trials; k++) {
      dpi_rng rng = dpi_rng_make(77, (uint64_t)k, (uint32_t)kind);
      for (int i = 0; i < n; i++) {
        const int arm = dpi_trial_assigned(&b->t, i);
        value[2 * i + arm] = dpi_rng_normal(&rng);
        value[2 * i + 1 - arm] = NAN;
      }
      dpi_trial_tally_destroy(b->tally);
      add(b, value);
      found += b->difference[0].crossed > 0;
      last += b->difference[0].p < 0.05;
      assert_true(b->difference[0].seen[4].p == b->difference[0].p); /* the last look sees all */
    }
    print_message("boundary %d, trials of nothing: crossed in %.2f %%; at the end alone %.2f %%\n", kind,
                  100.0 * found / trials, 100.0 * last / trials);
    near_to("level", kind, (double)found / trials, 0.05, 5 * sqrt(0.05 * 0.95 / trials) + 0.003);
    end(b);
  }
}

/* Power and the people it takes, against the same on a grid, z for t (100 people an arm). */
static void power_at_looks(void **state) {
  (void)state;
  enum { n = 4000, trials = 4000, size = 100 };
  static double apart[4 * n], sample[2][n];
  for (int row = 0; row < DPI_COUNT(of_boundaries); row++) {
    const double *g = of_boundaries[row], *const samples[] = {sample[0], sample[1]}, effect = 2.8 / sqrt(size / 2.0);
    const int sizes[] = {n, n};
    bench *b = begin(DP_TRIAL_PARALLEL, 2, 2 * n, false);
    b->t.confidence = 1 - g[2];
    b->t.power_n = size;
    b->t.power_trials = trials;
    looked_at(b, (dpi_boundary)g[0], g + 3, (int)g[1]);
    for (int i = 0; i < n; i++) {
      sample[0][i] = dpi_norm_quantile((i + 0.5) / n);
      sample[1][i] = sample[0][i] + effect;
    }
    deal(b, samples, sizes, apart);
    add(b, apart);
    const dp_trial_difference *d = &b->difference[0];
    near_to("power at looks", row, d->power, g[13], 5 * sqrt(g[13] * (1 - g[13]) / trials) + 0.01);
    near_to("people at looks", row, d->power_people / (2 * size), g[14], 5 * 0.3 / sqrt(trials) + 0.005);
    end(b);
  }
}

static void bootstrap(void **state) {
  (void)state;
  bench *b = begin(DP_TRIAL_PAIRED, 1, DPI_COUNT(sample_skew), false);
  b->t.bootstrap = true;
  add(b, sample_skew);
  assert_string_equal(b->estimate[0].method, "bootstrap");
  near_to("bootstrap, low", 0, b->estimate[0].low, of_skew[0], 5 * of_skew[2] / fmax(1, of_skew[0]));
  near_to("bootstrap, high", 0, b->estimate[0].high, of_skew[1], 5 * of_skew[3] / fmax(1, of_skew[1]));
  end(b);
}

/* Permuted blocks of three arms by two: each has both places of every arm, and all 90 orders are as likely: chi-squared
 * over 18,000 blocks, beyond which chance comes once in a million (89 degrees of freedom: 165.8). */
static void blocks(void **state) {
  (void)state;
  enum { nblock = 18000 };
  static int count[729];
  bench *b = begin(DP_TRIAL_PARALLEL, 3, 6, false);
  b->t.block = 2;
  memset(count, 0, sizeof count);
  for (int k = 0; k < nblock; k++) {
    int code = 0, in[3] = {0};
    for (int i = 0; i < 6; i++) {
      const int arm = dpi_trial_assigned(&b->t, 6 * k + i);
      code = 3 * code + arm;
      in[arm]++;
    }
    assert_true(in[0] == 2 && in[1] == 2 && in[2] == 2);
    count[code]++;
  }
  int orders = 0;
  double chi = 0;
  for (int i = 0; i < 729; i++) {
    orders += count[i] > 0;
    if (count[i]) chi += (count[i] - nblock / 90.0) * (count[i] - nblock / 90.0) / (nblock / 90.0);
  }
  assert_int_equal(orders, 90);
  if (!(chi < 165.8)) print_message("chi-squared %g\n", chi);
  assert_true(chi < 165.8);
  end(b);
}

/* ---- honesty: many trials ---- */

/* What arm `a` gives a person whose own number is u: a mean, or yes with that chance; periods add to it. */
typedef struct world {
  const char *name;
  dp_trial_design design;
  int narm, n;
  bool share;
  double effect[3], period; /* of each arm; of each later period */
  double drop;              /* share of people of the first sequence or arm whose number is missing */
  int exact;                /* row of of_sizes, from 1; 0: means */
} world;

static void people_of(const world *v, const bench *b, double *value) {
  for (int i = 0; i < v->n; i++) {
    dpi_rng rng = dpi_rng_make(b->t.desc.seed, (uint64_t)i, 0x5eed);
    const double own = v->design == DP_TRIAL_PARALLEL ? 0 : dpi_rng_normal(&rng);
    const int group = v->design == DP_TRIAL_PAIRED ? 0 : dpi_trial_assigned(&b->t, i);
    for (int a = 0; a < v->narm; a++) {
      const int place = v->design == DP_TRIAL_CROSSOVER ? (a - group + v->narm) % v->narm : 0;
      const double x = v->effect[a] + v->period * place, u = dpi_rng_uniform(&rng), z = dpi_norm_quantile(u);
      const bool lost = dpi_rng_uniform(&rng) < (group == 0 ? v->drop : 0);
      value[i * v->narm + a] = v->share ? u < x : x + 2 * own + z;
      if (lost || (v->design == DP_TRIAL_PARALLEL && group != a)) value[i * v->narm + a] = NAN;
    }
  }
}

/* Of `trials`: how many there were with an interval, how often it missed the truth, that of the first arm did, and p
 * found something. */
typedef struct score {
  int n, missed, missed_arm, found;
} score;

static bool misses(const dp_trial_estimate *e, double truth) { return !(e->low <= truth && truth <= e->high); }

static score try_world(const world *v, int trials) {
  double value[3 * 64];
  const double scale = v->share ? 100 : 1;
  score s = {0};
  for (int seed = 1; seed <= trials; seed++) {
    bench *b = begin(v->design, v->narm, v->n, v->share);
    b->t.desc.seed = (uint64_t)seed;
    people_of(v, b, value);
    add(b, value);
    const dp_trial_difference *d = &b->difference[0];
    if (isfinite(d->estimate.low)) {
      s.n++;
      s.missed += misses(&d->estimate, scale * (v->effect[1] - v->effect[0]));
      s.missed_arm += misses(&b->estimate[0], scale * v->effect[0]);
      s.found += d->p < 0.05;
    }
    end(b);
  }
  return s;
}

/* Is a count of n what chance p does, but for 1e-6 on either side? */
static bool is_chance(int k, int n, double p) {
  const double above = k > 0 ? dpi_beta_cdf(p, k, n - k + 1.0) : 1; /* P(X >= k) */
  const double below = k < n ? 1 - dpi_beta_cdf(p, k + 1.0, n - k) : 1;
  return above > 1e-6 && below > 1e-6;
}

/* Of 2,000 trials (seeds 1 to 2,000) counts must lie within what chance does, but for a probability of 1e-6 on either
 * side of a binomial law: 1e-4 for all of these at once. Means: one in twenty. Shares, of which there are few on few
 * people: what enumeration of everything that can happen gives (tools/trial_figures.py); with losses, where the number
 * of people is chance too, no more than one in twenty. */
static void honest(void **state) {
  (void)state;
  enum { trials = 2000 };
  static const double one_in_twenty[] = {0.05, 0.05, 0.05};
  static const world worlds[] = {
      {"parallel means", DP_TRIAL_PARALLEL, 2, 24, .effect = {0, 0}},
      {"parallel means apart", DP_TRIAL_PARALLEL, 2, 24, .effect = {1, 3}},
      {"parallel means, losses", DP_TRIAL_PARALLEL, 2, 40, .effect = {1, 1}, .drop = 0.5},
      {"paired means", DP_TRIAL_PAIRED, 2, 12, .effect = {0, 0}},
      {"paired means apart", DP_TRIAL_PAIRED, 2, 12, .effect = {2, 1}},
      {"cross-over", DP_TRIAL_CROSSOVER, 2, 12, .effect = {0, 0}},
      {"cross-over, periods", DP_TRIAL_CROSSOVER, 2, 12, .effect = {0, 0}, .period = 5},
      {"cross-over, periods and losses", DP_TRIAL_CROSSOVER, 2, 20, .effect = {0, 0}, .period = 5, .drop = 0.5},
      {"cross-over of three, periods and losses", DP_TRIAL_CROSSOVER, 3, 24, .effect = {1, 1}, .period = 3,
       .drop = 0.4},
      {"parallel shares", DP_TRIAL_PARALLEL, 2, 60, .share = true, .effect = {0.3, 0.3}, .exact = 1},
      {"parallel shares apart", DP_TRIAL_PARALLEL, 2, 60, .share = true, .effect = {0.2, 0.6}, .exact = 2},
      {"rare", DP_TRIAL_PARALLEL, 2, 40, .share = true, .effect = {0.05, 0.05}, .exact = 3},
      {"paired shares", DP_TRIAL_PAIRED, 2, 40, .share = true, .effect = {0.4, 0.4}, .exact = 4},
      {"paired shares apart", DP_TRIAL_PAIRED, 2, 40, .share = true, .effect = {0.3, 0.6}, .exact = 5},
      {"cross-over of shares, periods", DP_TRIAL_CROSSOVER, 2, 40, .share = true, .effect = {0.3, 0.3}, .period = 0.4,
       .exact = 6},
      {"the same with losses", DP_TRIAL_CROSSOVER, 2, 60, .share = true, .effect = {0.3, 0.3}, .period = 0.4,
       .drop = .5},
  };
  for (int k = 0; k < DPI_COUNT(worlds); k++) {
    const world *v = &worlds[k];
    const score f = try_world(v, trials);
    const bool own = !v->period, null = v->effect[0] == v->effect[1];
    print_message("%-40s %d trials: beside the truth %.4f, of an arm %.4f, p < 0.05 %.4f\n", v->name, f.n,
                  f.missed / (double)f.n, f.missed_arm / (double)f.n, f.found / (double)f.n);
    if (f.n < trials * 9 / 10) fail_msg("%s: %d trials have an interval", v->name, f.n);
    const double *exact = v->exact ? of_sizes[v->exact - 1] : one_in_twenty;
    const bool some = v->share && !v->exact; /* looked at from above alone */
    if (!is_chance(f.missed, f.n, exact[0]) && !(some && f.missed < 0.05 * f.n))
      fail_msg("%s: the interval misses in %d", v->name, f.missed);
    if (own && !is_chance(f.missed_arm, f.n, exact[1]))
      fail_msg("%s: the interval of an arm misses in %d", v->name, f.missed_arm);
    if ((null || v->exact) && !is_chance(f.found, f.n, exact[2]) && !(some && f.found < 0.05 * f.n))
      fail_msg("%s: p < 0.05 in %d", v->name, f.found);
  }
}

static int open_context(void **state) {
  (void)state;
  dp_ctx_def def = dp_ctx_def_default();
  return dp_ctx_create(&def, &ctx) == DP_OK ? 0 : 1;
}

static int close_context(void **state) {
  (void)state;
  const bool leak = dpi_alloc_live(ctx) != 0;
  dp_ctx_destroy(ctx);
  return leak;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(means),
                                     cmocka_unit_test(shares),
                                     cmocka_unit_test(changes),
                                     cmocka_unit_test(tables),
                                     cmocka_unit_test(crossover),
                                     cmocka_unit_test(crossover_shares),
                                     cmocka_unit_test(holm),
                                     cmocka_unit_test(crossover_without),
                                     cmocka_unit_test(few),
                                     cmocka_unit_test(power),
                                     cmocka_unit_test(bootstrap),
                                     cmocka_unit_test(blocks),
                                     cmocka_unit_test(honest),
                                     cmocka_unit_test(power_by_holm),
                                     cmocka_unit_test(means_in_strata),
                                     cmocka_unit_test(shares_in_strata),
                                     cmocka_unit_test(power_in_strata),
                                     cmocka_unit_test(bootstrap_in_strata),
                                     cmocka_unit_test(nothing_in_strata),
                                     cmocka_unit_test(boundaries),
                                     cmocka_unit_test(nothing_at_looks),
                                     cmocka_unit_test(power_at_looks)};
  return cmocka_run_group_tests(tests, open_context, close_context);
}
