/* glucose_series.c - floor 3: a sensor's readings from a CSV or TSV, one series an id (glucose.h).  -> O
 *
 * Columns by their usual names, letters' case apart: time, datetime, timestamp; glucose, cgm, sensor, value, gl, dv;
 * id, patient, subject. The unit stands in the column's name, "glucose (mmol/L)", in a line "#units: glucose=mmol/L",
 * or is given by the caller; where nobody says it the file is refused. Rows of one id stand together or not; their
 * times ascend, or are sorted where the caller says so. Rows without time and value (a device's own) are passed over.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "format/glucose_series.h"
#include "format/table.h"

#define COOKIE 0x676c7563u

static const double LOWEST = 10, HIGHEST = 1000; /* mg/dL: beyond these a number is no reading */

dp_glucose_read_def dp_glucose_read_def_default(void) {
  return (dp_glucose_read_def){.cookie = COOKIE, .time_unit = "min"};
}

typedef struct reader {
  dp_ctx *ctx;
  const dp_glucose_read_def *def;
  dpi_table *t;
  int time, glucose, id;
  double to_mg, to_min; /* factors of values, of times that are numbers */
  double first_day;     /* of times that are dates; NaN: none yet */
  double first_offset;  /* min east of Greenwich, of the series' first time that has one */
  int form;             /* of times: 0 not known yet, 1 numbers, 2 dates, 3 dates with an offset */
} reader;

/* ---------------------------------------------------------------- columns and units */

/* Does the column's name begin with the word, and then come to an end or to a unit? */
static bool is_named(const char *column, const char *word) {
  size_t n = strlen(word);
  for (size_t i = 0; i < n; i++) {
    char c = column[i] >= 'A' && column[i] <= 'Z' ? (char)(column[i] + 32) : column[i];
    if (c != word[i]) return false;
  }
  column += n;
  while (*column == ' ' || *column == '_') column++;
  return *column == 0 || *column == '(' || *column == '[';
}

static int usual_column(const dpi_table *t, const char *const *words, int n) {
  for (int w = 0; w < n; w++)
    for (int c = 0; c < t->ncolumn; c++)
      if (is_named(t->column[c], words[w])) return c;
  return -1;
}

static dp_status find_columns(reader *r) {
  static const char *const times[] = {"time", "datetime", "timestamp", "date_time"},
                           *const values[] = {"glucose", "glucose value", "cgm", "sensor", "value", "gl", "dv"},
                           *const ids[] = {"id", "patient", "subject", "person"};
  dpi_table *t = r->t;
  const dp_glucose_read_def *d = r->def;
  if (d->time) DP_TRY(dpi_table_need(t, d->time, &r->time));
  if (d->glucose) DP_TRY(dpi_table_need(t, d->glucose, &r->glucose));
  if (d->id) DP_TRY(dpi_table_need(t, d->id, &r->id));
  if (!d->time) r->time = usual_column(t, times, DPI_COUNT(times));
  if (!d->glucose) r->glucose = usual_column(t, values, DPI_COUNT(values));
  if (!d->id) r->id = usual_column(t, ids, DPI_COUNT(ids));
  if (r->time < 0) return dpi_table_fail(t, -1, -1, "found no column of times, expected time, datetime or timestamp");
  if (r->glucose < 0)
    return dpi_table_fail(t, -1, -1, "found no column of glucose, expected glucose, cgm, sensor, value, gl or dv");
  return DP_OK;
}

/* mg/dL or mmol/L, spelled as people do; 0 otherwise. */
static double unit_factor(const char *text, size_t n) {
  static const struct {
    const char *word;
    double factor;
  } known[] = {{"mg/dl", 1}, {"mgdl", 1}, {"mmol/l", DP_GLUCOSE_MMOL}, {"mmoll", DP_GLUCOSE_MMOL}};
  for (int k = 0; k < DPI_COUNT(known); k++) {
    size_t i = 0;
    for (; i < n && known[k].word[i]; i++) {
      char c = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + 32) : text[i];
      if (c != known[k].word[i]) break;
    }
    if (i == n && !known[k].word[i]) return known[k].factor;
  }
  return 0;
}

/* The unit that a line "#units: glucose=mmol/L" of the file's head gives to the column; length 0: none. */
static size_t unit_line(const char *data, size_t size, const char *column, const char **unit) {
  static const char head[] = "#units:";
  const char *end = data + size;
  size_t name = strcspn(column, " ([");
  for (const char *line = data; line < end && *line == '#';) {
    const char *stop = memchr(line, '\n', (size_t)(end - line));
    if (!stop) stop = end;
    if ((size_t)(stop - line) > strlen(head) && strncmp(line, head, strlen(head)) == 0) {
      for (const char *p = line + strlen(head); p + name < stop; p++) {
        if (strncmp(p, column, name) != 0 || p[name] != '=' || !strchr(" ,:", p[-1])) continue;
        *unit = p + name + 1;
        const char *q = *unit;
        while (q < stop && !strchr(" ,\r", *q)) q++;
        return (size_t)(q - *unit);
      }
    }
    line = stop < end ? stop + 1 : end;
  }
  return 0;
}

static dp_status find_units(reader *r, const char *data, size_t size) {
  static const struct {
    const char *unit;
    double minutes;
  } known[] = {{"min", 1}, {"h", 60}, {"s", 1.0 / 60}, {"d", 1440}};
  const char *column = r->t->column[r->glucose], *unit = strpbrk(column, "([");
  size_t n = 0;
  if (unit) n = strcspn(++unit, ")]");
  if (!n) n = unit_line(data, size, column, &unit);
  if (n && r->def->unit && unit_factor(unit, n) != unit_factor(r->def->unit, strlen(r->def->unit)))
    return dpi_table_fail(r->t, -1, -1, "column %s is in %.*s by the file itself, but %s was asked for", column, (int)n,
                          unit, r->def->unit);
  if (!n && r->def->unit) n = strlen(unit = r->def->unit);
  if (!n)
    return dpi_table_fail(r->t, -1, -1,
                          "column %s: no unit is given, expected mg/dL or mmol/L as \"%s (mg/dL)\", in a line "
                          "\"#units: %s=mg/dL\", or by the caller",
                          column, column, column);
  r->to_mg = unit_factor(unit, n);
  if (!(r->to_mg > 0))
    return dpi_table_fail(r->t, -1, -1, "column %s: found unit '%.*s', expected mg/dL or mmol/L", column, (int)n, unit);
  for (int k = 0; k < DPI_COUNT(known); k++)
    if (strcmp(r->def->time_unit, known[k].unit) == 0) r->to_min = known[k].minutes;
  if (!(r->to_min > 0))
    return dpi_fail(r->ctx, DP_ERR_USAGE, "time unit '%s': expected min, h, s or d", r->def->time_unit);
  return DP_OK;
}

/* ---------------------------------------------------------------- cells */

/* `n` digits at *p as a number, *p moved; -1: others. */
static int digits(const char **p, int n) {
  int x = 0;
  for (; n > 0; n--, (*p)++) {
    if (**p < '0' || **p > '9') return -1;
    x = 10 * x + (**p - '0');
  }
  return x;
}

/* Days since 1970-01-01 of a date of the Gregorian calendar; NaN for none such. */
static double day_number(int year, int month, int day) {
  static const int length[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (year < 1 || month < 1 || month > 12) return NAN;
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  if (day < 1 || day > length[month - 1] + (leap && month == 2)) return NAN;
  int64_t y = month > 2 ? year : year - 1, era = y / 400, of_era = y - era * 400;
  int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return (double)(era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468);
}

/* "Z", "+02:00", "-0330": minutes east of Greenwich; NaN: nothing stands there; false for anything else. */
static bool parse_offset(const char *s, double *offset) {
  *offset = NAN;
  if (!*s) return true;
  *offset = 0;
  if (*s == 'Z') return s[1] == 0;
  const int sign = *s == '+' ? 1 : *s == '-' ? -1 : 0;
  if (!sign) return false;
  s++;
  const int hour = digits(&s, 2);
  if (*s == ':') s++;
  const int min = hour >= 0 ? digits(&s, 2) : -1;
  *offset = sign * (60.0 * hour + min);
  return *s == 0 && hour >= 0 && hour < 15 && min >= 0 && min < 60;
}

/* "2024-05-31 07:15", with T, with seconds, with an offset: days and minutes; false for anything else. */
static bool parse_date(const char *s, double *day, double *minute, double *offset) {
  int year = digits(&s, 4), month, date, hour, min, sec = 0;
  if (year < 0 || *s++ != '-' || (month = digits(&s, 2)) < 0 || *s++ != '-' || (date = digits(&s, 2)) < 0) return false;
  if (*s != ' ' && *s != 'T') return false;
  s++;
  if ((hour = digits(&s, 2)) < 0 || *s++ != ':' || (min = digits(&s, 2)) < 0) return false;
  if (*s == ':') {
    s++;
    if ((sec = digits(&s, 2)) < 0) return false;
  }
  if (*s == '.') /* parts of a second do not matter */
    for (s++; *s >= '0' && *s <= '9';) s++;
  *day = day_number(year, month, date);
  *minute = 60 * hour + min + sec / 60.0;
  return parse_offset(s, offset) && isfinite(*day) && hour < 24 && min < 60 && sec < 60;
}

static dp_status read_time(reader *r, int row, double *out) {
  const char *cell = dpi_table_cell(r->t, row, r->time);
  double day, minute, offset;
  int form = 1;
  if (dpi_parse_double(cell, out)) {
    *out = *out * r->to_min + r->def->clock;
    if (!(fabs(*out) < 1e12)) return dpi_table_fail(r->t, row, r->time, "found '%s', expected a time", cell);
  } else if (parse_date(cell, &day, &minute, &offset)) {
    form = isnan(offset) ? 2 : 3;
    if (isnan(r->first_day)) r->first_day = day, r->first_offset = offset;
    *out = 1440 * (day - r->first_day) + minute + (form == 3 ? r->first_offset - offset : 0);
  } else {
    return dpi_table_fail(r->t, row, r->time, "found '%.40s', expected a number of %s or a time as 2024-05-31 07:15",
                          cell, r->def->time_unit);
  }
  if (r->form && r->form != form)
    return dpi_table_fail(r->t, row, r->time, "found '%.40s': %s in one column", cell,
                          r->form == 1 || form == 1 ? "numbers and dates" : "times with and without an offset");
  r->form = form;
  return DP_OK;
}

static bool is_word(const char *cell, const char *word) { return is_named(cell, word) && strlen(cell) == strlen(word); }

/* Low and High, which sensors show beyond what they measure. */
static dp_status read_word(reader *r, int row, const char *cell, dp_glucose_series *s, double *out) {
  const bool low = is_word(cell, "low");
  *out = low ? r->def->low : r->def->high;
  *(low ? &s->nlow : &s->nhigh) += 1;
  if (*out >= LOWEST && *out <= HIGHEST) return DP_OK;
  return dpi_table_fail(r->t, row, r->glucose, "found '%s', expected a number, or the caller to say what %s stands for",
                        cell, cell);
}

/* NaN for a reading that is missing. */
static dp_status read_value(reader *r, int row, dp_glucose_series *s, double *out) {
  const char *cell = dpi_table_cell(r->t, row, r->glucose);
  *out = NAN;
  if (dpi_table_missing(cell)) return DP_OK;
  double x;
  if (is_word(cell, "low") || is_word(cell, "high")) return read_word(r, row, cell, s, out);
  if (!dpi_parse_double(cell, &x))
    return dpi_table_fail(r->t, row, r->glucose, "found '%.40s', expected a number, or nothing for a missing reading",
                          cell);
  *out = x * r->to_mg;
  if (*out >= LOWEST && *out <= HIGHEST) return DP_OK;
  return dpi_table_fail(r->t, row, r->glucose, "found %g %s, expected %.4g to %.4g; is the unit another one?", x,
                        r->to_mg == 1 ? "mg/dL" : "mmol/L", LOWEST / r->to_mg, HIGHEST / r->to_mg);
}

/* ---------------------------------------------------------------- series */

/* Which series each row belongs to, in order of first appearance: [nrow]; *n of them. */
static dp_status group_rows(reader *r, int *of, int *n) {
  dpi_map map;
  dp_status status = DP_OK;
  dpi_map_init(&map, r->ctx);
  *n = 0;
  for (int row = 0; row < r->t->nrow && status == DP_OK; row++) {
    const char *id = dpi_table_cell(r->t, row, r->id);
    of[row] = dpi_map_get(&map, id);
    if (of[row] >= 0) continue;
    of[row] = (*n)++;
    status = dpi_map_put(&map, id, of[row]);
  }
  dpi_map_release(&map);
  return status;
}

typedef struct reading {
  double time, value;
  int row;
} reading;

/* By time; of one time, in the file's order. */
static int by_time(const void *a, const void *b) {
  const reading *x = a, *y = b;
  if (x->time != y->time) return x->time < y->time ? -1 : 1;
  return (x->row > y->row) - (x->row < y->row);
}

static bool same_value(double a, double b) { return a == b || (isnan(a) && isnan(b)); }

/* Readings that ascend into a series; what is said twice counts once. */
static dp_status take_readings(reader *r, dp_glucose_series *s, const reading *x, int n) {
  for (int i = 0; i < n; i++) {
    const char *cell = dpi_table_cell(r->t, x[i].row, r->time);
    if (i > 0 && x[i].time == x[i - 1].time) {
      if (!same_value(x[i].value, x[i - 1].value))
        return dpi_table_fail(r->t, x[i].row, r->time,
                              "found '%.40s' a second time%s%.40s, with another reading (in line %d); was a clock set "
                              "back?",
                              cell, *s->id ? " for " : "", s->id, dpi_table_line(r->t, x[i - 1].row));
      s->nrepeated++;
      continue;
    }
    if (i > 0 && x[i].time < x[i - 1].time)
      return dpi_table_fail(
          r->t, x[i].row, r->time,
          "found '%.40s', not later than the reading before%s%.40s; was a clock set back, or are rows "
          "to be sorted?",
          cell, *s->id ? " of " : "", s->id);
    if (isnan(x[i].value)) {
      s->nmissing++;
      continue;
    }
    s->time[s->n] = x[i].time;
    s->value[s->n++] = x[i].value;
  }
  return DP_OK;
}

static dp_status read_rows(reader *r, dp_glucose_series *s, const int *rows, int nrow, reading *x) {
  int n = 0;
  r->first_day = NAN;
  for (int i = 0; i < nrow; i++) {
    const bool nothing = dpi_table_missing(dpi_table_cell(r->t, rows[i], r->time)) &&
                         dpi_table_missing(dpi_table_cell(r->t, rows[i], r->glucose));
    if (nothing) continue;
    x[n].row = rows[i];
    DP_TRY(read_time(r, rows[i], &x[n].time));
    DP_TRY(read_value(r, rows[i], s, &x[n].value));
    n++;
  }
  if (r->def->sort) qsort(x, (size_t)n, sizeof *x, by_time);
  return take_readings(r, s, x, n);
}

/* One series from its rows. */
static dp_status make_series(reader *r, dp_glucose_series *s, const int *rows, int nrow) {
  const char *id = dpi_table_cell(r->t, rows[0], r->id);
  char *name = dpi_alloc(r->ctx, strlen(id) + 1);
  reading *x = DPI_NEW_ARRAY(r->ctx, reading, nrow);
  s->id = name;
  s->time = DPI_NEW_ARRAY(r->ctx, double, nrow);
  s->value = DPI_NEW_ARRAY(r->ctx, double, nrow);
  dp_status status = name && s->time && s->value && x ? DP_OK : DP_ERR_MEMORY;
  if (status == DP_OK) {
    memcpy(name, id, strlen(id) + 1);
    status = read_rows(r, s, rows, nrow, x);
  }
  dpi_free(r->ctx, x);
  return status;
}

/* Rows by series: counted, then placed. first: [n + 1] place of each series in rows [nrow]. */
static void place_rows(const int *of, int nrow, int n, int *first, int *rows) {
  for (int row = 0; row < nrow; row++) first[of[row] + 1]++;
  for (int k = 0; k < n; k++) first[k + 1] += first[k];
  for (int row = 0; row < nrow; row++) rows[first[of[row]]++] = row;
  for (int k = n; k > 0; k--) first[k] = first[k - 1];
  first[0] = 0;
}

static dp_status make_all(reader *r, dp_glucose_series **out, int *n) {
  int nrow = r->t->nrow, *of = DPI_NEW_ARRAY(r->ctx, int, 3 * (size_t)nrow + 1), *rows = of + nrow,
      *first = of + 2 * nrow;
  if (!of) return DP_ERR_MEMORY;
  dp_status status = group_rows(r, of, n);
  if (status == DP_OK) {
    *out = DPI_NEW_ARRAY(r->ctx, dp_glucose_series, *n);
    if (!*out) status = DP_ERR_MEMORY;
  }
  if (status == DP_OK) place_rows(of, nrow, *n, first, rows);
  for (int k = 0; k < *n && status == DP_OK; k++)
    status = make_series(r, &(*out)[k], rows + first[k], first[k + 1] - first[k]);
  dpi_free(r->ctx, of);
  return status;
}

static dp_status read_table(reader *r, const char *data, size_t size, dp_glucose_series **out, int *n) {
  DP_TRY(find_columns(r));
  DP_TRY(find_units(r, data, size));
  if (r->t->nrow == 0) return dpi_table_fail(r->t, -1, -1, "found no readings");
  return make_all(r, out, n);
}

dp_status dpi_glucose_read_text(dp_ctx *ctx, const char *data, size_t size, const char *source,
                                const dp_glucose_read_def *def, dp_glucose_series **out, int *n) {
  *out = NULL;
  *n = 0;
  if (def->cookie != COOKIE)
    return dpi_fail(ctx, DP_ERR_USAGE, "expected a definition from dp_glucose_read_def_default");
  reader r = {.ctx = ctx, .def = def, .id = -1, .first_day = NAN};
  int made = 0;
  DP_TRY(dpi_table_read(ctx, data, size, source, DPI_TABLE_DETECT, &r.t));
  dp_status status = read_table(&r, data, size, out, &made);
  dpi_table_destroy(r.t);
  if (status == DP_OK) {
    *n = made;
  } else {
    dp_glucose_series_free(ctx, *out, made);
    *out = NULL;
  }
  return status;
}

dp_status dp_glucose_read(dp_ctx *ctx, const char *path, const dp_glucose_read_def *def, dp_glucose_series **out,
                          int *n) {
  char *data;
  size_t size;
  *out = NULL;
  *n = 0;
  DP_TRY(dpi_file_read(ctx, path, 0, &data, &size));
  dp_status status = dpi_glucose_read_text(ctx, data, size, path, def, out, n);
  dpi_free(ctx, data);
  return status;
}

void dp_glucose_series_free(dp_ctx *ctx, dp_glucose_series *series, int n) {
  for (int i = 0; series && i < n; i++) {
    dpi_free(ctx, (void *)series[i].id);
    dpi_free(ctx, series[i].time);
    dpi_free(ctx, series[i].value);
  }
  dpi_free(ctx, series);
}
