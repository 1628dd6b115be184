/* sbml_read.c - floor 3: units, functions, compartments, species and parameters of a flat libSBML model -> dpi_net.
 * Defaults that a level leaves unsaid become explicit values here. */
#include <math.h>
#include <string.h>

#include "lang/sbml/sbml_impl.h"

dp_status dpi_sbml_text(dpi_sbml_reader *r, const char *text, const char **out) {
  *out = dpi_net_text(r->net, text);
  return *out ? DP_OK : DP_ERR_MEMORY;
}

/* What most elements have: name, line, notes. `id` is the element's id in the net. */
static dp_status common(dpi_sbml_reader *r, SBase_t *e, const char *id, const char **name,
                        int *line) {
  *line = (int)SBase_getLine(e);
  if (SBase_isSetName(e)) DP_TRY(dpi_sbml_text(r, SBase_getName(e), name));
  return dpi_sbml_read_notes(r, e, id);
}

static dp_status read_unit(dpi_sbml_reader *r, UnitDefinition_t *u) {
  dpi_net_unit *out = dpi_net_add_unit(r->net, UnitDefinition_getId(u));
  if (out == NULL) return DP_ERR_MEMORY;
  int n = (int)UnitDefinition_getNumUnits(u);
  out->part = DPI_ARENA_ARRAY(&r->net->arena, dpi_net_unit_part, n);
  if (n > 0 && out->part == NULL) return DP_ERR_MEMORY;
  out->npart = n;
  for (int i = 0; i < n; i++) {
    const Unit_t *part = UnitDefinition_getUnit(u, (unsigned)i);
    double exponent = Unit_getExponentAsDouble(part), multiplier = Unit_getMultiplier(part);
    out->part[i] = (dpi_net_unit_part){.kind = UnitKind_toString(Unit_getKind(part)),
                                       .exponent = exponent == exponent ? exponent : 1.0,
                                       .scale = Unit_isSetScale(part) ? Unit_getScale(part) : 0,
                                       .multiplier = multiplier == multiplier ? multiplier : 1.0};
  }
  return common(r, (SBase_t *)u, out->id, &out->name, &out->line);
}

static dp_status read_function(dpi_sbml_reader *r, FunctionDefinition_t *f) {
  dpi_net_function *out = dpi_net_add_function(r->net, FunctionDefinition_getId(f));
  if (out == NULL) return DP_ERR_MEMORY;
  DP_TRY(common(r, (SBase_t *)f, out->id, &out->name, &out->line));
  if (!FunctionDefinition_isSetMath(f)) return DP_OK;
  int n = (int)FunctionDefinition_getNumArguments(f);
  out->arg = DPI_ARENA_ARRAY(&r->net->arena, const char *, n);
  if (n > 0 && out->arg == NULL) return DP_ERR_MEMORY;
  out->narg = n;
  for (int i = 0; i < n; i++)
    DP_TRY(dpi_sbml_text(r, ASTNode_getName(FunctionDefinition_getArgument(f, (unsigned)i)),
                         &out->arg[i]));
  DP_TRY(dpi_sbml_take_math(r, FunctionDefinition_getBody(f), out->line, "function", out->id,
                            &out->body));
  return dpi_sbml_function_draw(r, f, out);
}

static dp_status read_compartment(dpi_sbml_reader *r, Compartment_t *c) {
  dpi_net_compartment *out = dpi_net_add_compartment(r->net, Compartment_getId(c));
  if (out == NULL) return DP_ERR_MEMORY;
  DP_TRY(common(r, (SBase_t *)c, out->id, &out->name, &out->line));
  DP_TRY(dpi_sbml_text(r, Compartment_getUnits(c), &out->unit));
  if (r->level < 3 || Compartment_isSetSpatialDimensions(c))
    out->dimensions = Compartment_getSpatialDimensionsAsDouble(c);
  else
    out->dimensions = NAN;
  if (r->level == 1)
    out->size = Compartment_getVolume(c); /* 1 when not said */
  else if (Compartment_isSetSize(c))
    out->size = Compartment_getSize(c);
  out->constant = r->level == 1 || (r->level == 3 && !Compartment_isSetConstant(c)) ||
                  Compartment_getConstant(c);
  return DP_OK;
}

static dp_status read_species(dpi_sbml_reader *r, Species_t *s) {
  dpi_net_species *out = dpi_net_add_species(r->net, Species_getId(s));
  if (out == NULL) return DP_ERR_MEMORY;
  DP_TRY(common(r, (SBase_t *)s, out->id, &out->name, &out->line));
  DP_TRY(dpi_sbml_text(r, Species_getCompartment(s), &out->compartment));
  DP_TRY(dpi_sbml_text(r, r->level == 1 ? Species_getUnits(s) : Species_getSubstanceUnits(s),
                       &out->substance_unit));
  if (Species_isSetInitialAmount(s))
    out->amount = Species_getInitialAmount(s);
  else if (r->level > 1 && Species_isSetInitialConcentration(s))
    out->concentration = Species_getInitialConcentration(s);
  out->boundary = Species_getBoundaryCondition(s);
  out->only_substance = r->level > 1 && Species_getHasOnlySubstanceUnits(s);
  out->constant = r->level > 1 && Species_getConstant(s);
  if (r->level < 3 && Species_isSetCharge(s)) out->charge = Species_getCharge(s);
  if (r->level == 3) DP_TRY(dpi_sbml_text(r, Species_getConversionFactor(s), &out->conversion));
  return DP_OK;
}

static dp_status read_parameter(dpi_sbml_reader *r, Parameter_t *p) {
  dpi_net_parameter *out = dpi_net_add_parameter(r->net, Parameter_getId(p));
  if (out == NULL) return DP_ERR_MEMORY;
  DP_TRY(common(r, (SBase_t *)p, out->id, &out->name, &out->line));
  DP_TRY(dpi_sbml_text(r, Parameter_getUnits(p), &out->unit));
  if (Parameter_isSetValue(p)) out->value = Parameter_getValue(p);
  out->constant =
      r->level == 1 || (r->level == 3 && !Parameter_isSetConstant(p)) || Parameter_getConstant(p);
  return DP_OK;
}

static dp_status read_units_of_model(dpi_sbml_reader *r) {
  const Model_t *m = r->model;
  dpi_net *net = r->net;
  DP_TRY(dpi_sbml_text(r, Model_getId(m), &net->id));
  DP_TRY(dpi_sbml_text(r, Model_getName(m), &net->name));
  if (r->level < 3) return DP_OK;
  DP_TRY(dpi_sbml_text(r, Model_getSubstanceUnits(m), &net->substance_unit));
  DP_TRY(dpi_sbml_text(r, Model_getTimeUnits(m), &net->time_unit));
  DP_TRY(dpi_sbml_text(r, Model_getVolumeUnits(m), &net->volume_unit));
  DP_TRY(dpi_sbml_text(r, Model_getAreaUnits(m), &net->area_unit));
  DP_TRY(dpi_sbml_text(r, Model_getLengthUnits(m), &net->length_unit));
  DP_TRY(dpi_sbml_text(r, Model_getExtentUnits(m), &net->extent_unit));
  return dpi_sbml_text(r, Model_getConversionFactor(m), &net->conversion);
}

static dp_status read_constraint(dpi_sbml_reader *r, Constraint_t *c) {
  dpi_net_constraint *out = dpi_net_add_constraint(r->net);
  if (out == NULL) return DP_ERR_MEMORY;
  out->line = (int)SBase_getLine((SBase_t *)c);
  const char *id = SBase_getIdAttribute((SBase_t *)c);
  DP_TRY(dpi_sbml_text(r, id, &out->id));
  if (Constraint_isSetMessage(c))
    DP_TRY(dpi_sbml_plain(r, Constraint_getMessageString(c), &out->message));
  return dpi_sbml_take_math(r, Constraint_getMath(c), out->line, "constraint", id, &out->math);
}

/* Level 1 has no word for what is constant: what no rule sets or mentions as its unknown is. */
static void vary(dpi_net *net, const char *id) {
  int i = -1;
  dpi_net_kind kind = dpi_net_find(net, id, &i);
  if (kind == DPI_NET_COMPARTMENT) net->compartment[i].constant = false;
  if (kind == DPI_NET_PARAMETER) net->parameter[i].constant = false;
}

static dp_status vary_name(void *user, dpi_ast *a) {
  if (a->op == DPI_AST_NAME) vary((dpi_net *)user, a->name);
  return DP_OK;
}

#define EACH(Kind, plural, read)                                            \
  for (unsigned i_ = 0, n_ = Model_getNum##plural(r->model); i_ < n_; i_++) \
  DP_TRY(read(r, Model_get##Kind(r->model, i_)))

dp_status dpi_sbml_read_model(dpi_sbml_reader *r) {
  dpi_net *net = r->net;
  DP_TRY(read_units_of_model(r));
  DP_TRY(dpi_sbml_read_notes(r, (SBase_t *)r->model, ""));
  EACH(UnitDefinition, UnitDefinitions, read_unit);
  EACH(FunctionDefinition, FunctionDefinitions, read_function);
  EACH(Compartment, Compartments, read_compartment);
  EACH(Species, Species, read_species);
  EACH(Parameter, Parameters, read_parameter);
  DP_TRY(dpi_sbml_read_reactions(r));
  DP_TRY(dpi_sbml_read_rules(r));
  EACH(Constraint, Constraints, read_constraint);
  DP_TRY(dpi_sbml_read_events(r));
  DP_TRY(dpi_sbml_read_flux(r));
  DP_TRY(dpi_net_index(net));
  for (int i = 0; r->level == 1 && i < net->nrule; i++) {
    vary(net, net->rule[i].variable);
    if (net->rule[i].kind == DPI_RULE_ALGEBRAIC)
      DP_TRY(dpi_ast_walk(net->rule[i].math, vary_name, net));
  }
  return DP_OK;
}
