/* Rewards, risks, objectives, conflicts, appraisals. Compared with: plain sums and sorted lists (libm), one compartment
 * in closed form. */
#include "base/tests/failing_memory.h"
#include "decide_rig.h"

enum { NDRAW = 200 };
static const double zero[3], tight[3] = {0.2, 0.08, 0.05};

static dp_kind *with_reward(rig *r, const char *reward) {
  const char *dir = rig_kind(r, "theophylline");
  char path[600];
  rig_join(path, sizeof path, dir, "reward.yaml");
  rig_write(path, reward);
  return rig_load(r, dir);
}

/* theophylline with this reward.yaml, as a world */
static world world_with(rig *r, const char *reward) {
  const char *dir = rig_kind(r, "theophylline");
  char path[600];
  rig_join(path, sizeof path, dir, "reward.yaml");
  rig_write(path, reward);
  return world_open(r, dir);
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void risks(void **state) {
  rig *r = *state;
  dp_kind *k = with_reward(r, "rewards:\n  - {id: a, quantity: c, functional: maximum, weight: 1}\n");
  double x[1000], sorted[1000], worst = 0, best = 0;
  for (int i = 0; i < 1000; i++) x[i] = sorted[i] = sin(37.0 * i) * 10 + i * 0.001;
  qsort(sorted, 1000, sizeof *sorted, ascending);
  for (int i = 0; i < 100; i++) worst += sorted[i] / 100, best += sorted[999 - i] / 100;
  dpi_kind_term t = {
      .goal = DPI_GOAL_REWARD, .functional = DP_MAXIMUM, .weight = 2, .risk = DPI_RISK_CVAR, .risk_level = 0.1};
  dp_term_value v = judged(k, &t, x, 1000, 1000, 12);
  rig_near(v.value, worst, 1e-12);
  assert_true(v.low < v.value && v.high > v.value && v.high - v.low < 1);
  t.weight = -2; /* more is worse: the largest are the worst */
  rig_near(judged(k, &t, x, 1000, 1000, 12).value, best, 1e-12);
  t.risk_level = 0.0005; /* half a draw: the worst one */
  rig_near(judged(k, &t, x, 1000, 1000, 12).value, sorted[999], 1e-12);
  t.risk = DPI_RISK_QUANTILE;
  t.risk_level = 0.1;
  t.weight = 1;
  v = judged(k, &t, x, 1000, 1000, 12);
  assert_true(v.value >= sorted[98] && v.value <= sorted[101]);
  assert_true(v.low < v.value && v.high > v.value);
  dp_kind_destroy(k);
}

/* The bounds of CVaR cover: 400 samples of 200 uniform numbers, whose worst tenth has the mean 0.05. One-sided bounds
 * at 95 % miss in
 * 20 +- 4.4 of 400 (a normal law for a skewed mean adds some): 12 % of 400 is more than 5 standard deviations away. */
static void cvar_bounds_cover(void **state) {
  dp_kind *k = with_reward(*state, "rewards:\n  - {id: a, quantity: c, functional: maximum, weight: 1}\n");
  dpi_kind_term t = {
      .goal = DPI_GOAL_REWARD, .functional = DP_MAXIMUM, .weight = 1, .risk = DPI_RISK_CVAR, .risk_level = 0.1};
  int below = 0, above = 0;
  double x[200];
  for (int s = 0; s < 400; s++) {
    dpi_rng rng = dpi_rng_make(20, (uint64_t)s, 1);
    for (int i = 0; i < 200; i++) x[i] = dpi_rng_uniform(&rng);
    dp_term_value v = judged(k, &t, x, 200, 200, 12);
    below += v.high < 0.05;
    above += v.low > 0.05;
  }
  assert_true(below <= 48 && above <= 48 && below + above >= 8);
  dp_kind_destroy(k);
}

static void utilities_and_events(void **state) {
  rig *r = *state;
  dp_kind *k =
      with_reward(r,
                  "rewards:\n"
                  "  - {id: u, quantity: c, functional: maximum, utility: \"min(x, 12)/12\", weight: 1}\n"
                  "  - {id: e, quantity: c, functional: integral, event: \"in 100 200 mg.h/L\", weight: 1}\n"
                  "  - {id: o, quantity: c, functional: integral, event: \"out 100 200\", unit: mg.h/L, weight: -1}\n"
                  "  - {id: l, quantity: c, functional: minimum, utility: \"ln(x)\", weight: 1}\n"
                  "  - {id: p, quantity: c, functional: maximum, utility: \"piecewise(0, x > 20, 1)\", weight: 1}\n");
  const dpi_kind_term *t = k->reward.term;
  const double x[4] = {6, 24, NAN, 12}, area[4] = {100, 201, NAN, 150};
  double out[4];
  assert_int_equal(dpi_decide_earn(k, &t[0], x, 4, 24, out), DP_OK);
  rig_near(out[0], 0.5, 1e-15), rig_near(out[1], 1, 0), rig_near(out[2], 0, 0), rig_near(out[3], 1, 0);
  assert_int_equal(dpi_decide_earn(k, &t[4], x, 4, 24, out), DP_OK);
  assert_true(out[0] == 1 && out[1] == 0 && out[2] == 0 && out[3] == 1); /* a failed draw earns nothing */
  assert_int_equal(dpi_decide_earn(k, &t[1], area, 4, 24, out), DP_OK);
  assert_true(out[0] == 1 && out[1] == 0 && out[2] == 0 && out[3] == 1);
  assert_int_equal(dpi_decide_earn(k, &t[2], area, 4, 24, out), DP_OK);
  assert_true(out[0] == 0 && out[1] == 1 && out[2] == 1 && out[3] == 0); /* a failed draw has the harm */
  assert_string_equal(t[1].text, "1 x P(integral of theophylline concentration in 100 to 200 (mg/L).h)");
  const double none[1] = {0};
  assert_int_equal(dpi_decide_earn(k, &t[3], none, 1, 24, out), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(r->ctx), "reward 'l': its utility gives no number at x = 0 mg/L"));
  dp_ctx_clear_error(r->ctx);
  dp_kind_destroy(k);
}

/* First passages count from now, also within a window of their own; one that never comes counts as at its end. */
static void passages_that_never_come(void **state) {
  dp_kind *k = with_reward(*state,
                           "rewards:\n"
                           "  - {id: w, quantity: c, functional: first_above, level: 9, unit: mg/L, "
                           "window: [6 h, 10 h], weight: 1}\n"
                           "  - {id: a, quantity: c, functional: first_above, level: 9, unit: mg/L, weight: 1}\n");
  const double x[3] = {6.5, INFINITY, NAN};
  double out[3];
  assert_int_equal(dpi_decide_earn(k, &k->reward.term[0], x, 3, 24, out), DP_OK);
  assert_true(out[0] == 6.5 && out[1] == 10 && out[2] == 0);
  assert_int_equal(dpi_decide_earn(k, &k->reward.term[1], x, 3, 24, out), DP_OK);
  assert_true(out[0] == 6.5 && out[1] == 24 && out[2] == 0);
  dp_kind_destroy(k);
}

/* A regimen goes on as long as the longest window of a term looks: at steady state two days have twice the area of one.
 */
static void windows_longer_than_the_whole(void **state) {
  rig *r = *state;
  world w = world_with(r, "rewards:\n  - {id: two, quantity: c, functional: integral, window: [0, 48 h], weight: 1}\n");
  dp_belief *b = belief_make(4, zero, tight, 3);
  dp_plan_patient patient = patient_of(&w, b, b);
  dp_candidate *candidate;
  dp_plan **plan = NULL;
  int n;
  dp_appraisal *a = NULL;
  assert_int_equal(list_candidates(w.kind, &candidate, &n, &plan), DP_OK);
  assert_true(n > 1 && plan[0]->row[0].interval < 48);
  if (dp_appraise(w.kind, &patient, plan, 1, NULL, &a) != DP_OK) fail_msg("%s", dp_ctx_error(r->ctx));
  for (int k = 0; k < 4; k++) {
    person p = person_of(&w, b->eta + 3 * k);
    rig_near(a->plan[0].value[k], 48 / plan[0]->row[0].interval * plan[0]->row[0].amount / (p.V * p.ke), 1e-5);
  }
  dp_appraisal_destroy(a);
  for (int i = 0; i < n; i++) dp_plan_destroy(plan[i]);
  free(plan);
  free(candidate);
  belief_free(b);
  world_close(&w);
}

/* A plan that begins in a steady state and ends before the window does: nothing more is given after its last dose. */
static void a_steady_state_that_ends(void **state) {
  rig *r = *state;
  world w = world_with(r,
                       "window: 24 h\nrewards:\n  - {id: day, quantity: c, functional: integral, weight: 1}\n"
                       "  - {id: doses, of: count, weight: 1}\n");
  dp_belief *b = belief_make(4, zero, tight, 3);
  dp_plan_patient patient = patient_of(&w, b, b);
  dp_plan_row once = {.amount = 300, .interval = 12, .steady = 1}, twice = once;
  twice.repeats = 1;
  dp_plan short_one = {.ctx = r->ctx, .nrow = 1, .row = &once}, whole = {.ctx = r->ctx, .nrow = 1, .row = &twice};
  dp_plan *both[2] = {&short_one, &whole};
  dp_appraisal *a = NULL;
  if (dp_appraise(w.kind, &patient, both, 2, NULL, &a) != DP_OK) fail_msg("%s", dp_ctx_error(r->ctx));
  for (int k = 0; k < 4; k++) {
    person p = person_of(&w, b->eta + 3 * k);
    double ends = 0, h = 1e-3;
    for (int i = 0; i < 24000; i++) ends += steady(p, 300, 12, (i + 0.5) * h) * h; /* decays on after 12 h */
    rig_near(a->plan[0].value[k], ends, 1e-5);
    rig_near(a->plan[1].value[k], 2 * 300 / (p.V * p.ke), 1e-5);
  }
  assert_true(a->plan[0].term[1].value == 1 && a->plan[1].term[1].value == 2);
  dp_appraisal_destroy(a);
  belief_free(b);
  world_close(&w);
}

/* What changed at now itself holds for plans, whatever now is in ticks: 2.01 times 10^9 lies below 2010000000. */
static void what_changes_at_now(void **state) {
  rig *r = *state;
  world w = world_open(r, rig_kind(r, "theophylline"));
  dp_belief *b = belief_make(4, zero, tight, 3);
  dp_plan_patient patient = patient_of(&w, b, b);
  double *param = calloc((size_t)dp_sim_describe(w.kind->sim)->nparam, sizeof *param);
  int target = w.kind->param[0].sim_param;
  w.history[0] = dp_instant_default();
  w.history[0].type = DP_SWITCH;
  w.history[0].target = target;
  w.history[0].amount = 91;
  for (int late = 0; late < 2; late++) {
    w.history[0].time = 2010000000 + late;
    patient.now = 2.01;
    dpi_decide_param(w.kind, &patient, b, 0, param);
    assert_true((param[target] == 91) == !late);
  }
  free(param);
  belief_free(b);
  world_close(&w);
}

/* Windows, grades, terms over the plan: a course of two doses for a person without history, in closed form. */
static void terms_of_a_course(void **state) {
  rig *r = *state;
  world w = world_with(
      r,
      "window: 30 h\n"
      "plan: {form: course, times: [0, 12 h]}\n"
      "rewards:\n"
      "  - {id: early, quantity: c, functional: integral, window: [2 h, 6 h], weight: 1, objective: benefit}\n"
      "  - {id: grades, quantity: c, functional: time_below, grades: [[8, 1], [6, 2.5]], unit: mg/L, weight: -1, "
      "objective: harm}\n"
      "  - {id: above, quantity: c, functional: time_above, level: 9, unit: mg/L, fraction: true, weight: 3}\n"
      "  - {id: amount, of: amount, weight: -0.001}\n"
      "  - {id: count, of: count, weight: -0.1}\n"
      "  - {id: gap, of: interval, weight: 0.01}\n"
      "  - {id: intensity, of: intensity, control: oral, weight: 1}\n");
  dp_belief *b = belief_make(4, zero, tight, 3);
  dp_plan_patient patient = patient_of(&w, b, b);
  patient.nhistory = 0;
  patient.now = 5;
  dp_plan_row row[2] = {{.amount = 300}, {.amount = 200, .time = 12}};
  dp_plan plan = {.ctx = r->ctx, .nrow = 2, .row = row}, *one[1] = {&plan};
  dp_appraisal *a = NULL;
  if (dp_appraise(w.kind, &patient, one, 1, NULL, &a) != DP_OK) fail_msg("%s", dp_ctx_error(r->ctx));
  assert_int_equal(a->nobjective, 2);
  for (int k = 0; k < 4; k++) {
    person p = person_of(&w, b->eta + 3 * k);
    double area = 0, below8 = 0, below6 = 0, above = 0, h = 1e-3;
    for (int i = 0; i < 30000; i++) {
      double t = (i + 0.5) * h, c = 0;
      for (int d = 0; d < 2; d++)
        if (t > row[d].time)
          c += row[d].amount * p.ka / (p.V * (p.ka - p.ke)) *
               (exp(-p.ke * (t - row[d].time)) - exp(-p.ka * (t - row[d].time)));
      if (t > 2 && t < 6) area += c * h;
      below8 += c < 8 ? h : 0;
      below6 += c < 6 ? h : 0;
      above += c > 9 ? h : 0;
    }
    const double *v = a->plan[0].value + k;
    rig_near(v[0], area, 1e-5);
    rig_near(v[4], below8 + 1.5 * below6, 2e-3);
    rig_near(v[8], above, 2e-3);
    rig_near(v[12], 500, 0), rig_near(v[16], 2, 0), rig_near(v[20], 12, 0), rig_near(v[24], 500.0 / 30, 1e-15);
    rig_near(a->plan[0].draw[k], v[0] - v[4] + 3 * v[8] / 30 - 0.5 - 0.2 + 0.12 + 500.0 / 30, 1e-12);
  }
  double harm = 0;
  for (int k = 0; k < 4; k++) harm -= a->plan[0].value[4 + k] / 4;
  rig_near(a->plan[0].objective[1], harm, 1e-12);
  assert_int_equal(dp_kind_nterm(w.kind), 7);
  assert_string_equal(dp_kind_term(w.kind, 1).objective, "harm");
  assert_string_equal(dp_kind_term(w.kind, 0).unit, "(mg/L).h");
  assert_string_equal(dp_kind_term(w.kind, 2).unit, "1"); /* a share of */
  assert_string_equal(dp_kind_term(w.kind, 2).path_unit, "h");
  dp_appraisal_destroy(a);
  belief_free(b);
  world_close(&w);
}

/* Terms over the plan count what is planned: what else a plan gives, in another unit, does not add to it. */
static void only_what_is_planned(void **state) {
  rig *r = *state;
  const char *dir = rig_kind(r, "theophylline");
  char path[600];
  rig_edit(dir, "controls.tsv", "oral\tdepot",
           "iv\tcentral\tg\tas an infusion\t2\t0\t1\t\t\t6;8;12;24\tprescriber\noral\tdepot");
  rig_join(path, sizeof path, dir, "reward.yaml");
  rig_write(path,
            "window: 24 h\nplan: {form: course, controls: [oral], times: [0]}\nrewards:\n"
            "  - {id: amount, of: amount, weight: 1}\n  - {id: count, of: count, weight: 1}\n"
            "  - {id: rate, of: intensity, weight: 1}\n  - {id: iv, of: amount, control: iv, weight: 1}\n");
  world w = world_open(r, dir);
  dp_plan_row row[2] = {{.control = 0, .amount = 0.5}, {.control = 1, .amount = 300}};
  dp_plan plan = {.ctx = r->ctx, .nrow = 2, .row = row};
  rig_near(dpi_plan_figure(w.kind, &plan, DPI_OF_AMOUNT, -1), 300, 0);
  rig_near(dpi_plan_figure(w.kind, &plan, DPI_OF_COUNT, -1), 1, 0);
  rig_near(dpi_plan_figure(w.kind, &plan, DPI_OF_INTENSITY, -1), 12.5, 1e-15);
  rig_near(dpi_plan_figure(w.kind, &plan, DPI_OF_AMOUNT, 0), 0.5, 0);
  row[1].steady = 1; /* a steady state, and one dose beside it */
  row[1].interval = 12;
  row[1].repeats = 1;
  row[0] = row[1];
  row[1] = (dp_plan_row){.control = 1, .time = 3, .amount = 240};
  rig_near(dpi_plan_figure(w.kind, &plan, DPI_OF_INTENSITY, -1), 300.0 / 12 + 10, 1e-12);
  world_close(&w);
}

/* The whole that terms are about does not depend on the order of rows: a steady state comes round when all its rows do,
 * a course is looked at up to one spacing after its last dose. */
static void windows_of_any_order(void **state) {
  world w = world_with(*state, "rewards:\n  - {id: a, quantity: c, functional: integral, weight: 1}\n");
  dp_plan_row row[3] = {{.amount = 100, .interval = 6, .steady = 1}, {.amount = 100, .interval = 8, .steady = 1}};
  dp_plan plan = {.ctx = w.r->ctx, .nrow = 2, .row = row};
  rig_near(dpi_plan_window(w.kind, &plan), 24, 1e-12);
  row[1].interval = 12;
  rig_near(dpi_plan_window(w.kind, &plan), 12, 1e-12);
  dp_plan_row later = {.time = 24, .amount = 100}, first = {.amount = 100}, middle = {.time = 12, .amount = 100};
  plan.nrow = 3;
  row[0] = later, row[1] = first, row[2] = middle;
  rig_near(dpi_plan_window(w.kind, &plan), 36, 1e-12);
  rig_near(dpi_plan_interval(&plan), 12, 1e-12);
  row[0] = first, row[1] = middle, row[2] = later;
  rig_near(dpi_plan_window(w.kind, &plan), 36, 1e-12);
  row[0] = (dp_plan_row){.time = 1, .amount = 100, .interval = 8, .repeats = 3}; /* 1, 9, 17, 25 h, after one at 0 */
  row[1] = first;
  plan.nrow = 2;
  rig_near(dpi_plan_window(w.kind, &plan), 33, 1e-12);
  row[0].repeats = 0; /* 0 and 1 h */
  rig_near(dpi_plan_window(w.kind, &plan), 2, 1e-12);
  world_close(&w);
}

/* A steady state whose interval is longer than the window is refused, not judged by its beginning. */
static void a_window_too_short(void **state) {
  world w = world_with(*state, "window: 12 h\nrewards:\n  - {id: a, quantity: c, functional: minimum, weight: 1}\n");
  dp_belief *b = belief_make(4, zero, tight, 3);
  dp_plan_patient patient = patient_of(&w, b, b);
  dp_plan_row row = {.amount = 300, .interval = 24, .steady = 1};
  dp_plan plan = {.ctx = w.r->ctx, .name = "daily", .nrow = 1, .row = &row}, *one[1] = {&plan};
  dp_appraisal *a = NULL;
  assert_int_equal(dp_appraise(w.kind, &patient, one, 1, NULL, &a), DP_ERR_UNSUPPORTED);
  assert_non_null(
      strstr(dp_ctx_error(w.r->ctx), "the window of 12 h is shorter than the interval of 24 h of plan 'daily', row 1"));
  dp_ctx_clear_error(w.r->ctx);
  belief_free(b);
  world_close(&w);
}

/* A quantity that is no number on the way (nothing divided by nothing): what is about it counts against the plan, also
 * a passage, which else would count as one that never comes. */
static void a_quantity_that_is_no_number(void **state) {
  rig *r = *state;
  const char *dir = rig_kind(r, "theophylline");
  char path[600];
  rig_edit(dir, "quantities.tsv", "half_life\tln(2)*V/CL\th", "ratio\tdepot/central\t1");
  rig_join(path, sizeof path, dir, "reward.yaml");
  rig_write(
      path,
      "window: 24 h\nplan: {form: course, times: [0]}\nlimits:\n"
      "  - {id: early, quantity: ratio, functional: first_above, level: 9, unit: \"1\", event: \"< 6 h\", probability: "
      "\"<= 0.5\"}\n"
      "  - {id: high, quantity: ratio, functional: maximum, event: \"> 9\", unit: \"1\", probability: \"<= 0.5\"}\n");
  world w = world_open(r, dir);
  dp_belief *b = belief_make(4, zero, tight, 3);
  dp_plan_patient patient = patient_of(&w, b, b);
  patient.nhistory = 0;
  dp_plan_row row = {.amount = 300, .time = 3}; /* until then 0/0 */
  dp_plan plan = {.ctx = r->ctx, .nrow = 1, .row = &row}, *one[1] = {&plan};
  dp_appraisal *a = NULL;
  if (dp_appraise(w.kind, &patient, one, 1, NULL, &a) != DP_OK) fail_msg("%s", dp_ctx_error(r->ctx));
  assert_int_equal(a->plan[0].nfailed, 4);
  assert_true(a->plan[0].term[0].value == 1 && a->plan[0].term[1].value == 1 && !a->plan[0].admissible);
  dp_appraisal_destroy(a);
  belief_free(b);
  world_close(&w);
}

/* Two plans on the same draws: who wins where, ties shared. */
static void appraisal_compares(void **state) {
  rig *r = *state;
  world w = world_open(r, TWINS "/theophylline");
  dp_belief *b = belief_make(NDRAW, zero, tight, 3);
  dp_plan_patient patient = patient_of(&w, b, b);
  dp_plan_row row[3] = {{.amount = 300, .interval = 12, .steady = 1},
                        {.amount = 400, .interval = 12, .steady = 1},
                        {.amount = 300, .interval = 12, .steady = 1}};
  dp_plan plan[3], *list[3];
  for (int i = 0; i < 3; i++) plan[i] = (dp_plan){.ctx = r->ctx, .nrow = 1, .row = &row[i]}, list[i] = &plan[i];
  dp_appraisal *a = NULL;
  assert_int_equal(dp_appraise(w.kind, &patient, list, 3, NULL, &a), DP_OK);
  double wins[2] = {0, 0}, mean = 0;
  for (int k = 0; k < NDRAW; k++) {
    double t[2][3];
    for (int i = 0; i < 2; i++) closed_terms(person_of(&w, b->eta + 3 * k), row[i].amount, 12, t[i]);
    for (int i = 0; i < 2; i++) rig_near(a->plan[i].draw[k], t[i][2] / 12, 1e-6);
    for (int i = 0; i < 2; i++) {
      rig_near(a->plan[i].gain[2 * NDRAW + k], t[i][2] / 12, 1e-6);
      assert_int_equal(a->plan[i].event[k], t[i][0] >= 5);
      assert_int_equal(a->plan[i].event[NDRAW + k], t[i][1] > 20);
      assert_true(a->plan[i].gain[k] == 0);
    }
    wins[0] += t[0][2] > t[1][2] + 1e-9 ? 0.5 : 0; /* shared with its twin */
    wins[1] += t[1][2] > t[0][2] + 1e-9;
    mean += t[1][2] / 12 / NDRAW;
  }
  rig_near(a->plan[1].reward, mean, 1e-6);
  rig_near(a->plan[0].best, wins[0] / NDRAW, 1e-12);
  rig_near(a->plan[2].best, wins[0] / NDRAW, 1e-12);
  rig_near(a->plan[1].best, wins[1] / NDRAW, 1e-12);
  rig_near(a->plan[0].best + a->plan[1].best + a->plan[2].best, 1, 1e-12);
  for (int i = 0; i < 3; i++) assert_true(isnan(a->plan[i].best_admissible) == !a->plan[i].admissible);
  dp_appraisal_destroy(a);
  b->usable = 0;
  strcpy(b->verdict, "weights collapsed");
  assert_int_equal(dp_appraise(w.kind, &patient, list, 3, NULL, &a), DP_ERR_UNSUPPORTED);
  assert_non_null(strstr(dp_ctx_error(r->ctx), "weights collapsed"));
  dp_ctx_clear_error(r->ctx);
  belief_free(b);
  world_close(&w);
}

/* ---- conflicts and fronts ---- */

static void smallest_conflict(void **state) {
  (void)state;
  dpi_kind_term term[4] = {
      {.goal = DPI_GOAL_LIMIT}, {.goal = DPI_GOAL_REWARD}, {.goal = DPI_GOAL_LIMIT}, {.goal = DPI_GOAL_LIMIT}};
  dp_kind kind = {.reward = {.nterm = 4, .term = term}};
  const uint8_t pairs[3][4] = {{1, 1, 0, 1}, {0, 1, 1, 1}, {1, 1, 0, 0}}; /* each holds alone; 0 and 2 never together */
  const uint8_t fine[2][4] = {{1, 1, 0, 1}, {1, 1, 1, 1}};
  const uint8_t three[3][4] = {{1, 0, 1, 0}, {1, 0, 0, 1}, {0, 0, 1, 1}}; /* any two, never all three */
  const uint8_t one[2][4] = {{1, 1, 0, 1}, {0, 1, 0, 1}};
  int set[4], n;
  dpi_decide_conflict(&kind, &pairs[0][0], 3, set, &n);
  assert_true(n == 2 && set[0] == 0 && set[1] == 2);
  dpi_decide_conflict(&kind, &fine[0][0], 2, set, &n);
  assert_int_equal(n, 0);
  dpi_decide_conflict(&kind, &three[0][0], 3, set, &n);
  assert_true(n == 3 && set[0] == 0 && set[1] == 2 && set[2] == 3);
  dpi_decide_conflict(&kind, &one[0][0], 2, set, &n);
  assert_true(n == 1 && set[0] == 2);
}

static dp_advice *search(world *w, const dp_belief *b) {
  dp_plan_def def = dp_plan_def_default();
  dp_plan_patient patient = patient_of(w, b, b);
  dp_advice *a = NULL;
  if (dp_plan_search(w->kind, &patient, &def, &a) != DP_OK) fail_msg("%s", dp_ctx_error(w->r->ctx));
  return a;
}

static void contradictory_limits(void **state) {
  world w =
      world_with(*state,
                 "limits:\n"
                 "  - {id: peak, quantity: c, functional: maximum, event: \"> 8 mg/L\", probability: \"<= 0.05\"}\n"
                 "  - {id: cheap, quantity: c, functional: minimum, event: \"< 0 mg/L\", probability: \"<= 0.5\"}\n"
                 "  - {id: trough, quantity: c, functional: minimum, event: \">= 9 mg/L\", probability: \">= 0.9\"}\n");
  dp_belief *b = belief_make(NDRAW, zero, tight, 3);
  dp_advice *a = search(&w, b);
  assert_int_equal(a->chosen, -1);
  assert_int_equal(a->nconflict, 2);
  assert_true(a->conflict[0] == 0 && a->conflict[1] == 2);
  assert_non_null(strstr(a->reason, "no safe plan: limits 'peak' and 'trough' conflict"));
  dp_advice_destroy(a);
  belief_free(b);
  world_close(&w);
}

static void pareto_front(void **state) {
  world w = world_with(*state,
                       "pareto: [benefit, harm]\nrewards:\n"
                       "  - {id: range, quantity: c, functional: time_between, range: [10, 20], unit: mg/L, fraction: "
                       "true, weight: 1, objective: benefit}\n"
                       "  - {id: doses, of: intensity, weight: -0.01, objective: harm}\n");
  dp_belief *b = belief_make(NDRAW, zero, tight, 3);
  dp_advice *a = search(&w, b);
  assert_int_equal(a->nobjective, 2);
  assert_string_equal(a->objective[1], "harm");
  int front = 0;
  for (int i = 0; i < a->ncandidate; i++) {
    const double *x = a->candidate[i].objective;
    bool dominated = false;
    rig_near(x[1], -0.01 * a->candidate[i].dose / a->candidate[i].interval, 1e-12);
    for (int j = 0; j < a->ncandidate; j++) {
      const double *y = a->candidate[j].objective;
      dominated |= y[0] >= x[0] && y[1] >= x[1] && (y[0] > x[0] || y[1] > x[1]);
    }
    assert_int_equal(a->candidate[i].pareto, !dominated);
    front += !dominated;
  }
  assert_true(front > 2 && front < a->ncandidate);
  assert_true(a->candidate[a->chosen].pareto);
  dp_advice_destroy(a);
  belief_free(b);
  world_close(&w);
}

static void memory_may_run_out(void **state) {
  rig other = *(rig *)*state;
  failing_memory memory = {0};
  other.ctx = failing_context(&memory);
  world w = world_with(
      &other,
      "plan: {form: course, times: [0, 12 h], search: cma, evaluations: 30}\nwindow: 24 h\npareto: [a, b]\n"
      "limits:\n  - {id: p, quantity: c, functional: maximum, event: \"> 15 mg/L\", probability: \"<= 0.2\"}\n"
      "rewards:\n  - {id: x, quantity: c, functional: integral, utility: \"x/(x + 100)\", weight: 1, risk: cvar 0.2, "
      "objective: a}\n"
      "  - {id: y, of: amount, weight: -0.001, objective: b}\n");
  dp_belief *b = belief_make(20, zero, tight, 1);
  dp_plan_patient patient = patient_of(&w, b, b);
  dp_plan_def def = dp_plan_def_default();
  int failed = 0;
  for (long n = 0; n < 100000; n = n < 60 ? n + 1 : n + n / 9) {
    dp_advice *a = NULL;
    failing_stays(&memory, n);
    dp_status status = dp_plan_search(w.kind, &patient, &def, &a);
    bool enough = !failing_happened(&memory);
    failing_never(&memory);
    if (status != DP_OK) {
      assert_int_equal(status, DP_ERR_MEMORY);
      assert_null(a);
      failed++;
    }
    dp_advice_destroy(a);
    dp_ctx_clear_error(other.ctx);
    if (enough) break;
  }
  assert_true(failed > 20);
  world_close(&w);
  assert_int_equal(dpi_alloc_live(other.ctx), 0);
  belief_free(b);
  dp_ctx_destroy(other.ctx);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(risks),
      TEST(cvar_bounds_cover),
      TEST(utilities_and_events),
      TEST(passages_that_never_come),
      TEST(windows_longer_than_the_whole),
      TEST(a_steady_state_that_ends),
      TEST(what_changes_at_now),
      TEST(terms_of_a_course),
      TEST(only_what_is_planned),
      TEST(windows_of_any_order),
      TEST(a_window_too_short),
      TEST(a_quantity_that_is_no_number),
      TEST(appraisal_compares),
      TEST(smallest_conflict),
      TEST(contradictory_limits),
      TEST(pareto_front),
      TEST(memory_may_run_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
