/* Compared with: tables worked out by hand, RFC 4180's rules, and a generator that writes tables
 * and reads them back. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/tests/failing_memory.h"
#include "base/tests/own_context.h"
#include "format/table.h"

static dpi_table *table_of(const char *text, char sep) {
  dpi_table *t = NULL;
  dp_status status = dpi_table_read(ctx, text, strlen(text), "t.csv", sep, &t);
  if (status != DP_OK) fail_msg("%s", dp_ctx_error(ctx));
  return t;
}

static void expect_error(const char *text, size_t size, char sep, const char *message) {
  dpi_table *t = (dpi_table *)1;
  assert_int_equal(dpi_table_read(ctx, text, size, "t.csv", sep, &t), DP_ERR_INPUT);
  assert_null(t);
  assert_string_equal(dp_ctx_error(ctx), message);
  dp_ctx_clear_error(ctx);
}
#define EXPECT_ERROR(text, message) expect_error(text, strlen(text), DPI_TABLE_DETECT, message)

static void plain_rows(void **state) {
  (void)state;
  static const char *const texts[] = {
      "a,b,c\n1,,3\n4,5,6\n",
      "a,b,c\r\n1,,3\r\n4,5,6",
      "a,b,c\r1,,3\r4,5,6\r",
      ("\xEF\xBB\xBF"
       "a,b,c\n\n1,,3\n# no\n4,5,6\n\n"),
      " a , b ,c\n\t1, ,3\n4,5 ,  6  \n",
      "# x\n\na,b,c\n1,\"\",3\n\"4\",\"5\" ,6\n",
      "a\tb\tc\n1\t\t3\n4\t 5\t6\n",
      "a;b;c\n1;;3\n4;5;6",
  };
  for (int k = 0; k < DPI_COUNT(texts); k++) {
    dpi_table *t = table_of(texts[k], DPI_TABLE_DETECT);
    assert_int_equal(t->ncolumn, 3);
    assert_int_equal(t->nrow, 2);
    assert_string_equal(t->column[0], "a");
    assert_string_equal(t->column[1], "b");
    assert_string_equal(t->column[2], "c");
    assert_string_equal(dpi_table_cell(t, 0, 0), "1");
    assert_string_equal(dpi_table_cell(t, 0, 1), "");
    assert_string_equal(dpi_table_cell(t, 0, 2), "3");
    assert_string_equal(dpi_table_cell(t, 1, 0), "4");
    assert_string_equal(dpi_table_cell(t, 1, 1), "5");
    assert_string_equal(dpi_table_cell(t, 1, 2), "6");
    assert_string_equal(dpi_table_cell(t, 1, -1), "");
    dpi_table_destroy(t);
  }
  dpi_table_destroy(NULL);
}

static void blanks_separate(void **state) {
  (void)state;
  dpi_table *t = table_of("  ID  TIME \t DV\n 1   0    .  \n\n 1\t\"2 h\"\t\t3", ' ');
  assert_int_equal(t->ncolumn, 3);
  assert_int_equal(t->nrow, 2);
  assert_string_equal(dpi_table_cell(t, 0, 2), ".");
  assert_string_equal(dpi_table_cell(t, 1, 1), "2 h");
  assert_string_equal(dpi_table_cell(t, 1, 2), "3");
  dpi_table_destroy(t);
  t = table_of("ID TIME\n1 2\n", DPI_TABLE_DETECT);
  assert_int_equal(t->sep, ' ');
  dpi_table_destroy(t);
  t = table_of("only\n1\n2\n", DPI_TABLE_DETECT);
  assert_int_equal(t->nrow, 2);
  dpi_table_destroy(t);
}

static void quotes_hold_separators_and_lines(void **state) {
  (void)state;
  dpi_table *t = table_of(
      "id,\"say, \"\"what\"\"\"\n1,\"two\r\nlines, one\rmore\"\n2,a \"b\" c\n3,\" kept \"\n", ',');
  assert_string_equal(t->column[1], "say, \"what\"");
  assert_string_equal(dpi_table_cell(t, 0, 1), "two\r\nlines, one\rmore");
  assert_string_equal(dpi_table_cell(t, 1, 1), "a \"b\" c");
  assert_string_equal(dpi_table_cell(t, 2, 1), " kept ");
  assert_int_equal(dpi_table_line(t, 0), 2);
  assert_int_equal(dpi_table_line(t, 1), 5);
  assert_int_equal(dpi_table_line(t, 2), 6);
  dpi_table_destroy(t);
}

static void lines_are_counted(void **state) {
  (void)state;
  dpi_table *t = table_of("# one\n\nid,x\r\n#four\n1,2\n\n\n3,4\n", ',');
  assert_int_equal(t->header_line, 3);
  assert_int_equal(dpi_table_line(t, 0), 5);
  assert_int_equal(dpi_table_line(t, 1), 8);
  dpi_table_destroy(t);
}

static void wrong_tables_are_refused(void **state) {
  (void)state;
  EXPECT_ERROR("", "t.csv: found an empty file, expected a header line");
  EXPECT_ERROR("\n  \n# only this\n", "t.csv: found an empty file, expected a header line");
  EXPECT_ERROR("\xEF\xBB\xBF", "t.csv: found an empty file, expected a header line");
  EXPECT_ERROR("a,b\n1,2\n3\n", "t.csv:3: found 1 field, expected 2 as in the header (line 1)");
  EXPECT_ERROR("a,b\n1,2,3\n", "t.csv:2: found 3 fields, expected 2 as in the header (line 1)");
  EXPECT_ERROR("a,b\n1,2,\n", "t.csv:2: found 3 fields, expected 2 as in the header (line 1)");
  EXPECT_ERROR("a,b,a\n", "t.csv:1: found column a twice (columns 1 and 3), expected it once");
  EXPECT_ERROR("a,,b\n", "t.csv:1: column 2 has no name");
  EXPECT_ERROR("a,b,\n1,2,\n", "t.csv:1: column 3 has no name");
  EXPECT_ERROR("a,b\n1,\"2\n3,4\n", "t.csv:2: found a quote that does not end, expected '\"'");
  EXPECT_ERROR("a,b\n1,\"2\"x\n",
               "t.csv:2: found text after a closing quote, expected a separator");
  expect_error("a,b\n1,\0\n", 9, ',', "t.csv:2: found a NUL byte, expected text in UTF-8");
  expect_error("\xff\xfei\0d\0", 6, ',',
               "t.csv:1: found a NUL byte, expected text in UTF-8"); /* UTF-16 */
}

static void typed_cells(void **state) {
  (void)state;
  dpi_table *t =
      table_of("x,n,b,w,t\n1.5,3,yes,log,hello\n.,,NA,nan,\nx,2.5,maybe,lug,-INF\n", ',');
  double x;
  int n;
  bool b;
  const char *text;
  static const char *const words[] = {"lin", "log", "log10"};
  assert_int_equal(dpi_table_number(t, 0, 0, &x), DP_OK);
  assert_true(x == 1.5);
  assert_int_equal(dpi_table_int(t, 0, 1, &n), DP_OK);
  assert_int_equal(n, 3);
  assert_int_equal(dpi_table_bool_or(t, 0, 2, false, &b), DP_OK);
  assert_true(b);
  assert_int_equal(dpi_table_choice(t, 0, 3, words, 3, -1, &n), DP_OK);
  assert_int_equal(n, 1);
  assert_int_equal(dpi_table_text(t, 0, 4, &text), DP_OK);
  assert_string_equal(text, "hello");
  /* missing values give the fallback, and so does a column that is not there */
  assert_int_equal(dpi_table_number_or(t, 1, 0, 7, &x), DP_OK);
  assert_true(x == 7);
  assert_int_equal(dpi_table_number_or(t, 0, -1, 8, &x), DP_OK);
  assert_true(x == 8);
  assert_int_equal(dpi_table_int_or(t, 1, 1, 9, &n), DP_OK);
  assert_int_equal(n, 9);
  assert_int_equal(dpi_table_bool_or(t, 1, 2, true, &b), DP_OK);
  assert_true(b);
  assert_int_equal(dpi_table_choice(t, 1, 3, words, 3, 2, &n), DP_OK);
  assert_int_equal(n, 2);
  assert_int_equal(dpi_table_bound_or(t, 2, 4, 0, &x), DP_OK);
  assert_true(isinf(x) && x < 0);
  assert_int_equal(dpi_table_bound_or(t, 0, 0, 0, &x), DP_OK);
  assert_true(x == 1.5);
  dpi_table_destroy(t);
}

#define EXPECT_FAIL(call, message)                   \
  do {                                               \
    assert_int_equal(call, DP_ERR_INPUT);            \
    assert_string_equal(dp_ctx_error(ctx), message); \
    dp_ctx_clear_error(ctx);                         \
  } while (0)

static void messages_name_place_and_column(void **state) {
  (void)state;
  dpi_table *t =
      table_of("x,n,b,w,t\n1.5,3,yes,log,hello\n.,,NA,nan,\nx,2.5,maybe,lug,-INF\n", ',');
  static const char *const words[] = {"lin", "log", "log10"};
  double x;
  int n;
  bool b;
  const char *text;
  EXPECT_FAIL(dpi_table_number(t, 2, 0, &x), "t.csv:4: column x: found 'x', expected a number");
  EXPECT_FAIL(dpi_table_number(t, 1, 0, &x), "t.csv:3: column x: found '.', expected a number");
  EXPECT_FAIL(dpi_table_number(t, 1, 1, &x), "t.csv:3: column n: found nothing, expected a number");
  EXPECT_FAIL(dpi_table_number(t, 1, -1, &x), "t.csv:3: found nothing, expected a number");
  EXPECT_FAIL(dpi_table_int(t, 2, 1, &n),
              "t.csv:4: column n: found '2.5', expected a whole number");
  EXPECT_FAIL(dpi_table_bool_or(t, 2, 2, 0, &b),
              "t.csv:4: column b: found 'maybe', expected 1 or 0 (true or false, yes or no)");
  EXPECT_FAIL(dpi_table_choice(t, 2, 3, words, 3, 0, &n),
              "t.csv:4: column w: found 'lug', expected lin, log or log10; did you mean log?");
  EXPECT_FAIL(dpi_table_choice(t, 2, 2, words, 3, 0, &n),
              "t.csv:4: column b: found 'maybe', expected lin, log or log10");
  EXPECT_FAIL(dpi_table_text(t, 1, 4, &text), "t.csv:3: column t: found nothing, expected a text");
  EXPECT_FAIL(dpi_table_fail(t, 0, 3, "no %s", "good"), "t.csv:2: column w: no good");
  EXPECT_FAIL(dpi_table_fail(t, 0, -1, "no %s", "good"), "t.csv:2: no good");
  EXPECT_FAIL(dpi_table_fail(t, -1, 3, "no %s", "good"), "t.csv:1: column w: no good");
  dpi_table_destroy(t);
}

static void columns_are_found(void **state) {
  (void)state;
  dpi_table *t = table_of("parameterId\tScale\tlowerBound\n", '\t');
  static const char *const known[] = {"parameterId", "scale", "lowerBound"};
  int c;
  assert_int_equal(t->nrow, 0);
  assert_int_equal(dpi_table_column(t, "lowerBound"), 2);
  assert_int_equal(dpi_table_column(t, "scale"), -1);
  assert_int_equal(dpi_table_column_nocase(t, "scale"), 1);
  assert_int_equal(dpi_table_column_nocase(t, "scal"), -1);
  assert_int_equal(dpi_table_column_nocase(t, "scales"), -1);
  assert_int_equal(dpi_table_need(t, "parameterId", &c), DP_OK);
  assert_int_equal(c, 0);
  EXPECT_FAIL(dpi_table_need(t, "lowreBound", &c),
              "t.csv:1: found no column lowreBound, expected one; is it lowerBound?");
  EXPECT_FAIL(dpi_table_need(t, "unit", &c), "t.csv:1: found no column unit, expected one");
  EXPECT_FAIL(dpi_table_only(t, known, 3),
              "t.csv:1: column Scale is not known here; did you mean scale?");
  dpi_table_destroy(t);
  t = table_of("parameterId\tlowerBound\n", '\t');
  assert_int_equal(dpi_table_only(t, known, 3), DP_OK);
  dpi_table_destroy(t);
}

static void files_are_loaded(void **state) {
  (void)state;
  dpi_table *t;
  assert_int_equal(dpi_table_load(ctx, "/nowhere/x.tsv", '\t', &t), DP_ERR_INPUT);
  assert_null(t);
  dp_ctx_clear_error(ctx);
  char path[] = "/tmp/dp_table_XXXXXX";
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  assert_int_equal(dpi_file_write(ctx, path, "a\tb\n1\t2\n", 8), DP_OK);
  assert_int_equal(dpi_table_load(ctx, path, '\t', &t), DP_OK);
  assert_string_equal(t->source, path);
  assert_string_equal(dpi_table_cell(t, 0, 1), "2");
  dpi_table_destroy(t);
  remove(path);
}

/* Random cells of awkward characters, written quoted by RFC 4180 and read again. */
static void quoted_cells_come_back(void **state) {
  (void)state;
  static const char awkward[] = "ab,\"\"\r\n\t #;x.1 '";
  uint64_t x = 7;
  for (int round = 0; round < 300; round++) {
    enum { ROWS = 5, COLS = 4 };
    char cell[ROWS][COLS][12];
    dpi_str text;
    dpi_str_init(&text, ctx);
    dpi_str_add(&text, "a,b,c,d\n");
    for (int r = 0; r < ROWS; r++) {
      for (int c = 0; c < COLS; c++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        int n = (int)(x >> 33) % 11;
        dpi_str_add(&text, c ? ",\"" : "\"");
        for (int k = 0; k < n; k++) {
          x = x * 6364136223846793005u + 1442695040888963407u;
          cell[r][c][k] = awkward[(x >> 33) % (sizeof awkward - 1)];
          dpi_str_addn(&text, &cell[r][c][k], 1);
          if (cell[r][c][k] == '"') dpi_str_add(&text, "\"");
        }
        cell[r][c][n] = '\0';
        dpi_str_add(&text, "\"");
      }
      dpi_str_add(&text, r % 2 ? "\r\n" : "\n");
    }
    dpi_table *t = table_of(dpi_str_text(&text), ',');
    assert_int_equal(t->nrow, ROWS);
    for (int r = 0; r < ROWS; r++) {
      for (int c = 0; c < COLS; c++) assert_string_equal(dpi_table_cell(t, r, c), cell[r][c]);
    }
    dpi_table_destroy(t);
    dpi_str_release(&text);
  }
}

static void the_nth_allocation_fails_cleanly(void **state) {
  (void)state;
  dpi_str text;
  dpi_str_init(&text, ctx);
  dpi_str_add(&text, "a,b,c\n");
  for (int k = 0; k < 200; k++) dpi_str_addf(&text, "%d,\"x\",%d\n", k, 2 * k);
  bool reached = true;
  int n = 0;
  while (reached) {
    failing_memory memory = {0};
    dp_ctx *own = failing_context(&memory);
    dpi_table *t;
    assert_non_null(own);
    failing_next(&memory, n++);
    dp_status status = dpi_table_read(own, text.data, text.len, "t.csv", ',', &t);
    reached = failing_happened(&memory);
    assert_int_equal(status, reached ? DP_ERR_MEMORY : DP_OK);
    dpi_table_destroy(t);
    assert_int_equal(dpi_alloc_live(own), 0);
    dp_ctx_destroy(own);
  }
  assert_true(n > 5);
  dpi_str_release(&text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(plain_rows),
      cmocka_unit_test(blanks_separate),
      cmocka_unit_test(quotes_hold_separators_and_lines),
      cmocka_unit_test(lines_are_counted),
      cmocka_unit_test(wrong_tables_are_refused),
      cmocka_unit_test(typed_cells),
      cmocka_unit_test(messages_name_place_and_column),
      cmocka_unit_test(columns_are_found),
      cmocka_unit_test(files_are_loaded),
      cmocka_unit_test(quoted_cells_come_back),
      cmocka_unit_test(the_nth_allocation_fails_cleanly),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
