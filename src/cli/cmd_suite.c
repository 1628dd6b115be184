/* cmd_suite.c - doppel suite NAME DIR: somebody else's test suite, one line a case. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "doppel/suite.h"

const cli_option cli_options_suite[] = {
    {"--only", "ID", "only this case; may be repeated; sbml: also FIRST-LAST"},
    {"--all-levels", NULL, "sbml: every level and version of a case, not only the highest"},
    {"--runs", "N", "sbml-stochastic: runs of each case (10000)"},
    {"--method", "NAME",
     "sbml: an integrator as of simulate (auto), petab: (ensemble); sbml-stochastic: direct (default) or "
     "next-reaction"},
    {"--seed", "N", "sbml, sbml-stochastic: seed of draws and of random ties (1)"},
    {"--models", "DIR", "nonmem: folder with the kinds runNNN or control streams runNNN.ctl (tests/nonmem)"},
    {"--model", "FILE", "nonmem: one control stream (or kind) for the run of --only, or of its own name runNNN"},
    {"--starts", "N", "nonmem: mode searches a subject (3)"},
    {"--subjects", "N", "nonmem: only the first N subjects of each run"},
    {"--reference", "FILE", "petab-benchmark: table of reference log-likelihoods (problem, reference_llh, note)"},
    {"--gradients", NULL, "petab-benchmark: gradients forward, backwards and by differences"},
    {"--points", "N", "petab-benchmark: random points for gradients (5)"},
    {"--gradient-rtol", "X", "petab-benchmark: relative tolerance of gradients (1e-12)"},
    {"--lines", "N",
     "petab-benchmark: parameters drawn at each point for differences, beside 2 lines that move all (8, the most)"},
    {"--skip", "ID", "petab, petab-benchmark: leave this one out; may be repeated"},
    {"--same-steps", NULL, "petab-benchmark: gradients with steps chosen by values alone"},
    {"--other", "NAME", "petab-benchmark: the integrator that problems without a reference are compared with (cvode)"},
    {"--rtol", "X", "petab, petab-benchmark: relative tolerance (1e-8)"},
    {"--atol", "X", "petab, petab-benchmark: absolute tolerance (1e-12)"},
    {"--ndjson", NULL, "one JSON object a line"},
    {"--threads", "N", "threads; results do not depend on it"},
    {0}};

typedef struct tally {
  bool ndjson;
  int passed, failed, refused;
} tally;

static void each_run(void *user, const dp_nonmem_result *r) {
  tally *t = user;
  if (strcmp(r->status, "pass") == 0)
    t->passed++;
  else if (strcmp(r->status, "refused") == 0)
    t->refused++;
  else
    t->failed++;
  if (t->ndjson) {
    printf(
        "{\"case\":\"%s\",\"status\":\"%s\",\"seconds\":%.3f,\"worst\":%.4g,\"parameters\":%d,\"within\":%d,"
        "\"lower\":%d,\"higher\":%d,\"covariances\":%d,\"covariances_within\":%d,\"patients_per_core_s\":%.0f,\"why\":",
        r->run, r->status, r->seconds, r->worst, r->nparameter, r->nwithin, r->nbetter, r->nworse, r->ncovariance,
        r->ncovariance_within, r->patients_per_core_s);
    cli_json_text(r->why);
    printf("}\n");
  } else {
    printf(
        "%s %-7s %d subjects; objective at their mode: worst difference %.2e (%.3f of the tolerance); sum %.6f, "
        "theirs %.6f\n",
        r->run, r->status, r->nsubject, r->worst_difference, r->worst, r->objective, r->reference);
    if (r->nparameter)
      printf(
          "    own mode: %d of %d parameters within 0.1 %% (%.3f %%), %d subjects lower, %d equal, %d higher; "
          "%.1f evaluations each, %.2f s, %.0f patients/s, %.0f per core\n",
          r->nwithin, r->nparameter, 100.0 * r->nwithin / r->nparameter, r->nbetter, r->nflat, r->nworse,
          r->evaluations, r->seconds, r->patients_per_s, r->patients_per_core_s);
    if (r->ncovariance)
      printf(
          "    covariance at their mode: %d of %d entries within 1 %% (%.3f %%), largest difference %.2g of the "
          "standard deviations\n",
          r->ncovariance_within, r->ncovariance, 100.0 * r->ncovariance_within / r->ncovariance, r->largest_covariance);
    if (r->why[0]) printf("    %s\n", r->why);
  }
  fflush(stdout);
}

static int nonmem(cli_call *call) {
  const char *only[64];
  dp_nonmem_def def = dp_nonmem_def_default();
  long long starts = def.nstart, subjects = 0;
  int n = 0;
  if (!cli_integer(call, "--starts", &starts) || !cli_integer(call, "--subjects", &subjects)) return 2;
  for (int i = cli_each(call, "--only", -1); i >= 0 && n < 64; i = cli_each(call, "--only", i))
    only[n++] = call->given[i].value;
  def.nstart = (int)starts;
  def.max_subject = (int)subjects;
  if (n) {
    def.only = only;
    def.nonly = n;
  }
  char run[16] = "";
  def.model = cli_get(call, "--model");
  if (def.model && !n) {
    const char *base = strrchr(def.model, '/');
    base = base ? base + 1 : def.model;
    if (strncmp(base, "run", 3) == 0) snprintf(run, sizeof run, "%.*s", (int)strcspn(base, "."), base);
    if (!run[0]) return cli_usage(call, "option --model: the file is not named runNNN; say the run with --only");
    only[n++] = run;
    def.only = only;
    def.nonly = n;
  }
  struct stat st;
  if (def.model && stat(def.model, &st) != 0) return cli_readable(def.model);
  if (def.model && n != 1) return cli_usage(call, "option --model goes with one run, found %d of --only", n);
  tally t = {.ndjson = cli_has(call, "--ndjson")};
  const char *models = cli_has(call, "--models") ? cli_get(call, "--models") : "tests/nonmem";
  CLI_TRY(call, dp_suite_nonmem(call->ctx, call->plain[1], models, &def, each_run, &t));
  printf("%d passed, %d failed, %d refused\n", t.passed, t.failed, t.refused);
  return t.failed ? 1 : 0;
}

/* ---- the SBML Test Suite ---- */

enum { MOST_REASON = 200 };

typedef struct sbml_tally {
  cli_call *call;
  bool ndjson, stochastic;
  int passed, failed, refused, errors;
  int analytic, analytic_passed, analytic_tighter;
  int excursions, again;
  double expected, expected_again;
  char reason[MOST_REASON][400]; /* what was refused, without the names of elements */
  int count[MOST_REASON];
  int nreason;
} sbml_tally;

/* A refusal's construct: the message without its place in the file and without quoted names. */
static void construct_of(const char *why, char *out, size_t size) {
  const char *from = why;
  for (const char *colon = strchr(why, ':'); colon && colon[1]; colon = strchr(colon + 1, ':'))
    if (colon[1] == ' ' && (strspn(from, "0123456789") == (size_t)(colon - from) || strchr(from, '/') < colon))
      from = colon + 2;
    else if (colon[1] != ' ')
      from = colon + 1;
  size_t n = 0;
  bool quoted = false;
  for (; *from && n + 4 < size; from++) {
    if (*from == '\'' && (quoted || n == 0 || out[n - 1] == ' ' || out[n - 1] == '(')) {
      quoted = !quoted;
      if (!quoted) n += (size_t)snprintf(out + n, size - n, "...");
    } else if (!quoted) {
      out[n++] = *from;
    }
  }
  out[n] = 0;
}

static void count_refusal(sbml_tally *t, const char *why) {
  char text[400];
  construct_of(why, text, sizeof text);
  int k = 0;
  while (k < t->nreason && strcmp(t->reason[k], text)) k++;
  if (k == MOST_REASON) k--;
  if (k == t->nreason) snprintf(t->reason[t->nreason++], sizeof t->reason[0], "%s", text);
  t->count[k]++;
}

static void count_case(sbml_tally *t, const dp_sbml_case *r) {
  bool pass = strcmp(r->status, "pass") == 0;
  if (pass) {
    t->passed++;
  } else if (strcmp(r->status, "refused") == 0) {
    t->refused++;
    count_refusal(t, r->why);
  } else if (strcmp(r->status, "fail") == 0) {
    t->failed++;
  } else {
    t->errors++;
  }
  t->analytic += r->analytic;
  t->analytic_passed += r->analytic && pass;
  t->analytic_tighter += r->analytic && pass && r->tighter;
  t->excursions += r->excursions;
  t->expected += r->expected;
  t->again += r->again;
  t->expected_again += r->expected_again;
}

static void each_sbml(void *user, const dp_sbml_case *r) {
  sbml_tally *t = user;
  count_case(t, r);
  if (t->ndjson) {
    printf("{\"case\":");
    cli_json_text(r->id);
    printf(",\"status\":\"%s\",\"seconds\":%.3f,\"worst\":", r->status, r->seconds);
    printf(isfinite(r->worst) ? "%.4g" : "null", r->worst);
    printf(",\"why\":");
    cli_json_text(r->why);
    printf("}\n");
  } else if (strcmp(r->status, "pass") != 0) {
    printf("%s %-7s %-5s %s\n", r->id, r->status, r->level, r->why);
  }
  fflush(stdout);
}

static void print_refusals(const sbml_tally *t) {
  if (t->nreason == 0) return;
  printf("refused by construct:\n");
  bool shown[MOST_REASON] = {0};
  for (int i = 0; i < t->nreason; i++) { /* most frequent first */
    int best = -1;
    for (int k = 0; k < t->nreason; k++)
      if (!shown[k] && (best < 0 || t->count[k] > t->count[best])) best = k;
    shown[best] = true;
    printf("  %5d  %s\n", t->count[best], t->reason[best]);
  }
}

static void print_summary(const sbml_tally *t) {
  print_refusals(t);
  if (t->stochastic)
    printf(
        "values outside their range in the first try: %d; a perfect simulator shows %.1f on average\n"
        "columns outside again, at whatever time, in one of two repeats: %d; a perfect simulator shows at most %.1f\n",
        t->excursions, t->expected, t->again, t->expected_again);
  else if (t->analytic)
    printf("cases with an analytic reference: %d, passed %d, at a tenth of the tolerance %d\n", t->analytic,
           t->analytic_passed, t->analytic_tighter);
  printf("pass %d, fail %d, error %d, refused %d\n", t->passed, t->failed, t->errors, t->refused);
}

static int sbml(cli_call *call, bool stochastic) {
  static sbml_tally t;
  const char *only[CLI_MAX_GIVEN];
  dp_sbml_def def = dp_sbml_def_default();
  long long runs = def.runs, seed = (long long)def.seed;
  if (!cli_integer(call, "--runs", &runs) || !cli_integer(call, "--seed", &seed)) return 2;
  if (runs < 2 || runs > 100000000) return cli_usage(call, "option --runs: found %lld, expected 2 to 100000000", runs);
  for (int i = cli_each(call, "--only", -1); i >= 0; i = cli_each(call, "--only", i))
    only[def.nonly++] = call->given[i].value;
  def.only = def.nonly ? only : NULL;
  def.all_levels = cli_has(call, "--all-levels");
  def.runs = (int)runs;
  def.seed = (uint64_t)seed;
  def.method = cli_get(call, "--method");
  t = (sbml_tally){.call = call, .ndjson = cli_has(call, "--ndjson"), .stochastic = stochastic};
  const char *dir = call->plain[1];
  CLI_TRY(call, (stochastic ? dp_suite_sbml_stochastic : dp_suite_sbml)(call->ctx, dir, &def, each_sbml, &t));
  if (!t.ndjson) print_summary(&t);
  printf("%d passed, %d failed, %d refused\n", t.passed, t.failed + t.errors, t.refused);
  return t.failed + t.errors ? 1 : 0;
}

/* ---- PEtab ---- */

static void count_status(tally *t, const char *status) {
  if (strcmp(status, "pass") == 0)
    t->passed++;
  else if (strcmp(status, "refused") == 0)
    t->refused++;
  else
    t->failed++;
}

static void each_petab(void *user, const dp_petab_case *r) {
  tally *t = user;
  count_status(t, r->status);
  if (t->ndjson) {
    printf("{\"case\":");
    cli_json_text(r->id);
    printf(",\"status\":\"%s\",\"seconds\":%.3f", r->status, r->seconds);
    cli_json_number(",\"worst\":", r->worst);
    printf(",\"why\":");
    cli_json_text(r->why);
    printf("}\n");
  } else {
    printf("%-24s %-7s %3d values, worst %.2g of the tolerance", r->id, r->status, r->compared, r->worst);
    if (isfinite(r->llh)) printf("; llh %.10g", r->llh);
    printf("%s%s\n", r->why[0] ? "  " : "", r->why);
  }
  fflush(stdout);
}

static void benchmark_json(const dp_petab_benchmark *r) {
  printf("{\"case\":");
  cli_json_text(r->problem);
  printf(",\"status\":\"%s\"", r->status);
  cli_json_number(",\"seconds\":", r->llh_s);
  cli_json_number(",\"worst\":", r->difference / r->tolerance);
  printf(",\"states\":%d,\"parameters\":%d,\"measurements\":%d,\"simulations\":%d,\"directions\":%d", r->nstate,
         r->nparam, r->ndatum, r->nsimulation, r->ndirection);
  cli_json_number(",\"llh\":", r->llh);
  cli_json_number(",\"reference\":", r->reference);
  printf(",\"against\":\"%s\"", r->against);
  cli_json_number(",\"difference\":", r->difference);
  cli_json_number(",\"log_prior\":", r->log_prior);
  cli_json_number(",\"open_s\":", r->open_s);
  if (r->npoint > 0) {
    printf(",\"points\":%d,\"usable\":%d", r->npoint, r->nusable);
    if (r->same_steps) printf(",\"same_steps\":true");
    if (r->lost[0]) {
      printf(",\"lost\":");
      cli_json_text(r->lost);
    }
    cli_json_number(",\"adjoint\":", r->adjoint);
    cli_json_number(",\"differences\":", r->differences);
    printf(",\"lines\":%d,\"unsettled\":%d", r->ndifference, r->nunsettled);
    cli_json_number(",\"forward_s\":", r->forward_s);
    cli_json_number(",\"adjoint_s\":", r->adjoint_s);
  }
  printf(",\"why\":");
  cli_json_text(r->why);
  printf("}\n");
}

static void each_benchmark(void *user, const dp_petab_benchmark *r) {
  tally *t = user;
  const bool first = t->passed + t->failed + t->refused == 0;
  count_status(t, r->status);
  if (t->ndjson) {
    benchmark_json(r);
  } else {
    if (first)
      printf("%-36s %-7s %6s %5s %4s %5s %16s %16s %-8s %9s %9s\n", "problem", "", "states", "par", "sims", "data",
             "llh", "reference", "", "diff", "ms");
    printf("%-36s %-7s %6d %5d %4d %5d %16.10g %16.10g %-8s %9.1e %9.3f\n", r->problem, r->status, r->nstate, r->nparam,
           r->nsimulation, r->ndatum, r->llh, r->reference, r->against, r->difference, 1e3 * r->llh_s);
    if (r->npoint > 0)
      printf(
          "    gradients at %d of %d points: backwards%s %.1e, differences %.1e (%d lines, %d unsettled); forward %.3f "
          "ms (%d directions), backwards %.3f ms\n",
          r->nusable, r->npoint, r->same_steps ? " (same steps)" : "", r->adjoint, r->differences, r->ndifference,
          r->nunsettled, 1e3 * r->forward_s, r->ndirection, 1e3 * r->adjoint_s);
    if (r->lost[0]) printf("    a point at which the model can't be run: %s\n", r->lost);
    if (r->why[0]) printf("    %s\n", r->why);
  }
  fflush(stdout);
}

typedef enum petab_suite { PETAB_CASES, PETAB_MATH, PETAB_BENCHMARK } petab_suite;

static int petab(cli_call *call, petab_suite which) {
  const char *only[CLI_MAX_GIVEN], *skip[CLI_MAX_GIVEN];
  dp_petab_suite_def def = dp_petab_suite_def_default();
  long long points = def.points, lines = def.lines, seed = (long long)def.seed;
  if (!cli_integer(call, "--points", &points) || !cli_integer(call, "--seed", &seed) ||
      !cli_integer(call, "--lines", &lines) || !cli_number(call, "--rtol", &def.rtol) ||
      !cli_number(call, "--atol", &def.atol) || !cli_number(call, "--gradient-rtol", &def.gradient_rtol))
    return 2;
  for (int i = cli_each(call, "--only", -1); i >= 0; i = cli_each(call, "--only", i))
    only[def.nonly++] = call->given[i].value;
  for (int i = cli_each(call, "--skip", -1); i >= 0; i = cli_each(call, "--skip", i))
    skip[def.nskip++] = call->given[i].value;
  def.only = only;
  def.skip = skip;
  def.method = cli_get(call, "--method");
  if (cli_has(call, "--other")) def.other = cli_get(call, "--other");
  def.reference = cli_get(call, "--reference");
  def.gradients = cli_has(call, "--gradients");
  def.same_steps = cli_has(call, "--same-steps");
  if (lines < 0 || lines > 8) {
    fprintf(stderr, "doppel: --lines: found %lld, expected 0 to 8\n", lines);
    return 2;
  }
  def.points = (int)points;
  def.lines = (int)lines;
  def.seed = (uint64_t)seed;
  tally t = {.ndjson = cli_has(call, "--ndjson")};
  if (which == PETAB_BENCHMARK)
    CLI_TRY(call, dp_suite_petab_benchmark(call->ctx, call->plain[1], &def, each_benchmark, &t));
  else if (which == PETAB_MATH)
    CLI_TRY(call, dp_suite_petab_math(call->ctx, call->plain[1], &def, each_petab, &t));
  else
    CLI_TRY(call, dp_suite_petab(call->ctx, call->plain[1], &def, each_petab, &t));
  printf("%d passed, %d failed, %d refused\n", t.passed, t.failed, t.refused);
  return t.failed ? 1 : 0;
}

int cmd_suite(cli_call *call) {
  if (call->nplain != 2)
    return cli_usage(call, "suite needs NAME and DIR (petab-math: FILE), found %d arguments", call->nplain);
  if (strcmp(call->plain[0], "nonmem") == 0) return nonmem(call);
  if (strcmp(call->plain[0], "sbml") == 0) return sbml(call, false);
  if (strcmp(call->plain[0], "sbml-stochastic") == 0) return sbml(call, true);
  if (strcmp(call->plain[0], "petab") == 0) return petab(call, PETAB_CASES);
  if (strcmp(call->plain[0], "petab-math") == 0) return petab(call, PETAB_MATH);
  if (strcmp(call->plain[0], "petab-benchmark") == 0) return petab(call, PETAB_BENCHMARK);
  return cli_usage(call,
                   "unknown suite '%s'; there are: nonmem, petab, petab-benchmark, petab-math, sbml, sbml-stochastic",
                   call->plain[0]);
}
