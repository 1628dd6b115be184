/* patient.c - floor 9: the one person that a command is about, with the prior as doppel run has it. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"

static bool file_there(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

int cli_no_person(const cli_call *call) {
  return cli_usage(call, "whose? give --patient ID of the kind's record, or --patient FILE");
}

int cli_no_patients(const cli_call *call, const dp_kind *kind, const char *option) {
  if (file_there(call->plain[0])) /* a control stream */
    return cli_usage(call, "%s: the data file that $DATA names is not there; give %s FILE", call->plain[0], option);
  return cli_usage(call, "kind '%s' has no patients of its own; give %s FILE", dp_kind_id(kind), option);
}

bool cli_names_file(const char *word) {
  const char *dot = strrchr(word, '.');
  return strchr(word, '/') || (dot && dot > word && isalpha((unsigned char)dot[1]));
}

int cli_nobody(const char *patient, const dp_record *record) {
  return cli_names_file(patient) && dp_record_subject(record, patient) < 0 ? cli_readable(patient) : 0;
}

dp_status cli_record(const dp_kind *kind, const char *path, dp_record **out) {
  const dp_status status = dp_kind_record(kind, path, out);
  for (int i = 0; status == DP_OK && i < (*out)->nwarning; i++)
    fprintf(stderr, "doppel: warning: %s\n", (*out)->warning[i]);
  return status;
}

/* The study gives the person's prior; nothing else of it is used. */
int cli_person(cli_call *call, const dp_kind *kind, const char *dir, dp_record **record, dp_study **study) {
  char priors[1100];
  const char *patient = cli_get(call, "--patient"), *path = file_there(patient) ? patient : dp_kind_patients(kind);
  dp_study_def def = dp_study_def_default();
  def.twin.ndraw = 100;
  def.twin.nproposal = 200;
  def.twin.nfan = 2;
  def.twin.decide = def.twin.opponent = def.twin.discrepancy = 0;
  def.nuntil = 0;
  snprintf(priors, sizeof priors, "%s/priors.tsv", dir);
  if (cli_has(call, "--priors")) snprintf(priors, sizeof priors, "%s", cli_get(call, "--priors"));
  if (file_there(priors)) def.priors = priors;
  else if (cli_has(call, "--priors"))
    fprintf(stderr, "doppel: warning: %s: no such file; priors are estimated now\n", priors);
  if (path != patient) def.only = patient;
  if (!path[0]) return cli_no_patients(call, kind, "--patient");
  CLI_TRY(call, cli_record(kind, path, record));
  if (path == patient && (*record)->nsubject != 1)
    return cli_usage(call, "%s has %d people; this is about one", patient, (*record)->nsubject);
  int code = def.only ? cli_nobody(patient, *record) : 0;
  if (code) return code;
  CLI_TRY(call, dp_study_run(kind, *record, &def, study));
  return 0;
}

int cli_own_prior(cli_call *call, const dp_kind *kind, const char *dir, dp_record **record, int *subject,
                  dp_prior **prior) {
  dp_study *study = NULL;
  const int code = cli_person(call, kind, dir, record, &study);
  if (code) return code;
  *subject = study->subject[0];
  const dp_status status = dp_prior_copy(study->prior[0], prior);
  dp_study_destroy(study);
  return status == DP_OK ? 0 : cli_failed(call, status);
}

int cli_belief_options(const cli_call *call, long long *seed, long long *draws, double *until) {
  if (!cli_integer(call, "--seed", seed) || !cli_integer(call, "--draws", draws) ||
      !cli_number(call, "--until", until))
    return dp_status_exit_code(DP_ERR_USAGE);
  if (*draws >= 100 && *draws <= 100000) return 0;
  return cli_usage(call, "option --draws: found %lld, expected 100 to 100000", *draws);
}

dp_assimilate_def cli_belief_def(long long seed, long long draws) {
  dp_assimilate_def def = dp_assimilate_def_default();
  def.seed = (uint64_t)seed;
  def.ndraw = (int)draws;
  if (draws > 1000) def.nproposal = (int)(4 * draws);
  def.discrepancy = 0;
  return def;
}

void cli_print_belief(const dp_belief *b) { printf("belief       %s\n", b->verdict); }

void cli_json_belief(const dp_belief *b) {
  printf(",\n \"belief\":{\"usable\":%s", b->usable ? "true" : "false");
  cli_json_named(",\"verdict\":", b->verdict);
  cli_json_named(",\"method\":", b->method);
  printf(",\"samples\":%d,\"draws\":%d", b->nobs, b->ndraw);
  cli_json_number(",\"effective_draws\":", b->ess);
  cli_json_number(",\"khat\":", b->khat);
  cli_json_number(",\"predictive_check_p\":", b->ppc_p);
  cli_json_named(",\"hash\":", b->hash);
  printf("}");
}
