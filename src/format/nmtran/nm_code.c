/* nm_code.c - floor 3: $PK, $DES and $ERROR run symbolically: each assignment gives a variable an expression.
 *
 * IF blocks run on both sides and their variables are joined by X_IF. What is not supported becomes X_UNDEF under its
 * own words: it is refused where a result needs it, and costs nothing where it only feeds a table.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/nmtran/nm_control.h"

enum { MAX_DEPTH = 60, MAX_VAR = 2000, MAX_LINES = 4000, MAX_WORD = 48 };

typedef struct runner {
  nm_stream *s;
  int which; /* NM_PK ... */
  nm_block *b;
  int at; /* line of the block */
  int line;
  const char *p;
  int depth, nesting;
} runner;

static char upper(char c) { return c >= 'a' && c <= 'z' ? (char)(c - 32) : c; }
static bool letter(char c) { return upper(c) >= 'A' && upper(c) <= 'Z'; }
static bool digit(char c) { return c >= '0' && c <= '9'; }
static bool in_word(char c) { return letter(c) || digit(c) || c == '_'; }

dp_status nm_check(nm_stream *s) {
  if (!s->g.failed) return DP_OK;
  if (s->g.full)
    return dpi_fail(s->ctx, DP_ERR_UNSUPPORTED, "%s: the control stream's formulas are too large", s->source);
  return DP_ERR_MEMORY;
}

/* ---- variables ---- */

static dp_status var_get(nm_stream *s, const char *name, int line, int *out) {
  *out = dpi_map_get(&s->var_index, name);
  if (*out >= 0) return DP_OK;
  if (s->nvar >= MAX_VAR) return NM_REFUSE(s, line, "more than %d variables", MAX_VAR);
  DP_TRY(dpi_grow(s->ctx, (void **)&s->var, &s->cap_var, s->nvar + 1, sizeof *s->var));
  char *copy = dpi_arena_strdup(s->arena, name);
  if (!copy) return DP_ERR_MEMORY;
  s->var[s->nvar] = (nm_var){.name = copy, .value = NM_NONE, .line = line};
  DP_TRY(dpi_map_put(&s->var_index, name, s->nvar));
  *out = s->nvar++;
  return DP_OK;
}

nm_node nm_var_value(const nm_stream *s, const char *name) {
  int k = dpi_map_get(&s->var_index, name);
  return k < 0 || s->var[k].why ? NM_NONE : s->var[k].value;
}

nm_node nm_pk_value(const nm_stream *s, const char *name) {
  int k = dpi_map_get(&s->var_index, name);
  return k < 0 || k >= s->npk || s->var[k].why ? NM_NONE : s->after_pk[k];
}

/* A leaf that refuses with these words where it is needed. */
static dp_status not_supported(runner *r, const char *what, const char *why, nm_node *out) {
  char name[160];
  int k;
  snprintf(name, sizeof name, "\1%d %s", r->line, what); /* no variable has such a name */
  DP_TRY(var_get(r->s, name, r->line, &k));
  if (!r->s->var[k].why) {
    r->s->var[k].why = dpi_arena_printf(r->s->arena, "%s %s", what, why);
    if (!r->s->var[k].why) return DP_ERR_MEMORY;
  }
  *out = nm_leaf(&r->s->g, X_UNDEF, k);
  return DP_OK;
}

/* ---- characters and words ---- */

static void skip(runner *r) {
  while (*r->p == ' ' || *r->p == '\t') r->p++;
}

static bool take(runner *r, const char *text) {
  skip(r);
  size_t n = strlen(text);
  for (size_t i = 0; i < n; i++)
    if (upper(r->p[i]) != text[i]) return false;
  r->p += n;
  return true;
}

static dp_status expect(runner *r, const char *text) {
  if (take(r, text)) return DP_OK;
  return NM_WRONG(r->s, r->line, "found '%.20s', expected '%s'", r->p, text);
}

/* A name in upper case; "" when there is none. */
static dp_status read_name(runner *r, char name[MAX_WORD]) {
  size_t n = 0;
  skip(r);
  name[0] = 0;
  if (!letter(*r->p)) return DP_OK;
  while (in_word(r->p[n])) {
    if (n + 1 >= MAX_WORD) return NM_REFUSE(r->s, r->line, "the name '%.20s...' is too long", r->p);
    name[n] = upper(r->p[n]);
    n++;
  }
  name[n] = 0;
  r->p += n;
  return DP_OK;
}

/* ".EQ." and its like at p: how many characters, 0 none. */
static int dotted(const char *p) {
  static const char *const words[] = {".EQ.",  ".NE.", ".GT.",  ".GE.",  ".LT.", ".LE.",
                                      ".AND.", ".OR.", ".NOT.", ".EQN.", ".NEN."};
  for (int i = 0; i < DPI_COUNT(words); i++) {
    size_t n = strlen(words[i]), k = 0;
    while (k < n && upper(p[k]) == words[i][k]) k++;
    if (k == n) return (int)n;
  }
  return 0;
}

/* A number: "1.", ".5", "1.D0", "2.EQ." is 2 and then .EQ. */
static dp_status read_number(runner *r, nm_node *out) {
  size_t n = 0;
  while (digit(r->p[n])) n++;
  if (r->p[n] == '.' && !dotted(r->p + n)) {
    n++;
    while (digit(r->p[n])) n++;
  }
  char e = upper(r->p[n]);
  if (e == 'E' || e == 'D') {
    size_t k = n + 1;
    if (r->p[k] == '+' || r->p[k] == '-') k++;
    if (digit(r->p[k])) {
      while (digit(r->p[k])) k++;
      n = k;
    }
  }
  double x;
  if (!nm_number(r->p, n, &x)) return NM_WRONG(r->s, r->line, "found '%.20s', expected a number", r->p);
  r->p += n;
  *out = nm_num(&r->s->g, x);
  return DP_OK;
}

/* "(3)" */
static dp_status read_index(runner *r, const char *name, int *out) {
  DP_TRY(expect(r, "("));
  skip(r);
  size_t n = strspn(r->p, "0123456789");
  if (n == 0 || n > 4) return NM_REFUSE(r->s, r->line, "%s(%.10s: expected a number in the parentheses", name, r->p);
  *out = atoi(r->p);
  r->p += n;
  return expect(r, ")");
}

/* ---- expressions ---- */

static dp_status read_or(runner *r, nm_node *out);
static dp_status read_power(runner *r, nm_node *out);

static dp_status numbered(runner *r, const char *name, nm_op op, int most, nm_node *out) {
  int k = 0;
  DP_TRY(read_index(r, name, &k));
  if (k < 1 || k > most) return NM_WRONG(r->s, r->line, "%s(%d): there are %d", name, k, most);
  nm_stream *s = r->s;
  const nm_matrix *m = op == X_ETA ? &s->omega : op == X_EPS ? &s->sigma : NULL;
  k--;
  if (m && m->entry[k * NM_MAX_ETA + k] == 0)
    *out = nm_num(&s->g, 0);
  else
    *out = nm_leaf(&s->g, op, op == X_A ? k + 1 : k);
  return DP_OK;
}

static const struct {
  const char *name;
  nm_op op;
} functions[] = {{"EXP", X_EXP},   {"LOG", X_LOG},     {"LOG10", X_LOG10}, {"SQRT", X_SQRT}, {"ABS", X_ABS},
                 {"SIN", X_SIN},   {"COS", X_COS},     {"TAN", X_TAN},     {"ASIN", X_ASIN}, {"ACOS", X_ACOS},
                 {"ATAN", X_ATAN}, {"SINH", X_SINH},   {"COSH", X_COSH},   {"TANH", X_TANH}, {"INT", X_INT},
                 {"PHI", X_PHI},   {"GAMLN", X_GAMLN}, {"MOD", X_MOD},     {"MIN", X_MIN},   {"MAX", X_MAX},
                 {"DEXP", X_EXP},  {"DLOG", X_LOG},    {"DSQRT", X_SQRT},  {"DABS", X_ABS}};

/* NAME( ... ): a function. */
static dp_status read_call(runner *r, const char *name, nm_node *out) {
  nm_node a[8];
  int n = 0;
  DP_TRY(expect(r, "("));
  do {
    if (n >= DPI_COUNT(a)) return NM_REFUSE(r->s, r->line, "%s: more than %d arguments", name, DPI_COUNT(a));
    DP_TRY(read_or(r, &a[n++]));
  } while (take(r, ","));
  DP_TRY(expect(r, ")"));
  for (int i = 0; i < DPI_COUNT(functions); i++) {
    if (strcmp(functions[i].name, name) != 0) continue;
    nm_op op = functions[i].op;
    bool many = op == X_MIN || op == X_MAX;
    if (many ? n < 2 : n != nm_nchild(op)) return NM_WRONG(r->s, r->line, "%s with %d arguments", name, n);
    *out = nm_make(&r->s->g, op, a[0], n > 1 ? a[1] : 0, 0);
    for (int k = 2; k < n; k++) *out = nm_make(&r->s->g, op, *out, a[k], 0);
    return DP_OK;
  }
  return not_supported(r, name, "is no function or array that is supported", out);
}

static bool among(const char *name, const char *const *list, int n) {
  for (int i = 0; i < n; i++)
    if (strcmp(name, list[i]) == 0) return true;
  return false;
}

/* Data items that an observation has not, and what is known of a call. */
static dp_status read_item(runner *r, const char *name, int column, nm_node *out) {
  static const char *const zero[] = {"EVID", "MDV", "AMT", "RATE", "II", "ADDL", "SS"};
  const char *as = r->s->column[column].as;
  nm_graph *g = &r->s->g;
  if (strcmp(as, "TIME") == 0) {
    if (r->which == NM_ERROR) return *out = nm_leaf(g, X_TIME, 0), DP_OK;
    return not_supported(r, name, "outside $ERROR (the record's time) is not supported; in $DES the time is T", out);
  }
  if (strcmp(as, "DV") == 0 || strcmp(as, "ID") == 0)
    return not_supported(r, name, "in a formula of the model is not supported", out);
  if (strcmp(as, "CMT") == 0 && r->which != NM_ERROR)
    return not_supported(r, name, "outside $ERROR is not supported", out);
  if (among(as, zero, DPI_COUNT(zero))) {
    if (r->which == NM_ERROR) return *out = nm_num(g, 0), DP_OK;
    return not_supported(r, name, "outside $ERROR is not supported: parameters here do not depend on doses", out);
  }
  *out = nm_leaf(g, X_COL, column);
  return DP_OK;
}

static dp_status read_variable(runner *r, const char *name, nm_node *out) {
  nm_graph *g = &r->s->g;
  int k = dpi_map_get(&r->s->var_index, name);
  if (k >= 0 && r->s->var[k].value != NM_NONE) return *out = r->s->var[k].value, DP_OK;
  if (r->which == NM_DES && strcmp(name, "T") == 0) return *out = nm_leaf(g, X_TIME, 0), DP_OK;
  if (r->which == NM_ERROR && strcmp(name, "F") == 0) return *out = nm_leaf(g, X_F, 0), DP_OK;
  if (strcmp(name, "ICALL") == 0) return *out = nm_num(g, 2), DP_OK;
  if (strcmp(name, "A_0FLG") == 0) return *out = nm_num(g, 1), DP_OK;
  int column = nm_column_find(r->s, name);
  if (column >= 0) return read_item(r, name, column, out);
  static const char *const known[] = {"NEWIND", "NEWL2", "IREP",  "COMACT", "DOSTIM", "DOSREC",
                                      "TSTATE", "NPROB", "IPROB", "MIXNUM", "MIXEST", "IERPRD",
                                      "PRED_",  "RES_",  "WRES_", "NREP",   "IIDX",   "NINDR"};
  if (among(name, known, DPI_COUNT(known))) return not_supported(r, name, "is not supported", out);
  DP_TRY(var_get(r->s, name, r->line, &k));
  *out = nm_leaf(g, X_UNDEF, k);
  return DP_OK;
}

static dp_status read_named(runner *r, nm_node *out) {
  char name[MAX_WORD], full[MAX_WORD + 16];
  nm_stream *s = r->s;
  DP_TRY(read_name(r, name));
  skip(r);
  if (*r->p != '(') return read_variable(r, name, out);
  if (strcmp(name, "THETA") == 0) return numbered(r, name, X_THETA, s->ntheta, out);
  if (strcmp(name, "ETA") == 0) return numbered(r, name, X_ETA, s->omega.n, out);
  if (strcmp(name, "EPS") == 0 || strcmp(name, "ERR") == 0) {
    if (r->which != NM_ERROR) return NM_WRONG(s, r->line, "%s stands outside $ERROR", name);
    return numbered(r, name, X_EPS, s->sigma.n, out);
  }
  if (strcmp(name, "A") == 0 && r->which != NM_PK) return numbered(r, name, X_A, s->ncmt, out);
  const char *close = strchr(r->p, ')');
  size_t n = close ? (size_t)(close - r->p - 1) : 0;
  if (n && n < 5 && strspn(r->p + 1, "0123456789") == n) { /* a variable with a number: MTIME(1), A_0(2) */
    snprintf(full, sizeof full, "%s(%d)", name, atoi(r->p + 1));
    int k = dpi_map_get(&s->var_index, full);
    if (k >= 0 && s->var[k].value != NM_NONE) {
      r->p = close + 1;
      return *out = s->var[k].value, DP_OK;
    }
  }
  return read_call(r, name, out);
}

static dp_status read_primary(runner *r, nm_node *out) {
  skip(r);
  if (++r->depth > MAX_DEPTH) return NM_REFUSE(r->s, r->line, "a formula is nested too deeply");
  dp_status st;
  if (*r->p == '(') {
    r->p++;
    st = read_or(r, out);
    if (st == DP_OK) st = expect(r, ")");
  } else if (digit(*r->p) || (*r->p == '.' && digit(r->p[1]))) {
    st = read_number(r, out);
  } else if (letter(*r->p)) {
    st = read_named(r, out);
  } else if (!*r->p) {
    st = NM_WRONG(r->s, r->line, "a formula ends early");
  } else {
    st = NM_WRONG(r->s, r->line, "found '%.20s', expected a number or name", r->p);
  }
  r->depth--;
  return st;
}

/* +x, -x behind ** or * */
static dp_status read_signed(runner *r, nm_node *out) {
  skip(r);
  if (*r->p != '-' && *r->p != '+') return read_power(r, out);
  bool minus = *r->p++ == '-';
  if (++r->depth > MAX_DEPTH) return NM_REFUSE(r->s, r->line, "a formula is nested too deeply");
  DP_TRY(read_signed(r, out));
  r->depth--;
  if (minus) *out = nm_make(&r->s->g, X_NEG, *out, 0, 0);
  return DP_OK;
}

static dp_status read_power(runner *r, nm_node *out) {
  DP_TRY(read_primary(r, out));
  skip(r);
  if (r->p[0] != '*' || r->p[1] != '*') return DP_OK;
  r->p += 2;
  nm_node b;
  if (++r->depth > MAX_DEPTH) return NM_REFUSE(r->s, r->line, "a formula is nested too deeply");
  DP_TRY(read_signed(r, &b)); /* from the right */
  r->depth--;
  *out = nm_make(&r->s->g, X_POW, *out, b, 0);
  return DP_OK;
}

static dp_status read_term(runner *r, nm_node *out) {
  DP_TRY(read_power(r, out));
  for (;;) {
    skip(r);
    char op = *r->p;
    if ((op != '*' && op != '/') || (op == '/' && r->p[1] == '=')) return DP_OK;
    r->p++;
    nm_node b;
    DP_TRY(read_signed(r, &b));
    *out = nm_make(&r->s->g, op == '*' ? X_MUL : X_DIV, *out, b, 0);
  }
}

static dp_status read_sum(runner *r, nm_node *out) {
  skip(r);
  bool minus = *r->p == '-';
  if (*r->p == '-' || *r->p == '+') r->p++;
  DP_TRY(read_term(r, out));
  if (minus) *out = nm_make(&r->s->g, X_NEG, *out, 0, 0);
  for (;;) {
    skip(r);
    char op = *r->p;
    if (op != '+' && op != '-') return DP_OK;
    r->p++;
    nm_node b;
    DP_TRY(read_term(r, &b));
    *out = nm_make(&r->s->g, op == '+' ? X_ADD : X_SUB, *out, b, 0);
  }
}

static dp_status read_relation(runner *r, nm_node *out) {
  static const struct {
    const char *text;
    nm_op op;
  } rel[] = {{".EQ.", X_EQ}, {".EQN.", X_EQ}, {".NE.", X_NE}, {".NEN.", X_NE}, {".GT.", X_GT},
             {".GE.", X_GE}, {".LT.", X_LT},  {".LE.", X_LE}, {"==", X_EQ},    {"/=", X_NE},
             {">=", X_GE},   {"<=", X_LE},    {">", X_GT},    {"<", X_LT}};
  DP_TRY(read_sum(r, out));
  for (int i = 0; i < DPI_COUNT(rel); i++) {
    if (!take(r, rel[i].text)) continue;
    nm_node b;
    DP_TRY(read_sum(r, &b));
    *out = nm_make(&r->s->g, rel[i].op, *out, b, 0);
    return DP_OK;
  }
  return DP_OK;
}

static dp_status read_not(runner *r, nm_node *out) {
  if (!take(r, ".NOT.")) return read_relation(r, out);
  if (++r->depth > MAX_DEPTH) return NM_REFUSE(r->s, r->line, "a formula is nested too deeply");
  DP_TRY(read_not(r, out));
  r->depth--;
  *out = nm_make(&r->s->g, X_NOT, *out, 0, 0);
  return DP_OK;
}

static dp_status read_and(runner *r, nm_node *out) {
  DP_TRY(read_not(r, out));
  while (take(r, ".AND.")) {
    nm_node b;
    DP_TRY(read_not(r, &b));
    *out = nm_make(&r->s->g, X_AND, *out, b, 0);
  }
  return DP_OK;
}

static dp_status read_or(runner *r, nm_node *out) {
  DP_TRY(read_and(r, out));
  while (take(r, ".OR.")) {
    nm_node b;
    DP_TRY(read_and(r, &b));
    *out = nm_make(&r->s->g, X_OR, *out, b, 0);
  }
  return nm_check(r->s);
}

static dp_status end_of_statement(runner *r) {
  skip(r);
  if (!*r->p) return DP_OK;
  return NM_WRONG(r->s, r->line, "found '%.20s' behind the end of a statement", r->p);
}

/* ---- statements ---- */

static dp_status read_target(runner *r, char full[MAX_WORD + 16]) {
  char name[MAX_WORD];
  static const char *const refused[] = {"THETA", "ETA", "EPS", "ERR", "A", "MTIME", "P"};
  DP_TRY(read_name(r, name));
  if (!*name) return NM_WRONG(r->s, r->line, "found '%.20s', expected an assignment", r->p);
  skip(r);
  snprintf(full, MAX_WORD + 16, "%s", name);
  if (*r->p == '(') {
    int k = 0;
    if (among(name, refused, DPI_COUNT(refused)))
      return NM_REFUSE(r->s, r->line, "an assignment to %s(n) is not supported", name);
    DP_TRY(read_index(r, name, &k));
    snprintf(full, MAX_WORD + 16, "%s(%d)", name, k);
    if (strcmp(name, "DADT") == 0 && (k < 1 || k > r->s->ncmt || r->which != NM_DES))
      return NM_WRONG(r->s, r->line, "%s: %s", full,
                      r->which == NM_DES ? "there is no such compartment" : "outside $DES");
    if (strcmp(name, "A_0") == 0 && (k < 1 || k > r->s->ncmt))
      return NM_WRONG(r->s, r->line, "%s: there is no such compartment", full);
  } else if (nm_column_find(r->s, name) >= 0) {
    return NM_REFUSE(r->s, r->line, "%s is a column of $INPUT: an assignment to it is not supported", name);
  }
  return DP_OK;
}

static dp_status run_simple(runner *r) {
  char full[MAX_WORD + 16];
  static const char *const refused[] = {"CALL", "DO",      "WRITE", "PRINT", "OPEN", "RETURN",
                                        "GOTO", "INCLUDE", "ENDDO", "CLOSE", "READ"};
  const char *start = r->p;
  char name[MAX_WORD];
  DP_TRY(read_name(r, name));
  skip(r);
  if (*r->p != '=' && *r->p != '(') {
    if (strcmp(name, "EXIT") == 0) return DP_OK; /* asks for another try of the estimator; no value changes */
    if (among(name, refused, DPI_COUNT(refused))) return NM_REFUSE(r->s, r->line, "%s is not supported", name);
  }
  r->p = start;
  DP_TRY(read_target(r, full));
  DP_TRY(expect(r, "="));
  int k;
  nm_node x;
  DP_TRY(read_or(r, &x));
  DP_TRY(end_of_statement(r));
  DP_TRY(var_get(r->s, full, r->line, &k));
  r->s->var[k].value = x;
  return DP_OK;
}

static dp_status run_lines(runner *r);

/* Variables as they are now. */
static dp_status keep(const nm_stream *s, nm_node **out, int *n) {
  *n = s->nvar;
  *out = DPI_NEW_ARRAY(s->ctx, nm_node, s->nvar + 1);
  if (!*out) return DP_ERR_MEMORY;
  for (int i = 0; i < s->nvar; i++) (*out)[i] = s->var[i].value;
  return DP_OK;
}

static void put_back(nm_stream *s, const nm_node *value, int n) {
  for (int i = 0; i < s->nvar; i++) s->var[i].value = i < n ? value[i] : NM_NONE;
}

/* After both sides: value = condition ? then : what it is now. */
static dp_status join(nm_stream *s, nm_node condition, const nm_node *then, int nthen) {
  for (int i = 0; i < s->nvar; i++) {
    nm_node a = i < nthen ? then[i] : NM_NONE, b = s->var[i].value;
    if (a == b) continue;
    if (a == NM_NONE) a = nm_leaf(&s->g, X_UNDEF, i);
    if (b == NM_NONE) b = nm_leaf(&s->g, X_UNDEF, i);
    s->var[i].value = nm_make(&s->g, X_IF, condition, a, b);
  }
  return nm_check(s);
}

/* Is the line at r->at this keyword (ELSE, ENDIF, END IF, ELSEIF, ELSE IF)? r->p behind it. */
static bool keyword(runner *r, const char *first, const char *second) {
  r->p = r->b->item[r->at].text;
  r->line = r->b->item[r->at].line;
  if (!take(r, first)) return false;
  if (*second) return take(r, second) && !in_word(*r->p);
  return !in_word(*r->p);
}

static dp_status run_if_block(runner *r, nm_node condition);

/* Behind the first part: ELSE IF, ELSE or nothing, and ENDIF. */
static dp_status run_else(runner *r) {
  if (r->at < r->b->n && keyword(r, "ELSE", "IF")) {
    nm_node c;
    DP_TRY(expect(r, "("));
    DP_TRY(read_or(r, &c));
    DP_TRY(expect(r, ")"));
    take(r, "THEN");
    DP_TRY(end_of_statement(r));
    r->at++;
    return run_if_block(r, c);
  }
  if (r->at < r->b->n && keyword(r, "ELSE", "")) {
    DP_TRY(end_of_statement(r));
    r->at++;
    DP_TRY(run_lines(r));
  }
  if (r->at >= r->b->n || (!keyword(r, "END", "IF"))) return NM_WRONG(r->s, r->line, "an IF ... THEN has no ENDIF");
  DP_TRY(end_of_statement(r));
  r->at++;
  return DP_OK;
}

static dp_status run_sides(runner *r, nm_node condition, const nm_node *before, int nbefore) {
  nm_node *then;
  int nthen;
  DP_TRY(run_lines(r));
  DP_TRY(keep(r->s, &then, &nthen));
  put_back(r->s, before, nbefore);
  dp_status st = run_else(r);
  if (st == DP_OK) st = join(r->s, condition, then, nthen);
  dpi_free(r->s->ctx, then);
  return st;
}

/* From the line behind THEN up to and with ENDIF. */
static dp_status run_if_block(runner *r, nm_node condition) {
  nm_node *before;
  int nbefore;
  if (++r->nesting > 30) return NM_REFUSE(r->s, r->line, "IF blocks are nested too deeply");
  DP_TRY(keep(r->s, &before, &nbefore));
  dp_status st = run_sides(r, condition, before, nbefore);
  dpi_free(r->s->ctx, before);
  r->nesting--;
  return st;
}

static dp_status run_if(runner *r) {
  nm_node condition, *before;
  int nbefore;
  DP_TRY(expect(r, "("));
  DP_TRY(read_or(r, &condition));
  DP_TRY(expect(r, ")"));
  const char *start = r->p;
  if (take(r, "THEN") && !in_word(*r->p)) {
    DP_TRY(end_of_statement(r));
    r->at++;
    return run_if_block(r, condition);
  }
  r->p = start; /* IF (condition) statement */
  DP_TRY(keep(r->s, &before, &nbefore));
  nm_node *then = NULL;
  int nthen = 0;
  dp_status st = run_simple(r);
  if (st == DP_OK) st = keep(r->s, &then, &nthen);
  if (st == DP_OK) {
    put_back(r->s, before, nbefore);
    st = join(r->s, condition, then, nthen);
  }
  dpi_free(r->s->ctx, then);
  dpi_free(r->s->ctx, before);
  r->at++;
  return st;
}

/* Statements up to ELSE, ENDIF or the end. */
static dp_status run_lines(runner *r) {
  while (r->at < r->b->n) {
    if (keyword(r, "ELSE", "") || keyword(r, "ELSEIF", "") || keyword(r, "END", "IF")) return DP_OK;
    r->p = r->b->item[r->at].text;
    r->line = r->b->item[r->at].line;
    if (*r->p == '"') return NM_REFUSE(r->s, r->line, "verbatim code (\") is not supported");
    if (*r->p == '(') { /* (OBSERVATIONS ONLY): when the block is called; values at observations are the same */
      r->at++;
      continue;
    }
    const char *start = r->p;
    if (take(r, "IF") && !in_word(*r->p)) {
      skip(r);
      if (*r->p == '(') {
        DP_TRY(run_if(r));
        continue;
      }
    }
    r->p = start;
    DP_TRY(run_simple(r));
    r->at++;
  }
  return DP_OK;
}

/* $ABBREVIATED REPLACE in a line. */
static dp_status replace(nm_stream *s, nm_line *l) {
  for (int i = 0; i < s->nabbr; i++) {
    size_t n = strlen(s->abbr[i].from);
    dpi_str out;
    dpi_str_init(&out, s->ctx);
    for (const char *p = l->text; *p;) {
      size_t k = 0;
      while (k < n && upper(p[k]) == s->abbr[i].from[k]) k++;
      bool hit = k == n && (p == l->text || !in_word(p[-1])) && (!in_word(p[n]) || !in_word(p[n - 1]));
      if (hit)
        dpi_str_add(&out, s->abbr[i].to);
      else
        dpi_str_addn(&out, p, 1);
      p += hit ? n : 1;
    }
    l->text = out.failed || out.len > 20000 ? NULL : dpi_arena_strdup(s->arena, dpi_str_text(&out));
    dpi_str_release(&out);
    if (!l->text) return NM_REFUSE(s, l->line, "$ABBREVIATED REPLACE makes a line too long");
  }
  return DP_OK;
}

static dp_status run_block(nm_stream *s, int which) {
  nm_block *b = &s->block[which];
  runner r = {.s = s, .which = which, .b = b};
  if (b->n > MAX_LINES) return NM_REFUSE(s, b->line, "more than %d lines of code", MAX_LINES);
  for (int i = 0; i < b->n; i++) DP_TRY(replace(s, &b->item[i]));
  DP_TRY(run_lines(&r));
  if (r.at < b->n) return NM_WRONG(s, b->item[r.at].line, "found %.10s without an IF ... THEN", b->item[r.at].text);
  return DP_OK;
}

static dp_status run_des(nm_stream *s) {
  char name[24];
  DP_TRY(run_block(s, NM_DES));
  for (int i = 1; i <= s->ncmt; i++) {
    snprintf(name, sizeof name, "DADT(%d)", i);
    s->rate[i] = nm_var_value(s, name);
    if (s->rate[i] == NM_NONE) return NM_WRONG(s, s->block[NM_DES].line, "$DES: there is no DADT(%d)", i);
  }
  put_back(s, s->after_pk, s->npk); /* what $DES assigns is its own */
  return DP_OK;
}

dp_status nm_code_run(nm_stream *s) {
  DP_TRY(run_block(s, NM_PK));
  DP_TRY(keep(s, &s->after_pk, &s->npk));
  if (s->block[NM_DES].line)
    DP_TRY(run_des(s));
  else
    DP_TRY(nm_advan_rates(s));
  return run_block(s, NM_ERROR);
}
