/* sens_sim.c - floor 6, inside infer/sobol: the function is a sim; inputs are parameters, outputs its outputs at
 * times. */
#include <math.h>
#include <string.h>

#include "infer/sobol/sens.h"

/* dp_source.fill */
static dp_status fill(void *user, int first, int n, dp_member *member, double *param) {
  const dpi_sim_points *a = user;
  for (int i = 0; i < n; i++) {
    double *own = param + (size_t)i * (size_t)a->nparam;
    if (a->nparam) memcpy(own, a->param, sizeof *own * (size_t)a->nparam);
    for (int k = 0; k < a->ninput; k++)
      own[a->place[k]] = a->points->x[(size_t)(first + i) * (size_t)a->ninput + (size_t)k];
    member[i] = *a->base;
    member[i].param = own;
    member[i].stream = a->points->stream[first + i];
  }
  return DP_OK;
}

/* dp_sink_fn */
static dp_status take(void *user, const dp_member_result *block, int nblock) {
  const dpi_sim_points *a = user;
  dp_points *p = a->points;
  for (int i = 0; i < nblock; i++) {
    const dp_member_result *b = &block[i];
    double *y = p->y + (size_t)b->member * (size_t)a->noutput;
    size_t values = (size_t)a->base->nout * (size_t)dp_sim_describe(a->sim)->noutput;
    if (b->status != DP_MEMBER_OK) {
      if (!p->reason[0]) {
        size_t n = strlen(b->reason) < sizeof p->reason ? strlen(b->reason) : sizeof p->reason - 1;
        memcpy(p->reason, b->reason, n);
      }
      p->ok[b->member] = 0;
      continue;
    }
    if (values) memcpy(y, b->value, sizeof *y * values);
    if (b->nfunctional) memcpy(y + values, b->functional, sizeof *y * (size_t)b->nfunctional);
  }
  return DP_OK;
}

dp_status dpi_sim_points_ask(void *user, dp_points *points) {
  dpi_sim_points *a = user;
  dp_run_opts opts = dp_run_opts_default();
  dp_source source = {fill, a};
  a->points = points;
  opts.seed = a->seed;
  return dp_simulate_stream(a->sim, 0, points->n, &source, &opts, take, a);
}

static dp_status find_inputs(dp_ctx *ctx, const dpi_sim_points *a, const dp_input_def *input) {
  for (int k = 0; k < a->ninput; k++) {
    const char *id = input[k].id;
    a->place[k] = id ? dp_sim_param(a->sim, id) : -1;
    if (a->place[k] < 0)
      return dpi_fail(ctx, DP_ERR_INPUT, "sensitivity: the model has no parameter '%s'", id ? id : "");
    for (int j = 0; j < k; j++)
      if (a->place[j] == a->place[k]) return dpi_fail(ctx, DP_ERR_USAGE, "sensitivity: input %s is there twice", id);
  }
  return DP_OK;
}

dp_status dpi_sim_points_init(dpi_sim_points *a, dp_ctx *ctx, const dp_sim *sim, const dp_member *base,
                              const dp_input_def *input, int ninput, uint64_t seed) {
  const dp_sim_desc *d = dp_sim_describe(sim);
  int64_t noutput = (int64_t)base->nout * d->noutput + base->nfunctional;
  *a = (dpi_sim_points){
      .sim = sim, .base = base, .ninput = ninput, .nparam = d->nparam, .noutput = (int)noutput, .seed = seed};
  if (noutput > INT32_MAX / 8) return dpi_fail(ctx, DP_ERR_USAGE, "sensitivity: too many outputs and times");
  a->param = base->param ? base->param : d->param_default;
  a->place = DPI_NEW_ARRAY(ctx, int, ninput > 0 ? ninput : 1);
  return a->place ? find_inputs(ctx, a, input) : DP_ERR_MEMORY;
}

void dpi_sim_points_release(dpi_sim_points *a, dp_ctx *ctx) { dpi_free(ctx, a->place); }

dp_status dp_sensitivity_sim(dp_ctx *ctx, const dp_sim *sim, const dp_member *base, const dp_sensitivity_def *def,
                             dp_sensitivity **out) {
  dpi_sim_points a;
  *out = NULL;
  dp_status status = dpi_sim_points_init(&a, ctx, sim, base, def->input, def->ninput, def->seed);
  if (status == DP_OK) status = dp_sensitivity_run(ctx, def, a.noutput, dpi_sim_points_ask, &a, out);
  dpi_sim_points_release(&a, ctx);
  return status;
}
