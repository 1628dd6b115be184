/* Posteriors: where chains begin, and parameters that a fit solves for. Independent comparison: the same problem with
 * these parameters searched for; a well with a second, higher one beside it. */
#include "infer/petab/tests/calib_rig.h"

#include "doppel/estimate.h"

#define MODEL "model one()\n  A = 2; k = 0.5; A' = -k*A;\nend\n"
#define SEEN "observableId|observableFormula|noiseFormula|noiseDistribution\nn|w*A|0.1|normal\n"
#define MEASURED "observableId|experimentId|time|measurement\nn||0|4.1\nn||1|2.9\nn||3|1.1\n"

static const tables SOLVED = {.model = MODEL,
                              .parameters =
                                  "parameterId|lowerBound|upperBound|nominalValue|estimate|parameterType\n"
                                  "w|0.1|5|1|true|scaling\nk|0.01|3|0.5|true|  \n",
                              .observables = SEEN,
                              .measurements = MEASURED};
static const tables PLAIN = {.model = MODEL,
                             .parameters =
                                 "parameterId|lowerBound|upperBound|nominalValue|estimate\n"
                                 "w|0.1|5|1|true\nk|0.01|3|0.5|true\n",
                             .observables = SEEN,
                             .measurements = MEASURED};

static void draw(rig *r, const tables *t, const char *method, const double *start, dp_problem **p, dp_sample **s) {
  dp_problem_sample_def def = dp_problem_sample_def_default();
  def.method = method;
  def.start = start;
  def.nstart = start ? 1 : 0;
  def.nchain = 2;
  def.nwarmup = 100;
  def.ndraw = 100;
  *p = rig_open(r, rig_v2(r, t), DP_DERIVATIVE_FORWARD);
  if (dp_problem_sample(*p, &def, s) != DP_OK) fail_msg("%s: %s", method, dp_ctx_error(r->ctx));
}

/* What is solved inside the objective is drawn like the others: the bytes of the problem that has it as an ordinary
 * one; a
 * start is completed by what is solved there. */
static void test_solved(void **state) {
  static const char *const method[] = {"smc", "nuts", "tempering", "laplace"};
  rig *r = *state;
  dp_problem_value v = {.solved = (double[1]){0}};
  const double k = 0.4;
  dp_problem *p = rig_open(r, rig_v2(r, &SOLVED), DP_DERIVATIVE_FORWARD);
  assert_int_equal(dp_problem_describe(p)->nparam, 1);
  assert_int_equal(dp_problem_eval(p, 1, &k, DP_PROBLEM_VALUE, &v), DP_OK);
  dp_problem_close(p);
  const double both[2] = {v.solved[0], k};
  for (int i = 0; i < 4; i++) {
    dp_sample *a, *b;
    dp_problem *q;
    draw(r, &SOLVED, method[i], i ? &k : NULL, &p, &a);
    draw(r, &PLAIN, method[i], i ? both : NULL, &q, &b);
    assert_int_equal(a->nparam, 2);
    assert_string_equal(a->id[0], "w");
    assert_string_equal(a->id[1], "k");
    assert_int_equal(a->nchain * a->ndraw, b->nchain * b->ndraw);
    for (int j = 0; j < a->nchain * a->ndraw * 2; j++)
      if (!(a->x[j] == b->x[j])) fail_msg("%s: number %d is %.17g, expected %.17g", method[i], j, a->x[j], b->x[j]);
    assert_int_equal(a->usable, b->usable);
    dp_sample_destroy(a);
    dp_sample_destroy(b);
    dp_problem_close(p);
    dp_problem_close(q);
    assert_int_equal(dpi_alloc_live(r->ctx), 0);
  }
}

static void test_solved_without_bounds(void **state) {
  rig *r = *state;
  tables t = SOLVED;
  dp_problem_sample_def def = dp_problem_sample_def_default();
  dp_sample *s;
  t.parameters =
      "parameterId|lowerBound|upperBound|nominalValue|estimate|parameterType\n"
      "w|0|inf|1|true|scaling\nk|0.01|3|0.5|true|  \n";
  dp_problem *p = rig_open(r, rig_v2(r, &t), DP_DERIVATIVE_FORWARD);
  assert_int_equal(dp_problem_sample(p, &def, &s), DP_ERR_UNSUPPORTED);
  assert_non_null(strstr(dp_ctx_error(r->ctx), "'w' is solved inside the objective and has no finite bounds"));
  assert_null(s);
  dp_problem_close(p);
}

/* (k^2 - 1)^2 around 0, tilted: wells near -1 and 1, the second one deeper by about 200. Chains begin at the deep
 * one alone, and
 * the verdict says so; two places in one well are both begun at. */
static void test_far_optima(void **state) {
  rig *r = *state;
  const tables t = {.model = "model two()\n  x = 1; k = 0.5; y := (k^2 - 1)^2 - 0.2*k;\nend\n",
                    .parameters = "parameterId|lowerBound|upperBound|nominalValue|estimate\nk|-2|2|0.5|true\n",
                    .observables = "observableId|observableFormula|noiseFormula|noiseDistribution\nn|y|0.02|normal\n",
                    .measurements = "observableId|experimentId|time|measurement\nn||1|-0.2\n"};
  const double far[2] = {-1, 1}, near[2] = {1.02, 0.99};
  dp_problem *p = rig_open(r, rig_v2(r, &t), DP_DERIVATIVE_FORWARD);
  for (int i = 0; i < 2; i++) {
    dp_problem_sample_def def = dp_problem_sample_def_default();
    dp_sample *s;
    def.start = i ? near : far;
    def.nstart = 2;
    def.nchain = 4;
    def.nwarmup = def.ndraw = 60;
    assert_int_equal(dp_problem_sample(p, &def, &s), DP_OK);
    assert_int_equal(strstr(s->verdict, "chains began at 1 of 2 optima") != NULL, i == 0);
    for (int k = 0; k < 4 * 60; k++) assert_true(s->x[k] > 0);
    assert_true(s->x[0] != s->x[2 * 60]); /* chains 0 and 2 have one start, and begin apart */
    dp_sample_destroy(s);
  }
  dp_problem_close(p);
}

/* Warming up by a coarser problem leaves draws by the problem itself; one of another size is refused. */
static void test_coarse(void **state) {
  rig *r = *state;
  dp_problem_def rough = dp_problem_def_default();
  dp_problem *p = rig_open(r, rig_v2(r, &PLAIN), DP_DERIVATIVE_FORWARD), *coarse, *solved;
  const double start[2] = {2, 0.4};
  dp_problem_sample_def def = dp_problem_sample_def_default();
  dp_sample *s;
  rough.rtol = 1e-4;
  rough.atol = 1e-7;
  assert_int_equal(dp_problem_open(r->ctx, r->path, &rough, &coarse), DP_OK);
  def.start = start;
  def.nstart = 1;
  def.nchain = 2;
  def.nwarmup = 60;
  def.ndraw = 20;
  def.coarse = coarse;
  assert_int_equal(dp_problem_sample(p, &def, &s), DP_OK);
  for (int i = 0; i < 40; i++) {
    dp_problem_value v = {0};
    assert_int_equal(dp_problem_eval(p, 1, s->x + 2 * i, DP_PROBLEM_VALUE, &v), DP_OK);
    check_near("llh of a draw", s->llh[i], v.llh, 1e-9); /* the coarse one's is 1e-5 away */
  }
  dp_sample_destroy(s);
  const tables one = {
      .model = MODEL,
      .parameters = "parameterId|lowerBound|upperBound|nominalValue|estimate\nk|0.01|3|0.5|true\nw|0|1|1|false\n",
      .observables = SEEN,
      .measurements = MEASURED};
  solved = rig_open(r, rig_v2(r, &one), DP_DERIVATIVE_FORWARD);
  def.coarse = solved;
  assert_int_equal(dp_problem_sample(p, &def, &s), DP_ERR_USAGE);
  dp_problem_close(solved);
  dp_problem_close(coarse);
  dp_problem_close(p);
  assert_int_equal(dpi_alloc_live(r->ctx), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_solved, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_solved_without_bounds, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_far_optima, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_coarse, rig_setup, rig_teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
