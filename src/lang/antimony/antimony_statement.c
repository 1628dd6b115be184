/* antimony_statement.c - floor 3: the statements of an Antimony model, each noted for its variables. */
#include <math.h>
#include <string.h>

#include "lang/antimony/antimony_words.h"

/* ---- small steps over the words ---- */
const dpi_tok *dpi_ant_peek(ant_reader *r) { return dpi_infix_peek(&r->p); }
const dpi_tok *dpi_ant_next(ant_reader *r) { return dpi_infix_next(&r->p); }
bool dpi_ant_take(ant_reader *r, int kind) { return dpi_infix_take(&r->p, kind); }

const dpi_tok *dpi_ant_ahead(ant_reader *r, int n) {
  int last = r->file_list[r->file].ntok - 1, i = r->p.pos + n;
  return &r->p.tok[i < last ? i : last];
}

bool dpi_ant_says(const dpi_tok *t, const char *word) { return t->kind == DPI_TOK_ID && strcmp(t->text, word) == 0; }

bool dpi_ant_take_word(ant_reader *r, const char *word) {
  if (!says(peek(r), word)) return false;
  next(r);
  return true;
}

void dpi_ant_skip_newlines(ant_reader *r) {
  while (peek(r)->kind == DPI_TOK_NEWLINE) next(r);
}

bool dpi_ant_at_end(ant_reader *r) {
  int k = peek(r)->kind;
  return r->p.pos >= r->stop || k == ';' || k == DPI_TOK_NEWLINE || k == DPI_TOK_END;
}

dp_status dpi_ant_expected(ant_reader *r, const char *what) { return dpi_infix_expected(&r->p, what); }

int dpi_ant_statement_end(const ant_reader *r, int pos) {
  const dpi_tok *tok = r->p.tok;
  bool comma = false;
  for (; pos < r->stop && tok[pos].kind != DPI_TOK_END; pos++) {
    if (tok[pos].kind == ';' || (tok[pos].kind == DPI_TOK_NEWLINE && !comma)) break;
    if (tok[pos].kind != DPI_TOK_NEWLINE) comma = tok[pos].kind == ',';
  }
  return pos;
}

void dpi_ant_skip(ant_reader *r) { r->p.pos = dpi_ant_statement_end(r, r->p.pos); }

bool dpi_ant_has(const ant_reader *r, int kind) {
  int end = dpi_ant_statement_end(r, r->p.pos);
  for (int i = r->p.pos; i < end; i++)
    if (r->p.tok[i].kind == kind) return true;
  return false;
}

int dpi_ant_after_path(ant_reader *r, int n) {
  if (ahead(r, n)->kind != DPI_TOK_ID) return n;
  n++;
  while (ahead(r, n)->kind == '.' && ahead(r, n + 1)->kind == DPI_TOK_ID) n += 2;
  return n;
}

dp_status dpi_ant_math(ant_reader *r, ant_math *out) {
  *out = (ant_math){.scope = r->scope, .line = peek(r)->line};
  r->p.depth = 0;
  r->p.paren = 0;
  return dpi_infix_expr(&r->p, &out->ast);
}

const char *dpi_ant_text(ant_reader *r, int from, int to) {
  dpi_str s;
  dpi_str_init(&s, r->ctx);
  for (int i = from; i < to; i++) {
    const dpi_tok *t = &r->p.tok[i];
    char buf[48];
    if (t->kind == DPI_TOK_NEWLINE) continue;
    if (t->kind == DPI_TOK_ID || t->kind == DPI_TOK_NUM) {
      dpi_str_add(&s, t->text);
    } else if (t->kind == DPI_TOK_STRING) {
      dpi_str_addf(&s, "\"%s\"", t->text);
    } else {
      const char *word = dpi_tok_say(t, buf);
      dpi_str_addn(&s, word + 1, strlen(word) - 2);
    }
  }
  const char *text = s.failed ? NULL : dpi_net_text(r->net, dpi_str_text(&s));
  dpi_str_release(&s);
  return text;
}

/* ---- values ---- */
static dp_status refuse(ant_reader *r, const ant_var *v, const dpi_tok *at, const char *what, int line) {
  return dpi_infix_fail(&r->p, at, DP_ERR_INPUT, "'%s' has %s (line %d)", v->name, what, line);
}

/* mathematics to be kept for `var`, which may be counted in other measures than what carries it */
static dp_status scaled(ant_reader *r, int var, ant_math *m) {
  while (r->var[var].same != var && m->ast != NULL) {
    dpi_ast *factor = r->var[var].factor;
    if (factor != NULL) m->ast = dpi_ast_op2(r->net, DPI_AST_TIMES, m->ast, dpi_ast_copy(r->net, factor));
    if (m->ast == NULL) return DP_ERR_MEMORY;
    var = r->var[var].same;
  }
  return DP_OK;
}

/* x = 3 mL gives x the unit, too */
static dp_status take_unit(ant_reader *r, ant_var *v, const dpi_ast *a) {
  if (a->op == DPI_AST_MINUS && a->narg == 1) a = a->arg[0];
  if (a->op != DPI_AST_NUMBER || a->unit[0] == '\0' || v->kind == ANT_REACTION) return DP_OK;
  v->unit = dpi_net_text(r->net, a->unit);
  return v->unit == NULL ? DP_ERR_MEMORY : DP_OK;
}

/* x = expr: a number or an initial expression; without expr: no value */
static dp_status set_initial(ant_reader *r, int var, const dpi_tok *at) {
  ant_math m = {0};
  ant_var *v = ANT_ROOT(r, var);
  if (v->kind == ANT_GENE_PRODUCT) {
    dpi_ant_skip(r);
    return DP_OK;
  }
  if (at_end(r)) {
    v->init = m;
    v->no_value = true;
    return DP_OK;
  }
  if (v->rule.ast != NULL && v->kind != ANT_REACTION)
    return refuse(r, v, at, "an initial value beside its formula", v->rule.line);
  DP_TRY(dpi_ant_math(r, &m));
  DP_TRY(scaled(r, var, &m));
  v = ANT_ROOT(r, var);
  v->init = m;
  v->no_value = false;
  if (v->kind == ANT_REACTION && take_word(r, "in"))
    DP_TRY(dpi_ant_define(r, "a compartment", ANT_COMPARTMENT, &v->home));
  return take_unit(r, ANT_ROOT(r, var), m.ast);
}

/* x := expr; without expr: the rule is taken back */
static dp_status set_formula(ant_reader *r, int var, const dpi_tok *at) {
  ant_math m = {0};
  ant_var *v = ANT_ROOT(r, var);
  if (v->kind == ANT_REACTION) return set_initial(r, var, at);
  if (v->rate.ast != NULL) return refuse(r, v, at, "a formula beside its rate", v->rate.line);
  if (!at_end(r)) {
    DP_TRY(dpi_ant_math(r, &m));
    DP_TRY(scaled(r, var, &m));
  }
  v = ANT_ROOT(r, var);
  v->rule = m;
  if (m.ast != NULL) {
    v->init = (ant_math){0};
    v->no_value = false;
    DP_TRY(take_unit(r, v, m.ast));
  }
  return DP_OK;
}

/* x' = expr */
static dp_status set_rate(ant_reader *r, int var, const dpi_tok *at) {
  ant_math m = {0};
  ant_var *v = ANT_ROOT(r, var);
  if (v->rule.ast != NULL) return refuse(r, v, at, "a rate beside its formula", v->rule.line);
  if (v->kind == ANT_REACTION)
    return dpi_infix_fail(&r->p, at, DP_ERR_INPUT, "'%s' is a reaction and can't have a rate of change", v->name);
  if (!at_end(r)) {
    DP_TRY(dpi_ant_math(r, &m));
    DP_TRY(scaled(r, var, &m));
  }
  ANT_ROOT(r, var)->rate = m;
  return DP_OK;
}

static dp_status set_home(ant_reader *r, int var) {
  int home, line = peek(r)->line;
  DP_TRY(dpi_ant_path(r, "the name of a compartment", &home, NULL));
  if (dpi_ant_root(r, home) == dpi_ant_root(r, var)) {
    r->p.pos--;
    return expected(r, "another compartment than itself");
  }
  ant_var *v = ANT_ROOT(r, home);
  if (v->kind != ANT_ANY && v->kind != ANT_FORMULA && v->kind != ANT_COMPARTMENT)
    return dpi_fail(r->ctx, DP_ERR_INPUT, "%s:%d: '%s' lies in what is not a compartment: %s", r->p.where, line,
                    ANT_ROOT(r, var)->name, v->name);
  DP_TRY(dpi_ant_become(r, home, ANT_COMPARTMENT, line));
  ANT_ROOT(r, var)->home = home;
  return DP_OK;
}

/* ---- the same as ---- */
/* a number or a name by which something is multiplied */
static dp_status factor_word(ant_reader *r, dpi_ast **out) {
  const dpi_tok *t = next(r);
  if (t->kind == DPI_TOK_NUM) {
    *out = dpi_ast_number(r->net, t->num);
    return *out == NULL ? DP_ERR_MEMORY : DP_OK;
  }
  if (t->kind != DPI_TOK_ID) {
    r->p.pos--;
    return expected(r, "a conversion factor");
  }
  DP_TRY(dpi_ant_name_node(&r->p, t, out));
  return dpi_ant_become(r, (*out)->draw, ANT_FORMULA, t->line);
}

static dp_status inverse(ant_reader *r, dpi_ast **factor) {
  *factor = dpi_ast_op2(r->net, DPI_AST_DIVIDE, dpi_ast_number(r->net, 1.0), *factor);
  return *factor == NULL ? DP_ERR_MEMORY : DP_OK;
}

/* behind `a` and its factor: is b, is b*f, is b/f; `a * f is b` as well as `a is b/f` mean a * f = b */
static dp_status is_the_same(ant_reader *r, int a, dpi_ast *factor) {
  int b, line = peek(r)->line;
  next(r); /* is */
  DP_TRY(dpi_ant_path(r, "a name or a text in quotes", &b, NULL));
  bool by = take(r, '/'), divided = !by && take(r, '*');
  if (by || divided) {
    if (factor != NULL) return expected(r, "one conversion factor, not two,");
    DP_TRY(factor_word(r, &factor));
    if (divided) DP_TRY(inverse(r, &factor));
  }
  return dpi_ant_same(r, a, b, factor, line);
}

static dp_status scaled_same(ant_reader *r, int a) {
  dpi_ast *factor = NULL;
  bool divided = next(r)->kind == '/';
  DP_TRY(factor_word(r, &factor));
  if (divided) DP_TRY(inverse(r, &factor));
  if (!says(peek(r), "is")) return expected(r, "'is' and another name");
  return is_the_same(r, a, factor);
}

/* ---- declarations ---- */
typedef struct decl {
  ant_kind kind;
  bool constant, variable, amount_only;
} decl;

static dp_status declare_one(ant_reader *r, const decl *d) {
  int var;
  bool boundary = take(r, '$');
  const dpi_tok *t = peek(r);
  const char *attribute;
  DP_TRY(dpi_ant_path(r, "a name", &var, &attribute));
  DP_TRY(dpi_ant_become(r, var, boundary ? ANT_SPECIES : d->kind, t->line));
  ant_var *v = ANT_ROOT(r, var);
  v->boundary |= boundary;
  v->amount_only |= d->amount_only;
  if (d->constant) v->said_const = true;
  if (d->constant) v->said_var = false;
  if (d->variable) v->said_var = true;
  if (d->variable) v->said_const = false;
  if (attribute != NULL) return dpi_ant_attribute(r, var, attribute); /* species a.sboTerm = 25 */
  if (take_word(r, "in")) DP_TRY(set_home(r, var));
  if (take(r, '=')) return set_initial(r, var, t);
  if (take(r, DPI_TOK_ASSIGN)) return set_formula(r, var, t);
  if (peek(r)->kind == '\'' && ahead(r, 1)->kind == '=') {
    next(r);
    next(r);
    return set_rate(r, var, t);
  }
  return DP_OK;
}

/* words that may stand before a list of names, with what they say */
static const struct {
  const char *word;
  ant_kind kind;
  int how; /* 'c' const, 'v' var, 's' substanceOnly */
} declare_words[] = {
    {"species", ANT_SPECIES, 0},
    {"compartment", ANT_COMPARTMENT, 0},
    {"formula", ANT_FORMULA, 0},
    {"var", ANT_ANY, 'v'},
    {"const", ANT_ANY, 'c'},
    {"substanceOnly", ANT_SPECIES, 's'},
    {"operator", ANT_FORMULA, 0},
    {"gene", ANT_ANY, 0},
    {"DNA", ANT_ANY, 0},
    {"reaction", ANT_ANY, 0},
    {"event", ANT_ANY, 0},
    {"interaction", ANT_ANY, 0},
    {"geneProduct", ANT_GENE_PRODUCT, 0},
    {"constraint", ANT_ANY, 0},
    {"parameter", ANT_FORMULA, 0},
};

static int declare_word(const dpi_tok *t) {
  for (int i = 0; i < DPI_COUNT(declare_words); i++)
    if (says(t, declare_words[i].word)) return i;
  return -1;
}

/* [var|const] [substanceOnly] species|compartment|formula  a, $b in c, d = 3 */
static dp_status declare(ant_reader *r, const decl *d) {
  do {
    dpi_ant_skip_newlines(r);
    DP_TRY(declare_one(r, d));
  } while (take(r, ','));
  return DP_OK;
}

/* ---- relations: algebraic rules, constraints, flux bounds, objectives ---- */
static dp_status relation(ant_reader *r, int var, ant_kind kind, bool minimize) {
  ant_relation x = {.var = var, .kind = kind, .minimize = minimize};
  if (var >= 0) DP_TRY(dpi_ant_become(r, var, kind, peek(r)->line));
  DP_TRY(dpi_ant_math(r, &x.math));
  if (var >= 0) ANT_ROOT(r, var)->element = r->nrelation;
  ANT_PUSH(r, relation, x);
  return DP_OK;
}

static bool is_relation(const ant_reader *r) {
  static const int kinds[] = {'<', '>', DPI_TOK_LE, DPI_TOK_GE, DPI_TOK_EQ, DPI_TOK_NE};
  bool found = false;
  if (dpi_ant_has(r, '=') || dpi_ant_has(r, DPI_TOK_ASSIGN) || dpi_ant_has(r, DPI_TOK_STRING)) return false;
  for (int i = 0; i < DPI_COUNT(kinds); i++) found |= dpi_ant_has(r, kinds[i]);
  return found;
}

static bool is_algebraic(ant_reader *r) {
  const dpi_tok *t = peek(r);
  return t->kind == DPI_TOK_NUM && t->num == 0.0 && ahead(r, 1)->kind == '=';
}

/* what may stand with or without a name before it; *done: it was one of these */
static dp_status part(ant_reader *r, int var, int home, bool *done) {
  *done = true;
  if (take_word(r, "at")) return dpi_ant_event(r, var);
  if (dpi_ant_is_interaction(r)) return dpi_ant_interaction(r, var);
  if (dpi_ant_has(r, DPI_TOK_ARROW) || dpi_ant_has(r, DPI_TOK_DARROW)) return dpi_ant_reaction(r, var, home);
  if (is_algebraic(r)) {
    next(r);
    next(r);
    return relation(r, var, ANT_ALGEBRAIC, false);
  }
  if (says(peek(r), "maximize") || says(peek(r), "minimize"))
    return relation(r, var, ANT_OBJECTIVE, says(next(r), "minimize"));
  if (dpi_ant_is_strand(r)) return dpi_ant_strand(r, var, home);
  if (peek(r)->kind == DPI_TOK_ID && ahead(r, 1)->kind == '(' && dpi_ant_module(r, peek(r)->text) >= 0)
    return dpi_ant_submodel(r, var, home);
  if (is_relation(r)) {
    (void)take_word(r, "assert");
    return relation(r, var, ANT_CONSTRAINT, false);
  }
  *done = false;
  return DP_OK;
}

/* ---- what begins with a name ---- */
/* name: ..., name in compartment: ... */
static bool is_named(ant_reader *r) {
  int n = dpi_ant_after_path(r, 0);
  if (n == 0) return false;
  if (says(ahead(r, n), "in")) {
    int m = dpi_ant_after_path(r, n + 1);
    if (m > n + 1) n = m;
  }
  return ahead(r, n)->kind == ':';
}

static dp_status named(ant_reader *r) {
  int var, home = -1;
  bool done;
  DP_TRY(dpi_ant_define(r, "a name", ANT_ANY, &var));
  if (take_word(r, "in")) DP_TRY(dpi_ant_define(r, "a compartment", ANT_COMPARTMENT, &home));
  next(r); /* the colon */
  dpi_ant_skip_newlines(r);
  DP_TRY(part(r, var, home, &done));
  if (done) return DP_OK;
  if (peek(r)->kind == DPI_TOK_ID && ahead(r, 1)->kind == '(')
    return dpi_infix_fail(&r->p, peek(r), DP_ERR_INPUT, "there is no model '%s' in this text", peek(r)->text);
  return expected(r, "a reaction, an event or a submodel");
}

static dp_status about_name(ant_reader *r) {
  const dpi_tok *t = peek(r);
  const char *attribute;
  int var, n = dpi_ant_after_path(r, 0);
  const dpi_tok *after = ahead(r, n);
  bool known = after->kind == '\'' || after->kind == '=' || after->kind == DPI_TOK_ASSIGN || after->kind == '*' ||
               after->kind == '/' || after->kind == '.' || says(after, "in") || says(after, "has") || says(after, "is");
  r->p.pos += n;
  bool note = dpi_ant_is_note(r);
  r->p.pos -= n;
  if (!known && !note && (n == 1 || !dpi_ant_is_attribute(ahead(r, n - 1)->text))) {
    r->p.pos += n;
    return expected(r, "a statement such as 'x = 1', 'x := y', \"x' = -k*x\" or 'A -> B; k*A'");
  }
  DP_TRY(dpi_ant_path(r, "a name", &var, &attribute));
  if (attribute != NULL) return dpi_ant_attribute(r, var, attribute);
  if (note) return dpi_ant_note(r, var);
  if (peek(r)->kind == '*' || peek(r)->kind == '/') {
    DP_TRY(dpi_ant_become(r, var, ANT_ANY, t->line));
    return scaled_same(r, var);
  }
  if (says(peek(r), "is")) return is_the_same(r, var, NULL);
  DP_TRY(dpi_ant_become(r, var, ANT_ANY, t->line));
  if (take_word(r, "in")) { /* S in C = 5 */
    DP_TRY(set_home(r, var));
    if (at_end(r)) return DP_OK;
  }
  if (take(r, '\'')) {
    if (!take(r, '=')) return expected(r, "'='");
    return set_rate(r, var, t);
  }
  if (take(r, '=')) return set_initial(r, var, t);
  if (take(r, DPI_TOK_ASSIGN)) return set_formula(r, var, t);
  if (take_word(r, "has")) return dpi_ant_has_unit(r, var);
  return expected(r, "'=', ':=' or another statement");
}

static dp_status delete_parts(ant_reader *r) {
  next(r);
  do {
    int var;
    DP_TRY(dpi_ant_path(r, "what to delete", &var, NULL));
    (void)take(r, '\'');
    dpi_ant_delete(r, var);
  } while (take(r, ','));
  return DP_OK;
}

/* ---- the statement ---- */
static dp_status after_dollar(ant_reader *r) {
  int var;
  next(r);
  int pos = r->p.pos;
  if (peek(r)->kind != DPI_TOK_ID) return expected(r, "a species");
  DP_TRY(dpi_ant_define(r, "a species", ANT_SPECIES, &var));
  ANT_ROOT(r, var)->boundary = true;
  r->p.pos = pos;
  return about_name(r);
}

/* constraint [name:] condition */
static dp_status constraint(ant_reader *r) {
  int var = -1;
  if (is_named(r)) {
    DP_TRY(dpi_ant_define(r, "a name", ANT_CONSTRAINT, &var));
    next(r); /* the colon */
  }
  return relation(r, var, ANT_CONSTRAINT, false);
}

/* a word of declaration and what follows it */
static dp_status declaration(ant_reader *r) {
  decl d = {.kind = ANT_ANY};
  bool done, fresh = true;
  const dpi_tok *first = peek(r);
  if (ahead(r, 1)->kind == '.') { /* species.size = {40, 50}: how it is drawn */
    dpi_ant_skip(r);
    return DP_OK;
  }
  for (int i = declare_word(peek(r)); i >= 0; i = declare_word(peek(r))) {
    if (!fresh && (ahead(r, 1)->kind == '=' || ahead(r, 1)->kind == DPI_TOK_ASSIGN)) break; /* a name after all */
    if (declare_words[i].kind != ANT_ANY) d.kind = declare_words[i].kind;
    d.constant |= declare_words[i].how == 'c';
    d.variable |= declare_words[i].how == 'v';
    d.amount_only |= declare_words[i].how == 's';
    fresh = false;
    next(r);
  }
  if (says(first, "constraint")) return constraint(r);
  if (is_named(r)) return named(r);
  if (says(first, "reaction") || says(first, "gene") || says(first, "event") || says(first, "DNA") ||
      says(first, "interaction")) {
    DP_TRY(part(r, -1, -1, &done));
    if (done) return DP_OK;
  }
  return declare(r, &d);
}

static bool is_keyword_use(ant_reader *r) {
  const dpi_tok *second = ahead(r, 1);
  return second->kind != '=' && second->kind != '\'' && second->kind != DPI_TOK_ASSIGN;
}

/* model notes "...", model.layout = on */
static dp_status about_model(ant_reader *r) {
  next(r);
  if (take(r, '.')) {
    const dpi_tok *t = peek(r);
    if (t->kind != DPI_TOK_ID) return expected(r, "what is said of the model");
    next(r);
    return dpi_ant_attribute(r, -1, t->text);
  }
  return dpi_ant_note(r, -1);
}

static dp_status statement(ant_reader *r) {
  const dpi_tok *t = peek(r);
  bool done;
  if (t->kind == DPI_TOK_ID && is_keyword_use(r) && !is_named(r)) {
    if (declare_word(t) >= 0) return declaration(r);
    if (says(t, "unit")) return dpi_ant_unit(r);
    if (says(t, "delete")) return delete_parts(r);
    if (says(t, "import")) return expected(r, "an import outside of all models");
    if (says(t, "model") || says(t, "module")) return about_model(r);
    if (says(t, "assert")) {
      next(r);
      return relation(r, -1, ANT_CONSTRAINT, false);
    }
  }
  if (t->kind == DPI_TOK_ID && is_named(r)) return named(r);
  if (t->kind == DPI_TOK_ID && dpi_ant_is_global_unit(r)) return dpi_ant_global_unit(r);
  if (!dpi_ant_has(r, DPI_TOK_STRING)) {
    DP_TRY(part(r, -1, -1, &done));
    if (done) return DP_OK;
  }
  if (t->kind == '$') return after_dollar(r);
  if (t->kind == DPI_TOK_ID) return about_name(r);
  return expected(r, "a statement");
}

dp_status dpi_ant_run(ant_reader *r) {
  while (r->p.pos < r->stop) {
    if (peek(r)->kind == ';' || peek(r)->kind == DPI_TOK_NEWLINE) {
      next(r);
      continue;
    }
    if (r->p.budget < 0)
      return dpi_infix_fail(&r->p, peek(r), DP_ERR_UNSUPPORTED,
                            "the model is too large when its submodels are written out");
    DP_TRY(statement(r));
    if (!at_end(r)) return expected(r, "an operator, ';' or the end of the line");
  }
  return DP_OK;
}
