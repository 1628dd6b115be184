/* Laws: a logistic map, a scalar Kalman filter as a map, a sampled PI controller, each against its closed form or its
 * own recursion; their derivatives against those of the recursion; order at equal times; company, saving, refusals. */
#include "eq_bed.h"

static dp_model *text_model(const char *text) {
  dp_model *m = NULL;
  BED_OK(dpi_antimony_read(bed_ctx, text, strlen(text), "law", &m));
  BED_OK(dp_model_seal(m));
  return m;
}

static dp_sim *law_sim(dp_model *m, const char *method, const dp_output_def *out, int nout, const dp_law_def *law,
                       int nlaw, const char *const *active, int nactive) {
  dp_sim_def def = dp_sim_def_default();
  dp_sim *sim = NULL;
  def.model = m;
  def.method = method;
  def.rtol = 1e-11;
  def.atol = 1e-13;
  def.output = out;
  def.noutput = nout;
  def.law = law;
  def.nlaw = nlaw;
  def.active = active;
  def.nactive = nactive;
  BED_OK(dp_sim_create(bed_ctx, &def, &sim));
  return sim;
}

/* Law 0 every interval from `first`, n times in all. */
static void every(bed_run *r, double first, double interval, int n) {
  r->in[r->nin] = bed_at(first, DP_APPLY, 0, 0);
  r->in[r->nin].interval = bed_ticks(interval);
  r->in[r->nin].repeats = n - 1;
  r->nin++;
}

static void close_to(double got, double want, double rel, const char *what, int at) {
  bed_near(got, want, rel, 1e-12, what, at);
}

/* ---- a map: x := r x (1 - x) at each whole time ---- */

static const char map_text[] = "model map\n  x' = 0; n' = 0;\n  x = 0.3; n = 0; r = 3.2;\nend\n";
static const char *const map_target[] = {"x", "n"}, *const map_formula[] = {"r*x*(1 - x)", "n + 1"};
static const dp_law_def map_law = {"grow", 2, map_target, map_formula, 0, NULL};
static const dp_output_def map_out[] = {{"x", NULL, ""}, {"n", NULL, ""}, {"twice", "2*x", ""}};
static const char *const map_active[] = {"r"};

static void test_logistic_map(void **state) {
  (void)state;
  static const char *const methods[] = {"auto", "rk853", "ensemble", "tsit"};
  dp_model *m = text_model(map_text);
  for (int k = 0; k < DPI_COUNT(methods); k++) {
    dp_sim *sim = law_sim(m, methods[k], map_out, 3, &map_law, 1, map_active, 1);
    assert_int_equal(dp_sim_law(sim, "grow"), 0);
    assert_int_equal(dp_sim_law(sim, "shrink"), -1);
    static bed_run r;
    bed_defaults(sim, &r);
    every(&r, 1, 1, 50);
    for (int i = 1; i <= 50; i++) bed_out(&r, i, i % 2 ? 1 : -1); /* after the law and before it */
    bed_go(sim, &r);
    assert_int_equal(r.status, DP_MEMBER_OK);
    double x = 0.3;
    for (int i = 1; i <= 50; i++) {
      const double before = x;
      x = 3.2 * x * (1 - x);
      close_to(r.value[3 * (i - 1)], i % 2 ? x : before, k % 2 ? 1e-9 : 1e-13, methods[k], i);
      close_to(r.value[3 * (i - 1) + 1], i % 2 ? i : i - 1, 1e-13, "count", i);
    }
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

/* d x_k / d r = x (1 - x) + r (1 - 2 x) d x/d r */
static void test_map_derivative(void **state) {
  (void)state;
  dp_model *m = text_model(map_text);
  dp_sim *sim = law_sim(m, "auto", map_out, 3, &map_law, 1, map_active, 1);
  static bed_run r;
  bed_defaults(sim, &r);
  r.ndir = 1;
  r.seed[0] = 1;
  every(&r, 1, 1, 12);
  for (int i = 1; i <= 12; i++) bed_out(&r, i + 0.5, 0);
  bed_go(sim, &r);
  double x = 0.3, d = 0;
  for (int i = 1; i <= 12; i++) {
    d = x * (1 - x) + 3.2 * (1 - 2 * x) * d;
    x = 3.2 * x * (1 - x);
    close_to(r.dvalue[3 * (i - 1)], d, 1e-11, "derivative", i);
  }
  dp_sim_destroy(sim);
  dp_model_destroy(m);
}

/* ---- a Kalman filter of a random walk seen with noise: mean and variance, all observations y ---- */

static const char kalman_text[] =
    "model kalman\n  mean' = 0; var' = 0;\n  mean = 0; var = 1; a = 0.9; q = 0.1; s = 0.5; y = 2;\nend\n";

/* Both formulas see what was before, so the second must not see the first's result. */
static void test_kalman(void **state) {
  (void)state;
  static const char *const target[] = {"var", "mean"};
  static const char *const formula[] = {"(a^2*var + q)*s/(a^2*var + q + s)",
                                        "a*mean + (a^2*var + q)/(a^2*var + q + s)*(y - a*mean)"};
  static const dp_law_def law = {"see", 2, target, formula, 0, NULL};
  static const dp_output_def out[] = {{"mean", NULL, ""}, {"var", NULL, ""}, {"sum", "mean + var", ""}};
  static const char *const active[] = {"q", "s"};
  dp_model *m = text_model(kalman_text);
  dp_sim *sim = law_sim(m, "auto", out, 3, &law, 1, active, 2);
  static bed_run r;
  bed_defaults(sim, &r);
  r.ndir = 2;
  r.seed[0] = r.seed[3] = 1;
  every(&r, 0.5, 0.25, 40);
  for (int i = 0; i < 40; i++) bed_out(&r, 0.5 + 0.25 * i, 1);
  bed_go(sim, &r);
  double mean[3], var[3]; /* at q, s and with each of them a little larger, for the derivative */
  const double h = 1e-6;
  for (int v = 0; v < 3; v++) mean[v] = 0, var[v] = 1;
  for (int i = 0; i < 40; i++) {
    for (int v = 0; v < 3; v++) {
      const double q = 0.1 + (v == 1) * h, s = 0.5 + (v == 2) * h, p = 0.81 * var[v] + q, gain = p / (p + s);
      mean[v] = 0.9 * mean[v] + gain * (2 - 0.9 * mean[v]);
      var[v] = p * s / (p + s);
    }
    close_to(r.value[3 * i], mean[0], 1e-12, "mean", i);
    close_to(r.value[3 * i + 1], var[0], 1e-12, "variance", i);
    for (int v = 1; v < 3; v++) {
      bed_near(r.dvalue[3 * 2 * i + v - 1], (mean[v] - mean[0]) / h, 1e-4, 1e-6, "d mean", i);
      bed_near(r.dvalue[3 * 2 * i + 2 + v - 1], (var[v] - var[0]) / h, 1e-4, 1e-6, "d variance", i);
    }
  }
  /* the filter's fixed point: p = a^2 p s/(p + s) + q */
  const double b = 0.5 * (1 - 0.81) - 0.1, p = (-b + sqrt(b * b + 4 * 0.1 * 0.5)) / 2;
  close_to(r.value[3 * 39 + 1], p * 0.5 / (p + 0.5), 1e-12, "steady variance", 39);
  dp_sim_destroy(sim);
  dp_model_destroy(m);
}

/* ---- a sampled PI controller: x' = -k x + u, u held from sample to sample ---- */

static const char pi_text[] =
    "model pi\n  x' = -k*x + u; area' = 0;\n  x = 0; area = 0; k = 0.7; u = 0; goal = 3; kp = 0.8; ki = 0.5;\nend\n";
static const char *const pi_target[] = {"u", "area"}, *const pi_formula[] = {"kp*(goal - x) + ki*area",
                                                                             "area + 0.25*(goal - x)"};
static const dp_law_def pi_law = {"pi", 2, pi_target, pi_formula, 0, NULL};
static const dp_output_def pi_out[] = {{"x", NULL, ""}, {"u", NULL, ""}, {"area", NULL, ""}};
static const char *const pi_active[] = {"k", "kp", "ki"};

typedef struct loop {
  double x, u, area;
} loop;

static loop pi_step(loop l, double k, double kp, double ki) {
  const double u = kp * (3 - l.x) + ki * l.area, e = exp(-k * 0.25);
  return (loop){l.x * e + u / k * (1 - e), u, l.area + 0.25 * (3 - l.x)};
}

static void test_controller(void **state) {
  (void)state;
  static const char *const methods[] = {"auto", "rk853", "cvode", "ensemble", "tsit", "rodas"};
  static const double tol[] = {1e-12, 1e-9, 1e-7, 1e-12, 1e-8, 1e-8};
  dp_model *m = text_model(pi_text);
  for (int k = 0; k < DPI_COUNT(methods); k++) {
    dp_sim *sim = law_sim(m, methods[k], pi_out, 3, &pi_law, 1, pi_active, 3);
    static bed_run r;
    bed_defaults(sim, &r);
    r.ndir = k < 3 ? 3 : 0;
    for (int a = 0; a < r.ndir; a++) r.seed[a * 3 + a] = 1;
    every(&r, 0, 0.25, 100);
    for (int i = 1; i <= 60; i++) bed_out(&r, 0.25 * i, -1); /* before the next sample */
    bed_go(sim, &r);
    if (r.status != DP_MEMBER_OK) fail_msg("%s: %s", methods[k], r.reason);
    loop now[4] = {{0}};
    const double h = 1e-6;
    for (int i = 0; i < 60; i++) {
      for (int v = 0; v < 4; v++) now[v] = pi_step(now[v], 0.7 + (v == 1) * h, 0.8 + (v == 2) * h, 0.5 + (v == 3) * h);
      bed_near(r.value[3 * i], now[0].x, tol[k], 0, methods[k], i);
      bed_near(r.value[3 * i + 1], now[0].u, 10 * tol[k], 0, "input", i);
      for (int v = 1; v <= r.ndir; v++)
        bed_near(r.dvalue[9 * i + v - 1], (now[v].x - now[0].x) / h, 2e-4, 1e-5, methods[k], i);
    }
    bed_near(r.value[3 * 59], 3, 0.05, 0, "the goal", 59);
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

/* ---- company, going on, refusals ---- */

static dp_status take(void *user, const dp_member_result *b, int n) {
  for (int i = 0; i < n; i++)
    for (int k = 0; k < b[i].nout; k++) ((double *)user)[b[i].out_first + k] = b[i].value[3 * k];
  return DP_OK;
}

static void test_going_on(void **state) {
  (void)state;
  static const char *const methods[] = {"auto", "rodas"};
  dp_model *m = text_model(pi_text);
  for (int k = 0; k < DPI_COUNT(methods); k++) {
    dp_sim *sim = law_sim(m, methods[k], pi_out, 3, &pi_law, 1, NULL, 0);
    static bed_run r;
    bed_defaults(sim, &r);
    every(&r, 0, 0.25, 100);
    for (int i = 1; i <= 40; i++) bed_out(&r, 0.25 * i + 0.1, 0);
    const dp_member one = bed_member(&r);
    dp_run_opts opts = dp_run_opts_default();
    dp_run *run = NULL, *load = NULL;
    void *bytes;
    size_t size;
    double own[40] = {0}, loaded[40] = {0};
    BED_OK(dp_run_open(sim, &one, 1, &opts, &run));
    BED_OK(dp_run_advance(run, bed_ticks(3.3)));
    BED_OK(dp_run_save(run, &bytes, &size));
    BED_OK(dp_run_load(sim, &one, 1, &opts, bytes, size, &load));
    BED_OK(dp_run_advance(run, bed_ticks(11)));
    BED_OK(dp_run_advance(load, bed_ticks(11)));
    BED_OK(dp_run_emit(run, take, own));
    BED_OK(dp_run_emit(load, take, loaded));
    assert_memory_equal(own, loaded, sizeof own);
    assert_true(own[39] != 0);
    dp_run_close(run);
    dp_run_close(load);
    dp_run_bytes_free(sim, bytes);
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

static void refused(dp_model *m, const char *spoke, const char *target, const char *formula, dp_status status,
                    const char *word) {
  const char *const t[] = {target, "u"}, *const f[] = {formula, "1"};
  const dp_law_def law = {"rule", 2, t, f, 0, NULL};
  dp_sim_def def = dp_sim_def_default();
  dp_sim *sim = NULL;
  def.spoke = spoke;
  def.model = m;
  if (strcmp(spoke, "stochastic") == 0) def.method = "direct";
  def.law = &law;
  def.nlaw = 1;
  assert_int_equal(dp_sim_create(bed_ctx, &def, &sim), status);
  if (!strstr(dp_ctx_error(bed_ctx), word)) fail_msg("'%s' does not say '%s'", dp_ctx_error(bed_ctx), word);
  dp_ctx_clear_error(bed_ctx);
}

static void test_refused(void **state) {
  (void)state;
  dp_model *m = text_model("model r\n  x' = -k*x + u; x = 1; k = 1; u = 0; y := 2*x;\nend\n");
  refused(m, "equations", "z", "1", DP_ERR_INPUT, "no such symbol");
  refused(m, "equations", "y", "1", DP_ERR_INPUT, "formula");
  refused(m, "equations", "u", "1", DP_ERR_INPUT, "twice");
  refused(m, "equations", "x", "1 +", DP_ERR_INPUT, "law 'rule', 'x'");
  refused(m, "equations", "x", NULL, DP_ERR_USAGE, "no formula");
  refused(m, "equations", NULL, "1", DP_ERR_INPUT, "no such symbol");
  dp_sim *sim = law_sim(m, "auto", pi_out, 2, NULL, 0, NULL, 0);
  static bed_run r;
  bed_defaults(sim, &r);
  every(&r, 0, 1, 3);
  dp_member one = bed_member(&r);
  dp_run_opts opts = dp_run_opts_default();
  dp_result *res = NULL;
  assert_int_equal(dp_simulate(sim, &one, 1, &opts, &res), DP_ERR_INPUT); /* there is no law 0 */
  assert_non_null(strstr(dp_ctx_error(bed_ctx), "apply"));
  dp_ctx_clear_error(bed_ctx);
  dp_sim_destroy(sim);
  dp_model_destroy(m);
}

/* A value that is none fails this member alone. */
static void test_fails(void **state) {
  (void)state;
  static const char *const target[] = {"x"}, *const formula[] = {"x/(2 - u)"};
  static const dp_law_def law = {"divide", 1, target, formula, 0, NULL};
  dp_model *m = text_model("model f\n  x' = -k*x; x = 1; k = 1; u = 0;\nend\n");
  dp_sim *sim = law_sim(m, "ensemble", pi_out, 2, &law, 1, NULL, 0);
  static bed_run r[2];
  dp_member list[2];
  dp_run_opts opts = dp_run_opts_default();
  dp_result *res = NULL;
  for (int i = 0; i < 2; i++) {
    bed_defaults(sim, &r[i]);
    bed_param_set(sim, &r[i], "u", 2 * i);
    every(&r[i], 1, 1, 3);
    bed_out(&r[i], 5, 0);
    list[i] = bed_member(&r[i]);
  }
  BED_OK(dp_simulate(sim, list, 2, &opts, &res));
  assert_int_equal(res->status[0], DP_MEMBER_OK);
  bed_near(res->value[0], exp(-5) / 8, 1e-9, 0, "x", 5);
  assert_int_equal(res->status[1], DP_MEMBER_FAILED);
  assert_true(res->fail_time[1] == 1);
  assert_non_null(strstr(res->reason[1], "divide"));
  dp_result_destroy(res);
  dp_sim_destroy(sim);
  dp_model_destroy(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_logistic_map), cmocka_unit_test(test_map_derivative), cmocka_unit_test(test_kalman),
      cmocka_unit_test(test_controller),   cmocka_unit_test(test_going_on),       cmocka_unit_test(test_refused),
      cmocka_unit_test(test_fails),
  };
  return cmocka_run_group_tests(tests, bed_setup, bed_teardown);
}
