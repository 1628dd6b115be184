/* whatif_person.h - floor 9: the person that plans are for, with what is believed of them:
 * shared by forecast and plan. */
#ifndef DPI_CLI_WHATIF_PERSON_H
#define DPI_CLI_WHATIF_PERSON_H

#include "cli/cli.h"

enum { CLI_MOST_PLANS = 12 };

typedef struct cli_whatif {
  cli_call *call;
  dp_kind *kind;
  dp_record *record;
  dp_prior *prior;
  dp_belief *belief, *fresh;
  dp_patient *patient;
  int subject;
  double until;
  long long seed, draws;
  dp_plan *plan[CLI_MOST_PLANS];
  int nplan;
} cli_whatif;

#define CLI_WHATIF_OPTIONS                                                                       \
  CLI_PATIENT_OPTION,                                                                            \
  {"--until", "TIME", "now: what was measured and given up to this time is known (the kind's)"}, \
  {"--draws", "N", "draws of what is believed (1000)"},                                          \
  {"--seed", "N", "seed of all random streams (1)"},                                             \
  CLI_PRIORS_OPTION
#define CLI_WHATIF_LAST CLI_KIND_LAST_OPTIONS

/* Options, the kind, the plans of --plan read and held against its controls, then the person and the belief (fresh
 * draws too where asked for). Exit code after a message; what was made is the caller's also then. */
int cli_whatif_open(cli_call *call, cli_whatif *w, bool fresh);
/* Exit 6 after a message when the belief is not fit for use. */
int cli_whatif_unfit(const cli_whatif *w);
void cli_whatif_close(cli_whatif *w);

#endif
