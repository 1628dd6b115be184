/* sbml_read_note.c - floor 3: what elements are said to be (SBO, CV terms, notes) -> annotations of
 * the net, in the words of Antimony. */
#include <string.h>

#include "lang/sbml/sbml_impl.h"

static const char *const biology[] = {
    [BQB_IS] = "identity",
    [BQB_HAS_PART] = "part",
    [BQB_IS_PART_OF] = "parthood",
    [BQB_IS_VERSION_OF] = "hypernym",
    [BQB_HAS_VERSION] = "version",
    [BQB_IS_HOMOLOG_TO] = "homolog",
    [BQB_IS_DESCRIBED_BY] = "description",
    [BQB_IS_ENCODED_BY] = "encoder",
    [BQB_ENCODES] = "encodement",
    [BQB_OCCURS_IN] = "container",
    [BQB_HAS_PROPERTY] = "property",
    [BQB_IS_PROPERTY_OF] = "propertyBearer",
    [BQB_HAS_TAXON] = "taxon",
};
static const char *const modelling[] = {
    [BQM_IS] = "model_entity_is",     [BQM_IS_DESCRIBED_BY] = "description",
    [BQM_IS_DERIVED_FROM] = "origin", [BQM_IS_INSTANCE_OF] = "class",
    [BQM_HAS_INSTANCE] = "instance",
};

static dp_status add(dpi_sbml_reader *r, const char *id, const char *key, int n,
                     const char ***value) {
  dpi_net_annotation *a = dpi_net_add_annotation(r->net, id, key);
  if (a == NULL || (a->value = DPI_ARENA_ARRAY(&r->net->arena, const char *, n)) == NULL)
    return DP_ERR_MEMORY;
  for (int i = 0; i < n; i++) a->value[i] = "";
  a->nvalue = n;
  *value = a->value;
  return DP_OK;
}

static dp_status read_term(dpi_sbml_reader *r, CVTerm_t *term, const char *id) {
  const char *key = NULL, **value = NULL;
  int type = -1, n = (int)CVTerm_getNumResources(term);
  if (CVTerm_getQualifierType(term) == BIOLOGICAL_QUALIFIER) {
    type = (int)CVTerm_getBiologicalQualifierType(term);
    key = type >= 0 && type < DPI_COUNT(biology) ? biology[type] : NULL;
  } else {
    type = (int)CVTerm_getModelQualifierType(term);
    key = type >= 0 && type < DPI_COUNT(modelling) ? modelling[type] : NULL;
  }
  if (key == NULL || n == 0) return DP_OK;
  DP_TRY(add(r, id, key, n, &value));
  for (int i = 0; i < n; i++) {
    char *uri = CVTerm_getResourceURI(term, (unsigned)i);
    value[i] = dpi_net_text(r->net, uri);
    util_free(uri);
    if (value[i] == NULL) return DP_ERR_MEMORY;
  }
  return DP_OK;
}

/* The text of XHTML: tags away, entities that matter resolved, runs of blanks joined. */
static void plain(const char *html, dpi_str *out) {
  static const struct {
    const char *name, *text;
  } entity[] = {{"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&apos;", "'"}};
  bool blank = false;
  for (const char *s = html; *s;) {
    if (*s == '<') {
      const char *end = strchr(s, '>');
      if (end == NULL) break;
      s = end + 1;
      blank = true;
    } else if (strchr(" \t\r\n", *s)) {
      s++;
      blank = true;
    } else {
      const char *text = NULL;
      size_t n = 1;
      for (int i = 0; i < DPI_COUNT(entity) && text == NULL; i++)
        if (strncmp(s, entity[i].name, strlen(entity[i].name)) == 0)
          text = entity[i].text, n = strlen(entity[i].name);
      if (blank && out->len > 0) dpi_str_add(out, " ");
      dpi_str_addn(out, text ? text : s, 1);
      blank = false;
      s += n;
    }
  }
}

dp_status dpi_sbml_plain(dpi_sbml_reader *r, char *html, const char **out) {
  dpi_str text;
  *out = "";
  if (html == NULL) return DP_OK;
  dpi_str_init(&text, r->ctx);
  plain(html, &text);
  util_free(html);
  dp_status s = text.failed ? DP_ERR_MEMORY : dpi_sbml_text(r, dpi_str_text(&text), out);
  dpi_str_release(&text);
  return s;
}

static dp_status read_text(dpi_sbml_reader *r, SBase_t *e, const char *id) {
  const char *text = "", **value = NULL;
  DP_TRY(dpi_sbml_plain(r, SBase_getNotesString(e), &text));
  if (text[0] == '\0') return DP_OK;
  DP_TRY(add(r, id, "notes", 1, &value));
  value[0] = text;
  return DP_OK;
}

dp_status dpi_sbml_read_notes(dpi_sbml_reader *r, SBase_t *e, const char *id) {
  const char **value = NULL;
  if (SBase_isSetSBOTerm(e)) {
    char *sbo = SBase_getSBOTermID(e);
    dp_status s = add(r, id, "sbo", 1, &value);
    if (s == DP_OK) s = dpi_sbml_text(r, sbo, &value[0]);
    util_free(sbo);
    DP_TRY(s);
  }
  for (unsigned i = 0, n = SBase_getNumCVTerms(e); i < n; i++)
    DP_TRY(read_term(r, SBase_getCVTerm(e, i), id));
  return SBase_isSetNotes(e) ? read_text(r, e, id) : DP_OK;
}
