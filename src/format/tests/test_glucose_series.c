/* Compared with: small files whose content is plain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/tests/own_context.h"
#include "format/glucose_series.h"

static dp_status read_as(const char *text, const char *unit, dp_glucose_series **out, int *n) {
  dp_glucose_read_def def = dp_glucose_read_def_default();
  def.unit = unit;
  return dpi_glucose_read_text(ctx, text, strlen(text), "s.csv", &def, out, n);
}

/* One series of two readings, 100 mg/dL at 10 min and 180.16 mg/dL at 15 min, in any spelling. */
static void units_and_times(void **state) {
  (void)state;
  static const struct {
    const char *text, *unit;
  } same[] = {
      {"time,glucose (mg/dL)\n10,100\n15,180.16\n", NULL},
      {"Time,Glucose [mg/dl]\n10,100\n15,180.16\n", "mg/dL"},
      {"time\tcgm\n10\t100\n15\t180.16\n", "mg/dL"},
      {"time,glucose (mmol/L)\n10,5.5506216696269983\n15,10\n", NULL},
      {"#units: glucose=mmol/L\ntime,glucose\n10,5.5506216696269983\n15,10\n", NULL},
      {"# a sensor\n#units: x=1, sensor=mg/dL\ntime,sensor\n10,100\n15,180.16\n", NULL},
      {"timestamp,gl\n2024-02-29 00:10,100\n2024-02-29T00:15:00,180.16\n", "mg/dL"},
      {"time,glucose (mg/dL)\n10,100\n12,\n13,NA\n15,180.16\n", NULL},
  };
  for (int k = 0; k < DPI_COUNT(same); k++) {
    dp_glucose_series *s;
    int n;
    if (read_as(same[k].text, same[k].unit, &s, &n) != DP_OK) fail_msg("%d: %s", k, dp_ctx_error(ctx));
    assert_int_equal(n, 1);
    assert_int_equal(s[0].n, 2);
    assert_int_equal(s[0].nmissing, k == 7 ? 2 : 0);
    assert_true(s[0].time[0] == 10 && s[0].time[1] == 15);
    assert_true(fabs(s[0].value[0] - 100) < 1e-12 && fabs(s[0].value[1] - 180.16) < 1e-12);
    dp_glucose_series_free(ctx, s, n);
  }
}

static void people_and_days(void **state) {
  (void)state;
  dp_glucose_series *s;
  int n;
  assert_int_equal(
      read_as("id,time,glucose (mg/dL)\na,2023-12-31 23:55,90\nb,2024-03-01 12:00,80\na,2024-01-01 00:00,91\n"
              "b,2024-03-02 12:00,81\n",
              NULL, &s, &n),
      DP_OK);
  assert_int_equal(n, 2);
  assert_string_equal(s[0].id, "a");
  assert_string_equal(s[1].id, "b");
  assert_true(s[0].time[0] == 1435 && s[0].time[1] == 1440 && s[1].time[0] == 720 && s[1].time[1] == 2160);
  assert_true(s[1].value[1] == 81);
  dp_glucose_series_free(ctx, s, n);
}

/* Offsets: one clock throughout, that of the first reading, and time goes on as it does everywhere. */
static void offsets(void **state) {
  (void)state;
  static const struct {
    const char *text;
    double time[3];
  } cases[] = {
      {"time,gl\n2024-03-10T00:10:00Z,90\n2024-03-10T00:15:00Z,91\n2024-03-10T00:20:00Z,92\n", {10, 15, 20}},
      {"time,gl\n2024-03-31 01:55+01:00,90\n2024-03-31 03:00+02:00,91\n2024-03-31 03:05+0200,92\n", {115, 120, 125}},
      {"time,gl\n2024-10-27 02:55:00.5+02:00,90\n2024-10-27 02:00+01:00,91\n2024-10-27 02:05+01:00,92\n",
       {175, 180, 185}},
      {"time,gl\n2024-01-01 00:05-03:30,90\n2024-01-01 00:10-03:30,91\n2024-01-01T03:45:00Z,92\n", {5, 10, 15}},
  };
  for (int k = 0; k < DPI_COUNT(cases); k++) {
    dp_glucose_series *s;
    int n;
    if (read_as(cases[k].text, "mg/dL", &s, &n) != DP_OK) fail_msg("%d: %s", k, dp_ctx_error(ctx));
    for (int i = 0; i < 3; i++) assert_true(s[0].time[i] == cases[k].time[i] && s[0].value[i] == 90 + i);
    dp_glucose_series_free(ctx, s, n);
  }
}

/* What a device's own export has: rows of other things, words, rows twice, the last one first. */
static void as_devices_write(void **state) {
  (void)state;
  static const char text[] =
      "Index,Timestamp (YYYY-MM-DDThh:mm:ss),Event Type,Glucose Value (mg/dL)\n1,,FirstName,\n"
      "5,2024-01-01T00:15:00,EGV,HIGH\n4,2024-01-01T00:10:00,EGV,Low\n3,2024-01-01T00:05:00,EGV,100\n"
      "3,2024-01-01T00:05:00,EGV,100\n2,2024-01-01T00:00:00,EGV,110\n";
  dp_glucose_read_def def = dp_glucose_read_def_default();
  dp_glucose_series *s;
  int n;
  def.sort = 1;
  def.low = 39;
  def.high = 401;
  if (dpi_glucose_read_text(ctx, text, strlen(text), "s.csv", &def, &s, &n) != DP_OK) fail_msg("%s", dp_ctx_error(ctx));
  assert_int_equal(n, 1);
  assert_int_equal(s[0].n, 4);
  static const double value[] = {110, 100, 39, 401};
  for (int i = 0; i < 4; i++) assert_true(s[0].time[i] == 5 * i && s[0].value[i] == value[i]);
  assert_true(s[0].nrepeated == 1 && s[0].nlow == 1 && s[0].nhigh == 1 && s[0].nmissing == 0);
  dp_glucose_series_free(ctx, s, n);
  def.sort = 0;
  assert_int_equal(dpi_glucose_read_text(ctx, text, strlen(text), "s.csv", &def, &s, &n), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(ctx), "s.csv:4: "));
  assert_non_null(strstr(dp_ctx_error(ctx), "are rows to be sorted?"));
}

static void refusals(void **state) {
  (void)state;
  static const struct {
    const char *text, *unit, *message;
  } bad[] = {
      {"time,glucose\n0,100\n", NULL, "no unit is given"},
      {"time,glucose (g/L)\n0,1\n", NULL, "found unit 'g/L', expected mg/dL or mmol/L"},
      {"time,glucose (mmol/L)\n0,5\n", "mg/dL", "is in mmol/L by the file itself, but mg/dL was asked for"},
      {"time,glucose (mg/dL)\n0,5.5\n", NULL, "s.csv:2: column glucose (mg/dL): found 5.5 mg/dL, expected 10 to 1000"},
      {"time,glucose (mmol/L)\n0,100\n", NULL, "found 100 mmol/L, expected 0.5551 to 55.51"},
      {"time,glucose (mg/dL)\n5,100\n5,101\n", NULL,
       "s.csv:3: column time: found '5' a second time, with another reading (in line 2)"},
      {"time,glucose (mg/dL)\n5,100\n4,101\n", NULL,
       "s.csv:3: column time: found '4', not later than the reading before"},
      {"time,glucose (mg/dL)\n5,100\n5,\n", NULL, "found '5' a second time"},
      {"time,glucose (mg/dL)\n0,Low\n", NULL,
       "found 'Low', expected a number, or the caller to say what Low stands for"},
      {"time,glucose (mg/dL)\n0,Lower\n", NULL, "found 'Lower', expected a number, or nothing"},
      {"time,gl\n2024-01-01 10:00Z,100\n2024-01-01 10:05,100\n", "mg/dL", "with and without an offset in one column"},
      {"time,gl\n2024-01-01 10:00+2,100\n", "mg/dL", "found '2024-01-01 10:00+2'"},
      {"time,gl\n2024-01-01 10:00+15:00,100\n", "mg/dL", "found '2024-01-01 10:00+15:00'"},
      {"time,gl\n2024-01-01 10:00Zulu,100\n", "mg/dL", "found '2024-01-01 10:00Zulu'"},
      {"time,gl\n2024-10-27 02:55,100\n2024-10-27 02:00,100\n", "mg/dL", "was a clock set back"},
      {"time,glucose (mg/dL)\nnoon,100\n", NULL, "found 'noon', expected a number of min or a time"},
      {"time,glucose (mg/dL)\n2023-02-29 10:00,100\n", NULL, "found '2023-02-29 10:00'"},
      {"time,glucose (mg/dL)\n5,100\n2024-01-01 10:00,100\n", NULL, "numbers and dates in one column"},
      {"when,glucose (mg/dL)\n5,100\n", NULL, "found no column of times"},
      {"time,sugar\n5,100\n", NULL, "found no column of glucose"},
      {"time,glucose (mg/dL)\n", NULL, "found no readings"},
      {"time,glucose (mg/dL)\n1e300,100\n", NULL, "expected a time"},
  };
  for (int k = 0; k < DPI_COUNT(bad); k++) {
    dp_glucose_series *s;
    int n;
    assert_int_equal(read_as(bad[k].text, bad[k].unit, &s, &n), DP_ERR_INPUT);
    assert_null(s);
    if (!strstr(dp_ctx_error(ctx), bad[k].message)) fail_msg("%d: %s", k, dp_ctx_error(ctx));
    dp_ctx_clear_error(ctx);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(units_and_times, setup, teardown),
      cmocka_unit_test_setup_teardown(people_and_days, setup, teardown),
      cmocka_unit_test_setup_teardown(offsets, setup, teardown),
      cmocka_unit_test_setup_teardown(as_devices_write, setup, teardown),
      cmocka_unit_test_setup_teardown(refusals, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
