/* estimate_fit.c - floor 6: estimate.h over the folders point and sample: point estimates.  O -> D */
#include <math.h>
#include <string.h>

#include "doppel/estimate.h"
#include "infer/petab/calib.h"
#include "infer/point/multistart.h"
#include "infer/point/point_impl.h"
#include "infer/point/profile.h"
#include "infer/point/global.h"
#include "infer/point/scatter.h"
#include "infer/point/select.h"

#define FIT_COOKIE 0x66697431u
#define RANK_TOLERANCE 1e-6
#define HIT 0.1            /* J above the best that still counts as found */
#define POLISHED 10        /* distinct optima of a coarse search */
#define POLISH_STEPS 200
#define MEMBERS 64         /* of a batch */
#define DEAR 8             /* directions: with more, derivatives are so dear that a trial's value is asked for first */
#define STARTS_SHARE 0.4   /* of the processor time: starts, where a scatter search follows */
#define POLISH_SHARE 0.1   /* and the polish */
/* Information costs so many times a gradient that goes backwards: as infer/petab counts work. */
#define DIRECTION_WORK 1.35
#define BACK_WORK 6.5
#define REFRESH_FROM 4     /* from there on it is asked for now and then only */
#define REFRESH_MOST 8

typedef struct fit_own {
  dp_fit pub;
  dpi_arena arena;
} fit_own;

dp_problem_fit_def dp_problem_fit_def_default(void) {
  return (dp_problem_fit_def){
      .cookie = FIT_COOKIE, .nstart = 100, .sampling = "latin", .hessian = "hybrid", .search = "starts", .seed = 1};
}

/* ---- what is asked ---- */

/* Searches side by side: so many that lanes are full whatever ends; more would only be begun earlier, and where time is
 * short a few that have ended are worth more than many that have not. */
static int good_batch(const dp_problem_desc *d) {
  const int members = d->nsimulation > 0 ? d->nsimulation : 1;
  return members >= MEMBERS / 2 ? 2 : MEMBERS / members < 64 ? MEMBERS / members : 64;
}

static int good_refresh(const dp_problem_desc *d) {
  const double ratio = d->adjoint ? (1 + DIRECTION_WORK * d->ndirection) / BACK_WORK : 1;
  return ratio < REFRESH_FROM ? 1 : ratio / 2 < REFRESH_MOST ? (int)floor(ratio / 2 + 0.5) : REFRESH_MOST;
}

static bool wants_scatter(const dp_problem_fit_def *def) { return def->search && strcmp(def->search, "scatter") == 0; }

static int global_method(const dp_problem_fit_def *def) { return def->search ? dpi_global_find(def->search) : -1; }

static dp_status check_search(const dp_problem *p, const dp_problem_fit_def *def) {
  const bool global = global_method(def) >= 0;
  if (def->search && strcmp(def->search, "starts") != 0 && !wants_scatter(def) && !global)
    return dpi_fail(p->ctx, DP_ERR_USAGE,
                    "fit: unknown search '%s', expected starts, scatter, crs2, esch, isres, direct or mlsl", def->search);
  if (global && (def->nominal || def->ngiven || def->file))
    return dpi_fail(p->ctx, DP_ERR_USAGE, "fit: search '%s' goes over the whole box: no given starts, nothing to resume",
                    def->search);
  if (def->points < 0 || (def->points && !global))
    return dpi_fail(p->ctx, DP_ERR_USAGE, "fit: a number of points belongs to a search over the whole box, such as crs2");
  return DP_OK;
}

static dp_status read_def(dp_problem *p, const dp_problem_fit_def *def, dpi_multistart_def *out) {
  *out = dpi_multistart_def_default();
  if (!def || def->cookie != FIT_COOKIE)
    return dpi_fail(p->ctx, DP_ERR_USAGE, "fit: its definition was not made by dp_problem_fit_def_default");
  const int sampling = dpi_sampling_find(def->sampling ? def->sampling : "latin");
  const int hessian = dpi_hessian_find(def->hessian ? def->hessian : "hybrid");
  if (sampling < 0)
    return dpi_fail(p->ctx, DP_ERR_USAGE, "fit: unknown sampling '%s', expected latin, sobol, uniform or prior",
                    def->sampling);
  if (hessian < 0)
    return dpi_fail(p->ctx, DP_ERR_USAGE, "fit: unknown hessian '%s', expected hybrid, fisher, bfgs or sr1",
                    def->hessian);
  DP_TRY(check_search(p, def));
  if (def->coarse && def->coarse->desc.nparam != p->desc.nparam)
    return dpi_fail(p->ctx, DP_ERR_USAGE, "fit: the coarse problem has %d parameters, this one %d",
                    def->coarse->desc.nparam, p->desc.nparam);
  if (def->nstart < 0 || def->ngiven < 0 || def->nstart + def->ngiven + (def->nominal != 0) < 1)
    return dpi_fail(p->ctx, DP_ERR_USAGE, "fit: %d starts, expected at least 1", def->nstart);
  out->sampling = (dpi_sampling)sampling;
  out->trust.hessian = (dpi_hessian)hessian;
  out->nstart = def->nstart;
  out->seed = def->seed;
  out->file = def->file;
  out->key = p->key;
  out->progress = def->progress;
  out->user = def->user;
  if (def->screen > 0) out->screen = def->screen;
  if (def->max_iterations > 0) out->trust.max_iter = def->max_iterations;
  out->max_cpu = def->max_cpu;
  out->batch = def->batch > 0 ? def->batch : good_batch(&p->desc);
  out->trust.value_first = p->desc.ndirection > DEAR ? 2 : 1;
  out->trust.refresh = good_refresh(&p->desc);
  out->race = true;
  return DP_OK;
}

/* The given starts, the nominal point first. */
static dp_status given_starts(dpi_arena *arena, const dp_problem *p, const dp_problem_fit_def *def,
                              dpi_multistart_def *out) {
  const size_t n = (size_t)p->desc.nparam;
  const int nominal = def->nominal != 0;
  double *x = DPI_ARENA_ARRAY(arena, double, n * (size_t)(def->ngiven + nominal) + 1);
  if (!x) return DP_ERR_MEMORY;
  for (size_t q = 0; q < n && nominal; q++)
    if (isnan(x[q] = p->desc.nominal[q]))
      return dpi_fail(p->ctx, DP_ERR_INPUT, "%s: parameter '%s' has no nominal value to start from", p->desc.name,
                      p->desc.id[q]);
  if (def->ngiven) memcpy(x + n * (size_t)nominal, def->given, n * (size_t)def->ngiven * sizeof *x);
  out->given = x;
  out->ngiven = def->ngiven + nominal;
  return DP_OK;
}

/* ---- what came out ---- */

/* sd by the inverse of the information over what is not at a bound, direction by direction: one without information
 * leaves the parameters that take part in it open. */
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

/* The fit's optima: those of the polish first, if there is one, then those that were not polished. */
typedef struct found {
  const dpi_multistart *coarse, *fine; /* coarse: what the starts gave; fine: NULL, or what its first optima led to */
  int more; /* fine's first starts: places of the scatter search; those of the optima come behind */
} found;

static int first_left(const found *w) { return w->fine ? w->fine->nstart - w->more : 0; }

static int count_optima(const found *w) {
  return (w->fine ? w->fine->noptimum : 0) + w->coarse->noptimum - first_left(w);
}

static const dpi_optimum *optimum_at(const found *w, int k) {
  const int fine = w->fine ? w->fine->noptimum : 0;
  return k < fine ? &w->fine->optimum[k] : &w->coarse->optimum[first_left(w) + k - fine];
}

/* Where the optimum k of the coarse search has gone, -1: nowhere. */
static int optimum_of(const found *w, int k) {
  if (k < 0 || !w->fine) return k;
  return k < first_left(w) ? w->fine->start[w->more + k].optimum : k - first_left(w) + w->fine->noptimum;
}

/* J of a start: what polishing has changed of its optimum, it has changed of the start. */
static double j_of(const found *w, const dpi_start *s) {
  if (s->optimum < 0 || s->optimum >= first_left(w)) return s->j;
  const double j = w->fine->start[w->more + s->optimum].j;
  return isfinite(j) ? j + (s->j - w->coarse->optimum[s->optimum].j) : s->j;
}

static dp_status keep_starts(fit_own *f, const found *w) {
  const dpi_multistart *ms = w->coarse;
  dp_fit_start *s = DPI_ARENA_ARRAY(&f->arena, dp_fit_start, ms->nstart + 1);
  if (!s) return DP_ERR_MEMORY;
  int hits = 0, begun = 0;
  for (int k = 0; k < ms->nstart; k++) { /* by J, those that found nothing last */
    const dpi_start *from = &ms->start[k];
    const double j = j_of(w, from);
    const char *end =
        from->end == DPI_TRUST_RUNNING ? "not begun: the processor time was spent" : dpi_trust_end_text(from->end);
    int at = k;
    for (; at > 0 && s[at - 1].j > j; at--) s[at] = s[at - 1];
    s[at] = (dp_fit_start){k, j, from->j0, optimum_of(w, from->optimum), from->niter, from->neval, end};
    begun += from->end != DPI_TRUST_RUNNING;
  }
  while (hits < ms->nstart && s[hits].j <= f->pub.optimum[0].j + HIT) hits++;
  f->pub.hit_rate = begun ? (double)hits / begun : 0;
  f->pub.start = s;
  return DP_OK;
}

static dp_status keep_optimum(fit_own *f, dp_problem *p, const found *w, int k, dp_fit_optimum *o) {
  const int n = p->desc.nparam;
  const dpi_optimum *from = optimum_at(w, k);
  double *x = DPI_ARENA_ARRAY(&f->arena, double, 2 * n + 1);
  signed char *at = DPI_ARENA_ARRAY(&f->arena, signed char, n + 1);
  if (!x || !at) return DP_ERR_MEMORY;
  memcpy(x, from->x, (size_t)n * sizeof *x);
  memcpy(at, from->at, (size_t)n);
  dpi_rank rank = {.rank = n};
  DP_TRY(deviations(&f->arena, p, from, x + n, &rank));
  *o = (dp_fit_optimum){from->j, from->loglik, from->logprior, x, x + n, at, 0};
  for (int i = 0; i < w->coarse->nstart; i++) o->count += optimum_of(w, w->coarse->start[i].optimum) == k;
  if (k > 0) return DP_OK;
  if (from->fisher)
    DP_TRY(dpi_rank_analyse(&f->arena, &p->density, from->x, from->fisher, NULL, RANK_TOLERANCE, &rank));
  dpi_str words;
  dpi_str_init(&words, p->ctx);
  if (from->fisher && rank.rank < n) dpi_rank_write(&rank, &p->density, &words);
  f->pub.rank = rank.rank;
  f->pub.rank_words = dpi_arena_strdup(&f->arena, dpi_str_text(&words));
  dpi_str_release(&words);
  return f->pub.rank_words ? DP_OK : DP_ERR_MEMORY;
}

static dp_status keep(fit_own *f, dp_problem *p, const found *w) {
  const dpi_multistart *ms = w->coarse;
  f->pub.nparam = p->desc.nparam;
  f->pub.nstart = ms->nstart;
  f->pub.nfound = ms->nfound;
  f->pub.nended = ms->nended;
  f->pub.noptimum = count_optima(w);
  f->pub.j_starts = ms->optimum[0].j;
  f->pub.neval += ms->neval + (w->fine ? w->fine->neval : 0);
  f->pub.nfailed += ms->nfailed;
  dp_fit_optimum *o = DPI_ARENA_ARRAY(&f->arena, dp_fit_optimum, f->pub.noptimum + 1);
  if (!o) return DP_ERR_MEMORY;
  for (int k = 0; k < f->pub.noptimum; k++) DP_TRY(keep_optimum(f, p, w, k, &o[k]));
  f->pub.optimum = o;
  DP_TRY(keep_starts(f, w));
  const dpi_criteria c = dpi_criteria_of(o[0].llh, p->desc.nparam, p->desc.ndatum);
  f->pub.aic = c.aic;
  f->pub.aicc = c.aicc;
  f->pub.bic = c.bic;
  return DP_OK;
}

/* ---- two tolerances ---- */

/* What a coarse J can't tell apart need not be searched for. */
static void set_coarse(dpi_trust_def *t) {
  t->gtol = 1e-4;
  t->ftol = 1e-7;
  t->xtol = 1e-7;
  t->noise = 1e-7;
}

/* From the best optima of the coarse search on, with the problem's own tolerances. */
static dp_status polish(fit_own *f, dp_problem *p, const dpi_multistart_def *md, const dpi_multistart *from,
                        const dpi_scatter *beyond, double max_cpu, dpi_multistart **out) {
  const size_t n = (size_t)p->desc.nparam;
  const int own = from->noptimum < POLISHED ? from->noptimum : POLISHED, more = beyond ? beyond->nmember : 0,
            count = own + more;
  double *x = DPI_ARENA_ARRAY(&f->arena, double, n * (size_t)count + 1);
  dpi_multistart_def d = *md;
  if (!x) return DP_ERR_MEMORY;
  for (int k = 0; k < more; k++) memcpy(x + n * (size_t)k, beyond->x + n * (size_t)k, n * sizeof *x);
  for (int k = 0; k < own; k++) memcpy(x + n * (size_t)(more + k), from->optimum[k].x, n * sizeof *x);
  d.trust = dpi_trust_def_default();
  d.trust.hessian = md->trust.hessian;
  d.trust.value_first = md->trust.value_first;
  d.trust.refresh = md->trust.refresh;
  d.trust.radius = 0.1;
  d.trust.max_iter = POLISH_STEPS;
  d.nstart = 0;
  d.given = x;
  d.ngiven = count;
  d.screen = 1;
  d.batch = md->batch < count ? md->batch : count;
  d.file = NULL;
  d.progress = NULL;
  d.max_cpu = max_cpu;
  const dp_status st = dpi_multistart_run(&p->density, &d, out);
  if (st != DP_ERR_CONVERGE) return st;
  dp_ctx_clear_error(p->ctx); /* none of them can be evaluated with these tolerances: what was found coarsely stands */
  return DP_OK;
}

/* Scatter search from the starts' optima on; its state is kept beside theirs once all starts have ended: before, the same
 * call would go on with other optima. */
static dp_status go_beyond(fit_own *f, dp_problem *at, const dp_problem_fit_def *def, const dpi_multistart_def *md,
                           const dpi_multistart *from, double max_cpu, dpi_scatter **out) {
  const size_t n = (size_t)at->desc.nparam;
  dpi_scatter_def d = dpi_scatter_def_default();
  double *x = DPI_ARENA_ARRAY(&f->arena, double, (n + 1) * (size_t)from->noptimum + 1);
  if (!x) return DP_ERR_MEMORY;
  double *j = x + n * (size_t)from->noptimum;
  for (int k = 0; k < from->noptimum; k++) {
    memcpy(x + n * (size_t)k, from->optimum[k].x, n * sizeof *x);
    j[k] = from->optimum[k].j;
  }
  d.local = *md;
  d.max_cpu = max_cpu;
  if (def->file && from->nended == from->nstart) {
    d.file = dpi_arena_printf(&f->arena, "%s.scatter", def->file);
    if (!d.file) return DP_ERR_MEMORY;
  }
  DP_TRY(dpi_scatter_run(&at->density, &d, from->noptimum, x, j, out));
  f->pub.nscatter = (*out)->nsearch;
  f->pub.ngeneration = (*out)->generations;
  f->pub.scatter_ended = (*out)->ended;
  f->pub.neval += (*out)->neval;
  f->pub.nfailed += (*out)->nfailed;
  return DP_OK;
}

/* Many starts, or one search over the whole box and what follows from it. */
static dp_status first_search(fit_own *f, dp_problem *at, const dp_problem_fit_def *def, const dpi_multistart_def *md,
                              dpi_multistart **out) {
  const int method = global_method(def);
  if (method < 0) return dpi_multistart_run(&at->density, md, out);
  dpi_global_def g = dpi_global_def_default();
  g.method = (dpi_global_method)method;
  if (def->points) g.max_eval = def->points;
  g.polish = *md;
  DP_TRY(dpi_global_run(&at->density, &g, &f->pub.nglobal, out));
  f->pub.neval += f->pub.nglobal;
  return DP_OK;
}

static dp_status search(fit_own *f, dp_problem *p, const dp_problem_fit_def *def, dpi_multistart_def *md) {
  dpi_multistart *coarse = NULL, *fine = NULL;
  dpi_scatter *beyond = NULL;
  dp_problem *at = def->coarse ? def->coarse : p;
  const bool wide = wants_scatter(def), polished = def->coarse || wide;
  const double total = md->max_cpu, begun = dpi_point_cpu();
  md->key = at->key;
  if (def->coarse) set_coarse(&md->trust);
  md->max_cpu = total * (wide ? STARTS_SHARE : polished ? 1 - POLISH_SHARE : 1);
  dp_status st = first_search(f, at, def, md, &coarse);
  if (st == DP_OK && wide) {
    const double left = total > 0 ? (1 - POLISH_SHARE) * total - (dpi_point_cpu() - begun) : 0;
    st = go_beyond(f, at, def, md, coarse, total > 0 ? fmax(left, 1e-9) : 0, &beyond);
  }
  if (st == DP_OK && polished)
    st = polish(f, p, md, coarse, beyond, total > 0 ? fmax(total - (dpi_point_cpu() - begun), 1e-9) : 0, &fine);
  if (st == DP_OK) st = keep(f, p, &(found){coarse, fine, fine && beyond ? beyond->nmember : 0});
  dpi_scatter_destroy(beyond);
  dpi_multistart_destroy(coarse);
  dpi_multistart_destroy(fine);
  return st;
}

/* J where the file says that the answer is: what a fit has to be measured by. */
static dp_status look_at_nominal(fit_own *f, dp_problem *p) {
  const int n = p->desc.nparam;
  dpi_density_value v = {0};
  f->pub.j_nominal = NAN;
  f->pub.nominal_reason = "";
  for (int q = 0; q < n; q++)
    if (!(p->desc.nominal[q] >= p->desc.lower[q] && p->desc.nominal[q] <= p->desc.upper[q])) return DP_OK;
  DP_TRY(dpi_density_eval(&p->density, 1, p->desc.nominal, DPI_DENSITY_VALUE, &v));
  f->pub.j_nominal = v.ok ? -(v.loglik + v.logprior) : INFINITY;
  if (v.ok) return DP_OK;
  f->pub.nominal_reason = dpi_arena_strdup(&f->arena, v.reason[0] ? v.reason : "the likelihood is zero there");
  return f->pub.nominal_reason ? DP_OK : DP_ERR_MEMORY;
}

dp_status dp_problem_fit(dp_problem *problem, const dp_problem_fit_def *def, dp_fit **out) {
  *out = NULL;
  dpi_multistart_def md;
  DP_TRY(read_def(problem, def, &md));
  fit_own *f = DPI_NEW(problem->ctx, fit_own);
  if (!f) return DP_ERR_MEMORY;
  dpi_arena_init(&f->arena, problem->ctx);
  dp_status st = given_starts(&f->arena, problem, def, &md);
  if (st == DP_OK) st = look_at_nominal(f, problem);
  if (st == DP_OK) st = search(f, problem, def, &md);
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
