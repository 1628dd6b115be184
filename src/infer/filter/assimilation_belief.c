/* assimilation_belief.c - floor 6, folder filter: what is thought after the readings so far, and what is to come.  D
 * -> Q */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "infer/filter/assimilation.h"
#include "infer/filter/statics_impl.h"
#include "infer/infer.h"

const double dp_outlook_level[DP_OUTLOOK_NLEVEL] = {.025, .05, .25, .50, .75, .95, .975};

/* ---- forecasts ---- */

static dp_status mixture(dp_assimilation *a, dp_time time, int sensor, dpi_arena *arena, dpi_outlook *out) {
  if (a->ndrift && time < a->last)
    return dpi_fail(
        a->ctx, DP_ERR_USAGE,
        "a forecast is asked for at a time before the last reading: with drifting sensors time goes forward");
  if (a->statics) return dpi_outlook_statics(a->statics, time, sensor, arena, out);
  dpi_filter *f = NULL; /* a copy: time may lie before its last reading, and effects do not change with time */
  if (a->ndrift || time >= a->last) return dpi_outlook_filter(a->filter, time, sensor, arena, out);
  DP_TRY(dpi_filter_fork(a->filter, &f));
  f->now->time = a->process->start;
  dp_status status = dpi_outlook_filter(f, time, sensor, arena, out);
  dpi_filter_destroy(f);
  return status;
}

dp_status dp_assimilation_forecast(dp_assimilation *a, const dp_observation *at, dp_outlook *out) {
  dpi_outlook m;
  dpi_reading r;
  *out = dpi_outlook_unknown();
  DP_TRY(dpi_assimilation_reading(a, at, 0, &r));
  dpi_arena arena;
  dpi_arena_init(&arena, a->ctx);
  dp_status status = mixture(a, r.time, at->sensor, &arena, &m);
  uint64_t seed = dpi_rng_at(a->def.seed, (uint64_t)r.time, DPI_RNG_FILTER_OUTLOOK, (uint64_t)at->sensor);
  if (status == DP_OK) status = dpi_outlook_tell(&m, at, seed, &arena, out);
  dpi_arena_release(&arena);
  return status;
}

/* ---- the verdict ---- */

enum { NAME = 160 };

/* The end of a path says more than its beginning. */
static const char *end_of(const char *path) {
  const size_t len = strlen(path), most = 70;
  return len > most ? path + (len - most) : path;
}

/* A reading of the record by its time in the process: what, when, and where it stands. sensor -1: of several at that
 * time the first. */
static void name_reading(const dp_assimilation *a, dp_time time, int sensor, char out[NAME]) {
  snprintf(out, NAME, "some reading");
  if (a->calib && (time < 1 || time > a->nrecord)) return;
  if (a->calib) { /* the process's time is a measurement's number */
    const dp_observation *o = &a->record_obs[time - 1];
    snprintf(out, NAME, "the measurement at %.70s (%.40s, time %.6g)",
             end_of(dp_problem_describe(a->calib)->datum_where[a->datum[time - 1]]), a->desc[o->sensor].id, o->time);
    return;
  }
  for (int k = 0; k < a->nrecord; k++) {
    const dp_observation *o = &a->record_obs[k];
    dpi_reading r;
    if (dpi_assimilation_reading(a, o, k, &r) != DP_OK) {
      dp_ctx_clear_error(a->ctx);
      continue;
    }
    if (r.time != time || (sensor >= 0 && r.sensor != sensor)) continue;
    snprintf(out, NAME, "the reading of %.30s at %.6g %.10s (%.70s:%d)", a->desc[o->sensor].id, o->time,
             a->kind->time_unit, end_of(a->record->source), o->line);
    return;
  }
}

void dp_assimilation_judge(dp_assimilation *a, dp_assimilation_report *r) {
  *r = (dp_assimilation_report){.method = a->method,
                                .nread = a->nread,
                                .nmissing = a->nmissing,
                                .nlate = a->nlate,
                                .nparticle = a->def.nparticle,
                                .accept = NAN};
  if (a->statics) {
    const dpi_statics_report *s = dpi_statics_judge(a->statics);
    bool adopted = a->draw && !s->nrestart && !a->statics->def.nested;
    r->evidence = s->evidence + (adopted ? a->known_evidence : 0);
    r->ninner = s->ninner;
    r->ess = s->ess;
    r->ess_least = s->ess_least;
    r->nrejuvenate = s->nrejuvenate;
    r->nrestart = s->nrestart;
    if (s->nsweep) r->accept = s->accept;
    r->usable = s->usable;
    snprintf(r->verdict, sizeof r->verdict, "%s", s->verdict);
    if (a->statics->lost) {
      char what[NAME];
      const char *rest = strchr(s->verdict, ';');
      name_reading(a, a->statics->lost_time, a->statics->lost_sensor, what);
      snprintf(r->verdict, sizeof r->verdict, "no particle could explain %s%.60s", what, rest ? rest : "");
    }
  } else {
    dpi_filter_report f;
    dpi_filter_judge(a->filter, &f);
    r->evidence = f.evidence + (a->draw ? a->known_evidence : 0);
    r->ess = f.ess;
    r->ess_least = f.ess_least;
    r->nrestart = f.nrestart;
    r->usable = f.usable;
    const dpi_place *now = a->filter->now;
    if (now->lost) {
      char what[NAME];
      name_reading(a, now->lost_time, now->lost_sensor, what);
      snprintf(f.verdict, sizeof f.verdict, "no member could explain %s", what);
    }
    snprintf(r->verdict, sizeof r->verdict, "%.170s; an approximation: %s and readings taken as jointly normal",
             f.verdict, a->calib ? "parameters" : "effects");
  }
  if (a->calib || !a->kind->discrepancy) return;
  size_t at = strlen(r->verdict);
  snprintf(r->verdict + at, sizeof r->verdict - at, "; without the kind's model-discrepancy term");
}

/* ---- the belief ---- */

dp_status dpi_assimilation_cloud(dp_assimilation *a, dpi_arena *arena, dpi_cloud *c) {
  if (a->statics) {
    dpi_statics *s = a->statics;
    double *logp = DPI_ARENA_ARRAY(arena, double, (size_t)s->n + 1);
    if (!logp) return DP_ERR_MEMORY;
    for (int i = 0; i < s->n; i++) logp[i] = s->logprior[i] + (s->ntaken ? s->past[i] : 0);
    *c = (dpi_cloud){s->n, s->x, s->weight, logp};
    return DP_OK;
  }
  int nz = dpi_filter_nstate(a->filter), n = a->def.nparticle;
  double *z = DPI_ARENA_ARRAY(arena, double, (size_t)n *(size_t)nz + 1);
  double *x = DPI_ARENA_ARRAY(arena, double, (size_t)n *(size_t)a->nfree + 1);
  double *w = DPI_ARENA_ARRAY(arena, double, (size_t)n + 1);
  if (!z || !x || !w) return DP_ERR_MEMORY;
  DP_TRY(dpi_filter_members(a->filter, z, w));
  for (int i = 0; i < n; i++)
    memcpy(x + (size_t)i * (size_t)a->nfree, z + (size_t)i * (size_t)nz, (size_t)a->nfree * sizeof(double));
  *c = (dpi_cloud){n, x, w, NULL};
  return DP_OK;
}

static dp_status belief_new(const dp_assimilation *a, dp_belief **out) {
  dp_belief *b = *out = DPI_NEW(a->ctx, dp_belief);
  if (!b) return DP_ERR_MEMORY;
  size_t nd = (size_t)a->def.ndraw, n = (size_t)a->c->neta;
  b->ctx = a->ctx;
  b->ndraw = a->def.ndraw;
  b->neta = a->c->neta;
  b->nindividual = a->kind->neffect;
  b->nobs = a->nread + a->nknown;
  b->khat = b->ppc_p = b->nll = NAN;
  b->eta = DPI_NEW_ARRAY(a->ctx, double, nd *n + 1);
  b->individual = DPI_NEW_ARRAY(a->ctx, double, nd *(size_t)b->nindividual + 1);
  b->weight = DPI_NEW_ARRAY(a->ctx, double, nd);
  b->mode = DPI_NEW_ARRAY(a->ctx, double, n + 1);
  b->covariance = DPI_NEW_ARRAY(a->ctx, double, n *n + 1);
  return b->eta && b->individual && b->weight && b->mode && b->covariance ? DP_OK : DP_ERR_MEMORY;
}

/* Draws of equal weight; mean, covariance and the best one from the weighted ones. */
static dp_status fill_draws(const dp_assimilation *a, const dpi_cloud *c, dp_belief *b) {
  int d = a->nfree, best = 0, *index = DPI_NEW_ARRAY(a->ctx, int, b->ndraw);
  double mean[DPI_EIG_MAX] = {0};
  if (!index) return DP_ERR_MEMORY;
  dpi_rng rng = dpi_rng_make(a->def.seed, a->c->stream + (uint64_t)a->nread, DPI_RNG_RESAMPLE);
  dpi_resample(c->weight, c->n, dpi_rng_uniform(&rng), b->ndraw, index);
  for (int k = 0; k < b->ndraw; k++) {
    b->weight[k] = 1.0 / b->ndraw;
    for (int j = 0; j < d; j++)
      b->eta[(size_t)k * (size_t)b->neta + (size_t)a->free[j]] = c->x[(size_t)index[k] * (size_t)d + (size_t)j];
  }
  dpi_free(a->ctx, index);
  for (int i = 0; i < c->n; i++) {
    if (!(c->weight[i] > 0)) continue;
    for (int j = 0; j < d; j++) mean[j] += c->weight[i] * c->x[(size_t)i * (size_t)d + (size_t)j];
    if (c->logp && (!(c->weight[best] > 0) || c->logp[i] > c->logp[best])) best = i;
  }
  for (int i = 0; i < c->n; i++)
    for (int j = 0; j < d && c->weight[i] > 0; j++)
      for (int k = 0; k < d; k++)
        b->covariance[a->free[j] * b->neta + a->free[k]] += c->weight[i] *
                                                            (c->x[(size_t)i * (size_t)d + (size_t)j] - mean[j]) *
                                                            (c->x[(size_t)i * (size_t)d + (size_t)k] - mean[k]);
  for (int j = 0; j < d; j++) b->mode[a->free[j]] = c->logp ? c->x[(size_t)best * (size_t)d + (size_t)j] : mean[j];
  if (c->logp) b->nll = -c->logp[best];
  return DP_OK;
}

/* Draws that follow each other and are equal are simulated once: the distinct ones are brought to the front of eta
 * [*n x neta];
 * of [ndraw]: which one each draw is. */
static void pack(const dp_belief *b, double *eta, int *of, int *n) {
  const size_t d = (size_t)b->neta;
  *n = 0;
  for (int k = 0; k < b->ndraw; k++) {
    const double *x = b->eta + (size_t)k * d;
    const bool again = *n && (!d || memcmp(x, eta + (size_t)(*n - 1) * d, d * sizeof *x) == 0);
    if (!again && d) memcpy(eta + (size_t)*n * d, x, d * sizeof *x);
    *n += !again;
    of[k] = *n - 1;
  }
}

/* Individual parameters at the last reading, by the code that batch beliefs use. */
static dp_status fill_individual(const dp_assimilation *a, dp_belief *b) {
  dpi_person *p = NULL;
  double until = a->nread + a->nknown ? a->until : -INFINITY;
  DP_TRY(dpi_person_create(a->kind, a->record, a->subject, until, false, &p));
  p->typical = a->prior->typical;
  size_t n = (size_t)b->ndraw, nobs = (size_t)p->nobs;
  double *f = DPI_NEW_ARRAY(a->ctx, double, n *nobs + 1), *s = DPI_NEW_ARRAY(a->ctx, double, n *nobs + 1);
  uint8_t *ok = DPI_NEW_ARRAY(a->ctx, uint8_t, n);
  int *of = DPI_NEW_ARRAY(a->ctx, int, n), distinct = 0;
  double *eta = DPI_NEW_ARRAY(a->ctx, double, n *(size_t)b->neta + 1);
  dp_status status = f && s && ok && of && eta ? DP_OK : DP_ERR_MEMORY;
  dpi_person_batch out = {f, s, b->individual, ok};
  if (status == DP_OK) {
    pack(b, eta, of, &distinct);
    status = dpi_person_simulate(p, eta, distinct, &out);
  }
  const size_t width = (size_t)b->nindividual;
  for (int k = b->ndraw - 1; k >= 0 && status == DP_OK; k--) /* from the end: of[k] <= k */
    if (width && of[k] != k)
      memcpy(b->individual + (size_t)k * width, b->individual + (size_t)of[k] * width, width * sizeof(double));
  dpi_free(a->ctx, of);
  dpi_free(a->ctx, eta);
  dpi_free(a->ctx, f);
  dpi_free(a->ctx, s);
  dpi_free(a->ctx, ok);
  dpi_person_destroy(p);
  return status;
}

static dp_status seal(dp_assimilation *a, dp_belief *b) {
  dp_assimilation_report r;
  dp_assimilation_judge(a, &r);
  b->evidence = r.evidence;
  b->ess = r.ess;
  b->usable = r.usable;
  snprintf(b->method, sizeof b->method, "%s", a->method);
  snprintf(b->verdict, sizeof b->verdict, "%s: %.130s", r.usable ? "usable" : "not usable", r.verdict);
  size_t nd = (size_t)b->ndraw;
  dpi_sha256 *h = dpi_sha256_create(a->ctx);
  if (!h) return DP_ERR_MEMORY;
  dpi_sha256_add(h, b->eta, nd * (size_t)b->neta * sizeof(double));
  dpi_sha256_add(h, b->individual, nd * (size_t)b->nindividual * sizeof(double));
  dpi_sha256_add(h, b->weight, nd * sizeof(double));
  dpi_sha256_finish(h, b->hash);
  return DP_OK;
}

dp_status dp_assimilation_belief(dp_assimilation *a, dp_belief **out) {
  dp_belief *b = NULL;
  dpi_cloud c;
  dpi_arena arena;
  *out = NULL;
  if (a->calib)
    return dpi_fail(a->ctx, DP_ERR_USAGE, "%s is a calibration problem: its posterior is that of dp_assimilation_draws",
                    dp_problem_describe(a->calib)->name);
  dpi_arena_init(&arena, a->ctx);
  dp_status status = belief_new(a, &b);
  if (status == DP_OK) status = dpi_assimilation_cloud(a, &arena, &c);
  if (status == DP_OK) status = fill_draws(a, &c, b);
  if (status == DP_OK) status = fill_individual(a, b);
  if (status == DP_OK) status = seal(a, b);
  dpi_arena_release(&arena);
  if (status == DP_OK)
    *out = b;
  else
    dp_belief_destroy(b);
  return status;
}

/* ---- of a calibration problem ---- */

int dp_assimilation_nparam(const dp_assimilation *a) { return a->calib ? a->nfree : a->kind->neffect; }

dp_status dp_assimilation_draws(dp_assimilation *a, double *x) {
  if (!a->calib) return dpi_fail(a->ctx, DP_ERR_USAGE, "draws of a person's parameters are dp_assimilation_belief's");
  const size_t d = (size_t)a->nfree;
  dpi_cloud c;
  dpi_arena arena;
  dpi_arena_init(&arena, a->ctx);
  int *index = DPI_ARENA_ARRAY(&arena, int, a->def.ndraw + 1);
  dp_status status = index ? dpi_assimilation_cloud(a, &arena, &c) : DP_ERR_MEMORY;
  if (status == DP_OK) {
    dpi_rng rng = dpi_rng_make(a->def.seed, (uint64_t)a->nread, DPI_RNG_RESAMPLE);
    dpi_resample(c.weight, c.n, dpi_rng_uniform(&rng), a->def.ndraw, index);
    for (int k = 0; k < a->def.ndraw; k++) dpi_box_to(a->density, c.x + (size_t)index[k] * d, x + (size_t)k * d);
  }
  dpi_arena_release(&arena);
  return status;
}
