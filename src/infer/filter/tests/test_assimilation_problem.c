/* A calibration problem observation by observation. Independent comparisons: two straight lines under normal priors,
 * where the
 * posterior after each measurement and the evidence are Kalman's; the problem's own likelihood; sequential Monte Carlo
 * on all data at once. */
#include "infer/petab/tests/calib_rig.h"

#include "doppel/assimilate.h"
#include "doppel/estimate.h"
#include "infer/filter/assimilation.h"
#include "infer/filter/statics_impl.h"

static void ok(rig *r, dp_status st) {
  if (st != DP_OK) fail_msg("%s: %s", dp_status_name(st), dp_ctx_error(r->ctx));
}

static dp_assimilation *begin(rig *r, dp_problem *p, const char *method, int n, uint64_t seed) {
  dp_assimilation_def def = dp_assimilation_def_default();
  dp_assimilation *a;
  def.method = method;
  def.nparticle = n;
  def.ndraw = n;
  def.seed = seed;
  ok(r, dp_assimilation_problem(p, &def, &a));
  return a;
}

static void read_all(rig *r, dp_assimilation *a) {
  int n;
  const dp_observation *o = dp_assimilation_record(a, &n);
  for (int k = 0; k < n; k++) ok(r, dp_assimilation_read(a, &o[k], 1));
}

/* ---- two lines: x = a + k b t, k = 1 or 2 by experiment; noise 0.5, priors a ~ N(1, 0.8^2), b ~ N(0, 0.5^2) ---- */

enum { N = 10 };
static const struct {
  double t, k, y;
} LINES[N] = {{0, 1, 1.2}, {0, 2, 0.7},   {1, 1, 1.3}, {1, 2, 2.6}, {1, 1, 1.9}, {2, 1, 2.4},
              {3, 2, 5.4}, {3.5, 1, 2.2}, {4, 1, 3.1}, {5, 2, 7.9}}; /* in the order of time, replicates last */
static const tables TWO = {
    .model = "model line()\n  x = a; a = 1; b = 1; k = 1; x' = k*b;\nend\n",
    .parameters =
        "parameterId|lowerBound|upperBound|nominalValue|estimate|priorDistribution|priorParameters\n"
        "a|-inf|inf|1|true|normal|1;0.8\nb|-inf|inf|0|true|normal|0;0.5\n",
    .observables = "observableId|observableFormula|noiseFormula|noiseDistribution\no|x|0.5|normal\n",
    .measurements =
        "observableId|experimentId|time|measurement\n"
        "o|e1|0|1.2\no|e1|1|1.3\no|e1|1|1.9\no|e1|2|2.4\no|e1|3.5|2.2\no|e1|4|3.1\n"
        "o|e2|5|7.9\no|e2|3|5.4\no|e2|1|2.6\no|e2|0|0.7\n", /* another order */
    .conditions = "conditionId|targetId|targetValue\nc1|k|1\nc2|k|2\n",
    .experiments = "experimentId|time|conditionId\ne1|0|c1\ne2|0|c2\n"};

typedef struct normal {
  double m[2], c[3];                 /* mean; variances of a, b, covariance */
  double evidence, forecast, spread; /* of the next measurement, before it was read */
} normal;

/* Kalman's update by measurement i. */
static void update(normal *g, int i) {
  const double h = LINES[i].k * LINES[i].t, *c = g->c;
  const double ga = c[0] + h * c[2], gb = c[2] + h * c[1], v = ga + h * gb + 0.25;
  const double d = LINES[i].y - g->m[0] - h * g->m[1];
  g->forecast = LINES[i].y - d;
  g->spread = sqrt(v);
  g->evidence -= 0.5 * (d * d / v + log(v) + 1.8378770664093454836);
  g->m[0] += ga * d / v;
  g->m[1] += gb * d / v;
  g->c[0] -= ga * ga / v;
  g->c[1] -= gb * gb / v;
  g->c[2] -= ga * gb / v;
}

static const normal PRIOR = {.m = {1, 0}, .c = {0.64, 0.25, 0}};

/* Moments of the draws on the scale of estimation. */
static void moments(rig *r, dp_assimilation *a, int n, double *out) {
  double *x = malloc(2 * (size_t)n * sizeof *x);
  assert_non_null(x);
  ok(r, dp_assimilation_draws(a, x));
  memset(out, 0, 5 * sizeof *out);
  for (int i = 0; i < n; i++) out[0] += x[2 * i] / n, out[1] += x[2 * i + 1] / n;
  for (int i = 0; i < n; i++) {
    const double da = x[2 * i] - out[0], db = x[2 * i + 1] - out[1];
    out[2] += da * da / (n - 1), out[3] += db * db / (n - 1), out[4] += da * db / (n - 1);
  }
  free(x);
}

/* Means over runs of moments, forecasts and evidence beside Kalman's, after each measurement. In standard errors of the
 * runs' own spread: 24 runs; 10 x 7 + 1 statements; |t| of 23 degrees of freedom exceeds 5.6 once in 1e5: a false alarm
 * once in a thousand seeds. Moments of n particles carry a bias of order 1/n beside it, hence n as large as it is. */
enum { RUNS = 24, NSTAT = 7, LINE_N = 700 };

static void judge(const char *what, const double *value, double want, int step) {
  double mean = 0, var = 0;
  for (int k = 0; k < RUNS; k++) mean += value[k] / RUNS;
  for (int k = 0; k < RUNS; k++) var += (value[k] - mean) * (value[k] - mean) / (RUNS - 1);
  const double t = (mean - want) / sqrt(var / RUNS);
  if (getenv("SHOW"))
    printf("%2d %-10s %10.6f of %10.6f (%.2f errors of %.2g)\n", step, what, mean, want, t, sqrt(var / RUNS));
  if (!(fabs(t) < 5.6)) fail_msg("after %d: %s is %g, expected %g: %g standard errors", step, what, mean, want, t);
}

static void test_lines_are_kalmans(void **state) {
  static const char *const word[NSTAT] = {"a", "b", "var a", "var b", "cov", "median", "90 % band"};
  static double seen[N][NSTAT][RUNS], evidence[RUNS];
  rig *r = *state;
  dp_problem *p = rig_open(r, rig_v2(r, &TWO), DP_DERIVATIVE_FORWARD);
  for (int k = 0; k < RUNS; k++) {
    dp_assimilation *a = begin(r, p, "ibis", LINE_N, 100 + (uint64_t)k);
    dp_assimilation_report report;
    int n;
    const dp_observation *o = dp_assimilation_record(a, &n);
    assert_int_equal(n, N);
    for (int i = 0; i < N; i++) {
      dp_outlook look;
      double m[5];
      check_near("order of the record", o[i].value, LINES[i].y, 0);
      ok(r, dp_assimilation_forecast(a, &o[i], &look));
      ok(r, dp_assimilation_read(a, &o[i], 1));
      moments(r, a, LINE_N, m);
      for (int s = 0; s < 5; s++) seen[i][s][k] = m[s];
      seen[i][5][k] = look.q[3];
      seen[i][6][k] = look.q[5] - look.q[1];
    }
    dp_assimilation_judge(a, &report);
    if (!report.usable) fail_msg("%s", report.verdict);
    evidence[k] = report.evidence;
    dp_assimilation_destroy(a);
  }
  normal g = PRIOR;
  for (int i = 0; i < N; i++) {
    update(&g, i);
    const double want[NSTAT] = {g.m[0], g.m[1], g.c[0], g.c[1], g.c[2], g.forecast, 2 * 1.6448536269514722 * g.spread};
    for (int s = 0; s < NSTAT; s++) judge(word[s], seen[i][s], want[s], i + 1);
  }
  judge("evidence", evidence, g.evidence, N);
  dp_problem_close(p);
  assert_int_equal(dpi_alloc_live(r->ctx), 0);
}

/* A square-root ensemble is Kalman's filter from the ensemble's own moments on: exact, but for these. */
static void test_ensemble_is_kalmans(void **state) {
  rig *r = *state;
  static const char *const method[] = {"enkf", "esrf"};
  for (int k = 0; k < 2; k++) {
    dp_problem *p = rig_open(r, rig_v2(r, &TWO), DP_DERIVATIVE_FORWARD);
    dp_assimilation *a = begin(r, p, method[k], 4000, 5);
    dp_assimilation_report report;
    double m[5], *x = malloc(8000 * sizeof *x);
    normal g = PRIOR;
    moments(r, a, 4000, m);
    if (k == 1) g = (normal){.m = {m[0], m[1]}, .c = {m[2], m[3], m[4]}};
    read_all(r, a);
    for (int i = 0; i < N; i++) update(&g, i);
    moments(r, a, 4000, m);
    const double want[5] = {g.m[0], g.m[1], g.c[0], g.c[1], g.c[2]};
    /* draws are resampled from the members: 5 of their standard errors; of an ensemble of 4000 not more than that */
    for (int s = 0; s < 5; s++) {
      const double error = s < 2 ? sqrt(g.c[s] / 4000) : sqrt(2.0 / 4000) * sqrt(g.c[s == 3] * g.c[s == 2 ? 0 : 1]);
      if (!(fabs(m[s] - want[s]) < 5 * error))
        fail_msg("%s: moment %d is %g, expected %g", method[k], s, m[s], want[s]);
    }
    dp_assimilation_judge(a, &report);
    assert_non_null(strstr(report.verdict, "parameters and readings taken as jointly normal"));
    if (!(fabs(report.evidence - g.evidence) < (k == 1 ? 1e-6 : 0.2)))
      fail_msg("%s: ln evidence %g, expected %g", method[k], report.evidence, g.evidence);
    free(x);
    dp_assimilation_destroy(a);
    dp_problem_close(p);
  }
}

/* Late, missing, all at once: what is thought in the end is the same bytes. */
static void test_order_does_not_matter(void **state) {
  rig *r = *state;
  double m[4][5];
  for (int way = 0; way < 4; way++) {
    dp_problem *p = rig_open(r, rig_v2(r, &TWO), DP_DERIVATIVE_FORWARD);
    dp_assimilation *a = begin(r, p, way == 3 ? "esrf" : "ibis", 200, 3);
    dp_assimilation_report report;
    int n;
    const dp_observation *o = dp_assimilation_record(a, &n);
    for (int i = 0; i < n && way != 1; i++)
      if (way != 2 || i != 4) ok(r, dp_assimilation_read(a, &o[i], 1));
    dp_observation missing = o[4];
    missing.value = NAN;
    ok(r, dp_assimilation_read(a, &missing, 1));
    if (way == 1) ok(r, dp_assimilation_read(a, o, n));
    if (way == 2) ok(r, dp_assimilation_read(a, &o[4], 1));
    dp_assimilation_judge(a, &report);
    assert_int_equal(report.nread, N);
    assert_int_equal(report.nmissing, 1);
    assert_int_equal(report.nlate, way == 2);
    moments(r, a, 200, m[way]);
    dp_assimilation_destroy(a);
    dp_problem_close(p);
  }
  assert_memory_equal(m[0], m[1], sizeof m[0]);
  assert_memory_equal(m[0], m[2], sizeof m[0]);
  assert_memory_not_equal(m[0], m[3], sizeof m[0]);
}

/* ---- the likelihood of all kinds of noise ---- */

/* Noise that depends on parameters, replicates, one side of a limit, a steady state; v1's logarithms to base 10. */
static const tables KINDS = {
    .model = "model two()\n  A = 2; B = 0.1; k = 0.5; q = 0.2; A' = -k*A + q*B; B' = k*A - q*B;\nend\n",
    .parameters =
        "parameterId|lowerBound|upperBound|nominalValue|estimate|priorDistribution|priorParameters\n"
        "k|0.01|3|0.5|true|  |  \nq|0.01|inf|0.2|true|log-normal|-1.5;0.4\ns|0.05|1|0.3|true|uniform|0.1;0.9\n",
    .observables =
        "observableId|observableFormula|noiseFormula|noiseDistribution\n"
        "n|A|s + 0.1*B|normal\nl|B|s|log-normal\np|A + B|s|laplace\nh|A|2*s|log-laplace\n",
    .measurements =
        "observableId|experimentId|time|measurement|measurementType|censoringBounds\n"
        "n||1|1.1|  |  \nn||1|1.4|  |  \nn||3|  |left-censored|0.8\nl||1|0.9|  |  \nl||4|  |right-censored|1.2\n"
        "p||2|2.0|  |  \nh||0.5|1.7|  |  \nh||5|  |left-censored|0.7\nn||inf|0.6|  |  \nl||inf|1.5|  |  \n"};
static const tables BASE_10 = {
    .model =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<sbml xmlns=\"http://www.sbml.org/sbml/level3/version1/core\" level=\"3\" version=\"1\"><model id=\"m\">"
        "<listOfParameters><parameter id=\"A\" value=\"2\" constant=\"false\"/>"
        "<parameter id=\"k\" value=\"0.5\" constant=\"true\"/></listOfParameters>"
        "<listOfRules><rateRule variable=\"A\"><math xmlns=\"http://www.w3.org/1998/Math/MathML\"><apply><times/>"
        "<cn>-1</cn><ci>k</ci><ci>A</ci></apply></math></rateRule></listOfRules></model></sbml>\n",
    .parameters =
        "parameterId|parameterScale|lowerBound|upperBound|nominalValue|estimate\nk|log10|0.01|10|0.5|1\n"
        "s|log|0.01|2|0.2|1\n",
    .observables =
        "observableId|observableFormula|observableTransformation|noiseFormula|noiseDistribution\n"
        "n|A|log10|s|normal\nl|A|log10|s|laplace\n",
    .measurements = "observableId|simulationConditionId|time|measurement\nn|c|1|1.1\nl|c|1|1.3\nn|c|2|0.8\nl|c|2|0.7\n",
    .conditions = "conditionId\nc\n"};

/* Each particle carries ln p(data | its place): the problem's own, to rounding. */
static void test_likelihood_is_the_problems(void **state) {
  rig *r = *state;
  for (int which = 0; which < 2; which++) {
    dp_problem *p = rig_open(r, which ? rig_v1(r, &BASE_10) : rig_v2(r, &KINDS), DP_DERIVATIVE_FORWARD);
    dp_assimilation *a = begin(r, p, "ibis", 60, 2);
    const int d = dp_assimilation_nparam(a);
    read_all(r, a);
    for (int i = 0; i < 60; i++) {
      double x[3];
      dp_problem_value v = {0};
      dpi_box_to(a->density, a->statics->x + (size_t)i * (size_t)d, x);
      ok(r, dp_problem_eval(p, 1, x, DP_PROBLEM_VALUE, &v));
      assert_true(v.ok);
      check_near("ln likelihood", a->statics->past[i], v.llh, 1e-12);
      if (which == 0) { /* its prior is the problem's, up to the constants of flat ones, and the box's volume */
        dpi_density_value prior = {0};
        ok(r, dpi_density_eval(a->density, 1, x, DPI_DENSITY_VALUE, &prior));
        check_near("ln prior", a->statics->logprior[i],
                   prior.logprior + dpi_box_to(a->density, a->statics->x + (size_t)i * (size_t)d, x), 1e-12);
      }
    }
    dp_assimilation_destroy(a);
    dp_problem_close(p);
  }
}

/* One after the other, and all at once by another sampler: evidence, means and deviations agree. Eight runs of each;
 * Welch's t, 7 statements: |t| above 6.5 at 7 degrees of freedom at the least, once in 3000 each. */
static void test_sequential_is_batch(void **state) {
  enum { RUN = 8, D = 3, STATS = 2 * D + 1, M = 600 };
  rig *r = *state;
  dp_problem *p = rig_open(r, rig_v2(r, &KINDS), DP_DERIVATIVE_FORWARD);
  double v[2][STATS][RUN];
  static double x[M * D];
  for (int k = 0; k < RUN; k++) {
    dp_problem_sample_def sd = dp_problem_sample_def_default();
    dp_assimilation_report report;
    dp_sample *s;
    sd.method = "smc";
    sd.nchain = 2;
    sd.ndraw = M;
    sd.seed = 40 + (uint64_t)k;
    ok(r, dp_problem_sample(p, &sd, &s));
    for (int q = 0; q < D; q++) v[0][2 * q][k] = s->param[q].mean, v[0][2 * q + 1][k] = s->param[q].sd;
    v[0][2 * D][k] = s->evidence;
    dp_sample_destroy(s);
    dp_assimilation *a = begin(r, p, "ibis", M, 70 + (uint64_t)k);
    read_all(r, a);
    dp_assimilation_judge(a, &report);
    v[1][2 * D][k] = report.evidence;
    ok(r, dp_assimilation_draws(a, x));
    for (int q = 0; q < D; q++) {
      double mean = 0, square = 0;
      for (int i = 0; i < M; i++) mean += x[i * D + q] / M;
      for (int i = 0; i < M; i++) square += (x[i * D + q] - mean) * (x[i * D + q] - mean) / (M - 1);
      v[1][2 * q][k] = mean;
      v[1][2 * q + 1][k] = sqrt(square);
    }
    dp_assimilation_destroy(a);
  }
  for (int s = 0; s < STATS; s++) {
    double m[2] = {0}, e = 0;
    for (int w = 0; w < 2; w++) {
      for (int k = 0; k < RUN; k++) m[w] += v[w][s][k] / RUN;
      for (int k = 0; k < RUN; k++) e += (v[w][s][k] - m[w]) * (v[w][s][k] - m[w]) / (RUN - 1) / RUN;
    }
    if (getenv("SHOW")) printf("%d: at once %.5f, one by one %.5f, error %.5f\n", s, m[0], m[1], sqrt(e));
    if (!(fabs(m[0] - m[1]) < 6.5 * sqrt(e)))
      fail_msg("figure %d: at once %g, one by one %g, error %g", s, m[0], m[1], sqrt(e));
  }
  dp_problem_close(p);
}

/* ---- what is refused, and what is learnt all the same ---- */

static void refused(rig *r, const tables *t, const char *method, dp_status status, const char *part) {
  dp_problem *p = rig_open(r, rig_v2(r, t), DP_DERIVATIVE_FORWARD);
  dp_assimilation_def def = dp_assimilation_def_default();
  dp_assimilation *a = (dp_assimilation *)p;
  def.method = method;
  const dp_status st = dp_assimilation_problem(p, &def, &a);
  if (st != status || !strstr(dp_ctx_error(r->ctx), part))
    fail_msg("found %s: %s; expected ...%s...", dp_status_name(st), dp_ctx_error(r->ctx), part);
  assert_null(a);
  dp_ctx_clear_error(r->ctx);
  dp_problem_close(p);
  assert_int_equal(dpi_alloc_live(r->ctx), 0);
}

static void test_refusals(void **state) {
  rig *r = *state;
  tables t = TWO;
  refused(r, &TWO, "smc2", DP_ERR_UNSUPPORTED, "use ibis");
  refused(r, &TWO, "magic", DP_ERR_USAGE, "expected ibis");
  t.parameters = "parameterId|lowerBound|upperBound|nominalValue|estimate\na|-inf|inf|1|true\nb|-9|9|0|true\n";
  refused(r, &t, "ibis", DP_ERR_INPUT, "parameter 'a' has neither a prior nor finite bounds");
  t = KINDS;
  t.measurements =
      "observableId|experimentId|time|measurement|measurementType|censoringBounds\n"
      "n||1|1|  |  \nl||1|  |interval-censored|0.5;1\np||1|1|  |  \nh||1|1|  |  \n";
  refused(r, &t, "ibis", DP_ERR_UNSUPPORTED, "measurements.tsv:3: the measurement is known to lie between two bounds");
  t.measurements =
      "observableId|experimentId|time|measurement|measurementType|measurementCategory\n"
      "n||1|  |ordinal|1\nn||2|  |ordinal|2\nl||1|1|  |  \np||1|1|  |  \nh||1|1|  |  \n";
  refused(r, &t, "ibis", DP_ERR_UNSUPPORTED, "ordinal");
  dp_problem *p = rig_open(r, rig_v2(r, &TWO), DP_DERIVATIVE_FORWARD);
  dp_assimilation *a = begin(r, p, "ibis", 20, 1);
  dp_belief *b;
  int n;
  dp_observation o = dp_assimilation_record(a, &n)[0];
  o.time = 17;
  assert_int_equal(dp_assimilation_read(a, &o, 1), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(r->ctx), "measures nothing there"));
  assert_int_equal(dp_assimilation_belief(a, &b), DP_ERR_USAGE);
  dp_ctx_clear_error(r->ctx);
  dp_assimilation_destroy(a);
  dp_problem_close(p);
}

/* A scaling that a fit solves for is a parameter like the others here: uniform within its bounds. */
static void test_solved_ones_are_learnt(void **state) {
  rig *r = *state;
  const tables t = {.model = KINDS.model,
                    .parameters =
                        "parameterId|lowerBound|upperBound|nominalValue|estimate|parameterType\n"
                        "k|0.01|3|0.5|true|  \nw|0.1|5|1|true|scaling\n",
                    .observables = "observableId|observableFormula|noiseFormula|noiseDistribution\nn|w*A|0.1|normal\n",
                    .measurements = "observableId|experimentId|time|measurement\nn||0|4.1\nn||1|2.9\nn||3|1.6\n"};
  dp_problem *p = rig_open(r, rig_v2(r, &t), DP_DERIVATIVE_FORWARD);
  assert_int_equal(dp_problem_describe(p)->nparam, 1);
  dp_assimilation *a = begin(r, p, "ibis", 500, 4);
  double x[1000], mean = 0;
  assert_int_equal(dp_assimilation_nparam(a), 2);
  assert_string_equal(dp_assimilation_parameter(a, 1, NULL), "w");
  read_all(r, a);
  ok(r, dp_assimilation_draws(a, x));
  for (int i = 0; i < 500; i++) mean += x[2 * i + 1] / 500;
  if (!(fabs(mean - 2.05) < 0.1)) fail_msg("scaling %g, expected about 2.05", mean); /* 4.1 / 2 at time 0 */
  dp_assimilation_destroy(a);
  dp_problem_close(p);
}

static void test_memory(void **state) {
  rig *r = *state;
  bool failed = true;
  int rounds = 0;
  for (long granted = 0; failed; granted += 1 + granted / 8, rounds++) {
    dp_problem *p = rig_open(r, rig_v2(r, &TWO), DP_DERIVATIVE_FORWARD);
    dp_assimilation_def def = dp_assimilation_def_default();
    dp_assimilation *a = NULL;
    dp_outlook look;
    double x[40];
    int n;
    def.nparticle = def.ndraw = 20;
    failing_next(&r->memory, granted);
    dp_status st = dp_assimilation_problem(p, &def, &a);
    const dp_observation *o = st == DP_OK ? dp_assimilation_record(a, &n) : NULL;
    for (int i = 0; i < N && st == DP_OK; i++) {
      st = dp_assimilation_forecast(a, &o[i], &look);
      if (st == DP_OK) st = dp_assimilation_read(a, &o[i], 1);
    }
    if (st == DP_OK) st = dp_assimilation_draws(a, x);
    failed = failing_happened(&r->memory);
    failing_never(&r->memory);
    if (st != DP_OK) assert_int_equal(st, DP_ERR_MEMORY);
    assert_int_equal(st == DP_OK, !failed);
    dp_assimilation_destroy(a);
    dp_problem_close(p);
    dp_ctx_clear_error(r->ctx);
    assert_int_equal(dpi_alloc_live(r->ctx), 0);
  }
  assert_true(rounds > 10);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_lines_are_kalmans, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_ensemble_is_kalmans, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_order_does_not_matter, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_likelihood_is_the_problems, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_sequential_is_batch, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_refusals, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_solved_ones_are_learnt, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_memory, rig_setup, rig_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
