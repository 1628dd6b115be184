/* global.c - floor 6, inside infer/point: searches over the whole box.
 *
 * NLopt (LGPL, linked shared) is used for its global methods; it draws from a generator of its own, one to a thread,
 * that is seeded here. Its normal deviates come from the C library's elementary functions, so esch and isres promise
 * the same bytes on one machine only; crs2, direct and mlsl everywhere.
 */
#include "infer/point/global.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "infer/point/point_impl.h"
#include "num/num.h"

#ifdef DOPPEL_NLOPT
#include <nlopt.h>
#endif

#define NOWHERE 1e300   /* J where it can't be evaluated: worse than anything, and still comparable */
#define LINKAGE 4.0     /* sigma of Rinnooy Kan & Timmer */
#define BEST_SHARE 0.3  /* of the samples: only the better ones may start a search */

#define WORD(name, word, help) word,
static const char *const global_name[] = {DPI_GLOBAL_LIST(WORD)};
const char *dpi_global_name(dpi_global_method m) { return global_name[m]; }
int dpi_global_find(const char *word) {
  for (int k = 0; k < DPI_GLOBAL_COUNT; k++) {
    if (strcmp(word, global_name[k]) == 0) return k;
  }
  return -1;
}

bool dpi_global_offered(dpi_global_method m) {
#ifdef DOPPEL_NLOPT
  (void)m;
  return true;
#else
  return m == DPI_GLOBAL_MLSL;
#endif
}

dpi_global_def dpi_global_def_default(void) {
  return (dpi_global_def){.method = DPI_GLOBAL_MLSL, .max_eval = 10000, .polish = dpi_multistart_def_default()};
}

static dp_status polish(dpi_density *d, const dpi_global_def *def, const double *x, int nx, dpi_multistart **out) {
  dpi_multistart_def m = def->polish;
  m.nstart = 0;
  m.given = x;
  m.ngiven = nx;
  return dpi_multistart_run(d, &m, out);
}

/* ---- NLopt ---- */

#ifdef DOPPEL_NLOPT
typedef struct objective {
  dpi_density *d;
  nlopt_opt opt;
  dp_status status;
  double *best_x, best;
  long neval;
  char reason[160];
} objective;

static double evaluate(unsigned n, const double *x, double *grad, void *user) {
  objective *o = user;
  dpi_density_value v = {0};
  double j;
  (void)grad;
  if (o->status != DP_OK) return NOWHERE;
  o->status = dp_ctx_cancelled(o->d->ctx) ? DP_ERR_CANCELLED : dpi_density_eval(o->d, 1, x, DPI_DENSITY_VALUE, &v);
  if (o->status != DP_OK) {
    nlopt_force_stop(o->opt);
    return NOWHERE;
  }
  o->neval++;
  j = -(v.loglik + v.logprior);
  if (!v.ok || !isfinite(j)) {
    dpi_point_reason(o->reason, v.reason);
    return NOWHERE;
  }
  if (j < o->best) {
    o->best = j;
    memcpy(o->best_x, x, sizeof(double) * n);
  }
  return j;
}

static nlopt_algorithm algorithm_of(dpi_global_method m) {
  switch (m) {
    case DPI_GLOBAL_CRS2: return NLOPT_GN_CRS2_LM;
    case DPI_GLOBAL_ESCH: return NLOPT_GN_ESCH;
    case DPI_GLOBAL_ISRES: return NLOPT_GN_ISRES;
    default: return NLOPT_GN_DIRECT;
  }
}

static dp_status set_up(objective *o, const dpi_global_def *def, double *x) {
  dpi_density *d = o->d;
  nlopt_opt p = o->opt;
  bool fine = nlopt_set_min_objective(p, evaluate, o) > 0 && nlopt_set_lower_bounds(p, d->lower) > 0 &&
              nlopt_set_upper_bounds(p, d->upper) > 0 && nlopt_set_maxeval(p, (int)fmin(def->max_eval, 2147483647)) > 0;
  if (fine && def->xtol > 0) fine = nlopt_set_xtol_rel(p, def->xtol) > 0;
  if (fine && def->ftol > 0) fine = nlopt_set_ftol_rel(p, def->ftol) > 0;
  if (fine && def->population > 0) fine = nlopt_set_population(p, (unsigned)def->population) > 0;
  for (int i = 0; i < d->n; i++) x[i] = 0.5 * (d->lower[i] + d->upper[i]);
  nlopt_srand((unsigned long)(def->polish.seed & 0xffffffffu));
  return fine ? DP_OK : dpi_fail(d->ctx, DP_ERR_MEMORY, "global search: NLopt refuses the set-up");
}

static dp_status search(objective *o, const dpi_global_def *def, double *x) {
  double least;
  DP_TRY(set_up(o, def, x));
  nlopt_result r = nlopt_optimize(o->opt, x, &least);
  if (o->status != DP_OK) return o->status;
  if (r == NLOPT_OUT_OF_MEMORY) return DP_ERR_MEMORY;
  if (r == NLOPT_INVALID_ARGS)
    return dpi_fail(o->d->ctx, DP_ERR_UNSUPPORTED, "global search '%s': NLopt does not take this problem",
                    dpi_global_name(def->method));
  if (isfinite(o->best)) return DP_OK;
  return dpi_fail(o->d->ctx, DP_ERR_CONVERGE, "global search '%s': none of %ld points could be evaluated: %s",
                  dpi_global_name(def->method), o->neval, o->reason);
}

static dp_status run_nlopt(dpi_density *d, const dpi_global_def *def, long *nsearch, dpi_multistart **out) {
  size_t n = (size_t)d->n;
  double *x = DPI_NEW_ARRAY(d->ctx, double, 2 * n + 1);
  if (!x) return DP_ERR_MEMORY;
  objective o = {.d = d, .best_x = x + n, .best = INFINITY};
  o.opt = nlopt_create(algorithm_of(def->method), (unsigned)d->n);
  dp_status status = o.opt ? search(&o, def, x) : DP_ERR_MEMORY;
  nlopt_destroy(o.opt);
  *nsearch = o.neval;
  if (status == DP_OK) status = polish(d, def, o.best_x, 1, out);
  dpi_free(d->ctx, x);
  return status;
}
#else
static dp_status run_nlopt(dpi_density *d, const dpi_global_def *def, long *nsearch, dpi_multistart **out) {
  (void)nsearch;
  (void)out;
  return dpi_fail(d->ctx, DP_ERR_UNSUPPORTED, "global search '%s': built without NLopt; take mlsl or many starts",
                  dpi_global_name(def->method));
}
#endif

/* ---- multi-level single linkage ---- */

typedef struct sampled {
  dpi_density *d;
  int count;
  double *x, *j;  /* [count x n], [count] */
  int *order;     /* by J */
  dpi_density_value *value;
} sampled;

/* J of all samples, batch by batch. */
static dp_status sample(sampled *s, const dpi_global_def *def, const dpi_starts *starts) {
  size_t n = (size_t)s->d->n;
  for (int from = 0; from < s->count; from += def->polish.batch) {
    int m = s->count - from < def->polish.batch ? s->count - from : def->polish.batch;
    double *x = s->x + (size_t)from * n;
    for (int k = 0; k < m; k++) DP_TRY(dpi_starts_point(starts, from + k, 0, x + (size_t)k * n));
    memset(s->value, 0, sizeof *s->value * (size_t)m);
    DP_TRY(dpi_density_eval(s->d, m, x, DPI_DENSITY_VALUE, s->value));
    for (int k = 0; k < m; k++) {
      double j = -(s->value[k].loglik + s->value[k].logprior);
      s->j[from + k] = s->value[k].ok && isfinite(j) ? j : NOWHERE;
    }
    if (dp_ctx_cancelled(s->d->ctx)) return DP_ERR_CANCELLED;
  }
  dpi_argsort(s->j, s->count, s->order);
  return DP_OK;
}

/* Distance within which a better sample makes a search needless, in the unit cube. */
static double critical_distance(int n, int count) {
  double half = 0.5 * n, inside = LINKAGE * dpi_m_log(count) / count;
  return dpi_m_exp((dpi_m_lgamma(1 + half) + dpi_m_log(inside)) / n) / sqrt(3.14159265358979323846);
}

static bool linked(const sampled *s, int rank, double distance) {
  const dpi_density *d = s->d;
  const double *x = s->x + (size_t)s->order[rank] * (size_t)d->n;
  for (int r = 0; r < rank; r++) {
    const double *y = s->x + (size_t)s->order[r] * (size_t)d->n;
    double sum = 0;
    for (int i = 0; i < d->n; i++) {
      double e = (x[i] - y[i]) / (d->upper[i] - d->lower[i]);
      sum += e * e;
    }
    if (sum <= distance * distance) return true;
  }
  return false;
}

static dp_status link_and_search(sampled *s, const dpi_global_def *def, dpi_multistart **out) {
  size_t n = (size_t)s->d->n;
  double *chosen = DPI_NEW_ARRAY(s->d->ctx, double, (size_t)s->count * n + 1);
  int most = (int)ceil(BEST_SHARE * s->count), nchosen = 0;
  if (!chosen) return DP_ERR_MEMORY;
  double distance = critical_distance(s->d->n, s->count);
  for (int r = 0; r < most && (r == 0 || s->j[s->order[r]] < NOWHERE); r++) {
    if (linked(s, r, distance)) continue;
    memcpy(chosen + (size_t)nchosen++ * n, s->x + (size_t)s->order[r] * n, sizeof(double) * n);
  }
  dp_status status = polish(s->d, def, chosen, nchosen, out);
  dpi_free(s->d->ctx, chosen);
  return status;
}

static dp_status run_mlsl(dpi_density *d, const dpi_global_def *def, long *nsearch, dpi_multistart **out) {
  dp_ctx *ctx = d->ctx;
  sampled s = {.d = d, .count = (int)fmin(def->max_eval, 100000)};
  dpi_starts starts = {0};
  DP_TRY(dpi_starts_init(&starts, d, d->n <= DPI_SOBOL_MAX ? DPI_SAMPLING_SOBOL : DPI_SAMPLING_UNIFORM, s.count,
                         def->polish.seed));
  s.x = DPI_NEW_ARRAY(ctx, double, (size_t)s.count * (size_t)d->n + 1);
  s.j = DPI_NEW_ARRAY(ctx, double, s.count);
  s.order = DPI_NEW_ARRAY(ctx, int, s.count);
  s.value = DPI_NEW_ARRAY(ctx, dpi_density_value, def->polish.batch);
  dp_status status = s.x && s.j && s.order && s.value ? sample(&s, def, &starts) : DP_ERR_MEMORY;
  *nsearch = s.count;
  if (status == DP_OK) status = link_and_search(&s, def, out);
  dpi_starts_release(&starts);
  dpi_free(ctx, s.x);
  dpi_free(ctx, s.j);
  dpi_free(ctx, s.order);
  dpi_free(ctx, s.value);
  return status;
}

dp_status dpi_global_run(dpi_density *d, const dpi_global_def *def, long *nsearch, dpi_multistart **out) {
  long count = 0;
  *out = NULL;
  if (def->max_eval < 2 || def->polish.batch < 1)
    return dpi_fail(d->ctx, DP_ERR_USAGE, "global search: %ld points, batch %d: out of range", def->max_eval,
                    def->polish.batch);
  for (int i = 0; i < d->n; i++) {
    if (isfinite(d->lower[i]) && isfinite(d->upper[i])) continue;
    return dpi_fail(d->ctx, DP_ERR_INPUT,
                    "parameter '%s': its bounds are [%g, %g], and a global search needs finite ones", d->name[i],
                    d->lower[i], d->upper[i]);
  }
  dp_status status = def->method == DPI_GLOBAL_MLSL ? run_mlsl(d, def, &count, out) : run_nlopt(d, def, &count, out);
  if (nsearch) *nsearch = count;
  return status;
}
