/* cmd_sensitivity.c - doppel sensitivity MODEL: which parameters the outputs depend on. Model, times, doses and laws
 * of parameters are given as to doppel simulate. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/sensitivity_plot.h"
#include "cli/simulate.h"

const cli_option cli_options_sensitivity[] = {
    {"--vary", "ID=DIST",
     "an input's law: normal(m,s), lognormal(median,s), uniform(a,b), loguniform(a,b), factor(f): log-uniform from "
     "value/f to "
     "value*f; all=factor(f): every parameter that is not 0; may be repeated"},
    {"--method", "NAME", "sobol (default), morris or shapley"},
    {"--members", "N",
     "rows of the net (sobol), trajectories (morris), permutations (shapley) (1024). Runs: N x (inputs + 2), "
     "N x (inputs + 1), 3 N x (inputs - 1) and 1024"},
    {"--second", NULL, "sobol: second order too; N x (2 inputs + 2) runs"},
    {"--estimator", "NAME", "sobol, first order: saltelli (default) or jansen (better where first orders are large)"},
    {"--correlate", "ID,ID=R",
     "correlation of two inputs (of their normal scores): for shapley, or within a group; may be repeated"},
    {"--group", "ID,ID,...", "inputs that are explained as one; may be repeated"},
    {"--replicates", "N",
     "morris, shapley: bootstrap replicates behind the intervals (400); sobol leaves out one of 4 to 16 independent "
     "nets at a time. 0: no intervals"},
    {"--level", "P", "of the intervals (0.95)"},
    {"--output", "FORMULA", "a quantity to explain; may be repeated (all species)"},
    {"--times", "T,T,...", "times at which it is explained"},
    SIMULATE_OPTIONS,
    {"--plot", "FILE.svg", "bars with intervals, a panel for each output and time"},
    {"-o", "csv|json", "form of the answer (csv)"},
    {"--json", NULL, "same as -o json"},
    {"--threads", "N", "threads; results do not depend on it"},
    {0}};

static const char *const methods[] = {"sobol", "morris", "shapley"};

typedef struct question {
  simulation s;
  dp_sensitivity_def def;
  dp_input_def *input; /* owned */
  double *correlation; /* owned, or NULL */
} question;

/* --times is simulate's --at; --method here is not the integrator; --members has a default. */
static int translate(cli_call *call, question *q) {
  long long seed = 1, boot = 400, members = 1024;
  q->def = dp_sensitivity_def_default();
  const char *method = cli_get(call, "--method"), *estimator = cli_get(call, "--estimator");
  int m = 0;
  while (method && m < 3 && strcmp(methods[m], method) != 0) m++;
  if (m == 3) return cli_usage(call, "option --method: found '%s', expected sobol, morris or shapley", method);
  if (estimator && strcmp(estimator, "saltelli") != 0 && strcmp(estimator, "jansen") != 0)
    return cli_usage(call, "option --estimator: found '%s', expected saltelli or jansen", estimator);
  if (!cli_integer(call, "--seed", &seed) || !cli_integer(call, "--replicates", &boot) ||
      !cli_integer(call, "--members", &members) || !cli_number(call, "--level", &q->def.level))
    return 2;
  if (boot > 100000 || members < 2 || members > 100000000)
    return cli_usage(call, "expected 2 to 100000000 --members and at most 100000 --replicates");
  q->def.method = (dp_sensitivity_method)m;
  q->def.estimator = estimator && estimator[0] == 'j' ? DP_ESTIMATOR_JANSEN : DP_ESTIMATOR_SALTELLI;
  q->def.second = cli_has(call, "--second");
  q->def.seed = (uint64_t)seed;
  q->def.nboot = (int)boot;
  q->def.nsample = (int)members;
  cli_as(call, "--times", "--at");
  cli_as(call, "--method", NULL);
  if (!cli_has(call, "--members")) cli_give(call, "--members", "1024");
  return cli_has(call, "--vary") ? 0 : cli_usage(call, "nothing varies: give --vary ID=DIST or --vary all=factor(f)");
}

/* The input whose id stands in text up to one of `ends`; -1 after a message. */
static int find_input(cli_call *call, const question *q, const char *option, const char **text, const char *ends) {
  size_t n = strcspn(*text, ends);
  for (int k = 0; k < q->def.ninput; k++)
    if (strlen(q->input[k].id) == n && strncmp(q->input[k].id, *text, n) == 0) {
      *text += n;
      return k;
    }
  cli_usage(call, "option %s: '%.*s' is no input: name it by --vary", option, (int)n, *text);
  return -1;
}

static int read_correlation(cli_call *call, question *q, const char *text) {
  const char *at = text;
  char *end;
  int i = find_input(call, q, "--correlate", &at, ",=");
  if (i < 0) return 2;
  if (*at++ != ',') return cli_usage(call, "option --correlate: found '%s', expected ID,ID=R", text);
  int j = find_input(call, q, "--correlate", &at, ",=");
  if (j < 0) return 2;
  double r = *at == '=' ? strtod(at + 1, &end) : NAN;
  if (!(fabs(r) < 1) || *end || i == j)
    return cli_usage(call, "option --correlate: found '%s', expected ID,ID=R with R between -1 and 1", text);
  q->correlation[i * q->def.ninput + j] = q->correlation[j * q->def.ninput + i] = r;
  return 0;
}

static int read_group(cli_call *call, question *q, const char *text, int number) {
  for (const char *at = text; *at; at += *at == ',') {
    int k = find_input(call, q, "--group", &at, ",");
    if (k < 0) return 2;
    if (q->input[k].group) return cli_usage(call, "option --group: %s is in two groups", q->input[k].id);
    q->input[k].group = number;
  }
  return 0;
}

static int make_inputs(cli_call *call, question *q) {
  size_t n = (size_t)q->s.nvaried;
  int code = 0, number = 0;
  q->input = calloc(n, sizeof *q->input);
  q->correlation = calloc(n * n, sizeof *q->correlation);
  if (!q->input || !q->correlation) return dp_status_exit_code(DP_ERR_MEMORY);
  for (size_t k = 0; k < n; k++) {
    q->input[k] = simulate_input(&q->s.varied[k]);
    q->correlation[k * n + k] = 1;
  }
  q->def.input = q->input;
  q->def.ninput = (int)n;
  if (cli_has(call, "--correlate")) q->def.correlation = q->correlation;
  for (int i = cli_each(call, "--correlate", -1); i >= 0 && !code; i = cli_each(call, "--correlate", i))
    code = read_correlation(call, q, call->given[i].value);
  for (int i = cli_each(call, "--group", -1); i >= 0 && !code; i = cli_each(call, "--group", i))
    code = read_group(call, q, call->given[i].value, ++number);
  return code;
}

/* ---- the answer ---- */

static void csv_text(const char *text) {
  bool quote = strpbrk(text, ",\"") != NULL;
  if (quote) putchar('"');
  for (const char *c = text; *c; c++) printf(*c == '"' ? "\"\"" : "%c", *c);
  if (quote) putchar('"');
}

typedef struct printing {
  const question *q;
  const dp_sensitivity *a;
  bool begun;
  double time;
  const char *output;
} printing;

static void row(printing *p, const char *input, const char *other, const char *measure, dp_estimate e) {
  bool json = p->q->s.json;
  char name[600];
  snprintf(name, sizeof name, "%s%s%s", input, other ? ":" : "", other ? other : "");
  if (json) printf("%s\n[", p->begun ? "," : "");
  p->begun = true;
  simulate_number(p->time, json);
  for (int k = 0; k < 3; k++) {
    printf(",");
    (json ? cli_json_text : csv_text)(k == 0 ? p->output : k == 1 ? name : measure);
  }
  const double value[] = {e.value, e.low, e.high};
  for (int k = 0; k < 3; k++) {
    printf(",");
    simulate_number(value[k], json);
  }
  printf(json ? ",%d]" : ",%d\n", e.nused);
}

static void print_output(printing *p, int output, const dp_sensitivity_desc *d) {
  row(p, "", NULL, "mean", (dp_estimate){dp_sensitivity_mean(p->a, output), NAN, NAN, d->npoint - d->nfailed});
  row(p, "", NULL, "sd", (dp_estimate){dp_sensitivity_sd(p->a, output), NAN, NAN, d->npoint - d->nfailed});
  if (dp_sensitivity_constant(p->a, output)) {
    row(p, "", NULL, "constant: no indices", (dp_estimate){NAN, NAN, NAN, d->npoint - d->nfailed});
    return;
  }
  for (int g = 0; g < d->ngroup; g++)
    for (int m = 0; m < d->nmeasure; m++)
      row(p, d->group[g], NULL, d->measure[m], dp_sensitivity_value(p->a, output, g, m));
  for (int g = 1; g < d->ngroup && d->npair; g++)
    for (int h = 0; h < g; h++) row(p, d->group[h], d->group[g], "second", dp_sensitivity_pair(p->a, output, g, h));
}

static void print_answer(const question *q, const dp_sensitivity *a) {
  dp_sensitivity_desc d = dp_sensitivity_describe(a);
  printing p = {.q = q, .a = a};
  if (q->s.json)
    printf(
        "{\"method\":\"%s\",\n\"columns\":[\"time\",\"output\",\"input\",\"measure\",\"value\",\"low\",\"high\",\"n\"],"
        "\n\"rows\":[",
        methods[d.method]);
  else
    printf("time,output,input,measure,value,low,high,n\n");
  for (int t = 0; t < q->s.nwhen; t++)
    for (int c = 0; c < q->s.ncolumn; c++) {
      p.time = simulation_time(q->s.when[t].time);
      p.output = q->s.column[c].id;
      print_output(&p, t * q->s.ncolumn + c, &d);
    }
  if (!q->s.json) return;
  printf("],\n\"level\":");
  simulate_number(q->def.level, true);
  printf(",\"seed\":%llu,\"points\":%d,\"failed\":%d,\"reason\":", q->s.seed, d.npoint, d.nfailed);
  cli_json_text(d.reason);
  printf(",\"hash\":\"%s\"}\n", dp_sim_describe(q->s.sim)->hash);
}

/* "glucose at 60" for every output, in their order. */
static int plot(const question *q, const dp_sensitivity *a, const char *path) {
  int n = q->s.nwhen * q->s.ncolumn, code = dp_status_exit_code(DP_ERR_MEMORY);
  char(*text)[160] = calloc((size_t)n + 1, sizeof *text);
  const char **title = calloc((size_t)n + 1, sizeof *title);
  for (int i = 0; text && title && i < n; i++) {
    snprintf(text[i], sizeof text[i], "%.120s at %g", q->s.column[i % q->s.ncolumn].id,
             simulation_time(q->s.when[i / q->s.ncolumn].time));
    title[i] = text[i];
  }
  if (text && title) code = cli_plot_sensitivity(path, a, n, title);
  free(text);
  free(title);
  return code;
}

static int answer(cli_call *call, question *q) {
  dp_sensitivity *a = NULL;
  dp_member base = q->s.member;
  base.param = q->s.param;
  q->def.rtol = q->s.rtol;
  q->def.atol = q->s.atol;
  CLI_TRY(call, dp_sensitivity_sim(call->ctx, q->s.sim, &base, &q->def, &a));
  dp_sensitivity_desc d = dp_sensitivity_describe(a);
  print_answer(q, a);
  if (d.nfailed)
    fprintf(stderr, "doppel: %d of %d points failed and what needs them is left out; the first: %s\n", d.nfailed,
            d.npoint, d.reason);
  bool none = d.nfailed == d.npoint;
  int code = cli_has(call, "--plot") ? plot(q, a, cli_get(call, "--plot")) : 0;
  dp_sensitivity_destroy(a);
  if (code) return code;
  return none ? dp_status_exit_code(DP_ERR_NUMERIC) : 0;
}

int cmd_sensitivity(cli_call *call) {
  static question q;
  if (call->nplain != 1) return cli_usage(call, "sensitivity needs one MODEL, found %d", call->nplain);
  int code = cli_has(call, "--plot") ? cli_writable(cli_get(call, "--plot")) : 0;
  if (!code) code = translate(call, &q);
  if (!code) code = simulate_prepare(call, &q.s);
  if (!code) code = make_inputs(call, &q);
  if (!code) code = answer(call, &q);
  simulate_release(&q.s);
  free(q.input);
  free(q.correlation);
  return code;
}
