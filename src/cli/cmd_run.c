/* cmd_run.c - doppel run: the whole loop on a record, a table for the person, a page for the professor. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"

const cli_option cli_options_run[] = {
    {"--patient", "FILE|ID", "an event table of one's own, or the id of one person of the kind's record"},
    {"--until", "TIME", "observe samples up to this time (the kind's time unit); later ones stay sealed"},
    {"--seed", "N", "seed of all random streams (20240229)"},
    {"--draws", "N", "posterior draws (1000)"},
    {"--discrepancy", "on|off", "model-discrepancy term: bands need not pretend the model is true"},
    {"--priors", "FILE", "stored leave-one-out priors; used only where their hash matches (KIND/priors.tsv)"},
    {"--no-decide", NULL, "forecast and score only"},
    {"-o", "FILE", "the HTML report (out/KIND.html)"},
    {"--no-report", NULL, "no HTML report"},
    {"--json", NULL, "one JSON object on standard output instead of the table"},
    {"--threads", "N", "threads; results do not depend on it"},
    {"--twins", "DIR", "a further folder with kinds"},
    {"--dry-run", NULL, "read and check everything, run nothing, write nothing"},
    {0}};

static bool file_there(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Options into the definition; false after a message. */
static bool read_options(cli_call *call, dp_study_def *def, const char *kind_dir, char priors[1100]) {
  long long seed = (long long)def->twin.seed, draws = def->twin.ndraw;
  if (!cli_integer(call, "--seed", &seed) || !cli_integer(call, "--draws", &draws) ||
      !cli_number(call, "--until", &def->twin.until))
    return false;
  if (draws < 100 || draws > 1000000) {
    cli_usage(call, "option --draws: found %lld, expected 100 to 1000000", draws);
    return false;
  }
  def->twin.seed = (uint64_t)seed;
  def->twin.ndraw = (int)draws;
  if (draws > 1000) def->twin.nproposal = (int)(draws + draws / 2);
  const char *d = cli_get(call, "--discrepancy");
  if (d && strcmp(d, "on") != 0 && strcmp(d, "off") != 0) {
    cli_usage(call, "option --discrepancy: found '%s', expected on or off", d);
    return false;
  }
  if (d) def->twin.discrepancy = strcmp(d, "on") == 0;
  if (cli_has(call, "--no-decide")) def->twin.decide = 0;
  snprintf(priors, 1100, "%s/priors.tsv", kind_dir);
  if (cli_has(call, "--priors")) snprintf(priors, 1100, "%s", cli_get(call, "--priors"));
  if (file_there(priors)) def->priors = priors;
  else if (cli_has(call, "--priors"))
    fprintf(stderr, "doppel: warning: %s: no such file; priors are estimated now\n", priors);
  return true;
}

/* The report's path. */
static void report_path(cli_call *call, const dp_kind *kind, char path[1100]) {
  if (cli_has(call, "-o")) {
    snprintf(path, 1100, "%s", cli_get(call, "-o"));
    return;
  }
  snprintf(path, 1100, "out/%s.html", dp_kind_id(kind));
}

/* Before the work: is there a place for the report? Exit code after a message. */
static int check_report(cli_call *call, const dp_kind *kind) {
  char path[1100];
  if (cli_has(call, "--no-report")) return 0;
  report_path(call, kind, path);
  /* what is wrong with it, the check says */
  if (!cli_has(call, "-o") && !cli_has(call, "--dry-run")) mkdir("out", 0777);
  return cli_has(call, "--dry-run") && !cli_has(call, "-o") ? 0 : cli_writable(path);
}

/* Where the time went, to standard error: no result depends on it. */
static void print_seconds(const dp_study *study) {
  double sum[4] = {0};
  for (int i = 0; i < study->ntwin * (1 + study->nuntil); i++) {
    const dp_twin *twin = i < study->ntwin ? study->twin[i] : study->at[i - study->ntwin];
    for (int k = 0; k < 4; k++) sum[k] += dp_twin_look(twin)->seconds[k];
  }
  fprintf(stderr, "%d people in %.1f s (thread seconds: assimilate %.1f, forecast %.1f, score %.1f, decide %.1f)\n",
          study->ntwin, study->seconds, sum[0], sum[1], sum[2], sum[3]);
}

/* The page first: whoever reads the table may hang up early (a pipe into head). */
static int show(cli_call *call, const dp_study *study) {
  if (!cli_has(call, "--no-report")) {
    char path[1100];
    report_path(call, study->kind, path);
    CLI_TRY(call, dp_report_html(study, path, call->line));
    fprintf(stderr, "report: %s\n", path);
  }
  char *text = NULL;
  dp_status status =
      cli_has(call, "--json") ? dp_report_json(study, call->line, &text) : dp_report_table(study, &text);
  if (status != DP_OK) return cli_failed(call, status);
  fputs(text, stdout);
  if (cli_has(call, "--json")) fputc('\n', stdout);
  dp_report_free(call->ctx, text);
  return 0;
}

static int run_record(cli_call *call, const dp_kind *kind, const dp_record *record, dp_study_def *def) {
  int code = def->only ? cli_nobody(def->only, record) : 0;
  if (!code) code = check_report(call, kind);
  if (code) return code;
  if (cli_has(call, "--dry-run")) {
    if (def->only && dp_record_subject(record, def->only) < 0) {
      fprintf(stderr, "doppel: %s: no subject with id '%s'\n", record->source, def->only);
      return dp_status_exit_code(DP_ERR_INPUT);
    }
    printf("would run %s on %d %s of %s until %g %s\n", dp_kind_id(kind),
           def->only ? 1 : record->nsubject, def->only ? "person" : "people", record->source,
           isnan(def->twin.until) ? dp_kind_until(kind) : def->twin.until, dp_kind_time_unit(kind));
    return 0;
  }
  dp_study *study = NULL;
  dp_status status = dp_study_run(kind, record, def, &study);
  if (status != DP_OK) return cli_failed(call, status);
  print_seconds(study);
  code = show(call, study);
  dp_study_destroy(study);
  return code;
}

static int run_kind(cli_call *call, const char *dir) {
  dp_kind *kind = NULL;
  dp_record *record = NULL;
  char priors[1100];
  dp_study_def def = dp_study_def_default();
  if (!read_options(call, &def, dir, priors)) return dp_status_exit_code(DP_ERR_USAGE);
  CLI_TRY(call, dp_kind_load(call->ctx, dir, &kind));
  const char *patient = cli_get(call, "--patient"), *path = dp_kind_patients(kind);
  if (patient && file_there(patient))
    path = patient;
  else if (patient)
    def.only = patient;
  int code = 0;
  dp_status status = DP_OK;
  if (!path[0])
    code = cli_no_patients(call, kind, "--patient");
  else if ((status = cli_record(kind, path, &record)) != DP_OK)
    code = cli_failed(call, status);
  else
    code = run_record(call, kind, record, &def);
  dp_record_destroy(record);
  dp_kind_destroy(kind);
  return code;
}

int cmd_run(cli_call *call) {
  if (call->nplain != 1) return cli_usage(call, "run needs one KIND, found %d", call->nplain);
  char dir[1024];
  int code = cli_kind_dir(call, call->plain[0], dir);
  return code ? code : run_kind(call, dir);
}
