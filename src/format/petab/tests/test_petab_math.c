/* Compared with: the cases that PEtab's own test suite asserts (../shared/suites/petab-math.yaml), values worked out
 * by hand, and derivatives by central differences. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/petab.h"

static dp_ctx *ctx;
static dpi_petab *p;

static int setup(void **state) {
  (void)state;
  dp_ctx_def def = dp_ctx_def_default();
  return dp_ctx_create(&def, &ctx) == DP_OK && dpi_petab_create(ctx, "test.yaml", 2, &p) == DP_OK ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  dpi_petab_destroy(p);
  size_t live = dpi_alloc_live(ctx);
  dp_ctx_destroy(ctx);
  return live == 0 ? 0 : -1;
}

static const dpi_petab_expr *parse(const char *text) {
  const dpi_petab_expr *e = NULL;
  if (dpi_petab_parse(p, text, NULL, &e) != DP_OK) fail_msg("%s", dp_ctx_error(ctx));
  return e;
}

/* names a, b, c, ... get 0.3, 0.55, 0.8, ... */
static double *values(void) {
  double *x = calloc((size_t)p->nname, sizeof *x);
  assert_non_null(x);
  for (int i = 0; i < p->nname; i++) x[i] = 0.3 + 0.25 * (p->name[i].id[0] - 'a');
  return x;
}

static double value_of(const char *text) {
  const dpi_petab_expr *e = parse(text);
  double *x = values(), y = dpi_petab_eval(e, x);
  free(x);
  return y;
}

static bool same(double x, double y) {
  if (isinf(y)) return x == y;
  return fabs(x - y) <= 4e-15 * (fabs(y) > 1.0 ? fabs(y) : 1.0);
}

/* ---- the suite's cases: "- expression: TEXT" and "  expected: TEXT" ---- */

static const char *unquoted(char *s) {
  s[strcspn(s, "\r\n")] = '\0';
  while (*s == ' ') s++;
  size_t n = strlen(s);
  if (n >= 2 && *s == '"' && s[n - 1] == '"') {
    s[n - 1] = '\0';
    s++;
  }
  return s;
}

static void check_case(const char *expression, const char *expected) {
  double y;
  if (strcmp(expected, "inf") == 0 || strcmp(expected, "-inf") == 0)
    y = *expected == '-' ? -INFINITY : INFINITY;
  else if (!dpi_parse_double(expected, &y))
    y = value_of(expected);
  double x = value_of(expression);
  if (!same(x, y)) fail_msg("%s is %.17g, expected %.17g", expression, x, y);
}

static void suite_cases(void **state) {
  (void)state;
  char line[400], expression[400] = "";
  int n = 0;
  FILE *f = fopen(DOPPEL_SOURCE_DIR "/../shared/suites/petab-math.yaml", "r");
  if (!f) {
    print_message("petab-math.yaml skipped: ../shared not there\n");
    skip();
  }
  while (fgets(line, sizeof line, f)) {
    static const char first[] = "- expression:", second[] = "  expected:";
    if (strncmp(line, first, strlen(first)) == 0) strcpy(expression, unquoted(line + strlen(first)));
    if (strncmp(line, second, strlen(second)) != 0) continue;
    check_case(expression, unquoted(line + strlen(second)));
    n++;
  }
  fclose(f);
  assert_true(n >= 70);
}

/* ---- by hand ---- */

static void by_hand(void **state) {
  (void)state;
  static const struct {
    const char *text;
    double value;
  } cases[] = {
      {"1 - 2 - 3", -4},
      {"8 / 4 / 2 * 3", 3},
      {"-2 ^ -2", -0.25},
      {"2 ^ -1 ^ 2", 0.5},
      {"1.5e1 + .5", 15.5},
      {"a + b * c", 0.3 + 0.55 * 0.8},
      {"1 < 2 < 3", 1},
      {"3 < 2 < 1", 1}, /* (3 < 2) < 1 */
      {"false && false || true", 1},
      {"true || true && false", 0}, /* from left to right */
      {"!a == 0", 1},
      {"pow(2, 10)", 1024},
      {"log2(8)", 3},
      {"sec(0) + csc(1) * sin(1)", 2},
      {"min(1, 2) + 10 * max(1, 2)", 21},
      {"piecewise(1, a > 1, 2, b > 0.5, 3)", 2},
      {"arctanh(0.5) - arccoth(2)", 0},
      {"arcsech(0.5) - arccosh(2)", 0},
      {"inf - 1", INFINITY},
      {"  ( 1 )\t+\n2", 3},
  };
  for (int i = 0; i < DPI_COUNT(cases); i++)
    if (!same(value_of(cases[i].text), cases[i].value))
      fail_msg("%s is %.17g, expected %.17g", cases[i].text, value_of(cases[i].text), cases[i].value);
}

static void refused(void **state) {
  (void)state;
  static const struct {
    const char *text, *message;
  } cases[] = {
      {"", "formula:1: character 1 of '': the formula ends where a number, a name or '(' is expected"},
      {"a b", "formula:1: character 3 of 'a b': found 'b', expected an operator or the end"},
      {"2a", "formula:1: character 2 of '2a': a letter directly after a number; write * between factors"},
      {"(a", "formula:1: character 3 of '(a': the formula ends where an operator or ')' is expected"},
      {"a & b", "formula:1: character 3 of 'a & b': found '&', expected an operator or the end"},
      {"sinn(a)", "formula:1: character 1 of 'sinn(a)': PEtab has no function 'sinn'; did you mean 'sin'?"},
      {"min(a)", "formula:1: character 1 of 'min(a)': min has 1 argument, expected 2"},
      {"piecewise(1, a > 0, 2, b > 0)",
       "formula:1: character 1 of 'piecewise(1, a > 0, 2, b > 0)': piecewise has 4 arguments, expected value, "
       "condition, ..., "
       "otherwise: an odd number"},
      {"a + nan", "formula:1: character 5 of 'a + nan': NaN has no place in a formula"},
      {"1e", "formula:1: character 2 of '1e': an exponent without digits"},
      {"exp", "formula:1: character 4 of 'exp': a function needs '(' and its arguments"},
      {"a ** 2", "formula:1: character 4 of 'a ** 2': found '*', expected a number, a name or '('"},
  };
  for (int i = 0; i < DPI_COUNT(cases); i++) {
    const dpi_petab_expr *e = NULL;
    assert_int_equal(dpi_petab_parse(p, cases[i].text, NULL, &e), DP_ERR_INPUT);
    assert_string_equal(dp_ctx_error(ctx), cases[i].message);
    dp_ctx_clear_error(ctx);
  }
}

/* Nested a thousand deep: refused, not a crash; sums and products of many terms are flat. */
static void deep_and_long(void **state) {
  (void)state;
  static char text[20000];
  const dpi_petab_expr *e = NULL;
  memset(text, '(', 5000);
  text[5000] = '\0';
  assert_int_equal(dpi_petab_parse(p, text, NULL, &e), DP_ERR_UNSUPPORTED);
  dp_ctx_clear_error(ctx);
  memset(text, '-', 5000);
  assert_int_equal(dpi_petab_parse(p, text, NULL, &e), DP_ERR_UNSUPPORTED);
  dp_ctx_clear_error(ctx);
  char *s = text;
  for (int i = 0; i < 2000; i++) s += sprintf(s, "%s1", i ? " - " : "");
  assert_true(same(value_of(text), -1998));
}

/* ---- derivatives ---- */

static void derivatives(void **state) {
  (void)state;
  static const char *const cases[] = {
      "a + 2*b - c",
      "a * b / c / a * 3",
      "a*b*c*a*b*c*a*b*c*a",
      "a ^ b",
      "pow(a, 2) - pow(2, b)",
      "-(a - b) ^ 2",
      "exp(a) + ln(b) + log(c) + log10(a) + log2(b) + log(a, b) + log(c, 10)",
      "sqrt(a) + abs(a - b) + sign(a)",
      "sin(a) + cos(b) + tan(c) + cot(a) + sec(b) + csc(c)",
      "arcsin(a) + arccos(b) + arctan(c) + arccot(a) + arcsec(2 + b) + arccsc(2 + c)",
      "sinh(a) + cosh(b) + tanh(c) + coth(a) + sech(b) + csch(c)",
      "arcsinh(a) + arccosh(1 + b) + arctanh(c) + arccoth(1 + a) + arcsech(b) + arccsch(c)",
      "min(a, b) + max(b * c, a)",
      "piecewise(a^2, a < 0.1, b^2, a < 0.4, c)",
      "(a < b) * c + !a",
      "a / (b + piecewise(c, true, 0))",
  };
  for (int i = 0; i < DPI_COUNT(cases); i++) {
    const dpi_petab_expr *e = parse(cases[i]);
    double *x = values(), *g = calloc((size_t)p->nname, sizeof *g);
    assert_non_null(g);
    double y = dpi_petab_eval_grad(e, x, 2.0, g);
    assert_true(y == dpi_petab_eval(e, x));
    for (int k = 0; k < p->nname; k++) {
      double at = x[k], h = 1e-5;
      x[k] = at + h;
      double up = dpi_petab_eval(e, x);
      x[k] = at - h;
      double slope = (up - dpi_petab_eval(e, x)) / h; /* twice the derivative: the seed is 2 */
      x[k] = at;
      if (fabs(slope - g[k]) > 1e-7 * (1.0 + fabs(slope)))
        fail_msg("d/d%s of %s: %.12g, differences give %.12g", p->name[k].id, cases[i], g[k], slope);
    }
    free(x);
    free(g);
  }
}

/* A factor of 0 keeps the derivative of the others. */
static void zero_factors(void **state) {
  (void)state;
  const dpi_petab_expr *e = parse("u * v * w");
  double *x = calloc((size_t)p->nname, sizeof *x), *g = calloc((size_t)p->nname, sizeof *g);
  assert_non_null(x);
  assert_non_null(g);
  int name[3];
  for (int i = 0; i < 3; i++) name[i] = p->nname - 3 + i;
  x[name[1]] = 3.0;
  x[name[2]] = 5.0;
  assert_true(dpi_petab_eval_grad(e, x, 1.0, g) == 0.0);
  assert_true(g[name[0]] == 15.0 && g[name[1]] == 0.0 && g[name[2]] == 0.0);
  free(x);
  free(g);
}

static void text(void **state) {
  (void)state;
  static const struct {
    const char *in, *out;
  } cases[] = {
      {"a+b*-2", "(`a` + (`b` * (-2)))"},
      {"pi * e", "(`pi` * `e`)"}, /* ids here, constants there */
      {"time^2 >= 1", "((time ^ 2) >= 1)"},
      {"!a && b || inf", "((!`a`) && `b` || inf)"},
      {"piecewise(a - b / c, true, log(x, 2))", "piecewise((`a` - (`b` / `c`)), 1, log(`x`, 2))"},
      {"-x", "(-`x`)"},
  };
  for (int i = 0; i < DPI_COUNT(cases); i++) {
    dpi_str s;
    dpi_str_init(&s, ctx);
    dpi_petab_print(p, parse(cases[i].in), NULL, &s);
    assert_string_equal(dpi_str_text(&s), cases[i].out);
    dpi_str_release(&s);
  }
  const dpi_petab_expr *e = parse("placeholder * a");
  const char **put = calloc((size_t)p->nname, sizeof *put);
  assert_non_null(put);
  put[p->nname - 1] = "k1 + 1";
  dpi_str s;
  dpi_str_init(&s, ctx);
  dpi_petab_print(p, e, put, &s);
  assert_string_equal(dpi_str_text(&s), "((k1 + 1) * `a`)");
  dpi_str_release(&s);
  free(put);
}

static void questions(void **state) {
  (void)state;
  double x;
  assert_true(dpi_petab_number(parse("2 * (3 + 4)"), &x) && x == 14.0);
  assert_false(dpi_petab_number(parse("2 * a"), &x));
  assert_true(dpi_petab_lone_name(parse("(a)")) >= 0);
  assert_int_equal(dpi_petab_lone_name(parse("-a")), -1);
  assert_int_equal(dpi_petab_lone_name(parse("time")), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(suite_cases),   cmocka_unit_test(by_hand),     cmocka_unit_test(refused),
      cmocka_unit_test(deep_and_long), cmocka_unit_test(derivatives), cmocka_unit_test(zero_factors),
      cmocka_unit_test(text),          cmocka_unit_test(questions),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
