/* tempering.h - floor 6, folder sample: adaptive parallel tempering.  O -> D
 *
 * A chain is a ladder of levels that sample likelihood^beta prior, from beta = 1 down to the prior itself, and exchange
 * places. Hot levels cross between modes, the cold one gives the posterior, all together the evidence. Values only, no
 * gradient; each iteration is one batch of all levels of all chains.
 *
 *     dpi_tempering_def def = dpi_tempering_def_default();
 *     DP_TRY(dpi_tempering_run(density, &def, &draws, &report));
 *     DP_TRY(dpi_tempering_verdict(draws, &report, &verdict));
 */
#ifndef DPI_TEMPERING_H
#define DPI_TEMPERING_H

#include "infer/sample/chain.h"
#include "infer/sample/verdict.h"

#define DPI_TEMPERING_MOST 64 /* levels */

typedef struct dpi_tempering_def {
  uint64_t seed;
  int nchain, first_chain; /* chain k of a run with first_chain = f is chain f + k of everything */
  int nlevel;              /* 0: 8 + 2 sqrt(n) */
  int nwarmup, ndraw;      /* iterations; of the later ones ndraw are kept ... */
  int thin;                /* ... one in so many */
  double beta_least;       /* of the hottest level where there is no proper prior; no evidence then */
  const double *start;     /* [nchain x n] in the box for the cold level, or NULL */
  const char *file;        /* saved here now and then and gone on from, when it exists; NULL: not */
  int checkpoint;          /* iterations between two savings */
  const char *tag;         /* what else the draws depend on: the problem's hash; or NULL */
} dpi_tempering_def;

dpi_tempering_def dpi_tempering_def_default(void);

typedef struct dpi_tempering_report {
  double evidence;       /* ln of the integral of likelihood x prior, bridge by bridge; NaN without a proper prior */
  double evidence_error; /* one standard error */
  double integrated;     /* the same by thermodynamic integration (trapezoid over the levels): a check */
  double swap_least;     /* smallest acceptance of exchanges between neighbours, over chains */
  double round_trips;    /* mean over chains: journeys cold - hot - cold of one place's lineage after warm-up */
  int nlevel;
  double beta[DPI_TEMPERING_MOST]; /* of the first chain */
  int nstuck;                      /* chains that found no places to start from */
  char reason[240];
  long nbatch, npoint;
} dpi_tempering_report;

dp_status dpi_tempering_run(dpi_density *d, const dpi_tempering_def *def, dpi_draws **out,
                            dpi_tempering_report *report);

#define DPI_VERDICT_SWAP 0.05 /* our choice: below it neighbours hardly meet */
#define DPI_VERDICT_TRIPS 5   /* a chain; our choice: fewer say little about the weights of modes */
dp_status dpi_tempering_verdict(const dpi_draws *draws, const dpi_tempering_report *report, dpi_verdict *v);

#endif
