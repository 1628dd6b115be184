/* study.c - all people of one record through the loop, each under a prior made without that person; then the sums that a
 * sceptic asks for. People are run in parallel (each twin on one thread); sums are taken in record order. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "twin/people.h"

#define COOKIE 0x53545544u
#define RESAMPLES 2000
#define ENOUGH 40 /* resamples that an interval is made of */
#define SLIDER_DRAWS 200
#define SLIDER_PROPOSALS 500
#define SLIDER_FAN 25

dp_study_def dp_study_def_default(void) {
  return (dp_study_def){.cookie = COOKIE, .twin = dp_twin_def_default(), .nuntil = 5};
}

void dp_study_destroy(dp_study *s) {
  if (!s) return;
  for (int i = 0; s->twin && i < s->ntwin; i++) dp_twin_destroy(s->twin[i]);
  for (int i = 0; s->at && i < s->ntwin * s->nuntil; i++) dp_twin_destroy(s->at[i]);
  for (int i = 0; s->prior && i < s->ntwin; i++) dp_prior_destroy(s->prior[i]);
  dpi_free(s->ctx, s->twin);
  dpi_free(s->ctx, s->at);
  dpi_free(s->ctx, s->prior);
  dpi_free(s->ctx, s->subject);
  dpi_free(s->ctx, s->until);
  dpi_free(s->ctx, s->score);
  dpi_free(s->ctx, s->worst_first);
  dpi_free(s->ctx, s);
}

/* Round to two significant digits, so that a page can say it. */
static double sayable(double x) {
  if (!(x > 0)) return 0;
  double unit = 1;
  while (unit * 100 <= x) unit *= 10;
  while (unit * 10 > x) unit /= 10;
  unit /= 10;
  return floor(x / unit + 0.5) * unit;
}

/* Values of `until` for the slider: before any sample, then quantiles of all samples' times, with the default among them. */
static dp_status slider(dp_study *s, double until) {
  if (s->nuntil <= 0) return DP_OK;
  int n = 0, total = 0;
  for (int i = 0; i < s->record->nsubject; i++) total += s->record->subject[i].nevent;
  double *time = DPI_NEW_ARRAY(s->ctx, double, total + 1);
  s->until = DPI_NEW_ARRAY(s->ctx, double, s->nuntil);
  if (!time || !s->until) {
    dpi_free(s->ctx, time);
    return DP_ERR_MEMORY;
  }
  for (int i = 0; i < s->record->nsubject; i++)
    for (int k = 0; k < s->record->subject[i].nevent; k++) {
      const dp_event *e = &s->record->subject[i].event[k];
      if (e->evid == 0 && e->time > 0) time[n++] = (double)e->time / (double)DP_TICKS;
    }
  dpi_sort(time, n);
  int kept = 0;
  double nearest = INFINITY;
  int which = 0;
  for (int i = 0; i < s->nuntil; i++) {
    double x = i == 0 || n == 0 ? -1.0 : sayable(time[(int)((double)i / s->nuntil * 0.9 * n)]);
    if (kept && x <= s->until[kept - 1]) continue;
    s->until[kept++] = x;
  }
  for (int i = 1; i < kept && until > s->until[0]; i++)
    if (fabs(s->until[i] - until) < nearest) {
      nearest = fabs(s->until[i] - until);
      which = i;
    }
  if (which > 0) s->until[which] = until;
  s->nuntil = kept;
  dpi_free(s->ctx, time);
  return DP_OK;
}

typedef struct study_work {
  dp_study *s;
  const dpi_people *people;
  dp_twin_def main, slide;
} study_work;

/* One person: prior, the turn, and the slider's turns. Runs on a worker. */
static dp_status one_person(void *user, int i, int worker) {
  study_work *w = user;
  dp_study *s = w->s;
  (void)worker;
  DP_TRY(dpi_people_prior(s->kind, w->people, s->subject[i], s->def.priors, &s->prior[i]));
  DP_TRY(dp_twin_create(s->kind, s->record, s->subject[i], s->prior[i], &w->main, &s->twin[i]));
  DP_TRY(dp_twin_step(s->twin[i]));
  for (int u = 0; u < s->nuntil; u++) {
    dp_twin_def def = w->slide;
    def.until = s->until[u];
    dp_twin **at = &s->at[i * s->nuntil + u];
    DP_TRY(dp_twin_create(s->kind, s->record, s->subject[i], s->prior[i], &def, at));
    DP_TRY(dp_twin_step(*at));
  }
  return DP_OK;
}

/* ---- sums over people ---- */

typedef struct person_sum { /* one person, one observable */
  int n, inside[4], inside_population;
  int given[3]; /* samples that each forecaster said something about */
  double crps[3], abs[3], square[3], twin_where_last;
} person_sum;

static person_sum sum_person(const dp_twin_view *v, int observable) {
  person_sum p = {0};
  for (int i = 0; i < v->nscore; i++) {
    const dp_sample_score *x = &v->score[i];
    if (v->seen[x->observation].observable != observable || isnan(x->crps[DP_BY_TWIN])) continue;
    p.n++;
    for (int w = 0; w < 4; w++) p.inside[w] += x->inside[w];
    p.inside_population += x->inside_population;
    for (int f = 0; f < 3; f++) {
      if (isnan(x->crps[f])) continue; /* no last value yet: nothing was carried forward; or no opponent */
      p.given[f]++;
      p.crps[f] += x->crps[f];
      p.abs[f] += fabs(x->error[f]);
      p.square[f] += x->error[f] * x->error[f];
    }
    if (!isnan(x->crps[DP_BY_LAST])) p.twin_where_last += x->crps[DP_BY_TWIN];
  }
  return p;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void percentile_interval(double *x, int n, double *low, double *high) {
  qsort(x, (size_t)n, sizeof *x, by_value);
  *low = x[(int)(0.025 * n)];
  *high = x[(int)(0.975 * n)];
}

/* Intervals by resampling people: samples of one person are not independent. */
static void resample(const dp_study *s, const person_sum *p, dp_study_score *out, double *cover, double *skill) {
  dpi_rng rng = dpi_rng_make(s->def.twin.seed, (uint64_t)out->observable, DPI_PURPOSE_PEOPLE);
  int kept = 0, compared = 0;
  for (int b = 0; b < RESAMPLES; b++) {
    double n = 0, in = 0, twin = 0, population = 0;
    for (int i = 0; i < s->ntwin; i++) {
      const person_sum *q = &p[(int)(dpi_rng_uniform(&rng) * s->ntwin)];
      n += q->n;
      in += q->inside[2];
      twin += q->crps[DP_BY_TWIN];
      population += q->crps[DP_BY_POPULATION];
    }
    if (n == 0) continue; /* people without sealed samples only */
    cover[kept++] = in / n;
    if (population > 0) skill[compared++] = 1 - twin / population;
  }
  out->coverage_low = out->coverage_high = out->skill_low = out->skill_high = NAN;
  if (kept >= ENOUGH) percentile_interval(cover, kept, &out->coverage_low, &out->coverage_high);
  if (compared >= ENOUGH) percentile_interval(skill, compared, &out->skill_low, &out->skill_high);
}

static dp_status sum_observable(dp_study *s, int observable, dp_study_score *out) {
  person_sum *p = DPI_NEW_ARRAY(s->ctx, person_sum, s->ntwin);
  double *work = DPI_NEW_ARRAY(s->ctx, double, 2 * RESAMPLES);
  if (!p || !work) {
    dpi_free(s->ctx, p);
    dpi_free(s->ctx, work);
    return DP_ERR_MEMORY;
  }
  *out = (dp_study_score){.observable = observable};
  int given[3] = {0};
  for (int i = 0; i < s->ntwin; i++) {
    p[i] = sum_person(dp_twin_look(s->twin[i]), observable);
    out->nsample += p[i].n;
    out->crps_twin_last += p[i].twin_where_last;
    for (int w = 0; w < 4; w++) out->inside[w] += p[i].inside[w];
    out->inside_population += p[i].inside_population;
    for (int f = 0; f < 3; f++) {
      given[f] += p[i].given[f];
      out->crps[f] += p[i].crps[f];
      out->mae[f] += p[i].abs[f];
      out->rmse[f] += p[i].square[f];
    }
  }
  for (int f = 0; f < 3; f++) {
    double n = given[f];
    out->crps[f] = n > 0 ? out->crps[f] / n : NAN;
    out->mae[f] = n > 0 ? out->mae[f] / n : NAN;
    out->rmse[f] = n > 0 ? sqrt(out->rmse[f] / n) : NAN;
  }
  out->nlast = given[DP_BY_LAST];
  out->crps_twin_last = out->nlast ? out->crps_twin_last / out->nlast : NAN;
  out->coverage90 = out->nsample ? (double)out->inside[2] / out->nsample : NAN;
  out->skill = 1 - out->crps[DP_BY_TWIN] / out->crps[DP_BY_POPULATION];
  resample(s, p, out, work, work + RESAMPLES);
  dpi_free(s->ctx, p);
  dpi_free(s->ctx, work);
  return DP_OK;
}

/* Each person's mean CRPS in units of the population forecast's mean over all people (so that mg/L and % add up). */
static void relative(dp_study *s) {
  for (int i = 0; i < s->ntwin; i++) {
    dp_twin_view *v = &s->twin[i]->view;
    int n[3] = {0};
    double sum[3] = {0}, fair = 0;
    for (int k = 0; k < v->nscore; k++) {
      double unit = s->score[v->seen[v->score[k].observation].observable].crps[DP_BY_POPULATION];
      for (int f = 0; f < 3; f++) {
        double c = v->score[k].crps[f];
        if (isnan(c) || !(unit > 0)) continue;
        sum[f] += c / unit;
        n[f]++;
        if (f == DP_BY_LAST) fair += v->score[k].crps[DP_BY_TWIN] / unit;
      }
    }
    for (int f = 0; f < 3; f++) v->rel_crps[f] = n[f] ? sum[f] / n[f] : NAN;
    v->rel_crps_last = n[DP_BY_LAST] ? fair / n[DP_BY_LAST] : NAN;
    if (v->rel_crps[DP_BY_TWIN] > v->rel_crps[DP_BY_POPULATION]) s->nlost++;
    if (v->rel_crps[DP_BY_TWIN] < v->rel_crps[DP_BY_POPULATION]) s->nwon++;
    if (v->rel_crps_last > v->rel_crps[DP_BY_LAST]) s->nlost_last++;
  }
}

/* For a sceptic: first the person in whom the twin did worst against the population's forecast. */
static dp_status order_people(dp_study *s) {
  double *key = DPI_NEW_ARRAY(s->ctx, double, s->ntwin + 1);
  s->worst_first = DPI_NEW_ARRAY(s->ctx, int, s->ntwin + 1);
  if (!key || !s->worst_first) {
    dpi_free(s->ctx, key);
    return DP_ERR_MEMORY;
  }
  for (int i = 0; i < s->ntwin; i++) {
    const dp_twin_view *v = dp_twin_look(s->twin[i]);
    double x = v->rel_crps[DP_BY_POPULATION] - v->rel_crps[DP_BY_TWIN];
    key[i] = isnan(x) ? INFINITY : x;
  }
  dpi_argsort(key, s->ntwin, s->worst_first);
  dpi_free(s->ctx, key);
  return DP_OK;
}

dp_status dpi_study_sum(dp_study *s) {
  s->nscore = s->kind->nobservable;
  s->score = DPI_NEW_ARRAY(s->ctx, dp_study_score, s->nscore);
  if (!s->score) return DP_ERR_MEMORY;
  for (int o = 0; o < s->nscore; o++) DP_TRY(sum_observable(s, o, &s->score[o]));
  relative(s);
  DP_TRY(order_people(s));
  dpi_sha256 *h = dpi_sha256_create(s->ctx);
  if (!h) return DP_ERR_MEMORY;
  for (int i = 0; i < s->ntwin; i++) dpi_sha256_add(h, dp_twin_look(s->twin[i])->hash, 64);
  dpi_sha256_finish(h, s->hash);
  return DP_OK;
}

static dp_status choose_people(dp_study *s) {
  const dp_record *r = s->record;
  s->subject = DPI_NEW_ARRAY(s->ctx, int, r->nsubject + 1);
  if (!s->subject) return DP_ERR_MEMORY;
  for (int i = 0; i < r->nsubject; i++)
    if (!s->def.only || strcmp(s->def.only, r->subject[i].id) == 0) s->subject[s->ntwin++] = i;
  if (s->ntwin == 0)
    return dpi_fail(s->ctx, DP_ERR_INPUT, "%s: no subject with id '%s'; the record has %d, the first is '%s'",
                    r->source, s->def.only ? s->def.only : "", r->nsubject,
                    r->nsubject ? r->subject[0].id : "");
  return DP_OK;
}

static dp_status run(dp_study *s) {
  DP_TRY(choose_people(s));
  DP_TRY(slider(s, isnan(s->def.twin.until) ? s->kind->until : s->def.twin.until));
  s->twin = DPI_NEW_ARRAY(s->ctx, dp_twin *, s->ntwin);
  s->prior = DPI_NEW_ARRAY(s->ctx, dp_prior *, s->ntwin);
  s->at = DPI_NEW_ARRAY(s->ctx, dp_twin *, (size_t)s->ntwin *(size_t)(s->nuntil > 0 ? s->nuntil : 1));
  if (!s->twin || !s->prior || !s->at) return DP_ERR_MEMORY;
  dpi_people people;
  DP_TRY(dpi_people_create(s->kind, s->record, &people));
  s->own = people.itself;
  study_work w = {.s = s, .people = &people, .main = s->def.twin, .slide = s->def.twin};
  w.slide.decide = w.slide.opponent = 0; /* the opponent does not change with `until` */
  w.slide.ndraw = SLIDER_DRAWS;
  w.slide.nproposal = SLIDER_PROPOSALS;
  w.slide.nfan = SLIDER_FAN;
  dp_status status = dpi_parallel_for(s->ctx, s->ntwin, one_person, &w);
  dpi_people_release(&people);
  return status == DP_OK ? dpi_study_sum(s) : status;
}

dp_status dp_study_run(const dp_kind *kind, const dp_record *record, const dp_study_def *def, dp_study **out) {
  *out = NULL;
  if (def->cookie != COOKIE) return dpi_fail(kind->ctx, DP_ERR_USAGE, "dp_study_def not from dp_study_def_default");
  dp_study *s = DPI_NEW(kind->ctx, dp_study);
  if (!s) return DP_ERR_MEMORY;
  *s = (dp_study){.ctx = kind->ctx, .kind = kind, .record = record, .def = *def, .nuntil = def->nuntil};
  double begin = dpi_clock_s();
  dp_status status = run(s);
  if (status != DP_OK) {
    dp_study_destroy(s);
    return status;
  }
  s->seconds = dpi_clock_s() - begin;
  *out = s;
  return DP_OK;
}
