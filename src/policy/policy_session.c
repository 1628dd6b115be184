/* policy_session.c - floor 7: one person's controller, whatever its kind; when it fails, its fallback from then on.
 *
 * States: whole -> (an incident) -> fallback, never back. The fallback begins where it takes over, with its state as
 * its file
 * has it; it fails the step itself, as nothing else is left.
 */
#include "policy/policy_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { most_incidents = 20 };

struct dp_policy_session {
  const dp_policy *policy;
  dpi_rule_session *rule;
  dpi_process *process;
  dpi_twin_session *twin;
  void *library;
  bool failed;
  dp_policy_session *fallback;
  char *id;
  double *value; /* [nperson] */
  uint64_t seed, stream;
  double *read, *announce, *give, *person; /* of the fallback */
  int nincident; /* kept */
  int64_t nnoted;
  dp_policy_incident incident[most_incidents];
};

/* ---- incidents ---- */

static void note(dp_policy_session *s, double time, const char *reason) {
  s->nnoted++;
  if (s->nincident == most_incidents) return;
  dp_policy_incident *i = &s->incident[s->nincident++];
  i->time = time;
  snprintf(i->reason, sizeof i->reason, "%s", reason);
}

static void stop(dp_policy_session *s, double time, const char *reason) {
  note(s, time, reason);
  s->failed = true;
  dpi_process_close(s->process);
  s->process = NULL;
  if (s->library) s->policy->table->close(s->library);
  s->library = NULL;
}

/* ---- open ---- */

static dp_status start(dp_policy_session *s, const dp_policy_person *person) {
  const dp_policy *p = s->policy;
  char reason[160] = "";
  switch (p->desc.kind) {
    case DP_POLICY_RULE:
      return dpi_rule_open(p, person->value, &s->rule);
    case DP_POLICY_PROCESS:
      DP_TRY(dpi_process_open(p, person, &s->process, reason));
      if (!s->process) stop(s, 0, reason);
      return DP_OK;
    case DP_POLICY_LIBRARY:
      s->library = p->table->open(&p->desc, person, p->rule.value, p->rule.nparameter);
      if (!s->library) stop(s, 0, "the library made no controller");
      return DP_OK;
    case DP_POLICY_TWIN:
      return dpi_twin_policy_open(p, person, &s->twin);
    case DP_POLICY_PLAN:
      break;
  }
  return dpi_fail(p->ctx, DP_ERR_USAGE, "%s: a plan is given as it stands and asks nobody", p->desc.source);
}

static dp_status make_room(dp_policy_session *s, const dp_policy_person *person) {
  const dp_policy *p = s->policy;
  dp_ctx *ctx = p->ctx;
  s->id = DPI_NEW_ARRAY(ctx, char, strlen(person->id) + 1);
  s->value = DPI_NEW_ARRAY(ctx, double, p->desc.nperson + 1);
  s->seed = person->seed;
  s->stream = person->stream;
  if (!s->id || !s->value) return DP_ERR_MEMORY;
  strcpy(s->id, person->id);
  for (int i = 0; i < p->desc.nperson; i++) s->value[i] = person->value[i];
  if (!p->fallback) return DP_OK;
  const dp_policy_desc *f = &p->fallback->desc;
  s->read = DPI_NEW_ARRAY(ctx, double, f->nread + 1);
  s->announce = DPI_NEW_ARRAY(ctx, double, f->nannounce + 1);
  s->give = DPI_NEW_ARRAY(ctx, double, f->ngive + 1);
  s->person = DPI_NEW_ARRAY(ctx, double, f->nperson + 1);
  return s->read && s->announce && s->give && s->person ? DP_OK : DP_ERR_MEMORY;
}

dp_status dp_policy_open(const dp_policy *policy, const dp_policy_person *person, dp_policy_session **out) {
  *out = NULL;
  dp_policy_session *s = DPI_NEW(policy->ctx, dp_policy_session);
  if (!s) return DP_ERR_MEMORY;
  s->policy = policy;
  dp_status status = make_room(s, person);
  if (status == DP_OK) status = start(s, person);
  if (status == DP_OK)
    *out = s;
  else
    dp_policy_close(s);
  return status;
}

/* ---- step ---- */

static dp_status step_fallback(dp_policy_session *s, const dp_policy_input *in, double *give) {
  const dp_policy *p = s->policy;
  const dp_policy_desc *f = &p->fallback->desc;
  if (!s->fallback) {
    for (int i = 0; i < f->nperson; i++) s->person[i] = s->value[p->fallback_person[i]];
    const dp_policy_person person = {s->id, s->person, s->seed, s->stream};
    DP_TRY(dp_policy_open(p->fallback, &person, &s->fallback));
  }
  for (int i = 0; i < f->nread; i++) s->read[i] = in->read[p->fallback_read[i]];
  for (int i = 0; i < f->nannounce; i++)
    s->announce[i] = in->announce[p->fallback_announce[i]] *
                     (p->fallback->announce_factor[i] / p->announce_factor[p->fallback_announce[i]]);
  dp_policy_input input = *in;
  input.read = s->read;
  input.announce = s->announce;
  const int before = s->fallback->nincident;
  const int64_t noted = s->fallback->nnoted;
  DP_TRY(dp_policy_step(s->fallback, &input, s->give));
  for (int i = before; i < s->fallback->nincident; i++)
    note(s, s->fallback->incident[i].time, s->fallback->incident[i].reason);
  s->nnoted += s->fallback->nnoted - noted - (s->fallback->nincident - before); /* those that it did not keep */
  for (int i = 0; i < p->desc.ngive; i++) give[i] = NAN;
  for (int i = 0; i < f->ngive; i++) give[p->fallback_give[i]] = s->give[i];
  return DP_OK;
}

/* A library's answer; false: why into reason. */
static bool step_library(dp_policy_session *s, const dp_policy_input *in, double *give, char reason[160]) {
  const dp_policy *p = s->policy;
  for (int i = 0; i < p->desc.ngive; i++) give[i] = NAN;
  if (p->table->step(s->library, in, give) != 0) {
    snprintf(reason, 160, "the library's step failed");
    return false;
  }
  for (int i = 0; i < p->desc.ngive; i++)
    if (isinf(give[i])) {
      snprintf(reason, 160, "the library gave no finite '%.80s'", p->desc.give[i]);
      return false;
    }
  return true;
}

dp_status dp_policy_step(dp_policy_session *s, const dp_policy_input *in, double *give) {
  char reason[160] = "";
  bool good = false;
  if (s->failed) return step_fallback(s, in, give);
  switch (s->policy->desc.kind) {
    case DP_POLICY_RULE:
      return dpi_rule_step(s->rule, in, give);
    case DP_POLICY_PROCESS:
      good = dpi_process_step(s->process, in, give, reason);
      break;
    case DP_POLICY_LIBRARY:
      good = step_library(s, in, give, reason);
      break;
    case DP_POLICY_TWIN:
      if (s->policy->twin.horizon) { /* the fallback gives what no move does, and all of it when there is no belief */
        DP_TRY(step_fallback(s, in, give));
        DP_TRY(dpi_twin_policy_step(s->twin, in, give, &good, reason));
        if (*reason) note(s, in->time, reason);
        return DP_OK;
      }
      DP_TRY(dpi_twin_policy_step(s->twin, in, give, &good, reason));
      if (!good) {
        if (*reason) note(s, in->time, reason); /* no advice today: the fallback decides this once */
        DP_TRY(step_fallback(s, in, give));
      }
      return dpi_twin_policy_given(s->twin, in->time, give[0]);
    case DP_POLICY_PLAN:
      break;
  }
  if (good) return DP_OK;
  stop(s, in->time, reason);
  return step_fallback(s, in, give);
}

int dp_policy_nincident(const dp_policy_session *session) { return session->nincident; }
int64_t dpi_policy_nnoted(const dp_policy_session *session) { return session->nnoted; }
const dp_policy_incident *dp_policy_incidents(const dp_policy_session *session) { return session->incident; }

void dp_policy_close(dp_policy_session *s) {
  if (!s) return;
  dp_ctx *ctx = s->policy->ctx;
  dp_policy_close(s->fallback);
  dpi_rule_close(s->rule);
  dpi_process_close(s->process);
  dpi_twin_policy_close(s->twin);
  if (s->library) s->policy->table->close(s->library);
  void *const block[] = {s->id, s->value, s->read, s->announce, s->give, s->person};
  for (int i = 0; i < DPI_COUNT(block); i++) dpi_free(ctx, block[i]);
  dpi_free(ctx, s);
}
