/* prior.c - the law of a population as a value: make, copy, free, and the hash of what an estimate depends on. */
#include "infer/infer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

dp_status dpi_prior_create(const dp_kind *kind, dp_prior **out) {
  *out = NULL;
  dp_prior *p = DPI_NEW(kind->ctx, dp_prior);
  if (!p) return DP_ERR_MEMORY;
  size_t n = (size_t)kind->neffect;
  p->ctx = kind->ctx;
  p->nparam = kind->nparam;
  p->neffect = kind->neffect;
  p->objective = NAN;
  p->typical = DPI_NEW_ARRAY(p->ctx, double, kind->nparam + 1);
  p->omega = DPI_NEW_ARRAY(p->ctx, double, n *n + 1);
  p->uncertainty = DPI_NEW_ARRAY(p->ctx, double, n *n + 1);
  p->undetermined = DPI_NEW_ARRAY(p->ctx, uint8_t, kind->nparam + 1);
  if (!p->typical || !p->omega || !p->uncertainty || !p->undetermined) {
    dp_prior_destroy(p);
    return DP_ERR_MEMORY;
  }
  *out = p;
  return DP_OK;
}

void dp_prior_destroy(dp_prior *prior) {
  if (!prior) return;
  dp_ctx *ctx = prior->ctx;
  dpi_free(ctx, prior->typical);
  dpi_free(ctx, prior->omega);
  dpi_free(ctx, prior->uncertainty);
  dpi_free(ctx, prior->undetermined);
  dpi_free(ctx, prior);
}

dp_status dp_prior_copy(const dp_prior *from, dp_prior **out) {
  *out = NULL;
  dp_ctx *ctx = from->ctx;
  dp_prior *p = DPI_NEW(ctx, dp_prior);
  if (!p) return DP_ERR_MEMORY;
  size_t n = (size_t)from->neffect;
  *p = *from;
  p->typical = DPI_NEW_ARRAY(ctx, double, from->nparam + 1);
  p->omega = DPI_NEW_ARRAY(ctx, double, n *n + 1);
  p->uncertainty = DPI_NEW_ARRAY(ctx, double, n *n + 1);
  p->undetermined = DPI_NEW_ARRAY(ctx, uint8_t, from->nparam + 1);
  if (!p->typical || !p->omega || !p->uncertainty || !p->undetermined) {
    dp_prior_destroy(p);
    return DP_ERR_MEMORY;
  }
  memcpy(p->typical, from->typical, sizeof(double) * (size_t)from->nparam);
  memcpy(p->omega, from->omega, sizeof(double) * n * n);
  memcpy(p->uncertainty, from->uncertainty, sizeof(double) * n * n);
  memcpy(p->undetermined, from->undetermined, (size_t)from->nparam);
  *out = p;
  return DP_OK;
}

/* ---- hashes ---- */

static void add_text(dpi_sha256 *h, const char *s) {
  dpi_sha256_add(h, s ? s : "", strlen(s ? s : "") + 1);
}
static void add_int(dpi_sha256 *h, int64_t v) { dpi_sha256_add(h, &v, sizeof v); }

/* every NaN counts as the same bytes */
static void add_num(dpi_sha256 *h, double v) {
  uint64_t bits = 0x7ff8000000000000u;
  if (!isnan(v)) memcpy(&bits, &v, sizeof bits);
  dpi_sha256_add(h, &bits, sizeof bits);
}

/* The parts of a kind that decide an estimate: its law (model, formulas, integrator), and the tables of parameters,
 * effects, observables, covariates. Neither the version nor the arithmetic takes part: an estimate is data with a
 * stated convergence, and a stored one serves machines that would differ from it in the last digits. */
static void add_kind(dpi_sha256 *h, const dp_kind *k) {
  add_text(h, k->law);
  for (int i = 0; i < k->nparam; i++) {
    const dpi_kind_param *p = &k->param[i];
    add_text(h, p->id);
    add_int(h, p->scale);
    add_int(h, p->estimate);
    add_num(h, p->lower);
    add_num(h, p->upper);
    add_num(h, p->nominal);
  }
  for (int i = 0; i < k->neffect; i++) {
    const dpi_kind_effect *e = &k->effect[i];
    add_text(h, e->id);
    add_int(h, e->typical);
    add_int(h, e->distribution);
    add_int(h, e->occasion);
  }
  for (int i = 0; i < k->neffect * k->neffect; i++) {
    add_num(h, k->omega[i]);
    add_int(h, k->omega_free[i]);
  }
  for (int i = 0; i < k->nobservable; i++) {
    const dpi_kind_observable *o = &k->observable[i];
    add_text(h, o->id);
    add_text(h, o->dvid);
    add_int(h, o->noise);
    add_int(h, o->compartment);
    add_num(h, o->lloq);
  }
  for (int i = 0; i < k->ncovariate; i++) {
    const dpi_kind_covariate *c = &k->covariate[i];
    add_text(h, c->id);
    add_int(h, c->missing);
    add_num(h, c->value);
    add_int(h, (int)c->convention * 2 + c->occasion);
  }
  for (int i = 0; i < k->ncontrol; i++) add_int(h, k->control[i].compartment);
}

static void add_subject(dpi_sha256 *h, const dp_record *r, const dp_subject *s) {
  add_text(h, s->id);
  add_int(h, s->nevent);
  for (int i = 0; i < s->nevent; i++) {
    const dp_event *e = &s->event[i];
    int64_t whole[] = {e->time,   e->evid,        e->interval, e->repeats,
                       e->steady, e->compartment, e->missing,  e->censored};
    for (int k = 0; k < DPI_COUNT(whole); k++) add_int(h, whole[k]);
    add_num(h, e->amount);
    add_num(h, e->value);
    add_num(h, e->rate);
    add_num(h, e->limit);
    add_text(h, e->dvid);
    for (int k = 0; k < r->ncovariate; k++) add_num(h, e->covariate[k]);
  }
}

static bool excluded(const int *exclude, int nexclude, int i) {
  for (int k = 0; k < nexclude; k++)
    if (exclude[k] == i) return true;
  return false;
}

dp_status dpi_prior_hash(const dp_kind *kind, const dp_record *record, const int *exclude,
                         int nexclude, const dp_fit_def *def, char hash[65]) {
  dpi_sha256 *h = dpi_sha256_create(kind->ctx);
  if (!h) return DP_ERR_MEMORY;
  add_text(h, "doppel prior 2");
  add_kind(h, kind);
  if (def) {
    add_text(h, def->method ? def->method : "laplace");
    add_num(h, def->tolerance);
    add_int(h, def->max_iterations);
    add_text(h, def->start ? def->start->hash : "");
    if (def->method && !strcmp(def->method, "agq")) add_int(h, def->nodes);
    if (def->method && !strcmp(def->method, "saem")) add_int(h, (int64_t)def->seed);
  }
  for (int k = 0; record && k < record->ncovariate; k++) add_text(h, record->covariate_id[k]);
  for (int i = 0; record && i < record->nsubject; i++)
    if (!excluded(exclude, nexclude, i)) add_subject(h, record, &record->subject[i]);
  dpi_sha256_finish(h, hash);
  return DP_OK;
}

dp_status dp_prior_nominal(const dp_kind *kind, dp_prior **out) {
  DP_TRY(dpi_prior_create(kind, out));
  dp_prior *p = *out;
  for (int i = 0; i < kind->nparam; i++) p->typical[i] = kind->param[i].nominal;
  for (int i = 0; i < kind->neffect * kind->neffect; i++) p->omega[i] = kind->omega[i];
  p->converged = 1;
  snprintf(p->method, sizeof p->method, "published");
  snprintf(p->source, sizeof p->source, "%.180s",
           kind->source && kind->source[0] ? kind->source : "values of the kind");
  dp_status st = dpi_prior_hash(kind, NULL, NULL, 0, NULL, p->hash);
  if (st != DP_OK) {
    dp_prior_destroy(p);
    *out = NULL;
  }
  return st;
}
