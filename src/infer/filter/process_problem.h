/* process_problem.h - floor 6, folder filter: a calibration problem as a process.  O -> D
 *
 * What goes through time are the problem's measurements, over all of its experiments, ordered by time (steady states
 * last), then as the tables have them: measurement r of this order is the process's time r + 1, and its outputs there
 * are 0, what the measurement would show without noise, and 1, the scale of its noise.
 *
 * Members differ in the problem's parameters, as numbers u of R^n (infer/sample/chain.h: the box without bounds). A
 * member's simulations are made at once and in one batch with all others'; from then on it is a row of predictions, and
 * the last ones are kept: particles that are looked at again are not simulated again.
 *
 *     members' numbers as parameters   IBIS, particle filters
 *     members' numbers as states       Kalman methods, which change them
 *
 * A point where some simulation fails has no predictions at all, as it has no likelihood in the batch methods.
 */
#ifndef DPI_PROCESS_PROBLEM_H
#define DPI_PROCESS_PROBLEM_H

#include "infer/filter/filter.h"
#include "infer/petab/calib.h"

typedef struct dpi_process_problem_def {
  dp_problem *problem; /* borrowed while the process lives; nothing is solved inside it */
  const int *datum;    /* [ndatum of the problem] numbers of the measurements in the process's order. Copied */
  const double *unit;  /* [ndatum] by number: the problem's sigma times this is the noise's scale. Copied */
  bool state;          /* numbers are states */
} dpi_process_problem_def;
dp_status dpi_process_problem(const dpi_process_problem_def *def, dpi_process **out);

#endif
