/* next_sample.c - "which next sample would change this": preposterior analysis on the ensemble.
 *
 * For a sample at time t: draw k of the belief plays the truth and gives a hypothetical result y = f_k + sigma_k z; the
 * other draws are reweighted by its likelihood; every candidate's probabilities and rewards are weighted sums over the
 * rehearsal that was made already, so no further simulation is needed. The advice after y is compared with the advice
 * now,
 * both judged on the screened draws with the bound that the whole ensemble would have (a belief made after y would be
 * as
 * large). (Raiffa & Schlaifer 1961: expected value of sample information.)
 *
 * Of a course only the sample that can be taken now is imagined: rehearsals of later decisions would have to begin from
 * other states, and those made would not serve. */
#include <math.h>

#include "decide/decide.h"

typedef struct sampling {
  const dp_kind *kind;
  const dpi_rehearsal *r;
  const double *limit; /* [nterm] thresholds for estimates */
  double *w;           /* [ndraw] */
} sampling;

/* Expected reward of candidate c under weights w; *ok: every limit holds. */
static double worth(const sampling *s, int c, const double *w, bool *ok) {
  int n = s->r->ndraw;
  const double *reward = s->r->total + (size_t)c * (size_t)n;
  double total = 0;
  *ok = true;
  for (int t = 0; t < s->r->nterm; t++) {
    const dpi_kind_term *term = &s->kind->reward.term[t];
    const double *v = dpi_rehearsed(s->r, c, t);
    double sum = 0;
    if (term->goal != DPI_GOAL_LIMIT) continue;
    for (int k = 0; k < n; k++)
      sum += isnan(v[k]) ? (term->at_least ? 0 : w[k]) : dpi_decide_event(term, v[k]) ? w[k] : 0;
    if (term->at_least ? !(sum >= s->limit[t]) : !(sum <= s->limit[t])) *ok = false;
  }
  for (int k = 0; k < n; k++) total += w[k] * reward[k];
  return total;
}

/* Best admissible candidate under weights w, or -1; its reward in *reward. */
static int best_under(const sampling *s, const double *w, double *reward) {
  int best = -1;
  *reward = 0;
  for (int c = 0; c < s->r->ncandidate; c++) {
    bool ok;
    double total = worth(s, c, w, &ok);
    if (!ok || (best >= 0 && total <= *reward)) continue;
    best = c;
    *reward = total;
  }
  return best;
}

/* Weights of all draws after the result y. */
static void reweight(const dpi_kind_observable *o, const double *f, const double *sigma, int n, double y, double *w) {
  double top = -INFINITY, sum = 0;
  for (int k = 0; k < n; k++) {
    double z = o->noise == DPI_NOISE_LOGNORMAL ? (y > 0 && f[k] > 0 ? (dpi_m_log(y) - dpi_m_log(f[k])) / sigma[k] : 1e9)
                                               : (y - f[k]) / sigma[k];
    w[k] = isfinite(z) && sigma[k] > 0 ? -0.5 * z * z - dpi_m_log(sigma[k]) : -INFINITY;
    if (w[k] > top) top = w[k];
  }
  for (int k = 0; k < n; k++) sum += w[k] = dpi_m_exp(w[k] - top);
  for (int k = 0; k < n; k++) w[k] /= sum;
}

/* One candidate time: average over hypothetical results. */
static void sample_value(const sampling *s, const dp_plan_patient *patient, const dp_plan_def *def, const double *f,
                         const double *sigma, int now, dp_next_sample *next) {
  const dpi_kind_observable *o = &s->kind->observable[next->observable];
  int n = s->r->ndraw, done = 0;
  uint64_t stream = patient->stream ^ dpi_hash64(o->id) ^ (uint64_t)llround(next->time * 1e6);
  dpi_rng rng = dpi_rng_make(def->seed, stream, DPI_PURPOSE_NEXT_SAMPLE);
  double changed = 0, gain = 0, advise = 0;
  for (int h = 0; h < def->nhypothetical; h++) {
    int k = (int)((int64_t)h * n / def->nhypothetical);
    double z = dpi_rng_normal(&rng);
    double y = dpi_kind_measure(o, f[k], sigma[k], z);
    if (!isfinite(y) || !(sigma[k] > 0)) continue;
    reweight(o, f, sigma, n, y, s->w);
    double reward, kept = 0;
    bool still = false;
    int then = best_under(s, s->w, &reward);
    if (now >= 0) kept = worth(s, now, s->w, &still); /* what the present advice is worth, knowing y */
    changed += then != now;
    advise += then >= 0;
    gain += reward - (still ? kept : 0);
    done++;
  }
  if (done == 0) return;
  next->change = changed / done;
  next->gain = gain / done;
  next->advise = advise / done;
}

/* Predictions of the observables at the imagined times, for the screened draws. */
static dp_status predict(const dp_kind *kind, const dp_plan_patient *patient, const dp_plan_def *def, const int *draw,
                         int ndraw, dp_result **out) {
  dp_ctx *ctx = kind->ctx;
  int nparam = dp_sim_describe(kind->sim)->nparam, nt = def->nnext_time;
  size_t nhistory = (size_t)patient->nhistory;
  double *param = DPI_NEW_ARRAY(ctx, double, (size_t)ndraw *(size_t)nparam);
  dp_instant *instant = DPI_NEW_ARRAY(ctx, dp_instant, (size_t)ndraw * nhistory + 1);
  dp_member *member = DPI_NEW_ARRAY(ctx, dp_member, ndraw);
  dp_output_time *when = DPI_NEW_ARRAY(ctx, dp_output_time, nt);
  dp_status status = DP_ERR_MEMORY;
  if (param && instant && member && when) {
    for (int t = 0; t < nt; t++)
      when[t] = (dp_output_time){(dp_time)llround(def->next_time[t] * (double)DP_TICKS), INT32_MAX};
    for (int k = 0; k < ndraw; k++) {
      double *p = param + (size_t)k * (size_t)nparam;
      dp_instant *in = instant + (size_t)k * nhistory;
      dpi_decide_relive(kind, patient, patient->belief, draw[k], p, in);
      member[k] = (dp_member){
          .param = p, .instant = in, .ninstant = patient->nhistory, .out = when, .nout = nt, .stream = patient->stream};
    }
    dp_run_opts opts = dp_run_opts_default();
    opts.seed = def->seed;
    status = dp_simulate(kind->ensemble, member, ndraw, &opts, out);
  }
  dpi_free(ctx, param);
  dpi_free(ctx, instant);
  dpi_free(ctx, member);
  dpi_free(ctx, when);
  return status;
}

/* Columns f and sigma of one output time. A discrepancy of the model blurs a sample as its error does (its marginal
 * law:
 * what the seen samples say about it is left out, so a sample is never thought to tell more than it would). */
static void columns(const dp_kind *kind, const dp_result *result, int observable, int t, const dp_belief *b,
                    const int *draw, double *f, double *sigma) {
  const dpi_kind_observable *o = &kind->observable[observable];
  for (int k = 0; k < result->nmember; k++) {
    const double *row = result->value + (result->value_at[k] + (size_t)t) * (size_t)result->noutput;
    f[k] = row[o->value_output];
    sigma[k] = row[o->sigma_output];
    if (!b->discrepancy) continue;
    double d = b->discrepancy[draw[k]] * (o->noise == DPI_NOISE_LOGNORMAL ? 1.0 : f[k]);
    sigma[k] = sqrt(sigma[k] * sigma[k] + d * d);
  }
}

dp_status dpi_decide_next(const dp_kind *kind, const dp_plan_patient *patient, const dp_plan_def *given,
                          const dpi_rehearsal *screen, const int *draw, dp_advice *advice) {
  dp_plan_def copy = *given, *def = &copy;
  dp_ctx *ctx = kind->ctx;
  int n = screen->ndraw, observable = 0;
  for (int o = 0; o < kind->nobservable; o++)
    if (kind->observable[o].primary) observable = o;
  if (def->nnext_time <= 0) return DP_OK;
  if (kind->reward.form ==
      DPI_FORM_COURSE) { /* it begins now, whatever comes later: a sample before it is one of now */
    def->next_time = &patient->now;
    def->nnext_time = 1;
  }
  double *work = DPI_NEW_ARRAY(ctx, double, 3 * (size_t)n + (size_t)kind->reward.nterm);
  advice->next = DPI_NEW_ARRAY(ctx, dp_next_sample, def->nnext_time);
  dp_result *result = NULL;
  if (!work || !advice->next) {
    dpi_free(ctx, work);
    return DP_ERR_MEMORY;
  }
  double *f = work, *sigma = work + n, *w = work + 2 * n, *limit = work + 3 * n;
  dp_status status = predict(kind, patient, def, draw, n, &result);
  if (status == DP_OK) {
    double neff = dpi_decide_effective(patient->belief, patient->belief->ndraw), reward_now;
    for (int t = 0; t < kind->reward.nterm; t++)
      if (kind->reward.term[t].goal == DPI_GOAL_LIMIT)
        limit[t] = dpi_decide_threshold(&kind->reward.term[t], neff, kind->reward.confidence);
    sampling s = {kind, screen, limit, w};
    for (int k = 0; k < n; k++) w[k] = 1.0 / n;
    int now = best_under(&s, w, &reward_now);
    advice->nnext = def->nnext_time;
    for (int t = 0; t < def->nnext_time; t++) {
      advice->next[t] = (dp_next_sample){.time = def->next_time[t], .observable = observable};
      columns(kind, result, observable, t, patient->belief, draw, f, sigma);
      sample_value(&s, patient, def, f, sigma, now, &advice->next[t]);
    }
  }
  dp_result_destroy(result);
  dpi_free(ctx, work);
  return status;
}
