/* kind_sheet.c - cells of a kind's tables, typed, with messages that name file, line and column.
 *
 * The text itself is read by format/table.h; here its cells are copied into the kind's arena (a kind outlives the file)
 * and reached by column name.
 */
#include "kind/kind_sheet.h"

#include <math.h>
#include <string.h>

#include "format/table.h"

/* Known columns only, required ones present. */
static dp_status check_columns(const dpi_sheet *s, const dpi_table *table) {
  const char *names[64];
  DP_ASSERT(s->ncolumn <= DPI_COUNT(names));
  for (int i = 0; i < s->ncolumn; i++) names[i] = s->column[i].name;
  DP_TRY(dpi_table_only(table, names, s->ncolumn));
  for (int i = 0; i < s->ncolumn; i++) {
    int index;
    if (s->column[i].required) DP_TRY(dpi_table_need(table, s->column[i].name, &index));
  }
  return DP_OK;
}

/* All cells of the known columns, in the order of the known columns. */
static dp_status copy_cells(dpi_sheet *s, const dpi_table *table) {
  s->cell = DPI_ARENA_ARRAY(s->arena, const char *, (size_t)table->nrow *(size_t)s->ncolumn);
  s->line = DPI_ARENA_ARRAY(s->arena, int, table->nrow);
  if (!s->cell || !s->line) return DP_ERR_MEMORY;
  for (int i = 0; i < s->ncolumn; i++) {
    int index = dpi_table_column(table, s->column[i].name);
    for (int row = 0; row < table->nrow; row++) {
      const char *copy = dpi_arena_strdup(s->arena, dpi_table_cell(table, row, index));
      if (!copy) return DP_ERR_MEMORY;
      s->cell[row * s->ncolumn + i] = copy;
    }
  }
  for (int row = 0; row < table->nrow; row++) s->line[row] = dpi_table_line(table, row);
  s->nrow = table->nrow;
  return DP_OK;
}

dp_status dpi_sheet_open(dpi_sheet *sheet, dp_ctx *ctx, dpi_arena *arena, const char *source,
                         const char *text, size_t size, const dpi_sheet_column *column,
                         int ncolumn) {
  *sheet = (dpi_sheet){
      .ctx = ctx, .arena = arena, .source = source, .column = column, .ncolumn = ncolumn};
  dpi_table *table = NULL;
  DP_TRY(dpi_table_read(ctx, text, size, source, '\t', &table));
  dp_status status = check_columns(sheet, table);
  if (status == DP_OK) status = copy_cells(sheet, table);
  dpi_table_destroy(table);
  return status;
}

const char *dpi_sheet_cell(const dpi_sheet *s, int row, const char *column) {
  for (int i = 0; i < s->ncolumn; i++)
    if (strcmp(s->column[i].name, column) == 0) return s->cell[row * s->ncolumn + i];
  DP_ASSERT(!"column not in the list");
  return "";
}

dp_status dpi_sheet_fail(const dpi_sheet *s, int row, const char *column, const char *expected) {
  const char *found = dpi_sheet_cell(s, row, column);
  return dpi_fail(s->ctx, DP_ERR_INPUT, "%s:%d: column %s: found '%s', %s", s->source, s->line[row],
                  column, found, expected);
}

dp_status dpi_sheet_need(const dpi_sheet *s, int row, const char *column, const char **out) {
  *out = dpi_sheet_cell(s, row, column);
  return **out ? DP_OK : dpi_sheet_fail(s, row, column, "expected a value");
}

/* A letter or _, then letters, digits, _. */
static bool is_identifier(const char *text) {
  for (int i = 0; text[i]; i++) {
    char c = text[i];
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    bool digit = c >= '0' && c <= '9';
    if (!letter && !(digit && i > 0)) return false;
  }
  return text[0] != '\0';
}

dp_status dpi_sheet_id(const dpi_sheet *s, int row, const char *column, const char **out) {
  DP_TRY(dpi_sheet_need(s, row, column, out));
  if (!is_identifier(*out))
    return dpi_sheet_fail(s, row, column, "expected a letter or _, then letters, digits or _");
  if (strcmp(*out, "time") == 0)
    return dpi_sheet_fail(s, row, column, "but time is the model's clock");
  return DP_OK;
}

dp_status dpi_sheet_number(const dpi_sheet *s, int row, const char *column, double fallback,
                           double *out) {
  const char *text = dpi_sheet_cell(s, row, column);
  *out = fallback;
  if (!*text || dpi_parse_double(text, out)) return DP_OK;
  return dpi_sheet_fail(s, row, column, "expected a number");
}

dp_status dpi_sheet_int(const dpi_sheet *s, int row, const char *column, int fallback, int low,
                        int high, int *out) {
  const char *text = dpi_sheet_cell(s, row, column);
  int64_t value = fallback;
  *out = fallback;
  if (!*text) return DP_OK;
  if (!dpi_parse_int(text, &value) || value < low || value > high)
    return dpi_fail(s->ctx, DP_ERR_INPUT,
                    "%s:%d: column %s: found '%s', expected a whole number from %d to %d",
                    s->source, s->line[row], column, text, low, high);
  *out = (int)value;
  return DP_OK;
}

dp_status dpi_sheet_flag(const dpi_sheet *s, int row, const char *column, bool fallback,
                         bool *out) {
  const char *text = dpi_sheet_cell(s, row, column);
  *out = fallback;
  if (!*text) return DP_OK;
  *out = strcmp(text, "1") == 0 || strcmp(text, "true") == 0;
  if (*out || strcmp(text, "0") == 0 || strcmp(text, "false") == 0) return DP_OK;
  return dpi_sheet_fail(s, row, column, "expected 1 or 0");
}

dp_status dpi_sheet_word(const dpi_sheet *s, int row, const char *column, const char *const *words,
                         int nword, int fallback, int *out) {
  const char *text = dpi_sheet_cell(s, row, column);
  *out = fallback;
  if (!*text) return DP_OK;
  char list[160] = "expected one of";
  for (int i = 0; i < nword; i++) {
    if (strcmp(text, words[i]) == 0) return *out = i, DP_OK;
    size_t at = strlen(list);
    for (const char *c = i ? ", " : " "; *c && at + 1 < sizeof list; c++) list[at++] = *c;
    for (const char *c = words[i]; *c && at + 1 < sizeof list; c++) list[at++] = *c;
    list[at] = '\0';
  }
  return dpi_sheet_fail(s, row, column, list);
}

dp_status dpi_sheet_list(const dpi_sheet *s, int row, const char *column, const double **out,
                         int *n) {
  const char *text = dpi_sheet_cell(s, row, column);
  *out = NULL;
  *n = 0;
  if (!*text) return DP_OK;
  int count = 1;
  for (const char *c = text; *c; c++) count += *c == ';';
  double *list = DPI_ARENA_ARRAY(s->arena, double, count);
  if (!list) return DP_ERR_MEMORY;
  for (int i = 0; i < count; i++) {
    size_t len = strcspn(text, ";");
    char *item = dpi_arena_strndup(s->arena, text, len);
    if (!item) return DP_ERR_MEMORY;
    bool good = dpi_parse_double(item, &list[i]) && list[i] > (i ? list[i - 1] : 0.0);
    if (!good)
      return dpi_sheet_fail(s, row, column, "expected ascending numbers > 0 with ';' between");
    text += len + (text[len] == ';');
  }
  *out = list;
  *n = count;
  return DP_OK;
}

const char *dpi_sheet_where(const dpi_sheet *s, int row, const char *column) {
  return dpi_arena_printf(s->arena, "%s:%d: column %s", s->source, s->line[row], column);
}
