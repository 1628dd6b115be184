/* sbml_read_fbc.c - floor 3: flux balance (package fbc, Versions 1 to 3) of a flat libSBML model -> dpi_net.
 *
 * Version 1 writes bounds as numbers beside the reactions; they become constant parameters `fb_<reaction>_lower` and
 * `fb_<reaction>_upper`, as if Version 2 had said them. Genes are read over: they change no flux by themselves. */
#include "lang/sbml/sbml_impl.h"

#include <sbml/packages/fbc/common/FbcExtensionTypes.h> /* needs what SBMLTypes.h defines */
#include <sbml/extension/SBasePlugin.h>
#include <string.h>

/* A string that libSBML allocated for us. */
static dp_status take(dpi_sbml_reader *r, char *text, const char **out) {
  dp_status s = dpi_sbml_text(r, text, out);
  util_free(text);
  return s;
}

static dp_status read_species(dpi_sbml_reader *r, int version) {
  for (int i = 0; i < r->net->nspecies; i++) {
    SBasePlugin_t *p = SBase_getPlugin((SBase_t *)Model_getSpecies(r->model, (unsigned)i), "fbc");
    FbcSBasePlugin_t *f = (FbcSBasePlugin_t *)p;
    if (p == NULL) continue;
    if (FbcSpeciesPlugin_isSetCharge(f))
      r->net->species[i].charge =
          version >= 3 ? FbcSpeciesPlugin_getChargeAsDouble(f) : FbcSpeciesPlugin_getCharge(f);
    if (FbcSpeciesPlugin_isSetChemicalFormula(f))
      DP_TRY(take(r, FbcSpeciesPlugin_getChemicalFormula(f), &r->net->species[i].formula));
  }
  return DP_OK;
}

static dp_status read_bounds(dpi_sbml_reader *r) {
  for (int i = 0; i < r->net->nreaction; i++) {
    dpi_net_reaction *x = &r->net->reaction[i];
    FbcSBasePlugin_t *f = (FbcSBasePlugin_t *)SBase_getPlugin(
        (SBase_t *)Model_getReaction(r->model, (unsigned)i), "fbc");
    if (f == NULL) continue;
    if (FbcReactionPlugin_isSetLowerFluxBound(f))
      DP_TRY(take(r, FbcReactionPlugin_getLowerFluxBound(f), &x->lower));
    if (FbcReactionPlugin_isSetUpperFluxBound(f))
      DP_TRY(take(r, FbcReactionPlugin_getUpperFluxBound(f), &x->upper));
  }
  return DP_OK;
}

/* ---- bounds of Version 1 ---- */
/* The parameter that bounds a reaction on one side, made when there is none yet; a second bound may only tighten it. */
static dp_status bound(dpi_sbml_reader *r, dpi_net_reaction *x, bool upper, double value,
                       int line) {
  dpi_net *net = r->net;
  const char **name = upper ? &x->upper : &x->lower;
  int i = -1;
  if ((*name)[0]) {
    if (dpi_net_find(net, *name, &i) != DPI_NET_PARAMETER) return DP_OK;
    double *old = &net->parameter[i].value;
    if (upper ? value < *old : value > *old) *old = value;
    return DP_OK;
  }
  const char *id = dpi_arena_printf(&net->arena, "fb_%s_%s", x->id, upper ? "upper" : "lower");
  while (id && dpi_net_find(net, id, &i) != DPI_NET_NOTHING)
    id = dpi_arena_printf(&net->arena, "%s_", id);
  dpi_net_parameter *p = id ? dpi_net_add_parameter(net, id) : NULL;
  if (p == NULL) return DP_ERR_MEMORY;
  p->value = value;
  p->line = line;
  *name = p->id;
  DP_TRY(dpi_grow(net->ctx, (void **)&net->entry, &net->cap_entry, net->nentry + 1,
                  sizeof *net->entry));
  net->entry[net->nentry] = (dpi_net_entry){DPI_NET_PARAMETER, net->nparameter - 1};
  return dpi_map_put(&net->ids, id, net->nentry++);
}

static dp_status read_flux_bound(dpi_sbml_reader *r, FluxBound_t *b) {
  const char *reaction = "", *operation = "";
  int i = -1, line = (int)SBase_getLine((SBase_t *)b);
  DP_TRY(take(r, (char *)FluxBound_getReaction(b),
              &reaction)); /* const in its type, allocated all the same */
  DP_TRY(take(r, (char *)FluxBound_getOperation(b), &operation));
  if (dpi_net_find(r->net, reaction, &i) != DPI_NET_REACTION)
    return dpi_fail(r->ctx, DP_ERR_INPUT, "%s:%d: a flux bound names '%s', which is not a reaction",
                    r->source, line, reaction);
  bool equal = strcmp(operation, "equal") == 0;
  bool lower = equal || strcmp(operation, "greaterEqual") == 0;
  bool upper = equal || strcmp(operation, "lessEqual") == 0;
  double value = FluxBound_getValue(b);
  if ((!lower && !upper) || value != value)
    return dpi_fail(r->ctx, DP_ERR_INPUT,
                    "%s:%d: the flux bound of reaction '%s' is neither lessEqual, greaterEqual nor "
                    "equal to a number",
                    r->source, line, reaction);
  if (lower) DP_TRY(bound(r, &r->net->reaction[i], false, value, line));
  if (upper) DP_TRY(bound(r, &r->net->reaction[i], true, value, line));
  return DP_OK;
}

/* ---- objectives ---- */
static dp_status read_objective(dpi_sbml_reader *r, Objective_t *o) {
  const char *id = Objective_getId(o), *type = Objective_getType(o);
  int n = (int)Objective_getNumFluxObjectives(o), reaction = -1,
      line = (int)SBase_getLine((SBase_t *)o);
  dpi_net_objective *out = dpi_net_add_objective(r->net, id ? id : "");
  if (out == NULL || (out->term = DPI_ARENA_ARRAY(&r->net->arena, dpi_net_flux_term, n)) == NULL)
    return DP_ERR_MEMORY;
  DP_TRY(dpi_sbml_text(r, Objective_getName(o), &out->name));
  if (type == NULL || (strcmp(type, "maximize") != 0 && strcmp(type, "minimize") != 0))
    return dpi_fail(r->ctx, DP_ERR_INPUT, "%s:%d: objective '%s' neither maximizes nor minimizes",
                    r->source, line, out->id);
  out->maximize = strcmp(type, "maximize") == 0;
  for (int i = 0; i < n; i++) {
    FluxObjective_t *f = Objective_getFluxObjective(o, (unsigned)i);
    const char *name = FluxObjective_getReaction(f);
    if (name == NULL || dpi_net_find(r->net, name, &reaction) != DPI_NET_REACTION)
      return dpi_fail(r->ctx, DP_ERR_INPUT,
                      "%s:%d: objective '%s' names '%s', which is not a reaction", r->source, line,
                      out->id, name ? name : "");
    if (FluxObjective_isSetVariableType(f) &&
        FluxObjective_getVariableType(f) == FBC_VARIABLE_TYPE_QUADRATIC)
      return dpi_fail(r->ctx, DP_ERR_UNSUPPORTED, "%s:%d: objective '%s' is quadratic in '%s'",
                      r->source, line, out->id, name);
    DP_TRY(dpi_sbml_text(r, name, &out->term[i].reaction));
    out->term[i].coefficient = FluxObjective_getCoefficient(f);
    out->nterm = i + 1;
  }
  return DP_OK;
}

static dp_status read_objectives(dpi_sbml_reader *r, SBasePlugin_t *p) {
  const char *active = "";
  DP_TRY(take(r, FbcModelPlugin_getActiveObjectiveId(p), &active));
  for (unsigned i = 0, n = FbcModelPlugin_getNumObjectives(p); i < n; i++) {
    DP_TRY(read_objective(r, FbcModelPlugin_getObjective(p, i)));
    if (active[0] && strcmp(r->net->objective[i].id, active) == 0)
      r->net->active_objective = (int)i;
  }
  if (active[0] && r->net->active_objective < 0)
    return dpi_fail(r->ctx, DP_ERR_INPUT, "%s: the active objective '%s' is not there", r->source,
                    active);
  return DP_OK;
}

dp_status dpi_sbml_read_flux(dpi_sbml_reader *r) {
  SBasePlugin_t *p = r->scan->flux ? SBase_getPlugin((SBase_t *)r->model, "fbc") : NULL;
  if (p == NULL) return DP_OK;
  int version = (int)SBasePlugin_getPackageVersion(p);
  r->net->flux = true;
  r->net->strict = version >= 2 && FbcModelPlugin_getStrict(p);
  if (version >= 3 && FbcModelPlugin_getNumUserDefinedConstraints((FbcModelPlugin_t *)p) > 0)
    return dpi_fail(r->ctx, DP_ERR_UNSUPPORTED,
                    "%s: user-defined constraints of fluxes are not supported", r->source);
  DP_TRY(dpi_net_index(r->net)); /* bounds and objectives name reactions */
  DP_TRY(read_species(r, version));
  DP_TRY(read_bounds(r));
  for (unsigned i = 0, n = FbcModelPlugin_getNumFluxBounds(p); version == 1 && i < n; i++)
    DP_TRY(read_flux_bound(r, FbcModelPlugin_getFluxBound(p, i)));
  return read_objectives(r, p);
}
