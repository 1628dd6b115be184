/* Independent comparison: a Gaussian process of two points by hand; its likelihood's gradient by differences;
 * leaving out one point by doing so; polynomials that polynomial chaos must find exactly; Ishigami's indices from
 * coefficients; errors promised against errors made. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/tests/failing_memory.h"
#include "infer/surrogate/surrogate_train.h"

#define PI 3.14159265358979323846
#define DEVIATIONS 1.6448536269514722 /* hold 9 of 10 of a normal law */

static dp_ctx *make_ctx(void) {
  dp_ctx *ctx = NULL;
  dp_ctx_def def = dp_ctx_def_default();
  def.nthread = 1;
  assert_int_equal(dp_ctx_create(&def, &ctx), DP_OK);
  return ctx;
}

static void near(double found, double want, double within) {
  if (!(fabs(found - want) <= within)) print_error("found %.10g, want %.10g within %g\n", found, want, within);
  assert_true(fabs(found - want) <= within);
}

static void must(dp_ctx *ctx, dp_status status) {
  if (status != DP_OK) print_error("%s\n", dp_ctx_error(ctx));
  assert_int_equal(status, DP_OK);
}

/* Two points, one input on 0..10, squared exponential. */
static void test_two_points(void **state) {
  (void)state;
  dp_ctx *ctx = make_ctx();
  dpi_surrogate *s;
  must(ctx, dpi_surrogate_create(ctx, 1, 2, 1, &s));
  s->input[0] = (dpi_surrogate_input){.id = "x", .low = 0, .high = 10};
  s->x[0] = 2, s->x[1] = 7;
  dpi_surrogate_part *p = &s->part[0];
  p->y[0] = 1, p->y[1] = 4;
  p->signal = 1.5, p->length[0] = 0.4, p->kernel = DPI_KERNEL_SQEXP;
  must(ctx, dpi_surrogate_assemble(s, 0));
  double v = 1.5 * 1.5, c = v * exp(-0.5 * pow(0.5 / 0.4, 2)), det = v * v - c * c;
  near(p->mean, 2.5, 1e-12);
  double k0 = v * exp(-0.5 * pow(0.2 / 0.4, 2)), k1 = v * exp(-0.5 * pow(0.3 / 0.4, 2)); /* at 4 */
  double mean = 2.5 + (k0 * (v * -1.5 - c * 1.5) + k1 * (-c * -1.5 + v * 1.5)) / det;
  double var = v - (k0 * (v * k0 - c * k1) + k1 * (-c * k0 + v * k1)) / det;
  const double x[3] = {4, 2, 7};
  double m[3], sd[3];
  must(ctx, dpi_surrogate_ask_all(s, 0, 3, x, m, sd));
  near(m[0], mean, 1e-9);
  near(sd[0], p->spread * sqrt(var), 1e-9);
  near(m[1], 1, 1e-9); /* it interpolates */
  near(m[2], 4, 1e-9);
  assert_true(sd[1] < 1e-5 && sd[2] < 1e-5);
  near(p->loglik, -0.5 * (2 * 1.5 * 1.5 * (v + c) / det) - 0.5 * log(det) - log(2 * PI), 1e-9);
  const double outside = 10.5;
  assert_int_equal(dpi_surrogate_ask_all(s, 0, 1, &outside, m, sd), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(ctx), "x = 10.5 is outside its domain, 0 to 10"));
  dpi_surrogate_destroy(s);
  dp_ctx_destroy(ctx);
}

static dpi_surrogate *scattered(dp_ctx *ctx, int n, dpi_surrogate_kernel kernel) {
  dpi_surrogate *s;
  must(ctx, dpi_surrogate_create(ctx, 2, n, 1, &s));
  s->input[0] = (dpi_surrogate_input){.id = "a", .low = 0.1, .high = 10, .log = true};
  s->input[1] = (dpi_surrogate_input){.id = "b", .low = -1, .high = 1};
  for (int i = 0; i < n; i++) {
    dpi_rng rng = dpi_rng_make(4, (uint64_t)i, 2);
    s->x[2 * i] = 0.1 * pow(100, dpi_rng_uniform(&rng));
    s->x[2 * i + 1] = 2 * dpi_rng_uniform(&rng) - 1;
    s->part[0].y[i] = log(s->x[2 * i]) * s->x[2 * i + 1] + 0.05 * dpi_rng_normal(&rng);
  }
  s->part[0].kernel = kernel;
  s->part[0].signal = 1.3;
  s->part[0].noise = 0.1;
  s->part[0].length[0] = 0.6;
  s->part[0].length[1] = 0.9;
  return s;
}

static void test_gradient(void **state) {
  (void)state;
  dp_ctx *ctx = make_ctx();
  for (int kernel = 0; kernel < 2; kernel++) {
    dpi_surrogate *s = scattered(ctx, 15, (dpi_surrogate_kernel)kernel);
    dpi_gp_objective *o;
    double theta[4] = {-0.5, -0.1, 0.3, -2}, f, g[4], up, down, ignore[4];
    must(ctx, dpi_gp_objective_create(s, 0, &o));
    assert_true(dpi_gp_objective_eval(o, theta, &f, g));
    for (int k = 0; k < 4; k++) {
      double keep = theta[k];
      theta[k] = keep + 1e-5;
      assert_true(dpi_gp_objective_eval(o, theta, &up, ignore));
      theta[k] = keep - 1e-5;
      assert_true(dpi_gp_objective_eval(o, theta, &down, ignore));
      theta[k] = keep;
      near(g[k], (up - down) / 2e-5, 1e-6 * fmax(1, fabs(g[k])));
    }
    dpi_gp_objective_destroy(o);
    dpi_surrogate_destroy(s);
  }
  dp_ctx_destroy(ctx);
}

/* loo equals what leaving out each point gives, for both kinds. The constant of a gp stays that of all points. */
static void test_leave_one_out(void **state) {
  (void)state;
  dp_ctx *ctx = make_ctx();
  enum { N = 12 };
  dpi_surrogate *s = scattered(ctx, N, DPI_KERNEL_MATERN52);
  must(ctx, dpi_surrogate_terms(s, 0, 3));
  const uint8_t power[6] = {0, 0, 1, 0, 1, 1};
  memcpy(s->part[0].power, power, sizeof power);
  s->part[0].kind = DPI_SURROGATE_PCE;
  must(ctx, dpi_surrogate_assemble(s, 0));
  double square = 0;
  for (int out = 0; out < N; out++) {
    dpi_surrogate *t;
    must(ctx, dpi_surrogate_create(ctx, 2, N - 1, 1, &t));
    memcpy(t->input, s->input, 2 * sizeof *s->input);
    for (int i = 0, m = 0; i < N; i++) {
      if (i == out) continue;
      memcpy(t->x + 2 * m, s->x + 2 * i, 2 * sizeof *t->x);
      t->part[0].y[m++] = s->part[0].y[i];
    }
    must(ctx, dpi_surrogate_terms(t, 0, 3));
    memcpy(t->part[0].power, power, sizeof power);
    t->part[0].kind = DPI_SURROGATE_PCE;
    must(ctx, dpi_surrogate_assemble(t, 0));
    double mean;
    must(ctx, dpi_surrogate_ask_all(t, 0, 1, s->x + 2 * out, &mean, NULL));
    square += pow(mean - s->part[0].y[out], 2) / N;
    dpi_surrogate_destroy(t);
  }
  near(s->part[0].loo, sqrt(square), 1e-10);
  dpi_surrogate_destroy(s);
  dp_ctx_destroy(ctx);
}

/* x0 uniform, x1 normal: a polynomial; the second output is Ishigami's; the third a smooth function that is none */
static dp_status functions(void *user, dp_points *p) {
  const int *fail = user;
  for (int i = 0; i < p->n; i++) {
    const double *x = p->x + 3 * i;
    double *y = p->y + 3 * i;
    y[0] = 2 + 3 * x[0] - x[0] * x[0] * x[1] + 0.5 * pow(x[1], 3);
    y[1] = sin(x[0]) + 7 * sin(x[1]) * sin(x[1]) + 0.1 * pow(x[2], 4) * sin(x[0]);
    y[2] = 10 * exp(-0.3 * x[2]) / (1 + exp(-x[0]));
    if (fail && i % 10 == 3) {
      p->ok[i] = 0;
      strcpy(p->reason, "it broke");
    }
  }
  return DP_OK;
}

static const char *const names[3] = {"poly", "ishigami", "smooth"};

static dpi_training_def make_def(dpi_surrogate_input in[3]) {
  static const char *const id[3] = {"x0", "x1", "x2"};
  for (int k = 0; k < 3; k++) {
    in[k] = (dpi_surrogate_input){.low = -PI, .high = PI};
    strcpy(in[k].id, id[k]);
  }
  dpi_training_def def = dpi_training_def_default();
  def.input = in;
  def.ninput = 3;
  return def;
}

static void test_polynomial(void **state) {
  (void)state;
  dp_ctx *ctx = make_ctx();
  dpi_surrogate_input in[3];
  dpi_training_def def = make_def(in);
  dpi_surrogate *s;
  def.kind = DPI_TRAIN_PCE;
  in[1].hermite = true, in[1].a = 0.2, in[1].b = 0.6;
  def.npoint = 80;
  def.q = 1;
  must(ctx, dpi_surrogate_train(ctx, &def, 3, names, functions, NULL, &s));
  double x[3] = {1.7, -0.9, 2.2}, mean, sd, want[3];
  dp_points p = {.n = 1, .x = x, .y = want};
  functions(NULL, &p);
  must(ctx, dpi_surrogate_ask_all(s, 0, 1, x, &mean, &sd));
  near(mean, want[0], 1e-9);
  assert_true(sd < 1e-9 && s->part[0].q2 > 1 - 1e-15 && s->part[0].nterm <= 7);
  dpi_surrogate_destroy(s);
  dp_ctx_destroy(ctx);
}

static void test_indices(void **state) {
  (void)state;
  double v1 = 0.5 * pow(1 + 0.1 * pow(PI, 4) / 5, 2), v2 = 49.0 / 8, v13 = 0.01 * pow(PI, 8) * 8 / 225,
         v = v1 + v2 + v13;
  const double want[6] = {v1 / v, v2 / v, 0, (v1 + v13) / v, v2 / v, v13 / v};
  dp_ctx *ctx = make_ctx();
  dpi_surrogate_input in[3];
  dpi_training_def def = make_def(in);
  dpi_surrogate *s;
  double found[6];
  def.kind = DPI_TRAIN_PCE;
  def.npoint = 300;
  def.degree = 14;
  must(ctx, dpi_surrogate_train(ctx, &def, 3, names, functions, NULL, &s));
  dpi_surrogate_sobol(s, 1, found, found + 3);
  assert_true(s->part[1].q2 > 0.9999);
  for (int k = 0; k < 6; k++) near(found[k], want[k], 1e-3);
  dpi_surrogate_destroy(s);
  dp_ctx_destroy(ctx);
}

/* One surrogate's own share of hits scatters around 0.9 with its 81 rows: as Beta(74, 8), below 0.78 in 1 of 2000. The
 * gate on 0.9 is test_coverage. Failures are counted. */
static void test_error(void **state) {
  (void)state;
  dp_ctx *ctx = make_ctx();
  dpi_surrogate_input in[3];
  dpi_training_def def = make_def(in);
  int fail = 1;
  for (int kind = 0; kind < 3; kind++) {
    dpi_surrogate *s;
    def.kind = (dpi_training_kind)kind;
    def.npoint = 90;
    def.nstart = 2;
    must(ctx, dpi_surrogate_train(ctx, &def, 3, names, functions, &fail, &s));
    assert_int_equal(s->nfailed, 9);
    assert_int_equal(s->nrow, 81);
    enum { N = 400 };
    static double x[3 * N], y[3 * N], mean[N], sd[N];
    for (int i = 0; i < 3 * N; i++) x[i] = -PI + 2 * PI * (double)(dpi_rng_at(7, 1, 3, (uint64_t)i) >> 11) * 0x1p-53;
    dp_points p = {.n = N, .x = x, .y = y};
    functions(NULL, &p);
    for (int o = 0; o < 3; o++) {
      int inside = 0;
      double square = 0, promised = 0;
      must(ctx, dpi_surrogate_ask_all(s, o, N, x, mean, sd));
      for (int i = 0; i < N; i++) {
        double e = mean[i] - y[3 * i + o];
        inside += fabs(e) <= 1.645 * sd[i] + 1e-9;
        square += e * e / N;
        promised += sd[i] * sd[i] / N;
      }
      if (getenv("SHOW") || inside < N * 0.78)
        print_error("kind %d output %d: %d of %d inside; rms %g promised %g\n", kind, o, inside, N, sqrt(square),
                    sqrt(promised));
      assert_true(inside >= N * 0.78);
      if (o == 2) assert_true(sqrt(square) < 0.2 && s->part[o].q2 > 0.99);
    }
    dpi_surrogate_destroy(s);
  }
  dp_ctx_destroy(ctx);
}

/* Neither is a polynomial, nor of a process' law; the second has a kink. */
static dp_status bent(void *user, dp_points *p) {
  (void)user;
  for (int i = 0; i < p->n; i++) {
    double a = p->x[2 * i], b = p->x[2 * i + 1];
    p->y[2 * i] = 5 * a * exp(-1.5 * a * b) / (0.3 + b) + sin(3 * a);
    p->y[2 * i + 1] = fmax(a - b, 0) + 0.3 * a * a;
  }
  return DP_OK;
}

/* An interval of 1.645 deviations is meant to hold 9 of 10. Each of 200 surrogates is asked at one place of its own, so
 * that hits are independent: at least 164 (binomial with 0.9: fewer in 1.9e-4 of choices of seeds, one of four gates in
 * 1 of 1000; a true 0.78 passes in 0.1),
 * and not all of them, as intervals would then say nothing. */
static void test_coverage(void **state) {
  (void)state;
  enum { N = 200, LEAST = 164 };
  static const char *const id[2] = {"smooth", "kink"};
  dp_ctx *ctx = make_ctx();
  dpi_surrogate_input in[2] = {{.id = "a", .low = 0.1, .high = 3}, {.id = "b", .low = 0.2, .high = 2, .log = true}};
  dpi_training_def def = dpi_training_def_default();
  def.input = in;
  def.ninput = 2;
  def.npoint = 30;
  def.nstart = 1;
  for (int kind = 1; kind < 3; kind++) {
    int inside[2] = {0, 0};
    double width[2] = {0, 0};
    def.kind = (dpi_training_kind)kind;
    for (int seed = 1; seed <= N; seed++) {
      dpi_surrogate *s;
      double x[2], y[2], mean, sd;
      dp_points p = {.n = 1, .x = x, .y = y};
      def.seed = (uint64_t)seed;
      must(ctx, dpi_surrogate_train(ctx, &def, 2, id, bent, NULL, &s));
      dpi_rng rng = dpi_rng_make(77, (uint64_t)seed, 5);
      x[0] = 0.1 + 2.9 * dpi_rng_uniform(&rng);
      x[1] = 0.2 * pow(10, dpi_rng_uniform(&rng));
      bent(NULL, &p);
      for (int o = 0; o < 2; o++) {
        must(ctx, dpi_surrogate_ask_all(s, o, 1, x, &mean, &sd));
        inside[o] += fabs(mean - y[o]) <= DEVIATIONS * sd;
        width[o] += sd / N;
      }
      dpi_surrogate_destroy(s);
    }
    for (int o = 0; o < 2; o++) {
      bool good = inside[o] >= LEAST && inside[o] < N;
      if (!good || getenv("SHOW"))
        print_error("kind %d %s: %d of %d inside, mean sd %g\n", kind, id[o], inside[o], N, width[o]);
      if (!getenv("SHOW")) assert_true(good);
    }
  }
  dp_ctx_destroy(ctx);
}

/* Text -> the same answers, bytes and hash; every kind of damage is refused. */
static void test_text(void **state) {
  (void)state;
  dp_ctx *ctx = make_ctx();
  dpi_surrogate_input in[3];
  dpi_training_def def = make_def(in);
  dpi_surrogate *s, *t;
  dpi_str a, b;
  dpi_str_init(&a, ctx);
  dpi_str_init(&b, ctx);
  def.npoint = 30;
  def.nstart = 1;
  def.kind = DPI_TRAIN_PCE;
  must(ctx, dpi_surrogate_train(ctx, &def, 3, names, functions, NULL, &s));
  must(ctx, dpi_surrogate_fit_gp(s, 1, &def));
  must(ctx, dpi_surrogate_write(s, &a));
  must(ctx, dpi_surrogate_read(ctx, "file", a.data, a.len, &t));
  must(ctx, dpi_surrogate_write(t, &b));
  assert_string_equal(a.data, b.data);
  assert_string_equal(s->hash, t->hash);
  const double x[3] = {1, -1, 0.5};
  for (int o = 0; o < 3; o++) {
    double m[2], sd[2];
    must(ctx, dpi_surrogate_ask_all(s, o, 1, x, m, sd));
    must(ctx, dpi_surrogate_ask_all(t, o, 1, x, m + 1, sd + 1));
    assert_memory_equal(m, m + 1, sizeof *m);
    assert_memory_equal(sd, sd + 1, sizeof *sd);
  }
  dpi_surrogate_destroy(t);
  size_t live = dpi_alloc_live(ctx);
  for (size_t n = 0; n + 1 < a.len; n += 1 + a.len / 150) { /* cut, and one letter another */
    assert_int_not_equal(dpi_surrogate_read(ctx, "file", a.data, n, &t), DP_OK);
    dp_ctx_clear_error(ctx);
    char keep = a.data[n];
    a.data[n] = keep == '7' ? '8' : '7';
    assert_int_not_equal(dpi_surrogate_read(ctx, "file", a.data, a.len, &t), DP_OK);
    assert_true(dp_ctx_error(ctx)[0] != 0);
    dp_ctx_clear_error(ctx);
    a.data[n] = keep;
  }
  assert_int_equal(dpi_alloc_live(ctx), live);
  dpi_surrogate_destroy(s);
  dpi_str_release(&a);
  dpi_str_release(&b);
  dp_ctx_destroy(ctx);
}

/* Every allocation of training, writing and reading fails once; nothing is left behind. */
static void test_memory(void **state) {
  (void)state;
  failing_memory memory = {0};
  dp_ctx *ctx = failing_context(&memory);
  assert_non_null(ctx);
  dpi_surrogate_input in[3];
  dpi_training_def def = make_def(in);
  def.npoint = 24;
  def.nstart = 1;
  def.degree = 2;
  size_t live = dpi_alloc_live(ctx);
  dp_status status = DP_ERR_MEMORY;
  for (int n = 1; status != DP_OK && n < 20000; n = n < 200 ? n + 1 : n + 37) {
    dpi_surrogate *s = NULL, *t = NULL;
    dpi_str text;
    dpi_str_init(&text, ctx);
    memory.fail_at = memory.calls + n;
    status = dpi_surrogate_train(ctx, &def, 3, names, functions, NULL, &s);
    if (status == DP_OK) status = dpi_surrogate_write(s, &text);
    if (status == DP_OK) status = dpi_surrogate_read(ctx, "file", text.data, text.len, &t);
    memory.fail_at = 0;
    assert_true(status == DP_OK || status == DP_ERR_MEMORY);
    dp_ctx_clear_error(ctx);
    dpi_surrogate_destroy(s);
    dpi_surrogate_destroy(t);
    dpi_str_release(&text);
    assert_int_equal(dpi_alloc_live(ctx), live);
  }
  assert_int_equal(status, DP_OK);
  dp_ctx_destroy(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_two_points), cmocka_unit_test(test_gradient), cmocka_unit_test(test_leave_one_out),
      cmocka_unit_test(test_polynomial), cmocka_unit_test(test_indices),  cmocka_unit_test(test_error),
      cmocka_unit_test(test_coverage),   cmocka_unit_test(test_text),     cmocka_unit_test(test_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
