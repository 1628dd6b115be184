/* lane_tableau.h - floor 3, inside the room: coefficients of the methods that step in lanes.
 *
 * Rosenbrock-Wanner methods, in the form without a product with J (E. Hairer, G. Wanner, Solving Ordinary
 * Differential Equations II, 2nd ed. 1996, section IV.7):
 *
 *     (1/(h gamma) - J) U_i = f(t + alpha_i h, x + sum_{j<i} a_ij U_j) + sum_{j<i} (c_ij / h) U_j + h gamma_i df/dt
 *     x_new = x + sum b_i U_i,    error = sum e_i U_i
 *
 * Explicit Runge-Kutta methods: the same letters with V_i = h f(t + alpha_i h, x + sum a_ij V_j) for U_i. The last
 * stage is that of x_new: it is the first of the next step.
 *
 * Dense output of both: x(t + theta h) = (1 - theta) x + theta (x_new + (1 - theta) sum_k theta^k D_k), D_k = sum_i
 * dense_ki U_i.
 */
#ifndef DPI_LANE_TABLEAU_H
#define DPI_LANE_TABLEAU_H

#include <stdbool.h>

typedef struct dpi_lane_tableau {
  const char *name;
  bool implicit;
  int nstage, order, order_error, ndense;
  double gamma;         /* implicit only */
  const double *alpha;  /* [nstage] */
  const double *gammas; /* [nstage] gamma_i; implicit only */
  const double *a;      /* [nstage x nstage] strictly lower */
  const double *c;      /* [nstage x nstage] strictly lower; implicit only */
  const double *b;      /* [nstage] */
  const double *error;  /* [nstage] */
  const double *dense;  /* [ndense x nstage] */
  double limit;         /* explicit: |h lambda| at the border of stability on the negative axis */
} dpi_lane_tableau;

/* NULL: there is none of this name. */
const dpi_lane_tableau *dpi_lane_tableau_find(const char *name);
/* All of them, NULL-terminated. */
const dpi_lane_tableau *const *dpi_lane_tableau_all(void);

#endif
