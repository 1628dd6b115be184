/* carry.h - floor 6, folder filter: a batch posterior goes on observation by observation, and comes back.  D <-> O
 *
 * Draws of a batch method (a belief, chains, importance sampling) are given with their weights and verdict; further
 * readings reweigh them. What comes back is draws, weights and a verdict again: k-hat and the effective number say when
 * the draws have been reweighed too far, and what was unfit at the start stays unfit.
 *
 *     dpi_draws_carried batch = {.n = n, .dim = 2, .x = x, .weight = w, .usable = 1};
 *     DP_TRY(dpi_carry_begin(&problem, &prior, &batch, known, nknown, &carry));   readings that are in the draws
 * already
 *     DP_TRY(dpi_carry_read(carry, reading, n));                                 new ones
 *     dpi_carry_back(carry, &now);
 *
 * For a process without noise. Readings must come in the order of time. When it says that it can't be used any more,
 * dpi_statics starts from the prior with all readings. A filter of a stochastic process takes the same draws as
 * dpi_filter_def.param and .weight.
 */
#ifndef DPI_CARRY_H
#define DPI_CARRY_H

#include "infer/filter/statics.h"

typedef struct dpi_draws_carried {
  int n, dim;
  const double *x;      /* [n x dim] on the prior's scale. Given: copied; back: borrowed from the carry */
  const double *weight; /* [n] or NULL: equal. Back: sum 1 */
  double evidence;      /* ln p(readings in it); NaN: not known */
  int usable;
  double ess, khat; /* back: k-hat of all weights since the start; NaN: nothing was read */
  char verdict[240];
} dpi_draws_carried;

typedef struct dpi_carry dpi_carry;
dp_status dpi_carry_begin(const dpi_problem *problem, const dpi_static_prior *prior, const dpi_draws_carried *from,
                          const dpi_reading *known, int nknown, dpi_carry **out);
dp_status dpi_carry_read(dpi_carry *c, const dpi_reading *reading, int n);
void dpi_carry_back(const dpi_carry *c, dpi_draws_carried *now);
void dpi_carry_destroy(dpi_carry *c); /* NULL allowed */

#endif
