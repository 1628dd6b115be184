/* policy_twin.c - floor 7: receding horizon (model predictive control). At every decision the person's record so far
 * is assimilated, plans are searched on the belief under the kind's rewards and limits, and what the chosen plan gives
 * now is given; then the world goes on, and all of it is done anew with the next reading.
 *
 *     O reading -> record -> D dp_assimilate -> dp_plan_search -> U the chosen plan's doses of now -> record
 *
 * A regimen (dose x interval at steady state) gives its dose when the last one is used up at its rate; a course gives
 * what it has before the next decision. No admissible plan, a belief that is not fit for use, or one that can't be made
 * of this person's data: the fallback decides this once, which is recorded, and the next decision tries again. The twin
 * may be of another kind than the person in the trial: `twin: {kind: FOLDER}`. With `moves` no plan is searched but a
 * move over a look ahead: policy_twin.h.
 */
#include "policy/policy_twin.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "doppel/whatif.h"
#include "kind/kind_events.h"
#include "kind/kind_find.h"

enum { most_draws = 20000 };

/* ---- reading ---- */

static dp_status wrong(const dpi_yaml_doc *doc, const dpi_yaml *node, const char *what, const char *expected) {
  return dpi_fail(doc->ctx, DP_ERR_INPUT, "%s:%d: %s: expected %s", doc->source, node->line, what, expected);
}

static const dp_kind *twin_kind(const dp_policy *p) { return p->twin.kind ? p->twin.kind : p->kind; }

/* The twin's kind needs to know all of its covariates that have no value to stand for them: else no belief could be had
 * of anybody, and the fallback would decide everything. */
static dp_status check_person(const dp_policy *p, const dpi_yaml_doc *doc) {
  const dp_kind *k = twin_kind(p);
  const dpi_yaml *list = dpi_yaml_get(doc->root, "person");
  const dp_record known = {.covariate_id = p->desc.person, .ncovariate = p->desc.nperson};
  for (int i = 0; i < k->ncovariate; i++) {
    const dpi_kind_covariate *v = &k->covariate[i];
    if ((v->sim_param < 0 && !v->occasion) || v->missing == DPI_MISSING_VALUE) continue;
    if (dpi_record_covariate(&known, v->id) < 0)
      return dpi_fail(doc->ctx, DP_ERR_INPUT,
                      "%s:%d: person: expected '%s' in it (%s, %s), which the twin's kind needs", doc->source,
                      list ? list->line : doc->root->line, v->id, v->name, v->unit);
  }
  return DP_OK;
}

/* What it reads and gives, in the twin's own kind. */
static dp_status find_rows(dp_policy *p, const dpi_yaml_doc *doc) {
  const dp_kind *k = twin_kind(p);
  dpi_policy_twin *t = &p->twin;
  if (p->desc.nread != 1 || p->desc.ngive != 1) return wrong(doc, doc->root, "twin", "one reading and one control");
  t->observable = dpi_kind_find_observable(k, p->desc.read_of[0]);
  t->control = dpi_kind_find_control(k, p->desc.give[0]);
  if (t->observable < 0) return wrong(doc, doc->root, "reads", "an observable of the twin's kind");
  if (t->control < 0) return wrong(doc, doc->root, "gives", "a control of the twin's kind");
  if (!k->reward.given || k->reward.control != t->control)
    return wrong(doc, doc->root, "gives", "the control that the twin's reward.yaml plans");
  return check_person(p, doc);
}

dp_status dpi_twin_policy_read(dp_policy *p, const dpi_yaml_doc *doc) {
  static const char *const keys[] = {"kind",   "draws",      "proposals",  "wait",       "observes", "told",
                                     "given",  "knows",      "update",     "remember",   "readings", "correct",
                                     "decide", "look",       "moves",      "safe",       "limits",   "rewards",
                                     "pareto", "quantities", "confidence", "evaluations"};
  const dpi_yaml *map = dpi_yaml_get(doc->root, "twin");
  const char *folder = "";
  p->twin.draws = 300;
  p->twin.proposals = 1200;
  if (map) {
    DP_TRY(dpi_yaml_known(doc, map, "twin", keys, DPI_COUNT(keys)));
    DP_TRY(dpi_yaml_string(doc, map, "kind", "", &folder));
    const bool moves = dpi_yaml_get(map, "moves") != NULL;
    for (int i = 4; i < DPI_COUNT(keys) && !moves; i++)
      if (dpi_yaml_get(map, keys[i])) return wrong(doc, dpi_yaml_get(map, keys[i]), keys[i], "it only beside `moves`");
    DP_TRY(dpi_yaml_int(doc, map, "draws", moves ? 64 : 300, moves ? 10 : 100, most_draws, &p->twin.draws));
    DP_TRY(dpi_yaml_int(doc, map, "proposals", moves ? 4000 : 4 * p->twin.draws, 100, 10 * most_draws,
                        &p->twin.proposals));
    DP_TRY(dpi_policy_yaml_quantity(doc, map, "wait", p->kind->time_unit, 0, &p->twin.wait));
    if (!(p->twin.wait >= 0 && p->twin.wait <= 4e9)) return wrong(doc, map, "wait", "a time from 0 to 4e9 units");
  }
  if (*folder) {
    const char *path = dpi_policy_path(&p->arena, p->folder, folder);
    if (!path) return DP_ERR_MEMORY;
    DP_TRY(dp_kind_load(p->ctx, path, &p->twin.kind));
    if (strcmp(p->twin.kind->time_unit, p->kind->time_unit) != 0)
      return wrong(doc, map, "kind", "a kind that counts time in the same unit");
  }
  return map && dpi_yaml_get(map, "moves") ? dpi_horizon_read(p, doc, map) : find_rows(p, doc);
}

/* ---- one person ---- */

struct dpi_twin_session {
  const dp_policy *policy;
  dpi_horizon *horizon; /* with moves: all the rest is empty */
  const dp_kind *kind;
  dp_prior *prior;
  char *id;
  double *covariate; /* [nperson] */
  uint64_t seed;
  dp_event *event;
  int nevent, cap;
  double last, amount; /* time of the last dose, -INFINITY: none yet; how much it was */
  int step;
};

dp_status dpi_twin_policy_open(const dp_policy *policy, const dp_policy_person *person, dpi_twin_session **out) {
  dp_ctx *ctx = policy->ctx;
  dpi_twin_session *s = DPI_NEW(ctx, dpi_twin_session);
  *out = NULL;
  if (!s) return DP_ERR_MEMORY;
  s->policy = policy;
  s->kind = twin_kind(policy);
  s->seed = person->seed ^ (person->stream * 0x9E3779B97F4A7C15u);
  s->last = -INFINITY;
  if (policy->twin.horizon) {
    const dp_status opened = dpi_horizon_open(policy, person, &s->horizon);
    if (opened == DP_OK)
      *out = s;
    else
      dpi_twin_policy_close(s);
    return opened;
  }
  s->id = DPI_NEW_ARRAY(ctx, char, strlen(person->id) + 1);
  s->covariate = DPI_NEW_ARRAY(ctx, double, policy->desc.nperson + 1);
  dp_status status = s->id && s->covariate ? dp_prior_nominal(s->kind, &s->prior) : DP_ERR_MEMORY;
  if (status != DP_OK) {
    dpi_twin_policy_close(s);
    return status;
  }
  strcpy(s->id, person->id);
  for (int i = 0; i < policy->desc.nperson; i++) s->covariate[i] = person->value[i];
  *out = s;
  return DP_OK;
}

void dpi_twin_policy_close(dpi_twin_session *s) {
  if (!s) return;
  dp_ctx *ctx = s->policy->ctx;
  dpi_horizon_close(s->horizon);
  dp_prior_destroy(s->prior);
  dpi_free(ctx, s->id);
  dpi_free(ctx, s->covariate);
  dpi_free(ctx, s->event);
  dpi_free(ctx, s);
}

/* ---- the record so far ---- */

static dp_status add_event(dpi_twin_session *s, double time, int evid, double amount, double value) {
  const dpi_kind_observable *o = &s->kind->observable[s->policy->twin.observable];
  DP_TRY(dpi_grow(s->policy->ctx, (void **)&s->event, &s->cap, s->nevent + 1, sizeof *s->event));
  dp_event *e = &s->event[s->nevent++];
  *e = (dp_event){.time = (dp_time)floor(time * (double)DP_TICKS + 0.5),
                  .evid = evid,
                  .amount = amount,
                  .value = value,
                  .dvid = "",
                  .limit = NAN,
                  .line = s->nevent,
                  .covariate = s->covariate};
  e->missing = evid != 0;
  const dpi_kind_control *c = &s->kind->control[s->policy->twin.control];
  if (evid == 1) e->rate = c->model_duration ? DP_DURATION_MODEL : c->model_rate ? DP_RATE_MODEL : 0;
  e->compartment = evid == 1 ? s->kind->control[s->policy->twin.control].compartment : 0;
  if (evid != 0) return DP_OK;
  e->dvid = o->dvid ? o->dvid : "";
  e->compartment = o->compartment;
  return DP_OK;
}

/* ---- a decision ---- */

bool dpi_twin_of_the_data(dp_status status) {
  return status == DP_ERR_INPUT || status == DP_ERR_NUMERIC || status == DP_ERR_CONVERGE ||
         status == DP_ERR_UNSUPPORTED;
}

typedef struct thought {
  const char *stage; /* what is being done, for messages */
  dp_belief *belief, *fresh;
  dp_patient *patient;
  dp_advice *advice;
} thought;

static dp_status think(dpi_twin_session *s, double now, thought *w) {
  const dp_policy *p = s->policy;
  const dp_subject subject = {s->id, s->event, s->nevent};
  const dp_record record = {.source = "what was read and given",
                            .covariate_id = p->desc.person,
                            .ncovariate = p->desc.nperson,
                            .subject = &subject,
                            .nsubject = 1};
  dp_assimilate_def def = dp_assimilate_def_default();
  dp_plan_def search = dp_plan_def_default();
  def.ndraw = p->twin.draws;
  def.nproposal = p->twin.proposals;
  def.seed = s->seed + 2 * (uint64_t)s->step;
  w->stage = "belief";
  DP_TRY(dp_assimilate(s->kind, &record, 0, now, s->prior, &def, &w->belief));
  def.seed++;
  DP_TRY(dp_assimilate(s->kind, &record, 0, now, s->prior, &def, &w->fresh));
  DP_TRY(dp_patient_create(s->kind, &record, 0, s->prior, now, w->belief, w->fresh, &w->patient));
  search.seed = s->seed;
  w->stage = "search of plans";
  return dp_plan_search(s->kind, dp_patient_look(w->patient), &search, &w->advice);
}

/* Is it the duration that the control gives its doses by itself? */
static bool own_duration(const dpi_twin_session *s, double duration) {
  const dpi_kind_control *c = &s->kind->control[s->policy->twin.control];
  const char *text = s->kind->sim_def.control[c->sim_control].duration;
  double own;
  return text && dpi_parse_double(text, &own) && fabs(own - duration) <= 1e-9 * own;
}

/* What the plan gives from now until the next decision; a regimen when it is due. NAN: what can't be given at once. */
static double gives_now(const dpi_twin_session *s, const dp_plan *plan, double now) {
  double sum = 0;
  for (int i = 0; i < plan->nrow; i++) {
    const dp_plan_row *row = &plan->row[i];
    if (row->control != s->policy->twin.control) continue;
    if (row->duration > 0 && !own_duration(s, row->duration)) return NAN;
    if (row->steady && row->interval > 0) {
      if (row->interval < s->policy->desc.every * (1 - 1e-9)) return NAN; /* its doses would come too rarely */
      /* the last dose lasts as long as it takes to use it up at this regimen's rate: when regimens of one daily dose
       * take
       * turns, the daily dose stays; to the nearest decision */
      const double lasts = isfinite(s->last) && row->amount > 0 ? s->amount / (row->amount / row->interval) : 0;
      if (now - s->last > lasts - s->policy->desc.every * (0.5 - 1e-9)) sum += row->amount;
      continue;
    }
    for (int k = 0; k <= row->repeats; k++)
      if (row->time + k * row->interval < s->policy->desc.every * (1 - 1e-9)) sum += row->amount;
  }
  return sum;
}

dp_status dpi_twin_policy_step(dpi_twin_session *s, const dp_policy_input *in, double *give, bool *good,
                               char reason[160]) {
  thought w = {0};
  *good = false;
  if (s->horizon) return *good = true, dpi_horizon_step(s->horizon, in, give, reason);
  give[0] = NAN;
  if (!s->nevent)
    DP_TRY(add_event(s, in->time, 2, 0, NAN)); /* the person's numbers, before anything is known */
  else if (isfinite(in->read[0]))
    DP_TRY(add_event(s, in->time, 0, 0, in->read[0]));
  s->step++;
  if (in->time < s->policy->twin.wait) return DP_OK; /* as intended: no reason */
  dp_status status = think(s, in->time, &w);
  if (status == DP_OK && w.advice->chosen < 0) {
    const dp_advice *a = w.advice; /* the limit that stands in the way, where there is one: the whole reason is long */
    const bool binds = a->binding[0] != 0;
    snprintf(reason, 160, "no plan%s: %.130s", binds ? " holds every limit" : "", binds ? a->binding : a->reason);
  } else if (status == DP_OK) {
    give[0] = gives_now(s, w.advice->plan[w.advice->chosen], in->time);
    *good = isfinite(give[0]);
    if (!*good)
      snprintf(reason, 160, "the chosen plan has an infusion, or doses more often than decisions: '%.60s'",
               w.advice->candidate[w.advice->chosen].text);
  } else if (dpi_twin_of_the_data(status)) {
    snprintf(reason, 160, "the %s failed: %.120s", w.stage, dp_ctx_error(s->policy->ctx));
    dp_ctx_clear_error(s->policy->ctx);
    status = DP_OK;
  }
  dp_advice_destroy(w.advice);
  dp_patient_destroy(w.patient);
  dp_belief_destroy(w.fresh);
  dp_belief_destroy(w.belief);
  return status;
}

dp_status dpi_twin_policy_given(dpi_twin_session *s, double time, double amount) {
  if (s->horizon || !(amount > 0)) return DP_OK; /* moves: it knows */
  s->last = time;
  s->amount = amount;
  return add_event(s, time, 1, amount, NAN);
}
