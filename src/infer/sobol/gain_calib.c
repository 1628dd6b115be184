/* gain_calib.c - floor 6, inside infer/sobol: which measurement would narrow a forecast of a calibration problem most.
 * D -> Q
 *
 * The forecast and each candidate are problems of their own with the same parameters (infer/petab/calib_predict.c):
 * evaluated at all draws as one batch each; what the figures mean and how they are made stands in gain.c.
 */
#include <math.h>
#include <string.h>

#include "doppel/gain.h"
#include "infer/petab/calib.h"

static const double LN_10 = 2.3025850929940456840;
#define CHUNK 1024 /* draws of one batch */

typedef struct asking {
  dp_problem *p;
  dp_ctx *ctx;
  const double *x;
  int ndraw, n;
  double *weight, *forecast, *predicted, *sd; /* [ndraw] of the draws that have a forecast */
  double *f, *s;                              /* [ndraw] of all: NaN where a draw failed */
  int *which;                                 /* [ndraw] draws that have a forecast */
} asking;

/* The quantity at all draws, into a->f and a->s; its noise. */
static dp_status simulate(asking *a, const dp_problem_quantity *q, bool measured, dpi_noise *noise) {
  const dpi_calib_asked asked = {q->name, q->formula, q->experiment, q->time, measured};
  dp_problem *one = NULL;
  DP_TRY(dpi_calib_predict(a->p, &asked, &one));
  *noise = one->file.table[0].observable[0].distribution;
  dp_problem_value *v = DPI_NEW_ARRAY(a->ctx, dp_problem_value, CHUNK);
  dp_status status = v ? DP_OK : DP_ERR_MEMORY;
  for (int from = 0; from < a->ndraw && status == DP_OK; from += CHUNK) {
    const int m = a->ndraw - from < CHUNK ? a->ndraw - from : CHUNK;
    for (int i = 0; i < m; i++) v[i] = (dp_problem_value){.simulation = a->f + from + i, .sigma = a->s + from + i};
    status = dp_problem_eval(one, m, a->x + (size_t)from * (size_t)a->n, DP_PROBLEM_VALUE, v);
    for (int i = 0; i < m && status == DP_OK; i++)
      if (!v[i].ok) a->f[from + i] = a->s[from + i] = NAN;
  }
  dpi_free(a->ctx, v);
  dp_problem_close(one);
  return status;
}

/* Draws that have a forecast, and its moments. */
static void keep_forecast(asking *a, dp_gain_outlook *out) {
  int n = 0;
  double square = 0;
  *out = (dp_gain_outlook){.ndraw = a->ndraw};
  for (int k = 0; k < a->ndraw; k++) {
    if (!isfinite(a->f[k])) continue;
    a->which[n] = k;
    a->weight[n] = 1;
    a->forecast[n++] = a->f[k];
    out->mean += a->f[k];
  }
  out->nfailed = a->ndraw - n;
  out->mean /= n;
  for (int i = 0; i < n; i++) square += (a->forecast[i] - out->mean) * (a->forecast[i] - out->mean);
  out->sd = sqrt(square / n);
}

static dp_status one_gain(asking *a, const dp_problem_quantity *q, const dp_gain_outlook *outlook, uint64_t seed,
                          dp_gain *gain) {
  dpi_noise noise;
  dp_gain_def def = dp_gain_def_default();
  DP_TRY(simulate(a, q, true, &noise));
  if (noise > DPI_NOISE_LOG10_NORMAL)
    return dpi_fail(
        a->ctx, DP_ERR_UNSUPPORTED,
        "candidate '%s': its noise is %s; gains are offered for normal noise, of the value or its logarithm", q->name,
        dpi_noise_name(noise));
  def.ndraw = outlook->ndraw - outlook->nfailed;
  def.weight = a->weight;
  def.forecast = a->forecast;
  def.nmeasure = 1;
  def.predicted = a->predicted;
  def.sd = a->sd;
  def.lognormal = noise != DPI_NOISE_NORMAL;
  def.seed = seed;
  for (int i = 0; i < def.ndraw; i++) {
    const double f = a->f[a->which[i]], s = a->s[a->which[i]] * (noise == DPI_NOISE_LOG10_NORMAL ? LN_10 : 1);
    const bool good = isfinite(f) && s > 0 && isfinite(s); /* else the draw is left out for this one */
    a->predicted[i] = good ? f : NAN;
    a->sd[i] = good ? s : 1;
  }
  return dp_gain_of(a->ctx, &def, gain);
}

static dp_status run(asking *a, const dp_problem_quantity *forecast, const dp_problem_quantity *candidate,
                     int ncandidate, uint64_t seed, dp_gain_outlook *outlook, dp_gain *gain) {
  dpi_noise noise;
  DP_TRY(simulate(a, forecast, false, &noise));
  keep_forecast(a, outlook);
  if (outlook->nfailed == outlook->ndraw)
    return dpi_fail(a->ctx, DP_ERR_INPUT, "%s: the forecast '%s' can't be simulated for any of the %d draws",
                    a->p->desc.name, forecast->name, a->ndraw);
  for (int c = 0; c < ncandidate; c++) DP_TRY(one_gain(a, &candidate[c], outlook, seed, &gain[c]));
  return DP_OK;
}

dp_status dp_gain_problem(dp_problem *problem, const double *x, int ndraw, const dp_problem_quantity *forecast,
                          const dp_problem_quantity *candidate, int ncandidate, uint64_t seed, dp_gain_outlook *outlook,
                          dp_gain *gain) {
  const dp_problem *whole = problem->full ? problem->full : problem;
  asking a = {.p = problem, .ctx = problem->ctx, .x = x, .ndraw = ndraw, .n = whole->desc.nparam};
  if (ncandidate < 1 || ncandidate > 100000 || ndraw < 1)
    return dpi_fail(a.ctx, DP_ERR_USAGE, "information gain: %d candidates, expected 1 to 100000; %d draws", ncandidate,
                    ndraw);
  const size_t n = (size_t)ndraw;
  double *block = DPI_NEW_ARRAY(a.ctx, double, 6 * n);
  a.which = DPI_NEW_ARRAY(a.ctx, int, n);
  dp_status status = block && a.which ? DP_OK : DP_ERR_MEMORY;
  if (status == DP_OK) {
    double **to[6] = {&a.weight, &a.forecast, &a.predicted, &a.sd, &a.f, &a.s};
    for (int i = 0; i < 6; i++) *to[i] = block + (size_t)i * n;
    status = run(&a, forecast, candidate, ncandidate, seed, outlook, gain);
  }
  dpi_free(a.ctx, block);
  dpi_free(a.ctx, a.which);
  return status;
}
