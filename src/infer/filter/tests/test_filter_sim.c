/* Behind the waist: a decay with doses (equations) and births and deaths (stochastic). Compared: late with in-order
 * readings
 * and threads, byte by byte; the decay's square root filter with the exact answer; the births' filter with the law
 * of the
 * population's mean. */
#include "sim_bed.h"

typedef struct world {
  SIM_BED;
  dpi_sensor sensor[2];
  dpi_problem problem;
} world;

static void world_open(world *w, bool stochastic, int nthread) {
  const char *path = stochastic ? DOPPEL_BINARY_DIR "/filter_births.ant" : DOPPEL_BINARY_DIR "/filter_decay.ant";
  const char *text = stochastic ? "model births()\n compartment c = 1; species x in c = 20;\n b = 8; d = 0.4;\n"
                                  " up: -> x; b;\n down: x -> ; d*x;\n y := x;\nend\n"
                                : "model decay()\n k = 0.5;\n x = 4;\n x' = -k*x;\n y := 2*x;\nend\n";
  memset(w, 0, sizeof *w);
  sim_bed_context(&w->bed, nthread);
  sim_bed_write(path, text);
  dp_sim_def def = dp_sim_def_default();
  def.spoke = stochastic ? "stochastic" : "equations";
  dp_time time[12];
  for (int k = 0; k < 12; k++) time[k] = T(0.5 * (k + 1));
  sim_bed_process(&w->bed, path, def, "y", time, 12);
  w->sensor[0] = (dpi_sensor){.id = "y", .scale = stochastic ? 2 : 0.3};
  w->sensor[1] = (dpi_sensor){.id = "x", .of_state = true, .scale = stochastic ? 3 : 0.2};
  w->problem = (dpi_problem){.process = w->process, .sensor = w->sensor, .nsensor = 2};
}

static void world_close(world *w) { sim_bed_close(&w->bed); }

static dp_status begin(void *user, const double *param, dpi_rng *rng, double *state0) {
  (void)user;
  (void)param;
  state0[0] = 4 + 0.8 * dpi_rng_normal(rng);
  return DP_OK;
}

/* Outputs at plan times, the state at others. */
static int readings(dpi_reading *r, double scale) {
  int n = 0;
  for (int k = 0; k < 12; k++) {
    r[n++] = (dpi_reading){.time = T(0.5 * (k + 1)), .y = scale * (2 + sin(k))};
    if (k % 4 == 1)
      r[n++] = (dpi_reading){.time = T(0.5 * (k + 1) + 0.2), .sensor = 1, .y = scale * (1.1 + 0.4 * sin(k))};
  }
  return n;
}

#define N 64

typedef struct ending {
  double z[N], w[N], evidence;
} ending;

static void run(bool stochastic, dpi_filter_method method, int nthread, int late, ending *e) {
  world W, *w = &W;
  double noise[1] = {0.2};
  dpi_reading r[20];
  world_open(w, stochastic, nthread);
  if (!stochastic) {
    w->problem.begin = begin;
    w->problem.noise = noise;
    w->problem.noise_step = T(0.25);
  }
  int n = readings(r, stochastic ? 10 : 2);
  dpi_filter_def def = dpi_filter_def_default();
  def.method = method;
  def.n = N;
  def.seed = 12;
  def.ncheckpoint = 4;
  dpi_filter *f;
  OK(w, dpi_filter_create(&w->problem, &def, &f));
  for (int k = 0; k < n; k++)
    if (!late || (k != 3 && k != n - 3)) OK(w, dpi_filter_read(f, &r[k], 1));
  if (late) OK(w, dpi_filter_read(f, &r[n - 3], 1));
  if (late) OK(w, dpi_filter_read(f, &r[3], 1));
  dpi_filter_report report;
  dpi_filter_judge(f, &report);
  memset(e, 0, sizeof *e);
  OK(w, dpi_filter_members(f, e->z, e->w));
  e->evidence = report.evidence;
  assert_int_equal(report.nlate, late ? 2 : 0);
  assert_true(isfinite(report.evidence));
  dpi_filter_destroy(f);
  world_close(w);
}

static void test_orders(void **state) {
  (void)state;
  static const dpi_filter_method method[] = {DPI_FILTER_ENKF, DPI_FILTER_ESRF, DPI_FILTER_BOOTSTRAP,
                                             DPI_FILTER_AUXILIARY};
  for (int stochastic = 0; stochastic < 2; stochastic++)
    for (int m = stochastic ? 2 : 0; m < 4; m++) {
      ending in_order, late, threads;
      run(stochastic, method[m], 1, 0, &in_order);
      run(stochastic, method[m], 1, 1, &late);
      run(stochastic, method[m], 3, 0, &threads);
      assert_memory_equal(&in_order, &late, sizeof late);
      assert_memory_equal(&in_order, &threads, sizeof threads);
    }
}

/* The decay is linear: with many members the square root filter is the exact one's. */
static void test_decay(void **state) {
  (void)state;
  world W, *w = &W;
  dpi_reading r[20];
  double a[1] = {-0.5}, zero[1] = {0}, c[1] = {2}, m0[1] = {4}, p0[1] = {0.64}, mean[1], cov[1];
  world_open(w, false, 1);
  w->problem.begin = begin;
  int n = readings(r, 2);
  dpi_filter_def def = dpi_filter_def_default();
  def.n = 4000;
  dpi_filter *f;
  OK(w, dpi_filter_create(&w->problem, &def, &f));
  OK(w, dpi_filter_read(f, r, n));
  OK(w, dpi_filter_moments(f, mean, cov));
  dpi_linear_def linear = {
      .system = {.nstate = 1, .noutput = 1, .a = a, .b = zero, .q = zero, .c = c, .m0 = m0, .p0 = p0}};
  dpi_kalman *k;
  OK(w, dpi_kalman_run(w->ctx, &linear, &w->problem, NULL, r, n, &k));
  double sd = sqrt(k->cov[k->ntime - 1]);
  near("mean", mean[0], k->mean[k->ntime - 1], 0.1 * sd);
  near("sd", sqrt(cov[0]) / sd, 1, 0.1);
  dpi_kalman_destroy(k);
  dpi_filter_destroy(f);
  world_close(w);
}

/* Births and deaths without readings keep their mean: 20 (b/d) and variance below 20: 4 standard errors of 2000
 * members.
 * An output at a time that the plan has not is refused with its remedy. */
static void test_births(void **state) {
  (void)state;
  world W, *w = &W;
  double mean[1], cov[1];
  world_open(w, true, 2);
  dpi_filter_def def = dpi_filter_def_default();
  def.method = DPI_FILTER_BOOTSTRAP;
  def.n = 2000;
  dpi_filter *f;
  OK(w, dpi_filter_create(&w->problem, &def, &f));
  OK(w, dpi_filter_advance(f, T(3)));
  OK(w, dpi_filter_moments(f, mean, cov));
  double var = 20 * (1 - exp(-2 * 0.4 * 3));
  near("mean", mean[0], 20, 4 * sqrt(var / 2000));
  near("variance", cov[0], var, 4 * var * sqrt(2.2 / 2000));
  dpi_reading r = {.time = T(0.77), .y = 20};
  assert_int_equal(dpi_filter_read(f, &r, 1), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(w->ctx), "give the plan this time"));
  dpi_filter_destroy(f);
  world_close(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_orders), cmocka_unit_test(test_decay),
                                     cmocka_unit_test(test_births)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
