/* flux.h - steady fluxes of a reaction network by linear programming (SBML package fbc).
 *
 *     maximise or minimise  sum c_j v_j   subject to  N v = 0,  lower_j <= v_j <= upper_j
 *
 * N is the stoichiometric matrix over the species that are neither boundary nor constant. Source: Orth, Thiele and Palsson,
 * Nature Biotechnology 28 (2010) 245; SBML Level 3 Package fbc, Version 3. Fluxes are in the model's extent per time.
 */
#ifndef DOPPEL_FLUX_H
#define DOPPEL_FLUX_H

#include "doppel/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dp_flux {
  dp_ctx *ctx;
  double objective;
  int nreaction;
  const char **reaction; /* [nreaction] ids */
  double *value;         /* [nreaction] */
} dp_flux;

/* Does the model state a flux balance problem (an active objective)? */
bool dp_flux_has(const dp_model *model);
/* It does, and says nothing else: no reaction has a rate, no rule or event changes anything over time. */
bool dp_flux_only(const dp_model *model);
/* Solve it, before or after sealing. ERR_INPUT: bounds missing or crossed; ERR_CONVERGE: infeasible or unbounded, named.
 * Free with dp_flux_destroy. */
dp_status dp_flux_solve(const dp_model *model, dp_flux **out);
void dp_flux_destroy(dp_flux *flux);

#ifdef __cplusplus
}
#endif
#endif
