/* estimate.h over a whole problem. Independent comparison: a straight line with known noise, where least squares, its
 * covariance, profiles, posterior and evidence are textbook formulas. */
#include "infer/petab/tests/calib_rig.h"

#include "doppel/estimate.h"
#include "infer/point/global.h"

/* x = a + b t, noise 0.5; t = 0 .. 5 */
enum { N = 6 };
static const double MEASURED[N] = {1.2, 1.3, 2.4, 2.2, 3.1, 3.9};
static const double SD = 0.5, LN_2PI = 1.8378770664093454836;

#define LINE(bounds)                                                                                                   \
  {.model = "model line()\n  x = a; a = 1; b = 1; x' = b;\nend\n",                                                     \
   .parameters = "parameterId|lowerBound|upperBound|nominalValue|estimate\n" bounds,                                   \
   .observables = "observableId|observableFormula|noiseFormula|noiseDistribution\no|x|0.5|normal\n",                   \
   .measurements = "observableId|experimentId|time|measurement\n"                                                      \
                   "o||0|1.2\no||1|1.3\no||2|2.4\no||3|2.2\no||4|3.1\no||5|3.9\n"}
static const tables WIDE = LINE("a|-10|10|0|true\nb|-10|10|0|true\n");
static const tables NARROW = LINE("a|-10|10|0|true\nb|-10|0.4|0|true\n");

typedef struct line { /* least squares */
  double a, b, var_a, var_b, j, det; /* det of the information */
} line;

static line least_squares(void) {
  double s = 0, t1 = 0, t2 = 0, y0 = 0, y1 = 0;
  for (int i = 0; i < N; i++) s += 1, t1 += i, t2 += i * i, y0 += MEASURED[i], y1 += i * MEASURED[i];
  const double det = s * t2 - t1 * t1, v = SD * SD;
  line l = {.a = (t2 * y0 - t1 * y1) / det, .b = (s * y1 - t1 * y0) / det, .var_a = v * t2 / det, .var_b = v * s / det,
            .j = N * (log(SD) + 0.5 * LN_2PI), .det = det / (v * v)};
  for (int i = 0; i < N; i++) l.j += 0.5 * pow((MEASURED[i] - l.a - l.b * i) / SD, 2);
  return l;
}

static dp_problem *open_line(rig *r, const tables *t) { return rig_open(r, rig_v2(r, t), DP_DERIVATIVE_FORWARD); }

/* ---- fit ---- */

static void test_fit_is_least_squares(void **state) {
  rig *r = *state;
  const line l = least_squares();
  dp_problem *p = open_line(r, &WIDE);
  dp_problem_fit_def def = dp_problem_fit_def_default();
  def.nstart = 7;
  dp_fit *f;
  assert_int_equal(dp_problem_fit(p, &def, &f), DP_OK);
  assert_int_equal(f->nparam, 2);
  assert_int_equal(f->nstart, 7);
  assert_int_equal(f->nfound, 7);
  assert_int_equal(f->noptimum, 1);
  assert_int_equal(f->rank, 2);
  const dp_fit_optimum *o = &f->optimum[0];
  check_near("a", o->x[0], l.a, 1e-6);
  check_near("b", o->x[1], l.b, 1e-6);
  check_near("J", o->j, l.j, 1e-9);
  check_near("J of its parts", o->j, -o->llh - o->log_prior, 1e-15);
  check_near("sd of a", o->sd[0], sqrt(l.var_a), 1e-6);
  check_near("sd of b", o->sd[1], sqrt(l.var_b), 1e-6);
  check_near("AIC", f->aic, 4 + 2 * l.j, 1e-9);
  check_near("AICc", f->aicc, 4 + 2 * l.j + 12.0 / (N - 3), 1e-9);
  check_near("BIC", f->bic, 2 * log(N) + 2 * l.j, 1e-9);
  check_near("hit rate", f->hit_rate, 1, 0);
  bool seen[7] = {false};
  for (int i = 0; i < 7; i++) {
    assert_true(i == 0 || f->start[i].j >= f->start[i - 1].j);
    assert_in_range(f->start[i].start, 0, 6);
    assert_false(seen[f->start[i].start]);
    seen[f->start[i].start] = true;
    assert_int_equal(f->start[i].optimum, 0);
    assert_true(f->start[i].j_start >= f->start[i].j);
    assert_true(f->start[i].end[0] != 0);
  }
  dp_fit_destroy(f);
  dp_problem_close(p);
  assert_int_equal(dpi_alloc_live(r->ctx), 0);
}

/* b's upper bound is below its estimate: the other one is a's least squares given b there */
static void test_fit_at_a_bound(void **state) {
  rig *r = *state;
  dp_problem *p = open_line(r, &NARROW);
  dp_problem_fit_def def = dp_problem_fit_def_default();
  def.nstart = 3;
  dp_fit *f;
  assert_int_equal(dp_problem_fit(p, &def, &f), DP_OK);
  double a = 0;
  for (int i = 0; i < N; i++) a += (MEASURED[i] - 0.4 * i) / N;
  const dp_fit_optimum *o = &f->optimum[0];
  check_near("b", o->x[1], 0.4, 1e-7);
  check_near("a", o->x[0], a, 1e-6);
  assert_int_equal(o->at[0], 0);
  assert_int_equal(o->at[1], 1);
  check_near("sd of a, b being given", o->sd[0], SD / sqrt(N), 1e-6);
  assert_false(isfinite(o->sd[1]));
  dp_fit_destroy(f);
  dp_problem_close(p);
}

static void test_fit_starts(void **state) {
  rig *r = *state;
  dp_problem *p = open_line(r, &WIDE);
  const double given[4] = {3, 3, -4, 2};
  dp_problem_fit_def def = dp_problem_fit_def_default();
  def.nstart = 0;
  def.given = given;
  def.ngiven = 2;
  def.nominal = 1;
  dp_fit *f;
  assert_int_equal(dp_problem_fit(p, &def, &f), DP_OK);
  assert_int_equal(f->nstart, 3);
  for (int i = 0; i < 3; i++) { /* J of the place that each began at: the nominal point first */
    const double *x = f->start[i].start == 0 ? dp_problem_describe(p)->nominal : given + 2 * (f->start[i].start - 1);
    double j = N * (log(SD) + 0.5 * LN_2PI);
    for (int k = 0; k < N; k++) j += 0.5 * pow((MEASURED[k] - x[0] - x[1] * k) / SD, 2);
    check_near("J at the start", f->start[i].j_start, j, 1e-9);
  }
  dp_fit_destroy(f);
  def.max_cpu = 1e-12; /* no time at all: an answer or an error, nothing half-made */
  const dp_status st = dp_problem_fit(p, &def, &f);
  if (st == DP_OK) {
    assert_true(f->noptimum > 0);
    dp_fit_destroy(f);
  } else {
    assert_null(f);
    assert_true(dp_ctx_error(r->ctx)[0] != 0);
  }
  dp_problem_close(p);
}

/* One minimum: the scatter search finds nothing better, says so, and leaves the answer what it was; with a file it
 * goes on from where it was. */
static void test_fit_and_scatter(void **state) {
  rig *r = *state;
  const line l = least_squares();
  dp_problem *p = open_line(r, &WIDE);
  dp_problem_fit_def def = dp_problem_fit_def_default();
  def.nstart = 3;
  def.search = "scatter";
  def.file = "estimate_scatter.tsv";
  remove(def.file);
  remove("estimate_scatter.tsv.scatter");
  long points = 0;
  for (int again = 0; again < 2; again++) {
    dp_fit *f;
    assert_int_equal(dp_problem_fit(p, &def, &f), DP_OK);
    check_near("a", f->optimum[0].x[0], l.a, 1e-6);
    check_near("b", f->optimum[0].x[1], l.b, 1e-6);
    check_near("J", f->optimum[0].j, l.j, 1e-9);
    check_near("J of the starts", f->j_starts, l.j, 1e-9);
    assert_int_equal(f->noptimum, 1);
    assert_int_equal(f->nstart, 3);
    assert_int_equal(f->optimum[0].count, 3);
    assert_true(f->nscatter > 0 && f->ngeneration > 0 && f->scatter_ended);
    assert_true(again == 0 || f->neval == points);
    points = f->neval;
    dp_fit_destroy(f);
  }
  def.seed = 2;
  dp_fit *f;
  assert_int_equal(dp_problem_fit(p, &def, &f), DP_ERR_CONFLICT);
  dp_ctx_clear_error(r->ctx);
  remove(def.file);
  remove("estimate_scatter.tsv.scatter");
  def = dp_problem_fit_def_default();
  def.search = "magic";
  assert_int_equal(dp_problem_fit(p, &def, &f), DP_ERR_USAGE);
  assert_null(f);
  dp_problem_close(p);
}

/* Over the whole box: every method that this build has ends in the one minimum, from points that are counted. */
static void test_fit_global(void **state) {
  static const char *const word[] = {"crs2", "esch", "isres", "direct", "mlsl"};
  rig *r = *state;
  const line l = least_squares();
  dp_problem *p = open_line(r, &WIDE);
  for (int m = 0; m < DPI_COUNT(word); m++) {
    dp_problem_fit_def def = dp_problem_fit_def_default();
    def.search = word[m];
    def.points = 500;
    dp_fit *f;
    const dp_status st = dp_problem_fit(p, &def, &f);
    if (!dpi_global_offered((dpi_global_method)dpi_global_find(word[m]))) {
      assert_int_equal(st, DP_ERR_UNSUPPORTED);
      dp_ctx_clear_error(r->ctx);
      continue;
    }
    assert_int_equal(st, DP_OK);
    check_near(word[m], f->optimum[0].j, l.j, 1e-9);
    check_near("a", f->optimum[0].x[0], l.a, 1e-6);
    assert_in_range(f->nglobal, 500, 550); /* NLopt ends the round that it is in */
    assert_true(f->neval > f->nglobal);
    dp_fit_destroy(f);
    def.nominal = 1; /* a search over the box has no starts */
    assert_int_equal(dp_problem_fit(p, &def, &f), DP_ERR_USAGE);
    dp_ctx_clear_error(r->ctx);
  }
  dp_problem_fit_def def = dp_problem_fit_def_default();
  dp_fit *f;
  def.points = 500; /* of what? */
  assert_int_equal(dp_problem_fit(p, &def, &f), DP_ERR_USAGE);
  dp_ctx_clear_error(r->ctx);
  dp_problem_close(p);
}

static void test_fit_refusals(void **state) {
  rig *r = *state;
  dp_problem *p = open_line(r, &WIDE);
  dp_fit *f = (dp_fit *)p;
  dp_problem_fit_def good = dp_problem_fit_def_default(), def = {0};
  assert_int_equal(dp_problem_fit(p, &def, &f), DP_ERR_USAGE);
  assert_null(f);
  def = good, def.sampling = "magic";
  assert_int_equal(dp_problem_fit(p, &def, &f), DP_ERR_USAGE);
  def = good, def.hessian = "magic";
  assert_int_equal(dp_problem_fit(p, &def, &f), DP_ERR_USAGE);
  def = good, def.nstart = 0;
  assert_int_equal(dp_problem_fit(p, &def, &f), DP_ERR_USAGE);
  def = good, def.nstart = -3;
  assert_int_equal(dp_problem_fit(p, &def, &f), DP_ERR_USAGE);
  assert_null(f);
  dp_fit_destroy(NULL);
  dp_problem_close(p);
}

/* ---- profiles ---- */

static void test_limits_are_the_parabola(void **state) {
  rig *r = *state;
  const line l = least_squares();
  dp_problem *p = open_line(r, &WIDE);
  const double x[2] = {l.a, l.b}, other[2] = {l.a + 1, l.b};
  const int which[1] = {1};
  dp_problem_limits_def def = dp_problem_limits_def_default();
  dp_limits *m;
  assert_int_equal(dp_problem_limits(p, x, &def, &m), DP_OK);
  assert_int_equal(m->n, 2);
  assert_int_equal(m->nbetter, 0);
  check_near("threshold", m->threshold, 0.5 * 3.841458820694124, 1e-9);
  for (int i = 0; i < 2; i++) {
    const dp_limit *q = &m->limit[i];
    const double wide = 1.959963984540054 * sqrt(i ? l.var_b : l.var_a);
    assert_int_equal(q->param, i);
    check_near("at", q->at, x[i], 1e-9);
    check_near("lower", q->lower, x[i] - wide, 1e-3 * wide);
    check_near("upper", q->upper, x[i] + wide, 1e-3 * wide);
    assert_string_equal(q->verdict, "identifiable");
    for (int k = 0; k < q->npoint; k++) {
      assert_true(k == 0 || q->point[k].at > q->point[k - 1].at);
      check_near("J along the profile", q->point[k].j,
                 l.j + 0.5 * pow((q->point[k].at - x[i]) / wide * 1.959963984540054, 2), 1e-5);
    }
  }
  dp_limits_destroy(m);
  /* from a worse place with a better one beside it; one parameter at another level */
  def.level = 0.5;
  def.param = which;
  def.n = 1;
  def.other = x;
  def.nother = 1;
  assert_int_equal(dp_problem_limits(p, other, &def, &m), DP_OK);
  assert_int_equal(m->n, 1);
  assert_int_equal(m->limit[0].param, 1);
  check_near("J", m->j, l.j, 1e-8);
  check_near("quartile", m->limit[0].upper - m->limit[0].at, 0.6744897501960817 * sqrt(l.var_b), 1e-3);
  dp_limits_destroy(m);
  dp_problem_close(p);
  assert_int_equal(dpi_alloc_live(r->ctx), 0);
}

static void test_limits_refusals(void **state) {
  rig *r = *state;
  dp_problem *p = open_line(r, &WIDE);
  const double x[2] = {1, 0.5};
  const int wrong[1] = {2};
  dp_limits *m = (dp_limits *)p;
  dp_problem_limits_def def = {0};
  assert_int_equal(dp_problem_limits(p, x, &def, &m), DP_ERR_USAGE);
  assert_null(m);
  for (int i = 0; i < 4; i++) {
    def = dp_problem_limits_def_default();
    def.level = ((const double[]){0, 1, -0.5, NAN})[i];
    assert_int_equal(dp_problem_limits(p, x, &def, &m), DP_ERR_USAGE);
  }
  def = dp_problem_limits_def_default();
  def.param = wrong;
  def.n = 1;
  assert_int_not_equal(dp_problem_limits(p, x, &def, &m), DP_OK);
  assert_null(m);
  dp_limits_destroy(NULL);
  dp_problem_close(p);
}

/* ---- quantities ---- */

/* The profile of a linear combination of a and b is exact: variance c' V c. An observable, a formula of the model and
 * of observables, before, between and beyond the measurements. */
static void test_quantities_are_exact(void **state) {
  rig *r = *state;
  const line l = least_squares();
  const double cov = -15 * SD * SD / (6 * 55.0 - 15 * 15), x[2] = {l.a, l.b};
  const dp_problem_quantity asked[4] = {{.name = "o@8", .formula = "o", .time = 8},
                                        {.name = "o@2.5", .formula = "o", .time = 2.5},
                                        {.name = "f", .formula = "2*o - x + 3*b", .time = 10},
                                        {.name = "nothing", .formula = "time^2", .time = 3}};
  const double of_a[3] = {1, 1, 1}, of_b[3] = {8, 2.5, 13};
  dp_problem *p = open_line(r, &WIDE);
  dp_problem_limits_def def = dp_problem_limits_def_default();
  dp_limits *m;
  def.quantity = asked;
  def.nquantity = 4;
  assert_int_equal(dp_problem_limits(p, x, &def, &m), DP_OK);
  assert_int_equal(m->n, 4);
  for (int i = 0; i < 3; i++) {
    const dp_limit *q = &m->limit[i];
    const double at = of_a[i] * l.a + of_b[i] * l.b;
    const double var = of_a[i] * of_a[i] * l.var_a + of_b[i] * of_b[i] * l.var_b + 2 * of_a[i] * of_b[i] * cov;
    const double wide = 1.959963984540054 * sqrt(var);
    assert_int_equal(q->param, -1);
    assert_string_equal(q->name, asked[i].name);
    assert_string_equal(q->verdict, "bounded");
    check_near("at", q->at, at, 1e-7);
    check_near("lower", q->lower, at - wide, 1e-3 * wide);
    check_near("upper", q->upper, at + wide, 1e-3 * wide);
    for (int k = 0; k < q->npoint; k++)
      check_near("J along the profile", q->point[k].j, l.j + 0.5 * pow(q->point[k].at - at, 2) / var, 1e-5);
  }
  assert_true(m->limit[3].lower == 9 && m->limit[3].upper == 9);
  assert_string_equal(m->limit[3].words, "it depends on nothing that is estimated");
  dp_limits_destroy(m);
  def.param = (const int[]){1};
  def.n = 1;
  assert_int_equal(dp_problem_limits(p, x, &def, &m), DP_OK); /* a parameter, then the quantities */
  assert_int_equal(m->n, 5);
  assert_true(m->limit[0].param == 1 && m->limit[1].param == -1);
  dp_limits_destroy(m);
  dp_problem_close(p);
  assert_int_equal(dpi_alloc_live(r->ctx), 0);
}

/* b can't leave its box: the data allow all up to there, and that is said */
static void test_quantity_at_a_bound(void **state) {
  rig *r = *state;
  const line l = least_squares();
  dp_problem *p = open_line(r, &NARROW);
  double x[2] = {0, 0.4};
  for (int i = 0; i < N; i++) x[0] += (MEASURED[i] - 0.4 * i) / N;
  const dp_problem_quantity slope = {.formula = "b", .time = 0};
  dp_problem_limits_def def = dp_problem_limits_def_default();
  dp_limits *m;
  def.quantity = &slope;
  def.nquantity = 1;
  assert_int_equal(dp_problem_limits(p, x, &def, &m), DP_OK);
  assert_true(isinf(m->limit[0].upper) && isfinite(m->limit[0].lower));
  /* the parabola around b's estimate, which lies beyond the bound */
  check_near("lower", m->limit[0].lower, l.b - sqrt(pow(0.4 - l.b, 2) + 3.841458820694124 * l.var_b), 1e-4);
  assert_string_equal(m->limit[0].verdict, "unbounded above");
  assert_non_null(strstr(m->limit[0].words, "the data allow all that the parameters' bounds do, to 0.4"));
  dp_limits_destroy(m);
  dp_problem_close(p);
}

static void test_quantity_refusals(void **state) {
  static const struct {
    dp_problem_quantity q;
    const char *says;
  } bad[] = {{{.formula = "nobody", .time = 1}, "unknown name 'nobody'"},
             {{.formula = "o+", .time = 1}, "the formula ends"},
             {{.formula = "o", .experiment = "e9", .time = 1}, "no experiment 'e9'"},
             {{.formula = "o", .time = -1}, "lies before the start"},
             {{.formula = "o", .time = NAN}, "expected a time"},
             {{.time = 1}, "has no formula"}};
  rig *r = *state;
  dp_problem *p = open_line(r, &WIDE);
  const double x[2] = {1, 0.5};
  for (int i = 0; i < (int)(sizeof bad / sizeof *bad); i++) {
    dp_problem_limits_def def = dp_problem_limits_def_default();
    dp_limits *m = (dp_limits *)p;
    def.quantity = &bad[i].q;
    def.nquantity = 1;
    assert_int_not_equal(dp_problem_limits(p, x, &def, &m), DP_OK);
    assert_null(m);
    if (!strstr(dp_ctx_error(r->ctx), bad[i].says)) fail_msg("%d: %s", i, dp_ctx_error(r->ctx));
    dp_ctx_clear_error(r->ctx);
  }
  dp_problem_close(p);
  assert_int_equal(dpi_alloc_live(r->ctx), 0);
}

/* An experiment that the tables define and nobody measured in: it starts at u = 3, so the line there is 3 a + b t. Both
 * versions. */
static void test_quantity_not_measured(void **state) {
  static const char model[] = "model line()\n  x = u*a; a = 1; b = 1; u = 1; x' = b;\nend\n";
  tables t = {.model = model,
              .parameters = "parameterId|lowerBound|upperBound|nominalValue|estimate\na|-10|10|0|true\nb|-10|10|0|true\n",
              .observables = "observableId|observableFormula|noiseFormula|noiseDistribution\no|x|0.5|normal\n",
              .conditions = "conditionId|targetId|targetValue\nc1|u|1\nc3|u|3\n",
              .experiments = "experimentId|time|conditionId\ne1|0|c1\ne3|0|c3\n",
              .measurements = "observableId|experimentId|time|measurement\n"
                              "o|e1|0|1.2\no|e1|1|1.3\no|e1|2|2.4\no|e1|3|2.2\no|e1|4|3.1\no|e1|5|3.9\n"};
  const char *experiment[2] = {"e3", "c3"};
  rig *r = *state;
  const line l = least_squares();
  const double x[2] = {l.a, l.b}, cov = -15 * SD * SD / (6 * 55.0 - 15 * 15);
  const double at = 3 * l.a + 8 * l.b, wide = 1.959963984540054 * sqrt(9 * l.var_a + 64 * l.var_b + 48 * cov);
  for (int version = 2; version >= 1; version--) {
    if (version == 1) {
      t.model = "<?xml version='1.0'?><sbml xmlns='http://www.sbml.org/sbml/level3/version1/core' level='3' version='1'>"
                "<model id='line'><listOfParameters><parameter id='x' value='1' constant='false'/>"
                "<parameter id='a' value='1' constant='true'/><parameter id='b' value='1' constant='true'/>"
                "<parameter id='u' value='1' constant='true'/></listOfParameters><listOfInitialAssignments>"
                "<initialAssignment symbol='x'><math xmlns='http://www.w3.org/1998/Math/MathML'><apply><times/><ci>u</ci>"
                "<ci>a</ci></apply></math></initialAssignment></listOfInitialAssignments><listOfRules>"
                "<rateRule variable='x'><math xmlns='http://www.w3.org/1998/Math/MathML'><ci>b</ci></math></rateRule>"
                "</listOfRules></model></sbml>";
      t.parameters = "parameterId|parameterScale|lowerBound|upperBound|nominalValue|estimate\n"
                     "a|lin|-10|10|0|1\nb|lin|-10|10|0|1\n";
      t.observables = "observableId|observableFormula|noiseFormula\no|x|0.5\n";
      t.conditions = "conditionId|u\nc1|1\nc3|3\n";
      t.experiments = NULL;
      t.measurements = "observableId|simulationConditionId|time|measurement\n"
                       "o|c1|0|1.2\no|c1|1|1.3\no|c1|2|2.4\no|c1|3|2.2\no|c1|4|3.1\no|c1|5|3.9\n";
    }
    dp_problem *p = rig_open(r, version == 2 ? rig_v2(r, &t) : rig_v1(r, &t), DP_DERIVATIVE_FORWARD);
    const dp_problem_quantity asked = {.formula = "o", .experiment = experiment[version == 1], .time = 8};
    dp_problem_limits_def def = dp_problem_limits_def_default();
    dp_limits *m;
    def.quantity = &asked;
    def.nquantity = 1;
    if (dp_problem_limits(p, x, &def, &m) != DP_OK) fail_msg("version %d: %s", version, dp_ctx_error(r->ctx));
    check_near("at", m->limit[0].at, at, 1e-7);
    check_near("lower", m->limit[0].lower, at - wide, 1e-3 * wide);
    check_near("upper", m->limit[0].upper, at + wide, 1e-3 * wide);
    dp_limits_destroy(m);
    assert_int_equal(dp_problem_describe(p)->ndatum, 6); /* the problem itself is what it was */
    dp_problem_close(p);
  }
  assert_int_equal(dpi_alloc_live(r->ctx), 0);
}

/* A scaling that is solved inside the objective: the quantity's interval is that of the problem in
 * which it is a parameter like the others, where the profile is known: the quantity is s (a + 2 b), its largest
 * likelihood at any value is that of s y with y = a + b t, and s times the line is a line again. */
static void test_quantity_of_what_is_solved(void **state) {
  rig *r = *state;
  const line l = least_squares();
  const double x[1] = {0.5};
#define SCALED(type)                                                                                                   \
  {.model = "model line()\n  x = 1; b = 1; x' = b;\nend\n",                                                           \
   .parameters = "parameterId|lowerBound|upperBound|nominalValue|estimate" type,                                       \
   .observables = "observableId|observableFormula|noiseFormula|noiseDistribution\no|s*x|0.5|normal\n",                \
   .measurements = "observableId|experimentId|time|measurement\n"                                                      \
                   "o||0|1.2\no||1|1.3\no||2|2.4\no||3|2.2\no||4|3.1\no||5|3.9\n"}
  const tables solved = SCALED("|parameterType\nb|-10|10|0.5|true|\ns|0.01|10|1|true|scaling\n");
  const dp_problem_quantity asked = {.formula = "o", .time = 8};
  dp_problem *p = open_line(r, &solved);
  dp_problem_limits_def def = dp_problem_limits_def_default();
  dp_limits *m;
  assert_int_equal(dp_problem_describe(p)->nparam, 1);
  def.quantity = &asked;
  def.nquantity = 1;
  def.param = (const int[]){0};
  def.n = 1;
  assert_int_equal(dp_problem_limits(p, x, &def, &m), DP_OK);
  const double at = l.a + 8 * l.b, cov = -15 * SD * SD / (6 * 55.0 - 15 * 15);
  const double wide = 1.959963984540054 * sqrt(l.var_a + 64 * l.var_b + 16 * cov);
  check_near("b", m->x[0], l.b / l.a, 1e-5);
  assert_string_equal(m->limit[0].name, "b");
  assert_int_equal(m->limit[0].param, 0);
  check_near("at", m->limit[1].at, at, 1e-5);
  check_near("lower", m->limit[1].lower, at - wide, 2e-3 * wide);
  check_near("upper", m->limit[1].upper, at + wide, 2e-3 * wide);
  dp_limits_destroy(m);
  dp_problem_close(p);
  assert_int_equal(dpi_alloc_live(r->ctx), 0);
}

/* ---- posteriors ---- */

/* A uniform prior over the box, 20 x 20: the posterior is the Gaussian, the evidence its integral over 400. Bounds:
 * five standard errors of the effective draws that the sample itself says, which a second test (cli) and the
 * samplers' own hold. */
static void test_samples_of_a_gaussian(void **state) {
  static const char *const methods[] = {"nuts", "tempering", "smc", "laplace"};
  rig *r = *state;
  const line l = least_squares();
  dp_problem *p = open_line(r, &WIDE);
  const double x[2] = {l.a, l.b}, sd[2] = {sqrt(l.var_a), sqrt(l.var_b)};
  const double evidence = -l.j + LN_2PI - 0.5 * log(l.det) - log(400);
  for (int k = 0; k < 4; k++) {
    dp_problem_sample_def def = dp_problem_sample_def_default();
    dp_sample *s;
    def.method = methods[k];
    def.start = x;
    def.nstart = 1;
    assert_int_equal(dp_problem_sample(p, &def, &s), DP_OK);
    if (!s->usable) fail_msg("%s: %s", methods[k], s->verdict);
    assert_int_equal(s->nparam, 2);
    for (int q = 0; q < 2; q++) {
      const dp_sample_param *m = &s->param[q];
      const double n = isfinite(m->ess_bulk) ? m->ess_bulk : 400, error = 5 * sd[q] / sqrt(n);
      if (!(fabs(m->mean - x[q]) < error)) fail_msg("%s: mean %g of %g", methods[k], m->mean, x[q]);
      if (!(fabs(m->sd - sd[q]) < error)) fail_msg("%s: sd %g of %g", methods[k], m->sd, sd[q]);
      assert_true(m->q05 < m->q25 && m->q25 < m->q50 && m->q50 < m->q75 && m->q75 < m->q95);
    }
    for (int i = 0; i < s->nchain * s->ndraw; i += 97) { /* what stands beside a draw is of that draw */
      double j = N * (log(SD) + 0.5 * LN_2PI);
      for (int t = 0; t < N; t++) j += 0.5 * pow((MEASURED[t] - s->x[2 * i] - s->x[2 * i + 1] * t) / SD, 2);
      check_near("llh of a draw", s->llh[i], -j, 1e-8);
    }
    if (isfinite(s->evidence) && !(fabs(s->evidence - evidence) < 5 * s->evidence_error + 1e-3))
      fail_msg("%s: ln evidence %g +- %g, expected %g", methods[k], s->evidence, s->evidence_error, evidence);
    assert_true(isfinite(s->evidence) == (k > 0));
    dp_sample_destroy(s);
  }
  dp_problem_close(p);
  assert_int_equal(dpi_alloc_live(r->ctx), 0);
}

static void test_sample_refusals(void **state) {
  rig *r = *state;
  dp_problem *p = open_line(r, &WIDE);
  dp_problem_sample_def def = {0};
  dp_sample *s = (dp_sample *)p;
  assert_int_equal(dp_problem_sample(p, &def, &s), DP_ERR_USAGE);
  assert_null(s);
  def = dp_problem_sample_def_default();
  def.method = "magic";
  assert_int_equal(dp_problem_sample(p, &def, &s), DP_ERR_USAGE);
  def.method = NULL;
  assert_int_equal(dp_problem_sample(p, &def, &s), DP_ERR_USAGE);
  def.method = "laplace"; /* without a mode */
  assert_int_equal(dp_problem_sample(p, &def, &s), DP_ERR_USAGE);
  assert_null(s);
  dp_sample_destroy(NULL);
  dp_problem_close(p);
}

/* ---- several models of the same data ---- */

/* A line and a constant. With a flat prior a measurement's density given the others is normal: its residual over 1 -
 * h, variance over 1 - h, h the leverage. Evidences are integrals of Gaussians over the box. */
static double left_out(bool slope, double *evidence) {
  const line l = least_squares();
  double mean = 0, sum = 0, j = N * (log(SD) + 0.5 * LN_2PI);
  for (int i = 0; i < N; i++) mean += MEASURED[i] / N;
  for (int i = 0; i < N; i++) {
    const double h = slope ? 1.0 / N + pow(i - 2.5, 2) / 17.5 : 1.0 / N;
    const double e = MEASURED[i] - (slope ? l.a + l.b * i : mean), v = SD * SD / (1 - h), r = e / (1 - h);
    sum += -0.5 * (LN_2PI + log(v)) - 0.5 * r * r / v;
    j += 0.5 * e * e / (SD * SD);
  }
  *evidence = slope ? -j + LN_2PI - 0.5 * log(l.det) - log(400) : -j + 0.5 * (LN_2PI - log(N / (SD * SD))) - log(20);
  return sum;
}

static void test_compare(void **state) {
  static const tables FLAT =
      {.model = "model line()\n  x = a; a = 1; b = 0; x' = b;\nend\n",
       .parameters = "parameterId|lowerBound|upperBound|nominalValue|estimate\na|-10|10|0|true\n",
       .observables = "observableId|observableFormula|noiseFormula|noiseDistribution\no|x|0.5|normal\n",
       .measurements = "observableId|experimentId|time|measurement\n"
                       "o||0|1.2\no||1|1.3\no||2|2.4\no||3|2.2\no||4|3.1\no||5|3.9\n"};
  const dp_problem_quantity asked = {.formula = "o", .time = 8};
  rig *r = *state, two = *r; /* a folder of its own: quantities read the files again */
  two.nmade = 0;
  strcpy(two.dir, "/tmp/doppel-calib-XXXXXX");
  assert_non_null(mkdtemp(two.dir));
  dp_problem *p[2] = {open_line(r, &WIDE), open_line(&two, &FLAT)};
  dp_sample *s[2];
  dp_comparison *c = NULL;
  const line l = least_squares();
  const double x[2] = {l.a, l.b};
  double mean = 0, want[2], evidence[2];
  for (int i = 0; i < N; i++) mean += MEASURED[i] / N;
  for (int k = 0; k < 2; k++) {
    dp_problem_sample_def sd = dp_problem_sample_def_default();
    sd.method = "laplace";
    sd.ndraw = 4000;
    sd.start = k ? &mean : x;
    sd.nstart = 1;
    assert_int_equal(dp_problem_sample(p[k], &sd, &s[k]), DP_OK);
    want[k] = left_out(k == 0, &evidence[k]);
  }
  dp_compare_def def = dp_compare_def_default();
  def.n = 2;
  def.problem = p;
  def.sample = (const dp_sample *const *)s;
  def.quantity = &asked;
  def.nquantity = 1;
  assert_int_equal(dp_compare(r->ctx, &def, &c), DP_OK);
  assert_int_equal(c->best, 0);
  const double share = 1 / (1 + exp(evidence[1] - evidence[0]));
  for (int k = 0; k < 2; k++) { /* 4000 draws: a standard error of elpd below 0.02, of the evidence below 0.01 */
    check_near("elpd", c->model[k].loo.elpd, want[k], 0.1 / fabs(want[k]));
    check_near("evidence", c->model[k].evidence, evidence[k], 0.05 / fabs(evidence[k]));
    assert_true(fabs(c->model[k].waic.elpd - want[k]) < 0.5); /* WAIC is another approximation of the same */
    check_near("weight by evidence", c->model[k].weight_evidence, k ? 1 - share : share, 0.05);
  }
  check_near("stacking sums to 1", c->model[0].weight_stack + c->model[1].weight_stack, 1, 1e-9);
  assert_true(c->model[0].weight_stack > 0.99); /* the constant is worse for every measurement but one or two */
  check_near("line at 8", c->model[0].mean[0], l.a + 8 * l.b, 0.02);
  check_near("constant at 8", c->model[1].mean[0], mean, 0.02);
  const double w = c->model[0].weight_evidence, m0 = c->model[0].mean[0], m1 = c->model[1].mean[0];
  const double s0 = c->model[0].sd[0], s1 = c->model[1].sd[0], m = w * m0 + (1 - w) * m1;
  check_near("mixture's mean", c->average[0].evidence_mean, m, 1e-9);
  check_near("mixture's deviation", c->average[0].evidence_sd,
             sqrt(w * (s0 * s0 + (m0 - m) * (m0 - m)) + (1 - w) * (s1 * s1 + (m1 - m) * (m1 - m))), 1e-9);
  dp_comparison_destroy(c);
  /* other data are refused by name */
  tables other = FLAT;
  other.measurements = "observableId|experimentId|time|measurement\n"
                       "o||0|1.2\no||1|1.3\no||2|2.4\no||3|2.2\no||4|3.1\no||5|3.8\n";
  dp_problem_close(p[1]);
  p[1] = open_line(&two, &other);
  assert_int_equal(dp_compare(r->ctx, &def, &c), DP_ERR_INPUT);
  assert_null(c);
  assert_non_null(strstr(dp_ctx_error(r->ctx), "about different data"));
  def = (dp_compare_def){0};
  assert_int_equal(dp_compare(r->ctx, &def, &c), DP_ERR_USAGE);
  dp_ctx_clear_error(r->ctx);
  for (int k = 0; k < 2; k++) {
    dp_sample_destroy(s[k]);
    dp_problem_close(p[k]);
  }
  rig_clear(&two);
  rmdir(two.dir);
  assert_int_equal(dpi_alloc_live(r->ctx), 0);
}

/* ---- files ---- */

/* A file of one problem is not gone on from by another: other data, bounds, model or tolerance. */
static void test_files_belong_to_their_problem(void **state) {
  rig *r = *state;
  tables other = WIDE;
  dp_problem_fit_def fd = dp_problem_fit_def_default();
  dp_problem_sample_def sd = dp_problem_sample_def_default();
  char fit_file[200], sample_file[200];
  dp_fit *f;
  dp_sample *s;
  dp_problem *p = open_line(r, &WIDE);
  snprintf(fit_file, sizeof fit_file, "%s/fit", r->dir);
  snprintf(sample_file, sizeof sample_file, "%s/sample", r->dir);
  fd.nstart = 3;
  fd.file = fit_file;
  sd.nchain = 2;
  sd.nwarmup = sd.ndraw = 50;
  sd.file = sample_file;
  for (int again = 0; again < 2; again++) { /* the second time from the files alone */
    assert_int_equal(dp_problem_fit(p, &fd, &f), DP_OK);
    dp_fit_destroy(f);
    assert_int_equal(dp_problem_sample(p, &sd, &s), DP_OK);
    dp_sample_destroy(s);
  }
  dp_problem_close(p);
  static const char *const change[3] = {"model line()\n  x = a + 1; a = 1; b = 1; x' = b;\nend\n", NULL, NULL};
  for (int k = 0; k < 3; k++) {
    other = WIDE;
    if (k == 0) other.model = change[0];
    if (k == 1) other.measurements = "observableId|experimentId|time|measurement\no||0|1.2\no||1|1.3\n";
    if (k == 2) other.observables = "observableId|observableFormula|noiseFormula|noiseDistribution\no|x|0.6|normal\n";
    p = open_line(r, &other);
    f = (dp_fit *)p;
    s = (dp_sample *)p;
    assert_int_not_equal(dp_problem_fit(p, &fd, &f), DP_OK);
    assert_null(f);
    assert_non_null(strstr(dp_ctx_error(r->ctx), fit_file));
    dp_ctx_clear_error(r->ctx);
    assert_int_not_equal(dp_problem_sample(p, &sd, &s), DP_OK);
    assert_null(s);
    assert_non_null(strstr(dp_ctx_error(r->ctx), sample_file));
    dp_ctx_clear_error(r->ctx);
    dp_problem_close(p);
  }
  unlink(fit_file);
  unlink(sample_file);
}

/* ---- trouble ---- */

static void test_cancelled(void **state) {
  rig *r = *state;
  dp_problem *p = open_line(r, &WIDE);
  const double x[2] = {1, 0.5};
  dp_problem_fit_def fd = dp_problem_fit_def_default();
  dp_problem_limits_def ld = dp_problem_limits_def_default();
  dp_problem_sample_def sd = dp_problem_sample_def_default();
  dp_fit *f;
  dp_limits *l;
  dp_sample *s;
  dp_ctx_cancel(r->ctx);
  assert_int_equal(dp_problem_fit(p, &fd, &f), DP_ERR_CANCELLED);
  assert_int_equal(dp_problem_limits(p, x, &ld, &l), DP_ERR_CANCELLED);
  assert_int_equal(dp_problem_sample(p, &sd, &s), DP_ERR_CANCELLED);
  assert_true(!f && !l && !s);
  dp_ctx_resume(r->ctx);
  fd.nstart = 2;
  assert_int_equal(dp_problem_fit(p, &fd, &f), DP_OK);
  dp_fit_destroy(f);
  dp_problem_close(p);
}

/* Each call once with every few-th request refused: out of memory, nothing half-made, nothing lost. */
static void test_memory(void **state) {
  rig *r = *state;
  const double x[2] = {1, 0.5};
  const dp_problem_quantity asked = {.formula = "o", .time = 8};
  for (int call = 0; call < 5; call++) {
    bool failed = true;
    int rounds = 0;
    for (long granted = 0; failed; granted += 1 + granted / 6, rounds++) {
      dp_problem *p = open_line(r, &WIDE);
      dp_fit *f = NULL;
      dp_limits *l = NULL;
      dp_sample *s = NULL;
      dp_problem_fit_def fd = dp_problem_fit_def_default();
      dp_problem_limits_def ld = dp_problem_limits_def_default();
      dp_problem_sample_def sd = dp_problem_sample_def_default();
      fd.nstart = 2;
      if (call == 4) ld.quantity = &asked, ld.nquantity = 1;
      sd.method = call == 2 ? "nuts" : "laplace";
      sd.nchain = 1;
      sd.nwarmup = sd.ndraw = 10;
      sd.start = x;
      sd.nstart = 1;
      failing_next(&r->memory, granted);
      const dp_status st = call == 0   ? dp_problem_fit(p, &fd, &f)
                           : call == 1 || call == 4 ? dp_problem_limits(p, x, &ld, &l)
                                       : dp_problem_sample(p, &sd, &s);
      failed = failing_happened(&r->memory);
      failing_never(&r->memory);
      if (st != DP_OK) {
        assert_int_equal(st, DP_ERR_MEMORY);
        assert_true(!f && !l && !s);
      }
      dp_fit_destroy(f);
      dp_limits_destroy(l);
      dp_sample_destroy(s);
      dp_problem_close(p);
      dp_ctx_clear_error(r->ctx);
      assert_int_equal(dpi_alloc_live(r->ctx), 0);
    }
    assert_true(rounds > 5);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_fit_is_least_squares, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_fit_at_a_bound, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_fit_starts, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_fit_refusals, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_fit_and_scatter, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_fit_global, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_limits_are_the_parabola, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_limits_refusals, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_quantities_are_exact, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_quantity_at_a_bound, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_quantity_refusals, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_quantity_not_measured, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_quantity_of_what_is_solved, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_samples_of_a_gaussian, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_sample_refusals, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_compare, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_files_belong_to_their_problem, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_cancelled, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_memory, rig_setup, rig_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
