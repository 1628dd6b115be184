/* Incomplete models sealed partly: each thing that may be missing, what follows from it and what does not. What is left
 * is compared with the same model written without the missing part. */
#include "doppel/model.h"
#include "seal_check.h"

static dp_model *partly(const char *text, const char *given) {
  dp_model *m = read_text(text);
  check_ok(dp_model_seal_partly(m, given ? &given : NULL, given ? 1 : 0));
  return m;
}

/* sentences in their order, then nothing; frees the model */
static void check_says(dp_model *m, const char *const *want) {
  int n = 0;
  for (; want[n] != NULL; n++) {
    if (n >= dp_model_nunknown(m)) print_message("not said: %s\n", want[n]);
    assert_true(n < dp_model_nunknown(m));
    assert_string_equal(dp_model_unknown(m, n), want[n]);
  }
  if (n < dp_model_nunknown(m)) print_message("too much: %s\n", dp_model_unknown(m, n));
  assert_int_equal(n, dp_model_nunknown(m));
}
#define CHECK_SAYS(m, ...) check_says(m, (const char *const[]){__VA_ARGS__, NULL})

static void check_unknown(const dp_model *m, const char *ids) {
  char copy[200], *rest = copy;
  snprintf(copy, sizeof copy, "%s", ids);
  for (char *id; (id = strtok_r(rest, " ", &rest)) != NULL;) {
    double v = 0;
    bool constant = dpi_g_is_const(m->graph, dpi_model_value(m, sym_of(m, id)), &v);
    if (!constant || v == v) print_message("%s has a value\n", id);
    assert_true(constant && v != v);
    assert_int_equal(m->sym[sym_of(m, id)].kind, DPI_SYM_ASSIGNED);
    assert_false(m->sym[sym_of(m, id)].needed);
  }
}

static void check_rate(const dp_model *m, const char *id, const char *want) {
  char buf[400];
  int sym = sym_of(m, id);
  assert_int_equal(m->sym[sym].kind, DPI_SYM_STATE);
  assert_string_equal(printed(m, m->sym[sym].formula, buf, sizeof buf), want);
}

/* nothing that has no value is needed to run what is left */
static void check_runs(const dp_model *m) {
  for (int i = 0; i < m->nsym; i++) {
    const dpi_symbol *y = &m->sym[i];
    if (y->needed && y->kind == DPI_SYM_PARAM && y->value != y->value) print_message("%s is needed\n", y->id);
    assert_false(y->needed && y->kind == DPI_SYM_PARAM && y->value != y->value);
  }
}

static void a_complete_model_is_what_it_was(void **state) {
  (void)state;
  const char *text = "A -> B; k*A; A = 1; B = 0; k = 2; y := A + B; E: at time > 1: k = 3";
  dp_model *a = partly(text, NULL), *b = read_sealed(text);
  char *s = NULL, *t = NULL;
  assert_int_equal(dp_model_nunknown(a), 0);
  check_ok(dp_model_show(a, &s));
  check_ok(dp_model_show(b, &t));
  assert_string_equal(s, t);
  dp_model_text_free(a, s);
  dp_model_text_free(b, t);
  dp_model_destroy(a);
  dp_model_destroy(b);
}

static void a_parameter_without_value(void **state) {
  (void)state;
  const char *text =
      "var k, q; A -> B; k*A; A = 1; B = 0; C -> D; q*C; C = 1; D = 0; q = 2; o = 0; y := A*o + C; z := C*2";
  dp_model *m = partly(text, NULL);
  CHECK_SAYS(m, "parameter 'k' has no value", "so 'A', 'B', 'y', '_J0' are not known");
  check_unknown(m, "k A B y _J0");
  assert_int_equal(m->nstate, 2);
  assert_int_equal(m->nreaction, 1);
  check_rate(m, "C", "-(q*C)");
  check_value(m, "z", "C*2");
  check_runs(m);
  dp_model_destroy(m);
  m = partly(text, "k"); /* the caller will say it */
  assert_int_equal(dp_model_nunknown(m), 0);
  assert_int_equal(m->nstate, 4);
  assert_true(m->sym[sym_of(m, "k")].needed);
  dp_model_destroy(m);
}

static void a_state_without_initial_value(void **state) {
  (void)state;
  const char *text = "x' = 1; y' = -y; y = 1; z' = x; z = 0; w := 3*z";
  check_refused(text, DP_ERR_INPUT, "state 'x' has no initial value", "expected 'x = ...'");
  dp_model *m = partly(text, NULL);
  CHECK_SAYS(m, "parameter 'x' has no initial value", "so 'z', 'w' are not known");
  check_unknown(m, "x z w");
  check_rate(m, "y", "-y");
  dp_model_destroy(m);
  m = partly("species S, B; S -> B; 2; B = 1", NULL);
  CHECK_SAYS(m, "species 'S' has no initial value");
  check_unknown(m, "S amount(S)");
  check_rate(m, "B", "2");
  assert_int_equal(m->reaction[0].nchange, 1);
  assert_int_equal(m->reaction[0].norder, 0);
  dp_model_destroy(m);
  m = read_text(text); /* to be given a value a state needs one in the text */
  const char *given = "x";
  assert_int_equal(dp_model_seal_partly(m, &given, 1), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(ctx), "state 'x' has no initial value"));
  dp_model_destroy(m);
  dp_ctx_clear_error(ctx);
}

static void a_reaction_without_rate(void **state) {
  (void)state;
  const char *text = "J0: A -> B; ; J1: C -> ; k*C; A = 1; B = 1; C = 1; k = 1; y := 2*J0";
  check_refused(text, DP_ERR_UNSUPPORTED, "m.ant:1: reaction 'J0' has no rate", "only flux balance does without");
  dp_model *m = partly(text, NULL);
  CHECK_SAYS(m, "reaction 'J0' has no rate", "so 'A', 'B', 'y' are not known");
  check_unknown(m, "J0 A B y");
  check_rate(m, "C", "-(k*C)");
  assert_int_equal(m->nreaction, 1);
  assert_string_equal(m->reaction[0].id, "J1");
  dp_model_destroy(m);
}

static void a_compartment_without_size(void **state) {
  (void)state;
  dp_model *m = partly("compartment c; species S in c, T in c; S = 1; T = 2; S -> ; S", NULL);
  CHECK_SAYS(m, "compartment 'c' has no size", "so 'S', '_J0', 'amount(T)' are not known");
  check_value(m, "T", "T");
  dp_model_destroy(m);
}

static void a_name_that_is_only_used(void **state) {
  (void)state;
  const char *text = "A' = -kell*A; A = 1; kel = 2; B' = -kel*B; B = 1";
  check_refused(text, DP_ERR_INPUT, "'kell' is used but not defined", "did you mean 'kel'?");
  dp_model *m = partly(text, NULL);
  CHECK_SAYS(m, "'kell' is used but not defined; did you mean 'kel'?", "so 'A' is not known");
  check_unknown(m, "kell A");
  check_rate(m, "B", "-(kel*B)");
  dp_model_destroy(m);
}

static void through_initial_values_and_chains(void **state) {
  (void)state;
  dp_model *m = partly("var u; a = 2*u; b := a + 1; x' = -x; x = b; p := x; ok' = 1; ok = 0", NULL);
  check_unknown(m, "u a b x p");
  assert_int_equal(m->nstate, 1);
  dp_model_destroy(m);
  enum { LONG = 20000 }; /* a long chain, last first, in linear time */
  m = read_text("var k; x0 = 1");
  int sym, before = sym_of(m, "k");
  char id[32];
  for (int i = LONG; i > 0; i--) {
    snprintf(id, sizeof id, "c%d", i);
    check_ok(dpi_model_declare(m, id, 1, &sym));
    m->sym[sym].kind = DPI_SYM_ASSIGNED;
  }
  for (int i = 1; i <= LONG; i++) {
    snprintf(id, sizeof id, "c%d", i);
    sym = sym_of(m, id);
    m->sym[sym].formula = dpi_g_op2(m->graph, DPI_OP_ADD, dpi_g_sym(m->graph, before), dpi_g_const(m->graph, i));
    before = sym;
  }
  check_ok(dp_model_seal_partly(m, NULL, 0));
  check_unknown(m, "c1 c20000");
  dp_model_destroy(m);
}

static void events(void **state) {
  (void)state;
  dp_model *m = partly("var u; a = 1; b = 1; c = 1; d = 1; x' = 1; x = 0;"
                       "E0: at x > u: a = 2;"
                       "E1: at u after x > 1: b = 2;"
                       "E2: at x > 2, priority = u: c = 2;"
                       "E3: at x > 3: d = u, x = 0",
                       NULL);
  CHECK_SAYS(m, "parameter 'u' has no value", "so 'a', 'b', 'c', 'd' are not known",
             "event 'E0' is left out: when it happens is not known",
             "event 'E1' is left out: when it happens is not known",
             "event 'E2' is left out: when it happens is not known");
  check_unknown(m, "a b c d");
  assert_int_equal(m->nevent, 1);
  assert_string_equal(m->event[0].id, "E3");
  assert_int_equal(m->event[0].nassign, 1);
  assert_string_equal(m->sym[m->event[0].assign[0].sym].id, "x");
  check_runs(m);
  dp_model_destroy(m);
}

/* without value until an event gives it one */
static void not_yet(void **state) {
  (void)state;
  dp_model *m = partly("var p; y := 2*p; x' = p; x = 0; t' = 1; t = 0; E: at t > 1: p = t; F: at p > 3: t = 0", NULL);
  CHECK_SAYS(m, "parameter 'p' has no value", "so 'y', 'x', 't' are not known",
             "event 'E' is left out: when it happens is not known",
             "event 'F' is left out: when it happens is not known");
  dp_model_destroy(m); /* F may set t, on which E depends */
  m = partly("var p; y := 2*p; x' = p; x = 0; t' = 1; t = 0; E: at t > 1: p = t", NULL);
  check_value(m, "y", "2*p");
  check_value(m, "p", "p");
  check_unknown(m, "x");
  assert_int_equal(m->nevent, 1);
  assert_int_equal(m->event[0].nassign, 1);
  check_runs(m);
  dp_model_destroy(m);
}

/* what would begin to move late has no place here */
static void an_event_that_starts_a_state(void **state) {
  (void)state;
  dp_model *m = read_text("x' = -x; t' = 1; t = 0; E: at t > 1: x = 1");
  assert_int_equal(dp_model_seal_partly(m, NULL, 0), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(ctx), "state 'x' has no initial value, expected 'x = ...'"));
  dp_model_destroy(m);
  dp_ctx_clear_error(ctx);
  m = partly("x' = -x; t' = 1; t = 0; var u; E: at t > u: x = 1", NULL); /* it never surely does */
  check_unknown(m, "x u");
  dp_model_destroy(m);
}

static void constraints(void **state) {
  (void)state;
  /* x follows from nothing unknown, y from k, z from y; w is bound to nothing */
  dp_model *m = read_text("var k, w; a = 2; s' = -s*x; s = 1; r' = -z; r = 1; x = 1; y = 1; z = 1");
  set_free(m, "x y z w");
  constrain(m, "x - a");
  constrain(m, "y - k*a");
  constrain(m, "z - y*x");
  check_ok(dp_model_seal_partly(m, NULL, 0));
  CHECK_SAYS(m, "parameter 'k' has no value", "parameter 'w' has no value", "so 'r', 'z', 'y' are not known");
  check_unknown(m, "k w y z r");
  check_value(m, "x", "a");
  check_rate(m, "s", "-(s*a)");
  dp_model_destroy(m);
  /* a block is not known when one of its equations is not */
  m = read_text("var k; v = 1; x = 1; y = 1; z = 1");
  set_free(m, "x y z");
  constrain(m, "x + y - k");
  constrain(m, "x - y^3");
  constrain(m, "z + exp(z) - v");
  check_ok(dp_model_seal_partly(m, NULL, 0));
  check_unknown(m, "x y");
  assert_int_equal(m->nalgebraic, 1);
  dp_model_destroy(m);
}

static void delays_rates_and_draws(void **state) {
  (void)state;
  dp_model *m = read_text("var k; x' = -x; x = 1; y' = k; y = 1");
  add_delay(m, "lagged", "y", "1");
  add_delay(m, "late", "x", "k");
  add_delay(m, "fine", "x", "1");
  add_rate_of(m, "dy", "y");
  add_rate_of(m, "dx", "x");
  check_ok(dp_model_seal_partly(m, NULL, 0));
  check_unknown(m, "k y lagged late dy");
  check_value(m, "dx", "-x");
  assert_int_equal(m->ndelayed, 1);
  check_runs(m);
  dp_model_destroy(m);
  m = partly("var s, q; a = normal(0, s); b = normal(0, 1); t' = 1; t = 0; c = 1; d = 1;"
             "E: at t > s: c = normal(1, 2); F: at t > 1: d = normal(3, 4)",
             NULL);
  check_unknown(m, "a c");
  assert_int_equal(m->ndraw, 2);
  assert_int_equal(m->nevent, 1);
  assert_int_equal(m->draw[1].event, 0);
  dp_model_destroy(m);
}

static void elements_say_it(void **state) {
  (void)state;
  dp_model *m = partly("A -> B; k*A; A = 1; B = 0; C -> ; C; C = 1; x' = 1", NULL);
  int seen = 0;
  for (int i = 0; i < dp_model_nelement(m); i++) {
    dp_element e = dp_model_element(m, i);
    bool unknown = strstr("A B x _J0", e.id) != NULL;
    assert_int_equal(e.unknown, unknown);
    seen += unknown;
    if (strcmp(e.id, "x") == 0) assert_false(e.constant);
  }
  assert_int_equal(seen, 4);
  dp_model_destroy(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_complete_model_is_what_it_was), cmocka_unit_test(a_parameter_without_value),
      cmocka_unit_test(a_state_without_initial_value),   cmocka_unit_test(a_reaction_without_rate),
      cmocka_unit_test(a_compartment_without_size),      cmocka_unit_test(a_name_that_is_only_used),
      cmocka_unit_test(through_initial_values_and_chains), cmocka_unit_test(events),
      cmocka_unit_test(not_yet),                         cmocka_unit_test(an_event_that_starts_a_state),
      cmocka_unit_test(constraints),                     cmocka_unit_test(delays_rates_and_draws),
      cmocka_unit_test(elements_say_it),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
