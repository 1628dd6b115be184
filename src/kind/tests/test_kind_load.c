/* Compared with: the tables as written, and individual parameters by their formulas worked out here with libm. */
#include "base/tests/failing_memory.h"
#include "kind_rig.h"

static void good_kinds_load(void **state) {
  rig *r = *state;
  static const struct {
    const char *dir, *id;
    int nparam, neffect, nobservable, ncovariate, ncontrol, nquantity, nterm, nevidence;
  } want[] = {{TWINS "/theophylline", "theophylline", 4, 3, 1, 1, 1, 2, 3, 17},
              {TWINS "/warfarin/", "warfarin", 11, 7, 2, 3, 1, 3, 2, 5},
              {TWINS "/_template", "template_kind", 4, 2, 1, 1, 1, 1, 2, 0}};
  for (int i = 0; i < DPI_COUNT(want); i++) {
    dp_kind *k = rig_load(r, want[i].dir);
    assert_string_equal(dp_kind_id(k), want[i].id);
    assert_int_equal(k->nparam, want[i].nparam);
    assert_int_equal(k->neffect, want[i].neffect);
    assert_int_equal(k->nobservable, want[i].nobservable);
    assert_int_equal(k->ncovariate, want[i].ncovariate);
    assert_int_equal(k->ncontrol, want[i].ncontrol);
    assert_int_equal(k->nquantity, want[i].nquantity);
    assert_int_equal(k->reward.nterm, want[i].nterm);
    assert_int_equal(k->nevidence, want[i].nevidence);
    assert_int_equal(strlen(dp_kind_hash(k)), 64);
    dp_kind_destroy(k);
  }
}

static void open_runs_load(void **state) {
  rig *r = *state;
  static const char *const runs[] = {"001", "002", "003", "005", "006", "008", "101", "201",
                                     "207", "301", "401", "407", "501", "901", "951"};
  for (int i = 0; i < DPI_COUNT(runs); i++) {
    char dir[300];
    snprintf(dir, sizeof dir, DOPPEL_SOURCE_DIR "/tests/nonmem/run%s", runs[i]);
    dp_kind_destroy(rig_load(r, dir));
  }
}

static void tables_become_structs(void **state) {
  rig *r = *state;
  dp_kind *k = rig_load(r, TWINS "/theophylline");
  assert_string_equal(k->time_unit, "h");
  rig_near(k->until, 2.25, 0);
  rig_near(k->param[0].nominal, 1.5, 0);
  assert_int_equal(k->param[0].scale, DPI_SCALE_LOG);
  assert_true(k->param[0].estimate);
  assert_string_equal(k->effect[1].id, "eta_CL");
  assert_string_equal(k->effect[1].unit, "L/h");
  rig_near(k->omega[4], .1, 0);
  assert_int_equal(k->omega_free[4], 1);
  assert_int_equal(k->omega_free[1], 0);
  const dpi_kind_control *c = &k->control[0];
  assert_int_equal(c->nstrength, 3);
  rig_near(c->strength[1], 200, 0);
  assert_int_equal(c->ninterval, 4);
  assert_int_equal(c->max_units, 3);
  const dpi_kind_term *trough = &k->reward.term[0], *peak = &k->reward.term[1],
                      *range = &k->reward.term[2];
  assert_int_equal(trough->functional, DP_MINIMUM);
  assert_int_equal(trough->relation, 1);
  assert_true(trough->at_least);
  rig_near(trough->bound, 5, 0);
  rig_near(trough->probability, .9, 0);
  assert_int_equal(peak->functional, DP_MAXIMUM);
  assert_int_equal(peak->relation, 1);
  assert_false(peak->at_least);
  assert_string_equal(peak->text, "P(peak > 20 mg/L) <= 5 %");
  assert_int_equal(range->goal, DPI_GOAL_REWARD);
  assert_true(range->fraction);
  rig_near(range->level, 10, 0);
  rig_near(range->level2, 20, 0);
  assert_false(k->discrepancy);
  rig_near(k->discrepancy_sd, .1, 0);
  rig_near(k->discrepancy_timescale, 6, 0);
  assert_string_equal(k->evidence[0].what, "ofv");
  rig_near(k->evidence[0].published, 116.80341, 0);
  dp_kind_destroy(k);
}

/* Levels in another unit are converted: 0.02 mg/mL is 20 mg/L, 0.25 d are 6 h. */
static void reward_units_convert(void **state) {
  rig *r = *state;
  const char *dir = rig_kind(r, "theophylline");
  rig_edit(dir, "reward.yaml", "\"> 20 mg/L\"", "\"> 0.02 mg/mL\"");
  rig_edit(dir, "reward.yaml", "window: interval", "window: 0.25 d");
  rig_edit(dir, "reward.yaml", "range: [10, 20]\n    unit: mg/L",
           "range: [10000, 20000]\n    unit: ug/L");
  dp_kind *k = rig_load(r, dir);
  rig_near(k->reward.term[1].bound, 20, 1e-14);
  rig_near(k->reward.window, 6, 1e-14);
  rig_near(k->reward.term[2].level, 10, 1e-14);
  rig_near(k->reward.term[2].level2, 20, 1e-14);
  dp_kind_destroy(k);
}

/* All members of one output row for warfarin at some eta. */
static void individual_parameters_are_right(void **state) {
  rig *r = *state;
  dp_kind *k = rig_load(r, TWINS "/warfarin");
  dp_record *record = rig_record(
      r, k,
      "id,time,amt,dv,dvid,evid,wt,age,sex\n1,0,100,.,cp,1,70,30,male\n1,5,0,9,cp,0,70,30,male\n");
  dpi_case *c;
  assert_int_equal(dpi_case_create(k, record, 0, &c), DP_OK);
  double eta[7] = {.3, -.2, .1, -.4, .7, .25, -.15};
  assert_int_equal(c->neta, 7);
  dp_result *result = rig_simulate(r, c, NULL, eta);
  for (int e = 0; e < k->neffect; e++) {
    double t = k->param[k->effect[e].typical].nominal;
    double want = t * exp(eta[e]), slope = want;
    if (k->effect[e].distribution == DPI_DIST_LOGITNORMAL) {
      want = 1 / (1 + exp(-(log(t / (1 - t)) + eta[e])));
      slope = want * (1 - want);
    }
    int output = k->effect[e].sim_output;
    rig_near(result->value[output], want, 1e-12);
    for (int a = 0; a < c->neta; a++)
      rig_near(result->dvalue[output * c->neta + a], a == e ? slope : 0, 1e-12);
  }
  double cp = rig_prediction(c, result, 0);
  double sigma = result->value[k->observable[0].sigma_output];
  rig_near(sigma, sqrt(.2 * .2 + .1 * .1 * cp * cp), 1e-13);
  dp_result_destroy(result);
  dpi_case_destroy(c);
  dp_record_destroy(record);
  dp_kind_destroy(k);
}

/* Typical values given to dpi_case_apply replace the nominal ones. */
static void typical_values_replace(void **state) {
  rig *r = *state;
  dp_kind *k = rig_load(r, TWINS "/_template");
  dp_record *record =
      rig_record(r, k, "ID,TIME,AMT,DV,EVID,CMT,WT\n1,0,100,.,1,1,80\n1,3,0,4,0,1,80\n");
  dpi_case *c;
  assert_int_equal(dpi_case_create(k, record, 0, &c), DP_OK);
  double typical[4] = {3, 30, .2, .5}, eta[2] = {.1, -.3};
  dp_result *result = rig_simulate(r, c, typical, eta);
  double V = 30 * (80.0 / 70) * exp(-.3), CL = 3 * pow(80.0 / 70, .75) * exp(.1),
         want = 100 / V * exp(-CL / V * 3);
  rig_near(rig_prediction(c, result, 0), want, 1e-9);
  rig_near(result->value[k->observable[0].sigma_output], sqrt(.25 + .04 * want * want), 1e-9);
  dp_result_destroy(result);
  dpi_case_destroy(c);
  dp_record_destroy(record);
  dp_kind_destroy(k);
}

/* The hash follows the files that decide results and nothing else. */
static void hash_follows_results(void **state) {
  rig *r = *state;
  dp_kind *a = rig_load(r, TWINS "/theophylline");
  char dir[400];
  snprintf(dir, sizeof dir, "%s", rig_kind(r, "theophylline"));
  dp_kind *b = rig_load(r, dir);
  assert_string_equal(dp_kind_hash(a), dp_kind_hash(b));
  dp_kind_destroy(b);
  rig_edit(dir, "README.md", "Question", "QUESTION");
  rig_edit(dir, "evidence/evidence.tsv", "116.80341", "116.9");
  b = rig_load(r, dir);
  assert_string_equal(dp_kind_hash(a), dp_kind_hash(b));
  dp_kind_destroy(b);
  rig_edit(dir, "parameters.tsv", "\t10\t1\t1\tmg/L", "\t10\t1.01\t1\tmg/L");
  b = rig_load(r, dir);
  assert_string_not_equal(dp_kind_hash(a), dp_kind_hash(b));
  dp_kind_destroy(b);
  dp_kind_destroy(a);
}

/* Covariances: a block in omega. */
static void covariance_rows(void **state) {
  rig *r = *state;
  dp_kind *k = rig_load(r, DOPPEL_SOURCE_DIR "/tests/nonmem/run951");
  assert_int_equal(k->neffect, 5);
  rig_near(k->omega[0 * 5 + 1], .002401, 0);
  rig_near(k->omega[1 * 5 + 0], .002401, 0);
  rig_near(k->omega[2 * 5 + 3], .084164, 0);
  assert_true(k->effect[4].occasion);
  dp_kind_destroy(k);
}

typedef struct broken {
  const char *file, *from, *to; /* the edit of theophylline */
  dp_status status;
  const char *message[3]; /* all must occur */
} broken;

static void broken_kinds_say_where(void **state) {
  rig *r = *state;
  static const broken list[] = {
      {"twin.yaml",
       "horizon:",
       "horizn:",
       DP_ERR_INPUT,
       {"twin.yaml:14:", "'horizn'", "did you mean 'horizon'"}},
      {"twin.yaml", "title:", "title: a:", DP_ERR_INPUT, {"twin.yaml:3:", "not YAML"}},
      {"twin.yaml",
       "time_unit: h",
       "time_unit: kg",
       DP_ERR_INPUT,
       {"twin.yaml:12:", "'kg'", "unit of time"}},
      {"twin.yaml", "time_unit: h", "time_unit: hh", DP_ERR_INPUT, {"twin.yaml:12:", "hh"}},
      {"twin.yaml", "method: auto", "method: auto2", DP_ERR_INPUT, {"twin.yaml:25: method", "'auto2'"}},
      {"twin.yaml",
       "method: auto",
       "method: auto\nensemble_method: lanes",
       DP_ERR_INPUT,
       {"twin.yaml:26: ensemble_method", "'lanes'"}},
      {"twin.yaml",
       "until: 2.25",
       "until: soon",
       DP_ERR_INPUT,
       {"twin.yaml:13:", "'soon'", "a number"}},
      {"twin.yaml",
       "model: model.ant",
       "model: ../model.ant",
       DP_ERR_INPUT,
       {"twin.yaml:15:", "folder"}},
      {"twin.yaml",
       "model: model.ant",
       "model: modell.ant",
       DP_ERR_INPUT,
       {"twin.yaml:15:", "modell.ant"}},
      {"twin.yaml",
       "kind: theophylline",
       "kind: theophylline\nkind: again",
       DP_ERR_INPUT,
       {"twin.yaml:3:", "twice"}},
      {"twin.yaml",
       "kind: theophylline",
       "kind: &a theophylline\nfoo: *a",
       DP_ERR_INPUT,
       {"twin.yaml:3:", "alias"}},
      {"model.ant",
       "central' = ka*depot",
       "central' = kaa*depot",
       DP_ERR_INPUT,
       {"model.ant:11", "kaa"}},
      {"model.ant", "c := central/V", "c := central/(V", DP_ERR_INPUT, {"model.ant:13"}},
      {"parameters.tsv",
       "upperBound",
       "uperBound",
       DP_ERR_INPUT,
       {"parameters.tsv:1", "uperBound", "upperBound"}},
      {"parameters.tsv",
       "tv_CL\tlog\t0.1\t50",
       "tv_CL\tlog\t0.1\t",
       DP_ERR_INPUT,
       {"parameters.tsv:3:", "upperBound of 'tv_CL'", "needs both bounds"}},
      {"parameters.tsv",
       "tv_CL\tlog\t0.1",
       "tv_CL\tlog\t-1",
       DP_ERR_INPUT,
       {"parameters.tsv:3:", "lowerBound", "> 0"}},
      {"parameters.tsv",
       "tv_CL\tlog",
       "tv_CL\tlog2",
       DP_ERR_INPUT,
       {"parameters.tsv:3:", "'log2'", "log10"}},
      {"parameters.tsv",
       "tv_V\tlog\t1\t500",
       "tv_V\tlog\t1\t5",
       DP_ERR_INPUT,
       {"parameters.tsv:4:", "nominalValue"}},
      {"parameters.tsv", "tv_CL", "tv_ka", DP_ERR_INPUT, {"parameters.tsv:3:", "tv_ka", "line 2"}},
      {"parameters.tsv",
       "L/h\ttypical",
       "L/hr\ttypical",
       DP_ERR_INPUT,
       {"parameters.tsv:3: column unit", "hr"}},
      {"parameters.tsv",
       "L/h\ttypical",
       "\ttypical",
       DP_ERR_INPUT,
       {"parameters.tsv:3: column unit", "missing"}},
      {"parameters.tsv", "tv_CL", "central", DP_ERR_INPUT, {"tv_CL"}},
      {"population.tsv",
       "tv_CL",
       "tv_Cl",
       DP_ERR_INPUT,
       {"population.tsv:3: column typical", "'tv_Cl'", "'tv_CL'"}},
      {"population.tsv",
       "CL\ttv_CL",
       "CLL\ttv_CL",
       DP_ERR_INPUT,
       {"population.tsv:3:", "'CLL'", "did you mean 'CL'"}},
      {"population.tsv",
       "lognormal",
       "log-normal",
       DP_ERR_INPUT,
       {"population.tsv:2: column distribution", "logitnormal"}},
      {"population.tsv",
       "person\t0.1\t1\tL/h",
       "person\t-0.1\t1\tL/h",
       DP_ERR_INPUT,
       {"population.tsv:3: column variance", "> 0"}},
      {"population.tsv",
       "1\tL/h",
       "1\tmL/min",
       DP_ERR_INPUT,
       {"population.tsv:3: column unit", "'mL/min'", "'L/h'"}},
      {"population.tsv",
       "V\ttv_V\tlognormal",
       "V\ttv_V\tlogitnormal",
       DP_ERR_INPUT,
       {"population.tsv:4:", "between 0 and 1"}},
      {"covariates.tsv", "kg", "kgs", DP_ERR_INPUT, {"covariates.tsv:2: column unit", "kgs"}},
      {"covariates.tsv",
       "\tcarry",
       "\tguess",
       DP_ERR_INPUT,
       {"covariates.tsv:2: column missing", "refuse"}},
      {"covariates.tsv",
       "250\t\t",
       "250\tCl\t(WT/70)",
       DP_ERR_INPUT,
       {"covariates.tsv:2: column parameterId", "'CL'"}},
      {"covariates.tsv",
       "250\t\t",
       "250\tCL\t(WTT/70)",
       DP_ERR_INPUT,
       {"covariates.tsv:2: column factor", "WTT"}},
      {"observables.tsv",
       "c\tc\tsd_add",
       "c\tc\tsd_ad",
       DP_ERR_INPUT,
       {"observables.tsv:2: column noiseFormula", "sd_ad"}},
      {"observables.tsv",
       "c\tc\tsd_add",
       "c\tcc\tsd_add",
       DP_ERR_INPUT,
       {"observables.tsv:2", "'c'"}},
      {"observables.tsv",
       "normal",
       "laplace",
       DP_ERR_INPUT,
       {"observables.tsv:2: column noiseDistribution", "laplace"}},
      {"observables.tsv",
       "normal",
       "johnsonsu",
       DP_ERR_INPUT,
       {"observables.tsv:2: column noiseGamma", "expected a number"}},
      {"controls.tsv",
       "depot",
       "depots",
       DP_ERR_INPUT,
       {"controls.tsv:2: column target", "did you mean 'depot'"}},
      {"controls.tsv",
       "100;200;300",
       "100;50",
       DP_ERR_INPUT,
       {"controls.tsv:2: column strengths", "ascending"}},
      {"quantities.tsv",
       "ln(2)*V/CL",
       "ln(2)*V/",
       DP_ERR_INPUT,
       {"quantities.tsv:3: column formula"}},
      {"quantities.tsv",
       "c\tc\tmg/L",
       "c\tc\tug/L",
       DP_ERR_INPUT,
       {"quantities.tsv:2:", "'ug/L'", "'mg/L'"}},
      {"quantities.tsv",
       "c\tc\tmg/L",
       "c\t2*c\tmg/L",
       DP_ERR_INPUT,
       {"quantities.tsv:2: column formula", "already"}},
      {"reward.yaml",
       "\">= 5 mg/L\"",
       "\">= 5 h\"",
       DP_ERR_INPUT,
       {"reward.yaml:15: event", "'h'", "'mg/L'"}},
      {"reward.yaml",
       "\">= 5 mg/L\"",
       "\">= 5\"",
       DP_ERR_INPUT,
       {"reward.yaml:15: event", "no unit", "'mg/L'"}},
      {"reward.yaml",
       "\">= 5 mg/L\"",
       "\"5 mg/L\"",
       DP_ERR_INPUT,
       {"reward.yaml:15: event", "<, <=, > or >="}},
      {"reward.yaml",
       "functional: minimum",
       "functional: minimun",
       DP_ERR_INPUT,
       {"reward.yaml:14:", "'minimum'"}},
      {"reward.yaml",
       "quantity: c",
       "quantity: d",
       DP_ERR_INPUT,
       {"reward.yaml:13: quantity", "'d'"}},
      {"reward.yaml",
       "\">= 0.90\"",
       "\">= 90\"",
       DP_ERR_INPUT,
       {"reward.yaml:16: probability", "between 0 and 1"}},
      {"reward.yaml",
       "range: [10, 20]",
       "range: [20, 10]",
       DP_ERR_INPUT,
       {"reward.yaml:30: range", "low < high"}},
      {"reward.yaml",
       "weight: 1",
       "wieght: 1",
       DP_ERR_INPUT,
       {"reward.yaml:33:", "'wieght'", "'weight'"}},
      {"evidence/evidence.tsv",
       "\tofv\t",
       "\tofw\t",
       DP_ERR_INPUT,
       {"evidence.tsv:2: column what", "'ofw'"}},
  };
  int wrong = 0;
  for (int i = 0; i < DPI_COUNT(list); i++) {
    const broken *b = &list[i];
    const char *dir = rig_kind(r, "theophylline");
    rig_edit(dir, b->file, b->from, b->to);
    dp_kind *kind = NULL;
    dp_ctx_clear_error(r->ctx);
    dp_status status = dp_kind_load(r->ctx, dir, &kind);
    const char *message = dp_ctx_error(r->ctx);
    bool good = status == b->status && !kind;
    for (int k = 0; k < 3 && b->message[k]; k++) good = good && strstr(message, b->message[k]);
    if (good) continue;
    wrong++;
    printf("%s '%s': %s: %s\n", b->file, b->to, dp_status_name(status), message);
    dp_kind_destroy(kind);
  }
  assert_int_equal(wrong, 0);
  dp_ctx_clear_error(r->ctx);
}

static void occasion_effect_needs_column(void **state) {
  rig *r = *state;
  dp_kind *kind = NULL;
  const char *dir = rig_kind(r, "theophylline");
  rig_edit(dir, "population.tsv", "eta_CL\tperson", "eta_CL\toccasion");
  assert_int_equal(dp_kind_load(r->ctx, dir, &kind), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(r->ctx), "occasion"));
  dp_ctx_clear_error(r->ctx);
}

/* Every allocation of a load may fail: an error, nothing left, nothing returned. */
static void memory_may_run_out(void **state) {
  (void)state;
  bool loaded = false;
  for (long n = 4; !loaded && n < 20000; n += 1 + n / 16) {
    failing_memory memory = {0};
    dp_ctx *ctx = failing_context(&memory);
    assert_non_null(ctx);
    failing_stays(&memory, n);
    dp_kind *kind = NULL;
    dp_status status = dp_kind_load(ctx, TWINS "/theophylline", &kind);
    failing_never(&memory);
    loaded = status == DP_OK;
    if (!loaded && status != DP_ERR_MEMORY)
      fail_msg("after %ld: %s: %s", n, dp_status_name(status), dp_ctx_error(ctx));
    assert_true(loaded == (kind != NULL));
    dp_kind_destroy(kind);
    assert_int_equal(dpi_alloc_live(ctx), 0);
    dp_ctx_destroy(ctx);
  }
  assert_true(loaded);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(good_kinds_load, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(open_runs_load, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(tables_become_structs, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(reward_units_convert, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(individual_parameters_are_right, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(typical_values_replace, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(hash_follows_results, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(covariance_rows, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(broken_kinds_say_where, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(occasion_effect_needs_column, rig_setup, rig_teardown),
      cmocka_unit_test(memory_may_run_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
