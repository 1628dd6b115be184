/* sbml_impl.h - floor 3: what the files of the SBML reader share (and the writer's entry point).
 *
 *     text --sbml_scan.c--> text that libSBML knows --libSBML--> document --sbml_flatten.c--> one flat model
 *          --sbml_read*.c, sbml_math.c--> dpi_net
 */
#ifndef DPI_SBML_IMPL_H
#define DPI_SBML_IMPL_H

#include <sbml/SBMLTypes.h>

#include "lang/network.h"

#define DPI_SBML_XML_DEPTH \
  2000 /* deepest nesting of elements that is handed to libSBML, which recurses */
#define DPI_SBML_FORMULA 20000 /* most operators in one formula of Level 1, for the same reason */
#define DPI_SBML_CHECKED \
  4000 /* elements of a model up to which libSBML checks how they fit together */

#define DPI_SBML_WIDE 50000 /* most arguments of one operation: libSBML counts through them for each of them */
#define DPI_SBML_WIDE_CHECKED 1000 /* arguments up to which it also checks how they fit together */

/* What the text says before libSBML sees it (sbml_scan.c, sbml_distrib.c). */
typedef struct dpi_sbml_scan {
  dpi_str
      text; /* what libSBML is to read: same lines; draws have become functions named mark + distribution */
  char mark[32];  /* start of those names; occurs nowhere else in the text */
  bool draws;     /* the package distrib is declared */
  bool rewritten; /* and used */
  bool changed;   /* the text is not the one that was given */
  bool converts;      /* a submodel has conversion factors of time or extent */
  bool lacks_math;    /* a rule, rate or part of an event stands there without mathematics */
  bool rates;     /* rateOf is used */
  bool comp;      /* the package comp is declared */
  bool flux;      /* the package fbc is declared */
  int widest;     /* most arguments of an operation in mathematics */
} dpi_sbml_scan;
void dpi_sbml_scan_init(dpi_sbml_scan *scan, dp_ctx *ctx);
void dpi_sbml_scan_release(dpi_sbml_scan *scan);
dp_status dpi_sbml_scan_text(dp_ctx *ctx, const char *text, size_t size, const char *source,
                             dpi_sbml_scan *scan);
bool dpi_sbml_is(const char *text, size_t size);

typedef struct dpi_sbml_reader {
  dp_ctx *ctx;
  const char *source;
  const dpi_sbml_scan *scan;
  SBMLDocument_t *doc;
  Model_t *model;
  int level, version;
  dpi_net *net;
  const dpi_net_parameter *local; /* of the reaction whose rate is read */
  int nlocal;
} dpi_sbml_reader;

/* One flat model (sbml_flatten.c). */
dp_status dpi_sbml_flatten(dpi_sbml_reader *r);
/* The first finding that makes a document no model, as a failure; `before` findings were judged already. */
dp_status dpi_sbml_judge(dpi_sbml_reader *r, unsigned before, dp_status status, const char *what);
/* libSBML's rules, those of units and practice apart; `whole`: whatever the size. */
dp_status dpi_sbml_check(dpi_sbml_reader *r, bool whole);

/* Mathematics (sbml_math.c); owner and id name the element in messages ("rule for", "x"). NULL gives NULL. */
dp_status dpi_sbml_take_math(dpi_sbml_reader *r, const ASTNode_t *math, int line, const char *owner,
                             const char *id, dpi_ast **out);

/* Elements (sbml_read.c), then reactions, rules and events (sbml_read_reaction.c), what else is said
 * (sbml_read_note.c, sbml_read_fbc.c). */
dp_status dpi_sbml_read_model(dpi_sbml_reader *r);
dp_status dpi_sbml_read_reactions(dpi_sbml_reader *r);
dp_status dpi_sbml_read_rules(dpi_sbml_reader *r);
dp_status dpi_sbml_read_events(dpi_sbml_reader *r);
dp_status dpi_sbml_read_notes(dpi_sbml_reader *r, SBase_t *element, const char *id);
/* XHTML that libSBML allocated -> its text alone; takes it over. */
dp_status dpi_sbml_plain(dpi_sbml_reader *r, char *html, const char **out);
dp_status dpi_sbml_read_flux(dpi_sbml_reader *r);
/* Set by an old-style annotation: the function is a draw (sbml_distrib.c). */
dp_status dpi_sbml_function_draw(dpi_sbml_reader *r, FunctionDefinition_t *f,
                                 dpi_net_function *out);

dp_status dpi_sbml_text(dpi_sbml_reader *r, const char *text,
                        const char **out); /* a copy in the net */

dp_status dpi_sbml_write(const dpi_net *net, dpi_str *out); /* sbml_write.c */

#endif
