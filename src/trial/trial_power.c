/* trial_power.c - floor 8: power by simulation: trials of the size asked for, of people drawn with replacement from
 * those kept, run as the trial itself is and analysed by the same tests.
 *
 *     one person    a stratum as often as it is found; an arm (or a sequence) by a permuted block of that stratum; then
 *                   somebody who was kept there, with all endpoints, also those that are missing
 *     the end       all comparisons at once: the test of each (trial_compare.c), Holm's correction where the trial has
 *                   it; with looks each comparison ends where it crosses its boundary
 *
 * The share of trials that find a difference has Clopper and Pearson's interval, of the number of trials simulated.
 */
#include <math.h>
#include <string.h>

#include "trial/trial_stats.h"

typedef struct urn { /* people kept, by number */
  int n;
  const int *who;
} urn;

typedef struct power {
  const dpi_trial_tally *w;
  const dp_trial *t;
  dp_trial_result *out;
  bool same;
  int nplace;       /* arms, or sequences of a cross-over; 1 where nothing is chosen */
  int people;       /* of a trial */
  urn *urn;         /* [nplace x nstratum of the randomisation] */
  int *who;         /* [have] what urns have */
  dpi_moments *sum; /* parallel [narm x nend x nstratum]; else [npair x nend x nstratum] */
  size_t nsum;
  short *block; /* [strata x size] the current permuted block, and how many are left of it */
  int *left, size, nlayer;
  int *found, *order;       /* [ndifference] */
  double *p, *holm, *ended; /* [ndifference] ended: people, added up */
  int *which;               /* [ndifference] scratch */
  bool *done;               /* [ndifference] this trial has ended for it */
} power;

/* ---- people ---- */

static int place_of(const power *s, int i) { return s->t->desc.design == DP_TRIAL_PAIRED ? 0 : s->w->group[i]; }
static int layer_of(const power *s, int i) { return s->same ? 0 : s->w->layer[i]; }

/* Who of those kept stands where. */
static void fill_urns(power *s) {
  int n = 0;
  for (int place = 0; place < s->nplace; place++)
    for (int layer = 0; layer < s->nlayer; layer++) {
      urn *u = &s->urn[place * s->nlayer + layer];
      u->who = s->who + n;
      for (int i = 0; i < s->w->have; i++)
        if (place_of(s, i) == place && layer_of(s, i) == layer) s->who[n++] = i;
      u->n = (int)(s->who + n - u->who);
    }
}

/* The next place of a stratum. */
static int next_place(power *s, dpi_rng *rng, int layer) {
  short *block = s->block + layer * s->size;
  if (s->nplace == 1) return 0;
  if (!s->left[layer]) {
    dpi_trial_permute(s->t, rng, block);
    s->left[layer] = s->size;
  }
  return block[s->size - s->left[layer]--];
}

static void add(dpi_moments *m, double v) {
  if (!isfinite(v)) return;
  const double d = v - m->mean;
  m->count++;
  m->mean += d / (double)m->count;
  m->square += d * (v - m->mean);
}

/* All numbers of somebody who was kept. */
static void enter(power *s, const double *value, int place, int layer) {
  const int narm = s->w->narm, nend = s->w->nend, nstratum = s->w->nstratum, stratum = s->same ? place : layer;
  for (int e = 0; e < nend && !s->same; e++)
    add(&s->sum[(place * nend + e) * nstratum + stratum], value[place * nend + e]);
  for (int b = 0, k = 0; b < narm && s->same; b++)
    for (int a = b + 1; a < narm; a++, k++)
      for (int e = 0; e < nend; e++)
        add(&s->sum[(k * nend + e) * nstratum + stratum], value[a * nend + e] - value[b * nend + e]);
}

/* ---- a trial ---- */

/* p of every comparison by now. */
static void test_all(power *s) {
  const int nend = s->w->nend, nstratum = s->w->nstratum, narm = s->w->narm;
  int n = 0;
  for (int b = 0, k = 0; b < narm; b++)
    for (int a = b + 1; a < narm; a++, k++)
      for (int e = 0; e < nend; e++, n++) {
        const dpi_moments *m = &s->sum[(s->same ? k * nend + e : a * nend + e) * nstratum];
        dpi_trial_verdict v;
        dpi_trial_test(m, s->same ? NULL : &s->sum[(b * nend + e) * nstratum], nstratum,
                       s->t->endpoint[e].relation != 0, &v);
        s->p[n] = v.p;
      }
}

/* Look k with so many people (the end: k < 0). */
static void judge(power *s, int k, int people) {
  const double level = k < 0 ? 1 - s->t->confidence : dpi_trial_nominal(s->t, k);
  const int n = s->out->ndifference;
  int m = 0;
  test_all(s);
  for (int i = 0; i < n && s->t->holm; i++)
    if (!isnan(s->p[i])) s->which[m] = i, s->holm[m++] = s->p[i];
  if (s->t->holm) dpi_trial_holm_of(s->holm, m, s->order, s->holm + n);
  for (int i = 0; i < m; i++) s->p[s->which[i]] = s->holm[n + i];
  for (int i = 0; i < n; i++) {
    const bool crossed = k < 0 ? s->p[i] < level : s->p[i] <= level, last = k < 0 || k + 1 == s->t->nlook;
    if (s->done[i] || (!crossed && !last)) continue;
    s->done[i] = true;
    s->found[i] += crossed;
    s->ended[i] += people;
  }
}

static void one_trial(power *s, uint64_t number) {
  const dpi_trial_tally *w = s->w;
  const size_t width = (size_t)w->narm * (size_t)w->nend;
  dpi_rng rng = dpi_rng_make(s->t->desc.seed ^ dpi_hash64("power"), number, DPI_TRIAL_POWER);
  int look = 0;
  memset(s->sum, 0, s->nsum * sizeof *s->sum);
  memset(s->left, 0, (size_t)s->nlayer * sizeof *s->left);
  memset(s->done, 0, (size_t)s->out->ndifference * sizeof *s->done);
  for (int i = 0; i < s->people; i++) {
    const int layer = s->nlayer > 1 ? w->layer[dpi_trial_draw(&rng, w->have)] : 0, place = next_place(s, &rng, layer);
    const urn *u = &s->urn[place * s->nlayer + layer];
    if (u->n) enter(s, w->kept + (size_t)u->who[dpi_trial_draw(&rng, u->n)] * width, place, layer);
    while (look < s->t->nlook && i + 1 == dpi_trial_look_at(s->t, look, s->people)) judge(s, look++, i + 1);
  }
  if (!s->t->nlook) judge(s, -1, s->people);
}

/* ---- all trials ---- */

/* Does everybody of a stratum find somebody to be drawn in either arm? */
static bool strata_are_full(const power *s, const dp_trial_difference *d) {
  for (int layer = 0; layer < s->nlayer && s->nlayer > 1; layer++) {
    int all = 0;
    for (int place = 0; place < s->nplace; place++) all += s->urn[place * s->nlayer + layer].n;
    if (all && (!s->urn[d->arm * s->nlayer + layer].n || !s->urn[d->against * s->nlayer + layer].n)) return false;
  }
  return true;
}

/* Is there something to draw from? Two people with a number in either arm, in every sequence; in all strata somebody of
 * either arm, for those who are not there would be missing in every trial. NULL: yes; else why not. */
static const char *not_drawn_from(const power *s, const dp_trial_difference *d) {
  static const char few[] = "none: fewer than two people with a number to draw from",
                    empty[] = "none: a stratum has nobody in one of the arms";
  const dpi_trial_tally *w = s->w;
  const size_t width = (size_t)w->narm * (size_t)w->nend;
  int count[DPI_TRIAL_STRATA] = {0};
  for (int i = 0; i < w->have; i++) {
    const double *v = w->kept + (size_t)i * width, x = v[d->arm * w->nend + d->endpoint],
                 y = v[d->against * w->nend + d->endpoint];
    if (s->same ? isfinite(x - y) : isfinite(x) || isfinite(y)) count[place_of(s, i)]++;
  }
  if (!s->same && (count[d->arm] < 2 || count[d->against] < 2)) return few;
  if (!s->same) return strata_are_full(s, d) ? NULL : empty;
  for (int k = 0; k < s->nplace; k++)
    if (count[k] < 2) return few;
  return NULL;
}

static dp_status make_room(power *s) {
  dp_ctx *ctx = s->t->ctx;
  const dpi_trial_tally *w = s->w;
  const size_t n = (size_t)s->out->ndifference + 1;
  s->nplace = s->t->desc.design == DP_TRIAL_PAIRED ? 1 : w->narm;
  s->nlayer = s->same ? 1 : w->nstratum;
  s->size = w->narm * s->t->block;
  s->people = s->same ? s->t->power_n : s->t->power_n * w->narm;
  s->nsum = (size_t)(s->same ? dpi_trial_npair(w) : w->narm) * (size_t)w->nend * (size_t)w->nstratum;
  s->urn = DPI_NEW_ARRAY(ctx, urn, s->nplace * s->nlayer);
  s->who = DPI_NEW_ARRAY(ctx, int, w->have + 1);
  s->sum = DPI_NEW_ARRAY(ctx, dpi_moments, s->nsum + 1);
  s->block = DPI_NEW_ARRAY(ctx, short, (size_t)s->nlayer *(size_t)s->size);
  s->left = DPI_NEW_ARRAY(ctx, int, s->nlayer);
  s->found = DPI_NEW_ARRAY(ctx, int, n);
  s->order = DPI_NEW_ARRAY(ctx, int, n);
  s->which = DPI_NEW_ARRAY(ctx, int, n);
  s->p = DPI_NEW_ARRAY(ctx, double, n);
  s->holm = DPI_NEW_ARRAY(ctx, double, 2 * n);
  s->ended = DPI_NEW_ARRAY(ctx, double, n);
  s->done = DPI_NEW_ARRAY(ctx, bool, n);
  return s->urn && s->who && s->sum && s->block && s->left && s->found && s->order && s->which && s->p && s->holm &&
                 s->ended && s->done
             ? DP_OK
             : DP_ERR_MEMORY;
}

dp_status dpi_trial_power(const dpi_trial_tally *w, dp_trial_result *out) {
  const dp_trial *t = w->t;
  power s = {.w = w, .t = t, .out = out, .same = dpi_trial_same_people(t)};
  dp_status status = make_room(&s);
  if (status == DP_OK) fill_urns(&s);
  for (int k = 0; k < t->power_trials && status == DP_OK && out->ndifference; k++) {
    if (dp_ctx_cancelled(t->ctx)) status = DP_ERR_CANCELLED;
    one_trial(&s, (uint64_t)k);
  }
  for (int i = 0; i < out->ndifference && status == DP_OK; i++) {
    dp_trial_difference *d = &out->difference[i];
    d->power_n = t->power_n;
    d->power_trials = t->power_trials;
    d->power_method = not_drawn_from(&s, d);
    if (d->power_method) continue;
    d->power_method = t->holm ? "trials drawn with replacement from the people kept, the same tests, Holm's correction"
                              : "trials drawn with replacement from the people kept, the same tests";
    d->power = (double)s.found[i] / t->power_trials;
    dpi_binomial_bounds(s.found[i], t->power_trials, 0.95, &d->power_low, &d->power_high);
    if (t->nlook) d->power_people = s.ended[i] / t->power_trials;
  }
  void *const block[] = {s.urn, s.who, s.sum, s.block, s.left, s.found, s.order, s.which, s.p, s.holm, s.ended, s.done};
  for (int k = 0; k < DPI_COUNT(block); k++) dpi_free(t->ctx, block[k]);
  return status;
}
