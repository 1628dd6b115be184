/* petab_expr.c - floor 3: text of a PEtab expression -> tree.
 *
 * From what binds most: calls and parentheses; ^ from right to left; unary + - !; * /; + -; < <= > >= == !=; && and
 * || alike. Runs of one kind are one node, so that long sums cost no depth. Invariants: a tree is at most
 * PETAB_DEPTH deep, nodes are never changed once made, and may stand in several trees.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "format/petab/petab_impl.h"

typedef struct parser {
  dpi_petab *p;
  const char *text, *s; /* s: the next character */
  const dpi_petab_place *place;
  int depth; /* of C recursion */
} parser;

typedef struct list {
  const dpi_petab_expr **item;
  char *sign;
  int n, cap;
} list;

typedef struct function_info {
  const char *name;
  int least, most;
} function_info;

static const function_info functions[PETAB_FN_COUNT] = {
#define PETAB_FUNCTION_ROW(name, least, most) {#name, least, most},
    PETAB_FUNCTIONS(PETAB_FUNCTION_ROW)
#undef PETAB_FUNCTION_ROW
};

const char *petab_function_name(int fn) { return functions[fn].name; }

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* ---- identifiers ---- */

static bool same_nocase(const char *a, const char *b) {
  for (; *a && *b; a++, b++) {
    char x = *a >= 'A' && *a <= 'Z' ? (char)(*a + 32) : *a, y = *b >= 'A' && *b <= 'Z' ? (char)(*b + 32) : *b;
    if (x != y) return false;
  }
  return *a == *b;
}

bool petab_reserved(const char *id) {
  static const char *const words[] = {"true", "false", "inf", "time", "nan"};
  for (int i = 0; i < DPI_COUNT(words); i++)
    if (same_nocase(id, words[i])) return true;
  for (int i = 0; i < PETAB_FN_COUNT; i++)
    if (same_nocase(id, functions[i].name)) return true;
  return false;
}

bool petab_valid_id(const char *id) {
  if (!is_letter(*id)) return false;
  while (is_letter(*id) || is_digit(*id)) id++;
  return *id == '\0';
}

static int find_function(const parser *p, const char *word) {
  static const char *const old[][2] = {{"asin", "arcsin"},   {"acos", "arccos"},   {"atan", "arctan"},
                                       {"asinh", "arcsinh"}, {"acosh", "arccosh"}, {"atanh", "arctanh"}};
  for (int i = 0; i < PETAB_FN_COUNT; i++)
    if (strcmp(word, functions[i].name) == 0) return i;
  for (int i = 0; p->p->version == 1 && i < DPI_COUNT(old); i++)
    if (strcmp(word, old[i][0]) == 0) return find_function(p, old[i][1]);
  return -1;
}

/* ---- messages ---- */

static void blanks(parser *p) {
  while (*p->s == ' ' || *p->s == '\t' || *p->s == '\n' || *p->s == '\r') p->s++;
}

static dp_status fail(const parser *p, const char *at, const char *what) {
  return petab_fail(p->p, p->place, DP_ERR_INPUT, "character %d of '%.60s%s': %s", (int)(at - p->text) + 1, p->text,
                    strlen(p->text) > 60 ? "..." : "", what);
}

static dp_status expected(parser *p, const char *what) {
  char text[120];
  blanks(p);
  if (*p->s)
    snprintf(text, sizeof text, "found '%c', expected %s", *p->s, what);
  else
    snprintf(text, sizeof text, "the formula ends where %s is expected", what);
  return fail(p, p->s, text);
}

/* ---- nodes ---- */

static dp_status new_node(parser *p, petab_op op, const dpi_petab_expr *const *arg, int narg, dpi_petab_expr **out) {
  dpi_petab_expr *e = DPI_ARENA_NEW(&p->p->arena, dpi_petab_expr);
  if (!e) return petab_memory(p->p);
  *e = (dpi_petab_expr){.op = op, .narg = narg, .depth = 1, .size = 1};
  if (narg > 0 && !(e->arg = DPI_ARENA_ARRAY(&p->p->arena, const dpi_petab_expr *, narg))) return petab_memory(p->p);
  for (int i = 0; i < narg; i++) {
    e->arg[i] = arg[i];
    e->size += arg[i]->size;
    if (arg[i]->depth >= e->depth) e->depth = arg[i]->depth + 1;
  }
  *out = e;
  if (e->depth <= PETAB_DEPTH) return DP_OK;
  return petab_fail(p->p, p->place, DP_ERR_UNSUPPORTED, "the formula is nested more than %d deep", PETAB_DEPTH);
}

static dp_status number(parser *p, double value, const dpi_petab_expr **out) {
  dpi_petab_expr *e = NULL;
  DP_TRY(new_node(p, PETAB_NUMBER, NULL, 0, &e));
  e->value = value;
  *out = e;
  return DP_OK;
}

static dp_status binary(parser *p, petab_op op, int fn, const dpi_petab_expr *a, const dpi_petab_expr *b,
                        const dpi_petab_expr **out) {
  const dpi_petab_expr *arg[2] = {a, b};
  dpi_petab_expr *e = NULL;
  DP_TRY(new_node(p, op, arg, b ? 2 : 1, &e));
  e->fn = fn;
  *out = e;
  return DP_OK;
}

static dp_status list_add(parser *p, list *l, const dpi_petab_expr *e, char sign) {
  if (l->n == l->cap) {
    int cap = l->cap ? 2 * l->cap : 4;
    const dpi_petab_expr **item = DPI_ARENA_ARRAY(&p->p->arena, const dpi_petab_expr *, cap);
    char *signs = DPI_ARENA_ARRAY(&p->p->arena, char, cap);
    if (!item || !signs) return petab_memory(p->p);
    for (int i = 0; i < l->n; i++) {
      item[i] = l->item[i];
      signs[i] = l->sign[i];
    }
    *l = (list){item, signs, l->n, cap};
  }
  l->item[l->n] = e;
  l->sign[l->n++] = sign;
  return DP_OK;
}

/* ---- the grammar ---- */

static dp_status parse_logic(parser *p, const dpi_petab_expr **out);
static dp_status parse_unary(parser *p, const dpi_petab_expr **out);

static dp_status enter(parser *p) {
  if (++p->depth <= PETAB_DEPTH) return DP_OK;
  return petab_fail(p->p, p->place, DP_ERR_UNSUPPORTED, "the formula is nested more than %d deep", PETAB_DEPTH);
}

/* digits, point, digits, exponent */
static dp_status parse_number(parser *p, const dpi_petab_expr **out) {
  const char *from = p->s, *s = p->s;
  char text[400];
  double value;
  while (is_digit(*s)) s++;
  if (*s == '.') s++;
  while (is_digit(*s)) s++;
  if (*s == 'e' || *s == 'E') {
    const char *e = s + 1;
    if (*e == '+' || *e == '-') e++;
    if (!is_digit(*e)) return fail(p, s, "an exponent without digits");
    while (is_digit(*e)) e++;
    s = e;
  }
  if (is_letter(*s)) return fail(p, s, "a letter directly after a number; write * between factors");
  if ((size_t)(s - from) >= sizeof text) return fail(p, from, "a number of more than 400 characters");
  memcpy(text, from, (size_t)(s - from));
  text[s - from] = '\0';
  if (!dpi_parse_double(text, &value)) return fail(p, from, "this is no number that can be represented");
  p->s = s;
  return number(p, value, out);
}

static dp_status wrong_count(const parser *p, const char *at, int fn, int n) {
  char text[160];
  const function_info *f = &functions[fn];
  if (fn == PETAB_FN_piecewise && n >= 3 && n <= f->most)
    snprintf(text, sizeof text, "piecewise has %d arguments, expected value, condition, ..., otherwise: an odd number",
             n);
  else
    snprintf(text, sizeof text, "%s has %d argument%s, expected %d%s", f->name, n, n == 1 ? "" : "s",
             n < f->least ? f->least : f->most,
             f->least == f->most ? ""
             : n < f->least      ? " or more"
                                 : " or less");
  return fail(p, at, text);
}

static dp_status parse_call(parser *p, const char *at, int fn, const dpi_petab_expr **out) {
  list l = {0};
  dpi_petab_expr *e = NULL;
  p->s++; /* '(' */
  blanks(p);
  while (*p->s != ')') {
    const dpi_petab_expr *arg = NULL;
    DP_TRY(parse_logic(p, &arg));
    DP_TRY(list_add(p, &l, arg, ','));
    blanks(p);
    if (*p->s == ')') break;
    if (*p->s != ',') return expected(p, "',' or ')'");
    p->s++;
    blanks(p);
    if (*p->s == ')') return expected(p, "an argument");
  }
  p->s++;
  if (l.n < functions[fn].least || l.n > functions[fn].most || (fn == PETAB_FN_piecewise && l.n % 2 == 0))
    return wrong_count(p, at, fn, l.n);
  DP_TRY(new_node(p, PETAB_CALL, l.item, l.n, &e));
  e->fn = fn;
  *out = e;
  return DP_OK;
}

static dp_status unknown_function(const parser *p, const char *at, const char *word) {
  const char *words[PETAB_FN_COUNT];
  char text[200];
  for (int i = 0; i < PETAB_FN_COUNT; i++) words[i] = functions[i].name;
  const char *near = dpi_nearest_word(word, words, PETAB_FN_COUNT);
  snprintf(text, sizeof text, "PEtab has no function '%.40s'%s%s%s", word, near ? "; did you mean '" : "",
           near ? near : "", near ? "'?" : "");
  return fail(p, at, text);
}

static dp_status parse_word(parser *p, const dpi_petab_expr **out) {
  const char *from = p->s;
  while (is_letter(*p->s) || is_digit(*p->s)) p->s++;
  size_t n = (size_t)(p->s - from);
  char word[64];
  if (n < sizeof word) {
    memcpy(word, from, n);
    word[n] = '\0';
  } else {
    word[0] = '\0'; /* too long for any word of the language */
  }
  blanks(p);
  if (*p->s == '(') {
    int fn = find_function(p, word);
    return fn < 0 ? unknown_function(p, from, word[0] ? word : "(long name)") : parse_call(p, from, fn, out);
  }
  if (strcmp(word, "true") == 0 || strcmp(word, "false") == 0) return number(p, word[0] == 't', out);
  if (strcmp(word, "inf") == 0) return number(p, INFINITY, out);
  if (same_nocase(word, "nan")) return fail(p, from, "NaN has no place in a formula");
  if (find_function(p, word) >= 0) return fail(p, p->s, "a function needs '(' and its arguments");
  dpi_petab_expr *e = NULL;
  DP_TRY(new_node(p, PETAB_NAME, NULL, 0, &e));
  *out = e;
  return petab_name(p->p, from, n, p->place, &e->name);
}

static dp_status parse_atom(parser *p, const dpi_petab_expr **out) {
  blanks(p);
  if (is_digit(*p->s) || (*p->s == '.' && is_digit(p->s[1]))) return parse_number(p, out);
  if (is_letter(*p->s)) return parse_word(p, out);
  if (*p->s != '(') return expected(p, "a number, a name or '('");
  p->s++;
  DP_TRY(parse_logic(p, out));
  blanks(p);
  if (*p->s != ')') return expected(p, "an operator or ')'");
  p->s++;
  return DP_OK;
}

static dp_status parse_power(parser *p, const dpi_petab_expr **out) {
  const dpi_petab_expr *base = NULL, *exponent = NULL;
  DP_TRY(parse_atom(p, &base));
  *out = base;
  blanks(p);
  bool stars = p->p->version == 1 && p->s[0] == '*' && p->s[1] == '*'; /* as programs of version 1's time write it */
  if (*p->s != '^' && !stars) return DP_OK;
  p->s += stars ? 2 : 1;
  DP_TRY(parse_unary(p, &exponent));
  return binary(p, PETAB_POWER, 0, base, exponent, out);
}

static dp_status parse_unary(parser *p, const dpi_petab_expr **out) {
  DP_TRY(enter(p));
  blanks(p);
  char c = *p->s;
  if (c == '-' || c == '+' || c == '!') {
    const dpi_petab_expr *a = NULL;
    p->s++;
    DP_TRY(parse_unary(p, &a));
    if (c == '+')
      *out = a;
    else if (c == '-' && a->op == PETAB_NUMBER)
      DP_TRY(number(p, -a->value, out));
    else
      DP_TRY(binary(p, c == '-' ? PETAB_MINUS : PETAB_NOT, 0, a, NULL, out));
  } else {
    DP_TRY(parse_power(p, out));
  }
  p->depth--;
  return DP_OK;
}

/* The next operator when it is one of the two, taken; else 0. */
static char take_sign(parser *p, petab_op op, const char signs[2]) {
  blanks(p);
  char c = *p->s;
  if (c == '\0' || (c != signs[0] && c != signs[1])) return '\0';
  if (op == PETAB_LOGIC && p->s[1] != c) return '\0';
  p->s += op == PETAB_LOGIC ? 2 : 1;
  return c;
}

/* Operands joined by one of two operators: one node. */
static dp_status parse_run(parser *p, petab_op op, const char signs[2],
                           dp_status (*operand)(parser *, const dpi_petab_expr **), const dpi_petab_expr **out) {
  list l = {0};
  const dpi_petab_expr *arg = NULL;
  dpi_petab_expr *e = NULL;
  DP_TRY(operand(p, &arg));
  char sign = take_sign(p, op, signs);
  *out = arg;
  if (!sign) return DP_OK;
  DP_TRY(list_add(p, &l, arg, signs[0]));
  for (; sign; sign = take_sign(p, op, signs)) {
    DP_TRY(operand(p, &arg));
    DP_TRY(list_add(p, &l, arg, sign));
  }
  DP_TRY(new_node(p, op, l.item, l.n, &e));
  e->sign = l.sign;
  *out = e;
  return DP_OK;
}

static dp_status parse_product(parser *p, const dpi_petab_expr **out) {
  return parse_run(p, PETAB_PRODUCT, "*/", parse_unary, out);
}

static dp_status parse_sum(parser *p, const dpi_petab_expr **out) {
  return parse_run(p, PETAB_SUM, "+-", parse_product, out);
}

static bool take_relation(parser *p, int *fn) {
  blanks(p);
  char c = *p->s;
  bool equal = c && p->s[1] == '=';
  if (c == '<' || c == '>')
    *fn = (c == '<' ? PETAB_LT : PETAB_GT) + (equal ? 1 : 0);
  else if ((c == '=' || c == '!') && equal)
    *fn = c == '=' ? PETAB_EQ : PETAB_NE;
  else
    return false;
  p->s += equal ? 2 : 1;
  return true;
}

static dp_status parse_relation(parser *p, const dpi_petab_expr **out) {
  const dpi_petab_expr *right = NULL;
  int fn;
  DP_TRY(parse_sum(p, out));
  while (take_relation(p, &fn)) {
    DP_TRY(parse_sum(p, &right));
    DP_TRY(binary(p, PETAB_RELATION, fn, *out, right, out));
  }
  return DP_OK;
}

static dp_status parse_logic(parser *p, const dpi_petab_expr **out) {
  DP_TRY(enter(p));
  DP_TRY(parse_run(p, PETAB_LOGIC, "&|", parse_relation, out));
  p->depth--;
  return DP_OK;
}

dp_status dpi_petab_parse(dpi_petab *pt, const char *text, const dpi_petab_place *place, const dpi_petab_expr **out) {
  static const dpi_petab_place nowhere = {"formula", 1, ""};
  parser p = {.p = pt, .text = text, .s = text, .place = place ? place : &nowhere};
  DP_TRY(parse_logic(&p, out));
  blanks(&p);
  return *p.s ? expected(&p, "an operator or the end") : DP_OK;
}

/* ---- replacing names ---- */

typedef struct replacer {
  parser p;
  const dpi_petab_expr *(*put)(void *user, int name);
  void *user;
  long *budget;
} replacer;

static dp_status replace(replacer *r, const dpi_petab_expr *e, const dpi_petab_expr **out) {
  if (--*r->budget < 0)
    return petab_fail(r->p.p, r->p.place, DP_ERR_UNSUPPORTED,
                      "formulas of observables inside formulas grow beyond all measure");
  *out = e;
  if (e->op == PETAB_NAME) {
    const dpi_petab_expr *other = r->put(r->user, e->name);
    if (other) {
      *out = other;
      *r->budget -= other->size;
    }
    return DP_OK;
  }
  bool changed = false;
  const dpi_petab_expr **arg = NULL;
  for (int i = 0; i < e->narg; i++) {
    const dpi_petab_expr *a = NULL;
    DP_TRY(replace(r, e->arg[i], &a));
    if (a != e->arg[i] && !changed) {
      changed = true;
      arg = DPI_ARENA_ARRAY(&r->p.p->arena, const dpi_petab_expr *, e->narg);
      if (!arg) return petab_memory(r->p.p);
      for (int k = 0; k < i; k++) arg[k] = e->arg[k];
    }
    if (changed) arg[i] = a;
  }
  if (!changed) return DP_OK;
  dpi_petab_expr *made = NULL;
  DP_TRY(new_node(&r->p, e->op, arg, e->narg, &made));
  made->fn = e->fn;
  made->sign = e->sign;
  *out = made;
  return DP_OK;
}

dp_status petab_replace(dpi_petab *p, const dpi_petab_expr *e, const dpi_petab_place *place,
                        const dpi_petab_expr *(*put)(void *user, int name), void *user, long *budget,
                        const dpi_petab_expr **out) {
  replacer r = {.p = {.p = p, .place = place}, .put = put, .user = user, .budget = budget};
  return replace(&r, e, out);
}
