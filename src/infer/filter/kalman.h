/* kalman.h - floor 6, folder filter: the exact answer where system and sensors are linear and normal.  O -> D
 *
 *     DP_TRY(dpi_kalman_run(ctx, &linear, &problem, param, reading, n, &k));
 *     k->mean + t * k->nz      filtered at k->time[t]
 *     dpi_kalman_destroy(k);
 *
 * States are the system's and the problem's drifts. A sensor that is not normal, or a reading that is censored, is
 * refused by name. Filter in Joseph's form, smoother of Rauch, Tung and Striebel (AIAA J. 3 (1965) 1445).
 */
#ifndef DPI_KALMAN_H
#define DPI_KALMAN_H

#include "infer/filter/filter.h"

typedef struct dpi_kalman {
  dpi_arena arena;
  int nz, ntime, nreading;     /* missing ones are left out */
  dp_time *time;               /* [ntime] */
  double *ahead, *ahead_cov;   /* [ntime x nz], [ntime x nz x nz] before the readings of that time */
  double *mean, *cov;          /* after them */
  double *smooth, *smooth_cov; /* given all readings */
  double *expect, *expect_sd;  /* [nreading] of each reading given those before it, in their order */
  double *expect_y;            /* [nreading] and what it was */
  double evidence;             /* ln p(all readings) */
} dpi_kalman;

/* problem: sensors and drifts; its process, noise and begin are not looked at. */
dp_status dpi_kalman_run(dp_ctx *ctx, const dpi_linear_def *linear, const dpi_problem *problem, const double *param,
                         const dpi_reading *reading, int n, dpi_kalman **out);
void dpi_kalman_destroy(dpi_kalman *k); /* NULL allowed */

#endif
