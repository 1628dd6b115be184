/* Semantic cases made by hand, with closed forms as expected values: reading, the pass rule, order, refusals. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/tests/failing_memory.h"
#include "suite/suite_impl.h"

static dp_ctx *ctx;
static char folder[64];

static void put(const char *id, const char *ending, const char *text) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", folder, id);
  mkdir(path, 0777);
  snprintf(path, sizeof path, "%s/%s/%s%s", folder, id, id, ending);
  assert_int_equal(dpi_file_write(ctx, path, text, strlen(text)), DP_OK);
}

static failing_memory memory;

static int setup(void **state) {
  (void)state;
  dp_ctx_def def = failing_def(&memory);
  def.nthread = 3;
  snprintf(folder, sizeof folder, "suite_XXXXXX");
  return dp_ctx_create(&def, &ctx) != DP_OK || !mkdtemp(folder);
}

static int teardown(void **state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  size_t live = dpi_alloc_live(ctx);
  dp_ctx_destroy(ctx);
  return system(command) != 0 || live != 0;
}

static const char decay[] =
    "model decay()\n  compartment c = 2;\n  species S in c;\n  S = 3;\n  k = 0.5;\n  S -> ; k*S*c;\nend\n";

/* Concentration 3 exp(-t/2), amount twice that, at 0, 1, 2. */
static void put_decay(const char *id, double off, const char *model) {
  char text[400];
  put(id, "-settings.txt",
      "start: 0\r\nduration:  2 \r\nsteps: 2\r\nvariables: S,  k\r\nabsolute: 1.0e-007\r\nrelative: 0.0001\r\n"
      "amount: S\r\nconcentration:\r\n\r\n");
  snprintf(text, sizeof text, "Time, S ,k\r\n0,6,0.5\r\n1,%.17g,0.5\r\n2,%.17g,5e-001\r\n\r\n", 6 * exp(-0.5),
           6 * exp(-1) + off);
  put(id, "-results.csv", text);
  put(id, "-antimony.txt", model);
  put(id, "-model.m", "(*\ncategory: Test\ngeneratedBy:   Analytic\n*)\n");
}

static dpi_suite_case *read_case(const char *id) {
  char dir[256];
  dpi_suite_case *c = NULL;
  snprintf(dir, sizeof dir, "%s/%s", folder, id);
  assert_int_equal(dpi_suite_case_read(ctx, dir, id, &c), DP_OK);
  return c;
}

static void settings_and_results_are_read(void **state) {
  (void)state;
  put_decay("00001", 0, decay);
  dpi_suite_case *c = read_case("00001");
  assert_true(c->timed && c->analytic);
  assert_int_equal(c->steps, 2);
  assert_int_equal(c->nvariable, 2);
  assert_string_equal(dpi_suite_signal(c, "S"), "amount(S)");
  assert_string_equal(dpi_suite_signal(c, "k"), "k");
  assert_int_equal(c->ncolumn, 2);
  assert_int_equal(c->nrow, 3);
  assert_true(c->absolute == 1e-7 && c->relative == 1e-4 && c->duration == 2);
  assert_true(c->time[2] == 2 && dpi_suite_expected(c, 2, 1) == 0.5 && dpi_suite_expected(c, 0, 0) == 6);
  assert_true(isnan(c->mean_range[0]));
  dpi_suite_case_destroy(c);
}

static void ranges_missing_values_and_untimed_cases_are_read(void **state) {
  (void)state;
  put("00002", "-settings.txt",
      "start:\nduration:\nsteps: 1e300\nvariables: R1,OBJ\nabsolute: 0.1\nrelative:\nmeanRange: (-3, 3)\nsdRange: "
      "(-5,4.5)\n");
  put("00002", "-results.csv", "R1,OBJ\nNaN,-inf\n");
  dpi_suite_case *c = read_case("00002");
  assert_false(c->timed);
  assert_int_equal(c->steps, 0); /* of no use here, and no int */
  assert_null(c->time);
  assert_true(isnan(dpi_suite_expected(c, 0, 0)) && dpi_suite_expected(c, 0, 1) == -INFINITY);
  assert_true(c->mean_range[0] == -3 && c->sd_range[1] == 4.5 && c->relative == 0);
  assert_false(c->analytic);
  dpi_suite_case_destroy(c);
}

static void what_is_wrong_in_a_case_is_named(void **state) {
  (void)state;
  static const struct {
    const char *settings, *results, *says;
  } bad[] = {{"duration: x\n", "time,S\n0,1\n", "duration"},
             {"duration: 1\nsteps: 0.5\n", "time,S\n0,1\n", "steps '0.5'"},
             {"duration: 1\nsteps: 2\nmeanRange: 3\n", "time,S\n0,1\n", "meanRange"},
             {"duration: 1\nsteps: 2\n", "S\n0\n", "not time"},
             {"duration: 1\nsteps: 2\n", "time,S\n", "no rows"},
             {"duration: 1\nsteps: 2\n", "time,S\n0\n", "found 1 columns, expected 2"},
             {"duration: 1\nsteps: 2\n", "time,S\n0,1,2\n", "found '2'"},
             {"duration: 1\nsteps: 2\n", "time,S\n0,one\n", ":2: found 'one'"},
             {"duration: 1\nsteps: 2\nabsolute: -1\n", "time,S\n0,1\n", "negative"}};
  char dir[256];
  snprintf(dir, sizeof dir, "%s/00003", folder);
  for (int i = 0; i < DPI_COUNT(bad); i++) {
    dpi_suite_case *c = NULL;
    put("00003", "-settings.txt", bad[i].settings);
    put("00003", "-results.csv", bad[i].results);
    dp_ctx_clear_error(ctx);
    assert_int_equal(dpi_suite_case_read(ctx, dir, "00003", &c), DP_ERR_INPUT);
    if (!strstr(dp_ctx_error(ctx), bad[i].says)) fail_msg("%d: %s", i, dp_ctx_error(ctx));
  }
  dp_ctx_clear_error(ctx);
}

typedef struct seen {
  int n;
  dp_sbml_case r[16];
} seen;

static void keep(void *user, const dp_sbml_case *r) {
  seen *s = user;
  s->r[s->n++] = *r;
}

static dp_status run(dp_sbml_def *def, seen *s, const char *a, const char *b) {
  const char *only[2] = {a, b};
  def->only = only;
  def->nonly = 1 + (b != NULL);
  s->n = 0;
  dp_ctx_clear_error(ctx);
  return dp_suite_sbml(ctx, folder, def, keep, s);
}

static void cases_are_judged_in_order(void **state) {
  (void)state;
  seen s;
  dp_sbml_def def = dp_sbml_def_default();
  put_decay("00011", 0, decay);
  put_decay("00012", 5e-4, decay);            /* twice the tolerance */
  put_decay("00013", 1.1e-4, decay);          /* half of it */
  put_decay("00014", 0, "S -> ; k*delay(\n"); /* no model */
  put_decay("00015", 0, "k = 0.5;\n");        /* nothing of that name */
  put_decay("00016", 0, "S = 6; k = 0.5; S' = S*S*S; T' = 1/(S-S); T = 0");
  assert_int_equal(run(&def, &s, "00011-00016", NULL), DP_OK);
  assert_int_equal(s.n, 6);
  for (int i = 0; i < 6; i++) assert_int_equal(atoi(s.r[i].id), 11 + i);
  assert_string_equal(s.r[0].status, "pass");
  assert_true(s.r[0].worst < 0.1 && s.r[0].tighter && s.r[0].analytic && s.r[0].compared == 6);
  assert_string_equal(s.r[0].why, "");
  assert_string_equal(s.r[1].status, "fail");
  assert_true(s.r[1].worst > 1.9 && s.r[1].worst < 2.5);
  assert_non_null(strstr(s.r[1].why, "S at time 2"));
  assert_non_null(strstr(s.r[1].why, "1 of 6 values outside"));
  assert_string_equal(s.r[2].status, "pass");
  assert_true(s.r[2].worst > 0.4 && s.r[2].worst < 0.6 && !s.r[2].tighter);
  for (int i = 3; i < 6; i++) {
    assert_string_not_equal(s.r[i].status, "pass");
    assert_string_not_equal(s.r[i].status, "fail");
    assert_string_not_equal(s.r[i].why, "");
    assert_true(isnan(s.r[i].worst));
  }
}

static void cases_are_chosen_by_id(void **state) {
  (void)state;
  seen s;
  dp_sbml_def def = dp_sbml_def_default();
  put_decay("00021", 0, decay);
  put_decay("00022", 0, decay);
  assert_int_equal(run(&def, &s, "00022", "00021"), DP_OK);
  assert_int_equal(s.n, 2);
  assert_string_equal(s.r[0].id, "00021");
  assert_int_equal(run(&def, &s, "00021", "99999"), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(ctx), "no case '99999'"));
  def.cookie = 0;
  assert_int_equal(run(&def, &s, "00021", NULL), DP_ERR_USAGE);
  dp_ctx_clear_error(ctx);
  def = dp_sbml_def_default();
  assert_int_equal(dp_suite_sbml(ctx, "/no such folder", &def, keep, &s), DP_ERR_INPUT);
  dp_ctx_clear_error(ctx);
}

static void infinite_and_missing_values_match_themselves_only(void **state) {
  (void)state;
  seen s;
  dp_sbml_def def = dp_sbml_def_default();
  static const char model[] = "a = 1; a' = 0; u := a/0; v := -a/0; w := (a-1)/(a-1)*0 + sqrt(-a)";
  put("00031", "-settings.txt", "start: 0\nduration: 1\nsteps: 1\nvariables: u,v,w\nabsolute: 1\nrelative: 1\n");
  put("00031", "-results.csv", "time,u,v,w\n0,INF,-INF,NaN\n1,inf,-Inf,nan\n");
  put("00031", "-antimony.txt", model);
  assert_int_equal(run(&def, &s, "00031", NULL), DP_OK);
  if (strcmp(s.r[0].status, "pass")) fail_msg("%s: %s", s.r[0].status, s.r[0].why);
  put("00031", "-results.csv", "time,u,v,w\n0,INF,INF,NaN\n1,inf,-Inf,nan\n");
  assert_int_equal(run(&def, &s, "00031", NULL), DP_OK);
  assert_string_equal(s.r[0].status, "fail");
  put("00031", "-results.csv", "time,u,v,w\n0,INF,-INF,1\n1,inf,-Inf,nan\n");
  assert_int_equal(run(&def, &s, "00031", NULL), DP_OK);
  assert_string_equal(s.r[0].status, "fail");
}

static void passes(const char *id, const char *settings, const char *results, const char *model) {
  seen s;
  dp_sbml_def def = dp_sbml_def_default();
  put(id, "-settings.txt", settings);
  put(id, "-results.csv", results);
  put(id, "-antimony.txt", model);
  assert_int_equal(run(&def, &s, id, NULL), DP_OK);
  if (strcmp(s.r[0].status, "pass")) fail_msg("%s: %s: %s", results, s.r[0].status, s.r[0].why);
}

#define TOLERANCES "absolute: 1e-9\nrelative: 1e-9\n"

/* What ticks are too coarse or too fine for is run in another unit of time: delays, events, rates and time itself. */
static void courses_of_any_length_are_run(void **state) {
  (void)state;
  passes("00032", "start: 0\nduration: 4e10\nsteps: 4\nvariables: x,t,n,y,time\n" TOLERANCES,
         "time,x,t,n,y,time\n0,0,0,0,2,0\n1e10,1,1e10,0,2,1e10\n2e10,2,2e10,0,2,2e10\n3e10,3,3e10,1,2,3e10\n"
         "4e10,4,4e10,1,2,4e10\n",
         "x = 0; x' = 1e-10; t := time; n = 0; y := 2e10*rateOf(x)\n E: at 0.5e10 after (x >= 2): n = n + 1;");
  passes("00033", "start: 0\nduration: 3e-12\nsteps: 3\nvariables: x, t\n" TOLERANCES,
         "time,x,t\n0,0,0\n1e-12,1,1e-12\n2e-12,2,2e-12\n3e-12,3,3e-12\n", "x = 0; x' = 1e12; t := time");
  passes("00034", "start: 0\nduration: 1e-6\nsteps: 3\nvariables: x\n" TOLERANCES,
         "time,x\n0,0\n3.3333333333333335e-7,1\n6.666666666666667e-7,2\n1e-6,3\n", "x = 0; x' = 3e6");
}

static void tables_of_unusual_shape_are_read(void **state) {
  (void)state;
  static const char model[] = "x = 1; x' = 1";
  passes("00035", "start: 0\nduration: 1\nsteps: 1\nvariables: x,x\n" TOLERANCES, "time,x,x\n0,1,1\n1,2,2\n", model);
  passes("00036", "start: 0\nduration: 1\nsteps: 1\nvariables:\n" TOLERANCES, "time\n0\n1\n", model);
  passes("00037", "start: 0\nduration: 1\nsteps: 1\nvariables: x\n" TOLERANCES, "\"time\",\"x\"\n0,1\n1,2\n", model);
  passes("00038", "start: 0\nduration: 0\nsteps: 0\nvariables: x\n" TOLERANCES, "time,x\n0,1\n", model);
}

static void a_lack_of_memory_is_said_and_nothing_is_left(void **state) {
  (void)state;
  char dir[256];
  dp_status status = DP_ERR_MEMORY;
  put_decay("00041", 0, decay);
  snprintf(dir, sizeof dir, "%s/00041", folder);
  size_t live = dpi_alloc_live(ctx);
  int n = 0;
  for (; status != DP_OK && n < 1000; n++) {
    dpi_suite_case *c = NULL;
    failing_next(&memory, n);
    status = dpi_suite_case_read(ctx, dir, "00041", &c);
    failing_never(&memory);
    assert_true(status == DP_OK ? c != NULL : status == DP_ERR_MEMORY && c == NULL);
    dpi_suite_case_destroy(c);
    assert_int_equal(dpi_alloc_live(ctx), live);
    dp_ctx_clear_error(ctx);
  }
  assert_true(n > 4 && n < 1000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(settings_and_results_are_read),
      cmocka_unit_test(ranges_missing_values_and_untimed_cases_are_read),
      cmocka_unit_test(what_is_wrong_in_a_case_is_named),
      cmocka_unit_test(cases_are_judged_in_order),
      cmocka_unit_test(cases_are_chosen_by_id),
      cmocka_unit_test(infinite_and_missing_values_match_themselves_only),
      cmocka_unit_test(courses_of_any_length_are_run),
      cmocka_unit_test(tables_of_unusual_shape_are_read),
      cmocka_unit_test(a_lack_of_memory_is_said_and_nothing_is_left),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
