/* Independent comparison: x' = -k x, x(0) = a in closed form: ln x = ln a - k t is linear, so its shares are known at
 * each time. Members that fail; the n-th allocation fails. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"
#include "base/tests/failing_memory.h"
#include "doppel/sensitivity.h"

typedef struct bench {
  dp_ctx *ctx;
  dp_model *model;
  dp_sim *sim;
} bench;

static const dp_output_time when[2] = {{DP_TICKS, 0}, {4 * DP_TICKS, 0}};
static const dp_input_def input[2] = {{.id = "a", .kind = DP_INPUT_LOGNORMAL, .a = 10, .b = 0.4},
                                      {.id = "k", .kind = DP_INPUT_NORMAL, .a = 0.5, .b = 0.1}};

static void start(bench *b, int nthread, failing_memory *memory) {
  char path[] = "/tmp/test-sensitivity-XXXXXX";
  static const char text[] = "model m\n k = 0.5; a = 10; x = a; x' = -k*x;\nend\n";
  int fd = mkstemp(path);
  assert_true(fd >= 0 && write(fd, text, sizeof text - 1) == (ssize_t)sizeof text - 1);
  close(fd);
  dp_ctx_def def = memory ? failing_def(memory) : dp_ctx_def_default();
  def.nthread = nthread;
  *b = (bench){0};
  assert_int_equal(dp_ctx_create(&def, &b->ctx), DP_OK);
  assert_int_equal(dp_model_read(b->ctx, path, &b->model), DP_OK);
  unlink(path);
  assert_int_equal(dp_model_seal(b->model), DP_OK);
  dp_sim_def sim = dp_sim_def_default();
  dp_output_def out = {.id = "logx", .formula = "ln(x)", .unit = ""};
  sim.model = b->model;
  sim.output = &out;
  sim.noutput = 1;
  assert_int_equal(dp_sim_create(b->ctx, &sim, &b->sim), DP_OK);
}

static void stop(bench *b) {
  dp_sim_destroy(b->sim);
  dp_model_destroy(b->model);
  assert_int_equal(dpi_alloc_live(b->ctx), 0);
  dp_ctx_destroy(b->ctx);
}

static void near(double found, double want, double within) {
  if (!(fabs(found - want) <= within)) print_error("found %.6g, want %.6g within %g\n", found, want, within);
  assert_true(fabs(found - want) <= within);
}

static dp_sensitivity_def make_def(int method) {
  dp_sensitivity_def def = dp_sensitivity_def_default();
  def.method = (dp_sensitivity_method)method;
  def.input = input;
  def.ninput = 2;
  def.nboot = 20;
  return def;
}

static void test_shares(void **state) {
  (void)state;
  for (int threads = 1; threads < 4; threads += 2) {
    bench b;
    start(&b, threads, NULL);
    dp_member base = {.out = when, .nout = 2};
    for (int method = 0; method < 3; method += 2) {
      dp_sensitivity_def def = make_def(method);
      dp_sensitivity *a;
      def.nsample = def.nvariance = 4096;
      assert_int_equal(dp_sensitivity_sim(b.ctx, b.sim, &base, &def, &a), DP_OK);
      for (int t = 0; t < 2; t++) {
        double time = t ? 4 : 1, va = 0.16, vk = 0.01 * time * time;
        near(dp_sensitivity_value(a, t, 0, 0).value, va / (va + vk), 0.03);
        near(dp_sensitivity_value(a, t, 1, 0).value, vk / (va + vk), 0.03);
        near(dp_sensitivity_mean(a, t), log(10) - 0.5 * time, 0.02);
      }
      dp_sensitivity_destroy(a);
    }
    stop(&b);
  }
}

/* Refusals by name; a sim that has no such parameter. */
static void test_refusals(void **state) {
  (void)state;
  bench b;
  start(&b, 1, NULL);
  dp_member base = {.out = when, .nout = 2};
  dp_input_def wrong[2] = {input[0], input[1]};
  dp_sensitivity_def def = make_def(0);
  dp_sensitivity *a;
  def.input = wrong;
  wrong[1].id = "kk";
  assert_int_equal(dp_sensitivity_sim(b.ctx, b.sim, &base, &def, &a), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(b.ctx), "'kk'"));
  dp_ctx_clear_error(b.ctx);
  wrong[1].id = "a";
  assert_int_equal(dp_sensitivity_sim(b.ctx, b.sim, &base, &def, &a), DP_ERR_USAGE);
  dp_ctx_clear_error(b.ctx);
  /* ln of a negative start: members fail, and are counted */
  wrong[0] = (dp_input_def){.id = "a", .a = -1, .b = 9};
  wrong[1] = input[1];
  assert_int_equal(dp_sensitivity_sim(b.ctx, b.sim, &base, &def, &a), DP_OK);
  dp_sensitivity_desc d = dp_sensitivity_describe(a);
  assert_true(dp_sensitivity_value(a, 0, 0, 0).nused < 1000 && dp_sensitivity_value(a, 0, 0, 0).nused > 600);
  assert_true(d.nfailed == 0 || d.reason[0]);
  dp_sensitivity_destroy(a);
  stop(&b);
}

static dp_status line(void *user, dp_points *p) {
  (void)user;
  for (int i = 0; i < p->n; i++) p->y[i] = p->x[2 * i] + p->x[2 * i + 1];
  return DP_OK;
}

/* Every allocation fails once; nothing is left behind. */
static void test_memory(void **state) {
  (void)state;
  for (int method = 0; method < 4; method++) {
    failing_memory memory = {0};
    dp_ctx_def cdef = failing_def(&memory);
    dp_ctx *ctx;
    cdef.nthread = 1;
    assert_int_equal(dp_ctx_create(&cdef, &ctx), DP_OK);
    size_t live = dpi_alloc_live(ctx);
    dp_status status = DP_ERR_MEMORY;
    for (int n = 1; status != DP_OK && n < 200; n++) {
      dp_sensitivity *a = NULL;
      dp_sensitivity_def def = make_def(method % 3);
      const double r[4] = {1, 0.5, 0.5, 1};
      dp_gain gain[1];
      double q[50], sd[50];
      for (int k = 0; k < 50; k++) q[k] = k, sd[k] = 3;
      dp_gain_def g = dp_gain_def_default();
      g.ndraw = 50, g.nmeasure = 1, g.forecast = q, g.predicted = q, g.sd = sd;
      def.nsample = def.nvariance = 8;
      def.second = method == 0;
      if (method == 2) def.correlation = r;
      memory.fail_at = memory.calls + n;
      status = method < 3 ? dp_sensitivity_run(ctx, &def, 1, line, NULL, &a) : dp_gain_of(ctx, &g, gain);
      memory.fail_at = 0;
      dp_ctx_clear_error(ctx);
      assert_true(status == DP_OK || (status == DP_ERR_MEMORY && !a));
      dp_sensitivity_destroy(a);
      assert_int_equal(dpi_alloc_live(ctx), live);
    }
    assert_int_equal(status, DP_OK);
    dp_ctx_destroy(ctx);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_shares), cmocka_unit_test(test_refusals),
                                     cmocka_unit_test(test_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
