/* case_draws.c - floor 6, inside infer/sobol: a person's doses and covariates, many random effects, times of one's
 * own. */
#include "infer/sobol/case_draws.h"

#include <math.h>
#include <string.h>

static dp_time ticks(double time) { return (dp_time)llround(time * (double)DP_TICKS); }

dp_status dpi_when_add(dpi_when *w, dpi_arena *arena, int most, const char *what, double time) {
  if (!(time >= 0 && time <= 9e9))
    return dpi_fail(arena->ctx, DP_ERR_INPUT, "%s at time %g, expected a time from 0 on", what, time);
  if (!w->time && !(w->time = DPI_ARENA_ARRAY(arena, dp_output_time, most))) return DP_ERR_MEMORY;
  const dp_time t = ticks(time);
  int at = 0;
  while (at < w->n && w->time[at].time < t) at++;
  if (at < w->n && w->time[at].time == t) return DP_OK;
  memmove(w->time + at + 1, w->time + at, sizeof *w->time * (size_t)(w->n++ - at));
  w->time[at] = (dp_output_time){t, INT32_MAX};
  return DP_OK;
}

int dpi_when_row(const dpi_when *w, double time) {
  const dp_time t = ticks(time);
  int at = 0;
  while (at < w->n && w->time[at].time < t) at++;
  return at;
}

dp_status dpi_case_observable(const dp_kind *kind, const char *what, const char *id, const dpi_kind_observable **out) {
  for (int o = 0; o < kind->nobservable; o++)
    if (id && strcmp(kind->observable[o].id, id) == 0) {
      *out = &kind->observable[o];
      return DP_OK;
    }
  return dpi_fail(kind->ctx, DP_ERR_INPUT, "%s: kind '%s' has no observable '%s'", what, kind->id, id ? id : "");
}

dp_status dpi_case_draws(const dpi_case *c, const double *typical, int n, const double *eta, const dpi_when *when,
                         uint64_t seed, dp_result **out) {
  const dp_kind *kind = c->kind;
  dp_ctx *ctx = kind->ctx;
  const size_t nparam = (size_t)dp_sim_describe(kind->ensemble)->nparam, nin = (size_t)c->ninstant;
  double *param = DPI_NEW_ARRAY(ctx, double, nparam *(size_t)n + 1);
  dp_instant *instant = DPI_NEW_ARRAY(ctx, dp_instant, nin * (size_t)n + 1);
  dp_member *member = DPI_NEW_ARRAY(ctx, dp_member, n + 1);
  dp_status status = param && instant && member ? DP_OK : DP_ERR_MEMORY;
  for (int k = 0; k < n && status == DP_OK; k++) {
    double *p = param + nparam * (size_t)k;
    dp_instant *in = instant + nin * (size_t)k;
    dpi_case_apply(c, typical, eta + (size_t)k * (size_t)c->neta, p, in);
    dpi_case_undirect(in, c->ninstant);
    member[k] = (dp_member){
        .param = p, .instant = in, .ninstant = c->ninstant, .out = when->time, .nout = when->n, .stream = c->stream};
  }
  dp_run_opts opts = dp_run_opts_default();
  opts.seed = seed;
  if (status == DP_OK) status = dp_simulate(kind->ensemble, member, n, &opts, out);
  dpi_free(ctx, param);
  dpi_free(ctx, instant);
  dpi_free(ctx, member);
  return status;
}
