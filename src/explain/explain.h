/* explain.h - floor 8: what the files of this room share.
 *
 *   document.c   study -> JSON document (jansson); the one source of the page and of --json
 *   person.c     one person's part of it
 *   density.c    prior beside posterior as smooth curves
 *   json_text.c  numbers, texts and failure of the document
 *   study_text.c the same study as a table for a terminal
 *   kind_text.c  a kind in words      record_text.c  a record as a kind understands it
 *   page.c       the document put into the page's template
 */
#ifndef DPI_EXPLAIN_H
#define DPI_EXPLAIN_H

#include <jansson.h>

#include "doppel/report.h"
#include "kind/kind_impl.h"
#include "num/num.h"

/* The whole document; NULL without memory. for_page adds what only the page draws (densities, the slider's turns). */
json_t *dpi_explain_document(const dp_study *study, const char *command, bool for_page);
json_t *dpi_explain_person(const dp_study *study, int i, bool for_page);
/* Parts that describe a kind. */
json_t *dpi_explain_kind(const dp_kind *kind);
json_t *dpi_explain_observables(const dp_kind *kind);
json_t *dpi_explain_parameters(const dp_kind *kind);
json_t *dpi_explain_reward(const dp_kind *kind);

/* A finite number, else null. */
json_t *dpi_explain_number(double x);
json_t *dpi_explain_numbers(const double *x, int n);
/* A text: NULL is "", bytes that are no UTF-8 (a message cut short, a foreign file) become "?". */
json_t *dpi_explain_text(const char *text);
/* Put a part into its whole; a part or whole that could not be made makes *good false. */
void dpi_explain_append(json_t *array, json_t *item, bool *good);
void dpi_explain_set(json_t *object, const char *key, json_t *item, bool *good);
/* Text of a document (which is destroyed) in the library's memory; NULL: there was no memory for it. */
dp_status dpi_explain_dump(dp_ctx *ctx, json_t *document, size_t flags, char **text);

/* Median sd of the discrepancy term among a belief's draws, NaN when the term is off or without memory. */
double dpi_explain_discrepancy(const dp_belief *belief);

/* The page's document as compact text; free with dp_report_free. */
dp_status dpi_explain_page_data(const dp_study *study, const char *command, char **text);

/* Gaussian kernel densities of two weighted-equal samples on one grid (log scale when all are positive). */
enum { DPI_DENSITY_POINTS = 61 };
void dpi_explain_density(const double *a, int na, const double *b, int nb, bool log_scale, double *x, double *da,
                         double *db);

/* One person's line of the sceptic's table, used by text and document alike. */
const dp_candidate *dpi_explain_chosen(const dp_advice *a);

#endif
