/* gradient.c - floor 6: smooth rewards climbed along the gradient of their mean over the ensemble.
 *
 * The mean over draws of utilities of integrals is a smooth function of the doses. Each integral is taken by
 * Gauss-Legendre quadrature
 * at output times between the doses' discontinuities; the gradient comes from dp_simulate_vjp (a discrete adjoint
 * through the
 * integrator), its cost a few simulations whatever the number of doses. Bounds are kept by a = lower + (upper - lower)
 * (1 + sin z)/2,
 * and z is found by BFGS from several starts.
 *
 * What has no gradient is refused by name: events, limits, quantiles, extrema, times in a range, tablets. */
#include <math.h>
#include <string.h>

#include "decide/decide.h"

enum { NODES = 5, PANELS = 6, STARTS = 3, MAX_ITERATIONS = 60 };

/* Gauss-Legendre on [-1, 1], five points (Abramowitz & Stegun 25.4.29). */
static const double node[NODES] = {-0.9061798459386640, -0.5384693101056831, 0, 0.5384693101056831, 0.9061798459386640};
static const double weight[NODES] = {0.2369268850561891, 0.4786286704993665, 0.5688888888888889, 0.4786286704993665,
                                     0.2369268850561891};

typedef struct climb {
  dpi_search *s;
  const dpi_kind_reward *r;
  int nterm, nout;
  dp_output_time *out; /* [nout] */
  double *share;       /* [nterm x nout] weight of an output time in the term's integral */
  double *work;        /* per member: formulas' workspace; [ndraw x nwork] */
  int nwork;
  double *earned; /* [ndraw] */
  double *u, *z;  /* [nvar] point, and where the search is */
  dp_plan *plan;
  int nrow; /* of every plan */
  dp_status status;
} climb;

static dp_status no_gradient(const dp_kind *kind, const char *what, const char *id) {
  return dpi_fail(kind->ctx, DP_ERR_UNSUPPORTED,
                  "%s: search gradient: %s '%s' has no gradient; use cma or cross-entropy", kind->dir, what, id);
}

static dp_status gradient_offered(const dp_kind *kind, const dpi_space *space) {
  const dpi_kind_reward *r = &kind->reward;
  for (int i = 0; i < space->nvar; i++)
    if (space->var[i].n > 1 || (space->var[i].n == 0 && space->var[i].step > 0))
      return no_gradient(kind, "the discrete choice of", kind->control[space->var[i].control].id);
  for (int i = 0; i < r->nplanned; i++) { /* it would end at another time in each draw, where no quadrature looks */
    const dpi_kind_control *c = &kind->control[r->planned[i]];
    if (c->timed) return no_gradient(kind, "the lag, rate or duration formula of control", c->id);
  }
  for (int t = 0; t < r->nterm; t++) {
    const dpi_kind_term *k = &r->term[t];
    if (k->goal == DPI_GOAL_LIMIT) return no_gradient(kind, "limit", k->id);
    if (k->of == DPI_OF_COUNT || (k->of == DPI_OF_PATH && (k->functional != DP_INTEGRAL || k->event)))
      return no_gradient(kind, "reward", k->id);
    if (k->risk != DPI_RISK_EXPECTATION) return no_gradient(kind, "the risk measure of reward", k->id);
  }
  if (dp_sim_describe(kind->ensemble)->caps & DP_CAP_VJP) return DP_OK;
  return dpi_fail(
      kind->ctx, DP_ERR_UNSUPPORTED,
      "%s: search gradient: the integrator gives no gradients; set method: ensemble in twin.yaml, or use cma",
      kind->dir);
}

/* ---------------------------------------------------------------- quadrature */

/* Ascending cuts within the window at which the path is not smooth: starts and ends of doses. */
static int find_cuts(const climb *k, double from, double to, double *cut) {
  int n = 0;
  cut[n++] = from;
  for (int i = 0; i < k->plan->nrow; i++) {
    const dp_plan_row *r = &k->plan->row[i];
    for (int j = 0; j <= r->repeats; j++) {
      double at[2] = {r->time + j * r->interval, r->time + j * r->interval + r->duration};
      for (int e = 0; e < 2; e++)
        if (at[e] > from && at[e] < to) cut[n++] = at[e];
    }
  }
  cut[n++] = to;
  dpi_sort(cut, n);
  return n;
}

static double now_of(const climb *k) { return dpi_plan_steady(k->plan) ? 0 : k->s->now; }

/* Add the nodes of one term's integral: time from now and weight. */
static int add_nodes(const climb *k, const dpi_kind_term *t, double *cut, double *when, double *w) {
  double whole = dpi_plan_window(k->s->kind, k->plan), from = t->windowed ? t->from : 0,
         to = t->windowed ? t->to : whole;
  int ncut = find_cuts(k, from, to, cut), n = 0;
  for (int c = 0; c + 1 < ncut; c++)
    for (int p = 0; p < PANELS && cut[c + 1] > cut[c]; p++) {
      double h = (cut[c + 1] - cut[c]) / PANELS, mid = cut[c] + (p + 0.5) * h;
      for (int i = 0; i < NODES; i++, n++) {
        when[n] = mid + 0.5 * h * node[i];
        w[n] = 0.5 * h * weight[i];
      }
    }
  return n;
}

/* Output times of all integrals, ascending, and every term's weights on them. */
static dp_status lay_out(climb *k) {
  dp_ctx *ctx = k->s->kind->ctx;
  int ncut = 2, n = 0;
  for (int i = 0; i < k->plan->nrow; i++) ncut += 2 * (k->plan->row[i].repeats + 1);
  size_t most = (size_t)ncut * PANELS * NODES * (size_t)k->nterm + 1;
  double *cut = DPI_NEW_ARRAY(ctx, double, ncut + 1), *when = DPI_NEW_ARRAY(ctx, double, most),
         *w = DPI_NEW_ARRAY(ctx, double, most);
  int *term = DPI_NEW_ARRAY(ctx, int, most), *order = DPI_NEW_ARRAY(ctx, int, most);
  k->out = DPI_NEW_ARRAY(ctx, dp_output_time, most);
  k->share = DPI_NEW_ARRAY(ctx, double, most *(size_t)k->nterm);
  dp_status status = cut && when && w && term && order && k->out && k->share ? DP_OK : DP_ERR_MEMORY;
  for (int t = 0; status == DP_OK && t < k->nterm; t++) {
    if (k->r->term[t].of != DPI_OF_PATH) continue;
    int more = add_nodes(k, &k->r->term[t], cut, when + n, w + n);
    for (int i = 0; i < more; i++) term[n++] = t;
  }
  if (status == DP_OK) {
    dpi_argsort(when, n, order);
    k->nout = n;
    for (int i = 0; i < n; i++) {
      k->out[i] = (dp_output_time){(dp_time)llround((now_of(k) + when[order[i]]) * (double)DP_TICKS), INT32_MAX};
      k->share[(size_t)term[order[i]] * (size_t)n + (size_t)i] = w[order[i]];
    }
  }
  dpi_free(ctx, cut);
  dpi_free(ctx, when);
  dpi_free(ctx, w);
  dpi_free(ctx, term);
  dpi_free(ctx, order);
  return status;
}

/* ---------------------------------------------------------------- value and gradient */

/* dp_weight_fn: what the draw earns by its integrals, and how that depends on the outputs. */
static dp_status weigh(void *user, int member, const double *value, double *w) {
  climb *k = user;
  const dp_kind *kind = k->s->kind;
  size_t noutput = (size_t)dp_sim_describe(kind->ensemble)->noutput, nout = (size_t)k->nout;
  double *work = k->work + (size_t)member * (size_t)k->nwork;
  k->earned[member] = 0;
  for (int t = 0; t < k->nterm; t++) {
    const dpi_kind_term *term = &k->r->term[t];
    if (term->of != DPI_OF_PATH) continue;
    size_t output = (size_t)kind->quantity[term->quantity].sim_output;
    const double *share = k->share + (size_t)t * nout;
    double x = 0, slope = 1;
    for (size_t i = 0; i < nout; i++) x += share[i] * value[i * noutput + output];
    if (term->utility) slope = dpi_kind_formula_slope(term->utility, x, work, &x);
    k->earned[member] += term->weight * x;
    for (size_t i = 0; i < nout; i++) w[i * noutput + output] += term->weight * slope * share[i];
  }
  return DP_OK;
}

static dp_status make_members(climb *k, dp_member *member, dp_instant *instant, int n) {
  dpi_rehearser *h = k->s->rehearser;
  const dp_sim_desc *d = dp_sim_describe(k->s->kind->ensemble);
  bool steady = dpi_plan_steady(k->plan);
  if (!steady) DP_TRY(dpi_rehearser_live(h));
  if (!steady && h->relive)
    return dpi_fail(
        k->s->kind->ctx, DP_ERR_UNSUPPORTED,
        "%s: search gradient: history has doses still under way, or the model has events or delays; use cma",
        k->s->kind->dir);
  for (int i = 0; i < h->ndraw; i++) {
    member[i] = (dp_member){.param = h->param + (size_t)i * (size_t)d->nparam,
                            .instant = instant,
                            .ninstant = n,
                            .out = k->out,
                            .nout = k->nout,
                            .stream = h->patient->stream};
    if (steady) continue;
    member[i].start = (dp_time)llround(k->s->now * (double)DP_TICKS);
    member[i].state0 = h->state + (size_t)i * (size_t)d->nstate;
  }
  return DP_OK;
}

/* Terms over the plan: linear in the amounts, so differences of whole plans are exact. */
static double plan_terms(climb *k, double *slope) {
  const dp_kind *kind = k->s->kind;
  double total = 0;
  for (int t = 0; t < k->nterm; t++) {
    const dpi_kind_term *term = &k->r->term[t];
    if (term->of == DPI_OF_PATH) continue;
    double here = dpi_plan_figure(kind, k->plan, term->of, term->of_control);
    total += term->weight * here;
    for (int i = 0; i < k->plan->nrow; i++) {
      double amount = k->plan->row[i].amount, other = amount > 0 ? 2 * amount : 1;
      k->plan->row[i].amount = other;
      double there = dpi_plan_figure(kind, k->plan, term->of, term->of_control);
      k->plan->row[i].amount = amount;
      slope[dpi_space_variable(k->s->space, i)] += term->weight * (there - here) / (other - amount);
    }
  }
  return total;
}

/* Mean reward at the amounts x, and its slopes by them. */
static dp_status climb_at(climb *k, const double *x, double *value, double *slope) {
  dp_ctx *ctx = k->s->kind->ctx;
  const dpi_space *space = k->s->space;
  int ndraw = k->s->rehearser->ndraw, n, *row = DPI_NEW_ARRAY(ctx, int, 2 * (size_t)k->nrow + 1);
  dp_member *member = DPI_NEW_ARRAY(ctx, dp_member, ndraw);
  dp_instant *instant = NULL;
  dp_gradient *g = NULL;
  dp_vjp_opts opts = dp_vjp_opts_default();
  memset(slope, 0, sizeof(double) * (size_t)space->nvar);
  dp_plan_destroy(k->plan);
  k->plan = NULL;
  dp_status status = row && member ? dpi_space_plan(space, x, &k->plan) : DP_ERR_MEMORY;
  if (status == DP_OK) status = dpi_plan_instants(k->s->kind, k->plan, now_of(k), &instant, &n, row);
  if (status == DP_OK) status = make_members(k, member, instant, n);
  if (status == DP_OK) status = dp_simulate_vjp(k->s->kind->ensemble, member, ndraw, &opts, weigh, k, &g);
  if (status == DP_OK) {
    *value = plan_terms(k, slope);
    int good = ndraw - g->nfailed;
    for (int m = 0; m < ndraw; m++) {
      if (g->status[m] != DP_MEMBER_OK) continue; /* earns nothing */
      *value += k->earned[m] / ndraw;
      for (int i = 0; i < n; i++) {
        if (row[i] < 0) continue;
        const dp_plan_row *r = &k->plan->row[row[i]];
        double by_amount = g->amount[g->instant_at[m] + (size_t)i];
        if (r->duration > 0) by_amount += g->rate[g->instant_at[m] + (size_t)i] / r->duration;
        slope[dpi_space_variable(space, row[i])] += by_amount / ndraw;
      }
    }
    if (good == 0) *value = NAN;
  }
  dp_gradient_destroy(g);
  dpi_free(ctx, instant);
  dpi_free(ctx, member);
  dpi_free(ctx, row);
  return status;
}

/* dpi_bfgs_fn over z: minus the mean reward. */
static bool descend(void *user, const double *z, double *f, double *g) {
  climb *k = user;
  const dpi_space *space = k->s->space;
  if (k->status != DP_OK || k->s->nseen >= k->s->budget) return false;
  double *slope = g, reward, miss;
  for (int i = 0; i < space->nvar; i++) k->u[i] = 0.5 * (1 + dpi_m_sin(z[i]));
  double *x = k->u + space->nvar;
  dpi_space_decode(space, k->u, x);
  k->status = dpi_search_score(k->s, k->u, 1, &reward, &miss);
  if (k->status == DP_OK) k->status = climb_at(k, x, f, slope);
  if (k->status != DP_OK || isnan(*f)) return false;
  *f = -*f;
  for (int i = 0; i < space->nvar; i++) {
    const dpi_variable *v = &space->var[i];
    g[i] = v->n ? 0 : -slope[i] * (v->upper - v->lower) * 0.5 * dpi_m_cos(z[i]);
  }
  return true;
}

/* ---------------------------------------------------------------- the search */

static dp_status climb_open(climb *k, dpi_search *s) {
  dp_ctx *ctx = s->kind->ctx;
  size_t nvar = (size_t)s->space->nvar, ndraw = (size_t)s->rehearser->ndraw;
  *k = (climb){.s = s, .r = &s->kind->reward, .nterm = s->kind->reward.nterm};
  for (int t = 0; t < k->nterm; t++) {
    int n = k->r->term[t].utility ? dpi_kind_formula_work(k->r->term[t].utility) : 0;
    if (n > k->nwork) k->nwork = n;
  }
  k->u = DPI_NEW_ARRAY(ctx, double, 2 * nvar + 1);
  k->z = DPI_NEW_ARRAY(ctx, double, nvar + nvar * nvar + 1);
  k->work = DPI_NEW_ARRAY(ctx, double, ndraw *(size_t)k->nwork + 1);
  k->earned = DPI_NEW_ARRAY(ctx, double, ndraw + 1);
  if (!k->u || !k->z || !k->work || !k->earned) return DP_ERR_MEMORY;
  for (size_t i = 0; i < nvar; i++) k->u[i] = 0.5;
  dpi_space_decode(s->space, k->u, k->u + nvar);
  DP_TRY(dpi_space_plan(s->space, k->u + nvar, &k->plan));
  k->nrow = k->plan->nrow;
  return lay_out(k); /* times do not depend on the amounts */
}

static void climb_close(climb *k) {
  dp_ctx *ctx = k->s->kind->ctx;
  dp_plan_destroy(k->plan);
  dpi_free(ctx, k->out);
  dpi_free(ctx, k->share);
  dpi_free(ctx, k->work);
  dpi_free(ctx, k->earned);
  dpi_free(ctx, k->u);
  dpi_free(ctx, k->z);
}

static dp_status gradient_run(dpi_search *s) {
  climb k;
  int nvar = s->space->nvar;
  dpi_rng rng = dpi_rng_make(s->seed, 0, DPI_PURPOSE_GRADIENT);
  dp_status status = climb_open(&k, s);
  for (int start = 0; status == DP_OK && start < STARTS && s->nseen < s->budget; start++) {
    double *z = k.z, *h = k.z + nvar, f;
    memset(h, 0, sizeof(double) * (size_t)nvar * (size_t)nvar);
    for (int i = 0; i < nvar; i++) {
      z[i] = start == 0 ? 0 : dpi_rng_uniform(&rng) * 2 - 1;
      h[i * nvar + i] = 1;
    }
    bool converged;
    if (dpi_bfgs(s->kind->ctx, descend, &k, nvar, z, &f, h, 1e-9, MAX_ITERATIONS, &converged) < 0)
      k.status = DP_ERR_MEMORY;
    status = k.status;
  }
  climb_close(&k);
  return status;
}

const dpi_search_ops dp_search_gradient = {
    .name = "gradient",
    .help = "BFGS on the mean reward's gradient: continuous doses, integrals with smooth utilities, no limits",
    .offered = gradient_offered,
    .run = gradient_run,
};
