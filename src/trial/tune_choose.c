/* tune_choose.c - floor 8: which candidate is proposed, and why; what stands in the way of others.
 *
 * The search ranks those that hold everything by their rewards; the best of them are looked at again on fresh draws,
 * and the first in that order that holds everything there too is proposed. What is told of it is of the fresh draws:
 * the largest of many rewards on the draws of the search is too large (the winner's curse).
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "num/num.h"
#include "trial/tune_impl.h"

enum { RESAMPLES = 1000 };

static bool good(const dp_tune_verdict *v) { return v->safe && v->better && !isnan(v->reward); }

/* Is a before b? What holds everything first, then what holds all limits, then by the reward. */
static bool before(const dp_tune_verdict *a, const dp_tune_verdict *b) {
  if (good(a) != good(b)) return good(a);
  if (a->safe != b->safe) return a->safe;
  if (isnan(a->reward) || isnan(b->reward)) return !isnan(a->reward);
  return a->reward > b->reward;
}

dp_status dpi_tune_finals(dpi_arena *arena, dp_tune_result *r) {
  r->final = DPI_ARENA_ARRAY(arena, int, DPI_TUNE_FINALS);
  if (!r->final) return DP_ERR_MEMORY;
  r->nfinal = 1; /* the present settings */
  while (r->nfinal < DPI_TUNE_FINALS) {
    int best = -1;
    for (int c = 1; c < r->ncandidate; c++) {
      bool taken = false;
      for (int i = 1; i < r->nfinal; i++) taken = taken || r->final[i] == c;
      if (!taken && (best < 0 || before(&r->candidate[c].verdict, &r->candidate[best].verdict))) best = c;
    }
    if (best < 0 || (r->nfinal > 1 && !good(&r->candidate[best].verdict))) break; /* one at least: the nearest */
    r->final[r->nfinal++] = best;
  }
  return DP_OK;
}

/* ---- how sure ---- */

static bool found(const dp_tune_result *r, int final) { return good(&r->candidate[r->final[final]].verdict); }

/* The final that the rule takes by these draws: the first in the search's order that holds everything; 0: none. */
static dp_status pick(const dp_tune_result *r, const double *value, dp_tune_value *term, int *taken, double *reward) {
  const int nend = r->tune->desc.nendpoint;
  *taken = 0;
  for (int i = 1; i < r->nfinal; i++) {
    dp_tune_verdict v;
    DP_TRY(dp_tune_judge(r->tune, value, value + (size_t)i * (size_t)r->nfresh * (size_t)nend, r->nfresh,
                         r->effective_fresh, term, &v));
    reward[i] = v.reward;
    if (*taken == 0 && found(r, i) && good(&v)) *taken = i;
  }
  return DP_OK;
}

static dp_status resample(dp_tune_result *r, const double *value, uint64_t seed, double *work, dp_tune_value *term) {
  const size_t nend = (size_t)r->tune->desc.nendpoint, n = (size_t)r->nfresh;
  int same = 0, beats = 0;
  double reward[DPI_TUNE_FINALS];
  for (int k = 0; k < RESAMPLES; k++) {
    dpi_rng rng = dpi_rng_make(seed, (uint64_t)k, DPI_TRIAL_RESAMPLE);
    for (size_t i = 0; i < n; i++) {
      size_t from = (size_t)(dpi_rng_uniform(&rng) * (double)n);
      if (from >= n) from = n - 1;
      for (size_t c = 0; c < (size_t)r->nfinal; c++)
        memcpy(work + (c * n + i) * nend, value + (c * n + from) * nend, sizeof *work * nend);
    }
    int taken;
    DP_TRY(pick(r, work, term, &taken, reward));
    same += taken == r->proposed;
    if (r->runner_up > 0) beats += reward[r->proposed] > reward[r->runner_up];
  }
  r->best_probability = (double)same / RESAMPLES;
  if (r->runner_up > 0) r->beats_runner_up = (double)beats / RESAMPLES;
  return DP_OK;
}

static dp_status how_sure(dp_tune_result *r, const double *value, uint64_t seed) {
  const dp_tune_desc *d = &r->tune->desc;
  if (r->proposed < 0) return DP_OK;
  double *work = DPI_NEW_ARRAY(r->ctx, double, (size_t)r->nfinal *(size_t)r->nfresh *(size_t)d->nendpoint);
  dp_tune_value *term = DPI_NEW_ARRAY(r->ctx, dp_tune_value, d->nterm);
  const dp_status status = work && term ? resample(r, value, seed, work, term) : DP_ERR_MEMORY;
  dpi_free(r->ctx, work);
  dpi_free(r->ctx, term);
  return status;
}

/* ---- what stands in the way ---- */

/* Terms that alone keep out a candidate of the search whose reward is larger than the proposal's. */
static dp_status find_binding(dpi_arena *arena, dp_tune_result *r) {
  const dp_tune_desc *d = &r->tune->desc;
  const double least = r->proposed > 0 ? r->candidate[r->final[r->proposed]].verdict.reward : -INFINITY;
  r->binding = DPI_ARENA_ARRAY(arena, int, d->nterm);
  if (!r->binding) return DP_ERR_MEMORY;
  for (int t = 0; t < d->nterm; t++) {
    bool binds = false;
    for (int c = 1; c < r->ncandidate && !binds; c++) {
      int nbroken = 0;
      for (int k = 0; k < d->nterm; k++) nbroken += !r->candidate[c].term[k].holds;
      binds = nbroken == 1 && !r->candidate[c].term[t].holds && r->candidate[c].verdict.reward > least;
    }
    if (binds) r->binding[r->nbinding++] = t;
  }
  return DP_OK;
}

static bool somebody_holds(const dp_tune_result *r, unsigned set) {
  for (int c = 0; c < r->ncandidate; c++) {
    bool all = true;
    for (int t = 0; t < DPI_TUNE_LIMITS && all; t++) all = !(set >> t & 1) || r->candidate[c].term[t].holds;
    if (all) return true;
  }
  return false;
}

/* The smallest set of limits that no candidate holds together; of equals the first in the file's order. */
static dp_status find_conflict(dpi_arena *arena, dp_tune_result *r) {
  const int n = r->tune->nlimit;
  r->conflict = DPI_ARENA_ARRAY(arena, int, n + 1);
  if (!r->conflict) return DP_ERR_MEMORY;
  for (int size = 1; size <= n; size++)
    for (unsigned set = 1; set < 1u << n; set++) {
      int members = 0;
      for (int t = 0; t < n; t++) members += set >> t & 1;
      if (members != size || somebody_holds(r, set)) continue;
      for (int t = 0; t < n; t++)
        if (set >> t & 1) r->conflict[r->nconflict++] = t;
      return DP_OK;
    }
  return DP_OK;
}

/* ---- words ---- */

static void add_value(dpi_str *s, const dp_tune_desc *d, int t, const dp_tune_value *v) {
  const dp_tune_term *term = &d->term[t];
  if (term->goal == DP_TUNE_MEAN)
    dpi_str_addf(s, "%s: %.3g %s", term->text, v->value, d->endpoint[term->endpoint].unit);
  else if (term->goal == DP_TUNE_SHARE)
    dpi_str_addf(s, "%s: %.1f %%", term->text, 100 * v->value);
  else
    dpi_str_addf(s, "%s: %.1f %%, at the bound %.1f %%", term->text, 100 * v->value,
                 100 * (term->at_least ? v->low : v->high));
}

/* What of it does not hold. */
static void add_broken(dpi_str *s, const dp_tune_desc *d, const dp_tune_candidate *c) {
  int n = 0;
  for (int t = 0; t < d->nterm; t++) {
    if (c->term[t].holds) continue;
    dpi_str_add(s, n++ ? "; " : "");
    add_value(s, d, t, &c->term[t]);
  }
  if (n == 0) dpi_str_add(s, "its reward is no number");
}

/* What lies between the proposal and the runner-up: settings, and terms that have other values. */
static void say_between(const dp_tune_result *r, dpi_str *s) {
  const dp_tune_desc *d = &r->tune->desc;
  const dp_tune_candidate *a = &r->again[r->proposed], *b = &r->again[r->runner_up];
  int n = 0;
  dpi_str_add(s, "; between them lie");
  for (int k = 0; k < d->nsetting; k++)
    if (a->setting[k] != b->setting[k])
      dpi_str_addf(s, "%s %s %.4g for %.4g", n++ ? "," : "", d->setting[k].id, a->setting[k], b->setting[k]);
  for (int t = 0; t < d->nterm; t++) {
    const bool mean = d->term[t].goal == DP_TUNE_MEAN;
    const double x = a->term[t].value, y = b->term[t].value;
    if (x != y) dpi_str_addf(s, mean ? ", %s %+.3g for %+.3g" : ", %s %.3g for %.3g", d->term[t].id, x, y);
  }
}

static void say_nearest(const dp_tune_result *r, dpi_str *s) {
  dpi_str_addf(s, "the nearest, %s, fails in the search: ", r->candidate[r->final[1]].text);
  add_broken(s, &r->tune->desc, &r->candidate[r->final[1]]);
}

static void say_kept(const dp_tune_result *r, dpi_str *s) {
  const dp_tune_desc *d = &r->tune->desc;
  if (r->nfinal < 2) {
    dpi_str_add(s, "there are no others");
    return;
  }
  if (found(r, 1)) { /* then all of them are */
    const char *where = r->fresh_new ? "on fresh draws" : "when looked at again";
    const bool one = r->nfinal == 2;
    dpi_str_addf(s, "the best %d of the search, which %s everything there, %s not %s; the first, %s, fails there: ",
                 r->nfinal - 1, one ? "holds" : "hold", one ? "does" : "do", where, r->again[1].text);
    add_broken(s, d, &r->again[1]);
  } else {
    dpi_str_addf(s, "none of %d others holds every limit and condition; ", r->ncandidate - 1);
    say_nearest(r, s);
  }
}

static void say_unsafe(const dp_tune_result *r, dpi_str *s) {
  const dp_tune_desc *d = &r->tune->desc;
  int nsafe = 0;
  for (int c = 1; c < r->ncandidate; c++) nsafe += r->candidate[c].verdict.safe;
  if (r->nconflict) {
    dpi_str_addf(s, "no safe setting: none of %d candidates holds", r->ncandidate);
    for (int i = 0; i < r->nconflict; i++)
      dpi_str_addf(s, "%s '%s' (%s)", i ? " with" : "", d->term[r->conflict[i]].id, d->term[r->conflict[i]].text);
    return;
  }
  dpi_str_add(s, nsafe ? "the present settings break" : "no safe setting: the present ones break");
  for (int t = 0, n = 0; t < r->tune->nlimit; t++)
    if (!r->again[0].term[t].holds) dpi_str_addf(s, "%s '%s'", n++ ? "," : "", d->term[t].id);
  if (nsafe)
    dpi_str_addf(s, "; %d of %d others %s every limit in the search, none of them is better: ", nsafe,
                 r->ncandidate - 1, nsafe == 1 ? "holds" : "hold");
  else
    dpi_str_add(s, "; ");
  if (nsafe && !found(r, 1))
    say_nearest(r, s);
  else
    say_kept(r, s);
}

static dp_status say(dpi_arena *arena, dp_tune_result *r) {
  dpi_str s;
  dpi_str_init(&s, r->ctx);
  if (r->outcome == DP_TUNE_PROPOSED) {
    dpi_str_addf(&s, "every limit and condition holds on %d %sdraws; reward %.4g", r->nfresh,
                 r->fresh_new ? "fresh " : "", r->again[r->proposed].verdict.reward);
    if (r->runner_up > 0) {
      dpi_str_addf(&s, ", of the runner-up %.4g", r->again[r->runner_up].verdict.reward);
      say_between(r, &s);
    }
  } else if (r->outcome == DP_TUNE_KEEP) {
    dpi_str_add(&s, "keep the present settings: ");
    say_kept(r, &s);
  } else {
    say_unsafe(r, &s);
  }
  r->reason = s.failed ? NULL : dpi_arena_strdup(arena, dpi_str_text(&s));
  dpi_str_release(&s);
  return r->reason ? DP_OK : DP_ERR_MEMORY;
}

/* ---- the whole ---- */

dp_status dpi_tune_conclude(dpi_arena *arena, dp_tune_result *r, const double *value, uint64_t seed) {
  r->proposed = r->runner_up = -1;
  for (int i = 1; i < r->nfinal && r->proposed < 0; i++)
    if (found(r, i) && good(&r->again[i].verdict)) r->proposed = i;
  for (int i = 1; i < r->nfinal; i++)
    if (i != r->proposed && (r->runner_up < 0 || before(&r->again[i].verdict, &r->again[r->runner_up].verdict)))
      r->runner_up = i;
  r->outcome = r->proposed > 0 ? DP_TUNE_PROPOSED : r->again[0].verdict.safe ? DP_TUNE_KEEP : DP_TUNE_NO_SAFE;
  DP_TRY(how_sure(r, value, seed));
  DP_TRY(find_binding(arena, r));
  if (r->outcome == DP_TUNE_NO_SAFE) DP_TRY(find_conflict(arena, r));
  return say(arena, r);
}
