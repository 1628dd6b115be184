/* test_trial.c - virtual trials on a kind whose answers are closed forms: x' = -k x, a dose at time 0. Six people with
 * given k, so that means, intervals, shares and differences can be computed by hand (golden values by another program;
 * Student's and Wilson's formulas with quantiles from tables); designs, strata, looks, drop-out, missing endpoints,
 * programs outside, files that are refused. */
#include "base/tests/failing_memory.h"
#include "trial_rig.h"

static dp_ctx *ctx;

static const rig_file files[] = {
    {"k/twin.yaml",
     "kind: k\ntitle: t\nquestion: q\nintended_use: tests\ntime_unit: h\nuntil: 1\nhorizon: 10\nmodel: model.ant\n"
     "parameters: parameters.tsv\ncovariates: covariates.tsv\nobservables: observables.tsv\ncontrols: controls.tsv\n"
     "quantities: quantities.tsv\n"},
    {"k/model.ant", "model k()\n  x = 0;\n  x' = -k*x;\n  k = 0.1;\n  sd = 1;\nend\n"},
    {"k/parameters.tsv",
     "parameterId\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate\tunit\nsd\tlog\t0.01\t9\t1\t0\tmg\n"},
    {"k/covariates.tsv", "covariateId\tunit\tlower\tupper\tmissing\nk\t1/h\t0\t5\t\n"},
    {"k/observables.tsv",
     "observableId\tobservableFormula\tnoiseFormula\tunit\tdvid\nseen\tx\tsd\tmg\t1\n"
     "sugar\t2*x\tsd\tmg/dL\t2\n"},
    {"k/controls.tsv",
     "controlId\ttarget\tunit\tlower\tupper\tduration\tcompartment\niv\tx\tmg\t0\t500\t\t1\nslow\tx\tmg\t0\t500\t2\t2"
     "\n"},
    {"k/quantities.tsv", "quantityId\tformula\tunit\nlevel\tx\tmg\n"},
    {"people.tsv", "person\tk\tage\na\t0.05\t1\nb\t0.08\t2\nc\t0.1\t3\nd\t0.12\t4\ne\t0.2\t5\nf\t0.3\t6\n"},
    {"low.yaml", "policy: low\nevery: 10 h\ngives: {iv: '100'}\n"},
    {"hundred.py",
     "import sys\nsys.stdin.readline()\nprint('{\"ready\":1}', flush=True)\n"
     "for line in sys.stdin:\n  print('{\"gives\":{\"iv\":100}}', flush=True)\n"},
    {"hundred.yaml",
     "policy: hundred\nkind: process\nevery: 10 h\ngives: {iv: ''}\nfallback: low.yaml\n"
     "command: [python3, hundred.py]\n"},
    {"plan.yaml", "policy: plan\nkind: plan\nplan: plan.tsv\n"},
    {"plan.tsv", "controlId\ttime\tamount\niv\t0\t100\n"},
    {"low2.yaml", "policy: low2\nevery: 10 h\ngives: {iv: '100'}\n"},
    {"high.yaml", "policy: high\nevery: 10 h\ngives: {iv: '150'}\n"},
    {"greedy.yaml", "policy: greedy\nevery: 5 h\ngives: {iv: '1000'}\n"},
    {"read.yaml",
     "policy: read\nevery: 1 h\nreads: {r: seen}\nstate: {n: 0}\nnext: {n: n + 1}\ngives: {iv: 'max(0, 20 - r) + "
     "n'}\n"},
    {"outside.yaml",
     "policy: outside\nkind: process\nevery: 1 h\nreads: {r: seen}\ngives: {iv: ''}\nfallback: read.yaml\n"
     "command: [python3, outside.py]\ntimeout: 1 s\n"},
    {"outside.py",
     "import sys, json\nsys.stdin.readline()\nprint('{\"ready\":1}', flush=True)\nn = 0\nfor line in sys.stdin:\n"
     "  m = json.loads(line)\n  print(json.dumps({'gives': {'iv': max(0.0, 20 - m['reads']['r']) + n}}), flush=True)\n"
     "  n += 1\n"},
    {"stuck.yaml",
     "policy: stuck\nkind: process\nevery: 1 h\nreads: {r: seen}\ngives: {iv: ''}\nfallback: read.yaml\n"
     "command: [python3, stuck.py]\ntimeout: 0.3 s\n"},
    {"stuck.py",
     "import sys, time\nsys.stdin.readline()\nprint('{\"ready\":1}', flush=True)\nsys.stdin.readline()\n"
     "print('{\"gives\":{\"iv\":1}}', flush=True)\ntime.sleep(1000)\n"}};

static const char head[] = "trial: t\nkind: ./k\nhorizon: 10 h\nseed: 3\n";
static const char two[] = "arms: [{name: low, policy: low.yaml}, {name: high, policy: high.yaml}]\n";
static const char ends[] =
    "endpoints:\n  - {id: last, of: level, metric: final}\n"
    "  - {id: above, of: level, metric: time_above, level: 50}\n"
    "  - {id: auc, of: level, metric: integral}\n"
    "  - {id: share, of: level, metric: final, event: '> 18'}\n"
    "  - {id: total, of: given iv}\n";

static dp_trial *open_trial(const char *text, dp_status expected) {
  dp_trial *t = NULL;
  const dp_status status = read_trial(ctx, text, &t);
  if (status != expected) print_message("%s\n", dp_ctx_error(ctx));
  assert_int_equal(status, expected);
  return t;
}

static char *join(const char *a, const char *b, const char *c, const char *d) {
  static char text[8000];
  snprintf(text, sizeof text, "%s%s%s%s", a, b, c, d);
  return text;
}

static dp_trial_result *run(const dp_trial *t, int n) { return run_trial(ctx, t, n); }

static void is(const dp_trial_estimate *e, int n, double value, double low, double high, double tolerance) {
  if (e->n != n || !(fabs(e->value - value) <= tolerance) || !(fabs(e->low - low) <= tolerance) ||
      !(fabs(e->high - high) <= tolerance))
    print_message("n %d: %.12g [%.12g, %.12g], expected n %d: %.12g [%.12g, %.12g]\n", e->n, e->value, e->low, e->high,
                  n, value, low, high);
  assert_int_equal(e->n, n);
  assert_true(fabs(e->value - value) <= tolerance);
  assert_true(fabs(e->low - low) <= tolerance);
  assert_true(fabs(e->high - high) <= tolerance);
}

static const dp_trial_difference *difference(const dp_trial_result *r, int endpoint) {
  for (int k = 0; k < r->ndifference; k++)
    if (r->difference[k].endpoint == endpoint) return &r->difference[k];
  fail();
  return NULL;
}

/* The same six people in both arms. */
static void closed_forms(void **state) {
  (void)state;
  dp_trial *t = open_trial(join(head, "cohort: {table: people.tsv}\npaired: true\n", two, ends), DP_OK);
  dp_trial_result *r = run(t, 0);
  assert_int_equal(r->nperson, 6);
  assert_int_equal(r->ncall, 12);
  is(&r->arm[0].estimate[0], 6, 31.834260475299605, 10.400503988114984, 53.268016962484225, 1e-7);
  is(&r->arm[1].estimate[0], 6, 47.75139071294941, 15.600755982172466, 79.90202544372636, 1e-7);
  assert_true(fabs(r->arm[0].estimate[1].value - 61.913774286551984) < 1e-6);
  assert_true(fabs(r->arm[0].estimate[2].value - 573.1343655426112) < 1e-5);
  is(&r->arm[0].estimate[3], 6, 400.0 / 6, 29.9993315138392, 90.32285888942195, 1e-6);
  is(&r->arm[1].estimate[3], 6, 500.0 / 6, 43.649717177812987, 96.99466302516935, 1e-6);
  assert_true(r->arm[0].estimate[4].value == 100 && r->arm[1].estimate[4].value == 150);
  const dp_trial_difference *d = difference(r, 0);
  assert_int_equal(d->arm, 1);
  is(&d->estimate, 6, 15.917130237649802, 5.2002519940574885, 26.634008481242116, 1e-7);
  assert_true(fabs(d->p - 0.012399290906791816) < 1e-9);
  d = difference(r, 3);
  is(&d->estimate, 6, 100.0 / 6, -29.041007806848995, 54.041007806849, 1e-6);
  assert_true(fabs(d->p - 1) < 1e-12);
  dp_trial_result_destroy(r);
  dp_trial_destroy(t);
}

/* An amount that is the bound to the bit: <= and >= hold there, < and > do not; by a law, by a plan, from outside. */
static void events_at_their_bound(void **state) {
  (void)state;
  static const char four[] =
      "endpoints:\n  - {id: a, of: given iv, event: '>= 100'}\n  - {id: b, of: given iv, event: '> 100'}\n"
      "  - {id: c, of: given iv, event: '<=100 mg'}\n  - {id: d, of: given iv, event: '< 100'}\n";
  static const char arms[] =
      "arms: [{name: law, policy: low.yaml}, {name: plan, policy: plan.yaml}, {name: outside, policy: hundred.yaml}]\n";
  dp_trial *t = open_trial(join(head, "cohort: {table: people.tsv}\npaired: true\n", arms, four), DP_OK);
  dp_trial_result *r = run(t, 2);
  for (int a = 0; a < 3; a++)
    for (int e = 0; e < 4; e++) assert_true(r->arm[a].estimate[e].value == (e % 2 ? 0 : 100));
  dp_trial_result_destroy(r);
  dp_trial_destroy(t);
}

/* Metrics of readings, against NumPy: 300 mg/dL e^(-k t) at 0, 1, ... 9 h, by a sensor without error. */
static void readings(void **state) {
  (void)state;
  static const struct {
    const char *metric;
    double mean;
  } of[] = {{"time_between, range: [70, 180]", 33.333333333333336},
            {"time_below, level: 70", 11.666666666666666},
            {"time_above, level: 180, as: time", 5.5},
            {"mean", 182.44359338026968},
            {"sd", 65.25882858557931},
            {"cv", 41.383075814791695},
            {"maximum", 300},
            {"minimum", 105.15249969643098},
            {"gmi", 7.67405075365605},
            {"lbgi", 4.797217362479833},
            {"hbgi", 12.154735783271953}};
  char text[3000];
  int n = snprintf(text, sizeof text,
                   "%scohort: {table: people.tsv}\npaired: true\nsampling: 1 h\nrtol: 1e-10\natol: 1e-10\n"
                   "inputs: {iv: {scenario: [[0 h, 150]]}}\nsensor: {sugar: {value: sugar}}\n"
                   "arms: [{name: none, policy: none.yaml}]\nendpoints:\n",
                   head);
  put("none.yaml", "policy: none\nevery: 10 h\ngives: {iv: '0'}\n");
  for (int k = 0; k < DPI_COUNT(of); k++)
    n += snprintf(text + n, sizeof text - (size_t)n, "  - {id: e%d, of: sugar, by: readings, metric: %s}\n", k,
                  of[k].metric);
  dp_trial *t = open_trial(text, DP_OK);
  dp_trial_result *r = run(t, 0);
  for (int k = 0; k < DPI_COUNT(of); k++) {
    const double x = r->arm[0].estimate[k].value;
    if (!(fabs(x - of[k].mean) < 1e-6)) fail_msg("%s: %.12g, expected %.12g", of[k].metric, x, of[k].mean);
  }
  dp_trial_result_destroy(r);
  dp_trial_destroy(t);
}

/* Cross-over: in the second period what is left of the first is still there. x after a period of 10 h, a wash-out of
 * 20 h and
 * another period is dose2 e^(-10 k) + dose1 e^(-40 k). Both sequences occur as often. */
static void crossover(void **state) {
  (void)state;
  static const double ks[] = {0.05, 0.08, 0.1, 0.12, 0.2, 0.3};
  dp_trial *t =
      open_trial(join(head, "cohort: {table: people.tsv, n: 600}\ncrossover: {washout: 20 h}\n", two, ends), DP_OK);
  dp_trial_result *r = run(t, 0);
  double first = 0, left = 0;
  for (int i = 0; i < 6; i++) first += 100 * exp(-10 * ks[i]) / 6, left += 150 * exp(-40 * ks[i]) / 6;
  /* who begins with the low dose has nothing left in it: half of all people, up to chance in how the six are shared
   * out */
  assert_int_equal(r->ncall, 600);
  assert_int_equal(r->arm[0].estimate[0].n, 600);
  assert_true(fabs(r->arm[0].estimate[0].value - (first + left / 2)) < 0.25);
  assert_true(r->arm[0].estimate[0].value > first);
  assert_true(fabs(r->arm[1].estimate[2].value - r->arm[0].estimate[2].value * 1.5) < 40);
  assert_true(r->arm[0].estimate[4].value == 100 && r->arm[1].estimate[4].value == 150);
  dp_trial_result_destroy(r);
  dp_trial_destroy(t);
}

/* A parameter that one arm's policy sets is the person's own again when the other arm's period comes: after a wash-out
 * in which nothing is left the area is that of the same dose in anybody, as the first in line or the second. */
static void crossover_gives_back(void **state) {
  (void)state;
  put("fast.yaml", "policy: fast\nevery: 10 h\ngives: {iv: '100', k: '2'}\n");
  for (int next = 0; next < 2; next++) {
    static const char *const design[] = {"crossover: {washout: 400 h}\n",
                                         "crossover: {washout: 400 h, during: next}\n"};
    dp_trial *t = open_trial(join(head, "cohort: {table: people.tsv, n: 60}\n", design[next],
                                  "arms: [{name: low, policy: low.yaml}, {name: fast, policy: fast.yaml}]\n"
                                  "endpoints: [{id: auc, of: level, metric: integral}]\n"),
                             DP_OK);
    dp_trial_result *r = run(t, 0);
    if (next) /* doses every 10 h all the time: who is first has one, who is second is at steady state */
      assert_true(r->arm[0].estimate[0].value > 600 && r->arm[0].estimate[0].value < 1200);
    else
      assert_true(fabs(r->arm[0].estimate[0].value - 573.1343655426112) < 1e-3);
    dp_trial_result_destroy(r);
    dp_trial_destroy(t);
  }
}

/* Permuted blocks: arms are equal in size to the person, and everybody is in one. */
static void parallel(void **state) {
  (void)state;
  dp_trial *t =
      open_trial(join(head, "cohort: {table: people.tsv, n: 602}\nrandomisation: {blocks: 4}\n", two, ends), DP_OK);
  dp_trial_result *r = run(t, 0);
  assert_int_equal(r->arm[0].nperson + r->arm[1].nperson, 602);
  assert_true(abs(r->arm[0].nperson - r->arm[1].nperson) <= 2);
  assert_int_equal(r->ncall, 602);
  const dp_trial_estimate *a = &r->arm[0].estimate[0], *b = &r->arm[1].estimate[0], *d = &difference(r, 0)->estimate;
  const double se = sqrt(a->sd * a->sd / a->n + b->sd * b->sd / b->n);
  assert_true(fabs(d->value - (b->value - a->value)) < 1e-9);
  assert_true(fabs((d->high - d->low) / 2 / se - 1.964) < 0.01); /* Student's quantile at some 500 degrees of freedom */
  dp_trial_result_destroy(r);
  dp_trial_destroy(t);
}

/* Drop-out and missing endpoints are chance of known size: within 5 standard deviations (one in two million). */
static void losses(void **state) {
  (void)state;
  char text[4000];
  snprintf(text, sizeof text, "%s%s%s%s", head,
           "cohort: {table: people.tsv, n: 4000}\npaired: true\nmissing: 0.1\n"
           "dropout: {probability: 0.2, per: 10 h, analysis: exclude}\n",
           two, ends);
  dp_trial *t = open_trial(text, DP_OK);
  dp_trial_result *r = run(t, 0);
  assert_true(fabs(r->arm[0].ndropout - 800.0) < 5 * sqrt(4000 * 0.2 * 0.8));
  assert_int_equal(r->arm[0].ndropout, r->arm[1].ndropout); /* people leave, whatever the arm */
  const int n = r->arm[0].estimate[0].n;
  assert_true(fabs(n - 4000 * 0.8 * 0.9) < 5 * sqrt(4000 * 0.72 * 0.28));
  assert_int_equal(r->arm[0].estimate[4].value, 100);
  dp_trial_result_destroy(r);
  dp_trial_destroy(t);
}

/* Who leaves between two decisions: what was seen until then counts, also where the policy is asked from outside. */
static void losses_outside(void **state) {
  (void)state;
  put("hourly.yaml", "policy: hourly\nevery: 1 h\nreads: {r: seen}\ngives: {slow: '1'}\n"); /* infusions: no law */
  dp_trial *t = open_trial(
      join(head, "cohort: {table: people.tsv, n: 400}\npaired: true\ndropout: {probability: 0.5, per: 10 h}\n",
           "arms: [{name: low, policy: low.yaml}, {name: hourly, policy: hourly.yaml}]\n",
           "endpoints: [{id: last, of: level, metric: final}, {id: auc, of: level, metric: integral}, "
           "{id: g, of: level, metric: final, event: '> 1'}]\n"),
      DP_OK);
  dp_trial_result *r = run(t, 0);
  assert_true(r->arm[0].ndropout > 150 && r->arm[0].ndropout < 250);
  assert_int_equal(r->arm[0].ndropout, r->arm[1].ndropout);
  for (int e = 0; e < 3; e++) {
    assert_int_equal(r->arm[0].estimate[e].n, 400);
    assert_int_equal(r->arm[1].estimate[e].n, 400);
  }
  assert_int_equal(r->arm[1].nmissing, 0);
  dp_trial_result_destroy(r);
  dp_trial_destroy(t);
}

/* A rule that gives no number fails the person, not the trial, whether a law or a session decides. */
static void a_rule_without_a_number(void **state) {
  (void)state;
  put("root.yaml", "policy: root\nevery: 1 h\nreads: {r: level}\nperson: [k]\ngives: {iv: 'sqrt(0.15 - k)'}\n");
  put("slow_root.yaml", "policy: root\nevery: 1 h\nreads: {r: level}\nperson: [k]\ngives: {slow: 'sqrt(0.15 - k)'}\n");
  dp_trial *t = open_trial(join(head, "cohort: {table: people.tsv}\npaired: true\n",
                                "arms: [{name: law, policy: root.yaml}, {name: session, policy: slow_root.yaml}]\n",
                                "endpoints: [{id: last, of: level, metric: final}]\n"),
                           DP_OK);
  dp_trial_result *r = run(t, 0);
  for (int a = 0; a < 2; a++) {
    assert_int_equal(r->arm[a].nfailed, 2); /* k = 0.2 and 0.3 */
    assert_int_equal(r->arm[a].estimate[0].n, 4);
  }
  assert_int_equal(r->nincident, 4);
  assert_non_null(strstr(r->incident[3].reason, "no finite number at time 0"));
  assert_true(*dp_ctx_error(ctx) == 0);
  dp_trial_result_destroy(r);
  dp_trial_destroy(t);
}

/* Infinitely much is no dose either: a bound does not make one of it. */
static void a_rule_without_bounds(void **state) {
  (void)state;
  put("pole.yaml", "policy: pole\nevery: 1 h\nreads: {r: level}\nperson: [age]\ngives: {iv: '1/(age - 3)'}\n");
  put("slow_pole.yaml", "policy: pole\nevery: 1 h\nreads: {r: level}\nperson: [age]\ngives: {slow: '1/(age - 3)'}\n");
  dp_trial *t = open_trial(join(head, "cohort: {table: people.tsv}\npaired: true\n",
                                "arms: [{name: law, policy: pole.yaml}, {name: session, policy: slow_pole.yaml}]\n",
                                "endpoints: [{id: last, of: level, metric: final}]\n"),
                           DP_OK);
  dp_trial_result *r = run(t, 0);
  for (int a = 0; a < 2; a++) {
    assert_int_equal(r->arm[a].nfailed, 1);
    assert_int_equal(r->arm[a].estimate[0].n, 5);
  }
  dp_trial_result_destroy(r);
  dp_trial_destroy(t);
}

static void same_bytes(void **state) {
  (void)state;
  char hash[3][65];
  for (int k = 0; k < 3; k++) {
    dp_ctx_def def = dp_ctx_def_default();
    dp_ctx *own = ctx, *other = NULL;
    def.nthread = k == 1 ? 2 : k == 2 ? 3 : 1;
    assert_int_equal(dp_ctx_create(&def, &other), DP_OK);
    ctx = other;
    dp_trial *t =
        open_trial(join(head, "cohort: {table: people.tsv, n: 3000, resample: true, jitter: 0.2}\npaired: true\n",
                        "arms: [{name: a, policy: read.yaml}, {name: b, policy: greedy.yaml}]\n",
                        "endpoints: [{id: m, of: seen, by: readings, metric: mean}, {id: s, of: seen, by: readings, "
                        "metric: sd}]\n"),
                   DP_OK);
    dp_trial_result *r = run(t, 0);
    strcpy(hash[k], r->hash);
    assert_true(r->arm[1].nlimited == 3000 * 2); /* 1000 mg are cut to 500 */
    dp_trial_result_destroy(r);
    dp_trial_destroy(t);
    ctx = own;
    dp_ctx_destroy(other);
  }
  assert_string_equal(hash[0], hash[1]);
  assert_string_equal(hash[0], hash[2]);
}

/* A rule in the sim and the same rule in a program outside read the same noise and give the same. */
static void outside(void **state) {
  (void)state;
  dp_trial *t = open_trial(
      join(head, "cohort: {table: people.tsv}\npaired: true\n",
           "arms: [{name: rule, policy: read.yaml}, {name: program, policy: outside.yaml}]\n",
           "endpoints: [{id: m, of: seen, by: readings, metric: mean}, {id: a, of: level, metric: integral}, "
           "{id: g, of: given iv}]\n"),
      DP_OK);
  dp_trial_result *r = run(t, 0);
  assert_int_equal(r->nincident, 0);
  for (int e = 0; e < 3; e++) {
    assert_int_equal(r->arm[1].estimate[e].n, 6);
    assert_true(fabs(difference(r, e)->estimate.value) < 1e-9 * fabs(r->arm[0].estimate[e].value));
  }
  dp_trial_result_destroy(r);
  dp_trial_destroy(t);
}

static void a_program_that_hangs(void **state) {
  (void)state;
  dp_trial *t = open_trial(join(head, "cohort: {table: people.tsv, n: 2}\npaired: true\n",
                                "arms: [{name: stuck, policy: stuck.yaml}]\n", "endpoints: [{id: g, of: given iv}]\n"),
                           DP_OK);
  dp_trial_result *r = run(t, 0);
  assert_int_equal(r->nincident, 2);
  assert_int_equal(r->arm[0].nincident, 2);
  assert_true(r->incident[0].time == 1);
  assert_non_null(strstr(r->incident[0].reason, "no answer within 0.3 s"));
  assert_int_equal(r->arm[0].estimate[0].n, 2);
  char *text = NULL;
  assert_int_equal(dp_trial_json(r, &text), DP_OK);
  assert_non_null(strstr(text, "no answer within 0.3 s"));
  dp_trial_text_free(r, text);
  assert_int_equal(dp_trial_page(r, &text), DP_OK);
  assert_non_null(strstr(text, "no answer within 0.3 s"));
  dp_trial_text_free(r, text);
  dp_trial_result_destroy(r);
  dp_trial_destroy(t);
}

/* A rule that gives an infusion of 2 h is asked person by person: what is left at 10 h is
 * D/(2 k) (1 - e^(-2 k)) e^(-8 k), and the area is (D - that)/k. */
static void an_infusion(void **state) {
  (void)state;
  static const double ks[] = {0.05, 0.08, 0.1, 0.12, 0.2, 0.3};
  double left = 0, area = 0;
  for (int i = 0; i < 6; i++) {
    const double x = 100 / (2 * ks[i]) * (1 - exp(-2 * ks[i])) * exp(-8 * ks[i]);
    left += x / 6, area += (100 - x) / ks[i] / 6;
  }
  put("slow.yaml", "policy: slow\nevery: 10 h\ngives: {slow: '100'}\n");
  dp_trial *t =
      open_trial(join(head, "cohort: {table: people.tsv}\n", "arms: [{name: slow, policy: slow.yaml}]\n",
                      "endpoints: [{id: last, of: level, metric: final}, {id: auc, of: level, metric: integral}, "
                      "{id: g, of: given slow}]\n"),
                 DP_OK);
  dp_trial_result *r = run(t, 0);
  assert_true(fabs(r->arm[0].estimate[0].value - left) < 1e-7);
  assert_true(fabs(r->arm[0].estimate[1].value - area) < 1e-6);
  assert_true(r->arm[0].estimate[2].value == 100);
  dp_trial_result_destroy(r);
  dp_trial_destroy(t);
}

/* Jittered people matched to other means: acceptance is told, the whole distribution is that of the target (a row that
 * passes by Kolmogorov's distance), and the mean is met within 5 standard errors and 2 of 100 of an sd, which kernels
 * smooth away. A target where hardly anybody is does not pass. */
static void matched(void **state) {
  (void)state;
  static const struct {
    const char *match;
    double mean, sd;
    bool met;
  } cases[] = {{"k: {mean: 0.15, sd: 0.03}", 0.15, 0.03, true},
               {"k: {mean: 0.12, sd: 0.03}, age: {mean: 3, sd: 0.6}", 0.12, 0.03, true},
               {"k: {mean: 0.7, sd: 0.05}", 0.7, 0.05, false}};
  for (int c = 0; c < DPI_COUNT(cases); c++) {
    char cohort[300];
    snprintf(cohort, sizeof cohort,
             "cohort: {table: people.tsv, n: 2000, resample: true, jitter: 0.3, match: {%s}}\npaired: true\n",
             cases[c].match);
    dp_trial *t = open_trial(join(head, cohort, "arms: [{name: low, policy: low.yaml}]\n",
                                  "endpoints: [{id: a, of: level, metric: integral}]\n"),
                             DP_OK);
    dp_trial_result *r = run(t, 0);
    assert_true(r->ncandidate > 2000);
    assert_true(fabs(r->acceptance - 2000.0 / (double)r->ncandidate) < 1e-12);
    int found = 0;
    for (int i = 0; i < r->credibility.nevidence; i++) {
      const dp_trial_evidence *e = &r->credibility.evidence[i];
      if (!strstr(e->what, "of those accepted")) continue;
      if (cases[c].met != (e->state == DP_EVIDENCE_PASS)) fail_msg("%d: %s", c, e->what);
      if (!strstr(e->what, "'k' of those accepted")) continue;
      found++;
      if (cases[c].met && !(fabs(e->value - cases[c].mean) < cases[c].sd * (5 / sqrt(2000) + 0.02)))
        fail_msg("%d: %s", c, e->what);
    }
    assert_int_equal(found, 1);
    dp_trial_result_destroy(r);
    dp_trial_destroy(t);
  }
}

/* Matched by what the model has of people: 100 mg at once, and after 5 h 60 mg +- 5 are to be left of it. What the
 * trial itself then finds at its end is of that distribution: mean within 5 standard errors and 2 of 100 of an sd, the
 * 5 and 95 % points within 0.15 sd; and simulations are counted, the pilot's 2,000 and the last block's too. */
static void matched_by_outputs(void **state) {
  (void)state;
  put("wide.tsv", "person\tk\na\t0.1\n");
  put("none.yaml", "policy: none\nevery: 10 h\ngives: {iv: '0'}\n");
  dp_trial *t = open_trial(
      "trial: t\nkind: ./k\nhorizon: 5 h\nseed: 3\npaired: true\n"
      "cohort: {table: wide.tsv, n: 2000, resample: true, jitter: 0.5, match: {level at 300 min: "
      "{mean: 60, sd: 5}}}\n"
      "inputs: {iv: {scenario: [[0 h, 100]]}}\narms: [{name: none, policy: none.yaml}]\n"
      "endpoints: [{id: a, of: level, metric: final}]\n",
      DP_OK);
  dp_trial_result *r = run(t, 0);
  const dp_trial_arm *a = &r->arm[0];
  if (!(fabs(a->estimate[0].value - 60) < 5 * (5 / sqrt(2000) + 0.02)))
    fail_msg("mean %g, expected 60", a->estimate[0].value);
  if (!(fabs(a->q05[0] - (60 - 5 * 1.6449)) < 0.75) || !(fabs(a->q95[0] - (60 + 5 * 1.6449)) < 0.75))
    fail_msg("5 and 95 %%: %g, %g", a->q05[0], a->q95[0]);
  assert_true(r->nmatched >= r->ncandidate + 2000 && r->nmatched < r->ncandidate + 2256);
  assert_int_equal(r->ncall, 2000);
  dp_trial_result_destroy(r);
  dp_trial_destroy(t);
}

/* Power: two thirds of a standard deviation with 36 people each is found in 4 of 5 trials (tables: 0.80 at d = 0.667).
 * */
static void power(void **state) {
  (void)state;
  put("big.tsv", "person\tk\na\t0.05\n");
  put("noise_a.yaml", "policy: a\nevery: 10 h\nreads: {r: seen}\ngives: {iv: '100 + 3*r'}\n");
  put("noise_b.yaml",
      "policy: b\nevery: 10 h\nreads: {r: seen}\ngives: {iv: '102 + 3*r'}\n"); /* reading: noise, sd 1 */
  dp_trial *t = open_trial(
      join(head, "cohort: {table: big.tsv, n: 8000}\nrandomisation: {blocks: 2}\npower: {n: 36, trials: 4000}\n",
           "arms: [{name: a, policy: noise_a.yaml}, {name: b, policy: noise_b.yaml}]\n",
           "endpoints: [{id: g, of: given iv}]\n"),
      DP_OK);
  dp_trial_result *r = run(t, 0);
  const dp_trial_difference *d = difference(r, 0);
  assert_int_equal(d->power_n, 36);
  /* the effect of 4000 people an arm is itself uncertain by 0.067 of 2: 0.03 in power */
  assert_true(fabs(d->power - 0.80) < 0.08);
  assert_true(d->power_low < d->power && d->power < d->power_high && d->power_high - d->power_low < 0.04);
  dp_trial_result_destroy(r);
  dp_trial_destroy(t);
}

/* Intervals at 95 % hold the truth 95 times of 100: what is given is 100 or 102 mg and noise of sd 3. Of 200 trials
 * (seeds 1 to 200) at least 174 must; fewer by chance 6 times in a million for both. Means by t, differences by
 * Welch. */
static void intervals_hold(void **state) {
  (void)state;
  int mean = 0, apart = 0;
  put("big.tsv", "person\tk\na\t0.05\n");
  put("noise_a.yaml", "policy: a\nevery: 10 h\nreads: {r: seen}\ngives: {iv: '100 + 3*r'}\n");
  put("noise_b.yaml", "policy: b\nevery: 10 h\nreads: {r: seen}\ngives: {iv: '102 + 3*r'}\n");
  for (int seed = 1; seed <= 200; seed++) {
    char text[1000];
    snprintf(
        text, sizeof text,
        "trial: t\nkind: ./k\nhorizon: 10 h\nseed: %d\ncohort: {table: big.tsv, n: 24}\nrandomisation: {blocks: 4}\n"
        "arms: [{name: a, policy: noise_a.yaml}, {name: b, policy: noise_b.yaml}]\nendpoints: [{id: g, of: given "
        "iv}]\n",
        seed);
    dp_trial *t = open_trial(text, DP_OK);
    dp_trial_result *r = run(t, 0);
    const dp_trial_estimate *a = &r->arm[0].estimate[0], *d = &difference(r, 0)->estimate;
    assert_int_equal(a->n, 12);
    mean += a->low <= 100 && 100 <= a->high;
    apart += d->low <= 2 && 2 <= d->high;
    dp_trial_result_destroy(r);
    dp_trial_destroy(t);
  }
  if (mean < 174 || apart < 174) print_message("of 200 intervals %d and %d hold the truth\n", mean, apart);
  assert_true(mean >= 174 && apart >= 174);
  assert_true(mean < 200 || apart < 200); /* intervals that always hold are too wide: 0.95^400 by chance */
}

/* Something that happens to everybody in the second period is no difference of arms: four people have the high dose
 * first and three the low one, or the other way, and all are alike, so that the difference is 50 mg's area to the
 * digit. */
static void crossover_periods(void **state) {
  (void)state;
  put("big.tsv", "person\tk\na\t0.05\n");
  dp_trial *t = open_trial(join(head,
                                "cohort: {table: big.tsv, n: 7}\ncrossover: {washout: 400 h}\n"
                                "inputs: {iv: {scenario: [[411 h, 80 mg]]}}\n",
                                two, "endpoints: [{id: auc, of: level, metric: integral}]\n"),
                           DP_OK);
  dp_trial_result *r = run(t, 0);
  const dp_trial_difference *d = difference(r, 0);
  assert_int_equal(d->estimate.n, 7);
  assert_string_equal(d->test, "cross-over t");
  assert_true(fabs(d->estimate.value - 50 * (1 - exp(-0.5)) / 0.05) < 1e-4);
  assert_true(fabs(r->arm[1].estimate[0].value - r->arm[0].estimate[0].value - d->estimate.value) > 10);
  dp_trial_result_destroy(r);
  dp_trial_destroy(t);
  /* told with the engine's own rows; where one order alone is left, there is no difference */
  t = open_trial(join(head, "cohort: {table: big.tsv, n: 1}\ncrossover: {washout: 400 h}\n", two,
                      "endpoints: [{id: auc, of: level, metric: integral}]\n"),
                 DP_OK);
  r = run(t, 0);
  assert_string_equal(difference(r, 0)->test, "none: nobody in a sequence");
  assert_true(isnan(difference(r, 0)->estimate.value));
  dp_trial_result_destroy(r);
  dp_trial_destroy(t);
}

/* How often, in 600 trials (seeds 1 to 600), p is below 0.05. */
static int found(const char *text) {
  int n = 0;
  for (int seed = 1; seed <= 600; seed++) {
    char all[1500];
    snprintf(all, sizeof all, "trial: t\nkind: ./k\nhorizon: 10 h\nseed: %d\n%s", seed, text);
    dp_trial *t = open_trial(all, DP_OK);
    dp_trial_result *r = run(t, 0);
    assert_true(isfinite(difference(r, 0)->p));
    n += difference(r, 0)->p < 0.05;
    dp_trial_result_destroy(r);
    dp_trial_destroy(t);
  }
  return n;
}

/* Trials of two arms that are the same: p < 0.05 in one of twenty. Of 600, 8 to 58 are what chance does but for a
 * probability of 9e-7 on a side (binomial law). In the cross-over people differ, and what the first arm leaves behind
 * is there in the second period. */
static void nothing_differs(void **state) {
  (void)state;
  static const char *const designs[] = {
      "cohort: {table: big.tsv, n: 24}\nrandomisation: {blocks: 4}\n"
      "arms: [{name: a, policy: noise_a.yaml}, {name: b, policy: noise_b.yaml}]\n"
      "endpoints: [{id: g, of: given iv}]\n",
      "cohort: {table: people.tsv, n: 13, resample: true, jitter: 0.3}\ncrossover: {washout: 2 h}\n"
      "arms: [{name: a, policy: noise_a.yaml}, {name: b, policy: noise_b.yaml}]\n"
      "endpoints: [{id: auc, of: level, metric: integral}]\n"};
  put("big.tsv", "person\tk\na\t0.05\n");
  put("noise_a.yaml", "policy: a\nevery: 10 h\nreads: {r: seen}\ngives: {iv: '100 + 3*r'}\n");
  put("noise_b.yaml", "policy: b\nevery: 10 h\nreads: {r: seen}\ngives: {iv: '100 + 3*r'}\n");
  for (int k = 0; k < DPI_COUNT(designs); k++) {
    const int n = found(designs[k]);
    if (n < 8 || n > 58) fail_msg("design %d: p < 0.05 in %d of 600 trials of nothing", k, n);
  }
}

/* Permuted blocks of four within three strata of age: nowhere do arms differ by more than two people, everybody is in
 * the stratum of their age, the first 40 of 90 people are put where they are among 40, and tests are of strata. */
static void strata(void **state) {
  (void)state;
  static const char design[] =
      "cohort: {table: people.tsv, n: 90, resample: true, jitter: {k: 0.2}}\n"
      "randomisation: {blocks: 4, strata: {age: [3, 5.5]}}\npower: {n: 20, trials: 100}\n";
  dp_trial *t = open_trial(join(head, design, two, ends), DP_OK);
  dp_trial_result *r = run(t, 0), *few = run(t, 40);
  static const char *const names[] = {"age < 3", "3 <= age < 5.5", "age >= 5.5"};
  int all = 0;
  assert_int_equal(r->nstratum, 3);
  for (int s = 0; s < 3; s++) {
    const int *n = r->stratum[s].nperson, *m = few->stratum[s].nperson;
    assert_string_equal(r->stratum[s].name, names[s]);
    assert_true(abs(n[0] - n[1]) <= 2 && abs(m[0] - m[1]) <= 2);
    assert_true(n[0] >= m[0] && n[1] >= m[1]);
    assert_true(n[0] + n[1] > (s == 2 ? 3 : 15)); /* of 90, 30, 45 and 15 are expected */
    all += n[0] + n[1];
  }
  assert_int_equal(all, 90);
  assert_int_equal(r->arm[0].nperson, r->stratum[0].nperson[0] + r->stratum[1].nperson[0] + r->stratum[2].nperson[0]);
  assert_string_equal(difference(r, 0)->test, "stratified t");
  assert_string_equal(difference(r, 0)->estimate.method, "stratified t");
  assert_string_equal(difference(r, 3)->estimate.method, "Miettinen-Nurminen in strata");
  assert_true(difference(r, 0)->power > 0 && difference(r, 0)->power <= 1);
  dp_trial_result_destroy(few);
  dp_trial_result_destroy(r);
  dp_trial_destroy(t);
  /* somebody without the number: jitter can take it beyond what a double holds */
  put("odd.tsv", "person\tk\tage\na\t0.1\t1\nb\t0.1\t1.7e308\n");
  t = open_trial(
      join(head, "cohort: {table: odd.tsv, n: 8, jitter: {age: 2}}\nrandomisation: {strata: {age: [3]}}\n", two, ends),
      DP_OK);
  assert_int_equal(dp_trial_run(t, &(dp_trial_def){.cookie = dp_trial_def_default().cookie}, &r), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(ctx), "trial.yaml:6: strata: person 'b/"));
  dp_ctx_clear_error(ctx);
  dp_trial_destroy(t);
  /* two numbers: every pair of intervals is a stratum; the bootstrap draws within them */
  t = open_trial(join(head,
                      "cohort: {table: people.tsv, n: 60, resample: true, jitter: {k: 0.2}}\ninterval: bootstrap\n"
                      "randomisation: {strata: {age: [4], k: [0.1]}}\n",
                      two, ends),
                 DP_OK);
  r = run(t, 0);
  assert_int_equal(r->nstratum, 4);
  assert_string_equal(r->stratum[1].name, "age < 4, k >= 0.1");
  const dp_trial_estimate *e = &difference(r, 0)->estimate;
  assert_string_equal(e->method, "stratified bootstrap");
  assert_true(e->low < e->value && e->value < e->high);
  dp_trial_result_destroy(r);
  dp_trial_destroy(t);
}

/* Half as much again is found at the first look that sees enough people, and where nothing differs at none; the text of
 * the result has both. */
static void looks(void **state) {
  (void)state;
  static const char design[] =
      "cohort: {table: people.tsv, n: 100, resample: true, jitter: {k: 0.2}}\n"
      "looks: {at: [0.1, 0.5, 1], boundary: lan-demets-obrien-fleming}\npower: {n: 20, trials: 200}\n";
  dp_trial *t = open_trial(join(head, design, two, "endpoints: [{id: auc, of: level, metric: integral}]\n"), DP_OK);
  dp_trial_result *r = run(t, 0);
  const dp_trial_difference *d = difference(r, 0);
  assert_int_equal(r->nlook, 3);
  assert_true(r->look[0].people == 10 && r->look[1].people == 50 && r->look[2].people == 100);
  int first = 0;
  for (int k = 3; k > 0; k--)
    if (d->seen[k - 1].p <= r->look[k - 1].p) first = k;
  assert_int_equal(d->crossed, first);
  assert_true(first >= 2); /* ten people do not reach |z| 7 */
  assert_true(d->power_people >= 4 && d->power_people <= 40);
  char *text = NULL;
  assert_int_equal(dp_trial_json(r, &text), DP_OK);
  assert_non_null(strstr(text, "\"crossed_at_look\":"));
  dp_trial_text_free(r, text);
  dp_trial_result *part = run(t, 50);
  assert_true(part->look[2].people == 50);
  assert_true(fabs(difference(part, 0)->p / d->seen[1].p - 1) <
              1e-9); /* the second look saw the trial of the first 50 */
  dp_trial_result_destroy(part);
  dp_trial_result_destroy(r);
  dp_trial_destroy(t);
  t = open_trial(join(head,
                      "cohort: {table: people.tsv, n: 60}\npaired: true\nlooks: {at: 4, boundary: pocock}\n"
                      "arms: [{name: low, policy: low.yaml}, {name: same, policy: low2.yaml}]\n",
                      "endpoints: [{id: auc, of: level, metric: integral}]\n", ""),
                 DP_OK);
  r = run(t, 0);
  assert_int_equal(difference(r, 0)->crossed, 0);
  dp_trial_result_destroy(r);
  assert_int_equal(dp_trial_run(t, &(dp_trial_def){.cookie = dp_trial_def_default().cookie, .nperson = 3}, &r),
                   DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(ctx), "trial.yaml:7: looks: 3 people are too few for 4 looks"));
  dp_ctx_clear_error(ctx);
  dp_trial_destroy(t);
}

/* Whichever request for memory is refused, in reading, randomising, running, looking, power or the texts: it is said,
 * and nothing is left. */
static void memory_that_fails(void **state) {
  (void)state;
  static const char design[] =
      "cohort: {table: people.tsv, n: 16, resample: true}\nrandomisation: {blocks: 4, strata: {age: [3]}}\n"
      "looks: {at: 2}\npower: {n: 4, trials: 100}\ninterval: bootstrap\nmethod: fixed\nstep: 1 h\n";
  char text[3000];
  snprintf(text, sizeof text, "%s%s%s%s", head, design, two,
           "endpoints: [{id: a, of: level, metric: final}, {id: s, of: level, metric: final, event: '> 18'}]\n");
  failing_memory memory = {0};
  dp_ctx_def def = failing_def(&memory);
  dp_ctx *own = NULL;
  def.interpret = 1; /* no thread of its own that asks for memory */
  assert_int_equal(dp_ctx_create(&def, &own), DP_OK);
  int refused_ones = 0;
  bool happened = true;
  for (long n = -1; happened; n += n < 20 ? 1 : 23) {
    const size_t live = dpi_alloc_live(own);
    dp_trial_def how = dp_trial_def_default();
    dp_trial *t = NULL;
    dp_trial_result *r = NULL;
    char *json = NULL, *page = NULL;
    how.check = 0;
    if (n >= 0) failing_next(&memory, n);
    dp_status status = read_trial(own, text, &t);
    if (status == DP_OK) status = dp_trial_run(t, &how, &r);
    if (status == DP_OK) status = dp_trial_json(r, &json);
    if (status == DP_OK) status = dp_trial_page(r, &page);
    happened = n < 0 || failing_happened(&memory);
    failing_never(&memory);
    if (status != (happened && n >= 0 ? DP_ERR_MEMORY : DP_OK)) print_message("%ld: %s\n", n, dp_ctx_error(own));
    assert_int_equal(status, happened && n >= 0 ? DP_ERR_MEMORY : DP_OK);
    refused_ones += happened;
    if (json) dp_trial_text_free(r, json);
    if (page) dp_trial_text_free(r, page);
    dp_trial_result_destroy(r);
    dp_trial_destroy(t);
    dp_ctx_clear_error(own);
    if (n >= 0 && dpi_alloc_live(own) != live) print_message("request %ld refused\n", n);
    if (n >= 0) assert_int_equal(dpi_alloc_live(own), live);
  }
  assert_true(refused_ones > 40);
  dp_ctx_destroy(own);
}

/* The engine's own checks: rows that pass by their figures, and rows that say what is missing. */
static void checks(void **state) {
  (void)state;
  dp_trial *t = open_trial(
      join(head, "cohort: {table: people.tsv, n: 30}\npaired: true\ncredibility: {error_limit: 1e-3}\n",
           "arms: [{name: rule, policy: read.yaml}]\n", "endpoints: [{id: a, of: level, metric: integral}]\n"),
      DP_OK);
  dp_trial_def def = dp_trial_def_default();
  dp_trial_result *r = NULL;
  assert_int_equal(dp_trial_run(t, &def, &r), DP_OK);
  int alone = 0, steps = 0, drivers = 0, missing = 0;
  for (int i = 0; i < r->credibility.nevidence; i++) {
    const dp_trial_evidence *e = &r->credibility.evidence[i];
    missing += e->state == DP_EVIDENCE_MISSING;
    if (strstr(e->what, "differ in any bit")) alone += e->state == DP_EVIDENCE_PASS && e->value == 0;
    if (strstr(e->what, "rtol 1e-10"))
      steps += e->state == DP_EVIDENCE_PASS && e->value >= 0 && e->value < 1e-3 && e->limit == 1e-3;
    if (strstr(e->factor, "sensitivity")) drivers += fabs(e->value) > 0.9 && strstr(e->what, "goes with k (") != NULL;
  }
  assert_int_equal(alone, 1);
  assert_int_equal(steps, 1);
  assert_int_equal(drivers, 1); /* the integral goes with k, all but noise */
  assert_true(missing >= 2);    /* no published figures, no comparison with real people */
  dp_trial_result_destroy(r);
  dp_trial_destroy(t);
}

static void refused(const char *text, const char *why) {
  dp_trial *t = open_trial(text, DP_ERR_INPUT);
  assert_null(t);
  if (!strstr(dp_ctx_error(ctx), why)) print_message("'%s' is not in '%s'\n", why, dp_ctx_error(ctx));
  assert_non_null(strstr(dp_ctx_error(ctx), why));
  dp_ctx_clear_error(ctx);
}

static void files_that_are_refused(void **state) {
  (void)state;
  static const char people[] = "cohort: {table: people.tsv}\n";
  refused("trial: t\nkind: ./nowhere\nhorizon: 1\n", "nowhere");
  refused(join(head, people, two, "endpoints: []\n"), "endpoints");
  refused(join(head, people, "arms: []\n", ends), "arms");
  refused(join(head, people, two, "endpoints: [{id: a, of: nothing, metric: mean}]\n"), "an observable or a quantity");
  refused(join(head, people, two, "endpoints: [{id: a, of: level, metric: cv}]\n"), "by: readings");
  refused(join(head, people, two, "endpoints: [{id: a, of: level, metric: time_above, level: 3, unit: L}]\n"), "unit");
  refused(join(head, people, two, "endpoints: [{id: a, of: level, metric: time_between, range: [3, 2]}]\n"),
          "low < high");
  refused(join(head, "cohort: {table: no.tsv}\n", two, ends), "a file that is there");
  refused(join(head, "cohort: {table: k}\n", two, ends), "trial.yaml:5: table: found 'k', expected a file");
  refused(join(head, people, "arms: [{name: a, policy: k}]\n", ends), "/k: found a folder");
  refused(join(head, people, two, "endpoints: [{id: a, of: level, metric: final, event: '>> 3'}]\n"), "event");
  refused(join(head, people, two, "endpoints: [{id: a, of: level, metric: final, event: '= 3'}]\n"), "<, <=, > or >=");
  refused(join(head, "cohort: {population: k}\n", two, ends), "random effects");
  char text[4000];
  snprintf(text, sizeof text, "%s%srandomisation: {blocks: 3}\n%s%s", head, people, two, ends);
  refused(text, "a multiple of the number of arms");
  snprintf(text, sizeof text, "%s%spaired: true\ncrossover: {washout: 1}\n%s%s", head, people, two, ends);
  refused(text, "one of randomisation");
  refused("trial: t\nkind: ./k\nhorizon: 10 kg\n", "horizon");
  refused("trial: t\nkind: ./k\nhorizon: -1\n", "horizon");
  refused("[]\n", "key: value");
  refused("trial: t\nkind: ./k\n", "horizon: expected a time");
  static const struct {
    const char *line, *why;
  } more[] = {
      {"multiplicity: bonferroni\n", "holm or none"},
      {"rtol: 1e-30\n", "1e-14 to 0.1"},
      {"atol: 0\n", "a number > 0"},
      {"step: 1 h\n", "method: fixed"},
      {"inputs: {iv: {scenario: []}}\n", "[time, amount]"},
      {"inputs: {iv: {scenario: [[1 h, 5]], every: 1e-4 h}}\n", "at most 50000"},
      {"sensor: {seen: {value: '(('}}\n", "an observable that a policy or an endpoint reads"},
      {"sensor: {seen: {noise: [a, a], value: seen}}\n", "each name once"},
      {"sensor: {seen: {noise: [a], state: {a: 0}, value: seen}}\n", "another name than that of a noise"},
      {"credibility: {error_limit: -1}\n", "a number >= 0"},
      {"confidence: 0.2\n", "0.5 or more"},
      {"dropout: 1\n", "below 1"},
      {"power: {n: 4097}\n", "2 to 4096"},
      {"randomisation: {strata: {}}\n", "trial.yaml:6: strata: expected {number of a person"},
      {"randomisation: {strata: {height: [3]}}\n",
       "trial.yaml:6: height: expected a number of the people of the cohort"},
      {"randomisation: {strata: {age: [3, 3]}}\n", "trial.yaml:6: age: expected [number, ...]: 1 to 32 ascending"},
      {"randomisation: {strata: {age: 3}}\n", "age: expected [number"},
      {"randomisation: {strata: {age: [1, 2, 3, 4, 5, 6, 7, 8], k: [1, 2, 3, 4, 5, 6, 7]}}\n", "at most 64 strata"},
      {"crossover: {strata: {age: [3]}}\n", "no key 'strata'"},
      {"looks: {boundary: pocock}\n", "trial.yaml:6: looks: expected at: how many looks"},
      {"looks: {at: 1}\n", "2 to 20"},
      {"looks: {at: 21}\n", "2 to 20"},
      {"looks: {at: 3, boundary: haybittle}\n", "trial.yaml:6: boundary: expected obrien-fleming, pocock"},
      {"looks: {at: [0.5, 1], boundary: pocock}\n", "trial.yaml:6: at: expected a number of looks at equal distances"},
      {"looks: {at: [0.5, 0.4, 1], boundary: lan-demets-pocock}\n", "ascending shares of the people"},
      {"looks: {at: [0.5, 0.9], boundary: lan-demets-pocock}\n", "the last one 1"},
      {"looks: {at: 3}\nmultiplicity: holm\n", "trial.yaml:6: looks: expected it without multiplicity: holm"},
      {"looks: {at: 10}\npower: {n: 3}\n", "more people, so that each look sees somebody more"},
  };
  for (int i = 0; i < DPI_COUNT(more); i++) {
    snprintf(text, sizeof text, "%s%s%s%s%s", head, people, more[i].line, two, ends);
    refused(text, more[i].why);
  }
  refused(join(head, people, "arms: [{name: '', policy: low.yaml}]\n", ends), "a name for each");
  refused(join(head, people, "arms: [{name: a, policy: low.yaml}]\nlooks: {at: 3}\n", ends), "two arms or more");
  refused(join(head, "cohort: {table: people.tsv, match: {k: {mean: 0.1, sd: 0}}}\n", two, ends), "found '0'");
  refused(join(head, "cohort: {table: people.tsv, match: {nothing at 2 h: {mean: 1, sd: 1}}}\n", two, ends),
          "before `at`");
  refused(join(head, "cohort: {table: people.tsv, match: {level at 20 h: {mean: 1, sd: 1}}}\n", two, ends),
          "the horizon");
  refused(join(head, "cohort: {table: people.tsv, match: {level at 2 mg: {mean: 1, sd: 1}}}\n", two, ends), "at 2 mg");
}

/* First passages are told from the beginning of the period that is counted: -ln(0.8)/k in either period of a
 * cross-over; after a run-in of the same length, whose dose is still there, ln((100 e^(-10 k) + 100)/150)/k. */
static void passages_of_periods(void **state) {
  (void)state;
  static const char below[] =
      "endpoints: [{id: p, of: level, metric: first_below, level: 80},"
      "{id: e, of: level, metric: first_below, level: 80, event: '< 4.5 h'}]\n";
  dp_trial *t = open_trial(join(head, "cohort: {table: people.tsv}\ncrossover: {washout: 400 h}\n",
                                "arms: [{name: a, policy: low.yaml}, {name: b, policy: low2.yaml}]\n", below),
                           DP_OK);
  dp_trial_result *r = run(t, 6);
  for (int a = 0; a < 2; a++) {
    assert_true(fabs(r->arm[a].estimate[0].value - 2.2004433532373462) < 1e-5);
    assert_true(r->arm[a].estimate[1].value == 100);
  }
  dp_trial_result_destroy(r);
  dp_trial_destroy(t);
  t = open_trial(join(head, "cohort: {table: people.tsv}\nrun_in: 10 h\n", "arms: [{name: a, policy: low.yaml}]\n",
                      "endpoints: [{id: p, of: level, metric: first_below, level: 150}]\n"),
                 DP_OK);
  r = run(t, 1);
  assert_true(fabs(r->arm[0].estimate[0].value - 1.3722375214388445) < 1e-5);
  dp_trial_result_destroy(r);
  dp_trial_destroy(t);
}

/* In a wash-out in which the next arm acts already, what a law gives counts no more than what a program gives. */
static void a_wash_out_is_not_counted(void **state) {
  (void)state;
  dp_trial *t = open_trial(join(head, "cohort: {table: people.tsv}\ncrossover: {washout: 20 h, during: next}\n",
                                "arms: [{name: law, policy: low.yaml}, {name: outside, policy: hundred.yaml}]\n",
                                "endpoints: [{id: p, of: given iv}]\n"),
                           DP_OK);
  dp_trial_result *r = run(t, 4);
  for (int a = 0; a < 2; a++) assert_true(r->arm[a].estimate[0].value == 100 && r->arm[a].estimate[0].sd == 0);
  dp_trial_result_destroy(r);
  dp_trial_destroy(t);
}

/* What only the model can tell: the file's line all the same. */
static void a_method_that_nobody_knows(void **state) {
  (void)state;
  dp_trial *t = open_trial(join(head, "cohort: {table: people.tsv}\nmethod: magic\n", two, ends), DP_OK);
  dp_trial_def def = dp_trial_def_default();
  dp_trial_result *r = NULL;
  assert_int_equal(dp_trial_run(t, &def, &r), DP_ERR_INPUT);
  assert_null(r);
  assert_non_null(strstr(dp_ctx_error(ctx), "trial.yaml:6: method 'magic'"));
  assert_non_null(strstr(dp_ctx_error(ctx), "expected one of: auto"));
  dp_ctx_clear_error(ctx);
  dp_trial_destroy(t);
}

static int begin(void **state) {
  (void)state;
  const dp_ctx_def def = dp_ctx_def_default();
  return !open_folder(files, DPI_COUNT(files)) || dp_ctx_create(&def, &ctx) != DP_OK;
}

static int end(void **state) {
  (void)state;
  const bool leak = dpi_alloc_live(ctx) != 0;
  dp_ctx_destroy(ctx);
  return !close_folder() || leak;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(closed_forms),
                                     cmocka_unit_test(events_at_their_bound),
                                     cmocka_unit_test(passages_of_periods),
                                     cmocka_unit_test(a_wash_out_is_not_counted),
                                     cmocka_unit_test(a_method_that_nobody_knows),
                                     cmocka_unit_test(readings),
                                     cmocka_unit_test(crossover),
                                     cmocka_unit_test(crossover_gives_back),
                                     cmocka_unit_test(parallel),
                                     cmocka_unit_test(losses),
                                     cmocka_unit_test(losses_outside),
                                     cmocka_unit_test(a_rule_without_a_number),
                                     cmocka_unit_test(a_rule_without_bounds),
                                     cmocka_unit_test(same_bytes),
                                     cmocka_unit_test(outside),
                                     cmocka_unit_test(a_program_that_hangs),
                                     cmocka_unit_test(an_infusion),
                                     cmocka_unit_test(matched),
                                     cmocka_unit_test(matched_by_outputs),
                                     cmocka_unit_test(power),
                                     cmocka_unit_test(checks),
                                     cmocka_unit_test(strata),
                                     cmocka_unit_test(looks),
                                     cmocka_unit_test(memory_that_fails),
                                     cmocka_unit_test(intervals_hold),
                                     cmocka_unit_test(crossover_periods),
                                     cmocka_unit_test(nothing_differs),
                                     cmocka_unit_test(files_that_are_refused)};
  return cmocka_run_group_tests(tests, begin, end);
}
