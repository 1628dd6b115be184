/* point_densities.h - for the tests of point estimates: densities written by hand.
 *
 * squares: J = sum r_k(x)^2 / 2, Fisher information J'J; a half-space a'x > b may be "not evaluable".
 */
#ifndef TEST_POINT_DENSITIES_H
#define TEST_POINT_DENSITIES_H

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "infer/density.h"
#include "num/num.h"

#define SQUARES_MAX 64
#define SQUARES_N 16

/* r [nres], jac [nres x n] */
typedef void (*squares_fn)(const void *user, const double *x, double *r, double *jac);

typedef struct squares {
  dpi_density base;
  squares_fn fn;
  const void *user;
  int nres;
  const double *wall; /* [n + 1]: not evaluable where wall'x > wall[n]; NULL: nowhere */
  long calls, batches, largest, cancel_after;
  double lower[SQUARES_N], upper[SQUARES_N];
} squares;

static dp_status squares_eval(dpi_density *d, int npoint, const double *x, unsigned what, dpi_density_value *value) {
  squares *q = (squares *)d;
  int n = d->n;
  q->batches++;
  if (npoint > q->largest) q->largest = npoint;
  if (q->cancel_after && q->batches > q->cancel_after) return DP_ERR_CANCELLED;
  for (int p = 0; p < npoint; p++) {
    const double *xp = x + (size_t)p * n;
    dpi_density_value *v = &value[p];
    double r[SQUARES_MAX], jac[SQUARES_MAX * SQUARES_N], over = q->wall ? -q->wall[n] : -1;
    q->calls++;
    for (int i = 0; q->wall && i < n; i++) over += q->wall[i] * xp[i];
    for (int i = 0; i < n; i++) {
      if (!(xp[i] >= d->lower[i] && xp[i] <= d->upper[i])) return dpi_fail(d->ctx, DP_ERR_BUG, "outside the box");
    }
    v->ok = over <= 0;
    v->loglik = -INFINITY;
    v->logprior = 0;
    v->reason[0] = 0;
    if (!v->ok) {
      snprintf(v->reason, sizeof v->reason, "beyond the wall");
      continue;
    }
    q->fn(q->user, xp, r, jac);
    v->loglik = 0;
    for (int k = 0; k < q->nres; k++) v->loglik -= 0.5 * r[k] * r[k];
    for (int i = 0; (what & DPI_DENSITY_GRADIENT) && i < n; i++) {
      v->gradient[i] = 0;
      for (int k = 0; k < q->nres; k++) v->gradient[i] -= r[k] * jac[k * n + i];
    }
    for (int i = 0; (what & DPI_DENSITY_FISHER) && i < n; i++) {
      for (int j = 0; j < n; j++) {
        double s = 0;
        for (int k = 0; k < q->nres; k++) s += jac[k * n + i] * jac[k * n + j];
        v->fisher[i * n + j] = s;
      }
    }
  }
  return DP_OK;
}

static dp_status squares_draw(dpi_density *d, uint64_t seed, uint64_t index, double *x) {
  dpi_rng rng = dpi_rng_make(seed, index, 0x5052494f);
  for (int i = 0; i < d->n; i++) x[i] = d->lower[i] + (d->upper[i] - d->lower[i]) * dpi_rng_uniform(&rng);
  return DP_OK;
}

static const dpi_density_ops squares_ops = {.eval = squares_eval, .prior_draw = squares_draw};
static const char *const squares_name[SQUARES_N] = {"a", "b", "c", "d", "e", "f", "g", "h",
                                                    "i", "j", "k", "l", "m", "n", "o", "p"};

static inline void squares_init(squares *q, dp_ctx *ctx, int n, int nres, squares_fn fn, const void *user, double lower,
                                double upper) {
  memset(q, 0, sizeof *q);
  q->base = (dpi_density){&squares_ops, ctx, n, squares_name, q->lower, q->upper, nres, 0};
  q->fn = fn;
  q->user = user;
  q->nres = nres;
  for (int i = 0; i < n; i++) {
    q->lower[i] = lower;
    q->upper[i] = upper;
  }
}

/* (1 - a, 10 (b - a^2)) */
static inline void rosenbrock(const void *user, const double *x, double *r, double *jac) {
  (void)user;
  r[0] = 1 - x[0];
  r[1] = 10 * (x[1] - x[0] * x[0]);
  jac[0] = -1;
  jac[1] = 0;
  jac[2] = -20 * x[0];
  jac[3] = 10;
}

/* y = a exp(-b t), a and b as decimal logarithms; user: t and y, interleaved, of 12 observations with sd 0.05 */
#define DECAY_N 12
static inline void decay(const void *user, const double *x, double *r, double *jac) {
  const double *d = user, ln10 = 2.302585092994045684;
  double a = dpi_m_exp(ln10 * x[0]), b = dpi_m_exp(ln10 * x[1]);
  for (int k = 0; k < DECAY_N; k++) {
    double e = dpi_m_exp(-b * d[2 * k]);
    r[k] = (a * e - d[2 * k + 1]) / 0.05;
    jac[2 * k] = ln10 * a * e / 0.05;
    jac[2 * k + 1] = -ln10 * a * e * b * d[2 * k] / 0.05;
  }
}

static inline void decay_data(double *d, double a, double b, uint64_t seed) {
  dpi_rng rng = dpi_rng_make(seed, 1, 7);
  for (int k = 0; k < DECAY_N; k++) {
    d[2 * k] = 0.5 * (k + 1);
    d[2 * k + 1] = a * dpi_m_exp(-b * d[2 * k]) + 0.05 * dpi_rng_normal(&rng);
  }
}

static inline dp_ctx *plain_ctx(void) {
  dp_ctx_def def = dp_ctx_def_default();
  dp_ctx *ctx = NULL;
  if (dp_ctx_create(&def, &ctx) != DP_OK) return NULL;
  return ctx;
}

#endif
