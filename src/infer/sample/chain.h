/* chain.h - floor 6, folder sample: what all samplers share.  O -> D
 *
 * A sampler gets a dpi_density (infer/density.h), works on R^n where the density's box was, and leaves its draws, on
 * the box again, in a dpi_draws. verdict.h says whether they may be used.
 *
 *     chain.h    the box and R^n, tables of draws (chain.c, sample_box.c)
 *     nuts.h     the No-U-Turn sampler: one mode, gradients
 *     tempering.h  parallel tempering: many modes, values only; evidence
 *     smc.h      sequential Monte Carlo from the prior: many modes, values only, wide batches; evidence
 *     laplace.h  importance-resampled Laplace: milliseconds
 *     verdict.h  R-hat, effective sizes, divergences, k-hat -> usable or not, in words
 *     sbc.h      simulation-based calibration: is a sampler (or a whole pipeline) honest?
 *
 * Invariants:
 *   1. what a chain does depends on (seed, chain's number, density) alone: the same bytes whatever other chains run
 *      beside it;
 *   2. random numbers are addressed by (seed, chain, draw): going on after an interruption gives the bytes of an
 *      undisturbed run;
 *   3. a point where the density can't be evaluated has density 0; it is never an error.
 */
#ifndef DPI_CHAIN_H
#define DPI_CHAIN_H

#include "infer/density.h"
#include "num/num.h"

/* Purposes of random streams used here; stream = chain, counter = draw << DPI_SAMPLE_SHIFT | number within the draw. */
enum {
  DPI_RNG_SAMPLE_START = 0x1401, /* starting points without a prior */
  DPI_RNG_NUTS = 0x1402,         /* momenta, directions, picks */
  DPI_RNG_NUTS_STEP = 0x1403,    /* search of a first step */
  DPI_RNG_TEMPER = 0x1404,       /* proposals; + 0x100 times (temperature + 1) */
  DPI_RNG_TEMPER_SWAP = 0x1405,
  DPI_RNG_SMC = 0x1406, /* moves */
  DPI_RNG_SMC_RESAMPLE = 0x1407,
  DPI_RNG_LAPLACE = 0x1408
};
#define DPI_SAMPLE_SHIFT 24

/* ---- the box and R^n (sample_box.c) ----
 * One side finite: the logarithm of the distance to it; both: the logit of the place between them; none: itself. All
 * rise with x. */
/* x [n] strictly inside the box from u [n]; gives ln |dx/du|, NaN when u is not finite. */
double dpi_box_to(const dpi_density *d, const double *u, double *x);
/* u [n] of x [n]. An x on a bound is taken a little inside (1e-4 of the width, or of 1 + |bound|). */
void dpi_box_from(const dpi_density *d, const double *x, double *u);
/* Gradient by x, in place, to the gradient by u of density + ln |dx/du|. */
void dpi_box_gradient(const dpi_density *d, const double *u, double *gradient);
/* Fisher matrix by x [n x n], in place, to the curvature by u: D F D plus what ln |dx/du| adds. */
void dpi_box_fisher(const dpi_density *d, const double *u, double *fisher);

/* Batch at u [npoint x n]: x [npoint x n] receives the places, value as asked (gradient, fisher by x), logjac [npoint].
 * A value that is not finite where it should be becomes ok = false. */
dp_status dpi_box_eval(dpi_density *d, int npoint, const double *u, unsigned what, double *x, double *logjac,
                       dpi_density_value *value);

/* ---- draws (chain.c) ---- */

/* What the No-U-Turn sampler notes of each draw. */
#define DPI_DRAW_STAT_LIST(X) \
  X(ACCEPT, "accept")         \
  X(STEP, "step")             \
  X(DEPTH, "depth") X(GRADIENTS, "gradients") X(DIVERGENT, "divergent") X(FAILED, "failed") X(ENERGY, "energy")
enum {
#define DPI_DRAW_STAT_ENUM(name, text) DPI_DRAW_##name,
  DPI_DRAW_STAT_LIST(DPI_DRAW_STAT_ENUM)
#undef DPI_DRAW_STAT_ENUM
      DPI_DRAW_NSTAT
};

typedef struct dpi_draws_def {
  const char *sampler; /* its name */
  const char *tag;     /* what the draws depend on (a hash, options): files with another tag are refused */
  uint64_t seed;
  int n;
  const char *const *name; /* [n] or NULL */
  int nchain, first_chain, ndraw;
  bool stat;  /* DPI_DRAW_* are noted */
  int nstate; /* doubles of state a chain needs to go on */
} dpi_draws_def;

typedef struct dpi_draws {
  dp_ctx *ctx;
  dpi_arena arena;
  const char *sampler, *tag;
  uint64_t seed;
  int n, nchain, first_chain, ndraw, nstate;
  const char **name;
  int *done;        /* [nchain] draws made so far, 0..ndraw */
  double *x;        /* [nchain x ndraw x n] */
  double *loglik;   /* [nchain x ndraw] */
  double *logprior; /* [nchain x ndraw] */
  double *stat;     /* [nchain x ndraw x DPI_DRAW_NSTAT] or NULL */
  double *state;    /* [nchain x nstate] the sampler's own */
  int nplace, place_cap;
  double *place; /* [nplace x (n + 2)] where diverging steps began: chain, draw, x */
} dpi_draws;

#define DPI_DRAWS_PLACES 1000 /* of divergences, kept */

dp_status dpi_draws_create(dp_ctx *ctx, const dpi_draws_def *def, dpi_draws **out);
void dpi_draws_destroy(dpi_draws *s);
/* Slot of chain c (0..nchain-1), draw i. */
static inline size_t dpi_draws_at(const dpi_draws *s, int c, int i) { return (size_t)c * (size_t)s->ndraw + (size_t)i; }
dp_status dpi_draws_place(dpi_draws *s, int chain, int draw, const double *x);
/* One quantity: parameter k (k = -1: loglik + logprior) as [nchain x ndraw] into out; only when all chains are done. */
void dpi_draws_column(const dpi_draws *s, int k, double *out);
/* An exact table as text (tabs), replaced in one go: format in chain.c. Reading refuses a file of another def. */
dp_status dpi_draws_save(const dpi_draws *s, const char *path);
dp_status dpi_draws_load(dp_ctx *ctx, const char *path, const dpi_draws_def *def, dpi_draws **out);

#endif
