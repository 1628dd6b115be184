/* bench_ours.c - floor 8: the members of a problem through the waist. */
#include <math.h>
#include <string.h>

#include "bench/bench_impl.h"

dp_status dpi_bench_sim(const dpi_bench_case *c, const char *method, double rtol, double atol, dp_sim **out) {
  dp_sim_def def = dp_sim_def_default();
  def.model = c->model;
  def.time_unit = "";
  def.output = c->output;
  def.noutput = c->noutput;
  def.control = c->control;
  def.ncontrol = c->ncontrol;
  def.method = method;
  def.rtol = rtol;
  def.atol = atol;
  return dp_sim_create(c->ctx, &def, out);
}

dp_member *dpi_bench_members(const dpi_bench_case *c, const double *param, int n) {
  dp_member *m = DPI_NEW_ARRAY(c->ctx, dp_member, n);
  for (int i = 0; m && i < n; i++)
    m[i] = (dp_member){.param = param + (size_t)i * (size_t)c->nparam,
                       .instant = c->instant,
                       .ninstant = c->ninstant,
                       .out = c->out,
                       .nout = c->problem->nout,
                       .stream = (uint64_t)i};
  return m;
}

typedef struct sink {
  const dpi_bench_case *c;
  double *value;
  double sum;
  int nfailed;
} sink;

/* Rows of a block to their place. Without one they are read all the same, so that nothing is timed that nobody looks
 * at. */
static dp_status take(void *user, const dp_member_result *block, int nblock) {
  sink *s = user;
  const size_t nstate = (size_t)s->c->noutput, nout = (size_t)s->c->problem->nout;
  for (int b = 0; b < nblock; b++) {
    const dp_member_result *r = &block[b];
    s->nfailed += r->status != DP_MEMBER_OK;
    const size_t n = (size_t)r->nout * nstate;
    if (s->value)
      memcpy(s->value + ((size_t)r->member * nout + (size_t)r->out_first) * nstate, r->value, n * sizeof *r->value);
    else
      for (size_t k = 0; k < n; k++) s->sum += r->value[k];
  }
  return DP_OK;
}

dp_status dpi_bench_ours(const dpi_bench_case *c, const dp_sim *sim, const dp_member *member, int n, double *value,
                         int *nfailed) {
  sink s = {.c = c, .value = value};
  dp_run_opts opts = dp_run_opts_default();
  dp_status status = dp_simulate_into(sim, member, n, &opts, take, &s);
  *nfailed = s.nfailed;
  return status;
}
