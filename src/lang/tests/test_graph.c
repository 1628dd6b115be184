/* Derivatives against central differences of the C library's functions; sharing, folding and printing against the
 * expected text; depth against a chain of 200,000 operations. */
#include "base/tests/failing_memory.h"
#include "lang_check.h"

static const char *const functions[] = {"x*y + 3*x - y/x",
                                        "x^3 - x^-2 + x^y",
                                        "y^x",
                                        "(x*y)^(1/3)",
                                        "x^2.5",
                                        "exp(-x*y) + expm1(x)",
                                        "ln(x) + log10(y) + log1p(x*y)",
                                        "sqrt(x*y + 1)",
                                        "abs(x - 5) + abs(5 - y)",
                                        "sin(x)*cos(y) + tan(x/3)",
                                        "asin(x/4) - acos(y/4) + atan(x*y)",
                                        "sinh(x) + cosh(y) - tanh(x*y/3)",
                                        "asinh(x) + acosh(y + 1) + atanh(x/4)",
                                        "erf(x - y) + lgamma(x + y)",
                                        "min(x, y)*x + max(x^2, y)",
                                        "piecewise(x*y, x < 1, x^2*y, x < 3, y)",
                                        "atan2(x, y)",
                                        "mod(x*10, y)",
                                        "floor(x)*y + ceil(y)*x",
                                        "x/(x + y)",
                                        "x^4/(2^4 + x^4)",
                                        "-(x - y)/(x + y)^2",
                                        "sign(x - 1)*x",
                                        "quotient(x, y) + x",
                                        "sec(x/3) + csc(x) + cot(y)",
                                        "arcsec(x + 2) + arccsc(y + 2) + arccot(x)",
                                        "sech(x) - csch(y) + coth(x)",
                                        "arcsech(x/4) + arccsch(y) + arccoth(x + 2)",
                                        "root(3, x) + sqr(y) + power(x, y)",
                                        "log(x, 3)",
                                        "log2(x*y)",
                                        "(x > 1) * y + (x < 2 && y > 1) * x",
                                        "max(x, y, 2*x - y, 0)",
                                        "factorial(4)*x",
                                        "piecewise(1/x, x > 0)"};

static void derivatives_match_central_differences(void **state) {
  (void)state;
  dp_model *m = NULL;
  int x, y;
  check_ok(dpi_model_create(ctx, "t", "t", &m));
  check_ok(dpi_model_symbol(m, "x", 1, &x));
  check_ok(dpi_model_symbol(m, "y", 1, &y));
  const double points[][2] = {{0.7, 1.3}, {2.3, 1.7}, {1.45, 2.6}};
  for (int i = 0; i < DPI_COUNT(functions); i++) {
    dpi_node n;
    check_ok(dpi_model_parse(m, functions[i], "f", false, &n));
    for (int p = 0; p < DPI_COUNT(points); p++) {
      for (int k = 0; k < 2; k++) {
        double sym[3] = {0, points[p][0], points[p][1]}, h = 1e-6;
        dpi_node d = dpi_g_diff(m->graph, n, 1 + k);
        assert_true(d >= 0);
        double got = tape_value(m->graph, d, sym, 3), v = sym[1 + k];
        sym[1 + k] = v + h;
        double up = oracle(m->graph, n, sym);
        sym[1 + k] = v - h;
        double down = oracle(m->graph, n, sym), want = (up - down) / (2 * h);
        if (!near_enough(got, want, 1e-7))
          print_message("d %s / d %d: %g, differences %g\n", functions[i], k, got, want);
        assert_true(near_enough(got, want, 1e-7));
      }
    }
  }
  dp_model_destroy(m);
}

/* derivative of x^n and x^y at x = 0: limits, not NaN */
static void derivatives_at_zero(void **state) {
  (void)state;
  dp_model *m =
      read_sealed("x = 0; y = 2.5; z = 1; a := x^2.5; b := x^y; c := x^3; d := x^y/(1 + x^y)");
  const char *const ids[] = {"a", "b", "c", "d"};
  double sym[16] = {0};
  sym[sym_of(m, "y")] = 2.5;
  for (int i = 0; i < 4; i++) {
    dpi_node n = dpi_model_value(m, sym_of(m, ids[i]));
    assert_true(tape_value(m->graph, dpi_g_diff(m->graph, n, sym_of(m, "x")), sym, m->nsym) == 0.0);
    assert_true(tape_value(m->graph, dpi_g_diff(m->graph, n, sym_of(m, "y")), sym, m->nsym) == 0.0);
  }
  dp_model_destroy(m);
}

static void equal_expressions_are_one_node(void **state) {
  (void)state;
  dpi_graph *g = NULL;
  check_ok(dpi_graph_create(ctx, &g));
  dpi_node x = dpi_g_sym(g, 1), y = dpi_g_sym(g, 2), zero = dpi_g_const(g, 0),
           one = dpi_g_const(g, 1);
  assert_int_equal(dpi_g_op2(g, DPI_OP_ADD, x, y), dpi_g_op2(g, DPI_OP_ADD, y, x));
  assert_int_equal(dpi_g_op2(g, DPI_OP_ADD, x, zero), x);
  assert_int_equal(dpi_g_op2(g, DPI_OP_MUL, one, x), x);
  assert_int_equal(dpi_g_op2(g, DPI_OP_MUL, x, zero), zero);
  assert_int_equal(dpi_g_op2(g, DPI_OP_DIV, x, one), x);
  assert_int_equal(dpi_g_op2(g, DPI_OP_POW, x, one), x);
  assert_int_equal(dpi_g_op2(g, DPI_OP_POW, x, zero), one);
  assert_int_equal(dpi_g_op2(g, DPI_OP_SUB, zero, dpi_g_op1(g, DPI_OP_NEG, x)), x);
  assert_int_equal(dpi_g_op2(g, DPI_OP_ADD, x, DPI_NODE_NONE), DPI_NODE_NONE);
  assert_int_equal(dpi_g_if(g, one, x, y), x);
  dpi_gnode p = dpi_graph_at(g, dpi_g_op2(g, DPI_OP_POW, x, dpi_g_const(g, -3)));
  assert_int_equal(p.op, DPI_OP_POWI);
  assert_int_equal(p.arg[1], -3);
  int before = dpi_graph_count(g);
  dpi_g_op2(g, DPI_OP_POW, x, dpi_g_const(g, -3));
  assert_int_equal(dpi_graph_count(g), before);
  dpi_graph_destroy(g);
}

/* a constant folded when the graph is built has the bytes of one computed by a tape */
static void folding_equals_running(void **state) {
  (void)state;
  dp_model *m = read_sealed("x = 1.7; y = 0.3");
  double sym[3] = {0};
  sym[sym_of(m, "x")] = 1.7;
  sym[sym_of(m, "y")] = 0.3;
  for (int i = 0; i < DPI_COUNT(functions); i++) {
    dpi_node n;
    double folded;
    check_ok(dpi_model_parse(m, functions[i], "f", false, &n));
    double run = tape_value(m->graph, n, sym, 3);
    dpi_node value[3] = {DPI_NODE_NONE, DPI_NODE_NONE, DPI_NODE_NONE};
    for (int k = 1; k < 3; k++) value[k] = dpi_g_const(m->graph, sym[k]);
    assert_true(dpi_g_is_const(m->graph, dpi_g_subst(m->graph, n, value, 3), &folded));
    assert_true(near_enough(folded, oracle(m->graph, n, sym), 1e-12));
    assert_memory_equal(&folded, &run, sizeof run);
  }
  dp_model_destroy(m);
}

static void powers_are_products_in_fixed_order(void **state) {
  (void)state;
  double x = 1.1, x2 = x * x, x4 = x2 * x2;
  assert_true(dpi_powi(x, 2) == x * x);
  assert_true(dpi_powi(x, 3) == x * x2);
  assert_true(dpi_powi(x, 5) == x * x4);
  assert_true(dpi_powi(x, -6) == 1.0 / (x2 * x4));
  assert_true(dpi_powi(0.0, -1) == INFINITY);
  for (int n = -64; n <= 64; n++) assert_true(near_enough(dpi_powi(x, n), pow(x, n), 1e-14));
}

/* values of psi: Abramowitz & Stegun table 6.1 and psi(1) = -gamma, psi(1/2) = -gamma - 2 ln 2;
 * reflection below zero */
static void digamma_matches_tables(void **state) {
  (void)state;
  const double euler = 0.57721566490153286061;
  assert_true(near_enough(dpi_op_digamma(1.0), -euler, 1e-14));
  assert_true(near_enough(dpi_op_digamma(0.5), -euler - 2 * log(2.0), 1e-14));
  assert_true(near_enough(dpi_op_digamma(2.0), 1 - euler, 1e-14));
  assert_true(near_enough(dpi_op_digamma(1.5), 0.0364899739785765, 1e-13));
  assert_true(near_enough(dpi_op_digamma(-0.5), dpi_op_digamma(0.5) + 2.0, 1e-13));
  assert_true(dpi_op_digamma(0.0) != dpi_op_digamma(0.0));
}

static const char *name3(void *user, int sym) {
  (void)user;
  static const char *const name[] = {"time", "x", "y", "z"};
  return name[sym];
}

/* what is printed reads back as the same node */
static void printing_round_trip(void **state) {
  (void)state;
  dp_model *m = NULL;
  int s;
  check_ok(dpi_model_create(ctx, "t", "t", &m));
  check_ok(dpi_model_symbol(m, "x", 1, &s));
  check_ok(dpi_model_symbol(m, "y", 1, &s));
  check_ok(dpi_model_symbol(m, "z", 1, &s));
  static const char *const more[] = {"x - (y - z)",
                                     "x/(y/z)",
                                     "x/(y*z)",
                                     "(x - y) - z",
                                     "-x^2",
                                     "(-x)^2",
                                     "x^y^z",
                                     "(x^y)^z",
                                     "x^-y",
                                     "!(x < y) && z > 1",
                                     "x < y || (y < z && x > 2)",
                                     "(x < y) < z",
                                     "x*(y + z)*2",
                                     "-(x + y)*z",
                                     "1e-300*x",
                                     "x^(-3)",
                                     "-3*x",
                                     "(x == y) + 1",
                                     "x % y * z",
                                     "time*x",
                                     "!x",
                                     "-(-(x*y) + z)",
                                     "2^x",
                                     "(-2)^x"};
  for (int i = 0; i < DPI_COUNT(functions) + DPI_COUNT(more); i++) {
    const char *text = i < DPI_COUNT(functions) ? functions[i] : more[i - DPI_COUNT(functions)];
    dpi_node n, again;
    dpi_str out;
    check_ok(dpi_model_parse(m, text, "f", false, &n));
    dpi_str_init(&out, ctx);
    dpi_g_print(m->graph, n, name3, NULL, &out);
    check_ok(dpi_model_parse(m, dpi_str_text(&out), "printed", false, &again));
    if (again != n) print_message("%s  printed as  %s\n", text, dpi_str_text(&out));
    assert_int_equal(again, n);
    dpi_str_release(&out);
  }
  dp_model_destroy(m);
}

/* no operation on the graph may recurse: the C stack would overflow here */
static void deep_chains_are_no_problem(void **state) {
  (void)state;
  dpi_graph *g = NULL;
  check_ok(dpi_graph_create(ctx, &g));
  dpi_node x = dpi_g_sym(g, 1), n = x;
  for (int i = 0; i < 200000; i++) n = dpi_g_op2(g, DPI_OP_ADD, dpi_g_op1(g, DPI_OP_SIN, n), x);
  assert_true(n >= 0);
  dpi_node d = dpi_g_diff(g, n, 1), replacement[2] = {DPI_NODE_NONE, dpi_g_sym(g, 2)};
  assert_true(d >= 0);
  dpi_node s = dpi_g_subst(g, n, replacement, 2);
  assert_true(s >= 0 && s != n);
  uint8_t seen[3] = {0};
  dpi_g_depends(g, s, seen, 3);
  assert_true(!seen[1] && seen[2]);
  dpi_str out;
  dpi_str_init(&out, ctx);
  dpi_g_print(g, n, name3, NULL, &out);
  assert_true(out.len > 1000000 && strcmp(out.data + out.len - 3, "...") == 0);
  dpi_str_release(&out);
  dpi_graph_destroy(g);
}

/* the n-th allocation fails: an error, no crash, nothing lost */
static void memory_may_run_out_anywhere(void **state) {
  (void)state;
  const char *text =
      "function f(x) x^2 end\nmodel m()\n species A, B; J: A -> B; k*A/(A + B)^2; A = 1; B = 2*k; "
      "k = 0.3; E: at (A < 0.5): A = 2;\n"
      "c := f(A) + piecewise(1, A < B, 2) end\n";
  int failures = 0;
  for (long n = 0;; n++) {
    failing_memory memory = {0};
    failing_stays(&memory, n);
    dp_ctx *c = failing_context(&memory);
    dp_model *m = NULL;
    dpi_system *sys = NULL;
    char *show = NULL;
    if (c == NULL) continue;
    size_t live = dpi_alloc_live(c);
    dp_status s = dpi_antimony_read(c, text, strlen(text), "m.ant", &m);
    if (s == DP_OK) s = dpi_model_seal(m);
    int active = s == DP_OK ? sym_of(m, "k") : 0;
    if (s == DP_OK) s = dpi_system_create(c, m, &active, 1, &sys);
    if (s == DP_OK) s = dp_model_show(m, &show);
    if (s == DP_OK) dp_model_text_free(m, show);
    dpi_system_destroy(sys);
    dp_model_destroy(m);
    assert_int_equal(dpi_alloc_live(c), live);
    if (s != DP_OK && s != DP_ERR_MEMORY) print_message("allocation %ld: %s\n", n, dp_ctx_error(c));
    dp_ctx_destroy(c);
    if (s == DP_OK) break;
    assert_int_equal(s, DP_ERR_MEMORY);
    failures++;
    assert_true(n < 100000);
  }
  assert_true(failures > 50);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(derivatives_match_central_differences),
      cmocka_unit_test(derivatives_at_zero),
      cmocka_unit_test(equal_expressions_are_one_node),
      cmocka_unit_test(folding_equals_running),
      cmocka_unit_test(powers_are_products_in_fixed_order),
      cmocka_unit_test(digamma_matches_tables),
      cmocka_unit_test(printing_round_trip),
      cmocka_unit_test(deep_chains_are_no_problem),
      cmocka_unit_test(memory_may_run_out_anywhere),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
