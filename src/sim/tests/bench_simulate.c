/* bench_simulate.c - what one call of dp_simulate costs: `ninja bench_simulate logistic_plugin`, then ./bench_simulate.
 * With the linear map, whose steps are nearly free, it is the waist's own work; the others show it beside a model. */
#include <stdio.h>
#include <time.h>

#include "subjects.h"

static double now_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Nanoseconds and allocations of a call with this number of members and directions. */
static dp_status measure(dp_ctx *ctx, const char *name, const dp_sim *sim, int nmember, int ndir) {
  enum { MOST = 64, NOUT = 8 };
  const dp_sim_desc *d = dp_sim_describe(sim);
  dp_output_time out[NOUT];
  for (int k = 0; k < NOUT; k++) out[k] = (dp_output_time){.time = k * DP_TICKS / 2, .order = 1};
  dp_instant dose = dp_instant_default();
  dose.amount = 1;
  double seed[64] = {0};
  for (int v = 0; v < ndir; v++) seed[v * ndir + v] = 1;
  dp_member member[MOST];
  for (int i = 0; i < nmember; i++) {
    member[i] = (dp_member){.param = d->param_default,
                            .seed = ndir ? seed : NULL,
                            .instant = &dose,
                            .ninstant = 1,
                            .out = out,
                            .nout = NOUT,
                            .stream = (uint64_t)i};
  }
  dp_run_opts opts = dp_run_opts_default();
  opts.ndir = ndir;
  size_t before = dpi_alloc_total(ctx);
  double start = now_s(), spent = 0;
  int ncall = 0;
  for (; spent < 0.3; spent = now_s() - start) {
    for (int k = 0; k < 64; k++, ncall++) {
      dp_result *r = NULL;
      DP_TRY(dp_simulate(sim, member, nmember, &opts, &r));
      dp_result_destroy(r);
    }
  }
  double ns = spent / ncall * 1e9, allocations = (double)(dpi_alloc_total(ctx) - before) / ncall;
  printf("%-17s %7d %10d %12.0f %14.0f %15.1f\n", name, nmember, ndir, ns, ns / nmember,
         allocations);
  return DP_OK;
}

static dp_status bench_subject(dp_ctx *ctx, const subject *s) {
  dp_model *model = NULL;
  dp_sim *sim = NULL;
  dp_status status = dp_test_subject_sim(ctx, s, 0, &model, &sim);
  bool jvp = status == DP_OK && (dp_sim_describe(sim)->caps & DP_CAP_JVP);
  if (status == DP_OK) status = measure(ctx, s->name, sim, 1, 0);
  if (status == DP_OK && jvp) status = measure(ctx, s->name, sim, 1, s->nactive);
  if (status == DP_OK) status = measure(ctx, s->name, sim, 64, 0);
  dp_sim_destroy(sim);
  dp_model_destroy(model);
  return status;
}

static dp_status bench(dp_ctx *ctx) {
  DP_TRY(dp_test_spokes_register(ctx));
  printf("%-17s %7s %10s %12s %14s %15s\n", "subject", "members", "directions", "ns a call",
         "ns a member", "allocations");
  for (int k = 0; k < dp_test_nsubject; k++) DP_TRY(bench_subject(ctx, &dp_test_subject[k]));
  return DP_OK;
}

int main(void) {
  dp_ctx_def def = dp_ctx_def_default();
  dp_ctx *ctx = NULL;
  if (dp_ctx_create(&def, &ctx) != DP_OK) return 70;
  dp_status status = bench(ctx);
  if (status != DP_OK) fprintf(stderr, "%s: %s\n", dp_status_name(status), dp_ctx_error(ctx));
  dp_ctx_destroy(ctx);
  return dp_status_exit_code(status);
}
