/* model_error.c - the model-discrepancy term of a forecast: what the seen samples say about it, and how wide it leaves the rest.
 *
 * For one draw with discrepancy sd delta, the residuals of an observable's seen samples are r = d + e with
 *     cov(d_i, d_j) = delta^2 u_i u_j exp(-|t_i - t_j| / tau),   var(e_i) = s_i^2,   u = f (1 on the log scale)
 * the law under which the belief was made (src/infer/discrepancy.c; Kennedy & O'Hagan 2001, J R Stat Soc B 63:425). At
 * another time, with K = cov(r) and c = cov(d*, r):
 *     mean = c' K^-1 r        variance = delta^2 u*^2 - c' K^-1 c
 * Forecasts and scores are about single times, so these two numbers are all of it and nothing more is drawn. Censored samples
 * are left out, as they are when the belief is made. */
#include <math.h>

#include "twin/twin_impl.h"

typedef struct error_work {
  int *at;    /* [nobs] seen samples of the observable */
  double *k;  /* [nobs x nobs] K, then its Cholesky factor */
  double *r;  /* [nobs] residuals, then K^-1 r */
  double *c;  /* [nobs] */
  double *f;  /* [nobs] predictions at the samples */
  int n;
} error_work;

static void work_release(dp_ctx *ctx, error_work *w) {
  dpi_free(ctx, w->at);
  dpi_free(ctx, w->k);
  dpi_free(ctx, w->r);
  dpi_free(ctx, w->c);
  dpi_free(ctx, w->f);
}

static dp_status work_create(dp_ctx *ctx, int nobs, error_work *w) {
  size_t n = (size_t)nobs + 1;
  *w = (error_work){.at = DPI_NEW_ARRAY(ctx, int, n), .k = DPI_NEW_ARRAY(ctx, double, n *n),
                    .r = DPI_NEW_ARRAY(ctx, double, n), .c = DPI_NEW_ARRAY(ctx, double, n),
                    .f = DPI_NEW_ARRAY(ctx, double, n)};
  if (w->at && w->k && w->r && w->c && w->f) return DP_OK;
  work_release(ctx, w);
  return DP_ERR_MEMORY;
}

static const double *row_of(const dpi_prediction *p, int draw, int row) {
  return p->result->value + (p->result->value_at[draw] + (size_t)row) * (size_t)p->result->noutput;
}

static double correlation(double t1, double t2, double tau) { return dpi_m_exp(-fabs(t1 - t2) / tau); }

/* K's factor and K^-1 r for one draw; false when K is not positive definite. */
static bool condition(const dp_twin *t, const dpi_prediction *p, int draw, const dpi_kind_observable *o, double delta,
                      error_work *w) {
  bool logs = o->noise == DPI_NOISE_LOGNORMAL;
  double tau = t->kind->discrepancy_timescale;
  for (int i = 0; i < w->n; i++) {
    const dp_seen *s = &t->seen[w->at[i]];
    const double *v = row_of(p, draw, t->obs_row[w->at[i]]);
    double sigma = v[o->sigma_output];
    w->f[i] = logs ? 1.0 : v[o->value_output];
    w->r[i] = logs ? dpi_m_log(s->value) - dpi_m_log(v[o->value_output]) : s->value - v[o->value_output];
    for (int j = 0; j <= i; j++)
      w->k[i * w->n + j] = delta * delta * w->f[i] * w->f[j] * correlation(s->time, t->seen[w->at[j]].time, tau);
    w->k[i * w->n + i] += sigma * sigma;
  }
  if (!dpi_chol(w->k, w->n)) return false;
  dpi_chol_solve(w->k, w->n, w->r);
  return true;
}

/* Mean and variance of the discrepancy at one time. */
static void at_time(const dp_twin *t, double time, double u, double delta, error_work *w, double *mean, double *var) {
  *mean = 0;
  for (int i = 0; i < w->n; i++) {
    const dp_seen *s = &t->seen[w->at[i]];
    w->c[i] = delta * delta * u * w->f[i] * correlation(time, s->time, t->kind->discrepancy_timescale);
    *mean += w->c[i] * w->r[i];
  }
  dpi_tri_solve_lower(w->k, w->n, w->c);
  *var = delta * delta * u * u;
  for (int i = 0; i < w->n; i++) *var -= w->c[i] * w->c[i];
  if (*var < 0) *var = 0; /* rounding, at a sample without error */
}

static void fill(const dp_twin *t, const dp_belief *b, int observable, error_work *w, dpi_prediction *p) {
  const dpi_kind_observable *o = &t->kind->observable[observable];
  size_t no = (size_t)t->kind->nobservable;
  for (int k = 0; k < b->ndraw; k++) {
    bool good = condition(t, p, k, o, b->discrepancy[k], w);
    for (int row = 0; row < p->ntime; row++) {
      size_t at = ((size_t)k * (size_t)p->ntime + (size_t)row) * no + (size_t)observable;
      double u = o->noise == DPI_NOISE_LOGNORMAL ? 1.0 : row_of(p, k, row)[o->value_output];
      p->shift[at] = p->extra[at] = NAN; /* such a draw is left out of every quantile */
      if (good)
        at_time(t, (double)t->when[row].time / (double)DP_TICKS, u, b->discrepancy[k], w, &p->shift[at], &p->extra[at]);
    }
  }
}

dp_status dpi_twin_discrepancy(const dp_twin *t, const dp_belief *b, int nseen, dpi_prediction *p) {
  if (!b->discrepancy) return DP_OK;
  size_t n = (size_t)b->ndraw * (size_t)p->ntime * (size_t)t->kind->nobservable;
  error_work w;
  p->shift = DPI_NEW_ARRAY(t->ctx, double, n + 1);
  p->extra = DPI_NEW_ARRAY(t->ctx, double, n + 1);
  if (!p->shift || !p->extra) return DP_ERR_MEMORY;
  DP_TRY(work_create(t->ctx, nseen, &w));
  for (int o = 0; o < t->kind->nobservable; o++) {
    w.n = 0;
    for (int i = 0; i < nseen; i++)
      if (t->seen[i].observable == o && !t->seen[i].censored) w.at[w.n++] = i;
    fill(t, b, o, &w, p);
  }
  work_release(t->ctx, &w);
  return DP_OK;
}
