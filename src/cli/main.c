/* main.c - the program `doppel`: the table of commands and the way to them. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"

static const cli_command commands[] = {
    {"run", NULL, "KIND", "the whole loop: observe, assimilate, forecast, score, decide; writes a report",
     "Runs every person of the kind's own record, or of --patient, each under a prior made without that person.",
     cli_options_run, cmd_run},
    {"assimilate", NULL, "KIND|PROBLEM.yaml",
     "one person observation by observation: forecast, score, belief after each reading",
     "Each observation is forecast from all before it, then read; late and missing ones, outliers and drifting sensors "
     "are taken as they are. PROBLEM.yaml (PEtab): the measurements of all its experiments in the order of time; what "
     "is "
     "believed in the end is the posterior that sample draws from. Exit 6 when the particles are not fit for use.",
     cli_options_assimilate, cmd_assimilate},
    {"forecast", NULL, "KIND", "what would happen to one person under a plan, or under several side by side",
     "Each --plan is a branch of the same twin: the same draws, the same measurement noise. Fans of all observables "
     "and quantities, the kind's limits and rewards, P(one better than the other), and what would have to be true for "
     "another plan to win. Doses that the record has later than --until are not given. Exit 6 when the belief is not "
     "fit for use.",
     cli_options_forecast, cmd_forecast},
    {"plan", NULL, "KIND",
     "the plan that the kind's reward and limits would have for one person, and why; or none because ...",
     "Searches the plans that reward.yaml allows on what is believed of the person at --until; the proposed one is "
     "scored again on fresh draws. Explained by terms, limits, drivers, and what would have to be true for another "
     "plan to win. Exit 6 when the belief is not fit for use.",
     cli_options_plan, cmd_plan},
    {"twin", "list", "", "kinds of twin that can be found", NULL, cli_options_kind, cmd_twin_list},
    {"twin", "show", "KIND", "what a kind is: question, model, parameters, limits",
     "KIND: an id, a folder, a NONMEM control stream (FILE.ctl, FILE.mod), or a calibration problem (PROBLEM.yaml).",
     cli_options_kind, cmd_twin_show},
    {"twin", "new", "ID", "a new kind from the template; runs at once",
     "--from FILE.ctl: from a NONMEM control stream, as the folder of the kind that is read from it.", cli_options_new,
     cmd_twin_new},
    {"twin", "validate", "KIND", "published figures beside ours", NULL, cli_options_kind, cmd_twin_validate},
    {"fit", NULL, "KIND|PROBLEM.yaml",
     "point estimates: a population by marginal likelihood, a calibration problem by many starts",
     "KIND (also a NONMEM control stream): everybody's typical values and covariances; --leave-one-out writes "
     "everybody's prior. PROBLEM.yaml (PEtab): "
     "trust-region searches from many places, distinct optima, standard deviations, what the data leave open.",
     cli_options_fit, cmd_fit},
    {"vpc", NULL, "KIND", "visual predictive check: does a population's law make data like the observed?",
     "The whole data set is simulated many times: the same people, doses and times, effects and errors drawn. In bins "
     "of time, percentiles of the observed values beside the interval in which nine of ten simulated data sets have "
     "theirs.",
     cli_options_vpc, cmd_vpc},
    {"profile", NULL, "PROBLEM.yaml [ID...]",
     "likelihood profiles of a calibration problem: intervals, and what is not identifiable",
     "Along each parameter all others are optimised again, until the data object or a bound is met. --prediction: the "
     "same along a quantity of interest, in any experiment, at any time. Without ID: all parameters, or only the "
     "predictions.",
     cli_options_profile, cmd_profile},
    {"sample", NULL, "PROBLEM.yaml", "the posterior of a calibration problem as draws, with a verdict",
     "Exit 6 when the draws are not fit for use: R-hat, effective sizes, divergences or weights say so.",
     cli_options_sample, cmd_sample},
    {"select", NULL, "SELECT.yaml", "which of many models the data are for: a PEtab Select problem",
     "Each model is one choice of what is estimated; models are fitted and compared by AIC, AICc or BIC: all of them, "
     "or forward or backward from the best one so far, or both ways, sideways and by jumps (famos). Weights sum to 1 "
     "over "
     "the models fitted.",
     cli_options_select, cmd_select},
    {"compare", NULL, "PROBLEM.yaml PROBLEM.yaml...",
     "which of several models of the same data predicts best, and all together",
     "Draws of each posterior; expected log predictive density by leave-one-out and WAIC, evidence; weights by "
     "stacking "
     "and by evidence; predictions averaged over the models. Exit 6 when some draws are not fit for use.",
     cli_options_compare, cmd_compare},
    {"simulate", NULL, "MODEL", "a model over time, with doses, many members, jumps, bands; or its fluxes",
     "Bands over any number of members take memory that does not grow with them. mpirun -n N doppel simulate ... "
     "shares the members among N processes: the same bytes. Ctrl-C ends with the bands over the members done so far.",
     cli_options_simulate, cmd_simulate},
    {"sensitivity", NULL, "MODEL",
     "which parameters a model's outputs depend on: Sobol indices, Morris effects, Shapley shares",
     "One row a time, output, input and measure, with an interval. sobol: first (share of the variance that goes when "
     "the input "
     "becomes known), total (share that stays when all others are known). morris: mu, mu_star, sigma of the change "
     "from one end of the input's range to the other. shapley: shares that sum to 1, also of correlated inputs.",
     cli_options_sensitivity, cmd_sensitivity},
    {"track", NULL, "MODEL", "the state of a model that changes at random, observation by observation",
     "Jumps, chemical Langevin or noise of its own (--noise): each observation is forecast from all before it, then "
     "read; beside it stands what the states are thought to be. With --vary parameters are learnt meanwhile. Exit 6 "
     "when the particles are not fit for use.",
     cli_options_track, cmd_track},
    {"gain", NULL, "KIND|PROBLEM.yaml",
     "which measurement would narrow a forecast most: of this person, or of a problem",
     "Every candidate is imagined many times from what is believed now, and the belief weighed anew by each: how much "
     "narrower "
     "the forecast is to be expected, and what is learnt of all parameters. PROBLEM.yaml (PEtab): what is believed is "
     "its "
     "posterior, by ibis as assimilate has it. Exit 6 when the belief is not fit for use.",
     cli_options_gain, cmd_gain},
    {"dose", NULL, "KIND",
     "the dose that brings one number of a person's path to where it is wanted",
     "An area, a peak, a trough, a time: found on the curve by root finding, at the most probable parameters. With it "
     "go the doses that the belief's draws would need, and the probability that the number comes to lie in a range "
     "under the one dose. Exit 6 when there is no such dose, or the belief is not fit for use.",
     cli_options_dose, cmd_dose},
    {"trial", NULL, "TRIAL.yaml",
     "a virtual trial: policies tried on many virtual people, with intervals and what stands behind it",
     "People from a table, a population's law or matched to a target; arms are policies: rules, plans, programs "
     "outside. Parallel arms, cross-over or the same people in every arm; drop-out, missing endpoints, power. Exit 6 "
     "when simulations failed.",
     cli_options_trial, cmd_trial},
    {"tune", NULL, "TUNING.yaml",
     "a person's settings of a rule of therapy, tuned on their twin; or that the present ones are kept, and why",
     "Every combination of the settings is rehearsed on draws of what is believed of the person, with the same inputs "
     "and readings; the file says what is better than the present settings, and which limits hold. The best ones are "
     "looked at again on fresh draws. Exit 6 when the belief is not fit for use, or simulations failed.",
     cli_options_tune, cmd_tune},
    {"surrogate", "fit", "MODEL|KIND", "a cheap stand-in for a model, which knows its own error and its domain",
     "A Gaussian process or polynomial chaos is trained on the model's outputs as functions of its parameters and "
     "tried at "
     "held-out points. Written if it is as accurate as asked (exit 6 if not), it takes a model's place in doppel "
     "simulate and "
     "doppel sensitivity: members draw its error, and what lies outside its domain or its times fails by name. Of a "
     "KIND "
     "(with --patient and --times): the person's observables as functions of their random effects, for surrogate "
     "forecast.",
     cli_options_surrogate, cmd_surrogate_fit},
    {"surrogate", "forecast", "KIND FILE", "a person's forecast through a surrogate, its error part of the uncertainty",
     "What is believed of the person at --until, by the model, goes through the surrogate that surrogate fit KIND "
     "--patient "
     "wrote for them. --compare: the same draws through the model. Exit 4 when it was trained for somebody else.",
     cli_options_surrogate_forecast, cmd_surrogate_forecast},
    {"surrogate", "show", "FILE", "a surrogate's inputs, outputs and errors", NULL, cli_options_surrogate_show,
     cmd_surrogate_show},
    {"model", "show", "FILE", "the equations of a model", NULL, cli_options_model, cmd_model_show},
    {"model", "check", "FILE", "is the model sound? exit 0 sound, 3 invalid, 7 unsupported",
     "Prints what the model is and needs to run, and what a careful reader would find: structure, units, "
     "conserved sums.",
     cli_options_check, cmd_model_check},
    {"model", "convert", "FILE", "a model in another language: Antimony <-> SBML",
     "What the other language says in other words, or not at all, is noted on standard error.", cli_options_convert,
     cmd_model_convert},
    {"data", "check", "FILE", "what would be read, mapped, refused, before anything is fitted", NULL, cli_options_data,
     cmd_data_check},
    {"petab", "eval", "PROBLEM.yaml", "a calibration problem (PEtab) at one point: likelihood, priors, gradient",
     "At the nominal parameters, or where --set says otherwise; each observable's part of the likelihood stands by "
     "itself.",
     cli_options_petab, cmd_petab_eval},
    {"suite", NULL, "NAME DIR",
     "run somebody else's test suite (nonmem, petab, petab-benchmark, petab-math, sbml, sbml-stochastic)", NULL,
     cli_options_suite, cmd_suite},
    {"bench", NULL, "[NAME]", "benchmarks (ensemble, calibration, loop, insulin)",
     "ensemble: many members of small models, parameters log-uniform within a factor 10, beside CVODE with compiled "
     "derivatives; times and errors of both. calibration: one objective and one gradient of calibration problems "
     "(tools/compare_calibration.py sets AMICI beside it). loop: days of virtual people under controllers, with the "
     "error of the integration. insulin: an experiment, twins of virtual people (docs/insulin.md); hours for all of "
     "them.",
     cli_options_bench, cmd_bench},
    {"glucose", NULL, "FILE", "time in range and the other consensus metrics of a sensor's readings",
     "FILE: CSV or TSV with times (numbers, or 2024-05-31 07:15) and readings; the unit is in the column's name, "
     "\"glucose (mmol/L)\", in a line #units: glucose=mmol/L, or --unit. Each reading counts once; only the profile "
     "fills gaps, of up to 45 min.",
     cli_options_glucose, cmd_glucose},
    {"doctor", NULL, "", "self-test of this machine and installation", NULL, cli_options_doctor, cmd_doctor},
    {0}};

const cli_command *cli_commands(void) { return commands; }

static dp_ctx *the_context;
dp_ctx *cli_context(void) { return the_context; }
static const char *the_cache;
const char *cli_cache(void) { return the_cache; }

/* The first asks for an orderly end, a second one ends. */
static void on_interrupt(int sig) {
  signal(sig, SIG_DFL);
  if (the_context) dp_ctx_cancel(the_context);
}

static void log_line(void *user, int level, const char *line) {
  (void)user;
  if (level <= 1) fprintf(stderr, "doppel: %s%s\n", level == 1 ? "warning: " : "", line);
}

int cli_failed(cli_call *call, dp_status status) {
  const char *message = dp_ctx_error(call->ctx);
  fprintf(stderr, "doppel: %s\n", message[0] ? message : dp_status_sentence(status));
  const char *advice = dp_status_advice(status);
  if (advice[0]) fprintf(stderr, "        %s (%s)\n", dp_status_sentence(status), advice);
  return dp_status_exit_code(status);
}

/* Where kinds are looked for: --twins DIR, the environment's DOPPEL_TWINS, ./twins, the installation's. */
int cli_kind_dirs(const cli_call *call, const char *out[8]) {
  static char installed[1024];
  int n = 0;
  for (int i = cli_each(call, "--twins", -1); i >= 0 && n < 4; i = cli_each(call, "--twins", i))
    out[n++] = call->given[i].value;
  const char *env = getenv("DOPPEL_TWINS");
  if (env && env[0]) out[n++] = env;
  out[n++] = "twins";
  ssize_t len = readlink("/proc/self/exe", installed, sizeof installed - 32);
  if (len > 0) {
    installed[len] = 0;
    char *slash = strrchr(installed, '/');
    if (slash) {
      strcpy(slash, "/../share/doppel/twins");
      out[n++] = installed;
    }
  }
  return n;
}

int cli_kind_dir(cli_call *call, const char *name, char dir[1024]) {
  const char *dirs[8];
  int n = cli_kind_dirs(call, dirs);
  if (cli_is_problem(name))
    return cli_usage(call,
                     "'%s' is a calibration problem, not a KIND; those are for twin show, petab eval, fit, profile, "
                     "sample, compare, assimilate and gain",
                     name);
  for (int i = 0; i < n && name[0] == '_'; i++) { /* no list has templates: look for them by their path */
    char path[1024];
    struct stat st;
    int len = snprintf(path, sizeof path, "%s/%s", dirs[i], name);
    if (len < (int)sizeof path && stat(path, &st) == 0) {
      memcpy(dir, path, (size_t)len + 1);
      return 0;
    }
  }
  dp_status status = dp_kind_find(call->ctx, name, dirs, n, dir, 1024);
  if (status == DP_OK) return 0;
  if (status != DP_ERR_INPUT) return cli_failed(call, status);
  struct stat st;
  if (cli_names_file(name) && stat(name, &st) != 0) return cli_readable(name);
  fprintf(stderr, "doppel: %s; see: doppel twin list (--twins DIR adds a folder)\n", dp_ctx_error(call->ctx));
  return dp_status_exit_code(DP_ERR_USAGE);
}

/* The command for argv[1..]; *used words taken. Prints what is wrong when there is none. */
static const cli_command *find_command(int argc, char **argv, int *used) {
  const char *nouns[32];
  int n = 0;
  bool noun_seen = false;
  for (const cli_command *c = commands; c->noun; c++) {
    if (n == 0 || strcmp(nouns[n - 1], c->noun) != 0) nouns[n++] = c->noun;
    if (strcmp(c->noun, argv[1]) != 0) continue;
    noun_seen = true;
    if (!c->verb || (argc > 2 && strcmp(c->verb, argv[2]) == 0)) {
      *used = c->verb ? 2 : 1;
      return c;
    }
  }
  if (noun_seen) {
    const char *verbs[16];
    int m = 0;
    for (const cli_command *c = commands; c->noun; c++)
      if (strcmp(c->noun, argv[1]) == 0 && c->verb) verbs[m++] = c->verb;
    const char *near = argc > 2 ? cli_nearest(argv[2], verbs, m) : NULL;
    fprintf(stderr, "doppel: %s needs one of:", argv[1]);
    for (int i = 0; i < m; i++) fprintf(stderr, " %s", verbs[i]);
    fprintf(stderr, "%s%s%s\n", near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    return NULL;
  }
  const char *near = cli_nearest(argv[1], nouns, n);
  fprintf(stderr, "doppel: unknown command '%s'%s%s%s; see: doppel --help\n", argv[1], near ? "; did you mean '" : "",
          near ? near : "", near ? "'?" : "");
  return NULL;
}

static int nthread(const cli_call *call) {
  long long n = 0;
  if (cli_has(call, "--threads") && !cli_integer(call, "--threads", &n)) return -1;
  if (n > 0) return n > 256 ? 256 : (int)n;
  if (cli_nrank() > 1) return 1; /* as many ranks as processors are the custom */
  long cpus = sysconf(_SC_NPROCESSORS_ONLN);
  return cpus > 0 ? (int)cpus : 1;
}

/* The words of the command line with quotes where a shell needs them, so that the line can be run again. */
static char *typed_line(int argc, char **argv) {
  static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./,:@%^";
  size_t size = sizeof "doppel";
  for (int i = 1; i < argc; i++) size += 4 * strlen(argv[i]) + 3; /* a quote inside quotes takes four */
  char *line = malloc(size), *at = line;
  if (!line) return NULL;
  at += sprintf(at, "doppel");
  for (int i = 1; i < argc; i++) {
    bool quote = !argv[i][0] || strspn(argv[i], plain) != strlen(argv[i]);
    at += sprintf(at, quote ? " '" : " ");
    for (const char *c = argv[i]; *c; c++) at += *c == '\'' ? sprintf(at, "'\\''") : sprintf(at, "%c", *c);
    if (quote) at += sprintf(at, "'");
  }
  return line;
}

/* Everything has to have reached standard output; a full disk or closed pipe must not look like success. */
static int finish_output(int code) {
  if (fflush(stdout) == 0 && !ferror(stdout)) return code;
  fprintf(stderr, "doppel: standard output could not be written\n");
  return dp_status_exit_code(DP_ERR_IO);
}

/* Where machine code is kept between runs, NULL: nowhere. */
static const char *cache_folder(const cli_call *call, char *path, size_t size) {
  const char *asked = cli_get(call, "--cache"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  int n = -1;
  if (cli_has(call, "--no-cache")) return NULL;
  if (asked) return asked[0] ? asked : NULL;
  if (xdg && xdg[0] == '/')
    n = snprintf(path, size, "%s/doppel", xdg);
  else if (home && home[0] == '/')
    n = snprintf(path, size, "%s/.cache/doppel", home);
  return n > 0 && n < (int)size ? path : NULL;
}

static int out_of_memory(void) {
  fprintf(stderr, "doppel: out of memory\n");
  return dp_status_exit_code(DP_ERR_MEMORY);
}

static int dispatch(const cli_command *command, int argc, char **argv, int used) {
  static cli_call call;
  call.command = command;
  for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
    if (strcmp(argv[i], "--help") == 0) {
      cli_help(stdout, command);
      return 0;
    }
  int code = cli_parse(&call, argc - 1 - used, argv + 1 + used);
  if (code) return code;
  char cache[1024];
  dp_ctx_def def = dp_ctx_def_default();
  def.log = log_line;
  def.nthread = nthread(&call);
  def.ranks = cli_ranks();
  def.interpret = cli_has(&call, "--interpret");
  def.cache = the_cache = cache_folder(&call, cache, sizeof cache);
  if (def.nthread < 0) return dp_status_exit_code(DP_ERR_USAGE);
  call.line = typed_line(argc, argv);
  if (!call.line) return out_of_memory();
  if (dp_ctx_create(&def, &call.ctx) != DP_OK) {
    free(call.line);
    return out_of_memory();
  }
  the_context = call.ctx;
  signal(SIGINT, on_interrupt);
  if (cli_nrank() > 1) signal(SIGTERM, on_interrupt); /* what mpirun makes of Ctrl-C */
  code = command->run(&call);
  the_context = NULL;
  dp_ctx_destroy(call.ctx);
  free(call.line);
  return code;
}

static int run(int argc, char **argv) {
  if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
    cli_help(stdout, NULL);
    return 0;
  }
  if (strcmp(argv[1], "--version") == 0) {
    printf("doppel %s (%s)\n", dp_version(), dp_arithmetic());
    return 0;
  }
  if (strcmp(argv[1], "--manual") == 0) {
    cli_manual(stdout);
    return 0;
  }
  int used = 0;
  const cli_command *command = find_command(argc, argv, &used);
  if (!command) return dp_status_exit_code(DP_ERR_USAGE);
  int code = cli_ranks_join(command->run == cmd_simulate);
  return code ? code : cli_ranks_leave(finish_output(dispatch(command, argc, argv, used)));
}

int main(int argc, char **argv) {
  if (argc < 2) {
    cli_help(stderr, NULL);
    return dp_status_exit_code(DP_ERR_USAGE);
  }
  return finish_output(run(argc, argv));
}
