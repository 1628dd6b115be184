/* cmd_gain.c - doppel gain KIND --patient ID: which measurement would narrow a forecast of this person most. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

const cli_option cli_options_gain[] = {
    {"--patient", "FILE|ID",
     "an event table of one's own with one person, or the id of one person of the kind's record"},
    {"--forecast", "OBSERVABLE@TIME", "what is to be known better: an observable, without measurement error"},
    {"--candidate", "OBSERVABLE@T,T,...", "measurements that could be made; may be repeated"},
    {"--until", "TIME", "what is known now: samples up to this time (the kind's)"},
    {"--draws", "N", "draws of the belief (2000)"},
    {"--seed", "N", "seed of all random streams (1)"},
    {"--priors", "FILE", "stored leave-one-out priors; used only where their hash matches (KIND/priors.tsv)"},
    {"--json", NULL, "one JSON object"},
    {"--threads", "N", "threads; results do not depend on it"},
    {"--twins", "DIR", "a further folder with kinds"},
    {0}};

enum { MOST_CANDIDATES = 1000 };

typedef struct task {
  cli_call *call;
  dp_kind *kind;
  dp_record *record;
  dp_prior *prior;
  dp_belief *belief;
  int subject;
  double until;
  long long seed, draws;
  dp_gain_place forecast, candidate[MOST_CANDIDATES];
  int ncandidate, nword;
  char word[CLI_MAX_GIVEN][64];
  dp_gain_outlook outlook;
  dp_gain gain[MOST_CANDIDATES];
} task;

/* ---- options ---- */

/* OBSERVABLE@T,T,... into places; most: how many are allowed. */
static int read_places(task *t, const char *option, const char *text, dp_gain_place *place, int *n, int most) {
  const char *at = strrchr(text, '@');
  char *word = t->word[t->nword], *end;
  if (!at || at == text || at - text >= (int)sizeof t->word[0])
    return cli_usage(t->call, "option %s: found '%s', expected OBSERVABLE@TIME", option, text);
  snprintf(word, sizeof t->word[0], "%.*s", (int)(at - text), text);
  t->nword++;
  for (const char *p = at + 1;; p = end + 1) {
    double time = strtod(p, &end);
    if (end == p || !isfinite(time) || (*end && *end != ','))
      return cli_usage(t->call, "option %s: found '%s', expected OBSERVABLE@TIME", option, text);
    if (*n >= most) return cli_usage(t->call, "option %s: at most %d", option, most);
    place[(*n)++] = (dp_gain_place){word, time};
    if (!*end) return 0;
  }
}

static int read_options(task *t) {
  cli_call *call = t->call;
  int one = 0;
  t->seed = 1;
  t->draws = 2000;
  t->until = NAN;
  if (!cli_integer(call, "--seed", &t->seed) || !cli_integer(call, "--draws", &t->draws) ||
      !cli_number(call, "--until", &t->until))
    return 2;
  if (t->draws < 100 || t->draws > 100000)
    return cli_usage(call, "option --draws: found %lld, expected 100 to 100000", t->draws);
  if (!cli_has(call, "--patient")) return cli_no_person(call);
  if (!cli_has(call, "--forecast") || !cli_has(call, "--candidate"))
    return cli_usage(call, "give --forecast OBSERVABLE@TIME and --candidate OBSERVABLE@T,T,...");
  int code = read_places(t, "--forecast", cli_get(call, "--forecast"), &t->forecast, &one, 1);
  for (int i = cli_each(call, "--candidate", -1); i >= 0 && !code; i = cli_each(call, "--candidate", i))
    code = read_places(t, "--candidate", call->given[i].value, t->candidate, &t->ncandidate, MOST_CANDIDATES);
  return code;
}

/* ---- the person ---- */

static int find_person(task *t, const char *dir) {
  dp_study *study = NULL;
  int code = cli_person(t->call, t->kind, dir, &t->record, &study);
  if (code) return code;
  t->subject = study->subject[0];
  dp_status status = dp_prior_copy(study->prior[0], &t->prior);
  dp_study_destroy(study);
  return status == DP_OK ? 0 : cli_failed(t->call, status);
}

static int believe(task *t) {
  dp_assimilate_def def = dp_assimilate_def_default();
  def.seed = (uint64_t)t->seed;
  def.ndraw = (int)t->draws;
  if (t->draws > 1000) def.nproposal = (int)(4 * t->draws);
  def.discrepancy = 0;
  if (isnan(t->until)) t->until = dp_kind_until(t->kind);
  for (int k = 0; k < t->ncandidate; k++)
    if (t->candidate[k].time <= t->until)
      return cli_usage(t->call, "option --candidate: %s at %g has passed: what is known reaches to %g",
                       t->candidate[k].observable, t->candidate[k].time, t->until);
  CLI_TRY(t->call, dp_assimilate(t->kind, t->record, t->subject, t->until, t->prior, &def, &t->belief));
  CLI_TRY(t->call, dp_gain_kind(t->kind, t->record, t->subject, t->prior, t->belief, &t->forecast, t->candidate,
                                t->ncandidate, (uint64_t)t->seed, &t->outlook, t->gain));
  return 0;
}

/* ---- the answer ---- */

static double narrowing(const dp_gain *g) { return g->usable ? g->narrowing : g->linear_narrowing; }

/* Best first; equal ones by place. */
static void rank(const task *t, int *order) {
  for (int k = 0; k < t->ncandidate; k++) {
    int at = k;
    for (; at > 0 && narrowing(&t->gain[order[at - 1]]) < narrowing(&t->gain[k]); at--) order[at] = order[at - 1];
    order[at] = k;
  }
}

static void print_json(const task *t) {
  printf("{\"patient\":");
  cli_json_text(t->record->subject[t->subject].id);
  printf(",\"forecast\":");
  cli_json_text(t->forecast.observable);
  cli_json_number(",\"time\":", t->forecast.time);
  cli_json_number(",\"known_until\":", t->until);
  cli_json_number(",\"mean\":", t->outlook.mean);
  cli_json_number(",\"sd\":", t->outlook.sd);
  printf(",\"draws\":%d,\"failed\":%d,\"usable\":%s,\"candidates\":[", t->outlook.ndraw, t->outlook.nfailed,
         t->belief->usable ? "true" : "false");
  for (int k = 0; k < t->ncandidate; k++) {
    const dp_gain *g = &t->gain[k];
    printf("%s\n{\"observable\":", k ? "," : "");
    cli_json_text(t->candidate[k].observable);
    cli_json_number(",\"time\":", t->candidate[k].time);
    cli_json_number(",\"narrowing\":", g->narrowing);
    cli_json_number(",\"narrowing_se\":", g->narrowing_se);
    cli_json_number(",\"information\":", g->information);
    cli_json_number(",\"information_se\":", g->information_se);
    cli_json_number(",\"linear_narrowing\":", g->linear_narrowing);
    cli_json_number(",\"linear_information\":", g->linear_information);
    cli_json_number(",\"ess\":", g->ess);
    printf(",\"usable\":%s}", g->usable ? "true" : "false");
  }
  printf("]}\n");
}

static void print_table(const task *t) {
  static int order[MOST_CANDIDATES];
  const char *unit = dp_kind_time_unit(t->kind);
  rank(t, order);
  printf("person %s, known until %g %s: %s at %g %s is expected at %.4g, uncertain by %.3g (one deviation)\n",
         t->record->subject[t->subject].id, t->until, unit, t->forecast.observable, t->forecast.time, unit,
         t->outlook.mean, t->outlook.sd);
  printf("\n%-24s %22s %16s %20s\n", "measure", "uncertainty then", "narrower by", "information (nat)");
  for (int k = 0; k < t->ncandidate; k++) {
    const dp_gain *g = &t->gain[order[k]];
    const dp_gain_place *p = &t->candidate[order[k]];
    double share = narrowing(g), left = 1 - share, sd = t->outlook.sd * sqrt(fmax(left, 0));
    char what[96], narrow[40], know[40];
    snprintf(what, sizeof what, "%s at %g %s", p->observable, p->time, unit);
    if (g->usable) { /* of the deviation: d sqrt(1 - v) = dv / 2 sqrt(1 - v) */
      snprintf(narrow, sizeof narrow, "%.1f +- %.1f %%", 100 * (1 - sqrt(fmax(left, 0))),
               100 * g->narrowing_se / (2 * sqrt(fmax(left, 1e-6))));
      snprintf(know, sizeof know, "%.3f +- %.3f", g->information, g->information_se);
    } else {
      snprintf(narrow, sizeof narrow, "%.1f %% (linear)", 100 * (1 - sqrt(fmax(left, 0))));
      snprintf(know, sizeof know, "%.3f (linear)", g->linear_information);
    }
    printf("%-24s %22.4g %16s %20s\n", what, sd, narrow, know);
  }
  printf("\nuncertainty then: the forecast's deviation to be expected after the measurement; +- one standard error.\n");
  const dp_gain *best = &t->gain[order[0]];
  double much = 1 - sqrt(fmax(1 - narrowing(best), 0));
  if (much < 0.01)
    printf("None of these would narrow the forecast by as much as 1 %%.\n");
  else
    printf("Measure %s at %g %s: it would narrow the forecast most.\n", t->candidate[order[0]].observable,
           t->candidate[order[0]].time, unit);
}

static int answer(task *t) {
  cli_has(t->call, "--json") ? print_json(t) : print_table(t);
  if (t->outlook.nfailed)
    fprintf(stderr, "doppel: %d of %d draws could not be simulated and are left out\n", t->outlook.nfailed,
            t->outlook.ndraw);
  if (t->belief->usable) return 0;
  fprintf(stderr, "doppel: the belief is NOT fit for use: %s\n", t->belief->verdict);
  return dp_status_exit_code(DP_ERR_CONVERGE);
}

int cmd_gain(cli_call *call) {
  static task t;
  char dir[1024];
  t.call = call;
  if (call->nplain != 1) return cli_usage(call, "gain needs one KIND, found %d", call->nplain);
  int code = read_options(&t);
  if (!code) code = cli_kind_dir(call, call->plain[0], dir);
  if (code) return code;
  CLI_TRY(call, dp_kind_load(call->ctx, dir, &t.kind));
  code = find_person(&t, dir);
  if (!code) code = believe(&t);
  if (!code) code = answer(&t);
  dp_belief_destroy(t.belief);
  dp_prior_destroy(t.prior);
  dp_record_destroy(t.record);
  dp_kind_destroy(t.kind);
  return code;
}
