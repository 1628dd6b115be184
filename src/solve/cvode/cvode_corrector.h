/* cvode_corrector.h - floor 3, private to cvode: linear solves for all sensitivities at once, and the corrector that
 * needs no iteration.
 *
 * The library's linear solvers factorise; what they leave is used here for as many right-hand sides as a vector has
 * columns (cvode_columns.h). The equations of the sensitivities are linear: with the Jacobian at the step's own state
 * and step size one solve is the answer, where a kept Jacobian has to be iterated with. Factors cost as much for one
 * column as for many, and a fresh matrix at every step makes the state's own iteration begin anew, with a full tape for
 * each round: so this is done from DPI_CORRECTOR_LEAST columns and DPI_CORRECTOR_STATES states on (README:
 * measured). */
#ifndef DPI_CVODE_CORRECTOR_H
#define DPI_CVODE_CORRECTOR_H

#include <sundials/sundials_linearsolver.h>
#include <sundials/sundials_nonlinearsolver.h>

#include "solve/cvode/cvode_columns.h"

enum { DPI_CORRECTOR_LEAST = 8, DPI_CORRECTOR_STATES = 64 };

/* A linear solver around `inner` (dense or KLU; not owned) that takes vectors of `family`. NULL: no memory. */
SUNLinearSolver dpi_corrector_linear(dpi_columns *family, SUNLinearSolver inner, bool sparse, SUNContext sun);
/* For CVodeSetNonlinearSolverSensStg. NULL: no memory. Freed by SUNNonlinSolFree. */
SUNNonlinearSolver dpi_corrector_direct(dpi_columns *family, SUNContext sun);

#endif
