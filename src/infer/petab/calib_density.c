/* calib_density.c - floor 6: priors of a problem, and a problem as what estimators and samplers see
 * (infer/density.h).  D
 *
 * A prior of v = h^-1(x) has the density p(v) |dv/dx| on the scale of estimation: that is what samplers need. PEtab's
 * own objective leaves the factor out (dp_problem_value.log_prior).
 */
#include <math.h>
#include <string.h>

#include "infer/petab/calib.h"

enum { RNG_PRIOR = 0x1201 };
static const double LN_10 = 2.3025850929940456840;

/* One parameter's ln p at x, derivatives by x. */
static double term(const dpi_calib_param *q, double x, bool jacobian, double *d1, double *d2) {
  if (q->prior.on_scale) return dpi_petab_log_prior_on_scale(&q->prior, x, d1, d2);
  if (q->scale == DP_SCALE_LIN) return dpi_petab_log_prior(&q->prior, x, d1, d2);
  const double c = q->scale == DP_SCALE_LOG ? 1 : LN_10, v = dp_problem_unscale(q->scale, x), slope = c * v;
  double e1, e2, ln = dpi_petab_log_prior(&q->prior, v, &e1, &e2);
  *d1 = e1 * slope;
  *d2 = e2 * slope * slope + e1 * c * slope;
  if (!jacobian || q->prior.family == DPI_PETAB_FLAT) return ln;
  *d1 += c;
  return ln + dpi_m_log(slope);
}

double dpi_calib_prior(const dp_problem *p, const double *x, bool jacobian, double *g, double *h, double *each) {
  const dpi_calib_table *t = &p->file.table[0];
  double sum = 0;
  for (int q = 0; q < p->desc.nparam; q++) {
    double d1, d2;
    const double ln = term(&t->param[p->free[q]], x[q], jacobian, &d1, &d2);
    if (each) each[q] = ln;
    if (g) g[q] += d1;
    if (h && d2 < 0) h[(size_t)q * (size_t)p->desc.nparam + (size_t)q] -= d2;
    sum += ln;
  }
  return sum;
}

void dpi_calib_prior_bend(const dp_problem *p, const double *x, double *d2) {
  double d1;
  for (int q = 0; q < p->desc.nparam; q++) term(&p->file.table[0].param[p->free[q]], x[q], false, &d1, &d2[q]);
}

/* ---- dpi_density_ops ---- */

static dp_status density_eval(dpi_density *d, int npoint, const double *x, unsigned what, dpi_density_value *value) {
  dp_problem *p = (dp_problem *)d;
  dp_problem_value *v = DPI_NEW_ARRAY(p->ctx, dp_problem_value, npoint + 1);
  if (!v) return DP_ERR_MEMORY;
  const unsigned ask = (what & DPI_DENSITY_GRADIENT ? DP_PROBLEM_GRADIENT : 0u) |
                       (what & DPI_DENSITY_FISHER ? DP_PROBLEM_FISHER | DP_PROBLEM_GRADIENT : 0u);
  for (int i = 0; i < npoint; i++) {
    v[i].gradient = ask ? value[i].gradient : NULL;
    v[i].fisher = what & DPI_DENSITY_FISHER ? value[i].fisher : NULL;
  }
  const dp_status st = dp_problem_eval(p, npoint, x, ask, v);
  for (int i = 0; i < npoint && st == DP_OK; i++) {
    value[i].ok = v[i].ok;
    value[i].loglik = v[i].llh;
    value[i].logprior = 0;
    if (p->has_prior)
      value[i].logprior = dpi_calib_prior(p, x + (size_t)i * (size_t)d->n, true, v[i].gradient, v[i].fisher, NULL);
    memcpy(value[i].reason, v[i].reason, sizeof value[i].reason - 1);
    value[i].reason[sizeof value[i].reason - 1] = 0;
    if (v[i].ok && !isfinite(value[i].logprior)) {
      value[i].ok = false;
      value[i].loglik = -INFINITY;
      strcpy(value[i].reason, "the prior is zero here");
    }
  }
  dpi_free(p->ctx, v);
  return st;
}

static double between(double v, double lower, double upper) { return v < lower ? lower : v > upper ? upper : v; }

static dp_status density_draw(dpi_density *d, uint64_t seed, uint64_t index, double *x) {
  const dp_problem *p = (const dp_problem *)d;
  const dpi_calib_table *t = &p->file.table[0];
  dpi_rng rng = dpi_rng_make(seed, index, RNG_PRIOR);
  for (int q = 0; q < d->n; q++) {
    const dpi_calib_param *k = &t->param[p->free[q]];
    const double u = dpi_rng_uniform(&rng);
    if (k->prior.family == DPI_PETAB_FLAT) {
      if (!isfinite(d->lower[q]) || !isfinite(d->upper[q]))
        return dpi_fail(p->ctx, DP_ERR_INPUT,
                        "%s: parameter '%s' has neither a prior nor finite bounds: nothing can be drawn", k->where,
                        k->id);
      x[q] = d->lower[q] + u * (d->upper[q] - d->lower[q]);
      continue;
    }
    const double y = dpi_petab_prior_quantile(&k->prior, u);
    const double on = k->prior.on_scale ? y : dp_problem_rescale(k->scale, dpi_petab_from_scale(k->prior.scale, y));
    x[q] = between(on, d->lower[q], d->upper[q]);
  }
  return DP_OK;
}

static dp_status density_pointwise(dpi_density *d, const double *x, double *lp, bool *ok) {
  dp_problem_value v = {.pointwise = lp};
  DP_TRY(dp_problem_eval((dp_problem *)d, 1, x, DP_PROBLEM_VALUE, &v));
  *ok = v.ok;
  return DP_OK;
}

static dp_status density_product(dpi_density *d, int npoint, const double *x, const double *v, double *product,
                                 bool *ok) {
  dp_problem *p = (dp_problem *)d;
  const size_t n = (size_t)d->n;
  dp_problem_product *out = DPI_NEW_ARRAY(p->ctx, dp_problem_product, npoint + 1);
  double *d2 = DPI_NEW_ARRAY(p->ctx, double, n + 1);
  dp_status st = out && d2 ? DP_OK : DP_ERR_MEMORY;
  for (int i = 0; i < npoint && st == DP_OK; i++) out[i].product = product + (size_t)i * n;
  if (st == DP_OK) st = dp_problem_hessian_vector(p, npoint, x, v, out);
  for (int i = 0; i < npoint && st == DP_OK; i++) {
    ok[i] = out[i].ok;
    if (!ok[i] || !p->has_prior) continue;
    dpi_calib_prior_bend(p, x + (size_t)i * n, d2);
    for (size_t q = 0; q < n; q++) product[(size_t)i * n + q] += d2[q] * v[(size_t)i * n + q];
  }
  dpi_free(p->ctx, out);
  dpi_free(p->ctx, d2);
  return st;
}

const dpi_density_ops dpi_calib_density_ops = {.eval = density_eval,
                                               .prior_draw = density_draw,
                                               .pointwise = density_pointwise,
                                               .hessian_vector = density_product};
