/* Stochastic cases made by hand, with closed forms as expected values: right ones pass, wrong means and deviations
 * fail, sigma = 0 asks for equality, a law without a mean is judged by its median, logarithms, failures and refusals
 * are told; threads change nothing. */
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

static int setup(void **state) {
  (void)state;
  dp_ctx_def def = dp_ctx_def_default();
  def.nthread = 2;
  snprintf(folder, sizeof folder, "stochastic_XXXXXX");
  return dp_ctx_create(&def, &ctx) != DP_OK || !mkdtemp(folder);
}

static int teardown(void **state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  const size_t live = dpi_alloc_live(ctx);
  dp_ctx_destroy(ctx);
  return system(command) != 0 || live != 0;
}

/* Times 0 and 2; the text behind the time of each row. */
static void put_case(const char *id, const char *header, const char *row0, const char *row2, const char *model) {
  char text[500];
  put(id, "-settings.txt",
      "start: 0\nduration: 2\nsteps: 1\nvariables: X\nabsolute:\nrelative:\namount: X\nconcentration:\noutput: X-mean, "
      "X-sd\n"
      "meanRange: (-3, 3)\nsdRange: (-5, 5)\n");
  snprintf(text, sizeof text, "time,%s\n0,%s\n2,%s\n", header, row0, row2);
  put(id, "-results.csv", text);
  put(id, "-antimony.txt", model);
}

static dp_sbml_case got[16];
static int ngot;

static void each(void *user, const dp_sbml_case *r) {
  (void)user;
  got[ngot++] = *r;
}

static dp_sbml_case run(const char *id, const char *method) {
  dp_sbml_def def = dp_sbml_def_default();
  def.only = &id;
  def.nonly = 1;
  def.runs = 3000;
  def.method = method;
  ngot = 0;
  if (dp_suite_sbml_stochastic(ctx, folder, &def, each, NULL) != DP_OK) fail_msg("%s", dp_ctx_error(ctx));
  assert_int_equal(ngot, 1);
  return got[0];
}

static void want(const char *id, const char *status, const char *why) {
  const dp_sbml_case r = run(id, NULL);
  if (strcmp(r.status, status) != 0 || !strstr(r.why, why))
    fail_msg("%s: %s '%s' (worst %g), expected %s '%s'", id, r.status, r.why, r.worst, status, why);
  assert_true(strcmp(status, "pass") != 0 || (r.worst <= 1 && r.compared > 0));
  assert_true(strcmp(status, "fail") != 0 || (r.worst > 1 && r.excursions > 0));
}

static const char decay[] = "model decay()\n  species X;\n  X = 50;\n  X => ; 0.5*X;\nend\n";

/* survivors are binomial: 50 e^-1, sqrt(50 e^-1 (1 - e^-1)) */
static void test_moments(void **state) {
  (void)state;
  put_case("00001", "X-mean,X-sd", "50,0", "18.39397,3.40984", decay);
  put_case("00002", "X-mean,X-sd", "50,0", "18.75,3.40984", decay);
  put_case("00003", "X-mean,X-sd", "50,0", "18.39397,3.8", decay);
  put_case("00004", "X-mean,X-sd", "50.01,0", "18.39397,3.40984", decay);
  put_case("00005", "X-mean", "50", "18.39397", decay);
  put_case("00006", "X-mean", "50", "18.8", decay);
  want("00001", "pass", "");
  want("00002", "fail", "X-mean at time 2");
  want("00003", "fail", "X-sd at time 2");
  want("00004", "fail", "X-mean at time 0");
  want("00005", "pass", "");
  want("00006", "fail", "X-mean at time 2");
  const dp_sbml_case a = run("00001", "direct"), b = run("00001", "next-reaction");
  assert_string_equal(b.status, "pass");
  assert_true(a.compared == 4 && a.expected > 0 && a.expected < 0.01);
}

/* draws in events: a law without a mean by its median, a logarithm by its own moments */
static void test_draws(void **state) {
  (void)state;
  put_case("00011", "X-mean", "0", "1", "model a()\n  X = 0;\n  E: at time >= 1: X = cauchy(1, 2);\nend\n");
  put_case("00012", "X-mean", "0", "1.5", "model a()\n  X = 0;\n  E: at time >= 1: X = cauchy(1, 2);\nend\n");
  put_case("00013", "ln(X)-mean,ln(X)-sd", "0,0", "1,2",
           "model a()\n  X = 0;\n  E: at time >= 1: X = lognormal(1, 2);\nend\n");
  want("00011", "pass", "");
  want("00012", "fail", "X-mean at time 2");
  want("00013", "pass", "");
}

static void test_trouble(void **state) {
  (void)state;
  put_case("00021", "X-mean,X-sd", "5,0", "18,3", "model a()\n  species X;\n  X = 5;\n  J: X => ; 20;\nend\n");
  put_case("00022", "X-mean,X-sd", "5,0", "18,3",
           "model a()\n  species X;\n  X = 5;\n  J: X -> ; 2*X - 0.1*X^2;\nend\n");
  put_case("00023", "X-average", "5", "18", decay);
  want("00021", "error", "below zero");
  want("00022", "refused", "'J' is reversible");
  want("00023", "error", "X-average");
}

static void test_threads(void **state) {
  (void)state;
  const dp_sbml_case a = run("00001", NULL);
  dp_ctx *two = ctx;
  dp_ctx_def def = dp_ctx_def_default();
  def.nthread = 1;
  assert_int_equal(dp_ctx_create(&def, &ctx), DP_OK);
  const dp_sbml_case b = run("00001", NULL);
  dp_ctx_destroy(ctx);
  ctx = two;
  assert_true(a.worst == b.worst && a.expected == b.expected);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_moments), cmocka_unit_test(test_draws),
                                     cmocka_unit_test(test_trouble), cmocka_unit_test(test_threads)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
