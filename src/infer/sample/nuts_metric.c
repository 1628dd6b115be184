/* nuts_metric.c - floor 6, folder sample: step size, metric and windows of the No-U-Turn sampler.
 *
 * Sources: dual averaging by Hoffman & Gelman, JMLR 15 (2014) 1593, section 3.2 with their constants gamma = 0.05, t0 =
 * 10, kappa = 0.75, mu = ln(10 step). Windows: Stan reference manual, "MCMC sampling, automatic parameter tuning": 75
 * draws, windows of 25, 50, 100, ... (the last one takes what would not fill another), 50 draws; 15 %, 75 %, 10 % of a
 * warm-up shorter than 150.
 *
 * Shrinkage. Diagonal: k/(k + 5) s^2 + 5/(k + 5) 1e-3 of k draws (Stan). Dense: between parameters correlations are
 * shrunk by k/(k + n), so that a window shorter than the number of parameters still gives a positive definite matrix;
 * the diagonal as above.
 */
#include "infer/sample/nuts_metric.h"

#include <math.h>
#include <string.h>

#define GAMMA 0.05
#define T0 10.0
#define KAPPA 0.75
#define RIDGE 1e-4 /* of a curvature in R^n, where scales are of order 1: a variance is at most 1e4 */

dp_status dpi_metric_make(dpi_arena *arena, int n, bool dense, dpi_metric *m) {
  size_t size = dense ? (size_t)n * (size_t)n : (size_t)n;
  *m = (dpi_metric){.n = n, .dense = dense};
  m->cov = DPI_ARENA_ARRAY(arena, double, size);
  m->chol = DPI_ARENA_ARRAY(arena, double, size);
  m->m2 = DPI_ARENA_ARRAY(arena, double, size);
  m->mean = DPI_ARENA_ARRAY(arena, double, (size_t)n);
  m->work = DPI_ARENA_ARRAY(arena, double, size);
  if (!m->cov || !m->chol || !m->m2 || !m->mean || !m->work) return DP_ERR_MEMORY;
  dpi_metric_identity(m);
  return DP_OK;
}

static size_t size_of(const dpi_metric *m) { return m->dense ? (size_t)m->n * (size_t)m->n : (size_t)m->n; }
static size_t diagonal(const dpi_metric *m, int i) {
  return m->dense ? (size_t)i * (size_t)m->n + (size_t)i : (size_t)i;
}

void dpi_metric_identity(dpi_metric *m) {
  memset(m->cov, 0, sizeof(double) * size_of(m));
  memset(m->chol, 0, sizeof(double) * size_of(m));
  for (int i = 0; i < m->n; i++) m->cov[diagonal(m, i)] = m->chol[diagonal(m, i)] = 1;
}

/* Take a covariance [size_of] (not m->cov itself) when it is one. */
static bool take(dpi_metric *m, const double *cov) {
  size_t bytes = sizeof(double) * size_of(m);
  for (int i = 0; i < m->n; i++) {
    double v = cov[diagonal(m, i)];
    if (!(v > 0 && v < INFINITY)) return false;
  }
  if (m->dense) {
    memcpy(m->m2, cov, bytes); /* the window is over: its room is free */
    if (!dpi_chol(m->m2, m->n)) return false;
    memcpy(m->chol, m->m2, bytes);
  }
  memcpy(m->cov, cov, bytes);
  return true;
}

static void window_clear(dpi_metric *m) {
  m->count = 0;
  memset(m->mean, 0, sizeof(double) * (size_t)m->n);
  memset(m->m2, 0, sizeof(double) * size_of(m));
}

void dpi_metric_fisher(dpi_metric *m, double *fisher) {
  int n = m->n;
  for (int i = 0; i < n * n; i++)
    if (!isfinite(fisher[i])) return;
  for (int i = 0; i < n; i++) fisher[i * n + i] += RIDGE;
  if (m->dense) {
    if (!dpi_chol(fisher, n)) return;
    dpi_chol_inverse(fisher, n, m->work);
  } else {
    for (int i = 0; i < n; i++) m->work[i] = 1 / fisher[i * n + i];
  }
  take(m, m->work);
  window_clear(m);
}

void dpi_metric_velocity(const dpi_metric *m, const double *p, double *v) {
  int n = m->n;
  for (int i = 0; i < n; i++) {
    double sum = 0;
    if (m->dense) {
      const double *row = m->cov + (size_t)i * (size_t)n;
      for (int j = 0; j < n; j++) sum += row[j] * p[j];
    } else {
      sum = m->cov[i] * p[i];
    }
    v[i] = sum;
  }
}

void dpi_metric_momentum(const dpi_metric *m, dpi_rng *rng, double *p) {
  for (int i = 0; i < m->n; i++) p[i] = dpi_rng_normal(rng);
  if (m->dense)
    dpi_tri_solve_lower_t(m->chol, m->n, p);
  else
    for (int i = 0; i < m->n; i++) p[i] /= sqrt(m->cov[i]);
}

void dpi_metric_add(dpi_metric *m, const double *u) {
  int n = m->n;
  m->count++;
  for (int i = 0; i < n; i++) {
    double before = u[i] - m->mean[i];
    m->mean[i] += before / (double)m->count;
    if (m->dense) m->work[i] = before;
    if (!m->dense) m->m2[i] += before * (u[i] - m->mean[i]);
  }
  for (int i = 0; m->dense && i < n; i++)
    for (int j = 0; j <= i; j++) m->m2[(size_t)i * (size_t)n + (size_t)j] += m->work[i] * (u[j] - m->mean[j]);
}

void dpi_metric_update(dpi_metric *m) {
  int n = m->n;
  double k = (double)m->count, own = k / (k + 5), between = k / (k + n);
  if (m->count > 2) {
    for (int i = 0; i < n; i++) {
      if (!m->dense) m->work[i] = own * m->m2[i] / (k - 1) + (1 - own) * 1e-3;
      for (int j = 0; m->dense && j <= i; j++) {
        size_t at = (size_t)i * (size_t)n + (size_t)j;
        double c = own * m->m2[at] / (k - 1);
        m->work[at] = m->work[(size_t)j * (size_t)n + (size_t)i] = i == j ? c + (1 - own) * 1e-3 : between * c;
      }
    }
    take(m, m->work);
  }
  window_clear(m);
}

/* ---- step size ---- */

void dpi_dual_restart(dpi_dual_average *a, double step) {
  *a = (dpi_dual_average){.step = step, .mean_step = 1, .mu = dpi_m_log(10 * step)};
}

void dpi_dual_add(dpi_dual_average *a, double accept, double wanted) {
  a->count++;
  double t = (double)a->count, weight = dpi_m_exp(-KAPPA * dpi_m_log(t)), share = 1 / (t + T0);
  a->error += share * ((wanted - accept) - a->error);
  double log_step = a->mu - a->error * sqrt(t) / GAMMA;
  a->step = dpi_m_exp(log_step);
  a->mean_step = dpi_m_exp(weight * log_step + (1 - weight) * dpi_m_log(a->mean_step));
}

/* ---- going on ---- */

int dpi_metric_size(const dpi_metric *m) { return 6 + m->n + 2 * (int)size_of(m); }

void dpi_metric_save(const dpi_metric *m, const dpi_dual_average *a, double *out) {
  size_t n = (size_t)m->n, size = size_of(m);
  *out++ = a->step;
  *out++ = a->mean_step;
  *out++ = a->mu;
  *out++ = a->error;
  *out++ = (double)a->count;
  *out++ = (double)m->count;
  memcpy(out, m->mean, sizeof(double) * n);
  memcpy(out + n, m->cov, sizeof(double) * size);
  memcpy(out + n + size, m->m2, sizeof(double) * size);
}

bool dpi_metric_load(dpi_metric *m, dpi_dual_average *a, const double *in) {
  size_t n = (size_t)m->n, size = size_of(m);
  for (int i = 0; i < dpi_metric_size(m); i++)
    if (!isfinite(in[i])) return false;
  if (!(in[0] > 0 && in[1] > 0 && in[4] >= 0 && in[4] < 1e9 && in[5] >= 0 && in[5] < 1e9)) return false;
  *a = (dpi_dual_average){in[0], in[1], in[2], in[3], (long)in[4]};
  if (!take(m, in + 6 + n)) return false;
  m->count = (long)in[5];
  memcpy(m->mean, in + 6, sizeof(double) * n);
  memcpy(m->m2, in + 6 + n + size, sizeof(double) * size);
  return true;
}

/* ---- windows ---- */

void dpi_nuts_schedule_make(int nwarmup, dpi_nuts_schedule *s) {
  *s = (dpi_nuts_schedule){.nwarmup = nwarmup, .first = 75, .last = nwarmup - 50, .base = 25};
  if (nwarmup >= 150) return;
  s->first = (int)(0.15 * nwarmup);
  s->last = nwarmup - (int)(0.1 * nwarmup);
  s->base = s->last - s->first;
}

bool dpi_nuts_window_holds(const dpi_nuts_schedule *s, int t) { return t >= s->first && t < s->last; }

bool dpi_nuts_window_ends(const dpi_nuts_schedule *s, int t) {
  int end = s->first, length = s->base;
  if (!dpi_nuts_window_holds(s, t) || length < 1) return false;
  while (end < s->last) {
    end += length;
    length *= 2;
    if (end + length > s->last) end = s->last; /* no room for another whole one */
    if (end == t + 1) return true;
  }
  return false;
}
