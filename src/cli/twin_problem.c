/* twin_problem.c - doppel twin show PROBLEM.yaml: a calibration problem as what it is, a kind of twin without controls
 * and rewards. */
#include <math.h>
#include <string.h>

#include "cli/cli.h"
#include "doppel/calibrate.h"

bool cli_is_problem(const char *text) {
  const size_t n = strlen(text);
  return (n > 5 && strcmp(text + n - 5, ".yaml") == 0) || (n > 4 && strcmp(text + n - 4, ".yml") == 0);
}

int cli_check_problem_options(const cli_call *call, const char *const *of_kind, size_t n) {
  const bool problem = cli_is_problem(call->plain[0]);
  for (int i = 0; i < call->ngiven; i++) {
    const cli_option *o = call->given[i].option;
    if (!problem && strncmp(o->help, "PROBLEM:", 8) == 0)
      return cli_usage(call, "option %s belongs to a calibration problem, and '%s' is none", o->name, call->plain[0]);
    for (size_t k = 0; problem && k < n; k++)
      if (strcmp(o->name, of_kind[k]) == 0)
        return cli_usage(call, "option %s belongs to a KIND, and '%s' is a calibration problem", o->name,
                         call->plain[0]);
  }
  return 0;
}

typedef struct seen { /* an observable's measurements */
  int n, censored;
  double first, last;
} seen;

static seen of_observable(const dp_problem_desc *d, int observable) {
  seen s = {.first = INFINITY, .last = -INFINITY};
  for (int i = 0; i < d->ndatum; i++) {
    if (d->datum_observable[i] != observable) continue;
    s.n++;
    s.censored += isnan(d->datum_value[i]);
    if (d->datum_time[i] < s.first) s.first = d->datum_time[i];
    if (d->datum_time[i] > s.last) s.last = d->datum_time[i];
  }
  return s;
}

static const char *scale_name(dp_problem_scale scale) {
  static const char *const name[] = {"lin", "ln", "log10"};
  return name[scale];
}

static void print_text(const dp_problem_desc *d) {
  printf(
      "%s: a calibration problem (PEtab %d) as a kind of twin: one subject, whose data it brings; no controls, no "
      "rewards\n",
      d->name, d->version);
  printf("\nmodel: %d state%s in %d model%s; %d experiment%s with measurements, in %d simulation%s\n", d->nstate,
         d->nstate == 1 ? "" : "s", d->nmodel, d->nmodel == 1 ? "" : "s", d->nexperiment,
         d->nexperiment == 1 ? "" : "s", d->nsimulation, d->nsimulation == 1 ? "" : "s");
  printf("\n%-32s %12s %14s %14s %14s\n", "observable", "measurements", "first time", "last time", "no value");
  for (int o = 0; o < d->nobservable; o++) {
    const seen s = of_observable(d, o);
    printf("%-32s %12d %14.6g %14.6g %14d\n", d->observable[o], s.n, s.first, s.last, s.censored);
  }
  printf("\n%-32s %6s %14s %14s %14s\n", "parameter to be found", "scale", "lower", "upper", "nominal");
  for (int q = 0; q < d->nparam; q++)
    printf("%-32s %6s %14.6g %14.6g %14.6g\n", d->id[q], scale_name(d->scale[q]),
           dp_problem_unscale(d->scale[q], d->lower[q]), dp_problem_unscale(d->scale[q], d->upper[q]),
           dp_problem_unscale(d->scale[q], d->nominal[q]));
  for (int i = 0; i < d->nsolved; i++) printf("%s%s", i ? ", " : "\nsolved inside the objective: ", d->solved[i]);
  printf("%s\nfixed parameters: %d; priors: %s; gradients backwards: %s\n", d->nsolved ? "\n" : "", d->nfixed,
         d->has_prior ? "yes" : "none", d->adjoint ? "yes" : "no");
  printf("next: doppel petab eval, fit, profile, sample\n");
}

static void print_json(const dp_problem_desc *d) {
  printf("{\"kind\": ");
  cli_json_text(d->name);
  printf(
      ", \"problem\": \"PEtab %d\", \"controls\": [], \"rewards\": [], \"states\": %d, \"experiments\": %d, "
      "\"measurements\": %d",
      d->version, d->nstate, d->nexperiment, d->ndatum);
  printf(", \"priors\": %s, \"observables\": [", d->has_prior ? "true" : "false");
  for (int o = 0; o < d->nobservable; o++) {
    printf("%s{\"id\": ", o ? ", " : "");
    cli_json_text(d->observable[o]);
    printf(", \"measurements\": %d}", of_observable(d, o).n);
  }
  printf("], \"parameters\": [");
  for (int q = 0; q < d->nparam; q++) {
    printf("%s{\"id\": ", q ? ", " : "");
    cli_json_text(d->id[q]);
    printf(", \"scale\": \"%s\"", scale_name(d->scale[q]));
    cli_json_exact(", \"lower\": ", dp_problem_unscale(d->scale[q], d->lower[q]));
    cli_json_exact(", \"upper\": ", dp_problem_unscale(d->scale[q], d->upper[q]));
    cli_json_exact(", \"nominal\": ", dp_problem_unscale(d->scale[q], d->nominal[q]));
    printf("}");
  }
  printf("], \"solved\": [");
  for (int i = 0; i < d->nsolved; i++) {
    printf("%s", i ? ", " : "");
    cli_json_text(d->solved[i]);
  }
  printf("]}\n");
}

int cli_problem_show(cli_call *call, const char *path) {
  const dp_problem_def def = dp_problem_def_default();
  dp_problem *p = NULL;
  CLI_TRY(call, dp_problem_open(call->ctx, path, &def, &p));
  if (cli_has(call, "--json"))
    print_json(dp_problem_describe(p));
  else
    print_text(dp_problem_describe(p));
  dp_problem_close(p);
  return 0;
}
