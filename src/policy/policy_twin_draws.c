/* policy_twin_draws.c - floor 7: draws of a belief go along with the person, from decision to decision.
 *
 * Each draw is simulated under all that was told and given. Where a state tells all that history does to what comes
 * (nothing given is still in its lag or running in, the model has no events and no delays), the draw goes on from its
 * state at the last decision (the anchor); else from the last one where it did, at worst from time 0. So a decision
 * costs what happened since, and is right for every kind.
 *
 * Invariants:
 *   1. state and param are those at the anchor, instants before it are `past`;
 *   2. draws that fail are dropped; who is left counts, `begun` says how many there were;
 *   3. a draw's numbers depend on that draw, on what was given and on the person's readings alone.
 */
#include "policy/policy_twin.h"

#include "lang/lang.h"

#include <math.h>
#include <string.h>

static size_t nparam_of(const dpi_draws *d) { return (size_t)dp_sim_describe(d->kind->sim)->nparam; }
static size_t nstate_of(const dpi_draws *d) { return (size_t)dp_sim_describe(d->kind->sim)->nstate; }
static size_t nread_of(const dpi_draws *d) { return (size_t)d->policy->desc.nread; }

dp_status dpi_draws_open(const dp_policy *policy, dpi_draws *d) {
  const dpi_policy_horizon *h = policy->twin.horizon;
  *d = (dpi_draws){.policy = policy, .h = h, .kind = h->ahead};
  d->lag = DPI_NEW_ARRAY(policy->ctx, double, h->ahead->ncontrol + 1);
  d->compared = DPI_NEW_ARRAY(policy->ctx, bool, policy->desc.nread + 1);
  return d->lag && d->compared ? DP_OK : DP_ERR_MEMORY;
}

static void release(dpi_draws *d) {
  dp_ctx *ctx = d->policy->ctx;
  void *const block[] = {d->param, d->state, d->next, d->offset, d->weight, d->seen, d->dead};
  for (int i = 0; i < DPI_COUNT(block); i++) dpi_free(ctx, block[i]);
  d->param = d->state = d->next = d->offset = d->weight = d->seen = NULL;
  d->dead = NULL;
  d->n = d->begun = 0;
}

void dpi_draws_close(dpi_draws *d) {
  if (!d->policy) return;
  release(d);
  dpi_free(d->policy->ctx, d->lag);
  dpi_free(d->policy->ctx, d->compared);
  dpi_free(d->policy->ctx, d->instant);
  *d = (dpi_draws){0};
}

/* ---- what was told and given ---- */

static dp_instant *push(dpi_draws *d) {
  if (dpi_grow(d->policy->ctx, (void **)&d->instant, &d->cap, d->ninstant + 1, sizeof *d->instant) != DP_OK)
    return NULL;
  return &d->instant[d->ninstant++];
}

dp_instant dpi_draws_instant(const dp_kind *kind, int control, dp_time time, double amount) {
  const dpi_kind_control *c = &kind->control[control];
  dp_instant in = dp_instant_default();
  in.time = time;
  in.type = DP_ADD;
  in.target = c->sim_control;
  in.amount = amount;
  if (c->model_duration || c->model_rate) {
    in.type = DP_INFUSE;
    in.rate = c->model_duration ? DP_DURATION_MODEL : DP_RATE_MODEL;
  }
  return in;
}

/* Until when a dose of the control that is given at `time` is on its way. */
static void await(dpi_draws *d, int control, dp_time time) {
  const double lag = d->lag[control];
  if (!(lag < 1e9)) {
    d->pending = DP_TIME_MAX;
    return;
  }
  const dp_time until = time + (dp_time)ceil(lag * (double)DP_TICKS);
  if (until > d->pending) d->pending = until;
}

dp_status dpi_draws_dose(dpi_draws *d, int control, dp_time time, double amount) {
  const dpi_kind_control *c = &d->kind->control[control];
  dp_instant *in;
  if (c->reset_state >= 0) {
    if (!(in = push(d))) return DP_ERR_MEMORY;
    *in = dp_instant_default();
    in->time = time;
    in->order = d->ninstant;
    in->type = DP_SET;
    in->target = c->reset_state;
  }
  if (!(in = push(d))) return DP_ERR_MEMORY;
  *in = dpi_draws_instant(d->kind, control, time, amount);
  in->order = d->ninstant;
  if (d->begun) await(d, control, time);
  return DP_OK;
}

dp_status dpi_draws_switch(dpi_draws *d, int covariate, dp_time time, double value) {
  const int target = d->kind->covariate[covariate].sim_param;
  if (target < 0) return DP_OK;
  dp_instant *in = push(d);
  if (!in) return DP_ERR_MEMORY;
  *in = dp_instant_default();
  in->time = time;
  in->order = d->ninstant;
  in->type = DP_SWITCH;
  in->target = target;
  in->amount = value;
  return DP_OK;
}

/* ---- new draws ---- */

/* A number, or the individual parameter that the formula is: the largest over the draws. INFINITY: not known. */
static double longest(const dpi_draws *d, const dp_belief *b, const dpi_kind_control *c, const char *text) {
  double x, most = 0;
  if (!text) return 0;
  if (dpi_parse_double(text, &x)) return x > 0 ? x : 0;
  if ((c->moved != DPI_MOVED_LAG && c->moved != DPI_MOVED_DURATION) || c->moved_effect < 0 ||
      c->moved_effect >= b->nindividual || strcmp(d->kind->effect[c->moved_effect].parameter, text) != 0)
    return INFINITY;
  for (int j = 0; j < b->ndraw; j++) {
    x = b->individual[(size_t)j * (size_t)b->nindividual + (size_t)c->moved_effect];
    if (!(x <= most)) most = x; /* NaN too: infinite below */
  }
  return most >= 0 && most < 1e9 ? most : INFINITY;
}

/* How long doses of each control may be on their way. */
static void find_lags(dpi_draws *d, const dp_belief *b) {
  const dp_model *m = d->kind->model;
  d->tells = !m->nevent && !m->ndelayed && !m->ndraw;
  d->pending = 0;
  for (int k = 0; k < d->kind->ncontrol; k++) {
    const dpi_kind_control *c = &d->kind->control[k];
    const dp_control_def *def = &d->kind->sim_def.control[c->sim_control];
    /* twice: a bioavailability above 1 makes an infusion longer */
    d->lag[k] = longest(d, b, c, def->lag) + 2 * longest(d, b, c, c->model_duration ? def->duration : NULL);
    if (c->model_rate && !c->model_duration) d->lag[k] = INFINITY;
  }
  for (int i = 0; i < d->ninstant; i++)
    for (int k = 0; k < d->kind->ncontrol; k++)
      if ((d->instant[i].type == DP_ADD || d->instant[i].type == DP_INFUSE) &&
          d->kind->control[k].sim_control == d->instant[i].target)
        await(d, k, d->instant[i].time);
}

static dp_status make_room(dpi_draws *d, int n) {
  dp_ctx *ctx = d->policy->ctx;
  release(d);
  d->param = DPI_NEW_ARRAY(ctx, double, (size_t)n *nparam_of(d) + 1);
  d->state = DPI_NEW_ARRAY(ctx, double, (size_t)n *nstate_of(d) + 1);
  d->next = DPI_NEW_ARRAY(ctx, double, (size_t)n *(nstate_of(d) + 1) + 1);
  d->offset = DPI_NEW_ARRAY(ctx, double, (size_t)n *nread_of(d) + 1);
  d->weight = DPI_NEW_ARRAY(ctx, double, n + 1);
  d->seen = DPI_NEW_ARRAY(ctx, double, 2 * (size_t)n * nread_of(d) + 1);
  d->dead = DPI_NEW_ARRAY(ctx, bool, n + 1);
  return d->param && d->state && d->next && d->offset && d->weight && d->seen && d->dead ? DP_OK : DP_ERR_MEMORY;
}

dp_status dpi_draws_begin(dpi_draws *d, const dp_prior *prior, const dp_belief *b, const double *covariate) {
  const dp_kind *k = d->kind;
  const dp_sim_desc *desc = dp_sim_describe(k->sim);
  if (b->neta != k->neffect)
    return dpi_fail(d->policy->ctx, DP_ERR_UNSUPPORTED, "%s: a belief with occasions can't be carried along", k->dir);
  DP_TRY(make_room(d, b->ndraw));
  d->n = d->begun = b->ndraw;
  d->neff = dpi_decide_effective(b, b->ndraw);
  for (int j = 0; j < d->n; j++) {
    double *p = d->param + (size_t)j * nparam_of(d);
    if (desc->nparam) memcpy(p, desc->param_default, sizeof(double) * (size_t)desc->nparam);
    for (int i = 0; i < k->nparam; i++) p[k->param[i].sim_param] = prior->typical[i];
    for (int i = 0; i < k->ncovariate; i++)
      if (k->covariate[i].sim_param >= 0) p[k->covariate[i].sim_param] = covariate[i];
    for (int e = 0; e < k->neffect; e++) p[k->effect[e].sim_param] = b->eta[(size_t)j * (size_t)b->neta + (size_t)e];
    d->weight[j] = 1.0 / d->n;
  }
  d->lived = false;
  for (int k = 0; k < d->policy->desc.nread; k++) d->compared[k] = false;
  d->anchor = 0;
  d->past = 0;
  find_lags(d, b);
  return DP_OK;
}

/* ---- to now ---- */

static dp_status take_seen(void *user, const dp_member_result *block, int n) {
  dpi_draws *d = user;
  const int nread = d->policy->desc.nread, noutput = dp_sim_describe(d->kind->sim)->noutput;
  for (int i = 0; i < n; i++) {
    const dp_member_result *r = &block[i];
    double *seen = d->seen + 2 * (size_t)r->member * (size_t)nread;
    if (r->status != DP_MEMBER_OK || r->nout < 1) {
      d->dead[r->member] = d->dead[r->member] || r->status != DP_MEMBER_OK;
      continue;
    }
    const double *row = r->value + (size_t)(r->nout - 1) * (size_t)noutput;
    for (int k = 0; k < nread; k++) {
      const int o = d->h->observed[k];
      seen[2 * k] = o >= 0 ? row[d->kind->observable[o].value_output] : NAN;
      seen[2 * k + 1] = o >= 0 ? row[d->kind->observable[o].sigma_output] : NAN;
    }
  }
  return DP_OK;
}

static dp_status run_to(dpi_draws *d, const dp_member *member, dp_time now) {
  const dp_run_opts opts = dp_run_opts_default();
  dp_run *run = NULL;
  DP_TRY(dp_run_open(d->kind->sim, member, d->n, &opts, &run));
  dp_status status = dp_run_advance(run, now);
  if (status == DP_OK) status = dp_run_emit(run, take_seen, d);
  for (int j = 0; j < d->n && status == DP_OK; j++) {
    double *x = d->next + (size_t)j * nstate_of(d);
    status = dp_run_state_get(run, j, x);
    for (size_t i = 0; i < nstate_of(d); i++) d->dead[j] = d->dead[j] || !isfinite(x[i]);
  }
  dp_run_close(run);
  return status;
}

static void move_row(double *a, size_t width, int to, int from) {
  memmove(a + (size_t)to * width, a + (size_t)from * width, width * sizeof *a);
}

/* Those that failed go. */
static void bury(dpi_draws *d) {
  int n = 0;
  double sum = 0;
  for (int j = 0; j < d->n; j++) {
    if (d->dead[j]) continue;
    if (n < j) {
      move_row(d->param, nparam_of(d), n, j);
      move_row(d->state, nstate_of(d), n, j);
      move_row(d->next, nstate_of(d), n, j);
      move_row(d->offset, nread_of(d), n, j);
      move_row(d->weight, 1, n, j);
      move_row(d->seen, 2 * nread_of(d), n, j);
    }
    sum += d->weight[n++];
  }
  if (n == d->n) return;
  for (int j = 0; j < n && sum > 0; j++) d->weight[j] /= sum;
  d->n = n;
  if (d->neff > n) d->neff = n;
}

/* The state at now becomes the anchor. */
static void anchor(dpi_draws *d, dp_time now) {
  double *x = d->state;
  d->state = d->next;
  d->next = x;
  for (int i = d->past; i < d->ninstant; i++)
    for (int j = 0; d->instant[i].type == DP_SWITCH && j < d->n; j++)
      d->param[(size_t)j * nparam_of(d) + (size_t)d->instant[i].target] = d->instant[i].amount;
  d->past = d->ninstant;
  d->anchor = now;
  d->lived = true;
}

dp_status dpi_draws_go(dpi_draws *d, dp_time now) {
  const dp_output_time out = {now, INT32_MAX};
  dp_member *member = DPI_NEW_ARRAY(d->policy->ctx, dp_member, d->n + 1);
  if (!member) return DP_ERR_MEMORY;
  for (int j = 0; j < d->n; j++) {
    member[j] = (dp_member){.param = d->param + (size_t)j * nparam_of(d),
                            .instant = d->instant + d->past,
                            .ninstant = d->ninstant - d->past,
                            .out = &out,
                            .nout = 1,
                            .start = d->anchor};
    if (d->lived) member[j].state0 = d->state + (size_t)j * nstate_of(d);
    d->dead[j] = false;
    for (int k = 0; k < 2 * d->policy->desc.nread; k++) d->seen[2 * (size_t)j * nread_of(d) + (size_t)k] = NAN;
  }
  const dp_status status = run_to(d, member, now);
  dpi_free(d->policy->ctx, member);
  DP_TRY(status);
  bury(d);
  if (d->tells && now >= d->pending) anchor(d, now);
  return DP_OK;
}

/* ---- readings ---- */

static double log_density(const dpi_kind_observable *o, double y, double f, double sigma) {
  double slope;
  const double z = dpi_kind_error(o, y, f, sigma, &slope);
  return slope - 0.5 * z * z;
}

static double effective(const dpi_draws *d) {
  double sum2 = 0;
  for (int j = 0; j < d->n; j++) sum2 += d->weight[j] * d->weight[j];
  return sum2 > 0 ? 1 / sum2 : 0;
}

/* Draws by their weights, as evenly as can be (systematic), when too few of them count. */
static dp_status resample(dpi_draws *d, uint64_t seed) {
  const double count = effective(d);
  if (count >= 0.5 * d->n) return DP_OK;
  if (count < d->neff) d->neff = count; /* copies do not count twice: limits stay as strict until the next update */
  dpi_draws old = *d;
  dpi_rng rng = dpi_rng_make(seed, 0, 0x4d504352u);
  d->param = d->state = d->next = d->offset = d->weight = d->seen = NULL;
  d->dead = NULL;
  dp_status status = make_room(d, old.n);
  d->n = old.n;
  d->begun = old.begun;
  double u = dpi_rng_uniform(&rng) / old.n, sum = 0;
  for (int j = 0, k = 0; status == DP_OK && j < d->n; j++, u += 1.0 / old.n) {
    while (k + 1 < old.n && sum + old.weight[k] < u) sum += old.weight[k++];
    memcpy(d->param + (size_t)j * nparam_of(d), old.param + (size_t)k * nparam_of(d), nparam_of(d) * sizeof(double));
    memcpy(d->state + (size_t)j * nstate_of(d), old.state + (size_t)k * nstate_of(d), nstate_of(d) * sizeof(double));
    d->weight[j] = 1.0 / old.n;
  }
  dpi_draws gone = {.policy = d->policy};
  gone.param = old.param, gone.state = old.state, gone.next = old.next, gone.offset = old.offset;
  gone.weight = old.weight, gone.seen = old.seen, gone.dead = old.dead;
  release(&gone);
  return status;
}

/* Weights times the density of the readings. All but nothing left: as they were. */
static dp_status reweight(dpi_draws *d, const double *reading, uint64_t seed) {
  const int nread = d->policy->desc.nread;
  double most = -INFINITY, sum = 0;
  for (int j = 0; j < d->n; j++) {
    double l = dpi_m_log(d->weight[j] > 1e-300 ? d->weight[j] : 1e-300);
    for (int k = 0; k < nread; k++) {
      const double *seen = d->seen + 2 * ((size_t)j * nread_of(d) + (size_t)k);
      if (d->h->observed[k] < 0 || !isfinite(reading[k])) continue;
      l += log_density(&d->kind->observable[d->h->observed[k]], reading[k], seen[0], seen[1]);
    }
    d->next[j] = isnan(l) ? -INFINITY : l; /* room for n x nstate >= n numbers */
    most = fmax(most, d->next[j]);
  }
  if (!isfinite(most)) return DP_OK;
  for (int j = 0; j < d->n; j++) sum += d->weight[j] = dpi_m_exp(d->next[j] - most);
  for (int j = 0; j < d->n; j++) d->weight[j] /= sum;
  return resample(d, seed);
}

dp_status dpi_draws_correct(dpi_draws *d, const double *reading, uint64_t seed) {
  const int nread = d->policy->desc.nread;
  if (d->h->correct == DPI_CORRECT_REWEIGHT) return reweight(d, reading, seed);
  if (d->h->correct != DPI_CORRECT_OFFSET) return DP_OK;
  for (int k = 0; k < nread; k++) {
    if (d->h->observed[k] < 0 || !isfinite(reading[k])) continue;
    for (int j = 0; j < d->n; j++) {
      double *offset = &d->offset[(size_t)j * nread_of(d) + (size_t)k];
      const double away = reading[k] - d->seen[2 * ((size_t)j * nread_of(d) + (size_t)k)];
      *offset += (d->compared[k] ? d->h->share : 1) * (away - *offset);
    }
    d->compared[k] = true;
  }
  return DP_OK;
}
