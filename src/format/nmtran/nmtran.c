/* nmtran.c - floor 3: the field's event table, one row an event.  -> O, U
 *
 * Columns (letters' case is free): ID TIME, and AMT or DV or both; EVID CMT RATE II ADDL SS MDV
 * DVID CENS, LIMIT or LLOQ. Every other column of numbers is a covariate under its own name; a
 * column of text is one only with codes. What the columns mean, what is refused and why: README.md
 * beside this file.
 *
 * Order of work: columns_find -> codes_read -> rows_group (which row is whose) -> covariates_find ->
 * rows_read -> duplicates_find -> warnings_write. Rows are read in file order, so the message is
 * about the first wrong row.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/format.h"
#include "format/nmtran/nm_table.h"
#include "record/record_build.h"

/* ---- what is listed once ---- */

/* column, other name it may have */
/* clang-format off */
#define NM_COLUMN_LIST(X)                                                       \
  X(ID, NULL) X(TIME, NULL) X(AMT, NULL) X(DV, NULL) X(EVID, NULL) X(CMT, NULL) \
  X(RATE, NULL) X(II, NULL) X(ADDL, NULL) X(SS, NULL) X(MDV, NULL)              \
  X(DVID, NULL) X(CENS, NULL) X(LIMIT, "LLOQ")
/* clang-format on */

typedef enum nm_column {
#define NM_ENUM(name, other) COL_##name,
  NM_COLUMN_LIST(NM_ENUM)
#undef NM_ENUM
      COL_COUNT
} nm_column;

static const struct {
  const char *name, *other;
} columns[COL_COUNT] = {
#define NM_ROW(name, other) {#name, other},
    NM_COLUMN_LIST(NM_ROW)
#undef NM_ROW
};

/* Things kept but worth telling; each is told once, for its first line. */
#define NM_WARNING_LIST(X)                                                                        \
  X(REGROUPED, "rows of subject %s do not stand together; they were joined to the rows above")    \
  X(DOSE_VALUE, "the value in DV on a dose row of subject %s is not an observation and not used") \
  X(NO_VALUE, "subject %s has an observation row without a value in DV; it is taken as missing")  \
  X(IDLE_INTERVAL, "subject %s has a dose with II but neither ADDL nor SS; it is given once")

typedef enum nm_warning {
#define NM_ENUM(name, text) WARN_##name,
  NM_WARNING_LIST(NM_ENUM)
#undef NM_ENUM
      WARN_COUNT
} nm_warning;

/* one entry of dp_record_def.codes */
typedef struct code {
  const char *column, *text;
  double value;
} code;

typedef struct covariate {
  int column; /* of the table */
  bool coded; /* cells are texts of the codes */
} covariate;

typedef struct reader {
  dp_ctx *ctx;
  const dpi_table *table;
  const dp_record_def *def;
  dp_record *record;
  dpi_arena *arena;   /* the record's */
  int col[COL_COUNT]; /* column of the table or -1 */
  code *code;
  int ncode, code_cap;
  covariate *covariate;
  int ncovariate;
  int *subject_of;     /* [nrow] */
  dp_subject *subject; /* [nsubject] */
  int nsubject, subject_cap;
  dp_event *event;                            /* [nrow] by subject, in file order within one */
  double *value;                              /* [nrow x ncovariate] in the order of event */
  int told[WARN_COUNT], told_row[WARN_COUNT]; /* how often, first row */
} reader;

static const char *cell_of(const reader *r, int row, nm_column c) {
  return dpi_table_cell(r->table, row, r->col[c]);
}

static bool has(const reader *r, int row, nm_column c) {
  return !dpi_table_missing(cell_of(r, row, c));
}

static bool same_nocase(const char *a, const char *b) {
  for (; *a && *b; a++, b++) {
    char x = *a >= 'A' && *a <= 'Z' ? (char)(*a + 32) : *a;
    char y = *b >= 'A' && *b <= 'Z' ? (char)(*b + 32) : *b;
    if (x != y) return false;
  }
  return *a == *b;
}

/* Message about one cell; where the column is absent the row alone is named. */
#define FAIL(r, row, c, ...) dpi_table_fail((r)->table, (row), (r)->col[c], __VA_ARGS__)

static void tell(reader *r, nm_warning w, int row) {
  if (r->told[w]++ == 0) r->told_row[w] = row;
}

/* ---- columns ---- */

/* A column nobody knows that is nearly one we know and miss is probably that one, badly typed. */
static dp_status warn_near_column(reader *r, int column) {
  const char *name = r->table->column[column];
  if (strlen(name) < 4 || same_nocase(name, "RACE")) return DP_OK; /* RACE is not RATE */
  const char *missed[COL_COUNT];
  int n = 0;
  for (int c = 0; c < COL_COUNT; c++) {
    if (r->col[c] < 0 && strlen(columns[c].name) >= 4) missed[n++] = columns[c].name;
  }
  const char *near = dpi_nearest_word(name, missed, n);
  if (!near) return DP_OK;
  return dpi_record_warn(r->record, "%s:%d: column %s is kept as a covariate; was %s meant?",
                         r->table->source, r->table->header_line, name, near);
}

static dp_status missing_column(const reader *r, const char *what, const char *name) {
  const char *near = dpi_nearest_word(name, r->table->column, r->table->ncolumn);
  return dpi_fail(r->ctx, DP_ERR_INPUT,
                  "%s:%d: found no column %s, expected ID, TIME, and DV or AMT%s%s%s",
                  r->table->source, r->table->header_line, what, near ? "; is it " : "",
                  near ? near : "", near ? "?" : "");
}

/* Where a known column stands, under either of its names. */
static dp_status column_find(reader *r, nm_column c) {
  int a = dpi_table_column_nocase(r->table, columns[c].name);
  int b = columns[c].other ? dpi_table_column_nocase(r->table, columns[c].other) : -1;
  if (a >= 0 && b >= 0) {
    return dpi_fail(r->ctx, DP_ERR_INPUT, "%s:%d: found columns %s and %s, expected one of them",
                    r->table->source, r->table->header_line, columns[c].name, columns[c].other);
  }
  r->col[c] = a >= 0 ? a : b;
  return DP_OK;
}

/* Names that differ in letters' case only would be one column to the reader and two to the eye. */
static dp_status check_same_names(const reader *r) {
  const dpi_table *t = r->table;
  dpi_map seen;
  dpi_map_init(&seen, r->ctx);
  dp_status status = DP_OK;
  for (int k = 0; k < t->ncolumn && status == DP_OK; k++) {
    char *key = dpi_arena_strdup(r->arena, t->column[k]);
    if (!key) status = DP_ERR_MEMORY;
    if (status != DP_OK) break;
    for (char *p = key; *p; p++) *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
    int before = dpi_map_get(&seen, key);
    if (before >= 0) {
      status = dpi_fail(r->ctx, DP_ERR_INPUT,
                        "%s:%d: found columns %.60s and %.60s, expected names that differ in more "
                        "than letters' case",
                        t->source, t->header_line, t->column[before], t->column[k]);
    } else {
      status = dpi_map_put(&seen, key, k);
    }
  }
  dpi_map_release(&seen);
  return status;
}

static dp_status columns_find(reader *r) {
  static const char *const dates[] = {"DATE", "DAT1", "DAT2", "DAT3"};
  DP_TRY(check_same_names(r));
  for (int c = 0; c < COL_COUNT; c++) DP_TRY(column_find(r, c));
  if (r->col[COL_ID] < 0) return missing_column(r, "ID", "ID");
  if (r->col[COL_TIME] < 0) return missing_column(r, "TIME", "TIME");
  if (r->col[COL_DV] < 0 && r->col[COL_AMT] < 0) return missing_column(r, "DV nor AMT", "DV");
  for (int k = 0; k < DPI_COUNT(dates); k++) {
    if (dpi_table_column_nocase(r->table, dates[k]) < 0) continue;
    return dpi_fail(r->ctx, DP_ERR_UNSUPPORTED,
                    "%s:%d: column %s: calendar dates are not supported, expected all of the time "
                    "in TIME",
                    r->table->source, r->table->header_line, dates[k]);
  }
  return DP_OK;
}

/* ---- codes: "column:text=number,text=number;column:..." ---- */

static char *trim(char *s) {
  while (*s == ' ' || *s == '\t') s++;
  size_t n = strlen(s);
  while (n && (s[n - 1] == ' ' || s[n - 1] == '\t')) s[--n] = '\0';
  return s;
}

static dp_status codes_fault(const reader *r, const char *part) {
  return dpi_fail(r->ctx, DP_ERR_INPUT,
                  "codes: found '%s', expected column:text=number,text=number", part);
}

/* The next part of *rest up to sep, or NULL; *rest moves behind it. */
static char *next_part(char **rest, char sep) {
  char *part = *rest;
  if (!part) return NULL;
  char *end = strchr(part, sep);
  *rest = end ? end + 1 : NULL;
  if (end) *end = '\0';
  return part;
}

/* "text=number,text=number" of one column */
static dp_status codes_of_column(reader *r, const char *column, char *list) {
  for (char *pair; (pair = next_part(&list, ',')) != NULL;) {
    char *equals = strrchr(pair, '=');
    double value;
    if (!equals || !dpi_parse_double(equals + 1, &value)) return codes_fault(r, pair);
    *equals = '\0';
    char *text = trim(pair);
    if (!*text) return codes_fault(r, column);
    DP_TRY(dpi_grow(r->ctx, (void **)&r->code, &r->code_cap, r->ncode + 1, sizeof *r->code));
    r->code[r->ncode++] = (code){column, text, value};
  }
  return DP_OK;
}

static dp_status codes_read(reader *r, const char *codes) {
  if (!codes) return DP_OK;
  char *rest = dpi_arena_strdup(r->arena, codes);
  if (!rest) return DP_ERR_MEMORY;
  for (char *part; (part = next_part(&rest, ';')) != NULL;) {
    part = trim(part);
    if (!*part) continue; /* a semicolon at the end is no part */
    char *colon = strchr(part, ':');
    if (!colon) return codes_fault(r, part);
    *colon = '\0';
    char *column = trim(part);
    if (!*column) return codes_fault(r, colon + 1);
    DP_TRY(codes_of_column(r, column, colon + 1));
  }
  return DP_OK;
}

static bool is_coded(const reader *r, const char *column) {
  for (int k = 0; k < r->ncode; k++) {
    if (same_nocase(r->code[k].column, column)) return true;
  }
  return false;
}

/* A text that has no code; the message lists those there are. */
static dp_status code_fault(const reader *r, int row, int column) {
  dpi_str list;
  dpi_str_init(&list, r->ctx);
  for (int k = 0; k < r->ncode; k++) {
    if (!same_nocase(r->code[k].column, r->table->column[column])) continue;
    dpi_str_addf(&list, "%s%s", list.len ? ", " : "", r->code[k].text);
  }
  dp_status status = dpi_table_fail(r->table, row, column, "found '%.60s', expected one of: %s",
                                    dpi_table_cell(r->table, row, column), dpi_str_text(&list));
  dpi_str_release(&list);
  return status;
}

/* The number of a text; the number itself is accepted when it is one of the codes. */
static dp_status code_value(const reader *r, int row, int column, double *out) {
  const char *cell = dpi_table_cell(r->table, row, column);
  double number;
  bool is_number = dpi_parse_double(cell, &number);
  for (int k = 0; k < r->ncode; k++) {
    const code *c = &r->code[k];
    if (!same_nocase(c->column, r->table->column[column])) continue;
    if (!same_nocase(c->text, cell) && !(is_number && number == c->value)) continue;
    *out = c->value;
    return DP_OK;
  }
  return code_fault(r, row, column);
}

/* ---- covariates ---- */

static bool is_event_column(const reader *r, int column) {
  for (int c = 0; c < COL_COUNT; c++) {
    if (r->col[c] == column) return true;
  }
  return false;
}

/* Is the column one of numbers? It is when most of its cells are; then the others are mistakes,
 * found when read. */
static bool is_numeric(const reader *r, int column) {
  int number = 0, text = 0;
  for (int row = 0; row < r->table->nrow; row++) {
    const char *cell = dpi_table_cell(r->table, row, column);
    double x;
    if (dpi_table_missing(cell)) continue;
    if (dpi_parse_double(cell, &x))
      number++;
    else
      text++;
  }
  return number > text || text == 0;
}

static dp_status covariates_find(reader *r) {
  const dpi_table *t = r->table;
  r->covariate = DPI_ARENA_ARRAY(r->arena, covariate, t->ncolumn);
  const char **id = DPI_ARENA_ARRAY(r->arena, const char *, t->ncolumn);
  const char **all = DPI_ARENA_ARRAY(r->arena, const char *, t->ncolumn);
  if (!r->covariate || !id || !all) return DP_ERR_MEMORY;
  for (int k = 0; k < t->ncolumn; k++) {
    all[k] = dpi_arena_strdup(r->arena, t->column[k]);
    if (!all[k]) return DP_ERR_MEMORY;
    if (is_event_column(r, k)) continue;
    bool coded = is_coded(r, all[k]);
    if (!coded && !is_numeric(r, k)) {
      DP_TRY(dpi_record_warn(r->record, "%s:%d: column %.60s is text without codes and is left out",
                             t->source, t->header_line, all[k]));
      continue;
    }
    DP_TRY(warn_near_column(r, k));
    id[r->ncovariate] = all[k];
    r->covariate[r->ncovariate++] = (covariate){k, coded};
  }
  r->record->column = all;
  r->record->ncolumn = t->ncolumn;
  r->record->covariate_id = id;
  r->record->ncovariate = r->ncovariate;
  return DP_OK;
}

static dp_status covariates_read(const reader *r, int row, double *value) {
  for (int k = 0; k < r->ncovariate; k++) {
    int column = r->covariate[k].column;
    value[k] = NAN;
    if (dpi_table_missing(dpi_table_cell(r->table, row, column))) continue;
    if (r->covariate[k].coded)
      DP_TRY(code_value(r, row, column, &value[k]));
    else
      DP_TRY(dpi_table_number(r->table, row, column, &value[k]));
  }
  return DP_OK;
}

/* ---- cells of a row ---- */

/* A number, 0 when missing. */
static dp_status number(const reader *r, int row, nm_column c, double *out) {
  return dpi_table_number_or(r->table, row, r->col[c], 0.0, out);
}

/* A whole number ("2" or "2.0"), fallback when missing. */
static dp_status whole(const reader *r, int row, nm_column c, int fallback, int *out) {
  double x;
  DP_TRY(dpi_table_number_or(r->table, row, r->col[c], fallback, &x));
  if (x != floor(x) || fabs(x) > 1e9) {
    return FAIL(r, row, c, "found '%.60s', expected a whole number", cell_of(r, row, c));
  }
  *out = (int)x;
  return DP_OK;
}

static dp_status whole_between(const reader *r, int row, nm_column c, int low, int high, int *out) {
  DP_TRY(whole(r, row, c, 0, out));
  if (*out >= low && *out <= high) return DP_OK;
  return FAIL(r, row, c, "found '%.60s', expected a whole number from %d to %d", cell_of(r, row, c),
              low, high);
}

/* A time or interval, exact. */
static dp_status ticks(const reader *r, int row, nm_column c, dp_time *out) {
  const char *cell = cell_of(r, row, c);
  double x;
  if (!dpi_parse_double(cell, &x)) {
    bool clock = strchr(cell, ':') != NULL;
    return FAIL(r, row, c, "found '%.60s', expected a number%s", cell,
                clock ? " (clock times are not supported)" : "");
  }
  if (!dpi_ticks_parse(cell, out)) {
    return FAIL(r, row, c, "found '%.60s', expected at most 9.2e9", cell);
  }
  if (*out < 0 || x < 0) return FAIL(r, row, c, "found '%.60s', expected no negative time", cell);
  return DP_OK;
}

/* ---- what a row is ---- */

/* Without EVID: amounts and infusions are doses, MDV 1 is another event, the rest are
 * observations. */
static int evid_guess(const reader *r, int row, const dp_event *e) {
  double mdv;
  if (e->amount != 0 || (e->rate > 0 && e->steady)) return 1;
  return dpi_parse_double(cell_of(r, row, COL_MDV), &mdv) && mdv == 1 ? 2 : 0;
}

/* EVID 0 to 4. A compartment's number times 100 plus 1 is the old coding of a dose into it (101:
 * dose into 1). */
static dp_status read_evid(const reader *r, int row, dp_event *e) {
  if (r->col[COL_EVID] < 0) {
    e->evid = evid_guess(r, row, e);
    return DP_OK;
  }
  int evid = 0;
  DP_TRY(whole(r, row, COL_EVID, 0, &evid));
  e->evid = evid;
  if (evid >= 0 && evid <= 4) return DP_OK;
  if (evid < 101 || evid > 9901 || evid % 100 != 1) {
    return FAIL(r, row, COL_EVID, "found '%.60s', expected 0, 1, 2, 3, 4 or 101 (a dose into 1)",
                cell_of(r, row, COL_EVID));
  }
  e->evid = 1;
  int into = evid / 100;
  if (e->compartment == 0) e->compartment = into;
  if (e->compartment == into) return DP_OK;
  return FAIL(r, row, COL_EVID, "found %d, a dose into compartment %d, but CMT is %d", evid, into,
              e->compartment);
}

/* Columns that only a dose may fill. */
static dp_status refuse_dose_items(const reader *r, int row, const dp_event *e) {
  static const nm_column items[] = {COL_AMT, COL_RATE, COL_II, COL_ADDL, COL_SS};
  const char *what = e->evid == 0   ? "an observation"
                     : e->evid == 2 ? "an event that is no dose"
                                    : "a reset";
  for (int k = 0; k < DPI_COUNT(items); k++) {
    double x;
    DP_TRY(number(r, row, items[k], &x));
    if (x == 0) continue;
    return FAIL(r, row, items[k], "found '%.60s' on %s (EVID %d), expected 0 or nothing",
                cell_of(r, row, items[k]), what, e->evid);
  }
  return DP_OK;
}

/* Amount, rate, repeats and steady state of a dose fit together. */
static dp_status check_dose(reader *r, int row, const dp_event *e) {
  bool constant = e->amount == 0 && e->rate > 0 && e->steady;
  if (e->amount == 0 && !constant) {
    if (r->col[COL_AMT] < 0) {
      return FAIL(r, row, COL_AMT, "found a dose (EVID %d) but no column AMT, expected an amount",
                  e->evid);
    }
    return FAIL(r, row, COL_AMT, "found %s%.60s%s on a dose (EVID %d), expected an amount above 0",
                has(r, row, COL_AMT) ? "'" : "no amount",
                has(r, row, COL_AMT) ? cell_of(r, row, COL_AMT) : "",
                has(r, row, COL_AMT) ? "'" : "", e->evid);
  }
  if (constant && (e->interval || e->repeats)) {
    return FAIL(r, row, COL_II,
                "found II or ADDL on a constant infusion at steady state, expected 0");
  }
  if (e->repeats && !e->interval) {
    return FAIL(r, row, COL_ADDL,
                "found %d further doses but no interval in II, expected II above 0", e->repeats);
  }
  if (e->steady && !e->interval && !constant) {
    return FAIL(r, row, COL_SS,
                "found a dose at steady state (SS %d) but no interval in II, expected II above 0",
                e->steady);
  }
  if (e->repeats && e->interval > (DP_TIME_MAX - e->time) / e->repeats) {
    return FAIL(r, row, COL_ADDL, "the last of %d further doses lies beyond 9.2e9 time units",
                e->repeats);
  }
  if (e->interval && !e->repeats && !e->steady) tell(r, WARN_IDLE_INTERVAL, row);
  return DP_OK;
}

/* AMT RATE II ADDL SS CMT as they stand. */
static dp_status read_dose_items(const reader *r, int row, dp_event *e) {
  DP_TRY(number(r, row, COL_AMT, &e->amount));
  if (e->amount < 0) {
    return FAIL(r, row, COL_AMT, "found '%.60s', expected no negative amount",
                cell_of(r, row, COL_AMT));
  }
  DP_TRY(number(r, row, COL_RATE, &e->rate));
  if (e->rate < 0 && e->rate != -1 && e->rate != -2) {
    return FAIL(r, row, COL_RATE, "found '%.60s', expected a rate, 0, -1 or -2",
                cell_of(r, row, COL_RATE));
  }
  if (has(r, row, COL_II)) DP_TRY(ticks(r, row, COL_II, &e->interval));
  DP_TRY(whole_between(r, row, COL_ADDL, 0, 1000000, &e->repeats));
  DP_TRY(whole_between(r, row, COL_SS, 0, 2, &e->steady));
  return whole_between(r, row, COL_CMT, 0, 9999, &e->compartment);
}

/* DV MDV DVID CENS LIMIT; needs evid. */
static dp_status read_observation_items(reader *r, int row, dp_event *e) {
  DP_TRY(dpi_table_number_or(r->table, row, r->col[COL_DV], NAN, &e->value));
  DP_TRY(dpi_table_number_or(r->table, row, r->col[COL_LIMIT], NAN, &e->limit));
  DP_TRY(whole_between(r, row, COL_CENS, -1, 1, &e->censored));
  int mdv;
  DP_TRY(whole_between(r, row, COL_MDV, 0, 1, &mdv));
  bool said = has(r, row, COL_MDV);
  bool dose = e->evid == 1 || e->evid == 4;
  e->missing = mdv || e->evid != 0;
  if (dose && said && !mdv && has(r, row, COL_DV) && e->value != 0) tell(r, WARN_DOSE_VALUE, row);
  if (e->missing || has(r, row, COL_DV)) return DP_OK;
  if (r->col[COL_DV] < 0) {
    return FAIL(r, row, COL_DV, "found an observation (EVID 0) but no column DV, expected a value");
  }
  if (said) {
    return FAIL(r, row, COL_DV,
                "found no value on an observation (EVID 0, MDV 0), expected a number");
  }
  e->missing = 1;
  tell(r, WARN_NO_VALUE, row);
  return DP_OK;
}

static dp_status read_dvid(const reader *r, int row, dp_event *e, const dp_event *above) {
  const char *cell = cell_of(r, row, COL_DVID);
  if (dpi_table_missing(cell)) return DP_OK;
  /* most rows repeat the row above: share its text */
  if (above && strcmp(above->dvid, cell) == 0)
    e->dvid = above->dvid;
  else
    e->dvid = dpi_arena_strdup(r->arena, cell);
  return e->dvid ? DP_OK : DP_ERR_MEMORY;
}

static dp_status read_event(reader *r, int row, const dp_event *above, dp_event *e) {
  e->line = dpi_table_line(r->table, row);
  if (!has(r, row, COL_TIME)) return FAIL(r, row, COL_TIME, "found nothing, expected a time");
  DP_TRY(ticks(r, row, COL_TIME, &e->time));
  DP_TRY(read_dose_items(r, row, e));
  DP_TRY(read_evid(r, row, e));
  if (e->evid == 1 || e->evid == 4)
    DP_TRY(check_dose(r, row, e));
  else
    DP_TRY(refuse_dose_items(r, row, e));
  if (e->compartment == 0 && (e->evid == 1 || e->evid == 4)) e->compartment = r->def->dose_compartment;
  if (e->compartment == 0 && e->evid == 0) e->compartment = r->def->observed_compartment;
  DP_TRY(read_observation_items(r, row, e));
  return read_dvid(r, row, e, above);
}

/* ---- whose rows ---- */

static dp_status subject_add(reader *r, dpi_map *known, const char *id) {
  DP_TRY(
      dpi_grow(r->ctx, (void **)&r->subject, &r->subject_cap, r->nsubject + 1, sizeof *r->subject));
  char *copy = dpi_arena_strdup(r->arena, id);
  if (!copy) return DP_ERR_MEMORY;
  r->subject[r->nsubject] = (dp_subject){.id = copy};
  return dpi_map_put(known, id, r->nsubject++);
}

static dp_status rows_group_with(reader *r, dpi_map *known) {
  for (int row = 0, s = -1; row < r->table->nrow; row++) {
    const char *id = cell_of(r, row, COL_ID);
    if (dpi_table_missing(id)) return FAIL(r, row, COL_ID, "found nothing, expected an id");
    if (s < 0 || strcmp(r->subject[s].id, id) != 0) {
      s = dpi_map_get(known, id);
      if (s >= 0) tell(r, WARN_REGROUPED, row);
      if (s < 0) {
        s = r->nsubject;
        DP_TRY(subject_add(r, known, id));
      }
    }
    r->subject_of[row] = s;
    r->subject[s].nevent++;
  }
  return DP_OK;
}

/* subject_of for every row; how many rows each subject has. */
static dp_status rows_group(reader *r) {
  if (r->table->nrow == 0) {
    return dpi_fail(r->ctx, DP_ERR_INPUT, "%s:%d: found a header and no rows, expected events",
                    r->table->source, r->table->header_line);
  }
  r->subject_of = DPI_NEW_ARRAY(r->ctx, int, r->table->nrow);
  if (!r->subject_of) return DP_ERR_MEMORY;
  dpi_map known;
  dpi_map_init(&known, r->ctx);
  dp_status status = rows_group_with(r, &known);
  dpi_map_release(&known);
  return status;
}

/* ---- time order and duplicates ---- */

static dp_status check_order(const reader *r, int row, const dp_event *above, const dp_event *e) {
  if (!above || e->time >= above->time) return DP_OK;
  const char *id = cell_of(r, row, COL_ID);
  if (e->evid == 3 || e->evid == 4) {
    return FAIL(
        r, row, COL_TIME,
        "found '%.60s' on a reset (EVID %d) of subject %.60s, earlier than line %d; a reset that "
        "starts time again is not supported, expected time that goes on",
        cell_of(r, row, COL_TIME), e->evid, id, above->line);
  }
  return FAIL(r, row, COL_TIME,
              "found '%.60s', earlier than line %d of subject %.60s, expected ascending times",
              cell_of(r, row, COL_TIME), above->line, id);
}

/* Equal as text or as number ("1" and "1.0"). */
static bool same_cell(const char *a, const char *b) {
  double x, y;
  if (strcmp(a, b) == 0) return true;
  return dpi_parse_double(a, &x) && dpi_parse_double(b, &y) && x == y;
}

static bool same_row(const dpi_table *t, int a, int b) {
  for (int k = t->ncolumn - 1; k >= 0; k--) {
    if (!same_cell(dpi_table_cell(t, a, k), dpi_table_cell(t, b, k))) return false;
  }
  return true;
}

/* Hash of a row in which equal cells count alike, whatever their spelling. */
static uint64_t row_hash(const dpi_table *t, int row) {
  uint64_t h = 14695981039346656037u;
  for (int k = 0; k < t->ncolumn; k++) {
    const char *cell = dpi_table_cell(t, row, k);
    double x;
    if (dpi_parse_double(cell, &x)) {
      x += 0.0; /* -0 is 0 */
      uint64_t bits;
      memcpy(&bits, &x, sizeof bits);
      h = (h ^ bits) * 1099511628211u;
      h ^= h >> 29;
    } else {
      for (; *cell; cell++) h = (h ^ (unsigned char)*cell) * 1099511628211u;
    }
    h = (h ^ 0xff) * 1099511628211u; /* cells do not run into each other */
  }
  return h;
}

typedef struct keyed_row {
  uint64_t hash;
  int row;
} keyed_row;

static int by_hash_then_row(const void *a, const void *b) {
  const keyed_row *x = a, *y = b;
  if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
  return (x->row > y->row) - (x->row < y->row);
}

/* Among the n rows (one subject, one time) none equals another in every field. Of several, the
 * first in the file counts. */
static dp_status check_duplicates(const reader *r, keyed_row *key, int n) {
  for (int k = 0; k < n; k++) key[k].hash = row_hash(r->table, key[k].row);
  qsort(key, (size_t)n, sizeof *key, by_hash_then_row);
  int first = -1, second = -1;
  for (int k = 1; k < n; k++) {
    if (key[k].hash != key[k - 1].hash || !same_row(r->table, key[k - 1].row, key[k].row)) continue;
    if (second >= 0 && second < key[k].row) continue;
    first = key[k - 1].row;
    second = key[k].row;
  }
  if (second < 0) return DP_OK;
  return dpi_table_fail(
      r->table, second, -1,
      "found a duplicate of line %d (every field equal), expected a row of its own (replicates differ "
      "in some field)",
      dpi_table_line(r->table, first));
}

/* Walk the runs of equal time in every subject. row_of: [nrow] table row of each event. */
static dp_status duplicates_find(const reader *r, keyed_row *key, const int *row_of) {
  int nrow = r->table->nrow;
  for (int a = 0; a < nrow;) {
    int b = a + 1;
    while (b < nrow && r->event[b].time == r->event[a].time &&
           r->subject_of[row_of[b]] == r->subject_of[row_of[a]]) {
      b++;
    }
    if (b - a > 1) {
      for (int k = a; k < b; k++) key[k - a].row = row_of[k];
      DP_TRY(check_duplicates(r, key, b - a));
    }
    a = b;
  }
  return DP_OK;
}

/* ---- all rows ---- */

/* Read every row in file order into its subject's place. at: [nsubject] next free place; row_of is
 * filled. */
static dp_status rows_read_to(reader *r, int *at, int *row_of) {
  for (int row = 0; row < r->table->nrow; row++) {
    int s = r->subject_of[row], k = at[s]++;
    dp_event *e = &r->event[k];
    const dp_event *above = e > r->subject[s].event ? e - 1 : NULL;
    double *value = r->value + (size_t)k * (size_t)r->ncovariate;
    *e = dpi_event_default();
    e->covariate = value;
    row_of[k] = row;
    DP_TRY(read_event(r, row, above, e));
    DP_TRY(covariates_read(r, row, value));
    DP_TRY(check_order(r, row, above, e));
  }
  return DP_OK;
}

static dp_status rows_read(reader *r) {
  size_t nrow = (size_t)r->table->nrow;
  r->event = DPI_ARENA_ARRAY(r->arena, dp_event, nrow);
  r->value = DPI_ARENA_ARRAY(r->arena, double, nrow *(size_t)r->ncovariate);
  if (!r->event || !r->value) return DP_ERR_MEMORY;
  int *at = DPI_NEW_ARRAY(r->ctx, int, r->nsubject);
  int *row_of = DPI_NEW_ARRAY(r->ctx, int, nrow);
  keyed_row *key = DPI_NEW_ARRAY(r->ctx, keyed_row, nrow);
  dp_status status = at && row_of && key ? DP_OK : DP_ERR_MEMORY;
  for (int s = 0, first = 0; s < r->nsubject && status == DP_OK; s++) {
    at[s] = first;
    r->subject[s].event = r->event + first;
    first += r->subject[s].nevent;
  }
  if (status == DP_OK) status = rows_read_to(r, at, row_of);
  if (status == DP_OK) status = duplicates_find(r, key, row_of);
  dpi_free(r->ctx, key);
  dpi_free(r->ctx, row_of);
  dpi_free(r->ctx, at);
  return status;
}

static dp_status warnings_write(reader *r) {
  static const char *const text[WARN_COUNT] = {
#define NM_TEXT(name, text) text,
      NM_WARNING_LIST(NM_TEXT)
#undef NM_TEXT
  };
  for (int w = 0; w < WARN_COUNT; w++) {
    if (!r->told[w]) continue;
    const char *id = cell_of(r, r->told_row[w], COL_ID);
    const char *at = strstr(text[w], "%s");
    char more[48] = "";
    if (r->told[w] > 1) snprintf(more, sizeof more, " (and %d more rows like it)", r->told[w] - 1);
    DP_TRY(dpi_record_warn(r->record, "%s:%d: %.*s%.60s%s%s", r->table->source,
                           dpi_table_line(r->table, r->told_row[w]), (int)(at - text[w]), text[w],
                           id, at + 2, more));
  }
  return DP_OK;
}

/* Everything between an open table and a sealed record. */
static dp_status read_record(reader *r, const dp_record_def *def) {
  DP_TRY(columns_find(r));
  DP_TRY(codes_read(r, def->codes));
  DP_TRY(rows_group(r));
  DP_TRY(covariates_find(r));
  DP_TRY(rows_read(r));
  DP_TRY(warnings_write(r));
  dp_subject *subject = DPI_ARENA_ARRAY(r->arena, dp_subject, r->nsubject);
  if (!subject) return DP_ERR_MEMORY;
  memcpy(subject, r->subject, (size_t)r->nsubject * sizeof *subject);
  r->record->subject = subject;
  r->record->nsubject = r->nsubject;
  return dpi_record_seal(r->record);
}

static dp_status nmtran_read(dp_ctx *ctx, const char *data, size_t size, const char *source,
                             const dp_record_def *def, dp_record **out) {
  *out = NULL;
  dpi_table *table;
  if (def->columns)
    DP_TRY(nm_table_read(ctx, data, size, source, def, &table));
  else
    DP_TRY(dpi_table_read(ctx, data, size, source, DPI_TABLE_DETECT, &table));
  reader r = {.ctx = ctx, .table = table, .def = def};
  dp_status status = dpi_record_create(ctx, source, data, size, &r.record);
  if (status == DP_OK) {
    r.arena = dpi_record_arena(r.record);
    status = read_record(&r, def);
  }
  dpi_free(ctx, r.code);
  dpi_free(ctx, r.subject_of);
  dpi_free(ctx, r.subject);
  dpi_table_destroy(table);
  if (status == DP_OK)
    *out = r.record;
  else
    dp_record_destroy(r.record);
  return status;
}

/* ---- probe ---- */

static bool in_name(char c) {
  return c == '_' || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Does the line hold the word, letters' case apart, between characters that are not of a name? */
static bool line_has(const char *line, size_t n, const char *word) {
  size_t w = strlen(word);
  for (size_t k = 0; k + w <= n; k++) {
    size_t i = 0;
    while (i < w && (line[k + i] & ~32) == word[i]) i++;
    if (i == w && (k == 0 || !in_name(line[k - 1])) && (k + w == n || !in_name(line[k + w]))) {
      return true;
    }
  }
  return false;
}

/* A header with ID and TIME is ours; any other text may be ours with a mistake in the header. */
static int nmtran_probe(const char *data, size_t size, const char *source) {
  (void)source;
  if (size == 0) return 1; /* so that the message is about an empty table */
  size_t n = 0, look = size < 65536 ? size : 65536;
  if (memchr(data, '\0', look)) return 0;
  while (n < look && data[n] != '\n' && data[n] != '\r') n++;
  return line_has(data, n, "ID") && line_has(data, n, "TIME") ? 80 : 5;
}

const dpi_format_ops dp_format_nmtran = {
    .name = "nmtran",
    .help = "event table: ID TIME AMT DV EVID CMT RATE II ADDL SS MDV DVID CENS LIMIT, covariates",
    .probe = nmtran_probe,
    .read = nmtran_read,
};
