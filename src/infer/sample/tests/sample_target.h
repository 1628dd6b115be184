/* sample_target.h - densities of which everything is known, so that tests of samplers need no model. */
#ifndef SAMPLE_TARGET_H
#define SAMPLE_TARGET_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "infer/sample/chain.h"

#define TARGET_MOST 80
#define TARGET_LN_2PI 1.8378770664093454836

typedef struct target target;

/* loglik, logprior; gradient and fisher (zeroed) unless NULL; false: not evaluable */
typedef bool (*target_fn)(const target *t, const double *x, dpi_density_value *v);

struct target {
  dpi_density d;
  target_fn fn;
  bool prior; /* a prior to draw from */
  double lower[TARGET_MOST], upper[TARGET_MOST];
  double mean, sd; /* of the prior in every direction, where it is normal; sd = 0: uniform on the box */
  double a, b;     /* of the target, as it likes */
  int width;       /* most points in one call */
  long ncall;
};

static inline dp_status target_eval(dpi_density *d, int npoint, const double *x, unsigned what,
                                    dpi_density_value *value) {
  target *t = (target *)d;
  int n = d->n;
  t->ncall++;
  if (npoint > t->width) t->width = npoint;
  for (int i = 0; i < npoint; i++) {
    dpi_density_value *v = &value[i];
    if (!(what & DPI_DENSITY_GRADIENT)) v->gradient = NULL;
    if (!(what & DPI_DENSITY_FISHER)) v->fisher = NULL;
    if (v->gradient) memset(v->gradient, 0, sizeof(double) * (size_t)n);
    if (v->fisher) memset(v->fisher, 0, sizeof(double) * (size_t)(n * n));
    v->loglik = v->logprior = 0;
    for (int k = 0; k < n; k++)
      if (!(x[(size_t)i * n + k] >= d->lower[k] && x[(size_t)i * n + k] <= d->upper[k])) abort(); /* never asked */
    v->ok = t->fn(t, x + (size_t)i * n, v);
    if (!v->ok) {
      v->loglik = -INFINITY;
      snprintf(v->reason, sizeof v->reason, "not here");
    }
  }
  return DP_OK;
}

static inline dp_status target_prior_draw(dpi_density *d, uint64_t seed, uint64_t index, double *x) {
  target *t = (target *)d;
  dpi_rng rng = dpi_rng_make(seed, index, 0x7e57);
  for (int k = 0; k < d->n; k++) {
    if (t->sd > 0)
      x[k] = t->mean + t->sd * dpi_rng_normal(&rng);
    else
      x[k] = d->lower[k] + (d->upper[k] - d->lower[k]) * dpi_rng_uniform(&rng);
  }
  return DP_OK;
}

static const dpi_density_ops target_with_prior = {.eval = target_eval, .prior_draw = target_prior_draw};
static const dpi_density_ops target_without = {.eval = target_eval};

/* n directions within [lower, upper] */
static inline target *target_make(dp_ctx *ctx, int n, double lower, double upper, bool prior, target_fn fn) {
  target *t = calloc(1, sizeof *t);
  for (int k = 0; k < n; k++) {
    t->lower[k] = lower;
    t->upper[k] = upper;
  }
  t->d = (dpi_density){.ops = prior ? &target_with_prior : &target_without,
                       .ctx = ctx,
                       .n = n,
                       .lower = t->lower,
                       .upper = t->upper,
                       .ndatum = 1};
  t->fn = fn;
  return t;
}

static inline double target_normal(double x, double m, double s) {
  double z = (x - m) / s;
  return -0.5 * z * z - dpi_m_log(s) - 0.5 * TARGET_LN_2PI;
}

/* Prior N(mean, sd) and one datum t->a with sd t->b in each direction: posterior precision 1/sd^2 + 1/b^2 (k:
 * direction). */
static inline double datum_of(const target *t, int k) { return t->a * (1 + 0.5 * (k % 3)); }
static inline bool conjugate_fn(const target *t, const double *x, dpi_density_value *v) {
  int n = t->d.n;
  for (int k = 0; k < n; k++) {
    v->loglik += target_normal(datum_of(t, k), x[k], t->b);
    v->logprior += target_normal(x[k], t->mean, t->sd);
    if (v->gradient) v->gradient[k] = (datum_of(t, k) - x[k]) / (t->b * t->b) - (x[k] - t->mean) / (t->sd * t->sd);
    if (v->fisher) v->fisher[k * n + k] = 1 / (t->b * t->b) + 1 / (t->sd * t->sd);
  }
  return true;
}
static inline void conjugate_posterior(const target *t, int k, double *mean, double *sd) {
  double p = 1 / (t->b * t->b), q = 1 / (t->sd * t->sd);
  *mean = (p * datum_of(t, k) + q * t->mean) / (p + q);
  *sd = 1 / sqrt(p + q);
}
static inline double conjugate_evidence(const target *t) {
  double sum = 0;
  for (int k = 0; k < t->d.n; k++) sum += target_normal(datum_of(t, k), t->mean, sqrt(t->b * t->b + t->sd * t->sd));
  return sum;
}
static inline target *conjugate_make(dp_ctx *ctx, int n, double sd, double a, double b) {
  target *t = target_make(ctx, n, -INFINITY, INFINITY, true, conjugate_fn);
  t->sd = sd;
  t->a = a;
  t->b = b;
  return t;
}

/* Two normal peaks of sd t->b at -t->a and +t->a in every direction, the right one with weight 0.7, under a uniform
 * prior on the box (its logarithm written out). */
static inline bool peaks_fn(const target *t, const double *x, dpi_density_value *v) {
  int n = t->d.n;
  double l = dpi_m_log(0.3), r = dpi_m_log(0.7), top;
  for (int k = 0; k < n; k++) {
    l += target_normal(x[k], -t->a, t->b);
    r += target_normal(x[k], t->a, t->b);
    v->logprior -= dpi_m_log(t->upper[k] - t->lower[k]);
  }
  top = fmax(l, r);
  v->loglik = top + dpi_m_log(dpi_m_exp(l - top) + dpi_m_exp(r - top));
  double w = dpi_m_exp(r - v->loglik);
  for (int k = 0; v->gradient && k < n; k++)
    v->gradient[k] = -((1 - w) * (x[k] + t->a) + w * (x[k] - t->a)) / (t->b * t->b);
  for (int k = 0; v->fisher && k < n; k++) v->fisher[k * n + k] = 1 / (t->b * t->b);
  return true;
}

static inline dp_ctx *target_ctx(void) {
  dp_ctx_def def = dp_ctx_def_default();
  dp_ctx *ctx = NULL;
  return dp_ctx_create(&def, &ctx) == DP_OK ? ctx : NULL;
}

#endif
