/* cmd_petab.c - doppel petab eval PROBLEM.yaml: a calibration problem at one point. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "doppel/calibrate.h"

const cli_option cli_options_petab[] = {
    {"--gradient", NULL, "the gradient of the log-likelihood, on the scale of estimation"},
    {"--fisher", NULL, "the expected information of the likelihood, on the scale of estimation; with the gradient"},
    {"--hessian", NULL, "all second derivatives of the log-likelihood, exact, on the scale of estimation"},
    {"--hessian-vector", "ID=VALUE",
     "their product with a direction, at the cost of a few gradients; repeated: other components (else 0)"},
    {"--derivative", "NAME", "how: auto (default), forward or adjoint"},
    {"--same-steps", NULL, "steps are chosen by values alone: faster, less sure of derivatives"},
    {"--set", "ID=VALUE", "another value than the nominal one (as in the table, not its logarithm); may be repeated"},
    {"--simulations", NULL, "every measurement beside its simulation"},
    CLI_PROBLEM_OPTIONS,
    {0}};

typedef struct answer {
  dp_problem *problem;
  const dp_problem_desc *d;
  dp_problem_value v;
  double *x, *block;
  unsigned what;
  int nproduct; /* 0; 1: one direction; nparam: all of them */
  double *direction, *product; /* [nproduct x nparam] */
} answer;

static int read_def(cli_call *call, dp_problem_def *def) {
  static const char *const words[] = {"auto", "forward", "adjoint"};
  *def = dp_problem_def_default();
  if (!cli_number(call, "--rtol", &def->rtol) || !cli_number(call, "--atol", &def->atol)) return 2;
  if (cli_has(call, "--method")) def->method = cli_get(call, "--method");
  def->same_steps = cli_has(call, "--same-steps");
  if (!cli_has(call, "--derivative")) return 0;
  for (int i = 0; i < 3; i++)
    if (!strcmp(cli_get(call, "--derivative"), words[i])) {
      def->derivative = (dp_problem_derivative)i;
      return 0;
    }
  return cli_usage(call, "option --derivative: found '%s', expected auto, forward or adjoint",
                   cli_get(call, "--derivative"));
}

/* ID=VALUE of an option: the parameter and the number. */
static int read_pair(cli_call *call, const answer *a, const char *option, const char *text, int *q, double *value) {
  char id[256], label[40], *end = NULL;
  const char *equals = strchr(text, '=');
  if (!equals || (size_t)(equals - text) >= sizeof id)
    return cli_usage(call, "option %s: found '%s', expected ID=VALUE", option, text);
  snprintf(id, sizeof id, "%.*s", (int)(equals - text), text);
  snprintf(label, sizeof label, "option %.20s: ", option);
  *value = strtod(equals + 1, &end);
  *q = dp_problem_param(a->problem, id);
  if (end == equals + 1 || *end)
    return cli_usage(call, "option %s %s: found '%s', expected a number", option, id, equals + 1);
  return *q < 0 ? cli_no_parameter(call, label, id, a->d) : 0;
}

static int set_point(cli_call *call, answer *a) {
  memcpy(a->x, a->d->nominal, sizeof(double) * (size_t)a->d->nparam);
  for (int i = cli_each(call, "--set", -1); i >= 0; i = cli_each(call, "--set", i)) {
    int q;
    double value;
    const int code = read_pair(call, a, "--set", call->given[i].value, &q, &value);
    if (code) return code;
    a->x[q] = dp_problem_rescale(a->d->scale[q], value);
  }
  for (int q = 0; q < a->d->nparam; q++)
    if (isnan(a->x[q])) return cli_usage(call, "parameter '%s' has no nominal value: give one with --set", a->d->id[q]);
  return 0;
}

/* Directions of the products that are asked for. */
static int set_directions(cli_call *call, answer *a) {
  const size_t n = (size_t)a->d->nparam;
  const bool all = cli_has(call, "--hessian"), one = cli_has(call, "--hessian-vector");
  if (all && one) return cli_usage(call, "options --hessian and --hessian-vector: expected one of them, found both");
  a->nproduct = all ? a->d->nparam : one;
  if (a->nproduct == 0) return 0;
  a->direction = calloc(2 * (size_t)a->nproduct * n, sizeof *a->direction);
  if (!a->direction) return cli_failed(call, DP_ERR_MEMORY);
  a->product = a->direction + (size_t)a->nproduct * n;
  for (size_t q = 0; all && q < n; q++) a->direction[q * n + q] = 1;
  for (int i = cli_each(call, "--hessian-vector", -1); i >= 0; i = cli_each(call, "--hessian-vector", i)) {
    int q;
    double value;
    const int code = read_pair(call, a, "--hessian-vector", call->given[i].value, &q, &value);
    if (code) return code;
    a->direction[q] = value;
  }
  return 0;
}

/* A point whose products can't be made is like one that can't be evaluated. */
static dp_status multiply(answer *a) {
  const size_t n = (size_t)a->d->nparam, m = (size_t)a->nproduct;
  dp_problem_product *out = calloc(m + 1, sizeof *out);
  double *x = malloc((m * n + 1) * sizeof *x);
  dp_status st = out && x ? DP_OK : DP_ERR_MEMORY;
  for (size_t i = 0; i < m && st == DP_OK; i++) {
    memcpy(x + i * n, a->x, n * sizeof *x);
    out[i].product = a->product + i * n;
  }
  if (st == DP_OK) st = dp_problem_hessian_vector(a->problem, (int)m, x, a->direction, out);
  for (size_t i = 0; i < m && st == DP_OK && a->v.ok; i++) {
    a->v.ok = out[i].ok;
    if (!out[i].ok) snprintf(a->v.reason, sizeof a->v.reason, "second derivatives: %.170s", out[i].reason);
  }
  free(out);
  free(x);
  return st;
}

static bool make_room(answer *a) {
  const size_t n = (size_t)a->d->nparam, m = (size_t)a->d->ndatum;
  double *at = a->block = calloc(3 * n + 4 * m + (size_t)a->d->nsolved + n * n + 1, sizeof *at);
  if (!at) return false;
  a->x = at;
  a->v.gradient = at + n;
  a->v.prior = at + 2 * n;
  a->v.simulation = at + 3 * n;
  a->v.sigma = a->v.simulation + m;
  a->v.residual = a->v.sigma + m;
  a->v.pointwise = a->v.residual + m;
  a->v.solved = a->v.pointwise + m;
  a->v.fisher = a->what & DP_PROBLEM_FISHER ? a->v.solved + a->d->nsolved : NULL;
  return true;
}

/* ---- text ---- */

static void part(const answer *a, int observable, int *n, double *llh, double *chi2) {
  *n = 0;
  *llh = *chi2 = 0;
  for (int i = 0; i < a->d->ndatum; i++) {
    if (a->d->datum_observable[i] != observable) continue;
    ++*n;
    *llh += a->v.pointwise[i];
    *chi2 += a->v.residual[i] * a->v.residual[i];
  }
}

static void print_simulations(const answer *a) {
  printf("\n%-24s %-28s %12s %14s %14s %12s %10s\n", "observable", "experiment", "time", "measurement", "simulation",
         "noise", "residual");
  for (int i = 0; i < a->d->ndatum; i++)
    printf("%-24s %-28s %12.6g %14.8g %14.8g %12.6g %10.4f\n", a->d->observable[a->d->datum_observable[i]],
           a->d->datum_experiment[i], a->d->datum_time[i], a->d->datum_value[i], a->v.simulation[i], a->v.sigma[i],
           a->v.residual[i]);
}

/* The whole matrix as a table with tabs: a row for each parameter. */
static void print_matrix(const answer *a, const char *name, const double *m) {
  const int n = a->d->nparam;
  printf("\n%s", name);
  for (int q = 0; q < n; q++) printf("\t%s", a->d->id[q]);
  for (int i = 0; i < n; i++) {
    printf("\n%s", a->d->id[i]);
    for (int q = 0; q < n; q++) printf("\t%.10g", m[(size_t)i * (size_t)n + (size_t)q]);
  }
  printf("\n");
}

static void print_product(const answer *a) {
  printf("\n%-32s %16s %16s\n", "parameter", "direction", "hessian*direction");
  for (int q = 0; q < a->d->nparam; q++)
    printf("%-32s %16.8g %16.8g\n", a->d->id[q], a->direction[q], a->product[q]);
}

static void print_text(const cli_call *call, const answer *a) {
  const dp_problem_desc *d = a->d;
  printf("%s: %d estimated parameters, %d fixed, %d measurements, %d experiments in %d simulations, %d states\n",
         d->name, d->nparam, d->nfixed, d->ndatum, d->nexperiment, d->nsimulation, d->nstate);
  if (!a->v.ok) printf("could not be evaluated: %s\n", a->v.reason);
  printf("llh        %.12g\nchi2       %.12g\nlog prior  %.12g\n", a->v.llh, a->v.chi2, a->v.log_prior);
  if (!a->v.ok) return;
  printf("\n%-32s %6s %16s %16s\n", "observable", "n", "llh", "chi2");
  for (int o = 0; o < d->nobservable; o++) {
    int n;
    double llh, chi2;
    part(a, o, &n, &llh, &chi2);
    printf("%-32s %6d %16.8g %16.8g\n", d->observable[o], n, llh, chi2);
  }
  if (a->what) {
    static const char *const scale[] = {"lin", "ln", "log10"};
    printf("\n%-32s %6s %16s %16s\n", "parameter", "scale", "value", "gradient");
    for (int q = 0; q < d->nparam; q++)
      printf("%-32s %6s %16.8g %16.8g\n", d->id[q], scale[d->scale[q]], dp_problem_unscale(d->scale[q], a->x[q]),
             a->v.gradient[q]);
  }
  if (d->nsolved) printf("\n%-32s %6s %16s\n", "solved at this point", "", "value");
  for (int i = 0; i < d->nsolved; i++) printf("%-32s %6s %16.8g\n", d->solved[i], "", a->v.solved[i]);
  if (a->v.fisher) print_matrix(a, "fisher", a->v.fisher);
  if (cli_has(call, "--hessian")) print_matrix(a, "hessian", a->product);
  if (cli_has(call, "--hessian-vector")) print_product(a);
  if (cli_has(call, "--simulations")) print_simulations(a);
}

/* ---- JSON ---- */

static void named(const char *key, const answer *a, const double *x) {
  printf(",\n \"%s\": {", key);
  for (int q = 0; q < a->d->nparam; q++) {
    printf("%s", q ? ", " : "");
    cli_json_text(a->d->id[q]);
    cli_json_exact(": ", x ? x[q] : dp_problem_unscale(a->d->scale[q], a->x[q]));
  }
  printf("}");
}

static void json_simulations(const answer *a) {
  printf(",\n \"simulations\": [");
  for (int i = 0; i < a->d->ndatum; i++) {
    printf("%s\n  {\"observable\": ", i ? "," : "");
    cli_json_text(a->d->observable[a->d->datum_observable[i]]);
    printf(", \"experiment\": ");
    cli_json_text(a->d->datum_experiment[i]);
    if (isinf(a->d->datum_time[i])) printf(", \"time\": \"inf\"");
    else cli_json_exact(", \"time\": ", a->d->datum_time[i]);
    cli_json_exact(", \"measurement\": ", a->d->datum_value[i]);
    cli_json_exact(", \"simulation\": ", a->v.simulation[i]);
    cli_json_exact(", \"sigma\": ", a->v.sigma[i]);
    cli_json_exact(", \"residual\": ", a->v.residual[i]);
    printf("}");
  }
  printf("]");
}

static void json_matrix(const answer *a, const char *name, const double *m) {
  const size_t n = (size_t)a->d->nparam;
  printf(",\n \"%s\": {", name);
  for (size_t i = 0; i < n; i++) {
    printf("%s\n  ", i ? "," : "");
    cli_json_text(a->d->id[i]);
    printf(": [");
    for (size_t q = 0; q < n; q++) cli_json_exact(q ? ", " : "", m[i * n + q]);
    printf("]");
  }
  printf("}");
}

static void print_json(const cli_call *call, const answer *a) {
  const dp_problem_desc *d = a->d;
  printf("{\"problem\": ");
  cli_json_text(d->name);
  cli_json_exact(",\n \"llh\": ", a->v.llh);
  cli_json_exact(",\n \"chi2\": ", a->v.chi2);
  cli_json_exact(",\n \"log_prior\": ", a->v.log_prior);
  if (!a->v.ok) {
    printf(",\n \"reason\": ");
    cli_json_text(a->v.reason);
  }
  printf(",\n \"measurements\": %d, \"experiments\": %d, \"simulations_of_a_point\": %d, \"states\": %d", d->ndatum,
         d->nexperiment, d->nsimulation, d->nstate);
  named("parameters", a, NULL);
  if (a->what) named("gradient", a, a->v.gradient);
  if (a->v.fisher) json_matrix(a, "fisher", a->v.fisher);
  if (cli_has(call, "--hessian")) json_matrix(a, "hessian", a->product);
  if (cli_has(call, "--hessian-vector")) {
    named("direction", a, a->direction);
    named("hessian_vector", a, a->product);
  }
  if (d->nsolved) printf(",\n \"solved\": {");
  for (int i = 0; i < d->nsolved; i++) {
    printf("%s", i ? ", " : "");
    cli_json_text(d->solved[i]);
    cli_json_exact(": ", a->v.solved[i]);
  }
  if (d->nsolved) printf("}");
  printf(",\n \"observables\": {");
  for (int o = 0; o < d->nobservable; o++) {
    int n;
    double llh, chi2;
    part(a, o, &n, &llh, &chi2);
    printf("%s", o ? ", " : "");
    cli_json_text(d->observable[o]);
    printf(": {\"measurements\": %d", n);
    cli_json_exact(", \"llh\": ", llh);
    cli_json_exact(", \"chi2\": ", chi2);
    printf("}");
  }
  printf("}");
  if (cli_has(call, "--simulations")) json_simulations(a);
  printf("}\n");
}

int cmd_petab_eval(cli_call *call) {
  dp_problem_def def;
  answer a = {0};
  if (call->nplain != 1) return cli_usage(call, "expected one PROBLEM.yaml, found %d arguments", call->nplain);
  int code = read_def(call, &def);
  if (code) return code;
  dp_status st = dp_problem_open(call->ctx, call->plain[0], &def, &a.problem);
  if (st != DP_OK) return cli_failed(call, st);
  a.d = dp_problem_describe(a.problem);
  a.what = cli_has(call, "--fisher")     ? DP_PROBLEM_GRADIENT | DP_PROBLEM_FISHER
           : cli_has(call, "--gradient") ? DP_PROBLEM_GRADIENT
                                         : DP_PROBLEM_VALUE;
  if (!make_room(&a)) st = DP_ERR_MEMORY;
  if (st == DP_OK) code = set_point(call, &a);
  if (st == DP_OK && code == 0) code = set_directions(call, &a);
  if (st == DP_OK && code == 0) st = dp_problem_eval(a.problem, 1, a.x, a.what, &a.v);
  if (st == DP_OK && code == 0 && a.nproduct > 0) st = multiply(&a);
  if (st != DP_OK) {
    code = cli_failed(call, st);
  } else if (code == 0) {
    if (cli_has(call, "--json")) print_json(call, &a);
    else print_text(call, &a);
    code = a.v.ok ? 0 : dp_status_exit_code(DP_ERR_NUMERIC);
  }
  free(a.direction);
  free(a.block);
  dp_problem_close(a.problem);
  return code;
}
