/* cmd_select.c - doppel select SELECT.yaml: which of many models the data are for (PEtab Select). */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

const cli_option cli_options_select[] = {
    {"--criterion", "NAME", "AIC, AICc or BIC instead of the file's"},
    {"--search", "NAME", "brute_force, forward, backward or famos instead of the file's method"},
    {"--starts", "N", "starts of each fit (20)"},
    {"--most", "N", "models that may be fitted (1000)"},
    {"--table", "FILE", "the models that were fitted"},
    {"--seed", "N", "of the starts (1)"},
    {"--method", "NAME", "an integrator as of simulate (ensemble)"},
    {"--rtol", "X", "relative tolerance (1e-8)"},
    {"--atol", "X", "absolute tolerance (1e-12)"},
    {"--search-rtol", "X", "tolerance of the searches; the best optima are polished with --rtol (1e-6)"},
    {"--json", NULL, "JSON instead of text"},
    {"--threads", "N", "threads; results do not depend on it"},
    {0}};

static void show_progress(void *user, int done, const char *id, double criterion) {
  (void)user;
  fprintf(stderr, "\r%d models fitted, %s: %.8g   ", done, id, criterion);
  fflush(stderr);
}

static bool read_options(cli_call *call, dp_select_def *def) {
  long long seed = 1;
  if (!cli_count(call, "--starts", 1, &def->nstart) || !cli_count(call, "--most", 1, &def->max_models)) return false;
  if (!cli_integer(call, "--seed", &seed)) return false;
  if (!cli_number(call, "--rtol", &def->problem.rtol) || !cli_number(call, "--atol", &def->problem.atol)) return false;
  if (!cli_number(call, "--search-rtol", &def->search_rtol)) return false;
  def->seed = (uint64_t)seed;
  def->criterion = cli_get(call, "--criterion");
  def->method = cli_get(call, "--search");
  if (cli_has(call, "--method")) def->problem.method = cli_get(call, "--method");
  if (isatty(STDERR_FILENO)) def->progress = show_progress;
  return true;
}

/* Models by criterion; those that could not be fitted last. */
static int *by_criterion(const dp_selection *s) {
  int *at = malloc((size_t)(s->nmodel + 1) * sizeof *at);
  for (int k = 0; at && k < s->nmodel; k++) {
    int i = k;
    for (; i > 0 && s->model[at[i - 1]].criterion > s->model[k].criterion; i--) at[i] = at[i - 1];
    at[i] = k;
  }
  return at;
}

static void write_text(const dp_selection *s, const int *at) {
  const int rows = s->nmodel < 20 ? s->nmodel : 20;
  printf("%d of %.0f models fitted, %s by %s\n\n%-24s %6s %14s %14s %8s %10s  %s\n", s->nmodel, s->nspace, s->method,
         s->criterion, "model", "params", "llh", s->criterion, "delta", "weight", "predecessor");
  for (int i = 0; i < rows; i++) {
    const dp_select_model *m = &s->model[at[i]];
    const char *before = m->predecessor >= 0 ? s->model[m->predecessor].id : "";
    if (!isfinite(m->criterion) && isfinite(m->llh))
      printf("%-24s %6d %14.8g %s\n", m->id, m->nestimated, m->llh, m->reason);
    else if (!isfinite(m->criterion))
      printf("%-24s could not be fitted: %s\n", m->id, m->reason);
    else
      printf("%-24s %6d %14.8g %14.8g %8.3f %10.4g  %s\n", m->id, m->nestimated, m->llh, m->criterion,
             m->criterion - s->model[s->best].criterion, m->weight, before);
  }
  if (rows < s->nmodel) printf("... and %d more\n", s->nmodel - rows);
  if (s->best < 0) return;
  printf("\nthe best one, %s (%s):\n", s->model[s->best].id, s->model[s->best].problem);
  for (int k = 0; k < s->nparam; k++) printf("%-24s %s\n", s->param[k], s->model[s->best].value[k]);
}

static void write_json(const dp_selection *s, const int *at) {
  cli_json_named("{\"criterion\": ", s->criterion);
  cli_json_named(", \"method\": ", s->method);
  printf(", \"space\": %.0f,\n \"models\": [", s->nspace);
  for (int i = 0; i < s->nmodel; i++) {
    const dp_select_model *m = &s->model[at[i]];
    cli_json_named(i ? ",\n  {\"model_id\": " : "\n  {\"model_id\": ", m->id);
    cli_json_named(", \"model_subspace_id\": ", m->subspace);
    cli_json_named(", \"petab_yaml\": ", m->problem);
    printf(", \"estimated\": %d, \"turn\": %d", m->nestimated, m->turn);
    cli_json_named(", \"predecessor\": ", m->predecessor >= 0 ? s->model[m->predecessor].id : "");
    cli_json_exact(", \"j\": ", m->j);
    cli_json_exact(", \"llh\": ", m->llh);
    cli_json_exact(", \"AIC\": ", m->aic);
    cli_json_exact(", \"AICc\": ", m->aicc);
    cli_json_exact(", \"BIC\": ", m->bic);
    cli_json_exact(", \"weight\": ", m->weight);
    cli_json_named(", \"reason\": ", m->reason);
    printf(", \"parameters\": {");
    for (int k = 0; k < s->nparam; k++) {
      cli_json_named(k ? ", " : "", s->param[k]);
      cli_json_named(": ", m->value[k]);
    }
    printf("}}");
  }
  printf("]}\n");
}

/* A number of the table; empty where there is none. */
static void cell(FILE *out, double v) {
  if (isfinite(v)) fprintf(out, "\t%.17g", v);
  else fprintf(out, "\t");
}

static int write_table(const cli_call *call, const dp_selection *s, const int *at, const char *path) {
  FILE *out = fopen(path, "w");
  if (!out) return cli_usage(call, "%s can't be written", path);
  fprintf(out, "model_id\tmodel_subspace_id\tpetab_yaml\testimated\tj\tllh\tAIC\tAICc\tBIC\tweight\tturn\tpredecessor");
  for (int k = 0; k < s->nparam; k++) fprintf(out, "\t%s", s->param[k]);
  fprintf(out, "\n");
  for (int i = 0; i < s->nmodel; i++) {
    const dp_select_model *m = &s->model[at[i]];
    const double v[] = {m->j, m->llh, m->aic, m->aicc, m->bic};
    fprintf(out, "%s\t%s\t%s\t%d", m->id, m->subspace, m->problem, m->nestimated);
    for (int k = 0; k < 5; k++) cell(out, v[k]);
    fprintf(out, "\t%.6g\t%d\t%s", m->weight, m->turn, m->predecessor >= 0 ? s->model[m->predecessor].id : "");
    for (int k = 0; k < s->nparam; k++) fprintf(out, "\t%s", m->value[k]);
    fprintf(out, "\n");
  }
  return fclose(out) == 0 ? 0 : cli_usage(call, "%s could not be written to its end", path);
}

int cmd_select(cli_call *call) {
  dp_select_def def = dp_select_def_default();
  dp_selection *s = NULL;
  if (call->nplain != 1) return cli_usage(call, "expected one SELECT.yaml, found %d arguments", call->nplain);
  if (!read_options(call, &def)) return 2;
  int code = cli_has(call, "--table") ? cli_writable(cli_get(call, "--table")) : 0;
  if (code) return code;
  CLI_TRY(call, dp_select_run(call->ctx, call->plain[0], &def, &s));
  if (def.progress) fprintf(stderr, "\n");
  int *at = by_criterion(s);
  if (!at) code = cli_failed(call, DP_ERR_MEMORY);
  if (code == 0 && cli_has(call, "--table")) code = write_table(call, s, at, cli_get(call, "--table"));
  if (code == 0) {
    if (cli_has(call, "--json")) write_json(s, at);
    else write_text(s, at);
    if (s->best < 0) code = dp_status_exit_code(DP_ERR_CONVERGE);
  }
  free(at);
  dp_selection_destroy(s);
  return code;
}
