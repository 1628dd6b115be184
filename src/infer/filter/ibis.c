/* ibis.c - floor 6, folder filter: iterated batch importance sampling for processes without noise.
 *
 * One run has all particles as members. A time's likelihood enters at once when enough particles stay effective;
 * else in
 * powers (as tempering between two posteriors), with moves between them. Moves ask for the likelihood of all
 * readings so
 * far: one batch from the start for each sweep.
 */
#include <math.h>
#include <string.h>

#include "infer/filter/statics_impl.h"

#define STEPS_MOST 200

/* All particles at x [n x dim] as members at the start. */
static dp_status open_run(dpi_statics *s, const double *x, dpi_filter **out) {
  size_t np = (size_t)s->problem.process->nparam;
  double *param = DPI_NEW_ARRAY(s->ctx, double, (size_t)s->n *np + 1);
  *out = NULL;
  if (!param) return DP_ERR_MEMORY;
  for (int i = 0; i < s->n; i++) dpi_statics_param(s, x + (size_t)i * (size_t)s->dim, param + (size_t)i * np);
  dpi_filter_def def = dpi_filter_def_default();
  def.seed = s->def.seed;
  def.method = DPI_FILTER_BOOTSTRAP;
  def.n = s->n;
  def.param = param;
  def.ncheckpoint = 0;
  dp_status status = dpi_filter_create(&s->problem, &def, out);
  dpi_free(s->ctx, param);
  return status;
}

/* Through the readings [from, to) by their times: sums in past [n] of those before `last_from`, in last of the rest. */
static dp_status go(dpi_statics *s, dpi_filter *run, int from, int to, int last_from, double *past, double *last) {
  for (int k = from; k < to;) {
    const dpi_reading *r = s->reading + k;
    int n = 1;
    while (k + n < to && r[n].time == r->time) n++;
    DP_TRY(dpi_particle_likelihood(run, run->now, r, n, k < last_from ? past : last));
    k += n;
  }
  return DP_OK;
}

/* From the start to the end of the readings of this time. */
static dp_status whole(dpi_statics *s, const double *x, int first, int n, double *past, double *last,
                       dpi_filter **keep) {
  dpi_filter *run;
  DP_TRY(open_run(s, x, &run));
  memset(past, 0, (size_t)s->n * sizeof(double));
  memset(last, 0, (size_t)s->n * sizeof(double));
  dp_status status = go(s, run, 0, first + n, first, past, last);
  s->report.nrun += s->n;
  if (status == DP_OK && keep)
    *keep = run;
  else
    dpi_filter_destroy(run);
  return status;
}

dp_status dpi_ibis_begin(dpi_statics *s) { return whole(s, s->x, s->nreading, 0, s->past, s->last, &s->run); }

/* Effective number after a further power of the likelihood; the weights go into `to` unless it is NULL. */
static double effective(const dpi_statics *s, double power, double *to, double *gained) {
  double top = -INFINITY, sum = 0, sum2 = 0;
  for (int i = 0; i < s->n; i++)
    if (s->weight[i] > 0) top = fmax(top, s->last[i]);
  if (!isfinite(top)) return 0;
  for (int i = 0; i < s->n; i++) {
    double w = s->weight[i] > 0 ? s->weight[i] * dpi_m_exp(power * (s->last[i] - top)) : 0;
    sum += w;
    sum2 += w * w;
    if (to) to[i] = w;
  }
  for (int i = 0; to && i < s->n; i++) to[i] /= sum;
  if (gained) *gained = power * top + dpi_m_log(sum);
  return sum * sum / sum2;
}

/* Largest power up to `rest` that leaves enough effective particles. */
static double next_power(const dpi_statics *s, double rest) {
  double wanted = s->def.ess * s->n, low = 0, high = rest;
  if (effective(s, rest, NULL, NULL) >= wanted) return rest;
  for (int k = 0; k < 50; k++) {
    double mid = 0.5 * (low + high);
    if (effective(s, mid, NULL, NULL) >= wanted)
      low = mid;
    else
      high = mid;
  }
  return low > 0 ? low : high * 1e-3; /* few were effective before: resampling comes next */
}

static void pick(const dpi_statics *s, double *x) {
  memcpy(s->next_last, x, (size_t)s->n * sizeof(double));
  for (int i = 0; i < s->n; i++) x[i] = s->next_last[s->index[i]];
}

/* One sweep of moves under prior x past x last^power. */
static dp_status sweep(dpi_statics *s, int first, int n, double power, uint64_t key, int k) {
  size_t d = (size_t)s->dim;
  int naccept = 0;
  dpi_statics_propose(s, key, k);
  DP_TRY(whole(s, s->next_x, first, n, s->next_past, s->next_last, NULL));
  for (int i = 0; i < s->n; i++) {
    double now = s->logprior[i] + s->past[i] + power * s->last[i];
    double next = s->next_prior[i] + s->next_past[i] + power * s->next_last[i];
    if (!isfinite(next) || !dpi_statics_accept(s, key, k, i, next - now + s->ratio[i])) continue;
    naccept++;
    memcpy(s->x + (size_t)i * d, s->next_x + (size_t)i * d, d * sizeof(double));
    s->logprior[i] = s->next_prior[i];
    s->past[i] = s->next_past[i];
    s->last[i] = s->next_last[i];
  }
  s->report.accept = (double)naccept / s->n;
  s->report.nsweep++;
  return DP_OK;
}

static dp_status rejuvenate(dpi_statics *s, int first, int n, double power) {
  uint64_t key = s->count++;
  dpi_statics_resample(s, key);
  pick(s, s->past);
  pick(s, s->last);
  for (int k = 0; k < s->def.max_move; k++) {
    DP_TRY(sweep(s, first, n, power, key, k));
    s->report.correlation = dpi_statics_correlation(s);
    if (k >= 1 && s->report.correlation < s->def.correlation) break;
  }
  dpi_statics_moved(s);
  dpi_filter_destroy(s->run); /* its members are elsewhere now */
  s->run = NULL;
  return DP_OK;
}

dp_status dpi_ibis_step(dpi_statics *s, int first, int n, double *gained) {
  double power = 0, more = 0;
  *gained = 0;
  if (s->run) {
    memset(s->last, 0, (size_t)s->n * sizeof(double));
    DP_TRY(go(s, s->run, first, first + n, first, s->past, s->last));
  } else {
    DP_TRY(whole(s, s->x, first, n, s->past, s->last, &s->run));
  }
  for (int k = 0; power < 1 && k < STEPS_MOST; k++) {
    double step = next_power(s, 1 - power);
    double ess = effective(s, step, s->weight, &more);
    if (ess == 0) {
      *gained = -INFINITY;
      s->lost = true;
      break;
    }
    *gained += more;
    power = step == 1 - power ? 1 : power + step;
    s->report.ess_least = fmin(s->report.ess_least, ess);
    if (power < 1) DP_TRY(rejuvenate(s, first, n, power));
  }
  if (power < 1) s->lost = true;
  for (int i = 0; i < s->n; i++) s->past[i] += s->last[i];
  return DP_OK;
}
