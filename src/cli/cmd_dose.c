/* cmd_dose.c - doppel dose KIND --patient ID --target "FIGURE = NUMBER": which dose brings this person there, and how
 * sure it is. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

const cli_option cli_options_dose[] = {
    CLI_PATIENT_OPTION,
    {"--target", "FIGURE = NUMBER",
     "what is to be reached, e.g. 'integral(c, 216 h, 240 h) = 400 mg.h/L', 'c(24 h) = 11', 'maximum(c, 0, 24 h) = "
     "30'; all figures: docs/kind.md"},
    {"--dose", "AMOUNT", "this dose instead of the one that is looked for: what the figure is under it"},
    {"--duration", "TIME", "of each infusion (as the control says)"},
    {"--interval", "TIME", "between doses"},
    {"--count", "N", "how often in all (once; with --steady as often as the target's time needs)"},
    {"--steady", NULL, "in the steady state of these doses"},
    {"--from", "TIME",
     "on top of what the record gave up to this time; times count from it (without: as if nothing had been given "
     "before)"},
    {"--within", "LOW,HIGH", "how likely the figure comes to lie between these under the dose (20 % about the number)"},
    {"--control", "ID", "what is given (the control that the kind plans)"},
    {"--lower", "AMOUNT", "doses looked at: from (the control's bound)"},
    {"--upper", "AMOUNT", "to (the control's bound)"},
    {"--until", "TIME", "samples that are known: up to this time (all)"},
    {"--draws", "N", "draws of the belief (2000)"},
    {"--seed", "N", "seed of all random streams (1)"},
    CLI_PRIORS_OPTION,
    CLI_KIND_LAST_OPTIONS,
    {0}};

typedef struct task {
  cli_call *call;
  dp_kind *kind;
  dp_record *record;
  dp_prior *prior;
  dp_belief *belief;
  dp_dose_answer *answer;
  dp_dose_def def;
  int subject;
  long long seed, draws;
  double until;
} task;

/* ---- options ---- */

/* A time with or without its unit. */
static int read_time(task *t, const char *option, double *out) {
  const char *text = cli_get(t->call, option), *unit;
  char *end;
  if (!text) return 0;
  *out = strtod(text, &end);
  unit = end + strspn(end, " ");
  if (end == text || !isfinite(*out)) return cli_usage(t->call, "option %s: found '%s', expected a time", option, text);
  if (!*unit || strcmp(unit, dp_kind_time_unit(t->kind)) == 0) return 0;
  CLI_TRY(t->call, dp_unit_convert(t->call->ctx, *out, unit, dp_kind_time_unit(t->kind), 0.0, out));
  return 0;
}

static int read_within(task *t) {
  const char *text = cli_get(t->call, "--within");
  char *end = NULL, *last = NULL;
  if (!text) return 0;
  t->def.low = strtod(text, &end);
  if (end != text && *end == ',') t->def.high = strtod(end + 1, &last);
  if (!last || last == end + 1 || *last || !(t->def.low < t->def.high))
    return cli_usage(t->call, "option --within: found '%s', expected LOW,HIGH", text);
  return 0;
}

static int read_options(task *t) {
  cli_call *call = t->call;
  dp_dose_def *def = &t->def;
  int count = 1;
  *def = dp_dose_def_default();
  t->seed = 1;
  t->draws = 2000;
  t->until = INFINITY;
  if (!cli_has(call, "--patient")) return cli_no_person(call);
  if (!cli_has(call, "--target")) return cli_usage(call, "give --target 'FIGURE = NUMBER'");
  def->target = cli_get(call, "--target");
  def->control = cli_get(call, "--control");
  def->steady = cli_has(call, "--steady");
  if (!cli_integer(call, "--seed", &t->seed) || !cli_integer(call, "--draws", &t->draws) ||
      !cli_count(call, "--count", 1, &count) || !cli_number(call, "--dose", &def->dose) ||
      !cli_number(call, "--lower", &def->lower) || !cli_number(call, "--upper", &def->upper))
    return 2;
  if (cli_has(call, "--count")) def->count = count;
  if (cli_has(call, "--interval") && !def->count && !def->steady)
    return cli_usage(call, "option --interval: how often? give --count N, or --steady");
  if (t->draws < 100 || t->draws > 1000000)
    return cli_usage(call, "option --draws: found %lld, expected 100 to 1000000", t->draws);
  return read_within(t);
}

static int read_times(task *t) {
  int code = read_time(t, "--duration", &t->def.duration);
  if (!code) code = read_time(t, "--interval", &t->def.interval);
  if (!code) code = read_time(t, "--from", &t->def.now);
  return code ? code : read_time(t, "--until", &t->until);
}

/* ---- the work ---- */

static int find(task *t) {
  dp_assimilate_def def = cli_belief_def(t->seed, t->draws);
  CLI_TRY(t->call, dp_assimilate(t->kind, t->record, t->subject, t->until, t->prior, &def, &t->belief));
  CLI_TRY(t->call, dp_dose_find(t->kind, t->record, t->subject, t->prior, t->belief, &t->def, &t->answer));
  return 0;
}

static int by_size(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Quantiles of what is a number or infinite; false when there is none. */
static bool quantiles(const double *x, int n, const double *level, int nlevel, double *out) {
  double *sorted = malloc((size_t)(n + 1) * sizeof *sorted);
  int m = 0;
  for (int k = 0; sorted && k < n; k++)
    if (!isnan(x[k])) sorted[m++] = x[k];
  if (m) qsort(sorted, (size_t)m, sizeof *sorted, by_size);
  for (int l = 0; l < nlevel && m; l++) {
    const double at = level[l] * (m - 1);
    const int i = (int)at < m - 1 ? (int)at : m - 1;
    const double a = sorted[i], b = sorted[i + 1 < m ? i + 1 : i];
    out[l] = isfinite(a) && isfinite(b) ? a + (at - i) * (b - a) : at > i ? b : a;
  }
  free(sorted);
  return m > 0;
}

static const double level[] = {0.05, 0.25, 0.5, 0.75, 0.95};

static void json_quantiles(const char *name, const double *x, int n) {
  double q[5];
  printf(",\"%s\":", name);
  if (!quantiles(x, n, level, 5, q)) {
    printf("null");
    return;
  }
  for (int l = 0; l < 5; l++) cli_json_number(l ? "," : "[", q[l]);
  printf("]");
}

static void print_json(const task *t) {
  const dp_dose_answer *a = t->answer;
  printf("{\"patient\":");
  cli_json_text(t->record->subject[t->subject].id);
  cli_json_named(",\"target\":", t->def.target);
  cli_json_exact(",\"dose\":", a->dose);
  cli_json_named(",\"dose_unit\":", a->dose_unit ? a->dose_unit : "");
  cli_json_exact(",\"value\":", a->value);
  cli_json_named(",\"value_unit\":", a->value_unit);
  cli_json_exact(",\"wanted\":", a->wanted);
  cli_json_named(",\"reason\":", a->reason);
  printf(",\"draws\":%d,\"failed\":%d", a->ndraw, a->nfailed);
  cli_json_belief(t->belief);
  printf(",\n \"levels\":[0.05,0.25,0.5,0.75,0.95]");
  json_quantiles("dose_quantiles", a->draw_dose, a->ndraw);
  json_quantiles("value_quantiles", a->draw_value, a->ndraw);
  cli_json_number(",\"within\":[", a->low);
  cli_json_number(",", a->high);
  cli_json_number("],\"probability\":", a->probability);
  cli_json_number(",\"probability_low\":", a->probability_low);
  cli_json_number(",\"probability_high\":", a->probability_high);
  printf("}\n");
}

/* An infinite one: no dose between the bounds is enough (or little enough). */
static const char *needed(double dose, char out[48]) {
  if (isfinite(dose)) snprintf(out, 48, "%.5g", dose);
  else snprintf(out, 48, "%s that was looked at", dose > 0 ? "more than any" : "less than any");
  return out;
}

static void print_text(const task *t) {
  const dp_dose_answer *a = t->answer;
  char text[3][48];
  double q[5];
  printf("person %s: %s\n", t->record->subject[t->subject].id, t->def.target);
  cli_print_belief(t->belief);
  if (a->reason[0]) {
    printf("%s\n", a->reason);
    return;
  }
  printf("%-34s %12.7g %s\n", isnan(t->def.dose) ? "dose, most probable parameters" : "dose, as given", a->dose,
         a->dose_unit);
  printf("%-34s %12.7g %s\n", "it gives", a->value, a->value_unit);
  if (quantiles(a->draw_dose, a->ndraw, level, 5, q))
    printf("%-34s %12s %s, 90 %% of draws %s to %s\n", "dose needed, by draws", needed(q[2], text[0]), a->dose_unit,
           needed(q[0], text[1]), needed(q[4], text[2]));
  if (quantiles(a->draw_value, a->ndraw, level, 5, q))
    printf("%-34s %12.5g %s, 90 %% of draws %.5g to %.5g\n", "under the dose above, by draws", q[2], a->value_unit,
           q[0], q[4]);
  if (!isnan(a->probability))
    printf("P(%.5g to %.5g) %.1f %%, known within %.1f to %.1f %% from %d draws\n", a->low, a->high,
           100 * a->probability, 100 * a->probability_low, 100 * a->probability_high, a->ndraw);
  if (a->nfailed) printf("%d draws could not be simulated; they count as outside\n", a->nfailed);
}

int cmd_dose(cli_call *call) {
  static task t;
  char dir[1024];
  t.call = call;
  if (call->nplain != 1) return cli_usage(call, "dose needs one KIND, found %d", call->nplain);
  int code = read_options(&t);
  if (!code) code = cli_kind_dir(call, call->plain[0], dir);
  if (code) return code;
  CLI_TRY(call, dp_kind_load(call->ctx, dir, &t.kind));
  code = read_times(&t);
  if (!code) code = cli_own_prior(call, t.kind, dir, &t.record, &t.subject, &t.prior);
  if (!code) code = find(&t);
  if (!code) cli_has(call, "--json") ? print_json(&t) : print_text(&t);
  if (!code && t.answer->reason[0]) code = dp_status_exit_code(DP_ERR_CONVERGE);
  dp_dose_answer_destroy(t.answer);
  dp_belief_destroy(t.belief);
  dp_prior_destroy(t.prior);
  dp_record_destroy(t.record);
  dp_kind_destroy(t.kind);
  return code;
}
