/* suite.h - test suites that others wrote, run against this engine.
 *
 * NONMEM's individual estimates: dir holds dataNNN.csv (event tables) and runNNN.phi (for every subject the conditional
 * mode, its covariance and the FOCE-I objective, population parameters fixed); the model of run NNN is the kind in
 * kinds_dir/runNNN. Two checks a run:
 *   1. the objective at the reference's own mode is the reference's, for every subject;
 *   2. our own mode: individual parameters within 0.1 % of the reference, or a joint objective lower by more than 1e-3;
 *      never one higher by more than 1e-3.
 *
 *     dp_nonmem_def def = dp_nonmem_def_default();
 *     DP_TRY(dp_suite_nonmem(ctx, dir, kinds_dir, &def, each, user));
 */
#ifndef DOPPEL_SUITE_H
#define DOPPEL_SUITE_H

#include "doppel/context.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dp_nonmem_result {
  char run[16];    /* "001" */
  char status[12]; /* pass, fail, refused (no kind, or not supported), error */
  char why[240];   /* "" for pass */
  int nsubject;
  /* check 1 */
  double worst;            /* largest |our objective - theirs| at their mode, over its tolerance */
  double worst_difference; /* the same, in units of the objective */
  char worst_subject[32];
  double objective, reference; /* sums over subjects */
  /* check 2 */
  int nparameter; /* individual parameters compared */
  int nwithin;    /* within 0.1 % */
  int nbetter;    /* subjects whose joint objective is lower than at their mode by more than 1e-3 */
  int nflat; /* subjects beyond 0.1 % whose joint objective is the same within 1e-3, never higher */
  int nworse; /* subjects whose joint objective is higher by more than 1e-3 */
  int nunconverged;
  double largest; /* largest relative difference among subjects that are not better */
  double seconds; /* of check 2: all mode searches */
  double patients_per_s;
} dp_nonmem_result;

typedef struct dp_nonmem_def {
  uint32_t cookie;
  const char *const *only; /* runs, or NULL: all for which there are data */
  int nonly;
  int nstart;      /* mode searches a subject: 3 */
  int max_subject; /* 0: all */
} dp_nonmem_def;
dp_nonmem_def dp_nonmem_def_default(void);

/* Called for each run in ascending order, as soon as it is done. */
typedef void (*dp_nonmem_fn)(void *user, const dp_nonmem_result *result);
dp_status dp_suite_nonmem(dp_ctx *ctx, const char *dir, const char *kinds_dir,
                          const dp_nonmem_def *def, dp_nonmem_fn each, void *user);

#ifdef __cplusplus
}
#endif
#endif
