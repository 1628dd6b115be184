/* Compared with: the front of points whose objectives are known; the front of every plan there is (exhaustive). */
#include "decide_rig.h"

enum { NPOINT = 3000, MOST = 40 };

/* Points on the quarter of a circle (no two beat each other) among as many within it, and some that miss a limit. */
static void front_of_points(void **state) {
  (void)state;
  static double x[NPOINT], miss[NPOINT], objective[2 * NPOINT];
  static const int pareto[2] = {0, 1};
  dpi_variable v = {.lower = 0, .upper = 1};
  dpi_space space = {.nvar = 1, .var = &v};
  dp_kind kind = {.reward = {.npareto = 2, .pareto = pareto}};
  dpi_search s = {.kind = &kind, .space = &space, .nseen = NPOINT, .x = x, .miss = miss, .objective = objective};
  for (int i = 0; i < NPOINT; i++) {
    dpi_rng rng = dpi_rng_make(11, (uint64_t)i, 1);
    double angle = 1.5707963267948966 * dpi_rng_uniform(&rng), radius = i % 3 ? 1 : 0.9 * dpi_rng_uniform(&rng);
    x[i] = angle / 1.5707963267948966;
    if (i % 7 == 0) miss[i] = 0.1, radius = 2; /* better, and not allowed */
    objective[2 * i] = radius * cos(angle);
    objective[2 * i + 1] = radius * sin(angle);
  }
  int index[MOST + 1], n = 0, least = 0, most = 0, seen = 0;
  for (int i = 0; i < NPOINT; i++) {
    if (miss[i] > 0 || i % 3 == 0) continue;
    if (!seen++) least = most = i;
    if (x[i] < x[least]) least = i;
    if (x[i] > x[most]) most = i;
  }
  assert_int_equal(dpi_search_front(&s, MOST, index, &n), DP_OK);
  assert_true(n >= MOST - 4 && n <= MOST);
  double sorted[MOST], gap = 0;
  bool ends[2] = {false, false};
  for (int i = 0; i < n; i++) {
    assert_true(index[i] % 3 != 0 && miss[index[i]] == 0);
    ends[0] |= index[i] == least;
    ends[1] |= index[i] == most;
    sorted[i] = x[index[i]];
  }
  assert_true(ends[0] && ends[1]);
  dpi_sort(sorted, n);
  for (int i = 1; i < n; i++) gap = fmax(gap, sorted[i] - sorted[i - 1]);
  assert_true(gap < 3.0 / MOST); /* no stretch of the front is left out */
  int again[MOST + 1], m = 1;
  again[0] = index[3]; /* one that is judged already is not listed twice */
  assert_int_equal(dpi_search_front(&s, MOST, again, &m), DP_OK);
  for (int i = 1; i < m; i++) assert_true(again[i] != index[3]);
  assert_true(m <= n);
}

static const char reward[] =
    "window: 24 h\nplan: {form: course, times: [0, 8 h, 16 h], search: SEARCH, evaluations: 1500}\n"
    "pareto: [benefit, harm]\nlimits:\n"
    "  - {id: peak, quantity: c, functional: maximum, event: \"> 20 mg/L\", probability: \"<= 0.20\"}\n"
    "rewards:\n"
    "  - {id: area, quantity: c, functional: integral, weight: 1, objective: benefit}\n"
    "  - {id: drug, of: amount, weight: -0.01, objective: harm}\n";

/* Every plan of 0 to 300 mg at three times: a search that hands on its best and its front shows plans from little drug
 * to the most that may be given, though the weighted sum wants the most, and they lie on the true front, but for some
 * that are beaten only by plans it never met. */
static void front_of_a_search(void **state) {
  static const char *const name[] = {"exhaustive", "cma", "cross-entropy"};
  static const double zero[3], some[3] = {0.2, 0.08, 0.05};
  double benefit[64];
  int nfront = 0;
  for (int i = 0; i < DPI_COUNT(name); i++) {
    const char *dir = rig_kind(*state, "theophylline"), *at = strstr(reward, "SEARCH");
    char path[600], text[1500];
    rig_join(path, sizeof path, dir, "reward.yaml");
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - reward), reward, name[i], at + 6);
    rig_write(path, text);
    rig_edit(dir, "controls.tsv", "0\t900\t100;200;300\t3", "0\t300\t100;200;300\t1");
    world w = world_open(*state, dir);
    dp_belief *b = belief_make(100, zero, some, 1);
    dp_plan_patient patient = patient_of(&w, b, b);
    dp_plan_def def = dp_plan_def_default();
    dp_advice *a = NULL;
    patient.nhistory = 0;
    def.nscreen = 100;
    if (dp_plan_search(w.kind, &patient, &def, &a) != DP_OK) fail_msg("%s", dp_ctx_error(w.r->ctx));
    int front = 0, on_it = 0;
    double least = INFINITY, most = 0;
    for (int c = 0; c < a->ncandidate; c++) {
      if (!a->candidate[c].pareto) continue;
      const double *o = a->candidate[c].objective;
      front++;
      if (i == 0) {
        benefit[nfront++] = o[0];
        continue;
      }
      bool there = false;
      for (int k = 0; k < nfront; k++) there |= fabs(benefit[k] - o[0]) <= 1e-6 * fabs(o[0]);
      on_it += there;
      least = fmin(least, -100 * o[1]);
      most = fmax(most, -100 * o[1]);
    }
    assert_true(front > 3);
    if (i > 0) assert_true(least <= 200 && most >= 800 && 2 * on_it > front); /* the best 24 alone: from 600 mg on */
    dp_advice_destroy(a);
    belief_free(b);
    world_close(&w);
    rig_remove(dir);
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
int main(void) {
  const struct CMUnitTest tests[] = {TEST(front_of_points), TEST(front_of_a_search)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
