/* reward.yaml's limits, rewards and plans: compared with the numbers as written; every mistake is named with its line
 * and what was
 * expected there. */
#include "base/tests/failing_memory.h"
#include "kind_rig.h"

static dp_status load(rig *r, const char *reward, dp_kind **out) {
  const char *dir = rig_kind(r, "theophylline");
  char path[600];
  rig_join(path, sizeof path, dir, "reward.yaml");
  rig_write(path, reward);
  return dp_kind_load(r->ctx, dir, out);
}

static dp_kind *loaded(rig *r, const char *reward) {
  dp_kind *k = NULL;
  if (load(r, reward, &k) != DP_OK) fail_msg("%s", dp_ctx_error(r->ctx));
  return k;
}

static void plans_are_read(void **state) {
  static const char term[] = "rewards:\n  - {id: a, of: amount, weight: 1}\n";
  char text[500];
  rig *r = *state;
  snprintf(text, sizeof text,
           "plan: {form: course, every: 2 d, first: 12 h, count: 3, same: true, search: cma, evaluations: 70}\n%s",
           term);
  dp_kind *k = loaded(r, text);
  const dpi_kind_reward *w = &k->reward;
  assert_true(w->form == DPI_FORM_COURSE && w->ntime == 3 && w->same && w->nplanned == 1 && w->planned[0] == 0);
  rig_near(w->time[0], 12, 1e-12), rig_near(w->time[2], 108, 1e-12);
  assert_string_equal(w->search, "cma");
  assert_int_equal(w->evaluations, 70);
  dp_kind_destroy(k);
  snprintf(text, sizeof text, "plan: {form: course, intervals: [14 d, 21 d], count: 4}\n%s", term);
  k = loaded(r, text);
  assert_true(k->reward.nspacing == 2 && k->reward.count == 4 && k->reward.ntime == 0);
  rig_near(k->reward.spacing[1], 504, 1e-9);
  dp_kind_destroy(k);
  k = loaded(r, term); /* no plan: regimens, as ever */
  assert_true(k->reward.form == DPI_FORM_REGIMEN && k->reward.evaluations == 2000 && k->reward.search[0] == 0);
  dp_kind_destroy(k);
}

static void terms_are_read(void **state) {
  dp_kind *k = loaded(
      *state,
      "pareto: [good, bad]\nlimits:\n"
      "  - {id: l, quantity: c, functional: first_above, level: 20, unit: mg/L, window: [0, 2 d], event: \"< 90 min\", "
      "probability: \"<= 0.1\"}\n"
      "rewards:\n"
      "  - {id: q, quantity: c, functional: integral, weight: 1, risk: quantile 0.25, objective: good}\n"
      "  - {id: g, quantity: c, functional: time_below, grades: [[2, 1], [1.5, 3]], unit: mg/L, weight: -1, objective: "
      "bad}\n"
      "  - {id: u, quantity: c, functional: maximum, utility: \"x^2\", weight: 1, risk: cvar 0.05}\n"
      "  - {id: e, quantity: c, functional: integral, event: \"in 0.4 0.6 g.h/L\", weight: 1, objective: good}\n");
  const dpi_kind_term *t = k->reward.term;
  rig_near(t[0].bound, 1.5, 1e-12);
  assert_true(t[0].windowed && t[0].relation == -1);
  rig_near(t[0].to, 48, 1e-12);
  assert_true(t[1].risk == DPI_RISK_QUANTILE && t[1].risk_level == 0.25 && t[1].objective == 0);
  assert_true(t[2].ngrade == 2 && t[2].grade_weight[0] == 1 && t[2].grade_weight[1] == 2 && t[2].objective == 1);
  double x = 3, y, slope, work[64];
  assert_true(dpi_kind_formula_work(t[3].utility) <= 64);
  dpi_kind_formula_many(t[3].utility, &x, 1, work, &y);
  rig_near(y, 9, 1e-15);
  slope = dpi_kind_formula_slope(t[3].utility, x, work, &y);
  rig_near(slope, 6, 1e-15);
  assert_true(t[4].event && t[4].band == 1 && t[4].objective == 0);
  rig_near(t[4].bound, 400, 1e-12), rig_near(t[4].bound2, 600, 1e-12);
  assert_int_equal(k->reward.nobjective, 2);
  assert_int_equal(k->reward.npareto, 2);
  dp_kind_destroy(k);
}

/* Percent is what it says; a term without text is told with its levels, window and risk measure. */
static void terms_have_words(void **state) {
  static const char *const words[] = {
      "P(maximum of theophylline concentration > 20 mg/L within 24 h) <= 0.05",
      "P(first time of theophylline concentration below 5 mg/L < 8 h) <= 0.1",
      "-2 x time of theophylline concentration above 15 mg/L from 2 to 24 h, cvar 0.1",
      "1 x share of the time of theophylline concentration between 10 and 20 mg/L, quantile 0.25",
      "1 x P(integral of theophylline concentration in 400 to 600 (mg/L).h within 48 h)",
      "-1 x grade-time of theophylline concentration",
      "1 x utility of the minimum of theophylline concentration",
      "-1 x amount of theophylline by mouth",
      "-1 x number of doses"};
  dp_kind *k = loaded(
      *state,
      "limits:\n"
      "  - {id: a, quantity: c, functional: maximum, window: [0, 24 h], event: \"> 20 mg/L\", "
      "probability: \"<= 5 %\"}\n"
      "  - {id: b, quantity: c, functional: first_below, level: 5, unit: mg/L, event: \"< 8 h\", "
      "probability: \"<= 0.1\"}\n"
      "rewards:\n"
      "  - {id: c, quantity: c, functional: time_above, level: 15, unit: mg/L, window: [2 h, 1 d], weight: -2, "
      "risk: cvar 10 %}\n"
      "  - {id: d, quantity: c, functional: time_between, range: [10, 20], unit: mg/L, fraction: true, weight: 1, "
      "risk: quantile 25%}\n"
      "  - {id: e, quantity: c, functional: integral, event: \"in 400 600 mg.h/L\", window: [0, 2 d], weight: 1}\n"
      "  - {id: f, quantity: c, functional: time_below, grades: [[2, 1], [1.5, 3]], unit: mg/L, weight: -1}\n"
      "  - {id: g, quantity: c, functional: minimum, utility: \"x^2\", weight: 1}\n"
      "  - {id: h, of: amount, control: oral, weight: -1}\n"
      "  - {id: i, of: count, weight: -1}\n");
  const dpi_kind_term *t = k->reward.term;
  assert_int_equal(k->reward.nterm, DPI_COUNT(words));
  for (int i = 0; i < DPI_COUNT(words); i++) assert_string_equal(t[i].text, words[i]);
  rig_near(t[0].probability, 0.05, 1e-15);
  rig_near(t[2].risk_level, 0.1, 1e-15);
  rig_near(t[3].risk_level, 0.25, 1e-15);
  dp_kind_destroy(k);
}

#define REWARD(rest) "rewards:\n  - {id: a, quantity: c, functional: " rest ", weight: 1}\n"
#define PLAN(rest) "plan: {" rest "}\nrewards:\n  - {id: a, of: amount, weight: 1}\n"

static void mistakes_have_a_place(void **state) {
  static const struct {
    const char *text, *said;
  } bad[] = {
      {REWARD("integrel"),
       "reward.yaml:2: functional: found 'integrel', expected a functional; did you mean 'integral'?"},
      {REWARD("integral, event: \"in 600 400 mg.h/L\""),
       "reward.yaml:2: event: found 'in 600 400 mg.h/L', expected <, <=, > or >= and a number, or 'in' or 'out' and "
       "two ascending"},
      {REWARD("integral, event: \"in 400 600 mg/L\""), "which does not convert to '(mg/L).h'"},
      {REWARD("integral, event: \"in 400 600\""), "the number has no unit"},
      {REWARD("integral, utility: \"x + y\""), "reward.yaml:2: utility"},
      {REWARD("integral, utility: \"x + time\""), "expected a formula over x alone"},
      {REWARD("integral, utility: \"x\", event: \"> 1 mg.h/L\""),
       "reward 'a': expected at most one of event, utility, grades and fraction"},
      {REWARD("integral, fraction: true"), "fraction only with time_between"},
      {REWARD("integral, risk: cvar"), "reward.yaml:2: risk: found 'cvar', expected a share of the draws"},
      {REWARD("integral, risk: cvar 1.5"), "expected a share of the draws between 0 and 1"},
      {REWARD("integral, risk: cvar 150 %"), "expected a share of the draws between 0 and 1"},
      {REWARD("integral, risk: cvar 10 mg"), "expected a share of the draws between 0 and 1"},
      {"limits:\n  - {id: a, quantity: c, functional: maximum, event: \"> 1 mg/L\", probability: \"<= 5 mg\"}\n",
       "reward.yaml:2: probability: found '<= 5 mg', expected a relation and a number between 0 and 1, or 0 and 100 %"},
      {"limits:\n  - {id: a, quantity: c, functional: maximum, event: \"> 1 mg/L\", probability: \"<= 500 %\"}\n",
       "between 0 and 1"},
      {REWARD("integral, risk: quantil 0.1"), "did you mean 'quantile'?"},
      {REWARD("time_above, unit: mg/L"), "level"},
      {REWARD("maximum, grades: [[2, 1]], unit: mg/L"), "grades only with time_below"},
      {REWARD("time_below, grades: [[1, 1], [2, 2]], unit: mg/L"), "descending levels"},
      {REWARD("time_below, grades: [[2, 1], [1, 1]], unit: mg/L"), "ascending weights"},
      {REWARD("integral, window: [3 h, 2 h]"), "[from, to] with from < to"},
      {REWARD("integral, window: [0, 2]"), "the number has no unit, expected one that converts to 'h'"},
      {REWARD("integral, control: oral"), "control only beside `of`"},
      {"rewards:\n  - {id: a, of: amount, quantity: c, weight: 1}\n", "nothing about the path beside `of`"},
      {"rewards:\n  - {id: a, of: amont, weight: 1}\n", "did you mean 'amount'?"},
      {"pareto: [good, bad]\nrewards:\n  - {id: a, of: amount, weight: 1, objective: good}\n",
       "reward.yaml:1: pareto: found 'bad', expected an objective of a reward"},
      {PLAN("form: cours"), "did you mean 'course'?"},
      {PLAN("form: course"), "a course needs one of times, every (with count) and intervals (with count)"},
      {PLAN("form: course, times: [0, 1 d], every: 1 d"), "a course needs one of"},
      {PLAN("form: course, times: [1 d, 0]"), "ascending times >= 0"},
      {PLAN("form: course, times: [-30 min, 12 h]"), "ascending times >= 0"},
      {PLAN("form: course, times: [1 d], count: 2"), "nothing here beside times"},
      {PLAN("form: course, every: 0, count: 2"), "a time > 0"},
      {PLAN("form: course, every: 1 d, count: 0"), "count"},
      {PLAN("times: [0]"), "it only under form: course"},
      {PLAN("controls: [orall]"), "did you mean 'oral'?"},
      {PLAN("controls: [oral, oral]"), "each control once"},
      {PLAN("search: cmaa"), "did you mean 'cma'?"},
      {PLAN("evaluations: 0"), "evaluations"},
      {PLAN("serch: cma"), "did you mean 'search'?"},
  };
  rig *r = *state;
  for (int i = 0; i < DPI_COUNT(bad); i++) {
    dp_kind *k = NULL;
    if (load(r, bad[i].text, &k) != DP_ERR_INPUT) fail_msg("accepted: %s", bad[i].text);
    if (!strstr(dp_ctx_error(r->ctx), bad[i].said)) fail_msg("'%s' is not in '%s'", bad[i].said, dp_ctx_error(r->ctx));
    assert_null(k);
    dp_ctx_clear_error(r->ctx);
  }
}

/* Amounts of controls in different units have no sum. */
static void amounts_that_do_not_add_up(void **state) {
  static const char *const of[] = {"amount", "intensity", "count", "amount, control: iv"};
  rig *r = *state;
  for (int i = 0; i < DPI_COUNT(of); i++) {
    const char *dir = rig_kind(r, "theophylline");
    char path[600], text[300];
    dp_kind *k = NULL;
    rig_edit(dir, "controls.tsv", "oral\tdepot",
             "iv\tcentral\tg\tas an infusion\t2\t0\t1\t\t\t6;8;12;24\tprescriber\noral\tdepot");
    rig_join(path, sizeof path, dir, "reward.yaml");
    snprintf(text, sizeof text, "plan: {controls: [oral, iv]}\nrewards:\n  - {id: a, of: %s, weight: 1}\n", of[i]);
    rig_write(path, text);
    const dp_status status = dp_kind_load(r->ctx, dir, &k);
    assert_int_equal(status, i < 2 ? DP_ERR_INPUT : DP_OK);
    if (i < 2) assert_non_null(strstr(dp_ctx_error(r->ctx), "'oral' and 'iv' count in different units (mg, g)"));
    dp_ctx_clear_error(r->ctx);
    dp_kind_destroy(k);
  }
}

/* Which responses are proportional to the doses. */
static void proportional(void **state) {
  rig *r = *state;
  static const struct {
    const char *from, *to;
    bool kind, quantity;
  } cases[] = {
      {"c := central", "c := central", true, true},
      {"c := central/V", "c := central/V + 1", true, false},
      {"c := central/V", "c := 2*central/V + central^1", true, true},
      {"c := central/V", "c := sqrt(central*central)/V", true, false},
      {"c := central/V", "c := max(0, central)/V", true, false}, /* it is, but that takes more than degrees to see */
      {"central = 0", "central = 1", false, false},
      {"CL/V*central", "CL/V*central/(1 + central)", false, false},
      {"CL/V*central", "CL/V*central + 1", false, false},
  };
  for (int i = 0; i < DPI_COUNT(cases); i++) {
    const char *dir = rig_kind(r, "theophylline");
    char path[600];
    rig_join(path, sizeof path, dir, "model.ant");
    char *text = rig_read(path);
    bool there = strstr(text, cases[i].from) != NULL;
    free(text);
    if (!there) fail_msg("the model has no '%s'", cases[i].from);
    rig_edit(dir, "model.ant", cases[i].from, cases[i].to);
    dp_kind *k = rig_load(r, dir);
    if (k->proportional != cases[i].kind || k->quantity[0].proportional != cases[i].quantity)
      fail_msg("'%s': found %d %d", cases[i].to, k->proportional, k->quantity[0].proportional);
    dp_kind_destroy(k);
  }
}

static void memory_may_run_out(void **state) {
  rig other = *(rig *)*state;
  failing_memory memory = {0};
  other.ctx = failing_context(&memory);
  const char *dir = rig_kind(&other, "theophylline");
  char path[600];
  rig_join(path, sizeof path, dir, "reward.yaml");
  rig_write(
      path,
      "pareto: [a, b]\nplan: {form: course, intervals: [14 d], count: 4, controls: [oral]}\nrewards:\n"
      "  - {id: x, quantity: c, functional: integral, utility: \"x/(x + 1)\", weight: 1, objective: a}\n"
      "  - {id: g, quantity: c, functional: time_below, grades: [[2, 1]], unit: mg/L, weight: 1, objective: b}\n");
  int failed = 0;
  for (long n = 0; n < 100000; n += 1 + n / 16) {
    dp_kind *k = NULL;
    failing_stays(&memory, n);
    dp_status status = dp_kind_load(other.ctx, dir, &k);
    bool enough = !failing_happened(&memory);
    failing_never(&memory);
    if (status != DP_OK) assert_int_equal(status, DP_ERR_MEMORY), failed++;
    dp_kind_destroy(k);
    dp_ctx_clear_error(other.ctx);
    if (enough) break;
  }
  assert_true(failed > 20);
  assert_int_equal(dpi_alloc_live(other.ctx), 0);
  dp_ctx_destroy(other.ctx);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(plans_are_read), TEST(terms_are_read), TEST(terms_have_words), TEST(mistakes_have_a_place),
      TEST(amounts_that_do_not_add_up),
      TEST(proportional),   TEST(memory_may_run_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
