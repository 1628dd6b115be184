/* trust.h - floor 6, inside infer/point: the nearest minimum of J = -(loglik + logprior) within the box.
 *
 * A trust-region method in the manner of Coleman & Li (Math. Prog. 67 (1994) 189; SIAM J. Optim. 6 (1996) 418): near a
 * bound the region is an ellipsoid that follows it; steps that would cross a bound are cut, reflected or solved again
 * with what they met held there, whichever promises most. The subproblem is solved exactly in eigenvectors (Moré &
 * Sorensen 1983), so directions without information and of negative curvature need no special case.
 *
 * The caller evaluates: a search asks for one point after the other, and many searches can ask at the same time.
 *
 *     dpi_trust_create(ctx, d, &def, NULL, &t);
 *     dpi_trust_begin(t, x0);
 *     while (dpi_trust_next(t, x, &what, &value)) {
 *       DP_TRY(dpi_density_eval(d, 1, x, what, &value));
 *       dpi_trust_tell(t, &value);
 *     }
 *     dpi_trust_result(t)->j ...
 *
 * Invariants:
 *   1. what is asked next follows from the start and the answers alone;
 *   2. no point outside the box is asked for; a bound itself may be;
 *   3. J never rises from one accepted point to the next by more than noise.
 */
#ifndef DPI_TRUST_H
#define DPI_TRUST_H

#include "infer/density.h"

/* how the curvature of J is known */
#define DPI_HESSIAN_LIST(X)                                                                             \
  X(HYBRID, "hybrid",                                                                                   \
    "Fisher information, with a secant estimate of what it leaves out as soon as that predicts better") \
  X(FISHER, "fisher", "Fisher information (Gauss-Newton)")                                              \
  X(BFGS, "bfgs", "quasi-Newton, from gradients alone")                                                 \
  X(SR1, "sr1", "quasi-Newton that may be indefinite, from gradients alone")
typedef enum dpi_hessian {
#define DPI_HESSIAN_ENUM(name, word, help) DPI_HESSIAN_##name,
  DPI_HESSIAN_LIST(DPI_HESSIAN_ENUM)
#undef DPI_HESSIAN_ENUM
      DPI_HESSIAN_COUNT
} dpi_hessian;
const char *dpi_hessian_name(dpi_hessian h);
int dpi_hessian_find(const char *word); /* -1: none */

/* why a search has ended; good: a local minimum, as far as J can tell */
#define DPI_TRUST_END_LIST(X)                                                                         \
  X(RUNNING, false, "running", "still running")                                                       \
  X(GRADIENT, true, "gradient", "the gradient is zero within its tolerance")                          \
  X(DECREASE, true, "decrease", "no step promises a fall of J that could be told from rounding")      \
  X(STEP, true, "step", "steps have become shorter than their tolerance")                             \
  X(ITERATIONS, false, "iterations", "the allowed number of iterations is spent")                     \
  X(EVALUATIONS, false, "evaluations", "the allowed number of evaluations is spent")                  \
  X(TIME, false, "time", "the allowed processor time is spent")                                       \
  X(START, false, "start", "the start could not be evaluated")                                        \
  X(STUCK, false, "stuck", "no point near could be evaluated")
typedef enum dpi_trust_end {
#define DPI_TRUST_END_ENUM(name, good, word, text) DPI_TRUST_##name,
  DPI_TRUST_END_LIST(DPI_TRUST_END_ENUM)
#undef DPI_TRUST_END_ENUM
      DPI_TRUST_END_COUNT
} dpi_trust_end;
const char *dpi_trust_end_name(dpi_trust_end end);
const char *dpi_trust_end_text(dpi_trust_end end);
int dpi_trust_end_find(const char *word); /* -1: none */
bool dpi_trust_end_good(dpi_trust_end end);

typedef struct dpi_trust_def {
  dpi_hessian hessian;
  int exact_max;      /* more free parameters than this: steps in a plane instead of exact ones */
  double gtol;        /* largest |v_i dJ/dy_i|, in units of J */
  double ftol;        /* promised fall of J relative to max(1, |J|) */
  double xtol;        /* length of a step in units of scale */
  double noise;       /* of J, relative to max(1, |J|): smaller rises are not counted as rises */
  int max_iter;       /* accepted and refused steps */
  long max_eval;      /* 0: no limit */
  double radius;      /* of the first step, in units of scale */
  int value_first;    /* a trial's value before its gradient: 0 never, 1 after a refused step, 2 always */
  int refresh;        /* hybrid, fisher: F is asked for at every so-manieth accepted point only (and after a refused
                         step, and at a snap to bounds); 1: at all of them. For where F costs many gradients; then
                         dpi_trust_result.fisher may be that of an earlier point */
  const double *scale; /* [n] unit of each parameter, NULL: a tenth of its box, at most max(1, |start|) */
  const bool *fixed;   /* [n] parameters that stay at their start, NULL: none; copied */
} dpi_trust_def;
dpi_trust_def dpi_trust_def_default(void);

typedef struct dpi_trust_result { /* memory of the search */
  dpi_trust_end end;
  double j, loglik, logprior;
  const double *x, *gradient, *fisher; /* [n], [n] of J, [n x n] of the likelihood (NULL without) */
  const signed char *at;               /* [n] -1 at the lower bound, 1 at the upper, 0 inside */
  double optimality;                   /* largest |v_i dJ/dy_i| */
  int niter;
  long neval, nfailed; /* points asked for; of them not evaluable */
  char reason[160];    /* of the last point that was not evaluable */
} dpi_trust_result;

typedef struct dpi_trust dpi_trust;

/* The density gives n, names and box; it is not evaluated and need not outlive the call's arrays lower and upper. */
dp_status dpi_trust_create(dp_ctx *ctx, const dpi_density *d, const dpi_trust_def *def, dpi_trust **out);
void dpi_trust_destroy(dpi_trust *t);
/* A new search from x0 [n] (moved into the box). fixed [n] (NULL: as before) holds other parameters still. */
void dpi_trust_begin(dpi_trust *t, const double *x0, const bool *fixed);
/* The next point to evaluate into x [n]; value: gradient and fisher point to the search's memory. false:
 * it has ended. */
bool dpi_trust_next(dpi_trust *t, double *x, unsigned *what, dpi_density_value *value);
void dpi_trust_tell(dpi_trust *t, const dpi_density_value *value);
const dpi_trust_result *dpi_trust_result_of(const dpi_trust *t);

/* begin, next, tell until the end. */
dp_status dpi_trust_minimise(dpi_density *d, dpi_trust *t, const double *x0, const bool *fixed);

/* A search between two points, as numbers separated by blanks: read back, it goes on to the same result. */
void dpi_trust_save(const dpi_trust *t, dpi_str *out);
/* false: not what dpi_trust_save has written for such a search. */
bool dpi_trust_load(dpi_trust *t, const char *text);

#endif
