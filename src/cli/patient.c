/* patient.c - floor 9: the one person that a command is about, with the prior as doppel run has it. */
#include <stdio.h>
#include <sys/stat.h>

#include "cli/cli.h"

static bool file_there(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

int cli_no_person(const cli_call *call) {
  return cli_usage(call, "whose? give --patient ID of the kind's record, or --patient FILE");
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
  if (path != patient) def.only = patient;
  if (!path[0]) return cli_usage(call, "kind '%s' has no patients of its own; give --patient FILE", dp_kind_id(kind));
  CLI_TRY(call, dp_kind_record(kind, path, record));
  if (path == patient && (*record)->nsubject != 1)
    return cli_usage(call, "%s has %d people; this is about one", patient, (*record)->nsubject);
  CLI_TRY(call, dp_study_run(kind, *record, &def, study));
  return 0;
}
