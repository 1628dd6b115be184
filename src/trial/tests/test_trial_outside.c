/* test_trial_outside.c - arms that are asked from outside, side by side on threads and in cross-over; run-in. The
 * kind is x' = -k x with doses into x, whose endpoints are closed forms; a program that does what a rule does must
 * give the rule's endpoints; a twin that looks ahead gives the same bytes for any number of threads. */
#include "trial_rig.h"

static const rig_file files[] = {
    {"k/twin.yaml",
     "kind: k\ntitle: t\nquestion: q\nintended_use: tests\ntime_unit: h\nuntil: 1\nhorizon: 10\nmodel: model.ant\n"
     "parameters: parameters.tsv\npopulation: population.tsv\nobservables: observables.tsv\ncontrols: controls.tsv\n"
     "quantities: quantities.tsv\nmethod: ensemble\n"},
    {"k/model.ant", "model k()\n  x = 0;\n  x' = -k*x;\n  k = 0.1;\nend\n"},
    {"k/parameters.tsv",
     "parameterId\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate\tunit\nsd\tlog\t0.01\t9\t1\t0\tmg\n"
     "tv_k\tlog\t0.001\t9\t0.1\t0\t1/h\n"},
    {"k/population.tsv",
     "parameterId\ttypical\tdistribution\teffectId\tlevel\tvariance\testimate\nk\ttv_k\tlognormal\teta_k\tperson\t0."
     "1\t0\n"},
    {"k/observables.tsv", "observableId\tobservableFormula\tnoiseFormula\tunit\nseen\tx\tsd\tmg\n"},
    {"k/controls.tsv",
     "controlId\ttarget\tunit\tlower\tupper\tduration\tcompartment\niv\tx\tmg\t0\t500\t\t1\n"
     "slow\tx\tmg\t0\t500\t0.5\t2\n"},
    {"k/quantities.tsv", "quantityId\tformula\tunit\nlevel\tx\tmg\n"},
    {"hundred.yaml", "policy: hundred\nevery: 10 h\ngives: {iv: '100'}\n"},
    {"slow.yaml", "policy: slow\nevery: 10 h\ngives: {slow: '100'}\n"},
    {"rule.yaml", "policy: rule\nevery: 1 h\nreads: {r: level}\ngives: {iv: 'max(0, 20 - r)'}\n"},
    {"outside.yaml",
     "policy: outside\nkind: process\nevery: 1 h\nreads: {r: level}\ngives: {iv: ''}\nfallback: rule.yaml\n"
     "command: [python3, outside.py]\ntimeout: 20 s\nstart: 60 s\n"},
    {"outside.py",
     "import sys, json\nsys.stdin.readline()\nprint('{\"ready\":1}', flush=True)\nfor line in sys.stdin:\n"
     "  m = json.loads(line)\n  print(json.dumps({'gives': {'iv': max(0.0, 20 - m['reads']['r'])}}), flush=True)\n"},
    {"short.yaml",
     "policy: short\nkind: process\nevery: 1 h\nreads: {r: level}\ngives: {iv: ''}\nfallback: rule.yaml\n"
     "command: [python3, short.py]\ntimeout: 20 s\nstart: 60 s\n"},
    {"short.py", /* ends after so many steps as its seed's person says */
     "import sys, json\nh = json.loads(sys.stdin.readline())\nprint('{\"ready\":1}', flush=True)\n"
     "for i in range(2 + int(h['person'].split('#')[-1]) % 3 if '#' in h['person'] else 3):\n  sys.stdin.readline()\n"
     "  print('{\"gives\":{\"iv\":5}}', flush=True)\n"},
    {"twin.yaml",
     "policy: twin\nkind: twin\nevery: 1 h\nreads: {r: seen}\ngives: {iv: ''}\nfallback: still.yaml\n"
     "twin:\n  draws: 300\n  look: 6 h\n  update: 3 h\n  correct: reweight\n"
     "  moves: {iv: {levels: [0, 5, 10, 15, 20]}}\n  quantities: {away: {formula: '(r - 20)^2', unit: mg2}}\n"
     "  limits: [{id: top, quantity: r, functional: maximum, event: '> 40 mg', probability: '<= 0.1'}]\n"
     "  rewards: [{id: near, quantity: away, functional: integral, weight: -1}]\n"},
    {"still.yaml", "policy: still\nevery: 1 h\ngives: {iv: '0'}\n"}};

static const char ends[] =
    "endpoints:\n  - {id: last, of: level, metric: final}\n"
    "  - {id: auc, of: level, metric: integral}\n  - {id: given, of: given iv}\n";

static dp_trial_result *run(int nthread, const char *text, dp_trial **trial, dp_ctx **ctx) {
  dp_ctx_def def = dp_ctx_def_default();
  def.nthread = nthread;
  assert_int_equal(dp_ctx_create(&def, ctx), DP_OK);
  const dp_status status = read_trial(*ctx, text, trial);
  if (status != DP_OK) print_message("%s\n", dp_ctx_error(*ctx));
  assert_int_equal(status, DP_OK);
  return run_trial(*ctx, *trial, 0);
}

static void end_of(dp_trial_result *r, dp_trial *t, dp_ctx *ctx) {
  dp_trial_result_destroy(r);
  dp_trial_destroy(t);
  assert_int_equal(dpi_alloc_live(ctx), 0);
  dp_ctx_destroy(ctx);
}

/* Values, incidents and their order are the same for 1, 2 and 7 threads. */
static void threads(void **state) {
  (void)state;
  static const char text[] =
      "trial: t\nkind: ./k\nhorizon: 10 h\nseed: 3\ncohort: {population: kind, n: 9}\npaired: true\n"
      "arms: [{name: rule, policy: rule.yaml}, {name: program, policy: outside.yaml}, "
      "{name: short, policy: short.yaml}, {name: twin, policy: twin.yaml}]\n"
      "endpoints:\n  - {id: last, of: level, metric: final}\n  - {id: given, of: given iv}\n";
  static const int n[] = {1, 2, 7};
  char hash[65] = "", incident[9][200];
  for (int k = 0; k < 3; k++) {
    dp_trial *t;
    dp_ctx *ctx;
    dp_trial_result *r = run(n[k], text, &t, &ctx);
    assert_int_equal(r->arm[1].nincident, 0);
    assert_int_equal(r->arm[2].nincident, 9); /* each ends by itself, and the rule goes on */
    if (r->arm[3].nincident)
      print_message("%s: %s\n", r->incident[r->nincident - 1].person, r->incident[r->nincident - 1].reason);
    assert_int_equal(r->arm[3].nincident, 0);
    for (int i = 0; i < 9; i++) {
      char now[200];
      snprintf(now, sizeof now, "%d %s %g %.100s", r->incident[i].arm, r->incident[i].person, r->incident[i].time,
               r->incident[i].reason);
      if (k) assert_string_equal(now, incident[i]);
      strcpy(incident[i], now);
    }
    if (k) assert_string_equal(hash, r->hash);
    strcpy(hash, r->hash);
    assert_true(fabs(r->arm[0].estimate[0].value - r->arm[1].estimate[0].value) < 1e-4);
    assert_true(r->arm[3].estimate[1].value > 20); /* the twin does something */
    end_of(r, t, ctx);
  }
}

/* In a cross-over, too, a program that does what the rule does gives the rule's endpoints, in either order. */
static void crossover(void **state) {
  (void)state;
  double last[2][2], given[2][2];
  char text[2000];
  for (int outside = 0; outside < 2; outside++) {
    dp_trial *t;
    dp_ctx *ctx;
    snprintf(
        text, sizeof text,
        "trial: t\nkind: ./k\nhorizon: 10 h\nseed: 3\ncohort: {population: kind, n: 8}\ncrossover: {washout: 5 h}\n"
        "arms: [{name: hundred, policy: hundred.yaml}, {name: other, policy: %s.yaml}]\n%s",
        outside ? "outside" : "rule", ends);
    dp_trial_result *r = run(2, text, &t, &ctx);
    assert_int_equal(r->arm[0].nfailed + r->arm[1].nfailed, 0);
    for (int a = 0; a < 2; a++) {
      assert_int_equal(r->arm[a].estimate[0].n, 8);
      last[outside][a] = r->arm[a].estimate[0].value;
      given[outside][a] = r->arm[a].estimate[2].value;
      assert_true(isfinite(r->arm[a].estimate[1].value) && r->arm[a].estimate[1].value > 0);
    }
    end_of(r, t, ctx);
  }
  for (int a = 0; a < 2; a++) {
    assert_true(fabs(last[0][a] - last[1][a]) < 1e-3);
    assert_true(fabs(given[0][a] - given[1][a]) < 1e-2);
  }
  assert_true(fabs(given[0][0] - 100) < 1e-9);
}

/* What happens in the run-in stays in the body and is not counted: x at the end is 100 (e^(-10k) + e^(-20k)), given
 * 100, whether a law decides or somebody outside (slow: over half an hour, by the closed form of an infusion). */
static void run_in(void **state) {
  (void)state;
  static const char *const policy[] = {"hundred", "slow"};
  char text[2000];
  for (int k = 0; k < 2; k++) {
    dp_trial *t;
    dp_ctx *ctx;
    snprintf(text, sizeof text,
             "trial: t\nkind: ./k\nhorizon: 10 h\nrun_in: 10 h\nseed: 3\ncohort: {table: people.tsv}\n"
             "arms: [{name: a, policy: %s.yaml}]\n"
             "endpoints:\n  - {id: last, of: level, metric: final}\n  - {id: auc, of: level, metric: integral}\n"
             "  - {id: given, of: given %s}\n",
             policy[k], k ? "slow" : "iv");
    dp_trial_result *r = run(1, text, &t, &ctx);
    const double K = 0.1, whole = k ? 100 / 0.5 / K * (1 - exp(-K * 0.5)) : 100,
                 since = k ? 9.5 : 10; /* after the dose */
    const double last = whole * (exp(-K * since) + exp(-K * (since + 10)));
    const double begin = whole * exp(-K * since); /* at the end of the run-in */
    const double auc = (begin + 100 - last) / K;  /* what went out by K x dt */
    assert_true(fabs(r->arm[0].estimate[0].value - last) < 1e-3);
    assert_true(fabs(r->arm[0].estimate[1].value - auc) < 1e-2);
    assert_true(r->arm[0].estimate[2].value == 100);
    assert_int_equal(r->arm[0].ndropout, 0);
    end_of(r, t, ctx);
  }
}

static int begin(void **state) {
  (void)state;
  if (!open_folder(files, DPI_COUNT(files))) return 1;
  put("people.tsv", "person\teta_k\na\t0\nb\t0\n");
  return 0;
}

static int finish(void **state) {
  (void)state;
  return !close_folder();
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(threads), cmocka_unit_test(crossover), cmocka_unit_test(run_in)};
  return cmocka_run_group_tests(tests, begin, finish);
}
