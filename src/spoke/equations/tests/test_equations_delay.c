/* Delay differential equations against the method of steps and other closed forms; jumps that come back; lags that
 * vary, vanish or turn negative. */
#include "eq_text.h"

static const char *const methods[] = {"rk853", "cvode", "auto"};

/* ---- x' = -x(t - 1), x = 1 before: polynomials from 1 to 1 ---- */

static double steps_solution(double t) {
  double x = 1, fact = 1;
  for (int k = 1; t >= k - 1; k++) {
    fact *= k;
    x += (k % 2 ? -1 : 1) * pow(t - (k - 1), k) / fact;
  }
  return x;
}

static void test_steps(void **state) {
  (void)state;
  for (int k = 0; k < DPI_COUNT(methods); k++) {
    text_run r = {.method = methods[k], .out = {"x", "delay_x"}};
    text_times(&r, 10, 40);
    text_go(&r, "model m\n x = 1; x' = -delay(x, 1); delay_x := delay(x, 2.5)\nend\n");
    text_good(&r, methods[k]);
    for (int i = 0; i <= 40; i++) {
      const double t = r.t[i];
      bed_near(r.value[i][0], steps_solution(t), 1e-8, 1e-8, methods[k], t);
      bed_near(r.value[i][1], t < 2.5 ? 1 : steps_solution(t - 2.5), 1e-8, 1e-8, methods[k], t);
    }
    assert_int_equal(r.caps & (DP_CAP_JVP | DP_CAP_SAVE), 0);
  }
}

/* The same to the accuracy asked for, and the same bytes whatever else is put out. */
static void test_outputs_change_nothing(void **state) {
  (void)state;
  const char *text = "model m\n x = 1; x' = -delay(x, 1)*x + piecewise(0.3, sin(3*time) > 0.5, 0)\n"
                     " at (x < 0.4): x = x + 0.5;\nend\n";
  text_run few = {.out = {"x"}}, many = few;
  text_times(&few, 8, 4);
  text_times(&many, 8, 396);
  text_go(&few, text);
  text_go(&many, text);
  text_good(&few, "few");
  text_good(&many, "many");
  for (int i = 0; i <= 4; i++) assert_true(few.value[i][0] == many.value[99 * i][0]);
}

/* ---- jumps of states, seen through delays ---- */

static void test_jumps_come_back(void **state) {
  (void)state;
  const char *text = "model m\n x = 1; x' = 0; y := delay(x, 2); z = 0; z' = y; n = 0\n"
                     " at (time >= 3): x = 5;\n at (y > 3): n = time;\nend\n";
  for (int k = 0; k < DPI_COUNT(methods); k++) {
    text_run r = {.method = methods[k], .out = {"y", "z", "n"}, .t = {0, 3, 4.999999999, 5, 6}, .nt = 5};
    text_go(&r, text);
    text_good(&r, methods[k]);
    static const double y[5] = {1, 1, 1, 5, 5}, z[5] = {0, 3, 4.999999999, 5, 10};
    for (int i = 0; i < 5; i++) {
      bed_near(r.value[i][0], y[i], 1e-12, 0, methods[k], r.t[i]);
      bed_near(r.value[i][1], z[i], 1e-9, 1e-12, methods[k], r.t[i]);
      bed_near(r.value[i][2], i < 3 ? 0 : 5, 1e-14, 0, methods[k], r.t[i]); /* at exactly 5 */
    }
  }
}

/* A dose, and a parameter that an event changes: the past keeps the old one. */
static void test_dose_and_parameter(void **state) {
  (void)state;
  dp_model *m = text_model("model m\n x = 0; x' = 0; k = 2; y := delay(k*x, 1.5)\n at (time >= 4): k = 10;\nend\n");
  text_run r = {.out = {"y"}, .t = {0, 2, 3.4, 3.5, 5.4, 5.5, 7}, .nt = 7};
  const dp_instant in[1] = {bed_at(2, DP_ADD, 0, 3)};
  text_go_model(&r, m, in, 1);
  text_good(&r, "dose");
  static const double y[7] = {0, 0, 0, 6, 6, 30, 30};
  for (int i = 0; i < 7; i++) bed_near(r.value[i][0], y[i], 1e-12, 1e-14, "delayed", r.t[i]);
  dp_model_destroy(m);
}

static void test_nested(void **state) {
  (void)state;
  text_run r = {.out = {"y", "z", "w"}};
  text_times(&r, 6, 12);
  text_go(
      &r,
      "model m\n x = 1; x' = 1; y := delay(x, 1); z := delay(y, 1.5); w := delay(delay(x^2, 0.5) + time, 1)\nend\n");
  text_good(&r, "nested");
  for (int i = 0; i <= 12; i++) {
    const double t = r.t[i];
    bed_near(r.value[i][0], t < 1 ? 1 : t, 1e-9, 0, "once", t);
    bed_near(r.value[i][1], t < 2.5 ? 1 : t - 1.5, 1e-9, 0, "twice", t);
    bed_near(r.value[i][2], (t < 1.5 ? 1 : (t - 0.5) * (t - 0.5)) + t - 1, 1e-9, 1e-9, "within", t);
  }
}

/* ---- lags that are no constants ---- */

/* x' = -x(t/2): sum of (-1)^n 2^(-n(n-1)/2) t^n/n!; the lag vanishes at the start. w = e^t by a lag of its own. */
static void test_varying(void **state) {
  (void)state;
  for (int k = 0; k < DPI_COUNT(methods); k++) {
    text_run r = {.method = methods[k], .out = {"x", "w"}};
    text_times(&r, 6, 12);
    text_go(&r, "model m\n x = 1; x' = -delay(x, time/2); w = 1; w' = delay(w, ln(w)/2)*sqrt(w)\nend\n");
    text_good(&r, methods[k]);
    for (int i = 0; i <= 12; i++) {
      double want = 0, term = 1;
      for (int n = 0; n < 50; n++) {
        want += (n % 2 ? -1 : 1) * term * exp2(-0.5 * n * (n - 1));
        term *= r.t[i] / (n + 1);
      }
      bed_near(r.value[i][0], want, 1e-8, 1e-8, methods[k], r.t[i]);
      bed_near(r.value[i][1], exp(r.t[i]), 2e-8, 0, methods[k], r.t[i]);
    }
  }
}

/* No lag at all is the present. */
static void test_zero(void **state) {
  (void)state;
  text_run r = {.out = {"x", "y"}};
  text_times(&r, 3, 6);
  text_go(&r, "model m\n k = 0; x = 1; x' = -delay(x, k); y := delay(2*x, k)\nend\n");
  text_good(&r, "zero");
  for (int i = 0; i <= 6; i++) {
    bed_near(r.value[i][0], exp(-r.t[i]), 1e-9, 0, "zero", r.t[i]);
    bed_near(r.value[i][1], 2 * r.value[i][0], 1e-14, 0, "zero", r.t[i]);
  }
}

static void test_negative(void **state) {
  (void)state;
  text_run r = {.out = {"x"}};
  text_times(&r, 3, 6);
  text_go(&r, "model m\n x = 1; x' = -delay(x, 1 - time)\nend\n");
  assert_int_equal(r.status, DP_MEMBER_FAILED);
  if (!strstr(r.reason, "delay(x") && !strstr(r.reason, "delay of")) fail_msg("%s", r.reason);
  assert_true(r.fail_time > 0.99 && r.fail_time < 1.1);
  bed_near(r.value[1][0], 0.5, 1e-9, 0, "rows before", 0.5);
}

/* ---- functionals, pieces, copies ---- */

static void test_functionals(void **state) {
  (void)state;
  text_run r = {.out = {"y"}, .nf = 3};
  r.f[0] = (dp_functional){DP_MAXIMUM, 0, 0, bed_ticks(6), 0, 0};
  r.f[1] = (dp_functional){DP_INTEGRAL, 0, 0, bed_ticks(6), 0, 0};
  r.f[2] = (dp_functional){DP_FIRST_ABOVE, 0, 0, bed_ticks(6), 0.5, 0};
  text_times(&r, 6, 1);
  text_go(&r, "model m\n x = 0; v = 1; x' = v; v' = -x; y := delay(x, 2)\nend\n");
  text_good(&r, "functionals");
  bed_near(r.functional[0], 1, 1e-8, 0, "maximum of sin(t - 2)", 0);
  bed_near(r.functional[1], 1 - cos(4), 1e-8, 0, "integral", 1);
  bed_near(r.functional[2], 2 + asin(0.5), 1e-8, 0, "first passage", 2);
}

static dp_status sink(void *user, const dp_member_result *block, int nblock) {
  text_run *r = user;
  for (int b = 0; b < nblock; b++)
    for (int i = 0; i < block[b].nout; i++) r->value[block[b].out_first + i][0] = block[b].value[i];
  return DP_OK;
}

/* In pieces, through bytes and as a fork (all by replay), with an edit on the way. */
static void test_pieces(void **state) {
  (void)state;
  dp_model *m = text_model("model m\n x = 1; x' = -delay(x, 1)\nend\n");
  text_run r = {.out = {"x"}}, whole = r, other = r;
  text_times(&r, 5, 20);
  whole = other = r;
  text_go_model(&whole, m, NULL, 0);
  dp_sim *sim = text_sim(&r, m);
  dp_output_time out[BED_MAX];
  for (int i = 0; i < r.nt; i++) out[i] = (dp_output_time){bed_ticks(r.t[i]), 0};
  const dp_member member = {.out = out, .nout = r.nt};
  dp_run *run = NULL, *copy = NULL;
  void *bytes = NULL;
  size_t size = 0;
  dp_run_opts opts = dp_run_opts_default();
  BED_OK(dp_run_open(sim, &member, 1, &opts, &run));
  BED_OK(dp_run_advance(run, bed_ticks(0.7)));
  BED_OK(dp_run_advance(run, bed_ticks(2.3)));
  BED_OK(dp_run_save(run, &bytes, &size));
  BED_OK(dp_run_load(sim, &member, 1, &opts, bytes, size, &copy));
  dp_run_bytes_free(sim, bytes);
  BED_OK(dp_run_advance(run, bed_ticks(5)));
  BED_OK(dp_run_advance(copy, bed_ticks(5)));
  BED_OK(dp_run_emit(run, sink, &r));
  BED_OK(dp_run_emit(copy, sink, &other));
  for (int i = 0; i < r.nt; i++) {
    bed_near(r.value[i][0], whole.value[i][0], 1e-8, 1e-9, "pieces", r.t[i]);
    assert_true(r.value[i][0] == other.value[i][0]);
  }
  dp_run_close(run);
  dp_run_close(copy);
  /* set to 0 at 0.5: from then on x = -integral of what was before */
  double x = 0;
  BED_OK(dp_run_open(sim, &member, 1, &opts, &run));
  BED_OK(dp_run_advance(run, bed_ticks(0.5)));
  BED_OK(dp_run_state_set(run, 0, &x));
  BED_OK(dp_run_advance(run, bed_ticks(5)));
  BED_OK(dp_run_emit(run, sink, &r));
  for (int i = 3; i <= 10; i++) { /* t 0.75 to 2.5 */
    const double t = r.t[i];
    double want = -(fmin(t, 1) - 0.5);
    if (t > 1) want -= (fmin(t, 1.5) - 1) - 0.5 * pow(fmin(t, 1.5) - 1, 2); /* x = 1 - s until 0.5 */
    if (t > 1.5) want += 0.5 * pow(fmin(t, 2) - 1.5, 2);                    /* x = -(s - 0.5) until 1 */
    if (t > 2) continue;
    bed_near(r.value[i][0], want, 1e-8, 1e-9, "edited", t);
  }
  dp_run_close(run);
  dp_sim_destroy(sim);
  dp_model_destroy(m);
}

static void test_refused(void **state) {
  (void)state;
  text_run r = {.out = {"x"}, .active = "k"};
  text_times(&r, 1, 1);
  text_go(&r, "model m\n k = 1; x = 1; x' = -k*delay(x, 1)\nend\n");
  assert_int_equal(r.created, DP_ERR_UNSUPPORTED);
  text_run l = {.out = {"x"}, .method = "linear"};
  text_times(&l, 1, 1);
  text_go(&l, "model m\n x = 1; x' = -delay(x, 1)\nend\n");
  assert_int_equal(l.created, DP_ERR_UNSUPPORTED);
  assert_non_null(strstr(l.error, "delay"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_steps),    cmocka_unit_test(test_outputs_change_nothing),
      cmocka_unit_test(test_jumps_come_back), cmocka_unit_test(test_dose_and_parameter),
      cmocka_unit_test(test_nested),   cmocka_unit_test(test_varying),
      cmocka_unit_test(test_zero),     cmocka_unit_test(test_negative),
      cmocka_unit_test(test_functionals), cmocka_unit_test(test_pieces),
      cmocka_unit_test(test_refused),
  };
  return cmocka_run_group_tests(tests, bed_setup, bed_teardown);
}
