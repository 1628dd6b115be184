/* Independent comparison: NONMEM 7.4.4's individual objectives and modes, where the suite's archive is there (a fresh
 * clone has none: skipped); without it the reader's refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "doppel/suite.h"

#define ARCHIVE DOPPEL_SOURCE_DIR "/../shared/suites/nonmem-map.tar.xz"
#define PLACE DOPPEL_BINARY_DIR "/nonmem-map"

static void each(void *user, const dp_nonmem_result *r) {
  int *count = user;
  *count += 1;
  if (strcmp(r->status, "pass")) fail_msg("run %s: %s: %s", r->run, r->status, r->why);
  assert_true(r->nsubject > 0 && r->nparameter >= 3 * r->nsubject && r->nwithin > 0);
  assert_true(r->ncovariance >= 6 * r->nsubject && r->ncovariance_within == r->ncovariance);
  assert_true(r->evaluations > 3 && r->evaluations < 200);
}

static dp_ctx *context(void) {
  dp_ctx_def def = dp_ctx_def_default();
  dp_ctx *ctx = NULL;
  def.nthread = 2;
  assert_int_equal(dp_ctx_create(&def, &ctx), DP_OK);
  return ctx;
}

static void test_runs(void **state) {
  (void)state;
  if (!dpi_file_exists(ARCHIVE)) {
    print_message("skipped: ../shared not there\n");
    skip();
  }
  if (!dpi_file_exists(PLACE "/run001.phi"))
    assert_int_equal(system("mkdir -p " PLACE " && tar -xJf " ARCHIVE " -C " PLACE
                            " --strip-components=$(tar -tJf " ARCHIVE
                            " | grep -m1 run001.phi | tr -cd / | wc -c)"),
                     0);
  dp_ctx *ctx = context();
  /* every subject of the closed-form runs, some of the others (the command line runs them all) */
  static const char *const closed[] = {"001", "002", "101", "407"}, *const ode[] = {"201", "951"};
  dp_nonmem_def def = dp_nonmem_def_default();
  int count = 0;
  def.only = closed;
  def.nonly = 4;
  assert_int_equal(
      dp_suite_nonmem(ctx, PLACE, DOPPEL_SOURCE_DIR "/tests/nonmem", &def, each, &count), DP_OK);
  def.only = ode;
  def.nonly = 2;
  def.max_subject = 40;
  assert_int_equal(
      dp_suite_nonmem(ctx, PLACE, DOPPEL_SOURCE_DIR "/tests/nonmem", &def, each, &count), DP_OK);
  assert_int_equal(count, 6);
  dp_ctx_destroy(ctx);
}

/* keep the one result */
static void keep(void *user, const dp_nonmem_result *r) { *(dp_nonmem_result *)user = *r; }

static void test_refusals(void **state) {
  (void)state;
  static const char dir[] = DOPPEL_BINARY_DIR "/nonmem-broken";
  dp_ctx *ctx = context();
  dp_nonmem_def def = dp_nonmem_def_default();
  dp_nonmem_result r;
  assert_int_equal(system("rm -rf " DOPPEL_BINARY_DIR
                          "/nonmem-broken && mkdir -p " DOPPEL_BINARY_DIR "/nonmem-broken"),
                   0);
  assert_int_equal(dp_suite_nonmem(ctx, dir, DOPPEL_SOURCE_DIR "/tests/nonmem", &def, keep, &r),
                   DP_ERR_INPUT);
  dp_ctx_clear_error(ctx);
  FILE *f = fopen(DOPPEL_BINARY_DIR "/nonmem-broken/data001.csv", "w");
  fputs("ID,time,evid,amt,cmt,ii,addl,mdv,DV\n1,0,1,10000,1,0,0,1,.\n1,1.5,0,0,2,0,0,0,91.2904\n",
        f);
  fclose(f);
  f = fopen(DOPPEL_BINARY_DIR "/nonmem-broken/run001.phi", "w");
  fputs("TABLE\n SUBJECT_NO ID ETA(1) ETA(2) ETA(3) OBJ\n 1 1 0.1 zero 0.2 3\n", f);
  fclose(f);
  assert_int_equal(dp_suite_nonmem(ctx, dir, DOPPEL_SOURCE_DIR "/tests/nonmem", &def, keep, &r),
                   DP_OK);
  assert_string_equal(r.status, "error");
  assert_non_null(strstr(r.why, "run001.phi:3: column 4: found 'zero'"));
  assert_int_equal(dp_suite_nonmem(ctx, dir, "/nowhere", &def, keep, &r), DP_OK);
  assert_string_equal(r.status, "refused");
  dp_ctx_destroy(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_runs), cmocka_unit_test(test_refusals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
