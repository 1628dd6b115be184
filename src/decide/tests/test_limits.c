/* Independent comparison: Clopper-Pearson bounds as roots of the binomial tail summed term by term (libm), and the
 * closed form
 * 1 - (1 - c)^(1/n) for no event; expectations by plain sums. */
#include "decide_rig.h"

/* P(X <= k), X ~ Binomial(n, p) */
static double tail(int k, int n, double p) {
  double sum = 0;
  for (int i = 0; i <= k; i++)
    sum += exp(lgamma(n + 1) - lgamma(i + 1) - lgamma(n - i + 1) + i * log(p) + (n - i) * log1p(-p));
  return sum;
}

/* one-sided upper bound: the p at which k or fewer events have probability 1 - c */
static double upper(int k, int n, double c) {
  double a = 0, b = 1;
  for (int i = 0; i < 100; i++) {
    double mid = 0.5 * (a + b);
    if (mid > 0 && mid < 1 && tail(k, n, mid) < 1 - c)
      b = mid;
    else
      a = mid;
  }
  return a;
}

static dpi_kind_term limit(int relation, double bound, bool at_least, double probability) {
  return (dpi_kind_term){
      .goal = DPI_GOAL_LIMIT, .relation = relation, .bound = bound, .at_least = at_least, .probability = probability};
}

static void values(double *x, int n, int hits) {
  for (int k = 0; k < n; k++) x[k] = k < hits ? 2 : 0; /* the event is > 1 */
}

static void bounds_of_counts(void **state) {
  (void)state;
  static const int cases[][2] = {{0, 20}, {0, 1000}, {1, 30}, {5, 100}, {25, 1000}, {37, 250}};
  double x[1000];
  dpi_kind_term at_most = limit(1, 1, false, 0.05), at_least = limit(1, 1, true, 0.9);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int k = cases[i][0], n = cases[i][1];
    double up = upper(k, n, 0.95);
    values(x, n, k);
    dp_term_value v = dpi_decide_judge_limit(&at_most, x, n, n, 0.95);
    rig_near(v.value, (double)k / n, 1e-15);
    rig_near(v.high, up, 1e-9);
    assert_int_equal(v.holds, up <= 0.05);
    values(x, n, n - k); /* mirrored: the lower bound of the complement */
    v = dpi_decide_judge_limit(&at_least, x, n, n, 0.95);
    rig_near(v.low, 1 - up, 1e-9);
    assert_int_equal(v.holds, 1 - up >= 0.9);
  }
  values(x, 59, 0); /* the classical 59: 0 of 59 shows at most 5 %, 0 of 58 does not */
  assert_int_equal(dpi_decide_judge_limit(&at_most, x, 59, 59, 0.95).holds, 1);
  assert_int_equal(dpi_decide_judge_limit(&at_most, x, 58, 58, 0.95).holds, 0);
  rig_near(dpi_decide_judge_limit(&at_most, x, 58, 58, 0.95).high, 1 - pow(0.05, 1.0 / 58), 1e-12);
}

/* fewer effective draws make it stricter */
static void effective_draws(void **state) {
  (void)state;
  double x[1000];
  dpi_kind_term t = limit(1, 1, false, 0.05);
  values(x, 1000, 30);
  assert_int_equal(dpi_decide_judge_limit(&t, x, 1000, 1000, 0.95).holds, 1);
  dp_term_value v = dpi_decide_judge_limit(&t, x, 1000, 100, 0.95);
  assert_int_equal(v.holds, 0);
  rig_near(v.high, upper(3, 100, 0.95), 1e-9);
}

/* a member that failed counts against the plan, whichever way limit and event point */
static void failures_count(void **state) {
  (void)state;
  for (int relation = -1; relation <= 1; relation += 2)
    for (int at_least = 0; at_least < 2; at_least++) {
      dpi_kind_term t = limit(relation, 1, at_least, at_least ? 0.5 : 0.05);
      double x[200];
      for (int k = 0; k < 200; k++) x[k] = k < 20 ? NAN : at_least == (relation > 0) ? 2 : 0;
      dp_term_value v = dpi_decide_judge_limit(&t, x, 200, 200, 0.95);
      rig_near(v.value, at_least ? 0.9 : 0.1, 1e-15);
    }
}

/* the threshold is where judging by the estimate changes */
static void threshold(void **state) {
  (void)state;
  double x[400];
  for (int at_least = 0; at_least < 2; at_least++) {
    dpi_kind_term t = limit(1, 1, at_least, at_least ? 0.9 : 0.05);
    double edge = dpi_decide_threshold(&t, 400, 0.95);
    int held = 0;
    for (int k = 0; k <= 400; k++) {
      values(x, 400, k);
      bool holds = dpi_decide_judge_limit(&t, x, 400, 400, 0.95).holds;
      bool by_edge = at_least ? k / 400.0 >= edge : k / 400.0 <= edge;
      assert_int_equal(holds, by_edge);
      held += holds;
    }
    assert_true(held > 5 && held < 395);
  }
}

static void rewards(void **state) {
  world w = world_open(*state, TWINS "/theophylline");
  dpi_kind_term t = {.goal = DPI_GOAL_REWARD, .functional = DP_TIME_BETWEEN, .fraction = true, .weight = 1};
  double x[4] = {6, 3, 0, NAN}; /* of an interval of 12: 0.5, 0.25, 0, and a failure counts as 0 */
  dp_term_value v = judged(w.kind, &t, x, 4, 4, 12);
  double sd = sqrt((0.25 + 0.0625) / 4 - 0.1875 * 0.1875);
  rig_near(v.value, 0.1875, 1e-15);
  rig_near(v.high - v.value, 1.6448536269514722 * sd / 2, 1e-12);
  assert_int_equal(v.holds, 1);
  t = (dpi_kind_term){.goal = DPI_GOAL_REWARD, .functional = DP_FIRST_BELOW, .weight = 1};
  double never = INFINITY, earned;
  assert_int_equal(dpi_decide_earn(w.kind, &t, &never, 1, 12, &earned), DP_OK);
  rig_near(earned, 12, 0); /* never below: the whole window */
  world_close(&w);
}

/* What costs nothing under any draw is worth 0, and not -0, which would be printed. */
static void nothing_is_worth_0(void **state) {
  world w = world_open(*state, TWINS "/theophylline");
  double x[100] = {0};
  dpi_kind_term t = {.goal = DPI_GOAL_REWARD, .functional = DP_MAXIMUM, .weight = -1, .risk_level = 0.1};
  for (int risk = DPI_RISK_EXPECTATION; risk <= DPI_RISK_CVAR; risk++) {
    t.risk = (dpi_risk)risk;
    const dp_term_value v = judged(w.kind, &t, x, 100, 100, 12);
    assert_true(v.value == 0 && !signbit(v.value));
  }
  world_close(&w);
}

/* The bounds of an event's reward are those of a probability: never below 0 or above 1, also where it counts by its
 * worst share (of which the event's part is min(P, share)/share). A draw that failed earns no more than the worst of
 * the others. A bound is part of the event where <= or >= was written. */
static void events_as_rewards(void **state) {
  world w = world_open(*state, TWINS "/theophylline");
  double x[100], out[100];
  values(x, 100, 1);
  dpi_kind_term t = {.goal = DPI_GOAL_REWARD, .event = true, .relation = 1, .bound = 1, .weight = -1};
  dp_term_value v = judged(w.kind, &t, x, 100, 100, 12);
  rig_near(v.value, 0.01, 1e-15);
  rig_near(v.low, 1 - upper(99, 100, 0.95), 1e-9); /* mirrored */
  rig_near(v.high, upper(1, 100, 0.95), 1e-9);
  assert_true(v.low > 0);
  values(x, 100, 0);
  v = judged(w.kind, &t, x, 100, 100, 12);
  assert_true(v.low == 0 && v.high > 0.029 && v.high < 0.0296); /* 1 - 0.05^(1/100) */
  t.risk = DPI_RISK_CVAR;
  t.risk_level = 0.2;
  values(x, 100, 5);
  v = judged(w.kind, &t, x, 100, 100, 12);
  rig_near(v.value, 0.25, 1e-12);
  rig_near(v.high, upper(5, 100, 0.95) / 0.2, 1e-8);
  t.weight = 1; /* the worst share are those without the event */
  values(x, 100, 95);
  v = judged(w.kind, &t, x, 100, 100, 12);
  rig_near(v.value, 0.75, 1e-12);
  assert_true(v.low > 0 && v.high <= 1);
  t = (dpi_kind_term){.goal = DPI_GOAL_REWARD, .functional = DP_MAXIMUM, .weight = -1};
  for (int k = 0; k < 4; k++) x[k] = k ? 10 * k : NAN; /* failed, 10, 20, 30 of harm */
  assert_int_equal(dpi_decide_earn(w.kind, &t, x, 4, 12, out), DP_OK);
  assert_true(out[0] == 30 && out[1] == 10);
  t.weight = 1;
  assert_int_equal(dpi_decide_earn(w.kind, &t, x, 4, 12, out), DP_OK);
  assert_true(out[0] == 0 && out[1] == 10);
  for (int closed = 0; closed < 2; closed++)
    for (int relation = -1; relation <= 1; relation += 2) {
      t = (dpi_kind_term){.goal = DPI_GOAL_LIMIT, .relation = relation, .closed = closed, .bound = 5};
      assert_int_equal(dpi_decide_event(&t, 5), closed);
      assert_int_equal(dpi_decide_event(&t, 5 + relation), 1);
      assert_int_equal(dpi_decide_event(&t, 5 - relation), 0);
    }
  world_close(&w);
}

/* One limit's use by the risk that orders plans: values [n] as a rehearsal of one plan. */
static double risk_of(const world *w, dpi_kind_term term, double *value, int n) {
  dp_kind kind = *w->kind;
  const dpi_rehearsal r = {.ncandidate = 1, .nterm = 1, .ndraw = n, .value = value};
  double risk = NAN;
  kind.reward.term = &term;
  kind.reward.nterm = 1;
  assert_int_equal(dpi_decide_risk(&kind, &r, 0, &risk), DP_OK);
  return risk;
}

/* Of normal values the risk is the normal law's tail, also where no draw shows it; whichever way the limit points. */
static void risk_in_a_tail(void **state) {
  world w = world_open(*state, TWINS "/theophylline");
  static const double bound[] = {1.5, 2, 2.5, 3, 4};
  enum { N = 120 };
  double x[N], mirror[N], last = INFINITY;
  for (int i = 0; i < N; i++) {
    x[(i * 49) % N] = dpi_norm_quantile((i + 0.5) / N); /* in no order */
    mirror[(i * 49) % N] = -dpi_norm_quantile((i + 0.5) / N);
  }
  for (int i = 0; i < DPI_COUNT(bound); i++) {
    const double p = 0.5 * erfc(bound[i] / sqrt(2)), risk = risk_of(&w, limit(1, bound[i], false, 0.01), x, N);
    rig_near(log(risk), log(p / 0.01), 0.06);
    assert_true(risk < last);
    last = risk;
    rig_near(risk_of(&w, limit(-1, -bound[i], false, 0.01), mirror, N), risk, 1e-9);
    rig_near(risk_of(&w, limit(-1, bound[i], true, 0.99), x, N), risk, 1e-9);   /* P(x < bound) >= 99 % */
    dpi_kind_term inside = limit(0, bound[i], false, 0.01);                     /* P(bound <= x <= 99) <= 1 % */
    inside.band = 1, inside.bound2 = 99;
    rig_near(risk_of(&w, inside, x, N), risk, 1e-9);
    inside.band = -1, inside.bound = -99, inside.bound2 = bound[i];             /* outside of -99 .. bound */
    rig_near(risk_of(&w, inside, x, N), risk, 1e-9);
  }
  /* counted where a limit is no tail, and where there is none to go on: passages that never come, plans alone */
  rig_near(risk_of(&w, limit(1, 0, false, 0.5), x, N), 60.5 / 121 / 0.5, 1e-12);
  for (int i = 0; i < N; i++) x[i] = i < 3 ? 5 : INFINITY;
  rig_near(risk_of(&w, limit(-1, 24, false, 0.05), x, N), 3.5 / 121 / 0.05, 1e-12);
  for (int i = 0; i < N; i++) x[i] = i < 3 ? NAN : 7; /* what failed counts against it */
  rig_near(risk_of(&w, limit(-1, 5, false, 0.01), x, N), 3.5 / 121 / 0.01, 1e-12);
  rig_near(risk_of(&w, limit(-1, 5, true, 0.01), x, N), 120.5 / 121 / 0.99, 1e-12);
  world_close(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bounds_of_counts),
      cmocka_unit_test_setup_teardown(risk_in_a_tail, rig_setup, rig_teardown),
      cmocka_unit_test(effective_draws),
      cmocka_unit_test(failures_count),
      cmocka_unit_test(threshold),
      cmocka_unit_test_setup_teardown(rewards, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(events_as_rewards, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(nothing_is_worth_0, rig_setup, rig_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
