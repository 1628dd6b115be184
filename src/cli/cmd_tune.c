/* cmd_tune.c - doppel tune FILE --patient ID: a person's settings of a rule of therapy, tuned on their twin; or that
 * the present ones are kept, and why. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

enum { MOST_SET = 32, MOST_SETTING = 8 };

const cli_option cli_options_tune[] = {
    CLI_PATIENT_OPTION,
    {"--until", "TIME", "now: what was measured and given up to this time is known (the kind's)"},
    {"--set", "NAME=VALUE",
     "a present number of the person that the record does not have, or that counts instead; several"},
    {"--draws", "N", "draws of what is believed (1000)"},
    {"--seed", "N", "seed of all random streams (1)"},
    CLI_PRIORS_OPTION,
    CLI_KIND_LAST_OPTIONS,
    {0}};

typedef struct tuning {
  cli_call *call;
  dp_tune *tune;
  const dp_tune_desc *d;
  dp_record *record;
  int subject;
  dp_prior *prior;
  dp_belief *belief;
  double until;
  long long seed, draws;
  int nset;
  dp_tune_number set[MOST_SET];
  char name[MOST_SET][64];
  dp_tune_result *r;
} tuning;

static void progress(void *user, double done) {
  (void)user;
  if (isatty(2)) fprintf(stderr, "\r%3.0f %%%s", 100 * done, done >= 1 ? "\n" : "");
}

/* ---- text ---- */

static void print_terms(const tuning *u, const dp_tune_candidate *c) {
  for (int t = 0; t < u->d->nterm; t++) {
    const dp_tune_term *term = &u->d->term[t];
    const dp_tune_value *v = &c->term[t];
    char text[96];
    printf("  %-60s ", cli_clip(term->text, 92, text));
    if (term->goal == DP_TUNE_MEAN)
      printf("%+.3g", v->value);
    else
      printf("%.1f %%", 100 * v->value);
    if (term->goal == DP_TUNE_LIMIT) printf(", bound %.1f %%", 100 * (term->at_least ? v->low : v->high));
    printf("%s\n", v->holds ? "" : "  FAILS");
  }
}

static void print_candidate(const tuning *u, const char *what, const dp_tune_candidate *c, bool present) {
  char unit[64];
  printf("%-12s %s\n", what, c->text);
  for (int e = 0; e < u->d->nendpoint; e++)
    printf("  %-60s %.4g %s\n", u->d->endpoint[e].name, c->mean[e] * (u->d->endpoint[e].proportion ? 100 : 1),
           cli_unit(u->d->endpoint[e].unit, unit));
  if (!present) print_terms(u, c);
  if (!present) printf("  %-60s %.4g\n", "reward", c->verdict.reward);
  if (c->verdict.nfailed)
    printf("  %d draws have no number for some endpoint; means are over the others\n", c->verdict.nfailed);
}

static void print_names(const tuning *u, const char *what, const int *term, int n) {
  if (n == 0) return;
  printf("%s:", what);
  for (int i = 0; i < n; i++) printf("%s %s", i ? "," : "", u->d->term[term[i]].id);
  printf("\n");
}

static void print_error(const tuning *u) {
  if (u->d->drift_sd > 0)
    printf("error of the model: a drift of sd %g, forgotten in %g %s", u->d->drift_sd, u->d->drift_time,
           u->d->time_unit);
  if (u->d->change > 0)
    printf("%sa change is foretold within a factor 1 +- %g",
           u->d->drift_sd > 0 ? "; " : "error of the model: ", u->d->change);
  printf("%s\n", u->d->drift_sd > 0 || u->d->change > 0
                     ? ""
                     : "error of the model: none stated; what is said is surer than it should be");
}

static void print_text(const tuning *u) {
  const dp_tune_result *r = u->r;
  printf("%s\n%s, person %s: known until %g %s\n", u->d->title, dp_kind_title(u->d->kind),
         u->record->subject[u->subject].id, u->until, u->d->time_unit);
  cli_print_belief(u->belief);
  printf("%d candidates on %d draws, %g %s each; the best ones again on %d %s draws, other inputs and readings\n",
         r->ncandidate, r->ndraw, u->d->horizon, u->d->time_unit, r->nfresh, r->fresh_new ? "fresh" : "of the same");
  print_error(u);
  print_candidate(u, "present", &r->again[0], true);
  if (r->proposed > 0) print_candidate(u, "proposed", &r->again[r->proposed], false);
  if (r->runner_up > 0) print_candidate(u, r->proposed > 0 ? "runner-up" : "nearest", &r->again[r->runner_up], false);
  printf("%s\n", r->reason);
  if (r->proposed > 0) {
    printf("P(the rule takes the same one of those looked at again) %.2f", r->best_probability);
    if (r->runner_up > 0) printf(", P(its reward is larger than the runner-up's) %.2f", r->beats_runner_up);
    printf("\n");
    if (*u->d->approver) printf("to be approved by: %s\n", u->d->approver);
  }
  print_names(u, "what alone stands in the way of larger rewards", r->binding, r->nbinding);
  print_names(u, "limits that no candidate holds together", r->conflict, r->nconflict);
  if (r->nfailed) printf("%lld of %lld simulations failed\n", (long long)r->nfailed, (long long)r->nsimulated);
  if (r->nlimited) printf("%lld gifts were cut to their bounds\n", (long long)r->nlimited);
  if (*u->d->note) printf("%s\n", u->d->note);
  printf("Research use only; nobody was treated. seed %lld\n", u->seed);
}

/* ---- JSON ---- */

static void json_candidate(const tuning *u, const char *before, const dp_tune_candidate *c) {
  cli_json_named(before, c->text);
  printf(",\"settings\":[");
  for (int k = 0; k < u->d->nsetting; k++) {
    cli_json_named(k ? ",{\"id\":" : "{\"id\":", u->d->setting[k].id);
    cli_json_exact(",\"value\":", c->setting[k]);
    cli_json_number(",\"times\":", u->d->setting[k].relative ? c->step[k] : NAN);
    cli_json_named(",\"unit\":", u->d->setting[k].unit);
    printf("}");
  }
  printf("],\"endpoints\":[");
  for (int e = 0; e < u->d->nendpoint; e++) {
    cli_json_named(e ? ",{\"id\":" : "{\"id\":", u->d->endpoint[e].id);
    cli_json_number(",\"mean\":", c->mean[e]);
    cli_json_named(",\"unit\":", u->d->endpoint[e].proportion ? "1" : u->d->endpoint[e].unit);
    printf("}");
  }
  printf("],\"terms\":[");
  for (int t = 0; t < u->d->nterm; t++) {
    static const char *const goals[] = {"limit", "condition", "mean"};
    cli_json_named(t ? ",{\"id\":" : "{\"id\":", u->d->term[t].id);
    cli_json_named(",\"goal\":", goals[u->d->term[t].goal]);
    cli_json_number(",\"value\":", c->term[t].value);
    cli_json_number(",\"low\":", c->term[t].low);
    cli_json_number(",\"high\":", c->term[t].high);
    printf(",\"holds\":%s}", c->term[t].holds ? "true" : "false");
  }
  printf("],\"safe\":%s,\"better\":%s", c->verdict.safe ? "true" : "false", c->verdict.better ? "true" : "false");
  cli_json_number(",\"reward\":", c->verdict.reward);
  printf(",\"failed\":%d", c->verdict.nfailed);
}

static void json_final(const tuning *u, const char *name, int i) {
  const dp_tune_result *r = u->r;
  printf(",\n \"%s\":", name);
  if (i < 0 || !r->again) {
    printf("null");
    return;
  }
  json_candidate(u, "{\"text\":", &r->again[i]);
  cli_json_number(",\"search_reward\":", r->candidate[r->final[i]].verdict.reward);
  printf("}");
}

static void json_ids(const tuning *u, const char *name, const int *term, int n) {
  printf(",\n \"%s\":[", name);
  for (int i = 0; i < n; i++) cli_json_named(i ? "," : "", u->d->term[term[i]].id);
  printf("]");
}

static void print_json(const tuning *u) {
  static const char *const outcomes[] = {"proposed", "keep", "no safe setting", "unfit"};
  const dp_tune_result *r = u->r;
  cli_json_named("{\"tune\":", u->d->title);
  cli_json_named(",\"kind\":", dp_kind_id(u->d->kind));
  cli_json_named(",\"patient\":", u->record->subject[u->subject].id);
  cli_json_named(",\"time_unit\":", u->d->time_unit);
  cli_json_number(",\"now\":", u->until);
  cli_json_number(",\"horizon\":", u->d->horizon);
  cli_json_number(",\"run_in\":", u->d->run_in);
  printf(",\"seed\":%lld", u->seed);
  cli_json_belief(u->belief);
  cli_json_number(",\n \"model_error\":{\"drift_sd\":", u->d->drift_sd);
  cli_json_number(",\"drift_timescale\":", u->d->drift_time);
  cli_json_number(",\"change\":", u->d->change);
  printf("},\n \"search_draws\":%d,\"fresh_draws\":%d,\"fresh_are_new\":%s", r->ndraw, r->nfresh,
         r->fresh_new ? "true" : "false");
  cli_json_number(",\"effective_draws\":", r->effective);
  cli_json_number(",\"effective_fresh_draws\":", r->effective_fresh);
  printf(",\"simulations\":%lld,\"failed\":%lld,\"limited\":%lld", (long long)r->nsimulated, (long long)r->nfailed,
         (long long)r->nlimited);
  cli_json_number(",\"confidence\":", u->d->confidence);
  cli_json_named(",\n \"outcome\":", outcomes[r->outcome]);
  cli_json_named(",\"reason\":", r->reason);
  cli_json_named(",\"approver\":", u->d->approver);
  json_final(u, "present", r->again ? 0 : -1);
  json_final(u, "proposed", r->proposed);
  json_final(u, "runner_up", r->runner_up);
  cli_json_number(",\n \"probability_best\":", r->best_probability);
  cli_json_number(",\"probability_beats_runner_up\":", r->beats_runner_up);
  json_ids(u, "binding", r->binding, r->nbinding);
  json_ids(u, "conflict", r->conflict, r->nconflict);
  printf(",\n \"candidates\":[");
  for (int c = 0; c < r->ncandidate; c++) {
    json_candidate(u, c ? ",\n  {\"text\":" : "\n  {\"text\":", &r->candidate[c]);
    printf("}");
  }
  cli_json_named("],\n \"tuning_hash\":", u->d->hash);
  cli_json_named(",\"hash\":", r->hash);
  printf("}\n");
}

/* ---- the work ---- */

static int read_set(tuning *u) {
  cli_call *call = u->call;
  for (int i = cli_each(call, "--set", -1); i >= 0; i = cli_each(call, "--set", i)) {
    const char *text = call->given[i].value, *equals = strchr(text, '=');
    const size_t n = equals ? (size_t)(equals - text) : 0;
    char *end = NULL;
    if (u->nset == MOST_SET) return cli_usage(call, "option --set: at most %d", MOST_SET);
    if (n < 1 || n >= sizeof u->name[0] || !equals[1])
      return cli_usage(call, "option --set: found '%s', expected NAME=VALUE", text);
    snprintf(u->name[u->nset], sizeof u->name[0], "%.*s", (int)n, text);
    const double value = strtod(equals + 1, &end);
    if (*end || !isfinite(value)) return cli_usage(call, "option --set: found '%s', expected a number", equals + 1);
    u->set[u->nset] = (dp_tune_number){u->name[u->nset], value};
    u->nset++;
  }
  return 0;
}

static int read_numbers(tuning *u) {
  u->seed = 1;
  u->draws = 1000;
  u->until = NAN;
  const int code = cli_belief_options(u->call, &u->seed, &u->draws, &u->until);
  if (code) return code;
  if (u->until < 0) return cli_usage(u->call, "option --until: found %g, expected a time from 0 on", u->until);
  if (!cli_has(u->call, "--patient")) return cli_no_person(u->call);
  return read_set(u);
}

static int rehearse(tuning *u) {
  cli_call *call = u->call;
  const dp_assimilate_def belief = cli_belief_def(u->seed, u->draws);
  dp_tune_def def = dp_tune_def_default();
  if (isnan(u->until)) u->until = dp_kind_until(u->d->kind);
  int code = cli_own_prior(call, u->d->kind, u->d->kind_folder, &u->record, &u->subject, &u->prior);
  if (code) return code;
  dp_tune_person person = {u->record, u->subject, u->until, u->prior, NULL};
  double present[MOST_SETTING];
  def.seed = (uint64_t)u->seed;
  def.nset = u->nset;
  def.set = u->set;
  def.progress = progress;
  CLI_TRY(call, dp_tune_present(u->tune, &person, &def, present)); /* what is missing is said before the work */
  CLI_TRY(call, dp_assimilate(u->d->kind, u->record, u->subject, u->until, u->prior, &belief, &u->belief));
  person.belief = u->belief;
  CLI_TRY(call, dp_tune_run(u->tune, &person, &def, &u->r));
  return 0;
}

static int answer(const tuning *u) {
  if (cli_has(u->call, "--json")) print_json(u);
  if (u->r->outcome == DP_TUNE_UNFIT) {
    fprintf(stderr, "doppel: %s\n", u->r->reason);
    return dp_status_exit_code(DP_ERR_CONVERGE);
  }
  if (!cli_has(u->call, "--json")) print_text(u);
  return u->r->nfailed ? dp_status_exit_code(DP_ERR_CONVERGE) : 0;
}

int cmd_tune(cli_call *call) {
  static tuning u;
  const char *dirs[8];
  if (call->nplain != 1) return cli_usage(call, "tune needs one TUNING.yaml, found %d", call->nplain);
  u = (tuning){.call = call};
  int code = read_numbers(&u);
  if (code) return code;
  const int ndir = cli_kind_dirs(call, dirs);
  const dp_status status = dp_tune_read(call->ctx, call->plain[0], dirs, ndir, &u.tune);
  if (status != DP_OK) return cli_failed(call, status);
  u.d = dp_tune_describe(u.tune);
  code = rehearse(&u);
  if (!code) code = answer(&u);
  dp_tune_result_destroy(u.r);
  dp_belief_destroy(u.belief);
  dp_prior_destroy(u.prior);
  dp_record_destroy(u.record);
  dp_tune_destroy(u.tune);
  return code;
}
