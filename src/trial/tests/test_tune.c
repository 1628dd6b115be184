/* test_tune.c - settings tuned on a twin. The kind is x' = base - CL x with doses into x, some after a lag; twenty
 * draws of CL. A tuning must give what a trial gives whose people are the same draws; the rule is held against numbers
 * made by hand; outcomes, files that are refused, bytes on one and two threads. */
#include "base/tests/failing_memory.h"
#include "doppel/tune.h"
#include "trial/tune_impl.h"
#include "trial_rig.h"

enum { DRAWS = 20 };

static const rig_file files[] = {
    {"k/twin.yaml",
     "kind: k\ntitle: t\nquestion: q\nintended_use: tests\ntime_unit: h\nuntil: 1\nhorizon: 10\nmodel: model.ant\n"
     "parameters: parameters.tsv\npopulation: population.tsv\ncovariates: covariates.tsv\nobservables: "
     "observables.tsv\n"
     "controls: controls.tsv\nquantities: quantities.tsv\n"},
    {"k/model.ant", "model k()\n  x = 0;\n  x' = base - CL*x;\n  CL = 0.1;\n  base = 1;\nend\n"},
    {"k/parameters.tsv",
     "parameterId\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate\tunit\nsd\tlog\t0.01\t9\t1\t0\tmg\n"
     "tv_CL\tlog\t0.001\t9\t0.1\t0\t1/h\n"},
    {"k/population.tsv",
     "parameterId\ttypical\tdistribution\teffectId\tlevel\tvariance\testimate\nCL\ttv_CL\tlognormal\teta_CL\tperson\t0."
     "1\t0\n"},
    {"k/covariates.tsv", "covariateId\tunit\tlower\tupper\tmissing\nbase\tmg/h\t0\t5\trefuse\n"},
    {"k/observables.tsv", "observableId\tobservableFormula\tnoiseFormula\tunit\nseen\tx\tsd\tmg\n"},
    {"k/controls.tsv",
     "controlId\ttarget\tunit\tlower\tupper\tlag\tcompartment\niv\tx\tmg\t0\t500\t\t1\nlate\tx\tmg\t0\t500\t1.6\t2\n"
     "food\tx\tmg\t0\t500\t\t3\nmore\tx\tmg\t0\t500\t0.25\t4\n"},
    {"k/quantities.tsv", "quantityId\tformula\tunit\nlevel\tx\tmg\n"},
    {"one.csv",
     "ID,TIME,AMT,CMT,EVID,DVID,DV,base,gain\na,0,,,0,seen,5,1,0.5\na,1,,,0,seen,6,1.5,0.5\na,5,,,0,seen,6,4,3\n"},
    {"none.csv", "ID,TIME,AMT,CMT,EVID,DVID,DV,base\na,0,,,0,seen,5,1.5\n"},
    {"rule.yaml",
     "policy: rule\nevery: 1 h\nreads: {r: seen}\nannounces: {eats: food mg}\nperson: [gain]\n"
     "gives: {iv: 'max(0, 20 - r)*gain', late: '0.1*eats'}\n"},
    {"plan.yaml", "policy: plan\nkind: plan\nplan: plan.tsv\n"},
    {"plan.tsv", "controlId\ttime\tamount\niv\t0\t100\n"}};

static const char head[] =
    "tune: t\nkind: ./k\npolicy: rule.yaml\nhorizon: 2 d\nrun_in: 3 h\n"
    "inputs: {food: {scenario: [[2 h, 5], [8.3 h, 3]], every: 12 h, variation: {time: 0.5 h, amount: 0.2}, also: "
    "[more]}}\n"
    "draws: 20\nfresh: 20\n";
static const char settings[] = "settings:\n  gain: {times: [0.5, 1, 2], unit: 1/h}\n  base: {times: [1, 1.5]}\n";
static const char ends[] =
    "endpoints:\n  - {id: mean, of: seen, by: readings, metric: mean}\n"
    "  - {id: in, of: level, by: samples, metric: time_between, range: [20, 34]}\n"
    "  - {id: low, of: seen, by: samples, metric: time_below, level: 24}\n"
    "  - {id: hours, of: seen, by: readings, metric: time_above, level: 20, as: time}\n"
    "  - {id: sd, of: seen, by: readings, metric: sd}\n  - {id: cv, of: seen, by: samples, metric: cv}\n"
    "  - {id: top, of: seen, by: samples, metric: maximum}\n  - {id: least, of: seen, by: readings, metric: minimum}\n"
    "  - {id: high, of: seen, by: samples, metric: maximum, event: '> 24'}\n  - {id: total, of: given iv}\n";
static const char rule[] =
    "conditions:\n  - {id: more, endpoint: low, change: '< 0', probability: '>= 0.5'}\n"
    "  - {id: less, endpoint: low, mean_change: '<= 0'}\nreward: more - less/100\n";

typedef struct world {
  dp_ctx *ctx;
  dp_tune *tune;
  dp_record *record;
  dp_prior *prior;
  dp_belief belief;
  double eta[DRAWS];
} world;

static char *join(const char *const *part, int n) {
  static char text[8000];
  size_t at = 0;
  for (int i = 0; i < n; i++) at += (size_t)snprintf(text + at, sizeof text - at, "%s", part[i]);
  return text;
}
#define JOIN(...) join((const char *const[]){__VA_ARGS__}, DPI_COUNT(((const char *const[]){__VA_ARGS__})))

static dp_status read_tune(dp_ctx *ctx, const char *text, dp_tune **out) {
  char path[200];
  put("tune.yaml", text);
  snprintf(path, sizeof path, "%s/tune.yaml", dir);
  dp_ctx_clear_error(ctx);
  return dp_tune_read(ctx, path, NULL, 0, out);
}

static void open_world(world *w, int nthread, const char *text, const char *record) {
  dp_ctx_def def = dp_ctx_def_default();
  char path[200];
  *w = (world){0};
  def.nthread = nthread;
  assert_int_equal(dp_ctx_create(&def, &w->ctx), DP_OK);
  const dp_status status = read_tune(w->ctx, text, &w->tune);
  if (status != DP_OK) print_message("%s\n", dp_ctx_error(w->ctx));
  assert_int_equal(status, DP_OK);
  const dp_kind *kind = dp_tune_describe(w->tune)->kind;
  snprintf(path, sizeof path, "%s/%s", dir, record);
  assert_int_equal(dp_kind_record(kind, path, &w->record), DP_OK);
  assert_int_equal(dp_prior_nominal(kind, &w->prior), DP_OK);
  for (int i = 0; i < DRAWS; i++) w->eta[i] = 0.03 * (i - 10);
  w->belief = (dp_belief){.ctx = w->ctx, .ndraw = DRAWS, .neta = 1, .eta = w->eta, .usable = 1, .ess = DRAWS};
}

static void close_world(world *w) {
  dp_tune_destroy(w->tune);
  dp_record_destroy(w->record);
  dp_prior_destroy(w->prior);
  assert_int_equal(dpi_alloc_live(w->ctx), 0);
  dp_ctx_destroy(w->ctx);
}

static dp_status run_with(const world *w, const dp_tune_number *set, int nset, dp_tune_result **r) {
  const dp_tune_person person = {w->record, 0, 2, w->prior, &w->belief};
  dp_tune_def def = dp_tune_def_default();
  def.nset = nset;
  def.set = set;
  return dp_tune_run(w->tune, &person, &def, r);
}

static dp_tune_result *run(const world *w) {
  dp_tune_result *r = NULL;
  const dp_status status = run_with(w, NULL, 0, &r);
  if (status != DP_OK) print_message("%s\n", dp_ctx_error(w->ctx));
  assert_int_equal(status, DP_OK);
  return r;
}

/* ---- against a trial ---- */

/* People that are the draws under these settings. */
static void put_people(const world *w, const double *setting) {
  static char text[8000];
  size_t n = (size_t)snprintf(text, sizeof text, "person\teta_CL\tgain\tbase\n");
  for (int i = 0; i < DRAWS; i++)
    n += (size_t)snprintf(text + n, sizeof text - n, "%d\t%.17g\t%.17g\t%.17g\n", i, w->eta[i], setting[0], setting[1]);
  put("draws.tsv", text);
}

/* The same draws, meals and noise: the same means, whichever candidate. */
static void as_in_a_trial(void **state) {
  (void)state;
  world w;
  open_world(&w, 1, JOIN(head, settings, ends, rule), "one.csv");
  dp_tune_result *r = run(&w);
  assert_int_equal(r->ncandidate, 6);
  assert_true(r->present[0] == 0.5 && r->present[1] == 1.5); /* as at 2 h: the row at 5 h is not known yet */
  assert_int_equal(r->nsimulated, 6 * DRAWS + r->nfinal * DRAWS);
  assert_int_equal(r->nfailed, 0);
  for (int c = 0; c < r->ncandidate; c++) {
    dp_trial *t = NULL;
    put_people(&w, r->candidate[c].setting);
    char inputs[400];
    snprintf(inputs, sizeof inputs, "%.*s", (int)(strstr(head, "draws") - strstr(head, "inputs")),
             strstr(head, "inputs"));
    assert_int_equal(read_trial(w.ctx,
                                JOIN("trial: t\nkind: ./k\nhorizon: 2 d\nrun_in: 3 h\nseed: 1\n", inputs,
                                     "cohort: {table: draws.tsv}\narms: [{name: a, policy: rule.yaml}]\n", ends),
                                &t),
                     DP_OK);
    dp_trial_result *by_hand = run_trial(w.ctx, t, 0);
    for (int e = 0; e < dp_tune_describe(w.tune)->nendpoint; e++) {
      const double factor = dp_tune_describe(w.tune)->endpoint[e].proportion ? 100 : 1;
      assert_true(fabs(by_hand->arm[0].estimate[e].value - factor * r->candidate[c].mean[e]) < 1e-9);
    }
    dp_trial_result_destroy(by_hand);
    dp_trial_destroy(t);
  }
  dp_tune_result_destroy(r);
  close_world(&w);
}

/* A lag by a queue in a law, and the same rule asked from outside (in a cross-over of one arm). */
static void a_lag_in_a_law(void **state) {
  (void)state;
  static const char trial[] =
      "trial: t\nkind: ./k\nhorizon: 2 d\nseed: 1\nrtol: 1e-10\natol: 1e-10\ncohort: {table: draws.tsv}\n"
      "inputs: {food: {scenario: [[2 h, 50], [8.3 h, 30]], every: 12 h, also: [more]}}\n"
      "arms: [{name: a, policy: rule.yaml}]\n"
      "endpoints: [{id: auc, of: level, metric: integral}, {id: last, of: level, metric: final}, {id: g, of: given "
      "late},\n"
      "  {id: top, of: level, metric: maximum}]\n";
  world w;
  open_world(&w, 1, JOIN(head, settings, ends, rule), "one.csv");
  put_people(&w, (const double[]){0.5, 1.5});
  dp_trial *law = NULL, *outside = NULL;
  assert_int_equal(read_trial(w.ctx, trial, &law), DP_OK);
  assert_int_equal(read_trial(w.ctx, JOIN(trial, "crossover: {washout: 0 h}\n"), &outside), DP_OK);
  dp_trial_result *a = run_trial(w.ctx, law, 0), *b = run_trial(w.ctx, outside, 0);
  assert_true(a->arm[0].estimate[2].value == 32); /* a tenth of 160 g a day */
  for (int e = 0; e < 4; e++) {
    const double x = a->arm[0].estimate[e].value, y = b->arm[0].estimate[e].value;
    if (!(fabs(x - y) < 1e-6 * fabs(y))) print_message("endpoint %d: %.12g by a law, %.12g from outside\n", e, x, y);
    assert_true(fabs(x - y) < 1e-6 * fabs(y));
  }
  dp_trial_result_destroy(a);
  dp_trial_result_destroy(b);
  dp_trial_destroy(law);
  dp_trial_destroy(outside);
  close_world(&w);
}

/* ---- error of the model ---- */

/* Counted over rows and by the laws: the same. An error of the change leaves the present settings alone. */
static void errors(void **state) {
  (void)state;
  world a, b, c, d;
  open_world(&a, 1, JOIN(head, settings, ends, rule), "one.csv");
  open_world(&b, 1, JOIN(head, settings, ends, rule, "model_error: {change: 0}\n"), "one.csv");
  open_world(&c, 1,
             JOIN(head, settings, ends, rule, "model_error: {change: 0.4, drift: {of: seen, sd: 2, timescale: 3 h}}\n"),
             "one.csv");
  open_world(&d, 1, JOIN(head, settings, ends, rule, "model_error: {change: 0.4}\n"), "one.csv");
  dp_tune_result *x = run(&a), *y = run(&b), *z = run(&c), *u = run(&d);
  const int nend = dp_tune_describe(a.tune)->nendpoint;
  for (int k = 0; k < x->ncandidate; k++)
    for (int e = 0; e < nend; e++) {
      const double p = x->candidate[k].mean[e], q = y->candidate[k].mean[e];
      if (!(fabs(p - q) < 1e-9)) print_message("candidate %d, endpoint %d: %.12g by laws, %.12g by rows\n", k, e, p, q);
      assert_true(fabs(p - q) < 1e-9);
    }
  /* a drift of mean 0 and sd 2 spreads what is sampled: cv up, the mean hardly moved */
  assert_true(z->candidate[0].mean[5] > x->candidate[0].mean[5] + 0.8);
  assert_true(fabs(z->candidate[0].mean[0] - x->candidate[0].mean[0]) < 1);
  /* 1 + 0.4 e times the change of each draw, e of mean 0 */
  for (int e = 0; e < nend; e++) assert_true(fabs(u->candidate[0].mean[e] - x->candidate[0].mean[e]) < 1e-9);
  for (int k = 1; k < x->ncandidate; k++) {
    const double plain = x->candidate[k].mean[0] - x->candidate[0].mean[0];
    const double more = u->candidate[k].mean[0] - u->candidate[0].mean[0];
    assert_true(fabs(more - plain) > 1e-6 * fabs(plain) && fabs(more / plain - 1) < 4 * 0.4 / sqrt(DRAWS));
  }
  dp_tune_result_destroy(x);
  dp_tune_result_destroy(y);
  dp_tune_result_destroy(z);
  dp_tune_result_destroy(u);
  close_world(&d);
  close_world(&a);
  close_world(&b);
  close_world(&c);
}

/* ---- the rule ---- */

static void judged_by_hand(void **state) {
  (void)state;
  world w;
  open_world(
      &w, 1,
      JOIN("tune: t\nkind: ./k\npolicy: rule.yaml\nhorizon: 1 d\ndraws: 60\ninputs: {food: {scenario: [[2 h, 50]]}}\n",
           settings, "endpoints: [{id: a, of: level, metric: final}, {id: b, of: given iv}]\n",
           "limits: [{id: cap, endpoint: b, event: '> 10 mg', probability: '<= 30 %'}]\n"
           "conditions:\n  - {id: more, endpoint: a, change: '> 0', probability: '>= 0.6'}\n"
           "  - {id: fall, endpoint: b, mean_change: '<= 0.5'}\nreward: 10*more - fall + cap\n"),
      "one.csv");
  enum { N = 40 };
  double present[2 * N], other[2 * N];
  dp_tune_value term[3];
  dp_tune_verdict v;
  for (int i = 0; i < N; i++) {
    present[2 * i] = i;
    present[2 * i + 1] = 5;
    other[2 * i] = i < 30 ? i + 1 : i; /* 30 of 40 are more */
    other[2 * i + 1] = i < 4 ? 11 : 5; /* 4 of 40 are over 10, the mean is 0.6 more */
  }
  assert_int_equal(dp_tune_judge(w.tune, present, other, N, N, term, &v), DP_OK);
  assert_true(term[0].value == 0.1 && term[1].value == 0.75 && fabs(term[2].value - 0.6) < 1e-12);
  assert_true(fabs(term[0].high - 0.2143) < 1e-4 && term[0].holds); /* beta quantile 0.95 of (5, 36) */
  assert_true(term[1].holds && !term[2].holds && v.safe && !v.better);
  assert_true(fabs(v.reward - (7.5 - 0.6 + 0.1)) < 1e-12);
  /* a quarter of the draws count: the bound is no longer held */
  assert_int_equal(dp_tune_judge(w.tune, present, other, N, N / 4.0, term, &v), DP_OK);
  assert_true(!term[0].holds && !v.safe);
  /* what is missing counts against the candidate; what is missing at present is left out */
  other[2 * 35] = NAN;
  present[2 * 36] = NAN;
  other[2 * 37 + 1] = NAN;
  assert_int_equal(dp_tune_judge(w.tune, present, other, N, N, term, &v), DP_OK);
  assert_true(fabs(term[1].value - 30.0 / 39) < 1e-12 && term[0].value == 0.125 && !term[2].holds);
  assert_int_equal(v.nfailed, 2);
  close_world(&w);
}

/* ---- outcomes ---- */

static dp_tune_result *outcome_of(world *w, const char *limits, const char *conditions, dp_tune_outcome expected) {
  open_world(w, 1, JOIN(head, settings, ends, limits, conditions), "one.csv");
  dp_tune_result *r = run(w);
  if (r->outcome != expected) print_message("%s\n", r->reason);
  assert_int_equal(r->outcome, expected);
  return r;
}

static void outcomes(void **state) {
  (void)state;
  world w;
  dp_tune_result *r = outcome_of(&w, "", rule, DP_TUNE_PROPOSED);
  const dp_tune_candidate *p = &r->again[r->proposed];
  assert_true(p->verdict.better && r->final[r->proposed] > 0 && p->term[0].value >= 0.5);
  assert_true(r->best_probability > 0 && r->best_probability <= 1);
  assert_int_equal(r->fresh_new, 0);      /* all twenty were searched on */
  for (int c = 1; c < r->ncandidate; c++) /* none that holds everything was worth more on the search's draws */
    if (r->candidate[c].verdict.better)
      assert_true(r->candidate[c].verdict.reward <= r->candidate[r->final[1]].verdict.reward);
  dp_tune_result_destroy(r);
  close_world(&w);

  r = outcome_of(&w, "", "conditions: [{id: c, endpoint: in, mean_change: '> 200'}]\nreward: c\n", DP_TUNE_KEEP);
  assert_int_equal(r->proposed, -1);
  assert_non_null(strstr(r->reason, "keep the present settings: none of 5 others holds"));
  assert_true(r->nbinding == 1 && isnan(r->best_probability));
  dp_tune_result_destroy(r);
  close_world(&w);

  /* more than a little and less than a lot at once: each limit alone can be held, not both */
  r = outcome_of(&w,
                 "limits:\n  - {id: idle, endpoint: total, event: '> 100000', probability: '<= 0.3'}\n"
                 "  - {id: few, endpoint: low, event: '> 20 %', probability: '<= 0.3'}\n"
                 "  - {id: many, endpoint: in, event: '< 60 %', probability: '<= 0.4'}\n",
                 rule, DP_TUNE_NO_SAFE);
  assert_int_equal(r->nconflict, 2);
  assert_true(r->conflict[0] == 1 && r->conflict[1] == 2);
  assert_non_null(strstr(r->reason, "no safe setting: none of 6 candidates holds 'few'"));
  dp_tune_result_destroy(r);
  close_world(&w);

  /* the present settings break a limit that others hold, none of which is better */
  r = outcome_of(&w, "limits: [{id: few, endpoint: low, event: '> 20 %', probability: '<= 0.6'}]\n",
                 "conditions: [{id: c, endpoint: in, mean_change: '> 200'}]\nreward: c\n", DP_TUNE_NO_SAFE);
  assert_int_equal(r->nconflict, 0);
  assert_null(strstr(r->reason, "no safe setting"));
  assert_ptr_equal(strstr(r->reason, "the present settings break 'few'; "), r->reason);
  assert_non_null(
      strstr(r->reason, " of 5 others hold every limit in the search, none of them is better: the nearest, "));
  dp_tune_result_destroy(r);
  close_world(&w);

  open_world(&w, 1, JOIN(head, settings, ends, rule), "one.csv");
  w.belief.usable = 0;
  snprintf(w.belief.verdict, sizeof w.belief.verdict, "not this one");
  r = run(&w);
  assert_int_equal(r->outcome, DP_TUNE_UNFIT);
  assert_int_equal(r->nsimulated, 0);
  assert_non_null(strstr(r->reason, "not this one"));
  dp_tune_result_destroy(r);
  close_world(&w);
}

static void same_bytes(void **state) {
  (void)state;
  char hash[2][65];
  for (int k = 0; k < 2; k++) {
    world w;
    open_world(
        &w, k + 1,
        JOIN(head, settings, ends, rule, "model_error: {change: 0.4, drift: {of: seen, sd: 2, timescale: 3 h}}\n"),
        "one.csv");
    dp_tune_result *r = run(&w);
    memcpy(hash[k], r->hash, 65);
    dp_tune_result_destroy(r);
    close_world(&w);
  }
  assert_string_equal(hash[0], hash[1]);
}

/* Draws that the search did not see, where there are enough; copies do not count as others. */
static void fresh_draws(void **state) {
  (void)state;
  static const char short_head[] =
      "tune: t\nkind: ./k\npolicy: rule.yaml\nhorizon: 1 d\ninputs: {food: {scenario: [[2 h, 50]]}}\ndraws: 10\nfresh: "
      "10\n";
  world w;
  open_world(&w, 1, JOIN(short_head, settings, ends, rule), "one.csv");
  dp_tune_result *r = run(&w);
  assert_int_equal(r->fresh_new, 1);
  dp_tune_result_destroy(r);
  for (int i = 1; i < DRAWS; i += 2) w.eta[i] = w.eta[i - 1];
  r = run(&w);
  assert_int_equal(r->fresh_new, 0);
  dp_tune_result_destroy(r);
  close_world(&w);
}

enum { DISTINCT = 400, HEAVY = 40, COPIES = 20 };

/* Whose side each distinct draw (eta of its number) is on: 1 the search's, 2 the other; heavy: of the second look, the
 * share of members that are copies of the first HEAVY draws. */
static void sides(const world *w, int ndraw, double *eta, int *side, double *heavy) {
  dp_belief b = w->belief;
  dpi_arena arena;
  dpi_tune_people people;
  b.eta = eta;
  b.ndraw = ndraw;
  const dp_tune_person person = {w->record, 0, 2, w->prior, &b};
  const dp_tune_def def = dp_tune_def_default();
  const size_t width = (size_t)w->tune->trial->cohort.ncolumn;
  int n = 0;
  dpi_arena_init(&arena, w->ctx);
  assert_int_equal(dpi_tune_people_make(&arena, w->tune, &person, &def, &people), DP_OK);
  assert_true(people.fresh_new && people.nsearch == 60 && people.nfresh == 100);
  for (int i = 0; i < people.nsearch; i++) side[(int)round(people.search[(size_t)i * width] * 1e4)] |= 1;
  for (int i = 0; i < people.nfresh; i++) {
    const int k = (int)round(people.fresh[(size_t)i * width] * 1e4);
    side[k] |= 2;
    n += k < HEAVY;
  }
  *heavy = (double)n / people.nfresh;
  dpi_arena_release(&arena);
}

/* Draws with many copies are no rarer in the second look than in the belief: sides go by draws, whatever their copies.
 */
static void sides_are_alike(void **state) {
  (void)state;
  static const char head_of[] =
      "tune: t\nkind: ./k\npolicy: rule.yaml\nhorizon: 1 d\ninputs: {food: {scenario: [[2 h, 50]]}}\ndraws: 60\n"
      "fresh: 100\n";
  static double eta[DISTINCT + HEAVY * COPIES];
  int side[DISTINCT] = {0};
  double heavy;
  world w;
  open_world(&w, 1, JOIN(head_of, settings, ends, rule), "one.csv");
  for (int i = 0; i < DISTINCT; i++) eta[i] = 1e-4 * i;
  for (int i = 0; i < HEAVY * COPIES; i++) eta[DISTINCT + i] = 1e-4 * (i / COPIES);
  sides(&w, DISTINCT, eta, side, &heavy);
  sides(&w, DPI_COUNT(eta), eta, side, &heavy);
  for (int i = 0; i < DISTINCT; i++) assert_int_not_equal(side[i], 3); /* with copies or without: the same side */
  const double all = (double)HEAVY * (COPIES + 1) / DPI_COUNT(eta);    /* 0.7 of the belief */
  if (!(fabs(heavy - all) < 0.12)) print_message("heavy draws: %g, in the belief %g\n", heavy, all);
  assert_true(fabs(heavy - all) < 0.12);
  close_world(&w);
}

/* The number that is told is how often the rule, told of the same draws again, takes the same: the first in the
 * search's order that holds, be the reward of a later one larger. */
static void how_sure(void **state) {
  (void)state;
  enum { N = 20, FINALS = 3 };
  world w;
  open_world(&w, 1,
             JOIN(head, settings, "endpoints: [{id: a, of: level, metric: final}]\n",
                  "conditions: [{id: gain, endpoint: a, mean_change: '> 0'}]\nreward: gain\n"),
             "one.csv");
  dpi_arena arena;
  dpi_arena_init(&arena, w.ctx);
  dp_tune_value term[FINALS];
  dp_tune_candidate c[FINALS], again[FINALS];
  int final[FINALS] = {0, 1, 2};
  double value[FINALS * N];
  const double setting[2] = {1, 1};
  for (int i = 0; i < FINALS; i++) {
    const double gain = i == 0 ? 0 : i == 1 ? 2 : 1; /* of the search: the first is better; of the draws: the second */
    for (int k = 0; k < N; k++) value[i * N + k] = i;
    term[i] = (dp_tune_value){.value = gain, .holds = i > 0};
    c[i] = (dp_tune_candidate){"", setting, setting, value, &term[i], {.safe = 1, .better = i > 0, .reward = gain}};
    again[i] = c[i];
    again[i].verdict.reward = i;
  }
  dp_tune_result r = {.ctx = w.ctx,
                      .tune = w.tune,
                      .ncandidate = FINALS,
                      .candidate = c,
                      .nfresh = N,
                      .nfinal = FINALS,
                      .final = final,
                      .again = again,
                      .effective_fresh = N};
  assert_int_equal(dpi_tune_conclude(&arena, &r, value, 1), DP_OK);
  assert_int_equal(r.proposed, 1);
  assert_true(r.best_probability == 1 && r.beats_runner_up == 0);
  dpi_arena_release(&arena);
  close_world(&w);
}

/* Fewer draws count than a limit needs: no candidate could hold it. */
static void draws_that_count(void **state) {
  (void)state;
  static const char limit[] = "limits: [{id: few, endpoint: low, event: '> 20 %', probability: '<= 0.3'}]\n";
  world w;
  dp_tune_result *r = NULL;
  open_world(&w, 1, JOIN(head, settings, ends, limit, rule), "one.csv");
  w.belief.ess = 8.9; /* with 0.3 at 0.95: log 0.05/log 0.7 = 8.4 */
  r = run(&w);
  dp_tune_result_destroy(r);
  w.belief.ess = 8.3;
  assert_int_equal(run_with(&w, NULL, 0, &r), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(w.ctx), "tune.yaml:23: limit 'few' takes at least 9 draws that count, the belief "
                                              "has 8 (--draws)"));
  close_world(&w);
}

/* Memory that gives nothing at any one request: no crash, no leak, no half a result. */
static void memory_that_fails(void **state) {
  (void)state;
  static const char head_of[] =
      "tune: t\nkind: ./k\npolicy: rule.yaml\nhorizon: 6 h\ninputs: {food: {scenario: [[2 h, 5]], also: [more]}}\n"
      "draws: 10\nfresh: 10\nmodel_error: {change: 0.4, drift: {of: seen, sd: 2, timescale: 3 h}}\n";
  char text[8000];
  snprintf(text, sizeof text, "%s", JOIN(head_of, settings, ends, rule));
  world w; /* record and belief are made where there is memory */
  open_world(&w, 1, text, "one.csv");
  failing_memory memory = {0};
  dp_ctx_def def = failing_def(&memory);
  dp_ctx *own = NULL;
  def.interpret = 1; /* no thread of its own that asks for memory */
  assert_int_equal(dp_ctx_create(&def, &own), DP_OK);
  const dp_tune_person person = {w.record, 0, 2, w.prior, &w.belief};
  const dp_tune_def how = dp_tune_def_default();
  bool happened = true;
  int refused_ones = 0;
  for (long n = -1; happened; n += n < 20 ? 1 : 3) {
    const size_t live = dpi_alloc_live(own);
    dp_tune *t = NULL;
    dp_tune_result *r = NULL;
    if (n >= 0) failing_next(&memory, n);
    dp_status status = read_tune(own, text, &t);
    if (status == DP_OK) status = dp_tune_run(t, &person, &how, &r);
    happened = n < 0 || failing_happened(&memory);
    failing_never(&memory);
    if (n < 0 || !happened) assert_int_equal(status, DP_OK);
    if (status != DP_OK) assert_null(r);
    refused_ones += status == DP_ERR_MEMORY;
    dp_tune_result_destroy(r);
    dp_tune_destroy(t);
    assert_int_equal(dpi_alloc_live(own), live);
    dp_ctx_clear_error(own);
  }
  assert_true(refused_ones > 20);
  dp_ctx_destroy(own);
  close_world(&w);
}

/* ---- what is refused ---- */

static void numbers_of_the_person(void **state) {
  (void)state;
  static const struct {
    dp_tune_number set[2];
    int n;
    const char *why;
  } cases[] = {
      {{{"gain", 0}}, 0, "tune.yaml:10: settings: the present value of 'gain' is missing"},
      {{{"gain", 1}, {"base", 4}}, 2, "tune.yaml:11: settings: base 6 mg/h is beyond what the kind takes, 0 to 5"},
      {{{"gain", 0}}, 1, "tune.yaml:10: settings: the present value of 'gain' is 0, expected one > 0"},
      {{{"gain", 1}, {"gian", 1}}, 2, "nobody asks for 'gian'"},
      {{{"gain", 1}, {"eta_CL", 1}}, 2, "nobody asks for 'eta_CL'"}};
  world w;
  open_world(&w, 1, JOIN(head, settings, ends, rule), "none.csv");
  for (int i = 0; i < DPI_COUNT(cases); i++) {
    dp_tune_result *r = NULL;
    dp_ctx_clear_error(w.ctx);
    assert_int_equal(run_with(&w, cases[i].set, cases[i].n, &r), DP_ERR_INPUT);
    assert_null(r);
    if (!strstr(dp_ctx_error(w.ctx), cases[i].why))
      print_message("'%s' is not in '%s'\n", cases[i].why, dp_ctx_error(w.ctx));
    assert_non_null(strstr(dp_ctx_error(w.ctx), cases[i].why));
  }
  dp_ctx_clear_error(w.ctx);
  dp_tune_result *r = NULL;
  const dp_tune_number given = {"gain", 0.5};
  assert_int_equal(run_with(&w, &given, 1, &r), DP_OK);
  assert_true(r->present[0] == 0.5 && r->present[1] == 1.5);
  dp_tune_result_destroy(r);
  close_world(&w);

  open_world(&w, 1, JOIN(head, "settings: {gain: {times: [1, 2]}}\n", ends, rule), "one.csv");
  const dp_tune_number of_record = {"base", 1};
  assert_int_equal(run_with(&w, &of_record, 1, &r), DP_ERR_INPUT);
  assert_non_null(
      strstr(dp_ctx_error(w.ctx), "'base' is of the record, from which the belief is made; change it there"));
  dp_ctx_clear_error(w.ctx);
  double present[2]; /* more time than there are ticks: all rows are known */
  const dp_tune_person late = {w.record, 0, 1e12, NULL, NULL};
  const dp_tune_def def = dp_tune_def_default();
  assert_int_equal(dp_tune_present(w.tune, &late, &def, present), DP_OK);
  assert_true(present[0] == 3);
  close_world(&w);
}

static void refused(dp_ctx *ctx, const char *text, const char *why) {
  dp_tune *t = NULL;
  assert_int_not_equal(read_tune(ctx, text, &t), DP_OK);
  assert_null(t);
  if (!strstr(dp_ctx_error(ctx), why)) print_message("'%s' is not in '%s'\n", why, dp_ctx_error(ctx));
  assert_non_null(strstr(dp_ctx_error(ctx), why));
}

static void files_that_are_refused(void **state) {
  (void)state;
  static const char two[] = "conditions: [{id: c, endpoint: in, mean_change: '> 0'}]\nreward: c\n";
  const dp_ctx_def def = dp_ctx_def_default();
  dp_ctx *ctx;
  assert_int_equal(dp_ctx_create(&def, &ctx), DP_OK);
  static const struct {
    const char *settings, *why;
  } bad[] = {{"settings: {gian: {times: [1]}}\n", "tune.yaml:9: settings: nobody reads 'gian'"},
             {"settings: {gain: {times: []}}\n", "tune.yaml:9: gain: "},
             {"settings: {gain: {times: [1, 1]}}\n", "expected each of them once"},
             {"settings: {gain: {times: [0, 1]}}\n", "expected numbers > 0"},
             {"settings: {gain: {times: [1], values: [2]}}\n", "expected one of times"},
             {"settings: {base: {times: [1], unit: kg}}\n", "the unit that covariates.tsv has"},
             {"settings: []\n", "tune.yaml:9: settings: "},
             {"", "settings: found a list or map, expected {name"},
             {"settings: {gain: {tims: [1]}}\n", "tims"}};
  for (int i = 0; i < DPI_COUNT(bad); i++) refused(ctx, JOIN(head, bad[i].settings, ends, two), bad[i].why);
  char many[2000];
  size_t n = (size_t)snprintf(many, sizeof many, "settings:\n  gain: {values: [1");
  for (int i = 2; i <= 50; i++) n += (size_t)snprintf(many + n, sizeof many - n, ", %d", i);
  n += (size_t)snprintf(many + n, sizeof many - n, "]}\n  base: {values: [1");
  for (int i = 2; i <= 41; i++) n += (size_t)snprintf(many + n, sizeof many - n, ", %d", i);
  snprintf(many + n, sizeof many - n, "]}\n");
  refused(ctx, JOIN(head, many, ends, two), "settings: found 2050 combinations, expected at most 2000");
  static const struct {
    const char *rule, *why;
  } wrong[] = {
      {"conditions: [{id: c, endpoint: im, mean_change: '> 0'}]\nreward: c\n", "tune.yaml:23: endpoint: found 'im'"},
      {"conditions: [{id: c, endpoint: in, mean_change: '0'}]\nreward: c\n", "expected <, <=, > or >= and a number"},
      {"conditions: [{id: c, endpoint: in, mean_change: '> 0', change: '> 0'}]\nreward: c\n", "one of change"},
      {"conditions: [{id: c, endpoint: in, mean_change: '> 0', probability: '>= 0.5'}]\nreward: c\n",
       "a mean has no probability"},
      {"conditions: [{id: c, endpoint: in, change: '> 0'}]\nreward: c\n", "expected a probability"},
      {"conditions: [{id: c, endpoint: in, change: '> 0', probability: '>= 2'}]\nreward: c\n", "from 0 to 1"},
      {"conditions: [{id: c, endpoint: in, change: '> 0 kg', probability: '>= 0.2'}]\nreward: c\n",
       "tune.yaml:23: change"},
      {"conditions: []\nreward: 1\n", "conditions: found"},
      {"conditions: [{id: c, endpoint: in, mean_change: '> 0'}]\n", "reward"},
      {"conditions: [{id: c, endpoint: in, mean_change: '> 0'}]\nreward: c + d\n", "tune.yaml:24: reward"},
      {"conditions: [{id: c, endpoint: in, mean_change: '> 0'}, {id: c, endpoint: in, mean_change: '> 1'}]\nreward: "
       "c\n",
       "an id of its own"},
      {"conditions: [{id: c, endpoint: in, mean_change: '> 1'}, {id: d, endpoint: in, mean_change: '< 1'}]\nreward: "
       "c\n",
       "tune.yaml:23: 'd' contradicts 'c' of line 23"},
      {"conditions:\n  - {id: c, endpoint: in, change: '> 0', probability: '>= 0.6'}\n"
       "  - {id: d, endpoint: in, change: '> 0', probability: '<= 0.5'}\nreward: c\n",
       "tune.yaml:25: 'd' contradicts 'c' of line 24: nothing can hold both"},
      {"limits: [{id: l, endpoint: in, event: '< 5', probability: '<= 0.1'}]\nconditions: [{id: c, endpoint: in, "
       "mean_change: '> 0'}]\nreward: c\n",
       "it takes at least 29 draws"},
      {"limits: [{id: l, endpoint: in, event: '< 5', probability: '<= 0'}]\nconditions: [{id: c, endpoint: in, "
       "mean_change: '> 0'}]\nreward: c\n",
       "no number of draws can show"},
      {"limits: [{id: l, endpoint: in, change: '< 5', probability: '<= 0.5'}]\nconditions: [{id: c, endpoint: in, "
       "mean_change: '> 0'}]\nreward: c\n",
       "change"},
      {"conditions: [{id: c, endpoint: in, mean_change: '> 0'}]\nreward: c\nmodel_error: {drift: {of: seen, sd: 0, "
       "timescale: 1 h}}\n",
       "sd: found '0'"},
      {"conditions: [{id: c, endpoint: in, mean_change: '> 0'}]\nreward: c\nmodel_error: {drift: {of: x, sd: 1, "
       "timescale: 1 h}}\n",
       "an observable of the kind"},
      {"conditions: [{id: c, endpoint: in, mean_change: '> 0'}]\nreward: c\nmodel_error: {change: 3}\n", "from 0 to 2"},
      {"conditions: [{id: c, endpoint: in, mean_change: '> 0'}]\nreward: c\ncohort: {table: x}\n", "cohort"}};
  for (int i = 0; i < DPI_COUNT(wrong); i++) refused(ctx, JOIN(head, settings, ends, wrong[i].rule), wrong[i].why);
  refused(ctx, JOIN("tune: t\nkind: ./k\npolicy: plan.yaml\nhorizon: 1 d\n", settings, ends, two),
          "tune.yaml:3: policy: ");
  refused(ctx, JOIN("tune: t\nkind: ./k\npolicy: rule.yaml\nhorizon: 1 d\n", settings, ends, two), "is told of 'food'");
  refused(
      ctx,
      JOIN("tune: t\nkind: ./k\npolicy: rule.yaml\nhorizon: 1 d\ninputs: {food: {scenario: [[1, 1]], also: [food]}}\n",
           settings, ends, two),
      "tune.yaml:5: also: found 'food', expected another control");
  refused(ctx,
          JOIN(head, settings, "endpoints: [{id: in, of: level, metric: mean}]\n", two, "model_error: {change: 0.4}\n"),
          "endpoint 'in' is counted by: path");
  refused(ctx, JOIN(head, "sensor:\n  seen: {noise: [z], value: seen + zz}\n", settings, ends, two),
          "tune.yaml:9: sensor: ");
  assert_int_equal(dpi_alloc_live(ctx), 0);
  dp_ctx_destroy(ctx);
}

/* Counted over a series by itself: only what has nothing of the sensor's, and is of an observable. */
static void counted_alone(void **state) {
  (void)state;
  static const double x[] = {20, 30, 22, 40};
  world w;
  open_world(&w, 1, JOIN(head, settings, ends, rule), "one.csv");
  for (int e = 0; e < dp_tune_describe(w.tune)->nendpoint; e++) {
    const char *id = dp_tune_describe(w.tune)->endpoint[e].id;
    const bool samples = strcmp(id, "low") == 0 || strcmp(id, "cv") == 0 || strcmp(id, "top") == 0 ||
                         strcmp(id, "high") == 0; /* `in` is of a quantity */
    assert_int_equal(dp_tune_counts(w.tune, e), samples);
    assert_int_equal(!isnan(dp_tune_count(w.tune, e, x, DPI_COUNT(x))), samples);
  }
  close_world(&w);
}

static int begin(void **state) {
  (void)state;
  return !open_folder(files, DPI_COUNT(files));
}

static int end(void **state) {
  (void)state;
  return !close_folder();
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(as_in_a_trial),
                                     cmocka_unit_test(a_lag_in_a_law),
                                     cmocka_unit_test(errors),
                                     cmocka_unit_test(judged_by_hand),
                                     cmocka_unit_test(outcomes),
                                     cmocka_unit_test(same_bytes),
                                     cmocka_unit_test(fresh_draws),
                                     cmocka_unit_test(sides_are_alike),
                                     cmocka_unit_test(how_sure),
                                     cmocka_unit_test(draws_that_count),
                                     cmocka_unit_test(counted_alone),
                                     cmocka_unit_test(memory_that_fails),
                                     cmocka_unit_test(numbers_of_the_person),
                                     cmocka_unit_test(files_that_are_refused)};
  return cmocka_run_group_tests(tests, begin, end);
}
