/* sens_sim.c - floor 6, inside infer/sobol: the function is a sim; inputs are parameters, outputs its outputs at
 * times. */
#include <math.h>
#include <string.h>

#include "infer/sobol/sens.h"

typedef struct simulated {
  const dp_sim *sim;
  const dp_member *base;
  const double *param; /* [nparam] what points have in common */
  int *place;          /* [ninput] parameter of an input */
  int ninput, nparam, noutput;
  uint64_t seed;
  dp_points *points; /* the present ones */
} simulated;

/* dp_source.fill */
static dp_status fill(void *user, int first, int n, dp_member *member, double *param) {
  const simulated *a = user;
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
  const simulated *a = user;
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

/* dp_points_fn */
static dp_status simulate(void *user, dp_points *points) {
  simulated *a = user;
  dp_run_opts opts = dp_run_opts_default();
  dp_source source = {fill, a};
  a->points = points;
  opts.seed = a->seed;
  return dp_simulate_stream(a->sim, 0, points->n, &source, &opts, take, a);
}

static dp_status find_inputs(dp_ctx *ctx, const simulated *a, const dp_sensitivity_def *def) {
  for (int k = 0; k < def->ninput; k++) {
    const char *id = def->input[k].id;
    a->place[k] = id ? dp_sim_param(a->sim, id) : -1;
    if (a->place[k] < 0)
      return dpi_fail(ctx, DP_ERR_INPUT, "sensitivity: the model has no parameter '%s'", id ? id : "");
    for (int j = 0; j < k; j++)
      if (a->place[j] == a->place[k]) return dpi_fail(ctx, DP_ERR_USAGE, "sensitivity: input %s is there twice", id);
  }
  return DP_OK;
}

dp_status dp_sensitivity_sim(dp_ctx *ctx, const dp_sim *sim, const dp_member *base, const dp_sensitivity_def *def,
                             dp_sensitivity **out) {
  const dp_sim_desc *d = dp_sim_describe(sim);
  int64_t noutput = (int64_t)base->nout * d->noutput + base->nfunctional;
  simulated a = {
      .sim = sim, .base = base, .ninput = def->ninput, .nparam = d->nparam, .noutput = (int)noutput, .seed = def->seed};
  *out = NULL;
  if (noutput > INT32_MAX / 8) return dpi_fail(ctx, DP_ERR_USAGE, "sensitivity: too many outputs and times");
  a.param = base->param ? base->param : d->param_default;
  a.place = DPI_NEW_ARRAY(ctx, int, def->ninput > 0 ? def->ninput : 1);
  if (!a.place) return DP_ERR_MEMORY;
  dp_status status = find_inputs(ctx, &a, def);
  if (status == DP_OK) status = dp_sensitivity_run(ctx, def, a.noutput, simulate, &a, out);
  dpi_free(ctx, a.place);
  return status;
}
