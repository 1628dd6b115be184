/* observation_row.h - floor 9: one observation as it was forecast and read, printed by assimilate and track alike. */
#ifndef DPI_CLI_OBSERVATION_ROW_H
#define DPI_CLI_OBSERVATION_ROW_H

#include "doppel/doppel.h"

/* The columns "measured" to "ESS" of the text, under CLI_OUTLOOK_HEAD; * outside of the 90 % band. none: what stands in
 * place of a forecast that there is not. */
#define CLI_OUTLOOK_HEAD "  measured    forecast                  90 %     PIT      ln p     ESS"
void cli_outlook_text(const dp_observation *o, const dp_outlook *f, const char *none, double ess);
/* "forecast", "pit", "crps", "log_density" as members of a JSON object. */
void cli_outlook_json(const dp_outlook *f);

#endif
