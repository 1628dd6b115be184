/* estimate_compare.c - floor 6: estimate.h, which of several calibration problems predicts best: WAIC, leave-one-out,
 * evidence, weights, and what the models say together.  O -> D, Q
 *
 *     draws of each posterior -> ln p of each measurement under each draw -> elpd by WAIC and by leave-one-out
 *     elpd of each measurement, all models -> weights by stacking;  ln evidence -> posterior weights of the models
 *     quantities under the draws -> mean and deviation of each model -> of their mixture
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "doppel/estimate.h"
#include "infer/petab/calib.h"
#include "infer/point/select.h"

#define COMPARE_COOKIE 0x636d7031u
#define MOST_DRAWS 4000 /* of a sample: more are thinned evenly */
#define BATCH 256

typedef struct compare_own {
  dp_comparison pub;
  dpi_arena arena;
} compare_own;

typedef struct work {
  dp_ctx *ctx;
  const dp_compare_def *def;
  compare_own *own;
  dp_compared *model; /* [n] */
  double *point;      /* [n x ndatum] elpd of each measurement, by leave-one-out */
  int ndatum;
} work;

dp_compare_def dp_compare_def_default(void) { return (dp_compare_def){.cookie = COMPARE_COOKIE}; }

/* ---- the same data ---- */

static dp_status not_the_same(const work *w, int k, const char *what, const char *where) {
  return dpi_fail(
      w->ctx, DP_ERR_INPUT,
      "compare: '%s' and '%s' are about different data (%s%s%s): only models of the same data can be compared",
      w->def->problem[0]->desc.name, w->def->problem[k]->desc.name, what, where[0] ? ", " : "", where);
}

static bool same_number(double a, double b) { return a == b || (isnan(a) && isnan(b)); }

static dp_status same_data(const work *w, int k) {
  const dp_problem_desc *a = &w->def->problem[0]->desc, *b = &w->def->problem[k]->desc;
  if (a->ndatum != b->ndatum) return not_the_same(w, k, "their numbers of measurements differ", "");
  for (int i = 0; i < a->ndatum; i++)
    if (!same_number(a->datum_value[i], b->datum_value[i]) || !same_number(a->datum_time[i], b->datum_time[i]))
      return not_the_same(w, k, "a measurement or its time", b->datum_where[i]);
  return DP_OK;
}

static dp_status check(const work *w) {
  const dp_compare_def *f = w->def;
  if (f->n < 1 || f->n > 1000) return dpi_fail(w->ctx, DP_ERR_USAGE, "compare: %d models, expected 1 to 1000", f->n);
  for (int k = 0; k < f->n; k++) {
    if (f->sample[k]->nparam != f->problem[k]->desc.nparam)
      return dpi_fail(w->ctx, DP_ERR_USAGE, "compare: the draws of '%s' are not its own", f->problem[k]->desc.name);
    DP_TRY(same_data(w, k));
  }
  return DP_OK;
}

/* ---- draws ---- */

/* Draw i of n that are taken of a sample. */
static const double *draw_of(const dp_sample *s, int i, int n) {
  const size_t all = (size_t)s->nchain * (size_t)s->ndraw;
  return s->x + (size_t)((double)i * (double)all / n) * (size_t)s->nparam;
}

static int taken(const dp_sample *s) {
  const int64_t all = (int64_t)s->nchain * s->ndraw;
  return all < MOST_DRAWS ? (int)all : MOST_DRAWS;
}

/* ln p of each measurement under each draw, or (lp NULL) a quantity; rows of draws that can't be evaluated are left
 * out. */
static dp_status ask(dp_problem *p, const dp_sample *s, double *lp, double *quantity, int *nused) {
  const int n = taken(s), nd = p->desc.ndatum;
  const size_t np = (size_t)s->nparam;
  double *x = DPI_NEW_ARRAY(p->ctx, double, BATCH *np + 1);
  dp_problem_value *v = DPI_NEW_ARRAY(p->ctx, dp_problem_value, BATCH);
  dp_status st = x && v ? DP_OK : DP_ERR_MEMORY;
  *nused = 0;
  for (int first = 0; first < n && st == DP_OK; first += BATCH) {
    const int m = n - first < BATCH ? n - first : BATCH;
    for (int i = 0; i < m; i++) {
      memcpy(x + (size_t)i * np, draw_of(s, first + i, n), np * sizeof *x);
      /* what is kept moves towards the front: row nused + i is free */
      v[i] = (dp_problem_value){.pointwise = lp ? lp + ((size_t)first + (size_t)i) * (size_t)nd : NULL,
                                .simulation = quantity ? quantity + first + i : NULL};
    }
    st = dp_problem_eval(p, m, x, DP_PROBLEM_VALUE, v);
    for (int i = 0; i < m && st == DP_OK; i++) {
      if (!v[i].ok) continue;
      if (lp) memmove(lp + (size_t)*nused * (size_t)nd, v[i].pointwise, (size_t)nd * sizeof *lp);
      if (quantity) quantity[*nused] = v[i].simulation[0];
      ++*nused;
    }
  }
  dpi_free(p->ctx, x);
  dpi_free(p->ctx, v);
  if (st == DP_OK && *nused < 10)
    st = dpi_fail(p->ctx, DP_ERR_CONVERGE, "compare: only %d draws of '%s' can be evaluated", *nused, p->desc.name);
  return st;
}

/* ---- one model ---- */

static dp_elpd public_of(const dpi_elpd *e) { return (dp_elpd){e->elpd, e->se, e->p, e->ic, e->nbad, e->worst}; }

static dp_status weigh_data(work *w, int k) {
  dp_problem *p = w->def->problem[k];
  const dp_sample *s = w->def->sample[k];
  dp_compared *m = &w->model[k];
  double *lp = DPI_NEW_ARRAY(w->ctx, double, (size_t)taken(s) * (size_t)w->ndatum + 1);
  dpi_elpd waic, loo;
  dp_status st = lp ? ask(p, s, lp, NULL, &m->ndraw) : DP_ERR_MEMORY;
  if (st == DP_OK) st = dpi_select_waic(w->ctx, lp, m->ndraw, w->ndatum, NULL, &waic);
  if (st == DP_OK)
    st = dpi_select_loo(w->ctx, lp, m->ndraw, w->ndatum, w->point + (size_t)k * (size_t)w->ndatum, NULL, &loo);
  dpi_free(w->ctx, lp);
  if (st != DP_OK) return st;
  m->waic = public_of(&waic);
  m->loo = public_of(&loo);
  m->nparam = p->desc.nparam;
  m->evidence = s->evidence;
  m->evidence_error = s->evidence_error;
  m->usable = s->usable;
  m->name = dpi_arena_strdup(&w->own->arena, p->desc.name);
  return m->name ? DP_OK : DP_ERR_MEMORY;
}

static dp_status one_quantity(work *w, int k, int q, double *g) {
  dp_problem *p = w->def->problem[k], *asked = NULL;
  const dp_problem_quantity *from = &w->def->quantity[q];
  if (p->full)
    return dpi_fail(w->ctx, DP_ERR_UNSUPPORTED,
                    "compare: '%s' solves parameters inside its objective: draws do not have them, and quantities need "
                    "them; take the column parameterType out",
                    p->desc.name);
  const dpi_calib_asked what = {.name = from->name ? from->name : from->formula,
                                .formula = from->formula,
                                .experiment = from->experiment,
                                .time = from->time};
  DP_TRY(dpi_calib_predict(p, &what, &asked));
  int n = 0;
  const dp_status st = ask(asked, w->def->sample[k], NULL, g, &n);
  dp_problem_close(asked);
  DP_TRY(st);
  double mean = 0, square = 0;
  for (int i = 0; i < n; i++) mean += g[i] / n;
  for (int i = 0; i < n; i++) square += (g[i] - mean) * (g[i] - mean);
  w->model[k].mean[q] = mean;
  w->model[k].sd[q] = sqrt(square / (n - 1));
  return DP_OK;
}

static dp_status all_quantities(work *w, int k) {
  const size_t n = (size_t)w->def->nquantity;
  dp_compared *m = &w->model[k];
  m->mean = DPI_ARENA_ARRAY(&w->own->arena, double, n + 1);
  m->sd = DPI_ARENA_ARRAY(&w->own->arena, double, n + 1);
  double *g = DPI_NEW_ARRAY(w->ctx, double, taken(w->def->sample[k]) + 1);
  dp_status st = m->mean && m->sd && g ? DP_OK : DP_ERR_MEMORY;
  for (int q = 0; q < w->def->nquantity && st == DP_OK; q++) st = one_quantity(w, k, q, g);
  dpi_free(w->ctx, g);
  return st;
}

/* ---- all of them ---- */

static dp_status weights(work *w) {
  const int n = w->def->n;
  double *c = DPI_NEW_ARRAY(w->ctx, double, 2 * (size_t)n + 1), *x = c + n;
  if (!c) return DP_ERR_MEMORY;
  bool known = true;
  for (int k = 0; k < n; k++) {
    known = known && isfinite(w->model[k].evidence);
    c[k] = -2 * w->model[k].evidence;
  }
  dpi_select_weights(c, n, x);
  for (int k = 0; k < n; k++) w->model[k].weight_evidence = known ? x[k] : NAN;
  dpi_select_stack(w->point, n, w->ndatum, x);
  for (int k = 0; k < n; k++) w->model[k].weight_stack = x[k];
  dpi_free(w->ctx, c);
  w->own->pub.evidence_known = known;
  return DP_OK;
}

static void differences(work *w) {
  int best = 0;
  for (int k = 1; k < w->def->n; k++)
    if (w->model[k].loo.elpd > w->model[best].loo.elpd) best = k;
  for (int k = 0; k < w->def->n; k++)
    dpi_select_difference(w->point + (size_t)k * (size_t)w->ndatum, w->point + (size_t)best * (size_t)w->ndatum,
                          w->ndatum, &w->model[k].difference, &w->model[k].difference_se);
  w->own->pub.best = best;
}

/* The mixtures of what the models say, by either kind of weight. */
static dp_status average(work *w) {
  const int n = w->def->n, nq = w->def->nquantity;
  dp_averaged *a = DPI_ARENA_ARRAY(&w->own->arena, dp_averaged, nq + 1);
  double *block = DPI_NEW_ARRAY(w->ctx, double, 4 * (size_t)n + 1);
  dp_status st = a && block ? DP_OK : DP_ERR_MEMORY;
  double *mean = block, *variance = block + n, *stack = block + 2 * (size_t)n, *evidence = block + 3 * (size_t)n, v;
  for (int q = 0; q < nq && st == DP_OK; q++) {
    const dp_problem_quantity *from = &w->def->quantity[q];
    for (int k = 0; k < n; k++) {
      mean[k] = w->model[k].mean[q];
      variance[k] = w->model[k].sd[q] * w->model[k].sd[q];
      stack[k] = w->model[k].weight_stack;
      evidence[k] = w->model[k].weight_evidence;
    }
    a[q] = (dp_averaged){.evidence_mean = NAN, .evidence_sd = NAN};
    a[q].name = dpi_arena_strdup(&w->own->arena, from->name ? from->name : from->formula);
    if (!a[q].name) st = DP_ERR_MEMORY;
    dpi_select_average(stack, mean, variance, n, &a[q].stack_mean, &v);
    a[q].stack_sd = sqrt(v);
    if (!w->own->pub.evidence_known) continue;
    dpi_select_average(evidence, mean, variance, n, &a[q].evidence_mean, &v);
    a[q].evidence_sd = sqrt(v);
  }
  dpi_free(w->ctx, block);
  w->own->pub.average = a;
  w->own->pub.nquantity = nq;
  return st;
}

static dp_status run(work *w) {
  const dp_compare_def *f = w->def;
  DP_TRY(check(w));
  w->ndatum = f->problem[0]->desc.ndatum;
  w->model = DPI_ARENA_ARRAY(&w->own->arena, dp_compared, f->n + 1);
  w->point = DPI_ARENA_ARRAY(&w->own->arena, double, (size_t)f->n *(size_t)w->ndatum + 1);
  if (!w->model || !w->point) return DP_ERR_MEMORY;
  w->own->pub.n = f->n;
  w->own->pub.model = w->model;
  w->own->pub.ndatum = w->ndatum;
  for (int k = 0; k < f->n; k++) {
    DP_TRY(weigh_data(w, k));
    DP_TRY(all_quantities(w, k));
  }
  DP_TRY(weights(w));
  differences(w);
  return average(w);
}

dp_status dp_compare(dp_ctx *ctx, const dp_compare_def *def, dp_comparison **out) {
  *out = NULL;
  if (!def || def->cookie != COMPARE_COOKIE)
    return dpi_fail(ctx, DP_ERR_USAGE, "compare: the definition was not made by dp_compare_def_default");
  work w = {.ctx = ctx, .def = def, .own = DPI_NEW(ctx, compare_own)};
  if (!w.own) return DP_ERR_MEMORY;
  dpi_arena_init(&w.own->arena, ctx);
  const dp_status st = run(&w);
  if (st == DP_OK)
    *out = &w.own->pub;
  else
    dp_comparison_destroy(&w.own->pub);
  return st;
}

void dp_comparison_destroy(dp_comparison *comparison) {
  if (!comparison) return;
  compare_own *o = (compare_own *)comparison;
  dp_ctx *ctx = o->arena.ctx;
  dpi_arena_release(&o->arena);
  dpi_free(ctx, o);
}
