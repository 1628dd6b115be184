/* lower_species.c - floor 3: species and reactions.
 *
 * A species stands for its concentration in its compartment, or for its amount (only_substance, a compartment
 * without dimensions). What carries it (base) is a state or a parameter:
 *
 *     its own symbol    where it is an amount, where a rule gives it, or where the volume can't change:
 *                       d[S]/dt = (sum of stoichiometry * rate) * factor / V
 *     amount(S)         where the volume may change: d amount(S)/dt = (sum) * factor, S = amount(S) / V
 *
 * An event that changes the volume leaves the amount as it is: there the amount is the state even where a rule gives
 * the rate of the concentration, d amount(S)/dt = rate * V + S * V'. An event that sets the concentration to a value
 * from before its delay is right with the concentration as the state only: d[S]/dt = (...) - S * V' / V, where V
 * changes by a rate.
 *
 * The other ones of S, amount(S) and concentration(S) follow by assignment. Without a compartment V is 1.
 *
 * Fast reactions are in equilibrium at all times beside the others: they run DPI_FAST_SPEED times faster than
 * written. Where they come to rest is found before the start (dpi_solver_settle), so that the first values are those
 * of the equilibrium.
 */
#include <math.h>
#include <string.h>

#include "lang/network/lower_impl.h"

static dpi_node sym_node(dpi_lower *l, int sym) { return dpi_g_sym(l->g, sym); }

/* ---- what carries a species ---- */
static dp_status find_home(dpi_lower *l, const dpi_net_species *s, dpi_lower_species *x,
                           int *compartment) {
  *compartment = -1;
  x->home = -1;
  if (s->compartment[0] == '\0') {
    x->volume = dpi_g_const(l->g, 1.0);
    return x->volume == DPI_NODE_NONE ? DP_ERR_MEMORY : DP_OK;
  }
  if (dpi_net_find(l->net, s->compartment, compartment) != DPI_NET_COMPARTMENT)
    return dpi_lower_fail(l, DP_ERR_INPUT, s->line,
                          "species '%s' lies in '%s', which is not a compartment", s->id,
                          s->compartment);
  x->home = dpi_model_find(l->m, s->compartment);
  x->volume = sym_node(l, x->home);
  return x->volume == DPI_NODE_NONE ? DP_ERR_MEMORY : DP_OK;
}

static dp_status find_factor(dpi_lower *l, const dpi_net_species *s, dpi_lower_species *x) {
  int index;
  const char *id = s->conversion[0] ? s->conversion : l->net->conversion;
  if (id[0] == '\0') {
    x->factor = dpi_g_const(l->g, 1.0);
    return x->factor == DPI_NODE_NONE ? DP_ERR_MEMORY : DP_OK;
  }
  if (dpi_net_find(l->net, id, &index) != DPI_NET_PARAMETER)
    return dpi_lower_fail(l, DP_ERR_INPUT, s->line,
                          "the conversion factor '%s' of species '%s' is not a parameter", id,
                          s->id);
  x->factor = sym_node(l, dpi_model_find(l->m, id));
  return x->factor == DPI_NODE_NONE ? DP_ERR_MEMORY : DP_OK;
}

static dp_status make_symbol(dpi_lower *l, const char *what, const dpi_net_species *s, int *sym) {
  const char *id = dpi_arena_printf(&l->m->arena, "%s(%s)", what, s->id);
  return id == NULL ? DP_ERR_MEMORY : dpi_model_declare(l->m, id, s->line, sym);
}

static void choose_base(dpi_lower *l, dpi_lower_species *x, bool varies) {
  const dpi_lower_mark *mark = &l->mark[x->sym], *volume = x->home >= 0 ? &l->mark[x->home] : NULL;
  bool feels = volume != NULL && !x->as_amount;
  x->base = x->sym;
  x->late = mark->late;
  if (feels) x->per = x->volume;
  if (!feels || !varies || mark->by == DPI_BY_ASSIGNMENT) return;
  if (mark->by == DPI_BY_RATE) {
    if (volume->set) x->base = x->amount;
    return;
  }
  x->dilutes = x->late && volume->by == DPI_BY_RATE && !volume->set;
  if (!x->dilutes) {
    x->base = x->amount;
    x->per = DPI_NODE_NONE;
  }
}

static dp_status find_species(dpi_lower *l, int i) {
  const dpi_net_species *s = &l->net->species[i];
  dpi_lower_species *x = &l->species[i];
  int compartment;
  x->sym = dpi_model_find(l->m, s->id);
  x->line = s->line;
  x->seen = -1;
  x->sum = x->per = DPI_NODE_NONE;
  DP_TRY(find_home(l, s, x, &compartment));
  DP_TRY(find_factor(l, s, x));
  DP_TRY(make_symbol(l, "amount", s, &x->amount));
  DP_TRY(make_symbol(l, "concentration", s, &x->concentration));
  x->as_amount =
      s->only_substance || (compartment >= 0 && l->net->compartment[compartment].dimensions == 0.0);
  choose_base(l, x, compartment >= 0 && l->varies[compartment]);
  return DP_OK;
}

static dp_status mark_term(dpi_lower *l, const dpi_net_reaction *r, const dpi_net_term *t) {
  int index;
  if (dpi_net_find(l->net, t->species, &index) != DPI_NET_SPECIES)
    return dpi_lower_fail(l, DP_ERR_INPUT, t->line > 0 ? t->line : r->line,
                          "reaction '%s' changes '%s', which is not a species", r->id, t->species);
  const dpi_net_species *s = &l->net->species[index];
  if (s->boundary || s->constant) return DP_OK;
  l->species[index].moves = true;
  if (l->mark[l->species[index].sym].by != DPI_FREE_HAND)
    return dpi_lower_fail(
        l, DP_ERR_INPUT, s->line,
        "'%s' has a rule beside its reactions, expected a boundary species or one of them", s->id);
  return DP_OK;
}

dp_status dpi_lower_species_find(dpi_lower *l) {
  for (int i = 0; i < l->net->nspecies; i++) DP_TRY(find_species(l, i));
  for (int i = 0; i < l->net->nreaction; i++) {
    const dpi_net_reaction *r = &l->net->reaction[i];
    for (int k = 0; k < r->nreactant; k++) DP_TRY(mark_term(l, r, &r->reactant[k]));
    for (int k = 0; k < r->nproduct; k++) DP_TRY(mark_term(l, r, &r->product[k]));
  }
  return DP_OK;
}

/* ---- values at the start ---- */
/* What the base is at the start: a number or an expression, or neither. */
static dp_status find_start(dpi_lower *l, const dpi_net_species *s, const dpi_lower_species *x,
                            dpi_symbol *base) {
  bool by_amount = x->base == x->amount || x->as_amount; /* the base is an amount */
  dpi_node given = l->mark[x->sym].init;
  bool has_amount = s->amount == s->amount,
       has_concentration = s->concentration == s->concentration;
  base->value = NAN;
  base->init = given;
  dpi_op op = DPI_OP_MUL; /* how the volume enters */
  if (given == DPI_NODE_NONE && !has_amount && !has_concentration) return DP_OK;
  if (given != DPI_NODE_NONE && x->base != x->amount) return DP_OK;
  if (given == DPI_NODE_NONE) {
    double number = has_amount ? s->amount : s->concentration;
    if (x->home < 0 || by_amount == has_amount) {
      base->value = number;
      return DP_OK;
    }
    given = dpi_g_const(l->g, number);
    if (has_amount) op = DPI_OP_DIV;
  }
  base->init = dpi_g_op2(l->g, op, given, x->volume);
  return base->init == DPI_NODE_NONE ? DP_ERR_MEMORY : DP_OK;
}

/* no size and nothing that gives one: what needs it is undefined */
static bool no_volume(const dpi_lower *l, const dpi_lower_species *x) {
  if (x->home < 0) return false;
  const dpi_symbol *v = &l->m->sym[x->home];
  return v->kind == DPI_SYM_PARAM && v->value != v->value && v->init == DPI_NODE_NONE && !v->free &&
         l->net->level > 0;
}

static dp_status follow(dpi_lower *l, const dpi_lower_species *x) {
  dpi_node own = sym_node(l, x->sym), amount = sym_node(l, x->amount), v = x->volume;
  if (no_volume(l, x)) v = dpi_g_const(l->g, NAN);
  if (x->base == x->amount) {
    DP_TRY(dpi_lower_assigned(l, x->sym, dpi_g_op2(l->g, DPI_OP_DIV, amount, v)));
    return dpi_lower_assigned(l, x->concentration, own);
  }
  DP_TRY(
      dpi_lower_assigned(l, x->amount, x->as_amount ? own : dpi_g_op2(l->g, DPI_OP_MUL, own, v)));
  return dpi_lower_assigned(l, x->concentration,
                            x->as_amount ? dpi_g_op2(l->g, DPI_OP_DIV, own, v) : own);
}

/* rate of change of the volume */
static dp_status volume_rate(dpi_lower *l, const dpi_lower_species *x, dpi_node *out) {
  const dpi_symbol *v = &l->m->sym[x->home];
  int sym;
  *out = l->mark[x->home].by == DPI_BY_RATE ? v->formula : dpi_g_const(l->g, 0.0);
  if (!v->free) return DP_OK;
  const char *id = dpi_arena_printf(&l->m->arena, "rateOf(%s)", v->id);
  if (id == NULL) return DP_ERR_MEMORY;
  DP_TRY(dpi_model_declare(l->m, id, v->line, &sym));
  l->m->sym[sym].kind = DPI_SYM_RATEOF;
  l->m->sym[sym].target = x->home;
  *out = sym_node(l, sym);
  return DP_OK;
}

/* a rule gives the concentration's rate, the amount is the state */
static dp_status rate_of_amount(dpi_lower *l, const dpi_lower_species *x, dpi_node rule) {
  dpi_graph *g = l->g;
  dpi_node change;
  DP_TRY(volume_rate(l, x, &change));
  dpi_node grows = dpi_g_op2(g, DPI_OP_MUL, sym_node(l, x->sym), change);
  return dpi_lower_state(
      l, x->base, dpi_g_op2(g, DPI_OP_ADD, dpi_g_op2(g, DPI_OP_MUL, rule, x->volume), grows));
}

/* Units as far as they are said. In Antimony the unit of a species is that of its id. */
static dp_status name_units(dpi_lower *l, const dpi_net_species *s, const dpi_lower_species *x) {
  const dpi_net *net = l->net;
  dpi_symbol *sym = l->m->sym;
  const char *volume = x->home >= 0 ? sym[x->home].unit : "", *concentration = "";
  const char *substance = s->substance_unit[0] ? s->substance_unit : net->substance_unit;
  if (volume[0] == '\0') volume = net->volume_unit;
  if (net->level == 0) {
    sym[x->sym].unit = s->substance_unit;
    return DP_OK;
  }
  if (substance[0] && volume[0])
    concentration = dpi_arena_printf(&l->m->arena, "%s/%s", substance, volume);
  if (concentration == NULL) return DP_ERR_MEMORY;
  sym[x->amount].unit = substance;
  sym[x->concentration].unit = concentration;
  sym[x->sym].unit = x->as_amount ? substance : concentration;
  return DP_OK;
}

static dp_status make_species(dpi_lower *l, int i) {
  const dpi_net_species *s = &l->net->species[i];
  const dpi_lower_species *x = &l->species[i];
  DP_TRY(name_units(l, s, x));
  const dpi_lower_mark *mark = &l->mark[x->sym];
  dpi_symbol *base = &l->m->sym[x->base];
  dpi_node rule = l->m->sym[x->sym].formula;
  DP_TRY(follow(l, x));
  if (mark->by == DPI_BY_ASSIGNMENT) return dpi_lower_assigned(l, x->sym, rule);
  DP_TRY(find_start(l, s, x, base));
  if (mark->by == DPI_BY_RATE && x->base == x->amount) return rate_of_amount(l, x, rule);
  if (mark->by == DPI_BY_RATE) return dpi_lower_state(l, x->sym, rule);
  base->free = l->algebraic && !mark->constant && !mark->empty && !x->moves;
  return DP_OK;
}

dp_status dpi_lower_species_make(dpi_lower *l) {
  for (int i = 0; i < l->net->nspecies; i++) DP_TRY(make_species(l, i));
  return DP_OK;
}

/* ---- reactions ---- */
static dp_status add_to_sum(dpi_lower *l, dpi_lower_species *x, bool product, dpi_node stoich,
                            dpi_node rate) {
  dpi_graph *g = l->g;
  dpi_node flow = dpi_g_op2(g, DPI_OP_MUL, stoich, rate);
  if (!x->has_sum)
    x->sum = product ? flow : dpi_g_op1(g, DPI_OP_NEG, flow);
  else
    x->sum = dpi_g_op2(g, product ? DPI_OP_ADD : DPI_OP_SUB, x->sum, flow);
  x->has_sum = true;
  return x->sum == DPI_NODE_NONE ? DP_ERR_MEMORY : DP_OK;
}

/* a sum of stoichiometries, or of stoichiometries times rates, as a change of the base */
static dpi_node per_base(dpi_lower *l, const dpi_lower_species *x, dpi_node sum) {
  dpi_node n = dpi_g_op2(l->g, DPI_OP_MUL, sum, x->factor);
  return x->per == DPI_NODE_NONE ? n : dpi_g_op2(l->g, DPI_OP_DIV, n, x->per);
}

/* one change for each species of a reaction, though it may stand on both sides */
static dp_status add_change(dpi_lower *l, int reaction, dpi_lower_species *x, bool product,
                            dpi_node stoich) {
  if (x->seen == reaction) {
    dpi_node *by = &l->change[x->place].by;
    *by = dpi_g_op2(l->g, product ? DPI_OP_ADD : DPI_OP_SUB, *by, stoich);
    return *by == DPI_NODE_NONE ? DP_ERR_MEMORY : DP_OK;
  }
  x->seen = reaction;
  x->place = l->nchange;
  DP_TRY(dpi_grow(l->ctx, (void **)&l->change, &l->cap_change, l->nchange + 1, sizeof *l->change));
  l->change[l->nchange++] =
      (dpi_change){(int)(x - l->species), product ? stoich : dpi_g_op1(l->g, DPI_OP_NEG, stoich)};
  return DP_OK;
}

static dp_status lower_term(dpi_lower *l, int reaction, const dpi_net_term *t, bool product,
                            dpi_node rate) {
  int index;
  dpi_node stoich;
  (void)dpi_net_find(l->net, t->species, &index);
  const dpi_net_species *s = &l->net->species[index];
  dpi_lower_species *x = &l->species[index];
  if (s->boundary || s->constant) return DP_OK;
  DP_TRY(dpi_lower_stoichiometry(l, t, &stoich));
  DP_TRY(add_to_sum(l, x, product, stoich, rate));
  DP_TRY(add_change(l, reaction, x, product, stoich));
  if (product) return DP_OK;
  DP_TRY(dpi_grow(l->ctx, (void **)&l->order, &l->cap_order, l->norder + 1, sizeof *l->order));
  l->order[l->norder++] = (dpi_change){x->base, stoich};
  return DP_OK;
}

static dp_status add_reaction(dpi_lower *l, const dpi_net_reaction *r, int sym) {
  for (int k = 0; k < l->nchange; k++) {
    const dpi_lower_species *x = &l->species[l->change[k].state];
    l->change[k] = (dpi_change){x->base, per_base(l, x, l->change[k].by)};
    if (l->change[k].by == DPI_NODE_NONE) return DP_ERR_MEMORY;
  }
  dpi_model_reaction made = {.id = r->id,
                             .sym = sym,
                             .rate = sym_node(l, sym),
                             .reversible = r->reversible,
                             .fast = r->fast,
                             .nchange = l->nchange,
                             .change = l->change,
                             .norder = l->norder,
                             .order = l->order,
                             .line = r->line};
  return dpi_model_add_reaction(l->m, &made);
}

static dp_status lower_rate(dpi_lower *l, const dpi_net_reaction *r, int sym) {
  dpi_node rate;
  dpi_lower_at(l, r->line, "the rate of reaction", r->id);
  l->scope.reaction = r;
  DP_TRY(dpi_lower_math(l, r->rate, &rate));
  l->scope.reaction = NULL;
  return dpi_lower_assigned(l, sym, rate);
}

/* Where no rate stands its symbol has no value (flux balance does without: there nothing moves). */
static dp_status lower_reaction(dpi_lower *l, int i) {
  const dpi_net_reaction *r = &l->net->reaction[i];
  int sym = dpi_model_find(l->m, r->id);
  if (r->rate == NULL && (r->has_rate || l->net->flux)) return DP_OK;
  if (r->rate == NULL)
    l->m->sym[sym].unrated = true;
  else
    DP_TRY(lower_rate(l, r, sym));
  dpi_node rate = sym_node(l, sym);
  if (r->fast)
    rate = dpi_g_op2(l->g, DPI_OP_MUL, sym_node(l, dpi_model_find(l->m, DPI_FAST_SPEED)), rate);
  l->nchange = l->norder = 0;
  for (int k = 0; k < r->nreactant; k++) DP_TRY(lower_term(l, i, &r->reactant[k], false, rate));
  for (int k = 0; k < r->nproduct; k++) DP_TRY(lower_term(l, i, &r->product[k], true, rate));
  return add_reaction(l, r, sym);
}

static dp_status finish_species(dpi_lower *l, const dpi_lower_species *x) {
  dpi_graph *g = l->g;
  if (!x->has_sum && !x->dilutes) return DP_OK;
  dpi_node rate = x->has_sum ? per_base(l, x, x->sum) : dpi_g_const(g, 0.0), change;
  if (x->dilutes) {
    DP_TRY(volume_rate(l, x, &change));
    change =
        dpi_g_op2(g, DPI_OP_DIV, dpi_g_op2(g, DPI_OP_MUL, sym_node(l, x->sym), change), x->volume);
    rate = dpi_g_op2(g, DPI_OP_SUB, rate, change);
  }
  return dpi_lower_state(l, x->base, rate);
}

dp_status dpi_lower_reactions(dpi_lower *l) {
  for (int i = 0; i < l->net->nreaction; i++) DP_TRY(lower_reaction(l, i));
  for (int i = 0; i < l->net->nspecies; i++) DP_TRY(finish_species(l, &l->species[i]));
  return DP_OK;
}
