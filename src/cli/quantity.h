/* quantity.h - floor 9: OBSERVABLE@EXPERIMENT:TIME as typed. */
#ifndef DPI_CLI_QUANTITY_H
#define DPI_CLI_QUANTITY_H

#include "cli/cli.h"

typedef struct cli_quantities {
  dp_problem_quantity *list; /* [n] owned, with their texts */
  int n;
} cli_quantities;

/* All that was given as `option`; exit code after a message. Dropped by the caller, also then. */
int cli_read_quantities(cli_call *call, const char *option, cli_quantities *q);
void cli_drop_quantities(cli_quantities *q);

#endif
