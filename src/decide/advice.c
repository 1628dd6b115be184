/* advice.c - the search: screen every candidate on some draws, judge the promising survivors on all, choose by reward among
 * the admissible, score the choice again on fresh draws.
 *
 * Invariants:
 *   1. a candidate leaves at the screen only when even the favourable bound (99.9 %) of a limit misses it;
 *   2. the same draws serve every candidate (common random numbers), so two plans are compared fairly;
 *   3. only a candidate judged on all draws may be advised or be the runner-up;
 *   4. a choice that does not hold on fresh draws is not advised; the next best is tried, three at most. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "decide/decide.h"

#define COOKIE 0x504c414eu
#define SCREEN_CONFIDENCE 0.999
#define MAX_TRIES 3

dp_plan_def dp_plan_def_default(void) {
  return (dp_plan_def){.cookie = COOKIE, .seed = 1, .nscreen = 120, .nhypothetical = 60};
}

void dp_advice_destroy(dp_advice *a) {
  if (!a) return;
  for (int c = 0; a->candidate && c < a->ncandidate; c++) {
    dpi_free(a->ctx, a->candidate[c].term);
    dpi_free(a->ctx, a->candidate[c].fresh);
  }
  dpi_free(a->ctx, a->candidate);
  dpi_free(a->ctx, a->next);
  dpi_free(a->ctx, a);
}

/* Judge one candidate from its rehearsal row; fills terms, reward, admissible. */
static void judge(const dp_kind *kind, const dpi_rehearsal *r, int row, double neff, dp_candidate *c,
                  dp_term_value *term) {
  c->admissible = 1;
  c->reward = c->reward_low = c->reward_high = 0;
  c->ndraw = r->ndraw;
  for (int t = 0; t < r->nterm; t++) {
    const dpi_kind_term *k = &kind->reward.term[t];
    term[t] = dpi_decide_judge(kind, k, dpi_rehearsed(r, row, t), r->ndraw, neff, c->interval,
                               kind->reward.confidence);
    if (!term[t].holds) c->admissible = 0;
    if (k->goal == DPI_GOAL_REWARD) {
      c->reward += k->weight * term[t].value;
      c->reward_low += k->weight * (k->weight > 0 ? term[t].low : term[t].high);
      c->reward_high += k->weight * (k->weight > 0 ? term[t].high : term[t].low);
    }
  }
}

/* Could this candidate still turn out admissible, judged leniently? */
static bool hopeful(const dp_kind *kind, const dpi_rehearsal *r, int row, double neff, double interval) {
  for (int t = 0; t < r->nterm; t++) {
    const dpi_kind_term *k = &kind->reward.term[t];
    if (k->goal != DPI_GOAL_LIMIT) continue;
    dp_term_value v =
        dpi_decide_judge(kind, k, dpi_rehearsed(r, row, t), r->ndraw, neff, interval, SCREEN_CONFIDENCE);
    if (k->at_least ? v.high < k->probability : v.low > k->probability) return false;
  }
  return true;
}

/* How far the worst limit is missed, as a fraction of what is allowed; *which is that limit. */
static double shortfall(const dp_kind *kind, const dp_term_value *term, int *which) {
  double worst = -INFINITY;
  for (int t = 0; t < kind->reward.nterm; t++) {
    const dpi_kind_term *k = &kind->reward.term[t];
    if (k->goal != DPI_GOAL_LIMIT) continue;
    double allowed = k->at_least ? 1.0 - k->probability : k->probability;
    double risk = k->at_least ? 1.0 - term[t].low : term[t].high;
    double miss = risk / fmax(allowed, 1e-6);
    if (miss > worst) {
      worst = miss;
      *which = t;
    }
  }
  return worst;
}

typedef struct search {
  const dp_kind *kind;
  const dp_plan_patient *patient;
  const dp_plan_def *def;
  dp_advice *advice;
  int *draw;        /* [ndraw] screening draws, then all */
  int *which;       /* [ncandidate] survivors of the screen, the highest reward first */
  int nwhich;
  int *row;         /* [ncandidate] row of `full`, or -1: not judged on all draws */
  uint8_t *tried;   /* [ncandidate] scored on fresh draws */
  dpi_rehearsal screen, full;
} search;

static double effective(const dp_belief *b, int ndraw) {
  double n = b->ess > 0 ? b->ess : (double)b->ndraw;
  return fmin(n, (double)ndraw);
}

/* All candidates on a spread subset of the draws. */
static dp_status screen_all(search *s) {
  dp_advice *a = s->advice;
  const dp_belief *b = s->patient->belief;
  int n = s->def->nscreen < b->ndraw ? s->def->nscreen : b->ndraw;
  for (int k = 0; k < n; k++) s->draw[k] = (int)((int64_t)k * b->ndraw / n);
  for (int c = 0; c < a->ncandidate; c++) s->which[c] = c;
  DP_TRY(dpi_decide_rehearse(s->kind, s->patient, b, a->candidate, s->which, a->ncandidate, s->draw, n, &s->screen));
  s->nwhich = 0;
  for (int c = 0; c < a->ncandidate; c++) {
    judge(s->kind, &s->screen, c, effective(b, n), &a->candidate[c], a->candidate[c].term);
    s->row[c] = -1;
    if (hopeful(s->kind, &s->screen, c, effective(b, n), a->candidate[c].interval)) s->which[s->nwhich++] = c;
  }
  return DP_OK;
}

/* Survivors in descending order of the reward that the screen gave them. */
static void order_survivors(search *s) {
  const dp_candidate *c = s->advice->candidate;
  for (int i = 1; i < s->nwhich; i++)
    for (int j = i; j > 0 && c[s->which[j]].reward > c[s->which[j - 1]].reward; j--) {
      int swap = s->which[j];
      s->which[j] = s->which[j - 1];
      s->which[j - 1] = swap;
    }
}

/* May this candidate still be advised? */
static bool open_to_advice(const search *s, int c) {
  return s->row[c] >= 0 && s->advice->candidate[c].admissible && !s->tried[c];
}

/* What candidate c gives in draw k of a rehearsal, where it is row `row`. */
static double reward_in(const search *s, const dpi_rehearsal *r, int row, int c, int k) {
  double sum = 0;
  for (int t = 0; t < r->nterm; t++) {
    const dpi_kind_term *term = &s->kind->reward.term[t];
    if (term->goal != DPI_GOAL_REWARD) continue;
    double v = dpi_rehearsed(r, row, t)[k];
    sum += term->weight * dpi_decide_reward(s->kind, term, v, s->advice->candidate[c].interval);
  }
  return sum;
}

/* The second best candidate open to advice, or -1. */
static int second_best(const search *s) {
  int first = -1, second = -1;
  for (int i = 0; i < s->nwhich; i++) {
    int c = s->which[i];
    const dp_candidate *a = s->advice->candidate;
    if (!open_to_advice(s, c)) continue;
    if (first < 0 || a[c].reward > a[first].reward) {
      second = first;
      first = c;
    } else if (second < 0 || a[c].reward > a[second].reward) {
      second = c;
    }
  }
  return second;
}

/* Is candidate c, on the screen's draws, worse than the present runner-up by more than 4 standard errors? The same draws
 * serve both (common random numbers), so it is the difference draw by draw that counts. */
static bool beaten(const search *s, int c) {
  int rival = second_best(s), n = s->screen.ndraw;
  double sum = 0, sum2 = 0;
  if (rival < 0) return false;
  for (int k = 0; k < n; k++) {
    double d = reward_in(s, &s->screen, rival, rival, k) - reward_in(s, &s->screen, c, c, k);
    sum += d;
    sum2 += d * d;
  }
  double mean = sum / n, variance = fmax(sum2 / n - mean * mean, 0);
  return mean > 4 * sqrt(variance / effective(s->patient->belief, n));
}

/* One survivor on every draw, kept as the next row of `full`. */
static dp_status judge_full(search *s, int c, const int *all) {
  const dp_belief *b = s->patient->belief;
  dp_candidate *candidate = &s->advice->candidate[c];
  dpi_rehearsal one = {0};
  DP_TRY(dpi_decide_rehearse(s->kind, s->patient, b, s->advice->candidate, &c, 1, all, b->ndraw, &one));
  judge(s->kind, &one, 0, effective(b, b->ndraw), candidate, candidate->term);
  s->row[c] = s->full.ncandidate++;
  memcpy((double *)dpi_rehearsed(&s->full, s->row[c], 0), one.value,
         sizeof(double) * (size_t)one.nterm * (size_t)one.ndraw);
  dpi_free(s->kind->ctx, one.value);
  return DP_OK;
}

/* The survivors on every draw, most promising first. Passed over is who is clearly beaten by the runner-up. Called again when a choice has failed and more may be needed. */
static dp_status judge_survivors(search *s, const int *all) {
  for (int i = 0; i < s->nwhich; i++) {
    int c = s->which[i];
    if (s->row[c] >= 0 || beaten(s, c)) continue;
    DP_TRY(judge_full(s, c, all));
  }
  return DP_OK;
}

/* Best candidate open to advice, or -1. */
static int best_open(const search *s) {
  int best = -1;
  for (int c = 0; c < s->advice->ncandidate; c++)
    if (open_to_advice(s, c) && (best < 0 || s->advice->candidate[c].reward > s->advice->candidate[best].reward))
      best = c;
  return best;
}

/* Score one candidate on the fresh belief; *holds when all limits hold there too. */
static dp_status score_fresh(search *s, int which, bool *holds) {
  const dp_belief *b = s->patient->fresh;
  dp_ctx *ctx = s->kind->ctx;
  dp_candidate *c = &s->advice->candidate[which];
  int *all = DPI_NEW_ARRAY(ctx, int, b->ndraw);
  c->fresh = DPI_NEW_ARRAY(ctx, dp_term_value, s->kind->reward.nterm);
  if (!all || !c->fresh) {
    dpi_free(ctx, all);
    return DP_ERR_MEMORY;
  }
  for (int k = 0; k < b->ndraw; k++) all[k] = k;
  dpi_rehearsal r = {0};
  dp_status status =
      dpi_decide_rehearse(s->kind, s->patient, b, s->advice->candidate, &which, 1, all, b->ndraw, &r);
  if (status == DP_OK) {
    dp_candidate again = *c;
    judge(s->kind, &r, 0, effective(b, b->ndraw), &again, c->fresh);
    *holds = again.admissible;
  }
  dpi_free(ctx, r.value);
  dpi_free(ctx, all);
  return status;
}

/* P(chosen has the highest reward among those that could be advised), draw by draw. */
static double probability_best(const search *s, int chosen) {
  int wins = 0;
  for (int k = 0; k < s->full.ndraw; k++) {
    double mine = reward_in(s, &s->full, s->row[chosen], chosen, k);
    bool best = true;
    for (int c = 0; best && c < s->advice->ncandidate; c++)
      if (open_to_advice(s, c) && reward_in(s, &s->full, s->row[c], c, k) > mine) best = false;
    wins += best;
  }
  return s->full.ndraw ? (double)wins / s->full.ndraw : NAN;
}

/* Among candidates, the one that misses least, when none is admissible. */
static int nearest_miss(const search *s, int *term) {
  int best = -1;
  double least = INFINITY;
  for (int c = 0; c < s->advice->ncandidate; c++) {
    int t = -1;
    double miss = shortfall(s->kind, s->advice->candidate[c].term, &t);
    if (t >= 0 && miss < least) {
      least = miss;
      best = c;
      *term = t;
    }
  }
  return best;
}

static void say_limit(const dp_kind *kind, const dp_term_value *term, int t, char *out, size_t size) {
  const dpi_kind_term *k = &kind->reward.term[t];
  const dp_term_value *v = &term[t];
  snprintf(out, size, "%s: estimate %.1f %%, at the %.0f %% bound %.1f %%", k->text, 100 * v->value,
           100 * kind->reward.confidence, 100 * (k->at_least ? v->low : v->high));
}

/* Add to the reason what fits. */
static void reason(dp_advice *a, const char *fmt, ...) DPI_PRINTF(2, 3);
static void reason(dp_advice *a, const char *fmt, ...) {
  size_t at = strlen(a->reason);
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(a->reason + at, sizeof a->reason - at, fmt, ap);
  va_end(ap);
}

static void explain_choice(search *s, int tries) {
  dp_advice *a = s->advice;
  const dp_candidate *c = &a->candidate[a->chosen];
  int t = -1, admissible = 0;
  shortfall(s->kind, c->term, &t);
  if (t >= 0) say_limit(s->kind, c->term, t, a->binding, sizeof a->binding);
  for (int i = 0; i < a->ncandidate; i++) admissible += a->candidate[i].admissible;
  reason(a,
         "%s every %g %s: highest reward of %d admissible regimens out of %d; every limit holds at its bound on the search "
         "draws and again on fresh draws",
         c->tablets, c->interval, s->kind->time_unit, admissible, a->ncandidate);
  if (tries > 1) reason(a, "; %d with a higher reward did not hold on fresh draws", tries - 1);
  if (s->patient->belief->discrepancy)
    reason(a, "; limits are about the model's own curve, without the discrepancy term");
}

/* Why none; first: the first candidate that was tried on fresh draws, or -1. */
static void explain_refusal(search *s, int tries, int first) {
  dp_advice *a = s->advice;
  int t = -1;
  a->runner_up = tries > 0 ? first : nearest_miss(s, &t);
  if (a->runner_up < 0) return;
  const dp_candidate *c = &a->candidate[a->runner_up];
  if (tries > 0) shortfall(s->kind, c->fresh, &t);
  say_limit(s->kind, tries > 0 ? c->fresh : c->term, t, a->binding, sizeof a->binding);
  if (tries > 0)
    reason(a,
           "no recommendation, because the %d best admissible regimens did not hold their limits on fresh draws; the first, "
           "%s every %g %s, misses %s",
           tries, c->tablets, c->interval, s->kind->time_unit, a->binding);
  else
    reason(a,
           "no recommendation, because none of %d regimens holds every limit at the %.0f %% bound; nearest: %s every %g %s, "
           "which misses %s",
           a->ncandidate, 100 * s->kind->reward.confidence, c->tablets, c->interval, s->kind->time_unit, a->binding);
}

/* Choose, score again, explain. */
static dp_status choose(search *s, const int *all) {
  dp_advice *a = s->advice;
  int tries = 0, first = -1;
  while (a->chosen < 0 && tries < MAX_TRIES) {
    DP_TRY(judge_survivors(s, all));
    int c = best_open(s);
    if (c < 0) break;
    bool holds = false;
    if (tries++ == 0) first = c;
    DP_TRY(score_fresh(s, c, &holds));
    s->tried[c] = 1;
    if (holds) a->chosen = c;
  }
  if (a->chosen < 0) {
    explain_refusal(s, tries, first);
    return DP_OK;
  }
  a->runner_up = best_open(s);
  a->best_probability = probability_best(s, a->chosen);
  explain_choice(s, tries);
  return DP_OK;
}

/* Memory that the search needs beside its candidates. */
static dp_status make_room(search *s) {
  dp_ctx *ctx = s->kind->ctx;
  int n = s->advice->ncandidate, ndraw = s->patient->belief->ndraw;
  s->which = DPI_NEW_ARRAY(ctx, int, n);
  s->row = DPI_NEW_ARRAY(ctx, int, n);
  s->tried = DPI_NEW_ARRAY(ctx, uint8_t, n);
  s->draw = DPI_NEW_ARRAY(ctx, int, ndraw);
  return s->which && s->row && s->tried && s->draw ? DP_OK : DP_ERR_MEMORY;
}

static dp_status run_search(search *s) {
  dp_advice *a = s->advice;
  dp_ctx *ctx = s->kind->ctx;
  int ndraw = s->patient->belief->ndraw;
  DP_TRY(dpi_decide_candidates(s->kind, &a->candidate, &a->ncandidate));
  a->nterm = s->kind->reward.nterm;
  for (int c = 0; c < a->ncandidate; c++)
    if (!(a->candidate[c].term = DPI_NEW_ARRAY(ctx, dp_term_value, a->nterm))) return DP_ERR_MEMORY;
  DP_TRY(make_room(s));
  DP_TRY(screen_all(s));
  order_survivors(s);
  s->full = (dpi_rehearsal){.nterm = a->nterm, .ndraw = ndraw};
  s->full.value = DPI_NEW_ARRAY(ctx, double, (size_t)(s->nwhich + 1) * (size_t)a->nterm *(size_t)ndraw);
  int *all = DPI_NEW_ARRAY(ctx, int, ndraw);
  for (int k = 0; all && k < ndraw; k++) all[k] = k;
  dp_status status = all && s->full.value ? choose(s, all) : DP_ERR_MEMORY;
  dpi_free(ctx, all);
  DP_TRY(status);
  return dpi_decide_next(s->kind, s->patient, s->def, &s->screen, s->draw, a);
}

static void search_release(search *s) {
  dp_ctx *ctx = s->kind->ctx;
  dpi_free(ctx, s->screen.value);
  dpi_free(ctx, s->full.value);
  dpi_free(ctx, s->draw);
  dpi_free(ctx, s->which);
  dpi_free(ctx, s->row);
  dpi_free(ctx, s->tried);
}

static dp_status check(const dp_kind *kind, const dp_plan_patient *patient, const dp_plan_def *def) {
  if (def->cookie != COOKIE) return dpi_fail(kind->ctx, DP_ERR_USAGE, "dp_plan_def not from dp_plan_def_default");
  if (!kind->reward.given)
    return dpi_fail(kind->ctx, DP_ERR_UNSUPPORTED, "%s: this kind has no reward.yaml, so nothing can be decided",
                    kind->dir);
  if (kind->reward.residual)
    return dpi_fail(kind->ctx, DP_ERR_UNSUPPORTED,
                    "%s: reward.yaml: residual: true (limits on measured rather than true values) is not supported",
                    kind->dir);
  if (patient->belief->ndraw < 2 || patient->fresh->ndraw < 2 || def->nscreen < 2)
    return dpi_fail(kind->ctx, DP_ERR_USAGE, "a plan needs at least two draws of the belief and two to screen on");
  return DP_OK;
}

dp_status dp_plan_search(const dp_kind *kind, const dp_plan_patient *patient, const dp_plan_def *def, dp_advice **out) {
  *out = NULL;
  DP_TRY(check(kind, patient, def));
  dp_advice *a = DPI_NEW(kind->ctx, dp_advice);
  if (!a) return DP_ERR_MEMORY;
  *a = (dp_advice){.ctx = kind->ctx, .chosen = -1, .runner_up = -1, .best_probability = NAN};
  search s = {.kind = kind, .patient = patient, .def = def, .advice = a};
  dp_status status = DP_OK;
  if (!patient->belief->usable || !patient->fresh->usable)
    reason(a, "no recommendation, because the posterior may not be used: %s",
           patient->belief->usable ? patient->fresh->verdict : patient->belief->verdict);
  else
    status = run_search(&s);
  search_release(&s);
  if (status != DP_OK) {
    dp_advice_destroy(a);
    return status;
  }
  *out = a;
  return DP_OK;
}
