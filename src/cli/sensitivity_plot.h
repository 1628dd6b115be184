/* sensitivity_plot.h - floor 9: indices as bars with their intervals, as SVG. */
#ifndef DPI_SENSITIVITY_PLOT_H
#define DPI_SENSITIVITY_PLOT_H

#include "doppel/sensitivity.h"

/* A panel for each of noutput outputs with its title [noutput]; inputs in falling order. 0 or exit code
 * after a message. */
int cli_plot_sensitivity(const char *path, const dp_sensitivity *a, int noutput, const char *const *title);

#endif
