/* sample_box.c - floor 6, folder sample: the density's box as R^n.
 *
 *     a < x < b      x = a + (b - a) s(u)   s = 1/(1 + exp(-u))    ln dx/du = ln(b - a) + ln s + ln(1 - s)
 *     a < x          x = a + exp(u)                                ln dx/du = u
 *     x < b          x = b - exp(-u)                               ln dx/du = -u
 *     anything       x = u                                         0
 *
 * (Stan's reference manual, "Transforms of constrained variables", with the upper bound's sign turned so that x rises
 * with u.)
 */
#include <math.h>
#include <string.h>

#include "infer/sample/chain.h"

typedef enum side { SIDE_NONE, SIDE_LOWER, SIDE_UPPER, SIDE_BOTH } side;

#define ON_BOUND 1e-4 /* how far inside a start on a bound is taken */
#define FAR 700.0     /* |u| beyond it makes no difference in doubles and would overflow exp */

static side side_of(const dpi_density *d, int k) {
  return (isfinite(d->lower[k]) ? SIDE_LOWER : SIDE_NONE) | (isfinite(d->upper[k]) ? SIDE_UPPER : SIDE_NONE);
}

static double clamp(double u) { return u < -FAR ? -FAR : (u > FAR ? FAR : u); }

/* s and 1 - s of u, both with full relative accuracy */
static void logistic(double u, double *s, double *r) {
  double e = dpi_m_exp(-fabs(u)), big = 1 / (1 + e), small = e / (1 + e);
  *s = u >= 0 ? big : small;
  *r = u >= 0 ? small : big;
}

/* x strictly between the bounds: rounding must not put it on one, where a density may end */
static double inside(double x, double a, double b) {
  if (!(x > a)) return nextafter(a, b);
  if (!(x < b)) return nextafter(b, a);
  return x;
}

static double to_one(double u, double a, double b, side how, double *logjac) {
  double s, r;
  if (!isfinite(u)) { /* a trajectory that ran away: nobody is asked about a place that is none */
    *logjac = NAN;
    u = 0;
  }
  if (how == SIDE_NONE) return u;
  u = clamp(u);
  if (how == SIDE_LOWER) {
    *logjac += u;
    return inside(a + dpi_m_exp(u), a, INFINITY);
  }
  if (how == SIDE_UPPER) {
    *logjac -= u;
    return inside(b - dpi_m_exp(-u), -INFINITY, b);
  }
  logistic(u, &s, &r);
  *logjac += dpi_m_log(b - a) - fabs(u) - 2 * dpi_m_log1p(dpi_m_exp(-fabs(u)));
  return inside(u < 0 ? a + (b - a) * s : b - (b - a) * r, a, b);
}

double dpi_box_to(const dpi_density *d, const double *u, double *x) {
  double logjac = 0;
  for (int k = 0; k < d->n; k++) x[k] = to_one(u[k], d->lower[k], d->upper[k], side_of(d, k), &logjac);
  return logjac;
}

void dpi_box_from(const dpi_density *d, const double *x, double *u) {
  for (int k = 0; k < d->n; k++) {
    double a = d->lower[k], b = d->upper[k], low = x[k] - a, high = b - x[k];
    switch (side_of(d, k)) {
      case SIDE_NONE:
        u[k] = x[k];
        break;
      case SIDE_LOWER:
        u[k] = dpi_m_log(low > 0 ? low : ON_BOUND * (1 + fabs(a)));
        break;
      case SIDE_UPPER:
        u[k] = -dpi_m_log(high > 0 ? high : ON_BOUND * (1 + fabs(b)));
        break;
      case SIDE_BOTH:
        if (!(low > 0)) low = ON_BOUND * (b - a), high = (b - a) - low;
        if (!(high > 0)) high = ON_BOUND * (b - a), low = (b - a) - high;
        u[k] = dpi_m_log(low) - dpi_m_log(high);
        break;
    }
  }
}

/* dx/du and, by u, the first and minus the second derivative of ln dx/du */
static void slopes(double u, double a, double b, side how, double *dx, double *dj, double *cj) {
  double s, r;
  *dx = 1;
  *dj = *cj = 0;
  if (how == SIDE_NONE) return;
  u = clamp(u);
  if (how == SIDE_BOTH) {
    logistic(u, &s, &r);
    *dx = (b - a) * s * r;
    *dj = r - s;
    *cj = 2 * s * r;
  } else {
    *dx = dpi_m_exp(how == SIDE_LOWER ? u : -u);
    *dj = how == SIDE_LOWER ? 1 : -1;
  }
}

void dpi_box_gradient(const dpi_density *d, const double *u, double *gradient) {
  for (int k = 0; k < d->n; k++) {
    double dx, dj, cj;
    slopes(u[k], d->lower[k], d->upper[k], side_of(d, k), &dx, &dj, &cj);
    gradient[k] = gradient[k] * dx + dj;
  }
}

void dpi_box_fisher(const dpi_density *d, const double *u, double *fisher) {
  int n = d->n;
  for (int k = 0; k < n; k++) {
    double dx, dj, cj;
    slopes(u[k], d->lower[k], d->upper[k], side_of(d, k), &dx, &dj, &cj);
    for (int j = 0; j < n; j++) {
      fisher[k * n + j] *= dx;
      fisher[j * n + k] *= dx;
    }
    fisher[k * n + k] += cj;
  }
}

/* ok only where everything a sampler needs is a number */
static void judge(const dpi_density *d, unsigned what, double logjac, dpi_density_value *v) {
  bool good = isfinite(v->loglik) && isfinite(v->logprior) && isfinite(logjac);
  if (what & DPI_DENSITY_GRADIENT)
    for (int k = 0; k < d->n; k++) good = good && isfinite(v->gradient[k]);
  if (v->ok && !good) memcpy(v->reason, "density or gradient is not a number", 36);
  v->ok = v->ok && good;
  if (!v->ok) v->loglik = -INFINITY;
}

dp_status dpi_box_eval(dpi_density *d, int npoint, const double *u, unsigned what, double *x, double *logjac,
                       dpi_density_value *value) {
  size_t n = (size_t)d->n;
  if (dp_ctx_cancelled(d->ctx)) return dpi_fail(d->ctx, DP_ERR_CANCELLED, "sampling stopped on request");
  for (int i = 0; i < npoint; i++) logjac[i] = dpi_box_to(d, u + (size_t)i * n, x + (size_t)i * n);
  DP_TRY(dpi_density_eval(d, npoint, x, what, value));
  for (int i = 0; i < npoint; i++) judge(d, what, logjac[i], &value[i]);
  return DP_OK;
}
