/* smc.h - floor 6, folder sample: sequential Monte Carlo from the prior to the posterior.  O -> D
 *
 * Particles of the prior are led through likelihood^beta prior, beta = 0 .. 1, each step as long as the effective
 * number of particles allows, resampled and moved at each step. Finds many modes, needs no gradient, gives the
 * evidence; every move is one batch of all particles.
 *
 *     dpi_smc_def def = dpi_smc_def_default();
 *     dpi_smc_report report;
 *     DP_TRY(dpi_smc_run(density, &def, &draws, &report));
 *     DP_TRY(dpi_smc_verdict(draws, &report, &verdict));
 *
 * The run is repeated: repeats are the chains of the draws, and the spread of their halves is the error of the
 * evidence.
 */
#ifndef DPI_SMC_H
#define DPI_SMC_H

#include "infer/sample/chain.h"
#include "infer/sample/verdict.h"

typedef struct dpi_smc_def {
  uint64_t seed;
  int nparticle;
  int nrepeat, first_repeat; /* repeat k of a run with first_repeat = f is repeat f + k of everything */
  double ess;                /* share of particles that stays effective in a step of beta; 0..1 */
  double correlation;        /* moves go on until no direction correlates more than this with before; 0..1 */
  int max_move;              /* sweeps of moves at one beta, at most */
  const char *file;          /* finished repeats are saved here and not done again; NULL: not */
  const char *tag;           /* what else the draws depend on: the problem's hash; or NULL */
} dpi_smc_def;

dpi_smc_def dpi_smc_def_default(void);

/* Numbers of one repeat. */
/* clang-format off */
#define DPI_SMC_STATE_LIST(X)                                                         \
  X(HALF_A, "ln of the integral of likelihood x prior by one half of the particles") \
  X(HALF_B, "and by the other")                                                      \
  X(STEPS, "steps of beta")                                                          \
  X(SWEEPS, "sweeps of moves")                                                       \
  X(ACCEPT, "accepted share of the last sweep's moves")                              \
  X(CORRELATION, "largest correlation left at the last step")                        \
  X(UNIQUE, "distinct particles, share")
/* clang-format on */
enum {
#define DPI_SMC_STATE_ENUM(name, text) DPI_SMC_##name,
  DPI_SMC_STATE_LIST(DPI_SMC_STATE_ENUM)
#undef DPI_SMC_STATE_ENUM
      DPI_SMC_NSTATE
};

typedef struct dpi_smc_report {
  double evidence; /* ln of the mean over repeats of the integral of likelihood x prior; the prior integrates to 1 */
  double evidence_error; /* one standard error, from the spread over the halves of all repeats */
  int nempty;            /* repeats that found no particle to start from */
  char reason[240];      /* of the first of them */
  long nbatch, npoint;
} dpi_smc_report;

/* ERR_UNSUPPORTED: there is no proper prior. draws: [nrepeat x nparticle], equally weighted; a repeat's numbers in
 * draws->state. */
dp_status dpi_smc_run(dpi_density *d, const dpi_smc_def *def, dpi_draws **out, dpi_smc_report *report);
/* Particles x [nparticle x n] that stand about where likelihood x prior has its mass, each moved `least` times, and up
 * to `most` as long as a direction's mean or deviation still changes by a tenth of a deviation in 5, by moves that leave
 * it as it is: what is too narrow widens, what lies beside comes in. For a description of the mass (mixture.h), not for
 * draws: nothing here says whether they have arrived. No prior is drawn. Streams are those of repeat
 * def->first_repeat. */
dp_status dpi_smc_settle(dpi_density *d, const dpi_smc_def *def, int least, int most, double *x);
dp_status dpi_smc_verdict(const dpi_draws *draws, const dpi_smc_report *report, dpi_verdict *v);

#endif
