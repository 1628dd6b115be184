/* sens_morris.c - floor 6, inside infer/sobol: Morris' elementary effects.
 *
 * A trajectory starts on a grid of quantiles and moves one group after the other by delta, up or down:
 *
 *     effect of a group = (f after - f before) / (move of its quantile)
 *
 * mu is its mean, mu_star the mean of its size, sigma its spread over trajectories. A group of several inputs moves
 * them all, each up or down by itself: then only the effect's size means something (mu and sigma: NaN). Of several
 * times as many trajectories those are taken that lie far from each other, one after the other.
 *
 * Sources: M. D. Morris, Technometrics 33 (1991) 161; F. Campolongo, J. Cariboni, A. Saltelli, Environ. Model.
 * Softw. 22 (2007) 1509; the greedy choice: M. V. Ruano et al., Environ. Model. Softw. 37 (2012) 103.
 */
#include <math.h>
#include <string.h>

#include "infer/sobol/sens.h"

enum { PURPOSE_PATH = 0x4d4f5252, MOST_CANDIDATES = 4000 };

typedef struct paths {
  dpi_sens *s;
  int n, ngroup, npoint, ncandidate; /* npoint: of a trajectory */
  double delta;
  double *grid; /* [ncandidate x npoint x n] places in 0..1 */
  int *order;   /* [ncandidate x ngroup] which group moves at which step */
  int *chosen;  /* [nsample] */
  double *u;    /* [n] */
} paths;

static double *place(const paths *p, int candidate, int point) {
  return p->grid + ((size_t)candidate * (size_t)p->npoint + (size_t)point) * (size_t)p->n;
}

/* ---- trajectories ---- */

static void draw_path(const paths *p, int c) {
  dpi_rng rng = dpi_rng_make(p->s->def.seed, (uint64_t)c, PURPOSE_PATH);
  int half = p->s->def.nlevel / 2, *order = p->order + (size_t)c * (size_t)p->ngroup;
  double *at = place(p, c, 0);
  for (int k = 0; k < p->n; k++) { /* the lower half of the levels, or delta above them */
    double low = (double)((dpi_rng_u64(&rng) >> 32) * (uint64_t)half >> 32) / (p->s->def.nlevel - 1);
    at[k] = dpi_rng_uniform(&rng) < 0.5 ? low : low + p->delta;
  }
  for (int g = 0; g < p->ngroup; g++) order[g] = g;
  for (int g = p->ngroup - 1; g > 0; g--) {
    int other = (int)((dpi_rng_u64(&rng) >> 32) * (uint64_t)(g + 1) >> 32), t = order[g];
    order[g] = order[other];
    order[other] = t;
  }
  for (int step = 0; step < p->ngroup; step++) {
    const double *from = place(p, c, step);
    double *to = place(p, c, step + 1);
    for (int k = 0; k < p->n; k++)
      to[k] = p->s->in.group[k] != order[step] ? from[k]
              : from[k] >= p->delta - 1e-9     ? from[k] - p->delta
                                               : from[k] + p->delta;
  }
}

/* Sum of the distances between the points of two trajectories. */
static double apart(const paths *p, int a, int b) {
  double sum = 0;
  for (int i = 0; i < p->npoint; i++)
    for (int j = 0; j < p->npoint; j++) {
      const double *x = place(p, a, i), *y = place(p, b, j);
      double square = 0;
      for (int k = 0; k < p->n; k++) square += (x[k] - y[k]) * (x[k] - y[k]);
      sum += sqrt(square);
    }
  return sum;
}

/* The first one, then always the one that is farthest from those taken. */
static dp_status choose(paths *p) {
  int nsample = p->s->def.nsample;
  double *far = DPI_NEW_ARRAY(p->s->ctx, double, p->ncandidate);
  if (!far) return DP_ERR_MEMORY;
  p->chosen[0] = 0;
  far[0] = -1; /* taken */
  for (int m = 1; m < nsample; m++) {
    int best = -1;
    for (int c = 1; c < p->ncandidate; c++) {
      if (far[c] < 0) continue;
      double d = p->ncandidate > nsample ? apart(p, c, p->chosen[m - 1]) : 0;
      far[c] += d * d;
      if (best < 0 || far[c] > far[best]) best = c;
    }
    p->chosen[m] = best;
    far[best] = -1;
  }
  dpi_free(p->s->ctx, far);
  return DP_OK;
}

static void make(void *user, int point, double *x, uint64_t *stream) {
  paths *p = user;
  int m = point / p->npoint;
  const double *at = place(p, p->chosen[m], point % p->npoint);
  for (int k = 0; k < p->n; k++) {
    double tail = dpi_inputs_bounded(&p->s->in, k) ? 0 : p->s->def.tail;
    p->u[k] = tail + (1 - 2 * tail) * at[k];
  }
  dpi_inputs_from_cube(&p->s->in, p->u, x);
  *stream = (uint64_t)m;
}

/* ---- effects ---- */

static double effect(const paths *p, int output, int m, int step, bool alone) {
  const dpi_sens *s = p->s;
  const double *y = s->y + ((size_t)m * (size_t)p->npoint + (size_t)step) * (size_t)s->noutput + (size_t)output;
  int g = p->order[(size_t)p->chosen[m] * (size_t)p->ngroup + (size_t)step], k = 0;
  double change = (y[s->noutput] - y[0]) / p->delta;
  if (!alone) return fabs(change);
  while (s->in.group[k] != g) k++;
  return place(p, p->chosen[m], step + 1)[k] > place(p, p->chosen[m], step)[k] ? change : -change;
}

static bool has_one_input(const dpi_inputs *in, int g) {
  int n = 0;
  for (int k = 0; k < in->n; k++) n += in->group[k] == g;
  return n == 1;
}

typedef struct spread {
  double mu, star, sigma;
  int n;
} spread;

static spread digest(const double *e, int n, const uint16_t *w) {
  double m = 0, sum = 0, size = 0, square = 0;
  for (int i = 0; i < n; i++) {
    double k = w ? w[i] : 1;
    if (isnan(e[i])) continue;
    m += k;
    sum += k * e[i];
    size += k * fabs(e[i]);
  }
  for (int i = 0; i < n; i++)
    if (!isnan(e[i])) square += (w ? w[i] : 1) * (e[i] - sum / m) * (e[i] - sum / m);
  return (spread){sum / m, size / m, m > 1 ? sqrt(square / (m - 1)) : NAN, (int)m};
}

static void put(dpi_sens *s, int output, int g, spread e, bool alone) {
  double value[3] = {alone ? e.mu : NAN, e.star, alone ? e.sigma : NAN};
  for (int k = 0; k < 3; k++) {
    dp_estimate *at = dpi_sens_at(s->out, output, g, k);
    at->value = e.n > 0 ? value[k] : NAN;
    at->nused = e.n;
  }
}

typedef struct job {
  const paths *p;
  const uint16_t *count;
} job;

/* One group of one output; e [nsample], boot [3 x nboot]. */
static void one_group(const job *j, int output, int g, double *e, double *boot) {
  const paths *p = j->p;
  dpi_sens *s = p->s;
  int n = s->def.nsample, nb = s->def.nboot;
  bool alone = has_one_input(&s->in, g);
  for (int m = 0; m < n; m++)
    for (int step = 0; step < p->ngroup; step++)
      if (p->order[(size_t)p->chosen[m] * (size_t)p->ngroup + (size_t)step] == g)
        e[m] = effect(p, output, m, step, alone);
  put(s, output, g, digest(e, n, NULL), alone);
  for (int b = 0; b < nb; b++) {
    spread r = digest(e, n, j->count + (size_t)b * (size_t)n);
    boot[b] = r.mu;
    boot[nb + b] = r.star;
    boot[2 * nb + b] = r.sigma;
  }
  for (int k = 0; k < 3; k++)
    if (alone || k == 1) dpi_sens_interval(dpi_sens_at(s->out, output, g, k), boot + k * nb, nb, s->def.level);
}

/* dpi_work_fn */
static dp_status one_output(void *user, int output, int worker) {
  (void)worker;
  const job *j = user;
  dpi_sens *s = j->p->s;
  double *e = DPI_NEW_ARRAY(s->ctx, double, (size_t)s->def.nsample + 3 * (size_t)s->def.nboot);
  if (!e) return DP_ERR_MEMORY;
  double mean, v = dpi_sens_variance(s, output, s->npoint, NULL, &mean);
  dpi_sens_moments(s, output, mean, sqrt(v));
  bool constant = dpi_sens_constant(s, output);
  for (int g = 0; g < s->in.ngroup && !constant; g++) one_group(j, output, g, e, e + s->def.nsample);
  dpi_free(s->ctx, e);
  return DP_OK;
}

/* ---- the call ---- */

static dp_status work(paths *p) {
  dpi_sens *s = p->s;
  size_t nsample = (size_t)s->def.nsample;
  size_t ncandidate = (size_t)p->ncandidate, ngroup = (size_t)p->ngroup;
  p->grid = DPI_NEW_ARRAY(s->ctx, double, ncandidate *(size_t)p->npoint *(size_t)p->n);
  p->order = DPI_NEW_ARRAY(s->ctx, int, ncandidate *ngroup);
  p->chosen = DPI_NEW_ARRAY(s->ctx, int, nsample);
  p->u = DPI_NEW_ARRAY(s->ctx, double, p->n);
  if (!p->grid || !p->order || !p->chosen || !p->u) return DP_ERR_MEMORY;
  for (int c = 0; c < p->ncandidate; c++) draw_path(p, c);
  DP_TRY(choose(p));
  DP_TRY(dpi_sens_evaluate(s, (int64_t)nsample * p->npoint, make, p));
  uint16_t *count = DPI_NEW_ARRAY(s->ctx, uint16_t, nsample * (size_t)s->def.nboot + 1);
  if (!count) return DP_ERR_MEMORY;
  for (int b = 0; b < s->def.nboot; b++) dpi_sens_resample(s->def.seed, b, s->def.nsample, count + (size_t)b * nsample);
  dp_status status = dpi_parallel_for(s->ctx, s->noutput, one_output, &(job){p, count});
  dpi_free(s->ctx, count);
  return status;
}

dp_status dpi_sens_morris(dpi_sens *s) {
  static const char *const measure[] = {"mu", "mu_star", "sigma"};
  int level = s->def.nlevel, want = s->def.ncandidate ? s->def.ncandidate : 4 * s->def.nsample;
  DP_TRY(dpi_inputs_need_independent(&s->in, "morris"));
  if (level < 2 || level % 2 || level > 1000 || !(s->def.tail > 0 && s->def.tail < 0.5) ||
      s->def.nsample > 1000000 / s->in.n)
    return dpi_fail(s->ctx, DP_ERR_USAGE,
                    "morris: %d levels, tail %g, %d trajectories; expected an even number of levels from 2 on, a "
                    "tail between 0 and 0.5, at most %d trajectories",
                    level, s->def.tail, s->def.nsample, 1000000 / s->in.n);
  if (want > MOST_CANDIDATES) want = MOST_CANDIDATES;
  paths p = {
      .s = s, .n = s->in.n, .ngroup = s->in.ngroup, .npoint = s->in.ngroup + 1, .delta = level / (2.0 * (level - 1))};
  p.ncandidate = want > s->def.nsample ? want : s->def.nsample;
  DP_TRY(dpi_sens_room(s, 3, measure, false));
  dp_status status = work(&p);
  dpi_free(s->ctx, p.grid);
  dpi_free(s->ctx, p.order);
  dpi_free(s->ctx, p.chosen);
  dpi_free(s->ctx, p.u);
  return status;
}
