/* element.c - floor 3: what the modeller's text names: compartments, species, parameters, reactions, stoichiometries.
 *
 * Elements are numbered in this order of kinds and within a kind as in the text; stoichiometries by reaction.
 */
#include "lang/lang_impl.h"
#include "lang/network.h"

static int named_terms(const dpi_net_reaction *r) {
  int n = 0;
  for (int i = 0; i < r->nreactant; i++) n += r->reactant[i].id[0] != '\0';
  for (int i = 0; i < r->nproduct; i++) n += r->product[i].id[0] != '\0';
  return n;
}

int dp_model_nelement(const dp_model *m) {
  const dpi_net *net = m->net;
  if (net == NULL) return 0;
  int n = net->ncompartment + net->nspecies + net->nparameter + net->nreaction;
  for (int i = 0; i < net->nreaction; i++) n += named_terms(&net->reaction[i]);
  return n;
}

/* the k-th named species reference of a reaction */
static const dpi_net_term *named_term(const dpi_net_reaction *r, int k) {
  for (int i = 0; i < r->nreactant; i++)
    if (r->reactant[i].id[0] != '\0' && k-- == 0) return &r->reactant[i];
  for (int i = 0; i < r->nproduct; i++)
    if (r->product[i].id[0] != '\0' && k-- == 0) return &r->product[i];
  return NULL;
}

/* Declared constants are taken at their word; of the rest sealing knows, before that how reading left the symbol. */
static bool never_changes(const dp_model *m, const char *id, bool declared) {
  int sym = dpi_model_find(m, id);
  if (declared || sym < 0) return true;
  if (m->sealed) return !m->sym[sym].varies && m->sym[sym].unknown != DPI_UNKNOWN_COURSE;
  const dpi_symbol *s = &m->sym[sym];
  if (s->kind == DPI_SYM_STATE || s->kind == DPI_SYM_ASSIGNED || s->free) return false;
  for (int i = 0; i < m->nevent; i++)
    for (int k = 0; k < m->event[i].nassign; k++)
      if (m->event[i].assign[k].sym == sym) return false;
  return true;
}

static dp_element stoichiometry(const dp_model *m, int index) {
  const dpi_net *net = m->net;
  for (int i = 0; i < net->nreaction; i++) {
    int n = named_terms(&net->reaction[i]);
    if (index >= n) {
      index -= n;
      continue;
    }
    const dpi_net_term *t = named_term(&net->reaction[i], index);
    return (dp_element){.id = t->id, .name = "", .kind = DP_ELEMENT_STOICHIOMETRY, .compartment = "",
                        .constant = never_changes(m, t->id, t->constant)};
  }
  return (dp_element){.id = "", .name = "", .compartment = ""};
}

static dp_element element_at(const dp_model *m, int index) {
  const dpi_net *net = m->net;
  dp_element e = {.name = "", .compartment = ""};
  if (index < net->ncompartment) {
    const dpi_net_compartment *c = &net->compartment[index];
    return (dp_element){.id = c->id, .name = c->name, .kind = DP_ELEMENT_COMPARTMENT, .compartment = "",
                        .constant = never_changes(m, c->id, c->constant)};
  }
  index -= net->ncompartment;
  if (index < net->nspecies) {
    const dpi_net_species *s = &net->species[index];
    e = (dp_element){.id = s->id, .name = s->name, .kind = DP_ELEMENT_SPECIES, .compartment = s->compartment};
    e.amount = s->only_substance;
    e.constant = never_changes(m, s->id, s->constant);
    return e;
  }
  index -= net->nspecies;
  if (index < net->nparameter) {
    const dpi_net_parameter *p = &net->parameter[index];
    return (dp_element){.id = p->id, .name = p->name, .kind = DP_ELEMENT_PARAMETER, .compartment = "",
                        .constant = never_changes(m, p->id, p->constant)};
  }
  index -= net->nparameter;
  if (index < net->nreaction) {
    const dpi_net_reaction *r = &net->reaction[index];
    return (dp_element){.id = r->id, .name = r->name, .kind = DP_ELEMENT_REACTION, .compartment = "",
                        .constant = never_changes(m, r->id, false)};
  }
  return stoichiometry(m, index - net->nreaction);
}

dp_element dp_model_element(const dp_model *m, int index) {
  DP_ASSERT(index >= 0 && m->net != NULL);
  dp_element e = element_at(m, index);
  int sym = dpi_model_find(m, e.id);
  e.unknown = sym >= 0 && m->sym[sym].unknown != DPI_KNOWN;
  return e;
}

/* Stoichiometries before that of a term. */
static int terms_before(const dpi_net *net, int index) {
  int n = 0;
  for (int i = 0; i < index / DPI_NET_TERM_PLACES; i++) n += named_terms(&net->reaction[i]);
  const dpi_net_reaction *r = &net->reaction[index / DPI_NET_TERM_PLACES];
  for (int k = 0; k < index % DPI_NET_TERM_PLACES; k++)
    n += (k < r->nreactant ? &r->reactant[k] : &r->product[k - r->nreactant])->id[0] != '\0';
  return n;
}

int dp_model_find_element(const dp_model *m, const char *id) {
  const dpi_net *net = m->net;
  int index = -1;
  if (net == NULL) return -1;
  switch (dpi_net_find(net, id, &index)) {
    case DPI_NET_COMPARTMENT: return index;
    case DPI_NET_SPECIES: return net->ncompartment + index;
    case DPI_NET_PARAMETER: return net->ncompartment + net->nspecies + index;
    case DPI_NET_REACTION: return net->ncompartment + net->nspecies + net->nparameter + index;
    case DPI_NET_TERM:
      return net->ncompartment + net->nspecies + net->nparameter + net->nreaction + terms_before(net, index);
    default: return -1;
  }
}
