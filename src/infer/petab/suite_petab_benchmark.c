/* suite_petab_benchmark.c - floor 6: published calibration problems at their nominal parameters (see doppel/suite.h).
 *
 * Gradients are compared at the nominal and at random points. Random points are nominal values moved by a uniform
 * number of at most SPREAD in ln (log scales) or of the value's own size (linear ones), inside the bounds: far from
 * there most models cannot be run at all. Forward and backwards are compared in all components. Differences, which cost
 * six simulations each: along up to 8 parameters drawn at each point and along 2 random directions that move all of
 * them; central, at steps h, h/2, h/4, extrapolated twice, with a smaller h where the last two columns do not agree.
 * All in parts of the gradient's largest component. Where the model can't be run at a point (a solution that blows up),
 * the next one is drawn instead, as long as MOST times as many have not been drawn; the first such reason is kept.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "format/table.h"
#include "infer/petab/calib.h"
#include "infer/petab/suite_petab.h"

#define SPREAD 0.2
#define MOST 4
#define WARM_SECONDS 0.7
#define SLOW_SECONDS 10 /* one that takes longer is timed once */
#define SETTLED 1e-5    /* a tenth of what differences are held to */
enum { RNG_POINT = 0x1202, RNG_LINE = 0x1203, STENCIL = 3 };
enum { PARAMETERS = 8, DIRECTIONS = 2 }; /* along which differences are taken at a point */

typedef struct run {
  dp_ctx *ctx;
  dpi_arena arena;
  const dp_petab_suite_def *def;
  dp_petab_benchmark *r;
  const char *path;
  dpi_table *reference; /* borrowed */
} run;

static dp_problem_def problem_def(const dp_petab_suite_def *def) {
  dp_problem_def d = dp_problem_def_default();
  d.quiet = 1;
  if (def->method) d.method = def->method;
  if (def->rtol > 0) d.rtol = def->rtol;
  if (def->atol > 0) d.atol = def->atol;
  return d;
}

static void verdict(run *k, const char *status, const char *why) {
  snprintf(k->r->status, sizeof k->r->status, "%s", status);
  if (!k->r->why[0]) snprintf(k->r->why, sizeof k->r->why, "%s", why);
}

/* ---- the value ---- */

/* Seconds of the fastest of some evaluations, once machine code has had its time to be made; what: as
 * dp_problem_eval. */
static dp_status time_eval(run *k, dp_problem *p, unsigned what, dp_problem_value *v, double *seconds) {
  const dp_problem_desc *d = dp_problem_describe(p);
  const double begin = dpi_clock_s();
  *seconds = NAN;
  for (int left = k->def->timings; left >= 0;) { /* one evaluation at least warms up */
    const double start = dpi_clock_s();
    DP_TRY(dp_problem_eval(p, 1, d->nominal, what, v));
    const double now = dpi_clock_s(), took = now - start;
    const bool warm = now - begin > WARM_SECONDS || k->def->timings == 0;
    if ((left < k->def->timings || took > SLOW_SECONDS) && !(took >= *seconds)) *seconds = took;
    if (took > SLOW_SECONDS) break;
    left -= warm;
  }
  return DP_OK;
}

static dp_status other_value(run *k, double *llh) {
  dp_problem_def d = problem_def(k->def);
  dp_problem *p = NULL;
  dp_problem_value v = {0};
  d.method = k->def->other;
  d.rtol = d.rtol < 1e-10 ? d.rtol : 1e-10;
  DP_TRY(dp_problem_open(k->ctx, k->path, &d, &p));
  const dp_status st = dp_problem_eval(p, 1, dp_problem_describe(p)->nominal, DP_PROBLEM_VALUE, &v);
  dp_problem_close(p);
  *llh = v.llh;
  if (st == DP_OK && !v.ok) return dpi_fail(k->ctx, DP_ERR_NUMERIC, "%s: %s", k->def->other, v.reason);
  return st;
}

static dp_status find_reference(run *k) {
  dp_petab_benchmark *r = k->r;
  const dpi_table *t = k->reference;
  int problem, value;
  r->reference = NAN;
  if (t) {
    DP_TRY(dpi_table_need(t, "problem", &problem));
    DP_TRY(dpi_table_need(t, "reference_llh", &value));
    for (int row = 0; row < t->nrow; row++) {
      if (strcmp(dpi_table_cell(t, row, problem), r->problem)) continue;
      const bool derived = strstr(dpi_table_cell(t, row, dpi_table_column(t, "note")), "derived") != NULL;
      DP_TRY(dpi_table_number(t, row, value, &r->reference));
      snprintf(r->against, sizeof r->against, "%s", derived ? "derived" : "pinned");
      r->tolerance = derived ? 1e-4 : 1e-6;
      return DP_OK;
    }
  }
  snprintf(r->against, sizeof r->against, "%s", k->def->other);
  r->tolerance = 1e-6;
  return other_value(k, &r->reference);
}

static dp_status judge_value(run *k, dp_problem *p) {
  dp_petab_benchmark *r = k->r;
  dp_problem_value v = {0};
  char why[200];
  DP_TRY(time_eval(k, p, DP_PROBLEM_VALUE, &v, &r->llh_s));
  r->llh = v.llh;
  r->log_prior = v.log_prior;
  if (!v.ok) {
    verdict(k, "fail", v.reason);
    return DP_OK;
  }
  DP_TRY(find_reference(k));
  r->difference = fabs(r->llh - r->reference) / (fabs(r->reference) > 1 ? fabs(r->reference) : 1);
  if (r->difference <= r->tolerance) return DP_OK;
  int n = snprintf(why, sizeof why, "llh %.10g, expected %.10g within %g", r->llh, r->reference, r->tolerance);
  if (strcmp(r->against, k->def->other)) { /* who is right? says nothing about the verdict */
    double second = NAN;
    const dp_status st = other_value(k, &second);
    if (st == DP_ERR_MEMORY || st == DP_ERR_CANCELLED) return st;
    if (st == DP_OK) snprintf(why + n, sizeof why - (size_t)n, "; by %s: %.10g", k->def->other, second);
    dp_ctx_clear_error(k->ctx);
  }
  verdict(k, "fail", why);
  return DP_OK;
}

/* ---- gradients ---- */

typedef struct slope {
  dp_problem *forward, *back;
  const dp_problem_desc *d;
  dp_problem_def def; /* of back */
  double *x, *g, *b;
} slope;

static void move_point(const run *k, const slope *s, int index) {
  dpi_rng rng = dpi_rng_make(k->def->seed, (uint64_t)index, RNG_POINT);
  for (int q = 0; q < s->d->nparam; q++) {
    const double u = 2 * dpi_rng_uniform(&rng) - 1, v = s->d->nominal[q];
    double size = s->d->scale[q] == DP_SCALE_LOG ? 1 : s->d->scale[q] == DP_SCALE_LOG10 ? 0.43429448190325183 : fabs(v);
    if (index == 0) size = 0;
    double x = v + SPREAD * u * size;
    x = x < s->d->lower[q] ? s->d->lower[q] : x;
    s->x[q] = x > s->d->upper[q] ? s->d->upper[q] : x;
  }
}

/* The derivative along a direction from its stencil with this step, *trust: how far the extrapolations are apart. */
static double extrapolate(const dp_problem_value *v, double step, double *trust) {
  double d[STENCIL];
  for (int level = 0; level < STENCIL; level++, step /= 2)
    d[level] = (v[2 * level].llh - v[2 * level + 1].llh) / (2 * step);
  const double a = (4 * d[1] - d[0]) / 3, b = (4 * d[2] - d[1]) / 3, best = (16 * b - a) / 15;
  *trust = fabs(best - b);
  return best;
}

/* Lines through the point along which differences are taken: some parameters, then directions that move all of them. */
typedef struct line {
  int param;          /* -1: all */
  double *d;          /* [nparam] */
  double length;      /* of d */
  double best, trust; /* derivative along d, and what it is worth */
} line;

/* Stencils of these lines as one batch, at this first step. */
static dp_status stencils(slope *s, line *const *which, int count, double step) {
  const size_t n = (size_t)s->d->nparam, m = 2 * STENCIL;
  dp_ctx *ctx = s->forward->ctx;
  double *x = DPI_NEW_ARRAY(ctx, double, n *(size_t)count *m + 1);
  dp_problem_value *v = DPI_NEW_ARRAY(ctx, dp_problem_value, (size_t)count * m + 1);
  dp_status st = x && v ? DP_OK : DP_ERR_MEMORY;
  for (size_t i = 0; i < (size_t)count * m && st == DP_OK; i++) {
    const double sign = i % 2 ? -1 : 1, h = sign * step / (double)(1 << (i % m) / 2);
    for (size_t q = 0; q < n; q++) x[i * n + q] = s->x[q] + h * which[i / m]->d[q];
  }
  if (st == DP_OK) st = dp_problem_eval(s->forward, count * (int)m, x, DP_PROBLEM_VALUE, v);
  for (int i = 0; i < count && st == DP_OK; i++) {
    double trust;
    const double now = extrapolate(v + (size_t)i * m, step, &trust);
    if (!(trust < which[i]->trust)) continue;
    which[i]->trust = trust;
    which[i]->best = now;
  }
  dpi_free(ctx, x);
  dpi_free(ctx, v);
  return st;
}

/* Parameters (as many as the suite is asked for), drawn anew at each point (all where there are no more), and DIRECTIONS of random signs, of length
 * 1 in parts of each parameter's size. */
static int lay_lines(const run *k, const slope *s, int index, line *l, double *room) {
  const int n = s->d->nparam, asked = k->def->lines < PARAMETERS ? k->def->lines : PARAMETERS;
  const int most = n < asked ? n : asked;
  dpi_rng rng = dpi_rng_make(k->def->seed, (uint64_t)index, RNG_LINE);
  int count = 0;
  for (int q = 0; q < n && count < most; q++) { /* each with the chance that leaves none short */
    if (dpi_rng_uniform(&rng) * (n - q) >= most - count) continue;
    l[count++] = (line){.param = q};
  }
  for (int i = 0; i < DIRECTIONS && n > 1; i++) l[count++] = (line){.param = -1};
  for (int i = 0; i < count; i++) {
    l[i].trust = INFINITY;
    l[i].d = room + (size_t)i * (size_t)n;
    for (int q = 0; q < n; q++) {
      const double size = s->d->scale[q] != DP_SCALE_LIN || s->x[q] == 0 ? 1 : fabs(s->x[q]);
      const double part = l[i].param < 0 ? (dpi_rng_uniform(&rng) < 0.5 ? -1 : 1) / sqrt(n) : l[i].param == q;
      l[i].d[q] = part * size;
      l[i].length += l[i].d[q] * l[i].d[q];
    }
    l[i].length = sqrt(l[i].length);
  }
  return count;
}

/* Differences along these lines, each at steps from large to small until its extrapolations agree; a line whose own
 * extrapolations are farther apart than SETTLED at every step (noise, or something nearly singular nearby) says nothing
 * and is counted apart. size: of the largest component, in parts of which they count. */
static dp_status differences(run *k, slope *s, int index, double size) {
  static const double step[] = {1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10};
  const size_t n = (size_t)s->d->nparam;
  line l[PARAMETERS + DIRECTIONS], *left[PARAMETERS + DIRECTIONS];
  double *room = DPI_NEW_ARRAY(k->ctx, double, n *(PARAMETERS + DIRECTIONS) + 1);
  if (!room) return DP_ERR_MEMORY;
  const int count = lay_lines(k, s, index, l, room);
  dp_status st = DP_OK;
  for (int level = 0; level < DPI_COUNT(step) && st == DP_OK; level++) {
    int m = 0;
    for (int i = 0; i < count; i++)
      if (!(l[i].trust <= 1e-6 * size * l[i].length)) left[m++] = &l[i];
    if (m > 0) st = stencils(s, left, m, step[level]);
  }
  for (int i = 0; i < count && st == DP_OK; i++) {
    double along = 0;
    if (!(l[i].trust <= SETTLED * size * l[i].length)) {
      k->r->nunsettled++;
      continue;
    }
    for (size_t q = 0; q < n; q++) along += s->g[q] * l[i].d[q];
    const double off = fabs(along - l[i].best) / (size * l[i].length);
    if (!(off <= k->r->differences)) k->r->differences = off;
    k->r->ndifference++;
  }
  dpi_free(k->ctx, room);
  return st;
}

static dp_status compare_point(run *k, slope *s, int index) {
  const size_t n = (size_t)s->d->nparam;
  dp_problem_value f = {.gradient = s->g}, b = {.gradient = s->b};
  double size = 0, off = 0;
  k->r->npoint++;
  DP_TRY(dp_problem_eval(s->forward, 1, s->x, DP_PROBLEM_GRADIENT, &f));
  if (!f.ok) {
    if (k->r->npoint == 1) verdict(k, "fail", f.reason);
    if (!k->r->lost[0]) snprintf(k->r->lost, sizeof k->r->lost, "%s", f.reason);
    return DP_OK;
  }
  DP_TRY(dp_problem_eval(s->back, 1, s->x, DP_PROBLEM_GRADIENT, &b));
  if (!b.ok && !k->r->same_steps) { /* its steps found no end where derivatives have a say: by values alone */
    dp_problem_def d = s->def;
    d.same_steps = 1;
    k->r->same_steps = 1;
    dp_problem_close(s->back);
    s->back = NULL;
    DP_TRY(dp_problem_open(k->ctx, k->path, &d, &s->back));
    DP_TRY(dp_problem_eval(s->back, 1, s->x, DP_PROBLEM_GRADIENT, &b));
  }
  k->r->nusable++;
  for (size_t q = 0; q < n; q++) size = fabs(s->g[q]) > size ? fabs(s->g[q]) : size;
  if (!(size > 0)) return DP_OK;
  if (!b.ok) {
    char why[240];
    snprintf(why, sizeof why, "backwards: %s", b.reason);
    if (!strcmp(k->r->status, "pass")) verdict(k, "refused", why);
  }
  for (size_t q = 0; q < n && b.ok; q++) off = fabs(s->g[q] - s->b[q]) > off ? fabs(s->g[q] - s->b[q]) : off;
  if (off / size > k->r->adjoint) k->r->adjoint = off / size;
  return differences(k, s, index, size);
}

static dp_status judge_gradients(run *k) {
  dp_problem_def d = problem_def(k->def);
  slope s = {0};
  char why[200];
  d.rtol = k->def->gradient_rtol;
  d.same_steps = k->r->same_steps = k->def->same_steps;
  d.derivative = DP_DERIVATIVE_FORWARD;
  DP_TRY(dp_problem_open(k->ctx, k->path, &d, &s.forward));
  d.derivative = DP_DERIVATIVE_ADJOINT;
  s.def = d;
  dp_status st = dp_problem_open(k->ctx, k->path, &d, &s.back);
  if (st == DP_ERR_UNSUPPORTED) { /* said, and the problem's value counts all the same */
    if (!strcmp(k->r->status, "pass")) verdict(k, "refused", dp_ctx_error(k->ctx));
    dp_ctx_clear_error(k->ctx);
    dp_problem_close(s.forward);
    return DP_OK;
  }
  if (st == DP_OK) {
    s.d = dp_problem_describe(s.forward);
    s.x = DPI_ARENA_ARRAY(&k->arena, double, 3 * s.d->nparam + 3);
    st = s.x ? DP_OK : DP_ERR_MEMORY;
  }
  if (st == DP_OK) {
    s.g = s.x + s.d->nparam;
    s.b = s.g + s.d->nparam;
  }
  const int wanted = k->def->points + 1;
  for (int i = 0; st == DP_OK && (i < wanted || (k->r->nusable < wanted && i < MOST * wanted)); i++) {
    move_point(k, &s, i);
    st = compare_point(k, &s, i);
  }
  dp_problem_close(s.forward);
  dp_problem_close(s.back);
  snprintf(why, sizeof why, "gradients: backwards differs by %.2g, differences by %.2g", k->r->adjoint,
           k->r->differences);
  if (st == DP_OK && k->r->nusable > 0 && k->r->nunsettled > k->r->ndifference)
    verdict(k, "fail", "gradients: differences settle along fewer than half of the lines");
  if (st == DP_OK && (k->r->nusable == 0 || k->r->adjoint > 1e-6 || k->r->differences > 1e-4)) verdict(k, "fail", why);
  return st;
}

static dp_status time_gradients(run *k) {
  dp_problem_def d = problem_def(k->def);
  d.same_steps = k->def->same_steps;
  double *const to[] = {&k->r->forward_s, &k->r->adjoint_s};
  for (int way = 0; way < 2; way++) {
    dp_problem *p = NULL;
    d.derivative = way ? DP_DERIVATIVE_ADJOINT : DP_DERIVATIVE_FORWARD;
    if (way && k->r->npoint == 0) continue; /* not offered */
    DP_TRY(dp_problem_open(k->ctx, k->path, &d, &p));
    dp_problem_value v = {.gradient = DPI_ARENA_ARRAY(&k->arena, double, dp_problem_describe(p)->nparam + 1)};
    dp_status st = v.gradient ? DP_OK : DP_ERR_MEMORY;
    if (st == DP_OK) st = time_eval(k, p, DP_PROBLEM_GRADIENT, &v, to[way]);
    if (!v.ok || (way && !dp_problem_describe(p)->adjoint)) *to[way] = NAN;
    dp_problem_close(p);
    DP_TRY(st);
  }
  return DP_OK;
}

/* ---- one problem ---- */

static dp_status judge_problem(run *k) {
  dp_petab_benchmark *r = k->r;
  const dp_problem_def d = problem_def(k->def);
  dp_problem *p = NULL;
  const double start = dpi_clock_s();
  DP_TRY(dp_problem_open(k->ctx, k->path, &d, &p));
  r->open_s = dpi_clock_s() - start;
  const dp_problem_desc *q = dp_problem_describe(p);
  r->nstate = q->nstate;
  r->nparam = q->nparam;
  r->ndatum = q->ndatum;
  r->nsimulation = q->nsimulation;
  r->ndirection = q->ndirection;
  r->nobservable = q->nobservable;
  dp_status st = judge_value(k, p);
  dp_problem_close(p);
  if (st == DP_OK && k->def->gradients) st = judge_gradients(k);
  if (st == DP_OK && k->def->gradients && k->def->timings > 0) st = time_gradients(k);
  return st;
}

/* The folder's problem: FOLDER.yaml, problem.yaml, or the only one. NULL: there is none. */
static dp_status find_problem(dpi_arena *arena, const char *dir, const char *folder, const char **out) {
  const char **name, *only = NULL;
  int n, count = 0;
  *out = NULL;
  DP_TRY(dpi_suite_names(arena, dir, &n, &name));
  for (int i = 0; i < n; i++) {
    const size_t len = strlen(name[i]);
    if (len < 6 || strcmp(name[i] + len - 5, ".yaml")) continue;
    const bool own =
        !strcmp(name[i], "problem.yaml") || (len == strlen(folder) + 5 && !strncmp(name[i], folder, len - 5));
    only = name[i];
    count++;
    if (own) {
      count = 1;
      break;
    }
  }
  if (count != 1) return DP_OK;
  *out = dpi_arena_printf(arena, "%s/%s", dir, only);
  return *out ? DP_OK : DP_ERR_MEMORY;
}

static dp_status run_problem(dp_ctx *ctx, const dp_petab_suite_def *def, dpi_table *reference, const char *folder,
                             const char *path, dp_petab_benchmark *r) {
  run k = {.ctx = ctx, .def = def, .r = r, .path = path, .reference = reference};
  *r = (dp_petab_benchmark){.status = "pass",
                            .llh = NAN,
                            .reference = NAN,
                            .difference = NAN,
                            .llh_s = NAN,
                            .forward_s = NAN,
                            .adjoint_s = NAN};
  snprintf(r->problem, sizeof r->problem, "%s", folder);
  dpi_arena_init(&k.arena, ctx);
  const dp_status st = judge_problem(&k);
  dpi_arena_release(&k.arena);
  return dpi_suite_outcome(ctx, st, r->status, r->why, sizeof r->why);
}

/* Problems of the folder: names [n] and paths; others are left out. */
static dp_status list_problems(dpi_arena *arena, const char *dir, int *n, const char ***name, const char ***path) {
  int all;
  DP_TRY(dpi_suite_names(arena, dir, &all, name));
  *n = 0;
  *path = DPI_ARENA_ARRAY(arena, const char *, all + 1);
  if (!*path) return DP_ERR_MEMORY;
  for (int i = 0; i < all; i++) {
    const char *folder = dpi_arena_printf(arena, "%s/%s", dir, (*name)[i]);
    if (!folder) return DP_ERR_MEMORY;
    if (!dpi_suite_folder(folder)) continue;
    DP_TRY(find_problem(arena, folder, (*name)[i], &(*path)[*n]));
    if ((*path)[*n]) (*name)[(*n)++] = (*name)[i];
  }
  return DP_OK;
}

/* The whole table, before anything is run. */
static dp_status check_references(const dpi_table *t) {
  int problem, value;
  double v;
  DP_TRY(dpi_table_need(t, "problem", &problem));
  DP_TRY(dpi_table_need(t, "reference_llh", &value));
  for (int row = 0; row < t->nrow; row++) DP_TRY(dpi_table_number(t, row, value, &v));
  return DP_OK;
}

dp_status dp_suite_petab_benchmark(dp_ctx *ctx, const char *dir, const dp_petab_suite_def *def,
                                   dp_petab_benchmark_fn each, void *user) {
  dpi_arena arena;
  dpi_table *reference = NULL;
  const char **name, **path;
  int n = 0;
  DP_TRY(dpi_suite_check_def(ctx, dir, def));
  if (def->reference) DP_TRY(dpi_table_load(ctx, def->reference, '\t', &reference));
  dpi_arena_init(&arena, ctx);
  dp_status st = reference ? check_references(reference) : DP_OK;
  if (st == DP_OK) st = list_problems(&arena, dir, &n, &name, &path);
  if (st == DP_OK && n == 0) st = dpi_fail(ctx, DP_ERR_INPUT, "%s: found no folder with a problem there", dir);
  if (st == DP_OK) st = dpi_suite_all_found(ctx, def, dir, name, n);
  for (int i = 0; i < n && st == DP_OK; i++) {
    dp_petab_benchmark r;
    if (!dpi_suite_wanted(def, name[i])) continue;
    st = run_problem(ctx, def, reference, name[i], path[i], &r);
    if (st == DP_OK) each(user, &r);
  }
  dpi_arena_release(&arena);
  dpi_table_destroy(reference);
  return st;
}
