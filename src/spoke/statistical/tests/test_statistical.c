/* Independent comparison: the polynomial that the surrogate is, worked out by hand; errors drawn against the deviation
 * promised; the same bytes for any threads and grouping; what was not trained fails, or is refused, by name. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "doppel/sim.h"
#include "num/surrogate.h"

static dp_ctx *make_ctx(int nthread) {
  dp_ctx *ctx = NULL;
  dp_ctx_def def = dp_ctx_def_default();
  def.nthread = nthread;
  assert_int_equal(dp_ctx_create(&def, &ctx), DP_OK);
  return ctx;
}

static void must(dp_ctx *ctx, dp_status status) {
  if (status != DP_OK) print_error("%s\n", dp_ctx_error(ctx));
  assert_int_equal(status, DP_OK);
}

static void near(double found, double want, double within) {
  if (!(fabs(found - want) <= within)) print_error("found %.12g, want %.12g\n", found, want);
  assert_true(fabs(found - want) <= within);
}

/* y@1 = 2 + 3 a - b + noise, y@4 = a b + noise, z@1 = 5 - a + noise on a in 0..2, b in 1..4, from 40 rows */
static void write_text(dp_ctx *ctx, const char *odd_id, dpi_str *text) {
  enum { N = 40 };
  static const char *const id[3] = {"y@1", "y@4", "z@1"};
  const uint8_t power[8] = {0, 0, 1, 0, 0, 1, 1, 1};
  dpi_surrogate *s;
  must(ctx, dpi_surrogate_create(ctx, 2, N, 3, &s));
  s->start = -1;
  s->input[0] = (dpi_surrogate_input){.id = "a", .low = 0, .high = 2};
  s->input[1] = (dpi_surrogate_input){.id = "b", .low = 1, .high = 4};
  dpi_rng rng = dpi_rng_make(3, 1, 7);
  for (int i = 0; i < N; i++) {
    double a = 2 * dpi_rng_uniform(&rng), b = 1 + 3 * dpi_rng_uniform(&rng), *x = s->x + 2 * i;
    x[0] = a, x[1] = b;
    s->part[0].y[i] = 2 + 3 * a - b + 0.1 * dpi_rng_normal(&rng);
    s->part[1].y[i] = a * b + 0.1 * dpi_rng_normal(&rng);
    s->part[2].y[i] = 5 - a + 0.1 * dpi_rng_normal(&rng);
  }
  for (int o = 0; o < 3; o++) {
    strcpy(s->part[o].id, o == 2 && odd_id ? odd_id : id[o]);
    must(ctx, dpi_surrogate_terms(s, o, 4));
    s->part[o].kind = DPI_SURROGATE_PCE;
    s->part[o].inflate = 1;
    memcpy(s->part[o].power, power, sizeof power);
    must(ctx, dpi_surrogate_assemble(s, o));
  }
  must(ctx, dpi_surrogate_write(s, text));
  dpi_surrogate_destroy(s);
}

static const dp_output_def output[] = {{.id = "y"}, {.id = "error(y)"}, {.id = "twice", .formula = "2*y + a"}};

static dp_status try_sim(dp_ctx *ctx, const char *text, const char *method, dp_sim **sim) {
  dp_sim_def def = dp_sim_def_default();
  def.spoke = "statistical";
  def.config = text;
  def.method = method;
  def.output = output;
  def.noutput = 3;
  return dp_sim_create(ctx, &def, sim);
}

static const dp_output_time when[2] = {{DP_TICKS, 0}, {4 * DP_TICKS, 0}};

static dp_member member_of(const double *param, uint64_t stream) {
  return (dp_member){.param = param, .out = when, .nout = 2, .start = -DP_TICKS, .stream = stream};
}

static void test_mean(void **state) {
  (void)state;
  dp_ctx *ctx = make_ctx(1);
  dpi_str text;
  dp_sim *sim;
  dp_result *r;
  dpi_str_init(&text, ctx);
  write_text(ctx, NULL, &text);
  must(ctx, try_sim(ctx, text.data, "mean", &sim));
  const dp_sim_desc *d = dp_sim_describe(sim);
  assert_int_equal(d->nparam, 2);
  assert_int_equal(d->nstate, 0);
  near(d->param_default[0], 1, 1e-12);
  near(d->param_default[1], 2.5, 1e-12);
  assert_false(d->caps & DP_CAP_STOCHASTIC);
  const double param[2] = {0.5, 3};
  dp_member m = member_of(param, 1);
  dp_run_opts opts = dp_run_opts_default();
  must(ctx, dp_simulate(sim, &m, 1, &opts, &r));
  near(r->value[0], 2 + 3 * 0.5 - 3, 0.1);
  near(r->value[3], 0.5 * 3, 0.1);
  near(r->value[2], 2 * r->value[0] + 0.5, 1e-12);
  assert_true(r->value[1] > 0.07 && r->value[1] < 0.16 && r->value[4] > 0.07 && r->value[4] < 0.16);
  dp_result_destroy(r);
  dp_sim_destroy(sim);
  dpi_str_release(&text);
  dp_ctx_destroy(ctx);
}

/* Draws scatter around the mean with the promised deviation; streams decide them, threads and neighbours do not. */
static void test_draws(void **state) {
  (void)state;
  enum { N = 4000 };
  dp_ctx *ctx = make_ctx(1), *three = make_ctx(3);
  dpi_str text;
  dp_sim *sim, *other;
  dp_result *r, *q;
  static dp_member m[N];
  const double param[2] = {0.5, 3};
  dpi_str_init(&text, ctx);
  write_text(ctx, NULL, &text);
  must(ctx, try_sim(ctx, text.data, "auto", &sim));
  must(three, try_sim(three, text.data, "draw", &other));
  assert_true(dp_sim_describe(sim)->caps & DP_CAP_STOCHASTIC);
  for (int i = 0; i < N; i++) m[i] = member_of(param, (uint64_t)i / 2); /* two of each stream */
  dp_run_opts opts = dp_run_opts_default();
  must(ctx, dp_simulate(sim, m, N, &opts, &r));
  must(three, dp_simulate(other, m + 1, N - 1, &opts, &q));
  assert_memory_equal(r->value + 6, q->value, sizeof(double) * 6 * (N - 1));
  double mean = 0, square = 0, sd = r->value[1], cross = 0;
  for (int i = 0; i < N; i += 2) {
    assert_memory_equal(r->value + 6 * i, r->value + 6 * (i + 1), 6 * sizeof(double));
    mean += r->value[6 * i] / (N / 2);
  }
  for (int i = 0; i < N; i += 2) {
    square += pow(r->value[6 * i] - mean, 2) / (N / 2 - 1);
    cross += (r->value[6 * i] - mean) * (r->value[6 * i + 3] - 1.5) / (N / 2) / (sd * r->value[4]);
  }
  near(sqrt(square) / sd, 1, 4.0 / sqrt(N)); /* 4 standard errors of a deviation from N/2 draws */
  near(cross, 0, 4.0 / sqrt(N / 2) + 0.0);   /* outputs err independently */
  dp_result_destroy(r);
  dp_result_destroy(q);
  dp_sim_destroy(sim);
  dp_sim_destroy(other);
  dpi_str_release(&text);
  dp_ctx_destroy(ctx);
  dp_ctx_destroy(three);
}

typedef struct rows {
  int n;
  double y[8]; /* the first output, as it comes */
} rows;

static dp_status collect(void *user, const dp_member_result *block, int nblock) {
  rows *r = user;
  for (int i = 0; i < nblock; i++)
    for (int t = 0; t < block[i].nout; t++) r->y[r->n++] = block[i].value[3 * t];
  return DP_OK;
}

/* Fork and load replay to the same draws. */
static void test_fork(void **state) {
  (void)state;
  dp_ctx *ctx = make_ctx(1);
  dpi_str text;
  dp_sim *sim;
  dp_run *run, *child, *loaded;
  dp_result *r;
  void *bytes;
  size_t size;
  const double param[2] = {1.5, 2};
  dp_member m[2] = {member_of(param, 4), member_of(param, 9)};
  dp_run_opts opts = dp_run_opts_default();
  dpi_str_init(&text, ctx);
  write_text(ctx, NULL, &text);
  must(ctx, try_sim(ctx, text.data, "draw", &sim));
  must(ctx, dp_simulate(sim, m, 2, &opts, &r));
  must(ctx, dp_run_open(sim, m, 2, &opts, &run));
  must(ctx, dp_run_advance(run, 2 * DP_TICKS));
  const int index[1] = {1};
  must(ctx, dp_run_fork(run, index, 1, NULL, &child));
  must(ctx, dp_run_save(run, &bytes, &size));
  must(ctx, dp_run_load(sim, m, 2, &opts, bytes, size, &loaded));
  must(ctx, dp_run_advance(loaded, 4 * DP_TICKS));
  must(ctx, dp_run_advance(child, 4 * DP_TICKS));
  rows own = {.n = 0}, all = {.n = 0};
  must(ctx, dp_run_emit(child, collect, &own));
  must(ctx, dp_run_emit(loaded, collect, &all));
  assert_int_equal(own.n, 1); /* its own future: time 4 of member 1 */
  assert_int_equal(all.n, 4);
  assert_memory_equal(&own.y[0], &r->value[9], sizeof(double));
  for (int i = 0; i < 4; i++) assert_memory_equal(&all.y[i], &r->value[3 * i], sizeof(double));
  dp_run_bytes_free(sim, bytes);
  dp_run_close(run);
  dp_run_close(child);
  dp_run_close(loaded);
  dp_result_destroy(r);
  dp_sim_destroy(sim);
  dpi_str_release(&text);
  dp_ctx_destroy(ctx);
}

static void test_fails_alone(void **state) {
  (void)state;
  dp_ctx *ctx = make_ctx(1);
  dpi_str text;
  dp_sim *sim;
  dp_result *r;
  const double good[2] = {1, 2}, outside[2] = {1, 4.5}, unknown[2] = {NAN, 2};
  const dp_output_time untrained[2] = {{DP_TICKS, 0}, {3 * DP_TICKS, 0}};
  dp_member m[4] = {member_of(good, 1), member_of(outside, 1), member_of(unknown, 1), member_of(good, 1)};
  m[3].out = untrained;
  dp_run_opts opts = dp_run_opts_default();
  dpi_str_init(&text, ctx);
  write_text(ctx, NULL, &text);
  must(ctx, try_sim(ctx, text.data, "mean", &sim));
  must(ctx, dp_simulate(sim, m, 4, &opts, &r));
  assert_int_equal(r->nfailed, 3);
  assert_int_equal(r->status[0], DP_MEMBER_OK);
  assert_string_equal(r->reason[1], "b = 4.5 is outside the surrogate's domain, 1 to 4");
  near(r->fail_time[1], -1, 0);
  assert_non_null(strstr(r->reason[2], "a = "));
  assert_string_equal(r->reason[3], "time 3 was not trained; trained: 1 4");
  assert_memory_equal(r->value + r->value_at[3] * 3, r->value, 3 * sizeof(double)); /* what it could give */
  assert_true(isnan(r->value[(r->value_at[3] + 1) * 3]) && isnan(r->value[r->value_at[1] * 3]));
  dp_result_destroy(r);
  dp_sim_destroy(sim);
  dpi_str_release(&text);
  dp_ctx_destroy(ctx);
}

static void refused(dp_ctx *ctx, dp_status status, const char *word) {
  assert_int_not_equal(status, DP_OK);
  if (!strstr(dp_ctx_error(ctx), word)) print_error("'%s' does not say '%s'\n", dp_ctx_error(ctx), word);
  assert_non_null(strstr(dp_ctx_error(ctx), word));
  dp_ctx_clear_error(ctx);
}

static void test_refused(void **state) {
  (void)state;
  dp_ctx *ctx = make_ctx(1);
  dpi_str text, odd, twice;
  dp_sim *sim = NULL;
  dp_result *r = NULL;
  dp_run_opts opts = dp_run_opts_default();
  const double good[2] = {1, 2};
  dp_control_def control = {.id = "dose", .target = "y"};
  const char *active = "a";
  dpi_str_init(&text, ctx);
  dpi_str_init(&odd, ctx);
  dpi_str_init(&twice, ctx);
  write_text(ctx, NULL, &text);
  write_text(ctx, "z", &odd);
  write_text(ctx, "y@1", &twice);
  refused(ctx, try_sim(ctx, NULL, "auto", &sim), "needs a surrogate's text");
  refused(ctx, try_sim(ctx, "doppel surrogate 1\nsize 1", "auto", &sim), "surrogate:2");
  refused(ctx, try_sim(ctx, text.data, "cvode", &sim), "expected draw or mean");
  refused(ctx, try_sim(ctx, odd.data, "auto", &sim), "expected QUANTITY@TIME");
  refused(ctx, try_sim(ctx, twice.data, "auto", &sim), "there twice");
  dp_sim_def def = dp_sim_def_default();
  def.spoke = "statistical";
  def.config = text.data;
  def.output = output;
  def.noutput = 1;
  def.control = &control;
  def.ncontrol = 1;
  refused(ctx, dp_sim_create(ctx, &def, &sim), "takes no doses");
  def.ncontrol = 0;
  def.active = &active;
  def.nactive = 1;
  refused(ctx, dp_sim_create(ctx, &def, &sim), "no derivatives");
  must(ctx, try_sim(ctx, text.data, "auto", &sim));
  dp_member m = member_of(good, 1);
  m.start = 0;
  refused(ctx, dp_simulate(sim, &m, 1, &opts, &r), "trained from -1 on");
  dp_instant change = dp_instant_default();
  change.type = DP_SWITCH;
  m = member_of(good, 1);
  m.instant = &change;
  m.ninstant = 1;
  refused(ctx, dp_simulate(sim, &m, 1, &opts, &r), "no doses, switches");
  dp_sim_destroy(sim);
  dpi_str_release(&text);
  dpi_str_release(&odd);
  dpi_str_release(&twice);
  dp_ctx_destroy(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_mean), cmocka_unit_test(test_draws),
                                     cmocka_unit_test(test_fork), cmocka_unit_test(test_fails_alone),
                                     cmocka_unit_test(test_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
