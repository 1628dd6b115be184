/* test_policy_twin.c - a twin that chooses moves, on a tank whose best moves are known in closed form: x' = rate - k x,
 * doses into x at once, the aim the integral of (x - r)^2 over the look ahead. With one value of k the best dose at
 * x0 is r B/A - x0, A = (1 - exp(-2kL))/(2k), B = (1 - exp(-kL))/k. Beliefs that fail, moves that are not safe, files
 * that are refused. */
#include "base/tests/failing_memory.h"
#include "policy_rig.h"

static const double K = 0.5, R = 4;

static void make_kind(void) {
  char path[200];
  snprintf(path, sizeof path, "%s/tank", dir);
  assert_int_equal(mkdir(path, 0700), 0);
  put("tank/model.ant", "model tank()\n  k = 0.5; rate = 0;\n  x' = rate - k*x;\n  x = 0;\nend\n");
  put("tank/parameters.tsv",
      "parameterId\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate\tunit\tname\n"
      "tv_k\tlog\t0.001\t10\t0.5\t0\t1/h\ttypical rate\n"
      "sd_x\tlog\t0.001\t10\t0.5\t0\tmg\terror\n");
  put("tank/population.tsv",
      "parameterId\ttypical\tdistribution\teffectId\teffectId2\tlevel\tvariance\testimate\tunit\tname\n"
      "k\ttv_k\tlognormal\teta_k\t\tperson\t1e-10\t0\t1/h\trate\n");
  put("tank/observables.tsv",
      "observableId\tobservableFormula\tnoiseFormula\tnoiseDistribution\tunit\tname\tdvid\tprimary\n"
      "level\tx\tsd_x\tnormal\tmg\tlevel\tlevel\t1\n");
  put("tank/controls.tsv",
      "controlId\ttarget\tunit\tname\tcompartment\tlower\tupper\tlag\tapprover\n"
      "dose\tx\tmg\ta dose\t1\t0\t100\t\tnobody\nlate\tx\tmg\ta late dose\t2\t0\t100\t0.75\tnobody\n");
  put("tank/covariates.tsv", "covariateId\tunit\tname\tlower\tupper\tmissing\nrate\tmg/h\tinflow\t0\t50\t0\n");
  put("tank/quantities.tsv", "quantityId\tformula\tunit\tname\namount\tx\tmg\tamount\n");
  put("tank/twin.yaml",
      "kind: tank\ntitle: Tank\nquestion: How much?\nintended_use: tests\ntime_unit: h\nuntil: 10\nhorizon: 20\n"
      "model: model.ant\nparameters: parameters.tsv\npopulation: population.tsv\nobservables: observables.tsv\n"
      "controls: controls.tsv\ncovariates: covariates.tsv\nquantities: quantities.tsv\nmethod: ensemble\n"
      "tolerances: {relative: 1e-8, absolute: 1e-10, ensemble: 1e-8}\n");
  snprintf(path, sizeof path, "%s/tank", dir);
  const dp_status status = dp_kind_load(ctx, path, &kind);
  if (status != DP_OK) print_message("%s\n", dp_ctx_error(ctx));
  assert_int_equal(status, DP_OK);
}

static double step(dp_policy_session *s, double time, double reading) { return ask(s, time, 1, reading); }

static double best_dose(double x0, double look) {
  const double a = (1 - exp(-2 * K * look)) / (2 * K), b = (1 - exp(-K * look)) / K;
  return R * b / a - x0;
}

#define HEAD                                                                                       \
  "policy: t\nkind: twin\nevery: 1 h\nreads: {g: level}\ngives: {dose: ''}\nfallback: none.yaml\n" \
  "twin:\n  draws: 40\n  look: 2 h\n  quantities: {away: {formula: '(g - 4)^2', unit: 'mg2'}}\n"   \
  "  rewards: [{id: near, quantity: away, functional: integral, weight: -1}]\n"

/* Doses every hour from readings without error; between them the tank empties. */
static void follow(const char *text, double look, double grid, double tolerance) {
  dp_policy *p = policy_of(text);
  dp_policy_session *s = open_session(p, NULL);
  double x = 0;
  for (int k = 0; k < 6; k++) {
    const double dose = step(s, k, x), wanted = fmax(best_dose(x, look), 0),
                 expected = grid > 0 ? floor(wanted / grid + 0.5) * grid : wanted;
    if (!(fabs(dose - expected) <= tolerance)) print_message("at %d: %.9g, expected %.9g\n", k, dose, expected);
    assert_true(fabs(dose - expected) <= tolerance);
    x = (x + dose) * exp(-K);
  }
  assert_int_equal(dp_policy_nincident(s), 0);
  dp_policy_close(s);
  dp_policy_destroy(p);
}

static void the_best_dose(void **state) {
  (void)state;
  follow(HEAD "  moves: {dose: {levels: [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6, 6.5, 7, 7.5, 8]}}\n", 2,
         0.5, 0);
  follow(HEAD "  moves: {dose: {lower: 0, upper: 10}}\n  evaluations: 400\n", 2, 0, 0.02);
  follow(HEAD "  moves: {dose: {lower: 0, upper: 10}}\n  evaluations: 400\n  update: never\n", 2, 0, 0.02);
}

/* The reading is 1 mg above what the model says, and stays so: the offset takes it up whole at the first reading. */
static void an_offset(void **state) {
  (void)state;
  dp_policy *p = policy_of(
      HEAD "  update: never\n  correct: offset 0.5\n  moves: {dose: {lower: 0, upper: 10}}\n  evaluations: 400\n");
  dp_policy_session *s = open_session(p, NULL);
  const double a = (1 - exp(-2 * K * 2)) / (2 * K), b = (1 - exp(-K * 2)) / K;
  double x = 0, off = 1;
  for (int k = 0; k < 4; k++) {
    const double above = k == 3 ? 2 : 1, dose = step(s, k, x + above);
    if (k == 3) off += 0.5 * (above - off); /* half of the way to a new one */
    assert_true(fabs(dose - ((R - off) * b / a - x)) < 0.02);
    x = (x + dose) * exp(-K);
  }
  dp_policy_close(s);
  dp_policy_destroy(p);
}

/* At most 5 mg at any time: the largest dose that keeps it. */
static void a_limit(void **state) {
  (void)state;
  dp_policy *p =
      policy_of(HEAD
                "  limits: [{id: top, quantity: g, functional: maximum, event: '> 4.001 mg', probability: '<= 0.1'}]\n"
                "  moves: {dose: {levels: [8, 6, 4, 2, 0]}}\n");
  dp_policy_session *s = open_session(p, NULL);
  double x = 0;
  for (int k = 0; k < 4; k++) {
    const double dose = step(s, k, x);
    assert_true(dose == (k == 0 ? 4 : 0) || x + dose <= 4.001);
    if (k == 0) assert_true(dose == 4); /* the best without the limit is above 5 */
    x = (x + dose) * exp(-K);
  }
  dp_policy_close(s);
  dp_policy_destroy(p);
}

/* A rate over an hour, then none: x(t) known, compared over a grid of rates with the integral by Simpson's rule. */
static double rate_cost(double x0, double rate, double look) {
  double sum = 0;
  enum { n = 2000 };
  for (int i = 0; i <= n; i++) {
    const double t = look * i / n, end = fmin(t, 1);
    double x = x0 * exp(-K * end) + rate / K * (1 - exp(-K * end));
    x *= exp(-K * (t - end));
    sum += (i == 0 || i == n ? 1 : i % 2 ? 4 : 2) * (x - R) * (x - R);
  }
  return sum * look / n / 3;
}

static void a_rate(void **state) {
  (void)state;
  dp_policy *p = policy_of(
      "policy: t\nkind: twin\nevery: 1 h\nreads: {g: level}\nperson: [base]\ngives: {rate: ''}\nfallback: rest.yaml\n"
      "twin:\n  draws: 20\n  look: 3 h\n  quantities: {away: {formula: '(g - 4)^2', unit: 'mg2'}}\n"
      "  rewards: [{id: near, quantity: away, functional: integral, weight: -1}]\n"
      "  moves: {rate: {times: [0, 0.5, 1, 1.5, 2, 2.5, 3], of: base, hold: 1 h, then: 0}}\n");
  const double base = 3;
  dp_policy_session *s = open_session(p, &base);
  double x = 0;
  for (int k = 0; k < 6; k++) {
    const double rate = step(s, k, x);
    int best = 0;
    for (int i = 1; i < 7; i++)
      if (rate_cost(x, 0.5 * i * base, 3) < rate_cost(x, 0.5 * best * base, 3)) best = i;
    assert_true(rate == 0.5 * best * base);
    x = x * exp(-K) + rate / K * (1 - exp(-K));
  }
  assert_int_equal(dp_policy_nincident(s), 0);
  dp_policy_close(s);
  dp_policy_destroy(p);
}

/* What comes late is not forgotten: a dose of 3/4 h ago is in the look ahead of now. */
static void a_late_dose(void **state) {
  (void)state;
  dp_policy *p = policy_of(
      "policy: t\nkind: twin\nevery: 30 min\nreads: {g: level}\ngives: {late: ''}\nfallback: late.yaml\n"
      "twin:\n  draws: 20\n  look: 3 h\n  update: never\n  quantities: {away: {formula: '(g - 4)^2', unit: 'mg2'}}\n"
      "  rewards: [{id: near, quantity: away, functional: integral, weight: -1}]\n"
      "  moves: {late: {levels: [0, 5]}}\n");
  dp_policy_session *s = open_session(p, NULL);
  double x = 0;
  assert_true(step(s, 0, x) == 5);
  assert_true(step(s, 0.5, x) == 0); /* 5 mg more would be too much: the first are on their way */
  x = 5 * exp(-K * 0.25);
  assert_true(step(s, 1, x) == 5); /* the integral is 11.7 without and 7.2 with another one at 1.75 h */
  dp_policy_close(s);
  dp_policy_destroy(p);
}

/* Cost over 2 h of a dose now and 4 mg that come after 3/4 h, by Simpson's rule on either side. */
static double cost_with_more(double x0, double dose) {
  double sum = 0;
  enum { n = 1000 };
  for (int side = 0; side < 2; side++) {
    const double from = side ? 0.75 : 0, to = side ? 2 : 0.75, x1 = (x0 + dose) * exp(-K * from) + (side ? 4 : 0);
    for (int i = 0; i <= n; i++) {
      const double x = x1 * exp(-K * (to - from) * i / n);
      sum += (to - from) / n / 3 * (i == 0 || i == n ? 1 : i % 2 ? 4 : 2) * (x - R) * (x - R);
    }
  }
  return sum;
}

/* What is announced counts, and what the fallback gives does: 4 mg that come late. The best dose follows from it. */
static void what_is_told(void **state) {
  (void)state;
  static const char common[] =
      "policy: t\nkind: twin\nevery: 1 h\nreads: {g: level}\n%s"
      "fallback: %s\ntwin:\n  draws: 20\n  look: 2 h\n%s"
      "  quantities: {away: {formula: '(g - 4)^2', unit: 'mg2'}}\n"
      "  rewards: [{id: near, quantity: away, functional: integral, weight: -1}]\n"
      "  moves: {dose: {levels: [0, 1, 2, 3, 4, 5, 6, 7, 8]}}\n";
  int best = 0, alone = 0;
  for (int i = 1; i <= 8; i++) {
    if (cost_with_more(0, i) < cost_with_more(0, best)) best = i;
    if (fabs(i - best_dose(0, 2)) < fabs(alone - best_dose(0, 2))) alone = i;
  }
  assert_true(best < alone); /* or nothing would be shown */
  for (int k = 0; k < 3; k++) {
    static const char *const head[] = {"announces: {snack: late}\ngives: {dose: ''}\n", /* told by its own name */
                                       "announces: {snack: late g}\ngives: {dose: ''}\n",
                                       "gives: {dose: '', late: ''}\n"};
    static const char *const map[] = {"", "  told: {snack: [late]}\n", ""};
    char text[2000];
    put("four.yaml", "policy: four\nevery: 1 h\ngives: {dose: '0', late: '4'}\n");
    snprintf(text, sizeof text, common, head[k], k == 2 ? "four.yaml" : "none.yaml", map[k]);
    dp_policy *p = policy_of(text);
    dp_policy_session *s = open_session(p, NULL);
    const double reading = 0, snack = k == 1 ? 0.004 : 4;
    const dp_policy_input in = {0, 1, &reading, &snack};
    double give[2] = {-1, -1};
    assert_int_equal(dp_policy_step(s, &in, give), DP_OK);
    assert_true(give[0] == best);
    if (k == 2) assert_true(give[1] == 4);
    dp_policy_close(s);
    dp_policy_destroy(p);
  }
}

/* The fallback until `wait` is over; then a dose every hour until the next decision, as it was rehearsed. */
static void doses_that_repeat(void **state) {
  (void)state;
  dp_policy *p = policy_of(HEAD
                           "  wait: 2 h\n  decide: 3 h\n  readings: 2 h\n  remember: 4 h\n"
                           "  moves: {dose: {levels: [0, 1, 2, 3, 4], repeat: 1 h, hold: 3 h}}\n");
  dp_policy_session *s = open_session(p, NULL);
  double x = 0, dose[11];
  for (int k = 0; k < 11; k++) {
    dose[k] = step(s, k, x);
    x = (x + dose[k]) * exp(-K);
  }
  assert_true(dose[0] == 0.25 && dose[1] == 0.25);
  for (int k = 2; k < 11; k += 3) {
    assert_true(dose[k] > 0.25 && dose[k] == floor(dose[k]));
    for (int i = 1; i < 3 && k + i < 11; i++) assert_true(dose[k + i] == dose[k]);
  }
  assert_int_equal(dp_policy_nincident(s), 0);
  dp_policy_close(s);
  dp_policy_destroy(p);
}

/* No move keeps the limit: the safe one where it is named; else it is said, and the fallback decides. */
static void no_safe_move(void **state) {
  (void)state;
  static const char limit[] = HEAD
      "  limits: [{id: low, quantity: g, functional: minimum, event: '< 5 mg', probability: '<= 0.1'}]\n"
      "  moves: {dose: {levels: [0, 1, 2]}}\n%s";
  char text[2000];
  snprintf(text, sizeof text, limit, "  safe: {dose: 2}\n");
  dp_policy *p = policy_of(text);
  dp_policy_session *s = open_session(p, NULL);
  assert_true(step(s, 0, 0) == 2);
  assert_int_equal(dp_policy_nincident(s), 0);
  dp_policy_close(s);
  dp_policy_destroy(p);
  snprintf(text, sizeof text, limit, "");
  p = policy_of(text);
  s = open_session(p, NULL);
  assert_true(step(s, 0, 0) == 0.25); /* of none.yaml */
  assert_int_equal(dp_policy_nincident(s), 1);
  assert_string_equal(dp_policy_incidents(s)->reason, "no safe move");
  dp_policy_close(s);
  dp_policy_destroy(p);
}

/* A covariate out of its range: no belief can be had of such a person, and the fallback decides. */
static void a_belief_that_fails(void **state) {
  (void)state;
  dp_policy *p = policy_of(
      "policy: t\nkind: twin\nevery: 1 h\nreads: {g: level}\nperson: [base]\ngives: {dose: ''}\nfallback: none.yaml\n"
      "twin:\n  draws: 20\n  look: 3 h\n  knows: {rate: base}\n  moves: {dose: {levels: [0, 5]}}\n"
      "  rewards: [{id: much, quantity: g, functional: integral, weight: 1}]\n");
  const double good = 1, bad = 1000;
  dp_policy_session *s = open_session(p, &good);
  assert_true(step(s, 0, 0) == 5);
  dp_policy_close(s);
  s = open_session(p, &bad);
  assert_true(step(s, 0, 0) == 0.25);
  assert_true(step(s, 1, 0) == 0.25);
  assert_int_equal(dp_policy_nincident(s), 2);
  assert_non_null(strstr(dp_policy_incidents(s)->reason, "the belief failed"));
  assert_non_null(strstr(dp_policy_incidents(s)->reason, "rate"));
  dp_policy_close(s);
  dp_policy_destroy(p);
}

/* The same person twice: the same doses, to the bit; with readings by which draws are weighted, too. */
static void twice(void **state) {
  (void)state;
  dp_policy *p = policy_of(
      HEAD "  update: never\n  correct: reweight\n  moves: {dose: {lower: 0, upper: 10}}\n  evaluations: 60\n");
  double dose[2][5];
  for (int i = 0; i < 2; i++) {
    dp_policy_session *s = open_session(p, NULL);
    for (int k = 0; k < 5; k++) dose[i][k] = step(s, k, 3 + 0.1 * k);
    dp_policy_close(s);
  }
  assert_memory_equal(dose[0], dose[1], sizeof dose[0]);
  dp_policy_destroy(p);
}

/* Whichever request for memory is refused: it is said, nothing leaks, and nothing is half done. */
static void memory_that_fails(void **state) {
  (void)state;
  static const char text[] = HEAD "  correct: offset 0.5\n  moves: {dose: {lower: 0, upper: 10}}\n  evaluations: 40\n";
  failing_memory memory = {0};
  dp_ctx_def def = failing_def(&memory);
  dp_ctx *own = NULL;
  dp_kind *tank = NULL;
  char path[200];
  def.interpret = 1; /* no thread of its own that asks for memory */
  assert_int_equal(dp_ctx_create(&def, &own), DP_OK);
  snprintf(path, sizeof path, "%s/tank", dir);
  assert_int_equal(dp_kind_load(own, path, &tank), DP_OK);
  put("twin.yaml", text);
  snprintf(path, sizeof path, "%s/twin.yaml", dir);
  int refused_ones = 0;
  bool happened = true;
  for (long n = -1; happened; n += n < 60 ? 1 : 41) { /* -1: nothing refused, the kind keeps what it makes once */
    const size_t live = dpi_alloc_live(own);
    dp_policy *p = NULL;
    dp_policy_session *s = NULL;
    const double reading = 1;
    double give = -1;
    if (n >= 0) failing_next(&memory, n);
    dp_status status = dp_policy_read(tank, path, &p);
    const dp_policy_person person = {"somebody", NULL, 1, 2};
    if (status == DP_OK) status = dp_policy_open(p, &person, &s);
    for (int k = 0; k < 2 && status == DP_OK; k++) {
      const dp_policy_input in = {k, 1, &reading, NULL};
      status = dp_policy_step(s, &in, &give);
    }
    happened = n < 0 || failing_happened(&memory);
    failing_never(&memory);
    assert_true(status == (happened && n >= 0 ? DP_ERR_MEMORY : DP_OK));
    refused_ones += happened;
    dp_policy_close(s);
    dp_policy_destroy(p);
    dp_ctx_clear_error(own);
    if (n >= 0 && dpi_alloc_live(own) != live) print_message("request %ld refused\n", n);
    if (n >= 0) assert_int_equal(dpi_alloc_live(own), live);
  }
  assert_true(refused_ones > 60);
  dp_kind_destroy(tank);
  assert_int_equal(dpi_alloc_live(own), 0);
  dp_ctx_destroy(own);
}

static void refusals(void **state) {
  (void)state;
#define TWIN                                                                                            \
  "policy: t\nkind: twin\nevery: 1 h\nreads: {g: level}\nperson: [base]\ngives: {dose: ''}\nfallback: " \
  "none.yaml\ntwin:\n  look: 2 h\n"
#define AIM "  rewards: [{id: much, quantity: g, functional: integral, weight: 1}]\n"
  refused(TWIN "  moves: {dose: {levels: [0, 5]}}\n", "no reward.yaml");
  refused(TWIN AIM "  moves: {dose: {levels: [0, 500]}}\n", "0 to 100");
  refused(TWIN AIM "  moves: {dose: {levels: [0], upper: 1}}\n", "one of times");
  refused(TWIN AIM "  moves: {dose: {times: [1]}}\n", "of");
  refused(TWIN AIM "  moves: {other: {levels: [1]}}\n", "gives");
  refused(TWIN AIM "  moves: {dose: {levels: [1], then: 1}}\n", "repeat with a dose");
  refused(TWIN AIM "  moves: {dose: {levels: [1]}}\n  safe: {rate: 1}\n", "safe");
  refused(TWIN AIM "  moves: {dose: {levels: [1]}}\n  decide: 90 min\n", "multiples");
  refused(TWIN AIM "  moves: {dose: {levels: [1]}}\n  safe: {dose: 101}\n", "level 101, expected 0 to 100");
  refused(
      "policy: t\nkind: twin\nevery: 1 h\nreads: {g: level}\ngives: {dose: ''}\nfallback: none.yaml\ntwin:\n"
      "  look: 20000 h\n  moves: {dose: {levels: [1], repeat: 1 h}}\n" AIM,
      "at most 10000 doses");
  refused(TWIN AIM "  moves: {dose: {levels: [1]}}\n  wait: 1e300 h\n", "0 to 4e9");
  refused(TWIN AIM "  moves: {dose: {levels: [1]}}\n  given: {dose: none}\n", "the twin's kind knows");
  refused(TWIN AIM "  moves: {dose: {levels: [1]}}\n  observes: {g: nothing}\n", "no observable");
  refused(TWIN AIM "  moves: {dose: {levels: [1]}}\n  observes: {g: none}\n", "at least one reading");
  refused(TWIN AIM "  moves: {dose: {levels: [1]}}\n  correct: wish\n", "reweight");
  refused(TWIN AIM "  decide: 1 h\n", "only beside `moves`");
  refused(
      TWIN
      "  moves: {dose: {levels: [1]}}\n  rewards: [{id: much, quantity: nothing, functional: integral, weight: 1}]\n",
      "quantity");
  refused(TWIN
          "  moves: {dose: {levels: [1]}}\n  draws: 20\n"
          "  limits: [{id: low, quantity: g, functional: minimum, event: '< 5 mg', probability: '<= 0.1'}]\n",
          "can't hold with 20 draws");
  refused(TWIN "  moves: {dose: {levels: [1]}}\n  quantities: {level: {formula: 'g +', unit: mg}}\n" AIM, "level");
}

static int begin(void **state) {
  (void)state;
  if (!open_rig()) return 1;
  make_kind();
  put("rest.yaml", "policy: rest\nevery: 1 h\ngives: {rate: '0'}\n");
  put("late.yaml", "policy: late\nevery: 30 min\ngives: {late: '0'}\n");
  put("none.yaml", "policy: none\nevery: 1 h\ngives: {dose: '0.25'}\n");
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_best_dose),
                                     cmocka_unit_test(an_offset),
                                     cmocka_unit_test(a_limit),
                                     cmocka_unit_test(a_rate),
                                     cmocka_unit_test(a_late_dose),
                                     cmocka_unit_test(no_safe_move),
                                     cmocka_unit_test(a_belief_that_fails),
                                     cmocka_unit_test(twice),
                                     cmocka_unit_test(what_is_told),
                                     cmocka_unit_test(doses_that_repeat),
                                     cmocka_unit_test(memory_that_fails),
                                     cmocka_unit_test(refusals)};
  return cmocka_run_group_tests(tests, begin, close_rig);
}
