/* sbml_scan.h - floor 3: the tags of an XML text, for the files that look at it before libSBML does.
 * Nothing is decoded: places in the text come back. */
#ifndef DPI_SBML_SCAN_H
#define DPI_SBML_SCAN_H

#include "lang/sbml/sbml_impl.h"

typedef struct dpi_xml {
  const char *at, *end;
  bool entities; /* a document type with declarations was passed */
} dpi_xml;

typedef struct dpi_xml_tag {
  const char *begin, *end;  /* from '<' to past '>' */
  const char *name, *after; /* local name */
  bool closing, empty;
} dpi_xml_tag;

typedef struct dpi_xml_attr {
  const char *name, *value;
  int nname, nvalue;
  int nprefix; /* of the name, without its colon; 0 none */
} dpi_xml_attr;

bool dpi_xml_next(dpi_xml *x, dpi_xml_tag *tag); /* the next opening, closing or empty tag */
bool dpi_xml_named(const dpi_xml_tag *tag, const char *name);
bool dpi_xml_attribute(const dpi_xml_tag *tag, const char **at,
                       dpi_xml_attr *a);                  /* *at NULL: the first */
bool dpi_xml_is(const dpi_xml_attr *a, const char *name); /* whatever its prefix */
int dpi_xml_line(const char *text, const char *at);

/* ---- submodels (sbml_models.c) ---- */
typedef struct dpi_sbml_part { /* a submodel */
  const char *id;              /* of the model it is a copy of */
  int next;                    /* the next part of the same model, -1 none */
  bool timed;                  /* with a conversion factor of time */
  const char *at;              /* its tag */
} dpi_sbml_part;

typedef struct dpi_sbml_one_model {
  double copies;
  bool rates; /* uses rateOf, itself or in a part */
  int first;  /* part, -1 none */
} dpi_sbml_one_model;

typedef struct dpi_sbml_models {
  dp_ctx *ctx;
  dpi_arena arena;
  dpi_map ids; /* of models */
  int nmodel, cap_model, npart, cap_part;
  dpi_sbml_one_model *model;
  dpi_sbml_part *part;
  int current; /* the model whose tags come by */
} dpi_sbml_models;

/* ---- the pass over a text (sbml_scan.c) ---- */
#define DPI_SBML_PREFIXES 2
typedef struct
    dpi_sbml_prefix { /* a package under another prefix than its usual one, on which libSBML relies */
  const char *old;    /* in the text */
  int nold;
  const char *name; /* usual one */
} dpi_sbml_prefix;

typedef struct scan_place {
  dp_ctx *ctx;
  const char *text, *source;
  size_t size;
  int nesting, *nfile; /* of files that refer to files */
  int depth, ntag;
  int wide[DPI_SBML_XML_DEPTH + 2]; /* by depth: elements so far in the operation there; -1: it is none */
  int wanting; /* depth of an element whose mathematics has not come yet; 0 none */
  bool level_one, level_three;
  bool large; /* there are numbers to rewrite */
  int nprefix;
  dpi_sbml_prefix prefix[DPI_SBML_PREFIXES];
  dpi_xml_attr
      required; /* distrib:required, to be made false: this libSBML does not know the package */
  dpi_sbml_models models;
  dpi_sbml_scan *scan;
} scan_place;

void dpi_sbml_models_init(dpi_sbml_models *m, dp_ctx *ctx);
void dpi_sbml_models_release(dpi_sbml_models *m);
dp_status dpi_sbml_models_tag(scan_place *p, const dpi_xml_tag *tag);
dp_status dpi_sbml_models_count(const scan_place *p, double *most);
/* A file that p's text refers to. */
dp_status dpi_sbml_scan_file(const scan_place *p, const char *text, size_t size, const char *source,
                             dpi_sbml_scan *out, double *copies);

/* A number <cn type="integer"> too long for libSBML; *a: its type. */
bool dpi_xml_large(const dpi_xml_tag *tag, const char *end, dpi_xml_attr *a);
dp_status dpi_sbml_rewrite(scan_place *p); /* sbml_distrib.c */

#endif
