/* surrogate_gp.c - floor 6, inside infer/surrogate: a Gaussian process' lengths, signal and noise by marginal
 * likelihood.
 *
 *     -ln p(y) = y' K^-1 y / 2 + ln |K| / 2 + n ln(2 pi) / 2        d/dt = tr((K^-1 - a a') dK/dt) / 2,  a = K^-1 y
 *     (Rasmussen & Williams 2006, equations 5.8 and 5.9)
 *
 * y is centred and scaled for the search. A weak normal law on ln length (centre 0.7 of the domain, deviation 1.2)
 * keeps inputs without influence from running to infinity; noise is kept above 1e-6 of y's deviation. BFGS from
 * several starts.
 */
#include <math.h>
#include <string.h>

#include "infer/surrogate/surrogate_train.h"

#define CENTRE -0.35 /* ln 0.7 */
#define SPREAD 1.2
#define LEAST_NOISE 1e-6
#define JITTER 1e-12 /* of the signal's variance: rounding, as where it is assembled */
#define SQRT5 2.23606797749978969641

struct dpi_gp_objective {
  dp_ctx *ctx;
  int n, d;
  dpi_surrogate_kernel kernel;
  double *u, *y;           /* [n x d], [n] */
  double *k, *inverse, *a; /* [n x n], [n x n], [n] */
  double mean, scale;
};

dp_status dpi_gp_objective_create(const dpi_surrogate *s, int part, dpi_gp_objective **out) {
  size_t n = (size_t)s->nrow, d = (size_t)s->ninput;
  dpi_gp_objective *o = *out = DPI_NEW(s->ctx, dpi_gp_objective);
  double *block = DPI_NEW_ARRAY(s->ctx, double, n *(d + 2) + 2 * n * n), square = 0;
  if (!o || !block) {
    dpi_free(s->ctx, o);
    dpi_free(s->ctx, block);
    *out = NULL;
    return DP_ERR_MEMORY;
  }
  *o = (dpi_gp_objective){.ctx = s->ctx, .n = s->nrow, .d = s->ninput, .kernel = s->part[part].kernel, .u = block};
  o->y = o->u + n * d;
  o->a = o->y + n;
  o->k = o->a + n;
  o->inverse = o->k + n * n;
  for (size_t i = 0; i < n; i++) {
    dpi_surrogate_place(s, s->x + i * d, o->u + i * d);
    o->mean += s->part[part].y[i] / (double)n;
  }
  for (size_t i = 0; i < n; i++) square += (s->part[part].y[i] - o->mean) * (s->part[part].y[i] - o->mean);
  o->scale = square > 0 ? sqrt(square / (double)n) : 1;
  for (size_t i = 0; i < n; i++) o->y[i] = (s->part[part].y[i] - o->mean) / o->scale;
  return DP_OK;
}

void dpi_gp_objective_destroy(dpi_gp_objective *o) {
  if (!o) return;
  dpi_free(o->ctx, o->u);
  dpi_free(o->ctx, o);
}

static double distance2(const dpi_gp_objective *o, const double *theta, int i, int j) {
  double r2 = 0;
  for (int k = 0; k < o->d; k++) {
    double t = (o->u[(size_t)i * (size_t)o->d + (size_t)k] - o->u[(size_t)j * (size_t)o->d + (size_t)k]) *
               dpi_m_exp(-theta[k]);
    r2 += t * t;
  }
  return r2;
}

/* -2 d kernel / d r2: the common factor of the derivatives by ln length, which is times (distance in that length)^2.
 */
static double slope(dpi_surrogate_kernel kernel, double r2) {
  if (kernel == DPI_KERNEL_SQEXP) return dpi_m_exp(-0.5 * r2);
  double a = SQRT5 * sqrt(r2);
  return 5.0 / 3 * (1 + a) * dpi_m_exp(-a);
}

static void gradient(const dpi_gp_objective *o, const double *theta, double signal2, double noise2, double *g) {
  int n = o->n, d = o->d;
  memset(g, 0, sizeof *g * (size_t)(d + 2));
  for (int i = 0; i < n; i++) {
    for (int j = 0; j <= i; j++) {
      double w = (o->inverse[(size_t)i * (size_t)n + (size_t)j] - o->a[i] * o->a[j]) * (i == j ? 0.5 : 1), r2 = 0;
      r2 = distance2(o, theta, i, j);
      double common = w * signal2 * slope(o->kernel, r2);
      for (int k = 0; k < d && i != j; k++) {
        double t =
            (o->u[(size_t)i * (size_t)d + (size_t)k] - o->u[(size_t)j * (size_t)d + (size_t)k]) * dpi_m_exp(-theta[k]);
        g[k] += common * t * t;
      }
      g[d] += 2 * w * signal2 * (dpi_surrogate_kernel_at(o->kernel, r2) + (i == j ? JITTER : 0));
      if (i == j) g[d + 1] += 2 * w * noise2;
    }
  }
}

bool dpi_gp_objective_eval(void *user, const double *theta, double *f, double *g) {
  dpi_gp_objective *o = user;
  int n = o->n, d = o->d;
  for (int k = 0; k < d + 2; k++)
    if (!(fabs(theta[k]) < 30)) return false;
  double signal2 = dpi_m_exp(2 * theta[d]), noise2 = dpi_m_exp(2 * theta[d + 1]), floor2 = LEAST_NOISE * LEAST_NOISE;
  for (int i = 0; i < n; i++)
    for (int j = 0; j <= i; j++)
      o->k[(size_t)i * (size_t)n + (size_t)j] =
          signal2 * dpi_surrogate_kernel_at(o->kernel, distance2(o, theta, i, j)) +
          (i == j ? noise2 + floor2 + JITTER * signal2 : 0);
  if (!dpi_chol(o->k, n)) return false;
  memcpy(o->a, o->y, sizeof *o->a * (size_t)n);
  dpi_chol_solve(o->k, n, o->a);
  dpi_chol_inverse(o->k, n, o->inverse);
  *f = 0.5 * dpi_chol_logdet(o->k, n) + 0.91893853320467274178 * n;
  for (int i = 0; i < n; i++) *f += 0.5 * o->y[i] * o->a[i];
  gradient(o, theta, signal2, noise2, g);
  for (int k = 0; k < d; k++) {
    double z = (theta[k] - CENTRE) / SPREAD;
    *f += 0.5 * z * z;
    g[k] += z / SPREAD;
  }
  double z = (theta[d + 1] + 9) / 6; /* noise: anything from rounding to all of it */
  *f += 0.5 * z * z;
  g[d + 1] += z / 6;
  return isfinite(*f);
}

static void begin(int start, int d, uint64_t seed, double *theta) { /* theta [d + 2] */
  dpi_rng rng = dpi_rng_make(seed, (uint64_t)start, 0x47505354);
  for (int k = 0; k < d; k++) theta[k] = CENTRE + (start ? 0.8 * dpi_rng_normal(&rng) : 0);
  theta[d] = 0;
  theta[d + 1] = start % 2 ? -2 : -5;
}

static void begin_at(const dpi_gp_objective *o, const dpi_surrogate_part *p, double *theta) {
  for (int k = 0; k < o->d; k++) theta[k] = dpi_m_log(p->length[k]);
  theta[o->d] = dpi_m_log(p->signal / o->scale);
  theta[o->d + 1] = dpi_m_log(p->noise / o->scale);
}

/* theta [2 x (d + 2)]: the best one first. From one place only where it is known from more rows (whole). */
static dp_status search(dpi_gp_objective *o, const dpi_training_def *def, const dpi_surrogate_part *whole,
                        double *theta, bool *found) {
  int d = o->d, nstart = whole || def->nstart < 1 ? 1 : def->nstart;
  double best = INFINITY, *trial = theta + d + 2;
  for (int s = 0; s < nstart; s++) {
    double f;
    bool converged;
    begin(s, d, def->seed, trial);
    if (whole) begin_at(o, whole, trial);
    if (dpi_bfgs(o->ctx, dpi_gp_objective_eval, o, d + 2, trial, &f, NULL, 1e-5, whole ? 15 : 200, &converged) < 0)
      return DP_ERR_MEMORY;
    if (!(f < best)) continue;
    best = f;
    memcpy(theta, trial, sizeof *theta * (size_t)(d + 2));
  }
  if (!isfinite(best) && whole) return search(o, def, NULL, theta, found);
  *found = isfinite(best);
  return DP_OK;
}

/* dpi_cross_fn */
static dp_status fit_plain(dpi_surrogate *s, int part, const dpi_training_def *def, const dpi_surrogate_part *whole) {
  dpi_surrogate_part *p = &s->part[part];
  dpi_gp_objective *o;
  bool found = false;
  int d = s->ninput;
  p->kind = DPI_SURROGATE_GP;
  p->kernel = def->kernel;
  p->inflate = 1;
  double *theta = DPI_NEW_ARRAY(s->ctx, double, 2 * ((size_t)d + 2));
  if (!theta) return DP_ERR_MEMORY;
  dp_status status = dpi_gp_objective_create(s, part, &o);
  if (status == DP_OK) status = search(o, def, whole, theta, &found);
  if (status == DP_OK && !found)
    status = dpi_fail(s->ctx, DP_ERR_CONVERGE, "surrogate, output %s: the likelihood is defined at no start", p->id);
  if (status == DP_OK) {
    for (int k = 0; k < d; k++) p->length[k] = dpi_m_exp(theta[k]);
    double noise2 = dpi_m_exp(2 * theta[d + 1]) + LEAST_NOISE * LEAST_NOISE;
    p->signal = o->scale * dpi_m_exp(theta[d]);
    p->noise = o->scale * sqrt(noise2);
    dpi_free(s->ctx, p->factor); /* may be of a polynomial's size */
    dpi_free(s->ctx, p->weight);
    p->factor = p->weight = NULL;
    status = dpi_surrogate_assemble(s, part);
  }
  dpi_gp_objective_destroy(o);
  dpi_free(s->ctx, theta);
  return status;
}

dp_status dpi_surrogate_fit_gp(dpi_surrogate *s, int part, const dpi_training_def *def) {
  DP_TRY(fit_plain(s, part, def, NULL));
  return dpi_surrogate_cross(s, part, def, fit_plain);
}
