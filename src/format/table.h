/* table.h - floor 3: text tables (CSV, TSV, blank-separated) as cells with their place in the file.
 *
 * Shared by the formats and by the files of a kind (parameters.tsv, ...). What is read:
 *   - one header line with the columns' names, then rows; CR LF, LF and CR end lines; a UTF-8 BOM
 *     is skipped;
 *   - empty lines and lines that begin with '#' are left out;
 *   - a cell that begins with '"' is quoted (RFC 4180): separators, line ends and "" inside it are
 *     text;
 *   - blanks around a cell that is not quoted do not belong to it.
 * Refused with ERR_INPUT, naming the line: no header, rows with another number of cells than the
 * header, columns without a name or with the same name, quotes that do not end, NUL bytes.
 *
 *     dpi_table *t;
 *     int id, nominal;
 *     DP_TRY(dpi_table_load(ctx, "parameters.tsv", '\t', &t));
 *     DP_TRY(dpi_table_need(t, "parameterId", &id));  "parameters.tsv:1: found no column ..."
 *     DP_TRY(dpi_table_need(t, "nominalValue", &nominal));
 *     for (int r = 0; r < t->nrow; r++) DP_TRY(dpi_table_number(t, r, nominal, &x));
 *     dpi_table_destroy(t);
 *
 * All texts live as long as the table. A column index of -1 stands for a column that is not there:
 * its cells are "".
 */
#ifndef DPI_TABLE_H
#define DPI_TABLE_H

#include "base/base.h"

#define DPI_TABLE_DETECT \
  '\0' /* separator: tab, else comma, else blanks, whichever the header line has */

typedef struct dpi_table {
  dp_ctx *ctx;
  const char *source; /* file name for messages */
  char sep;           /* ',', '\t', ';' or ' ' (any run of blanks and tabs) */
  int nrow, ncolumn;
  int header_line;
  const char *const *column; /* [ncolumn] names */
  const char **cell;         /* [nrow x ncolumn] */
  int *line;                 /* [nrow] line where the row begins, from 1 */
  dpi_arena arena;           /* owns everything above */
} dpi_table;

/* From bytes; they are copied. From a file (its path is the source). Owned by the caller. */
dp_status dpi_table_read(dp_ctx *ctx, const char *data, size_t size, const char *source, char sep,
                         dpi_table **out);
dp_status dpi_table_load(dp_ctx *ctx, const char *path, char sep, dpi_table **out);
void dpi_table_destroy(dpi_table *table); /* NULL allowed */

/* Columns: index or -1; letters' case counts, or (nocase) not. */
int dpi_table_column(const dpi_table *table, const char *name);
int dpi_table_column_nocase(const dpi_table *table, const char *name);
/* A column that must be there. */
dp_status dpi_table_need(const dpi_table *table, const char *name, int *column);
/* Refuse columns that are not in the list. */
dp_status dpi_table_only(const dpi_table *table, const char *const *names, int n);

/* Cells. "" when the column is -1. */
const char *dpi_table_cell(const dpi_table *table, int row, int column);
int dpi_table_line(const dpi_table *table, int row);
/* "", ".", "NA" and "NaN" (any case) stand for "no value". */
bool dpi_table_missing(const char *cell);

/* Typed cells. The plain forms refuse a missing value; the _or forms give the fallback for it (or
 * for column -1). */
dp_status dpi_table_text(const dpi_table *table, int row, int column,
                         const char **out); /* not empty */
dp_status dpi_table_number(const dpi_table *table, int row, int column, double *out);
dp_status dpi_table_number_or(const dpi_table *table, int row, int column, double fallback,
                              double *out);
dp_status dpi_table_bound_or(const dpi_table *table, int row, int column, double fallback,
                             double *out); /* also inf, -inf */
dp_status dpi_table_int(const dpi_table *table, int row, int column, int *out);
dp_status dpi_table_int_or(const dpi_table *table, int row, int column, int fallback, int *out);
dp_status dpi_table_bool_or(const dpi_table *table, int row, int column, bool fallback,
                            bool *out); /* 1 0 true false yes no */
/* Which of the n words; fallback < 0: a missing value is refused. */
dp_status dpi_table_choice(const dpi_table *table, int row, int column, const char *const *words,
                           int n, int fallback, int *out);

/* ERR_INPUT "source:line: column X: <message>", without "column X: " when column is -1. row -1: the
 * header's line. */
dp_status dpi_table_fail(const dpi_table *table, int row, int column, const char *fmt, ...)
    DPI_PRINTF(4, 5);

#endif
