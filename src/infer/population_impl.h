/* population_impl.h - floor 6, inside infer: the population as its own files see it (population.c, population/).
 *
 * theta[k] says what the k-th estimated number is; member[i] is one person with the present mode. Values of theta are
 * on scales without bounds (population.c).
 */
#ifndef DPI_POPULATION_IMPL_H
#define DPI_POPULATION_IMPL_H

#include "infer/infer.h"

typedef enum theta_kind { THETA_SHIFT, THETA_GENERIC, THETA_VARIANCE, THETA_FACTOR } theta_kind;

typedef struct theta_def {
  theta_kind kind;
  int param; /* typical value or other parameter */
  dpi_scale scale;
  double lower, upper; /* on theta's scale */
  int block, row, col; /* of Omega: block number, place in its Cholesky factor */
} theta_def;

typedef struct block_def {
  int n, first; /* effects: order[first .. first + n) */
} block_def;

typedef struct member { /* one person */
  dpi_person *p;
  dpi_marginal m;
  double *typical;      /* own copy, changed for differences */
  double *omega;        /* [neta x neta] */
  double *e, *pe, *pep; /* work [dim x dim] */
} member;

struct dpi_population {
  dp_ctx *ctx;
  dpi_arena arena;
  const char *source; /* the record's file, for messages */
  const dp_kind *kind;
  dpi_marginal_method method;
  int npeople, ntheta, nblock, nparam, ne;
  member *member;
  theta_def *theta;
  double *start; /* [ntheta] */
  block_def *block;
  int *order;
  double *typical, *omega; /* present values, kind's layout */
  double *factor;          /* [ne x ne] work */
  double *domega;          /* [ntheta x ne x ne] dOmega/dtheta, zero rows for other kinds */
  double *value;           /* [npeople] */
  double *score;           /* [npeople x ntheta] */
  bool gradient, shift_only;
  struct dpi_grid *grid; /* quadrature: nodes of everybody (population/quadrature.c); owned, NULL until the first use */
  int nodes;             /* quadrature nodes in each direction; 0: as many as node_tolerance wants */
  double node_tolerance; /* of the objective */
};

/* theta to typical values, Omega and its derivatives; false: outside the bounds, or no covariance. */
bool dpi_population_unpack(dpi_population *pop, const double *theta);
double dpi_theta_to(dpi_scale s, double v);   /* natural value to theta's scale */
double dpi_theta_from(dpi_scale s, double t); /* and back */
/* Direction d [neta] in which typical value i shifts the effects; false: none, or one without variance. */
bool dpi_shift_direction(const dpi_population *pop, const dpi_person *p, int i, double *d);

/* Thetas of a block of Omega from its covariance [n x n] (destroyed). */
void dpi_population_block_theta(double *cov, int n, double *theta);

/* ---- stochastic approximation EM (population/saem.c) ---- */
typedef struct dpi_saem_result {
  double objective, error; /* -2 ln L by importance sampling, and its standard error */
  int iterations;
  bool converged; /* the estimate stood still at the end */
} dpi_saem_result;
/* From the population's start; theta [ntheta] is the end. */
dp_status dpi_saem(dpi_population *pop, uint64_t seed, double *theta, dpi_saem_result *out);

/* ---- the quadrature (population/quadrature.c) ---- */
typedef struct dpi_grid dpi_grid;
void dpi_grid_destroy(dp_ctx *ctx, dpi_grid *grid);
/* The next evaluation lays the nodes anew. */
void dpi_grid_drop(dpi_population *pop);
/* Objective, gradient unless NULL, and scores at theta; nodes are laid at the first call and stay until they
 * are dropped. */
dp_status dpi_grid_eval(dpi_population *pop, const double *theta, double *value, double *grad, bool *ok);
/* Nodes z [n] ascending and ln of (weight exp(z^2)) for integrals of exp(-z^2) g(z); n <= 64. */
dp_status dpi_gauss_hermite(dp_ctx *ctx, int n, double *z, double *logw);

#endif
