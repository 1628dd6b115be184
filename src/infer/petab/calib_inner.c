/* calib_inner.c - floor 6: parameters that are solved inside the objective, and the problem that searches for the
 * others only.  D
 *
 *     J(x) = max over u of ln p(data | x, u)      u: scalings, offsets, standard deviations (column parameterType),
 *                                                    thresholds between the categories of ordinal observables
 *
 * y = s f(x) + o is what the table's formula must be in u. Given x:
 *
 *   s, o   weighted least squares; on a logarithmic scale ln s is the mean of ln m - ln f. Weights are equal where
 *          sigma is solved too: then every measurement with s (or o) must have that sigma. Laplace noise is refused:
 *          its median jumps from one measurement to the next, and there the gradient at fixed u says nothing;
 *   sigma  root of the mean square, or mean size, of the residuals that are left;
 *   t      thresholds: Newton's method on - sum ln [F((t_c+1 - y)/sigma) - F((t_c - y)/sigma)], which is convex in t.
 *
 * Bounds of the table are kept: least squares in a box of two, and clipping where one number is left. Since u is best
 * for x, dJ/dx = d ln p/dx at fixed u (envelope theorem), and the information about x is what is left of the whole when
 * s, o and sigma are eliminated (Schur complement). J is a profile likelihood: draws of a sampler, or an evidence, do
 * not integrate over u.
 *
 * A point is simulated twice: with u at its base values, which gives f, and with u solved.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "infer/petab/calib.h"

enum { NONE = -1, UNSEEN = -2, TRIES = 3, MOST_NEWTON = 200 };
#define CHUNK_NUMBERS ((size_t)4 << 20) /* of one batch of points */

typedef struct solved {
  int full; /* number among the parameters of the whole problem */
  int row;  /* in the parameter table */
  dpi_calib_solved kind;
  dp_problem_scale scale;
  double lower, upper, base;
  int mate;    /* the offset of a scaling, the scaling of an offset; NONE */
  int sigma;   /* of a scaling or offset: solved too, NONE */
  int noise;   /* dpi_noise of its measurements; of a sigma: normal or Laplace; UNSEEN */
  bool linked; /* a threshold: the next one belongs to the same observable */
} solved;

typedef struct datum { /* numbers among the solved, NONE */
  int scaling, offset, sigma, low, high;
  dpi_noise noise;
  double value;
} datum;

struct dpi_calib_inner {
  int nouter, n, nfull, ndatum;
  int *outer; /* [nouter] number among all */
  solved *param;
  datum *datum;
  const char **id;
};

/* ---- what a measurement's formula says of the solved ones ---- */

typedef struct build {
  dp_problem *full;
  const dpi_petab *tables;
  struct dpi_calib_inner *k;
  int *of;       /* [nparameter of the table] number among the solved, NONE */
  bool *used;    /* [nname] */
  double *value; /* [nname] */
} build;

static dp_status refuse(const build *b, int measurement, int which, const char *why) {
  const dpi_petab_place *at = &b->tables->measurement[measurement].place;
  return dpi_fail(b->full->ctx, DP_ERR_UNSUPPORTED,
                  "%s:%d: '%s' can't be solved inside the objective: %s; give it no parameterType", at->file, at->line,
                  b->k->id[which], why);
}

static int solved_of(const build *b, int name) {
  const dpi_petab_name *n = &b->tables->name[name];
  return n->kind == DPI_PETAB_PARAMETER ? b->of[n->index] : NONE;
}

/* Any solved one in an expression, NONE. */
static int any_in(const build *b, const dpi_petab_expr *e) {
  int found = NONE;
  memset(b->used, 0, (size_t)b->tables->nname * sizeof *b->used);
  dpi_petab_uses(e, b->used);
  for (int i = 0; i < b->tables->nname && found == NONE; i++)
    if (b->used[i]) found = solved_of(b, i);
  return found;
}

static dp_status take(const build *b, int measurement, int which, datum *d, bool noise) {
  const dpi_calib_solved kind = b->k->param[which].kind;
  int *const to = kind == DPI_SOLVED_SCALING ? &d->scaling : kind == DPI_SOLVED_OFFSET ? &d->offset : &d->sigma;
  if ((kind == DPI_SOLVED_SIGMA) != noise)
    return refuse(b, measurement, which,
                  noise ? "the noise formula may have a sigma only" : "a sigma stands in the observable's formula");
  if (*to != NONE && *to != which) return refuse(b, measurement, which, "the formula has two of this type");
  *to = which;
  return DP_OK;
}

/* The solved ones of a formula and of what the measurement gives its placeholders. */
static dp_status find_in(const build *b, int measurement, const dpi_petab_expr *formula, const int *placeholder,
                         const dpi_petab_expr *const *given, int nplaceholder, datum *d, bool noise) {
  memset(b->used, 0, (size_t)b->tables->nname * sizeof *b->used);
  dpi_petab_uses(formula, b->used);
  for (int i = 0; i < b->tables->nname; i++)
    if (b->used[i] && solved_of(b, i) != NONE) DP_TRY(take(b, measurement, solved_of(b, i), d, noise));
  for (int j = 0; j < nplaceholder; j++) {
    const int lone = dpi_petab_lone_name(given[j]), in = any_in(b, given[j]);
    (void)placeholder;
    if (in == NONE) continue;
    if (lone < 0) return refuse(b, measurement, in, "it stands in an expression");
    DP_TRY(take(b, measurement, in, d, noise));
  }
  return DP_OK;
}

/* Is y = s y(s = 1, o = 0) + o, and nothing else? Tried at numbers that mean nothing. */
static bool affine(const build *b, const dpi_petab_observable *o, const dpi_petab_measurement *m, const datum *d) {
  static const double s_of[] = {1, 1.75, 0.625, 1}, o_of[] = {0, 0.375, -0.25, 1.5};
  const dpi_petab *p = b->tables;
  int tried = 0;
  for (int t = 0; t < TRIES; t++) {
    double base = NAN;
    for (int i = 0; i < DPI_COUNT(s_of); i++) {
      for (int k = 0; k < p->nname; k++) b->value[k] = 0.5 + fmod(0.6180339887498949 * (k + 1) * (t + 1), 1.0);
      if (d->scaling != NONE) b->value[p->parameter[b->k->param[d->scaling].row].name] = s_of[i];
      if (d->offset != NONE) b->value[p->parameter[b->k->param[d->offset].row].name] = o_of[i];
      for (int j = 0; j < o->nplaceholder; j++) b->value[o->placeholder[j]] = dpi_petab_eval(m->override[j], b->value);
      const double y = dpi_petab_eval(o->formula, b->value);
      if (i == 0) base = y;
      const double want = (d->scaling != NONE ? s_of[i] : 1) * base + (d->offset != NONE ? o_of[i] : 0);
      if (isfinite(base) && !(fabs(y - want) <= 1e-12 * (1 + fabs(y) + fabs(base)))) return false;
    }
    tried += isfinite(base);
  }
  return tried > 0;
}

static dp_status look_at(const build *b, int i) {
  const dpi_petab_measurement *m = &b->tables->measurement[i];
  const dpi_petab_observable *o = &b->tables->observable[m->observable];
  datum *d = &b->k->datum[i];
  DP_TRY(find_in(b, i, o->formula, o->placeholder, m->override, o->nplaceholder, d, false));
  DP_TRY(find_in(b, i, o->noise_formula, o->noise_placeholder, m->noise_override, o->nnoise_placeholder, d, true));
  const int one = d->scaling != NONE ? d->scaling : d->offset;
  if (one == NONE && d->sigma == NONE) return DP_OK;
  if (m->type != DPI_PETAB_QUANTITATIVE)
    return refuse(b, i, one != NONE ? one : d->sigma, "the measurement is censored or ordinal");
  if (d->sigma != NONE && dpi_petab_lone_name(o->noise_formula) < 0)
    return refuse(b, i, d->sigma, "the noise formula is not this parameter alone");
  if (one != NONE && !affine(b, o, m, d))
    return refuse(b, i, one, "the observable is not of the form scaling*(...) + offset");
  if (one != NONE && o->scale != DPI_PETAB_LIN && d->offset != NONE)
    return refuse(b, i, d->offset, "an offset has no closed form where the noise is on a logarithmic scale");
  if (one != NONE && o->noise == DPI_PETAB_NOISE_LAPLACE)
    return refuse(b, i, one, "with Laplace noise the best value is a median, which has no gradient");
  return DP_OK;
}

/* ---- are the groups such that each has its closed form? ---- */

static dp_status agree(const build *b, int i, int which, int *to, int found, const char *why) {
  if (*to == UNSEEN) *to = found;
  return *to == found ? DP_OK : refuse(b, i, which, why);
}

static dp_status check_groups(const build *b) {
  solved *u = b->k->param;
  for (int i = 0; i < b->k->ndatum; i++) {
    const datum *d = &b->k->datum[i];
    const int each[2] = {d->scaling, d->offset};
    for (int j = 0; j < 2; j++) {
      if (each[j] == NONE) continue;
      DP_TRY(agree(b, i, each[j], &u[each[j]].mate, each[1 - j],
                   "it comes with and without, or with several, of the other (scaling, offset)"));
      DP_TRY(agree(b, i, each[j], &u[each[j]].sigma, d->sigma,
                   "its measurements have several standard deviations, some of them solved"));
      DP_TRY(agree(b, i, each[j], &u[each[j]].noise, (int)d->noise,
                   "its measurements have several distributions of noise"));
    }
    if (d->sigma != NONE)
      DP_TRY(agree(b, i, d->sigma, &u[d->sigma].noise, d->noise >= DPI_NOISE_LAPLACE,
                   "its measurements have several distributions of noise"));
  }
  return DP_OK;
}

/* Elsewhere than in what is observed they can't be. */
static dp_status check_elsewhere(const build *b) {
  const dpi_petab *p = b->tables;
  dp_ctx *ctx = b->full->ctx;
  for (int e = 0; e < p->nexperiment; e++)
    for (int j = 0; j < p->experiment[e].nperiod; j++)
      for (int c = 0; c < p->experiment[e].period[j].nchange; c++) {
        const dpi_petab_change *g = &p->experiment[e].period[j].change[c];
        const int in = g->value ? any_in(b, g->value) : NONE;
        if (in != NONE)
          return dpi_fail(ctx, DP_ERR_UNSUPPORTED,
                          "%s:%d: '%s' is solved inside the objective (parameterType) and can't be used by a condition",
                          g->place.file, g->place.line, b->k->id[in]);
      }
  for (int i = 0; i < b->k->n; i++) {
    const solved *u = &b->k->param[i];
    const dpi_calib_param *q = &b->full->file.table[0].param[u->row];
    if (u->kind == DPI_SOLVED_THRESHOLD) continue;
    if (u->noise == UNSEEN)
      return dpi_fail(ctx, DP_ERR_INPUT, "%s: no measurement uses '%s' (parameterType); remove the row", q->where,
                      q->id);
    for (int k = 0; k < b->full->file.ntable; k++) {
      const dpi_calib_part *part = &b->full->part[k];
      const int sym = dpi_model_find(part->model, q->element);
      if (sym > 0 && part->model->sym[sym].kind == DPI_SYM_PARAM && (part->model->sym[sym].needed || part->inner[sym]))
        return dpi_fail(ctx, DP_ERR_UNSUPPORTED,
                        "%s: '%s' is solved inside the objective (parameterType), but the model's course depends on it",
                        q->where, q->id);
    }
  }
  return DP_OK;
}

/* ---- building ---- */

static dp_status list_solved(build *b, dpi_arena *arena) {
  struct dpi_calib_inner *k = b->k;
  const dpi_calib_table *t = &b->full->file.table[0];
  k->outer = DPI_ARENA_ARRAY(arena, int, k->nfull + 1);
  k->param = DPI_ARENA_ARRAY(arena, solved, k->nfull + 1);
  k->id = DPI_ARENA_ARRAY(arena, const char *, k->nfull + 1);
  if (!k->outer || !k->param || !k->id) return DP_ERR_MEMORY;
  for (int f = 0; f < k->nfull; f++) {
    const int row = b->full->free[f];
    const dpi_calib_param *q = &t->param[row];
    if (!q->solved) {
      k->outer[k->nouter++] = f;
      continue;
    }
    b->of[row] = k->n;
    k->id[k->n] = q->id;
    k->param[k->n++] = (solved){.full = f,
                                .row = row,
                                .kind = q->solved,
                                .scale = q->scale,
                                .lower = q->lower,
                                .upper = q->upper,
                                .base = q->solved == DPI_SOLVED_OFFSET && q->scale == DP_SCALE_LIN ? 0
                                        : q->solved == DPI_SOLVED_THRESHOLD                        ? q->nominal
                                                                                                   : 1,
                                .mate = UNSEEN,
                                .sigma = UNSEEN,
                                .noise = UNSEEN};
  }
  return DP_OK;
}

static dp_status list_data(build *b, dpi_arena *arena) {
  struct dpi_calib_inner *k = b->k;
  const dp_problem *full = b->full;
  k->ndatum = full->desc.ndatum;
  k->datum = DPI_ARENA_ARRAY(arena, datum, k->ndatum + 1);
  if (!k->datum) return DP_ERR_MEMORY;
  for (int t = 0; t < full->file.ntable; t++)
    for (int i = 0; i < full->part[t].nrow; i++) {
      const dpi_calib_row *r = &full->part[t].row[i];
      const int nparam = full->express.nparam;
      datum *d = &k->datum[r->number];
      *d = (datum){NONE, NONE, NONE, NONE, NONE, full->file.table[t].observable[r->observable].distribution, r->value};
      if (r->low >= 0 && r->low < nparam) d->low = b->of[r->low];
      if (r->high >= 0 && r->high < nparam) d->high = b->of[r->high];
      if (d->low != NONE && d->high != NONE) k->param[d->low].linked = true;
    }
  for (int i = 0; i < k->ndatum; i++) DP_TRY(look_at(b, i));
  DP_TRY(check_groups(b));
  return check_elsewhere(b);
}

static dp_status describe(dp_problem *w, const dp_problem *full) {
  const struct dpi_calib_inner *k = w->inner;
  const size_t n = (size_t)k->nouter + 1;
  const char **id = DPI_ARENA_ARRAY(&w->arena, const char *, n);
  dp_problem_scale *scale = DPI_ARENA_ARRAY(&w->arena, dp_problem_scale, n);
  double *nominal = DPI_ARENA_ARRAY(&w->arena, double, n);
  w->lower = DPI_ARENA_ARRAY(&w->arena, double, n);
  w->upper = DPI_ARENA_ARRAY(&w->arena, double, n);
  w->free = DPI_ARENA_ARRAY(&w->arena, int, n);
  if (!id || !scale || !nominal || !w->lower || !w->upper || !w->free) return DP_ERR_MEMORY;
  for (int q = 0; q < k->nouter; q++) {
    const int f = k->outer[q];
    id[q] = full->desc.id[f];
    scale[q] = full->desc.scale[f];
    nominal[q] = full->desc.nominal[f];
    w->lower[q] = full->lower[f];
    w->upper[q] = full->upper[f];
    w->free[q] = full->free[f];
  }
  w->desc = full->desc;
  w->desc.nparam = k->nouter;
  w->desc.id = id;
  w->desc.scale = scale;
  w->desc.nominal = nominal;
  w->desc.lower = w->lower;
  w->desc.upper = w->upper;
  w->desc.nsolved = k->n;
  w->desc.solved = k->id;
  w->file = full->file; /* borrowed */
  w->has_prior = full->has_prior;
  w->derivative = full->derivative;
  w->density = full->density;
  w->density.n = k->nouter;
  w->density.name = id;
  w->density.lower = w->lower;
  w->density.upper = w->upper;
  return DP_OK;
}

static dp_status make(dp_problem *w, dp_problem *full) {
  build b = {.full = full, .tables = full->file.petab};
  const dpi_calib_table *t = &full->file.table[0];
  b.k = w->inner = DPI_ARENA_ARRAY(&w->arena, struct dpi_calib_inner, 1);
  b.of = DPI_ARENA_ARRAY(&w->arena, int, t->nparam + 1);
  b.used = DPI_ARENA_ARRAY(&w->arena, bool, b.tables->nname + 1);
  b.value = DPI_ARENA_ARRAY(&w->arena, double, b.tables->nname + 1);
  if (!b.k || !b.of || !b.used || !b.value) return DP_ERR_MEMORY;
  b.k->nfull = full->desc.nparam;
  for (int i = 0; i < t->nparam; i++) b.of[i] = NONE;
  DP_TRY(list_solved(&b, &w->arena));
  DP_TRY(list_data(&b, &w->arena));
  return describe(w, full);
}

dp_status dpi_calib_hide(dp_problem **p) {
  const dpi_calib_table *t = &(*p)->file.table[0];
  bool any = false;
  for (int i = 0; i < t->nparam; i++) any = any || (t->param[i].estimated && t->param[i].solved);
  if (!any) return DP_OK;
  dp_problem *w = DPI_NEW((*p)->ctx, dp_problem);
  if (!w) return DP_ERR_MEMORY;
  w->ctx = (*p)->ctx;
  dpi_arena_init(&w->arena, w->ctx);
  const dp_status st = make(w, *p);
  w->full = *p; /* from here on it is closed with w */
  *p = w;
  return st;
}

/* ---- solving: one point ---- */

typedef struct point {
  const struct dpi_calib_inner *k;
  const double *base;  /* [ndatum] observables with the solved ones at their base values */
  const double *sigma; /* [ndatum] */
  double *u;           /* [n] */
  double *work;        /* [ndatum + 7 n + ..] */
  char *reason;        /* [200] */
} point;

static double clip(double v, double lower, double upper) { return v < lower ? lower : v > upper ? upper : v; }

static double free_part(const point *p, int i) {
  const int o = p->k->datum[i].offset;
  return p->base[i] - (o == NONE ? 0 : p->k->param[o].base);
}

static double weight(const point *p, int i) {
  return p->k->datum[i].sigma != NONE ? 1 : 1 / (p->sigma[i] * p->sigma[i]);
}

/* min 1/2 (a s^2 + 2 c s o + b o^2) - d s - e o in the box: inside, else on its edges. */
static void least_squares(double a, double b, double c, double d, double e, const solved *s, const solved *o, double *u,
                          double *v) {
  const double det = a * b - c * c;
  if (det > 1e-14 * a * b) {
    *u = (b * d - c * e) / det;
    *v = (a * e - c * d) / det;
    if (*u >= s->lower && *u <= s->upper && *v >= o->lower && *v <= o->upper) return;
  } else { /* f is the same everywhere: any scaling will do */
    *u = clip(1, s->lower, s->upper);
    *v = clip((e - c * *u) / b, o->lower, o->upper);
    return;
  }
  const double edge[4] = {s->lower, s->upper, o->lower, o->upper};
  double best = INFINITY;
  for (int i = 0; i < 4; i++) {
    if (!isfinite(edge[i])) continue;
    const double x = i < 2 ? edge[i] : clip((d - c * edge[i]) / a, s->lower, s->upper);
    const double y = i < 2 ? clip((e - c * edge[i]) / b, o->lower, o->upper) : edge[i];
    const double cost = 0.5 * (a * x * x + 2 * c * x * y + b * y * y) - d * x - e * y;
    if (cost < best) best = cost, *u = x, *v = y;
  }
}

/* A scaling or an offset by itself: c v = m - rest, weight w. */
static double alone(const point *p, int which, int h) {
  const struct dpi_calib_inner *k = p->k;
  const bool scaling = k->param[which].kind == DPI_SOLVED_SCALING;
  double num = 0, den = 0;
  for (int i = 0; i < k->ndatum; i++) {
    const datum *d = &k->datum[i];
    if ((scaling ? d->scaling : d->offset) != which) continue;
    const double f = free_part(p, i), w = weight(p, i), m = d->value;
    const double c = scaling && h == 0 ? f : 1;
    const double v = h > 0 ? dpi_noise_scale(d->noise, m) - dpi_noise_scale(d->noise, f) : scaling ? m : m - f;
    num += w * c * v;
    den += w * c * c;
  }
  return den > 0 ? num / den : h > 0 ? 0 : k->param[which].base;
}

static void solve_pair(const point *p, int s, int o) {
  const struct dpi_calib_inner *k = p->k;
  double a = 0, b = 0, c = 0, d = 0, e = 0;
  for (int i = 0; i < k->ndatum; i++) {
    if (k->datum[i].scaling != s) continue;
    const double f = free_part(p, i), w = weight(p, i), m = k->datum[i].value;
    a += w * f * f;
    b += w;
    c += w * f;
    d += w * f * m;
    e += w * m;
  }
  least_squares(a, b, c, d, e, &k->param[s], &k->param[o], &p->u[s], &p->u[o]);
}

static void solve_mean(const point *p, int which) {
  const solved *q = &p->k->param[which];
  const dpi_noise noise = (dpi_noise)q->noise;
  const int h = (int)noise % 3;
  if (q->kind == DPI_SOLVED_SCALING && q->mate != NONE) {
    solve_pair(p, which, q->mate);
    return;
  }
  if (q->kind == DPI_SOLVED_OFFSET && q->mate != NONE) return; /* with its scaling */
  const double v = alone(p, which, h);
  p->u[which] = clip(h > 0 ? dpi_noise_unscale(noise, v) : v, q->lower, q->upper);
}

static double solved_value(const point *p, int i) {
  const datum *d = &p->k->datum[i];
  return (d->scaling == NONE ? 1 : p->u[d->scaling]) * free_part(p, i) + (d->offset == NONE ? 0 : p->u[d->offset]);
}

static bool solve_sigma(const point *p, int which) {
  const struct dpi_calib_inner *k = p->k;
  const solved *q = &k->param[which];
  const bool laplace = q->noise == 1;
  double sum = 0;
  int n = 0;
  for (int i = 0; i < k->ndatum; i++) {
    if (k->datum[i].sigma != which) continue;
    const dpi_noise noise = k->datum[i].noise;
    const double r = dpi_noise_scale(noise, k->datum[i].value) - dpi_noise_scale(noise, solved_value(p, i));
    sum += laplace ? fabs(r) : r * r;
    n++;
  }
  const double v = laplace ? sum / n : sqrt(sum / n);
  p->u[which] = clip(v, q->lower > 0 ? q->lower : 0, q->upper);
  if (p->u[which] > 0) return true;
  snprintf(
      p->reason, 200,
      "'%.60s' can't be solved: the measurements are met exactly, its likelihood is unbounded; give it a lower bound",
      k->id[which]);
  return false;
}

/* ---- thresholds of one ordinal observable ---- */

typedef struct chain {
  const point *p;
  int first, n;                    /* thresholds */
  double *t, *g, *diag, *off, *to; /* [n] on the noise's scale; minus gradient; minus Hessian; trial */
} chain;

static bool in_chain(const chain *c, const datum *d) {
  return (d->low >= c->first && d->low < c->first + c->n) || (d->high >= c->first && d->high < c->first + c->n);
}

/* - sum ln P at t, with derivatives into g, diag, off unless !slopes. */
static double chain_cost(const chain *c, const double *t, bool slopes) {
  const struct dpi_calib_inner *k = c->p->k;
  double sum = 0;
  for (int j = 0; j + 1 < c->n; j++)
    if (!(t[j] < t[j + 1])) return INFINITY;
  for (int j = 0; slopes && j < c->n; j++) c->g[j] = c->diag[j] = c->off[j] = 0;
  for (int i = 0; i < k->ndatum; i++) {
    const datum *d = &k->datum[i];
    if (!in_chain(c, d)) continue;
    const double y = dpi_noise_scale(d->noise, c->p->base[i]), s = c->p->sigma[i];
    const int lo = d->low == NONE ? -1 : d->low - c->first, hi = d->high == NONE ? -1 : d->high - c->first;
    dpi_noise_slice z;
    dpi_noise_between(d->noise, lo < 0 ? -INFINITY : (t[lo] - y) / s, hi < 0 ? INFINITY : (t[hi] - y) / s, &z);
    sum -= z.ln;
    if (slopes && lo >= 0) c->g[lo] += z.da / s, c->diag[lo] += z.aa / (s * s);
    if (slopes && hi >= 0) c->g[hi] += z.db / s, c->diag[hi] += z.bb / (s * s);
    if (slopes && lo >= 0 && hi >= 0) c->off[lo] -= z.ab / (s * s);
  }
  return isnan(sum) ? INFINITY : sum;
}

static int by_size(const void *x, const void *y) {
  const double a = *(const double *)x, b = *(const double *)y;
  return (a > b) - (a < b);
}

/* Where classes of equally many would part the sorted simulations. */
static void chain_start(const chain *c) {
  const struct dpi_calib_inner *k = c->p->k;
  double *list = c->p->work;
  int n = 0, at = 0;
  double spread = 0;
  for (int i = 0; i < k->ndatum; i++) {
    if (!in_chain(c, &k->datum[i])) continue;
    list[n++] = dpi_noise_scale(k->datum[i].noise, c->p->base[i]);
    spread += c->p->sigma[i];
  }
  spread /= n;
  qsort(list, (size_t)n, sizeof *list, by_size);
  for (int j = 0; j < c->n; j++) {
    for (int i = 0; i < k->ndatum; i++) at += in_chain(c, &k->datum[i]) && k->datum[i].high == c->first + j;
    const int cut = at < 1 ? 1 : at > n - 1 ? n - 1 : at;
    c->t[j] = 0.5 * (list[cut - 1] + list[cut]);
    if (j > 0 && !(c->t[j] > c->t[j - 1] + 0.1 * spread)) c->t[j] = c->t[j - 1] + 0.1 * spread;
  }
}

/* Newton's direction: (minus Hessian + ridge) to = g, tridiagonal, positive definite. */
static void chain_direction(const chain *c, double ridge) {
  double *piv = (double *)c->p->work;
  for (int j = 0; j < c->n; j++) {
    piv[j] = c->diag[j] * (1 + ridge) + ridge * 1e-300;
    c->to[j] = c->g[j];
    if (j == 0) continue;
    const double f = c->off[j - 1] / piv[j - 1];
    piv[j] -= f * c->off[j - 1];
    c->to[j] -= f * c->to[j - 1];
  }
  for (int j = c->n - 1; j >= 0; j--) {
    if (j + 1 < c->n) c->to[j] -= c->off[j] * c->to[j + 1];
    c->to[j] /= piv[j];
  }
}

static bool solve_chain(const point *p, int first, int n) {
  const size_t room = (size_t)p->k->ndatum + (size_t)p->k->n + 2;
  double *at = p->work + room;
  chain c = {p, first, n, at, at + n, at + 2 * n, at + 3 * n, at + 4 * n};
  double *trial = at + 5 * n, ridge = 0;
  chain_start(&c);
  double cost = chain_cost(&c, c.t, true);
  for (int it = 0; it < MOST_NEWTON && isfinite(cost); it++) {
    chain_direction(&c, ridge);
    double step = 1, drop = 0, next = INFINITY;
    for (int j = 0; j < n; j++) drop += c.g[j] * c.to[j];
    if (!(drop > 0)) { /* flat or not definite: more of the diagonal */
      if (fabs(drop) == 0) break;
      ridge = ridge > 0 ? 10 * ridge : 1e-8;
      continue;
    }
    for (int half = 0; half < 60; half++, step *= 0.5) {
      for (int j = 0; j < n; j++) trial[j] = c.t[j] + step * c.to[j];
      next = chain_cost(&c, trial, false);
      if (next <= cost - 1e-4 * step * drop) break;
    }
    const bool better = next < cost;
    if (better) memcpy(c.t, trial, (size_t)n * sizeof *trial);
    /* where the cost can't tell any more the slope still can: Newton's last step, or gradients keep half the digits */
    for (int j = 0; !better && drop <= 1e-12 * (1 + fabs(cost)) && j < n; j++) c.t[j] += c.to[j];
    if (!better || drop <= 1e-18 * (1 + fabs(cost))) break;
    cost = chain_cost(&c, c.t, true);
  }
  dpi_noise noise = DPI_NOISE_NORMAL;
  for (int i = 0; i < p->k->ndatum; i++)
    if (in_chain(&c, &p->k->datum[i])) noise = p->k->datum[i].noise;
  for (int j = 0; j < n; j++) p->u[first + j] = dpi_noise_unscale(noise, c.t[j]);
  if (isfinite(cost)) return true;
  snprintf(p->reason, 200, "thresholds of the ordinal measurements ('%.60s') can't be solved", p->k->id[first]);
  return false;
}

static bool solve(const point *p) {
  const struct dpi_calib_inner *k = p->k;
  bool ok = true;
  for (int i = 0; i < k->ndatum && ok; i++) {
    const datum *d = &k->datum[i];
    const bool any = d->scaling != NONE || d->offset != NONE || d->sigma != NONE || d->low != NONE || d->high != NONE;
    ok = !any ||
         (isfinite(p->base[i]) && (d->noise % 3 == 0 || p->base[i] > 0) && (d->sigma != NONE || p->sigma[i] > 0));
    if (!ok)
      snprintf(p->reason, 200,
               "a measurement whose scaling, noise or threshold is solved is simulated as %.4g with noise %.4g",
               p->base[i], p->sigma[i]);
  }
  for (int u = 0; u < k->n && ok; u++)
    if (k->param[u].kind == DPI_SOLVED_SCALING || k->param[u].kind == DPI_SOLVED_OFFSET) solve_mean(p, u);
  for (int u = 0; u < k->n && ok; u++)
    if (k->param[u].kind == DPI_SOLVED_SIGMA) ok = solve_sigma(p, u);
  for (int u = 0, n; u < k->n && ok; u += n) {
    n = 1;
    if (k->param[u].kind != DPI_SOLVED_THRESHOLD) continue;
    while (u + n < k->n && k->param[u + n - 1].linked) n++;
    ok = solve_chain(p, u, n);
  }
  return ok;
}

/* ---- points ---- */

/* The information about the outer ones, when the solved ones that are free to move follow. F [nfull x nfull]
 * is used up. */
static void eliminate(const struct dpi_calib_inner *k, const double *u, double *F, double *out) {
  const size_t n = (size_t)k->nfull;
  for (int i = 0; i < k->n; i++) {
    const solved *q = &k->param[i];
    const size_t f = (size_t)q->full;
    const double pivot = F[f * n + f];
    if (q->kind == DPI_SOLVED_THRESHOLD || u[i] <= q->lower || u[i] >= q->upper || !(pivot > 0)) continue;
    for (size_t r = 0; r < n; r++) {
      const double c = F[r * n + f] / pivot;
      for (size_t s = 0; r != f && c != 0 && s < n; s++) F[r * n + s] -= c * F[f * n + s];
    }
    for (size_t r = 0; r < n; r++) F[r * n + f] = F[f * n + r] = 0;
  }
  for (int a = 0; a < k->nouter; a++)
    for (int b = 0; b < k->nouter; b++)
      out[(size_t)a * (size_t)k->nouter + (size_t)b] = F[(size_t)k->outer[a] * n + (size_t)k->outer[b]];
}

static void give(const struct dpi_calib_inner *k, unsigned what, const dp_problem_value *from, const double *u,
                 dp_problem_value *to) {
  const bool slope = what != DP_PROBLEM_VALUE;
  to->ok = from->ok;
  to->llh = from->llh;
  to->chi2 = from->chi2;
  to->log_prior = from->log_prior;
  memcpy(to->reason, from->reason, sizeof to->reason);
  for (int q = 0; q < k->nouter; q++) {
    if (to->gradient && slope) to->gradient[q] = from->gradient[k->outer[q]];
    if (to->prior) to->prior[q] = from->prior[k->outer[q]];
  }
  for (int i = 0; to->solved && i < k->n; i++) to->solved[i] = from->ok ? u[i] : NAN;
  if (to->fisher && (what & DP_PROBLEM_FISHER)) eliminate(k, u, from->fisher, to->fisher);
}

typedef struct chunk { /* some points: numbers of each lie together */
  double *z, *base, *sigma, *u, *gradient, *fisher, *prior, *work;
  dp_problem_value *value;
  void *block;
} chunk;

static size_t numbers(const struct dpi_calib_inner *k, bool fisher) {
  const size_t n = (size_t)k->nfull;
  return 3 * n + 2 * (size_t)k->ndatum + (size_t)k->n + (fisher ? n * n : 0);
}

static dp_status chunk_memory(dp_ctx *ctx, const struct dpi_calib_inner *k, int m, bool fisher, chunk *c) {
  const size_t n = (size_t)k->nfull, d = (size_t)k->ndatum, u = (size_t)k->n, p = (size_t)m;
  double *at = c->block = DPI_NEW_ARRAY(ctx, double, p *numbers(k, fisher) + d + 7 * u + 16);
  c->value = DPI_NEW_ARRAY(ctx, dp_problem_value, m + 1);
  if (!at || !c->value) return DP_ERR_MEMORY;
  c->z = at;
  c->gradient = c->z + p * n;
  c->prior = c->gradient + p * n;
  c->base = c->prior + p * n;
  c->sigma = c->base + p * d;
  c->u = c->sigma + p * d;
  c->fisher = fisher ? c->u + p * u : NULL;
  c->work = c->u + p * u + (fisher ? p * n * n : 0);
  return DP_OK;
}

/* The whole problem's vector: x, and the solved ones at these values. */
static void whole(const struct dpi_calib_inner *k, const double *x, const double *u, double *z) {
  for (int q = 0; q < k->nouter; q++) z[k->outer[q]] = x[q];
  for (int i = 0; i < k->n; i++)
    z[k->param[i].full] = dp_problem_rescale(k->param[i].scale, u ? u[i] : k->param[i].base);
}

static dp_status eval_chunk(dp_problem *p, int m, const double *x, unsigned what, dp_problem_value *to,
                            const chunk *c) {
  const struct dpi_calib_inner *k = p->inner;
  const size_t n = (size_t)k->nfull, nd = (size_t)k->ndatum, nu = (size_t)k->n, no = (size_t)k->nouter;
  for (int i = 0; i < m; i++) {
    const size_t j = (size_t)i;
    whole(k, x + j * no, NULL, c->z + j * n);
    c->value[i] = (dp_problem_value){.simulation = c->base + j * nd, .sigma = c->sigma + j * nd};
  }
  DP_TRY(dp_problem_eval(p->full, m, c->z, DP_PROBLEM_VALUE, c->value));
  for (int i = 0; i < m; i++) {
    const size_t j = (size_t)i;
    const point at = {k, c->base + j * nd, c->sigma + j * nd, c->u + j * nu, c->work, c->value[i].reason};
    char reason[200];
    memcpy(reason, c->value[i].reason, sizeof reason);
    /* where the model could not be run nothing is simulated, and the second look says why */
    if (!solve(&at)) {
      memcpy(to[i].reason, c->value[i].ok ? c->value[i].reason : reason, sizeof reason);
      for (size_t q = 0; q < nu; q++) at.u[q] = k->param[q].base;
      to[i].ok = -1;
    } else {
      to[i].ok = 1;
    }
    whole(k, x + j * no, at.u, c->z + j * n);
    c->value[i] = (dp_problem_value){.gradient = c->gradient + j * n,
                                     .prior = c->prior + j * n,
                                     .fisher = c->fisher ? c->fisher + j * n * n : NULL,
                                     .simulation = to[i].simulation,
                                     .sigma = to[i].sigma,
                                     .residual = to[i].residual,
                                     .pointwise = to[i].pointwise};
  }
  DP_TRY(dp_problem_eval(p->full, m, c->z, what, c->value));
  for (int i = 0; i < m; i++) {
    char reason[200];
    const bool unsolved = to[i].ok < 0;
    memcpy(reason, to[i].reason, sizeof reason);
    if (unsolved) {
      dp_problem_value *v = &c->value[i];
      v->ok = 0;
      v->llh = -INFINITY;
      v->chi2 = NAN;
      memcpy(v->reason, reason, sizeof reason);
      for (size_t q = 0; q < n; q++) v->gradient[q] = NAN;
      for (size_t q = 0; v->fisher && q < n * n; q++) v->fisher[q] = NAN;
    }
    give(k, what, &c->value[i], c->u + (size_t)i * nu, &to[i]);
  }
  return DP_OK;
}

dp_status dpi_calib_inner_eval(dp_problem *p, int npoint, const double *x, unsigned what, dp_problem_value *value) {
  const struct dpi_calib_inner *k = p->inner;
  const bool fisher = what & DP_PROBLEM_FISHER;
  const size_t most = CHUNK_NUMBERS / (numbers(k, fisher) + 1) + 1;
  dp_status st = DP_OK;
  for (int first = 0; first < npoint && st == DP_OK; first += (int)most) {
    const int m = npoint - first < (int)most ? npoint - first : (int)most;
    chunk c = {0};
    st = chunk_memory(p->ctx, k, m, fisher, &c);
    if (st == DP_OK) st = eval_chunk(p, m, x + (size_t)first * (size_t)k->nouter, what, value + first, &c);
    dpi_free(p->ctx, c.block);
    dpi_free(p->ctx, c.value);
  }
  return st;
}

/* ---- second derivatives ----
 *
 * u follows x so that ln p_u = 0: L_ux + L_uu u_x = 0 for the ones that no bound holds. So with L all second
 * derivatives of the whole problem's ln p, and w = u_x v from L_uu w = -L_ux v,
 *
 *     H v = (L (v, w))_x
 */
typedef struct follow { /* one point */
  double *u;            /* [n] */
  int nfree, *free;     /* solved ones that no bound holds */
  double *z, *dir, *out; /* [nfree + 1 x nfull]: the point, directions, products; the last is v's */
  double *a, *w;        /* [nfree x nfree], [nfree] */
  int *piv;
  dp_problem_product *product;
  void *block;
} follow;

static dp_status follow_init(dp_problem *p, follow *f) {
  const struct dpi_calib_inner *k = p->inner;
  const size_t n = (size_t)k->n, nfull = (size_t)k->nfull, m = n + 1;
  f->block = f->u = DPI_NEW_ARRAY(p->ctx, double, n + 3 * m * nfull + n * n + 2 * n + 4);
  f->product = DPI_NEW_ARRAY(p->ctx, dp_problem_product, m);
  f->free = DPI_NEW_ARRAY(p->ctx, int, 2 * n + 1);
  if (!f->block || !f->product || !f->free) return DP_ERR_MEMORY;
  f->z = f->u + n;
  f->dir = f->z + m * nfull;
  f->out = f->dir + m * nfull;
  f->a = f->out + m * nfull;
  f->w = f->a + n * n;
  f->piv = f->free + n;
  return DP_OK;
}

/* Directions: of each solved one that is free to follow, and v. */
static void follow_directions(const struct dpi_calib_inner *k, const double *x, const double *v, follow *f) {
  const size_t n = (size_t)k->nfull;
  f->nfree = 0;
  for (int i = 0; i < k->n; i++)
    if (f->u[i] > k->param[i].lower && f->u[i] < k->param[i].upper) f->free[f->nfree++] = i;
  for (int i = 0; i <= f->nfree; i++) {
    double *dir = f->dir + (size_t)i * n;
    whole(k, x, f->u, f->z + (size_t)i * n);
    memset(dir, 0, n * sizeof *dir);
    f->product[i].product = f->out + (size_t)i * n;
    if (i < f->nfree) dir[k->param[f->free[i]].full] = 1;
    for (int q = 0; i == f->nfree && q < k->nouter; q++) dir[k->outer[q]] = v[q];
  }
}

static bool follow_solve(const struct dpi_calib_inner *k, follow *f) {
  const size_t n = (size_t)k->nfull, m = (size_t)f->nfree;
  for (size_t i = 0; i < m; i++) {
    const size_t row = (size_t)k->param[f->free[i]].full;
    for (size_t j = 0; j < m; j++) f->a[i * m + j] = f->out[j * n + row];
    f->w[i] = -f->out[m * n + row];
  }
  if (m > 0 && !dpi_lu(f->a, (int)m, f->piv)) return false;
  if (m > 0) dpi_lu_solve(f->a, (int)m, f->piv, f->w);
  return true;
}

static dp_status follow_point(dp_problem *p, const double *x, const double *v, follow *f, dp_problem_product *to) {
  const struct dpi_calib_inner *k = p->inner;
  dp_problem_value at = {.solved = f->u};
  DP_TRY(dp_problem_eval(p, 1, x, DP_PROBLEM_VALUE, &at));
  to->ok = at.ok;
  memcpy(to->reason, at.reason, sizeof to->reason);
  if (!to->ok) return DP_OK;
  follow_directions(k, x, v, f);
  DP_TRY(dp_problem_hessian_vector(p->full, f->nfree + 1, f->z, f->dir, f->product));
  for (int i = 0; i <= f->nfree && to->ok; i++) {
    to->ok = f->product[i].ok;
    memcpy(to->reason, f->product[i].reason, sizeof to->reason);
  }
  if (!to->ok) return DP_OK;
  to->slope = f->product[f->nfree].slope;
  if (!follow_solve(k, f)) {
    to->ok = 0;
    snprintf(to->reason, sizeof to->reason, "the parameters solved inside the objective are not determined here");
  }
  for (int q = 0; q < k->nouter; q++) {
    const size_t row = (size_t)k->outer[q], n = (size_t)k->nfull;
    to->product[q] = f->out[(size_t)f->nfree * n + row];
    for (int i = 0; i < f->nfree && to->ok; i++) to->product[q] += f->w[i] * f->out[(size_t)i * n + row];
  }
  return DP_OK;
}

dp_status dpi_calib_inner_product(dp_problem *p, int npoint, const double *x, const double *v,
                                  dp_problem_product *out) {
  const size_t n = (size_t)p->inner->nouter;
  follow f = {0};
  dp_status st = follow_init(p, &f);
  for (int i = 0; i < npoint && st == DP_OK; i++) {
    st = follow_point(p, x + (size_t)i * n, v + (size_t)i * n, &f, &out[i]);
    if (st != DP_OK || out[i].ok) continue;
    out[i].slope = NAN;
    for (size_t q = 0; q < n; q++) out[i].product[q] = NAN;
  }
  dpi_free(p->ctx, f.block);
  dpi_free(p->ctx, f.product);
  dpi_free(p->ctx, f.free);
  return st;
}
