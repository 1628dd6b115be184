/* rehearse.c - candidates x draws through the waist: each member is one draw of the digital state under one regimen at
 * steady state; what comes back are path functionals (extrema as extrema of the curve), never values on a grid. */
#include <math.h>
#include <string.h>

#include "decide/decide.h"

void dpi_decide_param(const dp_kind *kind, const dp_plan_patient *patient, const dp_belief *belief, int draw,
                      double *param) {
  memcpy(param, patient->param, sizeof(double) * (size_t)dp_sim_describe(kind->sim)->nparam);
  const double *eta = belief->eta + (size_t)draw * (size_t)belief->neta;
  for (int i = 0; i < patient->nhistory; i++) {
    const dp_instant *s = &patient->history[i];
    if (s->type == DP_SWITCH && s->dir_amount < 0 && (double)s->time <= patient->now * (double)DP_TICKS)
      param[s->target] = s->amount;
  }
  for (int e = 0; e < belief->neta; e++) param[kind->effect[patient->eta_effect[e]].sim_param] = eta[e];
}

void dpi_decide_relive(const dp_kind *kind, const dp_plan_patient *patient, const dp_belief *belief, int draw,
                       double *param, dp_instant *instant) {
  memcpy(param, patient->param, sizeof(double) * (size_t)dp_sim_describe(kind->sim)->nparam);
  const double *eta = belief->eta + (size_t)draw * (size_t)belief->neta;
  /* downwards: of an effect with occasions the first one stays, the switches bring the others */
  for (int e = belief->neta - 1; e >= 0; e--) param[kind->effect[patient->eta_effect[e]].sim_param] = eta[e];
  for (int i = 0; i < patient->nhistory; i++) {
    instant[i] = patient->history[i];
    if (instant[i].type == DP_SWITCH && instant[i].dir_amount >= 0) instant[i].amount = eta[instant[i].dir_amount];
    instant[i].dir_amount = instant[i].dir_time = -1; /* no derivatives are asked for here */
  }
}

double dpi_decide_window(const dp_kind *kind, double interval) {
  return kind->reward.window > 0 ? kind->reward.window : interval;
}

/* The regimen as instants: one dose at 0 on top of the steady state of the same regimen, repeated over the window. */
static dp_instant regimen(const dp_kind *kind, const dp_candidate *c) {
  dp_instant d = dp_instant_default();
  d.type = DP_ADD;
  d.target = kind->control[kind->reward.control].sim_control;
  d.amount = c->dose;
  d.interval = (dp_time)llround(c->interval * (double)DP_TICKS);
  d.steady = 1;
  double window = dpi_decide_window(kind, c->interval);
  d.repeats = (int32_t)(ceil(window / c->interval - 1e-9)) - 1;
  if (d.repeats < 0) d.repeats = 0;
  return d;
}

static dp_functional functional_of(const dp_kind *kind, const dpi_kind_term *t, double interval) {
  dp_functional f = {.kind = t->functional, .output = kind->quantity[t->quantity].sim_output, .level = t->level,
                     .level2 = t->level2};
  f.from = 0;
  f.to = (dp_time)llround(dpi_decide_window(kind, interval) * (double)DP_TICKS);
  return f;
}

typedef struct rehearse_block {
  double *param;          /* [ndraw x nparam] */
  dp_instant *instant;    /* [nwhich] */
  dp_functional *term;    /* [nwhich x nterm] */
  dp_member *member;      /* [nwhich x ndraw] */
} rehearse_block;

static void block_release(dp_ctx *ctx, rehearse_block *b) {
  dpi_free(ctx, b->param);
  dpi_free(ctx, b->instant);
  dpi_free(ctx, b->term);
  dpi_free(ctx, b->member);
}

/* What a functional's value means: a first passage that is masked in a sound member never came. */
static double value_of(dp_functional_kind kind, bool failed, double value) {
  if (failed) return NAN;
  bool passage = kind == DP_FIRST_ABOVE || kind == DP_FIRST_BELOW;
  return passage && isnan(value) ? INFINITY : value;
}

static dp_status simulate_block(const dp_kind *kind, rehearse_block *b, dpi_rehearsal *out) {
  dp_run_opts opts = dp_run_opts_default();
  dp_result *result = NULL;
  int n = out->ncandidate * out->ndraw;
  DP_TRY(dp_simulate(kind->ensemble, b->member, n, &opts, &result));
  for (int c = 0; c < out->ncandidate; c++)
    for (int k = 0; k < out->ndraw; k++) {
      int m = c * out->ndraw + k;
      const double *f = result->functional + result->functional_at[m];
      bool failed = result->status[m] != DP_MEMBER_OK;
      for (int t = 0; t < out->nterm; t++) {
        double *row = (double *)dpi_rehearsed(out, c, t);
        row[k] = value_of(kind->reward.term[t].functional, failed, f[t]);
      }
    }
  dp_result_destroy(result);
  return DP_OK;
}

dp_status dpi_decide_rehearse(const dp_kind *kind, const dp_plan_patient *patient, const dp_belief *belief,
                              const dp_candidate *candidate, const int *which, int nwhich, const int *draw,
                              int ndraw, dpi_rehearsal *out) {
  dp_ctx *ctx = kind->ctx;
  int nterm = kind->reward.nterm, nparam = dp_sim_describe(kind->sim)->nparam;
  *out = (dpi_rehearsal){.ncandidate = nwhich, .nterm = nterm, .ndraw = ndraw};
  rehearse_block b = {
      .param = DPI_NEW_ARRAY(ctx, double, (size_t)ndraw *(size_t)nparam),
      .instant = DPI_NEW_ARRAY(ctx, dp_instant, nwhich),
      .term = DPI_NEW_ARRAY(ctx, dp_functional, (size_t)nwhich *(size_t)nterm),
      .member = DPI_NEW_ARRAY(ctx, dp_member, (size_t)nwhich *(size_t)ndraw),
  };
  out->value = DPI_NEW_ARRAY(ctx, double, (size_t)nwhich *(size_t)nterm *(size_t)ndraw);
  dp_status status = DP_ERR_MEMORY;
  if (b.param && b.instant && b.term && b.member && out->value) {
    for (int k = 0; k < ndraw; k++)
      dpi_decide_param(kind, patient, belief, draw[k], b.param + (size_t)k * (size_t)nparam);
    for (int c = 0; c < nwhich; c++) {
      const dp_candidate *cand = &candidate[which[c]];
      b.instant[c] = regimen(kind, cand);
      for (int t = 0; t < nterm; t++)
        b.term[c * nterm + t] = functional_of(kind, &kind->reward.term[t], cand->interval);
      for (int k = 0; k < ndraw; k++)
        b.member[c * ndraw + k] = (dp_member){.param = b.param + (size_t)k * (size_t)nparam,
                                              .instant = &b.instant[c],
                                              .ninstant = 1,
                                              .functional = b.term + (size_t)c * (size_t)nterm,
                                              .nfunctional = nterm,
                                              .stream = patient->stream};
    }
    status = simulate_block(kind, &b, out);
  }
  block_release(ctx, &b);
  if (status != DP_OK) {
    dpi_free(ctx, out->value);
    out->value = NULL;
  }
  return status;
}
