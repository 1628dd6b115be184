/* bench_decide.c - a person's plan once the posterior exists: search, screen, judge on all draws, score on fresh ones.
 *
 *     bench_decide [twins/vancomycin [draws [fresh draws]]]
 *
 * Milliseconds by the clock and of processor time (all threads), the best of 20, for each person of the kind's example
 * record at the
 * kind's default time. Next samples are not imagined. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "decide/decide.h"

static double seconds(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* One person: beliefs, then the plan many times. */
static dp_status person(const dp_kind *kind, const dp_record *record, const dp_prior *prior, int i, int ndraw,
                        int nfresh) {
  dp_assimilate_def def = dp_assimilate_def_default();
  dp_plan_def plan = dp_plan_def_default();
  dp_belief *belief = NULL, *fresh = NULL;
  dpi_case *c = NULL;
  double best[2] = {INFINITY, INFINITY}, zero[64] = {0};
  def.ndraw = ndraw;
  def.nproposal = 4 * ndraw;
  DP_TRY(dp_assimilate(kind, record, i, kind->until, prior, &def, &belief));
  def.seed = 2;
  def.ndraw = nfresh;
  def.nproposal = 4 * nfresh;
  DP_TRY(dp_assimilate(kind, record, i, kind->until, prior, &def, &fresh));
  DP_TRY(dpi_case_create(kind, record, i, &c));
  double *param = calloc((size_t)dp_sim_describe(kind->sim)->nparam + 1, sizeof *param);
  dp_instant *history = calloc((size_t)c->ninstant + 1, sizeof *history);
  if (!param || !history) return DP_ERR_MEMORY;
  dpi_case_apply(c, prior->typical, zero, param, history);
  dp_plan_patient patient = {.param = param,
                             .eta_effect = c->eta_effect,
                             .history = history,
                             .nhistory = c->ninstant,
                             .now = kind->until,
                             .stream = c->stream,
                             .belief = belief,
                             .fresh = fresh};
  for (int k = 0; k < 20; k++) {
    dp_advice *a = NULL;
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    DP_TRY(dp_plan_search(kind, &patient, &plan, &a));
    best[0] = fmin(best[0], seconds(CLOCK_MONOTONIC) - wall);
    best[1] = fmin(best[1], seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    if (k == 0) fprintf(stderr, "%s: %s\n", c->id, a->reason);
    dp_advice_destroy(a);
  }
  char name[2][64];
  snprintf(name[0], sizeof name[0], "plan of person %s", c->id);
  snprintf(name[1], sizeof name[1], "the same, processor time, %s", c->id);
  for (int k = 0; k < 2; k++) printf("%-34s %12.4g ms\n", name[k], 1e3 * best[k]);
  free(param);
  free(history);
  dpi_case_destroy(c);
  dp_belief_destroy(belief);
  dp_belief_destroy(fresh);
  return DP_OK;
}

static dp_status run(dp_ctx *ctx, const char *dir, int ndraw, int nfresh) {
  dp_kind *kind = NULL;
  dp_record *record = NULL;
  dp_prior *prior = NULL;
  DP_TRY(dp_kind_load(ctx, dir, &kind));
  dp_status status = dp_kind_record(kind, dp_kind_patients(kind), &record);
  if (status == DP_OK) status = dp_prior_nominal(kind, &prior);
  for (int i = 0; status == DP_OK && i < record->nsubject; i++) status = person(kind, record, prior, i, ndraw, nfresh);
  dp_prior_destroy(prior);
  dp_record_destroy(record);
  dp_kind_destroy(kind);
  return status;
}

int main(int argc, char **argv) {
  dp_ctx_def def = dp_ctx_def_default();
  dp_ctx *ctx;
  if (dp_ctx_create(&def, &ctx) != DP_OK) return 1;
  int ndraw = argc > 2 ? atoi(argv[2]) : 1000, nfresh = argc > 3 ? atoi(argv[3]) : ndraw;
  dp_status status = run(ctx, argc > 1 ? argv[1] : "twins/vancomycin", ndraw, nfresh);
  if (status != DP_OK) fprintf(stderr, "%s\n", dp_ctx_error(ctx));
  dp_ctx_destroy(ctx);
  return status == DP_OK ? 0 : 1;
}
