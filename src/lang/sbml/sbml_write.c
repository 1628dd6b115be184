/* sbml_write.c - floor 3: a network as SBML Level 3 Version 2 (Version 1 where a reaction is `fast`).
 *
 * Invariants: 1. numbers read back with the same bits; 2. elements keep the order they have in the network; 3. what
 * can't be said is refused by name or, where no equation changes, left out and noted (dpi_net_note).
 */
#include <math.h>
#include <string.h>

#include "lang/sbml/sbml_impl.h"
#include "lang/sbml/sbml_write_impl.h"

/* ---------------------------------------------------------------- text */
/* Length of the UTF-8 sequence of a character that XML can carry at s, 0: none. */
static int xml_char(const char *s) {
  unsigned char c = (unsigned char)s[0];
  if (c < 128) return c >= 32 || c == '\t' || c == '\n' || c == '\r';
  int n = c >= 0xF0 && c < 0xF5 ? 4 : c >= 0xE0 ? 3 : c >= 0xC2 ? 2 : 0;
  if (c >= 0xF5) return 0;
  for (int k = 1; k < n; k++)
    if (((unsigned char)s[k] & 0xC0) != 0x80) return 0;
  unsigned char d = n ? (unsigned char)s[1] : 0;
  if ((c == 0xE0 && d < 0xA0) || (c == 0xED && d >= 0xA0) || (c == 0xF0 && d < 0x90) || (c == 0xF4 && d >= 0x90))
    return 0;
  if (c == 0xEF && d == 0xBF && (unsigned char)s[2] >= 0xBE) return 0;
  return n;
}

void dpi_xml_escape(dpi_str *out, const char *text) {
  for (const char *s = text; *s;) {
    int n = xml_char(s);
    if (*s == '&') dpi_str_add(out, "&amp;");
    else if (*s == '<') dpi_str_add(out, "&lt;");
    else if (*s == '>') dpi_str_add(out, "&gt;");
    else if (*s == '"') dpi_str_add(out, "&quot;");
    else if (*s == '\n' || *s == '\r' || *s == '\t') dpi_str_addf(out, "&#%d;", *s);
    else if (n > 0) dpi_str_addn(out, s, (size_t)n);
    s += n > 0 ? n : 1;
  }
}

static void close_start(dpi_sbmlw *w) {
  if (w->open) dpi_str_add(w->out, ">\n");
  w->open = false;
}

void dpi_xml_start(dpi_sbmlw *w, const char *element) {
  close_start(w);
  dpi_str_addf(w->out, "%*s<%s", 2 * w->depth++, "", element);
  w->open = true;
}

void dpi_xml_end(dpi_sbmlw *w, const char *element) {
  w->depth--;
  if (w->open) dpi_str_add(w->out, "/>\n");
  else dpi_str_addf(w->out, "%*s</%s>\n", 2 * w->depth, "", element);
  w->open = false;
}

void dpi_xml_attr(dpi_sbmlw *w, const char *name, const char *value) {
  if (value[0] == '\0') return;
  dpi_str_addf(w->out, " %s=\"", name);
  dpi_xml_escape(w->out, value);
  dpi_str_add(w->out, "\"");
}

void dpi_xml_attr_bool(dpi_sbmlw *w, const char *name, bool value) { dpi_xml_attr(w, name, value ? "true" : "false"); }

void dpi_xml_attr_number(dpi_sbmlw *w, const char *name, double value) {
  char text[32];
  if (isnan(value)) return;
  dpi_format_double(value, text);
  dpi_xml_attr(w, name, isinf(value) ? value > 0 ? "INF" : "-INF" : text);
}

void dpi_xml_leaf(dpi_sbmlw *w, const char *element, const char *text) {
  dpi_xml_start(w, element);
  dpi_str_add(w->out, "> ");
  dpi_xml_escape(w->out, text);
  dpi_str_addf(w->out, " </%s>\n", element);
  w->open = false;
  w->depth--;
}

void dpi_xml_raw(dpi_sbmlw *w, const char *line) {
  close_start(w);
  dpi_str_addf(w->out, "%*s%s\n", 2 * w->depth, "", line);
}

/* ---------------------------------------------------------------- what every element has */
/* The tag with id and name; a renamed element keeps its old id as name when it has none. */
static void start_element(dpi_sbmlw *w, const char *tag, const char *id, const char *name) {
  dpi_xml_start(w, tag);
  const char *own = id[0] ? dpi_sbmlw_id(w, id) : "";
  dpi_sbmlw_base(w, id);
  dpi_xml_attr(w, "id", own);
  dpi_xml_attr(w, "name", name[0] || strcmp(own, id) == 0 ? name : id);
}

/* listOf... with its first element */
static void start_list(dpi_sbmlw *w, const char *list, bool *started) {
  if (!*started) dpi_xml_start(w, list);
  *started = true;
}

static void end_list(dpi_sbmlw *w, const char *list, bool started) {
  if (started) dpi_xml_end(w, list);
}

/* Version 1 has no element without mathematics; such an element says nothing */
static bool writable(const dpi_sbmlw *w, const dpi_ast *math) { return math || w->version > 1; }

/* ---------------------------------------------------------------- definitions */
static void write_functions(dpi_sbmlw *w) {
  bool started = false;
  for (int i = 0; i < w->net->nfunction; i++) {
    const dpi_net_function *f = &w->net->function[i];
    if (!writable(w, f->body)) continue;
    start_list(w, "listOfFunctionDefinitions", &started);
    start_element(w, "functionDefinition", f->id, f->name);
    dpi_sbmlw_details(w, f->id);
    dpi_sbmlw_lambda(w, f);
    dpi_xml_end(w, "functionDefinition");
  }
  end_list(w, "listOfFunctionDefinitions", started);
}

static void write_unit_part(dpi_sbmlw *w, const char *kind, double exponent, int scale, double multiplier) {
  dpi_xml_start(w, "unit");
  dpi_xml_attr(w, "kind", kind);
  dpi_xml_attr_number(w, "exponent", exponent);
  dpi_xml_attr_number(w, "scale", scale);
  dpi_xml_attr_number(w, "multiplier", multiplier);
  dpi_xml_end(w, "unit");
}

/* The parts of a unit raised to a power; units made of other units are written out. */
static void write_unit_parts(dpi_sbmlw *w, const dpi_net_unit *u, double power) {
  for (int k = 0; k < u->npart; k++) {
    const dpi_net_unit_part *p = &u->part[k];
    const dpi_net_unit *inner = dpi_sbmlw_unit_of(w, p->kind);
    if (inner == NULL) {
      write_unit_part(w, dpi_sbmlw_unit(w, p->kind), power * p->exponent, p->scale, p->multiplier);
      continue;
    }
    if (p->multiplier != 1.0 || p->scale != 0)
      write_unit_part(w, "dimensionless", power * p->exponent, p->scale, p->multiplier);
    write_unit_parts(w, inner, power * p->exponent); /* ends: what is defined by itself is no unit, see names */
  }
}

static void write_unit(dpi_sbmlw *w, const dpi_net_unit *u) {
  dpi_xml_start(w, "unitDefinition");
  dpi_xml_attr(w, "id", dpi_sbmlw_unit(w, u->id));
  dpi_xml_attr(w, "name", u->name);
  if (u->npart > 0) dpi_xml_start(w, "listOfUnits");
  write_unit_parts(w, u, 1.0);
  if (u->npart > 0) dpi_xml_end(w, "listOfUnits");
  dpi_xml_end(w, "unitDefinition");
}

static void write_units(dpi_sbmlw *w) {
  bool started = w->define_area;
  if (started) dpi_xml_start(w, "listOfUnitDefinitions");
  if (w->define_area)
    write_unit(w, &(dpi_net_unit){.id = "area", .name = "", .npart = 1,
                                  .part = &(dpi_net_unit_part){.kind = "metre", .exponent = 2, .multiplier = 1}});
  for (int i = 0; i < w->net->nunit; i++) {
    if (!dpi_sbmlw_unit_is_good(w, &w->net->unit[i])) continue;
    start_list(w, "listOfUnitDefinitions", &started);
    write_unit(w, &w->net->unit[i]);
  }
  end_list(w, "listOfUnitDefinitions", started);
}

/* Level 1 has no word for constant: what an algebraic rule names may be what it determines. */
static bool may_vary(const dpi_net *net, const char *id) {
  if (net->level != 1) return false;
  for (int i = 0; i < net->nrule; i++)
    if (net->rule[i].kind == DPI_RULE_ALGEBRAIC && dpi_ast_uses(net->rule[i].math, id)) return true;
  return false;
}

static void write_compartments(dpi_sbmlw *w) {
  const dpi_net *net = w->net;
  if (net->ncompartment == 0 && !w->default_compartment[0]) return;
  dpi_xml_start(w, "listOfCompartments");
  for (int i = 0; i < net->ncompartment; i++) {
    const dpi_net_compartment *c = &net->compartment[i];
    start_element(w, "compartment", c->id, c->name);
    dpi_xml_attr_number(w, "spatialDimensions", c->dimensions);
    dpi_xml_attr_number(w, "size", c->size);
    dpi_xml_attr(w, "units", dpi_sbmlw_unit(w, c->unit));
    dpi_xml_attr_bool(w, "constant", c->constant && !may_vary(net, c->id));
    dpi_sbmlw_details(w, c->id);
    dpi_xml_end(w, "compartment");
  }
  if (w->default_compartment[0]) {
    dpi_xml_start(w, "compartment");
    dpi_xml_attr(w, "id", w->default_compartment);
    dpi_xml_attr_number(w, "spatialDimensions", 3.0);
    dpi_xml_attr_number(w, "size", 1.0);
    dpi_xml_attr_bool(w, "constant", true);
    dpi_xml_end(w, "compartment");
  }
  dpi_xml_end(w, "listOfCompartments");
}

static void write_species(dpi_sbmlw *w) {
  const dpi_net *net = w->net;
  if (net->nspecies == 0) return;
  dpi_xml_start(w, "listOfSpecies");
  for (int i = 0; i < net->nspecies; i++) {
    const dpi_net_species *s = &net->species[i];
    start_element(w, "species", s->id, s->name);
    dpi_xml_attr(w, "compartment", s->compartment[0] ? dpi_sbmlw_id(w, s->compartment) : w->default_compartment);
    dpi_xml_attr_number(w, "initialAmount", s->amount);
    if (isnan(s->amount)) dpi_xml_attr_number(w, "initialConcentration", s->concentration);
    dpi_xml_attr(w, "substanceUnits", dpi_sbmlw_unit(w, s->substance_unit));
    dpi_xml_attr_bool(w, "hasOnlySubstanceUnits", s->only_substance);
    dpi_xml_attr_bool(w, "boundaryCondition", s->boundary);
    dpi_xml_attr_bool(w, "constant", s->constant);
    dpi_xml_attr(w, "conversionFactor", dpi_sbmlw_id(w, s->conversion));
    dpi_sbmlw_flux_species(w, s);
    dpi_sbmlw_details(w, s->id);
    dpi_xml_end(w, "species");
  }
  dpi_xml_end(w, "listOfSpecies");
}

static void write_parameter(dpi_sbmlw *w, const dpi_net_parameter *p, bool local) {
  const char *tag = local ? "localParameter" : "parameter";
  if (local) { /* no annotations: they are found by id, and a local id may be that of something else */
    dpi_xml_start(w, tag);
    dpi_xml_attr(w, "id", dpi_sbmlw_id(w, p->id));
    dpi_xml_attr(w, "name", p->name);
  } else {
    start_element(w, tag, p->id, p->name);
  }
  dpi_xml_attr_number(w, "value", p->value);
  dpi_xml_attr(w, "units", dpi_sbmlw_unit(w, p->unit));
  if (!local) {
    dpi_xml_attr_bool(w, "constant", p->constant && !may_vary(w->net, p->id));
    dpi_sbmlw_details(w, p->id);
  }
  dpi_xml_end(w, tag);
}

static void write_parameters(dpi_sbmlw *w) {
  if (w->net->nparameter == 0) return;
  dpi_xml_start(w, "listOfParameters");
  for (int i = 0; i < w->net->nparameter; i++) write_parameter(w, &w->net->parameter[i], false);
  dpi_xml_end(w, "listOfParameters");
}

/* ---------------------------------------------------------------- rules */
static void write_initial(dpi_sbmlw *w) {
  bool started = false;
  for (int i = 0; i < w->net->nrule; i++) {
    const dpi_net_rule *r = &w->net->rule[i];
    if (r->kind != DPI_RULE_INITIAL || !writable(w, r->math)) continue;
    start_list(w, "listOfInitialAssignments", &started);
    dpi_xml_start(w, "initialAssignment");
    dpi_xml_attr(w, "symbol", dpi_sbmlw_id(w, r->variable));
    dpi_sbmlw_math(w, r->math);
    dpi_xml_end(w, "initialAssignment");
  }
  end_list(w, "listOfInitialAssignments", started);
}

static void write_rule(dpi_sbmlw *w, dpi_net_rule_kind kind, const char *variable, const dpi_ast *math) {
  const char *tag = kind == DPI_RULE_ASSIGNMENT ? "assignmentRule"
                    : kind == DPI_RULE_RATE     ? "rateRule"
                                                : "algebraicRule";
  dpi_xml_start(w, tag);
  if (kind != DPI_RULE_ALGEBRAIC) dpi_xml_attr(w, "variable", dpi_sbmlw_id(w, variable));
  dpi_sbmlw_math(w, math);
  dpi_xml_end(w, tag);
}

static const dpi_net_term *term_of(const dpi_net_reaction *r, int k) {
  return k < r->nreactant ? &r->reactant[k] : &r->product[k - r->nreactant];
}

/* Level 2's stoichiometryMath is a rule for the species reference; `name` finds the id given to it. */
static const char *term_id(const dpi_sbmlw *w, const dpi_net_reaction *r, int k) {
  const dpi_net_term *t = term_of(r, k);
  if (t->id[0] || t->math == NULL) return dpi_sbmlw_id(w, t->id);
  char key[64];
  snprintf(key, sizeof key, " term %td %d", r - w->net->reaction, k);
  return dpi_sbmlw_id(w, key);
}

static void write_rules(dpi_sbmlw *w) {
  const dpi_net *net = w->net;
  bool started = false;
  for (int i = 0; i < net->nrule; i++) {
    const dpi_net_rule *r = &net->rule[i];
    if (r->kind == DPI_RULE_INITIAL || !writable(w, r->math)) continue;
    start_list(w, "listOfRules", &started);
    write_rule(w, r->kind, r->variable, r->math);
  }
  for (int i = 0; i < net->nreaction; i++) {
    const dpi_net_reaction *r = &net->reaction[i];
    for (int k = 0; k < r->nreactant + r->nproduct; k++) {
      if (term_of(r, k)->math == NULL) continue;
      start_list(w, "listOfRules", &started);
      write_rule(w, DPI_RULE_ASSIGNMENT, term_id(w, r, k), term_of(r, k)->math);
    }
  }
  end_list(w, "listOfRules", started);
}

static void write_constraints(dpi_sbmlw *w) {
  bool started = false;
  for (int i = 0; i < w->net->nconstraint; i++) {
    const dpi_net_constraint *c = &w->net->constraint[i];
    if (!writable(w, c->math)) continue;
    start_list(w, "listOfConstraints", &started);
    dpi_xml_start(w, "constraint");
    if (w->version > 1) dpi_xml_attr(w, "id", dpi_sbmlw_id(w, c->id));
    dpi_sbmlw_math(w, c->math);
    if (c->message[0]) {
      dpi_xml_start(w, "message");
      dpi_sbmlw_paragraph(w, c->message);
      dpi_xml_end(w, "message");
    }
    dpi_xml_end(w, "constraint");
  }
  end_list(w, "listOfConstraints", started);
}

/* ---------------------------------------------------------------- reactions */
static void write_terms(dpi_sbmlw *w, const dpi_net_reaction *r, int from, int to, const char *list) {
  if (from == to) return;
  dpi_xml_start(w, list);
  for (int k = from; k < to; k++) {
    const dpi_net_term *t = term_of(r, k);
    dpi_xml_start(w, "speciesReference");
    if (t->id[0]) dpi_sbmlw_base(w, t->id);
    dpi_xml_attr(w, "id", term_id(w, r, k));
    dpi_xml_attr(w, "species", dpi_sbmlw_id(w, t->species));
    if (t->math == NULL) dpi_xml_attr_number(w, "stoichiometry", t->stoichiometry);
    dpi_xml_attr_bool(w, "constant", t->constant && t->math == NULL);
    if (t->id[0]) dpi_sbmlw_details(w, t->id);
    dpi_xml_end(w, "speciesReference");
  }
  dpi_xml_end(w, list);
}

/* species of the rate that are neither reactant nor product are modifiers, said or not */
typedef struct modifiers {
  dpi_sbmlw *w;
  const dpi_net_reaction *r;
  dpi_map seen; /* species that need no further mention */
  bool started;
} modifiers;

static dp_status add_modifier(modifiers *m, const char *species, const char *sbo) {
  int index;
  if (dpi_map_get(&m->seen, species) >= 0) return DP_OK;
  if (dpi_net_find(m->w->net, species, &index) != DPI_NET_SPECIES) return DP_OK;
  start_list(m->w, "listOfModifiers", &m->started);
  dpi_xml_start(m->w, "modifierSpeciesReference");
  dpi_xml_attr(m->w, "sboTerm", sbo);
  dpi_xml_attr(m->w, "species", dpi_sbmlw_id(m->w, species));
  dpi_xml_end(m->w, "modifierSpeciesReference");
  return dpi_map_put(&m->seen, species, 1);
}

static dp_status modifier_in(void *user, dpi_ast *a) {
  return a->op == DPI_AST_NAME ? add_modifier(user, a->name, "") : DP_OK;
}

/* Antimony's arrows: what does the species do to the reaction? */
static const char *arrow_sbo(const char *kind) {
  return strcmp(kind, "-o") == 0 ? "SBO:0000459" : strcmp(kind, "-|") == 0 ? "SBO:0000020" : "SBO:0000019";
}

static dp_status write_modifiers(dpi_sbmlw *w, const dpi_net_reaction *r) {
  modifiers m = {.w = w, .r = r};
  dpi_map_init(&m.seen, w->net->ctx);
  dp_status status = DP_OK;
  for (int i = 0; i < w->net->ninteraction && status == DP_OK; i++) {
    const dpi_net_interaction *x = &w->net->interaction[i];
    if (r->id[0] == '\0' || strcmp(x->target, r->id) != 0) continue;
    for (int k = 0; k < x->nsource && status == DP_OK; k++) status = add_modifier(&m, x->source[k], arrow_sbo(x->kind));
  }
  for (int k = 0; k < r->nmodifier && status == DP_OK; k++) status = add_modifier(&m, r->modifier[k], "");
  for (int k = 0; k < r->nreactant + r->nproduct && status == DP_OK; k++)
    status = dpi_map_put(&m.seen, term_of(r, k)->species, 1);
  for (int k = 0; k < r->nlocal && status == DP_OK; k++) status = dpi_map_put(&m.seen, r->local[k].id, 1);
  if (status == DP_OK) status = dpi_ast_walk(r->rate, modifier_in, &m);
  end_list(w, "listOfModifiers", m.started);
  dpi_map_release(&m.seen);
  return status;
}

static bool takes_part(const dpi_net_reaction *r, const char *id) {
  for (int k = 0; k < r->nreactant + r->nproduct; k++)
    if (strcmp(term_of(r, k)->species, id) == 0) return true;
  for (int k = 0; k < r->nmodifier; k++)
    if (strcmp(r->modifier[k], id) == 0) return true;
  return false;
}

/* Level 3 forbids a local parameter with the id of a species that takes part: it has another one in this law only. */
static void rename_local(dpi_sbmlw *w, const dpi_net_reaction *r, const char *id) {
  const char *wish = dpi_arena_printf(&w->arena, "%s_local", id);
  if (wish == NULL) w->status = DP_ERR_MEMORY;
  if (wish == NULL) return;
  dpi_sbmlw_name(w, id, wish);
  dpi_net_note(w->net,
               "the local parameter '%s' of reaction '%s' is called '%s': a species of the reaction has that id", id,
               r->id, dpi_sbmlw_id(w, id));
}

static void write_locals(dpi_sbmlw *w, const dpi_net_reaction *r) {
  if (r->nlocal == 0) return;
  dpi_xml_start(w, "listOfLocalParameters");
  for (int k = 0; k < r->nlocal; k++) write_parameter(w, &r->local[k], true);
  dpi_xml_end(w, "listOfLocalParameters");
}

static void write_law(dpi_sbmlw *w, const dpi_net_reaction *r) {
  if (r->rate == NULL && (!r->has_rate || w->version == 1)) return;
  const char **outside = DPI_ARENA_ARRAY(&w->arena, const char *, r->nlocal + 1); /* what local ids mean elsewhere */
  if (outside == NULL) w->status = DP_ERR_MEMORY;
  for (int k = 0; outside && k < r->nlocal; k++) {
    if (!takes_part(r, r->local[k].id)) continue;
    outside[k] = dpi_sbmlw_id(w, r->local[k].id);
    rename_local(w, r, r->local[k].id);
  }
  dpi_xml_start(w, "kineticLaw");
  w->law = r;
  dpi_sbmlw_math(w, r->rate);
  w->law = NULL;
  write_locals(w, r);
  dpi_xml_end(w, "kineticLaw");
  for (int k = 0; outside && k < r->nlocal; k++)
    if (outside[k]) dpi_sbmlw_restore(w, r->local[k].id, outside[k]);
}

static dp_status write_reaction(dpi_sbmlw *w, const dpi_net_reaction *r) {
  start_element(w, "reaction", r->id, r->name);
  dpi_xml_attr_bool(w, "reversible", r->reversible);
  if (w->version == 1) dpi_xml_attr_bool(w, "fast", r->fast);
  dpi_xml_attr(w, "compartment", dpi_sbmlw_id(w, r->compartment));
  if (w->net->flux) {
    dpi_xml_attr(w, "fbc:lowerFluxBound", dpi_sbmlw_id(w, r->lower));
    dpi_xml_attr(w, "fbc:upperFluxBound", dpi_sbmlw_id(w, r->upper));
  }
  dpi_sbmlw_details(w, r->id);
  write_terms(w, r, 0, r->nreactant, "listOfReactants");
  write_terms(w, r, r->nreactant, r->nreactant + r->nproduct, "listOfProducts");
  DP_TRY(write_modifiers(w, r));
  write_law(w, r);
  dpi_xml_end(w, "reaction");
  return DP_OK;
}

static dp_status write_reactions(dpi_sbmlw *w) {
  if (w->net->nreaction == 0) return DP_OK;
  dpi_xml_start(w, "listOfReactions");
  for (int i = 0; i < w->net->nreaction; i++) DP_TRY(write_reaction(w, &w->net->reaction[i]));
  dpi_xml_end(w, "listOfReactions");
  return DP_OK;
}

/* ---------------------------------------------------------------- events */
static void write_part(dpi_sbmlw *w, const char *tag, const dpi_ast *math) {
  if (math == NULL) return;
  dpi_xml_start(w, tag);
  dpi_sbmlw_math(w, math);
  dpi_xml_end(w, tag);
}

static void write_event(dpi_sbmlw *w, const dpi_net_event *e) {
  start_element(w, "event", e->id, e->name);
  dpi_xml_attr_bool(w, "useValuesFromTriggerTime", e->from_trigger);
  dpi_sbmlw_details(w, e->id);
  dpi_xml_start(w, "trigger");
  dpi_xml_attr_bool(w, "initialValue", e->initial_value);
  dpi_xml_attr_bool(w, "persistent", e->persistent);
  dpi_sbmlw_math(w, e->trigger);
  dpi_xml_end(w, "trigger");
  write_part(w, "priority", e->priority);
  write_part(w, "delay", e->delay);
  bool started = false;
  for (int k = 0; k < e->nassign; k++) {
    if (!writable(w, e->assign[k].math)) continue;
    start_list(w, "listOfEventAssignments", &started);
    dpi_xml_start(w, "eventAssignment");
    dpi_xml_attr(w, "variable", dpi_sbmlw_id(w, e->assign[k].variable));
    dpi_sbmlw_math(w, e->assign[k].math);
    dpi_xml_end(w, "eventAssignment");
  }
  end_list(w, "listOfEventAssignments", started);
  dpi_xml_end(w, "event");
}

static void write_events(dpi_sbmlw *w) {
  bool started = false;
  for (int i = 0; i < w->net->nevent; i++) {
    if (!writable(w, w->net->event[i].trigger)) continue;
    start_list(w, "listOfEvents", &started);
    write_event(w, &w->net->event[i]);
  }
  end_list(w, "listOfEvents", started);
}

/* ---------------------------------------------------------------- the document */
static void write_head(dpi_sbmlw *w) {
  dpi_str_add(w->out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
  dpi_xml_start(w, "sbml");
  dpi_xml_attr(w, "xmlns", dpi_sbmlw_core_uri(w));
  if (w->net->flux) dpi_xml_attr(w, "xmlns:fbc", "http://www.sbml.org/sbml/level3/version1/fbc/version2");
  if (w->draws) dpi_xml_attr(w, "xmlns:distrib", "http://www.sbml.org/sbml/level3/version1/distrib/version1");
  if (w->extended)
    dpi_xml_attr(w, "xmlns:l3v2extendedmath", "http://www.sbml.org/sbml/level3/version1/l3v2extendedmath/version1");
  dpi_xml_attr_number(w, "level", 3);
  dpi_xml_attr_number(w, "version", w->version);
  if (w->net->flux) dpi_xml_attr_bool(w, "fbc:required", false);
  if (w->draws) dpi_xml_attr_bool(w, "distrib:required", true);
  if (w->extended) dpi_xml_attr_bool(w, "l3v2extendedmath:required", true);
}

static void start_model(dpi_sbmlw *w) {
  const dpi_net *net = w->net;
  dpi_xml_start(w, "model");
  dpi_sbmlw_base(w, "");
  dpi_xml_attr(w, "id", w->model_id);
  dpi_xml_attr(w, "name", net->name[0] || strcmp(w->model_id, net->id) == 0 ? net->name : net->id);
  dpi_xml_attr(w, "substanceUnits", dpi_sbmlw_model_unit(w, net->substance_unit, "substance"));
  dpi_xml_attr(w, "timeUnits", dpi_sbmlw_model_unit(w, net->time_unit, "time"));
  dpi_xml_attr(w, "volumeUnits", dpi_sbmlw_model_unit(w, net->volume_unit, "volume"));
  dpi_xml_attr(w, "areaUnits", dpi_sbmlw_model_unit(w, net->area_unit, "area"));
  dpi_xml_attr(w, "lengthUnits", dpi_sbmlw_model_unit(w, net->length_unit, "length"));
  dpi_xml_attr(w, "extentUnits", dpi_sbmlw_model_unit(w, net->extent_unit, "substance"));
  dpi_xml_attr(w, "conversionFactor", dpi_sbmlw_id(w, net->conversion));
  if (net->flux) dpi_xml_attr_bool(w, "fbc:strict", net->strict);
  dpi_sbmlw_details(w, "");
}

static dp_status write_document(dpi_sbmlw *w) {
  write_head(w);
  start_model(w);
  write_functions(w);
  write_units(w);
  write_compartments(w);
  write_species(w);
  write_parameters(w);
  write_initial(w);
  write_rules(w);
  write_constraints(w);
  DP_TRY(write_reactions(w));
  write_events(w);
  dpi_sbmlw_objectives(w);
  dpi_xml_end(w, "model");
  dpi_xml_end(w, "sbml");
  if (w->status == DP_OK && w->out->failed) return DP_ERR_MEMORY;
  return w->status;
}

/* ids for the species references that rules will be about */
static dp_status name_terms(dpi_sbmlw *w) {
  const dpi_net *net = w->net;
  for (int i = 0; i < net->nreaction; i++) {
    const dpi_net_reaction *r = &net->reaction[i];
    for (int k = 0; k < r->nreactant + r->nproduct; k++) {
      const dpi_net_term *t = term_of(r, k);
      if (t->math == NULL || t->id[0]) continue;
      char key[64];
      snprintf(key, sizeof key, " term %d %d", i, k);
      const char *wish = dpi_arena_printf(&w->arena, "%s_%s_stoichiometry", r->id, t->species);
      if (wish == NULL) return DP_ERR_MEMORY;
      dpi_sbmlw_name(w, key, wish);
    }
  }
  return w->status;
}

static dp_status plan(dpi_sbmlw *w) {
  const dpi_net *net = w->net;
  w->version = 2;
  for (int i = 0; i < net->nreaction; i++)
    if (net->reaction[i].fast) w->version = 1;
  dpi_sbmlw_math_needs(w);
  DP_TRY(dpi_sbmlw_names(w));
  DP_TRY(name_terms(w));
  return dpi_sbmlw_index_annotations(w);
}

dp_status dpi_sbml_write(const dpi_net *net, dpi_str *out) {
  dpi_sbmlw w = {.net = net, .out = out};
  dpi_arena_init(&w.arena, net->ctx);
  dpi_sbmlw_names_init(&w);
  dp_status status = plan(&w);
  if (status == DP_OK) status = write_document(&w);
  dpi_sbmlw_left_out(&w);
  dpi_sbmlw_names_release(&w);
  dpi_arena_release(&w.arena);
  return status;
}
