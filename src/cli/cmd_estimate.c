/* cmd_estimate.c - doppel fit PROBLEM.yaml, doppel profile, doppel sample: what a calibration problem's data say. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/estimate_plot.h"
#include "cli/quantity.h"

const cli_option cli_options_profile[] = {
    {"--from", "FILE",
     "an optimum: a table with the columns parameter and value, as fit --table writes; else a fit is made first"},
    {"--starts", "N", "starts of that fit (100)"},
    {"--prediction", "OBSERVABLE@TIME",
     "a profile of this quantity: an observable or a formula, OBSERVABLE@EXPERIMENT:T,T,... where there are several; "
     "may be repeated"},
    {"--level", "P", "of the intervals (0.95)"},
    {"--table", "FILE", "all points of all profiles"},
    {"--plot", "FILE.svg", "the profiles"},
    {"--seed", "N", "of the starts (1)"},
    CLI_PROBLEM_OPTIONS,
    {0}};

const cli_option cli_options_sample[] = {
    {"--sampler", "NAME", "nuts (default), tempering, smc, laplace"},
    {"--chains", "N", "chains; smc: repeats"},
    {"--warmup", "N", "draws of a chain that are not kept (nuts: with a relative tolerance of 1e-6)"},
    {"--draws", "N", "draws kept of a chain; smc: particles"},
    {"--from", "FILE", "places to start from, as fit --table writes; else a fit is made first (not for smc)"},
    {"--starts", "N", "starts of that fit (100)"},
    {"--resume", "FILE",
     "what was drawn so far is kept there, and gone on from (without: PROBLEM.sample in this folder, until all are "
     "drawn)"},
    {"--table", "FILE", "all draws, values as in the parameter table"},
    {"--seed", "N", "(1)"},
    CLI_PROBLEM_OPTIONS,
    {0}};

typedef struct task {
  cli_call *call;
  dp_problem *problem, *coarse; /* coarse: for searches, NULL: none */
  const dp_problem_desc *d;
  dp_problem_def def;
  dp_fit *fit;
  double *place; /* [nplace x nparam] where to begin */
  int nplace;
  char spare[256]; /* a state file that nobody asked for; "": none */
} task;

#define MAX_STEPS 10000  /* far from the data parameters may be stiff beyond use: such points count as not evaluable */
#define SEARCH_STEPS 3000 /* with a search's tolerance */
#define SEARCH_RTOL 1e-6

static const char *const scale_name[] = {"lin", "ln", "log10"};

static double value_of(const task *t, int q, const double *x) { return dp_problem_unscale(t->d->scale[q], x[q]); }

/* ---- JSON ---- */

/* ---- options ---- */

static bool seed_of(cli_call *call, uint64_t *seed) {
  long long n = 1;
  if (!cli_integer(call, "--seed", &n)) return false;
  *seed = (uint64_t)n;
  return true;
}

static int open_problem(task *t) {
  cli_call *call = t->call;
  dp_problem_def def = dp_problem_def_default();
  def.rtol = 1e-8;
  def.atol = 1e-12;
  if (call->nplain < 1) return cli_usage(call, "expected a PROBLEM.yaml");
  def.max_steps = MAX_STEPS;
  if (!cli_number(call, "--rtol", &def.rtol) || !cli_number(call, "--atol", &def.atol)) return 2;
  if (!cli_count(call, "--max-steps", 0, &def.max_steps)) return 2;
  if (cli_has(call, "--method")) def.method = cli_get(call, "--method");
  static const char *const written[] = {"--table", "--plot"};
  for (int i = 0; i < 2; i++) {
    const int code = cli_has(call, written[i]) ? cli_writable(cli_get(call, written[i])) : 0;
    if (code) return code;
  }
  t->def = def;
  CLI_TRY(call, dp_problem_open(call->ctx, call->plain[0], &def, &t->problem));
  t->d = dp_problem_describe(t->problem);
  if (t->d->nparam < 1) return cli_usage(call, "%s: no parameter is estimated", t->d->name);
  return 0;
}

static void close_task(task *t) {
  free(t->place);
  dp_fit_destroy(t->fit);
  dp_problem_close(t->coarse);
  dp_problem_close(t->problem);
}

/* ---- fit ---- */

static void show_progress(void *user, int done, int of, double best) {
  (void)user;
  fprintf(stderr, "\r%d of %d starts, best J %.8g   ", done, of, best);
  if (done == of) fprintf(stderr, "\n");
  fflush(stderr);
}

/* Searches need fewer digits than answers do. */
static int open_coarse(task *t) {
  dp_problem_def def = t->def;
  double rtol = SEARCH_RTOL;
  if (!cli_number(t->call, "--search-rtol", &rtol)) return 2;
  if (!(rtol > t->def.rtol)) return 0;
  def.rtol = rtol;
  if (!cli_has(t->call, "--max-steps")) def.max_steps = SEARCH_STEPS;
  CLI_TRY(t->call, dp_problem_open(t->call->ctx, t->call->plain[0], &def, &t->coarse));
  return 0;
}

/* A state file where none was asked for, so that nothing is lost by Ctrl-C or worse: PROBLEM.fit in this folder, or the
 * first number behind it that is free. "": the folder can't be written. */
static void spare_file(task *t, const char *what) {
  const size_t room = sizeof t->spare;
  int n = snprintf(t->spare, room, "%.200s.%s", t->d->name, what);
  for (int k = 2; k < 1000 && access(t->spare, F_OK) == 0; k++)
    n = snprintf(t->spare, room, "%.200s.%s-%d", t->d->name, what, k);
  if (n < 0 || (size_t)n >= room || access(t->spare, F_OK) == 0 || access(".", W_OK) != 0) t->spare[0] = 0;
}

/* What was done is done: nobody goes on from the spare file. */
static void drop_spare(task *t) {
  char more[sizeof t->spare + 16];
  if (!t->spare[0]) return;
  snprintf(more, sizeof more, "%s.scatter", t->spare);
  unlink(t->spare);
  unlink(more);
  t->spare[0] = 0;
}

/* The state file: as --resume says, else a spare one, or NULL. */
static const char *state_file(task *t, const char *what) {
  if (cli_has(t->call, "--resume")) return cli_get(t->call, "--resume");
  spare_file(t, what);
  return t->spare[0] ? t->spare : NULL;
}

/* After a failure. Stopped by Ctrl-C: where what was found lies, and how to go on. */
static int kept(task *t, dp_status status, const char *file) {
  const int code = cli_failed(t->call, status);
  const bool stopped = status == DP_ERR_CANCELLED, there = file && access(file, F_OK) == 0;
  if (!stopped) drop_spare(t);
  if (stopped && there && t->spare[0])
    fprintf(stderr,
            "        what was found so far is kept in %s: the same command with --resume %s goes on from there\n", file,
            file);
  else if (stopped && there)
    fprintf(stderr, "        what was found so far is kept in %s: the same command goes on from there\n", file);
  else if (stopped)
    fprintf(stderr, "        nothing was kept%s\n", file ? " so far" : "");
  return code;
}

static int run_fit(task *t, const char *resume) {
  cli_call *call = t->call;
  dp_problem_fit_def def = dp_problem_fit_def_default();
  int points = 0;
  def.file = resume;
  const int code = open_coarse(t);
  if (code) return code;
  def.coarse = t->coarse;
  def.nominal = cli_has(call, "--nominal");
  if (cli_has(call, "--sampling")) def.sampling = cli_get(call, "--sampling");
  if (cli_has(call, "--hessian")) def.hessian = cli_get(call, "--hessian");
  if (cli_has(call, "--search")) def.search = cli_get(call, "--search");
  if (isatty(STDERR_FILENO)) def.progress = show_progress;
  if (!cli_number(call, "--seconds", &def.max_cpu) || !cli_count(call, "--batch", 0, &def.batch) ||
      !cli_count(call, "--screen", 0, &def.screen) || !cli_count(call, "--points", 0, &points))
    return 2;
  def.points = points;
  if (!cli_count(call, "--starts", 0, &def.nstart) || !cli_count(call, "--iterations", 0, &def.max_iterations) ||
      !seed_of(call, &def.seed))
    return 2;
  dp_status status = dp_problem_fit(t->problem, &def, &t->fit);
  return status == DP_OK ? 0 : kept(t, status, resume);
}

static void fit_text(const task *t) {
  const dp_fit *f = t->fit;
  const dp_fit_optimum *o = &f->optimum[0];
  printf("%s: %d estimated parameters, %d measurements\n", t->d->name, f->nparam, t->d->ndatum);
  printf("J %.10g   llh %.10g   log prior %.10g   AIC %.8g", o->j, o->llh, o->log_prior, f->aic);
  if (isfinite(f->aicc)) printf("   AICc %.8g", f->aicc);
  printf("   BIC %.8g\n", f->bic);
  if (!isfinite(f->aicc)) printf("AICc is not defined: %d observations, %d parameters\n", t->d->ndatum, f->nparam);
  if (isfinite(f->j_nominal)) printf("nominal point: J %.10g\n", f->j_nominal);
  else if (isinf(f->j_nominal))
    printf("nominal point: the likelihood can't be evaluated there: %s\n", f->nominal_reason);
  if (f->nended < f->nstart)
    printf("the processor time allowed was spent: %d of %d searches have ended\n", f->nended, f->nstart);
  printf(
      "%d starts: %d ended somewhere, %d distinct optima, %.0f %% within 0.1 of the best; %ld points, %ld of them not "
      "evaluable\n\n",
      f->nstart, f->nfound, f->noptimum, 100 * f->hit_rate, f->neval, f->nfailed);
  if (f->nglobal)
    printf("search over the whole box: %ld points; the searches above began where it led\n\n", f->nglobal);
  if (f->nscatter)
    printf("scatter search: %d searches in %d generations from J %.10g on; it ended because %s\n\n", f->nscatter,
           f->ngeneration, f->j_starts,
           f->scatter_ended ? "nothing better was found any more" : "the processor time was spent");
  printf("%-28s %6s %16s %12s %12s\n", "parameter", "scale", "value", "on scale", "sd on scale");
  for (int q = 0; q < f->nparam; q++) {
    printf("%-28s %6s %16.8g %12.6g ", t->d->id[q], scale_name[t->d->scale[q]], value_of(t, q, o->x), o->x[q]);
    if (o->at[q])
      printf("%12s\n", o->at[q] < 0 ? "lower bound" : "upper bound");
    else if (isfinite(o->sd[q]))
      printf("%12.4g\n", o->sd[q]);
    else
      printf("%12s\n", "open");
  }
  if (f->rank < f->nparam && f->rank_words[0]) printf("\n%s", f->rank_words);
  printf("\n%6s %14s %8s %6s %8s  %s\n", "start", "J - best", "optimum", "steps", "points", "ended because");
  for (int i = 0; i < f->nstart && i < 12; i++) {
    const dp_fit_start *s = &f->start[i];
    if (!isfinite(s->j)) break;
    printf("%6d %14.6g %8d %6d %8ld  %s\n", s->start + 1, s->j - o->j, s->optimum + 1, s->niter, s->neval, s->end);
  }
}

static void fit_json(const task *t) {
  const dp_fit *f = t->fit;
  const dp_fit_optimum *o = &f->optimum[0];
  cli_json_named("{\"problem\": ", t->d->name);
  cli_json_exact(",\n \"j\": ", o->j);
  cli_json_exact(", \"llh\": ", o->llh);
  cli_json_exact(", \"log_prior\": ", o->log_prior);
  cli_json_exact(", \"aic\": ", f->aic);
  cli_json_exact(", \"aicc\": ", f->aicc);
  cli_json_exact(", \"bic\": ", f->bic);
  printf(",\n \"starts\": %d, \"found\": %d, \"optima\": %d, \"points\": %ld, \"not_evaluable\": %ld", f->nstart,
         f->nfound, f->noptimum, f->neval, f->nfailed);
  printf(", \"ended\": %d", f->nended);
  printf(", \"points_of_global_search\": %ld", f->nglobal);
  printf(", \"scatter_searches\": %d, \"scatter_generations\": %d, \"scatter_ended\": %s", f->nscatter, f->ngeneration,
         f->scatter_ended ? "true" : "false");
  cli_json_exact(", \"j_starts\": ", f->j_starts);
  cli_json_exact(", \"hit_rate\": ", f->hit_rate);
  cli_json_exact(", \"nominal_j\": ", f->j_nominal);
  printf(",\n \"parameters\": {");
  for (int q = 0; q < f->nparam; q++) {
    cli_json_named(q ? ",\n  " : "\n  ", t->d->id[q]);
    cli_json_exact(": {\"value\": ", value_of(t, q, o->x));
    cli_json_named(", \"scale\": ", scale_name[t->d->scale[q]]);
    cli_json_exact(", \"on_scale\": ", o->x[q]);
    cli_json_exact(", \"sd_on_scale\": ", o->sd[q]);
    cli_json_named(", \"bound\": ", o->at[q] < 0 ? "lower" : o->at[q] > 0 ? "upper" : "");
    printf("}");
  }
  printf("},\n \"determined_directions\": %d,\n \"waterfall\": [", f->rank);
  for (int i = 0; i < f->nstart; i++) {
    const dp_fit_start *s = &f->start[i];
    printf("%s{\"start\": %d", i ? ",\n  " : "\n  ", s->start + 1);
    cli_json_exact(", \"j\": ", s->j);
    printf(", \"optimum\": %d, \"steps\": %d, \"points\": %ld", s->optimum + 1, s->niter, s->neval);
    cli_json_named(", \"end\": ", s->end);
    printf("}");
  }
  printf("]}\n");
}

/* Optima, best first: what --from reads. */
static int fit_table(const task *t, const char *path) {
  FILE *out = fopen(path, "w");
  if (!out) return cli_usage(t->call, "%s can't be written", path);
  fprintf(out, "optimum\tj\tstarts\tparameter\tscale\tvalue\ton_scale\tsd_on_scale\n");
  for (int k = 0; k < t->fit->noptimum; k++)
    for (int q = 0; q < t->d->nparam; q++) {
      const dp_fit_optimum *o = &t->fit->optimum[k];
      fprintf(out, "%d\t%.17g\t%d\t%s\t%s\t%.17g\t%.17g\t%.6g\n", k + 1, o->j, o->count, t->d->id[q],
              scale_name[t->d->scale[q]], value_of(t, q, o->x), o->x[q], o->sd[q]);
    }
  return fclose(out) == 0 ? 0 : cli_usage(t->call, "%s could not be written to its end", path);
}

/* One search over the whole box keeps nothing to go on from. */
static bool over_the_box(const cli_call *call) {
  const char *search = cli_get(call, "--search");
  return search && strcmp(search, "starts") != 0 && strcmp(search, "scatter") != 0;
}

int cmd_fit_problem(cli_call *call) {
  task t = {.call = call};
  int code = open_problem(&t);
  if (code == 0 && cli_has(call, "--dry-run")) {
    printf("would fit %d parameters of %s to %d measurements\n", t.d->nparam, t.d->name, t.d->ndatum);
    close_task(&t);
    return 0;
  }
  if (code == 0) code = run_fit(&t, over_the_box(call) ? cli_get(call, "--resume") : state_file(&t, "fit"));
  if (code == 0) drop_spare(&t);
  if (code == 0 && cli_has(call, "--table")) code = fit_table(&t, cli_get(call, "--table"));
  if (code == 0 && cli_has(call, "--plot")) code = cli_plot_fit(cli_get(call, "--plot"), t.d, t.fit);
  if (code == 0) {
    if (cli_has(call, "--json")) fit_json(&t);
    else fit_text(&t);
  }
  close_task(&t);
  return code;
}

/* ---- where to begin ---- */

/* A table of fit: one more place each time the column optimum changes. */
static int read_places(task *t, const char *path) {
  char line[4096];
  int last = -1, row = 1, code = cli_readable(path);
  if (code) return code;
  FILE *in = fopen(path, "r");
  if (!in) return cli_usage(t->call, "option --from: %s can't be read", path);
  const size_t n = (size_t)t->d->nparam;
  if (!fgets(line, sizeof line, in) || strncmp(line, "optimum\tj\t", 10) != 0)
    code = cli_usage(t->call, "option --from: %s is not a table that fit --table wrote", path);
  while (code == 0 && fgets(line, sizeof line, in)) {
    int optimum = 0;
    char id[1024] = "";
    double value;
    row++;
    if (sscanf(line, "%d\t%*s\t%*s\t%1023s\t%*s\t%lf", &optimum, id, &value) != 3) {
      code = cli_usage(t->call, "%s:%d: expected optimum, j, starts, parameter, scale, value", path, row);
      break;
    }
    const int q = dp_problem_param(t->problem, id);
    if (q < 0) {
      code = cli_usage(t->call, "%s:%d: '%s' is not an estimated parameter of %s", path, row, id, t->d->name);
      break;
    }
    if (optimum != last) {
      double *more = realloc(t->place, (size_t)(t->nplace + 1) * n * sizeof *more);
      if (!more) {
        code = cli_failed(t->call, DP_ERR_MEMORY);
        break;
      }
      t->place = more;
      for (size_t k = 0; k < n; k++) t->place[n * (size_t)t->nplace + k] = t->d->nominal[k];
      t->nplace++;
      last = optimum;
    }
    t->place[n * (size_t)(t->nplace - 1) + (size_t)q] = dp_problem_rescale(t->d->scale[q], value);
  }
  fclose(in);
  if (code == 0 && t->nplace == 0) code = cli_usage(t->call, "option --from: %s has no rows", path);
  return code;
}

/* From the table, or from a fit. At most `most` places. */
static int find_places(task *t, int most) {
  if (cli_has(t->call, "--from")) return read_places(t, cli_get(t->call, "--from"));
  const int code = run_fit(t, NULL);
  if (code) return code;
  const size_t n = (size_t)t->d->nparam;
  t->nplace = t->fit->noptimum < most ? t->fit->noptimum : most;
  t->place = malloc((size_t)t->nplace * n * sizeof *t->place);
  if (!t->place) return cli_failed(t->call, DP_ERR_MEMORY);
  for (int k = 0; k < t->nplace; k++) memcpy(t->place + n * (size_t)k, t->fit->optimum[k].x, n * sizeof *t->place);
  return 0;
}

/* ---- profile ---- */

/* What the numbers of a profile are on; a quantity is as it is. */
static dp_problem_scale scale_of(const task *t, const dp_limit *p) {
  return p->param < 0 ? DP_SCALE_LIN : t->d->scale[p->param];
}

static void limit_text(const task *t, const dp_limits *l) {
  printf("%s: likelihood profiles, J %.10g at the optimum, intervals where it rises by %.4g\n", t->d->name, l->j,
         l->threshold);
  if (l->nbetter)
    printf("a better optimum was met on the way %d times, last on that of %s; what follows is about the best one\n",
           l->nbetter, l->better);
  const bool only = l->n > 0 && l->limit[0].param < 0;
  printf("\n%-28s %14s %14s %14s  %s\n", only ? "prediction" : "parameter", "optimum", "lower", "upper", "");
  for (int i = 0; i < l->n; i++) {
    const dp_limit *p = &l->limit[i];
    const dp_problem_scale s = scale_of(t, p);
    printf("%-28s %14.6g ", p->name, dp_problem_unscale(s, p->at));
    if (isfinite(p->lower)) printf("%14.6g ", dp_problem_unscale(s, p->lower));
    else printf("%14s ", "-");
    if (isfinite(p->upper)) printf("%14.6g  ", dp_problem_unscale(s, p->upper));
    else printf("%14s  ", "-");
    if (p->param < 0) printf("%s: ", p->verdict);
    printf("%s\n", p->words);
  }
}

/* Profiles of parameters, or of quantities, as one JSON object. */
static void limits_json(const task *t, const dp_limits *l, bool quantities) {
  int shown = 0;
  for (int i = 0; i < l->n; i++) {
    const dp_limit *p = &l->limit[i];
    const dp_problem_scale s = scale_of(t, p);
    if ((p->param < 0) != quantities) continue;
    cli_json_named(shown++ ? ",\n  " : "\n  ", p->name);
    cli_json_exact(": {\"optimum\": ", dp_problem_unscale(s, p->at));
    cli_json_exact(", \"lower\": ", isfinite(p->lower) ? dp_problem_unscale(s, p->lower) : NAN);
    cli_json_exact(", \"upper\": ", isfinite(p->upper) ? dp_problem_unscale(s, p->upper) : NAN);
    cli_json_named(", \"verdict\": ", p->verdict);
    if (quantities) cli_json_named(", \"reason\": ", p->words);
    printf(", \"profile\": [");
    for (int k = 0; k < p->npoint; k++) {
      cli_json_exact(k ? ",[" : "[", dp_problem_unscale(s, p->point[k].at));
      cli_json_exact(",", p->point[k].j);
      printf("]");
    }
    printf("]}");
  }
}

static void limit_json(const task *t, const dp_limits *l) {
  cli_json_named("{\"problem\": ", t->d->name);
  cli_json_exact(", \"j\": ", l->j);
  cli_json_exact(", \"threshold\": ", l->threshold);
  printf(", \"better_optima_met\": %d, \"points\": %ld,\n \"profiles\": {", l->nbetter, l->neval);
  limits_json(t, l, false);
  printf("}");
  if (l->n > 0 && l->limit[l->n - 1].param < 0) {
    printf(",\n \"predictions\": {");
    limits_json(t, l, true);
    printf("}");
  }
  printf("}\n");
}

static int limit_table(const task *t, const dp_limits *l, const char *path) {
  FILE *out = fopen(path, "w");
  if (!out) return cli_usage(t->call, "%s can't be written", path);
  fprintf(out, "parameter\tvalue\ton_scale\tj\n");
  for (int i = 0; i < l->n; i++)
    for (int k = 0; k < l->limit[i].npoint; k++) {
      const dp_limit *p = &l->limit[i];
      fprintf(out, "%s\t%.17g\t%.17g\t%.17g\n", p->name, dp_problem_unscale(scale_of(t, p), p->point[k].at),
              p->point[k].at, p->point[k].j);
    }
  return fclose(out) == 0 ? 0 : cli_usage(t->call, "%s could not be written to its end", path);
}

static int profile(task *t, const cli_quantities *quantities) {
  cli_call *call = t->call;
  dp_problem_limits_def def = dp_problem_limits_def_default();
  def.quantity = quantities->list;
  def.nquantity = quantities->n;
  int param[CLI_MAX_PLAIN];
  if (!cli_number(call, "--level", &def.level)) return 2;
  for (int i = 1; i < call->nplain; i++) {
    param[def.n] = dp_problem_param(t->problem, call->plain[i]);
    if (param[def.n++] >= 0) continue;
    return cli_no_parameter(call, "", call->plain[i], t->d);
  }
  if (def.n) def.param = param;
  int code = find_places(t, 10);
  if (code) return code;
  def.other = t->place + t->d->nparam;
  def.nother = t->nplace - 1;
  dp_limits *l = NULL;
  CLI_TRY(call, dp_problem_limits(t->problem, t->place, &def, &l));
  if (cli_has(call, "--table")) code = limit_table(t, l, cli_get(call, "--table"));
  if (code == 0 && cli_has(call, "--plot")) code = cli_plot_limits(cli_get(call, "--plot"), t->d, l);
  if (code == 0) {
    if (cli_has(call, "--json")) limit_json(t, l);
    else limit_text(t, l);
  }
  dp_limits_destroy(l);
  return code;
}

int cmd_profile(cli_call *call) {
  task t = {.call = call};
  cli_quantities quantities = {0};
  int code = cli_read_quantities(call, "--prediction", &quantities);
  if (code == 0) code = open_problem(&t);
  if (code == 0) code = profile(&t, &quantities);
  cli_drop_quantities(&quantities);
  close_task(&t);
  return code;
}

/* ---- sample ---- */

static void sample_text(const task *t, const dp_sample *s, const char *sampler) {
  printf("%s: %d chains of %d draws by %s, %ld points\n%s: %s\n", t->d->name, s->nchain, s->ndraw, sampler, s->neval,
         s->usable ? "may be used" : "NOT fit for use", s->verdict);
  if (isfinite(s->evidence)) printf("ln evidence %.6g +- %.3g\n", s->evidence, s->evidence_error);
  printf("\n%-28s %12s %12s %12s %12s %12s %7s %8s %8s\n", "parameter, on its scale", "mean", "sd", "5 %", "median",
         "95 %", "R-hat", "ESS", "ESS tail");
  for (int q = 0; q < s->nparam; q++) {
    const dp_sample_param *p = &s->param[q];
    char id[80];
    snprintf(id, sizeof id, "%s (%s)", s->id[q], scale_name[s->scale[q]]);
    printf("%-28s %12.5g %12.5g %12.5g %12.5g %12.5g ", id, p->mean, p->sd, p->q05, p->q50, p->q95);
    if (isfinite(p->rhat)) printf("%7.3f %8.0f %8.0f\n", p->rhat, p->ess_bulk, p->ess_tail);
    else printf("%7s %8s %8s\n", "-", "-", "-");
  }
}

static void sample_json(const task *t, const dp_sample *s, const char *sampler) {
  cli_json_named("{\"problem\": ", t->d->name);
  cli_json_named(", \"sampler\": ", sampler);
  printf(", \"chains\": %d, \"draws\": %d, \"points\": %ld, \"usable\": %s", s->nchain, s->ndraw, s->neval,
         s->usable ? "true" : "false");
  cli_json_named(",\n \"verdict\": ", s->verdict);
  cli_json_exact(",\n \"rhat\": ", s->rhat);
  cli_json_exact(", \"ess_bulk\": ", s->ess_bulk);
  cli_json_exact(", \"ess_tail\": ", s->ess_tail);
  cli_json_exact(", \"divergent\": ", s->divergent);
  cli_json_exact(", \"khat\": ", s->khat);
  cli_json_exact(", \"ln_evidence\": ", s->evidence);
  cli_json_exact(", \"ln_evidence_error\": ", s->evidence_error);
  printf(",\n \"parameters\": {");
  for (int q = 0; q < s->nparam; q++) {
    const dp_sample_param *p = &s->param[q];
    cli_json_named(q ? ",\n  " : "\n  ", s->id[q]);
    cli_json_named(": {\"scale\": ", scale_name[s->scale[q]]);
    cli_json_exact(", \"mean\": ", p->mean);
    cli_json_exact(", \"sd\": ", p->sd);
    cli_json_exact(", \"mcse\": ", p->mcse);
    cli_json_exact(", \"q05\": ", p->q05);
    cli_json_exact(", \"q25\": ", p->q25);
    cli_json_exact(", \"q50\": ", p->q50);
    cli_json_exact(", \"q75\": ", p->q75);
    cli_json_exact(", \"q95\": ", p->q95);
    cli_json_exact(", \"rhat\": ", p->rhat);
    cli_json_exact(", \"ess_bulk\": ", p->ess_bulk);
    cli_json_exact(", \"ess_tail\": ", p->ess_tail);
    printf("}");
  }
  printf("}}\n");
}

static int sample_table(const task *t, const dp_sample *s, const char *path) {
  FILE *out = fopen(path, "w");
  if (!out) return cli_usage(t->call, "%s can't be written", path);
  fprintf(out, "chain\tdraw\tllh\tlog_prior");
  for (int q = 0; q < s->nparam; q++) fprintf(out, "\t%s", s->id[q]);
  fprintf(out, "\n");
  for (int c = 0; c < s->nchain; c++)
    for (int i = 0; i < s->ndraw; i++) {
      const size_t at = (size_t)c * (size_t)s->ndraw + (size_t)i;
      fprintf(out, "%d\t%d\t%.17g\t%.17g", c + 1, i + 1, s->llh[at], s->log_prior[at]);
      for (int q = 0; q < s->nparam; q++)
        fprintf(out, "\t%.17g", dp_problem_unscale(s->scale[q], s->x[at * (size_t)s->nparam + (size_t)q]));
      fprintf(out, "\n");
    }
  return fclose(out) == 0 ? 0 : cli_usage(t->call, "%s could not be written to its end", path);
}

static int sample(task *t) {
  cli_call *call = t->call;
  dp_problem_sample_def def = dp_problem_sample_def_default();
  const char *resume = cli_get(call, "--resume");
  if (cli_has(call, "--sampler")) def.method = cli_get(call, "--sampler");
  if (!cli_count(call, "--chains", 0, &def.nchain) || !cli_count(call, "--warmup", 0, &def.nwarmup) ||
      !cli_count(call, "--draws", 0, &def.ndraw) || !seed_of(call, &def.seed))
    return 2;
  const bool laplace = strcmp(def.method, "laplace") == 0;
  if (resume && laplace)
    return cli_usage(call, "option --resume: laplace is done at once and keeps no file");
  int code = strcmp(def.method, "smc") == 0 ? 0 : find_places(t, 4);
  if (code) return code;
  def.start = t->place;
  def.nstart = t->nplace;
  if (strcmp(def.method, "nuts") == 0) {
    if (!t->coarse && (code = open_coarse(t)) != 0) return code;
    def.coarse = t->coarse;
  }
  dp_sample *s = NULL;
  def.file = laplace ? NULL : state_file(t, "sample");
  dp_status status = dp_problem_sample(t->problem, &def, &s);
  if (status != DP_OK) return kept(t, status, def.file);
  drop_spare(t);
  if (cli_has(call, "--table")) code = sample_table(t, s, cli_get(call, "--table"));
  if (code == 0) {
    if (cli_has(call, "--json")) sample_json(t, s, def.method);
    else sample_text(t, s, def.method);
    code = s->usable ? 0 : dp_status_exit_code(DP_ERR_CONVERGE);
  }
  dp_sample_destroy(s);
  return code;
}

int cmd_sample(cli_call *call) {
  task t = {.call = call};
  if (call->nplain > 1) return cli_usage(call, "expected one PROBLEM.yaml, found %d arguments", call->nplain);
  int code = open_problem(&t);
  if (code == 0) code = sample(&t);
  close_task(&t);
  return code;
}
