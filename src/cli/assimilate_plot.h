/* assimilate_plot.h - floor 9: a person, or a calibration problem, observation by observation, as SVG. */
#ifndef DPI_ASSIMILATE_PLOT_H
#define DPI_ASSIMILATE_PLOT_H

#include "doppel/doppel.h"

#define CLI_ASSIMILATE_PARAMS 16 /* individual parameters that are shown */

typedef struct cli_assimilate_row {
  dp_observation o;
  int number; /* in the record, from 1 */
  int read;
  dp_outlook outlook;   /* before it was read */
  double ess, evidence; /* afterwards */
  int nparam;
  double param[4 * CLI_ASSIMILATE_PARAMS]; /* mean, sd, 5 %, 95 % of each, afterwards */
} cli_assimilate_row;

/* A panel each sensor: forecast bands and what was measured; a panel each parameter: its belief. 0 or exit code. */
int cli_plot_assimilate(const char *path, const char *title, const char *time_unit, const dp_assimilation *a,
                        const cli_assimilate_row *row, int n);

#endif
