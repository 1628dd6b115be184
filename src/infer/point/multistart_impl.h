/* multistart_impl.h - floor 6, inside infer/point: what multistart.c, multistart_file.c and multistart_optima.c share.
 *
 * A start goes  WAITING -> SCREEN (only with candidates) -> SEARCH -> DONE;  a search whose first point is not
 * evaluable goes back to SCREEN or SEARCH with the next draw.
 */
#ifndef DPI_MULTISTART_IMPL_H
#define DPI_MULTISTART_IMPL_H

#include "infer/point/multistart.h"
#include "infer/point/point_batch.h"

typedef enum start_state { START_WAITING, START_SEARCH, START_DONE } start_state;

typedef struct dpi_campaign { /* a run in work */
  dpi_density *d;
  const dpi_multistart_def *def;
  dpi_multistart *ms;
  dpi_starts starts;
  dpi_batch batch;
  start_state *state;   /* [nstart] */
  dpi_trust **slot;     /* [nslot] searches; created when first used */
  int *who;             /* [nslot] the start in each, -1: none */
  int nslot, next;      /* next: the first start that nobody has begun */
  bool race;            /* a slot for each start; those whose turn it is are asked */
  int width;            /* points a round, at most batch; with a limit of time one, until costs are known */
  double cost;          /* seconds of processor time of one point, the dear ones */
  bool known;           /* there were points with derivatives */
  int *turn;            /* [nslot] slots of this round */
  int *rank;            /* [nstart] race: starts by J */
  double *rank_j;       /* [nstart] */
  double *candidate;    /* [screen x n] */
  dpi_density_value *seen;
  char problem[65];     /* identity of the file */
  double saved_at;      /* clock, s */
  bool fresh;           /* a start has ended since progress was told */
} dpi_campaign;

dp_status dpi_campaign_identity(dpi_campaign *c);
dp_status dpi_campaign_save(dpi_campaign *c);
/* Fills starts that are done and brings searches into slots; nothing when there is no file. */
dp_status dpi_campaign_load(dpi_campaign *c);
dp_status dpi_campaign_slot(dpi_campaign *c, int slot); /* makes its search when there is none yet */
void dpi_campaign_drop(dpi_campaign *c); /* all that is not the result */
/* The slots of this round into c->turn; their number. */
int dpi_campaign_turn(dpi_campaign *c);

/* Distinct optima, hit rate. */
dp_status dpi_multistart_optima(dpi_campaign *c);
/* Why nothing could be evaluated, into the context. */
dp_status dpi_multistart_nothing(const dpi_campaign *c);

#endif
