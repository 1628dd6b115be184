/* kind_sheet.h - a kind's tab-separated table: known columns only, cells by row and column name.  Private to the room.
 *
 *     static const dpi_sheet_column columns[] = {{"parameterId", true}, {"unit", true}, {"name", false}};
 *     DP_TRY(dpi_sheet_open(&sheet, ctx, arena, path, text, size, columns, DPI_COUNT(columns)));
 *     for (int row = 0; row < sheet.nrow; row++) DP_TRY(dpi_sheet_number(&sheet, row, "lloq", NAN, &x));
 */
#ifndef DPI_KIND_SHEET_H
#define DPI_KIND_SHEET_H

#include "base/base.h"

typedef struct dpi_sheet_column {
  const char *name;
  bool required; /* the column must stand in the header (its cells may still be empty) */
} dpi_sheet_column;

typedef struct dpi_sheet {
  dp_ctx *ctx;
  dpi_arena *arena;
  const char *source;
  int nrow;
  const dpi_sheet_column *column; /* the columns a table may have, borrowed (static) */
  int ncolumn;
  const char **cell; /* [nrow x ncolumn] text, "" when absent */
  int *line;         /* [nrow] */
} dpi_sheet;

/* Unknown, repeated and missing columns are ERR_INPUT. Cells live in the arena;
 * "." and "NA" stay as they are (they are no numbers and no ids). */
dp_status dpi_sheet_open(dpi_sheet *sheet, dp_ctx *ctx, dpi_arena *arena, const char *source,
                         const char *text, size_t size, const dpi_sheet_column *column,
                         int ncolumn);
/* "" when the cell is empty or the column absent. */
const char *dpi_sheet_cell(const dpi_sheet *s, int row, const char *column);
/* The cell, ERR_INPUT when it is empty. */
dp_status dpi_sheet_need(const dpi_sheet *s, int row, const char *column, const char **out);
/* The cell as an identifier: a letter or _, then letters, digits, _; not `time`. */
dp_status dpi_sheet_id(const dpi_sheet *s, int row, const char *column, const char **out);
/* The cell as a number; empty: the fallback (may be NaN). */
dp_status dpi_sheet_number(const dpi_sheet *s, int row, const char *column, double fallback,
                           double *out);
dp_status dpi_sheet_int(const dpi_sheet *s, int row, const char *column, int fallback, int low,
                        int high, int *out);
/* 1, true / 0, false; empty: the fallback. */
dp_status dpi_sheet_flag(const dpi_sheet *s, int row, const char *column, bool fallback, bool *out);
/* The cell as an index into words; empty: the fallback. ERR_INPUT lists the words. */
dp_status dpi_sheet_word(const dpi_sheet *s, int row, const char *column, const char *const *words,
                         int nword, int fallback, int *out);
/* "100;200;300" as ascending positive numbers. */
dp_status dpi_sheet_list(const dpi_sheet *s, int row, const char *column, const double **out,
                         int *n);
/* "path:line: column" for messages made elsewhere. NULL without memory. */
const char *dpi_sheet_where(const dpi_sheet *s, int row, const char *column);
/* ERR_INPUT "path:line: column NAME: found 'x', <expected>". */
dp_status dpi_sheet_fail(const dpi_sheet *s, int row, const char *column, const char *expected);

#endif
