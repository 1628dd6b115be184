/* tangent_model.h - floor 3: a model beside its tangent along one direction of its parameters.
 *
 *     dx/dt  = f(t, x, p)                    states and parameters keep their ids
 *     dx'/dt = f_x x' + f_p p'               "tangent(x)", "tangent(p)": x' is dx along p'
 *
 * Made of a sealed model and sealed again, it is a model like any other: its outputs are derivatives along p', and
 * derivatives of these, forward or backwards, are second derivatives: exact products of a Hessian with p'.
 *
 * Where the path jumps the tangent jumps (tangent_event.c). With delays, constraints, draws and what else has no
 * derivative it is refused by name.
 */
#ifndef DPI_TANGENT_MODEL_H
#define DPI_TANGENT_MODEL_H

#include "lang/lang.h"

/* States of the tangent model that it has where the time of some jump moves with parameters: how fast it moves
 * (d tau along p'), and when something last jumped. Whoever makes the state jump at a fixed time (a law) sets the first
 * to 0 and the second to the time. */
#define DPI_TANGENT_MOMENT "tangent(moment)"
#define DPI_TANGENT_JUMPED "tangent(jumped)"

/* param [nparam]: ids of parameters that move. at_rest: only steady states of it will be asked for. */
dp_status dpi_model_tangent(const dp_model *m, const char *const *param, int nparam, bool at_rest, dp_model **out);
/* "tangent(id)" in the arena. */
const char *dpi_tangent_id(dpi_arena *arena, const char *id);
/* The tangent of a formula over the model's own ids, as text of the formula language, in the arena. */
dp_status dpi_tangent_formula(dp_model *tangent, const char *formula, dpi_arena *arena, const char **out);
/* A formula over a sealed model written out in states and parameters: text that its tangent model understands. */
dp_status dpi_tangent_written(dp_model *m, const char *formula, dpi_arena *arena, const char **out);

#endif
