/* Both passes of derivatives (forward, backward) against dpi_g_diff entry by entry; branches that are not taken; inputs
 * that are no symbols; the size of a gradient against the size of the function. */
#include "lang_check.h"

static const char *const functions[] = {
    "x*y + 3*x - y/x", "x^3 - x^-2 + x^y", "(x*y)^(1/3) + y^x", "exp(-x*y) + expm1(x)*z",
    "ln(x) + log10(y) + log1p(x*y)",
    "sqrt(x*y + 1)/z", "abs(x - 5) + abs(5 - y)", "sin(x)*cos(y) + tan(x/3)", "asin(x/4) - acos(y/4) + atan(x*y)",
    "sinh(x) + cosh(y) - tanh(x*y/3)", "asinh(x) + acosh(y + 1) + atanh(x/4)", "erf(x - y) + lgamma(x + y)",
    "min(x, y)*x + max(x^2, y)", "piecewise(x*y, x < 1, x^2*y, x < 3, y)", "atan2(x, y)*z", "mod(x*10, y)",
    "floor(x)*y + ceil(y)*x", "x^4/(2^4 + x^4)", "max(x, y, 2*x - y, 0)", "(x > 1) * y + (x < 2 && y > 1) * x",
    "piecewise(piecewise(1/z, x > y, ln(x)), y > 1, x/y)*(x + z) - z*z/x"};
enum { NF = DPI_COUNT(functions), NX = 3 };

static const double points[][NX] = {{0.7, 1.3, 2.1}, {2.3, 1.7, 0.4}, {1.45, 2.6, 1.45}};

static dp_model *xyz(void) {
  dp_model *m = NULL;
  int k;
  check_ok(dpi_model_create(ctx, "t", "t", &m));
  check_ok(dpi_model_symbol(m, "x", 1, &k));
  check_ok(dpi_model_symbol(m, "y", 1, &k));
  check_ok(dpi_model_symbol(m, "z", 1, &k));
  return m;
}

static void near_to(double got, double want, const char *what) {
  if (!(fabs(got - want) <= 1e-13 * (1 + fabs(want)))) print_message("%s: %.17g, expected %.17g\n", what, got, want);
  assert_true(fabs(got - want) <= 1e-13 * (1 + fabs(want)));
}

static void passes_agree_with_diff(void **state) {
  (void)state;
  dp_model *m = xyz();
  dpi_graph *g = m->graph;
  dpi_node f[NF], at[NX], dot[NX], tangent[NF], weight[NF], grad[NX];
  for (int i = 0; i < NF; i++) check_ok(dpi_model_parse(m, functions[i], "f", false, &f[i]));
  for (int k = 0; k < NX; k++) {
    at[k] = dpi_g_sym(g, 1 + k);
    dot[k] = dpi_g_const(g, 0.3 - k);
  }
  for (int i = 0; i < NF; i++) weight[i] = dpi_g_const(g, 1.0 / (1 + i));
  check_ok(dpi_g_jvp(g, f, NF, at, dot, NX, tangent));
  check_ok(dpi_g_vjp(g, f, weight, NF, at, NX, grad));
  for (int p = 0; p < DPI_COUNT(points); p++) {
    const double sym[4] = {0, points[p][0], points[p][1], points[p][2]};
    double all[NX] = {0};
    for (int i = 0; i < NF; i++) {
      double along = 0;
      dpi_node one[NX];
      check_ok(dpi_g_vjp(g, &f[i], &weight[0], 1, at, NX, one));
      for (int k = 0; k < NX; k++) {
        const double d = tape_value(g, dpi_g_diff(g, f[i], 1 + k), sym, 4);
        near_to(tape_value(g, one[k], sym, 4), d, functions[i]);
        along += d * (0.3 - k);
        all[k] += d / (1 + i);
      }
      near_to(tape_value(g, tangent[i], sym, 4), along, functions[i]);
    }
    for (int k = 0; k < NX; k++) near_to(tape_value(g, grad[k], sym, 4), all[k], "sum");
  }
  dp_model_destroy(m);
}

/* what would be 0 * inf must not be seen */
static void branches_not_taken_are_silent(void **state) {
  (void)state;
  static const char *const text[] = {
      "piecewise(0, x <= 0, x*ln(x))", "piecewise(0, x <= 0, piecewise(y, x <= -1, sqrt(x)*y) + 1/x)",
      "min(1/x, y)*y", "max(y, ln(x))^2", "piecewise(x, x <= 0, (1/x + ln(x))*(2/x))"};
  dp_model *m = xyz();
  dpi_graph *g = m->graph;
  const double sym[4] = {0, 0, 1.5, 2};
  dpi_node at[2] = {dpi_g_sym(g, 1), dpi_g_sym(g, 2)}, grad[2], f, w = dpi_g_const(g, 1.0);
  for (int i = 0; i < DPI_COUNT(text); i++) {
    check_ok(dpi_model_parse(m, text[i], "f", false, &f));
    check_ok(dpi_g_vjp(g, &f, &w, 1, at, 2, grad));
    for (int k = 0; k < 2; k++)
      near_to(tape_value(g, grad[k], sym, 4), tape_value(g, dpi_g_diff(g, f, 1 + k), sym, 4), text[i]);
  }
  dp_model_destroy(m);
}

/* an input may be any node; what it is made of is then left alone */
static void inputs_may_be_expressions(void **state) {
  (void)state;
  dp_model *m = xyz();
  dpi_graph *g = m->graph;
  dpi_node u, f, at[2], dot[2], grad[2], tangent, w = dpi_g_const(g, 1.0);
  check_ok(dpi_model_parse(m, "x*y", "u", false, &u));
  check_ok(dpi_model_parse(m, "(x*y)^2*x + z", "f", false, &f));
  at[0] = u;
  at[1] = dpi_g_sym(g, 1);
  dot[0] = dpi_g_const(g, 10.0);
  dot[1] = dpi_g_const(g, 1.0);
  check_ok(dpi_g_vjp(g, &f, &w, 1, at, 2, grad));
  check_ok(dpi_g_jvp(g, &f, 1, at, dot, 2, &tangent));
  const double sym[4] = {0, 2, 3, 5};
  near_to(tape_value(g, grad[0], sym, 4), 2 * 6 * 2, "by u");
  near_to(tape_value(g, grad[1], sym, 4), 36, "by x beside u");
  near_to(tape_value(g, tangent, sym, 4), 24 * 10 + 36, "along");
  dp_model_destroy(m);
}

/* a gradient by 200 inputs costs a few times the function, and no deep expression overflows anything */
static void gradients_are_cheap(void **state) {
  (void)state;
  enum { N = 200 };
  dp_model *m = NULL;
  char name[16];
  int k;
  check_ok(dpi_model_create(ctx, "t", "t", &m));
  dpi_graph *g = m->graph;
  dpi_node at[N], grad[N], f = dpi_g_const(g, 1.0), w = f;
  for (int i = 0; i < N; i++) {
    snprintf(name, sizeof name, "p%d", i);
    check_ok(dpi_model_symbol(m, name, 1, &k));
    at[i] = dpi_g_sym(g, k);
  }
  for (int i = 0; i < 50 * N; i++)
    f = dpi_g_op1(g, DPI_OP_TANH,
                  dpi_g_op2(g, DPI_OP_ADD, dpi_g_op2(g, DPI_OP_MUL, f, at[i % N]), at[(i * 7 + 1) % N]));
  check_ok(dpi_g_vjp(g, &f, &w, 1, at, N, grad));
  dpi_tape *one = NULL, *all = NULL;
  uint8_t fast[N + 1];
  memset(fast, 1, sizeof fast);
  check_ok(dpi_tape_create(ctx, g, &f, 1, fast, N + 1, &one));
  check_ok(dpi_tape_create(ctx, g, grad, N, fast, N + 1, &all));
  if (dpi_tape_nstep(all) > 6 * dpi_tape_nstep(one))
    print_message("%d steps, function %d\n", dpi_tape_nstep(all), dpi_tape_nstep(one));
  assert_true(dpi_tape_nstep(all) <= 6 * dpi_tape_nstep(one));
  dpi_tape_destroy(one);
  dpi_tape_destroy(all);
  dp_model_destroy(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(passes_agree_with_diff),
      cmocka_unit_test(branches_not_taken_are_silent),
      cmocka_unit_test(inputs_may_be_expressions),
      cmocka_unit_test(gradients_are_cheap),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
