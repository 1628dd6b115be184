/* sbml_write_note.c - floor 3: what changes no equation: SBO terms, notes, terms of ontologies; and flux balance. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lang/sbml/sbml_guard.h"
#include "lang/sbml/sbml_impl.h"
#include "lang/sbml/sbml_write_impl.h"

/* Antimony's word, SBML's qualifier; `model`: one of the qualifiers for models */
static const struct {
  const char *word, *qualifier;
  bool model;
} qualifiers[] = {
    {"model_entity_is", "is", true},       {"identity", "is", false},
    {"biological_entity_is", "is", false}, {"part", "hasPart", false},
    {"hasPart", "hasPart", false},         {"parthood", "isPartOf", false},
    {"isPartOf", "isPartOf", false},       {"hypernym", "isVersionOf", false},
    {"isVersionOf", "isVersionOf", false}, {"version", "hasVersion", false},
    {"hasVersion", "hasVersion", false},   {"homolog", "isHomologTo", false},
    {"isHomologTo", "isHomologTo", false}, {"description", "isDescribedBy", false},
    {"isDescribedBy", "isDescribedBy", false}, {"encoder", "isEncodedBy", false},
    {"isEncodedBy", "isEncodedBy", false}, {"encodement", "encodes", false},
    {"encodes", "encodes", false},         {"container", "occursIn", false},
    {"occursIn", "occursIn", false},       {"property", "hasProperty", false},
    {"hasProperty", "hasProperty", false}, {"propertyBearer", "isPropertyOf", false},
    {"isPropertyOf", "isPropertyOf", false}, {"taxon", "hasTaxon", false},
    {"hasTaxon", "hasTaxon", false},       {"origin", "isDerivedFrom", true},
    {"isDerivedFrom", "isDerivedFrom", true}, {"instance", "hasInstance", true},
    {"hasInstance", "hasInstance", true},  {"class", "isInstanceOf", true},
    {"isInstanceOf", "isInstanceOf", true},
};

static int qualifier_of(const char *key) {
  for (int i = 0; i < DPI_COUNT(qualifiers); i++)
    if (strcmp(key, qualifiers[i].word) == 0) return i;
  return -1;
}

static bool is_sbo(const char *key) { return strcmp(key, "sbo") == 0 || strcmp(key, "sboTerm") == 0; }

/* ---- which annotations an element has ---- */
dp_status dpi_sbmlw_index_annotations(dpi_sbmlw *w) {
  const dpi_net *net = w->net;
  if (net->nannotation == 0) return DP_OK;
  w->next_annotation = DPI_ARENA_ARRAY(&w->arena, int, net->nannotation);
  if (w->next_annotation == NULL) return DP_ERR_MEMORY;
  for (int i = net->nannotation - 1; i >= 0; i--) {
    w->next_annotation[i] = dpi_map_get(&w->annotated, net->annotation[i].id);
    DP_TRY(dpi_map_put(&w->annotated, net->annotation[i].id, i));
  }
  return DP_OK;
}

static int first_of(const dpi_sbmlw *w, const char *id) { return dpi_map_get(&w->annotated, id); }
static const dpi_net_annotation *at(const dpi_sbmlw *w, int i) { return &w->net->annotation[i]; }

static bool has_terms(const dpi_sbmlw *w, const char *id) {
  for (int i = first_of(w, id); i >= 0; i = w->next_annotation[i])
    if (qualifier_of(at(w, i)->key) >= 0 && at(w, i)->nvalue > 0) return true;
  return false;
}

/* ---- attributes ---- */
static void write_sbo(dpi_sbmlw *w, const char *value) {
  const char *digits = strncmp(value, "SBO:", 4) == 0 ? value + 4 : value;
  char *end = NULL;
  long n = strtol(digits, &end, 10);
  if (end == digits || *end || n < 0 || n > 9999999) {
    dpi_net_note(w->net, "'%s' is no SBO term: left out", value);
    return;
  }
  char text[24];
  snprintf(text, sizeof text, "SBO:%07ld", n);
  dpi_xml_attr(w, "sboTerm", text);
}

void dpi_sbmlw_base(dpi_sbmlw *w, const char *id) {
  if (has_terms(w, id)) {
    char meta[32];
    snprintf(meta, sizeof meta, "meta_%d", ++w->nmeta);
    dpi_xml_attr(w, "metaid", meta);
  }
  for (int i = first_of(w, id); i >= 0; i = w->next_annotation[i])
    if (is_sbo(at(w, i)->key) && at(w, i)->nvalue > 0) {
      write_sbo(w, at(w, i)->value[0]);
      return;
    }
}

/* ---- notes ---- */
void dpi_sbmlw_paragraph(dpi_sbmlw *w, const char *text) {
  dpi_xml_start(w, "p");
  dpi_xml_attr(w, "xmlns", "http://www.w3.org/1999/xhtml");
  dpi_str_add(w->out, ">");
  dpi_xml_escape(w->out, text);
  dpi_str_add(w->out, "</p>\n");
  w->open = false;
  w->depth--;
}

static dp_status read_nodes(void *user) {
  XMLNode_t *node = XMLNode_convertStringToXMLNode(user, NULL);
  bool good = node != NULL && XMLNode_getNumChildren(node) > 0;
  XMLNode_free(node);
  return good ? DP_OK : DP_ERR_INPUT;
}

/* Is it well-formed XHTML, to be written as it is? */
static bool is_xhtml(const char *text) {
  char what[160];
  if (text[0] != '<' || strstr(text, "http://www.w3.org/1999/xhtml") == NULL) return false;
  return dpi_sbml_guard(read_nodes, (void *)text, what) == DP_OK;
}

static void write_notes(dpi_sbmlw *w, const char *text) {
  if (strncmp(text, "<notes", 6) == 0 && is_xhtml(text)) {
    dpi_xml_raw(w, text);
    return;
  }
  dpi_xml_start(w, "notes");
  if (is_xhtml(text)) dpi_xml_raw(w, text);
  else dpi_sbmlw_paragraph(w, text);
  dpi_xml_end(w, "notes");
}

/* ---- terms ---- */
static void write_term(dpi_sbmlw *w, const dpi_net_annotation *a) {
  int q = qualifier_of(a->key);
  char tag[64];
  bool model = qualifiers[q].model || (a->id[0] == '\0' && strcmp(qualifiers[q].qualifier, "isDescribedBy") == 0);
  snprintf(tag, sizeof tag, "%s:%s", model ? "bqmodel" : "bqbiol", qualifiers[q].qualifier);
  dpi_xml_start(w, tag);
  dpi_xml_start(w, "rdf:Bag");
  for (int k = 0; k < a->nvalue; k++) {
    dpi_xml_start(w, "rdf:li");
    dpi_xml_attr(w, "rdf:resource", a->value[k]);
    dpi_xml_end(w, "rdf:li");
  }
  dpi_xml_end(w, "rdf:Bag");
  dpi_xml_end(w, tag);
}

static void write_terms(dpi_sbmlw *w, const char *id) {
  char about[32];
  snprintf(about, sizeof about, "#meta_%d", w->nmeta); /* the element that was started last */
  dpi_xml_start(w, "annotation");
  dpi_xml_start(w, "rdf:RDF");
  dpi_xml_attr(w, "xmlns:rdf", "http://www.w3.org/1999/02/22-rdf-syntax-ns#");
  dpi_xml_attr(w, "xmlns:bqbiol", "http://biomodels.net/biology-qualifiers/");
  dpi_xml_attr(w, "xmlns:bqmodel", "http://biomodels.net/model-qualifiers/");
  dpi_xml_start(w, "rdf:Description");
  dpi_xml_attr(w, "rdf:about", about);
  for (int i = first_of(w, id); i >= 0; i = w->next_annotation[i])
    if (qualifier_of(at(w, i)->key) >= 0 && at(w, i)->nvalue > 0) write_term(w, at(w, i));
  dpi_xml_end(w, "rdf:Description");
  dpi_xml_end(w, "rdf:RDF");
  dpi_xml_end(w, "annotation");
}

void dpi_sbmlw_details(dpi_sbmlw *w, const char *id) {
  for (int i = first_of(w, id); i >= 0; i = w->next_annotation[i])
    if (strcmp(at(w, i)->key, "notes") == 0 && at(w, i)->nvalue > 0) {
      write_notes(w, at(w, i)->value[0]);
      break;
    }
  if (has_terms(w, id)) write_terms(w, id);
}

/* ---- flux balance ---- */
void dpi_sbmlw_flux_species(dpi_sbmlw *w, const dpi_net_species *s) {
  if (!w->net->flux) return;
  if (!isnan(s->charge) && s->charge == floor(s->charge) && fabs(s->charge) < 1e9)
    dpi_xml_attr_number(w, "fbc:charge", s->charge);
  dpi_xml_attr(w, "fbc:chemicalFormula", s->formula);
}

static void write_objective(dpi_sbmlw *w, const dpi_net_objective *o) {
  dpi_xml_start(w, "fbc:objective");
  dpi_xml_attr(w, "fbc:id", dpi_sbmlw_id(w, o->id));
  dpi_xml_attr(w, "fbc:name", o->name);
  dpi_xml_attr(w, "fbc:type", o->maximize ? "maximize" : "minimize");
  if (o->nterm > 0) dpi_xml_start(w, "fbc:listOfFluxObjectives");
  for (int k = 0; k < o->nterm; k++) {
    dpi_xml_start(w, "fbc:fluxObjective");
    dpi_xml_attr(w, "fbc:reaction", dpi_sbmlw_id(w, o->term[k].reaction));
    dpi_xml_attr_number(w, "fbc:coefficient", o->term[k].coefficient);
    dpi_xml_end(w, "fbc:fluxObjective");
  }
  if (o->nterm > 0) dpi_xml_end(w, "fbc:listOfFluxObjectives");
  dpi_xml_end(w, "fbc:objective");
}

void dpi_sbmlw_objectives(dpi_sbmlw *w) {
  const dpi_net *net = w->net;
  if (!net->flux || net->nobjective == 0) return;
  dpi_xml_start(w, "fbc:listOfObjectives");
  if (net->active_objective >= 0 && net->active_objective < net->nobjective)
    dpi_xml_attr(w, "fbc:activeObjective", dpi_sbmlw_id(w, net->objective[net->active_objective].id));
  for (int i = 0; i < net->nobjective; i++) write_objective(w, &net->objective[i]);
  dpi_xml_end(w, "fbc:listOfObjectives");
}

/* ---- what SBML has no place for ---- */
static void annotations_left_out(const dpi_sbmlw *w) {
  const dpi_net *net = w->net;
  int n = 0;
  const char *example = NULL;
  for (int i = 0; i < net->nannotation; i++) {
    const dpi_net_annotation *a = &net->annotation[i];
    if (is_sbo(a->key) || strcmp(a->key, "notes") == 0 || qualifier_of(a->key) >= 0) continue;
    n++;
    if (example == NULL) example = a->key;
  }
  if (n > 0)
    dpi_net_note(net, "%d annotation%s left out (%s%s)", n, n > 1 ? "s are" : " is", example, n > 1 ? ", ..." : "");
}

void dpi_sbmlw_left_out(const dpi_sbmlw *w) {
  const dpi_net *net = w->net;
  int dna = 0, charged = 0, index;
  for (int i = 0; i < net->nspecies; i++) {
    const dpi_net_species *s = &net->species[i];
    dna += s->dna;
    charged += net->flux ? !isnan(s->charge) && s->charge != floor(s->charge) : !isnan(s->charge) || s->formula[0];
  }
  if (dna > 0) dpi_net_note(net, "that %d species are parts of DNA strands is left out", dna);
  if (charged > 0) dpi_net_note(net, "charge or chemical formula of %d species is left out", charged);
  for (int i = 0; i < net->ninteraction; i++) {
    const dpi_net_interaction *x = &net->interaction[i];
    if (dpi_net_find(net, x->target, &index) != DPI_NET_REACTION)
      dpi_net_note(net, "the interaction '%s' is left out: its target '%s' is no reaction", x->id, x->target);
  }
  annotations_left_out(w);
}
