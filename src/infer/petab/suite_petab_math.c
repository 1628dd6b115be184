/* suite_petab_math.c - floor 6: the mathematics of PEtab's expressions as its own suite asserts it (see
 * doppel/suite.h).
 *
 *     cases:
 *     - expression: 1 + 2
 *       expected: 3.0           a number, inf, or an expression of the same names
 *
 * Both ways that an expression is used are judged: the reader's own tree (format/petab.h) and the text it becomes for
 * the engine (lang). A name has the same value on both sides.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/petab.h"
#include "infer/petab/suite_petab.h"
#include "kind/kind_yaml.h"
#include "lang/lang.h"

#define TOLERANCE 1e-12

static double value_of_name(int i) { return 0.375 + 0.25 * i; }

/* ---- the engine's value of the text that an expression becomes ---- */

static dp_status run_tape(dp_ctx *ctx, const dpi_petab *p, dp_model *m, dpi_node node, double *out) {
  dpi_tape *tape = NULL;
  double *reg = NULL, *sym = DPI_NEW_ARRAY(ctx, double, m->nsym + 1);
  uint8_t *fast = DPI_NEW_ARRAY(ctx, uint8_t, m->nsym + 1);
  dp_status st = sym && fast ? DP_OK : DP_ERR_MEMORY;
  if (st == DP_OK) st = dpi_tape_create(ctx, m->graph, &node, 1, fast, m->nsym, &tape);
  if (st == DP_OK && !(reg = DPI_NEW_ARRAY(ctx, double, dpi_tape_nreg(tape) + 1))) st = DP_ERR_MEMORY;
  if (st == DP_OK) {
    sym[0] = value_of_name(0);
    for (int i = 1; i < p->nname; i++) {
      const int s = dpi_model_find(m, p->name[i].model_id);
      if (s > 0) sym[s] = value_of_name(i);
    }
    dpi_tape_init(tape, reg);
    dpi_tape_prologue(tape, sym, reg);
    dpi_tape_eval(tape, sym, reg, out);
  }
  dpi_free(ctx, reg);
  dpi_free(ctx, sym);
  dpi_free(ctx, fast);
  dpi_tape_destroy(tape);
  return st;
}

static dp_status engine_value(dp_ctx *ctx, const dpi_petab *p, const dpi_petab_expr *e, double *out) {
  dpi_str text;
  dp_model *m = NULL;
  dpi_node node;
  int sym;
  dpi_str_init(&text, ctx);
  dpi_petab_print(p, e, NULL, &text);
  dp_status st = text.failed ? DP_ERR_MEMORY : dpi_model_create(ctx, "math", "math", &m);
  for (int i = 1; i < p->nname && st == DP_OK; i++) st = dpi_model_declare(m, p->name[i].model_id, 1, &sym);
  if (st == DP_OK) st = dpi_model_parse(m, dpi_str_text(&text), "expression", false, &node);
  if (st == DP_OK) st = run_tape(ctx, p, m, node, out);
  dp_model_destroy(m);
  dpi_str_release(&text);
  return st;
}

/* ---- one case ---- */

static void compare(dp_petab_case *r, const char *who, double got, double want) {
  const double size = fabs(want) > 1 ? fabs(want) : 1;
  double off = isfinite(want)                               ? fabs(got - want) / (TOLERANCE * size)
               : got == want || (isnan(got) && isnan(want)) ? 0
                                                            : INFINITY;
  if (!(off >= 0)) off = INFINITY;
  r->compared++;
  if (off > r->worst) r->worst = off;
  if (off <= 1 || r->why[0]) return;
  snprintf(r->status, sizeof r->status, "fail");
  snprintf(r->why, sizeof r->why, "%s gives %.17g, expected %.17g", who, got, want);
}

static dp_status value_of(dpi_petab *p, const char *text, const dpi_petab_expr **e, double *out) {
  DP_TRY(dpi_petab_parse(p, text, NULL, e));
  double *x = DPI_NEW_ARRAY(p->ctx, double, p->nname + 1);
  if (!x) return DP_ERR_MEMORY;
  for (int i = 0; i < p->nname; i++) x[i] = value_of_name(i);
  *out = dpi_petab_eval(*e, x);
  dpi_free(p->ctx, x);
  return DP_OK;
}

/* `expected`: a number (with inf and nan), else an expression. */
static dp_status expected_value(dpi_petab *p, const char *text, double *out) {
  const dpi_petab_expr *e;
  char *end;
  *out = strtod(text, &end);
  if (*text && !*end) return DP_OK;
  return value_of(p, text, &e, out);
}

static dp_status judge_case(dp_ctx *ctx, const dpi_yaml_doc *doc, const dpi_yaml *item, dp_petab_case *r) {
  dpi_petab *p = NULL;
  const dpi_petab_expr *e;
  const char *expression, *expected;
  double got, want, engine = NAN;
  DP_TRY(dpi_yaml_string(doc, item, "expression", NULL, &expression));
  DP_TRY(dpi_yaml_string(doc, item, "expected", NULL, &expected));
  dp_status st = dpi_petab_create(ctx, doc->source, 2, &p);
  if (st == DP_OK) st = value_of(p, expression, &e, &got);
  if (st == DP_OK) st = expected_value(p, expected, &want);
  if (st == DP_OK) st = engine_value(ctx, p, e, &engine);
  dpi_petab_destroy(p);
  DP_TRY(st);
  compare(r, "the reader", got, want);
  compare(r, "the engine", engine, want);
  return DP_OK;
}

static dp_status run_case(dp_ctx *ctx, const dp_petab_suite_def *def, const dpi_yaml_doc *doc, const dpi_yaml *item,
                          int number, dp_petab_case_fn each, void *user) {
  dp_petab_case r = {.status = "pass", .llh = NAN, .expected = NAN};
  char by_number[16];
  const dpi_yaml *text = item->type == DPI_YAML_MAP ? dpi_yaml_get(item, "expression") : NULL;
  const double start = dpi_clock_s();
  snprintf(by_number, sizeof by_number, "%d", number);
  if (text && text->type == DPI_YAML_SCALAR && strlen(text->text) < sizeof r.id)
    snprintf(r.id, sizeof r.id, "%s", text->text);
  else
    snprintf(r.id, sizeof r.id, "#%d", number);
  if (def->nskip && !dpi_suite_wanted(&(dp_petab_suite_def){.skip = def->skip, .nskip = def->nskip}, by_number))
    return DP_OK;
  if (!dpi_suite_wanted(def, r.id) && (def->nonly == 0 || !dpi_suite_wanted(def, by_number))) return DP_OK;
  DP_TRY(dpi_suite_outcome(ctx, judge_case(ctx, doc, item, &r), r.status, r.why, sizeof r.why));
  r.seconds = dpi_clock_s() - start;
  each(user, &r);
  return DP_OK;
}

dp_status dp_suite_petab_math(dp_ctx *ctx, const char *file, const dp_petab_suite_def *def, dp_petab_case_fn each,
                              void *user) {
  dpi_arena arena;
  char *text = NULL;
  size_t size;
  int number = 0;
  DP_TRY(dpi_suite_check_def(ctx, file, def));
  DP_TRY(dpi_file_read(ctx, file, (size_t)16 << 20, &text, &size));
  dpi_arena_init(&arena, ctx);
  dpi_yaml_doc doc = {.ctx = ctx, .arena = &arena, .source = file};
  dp_status st = dpi_yaml_parse(&doc, text, size);
  dpi_free(ctx, text);
  const dpi_yaml *cases = st == DP_OK && doc.root->type == DPI_YAML_MAP ? dpi_yaml_get(doc.root, "cases") : NULL;
  if (st == DP_OK && (!cases || cases->type != DPI_YAML_SEQUENCE || !cases->first))
    st = dpi_fail(ctx, DP_ERR_INPUT, "%s: found no list of cases (cases: - expression: ...)", file);
  for (const dpi_yaml *item = cases ? cases->first : NULL; item && st == DP_OK; item = item->next)
    st = run_case(ctx, def, &doc, item, ++number, each, user);
  dpi_arena_release(&arena);
  return st;
}
