/* profile.h - floor 6, inside infer/point: how far a parameter, or a prediction, can be moved before the data object.
 *
 *     profile of x_i at v:           min J(x) over all x with x_i = v
 *     profile of a prediction at v:  min J(x) over all x with g(x) = v
 *
 * The walk goes from the optimum both ways in steps of equal rise of J until J has risen by the quantile of chi-squared
 * with one degree of freedom, half of it; where it crosses is the end of the likelihood-based interval. A profile that
 * does not cross is open, and is told by name. A better optimum found on the way is taken, and everything begins
 * again from it.
 *
 *     dpi_profile_def def = dpi_profile_def_default();
 *     dpi_profiles *p = NULL;
 *     DP_TRY(dpi_profiles_run(d, x_opt, &def, &p));
 *     p->profile[0].side[0].limit ...
 *     dpi_profiles_destroy(p);
 *
 * Source of the slope (envelope theorem) and of the prediction's profile by a penalty: Kreutz, Raue, Timmer, BMC Syst.
 * Biol. 6 (2012) 120: a minimum of J + (g - z)^2 / (2 sigma^2) is a point of the profile at g, whatever z and sigma
 * are, and the profile's slope there is (z - g) / sigma^2.
 */
#ifndef DPI_PROFILE_H
#define DPI_PROFILE_H

#include "infer/point/trust.h"

#define DPI_PROFILE_END_LIST(X)                                                        \
  X(RUNNING, "running", "still walking")                                               \
  X(CROSSED, "crossed", "the threshold was crossed")                                   \
  X(BOUND, "bound", "a bound was reached below the threshold")                         \
  X(FLAT, "flat", "J stays below the threshold, however far one goes")                           \
  X(STEPS, "steps", "the allowed number of steps was spent below the threshold")       \
  X(FAILED, "failed", "no further point could be evaluated")                           \
  X(CONSTANT, "constant", "a prediction that depends on nothing that is estimated")    \
  X(BETTER, "better", "a better optimum lies on the way")
typedef enum dpi_profile_end {
#define DPI_PROFILE_END_ENUM(name, word, text) DPI_PROFILE_##name,
  DPI_PROFILE_END_LIST(DPI_PROFILE_END_ENUM)
#undef DPI_PROFILE_END_ENUM
      DPI_PROFILE_END_COUNT
} dpi_profile_end;
const char *dpi_profile_end_name(dpi_profile_end end);
const char *dpi_profile_end_text(dpi_profile_end end);

#define DPI_IDENTIFIABLE_LIST(X)                                                                                   \
  X(YES, "identifiable", "both ends of the interval were found")                                                   \
  X(OPEN_BELOW, "open below", "practically not identifiable: no lower end within reach")                           \
  X(OPEN_ABOVE, "open above", "practically not identifiable: no upper end within reach")                           \
  X(OPEN, "open", "practically not identifiable: no end within reach, though J does change")                       \
  X(NOT, "not identifiable", "structurally not identifiable here: other parameters make up for any change")        \
  X(UNKNOWN, "unknown", "the profile could not be followed to its end")
typedef enum dpi_identifiable {
#define DPI_IDENTIFIABLE_ENUM(name, word, text) DPI_IDENTIFIABLE_##name,
  DPI_IDENTIFIABLE_LIST(DPI_IDENTIFIABLE_ENUM)
#undef DPI_IDENTIFIABLE_ENUM
      DPI_IDENTIFIABLE_COUNT
} dpi_identifiable;
const char *dpi_identifiable_name(dpi_identifiable v);
const char *dpi_identifiable_text(dpi_identifiable v);

typedef struct dpi_profile_point {
  double at, j, slope; /* value of parameter or prediction; J; dJ / d at */
  double *x;           /* [n] */
} dpi_profile_point;

typedef struct dpi_profile_side {
  dpi_profile_end end;
  double limit;             /* end of the interval; where the walk ended when open */
  bool open;                /* the interval has no end here */
  int npoint;
  dpi_profile_point *point; /* outward from the optimum, without it */
  int met;                  /* a parameter that is at a bound at the end and was not at the optimum, -1: none */
  bool jumped;              /* the walk has changed to a lower branch; earlier points were corrected */
  char reason[160];         /* FAILED: why */
} dpi_profile_side;

typedef struct dpi_profile {
  int index;        /* parameter, -1: prediction */
  const char *name; /* borrowed */
  double at;        /* at the optimum */
  dpi_profile_side side[2]; /* below, above */
  dpi_identifiable verdict;
} dpi_profile;

/* A prediction, its gradient [npoint x n], at several points. ok[p] false: not evaluable there. */
typedef dp_status (*dpi_profiled_fn)(void *user, int npoint, const double *x, double *g, double *grad, bool *ok);
typedef struct dpi_profiled {
  const char *name;
  dpi_profiled_fn fn;
  void *user;
} dpi_profiled;

typedef struct dpi_profile_def {
  double level;     /* of the interval: 0.95 */
  double margin;    /* how far beyond the threshold, relative to it, the walk goes */
  double step;      /* rise of J a step, relative to the threshold */
  double root_tol;  /* of J at the ends */
  double flat;      /* largest rise, relative to the threshold, of what is called flat */
  double better;    /* J lower than the optimum's by more is a better optimum */
  int max_step, max_restart;
  int batch;        /* walks at the same time; the answer does not depend on it */
  const int *param; /* [nparam] which parameters; NULL: all that are not held */
  int nparam;
  const dpi_profiled *prediction; /* [nprediction] beside them */
  int nprediction;
  const double *alternative; /* [nalternative x n] other places where J may be low, such as a multi-start's
                                optima: tried at */
  int nalternative;          /* each crossing, so that an interval does not end where only the nearest valley does */
  dpi_trust_def trust;
} dpi_profile_def;
dpi_profile_def dpi_profile_def_default(void);

typedef struct dpi_profiles {
  dpi_arena arena;
  int n, nprofile;
  dpi_profile *profile;       /* parameters in the order asked, then predictions */
  double *x, *fisher;         /* [n], [n x n] the optimum all of them start from */
  double j, threshold;        /* J there; rise at which an interval ends */
  int nrestart;               /* better optima met */
  const char *better;         /* the profile on which the last one was met, NULL */
  long neval;
} dpi_profiles;

/* x [n]: an optimum; it is polished first. Fisher information is needed. */
dp_status dpi_profiles_run(dpi_density *d, const double *x, const dpi_profile_def *def, dpi_profiles **out);
void dpi_profiles_destroy(dpi_profiles *p);
/* What is to be said of a prediction's interval: a verdict in few words, and why each open end is open. */
const char *dpi_prediction_verdict(dpi_identifiable v);
void dpi_prediction_words(const dpi_profile *p, const dpi_density *d, dpi_str *out);
/* A line for each: name, optimum, interval, verdict, why. */
void dpi_profiles_write(const dpi_profiles *p, const dpi_density *d, dpi_str *out);

/* ---- local rank ---- */

typedef struct dpi_rank {
  int n, rank;     /* directions with information */
  double *value;   /* [n] eigenvalues of the information in units of scale, ascending */
  double *vector;  /* [n x n] columns, in units of scale */
  double *scale;   /* [n] */
} dpi_rank;
/* Eigenvectors of the Fisher information at x; a direction counts when a unit of scale along it changes the
 * log-likelihood by more than tol (1e-6) of the best determined one and of 1. Memory of the arena. scale NULL: as the
 * trust region has it. */
dp_status dpi_rank_analyse(dpi_arena *arena, const dpi_density *d, const double *x, const double *fisher,
                           const double *scale, double tol, dpi_rank *out);
/* One sentence for each direction without information: which parameters change together. */
void dpi_rank_write(const dpi_rank *r, const dpi_density *d, dpi_str *out);

#endif
