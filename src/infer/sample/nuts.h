/* nuts.h - floor 6, folder sample: the No-U-Turn sampler.  O -> D
 *
 *     dpi_nuts_def def = dpi_nuts_def_default();
 *     def.seed = 7;
 *     dpi_draws *draws = NULL;
 *     dpi_nuts_report report;
 *     DP_TRY(dpi_nuts_run(density, &def, &draws, &report));
 *     dpi_verdict verdict;
 *     DP_TRY(dpi_verdict_chains(draws, &verdict));       verdict.h
 *     dpi_draws_destroy(draws);
 *
 * All chains advance together: each call of the density is a batch of as many points as there are chains that go on.
 */
#ifndef DPI_NUTS_H
#define DPI_NUTS_H

#include "infer/sample/chain.h"

typedef enum dpi_nuts_metric {
  DPI_NUTS_AUTO, /* dense up to DPI_NUTS_DENSE_MOST parameters */
  DPI_NUTS_DIAGONAL,
  DPI_NUTS_DENSE
} dpi_nuts_metric;
#define DPI_NUTS_DENSE_MOST 100

typedef struct dpi_nuts_def {
  uint64_t seed;
  int nchain, first_chain; /* chain k of a run with first_chain = f is chain f + k of everything */
  int nwarmup, ndraw;      /* a chain; warm-up draws are not kept */
  int max_depth;           /* a trajectory has at most 2^max_depth - 1 steps; 1..20 */
  double accept;           /* mean acceptance statistic that the step size is adapted to */
  dpi_nuts_metric metric;
  bool no_fisher;      /* do not ask for the Fisher matrix at the start (the first metric is then the identity) */
  const double *start; /* [nchain x n] in the box, or NULL: draws of the prior */
  double spread;       /* chains begin beside their start, this many deviations of the Fisher matrix there away: several
                          chains of one start would agree too early. 0: at it */
  dpi_density *warm;   /* the same density with coarser tolerances, for warming up; NULL: none. The tag must tell */
  const char *file;    /* saved here now and then and gone on from, when it exists; NULL: not */
  int checkpoint;      /* draws (of the slowest chain) between two savings */
  const char *tag;     /* what else the draws depend on: the problem's hash; or NULL */
} dpi_nuts_def;

dpi_nuts_def dpi_nuts_def_default(void);

typedef struct dpi_nuts_report {
  int nstuck;          /* chains that found no place to start from */
  char reason[240];    /* of the first of them */
  double at_limit;     /* share of draws whose trajectory was cut at max_depth: slow, not wrong */
  long nbatch, npoint; /* calls of the density, and their points; after an interruption: of the last run */
} dpi_nuts_report;

/* A chain that can't start is an outcome: it has no draws (draws->done = 0). Other than DP_OK: memory, cancelled, file.
 * What was drawn until a cancel is in the file. */
dp_status dpi_nuts_run(dpi_density *d, const dpi_nuts_def *def, dpi_draws **out, dpi_nuts_report *report);

#endif
