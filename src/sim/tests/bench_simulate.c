/* bench_simulate.c - what one call of dp_simulate with one member costs beside the model: `ninja bench_simulate`, then
 * ./bench_simulate. The spoke is the linear map with no noise and few steps, so nearly all of it is the waist's own work. */
#include <stdio.h>
#include <time.h>

#include "test_spokes.h"

static double now_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Nanoseconds and allocations of a call with this number of members and directions. */
static dp_status measure(dp_ctx *ctx, const dp_sim *sim, int nmember, int ndir) {
  enum { MOST = 64, NOUT = 8 };
  const dp_sim_desc *d = dp_sim_describe(sim);
  dp_output_time out[NOUT];
  for (int k = 0; k < NOUT; k++) out[k] = (dp_output_time){.time = k * DP_TICKS / 2, .order = 1};
  dp_instant dose = dp_instant_default();
  dose.amount = 1;
  double seed[4] = {1, 0, 0, 1};
  dp_member member[MOST];
  for (int i = 0; i < nmember; i++) {
    member[i] = (dp_member){.param = d->param_default, .seed = ndir ? seed : NULL, .instant = &dose, .ninstant = 1,
                            .out = out, .nout = NOUT, .stream = (uint64_t)i};
  }
  dp_run_opts opts = dp_run_opts_default();
  opts.ndir = ndir;
  int ncall = 200000 / nmember;
  size_t before = dpi_alloc_total(ctx);
  double start = now_s(), check = 0;
  for (int k = 0; k < ncall; k++) {
    dp_result *r = NULL;
    DP_TRY(dp_simulate(sim, member, nmember, &opts, &r));
    check += r->value[0];
    dp_result_destroy(r);
  }
  double ns = (now_s() - start) / ncall * 1e9;
  printf("%3d members, %d directions: %7.0f ns a call, %6.0f ns a member, %.1f allocations a call (%g)\n", nmember,
         ndir, ns, ns / nmember, (double)(dpi_alloc_total(ctx) - before) / ncall, check / ncall);
  return DP_OK;
}

static dp_status bench(dp_ctx *ctx) {
  DP_TRY(dp_test_spokes_register(ctx));
  dp_output_def output[] = {{.id = "x1"}, {.id = "ratio", .formula = "x2 / (x1 + 1)"}};
  dp_control_def control = {.id = "dose", .target = "x1"};
  const char *active[] = {"a11", "x1_0"};
  dp_sim_def def = dp_sim_def_default();
  def.spoke = "lingauss";
  def.output = output;
  def.noutput = 2;
  def.control = &control;
  def.ncontrol = 1;
  def.active = active;
  def.nactive = 2;
  dp_sim *sim = NULL;
  DP_TRY(dp_sim_create(ctx, &def, &sim));
  dp_status status = DP_OK;
  static const int many[] = {1, 4, 64};
  for (int k = 0; k < DPI_COUNT(many) && status == DP_OK; k++) {
    status = measure(ctx, sim, many[k], 0);
    if (status == DP_OK) status = measure(ctx, sim, many[k], 2);
  }
  dp_sim_destroy(sim);
  return status;
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
