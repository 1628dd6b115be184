/* pool.h - floor 6, inside infer: weighted draws of several sets of proposals, together (importance.c).
 *
 * A set is what dpi_importance_run draws: rounds of one mixture, adapted. Each set has weights of its own, from the
 * mixture of its own proposals: what two sets say can be compared. All draws together are weighed by the mixture of all
 * proposals there were (balance heuristic: E. Veach, L. J. Guibas, SIGGRAPH (1995) 419; A. Owen, Y. Zhou, J. Am. Stat.
 * Assoc. 95 (2000) 135): none is thrown away, and a proposal that knew only a part does no harm where others knew more.
 *
 *     dpi_pool_init(&pool, &arena, dim);
 *     DP_TRY(dpi_pool_run(&pool, &def, &own, &all));     a set, as often as needed
 *
 * Draw i of the pool is the i-th point that targets were asked for, over all sets.
 */
#ifndef DPI_POOL_H
#define DPI_POOL_H

#include "infer/infer.h"
#include "infer/sample/mixture.h"

#define DPI_POOL_ROUNDS 72 /* of all sets, at most: max_round of each counts, whether they come or not */

typedef struct dpi_pool_round { /* a mixture and its draws */
  dpi_mixture mix;
  double dof;
  int first, n; /* where they stand */
  double *logq; /* [cap] ln density of each draw of the pool under the mixture */
} dpi_pool_round;

typedef struct dpi_pool {
  dpi_arena *arena; /* borrowed: all memory is its */
  int dim, n, cap, nround;
  dpi_pool_round round[DPI_POOL_ROUNDS];
  double *x;    /* [cap x dim] */
  double *logp; /* [cap] */
  double *logw, *work; /* [cap], [2 cap] scratch of the set that is drawn */
  int *order;          /* [cap] */
} dpi_pool;

void dpi_pool_init(dpi_pool *pool, dpi_arena *arena, int dim);
/* One more set: rounds until its own draws are good and worth def->ess, or def->max_round of them. own: its draws with
 * its own weights; all: every draw with weights under the proposals of all, or NULL. all->ess takes draws for
 * independent that come of mixtures made of each other: it overclaims. */
dp_status dpi_pool_run(dpi_pool *pool, const dpi_importance_def *def, dpi_importance *own, dpi_importance *all);

#endif
