/* estimate_fit.c - floor 6: estimate.h over the folders point and sample: point estimates.  O -> D */
#include <math.h>
#include <string.h>

#include "doppel/estimate.h"
#include "infer/petab/calib.h"
#include "infer/point/multistart.h"
#include "infer/point/profile.h"
#include "infer/point/select.h"

#define FIT_COOKIE 0x66697431u
#define RANK_TOLERANCE 1e-6

typedef struct fit_own {
  dp_fit pub;
  dpi_arena arena;
} fit_own;

dp_problem_fit_def dp_problem_fit_def_default(void) {
  return (dp_problem_fit_def){.cookie = FIT_COOKIE, .nstart = 100, .sampling = "latin", .hessian = "hybrid", .seed = 1};
}

/* ---- what is asked ---- */

static dp_status read_def(dp_problem *p, const dp_problem_fit_def *def, dpi_multistart_def *out) {
  *out = dpi_multistart_def_default();
  if (!def || def->cookie != FIT_COOKIE)
    return dpi_fail(p->ctx, DP_ERR_USAGE, "fit: its definition was not made by dp_problem_fit_def_default");
  const int sampling = dpi_sampling_find(def->sampling ? def->sampling : "latin");
  const int hessian = dpi_hessian_find(def->hessian ? def->hessian : "hybrid");
  if (sampling < 0)
    return dpi_fail(p->ctx, DP_ERR_USAGE, "fit: unknown sampling '%s', expected latin, sobol, uniform or prior", def->sampling);
  if (hessian < 0)
    return dpi_fail(p->ctx, DP_ERR_USAGE, "fit: unknown hessian '%s', expected hybrid, fisher, bfgs or sr1", def->hessian);
  if (def->nstart < 0 || def->ngiven < 0 || def->nstart + def->ngiven + (def->nominal != 0) < 1)
    return dpi_fail(p->ctx, DP_ERR_USAGE, "fit: %d starts, expected at least 1", def->nstart);
  out->sampling = (dpi_sampling)sampling;
  out->trust.hessian = (dpi_hessian)hessian;
  out->nstart = def->nstart;
  out->seed = def->seed;
  out->file = def->file;
  out->key = p->desc.name;
  out->progress = def->progress;
  out->user = def->user;
  if (def->max_iterations > 0) out->trust.max_iter = def->max_iterations;
  if (def->batch > 0) out->batch = def->batch;
  return DP_OK;
}

/* The given starts, the nominal point first. */
static dp_status given_starts(dpi_arena *arena, const dp_problem *p, const dp_problem_fit_def *def, dpi_multistart_def *out) {
  const size_t n = (size_t)p->desc.nparam;
  const int nominal = def->nominal != 0;
  double *x = DPI_ARENA_ARRAY(arena, double, n * (size_t)(def->ngiven + nominal) + 1);
  if (!x) return DP_ERR_MEMORY;
  for (size_t q = 0; q < n && nominal; q++)
    if (isnan(x[q] = p->desc.nominal[q]))
      return dpi_fail(p->ctx, DP_ERR_INPUT, "%s: parameter '%s' has no nominal value to start from", p->desc.name, p->desc.id[q]);
  if (def->ngiven) memcpy(x + n * (size_t)nominal, def->given, n * (size_t)def->ngiven * sizeof *x);
  out->given = x;
  out->ngiven = def->ngiven + nominal;
  return DP_OK;
}

/* ---- what came out ---- */

/* sd by the inverse of the information over what is not at a bound, direction by direction: one without information leaves
 * the parameters that take part in it open. */
static dp_status deviations(dpi_arena *arena, dp_problem *p, const dpi_optimum *o, double *sd, dpi_rank *rank) {
  const int n = p->desc.nparam;
  for (int q = 0; q < n; q++) sd[q] = o->fisher && !o->at[q] ? 0.0 : NAN;
  if (!o->fisher) return DP_OK;
  double *inside = DPI_ARENA_ARRAY(arena, double, (size_t)n * (size_t)n);
  if (!inside) return DP_ERR_MEMORY;
  for (int i = 0; i < n * n; i++) inside[i] = o->at[i / n] || o->at[i % n] ? 0.0 : o->fisher[i];
  DP_TRY(dpi_rank_analyse(arena, &p->density, o->x, inside, NULL, RANK_TOLERANCE, rank));
  for (int k = 0; k < n; k++)
    for (int q = 0; q < n; q++) {
      const double v = rank->vector[(size_t)q * (size_t)n + (size_t)k] * rank->scale[q];
      if (o->at[q]) continue;
      if (k >= n - rank->rank)
        sd[q] += v * v / rank->value[k];
      else if (fabs(v) > 1e-3 * rank->scale[q])
        sd[q] = INFINITY;
    }
  for (int q = 0; q < n; q++) sd[q] = sqrt(sd[q]);
  return DP_OK;
}

static dp_status keep_starts(fit_own *f, const dpi_multistart *ms) {
  dp_fit_start *s = DPI_ARENA_ARRAY(&f->arena, dp_fit_start, ms->nstart + 1);
  bool *seen = DPI_ARENA_ARRAY(&f->arena, bool, ms->nstart + 1);
  if (!s || !seen) return DP_ERR_MEMORY;
  for (int k = 0, i = 0; k < 2 * ms->nstart && i < ms->nstart; k++) { /* those that found something, then the others */
    const int at = k < ms->nfound ? ms->order[k] : k - ms->nfound;
    if (at >= ms->nstart || seen[at]) continue;
    const dpi_start *from = &ms->start[at];
    seen[at] = true;
    s[i++] = (dp_fit_start){at, from->j, from->j0, from->optimum, from->niter, from->neval, dpi_trust_end_text(from->end)};
  }
  f->pub.start = s;
  return DP_OK;
}

static dp_status keep_optima(fit_own *f, dp_problem *p, const dpi_multistart *ms) {
  const int n = p->desc.nparam;
  dp_fit_optimum *o = DPI_ARENA_ARRAY(&f->arena, dp_fit_optimum, ms->noptimum + 1);
  if (!o) return DP_ERR_MEMORY;
  for (int k = 0; k < ms->noptimum; k++) {
    const dpi_optimum *from = &ms->optimum[k];
    double *x = DPI_ARENA_ARRAY(&f->arena, double, 2 * n + 1);
    signed char *at = DPI_ARENA_ARRAY(&f->arena, signed char, n + 1);
    if (!x || !at) return DP_ERR_MEMORY;
    memcpy(x, from->x, (size_t)n * sizeof *x);
    memcpy(at, from->at, (size_t)n);
    dpi_rank rank = {.rank = n};
    DP_TRY(deviations(&f->arena, p, from, x + n, &rank));
    if (k == 0 && from->fisher)
      DP_TRY(dpi_rank_analyse(&f->arena, &p->density, from->x, from->fisher, NULL, RANK_TOLERANCE, &rank));
    o[k] = (dp_fit_optimum){from->j, from->loglik, from->logprior, x, x + n, at, from->count};
    if (k > 0) continue;
    dpi_str words;
    dpi_str_init(&words, p->ctx);
    if (from->fisher && rank.rank < n) dpi_rank_write(&rank, &p->density, &words);
    f->pub.rank = rank.rank;
    f->pub.rank_words = dpi_arena_strdup(&f->arena, dpi_str_text(&words));
    dpi_str_release(&words);
    if (!f->pub.rank_words) return DP_ERR_MEMORY;
  }
  f->pub.optimum = o;
  return DP_OK;
}

static dp_status keep(fit_own *f, dp_problem *p, const dpi_multistart *ms) {
  f->pub.nparam = p->desc.nparam;
  f->pub.nstart = ms->nstart;
  f->pub.nfound = ms->nfound;
  f->pub.noptimum = ms->noptimum;
  f->pub.hit_rate = ms->hit_rate;
  f->pub.neval = ms->neval;
  f->pub.nfailed = ms->nfailed;
  DP_TRY(keep_starts(f, ms));
  DP_TRY(keep_optima(f, p, ms));
  const dpi_criteria c = dpi_criteria_of(ms->optimum[0].loglik, p->desc.nparam, p->desc.ndatum);
  f->pub.aic = c.aic;
  f->pub.aicc = c.aicc;
  f->pub.bic = c.bic;
  return DP_OK;
}

dp_status dp_problem_fit(dp_problem *problem, const dp_problem_fit_def *def, dp_fit **out) {
  *out = NULL;
  dpi_multistart_def md;
  DP_TRY(read_def(problem, def, &md));
  fit_own *f = DPI_NEW(problem->ctx, fit_own);
  if (!f) return DP_ERR_MEMORY;
  dpi_arena_init(&f->arena, problem->ctx);
  dpi_multistart *ms = NULL;
  dp_status st = given_starts(&f->arena, problem, def, &md);
  if (st == DP_OK) st = dpi_multistart_run(&problem->density, &md, &ms);
  if (st == DP_OK) st = keep(f, problem, ms);
  dpi_multistart_destroy(ms);
  if (st == DP_OK)
    *out = &f->pub;
  else
    dp_fit_destroy(&f->pub);
  return st;
}

void dp_fit_destroy(dp_fit *fit) {
  if (!fit) return;
  fit_own *f = (fit_own *)fit;
  dp_ctx *ctx = f->arena.ctx;
  dpi_arena_release(&f->arena);
  dpi_free(ctx, f);
}
