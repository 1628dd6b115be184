/* simulate_vjp.c - floor 5: gradients of what members give, by one pass forward and one backward below the waist.
 *
 * As dp_simulate: members are independent, a block of them is one worker's, only results outlive it.
 */
#include <math.h>
#include <string.h>

#include "sim/sim_impl.h"

dp_vjp_opts dp_vjp_opts_default(void) { return (dp_vjp_opts){.cookie = DPI_VJP_COOKIE, .memory = (size_t)64 << 20}; }

/* ---- the result ---- */

typedef struct gradient_own {
  dp_gradient pub; /* first: what the caller sees */
  char *text;      /* owned: reasons of failed members */
} gradient_own;

static size_t round16(size_t size) { return (size + 15) & ~(size_t)15; }

/* One block: struct, value_at, instant_at, reason, then numbers, then status. */
static dp_status gradient_create(const dp_sim *sim, const dp_member *member, int n, gradient_own **out) {
  const size_t count = (size_t)n, no = (size_t)sim->desc.noutput, each = (size_t)sim->desc.nactive + sim->desc.nstate;
  size_t rows = 0, instants = 0;
  for (int i = 0; i < n; i++) {
    rows += (size_t)member[i].nout;
    instants += (size_t)member[i].ninstant;
  }
  const size_t at_index = round16(sizeof(gradient_own)), at_reason = at_index + 2 * (count + 1) * sizeof(size_t);
  const size_t at_number = round16(at_reason + count * sizeof(char *));
  const size_t number = count * (1 + each) + 3 * instants;
  if (no && rows > (SIZE_MAX / 4 - number) / no / sizeof(double))
    return dpi_fail(sim->ctx, DP_ERR_MEMORY, "dp_simulate_vjp: %zu rows of output do not fit", rows);
  char *p = dpi_alloc(sim->ctx, at_number + (number + rows * no) * sizeof(double) + count);
  if (!p) return DP_ERR_MEMORY;
  dp_gradient *g = (dp_gradient *)p;
  *g = (dp_gradient){.ctx = sim->ctx, .nmember = n, .noutput = sim->desc.noutput, .nactive = sim->desc.nactive,
                     .nstate = sim->desc.nstate};
  g->value_at = (size_t *)(p + at_index);
  g->instant_at = g->value_at + count + 1;
  g->reason = (const char **)(p + at_reason);
  g->fail_time = (double *)(p + at_number);
  g->param = g->fail_time + count;
  g->state = g->param + count * (size_t)g->nactive;
  g->amount = g->state + count * (size_t)g->nstate;
  g->rate = g->amount + instants;
  g->time = g->rate + instants;
  g->value = g->time + instants;
  g->status = (uint8_t *)(g->value + rows * no);
  for (size_t k = 0; k < number; k++) g->fail_time[k] = 0;
  for (size_t k = 0; k < rows * no; k++) g->value[k] = NAN;
  g->value_at[0] = g->instant_at[0] = 0;
  for (int i = 0; i < n; i++) {
    g->value_at[i + 1] = g->value_at[i] + (size_t)member[i].nout;
    g->instant_at[i + 1] = g->instant_at[i] + (size_t)member[i].ninstant;
  }
  ((gradient_own *)p)->text = NULL;
  *out = (gradient_own *)p;
  return DP_OK;
}

void dp_gradient_destroy(dp_gradient *g) {
  if (!g) return;
  dpi_free(g->ctx, ((gradient_own *)g)->text);
  dpi_free(g->ctx, g);
}

static void no_gradient(dp_gradient *g, int i) {
  for (int a = 0; a < g->nactive; a++) g->param[(size_t)i * g->nactive + a] = NAN;
  for (int j = 0; j < g->nstate; j++) g->state[(size_t)i * g->nstate + j] = NAN;
  for (size_t k = g->instant_at[i]; k < g->instant_at[i + 1]; k++) g->amount[k] = g->rate[k] = g->time[k] = NAN;
}

static dp_status outcomes(gradient_own *own, const dpi_member_out *out) {
  dp_gradient *g = &own->pub;
  size_t size = 0;
  for (int i = 0; i < g->nmember; i++) {
    const bool failed = out[i].status != DP_MEMBER_OK;
    g->status[i] = (uint8_t)out[i].status;
    g->fail_time[i] = failed ? out[i].fail_time : NAN;
    g->reason[i] = "";
    g->nfailed += failed;
    if (failed) size += strlen(out[i].reason) + 1;
  }
  if (g->nfailed == 0) return DP_OK;
  char *p = own->text = dpi_alloc(g->ctx, size);
  if (!p) return DP_ERR_MEMORY;
  for (int i = 0; i < g->nmember; i++) {
    if (out[i].status == DP_MEMBER_OK) continue;
    const size_t n = strlen(out[i].reason) + 1;
    memcpy(p, out[i].reason, n);
    g->reason[i] = p;
    p += n;
    no_gradient(g, i);
  }
  return DP_OK;
}

/* ---- the work ---- */

typedef struct job {
  dp_run run; /* for its deadline only */
  const dp_vjp_opts *opts;
  dp_gradient *g;
  dp_weight_fn weight;
  void *user;
  dpi_member_out *out;       /* [nmember] */
  dpi_member_gradient *grad; /* [nmember] */
  dp_time *to;               /* [nmember] */
} job;

static dp_status one_block(void *user, int b, int worker) {
  (void)worker;
  job *j = user;
  const dp_sim *sim = j->run.sim;
  const int block = sim->spoke_desc->block, first = b * block, rest = j->run.nmember - first;
  if (dpi_run_stop(&j->run))
    return dpi_fail(sim->ctx, DP_ERR_CANCELLED, "dp_simulate_vjp: stopped on request or at its deadline");
  const dpi_batch_def batch = {.member = j->run.member + first, .n = rest < block ? rest : block, .seed = j->opts->seed,
                               .out = j->out + first, .stop = dpi_run_stop, .stop_user = &j->run};
  const dpi_gradient_def def = {.memory = j->opts->memory, .to = j->to + first, .first = first, .weight = j->weight,
                                .along = j->opts->along, .user = j->user, .out = j->grad + first};
  const uint64_t fp = dpi_fp_enter();
  const dp_status status = sim->ops->gradient(sim->spoke, &batch, &def);
  dpi_fp_leave(fp);
  return status;
}

static void lay_out(job *j) {
  dp_gradient *g = j->g;
  for (int i = 0; i < g->nmember; i++) {
    j->to[i] = dpi_member_end(&j->run.member[i]);
    j->out[i] = (dpi_member_out){.value = g->value + g->value_at[i] * (size_t)g->noutput};
    j->grad[i] = (dpi_member_gradient){.param = g->param + (size_t)i * g->nactive,
                                       .state = g->state + (size_t)i * g->nstate,
                                       .amount = g->amount + g->instant_at[i],
                                       .rate = g->rate + g->instant_at[i],
                                       .time = g->time + g->instant_at[i]};
  }
}

static dp_status all_blocks(job *j) {
  const dp_sim *sim = j->run.sim;
  const size_t n = (size_t)j->run.nmember;
  char *p = dpi_alloc_array(sim->ctx, n + 1, sizeof *j->out + sizeof *j->grad + sizeof *j->to);
  if (!p) return DP_ERR_MEMORY;
  j->out = (dpi_member_out *)p;
  j->grad = (dpi_member_gradient *)(j->out + n);
  j->to = (dp_time *)(j->grad + n);
  lay_out(j);
  const int nblock = (j->run.nmember + sim->spoke_desc->block - 1) / sim->spoke_desc->block;
  dp_status status = DP_OK;
  if (nblock > 1 && (sim->spoke_desc->caps & DP_CAP_THREADS))
    status = dpi_parallel_for(sim->ctx, nblock, one_block, j);
  else
    for (int b = 0; b < nblock && status == DP_OK; b++) status = one_block(j, b, 0);
  if (status == DP_OK) status = outcomes((gradient_own *)j->g, j->out);
  dpi_free(sim->ctx, p);
  return status;
}

/* ---- checks ---- */

static dp_status check(const dp_sim *sim, const dp_member *member, int n, const dp_vjp_opts *opts,
                       dp_weight_fn weight) {
  const dp_run_opts plain = dp_run_opts_default();
  if (!opts || opts->cookie != DPI_VJP_COOKIE || !(opts->deadline_s >= 0) || !weight)
    return dpi_fail(sim->ctx, DP_ERR_USAGE,
                    "dp_simulate_vjp: the options were not made by dp_vjp_opts_default, or there are no weights");
  if (!(sim->spoke_desc->caps & DP_CAP_VJP))
    return dpi_fail(
        sim->ctx, DP_ERR_UNSUPPORTED,
        "dp_simulate_vjp: spoke '%s' does not offer DP_CAP_VJP (gradients) with this model and method: equations with "
        "a method that steps in lanes do",
        sim->ops->name);
  DP_TRY(dpi_check_members(sim, member, n, &plain));
  for (int i = 0; i < n; i++)
    if (member[i].nfunctional > 0)
      return dpi_fail(sim->ctx, DP_ERR_UNSUPPORTED, "member %d: dp_simulate_vjp offers no functionals of the path", i);
  return DP_OK;
}

dp_status dp_simulate_vjp(const dp_sim *sim, const dp_member *member, int nmember, const dp_vjp_opts *opts,
                          dp_weight_fn weight, void *user, dp_gradient **out) {
  *out = NULL;
  DP_TRY(check(sim, member, nmember, opts, weight));
  gradient_own *own = NULL;
  DP_TRY(gradient_create(sim, member, nmember, &own));
  job j = {.opts = opts, .g = &own->pub, .weight = weight, .user = user};
  j.run = (dp_run){.sim = sim, .ctx = sim->ctx, .member = member, .nmember = nmember};
  j.run.opts.deadline_s = opts->deadline_s;
  j.run.opened_s = dpi_run_clock(&j.run.opts);
  dp_status status = dpi_instance_take(sim);
  if (status == DP_OK) {
    status = all_blocks(&j);
    dpi_instance_give(sim);
  }
  if (status != DP_OK) {
    dp_gradient_destroy(&own->pub);
    return status;
  }
  *out = &own->pub;
  return DP_OK;
}
