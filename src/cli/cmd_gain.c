/* cmd_gain.c - doppel gain KIND --patient ID, doppel gain PROBLEM.yaml: which measurement would narrow a forecast of
 * this person, or of this calibration problem, most. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/quantity.h"

const cli_option cli_options_gain[] = {
    CLI_PATIENT_OPTION,
    {"--forecast", "OBSERVABLE@TIME",
     "what is to be known better: an observable, without measurement error; of a PROBLEM also a formula, and "
     "OBSERVABLE@EXPERIMENT:TIME where it has several experiments"},
    {"--candidate", "OBSERVABLE@T,T,...",
     "measurements that could be made; may be repeated; of a PROBLEM OBSERVABLE@EXPERIMENT:T,T,..."},
    {"--until", "TIME", "what is known now: samples up to this time (the kind's; of a PROBLEM: all)"},
    {"--draws", "N", "draws of the belief (2000)"},
    {"--seed", "N", "seed of all random streams (1)"},
    CLI_PRIORS_OPTION,
    {"--rtol", "X", "PROBLEM: relative tolerance (1e-8)"},
    {"--atol", "X", "PROBLEM: absolute tolerance (1e-12)"},
    CLI_KIND_LAST_OPTIONS,
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
  /* of a calibration problem instead */
  dp_problem *problem;
  cli_quantities wanted, measurable;
  dp_assimilation_report report; /* of what is believed */
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

/* Options that would be passed over in silence. */
static int check_options(const cli_call *call) {
  static const char *const of_kind[] = {"--patient", "--priors", "--twins"};
  return cli_check_problem_options(call, of_kind, sizeof of_kind / sizeof *of_kind);
}

static int read_quantities(task *t) {
  int code = cli_read_quantities(t->call, "--forecast", &t->wanted);
  if (!code) code = cli_read_quantities(t->call, "--candidate", &t->measurable);
  t->ncandidate = t->measurable.n;
  if (!code && t->wanted.n != 1) code = cli_usage(t->call, "option --forecast: expected one, found %d", t->wanted.n);
  if (!code && t->ncandidate > MOST_CANDIDATES)
    code = cli_usage(t->call, "option --candidate: at most %d", MOST_CANDIDATES);
  return code;
}

static int read_options(task *t) {
  cli_call *call = t->call;
  const bool problem = cli_is_problem(call->plain[0]);
  int one = 0, code;
  t->seed = 1;
  t->draws = 2000;
  t->until = NAN;
  code = cli_belief_options(call, &t->seed, &t->draws, &t->until);
  if (code) return code;
  if (!problem && !cli_has(call, "--patient")) return cli_no_person(call);
  if (!cli_has(call, "--forecast") || !cli_has(call, "--candidate"))
    return cli_usage(call, "give --forecast OBSERVABLE@TIME and --candidate OBSERVABLE@T,T,...");
  if (problem) return read_quantities(t);
  code = read_places(t, "--forecast", cli_get(call, "--forecast"), &t->forecast, &one, 1);
  for (int i = cli_each(call, "--candidate", -1); i >= 0 && !code; i = cli_each(call, "--candidate", i))
    code = read_places(t, "--candidate", call->given[i].value, t->candidate, &t->ncandidate, MOST_CANDIDATES);
  return code;
}

/* ---- the person ---- */

static int believe(task *t) {
  const dp_assimilate_def def = cli_belief_def(t->seed, t->draws);
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

/* ---- the problem ---- */

/* Reads what is known now: measurements up to --until. */
static dp_status read_known(task *t, dp_assimilation *a) {
  int n;
  const dp_observation *o = dp_assimilation_record(a, &n);
  while (n > 0 && t->until < o[n - 1].time) n--;
  return n ? dp_assimilation_read(a, o, n) : DP_OK;
}

static int believe_problem(task *t) {
  cli_call *call = t->call;
  dp_problem_def def = dp_problem_def_default();
  dp_assimilation_def how = dp_assimilation_def_default();
  dp_assimilation *a = NULL;
  def.max_steps = 10000;
  if (!cli_number(call, "--rtol", &def.rtol) || !cli_number(call, "--atol", &def.atol)) return 2;
  how.seed = (uint64_t)t->seed;
  how.nparticle = how.ndraw = (int)t->draws;
  CLI_TRY(call, dp_problem_open(call->ctx, call->plain[0], &def, &t->problem));
  CLI_TRY(call, dp_assimilation_problem(t->problem, &how, &a));
  double *x = malloc((size_t)t->draws * (size_t)dp_assimilation_nparam(a) * sizeof *x);
  dp_status status = x ? read_known(t, a) : DP_ERR_MEMORY;
  if (status == DP_OK) status = dp_assimilation_draws(a, x);
  if (status == DP_OK) dp_assimilation_judge(a, &t->report);
  dp_assimilation_destroy(a);
  if (status == DP_OK)
    status = dp_gain_problem(t->problem, x, (int)t->draws, t->wanted.list, t->measurable.list, t->ncandidate,
                             (uint64_t)t->seed, &t->outlook, t->gain);
  free(x);
  return status == DP_OK ? 0 : cli_failed(call, status);
}

/* ---- the answer ---- */

static const char *candidate_name(const task *t, int k, char text[128]) {
  if (t->problem) return t->measurable.list[k].name;
  snprintf(text, 128, "%.60s at %g %.20s", t->candidate[k].observable, t->candidate[k].time,
           dp_kind_time_unit(t->kind));
  return text;
}

static bool usable(const task *t) { return t->problem ? t->report.usable : t->belief->usable; }

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
  printf(t->problem ? "{\"problem\":" : "{\"patient\":");
  cli_json_text(t->problem ? dp_problem_describe(t->problem)->name : t->record->subject[t->subject].id);
  printf(",\"forecast\":");
  cli_json_text(t->problem ? t->wanted.list[0].name : t->forecast.observable);
  if (!t->problem) cli_json_number(",\"time\":", t->forecast.time);
  cli_json_number(",\"known_until\":", t->until);
  if (t->problem) printf(",\"known\":%d", t->report.nread);
  cli_json_number(",\"mean\":", t->outlook.mean);
  cli_json_number(",\"sd\":", t->outlook.sd);
  printf(",\"draws\":%d,\"failed\":%d,\"usable\":%s,\"candidates\":[", t->outlook.ndraw, t->outlook.nfailed,
         usable(t) ? "true" : "false");
  for (int k = 0; k < t->ncandidate; k++) {
    const dp_gain *g = &t->gain[k];
    printf("%s\n{\"observable\":", k ? "," : "");
    cli_json_text(t->problem ? t->measurable.list[k].name : t->candidate[k].observable);
    if (!t->problem) cli_json_number(",\"time\":", t->candidate[k].time);
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
  const char *unit = t->problem ? "" : dp_kind_time_unit(t->kind);
  char what[128];
  rank(t, order);
  if (t->problem)
    printf("%s, %d measurements known: %s is expected at %.4g, uncertain by %.3g (one deviation)\n",
           dp_problem_describe(t->problem)->name, t->report.nread, t->wanted.list[0].name, t->outlook.mean,
           t->outlook.sd);
  else
    printf("person %s, known until %g %s: %s at %g %s is expected at %.4g, uncertain by %.3g (one deviation)\n",
           t->record->subject[t->subject].id, t->until, unit, t->forecast.observable, t->forecast.time, unit,
           t->outlook.mean, t->outlook.sd);
  printf("\n%-24s %22s %16s %20s\n", "measure", "uncertainty then", "narrower by", "information (nat)");
  for (int k = 0; k < t->ncandidate; k++) {
    const dp_gain *g = &t->gain[order[k]];
    double share = narrowing(g), left = 1 - share, sd = t->outlook.sd * sqrt(fmax(left, 0));
    char narrow[40], know[40];
    if (g->usable) { /* of the deviation: d sqrt(1 - v) = dv / 2 sqrt(1 - v) */
      snprintf(narrow, sizeof narrow, "%.1f +- %.1f %%", 100 * (1 - sqrt(fmax(left, 0))),
               100 * g->narrowing_se / (2 * sqrt(fmax(left, 1e-6))));
      snprintf(know, sizeof know, "%.3f +- %.3f", g->information, g->information_se);
    } else {
      snprintf(narrow, sizeof narrow, "%.1f %% (linear)", 100 * (1 - sqrt(fmax(left, 0))));
      snprintf(know, sizeof know, "%.3f (linear)", g->linear_information);
    }
    printf("%-24s %22.4g %16s %20s\n", candidate_name(t, order[k], what), sd, narrow, know);
  }
  printf("\nuncertainty then: the forecast's deviation to be expected after the measurement; +- one standard error.\n");
  const dp_gain *best = &t->gain[order[0]];
  double much = 1 - sqrt(fmax(1 - narrowing(best), 0));
  if (much < 0.01)
    printf("None of these would narrow the forecast by as much as 1 %%.\n");
  else
    printf("Measure %s: it would narrow the forecast most.\n", candidate_name(t, order[0], what));
}

static int answer(task *t) {
  cli_has(t->call, "--json") ? print_json(t) : print_table(t);
  if (t->outlook.nfailed)
    fprintf(stderr, "doppel: %d of %d draws could not be simulated and are left out\n", t->outlook.nfailed,
            t->outlook.ndraw);
  if (usable(t)) return 0;
  fprintf(stderr, "doppel: the belief is NOT fit for use: %s\n",
          t->problem ? t->report.verdict : t->belief->verdict);
  return dp_status_exit_code(DP_ERR_CONVERGE);
}

int cmd_gain(cli_call *call) {
  static task t;
  char dir[1024];
  t.call = call;
  if (call->nplain != 1) return cli_usage(call, "gain needs one KIND or PROBLEM.yaml, found %d", call->nplain);
  int code = check_options(call);
  if (!code) code = read_options(&t);
  if (!code && cli_is_problem(call->plain[0])) {
    code = believe_problem(&t);
  } else if (!code) {
    code = cli_kind_dir(call, call->plain[0], dir);
    if (code) return code;
    CLI_TRY(call, dp_kind_load(call->ctx, dir, &t.kind));
    code = cli_own_prior(call, t.kind, dir, &t.record, &t.subject, &t.prior);
    if (!code) code = believe(&t);
  }
  if (!code) code = answer(&t);
  cli_drop_quantities(&t.wanted);
  cli_drop_quantities(&t.measurable);
  dp_problem_close(t.problem);
  dp_belief_destroy(t.belief);
  dp_prior_destroy(t.prior);
  dp_record_destroy(t.record);
  dp_kind_destroy(t.kind);
  return code;
}
