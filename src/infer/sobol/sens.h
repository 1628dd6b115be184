/* sens.h - floor 6, inside infer/sobol: what the files of sensitivity analysis share.
 *
 *     sens_inputs.c   laws, correlation, samples: from a point of the unit cube to inputs
 *     sens_net.c      scrambled points of Sobol's sequence
 *     sens_run.c      definition -> points -> function -> outputs; what is public
 *     sens_sobol.c    sens_morris.c   sens_shapley.c   the three methods
 *     sens_sim.c      the function is a sim
 *     gain.c          which measurement would narrow a forecast
 *
 * Every method says how many points it wants, makes point i from its number (u in the unit cube, or scores), and
 * digests the values. So the function is asked in large batches, and what a point is depends on its number alone.
 */
#ifndef DPI_SENS_H
#define DPI_SENS_H

#include "base/base.h"
#include "doppel/sensitivity.h"
#include "num/num.h"

/* ---- inputs ---- */

typedef struct dpi_inputs {
  dp_ctx *ctx;
  const dp_sensitivity_def *def;
  int n, ngroup;
  int *group;          /* [n] 0 .. ngroup - 1 */
  const char **name;   /* [ngroup] in arena */
  double *correlation; /* [n x n] or NULL: independent */
  double *chol;        /* [n x n] its factor */
  double *sorted;      /* [n x nrow] columns in order, or NULL */
  double *work;        /* [n] */
  dpi_arena arena;     /* all of it */
} dpi_inputs;

/* def is borrowed until release. What makes no sense is refused by the input's name. */
dp_status dpi_inputs_init(dpi_inputs *in, dp_ctx *ctx, const dp_sensitivity_def *def);
void dpi_inputs_release(dpi_inputs *in);
/* Refuse inputs of different groups that are correlated: `method` can't divide their variance. */
dp_status dpi_inputs_need_independent(const dpi_inputs *in, const char *method);
/* Input k at its quantile u, 0 < u < 1 (0 and 1 where the law has bounds). */
double dpi_inputs_quantile(const dpi_inputs *in, int k, double u);
bool dpi_inputs_bounded(const dpi_inputs *in, int k);
void dpi_inputs_from_cube(const dpi_inputs *in, const double *u, double *x);   /* independent coordinates u */
void dpi_inputs_from_scores(const dpi_inputs *in, const double *z, double *x); /* correlated normal scores z */

/* ---- points ---- */

typedef struct
    dpi_net { /* a linearly scrambled, shifted Sobol sequence: Matousek 1998; beyond its table, drawn numbers */
  int n, ntable;
  uint64_t seed;
  uint32_t *direction; /* [32 x ntable] scrambled */
  uint32_t *shift;     /* [ntable] */
} dpi_net;
dp_status dpi_net_init(dpi_net *net, dp_ctx *ctx, int n, uint64_t seed);
void dpi_net_release(dpi_net *net, dp_ctx *ctx);
void dpi_net_point(const dpi_net *net, uint32_t index, double *u); /* [n], open interval */

/* ---- work ---- */

typedef struct dpi_sens {
  dp_ctx *ctx;
  dp_sensitivity_def def;
  dpi_inputs in;
  int noutput, npoint;
  dp_points_fn fn;
  void *user;
  double *y; /* [npoint x noutput], NaN where there is none */
  dp_sensitivity *out;
} dpi_sens;

typedef void (*dpi_sens_make_fn)(void *user, int point, double *x, uint64_t *stream);
/* Evaluate points 0 .. npoint - 1 into s->y. */
dp_status dpi_sens_evaluate(dpi_sens *s, int64_t npoint, dpi_sens_make_fn make, void *user);
dp_status dpi_sens_room(dpi_sens *s, int nmeasure, const char *const *measure, bool pairs);
dp_estimate *dpi_sens_at(dp_sensitivity *r, int output, int group, int measure);
dp_estimate *dpi_sens_pair_at(dp_sensitivity *r, int output, int group, int other);
/* Variance (NaN: not known) and mean of an output over its first points, point i counting w[i] times (NULL: once). */
double dpi_sens_variance(const dpi_sens *s, int output, int npoint, const uint16_t *w, double *mean);
void dpi_sens_moments(dpi_sens *s, int output, double mean, double sd);
/* Does an output vary by no more than its values' own error (def.rtol, def.atol)? It is noted in the answer. After
 * dpi_sens_moments. */
bool dpi_sens_constant(dpi_sens *s, int output);
/* Interval from nboot replicates, which are sorted. */
void dpi_sens_interval(dp_estimate *e, double *replicate, int nboot, double level);
/* How often each of n things is drawn in replicate b. */
void dpi_sens_resample(uint64_t seed, int b, int n, uint16_t *count);

/* ---- a sim as the function ---- */

typedef struct dpi_sim_points {
  const dp_sim *sim;
  const dp_member *base;
  const double *param; /* [nparam] what points have in common */
  int *place;          /* [ninput] parameter of an input; owned */
  int ninput, nparam, noutput;
  uint64_t seed;
  dp_points *points; /* the present ones */
} dpi_sim_points;
/* Inputs are parameters by their ids; outputs as dp_sensitivity_sim numbers them. */
dp_status dpi_sim_points_init(dpi_sim_points *a, dp_ctx *ctx, const dp_sim *sim, const dp_member *base,
                              const dp_input_def *input, int ninput, uint64_t seed);
void dpi_sim_points_release(dpi_sim_points *a, dp_ctx *ctx);
dp_status dpi_sim_points_ask(void *user, dp_points *points); /* dp_points_fn; user: dpi_sim_points */

dp_status dpi_sens_sobol(dpi_sens *s);
dp_status dpi_sens_morris(dpi_sens *s);
dp_status dpi_sens_shapley(dpi_sens *s);

#endif
