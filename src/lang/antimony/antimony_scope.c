/* antimony_scope.c - floor 3: names of an Antimony text: variables in the scopes of the model and its submodels,
 * and what the text declares to be the same. */
#include <math.h>
#include <string.h>

#include "lang/antimony/antimony_impl.h"

#define MAX_SCOPES 100000

dp_status dpi_ant_new_scope(ant_reader *r, int parent, const char *name, const char *module, int *scope) {
  ant_scope s = {.parent = parent, .module = module, .home = -1, .prefix = ""};
  if (parent >= 0) s.prefix = dpi_arena_printf(&r->arena, "%s%s__", r->scope_list[parent].prefix, name);
  if (s.prefix == NULL) return DP_ERR_MEMORY;
  if (r->nscope_list >= MAX_SCOPES)
    return dpi_fail(r->ctx, DP_ERR_UNSUPPORTED, "%s: more than %d submodels", r->source, MAX_SCOPES);
  dpi_map_init(&s.names, r->ctx);
  ANT_PUSH(r, scope_list, s);
  *scope = r->nscope_list - 1;
  return DP_OK;
}

dp_status dpi_ant_variable(ant_reader *r, int scope, const char *name, int line, int *var) {
  if (strcmp(name, "default_compartment") == 0) scope = 0; /* all submodels share it */
  *var = dpi_map_get(&r->scope_list[scope].names, name);
  if (*var >= 0) return DP_OK;
  const char *copy = dpi_arena_strdup(&r->arena, name);
  if (copy == NULL) return DP_ERR_MEMORY;
  ant_var v = {.name = copy,
               .scope = scope,
               .line = line,
               .same = r->nvar,
               .element = -1,
               .home = -1,
               .display = "",
               .unit = "",
               .formula = "",
               .charge = NAN,
               .place = -1};
  ANT_PUSH(r, var, v);
  *var = r->nvar - 1;
  return dpi_map_put(&r->scope_list[scope].names, copy, *var);
}

int dpi_ant_root(const ant_reader *r, int var) {
  while (r->var[var].same != var) {
    ant_var *v = &r->var[var];
    const ant_var *up = &r->var[v->same];
    if (v->factor == NULL && up->factor == NULL) v->same = up->same; /* shorter next time */
    var = v->same;
  }
  return var;
}

const char *dpi_ant_id(const ant_reader *r, int var) {
  const ant_var *v = ANT_ROOT(r, var);
  const char *prefix = r->scope_list[v->scope].prefix;
  if (prefix[0] == '\0') return v->name;
  const char *id = dpi_arena_printf((dpi_arena *)&r->arena, "%s%s", prefix, v->name);
  return id == NULL ? "" : id;
}

/* ---- paths ---- */
static dp_status no_such_part(ant_reader *r, const dpi_tok *t, int scope) {
  (void)scope;
  return dpi_infix_fail(&r->p, t, DP_ERR_INPUT, "the submodel before '.%s' has nothing of that name", t->text);
}

static dp_status not_a_submodel(ant_reader *r, const dpi_tok *t) {
  return dpi_infix_fail(&r->p, t, DP_ERR_INPUT,
                        "'%s.': '%s' is not a submodel; a submodel must be declared before its parts are named",
                        t->text, t->text);
}

/* the parts behind a first name that was read: .b.c */
static dp_status descend(ant_reader *r, const dpi_tok *t, int *var, const char **attribute) {
  if (attribute != NULL) *attribute = NULL;
  while (dpi_ant_peek(r)->kind == '.') {
    const ant_var *v = ANT_ROOT(r, *var);
    const dpi_tok *part = dpi_ant_ahead(r, 1);
    if (part->kind != DPI_TOK_ID) break;
    int inner = v->kind == ANT_SUBMODEL ? dpi_map_get(&r->scope_list[v->element].names, part->text) : -1;
    bool letter = part->text[1] == '\0' && v->kind <= ANT_FORMULA; /* A.x of an unknown A: no place on a drawing */
    if (inner < 0 && attribute != NULL && !letter && dpi_ant_is_attribute(part->text)) {
      *attribute = part->text;
      dpi_ant_next(r);
      dpi_ant_next(r);
      return DP_OK;
    }
    if (v->kind != ANT_SUBMODEL) return not_a_submodel(r, t);
    if (inner < 0) return no_such_part(r, part, v->element);
    dpi_ant_next(r);
    t = dpi_ant_next(r);
    *var = inner;
  }
  return DP_OK;
}

/* words that begin or end a block, and constants */
static dp_status check_name(ant_reader *r, const dpi_tok *t) {
  static const char *const words[] = {"end", "model", "module", "function", "import"};
  bool reserved = dpi_infix_reserved(t->text);
  for (int i = 0; i < DPI_COUNT(words); i++) reserved |= strcmp(t->text, words[i]) == 0;
  if (!reserved) return DP_OK;
  return dpi_infix_fail(&r->p, t, DP_ERR_INPUT, "'%s' is a word of the language and can't be defined", t->text);
}

dp_status dpi_ant_path(ant_reader *r, const char *what, int *var, const char **attribute) {
  if (dpi_ant_peek(r)->kind != DPI_TOK_ID) return dpi_ant_expected(r, what);
  const dpi_tok *t = dpi_ant_next(r);
  DP_TRY(check_name(r, t));
  DP_TRY(dpi_ant_variable(r, r->scope, t->text, t->line, var));
  return descend(r, t, var, attribute);
}

dp_status dpi_ant_name_node(dpi_infix *p, const dpi_tok *t, dpi_ast **out) {
  ant_reader *r = p->user;
  int var = -1;
  DP_TRY(check_name(r, t));
  dpi_ast *a = dpi_ast_name(r->net, t->text);
  if (a == NULL) return DP_ERR_MEMORY;
  *out = a;
  if (r->function != NULL) return DP_OK;
  DP_TRY(dpi_ant_variable(r, r->scope, t->text, t->line, &var));
  DP_TRY(descend(r, t, &var, NULL));
  a->draw = var;
  return DP_OK;
}

/* ---- what a variable is ---- */
static const char *const kind_word[] = {"something else", "a formula",    "a species",         "a compartment",
                                        "a reaction",     "an event",     "a DNA strand",      "a submodel",
                                        "an interaction", "a constraint", "an algebraic rule", "an objective",
                                        "a gene product", "a unit"};

dp_status dpi_ant_become(ant_reader *r, int var, ant_kind kind, int line) {
  ant_var *v = ANT_ROOT(r, var);
  if (!v->defined) v->line = line;
  v->defined = true;
  if (kind == ANT_ANY || v->kind == kind || (kind == ANT_FORMULA && v->kind != ANT_SUBMODEL)) return DP_OK;
  if (v->kind == ANT_ANY || v->kind == ANT_FORMULA) {
    if (v->kind == ANT_FORMULA && kind == ANT_SUBMODEL) v->line = line;
    v->kind = kind;
    return DP_OK;
  }
  return dpi_fail(r->ctx, DP_ERR_INPUT, "%s:%d: '%s' is %s here, but it is %s (line %d)", r->p.where, line, v->name,
                  kind_word[kind], kind_word[v->kind], v->line);
}

dp_status dpi_ant_define(ant_reader *r, const char *what, ant_kind kind, int *var) {
  int line = dpi_ant_peek(r)->line;
  DP_TRY(dpi_ant_path(r, what, var, NULL));
  return dpi_ant_become(r, *var, kind, line);
}

/* ---- the same ---- */
static dp_status times(ant_reader *r, dpi_ast *factor, dpi_ast **ast) {
  if (*ast == NULL || factor == NULL) return DP_OK;
  *ast = dpi_ast_op2(r->net, DPI_AST_TIMES, dpi_ast_copy(r->net, factor), *ast);
  return *ast == NULL ? DP_ERR_MEMORY : DP_OK;
}

/* what is said of `from` holds for `to` where nothing is said of it yet */
static dp_status hand_over(ant_reader *r, const ant_var *from, ant_var *to, dpi_ast *factor) {
  bool free = to->rule.ast == NULL && to->rate.ast == NULL && to->init.ast == NULL && !to->no_value;
  if (free || (to->rule.ast == NULL && to->rate.ast == NULL && from->rate.ast != NULL && from->rule.ast == NULL)) {
    if (to->init.ast == NULL && !to->no_value) {
      to->init = from->init;
      DP_TRY(times(r, factor, &to->init.ast));
    }
    to->rate = from->rate;
    DP_TRY(times(r, factor, &to->rate.ast));
  }
  if (free) {
    to->rule = from->rule;
    DP_TRY(times(r, factor, &to->rule.ast));
  }
  if (to->home < 0) to->home = from->home;
  if (to->display[0] == '\0') to->display = from->display;
  if (to->unit[0] == '\0') to->unit = from->unit;
  if (to->formula[0] == '\0') to->formula = from->formula;
  if (to->charge != to->charge) to->charge = from->charge;
  to->said_const |= from->said_const && !to->said_var;
  to->said_var |= from->said_var && !to->said_const;
  to->boundary |= from->boundary;
  to->amount_only |= from->amount_only;
  to->in_reaction |= from->in_reaction;
  to->set |= from->set;
  to->nuse += from->nuse;
  return DP_OK;
}

/* parts of two submodels that are the same are the same, name by name */
static dp_status same_parts(ant_reader *r, int from, int to, int line) {
  int n = r->nvar;
  r->p.budget -= n;
  for (int i = 0; i < n; i++) {
    if (r->var[i].scope != from) continue;
    int other = dpi_map_get(&r->scope_list[to].names, r->var[i].name);
    if (other >= 0) DP_TRY(dpi_ant_same(r, i, other, NULL, line));
  }
  return DP_OK;
}

dp_status dpi_ant_same(ant_reader *r, int a, int b, dpi_ast *factor, int line) {
  a = dpi_ant_root(r, a);
  b = dpi_ant_root(r, b);
  if (a == b) return DP_OK;
  ant_var from = r->var[a];
  bool was_defined = r->var[b].defined;
  DP_TRY(dpi_ant_become(r, b, from.kind, line));
  if (from.kind != ANT_ANY && r->var[b].kind != from.kind && from.kind != ANT_FORMULA) return DP_ERR_BUG;
  int inner = r->var[b].element;
  if (from.element >= 0 && inner < 0) r->var[b].element = from.element;
  if (!was_defined) r->var[b].line = from.line;
  DP_TRY(hand_over(r, &from, &r->var[b], factor));
  r->var[a].same = b;
  r->var[a].factor = factor;
  if (from.kind == ANT_SUBMODEL && inner >= 0) return same_parts(r, from.element, inner, line);
  return DP_OK;
}

static bool within(const ant_reader *r, int scope, int outer) {
  while (scope >= 0 && scope != outer) scope = r->scope_list[scope].parent;
  return scope == outer;
}

void dpi_ant_delete(ant_reader *r, int var) {
  ant_var *v = ANT_ROOT(r, var);
  bool before = v->deleted;
  v->deleted = true;
  if (v->kind != ANT_SUBMODEL || before) return;
  r->p.budget -= r->nvar;
  for (int i = 0; i < r->nvar; i++)
    if (within(r, r->var[i].scope, v->element)) r->var[i].deleted = true;
}
