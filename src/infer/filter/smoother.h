/* smoother.h - floor 6, folder filter: iterated ensemble smoother for static parameters.  O -> D
 *
 * All readings are taken niter times, each time with niter times their variance, the members simulated anew between
 * (A. A. Emerick, A. C. Reynolds, Comput. Geosci. 55 (2013) 3; here without perturbed observations: square root).
 * Exact, given
 * the members' mean and covariance, where predictions are linear in the parameters; an approximation else, whose answer
 * dpi_statics can check. Normal and log-normal readings, processes without noise.
 */
#ifndef DPI_SMOOTHER_H
#define DPI_SMOOTHER_H

#include "infer/filter/statics.h"

typedef struct dpi_smoother_report {
  int nfailed;   /* members that failed at some time and take no part */
  double misfit; /* mean squared standardised residual of the members' mean, at the end */
  int usable;
  char verdict[200];
} dpi_smoother_report;

/* x [n x prior->n] receives the members. */
dp_status dpi_smoother_run(const dpi_problem *problem, const dpi_static_prior *prior, uint64_t seed, int n, int niter,
                           const dpi_reading *reading, int nreading, double *x, dpi_smoother_report *report);

#endif
