/* seal_check.h - models by hand for the tests of sealing: an Antimony text,
 * then what only the intermediate form can say. */
#ifndef SEAL_CHECK_H
#define SEAL_CHECK_H

#include "lang_check.h"

static inline dpi_node parsed(dp_model *m, const char *text) {
  dpi_node n;
  check_ok(dpi_model_parse(m, text, "test", false, &n));
  return n;
}

/* 0 = text in line 100, 101, ...; symbols named in `unknowns` ("x y") may be determined by constraints */
static inline void constrain(dp_model *m, const char *text) {
  check_ok(dpi_model_add_constraint(m, parsed(m, text), 100 + m->nconstraint));
}

static inline void set_free(dp_model *m, const char *unknowns) {
  char copy[200], *rest = copy;
  snprintf(copy, sizeof copy, "%s", unknowns);
  for (char *id; (id = strtok_r(rest, " ", &rest)) != NULL;) m->sym[sym_of(m, id)].free = true;
}

/* symbol `id` = rate of change of `of` */
static inline void add_rate_of(dp_model *m, const char *id, const char *of) {
  int sym;
  check_ok(dpi_model_declare(m, id, 1, &sym));
  m->sym[sym].kind = DPI_SYM_RATEOF;
  m->sym[sym].target = sym_of(m, of);
}

static inline void add_delay(dp_model *m, const char *id, const char *of, const char *lag) {
  int sym;
  check_ok(dpi_model_declare(m, id, 1, &sym));
  m->sym[sym].kind = DPI_SYM_DELAYED;
  m->sym[sym].formula = parsed(m, of);
  m->sym[sym].delay = parsed(m, lag);
}

/* id becomes an assigned symbol before the model is sealed */
static inline void assign(dp_model *m, const char *id, const char *formula) {
  int sym;
  check_ok(dpi_model_declare(m, id, 1, &sym));
  m->sym[sym].kind = DPI_SYM_ASSIGNED;
  m->sym[sym].formula = parsed(m, formula);
}

static inline void set_formula(dp_model *m, const char *id, const char *formula) {
  m->sym[sym_of(m, id)].formula = parsed(m, formula);
}

static inline void check_seal_refused(dp_model *m, dp_status want, const char *part1, const char *part2) {
  dp_ctx_clear_error(ctx);
  dp_status s = dpi_model_seal(m);
  const char *error = dp_ctx_error(ctx);
  if (s != want || strstr(error, part1) == NULL || strstr(error, part2) == NULL)
    print_message("gave %s: %s\n  wanted ..%s..%s\n", dp_status_name(s), error, part1, part2);
  assert_int_equal(s, want);
  assert_non_null(strstr(error, part1));
  assert_non_null(strstr(error, part2));
  dp_ctx_clear_error(ctx);
  dp_model_destroy(m);
}

static inline void check_value(const dp_model *m, const char *id, const char *want) {
  char buf[400];
  printed(m, dpi_model_value(m, sym_of(m, id)), buf, sizeof buf);
  if (strcmp(buf, want) != 0) print_message("%s = %s, expected %s\n", id, buf, want);
  assert_string_equal(buf, want);
}

static inline void check_start(const dp_model *m, const char *id, const char *want) {
  char buf[400];
  printed(m, m->start[sym_of(m, id)], buf, sizeof buf);
  if (strcmp(buf, want) != 0) print_message("%s(0) = %s, expected %s\n", id, buf, want);
  assert_string_equal(buf, want);
}

#endif
