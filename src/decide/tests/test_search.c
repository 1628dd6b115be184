/* Independent comparison: the best of a small set by looking at all of it; the optimum of a least-squares reward by its
 * normal equations,
 * whose coefficients are areas of one compartment in closed form (libm). */
#include "decide_rig.h"

/* One compartment, doses into it, elimination ke = CL/V; three effects as in decide_rig.h, of which the first does
 * nothing. */
static const char *const files[][2] = {
    {"twin.yaml",
     "kind: small\ntitle: t\nquestion: q\nintended_use: u\ntime_unit: h\nuntil: 48\nhorizon: 24\nmodel: model.ant\n"
     "parameters: parameters.tsv\npopulation: population.tsv\nobservables: observables.tsv\ncontrols: controls.tsv\n"
     "quantities: quantities.tsv\nreward: reward.yaml\nmethod: ensemble\ntolerances: {relative: 1e-9, ensemble: "
     "1e-9}\n"},
    {"model.ant", "model small()\n  CL = 3; V = 30; k = 1; a = 0;\n  a' = -CL/V*a;\n  c := a/V + 0*k;\nend\n"},
    {"parameters.tsv",
     "parameterId\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate\tunit\n"
     "tv_k\tlog\t0.1\t50\t1\t0\t1\ntv_CL\tlog\t0.1\t50\t3\t0\tL/"
     "h\ntv_V\tlog\t1\t500\t30\t0\tL\nsd\tlin\t0\t20\t3\t0\tmg/L\n"},
    {"population.tsv",
     "parameterId\ttypical\tdistribution\teffectId\tlevel\tvariance\testimate\n"
     "k\ttv_k\tlognormal\teta_k\tperson\t0.1\t0\nCL\ttv_CL\tlognormal\teta_CL\tperson\t0.1\t0\n"
     "V\ttv_V\tlognormal\teta_V\tperson\t0.1\t0\n"},
    {"observables.tsv", "observableId\tobservableFormula\tnoiseFormula\tunit\tcompartment\ny\tc\tsd\tmg/L\t1\n"},
    {"quantities.tsv", "quantityId\tformula\tunit\nc\tc\tmg/L\n"}};

/* Doses at 0 and 12 h; each half-day's area should be 60 mg.h/L. */
static const char smooth[] =
    "window: 24 h\nplan: {form: course, times: [0, 12 h], search: SEARCH, evaluations: 4000}\nrewards:\n"
    "  - {id: day, quantity: c, functional: integral, window: [0, 12 h], utility: \"-(x - 60)^2\", weight: 1}\n"
    "  - {id: night, quantity: c, functional: integral, window: [12 h, 24 h], utility: \"-(x - 60)^2\", weight: 2}\n"
    "  - {id: cost, of: amount, weight: -0.05}\n";
static const char range[] = "controlId\ttarget\tunit\tlower\tupper\niv\ta\tmg\t0\t800\n";
/* The same with amounts that exist, a limit, and time in range. */
static const char rough[] =
    "window: 24 h\nplan: {form: course, times: [0, 8 h, 16 h], search: SEARCH, evaluations: 1500}\nlimits:\n"
    "  - {id: peak, quantity: c, functional: maximum, event: \"> 12 mg/L\", probability: \"<= 0.20\"}\n"
    "rewards:\n"
    "  - {id: range, quantity: c, functional: time_between, range: [3, 8], unit: mg/L, weight: 1}\n"
    "  - {id: doses, of: count, weight: -0.3}\n";
static const char list[] =
    "controlId\ttarget\tunit\tlower\tupper\tvalues\tintervals\n"
    "iv\ta\tmg\t0\t800\t0;50;100;150;200;250;300;400\t6;8;12\n";

/* The kind with these two files, `SEARCH` in the reward filled in. */
static dp_kind *small_kind(rig *r, const char *controls, const char *reward, const char *search) {
  char path[300], text[2000];
  const char *at = strstr(reward, "SEARCH");
  for (int i = 0; i < DPI_COUNT(files); i++) {
    rig_join(path, sizeof path, r->dir, files[i][0]);
    rig_write(path, files[i][1]);
  }
  rig_join(path, sizeof path, r->dir, "controls.tsv");
  rig_write(path, controls);
  if (at)
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - reward), reward, search, at + 6);
  else
    snprintf(text, sizeof text, "%s", reward);
  rig_join(path, sizeof path, r->dir, "reward.yaml");
  rig_write(path, text);
  return rig_load(r, r->dir);
}

typedef struct scene {
  dp_kind *kind;
  double *param;
  int effect[3];
  dp_instant history[1];
  dp_belief *belief;
  dp_plan_patient patient;
} scene;

static const double zero[3] = {0, 0, 0}, spread[3] = {0, 0.25, 0.2};

/* 200 mg at time 0, of which the plan's now sees what is left after `now` hours. */
static void scene_open(scene *s, dp_kind *kind, double now) {
  *s = (scene){.kind = kind, .effect = {0, 1, 2}};
  const dp_sim_desc *d = dp_sim_describe(kind->sim);
  s->param = calloc((size_t)d->nparam, sizeof(double));
  memcpy(s->param, d->param_default, sizeof(double) * (size_t)d->nparam);
  for (int i = 0; i < kind->nparam; i++) s->param[kind->param[i].sim_param] = kind->param[i].nominal;
  s->history[0] = dp_instant_default();
  s->history[0].type = DP_ADD;
  s->history[0].amount = 200;
  s->belief = belief_make(100, zero, spread, 7);
  s->patient = (dp_plan_patient){.param = s->param,
                                 .eta_effect = s->effect,
                                 .history = s->history,
                                 .nhistory = 1,
                                 .now = now,
                                 .belief = s->belief,
                                 .fresh = s->belief};
}

static void scene_close(scene *s) {
  free(s->param);
  belief_free(s->belief);
  dp_kind_destroy(s->kind);
}

static dp_advice *search(rig *r, const scene *s) {
  dp_plan_def def = dp_plan_def_default();
  dp_advice *a = NULL;
  def.nscreen = s->belief->ndraw;
  if (dp_plan_search(s->kind, &s->patient, &def, &a) != DP_OK) fail_msg("%s", dp_ctx_error(r->ctx));
  return a;
}

/* Best doses of `smooth`: least squares of areas linear in the doses. */
static void normal_equations(const scene *s, double best[2]) {
  double a11 = 0, a12 = 0, a22 = 0, b1 = 0, b2 = 0, n = s->belief->ndraw;
  for (int k = 0; k < s->belief->ndraw; k++) {
    double CL = 3 * exp(s->belief->eta[3 * k + 1]), V = 30 * exp(s->belief->eta[3 * k + 2]), ke = CL / V;
    double half = (1 - exp(-12 * ke)) / CL, left = 200 * exp(-ke * s->patient.now), carried = exp(-12 * ke) * half;
    /* day = left half + x half; night = left carried + x carried + y half */
    double d = 60 - left * half, e = 60 - left * carried;
    a11 += half * half + 2 * carried * carried;
    a12 += 2 * carried * half;
    a22 += 2 * half * half;
    b1 += d * half + 2 * e * carried;
    b2 += 2 * e * half;
  }
  b1 -= 0.5 * 0.05 * n; /* the slope of the cost */
  b2 -= 0.5 * 0.05 * n;
  double det = a11 * a22 - a12 * a12;
  best[0] = (b1 * a22 - b2 * a12) / det;
  best[1] = (a11 * b2 - a12 * b1) / det;
}

static void smooth_optimum(void **state) {
  static const char *const searches[] = {"gradient", "cma", "cross-entropy"};
  static const double within[] = {1e-5, 1e-4, 2e-2};
  for (int i = 0; i < DPI_COUNT(searches); i++) {
    scene s;
    double best[2];
    scene_open(&s, small_kind(*state, range, smooth, searches[i]), 6);
    dp_advice *a = search(*state, &s);
    assert_string_equal(a->search, searches[i]);
    assert_true(a->chosen >= 0 && a->evaluations > 3);
    const dp_plan *p = a->plan[a->chosen];
    normal_equations(&s, best);
    assert_true(best[0] > 50 && best[0] < 750 && best[1] > 50 &&
                best[1] < 750); /* inside the bounds, else the case tests nothing */
    for (int k = 0; k < 2; k++) rig_near(p->row[k].amount, best[k], within[i]);
    dp_advice_destroy(a);
    scene_close(&s);
  }
}

/* The gradient is taken where it is offered and nothing was asked for. */
static void default_search(void **state) {
  scene s;
  scene_open(&s, small_kind(*state, range, smooth, "gradient"), 6);
  s.kind->reward.search = "";
  dp_advice *a = search(*state, &s);
  assert_string_equal(a->search, "gradient");
  dp_advice_destroy(a);
  scene_close(&s);
  scene_open(&s, small_kind(*state, list, rough, "exhaustive"), 6);
  s.kind->reward.search = "";
  a = search(*state, &s);
  assert_string_equal(a->search, "exhaustive");
  assert_int_equal(a->ncandidate, 512);
  dp_advice_destroy(a);
  scene_close(&s);
}

static void all_find_the_best(void **state) {
  static const char *const searches[] = {"exhaustive", "cma", "cross-entropy"};
  char best[200] = "";
  for (int i = 0; i < DPI_COUNT(searches); i++) {
    scene s;
    scene_open(&s, small_kind(*state, list, rough, searches[i]), 6);
    dp_advice *a = search(*state, &s);
    assert_true(a->chosen >= 0);
    if (i == 0) snprintf(best, sizeof best, "%s", a->candidate[a->chosen].text);
    assert_string_equal(a->candidate[a->chosen].text, best);
    assert_true(i == 0 || a->evaluations <= 1600);
    dp_advice_destroy(a);
    scene_close(&s);
  }
}

/* A person's own state at now: areas of a course by superposition, whether the state is handed on or the history lived
 * again. */
static void course_goes_on_from_history(void **state) {
  rig *r = *state;
  for (int again = 0; again < 2; again++) {
    scene s;
    scene_open(&s, small_kind(r, range, smooth, "cma"), 6);
    if (again) { /* an infusion that is still running at now cannot be told by the state alone */
      s.history[0].type = DP_INFUSE;
      s.history[0].rate = 20;
    }
    dp_plan_row row[2] = {{.amount = 150}, {.time = 12, .amount = 90}};
    dp_plan plan = {.ctx = r->ctx, .nrow = 2, .row = row}, *one[1] = {&plan};
    dp_appraisal *a = NULL;
    if (dp_appraise(s.kind, &s.patient, one, 1, NULL, &a) != DP_OK) fail_msg("%s", dp_ctx_error(r->ctx));
    for (int k = 0; k < s.belief->ndraw; k++) {
      double CL = 3 * exp(s.belief->eta[3 * k + 1]), V = 30 * exp(s.belief->eta[3 * k + 2]), ke = CL / V;
      double half = (1 - exp(-12 * ke)) / CL, day = (200 * exp(-6 * ke) + 150) * half;
      if (again) { /* 4 h more at 20 mg/h: from now on 20/ke (1 - e^-ke t) until 4 h, then what is left; area by mass balance */
        double at_now = 20 / ke * (1 - exp(-6 * ke)), at_four = at_now * exp(-4 * ke) + 20 / ke * (1 - exp(-4 * ke));
        double end = at_four * exp(-8 * ke);
        day = (at_now + 80 - end) / CL + 150 * half;
      }
      rig_near(a->plan[0].value[k], day, 1e-6);
    }
    assert_int_equal(a->plan[0].nfailed, 0);
    rig_near(a->plan[0].best, 1, 0);
    dp_appraisal_destroy(a);
    scene_close(&s);
  }
}

/* What a search finds depends on its seed and on nothing of the machine. */
static void same_on_any_threads(void **state) {
  static const int threads[3] = {1, 2, 5};
  static const char *const searches[] = {"cma", "cross-entropy"};
  for (int i = 0; i < 2; i++) {
    double found[3][4];
    for (int k = 0; k < 3; k++) {
      dp_ctx_def def = dp_ctx_def_default();
      rig other = *(rig *)*state;
      scene s;
      def.nthread = threads[k];
      assert_int_equal(dp_ctx_create(&def, &other.ctx), DP_OK);
      scene_open(&s, small_kind(&other, range, smooth, searches[i]), 6);
      s.kind->reward.evaluations = 150;
      dp_advice *a = search(&other, &s);
      const dp_plan *p = a->plan[0];
      memcpy(found[k], (double[4]){p->row[0].amount, p->row[1].amount, a->candidate[0].reward, a->evaluations},
             sizeof found[k]);
      dp_advice_destroy(a);
      scene_close(&s);
      assert_int_equal(dpi_alloc_live(other.ctx), 0);
      dp_ctx_destroy(other.ctx);
    }
    assert_memory_equal(found[0], found[1], sizeof found[0]);
    assert_memory_equal(found[0], found[2], sizeof found[0]);
  }
}

/* A plan takes the place of what history orders later than now: of eleven doses every 4 h only those at 0 and 4 h were
 * given by 6 h. */
static void later_orders_are_dropped(void **state) {
  rig *r = *state;
  scene s;
  scene_open(&s, small_kind(r, range, smooth, "cma"), 6);
  dp_instant history[2] = {s.history[0], s.history[0]};
  history[0].interval = 4 * DP_TICKS;
  history[0].repeats = 10;
  history[1].time = 7 * DP_TICKS; /* given after now: not by this plan */
  s.patient.history = history;
  s.patient.nhistory = 2;
  dp_plan_row row = {.amount = 100};
  dp_plan plan = {.ctx = r->ctx, .nrow = 1, .row = &row}, *one[1] = {&plan};
  dp_appraisal *a = NULL;
  if (dp_appraise(s.kind, &s.patient, one, 1, NULL, &a) != DP_OK) fail_msg("%s", dp_ctx_error(r->ctx));
  for (int k = 0; k < s.belief->ndraw; k++) {
    double CL = 3 * exp(s.belief->eta[3 * k + 1]), V = 30 * exp(s.belief->eta[3 * k + 2]), ke = CL / V;
    double now = 200 * exp(-6 * ke) + 200 * exp(-2 * ke) + 100;
    rig_near(a->plan[0].value[k], now * (1 - exp(-12 * ke)) / CL, 1e-6);
  }
  dp_appraisal_destroy(a);
  scene_close(&s);
}

static void refused(void **state) {
  static const struct {
    const char *controls, *reward, *search, *said;
  } bad[] = {{list, rough, "gradient", "search gradient: the discrete choice of 'iv' has no gradient; use cma"},
             {range, rough, "gradient", "limit 'peak' has no gradient"},
             {range, smooth, "exhaustive", "there are infinitely many plans"}};
  rig *r = *state;
  for (int i = 0; i < DPI_COUNT(bad); i++) {
    scene s;
    dp_plan_def def = dp_plan_def_default();
    dp_advice *a = NULL;
    scene_open(&s, small_kind(r, bad[i].controls, bad[i].reward, bad[i].search), 6);
    assert_int_equal(dp_plan_search(s.kind, &s.patient, &def, &a), DP_ERR_UNSUPPORTED);
    if (!strstr(dp_ctx_error(r->ctx), bad[i].said)) fail_msg("'%s' is not in '%s'", bad[i].said, dp_ctx_error(r->ctx));
    assert_null(a);
    dp_ctx_clear_error(r->ctx);
    def.search = "simulated-annealing";
    assert_int_equal(dp_plan_search(s.kind, &s.patient, &def, &a), DP_ERR_USAGE);
    assert_non_null(strstr(dp_ctx_error(r->ctx), "expected one of cma, cross-entropy, exhaustive, gradient"));
    dp_ctx_clear_error(r->ctx);
    scene_close(&s);
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(smooth_optimum),
      TEST(default_search),
      TEST(all_find_the_best),
      TEST(course_goes_on_from_history),
      TEST(later_orders_are_dropped),
      TEST(same_on_any_threads),
      TEST(refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
