/* whatif.c - floor 7: branches of one twin. Every draw of the belief lives through its own history and then through each plan;
 * observables are shown as they would be measured, quantities as they are, and the kind's reward judges each branch.
 *
 * Common to all branches: the draws, the times, the measurement noise of a draw. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doppel/whatif.h"
#include "kind/kind_impl.h"
#include "num/num.h"

#define COOKIE 0x57484946u
#define Z95 1.959963984540054
enum { PURPOSE_BRANCH_NOISE = 0x42524e43 }; /* random purpose of this file */
enum { MOST_DOSES = 96, AFTER = 7 };        /* given in all plans together; points after each */

dp_whatif_def dp_whatif_def_default(void) {
  return (dp_whatif_def){.cookie = COOKIE, .seed = 1, .ntime = 121, .from = NAN, .end = NAN};
}

void dp_whatif_destroy(dp_whatif *w) {
  if (!w) return;
  for (int i = 0; w->strand && i < w->nplan * w->nshown; i++) dpi_free(w->ctx, w->strand[i].q);
  dpi_free(w->ctx, w->strand);
  dpi_free(w->ctx, w->time);
  dpi_free(w->ctx, w->shown);
  dpi_free(w->ctx, w->nfailed);
  dpi_free(w->ctx, w->text);
  dpi_free(w->ctx, w->pair);
  dp_appraisal_destroy(w->appraisal);
  dpi_free(w->ctx, w);
}

const dp_whatif_pair_value *dp_whatif_pair(const dp_whatif *w, int i, int j) { return &w->pair[i * w->nplan + j]; }

typedef struct branching {
  const dp_kind *kind;
  const dp_plan_patient *patient;
  const dp_belief *belief;
  dp_plan *const *plan;
  const dp_whatif_def *def;
  dp_whatif *w;
  dp_instant *instant;      /* [nplan x ndraw x most] */
  int most, *ninstant;      /* [nplan] */
  double *param;            /* [ndraw x nparam] */
  dp_member *member;        /* [nplan x ndraw] */
  dp_output_time *out;      /* [ntime] */
  double from;
  dp_time dose[MOST_DOSES], length[MOST_DOSES]; /* when given, for how long; ndose: 0 where there are too many */
  int ndose;
  dp_functional *extreme;   /* [nextreme x 2] */
  int *extreme_of;          /* [nshown] which of them, -1: extremes are not asked for */
  int nextreme;
  dp_result *result;
} branching;

static dp_time ticks(double time) { return (dp_time)llround(time * (double)DP_TICKS); }

/* ---- what is shown, and when ---- */

static int output_of(const dp_kind *k, int shown) {
  return shown < k->nobservable ? k->observable[shown].value_output : k->quantity[shown - k->nobservable].sim_output;
}

/* A quantity that an observable already shows is still shown: without measurement error. */
static void list_shown(const dp_kind *k, dp_shown *s) {
  for (int i = 0; i < k->nobservable; i++) {
    const dpi_kind_observable *o = &k->observable[i];
    *s++ = (dp_shown){o->id, o->name, o->unit, 1, o->primary, o->axis_low, o->axis_high};
  }
  for (int i = 0; i < k->nquantity; i++) {
    const dpi_kind_quantity *q = &k->quantity[i];
    *s++ = (dp_shown){q->id, q->name, q->unit, 0, 0, q->low, q->high};
  }
}

/* Extremes are searched on every path's own curve, which costs more than the fans: of what the reward is about; without a reward, of
 * every quantity. */
static bool wanted(const dp_kind *k, int shown) {
  if (shown < k->nobservable) return k->nquantity == 0;
  for (int t = 0; k->reward.given && t < k->reward.nterm; t++)
    if (k->reward.term[t].of == DPI_OF_PATH && k->reward.term[t].quantity == shown - k->nobservable) return true;
  return !k->reward.given;
}

/* Where the longest plan has run out: one interval after its last dose. */
static double run_out(const dp_plan *p) {
  double last = 0, gap = 0;
  for (int i = 0; i < p->nrow; i++) {
    const dp_plan_row *r = &p->row[i];
    double end = r->time + r->interval * r->repeats;
    gap = fmax(gap, r->interval);
    if (i > 0) gap = fmax(gap, r->time - p->row[i - 1].time);
    last = fmax(last, end + fmax(r->duration, 0));
  }
  return last + gap;
}

static dp_status find_span(branching *b) {
  dp_whatif *w = b->w;
  double end = b->def->end, from = isnan(b->def->from) ? w->now : b->def->from;
  if (isnan(end)) {
    end = b->kind->horizon;
    for (int i = 0; i < w->nplan; i++) end = fmax(end, w->now + run_out(b->plan[i]));
    if (!(end > w->now)) end = w->now + 1.0;
  }
  if (!(end > w->now) || !(end < 9e9))
    return dpi_fail(w->ctx, DP_ERR_USAGE, "a forecast ends after now (%g %s), found %g", w->now, b->kind->time_unit, end);
  if (!(from >= 0 && from <= w->now))
    return dpi_fail(w->ctx, DP_ERR_USAGE, "a forecast begins between 0 and now (%g %s), found %g", w->now, b->kind->time_unit, from);
  w->end = end;
  b->from = from;
  return DP_OK;
}

/* Doses among instants, as far as they are shown; false: there are too many. */
static bool list_doses(branching *b, const dp_instant *instant, int n) {
  for (int i = 0; i < n; i++) {
    const dp_instant *s = &instant[i];
    if ((s->type != DP_ADD && s->type != DP_INFUSE) || !(s->amount > 0)) continue;
    for (int32_t k = 0; k <= s->repeats && (k == 0 || s->interval > 0); k++) {
      const dp_time t = s->time + k * s->interval;
      if (t > ticks(b->w->end)) break;
      if (t < ticks(b->from)) continue;
      if (b->ndose == MOST_DOSES) return false;
      b->dose[b->ndose] = t;
      b->length[b->ndose++] = s->type == DP_INFUSE && s->rate > 0 ? ticks(s->amount / s->rate) : 0;
    }
  }
  return true;
}

/* All that was given and is planned. */
static dp_status find_doses(branching *b) {
  if (!b->def->doses) return DP_OK;
  bool all = list_doses(b, b->patient->history, b->patient->nhistory);
  for (int i = 0; all && i < b->w->nplan; i++) {
    dp_instant *plan = NULL;
    int n = 0;
    DP_TRY(dp_plan_instants(b->kind, b->plan[i], b->w->now, &plan, &n));
    all = list_doses(b, plan, n);
    dp_plan_instants_free(b->plan[i], plan);
  }
  b->w->doses = all;
  if (!all) b->ndose = 0;
  b->w->ntime += (2 + AFTER) * b->ndose;
  return DP_OK;
}

static int by_time(const void *x, const void *y) {
  const dp_time a = ((const dp_output_time *)x)->time, b = ((const dp_output_time *)y)->time;
  return (a > b) - (a < b);
}

/* Points about each dose, at the same distances from all, so that equal doses have equal peaks: just before it, when it
 * is given, soon after, and where an infusion ends. */
static void add_doses(branching *b, int n) {
  static const int part[AFTER - 1] = {128, 64, 32, 16, 8, 4}; /* of the shortest time between two doses */
  const dp_time first = ticks(b->from), end = ticks(b->w->end);
  dp_time gap = end - first;
  for (int i = 0; i < b->ndose; i++)
    for (int j = 0; j < i; j++) {
      const dp_time d = b->dose[i] > b->dose[j] ? b->dose[i] - b->dose[j] : b->dose[j] - b->dose[i];
      if (d > 0 && d < gap) gap = d;
    }
  for (int i = 0; i < b->ndose; i++) {
    dp_time at[2 + AFTER] = {b->dose[i] - 1, b->dose[i], b->dose[i] + b->length[i]};
    for (int k = 0; k < AFTER - 1; k++) at[3 + k] = b->dose[i] + b->length[i] + gap / part[k];
    for (int k = 0; k < 2 + AFTER; k++)
      if (at[k] > first && at[k] < end) b->out[n++] = (dp_output_time){at[k], INT32_MAX};
  }
  qsort(b->out, (size_t)n, sizeof *b->out, by_time);
  int kept = 0;
  for (int i = 0; i < n; i++)
    if (kept == 0 || b->out[i].time > b->out[kept - 1].time) b->out[kept++] = b->out[i];
  b->w->ntime = kept;
}

static void set_times(branching *b) {
  dp_whatif *w = b->w;
  const int n = b->def->ntime;
  /* evenly up to now and from now on, with now itself among the points */
  int past = (int)llround((w->now - b->from) / (w->end - b->from) * (n - 1));
  if (past < 1 && b->from < w->now) past = 1;
  if (past > n - 2) past = n - 2;
  for (int i = 0; i < n; i++) {
    double t = i < past ? b->from + (w->now - b->from) * i / past : w->now + (w->end - w->now) * (i - past) / (n - 1 - past);
    b->out[i] = (dp_output_time){ticks(t), INT32_MAX};
  }
  if (b->ndose) add_doses(b, n);
  for (int i = 0; i < w->ntime; i++) w->time[i] = (double)b->out[i].time / (double)DP_TICKS;
  for (int s = 0; s < w->nshown; s++) {
    b->extreme_of[s] = wanted(b->kind, s) ? b->nextreme++ : -1;
    for (int k = 0; k < 2 && b->extreme_of[s] >= 0; k++)
      b->extreme[2 * b->extreme_of[s] + k] = (dp_functional){.kind = k ? DP_MAXIMUM : DP_MINIMUM, .output = output_of(b->kind, s),
                                                             .from = ticks(w->now), .to = ticks(w->end)};
  }
}

/* ---- members ---- */

/* One draw's parameters and its own history; of an effect with occasions the first one stays, the switches bring the others. */
static void live(const branching *b, int draw, double *param, dp_instant *instant) {
  const dp_plan_patient *p = b->patient;
  const double *eta = b->belief->eta + (size_t)draw * (size_t)b->belief->neta;
  memcpy(param, p->param, sizeof *param * (size_t)dp_sim_describe(b->kind->sim)->nparam);
  for (int e = b->belief->neta - 1; e >= 0; e--) param[b->kind->effect[p->eta_effect[e]].sim_param] = eta[e];
  for (int i = 0; i < p->nhistory; i++) {
    instant[i] = p->history[i];
    if (instant[i].type == DP_SWITCH && instant[i].dir_amount >= 0) instant[i].amount = eta[instant[i].dir_amount];
    instant[i].dir_amount = instant[i].dir_time = -1; /* no derivatives are asked for here */
  }
}

/* A plan's instants go after everything of the history, also at now. */
static dp_status add_plan(branching *b, int which) {
  dp_instant *plan = NULL;
  int n = 0, nhistory = b->patient->nhistory, ndraw = b->w->ndraw;
  DP_TRY(dp_plan_instants(b->kind, b->plan[which], b->w->now, &plan, &n));
  int32_t above = 0;
  for (int i = 0; i < nhistory; i++)
    if (b->patient->history[i].order > above) above = b->patient->history[i].order;
  for (int k = 0; k < ndraw; k++) {
    dp_instant *own = b->instant + ((size_t)which * (size_t)ndraw + (size_t)k) * (size_t)b->most;
    live(b, k, b->param + (size_t)k * (size_t)dp_sim_describe(b->kind->sim)->nparam, own);
    for (int i = 0; i < n; i++) {
      own[nhistory + i] = plan[i];
      own[nhistory + i].order = above + 1 + i;
    }
  }
  b->ninstant[which] = nhistory + n;
  dp_plan_instants_free(b->plan[which], plan);
  return DP_OK;
}

static dp_status count_instants(branching *b) {
  for (int i = 0; i < b->w->nplan; i++) {
    dp_instant *plan = NULL;
    int n = 0;
    DP_TRY(dp_plan_instants(b->kind, b->plan[i], b->w->now, &plan, &n));
    dp_plan_instants_free(b->plan[i], plan);
    if (b->patient->nhistory + n > b->most) b->most = b->patient->nhistory + n;
  }
  b->most++;
  return DP_OK;
}

static dp_status make_room(branching *b) {
  dp_whatif *w = b->w;
  dp_ctx *ctx = w->ctx;
  size_t n = (size_t)w->nplan * (size_t)w->ndraw;
  int nparam = dp_sim_describe(b->kind->sim)->nparam;
  w->time = DPI_NEW_ARRAY(ctx, double, w->ntime);
  w->shown = DPI_NEW_ARRAY(ctx, dp_shown, w->nshown + 1);
  w->strand = DPI_NEW_ARRAY(ctx, dp_strand, w->nplan *w->nshown + 1);
  w->nfailed = DPI_NEW_ARRAY(ctx, int, w->nplan);
  w->text = dpi_alloc(ctx, sizeof *w->text * (size_t)w->nplan);
  b->instant = DPI_NEW_ARRAY(ctx, dp_instant, n *(size_t)b->most);
  b->ninstant = DPI_NEW_ARRAY(ctx, int, w->nplan);
  b->param = DPI_NEW_ARRAY(ctx, double, (size_t)w->ndraw *(size_t)nparam + 1);
  b->member = DPI_NEW_ARRAY(ctx, dp_member, n);
  b->out = DPI_NEW_ARRAY(ctx, dp_output_time, w->ntime);
  b->extreme = DPI_NEW_ARRAY(ctx, dp_functional, 2 * w->nshown + 1);
  b->extreme_of = DPI_NEW_ARRAY(ctx, int, w->nshown + 1);
  bool good = w->time && w->shown && w->strand && w->nfailed && w->text && b->instant && b->ninstant && b->param && b->member &&
              b->out && b->extreme && b->extreme_of;
  for (int i = 0; good && i < w->nplan * w->nshown; i++)
    good = (w->strand[i].q = DPI_NEW_ARRAY(ctx, double, DP_NLEVEL * w->ntime)) != NULL;
  return good ? DP_OK : DP_ERR_MEMORY;
}

static dp_status simulate(branching *b) {
  dp_whatif *w = b->w;
  size_t nparam = (size_t)dp_sim_describe(b->kind->sim)->nparam;
  for (int i = 0; i < w->nplan; i++) {
    DP_TRY(add_plan(b, i));
    for (int k = 0; k < w->ndraw; k++) {
      size_t at = (size_t)i * (size_t)w->ndraw + (size_t)k;
      b->member[at] = (dp_member){.param = b->param + (size_t)k * nparam,
                                  .instant = b->instant + at * (size_t)b->most,
                                  .ninstant = b->ninstant[i],
                                  .out = b->out,
                                  .nout = w->ntime,
                                  .functional = b->extreme,
                                  .nfunctional = 2 * b->nextreme,
                                  .stream = b->patient->stream};
    }
  }
  dp_run_opts opts = dp_run_opts_default();
  opts.seed = b->def->seed;
  return dp_simulate(b->kind->ensemble, b->member, w->nplan * w->ndraw, &opts, &b->result);
}

/* ---- quantiles ---- */

static const double *row_of(const branching *b, int plan, int draw, int time) {
  const dp_result *r = b->result;
  return r->value + (r->value_at[plan * b->w->ndraw + draw] + (size_t)time) * (size_t)r->noutput;
}

/* What draw k shows at a time, or NaN. Noise comes from the draw's own place in the stream, whatever time and plan. */
static double shows(const branching *b, int plan, int draw, int time, int shown, double z) {
  const dp_kind *k = b->kind;
  const double *v = row_of(b, plan, draw, time);
  if (shown >= k->nobservable) return v[output_of(k, shown)];
  const dpi_kind_observable *o = &k->observable[shown];
  return dpi_kind_measure(o, v[o->value_output], v[o->sigma_output], z);
}

static void quantiles(double *y, int n, const double *level, int nlevel, double *q) {
  dpi_sort(y, n);
  for (int l = 0; l < nlevel; l++) q[l] = n > 1 ? dpi_quantile_weighted(y, NULL, n, level[l], NULL) : NAN;
}

static void fan(const branching *b, int plan, int shown, double *y, dp_strand *s) {
  static const double three[3] = {0.05, 0.5, 0.95};
  const dp_whatif *w = b->w;
  for (int t = 0; t < w->ntime; t++) {
    dpi_rng rng = dpi_rng_make(b->def->seed, b->patient->stream + (uint64_t)shown, PURPOSE_BRANCH_NOISE);
    int n = 0;
    for (int k = 0; k < w->ndraw; k++) {
      double v = shows(b, plan, k, t, shown, dpi_rng_normal(&rng));
      if (isfinite(v)) y[n++] = v;
    }
    quantiles(y, n, dp_level, DP_NLEVEL, s->q + t * DP_NLEVEL);
  }
  for (int side = 0; side < 2; side++) {
    int n = 0, which = b->extreme_of[shown];
    for (int k = 0; k < w->ndraw && which >= 0; k++) {
      double v = b->result->functional[b->result->functional_at[plan * w->ndraw + k] + (size_t)(2 * which + side)];
      if (isfinite(v)) y[n++] = v;
    }
    quantiles(y, n, three, 3, side ? s->highest : s->lowest);
  }
}

/* Is an observable of this draw no number somewhere? Then its fan is of the others alone. */
static bool broken(const branching *b, int plan, int draw) {
  const dp_kind *k = b->kind;
  for (int t = 0; t < b->w->ntime; t++)
    for (int o = 0; o < k->nobservable; o++)
      if (!isfinite(row_of(b, plan, draw, t)[k->observable[o].value_output])) return true;
  return false;
}

static dp_status fans(branching *b) {
  dp_whatif *w = b->w;
  double *y = DPI_NEW_ARRAY(w->ctx, double, w->ndraw + 1);
  if (!y) return DP_ERR_MEMORY;
  for (int i = 0; i < w->nplan; i++) {
    for (int k = 0; k < w->ndraw; k++)
      w->nfailed[i] += b->result->status[i * w->ndraw + k] != DP_MEMBER_OK || broken(b, i, k);
    for (int s = 0; s < w->nshown; s++) fan(b, i, s, y, &w->strand[i * w->nshown + s]);
  }
  dpi_free(w->ctx, y);
  return DP_OK;
}

/* ---- plans against each other ---- */

/* Does every reward count by its mean over draws? A risk measure's error is not a mean's. */
static bool expected_only(const dp_kind *k) {
  for (int t = 0; t < k->reward.nterm; t++)
    if (k->reward.term[t].goal == DPI_GOAL_REWARD && k->reward.term[t].risk != DPI_RISK_EXPECTATION) return false;
  return true;
}

static dp_status compare(branching *b, int i, int j, double *d) {
  dp_whatif *w = b->w;
  const dp_appraisal *a = w->appraisal;
  double sum = 0, sum2 = 0, better = 0, q[2];
  static const double ends[2] = {0.05, 0.95};
  int n = 0;
  for (int k = 0; k < a->ndraw; k++) {
    double x = a->plan[i].draw[k] - a->plan[j].draw[k];
    if (!isfinite(x)) continue;
    sum += x;
    sum2 += x * x;
    better += x > 0 ? 1 : x == 0 ? 0.5 : 0;
    d[n++] = x;
  }
  dp_whatif_pair_value *p = &w->pair[i * w->nplan + j];
  *p = (dp_whatif_pair_value){.difference = a->plan[i].reward - a->plan[j].reward, .low = NAN, .high = NAN, .q05 = NAN, .q95 = NAN,
                              .better = n ? better / n : NAN};
  if (n < 2) return DP_OK;
  double mean = sum / n, se = sqrt(fmax(sum2 / n - mean * mean, 0) / fmax(fmin(a->neff, n), 1));
  quantiles(d, n, ends, 2, q);
  p->q05 = q[0];
  p->q95 = q[1];
  if (expected_only(b->kind)) {
    p->low = p->difference - Z95 * se;
    p->high = p->difference + Z95 * se;
  }
  return DP_OK;
}

static dp_status judge(branching *b) {
  dp_whatif *w = b->w;
  if (dp_kind_nterm(b->kind) == 0) return DP_OK;
  DP_TRY(dp_appraise(b->kind, b->patient, b->plan, w->nplan, b->belief, &w->appraisal));
  w->pair = DPI_NEW_ARRAY(w->ctx, dp_whatif_pair_value, w->nplan *w->nplan);
  double *d = DPI_NEW_ARRAY(w->ctx, double, w->appraisal->ndraw + 1);
  dp_status status = w->pair && d ? DP_OK : DP_ERR_MEMORY;
  for (int i = 0; status == DP_OK && i < w->nplan * w->nplan; i++) status = compare(b, i / w->nplan, i % w->nplan, d);
  dpi_free(w->ctx, d);
  return status;
}

/* ---- audit ---- */

static dp_status audit(dp_whatif *w) {
  dpi_sha256 *h = dpi_sha256_create(w->ctx);
  if (!h) return DP_ERR_MEMORY;
  dpi_sha256_add(h, w->time, sizeof *w->time * (size_t)w->ntime);
  for (int i = 0; i < w->nplan * w->nshown; i++) {
    dpi_sha256_add(h, w->strand[i].q, sizeof(double) * DP_NLEVEL * (size_t)w->ntime);
    dpi_sha256_add(h, w->strand[i].lowest, sizeof w->strand[i].lowest);
    dpi_sha256_add(h, w->strand[i].highest, sizeof w->strand[i].highest);
  }
  for (int i = 0; w->appraisal && i < w->nplan; i++) {
    const dp_plan_appraisal *p = &w->appraisal->plan[i];
    dpi_sha256_add(h, p->draw, sizeof *p->draw * (size_t)w->appraisal->ndraw);
    dpi_sha256_add(h, &p->reward, sizeof p->reward);
  }
  dpi_sha256_finish(h, w->hash);
  return DP_OK;
}

static dp_status branch(branching *b) {
  dp_whatif *w = b->w;
  DP_TRY(find_span(b));
  DP_TRY(find_doses(b));
  DP_TRY(count_instants(b));
  DP_TRY(make_room(b));
  list_shown(b->kind, w->shown);
  set_times(b);
  for (int i = 0; i < w->nplan; i++) DP_TRY(dp_plan_describe(b->kind, b->plan[i], w->text[i], sizeof w->text[i]));
  DP_TRY(simulate(b));
  DP_TRY(fans(b));
  DP_TRY(judge(b));
  return audit(w);
}

static void branching_release(branching *b) {
  dp_ctx *ctx = b->kind->ctx;
  dpi_free(ctx, b->instant);
  dpi_free(ctx, b->ninstant);
  dpi_free(ctx, b->param);
  dpi_free(ctx, b->member);
  dpi_free(ctx, b->out);
  dpi_free(ctx, b->extreme);
  dpi_free(ctx, b->extreme_of);
  dp_result_destroy(b->result);
}

dp_status dp_whatif_run(const dp_kind *kind, const dp_patient *patient, dp_plan *const *plan, int nplan, const dp_whatif_def *def,
                        dp_whatif **out) {
  *out = NULL;
  if (def->cookie != COOKIE) return dpi_fail(kind->ctx, DP_ERR_USAGE, "dp_whatif_def not from dp_whatif_def_default");
  if (nplan < 1 || def->ntime < 2)
    return dpi_fail(kind->ctx, DP_ERR_USAGE, "what-if needs a plan and 2 points in time, got %d and %d", nplan, def->ntime);
  const dp_plan_patient *p = dp_patient_look(patient);
  if (!p->belief->usable)
    return dpi_fail(kind->ctx, DP_ERR_UNSUPPORTED, "nothing is forecast from what is believed: %s", p->belief->verdict);
  dp_whatif *w = DPI_NEW(kind->ctx, dp_whatif);
  if (!w) return DP_ERR_MEMORY;
  *w = (dp_whatif){.ctx = kind->ctx, .nplan = nplan, .nshown = kind->nobservable + kind->nquantity, .ntime = def->ntime,
                   .ndraw = p->belief->ndraw, .now = p->now};
  branching b = {.kind = kind, .patient = p, .belief = p->belief, .plan = plan, .def = def, .w = w};
  dp_status status = branch(&b);
  branching_release(&b);
  if (status != DP_OK) {
    dp_whatif_destroy(w);
    return status;
  }
  *out = w;
  return DP_OK;
}
