/* Independent comparison: second derivatives of a problem against closed forms, and against Richardson differences of
 * its exact gradient where there is no closed form: states that jump, rates that jump, conditions, steady states, all
 * noises, scales and priors. Each whole Hessian must be symmetric, and forward and backwards must agree. */
#include "calib_rig.h"

enum { MOST = 16 };

/* All columns in one call. */
static void hessian(dp_problem *p, const double *x, double *h) {
  const int n = dp_problem_describe(p)->nparam;
  double at[MOST * MOST] = {0}, v[MOST * MOST] = {0};
  dp_problem_product out[MOST];
  assert_true(n <= MOST);
  for (int i = 0; i < n; i++) {
    memcpy(at + i * n, x, sizeof(double) * (size_t)n);
    v[i * n + i] = 1;
    out[i].product = h + i * n;
  }
  if (dp_problem_hessian_vector(p, n, at, v, out) != DP_OK) fail_msg("%s", dp_ctx_error(p->ctx));
  for (int i = 0; i < n; i++)
    if (!out[i].ok) fail_msg("%s", out[i].reason);
}

static double largest(const double *h, int n) {
  double size = 0;
  for (int i = 0; i < n; i++) size = fabs(h[i]) > size ? fabs(h[i]) : size;
  return size;
}

static void gradient(dp_problem *p, const double *x, double *g) {
  dp_problem_value v = {.gradient = g};
  assert_int_equal(dp_problem_eval(p, 1, x, DP_PROBLEM_GRADIENT, &v), DP_OK);
  if (!v.ok) fail_msg("%s", v.reason);
}

/* Row q: central differences of the gradient along parameter q, extrapolated twice. */
static void differences(dp_problem *p, const double *x, int q, double h, double *row) {
  const int n = dp_problem_describe(p)->nparam;
  double g[6][MOST], at[MOST];
  for (int i = 0; i < 6; i++) {
    memcpy(at, x, sizeof(double) * (size_t)n);
    at[q] += (i % 2 ? -h : h) / (1 << (i / 2));
    gradient(p, at, g[i]);
  }
  for (int c = 0; c < n; c++) {
    double s[3];
    for (int i = 0; i < 3; i++) s[i] = (g[2 * i][c] - g[2 * i + 1][c]) * (1 << i) / (2 * h);
    const double a = (4 * s[1] - s[0]) / 3, b = (4 * s[2] - s[1]) / 3;
    row[c] = (16 * b - a) / 15;
  }
}

static void check_symmetric(const char *what, const double *h, int n, double tolerance) {
  const double size = largest(h, n * n);
  for (int i = 0; i < n; i++)
    for (int j = 0; j < i; j++)
      if (!(fabs(h[i * n + j] - h[j * n + i]) <= tolerance * size))
        fail_msg("%s: not symmetric at %d, %d: %.12g and %.12g of %.3g", what, i, j, h[i * n + j], h[j * n + i], size);
}

static void check_rows(dp_problem *p, const char *what, const double *x, double step, double tolerance) {
  const int n = dp_problem_describe(p)->nparam;
  double h[MOST * MOST], row[MOST], g[MOST];
  hessian(p, x, h);
  const double size = largest(h, n * n);
  assert_true(size > 0 && isfinite(size));
  check_symmetric(what, h, n, 1e-8);
  gradient(p, x, g);
  for (int q = 0; q < n; q++) {
    differences(p, x, q, step, row);
    for (int c = 0; c < n; c++)
      if (!(fabs(row[c] - h[q * n + c]) <= tolerance * size))
        fail_msg("%s: second derivative by %d and %d: found %.12g, differences %.12g, largest %.3g", what, q, c,
                 h[q * n + c], row[c], size);
  }
}

/* Both ways, each against its own gradient. */
static void check_problem(rig *r, const char *what, const char *path, double step, double tolerance) {
  double h[2][MOST * MOST];
  int n = 0;
  for (int way = 0; way < 2; way++) {
    dp_problem *p = rig_open(r, path, way ? DP_DERIVATIVE_ADJOINT : DP_DERIVATIVE_FORWARD);
    const dp_problem_desc *d = dp_problem_describe(p);
    n = d->nparam;
    if (way == 0) check_rows(p, what, d->nominal, step, tolerance);
    hessian(p, d->nominal, h[way]);
    dp_problem_close(p);
  }
  const double size = largest(h[0], n * n);
  for (int i = 0; i < n * n; i++)
    if (!(fabs(h[0][i] - h[1][i]) <= 1e-8 * size))
      fail_msg("%s: forward %.12g, backwards %.12g, largest %.3g", what, h[0][i], h[1][i], size);
}

/* ---- closed forms ---- */

/* y = a + b t is linear: H = - sum (1, t)(1, t)' / s^2, whatever the point. */
static void test_line(void **state) {
  rig *r = *state;
  const tables t = {
      .model = "model m()\n  x = a; x' = b; a = 1; b = 1;\nend\n",
      .parameters = "parameterId|lowerBound|upperBound|nominalValue|estimate\na|-9|9|0.5|true\nb|-9|9|2|true\n",
      .observables = "observableId|observableFormula|noiseFormula\ny|x|0.5\n",
      .measurements = "observableId|experimentId|time|measurement\ny||0|1\ny||1|2\ny||3|7\n"};
  dp_problem *p = rig_open(r, rig_v2(r, &t), DP_DERIVATIVE_FORWARD);
  double h[4];
  hessian(p, dp_problem_describe(p)->nominal, h);
  check_near("aa", h[0], -12, 1e-10);
  check_near("ab", h[1], -16, 1e-10);
  check_near("ba", h[2], -16, 1e-10);
  check_near("bb", h[3], -40, 1e-10);
  dp_problem_close(p);
}

/* y = exp(-k t) at one time, sigma estimated, both by their logarithms: with r = (y - m)/s, u = ln k, w = ln s
 * ln p = -w - r^2/2: uu = -(y_u^2 + (y - m) y_uu)/s^2, uw = 2 r y_u/s, ww = -2 r^2. */
static void test_decay(void **state) {
  rig *r = *state;
  const tables t = {.model = "model m()\n  x = 1; x' = -k*x; k := exp(u); u = 0;\nend\n",
                    .parameters =
                        "parameterId|lowerBound|upperBound|nominalValue|estimate\n"
                        "u|-5|3|-0.35|true\nw|-5|3|-1.2|true\n",
                    .observables = "observableId|observableFormula|noiseFormula\ny|x|exp(w)\n",
                    .measurements = "observableId|experimentId|time|measurement\ny||1.5|0.6\n"};
  dp_problem *p = rig_open(r, rig_v2(r, &t), DP_DERIVATIVE_FORWARD);
  double h[4];
  hessian(p, dp_problem_describe(p)->nominal, h);
  const double kt = exp(-0.35) * 1.5, y = exp(-kt), s = exp(-1.2), e = y - 0.6, yu = -kt * y, yuu = yu + kt * kt * y;
  check_near("uu", h[0], -(yu * yu + e * yuu) / (s * s), 1e-9);
  check_near("uw", h[1], 2 * e * yu / (s * s), 1e-9);
  check_near("wu", h[2], 2 * e * yu / (s * s), 1e-9);
  check_near("ww", h[3], -2 * e * e / (s * s), 1e-9);
  dp_problem_close(p);
}

/* ---- against differences ---- */

#define PARAMETERS "parameterId|lowerBound|upperBound|nominalValue|estimate\n"
#define MEASUREMENTS "observableId|experimentId|time|measurement\n"

static void test_nonlinear(void **state) {
  rig *r = *state;
  const tables t = {.model =
                        "model m()\n  A = a0; B = 0; A' = -v*A/(km + A) + p*B; B' = v*A/(km + A) - (p + d)*B;\n"
                        "  a0 = 2; v = 1; km = 0.5; p = 0.2; d = 0.1;\nend\n",
                    .parameters = PARAMETERS
                    "a0|0.1|9|2|true\nv|0.1|9|1.1|true\nkm|0.1|9|0.6|true\np|0.01|9|0.3|true\n"
                    "d|0.01|9|0.15|true\nsc|0.1|9|1.3|true\nsd|0.01|9|0.2|true\n",
                    .observables = "observableId|observableFormula|noiseFormula\ny|sc*A/(1 + B)|sd*(0.5 + B)\nz|B|sd\n",
                    .measurements = MEASUREMENTS "y||0|2.1\ny||0.7|1.4\nz||1|0.9\ny||2|0.5\nz||4|0.7\n"};
  check_problem(r, "nonlinear", rig_v2(r, &t), 0.005, 1e-7);
}

/* Conditions of several experiments, set at the start and later, by expressions of parameters. */
static void test_conditions(void **state) {
  rig *r = *state;
  const tables t = {
      .model = "model m()\n  A = 1; B = 0; k = 1; u = 0; A' = -k*A*A + u; B' = k*A*A - 0.3*B;\nend\n",
      .parameters = PARAMETERS "k|0.1|9|0.8|true\nd1|0.1|9|1.5|true\nd2|0.1|9|0.7|true\n",
      .observables = "observableId|observableFormula|noiseFormula\ny|A|0.1\nz|B|0.2\n",
      .measurements = MEASUREMENTS "y|e1|0.5|1\nz|e1|2|0.6\ny|e1|3|0.9\nz|e2|1|0.5\ny|e2|4|0.8\n",
      .conditions = "conditionId|targetId|targetValue\nc1|A|d1*d2\nc1|u|0\nc2|u|d2*d2\nc3|A|A + d1\nc3|u|d1\n",
      .experiments = "experimentId|time|conditionId\ne1|0|c1\ne1|1|c2\ne2|0|c1\ne2|2|c3\n"};
  check_problem(r, "conditions", rig_v2(r, &t), 0.02, 1e-7);
}

static void test_steady(void **state) {
  rig *r = *state;
  const tables t = {.model =
                        "model m()\n  A = 1; B = 2; C = 0; k = 1; p = 1; q = 1; u = 1;\n"
                        "  A' = -k*A*B + p*C; B' = -k*A*B + p*C; C' = k*A*B - p*C; D = 0; D' = u*C*C - q*D;\nend\n",
                    .parameters = PARAMETERS
                    "k|0.1|9|0.8|true\np|0.1|9|0.6|true\nq|0.1|9|0.9|true\nu0|0.1|9|1.2|true\n"
                    "u1|0.1|9|2|true\n",
                    .observables = "observableId|observableFormula|noiseFormula\ny|D|0.1\nz|A + C|0.2\n",
                    .measurements = MEASUREMENTS "y|e|0|1\ny|e|0.5|1.6\nz|e|1|2\ny|e|2|0.9\ny|e|inf|1\n",
                    .conditions = "conditionId|targetId|targetValue\nc0|u|u0\nc1|u|u1\n",
                    .experiments = "experimentId|time|conditionId\ne|-inf|c0\ne|0|c1\n"};
  check_problem(r, "steady", rig_v2(r, &t), 0.02, 1e-7);
}

/* Events that time decides, that a parameter times, that a state triggers, at which several things are set. */
static void test_events(void **state) {
  rig *r = *state;
  const tables t = {
      .model =
          "model m()\n  A = 1; B = 0; n = 0; k = 1; dose = 1; when = 1; level = 1;\n"
          "  A' = -k*A*A; B' = k*A*A - 0.2*B*(1 + n); n' = 0;\n"
          "  at (time > 0.5): A = A + dose;\n  at (time > when): A = A*A + dose, n = n + 1;\n"
          "  at (B > level): B = B*B/2, k = k*(1 + 0.3*B);\nend\n",
      .parameters = PARAMETERS "k|0.1|9|0.8|true\ndose|0.1|9|1.2|true\nwhen|0.1|9|1.1|true\nlevel|0.1|9|1.3|true\n",
      .observables = "observableId|observableFormula|noiseFormula\ny|A|0.2\nz|B|0.2\n",
      .measurements = MEASUREMENTS "y||0.3|0.9\ny||0.8|1\ny||1.5|2\nz||1|0.5\nz||2|1\ny||3|0.9\nz||4|0.8\n"};
  check_problem(r, "events", rig_v2(r, &t), 0.004, 1e-7);
}

/* One event sets off another, and two that stand for the same crossing. */
static void test_cascade(void **state) {
  rig *r = *state;
  const tables t = {.model =
                        "model m()\n  A = 0; B = 0; C = 0; k = 1; level = 1; d = 1;\n"
                        "  A' = k*(2 - A); B' = A - d*B*B; C' = -0.3*C*d;\n"
                        "  at (A > level): A = A*A/4, C = C + B;\n  at (A > level): B = B*B + d;\n"
                        "  at (C > 0.1): C = C*2 + A*d;\nend\n",
                    .parameters = PARAMETERS "k|0.1|9|0.8|true\nd|0.1|9|0.7|true\nlevel|0.1|9|1.3|true\n",
                    .observables = "observableId|observableFormula|noiseFormula\ny|A|0.2\nz|B|0.2\nw|C|0.1\n",
                    .measurements = MEASUREMENTS "y||0.5|0.5\ny||2|1\nz||2|1.5\nw||2|1\nz||4|1\nw||4.5|1.4\n"};
  check_problem(r, "cascade", rig_v2(r, &t), 0.01, 1e-7);
}

/* Rates that jump where a state, or a parameter, says; one comparison shared with an event. */
static void test_switches(void **state) {
  rig *r = *state;
  const tables t = {
      .model =
          "model m()\n  A = 2; B = 0; k = 1; level = 1; on = 1; high = 2; N = 0; N' = -0.5*N;\n"
          "  A' = piecewise(-k*A, A > level, -0.3*k*A*A);\n"
          "  B' = piecewise(k*A, A > level, 0.1) + piecewise(high*B, time < on, 0) - max(B, 0.5)*0.4;\n"
          "  at (A < level): N = N + A*B;\nend\n",
      .parameters = PARAMETERS "k|0.1|9|0.8|true\nlevel|0.1|9|1.05|true\non|0.1|9|1.6|true\nhigh|0.1|9|0.6|true\n",
      .observables = "observableId|observableFormula|noiseFormula\ny|A|0.1\nz|B|0.1\nw|N|0.1\n",
      .measurements = MEASUREMENTS "y||0.5|1.5\nz||1|0.9\ny||2|0.7\nz||2.5|0.8\nw||3|0.4\nz||4|0.5\nw||2|0.7\n"};
  check_problem(r, "switches", rig_v2(r, &t), 0.01, 1e-7);
}

/* ---- noises, scales, priors, what is solved inside ---- */

/* Second derivatives of one measurement against differences of its first. */
static void test_noise(void **state) {
  (void)state;
  const double h = 1e-5, y = 1.7, s = 0.3, m = 1.3;
  static const double range[][2] = {{1.2, 1.5}, {-INFINITY, 1.4}, {1.9, INFINITY}};
  for (int k = DPI_NOISE_NORMAL; k <= DPI_NOISE_LOG10_LAPLACE; k++)
    for (int i = -1; i < 3; i++) {
      const dpi_noise noise = (dpi_noise)k;
      const double low = i < 0 ? 0 : k % 3 && isinf(range[i][0]) ? 0 : range[i][0], high = i < 0 ? 0 : range[i][1];
      dpi_noise_value v[4];
      dpi_noise_bend b;
      for (int j = 0; j < 4; j++) {
        const double at = y + (j == 0 ? h : j == 1 ? -h : 0), sd = s + (j == 2 ? h : j == 3 ? -h : 0);
        assert_true(i < 0 ? dpi_noise_eval(noise, m, at, sd, &v[j])
                          : dpi_noise_within(noise, low, high, at, sd, &v[j]));
      }
      if (i < 0)
        dpi_noise_bend_at(noise, m, y, s, &b);
      else
        dpi_noise_bend_within(noise, low, high, y, s, &b);
      check_near("yy", b.yy, (v[0].dy - v[1].dy) / (2 * h), 1e-7);
      check_near("ys", b.ys, (v[0].ds - v[1].ds) / (2 * h), 1e-7);
      check_near("ys", b.ys, (v[2].dy - v[3].dy) / (2 * h), 1e-7);
      check_near("ss", b.ss, (v[2].ds - v[3].ds) / (2 * h), 1e-7);
    }
}

#define DECAYS "model two()\n  A = 2; B = 0.1; k = 0.5; q = 0.2; A' = -k*A + q*B; B' = k*A - q*B - 0.05*B*B;\nend\n"

static void test_noises(void **state) {
  rig *r = *state;
  static const char *const name[] = {"normal", "log-normal", "laplace", "log-laplace"};
  for (int i = 0; i < DPI_COUNT(name); i++) {
    char observables[300];
    snprintf(observables, sizeof observables,
             "observableId|observableFormula|noiseFormula|noiseDistribution\na|s*A|sd*(1 + A)|%s\nb|B|0.3|%s\n",
             name[i], i % 2 ? "log-normal" : "normal");
    if (i == 3)
      snprintf(observables, sizeof observables, "%s",
               "observableId|observableFormula|noiseFormula|noiseDistribution\na|s*A|sd*(1 + A)|log-normal\n"
               "b|B*sd|0.3*sd|laplace\n");
    const tables t = {.model = DECAYS,
                      .parameters = PARAMETERS
                      "k|0.01|10|0.45|true\nq|0.01|10|0.3|true\nsd|0.01|10|0.3|true\n"
                      "s|0.1|10|1.2|true\n",
                      .observables = observables,
                      .measurements = MEASUREMENTS "a||0|2.2\na||1|1.1\nb||2|1.2\na||3|0.9\nb||4|0.7\n"};
    check_problem(r, name[i], rig_v2(r, &t), 0.004, 1e-7);
  }
}

static void test_censored(void **state) {
  rig *r = *state;
  const tables t = {
      .model = DECAYS,
      .parameters = PARAMETERS "k|0.01|10|0.45|true\nq|0.01|10|0.3|true\nsd|0.01|10|0.2|true\n",
      .observables =
          "observableId|observableFormula|noiseFormula|noiseDistribution\na|A|sd|normal\nb|B|sd|log-normal\n",
      .measurements =
          "observableId|experimentId|time|measurement|measurementType|censoringBounds\n"
          "a||1|1.2|quantitative|  \na||4|  |left-censored|0.5\na||6|0.5|left-censored|0.5\n"
          "b||2|  |right-censored|0.9\nb||3|  |interval-censored|1;1.5\nb||1|0.8|  |  \n"};
  check_problem(r, "censored", rig_v2(r, &t), 0.002, 1e-6);
}

/* Version 1: parameters by ln and log10, conditions, steady states before, priors. */
static const tables OLD = {
    .model =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<sbml xmlns=\"http://www.sbml.org/sbml/level3/version1/core\" "
        "level=\"3\" version=\"1\"><model id=\"m\" timeUnits=\"second\"><listOfParameters>"
        "<parameter id=\"x\" value=\"2\" constant=\"false\"/><parameter id=\"k\" value=\"0.5\" constant=\"true\"/>"
        "<parameter id=\"p\" value=\"0.1\" constant=\"true\"/></listOfParameters><listOfRules><rateRule variable=\"x\">"
        "<math "
        "xmlns=\"http://www.w3.org/1998/Math/MathML\"><apply><minus/><ci>p</ci><apply><times/><ci>k</ci><ci>x</ci>"
        "<ci>x</ci></apply></apply></math></rateRule></listOfRules></model></sbml>\n",
    .parameters =
        "parameterId|parameterScale|lowerBound|upperBound|nominalValue|estimate|objectivePriorType|"
        "objectivePriorParameters\n"
        "k|log10|0.01|10|0.4|1|parameterScaleNormal|-0.5;0.2\nstart|log|0.1|10|3|1|normal|2.5;0.5\n"
        "s|lin|0.1|5|1.2|1|laplace|1;0.5\nsd|log10|0.01|5|0.2|1||\npp|log|0.01|5|0.3|1|logNormal|-1;0.4\n",
    .conditions = "conditionId|x|p\npre||pp\nc0||\nc1|start|0.3\n",
    .observables =
        "observableId|observableFormula|observableTransformation|noiseFormula\no|s*x|log10|noiseParameter1_o\n",
    .measurements =
        "observableId|preequilibrationConditionId|simulationConditionId|time|measurement|noiseParameters\n"
        "o||c1|1|2|0.1\no||c0|2|1|sd\no|pre|c0|1|0.5|0.1\no|pre|c1|0|3|0.3\no|pre|c0|2|0.7|sd\n"};

static void test_scales(void **state) {
  rig *r = *state;
  check_problem(r, "scales", rig_v1(r, &OLD), 0.01, 1e-7);
}

/* What samplers see has the priors in it. */
static void test_priors(void **state) {
  rig *r = *state;
  dp_problem *p = rig_open(r, rig_v1(r, &OLD), DP_DERIVATIVE_FORWARD);
  dpi_density *d = &p->density;
  const double *x = dp_problem_describe(p)->nominal, h = 2e-3;
  double v[5] = {0.3, -0.2, 0.4, 0.5, -0.6}, product[5], g[4][5], at[5], d2[5];
  bool ok = false;
  assert_int_equal(d->ops->hessian_vector(d, 1, x, v, product, &ok), DP_OK);
  assert_true(ok);
  for (int i = 0; i < 4; i++) {
    dpi_density_value value = {.gradient = g[i]};
    for (int q = 0; q < 5; q++) at[q] = x[q] + (i % 2 ? -h : h) / (1 << (i / 2)) * v[q];
    assert_int_equal(dpi_density_eval(d, 1, at, DPI_DENSITY_GRADIENT, &value), DP_OK);
  }
  for (int q = 0; q < 5; q++) {
    const double wide = (g[0][q] - g[1][q]) / (2 * h), narrow = (g[2][q] - g[3][q]) / h;
    check_near("with priors", product[q], (4 * narrow - wide) / 3, 1e-6);
  }
  dp_problem_prior_hessian(p, x, d2);
  check_near("normal on its scale", d2[0], -1 / 0.04, 1e-12);
  assert_true(d2[3] == 0 && d2[4] < 0);
  dp_problem_close(p);
}

#define SOLVED_HEAD "parameterId|lowerBound|upperBound|nominalValue|estimate|parameterType\n"

/* Parameters solved inside follow the others; those that a bound holds do not. */
static void test_solved(void **state) {
  rig *r = *state;
  for (int held = 0; held < 2; held++) {
    char parameters[600];
    snprintf(parameters, sizeof parameters,
             SOLVED_HEAD
             "k|0.01|10|0.45|true|  \nq|0.01|10|0.3|true|  \ns1|0|%s|1|true|scaling\n"
             "o1|-inf|inf|0|true|offset\nsd1|0|inf|1|true|sigma\ns5|0|inf|1|true|scaling\n"
             "sd3|0|inf|1|true|sigma\n",
             held ? "0.5" : "inf");
    const tables t = {
        .model = DECAYS,
        .parameters = parameters,
        .observables =
            "observableId|observableFormula|noiseFormula|noiseDistribution\na|s1*A + o1|sd1|normal\n"
            "f|s5*A|sd3|log-normal\n",
        .measurements = MEASUREMENTS "a||0|3.1\na||1|2.2\na||2|2.1\na||4|1.4\nf||1|1.5\nf||2|1.3\nf||3|0.8\n"};
    dp_problem *p = rig_open(r, rig_v2(r, &t), DP_DERIVATIVE_FORWARD);
    assert_int_equal(dp_problem_describe(p)->nsolved, 5);
    check_rows(p, "solved", dp_problem_describe(p)->nominal, 0.01, 1e-6);
    dp_problem_close(p);
  }
}

/* Thresholds of ordinal measurements follow, with each noise. */
static void test_thresholds(void **state) {
  rig *r = *state;
  static const char *const noise[] = {"normal", "log-normal", "laplace"};
  for (int i = 0; i < 3; i++) {
    char observables[300];
    snprintf(observables, sizeof observables,
             "observableId|observableFormula|noiseFormula|noiseDistribution\na|A|sd|%s\nb|B|0.2|normal\n", noise[i]);
    const tables t = {
        .model = DECAYS,
        .parameters = PARAMETERS "k|0.01|10|0.45|true\nq|0.01|10|0.3|true\nsd|0.01|10|0.3|true\n",
        .observables = observables,
        .measurements =
            "observableId|experimentId|time|measurement|measurementType|measurementCategory\n"
            "a||0|  |ordinal|7\na||0.5|  |ordinal|7\na||1|  |ordinal|3\na||1.5|  |ordinal|7\na||2|  |ordinal|3\na||3|  "
            "|ordinal|2\na||4|  |ordinal|3\na||5|  |ordinal|2\na||6|  |ordinal|2\nb||1|1|  |  \nb||3|1.3|  |  \n"};
    dp_problem *p = rig_open(r, rig_v2(r, &t), DP_DERIVATIVE_FORWARD);
    assert_int_equal(dp_problem_describe(p)->nsolved, 2);
    check_rows(p, noise[i], dp_problem_describe(p)->nominal, 0.002, 1e-6);
    dp_problem_close(p);
  }
}

/* ---- what it promises ---- */

static const tables PLAIN = {.model = DECAYS,
                             .parameters = PARAMETERS "k|0.01|10|0.45|true\nq|0.01|10|0.3|true\nsd|0.01|10|0.3|true\n",
                             .observables = "observableId|observableFormula|noiseFormula\na|A|sd\n",
                             .measurements = MEASUREMENTS "a||0|2.2\na||1|1.1\na||3|0.9\n"};

/* A product alone and among others: the same bytes, in both ways; its slope is gradient . v; no direction gives
 * nothing. */
static void test_company(void **state) {
  rig *r = *state;
  enum { NPOINT = 11, WHICH = 6, N = 3 };
  for (int way = DP_DERIVATIVE_FORWARD; way <= DP_DERIVATIVE_ADJOINT; way++) {
    dp_problem *p = rig_open(r, rig_v2(r, &PLAIN), (dp_problem_derivative)way);
    double x[NPOINT][N], v[NPOINT][N], h[NPOINT][N], alone[N], g[N], zero[N] = {0};
    dp_problem_product out[NPOINT], one = {.product = alone};
    for (int i = 0; i < NPOINT; i++)
      for (int q = 0; q < N; q++) {
        out[i].product = h[i];
        x[i][q] = dp_problem_describe(p)->nominal[q] * (1 + 0.02 * (i - WHICH));
        v[i][q] = cos(i + 2 * q);
      }
    assert_int_equal(dp_problem_hessian_vector(p, NPOINT, x[0], v[0], out), DP_OK);
    assert_int_equal(dp_problem_hessian_vector(p, 1, x[WHICH], v[WHICH], &one), DP_OK);
    assert_true(one.ok && out[WHICH].ok && one.slope == out[WHICH].slope);
    assert_memory_equal(alone, h[WHICH], sizeof alone);
    gradient(p, x[WHICH], g);
    check_near("slope", one.slope, g[0] * v[WHICH][0] + g[1] * v[WHICH][1] + g[2] * v[WHICH][2], 1e-8);
    assert_int_equal(dp_problem_hessian_vector(p, 1, x[WHICH], zero, &one), DP_OK);
    assert_true(one.ok && one.slope == 0 && alone[0] == 0 && alone[1] == 0 && alone[2] == 0);
    dp_problem_close(p);
  }
}

static void check_not_offered(rig *r, const tables *t, const char *part) {
  dp_problem *p = rig_open(r, rig_v2(r, t), DP_DERIVATIVE_AUTO);
  double h[MOST] = {0};
  dp_problem_product out = {.product = h};
  dp_ctx_clear_error(r->ctx);
  const dp_status st = dp_problem_hessian_vector(p, 1, dp_problem_describe(p)->nominal, h, &out);
  if (st != DP_ERR_UNSUPPORTED || !strstr(dp_ctx_error(r->ctx), part))
    fail_msg("found %s: %s; expected ...%s...", dp_status_name(st), dp_ctx_error(r->ctx), part);
  dp_ctx_clear_error(r->ctx);
  dp_problem_close(p);
}

static void test_refused(void **state) {
  rig *r = *state;
  tables t = PLAIN;
  t.model = "model m()\n  A = 2; k = 1; q = 1; A' = -k*A - q; at q after (A < 1): A = 2;\nend\n";
  check_not_offered(r, &t, "has a delay");
  t.model = "model m()\n  A = 2; k = 1; q = 1; A' = -k*floor(3*A) - q;\nend\n";
  check_not_offered(r, &t, "jumps by floor");
}

/* A point where the model can't be run says so, and says nothing else. */
static void test_outcome(void **state) {
  rig *r = *state;
  tables t = PLAIN;
  t.model = "model m()\n  A = 2; k = 1; q = 1; A' = k*A*A - q;\nend\n"; /* infinite at 0.5 or so */
  dp_problem *p = rig_open(r, rig_v2(r, &t), DP_DERIVATIVE_FORWARD);
  double h[3], x[3] = {1, 0.1, 0.3}, v[3] = {1, 0, 0};
  dp_problem_product out = {.product = h};
  assert_int_equal(dp_problem_hessian_vector(p, 1, x, v, &out), DP_OK);
  assert_true(!out.ok && out.reason[0] && isnan(out.slope) && isnan(h[0]) && isnan(h[2]));
  dp_problem_close(p);
}

/* Each allocation fails once. */
static void test_memory(void **state) {
  rig *r = *state;
  tables t = PLAIN;
  t.model =
      "model m()\n  A = 2; k = 1; q = 1; n = 0; n' = 0; A' = -k*A*A - piecewise(q, A > 1, 0);\n"
      "  at (A < q): A = A + k, n = 1;\nend\n";
  dp_problem *p = rig_open(r, rig_v2(r, &t), DP_DERIVATIVE_FORWARD);
  double h[3], v[3] = {1, 0.5, 0};
  dp_problem_product out = {.product = h};
  dp_status st = DP_ERR_MEMORY;
  long refused = 0;
  for (; st == DP_ERR_MEMORY && refused < 100000; refused++) {
    failing_next(&r->memory, refused);
    st = dp_problem_hessian_vector(p, 1, dp_problem_describe(p)->nominal, v, &out);
  }
  failing_never(&r->memory);
  assert_int_equal(st, DP_OK);
  if (!out.ok || refused < 50) fail_msg("%ld refused; %s", refused, out.reason);
  dp_problem_close(p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_line, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_decay, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_nonlinear, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_conditions, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_steady, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_events, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_cascade, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_switches, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_noise, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_noises, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_censored, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_scales, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_priors, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_solved, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_thresholds, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_company, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_refused, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_outcome, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_memory, rig_setup, rig_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
