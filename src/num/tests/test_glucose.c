/* Compared with: the published formulas in Python alone, a Philox of its own among them (tools/check_glucose.py); hand-
 * made series where the answer is plain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/tests/own_context.h"
#include "doppel/glucose.h"
#include "num/num.h"

enum { NMOST = 15 * 288 };
static double times[NMOST], values[NMOST];

static void near(double x, double want, double tolerance) {
  if (!(fabs(x - want) <= tolerance * (1 + fabs(want)))) fail_msg("found %.15g, expected %.15g", x, want);
}

/* As check_glucose.py has it. */
static dp_glucose_series make_series(void) {
  dp_glucose_series s = {.id = "", .time = times, .value = values};
  uint64_t x = 1;
  for (int k = 0; k < NMOST; k++) {
    x = (1103515245 * x + 12345) % (UINT64_C(1) << 31);
    if (k % 10 == 3 || (k >= 1000 && k < 1012)) continue;
    s.time[s.n] = 5 * k;
    s.value[s.n++] = 40 + (double)((x >> 16) % 300);
  }
  return s;
}

static void metrics_by_formula(void **state) {
  (void)state;
  dp_glucose_series s = make_series();
  dp_glucose_metrics m = dp_glucose_measure(&s);
  assert_int_equal(m.n, 3877);
  near(m.mean, 189.057260768636, 1e-13);
  near(m.sd, 87.2443180027446, 1e-13);
  near(m.cv, 46.1470337865058, 1e-13);
  near(m.gmi, 7.83224967758576, 1e-13);
  near(m.tir, 36.5746711374774, 1e-13);
  near(m.tbr70, 10.1624967758576, 1e-13);
  near(m.tbr54, 4.69435130255352, 1e-13);
  near(m.tar180, 53.262832086665, 1e-13);
  near(m.tar250, 29.4041784885221, 1e-13);
  near(m.lbgi, 2.33285412148971, 1e-12);
  near(m.hbgi, 13.8864077441925, 1e-12);
  near(m.gri, 93.34021150374, 1e-13);
  assert_true(m.interval == 5);
  near(m.share, 3877.0 / 4320, 1e-15);
  near(m.days, 15, 1e-15);
  assert_true(m.sufficient);
  assert_int_equal(m.ngap, 432); /* one a reading left out; 12 in a row are one gap */
  assert_true(m.longest_gap == 65);
}

/* 70 and 180 belong to the range, 54 is not below 54, 250 not above 250. */
static void bounds_belong(void **state) {
  (void)state;
  double t[] = {0, 5, 10, 15, 20, 25, 30, 35}, g[] = {53.9, 54, 69.9, 70, 180, 180.1, 250, 250.1};
  dp_glucose_series s = {.id = "", .n = 8, .time = t, .value = g};
  dp_glucose_metrics m = dp_glucose_measure(&s);
  assert_true(m.tir == 25 && m.tbr70 == 37.5 && m.tbr54 == 12.5 && m.tar180 == 37.5 && m.tar250 == 12.5);
  near(m.gri, 3.0 * 12.5 + 2.4 * 25 + 1.6 * 12.5 + 0.8 * 25, 1e-15);
  assert_false(m.sufficient);
}

static void few_readings(void **state) {
  (void)state;
  double t[] = {3, 4}, g[] = {100, 110};
  dp_glucose_series s = {.id = "", .n = 0, .time = t, .value = g};
  dp_glucose_metrics m = dp_glucose_measure(&s);
  assert_true(isnan(m.mean) && isnan(m.tir) && isnan(m.gri) && isnan(m.share) && !m.sufficient);
  s.n = 1;
  m = dp_glucose_measure(&s);
  assert_true(m.mean == 100 && isnan(m.sd) && isnan(m.cv) && m.tir == 100 && !m.sufficient);
  s.n = 2;
  m = dp_glucose_measure(&s);
  assert_true(m.interval == 1 && m.share == 1 && m.ngap == 0);
  near(m.sd, sqrt(50), 1e-15);
}

/* 14 days and 70 % are enough, less of either is not. */
static void enough_is_enough(void **state) {
  (void)state;
  static double t[14 * 96], g[14 * 96];
  dp_glucose_series s = {.id = "", .time = t, .value = g};
  for (int k = 0; k < 14 * 96; k++) t[k] = 15 * k, g[k] = 100;
  s.n = 14 * 96;
  assert_true(dp_glucose_measure(&s).sufficient);
  s.n--;
  assert_false(dp_glucose_measure(&s).sufficient);
  int most = 14 * 96 * 3 / 10; /* so many may be missing */
  for (int lost = most; lost <= most + 1; lost++) {
    s.n = 0;
    for (int k = 0; k < 14 * 96; k++)
      if (k < 5 || k >= 5 + lost) t[s.n++] = 15 * k;
    assert_true(dp_glucose_measure(&s).sufficient == (lost == most));
  }
}

static void profile_by_clock(void **state) {
  (void)state;
  static const struct {
    int slot;
    double q[DP_GLUCOSE_NLEVEL];
  } want[] = {{0, {46.4, 91, 149, 242, 313.6}},
              {1, {66.8, 147.5, 219, 267, 305.2}},
              {50, {68.4, 163, 230, 281, 324.4}},
              {95, {84.2, 180, 218, 267, 319}}};
  dp_glucose_series s = make_series();
  dp_glucose_profile *p = NULL;
  assert_int_equal(dp_glucose_profile_make(ctx, &s, 15, &p), DP_OK);
  assert_int_equal(p->nslot, 96);
  assert_int_equal(p->nfilled, 431);
  assert_true(p->sufficient);
  for (int k = 0; k < DPI_COUNT(want); k++) {
    assert_int_equal(p->count[want[k].slot], 45);
    for (int l = 0; l < DP_GLUCOSE_NLEVEL; l++) near(p->q[want[k].slot * DP_GLUCOSE_NLEVEL + l], want[k].q[l], 1e-13);
  }
  dp_glucose_profile_free(ctx, p);
  assert_int_equal(dp_glucose_profile_make(ctx, &s, 7, &p), DP_ERR_USAGE); /* 1440/7 is no whole number */
  assert_null(p);
}

/* A gap of 45 min is filled, one of 50 min is not; slots without readings are NaN. */
static void gaps_of_45_min(void **state) {
  (void)state;
  double t[] = {0, 5, 50, 55, 105, 110}, g[] = {100, 100, 190, 100, 100, 100};
  dp_glucose_series s = {.id = "", .n = 6, .time = t, .value = g};
  dp_glucose_profile *p = NULL;
  assert_int_equal(dp_glucose_profile_make(ctx, &s, 5, &p), DP_OK);
  assert_int_equal(p->nfilled, 8);
  near(p->q[5 * DP_GLUCOSE_NLEVEL + 2], 140, 1e-14); /* 25 min: 20/45 of the way from 100 to 190 */
  assert_int_equal(p->count[12], 0);
  assert_true(isnan(p->q[12 * DP_GLUCOSE_NLEVEL]));
  dp_glucose_profile_free(ctx, p);
}

static void errors_of_a_sensor(void **state) {
  (void)state;
  static const double t[] = {0, 3, 5, 15, 22.5, 100, 333},
                      want[] = {2.59506793646, 7.44253368579,  10.1231478397, 16.9138624614,
                                12.6686717251, -11.9971275721, 13.2710336984};
  double e[7], back[] = {5, 4};
  dp_sensor_model m = dp_sensor_model_default();
  assert_int_equal(dp_sensor_errors(ctx, &m, 7, 11, t, 7, e), DP_OK);
  for (int k = 0; k < 7; k++) near(e[k], want[k], 1e-10);
  for (int k = 0; k < 7; k++) { /* each alone: the same bytes */
    double one;
    assert_int_equal(dp_sensor_errors(ctx, &m, 7, 11, &t[k], 1, &one), DP_OK);
    assert_true(one == e[k]);
  }
  assert_int_equal(dp_sensor_errors(ctx, &m, 7, 11, back, 2, e), DP_ERR_USAGE);
  assert_true(dp_sensor_show(&m, 100, -80) == 39 && dp_sensor_show(&m, 590, 20) == 600 &&
              dp_sensor_show(&m, 100, 3) == 103);
}

/* The stationary law: e has variance 0.49/0.51, its median error xi - lambda sinh(gamma/delta) is met by half of the
 * points. 4000 points 150 min apart are independent (0.7^10 = 0.03): 4.5 standard errors of a share, 7e-6 false alarms.
 * */
static void errors_have_their_law(void **state) {
  (void)state;
  static double t[4000], e[4000];
  dp_sensor_model m = dp_sensor_model_default();
  double median = m.xi + m.lambda * sinh(-m.gamma / m.delta), sd = 0.7 / sqrt(0.51);
  double upper = m.xi + m.lambda * sinh((sd - m.gamma) / m.delta);
  int below = 0, between = 0;
  for (int k = 0; k < 4000; k++) t[k] = 150 * (k + 1);
  assert_int_equal(dp_sensor_errors(ctx, &m, 1, 1, t, 4000, e), DP_OK);
  for (int k = 0; k < 4000; k++) below += e[k] < median, between += e[k] < upper;
  near(below / 4000.0, 0.5, 4.5 * 0.5 / sqrt(4000));
  near(between / 4000.0, 0.8413447, 4.5 * 0.3653 / sqrt(4000));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(metrics_by_formula, setup, teardown),
      cmocka_unit_test_setup_teardown(bounds_belong, setup, teardown),
      cmocka_unit_test_setup_teardown(few_readings, setup, teardown),
      cmocka_unit_test_setup_teardown(enough_is_enough, setup, teardown),
      cmocka_unit_test_setup_teardown(profile_by_clock, setup, teardown),
      cmocka_unit_test_setup_teardown(gaps_of_45_min, setup, teardown),
      cmocka_unit_test_setup_teardown(errors_of_a_sensor, setup, teardown),
      cmocka_unit_test_setup_teardown(errors_have_their_law, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
