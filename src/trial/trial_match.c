/* trial_match.c - floor 8: people who are like a target population.
 *
 * Acceptance by density: candidates come one after another; r = target density / density of candidates at a candidate's
 * numbers, the latter by a Gaussian kernel estimate from a pilot of 2,000; accepted with probability min(1, r/m), m a
 * high quantile of r over the pilot. Kernels are narrower than is usual for looking at a density, since what they
 * smooth away shifts those accepted. How well the result meets the target is checked and reported (trial_checks.c).
 *
 * A number is a person's own, or what the model has of them at a time, before anybody decides anything: candidates are
 * then simulated with their inputs alone, block by block, and how many of them were is reported.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "num/num.h"
#include "trial/trial_impl.h"

enum { pilot = 2000, least_pilot = 200, most_targets = DPI_TRIAL_TARGETS, pilot_number = 0x40000000 };
#define BLOCK_BYTES (64.0 * 1048576)

typedef struct matcher {
  dp_trial t;    /* nobody leaves, nobody is chosen yet */
  double *value; /* [ncolumn] of one candidate */
  double *x;     /* [block x ntarget] */
  int block;
  double pilot[pilot][most_targets];
  int npilot;                 /* those who could be simulated */
  double width[most_targets]; /* of the kernels */
  double m;
  /* where candidates are simulated */
  bool simulates;
  dpi_trial_model model; /* of no arm */
  dpi_trial_slot *slot;  /* [block] */
  dp_member *member;
  double *param;
  int nout, at[most_targets]; /* times; which of them is a target's */
  dp_output_time out[most_targets];
  int64_t nsimulated;
} matcher;

/* ---- a candidate's numbers ---- */

static dp_status take(void *user, const dp_member_result *block, int n) {
  matcher *w = user;
  const dpi_cohort *c = &w->t.cohort;
  const int noutput = dp_sim_describe(w->model.sim)->noutput;
  for (int i = 0; i < n; i++) {
    const dp_member_result *r = &block[i];
    for (int k = 0; k < c->ntarget && r->status == DP_MEMBER_OK; k++) {
      const int at = w->at[k] - r->out_first;
      if (c->target[k].output >= 0 && at >= 0 && at < r->nout)
        w->x[r->member * c->ntarget + k] = r->value[(size_t)at * (size_t)noutput + (size_t)c->target[k].output];
    }
  }
  return DP_OK;
}

static dp_status simulate(matcher *w, int first, int n) {
  const dp_sim_desc *d = dp_sim_describe(w->model.sim);
  dp_run_opts opts = dp_run_opts_default();
  opts.seed = w->t.desc.seed;
  for (int i = 0; i < n; i++) {
    double *param = w->param + (size_t)i * (size_t)d->nparam;
    memcpy(param, d->param_default, sizeof(double) * (size_t)d->nparam);
    w->member[i] = (dp_member){.param = param};
    dpi_trial_fill(&w->model, first + i, &w->slot[i], &w->member[i], param);
    w->member[i].out = w->out;
    w->member[i].nout = w->nout;
  }
  w->nsimulated += n;
  return dp_simulate_into(w->model.sim, w->member, n, &opts, take, w);
}

/* Of candidates first to first + n - 1 into w->x; NaN: the simulation failed. */
static dp_status numbers_of(matcher *w, int first, int n) {
  const dpi_cohort *c = &w->t.cohort;
  char id[64];
  for (int i = 0; i < n; i++) {
    dpi_cohort_person(&w->t, first + i, w->value, id);
    for (int k = 0; k < c->ntarget; k++)
      w->x[i * c->ntarget + k] = c->target[k].output < 0 ? w->value[c->target[k].column] : NAN;
  }
  return w->simulates ? simulate(w, first, n) : DP_OK;
}

static bool all_there(const double *x, int n) {
  for (int k = 0; k < n; k++)
    if (!isfinite(x[k])) return false;
  return true;
}

/* ---- densities ---- */

/* Target density, up to a constant. */
static double wanted(const matcher *w, const double *x) {
  const dpi_cohort *c = &w->t.cohort;
  double e = 0;
  for (int k = 0; k < c->ntarget; k++) {
    const double z = (x[k] - c->target[k].mean) / c->target[k].sd;
    e -= z * z / 2;
  }
  return dpi_m_exp(e);
}

/* Candidates' density, up to a constant; or, as soon as that is clear, some number not below `enough`. */
static double present(const matcher *w, const double *x, double enough) {
  const dpi_cohort *c = &w->t.cohort;
  double have = 0;
  for (int i = 0; i < w->npilot && have < enough; i++) {
    double e = 0;
    for (int k = 0; k < c->ntarget; k++) {
      const double z = (x[k] - w->pilot[i][k]) / w->width[k];
      e -= z * z / 2;
    }
    have += dpi_m_exp(e);
  }
  return have;
}

/* Target over candidates' density, up to a constant. */
static double ratio(const matcher *w, const double *x) {
  const double have = present(w, x, INFINITY);
  return have > 0 ? wanted(w, x) / have : 0;
}

/* u < r/m? */
static bool is_like(const matcher *w, const double *x, double u) {
  const double enough = wanted(w, x) / (u * w->m), have = enough > 0 ? present(w, x, enough) : 0;
  return have > 0 && have < enough;
}

/* 0.7 of Scott's rule; a number that does not vary can't be matched. */
static dp_status find_widths(matcher *w) {
  const dpi_cohort *c = &w->t.cohort;
  const int n = w->npilot;
  const double shrink = 0.7 * dpi_m_pow(n, -1.0 / (c->ntarget + 4));
  for (int k = 0; k < c->ntarget; k++) {
    double mean = 0, square = 0;
    for (int i = 0; i < n; i++) mean += w->pilot[i][k] / n;
    for (int i = 0; i < n; i++) square += (w->pilot[i][k] - mean) * (w->pilot[i][k] - mean) / (n - 1);
    w->width[k] = sqrt(square) * shrink;
    if (!(w->width[k] > 1e-12 * fabs(mean)))
      return dpi_fail(w->t.ctx, DP_ERR_INPUT, "%s: match: '%s' is the same for everybody", w->t.desc.source,
                      c->target[k].name);
  }
  return DP_OK;
}

/* ---- the pilot, then the people ---- */

static dp_status fly_pilot(matcher *w) {
  double r[pilot];
  const int nt = w->t.cohort.ntarget;
  for (int first = 0; first < pilot; first += w->block) { /* people of the pilot are nobody else */
    const int n = pilot - first < w->block ? pilot - first : w->block;
    DP_TRY(numbers_of(w, pilot_number + first, n));
    for (int i = 0; i < n; i++)
      if (all_there(w->x + i * nt, nt)) memcpy(w->pilot[w->npilot++], w->x + i * nt, sizeof(double) * (size_t)nt);
  }
  if (w->npilot < least_pilot)
    return dpi_fail(w->t.ctx, DP_ERR_CONVERGE, "%s: match: of %d people %d could be simulated", w->t.desc.source, pilot,
                    w->npilot);
  DP_TRY(find_widths(w));
  for (int i = 0; i < w->npilot; i++) r[i] = ratio(w, w->pilot[i]);
  dpi_sort(r, w->npilot);
  w->m = r[w->npilot - 1 - w->npilot / 200];
  if (w->m > 0) return DP_OK;
  return dpi_fail(w->t.ctx, DP_ERR_INPUT, "%s: match: nobody is anywhere near the target", w->t.desc.source);
}

static dp_status choose(matcher *w, dpi_cohort *c) {
  const dp_trial *t = &w->t;
  const int64_t some = (int64_t)c->n * 1000 + 100000, most = some < pilot_number ? some : pilot_number - 1;
  int n = 0;
  int64_t k = 0;
  while (n < c->n && k < most) {
    const int m = most - k < w->block ? (int)(most - k) : w->block;
    if (dp_ctx_cancelled(t->ctx)) return DP_ERR_CANCELLED;
    DP_TRY(numbers_of(w, (int)k, m));
    for (int i = 0; i < m && n < c->n; i++, k++) {
      const double *x = w->x + i * c->ntarget;
      dpi_rng rng = dpi_rng_make(t->desc.seed, (uint64_t)k, DPI_TRIAL_MATCH);
      if (!all_there(x, c->ntarget) || !is_like(w, x, dpi_rng_uniform(&rng))) continue;
      memcpy(c->matched + (size_t)n * (size_t)c->ntarget, x, sizeof(double) * (size_t)c->ntarget);
      c->accepted[n++] = (int)k;
    }
  }
  c->ncandidate = k;
  if (n == c->n) return DP_OK;
  return dpi_fail(t->ctx, DP_ERR_CONVERGE, "%s: match: of %lld people %d were like the target, expected %d",
                  t->desc.source, (long long)k, n, c->n);
}

/* ---- room ---- */

/* Times of targets, each once, ascending. */
static void find_times(matcher *w) {
  const dpi_cohort *c = &w->t.cohort;
  for (int k = 0; k < c->ntarget; k++) {
    if (c->target[k].output < 0) continue;
    const dp_output_time at = {dpi_trial_ticks(c->target[k].time), 2000000000};
    int i = 0;
    while (i < w->nout && w->out[i].time < at.time) i++;
    if (i < w->nout && w->out[i].time == at.time) continue;
    memmove(&w->out[i + 1], &w->out[i], sizeof at * (size_t)(w->nout - i));
    w->out[i] = at;
    w->nout++;
  }
  for (int k = 0; k < c->ntarget; k++)
    while (c->target[k].output >= 0 && w->out[w->at[k]].time != dpi_trial_ticks(c->target[k].time)) w->at[k]++;
}

/* The kind's own sim, with everybody's numbers and inputs. */
static dp_status make_model(matcher *w) {
  const dp_trial *t = &w->t;
  const dpi_cohort *c = &t->cohort;
  dpi_trial_model *m = &w->model;
  m->trial = t;
  m->kind = t->kind;
  m->sim = t->kind->sim;
  m->pair_column = DPI_NEW_ARRAY(t->ctx, int, c->ncolumn + 1);
  m->pair_param = DPI_NEW_ARRAY(t->ctx, int, c->ncolumn + 1);
  if (!m->pair_column || !m->pair_param) return DP_ERR_MEMORY;
  for (int k = 0; k < c->ncolumn; k++) {
    const int sim = dp_sim_param(m->sim, c->column[k]);
    if (sim < 0) continue;
    m->pair_column[m->npair] = k;
    m->pair_param[m->npair++] = sim;
  }
  find_times(w);
  const double room = BLOCK_BYTES / (double)dpi_trial_slot_size(m);
  w->block = room < 16 ? 16 : room < 256 ? (int)room : 256;
  w->member = DPI_NEW_ARRAY(t->ctx, dp_member, w->block);
  w->param = DPI_NEW_ARRAY(t->ctx, double, (size_t)w->block *(size_t)dp_sim_describe(m->sim)->nparam + 1);
  if (!w->member || !w->param) return DP_ERR_MEMORY;
  return dpi_trial_slots_create(m, w->block, &w->slot);
}

static dp_status make_room(matcher *w) {
  const dpi_cohort *c = &w->t.cohort;
  for (int k = 0; k < c->ntarget; k++) w->simulates = w->simulates || c->target[k].output >= 0;
  w->block = 256;
  if (w->simulates) DP_TRY(make_model(w));
  w->value = DPI_NEW_ARRAY(w->t.ctx, double, c->ncolumn + 1);
  w->x = DPI_NEW_ARRAY(w->t.ctx, double, w->block * c->ntarget);
  return w->value && w->x ? DP_OK : DP_ERR_MEMORY;
}

static void release(matcher *w) {
  if (!w) return;
  dp_ctx *ctx = w->t.ctx;
  if (w->slot) dpi_trial_slots_destroy(&w->model, w->slot, w->block);
  void *const block[] = {w->model.pair_column, w->model.pair_param, w->member, w->param, w->value, w->x, w};
  for (int k = 0; k < DPI_COUNT(block); k++) dpi_free(ctx, block[k]);
}

/* t is a copy of the caller's: accepted and matched belong to it. */
dp_status dpi_trial_match(dp_trial *t) {
  dpi_cohort *c = &t->cohort;
  c->accepted = NULL;
  c->matched = NULL;
  c->ncandidate = c->n;
  c->nsimulated = 0;
  if (!c->ntarget) return DP_OK;
  dpi_cohort chosen = *c;
  matcher *w = DPI_NEW(t->ctx, matcher);
  chosen.accepted = DPI_NEW_ARRAY(t->ctx, int, c->n);
  chosen.matched = DPI_NEW_ARRAY(t->ctx, double, (size_t)c->n *(size_t)c->ntarget);
  dp_status status = w && chosen.accepted && chosen.matched ? DP_OK : DP_ERR_MEMORY;
  if (w) w->t = *t;
  if (w) w->t.dropout = 0;
  if (status == DP_OK) status = make_room(w);
  if (status == DP_OK) status = fly_pilot(w);
  if (status == DP_OK) status = choose(w, &chosen);
  if (status == DP_OK) {
    chosen.nsimulated = w->nsimulated;
    *c = chosen;
  } else {
    dpi_free(t->ctx, chosen.accepted);
    dpi_free(t->ctx, chosen.matched);
  }
  release(w);
  return status;
}
