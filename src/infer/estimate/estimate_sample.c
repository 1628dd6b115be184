/* estimate_sample.c - floor 6: estimate.h over the folders point and sample: posteriors.  O -> D */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "doppel/estimate.h"
#include "infer/petab/calib.h"
#include "infer/sample/laplace.h"
#include "infer/sample/nuts.h"
#include "infer/sample/smc.h"
#include "infer/sample/tempering.h"

#define SAMPLE_COOKIE 0x73616d31u

typedef struct sample_own {
  dp_sample pub;
  dpi_arena arena;
  dpi_draws *draws; /* owned */
} sample_own;

/* One run of a method. */
typedef struct work {
  dp_problem *p;
  const dp_problem_sample_def *def;
  double *start; /* [nchain x nparam] or NULL */
  dpi_draws *draws;
  dpi_mixing *mixing; /* [nparam] */
  dpi_verdict verdict;
  double evidence, evidence_error;
} work;

dp_problem_sample_def dp_problem_sample_def_default(void) {
  return (dp_problem_sample_def){.cookie = SAMPLE_COOKIE, .method = "nuts", .seed = 1};
}

static int or_own(int asked, int own) { return asked > 0 ? asked : own; }

/* Chains take the given places in turn. */
static dp_status spread_starts(work *w, dpi_arena *arena, int nchain) {
  const size_t n = (size_t)w->p->desc.nparam;
  if (w->def->nstart < 1) return DP_OK;
  w->start = DPI_ARENA_ARRAY(arena, double, n * (size_t)nchain);
  if (!w->start) return DP_ERR_MEMORY;
  for (int c = 0; c < nchain; c++)
    memcpy(w->start + n * (size_t)c, w->def->start + n * (size_t)(c % w->def->nstart), n * sizeof *w->start);
  return DP_OK;
}

/* ---- the methods ---- */

static dp_status by_nuts(work *w, dpi_arena *arena) {
  dpi_nuts_def d = dpi_nuts_def_default();
  dpi_nuts_report report;
  d.seed = w->def->seed;
  d.nchain = or_own(w->def->nchain, d.nchain);
  d.nwarmup = or_own(w->def->nwarmup, d.nwarmup);
  d.ndraw = or_own(w->def->ndraw, d.ndraw);
  d.file = w->def->file;
  d.tag = w->p->key;
  DP_TRY(spread_starts(w, arena, d.nchain));
  d.start = w->start;
  DP_TRY(dpi_nuts_run(&w->p->density, &d, &w->draws, &report));
  DP_TRY(dpi_verdict_chains(w->draws, w->mixing, &w->verdict));
  if (report.nstuck > 0)
    dpi_verdict_add(&w->verdict, true, "%d of %d chains found no place to start from: %s", report.nstuck, d.nchain,
                    report.reason);
  return DP_OK;
}

static dp_status by_tempering(work *w, dpi_arena *arena) {
  dpi_tempering_def d = dpi_tempering_def_default();
  dpi_tempering_report report;
  d.seed = w->def->seed;
  d.nchain = or_own(w->def->nchain, d.nchain);
  d.nwarmup = or_own(w->def->nwarmup, d.nwarmup);
  d.ndraw = or_own(w->def->ndraw, d.ndraw);
  d.file = w->def->file;
  d.tag = w->p->key;
  DP_TRY(spread_starts(w, arena, d.nchain));
  d.start = w->start;
  DP_TRY(dpi_tempering_run(&w->p->density, &d, &w->draws, &report));
  DP_TRY(dpi_verdict_chains(w->draws, w->mixing, &w->verdict));
  DP_TRY(dpi_tempering_verdict(w->draws, &report, &w->verdict));
  w->evidence = report.evidence;
  w->evidence_error = report.evidence_error;
  return DP_OK;
}

static dp_status by_smc(work *w, dpi_arena *arena) {
  (void)arena;
  dpi_smc_def d = dpi_smc_def_default();
  dpi_smc_report report;
  d.seed = w->def->seed;
  d.nrepeat = or_own(w->def->nchain, d.nrepeat);
  d.nparticle = or_own(w->def->ndraw, d.nparticle);
  d.file = w->def->file;
  d.tag = w->p->key;
  DP_TRY(dpi_smc_run(&w->p->density, &d, &w->draws, &report));
  DP_TRY(dpi_verdict_chains(w->draws, w->mixing, &w->verdict));
  DP_TRY(dpi_smc_verdict(w->draws, &report, &w->verdict));
  w->evidence = report.evidence;
  w->evidence_error = report.evidence_error;
  return DP_OK;
}

/* ln of the box's volume where there is no prior: that is what makes weights an evidence. With priors in the table
 * their mass within the box is not known here: no evidence then. */
static double log_prior_mass(const dp_problem *p) {
  double sum = 0;
  for (int q = 0; q < p->desc.nparam; q++) sum += log(p->desc.upper[q] - p->desc.lower[q]);
  return !p->has_prior && isfinite(sum) ? sum : NAN;
}

static dp_status by_laplace(work *w, dpi_arena *arena) {
  (void)arena;
  dpi_laplace_def d = dpi_laplace_def_default();
  dpi_laplace_report report;
  if (w->def->nstart < 1)
    return dpi_fail(w->p->ctx, DP_ERR_USAGE, "sampling by laplace needs at least one mode to start from: fit first");
  d.seed = w->def->seed;
  d.mode = w->def->start;
  d.nmode = w->def->nstart < DPI_LAPLACE_MODES ? w->def->nstart : DPI_LAPLACE_MODES;
  d.ndraw = or_own(w->def->ndraw, d.ndraw);
  d.differences = true;
  d.log_prior_mass = log_prior_mass(w->p);
  DP_TRY(dpi_laplace_run(&w->p->density, &d, &w->draws, &report));
  for (int q = 0; q < w->p->desc.nparam; q++) w->mixing[q] = (dpi_mixing){NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
  w->verdict = report.verdict;
  w->evidence = report.evidence;
  w->evidence_error = report.evidence_error;
  return DP_OK;
}

static const struct {
  const char *name;
  dp_status (*run)(work *w, dpi_arena *arena);
} methods[] = {{"nuts", by_nuts}, {"tempering", by_tempering}, {"smc", by_smc}, {"laplace", by_laplace}};

/* ---- what came out ---- */

static int ascending(const void *pa, const void *pb) {
  const double a = *(const double *)pa, b = *(const double *)pb;
  return a < b ? -1 : a > b;
}

static double quantile(const double *sorted, size_t n, double p) {
  const double at = p * (double)(n - 1);
  const size_t k = (size_t)at;
  return k + 1 < n ? sorted[k] + (at - (double)k) * (sorted[k + 1] - sorted[k]) : sorted[n - 1];
}

/* column [draws]: sorted in place. */
static void summarise(double *column, size_t n, const dpi_mixing *m, dp_sample_param *out) {
  double mean = 0, square = 0;
  for (size_t i = 0; i < n; i++) mean += column[i] / (double)n;
  for (size_t i = 0; i < n; i++) square += (column[i] - mean) * (column[i] - mean);
  qsort(column, n, sizeof *column, ascending);
  *out = (dp_sample_param){.mean = mean,
                           .sd = n > 1 ? sqrt(square / (double)(n - 1)) : NAN,
                           .mcse = m->mcse_mean,
                           .q05 = quantile(column, n, 0.05),
                           .q25 = quantile(column, n, 0.25),
                           .q50 = quantile(column, n, 0.5),
                           .q75 = quantile(column, n, 0.75),
                           .q95 = quantile(column, n, 0.95),
                           .rhat = m->rhat,
                           .ess_bulk = m->ess_bulk,
                           .ess_tail = m->ess_tail};
}

static bool complete(const dpi_draws *s) {
  for (int c = 0; c < s->nchain; c++)
    if (s->done[c] < s->ndraw) return false;
  return true;
}

static dp_status keep(sample_own *s, const work *w) {
  const dpi_draws *d = s->draws;
  const int n = d->n;
  const size_t total = (size_t)d->nchain * (size_t)d->ndraw;
  dp_sample_param *param = DPI_ARENA_ARRAY(&s->arena, dp_sample_param, n + 1);
  double *column = DPI_ARENA_ARRAY(&s->arena, double, total + 1);
  char *words = dpi_arena_strdup(&s->arena, w->verdict.words);
  if (!param || !column || !words) return DP_ERR_MEMORY;
  const bool whole = complete(d);
  for (int q = 0; q < n; q++) {
    if (whole)
      dpi_draws_column(d, q, column);
    else
      for (size_t i = 0; i < total; i++) column[i] = NAN;
    summarise(column, total, &w->mixing[q], &param[q]);
  }
  s->pub = (dp_sample){.nparam = n,
                       .nchain = d->nchain,
                       .ndraw = d->ndraw,
                       .x = d->x,
                       .llh = d->loglik,
                       .log_prior = d->logprior,
                       .param = param,
                       .usable = whole && w->verdict.usable,
                       .verdict = words,
                       .rhat = w->verdict.rhat,
                       .ess_bulk = w->verdict.ess_bulk,
                       .ess_tail = w->verdict.ess_tail,
                       .divergent = w->verdict.divergent,
                       .khat = w->verdict.khat,
                       .evidence = w->evidence,
                       .evidence_error = w->evidence_error,
                       .neval = w->p->density.neval};
  return DP_OK;
}

static dp_status run(sample_own *s, work *w, int method) {
  w->mixing = DPI_ARENA_ARRAY(&s->arena, dpi_mixing, w->p->desc.nparam + 1);
  if (!w->mixing) return DP_ERR_MEMORY;
  const dp_status st = methods[method].run(w, &s->arena);
  s->draws = w->draws;
  DP_TRY(st);
  return keep(s, w);
}

dp_status dp_problem_sample(dp_problem *problem, const dp_problem_sample_def *def, dp_sample **out) {
  *out = NULL;
  if (!def || def->cookie != SAMPLE_COOKIE)
    return dpi_fail(problem->ctx, DP_ERR_USAGE,
                    "sampling: its definition was not made by dp_problem_sample_def_default");
  int method = -1;
  for (int i = 0; i < DPI_COUNT(methods); i++)
    if (def->method && strcmp(def->method, methods[i].name) == 0) method = i;
  if (method < 0)
    return dpi_fail(problem->ctx, DP_ERR_USAGE,
                    "sampling: unknown method '%s', expected nuts, tempering, smc or laplace",
                    def->method ? def->method : "");
  if (problem->desc.nsolved > 0)
    return dpi_fail(problem->ctx, DP_ERR_UNSUPPORTED,
                    "%s: '%s' is solved inside the objective: draws would not be of the posterior; sample it (no "
                    "parameterType, a row of its own), or use profiles",
                    problem->desc.name, problem->desc.solved[0]);
  sample_own *s = DPI_NEW(problem->ctx, sample_own);
  if (!s) return DP_ERR_MEMORY;
  dpi_arena_init(&s->arena, problem->ctx);
  problem->density.neval = 0;
  work w = {.p = problem, .def = def, .evidence = NAN, .evidence_error = NAN};
  const dp_status st = run(s, &w, method);
  if (st == DP_OK)
    *out = &s->pub;
  else
    dp_sample_destroy(&s->pub);
  return st;
}

void dp_sample_destroy(dp_sample *sample) {
  if (!sample) return;
  sample_own *s = (sample_own *)sample;
  dp_ctx *ctx = s->arena.ctx;
  dpi_draws_destroy(s->draws);
  dpi_arena_release(&s->arena);
  dpi_free(ctx, s);
}
