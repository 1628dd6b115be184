/* fuzz_table.c - any bytes as a table: refused with a message or read, every cell reachable, all
 * memory given back. The first byte chooses the separator. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "format/table.h"

#define CHECK(cond) \
  if (!(cond)) abort()

/* Every cell through every typed form: a status and, when it fails, a message. */
static void read_cell(dp_ctx *ctx, const dpi_table *t, int row, int column) {
  static const char *const words[] = {"lin", "log", "log10"};
  double x;
  int n;
  bool b;
  const char *text;
  dp_status s[6] = {dpi_table_number(t, row, column, &x),
                    dpi_table_bound_or(t, row, column, 0, &x),
                    dpi_table_int_or(t, row, column, 1, &n),
                    dpi_table_bool_or(t, row, column, true, &b),
                    dpi_table_choice(t, row, column, words, 3, 0, &n),
                    dpi_table_text(t, row, column, &text)};
  bool failed = false;
  for (int k = 0; k < 6; k++) failed |= s[k] != DP_OK;
  CHECK(!failed == !*dp_ctx_error(ctx));
  dp_ctx_clear_error(ctx);
}

static void read_table(dp_ctx *ctx, const dpi_table *t) {
  int column, line = t->header_line;
  for (int k = 0; k < t->ncolumn; k++) {
    CHECK(dpi_table_column(t, t->column[k]) == k);
    CHECK(dpi_table_need(t, t->column[k], &column) == DP_OK && column == k);
  }
  for (int row = 0; row < t->nrow; row++) {
    CHECK(dpi_table_line(t, row) > line);
    line = dpi_table_line(t, row);
    for (int k = 0; k < t->ncolumn; k++) read_cell(ctx, t, row, k);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char seps[] = {DPI_TABLE_DETECT, ',', '\t', ' ', ';'};
  if (size < 1 || size > 4096) return 0;
  dp_ctx_def def = dp_ctx_def_default();
  dp_ctx *ctx;
  dpi_table *t;
  CHECK(dp_ctx_create(&def, &ctx) == DP_OK);
  dp_status status = dpi_table_read(ctx, (const char *)data + 1, size - 1, "fuzz",
                                    seps[data[0] % sizeof seps], &t);
  CHECK((status == DP_OK) == (t != NULL));
  CHECK((status == DP_OK) == !*dp_ctx_error(ctx));
  if (t) read_table(ctx, t);
  dpi_table_destroy(t);
  CHECK(dpi_alloc_live(ctx) == 0);
  dp_ctx_destroy(ctx);
  return 0;
}
