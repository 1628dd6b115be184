/* The model's own events against closed forms of exponential decay, and their derivatives (jumps of S at times that
 * depend on parameters) against closed forms and Richardson differences. */
#include "eq_bed.h"

static const char *const methods[] = {"linear", "rk853", "cvode"};
static const bed_state decay[] = {{"depot", "D", "0"}, {"central", "F*100", "-CL/V*central"}, {0}};
static const double K = 4.0 / 70, LN2 = 0.69314718055994530942;

typedef void (*judge_fn)(const dp_sim *sim, const char *method);

static void each(const bed_event *e, judge_fn judge) {
  dp_model *m = bed_model(decay, bed_one_param, e);
  for (int k = 0; k < DPI_COUNT(methods); k++) {
    dp_sim *sim = bed_sim(m, methods[k], 1e-10);
    judge(sim, methods[k]);
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

static void start(const dp_sim *sim, bed_run *r, double until, int nout) {
  bed_defaults(sim, r);
  bed_param_set(sim, r, "F", 1);
  for (int i = 0; i <= nout; i++) bed_out(r, until * i / nout, 0);
}

/* ---- at a time ---- */

static void judge_time(const dp_sim *sim, const char *method) {
  static bed_run r;
  start(sim, &r, 10, 10);
  bed_go(sim, &r);
  for (int i = 0; i <= 10; i++) { /* the event at exactly 5 acts before the output there */
    const double want = 100 * exp(-K * i) + (i >= 5 ? 30 * exp(-K * (i - 5)) : 0);
    bed_near(r.value[3 * i + 1], want, 1e-8, 0, method, i);
  }
}

static void test_time(void **state) {
  (void)state;
  static const bed_event e[] = {{"time >= 5", NULL, NULL, true, true, true, "central", "central + 30"}, {0}};
  each(e, judge_time);
}

static void judge_after(const dp_sim *sim, const char *method) {
  static bed_run r;
  start(sim, &r, 10, 10);
  bed_go(sim, &r);
  for (int i = 0; i <= 10; i++)
    bed_near(r.value[3 * i + 1], 100 * exp(-K * i) + (i > 5 ? 30 * exp(-K * (i - 5)) : 0), 1e-8, 0, method, i);
}

static void test_strictly_after(void **state) {
  (void)state;
  static const bed_event e[] = {{"time > 5", NULL, NULL, true, true, true, "central", "central + 30"}, {0}};
  each(e, judge_after);
}

/* ---- at a level: refilled whenever half is gone; x = 100 2^n exp(-K t), so dx/dCL = -t/V x, dx/dV = t CL/V^2
 * x ---- */

static void judge_refill(const dp_sim *sim, const char *method) {
  static bed_run r;
  start(sim, &r, 60, 47);
  r.ndir = 2;
  r.seed[0] = 1;     /* CL */
  r.seed[2 + 1] = 1; /* V */
  r.f[0] = (dp_functional){DP_MINIMUM, 1, 0, bed_ticks(60), 0, 0};
  r.f[1] = (dp_functional){DP_MAXIMUM, 1, bed_ticks(1), bed_ticks(60), 0, 0};
  r.nf = 2;
  bed_go(sim, &r);
  if (r.status != DP_MEMBER_OK) fail_msg("%s: %s", method, r.reason);
  for (int i = 0; i <= 47; i++) {
    const double t = 60.0 * i / 47, x = 100 * exp2(floor(t * K / LN2)) * exp(-K * t);
    bed_near(r.value[3 * i + 1], x, 1e-8, 0, method, t);
    bed_near(r.dvalue[2 * (3 * i + 1)], -t / 70 * x, 1e-7, 1e-9, method, t);
    bed_near(r.dvalue[2 * (3 * i + 1) + 1], t * 4 / 4900 * x, 1e-7, 1e-9, method, t);
  }
  bed_near(r.functional[0], 50, 1e-8, 0, method, 0);
  bed_near(r.functional[1], 100, 1e-8, 0, method, 1);
}

static void test_refill(void **state) {
  (void)state;
  static const bed_event e[] = {{"central < 50", NULL, NULL, true, true, true, "central", "central*2"}, {0}};
  each(e, judge_refill);
}

/* ---- with delay, values from the trigger's or the execution's time, into a state and into a parameter ---- */

static void fill(const dp_sim *sim, bed_run *r, const double theta[3]) {
  static const char *const id[3] = {"CL", "V", "D"};
  start(sim, r, 60, 23);
  for (int k = 0; k < 3; k++) bed_param_set(sim, r, id[k], theta[k]);
  r->in[0] = bed_at(7.5, DP_ADD, C_IV, 5); /* a dose on the way */
  r->nin = 1;
}

static void judge_differences(const dp_sim *sim, const char *method) {
  static const double base[3] = {4, 70, 2.5};
  static const int active[3] = {0, 1, 5};
  static bed_run r, s[4];
  fill(sim, &r, base);
  r.ndir = 3;
  for (int q = 0; q < 3; q++) r.seed[active[q] * 3 + q] = 1;
  bed_go(sim, &r);
  if (r.status != DP_MEMBER_OK) fail_msg("%s: %s", method, r.reason);
  for (int q = 0; q < 3; q++) {
    const double h = 2e-3 * base[q];
    static const double step[4] = {1, -1, 0.5, -0.5};
    for (int k = 0; k < 4; k++) {
      double theta[3];
      memcpy(theta, base, sizeof base);
      theta[q] += h * step[k];
      fill(sim, &s[k], theta);
      bed_go(sim, &s[k]);
    }
    for (int i = 0; i < 3 * r.nout; i++) {
      const double wide = (s[0].value[i] - s[1].value[i]) / (2 * h), close = (s[2].value[i] - s[3].value[i]) / h;
      bed_near(r.dvalue[3 * i + q], (4 * close - wide) / 3, 2e-6, 2e-6, method, i);
    }
  }
}

static void test_derivatives(void **state) {
  (void)state;
  static const bed_event late[] = {{"central < 60", "D", NULL, true, true, false, "central", "central + 0.5*V"}, {0}};
  static const bed_event early[] = {{"central < 60", "D/2", NULL, true, true, true, "central", "2*central + time"},
                                    {0}};
  static const bed_event param[] = {{"central < 60", "D", NULL, true, true, false, "CL", "CL*central/20"}, {0}};
  static const bed_event chain[] = {{"central < 60", NULL, NULL, true, true, true, "depot", "depot + central"},
                                    {"depot > 20", "D", NULL, true, true, true, "central", "central + 0.2*depot"},
                                    {0}};
  each(late, judge_differences);
  each(early, judge_differences);
  each(param, judge_differences);
  each(chain, judge_differences);
}

/* ---- priority, persistence, start ---- */

static void judge_priority(const dp_sim *sim, const char *method) {
  static bed_run r;
  start(sim, &r, 10, 10);
  bed_go(sim, &r);
  bed_near(r.value[3 * 4 + 1], 100 * exp(-K), 1e-8, 0, method, 4); /* set to 1, then to 100 */
  for (int i = 6; i <= 10; i++)
    bed_near(r.value[3 * i + 2], 2.5, 1e-12, 0, method, i); /* taken back before it was due */
}

static void test_priority_and_persistence(void **state) {
  (void)state;
  static const bed_event e[] = {{"time >= 3", NULL, "1", true, true, true, "central", "100"},
                                {"time >= 3 ", NULL, "2", true, true, true, "central", "1"},
                                {"time >= 5 && time < 5.5", "1", NULL, true, false, true, "depot", "77"},
                                {0}};
  each(e, judge_priority);
}

static void judge_start(const dp_sim *sim, const char *method) {
  static bed_run r;
  start(sim, &r, 10, 10);
  bed_go(sim, &r);
  bed_near(r.value[1], 42, 1e-12, 0, method, 0);
  bed_near(r.value[2], 2.5, 1e-12, 0, method, 0); /* was true before the start: does not fire */
}

static void test_start(void **state) {
  (void)state;
  static const bed_event e[] = {{"time >= 0", NULL, NULL, false, true, true, "central", "42"},
                                {"time >= 0 ", NULL, NULL, true, true, true, "depot", "77"},
                                {0}};
  each(e, judge_start);
}

static void judge_storm(const dp_sim *sim, const char *method) {
  static bed_run r;
  start(sim, &r, 10, 10);
  bed_go(sim, &r);
  assert_int_equal(r.status, DP_MEMBER_FAILED);
  if (!strstr(r.reason, "without end")) fail_msg("%s: %s", method, r.reason);
  bed_near(r.fail_time, 4, 1e-9, 0, method, 4);
}

static void test_storm(void **state) {
  (void)state;
  static const bed_event e[] = {{"time >= 4 && depot < 10", NULL, NULL, true, true, true, "depot", "20"},
                                {"depot > 10", NULL, NULL, true, true, true, "depot", "5"},
                                {0}};
  each(e, judge_storm);
}

/* ---- triggers of time alone: known beforehand, exact ---- */

static void judge_clock(const dp_sim *sim, const char *method) {
  static bed_run r;
  static const struct {
    double t, before, at, after; /* depot a tick before t, at t, a tick after */
  } want[] = {{0.333333333, 0, 0, 4}, {0.5, 4, 5, 7},      {1, 7, 7, 15},
              {2, 15, 31, 63},        {4.5, 63, 191, 191}, {12.2, 255, 255, 255}};
  bed_defaults(sim, &r);
  bed_param_set(sim, &r, "D", 0);
  bed_param_set(sim, &r, "F", 1);
  for (int i = 0; i < DPI_COUNT(want); i++)
    for (int k = -1; k <= 1; k++) bed_out(&r, want[i].t + 1e-9 * k, 0);
  bed_go(sim, &r);
  if (r.status != DP_MEMBER_OK) fail_msg("%s: %s", method, r.reason);
  for (int i = 0; i < DPI_COUNT(want); i++) {
    const double v[] = {want[i].before, want[i].at, want[i].after};
    for (int k = 0; k < 3; k++)
      bed_near(r.value[3 * (3 * i + k) + 2], v[k], 0, 1e-6, method, want[i].t + 1e-9 * (k - 1));
  }
}

static void test_clock(void **state) {
  (void)state;
  static const bed_event e[] = {{"time >= 0.5", NULL, NULL, true, true, true, "depot", "depot + 1"},
                                {"time > 0.5", NULL, NULL, true, true, true, "depot", "depot + 2"},
                                {"3*time >= 1", NULL, NULL, true, true, true, "depot", "depot + 4"},
                                {"time + 1e6 > 1e6 + 1", NULL, NULL, true, true, true, "depot", "depot + 8"},
                                {"time >= 2", NULL, NULL, true, true, true, "depot", "depot + 16"},
                                {"time >= 2.000000001", NULL, NULL, true, true, true, "depot", "depot + 32"},
                                {"time >= 3 && central < 50", NULL, NULL, true, true, true, "depot", "depot + 64"},
                                {"2*(time - 4) >= 1", NULL, NULL, true, true, true, "depot", "depot + 128"},
                                {0}};
  dp_model *m = bed_model(decay, bed_one_param, e);
  static const char *const all[] = {"linear", "rk853", "cvode", "rodas", "tsit"};
  for (int k = 0; k < DPI_COUNT(all); k++) {
    dp_sim *sim = bed_sim(m, all[k], 1e-10);
    judge_clock(sim, all[k]);
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

/* Events that can't be executed at one time leave nothing to chance. */
static void test_ties(void **state) {
  (void)state;
  static const struct {
    const char *trigger[2], *delay[2];
    bool initial_value, drawn;
  } of[] = {{{"time >= 1", "time >= 2"}, {NULL, NULL}, true, false},
            {{"1 <= time", "time > 2"}, {NULL, NULL}, true, false},
            {{"time >= 1", "time > 1"}, {NULL, NULL}, true, true},
            {{"time >= 1", "time >= 2"}, {"1", NULL}, true, true},
            {{"time >= 1", "time >= 2"}, {"1", "1"}, true, false},
            {{"time >= 1", "time >= 2"}, {"L", NULL}, true, true},
            {{"time >= 1", "time >= 2"}, {NULL, NULL}, false, true}, /* both would fire at a later start */
            {{"time >= 1", "central < 50"}, {NULL, NULL}, true, true},
            {{"time >= 1", "time >= L"}, {NULL, NULL}, true, true}};
  for (int i = 0; i < DPI_COUNT(of); i++) {
    const bed_event e[] = {
        {of[i].trigger[0], of[i].delay[0], NULL, of[i].initial_value, true, true, "depot", "depot + 1"},
        {of[i].trigger[1], of[i].delay[1], NULL, of[i].initial_value, true, true, "depot", "2*depot"},
        {0}};
    dp_model *m = bed_model(decay, bed_one_param, e);
    dp_sim *sim = bed_sim(m, "rk853", 1e-8);
    if (((dp_sim_describe(sim)->caps & DP_CAP_STOCHASTIC) != 0) != of[i].drawn)
      fail_msg("%s and %s: expected %s", of[i].trigger[0], of[i].trigger[1], of[i].drawn ? "a tie" : "none");
    dp_sim_destroy(sim);
    dp_model_destroy(m);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_time),        cmocka_unit_test(test_strictly_after),
      cmocka_unit_test(test_refill),      cmocka_unit_test(test_derivatives),
      cmocka_unit_test(test_priority_and_persistence), cmocka_unit_test(test_start),
      cmocka_unit_test(test_storm),       cmocka_unit_test(test_clock),
      cmocka_unit_test(test_ties),
  };
  return cmocka_run_group_tests(tests, bed_setup, bed_teardown);
}
