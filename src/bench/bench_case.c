/* bench_case.c - floor 8: a problem's model read and sealed, its members' parameters, doses and times laid out. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/bench_impl.h"
#include "lang/lang.h"
#include "num/num.h"

static double unit_of(const dpi_bench_problem *p) { return p->unit > 0.0 ? p->unit : 1.0; }

static dp_time ticks_of(const dpi_bench_problem *p, double t) {
  return (dp_time)llround(t / unit_of(p) * (double)DP_TICKS);
}

static dp_status read_text(dpi_bench_case *c, const char *petab, const char **skipped) {
  const dpi_bench_problem *p = c->problem;
  if (p->text) return dpi_antimony_read(c->ctx, p->text, strlen(p->text), p->name, &c->model);
  if (!petab) {
    *skipped = "the PEtab benchmark collection is not there";
    return DP_OK;
  }
  char path[2048];
  snprintf(path, sizeof path, "%s/%s", petab, p->file);
  FILE *f = fopen(path, "rb");
  if (!f) {
    *skipped = "the model is not in the PEtab benchmark collection's folder";
    return DP_OK;
  }
  fclose(f);
  return dp_model_read(c->ctx, path, &c->model);
}

dp_status dpi_bench_read(dpi_bench_case *c, const char *petab, const char **skipped) {
  c->model = NULL;
  DP_TRY(read_text(c, petab, skipped));
  if (*skipped) return DP_OK;
  if (c->problem->unit > 0.0) DP_TRY(dp_model_scale_time(c->model, c->problem->unit));
  return dp_model_seal(c->model);
}

/* Outputs are the peer's states; a state that is infused is a control. */
static dp_status lay_out(dpi_bench_case *c) {
  const dpi_bench_problem *p = c->problem;
  c->noutput = p->peer->nstate;
  c->output = DPI_ARENA_ARRAY(&c->arena, dp_output_def, c->noutput);
  c->control = DPI_ARENA_ARRAY(&c->arena, dp_control_def, p->ninfusion);
  c->instant = DPI_ARENA_ARRAY(&c->arena, dp_instant, p->ninfusion);
  c->out = DPI_ARENA_ARRAY(&c->arena, dp_output_time, p->nout);
  if (!c->output || !c->control || !c->instant || !c->out) return DP_ERR_MEMORY;
  for (int j = 0; j < c->noutput; j++) c->output[j] = (dp_output_def){.id = p->peer->state_id[j]};
  for (int k = 0; k < p->nout; k++) c->out[k] = (dp_output_time){.time = ticks_of(p, p->out[k]), .order = 1};
  for (int k = 0; k < p->ninfusion; k++) {
    const dpi_bench_infusion *in = &p->infusion[k];
    int at = 0;
    while (at < c->ncontrol && strcmp(c->control[at].id, in->state)) at++;
    if (at == c->ncontrol) c->control[c->ncontrol++] = (dp_control_def){.id = in->state, .target = in->state};
    dp_instant i = dp_instant_default();
    i.type = DP_INFUSE;
    i.time = ticks_of(p, in->start);
    i.target = at;
    i.amount = in->amount;
    i.rate = in->rate * unit_of(p);
    c->instant[c->ninstant++] = i;
  }
  return DP_OK;
}

static dp_status set_values(dpi_bench_case *c, const dp_sim *sim, const dpi_bench_value *v, int n, int *where) {
  for (int k = 0; k < n; k++) {
    int at = dp_sim_param(sim, v[k].id);
    if (at < 0)
      return dpi_fail(c->ctx, DP_ERR_INPUT, "benchmark %s: the model has no parameter '%s'", c->problem->name, v[k].id);
    if (!isnan(v[k].value)) c->nominal[at] = v[k].value;
    if (where) where[k] = at;
  }
  return DP_OK;
}

/* Where parameters stand, found by a sim that is not kept. */
static dp_status index_params(dpi_bench_case *c) {
  const dpi_bench_problem *p = c->problem;
  const dpi_bench_peer *peer = p->peer;
  dp_sim *sim = NULL;
  DP_TRY(dpi_bench_sim(c, "auto", 1e-6, p->atol, &sim));
  const dp_sim_desc *d = dp_sim_describe(sim);
  c->nparam = d->nparam;
  c->nominal = DPI_ARENA_ARRAY(&c->arena, double, d->nparam);
  c->varied = DPI_ARENA_ARRAY(&c->arena, int, p->nvaried);
  c->peer_param = DPI_ARENA_ARRAY(&c->arena, int, peer->nparam);
  dp_status status = c->nominal && c->varied && c->peer_param ? DP_OK : DP_ERR_MEMORY;
  if (status == DP_OK) {
    memcpy(c->nominal, d->param_default, (size_t)d->nparam * sizeof *c->nominal);
    status = set_values(c, sim, p->fixed, p->nfixed, NULL);
  }
  if (status == DP_OK) status = set_values(c, sim, p->varied, p->nvaried, c->varied);
  for (int k = 0; status == DP_OK && k < peer->nparam; k++) {
    c->peer_param[k] = dp_sim_param(sim, peer->param_id[k]);
    bool memory = p->memory && strcmp(p->memory, peer->param_id[k]) == 0;
    if (c->peer_param[k] < 0 && !memory)
      status = dpi_fail(c->ctx, DP_ERR_INPUT, "benchmark %s: the peer's parameter '%s' is not in the model", p->name,
                        peer->param_id[k]);
  }
  dp_sim_destroy(sim);
  return status;
}

dp_status dpi_bench_open(dp_ctx *ctx, const dpi_bench_problem *problem, const char *petab, dpi_bench_case **out,
                         const char **skipped) {
  *out = NULL;
  *skipped = NULL;
  dpi_bench_case *c = DPI_NEW(ctx, dpi_bench_case);
  if (!c) return DP_ERR_MEMORY;
  c->ctx = ctx;
  c->problem = problem;
  dpi_arena_init(&c->arena, ctx);
  dp_status status = dpi_bench_read(c, petab, skipped);
  if (status == DP_OK && !*skipped) {
    status = lay_out(c);
    if (status == DP_OK) status = index_params(c);
  }
  if (status == DP_OK && !*skipped)
    *out = c;
  else
    dpi_bench_close(c);
  return status;
}

void dpi_bench_close(dpi_bench_case *c) {
  if (!c) return;
  dp_model_destroy(c->model);
  dpi_arena_release(&c->arena);
  dpi_free(c->ctx, c);
}

void dpi_bench_draw(const dpi_bench_case *c, uint64_t seed, int first, int n, double *param) {
  const double ln10 = 2.302585092994045684;
  for (int i = 0; i < n; i++) {
    double *p = param + (size_t)i * (size_t)c->nparam;
    memcpy(p, c->nominal, (size_t)c->nparam * sizeof *p);
    dpi_rng rng = dpi_rng_make(seed, (uint64_t)(first + i), 1);
    for (int k = 0; k < c->problem->nvaried; k++)
      p[c->varied[k]] *= dpi_m_exp(ln10 * (2.0 * dpi_rng_uniform(&rng) - 1.0));
  }
}
