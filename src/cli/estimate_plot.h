/* estimate_plot.h - floor 9: pictures of fits and profiles, as SVG. */
#ifndef DPI_ESTIMATE_PLOT_H
#define DPI_ESTIMATE_PLOT_H

#include "doppel/estimate.h"

/* The waterfall beside where the best starts ended within their box. 0 or exit code after a message. */
int cli_plot_fit(const char *path, const dp_problem_desc *d, const dp_fit *fit);
/* A panel each: J above the optimum, the threshold, the interval. */
int cli_plot_limits(const char *path, const dp_problem_desc *d, const dp_limits *limits);

#endif
