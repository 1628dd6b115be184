/* policy_twin_horizon.c - floor 7: one person under a twin that chooses moves: what was read, told and given is kept
 * as a record; the belief is made from it now and then; in between its draws are carried along; at a decision the
 * best move is given.
 *
 *     step   readings -> record     draws to now, corrected     what is told, what the fallback gives -> record, draws
 *            (a decision is due) -> the best move -> give, record, draws
 *
 * States of the belief: none (before `wait`, or not fit for use) -> in use -> (an update fails) none. While there is
 * none the fallback alone decides; a parameter that a move had set, and that the fallback does not give, then goes
 * back to what the move's `then` says.
 */
#include "policy/policy_twin.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define NEVER INT64_MIN /* no time: those before 0 are times like others */

struct dpi_horizon {
  const dp_policy *policy;
  const dpi_policy_horizon *h;
  const dp_kind *kind; /* the twin's, for beliefs */
  dp_prior *prior;
  dpi_arena arena;
  const char *id;
  double *person; /* [nperson] */
  uint64_t seed;
  /* O, U: the record so far */
  double *covariate, *first; /* [ncovariate] now; at time 0 */
  const char **covariate_id;
  dp_event *event;
  int nevent, cap;
  dp_time *taken; /* [nread] when the last reading went into the record; NEVER: none did */
  /* D */
  dpi_draws draws;
  bool usable, tried;
  dp_time began, updated; /* the first step; the last update */
  int nupdate;
  /* U: the move in force */
  double *level;         /* [nmove] in own words */
  double *reading;       /* [nread] */
  bool chosen;           /* level is in force */
  bool *set;             /* [nmove] the parameter is at a move's level */
  int64_t step, decided; /* steps so far; when the move was chosen */
};

static dp_time ticks(double time) { return (dp_time)floor(time * (double)DP_TICKS + 0.5); }
static const dp_kind *twin_kind(const dp_policy *p) { return p->twin.kind ? p->twin.kind : p->kind; }

/* Half a step: times are compared to the nearest step. */
static dp_time slack(const dpi_horizon *h) { return ticks(h->policy->desc.every) / 2; }

/* ---- open, close ---- */

static dp_status make_room(dpi_horizon *h, const dp_policy_person *person) {
  const dp_policy_desc *d = &h->policy->desc;
  const dp_kind *k = h->kind;
  dpi_arena *a = &h->arena;
  h->id = dpi_arena_strdup(a, person->id);
  h->person = DPI_ARENA_ARRAY(a, double, d->nperson + 1);
  h->covariate = DPI_ARENA_ARRAY(a, double, k->ncovariate + 1);
  h->first = DPI_ARENA_ARRAY(a, double, k->ncovariate + 1);
  h->covariate_id = DPI_ARENA_ARRAY(a, const char *, k->ncovariate + 1);
  h->taken = DPI_ARENA_ARRAY(a, dp_time, d->nread + 1);
  h->level = DPI_ARENA_ARRAY(a, double, h->h->nmove + 1);
  h->set = DPI_ARENA_ARRAY(a, bool, h->h->nmove + 1);
  h->reading = DPI_ARENA_ARRAY(a, double, d->nread + 1);
  if (!h->id || !h->person || !h->covariate || !h->first || !h->covariate_id || !h->taken || !h->level || !h->set ||
      !h->reading)
    return DP_ERR_MEMORY;
  for (int i = 0; i < d->nperson; i++) h->person[i] = person->value[i];
  for (int i = 0; i < d->nread; i++) h->taken[i] = NEVER;
  for (int i = 0; i < k->ncovariate; i++) {
    const dpi_kind_covariate *v = &k->covariate[i];
    h->covariate_id[i] = v->id;
    h->covariate[i] = h->h->known[i] >= 0               ? person->value[h->h->known[i]]
                      : v->missing == DPI_MISSING_VALUE ? v->value
                                                        : NAN;
    h->first[i] = h->covariate[i];
  }
  return DP_OK;
}

dp_status dpi_horizon_open(const dp_policy *policy, const dp_policy_person *person, dpi_horizon **out) {
  *out = NULL;
  dpi_horizon *h = DPI_NEW(policy->ctx, dpi_horizon);
  if (!h) return DP_ERR_MEMORY;
  h->policy = policy;
  h->h = policy->twin.horizon;
  h->kind = twin_kind(policy);
  h->seed = person->seed ^ (person->stream * 0x9E3779B97F4A7C15u);
  dpi_arena_init(&h->arena, policy->ctx);
  dp_status status = make_room(h, person);
  if (status == DP_OK) status = dp_prior_nominal(h->kind, &h->prior);
  if (status == DP_OK) status = dpi_draws_open(policy, &h->draws);
  if (status == DP_OK)
    *out = h;
  else
    dpi_horizon_close(h);
  return status;
}

void dpi_horizon_close(dpi_horizon *h) {
  if (!h) return;
  dp_ctx *ctx = h->policy->ctx;
  dpi_draws_close(&h->draws);
  dp_prior_destroy(h->prior);
  dpi_free(ctx, h->event);
  dpi_arena_release(&h->arena);
  dpi_free(ctx, h);
}

/* ---- the record ---- */

static dp_status add_event(dpi_horizon *h, dp_time time, int evid, dp_event **out) {
  DP_TRY(dpi_grow(h->policy->ctx, (void **)&h->event, &h->cap, h->nevent + 1, sizeof *h->event));
  dp_event *e = *out = &h->event[h->nevent++];
  *e = (dp_event){.time = time,
                  .evid = evid,
                  .value = NAN,
                  .dvid = "",
                  .limit = NAN,
                  .missing = evid != 0,
                  .line = h->nevent,
                  .covariate = h->covariate};
  return DP_OK;
}

static dp_status add_reading(dpi_horizon *h, dp_time now, int k, double value) {
  const int o = h->h->observed[k];
  dp_event *e;
  if (o < 0 || !isfinite(value)) return DP_OK;
  if (h->taken[k] != NEVER && now - h->taken[k] < ticks(h->h->thin) - slack(h)) return DP_OK;
  h->taken[k] = now;
  DP_TRY(add_event(h, now, 0, &e));
  e->value = value;
  e->dvid = h->kind->observable[o].dvid ? h->kind->observable[o].dvid : "";
  e->compartment = h->kind->observable[o].compartment;
  return DP_OK;
}

static dp_status add_dose(dpi_horizon *h, dp_time now, int control, double amount) {
  const dpi_kind_control *c = &h->kind->control[control];
  dp_event *e;
  if (!(amount > 0)) return DP_OK;
  DP_TRY(add_event(h, now, 1, &e));
  e->amount = amount;
  e->rate = c->model_duration ? DP_DURATION_MODEL : c->model_rate ? DP_RATE_MODEL : 0;
  e->compartment = c->compartment;
  return dpi_draws_dose(&h->draws, control, now, amount);
}

/* A covariate that changes: rows from now on have a copy of all with it. */
static dp_status add_switch(dpi_horizon *h, dp_time now, int covariate, double value) {
  const int n = h->kind->ncovariate;
  dp_event *e;
  if (h->covariate[covariate] == value) return DP_OK;
  double *copy = DPI_ARENA_ARRAY(&h->arena, double, n + 1);
  if (!copy) return DP_ERR_MEMORY;
  memcpy(copy, h->covariate, sizeof *copy * (size_t)n);
  copy[covariate] = value;
  h->covariate = copy;
  DP_TRY(add_event(h, now, 2, &e));
  return dpi_draws_switch(&h->draws, covariate, now, value);
}

/* A gift of the policy's, in its own unit. */
static dp_status add_gift(dpi_horizon *h, dp_time now, int give, double x) {
  const dpi_policy_gift *g = &h->h->gift[give];
  if (isnan(x)) return DP_OK;
  x = (x < g->low ? g->low : x > g->high ? g->high : x) * g->factor;
  if (g->control >= 0) return add_dose(h, now, g->control, x);
  return g->covariate >= 0 ? add_switch(h, now, g->covariate, x) : DP_OK;
}

/* ---- the belief ---- */

/* Rows that the belief sees: readings that are not forgotten, and all that was told and given. */
static dp_status remembered(const dpi_horizon *h, dp_time now, dp_event **out, int *n) {
  *out = DPI_NEW_ARRAY(h->policy->ctx, dp_event, h->nevent + 1);
  *n = 0;
  if (!*out) return DP_ERR_MEMORY;
  for (int i = 0; i < h->nevent; i++) {
    const dp_event *e = &h->event[i];
    if (e->evid == 0 && isfinite(h->h->remember) && e->time < now - ticks(h->h->remember)) continue;
    (*out)[(*n)++] = *e;
  }
  return DP_OK;
}

static dp_status believe(dpi_horizon *h, dp_time now, char reason[160]) {
  const dp_policy *p = h->policy;
  dp_event *event;
  dp_belief *belief = NULL;
  dp_assimilate_def def = dp_assimilate_def_default();
  int n;
  def.ndraw = p->twin.draws;
  def.nproposal = p->twin.proposals;
  def.seed = h->seed + (uint64_t)h->nupdate++;
  DP_TRY(remembered(h, now, &event, &n));
  const dp_subject subject = {h->id, event, n};
  const dp_record record = {.source = "what was read and given",
                            .covariate_id = h->covariate_id,
                            .ncovariate = h->kind->ncovariate,
                            .subject = &subject,
                            .nsubject = 1};
  dp_status status = dp_assimilate(h->kind, &record, 0, (double)now / (double)DP_TICKS, h->prior, &def, &belief);
  h->usable = status == DP_OK && belief->usable;
  if (status == DP_OK && !belief->usable)
    snprintf(reason, 160, "the belief is not fit for use: %.120s", belief->verdict);
  if (h->usable) status = dpi_draws_begin(&h->draws, h->prior, belief, h->first);
  dp_belief_destroy(belief);
  dpi_free(p->ctx, event);
  return status;
}

/* The belief, anew when it is due, and its draws at now. usable says what came of it. */
static dp_status come_along(dpi_horizon *h, dp_time now, const double *reading, char reason[160]) {
  /* one that was to be made once, and failed, is tried again after as long */
  const double once = h->usable                  ? INFINITY
                      : h->policy->twin.wait > 0 ? h->policy->twin.wait
                                                 : INFINITY,
               again = isfinite(h->h->update) ? h->h->update : once;
  const bool due = !h->tried || (isfinite(again) && now - h->updated >= ticks(again) - slack(h));
  if (due) {
    h->tried = true;
    h->updated = now;
    DP_TRY(believe(h, now, reason));
  }
  if (!h->usable) return DP_OK;
  DP_TRY(dpi_draws_go(&h->draws, now));
  if (2 * h->draws.n < h->draws.begun || h->draws.n == 0) {
    snprintf(reason, 160, "%d of %d draws of the belief could not be simulated", h->draws.begun - h->draws.n,
             h->draws.begun);
    h->usable = false;
    return DP_OK;
  }
  return dpi_draws_correct(&h->draws, reading, h->seed + (uint64_t)now);
}

/* What the data make impossible is a reason, not a failure of the trial. */
static dp_status excuse(dpi_horizon *h, dp_status status, char reason[160]) {
  if (!dpi_twin_of_the_data(status)) return status;
  snprintf(reason, 160, "the belief failed: %.130s", dp_ctx_error(h->policy->ctx));
  dp_ctx_clear_error(h->policy->ctx);
  h->usable = false;
  return DP_OK;
}

/* ---- decisions ---- */

/* A time as a number of steps; it is a multiple of `every`, but for rounding. */
static int64_t steps_of(const dpi_horizon *h, double time) {
  return (int64_t)floor(time / h->policy->desc.every + 0.5);
}

/* Is a decision due at this step? Those since the end of `wait` are counted: sums of rounded times would drift. */
static bool is_due(const dpi_horizon *h) {
  const int64_t since = h->step - steps_of(h, h->policy->twin.wait);
  return since >= 0 && since % steps_of(h, h->h->decide) == 0;
}

static dp_status choose(dpi_horizon *h, dp_time now, char reason[160]) {
  bool found;
  h->chosen = false;
  DP_TRY(dpi_move_choose(&h->draws, h->person, now, h->seed + (uint64_t)now, h->level, &found));
  if (!found && !h->h->safe) {
    snprintf(reason, 160, "no safe move");
    return DP_OK;
  }
  for (int i = 0; i < h->h->nmove && !found; i++) h->level[i] = h->h->move[i].safe;
  h->chosen = true;
  h->decided = h->step;
  return DP_OK;
}

/* The moves' gifts at this step: at a decision, between decisions, or when the fallback has them. */
static void put_moves(dpi_horizon *h, double *give) {
  for (int i = 0; i < h->h->nmove; i++) {
    const dpi_policy_move *m = &h->h->move[i];
    const bool dose = h->h->gift[m->give].dose;
    double *x = &give[m->give];
    if (!h->chosen) {
      if (isnan(*x) && h->set[i]) *x = dpi_move_value(h->policy, m, h->person, m->then);
      h->set[i] = false;
      continue;
    }
    const double value = dpi_move_value(h->policy, m, h->person, h->level[i]);
    const int64_t since = h->step - h->decided;
    const bool within = (double)since * h->policy->desc.every < m->hold * (1 - 1e-9),
               again = dose && m->repeat > 0 && within && since % steps_of(h, m->repeat) == 0;
    *x = since == 0 || again ? value : dose ? 0 : NAN;
    h->set[i] = !dose;
  }
}

/* Is this gift chosen by a move? */
static bool is_moved(const dpi_horizon *h, int give) {
  for (int i = 0; i < h->h->nmove; i++)
    if (h->h->move[i].give == give) return true;
  return false;
}

static dp_status begin(dpi_horizon *h, dp_time now) {
  dp_event *e;
  if (h->nevent) return DP_OK;
  h->began = now;
  return add_event(h, now, 2, &e); /* the person's numbers, before anything is known */
}

dp_status dpi_horizon_step(dpi_horizon *h, const dp_policy_input *in, double *give, char reason[160]) {
  const dp_policy_desc *d = &h->policy->desc;
  const dp_time now = ticks(in->time);
  DP_TRY(begin(h, now));
  const bool due = is_due(h);
  for (int k = 0; k < d->nread; k++) {
    h->reading[k] = in->read[k];
    DP_TRY(add_reading(h, now, k, in->read[k]));
  }
  if (due) DP_TRY(excuse(h, come_along(h, now, h->reading, reason), reason));
  for (int k = 0; k < h->h->ntold; k++) {
    const dpi_policy_told *t = &h->h->told[k];
    DP_TRY(add_dose(h, now, t->control, in->announce[t->announce] * t->factor));
  }
  for (int k = 0; k < d->ngive; k++)
    if (!is_moved(h, k)) DP_TRY(add_gift(h, now, k, give[k]));
  if (due && h->usable) DP_TRY(excuse(h, choose(h, now, reason), reason));
  if (!h->usable) h->chosen = false;
  put_moves(h, give);
  for (int i = 0; i < h->h->nmove; i++) DP_TRY(add_gift(h, now, h->h->move[i].give, give[h->h->move[i].give]));
  h->step++;
  return DP_OK;
}
