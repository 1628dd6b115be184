/* Closed forms: bolus, oral, infusion, multiple doses, steady states, lag, bioavailability, modelled rate and duration,
 * reset and covariate switch in one and two compartments, against formulas written here (Gibaldi & Perrier 1982). */
#include "eq_bed.h"

static const char *const methods[] = {"linear", "rk853", "cvode", "auto"};
static const double CL = 4, V = 70, KA = 1.1, Q = 9, V2 = 40;

/* ---- formulas ---- */

/* One- and two-compartment disposition as sums of exponentials: amount in central after a unit bolus. */
typedef struct disposition {
  int n;
  double a[2], k[2];
} disposition;

static disposition disp(bool two, double cl, double v) {
  if (!two) return (disposition){1, {1, 0}, {cl / v, 0}};
  const double k10 = cl / v, k12 = Q / v, k21 = Q / V2, s = k10 + k12 + k21, r = sqrt(s * s - 4 * k10 * k21);
  const double al = (s + r) / 2, be = (s - r) / 2;
  return (disposition){2, {(al - k21) / (al - be), (k21 - be) / (al - be)}, {al, be}};
}

static double bolus(disposition d, double t) {
  double x = 0;
  for (int i = 0; t >= 0 && i < d.n; i++) x += d.a[i] * exp(-d.k[i] * t);
  return x;
}

static double oral(disposition d, double ka, double t) {
  double x = 0;
  for (int i = 0; t >= 0 && i < d.n; i++) x += d.a[i] * ka / (ka - d.k[i]) * (exp(-d.k[i] * t) - exp(-ka * t));
  return x;
}

/* Unit rate for duration T. */
static double infusion(disposition d, double T, double t) {
  double x = 0;
  for (int i = 0; t >= 0 && i < d.n; i++)
    x += d.a[i] / d.k[i] * (t < T ? -expm1(-d.k[i] * t) : -expm1(-d.k[i] * T) * exp(-d.k[i] * (t - T)));
  return x;
}

/* Unit rate into the depot for duration T, first-order from there (superposition of two exponentials). */
static double oral_infusion(disposition d, double ka, double T, double t) {
  double x = 0;
  for (int i = 0; t >= 0 && i < d.n; i++) {
    const disposition slow = {1, {1, 0}, {d.k[i], 0}}, fast = {1, {1, 0}, {ka, 0}};
    x += d.a[i] * ka / (ka - d.k[i]) * (infusion(slow, T, t) - infusion(fast, T, t));
  }
  return x;
}

/* ---- running one scenario by all methods in both models ---- */

typedef double (*truth_fn)(disposition d, double t);
static void each(const char *what, const dp_instant *in, int nin, truth_fn truth, const double *times, int nt) {
  for (int two = 0; two < 2; two++) {
    dp_model *m = two ? bed_model(bed_two, bed_two_param, NULL) : bed_model(bed_one, bed_one_param, NULL);
    for (int k = 0; k < DPI_COUNT(methods); k++) {
      static bed_run r;
      char label[400];
      dp_sim *sim = bed_sim(m, methods[k], 1e-10);
      bed_defaults(sim, &r);
      memcpy(r.in, in, sizeof *in * nin);
      for (int i = 0; i < nin; i++)
        if (in[i].type == DP_SWITCH) r.in[i].target = dp_sim_param(sim, "CL");
      r.nin = nin;
      for (int i = 0; i < nt; i++) bed_out(&r, times[i], 1);
      bed_go(sim, &r);
      snprintf(label, sizeof label, "%s, %s, %s: %s", what, two ? "two" : "one", methods[k], r.reason);
      if (r.status != DP_MEMBER_OK) fail_msg("%s", label);
      for (int i = 0; i < nt; i++) {
        const double want = truth(disp(two, CL, V), times[i]) / V;
        bed_near(r.value[3 * i], want, 1e-8, 1e-13, label, times[i]);
      }
      dp_sim_destroy(sim);
    }
    dp_model_destroy(m);
  }
}
#define EACH(what, in, truth, times) each(what, in, DPI_COUNT(in), truth, times, DPI_COUNT(times))
static const double usual[] = {0.1, 0.5, 0.75, 1, 1.5, 2, 3.25, 4, 6, 8, 12, 24, 36, 48.5, 72};

static double t_bolus(disposition d, double t) { return 320 * bolus(d, t); }
static double t_oral(disposition d, double t) { return 320 * oral(d, KA, t); }
static double t_infusion(disposition d, double t) { return 40 * infusion(d, 3, t); }
static double t_lag(disposition d, double t) { return 0.6 * 320 * oral(d, KA, t - 0.75); }
static double t_rate(disposition d, double t) { return 37 * infusion(d, 0.6 * 320 / 37, t - 0.75); }
static double t_given_rate(disposition d, double t) { return 50 * infusion(d, 0.6 * 320 / 50, t - 0.75); }
static double t_duration(disposition d, double t) { return 0.6 * 320 / 2.5 * infusion(d, 2.5, t - 0.75); }
static double t_depot_duration(disposition d, double t) {
  return 0.6 * 320 / 2.5 * oral_infusion(d, KA, 2.5, t - 0.75);
}
static double t_repeat(disposition d, double t) {
  double x = 0;
  for (int k = 0; k <= 5; k++) x += 320 * oral(d, KA, t - 8.0 * k);
  return x;
}

static void test_single_doses(void **state) {
  (void)state;
  dp_instant in[1] = {bed_at(0, DP_ADD, C_IV, 320)};
  EACH("bolus", in, t_bolus, usual);
  in[0].target = C_ORAL;
  EACH("oral", in, t_oral, usual);
  in[0] = bed_at(0, DP_INFUSE, C_IV, 120);
  in[0].rate = 40;
  EACH("infusion", in, t_infusion, usual);
  in[0] = bed_at(0, DP_ADD, C_ALL, 320);
  EACH("lag and F", in, t_lag, usual);
}

static void test_modelled_rate_and_duration(void **state) {
  (void)state;
  dp_instant in[1] = {bed_at(0, DP_INFUSE, C_IV_ALL, 320)};
  in[0].rate = 50;
  EACH("rate, F, lag", in, t_given_rate, usual);
  in[0].rate = DP_RATE_MODEL;
  EACH("modelled rate", in, t_rate, usual);
  in[0].rate = DP_DURATION_MODEL;
  EACH("modelled duration", in, t_duration, usual);
  in[0].target = C_ALL;
  EACH("modelled duration into depot", in, t_depot_duration, usual);
}

static void test_repeats(void **state) {
  (void)state;
  dp_instant in[1] = {bed_at(0, DP_ADD, C_ORAL, 320)};
  in[0].interval = bed_ticks(8);
  in[0].repeats = 5;
  EACH("every 8 h", in, t_repeat, usual);
}

/* ---- steady states: sums over 4000 earlier doses ---- */

static double t_ss_bolus(disposition d, double t) {
  double x = 0;
  for (int k = 0; k < 4000; k++) x += 320 * bolus(d, t + 12.0 * k);
  return x;
}
static double t_ss_oral_lag(disposition d, double t) {
  double x = 0;
  for (int k = 0; k < 4000; k++) x += 0.6 * 320 * oral(d, KA, t + 12.0 * k - 0.75);
  return x;
}
static double t_ss_short(disposition d, double t) {
  double x = 0;
  for (int k = 0; k < 4000; k++) x += 40 * infusion(d, 3, t + 12.0 * k);
  return x;
}
static double t_ss_long(disposition d, double t) { /* 30 h every 12 h: two or three always run */
  double x = 0;
  for (int k = 0; k < 4000; k++) x += 4 * infusion(d, 30, t + 12.0 * k);
  return x;
}
static double t_ss_constant(disposition d, double t) {
  double x = 0;
  for (int i = 0; i < d.n; i++) x += 15 * d.a[i] / d.k[i] * exp(-d.k[i] * t);
  return x;
}
static double t_ss_next(disposition d, double t) { /* the steady state goes on with two repeats */
  double x = t_ss_bolus(d, t);
  for (int k = 1; k <= 2; k++) x += 320 * bolus(d, t - 12.0 * k);
  return x;
}
static double t_ss_bolus_lag(disposition d, double t) {
  double x = 0;
  for (int k = 0; k < 4000; k++) x += 320 * 0.6 * bolus(d, t + 4.0 * k - 0.75);
  return x;
}
static double t_ss_after_dose(disposition d, double t) { return t_ss_bolus(d, t - 5); }
static double t_ss_added(disposition d, double t) { return 200 * bolus(d, t) + (t >= 5 ? t_ss_bolus(d, t - 5) : 0); }

static void test_steady(void **state) {
  (void)state;
  dp_instant in[1] = {bed_at(0, DP_ADD, C_IV, 320)};
  in[0].interval = bed_ticks(12);
  in[0].steady = 1;
  EACH("steady bolus", in, t_ss_bolus, usual);
  in[0].repeats = 2;
  EACH("steady bolus with repeats", in, t_ss_next, usual);
  in[0].repeats = 0;
  in[0].target = C_ALL;
  EACH("steady oral with lag", in, t_ss_oral_lag, usual);
  in[0] = bed_at(0, DP_ADD, C_IV_ALL, 320);
  in[0].interval = bed_ticks(4);
  in[0].steady = 1;
  EACH("steady bolus with lag", in, t_ss_bolus_lag, usual);
}

static void test_steady_infusions(void **state) {
  (void)state;
  dp_instant in[1] = {bed_at(0, DP_INFUSE, C_IV, 120)};
  in[0].rate = 40;
  in[0].interval = bed_ticks(12);
  in[0].steady = 1;
  EACH("steady infusion", in, t_ss_short, usual);
  in[0].rate = 4;
  EACH("steady infusion longer than its interval", in, t_ss_long, usual);
  in[0] = bed_at(0, DP_INFUSE, C_IV, 0);
  in[0].rate = 15;
  in[0].steady = 1;
  EACH("constant infusion that ends", in, t_ss_constant, usual);
}

static void test_steady_replaces_and_adds(void **state) {
  (void)state;
  static const double times[] = {5, 6, 9, 13, 16.5, 30};
  dp_instant in[2] = {bed_at(0, DP_ADD, C_IV, 200), bed_at(5, DP_ADD, C_IV, 320)};
  in[1].interval = bed_ticks(12);
  in[1].steady = 1;
  EACH("steady state forgets", in, t_ss_after_dose, times);
  in[0].repeats = 5; /* ordered before the steady state: cancelled by it */
  in[0].interval = in[1].interval;
  EACH("steady state cancels earlier repeats", in, t_ss_after_dose, times);
  in[0].repeats = 0;
  in[0].interval = 0;
  in[1].steady = 2;
  EACH("steady state is added", in, t_ss_added, times);
}

/* Lag longer than the interval, by a parameter set that says so. */
static void test_steady_lag_beyond_interval(void **state) {
  (void)state;
  dp_model *m = bed_model(bed_one, bed_one_param, NULL);
  for (int k = 0; k < DPI_COUNT(methods); k++) {
    static bed_run r;
    dp_sim *sim = bed_sim(m, methods[k], 1e-10);
    bed_defaults(sim, &r);
    bed_param_set(sim, &r, "L", 17);
    r.in[0] = bed_at(0, DP_ADD, C_IV_ALL, 320);
    r.in[0].interval = bed_ticks(8);
    r.in[0].steady = 1;
    r.nin = 1;
    for (int i = 0; i < 14; i++) bed_out(&r, 0.25 + 2.0 * i, 1);
    bed_go(sim, &r);
    for (int i = 0; i < 14; i++) {
      double want = 0;
      const double t = 0.25 + 2.0 * i;
      for (int d = 0; d < 4000; d++) want += 0.6 * 320 / V * bolus(disp(false, CL, V), t - 17 + 8.0 * d);
      bed_near(r.value[3 * i], want, 1e-8, 0, methods[k], t);
    }
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

/* ---- other instants ---- */

static double t_reset(disposition d, double t) { return t < 10 ? t_depot_duration(d, t) : 100 * bolus(d, t - 10); }

static void test_reset(void **state) {
  (void)state;
  static const double times[] = {1, 2, 5, 9.5, 10, 10.5, 11, 12, 20, 40};
  /* a long infusion and a dose in its lag are lost at 10 */
  dp_instant in[4] = {bed_at(0, DP_INFUSE, C_ALL, 320), bed_at(9.5, DP_ADD, C_ALL, 77), bed_at(10, DP_RESET, 0, 0),
                      bed_at(10, DP_ADD, C_IV, 100)};
  in[0].rate = DP_DURATION_MODEL;
  EACH("reset", in, t_reset, times);
}

/* Clearance changes at 6: exact solution restarted from the state there (one compartment only). */
static void test_switch(void **state) {
  (void)state;
  dp_model *m = bed_model(bed_one, bed_one_param, NULL);
  for (int k = 0; k < DPI_COUNT(methods); k++) {
    static bed_run r;
    dp_sim *sim = bed_sim(m, methods[k], 1e-10);
    bed_defaults(sim, &r);
    r.in[0] = bed_at(0, DP_ADD, C_ORAL, 320);
    r.in[1] = bed_at(6, DP_SWITCH, dp_sim_param(sim, "CL"), 9);
    r.in[2] = bed_at(8, DP_SWITCH, dp_sim_param(sim, "CL"), 9);
    r.nin = 3;
    for (int i = 0; i < 30; i++) bed_out(&r, 0.5 * i, 1);
    bed_go(sim, &r);
    for (int i = 0; i < 30; i++) {
      const double t = 0.5 * i;
      double want = 320 * oral(disp(false, CL, V), KA, t);
      if (t > 6)
        want = 320 * oral(disp(false, CL, V), KA, 6) * exp(-9 / V * (t - 6)) +
               320 * exp(-KA * 6) * oral(disp(false, 9, V), KA, t - 6);
      bed_near(r.value[3 * i], want / V, 1e-8, 1e-13, methods[k], t);
    }
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

static double t_set_scale(disposition d, double t) {
  (void)d;
  return t < 3 ? 50 * exp(-CL / V * t) : (t < 7 ? 30 * exp(-CL / V * (t - 3)) : 7.5 * exp(-CL / V * (t - 3)));
}

static void test_set_and_scale(void **state) {
  (void)state;
  dp_model *m = bed_model(bed_one, bed_one_param, NULL);
  for (int k = 0; k < DPI_COUNT(methods); k++) {
    static bed_run r;
    dp_sim *sim = bed_sim(m, methods[k], 1e-10);
    const int central = dp_sim_state(sim, "central");
    bed_defaults(sim, &r);
    r.in[0] = bed_at(0, DP_SET, central, 50);
    r.in[1] = bed_at(3, DP_SET, central, 30);
    r.in[2] = bed_at(7, DP_SCALE, central, 0.25);
    r.nin = 3;
    for (int i = 0; i < 20; i++) bed_out(&r, 0.5 * i, 1);
    bed_go(sim, &r);
    for (int i = 0; i < 20; i++)
      bed_near(r.value[3 * i + 1], t_set_scale((disposition){0}, 0.5 * i), 1e-8, 0, methods[k], 0.5 * i);
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

/* Equal times: `order` decides, instants first; a lagged dose that arrives at an output's time acts before it. */
static void test_order(void **state) {
  (void)state;
  dp_model *m = bed_model(bed_one, bed_one_param, NULL);
  static bed_run r;
  dp_sim *sim = bed_sim(m, "linear", 1e-10);
  bed_defaults(sim, &r);
  bed_param_set(sim, &r, "F", 1);
  bed_param_set(sim, &r, "L", 2);
  r.in[0] = bed_at(0, DP_ADD, C_IV, 100);
  r.in[0].order = 1;
  r.in[1] = bed_at(0, DP_ADD, C_IV, 10);
  r.in[1].order = 3;
  r.in[2] = bed_at(0, DP_ADD, C_IV_ALL, 1000);
  r.in[2].order = 4;
  r.nin = 3;
  bed_out(&r, 0, 0);
  bed_out(&r, 0, 1);
  bed_out(&r, 0, 2);
  bed_out(&r, 0, 3);
  bed_out(&r, 2, 0);
  bed_go(sim, &r);
  const double want[5] = {0, 100, 100, 110, 110 * exp(-CL / V * 2) + 1000};
  for (int i = 0; i < 5; i++) bed_near(r.value[3 * i + 1], want[i], 1e-12, 0, "order", i);
  dp_sim_destroy(sim);
  dp_model_destroy(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_single_doses),
      cmocka_unit_test(test_modelled_rate_and_duration),
      cmocka_unit_test(test_repeats),
      cmocka_unit_test(test_steady),
      cmocka_unit_test(test_steady_infusions),
      cmocka_unit_test(test_steady_replaces_and_adds),
      cmocka_unit_test(test_steady_lag_beyond_interval),
      cmocka_unit_test(test_reset),
      cmocka_unit_test(test_switch),
      cmocka_unit_test(test_set_and_scale),
      cmocka_unit_test(test_order),
  };
  return cmocka_run_group_tests(tests, bed_setup, bed_teardown);
}
