/* trust_step.c - floor 6, inside infer/point: one step of the trust region on a quadratic model within a box.
 *
 * Sources: Coleman & Li, SIAM J. Optim. 6 (1996) 418 (scaling, reflection); Moré & Sorensen, SIAM J. Sci. Stat. Comput.
 * 4 (1983) 553 (the exact step, the hard case); Branch, Coleman & Li, SIAM J. Sci. Comput. 21 (1999) 1 (the plane).
 *
 * The unbounded step is solved first. Where it meets a bound there are four ways on, and the one with the least psi is
 * taken: stop there; be reflected; solve again with what was met held at the bound (several times if need be); go down
 * the scaled gradient.
 */
#include "infer/point/point_impl.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "num/num.h"

#define MAX_HOLD 8      /* how often a step is solved again with more held at bounds */
#define TINY_V 1e-30    /* a parameter at its bound: its scale is not zero, so that nothing is divided by zero */
#define TINY_STEP 1e-20 /* what rounding leaves of a step of such a parameter: it meets nothing */
#define MAX_SECULAR 100 /* Newton steps for the shift; four or five are usual */

void dpi_quad_scale(dpi_quad *q) {
  for (int a = 0; a < q->m; a++) {
    double room = q->g[a] < 0 ? q->hi[a] : -q->lo[a];
    bool near = room < 1;
    q->v[a] = near ? fmax(room, TINY_V) : 1;
    q->r[a] = sqrt(q->v[a]);
    q->c[a] = near ? fabs(q->g[a]) : 0;
  }
  q->known = false;
}

double dpi_quad_optimality(const dpi_quad *q) {
  double most = 0;
  for (int a = 0; a < q->m; a++) most = fmax(most, fabs(q->v[a] * q->g[a]));
  return most;
}

static double dot(const double *a, const double *b, int n) {
  double s = 0;
  for (int k = 0; k < n; k++) s += a[k] * b[k];
  return s;
}

/* y = B s */
static void times(const dpi_quad *q, const double *s, double *y) {
  for (int a = 0; a < q->m; a++) y[a] = dot(q->b + (size_t)a * q->m, s, q->m);
}

double dpi_quad_value(const dpi_quad *q, const double *s) {
  double sum = 0;
  for (int a = 0; a < q->m; a++) sum += s[a] * (q->g[a] + 0.5 * dot(q->b + (size_t)a * q->m, s, q->m));
  return sum;
}

static double psi(const dpi_quad *q, const double *s) {
  double sum = dpi_quad_value(q, s);
  for (int a = 0; a < q->m; a++) sum += 0.5 * q->c[a] * s[a] * s[a] / q->v[a];
  return sum;
}

static double scaled_length(const dpi_quad *q, const double *s) {
  double sum = 0;
  for (int a = 0; a < q->m; a++) sum += s[a] * s[a] / q->v[a];
  return sqrt(sum);
}

/* Share of s that leads to the first bound; > 1: none is met. */
static double first_bound(const dpi_quad *q, const double *s) {
  double share = INFINITY;
  for (int a = 0; a < q->m; a++) {
    if (s[a] > TINY_STEP) share = fmin(share, q->hi[a] / s[a]);
    if (s[a] < -TINY_STEP) share = fmin(share, q->lo[a] / s[a]);
  }
  return share;
}

/* ---- the step without bounds, in eigenvectors: minimise c'p + p'diag(lambda)p/2, |p| <= radius ---- */

static double shifted(const double *lambda, const double *c, int m, double sigma, double *p, double *slope) {
  double sum = 0, d = 0;
  for (int k = 0; k < m; k++) {
    double w = lambda[k] + sigma;
    if (!(w > 0) && c[k] != 0) return INFINITY;
    p[k] = w > 0 ? -c[k] / w : 0;
    sum += p[k] * p[k];
    if (w > 0) d += p[k] * p[k] / w;
  }
  *slope = d;
  return sqrt(sum);
}

/* No shift is needed: convex where it matters, and within the radius. A direction without curvature in which less than
 * negligible can be gained is left alone. */
static bool unshifted(const double *lambda, const double *c, int m, double radius, double negligible, double *p) {
  double top = fmax(fabs(lambda[0]), fabs(lambda[m - 1])), nothing = 1e-13 * top + DBL_MIN, sum = 0;
  for (int k = 0; k < m; k++) {
    if (lambda[k] > nothing && (c[k] * c[k] / lambda[k] > negligible || fabs(c[k]) <= radius * lambda[k])) {
      p[k] = -c[k] / lambda[k];
    } else {
      if (lambda[k] < -nothing || fabs(c[k]) * radius > negligible) return false;
      p[k] = 0;
    }
    sum += p[k] * p[k];
  }
  return sqrt(sum) <= radius;
}

static void secular(const double *lambda, const double *c, int m, double radius, double negligible, double *p) {
  if (unshifted(lambda, c, m, radius, negligible, p)) return;
  double low = fmax(0, -lambda[0]), high = low + sqrt(dot(c, c, m)) / radius, slope;
  double length = shifted(lambda, c, m, low, p, &slope);
  if (length < radius) { /* the hard case: go on along the lowest eigenvector */
    p[0] = 0;
    double rest = radius * radius - dot(p, p, m);
    p[0] = copysign(sqrt(fmax(rest, 0)), -c[0]);
    return;
  }
  double sigma = high;
  for (int k = 0; k < MAX_SECULAR; k++) {
    length = shifted(lambda, c, m, sigma, p, &slope);
    if (fabs(length - radius) <= 1e-9 * radius) return;
    if (length > radius)
      low = sigma;
    else
      high = sigma;
    double next = sigma + (slope > 0 ? length * length / slope * (length - radius) / radius : 0);
    sigma = next > low && next < high ? next : 0.5 * (low + high);
    if (!(high - low > 1e-15 * high)) break;
  }
}

/* minimise g'p + p'Mp/2, |p| <= radius; M (full) is kept in q->m1 where the caller has put it, and destroyed. keep: the
 * eigenvectors are those of the whole model, known or to be kept. */
static void solve_exact(dpi_quad *q, int m, const double *g, double radius, double negligible, bool keep, double *p) {
  double *lambda = keep ? q->lambda : q->t + 8 * q->m, *vec = keep ? q->vec : q->m2, *c = q->t + 9 * q->m,
         *z = q->t + 10 * q->m;
  if (!keep || !q->known) dpi_point_eig(q->m1, m, lambda, vec, c);
  if (keep) q->known = true;
  for (int k = 0; k < m; k++) {
    c[k] = 0;
    for (int a = 0; a < m; a++) c[k] += vec[(size_t)a * m + k] * g[a];
  }
  secular(lambda, c, m, radius, negligible, z);
  for (int a = 0; a < m; a++) p[a] = dot(vec + (size_t)a * m, z, m);
}

/* The same in the plane of the gradient and the Newton step (of M + shift where M is not positive definite). */
static void solve_plane(dpi_quad *q, int m, const double *g, double radius, double negligible, double *p) {
  double *e1 = q->t + 8 * q->m, *e2 = q->t + 9 * q->m, *y = q->t + 10 * q->m, length = sqrt(dot(g, g, m));
  for (int a = 0; a < m; a++) p[a] = 0;
  if (!(length > 0)) return;
  double top = 0;
  for (int a = 0; a < m; a++) top = fmax(top, fabs(q->m1[(size_t)a * m + a]));
  for (int a = 0; a < m; a++) e1[a] = g[a] / length;
  for (double shift = 0; shift <= 1e20 * top; shift = shift > 0 ? 10 * shift : 1e-10 * top + DBL_MIN) {
    memcpy(q->m2, q->m1, sizeof(double) * (size_t)m * (size_t)m);
    for (int a = 0; a < m; a++) q->m2[(size_t)a * m + a] += shift;
    if (!dpi_chol(q->m2, m)) continue;
    memcpy(e2, g, sizeof(double) * (size_t)m);
    dpi_chol_solve(q->m2, m, e2);
    break;
  }
  for (int turn = 0; turn < 2; turn++) {
    double along = dot(e1, e2, m), size = 0;
    for (int a = 0; a < m; a++) e2[a] -= along * e1[a];
    size = sqrt(dot(e2, e2, m));
    for (int a = 0; a < m; a++) e2[a] = size > 0 && isfinite(size) ? e2[a] / size : 0;
  }
  double small[4], w[2], v[4], c[2], z[2], gg[2] = {length, dot(g, e2, m)};
  for (int a = 0; a < m; a++) y[a] = dot(q->m1 + (size_t)a * m, e1, m);
  small[0] = dot(e1, y, m);
  small[1] = small[2] = dot(e2, y, m);
  for (int a = 0; a < m; a++) y[a] = dot(q->m1 + (size_t)a * m, e2, m);
  small[3] = dot(e2, y, m);
  int dim = dot(e2, e2, m) > 0.5 ? 2 : 1;
  small[dim * dim - 1] = dim == 1 ? small[0] : small[3];
  dpi_sym_eig(small, dim, w, v);
  for (int k = 0; k < dim; k++) c[k] = v[k] * gg[0] + (dim > 1 ? v[dim + k] * gg[1] : 0);
  secular(w, c, dim, radius, negligible, z);
  double s1 = dim > 1 ? v[0] * z[0] + v[1] * z[1] : z[0] * v[0], s2 = dim > 1 ? v[2] * z[0] + v[3] * z[1] : 0;
  for (int a = 0; a < m; a++) p[a] = s1 * e1[a] + s2 * e2[a];
}

/* The step s over the `m` parameters in free (NULL: all), the others held at s; false: nothing is left of
 * the radius. */
static bool solve(dpi_quad *q, const int *free, int m, double radius, double negligible, double *s) {
  double *g = q->t + 6 * q->m, *p = q->t + 7 * q->m, used = 0;
  if (free) {
    bool *is_free = (bool *)(q->index + q->m); /* as many bytes as fit are enough */
    memset(is_free, 0, (size_t)q->m);
    for (int k = 0; k < m; k++) is_free[free[k]] = true;
    for (int a = 0; a < q->m; a++) {
      if (is_free[a])
        s[a] = 0;
      else
        used += s[a] * s[a] / q->v[a];
    }
  }
  double left = radius * radius - used;
  if (!(left > 1e-4 * radius * radius) || m == 0) return m == 0;
  for (int k = 0; k < m; k++) {
    int a = free ? free[k] : k;
    const double *row = q->b + (size_t)a * q->m;
    g[k] = q->r[a] * (q->g[a] + (free ? dot(row, s, q->m) : 0));
    for (int l = 0; l < m; l++) {
      int b = free ? free[l] : l;
      q->m1[(size_t)k * m + l] = q->r[a] * q->r[b] * row[b];
    }
    q->m1[(size_t)k * m + k] += q->c[a];
  }
  if (q->plane)
    solve_plane(q, m, g, sqrt(left), negligible, p);
  else
    solve_exact(q, m, g, sqrt(left), negligible, !free, p);
  for (int k = 0; k < m; k++) s[free ? free[k] : k] = q->r[free ? free[k] : k] * p[k];
  return true;
}

/* ---- the ways on at a bound ---- */

/* Least psi of s + tau d for tau in [0, most]; the step is put into out. */
static double line_min(const dpi_quad *q, const double *s, const double *d, double most, double *out) {
  double *y = q->t + 11 * q->m, slope = 0, bend = 0;
  times(q, d, y);
  for (int a = 0; a < q->m; a++) {
    double extra = q->c[a] / q->v[a];
    slope += d[a] * q->g[a] + y[a] * s[a] + extra * s[a] * d[a];
    bend += d[a] * y[a] + extra * d[a] * d[a];
  }
  double tau = slope >= 0 ? 0 : bend > 0 ? fmin(-slope / bend, most) : most;
  for (int a = 0; a < q->m; a++) out[a] = s[a] + tau * d[a];
  return psi(q, out);
}

/* How far along d from s, until theta of the way to a bound or the radius. */
static double room_along(const dpi_quad *q, const double *s, const double *d, double radius, double theta) {
  double most = INFINITY, ss = 0, sd = 0, dd = 0;
  for (int a = 0; a < q->m; a++) {
    if (d[a] > 0) most = fmin(most, fmax(theta * q->hi[a] - s[a], 0) / d[a]);
    if (d[a] < 0) most = fmin(most, fmin(theta * q->lo[a] - s[a], 0) / d[a]);
    ss += s[a] * s[a] / q->v[a];
    sd += s[a] * d[a] / q->v[a];
    dd += d[a] * d[a] / q->v[a];
  }
  if (!(dd > 0)) return 0;
  double rest = fmax(radius * radius - ss, 0);
  return fmin(most, (sqrt(sd * sd + dd * rest) - sd) / dd);
}

/* What the step meets first is turned round there. */
static double reflected(const dpi_quad *q, const double *step, double share, double radius, double theta, double *out) {
  double *s = q->t + 4 * q->m, *d = q->t + 5 * q->m;
  for (int a = 0; a < q->m; a++) {
    s[a] = theta * share * step[a];
    bool met = step[a] > 0 ? q->hi[a] <= 1.0000001 * share * step[a] : q->lo[a] >= 1.0000001 * share * step[a];
    d[a] = met && step[a] != 0 ? -step[a] : step[a];
  }
  return line_min(q, s, d, room_along(q, s, d, radius, theta), out);
}

static double gradient_step(const dpi_quad *q, double radius, double theta, double *out) {
  double *zero = q->t + 4 * q->m, *d = q->t + 5 * q->m;
  for (int a = 0; a < q->m; a++) {
    zero[a] = 0;
    d[a] = -q->v[a] * q->g[a];
  }
  return line_min(q, zero, d, room_along(q, zero, d, radius, theta), out);
}

/* What is met is put (theta of the way) at its bound and the rest solved again, until nothing more is met. */
static double held(dpi_quad *q, const double *step, double radius, double theta, double negligible, double *out) {
  int *free = q->index, m = q->m;
  memcpy(out, step, sizeof(double) * (size_t)q->m);
  for (int a = 0; a < q->m; a++) free[a] = a;
  for (int turn = 0; turn < MAX_HOLD; turn++) {
    double share = first_bound(q, out);
    if (share >= 1) return psi(q, out);
    int left = 0;
    for (int k = 0; k < m; k++) {
      int a = free[k];
      double bound = out[a] > 0 ? q->hi[a] : q->lo[a];
      bool met = fabs(out[a]) > TINY_STEP && bound / out[a] <= fmin(2 * share + 1e-12, 0.9999999);
      if (met)
        out[a] = theta * bound;
      else
        free[left++] = a;
    }
    if (left == m) break;
    m = left;
    if (!solve(q, free, m, radius, negligible, out)) return INFINITY;
  }
  double share = theta * fmin(first_bound(q, out), 1 / theta);
  for (int a = 0; a < q->m; a++) out[a] *= share;
  return psi(q, out);
}

static void better(double value, const double *step, int m, double *best, double *s) {
  if (!(value < *best)) return;
  *best = value;
  memcpy(s, step, sizeof(double) * (size_t)m);
}

double dpi_quad_step(dpi_quad *q, double radius, double theta, double negligible, double *s, bool *inside) {
  double *step = q->t, *way = q->t + q->m, best = INFINITY;
  solve(q, NULL, q->m, radius, negligible, step);
  double share = first_bound(q, step);
  *inside = share >= 1 && scaled_length(q, step) < radius * (1 - 1e-6);
  if (share >= 1) {
    memcpy(s, step, sizeof(double) * (size_t)q->m);
    return scaled_length(q, s);
  }
  memset(s, 0, sizeof(double) * (size_t)q->m);
  for (int a = 0; a < q->m; a++) way[a] = theta * share * step[a];
  better(psi(q, way), way, q->m, &best, s);
  better(reflected(q, step, share, radius, theta, way), way, q->m, &best, s);
  better(held(q, step, radius, theta, negligible, way), way, q->m, &best, s);
  better(gradient_step(q, radius, theta, way), way, q->m, &best, s);
  double length = scaled_length(q, s);
  *inside = length < radius * (1 - 1e-6);
  return length;
}
