/* nm_table.c - floor 3: an event table as NM-TRAN reads it: columns by their place, rows left out by what they
 * hold.  -> O, U
 *
 * A control stream's $INPUT names the columns of the data file in their order; the file's own header is a row that
 * IGNORE leaves out. Here such a file becomes the text of a table with a header, line by line (a row that is left out
 * becomes a comment, so lines keep their numbers), and the ordinary reader reads that.
 *
 *     columns  "ID TIME AMT LNDV=DV DV=DROP"   NAME=OTHER: called OTHER; DROP: left out
 *     ignore   "@" rows that begin with a letter or @; another character: rows that begin with it; "#" when not said
 *     drop     "BLQ.EQ.1 ID.GT.90"  rows for which one of these holds are left out
 *     keep     "STUDY.EQ.2"         rows for which none of these holds are left out
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "format/nmtran/nm_control.h"
#include "format/nmtran/nm_table.h"

typedef struct field {
  const char *name, *as; /* as "": dropped */
} field;

typedef struct cell {
  const char *text;
  size_t n;
} cell;

typedef struct maker {
  dp_ctx *ctx;
  dpi_arena *arena;
  const char *source;
  const dp_record_def *def;
  field field[NM_MAX_COLUMN];
  int nfield;
  cell cell[NM_MAX_COLUMN];
  int line;
  dpi_str out;
} maker;

static bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static bool blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

/* ---- columns ---- */

static dp_status read_columns(maker *m) {
  const char *p = m->def->columns;
  while (*p) {
    size_t n = strcspn(p, " "), name = 0;
    while (name < n && p[name] != '=') name++;
    if (n && m->nfield >= NM_MAX_COLUMN)
      return dpi_fail(m->ctx, DP_ERR_INPUT, "%s: more than %d columns", m->source, NM_MAX_COLUMN);
    if (n) {
      field *f = &m->field[m->nfield++];
      f->name = dpi_arena_strndup(m->arena, p, name);
      f->as = name < n ? dpi_arena_strndup(m->arena, p + name + 1, n - name - 1) : f->name;
      if (!f->name || !f->as) return DP_ERR_MEMORY;
      if (strcmp(f->as, "DROP") == 0 || strcmp(f->as, "SKIP") == 0) f->as = "";
    }
    p += n + (p[n] == ' ');
  }
  return DP_OK;
}

static void write_header(maker *m) {
  bool first = true;
  for (int i = 0; i < m->nfield; i++) {
    if (!*m->field[i].as) continue;
    dpi_str_addf(&m->out, "%s%s", first ? "" : ",", m->field[i].as);
    first = false;
  }
  dpi_str_add(&m->out, "\n");
}

/* ---- one line ---- */

/* Cells between commas or blanks; missing ones at the end are empty, further ones are left out. */
static void split(maker *m, const char *p, size_t n) {
  size_t at = 0;
  for (int i = 0; i < m->nfield; i++) {
    while (at < n && blank(p[at])) at++;
    size_t start = at;
    if (at < n && p[at] == '"') {
      for (start = ++at; at < n && p[at] != '"';) at++;
      m->cell[i] = (cell){p + start, at - start};
      while (at < n && p[at] != ',' && !blank(p[at])) at++;
    } else {
      while (at < n && p[at] != ',' && !blank(p[at])) at++;
      m->cell[i] = (cell){p + start, at - start};
    }
    while (at < n && blank(p[at])) at++;
    if (at < n && p[at] == ',') at++;
  }
}

static bool left_out_by_start(const maker *m, const char *p, size_t n) {
  char c = m->def->ignore && *m->def->ignore ? *m->def->ignore : '#';
  if (c != '@') return n > 0 && p[0] == c;
  size_t at = 0;
  while (at < n && blank(p[at])) at++;
  if (at < n && p[at] == '"') at++;
  return at < n && (letter(p[at]) || p[at] == '@');
}

static bool same_text(const cell *c, const char *text, size_t n) {
  if (c->n != n) return false;
  for (size_t i = 0; i < n; i++) {
    char a = c->text[i], b = text[i];
    if (a >= 'a' && a <= 'z') a = (char)(a - 32);
    if (b >= 'a' && b <= 'z') b = (char)(b - 32);
    if (a != b) return false;
  }
  return true;
}

static bool relation(const char *op, double x, double y) {
  if (strcmp(op, ".EQ.") == 0 || strcmp(op, ".EQN.") == 0) return x == y;
  if (strcmp(op, ".NE.") == 0 || strcmp(op, ".NEN.") == 0) return x != y;
  if (strcmp(op, ".GT.") == 0) return x > y;
  if (strcmp(op, ".GE.") == 0) return x >= y;
  if (strcmp(op, ".LT.") == 0) return x < y;
  return x <= y;
}

/* One condition "NAME.EQ.value" of n characters. */
static dp_status condition(const maker *m, const char *p, size_t n, bool *holds) {
  static const char *const ops[] = {".EQN.", ".NEN.", ".EQ.", ".NE.", ".GT.", ".GE.", ".LT.", ".LE."};
  size_t at = n, len = 0;
  const char *op = NULL;
  for (size_t i = 0; i < n && !op; i++)
    for (int k = 0; k < DPI_COUNT(ops) && !op; k++)
      if (strlen(ops[k]) <= n - i && strncmp(p + i, ops[k], strlen(ops[k])) == 0) op = ops[k], at = i, len = strlen(op);
  if (!op || at == 0 || at + len >= n)
    return dpi_fail(m->ctx, DP_ERR_INPUT,
                    "%s: found the condition '%.*s', expected NAME.EQ.value (.NE. .GT. .GE. .LT. .LE.)", m->source,
                    (int)(n < 60 ? n : 60), p);
  int column = -1;
  for (int i = 0; i < m->nfield && column < 0; i++) {
    const cell name = {m->field[i].name, strlen(m->field[i].name)}, as = {m->field[i].as, strlen(m->field[i].as)};
    if (same_text(&name, p, at) || same_text(&as, p, at)) column = i;
  }
  if (column < 0)
    return dpi_fail(m->ctx, DP_ERR_INPUT, "%s: found the condition '%.*s', but there is no such column", m->source,
                    (int)(n < 60 ? n : 60), p);
  const cell *c = &m->cell[column];
  const char *text = p + at + len;
  size_t ntext = n - at - len;
  double x, y;
  bool nx = nm_number(c->text, c->n, &x), ny = nm_number(text, ntext, &y);
  if (!nx && (c->n == 0 || (c->n == 1 && *c->text == '.'))) x = 0, nx = true; /* NM-TRAN's null */
  if (nx && ny)
    *holds = relation(op, x, y);
  else if (op[1] == 'E')
    *holds = same_text(c, text, ntext);
  else
    *holds = op[1] == 'N' && !same_text(c, text, ntext);
  return DP_OK;
}

static dp_status any_condition(const maker *m, const char *list, bool *holds) {
  *holds = false;
  while (list && *list && !*holds) {
    size_t n = strcspn(list, " ");
    if (n) DP_TRY(condition(m, list, n, holds));
    list += n + (list[n] == ' ');
  }
  return DP_OK;
}

/* A cell of the table: Fortran's numbers in the usual form, a DVID as its number. */
static void write_cell(maker *m, const cell *c, bool dvid) {
  double x;
  char text[64];
  if (nm_number(c->text, c->n, &x)) {
    bool plain = true;
    for (size_t i = 0; i < c->n; i++) plain = plain && c->text[i] != 'd' && c->text[i] != 'D';
    if (!plain || dvid) {
      dpi_format_double(x, text);
      dpi_str_add(&m->out, text);
      return;
    }
  }
  bool quote = memchr(c->text, '"', c->n) != NULL || memchr(c->text, ',', c->n) != NULL || (c->n && *c->text == '#');
  if (quote) dpi_str_add(&m->out, "\"");
  for (size_t i = 0; i < c->n; i++)
    if (c->text[i] != '"') dpi_str_addn(&m->out, c->text + i, 1);
  if (quote) dpi_str_add(&m->out, "\"");
}

static dp_status write_line(maker *m, const char *p, size_t n) {
  bool out = left_out_by_start(m, p, n), holds;
  size_t at = 0;
  while (at < n && (blank(p[at]) || p[at] == ',')) at++;
  out = out || at == n;
  if (!out) {
    split(m, p, n);
    DP_TRY(any_condition(m, m->def->drop, &out));
    DP_TRY(any_condition(m, m->def->keep, &holds));
    if (m->def->keep && *m->def->keep && !holds) out = true;
  }
  if (out) {
    dpi_str_add(&m->out, "#\n");
    return DP_OK;
  }
  bool first = true;
  for (int i = 0; i < m->nfield; i++) {
    if (!*m->field[i].as) continue;
    if (!first) dpi_str_add(&m->out, ",");
    write_cell(m, &m->cell[i], strcmp(m->field[i].as, "DVID") == 0);
    first = false;
  }
  dpi_str_add(&m->out, "\n");
  return m->out.failed ? DP_ERR_MEMORY : DP_OK;
}

static dp_status write_all(maker *m, const char *data, size_t size) {
  DP_TRY(read_columns(m));
  write_header(m);
  for (size_t at = 0; at < size;) {
    size_t n = 0;
    while (at + n < size && data[at + n] != '\n' && data[at + n] != '\r') n++;
    DP_TRY(write_line(m, data + at, n));
    at += n + 1;
    if (at < size && data[at - 1] == '\r' && data[at] == '\n') at++;
  }
  return m->out.failed ? DP_ERR_MEMORY : DP_OK;
}

dp_status nm_table_read(dp_ctx *ctx, const char *data, size_t size, const char *source, const dp_record_def *def,
                        dpi_table **out) {
  dpi_arena arena;
  dpi_arena_init(&arena, ctx);
  maker *m = DPI_ARENA_NEW(&arena, maker);
  dp_status st = DP_ERR_MEMORY;
  if (m) {
    *m = (maker){.ctx = ctx, .arena = &arena, .source = source, .def = def};
    dpi_str_init(&m->out, ctx);
    if (memchr(data, 0, size))
      st = dpi_fail(ctx, DP_ERR_INPUT, "%s: a NUL byte: this is no text", source);
    else
      st = write_all(m, data, size);
    if (st == DP_OK) st = dpi_table_read(ctx, dpi_str_text(&m->out), m->out.len, source, ',', out);
    dpi_str_release(&m->out);
  }
  dpi_arena_release(&arena);
  if (st != DP_OK) return st;
  for (int i = 0; i < (*out)->nrow; i++) (*out)->line[i]--; /* the header is ours, not the file's */
  return DP_OK;
}
