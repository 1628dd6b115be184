/* nmtran_control.h - floor 3: an NM-TRAN control stream as the texts of a kind of twin.
 *
 * A control stream (NONMEM's model file, usually *.ctl or *.mod) says what a kind's folder says: a model, typical
 * values, how people differ, the error of a measurement, and what a table's columns mean. This reader writes it as
 * those files, in memory: twin.yaml, model.ant, parameters.tsv, population.tsv, covariates.tsv, observables.tsv,
 * controls.tsv. Whoever reads kinds reads them like any other; written into a folder they show what was understood.
 *
 *     dpi_nmtran_kind k;
 *     DP_TRY(dpi_nmtran_control(ctx, &arena, text, size, "run1.ctl", &k));
 *     dpi_nmtran_text(&k, "model.ant")
 *
 * What is not understood is refused by name with file and line (ERR_UNSUPPORTED), what is wrong with ERR_INPUT.
 * Constructs, limits and the order of work: nmtran/README.md.
 */
#ifndef DPI_NMTRAN_CONTROL_H
#define DPI_NMTRAN_CONTROL_H

#include "base/base.h"

enum { DPI_NMTRAN_FILES = 8 };

typedef struct dpi_nmtran_kind {
  struct {
    const char *name, *text;
  } file[DPI_NMTRAN_FILES];
  int nfile;
  const char *data;        /* $DATA's file as written, "" none */
  const char *const *note; /* [nnote] what was left out or taken in a way worth telling */
  int nnote;
} dpi_nmtran_kind;

/* Everything lives in the arena. id: the kind's, made from the file's name. */
dp_status dpi_nmtran_control(dp_ctx *ctx, dpi_arena *arena, const char *text, size_t size, const char *source,
                             dpi_nmtran_kind *out);
/* The text of that name, NULL when there is none. */
const char *dpi_nmtran_text(const dpi_nmtran_kind *kind, const char *name);
/* Do these bytes begin like a control stream: comments, then a record $PROBLEM (or $SIZES, $INPUT ...)? */
bool dpi_nmtran_is_control(const char *text, size_t size);

#endif
