/* test_sim_spokes.c - the test spokes and the waist's composition against closed forms: Kalman's mean and covariance,
 * moments of the linear birth-death process (Bailey 1964), decay of cosine modes, the logistic curve, derivatives by
 * hand.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "num/num.h"
#include "test_spokes.h"

#define T(x) ((dp_time)((x)*DP_TICKS))

static dp_ctx *ctx_new(int nthread) {
  dp_ctx_def def = dp_ctx_def_default();
  def.nthread = nthread;
  dp_ctx *ctx = NULL;
  assert_int_equal(dp_ctx_create(&def, &ctx), DP_OK);
  assert_int_equal(dp_test_spokes_register(ctx), DP_OK);
  return ctx;
}

static void must(dp_ctx *ctx, dp_status status) {
  if (status != DP_OK) fail_msg("%s: %s", dp_status_name(status), dp_ctx_error(ctx));
}

/* A sim with these outputs, one control on a state, no active parameter. */
static dp_sim *sim_new(dp_ctx *ctx, const char *spoke, const char *config,
                       const dp_output_def *output, int noutput, const char *target) {
  dp_control_def control = {.id = "dose", .target = target};
  dp_sim_def def = dp_sim_def_default();
  def.spoke = spoke;
  def.config = config;
  def.output = output;
  def.noutput = noutput;
  def.control = &control;
  def.ncontrol = target ? 1 : 0;
  dp_sim *sim = NULL;
  must(ctx, dp_sim_create(ctx, &def, &sim));
  return sim;
}

static void params(const dp_sim *sim, double *p) {
  const dp_sim_desc *d = dp_sim_describe(sim);
  memcpy(p, d->param_default, (size_t)d->nparam * sizeof *p);
}

static void set(const dp_sim *sim, double *p, const char *id, double value) {
  int k = dp_sim_param(sim, id);
  assert_true(k >= 0);
  p[k] = value;
}

static void moments(const double *x, int n, double *mean, double *var) {
  double s = 0, q = 0;
  for (int k = 0; k < n; k++) s += x[k];
  *mean = s / n;
  for (int k = 0; k < n; k++) q += (x[k] - *mean) * (x[k] - *mean);
  *var = q / (n - 1);
}

/* m' = A m, P' = A P A' + Q by hand; 4000 paths; 5 standard errors of mean and covariance. */
static void lingauss_moments(void **state) {
  (void)state;
  enum { N = 4000, STEPS = 6 };
  dp_ctx *ctx = ctx_new(2);
  const dp_output_def output[] = {{.id = "x1"}, {.id = "x2"}};
  dp_sim *sim = sim_new(ctx, "lingauss", NULL, output, 2, "x1");
  double p[16];
  params(sim, p);
  set(sim, p, "a21", 0.3);
  set(sim, p, "q1", 0.5);
  set(sim, p, "q2", 0.2);
  dp_output_time out = {.time = T(STEPS)};
  dp_member *m = calloc(N, sizeof *m);
  for (int i = 0; i < N; i++)
    m[i] = (dp_member){.param = p, .out = &out, .nout = 1, .stream = (uint64_t)i};
  dp_run_opts opts = dp_run_opts_default();
  opts.seed = 11;
  dp_result *r = NULL;
  must(ctx, dp_simulate(sim, m, N, &opts, &r));

  double a[2][2] = {{0.9, 0.1}, {0.3, 0.8}}, q[2] = {0.25, 0.04}, mean[2] = {1, 0}, c[2][2] = {{0}};
  for (int k = 0; k < STEPS; k++) {
    double f[2] = {a[0][0] * mean[0] + a[0][1] * mean[1], a[1][0] * mean[0] + a[1][1] * mean[1]};
    double t[2][2], g[2][2];
    for (int i = 0; i < 2; i++) {
      for (int j = 0; j < 2; j++) t[i][j] = a[i][0] * c[0][j] + a[i][1] * c[1][j];
    }
    for (int i = 0; i < 2; i++) {
      for (int j = 0; j < 2; j++)
        g[i][j] = t[i][0] * a[j][0] + t[i][1] * a[j][1] + (i == j ? q[i] : 0);
    }
    memcpy(mean, f, sizeof mean);
    memcpy(c, g, sizeof c);
  }
  double s[2] = {0}, cov = 0, var[2] = {0};
  for (int i = 0; i < N; i++) {
    for (int j = 0; j < 2; j++) s[j] += r->value[2 * i + j] / N;
  }
  for (int i = 0; i < N; i++) {
    double d0 = r->value[2 * i] - s[0], d1 = r->value[2 * i + 1] - s[1];
    var[0] += d0 * d0 / (N - 1);
    var[1] += d1 * d1 / (N - 1);
    cov += d0 * d1 / (N - 1);
  }
  for (int j = 0; j < 2; j++) {
    assert_true(fabs(s[j] - mean[j]) < 5 * sqrt(c[j][j] / N));
    assert_true(fabs(var[j] - c[j][j]) < 5 * c[j][j] * sqrt(2.0 / N));
  }
  assert_true(fabs(cov - c[0][1]) < 5 * sqrt((c[0][0] * c[1][1] + c[0][1] * c[0][1]) / N));
  dp_result_destroy(r);
  free(m);
  dp_sim_destroy(sim);
  dp_ctx_destroy(ctx);
}

/* Infusion of rate 2 into x1 over [1, 4): three steps begin inside it, B = 3. A = identity, so x1 = 1 + 3 * 2 * 3. */
static void lingauss_infusion(void **state) {
  (void)state;
  dp_ctx *ctx = ctx_new(1);
  const dp_output_def output[] = {{.id = "x1"}};
  dp_sim *sim = sim_new(ctx, "lingauss", NULL, output, 1, "x1");
  double p[16];
  params(sim, p);
  set(sim, p, "a11", 1);
  set(sim, p, "a12", 0);
  set(sim, p, "b1", 3);
  dp_instant dose = dp_instant_default();
  dose.type = DP_INFUSE;
  dose.time = T(1);
  dose.amount = 6;
  dose.rate = 2;
  dp_output_time out[] = {{.time = T(1)}, {.time = T(2)}, {.time = T(9)}};
  dp_member m = {.param = p, .instant = &dose, .ninstant = 1, .out = out, .nout = 3};
  dp_run_opts opts = dp_run_opts_default();
  dp_result *r = NULL;
  must(ctx, dp_simulate(sim, &m, 1, &opts, &r));
  assert_true(r->value[0] == 1 && r->value[1] == 7 && r->value[2] == 19);
  dp_result_destroy(r);
  dp_sim_destroy(sim);
  dp_ctx_destroy(ctx);
}

/* Mean n0 e^{(b-d)t}, variance n0 (b+d)/(b-d) e^{(b-d)t} (e^{(b-d)t} - 1); 3000 paths, 5 standard errors. */
static void birthdeath_moments(void **state) {
  (void)state;
  enum { N = 3000 };
  dp_ctx *ctx = ctx_new(2);
  const dp_output_def output[] = {{.id = "n"}, {.id = "balance", .formula = "births - deaths"}};
  dp_sim *sim = sim_new(ctx, "birthdeath", NULL, output, 2, "n");
  double p[8];
  params(sim, p);
  dp_output_time out[] = {{.time = T(1)}, {.time = T(3)}};
  dp_member *m = calloc(N, sizeof *m);
  for (int i = 0; i < N; i++)
    m[i] = (dp_member){.param = p, .out = out, .nout = 2, .stream = (uint64_t)i};
  dp_run_opts opts = dp_run_opts_default();
  dp_result *r = NULL;
  must(ctx, dp_simulate(sim, m, N, &opts, &r));
  double *x = calloc(N, sizeof *x);
  for (int k = 0; k < 2; k++) {
    double t = k ? 3 : 1, b = 0.5, d = 0.3, n0 = 10, e = exp((b - d) * t);
    double mean, var, mu = n0 * e, v = n0 * (b + d) / (b - d) * e * (e - 1), s4 = 0;
    for (int i = 0; i < N; i++) {
      x[i] = r->value[4 * i + 2 * k];
      assert_true(r->value[4 * i + 2 * k + 1] == x[i] - n0);
    }
    moments(x, N, &mean, &var);
    for (int i = 0; i < N; i++) s4 += pow(x[i] - mean, 4) / N;
    assert_true(fabs(mean - mu) < 5 * sqrt(v / N));
    assert_true(fabs(var - v) < 5 * sqrt((s4 - var * var) / N));
  }
  free(x);
  dp_result_destroy(r);
  free(m);
  dp_sim_destroy(sim);
  dp_ctx_destroy(ctx);
}

/* Rates change half-way: births stop at t = 1, so that afterwards survival is e^{-d (t - 1)}: mean n0 e^{b-d} e^{-d
 * 2}. */
static void birthdeath_switch(void **state) {
  (void)state;
  enum { N = 3000 };
  dp_ctx *ctx = ctx_new(2);
  const dp_output_def output[] = {{.id = "n"}, {.id = "births"}};
  dp_sim *sim = sim_new(ctx, "birthdeath", NULL, output, 2, "n");
  double p[8], after = 10 * exp(0.5 - 0.3) * exp(-0.3 * 2), s = 0, q = 0;
  params(sim, p);
  dp_instant stop = dp_instant_default();
  stop.type = DP_SWITCH;
  stop.time = T(1);
  stop.target = dp_sim_param(sim, "birth");
  dp_output_time out[] = {{.time = T(1), .order = 1}, {.time = T(3)}};
  dp_member *m = calloc(N, sizeof *m);
  for (int i = 0; i < N; i++) {
    m[i] = (dp_member){
        .param = p, .instant = &stop, .ninstant = 1, .out = out, .nout = 2, .stream = (uint64_t)i};
  }
  dp_run_opts opts = dp_run_opts_default();
  dp_result *r = NULL;
  must(ctx, dp_simulate(sim, m, N, &opts, &r));
  for (int i = 0; i < N; i++) {
    assert_true(r->value[4 * i + 1] == r->value[4 * i + 3]); /* no birth after the switch */
    s += r->value[4 * i + 2] / N;
    q += r->value[4 * i + 2] * r->value[4 * i + 2] / N;
  }
  assert_true(fabs(s - after) < 5 * sqrt((q - s * s) / N));
  dp_result_destroy(r);
  free(m);
  dp_sim_destroy(sim);
  dp_ctx_destroy(ctx);
}

/* Common random numbers: ten more individuals at t = 1 leave the fate of all others alone: what a plan with them has
 * more is never below zero, before t = 1 nothing differs, and the difference's mean is 10 e^{(b-d)(t-1)}. */
static void birthdeath_common_numbers(void **state) {
  (void)state;
  enum { N = 1000 };
  dp_ctx *ctx = ctx_new(2);
  const dp_output_def output[] = {{.id = "n"}, {.id = "age"}};
  dp_sim *sim = sim_new(ctx, "birthdeath", NULL, output, 2, "n");
  double p[8], s = 0, q = 0, truth = 10 * exp(0.2 * 2);
  params(sim, p);
  dp_instant dose = dp_instant_default();
  dose.time = T(1);
  dose.amount = 10;
  dp_output_time out[] = {
      {.time = T(0.5)}, {.time = T(1), .order = -1}, {.time = T(2)}, {.time = T(3)}};
  dp_member *m = calloc(2 * N, sizeof *m);
  for (int i = 0; i < 2 * N; i++) {
    m[i] = (dp_member){.param = p,
                       .instant = &dose,
                       .ninstant = i < N ? 0 : 1,
                       .out = out,
                       .nout = 4,
                       .stream = (uint64_t)(i % N)};
  }
  dp_run_opts opts = dp_run_opts_default();
  dp_result *r = NULL;
  must(ctx, dp_simulate(sim, m, 2 * N, &opts, &r));
  for (int i = 0; i < N; i++) {
    const double *a = r->value + 8 * i, *b = r->value + 8 * (i + N);
    assert_memory_equal(a, b, 4 * sizeof *a);
    assert_true(b[4] >= a[4] && b[6] >= a[6]);
    s += (b[6] - a[6]) / N;
    q += (b[6] - a[6]) * (b[6] - a[6]) / N;
  }
  assert_true(fabs(s - truth) < 5 * sqrt((q - s * s) / N));
  dp_result_destroy(r);
  free(m);
  dp_sim_destroy(sim);
  dp_ctx_destroy(ctx);
}

/* Amplitude left of cosine mode q at time t on n cells. */
static double amplitude(dp_ctx *ctx, const char *config, double mode, double t) {
  const dp_output_def output[] = {{.id = "u0"}, {.id = "total"}};
  dp_sim *sim = sim_new(ctx, "diffusion", config, output, 2, NULL);
  double p[8];
  int n = dp_sim_describe(sim)->nstate;
  params(sim, p);
  set(sim, p, "mode", mode);
  set(sim, p, "k", 0.2);
  dp_output_time out = {.time = T(t)};
  dp_member m = {.param = p, .out = &out, .nout = 1};
  dp_run_opts opts = dp_run_opts_default();
  dp_result *r = NULL;
  must(ctx, dp_simulate(sim, &m, 1, &opts, &r));
  double base = exp(-0.2 * t); /* the constant part only decays, and is all of the total */
  assert_true(fabs(r->value[1] - base) < 1e-13);
  double c = cos(3.14159265358979323846 * mode * 0.5 / n);
  double left = (r->value[0] - base) / (0.5 * c);
  dp_result_destroy(r);
  dp_sim_destroy(sim);
  return left;
}

/* On the grid exp(-(4 D / h^2 sin^2(pi q / 2n) + k) t) to rounding; in the continuum exp(-(D pi^2 q^2 + k) t) to order
 * h^2. */
static void diffusion_modes(void **state) {
  (void)state;
  dp_ctx *ctx = ctx_new(1);
  const double pi = 3.14159265358979323846;
  for (int mode = 1; mode <= 3; mode++) {
    double error[2], truth = exp(-(0.1 * pi * pi * mode * mode + 0.2) * 0.7);
    for (int k = 0; k < 2; k++) {
      int n = k ? 32 : 16;
      double s = sin(pi * mode / (2.0 * n)), grid = exp(-(0.4 * n * n * s * s + 0.2) * 0.7);
      double found = amplitude(ctx, k ? "cells=32" : "cells=16", mode, 0.7);
      assert_true(fabs(found - grid) < 1e-12);
      error[k] = fabs(found - truth);
    }
    assert_true(error[0] / error[1] > 3.6 && error[0] / error[1] < 4.4);
  }
  dp_ctx_destroy(ctx);
}

/* An edit below zero is projected; the total of what remains is conserved without decay. */
static void diffusion_projection(void **state) {
  (void)state;
  dp_ctx *ctx = ctx_new(1);
  const dp_output_def output[] = {{.id = "total"}};
  dp_sim *sim = sim_new(ctx, "diffusion", "cells=4", output, 1, NULL);
  double p[8], x[4] = {-1, 2, -0.5, 4}, y[4];
  params(sim, p);
  dp_member m = {.param = p};
  dp_run_opts opts = dp_run_opts_default();
  dp_run *run = NULL;
  must(ctx, dp_run_open(sim, &m, 1, &opts, &run));
  must(ctx, dp_run_advance(run, T(1)));
  must(ctx, dp_run_state_set(run, 0, x));
  must(ctx, dp_run_state_get(run, 0, y));
  assert_true(y[0] == 0 && y[1] == 2 && y[2] == 0 && y[3] == 4);
  must(ctx, dp_run_advance(run, T(2)));
  must(ctx, dp_run_state_get(run, 0, y));
  assert_true(fabs(y[0] + y[1] + y[2] + y[3] - 6) < 1e-13 && y[0] > 0);
  dp_run_close(run);
  dp_sim_destroy(sim);
  dp_ctx_destroy(ctx);
}

/* x = K / (1 + (K / x0 - 1) exp(-r t)); the library's Runge-Kutta of order 4 at h = 0.01 is good to 1e-10. */
static void plugin_logistic(void **state) {
  (void)state;
  dp_ctx *ctx = ctx_new(4);
  const dp_output_def output[] = {{.id = "x"}};
  dp_sim *sim = sim_new(ctx, "plugin", DP_TEST_PLUGIN, output, 1, NULL);
  double p[3];
  params(sim, p);
  dp_output_time out[] = {{.time = T(0)}, {.time = T(1.7)}, {.time = T(12)}};
  dp_member m = {.param = p, .out = out, .nout = 3};
  dp_run_opts opts = dp_run_opts_default();
  dp_result *r = NULL;
  must(ctx, dp_simulate(sim, &m, 1, &opts, &r));
  for (int k = 0; k < 3; k++) {
    double t = (double)out[k].time / DP_TICKS;
    assert_true(fabs(r->value[k] - 10 / (1 + 9 * exp(-0.5 * t))) < 1e-9);
  }
  dp_result_destroy(r);
  dp_sim_destroy(sim);
  dp_ctx_destroy(ctx);
}

/* y = x1 * a22 + time, with a22 active and switched at t = 2 to an amount that has a direction of its own. x1 does not
 * depend on a22 (a12 = 0), so by hand: dy/d a22 = x1 before, dy/d amount = x1 after, and y follows the switched
 * value. */
static void compose_switch(void **state) {
  (void)state;
  dp_ctx *ctx = ctx_new(1);
  const dp_output_def output[] = {{.id = "y", .formula = "x1 * a22 + time"}};
  const char *active[] = {"x1_0", "a22"};
  dp_sim_def def = dp_sim_def_default();
  def.spoke = "lingauss";
  def.output = output;
  def.noutput = 1;
  def.active = active;
  def.nactive = 2;
  dp_sim *sim = NULL;
  must(ctx, dp_sim_create(ctx, &def, &sim));
  double p[16], seed[] = {1, 0, 0, /**/ 0, 1, 0};
  params(sim, p);
  set(sim, p, "a12", 0);
  dp_instant change = dp_instant_default();
  change.type = DP_SWITCH;
  change.time = T(2);
  change.target = dp_sim_param(sim, "a22");
  change.amount = 5;
  change.dir_amount = 2;
  dp_output_time out[] = {
      {.time = T(1)}, {.time = T(2), .order = -1}, {.time = T(2)}, {.time = T(3)}};
  dp_member m = {
      .param = p, .seed = seed, .instant = &change, .ninstant = 1, .out = out, .nout = 4};
  dp_run_opts opts = dp_run_opts_default();
  opts.ndir = 3;
  dp_result *r = NULL;
  must(ctx, dp_simulate(sim, &m, 1, &opts, &r));
  for (int k = 0; k < 4; k++) {
    double t = (double)out[k].time / DP_TICKS, x1 = pow(0.9, t), a22 = k < 2 ? 0.8 : 5;
    const double *d = r->dvalue + 3 * k;
    assert_true(fabs(r->value[k] - (x1 * a22 + t)) < 1e-14);
    assert_true(fabs(d[0] - x1 * a22) < 1e-14);
    assert_true(fabs(d[1] - (k < 2 ? x1 : 0)) < 1e-14);
    assert_true(fabs(d[2] - (k < 2 ? 0 : x1)) < 1e-14);
  }
  dp_result_destroy(r);
  dp_sim_destroy(sim);
  dp_ctx_destroy(ctx);
}

/* What decides results changes the hash; the same definition gives the same hash. */
static void hash_says_all(void **state) {
  (void)state;
  dp_ctx *ctx = ctx_new(1);
  dp_output_def output = {.id = "total"};
  dp_sim_def def = dp_sim_def_default();
  def.spoke = "diffusion";
  def.output = &output;
  def.noutput = 1;
  char seen[6][65];
  for (int k = 0; k < 6; k++) {
    dp_sim_def d = def;
    dp_output_def o = output;
    d.output = &o;
    if (k == 2) o.formula = "total * 1";
    if (k == 3) d.config = "cells=8";
    if (k == 4) d.rtol = 1e-7;
    if (k == 5) d.time_unit = "d";
    dp_sim *sim = NULL;
    must(ctx, dp_sim_create(ctx, &d, &sim));
    memcpy(seen[k], dp_sim_describe(sim)->hash, 65);
    assert_int_equal(strlen(seen[k]), 64);
    dp_sim_destroy(sim);
  }
  assert_string_equal(seen[0], seen[1]);
  for (int k = 2; k < 6; k++) {
    for (int j = 0; j < k; j++) {
      if (j != 0 || k != 1) assert_string_not_equal(seen[j == 1 ? 0 : j], seen[k]);
    }
  }
  dp_ctx_destroy(ctx);
}

/* Definitions that make no sense are refused with the thing named. */
static void bad_definitions(void **state) {
  (void)state;
  dp_ctx *ctx = ctx_new(1);
  static const struct {
    const char *spoke, *output, *formula, *target, *active, *config;
    dp_status status;
    const char *says;
  } bad[] = {
      {"nowhere", "x1", NULL, "x1", "a11", NULL, DP_ERR_INPUT, "nowhere"},
      {"lingauss", "x3", NULL, "x1", "a11", NULL, DP_ERR_INPUT, "x3"},
      {"lingauss", "y", "x1 + a99", "x1", "a11", NULL, DP_ERR_INPUT, "a99"},
      {"lingauss", "y", "x1 +", "x1", "a11", NULL, DP_ERR_INPUT, "output 'y'"},
      {"lingauss", "x1", NULL, "x7", "a11", NULL, DP_ERR_INPUT, "x7"},
      {"lingauss", "x1", NULL, "x1", "a77", NULL, DP_ERR_INPUT, "a77"},
      {"diffusion", "total", NULL, "u0", "D", "cells=many", DP_ERR_INPUT, "cells=many"},
      {"plugin", "x", NULL, "x", "r", "/nowhere/at_all.so", DP_ERR_INPUT, "at_all.so"},
      {"plugin", "x", NULL, "x", "r", NULL, DP_ERR_INPUT, "path"},
  };
  for (int k = 0; k < DPI_COUNT(bad); k++) {
    dp_output_def output = {.id = bad[k].output, .formula = bad[k].formula};
    dp_control_def control = {.id = "dose", .target = bad[k].target};
    dp_sim_def def = dp_sim_def_default();
    def.spoke = bad[k].spoke;
    def.config = bad[k].config;
    def.output = &output;
    def.noutput = 1;
    def.control = &control;
    def.ncontrol = 1;
    def.active = &bad[k].active;
    def.nactive = 1;
    dp_sim *sim = NULL;
    dp_ctx_clear_error(ctx);
    assert_int_equal(dp_sim_create(ctx, &def, &sim), bad[k].status);
    assert_null(sim);
    if (!strstr(dp_ctx_error(ctx), bad[k].says))
      fail_msg("%s: no '%s' in: %s", bad[k].spoke, bad[k].says, dp_ctx_error(ctx));
    assert_int_equal(dpi_alloc_live(ctx), 0);
  }
  dp_sim_def def = {0};
  dp_sim *sim = NULL;
  assert_int_equal(dp_sim_create(ctx, &def, &sim), DP_ERR_USAGE); /* no cookie */
  dp_ctx_destroy(ctx);
}

/* The registry refuses what is no spoke, another spoke of a known name, and takes the same one twice. */
static void registry(void **state) {
  (void)state;
  dp_ctx *ctx = ctx_new(1);
  assert_ptr_equal(dpi_spoke_find("lingauss"), &dp_test_spoke_lingauss);
  assert_null(dpi_spoke_find("nowhere"));
  assert_int_equal(dpi_spoke_register(ctx, &dp_test_spoke_lingauss), DP_OK);
  dpi_spoke_ops twin = dp_test_spoke_lingauss, old = dp_test_spoke_lingauss,
                half = dp_test_spoke_lingauss;
  assert_int_equal(dpi_spoke_register(ctx, &twin), DP_ERR_CONFLICT);
  old.name = "old";
  old.interface = DPI_SPOKE_INTERFACE + 1;
  assert_int_equal(dpi_spoke_register(ctx, &old), DP_ERR_UNSUPPORTED);
  half.name = "half";
  half.load = NULL;
  dp_ctx_clear_error(ctx);
  assert_int_equal(dpi_spoke_register(ctx, &half), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(ctx), "'load'"));
  dp_ctx_destroy(ctx);
}

/* The inner loop of fitting: one member costs a fixed small number of allocations, however long its timeline. */
static void simulate_allocations(void **state) {
  (void)state;
  dp_ctx *ctx = ctx_new(2);
  const dp_output_def output[] = {{.id = "y", .formula = "x1 + x2"}};
  dp_sim *sim = sim_new(ctx, "lingauss", NULL, output, 1, "x1");
  double p[16];
  params(sim, p);
  dp_output_time out[200];
  for (int k = 0; k < 200; k++) out[k] = (dp_output_time){.time = T(k)};
  dp_run_opts opts = dp_run_opts_default();
  for (int nout = 1; nout <= 200; nout += 199) {
    dp_member m = {.param = p, .out = out, .nout = nout};
    size_t before = dpi_alloc_total(ctx), live = dpi_alloc_live(ctx);
    dp_result *r = NULL;
    must(ctx, dp_simulate(sim, &m, 1, &opts, &r));
    dp_result_destroy(r);
    /* result, signals, formulas' workspace, the spoke's batch and its memory */
    assert_int_equal(dpi_alloc_total(ctx) - before, 5);
    assert_int_equal(dpi_alloc_live(ctx), live);
  }
  dp_sim_destroy(sim);
  dp_ctx_destroy(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lingauss_moments),
      cmocka_unit_test(lingauss_infusion),
      cmocka_unit_test(birthdeath_moments),
      cmocka_unit_test(birthdeath_switch),
      cmocka_unit_test(birthdeath_common_numbers),
      cmocka_unit_test(diffusion_modes),
      cmocka_unit_test(diffusion_projection),
      cmocka_unit_test(plugin_logistic),
      cmocka_unit_test(compose_switch),
      cmocka_unit_test(hash_says_all),
      cmocka_unit_test(bad_definitions),
      cmocka_unit_test(registry),
      cmocka_unit_test(simulate_allocations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
