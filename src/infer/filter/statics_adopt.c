/* statics_adopt.c - floor 6, folder filter: static parameters go on from draws of a posterior instead of the prior.
 *
 *     ibis     the draws become the particles; the likelihood of what they know is computed, because moves ask for it
 *     nested   particles are drawn from a t law with the draws' moments and weighted by prior x estimated likelihood /
 *              that law: the draws only say where to look, so they need not have been made under the same noise
 */
#include <math.h>
#include <string.h>

#include "infer/filter/statics_impl.h"
#include "infer/infer.h"

#define DOF 5

/* Mean and Cholesky factor of weighted draws into the first half's. */
static bool moments(dpi_statics *s, const double *x, const double *weight, int nx) {
  int d = s->dim;
  double *mean = s->mean[0], *cov = s->chol[0], sum = 0;
  memset(mean, 0, (size_t)d * sizeof(double));
  memset(cov, 0, (size_t)d * (size_t)d * sizeof(double));
  for (int i = 0; i < nx; i++) sum += weight ? weight[i] : 1;
  for (int i = 0; i < nx; i++)
    for (int a = 0; a < d; a++) mean[a] += (weight ? weight[i] : 1) / sum * x[(size_t)i * (size_t)d + (size_t)a];
  for (int i = 0; i < nx; i++)
    for (int a = 0; a < d; a++)
      for (int b = 0; b <= a; b++)
        cov[a * d + b] += (weight ? weight[i] : 1) / sum * (x[(size_t)i * (size_t)d + (size_t)a] - mean[a]) *
                          (x[(size_t)i * (size_t)d + (size_t)b] - mean[b]);
  for (int a = 0; a < d; a++) cov[a * d + a] *= 1 + 1e-9;
  return sum > 0 && dpi_chol(cov, d);
}

/* One particle from the t law; gives its ln density there. */
static double draw_t(dpi_statics *s, int i, double *x) {
  int d = s->dim;
  double *z = s->copy, m2 = 0, logdet = 0;
  dpi_rng rng = dpi_rng_make(s->def.seed, (uint64_t)i, DPI_RNG_FILTER_CARRY);
  for (int a = 0; a < d; a++) z[a] = dpi_rng_normal(&rng);
  double scale = sqrt(DOF / dpi_chi2_quantile(dpi_rng_uniform(&rng), DOF));
  dpi_tri_mul_lower(s->chol[0], d, z, x);
  for (int a = 0; a < d; a++) {
    x[a] = s->mean[0][a] + scale * x[a];
    m2 += scale * scale * z[a] * z[a];
    logdet += dpi_m_log(s->chol[0][a * d + a]);
  }
  return dpi_t_logpdf(m2, d, DOF) - logdet;
}

/* ln weights in `last` to weights; gives ln of their mean. */
static double weigh(dpi_statics *s) {
  double top = -INFINITY, sum = 0;
  for (int i = 0; i < s->n; i++) top = fmax(top, s->last[i]);
  if (!isfinite(top)) return -INFINITY;
  for (int i = 0; i < s->n; i++) sum += dpi_m_exp(s->last[i] - top);
  for (int i = 0; i < s->n; i++) s->weight[i] = dpi_m_exp(s->last[i] - top) / sum;
  return top + dpi_m_log(sum / s->n);
}

static dp_status adopt_nested(dpi_statics *s, const double *x, const double *weight, int nx) {
  if (!moments(s, x, weight, nx))
    return dpi_fail(s->ctx, DP_ERR_INPUT, "static parameters: the draws to go on from have no spread");
  for (int i = 0; i < s->n; i++) {
    double *y = s->x + (size_t)i * (size_t)s->dim;
    double q = draw_t(s, i, y);
    s->logprior[i] = dpi_statics_logprior(s, y);
    s->last[i] = s->logprior[i] - q;
    if (!isfinite(s->logprior[i]))
      memcpy(y, s->mean[0], (size_t)s->dim * sizeof(double)); /* weight 0, at a safe place */
  }
  DP_TRY(dpi_nested_begin(s, s->nreading));
  for (int i = 0; i < s->n; i++) {
    s->last[i] += s->past[i];
    if (isnan(s->last[i])) s->last[i] = -INFINITY;
  }
  s->report.evidence = weigh(s);
  return DP_OK;
}

static dp_status adopt_draws(dpi_statics *s, const double *x, const double *weight, int nx) {
  size_t d = (size_t)s->dim;
  dpi_rng rng = dpi_rng_make(s->def.seed, 0, DPI_RNG_FILTER_CARRY);
  double *equal = DPI_NEW_ARRAY(s->ctx, double, nx);
  if (!equal) return DP_ERR_MEMORY;
  for (int i = 0; i < nx; i++) equal[i] = weight ? weight[i] : 1;
  dpi_resample(equal, nx, dpi_rng_uniform(&rng), s->n, s->index);
  dpi_free(s->ctx, equal);
  for (int i = 0; i < s->n; i++) {
    memcpy(s->x + (size_t)i * d, x + (size_t)s->index[i] * d, d * sizeof(double));
    s->logprior[i] = dpi_statics_logprior(s, s->x + (size_t)i * d);
  }
  DP_TRY(dpi_ibis_begin(s));
  for (int i = 0; i < s->n; i++) s->last[i] = isfinite(s->logprior[i] + s->past[i]) ? 0 : -INFINITY;
  s->report.evidence = weigh(s) == -INFINITY ? -INFINITY : 0;
  return DP_OK;
}

dp_status dpi_statics_adopt(dpi_statics *s, const double *x, const double *weight, int nx, const dpi_reading *known,
                            int nknown) {
  if (s->nreading || s->ntaken)
    return dpi_fail(s->ctx, DP_ERR_USAGE, "static parameters: draws to go on from come before any reading");
  if (nx < 2)
    return dpi_fail(s->ctx, DP_ERR_INPUT, "static parameters: %d draws to go on from, expected 2 or more", nx);
  if (s->pilot) DP_TRY(dpi_statics_adopt(s->pilot, x, weight, nx, known, nknown));
  for (int k = 0; k < nknown; k++) {
    DP_TRY(dpi_reading_check(&s->problem, &known[k], k));
    if (!isnan(known[k].y)) DP_TRY(dpi_reading_insert(s->ctx, &s->reading, &s->nreading, &s->cap_reading, &known[k]));
  }
  DP_TRY(s->def.nested ? adopt_nested(s, x, weight, nx) : adopt_draws(s, x, weight, nx));
  s->ntaken = s->nreading;
  s->lost = s->report.evidence == -INFINITY;
  s->lost_time = s->problem.process->start - 1; /* which of them is not known */
  s->lost_sensor = -1;
  s->report.ess_least = s->lost ? 0 : dpi_ess(s->weight, s->n);
  return DP_OK;
}
