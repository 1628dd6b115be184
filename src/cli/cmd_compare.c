/* cmd_compare.c - doppel compare PROBLEM.yaml...: which of several models of the same data predicts best, what each is
 * worth, and what they say together. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/quantity.h"

const cli_option cli_options_compare[] = {
    {"--prediction", "OBSERVABLE@TIME",
     "a quantity to average over the models: an observable or a formula, OBSERVABLE@EXPERIMENT:T,T,... where there are "
     "several; may be repeated"},
    {"--sampler", "NAME", "smc (default), tempering, laplace: with evidence; nuts: without"},
    {"--draws", "N", "draws of a chain; smc: particles"},
    {"--chains", "N", "chains; smc: repeats"},
    {"--starts", "N", "starts of the fit before sampling (20; not for smc)"},
    {"--seed", "N", "(1)"},
    CLI_PROBLEM_OPTIONS,
    {0}};

typedef struct compared {
  cli_call *call;
  int n;
  dp_problem **problem; /* [n] owned */
  dp_sample **sample;   /* [n] owned */
  cli_quantities quantities;
  dp_comparison *c;
} compared;

static void drop(compared *t) {
  dp_comparison_destroy(t->c);
  for (int k = 0; k < t->n; k++) {
    if (t->sample) dp_sample_destroy(t->sample[k]);
    if (t->problem) dp_problem_close(t->problem[k]);
  }
  free(t->sample);
  free(t->problem);
  cli_drop_quantities(&t->quantities);
}

static int open_all(compared *t) {
  dp_problem_def def = dp_problem_def_default();
  def.max_steps = 10000;
  if (!cli_number(t->call, "--rtol", &def.rtol) || !cli_number(t->call, "--atol", &def.atol)) return 2;
  if (cli_has(t->call, "--method")) def.method = cli_get(t->call, "--method");
  for (int k = 0; k < t->n; k++)
    CLI_TRY(t->call, dp_problem_open(t->call->ctx, t->call->plain[k], &def, &t->problem[k]));
  return 0;
}

/* Where chains begin: the optima of a short fit. */
static int sample_one(compared *t, int k, dp_problem_sample_def *def, int nstart) {
  dp_fit *fit = NULL;
  double *place = NULL;
  int code = 0;
  if (strcmp(def->method, "smc") != 0) {
    dp_problem_fit_def how = dp_problem_fit_def_default();
    how.nstart = nstart;
    how.seed = def->seed;
    CLI_TRY(t->call, dp_problem_fit(t->problem[k], &how, &fit));
    def->nstart = fit->noptimum < 4 ? fit->noptimum : 4;
    place = calloc((size_t)def->nstart * (size_t)fit->nparam + 1, sizeof *place);
    for (int i = 0; place && i < def->nstart; i++)
      memcpy(place + (size_t)i * (size_t)fit->nparam, fit->optimum[i].x, (size_t)fit->nparam * sizeof *place);
    def->start = place;
    code = place ? 0 : cli_failed(t->call, DP_ERR_MEMORY);
  }
  if (!code) {
    const dp_status status = dp_problem_sample(t->problem[k], def, &t->sample[k]);
    if (status != DP_OK) code = cli_failed(t->call, status);
  }
  free(place);
  dp_fit_destroy(fit);
  return code;
}

static int sample_all(compared *t) {
  dp_problem_sample_def def = dp_problem_sample_def_default();
  int nstart = 20;
  long long seed = 1;
  def.method = cli_has(t->call, "--sampler") ? cli_get(t->call, "--sampler") : "smc";
  if (!cli_count(t->call, "--draws", 0, &def.ndraw) || !cli_count(t->call, "--chains", 0, &def.nchain) ||
      !cli_count(t->call, "--starts", 0, &nstart) || !cli_integer(t->call, "--seed", &seed))
    return 2;
  def.seed = (uint64_t)seed;
  for (int k = 0; k < t->n; k++) {
    if (isatty(STDERR_FILENO)) fprintf(stderr, "\rdraws of model %d of %d ", k + 1, t->n);
    const int code = sample_one(t, k, &def, nstart);
    if (code) return code;
  }
  if (isatty(STDERR_FILENO)) fprintf(stderr, "\n");
  return 0;
}

/* ---- the answer ---- */

/* NaN: a dash. */
static void cell(const char *format, int width, double x) {
  if (isfinite(x))
    printf(format, x);
  else
    printf("%*s", width, "-");
}

static void compare_text(const compared *t) {
  const dp_comparison *c = t->c;
  printf("%d models of the same %d measurements\n\n%-24s %6s %12s %12s %9s %8s %6s %12s %9s %9s\n", c->n, c->ndatum,
         "model", "params", "elpd LOO", "difference", "+-", "WAIC", "bad", "ln evidence", "stacking", "evidence");
  for (int k = 0; k < c->n; k++) {
    const dp_compared *m = &c->model[k];
    printf("%-24s %6d %12.4f %12.4f %9.3f %8.2f %6d ", m->name, m->nparam, m->loo.elpd, m->difference, m->difference_se,
           m->waic.ic, m->loo.nbad);
    cell("%12.4f ", 12, m->evidence);
    cell("%9.4f ", 10, m->weight_stack);
    cell("%9.4f", 10, m->weight_evidence);
    printf("%s\n", m->usable ? "" : "  its draws are NOT fit for use");
  }
  printf(
      "elpd: how well the next measurement is predicted (larger is better); bad: measurements for which leave-one-out "
      "can't "
      "be relied on\n");
  if (c->nquantity) printf("\n%-28s %24s %24s\n", "prediction", "by stacking", "by evidence");
  for (int q = 0; q < c->nquantity; q++) {
    const dp_averaged *a = &c->average[q];
    printf("%-28s %12.6g +- %-8.3g ", a->name, a->stack_mean, a->stack_sd);
    cell("%12.6g", 12, a->evidence_mean);
    cell(" +- %-8.3g\n", 5, a->evidence_sd);
    for (int k = 0; k < c->n; k++)
      printf("  %-26s %12.6g +- %-8.3g\n", c->model[k].name, c->model[k].mean[q], c->model[k].sd[q]);
  }
}

static void elpd_json(const char *name, const dp_elpd *e) {
  printf("\"%s\": {", name);
  cli_json_exact("\"elpd\": ", e->elpd);
  cli_json_exact(", \"se\": ", e->se);
  cli_json_exact(", \"p\": ", e->p);
  cli_json_exact(", \"ic\": ", e->ic);
  printf(", \"bad\": %d", e->nbad);
  cli_json_exact(", \"worst\": ", e->worst);
  printf("}");
}

static void model_json(const dp_compared *m) {
  printf("\"parameters\": %d, \"draws\": %d, \"usable\": %s,\n   ", m->nparam, m->ndraw, m->usable ? "true" : "false");
  elpd_json("waic", &m->waic);
  printf(",\n   ");
  elpd_json("loo", &m->loo);
  cli_json_exact(",\n   \"difference\": ", m->difference);
  cli_json_exact(", \"difference_se\": ", m->difference_se);
  cli_json_exact(", \"ln_evidence\": ", m->evidence);
  cli_json_exact(", \"ln_evidence_error\": ", m->evidence_error);
  cli_json_exact(", \"weight_stacking\": ", m->weight_stack);
  cli_json_exact(", \"weight_evidence\": ", m->weight_evidence);
}

static void compare_json(const compared *t) {
  const dp_comparison *c = t->c;
  printf("{\"measurements\": %d,\n \"models\": [", c->ndatum);
  for (int k = 0; k < c->n; k++) {
    cli_json_named(k ? ",\n  {\"model\": " : "\n  {\"model\": ", c->model[k].name);
    printf(", ");
    model_json(&c->model[k]);
    printf("}");
  }
  cli_json_named("],\n \"best\": ", c->model[c->best].name);
  printf(",\n \"predictions\": [");
  for (int q = 0; q < c->nquantity; q++) {
    const dp_averaged *a = &c->average[q];
    cli_json_named(q ? ",\n  {\"prediction\": " : "\n  {\"prediction\": ", a->name);
    cli_json_exact(", \"stacking_mean\": ", a->stack_mean);
    cli_json_exact(", \"stacking_sd\": ", a->stack_sd);
    cli_json_exact(", \"evidence_mean\": ", a->evidence_mean);
    cli_json_exact(", \"evidence_sd\": ", a->evidence_sd);
    printf(", \"of_models\": [");
    for (int k = 0; k < c->n; k++) {
      cli_json_exact(k ? ", [" : "[", c->model[k].mean[q]);
      cli_json_exact(", ", c->model[k].sd[q]);
      printf("]");
    }
    printf("]}");
  }
  printf("]}\n");
}

static int compare(compared *t) {
  dp_compare_def def = dp_compare_def_default();
  int code = cli_read_quantities(t->call, "--prediction", &t->quantities);
  t->problem = calloc((size_t)t->n, sizeof *t->problem);
  t->sample = calloc((size_t)t->n, sizeof *t->sample);
  if (!code && (!t->problem || !t->sample)) code = cli_failed(t->call, DP_ERR_MEMORY);
  if (!code) code = open_all(t);
  if (!code) code = sample_all(t);
  if (code) return code;
  def.n = t->n;
  def.problem = t->problem;
  def.sample = (const dp_sample *const *)t->sample;
  def.quantity = t->quantities.list;
  def.nquantity = t->quantities.n;
  CLI_TRY(t->call, dp_compare(t->call->ctx, &def, &t->c));
  if (cli_has(t->call, "--json"))
    compare_json(t);
  else
    compare_text(t);
  bool usable = true;
  for (int k = 0; k < t->n; k++) usable = usable && t->c->model[k].usable;
  return usable ? 0 : dp_status_exit_code(DP_ERR_CONVERGE);
}

int cmd_compare(cli_call *call) {
  compared t = {.call = call, .n = call->nplain};
  if (call->nplain < 2) return cli_usage(call, "compare needs two or more PROBLEM.yaml, found %d", call->nplain);
  const int code = compare(&t);
  drop(&t);
  return code;
}
