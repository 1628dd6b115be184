/* cmd_suite.c - doppel suite NAME DIR: somebody else's test suite, one line a case. */
#include <string.h>

#include "cli/cli.h"
#include "doppel/suite.h"

const cli_option cli_options_suite[] = {
    {"--only", "ID", "only this case; may be repeated"},
    {"--models", "DIR", "nonmem: folder with the kinds runNNN (tests/nonmem)"},
    {"--starts", "N", "nonmem: mode searches a subject (3)"},
    {"--subjects", "N", "nonmem: only the first N subjects of each run"},
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
    printf("{\"case\":\"%s\",\"status\":\"%s\",\"seconds\":%.3f,\"worst\":%.4g,\"why\":", r->run, r->status, r->seconds,
           r->worst);
    cli_json_text(r->why);
    printf("}\n");
  } else {
    printf("%s %-7s %d subjects; objective at their mode: worst difference %.2e (%.3f of the tolerance); sum %.6f, "
           "theirs %.6f\n",
           r->run, r->status, r->nsubject, r->worst_difference, r->worst, r->objective, r->reference);
    if (r->nparameter)
      printf("    own mode: %d of %d parameters within 0.1 %% (%.3f %%), %d subjects lower, %d equal, %d higher; "
             "%.2f s, %.0f patients/s\n",
             r->nwithin, r->nparameter, 100.0 * r->nwithin / r->nparameter, r->nbetter, r->nflat, r->nworse, r->seconds,
             r->patients_per_s);
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
  tally t = {.ndjson = cli_has(call, "--ndjson")};
  const char *models = cli_has(call, "--models") ? cli_get(call, "--models") : "tests/nonmem";
  CLI_TRY(call, dp_suite_nonmem(call->ctx, call->plain[1], models, &def, each_run, &t));
  printf("%d passed, %d failed, %d refused\n", t.passed, t.failed, t.refused);
  return t.failed ? 1 : 0;
}

int cmd_suite(cli_call *call) {
  if (call->nplain != 2) return cli_usage(call, "suite needs NAME and DIR, found %d arguments", call->nplain);
  if (strcmp(call->plain[0], "nonmem") == 0) return nonmem(call);
  return cli_usage(call, "unknown suite '%s'; there is: nonmem", call->plain[0]);
}
