/* sbml_models.c - floor 3: which model of a document contains which, before libSBML writes submodels
 * out.
 *
 * libSBML follows references without bound: models that contain each other never end, and thirty
 * models that contain the next one twice make 2^30 copies. So the copies are counted here first,
 * through all files that are referred to. */
#include <stdio.h>
#include <string.h>

#include "lang/sbml/sbml_scan.h"

#define MAX_NESTING 100     /* submodels in submodels; also files that refer to files */
#define MAX_FILES 1000      /* that are looked into for one document */
#define MAX_COPIES 100000.0 /* of models in the flat model */

enum { NEW = 0, OPEN = -1 }; /* of dpi_sbml_one_model.copies; else the number itself */

void dpi_sbml_models_init(dpi_sbml_models *m, dp_ctx *ctx) {
  *m = (dpi_sbml_models){.ctx = ctx, .current = -1};
  dpi_map_init(&m->ids, ctx);
  dpi_arena_init(&m->arena, ctx);
}

void dpi_sbml_models_release(dpi_sbml_models *m) {
  dpi_free(m->ctx, m->model);
  dpi_free(m->ctx, m->part);
  dpi_map_release(&m->ids);
  dpi_arena_release(&m->arena);
}

static bool attribute(const dpi_xml_tag *tag, const char *name, dpi_xml_attr *a) {
  const char *at = NULL;
  while (dpi_xml_attribute(tag, &at, a))
    if (dpi_xml_is(a, name)) return true;
  return false;
}

static dp_status add_model(dpi_sbml_models *m, const dpi_xml_tag *tag, double copies) {
  dpi_xml_attr a;
  DP_TRY(dpi_grow(m->ctx, (void **)&m->model, &m->cap_model, m->nmodel + 1, sizeof *m->model));
  m->model[m->nmodel] = (dpi_sbml_one_model){.copies = copies, .first = -1};
  m->current = m->nmodel++;
  if (!attribute(tag, "id", &a)) return DP_OK;
  const char *id = dpi_arena_strndup(&m->arena, a.value, (size_t)a.nvalue);
  return id ? dpi_map_put(&m->ids, id, m->current) : DP_ERR_MEMORY;
}

static dp_status add_part(dpi_sbml_models *m, const dpi_xml_tag *tag) {
  dpi_xml_attr a, factor;
  if (m->current < 0 || !attribute(tag, "modelRef", &a)) return DP_OK;
  const char *id = dpi_arena_strndup(&m->arena, a.value, (size_t)a.nvalue);
  if (id == NULL) return DP_ERR_MEMORY;
  DP_TRY(dpi_grow(m->ctx, (void **)&m->part, &m->cap_part, m->npart + 1, sizeof *m->part));
  m->part[m->npart] = (dpi_sbml_part){.id = id,
                                        .next = m->model[m->current].first,
                                        .timed = attribute(tag, "timeConversionFactor", &factor),
                                        .at = tag->begin};
  m->model[m->current].first = m->npart++;
  return DP_OK;
}

/* libSBML opens and reads the file itself, without our rewriting: what would need it is refused. */
static dp_status add_external(scan_place *p, const dpi_xml_tag *tag) {
  const char *slash = strrchr(p->source, '/');
  dpi_xml_attr a;
  char path[1024], *text = NULL;
  size_t size = 0;
  double copies = 1;
  if (!attribute(tag, "source", &a)) return DP_OK; /* libSBML says so */
  if (a.nvalue > 5 && memcmp(a.value, "file:", 5) == 0) a.value += 5, a.nvalue -= 5;
  bool whole = a.nvalue > 0 && a.value[0] == '/';
  int n =
      snprintf(path, sizeof path, "%.*s%.*s", slash && !whole ? (int)(slash - p->source + 1) : 0,
               p->source, a.nvalue, a.value);
  if (n < 0 || n >= (int)sizeof path || !dpi_file_exists(path))
    return DP_OK; /* libSBML says so if it is needed */
  if (p->nesting >= MAX_NESTING || ++*p->nfile > MAX_FILES)
    return dpi_fail(p->ctx, DP_ERR_UNSUPPORTED, "%s:%d: files that refer to files without end",
                    p->source, dpi_xml_line(p->text, tag->begin));
  dpi_sbml_scan inner;
  dpi_sbml_scan_init(&inner, p->ctx);
  dp_status s = dpi_file_read(p->ctx, path, 0, &text, &size);
  if (s == DP_OK) s = dpi_sbml_scan_file(p, text, size, path, &inner, &copies);
  if (s == DP_OK && inner.changed)
    s = dpi_fail(p->ctx, DP_ERR_UNSUPPORTED,
                 "%s: a file that another model refers to may not have random draws, whole numbers "
                 "of ten digits, or "
                 "prefixes other than 'comp' and 'fbc' for these packages",
                 path);
  p->scan->converts = p->scan->converts || inner.converts;
  p->scan->lacks_math = p->scan->lacks_math || inner.lacks_math;
  p->scan->rates = p->scan->rates || inner.rates;
  bool rates = inner.rates;
  dpi_free(p->ctx, text);
  dpi_sbml_scan_release(&inner);
  if (s == DP_OK) s = add_model(&p->models, tag, copies);
  if (s == DP_OK) p->models.model[p->models.current].rates = rates;
  p->models.current = -1;
  return s;
}

/* Is this the csymbol rateOf? */
static bool is_rate(const dpi_xml_tag *tag) {
  static const char url[] = "http://www.sbml.org/sbml/symbols/rateOf";
  dpi_xml_attr a;
  return dpi_xml_named(tag, "csymbol") && attribute(tag, "definitionURL", &a) &&
         a.nvalue == (int)sizeof url - 1 && memcmp(a.value, url, sizeof url - 1) == 0;
}

dp_status dpi_sbml_models_tag(scan_place *p, const dpi_xml_tag *tag) {
  if (is_rate(tag)) {
    p->scan->rates = true;
    if (p->models.current >= 0) p->models.model[p->models.current].rates = true;
    return DP_OK;
  }
  if (dpi_xml_named(tag, "externalModelDefinition")) return add_external(p, tag);
  if (dpi_xml_named(tag, "modelDefinition") || (dpi_xml_named(tag, "model") && p->depth <= 2))
    return add_model(&p->models, tag, NEW);
  if (!dpi_xml_named(tag, "submodel")) return DP_OK;
  dpi_xml_attr a;
  if (attribute(tag, "timeConversionFactor", &a) || attribute(tag, "extentConversionFactor", &a))
    p->scan->converts = true;
  return add_part(&p->models, tag);
}

/* Copies of models that writing model i out makes, itself included. */
static dp_status count(const scan_place *p, int i, int nesting, double *copies) {
  dpi_sbml_one_model *m = &p->models.model[i];
  if (m->copies == OPEN)
    return dpi_fail(p->ctx, DP_ERR_INPUT, "%s: a model contains itself as a submodel", p->source);
  if (nesting > MAX_NESTING)
    return dpi_fail(p->ctx, DP_ERR_UNSUPPORTED, "%s: submodels are nested more than %d deep",
                    p->source, MAX_NESTING);
  if (m->copies == NEW) {
    double sum = 1, part = 0;
    m->copies = OPEN;
    for (int k = m->first; k >= 0; k = p->models.part[k].next) {
      int inner = dpi_map_get(&p->models.ids, p->models.part[k].id);
      if (inner < 0) continue; /* libSBML says so */
      DP_TRY(count(p, inner, nesting + 1, &part));
      /* libSBML converts times and delays of a submodel, but not rateOf: it would be off by the factor */
      if (p->models.part[k].timed && p->models.model[inner].rates)
        return dpi_fail(p->ctx, DP_ERR_UNSUPPORTED,
                        "%s:%d: rateOf in model '%s', whose time a submodel converts, is not supported", p->source,
                        dpi_xml_line(p->text, p->models.part[k].at), p->models.part[k].id);
      m->rates = m->rates || p->models.model[inner].rates;
      sum += part;
    }
    m->copies = sum;
  }
  *copies = m->copies;
  if (*copies <= MAX_COPIES) return DP_OK;
  return dpi_fail(p->ctx, DP_ERR_UNSUPPORTED, "%s: more than %.0f submodels", p->source,
                  MAX_COPIES);
}

dp_status dpi_sbml_models_count(const scan_place *p, double *most) {
  double copies = 0;
  *most = 1;
  for (int i = 0; i < p->models.nmodel; i++) {
    DP_TRY(count(p, i, 0, &copies));
    if (copies > *most) *most = copies;
  }
  return DP_OK;
}
