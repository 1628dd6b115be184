/* vpc.c - floor 6: the visual predictive check, first half: the whole data set simulated again and again.
 *
 * Replicate r of a person takes its effects, its residual errors and the model's own stream from counters that r alone
 * decides, under the person's stream: no draw depends on who else is there, on batches or on threads. Typical values carry no
 * uncertainty here: the check is of a law, not of a forecast.
 */
#include <math.h>
#include <string.h>

#include "infer/population/vpc_impl.h"

enum { CHUNK = 500, MOST_REPLICATES = 100000, MOST_BINS = 1000 };
#define MOST_VALUES 200000000.0 /* simulated ones that are held at the same time: 1.6 GB */

dp_vpc_def dp_vpc_def_default(void) {
  return (dp_vpc_def){.cookie = 0x76706331u, .seed = 1, .nreplicate = 500, .correction = "none"};
}

static dp_status def_check(const dp_kind *kind, const dp_prior *prior, const dp_vpc_def *d) {
  dp_ctx *ctx = kind->ctx;
  if (d->cookie != dp_vpc_def_default().cookie)
    return dpi_fail(ctx, DP_ERR_USAGE, "dp_vpc_def: start from dp_vpc_def_default()");
  if (d->nreplicate < 20 || d->nreplicate > MOST_REPLICATES)
    return dpi_fail(ctx, DP_ERR_USAGE, "visual predictive check: found %d replicates, expected 20 to %d", d->nreplicate,
                    MOST_REPLICATES);
  if (d->nbin < 0 || d->nbin > MOST_BINS)
    return dpi_fail(ctx, DP_ERR_USAGE, "visual predictive check: found %d bins, expected 1 to %d", d->nbin, MOST_BINS);
  if (!d->correction || (strcmp(d->correction, "none") != 0 && strcmp(d->correction, "ratio") != 0 &&
                         strcmp(d->correction, "difference") != 0))
    return dpi_fail(ctx, DP_ERR_USAGE, "visual predictive check: correction: found '%s', expected none, ratio or difference",
                    d->correction ? d->correction : "");
  if (d->edge && (d->nedge < 2 || d->nedge > MOST_BINS + 1))
    return dpi_fail(ctx, DP_ERR_USAGE, "visual predictive check: found %d edges of bins, expected 2 to %d", d->nedge,
                    MOST_BINS + 1);
  for (int k = 0; d->edge && k < d->nedge; k++)
    if (!isfinite(d->edge[k]) || (k > 0 && !(d->edge[k] > d->edge[k - 1])))
      return dpi_fail(ctx, DP_ERR_USAGE, "visual predictive check: edge %d of the bins: found %g, expected more than the one before",
                      k + 1, d->edge[k]);
  if (prior->neffect != kind->neffect || prior->nparam != kind->nparam)
    return dpi_fail(ctx, DP_ERR_USAGE, "prior of %d parameters and %d effects: kind %s has %d and %d", prior->nparam,
                    prior->neffect, kind->id, kind->nparam, kind->neffect);
  if (strcmp(d->correction, "none") != 0 && (dp_sim_describe(kind->ensemble)->caps & DP_CAP_STOCHASTIC))
    return dpi_fail(ctx, DP_ERR_UNSUPPORTED,
                    "prediction-corrected check of kind %s: its course is random, so it has no one prediction at effects 0", kind->id);
  return DP_OK;
}

/* ---- the samples ---- */

/* Time since the last dose that the row of an observation has behind it; NaN: none. */
static double since_dose(const dpi_case *c, const dpi_case_obs *o) {
  const dp_output_time at = c->out[o->row];
  dp_time last = INT64_MIN;
  for (int i = 0; i < c->ninstant; i++) {
    const dp_instant *d = &c->instant[i];
    if (d->type != DP_ADD && d->type != DP_INFUSE) continue;
    if (d->time > at.time || (d->time == at.time && d->order > at.order)) continue;
    dp_time k = d->interval > 0 ? (at.time - d->time) / d->interval : 0;
    if (k > d->repeats) k = d->repeats;
    if (d->time + k * d->interval > last) last = d->time + k * d->interval;
  }
  return last == INT64_MIN ? NAN : (double)(at.time - last) / (double)DP_TICKS;
}

/* A limit that only the censored rows name holds for the other rows of the observable too: simulated values need one. */
static dp_status spread_limits(dpi_vpc_work *w) {
  for (int o = 0; o < w->kind->nobservable; o++) {
    double one = -INFINITY;
    bool several = false, open = false;
    for (int i = 0; i < w->nsample; i++) {
      const dpi_vpc_sample *s = &w->sample[i];
      if (s->observable != o) continue;
      if (!isfinite(s->limit)) open = true;
      else if (s->below && isinf(one)) one = s->limit;
      else if (s->below && s->limit != one) several = true;
    }
    if (isinf(one) || !open) continue;
    if (several)
      return dpi_fail(w->ctx, DP_ERR_UNSUPPORTED,
                      "visual predictive check: observable '%s' has values below several limits of quantification, and rows that name "
                      "none; give each row its limit (column LLOQ)",
                      w->kind->observable[o].id);
    for (int i = 0; i < w->nsample; i++)
      if (w->sample[i].observable == o && !isfinite(w->sample[i].limit)) {
        w->sample[i].limit = one;
        w->sample[i].below = w->sample[i].y < one; /* a simulated value there counts as below too */
      }
  }
  return DP_OK;
}

static dp_status collect(dpi_vpc_work *w, const dp_record *record) {
  DP_TRY(dpi_refuse_links(w->kind, "predictive checks"));
  w->npeople = record->nsubject;
  w->person = DPI_ARENA_ARRAY(&w->arena, dpi_person *, w->npeople + 1);
  if (!w->person) return DP_ERR_MEMORY;
  for (int i = 0; i < w->npeople; i++) {
    DP_TRY(dpi_person_create(w->kind, record, i, INFINITY, false, &w->person[i]));
    w->person[i]->typical = w->prior->typical;
    w->nsample += w->person[i]->nobs;
  }
  if (w->nsample == 0)
    return dpi_fail(w->ctx, DP_ERR_INPUT, "%s: found no measured value, expected some for a visual predictive check", record->source);
  if ((double)w->nsample * w->def->nreplicate > MOST_VALUES)
    return dpi_fail(w->ctx, DP_ERR_INPUT, "visual predictive check: %d values times %d replicates, expected at most %.0f in all",
                    w->nsample, w->def->nreplicate, MOST_VALUES);
  w->sample = DPI_ARENA_ARRAY(&w->arena, dpi_vpc_sample, w->nsample);
  w->y = DPI_ARENA_ARRAY(&w->arena, double, (size_t)w->nsample *(size_t)w->def->nreplicate);
  if (!w->sample || !w->y) return DP_ERR_MEMORY;
  dpi_vpc_sample *s = w->sample;
  for (int i = 0; i < w->npeople; i++)
    for (int j = 0; j < w->person[i]->nobs; j++, s++) {
      const dpi_case_obs *o = &w->person[i]->c->obs[j];
      *s = (dpi_vpc_sample){.observable = o->observable, .y = o->value, .below = o->censored != 0, .bin = -1};
      s->limit = isfinite(o->limit) ? o->limit : -INFINITY;
      s->time = w->def->after_dose ? since_dose(w->person[i]->c, o) : o->time;
    }
  return spread_limits(w);
}

/* ---- simulations ---- */

typedef struct room { /* of one person's chunk */
  double *omega, *chol, *eta, *f, *s, *individual;
  uint8_t *ok;
  uint64_t *stream;
} room;

static bool room_take(dpi_arena *arena, const dpi_person *p, room *m) {
  size_t n = (size_t)p->c->neta, nobs = (size_t)p->nobs, ne = (size_t)p->c->kind->neffect;
  m->omega = DPI_ARENA_ARRAY(arena, double, n *n + 1);
  m->chol = DPI_ARENA_ARRAY(arena, double, n *n + 1);
  m->eta = DPI_ARENA_ARRAY(arena, double, CHUNK *n + n + 1);
  m->f = DPI_ARENA_ARRAY(arena, double, CHUNK *nobs + 1);
  m->s = DPI_ARENA_ARRAY(arena, double, CHUNK *nobs + 1);
  m->individual = DPI_ARENA_ARRAY(arena, double, CHUNK *ne + 1);
  m->ok = DPI_ARENA_ARRAY(arena, uint8_t, CHUNK);
  m->stream = DPI_ARENA_ARRAY(arena, uint64_t, CHUNK);
  return m->omega && m->chol && m->eta && m->f && m->s && m->individual && m->ok && m->stream;
}

/* Factor of the covariance of all directions of a person; rows without variance are 0. */
static dp_status factor(const dpi_vpc_work *w, const dpi_person *p, room *m) {
  int n = p->c->neta;
  dpi_person_omega(p, w->prior->omega, m->omega);
  memcpy(m->chol, m->omega, sizeof(double) * (size_t)n * (size_t)n);
  for (int j = 0; j < n; j++)
    if (m->omega[j * n + j] == 0) m->chol[j * n + j] = 1;
  if (!dpi_chol(m->chol, n))
    return dpi_fail(w->ctx, DP_ERR_INPUT, "prior: the covariance of the random effects is not positive definite");
  for (int j = 0; j < n; j++)
    if (m->omega[j * n + j] == 0) m->chol[j * n + j] = 0;
  return DP_OK;
}

static void draw_effects(const dpi_vpc_work *w, const dpi_person *p, const room *m, int replicate, double *eta) {
  int n = p->c->neta;
  dpi_rng rng = dpi_rng_make(w->def->seed, p->c->stream, DPI_RNG_VPC_EFFECT);
  rng.counter = (uint64_t)replicate << 20;
  memset(eta, 0, sizeof(double) * (size_t)n);
  for (int j = 0; j < n; j++) {
    double z = dpi_rng_normal(&rng);
    for (int i = j; i < n; i++) eta[i] += m->chol[i * n + j] * z;
  }
}

/* Residual error on the predictions of a chunk, into y; sample: the person's first. */
static void measure(dpi_vpc_work *w, const dpi_person *p, const room *m, int first, int n, int sample) {
  size_t nrep = (size_t)w->def->nreplicate, nobs = (size_t)p->nobs;
  for (int k = 0; k < n; k++) {
    bool good = m->ok[k];
    dpi_rng rng = dpi_rng_make(w->def->seed, p->c->stream, DPI_RNG_VPC_NOISE);
    rng.counter = (uint64_t)(first + k) << 32;
    for (size_t j = 0; j < nobs; j++) {
      double *y = &w->y[((size_t)sample + j) * nrep + (size_t)(first + k)], z = dpi_rng_normal(&rng);
      *y = good ? dpi_kind_measure(&w->kind->observable[p->c->obs[j].observable], m->f[(size_t)k * nobs + j],
                                   m->s[(size_t)k * nobs + j], z)
                : NAN;
      good = good && isfinite(*y);
    }
    /* whole or not at all: a course that breaks off is no course */
    for (size_t j = 0; !good && j < nobs; j++) w->y[((size_t)sample + j) * nrep + (size_t)(first + k)] = NAN;
    w->nfailed += !good;
  }
}

/* The prediction at effects 0, then all replicates. */
static dp_status one_person(dpi_vpc_work *w, const dpi_person *p, room *m, int sample) {
  const dpi_person_batch out = {m->f, m->s, m->individual, m->ok};
  if (p->nobs == 0) return DP_OK;
  DP_TRY(factor(w, p, m));
  DP_TRY(dpi_person_simulate(p, m->eta, 1, &out));
  for (int j = 0; j < p->nobs; j++) w->sample[sample + j].pred = m->ok[0] ? m->f[j] : NAN;
  for (int first = 0; first < w->def->nreplicate; first += CHUNK) {
    int n = w->def->nreplicate - first < CHUNK ? w->def->nreplicate - first : CHUNK;
    for (int k = 0; k < n; k++) {
      draw_effects(w, p, m, first + k, m->eta + (size_t)k * (size_t)p->c->neta);
      m->stream[k] = dpi_rng_at(w->def->seed, p->c->stream, DPI_RNG_VPC_STREAM, (uint64_t)(first + k));
    }
    DP_TRY(dpi_person_simulate_streams(p, w->kind->ensemble, m->eta, m->stream, n, &out));
    measure(w, p, m, first, n, sample);
  }
  return DP_OK;
}

static dp_status simulate(dpi_vpc_work *w) {
  int sample = 0;
  double all = (double)w->npeople * w->def->nreplicate;
  for (int i = 0; i < w->npeople; i++) {
    dpi_arena arena;
    room m;
    dpi_arena_init(&arena, w->ctx);
    dp_status st = room_take(&arena, w->person[i], &m) ? one_person(w, w->person[i], &m, sample) : DP_ERR_MEMORY;
    dpi_arena_release(&arena);
    if (st != DP_OK) return st;
    sample += w->person[i]->nobs;
  }
  if ((double)w->nfailed > 0.05 * all)
    return dpi_fail(w->ctx, DP_ERR_NUMERIC,
                    "visual predictive check: the model fails for %ld of %.0f simulated people; what is left is no fair sample",
                    w->nfailed, all);
  return DP_OK;
}

static dp_status run(dpi_vpc_work *w, const dp_record *record, dpi_vpc_answer *a) {
  DP_TRY(collect(w, record));
  DP_TRY(simulate(w));
  a->view.nreplicate = w->def->nreplicate;
  a->view.npeople = w->npeople;
  a->view.nfailed = w->nfailed;
  return dpi_vpc_compare(w, a);
}

dp_status dp_vpc_create(const dp_kind *kind, const dp_record *record, const dp_prior *prior, const dp_vpc_def *def,
                        dp_vpc **out) {
  dpi_vpc_work w = {.ctx = kind->ctx, .kind = kind, .def = def, .prior = prior};
  *out = NULL;
  DP_TRY(def_check(kind, prior, def));
  dpi_vpc_answer *a = DPI_NEW(kind->ctx, dpi_vpc_answer);
  if (!a) return DP_ERR_MEMORY;
  dpi_arena_init(&w.arena, kind->ctx);
  dpi_arena_init(&a->arena, kind->ctx);
  a->view.owner = a;
  dp_status st = run(&w, record, a);
  for (int i = 0; w.person && i < w.npeople; i++) dpi_person_destroy(w.person[i]);
  dpi_arena_release(&w.arena);
  if (st == DP_OK)
    *out = &a->view;
  else
    dp_vpc_destroy(&a->view);
  return st;
}

void dp_vpc_destroy(dp_vpc *vpc) {
  if (!vpc) return;
  dpi_vpc_answer *a = vpc->owner;
  dp_ctx *ctx = a->arena.ctx;
  dpi_arena_release(&a->arena);
  dpi_free(ctx, a);
}
