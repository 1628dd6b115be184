/* network.c - floor 3: building a network element by element, finding elements by id. */
#include <math.h>
#include <string.h>

#include "lang/network.h"

static bool set_text(dpi_net *net) {
  const char **text[] = {&net->id,          &net->name,        &net->language,  &net->substance_unit,
                         &net->time_unit,   &net->volume_unit, &net->area_unit, &net->length_unit,
                         &net->extent_unit, &net->conversion};
  for (int i = 0; i < DPI_COUNT(text); i++) *text[i] = "";
  return true;
}

dp_status dpi_net_create(dp_ctx *ctx, const char *source, dpi_net **out) {
  dpi_net *net = DPI_NEW(ctx, dpi_net);
  if (net == NULL) return DP_ERR_MEMORY;
  net->ctx = ctx;
  dpi_arena_init(&net->arena, ctx);
  dpi_map_init(&net->ids, ctx);
  net->active_objective = -1;
  set_text(net);
  net->source = dpi_arena_strdup(&net->arena, source);
  if (net->source == NULL) {
    dpi_net_destroy(net);
    return DP_ERR_MEMORY;
  }
  *out = net;
  return DP_OK;
}

void dpi_net_destroy(dpi_net *net) {
  if (net == NULL) return;
  void *list[] = {net->unit,        net->function, net->compartment, net->species,    net->parameter, net->reaction,
                  net->interaction, net->rule,     net->event,       net->constraint, net->annotation, net->objective,
                  net->entry};
  for (int i = 0; i < DPI_COUNT(list); i++) dpi_free(net->ctx, list[i]);
  dpi_map_release(&net->ids);
  dpi_arena_release(&net->arena);
  dpi_free(net->ctx, net);
}

const char *dpi_net_text(dpi_net *net, const char *text) {
  if (text == NULL || text[0] == '\0') return "";
  return dpi_arena_strdup(&net->arena, text);
}

/* ---- appending ---- */
#define APPEND(list, count, cap, ...)                                                                          \
  do {                                                                                                         \
    const char *id_ = dpi_net_text(net, id);                                                                   \
    if (id_ == NULL || dpi_grow(net->ctx, (void **)&net->list, &net->cap, net->count + 1, sizeof *net->list) != DP_OK) \
      return NULL;                                                                                             \
    net->list[net->count] = __VA_ARGS__;                                                                       \
    return &net->list[net->count++];                                                                           \
  } while (0)

dpi_net_unit *dpi_net_add_unit(dpi_net *net, const char *id) {
  APPEND(unit, nunit, cap_unit, (dpi_net_unit){.id = id_, .name = ""});
}

dpi_net_function *dpi_net_add_function(dpi_net *net, const char *id) {
  APPEND(function, nfunction, cap_function, (dpi_net_function){.id = id_, .name = ""});
}

dpi_net_compartment *dpi_net_add_compartment(dpi_net *net, const char *id) {
  APPEND(compartment, ncompartment, cap_compartment,
         (dpi_net_compartment){
             .id = id_, .name = "", .unit = "", .dimensions = 3.0, .size = NAN, .constant = true});
}

dpi_net_species *dpi_net_add_species(dpi_net *net, const char *id) {
  APPEND(species, nspecies, cap_species,
         (dpi_net_species){.id = id_,
                           .name = "",
                           .compartment = "",
                           .substance_unit = "",
                           .conversion = "",
                           .amount = NAN,
                           .concentration = NAN,
                           .charge = NAN,
                           .formula = ""});
}

dpi_net_parameter *dpi_net_add_parameter(dpi_net *net, const char *id) {
  APPEND(parameter, nparameter, cap_parameter,
         (dpi_net_parameter){.id = id_, .name = "", .unit = "", .value = NAN, .constant = true});
}

dpi_net_reaction *dpi_net_add_reaction(dpi_net *net, const char *id) {
  APPEND(reaction, nreaction, cap_reaction,
         (dpi_net_reaction){
             .id = id_, .name = "", .compartment = "", .reversible = true, .lower = "", .upper = ""});
}

dpi_net_interaction *dpi_net_add_interaction(dpi_net *net, const char *id) {
  APPEND(interaction, ninteraction, cap_interaction,
         (dpi_net_interaction){.id = id_, .name = "", .kind = "-(", .target = ""});
}

dpi_net_rule *dpi_net_add_rule(dpi_net *net, dpi_net_rule_kind kind, const char *variable, dpi_ast *math) {
  const char *id = variable;
  APPEND(rule, nrule, cap_rule, (dpi_net_rule){.kind = kind, .variable = id_, .math = math});
}

dpi_net_event *dpi_net_add_event(dpi_net *net, const char *id) {
  APPEND(event, nevent, cap_event,
         (dpi_net_event){
             .id = id_, .name = "", .initial_value = true, .persistent = true, .from_trigger = true});
}

dpi_net_constraint *dpi_net_add_constraint(dpi_net *net) {
  const char *id = "";
  APPEND(constraint, nconstraint, cap_constraint, (dpi_net_constraint){.id = id_, .message = ""});
}

dpi_net_objective *dpi_net_add_objective(dpi_net *net, const char *id) {
  APPEND(objective, nobjective, cap_objective, (dpi_net_objective){.id = id_, .name = "", .maximize = true});
}

dpi_net_annotation *dpi_net_add_annotation(dpi_net *net, const char *id, const char *key) {
  const char *word = dpi_net_text(net, key);
  if (word == NULL) return NULL;
  APPEND(annotation, nannotation, cap_annotation, (dpi_net_annotation){.id = id_, .key = word});
}

/* ---- ids ---- */
static dp_status put(dpi_net *net, const char *id, dpi_net_kind kind, int index, int line) {
  if (id[0] == '\0') return DP_OK;
  if (dpi_map_get(&net->ids, id) >= 0)
    return dpi_fail(net->ctx, DP_ERR_INPUT, "%s:%d: the id '%s' is given twice", net->source, line, id);
  DP_TRY(dpi_grow(net->ctx, (void **)&net->entry, &net->cap_entry, net->nentry + 1, sizeof *net->entry));
  net->entry[net->nentry] = (dpi_net_entry){kind, index};
  return dpi_map_put(&net->ids, id, net->nentry++);
}

static dp_status put_terms(dpi_net *net, int reaction) {
  const dpi_net_reaction *r = &net->reaction[reaction];
  if (r->nreactant + r->nproduct > DPI_NET_TERM_PLACES || reaction >= INT32_MAX / DPI_NET_TERM_PLACES)
    return dpi_fail(net->ctx, DP_ERR_UNSUPPORTED, "%s:%d: reaction '%s' has more than %d species references",
                    net->source, r->line, r->id, DPI_NET_TERM_PLACES);
  for (int k = 0; k < r->nreactant + r->nproduct; k++) {
    const dpi_net_term *t = k < r->nreactant ? &r->reactant[k] : &r->product[k - r->nreactant];
    DP_TRY(put(net, t->id, DPI_NET_TERM, reaction * DPI_NET_TERM_PLACES + k, t->line));
  }
  return DP_OK;
}

dp_status dpi_net_index(dpi_net *net) {
  dpi_map_release(&net->ids);
  dpi_map_init(&net->ids, net->ctx);
  net->nentry = 0;
  for (int i = 0; i < net->nfunction; i++)
    DP_TRY(put(net, net->function[i].id, DPI_NET_FUNCTION, i, net->function[i].line));
  for (int i = 0; i < net->ncompartment; i++)
    DP_TRY(put(net, net->compartment[i].id, DPI_NET_COMPARTMENT, i, net->compartment[i].line));
  for (int i = 0; i < net->nspecies; i++)
    DP_TRY(put(net, net->species[i].id, DPI_NET_SPECIES, i, net->species[i].line));
  for (int i = 0; i < net->nparameter; i++)
    DP_TRY(put(net, net->parameter[i].id, DPI_NET_PARAMETER, i, net->parameter[i].line));
  for (int i = 0; i < net->nreaction; i++) {
    DP_TRY(put(net, net->reaction[i].id, DPI_NET_REACTION, i, net->reaction[i].line));
    DP_TRY(put_terms(net, i));
  }
  for (int i = 0; i < net->nevent; i++) DP_TRY(put(net, net->event[i].id, DPI_NET_EVENT, i, net->event[i].line));
  return DP_OK;
}

dpi_net_kind dpi_net_find(const dpi_net *net, const char *id, int *index) {
  int at = dpi_map_get(&net->ids, id);
  if (at < 0) return DPI_NET_NOTHING;
  *index = net->entry[at].index;
  return net->entry[at].kind;
}

dpi_net_term *dpi_net_term_at(const dpi_net *net, int index) {
  dpi_net_reaction *r = &net->reaction[index / DPI_NET_TERM_PLACES];
  int k = index % DPI_NET_TERM_PLACES;
  return k < r->nreactant ? &r->reactant[k] : &r->product[k - r->nreactant];
}
