/* advice.c - the search: screen every candidate on some draws, judge the promising survivors on all, choose by reward among
 * the admissible, score the choice again on fresh draws.
 *
 * Invariants:
 *   1. a candidate leaves at the screen only when even the favourable bound (99.9 %) of a limit misses it;
 *   2. the same draws serve every candidate (common random numbers), so two plans are compared fairly;
 *   3. a choice that does not hold on fresh draws is not advised; the next best is tried, three at most. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "decide/decide.h"

#define COOKIE 0x504c414eu
#define SCREEN_CONFIDENCE 0.999
#define MAX_TRIES 3

dp_plan_def dp_plan_def_default(void) {
  return (dp_plan_def){.cookie = COOKIE, .seed = 1, .nscreen = 250, .nhypothetical = 60};
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
static double shortfall(const dp_kind *kind, const dp_candidate *c, int *which) {
  double worst = -INFINITY;
  for (int t = 0; t < kind->reward.nterm; t++) {
    const dpi_kind_term *k = &kind->reward.term[t];
    if (k->goal != DPI_GOAL_LIMIT) continue;
    double allowed = k->at_least ? 1.0 - k->probability : k->probability;
    double risk = k->at_least ? 1.0 - c->term[t].low : c->term[t].high;
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
  int *which;       /* [ncandidate] survivors */
  int nwhich;
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

/* Reward of the second best admissible candidate judged so far, or minus infinity. */
static double second_best(const search *s, int njudged) {
  double first = -INFINITY, second = -INFINITY;
  for (int i = 0; i < njudged; i++) {
    const dp_candidate *c = &s->advice->candidate[s->which[i]];
    if (!c->admissible) continue;
    if (c->reward > first) {
      second = first;
      first = c->reward;
    } else if (c->reward > second) {
      second = c->reward;
    }
  }
  return second;
}

/* The survivors on every draw, most promising first, until choice and runner-up are certain not to be beaten: what is left
 * has, by the screen, a reward below the runner-up's by more than 4 standard errors. */
static dp_status judge_survivors(search *s) {
  const dp_belief *b = s->patient->belief;
  dp_ctx *ctx = s->kind->ctx;
  order_survivors(s);
  int *all = DPI_NEW_ARRAY(ctx, int, b->ndraw), done = 0;
  s->full = (dpi_rehearsal){.nterm = s->advice->nterm, .ndraw = b->ndraw};
  s->full.value = DPI_NEW_ARRAY(ctx, double, (size_t)(s->nwhich + 1) * (size_t)s->full.nterm *(size_t)b->ndraw);
  dp_status status = all && s->full.value ? DP_OK : DP_ERR_MEMORY;
  for (int k = 0; all && k < b->ndraw; k++) all[k] = k;
  double z = dpi_norm_quantile(s->kind->reward.confidence);
  while (status == DP_OK && done < s->nwhich) {
    const dp_candidate *next = &s->advice->candidate[s->which[done]];
    double error = z > 0 ? (next->reward_high - next->reward) / z : 0;
    if (next->reward + 4 * error < second_best(s, done)) break;
    dpi_rehearsal one = {0};
    status = dpi_decide_rehearse(s->kind, s->patient, b, s->advice->candidate, &s->which[done], 1, all, b->ndraw, &one);
    if (status != DP_OK) break;
    dp_candidate *c = &s->advice->candidate[s->which[done]];
    judge(s->kind, &one, 0, effective(b, b->ndraw), c, c->term);
    memcpy((double *)dpi_rehearsed(&s->full, done, 0), one.value, sizeof(double) * (size_t)one.nterm * (size_t)one.ndraw);
    dpi_free(ctx, one.value);
    done++;
  }
  s->full.ncandidate = s->nwhich = done;
  dpi_free(ctx, all);
  return status;
}

/* Best admissible candidate not yet tried, or -1. */
static int best_admissible(const dp_advice *a, const uint8_t *tried) {
  int best = -1;
  for (int c = 0; c < a->ncandidate; c++)
    if (a->candidate[c].admissible && !(tried && tried[c]) &&
        (best < 0 || a->candidate[c].reward > a->candidate[best].reward))
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

/* P(chosen has the highest reward among the admissible), draw by draw. */
static double probability_best(const search *s, int chosen) {
  const dp_advice *a = s->advice;
  int wins = 0;
  for (int k = 0; k < s->full.ndraw; k++) {
    double top = -INFINITY;
    int who = -1;
    for (int i = 0; i < s->nwhich; i++) {
      const dp_candidate *c = &a->candidate[s->which[i]];
      if (!c->admissible) continue;
      double sum = 0;
      for (int t = 0; t < s->full.nterm; t++) {
        const dpi_kind_term *term = &s->kind->reward.term[t];
        double v = dpi_rehearsed(&s->full, i, t)[k];
        if (term->goal == DPI_GOAL_REWARD && !isnan(v))
          sum += term->weight * v / (term->fraction ? dpi_decide_window(s->kind, c->interval) : 1.0);
      }
      if (sum > top) {
        top = sum;
        who = s->which[i];
      }
    }
    wins += who == chosen;
  }
  return s->full.ndraw ? (double)wins / s->full.ndraw : NAN;
}

/* Among candidates, the one that misses least, when none is admissible. */
static int nearest_miss(const search *s, int *term) {
  int best = -1;
  double least = INFINITY;
  for (int c = 0; c < s->advice->ncandidate; c++) {
    int t = -1;
    double miss = shortfall(s->kind, &s->advice->candidate[c], &t);
    if (t >= 0 && miss < least) {
      least = miss;
      best = c;
      *term = t;
    }
  }
  return best;
}

static void say_limit(const dp_kind *kind, const dp_candidate *c, int t, char *out, size_t size) {
  const dpi_kind_term *k = &kind->reward.term[t];
  const dp_term_value *v = &c->term[t];
  snprintf(out, size, "%s: estimate %.1f %%, at the %.0f %% bound %.1f %%", k->text, 100 * v->value,
           100 * kind->reward.confidence, 100 * (k->at_least ? v->low : v->high));
}

static void explain_choice(search *s) {
  dp_advice *a = s->advice;
  const dp_candidate *c = &a->candidate[a->chosen];
  int t = -1;
  shortfall(s->kind, c, &t);
  if (t >= 0) say_limit(s->kind, c, t, a->binding, sizeof a->binding);
  int others = -1;
  for (int i = 0; i < a->ncandidate; i++) others += a->candidate[i].admissible;
  snprintf(a->reason, sizeof a->reason,
           "%s every %g %s: highest reward of %d admissible regimens out of %d; every limit holds at its bound on the "
           "search draws and again on fresh draws",
           c->tablets, c->interval, s->kind->time_unit, others + 1, a->ncandidate);
}

static void explain_refusal(search *s, int tries) {
  dp_advice *a = s->advice;
  const dpi_kind_reward *r = &s->kind->reward;
  if (tries > 0) {
    snprintf(a->reason, sizeof a->reason,
             "no recommendation, because the %d best admissible regimens did not hold their limits on fresh draws",
             tries);
    return;
  }
  int t = -1;
  a->runner_up = nearest_miss(s, &t);
  if (a->runner_up < 0) return;
  const dp_candidate *c = &a->candidate[a->runner_up];
  say_limit(s->kind, c, t, a->binding, sizeof a->binding);
  snprintf(a->reason, sizeof a->reason,
           "no recommendation, because none of %d regimens holds every limit at the %.0f %% bound; nearest: %s every %g "
           "%s, which misses %s",
           a->ncandidate, 100 * r->confidence, c->tablets, c->interval, s->kind->time_unit, a->binding);
}

/* Choose, score again, explain. */
static dp_status choose(search *s) {
  dp_advice *a = s->advice;
  uint8_t *tried = DPI_NEW_ARRAY(s->kind->ctx, uint8_t, a->ncandidate);
  if (!tried) return DP_ERR_MEMORY;
  dp_status status = DP_OK;
  int tries = 0;
  while (status == DP_OK && a->chosen < 0 && tries < MAX_TRIES) {
    int c = best_admissible(a, tried);
    if (c < 0) break;
    tried[c] = 1;
    tries++;
    bool holds = false;
    status = score_fresh(s, c, &holds);
    if (status == DP_OK && holds) {
      a->chosen = c;
      a->runner_up = best_admissible(a, tried);
    }
  }
  dpi_free(s->kind->ctx, tried);
  DP_TRY(status);
  if (a->chosen >= 0) {
    a->best_probability = probability_best(s, a->chosen);
    explain_choice(s);
  } else {
    explain_refusal(s, tries);
  }
  return DP_OK;
}

static dp_status run_search(search *s) {
  dp_advice *a = s->advice;
  dp_ctx *ctx = s->kind->ctx;
  DP_TRY(dpi_decide_candidates(s->kind, &a->candidate, &a->ncandidate));
  a->nterm = s->kind->reward.nterm;
  for (int c = 0; c < a->ncandidate; c++)
    if (!(a->candidate[c].term = DPI_NEW_ARRAY(ctx, dp_term_value, a->nterm))) return DP_ERR_MEMORY;
  s->which = DPI_NEW_ARRAY(ctx, int, a->ncandidate);
  s->draw = DPI_NEW_ARRAY(ctx, int, s->patient->belief->ndraw);
  if (!s->which || !s->draw) return DP_ERR_MEMORY;
  DP_TRY(screen_all(s));
  DP_TRY(judge_survivors(s));
  DP_TRY(choose(s));
  return dpi_decide_next(s->kind, s->patient, s->def, &s->screen, s->draw, a);
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
  if (patient->belief->ndraw < 2 || patient->fresh->ndraw < 2)
    return dpi_fail(kind->ctx, DP_ERR_USAGE, "a plan needs at least two draws of the belief");
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
    snprintf(a->reason, sizeof a->reason, "no recommendation, because the posterior may not be used: %.200s",
             patient->belief->usable ? patient->fresh->verdict : patient->belief->verdict);
  else
    status = run_search(&s);
  dpi_free(kind->ctx, s.screen.value);
  dpi_free(kind->ctx, s.full.value);
  dpi_free(kind->ctx, s.draw);
  dpi_free(kind->ctx, s.which);
  if (status != DP_OK) {
    dp_advice_destroy(a);
    return status;
  }
  *out = a;
  return DP_OK;
}
