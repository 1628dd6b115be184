/* forecast.c - Q: what later samples will show. The belief's draws (and the prior's, for the fair opponent) are simulated
 * under the doses of the record; a measurement is (prediction + discrepancy) + residual error (model_error.c). */
#include <math.h>
#include <string.h>

#include "twin/twin_impl.h"

static int by_when(const dp_output_time *a, const dp_output_time *b) {
  if (a->time != b->time) return a->time < b->time ? -1 : 1;
  return a->order < b->order ? -1 : a->order > b->order;
}

/* Merge the fan's times with the rows of the case's observations (both ascending). */
static dp_status layout(dp_twin *t) {
  const dpi_case *c = t->c;
  int nfan = t->def.nfan, f = 0, r = 0;
  t->fan_time = DPI_NEW_ARRAY(t->ctx, double, nfan);
  t->fan_row = DPI_NEW_ARRAY(t->ctx, int, nfan);
  t->obs_row = DPI_NEW_ARRAY(t->ctx, int, c->nobs + 1);
  t->when = DPI_NEW_ARRAY(t->ctx, dp_output_time, nfan + c->nout);
  int *row_of_out = DPI_NEW_ARRAY(t->ctx, int, c->nout + 1);
  if (!t->fan_time || !t->fan_row || !t->obs_row || !t->when || !row_of_out) {
    dpi_free(t->ctx, row_of_out);
    return DP_ERR_MEMORY;
  }
  double end = c->last_time > 0 ? c->last_time : t->kind->horizon;
  if (!(end > 0)) end = 1.0;
  while (f < nfan || r < c->nout) {
    /* denser early, where curves bend: t = end * u^1.6 */
    double u = (double)f / (nfan - 1);
    double time = f < nfan ? end * dpi_m_pow(u, 1.6) : 0;
    dp_output_time a = {(dp_time)llround(time * (double)DP_TICKS), INT32_MAX};
    if (r >= c->nout || (f < nfan && by_when(&a, &c->out[r]) < 0)) {
      t->fan_time[f] = (double)a.time / (double)DP_TICKS;
      t->fan_row[f++] = t->nwhen;
      t->when[t->nwhen++] = a;
    } else {
      row_of_out[r] = t->nwhen;
      t->when[t->nwhen++] = c->out[r++];
    }
  }
  for (int i = 0; i < c->nobs; i++) t->obs_row[i] = row_of_out[c->obs[i].row];
  dpi_free(t->ctx, row_of_out);
  return DP_OK;
}

/* Simulate every draw of a belief at t->when; nseen: samples that the belief knows. */
static dp_status predict(dp_twin *t, const dp_belief *b, int nseen, dpi_prediction *out) {
  const dpi_case *c = t->c;
  size_t nparam = (size_t)dp_sim_describe(t->kind->sim)->nparam, nin = (size_t)c->ninstant;
  size_t own = c->noccasion > 1 ? (size_t)b->ndraw : 1; /* instants differ between draws only through occasions */
  double *param = DPI_NEW_ARRAY(t->ctx, double, nparam *(size_t)b->ndraw);
  dp_instant *instant = DPI_NEW_ARRAY(t->ctx, dp_instant, nin *own + 1);
  dp_member *member = DPI_NEW_ARRAY(t->ctx, dp_member, b->ndraw);
  dp_status status = DP_ERR_MEMORY;
  if (param && instant && member) {
    for (int k = 0; k < b->ndraw; k++) {
      double *p = param + nparam * (size_t)k;
      dp_instant *in = own > 1 ? instant + nin * (size_t)k : instant;
      dpi_case_apply(c, t->prior->typical, b->eta + (size_t)k * (size_t)b->neta, p, in);
      dpi_case_undirect(in, c->ninstant); /* no derivatives are asked for here */
      member[k] = (dp_member){.param = p, .instant = in, .ninstant = c->ninstant, .out = t->when, .nout = t->nwhen,
                              .stream = c->stream};
    }
    dp_run_opts opts = dp_run_opts_default();
    opts.seed = t->def.seed;
    out->ntime = t->nwhen;
    status = dp_simulate(t->kind->ensemble, member, b->ndraw, &opts, &out->result);
  }
  dpi_free(t->ctx, param);
  dpi_free(t->ctx, instant);
  dpi_free(t->ctx, member);
  return status == DP_OK ? dpi_twin_discrepancy(t, b, nseen, out) : status;
}

void dpi_prediction_release(dp_ctx *ctx, dpi_prediction *p) {
  dp_result_destroy(p->result);
  dpi_free(ctx, p->shift);
  dpi_free(ctx, p->extra);
  *p = (dpi_prediction){0};
}

void dpi_twin_predicted(const dp_twin *t, const dpi_prediction *p, int draw, int row, int observable, double *f,
                        double *sigma) {
  const dpi_kind_observable *o = &t->kind->observable[observable];
  const double *v = p->result->value + (p->result->value_at[draw] + (size_t)row) * (size_t)p->result->noutput;
  *f = v[o->value_output];
  *sigma = v[o->sigma_output];
  if (!p->shift) return;
  size_t at = ((size_t)draw * (size_t)p->ntime + (size_t)row) * (size_t)t->kind->nobservable + (size_t)observable;
  *f = o->noise == DPI_NOISE_LOGNORMAL ? *f * dpi_m_exp(p->shift[at]) : *f + p->shift[at];
  *sigma = sqrt(*sigma * *sigma + p->extra[at]);
}

int dpi_twin_measured(const dp_twin *t, const dpi_prediction *p, const dp_belief *b, int row, int observable, int nrep,
                      double *y) {
  const dpi_kind_observable *o = &t->kind->observable[observable];
  dpi_rng rng = dpi_rng_make(t->def.seed, t->c->stream + (uint64_t)observable, DPI_PURPOSE_NOISE);
  int n = 0;
  for (int k = 0; k < b->ndraw; k++)
    for (int r = 0; r < nrep; r++) {
      double f, sigma, u = dpi_rng_uniform(&rng);
      /* replicate r of a draw takes its noise from the r-th stratum: less Monte Carlo error at the same cost */
      double z = dpi_norm_quantile((r + u) / nrep);
      dpi_twin_predicted(t, p, k, row, observable, &f, &sigma);
      double v = dpi_kind_measure(o, f, sigma, z);
      if (isfinite(v)) y[n++] = v;
    }
  return n;
}

/* Quantiles over the fan's times for each observable. */
static dp_status fans(dp_twin *t, const dpi_prediction *p, const dp_belief *b, dp_fan **out) {
  int nobs = t->kind->nobservable;
  dp_fan *fan = *out = DPI_NEW_ARRAY(t->ctx, dp_fan, nobs);
  double *y = DPI_NEW_ARRAY(t->ctx, double, b->ndraw);
  dp_status status = fan && y ? DP_OK : DP_ERR_MEMORY;
  for (int o = 0; status == DP_OK && o < nobs; o++) {
    fan[o] = (dp_fan){.observable = o, .ntime = t->def.nfan, .time = t->fan_time};
    fan[o].q = DPI_NEW_ARRAY(t->ctx, double, DP_NLEVEL * t->def.nfan);
    if (!fan[o].q) status = DP_ERR_MEMORY;
    for (int i = 0; status == DP_OK && i < t->def.nfan; i++) {
      int n = dpi_twin_measured(t, p, b, t->fan_row[i], o, 1, y);
      dpi_sort(y, n);
      for (int l = 0; l < DP_NLEVEL; l++)
        fan[o].q[i * DP_NLEVEL + l] = n > 1 ? dpi_quantile_weighted(y, NULL, n, dp_level[l], NULL) : NAN;
    }
  }
  dpi_free(t->ctx, y);
  return status;
}

dp_status dpi_twin_forecast(dp_twin *t) {
  double begin = dpi_clock_s();
  DP_TRY(layout(t));
  DP_TRY(predict(t, t->belief, t->view.nseen, &t->ahead));
  DP_TRY(fans(t, &t->ahead, t->belief, &t->fan));
  if (t->before) {
    DP_TRY(predict(t, t->before, 0, &t->population));
    DP_TRY(fans(t, &t->population, t->before, &t->fan_population));
  }
  t->view.nfan = t->kind->nobservable;
  t->view.fan = t->fan;
  t->view.population = t->fan_population;
  t->view.seconds[1] = dpi_clock_s() - begin;
  return DP_OK;
}
