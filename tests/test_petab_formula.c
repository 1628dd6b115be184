/* Compared with: two evaluators of one formula: PEtab's expressions (format/petab) and what they print, read by the
 * project's own formulas (lang). The cases are those that PEtab's test suite asserts, and all formulas of the two
 * collections of problems. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/tests/own_context.h"
#include "format/petab.h"
#include "lang/lang.h"

/* The value of name i of a problem; also of the model's symbol of that name. */
static double value_of_name(int i) { return i == 0 ? 2.5 : 0.21 + 0.07 * (i % 11); }

static double by_lang(const dpi_petab *p, const char *text) {
  dp_model *m = NULL;
  dpi_node node;
  dpi_tape *tape = NULL;
  double out, *sym, *reg;
  int s;
  assert_int_equal(dpi_model_create(ctx, "m", "m", &m), DP_OK);
  for (int i = 1; i < p->nname; i++) assert_int_equal(dpi_model_declare(m, p->name[i].model_id, 1, &s), DP_OK);
  if (dpi_model_parse(m, text, "formula", false, &node) != DP_OK) fail_msg("%s: %s", text, dp_ctx_error(ctx));
  uint8_t *fast = calloc((size_t)m->nsym, 1);
  assert_non_null(fast);
  assert_int_equal(dpi_tape_create(ctx, m->graph, &node, 1, fast, m->nsym, &tape), DP_OK);
  free(fast);
  sym = calloc((size_t)m->nsym + 1, sizeof *sym);
  reg = calloc((size_t)dpi_tape_nreg(tape) + 1, sizeof *reg);
  assert_non_null(sym);
  assert_non_null(reg);
  sym[0] = value_of_name(0);
  for (int i = 1; i < p->nname; i++) {
    s = dpi_model_find(m, p->name[i].model_id);
    if (s > 0) sym[s] = value_of_name(i);
  }
  dpi_tape_init(tape, reg);
  dpi_tape_prologue(tape, sym, reg);
  dpi_tape_eval(tape, sym, reg, &out);
  free(sym);
  free(reg);
  dpi_tape_destroy(tape);
  dp_model_destroy(m);
  return out;
}

static void compare(const dpi_petab *p, const dpi_petab_expr *e, const char *what) {
  dpi_str s;
  dpi_str_init(&s, ctx);
  dpi_petab_print(p, e, NULL, &s);
  double *x = calloc((size_t)p->nname, sizeof *x);
  assert_non_null(x);
  for (int i = 0; i < p->nname; i++) x[i] = value_of_name(i);
  double a = dpi_petab_eval(e, x), b = by_lang(p, dpi_str_text(&s));
  bool same = isfinite(a) ? fabs(a - b) <= 1e-13 * (fabs(a) > 1.0 ? fabs(a) : 1.0) : a == b || (isnan(a) && isnan(b));
  if (!same) fail_msg("%s: %s is %.17g here, %.17g there", what, dpi_str_text(&s), a, b);
  free(x);
  dpi_str_release(&s);
}

static void math_cases(void **state) {
  (void)state;
  char line[400];
  int n = 0;
  dpi_petab *p = NULL;
  FILE *f = fopen(DOPPEL_SOURCE_DIR "/../shared/suites/petab-math.yaml", "r");
  if (!f) {
    print_message("petab-math.yaml skipped: ../shared not there\n");
    skip();
  }
  assert_int_equal(dpi_petab_create(ctx, "math", 2, &p), DP_OK);
  while (fgets(line, sizeof line, f)) {
    static const char first[] = "- expression:";
    const dpi_petab_expr *e = NULL;
    if (strncmp(line, first, strlen(first)) != 0) continue;
    char *text = line + strlen(first) + 1;
    text[strcspn(text, "\n")] = '\0';
    if (*text == '"') {
      text++;
      text[strlen(text) - 1] = '\0';
    }
    if (dpi_petab_parse(p, text, NULL, &e) != DP_OK) fail_msg("%s", dp_ctx_error(ctx));
    compare(p, e, text);
    n++;
  }
  fclose(f);
  assert_true(n >= 70);
  dpi_petab_destroy(p);
}

/* Ids that are constants or functions in the project's formulas, and forms that read differently there. */
static void other_words(void **state) {
  (void)state;
  static const char *const cases[] = {"pi * avogadro + e",
                                      "gamma + uniform / delay",
                                      "root ^ factorial",
                                      "a < b < 1",
                                      "1 > a == b",
                                      "a - b - a - b - a",
                                      "-a ^ 2",
                                      "!a + 1",
                                      "a == b || b && 0",
                                      "time * 2",
                                      "log(a, b) + log(a)",
                                      "piecewise(a, b, a + 1, a, 3)"};
  dpi_petab *p = NULL;
  assert_int_equal(dpi_petab_create(ctx, "math", 2, &p), DP_OK);
  for (int i = 0; i < DPI_COUNT(cases); i++) {
    const dpi_petab_expr *e = NULL;
    if (dpi_petab_parse(p, cases[i], NULL, &e) != DP_OK) fail_msg("%s", dp_ctx_error(ctx));
    compare(p, e, cases[i]);
  }
  dpi_str s;
  dpi_str_init(&s, ctx);
  for (int i = 0; i < 1500; i++) dpi_str_addf(&s, "%sa*%d", i ? i % 2 ? " - " : " + " : "", i);
  const dpi_petab_expr *e = NULL;
  assert_int_equal(dpi_petab_parse(p, dpi_str_text(&s), NULL, &e), DP_OK);
  compare(p, e, "a long sum");
  dpi_str_release(&s);
  dpi_petab_destroy(p);
}

/* ---- the collections ---- */
/* left out: model selection problems, and a folder of trials in which a parameter is neither estimated nor not */

static const char unpack[] =
    "for s in petab-suite petab-benchmark; do a='" DOPPEL_SOURCE_DIR
    "/../shared/suites/'$s.tar.xz; d='" DOPPEL_BINARY_DIR
    "/suites/'$s; [ -e \"$d\" ] || [ ! -e \"$a\" ] || { rm -rf \"$d.part\"; mkdir -p \"$d.part\" && tar -xJf \"$a\" -C "
    "\"$d.part\" && "
    "mv \"$d.part\" \"$d\"; }; done; find '" DOPPEL_BINARY_DIR "/suites/petab-suite' '" DOPPEL_BINARY_DIR
    "/suites/petab-benchmark' -name '*.yaml' -not -name '*_solution*' 2> /dev/null | grep -v -e petab_select -e "
    "sim_test | sort";

static bool knows(void *user, int model, const char *id) {
  dp_model *const *m = user;
  return dpi_model_find(m[model], id) >= 0;
}

/* Every name is the model's or the tables'. */
static bool check_names(dpi_petab *p) {
  dp_model *m = NULL;
  char *text = NULL;
  size_t size;
  assert_int_equal(p->nmodel, 1);
  if (!dpi_file_exists(p->model[0].path)) return true; /* one of the collection has only tables */
  dp_status status = dpi_file_read(ctx, p->model[0].path, 0, &text, &size);
  if (status == DP_OK) status = dpi_model_read_text(ctx, text, size, p->model[0].path, &m);
  if (status == DP_OK) status = dpi_petab_check_names(p, knows, &m, NULL);
  dpi_free(ctx, text);
  dp_model_destroy(m);
  if (status != DP_OK) print_message("%s: %s\n", p->path, dp_ctx_error(ctx));
  dp_ctx_clear_error(ctx);
  return status == DP_OK;
}

static bool check_problem(const char *path) {
  dpi_petab_def def = {.path = path};
  dpi_petab *p = NULL;
  if (dpi_petab_read(ctx, &def, &p) != DP_OK) {
    print_message("%s\n", dp_ctx_error(ctx));
    dp_ctx_clear_error(ctx);
    return false;
  }
  for (int i = 0; i < p->nobservable; i++) {
    compare(p, p->observable[i].formula, path);
    compare(p, p->observable[i].noise_formula, path);
  }
  for (int e = 0; e < p->nexperiment; e++)
    for (int k = 0; k < p->experiment[e].nperiod; k++)
      for (int i = 0; i < p->experiment[e].period[k].nchange; i++)
        if (p->experiment[e].period[k].change[i].value) compare(p, p->experiment[e].period[k].change[i].value, path);
  bool known = check_names(p);
  dpi_petab_destroy(p);
  return known;
}

static void every_problem(void **state) {
  (void)state;
  char path[1000];
  int n = 0, nread = 0;
  FILE *list = popen(unpack, "r");
  assert_non_null(list);
  while (fgets(path, sizeof path, list)) {
    path[strcspn(path, "\n")] = '\0';
    n++;
    nread += check_problem(path);
  }
  pclose(list);
  if (n == 0) {
    print_message("petab-suite and petab-benchmark skipped: ../shared not there\n");
    skip();
  }
  assert_int_equal(nread, n);
  assert_true(n >= 17 + 26 + 26);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(math_cases),
      cmocka_unit_test(other_words),
      cmocka_unit_test(every_problem),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
