/* Independent comparison: likelihoods, gradients and information of small problems written out by hand; one way of
 * making a gradient against the other and against differences. */
#include "calib_rig.h"

static const double LN_2PI = 1.8378770664093454836, LN_10 = 2.3025850929940456840;

/* ---- x' = -k x in closed form ---- */

static const tables DECAY = {
    .model = "model decay()\n  x = x0; x0 = 1; k = 1; x' = -k*x;\nend\n",
    .parameters =
        "parameterId|lowerBound|upperBound|nominalValue|estimate\n"
        "k|0|10|0.7|true\nx0|0|10|2|true\nscale|0|10|1.5|true\nsd|0.01|10|0.3|true\nfixed|||0.25|false\n",
    .observables =
        "observableId|observableFormula|noiseFormula|noiseDistribution\n"
        "o|scale*x + fixed|sd|normal\nl|scale*x|sd|log-normal\na|x|2*sd|laplace\nb|x|sd|log-laplace\n",
    .measurements =
        "observableId|experimentId|time|measurement\n"
        "o||0|3.5\no||1|1.6\nl||2|0.9\na||0.5|1.2\nb||1.5|0.7\no||1|1.9\n"};

typedef struct row {
  int kind; /* of the noise: 0 normal, 1 log-normal, 2 Laplace, 3 log-Laplace */
  double t, m;
} row;
static const row DATA[] = {{0, 0, 3.5}, {0, 1, 1.6}, {1, 2, 0.9}, {2, 0.5, 1.2}, {3, 1.5, 0.7}, {0, 1, 1.9}};

/* ln p with derivatives of y and sigma by (k, x0, scale, sd). */
static double decay_row(const row *d, double dy[4], double ds[4], double *dlny, double *dlns) {
  const double k = 0.7, x0 = 2, scale = 1.5, sd = 0.3, x = x0 * exp(-k * d->t), c = d->kind < 2 ? scale : 1;
  const double y = c * x + (d->kind == 0 ? 0.25 : 0), s = d->kind == 2 ? 2 * sd : sd;
  const bool log_y = d->kind == 1 || d->kind == 3;
  const double r = ((log_y ? log(y) : y) - (log_y ? log(d->m) : d->m)) / s, slope = log_y ? 1 / y : 1;
  memset(ds, 0, 4 * sizeof *ds);
  dy[0] = -c * d->t * x;
  dy[1] = c * x / x0;
  dy[2] = d->kind < 2 ? x : 0;
  dy[3] = 0;
  ds[3] = d->kind == 2 ? 2 : 1;
  *dlny = -slope / s * (d->kind < 2 ? r : r > 0 ? 1 : -1);
  *dlns = ((d->kind < 2 ? r * r : fabs(r)) - 1) / s;
  return -(log_y ? log(d->m) : 0) - log(s) - (d->kind < 2 ? 0.5 * r * r + 0.5 * LN_2PI : fabs(r) + log(2));
}

static void test_closed_form(void **state) {
  rig *r = *state;
  dp_problem *p = rig_open(r, rig_v2(r, &DECAY), DP_DERIVATIVE_FORWARD);
  double g[4], f[16], want_g[4] = {0}, want_f[16] = {0}, llh = 0, pointwise[6];
  const dp_problem_desc *d = dp_problem_describe(p);
  assert_int_equal(d->nparam, 4);
  assert_int_equal(d->nfixed, 1);
  assert_int_equal(d->ndatum, 6);
  assert_int_equal(d->ndirection, 2); /* scale and sd are outside the model */
  const dp_problem_value v = rig_eval(p, DP_PROBLEM_GRADIENT | DP_PROBLEM_FISHER,
                                      (dp_problem_value){.gradient = g, .fisher = f, .pointwise = pointwise});
  for (int i = 0; i < 6; i++) {
    double dy[4], ds[4], y, s;
    const double ln = decay_row(&DATA[i], dy, ds, &y, &s);
    const double sigma = DATA[i].kind == 2 ? 0.6 : 0.3, x = 2 * exp(-0.7 * DATA[i].t);
    const double slope = DATA[i].kind == 1 ? 1 / (1.5 * x) : DATA[i].kind == 3 ? 1 / x : 1;
    llh += ln;
    check_near("pointwise", pointwise[i], ln, 1e-9);
    for (int a = 0; a < 4; a++) {
      want_g[a] += y * dy[a] + s * ds[a];
      for (int b = 0; b < 4; b++)
        want_f[4 * a + b] += slope * slope / (sigma * sigma) * dy[a] * dy[b] +
                             (DATA[i].kind < 2 ? 2 : 1) / (sigma * sigma) * ds[a] * ds[b];
    }
  }
  check_near("llh", v.llh, llh, 1e-10);
  for (int a = 0; a < 4; a++) check_near("gradient", g[a], want_g[a], 1e-8);
  for (int a = 0; a < 16; a++) check_near("information", f[a], want_f[a], 1e-8);
  assert_int_equal(d->has_prior, 0);
  dp_problem_close(p);
}

/* What single measurements say, and where they come from. */
static void test_simulations(void **state) {
  rig *r = *state;
  dp_problem *p = rig_open(r, rig_v2(r, &DECAY), DP_DERIVATIVE_AUTO);
  double simulation[6], sigma[6], residual[6];
  const dp_problem_desc *d = dp_problem_describe(p);
  rig_eval(p, 0, (dp_problem_value){.simulation = simulation, .sigma = sigma, .residual = residual});
  check_near("simulation", simulation[1], 1.5 * 2 * exp(-0.7) + 0.25, 1e-10);
  check_near("noise", sigma[3], 0.6, 1e-15);
  check_near("residual", residual[2], (log(3 * exp(-1.4)) - log(0.9)) / 0.3, 1e-9);
  assert_string_equal(d->observable[d->datum_observable[3]], "a");
  assert_non_null(strstr(d->datum_where[3], "measurements.tsv:5"));
  assert_true(d->datum_time[4] == 1.5);
  dp_problem_close(p);
}

/* ---- all kinds of conditions, in both ways of differentiating ---- */

static const tables COURSE = {
    .model =
        "model course()\n  compartment C = 2; species A in C, B in C; A = a0; B = b0;\n  a0 = 1; b0 = 0.5; k1 = 0.4; "
        "k2 = 0.2; "
        "u = 1; twice = 2*u; in = 0.3;\n  J1: A => B; C*k1*A; J2: B => A; C*k2*B; J3: => A; C*in*u; J4: B => ; "
        "C*twice*0.1*B;\n"
        "end\n",
    .parameters =
        "parameterId|lowerBound|upperBound|nominalValue|estimate\nk1|0|10|0.4|true\nk2|0|10|0.25|true\na0|0|10|1.2|"
        "true\n"
        "dose|0|10|3|true\nlevel|0|10|0.8|true\nscale1|0|10|1.1|true\nscale2|0|10|0.6|true\nsd|0|10|0.2|true\n",
    .conditions =
        "conditionId|targetId|targetValue\nc1|u|level\nc1|B|0.1 + level\nc2|A|A + "
        "dose*k1\nc2|u|0.5*level\nc3|C|3\nc3|u|0\n",
    .experiments = "experimentId|time|conditionId\ne1|0|c1\ne1|2.5|c2\ne1|4|c3\ne2|1|\ne3|-inf|c1\ne3|0|c2\n",
    .observables =
        "observableId|observableFormula|noiseFormula|observablePlaceholders|noiseDistribution\n"
        "oa|s*A|sd*(1 + 0.1*oa)|s|normal\nob|B/(A + B)|0.05|  |normal\noc|s*B*C|sd|s|log-normal\n",
    .measurements =
        "observableId|experimentId|time|measurement|observableParameters\noa|e1|0|1.3|scale1\noa|e1|2.5|2|scale2\n"
        "ob|e1|3|0.4|\noc|e1|6|2|scale1\noa|e1|6|1|0.5\noa|e2|1|1|scale1\nob|e2|3|0.3|\noc|e2|2|1.5|scale2\n"
        "oa|e3|0|2|scale1\nob|e3|1|0.2|\noa|e2|inf|3|scale2\nob|e2|inf|0.6|\n"};

static void test_ways(void **state) {
  rig *r = *state;
  const char *path = rig_v2(r, &COURSE);
  dp_problem *forward = rig_open(r, path, DP_DERIVATIVE_FORWARD), *back = rig_open(r, path, DP_DERIVATIVE_ADJOINT);
  double f[8], b[8], size = 0;
  const double llh = rig_eval(forward, DP_PROBLEM_VALUE, (dp_problem_value){0}).llh;
  check_near("llh with a gradient", rig_eval(forward, DP_PROBLEM_GRADIENT, (dp_problem_value){.gradient = f}).llh, llh,
             1e-9);
  check_near("llh backwards", rig_eval(back, DP_PROBLEM_GRADIENT, (dp_problem_value){.gradient = b}).llh, llh, 1e-9);
  for (int q = 0; q < 8; q++) size = fabs(f[q]) > size ? fabs(f[q]) : size;
  for (int q = 0; q < 8; q++) {
    check_near("backwards", b[q] / size, f[q] / size, 1e-8);
    check_near("differences", rig_difference(forward, q, 1e-2) / size, f[q] / size, 1e-6);
  }
  assert_int_equal(dp_problem_describe(forward)->nsimulation, 3);
  dp_problem_close(forward);
  dp_problem_close(back);
}

/* What the course is, by formulas of one state. */
static void test_course(void **state) {
  rig *r = *state;
  const tables t = {
      .model = "model m()\n  x = 1; k = 0; p = 0.5; q = 2*p; x' = p - k*x; y = 0; y' = q;\nend\n",
      .parameters = "parameterId|lowerBound|upperBound|nominalValue|estimate\nk|0|10|0.5|true\nextra|0|10|2|true\n",
      .conditions = "conditionId|targetId|targetValue\nc1|p|extra/2\nc2|p|0\nc2|x|x + extra + time\n",
      .experiments = "experimentId|time|conditionId\ne|-1|c1\ne|2|c2\n",
      .observables = "observableId|observableFormula|noiseFormula\nx_|x|1\ny_|y|1\nt_|time|1\n",
      .measurements =
          "observableId|experimentId|time|measurement\nx_|e|-1|0\nx_|e|1|0\nx_|e|2|0\nx_|e|3|0\ny_|e|3|0\nt_|e|1|0\n"};
  dp_problem *p = rig_open(r, rig_v2(r, &t), DP_DERIVATIVE_AUTO);
  double s[6];
  rig_eval(p, 0, (dp_problem_value){.simulation = s});
  const double rest = 1 / 0.5, before = rest + (1 - rest) * exp(-0.5 * 3); /* p = 1 from t = -1 */
  check_near("start", s[0], 1, 1e-12);
  check_near("first period", s[1], rest + (1 - rest) * exp(-0.5 * 2), 1e-9);
  check_near("at the change", s[2], before + 2 + 2, 1e-9);
  check_near("second period", s[3], (before + 4) * exp(-0.5), 1e-9);
  /* q = 2p was computed once, at the start, when p was 1 */
  check_near("what was computed from it", s[4], 2 * 4, 1e-9);
  check_near("time", s[5], 1, 1e-12);
  dp_problem_close(p);
}

/* Steady states before, of equations with the time in them, and after. */
static void test_steady(void **state) {
  rig *r = *state;
  const tables t = {
      .model = "model m()\n  x = 1; k = 1; p = 2; d = 0; on = 1; x' = p + d*piecewise(1, time >= on, 0) - k*x;\nend\n",
      .parameters = "parameterId|lowerBound|upperBound|nominalValue|estimate\nk|0|10|0.5|true\np0|0|10|3|true\n",
      .conditions = "conditionId|targetId|targetValue\nc1|p|p0\nc2|p|0\nc2|d|1\nc1b|d|0\n",
      .experiments = "experimentId|time|conditionId\ne|-inf|c1\ne|0|c2\nf|-inf|c1\nf|1|c1b\n",
      .observables = "observableId|observableFormula|noiseFormula\no|x|1\n",
      .measurements = "observableId|experimentId|time|measurement\no|e|0|1\no|e|1|1\no|e|3|1\no|f|2|1\n"};
  for (int way = DP_DERIVATIVE_FORWARD; way <= DP_DERIVATIVE_ADJOINT; way++) {
    dp_problem *p = rig_open(r, rig_v2(r, &t), (dp_problem_derivative)way);
    double s[4], g[2];
    rig_eval(p, DP_PROBLEM_GRADIENT, (dp_problem_value){.simulation = s, .gradient = g});
    check_near("steady state before", s[0], 6, 1e-9);
    check_near("then", s[1], 6 * exp(-0.5), 1e-9);
    check_near("and then", s[2], 2 + (6 * exp(-0.5) - 2) * exp(-1), 1e-9);
    check_near("it stays", s[3], 6, 1e-9);
    for (int q = 0; q < 2; q++) check_near("gradient", g[q], rig_difference(p, q, 1e-2), 1e-6);
    dp_problem_close(p);
  }
}

/* Conditions that differ outside the model only are simulated once. */
static void test_sharing(void **state) {
  rig *r = *state;
  tables t = DECAY;
  t.observables = "observableId|observableFormula|noiseFormula\no|scale*x + offset + fixed|sd\n";
  t.conditions = "conditionId|targetId|targetValue\nc1|offset|1\nc2|offset|scale\nc3|offset|0\nc3|x|5\n";
  t.experiments = "experimentId|time|conditionId\ne1|0|c1\ne2|0|c2\ne3|0|c3\n";
  t.measurements = "observableId|experimentId|time|measurement\no|e1|1|1\no|e2|1|2\no|e3|1|2\no|e2|2|2\n";
  dp_problem *p = rig_open(r, rig_v2(r, &t), DP_DERIVATIVE_AUTO);
  double s[4], g[4];
  assert_int_equal(dp_problem_describe(p)->nexperiment, 3);
  assert_int_equal(dp_problem_describe(p)->nsimulation, 2);
  rig_eval(p, DP_PROBLEM_GRADIENT, (dp_problem_value){.simulation = s, .gradient = g});
  check_near("first", s[0], 3 * exp(-0.7) + 1.25, 1e-9);
  check_near("second", s[1], 3 * exp(-0.7) + 1.75, 1e-9);
  check_near("third", s[2], 7.5 * exp(-0.7) + 0.25, 1e-9);
  for (int q = 0; q < 4; q++) check_near("gradient", g[q], rig_difference(p, q, 1e-2), 1e-6);
  dp_problem_close(p);
}

/* Two models under one parameter table, local parameters by the mapping table. */
static void test_two_models(void **state) {
  rig *r = *state;
  rig_clear(r);
  rig_file(r, "one.ant", "model one()\n  x = 2; k = 1; J: x => ; k*x;\nend\n");
  rig_file(r, "two.ant", "model two()\n  species y in c; c = 2; y = 3; k = 1; q = 1; J: y => ; c*k*q*y;\nend\n");
  rig_file(r, "parameters.tsv",
           "parameterId|lowerBound|upperBound|nominalValue|estimate\nk|0|10|0.5|true\nslow|0|10|0.4|true\n");
  rig_file(r, "mapping.tsv", "petabEntityId|modelEntityId\nslow|q\n");
  rig_file(r, "observables.tsv", "observableId|observableFormula|noiseFormula\nox|x|0.5\noy|y*slow|0.5\n");
  rig_file(r, "measurements.tsv",
           "observableId|experimentId|time|measurement|modelId\nox||1|1|a\noy||2|1|b\nox||2|1|a\n");
  rig_file(r, "problem.yaml",
           "format_version: 2.0.0\nparameter_files: [parameters.tsv]\nmodel_files:\n  a:\n    language: antimony\n    "
           "location: one.ant\n  b:\n    language: antimony\n    location: two.ant\nobservable_files: "
           "[observables.tsv]\nmeasurement_files: [measurements.tsv]\nmapping_files: [mapping.tsv]\n");
  snprintf(r->path, sizeof r->path, "%s/problem.yaml", r->dir);
  for (int way = DP_DERIVATIVE_FORWARD; way <= DP_DERIVATIVE_ADJOINT; way++) {
    dp_problem *p = rig_open(r, r->path, (dp_problem_derivative)way);
    double s[3], g[2], f[4];
    rig_eval(p, DP_PROBLEM_GRADIENT, (dp_problem_value){.simulation = s, .gradient = g});
    assert_int_equal(dp_problem_describe(p)->nmodel, 2);
    check_near("first model", s[0], 2 * exp(-0.5), 1e-9);
    check_near("second model", s[1], 0.4 * 3 * exp(-0.5 * 0.4 * 2), 1e-9);
    check_near("first model again", s[2], 2 * exp(-1), 1e-9);
    for (int q = 0; q < 2; q++) check_near("gradient", g[q], rig_difference(p, q, 1e-2), 1e-7);
    rig_eval(p, DP_PROBLEM_GRADIENT | DP_PROBLEM_FISHER, (dp_problem_value){.gradient = g, .fisher = f});
    const double dk[3] = {-s[0], -0.8 * s[1], -2 * s[2]};
    check_near("information", f[0], 4 * (dk[0] * dk[0] + dk[1] * dk[1] + dk[2] * dk[2]), 1e-8);
    dp_problem_close(p);
  }
}

/* A volume that the model's own event may change makes amounts of its species the states: values are concentrations all
 * the same. An event of the same time as a condition comes after it. */
static void test_volumes(void **state) {
  rig *r = *state;
  const tables t = {
      .model =
          "model m()\n  compartment C = 2; species A in C; A = 3; k = 0; J: A => ; C*k*A;\n  n = 1;\n"
          "  E1: at (time >= 4): C = 8;\n  E2: at (time >= 2): n = 10*n;\nend\n",
      .parameters = "parameterId|lowerBound|upperBound|nominalValue|estimate\nk|0|10|0.25|true\nv|0|10|5|true\n",
      .conditions = "conditionId|targetId|targetValue\nc1|A|v\nc1|C|4\nc2|C|C/2\nc2|n|3\nc3|A|2*A\nc3|C|1\n",
      .experiments = "experimentId|time|conditionId\ne|0|c1\ne|2|c2\ne|3|c3\n",
      .observables = "observableId|observableFormula|noiseFormula\na|A|1\nc|C|1\nn_|n|1\n",
      .measurements =
          "observableId|experimentId|time|measurement\na|e|0|0\na|e|2|0\nc|e|2|0\na|e|3|0\nc|e|3|0\na|e|5|0\nc|e|5|0\n"
          "n_|e|2|0\n"};
  dp_problem *p = rig_open(r, rig_v2(r, &t), DP_DERIVATIVE_FORWARD);
  double s[8], g[2];
  rig_eval(p, DP_PROBLEM_GRADIENT, (dp_problem_value){.simulation = s, .gradient = g});
  check_near("concentration at the start", s[0], 5, 1e-12);
  check_near("it stays when a condition sets the volume", s[1], 5 * exp(-0.5), 1e-8);
  check_near("volume", s[2], 2, 1e-12);
  check_near("both set", s[3], 10 * exp(-0.75), 1e-8);
  check_near("volume set", s[4], 1, 1e-12);
  check_near("an event keeps the amount", s[5], 10 * exp(-0.25 * 5) / 8, 1e-8);
  check_near("volume by the event", s[6], 8, 1e-12);
  check_near("event after condition", s[7], 30, 1e-12);
  for (int q = 0; q < 2; q++) check_near("gradient", g[q], rig_difference(p, q, 1e-2), 1e-6);
  dp_problem_close(p);
}

/* Many points in one call give what each gives alone, to the byte. */
static void test_points(void **state) {
  rig *r = *state;
  dp_problem *p = rig_open(r, rig_v2(r, &COURSE), DP_DERIVATIVE_AUTO);
  const dp_problem_desc *d = dp_problem_describe(p);
  enum { N = 11 };
  double x[N * 8], g[N * 8], one[8];
  dp_problem_value many[N] = {{0}};
  for (int i = 0; i < N; i++) {
    for (int q = 0; q < 8; q++) x[8 * i + q] = d->nominal[q] * (1 + 0.03 * sin(3 * i + q));
    many[i].gradient = g + 8 * i;
  }
  x[8 * 4 + 7] = 0; /* no noise: not evaluable, and nobody else's business */
  assert_int_equal(dp_problem_eval(p, N, x, DP_PROBLEM_GRADIENT, many), DP_OK);
  for (int i = 0; i < N; i++) {
    dp_problem_value v = {.gradient = one};
    assert_int_equal(dp_problem_eval(p, 1, x + 8 * i, DP_PROBLEM_GRADIENT, &v), DP_OK);
    assert_int_equal(v.ok, i != 4);
    assert_int_equal(v.ok, many[i].ok);
    if (v.ok) assert_memory_equal(&v.llh, &many[i].llh, sizeof v.llh);
    if (v.ok) assert_memory_equal(one, g + 8 * i, sizeof one);
  }
  assert_non_null(strstr(many[4].reason, "noise 0"));
  assert_true(isinf(many[4].llh) && many[4].llh < 0 && isnan(g[32]));
  dp_problem_close(p);
}

/* ---- version 1: scales, blanks, priors ---- */

static const tables OLD = {
    .model =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<sbml xmlns=\"http://www.sbml.org/sbml/level3/version1/core\" "
        "level=\"3\" version=\"1\"><model id=\"m\" timeUnits=\"second\"><listOfParameters>"
        "<parameter id=\"x\" value=\"2\" constant=\"false\"/><parameter id=\"k\" value=\"0.5\" constant=\"true\"/>"
        "<parameter id=\"p\" value=\"0.1\" constant=\"true\"/></listOfParameters><listOfRules><rateRule variable=\"x\">"
        "<math "
        "xmlns=\"http://www.w3.org/1998/Math/MathML\"><apply><minus/><ci>p</ci><apply><times/><ci>k</ci><ci>x</ci></"
        "apply></apply></math></rateRule></listOfRules></model></sbml>\n",
    .parameters =
        "parameterId|parameterScale|lowerBound|upperBound|nominalValue|estimate|objectivePriorType|"
        "objectivePriorParameters\n"
        "k|log10|0.01|10|0.4|1|parameterScaleNormal|-0.5;0.2\nstart|log|0.1|10|3|1|normal|2.5;0.5\ns|lin|0|5|1.2|1||\n",
    .conditions = "conditionId|x|p\npre||0.2\nc0||\nc1|start|0.3\n",
    .observables =
        "observableId|observableFormula|observableTransformation|noiseFormula\no|s*x|log10|noiseParameter1_o\n",
    .measurements =
        "observableId|preequilibrationConditionId|simulationConditionId|time|measurement|noiseParameters\no||c1|1|2|0."
        "1\n"
        "o||c0|2|1|0.2\no|pre|c0|1|0.5|0.1\no|pre|c1|0|3|0.3\n"};

static void test_version_1(void **state) {
  rig *r = *state;
  dp_problem *p = rig_open(r, rig_v1(r, &OLD), DP_DERIVATIVE_AUTO);
  const dp_problem_desc *d = dp_problem_describe(p);
  double s[4], g[3], residual[4], prior[3], llh = 0;
  const double k = 0.4, start = 3, c = 1.2, noise[4] = {0.1, 0.2, 0.1, 0.3}, m[4] = {2, 1, 0.5, 3};
  const double want[4] = {c * (0.3 / k + (start - 0.3 / k) * exp(-k)), c * (0.1 / k + (2 - 0.1 / k) * exp(-2 * k)),
                          c * (0.1 / k + (0.2 / k - 0.1 / k) * exp(-k)), c * start};
  const dp_problem_value v = rig_eval(
      p, DP_PROBLEM_GRADIENT, (dp_problem_value){.simulation = s, .gradient = g, .residual = residual, .prior = prior});
  for (int i = 0; i < 4; i++) {
    const double e = (log10(want[i]) - log10(m[i])) / noise[i];
    check_near("simulation", s[i], want[i], 1e-9);
    check_near("residual", residual[i], e, 1e-7);
    llh += -0.5 * e * e - 0.5 * LN_2PI - log(noise[i]) - log(m[i] * LN_10);
  }
  check_near("llh", v.llh, llh, 1e-8);
  assert_int_equal(d->scale[0], DP_SCALE_LOG10);
  check_near("nominal", d->nominal[0], log10(0.4), 1e-15);
  check_near("bound", d->lower[1], log(0.1), 1e-15);
  for (int q = 0; q < 3; q++) check_near("gradient", g[q], rig_difference(p, q, 1e-3), 1e-6);
  const double z = (log10(0.4) + 0.5) / 0.2, w = (3 - 2.5) / 0.5;
  check_near("prior on the scale", prior[0], -0.5 * z * z - 0.5 * LN_2PI - log(0.2), 1e-13);
  check_near("prior of the value", prior[1], -0.5 * w * w - 0.5 * LN_2PI - log(0.5), 1e-13);
  check_near("no prior", prior[2], 0, 1e-15);
  check_near("priors", v.log_prior, prior[0] + prior[1], 1e-14);
  dp_problem_close(p);
}

/* As a density, priors are of the coordinates: with the Jacobian, and in gradient and information. */
static void test_density(void **state) {
  rig *r = *state;
  dp_problem *p = rig_open(r, rig_v1(r, &OLD), DP_DERIVATIVE_AUTO);
  const dp_problem_desc *d = dp_problem_describe(p);
  dpi_density *density = &p->density;
  double g[3], f[9], gl[3], fl[9], x[3], lp[4], sum = 0;
  bool ok;
  dpi_density_value v = {.gradient = g, .fisher = f};
  assert_int_equal(dpi_density_eval(density, 1, d->nominal, DPI_DENSITY_GRADIENT | DPI_DENSITY_FISHER, &v), DP_OK);
  assert_true(v.ok);
  const dp_problem_value l =
      rig_eval(p, DP_PROBLEM_GRADIENT | DP_PROBLEM_FISHER, (dp_problem_value){.gradient = gl, .fisher = fl});
  check_near("log prior", v.logprior, l.log_prior + log(3.0), 1e-13); /* dv/dx = v on the scale ln */
  check_near("gradient, scaled", g[0] - gl[0], -(log10(0.4) + 0.5) / 0.04, 1e-9);
  check_near("gradient, value", g[1] - gl[1], -(3 - 2.5) / 0.25 * 3 + 1, 1e-9);
  check_near("curvature, scaled", f[0] - fl[0], 25, 1e-9);
  check_near("curvature, value", f[4] - fl[4], 9 / 0.25 + (3 - 2.5) / 0.25 * 3, 1e-9);
  check_near("no prior", f[8], fl[8], 1e-15);
  assert_int_equal(density->ops->pointwise(density, d->nominal, lp, &ok), DP_OK);
  for (int i = 0; i < 4; i++) sum += lp[i];
  check_near("pointwise", sum, l.llh, 1e-12);
  assert_int_equal(density->neval, 1);
  double mean = 0, again[3];
  for (int i = 0; i < 2000; i++) {
    assert_int_equal(density->ops->prior_draw(density, 7, (uint64_t)i, x), DP_OK);
    for (int q = 0; q < 3; q++) assert_true(x[q] >= density->lower[q] && x[q] <= density->upper[q]);
    mean += x[0] / 2000;
  }
  check_near("mean of draws", mean, -0.5, 0.02);
  assert_int_equal(density->ops->prior_draw(density, 7, 1999, again), DP_OK);
  assert_memory_equal(x, again, sizeof x);
  dp_problem_close(p);
}

/* ---- what is wrong is said ---- */

static void refused(rig *r, tables t, const char *part) { check_refused(r, rig_v2(r, &t), DP_ERR_INPUT, part); }

static void test_bad(void **state) {
  rig *r = *state;
  tables t = DECAY;
  t.measurements = "observableId|experimentId|time|measurement\nl||1|-2\n";
  refused(r, t, "measurements.tsv:2");
  t = DECAY;
  t.conditions = "conditionId|targetId|targetValue\nc|x|3\n";
  t.experiments = "experimentId|time|conditionId\ne|5|c\n";
  t.measurements = "observableId|experimentId|time|measurement\no|e|1|2\n";
  refused(r, t, "measurements.tsv:2");
  t.conditions = "conditionId|targetId|targetValue\nc|k|3\n";
  refused(r, t, "conditions.tsv:2");
  t.measurements = "observableId|experimentId|time|measurement\no|e|6|2\n";
  t.conditions = "conditionId|targetId|targetValue\nc|x|2*x\n";
  refused(r, t, "conditions.tsv:2");
  t.model = "model decay()\n  x = x0; x0 = 1; k = 1; x' = -k*x; y := 2*x;\nend\n";
  t.conditions = "conditionId|targetId|targetValue\nc|y|2\n";
  refused(r, t, "given by a rule");
  t = DECAY;
  t.observables = "observableId|observableFormula|noiseFormula\no|scale*xx|sd\n";
  t.measurements = "observableId|experimentId|time|measurement\no||1|2\n";
  refused(r, t, "observables.tsv:2");
  t = DECAY;
  t.parameters =
      "parameterId|lowerBound|upperBound|nominalValue|estimate\n"
      "k|10|1|0.7|true\nx0|0|10|2|true\nscale|0|10|1.5|true\nsd|0.01|10|0.3|true\nfixed|||0.25|false\n";
  refused(r, t, "parameters.tsv:2");
  t = DECAY;
  t.parameters =
      "parameterId|lowerBound|upperBound|nominalValue|estimate\n"
      "k|0|1|0.7|true\nx0|0|10|2|true\nscale|0|10|1.5|true\nsd|0.01|10|0.3|true\nfixed||||false\n";
  refused(r, t, "parameters.tsv:6");
  t = DECAY;
  t.model = "model decay()\n  x = x0; x0 = 1; k := 1 + x; x' = -k*x;\nend\n";
  refused(r, t, "parameters.tsv:2");
  t = DECAY;
  t.observables = "observableId|observableFormula|noiseFormula\no|scale*x + offset|sd\n";
  t.conditions = "conditionId|targetId|targetValue\nc|offset|3\n";
  t.experiments = "experimentId|time|conditionId\ne|0|c\nf|0|\n";
  t.measurements = "observableId|experimentId|time|measurement\no|e|1|2\no|f|1|2\n";
  refused(r, t, "offset");
  check_refused(r, "/nowhere/problem.yaml", DP_ERR_INPUT, "/nowhere/problem.yaml");
}

/* A model that can't be run is an outcome, with the experiment's name. */
static void test_outcome(void **state) {
  rig *r = *state;
  tables t = DECAY;
  t.model = "model m()\n  x = x0; x0 = 1; k = 1; x' = x^2;\nend\n";
  dp_problem *p = rig_open(r, rig_v2(r, &t), DP_DERIVATIVE_AUTO);
  double g[4];
  dp_problem_value v = {.gradient = g};
  assert_int_equal(dp_problem_eval(p, 1, dp_problem_describe(p)->nominal, DP_PROBLEM_GRADIENT, &v), DP_OK);
  assert_false(v.ok);
  assert_non_null(strstr(v.reason, "time 0.5"));
  dp_problem_close(p);
}

/* Whatever allocation fails, that is said and nothing is lost. */
static void test_memory(void **state) {
  rig *r = *state;
  double g[8];
  rig_short_of_memory(r, rig_v2(r, &COURSE), NULL, DP_PROBLEM_GRADIENT, (dp_problem_value){.gradient = g});
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
      T(test_closed_form), T(test_simulations), T(test_ways),       T(test_course),  T(test_steady),
      T(test_sharing),     T(test_points),      T(test_two_models), T(test_volumes), T(test_version_1),
      T(test_density),     T(test_bad),         T(test_outcome),    T(test_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
