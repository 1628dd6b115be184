/* twin.c - a twin's life, and its first two steps: observe and assimilate. */
#include <math.h>
#include <string.h>

#include "twin/twin_impl.h"

#define COOKIE 0x5457494eu
#define NEXT_RESULTS 24 /* imagined of a next sample: a study decides again and again (dp_plan_def) */

const double dp_level[DP_NLEVEL] = {.025, .05, .10, .25, .50, .75, .90, .95, .975};

dp_twin_def dp_twin_def_default(void) {
  return (dp_twin_def){.cookie = COOKIE, .seed = 20240229, .until = NAN, .ndraw = 1000, .nproposal = 1300, .nfan = 37,
                       .discrepancy = -1, .decide = 1, .opponent = 1};
}

dp_status dp_twin_create(const dp_kind *kind, const dp_record *record, int subject, const dp_prior *prior,
                         const dp_twin_def *def, dp_twin **out) {
  *out = NULL;
  if (def->cookie != COOKIE) return dpi_fail(kind->ctx, DP_ERR_USAGE, "dp_twin_def not from dp_twin_def_default");
  if (def->nfan < 2 || def->ndraw < 2)
    return dpi_fail(kind->ctx, DP_ERR_USAGE, "a twin needs at least 2 draws and 2 points of a fan, got %d and %d",
                    def->ndraw, def->nfan);
  if (subject < 0 || subject >= record->nsubject)
    return dpi_fail(kind->ctx, DP_ERR_USAGE, "%s: subject %d, but it has %d", record->source, subject,
                    record->nsubject);
  dp_twin *t = DPI_NEW(kind->ctx, dp_twin);
  if (!t) return DP_ERR_MEMORY;
  *t = (dp_twin){.ctx = kind->ctx, .kind = kind, .record = record, .prior = prior, .def = *def, .subject = subject};
  t->until = isnan(def->until) ? kind->until : def->until;
  t->view.subject = record->subject[subject].id;
  dp_status status = dpi_case_create(kind, record, subject, &t->c);
  if (status != DP_OK) {
    dp_twin_destroy(t);
    return status;
  }
  *out = t;
  return DP_OK;
}

static void fans_release(dp_twin *t, dp_fan *fan) {
  for (int o = 0; fan && o < t->kind->nobservable; o++) dpi_free(t->ctx, fan[o].q);
  dpi_free(t->ctx, fan);
}

/* Free what steps made, so that a twin can step again. */
static void clear(dp_twin *t) {
  dpi_free(t->ctx, t->seen);
  dpi_free(t->ctx, t->dose_time);
  dpi_free(t->ctx, t->dose_amount);
  dp_belief_destroy(t->belief);
  dp_belief_destroy(t->before);
  dp_belief_destroy(t->fresh);
  dpi_free(t->ctx, t->fan_time);
  dpi_free(t->ctx, t->when);
  dpi_free(t->ctx, t->fan_row);
  dpi_free(t->ctx, t->obs_row);
  dpi_prediction_release(t->ctx, &t->ahead);
  dpi_prediction_release(t->ctx, &t->population);
  fans_release(t, t->fan);
  fans_release(t, t->fan_population);
  dpi_free(t->ctx, t->score);
  dp_advice_destroy(t->advice);
  dp_twin kept = *t;
  *t = (dp_twin){.ctx = kept.ctx, .kind = kept.kind, .record = kept.record, .prior = kept.prior, .def = kept.def,
                 .subject = kept.subject, .c = kept.c, .until = kept.until};
  t->view.subject = kept.view.subject;
}

void dp_twin_destroy(dp_twin *t) {
  if (!t) return;
  clear(t);
  dpi_case_destroy(t->c);
  dpi_free(t->ctx, t);
}

const dp_twin_view *dp_twin_look(const dp_twin *t) { return &t->view; }

/* ---- O ---- */

static dp_status list_doses(dp_twin *t) {
  const dp_subject *s = &t->record->subject[t->subject];
  t->dose_time = DPI_NEW_ARRAY(t->ctx, double, s->nevent + 1);
  t->dose_amount = DPI_NEW_ARRAY(t->ctx, double, s->nevent + 1);
  if (!t->dose_time || !t->dose_amount) return DP_ERR_MEMORY;
  int n = 0;
  for (int i = 0; i < s->nevent; i++) {
    if (s->event[i].evid != 1 && s->event[i].evid != 4) continue;
    t->dose_time[n] = (double)s->event[i].time / (double)DP_TICKS;
    t->dose_amount[n++] = s->event[i].amount;
  }
  t->view.ndose = n;
  t->view.dose_time = t->dose_time;
  t->view.dose_amount = t->dose_amount;
  return DP_OK;
}

/* The person's samples, those later than `until` marked as sealed. */
dp_status dpi_twin_observe(dp_twin *t) {
  clear(t);
  const dpi_case *c = t->c;
  t->seen = DPI_NEW_ARRAY(t->ctx, dp_seen, c->nobs + 1);
  if (!t->seen) return DP_ERR_MEMORY;
  int nseen = dpi_case_seen(c, t->until);
  for (int i = 0; i < c->nobs; i++) {
    const dpi_case_obs *o = &c->obs[i];
    t->seen[i] = (dp_seen){.time = o->time, .value = o->value, .limit = o->limit, .observable = o->observable,
                           .censored = o->censored, .line = o->line, .sealed = i >= nseen};
  }
  t->view.until = t->until;
  t->view.seen = t->seen;
  t->view.nseen = nseen;
  t->view.nsealed = c->nobs - nseen;
  return list_doses(t);
}

/* ---- D ---- */

static dp_status believe(dp_twin *t, double until, uint64_t seed, dp_belief **out) {
  dp_assimilate_def def = dp_assimilate_def_default();
  def.seed = seed;
  def.ndraw = t->def.ndraw;
  def.nproposal = t->def.nproposal;
  def.discrepancy = t->def.discrepancy;
  return dp_assimilate(t->kind, t->record, t->subject, until, t->prior, &def, out);
}

dp_status dpi_twin_assimilate(dp_twin *t) {
  double begin = dpi_clock_s();
  if (t->def.opponent) DP_TRY(believe(t, -1.0, t->def.seed, &t->before)); /* before any sample */
  DP_TRY(believe(t, t->until, t->def.seed, &t->belief));
  if (t->def.decide && t->kind->reward.given) DP_TRY(believe(t, t->until, t->def.seed + 1, &t->fresh));
  t->view.prior = t->prior;
  t->view.belief = t->belief;
  t->view.before = t->before;
  t->view.seconds[0] = dpi_clock_s() - begin;
  return DP_OK;
}

/* ---- R, U ---- */

/* Times at which another sample could still be taken: spread over what remains of the record, rounded to be sayable. */
static int next_times(const dp_twin *t, double out[6]) {
  static const double part[6] = {0.08, 0.2, 0.35, 0.5, 0.75, 1.0};
  double from = t->until > 0 ? t->until : 0.0, to = t->c->last_time;
  if (t->kind->horizon > to) to = t->kind->horizon;
  int n = 0;
  for (int i = 0; i < 6 && to > from; i++) {
    double x = from + part[i] * (to - from);
    double unit = x < 1 ? 0.1 : x < 10 ? 0.5 : 1.0;
    x = ceil(x / unit - 1e-9) * unit;
    if (x > from && (n == 0 || x > out[n - 1])) out[n++] = x;
  }
  return n;
}

dp_status dpi_twin_decide(dp_twin *t) {
  if (!t->def.decide || !t->kind->reward.given) return DP_OK;
  double begin = dpi_clock_s(), next[6];
  int nparam = dp_sim_describe(t->kind->sim)->nparam;
  double *param = DPI_NEW_ARRAY(t->ctx, double, nparam);
  double *zero = DPI_NEW_ARRAY(t->ctx, double, t->c->neta + 1);
  dp_instant *history = DPI_NEW_ARRAY(t->ctx, dp_instant, t->c->ninstant + 1);
  dp_status status = DP_ERR_MEMORY;
  if (param && zero && history) {
    dpi_case_apply(t->c, t->prior->typical, zero, param, history);
    dp_plan_patient patient = {.param = param, .eta_effect = t->c->eta_effect, .history = history,
                               .nhistory = t->c->ninstant, .now = t->until, .stream = t->c->stream,
                               .belief = t->belief, .fresh = t->fresh};
    dp_plan_def def = dp_plan_def_default();
    def.seed = t->def.seed;
    def.next_time = next;
    def.nnext_time = next_times(t, next);
    def.next_one = 1;
    def.nhypothetical = NEXT_RESULTS;
    status = dp_plan_search(t->kind, &patient, &def, &t->advice);
    t->view.advice = t->advice;
  }
  dpi_free(t->ctx, param);
  dpi_free(t->ctx, zero);
  dpi_free(t->ctx, history);
  t->view.seconds[3] = dpi_clock_s() - begin;
  return status;
}

/* ---- audit ---- */

static void hash_fan(dpi_sha256 *h, const dp_twin *t, const dp_fan *fan) {
  for (int o = 0; fan && o < t->kind->nobservable; o++)
    dpi_sha256_add(h, fan[o].q, sizeof(double) * DP_NLEVEL * (size_t)fan[o].ntime);
}

static void hash_terms(dpi_sha256 *h, const dp_term_value *term, int n) {
  for (int k = 0; term && k < n; k++) {
    double v[4] = {term[k].value, term[k].low, term[k].high, term[k].holds};
    dpi_sha256_add(h, v, sizeof v);
  }
}

static void hash_advice(dpi_sha256 *h, const dp_advice *a) {
  double v[3] = {a->chosen, a->runner_up, a->best_probability};
  dpi_sha256_add(h, v, sizeof v);
  dpi_sha256_add(h, a->reason, strlen(a->reason));
  for (int c = 0; c < a->ncandidate; c++) {
    const dp_candidate *x = &a->candidate[c];
    double w[5] = {x->dose, x->interval, x->reward, x->admissible, x->ndraw};
    dpi_sha256_add(h, w, sizeof w);
    hash_terms(h, x->term, a->nterm);
    hash_terms(h, x->fresh, a->nterm);
  }
  for (int n = 0; n < a->nnext; n++) {
    double w[6] = {a->next[n].time,   a->next[n].change,     a->next[n].gain,
                   a->next[n].advise, a->next[n].change_low, a->next[n].change_high};
    dpi_sha256_add(h, w, sizeof w);
  }
}

/* One hash over the prior, the beliefs and all results of the turn; timings are left out. */
dp_status dpi_twin_audit(dp_twin *t) {
  dpi_sha256 *h = dpi_sha256_create(t->ctx);
  if (!h) return DP_ERR_MEMORY;
  dpi_sha256_add(h, &t->until, sizeof t->until);
  dpi_sha256_add(h, t->prior->hash, strlen(t->prior->hash));
  dpi_sha256_add(h, t->belief->hash, 64);
  if (t->before) dpi_sha256_add(h, t->before->hash, 64);
  if (t->fresh) dpi_sha256_add(h, t->fresh->hash, 64);
  hash_fan(h, t, t->fan);
  hash_fan(h, t, t->fan_population);
  for (int i = 0; i < t->view.nscore; i++) {
    const dp_sample_score *s = &t->score[i];
    dpi_sha256_add(h, s->q, sizeof s->q);
    dpi_sha256_add(h, &s->pit, sizeof s->pit);
    dpi_sha256_add(h, s->crps, sizeof s->crps);
    dpi_sha256_add(h, s->error, sizeof s->error);
  }
  if (t->advice) hash_advice(h, t->advice);
  dpi_sha256_finish(h, t->view.hash);
  return DP_OK;
}
