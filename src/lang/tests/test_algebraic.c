/* Constraints: which variable each determines against hand-made expectations; solved blocks against numeric
 * elimination; residuals of what is left to the solver. */
#include "seal_check.h"

static void one_equation_gives_one_variable(void **state) {
  (void)state;
  dp_model *m = read_text("S1' = k2*S2; S1 = 0.5; S2 = 0.5; k1 = 1; k2 = 0.8; twice := 2*S2");
  set_free(m, "S2");
  constrain(m, "S1 + S2 - k1");
  check_ok(dpi_model_seal(m));
  assert_int_equal(m->nstate, 1);
  assert_int_equal(m->nalgebraic, 0);
  check_value(m, "S2", "k1 - S1");
  check_value(m, "twice", "2*(k1 - S1)");
  check_start(m, "S2", "k1 - 0.5"); /* its own initial value does not count */
  char buf[100];
  assert_string_equal(printed(m, m->sym[1].formula, buf, sizeof buf), "k2*(k1 - S1)");
  dp_model_destroy(m);
}

static void coefficients_may_be_expressions(void **state) {
  (void)state;
  dp_model *m = read_text("T' = -T; T = 3; k3 = 2; S1 = 0; c := (k3 + 1)*S1");
  set_free(m, "S1");
  constrain(m, "c - T"); /* through an assigned symbol */
  constrain(m, "3 - 3"); /* says nothing */
  check_ok(dpi_model_seal(m));
  check_value(m, "S1", "T/(k3 + 1)");
  dp_model_destroy(m);
}

/* of two that could be taken: without a value first, then the one no event sets */
static void the_better_candidate_is_taken(void **state) {
  (void)state;
  dp_model *m = read_text("C1 = 2; C2 = 3; C3 = 0; E: at (time > 1): C1 = 4");
  int sym;
  check_ok(dpi_model_declare(m, "new", 1, &sym));
  set_free(m, "C1 C2 C3 new");
  constrain(m, "C1 - C2");
  constrain(m, "C3 + new");
  check_ok(dpi_model_seal(m));
  check_value(m, "C2", "C1");
  check_value(m, "new", "-C3");
  check_value(m, "C3", "C3");
  dp_model_destroy(m);
  /* of two with values, what the rule itself names */
  m = read_text("A = 2; k = 1; q := A + 1");
  set_free(m, "A k");
  constrain(m, "k - 2*q");
  check_ok(dpi_model_seal(m));
  check_value(m, "k", "2*(A + 1)");
  check_value(m, "A", "A");
  dp_model_destroy(m);
  /* but a complete matching comes first */
  m = read_text("a = 1; b = 2");
  check_ok(dpi_model_declare(m, "x", 1, &sym));
  set_free(m, "a x b");
  constrain(m, "x + a");
  constrain(m, "x - time");
  constrain(m, "x + a + b");
  check_ok(dpi_model_seal(m));
  check_value(m, "x", "time");
  check_value(m, "a", "-time");
  dp_model_destroy(m);
}

static void blocks_follow_each_other(void **state) {
  (void)state;
  dp_model *m = read_text("x = 0; y = 0; z = 0; w = 0; k = 3");
  set_free(m, "x y z w");
  constrain(m, "w - x*y*z");
  constrain(m, "x + y - 10*k");
  constrain(m, "x - y - 2");
  constrain(m, "z*k - x");
  check_ok(dpi_model_seal(m));
  double sym[16] = {0};
  sym[sym_of(m, "k")] = 3;
  const struct {
    const char *id;
    double want;
  } cases[] = {{"x", 16}, {"y", 14}, {"z", 16.0 / 3}, {"w", 16.0 * 14 * 16 / 3}};
  for (int i = 0; i < DPI_COUNT(cases); i++)
    assert_true(near_enough(oracle(m->graph, m->value[sym_of(m, cases[i].id)], sym), cases[i].want, 1e-14));
  assert_int_equal(m->nstate, 0);
  dp_model_destroy(m);
}

/* random linear systems, coefficients numbers or parameters, against elimination with partial pivoting */
static void linear_blocks_agree_with_elimination(void **state) {
  (void)state;
  dpi_rng rng = dpi_rng_make(5, 1, 1);
  for (int round = 0; round < 60; round++) {
    int n = 2 + round % 5, pars = round % 3 == 0 ? 0 : n <= 3 || round % 2 ? 2 : 1;
    double a[36], b[6], p[36], sym[80] = {0};
    int piv[6], x[6], par[36];
    char text[4000] = "", id[40];
    dp_model *m = NULL;
    check_ok(dpi_model_create(ctx, "t", "t", &m));
    for (int i = 0; i < n; i++) {
      snprintf(id, sizeof id, "x%d", i);
      check_ok(dpi_model_declare(m, id, 1, &x[i]));
      m->sym[x[i]].free = true;
    }
    for (int i = 0; i < n; i++) {
      text[0] = '\0';
      b[i] = dpi_rng_normal(&rng);
      for (int j = 0; j < n; j++) {
        a[i * n + j] = p[i * n + j] = dpi_rng_normal(&rng);
        par[i * n + j] = 0;
        size_t at = strlen(text);
        /* a whole row is parametric at the end (pars 2) or one coefficient is */
        if (pars > 0 && (pars == 2 ? i >= n - 3 : j == i)) {
          snprintf(id, sizeof id, "p%d_%d", i, j);
          check_ok(dpi_model_declare(m, id, 1, &par[i * n + j]));
          snprintf(text + at, sizeof text - at, "%s*x%d + ", id, j);
        } else {
          snprintf(text + at, sizeof text - at, "(%.17g)*x%d + ", a[i * n + j], j);
        }
      }
      size_t at = strlen(text);
      snprintf(text + at, sizeof text - at, "(%.17g)", -b[i]);
      constrain(m, text);
    }
    char ids[36][40];
    for (int i = 0; i < n * n; i++) snprintf(ids[i], sizeof ids[i], "%s", par[i] > 0 ? m->sym[par[i]].id : "");
    check_ok(dpi_model_seal(m));
    assert_int_equal(m->nalgebraic, 0);
    for (int i = 0; i < n * n; i++)
      if (ids[i][0]) sym[sym_of(m, ids[i])] = p[i];
    assert_true(dpi_lu(a, n, piv));
    dpi_lu_solve(a, n, piv, b);
    for (int i = 0; i < n; i++) {
      snprintf(id, sizeof id, "x%d", i);
      assert_true(near_enough(oracle(m->graph, m->value[sym_of(m, id)], sym), b[i], 1e-9));
    }
    dp_model_destroy(m);
  }
}

static void what_is_not_linear_stays_implicit(void **state) {
  (void)state;
  static const char *const bent[] = {"exp(x) - k - y", "floor(x) + x - y", "piecewise(x, x > 1, 2*x) - y", "x^2 - y",
                                     "max(x, 3) - y", "x*x*y - k", "x + sin(x) - y"};
  for (int i = 0; i < DPI_COUNT(bent); i++) {
    dp_model *m = read_text("y' = -y; y = 2; x = 0.25; k = 1; z := 2*x");
    set_free(m, "x");
    constrain(m, bent[i]);
    check_ok(dpi_model_seal(m));
    assert_int_equal(m->nstate, 2);
    assert_int_equal(m->nalgebraic, 1);
    assert_int_equal(sym_of(m, "x"), 2); /* after the differential states */
    assert_true(m->sym[2].algebraic);
    assert_true(dpi_graph_at(m->graph, m->sym[2].init).value == 0.25);
    check_value(m, "z", "2*x");
    dpi_system *sys = NULL;
    check_ok(dpi_system_create(ctx, m, NULL, 0, &sys));
    assert_int_equal(sys->nalgebraic, 1);
    assert_false(sys->linear);
    dpi_system_destroy(sys);
    dp_model_destroy(m);
  }
  static const char *const straight[] = {"piecewise(x, y > 1, 2*x) - y", "x*exp(y) - k", "x/k + y*y",
                                         "min(x, x + 1) - y"};
  for (int i = 0; i < DPI_COUNT(straight); i++) {
    dp_model *m = read_text("y' = -y; y = 2; x = 0.25; k = 1.5");
    set_free(m, "x");
    constrain(m, straight[i]);
    check_ok(dpi_model_seal(m));
    assert_int_equal(m->nalgebraic, 0);
    double sym[8] = {0, 1.7};
    sym[sym_of(m, "k")] = 1.5;
    double x = oracle(m->graph, m->value[sym_of(m, "x")], sym);
    char text[100];
    snprintf(text, sizeof text, "%s", straight[i]);
    dpi_node g;
    check_ok(dpi_model_parse(m, text, "t", false, &g)); /* the residual with x written out */
    assert_true(fabs(oracle(m->graph, g, sym)) < 1e-12 && x == x);
    dp_model_destroy(m);
  }
}

/* x + y = a, x y = b: one block, both implicit; a variable computed from them is not */
static void nonlinear_blocks_keep_their_equations(void **state) {
  (void)state;
  dp_model *m = read_text("x = 1; a = 3; b = 2; s' = -s; s = 1");
  int sym;
  check_ok(dpi_model_declare(m, "y", 1, &sym));
  check_ok(dpi_model_declare(m, "q", 1, &sym));
  set_free(m, "x y q");
  constrain(m, "x + y - a");
  constrain(m, "x*y - b*s");
  constrain(m, "q - x - 2*y");
  check_ok(dpi_model_seal(m));
  assert_int_equal(m->nalgebraic, 2);
  assert_int_equal(m->nstate, 3);
  check_value(m, "q", "2*y + x");
  char buf[100];
  assert_string_equal(printed(m, m->sym[sym_of(m, "y")].init, buf, sizeof buf), "1"); /* no value: some number */
  double at[16] = {0};
  at[sym_of(m, "x")] = 5, at[sym_of(m, "y")] = 7, at[sym_of(m, "a")] = 3, at[sym_of(m, "b")] = 2, at[1] = 11;
  double r1 = oracle(m->graph, m->sym[sym_of(m, "x")].formula, at),
         r2 = oracle(m->graph, m->sym[sym_of(m, "y")].formula, at);
  assert_true((r1 == 9 && r2 == 13) || (r1 == 13 && r2 == 9));
  dpi_system *sys = NULL;
  check_ok(dpi_system_create(ctx, m, NULL, 0, &sys));
  assert_int_equal(sys->jac_nnz, 6); /* ds/ds; 2 + 3 of the residuals */
  dpi_system_destroy(sys);
  dp_model_destroy(m);
}

static void what_can_not_be_determined_is_refused(void **state) {
  (void)state;
  dp_model *m = read_text("A' = -A; A = 1; B' = A; B = 0; T = 1");
  constrain(m, "A + B - T"); /* nothing is free */
  check_seal_refused(m, DP_ERR_INPUT, "m.ant:100: algebraic rule 0 = A + B - T", "(overdetermined)");
  m = read_text("x = 1; k = 2");
  set_free(m, "x");
  constrain(m, "x - k");
  constrain(m, "x - 2*k");
  check_seal_refused(m, DP_ERR_INPUT, "m.ant:101: algebraic rule", "(overdetermined)");
  m = read_text("x = 1");
  constrain(m, "1 + 1");
  check_seal_refused(m, DP_ERR_INPUT, "m.ant:100: algebraic rule 0 = 2", "can't hold");
  m = read_text("x' = y; x = 1; y = 2"); /* index 2 */
  set_free(m, "y");
  constrain(m, "x - sin(time)");
  check_seal_refused(m, DP_ERR_UNSUPPORTED, "m.ant:100: algebraic rule", "higher index");
  m = read_text("x = 1; y = 2; k = 1");
  set_free(m, "x y");
  constrain(m, "x + y - k");
  constrain(m, "2*x + 2*y - 2*k");
  check_seal_refused(m, DP_ERR_INPUT, "follows from the other algebraic rules, or contradicts them", "m.ant:10");
  m = read_text("x = 1; E: at (time > 1): x = 2");
  set_free(m, "x");
  constrain(m, "x - time");
  check_seal_refused(m, DP_ERR_INPUT, "an event sets 'x', which the algebraic rule in line 100 determines", "");
  m = read_text("x = 1; y = 2*x; y' = -y; k = 1"); /* y(0) would have to wait for x */
  set_free(m, "x");
  constrain(m, "exp(x) - k");
  check_seal_refused(m, DP_ERR_UNSUPPORTED, "the value of 'y' at the start depends on", "implicitly");
  m = read_text("x = 1; p = 2*x; k = 1");
  set_free(m, "x");
  constrain(m, "exp(x) - k");
  check_seal_refused(m, DP_ERR_UNSUPPORTED, "the value of 'p' at the start depends on", "implicitly");
}

/* a chain of n constraints, given in the order that is worst for a search: quadratic work would not end */
static void long_chains_of_constraints_seal(void **state) {
  (void)state;
  enum { N = 20000 };
  char id[32];
  dp_model *m = NULL;
  check_ok(dpi_model_create(ctx, "t", "t", &m));
  int first = 0;
  for (int i = 0; i <= N; i++) {
    int sym;
    snprintf(id, sizeof id, "x%d", i);
    check_ok(dpi_model_declare(m, id, 1, &sym));
    m->sym[sym].free = i < N; /* x_N is given: the chain is solved from the end */
    m->sym[sym].value = 1;
    if (i == 0) first = sym;
  }
  for (int i = 0; i < N; i++)
    check_ok(dpi_model_add_constraint(
        m, dpi_g_op2(m->graph, DPI_OP_SUB, dpi_g_sym(m->graph, first + i), dpi_g_sym(m->graph, first + i + 1)), 1));
  check_ok(dpi_model_seal(m));
  check_value(m, "x0", "x20000");
  dp_model_destroy(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_equation_gives_one_variable),
      cmocka_unit_test(coefficients_may_be_expressions),
      cmocka_unit_test(the_better_candidate_is_taken),
      cmocka_unit_test(blocks_follow_each_other),
      cmocka_unit_test(linear_blocks_agree_with_elimination),
      cmocka_unit_test(what_is_not_linear_stays_implicit),
      cmocka_unit_test(nonlinear_blocks_keep_their_equations),
      cmocka_unit_test(what_can_not_be_determined_is_refused),
      cmocka_unit_test(long_chains_of_constraints_seal),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
