/* flux.h - floor 4: flux balance, inside the room.
 *
 *     flux.c         the linear program and its solution
 *     flux_start.c   values at time zero: of bounds and stoichiometries that formulas give
 */
#ifndef DPI_FLUX_H
#define DPI_FLUX_H

#include "base/base.h"
#include "doppel/flux.h"
#include "lang/lang.h"
#include "lang/network.h"

typedef struct dpi_flux_start {
  dp_ctx *ctx;
  const dp_model *model;
  dpi_arena arena;
  int nsym;
  double *value;      /* [nsym] those that are known */
  uint8_t *state;     /* [nsym] UNKNOWN, WAITING, KNOWN */
  uint8_t *seen;      /* [nsym] scratch */
  dpi_node *constant; /* [nsym] scratch */
  int *stack;         /* [nsym] */
} dpi_flux_start;

dp_status dpi_flux_start_init(dpi_flux_start *s, const dp_model *model);
void dpi_flux_start_release(dpi_flux_start *s);
/* Value at time zero of the model's symbol id: NaN when it has none. Adds constants to the model's graph. */
dp_status dpi_flux_start_value(dpi_flux_start *s, const char *id, double *out);

#endif
