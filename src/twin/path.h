/* path.h - floor 7: figures of one person's path under given doses, and the dose that a figure needs. */
#ifndef DPI_TWIN_PATH_H
#define DPI_TWIN_PATH_H

#include "doppel/plan.h"
#include "kind/path_figure.h"

/* Whose path, and under what: the record's own doses, a plan, or a dosing. All borrowed. */
typedef struct dpi_path_job {
  const dp_kind *kind;
  const dp_sim *sim; /* kind->sim, or kind->ensemble for draws */
  const dpi_case *c;
  const double *typical; /* NULL: the kind's */
  const dpi_path_figure *figure;
  const dpi_dosing *dosing; /* NULL: see plan */
  const dp_plan *plan;      /* NULL without a dosing: the record's own doses */
  double same;              /* dpi_path_dose: relative tolerance of the figure */
  double now; /* dosing, plan: NaN as if nothing had been given before; else on top of the record up to now */
} dpi_path_job;

/* The figure for each of n draws eta [n x neta], each with its dose [n] (NULL: the dosing's own). out: NaN failed,
 * infinite for a passage that never comes. */
dp_status dpi_path_eval(const dpi_path_job *job, const double *eta, const double *dose, int n, double *out);

/* The dose between lower and upper at which the figure is `wanted`, for each of n draws: -infinity or infinity where
 * even the lower, even the upper one leaves the figure on the far side; NaN where the draw fails, or jumps over the
 * number. */
dp_status dpi_path_dose(const dpi_path_job *job, const double *eta, int n, double wanted, double lower, double upper,
                        double *out);

#endif
