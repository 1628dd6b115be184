/* surrogate_train.h - floor 6, inside infer/surrogate: a function is asked at some points and a surrogate made of
 * the answers.
 *
 *     dpi_training_def def = dpi_training_def_default();
 *     def.input = ...; def.ninput = ...; def.npoint = 200;
 *     DP_TRY(dpi_surrogate_train(ctx, &def, noutput, id, fn, user, &s));     asks fn once, for all points
 *     dpi_surrogate_sobol(s, 0, first, total);                                 pce
 *     DP_TRY(dpi_surrogate_write(s, &text));
 */
#ifndef DPI_SURROGATE_TRAIN_H
#define DPI_SURROGATE_TRAIN_H

#include "doppel/surrogate.h"
#include "num/surrogate.h"

typedef enum dpi_training_kind { DPI_TRAIN_BEST, DPI_TRAIN_GP, DPI_TRAIN_PCE } dpi_training_kind;

typedef struct dpi_training_def {
  uint32_t cookie;
  /* BEST: for each output a polynomial if it is close (1e-3 of the deviation), else what errs less when rows are left
   * out */
  dpi_training_kind kind;
  const dpi_surrogate_input *input;
  int ninput;
  int npoint; /* of the design: scrambled Sobol points by the inputs' laws, within the domain (200) */
  uint64_t seed;
  dpi_surrogate_kernel kernel; /* gp (Matern 5/2) */
  int nstart;                  /* gp: searches of the likelihood (4) */
  int degree;                  /* pce: largest total degree tried (12) */
  double q;                    /* pce: terms with (sum of power^q)^(1/q) <= degree (0.75; 1: total degree) */
} dpi_training_def;
dpi_training_def dpi_training_def_default(void);

/* ERR_CONVERGE when no output or too few points are left; points that failed are in s->nfailed. */
dp_status dpi_surrogate_train(dp_ctx *ctx, const dpi_training_def *def, int noutput, const char *const *id,
                              dp_points_fn fn, void *user, dpi_surrogate **out);

/* Points of a design by the inputs' laws, and the function's answers. */
typedef struct dpi_design {
  double *x, *y; /* [npoint x ninput], [npoint x noutput] */
  uint64_t *stream;
  uint8_t *ok; /* 0: it failed, or some output is not known */
  char reason[160];
} dpi_design;
/* release is right after an error too */
dp_status dpi_design_ask(dp_ctx *ctx, const dpi_training_def *def, int noutput, dp_points_fn fn, void *user,
                         dpi_design *out);
void dpi_design_release(dp_ctx *ctx, dpi_design *d);

/* Settings of one output from its rows, then assembled. */
dp_status dpi_surrogate_fit_gp(dpi_surrogate *s, int part, const dpi_training_def *def);
dp_status dpi_surrogate_fit_pce(dpi_surrogate *s, int part, const dpi_training_def *def);

/* Fit anew, without cross-validation, to other rows; whole: what all rows gave. */
typedef dp_status (*dpi_cross_fn)(dpi_surrogate *s, int part, const dpi_training_def *def,
                                  const dpi_surrogate_part *whole);
/* The size of errors from cross-validation of `fit`: inflate and cross, then assembled anew. */
dp_status dpi_surrogate_cross(dpi_surrogate *s, int part, const dpi_training_def *def, dpi_cross_fn fit);

/* Minus the log marginal likelihood of a part's rows and what is added for lengths far from the domain's size, with
 * gradient by theta = ln lengths, ln signal, ln noise (y in units of its deviation). For tests. */
typedef struct dpi_gp_objective dpi_gp_objective;
dp_status dpi_gp_objective_create(const dpi_surrogate *s, int part, dpi_gp_objective **out);
bool dpi_gp_objective_eval(void *objective, const double *theta, double *f, double *g); /* dpi_bfgs_fn */
void dpi_gp_objective_destroy(dpi_gp_objective *o);

/* Sobol indices of a pce, from its coefficients: the inputs independent, with the laws of its polynomials. */
void dpi_surrogate_sobol(const dpi_surrogate *s, int part, double *first, double *total);

/* ---- a public surrogate of any function (surrogate_sim.c) ---- */

/* id[DPI_SURROGATE_ID]: QUANTITY@TIME without blanks. */
dp_status dpi_surrogate_name(dp_ctx *ctx, const char *quantity, dp_time t, char *id);
dp_status dpi_surrogate_check(dp_ctx *ctx, const dp_surrogate_def *def);
/* Trained on fn, tried at held-out points, written. def->input are fn's inputs; id [noutput]. */
dp_status dpi_surrogate_make(dp_ctx *ctx, const dp_surrogate_def *def, int noutput, const char *const *id, double start,
                             const char *origin, dp_points_fn fn, void *user, dp_surrogate **out);

#endif
