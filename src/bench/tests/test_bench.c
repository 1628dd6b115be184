/* test_bench.c - the benchmark's problems are what they say: against each other, against a tighter reference, against
 * physiology.
 *
 * Independent: the peer's derivatives come from SymPy or by hand and are integrated by CVODE; ours from our own graph
 * by our own integrators. That both give the same numbers says that text, doses, meals and derivatives agree.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/bench_impl.h"

enum { SAMPLE = 6 };
static const char petab[] = DOPPEL_BINARY_DIR "/suites/petab-benchmark/petab-benchmark";

static dp_ctx *context(void) {
  dp_ctx_def def = dp_ctx_def_default();
  dp_ctx *ctx = NULL;
  assert_int_equal(dp_ctx_create(&def, &ctx), DP_OK);
  return ctx;
}

static const dpi_bench_problem *problem_of(const char *name) {
  int n;
  const dpi_bench_problem *p = dpi_bench_problems(&n);
  for (int k = 0; k < n; k++)
    if (strcmp(p[k].name, name) == 0) return &p[k];
  fail();
  return NULL;
}

static double *peer_values(const dpi_bench_case *c, bool klu, const double *param, double rtol, double atol) {
  const dpi_bench_cvode_ops *ops = &dpi_bench_cvode_installed;
  double *value = calloc((size_t)SAMPLE * (size_t)c->problem->nout * (size_t)c->noutput, sizeof *value);
  dpi_bench_cvode *s = ops->create(c, klu, rtol, atol);
  dpi_bench_count count;
  assert_non_null(value);
  assert_non_null(s);
  ops->run(s, param, SAMPLE, value, &count);
  assert_int_equal(count.nfailed, 0);
  assert_true(count.nstep > 10 * SAMPLE);
  ops->destroy(s);
  return value;
}

static double *our_values(const dpi_bench_case *c, const char *method, const double *param, double rtol, double atol) {
  double *value = calloc((size_t)SAMPLE * (size_t)c->problem->nout * (size_t)c->noutput, sizeof *value);
  dp_member *member = dpi_bench_members(c, param, SAMPLE);
  dp_sim *sim = NULL;
  int nfailed = -1;
  assert_non_null(value);
  assert_non_null(member);
  assert_int_equal(dpi_bench_sim(c, method, rtol, atol, &sim), DP_OK);
  assert_int_equal(dpi_bench_ours(c, sim, member, SAMPLE, value, &nfailed), DP_OK);
  assert_int_equal(nfailed, 0);
  dp_sim_destroy(sim);
  dpi_free(c->ctx, member);
  return value;
}

/* The collection, unpacked once into the build folder where tools/bench_all.py looks for it too. */
static int unpack(void **state) {
  (void)state;
  static const char command[] =
      "a='" DOPPEL_SOURCE_DIR "/../shared/suites/petab-benchmark.tar.xz'; d='" DOPPEL_BINARY_DIR
      "/suites/petab-benchmark'; [ -e \"$d\" ] || [ ! -e \"$a\" ] || { mkdir -p \"$d.part\" && "
      "tar -xJf \"$a\" -C \"$d.part\" && mv \"$d.part\" \"$d\"; }";
  return system(command);
}

/* Both sides at tight tolerances, KLU and dense; a tighter reference; the method of the benchmark at a common
 * tolerance. */
static void check_problem(const char *name, double bound) {
  const dpi_bench_problem *p = problem_of(name);
  dp_ctx *ctx = context();
  dpi_bench_case *c = NULL;
  const char *skipped = NULL;
  double each[SAMPLE];
  assert_int_equal(dpi_bench_open(ctx, p, petab, &c, &skipped), DP_OK);
  if (skipped) {
    print_message("%s skipped: ../shared not there\n", name);
    dp_ctx_destroy(ctx);
    return;
  }
  double *param = calloc((size_t)SAMPLE * (size_t)c->nparam, sizeof *param);
  assert_non_null(param);
  dpi_bench_draw(c, 7, 0, SAMPLE, param);
  double *reference = peer_values(c, false, param, 1e-12, p->atol * 1e-6);
  double *tighter = peer_values(c, true, param, 1e-13, p->atol * 1e-7);
  double *plain = peer_values(c, true, param, 1e-6, p->atol);
  double *exact = our_values(c, "auto", param, 1e-10, p->atol * 1e-4);
  double *lanes = our_values(c, "ensemble", param, 1e-7, p->atol * 0.1);
  /* in units of rtol 1e-6; bound: the glucose day makes much of little, its stomach opens late and suddenly */
  assert_true(dpi_bench_errors(p, tighter, reference, SAMPLE, each).largest < 0.02);
  assert_true(dpi_bench_errors(p, exact, reference, SAMPLE, each).largest < bound);
  assert_true(dpi_bench_errors(p, lanes, reference, SAMPLE, each).largest < 50.0);
  const dp_bench_error e = dpi_bench_errors(p, plain, reference, SAMPLE, each);
  assert_true(e.largest < 2000.0);
  assert_true(e.largest > 0.05); /* it is the peer at 1e-6, no better */
  assert_true(e.median <= e.p95 && e.p95 <= e.largest && e.rms <= e.largest);
  free(reference), free(tighter), free(plain), free(exact), free(lanes), free(param);
  dpi_bench_close(c);
  dp_ctx_destroy(ctx);
}

static void robertson(void **state) {
  (void)state;
  check_problem("robertson", 0.2);
}
static void hires(void **state) {
  (void)state;
  check_problem("hires", 0.2);
}
static void boehm(void **state) {
  (void)state;
  check_problem("boehm", 0.2);
}
static void bachmann(void **state) {
  (void)state;
  check_problem("bachmann", 0.2);
}
static void glucose(void **state) {
  (void)state;
  check_problem("glucose", 5.0);
}

/* df/dx of every peer against central differences, at a point along the way. */
static void jacobians(void **state) {
  (void)state;
  static const dpi_bench_peer *const peers[] = {&dpi_peer_robertson, &dpi_peer_hires, &dpi_peer_boehm,
                                                &dpi_peer_bachmann, &dpi_peer_glucose};
  for (int e = 0; e < DPI_COUNT(peers); e++) {
    const dpi_bench_peer *peer = peers[e];
    double p[64], x[32], f0[32], f1[32], v[256];
    for (int k = 0; k < peer->nparam; k++) p[k] = 0.3 + 0.01 * k;
    for (int j = 0; j < peer->nstate; j++) x[j] = 0.7 + 0.05 * j;
    peer->jac(1.5, x, p, v);
    for (int j = 0; j < peer->nstate; j++) {
      const double keep = x[j], h = 1e-5;
      int k = peer->column[j];
      x[j] = keep - h;
      peer->rhs(1.5, x, p, f0);
      x[j] = keep + h;
      peer->rhs(1.5, x, p, f1);
      x[j] = keep;
      for (int i = 0; i < peer->nstate; i++) {
        const double d = (f1[i] - f0[i]) / (2 * h);
        const double a = k < peer->column[j + 1] && peer->row[k] == i ? v[k++] : 0.0;
        assert_true(fabs(a - d) <= 1e-6 * (1.0 + fabs(d)));
      }
      assert_int_equal(k, peer->column[j + 1]);
    }
  }
}

static double at(const dpi_bench_case *c, const double *value, const char *state, double t) {
  const dpi_bench_peer *peer = c->problem->peer;
  int j = 0, k = 0;
  while (strcmp(peer->state_id[j], state)) j++;
  while (c->problem->out[k] != t) k++;
  return value[k * peer->nstate + j];
}

/* The patient as published: at rest until breakfast, blood glucose within what such a day shows, meals absorbed. */
static void glucose_physiology(void **state) {
  (void)state;
  const dpi_bench_problem *p = problem_of("glucose");
  dp_ctx *ctx = context();
  dpi_bench_case *c = NULL;
  const char *skipped = NULL;
  assert_int_equal(dpi_bench_open(ctx, p, NULL, &c, &skipped), DP_OK);
  double *param = calloc((size_t)SAMPLE * (size_t)c->nparam, sizeof *param);
  assert_non_null(param);
  for (int i = 0; i < SAMPLE; i++)
    memcpy(param + (size_t)i * (size_t)c->nparam, c->nominal, (size_t)c->nparam * sizeof *param);
  double *v = our_values(c, "auto", param, 1e-9, 1e-8);
  const double volume = 1.9152;
  /* columns x0_ of the virtual patient adult#001 */
  assert_true(fabs(at(c, v, "Gp", 420) - 265.370112) < 1e-4);
  assert_true(fabs(at(c, v, "Gt", 420) - 162.45709) < 1e-3);
  assert_true(fabs(at(c, v, "Ip", 420) - 5.5043265) < 1e-5);
  assert_true(fabs(at(c, v, "Il", 420) - 3.2076250) < 1e-5);
  assert_true(fabs(at(c, v, "depot1", 420) - 72.434176) < 1e-4);
  assert_true(fabs(at(c, v, "depot2", 420) - 141.15377) < 1e-4);
  assert_true(fabs(at(c, v, "X", 420)) < 1e-6);
  double low = INFINITY, high = 0.0;
  for (int k = 0; k < p->nout; k++) {
    const double g = at(c, v, "Gp", p->out[k]) / volume;
    low = fmin(low, g);
    high = fmax(high, g);
  }
  assert_true(low > 50.0 && low < 138.0);
  assert_true(high > 160.0 && high < 350.0);
  assert_true(at(c, v, "Gp", 480) / volume > 145.0); /* an hour after breakfast */
  assert_true(at(c, v, "stomach1", 750) < 50.0);     /* of 50 g, in mg */
  free(v), free(param);
  dpi_bench_close(c);
  dp_ctx_destroy(ctx);
}

/* A member's parameters depend on its number alone and span the factor of ten both ways. */
static void draws(void **state) {
  (void)state;
  dp_ctx *ctx = context();
  dpi_bench_case *c = NULL;
  const char *skipped = NULL;
  assert_int_equal(dpi_bench_open(ctx, problem_of("hires"), NULL, &c, &skipped), DP_OK);
  enum { N = 300 };
  double *many = calloc((size_t)N * (size_t)c->nparam, sizeof *many), *one = calloc((size_t)c->nparam, sizeof *one);
  double low = 1.0, high = 1.0;
  assert_non_null(many);
  assert_non_null(one);
  dpi_bench_draw(c, 1, 0, N, many);
  for (int i = 0; i < N; i++) {
    dpi_bench_draw(c, 1, i, 1, one);
    assert_memory_equal(one, many + (size_t)i * (size_t)c->nparam, (size_t)c->nparam * sizeof *one);
    low = fmin(low, one[c->varied[0]] / c->nominal[c->varied[0]]);
    high = fmax(high, one[c->varied[0]] / c->nominal[c->varied[0]]);
  }
  assert_true(low >= 0.1 && low < 0.12 && high <= 10.0 && high > 8.5);
  free(many), free(one);
  dpi_bench_close(c);
  dp_ctx_destroy(ctx);
}

static void count_rows(void *user, const dp_bench_row *row) {
  int *n = user;
  n[row->skipped[0] != 0]++;
  if (row->skipped[0]) return;
  assert_true(row->seconds > 0.0 && row->peer_seconds > 0.0);
  assert_int_equal(row->nfailed, 0);
  assert_true(isfinite(row->error.largest));
  if (strcmp(row->peer, "cvode") == 0) assert_true(row->error.largest <= row->peer_error.largest);
}

/* A row as text: whole where there is room, else its beginning; what stands in names is written as JSON has it. */
static void json(void **state) {
  (void)state;
  char all[DP_BENCH_JSON_SIZE], part[40];
  dp_bench_row r = {.name = "a \"b\"\n", .skipped = "", .nmember = 1000000, .seconds = 0.5, .rtol = NAN, .peer = "cvode",
                    .peer_solver = "klu", .peer_seconds = 5, .ratio = 10, .other_solver = "", .other_version = ""};
  const size_t n = dp_bench_row_json(&r, all, sizeof all);
  assert_true(n == strlen(all) && n < sizeof all / 2);
  static const char *const wanted[] = {"{\"name\":\"a \\\"b\\\"\\u000a\",", "\"members\":1000000,", "\"rtol\":null",
                                       "\"us_per_member\":0.5,", "\"ratio_to_cvode\":10", "\"peer_solver\":\"klu\""};
  for (int k = 0; k < DPI_COUNT(wanted); k++)
    if (!strstr(all, wanted[k])) fail_msg("no %s in %s", wanted[k], all);
  assert_int_equal(dp_bench_row_json(&r, part, sizeof part), n);
  assert_true(strlen(part) == sizeof part - 1 && strncmp(part, all, sizeof part - 1) == 0);
  assert_int_equal(dp_bench_row_json(&r, NULL, 0), n);
  r.skipped = "no folder";
  dp_bench_row_json(&r, all, sizeof all);
  assert_string_equal(all, "{\"name\":\"a \\\"b\\\"\\u000a\",\"skipped\":\"no folder\"}");
}

/* The whole measurement, small: rows come, what is missing is said, wrong wishes are refused. */
static void rows(void **state) {
  (void)state;
  dp_ctx *ctx = context();
  static const char *const only[] = {"robertson", "boehm"}, *const wrong[] = {"nothing"};
  int n[2] = {0};
  dp_bench_def def = dp_bench_def_default();
  def.only = only;
  def.nonly = 2;
  def.nmember = def.nsample = 16;
  def.repeats = 1;
  assert_int_equal(dp_bench_ensemble(ctx, &def, count_rows, n), DP_OK);
  assert_int_equal(n[0], 2); /* one thread, two threads */
  assert_int_equal(n[1], 1); /* without the collection */
  def.only = wrong;
  def.nonly = 1;
  assert_int_equal(dp_bench_ensemble(ctx, &def, count_rows, n), DP_ERR_INPUT);
  def = (dp_bench_def){0};
  dp_ctx_clear_error(ctx);
  assert_int_equal(dp_bench_ensemble(ctx, &def, count_rows, n), DP_ERR_INPUT);
  dp_ctx_destroy(ctx);
}

typedef struct seen {
  int n;
  double error, in_range[5];
  char digest[5][17];
} seen;

static void count_loops(void *user, const dp_bench_loop_row *r) {
  seen *s = user;
  assert_true(s->n < 5);
  assert_int_equal(r->nfailed, 0);
  assert_true(r->seconds > 0 && r->days_per_second > 0);
  if (isfinite(r->error)) s->error = fmax(s->error, r->error);
  s->in_range[s->n] = r->in_range;
  memcpy(s->digest[s->n++], r->digest, sizeof r->digest);
}

/* Closed loops: replayed by a tight integrator they are the same path; threads do not show; a plain C program with other
 * steps and a sensor without noise finds about the same time in range. */
static void loops(void **state) {
  (void)state;
  dp_ctx *ctx = context();
  seen s = {0};
  dp_bench_loop_def def = dp_bench_loop_def_default();
  def.nmember = 60;
  def.days = 2;
  def.repeats = 1;
  def.nreplay = 4;
  def.replay_days = 1;
  def.interpret = true;
  if (dp_bench_loop(ctx, &def, count_loops, &s) != DP_OK) fail_msg("%s", dp_ctx_error(ctx));
  assert_int_equal(s.n, 5);
  assert_true(s.error > 0 && s.error <= 0.1);
  assert_string_equal(s.digest[0], s.digest[1]);
  assert_string_equal(s.digest[2], s.digest[3]);
  assert_string_not_equal(s.digest[0], s.digest[2]);
  for (int k = 0; k < 5; k++) assert_true(s.in_range[k] > 0.5 && fabs(s.in_range[k] - s.in_range[4]) < 0.1);
  static const char *const only[] = {"pid, 2 threads"}, *const wrong[] = {"pod"};
  def.only = only;
  def.nonly = 1;
  seen one = {0};
  assert_int_equal(dp_bench_loop(ctx, &def, count_loops, &one), DP_OK);
  assert_int_equal(one.n, 1);
  assert_string_equal(one.digest[0], s.digest[3]);
  def.only = wrong;
  assert_int_equal(dp_bench_loop(ctx, &def, count_loops, &one), DP_ERR_INPUT);
  dp_ctx_clear_error(ctx);
  def.step = 0;
  assert_int_equal(dp_bench_loop(ctx, &def, count_loops, &s), DP_ERR_USAGE);
  dp_ctx_destroy(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(jacobians), cmocka_unit_test(draws),
      cmocka_unit_test(robertson), cmocka_unit_test(hires),
      cmocka_unit_test(boehm),     cmocka_unit_test(bachmann),
      cmocka_unit_test(glucose),   cmocka_unit_test(glucose_physiology),
      cmocka_unit_test(rows),      cmocka_unit_test(json),
      cmocka_unit_test(loops),
  };
  return cmocka_run_group_tests(tests, unpack, NULL);
}
