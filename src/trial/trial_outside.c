/* trial_outside.c - floor 8: arms whose policy is asked from outside (also a rule that gives infusions or has lags):
 * people are advanced from decision to decision, each one's controller is told what was read, and what it gives is
 * added to that person's instants.
 *
 *     advance to t_k -> what was read (law "policy" took it at t_k) -> dp_policy_step -> dp_run_add -> advance to t_k+1
 *
 * Endpoints are counted by the same laws as in all other arms. In a cross-over a person goes through all arms in their
 * order: those of rules by their laws, the others as above, each with a controller of its own.
 *
 * People go in small groups, groups on the workers of the context. What a group gives (values, incidents, counts)
 * depends on its people alone and is put together in their order, so results are the same bytes for any number of
 * threads.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "num/num.h"
#include "trial/trial_impl.h"

enum { group = 16, most_arms = 16, most_incidents = 100, ORDER_LAST = 2000000000 };

typedef struct person {
  int number;
  char id[64];
  dpi_trial_period *period;   /* [npart] */
  dp_policy_session *session; /* of the arm that is being lived through */
  double *row;                /* [noutput] the last one */
  bool have;                  /* a row has come since the last decision */
  bool over;                  /* the period is: that row is the last one */
  double *last;               /* [npart x noutput] rows at the ends of periods */
  bool *ended;                /* [npart] there is one */
  double *functional;         /* [npart x npath] */
  bool failed;
  int nmeal, nincident; /* nincident: of the session, taken */
  int64_t nnoted;
  double *total;  /* [npart x most gifts] */
  int64_t *steps; /* [npart] */
} person;

/* What a group leaves behind for the trial's result. */
typedef struct outcome {
  int64_t nlimited[most_arms];
  int nfailed[most_arms], nincident[most_arms], nkept, cap;
  dp_trial_incident *kept; /* the first ones */
} outcome;

typedef struct loop {
  const dpi_trial_model *m;
  const dp_trial *t;
  outcome *out;
  int n, noutput, most_give;
  /* the arm of now */
  int part;
  const dp_policy *policy;
  person who[group];
  dpi_trial_slot *slot;
  dp_member member[group];
  double *param, *value; /* [group x nparam]; [nperson of the policies] */
  dp_output_time *time;  /* [group x ntime] */
  size_t ntime;
  double *read, *announce, *give;
} loop;

static int arm_of(const loop *w) { return w->m->part[w->part].arm; }

bool dpi_trial_any_outside(const dpi_trial_model *m) {
  for (int k = 0; k < m->npart; k++)
    if (dpi_trial_outside(m->trial, m->part[k].arm)) return true;
  return false;
}

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
    if (r->nfunctional > 0) memcpy(p->functional, r->functional, sizeof(double) * (size_t)r->nfunctional);
  }
  return DP_OK;
}

/* ---- incidents ---- */

static dp_status keep(loop *w, const person *p, double time, const char *reason) {
  outcome *o = w->out;
  if (o->nkept == most_incidents) return DP_OK;
  DP_TRY(dpi_grow(w->t->ctx, (void **)&o->kept, &o->cap, o->nkept + 1, sizeof *o->kept));
  dp_trial_incident *i = &o->kept[o->nkept++];
  *i = (dp_trial_incident){.arm = arm_of(w), .time = time};
  snprintf(i->person, sizeof i->person, "%s", p->id);
  snprintf(i->reason, sizeof i->reason, "%s", reason);
  return DP_OK;
}

static dp_status take_incidents(loop *w, person *p) {
  const int n = dp_policy_nincident(p->session);
  const dp_policy_incident *in = dp_policy_incidents(p->session);
  const int64_t noted = dpi_policy_nnoted(p->session);
  w->out->nincident[arm_of(w)] += (int)(noted - p->nnoted);
  p->nnoted = noted;
  for (; p->nincident < n; p->nincident++) DP_TRY(keep(w, p, in[p->nincident].time, in[p->nincident].reason));
  return DP_OK;
}

/* A rule that gives no number: this person ends here. */
static dp_status note_failure(loop *w, person *p, dp_time now) {
  char reason[160];
  p->failed = true;
  snprintf(reason, sizeof reason, "the simulation failed: %.130s", dp_ctx_error(w->t->ctx));
  dp_ctx_clear_error(w->t->ctx);
  return keep(w, p, (double)now / (double)DP_TICKS, reason);
}

/* ---- decisions ---- */

/* Gift i as an instant at `now`; what its bounds forbid is cut and, once it counts, counted. */
static int as_instant(loop *w, person *p, int i, dp_time now, dp_instant *out) {
  const dp_kind *kind = w->m->kind;
  double low, high, x = w->give[i];
  int control;
  if (isnan(x)) return 0;
  dpi_trial_bounds(kind, w->policy->desc.give[i], &low, &high, &control);
  const bool counts = now >= p->period[w->part].from;
  if (counts && (x < low || x > high)) w->out->nlimited[arm_of(w)]++;
  x = x < low ? low : x > high ? high : x;
  if (counts) p->total[w->part * w->most_give + i] += x;
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

static dp_status decide(loop *w, dp_run *run, int i, dp_time now) {
  person *p = &w->who[i];
  const dp_policy_desc *d = &w->policy->desc;
  const dpi_trial_part *part = &w->m->part[w->part];
  const dpi_trial_period *period = &p->period[w->part];
  const dp_time every = dpi_trial_ticks(d->every);
  dp_instant instant[256];
  int n = 0;
  for (int k = 0; k < d->nread; k++) w->read[k] = p->row[part->reading[k]];
  for (int k = 0; k < d->nannounce; k++)
    w->announce[k] = dpi_trial_announced(w->t, w->policy, k, w->slot[i].meal, p->nmeal, now - every, now);
  const dp_policy_input input = {(double)now / (double)DP_TICKS, d->every, w->read, w->announce};
  const dp_status status = dp_policy_step(p->session, &input, w->give);
  DP_TRY(take_incidents(w, p));
  if (status == DP_ERR_NUMERIC) return note_failure(w, p, now); /* of this person, as where a law decides */
  DP_TRY(status);
  p->steps[w->part] += now >= period->from;
  for (int k = 0; k < d->ngive && n < DPI_COUNT(instant); k++) n += as_instant(w, p, k, now, &instant[n]);
  return n ? dp_run_add(run, i, instant, n) : DP_OK;
}

/* Rows and functionals up to `now`. Who left has had the last row, which stays. */
static dp_status step_to(loop *w, dp_run *run, dp_time now) {
  for (int i = 0; i < w->n; i++) w->who[i].have = w->who[i].over;
  DP_TRY(dp_run_advance(run, now));
  DP_TRY(dp_run_emit(run, sink, w));
  for (int i = 0; i < w->n; i++) w->who[i].over = w->who[i].have && now >= w->who[i].period[w->part].to;
  return DP_OK;
}

/* The controller of a person in an arm begins. */
static dp_status open_session(loop *w, int i) {
  const dp_trial *t = w->t;
  const dp_policy_desc *d = &w->policy->desc;
  person *p = &w->who[i];
  const double *param = w->member[i].param;
  for (int k = 0; k < d->nperson; k++) {
    const int sim = dp_sim_param(w->m->sim, d->person[k]);
    w->value[k] = sim >= 0 ? param[sim] : 0;
    for (int c = 0; c < t->cohort.ncolumn; c++)
      if (strcmp(t->cohort.column[c], d->person[k]) == 0) w->value[k] = w->slot[i].column[c];
  }
  const dp_policy_person who = {p->id, w->value, t->desc.seed, (uint64_t)p->number};
  dp_policy_close(p->session);
  p->session = NULL;
  p->nincident = 0;
  p->nnoted = 0;
  DP_TRY(dp_policy_open(w->policy, &who, &p->session));
  return take_incidents(w, p);
}

/* One arm: all people of the group have the same `act`, as only a single one goes through a cross-over at a time. */
static dp_status go(loop *w, dp_run *run) {
  const dpi_trial_period *first = &w->who[0].period[w->part];
  const dp_time every = dpi_trial_ticks(w->policy->desc.every), whole = dpi_trial_ticks(w->t->desc.horizon);
  const bool asked = dpi_trial_outside(w->t, arm_of(w));
  const dp_time act = first->act, end = first->from + whole;
  for (int i = 0; i < w->n; i++) {
    w->who[i].over = w->who[i].have = false;
    if (asked && w->who[i].period[w->part].to > act) DP_TRY(open_session(w, i));
  }
  for (dp_time now = act; asked && now < end; now += every) {
    if (dp_ctx_cancelled(w->t->ctx)) return DP_ERR_CANCELLED;
    DP_TRY(step_to(w, run, now));
    for (int i = 0; i < w->n; i++)
      if (w->who[i].have && !w->who[i].failed && now < w->who[i].period[w->part].to) DP_TRY(decide(w, run, i, now));
  }
  DP_TRY(step_to(w, run, end));
  for (int i = 0; i < w->n; i++) {
    person *p = &w->who[i];
    const dpi_trial_period *period = &p->period[w->part];
    p->ended[w->part] = p->have && !p->failed && period->to > period->from;
    memcpy(p->last + (size_t)w->part * (size_t)w->noutput, p->row, sizeof(double) * (size_t)w->noutput);
  }
  return DP_OK;
}

/* ---- a group ---- */

/* Output times: of decisions, and the ends of periods, in the order in which the arms are lived through. */
static void list_times(loop *w, int i) {
  const dpi_trial_model *m = w->m;
  person *p = &w->who[i];
  dp_output_time *out = w->time + (size_t)i * w->ntime;
  int n = 0;
  for (int position = 0; position < m->npart; position++)
    for (int k = 0; k < m->npart; k++) {
      const dpi_trial_period *period = &p->period[k];
      if (period->position != position || period->to <= period->act) continue;
      const dp_policy *policy = w->t->arm[m->part[k].arm].policy;
      if (dpi_trial_outside(w->t, m->part[k].arm)) {
        const dp_time every = dpi_trial_ticks(policy->desc.every);
        for (dp_time now = period->act; now < period->to; now += every) out[n++] = (dp_output_time){now, ORDER_LAST};
      }
      if (period->to > period->from) out[n++] = (dp_output_time){period->to, 0};
    }
  w->member[i].out = out;
  w->member[i].nout = n;
}

static void open_person(loop *w, int i, int number) {
  const dp_trial *t = w->t;
  person *p = &w->who[i];
  dpi_trial_slot *slot = &w->slot[i];
  const dp_sim_desc *d = dp_sim_describe(w->m->sim);
  double *param = w->param + (size_t)i * (size_t)d->nparam;
  p->number = number;
  for (int k = 0; k < w->m->npart; k++) p->period[k] = dpi_trial_period_of(t, number, w->m->part[k].arm);
  memcpy(param, d->param_default, sizeof(double) * (size_t)d->nparam);
  w->member[i] = (dp_member){.param = param};
  dpi_trial_fill(w->m, number, slot, &w->member[i], param);
  dpi_cohort_person(t, number, slot->column, p->id);
  p->nmeal = dpi_trial_meals(t, number, dpi_trial_length(t), slot->meal);
  list_times(w, i);
}

static dp_status person_room(loop *w, person *p) {
  dp_ctx *ctx = w->t->ctx;
  const size_t npart = (size_t)w->m->npart;
  *p = (person){0};
  p->period = DPI_NEW_ARRAY(ctx, dpi_trial_period, npart);
  p->row = DPI_NEW_ARRAY(ctx, double, w->noutput + 1);
  p->last = DPI_NEW_ARRAY(ctx, double, npart *(size_t)w->noutput + 1);
  p->ended = DPI_NEW_ARRAY(ctx, bool, npart);
  p->functional = DPI_NEW_ARRAY(ctx, double, npart *(size_t)w->m->npath + 1);
  p->total = DPI_NEW_ARRAY(ctx, double, npart *(size_t)w->most_give + 1);
  p->steps = DPI_NEW_ARRAY(ctx, int64_t, npart);
  return p->period && p->row && p->last && p->ended && p->functional && p->total && p->steps ? DP_OK : DP_ERR_MEMORY;
}

static void person_release(loop *w, person *p) {
  dp_ctx *ctx = w->t->ctx;
  dp_policy_close(p->session);
  void *const block[] = {p->period, p->row, p->last, p->ended, p->functional, p->total, p->steps};
  for (int k = 0; k < DPI_COUNT(block); k++) dpi_free(ctx, block[k]);
  *p = (person){0};
}

/* Totals of what was given from outside are not in the sim. */
static void take_totals(const loop *w, const person *p, int k, double *value) {
  const dp_trial *t = w->t;
  const int arm = w->m->part[k].arm;
  const dp_policy_desc *d = &t->arm[arm].policy->desc;
  for (int e = 0; e < t->desc.nendpoint; e++) {
    const dpi_endpoint *end = &t->endpoint[e];
    double low, high;
    int control;
    if (end->metric != DPI_METRIC_TOTAL || !p->ended[k] || p->failed || dpi_trial_lost(t, p->number, arm, e)) continue;
    const bool left = p->period[k].to < p->period[k].from + dpi_trial_ticks(t->desc.horizon);
    if (t->dropout_analysis == DPI_DROPOUT_EXCLUDE && left) continue;
    dpi_trial_bounds(t->kind, end->give, &low, &high, &control);
    for (int i = 0; i < d->ngive; i++) {
      const double total = p->total[k * w->most_give + i];
      if (strcmp(d->give[i], end->give) == 0) value[e] = control >= 0 ? total : total / (double)p->steps[k];
    }
    value[e] = dpi_trial_event(end, value[e]);
  }
}

/* Endpoints of all arms that the person went through. */
static void take_values(loop *w, person *p, int first, double *value) {
  const dp_trial *t = w->t;
  for (int k = 0; k < w->m->npart; k++) {
    const dpi_trial_part *part = &w->m->part[k];
    double *own =
        value + ((size_t)(p->number - first) * (size_t)t->desc.narm + (size_t)part->arm) * (size_t)t->desc.nendpoint;
    const double *row = p->ended[k] && !p->failed ? p->last + (size_t)k * (size_t)w->noutput : NULL;
    dpi_trial_values(w->m, k, p->number, row, p->functional + p->period[k].position * w->m->npath, own);
    if (dpi_trial_outside(t, part->arm)) take_totals(w, p, k, own);
    if (row && part->limited >= 0) w->out->nlimited[part->arm] += (int64_t)row[part->limited];
    w->out->nfailed[part->arm] += p->failed;
  }
}

/* All arms of the model, in the order of the only person's periods. */
static dp_status live(loop *w, dp_run *run) {
  for (int position = 0; position < w->m->npart; position++)
    for (w->part = 0; w->part < w->m->npart; w->part++) {
      if (w->who[0].period[w->part].position != position) continue;
      w->policy = w->t->arm[arm_of(w)].policy;
      DP_TRY(go(w, run));
      break;
    }
  return DP_OK;
}

static dp_status run_group(loop *w, const int *list, int first, double *value) {
  dp_run *run = NULL;
  dp_run_opts opts = dp_run_opts_default();
  opts.seed = w->t->desc.seed;
  dp_status status = DP_OK;
  for (int i = 0; i < w->n && status == DP_OK; i++) {
    status = person_room(w, &w->who[i]);
    if (status == DP_OK) open_person(w, i, list[i]);
  }
  if (status == DP_OK) status = dp_run_open(w->m->sim, w->member, w->n, &opts, &run);
  if (status == DP_OK) status = live(w, run);
  dp_run_close(run);
  for (int i = 0; i < w->n; i++) {
    if (status == DP_OK) take_values(w, &w->who[i], first, value);
    person_release(w, &w->who[i]);
  }
  return status;
}

/* How many output times a person has at most. */
static double most_times(const dpi_trial_model *m) {
  const dp_trial *t = m->trial;
  double n = m->npart;
  for (int k = 0; k < m->npart; k++)
    if (dpi_trial_outside(t, m->part[k].arm))
      n += (t->desc.horizon + t->desc.washout + t->desc.run_in) / t->arm[m->part[k].arm].policy->desc.every + 2;
  return n;
}

static dp_status make_room(loop *w, int n) {
  dp_ctx *ctx = w->t->ctx;
  int nperson = 0, nread = 0, nannounce = 0;
  for (int k = 0; k < w->m->npart; k++) {
    const dp_policy_desc *d = &w->t->arm[w->m->part[k].arm].policy->desc;
    if (d->nperson > nperson) nperson = d->nperson;
    if (d->nread > nread) nread = d->nread;
    if (d->nannounce > nannounce) nannounce = d->nannounce;
    if (d->ngive > w->most_give) w->most_give = d->ngive;
  }
  w->param = DPI_NEW_ARRAY(ctx, double, (size_t)n *(size_t)dp_sim_describe(w->m->sim)->nparam + 1);
  w->value = DPI_NEW_ARRAY(ctx, double, nperson + 1);
  w->time = DPI_NEW_ARRAY(ctx, dp_output_time, (size_t)n * w->ntime);
  w->read = DPI_NEW_ARRAY(ctx, double, nread + 1);
  w->announce = DPI_NEW_ARRAY(ctx, double, nannounce + 1);
  w->give = DPI_NEW_ARRAY(ctx, double, w->most_give + 1);
  if (!w->param || !w->value || !w->time || !w->read || !w->announce || !w->give) return DP_ERR_MEMORY;
  return dpi_trial_slots_create(w->m, n, &w->slot);
}

/* ---- groups on threads ---- */

typedef struct job {
  const dpi_trial_model *m;
  const int *list;
  int n, size, first;
  double *value;
  outcome *out; /* [groups] */
} job;

/* dpi_work_fn */
static dp_status run_one(void *user, int i, int worker) {
  (void)worker;
  const job *j = user;
  dp_ctx *ctx = j->m->trial->ctx;
  const int begin = i * j->size;
  loop *w = DPI_NEW(ctx, loop);
  if (!w) return DP_ERR_MEMORY;
  *w = (loop){.m = j->m,
              .t = j->m->trial,
              .out = &j->out[i],
              .n = j->n - begin < j->size ? j->n - begin : j->size,
              .noutput = dp_sim_describe(j->m->sim)->noutput,
              .ntime = (size_t)most_times(j->m) + 2};
  dp_status status = make_room(w, j->size);
  if (status == DP_OK) status = run_group(w, j->list + begin, j->first, j->value);
  dpi_trial_slots_destroy(j->m, w->slot, j->size);
  void *const block[] = {w->param, w->value, w->time, w->read, w->announce, w->give, w};
  for (int k = 0; k < DPI_COUNT(block); k++) dpi_free(ctx, block[k]);
  return status;
}

/* What groups left behind, in their order. */
static void gather(const dp_trial *t, const outcome *out, int n, dp_trial_result *result) {
  for (int i = 0; i < n; i++) {
    for (int a = 0; a < t->desc.narm && a < most_arms; a++) {
      result->arm[a].nlimited += out[i].nlimited[a];
      result->arm[a].nfailed += out[i].nfailed[a];
      result->arm[a].nincident += out[i].nincident[a];
    }
    for (int k = 0; k < out[i].nkept && result->nincident < most_incidents; k++)
      result->incident[result->nincident++] = out[i].kept[k];
  }
}

/* Rules go side by side in lanes; who is asked person by person goes alone. */
static int group_size(const dpi_trial_model *m) {
  if (m->npart > 1) return 1;
  const dp_policy_kind kind = m->trial->arm[m->part[0].arm].policy->desc.kind;
  return kind == DP_POLICY_RULE ? group : 1;
}

dp_status dpi_trial_outside_run(const dpi_trial_model *m, const int *list, int n, int first, double *value,
                                dp_trial_result *result) {
  const dp_trial *t = m->trial;
  if (!(most_times(m) < 1e8))
    return dpi_fail(t->ctx, DP_ERR_UNSUPPORTED, "%s: more than 100000000 decisions of a person", t->desc.source);
  job j = {.m = m, .list = list, .n = n, .size = group_size(m), .first = first, .value = value};
  const int ngroup = (n + j.size - 1) / j.size;
  j.out = DPI_NEW_ARRAY(t->ctx, outcome, ngroup + 1);
  dp_status status = j.out ? dpi_parallel_for(t->ctx, ngroup, run_one, &j) : DP_ERR_MEMORY;
  if (status == DP_OK) gather(t, j.out, ngroup, result);
  for (int i = 0; j.out && i < ngroup; i++) dpi_free(t->ctx, j.out[i].kept);
  dpi_free(t->ctx, j.out);
  return status;
}
