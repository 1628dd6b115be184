/* tsit.c - floor 3: Tsitouras' explicit Runge-Kutta method for one member: a group of one lane (lanes.h). */
#include "solve/lanes_impl.h"

extern const dpi_solver_ops dp_solve_tsit;

static bool tsit_can(const dpi_system *sys) { return dpi_lane_solver_can(sys, DPI_LANE_EXPLICIT); }

static dp_status tsit_create(dp_ctx *ctx, const dpi_system *sys, const dpi_solve_opts *opts, int max_dir,
                             dpi_solver **out) {
  return dpi_lane_solver_create(ctx, &dp_solve_tsit, sys, opts, DPI_LANE_EXPLICIT, max_dir, out);
}

const dpi_solver_ops dp_solve_tsit = {
    .name = "tsit",
    .help = "Tsitouras' explicit Runge-Kutta 5(4) as compiled steps; for problems that are not stiff",
    .can = tsit_can,
    .create = tsit_create,
    .destroy = dpi_lane_solver_destroy,
    .bind = dpi_lane_face_bind,
    .input = dpi_lane_face_input,
    .start = dpi_lane_face_start,
    .step = dpi_lane_face_step,
    .dense = dpi_lane_face_dense,
};
