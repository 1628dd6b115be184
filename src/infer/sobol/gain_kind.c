/* gain_kind.c - floor 6, inside infer/sobol: a belief's draws simulated at the forecast's and the candidates' times. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "doppel/gain.h"
#include "infer/sobol/case_draws.h"

typedef struct place {
  const dpi_kind_observable *o;
  int row; /* of the output times */
} place;

typedef struct asking {
  dp_ctx *ctx;
  const dp_kind *kind;
  const dp_prior *prior;
  const dp_belief *belief;
  dpi_case *c;
  dpi_arena arena;
  int n; /* places: the forecast, then the candidates */
  place *place;
  dpi_when when;
  dp_result *r;
} asking;

/* Times in order, each once; rows of places follow. */
static dp_status lay_out(asking *a, const dp_gain_place *forecast, const dp_gain_place *candidate, int ncandidate) {
  char what[160];
  a->n = ncandidate + 1;
  a->place = DPI_ARENA_ARRAY(&a->arena, place, a->n);
  if (!a->place) return DP_ERR_MEMORY;
  for (int pass = 0; pass < 2; pass++)
    for (int k = 0; k < a->n; k++) {
      const dp_gain_place *p = k ? &candidate[k - 1] : forecast;
      snprintf(what, sizeof what, "information gain: %.100s", p->observable ? p->observable : "");
      if (!pass) {
        DP_TRY(dpi_when_add(&a->when, &a->arena, a->n, what, p->time));
      } else {
        a->place[k].row = dpi_when_row(&a->when, p->time);
        DP_TRY(dpi_case_observable(a->kind, "information gain", p->observable, &a->place[k].o));
        if (a->place[k].o->noise == DPI_NOISE_JOHNSON) return dpi_refuse_shapes(a->kind, "information gain");
      }
    }
  return DP_OK;
}

static const double *row_of(const asking *a, int draw, const place *p) {
  return a->r->value + (a->r->value_at[draw] + (size_t)p->row) * (size_t)a->r->noutput;
}

/* Draws that went through: weight, forecast; *n of them, which: [ndraw]. */
static void keep(const asking *a, int *which, double *weight, double *q, dp_gain_outlook *out) {
  double sum = 0, square = 0;
  *out = (dp_gain_outlook){.ndraw = a->belief->ndraw};
  int n = 0;
  for (int k = 0; k < a->belief->ndraw; k++) {
    double y = row_of(a, k, &a->place[0])[a->place[0].o->value_output];
    if (a->r->status[k] != DP_MEMBER_OK || !isfinite(y)) continue;
    which[n] = k;
    weight[n] = a->belief->weight[k];
    q[n] = y;
    sum += weight[n];
    out->mean += weight[n++] * y;
  }
  out->nfailed = a->belief->ndraw - n;
  out->mean /= sum;
  for (int i = 0; i < n; i++) square += weight[i] / sum * (q[i] - out->mean) * (q[i] - out->mean);
  out->sd = sqrt(square);
}

/* One candidate at a time, so that each has its own law of errors; all with the same random numbers. */
static dp_status gains(const asking *a, uint64_t seed, dp_gain_outlook *outlook, dp_gain *gain) {
  size_t n = (size_t)a->belief->ndraw;
  double *block = DPI_NEW_ARRAY(a->ctx, double, 4 * n);
  int *which = DPI_NEW_ARRAY(a->ctx, int, n);
  dp_status status = block && which ? DP_OK : DP_ERR_MEMORY;
  if (status == DP_OK) keep(a, which, block, block + n, outlook);
  for (int c = 1; c < a->n && status == DP_OK; c++) {
    const place *p = &a->place[c];
    dp_gain_def def = dp_gain_def_default();
    def.ndraw = outlook->ndraw - outlook->nfailed;
    def.weight = block;
    def.forecast = block + n;
    def.nmeasure = 1;
    def.lognormal = p->o->noise == DPI_NOISE_LOGNORMAL;
    def.seed = seed;
    for (int i = 0; i < def.ndraw; i++) {
      const double *v = row_of(a, which[i], p);
      block[2 * n + (size_t)i] = v[p->o->value_output];
      block[3 * n + (size_t)i] = v[p->o->sigma_output];
      if (!(v[p->o->sigma_output] > 0)) block[2 * n + (size_t)i] = NAN; /* no error, no likelihood: left out */
    }
    def.predicted = block + 2 * n;
    def.sd = block + 3 * n;
    status = dp_gain_of(a->ctx, &def, &gain[c - 1]);
  }
  dpi_free(a->ctx, block);
  dpi_free(a->ctx, which);
  return status;
}

dp_status dp_gain_kind(const dp_kind *kind, const dp_record *record, int subject, const dp_prior *prior,
                       const dp_belief *belief, const dp_gain_place *forecast, const dp_gain_place *candidate,
                       int ncandidate, uint64_t seed, dp_gain_outlook *outlook, dp_gain *gain) {
  asking a = {.ctx = kind->ctx, .kind = kind, .prior = prior, .belief = belief};
  if (ncandidate < 1 || ncandidate > 100000)
    return dpi_fail(a.ctx, DP_ERR_USAGE, "information gain: %d candidates, expected 1 to 100000", ncandidate);
  dpi_arena_init(&a.arena, a.ctx);
  dp_status status = lay_out(&a, forecast, candidate, ncandidate);
  if (status == DP_OK) status = dpi_case_create(kind, record, subject, &a.c);
  if (status == DP_OK && a.c->neta != belief->neta)
    status = dpi_fail(a.ctx, DP_ERR_USAGE, "information gain: the belief is about %d effects, this person has %d",
                      belief->neta, a.c->neta);
  if (status == DP_OK)
    status = dpi_case_draws(a.c, prior->typical, belief->ndraw, belief->eta, &a.when, seed, &a.r);
  if (status == DP_OK) status = gains(&a, seed, outlook, gain);
  dp_result_destroy(a.r);
  dpi_case_destroy(a.c);
  dpi_arena_release(&a.arena);
  return status;
}
