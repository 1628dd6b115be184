/* bfgs.c - minimisation of a smooth function by the BFGS method with a strong-Wolfe line search.
 *
 * Sources: J. Nocedal, S. J. Wright, Numerical Optimization, 2nd ed., algorithms 3.5, 3.6, 6.1;
 * near the minimum, where differences of f are roundoff, the decrease is judged by slopes: W. W.
 * Hager, H. Zhang, SIAM J. Optim. 16 (2005) 170, "approximate Wolfe conditions".
 */
#include "num/num.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define DECREASE 1e-4  /* c1 of the Wolfe conditions */
#define CURVATURE 0.9  /* c2 */
#define ROUNDOFF 1e-14 /* relative noise of f accepted by the approximate conditions */
#define MAX_TRIALS 40

typedef struct search { /* everything one minimisation works on */
  dpi_bfgs_fn fn;
  void *user;
  int n;
  double *x, *g, *p; /* point, gradient, direction */
  double *xt, *gt;   /* trial point and its gradient */
  double *h;         /* inverse Hessian */
  double *y, *hy;
  double f;
  double slope; /* g'p at the start of the line */
} search;

typedef struct trial { /* a point on the line */
  double a, f, slope;
} trial;

static double dot(const double *a, const double *b, int n) {
  double s = 0.0;
  for (int i = 0; i < n; i++) s += a[i] * b[i];
  return s;
}

/* f and slope at x + a p; infinite where the function is not defined. */
static trial evaluate(search *s, double a) {
  trial t = {.a = a, .f = INFINITY, .slope = NAN};
  for (int i = 0; i < s->n; i++) s->xt[i] = s->x[i] + a * s->p[i];
  double f;
  if (!s->fn(s->user, s->xt, &f, s->gt) || !isfinite(f)) return t;
  double slope = dot(s->gt, s->p, s->n);
  if (!isfinite(slope)) return t;
  t.f = f;
  t.slope = slope;
  return t;
}

static double noise(const search *s) { return ROUNDOFF * fmax(fabs(s->f), 1e-300); }

static bool decreases(const search *s, const trial *t) {
  if (t->f <= s->f + DECREASE * t->a * s->slope) return true;
  return t->f <= s->f + noise(s) && t->slope <= (2.0 * DECREASE - 1.0) * s->slope;
}

static bool flat(const search *s, const trial *t) {
  return fabs(t->slope) <= -CURVATURE * s->slope;
}

/* Minimum of the cubic through both trials, kept away from the ends; the middle where there is
 * none. */
static double interpolate(const trial *lo, const trial *hi) {
  double width = hi->a - lo->a, mid = lo->a + 0.5 * width;
  if (!isfinite(hi->f)) return lo->a + 0.2 * width;
  double d1 = lo->slope + hi->slope - 3.0 * (lo->f - hi->f) / (lo->a - hi->a);
  double d2 = d1 * d1 - lo->slope * hi->slope;
  if (!(d2 >= 0.0)) return mid;
  d2 = copysign(sqrt(d2), width);
  double a = hi->a - width * (hi->slope + d2 - d1) / (hi->slope - lo->slope + 2.0 * d2);
  double r = (a - lo->a) / width;
  return r > 0.05 && r < 0.95 ? a : mid;
}

/* Shrink [lo, hi], which holds an acceptable point; the last evaluation is at the one returned. */
static bool zoom(search *s, trial lo, trial hi, trial *out) {
  for (int k = 0; k < MAX_TRIALS; k++) {
    trial t = evaluate(s, interpolate(&lo, &hi));
    if (!decreases(s, &t) || t.f > lo.f + noise(s)) {
      hi = t;
    } else {
      if (flat(s, &t)) {
        *out = t;
        return true;
      }
      if (t.slope * (hi.a - lo.a) >= 0.0) hi = lo;
      lo = t;
    }
    if (fabs(hi.a - lo.a) <= 4.0 * DBL_EPSILON * fabs(lo.a)) break;
  }
  /* no flat point found: a lower one will do */
  if (lo.a == 0.0 || !(lo.f < s->f)) return false;
  *out = evaluate(s, lo.a);
  return true;
}

/* Step along p that fulfils the strong Wolfe conditions; xt and gt are then the new point. */
static bool line_search(search *s, trial *out) {
  trial zero = {.a = 0.0, .f = s->f, .slope = s->slope}, last = zero;
  double a = 1.0;
  for (int k = 0; k < MAX_TRIALS; k++) {
    trial t = evaluate(s, a);
    if (!decreases(s, &t) || (k > 0 && t.f > last.f + noise(s))) return zoom(s, last, t, out);
    if (flat(s, &t)) {
      *out = t;
      return true;
    }
    if (t.slope >= 0.0) return zoom(s, t, last, out);
    last = t;
    a *= 2.0;
  }
  return false;
}

/* H := (I - r s y') H (I - r y s') + r s s', r = 1/y's (equation 6.17); step = xt - x. */
static void update(search *s, bool scale_first) {
  int n = s->n;
  double ys = 0.0, yy = 0.0, ss = 0.0;
  for (int i = 0; i < n; i++) {
    s->y[i] = s->gt[i] - s->g[i];
    s->p[i] = s->xt[i] - s->x[i];
    ys += s->y[i] * s->p[i];
    yy += s->y[i] * s->y[i];
    ss += s->p[i] * s->p[i];
  }
  if (!(ys > DBL_EPSILON * sqrt(yy) * sqrt(ss))) return;
  if (scale_first) {
    memset(s->h, 0, (size_t)n * n * sizeof *s->h);
    for (int i = 0; i < n; i++) s->h[(size_t)i * n + i] = ys / yy;
  }
  for (int i = 0; i < n; i++) s->hy[i] = dot(s->h + (size_t)i * n, s->y, n);
  double yhy = dot(s->y, s->hy, n), c = (1.0 + yhy / ys) / ys;
  for (int i = 0; i < n; i++) {
    for (int j = 0; j < n; j++) {
      s->h[(size_t)i * n + j] +=
          c * s->p[i] * s->p[j] - (s->p[i] * s->hy[j] + s->hy[i] * s->p[j]) / ys;
    }
  }
}

/* H := I / |g|: a first step of length one at most. */
static void reset(search *s) {
  int n = s->n;
  double g = sqrt(dot(s->g, s->g, n));
  memset(s->h, 0, (size_t)n * n * sizeof *s->h);
  for (int i = 0; i < n; i++) s->h[(size_t)i * n + i] = 1.0 / fmax(1.0, g);
}

/* largest relative change of f for a relative change of one variable */
static double scaled_gradient(const search *s) {
  double worst = 0.0;
  for (int i = 0; i < s->n; i++) {
    double r = fabs(s->g[i]) * fmax(fabs(s->x[i]), 1.0) / fmax(fabs(s->f), 1.0);
    if (!(r <= worst)) worst = r;
  }
  return worst;
}

/* p := -H g and its slope; false when H is no longer a descent. */
static bool direction(search *s) {
  for (int i = 0; i < s->n; i++) s->p[i] = -dot(s->h + (size_t)i * s->n, s->g, s->n);
  s->slope = dot(s->g, s->p, s->n);
  return s->slope < 0.0;
}

/* The loop; fresh says that H is a guess, not learned from the function. */
static int minimise(search *s, bool fresh, double gtol, int max_iter, bool *converged) {
  int iter = 0;
  for (; iter < max_iter; iter++) {
    if (scaled_gradient(s) <= gtol) {
      *converged = true;
      break;
    }
    if (!direction(s)) {
      if (fresh) break;
      reset(s);
      fresh = true;
      direction(s);
    }
    /* what a full Newton step promises is less than f can show */
    if (!fresh && -0.5 * s->slope <= DBL_EPSILON * fabs(s->f)) {
      *converged = true;
      break;
    }
    trial t;
    if (!line_search(s, &t)) {
      if (fresh) break;
      reset(s);
      fresh = true;
      continue;
    }
    update(s, fresh);
    fresh = false;
    memcpy(s->x, s->xt, (size_t)s->n * sizeof *s->x);
    memcpy(s->g, s->gt, (size_t)s->n * sizeof *s->g);
    s->f = t.f;
  }
  if (iter == max_iter) *converged = scaled_gradient(s) <= gtol;
  return iter;
}

int dpi_bfgs(dp_ctx *ctx, dpi_bfgs_fn fn, void *user, int n, double *x, double *f, double *h0,
             double gtol, int max_iter, bool *converged) {
  *converged = false;
  size_t own = h0 ? 0 : (size_t)n * n;
  double *block = DPI_NEW_ARRAY(ctx, double, 6 * (size_t)n + own);
  if (!block) return -1;
  search s = {.fn = fn,
              .user = user,
              .n = n,
              .x = x,
              .g = block,
              .p = block + n,
              .xt = block + 2 * n,
              .gt = block + 3 * n,
              .y = block + 4 * n,
              .hy = block + 5 * n,
              .h = h0 ? h0 : block + 6 * n};
  int iter = 0;
  *f = INFINITY;
  if (fn(user, x, f, s.g) && isfinite(*f) && isfinite(dot(s.g, s.g, n))) {
    s.f = *f;
    if (!h0) reset(&s);
    iter = minimise(&s, !h0, gtol, max_iter, converged);
    *f = s.f;
  }
  dpi_free(ctx, block);
  return iter;
}
