/* forecast_plot.h - floor 9: branches of one twin as SVG. */
#ifndef DPI_CLI_FORECAST_PLOT_H
#define DPI_CLI_FORECAST_PLOT_H

#include "doppel/doppel.h"

/* Exit code after a message. */
int cli_plot_forecast(const char *path, const dp_kind *kind, const char *who, const dp_patient *patient, dp_plan *const *plan,
                      const dp_whatif *w);

#endif
