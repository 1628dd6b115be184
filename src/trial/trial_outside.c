/* trial_outside.c - floor 8: an arm whose policy is asked from outside (also a rule that gives infusions or has lags):
 * all people of a small group are advanced from
 * decision to
 * decision, each one's controller is told what was read, and what it gives is added to that person's instants.
 *
 *     advance to t_k -> what was read (law "policy" took it at t_k) -> dp_policy_step -> dp_run_add -> advance to t_k+1
 *
 * Endpoints are counted by the same laws as in all other arms.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "num/num.h"
#include "trial/trial_impl.h"

enum { group = 16, ORDER_LAST = 2000000000 };

typedef struct person {
  int number;
  char id[64];
  dpi_trial_period period;
  dp_policy_session *session;
  double *row;        /* [noutput] the last one */
  bool have;          /* a row has come since the last decision */
  bool over;          /* the period is: that row is the last one */
  double *functional; /* [npath] */
  bool failed;
  int nmeal, nincident;
  double *total; /* [ngive] */
  int64_t steps;
} person;

typedef struct loop {
  const dpi_trial_model *m;
  const dp_trial *t;
  const dp_policy *policy;
  dp_trial_result *result;
  int n, ndecision, noutput;
  person who[group];
  dpi_trial_slot *slot;
  dp_member member[group];
  double *param, *value; /* [group x nparam]; [nperson of the policy] */
  dp_output_time *out;   /* [group x (ndecision + 1)] */
  double *read, *announce, *give;
} loop;

/* ---- what comes back ---- */

static dp_status sink(void *user, const dp_member_result *block, int n) {
  loop *w = user;
  for (int i = 0; i < n; i++) {
    const dp_member_result *r = &block[i];
    person *p = &w->who[r->member];
    p->failed = p->failed || r->status != DP_MEMBER_OK;
    if (r->nout > 0 && !p->failed) {
      memcpy(p->row, r->value + (size_t)(r->nout - 1) * (size_t)w->noutput, sizeof(double) * (size_t)w->noutput);
      p->have = true;
    }
    if (r->nfunctional > 0) memcpy(p->functional, r->functional, sizeof(double) * (size_t)w->m->npath);
  }
  return DP_OK;
}

/* ---- decisions ---- */

/* Gift i as an instant at `now`; what its bounds forbid is cut and counted. */
static int as_instant(loop *w, person *p, int i, dp_time now, dp_instant *out) {
  const dp_kind *kind = w->m->kind;
  double low, high, x = w->give[i];
  int control;
  if (isnan(x)) return 0;
  dpi_trial_bounds(kind, w->policy->desc.give[i], &low, &high, &control);
  if (x < low || x > high) w->result->arm[w->m->part[0].arm].nlimited++;
  x = x < low ? low : x > high ? high : x;
  p->total[i] += x;
  if (control >= 0 && x == 0) return 0;
  *out = dp_instant_default();
  out->time = now;
  out->order = i;
  out->type = control >= 0 ? DP_ADD : DP_SWITCH;
  if (control >= 0 && (kind->control[control].model_duration || kind->control[control].model_rate)) {
    out->type = DP_INFUSE;
    out->rate = kind->control[control].model_duration ? DP_DURATION_MODEL : DP_RATE_MODEL;
  }
  out->target = control >= 0 ? kind->control[control].sim_control : dp_sim_param(w->m->sim, w->policy->desc.give[i]);
  out->amount = x;
  return 1;
}

static void take_incidents(loop *w, person *p) {
  const int n = dp_policy_nincident(p->session), arm = w->m->part[0].arm;
  const dp_policy_incident *in = dp_policy_incidents(p->session);
  for (; p->nincident < n; p->nincident++) {
    w->result->arm[arm].nincident++;
    if (w->result->nincident == 100) continue;
    dp_trial_incident *i = &w->result->incident[w->result->nincident++];
    i->arm = arm;
    i->time = in[p->nincident].time;
    snprintf(i->person, sizeof i->person, "%s", p->id);
    snprintf(i->reason, sizeof i->reason, "%s", in[p->nincident].reason);
  }
}

/* A rule that gives no number: this person ends here. */
static void note_failure(loop *w, person *p, dp_time now) {
  dp_trial_result *r = w->result;
  p->failed = true;
  if (r->nincident < 100) {
    dp_trial_incident *i = &r->incident[r->nincident++];
    i->arm = w->m->part[0].arm;
    i->time = (double)now / (double)DP_TICKS;
    snprintf(i->person, sizeof i->person, "%s", p->id);
    snprintf(i->reason, sizeof i->reason, "the simulation failed: %.130s", dp_ctx_error(w->t->ctx));
  }
  dp_ctx_clear_error(w->t->ctx);
}

static dp_status decide(loop *w, dp_run *run, int i, dp_time now) {
  person *p = &w->who[i];
  const dp_policy_desc *d = &w->policy->desc;
  const dpi_trial_part *part = &w->m->part[0];
  const dp_time every = dpi_trial_ticks(d->every);
  dp_instant instant[256];
  int n = 0;
  for (int k = 0; k < d->nread; k++) w->read[k] = p->row[part->reading[k]];
  for (int k = 0; k < d->nannounce; k++)
    w->announce[k] = dpi_trial_announced(w->t, w->policy, k, w->slot[i].meal, p->nmeal, now - every, now);
  const dp_policy_input input = {(double)now / (double)DP_TICKS, d->every, w->read, w->announce};
  const dp_status status = dp_policy_step(p->session, &input, w->give);
  take_incidents(w, p);
  if (status == DP_ERR_NUMERIC) return note_failure(w, p, now), DP_OK; /* of this person, as where a law decides */
  DP_TRY(status);
  p->steps++;
  for (int k = 0; k < d->ngive && n < DPI_COUNT(instant); k++) n += as_instant(w, p, k, now, &instant[n]);
  return n ? dp_run_add(run, i, instant, n) : DP_OK;
}

/* Rows and functionals up to `now`. Who left has had the last row, which stays. */
static dp_status step_to(loop *w, dp_run *run, dp_time now) {
  for (int i = 0; i < w->n; i++) w->who[i].have = w->who[i].over;
  DP_TRY(dp_run_advance(run, now));
  DP_TRY(dp_run_emit(run, sink, w));
  for (int i = 0; i < w->n; i++) w->who[i].over = w->who[i].have && now >= w->who[i].period.to;
  return DP_OK;
}

static dp_status go(loop *w, dp_run *run) {
  const dp_time every = dpi_trial_ticks(w->policy->desc.every), end = dpi_trial_ticks(w->t->desc.horizon);
  for (int k = 0; k < w->ndecision; k++) {
    const dp_time now = k * every;
    if (dp_ctx_cancelled(w->t->ctx)) return DP_ERR_CANCELLED;
    DP_TRY(step_to(w, run, now));
    for (int i = 0; i < w->n; i++)
      if (w->who[i].have && !w->who[i].failed && now < w->who[i].period.to) DP_TRY(decide(w, run, i, now));
  }
  return step_to(w, run, end);
}

/* ---- a group ---- */

static dp_status open_person(loop *w, int i, int number) {
  const dp_trial *t = w->t;
  const dp_policy *policy = w->policy;
  person *p = &w->who[i];
  dpi_trial_slot *slot = &w->slot[i];
  const dp_sim_desc *d = dp_sim_describe(w->m->sim);
  double *param = w->param + (size_t)i * (size_t)d->nparam;
  p->number = number;
  p->period = dpi_trial_period_of(t, number, w->m->part[0].arm);
  memcpy(param, d->param_default, sizeof(double) * (size_t)d->nparam);
  w->member[i] = (dp_member){.param = param};
  dpi_trial_fill(w->m, number, slot, &w->member[i], param);
  dpi_cohort_person(t, number, slot->column, p->id);
  p->nmeal = dpi_trial_meals(t, number, t->desc.horizon, slot->meal);
  dp_output_time *out = w->out + (size_t)i * (size_t)(w->ndecision + 1);
  int n = 0;
  for (int k = 0; k < w->ndecision && k * dpi_trial_ticks(policy->desc.every) < p->period.to; k++)
    out[n++] = (dp_output_time){k * dpi_trial_ticks(policy->desc.every), ORDER_LAST};
  out[n++] = slot->out[0];
  w->member[i].out = out;
  w->member[i].nout = p->period.to > 0 ? n : 0;
  for (int k = 0; k < policy->desc.nperson; k++) {
    const int sim = dp_sim_param(w->m->sim, policy->desc.person[k]);
    w->value[k] = sim >= 0 ? param[sim] : 0;
    for (int c = 0; c < t->cohort.ncolumn; c++)
      if (strcmp(t->cohort.column[c], policy->desc.person[k]) == 0) w->value[k] = slot->column[c];
  }
  const dp_policy_person who = {p->id, w->value, t->desc.seed, (uint64_t)number};
  DP_TRY(dp_policy_open(policy, &who, &p->session));
  take_incidents(w, p);
  return DP_OK;
}

static dp_status person_room(loop *w, person *p) {
  dp_ctx *ctx = w->t->ctx;
  *p = (person){0};
  p->row = DPI_NEW_ARRAY(ctx, double, w->noutput + 1);
  p->functional = DPI_NEW_ARRAY(ctx, double, w->m->npath + 1);
  p->total = DPI_NEW_ARRAY(ctx, double, w->policy->desc.ngive + 1);
  return p->row && p->functional && p->total ? DP_OK : DP_ERR_MEMORY;
}

static void person_release(loop *w, person *p) {
  dp_ctx *ctx = w->t->ctx;
  dp_policy_close(p->session);
  dpi_free(ctx, p->row);
  dpi_free(ctx, p->functional);
  dpi_free(ctx, p->total);
  *p = (person){0};
}

/* Totals of what was given are not in the sim. */
static void take_values(loop *w, person *p, double *value) {
  const dp_trial *t = w->t;
  dpi_trial_values(w->m, 0, p->number, p->have && !p->failed ? p->row : NULL, p->functional, value);
  for (int e = 0; e < t->desc.nendpoint; e++) {
    const dpi_endpoint *end = &t->endpoint[e];
    double low, high;
    int control;
    if (end->metric != DPI_METRIC_TOTAL || !p->have || p->failed || dpi_trial_lost(t, p->number, w->m->part[0].arm, e))
      continue;
    const bool out = t->dropout_analysis == DPI_DROPOUT_EXCLUDE && p->period.to < dpi_trial_ticks(t->desc.horizon);
    if (out) continue;
    dpi_trial_bounds(t->kind, end->give, &low, &high, &control);
    for (int k = 0; k < w->policy->desc.ngive; k++)
      if (strcmp(w->policy->desc.give[k], end->give) == 0)
        value[e] = control >= 0 ? p->total[k] : p->total[k] / (double)p->steps;
    if (end->relation && !isnan(value[e]))
      value[e] = end->relation < 0 ? value[e] < end->bound : value[e] > end->bound;
  }
}

static dp_status run_group(loop *w, const int *list, int first, double *value) {
  const dp_trial *t = w->t;
  const int arm = w->m->part[0].arm;
  dp_run *run = NULL;
  dp_run_opts opts = dp_run_opts_default();
  opts.seed = t->desc.seed;
  dp_status status = DP_OK;
  for (int i = 0; i < w->n && status == DP_OK; i++) {
    status = person_room(w, &w->who[i]);
    if (status == DP_OK) status = open_person(w, i, list[i]);
  }
  if (status == DP_OK) status = dp_run_open(w->m->sim, w->member, w->n, &opts, &run);
  if (status == DP_OK) status = go(w, run);
  dp_run_close(run);
  for (int i = 0; i < w->n; i++) {
    person *p = &w->who[i];
    if (status == DP_OK) {
      take_values(
          w, p, value + ((size_t)(p->number - first) * (size_t)t->desc.narm + (size_t)arm) * (size_t)t->desc.nendpoint);
      w->result->arm[arm].nfailed += p->failed;
    }
    person_release(w, p);
  }
  return status;
}

static dp_status make_room(loop *w) {
  dp_ctx *ctx = w->t->ctx;
  const dp_policy_desc *d = &w->policy->desc;
  w->param = DPI_NEW_ARRAY(ctx, double, group *(size_t)dp_sim_describe(w->m->sim)->nparam + 1);
  w->value = DPI_NEW_ARRAY(ctx, double, d->nperson + 1);
  w->out = DPI_NEW_ARRAY(ctx, dp_output_time, group * ((size_t)w->ndecision + 1));
  w->read = DPI_NEW_ARRAY(ctx, double, d->nread + 1);
  w->announce = DPI_NEW_ARRAY(ctx, double, d->nannounce + 1);
  w->give = DPI_NEW_ARRAY(ctx, double, d->ngive + 1);
  if (!w->param || !w->value || !w->out || !w->read || !w->announce || !w->give) return DP_ERR_MEMORY;
  return dpi_trial_slots_create(w->m, group, &w->slot);
}

dp_status dpi_trial_outside_run(const dpi_trial_model *m, const int *list, int n, int first, double *value,
                                dp_trial_result *result) {
  const dp_trial *t = m->trial;
  dp_ctx *ctx = t->ctx;
  loop *w = DPI_NEW(ctx, loop);
  if (!w) return DP_ERR_MEMORY;
  *w = (loop){.m = m,
              .t = t,
              .policy = t->arm[m->part[0].arm].policy,
              .result = result,
              .noutput = dp_sim_describe(m->sim)->noutput};
  const dp_time every = dpi_trial_ticks(w->policy->desc.every), end = dpi_trial_ticks(t->desc.horizon);
  w->ndecision = (int)((end - 1) / every + 1);
  dp_status status =
      (end - 1) / every < 100000000
          ? make_room(w)
          : dpi_fail(ctx, DP_ERR_UNSUPPORTED, "%s: more than 100000000 decisions of a person", t->desc.source);
  for (int i = 0; i < n && status == DP_OK; i += group) {
    w->n = n - i < group ? n - i : group;
    status = run_group(w, list + i, first, value);
  }
  dpi_trial_slots_destroy(m, w->slot, group);
  void *const block[] = {w->param, w->value, w->out, w->read, w->announce, w->give, w};
  for (int k = 0; k < DPI_COUNT(block); k++) dpi_free(ctx, block[k]);
  return status;
}
