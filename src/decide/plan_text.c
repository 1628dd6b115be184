/* plan_text.c - floor 6: plan.tsv to a plan and back.  U
 *
 *     controlId  time  amount  duration  interval  repeats  steady
 *
 * controlId and amount are needed; the other columns may be left out, their cells empty. A number may have a unit after
 * it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "decide/decide.h"
#include "format/table.h"
#include "kind/kind_find.h"

enum { MAX_ROW = 100000, MAX_REPEATS = 1000000 };
#define MAX_TIME 1e9 /* time units; in ticks it still fits */

static const char *const columns[] = {"controlId", "time", "amount", "duration", "interval", "repeats", "steady"};
enum { CONTROL, TIME, AMOUNT, DURATION, INTERVAL, REPEATS, STEADY, NCOLUMN };

typedef struct reader {
  const dp_kind *kind;
  const dpi_table *table;
  int column[NCOLUMN]; /* of the table, -1 absent */
} reader;

/* "36 h" in the cell: a number in unit `to`. Empty: *out stays. */
static dp_status read_number(const reader *k, int row, int which, const char *to, double molar_mass, double *out) {
  int column = k->column[which];
  const char *text = dpi_table_cell(k->table, row, column);
  char digits[64];
  if (which == TIME && *text && *text != '.' && dpi_table_missing(text)) /* when to give it is not to be guessed */
    return dpi_table_fail(k->table, row, column, "found '%s', expected a time in %s, or nothing for now", text, to);
  if (dpi_table_missing(text)) return DP_OK;
  size_t n = strspn(text, "0123456789.eE+-");
  while (n > 0 && (text[n - 1] == 'e' || text[n - 1] == 'E')) n--;
  if (n >= sizeof digits) return dpi_table_fail(k->table, row, column, "found a number of %d characters", (int)n);
  memcpy(digits, text, n);
  digits[n] = 0;
  if (!dpi_parse_double(digits, out))
    return dpi_table_fail(k->table, row, column, "found '%s', expected a number", text);
  const char *unit = text + n;
  while (*unit == ' ') unit++;
  if (*unit) {
    dp_ctx *ctx = k->kind->ctx;
    bool clean = !*dp_ctx_error(ctx);
    if (dp_unit_convert(ctx, *out, unit, to, molar_mass, out) != DP_OK) {
      if (clean) dp_ctx_clear_error(ctx);
      return dpi_table_fail(k->table, row, column, "found the unit '%s', which does not convert to '%s'", unit, to);
    }
  }
  double most = which == AMOUNT ? 1e300 : MAX_TIME;
  if (*out >= 0 && *out <= most) return DP_OK;
  return dpi_table_fail(k->table, row, column, "found '%s', expected a number from 0 to %g", text, most);
}

static dp_status read_control(const reader *k, int row, int *out) {
  const char *id, **ids;
  const dp_kind *kind = k->kind;
  DP_TRY(dpi_table_text(k->table, row, k->column[CONTROL], &id));
  *out = dpi_kind_find_control(kind, id);
  if (*out >= 0) return DP_OK;
  ids = DPI_NEW_ARRAY(kind->ctx, const char *, kind->ncontrol + 1);
  if (!ids) return DP_ERR_MEMORY;
  for (int i = 0; i < kind->ncontrol; i++) ids[i] = kind->control[i].id;
  const char *near = dpi_nearest_word(id, ids, kind->ncontrol);
  dp_status status =
      dpi_table_fail(k->table, row, k->column[CONTROL], "found '%s', expected a control of controls.tsv%s%s%s", id,
                     near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
  dpi_free(kind->ctx, ids);
  return status;
}

static dp_status read_row(const reader *k, int row, dp_plan_row *r) {
  const dpi_table *t = k->table;
  const char *unit = k->kind->time_unit;
  bool steady;
  DP_TRY(read_control(k, row, &r->control));
  const dpi_kind_control *c = &k->kind->control[r->control];
  DP_TRY(read_number(k, row, TIME, unit, 0, &r->time));
  r->amount = NAN;
  DP_TRY(read_number(k, row, AMOUNT, c->unit, c->molar_mass, &r->amount));
  if (isnan(r->amount))
    return dpi_table_fail(t, row, k->column[AMOUNT], "found nothing, expected an amount in %s", c->unit);
  DP_TRY(read_number(k, row, DURATION, unit, 0, &r->duration));
  DP_TRY(read_number(k, row, INTERVAL, unit, 0, &r->interval));
  DP_TRY(dpi_table_int_or(t, row, k->column[REPEATS], 0, &r->repeats));
  if (r->repeats < 0 || r->repeats > MAX_REPEATS)
    return dpi_table_fail(t, row, k->column[REPEATS], "found %d, expected 0 to %d", r->repeats, MAX_REPEATS);
  DP_TRY(dpi_table_bool_or(t, row, k->column[STEADY], false, &steady));
  r->steady = steady;
  if ((r->repeats > 0 || steady) && !(r->interval > 0))
    return dpi_table_fail(t, row, k->column[INTERVAL], "found no interval, expected one > 0 with %s",
                          steady ? "steady" : "repeats");
  if (steady && r->time != 0)
    return dpi_table_fail(t, row, k->column[TIME], "found %g, expected 0 with steady: the path begins in that state",
                          r->time);
  if (r->time + r->interval * r->repeats > MAX_TIME)
    return dpi_table_fail(t, row, k->column[REPEATS], "the last of them would be later than %g %s", MAX_TIME, unit);
  return DP_OK;
}

/* A steady row stands first: it says where the path begins. */
static dp_status check_order(const reader *k, const dp_plan *plan) {
  for (int i = 1; i < plan->nrow; i++)
    if (plan->row[i].steady && !plan->row[0].steady)
      return dpi_table_fail(k->table, i, k->column[STEADY],
                            "found a steady row after one that is not, expected steady rows first");
  return DP_OK;
}

static dp_status read_table(const dp_kind *kind, const dpi_table *table, dp_plan **out) {
  reader k = {.kind = kind, .table = table};
  DP_TRY(dpi_table_only(table, columns, NCOLUMN));
  for (int i = 0; i < NCOLUMN; i++) k.column[i] = dpi_table_column(table, columns[i]);
  DP_TRY(dpi_table_need(table, columns[CONTROL], &k.column[CONTROL]));
  DP_TRY(dpi_table_need(table, columns[AMOUNT], &k.column[AMOUNT]));
  if (table->nrow > MAX_ROW) return dpi_table_fail(table, -1, -1, "found %d rows, at most %d", table->nrow, MAX_ROW);
  dp_plan *plan;
  DP_TRY(dp_plan_create(kind->ctx, table->nrow, &plan));
  dp_status status = DP_OK;
  for (int row = 0; status == DP_OK && row < table->nrow; row++) status = read_row(&k, row, &plan->row[row]);
  if (status == DP_OK) status = check_order(&k, plan);
  if (status != DP_OK) {
    dp_plan_destroy(plan);
    return status;
  }
  *out = plan;
  return DP_OK;
}

dp_status dp_plan_read_text(const dp_kind *kind, const char *text, size_t size, const char *source, dp_plan **out) {
  *out = NULL;
  dpi_table *table;
  DP_TRY(dpi_table_read(kind->ctx, text, size, source, DPI_TABLE_DETECT, &table));
  dp_status status = read_table(kind, table, out);
  dpi_table_destroy(table);
  return status;
}

/* "plans/high_dose.tsv" -> "high_dose" */
static void name_of(const char *path, char name[64]) {
  const char *slash = strrchr(path, '/'), *from = slash ? slash + 1 : path, *dot = strrchr(from, '.');
  size_t n = dot && dot > from ? (size_t)(dot - from) : strlen(from);
  snprintf(name, 64, "%.*s", (int)(n < 63 ? n : 63), from);
}

dp_status dp_plan_read(const dp_kind *kind, const char *path, dp_plan **out) {
  char *text;
  size_t size;
  *out = NULL;
  DP_TRY(dpi_file_read(kind->ctx, path, 16u << 20, &text, &size));
  dp_status status = dp_plan_read_text(kind, text, size, path, out);
  dpi_free(kind->ctx, text);
  if (status == DP_OK) name_of(path, (*out)->name);
  return status;
}

dp_status dp_plan_write(const dp_kind *kind, const dp_plan *plan, char **out) {
  dpi_str s;
  *out = NULL;
  dpi_str_init(&s, kind->ctx);
  for (int i = 0; i < NCOLUMN; i++) dpi_str_addf(&s, "%s%s", i ? "\t" : "", columns[i]);
  dpi_str_add(&s, "\n");
  for (int i = 0; i < plan->nrow; i++) {
    const dp_plan_row *r = &plan->row[i];
    const double number[4] = {r->time, r->amount, r->duration, r->interval};
    dpi_str_add(&s, kind->control[r->control].id);
    for (int j = 0; j < 4; j++) {
      char text[32];
      dpi_format_double(number[j], text);
      dpi_str_addf(&s, "\t%s", text);
    }
    dpi_str_addf(&s, "\t%d\t%d\n", r->repeats, r->steady ? 1 : 0);
  }
  if (!s.failed && (*out = DPI_NEW_ARRAY(kind->ctx, char, s.len + 1)) != NULL) memcpy(*out, dpi_str_text(&s), s.len);
  dpi_str_release(&s);
  return *out ? DP_OK : DP_ERR_MEMORY;
}

void dp_plan_text_free(const dp_plan *plan, char *text) { dpi_free(plan->ctx, text); }
