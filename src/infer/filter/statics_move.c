/* statics_move.c - floor 6, folder filter: priors of static parameters and the moves that leave a posterior as it is.
 *
 * Even sweeps walk (step 2.38/sqrt(dim) of the particles' covariance: A. Gelman, G. O. Roberts, W. R. Gilks, Bayesian
 * Statistics 5 (1996) 599); odd ones propose anew from a multivariate t with the particles' moments. Each half of the
 * particles moves with the moments of the other: moves fitted to the very particles they move would be biased.
 */
#include <math.h>
#include <string.h>

#include "infer/filter/statics_impl.h"
#include "infer/infer.h"

#define LN_2PI 1.8378770664093454836
#define DOF 5

double dpi_statics_logprior(const dpi_statics *s, const double *x) {
  double l = 0;
  if (s->prior.logprior) {
    l = s->prior.logprior(s->prior.user, x);
    return isnan(l) ? -INFINITY : l;
  }
  for (int k = 0; k < s->dim; k++) {
    double z = (x[k] - s->prior.mean[k]) / s->prior.sd[k];
    l -= 0.5 * (z * z + LN_2PI) + dpi_m_log(s->prior.sd[k]);
  }
  return l;
}

dp_status dpi_statics_draw_prior(dpi_statics *s) {
  for (int i = 0; i < s->n; i++) {
    dpi_rng rng = dpi_rng_make(s->def.seed, (uint64_t)i, DPI_RNG_FILTER_STATIC);
    double *x = s->x + (size_t)i * (size_t)s->dim;
    if (s->prior.draw) s->prior.draw(s->prior.user, &rng, x);
    for (int k = 0; k < s->dim && !s->prior.draw; k++) x[k] = s->prior.mean[k] + s->prior.sd[k] * dpi_rng_normal(&rng);
    s->logprior[i] = dpi_statics_logprior(s, x);
    if (!isfinite(s->logprior[i]))
      return dpi_fail(s->ctx, DP_ERR_INPUT, "static parameters: draw %d of the prior has no density there", i);
    s->weight[i] = 1.0 / s->n;
  }
  return DP_OK;
}

void dpi_statics_param(const dpi_statics *s, const double *x, double *param) {
  const dpi_process *p = s->problem.process;
  const double *from = s->prior.other ? s->prior.other : p->param_default;
  if (p->nparam) memcpy(param, from, (size_t)p->nparam * sizeof(double));
  for (int k = 0; k < s->dim; k++) param[s->prior.param[k]] = s->prior.log && s->prior.log[k] ? dpi_m_exp(x[k]) : x[k];
}

/* ---- moments and resampling ---- */

static void half_of(const dpi_statics *s, int half, int *from, int *to) {
  *from = half ? s->n / 2 : 0;
  *to = half ? s->n : s->n / 2;
}

/* Weighted mean and Cholesky factor of the covariance of one half; without spread: that of the diagonal. */
static void half_moments(dpi_statics *s, int half) {
  int d = s->dim, from, to;
  double *mean = s->mean[half], *cov = s->chol[half], sum = 0;
  half_of(s, half, &from, &to);
  memset(mean, 0, (size_t)d * sizeof(double));
  memset(cov, 0, (size_t)d * (size_t)d * sizeof(double));
  for (int i = from; i < to; i++) sum += s->weight[i];
  for (int i = from; i < to; i++)
    for (int a = 0; a < d; a++) mean[a] += s->weight[i] / sum * s->x[(size_t)i * d + a];
  for (int i = from; i < to; i++)
    for (int a = 0; a < d; a++)
      for (int b = 0; b <= a; b++)
        cov[a * d + b] +=
            s->weight[i] / sum * (s->x[(size_t)i * d + a] - mean[a]) * (s->x[(size_t)i * d + b] - mean[b]);
  double small = 1e-300;
  for (int a = 0; a < d; a++) {
    cov[a * d + a] = cov[a * d + a] * (1 + 1e-9) + small;
    s->copy[a] = cov[a * d + a];
  }
  if (!(sum > 0) || !dpi_chol(cov, d)) {
    memset(cov, 0, (size_t)d * (size_t)d * sizeof(double));
    for (int a = 0; a < d; a++) cov[a * d + a] = sum > 0 && s->copy[a] > 0 ? sqrt(s->copy[a]) : 1e-8;
  }
}

void dpi_statics_resample(dpi_statics *s, uint64_t key) {
  size_t d = (size_t)s->dim;
  half_moments(s, 0);
  half_moments(s, 1);
  dpi_rng rng = dpi_rng_make(dpi_rng_at(s->def.seed, key, DPI_RNG_FILTER_RESAMPLE, 0), key, DPI_RNG_FILTER_RESAMPLE);
  dpi_resample(s->weight, s->n, dpi_rng_uniform(&rng), s->n, s->index);
  memcpy(s->next_x, s->x, (size_t)s->n * d * sizeof(double));
  memcpy(s->next_prior, s->logprior, (size_t)s->n * sizeof(double));
  for (int i = 0; i < s->n; i++) {
    memcpy(s->x + (size_t)i * d, s->next_x + (size_t)s->index[i] * d, d * sizeof(double));
    s->logprior[i] = s->next_prior[s->index[i]];
    s->weight[i] = 1.0 / s->n;
  }
  memcpy(s->before, s->x, (size_t)s->n * d * sizeof(double));
}

/* ---- moves ---- */

static dpi_rng move_rng(const dpi_statics *s, uint64_t key, int sweep, int i) {
  uint64_t seed = dpi_rng_at(s->def.seed, key, DPI_RNG_FILTER_MOVE, (uint64_t)sweep);
  return dpi_rng_make(seed, (uint64_t)i, DPI_RNG_FILTER_MOVE);
}

/* ln density of the t without constants */
static double t_density(const dpi_statics *s, int half, const double *x, double *work) {
  double m2 = 0;
  for (int a = 0; a < s->dim; a++) work[a] = x[a] - s->mean[half][a];
  dpi_tri_solve_lower(s->chol[half], s->dim, work);
  for (int a = 0; a < s->dim; a++) m2 += work[a] * work[a];
  return dpi_t_logpdf(m2, s->dim, DOF);
}

void dpi_statics_propose(dpi_statics *s, uint64_t key, int sweep) {
  int d = s->dim;
  double *z = s->copy, *step = s->copy + d;
  for (int i = 0; i < s->n; i++) {
    int other = i < s->n / 2; /* moments of the half that it is not in */
    dpi_rng rng = move_rng(s, key, sweep, i);
    const double *x = s->x + (size_t)i * (size_t)d;
    double *y = s->next_x + (size_t)i * (size_t)d, scale = 2.38 / sqrt(d);
    for (int a = 0; a < d; a++) z[a] = dpi_rng_normal(&rng);
    if (sweep % 2) scale = sqrt(DOF / dpi_chi2_quantile(dpi_rng_uniform(&rng), DOF));
    dpi_tri_mul_lower(s->chol[other], d, z, step);
    for (int a = 0; a < d; a++) y[a] = (sweep % 2 ? s->mean[other][a] : x[a]) + scale * step[a];
    s->ratio[i] = sweep % 2 ? t_density(s, other, x, z) - t_density(s, other, y, z) : 0;
    s->next_prior[i] = dpi_statics_logprior(s, y);
    s->out[i] = !isfinite(s->next_prior[i]);
    if (s->out[i]) memcpy(y, x, (size_t)d * sizeof(double)); /* rejected below; simulated at a place that is safe */
  }
}

bool dpi_statics_accept(const dpi_statics *s, uint64_t key, int sweep, int i, double logratio) {
  dpi_rng rng = move_rng(s, key, sweep, i);
  rng.counter = 1u << 20;
  double u = dpi_rng_uniform(&rng);
  return !s->out[i] && dpi_m_log(u) < logratio;
}

double dpi_statics_correlation(const dpi_statics *s) {
  double worst = 0;
  for (int a = 0; a < s->dim; a++) {
    double m0 = 0, m1 = 0, v0 = 0, v1 = 0, c = 0;
    for (int i = 0; i < s->n; i++) {
      m0 += s->before[(size_t)i * s->dim + a] / s->n;
      m1 += s->x[(size_t)i * s->dim + a] / s->n;
    }
    for (int i = 0; i < s->n; i++) {
      double d0 = s->before[(size_t)i * s->dim + a] - m0, d1 = s->x[(size_t)i * s->dim + a] - m1;
      v0 += d0 * d0;
      v1 += d1 * d1;
      c += d0 * d1;
    }
    if (v0 > 0 && v1 > 0)
      worst = fmax(worst, c / sqrt(v0 * v1));
    else
      worst = 1;
  }
  return worst;
}

void dpi_statics_moved(dpi_statics *s) {
  s->report.nrejuvenate++;
  s->report.nunmixed += dpi_statics_unmixed(s);
}
