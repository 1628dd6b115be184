/* bands.h - mean, standard deviation and quantiles over any number of members, in bounded memory.  Q
 *
 *     dp_source source = {fill, user};                       makes members block by block
 *     dp_bands_def def = dp_bands_def_default();
 *     DP_TRY(dp_simulate_bands(sim, 1000000, &source, &opts, &def, &bands));
 *     x = dp_bands_quantile(bands, time, output, 0.95);
 *     dp_bands_destroy(bands);
 *
 * Members are cut into fixed blocks; blocks are digested by whoever simulates them (threads, ranks) and added in their
 * order, so the result is the same bytes for any number of threads and ranks. Up to DP_BANDS_EXACT members quantiles
 * are exact (nearest rank); beyond, the number given has a rank within rank_error x members of the asked one: a
 * guarantee, not a probability. Values that are not finite are left out of a band; members that fail count up to where
 * they failed.
 *
 * With ranks (dp_ctx_def.ranks) all call this with the same arguments; rank 0 gets the bands, the others NULL.
 */
#ifndef DOPPEL_BANDS_H
#define DOPPEL_BANDS_H

#include "doppel/sim.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DP_BANDS_EXACT 8192 /* members up to which every value is kept */

typedef struct dp_bands_def {
  uint32_t cookie; /* set by dp_bands_def_default */
  double rank_error; /* of quantiles, as a share of the members: 5e-4; 0: exact, all values are kept */
  /* May be NULL: called on the calling thread, members done so far and failed among them. */
  void (*progress)(void *user, double done, int nfailed);
  void *progress_user;
} dp_bands_def;
dp_bands_def dp_bands_def_default(void);

typedef struct dp_bands dp_bands;

typedef struct dp_bands_desc {
  int ntime, noutput;
  int nmember, ndone; /* asked for; in the bands */
  int nfailed;        /* of those done */
  int first_failed;   /* lowest number of a member that failed, -1: none; when and why: */
  double fail_time;
  const char *reason;
  double rank_error; /* guaranteed for these bands: 0 when exact */
} dp_bands_desc;

/* All members have the same number of output times. DP_ERR_CANCELLED (cancel, deadline): *out holds the bands of the
 * members done so far, which are the first ones. DP_ERR_RANK, or what it ended with itself: another rank left early;
 * named. */
dp_status dp_simulate_bands(const dp_sim *sim, int nmember, const dp_source *source, const dp_run_opts *opts,
                            const dp_bands_def *def, dp_bands **out);
void dp_bands_destroy(dp_bands *bands); /* NULL allowed */

dp_bands_desc dp_bands_describe(const dp_bands *bands);
/* In the output's unit; NaN where no member has a finite value (sd: fewer than two). time and output are indices. */
double dp_bands_quantile(const dp_bands *bands, int time, int output, double q);
double dp_bands_mean(const dp_bands *bands, int time, int output);
double dp_bands_sd(const dp_bands *bands, int time, int output); /* divides by n - 1 */
int dp_bands_count(const dp_bands *bands, int time, int output); /* finite values */

#ifdef __cplusplus
}
#endif
#endif
