/* surrogate_person.c - doppel surrogate fit KIND --patient ID: one person's observables as functions of their random
 * effects; doppel surrogate forecast KIND FILE --patient ID: what is believed of them, through the surrogate. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/simulate.h"
#include "cli/surrogate_person.h"

const cli_option cli_options_surrogate_forecast[] = {
    CLI_PATIENT_OPTION,
    {"--until", "TIME", "what is known now: samples up to this time (the kind's)"},
    {"--draws", "N", "draws of the belief (2000)"},
    {"--compare", NULL, "the same draws through the model itself, beside it, and the processor time of both"},
    {"--seed", "N", "seed of all random streams (1)"},
    CLI_PRIORS_OPTION,
    CLI_KIND_LAST_OPTIONS,
    {0}};

enum { MOST_TIMES = 10000 };

typedef struct one {
  cli_call *call;
  dp_kind *kind;
  dp_record *record;
  dp_prior *prior;
  dp_belief *belief;
  dp_surrogate *s;
  double *time; /* owned */
  dp_surrogate_person who;
  double until;
  long long seed, draws;
  dp_surrogate_fan *fan, *exact; /* owned [nfan]; exact: NULL, or by the model */
  int nfan;
  double seconds, seconds_exact;
} one;

static void drop(one *t) {
  free(t->fan);
  free(t->exact);
  free(t->time);
  dp_surrogate_destroy(t->s);
  dp_belief_destroy(t->belief);
  dp_prior_destroy(t->prior);
  dp_record_destroy(t->record);
  dp_kind_destroy(t->kind);
}

/* ---- who, and when ---- */

static int find(one *t) {
  char dir[1024];
  if (!cli_has(t->call, "--patient")) return cli_no_person(t->call);
  int code = cli_kind_dir(t->call, t->call->plain[0], dir);
  if (code) return code;
  CLI_TRY(t->call, dp_kind_load(t->call->ctx, dir, &t->kind));
  code = cli_own_prior(t->call, t->kind, dir, &t->record, &t->who.subject, &t->prior);
  t->who.kind = t->kind;
  t->who.record = t->record;
  t->who.prior = t->prior;
  return code;
}

static int add_time(one *t, double time) {
  double *more = realloc(t->time, (size_t)(t->who.ntime + 1) * sizeof *more);
  if (!more) return cli_failed(t->call, DP_ERR_MEMORY);
  more[t->who.ntime++] = time;
  t->who.time = t->time = more;
  return 0;
}

static int typed_times(one *t) {
  const char *text = cli_get(t->call, "--times");
  if (!text) return cli_usage(t->call, "at which times? give --times T,T,...");
  for (const char *p = text;;) {
    char *end;
    const double time = strtod(p, &end);
    if (end == p || !isfinite(time) || (*end && *end != ',') || t->who.ntime == MOST_TIMES)
      return cli_usage(t->call, "option --times: found '%s', expected T,T,...", text);
    const int code = add_time(t, time);
    if (code || !*end) return code;
    p = end + 1;
  }
}

/* The times that it was trained at. */
static int trained_times(one *t) {
  const dp_surrogate_desc d = dp_surrogate_describe(t->s);
  int code = 0;
  for (int o = 0; o < d.noutput && !code; o++) {
    const char *at = strrchr(d.output[o].id, '@');
    const double time = at ? strtod(at + 1, NULL) : 0;
    int k = 0;
    while (k < t->who.ntime && t->time[k] != time) k++;
    if (k == t->who.ntime) code = add_time(t, time);
  }
  return code;
}

/* ---- fit ---- */

static int fit(one *t, const char *path) {
  dp_surrogate_def def = dp_surrogate_def_default();
  int code = surrogate_training(t->call, &def);
  if (!code) code = typed_times(t);
  if (!code) code = cli_writable(path);
  if (!code) code = find(t);
  if (code) return code;
  CLI_TRY(t->call, dp_surrogate_fit_person(&t->who, &def, &t->s));
  return surrogate_give(t->call, t->s, path, def.accuracy);
}

int surrogate_fit_person(cli_call *call) {
  static const char *const of_model[] = {"--vary", "--output", "--set", "--dose"};
  one t = {.call = call};
  const char *path = cli_get(call, "-o");
  for (size_t k = 0; k < sizeof of_model / sizeof *of_model; k++)
    if (cli_has(call, of_model[k]))
      return cli_usage(call, "option %s does not go with --patient: of a KIND the person's doses and law are taken",
                       of_model[k]);
  if (!path) return cli_usage(call, "where to? give -o FILE");
  const int code = fit(&t, path);
  drop(&t);
  return code;
}

/* ---- forecast ---- */

static int believe(one *t) {
  const dp_assimilate_def def = cli_belief_def(t->seed, t->draws);
  if (isnan(t->until)) t->until = dp_kind_until(t->kind);
  CLI_TRY(t->call, dp_assimilate(t->kind, t->record, t->who.subject, t->until, t->prior, &def, &t->belief));
  return 0;
}

static int run(one *t) {
  t->nfan = t->who.ntime * (int)(dp_surrogate_describe(t->s).noutput / t->who.ntime);
  t->fan = calloc((size_t)t->nfan + 1, sizeof *t->fan);
  t->exact = cli_has(t->call, "--compare") ? calloc((size_t)t->nfan + 1, sizeof *t->exact) : NULL;
  if (!t->fan || (cli_has(t->call, "--compare") && !t->exact)) return cli_failed(t->call, DP_ERR_MEMORY);
  clock_t from = clock();
  CLI_TRY(t->call, dp_surrogate_forecast(&t->who, t->s, t->belief, (uint64_t)t->seed, t->fan));
  t->seconds = (double)(clock() - from) / CLOCKS_PER_SEC;
  from = clock();
  if (t->exact) CLI_TRY(t->call, dp_surrogate_forecast(&t->who, NULL, t->belief, (uint64_t)t->seed, t->exact));
  t->seconds_exact = (double)(clock() - from) / CLOCKS_PER_SEC;
  return 0;
}

static void forecast_text(const one *t) {
  printf("person %s, known until %g %s: %d draws of what is believed, through the surrogate\n\n",
         t->record->subject[t->who.subject].id, t->until, dp_kind_time_unit(t->kind), t->belief->ndraw);
  printf("%10s %-12s %10s %10s %10s %10s %10s%s\n", "time", "observable", "5 %", "median", "95 %", "deviation",
         "its error", t->exact ? "        5 %     median       95 %  by the model" : "");
  for (int i = 0; i < t->nfan; i++) {
    const dp_surrogate_fan *f = &t->fan[i];
    printf("%10g %-12s %10.4g %10.4g %10.4g %10.3g %10.2g", f->time, f->observable, f->q05, f->q50, f->q95, f->sd,
           f->error);
    if (t->exact) printf(" %10.4g %10.4g %10.4g", t->exact[i].q05, t->exact[i].q50, t->exact[i].q95);
    printf("\n");
  }
  printf("deviation: of the forecast, the surrogate's own error in it\n");
  if (t->nfan && t->fan[0].nfailed)
    printf("%d draws are left out: they lie outside the domain that the surrogate was trained in\n", t->fan[0].nfailed);
  if (t->exact) /* timings go beside the answer, never into it */
    fprintf(stderr, "processor time: surrogate %.4f s, model %.4f s\n", t->seconds, t->seconds_exact);
}

static void fan_json(const dp_surrogate_fan *f) {
  cli_json_exact("\"mean\": ", f->mean);
  cli_json_exact(", \"sd\": ", f->sd);
  cli_json_exact(", \"q05\": ", f->q05);
  cli_json_exact(", \"q50\": ", f->q50);
  cli_json_exact(", \"q95\": ", f->q95);
}

static void forecast_json(const one *t) {
  cli_json_named("{\"kind\": ", dp_kind_id(t->kind));
  cli_json_named(", \"patient\": ", t->record->subject[t->who.subject].id);
  cli_json_exact(", \"until\": ", t->until);
  cli_json_named(", \"surrogate\": ", dp_surrogate_describe(t->s).hash);
  printf(", \"draws\": %d, \"usable\": %s,\n \"forecast\": [", t->belief->ndraw, t->belief->usable ? "true" : "false");
  for (int i = 0; i < t->nfan; i++) {
    cli_json_exact(i ? ",\n  {\"time\": " : "\n  {\"time\": ", t->fan[i].time);
    cli_json_named(", \"observable\": ", t->fan[i].observable);
    printf(", ");
    fan_json(&t->fan[i]);
    cli_json_exact(", \"surrogate_error\": ", t->fan[i].error);
    printf(", \"failed\": %d", t->fan[i].nfailed);
    if (t->exact) {
      printf(", \"model\": {");
      fan_json(&t->exact[i]);
      printf("}");
    }
    printf("}");
  }
  printf("]}\n");
}

static int forecast(one *t) {
  cli_call *call = t->call;
  t->seed = 1;
  t->draws = 2000;
  t->until = NAN;
  int code = cli_belief_options(call, &t->seed, &t->draws, &t->until);
  if (code) return code;
  const char *kind = call->plain[0];
  call->plain[0] = call->plain[1]; /* whoever loads a surrogate looks at the first argument */
  code = cli_readable(call->plain[0]);
  if (!code) code = simulate_load_surrogate(call, &t->s);
  if (!code && !t->s) {
    fprintf(stderr, "doppel: %s: no surrogate; doppel surrogate fit writes them\n", call->plain[0]);
    code = dp_status_exit_code(DP_ERR_INPUT);
  }
  call->plain[0] = kind;
  if (!code) code = find(t);
  if (!code) code = trained_times(t);
  if (!code) code = believe(t);
  if (!code) code = run(t);
  if (code) return code;
  if (cli_has(call, "--json"))
    forecast_json(t);
  else
    forecast_text(t);
  return t->belief->usable ? 0 : dp_status_exit_code(DP_ERR_CONVERGE);
}

int cmd_surrogate_forecast(cli_call *call) {
  one t = {.call = call};
  if (call->nplain != 2) return cli_usage(call, "surrogate forecast needs KIND and FILE, found %d", call->nplain);
  const int code = forecast(&t);
  drop(&t);
  return code;
}
