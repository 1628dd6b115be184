/* whatif_person.c - floor 9: see whatif_person.h. */
#include "cli/whatif_person.h"

#include <math.h>
#include <string.h>

static int read_numbers(cli_call *call, cli_whatif *w) {
  w->seed = 1;
  w->draws = 1000;
  w->until = NAN;
  const int code = cli_belief_options(call, &w->seed, &w->draws, &w->until);
  if (code) return code;
  if (w->until < 0) return cli_usage(call, "option --until: found %g, expected a time from 0 on", w->until);
  return cli_has(call, "--patient") ? 0 : cli_no_person(call);
}

/* "none": nothing more is given. */
static dp_status read_plan(const cli_whatif *w, const char *path, dp_plan **out) {
  if (strcmp(path, "none") != 0) return dp_plan_read(w->kind, path, out);
  const dp_status status = dp_plan_create(w->call->ctx, 0, out);
  if (status == DP_OK) snprintf((*out)->name, sizeof (*out)->name, "none");
  return status;
}

static int read_plans(cli_whatif *w) {
  cli_call *call = w->call;
  for (int i = cli_each(call, "--plan", -1); i >= 0; i = cli_each(call, "--plan", i)) {
    if (w->nplan == CLI_MOST_PLANS) return cli_usage(call, "option --plan: at most %d", CLI_MOST_PLANS);
    CLI_TRY(call, read_plan(w, call->given[i].value, &w->plan[w->nplan]));
    w->nplan++;
    CLI_TRY(call, dp_plan_check(w->kind, w->plan[w->nplan - 1], w->until));
  }
  return 0;
}

/* Few plans are scored on fresh draws, and what is stated is stated there: more of them cost little. */
static int fresh_draws(long long draws) {
  const long long more = draws < 2000 ? 4 * draws : 8000;
  return (int)(draws > more ? draws : more);
}

static int believe(cli_whatif *w, bool fresh) {
  dp_assimilate_def def = cli_belief_def(w->seed, w->draws);
  CLI_TRY(w->call, dp_assimilate(w->kind, w->record, w->subject, w->until, w->prior, &def, &w->belief));
  if (!fresh) return 0;
  def.seed++;
  def.ndraw = fresh_draws(w->draws);
  if (def.nproposal < 2 * def.ndraw) def.nproposal = 2 * def.ndraw;
  CLI_TRY(w->call, dp_assimilate(w->kind, w->record, w->subject, w->until, w->prior, &def, &w->fresh));
  return 0;
}

int cli_whatif_open(cli_call *call, cli_whatif *w, bool fresh) {
  char dir[1024];
  *w = (cli_whatif){.call = call};
  int code = read_numbers(call, w);
  if (!code) code = cli_kind_dir(call, call->plain[0], dir);
  if (code) return code;
  CLI_TRY(call, dp_kind_load(call->ctx, dir, &w->kind));
  if (isnan(w->until)) w->until = dp_kind_until(w->kind);
  if (fresh && dp_kind_nterm(w->kind) == 0)
    return cli_usage(call, "kind '%s' has no reward: nothing says which plan is good (reward.yaml)",
                     dp_kind_id(w->kind));
  code = read_plans(w);
  if (!code) code = cli_own_prior(call, w->kind, dir, &w->record, &w->subject, &w->prior);
  if (!code) code = believe(w, fresh);
  if (code) return code;
  CLI_TRY(call,
          dp_patient_create(w->kind, w->record, w->subject, w->prior, w->until, w->belief, w->fresh, &w->patient));
  for (int i = 0; i < w->nplan; i++) CLI_TRY(call, dp_plan_check_for(w->kind, w->plan[i], dp_patient_look(w->patient)));
  return 0;
}

int cli_whatif_unfit(const cli_whatif *w) {
  if (w->belief->usable) return 0;
  fprintf(stderr, "doppel: no proposal: what is believed of this person is NOT fit for use: %s\n", w->belief->verdict);
  return dp_status_exit_code(DP_ERR_CONVERGE);
}

void cli_whatif_close(cli_whatif *w) {
  dp_patient_destroy(w->patient);
  for (int i = 0; i < w->nplan; i++) dp_plan_destroy(w->plan[i]);
  dp_belief_destroy(w->belief);
  dp_belief_destroy(w->fresh);
  dp_prior_destroy(w->prior);
  dp_record_destroy(w->record);
  dp_kind_destroy(w->kind);
}
