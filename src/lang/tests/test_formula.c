/* The formula language against closed forms, the precedence that Antimony and PEtab publish,
 * and messages word for word. */
#include "lang_check.h"

typedef struct math_case {
  const char *text;
  double want;
} math_case;

/* values by hand */
static const math_case cases[] = {
    {"1 + 2*3", 7},
    {"-2^4", -16},
    {"2^2^3", 256},
    {"--1", 1},
    {"2^-1", 0.5},
    {"(1 + 2)*3", 9},
    {"7/2/2", 1.75},
    {"10 - 3 - 2", 5},
    {"1e+3*2", 2000},
    {".5 + 2.", 2.5},
    {"7 % 3", 1},
    {"-7 % 3", -1},
    {"2**3", 8},
    {"3 + true", 4},
    {"true || false && false", 0}, /* one rank, from the left: (true || false) && false */
    {"1 < 2 < 3", 1},
    {"3 > 2 > 2", 0},
    {"!0 + 1", 2},
    {"-!!2", -1},
    {"1 != 2", 1},
    {"1 <> 1", 0},
    {"piecewise(1, false, 2, true, 3)", 2},
    {"piecewise(5, 1 > 2, 6)", 6},
    {"max(1, 3, 2)", 3},
    {"min(4)", 4},
    {"log(8, 2)", 3},
    {"log(100, 10)", 2},
    {"log2(8)", 3},
    {"root(3, 27)", 3},
    {"sqr(3)", 9},
    {"abs(-4)", 4},
    {"sign(-2)", -1},
    {"quotient(7, 2)", 3},
    {"quotient(-7, 2)", -3},
    {"rem(-7, 2)", -1},
    {"factorial(5)", 120},
    {"xor(true, true, true)", 1},
    {"xor(true, true)", 0},
    {"implies(true, false)", 0},
    {"and(1, 2, 3)", 1},
    {"not(3)", 0},
    {"gt(3, 2, 1)", 1},
    {"leq(1, 1, 2)", 1},
    {"cot(1)", 0.64209261593433070},
    {"csc(1)", 1.1883951057781212},
    {"coth(1)", 1.3130352854993312},
    {"csch(1)", 0.85091812823932156},
    {"arccot(1)", 0.78539816339744831},
    {"arcsec(1)", 0},
    {"arccsc(1)", 1.5707963267948966},
    {"arcsech(1)", 0},
    {"arccsch(1)", 0.88137358701954302},
    {"arccoth(1)", INFINITY},
    {"exp(1) - exponentiale", 0},
    {"pi", 3.1415926535897932},
    {"inf", INFINITY},
    {"-inf", -INFINITY},
    {"nan", NAN},
    {"ln(0)", -INFINITY},
    {"piecewise(1, false)", NAN},
    {"true ^ true", 1},
    {"sqrt(-1)", NAN},
    {"2 +\n3", 5},
    {"minus(3)", -3},
    {"times(2, 3, 4)", 24},
    {"max(nan, 1)", NAN},
    {"min(1, nan)", NAN},
};

static double constant(const char *text) {
  dp_model *m = NULL;
  dpi_node n;
  double v = 0;
  check_ok(dpi_model_create(ctx, "t", "t", &m));
  check_ok(dpi_model_parse(m, text, "f", false, &n));
  assert_true(dpi_g_is_const(m->graph, n, &v));
  dp_model_destroy(m);
  return v;
}

static void constants_have_their_values(void **state) {
  (void)state;
  for (int i = 0; i < DPI_COUNT(cases); i++) {
    double got = constant(cases[i].text);
    if (!near_enough(got, cases[i].want, 1e-15))
      print_message("%s = %.17g, not %.17g\n", cases[i].text, got, cases[i].want);
    assert_true(near_enough(got, cases[i].want, 1e-15));
  }
}

/* Antimony writes log(base, x), PEtab log(x, base) */
static void log_has_two_dialects(void **state) {
  (void)state;
  dp_model *m = read_sealed("a = log(2, 8); b = log(100); c = log10(100)");
  assert_true(near_enough(m->sym[sym_of(m, "a")].value, 3, 1e-15));
  assert_true(near_enough(m->sym[sym_of(m, "b")].value, log(100.0), 1e-15));
  assert_true(near_enough(m->sym[sym_of(m, "c")].value, 2, 1e-15));
  dp_model_destroy(m);
}

static void refused(const char *text, dp_status want, const char *part) {
  dp_model *m = read_sealed("alpha = 1; beta = 2; Vmax = 3");
  dpi_node n;
  dp_ctx_clear_error(ctx);
  dp_status s = dpi_model_parse(m, text, "table.tsv:3", false, &n);
  if (s != want || strstr(dp_ctx_error(ctx), part) == NULL)
    print_message("%s gave %s: %s; wanted %s\n", text, dp_status_name(s), dp_ctx_error(ctx), part);
  assert_int_equal(s, want);
  assert_non_null(strstr(dp_ctx_error(ctx), part));
  dp_model_destroy(m);
}

static void mistakes_are_named(void **state) {
  (void)state;
  refused("alpha + betta", DP_ERR_INPUT,
          "table.tsv:3: column 9: unknown name 'betta'; did you mean 'beta'?");
  refused("Vmx*2", DP_ERR_INPUT, "did you mean 'Vmax'?");
  refused("sqrtt(alpha)", DP_ERR_INPUT, "unknown function 'sqrtt'; did you mean 'sqrt'?");
  refused("alpha +", DP_ERR_INPUT, "found the end, expected a number, a name or '('");
  refused("(alpha", DP_ERR_INPUT, "found the end, expected ')'");
  refused("alpha beta", DP_ERR_INPUT, "column 7: found 'beta', expected an operator or the end");
  refused("2 alpha", DP_ERR_INPUT, "found 'alpha' after the number 2, expected an operator");
  refused("exp(1, 2)", DP_ERR_INPUT, "'exp' has 2 arguments, expected 1");
  refused("pow(1)", DP_ERR_INPUT, "'pow' has 1 arguments, expected 2");
  refused("", DP_ERR_INPUT, "found the end");
  refused("alpha $ 2", DP_ERR_INPUT, "column 7: found '$'");
  refused("alpha = 2", DP_ERR_INPUT, "found '='");
  refused("delay(alpha, 3)", DP_ERR_UNSUPPORTED, "'delay' in a formula that is added to a finished model");
  refused("normal(0, 1)", DP_ERR_UNSUPPORTED, "'normal'");
  refused("1e999", DP_ERR_INPUT, "1e999");
  refused("alpha * \xc3\xa9", DP_ERR_INPUT, "not ASCII");
  refused("`alpha + beta", DP_ERR_INPUT, "closing `");
  refused("`betta`", DP_ERR_INPUT, "unknown name 'betta'; did you mean 'beta'?");
  refused("normal(1)", DP_ERR_INPUT, "'normal' has 1 arguments, expected 2 or more");
  refused("a.b + alpha", DP_ERR_INPUT, "'.'");
}

/* ids that are no words of the language stand between backquotes */
static void backquoted_names_are_ids(void **state) {
  (void)state;
  dp_model *m = read_sealed("compartment C = 2; S in C; S -> ; k*S; S = 3; k = 0.5");
  dpi_node got, want;
  check_ok(dpi_model_parse(m, "2*`amount(S)` + `k`", "f", false, &got));
  check_ok(dpi_model_parse(m, "2*(S*C) + k", "f", false, &want));
  assert_int_equal(got, want);
  dp_model_destroy(m);
}

static void deep_nesting_is_refused_not_crashed(void **state) {
  (void)state;
  char text[20002];
  for (int kind = 0; kind < 3; kind++) {
    memset(text, "(-!"[kind], 20000);
    strcpy(text + 20000, "1");
    refused(text, DP_ERR_UNSUPPORTED, "nested more than");
  }
  for (int i = 0; i < 20000; i += 2) memcpy(text + i, "2^", 2);
  refused(text, DP_ERR_UNSUPPORTED, "nested more than");
  for (int i = 0; i < 20000; i += 2) memcpy(text + i, "1+", 2); /* long, not deep */
  assert_true(constant(text) == 10001);
}

/* PEtab's own list of expressions, when the shared suites are there */
static void petab_math_suite(void **state) {
  (void)state;
  FILE *f = fopen(DOPPEL_SOURCE_DIR "/../shared/suites/petab-math.yaml", "r");
  if (f == NULL) {
    print_message("skipped: ../shared not there\n");
    skip();
  }
  char line[400], expr[400] = "";
  int n = 0;
  while (fgets(line, sizeof line, f) != NULL) {
    char *e = strstr(line, "- expression: "), *w = strstr(line, "  expected: ");
    line[strcspn(line, "\n")] = '\0';
    if (e != NULL) {
      strcpy(expr, e + strlen("- expression: "));
      if (expr[0] == '"') {
        memmove(expr, expr + 1, strlen(expr));
        expr[strlen(expr) - 1] = '\0';
      }
      continue;
    }
    if (w == NULL || strstr(expr, "a * b") != NULL) continue; /* symbols: no number is expected */
    w += strlen("  expected: ");
    double want = strcmp(w, "inf") == 0    ? INFINITY
                  : strcmp(w, "-inf") == 0 ? -INFINITY
                                           : NAN,
           got = constant(expr);
    if (!isinf(want)) assert_true(dpi_parse_double(w, &want));
    if (!near_enough(got, want, 1e-14)) print_message("%s = %.17g, not %.17g\n", expr, got, want);
    assert_true(near_enough(got, want, 1e-14));
    n++;
  }
  fclose(f);
  print_message("%d expressions of the PEtab math suite\n", n);
  assert_true(n > 60);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(constants_have_their_values),
      cmocka_unit_test(log_has_two_dialects),
      cmocka_unit_test(mistakes_are_named),
      cmocka_unit_test(backquoted_names_are_ids),
      cmocka_unit_test(deep_nesting_is_refused_not_crashed),
      cmocka_unit_test(petab_math_suite),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
