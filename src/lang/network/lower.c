/* lower.c - floor 3: from a network to symbols, equations and events: the order of the work; symbols and rules.
 *
 *     symbols       one for each element, R.k for local parameters, amount(S) and concentration(S)
 *     survey        what each rule, event and declaration says of a symbol
 *     species       what carries each: its concentration, or its amount (lower_species.c)
 *     rules         formulas of variables, rates, constraints; values at the start
 *     reactions     rates, sums, changes (lower_species.c)
 *     events        (lower_event.c)
 *
 * Meaning is that of SBML Level 3 Version 2 core. What stands without mathematics has no effect.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lang/network/lower_impl.h"

/* How much faster than written fast reactions run. What is computed differs from their limit by about 1 / FAST_SPEED of
 * a value, below the tolerances of results; and it is far enough from 1 / epsilon that what slow reactions add is not
 * rounded away. */
#define FAST_SPEED 1e10

dp_status dpi_lower_fail(dpi_lower *l, dp_status status, int line, const char *fmt, ...) {
  char text[400];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  if (line <= 0) return dpi_fail(l->ctx, status, "%s: %s", l->net->source, text);
  return dpi_fail(l->ctx, status, "%s:%d: %s", l->net->source, line, text);
}

void dpi_lower_at(dpi_lower *l, int line, const char *what, const char *id) {
  l->where.len = l->what.len = 0;
  dpi_str_add(&l->where, l->net->source);
  if (line > 0) dpi_str_addf(&l->where, ":%d", line);
  dpi_str_add(&l->what, what);
  if (id[0] != '\0') dpi_str_addf(&l->what, " '%s'", id);
  l->scope.where = dpi_str_text(&l->where);
  l->scope.what = dpi_str_text(&l->what);
  l->scope.draws = false;
  l->scope.reaction = NULL;
}

dp_status dpi_lower_math(dpi_lower *l, const dpi_ast *a, dpi_node *out) {
  if (l->where.failed || l->what.failed) return DP_ERR_MEMORY;
  return dpi_scope_lower(&l->scope, a, out);
}

/* ---- symbols ---- */
static dp_status declare(dpi_lower *l, const char *id, int line, double value) {
  int sym;
  DP_TRY(dpi_model_declare(l->m, id, line, &sym));
  l->m->sym[sym].value = value;
  return DP_OK;
}

static dp_status declare_terms(dpi_lower *l, const dpi_net_reaction *r) {
  for (int k = 0; k < r->nreactant + r->nproduct; k++) {
    const dpi_net_term *t = k < r->nreactant ? &r->reactant[k] : &r->product[k - r->nreactant];
    if (t->id[0] != '\0') DP_TRY(declare(l, t->id, t->line, t->stoichiometry));
  }
  return DP_OK;
}

static dp_status declare_locals(dpi_lower *l, const dpi_net_reaction *r) {
  for (int k = 0; k < r->nlocal; k++) {
    const char *id = dpi_arena_printf(&l->m->arena, "%s.%s", r->id, r->local[k].id);
    if (id == NULL) return DP_ERR_MEMORY;
    DP_TRY(declare(l, id, r->local[k].line, r->local[k].value));
  }
  return DP_OK;
}

static dp_status declare_elements(dpi_lower *l) {
  const dpi_net *net = l->net;
  for (int i = 0; i < net->ncompartment; i++)
    DP_TRY(declare(l, net->compartment[i].id, net->compartment[i].line, net->compartment[i].size));
  for (int i = 0; i < net->nspecies; i++)
    DP_TRY(declare(l, net->species[i].id, net->species[i].line, NAN));
  for (int i = 0; i < net->nparameter; i++)
    DP_TRY(declare(l, net->parameter[i].id, net->parameter[i].line, net->parameter[i].value));
  for (int i = 0; i < net->nreaction; i++)
    DP_TRY(declare(l, net->reaction[i].id, net->reaction[i].line, NAN));
  for (int i = 0; i < net->nreaction; i++) DP_TRY(declare_terms(l, &net->reaction[i]));
  for (int i = 0; i < net->nreaction; i++) DP_TRY(declare_locals(l, &net->reaction[i]));
  return DP_OK;
}

static void mark_element(dpi_lower *l, const char *id, bool constant, const char *unit) {
  int sym = dpi_model_find(l->m, id);
  l->mark[sym].constant = constant;
  l->m->sym[sym].unit = unit;
}

static void mark_elements(dpi_lower *l) {
  const dpi_net *net = l->net;
  for (int i = 0; i < net->ncompartment; i++)
    mark_element(l, net->compartment[i].id, net->compartment[i].constant, net->compartment[i].unit);
  for (int i = 0; i < net->nspecies; i++)
    mark_element(l, net->species[i].id, net->species[i].constant, "");
  for (int i = 0; i < net->nparameter; i++)
    mark_element(l, net->parameter[i].id, net->parameter[i].constant, net->parameter[i].unit);
}

static dp_status prepare(dpi_lower *l) {
  const dpi_net *net = l->net;
  DP_TRY(declare_elements(l));
  for (int i = 0; i < net->nreaction; i++)
    if (net->reaction[i].fast) DP_TRY(declare(l, DPI_FAST_SPEED, 0, FAST_SPEED));
  l->nmark = l->m->nsym;
  l->mark = DPI_NEW_ARRAY(l->ctx, dpi_lower_mark, l->nmark);
  l->species = DPI_NEW_ARRAY(l->ctx, dpi_lower_species, net->nspecies > 0 ? net->nspecies : 1);
  l->varies = DPI_NEW_ARRAY(l->ctx, uint8_t, net->ncompartment > 0 ? net->ncompartment : 1);
  if (l->mark == NULL || l->species == NULL || l->varies == NULL) return DP_ERR_MEMORY;
  for (int i = 0; i < l->nmark; i++) l->mark[i].init = DPI_NODE_NONE;
  mark_elements(l);
  return DP_OK;
}

/* ---- survey ---- */
/* symbol of what a rule or event assignment may set */
static dp_status find_variable(dpi_lower *l, const char *id, int line, const char *who, int *sym) {
  int index;
  char near[160];
  dpi_net_kind kind = dpi_net_find(l->net, id, &index);
  if (kind == DPI_NET_COMPARTMENT || kind == DPI_NET_SPECIES || kind == DPI_NET_PARAMETER ||
      kind == DPI_NET_TERM) {
    *sym = dpi_model_find(l->m, id);
    return DP_OK;
  }
  if (kind == DPI_NET_NOTHING)
    return dpi_lower_fail(l, DP_ERR_INPUT, line, "%s sets '%s', which is not defined%s", who, id,
                          dpi_model_suggest(l->m, id, -1, near));
  return dpi_lower_fail(l, DP_ERR_INPUT, line, "%s sets '%s', which is a %s", who, id,
                        kind == DPI_NET_REACTION ? "reaction"
                        : kind == DPI_NET_EVENT  ? "event"
                                                 : "function");
}

/* Antimony's own reader judges what it declares; in SBML a constant can't have a rule */
static dp_status check_constant(dpi_lower *l, const char *id, int sym, int line, const char *who) {
  int index;
  if (l->net->level == 0 || !l->mark[sym].constant ||
      dpi_net_find(l->net, id, &index) == DPI_NET_SPECIES)
    return DP_OK;
  return dpi_lower_fail(l, DP_ERR_INPUT, line, "%s sets '%s', which is declared constant", who, id);
}

static dp_status survey_rule(dpi_lower *l, const dpi_net_rule *r) {
  static const char *const who[] = {[DPI_RULE_ASSIGNMENT] = "an assignment rule",
                                    [DPI_RULE_RATE] = "a rate rule",
                                    [DPI_RULE_INITIAL] = "an initial assignment"};
  int sym;
  if (r->kind == DPI_RULE_ALGEBRAIC) {
    l->algebraic = l->algebraic || r->math != NULL;
    return DP_OK;
  }
  DP_TRY(find_variable(l, r->variable, r->line, who[r->kind], &sym));
  dpi_lower_mark *mark = &l->mark[sym];
  if (r->kind == DPI_RULE_INITIAL) return DP_OK;
  DP_TRY(check_constant(l, r->variable, sym, r->line, who[r->kind]));
  if (mark->by != DPI_FREE_HAND || mark->empty)
    return dpi_lower_fail(l, DP_ERR_INPUT, r->line, "'%s' has two rules, expected one",
                          r->variable);
  if (r->math == NULL)
    mark->empty = true;
  else
    mark->by = r->kind == DPI_RULE_RATE ? DPI_BY_RATE : DPI_BY_ASSIGNMENT;
  return DP_OK;
}

static dp_status survey_event(dpi_lower *l, const dpi_net_event *e) {
  int sym;
  char who[120];
  snprintf(who, sizeof who, "event '%.90s'", e->id);
  for (int k = 0; k < e->nassign; k++) {
    const dpi_net_assignment *a = &e->assign[k];
    DP_TRY(find_variable(l, a->variable, a->line, who, &sym));
    DP_TRY(check_constant(l, a->variable, sym, a->line, who));
    if (a->math == NULL) continue;
    l->mark[sym].set = true;
    l->mark[sym].late = l->mark[sym].late || (e->delay != NULL && e->from_trigger);
  }
  return DP_OK;
}

static dp_status survey(dpi_lower *l) {
  for (int i = 0; i < l->net->nrule; i++) DP_TRY(survey_rule(l, &l->net->rule[i]));
  for (int i = 0; i < l->net->nevent; i++) DP_TRY(survey_event(l, &l->net->event[i]));
  for (int i = 0; i < l->net->ncompartment; i++) {
    const dpi_lower_mark *mark = &l->mark[dpi_model_find(l->m, l->net->compartment[i].id)];
    l->varies[i] = mark->by != DPI_FREE_HAND || mark->set || (l->algebraic && !mark->constant);
  }
  return DP_OK;
}

/* ---- rules ---- */
dp_status dpi_lower_state(dpi_lower *l, int sym, dpi_node rate) {
  dpi_symbol *s = &l->m->sym[sym];
  if (rate == DPI_NODE_NONE) return DP_ERR_MEMORY;
  s->kind = DPI_SYM_STATE;
  s->formula = rate;
  if (s->init == DPI_NODE_NONE && s->value == s->value) {
    s->init = dpi_g_const(l->g, s->value);
    if (s->init == DPI_NODE_NONE) return DP_ERR_MEMORY;
  }
  s->value = NAN;
  return DP_OK;
}

dp_status dpi_lower_assigned(dpi_lower *l, int sym, dpi_node formula) {
  dpi_symbol *s = &l->m->sym[sym];
  if (formula == DPI_NODE_NONE) return DP_ERR_MEMORY;
  s->kind = DPI_SYM_ASSIGNED;
  s->formula = formula;
  s->init = DPI_NODE_NONE;
  s->value = NAN;
  return DP_OK;
}

static dp_status lower_initial(dpi_lower *l, const dpi_net_rule *r) {
  if (r->math == NULL) return DP_OK;
  int sym = dpi_model_find(l->m, r->variable);
  if (l->mark[sym].init != DPI_NODE_NONE)
    return dpi_lower_fail(l, DP_ERR_INPUT, r->line,
                          "'%s' has two initial assignments, expected one", r->variable);
  if (l->mark[sym].by == DPI_BY_ASSIGNMENT)
    return dpi_lower_fail(l, DP_ERR_INPUT, r->line,
                          "'%s' has an initial assignment beside its assignment rule", r->variable);
  dpi_lower_at(l, r->line, "the initial value of", r->variable);
  l->scope.draws = true;
  l->scope.phase = DPI_DRAW_START;
  return dpi_lower_math(l, r->math, &l->mark[sym].init);
}

static dp_status lower_rules(dpi_lower *l) {
  dpi_node n;
  for (int i = 0; i < l->net->nrule; i++) {
    const dpi_net_rule *r = &l->net->rule[i];
    if (r->kind == DPI_RULE_INITIAL) DP_TRY(lower_initial(l, r));
    if (r->math == NULL || r->kind == DPI_RULE_INITIAL) continue;
    dpi_lower_at(l, r->line, r->kind == DPI_RULE_ALGEBRAIC ? "an algebraic rule" : "the rule of",
                 r->variable);
    DP_TRY(dpi_lower_math(l, r->math, &n));
    if (r->kind == DPI_RULE_ALGEBRAIC) {
      DP_TRY(dpi_model_add_constraint(l->m, n, r->line));
      continue;
    }
    int sym = dpi_model_find(l->m, r->variable);
    l->m->sym[sym].line = r->line > 0 ? r->line : l->m->sym[sym].line;
    l->m->sym[sym].formula = n; /* becomes state or assigned when its start is known */
  }
  return DP_OK;
}

/* ---- what is not a species: values at the start ---- */
static dp_status settle(dpi_lower *l, int sym) {
  dpi_symbol *s = &l->m->sym[sym];
  const dpi_lower_mark *mark = &l->mark[sym];
  if (mark->by == DPI_BY_ASSIGNMENT) return dpi_lower_assigned(l, sym, s->formula);
  if (mark->init != DPI_NODE_NONE) {
    s->init = mark->init;
    s->value = NAN;
  }
  if (mark->by == DPI_BY_RATE) return dpi_lower_state(l, sym, s->formula);
  s->free = l->algebraic && !mark->constant && !mark->empty;
  return DP_OK;
}

/* A stoichiometry that nothing gives is 1. */
static dp_status settle_term(dpi_lower *l, const dpi_net_term *t) {
  if (t->id[0] == '\0') return DP_OK;
  int sym = dpi_model_find(l->m, t->id);
  dpi_lower_mark *mark = &l->mark[sym];
  mark->constant = t->constant;
  bool given = mark->by != DPI_FREE_HAND || mark->set || mark->init != DPI_NODE_NONE ||
               t->stoichiometry == t->stoichiometry;
  if (t->math != NULL && mark->by == DPI_FREE_HAND) {
    dpi_node n;
    dpi_lower_at(l, t->line, "the stoichiometry", t->id);
    DP_TRY(dpi_lower_math(l, t->math, &n));
    return dpi_lower_assigned(l, sym, n);
  }
  if (!given) l->m->sym[sym].value = 1.0;
  return settle(l, sym);
}

static dp_status settle_elements(dpi_lower *l) {
  const dpi_net *net = l->net;
  for (int i = 0; i < net->ncompartment; i++)
    DP_TRY(settle(l, dpi_model_find(l->m, net->compartment[i].id)));
  for (int i = 0; i < net->nparameter; i++)
    DP_TRY(settle(l, dpi_model_find(l->m, net->parameter[i].id)));
  for (int i = 0; i < net->nreaction; i++) {
    const dpi_net_reaction *r = &net->reaction[i];
    for (int k = 0; k < r->nreactant; k++) DP_TRY(settle_term(l, &r->reactant[k]));
    for (int k = 0; k < r->nproduct; k++) DP_TRY(settle_term(l, &r->product[k]));
  }
  return DP_OK;
}

dp_status dpi_lower_stoichiometry(dpi_lower *l, const dpi_net_term *t, dpi_node *out) {
  if (t->id[0] != '\0') {
    *out = dpi_g_sym(l->g, dpi_model_find(l->m, t->id));
    return DP_OK;
  }
  if (t->math != NULL) {
    dpi_lower_at(l, t->line, "the stoichiometry of", t->species);
    return dpi_lower_math(l, t->math, out);
  }
  *out = dpi_g_const(l->g, t->stoichiometry == t->stoichiometry ? t->stoichiometry : 1.0);
  return DP_OK;
}

static dp_status lower_all(dpi_lower *l) {
  DP_TRY(prepare(l));
  DP_TRY(survey(l));
  DP_TRY(dpi_lower_species_find(l));
  DP_TRY(lower_rules(l));
  DP_TRY(settle_elements(l));
  DP_TRY(dpi_lower_species_make(l));
  DP_TRY(dpi_lower_reactions(l));
  return dpi_lower_events(l);
}

static void lower_release(dpi_lower *l) {
  dpi_scope_release(&l->scope);
  dpi_str_release(&l->where);
  dpi_str_release(&l->what);
  dpi_free(l->ctx, l->mark);
  dpi_free(l->ctx, l->species);
  dpi_free(l->ctx, l->varies);
  dpi_free(l->ctx, l->change);
  dpi_free(l->ctx, l->order);
}

dp_status dpi_net_lower(dpi_net *net, dp_model **out) {
  dp_model *m = NULL;
  const char *name = net->id[0] ? net->id : net->name[0] ? net->name : net->source;
  dp_status status = dpi_model_create(net->ctx, name, net->source, &m);
  if (status != DP_OK) {
    dpi_net_destroy(net);
    return status;
  }
  m->net = net;
  dpi_lower l = {.ctx = net->ctx, .net = net, .m = m, .g = m->graph};
  dpi_scope_init(&l.scope, m, net->source);
  l.scope.names = DPI_NAMES_USE;
  dpi_str_init(&l.where, l.ctx);
  dpi_str_init(&l.what, l.ctx);
  status = lower_all(&l);
  lower_release(&l);
  if (status != DP_OK) {
    dp_model_destroy(m);
    return status;
  }
  *out = m;
  return DP_OK;
}
