/* Independent comparison: gradients of a problem with more directions than one run carries, against the way back,
 * against differences, and its information against what a single measurement must give; which way is taken, by
 * counts alone. */
#include "calib_rig.h"

enum { NSTATE = 5, NRATE = 35 };

/* A net of saturable steps between all states, each with a rate of its own. */
static void net_model(char *to, size_t size, int nrate) {
  size_t n = (size_t)snprintf(to, size, "model net()\n");
  for (int j = 0; j < NSTATE; j++) n += (size_t)snprintf(to + n, size - n, "  x%d = %g;\n", j, 1 + 0.3 * j);
  for (int k = 0; k < nrate; k++) {
    const int from = k % NSTATE, into = (k + 1 + k / NSTATE) % NSTATE;
    n += (size_t)snprintf(to + n, size - n, "  k%d = 1; J%d: x%d => %sx%d; k%d*x%d/(%g + x%d + 0.1*x%d);\n", k, k, from,
                          into == from ? "2 " : "", into, k, from, 0.5 + 0.01 * k, from, (from + 2) % NSTATE);
  }
  snprintf(to + n, size - n, "end\n");
}

static void net_parameters(char *to, size_t size, int nrate) {
  size_t n = (size_t)snprintf(to, size, "parameterId|lowerBound|upperBound|nominalValue|estimate\n");
  for (int k = 0; k < nrate; k++)
    n += (size_t)snprintf(to + n, size - n, "k%d|0.01|10|%g|true\n", k, 0.2 + 0.015 * ((7 * k) % 11));
}

static const char *net(rig *r, int nrate, const char *measurements, const char *conditions, const char *experiments) {
  static char model[6000], parameters[3000];
  net_model(model, sizeof model, nrate);
  net_parameters(parameters, sizeof parameters, nrate);
  const tables t = {.model = model,
                    .parameters = parameters,
                    .conditions = conditions,
                    .experiments = experiments,
                    .observables = "observableId|observableFormula|noiseFormula\na|x0|0.1\nb|x1 + x2|0.2\n",
                    .measurements = measurements};
  return rig_v2(r, &t);
}

static double largest(const double *g, int n) {
  double size = 0;
  for (int q = 0; q < n; q++) size = fabs(g[q]) > size ? fabs(g[q]) : size;
  return size;
}

/* More directions than one run carries: the same as backwards and as differences. */
static void test_many_directions(void **state) {
  rig *r = *state;
  const char *path =
      net(r, NRATE, "observableId|experimentId|time|measurement\na||0.5|1\nb||1|2\na||3|1.2\n", NULL, NULL);
  dp_problem *forward = rig_open(r, path, DP_DERIVATIVE_FORWARD), *back = rig_open(r, path, DP_DERIVATIVE_ADJOINT);
  double f[NRATE], b[NRATE];
  rig_eval(forward, DP_PROBLEM_GRADIENT, (dp_problem_value){.gradient = f});
  rig_eval(back, DP_PROBLEM_GRADIENT, (dp_problem_value){.gradient = b});
  const double size = largest(f, NRATE);
  assert_int_equal(dp_problem_describe(forward)->ndirection, NRATE);
  assert_in_range(forward->part[0].width, 1, NRATE - 1);
  for (int q = 0; q < NRATE; q++) check_near("backwards", b[q] / size, f[q] / size, 1e-9);
  /* along one direction that moves all of them */
  const dp_problem_desc *d = dp_problem_describe(forward);
  double x[6][NRATE], slope[3], along = 0;
  dp_problem_value v[6] = {{0}};
  for (int i = 0; i < 6; i++)
    for (int q = 0; q < NRATE; q++)
      x[i][q] = d->nominal[q] + (i % 2 ? -1 : 1) * 0.02 / (1 << (i / 2)) * (q % 3 - 0.8) * 0.3;
  assert_int_equal(dp_problem_eval(forward, 6, x[0], DP_PROBLEM_VALUE, v), DP_OK);
  for (int i = 0; i < 3; i++) slope[i] = (v[2 * i].llh - v[2 * i + 1].llh) / (2 * 0.02 / (1 << i));
  for (int q = 0; q < NRATE; q++) along += f[q] * (q % 3 - 0.8) * 0.3;
  const double once = (4 * slope[1] - slope[0]) / 3, twice = (4 * slope[2] - slope[1]) / 3;
  check_near("differences", (16 * twice - once) / 15 / size, along / size, 1e-7);
  dp_problem_close(forward);
  dp_problem_close(back);
}

/* One measurement: information = gradient gradient' / residual^2, whatever runs the directions came from. */
static void test_information(void **state) {
  rig *r = *state;
  dp_problem *p = rig_open(r, net(r, NRATE, "observableId|experimentId|time|measurement\nb||2|1.1\n", NULL, NULL),
                           DP_DERIVATIVE_FORWARD);
  static double f[NRATE * NRATE];
  double g[NRATE], residual;
  rig_eval(p, DP_PROBLEM_GRADIENT | DP_PROBLEM_FISHER,
           (dp_problem_value){.gradient = g, .fisher = f, .residual = &residual});
  const double size = largest(f, NRATE * NRATE);
  assert_true(size > 0 && fabs(residual) > 0.1);
  for (int i = 0; i < NRATE; i++)
    for (int j = 0; j < NRATE; j++)
      check_near("information", f[i * NRATE + j] / size, g[i] * g[j] / (residual * residual) / size, 1e-12);
  dp_problem_close(p);
}

/* A point alone and the same point among others: the same bytes, in both ways and whoever chooses. */
static void test_company(void **state) {
  rig *r = *state;
  enum { NPOINT = 11, WHICH = 6 };
  const char *path = net(r, 9, "observableId|experimentId|time|measurement\na||0.5|1\nb||1|2\n", NULL, NULL);
  for (int way = DP_DERIVATIVE_AUTO; way <= DP_DERIVATIVE_ADJOINT; way++) {
    dp_problem *p = rig_open(r, path, (dp_problem_derivative)way);
    const dp_problem_desc *d = dp_problem_describe(p);
    double x[NPOINT][9], g[NPOINT][9], alone[9];
    dp_problem_value v[NPOINT] = {{0}}, one = {.gradient = alone};
    for (int i = 0; i < NPOINT; i++) {
      v[i].gradient = g[i];
      for (int q = 0; q < 9; q++) x[i][q] = d->nominal[q] * (1 + 0.02 * (i - WHICH));
    }
    assert_int_equal(dp_problem_eval(p, NPOINT, x[0], DP_PROBLEM_GRADIENT, v), DP_OK);
    assert_int_equal(dp_problem_eval(p, 1, x[WHICH], DP_PROBLEM_GRADIENT, &one), DP_OK);
    assert_true(v[WHICH].ok && one.ok && v[WHICH].llh == one.llh);
    assert_memory_equal(alone, g[WHICH], sizeof alone);
    dp_problem_close(p);
  }
}

/* Few directions of one simulation go forward, side by side; many simulations with many directions go backwards. */
static void test_choice(void **state) {
  rig *r = *state;
  double g[NRATE];
  dp_problem *p = rig_open(r, net(r, 5, "observableId|experimentId|time|measurement\na||0.5|1\n", NULL, NULL),
                           DP_DERIVATIVE_AUTO);
  rig_eval(p, DP_PROBLEM_GRADIENT, (dp_problem_value){.gradient = g});
  assert_false(p->part[0].back_pays);
  assert_int_equal(p->part[0].width, 1);
  dp_problem_close(p);
  p = rig_open(r,
               net(r, 20, "observableId|experimentId|time|measurement\na|e1|0.5|1\na|e2|1|1\na|e3|1|1\n",
                   "conditionId|targetId|targetValue\nc1|x0|1\nc2|x0|2\nc3|x0|3\n",
                   "experimentId|time|conditionId\ne1|0|c1\ne2|0|c2\ne3|0|c3\n"),
               DP_DERIVATIVE_AUTO);
  rig_eval(p, DP_PROBLEM_GRADIENT, (dp_problem_value){.gradient = g});
  assert_int_equal(dp_problem_describe(p)->nsimulation, 3);
  assert_true(p->part[0].back_pays && !p->part[0].no_back);
  dp_problem_close(p);
}

/* A stiff system exactly at rest: values say nothing of stiffness, directions do, and few steps must be enough. */
static void test_at_rest(void **state) {
  rig *r = *state;
  const tables t = {
      .model = "model m()\n  x = 1; y = 1; p = 1; k = 1; x' = 10000*(y - x*x); y' = p - k*y;\nend\n",
      .parameters = "parameterId|lowerBound|upperBound|nominalValue|estimate\np|0.1|10|1|true\nk|0.1|10|1|true\n",
      .observables = "observableId|observableFormula|noiseFormula\nx_|x|1\ny_|y|1\n",
      .measurements = "observableId|experimentId|time|measurement\nx_||1|2\ny_||3|2\nx_||100|3\n"};
  const char *path = rig_v2(r, &t);
  dp_problem *plain = rig_open(r, path, DP_DERIVATIVE_FORWARD);
  for (int way = DP_DERIVATIVE_FORWARD; way <= DP_DERIVATIVE_ADJOINT; way++) {
    dp_problem_def def = dp_problem_def_default();
    dp_problem *p = NULL;
    double g[2];
    def.derivative = (dp_problem_derivative)way;
    def.max_steps = 5000; /* held by stability it would take 600000 */
    if (dp_problem_open(r->ctx, path, &def, &p) != DP_OK) fail_msg("%s", dp_ctx_error(r->ctx));
    rig_eval(p, DP_PROBLEM_GRADIENT, (dp_problem_value){.gradient = g});
    for (int q = 0; q < 2; q++) check_near("gradient at rest", g[q], rig_difference(plain, q, 1e-2), 1e-6);
    dp_problem_close(p);
  }
  dp_problem_close(plain);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_many_directions, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_information, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_company, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_choice, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_at_rest, rig_setup, rig_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
