/* A model that jumps, tracked through doppel/tracking.h: births at a rate, deaths of each, counted with noise. Compared
 * with the exact answer of the filtering equations (survivors are binomial, arrivals Poisson; by another program), with
 * conjugate laws and Kalman's recursion by hand. Bounds on means over seeds are four standard errors: a false alarm in
 * 16000. */
#include "doppel/tracking.h"

#include "sim_bed.h"

enum { NOBS = 8 };
static const double TIME[NOBS] = {0.5, 1, 1.5, 2, 3, 4, 6, 8};
static const double Y[NOBS] = {19.1, 22.8, 17.2, 25.3, 30.1, 24.4, 21.0, 13.2};
/* exact: ln p(all), mean and sd at the end; with b ~ lognormal(8, 0.5) unknown: ln p, mean and sd of b */
static const double EVIDENCE = -24.26510096942969, FIRST = -2.1272960681217232, MEAN = 14.700181768522318,
                    SD = 1.7443547575534801;
static const double EVIDENCE_B = -25.298907246628886, MEAN_B = 8.11729756387791, SD_B = 1.4303352618741352;

typedef struct world {
  dp_ctx *ctx;
  dp_model *model;
  dp_sim *sim;
  dp_sensor sensor;
  dp_tracking_def def;
} world;

static const char *const births =
    "model births()\n compartment c = 1; species x in c = 20;\n b = 8; d = 0.4;\n up: -> x; b;\n down: x -> ; "
    "d*x;\nend\n";
static const char *const still = "model still()\n a = 1;\n x = 4;\n x' = 0*x;\n y := x + a - 1;\nend\n";

static void world_open(world *w, bool jumps, int nthread) {
  const char *path = jumps ? DOPPEL_BINARY_DIR "/tracking_births.ant" : DOPPEL_BINARY_DIR "/tracking_still.ant";
  dp_ctx_def ctx = dp_ctx_def_default();
  dp_sim_def def = dp_sim_def_default();
  const dp_output_def out = {.id = jumps ? "x" : "y", .unit = "1"};
  memset(w, 0, sizeof *w);
  ctx.nthread = nthread;
  assert_int_equal(dp_ctx_create(&ctx, &w->ctx), DP_OK);
  sim_bed_write(path, jumps ? births : still);
  OK(w, dp_model_read(w->ctx, path, &w->model));
  OK(w, dp_model_seal(w->model));
  def.model = w->model;
  if (jumps) def.spoke = "stochastic", def.method = "direct";
  def.output = &out;
  def.noutput = 1;
  OK(w, dp_sim_create(w->ctx, &def, &w->sim));
  w->sensor = (dp_sensor){.id = "count", .observable = out.id, .law = DP_SENSOR_NORMAL, .scale = jumps ? 2 : 0.3};
  w->def = dp_tracking_def_default();
  w->def.sensor = &w->sensor;
  w->def.nsensor = 1;
  w->def.time = TIME;
  w->def.ntime = NOBS;
  w->def.nmember = 200;
}

static void world_close(world *w) {
  dp_sim_destroy(w->sim);
  dp_model_destroy(w->model);
  assert_int_equal(dpi_alloc_live(w->ctx), 0);
  dp_ctx_destroy(w->ctx);
}

/* Readings k of the list in this order. */
static void read_all(world *w, dp_tracking *t, const int *order, double scale) {
  for (int k = 0; k < NOBS; k++) {
    const int i = order ? order[k] : k;
    const dp_observation o = {.time = TIME[i], .value = scale * Y[i]};
    OK(w, dp_tracking_read(t, &o, 1));
  }
}

/* Mean over n numbers against a value, in standard errors of the mean. */
static void within(const char *what, const double *x, int n, double exact) {
  double mean = 0, square = 0;
  for (int i = 0; i < n; i++) mean += x[i] / n;
  for (int i = 0; i < n; i++) square += (x[i] - mean) * (x[i] - mean);
  const double error = sqrt(square / (n - 1) / n);
  if (!(fabs(mean - exact) <= 4 * error)) fail_msg("%s: %g, exactly %g, standard error %g", what, mean, exact, error);
}

enum { NSEED = 24 };

static void test_states(void **state) {
  (void)state;
  static const char *const method[] = {"bootstrap", "auxiliary"};
  for (int m = 0; m < 2; m++) {
    world W, *w = &W;
    double ratio[NSEED], first[NSEED], mean[NSEED], sd = 0;
    world_open(w, true, 2);
    w->def.method = method[m];
    for (int s = 0; s < NSEED; s++) {
      dp_tracking *t;
      dp_outlook f;
      dp_believed x;
      dp_assimilation_report r;
      w->def.seed = (uint64_t)s + 1;
      OK(w, dp_tracking_create(w->ctx, w->sim, &w->def, &t));
      OK(w, dp_tracking_forecast(t, &(dp_observation){.time = TIME[0], .value = Y[0]}, &f));
      first[s] = exp(f.log_density - FIRST);
      read_all(w, t, NULL, 1);
      dp_tracking_judge(t, &r);
      assert_int_equal(r.nread, NOBS);
      ratio[s] = exp(r.evidence - EVIDENCE);
      OK(w, dp_tracking_states(t, &x));
      mean[s] = x.mean;
      sd += x.sd / NSEED;
      assert_true(x.q05 < x.q50 && x.q50 < x.q95);
      dp_tracking_destroy(t);
    }
    within("density of the first reading", first, NSEED, 1);
    within("probability of all readings", ratio, NSEED, 1);
    within("state at the end", mean, NSEED, MEAN);
    if (fabs(sd / SD - 1) > 0.08) fail_msg("sd %g, exactly %g", sd, SD); /* some 60 effective particles, 24 seeds */
    world_close(w);
  }
}

static void test_parameters(void **state) {
  (void)state;
  enum { NS = 8 };
  world W, *w = &W;
  const dp_unknown b = {"b", DP_VARY_LOGNORMAL, 8, 0.5};
  double ratio[NS], mean[NS], sd = 0;
  world_open(w, true, 2);
  w->def.unknown = &b;
  w->def.nunknown = 1;
  w->def.nmember = 80;
  w->def.ninner = 50;
  for (int s = 0; s < NS; s++) {
    dp_tracking *t;
    dp_believed p, x;
    dp_assimilation_report r;
    w->def.seed = (uint64_t)s + 1;
    OK(w, dp_tracking_create(w->ctx, w->sim, &w->def, &t));
    read_all(w, t, NULL, 1);
    dp_tracking_judge(t, &r);
    assert_string_equal(r.method, "smc2");
    OK(w, dp_tracking_unknowns(t, &p));
    OK(w, dp_tracking_states(t, &x));
    ratio[s] = exp(r.evidence - EVIDENCE_B);
    mean[s] = p.mean;
    sd += p.sd / NS;
    assert_true(x.mean > 11 && x.mean < 18);
    dp_tracking_destroy(t);
  }
  within("probability of all readings", ratio, NS, 1);
  within("rate of births", mean, NS, MEAN_B);
  if (fabs(sd / SD_B - 1) > 0.15) fail_msg("sd %g, exactly %g", sd, SD_B);
  world_close(w);
}

static void run(int nthread, const int *order, const char *method, dp_believed *x, double *evidence) {
  world W, *w = &W;
  dp_tracking *t;
  dp_assimilation_report r;
  world_open(w, true, nthread);
  w->def.method = method;
  OK(w, dp_tracking_create(w->ctx, w->sim, &w->def, &t));
  read_all(w, t, order, 1);
  OK(w, dp_tracking_states(t, x));
  dp_tracking_judge(t, &r);
  assert_int_equal(r.nlate, order ? 2 : 0);
  *evidence = r.evidence;
  dp_tracking_destroy(t);
  world_close(w);
}

static void test_same(void **state) {
  (void)state;
  static const char *const method[] = {"bootstrap", "auxiliary", "enkf", "esrf"};
  static const int late[NOBS] = {0, 1, 3, 4, 2, 6, 5, 7};
  for (int m = 0; m < 4; m++) {
    dp_believed a, b;
    double ea, eb;
    run(1, NULL, method[m], &a, &ea);
    run(3, NULL, method[m], &b, &eb);
    assert_memory_equal(&a, &b, sizeof a);
    assert_true(ea == eb);
    run(2, late, method[m], &b, &eb);
    assert_memory_equal(&a, &b, sizeof a);
    assert_true(ea == eb);
  }
}

/* The ensemble's own mean and covariance are updated exactly: 200 members know the law to 1 in 14 of its deviation. */
static void smoother(world *w, double mean, double sd) {
  dp_tracking *t;
  dp_believed b, x;
  dp_outlook f;
  dp_assimilation_report r;
  w->def.method = "smoother";
  OK(w, dp_tracking_create(w->ctx, w->sim, &w->def, &t));
  OK(w, dp_tracking_unknowns(t, &b));
  if (fabs(b.mean - 1) > 4 * 0.5 / sqrt(200)) fail_msg("before readings: %g", b.mean);
  read_all(w, t, NULL, 0.2);
  OK(w, dp_tracking_unknowns(t, &b));
  OK(w, dp_tracking_states(t, &x));
  OK(w, dp_tracking_forecast(t, &(dp_observation){.time = TIME[3], .value = NAN}, &f));
  dp_tracking_judge(t, &r);
  assert_true(r.usable && isnan(r.evidence) && fabs(x.mean - 4) < 1e-9);
  if (fabs(b.mean - mean) > 4 * sd / sqrt(200) + 0.02 * sd || fabs(b.sd / sd - 1) > 0.25)
    fail_msg("smoother: %g (%g), exactly %g (%g)", b.mean, b.sd, mean, sd);
  if (fabs(f.q[3] - (3 + b.q50)) > 0.1) fail_msg("forecast %g, parameter %g", f.q[3], b.q50);
  dp_tracking_destroy(t);
}

/* A state that only noise moves, its start not known: Kalman's recursion. A parameter beside it that is not known and
 * nothing random: the conjugate law. */
static void test_linear(void **state) {
  (void)state;
  enum { NS = 20 };
  world W, *w = &W;
  double at_end[NS], a_mean[NS], m = 4, v = 0.64, ma = 1, va = 0.25, last = 0;
  world_open(w, false, 2);
  for (int k = 0; k < NOBS; k++) {
    const double y = 0.2 * Y[k], r = 0.09;
    v += 0.04 * (TIME[k] - last);
    last = TIME[k];
    m += v / (v + r) * (y - m);
    v *= r / (v + r);
    ma += va / (va + r) * (y - 3 - ma);
    va *= r / (va + r);
  }
  for (int s = 0; s < NS; s++) {
    const dp_unknown begin = {"x", DP_VARY_NORMAL, 4, 0.8}, a = {"a", DP_VARY_NORMAL, 1, 0.5};
    const dp_state_noise noise = {"x", 0.2};
    dp_tracking *t;
    dp_believed b;
    w->def.seed = (uint64_t)s + 1;
    w->def.method = "esrf";
    w->def.begin = &begin, w->def.nbegin = 1;
    w->def.noise = &noise, w->def.nnoise = 1;
    OK(w, dp_tracking_create(w->ctx, w->sim, &w->def, &t));
    read_all(w, t, NULL, 0.2);
    OK(w, dp_tracking_states(t, &b));
    at_end[s] = b.mean;
    if (fabs(b.sd / sqrt(v) - 1) > 0.25) fail_msg("sd %g, exactly %g", b.sd, sqrt(v));
    dp_tracking_destroy(t);
    w->def.nbegin = w->def.nnoise = 0;
    w->def.method = "ibis";
    w->def.unknown = &a, w->def.nunknown = 1;
    OK(w, dp_tracking_create(w->ctx, w->sim, &w->def, &t));
    read_all(w, t, NULL, 0.2);
    OK(w, dp_tracking_unknowns(t, &b));
    a_mean[s] = b.mean;
    OK(w, dp_tracking_states(t, &b));
    assert_true(fabs(b.mean - 4) < 1e-9);
    dp_tracking_destroy(t);
    smoother(w, ma, sqrt(va));
    w->def.nunknown = 0;
  }
  within("a state with noise", at_end, NS, m);
  within("a parameter", a_mean, NS, ma);
  world_close(w);
}

static void refused(world *w, dp_status status, const char *word) {
  dp_tracking *t = NULL;
  const dp_status got = dp_tracking_create(w->ctx, w->sim, &w->def, &t);
  if (got != status || t || !strstr(dp_ctx_error(w->ctx), word))
    fail_msg("expected %d and '%s', found %d: %s", status, word, got, dp_ctx_error(w->ctx));
  dp_ctx_clear_error(w->ctx);
}

static void test_refused(void **state) {
  (void)state;
  world W, *w = &W;
  const dp_unknown nobody = {"zz", DP_VARY_NORMAL, 1, 1}, narrow = {"b", DP_VARY_NORMAL, 1, 0},
                   b = {"b", DP_VARY_NORMAL, 8, 1}, negative = {"b", DP_VARY_LOGNORMAL, -1, 1};
  const dp_state_noise none = {"zz", 1}, zero = {"x", 0};
  const double bad = NAN;
  world_open(w, true, 1);
  const dp_tracking_def good = w->def;
  const dp_sensor sensor = w->sensor;
  w->def.method = "magic", refused(w, DP_ERR_USAGE, "'magic'"), w->def = good;
  w->def.method = "smc2", refused(w, DP_ERR_USAGE, "none is unknown"), w->def = good;
  w->def.unknown = &b, w->def.nunknown = 1, w->def.method = "enkf", refused(w, DP_ERR_USAGE, "ibis and smc2"),
  w->def = good;
  w->def.unknown = &b, w->def.nunknown = 1, w->def.method = "ibis", refused(w, DP_ERR_UNSUPPORTED, "smc2"),
  w->def = good;
  w->def.unknown = &nobody, w->def.nunknown = 1, refused(w, DP_ERR_INPUT, "parameter 'zz'"), w->def = good;
  w->def.unknown = &narrow, w->def.nunknown = 1, refused(w, DP_ERR_INPUT, "b > 0"), w->def = good;
  w->def.unknown = &negative, w->def.nunknown = 1, refused(w, DP_ERR_INPUT, "a > 0"), w->def = good;
  w->def.begin = &nobody, w->def.nbegin = 1, refused(w, DP_ERR_INPUT, "state 'zz'"), w->def = good;
  w->def.noise = &none, w->def.nnoise = 1, refused(w, DP_ERR_INPUT, "state 'zz'"), w->def = good;
  w->def.noise = &zero, w->def.nnoise = 1, refused(w, DP_ERR_INPUT, "more than 0"), w->def = good;
  w->def.time = &bad, w->def.ntime = 1, refused(w, DP_ERR_INPUT, "time nan"), w->def = good;
  w->def.nsensor = 0, refused(w, DP_ERR_INPUT, "0 sensors"), w->def = good;
  w->def.nmember = 2, refused(w, DP_ERR_USAGE, "2 members"), w->def = good;
  w->sensor.observable = "q", refused(w, DP_ERR_INPUT, "no output 'q'"), w->sensor = sensor;
  w->sensor.scale = 0, refused(w, DP_ERR_INPUT, "scale of noise 0"), w->sensor = sensor;
  w->sensor.law = DP_SENSOR_AS_KIND, refused(w, DP_ERR_INPUT, "a law"), w->sensor = sensor;
  dp_tracking *t;
  dp_outlook f;
  OK(w, dp_tracking_create(w->ctx, w->sim, &w->def, &t));
  assert_int_equal(dp_tracking_read(t, &(dp_observation){.time = 0.7, .value = 20}, 1), DP_ERR_INPUT);
  assert_int_equal(dp_tracking_read(t, &(dp_observation){.time = 0.5, .value = 20, .sensor = 3}, 1), DP_ERR_INPUT);
  OK(w, dp_tracking_read(t, &(dp_observation){.time = 2, .value = 20}, 1));
  assert_int_equal(dp_tracking_forecast(t, &(dp_observation){.time = 1, .value = 20}, &f), DP_ERR_USAGE);
  OK(w, dp_tracking_forecast(t, &(dp_observation){.time = 8, .value = NAN}, &f));
  assert_true(isnan(f.pit) && f.q[1] < f.q[5]);
  OK(w, dp_tracking_forecast(t, &(dp_observation){.time = 3, .value = 20, .censored = 1}, &f));
  assert_true(isnan(f.pit) && f.log_density < 0);
  dp_tracking_destroy(t);
  world_close(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_states), cmocka_unit_test(test_parameters),
                                     cmocka_unit_test(test_same), cmocka_unit_test(test_linear),
                                     cmocka_unit_test(test_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
