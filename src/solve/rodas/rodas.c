/* rodas.c - floor 3: Rosenbrock-Wanner method for one member: a group of one lane (lanes.h). */
#include "solve/lanes_impl.h"

extern const dpi_solver_ops dp_solve_rodas;

static bool rodas_can(const dpi_system *sys) { return dpi_lane_solver_can(sys, DPI_LANE_IMPLICIT); }

static dp_status rodas_create(dp_ctx *ctx, const dpi_system *sys, const dpi_solve_opts *opts, int max_dir,
                              dpi_solver **out) {
  return dpi_lane_solver_create(ctx, &dp_solve_rodas, sys, opts, DPI_LANE_IMPLICIT, max_dir, out);
}

const dpi_solver_ops dp_solve_rodas = {
    .name = "rodas",
    .help = "Rosenbrock-Wanner of order 5 as compiled steps; for stiff problems of up to 100 states",
    .can = rodas_can,
    .create = rodas_create,
    .destroy = dpi_lane_solver_destroy,
    .bind = dpi_lane_face_bind,
    .input = dpi_lane_face_input,
    .start = dpi_lane_face_start,
    .step = dpi_lane_face_step,
    .dense = dpi_lane_face_dense,
};
