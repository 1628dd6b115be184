/* antimony_net.c - floor 3: what a text says of its variables -> the elements of a network. Names become flat ids,
 * parts of submodels follow their conversion factors, what was deleted leaves with all that needs it. */
#include <math.h>
#include <string.h>

#include "lang/antimony/antimony_impl.h"

typedef struct builder {
  ant_reader *r;
  dpi_net *net;
  dpi_ast **time, **extent; /* [nscope_list] product of the conversion factors of a scope; NULL: 1 */
  int *home;                /* [nvar] compartment's variable, -1 */
  bool dropped;             /* the mathematics at hand uses what was deleted */
  dpi_map seen;             /* species -> 1 + the last reaction it was met in */
  dpi_net_flux_term *flux;  /* of the objective at hand */
  int nflux, cap_flux;
} builder;

static dp_status memory_or(const void *p) { return p == NULL ? DP_ERR_MEMORY : DP_OK; }

static dp_status fail_var(const builder *b, const ant_var *v, int line, dp_status status, const char *what,
                          const char *other) {
  return dpi_fail(b->r->ctx, status, "%s:%d: '%s' %s%s", b->r->source, line ? line : v->line, v->name, what, other);
}

/* ---- names ---- */
static bool within(const ant_reader *r, int scope, int outer) {
  while (scope >= 0 && scope != outer) scope = r->scope_list[scope].parent;
  return scope == outer;
}

/* the product of the factors between a variable and what carries it; NULL: none */
static dp_status factor_of(builder *b, int var, dpi_ast **out) {
  *out = NULL;
  for (; b->r->var[var].same != var; var = b->r->var[var].same) {
    if (b->r->var[var].factor == NULL) continue;
    dpi_ast *f = dpi_ast_copy(b->net, b->r->var[var].factor);
    *out = *out == NULL ? f : dpi_ast_op2(b->net, DPI_AST_TIMES, *out, f);
    DP_TRY(memory_or(*out));
  }
  return DP_OK;
}

static dp_status rename_nodes(builder *b, dpi_ast *a) {
  if (a->op == DPI_AST_NAME && a->draw >= 0) {
    a->name = dpi_net_text(b->net, dpi_ant_id(b->r, a->draw));
    a->draw = -1;
    DP_TRY(memory_or(a->name));
  }
  for (int i = 0; i < a->narg; i++) DP_TRY(rename_nodes(b, a->arg[i]));
  return DP_OK;
}

static long size_of(const dpi_ast *a) {
  long n = 1;
  for (int i = 0; i < a->narg; i++) n += size_of(a->arg[i]);
  return n;
}

static dp_status scaled(builder *b, dpi_ast_op op, dpi_ast **a, const dpi_ast *factor) {
  if (factor == NULL || *a == NULL) return DP_OK;
  b->r->p.budget -= size_of(factor);
  if (b->r->p.budget < 0)
    return dpi_fail(b->r->ctx, DP_ERR_UNSUPPORTED,
                    "%s: the model is too large when its conversion factors are written out", b->r->source);
  dpi_ast *f = dpi_ast_copy(b->net, factor);
  int line = (*a)->line;
  *a = dpi_ast_op2(b->net, op, *a, f);
  if (*a != NULL) (*a)->line = line;
  return memory_or(*a);
}

static dp_status resolve_name(builder *b, const ant_math *m, dpi_ast **a) {
  dpi_ast *node = *a, *factor;
  if (strcmp(node->name, "...") == 0)
    return dpi_fail(b->r->ctx, DP_ERR_INPUT, "%s:%d: '...' stands outside of a DNA strand", b->r->source, node->line);
  if (node->draw < 0) return DP_OK;
  const ant_var *v = ANT_ROOT(b->r, node->draw);
  if (v->deleted) {
    if (!within(b->r, m->scope, v->scope) && m->scope != v->scope)
      return dpi_fail(b->r->ctx, DP_ERR_INPUT, "%s:%d: '%s' is used but deleted from its submodel", b->r->source,
                      m->line, dpi_ant_id(b->r, node->draw));
    b->dropped = true;
    return DP_OK;
  }
  if (v->kind == ANT_SUBMODEL || v->kind == ANT_STRAND || v->kind == ANT_EVENT)
    return dpi_fail(b->r->ctx, DP_ERR_INPUT, "%s:%d: '%s' has no value: it is a submodel, a strand or an event",
                    b->r->source, m->line, node->name);
  DP_TRY(factor_of(b, node->draw, &factor));
  DP_TRY(rename_nodes(b, node));
  if (factor == NULL) return DP_OK;
  DP_TRY(rename_nodes(b, factor));
  return scaled(b, DPI_AST_DIVIDE, a, factor);
}

/* rateOf(x): of what carries x, in the submodel's time */
static dp_status resolve_rate_of(builder *b, const ant_math *m, dpi_ast **a) {
  dpi_ast *name = (*a)->arg[0], *factor = NULL;
  if (name->draw >= 0) DP_TRY(factor_of(b, name->draw, &factor));
  if (factor != NULL) DP_TRY(rename_nodes(b, factor));
  if (name->draw >= 0 && ANT_ROOT(b->r, name->draw)->deleted)
    b->dropped = true;
  else
    DP_TRY(rename_nodes(b, name));
  DP_TRY(scaled(b, DPI_AST_DIVIDE, a, factor));
  return scaled(b, DPI_AST_TIMES, a, b->time[m->scope]);
}

static dp_status resolve_node(builder *b, const ant_math *m, dpi_ast **a) {
  if ((*a)->op == DPI_AST_NAME) return resolve_name(b, m, a);
  if ((*a)->op == DPI_AST_RATEOF) return resolve_rate_of(b, m, a);
  for (int i = 0; i < (*a)->narg; i++) DP_TRY(resolve_node(b, m, &(*a)->arg[i]));
  if ((*a)->op == DPI_AST_TIME) return scaled(b, DPI_AST_DIVIDE, a, b->time[m->scope]);
  if ((*a)->op == DPI_AST_DELAY) return scaled(b, DPI_AST_TIMES, &(*a)->arg[1], b->time[m->scope]);
  return DP_OK;
}

/* mathematics with ids for names; *out NULL: it needs what was deleted */
static dp_status resolve(builder *b, ant_math *m, dpi_ast **out) {
  *out = NULL;
  if (m->ast == NULL) return DP_OK;
  b->dropped = false;
  DP_TRY(resolve_node(b, m, &m->ast));
  if (!b->dropped) *out = m->ast;
  return DP_OK;
}

/* parents have smaller numbers than their parts */
static dp_status conversions(builder *b) {
  ant_reader *r = b->r;
  b->time = DPI_ARENA_ARRAY(&r->arena, dpi_ast *, r->nscope_list);
  b->extent = DPI_ARENA_ARRAY(&r->arena, dpi_ast *, r->nscope_list);
  if (b->time == NULL || b->extent == NULL) return DP_ERR_MEMORY;
  for (int i = 1; i < r->nscope_list; i++) {
    ant_scope *s = &r->scope_list[i];
    ant_math *own[] = {&s->timeconv, &s->extentconv};
    dpi_ast **all[] = {b->time, b->extent};
    for (int k = 0; k < 2; k++) {
      dpi_ast *f;
      DP_TRY(resolve(b, own[k], &f));
      const dpi_ast *outer = all[k][s->parent];
      if (f == NULL && outer != NULL)
        DP_TRY(memory_or(f = dpi_ast_copy(b->net, outer)));
      else if (f != NULL)
        DP_TRY(scaled(b, DPI_AST_TIMES, &f, outer));
      all[k][i] = f;
    }
  }
  return DP_OK;
}

/* ---- where things are ---- */
static void settle_home(builder *b, int var, int home) {
  int root = dpi_ant_root(b->r, var);
  if (b->home[root] < 0) b->home[root] = home;
}

/* declared, else of its DNA strand, of its reaction, of its submodel: of several the last one that says so */
static dp_status find_homes(builder *b) {
  ant_reader *r = b->r;
  b->home = DPI_ARENA_ARRAY(&r->arena, int, r->nvar + 1);
  if (b->home == NULL) return DP_ERR_MEMORY;
  for (int i = 0; i < r->nvar; i++) b->home[i] = r->var[i].same == i ? r->var[i].home : -1;
  for (int i = r->nstrand - 1; i >= 0; i--)
    for (int k = 0; k < r->strand[i].nitem && r->strand[i].home >= 0; k++)
      settle_home(b, r->item[r->strand[i].first + k], r->strand[i].home);
  for (int i = r->nreaction - 1; i >= 0; i--) {
    int home = b->home[dpi_ant_root(r, r->reaction[i].var)];
    if (home < 0) home = r->reaction[i].home;
    b->home[dpi_ant_root(r, r->reaction[i].var)] = home;
    for (int k = 0; k < r->reaction[i].nterm && home >= 0; k++)
      settle_home(b, r->term[r->reaction[i].first + k].species, home);
  }
  for (int i = 0; i < r->nvar; i++)
    for (int s = r->var[i].scope; s >= 0; s = r->scope_list[s].parent)
      if (r->scope_list[s].home >= 0) settle_home(b, i, r->scope_list[s].home);
  int def = dpi_map_get(&r->scope_list[0].names, "default_compartment");
  for (int i = 0; i < r->nvar && def >= 0 && r->var[def].defined; i++)
    if (r->var[i].kind == ANT_SPECIES) settle_home(b, i, def);
  for (int i = 0; i < r->nvar; i++) {
    if (b->home[i] >= 0) b->home[i] = dpi_ant_root(r, b->home[i]);
    if (b->home[i] >= 0 && r->var[b->home[i]].deleted) b->home[i] = -1;
    if (b->home[i] == i) b->home[i] = -1;
  }
  return DP_OK;
}

/* ---- values ---- */
static bool number_of(const dpi_ast *a, double *v) {
  if (a == NULL) return false;
  switch (a->op) {
    case DPI_AST_NUMBER:
      *v = a->value;
      return true;
    case DPI_AST_INFINITY:
      *v = INFINITY;
      return true;
    case DPI_AST_NAN:
      *v = NAN;
      return true;
    case DPI_AST_MINUS:
      if (a->narg != 1 || !number_of(a->arg[0], v)) return false;
      *v = -*v;
      return true;
    default:
      return false;
  }
}

static dp_status add_rule(builder *b, dpi_net_rule_kind kind, const char *id, ant_math *m) {
  dpi_ast *a;
  DP_TRY(resolve(b, m, &a));
  if (a == NULL) return DP_OK;
  dpi_net_rule *rule = dpi_net_add_rule(b->net, kind, id, a);
  if (rule != NULL) rule->line = m->line;
  return memory_or(rule);
}

/* x := ...; x' = ...: in the submodel's time */
static dp_status add_rules(builder *b, ant_var *v, const char *id) {
  ant_math rate = v->rate;
  DP_TRY(add_rule(b, DPI_RULE_ASSIGNMENT, id, &v->rule));
  if (rate.ast == NULL || v->rule.ast != NULL) return DP_OK;
  int before = b->net->nrule;
  DP_TRY(add_rule(b, DPI_RULE_RATE, id, &rate));
  if (b->net->nrule == before) return DP_OK;
  return scaled(b, DPI_AST_DIVIDE, &b->net->rule[before].math, b->time[rate.scope]);
}

/* the initial value as a number or an initial assignment */
static dp_status set_value(builder *b, ant_var *v, const char *id, double *value) {
  if (v->rule.ast != NULL || v->no_value) return DP_OK;
  if (number_of(v->init.ast, value)) return DP_OK;
  return add_rule(b, DPI_RULE_INITIAL, id, &v->init);
}

static bool changes(const ant_var *v) { return v->rule.ast != NULL || v->rate.ast != NULL || v->set; }

static dp_status check_const(const builder *b, const ant_var *v) {
  if (!v->said_const || (v->rule.ast == NULL && v->rate.ast == NULL)) return DP_OK;
  return fail_var(b, v, v->rule.ast ? v->rule.line : v->rate.line, DP_ERR_INPUT, "is declared const but has a ",
                  v->rule.ast ? "formula" : "rate");
}

/* ---- elements ---- */
static dp_status add_compartment(builder *b, ant_var *v, const char *id) {
  dpi_net_compartment *c = dpi_net_add_compartment(b->net, id);
  DP_TRY(memory_or(c));
  DP_TRY(check_const(b, v));
  c->line = v->line;
  c->name = v->display;
  c->unit = v->unit;
  c->constant = !changes(v) && !v->said_var;
  v->place = b->net->ncompartment - 1;
  DP_TRY(set_value(b, v, id, &c->size));
  return add_rules(b, v, id);
}

static dp_status add_parameter(builder *b, ant_var *v, const char *id) {
  dpi_net_parameter *p = dpi_net_add_parameter(b->net, id);
  DP_TRY(memory_or(p));
  DP_TRY(check_const(b, v));
  p->line = v->line;
  p->name = v->display;
  p->unit = v->unit;
  p->constant = !changes(v) && !v->said_var;
  v->place = b->net->nparameter - 1;
  DP_TRY(set_value(b, v, id, &p->value));
  if (v->nuse > 0 && v->init.ast == NULL && v->rule.ast == NULL) p->value = 1.0; /* a stoichiometry without a value */
  return add_rules(b, v, id);
}

/* "5/C" is an amount, "5*C" of an amount a concentration */
static bool other_measure(const builder *b, const ant_var *v, int home, double *value) {
  const dpi_ast *a = v->init.ast;
  dpi_ast_op op = v->amount_only ? DPI_AST_TIMES : DPI_AST_DIVIDE;
  if (a == NULL || home < 0 || a->op != op || a->narg != 2) return false;
  const dpi_ast *name = a->arg[1];
  if (name->op != DPI_AST_NAME || name->draw < 0 || dpi_ant_root(b->r, name->draw) != home) return false;
  return b->r->var[name->draw].same == name->draw && number_of(a->arg[0], value);
}

static dp_status check_species(const builder *b, const ant_var *v) {
  bool moved = v->in_reaction && !v->boundary && !v->said_const;
  if (moved && v->rate.ast != NULL)
    return fail_var(b, v, v->rate.line, DP_ERR_INPUT, "has a rate beside its reactions, expected '$' or one of them",
                    "");
  if (moved && v->rule.ast != NULL)
    return fail_var(b, v, v->rule.line, DP_ERR_INPUT, "has a formula beside its reactions, expected '$' or one of them",
                    "");
  return DP_OK;
}

static dp_status add_species(builder *b, int var, ant_var *v, const char *id) {
  double other, *value;
  dpi_net_species *s = dpi_net_add_species(b->net, id);
  DP_TRY(memory_or(s));
  DP_TRY(check_species(b, v));
  int home = b->home[var];
  s->line = v->line;
  s->name = v->display;
  s->substance_unit = v->unit;
  s->formula = v->formula;
  s->charge = v->charge;
  s->only_substance = v->amount_only;
  s->boundary = v->boundary || v->said_const;
  s->constant = v->said_const && !changes(v);
  v->place = b->net->nspecies - 1;
  if (home >= 0) DP_TRY(memory_or(s->compartment = dpi_net_text(b->net, dpi_ant_id(b->r, home))));
  if (!v->no_value && v->rule.ast == NULL && other_measure(b, v, home, &other)) {
    value = v->amount_only ? &s->concentration : &s->amount;
    *value = other;
    return add_rules(b, v, id);
  }
  value = v->amount_only ? &s->amount : &s->concentration;
  DP_TRY(set_value(b, v, id, value));
  return add_rules(b, v, id);
}

/* ---- reactions ---- */
static bool is_reference(const ant_var *v) { return v->nuse == 1 && (v->kind == ANT_ANY || v->kind == ANT_FORMULA); }

static dp_status add_term(builder *b, const ant_term *t, dpi_net_term *out) {
  ant_var *n = t->stoich >= 0 ? ANT_ROOT(b->r, t->stoich) : NULL;
  *out = (dpi_net_term){.id = "", .stoichiometry = t->number, .constant = true};
  out->species = dpi_net_text(b->net, dpi_ant_id(b->r, t->species));
  out->line = n != NULL ? n->line : 0;
  DP_TRY(memory_or(out->species));
  if (n == NULL) return DP_OK;
  const char *id = dpi_net_text(b->net, dpi_ant_id(b->r, t->stoich));
  DP_TRY(memory_or(id));
  if (!is_reference(n) || n->deleted) {
    out->stoichiometry = n->deleted ? 1.0 : NAN;
    if (!n->deleted) DP_TRY(memory_or(out->math = dpi_ast_name(b->net, id)));
    return DP_OK;
  }
  out->id = id;
  out->stoichiometry = n->init.ast == NULL && n->rule.ast == NULL ? 1.0 : NAN;
  out->constant = !changes(n) && !n->said_var;
  DP_TRY(set_value(b, n, id, &out->stoichiometry));
  return add_rules(b, n, id);
}

static dp_status add_terms(builder *b, const ant_reaction *x, bool product, dpi_net_term **list, int *n) {
  *list = DPI_ARENA_ARRAY(&b->net->arena, dpi_net_term, x->nterm + 1);
  DP_TRY(memory_or(*list));
  for (int k = 0; k < x->nterm; k++) {
    const ant_term *t = &b->r->term[x->first + k];
    if (t->product == product && !ANT_ROOT(b->r, t->species)->deleted) DP_TRY(add_term(b, t, &(*list)[(*n)++]));
  }
  return DP_OK;
}

/* species in the rate that are neither used up nor made */
typedef struct modifiers {
  builder *b;
  dpi_net_reaction *x;
  const char **list;
  int n, cap;
} modifiers;

static dp_status see(modifiers *m, const char *id) {
  return dpi_map_put(&m->b->seen, id, (int)(m->x - m->b->net->reaction) + 1);
}

static dp_status see_terms(modifiers *m) {
  for (int i = 0; i < m->x->nreactant; i++) DP_TRY(see(m, m->x->reactant[i].species));
  for (int i = 0; i < m->x->nproduct; i++) DP_TRY(see(m, m->x->product[i].species));
  return DP_OK;
}

static dp_status add_modifier(modifiers *m, const char *id) {
  if (dpi_map_get(&m->b->seen, id) == (int)(m->x - m->b->net->reaction) + 1) return DP_OK;
  DP_TRY(see(m, id));
  DP_TRY(dpi_grow(m->b->r->ctx, (void **)&m->list, &m->cap, m->n + 1, sizeof *m->list));
  m->list[m->n++] = id;
  return DP_OK;
}

static dp_status visit_modifier(void *user, dpi_ast *a) {
  modifiers *m = user;
  int index;
  if (a->op != DPI_AST_NAME || dpi_net_find(m->b->net, a->name, &index) != DPI_NET_SPECIES) return DP_OK;
  return add_modifier(m, a->name);
}

/* species of interactions, where there is no rate to tell */
static dp_status from_interactions(modifiers *m, int var) {
  ant_reader *r = m->b->r;
  int index;
  r->p.budget -= r->ninteraction;
  for (int i = 0; i < r->ninteraction && r->p.budget > 0; i++) {
    const ant_interaction *x = &r->interaction[i];
    if (dpi_ant_root(r, x->target) != var) continue;
    for (int k = 0; k < x->nsource; k++) {
      int source = r->item[x->first + k];
      if (ANT_ROOT(r, source)->deleted) continue;
      const char *id = dpi_net_text(m->b->net, dpi_ant_id(r, source));
      DP_TRY(memory_or(id));
      if (dpi_net_find(m->b->net, id, &index) == DPI_NET_SPECIES) DP_TRY(add_modifier(m, id));
    }
  }
  return DP_OK;
}

static dp_status find_modifiers(builder *b) {
  for (int i = 0; i < b->r->nreaction; i++) {
    int var = dpi_ant_root(b->r, b->r->reaction[i].var), place = b->r->var[var].place;
    if (place < 0) continue;
    modifiers m = {.b = b, .x = &b->net->reaction[place]};
    DP_TRY(see_terms(&m));
    dp_status status = m.x->rate != NULL ? dpi_ast_walk(m.x->rate, visit_modifier, &m) : from_interactions(&m, var);
    if (status == DP_OK && m.n > 0) {
      m.x->modifier = DPI_ARENA_ARRAY(&b->net->arena, const char *, m.n);
      status = memory_or(m.x->modifier);
      if (status == DP_OK) memcpy((void *)m.x->modifier, m.list, (size_t)m.n * sizeof *m.list);
      if (status == DP_OK) m.x->nmodifier = m.n;
    }
    dpi_free(b->r->ctx, (void *)m.list);
    DP_TRY(status);
  }
  return DP_OK;
}

static dp_status add_reaction(builder *b, ant_reaction *x) {
  int root = dpi_ant_root(b->r, x->var);
  ant_var *v = &b->r->var[root];
  if (v->deleted || v->place >= 0) return DP_OK; /* of two that are the same the first */
  const char *id = dpi_ant_id(b->r, root);
  dpi_net_reaction out;
  dpi_net_reaction *place = dpi_net_add_reaction(b->net, id);
  DP_TRY(memory_or(place));
  v->place = b->net->nreaction - 1;
  out = *place;
  out.line = x->line;
  out.name = v->display;
  out.reversible = x->reversible;
  if (b->home[root] >= 0) DP_TRY(memory_or(out.compartment = dpi_net_text(b->net, dpi_ant_id(b->r, b->home[root]))));
  DP_TRY(add_terms(b, x, false, &out.reactant, &out.nreactant));
  DP_TRY(add_terms(b, x, true, &out.product, &out.nproduct));
  int scope = v->init.scope;
  DP_TRY(resolve(b, &v->init, &out.rate));
  if (out.rate != NULL) {
    DP_TRY(scaled(b, DPI_AST_DIVIDE, &out.rate, b->time[scope]));
    DP_TRY(scaled(b, DPI_AST_TIMES, &out.rate, b->extent[scope]));
  }
  out.has_rate = out.rate != NULL;
  b->net->reaction[v->place] = out;
  return DP_OK;
}

static dp_status add_reactions(builder *b) {
  for (int i = 0; i < b->r->nreaction; i++) {
    int winner = b->r->var[dpi_ant_root(b->r, b->r->reaction[i].var)].element;
    DP_TRY(add_reaction(b, &b->r->reaction[winner >= 0 ? winner : i]));
  }
  return DP_OK;
}

/* ---- events ---- */
static dp_status event_math(builder *b, ant_math *m, dpi_ast **out, bool duration) {
  int scope = m->scope;
  DP_TRY(resolve(b, m, out));
  return duration ? scaled(b, DPI_AST_TIMES, out, b->time[scope]) : DP_OK;
}

static dp_status event_assignments(builder *b, ant_event *x, dpi_net_event *e) {
  e->assign = DPI_ARENA_ARRAY(&b->net->arena, dpi_net_assignment, x->nassign + 1);
  DP_TRY(memory_or(e->assign));
  for (int k = 0; k < x->nassign; k++) {
    ant_assign *a = &b->r->assign[x->first + k];
    dpi_ast *value, *factor;
    if (ANT_ROOT(b->r, a->var)->deleted) continue;
    DP_TRY(resolve(b, &a->value, &value));
    if (value == NULL) continue;
    DP_TRY(factor_of(b, a->var, &factor));
    if (factor != NULL) DP_TRY(rename_nodes(b, factor));
    DP_TRY(scaled(b, DPI_AST_TIMES, &value, factor));
    const char *id = dpi_net_text(b->net, dpi_ant_id(b->r, a->var));
    DP_TRY(memory_or(id));
    e->assign[e->nassign++] = (dpi_net_assignment){id, value, a->value.line};
  }
  return DP_OK;
}

static dp_status add_event(builder *b, ant_event *x) {
  int root = dpi_ant_root(b->r, x->var);
  ant_var *v = &b->r->var[root];
  if (v->deleted || v->place >= 0) return DP_OK;
  dpi_net_event e = {.name = v->display,
                     .initial_value = x->t0,
                     .persistent = x->persistent,
                     .from_trigger = x->from_trigger,
                     .line = x->line};
  DP_TRY(event_math(b, &x->trigger, &e.trigger, false));
  if (e.trigger == NULL) return DP_OK; /* it can't happen any more */
  DP_TRY(event_math(b, &x->delay, &e.delay, true));
  DP_TRY(event_math(b, &x->priority, &e.priority, false));
  DP_TRY(event_assignments(b, x, &e));
  dpi_net_event *place = dpi_net_add_event(b->net, dpi_ant_id(b->r, root));
  DP_TRY(memory_or(place));
  e.id = place->id;
  *place = e;
  v->place = b->net->nevent - 1;
  return DP_OK;
}

static dp_status add_events(builder *b) {
  for (int i = 0; i < b->r->nevent; i++) {
    int winner = b->r->var[dpi_ant_root(b->r, b->r->event[i].var)].element;
    DP_TRY(add_event(b, &b->r->event[winner >= 0 ? winner : i]));
  }
  return DP_OK;
}

/* ---- interactions, annotations ---- */
static dp_status add_interaction(builder *b, const ant_interaction *x) {
  ant_reader *r = b->r;
  const ant_var *v = ANT_ROOT(r, x->var);
  if (v->deleted || ANT_ROOT(r, x->target)->deleted) return DP_OK;
  dpi_net_interaction *out = dpi_net_add_interaction(b->net, dpi_ant_id(r, x->var));
  DP_TRY(memory_or(out));
  out->kind = x->kind;
  out->line = x->line;
  out->name = v->display;
  out->source = DPI_ARENA_ARRAY(&b->net->arena, const char *, x->nsource);
  out->target = dpi_net_text(b->net, dpi_ant_id(r, x->target));
  if (out->source == NULL || out->target == NULL) return DP_ERR_MEMORY;
  for (int k = 0; k < x->nsource; k++) {
    if (ANT_ROOT(r, r->item[x->first + k])->deleted) continue;
    out->source[out->nsource] = dpi_net_text(b->net, dpi_ant_id(r, r->item[x->first + k]));
    DP_TRY(memory_or(out->source[out->nsource++]));
  }
  if (out->nsource == 0) b->net->ninteraction--; /* nobody is left to act */
  return DP_OK;
}

static dp_status add_notes(builder *b) {
  ant_reader *r = b->r;
  for (int i = 0; i < r->nnote; i++) {
    const ant_note *n = &r->note[i];
    if (n->var < 0 && n->scope != 0) continue;
    if (n->var >= 0 && ANT_ROOT(r, n->var)->deleted) continue;
    dpi_net_annotation *a = dpi_net_add_annotation(b->net, n->var < 0 ? "" : dpi_ant_id(r, n->var), n->key);
    DP_TRY(memory_or(a));
    a->nvalue = n->nvalue;
    a->value = n->value;
  }
  return DP_OK;
}

/* ---- flux balance ---- */
static dpi_net_reaction *reaction_of(const builder *b, const dpi_ast *a) {
  if (a->op != DPI_AST_NAME || a->draw < 0) return NULL;
  const ant_var *v = ANT_ROOT(b->r, a->draw);
  return v->kind == ANT_REACTION && v->place >= 0 ? &b->net->reaction[v->place] : NULL;
}

/* the parameter that holds a bound */
static dp_status bound_name(builder *b, const dpi_net_reaction *x, dpi_ast *a, bool lower, const char **out) {
  double value;
  if (!number_of(a, &value)) {
    *out = a->op == DPI_AST_NAME && a->draw >= 0 ? dpi_net_text(b->net, dpi_ant_id(b->r, a->draw)) : NULL;
    return *out != NULL
               ? DP_OK
               : dpi_fail(b->r->ctx, DP_ERR_UNSUPPORTED, "%s:%d: a bound of the flux of '%s' that is a formula",
                          b->r->source, a->line, x->id);
  }
  const char *id = dpi_arena_printf(&b->r->arena, "%s_%s_bound", x->id, lower ? "lower" : "upper");
  DP_TRY(memory_or(id));
  while (dpi_map_get(&b->r->scope_list[0].names, id) >= 0)
    DP_TRY(memory_or(id = dpi_arena_printf(&b->r->arena, "%s_", id)));
  DP_TRY(dpi_map_put(&b->r->scope_list[0].names, id, 0));
  dpi_net_parameter *p = dpi_net_add_parameter(b->net, id);
  DP_TRY(memory_or(p));
  p->value = value;
  p->line = a->line;
  *out = p->id;
  return DP_OK;
}

/* A bound that is a name is a parameter: nothing else has a value without equations. */
static dp_status check_bound(const builder *b, const dpi_net_reaction *x, const char *bound) {
  int index;
  if (bound[0] == '\0' || dpi_net_find(b->net, bound, &index) == DPI_NET_PARAMETER) return DP_OK;
  return dpi_fail(b->r->ctx, DP_ERR_INPUT,
                  "%s:%d: the flux of '%s' is bounded by '%s', which is not a parameter with a value", b->r->source,
                  x->line, x->id, bound);
}

static bool flux_operator(dpi_ast_op op) {
  return op == DPI_AST_LT || op == DPI_AST_LE || op == DPI_AST_GT || op == DPI_AST_GE || op == DPI_AST_EQ;
}

/* -10 <= J <= 10: neighbours of a reaction's name bound its flux */
static dp_status flux_bound(builder *b, dpi_ast_op op, dpi_ast *left, dpi_ast *right, bool *done) {
  dpi_net_reaction *x = reaction_of(b, left);
  bool up = op == DPI_AST_LT || op == DPI_AST_LE; /* left is the smaller one */
  dpi_ast *bound = right;
  if (x == NULL) {
    x = reaction_of(b, right);
    bound = left;
    up = !up;
  } else if (reaction_of(b, right) != NULL) {
    return DP_OK; /* of two fluxes: an ordinary constraint */
  }
  if (x == NULL) return DP_OK;
  const char *id;
  DP_TRY(bound_name(b, x, bound, !up, &id));
  *done = true;
  b->net->flux = true;
  if (op == DPI_AST_EQ || up) x->upper = id;
  if (op == DPI_AST_EQ || !up) x->lower = id;
  return DP_OK;
}

static dp_status flux_bounds(builder *b, dpi_ast *a, bool *done) {
  if (a->op == DPI_AST_AND)
    for (int i = 0; i < a->narg; i++) DP_TRY(flux_bounds(b, a->arg[i], done));
  if (!flux_operator(a->op)) return DP_OK;
  for (int i = 0; i + 1 < a->narg; i++) DP_TRY(flux_bound(b, a->op, a->arg[i], a->arg[i + 1], done));
  return DP_OK;
}

static dp_status refuse_objective(const builder *b, const ant_relation *x) {
  return dpi_fail(b->r->ctx, DP_ERR_UNSUPPORTED,
                  "%s:%d: an objective that is not a sum of fluxes, each with a number as its factor", b->r->source,
                  x->math.line);
}

static dp_status objective_terms(builder *b, const ant_relation *x, dpi_ast *a, double factor) {
  double v;
  if (reaction_of(b, a) != NULL) {
    DP_TRY(dpi_grow(b->r->ctx, (void **)&b->flux, &b->cap_flux, b->nflux + 1, sizeof *b->flux));
    b->flux[b->nflux++] = (dpi_net_flux_term){reaction_of(b, a)->id, factor};
    return DP_OK;
  }
  if (a->op == DPI_AST_PLUS || a->op == DPI_AST_MINUS) {
    for (int i = 0; i < a->narg; i++) {
      bool minus = a->op == DPI_AST_MINUS && (i == 1 || a->narg == 1);
      DP_TRY(objective_terms(b, x, a->arg[i], minus ? -factor : factor));
    }
    return DP_OK;
  }
  if (a->op == DPI_AST_TIMES && a->narg == 2) {
    bool first = number_of(a->arg[0], &v);
    if (first || number_of(a->arg[1], &v)) return objective_terms(b, x, a->arg[first ? 1 : 0], factor * v);
  }
  if (a->op == DPI_AST_DIVIDE && number_of(a->arg[1], &v)) return objective_terms(b, x, a->arg[0], factor / v);
  return refuse_objective(b, x);
}

static dp_status add_objective(builder *b, ant_relation *x) {
  const char *id =
      x->var >= 0 ? dpi_ant_id(b->r, x->var) : dpi_arena_printf(&b->r->arena, "_objective%d", b->net->nobjective);
  dpi_net_objective *o = id == NULL ? NULL : dpi_net_add_objective(b->net, id);
  DP_TRY(memory_or(o));
  o->maximize = !x->minimize;
  b->net->flux = true;
  if (b->net->active_objective < 0) b->net->active_objective = b->net->nobjective - 1;
  b->nflux = 0;
  DP_TRY(objective_terms(b, x, x->math.ast, 1.0));
  o->nterm = b->nflux;
  o->term = DPI_ARENA_ARRAY(&b->net->arena, dpi_net_flux_term, b->nflux + 1);
  DP_TRY(memory_or(o->term));
  if (b->nflux > 0) memcpy(o->term, b->flux, (size_t)b->nflux * sizeof *o->term);
  return DP_OK;
}

static dp_status add_relation(builder *b, ant_relation *x) {
  bool done = false;
  dpi_ast *a;
  if (x->var >= 0 && ANT_ROOT(b->r, x->var)->deleted) return DP_OK;
  if (x->kind == ANT_OBJECTIVE) return add_objective(b, x);
  if (x->kind == ANT_ALGEBRAIC) return add_rule(b, DPI_RULE_ALGEBRAIC, "", &x->math);
  DP_TRY(flux_bounds(b, x->math.ast, &done));
  if (done) return DP_OK;
  DP_TRY(resolve(b, &x->math, &a));
  if (a == NULL) return DP_OK;
  dpi_net_constraint *c = dpi_net_add_constraint(b->net);
  DP_TRY(memory_or(c));
  c->math = a;
  c->line = x->math.line;
  c->message = x->var >= 0 ? ANT_ROOT(b->r, x->var)->display : "";
  if (x->var >= 0) DP_TRY(memory_or(c->id = dpi_net_text(b->net, dpi_ant_id(b->r, x->var))));
  return DP_OK;
}

/* an algebraic rule may change whatever is not said to be constant */
static void free_names(builder *b, const dpi_ast *a) {
  if (a->op == DPI_AST_NAME && a->draw >= 0) {
    ant_var *v = ANT_ROOT(b->r, a->draw);
    if (!v->said_const) v->said_var = true;
    if (v->kind == ANT_ANY) v->defined = true;
  }
  for (int i = 0; i < a->narg; i++) free_names(b, a->arg[i]);
}

/* ---- all ---- */
static dp_status add_element(builder *b, int i) {
  ant_var *v = &b->r->var[i];
  if (v->same != i || v->deleted || !v->defined || is_reference(v)) return DP_OK;
  const char *id = dpi_ant_id(b->r, i);
  if (id[0] == '\0') return DP_ERR_MEMORY;
  switch (v->kind) {
    case ANT_COMPARTMENT:
      return add_compartment(b, v, id);
    case ANT_SPECIES:
      return add_species(b, i, v, id);
    case ANT_ANY:
    case ANT_FORMULA:
      return add_parameter(b, v, id);
    default:
      return DP_OK;
  }
}

static dp_status build(builder *b) {
  ant_reader *r = b->r;
  DP_TRY(conversions(b));
  DP_TRY(find_homes(b));
  for (int i = 0; i < r->nrelation; i++)
    if (r->relation[i].kind == ANT_ALGEBRAIC) free_names(b, r->relation[i].math.ast);
  for (int i = 0; i < r->nvar; i++) DP_TRY(add_element(b, i));
  DP_TRY(add_reactions(b));
  DP_TRY(add_events(b));
  for (int i = 0; i < r->nrelation; i++) DP_TRY(add_relation(b, &r->relation[i]));
  for (int i = 0; i < r->ninteraction; i++) DP_TRY(add_interaction(b, &r->interaction[i]));
  DP_TRY(add_notes(b));
  DP_TRY(dpi_net_index(b->net));
  for (int i = 0; i < b->net->nreaction; i++) {
    DP_TRY(check_bound(b, &b->net->reaction[i], b->net->reaction[i].lower));
    DP_TRY(check_bound(b, &b->net->reaction[i], b->net->reaction[i].upper));
  }
  return find_modifiers(b);
}

dp_status dpi_ant_net(ant_reader *r) {
  builder b = {.r = r, .net = r->net};
  b.net->language = "Antimony";
  dpi_map_init(&b.seen, r->ctx);
  dp_status status = build(&b);
  dpi_map_release(&b.seen);
  dpi_free(r->ctx, b.flux);
  return status;
}
