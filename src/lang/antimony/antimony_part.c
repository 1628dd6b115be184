/* antimony_part.c - floor 3: statements with parts: reactions, events, interactions, DNA strands, submodels. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lang/antimony/antimony_words.h"

#define MAX_SUBMODEL_DEPTH 60

/* _J0, _E0, ...: the first that is free in this scope */
static dp_status unnamed(ant_reader *r, const char *stem, int *count, ant_kind kind, int *var) {
  char id[32];
  int scope = r->scope;
  do snprintf(id, sizeof id, "%s%d", stem, (*count)++);
  while (dpi_map_get(&r->scope_list[scope].names, id) >= 0);
  DP_TRY(dpi_ant_variable(r, scope, id, peek(r)->line, var));
  return dpi_ant_become(r, *var, kind, peek(r)->line);
}

/* ---- reactions ---- */
static dp_status add_term(ant_reader *r, ant_term t, bool boundary) {
  ant_var *v = ANT_ROOT(r, t.species);
  if (v->kind == ANT_REACTION || v->kind == ANT_COMPARTMENT)
    return dpi_fail(r->ctx, DP_ERR_INPUT, "%s:%d: '%s' takes part in a reaction, expected a species", r->p.where,
                    peek(r)->line, v->name);
  DP_TRY(dpi_ant_become(r, t.species, ANT_SPECIES, peek(r)->line));
  v = ANT_ROOT(r, t.species);
  v->in_reaction = true;
  v->boundary |= boundary;
  ANT_PUSH(r, term, t);
  return DP_OK;
}

/* how many of a species: a number, a name, nothing */
static dp_status stoichiometry(ant_reader *r, ant_term *t) {
  if (peek(r)->kind == DPI_TOK_NUM) {
    t->number = next(r)->num;
    (void)take(r, '*');
    return DP_OK;
  }
  int n = dpi_ant_after_path(r, 0);
  if (n == 0 || (ahead(r, n)->kind != DPI_TOK_ID && ahead(r, n)->kind != '$')) return DP_OK;
  DP_TRY(dpi_ant_define(r, "a stoichiometry", ANT_FORMULA, &t->stoich));
  ANT_ROOT(r, t->stoich)->nuse++;
  t->number = NAN;
  return DP_OK;
}

static dp_status reaction_side(ant_reader *r, bool product) {
  if (at_end(r) || peek(r)->kind == DPI_TOK_ARROW || peek(r)->kind == DPI_TOK_DARROW) return DP_OK;
  do {
    ant_term t = {.product = product, .number = 1.0, .stoich = -1};
    dpi_ant_skip_newlines(r);
    DP_TRY(stoichiometry(r, &t));
    bool boundary = take(r, '$');
    DP_TRY(dpi_ant_path(r, "a species", &t.species, NULL));
    DP_TRY(add_term(r, t, boundary));
  } while (take(r, '+'));
  return DP_OK;
}

/* name: A + 2 B -> C; rate in compartment */
dp_status dpi_ant_reaction(ant_reader *r, int var, int home) {
  ant_reaction x = {.line = peek(r)->line, .first = r->nterm, .scope = r->scope, .home = home};
  if (var < 0) DP_TRY(unnamed(r, "_J", &r->scope_list[r->scope].next_reaction, ANT_REACTION, &var));
  ant_var *v = ANT_ROOT(r, var);
  if (v->element >= 0 || (v->kind != ANT_ANY && v->kind != ANT_FORMULA && v->kind != ANT_REACTION) || v->rule.ast ||
      v->rate.ast)
    return dpi_infix_fail(&r->p, peek(r), DP_ERR_INPUT, "'%s' is defined already, expected a new name for the reaction",
                          v->name);
  DP_TRY(dpi_ant_become(r, var, ANT_REACTION, x.line));
  x.var = var;
  DP_TRY(reaction_side(r, false));
  if (!take(r, DPI_TOK_ARROW)) {
    if (!take(r, DPI_TOK_DARROW)) return expected(r, "'->' or '=>'");
  } else {
    x.reversible = true;
  }
  DP_TRY(reaction_side(r, true));
  if (!at_end(r)) return expected(r, "'+' or ';' and the rate");
  if (r->p.pos < r->stop && take(r, ';') && !at_end(r)) {
    ant_math rate;
    DP_TRY(dpi_ant_math(r, &rate));
    ANT_ROOT(r, var)->init = rate;
    if (take_word(r, "in")) DP_TRY(dpi_ant_define(r, "a compartment", ANT_COMPARTMENT, &x.home));
  }
  x.nterm = r->nterm - x.first;
  ANT_ROOT(r, var)->element = r->nreaction;
  ANT_PUSH(r, reaction, x);
  return DP_OK;
}

/* ---- interactions ---- */
/* S -| J, S -o J, S -( J: who influences whom; no equation */
bool dpi_ant_is_interaction(ant_reader *r) {
  int i = dpi_ant_after_path(r, 0);
  while (i > 0 && ahead(r, i)->kind == '+') {
    int n = dpi_ant_after_path(r, i + 1);
    if (n == i + 1) return false;
    i = n;
  }
  if (i == 0 || ahead(r, i)->kind != '-') return false;
  const dpi_tok *how = ahead(r, i + 1);
  return (how->kind == '|' || how->kind == '(' || says(how, "o")) && ahead(r, i + 2)->kind == DPI_TOK_ID;
}

dp_status dpi_ant_interaction(ant_reader *r, int var) {
  ant_interaction x = {.line = peek(r)->line, .first = r->nitem};
  if (var < 0) DP_TRY(unnamed(r, "_J", &r->scope_list[r->scope].next_reaction, ANT_INTERACTION, &var));
  DP_TRY(dpi_ant_become(r, var, ANT_INTERACTION, x.line));
  x.var = var;
  do {
    int source, line = peek(r)->line;
    DP_TRY(dpi_ant_path(r, "a species", &source, NULL));
    if (ANT_ROOT(r, source)->kind != ANT_REACTION) DP_TRY(dpi_ant_become(r, source, ANT_SPECIES, line));
    ANT_PUSH(r, item, source);
  } while (take(r, '+'));
  x.nsource = r->nitem - x.first;
  next(r); /* - */
  int how = next(r)->kind;
  x.kind = how == '|' ? "-|" : how == '(' ? "-(" : "-o";
  DP_TRY(dpi_ant_path(r, "a reaction", &x.target, NULL));
  ANT_ROOT(r, x.target)->defined = true;
  ANT_ROOT(r, var)->element = r->ninteraction;
  ANT_PUSH(r, interaction, x);
  return DP_OK;
}

/* ---- events ---- */
static dp_status event_flag(ant_reader *r, bool *flag) {
  bool yes = take_word(r, "true") || take_word(r, "True");
  if (!yes && !take_word(r, "false") && !take_word(r, "False")) return expected(r, "'true' or 'false'");
  *flag = yes;
  return DP_OK;
}

static dp_status event_options(ant_reader *r, ant_event *e) {
  while (take(r, ',')) {
    dpi_ant_skip_newlines(r);
    const dpi_tok *t = next(r);
    if (t->kind != DPI_TOK_ID || !take(r, '=')) return expected(r, "an option of the event: name = value");
    if (strcmp(t->text, "t0") == 0)
      DP_TRY(event_flag(r, &e->t0));
    else if (strcmp(t->text, "persistent") == 0)
      DP_TRY(event_flag(r, &e->persistent));
    else if (strcmp(t->text, "fromTrigger") == 0)
      DP_TRY(event_flag(r, &e->from_trigger));
    else if (strcmp(t->text, "priority") == 0)
      DP_TRY(dpi_ant_math(r, &e->priority));
    else
      return dpi_infix_fail(&r->p, t, DP_ERR_INPUT,
                            "found the event option '%s', expected t0, persistent, fromTrigger or priority", t->text);
  }
  return DP_OK;
}

static dp_status event_assignments(ant_reader *r, ant_event *e) {
  e->first = r->nassign;
  if (at_end(r) && peek(r)->kind != DPI_TOK_NEWLINE) return DP_OK; /* an event without effect */
  do {
    ant_assign a;
    dpi_ant_skip_newlines(r);
    bool boundary = take(r, '$');
    DP_TRY(dpi_ant_define(r, "the name of what the event sets", ANT_ANY, &a.var));
    if (!take(r, '=')) return expected(r, "'='");
    DP_TRY(dpi_ant_math(r, &a.value));
    ANT_ROOT(r, a.var)->set = true;
    if (boundary) {
      DP_TRY(dpi_ant_become(r, a.var, ANT_SPECIES, peek(r)->line));
      ANT_ROOT(r, a.var)->boundary = true;
    }
    ANT_PUSH(r, assign, a);
  } while (take(r, ','));
  e->nassign = r->nassign - e->first;
  return DP_OK;
}

/* name: at [delay after] trigger, options: a = ..., b = ...; the word `at` is taken */
dp_status dpi_ant_event(ant_reader *r, int var) {
  ant_event e = {.t0 = true, .persistent = true, .from_trigger = true, .line = peek(r)->line};
  if (var < 0) DP_TRY(unnamed(r, "_E", &r->scope_list[r->scope].next_event, ANT_EVENT, &var));
  DP_TRY(dpi_ant_become(r, var, ANT_EVENT, e.line));
  if (ANT_ROOT(r, var)->element >= 0)
    return dpi_infix_fail(&r->p, peek(r), DP_ERR_INPUT, "'%s' is defined already, expected a new name for the event",
                          ANT_ROOT(r, var)->name);
  e.var = var;
  DP_TRY(dpi_ant_math(r, &e.trigger));
  if (take_word(r, "after")) {
    e.delay = e.trigger;
    DP_TRY(dpi_ant_math(r, &e.trigger));
  }
  DP_TRY(event_options(r, &e));
  if (!take(r, ':')) return expected(r, "':' and what the event sets");
  DP_TRY(event_assignments(r, &e));
  ANT_ROOT(r, var)->element = r->nevent;
  ANT_PUSH(r, event, e);
  return DP_OK;
}

/* ---- DNA strands ---- */
static bool two_lines(ant_reader *r, int n) { return ahead(r, n)->kind == '-' && ahead(r, n + 1)->kind == '-'; }

bool dpi_ant_is_strand(ant_reader *r) {
  if (two_lines(r, 0)) return true;
  int n = dpi_ant_after_path(r, 0);
  return n > 0 && two_lines(r, n);
}

/* --P1--RBS1--G1-- in compartment */
dp_status dpi_ant_strand(ant_reader *r, int var, int home) {
  ant_strand s = {.home = home, .first = r->nitem};
  if (var < 0) DP_TRY(unnamed(r, "_D", &r->scope_list[r->scope].next_other, ANT_STRAND, &var));
  DP_TRY(dpi_ant_become(r, var, ANT_STRAND, peek(r)->line));
  if (ANT_ROOT(r, var)->element >= 0)
    return dpi_infix_fail(&r->p, peek(r), DP_ERR_INPUT,
                          "'%s' is defined already, expected a new name for the DNA strand", ANT_ROOT(r, var)->name);
  s.var = var;
  s.open_up = two_lines(r, 0);
  if (s.open_up) r->p.pos += 2;
  for (;;) {
    int item;
    DP_TRY(dpi_ant_define(r, "an element of the DNA strand", ANT_ANY, &item));
    ANT_PUSH(r, item, item);
    if (!two_lines(r, 0)) break;
    r->p.pos += 2;
    if (!at_end(r) && !says(peek(r), "in")) continue;
    s.open_down = true;
    break;
  }
  if (take_word(r, "in")) DP_TRY(dpi_ant_define(r, "a compartment", ANT_COMPARTMENT, &s.home));
  s.nitem = r->nitem - s.first;
  ANT_ROOT(r, var)->element = r->nstrand;
  ANT_PUSH(r, strand, s);
  return DP_OK;
}

/* ---- submodels ---- */
int dpi_ant_module(const ant_reader *r, const char *name) { return dpi_map_get(&r->modules, name); }

/* the module's statements, in a scope of their own */
static dp_status run_module(ant_reader *r, int block, int scope, const dpi_tok *at) {
  ant_reader before = *r;
  if (++r->depth > MAX_SUBMODEL_DEPTH)
    return dpi_infix_fail(&r->p, at, DP_ERR_INPUT, "submodels are nested more than %d deep: does '%s' contain itself?",
                          MAX_SUBMODEL_DEPTH, r->block[block].name);
  const ant_block *b = &r->block[block];
  r->file = b->file;
  r->p.tok = r->file_list[b->file].tok;
  r->p.where = r->file_list[b->file].path;
  r->p.pos = b->from;
  r->stop = b->to;
  r->scope = scope;
  DP_TRY(dpi_ant_run(r));
  r->file = before.file;
  r->p.tok = before.p.tok;
  r->p.where = before.p.where;
  r->p.pos = before.p.pos;
  r->stop = before.stop;
  r->scope = before.scope;
  r->depth--;
  return DP_OK;
}

/* the k-th name of the module's header, NULL: it has fewer */
static const char *port(const ant_reader *r, int block, int k) {
  const ant_block *b = &r->block[block];
  const dpi_tok *tok = r->file_list[b->file].tok;
  int i = b->header;
  while (i < b->from && tok[i].kind != '(') i++;
  for (; i < b->from; i++)
    if (tok[i].kind == DPI_TOK_ID && k-- == 0) return tok[i].text;
  return NULL;
}

/* (p, q, , 3): what the module's names are here */
static dp_status connect(ant_reader *r, int block, int scope) {
  next(r); /* ( */
  r->p.paren++;
  for (int k = 0; !take(r, ')'); k++) {
    int inner, outer;
    if (k > 0 && !take(r, ',')) return expected(r, "',' or ')'");
    if (peek(r)->kind == ',' || peek(r)->kind == ')') continue;
    const char *name = port(r, block, k);
    if (name == NULL)
      return dpi_infix_fail(&r->p, peek(r), DP_ERR_INPUT, "model '%s' has only %d names to connect",
                            r->block[block].name, k);
    DP_TRY(dpi_ant_variable(r, scope, name, peek(r)->line, &inner));
    if (peek(r)->kind == DPI_TOK_ID) {
      int line = peek(r)->line;
      DP_TRY(dpi_ant_path(r, "a name", &outer, NULL));
      DP_TRY(dpi_ant_become(r, outer, ANT_ANY, line));
      DP_TRY(dpi_ant_same(r, inner, outer, NULL, line));
      continue;
    }
    int open = r->p.paren; /* a value */
    ant_math m = {.scope = r->scope, .line = peek(r)->line};
    DP_TRY(dpi_infix_expr(&r->p, &m.ast));
    r->p.paren = open;
    DP_TRY(dpi_ant_become(r, inner, ANT_ANY, m.line));
    ANT_ROOT(r, inner)->init = m;
  }
  r->p.paren--;
  return DP_OK;
}

static dp_status conversions(ant_reader *r, int scope) {
  while (take(r, ',')) {
    ant_math m;
    bool time = take_word(r, "timeconv");
    if (!time && !take_word(r, "extentconv")) return expected(r, "'timeconv' or 'extentconv'");
    if (!take(r, '=')) return expected(r, "'='");
    DP_TRY(dpi_ant_math(r, &m));
    if (time)
      r->scope_list[scope].timeconv = m;
    else
      r->scope_list[scope].extentconv = m;
  }
  return DP_OK;
}

/* A: module(a, b) in C, timeconv = 60 */
dp_status dpi_ant_submodel(ant_reader *r, int var, int home) {
  const dpi_tok *t = peek(r);
  int block = dpi_ant_module(r, t->text), scope;
  if (var < 0) DP_TRY(unnamed(r, "_sys", &r->scope_list[r->scope].next_submodel, ANT_SUBMODEL, &var));
  DP_TRY(dpi_ant_become(r, var, ANT_SUBMODEL, t->line));
  if (ANT_ROOT(r, var)->element >= 0)
    return dpi_infix_fail(&r->p, t, DP_ERR_INPUT, "'%s' is a submodel already", ANT_ROOT(r, var)->name);
  DP_TRY(dpi_ant_new_scope(r, r->var[var].scope, r->var[var].name, t->text, &scope));
  ANT_ROOT(r, var)->element = scope;
  next(r);
  DP_TRY(run_module(r, block, scope, t));
  DP_TRY(connect(r, block, scope));
  if (take_word(r, "in")) DP_TRY(dpi_ant_define(r, "a compartment", ANT_COMPARTMENT, &home));
  r->scope_list[scope].home = home;
  return conversions(r, scope);
}
