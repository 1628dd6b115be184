/* sbml_write_impl.h - ring three of the SBML writer: what sbml_write.c, sbml_write_math.c and sbml_write_names.c share.
 *
 * The text is written directly rather than through libSBML, whose numbers have 15 digits: a model must come back with
 * the same bits.
 */
#ifndef DPI_SBML_WRITE_IMPL_H
#define DPI_SBML_WRITE_IMPL_H

#include "lang/network.h"

typedef struct dpi_sbmlw {
  const dpi_net *net;
  dpi_str *out;
  dpi_arena arena;
  int depth;                 /* of elements, for indentation */
  bool open;                 /* the last start tag may still get attributes */
  int version;               /* of Level 3: 1 when a reaction is `fast` (Version 2 has no such thing), else 2 */
  bool draws, extended;      /* packages distrib; l3v2extendedmath (Version 1 with mathematics of Version 2) */
  dpi_map taken, unit_taken; /* ids of the new text */
  dpi_map renamed, unit_renamed; /* old id -> index into text[] */
  int ntext, cap_text;
  const char **text;
  bool define_area;          /* Level 2's word for square metres needs a definition in Level 3 */
  const char *model_id;
  const char *default_compartment; /* "" : not needed */
  dpi_map annotated;         /* id -> its first annotation */
  int *next_annotation;
  int nmeta;                 /* metaids given out */
  const dpi_net_reaction *law; /* whose local parameters a formula may name; NULL: none */
  bool lambda;               /* in a function, whose names were checked */
  dp_status status;          /* first failure */
} dpi_sbmlw;

/* ---- text (sbml_write.c) ---- */
void dpi_xml_start(dpi_sbmlw *w, const char *element);
void dpi_xml_end(dpi_sbmlw *w, const char *element);
void dpi_xml_attr(dpi_sbmlw *w, const char *name, const char *value); /* left out when empty */
void dpi_xml_attr_bool(dpi_sbmlw *w, const char *name, bool value);
void dpi_xml_attr_number(dpi_sbmlw *w, const char *name, double value); /* left out when NaN */
void dpi_xml_leaf(dpi_sbmlw *w, const char *element, const char *text); /* <ci> S </ci> */
void dpi_xml_raw(dpi_sbmlw *w, const char *line);     /* a line at the present depth */
void dpi_xml_escape(dpi_str *out, const char *text);        /* also drops what XML can't carry */

/* ---- names (sbml_write_names.c) ---- */
void dpi_sbmlw_names_init(dpi_sbmlw *w);
dp_status dpi_sbmlw_names(dpi_sbmlw *w); /* decide all ids before the first is written */
void dpi_sbmlw_names_release(dpi_sbmlw *w);
const char *dpi_sbmlw_id(const dpi_sbmlw *w, const char *id);
/* A new id that begins like `wish` and nothing has; "" without memory (status says so). */
const char *dpi_sbmlw_new_id(dpi_sbmlw *w, const char *wish);
/* The id for something that had none, found again by `key`. */
void dpi_sbmlw_name(dpi_sbmlw *w, const char *key, const char *wish);
void dpi_sbmlw_restore(dpi_sbmlw *w, const char *key, const char *id); /* it is called by this id again */
/* The unit as SBML knows it; "" for what is none (noted). */
const char *dpi_sbmlw_unit(const dpi_sbmlw *w, const char *unit);
/* Is it made of base units in the end, also through others? What is defined by itself is not. */
bool dpi_sbmlw_unit_is_good(const dpi_sbmlw *w, const dpi_net_unit *u);
/* A unit the model defines; NULL: none of that id. */
const dpi_net_unit *dpi_sbmlw_unit_of(const dpi_sbmlw *w, const char *id);
/* The model's unit of `word` ("substance", ...): as said, or what Levels 1 and 2 mean. */
const char *dpi_sbmlw_model_unit(const dpi_sbmlw *w, const char *said, const char *word);

/* ---- mathematics (sbml_write_math.c) ---- */
const char *dpi_sbmlw_core_uri(const dpi_sbmlw *w);
void dpi_sbmlw_math(dpi_sbmlw *w, const dpi_ast *a); /* <math> with it; nothing for NULL */
void dpi_sbmlw_lambda(dpi_sbmlw *w, const dpi_net_function *f);
/* Which packages the mathematics of the net needs. */
void dpi_sbmlw_math_needs(dpi_sbmlw *w);

/* ---- what changes no equation, and flux balance (sbml_write_note.c) ---- */
dp_status dpi_sbmlw_index_annotations(dpi_sbmlw *w);
void dpi_sbmlw_base(dpi_sbmlw *w, const char *id);    /* metaid, sboTerm: after the start of the element */
void dpi_sbmlw_details(dpi_sbmlw *w, const char *id); /* notes, annotation: after its attributes */
void dpi_sbmlw_paragraph(dpi_sbmlw *w, const char *text);
void dpi_sbmlw_flux_species(dpi_sbmlw *w, const dpi_net_species *s);
void dpi_sbmlw_objectives(dpi_sbmlw *w);
void dpi_sbmlw_left_out(const dpi_sbmlw *w);          /* notes on it */

#endif
