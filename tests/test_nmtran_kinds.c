/* Independent comparison: control streams of tests/nonmem/ctl against the kinds of the same runs that were written by hand. The
 * joint objective, its gradient and its Fisher matrix at given effects are the same within 1e-12. The tables are made up here;
 * against the reference's own data and modes the command line compares: doppel suite nonmem DIR --models tests/nonmem/ctl. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/infer.h"

#define PLAIN "ID,time,evid,amt,cmt,ii,addl,mdv,DV,s2_sampling\n"
#define RATED "ID,time,evid,amt,cmt,ii,addl,rate,mdv,DV,s2_sampling\n"
#define ORAL                                                                           \
  PLAIN                                                                                \
  "1,0,1,10000,1,0,0,1,.,1\n1,1.5,0,0,2,0,0,0,91.2,1\n1,4.4,0,0,2,0,0,0,110.8,1\n"     \
  "1,7.1,0,0,2,0,0,0,130.5,1\n1,24,1,60000,1,24,3,1,.,1\n1,71.7,0,0,2,0,0,0,700.1,1\n" \
  "1,99,0,0,2,0,0,0,910.25,1\n"

static const struct {
  const char *run, *table;
} runs[] = {
    {"001", ORAL},
    {"003", ORAL},
    {"008", ORAL},
    {"101", ORAL},
    {"201", ORAL},
    {"207", ORAL},
    {"501", ORAL},
    {"002", RATED "1,0,1,10000,2,0,0,2500,1,.,1\n1,1.5,0,0,2,0,0,0,0,51.2,1\n1,4.4,0,0,2,0,0,0,0,110.8,1\n"
                  "1,24,1,60000,1,24,3,0,1,.,1\n1,71.7,0,0,2,0,0,0,0,700.1,1\n"},
    {"005", RATED "1,0,1,10000,1,0,0,-2,1,.,1\n1,1.5,0,0,2,0,0,0,0,81.2,1\n1,4.4,0,0,2,0,0,0,0,110.8,1\n"
                  "1,24,1,60000,1,24,3,-2,1,.,1\n1,71.7,0,0,2,0,0,0,0,700.1,1\n"},
    {"006", RATED "1,0,1,10000,1,0,0,0,1,.,1\n1,0,1,10000,2,0,0,-2,1,.,1\n1,1.5,0,0,2,0,0,0,0,79.9,1\n"
                  "1,4.4,0,0,2,0,0,0,0,110.8,1\n1,24,1,60000,1,24,3,0,1,.,1\n1,71.7,0,0,2,0,0,0,0,300.1,1\n"},
    {"301",
     "ID,time,evid,amt,cmt,ii,addl,mdv,DV,BW,SEX,s2_sampling\n1,0,1,10000,1,0,0,1,.,77,0,1\n"
     "1,1.5,0,0,2,0,0,0,85.9,113,0,1\n1,4.4,0,0,2,0,0,0,105.3,92,1,1\n1,24,0,0,2,0,0,0,40.25,81,0,1\n"},
    {"401", PLAIN "1,0,1,10000,1,0,0,1,.,1\n1,1.5,0,0,2,0,0,0,91.2,1\n1,4.4,0,0,2,0,0,0,110.8,1\n"
                  "1,4.4,0,0,3,0,0,0,20.5,1\n1,24,1,60000,1,24,3,1,.,1\n1,71.7,0,0,3,0,0,0,300.1,1\n"
                  "1,71.7,0,0,2,0,0,0,700.1,1\n"},
    {"407",
     "ID,time,evid,amt,cmt,ii,addl,mdv,DV,LDV,s2_sampling\n1,0,1,10000,1,0,0,1,.,.,1\n1,1.5,0,0,2,0,0,0,1,0,1\n"
     "1,4.4,0,0,2,0,0,0,2.718281828459045,1,1\n1,24,0,0,2,0,0,0,54.598150033144236,4,1\n"},
    {"901",
     "ID,time,evid,amt,cmt,rate,mdv,DV,BSA,s2_sampling\n1,0,1,600,1,600,1,.,1.8,1\n1,1.5,0,0,1,0,0,20.2,1.8,1\n"
     "1,6,0,0,1,0,0,4.1,1.7,1\n1,24,0,0,1,0,0,0.31,1.7,1\n"},
    {"951",
     "ID,time,evid,amt,cmt,rate,mdv,DV,AGE,SCR,CYCLE,s2_sampling\n1,0,1,2000000,1,333333,1,.,62,67,1,1\n"
     "1,22.2,0,0,1,0,0,8257.51,62,67,1,1\n1,45.9,0,0,1,0,0,681.105,62,70,1,1\n1,336,1,2000000,1,333333,1,.,62,75,2,1\n"
     "1,358,0,0,1,0,0,7100.5,62,75,2,1\n1,382,0,0,1,0,0,500.25,62,72,2,1\n"},
};

typedef struct point {
  int n;
  double l, g[16], fisher[16 * 16];
} point;

static point evaluate(dp_ctx *ctx, const char *kind_path, const char *table) {
  static const double some[] = {0.1, -0.2, 0.15, -0.05, 0.1, 0.03};
  dp_kind *kind = NULL;
  dp_record *record = NULL;
  dp_prior *prior = NULL;
  dpi_person *p = NULL;
  point out = {0};
  if (dp_kind_load(ctx, kind_path, &kind) != DP_OK) fail_msg("%s", dp_ctx_error(ctx));
  if (dp_kind_record(kind, table, &record) != DP_OK) fail_msg("%s", dp_ctx_error(ctx));
  assert_int_equal(dp_prior_nominal(kind, &prior), DP_OK);
  assert_int_equal(dpi_person_create(kind, record, 0, INFINITY, false, &p), DP_OK);
  p->typical = prior->typical;
  double omega[16 * 16], x[16];
  out.n = p->c->neta;
  assert_true(out.n >= 3 && out.n <= 6);
  dpi_person_omega(p, prior->omega, omega);
  assert_int_equal(dpi_indiv_prior(p->iv, omega), DP_OK);
  assert_int_equal(p->iv->dim, out.n);
  dpi_indiv_x(p->iv, some, x);
  dpi_point at = {0, out.g, out.fisher};
  bool ok = false;
  assert_int_equal(dpi_indiv_eval(p->iv, x, true, &at, &ok), DP_OK);
  assert_true(ok);
  out.l = at.l;
  dpi_person_destroy(p);
  dp_prior_destroy(prior);
  dp_record_destroy(record);
  dp_kind_destroy(kind);
  return out;
}

static void near(const char *run, const char *what, double ours, double theirs, double scale) {
  if (!(fabs(ours - theirs) <= 1e-12 * scale)) fail_msg("run %s: %s: %.17g and %.17g", run, what, ours, theirs);
}

static void the_same_as_by_hand(void **state) {
  (void)state;
  dp_ctx_def def = dp_ctx_def_default();
  dp_ctx *ctx = NULL;
  def.interpret = 1;
  assert_int_equal(dp_ctx_create(&def, &ctx), DP_OK);
  for (int i = 0; i < DPI_COUNT(runs); i++) {
    char folder[300], stream[300], table[300], command[1600];
    /* with the same integrator and tolerances: a kind by hand may choose its own */
    snprintf(folder, sizeof folder, DOPPEL_BINARY_DIR "/nmtran_kinds_%s", runs[i].run);
    snprintf(command, sizeof command,
             "rm -rf %s && cp -r " DOPPEL_SOURCE_DIR
             "/tests/nonmem/run%s %s && sed -i '/^method:/d;/^tolerances:/d' %s/twin.yaml",
             folder, runs[i].run, folder, folder);
    assert_int_equal(system(command), 0);
    snprintf(stream, sizeof stream, DOPPEL_SOURCE_DIR "/tests/nonmem/ctl/run%s.ctl", runs[i].run);
    snprintf(table, sizeof table, DOPPEL_BINARY_DIR "/nmtran_kinds_%s.csv", runs[i].run);
    assert_int_equal(dpi_file_write(ctx, table, runs[i].table, strlen(runs[i].table)), DP_OK);
    point a = evaluate(ctx, folder, table), b = evaluate(ctx, stream, table);
    assert_int_equal(a.n, b.n);
    near(runs[i].run, "objective", b.l, a.l, fabs(a.l));
    double g = 0, f = 0;
    for (int k = 0; k < a.n; k++) g = fmax(g, fabs(a.g[k]));
    for (int k = 0; k < a.n * a.n; k++) f = fmax(f, fabs(a.fisher[k]));
    for (int k = 0; k < a.n; k++) near(runs[i].run, "gradient", b.g[k], a.g[k], g);
    for (int k = 0; k < a.n * a.n; k++) near(runs[i].run, "Fisher matrix", b.fisher[k], a.fisher[k], f);
    remove(table);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
  }
  dp_ctx_destroy(ctx);
}

/* A folder written from a stream is the same kind. */
static void written_and_read_again(void **state) {
  (void)state;
  dp_ctx_def def = dp_ctx_def_default();
  dp_ctx *ctx = NULL;
  dp_kind *a = NULL, *b = NULL;
  assert_int_equal(dp_ctx_create(&def, &ctx), DP_OK);
  assert_int_equal(system("rm -rf " DOPPEL_BINARY_DIR "/run951"), 0);
  if (dp_kind_new(ctx, DOPPEL_SOURCE_DIR "/tests/nonmem/ctl/run951.ctl", DOPPEL_BINARY_DIR, "run951", 0) != DP_OK)
    fail_msg("%s", dp_ctx_error(ctx));
  assert_int_equal(dp_kind_load(ctx, DOPPEL_SOURCE_DIR "/tests/nonmem/ctl/run951.ctl", &a), DP_OK);
  assert_int_equal(dp_kind_load(ctx, DOPPEL_BINARY_DIR "/run951", &b), DP_OK);
  assert_string_equal(dp_kind_hash(a), dp_kind_hash(b));
  dp_kind_destroy(a);
  dp_kind_destroy(b);
  assert_int_equal(system("rm -rf " DOPPEL_BINARY_DIR "/run951"), 0);
  dp_ctx_destroy(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_same_as_by_hand),
      cmocka_unit_test(written_and_read_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
