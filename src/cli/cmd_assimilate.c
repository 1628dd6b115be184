/* cmd_assimilate.c - doppel assimilate: one person, or a calibration problem, observation by observation, each one
 * forecast
 * before it is read. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/assimilate_plot.h"
#include "cli/cli.h"
#include "cli/observation_row.h"

const cli_option cli_options_assimilate[] = {
    CLI_PATIENT_OPTION,
    {"--method", "NAME", "ibis (default), smc2 (sensors that drift), enkf, esrf (Kalman ensembles: approximate, fast)"},
    {"--sensor", "SPEC",
     "how an observable is measured, e.g. 'cp,law=student,dof=4,scale=0.5,drift=0.3,rate=0.1': law normal, "
     "lognormal, laplace or student; drift: its diffusion per root of time, sd0 at the start, rate back to 0"},
    {"--from-batch", "TIME", "start from the belief that the batch method has at this time, not from the prior"},
    {"--until", "TIME", "read observations up to this time; later ones are only forecast"},
    {"--late", "N", "observation N of the record comes last; may be repeated"},
    {"--missing", "N", "observation N of the record is missing; may be repeated"},
    {"--particles", "N", "particles or members (1000)"},
    {"--inner", "N", "smc2: particles of each drift filter at the start (50)"},
    {"--seed", "N", "seed of all random streams (1)"},
    CLI_PRIORS_OPTION,
    {"--plot", "FILE.svg", "forecast bands and measurements"},
    {"--table", "FILE", "PROBLEM: draws of the posterior after the last one, as sample --table writes them"},
    {"--rtol", "X", "PROBLEM: relative tolerance (1e-8)"},
    {"--atol", "X", "PROBLEM: absolute tolerance (1e-12)"},
    {"--max-steps", "N", "PROBLEM: of a simulation; a point that needs more has likelihood 0 (10000)"},
    {"--json", NULL, "one JSON object"},
    {"--ndjson", NULL, "a JSON object a line, each as soon as its observation was read"},
    {"--threads", "N", "threads; results do not depend on it"},
    {"--twins", "DIR", "a further folder with kinds"},
    {0}};

typedef struct task {
  cli_call *call;
  dp_problem *problem; /* or a kind: */
  dp_kind *kind;
  dp_study *study; /* for the person's prior: made without the person, as run makes it */
  dp_record *record;
  dp_belief *batch;
  dp_assimilation *a;
  dp_assimilation_def def;
  dp_sensor sensor[16];
  char text[16][64]; /* observables of the sensors */
  double until, from_batch;
  cli_assimilate_row *row;
  int nrow;
} task;

/* ---- options ---- */

static bool sensor_number(const char *part, const char *name, double *out, bool *bad) {
  size_t n = strlen(name);
  if (strncmp(part, name, n) != 0 || part[n] != '=') return false;
  char *end;
  *out = strtod(part + n + 1, &end);
  *bad = end == part + n + 1 || *end || !isfinite(*out);
  return true;
}

static int sensor_part(task *t, dp_sensor *s, const char *part) {
  static const char *const law[] = {"", "normal", "lognormal", "laplace", "student"};
  bool bad = false;
  if (strncmp(part, "law=", 4) == 0) {
    for (int k = 1; k < 5; k++)
      if (strcmp(part + 4, law[k]) == 0) {
        s->law = (dp_sensor_law)k;
        return 0;
      }
    return cli_usage(t->call, "option --sensor: law '%s', expected normal, lognormal, laplace or student", part + 4);
  }
  bool known = sensor_number(part, "dof", &s->dof, &bad) || sensor_number(part, "scale", &s->scale, &bad) ||
               sensor_number(part, "drift", &s->drift_diffusion, &bad) ||
               sensor_number(part, "rate", &s->drift_rate, &bad) || sensor_number(part, "sd0", &s->drift_sd, &bad);
  if (known && !bad) return 0;
  return cli_usage(
      t->call, "option --sensor: found '%s', expected law=, scale=, dof=, drift=, rate= or sd0= and a number", part);
}

/* cp,law=student,... */
static int read_sensor(task *t, const char *spec) {
  char copy[256];
  if (t->def.nsensor == 16) return cli_usage(t->call, "option --sensor: at most 16");
  if (strlen(spec) >= sizeof copy) return cli_usage(t->call, "option --sensor: '%.40s...' is too long", spec);
  strcpy(copy, spec);
  dp_sensor *s = &t->sensor[t->def.nsensor];
  *s = (dp_sensor){.scale = NAN, .dof = 4};
  char *rest = copy;
  for (int k = 0; rest; k++) {
    char *part = rest, *comma = strchr(rest, ',');
    rest = comma ? comma + 1 : NULL;
    if (comma) *comma = 0;
    if (k == 0) {
      snprintf(t->text[t->def.nsensor], sizeof t->text[0], "%.63s", part);
      s->id = s->observable = t->text[t->def.nsensor];
      continue;
    }
    int code = sensor_part(t, s, part);
    if (code) return code;
  }
  t->def.nsensor++;
  t->def.sensor = t->sensor;
  return 0;
}

static int read_count(task *t, const char *name, int least, int *out) {
  long long n = *out;
  if (!cli_integer(t->call, name, &n)) return 2;
  if (n < least || n > 1000000)
    return cli_usage(t->call, "option %s: found %lld, expected %d to 1000000", name, n, least);
  *out = (int)n;
  return 0;
}

static int read_options(task *t) {
  cli_call *call = t->call;
  long long seed = 1;
  t->def = dp_assimilation_def_default();
  t->until = INFINITY;
  t->from_batch = NAN;
  if (cli_has(call, "--method")) t->def.method = cli_get(call, "--method");
  if (!cli_integer(call, "--seed", &seed) || !cli_number(call, "--until", &t->until) ||
      !cli_number(call, "--from-batch", &t->from_batch))
    return 2;
  t->def.seed = (uint64_t)seed;
  int code = read_count(t, "--particles", 10, &t->def.nparticle);
  if (code == 0) code = read_count(t, "--inner", 2, &t->def.ninner);
  for (int i = cli_each(call, "--sensor", -1); i >= 0 && code == 0; i = cli_each(call, "--sensor", i))
    code = read_sensor(t, call->given[i].value);
  if (code == 0 && cli_has(call, "--inner") && strcmp(t->def.method, "smc2") != 0)
    code = cli_usage(call, "option --inner belongs to --method smc2");
  if (code == 0 && cli_has(call, "--json") && cli_has(call, "--ndjson"))
    code = cli_usage(call, "option --json does not go with --ndjson");
  if (code == 0 && cli_has(call, "--plot")) code = cli_writable(cli_get(call, "--plot"));
  if (code == 0 && cli_has(call, "--table")) code = cli_writable(cli_get(call, "--table"));
  if (code == 0 && !cli_has(call, "--patient") && !cli_is_problem(call->plain[0])) code = cli_no_person(call);
  return code;
}

/* Options that would be passed over in silence. The table's help says which are a problem's. */
static int check_options(const cli_call *call) {
  static const char *const of_kind[] = {"--patient", "--sensor", "--from-batch", "--inner", "--priors", "--twins"};
  return cli_check_problem_options(call, of_kind, sizeof of_kind / sizeof *of_kind);
}

/* ---- the person, or the problem ---- */

static int open_problem(task *t) {
  cli_call *call = t->call;
  dp_problem_def def = dp_problem_def_default();
  def.max_steps = 10000;
  if (!cli_number(call, "--rtol", &def.rtol) || !cli_number(call, "--atol", &def.atol)) return 2;
  const int code = read_count(t, "--max-steps", 1, &def.max_steps);
  if (code) return code;
  CLI_TRY(call, dp_problem_open(call->ctx, call->plain[0], &def, &t->problem));
  t->def.ndraw = t->def.nparticle;
  CLI_TRY(call, dp_assimilation_problem(t->problem, &t->def, &t->a));
  return 0;
}

static const char *title_of(const task *t) {
  return t->problem ? dp_problem_describe(t->problem)->name : dp_kind_title(t->kind);
}

static const char *time_unit_of(const task *t) { return t->problem ? "" : dp_kind_time_unit(t->kind); }

static int open_person(task *t) {
  cli_call *call = t->call;
  const int subject = t->study->subject[0];
  const dp_prior *prior = t->study->prior[0];
  if (!isnan(t->from_batch)) {
    dp_assimilate_def def = dp_assimilate_def_default();
    def.seed = t->def.seed;
    def.discrepancy = 0;
    CLI_TRY(call, dp_assimilate(t->kind, t->record, subject, t->from_batch, prior, &def, &t->batch));
    t->def.belief = t->batch;
  }
  CLI_TRY(call, dp_assimilation_create(t->kind, t->record, subject, prior, &t->def, &t->a));
  return 0;
}

/* ---- going through the observations ---- */

static bool listed(const task *t, const char *option, int number) {
  for (int i = cli_each(t->call, option, -1); i >= 0; i = cli_each(t->call, option, i))
    if (atoi(t->call->given[i].value) == number) return true;
  return false;
}

static int check_numbers(task *t, const char *option, int n) {
  for (int i = cli_each(t->call, option, -1); i >= 0; i = cli_each(t->call, option, i)) {
    const char *text = t->call->given[i].value;
    int k = text[strspn(text, "0123456789")] ? 0 : atoi(text);
    if (k < 1 || k > n)
      return cli_usage(t->call, "option %s: found '%s', the record has observations 1 to %d", option,
                       t->call->given[i].value, n);
  }
  return 0;
}

static int by_value(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Mean, sd and central 90 % of column e of x [n x width]; draws have equal weights. */
static int summarise(const double *x, int n, int width, int e, double out[4]) {
  double mean = 0, square = 0, *v = malloc((size_t)n * sizeof *v);
  if (!v) return 3;
  for (int k = 0; k < n; k++) {
    v[k] = x[(size_t)k * (size_t)width + (size_t)e];
    mean += v[k] / n;
  }
  for (int k = 0; k < n; k++) square += (v[k] - mean) * (v[k] - mean);
  qsort(v, (size_t)n, sizeof *v, by_value);
  out[0] = mean;
  out[1] = n > 1 ? sqrt(square / (n - 1)) : 0;
  out[2] = v[(int)(0.05 * (n - 1) + 0.5)];
  out[3] = v[(int)(0.95 * (n - 1) + 0.5)];
  free(v);
  return 0;
}

static void row_json(const task *t, const cli_assimilate_row *r) {
  printf("{\"observation\": %d", r->number);
  cli_json_number(", \"time\": ", r->o.time);
  cli_json_named(", \"sensor\": ", dp_assimilation_sensor(t->a, r->o.sensor)->id);
  cli_json_number(", \"value\": ", r->o.value);
  printf(", \"censored\": %d, \"read\": %s, ", r->o.censored, r->read ? "true" : "false");
  cli_outlook_json(&r->outlook);
  printf(", \"inside90\": %s", r->outlook.inside90 < 0 ? "null" : r->outlook.inside90 ? "true" : "false");
  cli_json_number(", \"ess\": ", r->ess);
  cli_json_number(", \"ln_evidence\": ", r->evidence);
  printf(", \"belief\": {");
  for (int e = 0; e < r->nparam; e++) {
    cli_json_named(e ? ", " : "", dp_assimilation_parameter(t->a, e, NULL));
    cli_json_number(": {\"mean\": ", r->param[4 * e]);
    cli_json_number(", \"sd\": ", r->param[4 * e + 1]);
    cli_json_number(", \"q5\": ", r->param[4 * e + 2]);
    cli_json_number(", \"q95\": ", r->param[4 * e + 3]);
    printf("}");
  }
  printf("}}");
}

/* Of a row that was forecast: what is thought after it was read. */
static int belief_row(task *t, cli_assimilate_row *r) {
  dp_assimilation_report report;
  dp_belief *b = NULL;
  double *x = NULL;
  int code = 0, width = dp_assimilation_nparam(t->a), n = t->def.ndraw;
  dp_assimilation_judge(t->a, &report);
  r->ess = report.ess;
  r->evidence = report.evidence;
  r->nparam = width < CLI_ASSIMILATE_PARAMS ? width : CLI_ASSIMILATE_PARAMS;
  if (t->problem) {
    x = malloc((size_t)n * (size_t)width * sizeof *x);
    const dp_status st = x ? dp_assimilation_draws(t->a, x) : DP_ERR_MEMORY;
    if (st != DP_OK) code = cli_failed(t->call, st);
  } else {
    CLI_TRY(t->call, dp_assimilation_belief(t->a, &b));
    n = b->ndraw;
  }
  for (int e = 0; e < r->nparam && code == 0; e++)
    if (summarise(b ? b->individual : x, n, width, e, r->param + 4 * e)) code = cli_failed(t->call, DP_ERR_MEMORY);
  free(x);
  dp_belief_destroy(b);
  return code;
}

/* With sensors that drift time goes forward: what comes late can be read, but no longer be forecast. */
static bool is_over(const task *t, double time) {
  bool drifts = false, later = false;
  for (int k = 0; k < t->def.nsensor; k++)
    drifts = drifts || t->sensor[k].drift_sd > 0 || t->sensor[k].drift_diffusion > 0;
  for (int i = 0; i < t->nrow; i++) later = later || t->row[i].o.time > time;
  return drifts && later;
}

static dp_outlook no_outlook(void) {
  dp_outlook f = {.pit = NAN, .crps = NAN, .log_density = NAN, .inside90 = -1};
  for (int l = 0; l < DP_OUTLOOK_NLEVEL; l++) f.q[l] = NAN;
  return f;
}

/* Forecasts of what comes at one moment, then (where they are to be) all of it read. */
static int moment(task *t, const dp_observation *o, const int *which, int n) {
  cli_call *call = t->call;
  cli_assimilate_row *first = &t->row[t->nrow];
  dp_observation take[64];
  int ntake = 0, code = 0;
  for (int i = 0; i < n; i++) {
    cli_assimilate_row *r = &first[i];
    bool missing = listed(t, "--missing", which[i] + 1);
    *r = (cli_assimilate_row){.o = o[which[i]], .number = which[i] + 1};
    if (missing) r->o.value = NAN;
    if (is_over(t, r->o.time)) r->outlook = no_outlook();
    else CLI_TRY(call, dp_assimilation_forecast(t->a, &r->o, &r->outlook));
    r->read = !missing && r->o.time <= t->until;
    if (r->read) take[ntake++] = r->o;
  }
  if (ntake) CLI_TRY(call, dp_assimilation_read(t->a, take, ntake));
  for (int i = 0; i < n && code == 0; i++) {
    code = i ? 0 : belief_row(t, first);
    cli_assimilate_row *r = &first[i];
    r->nparam = first->nparam;
    r->ess = first->ess;
    r->evidence = first->evidence;
    memcpy(r->param, first->param, sizeof r->param);
    t->nrow++;
    if (code || !cli_has(call, "--ndjson")) continue;
    row_json(t, r);
    printf("\n");
    fflush(stdout);
  }
  return code;
}

/* --from-batch T: something must come after T. */
static int check_after(task *t, const dp_observation *o, int n) {
  double last = -INFINITY;
  for (int k = 0; k < n; k++) last = fmax(last, o[k].time);
  if (!t->batch || last > t->from_batch) return 0;
  return cli_usage(t->call,
                   "option --from-batch: all %d observations of subject %s lie at or before %g %s (the last at %g): "
                   "nothing is left to be read",
                   n, t->record->subject[t->study->subject[0]].id, t->from_batch, time_unit_of(t), last);
}

static int all(task *t) {
  int n = 0, code;
  const dp_observation *o = dp_assimilation_record(t->a, &n);
  t->row = calloc((size_t)n + 1, sizeof *t->row);
  if (!t->row) return cli_failed(t->call, DP_ERR_MEMORY);
  code = check_after(t, o, n);
  if (code == 0) code = check_numbers(t, "--late", n);
  if (code == 0) code = check_numbers(t, "--missing", n);
  for (int late = 0; late < 2; late++)
    for (int k = 0; k < n && code == 0;) {
      int which[64], m = 0;
      double time = o[k].time;
      for (; k < n && m < 64 && o[k].time == time && (m == 0 || o[k].order == o[which[0]].order); k++)
        if (listed(t, "--late", k + 1) == late && !(t->batch && time <= t->from_batch)) which[m++] = k;
      if (m) code = moment(t, o, which, m);
    }
  return code;
}

/* ---- what is printed ---- */

/* Of a problem's parameters what is thought in the end; of a person's each row has its own. */
static void print_parameters(const task *t) {
  const cli_assimilate_row *last = t->nrow ? &t->row[t->nrow - 1] : NULL;
  const int all = dp_assimilation_nparam(t->a);
  if (!t->problem || !last) return;
  printf("\n%-36s %12s %12s %12s %12s\n", "parameter, on its scale", "mean", "sd", "5 %", "95 %");
  for (int e = 0; e < last->nparam; e++) {
    const char *unit, *id = dp_assimilation_parameter(t->a, e, &unit);
    char name[80];
    snprintf(name, sizeof name, "%.60s (%s)", id, unit[0] ? unit : "lin");
    printf("%-36s %12.5g %12.5g %12.5g %12.5g\n", name, last->param[4 * e], last->param[4 * e + 1],
           last->param[4 * e + 2], last->param[4 * e + 3]);
  }
  if (all > last->nparam) printf("and %d more: --table FILE writes all of them\n", all - last->nparam);
}

static void print_head(const task *t, const dp_assimilation_report *r, int wide) {
  printf("%s", title_of(t));
  if (!t->problem) printf(", subject %s", t->record->subject[t->study->subject[0]].id);
  printf(": %d observations by %s, %d particles%s\n\n", r->nread, r->method, r->nparticle,
         t->batch ? ", from the batch belief" : "");
  printf("%4s %10s %-*s %s", "", t->problem ? "time" : time_unit_of(t), wide, "sensor", CLI_OUTLOOK_HEAD);
  for (int e = 0; !t->problem && t->nrow && e < t->row[0].nparam; e++) {
    const char *unit, *id = dp_assimilation_parameter(t->a, e, &unit);
    printf("  %10.10s %-19.19s", id, unit);
  }
  printf("\n");
}

static void print_table(const task *t, const dp_assimilation_report *r) {
  int inside = 0, scored = 0, wide = 8;
  double crps = 0;
  for (int k = 0; k < dp_assimilation_nsensor(t->a) && t->problem; k++) {
    const int n = (int)strlen(dp_assimilation_sensor(t->a, k)->id);
    wide = n > wide ? (n < 32 ? n : 32) : wide;
  }
  print_head(t, r, wide);
  for (int i = 0; i < t->nrow; i++) {
    const cli_assimilate_row *s = &t->row[i];
    const dp_outlook *f = &s->outlook;
    printf("%4d %10.5g %-*.*s ", s->number, s->o.time, wide, wide, dp_assimilation_sensor(t->a, s->o.sensor)->id);
    cli_outlook_text(&s->o, f, "came late", s->ess);
    for (int e = 0; e < s->nparam && !t->problem; e++)
      printf("  %10.4g %9.4g..%-8.4g", s->param[4 * e], s->param[4 * e + 2], s->param[4 * e + 3]);
    printf("%s\n", s->read ? "" : "  (not read)");
    if (f->inside90 < 0) continue;
    scored++;
    inside += f->inside90;
    crps += f->crps;
  }
  if (scored)
    printf("\n%d of %d within their 90 %% forecast band (* outside), mean CRPS %.4g\n", inside, scored, crps / scored);
  print_parameters(t);
  if (t->problem) printf("\n");
  printf("ln evidence %.6g, least effective %.4g of %d, %d rejuvenations", r->evidence, r->ess_least, r->nparticle,
         r->nrejuvenate);
  if (r->ninner) printf(", %d inner particles", r->ninner);
  if (r->nlate) printf(", %d late (started again %d times)", r->nlate, r->nrestart);
  printf("\n%s: %s\n", r->usable ? "may be used" : "NOT fit for use", r->verdict);
}

static void print_verdict(const dp_assimilation_report *r) {
  cli_json_named("\"method\": ", r->method);
  printf(", \"particles\": %d, \"read\": %d, \"late\": %d, \"restarts\": %d, \"rejuvenations\": %d", r->nparticle,
         r->nread, r->nlate, r->nrestart, r->nrejuvenate);
  cli_json_number(", \"ln_evidence\": ", r->evidence);
  cli_json_number(", \"ess_least\": ", r->ess_least);
  printf(", \"usable\": %s", r->usable ? "true" : "false");
  cli_json_named(", \"verdict\": ", r->verdict);
}

/* As sample --table has it: one chain. The likelihood of a draw is not known. */
static int write_draws(task *t, const char *path) {
  const int n = t->def.ndraw, width = dp_assimilation_nparam(t->a);
  double *x = malloc((size_t)n * (size_t)width * sizeof *x);
  const dp_status st = x ? dp_assimilation_draws(t->a, x) : DP_ERR_MEMORY;
  FILE *out = st == DP_OK ? fopen(path, "w") : NULL;
  if (!out) {
    free(x);
    return st == DP_OK ? cli_usage(t->call, "%s can't be written", path) : cli_failed(t->call, st);
  }
  fprintf(out, "chain\tdraw\tllh\tlog_prior");
  for (int q = 0; q < width; q++) fprintf(out, "\t%s", dp_assimilation_parameter(t->a, q, NULL));
  fprintf(out, "\n");
  for (int i = 0; i < n; i++) {
    fprintf(out, "1\t%d\tnan\tnan", i + 1);
    for (int q = 0; q < width; q++) {
      const char *scale;
      dp_assimilation_parameter(t->a, q, &scale);
      const dp_problem_scale s = !scale[0] ? DP_SCALE_LIN : scale[1] == 'n' ? DP_SCALE_LOG : DP_SCALE_LOG10;
      fprintf(out, "\t%.17g", dp_problem_unscale(s, x[(size_t)i * (size_t)width + (size_t)q]));
    }
    fprintf(out, "\n");
  }
  free(x);
  return fclose(out) == 0 ? 0 : cli_usage(t->call, "%s could not be written to its end", path);
}

static int show(task *t) {
  dp_assimilation_report r;
  int code = 0;
  dp_assimilation_judge(t->a, &r);
  if (cli_has(t->call, "--plot"))
    code = cli_plot_assimilate(cli_get(t->call, "--plot"), title_of(t), time_unit_of(t), t->a, t->row, t->nrow);
  if (code == 0 && cli_has(t->call, "--table")) code = write_draws(t, cli_get(t->call, "--table"));
  if (code) return code;
  if (cli_has(t->call, "--ndjson")) {
    printf("{");
    print_verdict(&r);
    printf("}\n");
  } else if (cli_has(t->call, "--json")) {
    cli_json_named(t->problem ? "{\"problem\": " : "{\"kind\": ", t->problem ? title_of(t) : dp_kind_id(t->kind));
    if (!t->problem) cli_json_named(", \"subject\": ", t->record->subject[t->study->subject[0]].id);
    if (!t->problem) cli_json_named(", \"time_unit\": ", time_unit_of(t));
    printf(", ");
    print_verdict(&r);
    printf(",\n \"observations\": [");
    for (int i = 0; i < t->nrow; i++) {
      printf(i ? ",\n  " : "\n  ");
      row_json(t, &t->row[i]);
    }
    printf("]}\n");
  } else {
    print_table(t, &r);
  }
  return r.usable ? 0 : dp_status_exit_code(DP_ERR_CONVERGE);
}

int cmd_assimilate(cli_call *call) {
  static task t; /* one command a process */
  char dir[1024];
  t = (task){.call = call};
  if (call->nplain != 1) return cli_usage(call, "assimilate needs one KIND or PROBLEM.yaml, found %d", call->nplain);
  int code = check_options(call);
  if (code == 0) code = read_options(&t);
  if (code == 0 && cli_is_problem(call->plain[0])) {
    code = open_problem(&t);
  } else if (code == 0) {
    code = cli_kind_dir(call, call->plain[0], dir);
    if (code) return code;
    CLI_TRY(call, dp_kind_load(call->ctx, dir, &t.kind));
    code = cli_person(call, t.kind, dir, &t.record, &t.study);
    if (code == 0) code = open_person(&t);
  }
  if (code == 0) code = all(&t);
  if (code == 0) code = show(&t);
  free(t.row);
  dp_assimilation_destroy(t.a);
  dp_problem_close(t.problem);
  dp_belief_destroy(t.batch);
  dp_study_destroy(t.study);
  dp_record_destroy(t.record);
  dp_kind_destroy(t.kind);
  return code;
}
