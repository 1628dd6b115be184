/* mode_kink.c - modes at a kink, where no gradient vanishes.
 *
 * A duration or lag with a random effect puts corners into l: where an infusion ends, or a dose arrives, exactly at a sample.
 * The mode often sits on such a corner and the trust-region search shrinks to nothing there. Then values alone decide:
 * Nelder & Mead's simplex with the coefficients of Gao & Han (2012, Comput Optim Appl 51:259), in prior standard
 * deviations, started again until it stays.
 */
#include "infer/infer.h"

#include <math.h>
#include <string.h>

#define MAX_DIM 20 /* a simplex is of no use beyond */
#define SIZE 0.03  /* of the first simplex, prior standard deviations */
#define RESTARTS 8

typedef struct simplex {
  dpi_indiv *iv;
  int n;
  const double *centre; /* x of u = 0 */
  double u[MAX_DIM + 1][MAX_DIM];
  double f[MAX_DIM + 1];
  int order[MAX_DIM + 1];
} simplex;

static void place(const simplex *s, const double *u, double *x) {
  int m = s->iv->nfree;
  for (int a = 0; a < s->n; a++) {
    x[a] = s->centre[a];
    if (a >= m) x[a] += u[a];
    for (int b = 0; a < m && b <= a; b++) x[a] += s->iv->chol[a * m + b] * u[b];
  }
}

static dp_status value(simplex *s, const double *u, double *f) {
  double x[MAX_DIM];
  bool ok = false;
  dpi_point pt = {0, NULL, NULL};
  place(s, u, x);
  DP_TRY(dpi_indiv_eval(s->iv, x, false, &pt, &ok));
  *f = ok ? pt.l : INFINITY;
  return DP_OK;
}

/* u = c + t (w - c), c the centroid of all but the worst w */
static dp_status along(simplex *s, const double *c, double t, double *u, double *f) {
  const double *w = s->u[s->order[s->n]];
  for (int a = 0; a < s->n; a++) u[a] = c[a] + t * (w[a] - c[a]);
  return value(s, u, f);
}

static void replace_worst(simplex *s, const double *u, double f) {
  int k = s->order[s->n];
  memcpy(s->u[k], u, sizeof(double) * (size_t)s->n);
  s->f[k] = f;
}

static dp_status shrink(simplex *s) {
  const double *best = s->u[s->order[0]];
  double t = 1 - 1.0 / s->n;
  for (int k = 1; k <= s->n; k++) {
    double *u = s->u[s->order[k]];
    for (int a = 0; a < s->n; a++) u[a] = best[a] + t * (u[a] - best[a]);
    DP_TRY(value(s, u, &s->f[s->order[k]]));
  }
  return DP_OK;
}

/* One step: reflect, expand, contract or shrink. */
static dp_status simplex_step(simplex *s) {
  int n = s->n;
  double c[MAX_DIM] = {0}, ur[MAX_DIM], u[MAX_DIM], fr, f, contraction = 0.75 - 0.5 / n;
  for (int k = 0; k < n; k++)
    for (int a = 0; a < n; a++) c[a] += s->u[s->order[k]][a] / n;
  double best = s->f[s->order[0]], second = s->f[s->order[n - 1]], worst = s->f[s->order[n]];
  DP_TRY(along(s, c, -1, ur, &fr));
  if (fr < best) {
    DP_TRY(along(s, c, -(1 + 2.0 / n), u, &f));
    if (f < fr)
      replace_worst(s, u, f);
    else
      replace_worst(s, ur, fr);
    return DP_OK;
  }
  if (fr < second) {
    replace_worst(s, ur, fr);
    return DP_OK;
  }
  DP_TRY(along(s, c, fr < worst ? -contraction : contraction, u, &f));
  if (f < fmin(fr, worst))
    replace_worst(s, u, f);
  else
    DP_TRY(shrink(s));
  return DP_OK;
}

/* From u = 0 with edges of `size` until the corners agree; the best corner becomes the centre's offset. */
static dp_status simplex_run(simplex *s, double size, double *x, double *f) {
  int n = s->n;
  for (int k = 0; k <= n; k++) {
    memset(s->u[k], 0, sizeof s->u[k]);
    if (k > 0) s->u[k][k - 1] = size;
    DP_TRY(value(s, s->u[k], &s->f[k]));
  }
  for (int iter = 0; iter < 300 * n; iter++) {
    dpi_argsort(s->f, n + 1, s->order);
    double spread = s->f[s->order[n]] - s->f[s->order[0]];
    if (spread <= 1e-9 * (1 + fabs(s->f[s->order[0]]))) break;
    DP_TRY(simplex_step(s));
  }
  dpi_argsort(s->f, n + 1, s->order);
  place(s, s->u[s->order[0]], x);
  *f = s->f[s->order[0]];
  return DP_OK;
}

dp_status dpi_mode_kink(dpi_indiv *iv, double *x, dpi_mode *mode) {
  simplex s = {.iv = iv, .n = iv->dim, .centre = x};
  if (iv->dim > MAX_DIM || iv->dim < 1) return DP_OK;
  double size = SIZE;
  for (int k = 0; k < RESTARTS; k++) {
    double xt[MAX_DIM], f;
    DP_TRY(simplex_run(&s, size, xt, &f));
    double gain = mode->l - f;
    if (f < mode->l) {
      memcpy(x, xt, sizeof(double) * (size_t)iv->dim);
      mode->l = f;
    }
    /* stays: also from a larger simplex turned the other way */
    if (gain < 1e-6 && k > 0) {
      mode->converged = true;
      mode->kink = true;
      return DP_OK;
    }
    size = -size * (k % 2 ? 2.0 : 1.0);
  }
  return DP_OK;
}
