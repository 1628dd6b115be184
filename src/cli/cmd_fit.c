/* cmd_fit.c - doppel fit KIND: population estimates, and everybody's leave-one-out prior. doppel fit PROBLEM.yaml goes
 * to cmd_estimate.c. */
#include <math.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/fit_worth.h"

const cli_option cli_options_fit[] = {
    {"--method", "NAME",
     "likelihood by laplace (default), focei, agq (quadrature) or saem; PROBLEM: an integrator as of simulate"},
    {"--patients", "FILE", "an event table instead of the kind's own"},
    {"--leave-one-out", NULL, "one fit for each person left out, stored for `doppel run`"},
    {"-o", "FILE", "where the stored priors go (KIND/priors.tsv)"},
    {"--check", NULL, "KIND: what the estimate is worth: standard errors, shrinkage, people in conflict with it"},
    {"--individuals", "FILE", "KIND: everybody's own estimate as a table; with --check"},
    {"--starts", "N", "PROBLEM: drawn starts (100)"},
    {"--sampling", "NAME", "PROBLEM: latin (default), sobol, uniform, prior"},
    {"--nominal", NULL, "PROBLEM: the nominal point is one more start"},
    {"--hessian", "NAME", "PROBLEM: hybrid (default), fisher, bfgs, sr1"},
    {"--iterations", "N", "PROBLEM: most steps of one search"},
    {"--seconds", "S", "PROBLEM: of processor time; then what is under way ends where it is (no limit)"},
    {"--max-steps", "N", "PROBLEM: of a simulation; a point that needs more is not evaluable (10000)"},
    {"--search-rtol", "X", "PROBLEM: tolerance of the searches; the best optima are polished with --rtol (1e-6)"},
    {"--screen", "N", "PROBLEM: points of which a start is the best (1)"},
    {"--search", "NAME",
     "PROBLEM: after the starts: starts (nothing, default), scatter (scatter search from what they found); instead of "
     "them, over the whole box: crs2, esch, isres, direct, mlsl"},
    {"--points", "N", "PROBLEM: of a search over the whole box (10000)"},
    {"--batch", "N", "PROBLEM: searches side by side; the answer does not depend on it"},
    {"--seed", "N", "saem: of its draws; PROBLEM: of the starts (1)"},
    {"--resume", "FILE",
     "PROBLEM: what was found so far is kept there, and gone on from (without: PROBLEM.fit in this folder, until the "
     "fit has ended)"},
    {"--table", "FILE", "PROBLEM: all distinct optima"},
    {"--plot", "FILE.svg", "PROBLEM: waterfall, and where the optima lie in their box"},
    {"--rtol", "X", "PROBLEM: relative tolerance (1e-8)"},
    {"--atol", "X", "PROBLEM: absolute tolerance (1e-12)"},
    {"--json", NULL, "one JSON object instead of text"},
    {"--threads", "N", "threads; results do not depend on it"},
    {"--twins", "DIR", "a further folder with kinds"},
    {"--dry-run", NULL, "read and check everything, fit and write nothing"},
    {0}};

static void print_number(double x, bool json) {
  if (isfinite(x))
    printf("%.10g", x);
  else
    printf(json ? "null" : "-");
}

/* Parameters of which the data say nothing; returns how many. */
static int print_undetermined(const dp_kind *kind, const dp_prior *p, bool json) {
  int n = 0;
  for (int i = 0; i < p->nparam; i++) {
    if (!p->undetermined[i]) continue;
    const char *before = json ? (n ? "\",\"" : ",\n \"undetermined\":[\"") : (n ? ", " : "undetermined ");
    printf("%s%s", before, dp_kind_parameter_id(kind, i));
    n++;
  }
  if (n && json) printf("\"]");
  if (n && !json)
    printf(": the data say nothing of %s (look at doses, times and units); %s above %s no estimate%s\n",
           n == 1 ? "it" : "them", n == 1 ? "the value" : "the values", n == 1 ? "is" : "are",
           ", nor is how people differ there");
  return n;
}

static void print_fit(const dp_kind *kind, const dp_prior *p, const cli_worth *worth, bool json, int *nundetermined) {
  if (json)
    printf("{\"kind\":\"%s\",\"method\":\"%s\",\"people\":%d,\"converged\":%s,\"iterations\":%d,\n \"minus2ll\":",
           dp_kind_id(kind), p->method, p->npeople, p->converged ? "true" : "false", p->iterations);
  else printf("%s: %s, %d people, %s after %d iterations\n-2 ln L (with constant)  ", dp_kind_id(kind), p->method,
              p->npeople, p->converged ? "converged" : "NOT converged", p->iterations);
  print_number(p->objective, json);
  if (json) {
    printf(",\n \"minus2ll_error\":");
    print_number(p->objective_error, json);
  } else if (p->objective_error > 0) {
    printf(" (standard error %.2g)", p->objective_error);
  }
  printf(json ? ",\n \"parameters\":{" : "\n");
  for (int i = 0; i < p->nparam; i++) {
    printf(json ? "%s\"%s\":" : "%s%-12s ", json && i ? "," : "", dp_kind_parameter_id(kind, i));
    print_number(p->typical[i], json);
    if (!json) printf("\n");
  }
  printf(json ? "},\n \"covariance\":[" : "covariance between people\n");
  for (int i = 0; i < p->neffect; i++) {
    if (json)
      printf("%s[", i ? "," : "");
    else
      printf("%-12s", dp_kind_effect_id(kind, i));
    for (int j = 0; j <= (json ? p->neffect - 1 : i); j++) {
      if (json && j) printf(",");
      else if (!json) printf(" ");
      print_number(p->omega[i * p->neffect + j], json);
    }
    printf(json ? "]" : "\n");
  }
  if (json) printf("]");
  *nundetermined = print_undetermined(kind, p, json);
  if (worth) cli_worth_print(worth, json);
  printf(json ? ",\n \"hash\":\"%s\"}\n" : "hash %s\n", p->hash);
}

/* Everybody's prior, made without that person, into one file. */
static int leave_one_out(cli_call *call, const dp_kind *kind, const dp_record *record, const dp_fit_def *def,
                         const char *dir) {
  char path[1100];
  snprintf(path, sizeof path, "%s/priors.tsv", dir);
  if (cli_has(call, "-o")) snprintf(path, sizeof path, "%s", cli_get(call, "-o"));
  int code = cli_writable(path);
  if (code) return code;
  if (cli_has(call, "--dry-run")) {
    printf("would fit %s %d times and write %s\n", dp_kind_id(kind), record->nsubject + 1, path);
    return 0;
  }
  CLI_TRY(call, dp_prior_loo_store_by(kind, record, path, def));
  if (cli_has(call, "--json")) {
    printf("{\"people\":%d,\"priors\":%d,\"file\":", record->nsubject, record->nsubject + 1);
    cli_json_text(path);
    printf("}\n");
  } else {
    printf("%s: %d priors, each from everybody else, and one from all\n", path, record->nsubject);
  }
  return 0;
}

static int estimate(cli_call *call, const dp_kind *kind, const dp_record *record, const dp_fit_def *def) {
  dp_prior *prior = NULL;
  const clock_t start = clock();
  CLI_TRY(call, dp_prior_fit(kind, record, NULL, 0, def, &prior));
  const double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
  cli_worth worth = {.kind = kind, .record = record, .prior = prior};
  int code = cli_has(call, "--check") ? cli_worth_open(call, &worth) : 0, nundetermined = 0;
  if (code == 0) {
    print_fit(kind, prior, worth.check ? &worth : NULL, cli_has(call, "--json"), &nundetermined);
    if (!cli_has(call, "--json")) printf("processor time of the fit  %.3f s\n", seconds);
    if (!prior->converged || nundetermined) code = dp_status_exit_code(DP_ERR_CONVERGE);
  }
  dp_fit_check_destroy(worth.check);
  dp_prior_destroy(prior);
  return code;
}

static int fit(cli_call *call, const dp_kind *kind, const dp_record *record, const char *dir) {
  dp_fit_def def = dp_fit_def_default();
  bool each = cli_has(call, "--leave-one-out");
  if (!each && cli_has(call, "-o")) return cli_usage(call, "option -o belongs to --leave-one-out");
  if (each && cli_has(call, "--check")) return cli_usage(call, "option --check does not go with --leave-one-out");
  const char *own = cli_get(call, "--individuals");
  if (own && !cli_has(call, "--check")) return cli_usage(call, "option --individuals goes with --check");
  const int code = own && !cli_has(call, "--dry-run") ? cli_writable(own) : 0;
  if (code) return code;
  if (cli_has(call, "--method")) def.method = cli_get(call, "--method");
  if (strcmp(def.method, "laplace") != 0 && strcmp(def.method, "focei") != 0 && strcmp(def.method, "agq") != 0 &&
      strcmp(def.method, "saem") != 0)
    return cli_usage(call, "option --method: found '%s', expected laplace, focei, agq or saem", def.method);
  long long seed = 1;
  if (!cli_integer(call, "--seed", &seed)) return 2;
  if (cli_has(call, "--seed") && strcmp(def.method, "saem") != 0)
    return cli_usage(call, "option --seed belongs to --method saem");
  def.seed = (uint64_t)seed;
  if (each && cli_has(call, "--seed")) return cli_usage(call, "option --seed does not go with --leave-one-out");
  if (each) return leave_one_out(call, kind, record, &def, dir);
  if (cli_has(call, "--dry-run")) {
    printf("would fit %s on %d people of %s\n", dp_kind_id(kind), record->nsubject, record->source);
    return 0;
  }
  return estimate(call, kind, record, &def);
}

/* Options that would be passed over in silence. The table's help says which are a problem's. */
static int check_options(const cli_call *call) {
  static const char *const of_kind[] = {"--patients", "--leave-one-out", "-o", "--check", "--individuals", "--twins"};
  return cli_check_problem_options(call, of_kind, sizeof of_kind / sizeof *of_kind);
}

int cmd_fit(cli_call *call) {
  if (call->nplain != 1) return cli_usage(call, "fit needs one KIND, found %d", call->nplain);
  const bool problem = cli_is_problem(call->plain[0]);
  int code = check_options(call);
  if (code) return code;
  if (problem) return cmd_fit_problem(call);
  char dir[1024];
  code = cli_kind_dir(call, call->plain[0], dir);
  if (code) return code;
  dp_kind *kind = NULL;
  dp_record *record = NULL;
  CLI_TRY(call, dp_kind_load(call->ctx, dir, &kind));
  const char *path = cli_has(call, "--patients") ? cli_get(call, "--patients") : dp_kind_patients(kind);
  if (!path[0]) {
    code = cli_no_patients(call, kind, "--patients");
    dp_kind_destroy(kind);
    return code;
  }
  dp_status status = cli_record(kind, path, &record);
  code = status == DP_OK ? fit(call, kind, record, dir) : cli_failed(call, status);
  dp_record_destroy(record);
  dp_kind_destroy(kind);
  return code;
}
