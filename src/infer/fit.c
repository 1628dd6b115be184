/* fit.c - dp_prior_fit: the marginal likelihood's maximum over typical values, Omega and error parameters.
 *
 * Quasi-Newton (BFGS; Nocedal & Wright, Numerical Optimization, section 6.1) on the exact-gradient objective of
 * population.c. The first inverse Hessian comes from outer products of the people's scores (Berndt, Hall, Hall &
 * Hausman 1974): -2 lnL has the Hessian 1/2 sum g_i g_i'. Objective and gradient carry the integrator's and the
 * stencils' error, so steps are judged with that noise in mind and the end is decided by the promised decrease
 * 1/2 g'H g, in two metrics: the learned H and a fresh one from scores. At the end all modes are searched again from
 * several starts.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "infer/population_impl.h"

#define NOISE 4e-9   /* of the objective, relative */
#define PATIENCE 5   /* iterations over which a fall below the tolerance is the end */
#define MAX_MOVE 1.0 /* of any theta in one step */

typedef struct fit {
  dpi_population *pop;
  dp_ctx *ctx;
  int n;
  double *x, *xt, *g, *gt, *p, *h, *y, *hy, *lower, *upper, *chol;
  double f;
  dpi_marginal_method method;
} fit;

static dp_status fit_init(fit *q, dpi_arena *arena, dpi_population *pop, dp_ctx *ctx) {
  q->pop = pop;
  q->ctx = ctx;
  q->n = dpi_population_ntheta(pop);
  size_t n = (size_t)q->n;
  double *m = DPI_ARENA_ARRAY(arena, double, 9 * n + 2 * n * n + 1);
  if (!m) return DP_ERR_MEMORY;
  double **vec[] = {&q->x, &q->xt, &q->g, &q->gt, &q->p, &q->y, &q->hy, &q->lower, &q->upper};
  for (int k = 0; k < DPI_COUNT(vec); k++, m += n) *vec[k] = m;
  q->h = m;
  q->chol = m + n * n;
  dpi_population_bounds(pop, q->lower, q->upper);
  return DP_OK;
}

static double dot(const double *a, const double *b, int n) {
  double s = 0;
  for (int i = 0; i < n; i++) s += a[i] * b[i];
  return s;
}

/* H from the scores of the last evaluation; a tenth of the diagonal keeps it definite with few people. */
static void metric_from_scores(fit *q) {
  int n = q->n, np = dpi_population_npeople(q->pop);
  const double *s = dpi_population_scores(q->pop);
  for (int a = 0; a < n; a++)
    for (int b = 0; b < n; b++) {
      double v = 0;
      for (int i = 0; i < np; i++) v += s[(size_t)i * n + a] * s[(size_t)i * n + b];
      q->chol[a * n + b] = 0.5 * v;
    }
  for (int a = 0; a < n; a++) q->chol[a * n + a] += 0.1 * q->chol[a * n + a] + 1e-2;
  if (dpi_chol(q->chol, n)) {
    dpi_chol_inverse(q->chol, n, q->h);
    return;
  }
  memset(q->h, 0, sizeof(double) * (size_t)n * (size_t)n);
  for (int a = 0; a < n; a++) q->h[a * n + a] = 0.1;
}

/* Is theta i at a bound that the objective pushes it against? */
static bool held(const fit *q, int i) {
  return (q->x[i] <= q->lower[i] && q->g[i] > 0) || (q->x[i] >= q->upper[i] && q->g[i] < 0);
}

/* p = -H g over what is not held at a bound, shortened to MAX_MOVE; returns the promised decrease of the full step. */
static double direction(fit *q) {
  int n = q->n;
  double most = 0;
  for (int i = 0; i < n; i++) {
    q->p[i] = 0;
    for (int j = 0; j < n && !held(q, i); j++)
      if (!held(q, j)) q->p[i] -= q->h[(size_t)i * n + j] * q->g[j];
    most = fmax(most, fabs(q->p[i]));
  }
  double promise = -0.5 * dot(q->p, q->g, n);
  for (int i = 0; most > MAX_MOVE && i < n; i++) q->p[i] *= MAX_MOVE / most;
  return promise;
}

static void bfgs_update(fit *q) {
  int n = q->n;
  double ys = 0, yhy = 0;
  for (int i = 0; i < n; i++) {
    q->y[i] = q->gt[i] - q->g[i];
    q->p[i] = q->xt[i] - q->x[i];
    ys += q->y[i] * q->p[i];
  }
  for (int i = 0; i < n; i++) q->hy[i] = dot(q->h + (size_t)i * n, q->y, n);
  yhy = dot(q->y, q->hy, n);
  if (!(ys > 1e-4 * yhy)) return; /* the curvature condition does not hold: keep H */
  double c = (1 + yhy / ys) / ys;
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++)
      q->h[(size_t)i * n + j] +=
          c * q->p[i] * q->p[j] - (q->p[i] * q->hy[j] + q->hy[i] * q->p[j]) / ys;
}

/* Go along p until the objective falls (within its noise); *moved = false when it does not. */
static dp_status step(fit *q, bool *moved) {
  int n = q->n;
  double slope = dot(q->g, q->p, n), t = 1, f = 0;
  *moved = false;
  for (int k = 0; k < 25; k++, t *= 0.5) {
    bool ok = false;
    for (int i = 0; i < n; i++)
      q->xt[i] = fmin(fmax(q->x[i] + t * q->p[i], q->lower[i]), q->upper[i]);
    DP_TRY(dpi_population_eval(q->pop, q->xt, &f, q->gt, &ok));
    if (!ok || f > q->f + 1e-4 * t * slope + NOISE * (1 + fabs(q->f))) continue;
    bfgs_update(q);
    memcpy(q->x, q->xt, sizeof(double) * (size_t)n);
    memcpy(q->g, q->gt, sizeof(double) * (size_t)n);
    q->f = f;
    *moved = true;
    return DP_OK;
  }
  return DP_OK;
}

/* Minimise from q->x; the promised decrease must be small in the learned metric and in a fresh one. */
static dp_status minimise(fit *q, const dp_fit_def *def, int *iterations, bool *converged) {
  bool ok = false, fresh = true;
  char who[320];
  int since = 0; /* iterations without a fall beyond the tolerance */
  *converged = false;
  DP_TRY(dpi_population_eval(q->pop, q->x, &q->f, q->g, &ok));
  if (!ok)
    return dpi_fail(q->ctx, DP_ERR_CONVERGE,
                    "%sthe marginal likelihood can't be evaluated at the starting values; look at these rows, or "
                    "change the kind's nominal values",
                    dpi_population_failing(q->pop, who));
  metric_from_scores(q);
  double best = q->f;
  for (int small = 0; *iterations < def->max_iterations; (*iterations)++) {
    double promise = direction(q);
    if (promise < 0.2 * def->tolerance) {
      *converged = ++small >= 2;
      if (*converged) return DP_OK;
      metric_from_scores(q);
      fresh = true;
      promise = direction(q);
    } else {
      small = 0;
    }
    /* in the noise promises stay small without vanishing */
    since = q->f < best - def->tolerance ? 0 : since + 1;
    best = fmin(best, q->f);
    if (since > PATIENCE && promise < 20 * def->tolerance) {
      *converged = true;
      return DP_OK;
    }
    bool moved;
    DP_TRY(step(q, &moved));
    dpi_log(q->ctx, 3, "fit: iteration %d, -2 lnL %.6f, promised decrease %.2e", *iterations + 1,
            q->f, promise);
    if (!moved) {
      /* the gradient and metric of the present point again; without progress from a fresh metric this is the end */
      DP_TRY(dpi_population_eval(q->pop, q->x, &q->f, q->g, &ok));
      if (fresh || !ok) {
        *converged = ok && promise < 10 * def->tolerance;
        return DP_OK;
      }
      metric_from_scores(q);
      fresh = true;
      continue;
    }
    fresh = false;
  }
  return DP_OK;
}

dp_fit_def dp_fit_def_default(void) {
  dp_fit_def d = {.cookie = 0x66697431u,
                  .method = "laplace",
                  .tolerance = 1e-5,
                  .max_iterations = 200,
                  .start = NULL,
                  .nodes = 0,
                  .seed = 1};
  return d;
}

static dp_status fit_check(dp_ctx *ctx, const dp_fit_def *def) {
  if (def->cookie != dp_fit_def_default().cookie)
    return dpi_fail(ctx, DP_ERR_USAGE, "dp_fit_def: start from dp_fit_def_default()");
  if (!(def->tolerance > 0) || def->max_iterations < 1)
    return dpi_fail(ctx, DP_ERR_USAGE,
                    "dp_fit_def: tolerance %g and max_iterations %d, expected more than 0",
                    def->tolerance, def->max_iterations);
  if (def->nodes < 0 || def->nodes > 64)
    return dpi_fail(ctx, DP_ERR_USAGE, "dp_fit_def: nodes %d, expected 0 to 64", def->nodes);
  return DP_OK;
}

#define ROUGH_NODES 4
#define NODES_STAND 0.02 /* a fall of the objective over which nodes may stay where they are */

/* Minimise over few nodes, then over enough of them, laid anew until the optimum is where they are. */
static dp_status settle_nodes(fit *q, const dp_fit_def *def, int *iterations, bool *converged) {
  dp_fit_def rough = *def;
  bool far = true, ok = false;
  double f = 0;
  rough.tolerance = fmax(1e-3, def->tolerance);
  dpi_population_nodes(q->pop, def->nodes ? def->nodes : ROUGH_NODES);
  DP_TRY(minimise(q, &rough, iterations, converged));
  for (int round = 0; round < 6 && far; round++) {
    dpi_population_nodes(q->pop, def->nodes);
    DP_TRY(dpi_population_eval(q->pop, q->x, &f, NULL, &ok));
    DP_TRY(minimise(q, def, iterations, converged));
    far = !ok || f - q->f > NODES_STAND;
  }
  *converged = *converged && !far;
  return DP_OK;
}

/* Minimise, look for better modes, minimise again if there are any. */
static dp_status settle(fit *q, const dp_fit_def *def, int *iterations, bool *converged) {
  bool changed = true;
  if (q->method == DPI_QUADRATURE) return settle_nodes(q, def, iterations, converged);
  for (int round = 0; round < 3 && changed; round++) {
    DP_TRY(minimise(q, def, iterations, converged));
    DP_TRY(dpi_population_restart(q->pop, q->x, &changed));
  }
  *converged = *converged && !changed;
  return DP_OK;
}

/* A variance that ran into its floor may be a false end: on the log scale the objective is flat there. Try once more
 * with it at 0.1 and the rest where it is; the better of the two is kept. */
static dp_status retry_floors(fit *q, const dp_fit_def *def, int *iterations, bool *converged) {
  size_t size = sizeof(double) * (size_t)q->n;
  double *kept = DPI_NEW_ARRAY(q->ctx, double, q->n);
  if (!kept) return DP_ERR_MEMORY;
  memcpy(kept, q->x, size);
  double f = q->f;
  bool was = *converged;
  dp_status st = DP_OK;
  if (dpi_population_lift(q->pop, q->x)) {
    st = settle(q, def, iterations, converged);
    if (st == DP_ERR_CONVERGE) st = DP_OK, q->f = INFINITY;
    if (st == DP_OK && !(q->f < f - def->tolerance)) {
      memcpy(q->x, kept, size);
      *converged = was;
      bool ok = false;
      st = dpi_population_eval(q->pop, q->x, &q->f, q->g, &ok);
    }
  }
  dpi_free(q->ctx, kept);
  return st;
}

/* FOCE-I costs a fraction of the others and ends nearby: its rough optimum is their start. */
static dp_status approach(fit *q, const dp_fit_def *def, dpi_marginal_method method, int *iterations) {
  dp_fit_def rough = *def;
  bool ok = false, converged;
  double f;
  rough.tolerance = fmax(0.02, def->tolerance);
  dpi_population_method(q->pop, DPI_FOCEI);
  DP_TRY(dpi_population_eval(q->pop, q->x, &f, NULL, &ok));
  if (ok) DP_TRY(minimise(q, &rough, iterations, &converged));
  dpi_population_method(q->pop, method);
  DP_TRY(dpi_population_eval(q->pop, q->x, &f, NULL, &ok));
  if (!ok) dpi_population_start(q->pop, q->x);
  return DP_OK;
}

static dp_status fit_run(fit *q, const dp_fit_def *def, dpi_marginal_method method,
                         dp_prior *prior) {
  bool converged = false;
  int iterations = 0;
  if (method != DPI_FOCEI) DP_TRY(approach(q, def, method, &iterations));
  DP_TRY(settle(q, def, &iterations, &converged));
  DP_TRY(retry_floors(q, def, &iterations, &converged));
  dpi_population_write(q->pop, q->x, prior);
  prior->objective = q->f;
  prior->iterations = iterations;
  prior->converged = converged;
  DP_TRY(dpi_population_uncertainty(q->pop, q->x, prior->uncertainty));
  return dpi_population_undetermined(q->pop, q->x, prior->undetermined);
}

static const char *const words[] = {[DPI_LAPLACE] = "Laplace marginal likelihood",
                                    [DPI_FOCEI] = "FOCE with interaction",
                                    [DPI_QUADRATURE] = "likelihood by quadrature"};

/* "; the data say nothing of ka, CL": first of all, as there is not room for everything. */
static int describe_undetermined(const dp_kind *kind, dp_prior *p, int at) {
  const char *between = "; the data say nothing of ";
  for (int i = 0; i < kind->nparam && at >= 0 && at < (int)sizeof p->source; i++) {
    if (!p->undetermined[i]) continue;
    at += snprintf(p->source + at, sizeof p->source - (size_t)at, "%s%s", between, kind->param[i].id);
    between = ", ";
  }
  return at;
}

/* The words of prior->source, with what was held up by the variance floor or by a bound. */
static void describe(const dp_kind *kind, bool others, const char *how, dp_prior *p) {
  int at = snprintf(p->source, sizeof p->source, "%d %s of the record, %s", p->npeople,
                    others ? "other people" : "people", how);
  at = describe_undetermined(kind, p, at);
  for (int e = 0; e < kind->neffect; e++) {
    double v = p->omega[e * kind->neffect + e];
    if (!kind->omega_free[e * kind->neffect + e] || v > 1e-5 || at < 0 ||
        at >= (int)sizeof p->source)
      continue;
    at += snprintf(p->source + at, sizeof p->source - (size_t)at, "; no variance found in %s",
                   kind->effect[e].parameter);
  }
  for (int i = 0; i < kind->nparam; i++) {
    const dpi_kind_param *k = &kind->param[i];
    bool low = p->typical[i] <= k->lower * (1 + 1e-9),
         high = p->typical[i] >= k->upper * (1 - 1e-9);
    if (!k->estimate || !(low || high) || at < 0 || at >= (int)sizeof p->source) continue;
    at += snprintf(p->source + at, sizeof p->source - (size_t)at, "; %s at its %s bound", k->id,
                   low ? "lower" : "upper");
  }
}

/* Stochastic approximation: no integral is approximated; the uncertainty is that of FOCE-I at its end. */
static dp_status fit_saem(const dp_kind *kind, const dp_record *record, const int *exclude, int nexclude,
                          const dp_fit_def *def, const dp_prior *start, dp_prior *prior) {
  dpi_population *pop = NULL;
  dpi_saem_result r = {0};
  DP_TRY(dpi_population_create(kind, record, exclude, nexclude, start, DPI_FOCEI, &pop));
  double *theta = DPI_NEW_ARRAY(kind->ctx, double, dpi_population_ntheta(pop) + 1);
  dp_status st = theta ? dpi_saem(pop, def->seed, theta, &r) : DP_ERR_MEMORY;
  if (st == DP_OK) {
    dpi_population_write(pop, theta, prior);
    prior->objective = r.objective;
    prior->objective_error = r.error;
    prior->iterations = r.iterations;
    prior->converged = r.converged;
    st = dpi_population_uncertainty(pop, theta, prior->uncertainty);
    if (st == DP_OK) st = dpi_population_undetermined(pop, theta, prior->undetermined);
  }
  dpi_free(kind->ctx, theta);
  dpi_population_destroy(pop);
  DP_TRY(st);
  snprintf(prior->method, sizeof prior->method, "saem");
  describe(kind, nexclude > 0, "stochastic approximation EM", prior);
  return dpi_prior_hash(kind, record, exclude, nexclude, def, prior->hash);
}

static dp_status fit_with(const dp_kind *kind, const dp_record *record, const int *exclude,
                          int nexclude, const dp_fit_def *def, const dp_prior *start,
                          dp_prior *prior) {
  dpi_marginal_method method;
  if (def->method && !strcmp(def->method, "saem"))
    return fit_saem(kind, record, exclude, nexclude, def, start, prior);
  DP_TRY(dpi_marginal_method_find(kind->ctx, def->method, &method));
  if (method == DPI_QUADRATURE && def->nodes == 1) method = DPI_LAPLACE; /* the same, with a better gradient */
  dpi_population *pop = NULL;
  dpi_arena arena;
  fit q;
  memset(&q, 0, sizeof q);
  q.method = method;
  DP_TRY(dpi_population_create(kind, record, exclude, nexclude, start, method, &pop));
  dpi_population_nodes(pop, def->nodes);
  dpi_arena_init(&arena, kind->ctx);
  dp_status st = fit_init(&q, &arena, pop, kind->ctx);
  if (st == DP_OK) {
    dpi_population_start(pop, q.x);
    st = fit_run(&q, def, method, prior);
  }
  dpi_arena_release(&arena);
  dpi_population_destroy(pop);
  DP_TRY(st);
  snprintf(prior->method, sizeof prior->method, "%s", def->method ? def->method : "laplace");
  describe(kind, nexclude > 0, words[method], prior);
  return dpi_prior_hash(kind, record, exclude, nexclude, def, prior->hash);
}

dp_status dp_prior_fit(const dp_kind *kind, const dp_record *record, const int *exclude,
                       int nexclude, const dp_fit_def *def, dp_prior **out) {
  *out = NULL;
  DP_TRY(fit_check(kind->ctx, def));
  dp_prior *nominal = NULL, *prior = NULL;
  dp_status st = dp_prior_nominal(kind, &nominal);
  if (st == DP_OK) st = dpi_prior_create(kind, &prior);
  if (st == DP_OK)
    st = fit_with(kind, record, exclude, nexclude, def, def->start ? def->start : nominal, prior);
  dp_prior_destroy(nominal);
  if (st == DP_OK)
    *out = prior;
  else
    dp_prior_destroy(prior);
  return st;
}

/* Values outside their bounds have no objective. */
static dp_status check_inside(dp_ctx *ctx, const dpi_population *pop, const double *theta) {
  int n = dpi_population_ntheta(pop);
  double *lower = DPI_NEW_ARRAY(ctx, double, 2 * n + 1);
  if (!lower) return DP_ERR_MEMORY;
  char label[96];
  int out = -1;
  dpi_population_bounds(pop, lower, lower + n);
  for (int k = n - 1; k >= 0; k--)
    if (!(theta[k] >= lower[k] && theta[k] <= lower[n + k])) out = k;
  dpi_free(ctx, lower);
  if (out < 0) return DP_OK;
  return dpi_fail(ctx, DP_ERR_INPUT, "marginal likelihood: the value of %s lies outside its bounds",
                  dpi_population_label(pop, out, label));
}

dp_status dp_prior_objective(const dp_kind *kind, const dp_record *record, const int *exclude,
                             int nexclude, const dp_prior *prior, const char *method,
                             double *objective) {
  dpi_marginal_method m;
  DP_TRY(dpi_marginal_method_find(kind->ctx, method, &m));
  dpi_population *pop = NULL;
  DP_TRY(dpi_population_create(kind, record, exclude, nexclude, prior, m, &pop));
  double *theta = DPI_NEW_ARRAY(kind->ctx, double, dpi_population_ntheta(pop) + 1);
  dp_status st = theta ? DP_OK : DP_ERR_MEMORY;
  char who[320];
  bool ok = false;
  if (st == DP_OK) {
    dpi_population_start(pop, theta);
    st = check_inside(kind->ctx, pop, theta);
  }
  if (st == DP_OK) {
    st = dpi_population_eval(pop, theta, objective, NULL, &ok);
  }
  if (st == DP_OK && !ok)
    st = dpi_fail(kind->ctx, DP_ERR_CONVERGE, "%sthe marginal likelihood: the mode of this person was not found",
                  dpi_population_failing(pop, who));
  dpi_free(kind->ctx, theta);
  dpi_population_destroy(pop);
  return st;
}
