/* trial_run.c - floor 8: people, block by block, through the arms; what comes of each is added up in their order.
 *
 *     blocks of people          so many that what happens to them takes 128 MB at most: the trial alone decides how
 *     many
 *       arms                    parallel: those assigned to it; paired: all; cross-over: one sim with all arms
 *         dp_simulate_stream    members made by dpi_trial_fill, endpoints taken by the sink; or, asked from outside,
 *                               epoch by epoch
 *       tally
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "num/num.h"
#include "trial/trial_stats.h"

#define COOKIE 0x74726c31u
#define BLOCK_BYTES (128.0 * 1048576)

dp_trial_def dp_trial_def_default(void) { return (dp_trial_def){.cookie = COOKIE, .check = 1}; }

typedef struct runner {
  const dp_trial *t;
  const dp_trial_def *def;
  dp_trial_result *out;
  int nmodel, block;
  dpi_trial_model **model; /* one an arm, or one for all */
  dpi_trial_tally *tally;
  dpi_sha256 *hash;
  double *value; /* [block x narm x nendpoint] */
  int *list;     /* [block] people of a block in the arm */
  int first;     /* of the block */
  /* one stream */
  const dpi_trial_model *now;
  dpi_trial_slot *slot; /* [block] of the model */
} runner;

/* ---- one arm, or all of a cross-over ---- */

static dp_status fill(void *user, int first, int n, dp_member *member, double *param) {
  runner *r = user;
  const int nparam = dp_sim_describe(r->now->sim)->nparam;
  for (int i = 0; i < n; i++)
    dpi_trial_fill(r->now, r->list[first + i], &r->slot[first + i], &member[i], param + (size_t)i * (size_t)nparam);
  return DP_OK;
}

static void note_failure(runner *r, int arm, int person, const dp_member_result *m) {
  dp_trial_result *out = r->out;
  out->arm[arm].nfailed++;
  if (out->nincident == 100) return;
  dp_trial_incident *i = &out->incident[out->nincident++];
  i->arm = arm;
  i->time = m->fail_time;
  snprintf(i->person, sizeof i->person, "%d", person);
  snprintf(i->reason, sizeof i->reason, "the simulation failed: %.130s", m->reason);
}

/* What one member gave for one arm. */
static void take(runner *r, int part, int person, const dp_member_result *m) {
  const dpi_trial_model *now = r->now;
  const dp_trial *t = r->t;
  const dpi_trial_part *p = &now->part[part];
  const int noutput = dp_sim_describe(now->sim)->noutput, position = dpi_trial_period_of(t, person, p->arm).position;
  double *value =
      r->value + ((size_t)(person - r->first) * (size_t)t->desc.narm + (size_t)p->arm) * (size_t)t->desc.nendpoint;
  const bool there =
      m->status == DP_MEMBER_OK && position < m->nout && (!now->npath || m->nfunctional > position * now->npath);
  const double *row = there ? m->value + (size_t)position * (size_t)noutput : NULL;
  const double *functional = there && now->npath ? m->functional + position * now->npath : NULL;
  dpi_trial_values(now, part, person, row, functional, value);
  if (m->status != DP_MEMBER_OK) note_failure(r, p->arm, person, m);
  if (row && p->limited >= 0) r->out->arm[p->arm].nlimited += (int64_t)row[p->limited];
}

static dp_status sink(void *user, const dp_member_result *block, int n) {
  runner *r = user;
  for (int i = 0; i < n; i++)
    for (int part = 0; part < r->now->npart; part++) take(r, part, r->list[block[i].member], &block[i]);
  return DP_OK;
}

static dp_status run_model(runner *r, int k, int n) {
  const dp_trial *t = r->t;
  const dp_source source = {fill, r};
  dp_run_opts opts = dp_run_opts_default();
  opts.seed = t->desc.seed;
  r->now = r->model[k];
  r->out->ncall += n;
  if (n == 0) return DP_OK;
  if (dpi_trial_any_outside(r->now)) return dpi_trial_outside_run(r->now, r->list, n, r->first, r->value, r->out);
  dpi_trial_slot *slot = NULL;
  dp_status status = dpi_trial_slots_create(r->now, n, &slot);
  r->slot = slot;
  if (status == DP_OK) status = dp_simulate_stream(r->now->sim, 0, n, &source, &opts, sink, r);
  dpi_trial_slots_destroy(r->now, slot, n);
  return status;
}

/* ---- blocks ---- */

/* Who of the block is in the arm of model k. */
static int choose(runner *r, int k, int n) {
  int m = 0;
  for (int i = 0; i < n; i++)
    if (r->t->desc.design != DP_TRIAL_PARALLEL || dpi_trial_assigned(r->t, r->first + i) == k)
      r->list[m++] = r->first + i;
  return m;
}

static void count_people(runner *r, int arm, int person) {
  const dp_trial *t = r->t;
  dp_trial_arm *a = &r->out->arm[arm];
  const double *value =
      r->value + ((size_t)(person - r->first) * (size_t)t->desc.narm + (size_t)arm) * (size_t)t->desc.nendpoint;
  const dpi_trial_period p = dpi_trial_period_of(t, person, arm);
  a->nperson++;
  a->ndropout += p.to < p.from + dpi_trial_ticks(t->desc.horizon);
  for (int e = 0; e < t->desc.nendpoint; e++) a->nmissing += isnan(value[e]);
}

static dp_status run_block(runner *r, int n) {
  const size_t width = (size_t)r->t->desc.narm * (size_t)r->t->desc.nendpoint;
  for (size_t i = 0; i < (size_t)n * width; i++) r->value[i] = NAN;
  for (int k = 0; k < r->nmodel; k++) {
    const int m = choose(r, k, n);
    DP_TRY(run_model(r, k, m));
    for (int part = 0; part < r->model[k]->npart; part++)
      for (int i = 0; i < m; i++) count_people(r, r->model[k]->part[part].arm, r->list[i]);
  }
  for (size_t i = 0; i < (size_t)n * width; i++)
    if (isnan(r->value[i])) r->value[i] = NAN; /* one NaN of all */
  dpi_sha256_add(r->hash, r->value, (size_t)n * width * sizeof *r->value);
  return dpi_trial_tally_add(r->tally, r->value, n);
}

static int block_of(const runner *r) {
  size_t size = 64;
  for (int k = 0; k < r->nmodel; k++) {
    const size_t s = dpi_trial_slot_size(r->model[k]);
    if (s > size) size = s;
  }
  const double n = BLOCK_BYTES / (double)size;
  return n >= 4096 ? 4096 : n <= 64 ? 64 : (int)n / 64 * 64;
}

static dp_status prepare(runner *r) {
  const dp_trial *t = r->t;
  const bool one = t->desc.design == DP_TRIAL_CROSSOVER;
  r->nmodel = one ? 1 : t->desc.narm;
  r->model = DPI_NEW_ARRAY(t->ctx, dpi_trial_model *, r->nmodel);
  if (!r->model) return DP_ERR_MEMORY;
  for (int k = 0; k < r->nmodel; k++)
    DP_TRY(dpi_trial_model_create(t, one ? 0 : k, one ? t->desc.narm : 1, &r->model[k]));
  r->block = block_of(r);
  r->value = DPI_NEW_ARRAY(t->ctx, double, (size_t)r->block *(size_t)(t->desc.narm * t->desc.nendpoint));
  r->list = DPI_NEW_ARRAY(t->ctx, int, r->block);
  r->hash = dpi_sha256_create(t->ctx);
  if (!r->value || !r->list || !r->hash) return DP_ERR_MEMORY;
  return dpi_trial_tally_create(t, &r->tally);
}

static dp_status run(runner *r) {
  const dp_trial *t = r->t;
  DP_TRY(prepare(r));
  for (r->first = 0; r->first < t->cohort.n; r->first += r->block) {
    const int n = t->cohort.n - r->first < r->block ? t->cohort.n - r->first : r->block;
    if (dp_ctx_cancelled(t->ctx)) return DP_ERR_CANCELLED;
    DP_TRY(run_block(r, n));
    if (r->def->progress) r->def->progress(r->def->progress_user, (double)(r->first + n) / t->cohort.n);
  }
  DP_TRY(dpi_trial_tally_finish(r->tally, r->out));
  return r->def->check ? dpi_trial_tally_drivers(r->tally, r->out) : DP_OK;
}

static void release(runner *r) {
  dp_ctx *ctx = r->t->ctx;
  for (int k = 0; r->model && k < r->nmodel; k++) dpi_trial_model_destroy(r->model[k]);
  if (r->hash) dpi_sha256_finish(r->hash, r->out->hash);
  dpi_trial_tally_destroy(r->tally);
  dpi_free(ctx, r->model);
  dpi_free(ctx, r->value);
  dpi_free(ctx, r->list);
}

/* ---- the result ---- */

static dp_status make_result(const dp_trial *t, dp_trial_result **out) {
  dp_ctx *ctx = t->ctx;
  const int narm = t->desc.narm, nend = t->desc.nendpoint;
  dp_trial_result *r = *out = DPI_NEW(ctx, dp_trial_result);
  if (!r) return DP_ERR_MEMORY;
  r->ctx = ctx;
  r->nperson = t->cohort.n;
  r->narm = narm;
  r->nendpoint = nend;
  r->arm = DPI_NEW_ARRAY(ctx, dp_trial_arm, narm);
  r->difference = DPI_NEW_ARRAY(ctx, dp_trial_difference, narm * (narm - 1) / 2 * nend + 1);
  r->incident = DPI_NEW_ARRAY(ctx, dp_trial_incident, 100);
  r->credibility.evidence = DPI_NEW_ARRAY(ctx, dp_trial_evidence, DPI_TRIAL_EVIDENCE);
  if (!r->arm || !r->difference || !r->incident || !r->credibility.evidence) return DP_ERR_MEMORY;
  for (int a = 0; a < narm; a++) {
    dp_trial_arm *x = &r->arm[a];
    x->name = t->arm[a].name;
    x->estimate = DPI_NEW_ARRAY(ctx, dp_trial_estimate, nend);
    x->q05 = DPI_NEW_ARRAY(ctx, double, nend);
    x->median = DPI_NEW_ARRAY(ctx, double, nend);
    x->q95 = DPI_NEW_ARRAY(ctx, double, nend);
    if (!x->estimate || !x->q05 || !x->median || !x->q95) return DP_ERR_MEMORY;
  }
  DP_TRY(dpi_trial_balance(t, r));
  r->boundary = t->nlook ? t->boundary : "";
  r->nlook = t->nlook;
  r->look = DPI_NEW_ARRAY(ctx, dp_trial_look, t->nlook + 1);
  r->seen = DPI_NEW_ARRAY(ctx, dp_trial_seen, narm * (narm - 1) / 2 * nend * t->nlook + 1);
  if (!r->look || !r->seen) return DP_ERR_MEMORY;
  for (int k = 0; k < t->nlook; k++)
    r->look[k] =
        (dp_trial_look){dpi_trial_look_at(t, k, t->cohort.n), t->look[k], t->critical[k], dpi_trial_nominal(t, k)};
  return DP_OK;
}

void dp_trial_result_destroy(dp_trial_result *r) {
  if (!r) return;
  dp_ctx *ctx = r->ctx;
  for (int a = 0; r->arm && a < r->narm; a++) {
    void *const block[] = {r->arm[a].estimate, r->arm[a].q05, r->arm[a].median, r->arm[a].q95};
    for (int k = 0; k < DPI_COUNT(block); k++) dpi_free(ctx, block[k]);
  }
  for (int s = 0; r->stratum && s < r->nstratum; s++) dpi_free(ctx, r->stratum[s].nperson);
  dpi_free(ctx, r->stratum);
  dpi_free(ctx, r->look);
  dpi_free(ctx, r->seen);
  dpi_free(ctx, r->arm);
  dpi_free(ctx, r->difference);
  dpi_free(ctx, r->incident);
  dpi_free(ctx, r->credibility.evidence);
  dpi_free(ctx, r);
}

dp_status dp_trial_run(const dp_trial *trial, const dp_trial_def *def, dp_trial_result **out) {
  *out = NULL;
  if (def->cookie != COOKIE)
    return dpi_fail(trial->ctx, DP_ERR_USAGE, "dp_trial_run: def is not from dp_trial_def_default()");
  if (def->nperson < 0) return dpi_fail(trial->ctx, DP_ERR_USAGE, "dp_trial_run: found %d people", def->nperson);
  dp_trial t = *trial; /* with this run's people */
  if (def->nperson) t.cohort.n = t.desc.nperson = def->nperson;
  if (!dpi_trial_looks_fit(&t, t.cohort.n))
    return dpi_fail(t.ctx, DP_ERR_INPUT, "%s:%d: looks: %d people are too few for %d looks", t.desc.source, t.look_line,
                    t.cohort.n, t.nlook);
  dp_trial_result *result = NULL;
  runner r = {.t = &t, .def = def};
  dp_status status = dpi_trial_match(&t);
  if (status == DP_OK) status = dpi_trial_allot(&t);
  if (status == DP_OK) status = make_result(&t, &result);
  r.out = result;
  if (status == DP_OK) {
    status = run(&r);
    release(&r);
    result->trial = trial;
    result->ncandidate = t.cohort.ncandidate;
    result->nmatched = t.cohort.nsimulated;
    result->acceptance = t.cohort.ncandidate ? (double)t.cohort.n / (double)t.cohort.ncandidate : 1;
  }
  if (status == DP_OK) status = dpi_trial_checks(&t, def->check != 0, result);
  dpi_free(t.ctx, t.allotted);
  dpi_free(t.ctx, t.cohort.accepted);
  dpi_free(t.ctx, t.cohort.matched);
  if (status == DP_OK)
    *out = result;
  else
    dp_trial_result_destroy(result);
  return status;
}
