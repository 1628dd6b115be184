/* num.h - floor 1: reproducible mathematics, random streams, small linear algebra, distributions, statistics.
 *
 * Invariants:
 *   1. model mathematics goes only through dpi_m_*: SLEEF's reproducible functions, finz (with fused multiply-add) or
 *      cinz (without), chosen once from the processor; dp_arithmetic() says which;
 *   2. random numbers are pure functions of (seed, stream, purpose, counter): no state is carried anywhere;
 *   3. matrices are row-major, dense, small (n <= ~60); no function allocates unless it takes a ctx.
 */
#ifndef DPI_NUM_H
#define DPI_NUM_H

#include "base/base.h"

/* ---- reproducible elementary functions (IEEE semantics for NaN, infinities, domain) ---- */
double dpi_m_exp(double x);
double dpi_m_expm1(double x);
double dpi_m_log(double x);
double dpi_m_log10(double x);
double dpi_m_log1p(double x);
double dpi_m_pow(double x, double y);
double dpi_m_sin(double x);
double dpi_m_cos(double x);
double dpi_m_tan(double x);
double dpi_m_asin(double x);
double dpi_m_acos(double x);
double dpi_m_atan(double x);
double dpi_m_atan2(double y, double x);
double dpi_m_sinh(double x);
double dpi_m_cosh(double x);
double dpi_m_tanh(double x);
double dpi_m_asinh(double x);
double dpi_m_acosh(double x);
double dpi_m_atanh(double x);
double dpi_m_erf(double x);
double dpi_m_erfc(double x);
double dpi_m_lgamma(double x);
double dpi_m_cbrt(double x);
double dpi_m_fma(double a, double b, double c); /* a*b + c: fused in the arithmetic `fma`, two roundings in `nofma` */

/* Force "fma" or "nofma" (NULL: as the processor says); false when not offered. For tests:
 * before other threads start. */
bool dpi_math_select(const char *name);

/* Set round-to-nearest and denormals as the engine needs them; give back what was set before. */
uint64_t dpi_fp_enter(void);
void dpi_fp_leave(uint64_t saved);

/* ---- random streams: Philox4x32-10 (Salmon et al. 2011), counter-based ---- */
typedef struct dpi_rng { /* plain data; copy freely */
  uint64_t seed;         /* the run's seed */
  uint64_t stream;       /* whose numbers: patient, member, ... */
  uint32_t purpose;      /* what for: one of the caller's constants */
  uint64_t counter;      /* next number */
} dpi_rng;
dpi_rng dpi_rng_make(uint64_t seed, uint64_t stream, uint32_t purpose);
double dpi_rng_uniform(dpi_rng *rng);                                           /* open (0,1): odd multiples of 2^-53 */
double dpi_rng_normal(dpi_rng *rng);                                            /* by inverse distribution function */
uint64_t dpi_rng_u64(dpi_rng *rng);
uint64_t dpi_rng_at(uint64_t seed, uint64_t stream, uint32_t purpose, uint64_t counter); /* stateless */
uint64_t dpi_rng_key(uint64_t seed, uint32_t purpose); /* Philox's key of these: words low, high */
/* The bijection itself, as published. */
/* Draws from the distributions of SBML's package distrib (variate.c). Arguments in its order:
 * NORMAL mean sd; UNIFORM low high; EXPONENTIAL rate; GAMMA shape scale; POISSON rate; LOGNORMAL mu sigma (of the
 * logarithm); CHISQUARE degrees; LAPLACE location scale; CAUCHY location scale (or location 0 when only one argument:
 * scale); RAYLEIGH scale; BINOMIAL trials probability; BERNOULLI probability. */
#define DPI_VARIATE_LIST(X)                                                                                        \
  X(NORMAL, "normal", 2) X(UNIFORM, "uniform", 2) X(EXPONENTIAL, "exponential", 1) X(GAMMA, "gamma", 2)            \
  X(POISSON, "poisson", 1) X(LOGNORMAL, "lognormal", 2) X(CHISQUARE, "chisquare", 1) X(LAPLACE, "laplace", 2)      \
  X(CAUCHY, "cauchy", 2) X(RAYLEIGH, "rayleigh", 1) X(BINOMIAL, "binomial", 2) X(BERNOULLI, "bernoulli", 1)
typedef enum dpi_variate {
#define DPI_VARIATE_ENUM(name, text, narg) DPI_VARIATE_##name,
  DPI_VARIATE_LIST(DPI_VARIATE_ENUM)
#undef DPI_VARIATE_ENUM
      DPI_VARIATE_COUNT
} dpi_variate;
const char *dpi_variate_name(dpi_variate v);
int dpi_variate_find(const char *name); /* -1: none */
int dpi_variate_narg(dpi_variate v);    /* without bounds */
/* One draw. narg = dpi_variate_narg, or two more: only values within [bound, bound] (exact truncation). NaN when the
 * arguments lie outside the distribution's domain. The number of uniforms it takes depends on the arguments only
 * through what was drawn, so that a stream is reproducible. */
double dpi_variate_draw(dpi_variate v, const double *arg, int narg, dpi_rng *rng);

void dpi_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);
uint64_t dpi_hash64(const char *text); /* stable 64-bit hash of a name: stream ids */

/* Gauss and Legendre's rule of n nodes on (-1, 1): node i from the upper end (0 .. n - 1) and its weight, by Newton's
 * method on the polynomial. The lower half mirrors the upper one. */
void dpi_gauss_legendre(int n, int i, double *node, double *weight);

/* ---- small dense linear algebra ---- */
/* Cholesky A = L L' (lower, in place, upper part untouched); false when not positive definite. */
bool dpi_chol(double *a, int n);
void dpi_chol_solve(const double *l, int n, double *b);        /* b := A^-1 b */
void dpi_chol_inverse(const double *l, int n, double *inv);    /* full symmetric A^-1 */
double dpi_chol_logdet(const double *l, int n);                /* ln |A| */
void dpi_tri_solve_lower(const double *l, int n, double *b);   /* b := L^-1 b */
void dpi_tri_solve_lower_t(const double *l, int n, double *b); /* b := L'^-1 b */
void dpi_tri_mul_lower(const double *l, int n, const double *x, double *y); /* y = L x */
bool dpi_lu(double *a, int n, int *piv);                       /* partial pivoting, in place; false when singular */
void dpi_lu_solve(const double *lu, int n, const int *piv, double *b);
/* Eigenvalues (ascending) and vectors (columns of v, largest component positive) of a symmetric matrix of which the
 * lower triangle is read, cyclic Jacobi; n <= DPI_EIG_MAX. */
#define DPI_EIG_MAX 64
void dpi_sym_eig(const double *a, int n, double *w, double *v);
/* e = exp(a h): scaling and squaring with Pade approximants of degree 3 to 13 (Al-Mohy & Higham 2009); NaN everywhere
 * when a h is not finite. work holds at least 8 n n doubles. */
void dpi_expm(const double *a, int n, double h, double *e, double *work);

/* ---- distributions ---- */
double dpi_norm_pdf(double z);
double dpi_norm_cdf(double z);
double dpi_norm_logcdf(double z);  /* accurate far in the lower tail */
double dpi_norm_quantile(double p); /* Wichura AS 241 */
double dpi_norm_hazard(double z);  /* pdf(z)/cdf(z), stable for very negative z: derivative of logcdf */
/* Johnson's unbounded law of mean 0 and variance 1: an error e goes with a standard normal z; gamma < 0 is skewed to
 * the right, a small delta has long tails. False: not a law, or one whose variance is no number. */
typedef struct dpi_johnson {
  double gamma, delta, shift, scale;
} dpi_johnson;
bool dpi_johnson_make(double gamma, double delta, dpi_johnson *out);
double dpi_johnson_error(const dpi_johnson *law, double z);
/* z of an error; *slope dz/de, *bend d ln(dz/de)/de. */
double dpi_johnson_z(const dpi_johnson *law, double error, double *slope, double *bend);
/* multivariate t from squared Mahalanobis distance, without ln|L| */
double dpi_t_logpdf(double x2, int dim, double dof);
double dpi_beta_quantile(double p, double a, double b);
double dpi_beta_cdf(double x, double a, double b);
double dpi_lgamma_ratio(double a, double d); /* ln Gamma(a + d) - ln Gamma(a), accurate for large a */
double dpi_gamma_p(double a, double x); /* regularised lower incomplete gamma */
double dpi_chi2_quantile(double p, double dof);
/* Clopper-Pearson bounds for k successes of n (real numbers allowed: effective sample sizes). */
void dpi_binomial_bounds(double k, double n, double confidence, double *lower, double *upper);

/* ---- statistics of (weighted) samples; order is dpi_argsort's, NULL: x is ascending ---- */
double dpi_sum(const double *x, int n); /* fixed-order compensated sum */
void dpi_sort(double *x, int n);
void dpi_argsort(const double *x, int n, int *order); /* stable, ascending */
/* Quantile of a weighted sample (weights need not sum to 1; NULL: equal): inverse of the midpoint-interpolated ECDF;
 * points of weight 0 do not count; NaN for an empty sample. */
double dpi_quantile_weighted(const double *x, const double *w, int n, double p, const int *order);
/* Continuous ranked probability score of a weighted ensemble against y (Gneiting & Raftery 2007, eq. 20). */
double dpi_crps_sample(const double *x, const double *w, int n, double y, const int *order);
/* Pareto-smoothed importance weights in place (Vehtari et al. 2024): log weights in, normalised weights out; k-hat
 * back: infinite when the tail cannot be fitted, and all weights 0 when no log weight is finite (NaN when one is NaN).
 * work: at least 2 n doubles and order n ints. */
double dpi_psis(double *logw, int n, double *work, int *order);
double dpi_ess(const double *w, int n); /* (sum w)^2 / sum w^2 */

/* ---- optimisation of a smooth function of few variables ---- */
/* Minimise f (value and gradient; false where not defined) by BFGS with a strong-Wolfe line search. h0: initial inverse
 * Hessian [n x n] or NULL, replaced by the last one. Returns iterations; *converged when
 * max |g_i| max(|x_i|,1) / max(|f|,1) <= gtol, or when a full step promises less than the roundoff of f.
 * -1: no memory. Not defined at the start: *f infinite, not converged. */
typedef bool (*dpi_bfgs_fn)(void *user, const double *x, double *f, double *g);
int dpi_bfgs(dp_ctx *ctx, dpi_bfgs_fn fn, void *user, int n, double *x, double *f, double *h0, double gtol,
             int max_iter, bool *converged);
/* Root of a continuous function on a bracket [a,b] with given end values of opposite sign (Brent / ITP);
 * |width| <= tol. */
double dpi_root(double (*fn)(void *, double), void *user, double a, double fa, double b, double fb, double tol);

#endif
