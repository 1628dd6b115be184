/* vpc_plot.h - floor 9: the picture of a visual predictive check, as SVG. */
#ifndef DPI_VPC_PLOT_H
#define DPI_VPC_PLOT_H

#include "doppel/vpc.h"

/* A panel each observable: intervals as bands, observed percentiles as lines, samples as points.
 * 0 or exit code after a message. */
int cli_plot_vpc(const char *path, const char *title, const char *axis, const dp_vpc *vpc);

#endif
