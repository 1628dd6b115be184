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
  dp_problem *p;     /* what is drawn from: with all parameters, where the caller's solves some inside its objective */
  dp_problem *asked; /* the caller's */
  const dp_problem_sample_def *def;
  double
      *place; /* [nplace + ndropped x nparam] of p: the caller's places, the best one first; those far above it last */
  int nplace, ndropped;
  double gap;        /* of J, between the best place and the best that was dropped */
  double *start;     /* [nchain x nparam] or NULL */
  dpi_density *warm; /* what chains warmed up with, or NULL */
  dpi_draws *draws;
  dpi_mixing *mixing; /* [nparam] */
  dpi_verdict verdict;
  double evidence, evidence_error;
} work;

dp_problem_sample_def dp_problem_sample_def_default(void) {
  return (dp_problem_sample_def){.cookie = SAMPLE_COOKIE, .method = "nuts", .seed = 1};
}

static int or_own(int asked, int own) { return asked > 0 ? asked : own; }

/* ---- where to begin ---- */

/* Other optima are begun at when their J is not far above the best one's: half the number of parameters and this. A
 * mode
 * further up has next to no share of the posterior, and a chain that begins there has not left it after thousands of
 * draws. */
#define NEAR 5

/* A parameter that the caller's problem solves for has no prior but its bounds. */
static dp_status check_bounds(const work *w) {
  for (int k = 0; k < w->asked->desc.nsolved; k++) {
    const char *id = w->asked->desc.solved[k];
    const int q = dp_problem_param(w->p, id);
    if (q >= 0 && isfinite(w->p->desc.lower[q]) && isfinite(w->p->desc.upper[q])) continue;
    return dpi_fail(
        w->p->ctx, DP_ERR_UNSUPPORTED,
        "%s: '%s' is solved inside the objective and has no finite bounds: a posterior needs bounds for it, or no "
        "parameterType and a prior",
        w->p->desc.name, id);
  }
  return DP_OK;
}

/* The caller's place x with what is solved there, as parameters of p. */
static dp_status widen(const work *w, dpi_arena *arena, const double *x, double *to) {
  const dp_problem_desc *d = &w->asked->desc, *all = &w->p->desc;
  dp_problem_value v = {.solved = DPI_ARENA_ARRAY(arena, double, d->nsolved + 1)};
  if (!v.solved) return DP_ERR_MEMORY;
  if (w->p == w->asked) {
    memcpy(to, x, (size_t)d->nparam * sizeof *to);
    return DP_OK;
  }
  DP_TRY(dp_problem_eval(w->asked, 1, x, DP_PROBLEM_VALUE, &v));
  memcpy(to, all->nominal, (size_t)all->nparam * sizeof *to);
  for (int q = 0; q < d->nparam; q++) to[dp_problem_param(w->p, d->id[q])] = x[q];
  for (int k = 0; k < d->nsolved && v.ok; k++) {
    const int q = dp_problem_param(w->p, d->solved[k]);
    to[q] = fmin(fmax(dp_problem_rescale(all->scale[q], v.solved[k]), all->lower[q]), all->upper[q]);
  }
  return DP_OK;
}

/* The caller's places, those that are near the best one in J first. */
static dp_status choose_places(work *w, dpi_arena *arena) {
  const size_t n = (size_t)w->p->desc.nparam;
  const int m = w->def->nstart;
  if (m < 1) return DP_OK;
  dpi_density_value *v = DPI_ARENA_ARRAY(arena, dpi_density_value, m);
  double *all = DPI_ARENA_ARRAY(arena, double, n *(size_t)m);
  w->place = DPI_ARENA_ARRAY(arena, double, n *(size_t)m);
  if (!v || !all || !w->place) return DP_ERR_MEMORY;
  for (int k = 0; k < m; k++)
    DP_TRY(widen(w, arena, w->def->start + (size_t)w->asked->desc.nparam * (size_t)k, all + n * (size_t)k));
  DP_TRY(dpi_density_eval(&w->p->density, m, all, DPI_DENSITY_VALUE, v));
  int best = 0;
  for (int k = 1; k < m; k++)
    if (v[k].ok && (!v[best].ok || v[k].loglik + v[k].logprior > v[best].loglik + v[best].logprior)) best = k;
  w->gap = INFINITY;
  for (int pass = 0; pass < 3; pass++) /* the best one, those near it, the others */
    for (int k = 0; k < m; k++) {
      const double gap = v[best].loglik + v[best].logprior - v[k].loglik - v[k].logprior;
      const bool near = v[k].ok && gap <= 0.5 * (double)n + NEAR;
      if ((k == best ? 0 : near ? 1 : 2) != pass) continue;
      memcpy(w->place + n * (size_t)(w->nplace + w->ndropped), all + n * (size_t)k, n * sizeof *all);
      if (pass < 2)
        w->nplace++;
      else
        w->ndropped++;
      if (pass == 2 && v[k].ok) w->gap = fmin(w->gap, gap);
    }
  return DP_OK;
}

/* Chains take the places in turn. */
static dp_status spread_starts(work *w, dpi_arena *arena, int nchain) {
  const size_t n = (size_t)w->p->desc.nparam;
  if (w->nplace < 1) return DP_OK;
  w->start = DPI_ARENA_ARRAY(arena, double, n *(size_t)nchain);
  if (!w->start) return DP_ERR_MEMORY;
  for (int c = 0; c < nchain; c++)
    memcpy(w->start + n * (size_t)c, w->place + n * (size_t)(c % w->nplace), n * sizeof *w->start);
  return DP_OK;
}

static void say_starts(work *w) {
  if (w->ndropped < 1) return;
  if (isfinite(w->gap))
    dpi_verdict_add(&w->verdict, false,
                    "chains began at %d of %d optima: J of the others is %.3g or more above the best one's", w->nplace,
                    w->nplace + w->ndropped, w->gap);
  else
    dpi_verdict_add(&w->verdict, false, "chains began at %d of %d places: the others can't be evaluated", w->nplace,
                    w->nplace + w->ndropped);
}

/* ---- the methods ---- */

#define SPREAD 1.0 /* deviations that chains begin beside their optimum */

typedef struct asked_chains {
  int nchain, nwarmup, ndraw;
} asked_chains;

/* As asked for; the method's own where nothing was. */
static asked_chains of_chains(const work *w, int nchain, int nwarmup, int ndraw) {
  return (asked_chains){or_own(w->def->nchain, nchain), or_own(w->def->nwarmup, nwarmup), or_own(w->def->ndraw, ndraw)};
}

static dp_status judge_chains(work *w) {
  DP_TRY(dpi_verdict_chains(w->draws, w->mixing, &w->verdict));
  say_starts(w);
  return DP_OK;
}

static void keep_evidence(work *w, double evidence, double error) {
  w->evidence = evidence;
  w->evidence_error = error;
}

static dp_status by_nuts(work *w, dpi_arena *arena) {
  dpi_nuts_def d = dpi_nuts_def_default();
  dpi_nuts_report report;
  const asked_chains c = of_chains(w, d.nchain, d.nwarmup, d.ndraw);
  DP_TRY(spread_starts(w, arena, c.nchain));
  d.seed = w->def->seed;
  d.nchain = c.nchain;
  d.nwarmup = c.nwarmup;
  d.ndraw = c.ndraw;
  d.file = w->def->file;
  d.tag = w->p->key;
  d.start = w->start;
  d.spread = w->start ? SPREAD : 0;
  if (w->def->coarse) {
    dp_problem *warm = w->def->coarse->full ? w->def->coarse->full : w->def->coarse;
    if (warm->desc.nparam != w->p->desc.nparam)
      return dpi_fail(w->p->ctx, DP_ERR_USAGE, "%s: the coarser problem has %d parameters, expected %d",
                      w->p->desc.name, warm->desc.nparam, w->p->desc.nparam);
    d.warm = w->warm = &warm->density;
    d.tag = dpi_arena_printf(arena, "%s warm=%s", w->p->key, warm->key);
    if (!d.tag) return DP_ERR_MEMORY;
    warm->density.neval = 0;
  }
  DP_TRY(dpi_nuts_run(&w->p->density, &d, &w->draws, &report));
  DP_TRY(judge_chains(w));
  if (report.nstuck > 0)
    dpi_verdict_add(&w->verdict, true, "%d of %d chains found no place to start from: %s", report.nstuck, d.nchain,
                    report.reason);
  return DP_OK;
}

static dp_status by_tempering(work *w, dpi_arena *arena) {
  dpi_tempering_def d = dpi_tempering_def_default();
  dpi_tempering_report report;
  const asked_chains c = of_chains(w, d.nchain, d.nwarmup, d.ndraw);
  DP_TRY(spread_starts(w, arena, c.nchain));
  d.seed = w->def->seed;
  d.nchain = c.nchain;
  d.nwarmup = c.nwarmup;
  d.ndraw = c.ndraw;
  d.file = w->def->file;
  d.tag = w->p->key;
  d.start = w->start;
  DP_TRY(dpi_tempering_run(&w->p->density, &d, &w->draws, &report));
  DP_TRY(judge_chains(w));
  DP_TRY(dpi_tempering_verdict(w->draws, &report, &w->verdict));
  keep_evidence(w, report.evidence, report.evidence_error);
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
  keep_evidence(w, report.evidence, report.evidence_error);
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
  const int nmode = w->nplace + w->ndropped; /* weights will tell what each one's share is */
  d.mode = w->place;
  d.nmode = nmode < DPI_LAPLACE_MODES ? nmode : DPI_LAPLACE_MODES;
  d.ndraw = or_own(w->def->ndraw, d.ndraw);
  if (d.nproposal < d.ndraw) d.nproposal = d.ndraw; /* draws chosen again and again from few proposals tell no more */
  d.differences = true;
  d.log_prior_mass = log_prior_mass(w->p);
  DP_TRY(dpi_laplace_run(&w->p->density, &d, &w->draws, &report));
  for (int q = 0; q < w->p->desc.nparam; q++) w->mixing[q] = (dpi_mixing){NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
  w->verdict = report.verdict;
  keep_evidence(w, report.evidence, report.evidence_error);
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
                       .id = w->p->desc.id,
                       .scale = w->p->desc.scale,
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
                       .neval = w->p->density.neval + (w->warm ? w->warm->neval : 0)};
  return DP_OK;
}

static dp_status run(sample_own *s, work *w, int method) {
  w->mixing = DPI_ARENA_ARRAY(&s->arena, dpi_mixing, w->p->desc.nparam + 1);
  if (!w->mixing) return DP_ERR_MEMORY;
  DP_TRY(check_bounds(w));
  DP_TRY(choose_places(w, &s->arena));
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
  sample_own *s = DPI_NEW(problem->ctx, sample_own);
  if (!s) return DP_ERR_MEMORY;
  dpi_arena_init(&s->arena, problem->ctx);
  dp_problem *whole = problem->full ? problem->full : problem;
  whole->density.neval = 0;
  work w = {.p = whole, .asked = problem, .def = def, .evidence = NAN, .evidence_error = NAN};
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
