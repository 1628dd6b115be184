/* check_structure.c - floor 3: parts of a network that do nothing, never change, can go wrong, or stand alone. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lang/check_impl.h"

/* Facts about one id, found in one pass over the network. */
enum {
  READ = 1,      /* a formula uses it, or it is a bound, a factor, a home */
  MOVED = 2,     /* a reaction changes it */
  RULED = 4,     /* a rule gives it or its rate */
  SET = 8,       /* an event sets it */
  STARTED = 16,  /* an initial assignment */
  MENTIONED = 32, /* reactant, product or modifier */
  RATED = 64,    /* a rate rule changes it */
};

typedef struct structure {
  dpi_checker *c;
  const dpi_net *net;
  uint8_t *fact;            /* [net->nentry] */
  int *parent;              /* [net->nentry] blocks: union by the lower root */
  int together;             /* entry that what is visited next is joined with, -1 none */
  int *rule;                /* [net->nentry] assignment rule, -1 none */
  int *stamp, now;          /* [net->nentry] visited in this round */
  bool algebraic;
} structure;

/* ---------------------------------------------------------------- facts */
static int entry_of(const structure *s, const char *id) { return id[0] ? dpi_map_get(&s->net->ids, id) : -1; }

static void mark(structure *s, const char *id, uint8_t fact) {
  int e = entry_of(s, id);
  if (e >= 0) s->fact[e] |= fact;
}

typedef struct reading {
  structure *s;
  const dpi_net_reaction *r;
} reading;

static dp_status read_node(void *user, dpi_ast *a) {
  reading *x = user;
  if ((a->op == DPI_AST_NAME && dpi_check_local(x->r, a->name) == NULL) || a->op == DPI_AST_CALL)
    mark(x->s, a->name, READ);
  return DP_OK;
}

static dp_status read_formula(void *user, dpi_ast *a, const dpi_net_reaction *r) {
  return dpi_ast_walk(a, read_node, &(reading){user, r});
}

static void term_facts(structure *s, const dpi_net_term *t) {
  int index;
  mark(s, t->species, MENTIONED);
  if (dpi_net_find(s->net, t->species, &index) == DPI_NET_SPECIES && !s->net->species[index].boundary &&
      !s->net->species[index].constant)
    mark(s, t->species, MOVED);
}

static void reaction_facts(structure *s, const dpi_net_reaction *r) {
  for (int k = 0; k < r->nreactant; k++) term_facts(s, &r->reactant[k]);
  for (int k = 0; k < r->nproduct; k++) term_facts(s, &r->product[k]);
  for (int k = 0; k < r->nmodifier; k++) mark(s, r->modifier[k], MENTIONED);
  mark(s, r->lower, READ);
  mark(s, r->upper, READ);
  mark(s, r->compartment, READ);
}

static dp_status find_facts(structure *s) {
  const dpi_net *net = s->net;
  DP_TRY(dpi_check_formulas(net, read_formula, s));
  for (int i = 0; i < net->nfunction; i++) DP_TRY(read_formula(s, net->function[i].body, NULL));
  for (int i = 0; i < net->nreaction; i++) reaction_facts(s, &net->reaction[i]);
  for (int i = 0; i < net->nspecies; i++)
    mark(s, net->species[i].compartment, READ), mark(s, net->species[i].conversion, READ);
  mark(s, net->conversion, READ);
  for (int i = 0; i < net->nrule; i++) {
    dpi_net_rule_kind kind = net->rule[i].kind;
    int e = entry_of(s, net->rule[i].variable);
    mark(s, net->rule[i].variable, kind == DPI_RULE_INITIAL ? STARTED : RULED);
    if (kind == DPI_RULE_RATE) mark(s, net->rule[i].variable, RATED);
    if (kind == DPI_RULE_ASSIGNMENT && e >= 0) s->rule[e] = i;
    if (kind == DPI_RULE_ALGEBRAIC) s->algebraic = true;
  }
  for (int i = 0; i < net->nevent; i++)
    for (int k = 0; k < net->event[i].nassign; k++) mark(s, net->event[i].assign[k].variable, SET);
  return DP_OK;
}

static uint8_t facts(const structure *s, const char *id) {
  int e = entry_of(s, id);
  return e >= 0 ? s->fact[e] : 0;
}

/* ---------------------------------------------------------------- values that are missing */
static dp_status missing_values(structure *s) {
  const dpi_net *net = s->net;
  dpi_check_names p = {0}, v = {0};
  for (int i = 0; i < net->nparameter; i++) {
    const dpi_net_parameter *x = &net->parameter[i];
    uint8_t f = facts(s, x->id);
    bool given = !isnan(x->value) || (f & STARTED) || ((f & RULED) && !(f & RATED)) || (s->algebraic && !x->constant);
    if (!given && (f & (READ | RATED | SET))) dpi_check_names_add(&p, x->id, x->line);
  }
  for (int i = 0; i < net->ncompartment; i++) {
    const dpi_net_compartment *x = &net->compartment[i];
    uint8_t f = facts(s, x->id);
    bool given = !isnan(x->size) || x->dimensions == 0.0 || (f & STARTED) || ((f & RULED) && !(f & RATED));
    if (!given && (f & READ)) dpi_check_names_add(&v, x->id, x->line);
  }
  DP_TRY(dpi_check_names_say(s->c, &p, DP_FINDING_STRUCTURE, "%s has no value: it must be given with --set",
                             "%d parameters have no value, they must be given with --set: %s"));
  return dpi_check_names_say(s->c, &v, DP_FINDING_STRUCTURE, "compartment %s has no size",
                             "%d compartments have no size: %s");
}

static dp_status missing_amounts(structure *s) {
  const dpi_net *net = s->net;
  dpi_check_names l = {0};
  for (int i = 0; i < net->nspecies; i++) {
    const dpi_net_species *x = &net->species[i];
    uint8_t f = facts(s, x->id);
    bool given =
        !isnan(x->amount) || !isnan(x->concentration) || (f & STARTED) || ((f & RULED) && !(f & RATED)) || s->algebraic;
    if (!given && !net->flux && (f & (READ | MENTIONED))) dpi_check_names_add(&l, x->id, x->line);
  }
  return dpi_check_names_say(s->c, &l, DP_FINDING_STRUCTURE,
                             "species %s has no initial value: it must be given with --set",
                             "%d species have no initial value, they must be given with --set: %s");
}

/* a model sealed partly says it itself */
static dp_status missing(structure *s) {
  enum { MOST_SAID = 40 };
  const dp_model *m = s->c->m;
  if (m->nunknown == 0) DP_TRY(missing_values(s));
  if (m->nunknown == 0) return missing_amounts(s);
  for (int i = 0; i < m->nunknown && i < MOST_SAID; i++)
    DP_TRY(
        dpi_check_say(s->c, DP_FINDING_STRUCTURE, m->unknown[i].element, m->unknown[i].line, "%s", m->unknown[i].text));
  if (m->nunknown <= MOST_SAID) return DP_OK;
  return dpi_check_say(s->c, DP_FINDING_STRUCTURE, "", 0, "and %d more like these", m->nunknown - MOST_SAID);
}

/* ---------------------------------------------------------------- events, reactions */
static dp_status dead_events(structure *s) {
  const dp_model *m = s->c->m;
  uint8_t *seen = DPI_ARENA_ARRAY(&s->c->arena, uint8_t, m->nsym);
  if (seen == NULL) return DP_ERR_MEMORY;
  for (int i = 0; i < m->nevent; i++) {
    const dpi_model_event *e = &m->event[i];
    if (e->trigger == DPI_NODE_NONE) continue;
    bool moves = dpi_check_moves(s->c, e->trigger, seen);
    DP_TRY(s->c->status);
    if (moves) continue;
    DP_TRY(dpi_check_say(s->c, DP_FINDING_STRUCTURE, e->id, e->line, "event %s %s: its condition never changes", e->id,
                         e->initial_value ? "can never fire" : "can fire at the start only"));
  }
  return DP_OK;
}

/* Does the formula depend on the species, also through assignment rules and other reactions' rates? */
static bool depends(structure *s, const dpi_ast *a, const dpi_net_reaction *r, int species, int depth) {
  if (a == NULL) return false;
  if (depth > 2 * DPI_AST_DEPTH) return true; /* too far to see: nothing is said */
  if (a->op == DPI_AST_NAME && dpi_check_local(r, a->name) == NULL) {
    int e = entry_of(s, a->name);
    if (e == species) return true;
    if (e < 0 || s->stamp[e] == s->now) return false;
    s->stamp[e] = s->now;
    if (s->rule[e] >= 0) return depends(s, s->net->rule[s->rule[e]].math, NULL, species, depth + 1);
    if (s->net->entry[e].kind == DPI_NET_REACTION) {
      const dpi_net_reaction *other = &s->net->reaction[s->net->entry[e].index];
      return depends(s, other->rate, other, species, depth + 1);
    }
    return false;
  }
  for (int k = 0; k < a->narg; k++)
    if (depends(s, a->arg[k], r, species, depth + 1)) return true;
  return false;
}

static dp_status negative_reactions(structure *s) {
  const dpi_net *net = s->net;
  dpi_check_names l = {0};
  for (int i = 0; i < net->nreaction; i++) {
    const dpi_net_reaction *r = &net->reaction[i];
    for (int k = 0; k < r->nreactant && r->rate; k++) {
      const char *id = r->reactant[k].species;
      if (!(facts(s, id) & MOVED) || (r->rate->op == DPI_AST_NUMBER && r->rate->value == 0)) continue;
      s->now++;
      if (depends(s, r->rate, r, entry_of(s, id), 0)) continue;
      const char *pair = dpi_arena_printf(&s->c->arena, "%s (%s)", r->id, id);
      if (pair == NULL) return DP_ERR_MEMORY;
      dpi_check_names_add(&l, pair, r->line);
    }
  }
  return dpi_check_names_say(
      s->c, &l, DP_FINDING_STRUCTURE,
      "the rate of reaction %s does not depend on what it consumes, which can become negative",
      "the rates of %d reactions do not depend on what they consume, which can become negative: %s");
}

/* ---- species of a rate that the reaction does not list ---- */
typedef struct listing {
  structure *s;
  const dpi_net_reaction *r;
  dpi_check_names *names;
} listing;

static bool listed(const dpi_net_reaction *r, const char *id) {
  for (int k = 0; k < r->nreactant; k++)
    if (strcmp(r->reactant[k].species, id) == 0) return true;
  for (int k = 0; k < r->nproduct; k++)
    if (strcmp(r->product[k].species, id) == 0) return true;
  for (int k = 0; k < r->nmodifier; k++)
    if (strcmp(r->modifier[k], id) == 0) return true;
  return false;
}

static dp_status list_name(void *user, dpi_ast *a) {
  listing *x = user;
  int index;
  if (a->op != DPI_AST_NAME || dpi_check_local(x->r, a->name)) return DP_OK;
  if (dpi_net_find(x->s->net, a->name, &index) != DPI_NET_SPECIES || listed(x->r, a->name)) return DP_OK;
  const char *pair = dpi_arena_printf(&x->s->c->arena, "%s (%s)", x->r->id, a->name);
  if (pair == NULL) return DP_ERR_MEMORY;
  dpi_check_names_add(x->names, pair, x->r->line);
  return DP_OK;
}

static dp_status unlisted_modifiers(structure *s) {
  if (s->net->level < 2) return DP_OK; /* Level 1 and Antimony list none */
  dpi_check_names l = {0};
  for (int i = 0; i < s->net->nreaction; i++)
    DP_TRY(dpi_ast_walk(s->net->reaction[i].rate, list_name, &(listing){s, &s->net->reaction[i], &l}));
  return dpi_check_names_say(s->c, &l, DP_FINDING_STRUCTURE,
                             "the rate of reaction %s uses a species that the reaction does not list as modifier",
                             "%d rates use species that their reactions do not list as modifiers: %s");
}

/* ---------------------------------------------------------------- flux balance */
static double bound(const dpi_net *net, const char *id) {
  int index;
  return dpi_net_find(net, id, &index) == DPI_NET_PARAMETER ? net->parameter[index].value : NAN;
}

/* bit 1: something can make it, bit 2: something can take it */
static int ways(const structure *s, const char *species) {
  int way = 0;
  for (int i = 0; i < s->net->nreaction && way < 3; i++) {
    const dpi_net_reaction *r = &s->net->reaction[i];
    bool back = !(bound(s->net, r->lower) >= 0), forth = !(bound(s->net, r->upper) <= 0);
    for (int k = 0; k < r->nreactant; k++)
      if (strcmp(r->reactant[k].species, species) == 0) way |= (forth ? 2 : 0) | (back ? 1 : 0);
    for (int k = 0; k < r->nproduct; k++)
      if (strcmp(r->product[k].species, species) == 0) way |= (forth ? 1 : 0) | (back ? 2 : 0);
  }
  return way;
}

static dp_status flux_findings(structure *s) {
  const dpi_net *net = s->net;
  dpi_check_names fixed = {0}, dead = {0};
  if (!net->flux || net->nobjective == 0) return DP_OK;
  for (int i = 0; i < net->nreaction; i++)
    if (bound(net, net->reaction[i].lower) == bound(net, net->reaction[i].upper))
      dpi_check_names_add(&fixed, net->reaction[i].id, net->reaction[i].line);
  for (int i = 0; i < net->nspecies && (long)net->nspecies * net->nreaction < 20000000L; i++)
    if ((facts(s, net->species[i].id) & MOVED) && ways(s, net->species[i].id) != 3)
      dpi_check_names_add(&dead, net->species[i].id, net->species[i].line);
  DP_TRY(dpi_check_names_say(s->c, &fixed, DP_FINDING_STRUCTURE, "the flux of %s is fixed: both bounds are equal",
                             "%d fluxes are fixed, their bounds are equal: %s"));
  return dpi_check_names_say(s->c, &dead, DP_FINDING_STRUCTURE,
                             "%s is a dead end: it can only be made or only be used, so its fluxes are 0",
                             "%d species are dead ends, only made or only used, so their fluxes are 0: %s");
}

/* ---------------------------------------------------------------- what does nothing */
static dp_status idle_species(structure *s) {
  const dpi_net *net = s->net;
  dpi_check_names still = {0}, unused = {0};
  for (int i = 0; i < net->nspecies; i++) {
    const dpi_net_species *x = &net->species[i];
    uint8_t f = facts(s, x->id);
    if (!(f & (READ | MENTIONED | RULED | SET))) dpi_check_names_add(&unused, x->id, x->line);
    else if (!x->constant && !x->boundary && !(f & (MOVED | RULED | SET)) && !s->algebraic && !net->flux)
      dpi_check_names_add(&still, x->id, x->line);
  }
  DP_TRY(dpi_check_names_say(s->c, &still, DP_FINDING_STRUCTURE,
                             "species %s never changes, though it is not called constant",
                             "%d species never change, though they are not called constant: %s"));
  return dpi_check_names_say(s->c, &unused, DP_FINDING_STRUCTURE, "species %s is not used",
                             "%d species are not used: %s");
}

static dp_status idle_others(structure *s) {
  const dpi_net *net = s->net;
  dpi_check_names l = {0};
  for (int i = 0; i < net->nparameter; i++)
    if (!(facts(s, net->parameter[i].id) & (READ | RULED | SET)))
      dpi_check_names_add(&l, net->parameter[i].id, net->parameter[i].line);
  for (int i = 0; i < net->nreaction; i++)
    for (int k = 0; k < net->reaction[i].nlocal; k++) {
      const dpi_net_reaction *r = &net->reaction[i];
      if (dpi_ast_uses(r->rate, r->local[k].id)) continue;
      const char *id = dpi_arena_printf(&s->c->arena, "%s.%s", r->id, r->local[k].id);
      if (id) dpi_check_names_add(&l, id, r->local[k].line);
    }
  DP_TRY(dpi_check_names_say(s->c, &l, DP_FINDING_STRUCTURE, "parameter %s is not used",
                             "%d parameters are not used: %s"));
  dpi_check_names f = {0};
  for (int i = 0; i < net->nfunction; i++)
    if (!(facts(s, net->function[i].id) & READ)) dpi_check_names_add(&f, net->function[i].id, net->function[i].line);
  return dpi_check_names_say(s->c, &f, DP_FINDING_STRUCTURE, "function %s is not used",
                             "%d functions are not used: %s");
}

/* ---------------------------------------------------------------- parts that know nothing of each other */
static int root(structure *s, int e) {
  while (s->parent[e] != e) e = s->parent[e] = s->parent[s->parent[e]];
  return e;
}

static void join(structure *s, const char *id) {
  int e = entry_of(s, id);
  if (e < 0) return;
  if (!(s->fact[e] & (MOVED | RULED | SET)) && s->net->entry[e].kind != DPI_NET_REACTION) return; /* a constant */
  if (s->together < 0) {
    s->together = e;
    return;
  }
  int a = root(s, s->together), b = root(s, e);
  if (a < b) s->parent[b] = a;
  else s->parent[a] = b;
}

static dp_status join_node(void *user, dpi_ast *a) {
  reading *x = user;
  if (a->op == DPI_AST_NAME && dpi_check_local(x->r, a->name) == NULL) join(x->s, a->name);
  return DP_OK;
}

static void join_formula(structure *s, dpi_ast *a, const dpi_net_reaction *r) {
  dpi_ast_walk(a, join_node, &(reading){s, r});
}

static void join_all(structure *s) {
  const dpi_net *net = s->net;
  for (int i = 0; i < net->nreaction; i++) {
    const dpi_net_reaction *r = &net->reaction[i];
    s->together = -1;
    join(s, r->id);
    for (int k = 0; k < r->nreactant; k++) join(s, r->reactant[k].species), join_formula(s, r->reactant[k].math, NULL);
    for (int k = 0; k < r->nproduct; k++) join(s, r->product[k].species), join_formula(s, r->product[k].math, NULL);
    join_formula(s, r->rate, r);
  }
  for (int i = 0; i < net->nrule; i++) {
    s->together = -1;
    if (net->rule[i].kind == DPI_RULE_INITIAL) continue;
    join(s, net->rule[i].variable);
    join_formula(s, net->rule[i].math, NULL);
  }
  for (int i = 0; i < net->nevent; i++) {
    const dpi_net_event *e = &net->event[i];
    s->together = -1;
    join_formula(s, e->trigger, NULL);
    join_formula(s, e->delay, NULL);
    for (int k = 0; k < e->nassign; k++) join(s, e->assign[k].variable), join_formula(s, e->assign[k].math, NULL);
  }
}

/* the first few that move in one block */
static void name_block(structure *s, int block, dpi_str *out) {
  int shown = 0, n = 0;
  for (int e = 0; e < s->net->nentry; e++) n += (s->fact[e] & (MOVED | RATED)) && root(s, e) == block;
  dpi_str_add(out, "{");
  for (int i = 0; i < s->net->nspecies + s->net->nparameter && shown < 4; i++) {
    const char *id = i < s->net->nspecies ? s->net->species[i].id : s->net->parameter[i - s->net->nspecies].id;
    int e = entry_of(s, id);
    if (e < 0 || !(s->fact[e] & (MOVED | RATED)) || root(s, e) != block) continue;
    dpi_str_addf(out, "%s%.40s", shown++ ? ", " : "", id);
  }
  dpi_str_addf(out, shown < n ? ", ... (%d)}" : "}", n);
}

static dp_status blocks(structure *s) {
  if (s->algebraic || s->net->flux) return DP_OK;
  join_all(s);
  int n = 0;
  dpi_str out;
  dpi_str_init(&out, s->c->ctx);
  for (int e = 0; e < s->net->nentry; e++) {
    if (!(s->fact[e] & (MOVED | RATED))) continue;
    int block = root(s, e);
    s->stamp[block] = s->stamp[block] == -1 ? -1 : (n++, -1);
  }
  for (int e = 0, shown = 0; e < s->net->nentry && n > 1; e++) {
    if (s->stamp[e] != -1 || shown >= 6) continue;
    if (shown++) dpi_str_add(&out, ", ");
    name_block(s, e, &out);
  }
  dp_status status = out.failed ? DP_ERR_MEMORY : DP_OK;
  if (status == DP_OK && n > 1)
    status = dpi_check_say(s->c, DP_FINDING_STRUCTURE, "", 0,
                           "the model falls into %d parts that know nothing of each other: %s%s", n, dpi_str_text(&out),
                           n > 6 ? ", ..." : "");
  dpi_str_release(&out);
  return status;
}

/* ---------------------------------------------------------------- in order of severity */
dp_status dpi_check_structure(dpi_checker *c) {
  int n = c->net->nentry;
  structure s = {.c = c, .net = c->net};
  s.fact = DPI_ARENA_ARRAY(&c->arena, uint8_t, n);
  s.parent = DPI_ARENA_ARRAY(&c->arena, int, n);
  s.rule = DPI_ARENA_ARRAY(&c->arena, int, n);
  s.stamp = DPI_ARENA_ARRAY(&c->arena, int, n);
  if (!s.fact || !s.parent || !s.rule || !s.stamp) return DP_ERR_MEMORY;
  for (int e = 0; e < n; e++) s.parent[e] = e, s.rule[e] = -1;
  DP_TRY(find_facts(&s));
  DP_TRY(missing(&s));
  DP_TRY(dead_events(&s));
  DP_TRY(negative_reactions(&s));
  DP_TRY(unlisted_modifiers(&s));
  DP_TRY(flux_findings(&s));
  DP_TRY(idle_species(&s));
  DP_TRY(blocks(&s));
  return idle_others(&s);
}
