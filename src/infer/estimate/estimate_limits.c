/* estimate_limits.c - floor 6: estimate.h over the folders point and sample: likelihood profiles of parameters and of
 * quantities of interest.  O -> D, Q
 *
 * Quantities are problems of their own (infer/petab/calib_predict.c) over all parameters. Where the problem solves some
 * inside its objective, a quantity may depend on those: profiles then go over the problem that has them all.
 */
#include <math.h>
#include <string.h>

#include "doppel/estimate.h"
#include "infer/petab/calib.h"
#include "infer/point/profile.h"

#define LIMITS_COOKIE 0x6c696d31u
#define STEP 0.125 /* rise of J from point to point, of the threshold: a curve to be looked at, not only its ends */

typedef struct limits_own {
  dp_limits pub;
  dpi_arena arena;
} limits_own;

typedef struct work {
  dp_problem *p;           /* whose density is profiled */
  const dp_problem *asked; /* as the caller has it */
  const dp_problem_limits_def *def;
  limits_own *own;
  dpi_profiled *quantity; /* [nquantity] */
  dp_problem **open;      /* [nquantity] */
  double *x, *other;      /* [n], [nother x n] in the parameters of p */
  int *param;             /* [nparam] */
  int nparam;
} work;

dp_problem_limits_def dp_problem_limits_def_default(void) {
  return (dp_problem_limits_def){.cookie = LIMITS_COOKIE, .level = 0.95};
}

/* ---- the answer ---- */

static dp_limit_point point_of(const dpi_profile_point *p) { return (dp_limit_point){p->at, p->j, p->slope}; }

static dp_status keep_points(limits_own *l, const dpi_profile *from, double j, dp_limit *to) {
  const int below = from->side[0].npoint, above = from->side[1].npoint;
  dp_limit_point *p = DPI_ARENA_ARRAY(&l->arena, dp_limit_point, below + above + 1);
  if (!p) return DP_ERR_MEMORY;
  for (int i = 0; i < below; i++) p[below - 1 - i] = point_of(&from->side[0].point[i]);
  p[below] = (dp_limit_point){from->at, j, 0};
  for (int i = 0; i < above; i++) p[below + 1 + i] = point_of(&from->side[1].point[i]);
  to->npoint = below + above + 1;
  to->point = p;
  return DP_OK;
}

/* A quantity's verdict in its own words. */
static dp_status quantity_words(work *w, const dpi_profile *from, dp_limit *to) {
  dpi_str s;
  dpi_str_init(&s, w->p->ctx);
  dpi_prediction_words(from, &w->p->density, &s);
  to->verdict = dpi_prediction_verdict(from->verdict);
  to->words = s.failed ? NULL : dpi_arena_strdup(&w->own->arena, dpi_str_text(&s));
  dpi_str_release(&s);
  return to->words ? DP_OK : DP_ERR_MEMORY;
}

/* The caller's number of a parameter of w->p. */
static int number_of(const work *w, int index) {
  if (w->p == w->asked || index < 0) return index;
  return dp_problem_param(w->asked, w->p->desc.id[index]);
}

static dp_status keep(work *w, const dpi_profiles *from) {
  limits_own *l = w->own;
  const int n = w->asked->desc.nparam;
  dp_limit *limit = DPI_ARENA_ARRAY(&l->arena, dp_limit, from->nprofile + 1);
  double *x = DPI_ARENA_ARRAY(&l->arena, double, n + 1);
  if (!limit || !x) return DP_ERR_MEMORY;
  for (int i = 0; i < w->p->desc.nparam; i++)
    if (number_of(w, i) >= 0) x[number_of(w, i)] = from->x[i];
  for (int i = 0; i < from->nprofile; i++) {
    const dpi_profile *q = &from->profile[i];
    limit[i] = (dp_limit){.param = number_of(w, q->index),
                          .name = dpi_arena_strdup(&l->arena, q->name),
                          .at = q->at,
                          .lower = q->side[0].open ? -INFINITY : q->side[0].limit,
                          .upper = q->side[1].open ? INFINITY : q->side[1].limit,
                          .verdict = dpi_identifiable_name(q->verdict),
                          .words = dpi_identifiable_text(q->verdict)};
    if (!limit[i].name) return DP_ERR_MEMORY;
    if (q->index < 0) DP_TRY(quantity_words(w, q, &limit[i]));
    DP_TRY(keep_points(l, q, from->j, &limit[i]));
  }
  l->pub = (dp_limits){.nparam = n,
                       .n = from->nprofile,
                       .limit = limit,
                       .j = from->j,
                       .x = x,
                       .nbetter = from->nrestart,
                       .better = from->better ? dpi_arena_strdup(&l->arena, from->better) : NULL,
                       .threshold = from->threshold,
                       .neval = from->neval};
  return from->better && !l->pub.better ? DP_ERR_MEMORY : DP_OK;
}

/* ---- quantities ---- */

/* dpi_profiled_fn */
static dp_status eval_quantity(void *user, int npoint, const double *x, double *g, double *grad, bool *ok) {
  dp_problem *q = user;
  const size_t n = (size_t)q->desc.nparam;
  dp_problem_value *v = DPI_NEW_ARRAY(q->ctx, dp_problem_value, npoint + 1);
  if (!v) return DP_ERR_MEMORY;
  for (int i = 0; i < npoint; i++) {
    v[i].simulation = g + i;
    v[i].gradient = grad + (size_t)i * n;
  }
  const dp_status st = dp_problem_eval(q, npoint, x, DP_PROBLEM_GRADIENT, v);
  for (int i = 0; i < npoint && st == DP_OK; i++) ok[i] = v[i].ok && isfinite(g[i]);
  dpi_free(q->ctx, v);
  return st;
}

static dp_status open_quantities(work *w) {
  const dp_problem_limits_def *def = w->def;
  w->quantity = DPI_ARENA_ARRAY(&w->own->arena, dpi_profiled, def->nquantity + 1);
  w->open = DPI_ARENA_ARRAY(&w->own->arena, dp_problem *, def->nquantity + 1);
  if (!w->quantity || !w->open) return DP_ERR_MEMORY;
  for (int i = 0; i < def->nquantity; i++) {
    const dp_problem_quantity *q = &def->quantity[i];
    if (!q->formula) return dpi_fail(w->p->ctx, DP_ERR_USAGE, "profiles: quantity %d has no formula", i + 1);
    const dpi_calib_asked asked = {
        .name = q->name ? q->name : q->formula, .formula = q->formula, .experiment = q->experiment, .time = q->time};
    DP_TRY(dpi_calib_predict(w->p, &asked, &w->open[i]));
    w->quantity[i] = (dpi_profiled){.name = asked.name, .fn = eval_quantity, .user = w->open[i]};
  }
  return DP_OK;
}

/* A point of the caller's problem in the parameters of the whole one: those it solves have their best values. */
static dp_status widen(work *w, const double *x, double *z) {
  dp_problem *asked = (dp_problem *)w->asked;
  const dp_problem_desc *d = &w->p->desc;
  double *u = DPI_NEW_ARRAY(asked->ctx, double, asked->desc.nsolved + 1);
  if (!u) return DP_ERR_MEMORY;
  dp_problem_value v = {.solved = u};
  dp_status st = dp_problem_eval(asked, 1, x, DP_PROBLEM_VALUE, &v);
  if (st == DP_OK && !v.ok)
    st = dpi_fail(asked->ctx, DP_ERR_CONVERGE, "profiles: the optimum given can't be evaluated: %s", v.reason);
  for (int i = 0; i < d->nparam && st == DP_OK; i++) {
    const int q = dp_problem_param(asked, d->id[i]);
    int k = 0;
    while (q < 0 && k < asked->desc.nsolved - 1 && strcmp(asked->desc.solved[k], d->id[i]) != 0) k++;
    z[i] = q >= 0 ? x[q] : dp_problem_rescale(d->scale[i], u[k]);
    z[i] = fmin(fmax(z[i], d->lower[i]), d->upper[i]);
  }
  dpi_free(asked->ctx, u);
  return st;
}

static dp_status prepare(work *w, const double *x) {
  const dp_problem_limits_def *def = w->def;
  dpi_arena *arena = &w->own->arena;
  if (def->nquantity > 0 && w->p->full) w->p = w->p->full;
  const size_t n = (size_t)w->p->desc.nparam, m = (size_t)w->asked->desc.nparam;
  w->x = DPI_ARENA_ARRAY(arena, double, n + 1);
  w->other = DPI_ARENA_ARRAY(arena, double, n *(size_t)def->nother + 1);
  w->param = DPI_ARENA_ARRAY(arena, int, def->n + 1);
  if (!w->x || !w->other || !w->param) return DP_ERR_MEMORY;
  for (int i = 0; i < def->n; i++) {
    const int k = def->param ? def->param[i] : 0;
    const bool known = k >= 0 && k < w->asked->desc.nparam;
    w->param[w->nparam++] = known && w->p != w->asked ? dp_problem_param(w->p, w->asked->desc.id[k]) : k;
  }
  if (w->p == w->asked) {
    memcpy(w->x, x, n * sizeof *x);
    if (def->nother) memcpy(w->other, def->other, n * (size_t)def->nother * sizeof *x);
  } else {
    DP_TRY(widen(w, x, w->x));
    for (int i = 0; i < def->nother; i++) DP_TRY(widen(w, def->other + m * (size_t)i, w->other + n * (size_t)i));
  }
  return open_quantities(w);
}

static dp_status run(work *w, const double *x) {
  const dp_problem_limits_def *def = w->def;
  DP_TRY(prepare(w, x));
  dpi_profile_def pd = dpi_profile_def_default();
  pd.level = def->level;
  pd.step = STEP;
  pd.param = def->param || def->nquantity > 0 ? w->param : NULL;
  pd.nparam = def->param ? w->nparam : 0;
  pd.prediction = w->quantity;
  pd.nprediction = def->nquantity;
  pd.alternative = w->other;
  pd.nalternative = def->nother;
  dpi_profiles *from = NULL;
  DP_TRY(dpi_profiles_run(&w->p->density, w->x, &pd, &from));
  const dp_status st = keep(w, from);
  dpi_profiles_destroy(from);
  return st;
}

dp_status dp_problem_limits(dp_problem *problem, const double *x, const dp_problem_limits_def *def, dp_limits **out) {
  *out = NULL;
  if (!def || def->cookie != LIMITS_COOKIE)
    return dpi_fail(problem->ctx, DP_ERR_USAGE,
                    "profiles: the definition was not made by dp_problem_limits_def_default");
  if (!(def->level > 0 && def->level < 1))
    return dpi_fail(problem->ctx, DP_ERR_USAGE, "profiles: level %g, expected a probability between 0 and 1",
                    def->level);
  work w = {.p = problem, .asked = problem, .def = def, .own = DPI_NEW(problem->ctx, limits_own)};
  if (!w.own) return DP_ERR_MEMORY;
  dpi_arena_init(&w.own->arena, problem->ctx);
  const dp_status st = run(&w, x);
  for (int i = 0; w.open && i < def->nquantity; i++) dp_problem_close(w.open[i]);
  if (st == DP_OK)
    *out = &w.own->pub;
  else
    dp_limits_destroy(&w.own->pub);
  return st;
}

void dp_limits_destroy(dp_limits *limits) {
  if (!limits) return;
  limits_own *l = (limits_own *)limits;
  dp_ctx *ctx = l->arena.ctx;
  dpi_arena_release(&l->arena);
  dpi_free(ctx, l);
}
