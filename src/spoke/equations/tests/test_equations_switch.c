/* Rates that jump, short pulses, and the finer rules of events: against closed forms, never by way of outputs. */
#include "eq_text.h"

static const char *const methods[] = {"rk853", "cvode", "auto"};

/* Run with `n` outputs and only the ends; the last row is compared: it must be the same bytes. */
static void both(text_run *r, const char *text, double until, int n) {
  text_run few = *r;
  text_times(r, until, n);
  text_times(&few, until, 1);
  text_go(r, text);
  text_go(&few, text);
  text_good(r, text);
  text_good(&few, text);
  for (int k = 0; k < text_outputs(r); k++)
    if (!(few.value[1][k] == r->value[n][k]))
      fail_msg("%s: output %d: %.17g with few outputs, %.17g with many", text, k, few.value[1][k], r->value[n][k]);
}

/* ---- rates ---- */

static void test_time_switches(void **state) {
  (void)state;
  for (int k = 0; k < DPI_COUNT(methods); k++) {
    text_run r = {.method = methods[k], .out = {"x", "y", "z", "w"}};
    both(&r, "model m\n x = 0; x' = piecewise(1, time > 2 && time < 2.001, 0)\n"
             " y = 0; y' = floor(time/3)\n z = 1; z' = piecewise(-z, floor(time) == 2*floor(time/2), 0)\n"
             " w = 0; w' = piecewise(1, sin(time) >= 0.999, 0)\nend\n", 10, 100);
    for (int i = 0; i <= 100; i++) {
      const double t = r.t[i], n = floor(t / 3), even = floor(t / 2) + fmin(fmod(t, 2), 1);
      bed_near(r.value[i][0], t < 2.0005 ? 0 : 1e-3, 1e-9, 1e-13, "pulse", t);
      bed_near(r.value[i][1], n * (t - 3 * n) + 3 * n * (n - 1) / 2, 1e-9, 1e-12, "floor", t);
      bed_near(r.value[i][2], exp(-even), 1e-8, 0, "on and off", t);
      const double half = acos(0.999), peak = 1.5707963267948966;
      const double want = 2 * half * ((t > peak + half) + (t > peak + 6.283185307179586 + half));
      if (fabs(t - peak) > half && fabs(t - peak - 6.283185307179586) > half)
        bed_near(r.value[i][3], want, 1e-6, 1e-9, "when the sine is high", t);
    }
  }
}

/* x rises at 1 below 2 and at 1/3 above; a thermostat with hysteresis kept by events. */
static void test_state_switches(void **state) {
  (void)state;
  for (int k = 0; k < DPI_COUNT(methods); k++) {
    text_run r = {.method = methods[k], .out = {"x", "y"}};
    both(&r, "model m\n x = 0; x' = piecewise(1, x < 2, 1/3)\n v = 1; v' = 0\n y = 0; y' = piecewise(1, v > 0, -2)\n"
             " at (y > 1): v = -1;\n at (y < 0.5): v = 1;\nend\n", 10, 80);
    for (int i = 0; i <= 80; i++) {
      const double t = r.t[i], s = fmod(t - 1, 0.75);
      bed_near(r.value[i][0], t < 2 ? t : 2 + (t - 2) / 3, 1e-9, 1e-12, methods[k], t);
      bed_near(r.value[i][1], t < 1 ? t : (s < 0.25 ? 1 - 2 * s : 0.5 + (s - 0.25)), 1e-7, 1e-8, methods[k], t);
    }
  }
}

/* The border attracts from both sides: it is followed, to the tolerance that a chattering solution has. */
static void test_chatter(void **state) {
  (void)state;
  text_run r = {.out = {"x"}, .rtol = 1e-6};
  text_times(&r, 2, 4);
  text_go(&r, "model m\n x = 1; x' = piecewise(-1, x > 0, 1)\nend\n");
  if (r.status == DP_MEMBER_OK) {
    for (int i = 2; i <= 4; i++) bed_near(r.value[i][0], 0, 0, 1e-5, "border", r.t[i]);
  } else {
    assert_true(r.fail_time > 0.99 && r.fail_time < 1.01);
    bed_near(r.value[1][0], 0.5, 1e-8, 0, "before", 0.5);
  }
}

/* d/dp of x(t) where the rate changes from 1 to 3 when x passes p: x = p + 3 (t - p), dx/dp = -2; and at time p: the
 * same. */
static void test_switch_derivatives(void **state) {
  (void)state;
  for (int k = 0; k < DPI_COUNT(methods); k++) {
    text_run r = {.method = methods[k], .out = {"x", "y"}, .active = "p"};
    text_times(&r, 4, 8);
    text_go(&r, "model m\n p = 1.7; x = 0; x' = piecewise(1, x < p, 3)\n y = 0; y' = piecewise(1, time < p, 3)\nend\n");
    text_good(&r, methods[k]);
    for (int i = 0; i <= 8; i++) {
      const double t = r.t[i], want = t < 1.7 ? t : 1.7 + 3 * (t - 1.7);
      for (int o = 0; o < 2; o++) {
        bed_near(r.value[i][o], want, 1e-9, 1e-12, methods[k], t);
        bed_near(r.dvalue[i][o], t < 1.7 ? 0 : -2, 1e-6, 1e-9, methods[k], t);
      }
    }
  }
}

/* ---- triggers that are hard to see ---- */

static void test_short_pulses(void **state) {
  (void)state;
  for (int k = 0; k < DPI_COUNT(methods); k++) {
    text_run r = {.method = methods[k], .rtol = 1e-8, .out = {"n", "q", "c"}};
    /* the peak passes the level by 1e-5: the pulse lasts 0.009; touched from below by a curve of events of its own */
    both(&r, "model m\n x = 0; v = 1; x' = v; v' = -x\n n = 0; q = 0; c = 0\n"
             " at (x > 0.99999): n = n + 1;\n at (v < -0.9999999): q = q + 1;\n"
             " at (time > 3 && time < 3.0000001): c = c + 1;\nend\n", 40, 7);
    bed_near(r.value[7][0], 7, 0, 0, methods[k], 40); /* at pi/2 + 2 pi k */
    bed_near(r.value[7][1], 6, 0, 0, "troughs of the other", 40);
    bed_near(r.value[7][2], 1, 0, 0, "a moment", 40);
  }
}

/* A trigger that swings much faster than any state: the steps say nothing about it. */
static void test_fast_trigger(void **state) {
  (void)state;
  for (int k = 0; k < DPI_COUNT(methods); k++) {
    text_run r = {.method = methods[k], .rtol = 1e-8, .out = {"n", "m"}};
    both(&r, "model m\n x = 0; x' = 0.1*x; n = 0; m = 0\n at (sin(6.283185307179586*time) > 0.99): n = n + 1;\n"
             " at (cos(2*time) < -0.9): m = m + 1;\nend\n", 100, 3);
    bed_near(r.value[3][0], 100, 0, 0, methods[k], 100);
    bed_near(r.value[3][1], 32, 0, 0, methods[k], 100); /* around pi/2 + k pi */
  }
}

static void test_booleans_and_numbers(void **state) {
  (void)state;
  text_run r = {.out = {"a", "b", "c", "d"}};
  both(&r, "model m\n x = 0; x' = 1; a = 0; b = 0; c = 0; d = 0\n"
           " at (piecewise(1, x > 2, 0) == 1): a = time;\n at (!(x <= 3) || time > 7): b = b + time;\n"
           " at (time == 4): c = time;\n at (floor(x) == 5): d = d + time;\nend\n", 10, 20);
  bed_near(r.value[20][0], 2, 1e-9, 0, "piecewise", 2);
  bed_near(r.value[20][1], 3, 1e-9, 0, "once", 3);
  bed_near(r.value[20][2], 4, 0, 0, "equality in time", 4);
  bed_near(r.value[20][3], 5, 1e-9, 0, "floor", 5);
}

/* A thousand events at exact times: no drift, none twice, none lost. */
static void test_many(void **state) {
  (void)state;
  text_run r = {.out = {"n", "last"}};
  both(&r, "model m\n n = 0; last = 0; x = 0; x' = 1\n at (time - last >= 0.01): last = time, n = n + 1;\nend\n",
       10.005, 3);
  bed_near(r.value[3][0], 1000, 0, 0, "count", 0);
  bed_near(r.value[3][1], 10, 1e-11, 0, "last", 0);
}

/* ---- rules at one instant ---- */

static void test_cascade(void **state) {
  (void)state;
  text_run r = {.out = {"order", "again", "gone", "kept"}};
  /* e1 triggers e2 at the same instant; e2's higher priority lets it pass before e3; e4 is taken back by e2, e5
   * is not */
  both(&r, "model m\n x = 0; order = 0; again = 0; gone = 0; kept = 0; flag = 0\n"
           " e1: at (time >= 1), priority = 5, fromTrigger = false: flag = 1, order = order*10 + 1;\n"
           " e2: at (flag > 0.5), priority = 4, fromTrigger = false: flag = 0, order = order*10 + 2;\n"
           " e3: at (time >= 1), priority = 3, fromTrigger = false: order = order*10 + 3;\n"
           " e4: at (flag > 0.5), priority = 2, persistent = false, fromTrigger = false: gone = 1;\n"
           " e5: at (flag > 0.5), priority = 1, persistent = true, fromTrigger = false: kept = 1;\n"
           " e6: at (flag < 0.5 && time >= 1), fromTrigger = false: again = again + 1;\nend\n", 2, 4);
  bed_near(r.value[4][0], 123, 0, 0, "order", 1);
  bed_near(r.value[4][1], 2, 0, 0, "false and true again at one instant", 1);
  bed_near(r.value[4][2], 0, 0, 0, "taken back", 1);
  bed_near(r.value[4][3], 1, 0, 0, "persistent", 1);
}

static void test_delay_and_values(void **state) {
  (void)state;
  text_run r = {.out = {"early", "late", "twice", "off"}};
  both(&r, "model m\n x = 0; x' = 1; early = 0; late = 0; twice = 0; off = 0; lag = 2\n"
           " a: at lag after (time >= 1), fromTrigger = true: early = x;\n"
           " b: at lag after (time >= 1), fromTrigger = false: late = x;\n"
           " c: at 2 after (sin(3*x) > 0.5), persistent = true: twice = twice + 1;\n"
           " d: at 3 after (x > 4 && x < 5), persistent = false: off = 1;\n"
           " e: at (time >= 1.5): lag = 100;\nend\n", 9, 18);
  bed_near(r.value[18][0], 1, 1e-9, 0, "value from the trigger", 0);
  bed_near(r.value[18][1], 3, 1e-9, 0, "value at execution; lag of the trigger's time", 0);
  bed_near(r.value[18][2], 4, 0, 0, "each time it was triggered up to 7", 0);
  bed_near(r.value[18][3], 0, 0, 0, "not persistent", 0);
}

static void test_endless(void **state) {
  (void)state;
  text_run r = {.out = {"x"}};
  text_times(&r, 2, 4);
  text_go(&r, "model m\n x = 0; y = 0\n one: at (time >= 1 && x < 1): x = 1;\n two: at (x > 0.5): x = 0;\nend\n");
  assert_int_equal(r.status, DP_MEMBER_FAILED);
  if (!strstr(r.reason, "one") || !strstr(r.reason, "two")) fail_msg("%s", r.reason);
  bed_near(r.fail_time, 1, 1e-12, 0, "when", 0);
  bed_near(r.value[1][0], 0, 0, 0, "rows before", 0.5);
  assert_true(isnan(r.value[3][0]));
  /* a ball whose bounces gather at t = 3: with what is lost each time */
  text_run ball = {.out = {"h", "n"}};
  text_times(&ball, 4, 8);
  text_go(&ball, "model m\n h = 0.5; v = 0; h' = v; v' = -1; n = 0\n hit: at (h < 0): v = -v/2, n = n + 1;\nend\n");
  for (int i = 0; i <= 8 && ball.t[i] < 2.9; i++) assert_true(isfinite(ball.value[i][0]));
  if (ball.status != DP_MEMBER_OK) {
    bed_near(ball.fail_time, 3, 1e-3, 0, ball.reason, 3);
    if (!strstr(ball.reason, "hit")) fail_msg("%s", ball.reason);
  }
}

/* The volume is that of the execution, the concentration that of the trigger: 2 in a volume that grows from 1, is 2 at
 * the trigger, is set to 10 and has 10.25 when the event is executed. */
static void test_volume_at_execution(void **state) {
  (void)state;
  for (int k = 0; k < DPI_COUNT(methods); k++) {
    text_run r = {.method = methods[k], .out = {"S*C", "S"}, .active = "k", .t = {1.4, 2}, .nt = 2};
    text_go(&r, "model m\n compartment C = 1; C' = 1; species S in C; S = 2; k = 1\n"
                " E: at 0.5 after (time >= 1): S = S + k;\n F: at (time >= 1.25): C = 10;\nend\n");
    text_good(&r, methods[k]);
    bed_near(r.value[0][0], 2, 1e-9, 0, "before", 1.4);
    bed_near(r.value[1][0], 20.5, 1e-9, 0, "amount", 2);
    bed_near(r.value[1][1], 20.5 / 10.75, 1e-9, 0, "concentration", 2);
    bed_near(r.dvalue[1][0], 10.25, 1e-8, 0, "its derivative", 2);
  }
}

/* A trigger that is true at one instant only, or false at one only. */
static void test_touch(void **state) {
  (void)state;
  for (int k = 0; k < DPI_COUNT(methods); k++) {
    text_run r = {.method = methods[k], .out = {"a", "b", "c", "d", "x"}, .t = {1, 3, 7}, .nt = 3};
    text_go(&r, "model m\n a = 0; b = 0; c = 0; d = 0; x = 1; x' = -x*x\n A: at ((time - 2)^2 <= 0): a = a + 1;\n"
                " B: at (abs(time - 2.3) <= 0): b = b + 1;\n C: at ((time - 2)^2 > 0): c = c + 1;\n"
                " D: at ((time/3 - 2)*(time/3 - 2) <= 0): d = d + 1;\nend\n");
    text_good(&r, methods[k]);
    for (int i = 0; i < 3; i++) {
      bed_near(r.value[i][0], r.t[i] > 2, 0, 0, "square", r.t[i]);
      bed_near(r.value[i][1], r.t[i] > 2.3, 0, 0, "size", r.t[i]);
      bed_near(r.value[i][2], r.t[i] > 2, 0, 0, "but for an instant", r.t[i]);
      bed_near(r.value[i][3], r.t[i] > 6, 0, 0, "product", r.t[i]);
    }
  }
}

/* Delays that meet a time but for rounding: 0.1 + 0.2 is one instant with 0.3, also for outputs, 0.1 + 0.7 with 0.8. */
static void test_same_instant(void **state) {
  (void)state;
  text_run r = {.out = {"x", "y"}, .t = {0.3, 0.8}, .nt = 2};
  text_go(&r, "model m\n x = 0; y = 0\n A: at (time >= 0.3), priority = 1, fromTrigger = false: x = 10*x + 1;\n"
              " B: at 0.2 after (time >= 0.1), priority = 5, fromTrigger = false: x = 10*x + 2;\n"
              " C: at (time >= 0.8), priority = 5, fromTrigger = false: y = 10*y + 1;\n"
              " D: at 0.7 after (time >= 0.1), priority = 1, fromTrigger = false: y = 10*y + 2;\nend\n");
  text_good(&r, "same instant");
  bed_near(r.value[0][0], 21, 0, 0, "later sum", 0.3);
  bed_near(r.value[1][1], 12, 0, 0, "earlier sum", 0.8);
}

/* What no rate needs may be infinite, or no number. */
static void test_not_finite(void **state) {
  (void)state;
  text_run r = {.out = {"p", "y", "x"}, .t = {0.5, 1.5}, .nt = 2};
  text_go(&r, "model m\n x = 1; x' = -x; p = 1; q = 1; y := q + 1\n E: at (time >= 1): p = 1/0, q = 0/0;\nend\n");
  text_good(&r, "not finite");
  assert_true(r.value[0][0] == 1 && r.value[0][1] == 2);
  assert_true(r.value[1][0] == INFINITY && isnan(r.value[1][1]));
  bed_near(r.value[1][2], exp(-1.5), 1e-8, 0, "the rest", 1.5);
  text_run bad = {.out = {"x"}, .t = {1.5}, .nt = 1};
  text_go(&bad, "model m\n x = 1; x' = -x\n E: at (time >= 1): x = 1/0;\nend\n");
  assert_int_equal(bad.status, DP_MEMBER_FAILED);
  if (!strstr(bad.reason, "'E'")) fail_msg("%s", bad.reason);
}

/* A rate, and a trigger, that change next to time zero: the next number behind it lies closer than any step can be.
 * With a dose and outputs there, and where the time of the change hangs on a parameter. */
static void test_next_to_zero(void **state) {
  (void)state;
  static const char *const all[] = {"rodas", "tsit", "rk853", "cvode", "ensemble", "auto"};
  for (int k = 0; k < DPI_COUNT(all); k++)
    for (int dose = 0; dose < 2; dose++) {
      text_run r = {.method = all[k], .rtol = 1e-8, .out = {"x", "y", "z", "n"}, .t = {0, 1e-9, 1e-9, 0.5, 3}, .nt = 5};
      dp_model *m = text_model("model m\n p = 0; x = 1; x' = piecewise(1, time <= 0, -2*x)\n"
                               " y = 0; y' = piecewise(1, p*time < 0 || time > 0, -5)\n"
                               " z = 0; z' = piecewise(7, time <= p, x*x) + (time >= 0)\n n = 0\n"
                               " bell: at (time > 0): n = n + 1;\nend\n");
      const dp_instant in = bed_at(0, DP_ADD, 0, 3);
      text_go_model(&r, m, &in, dose);
      text_good(&r, all[k]);
      const double x0 = 1 + 3 * dose;
      for (int i = 0; i < r.nt; i++) {
        const double t = r.t[i], at = i == 0 ? 1 : x0; /* outputs of the same order stand behind the instant */
        if (i > 0) bed_near(r.value[i][0], at * exp(-2 * t), 1e-6, 1e-12, all[k], t);
        bed_near(r.value[i][1], t, 1e-9, 1e-12, all[k], t);
        bed_near(r.value[i][2], t + x0 * x0 / 4 * (1 - exp(-4 * t)), 1e-6, 1e-12, all[k], t);
        bed_near(r.value[i][3], t > 0, 0, 0, all[k], t);
      }
      dp_model_destroy(m);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_time_switches),
      cmocka_unit_test(test_state_switches),
      cmocka_unit_test(test_chatter),
      cmocka_unit_test(test_switch_derivatives),
      cmocka_unit_test(test_short_pulses),
      cmocka_unit_test(test_fast_trigger),
      cmocka_unit_test(test_booleans_and_numbers),
      cmocka_unit_test(test_many),
      cmocka_unit_test(test_cascade),
      cmocka_unit_test(test_delay_and_values),
      cmocka_unit_test(test_endless),
      cmocka_unit_test(test_volume_at_execution),
      cmocka_unit_test(test_touch),
      cmocka_unit_test(test_same_instant),
      cmocka_unit_test(test_not_finite),
      cmocka_unit_test(test_next_to_zero),
  };
  return cmocka_run_group_tests(tests, bed_setup, bed_teardown);
}
