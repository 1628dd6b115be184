/* Honest with gaps: sensor-glucose-like series (an Ornstein-Uhlenbeck course about a level that nobody knows, read
 * every
 * 5 minutes) with 5, 20 and 50 % of the readings missing, singly and in stretches. The 90 % band for a missing
 * value, from
 * all readings and from those before it, covers 0.88..0.92 of what was there. 2000 series for each share; a series
 * gives
 * one missing value, taken by chance, so that what is counted is independent: standard error 0.0067, six counts.
 * A true coverage of .90 leaves the bounds by chance in 0.3 % each, under 2 % in all; seeds are fixed. */
#include "linear_bed.h"

#define NSERIES 2000
#define NPOINT 48 /* 4 h */

static const double decay = 0.9, noise = 25, level_mean = 140, level_sd = 35, sensor_sd = 8;

typedef struct series {
  double truth[NPOINT], y[NPOINT];
  bool missing[NPOINT];
  int asked; /* the missing place that is looked at */
} series;

/* dx = -decay (x - level) dt + noise dW from its stationary law. */
static void make_series(series *s, uint64_t number, double share) {
  dpi_rng rng = dpi_rng_make(2024, number, 7);
  double level = level_mean + level_sd * dpi_rng_normal(&rng), sd = noise / sqrt(2 * decay);
  double keep = exp(-decay / 12), x = level + sd * dpi_rng_normal(&rng);
  /* half of them singly, the others in stretches of 1 to 7 */
  double stretched = 1 - (1 - share) / (1 - share / 2), begin = stretched / (1 - stretched) / 4;
  int nmissing = 0, left = 0;
  for (int k = 0; k < NPOINT; k++) {
    s->truth[k] = x;
    s->y[k] = x + sensor_sd * dpi_rng_normal(&rng);
    if (left == 0 && dpi_rng_uniform(&rng) < begin) left = 1 + (int)(7 * dpi_rng_uniform(&rng));
    s->missing[k] = left > 0 || dpi_rng_uniform(&rng) < share / 2;
    if (left > 0) left--;
    nmissing += s->missing[k];
    x = level + keep * (x - level) + sd * sqrt(1 - keep * keep) * dpi_rng_normal(&rng);
  }
  if (!nmissing) s->missing[(int)(NPOINT * dpi_rng_uniform(&rng))] = true, nmissing = 1;
  int which = (int)(nmissing * dpi_rng_uniform(&rng));
  for (int k = 0; k < NPOINT; k++)
    if (s->missing[k] && which-- == 0) s->asked = k;
}

static double band(double var) { return 1.6448536269514722 * sqrt(var); }

static void test_gaps(void **state) {
  (void)state;
  static const double share[] = {0.05, 0.2, 0.5};
  double a[4] = {-decay, decay, 0, 0}, b[2] = {0, 0}, q[4] = {noise * noise, 0, 0, 0}, c[2] = {1, 0};
  double v = noise * noise / (2 * decay), l2 = level_sd * level_sd;
  double m0[2] = {level_mean, level_mean}, p0[4] = {v + l2, l2, l2, l2};
  bed B, *w = &B;
  bed_open(w, 1);
  dpi_linear_def def = {.system = {.nstate = 2, .noutput = 1, .a = a, .b = b, .q = q, .c = c, .m0 = m0, .p0 = p0}};
  w->sensor[0] = (dpi_sensor){.id = "glucose", .scale = sensor_sd};
  w->sensor[1] = (dpi_sensor){.id = "nothing", .scale = 1e7}; /* so that the place appears among the times */
  for (int g = 0; g < 3; g++) {
    int in_all = 0, in_past = 0, nmissing = 0;
    for (int i = 0; i < NSERIES; i++) {
      series s = {.asked = 0};
      dpi_kalman *k;
      make_series(&s, (uint64_t)(g * NSERIES + i), share[g]);
      w->nreading = 0;
      for (int t = 0; t < NPOINT; t++) {
        dp_time time = (dp_time)t * (DP_TICKS / 12);
        w->reading[w->nreading++] =
            (dpi_reading){.time = time, .sensor = s.missing[t], .y = s.missing[t] ? NAN : s.y[t]};
        if (t == s.asked) w->reading[w->nreading - 1].y = 0;
        nmissing += s.missing[t];
      }
      OK(w, dpi_kalman_run(w->ctx, &def, &w->problem, NULL, w->reading, w->nreading, &k));
      int at = 0;
      while (k->time[at] != (dp_time)s.asked * (DP_TICKS / 12)) at++;
      const double *sm = k->smooth + 2 * at, *sc = k->smooth_cov + 4 * at, *am = k->ahead + 2 * at,
                   *ac = k->ahead_cov + 4 * at;
      in_all += fabs(*sm - s.truth[s.asked]) <= band(*sc);
      in_past += fabs(*am - s.truth[s.asked]) <= band(*ac);
      dpi_kalman_destroy(k);
    }
    double all = (double)in_all / NSERIES, past = (double)in_past / NSERIES;
    print_message("%2.0f %% asked for, %.1f %% missing: coverage %.4f (all readings), %.4f (those before)\n",
                  100 * share[g], 100.0 * nmissing / NSERIES / NPOINT, all, past);
    near("coverage, all readings", all, 0.90, 0.02);
    near("coverage, those before", past, 0.90, 0.02);
  }
  bed_close(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_gaps)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
