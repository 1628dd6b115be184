/* Which measurement would narrow a forecast of a calibration problem. Independent comparison: a straight line in its
 * parameters, whose draws are normal: then the share of variance that goes is the squared correlation of forecast and
 * measurement, and the information ln(1 + var f / sd^2) / 2, both with the moments that the draws have. */
#include "infer/petab/tests/calib_rig.h"

#include "doppel/gain.h"

/* y = a + k b t, k by experiment; its noise is a parameter that measurements give; z = exp(y) under log-normal noise */
static const tables LINE = {
    .model = "model line()\n  x = a; a = 1; b = 1; k = 1; x' = k*b;\nend\n",
    .parameters =
        "parameterId|lowerBound|upperBound|nominalValue|estimate\na|-9|9|1|true\nb|-9|9|0|true\n"
        "s1|0|1|0.5|false\n",
    .observables =
        "observableId|observableFormula|noiseFormula|noiseDistribution|noisePlaceholders\n"
        "y|x|2*w|normal|w\nz|exp(x)|0.7|log-normal|  \nl|x|0.5|laplace|  \n",
    .measurements =
        "observableId|experimentId|time|measurement|noiseParameters\n"
        "y|e1|0|1.2|s1\ny|e2|5|7.9|0.25\nz|e1|1|3|  \nl|e1|1|1|  \n",
    .conditions = "conditionId|targetId|targetValue\nc1|k|1\nc2|k|2\n",
    .experiments = "experimentId|time|conditionId\ne1|0|c1\ne2|0|c2\n"};

enum { DRAWS = 1500 };

static void make_draws(double *x) {
  for (int i = 0; i < DRAWS; i++) {
    dpi_rng rng = dpi_rng_make(5, (uint64_t)i, 1);
    const double z0 = dpi_rng_normal(&rng), z1 = dpi_rng_normal(&rng);
    x[2 * i] = 1 + 0.6 * z0;
    x[2 * i + 1] = 0.2 - 0.2 * z0 + 0.3 * z1;
  }
}

/* Covariance of a + p b and a + q b over the draws. */
static double covariance(const double *x, double p, double q) {
  double mp = 0, mq = 0, c = 0;
  for (int i = 0; i < DRAWS; i++)
    mp += (x[2 * i] + p * x[2 * i + 1]) / DRAWS, mq += (x[2 * i] + q * x[2 * i + 1]) / DRAWS;
  for (int i = 0; i < DRAWS; i++) c += (x[2 * i] + p * x[2 * i + 1] - mp) * (x[2 * i] + q * x[2 * i + 1] - mq) / DRAWS;
  return c;
}

/* Times between the measured ones, another experiment, a formula as the forecast. Four standard errors of what is by
 * reweighting: 6e-5 each, 8 statements. */
static void test_lines(void **state) {
  static double x[2 * DRAWS];
  static const struct {
    const char *id, *experiment;
    double t, k, sd;
  } of[4] = {{"y", "e1", 0, 1, 1}, {"y", "e2", 2.5, 2, 0.5}, {"z", "e1", 4, 1, 0.7}, {"z", "e2", 1, 2, 0.7}};
  rig *r = *state;
  dp_problem *p = rig_open(r, rig_v2(r, &LINE), DP_DERIVATIVE_FORWARD);
  dp_problem_quantity forecast = {"twice", "2*x", "e2", 3}, candidate[4];
  dp_gain_outlook outlook;
  dp_gain gain[4];
  make_draws(x);
  for (int k = 0; k < 4; k++) candidate[k] = (dp_problem_quantity){of[k].id, of[k].id, of[k].experiment, of[k].t};
  const dp_status st = dp_gain_problem(p, x, DRAWS, &forecast, candidate, 4, 3, &outlook, gain);
  if (st != DP_OK) fail_msg("%s", dp_ctx_error(r->ctx));
  const double vq = covariance(x, 6, 6);
  check_near("the forecast's deviation", outlook.sd, 2 * sqrt(vq), 1e-9);
  assert_int_equal(outlook.nfailed, 0);
  for (int k = 0; k < 4; k++) {
    const double h = of[k].k * of[k].t, c = covariance(x, 6, h), vf = covariance(x, h, h), v = of[k].sd * of[k].sd;
    const double narrow = c * c / (vq * (vf + v)), know = 0.5 * log(1 + vf / v);
    if (getenv("SHOW"))
      printf("%s@%s:%g: %.4f +- %.4f of %.4f, %.4f +- %.4f of %.4f\n", of[k].id, of[k].experiment, of[k].t,
             gain[k].narrowing, gain[k].narrowing_se, narrow, gain[k].information, gain[k].information_se, know);
    check_near("linear narrowing", gain[k].linear_narrowing, narrow, 1e-8);
    check_near("linear information", gain[k].linear_information, know, 1e-8);
    assert_true(gain[k].usable);
    assert_true(fabs(gain[k].narrowing - narrow) < 4 * gain[k].narrowing_se + 1e-3);
    assert_true(fabs(gain[k].information - know) < 4 * gain[k].information_se + 1e-3);
  }
  dp_problem_close(p);
  assert_int_equal(dpi_alloc_live(r->ctx), 0);
}

static void test_refusals(void **state) {
  static double x[2 * DRAWS];
  rig *r = *state;
  dp_problem *p = rig_open(r, rig_v2(r, &LINE), DP_DERIVATIVE_FORWARD);
  const dp_problem_quantity good = {"y@e1:3", "y", "e1", 3};
  const struct {
    dp_problem_quantity forecast, candidate;
    dp_status status;
    const char *part;
  } bad[] = {{good, {"l@e1:3", "l", "e1", 3}, DP_ERR_UNSUPPORTED, "its noise is laplace"},
             {good, {"x@e1:3", "x", "e1", 3}, DP_ERR_INPUT, "'x' is no observable"},
             {good, {"y@e3:3", "y", "e3", 3}, DP_ERR_INPUT, "'e3'"},
             {good, {"y:3", "y", NULL, 3}, DP_ERR_INPUT, "say in which one"},
             {{"exp(900*x)", "exp(900*x)", "e1", 3}, good, DP_ERR_INPUT, "can't be simulated for any"}};
  dp_gain_outlook outlook;
  dp_gain gain;
  for (int i = 0; i < DRAWS; i++) x[2 * i] = 1, x[2 * i + 1] = 1;
  for (int k = 0; k < DPI_COUNT(bad); k++) {
    const dp_status st = dp_gain_problem(p, x, DRAWS, &bad[k].forecast, &bad[k].candidate, 1, 3, &outlook, &gain);
    if (st != bad[k].status || !strstr(dp_ctx_error(r->ctx), bad[k].part))
      fail_msg("case %d: %s: %s; expected ...%s...", k, dp_status_name(st), dp_ctx_error(r->ctx), bad[k].part);
    dp_ctx_clear_error(r->ctx);
  }
  assert_int_equal(dp_gain_problem(p, x, DRAWS, &good, &good, 0, 3, &outlook, &gain), DP_ERR_USAGE);
  dp_problem_close(p);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_lines, rig_setup, rig_teardown),
                                     cmocka_unit_test_setup_teardown(test_refusals, rig_setup, rig_teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
