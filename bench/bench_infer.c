/* bench_infer.c - patients a second for the mode and the posterior, seconds for the population fit, on theophylline;
 * with a folder of NONMEM's runs also modes on those.
 *
 *     bench_infer [twins/theophylline [suite folder  tests/nonmem]]
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "doppel/suite.h"
#include "infer/infer.h"

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void row(const char *name, double value, const char *unit) {
  printf("%-34s %12.4g %s\n", name, value, unit);
}

static dp_status modes(const dp_kind *kind, const dp_record *record, const dp_prior *prior) {
  int n = record->nsubject, repeats = 50, neval = 0;
  double seconds = 0;
  for (int i = 0; i < n; i++) {
    dpi_person *p = NULL;
    DP_TRY(dpi_person_create(kind, record, i, INFINITY, false, &p));
    double omega[64 * 64], x[65];
    p->typical = prior->typical;
    dpi_person_omega(p, prior->omega, omega);
    dp_status st = dpi_indiv_prior(p->iv, omega);
    dpi_mode_def def = dpi_mode_def_default();
    dpi_mode mode;
    double start = now();
    for (int r = 0; r < repeats && st == DP_OK; r++) {
      memset(x, 0, sizeof x);
      st = dpi_mode_find(p->iv, &def, x, &mode);
    }
    seconds += now() - start;
    neval += (int)p->iv->neval;
    dpi_person_destroy(p);
    DP_TRY(st);
  }
  row("mode, one start, one thread", n * repeats / seconds, "patients/s");
  row("  evaluations of the model", (double)neval / (n * repeats), "a patient");
  return DP_OK;
}

static dp_status posteriors(const dp_kind *kind, const dp_record *record, const dp_prior *prior) {
  dp_assimilate_def def = dp_assimilate_def_default();
  double start = now();
  for (int i = 0; i < record->nsubject; i++) {
    dp_belief *b = NULL;
    DP_TRY(dp_assimilate(kind, record, i, INFINITY, prior, &def, &b));
    dp_belief_destroy(b);
  }
  row("posterior, 4000 proposals", record->nsubject / (now() - start), "patients/s");
  return DP_OK;
}

static dp_status fits(const dp_kind *kind, const dp_record *record) {
  static const char *const method[] = {"laplace", "focei"};
  for (int m = 0; m < 2; m++) {
    dp_fit_def def = dp_fit_def_default();
    dp_prior *p = NULL;
    char name[64];
    def.method = method[m];
    double start = now();
    DP_TRY(dp_prior_fit(kind, record, NULL, 0, &def, &p));
    snprintf(name, sizeof name, "population fit, %s", method[m]);
    row(name, now() - start, "s");
    dp_prior_destroy(p);
  }
  double start = now();
  for (int i = 0; i < record->nsubject; i++) {
    dp_prior *p = NULL;
    DP_TRY(dp_prior_loo(kind, record, i, NULL, &p));
    dp_prior_destroy(p);
  }
  row("leave one out, all", now() - start, "s");
  return DP_OK;
}

static void each(void *user, const dp_nonmem_result *r) {
  char name[64];
  (void)user;
  if (strcmp(r->status, "pass") && strcmp(r->status, "fail")) return;
  snprintf(name, sizeof name, "modes of run %s, 3 starts", r->run);
  row(name, r->patients_per_s, "patients/s");
}

static dp_status all(dp_ctx *ctx, int argc, char **argv) {
  dp_kind *kind = NULL;
  dp_record *record = NULL;
  dp_prior *prior = NULL;
  dp_status st = dp_kind_load(ctx, argc > 1 ? argv[1] : "twins/theophylline", &kind);
  if (st == DP_OK) st = dp_kind_record(kind, dp_kind_patients(kind), &record);
  if (st == DP_OK) st = dp_prior_nominal(kind, &prior);
  if (st == DP_OK) st = modes(kind, record, prior);
  if (st == DP_OK) st = posteriors(kind, record, prior);
  if (st == DP_OK) st = fits(kind, record);
  if (prior) dp_prior_destroy(prior);
  if (record) dp_record_destroy(record);
  if (kind) dp_kind_destroy(kind);
  dp_nonmem_def def = dp_nonmem_def_default();
  if (st == DP_OK && argc > 3) st = dp_suite_nonmem(ctx, argv[2], argv[3], &def, each, NULL);
  return st;
}

int main(int argc, char **argv) {
  dp_ctx_def def = dp_ctx_def_default();
  dp_ctx *ctx = NULL;
  def.nthread = 2;
  if (dp_ctx_create(&def, &ctx) != DP_OK) return 75;
  dp_status st = all(ctx, argc, argv);
  if (st != DP_OK) fprintf(stderr, "%s\n", dp_ctx_error(ctx));
  dp_ctx_destroy(ctx);
  return dp_status_exit_code(st);
}
