/* surrogate.h - a cheap stand-in for a sim: trained at some points, it knows its own error and its domain.  D -> Q
 *
 *     dp_surrogate_def def = dp_surrogate_def_default();
 *     def.input = input; def.ninput = 2;                                  laws of the inputs, as for sensitivity
 *     DP_TRY(dp_surrogate_fit(ctx, sim, &member, &def, &s));               the sim's outputs at the member's times
 *     if (dp_surrogate_describe(s).good) ... write dp_surrogate_text(s, &size) to a file ...
 *     dp_surrogate_destroy(s);
 *
 * The text is what the spoke "statistical" runs on (dp_sim_def.config): from then on the surrogate is a sim as any other.
 * Its inputs are the parameters, its outputs the trained quantities at the trained times; by method "draw" ("auto") with its
 * error as a random part of each member, by "mean" without; error(QUANTITY) is the deviation. Parameters outside the domain
 * and other times make a member fail. Doses are those it was trained with.
 *
 * Errors are calibrated by cross-validation so that intervals of 1.645 deviations hold 9 of 10, and tried at held-out
 * points. `good`: at these, the root mean square error of every output is at most `accuracy` of its deviation, and the
 * share inside is not below 0.9 by more than chance (1 in 1000, binomial in points and rows).
 */
#ifndef DOPPEL_SURROGATE_H
#define DOPPEL_SURROGATE_H

#include "doppel/belief.h"
#include "doppel/sensitivity.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum dp_surrogate_kind { DP_SURROGATE_BEST, DP_SURROGATE_GP, DP_SURROGATE_PCE } dp_surrogate_kind;

typedef struct dp_surrogate_def {
  uint32_t cookie;        /* set by dp_surrogate_def_default */
  dp_surrogate_kind kind; /* BEST: for each output the one that errs less in cross-validation */
  const dp_input_def
      *input; /* domain: the law's bounds; of normal laws without bounds 4 deviations. Groups: not used */
  int ninput;
  const char *const
      *quantity;     /* [the sim's outputs] their names in the surrogate, different ones; blanks are left out */
  int npoint, ntest; /* points of training (200) and held out (200) */
  uint64_t seed;
  double accuracy; /* 0.05 */
} dp_surrogate_def;
dp_surrogate_def dp_surrogate_def_default(void);

typedef struct dp_surrogate dp_surrogate;

typedef struct dp_surrogate_input {
  const char *id;
  double low, high; /* domain */
} dp_surrogate_input;

typedef struct dp_surrogate_output {
  const char *id;     /* QUANTITY@TIME */
  const char *kind;   /* "gp", "pce" */
  double sd;          /* of the function over the points of training */
  double loo;         /* root mean square error when one row is left out */
  int ntest;          /* held-out points; 0: not tried */
  double rms, inside; /* error there; share within 1.645 deviations */
  int good;           /* rms and inside are as asked; after dp_surrogate_load: as by default */
} dp_surrogate_output;

typedef struct dp_surrogate_desc {
  int ninput, noutput, nrow, nfailed; /* nfailed: points of training where the sim failed: left out */
  double start;
  const dp_surrogate_input *input;
  const dp_surrogate_output *output;
  const char *hash;   /* of the text */
  const char *origin; /* hash of the sim it was trained on, "" */
  int good;           /* all outputs are */
} dp_surrogate_desc;

/* base: as for dp_sensitivity_sim; output times ascending; no functionals. */
dp_status dp_surrogate_fit(dp_ctx *ctx, const dp_sim *sim, const dp_member *base, const dp_surrogate_def *def,
                           dp_surrogate **out);
/* ---- one person of a kind ----
 *
 * The kind's observables at some times as functions of the person's random effects ("eta_CL", of occasion 2 "eta_CL_2"), their
 * doses and covariates being what they are; domain: four deviations of the prior each way. */
typedef struct dp_surrogate_person {
  const dp_kind *kind;
  const dp_record *record;
  int subject;
  const dp_prior *prior;
  const double *time; /* [ntime] ascending or not, each once */
  int ntime;
} dp_surrogate_person;
/* def->input and quantity are not used. */
dp_status dp_surrogate_fit_person(const dp_surrogate_person *who, const dp_surrogate_def *def, dp_surrogate **out);

typedef struct dp_surrogate_fan { /* an observable at a time, without measurement error */
  const char *observable;         /* of the kind */
  double time;
  double mean, sd, q05, q50, q95; /* over the belief, the surrogate's error included */
  double error;                   /* root mean square of the surrogate's own error: its part of sd */
  int nfailed;                    /* draws left out: outside the domain, or the model failed */
} dp_surrogate_fan;
/* The belief's draws through the surrogate (NULL: through the model itself). fan [ntime x observables of the kind].
 * ERR_CONFLICT: the surrogate was trained for another person, kind or prior; times that it was not trained at fail. */
dp_status dp_surrogate_forecast(const dp_surrogate_person *who, const dp_surrogate *s, const dp_belief *belief,
                                uint64_t seed, dp_surrogate_fan *fan);

/* From a text; name: for messages. Damage is refused by line. */
dp_status dp_surrogate_load(dp_ctx *ctx, const char *name, const char *text, size_t size, dp_surrogate **out);
int dp_surrogate_is_text(const char *text, size_t size); /* does it begin as one? */
dp_surrogate_desc dp_surrogate_describe(const dp_surrogate *s);
const char *dp_surrogate_text(const dp_surrogate *s, size_t *size);
void dp_surrogate_destroy(dp_surrogate *s); /* NULL allowed */

#ifdef __cplusplus
}
#endif
#endif
