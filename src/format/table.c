/* table.c - floor 3: the reader behind table.h.
 *
 * The bytes are copied once; cells are cut in place by writing a NUL where each ends, so a table
 * costs its text plus one pointer a cell. States of a line: start (blank, comment or row) -> cell
 * (plain or quoted) -> separator: next cell, line end: the row is counted against the header.
 */
#include "format/table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ECHO 60 /* characters of a cell repeated in a message */

typedef struct reader {
  dpi_table *table;
  char *p;  /* next character; a NUL stands behind the last */
  int line; /* of p */
  char sep;
  const char **cell; /* grown; becomes the table's */
  int ncell, cap;
  int *row_line;
  int nrow, row_cap;
} reader;

/* ---- lines ---- */

static bool is_space(char c, char sep) { return c == ' ' || (c == '\t' && sep != '\t'); }
static bool is_end(char c) { return c == '\0' || c == '\n' || c == '\r'; }

/* Step over the line end at p, if any. */
static char *after_line_end(char *p) {
  if (*p == '\r') return p + (p[1] == '\n' ? 2 : 1);
  return *p == '\n' ? p + 1 : p;
}

/* Leave out empty lines and comments; false at the end of the text. */
static bool next_line(reader *r) {
  while (*r->p) {
    char *q = r->p;
    while (*q == ' ') q++;
    if (!is_end(*q) && *q != '#') return true;
    while (!is_end(*q)) q++;
    r->p = after_line_end(q);
    r->line++;
  }
  return false;
}

/* Tab, else comma, else semicolon, else blanks. */
static char detect(const char *p) {
  size_t n = strcspn(p, "\r\n");
  if (memchr(p, '\t', n)) return '\t';
  if (memchr(p, ',', n)) return ',';
  return memchr(p, ';', n) ? ';' : ' ';
}

/* ---- cells ---- */

static dp_status fail_at(const reader *r, int line, const char *what) {
  return dpi_fail(r->table->ctx, DP_ERR_INPUT, "%s:%d: %s", r->table->source, line, what);
}

/* Text between quotes, "" made to "; p stands on the opening quote and ends behind the closing
 * one. */
static dp_status quoted_cell(reader *r, const char **text) {
  int line = r->line;
  char *from = r->p + 1, *to = from;
  *text = to;
  for (;; from++) {
    if (*from == '\0') return fail_at(r, line, "found a quote that does not end, expected '\"'");
    if (*from == '"' && from[1] != '"') break;
    if (*from == '"') from++;
    if (*from == '\n' || (*from == '\r' && from[1] != '\n')) r->line++;
    *to++ = *from;
  }
  r->p = from + 1;
  *to = '\0';
  while (is_space(*r->p, r->sep)) r->p++;
  /* blank-separated: the blanks just skipped were the separator */
  if (is_end(*r->p) || *r->p == r->sep || (r->sep == ' ' && r->p > from + 1)) return DP_OK;
  return fail_at(r, r->line, "found text after a closing quote, expected a separator");
}

/* Text up to the separator; *stop is where the NUL belongs once p has been looked at. */
static void plain_cell(reader *r, const char **text, char **stop) {
  char *q = r->p, sep = r->sep;
  *text = q;
  if (sep == ' ') {
    while (!is_end(*q) && *q != ' ' && *q != '\t') q++;
  } else {
    while (!is_end(*q) && *q != sep) q++;
  }
  r->p = q;
  while (q > *text && is_space(q[-1], sep)) q--;
  *stop = q;
}

/* One cell; *last when the line ends behind it, which is then stepped over. */
static dp_status read_cell(reader *r, const char **text, bool *last) {
  char *stop = NULL;
  while (is_space(*r->p, r->sep)) r->p++;
  if (*r->p == '"')
    DP_TRY(quoted_cell(r, text));
  else
    plain_cell(r, text, &stop);
  if (r->sep == ' ') {
    while (is_space(*r->p, ' ')) r->p++;
  }
  *last = is_end(*r->p);
  bool separator = !*last && *r->p == r->sep && r->sep != ' ';
  char *next = *last ? after_line_end(r->p) : r->p + separator;
  if (*last && next > r->p) r->line++;
  if (stop) *stop = '\0'; /* may overwrite the separator or line end, so it comes last */
  r->p = next;
  return DP_OK;
}

/* Append the cells of one line. */
static dp_status read_line(reader *r, int *n) {
  dp_ctx *ctx = r->table->ctx;
  bool last = false;
  for (*n = 0; !last; (*n)++) {
    if (r->ncell == INT32_MAX) return fail_at(r, r->line, "found too many cells");
    DP_TRY(dpi_grow(ctx, (void **)&r->cell, &r->cap, r->ncell + 1, sizeof *r->cell));
    DP_TRY(read_cell(r, &r->cell[r->ncell], &last));
    r->ncell++;
  }
  return DP_OK;
}

/* ---- header and rows ---- */

/* Columns have names, each its own. */
static dp_status check_names(dpi_table *t) {
  dpi_map seen;
  dpi_map_init(&seen, t->ctx);
  dp_status status = DP_OK;
  for (int k = 0; k < t->ncolumn && status == DP_OK; k++) {
    const char *name = t->column[k];
    int before = dpi_map_get(&seen, name);
    if (!*name) {
      status = dpi_fail(t->ctx, DP_ERR_INPUT, "%s:%d: column %d has no name", t->source,
                        t->header_line, k + 1);
    } else if (before >= 0) {
      status = dpi_fail(t->ctx, DP_ERR_INPUT,
                        "%s:%d: found column %.*s twice (columns %d and %d), expected it once",
                        t->source, t->header_line, ECHO, name, before + 1, k + 1);
    } else {
      status = dpi_map_put(&seen, name, k);
    }
  }
  dpi_map_release(&seen);
  return status;
}

static dp_status read_header(reader *r) {
  dpi_table *t = r->table;
  if (!next_line(r)) {
    return dpi_fail(t->ctx, DP_ERR_INPUT, "%s: found an empty file, expected a header line",
                    t->source);
  }
  t->header_line = r->line;
  if (r->sep == DPI_TABLE_DETECT) r->sep = detect(r->p);
  t->sep = r->sep;
  int n;
  DP_TRY(read_line(r, &n));
  const char **names = DPI_ARENA_ARRAY(&t->arena, const char *, n);
  if (!names) return DP_ERR_MEMORY;
  memcpy(names, r->cell, (size_t)n * sizeof *names);
  t->column = names;
  t->ncolumn = n;
  r->ncell = 0;
  return check_names(t);
}

static dp_status read_rows(reader *r) {
  dpi_table *t = r->table;
  while (next_line(r)) {
    int line = r->line, n;
    DP_TRY(read_line(r, &n));
    if (n != t->ncolumn) {
      return dpi_fail(t->ctx, DP_ERR_INPUT,
                      "%s:%d: found %d field%s, expected %d as in the header (line %d)", t->source,
                      line, n, n == 1 ? "" : "s", t->ncolumn, t->header_line);
    }
    DP_TRY(dpi_grow(t->ctx, (void **)&r->row_line, &r->row_cap, r->nrow + 1, sizeof(int)));
    r->row_line[r->nrow++] = line;
  }
  return DP_OK;
}

/* ---- life ---- */

/* Line of the first NUL byte; text has none. */
static dp_status check_nul(const dpi_table *t, const char *data, size_t size) {
  const char *nul = size ? memchr(data, '\0', size) : NULL;
  if (!nul) return DP_OK;
  int line = 1;
  for (const char *p = data; p < nul; p++) line += *p == '\n';
  return dpi_fail(t->ctx, DP_ERR_INPUT, "%s:%d: found a NUL byte, expected text in UTF-8",
                  t->source, line);
}

static dp_status fill(dpi_table *t, const char *data, size_t size, const char *source, char sep) {
  t->source = dpi_arena_strdup(&t->arena, source ? source : "(memory)");
  if (!t->source) return DP_ERR_MEMORY;
  DP_TRY(check_nul(t, data, size));
  if (size >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0) data += 3, size -= 3;
  char *text = dpi_arena_strndup(&t->arena, data, size);
  if (!text) return DP_ERR_MEMORY;
  reader r = {.table = t, .p = text, .line = 1, .sep = sep};
  dp_status status = read_header(&r);
  if (status == DP_OK) status = read_rows(&r);
  /* the table owns the arrays also when reading failed half-way */
  t->cell = r.cell;
  t->line = r.row_line;
  t->nrow = r.nrow;
  return status;
}

dp_status dpi_table_read(dp_ctx *ctx, const char *data, size_t size, const char *source, char sep,
                         dpi_table **out) {
  *out = NULL;
  dpi_table *t = DPI_NEW(ctx, dpi_table);
  if (!t) return DP_ERR_MEMORY;
  t->ctx = ctx;
  dpi_arena_init(&t->arena, ctx);
  dp_status status = fill(t, data, size, source, sep);
  if (status == DP_OK)
    *out = t;
  else
    dpi_table_destroy(t);
  return status;
}

dp_status dpi_table_load(dp_ctx *ctx, const char *path, char sep, dpi_table **out) {
  char *data;
  size_t size;
  *out = NULL;
  DP_TRY(dpi_file_read(ctx, path, 0, &data, &size));
  dp_status status = dpi_table_read(ctx, data, size, path, sep, out);
  dpi_free(ctx, data);
  return status;
}

void dpi_table_destroy(dpi_table *t) {
  if (!t) return;
  dpi_free(t->ctx, t->cell);
  dpi_free(t->ctx, t->line);
  dpi_arena_release(&t->arena);
  dpi_free(t->ctx, t);
}

/* ---- columns ---- */

int dpi_table_column(const dpi_table *t, const char *name) {
  for (int k = 0; k < t->ncolumn; k++) {
    if (strcmp(t->column[k], name) == 0) return k;
  }
  return -1;
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

static bool same_nocase(const char *a, const char *b) {
  while (*a && lower(*a) == lower(*b)) a++, b++;
  return *a == *b;
}

int dpi_table_column_nocase(const dpi_table *t, const char *name) {
  for (int k = 0; k < t->ncolumn; k++) {
    if (same_nocase(t->column[k], name)) return k;
  }
  return -1;
}

dp_status dpi_table_need(const dpi_table *t, const char *name, int *column) {
  *column = dpi_table_column(t, name);
  if (*column >= 0) return DP_OK;
  const char *near = dpi_nearest_word(name, t->column, t->ncolumn);
  if (near) {
    return dpi_fail(t->ctx, DP_ERR_INPUT, "%s:%d: found no column %s, expected one; is it %s?",
                    t->source, t->header_line, name, near);
  }
  return dpi_fail(t->ctx, DP_ERR_INPUT, "%s:%d: found no column %s, expected one", t->source,
                  t->header_line, name);
}

dp_status dpi_table_only(const dpi_table *t, const char *const *names, int n) {
  for (int k = 0; k < t->ncolumn; k++) {
    int i = 0;
    while (i < n && strcmp(names[i], t->column[k]) != 0) i++;
    if (i < n) continue;
    const char *near = dpi_nearest_word(t->column[k], names, n);
    return dpi_fail(t->ctx, DP_ERR_INPUT, "%s:%d: column %.*s is not known here%s%s%s", t->source,
                    t->header_line, ECHO, t->column[k], near ? "; did you mean " : "",
                    near ? near : "", near ? "?" : "");
  }
  return DP_OK;
}

/* ---- cells ---- */

const char *dpi_table_cell(const dpi_table *t, int row, int column) {
  DP_ASSERT(row >= 0 && row < t->nrow && column < t->ncolumn);
  return column < 0 ? "" : t->cell[(size_t)row * (size_t)t->ncolumn + (size_t)column];
}

int dpi_table_line(const dpi_table *t, int row) {
  DP_ASSERT(row >= 0 && row < t->nrow);
  return t->line[row];
}

bool dpi_table_missing(const char *cell) {
  if (!*cell || (cell[0] == '.' && !cell[1])) return true;
  if (lower(*cell) != 'n') return false;
  return same_nocase(cell, "NA") || same_nocase(cell, "NaN");
}

dp_status dpi_table_fail(const dpi_table *t, int row, int column, const char *fmt, ...) {
  char text[1024];
  va_list args;
  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  int line = row < 0 ? t->header_line : dpi_table_line(t, row);
  if (column < 0) {
    return dpi_fail(t->ctx, DP_ERR_INPUT, "%s:%d: %s", t->source, line, text);
  }
  return dpi_fail(t->ctx, DP_ERR_INPUT, "%s:%d: column %.*s: %s", t->source, line, ECHO,
                  t->column[column], text);
}

/* "found 'x', expected y" for a cell. */
static dp_status unexpected(const dpi_table *t, int row, int column, const char *expected) {
  const char *cell = dpi_table_cell(t, row, column);
  if (!*cell) return dpi_table_fail(t, row, column, "found nothing, expected %s", expected);
  return dpi_table_fail(t, row, column, "found '%.*s', expected %s", ECHO, cell, expected);
}

dp_status dpi_table_text(const dpi_table *t, int row, int column, const char **out) {
  *out = dpi_table_cell(t, row, column);
  return **out ? DP_OK : unexpected(t, row, column, "a text");
}

dp_status dpi_table_number(const dpi_table *t, int row, int column, double *out) {
  if (dpi_parse_double(dpi_table_cell(t, row, column), out)) return DP_OK;
  return unexpected(t, row, column, "a number");
}

dp_status dpi_table_number_or(const dpi_table *t, int row, int column, double fallback,
                              double *out) {
  *out = fallback;
  if (dpi_table_missing(dpi_table_cell(t, row, column))) return DP_OK;
  return dpi_table_number(t, row, column, out);
}

dp_status dpi_table_bound_or(const dpi_table *t, int row, int column, double fallback,
                             double *out) {
  const char *cell = dpi_table_cell(t, row, column);
  bool negative = *cell == '-';
  if (same_nocase(cell + (negative || *cell == '+'), "inf")) {
    *out = negative ? -INFINITY : INFINITY;
    return DP_OK;
  }
  return dpi_table_number_or(t, row, column, fallback, out);
}

dp_status dpi_table_int(const dpi_table *t, int row, int column, int *out) {
  int64_t x;
  bool ok = dpi_parse_int(dpi_table_cell(t, row, column), &x);
  if (!ok || x < INT32_MIN || x > INT32_MAX) return unexpected(t, row, column, "a whole number");
  *out = (int)x;
  return DP_OK;
}

dp_status dpi_table_int_or(const dpi_table *t, int row, int column, int fallback, int *out) {
  *out = fallback;
  if (dpi_table_missing(dpi_table_cell(t, row, column))) return DP_OK;
  return dpi_table_int(t, row, column, out);
}

dp_status dpi_table_bool_or(const dpi_table *t, int row, int column, bool fallback, bool *out) {
  static const char *const words[] = {"0", "1", "false", "true", "no", "yes"};
  const char *cell = dpi_table_cell(t, row, column);
  *out = fallback;
  if (dpi_table_missing(cell)) return DP_OK;
  for (int k = 0; k < DPI_COUNT(words); k++) {
    if (!same_nocase(cell, words[k])) continue;
    *out = k & 1;
    return DP_OK;
  }
  return unexpected(t, row, column, "1 or 0 (true or false, yes or no)");
}

dp_status dpi_table_choice(const dpi_table *t, int row, int column, const char *const *words, int n,
                           int fallback, int *out) {
  const char *cell = dpi_table_cell(t, row, column);
  *out = fallback;
  if (fallback >= 0 && dpi_table_missing(cell)) return DP_OK;
  for (int k = 0; k < n; k++) {
    if (strcmp(cell, words[k]) != 0) continue;
    *out = k;
    return DP_OK;
  }
  char list[400] = "";
  size_t len = 0;
  for (int k = 0; k < n && len < sizeof list; k++) {
    const char *glue = k == 0 ? "" : k == n - 1 ? " or " : ", ";
    len += (size_t)snprintf(list + len, sizeof list - len, "%s%s", glue, words[k]);
  }
  const char *near = dpi_nearest_word(cell, words, n);
  if (!near) return unexpected(t, row, column, list);
  return dpi_table_fail(t, row, column, "found '%.*s', expected %s; did you mean %s?", ECHO, cell,
                        list, near);
}
