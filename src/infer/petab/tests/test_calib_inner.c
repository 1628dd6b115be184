/* Independent comparison: parameters solved inside the objective against the same problem with all of them explicit
 * (its gradient by them is zero there, its likelihood the same, no better one in the neighbourhood; information against
 * the joint one), gradients against differences, both ways of making them; censored and ordinal likelihoods by
 * quadrature of the density. */
#include "calib_rig.h"

#define OBSERVABLES                                                                                              \
  "observableId|observableFormula|noiseFormula|observablePlaceholders|noisePlaceholders|noiseDistribution\n"     \
  "a|s1*A + o1|sd1|  |  |normal\nb|s2*B|n|  |n|normal\nc|s*(A + B)|0.1|s|  |log-normal\nd|B|sd2|  |  |laplace\n" \
  "e|s4*B + o2|0.2*A|  |  |normal\nf|s5*A|sd3|  |  |log-normal\n"
#define MEASUREMENTS                                                                                              \
  "observableId|experimentId|time|measurement|observableParameters|noiseParameters\n"                             \
  "a||0|3.1|  |  \na||1|2.2|  |  \na||2|2.1|  |  \na||4|1.4|  |  \nb||1|2.5|  |sd1\nb||2|3.4|  |sd1\nb||5|3.9|  " \
  "|sd1\n"                                                                                                        \
  "c||1|5.5|s3|  \nc||3|4.9|s3|  \nd||1|1.4|  |  \nd||2|1.3|  |  \nd||3|1.9|  |  \nd||4|1.6|  |  \n"              \
  "e||1|1.4|  |  \ne||2|1.7|  |  \ne||4|1.5|  |  \nf||1|1.5|  |  \nf||2|1.3|  |  \nf||3|0.8|  |  \n"
#define MODEL "model two()\n  A = 2; B = 0.1; k = 0.5; q = 0.2; A' = -k*A + q*B; B' = k*A - q*B - 0.05*B;\nend\n"
#define HEAD "parameterId|lowerBound|upperBound|nominalValue|estimate|parameterType\n"
#define OUTER "k|0.01|10|0.45|true|  \nq|0.01|10|0.3|true|  \n"

static const char SOLVED[] = HEAD OUTER
    "s1|0|inf|1|true|scaling\no1|-inf|inf|0|true|offset\ns2|0|inf|1|true|scaling\n"
    "s3|0|inf|1|true|scaling\no2|-inf|inf|0|true|offset\ns4|0|inf|1|true|scaling\n"
    "s5|0|inf|1|true|scaling\nsd1|0|inf|1|true|sigma\nsd2|0|inf|1|true|sigma\n"
    "sd3|0|inf|1|true|sigma\n";

/* The same with every parameter searched for, at these values. */
static const char *explicit_table(const dp_problem_desc *d, const double *u) {
  static char text[3000];
  char *at = text + sprintf(text, "%s%s", HEAD, OUTER);
  for (int i = 0; i < d->nsolved; i++) at += sprintf(at, "%s|-inf|inf|%.17g|true|  \n", d->solved[i], u[i]);
  return text;
}

static void test_joint_optimum(void **state) {
  rig *r = *state;
  double g[2], b[2], u[10], f[4], jg[12], jf[144], pointwise[19], jp[19];
  tables t = {.model = MODEL, .parameters = SOLVED, .observables = OBSERVABLES, .measurements = MEASUREMENTS};
  dp_problem *p = rig_open(r, rig_v2(r, &t), DP_DERIVATIVE_FORWARD),
             *back = rig_open(r, r->path, DP_DERIVATIVE_ADJOINT);
  const dp_problem_desc *d = dp_problem_describe(p);
  assert_int_equal(d->nparam, 2);
  assert_int_equal(d->nsolved, 10);
  const dp_problem_value v =
      rig_eval(p, DP_PROBLEM_GRADIENT | DP_PROBLEM_FISHER,
               (dp_problem_value){.gradient = g, .fisher = f, .solved = u, .pointwise = pointwise});
  rig_eval(back, DP_PROBLEM_GRADIENT, (dp_problem_value){.gradient = b});
  for (int q = 0; q < 2; q++) {
    check_near("backwards", b[q], g[q], 1e-7);
    check_near("differences", g[q], rig_difference(p, q, 1e-4), 1e-6);
  }
  /* everything explicit, at the same point */
  t.parameters = explicit_table(d, u);
  dp_problem *joint = rig_open(r, rig_v2(r, &t), DP_DERIVATIVE_FORWARD);
  const dp_problem_value j = rig_eval(joint, DP_PROBLEM_GRADIENT | DP_PROBLEM_FISHER,
                                      (dp_problem_value){.gradient = jg, .fisher = jf, .pointwise = jp});
  check_near("likelihood", v.llh, j.llh, 1e-13);
  for (int i = 0; i < 19; i++) check_near("pointwise", pointwise[i], jp[i], 1e-12);
  for (int q = 0; q < 2; q++) check_near("gradient by the others", g[q], jg[q], 1e-12);
  const dp_problem_desc *e = dp_problem_describe(joint);
  for (int q = 2; q < 12; q++) {
    double x[12], side[2];
    dp_problem_value w = {0};
    if (fabs(jg[q]) > 1e-9 * (1 + fabs(j.llh))) fail_msg("%s: its gradient is %g", e->id[q], jg[q]);
    for (int k = 0; k < 2; k++) {
      memcpy(x, e->nominal, sizeof x);
      x[q] += (k ? 1e-3 : -1e-3) * (1 + fabs(x[q]));
      assert_int_equal(dp_problem_eval(joint, 1, x, DP_PROBLEM_VALUE, &w), DP_OK);
      side[k] = w.llh;
    }
    if (!(side[0] < j.llh && side[1] < j.llh))
      fail_msg("%s: better nearby, %.12g and %.12g beside %.12g", e->id[q], side[0], side[1], j.llh);
  }
  /* information: inverse of the outer block of the joint inverse */
  double m[144];
  memcpy(m, jf, sizeof m);
  for (int c = 2; c < 12; c++)
    for (int row = 0; row < 12; row++) {
      const double factor = m[12 * row + c] / m[12 * c + c];
      for (int k = 0; row != c && k < 12; k++) m[12 * row + k] -= factor * m[12 * c + k];
    }
  for (int a = 0; a < 2; a++)
    for (int c = 0; c < 2; c++) check_near("information", f[2 * a + c], m[12 * a + c], 1e-9);
  dp_problem_close(p);
  dp_problem_close(back);
  dp_problem_close(joint);
}

/* Bounds that count: one clipped, a pair on its edge. */
static void test_bounds(void **state) {
  rig *r = *state;
  double g[2], u[10];
  const tables t = {
      .model = MODEL,
      .parameters = HEAD OUTER
      "s1|1.5|2|1|true|scaling\no1|-0.5|inf|0|true|offset\ns2|0|0.5|1|true|scaling\ns3|0|inf|1|true|scaling\n"
      "o2|-inf|inf|0|true|offset\ns4|0|inf|1|true|scaling\ns5|0|inf|1|true|scaling\nsd1|2|inf|1|true|sigma\n"
      "sd2|0|inf|1|true|sigma\nsd3|0|inf|1|true|sigma\n",
      .observables = OBSERVABLES,
      .measurements = MEASUREMENTS};
  dp_problem *p = rig_open(r, rig_v2(r, &t), DP_DERIVATIVE_FORWARD);
  rig_eval(p, DP_PROBLEM_GRADIENT, (dp_problem_value){.gradient = g, .solved = u});
  assert_true(u[2] == 0.5 && u[7] == 2 && u[0] >= 1.5 && u[0] <= 2 && u[1] >= -0.5);
  assert_true(u[0] == 1.5 || u[1] == -0.5);
  for (int q = 0; q < 2; q++) check_near("differences", g[q], rig_difference(p, q, 1e-4), 1e-6);
  dp_problem_close(p);
}

/* ---- censored: the mass of the density between the bounds, by Simpson's rule ---- */

static double mass(dpi_noise noise, double low, double high, double y, double s) {
  const int n = 40000;
  double sum = 0;
  dpi_noise_value v;
  for (int i = 0; i <= n; i++) {
    const double m = low + (high - low) * i / n;
    assert_true(dpi_noise_eval(noise, m, y, s, &v));
    sum += (i == 0 || i == n ? 1 : i % 2 ? 4 : 2) * exp(v.ln);
  }
  return sum * (high - low) / (3 * n);
}

static void test_within(void **state) {
  (void)state;
  const double h = 1e-6, y = 1.7, s = 0.3;
  for (int k = DPI_NOISE_NORMAL; k <= DPI_NOISE_LOG10_LAPLACE; k++) {
    const dpi_noise noise = (dpi_noise)k;
    static const double range[][2] = {{1.2, 1.5}, {1.5, 2.5}, {2.4, 2.6}};
    const double far = k % 3 ? 40 : 8;
    dpi_noise_value v, a, b;
    for (int i = 0; i < 3; i++) {
      const double low = range[i][0], high = range[i][1];
      assert_true(dpi_noise_within(noise, low, high, y, s, &v));
      check_near("between", exp(v.ln), mass(noise, low, high, y, s), 1e-8);
      assert_true(dpi_noise_within(noise, low, high, y + h, s, &a) && dpi_noise_within(noise, low, high, y - h, s, &b));
      check_near("by y", v.dy, (a.ln - b.ln) / (2 * h), 1e-7);
      assert_true(dpi_noise_within(noise, low, high, y, s + h, &a) && dpi_noise_within(noise, low, high, y, s - h, &b));
      check_near("by s", v.ds, (a.ln - b.ln) / (2 * h), 1e-7);
      assert_true(v.iy >= 0);
    }
    assert_true(dpi_noise_within(noise, -INFINITY, 1.2, y, s, &a) && dpi_noise_within(noise, 1.2, INFINITY, y, s, &b));
    check_near("both sides", exp(a.ln) + exp(b.ln), 1, 1e-14);
    if (k % 3 == 0) { /* where nothing but logarithms is left */
      assert_true(dpi_noise_within(noise, -INFINITY, y - 200 * s, y, s, &a) && isfinite(a.ln) && a.ln < -100);
      check_near("far up", a.ln, (dpi_noise_within(noise, y + 200 * s, INFINITY, y, s, &b), b.ln), 1e-12);
      check_near("pushes", a.dy, -b.dy, 1e-12);
    }
    (void)far;
  }
}

static const tables CENSORED = {
    .model = MODEL,
    .parameters =
        "parameterId|lowerBound|upperBound|nominalValue|estimate\nk|0.01|10|0.45|true\nq|0.01|10|0.3|true\nsd|0.01|10|"
        "0.2|true\n",
    .observables = "observableId|observableFormula|noiseFormula|noiseDistribution\na|A|sd|normal\nb|B|sd|log-normal\n",
    .measurements =
        "observableId|experimentId|time|measurement|measurementType|censoringBounds\n"
        "a||1|1.2|quantitative|  \na||4|  |left-censored|0.5\na||6|0.5|left-censored|0.5\n"
        "b||2|  |right-censored|0.9\nb||3|  |interval-censored|1;1.5\nb||1|0.8|  |  \n"};

static void test_censored(void **state) {
  rig *r = *state;
  double g[3], b[3], f[9], pointwise[6], y[6], chi2 = 0, residual[6];
  dp_problem *p = rig_open(r, rig_v2(r, &CENSORED), DP_DERIVATIVE_FORWARD),
             *back = rig_open(r, r->path, DP_DERIVATIVE_ADJOINT);
  const dp_problem_value v = rig_eval(
      p, DP_PROBLEM_GRADIENT | DP_PROBLEM_FISHER,
      (dp_problem_value){.gradient = g, .fisher = f, .pointwise = pointwise, .simulation = y, .residual = residual});
  rig_eval(back, DP_PROBLEM_GRADIENT, (dp_problem_value){.gradient = b});
  check_near("left", pointwise[1], log(0.5 * erfc(-(0.5 - y[1]) / 0.2 / sqrt(2))), 1e-12);
  check_near("right", pointwise[3], log(0.5 * erfc((log(0.9) - log(y[3])) / 0.2 / sqrt(2))), 1e-12);
  check_near("interval", pointwise[4],
             log(0.5 * (erfc(-(log(1.5) - log(y[4])) / 0.2 / sqrt(2)) - erfc(-(log(1.0) - log(y[4])) / 0.2 / sqrt(2)))),
             1e-12);
  double sum = 0;
  for (int i = 0; i < 6; i++) sum += pointwise[i], chi2 += residual[i] * residual[i];
  check_near("sum", v.llh, sum, 1e-13);
  check_near("chi2", v.chi2, chi2, 1e-13);
  assert_true(residual[1] == 0 && isnan(dp_problem_describe(p)->datum_value[2]));
  for (int q = 0; q < 3; q++) {
    check_near("backwards", b[q], g[q], 1e-7);
    check_near("differences", g[q], rig_difference(p, q, 1e-4), 1e-6);
  }
  dp_problem_close(p);
  dp_problem_close(back);
}

/* ---- ordinal: thresholds against the same measurements as interval-censored between these thresholds ---- */

#define RANKED                                                                                                 \
  "observableId|experimentId|time|measurement|measurementType|measurementCategory\n"                           \
  "a||0|  |ordinal|7\na||0.5|  |ordinal|7\na||1|  |ordinal|3\na||1.5|  |ordinal|7\na||2|  |ordinal|3\na||3|  " \
  "|ordinal|2\na||4|  |ordinal|3\n"                                                                            \
  "a||5|  |ordinal|2\na||6|  |ordinal|2\nb||1|1|  |  \nb||3|1.3|  |  \n"

static void test_ordinal(void **state) {
  rig *r = *state;
  static const char *const noise[] = {"normal", "log-normal", "laplace"};
  for (int n = 0; n < 3; n++) {
    char observables[200], measurements[1500];
    double g[2], b[2], u[2], y[11];
    snprintf(observables, sizeof observables,
             "observableId|observableFormula|noiseFormula|noiseDistribution\na|A|0.3|%s\nb|B|0.2|normal\n", noise[n]);
    tables t = {.model = MODEL,
                .parameters =
                    "parameterId|lowerBound|upperBound|nominalValue|estimate\n"
                    "k|0.01|10|0.45|true\nq|0.01|10|0.3|true\n",
                .observables = observables,
                .measurements = RANKED};
    dp_problem *p = rig_open(r, rig_v2(r, &t), DP_DERIVATIVE_FORWARD),
               *back = rig_open(r, r->path, DP_DERIVATIVE_ADJOINT);
    const dp_problem_desc *d = dp_problem_describe(p);
    assert_int_equal(d->nsolved, 2);
    const dp_problem_value v =
        rig_eval(p, DP_PROBLEM_GRADIENT, (dp_problem_value){.gradient = g, .solved = u, .simulation = y});
    rig_eval(back, DP_PROBLEM_GRADIENT, (dp_problem_value){.gradient = b});
    assert_true(u[0] < u[1] && v.llh < 0);
    for (int q = 0; q < 2; q++) {
      check_near("backwards", b[q], g[q], 1e-7);
      check_near("differences", g[q], rig_difference(p, q, 1e-4), 1e-6);
    }
    /* as intervals, and with thresholds beside the best ones: never better */
    for (int k = -1; k < 4; k++) {
      static const int category[] = {7, 7, 3, 7, 3, 2, 3, 2, 2};
      static const double time[] = {0, 0.5, 1, 1.5, 2, 3, 4, 5, 6};
      double w[2] = {u[0], u[1]};
      if (k >= 0) w[k / 2] += k % 2 ? 1e-3 : -1e-3;
      char *at = measurements +
                 sprintf(measurements, "observableId|experimentId|time|measurement|measurementType|censoringBounds\n");
      for (int i = 0; i < 9; i++)
        at += category[i] == 2   ? sprintf(at, "a||%g|  |left-censored|%.17g\n", time[i], w[0])
              : category[i] == 3 ? sprintf(at, "a||%g|  |interval-censored|%.17g;%.17g\n", time[i], w[0], w[1])
                                 : sprintf(at, "a||%g|  |right-censored|%.17g\n", time[i], w[1]);
      sprintf(at, "b||1|1|  |  \nb||3|1.3|  |  \n");
      t.measurements = measurements;
      dp_problem *q = rig_open(r, rig_v2(r, &t), DP_DERIVATIVE_FORWARD);
      const dp_problem_value c = rig_eval(q, DP_PROBLEM_VALUE, (dp_problem_value){0});
      if (k < 0)
        check_near("as intervals", v.llh, c.llh, 1e-12);
      else if (!(c.llh < v.llh))
        fail_msg("%s: other thresholds are better, %.15g beside %.15g", noise[n], c.llh, v.llh);
      dp_problem_close(q);
    }
    dp_problem_close(p);
    dp_problem_close(back);
  }
}

/* Many points in one call, what each gives depends on it alone; a sampler's view. */
static void test_batch(void **state) {
  rig *r = *state;
  double x[10], g[10], one[2], lp[19];
  bool ok;
  const tables t = {.model = MODEL, .parameters = SOLVED, .observables = OBSERVABLES, .measurements = MEASUREMENTS};
  dp_problem *p = rig_open(r, rig_v2(r, &t), DP_DERIVATIVE_FORWARD);
  dp_problem_value v[5] = {{0}}, w = {.gradient = one};
  dpi_density_value dv = {.gradient = one};
  for (int i = 0; i < 5; i++) {
    x[2 * i] = 0.2 + 0.1 * i;
    x[2 * i + 1] = 0.5 - 0.08 * i;
    v[i].gradient = g + 2 * i;
  }
  assert_int_equal(dp_problem_eval(p, 5, x, DP_PROBLEM_GRADIENT, v), DP_OK);
  for (int i = 0; i < 5; i++) {
    assert_int_equal(dp_problem_eval(p, 1, x + 2 * i, DP_PROBLEM_GRADIENT, &w), DP_OK);
    assert_true(v[i].ok && w.llh == v[i].llh && one[0] == g[2 * i] && one[1] == g[2 * i + 1]);
  }
  assert_int_equal(p->density.n, 2);
  assert_int_equal(dpi_density_eval(&p->density, 1, x, DPI_DENSITY_GRADIENT, &dv), DP_OK);
  assert_true(dv.ok && dv.loglik == v[0].llh && one[0] == g[0]);
  assert_int_equal(p->density.ops->pointwise(&p->density, x, lp, &ok), DP_OK);
  double sum = 0;
  for (int i = 0; i < 19; i++) sum += lp[i];
  check_near("pointwise", sum, v[0].llh, 1e-13);
  dp_problem_close(p);
}

/* ---- what is refused ---- */

static void with(rig *r, const char *parameters, const char *observables, const char *measurements, dp_status status,
                 const char *why) {
  const tables t = {.model = MODEL, .parameters = parameters, .observables = observables, .measurements = measurements};
  check_refused(r, rig_v2(r, &t), status, why);
}

static void test_refused(void **state) {
  rig *r = *state;
#define ONE(kind) HEAD OUTER "s|0|inf|1|true|" kind "\n"
#define SEEN(formula, noise) "observableId|observableFormula|noiseFormula|noiseDistribution\na|" formula "|" noise "\n"
  static const char plain[] = "observableId|experimentId|time|measurement\na||1|1\na||2|1.5\n";
  with(r, ONE("scalling"), SEEN("s*A", "1|normal"), plain, DP_ERR_INPUT, "did you mean 'scaling'");
  with(r, ONE("scaling"), SEEN("s*A + B", "1|normal"), plain, DP_ERR_UNSUPPORTED,
       "measurements.tsv:2: 's' can't be solved");
  with(r, ONE("scaling"), SEEN("s^2*A", "1|normal"), plain, DP_ERR_UNSUPPORTED, "scaling*(...) + offset");
  with(r, ONE("offset"), SEEN("2*s + A", "1|normal"), plain, DP_ERR_UNSUPPORTED, "scaling*(...) + offset");
  with(r, ONE("offset"), SEEN("s + A", "1|log-normal"), plain, DP_ERR_UNSUPPORTED, "logarithmic scale");
  with(r, ONE("scaling"), SEEN("s*A", "1|laplace"), plain, DP_ERR_UNSUPPORTED, "Laplace");
  with(r, ONE("sigma"), SEEN("A", "2*s|normal"), plain, DP_ERR_UNSUPPORTED, "not this parameter alone");
  with(r, ONE("sigma"), SEEN("s*A", "1|normal"), plain, DP_ERR_UNSUPPORTED, "stands in the observable's formula");
  with(r, ONE("scaling"), SEEN("A", "s|normal"), plain, DP_ERR_UNSUPPORTED, "may have a sigma only");
  with(r, ONE("scaling"), SEEN("A", "1|normal"), plain, DP_ERR_INPUT, "no measurement uses 's'");
  with(r, HEAD "k|0.01|10|0.45|true|scaling\n", SEEN("k*A", "1|normal"), plain, DP_ERR_UNSUPPORTED,
       "course depends on it");
  with(r,
       "parameterId|lowerBound|upperBound|nominalValue|estimate|parameterType|priorDistribution|priorParameters\n"
       "k|0|1|0.5|true|  |  |  \ns|0|9|1|true|scaling|normal|0;1\n",
       SEEN("s*A", "1|normal"), plain, DP_ERR_INPUT, "can't have a prior");
#define MEASURED(row) \
  "observableId|experimentId|time|measurement|measurementType|measurementCategory|censoringBounds\n" row
  static const char free_[] = "parameterId|lowerBound|upperBound|nominalValue|estimate\nk|0.01|10|0.45|true\n";
  with(r, free_, SEEN("A", "1|normal"), MEASURED("a||1|1|semiquantitative|  |  \n"), DP_ERR_UNSUPPORTED,
       "semiquantitative");
  with(r, free_, SEEN("A", "1|normal"), MEASURED("a||1|1|left-censord|  |1\n"), DP_ERR_INPUT,
       "did you mean 'left-censored'");
  with(r, free_, SEEN("A", "1|normal"), MEASURED("a||1|1|left-censored|  |  \n"), DP_ERR_INPUT, "expected the bound");
  with(r, free_, SEEN("A", "1|normal"), MEASURED("a||1|1|interval-censored|  |2;1\n"), DP_ERR_INPUT,
       "not below the upper");
  with(r, free_, SEEN("A", "1|log-normal"), MEASURED("a||1|1|left-censored|  |0\n"), DP_ERR_INPUT, "not positive");
  with(r, free_, SEEN("A", "1|normal"), MEASURED("a||1|1|  |  |3\n"), DP_ERR_INPUT, "bounds without a censored");
  with(r, free_, SEEN("A", "1|normal"), MEASURED("a||1|1|  |2|  \n"), DP_ERR_INPUT, "without measurementType ordinal");
  with(r, free_, SEEN("A", "1|normal"), MEASURED("a||1|1|ordinal|  |  \n"), DP_ERR_INPUT, "needs its category");
  with(r, free_, SEEN("A", "1|normal"), MEASURED("a||1|1|ordinal|0|  \n"), DP_ERR_INPUT, "expected 1 or more");
  with(r, free_, SEEN("A", "1|normal"), MEASURED("a||1|1|ordinal|2|  \na||2|1|ordinal|2|  \n"), DP_ERR_INPUT,
       "nothing can be learnt");
  with(r, free_, SEEN("A", "1|normal"), MEASURED("a||1|1|ordinal|2|  \na||2|1|  |  |  \n"), DP_ERR_UNSUPPORTED,
       "ordinal and other");
  with(r, free_, SEEN("A", "1|normal"), "observableId|experimentId|time|measurement|lloq\na||1|1|0.5\n",
       DP_ERR_UNSUPPORTED, "column lloq");
  with(r, ONE("scaling"), SEEN("s*A", "1|normal"), MEASURED("a||1|1|left-censored|  |1\n"), DP_ERR_UNSUPPORTED,
       "censored or ordinal");
}

/* Measurements met exactly: no standard deviation is best. */
static void test_outcome(void **state) {
  rig *r = *state;
  tables t = {.model = "model still()\n  A = 2; k = 1; A' = 0*k;\nend\n",
              .parameters = HEAD "k|0.01|10|0.45|true|  \nsd|0|inf|1|true|sigma\n",
              .observables = "observableId|observableFormula|noiseFormula\na|A|sd\n",
              .measurements = "observableId|experimentId|time|measurement\na||1|2\na||2|2\n"};
  dp_problem *p = rig_open(r, rig_v2(r, &t), DP_DERIVATIVE_FORWARD);
  double g[1];
  dp_problem_value v = {.gradient = g};
  assert_int_equal(dp_problem_eval(p, 1, dp_problem_describe(p)->nominal, DP_PROBLEM_GRADIENT, &v), DP_OK);
  assert_true(!v.ok && isinf(v.llh) && isnan(g[0]));
  assert_non_null(strstr(v.reason, "'sd'"));
  assert_non_null(strstr(v.reason, "lower bound"));
  dp_problem_close(p);
}

/* Memory that ends at any request. */
static void test_memory(void **state) {
  rig *r = *state;
  const tables t = {.model = MODEL, .parameters = SOLVED, .observables = OBSERVABLES, .measurements = MEASUREMENTS};
  double g[2], f[4];
  rig_short_of_memory(r, rig_v2(r, &t), (double[]){0.4, 0.3}, DP_PROBLEM_GRADIENT | DP_PROBLEM_FISHER,
                      (dp_problem_value){.gradient = g, .fisher = f});
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_joint_optimum, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_bounds, rig_setup, rig_teardown),
      cmocka_unit_test(test_within),
      cmocka_unit_test_setup_teardown(test_censored, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_ordinal, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_batch, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_refused, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_outcome, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_memory, rig_setup, rig_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
