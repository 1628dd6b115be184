/* point_batch.h - floor 6, inside infer/point: searches that advance at the same time.
 *
 *     for each search that waits:  dpi_batch_ask(&b, t, i)      its next point is noted
 *     dpi_batch_eval(&b)                                        all of them in one call (one for each kind of question)
 *     for k < b.count:             tell b.owner[k] b.value[k]
 */
#ifndef DPI_POINT_BATCH_H
#define DPI_POINT_BATCH_H

#include "infer/point/trust.h"

typedef struct dpi_batch {
  dp_ctx *ctx;
  int n, cap, count;
  int *owner;               /* [cap] whose question this is */
  double *x;                /* [cap x n] */
  unsigned *what;           /* [cap] */
  dpi_density_value *value; /* [cap] */
  int *order;               /* the rest: one call's share */
  double *part_x;
  dpi_density_value *part;
} dpi_batch;

dp_status dpi_batch_init(dpi_batch *b, dp_ctx *ctx, int n, int cap);
void dpi_batch_release(dpi_batch *b);
/* false: the search has ended, there is nothing to ask */
bool dpi_batch_ask(dpi_batch *b, dpi_trust *t, int owner);
dp_status dpi_batch_eval(dpi_batch *b, dpi_density *d);

#endif
