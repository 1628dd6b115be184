/* fit_worth.h - floor 9: what a population's estimate is worth, for people to read (doppel fit KIND --check). */
#ifndef DPI_FIT_WORTH_H
#define DPI_FIT_WORTH_H

#include "cli/cli.h"

typedef struct cli_worth { /* borrowed, but check: the caller's to destroy */
  const dp_kind *kind;
  const dp_record *record;
  const dp_prior *prior;
  const char *method; /* by which likelihood */
  dp_fit_check *check;
} cli_worth;

/* Checks the estimate (method and check of the worth), and writes --individuals FILE where it was given. Exit code
 * after a message. */
int cli_worth_open(cli_call *call, cli_worth *worth);
/* Text, or (beginning with a comma) a member of the JSON object under way. */
void cli_worth_print(const cli_worth *worth, bool json);

#endif
