/* sbml_read_reaction.c - floor 3: reactions, rules and events of a flat libSBML model -> dpi_net. */
#include <math.h>
#include <string.h>

#include "lang/sbml/sbml_impl.h"

static const char *id_of(const char *id) { return id ? id : ""; }

/* ---- reactions ---- */
static dp_status read_term(dpi_sbml_reader *r, SpeciesReference_t *s, const char *reaction,
                           dpi_net_term *out) {
  *out = (dpi_net_term){.stoichiometry = NAN, .line = (int)SBase_getLine((SBase_t *)s)};
  DP_TRY(dpi_sbml_text(r, r->level == 1 ? "" : SpeciesReference_getId(s), &out->id));
  DP_TRY(dpi_sbml_text(r, SpeciesReference_getSpecies(s), &out->species));
  if (r->level == 3) {
    if (SpeciesReference_isSetStoichiometry(s))
      out->stoichiometry = SpeciesReference_getStoichiometry(s);
    out->constant = SpeciesReference_isSetConstant(s) && SpeciesReference_getConstant(s);
    return DP_OK;
  }
  out->constant = true;
  if (r->level == 2 && SpeciesReference_isSetStoichiometryMath(s)) {
    const ASTNode_t *math = StoichiometryMath_getMath(SpeciesReference_getStoichiometryMath(s));
    out->constant = false;
    return dpi_sbml_take_math(r, math, out->line, "stoichiometry in reaction", reaction,
                              &out->math);
  }
  /* libSBML gives a rational stoichiometry of Level 2 with its denominator too */
  out->stoichiometry = SpeciesReference_getStoichiometry(s) / SpeciesReference_getDenominator(s);
  return DP_OK;
}

static dp_status read_terms(dpi_sbml_reader *r, Reaction_t *x, dpi_net_reaction *out) {
  int nr = (int)Reaction_getNumReactants(x), np = (int)Reaction_getNumProducts(x),
      nm = (int)Reaction_getNumModifiers(x);
  out->reactant = DPI_ARENA_ARRAY(&r->net->arena, dpi_net_term, nr);
  out->product = DPI_ARENA_ARRAY(&r->net->arena, dpi_net_term, np);
  out->modifier = DPI_ARENA_ARRAY(&r->net->arena, const char *, nm);
  if (!out->reactant || !out->product || !out->modifier) return DP_ERR_MEMORY;
  out->nreactant = nr;
  out->nproduct = np;
  out->nmodifier = nm;
  for (int i = 0; i < nr; i++)
    DP_TRY(read_term(r, Reaction_getReactant(x, (unsigned)i), out->id, &out->reactant[i]));
  for (int i = 0; i < np; i++)
    DP_TRY(read_term(r, Reaction_getProduct(x, (unsigned)i), out->id, &out->product[i]));
  for (int i = 0; i < nm; i++)
    DP_TRY(dpi_sbml_text(r, SpeciesReference_getSpecies(Reaction_getModifier(x, (unsigned)i)),
                         &out->modifier[i]));
  return DP_OK;
}

static dp_status read_local(dpi_sbml_reader *r, SBase_t *p, dpi_net_parameter *out) {
  *out = (dpi_net_parameter){
      .name = "", .value = NAN, .constant = true, .line = (int)SBase_getLine(p)};
  if (SBase_isSetName(p)) DP_TRY(dpi_sbml_text(r, SBase_getName(p), &out->name));
  if (r->level == 3) {
    const LocalParameter_t *local = (const LocalParameter_t *)p;
    if (LocalParameter_isSetValue(local)) out->value = LocalParameter_getValue(local);
    DP_TRY(dpi_sbml_text(r, LocalParameter_getUnits(local), &out->unit));
    return dpi_sbml_text(r, LocalParameter_getId(local), &out->id);
  }
  const Parameter_t *local = (const Parameter_t *)p;
  if (Parameter_isSetValue(local)) out->value = Parameter_getValue(local);
  DP_TRY(dpi_sbml_text(r, Parameter_getUnits(local), &out->unit));
  return dpi_sbml_text(r, Parameter_getId(local), &out->id);
}

static dp_status read_law(dpi_sbml_reader *r, KineticLaw_t *law, dpi_net_reaction *out) {
  int n = (int)(r->level == 3 ? KineticLaw_getNumLocalParameters(law)
                              : KineticLaw_getNumParameters(law));
  out->local = DPI_ARENA_ARRAY(&r->net->arena, dpi_net_parameter, n);
  if (out->local == NULL) return DP_ERR_MEMORY;
  out->nlocal = n;
  for (int i = 0; i < n; i++) {
    SBase_t *p = r->level == 3 ? (SBase_t *)KineticLaw_getLocalParameter(law, (unsigned)i)
                               : (SBase_t *)KineticLaw_getParameter(law, (unsigned)i);
    DP_TRY(read_local(r, p, &out->local[i]));
  }
  out->has_rate = true;
  r->local = out->local;
  r->nlocal = n;
  dp_status s = dpi_sbml_take_math(r, KineticLaw_getMath(law), (int)SBase_getLine((SBase_t *)law),
                                   "rate of reaction", out->id, &out->rate);
  r->nlocal = 0;
  return s;
}

static dp_status read_reaction(dpi_sbml_reader *r, Reaction_t *x) {
  dpi_net_reaction *out = dpi_net_add_reaction(r->net, Reaction_getId(x));
  if (out == NULL) return DP_ERR_MEMORY;
  out->line = (int)SBase_getLine((SBase_t *)x);
  DP_TRY(dpi_sbml_text(r, Reaction_getName(x), &out->name));
  out->reversible =
      r->level == 3 && !Reaction_isSetReversible(x) ? true : Reaction_getReversible(x);
  out->fast = Reaction_getFast(x);
  if (r->level == 3) DP_TRY(dpi_sbml_text(r, Reaction_getCompartment(x), &out->compartment));
  DP_TRY(read_terms(r, x, out));
  if (Reaction_isSetKineticLaw(x)) DP_TRY(read_law(r, Reaction_getKineticLaw(x), out));
  return dpi_sbml_read_notes(r, (SBase_t *)x, out->id);
}

dp_status dpi_sbml_read_reactions(dpi_sbml_reader *r) {
  for (unsigned i = 0, n = Model_getNumReactions(r->model); i < n; i++)
    DP_TRY(read_reaction(r, Model_getReaction(r->model, i)));
  return DP_OK;
}

/* ---- rules ---- */
static dp_status add_rule(dpi_sbml_reader *r, dpi_net_rule_kind kind, const char *variable,
                          const ASTNode_t *math, SBase_t *element) {
  dpi_net_rule *out = dpi_net_add_rule(r->net, kind, id_of(variable), NULL);
  if (out == NULL) return DP_ERR_MEMORY;
  out->line = (int)SBase_getLine(element);
  return dpi_sbml_take_math(r, math, out->line,
                            kind == DPI_RULE_INITIAL ? "initial assignment to" : "rule for",
                            variable, &out->math);
}

dp_status dpi_sbml_read_rules(dpi_sbml_reader *r) {
  for (unsigned i = 0, n = Model_getNumInitialAssignments(r->model); i < n; i++) {
    InitialAssignment_t *a = Model_getInitialAssignment(r->model, i);
    DP_TRY(add_rule(r, DPI_RULE_INITIAL, InitialAssignment_getSymbol(a),
                    InitialAssignment_getMath(a), (SBase_t *)a));
  }
  for (unsigned i = 0, n = Model_getNumRules(r->model); i < n; i++) {
    Rule_t *x = Model_getRule(r->model, i);
    dpi_net_rule_kind kind = Rule_isAlgebraic(x) ? DPI_RULE_ALGEBRAIC
                             : Rule_isRate(x)    ? DPI_RULE_RATE
                                                 : DPI_RULE_ASSIGNMENT;
    DP_TRY(add_rule(r, kind, Rule_isAlgebraic(x) ? "" : Rule_getVariable(x), Rule_getMath(x),
                    (SBase_t *)x));
  }
  return DP_OK;
}

/* ---- events ---- */
static dp_status read_assignments(dpi_sbml_reader *r, Event_t *e, dpi_net_event *out) {
  int n = (int)Event_getNumEventAssignments(e);
  out->assign = DPI_ARENA_ARRAY(&r->net->arena, dpi_net_assignment, n);
  if (out->assign == NULL) return DP_ERR_MEMORY;
  out->nassign = n;
  for (int i = 0; i < n; i++) {
    EventAssignment_t *a = Event_getEventAssignment(e, (unsigned)i);
    dpi_net_assignment *to = &out->assign[i];
    to->line = (int)SBase_getLine((SBase_t *)a);
    DP_TRY(dpi_sbml_text(r, EventAssignment_getVariable(a), &to->variable));
    DP_TRY(dpi_sbml_take_math(r, EventAssignment_getMath(a), to->line, "event assignment to",
                              to->variable, &to->math));
  }
  return DP_OK;
}

static dp_status read_event(dpi_sbml_reader *r, Event_t *e) {
  dpi_net_event *out = dpi_net_add_event(r->net, id_of(Event_getId(e)));
  if (out == NULL) return DP_ERR_MEMORY;
  out->line = (int)SBase_getLine((SBase_t *)e);
  DP_TRY(dpi_sbml_text(r, Event_getName(e), &out->name));
  /* before Level 2 Version 4 values were always those of the trigger's time */
  bool says = r->level == 3 || (r->level == 2 && r->version >= 4);
  out->from_trigger = !says || (r->level == 3 && !Event_isSetUseValuesFromTriggerTime(e)) ||
                      Event_getUseValuesFromTriggerTime(e);
  if (Event_isSetTrigger(e)) {
    Trigger_t *t = Event_getTrigger(e);
    if (r->level == 3) {
      out->initial_value = !Trigger_isSetInitialValue(t) || Trigger_getInitialValue(t);
      out->persistent = !Trigger_isSetPersistent(t) || Trigger_getPersistent(t);
    }
    DP_TRY(dpi_sbml_take_math(r, Trigger_getMath(t), out->line, "trigger of event", out->id,
                              &out->trigger));
  }
  if (Event_isSetDelay(e))
    DP_TRY(dpi_sbml_take_math(r, Delay_getMath(Event_getDelay(e)), out->line, "delay of event",
                              out->id, &out->delay));
  if (r->level == 3 && Event_isSetPriority(e))
    DP_TRY(dpi_sbml_take_math(r, Priority_getMath(Event_getPriority(e)), out->line,
                              "priority of event", out->id, &out->priority));
  DP_TRY(read_assignments(r, e, out));
  return dpi_sbml_read_notes(r, (SBase_t *)e, out->id);
}

dp_status dpi_sbml_read_events(dpi_sbml_reader *r) {
  for (unsigned i = 0, n = Model_getNumEvents(r->model); i < n; i++)
    DP_TRY(read_event(r, Model_getEvent(r->model, i)));
  return DP_OK;
}
