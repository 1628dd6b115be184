/* antimony_stmt.c - floor 3: the statements of an Antimony model, each noted for its symbols. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lang/antimony/antimony_impl.h"

/* ---- small steps over the words ---- */
static const dpi_tok *peek(ant_reader *r) { return dpi_parser_peek(&r->p); }
static const dpi_tok *ahead(ant_reader *r, int n) { /* never beyond the last word */
  int i = r->p.pos;
  while (n-- > 0 && r->p.tok[i].kind != DPI_TOK_END) i++;
  return &r->p.tok[i];
}

static const dpi_tok *next(ant_reader *r) {
  const dpi_tok *t = peek(r);
  if (t->kind != DPI_TOK_END) r->p.pos++;
  return t;
}

static bool take(ant_reader *r, int kind) {
  if (peek(r)->kind != kind) return false;
  next(r);
  return true;
}

static bool take_word(ant_reader *r, const char *word) {
  if (!dpi_ant_word(peek(r), word)) return false;
  next(r);
  return true;
}

static void skip_newlines(ant_reader *r) {
  while (peek(r)->kind == DPI_TOK_NEWLINE) next(r);
}

static bool at_end(ant_reader *r) {
  int k = peek(r)->kind;
  return r->p.pos >= r->stop || k == ';' || k == DPI_TOK_NEWLINE || k == DPI_TOK_END;
}

static dp_status expected(ant_reader *r, const char *what) {
  char buf[48];
  return dpi_parser_fail(&r->p, peek(r), DP_ERR_INPUT, "found %s, expected %s",
                         dpi_tok_say(peek(r), buf), what);
}

static dp_status unsupported(ant_reader *r, const dpi_tok *t, const char *what) {
  return dpi_parser_fail(&r->p, t, DP_ERR_UNSUPPORTED, "%s not supported", what);
}

int dpi_ant_statement_end(const ant_reader *r, int pos) {
  const dpi_tok *tok = r->p.tok;
  bool comma = false;
  for (; tok[pos].kind != DPI_TOK_END; pos++) {
    if (tok[pos].kind == ';' || (tok[pos].kind == DPI_TOK_NEWLINE && !comma)) break;
    if (tok[pos].kind != DPI_TOK_NEWLINE) comma = tok[pos].kind == ',';
  }
  return pos;
}

static void skip_statement(ant_reader *r) {
  int end = dpi_ant_statement_end(r, r->p.pos);
  r->p.pos = end < r->stop ? end : r->stop;
}

/* is there a word of this kind in the statement at the present position? */
static bool statement_has(const ant_reader *r, int kind) {
  int end = dpi_ant_statement_end(r, r->p.pos);
  for (int i = r->p.pos; i < end; i++)
    if (r->p.tok[i].kind == kind) return true;
  return false;
}

/* a symbol that the text defines here */
static dp_status define(ant_reader *r, const dpi_tok *t, int *sym) {
  if (dpi_formula_reserved(t->text))
    return dpi_parser_fail(&r->p, t, DP_ERR_INPUT,
                           "'%s' is a word of the language and can't be defined", t->text);
  DP_TRY(dpi_model_symbol(r->m, t->text, t->line, sym));
  return dpi_ant_info(r, *sym) == NULL ? DP_ERR_MEMORY : DP_OK;
}

static dp_status take_id(ant_reader *r, const char *what, int *sym) {
  if (peek(r)->kind != DPI_TOK_ID) return expected(r, what);
  return define(r, next(r), sym);
}

static dp_status parse(ant_reader *r, dpi_node *out) {
  r->p.depth = 0;
  r->p.paren = 0;
  return dpi_parse_expr(&r->p, out);
}

/* ---- annotations: names, sources, authors, uncertainty: they change no equation ---- */
static bool is_attribute(const char *s) {
  static const char *const known[] = {"sboTerm",
                                      "SBOTERM",
                                      "sboterm",
                                      "mean",
                                      "standardDeviation",
                                      "stdev",
                                      "variance",
                                      "skewness",
                                      "kurtosis",
                                      "median",
                                      "mode",
                                      "interquartileRange",
                                      "confidenceInterval",
                                      "credibleInterval",
                                      "coefficientOfVariation",
                                      "range",
                                      "standardError",
                                      "distribution",
                                      "externalParameter",
                                      "sampleSize",
                                      "stdDev",
                                      "CV",
                                      "CI"};
  for (int i = 0; i < DPI_COUNT(known); i++)
    if (strcmp(s, known[i]) == 0) return true;
  return false;
}

static bool is_author_word(const char *s) {
  return strcmp(s, "created") == 0 || strcmp(s, "modified") == 0 || strncmp(s, "creator", 7) == 0;
}

bool dpi_ant_is_annotation(const ant_reader *r, int pos) {
  const dpi_tok *tok = r->p.tok;
  int end = dpi_ant_statement_end(r, pos);
  if (tok[pos].kind != DPI_TOK_ID || dpi_ant_word(&tok[pos], "import")) return false;
  for (int i = pos; i < end; i++)
    if (tok[i].kind == DPI_TOK_STRING) return true;
  if (pos + 2 < end && tok[pos + 1].kind == '.' && tok[pos + 2].kind == DPI_TOK_ID &&
      is_attribute(tok[pos + 2].text))
    return true;
  if (pos + 1 < end && tok[pos + 1].kind == '=' && dpi_ant_word(&tok[pos], "sboTerm")) return true;
  return pos + 1 < end && tok[pos + 1].kind == DPI_TOK_ID && is_author_word(tok[pos + 1].text);
}

/* ---- values ---- */

/* x = expr: a number or an initial expression; without expr: no value */
static dp_status set_initial(ant_reader *r, int sym, const dpi_tok *at) {
  dpi_node n;
  ant_info *info = dpi_ant_info(r, sym);
  dpi_symbol *s = &r->m->sym[sym];
  if (at_end(r)) return DP_OK;
  if (s->kind == DPI_SYM_ASSIGNED && !info->reaction)
    return dpi_parser_fail(&r->p, at, DP_ERR_INPUT,
                           "'%s' has an initial value beside its formula (line %d)", s->id,
                           info->line);
  DP_TRY(parse(r, &n));
  info = dpi_ant_info(r, sym);
  s = &r->m->sym[sym];
  if (info->reaction) {
    r->reaction[info->reaction - 1].rate = n;
    r->reaction[info->reaction - 1].has_rate = true;
    return DP_OK;
  }
  s->init = DPI_NODE_NONE;
  s->value = NAN;
  if (!dpi_g_is_const(r->m->graph, n, &s->value)) s->init = n;
  return DP_OK;
}

/* x := expr; without expr: the rule is taken back */
static dp_status set_formula(ant_reader *r, int sym, const dpi_tok *at) {
  dpi_node n = DPI_NODE_NONE;
  if (dpi_ant_info(r, sym)->reaction) return set_initial(r, sym, at);
  if (dpi_ant_info(r, sym)->has_rate)
    return dpi_parser_fail(&r->p, at, DP_ERR_INPUT, "'%s' has a formula beside its rate (line %d)",
                           at->text, dpi_ant_info(r, sym)->line);
  if (!at_end(r)) DP_TRY(parse(r, &n));
  dpi_symbol *s = &r->m->sym[sym];
  s->kind = n == DPI_NODE_NONE ? DPI_SYM_PARAM : DPI_SYM_ASSIGNED;
  s->formula = n;
  s->init = DPI_NODE_NONE;
  s->value = NAN;
  dpi_ant_info(r, sym)->line = at->line;
  return DP_OK;
}

/* x' = expr */
static dp_status set_rate(ant_reader *r, int sym, const dpi_tok *at) {
  dpi_node n = DPI_NODE_NONE;
  if (r->m->sym[sym].kind == DPI_SYM_ASSIGNED)
    return dpi_parser_fail(&r->p, at, DP_ERR_INPUT, "'%s' has a rate beside its formula (line %d)",
                           at->text, dpi_ant_info(r, sym)->line);
  if (!at_end(r)) DP_TRY(parse(r, &n));
  ant_info *info = dpi_ant_info(r, sym);
  info->has_rate = n != DPI_NODE_NONE;
  info->rate = n;
  info->line = at->line;
  return DP_OK;
}

/* ---- declarations ---- */
typedef struct decl {
  bool species, compartment, constant, substance_only;
} decl;

static dp_status set_home(ant_reader *r, int sym) {
  int home;
  DP_TRY(take_id(r, "the name of a compartment", &home));
  if (home == sym) return expected(r, "another compartment than itself");
  dpi_ant_info(r, home)->compartment = true;
  dpi_ant_info(r, sym)->home = home;
  return DP_OK;
}

static dp_status declare_one(ant_reader *r, const decl *d) {
  int sym;
  bool boundary = take(r, '$');
  const dpi_tok *t = peek(r);
  DP_TRY(take_id(r, "a name", &sym));
  ant_info *info = dpi_ant_info(r, sym);
  info->boundary |= boundary;
  info->species |= d->species || boundary;
  info->compartment |= d->compartment;
  info->constant |= d->constant;
  info->substance_only |= d->substance_only;
  if (peek(r)->kind == '.') { /* species a.sboTerm = 25 */
    if (ahead(r, 1)->kind != DPI_TOK_ID || !is_attribute(ahead(r, 1)->text))
      return unsupported(r, t, "submodels are");
    skip_statement(r);
    return DP_OK;
  }
  if (take_word(r, "in")) DP_TRY(set_home(r, sym));
  if (take(r, '=')) return set_initial(r, sym, t);
  if (take(r, DPI_TOK_ASSIGN)) return set_formula(r, sym, t);
  return DP_OK;
}

/* [var|const] [substanceOnly] species|compartment|formula  a, $b in c, d = 3 */
static dp_status declare(ant_reader *r) {
  decl d = {0};
  for (;;) {
    if (take_word(r, "var") || take_word(r, "formula")) continue;
    if (take_word(r, "const"))
      d.constant = true;
    else if (take_word(r, "species"))
      d.species = true;
    else if (take_word(r, "compartment"))
      d.compartment = true;
    else if (take_word(r, "substanceOnly"))
      d.substance_only = d.species = true;
    else
      break;
  }
  do {
    skip_newlines(r);
    DP_TRY(declare_one(r, &d));
  } while (take(r, ','));
  return DP_OK;
}

/* ---- reactions ---- */
static dp_status add_term(ant_reader *r, bool product, dpi_node stoich, int sym, bool boundary) {
  ant_info *info = dpi_ant_info(r, sym);
  if (info == NULL) return DP_ERR_MEMORY;
  if (info->reaction || info->compartment)
    return dpi_fail(r->ctx, DP_ERR_INPUT, "%s: '%s' takes part in a reaction, expected a species",
                    r->source, r->m->sym[sym].id);
  info->species = true;
  info->in_reaction = true;
  info->boundary |= boundary;
  DP_TRY(dpi_grow(r->ctx, (void **)&r->term, &r->cap_term, r->nterm + 1, sizeof *r->term));
  r->term[r->nterm++] = (ant_term){sym, product, stoich};
  return DP_OK;
}

/* a stoichiometry that is a name: its value, or 1 when it is never given one */
static dp_status named_stoich(ant_reader *r, dpi_node *out) {
  int sym;
  DP_TRY(take_id(r, "a stoichiometry", &sym));
  dpi_symbol *s = &r->m->sym[sym];
  if (s->value != s->value && s->init == DPI_NODE_NONE && s->kind == DPI_SYM_PARAM) s->value = 1.0;
  *out = dpi_g_sym(r->m->graph, sym);
  return DP_OK;
}

static dp_status reaction_side(ant_reader *r, bool product) {
  if (at_end(r) || peek(r)->kind == DPI_TOK_ARROW || peek(r)->kind == DPI_TOK_DARROW) return DP_OK;
  do {
    dpi_node stoich = dpi_g_const(r->m->graph, 1.0);
    int sym;
    skip_newlines(r);
    if (peek(r)->kind == DPI_TOK_NUM)
      stoich = dpi_g_const(r->m->graph, next(r)->num);
    else if (peek(r)->kind == DPI_TOK_ID &&
             (ahead(r, 1)->kind == DPI_TOK_ID || ahead(r, 1)->kind == '$'))
      DP_TRY(named_stoich(r, &stoich));
    bool boundary = take(r, '$');
    if (peek(r)->kind == DPI_TOK_ID && ahead(r, 1)->kind == '.')
      return unsupported(r, peek(r), "submodels are");
    DP_TRY(take_id(r, "a species", &sym));
    DP_TRY(add_term(r, product, stoich, sym, boundary));
  } while (take(r, '+'));
  return DP_OK;
}

static dp_status name_reaction(ant_reader *r, const dpi_tok *name, int *sym) {
  char id[32];
  if (name != NULL) {
    DP_TRY(define(r, name, sym));
  } else {
    do snprintf(id, sizeof id, "_J%d", r->next_reaction++);
    while (dpi_model_find(r->m, id) >= 0);
    DP_TRY(dpi_model_symbol(r->m, id, peek(r)->line, sym));
  }
  ant_info *info = dpi_ant_info(r, *sym);
  if (info == NULL) return DP_ERR_MEMORY;
  if (info->reaction || info->species || info->compartment || r->m->sym[*sym].kind != DPI_SYM_PARAM)
    return dpi_parser_fail(&r->p, peek(r), DP_ERR_INPUT,
                           "'%s' is defined already, expected a new name for the reaction",
                           r->m->sym[*sym].id);
  return DP_OK;
}

/* name: A + 2 B -> C; rate */
static dp_status reaction(ant_reader *r, const dpi_tok *name) {
  ant_reaction x = {.line = peek(r)->line, .first = r->nterm, .rate = DPI_NODE_NONE};
  DP_TRY(name_reaction(r, name, &x.sym));
  DP_TRY(reaction_side(r, false));
  if (!take(r, DPI_TOK_ARROW) && !take(r, DPI_TOK_DARROW)) return expected(r, "'->' or '=>'");
  DP_TRY(reaction_side(r, true));
  if (!at_end(r)) return expected(r, "'+' or ';' and the rate");
  if (r->p.pos < r->stop && take(r, ';') && !at_end(r)) {
    DP_TRY(parse(r, &x.rate));
    x.has_rate = true;
  }
  x.nterm = r->nterm - x.first;
  DP_TRY(dpi_grow(r->ctx, (void **)&r->reaction, &r->cap_reaction, r->nreaction + 1,
                  sizeof *r->reaction));
  r->reaction[r->nreaction++] = x;
  dpi_ant_info(r, x.sym)->reaction = r->nreaction;
  dpi_ant_info(r, x.sym)->line = x.line;
  r->m->sym[x.sym].kind = DPI_SYM_ASSIGNED;
  return DP_OK;
}

/* S -| J, S -o J, S -( J: who influences whom; no equation */
static bool is_interaction(ant_reader *r) {
  int i = 0;
  while (ahead(r, i)->kind == DPI_TOK_ID && ahead(r, i + 1)->kind == '+') i += 2;
  if (ahead(r, i)->kind != DPI_TOK_ID || ahead(r, i + 1)->kind != '-') return false;
  const dpi_tok *how = ahead(r, i + 2);
  return (how->kind == '|' || how->kind == '(' || dpi_ant_word(how, "o")) &&
         ahead(r, i + 3)->kind == DPI_TOK_ID;
}

static dp_status interaction(ant_reader *r) {
  int sym;
  do {
    DP_TRY(take_id(r, "a species", &sym));
    dpi_ant_info(r, sym)->species = true;
  } while (take(r, '+'));
  skip_statement(r);
  return DP_OK;
}

/* ---- events ---- */
static dp_status event_flag(ant_reader *r, bool *flag) {
  bool yes = take_word(r, "true") || take_word(r, "True");
  if (!yes && !take_word(r, "false") && !take_word(r, "False"))
    return expected(r, "'true' or 'false'");
  *flag = yes;
  return DP_OK;
}

static dp_status event_options(ant_reader *r, dpi_model_event *e) {
  while (take(r, ',')) {
    skip_newlines(r);
    const dpi_tok *t = next(r);
    if (t->kind != DPI_TOK_ID || !take(r, '='))
      return expected(r, "an option of the event: name = value");
    if (strcmp(t->text, "t0") == 0)
      DP_TRY(event_flag(r, &e->initial_value));
    else if (strcmp(t->text, "persistent") == 0)
      DP_TRY(event_flag(r, &e->persistent));
    else if (strcmp(t->text, "fromTrigger") == 0)
      DP_TRY(event_flag(r, &e->from_trigger));
    else if (strcmp(t->text, "priority") == 0)
      DP_TRY(parse(r, &e->priority));
    else
      return dpi_parser_fail(
          &r->p, t, DP_ERR_INPUT,
          "found the event option '%s', expected t0, persistent, fromTrigger or priority", t->text);
  }
  return DP_OK;
}

static dp_status event_assignments(ant_reader *r, dpi_model_event *e) {
  dpi_event_assign *list = NULL;
  int n = 0, cap = 0;
  dp_status status = DP_OK;
  if (at_end(r) && peek(r)->kind != DPI_TOK_NEWLINE) return DP_OK; /* an event without effect */
  do {
    int sym;
    dpi_node value;
    skip_newlines(r);
    bool boundary = take(r, '$');
    status = take_id(r, "the name of what the event sets", &sym);
    if (status == DP_OK && !take(r, '=')) status = expected(r, "'='");
    if (status == DP_OK) status = parse(r, &value);
    if (status == DP_OK) status = dpi_grow(r->ctx, (void **)&list, &cap, n + 1, sizeof *list);
    if (status != DP_OK) break;
    dpi_ant_info(r, sym)->event_target = true;
    dpi_ant_info(r, sym)->boundary |= boundary;
    list[n++] = (dpi_event_assign){sym, value};
  } while (take(r, ','));
  dpi_event_assign *copy = DPI_ARENA_ARRAY(&r->m->arena, dpi_event_assign, n > 0 ? n : 1);
  if (copy == NULL && status == DP_OK) status = DP_ERR_MEMORY;
  if (status == DP_OK && n > 0) memcpy(copy, list, (size_t)n * sizeof *copy);
  dpi_free(r->ctx, list);
  e->assign = copy;
  e->nassign = n;
  return status;
}

static dp_status name_event(ant_reader *r, const dpi_tok *name, dpi_model_event *e) {
  e->id = name != NULL ? dpi_arena_strdup(&r->m->arena, name->text)
                       : dpi_arena_printf(&r->m->arena, "_E%d", r->next_event++);
  return e->id == NULL ? DP_ERR_MEMORY : DP_OK;
}

/* name: at [delay after] trigger, options: a = ..., b = ... */
static dp_status event(ant_reader *r, const dpi_tok *name) {
  dpi_model_event e = {.delay = DPI_NODE_NONE,
                       .priority = DPI_NODE_NONE,
                       .initial_value = true,
                       .persistent = true,
                       .from_trigger = true,
                       .line = peek(r)->line};
  DP_TRY(name_event(r, name, &e));
  next(r); /* at */
  DP_TRY(parse(r, &e.trigger));
  if (take_word(r, "after")) {
    e.delay = e.trigger;
    DP_TRY(parse(r, &e.trigger));
  }
  DP_TRY(event_options(r, &e));
  if (!take(r, ':')) return expected(r, "':' and what the event sets");
  DP_TRY(event_assignments(r, &e));
  return dpi_model_add_event(r->m, &e);
}

/* ---- what begins with a name ---- */

/* x has mg/L: the unit is kept as text */
static dp_status has_unit(ant_reader *r, int sym) {
  dpi_str text;
  dpi_str_init(&text, r->ctx);
  while (!at_end(r)) {
    const dpi_tok *t = next(r);
    if (t->kind == DPI_TOK_ID || t->kind == DPI_TOK_NUM)
      dpi_str_add(&text, t->text);
    else if (t->kind < 256)
      dpi_str_addn(&text, &(char){(char)t->kind}, 1);
  }
  const char *unit = dpi_arena_strdup(&r->m->arena, dpi_str_text(&text));
  dpi_str_release(&text);
  if (unit == NULL) return DP_ERR_MEMORY;
  r->m->sym[sym].unit = unit;
  return DP_OK;
}

static dp_status named(ant_reader *r) {
  const dpi_tok *name = next(r);
  next(r); /* the colon */
  if (dpi_ant_word(peek(r), "at")) return event(r, name);
  if (statement_has(r, DPI_TOK_ARROW) || statement_has(r, DPI_TOK_DARROW)) return reaction(r, name);
  if (is_interaction(r)) return interaction(r);
  if (peek(r)->kind == DPI_TOK_NUM) return unsupported(r, name, "algebraic rules are");
  if (peek(r)->kind == DPI_TOK_ID && ahead(r, 1)->kind == '(')
    return unsupported(r, name, "submodels are");
  if (statement_has(r, '<') || statement_has(r, DPI_TOK_LE))
    return unsupported(r, name, "flux constraints are");
  return expected(r, "a reaction or an event");
}

static bool is_global_unit(const char *s) {
  static const char *const word[] = {"length",    "area",   "volume",
                                     "substance", "extent", "time_unit"};
  for (int i = 0; i < DPI_COUNT(word); i++)
    if (strcmp(s, word[i]) == 0) return true;
  return false;
}

static dp_status about_name(ant_reader *r) {
  int sym;
  const dpi_tok *t = peek(r), *second = ahead(r, 1);
  if (second->kind == '.') return unsupported(r, t, "submodels are");
  if (dpi_ant_word(second, "is")) return unsupported(r, t, "replacing a name by another ('is') is");
  if (second->kind == '=' && is_global_unit(t->text) && ahead(r, 2)->kind == DPI_TOK_ID) {
    skip_statement(r);
    return DP_OK;
  }
  bool known = second->kind == '\'' || second->kind == '=' || second->kind == DPI_TOK_ASSIGN ||
               dpi_ant_word(second, "in") || dpi_ant_word(second, "has");
  if (!known) {
    next(r);
    if (second->kind == '<' || second->kind == '>' || second->kind == DPI_TOK_LE ||
        second->kind == DPI_TOK_GE)
      return unsupported(r, t, "flux constraints are");
    return expected(r, "a statement such as 'x = 1', 'x := y', \"x' = -k*x\" or 'A -> B; k*A'");
  }
  DP_TRY(take_id(r, "a name", &sym));
  if (take(r, '\'')) {
    if (!take(r, '=')) return expected(r, "'='");
    return set_rate(r, sym, t);
  }
  if (take(r, '=')) return set_initial(r, sym, t);
  if (take(r, DPI_TOK_ASSIGN)) return set_formula(r, sym, t);
  if (take_word(r, "in")) return set_home(r, sym);
  next(r); /* has */
  return has_unit(r, sym);
}

/* ---- the statement ---- */
static dp_status after_dollar(ant_reader *r) {
  next(r);
  if (peek(r)->kind != DPI_TOK_ID) return expected(r, "a species");
  int sym = 0;
  DP_TRY(define(r, peek(r), &sym));
  dpi_ant_info(r, sym)->species = dpi_ant_info(r, sym)->boundary = true;
  return about_name(r);
}

typedef dp_status (*statement_fn)(ant_reader *r);

static dp_status skip_quietly(ant_reader *r) {
  skip_statement(r);
  return DP_OK;
}
static dp_status refuse_import(ant_reader *r) {
  return unsupported(r, peek(r), "import of other files is");
}
static dp_status refuse_delete(ant_reader *r) {
  return unsupported(r, peek(r), "'delete' (submodels) is");
}
static dp_status refuse_objective(ant_reader *r) {
  return unsupported(r, peek(r), "flux balance objectives are");
}
static dp_status refuse_dna(ant_reader *r) { return unsupported(r, peek(r), "DNA strands are"); }
static dp_status unnamed_event(ant_reader *r) { return event(r, NULL); }

static dp_status note_assert(ant_reader *r) {
  dpi_log(r->ctx, 2, "%s:%d: 'assert' is read but not checked", r->source, peek(r)->line);
  skip_statement(r);
  return DP_OK;
}

// clang-format off
static const struct {
  const char *word;
  statement_fn fn;
} keywords[] = {
    {"species", declare},        {"compartment", declare},      {"var", declare},           {"const", declare},
    {"formula", declare},        {"substanceOnly", declare},    {"unit", skip_quietly},     {"reaction", skip_quietly},
    {"event", skip_quietly},     {"at", unnamed_event},         {"import", refuse_import},  {"delete", refuse_delete},
    {"maximize", refuse_objective}, {"minimize", refuse_objective}, {"gene", refuse_dna},   {"operator", refuse_dna},
    {"DNA", refuse_dna},         {"assert", note_assert},
};
// clang-format on

static dp_status statement(ant_reader *r) {
  const dpi_tok *t = peek(r), *second = ahead(r, 1);
  if (dpi_ant_is_annotation(r, r->p.pos)) return skip_quietly(r);
  if (t->kind == DPI_TOK_ID && second->kind == ':') return named(r);
  if (t->kind == DPI_TOK_ID && second->kind != '=' && second->kind != '\'' &&
      second->kind != DPI_TOK_ASSIGN)
    for (int i = 0; i < DPI_COUNT(keywords); i++)
      if (dpi_ant_word(t, keywords[i].word)) return keywords[i].fn(r);
  if (statement_has(r, DPI_TOK_ARROW) || statement_has(r, DPI_TOK_DARROW)) return reaction(r, NULL);
  if (is_interaction(r)) return interaction(r);
  if (t->kind == '$') return after_dollar(r);
  if (t->kind == DPI_TOK_ID) return about_name(r);
  if (t->kind == DPI_TOK_NUM && second->kind == '=')
    return unsupported(r, t, "algebraic rules are");
  if (t->kind == DPI_TOK_NUM && (second->kind == '<' || second->kind == DPI_TOK_LE))
    return unsupported(r, t, "flux constraints are");
  return expected(r, "a statement");
}

/* blocks that stand between the statements of the top level */
static bool skip_block(ant_reader *r) {
  for (int i = 0; i < r->nblock; i++) {
    if (r->block[i].header != r->p.pos) continue;
    r->p.pos = r->block[i].to + 1;
    return true;
  }
  return false;
}

dp_status dpi_ant_statements(ant_reader *r) {
  while (r->p.pos < r->stop) {
    if (peek(r)->kind == ';' || peek(r)->kind == DPI_TOK_NEWLINE) {
      next(r);
      continue;
    }
    if (skip_block(r)) continue;
    DP_TRY(statement(r));
    if (!at_end(r)) return expected(r, "an operator, ';' or the end of the line");
  }
  return DP_OK;
}
