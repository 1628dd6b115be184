/* forecast_plot.h - floor 9: branches of one twin as SVG. */
#ifndef DPI_CLI_FORECAST_PLOT_H
#define DPI_CLI_FORECAST_PLOT_H

#include <stdbool.h>

#include "doppel/doppel.h"

/* Does the path begin in the steady state of the plan's first row? */
bool cli_begins_steady(const dp_plan *plan);
/* Exit code after a message. */
int cli_plot_forecast(const char *path, const dp_kind *kind, const char *who, const dp_patient *patient, dp_plan *const *plan,
                      const dp_whatif *w);

#endif
