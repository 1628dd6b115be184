/* assimilate.c - one patient's observations and a population's law become a belief.  O -> D
 *
 *     dpi_person_create   data and predictor, nothing after `until`
 *     prior_set           covariance = omega + uncertainty of the typical values; unseen occasions apart
 *     propose             modes from several starts -> mixture of t distributions, plus the prior itself as a defence
 *     dpi_importance_run  weighted draws on a net, adapted when k-hat or the effective sample size is bad
 *     settle              where that is not enough: draws are moved (sample/smc.c), described by a mixture
 *                         (sample/mixture.c) and drawn anew from it, until two sets in a row agree. Layers as in
 *                         L. Martino et al., Stat. Comput. 27 (2017) 599: moves find where the mass is, weights of
 *                         independent draws say what it is. All sets together become the belief (pool.h)
 *     keep                even resampling to equal weights, posterior-predictive check, verdict, hash
 *
 * Occasions after the last observation carry no information: their effects are drawn from the prior, from streams of
 * their own, so that the rest of the belief doesn't depend on how many of them the record announces.
 */
#include "infer/infer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "infer/density.h"
#include "infer/pool.h"
#include "infer/sample/mixture.h"
#include "infer/sample/smc.h"

#define MAX_MODE 4
#define T_DOF 5.0
#define SETTLED_DOF 10.0 /* of mixtures fitted to settled draws: they know the tails better than a curvature does */
enum {
  FIRST = 3,      /* rounds of proposals, at most, from the mixture around the modes where draws are to be surer */
  ROUNDS = 5,     /* and else, and from each mixture of settled draws */
  TURNS = 12,     /* mixtures made from settled draws, at most */
  SETTLED = 1000, /* draws that are settled, each by so many moves: */
  SWEEPS_LEAST = 10,
  SWEEPS = 20 /* at most */
};
#define SET_WORTH 400 /* effective draws that a set must have by itself, where as many are wanted */
#define WIDER 1.1     /* than settled draws are the pieces of their mixture: too narrow costs more than too wide */
_Static_assert(ROUNDS * (TURNS + 1) <= DPI_POOL_ROUNDS, "the rounds of all sets");
#define KHAT_MOST 0.7 /* above it weights are not to be trusted */
#define AGREE 2.8     /* standard errors; of some thirty comparisons */
#define ENOUGH 0.2    /* of a deviation: nobody asks for more */
#define DEFENCE 0.1 /* share of proposals from the prior */

typedef struct work {
  dp_ctx *ctx;
  dpi_arena arena;
  const dp_kind *kind;
  const dp_prior *prior;
  const dp_assimilate_def *def;
  dpi_person *p;
  dpi_indiv *iv;
  dp_belief *b;
  double *omega; /* [neta x neta] all directions */
  double *chol;  /* its factor over directions with variance: for draws of the prior */
  uint8_t *seen; /* [neta] takes part in the inference */
  /* of all proposals so far */
  int nproposal, room;
  double *individual, *chi2;
  bool agreed; /* two sets of draws in a row say the same */
} work;

/* ---- the prior of this person ---- */

/* What goes together with a direction that takes part takes part too: drawn apart, the two would lose their
 * covariance. */
static void join_correlated(work *w) {
  int n = w->p->c->neta;
  for (bool changed = true; changed;) {
    changed = false;
    for (int i = 0; i < n; i++)
      for (int j = 0; j < n; j++)
        if (w->seen[i] && !w->seen[j] && w->omega[i * n + j] != 0) {
          w->seen[j] = 1;
          changed = true;
        }
  }
}

/* Does an occasion's direction act on any observation used? Tried at 0 and at three draws of the prior. */
static dp_status find_seen(work *w) {
  const dpi_case *c = w->p->c;
  dpi_pred *pred = &w->iv->pred;
  for (int j = 0; j < c->neta; j++) w->seen[j] = !w->kind->effect[c->eta_effect[j]].occasion;
  dpi_rng rng = dpi_rng_make(w->def->seed, c->stream, DPI_RNG_START + 1);
  for (int k = 0; k < 4 && w->p->nobs > 0; k++) {
    bool ok = false;
    for (int j = 0; j < c->neta; j++)
      w->iv->eta[j] = k ? dpi_rng_normal(&rng) * sqrt(w->omega[j * c->neta + j]) : 0;
    DP_TRY(w->iv->def.predict(w->iv->def.user, w->iv->eta, true, pred, &ok));
    for (int i = 0; ok && i < w->p->nobs; i++)
      for (int j = 0; j < c->neta; j++)
        if (pred->df[i * c->neta + j] != 0 || pred->ds[i * c->neta + j] != 0) w->seen[j] = 1;
  }
  join_correlated(w);
  return DP_OK;
}

static dp_status prior_set(work *w) {
  int ne = w->kind->neffect, n = w->p->c->neta;
  if (w->prior->neffect != ne || w->prior->nparam != w->kind->nparam)
    return dpi_fail(w->ctx, DP_ERR_USAGE,
                    "prior of %d parameters and %d effects: kind %s has %d and %d",
                    w->prior->nparam, w->prior->neffect, w->kind->id, w->kind->nparam, ne);
  double *cov = DPI_ARENA_ARRAY(&w->arena, double, (size_t)ne *(size_t)ne + 1);
  double *part = DPI_ARENA_ARRAY(&w->arena, double, (size_t)n *(size_t)n + 1);
  w->omega = DPI_ARENA_ARRAY(&w->arena, double, (size_t)n *(size_t)n + 1);
  w->chol = DPI_ARENA_ARRAY(&w->arena, double, (size_t)n *(size_t)n + 1);
  w->seen = DPI_ARENA_ARRAY(&w->arena, uint8_t, (size_t)n + 1);
  if (!cov || !part || !w->omega || !w->chol || !w->seen) return DP_ERR_MEMORY;
  for (int i = 0; i < ne * ne; i++) cov[i] = w->prior->omega[i] + w->prior->uncertainty[i];
  dpi_person_omega(w->p, cov, w->omega);
  w->p->typical = w->prior->typical;
  DP_TRY(find_seen(w));
  /* the factor over everything, zero rows where there is no variance */
  memcpy(w->chol, w->omega, sizeof(double) * (size_t)n * (size_t)n);
  for (int j = 0; j < n; j++)
    if (w->omega[j * n + j] == 0) w->chol[j * n + j] = 1;
  if (!dpi_chol(w->chol, n))
    return dpi_fail(w->ctx, DP_ERR_INPUT,
                    "prior: the covariance of the random effects is not positive definite");
  for (int j = 0; j < n; j++)
    if (w->omega[j * n + j] == 0) w->chol[j * n + j] = 0;
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++)
      part[i * n + j] = w->seen[i] && w->seen[j] ? w->omega[i * n + j] : 0;
  return dpi_indiv_prior(w->iv, part);
}

/* Draw number k of the prior: all directions [neta]. */
static void prior_draw(const work *w, uint32_t purpose, int k, double *eta) {
  int n = w->p->c->neta;
  double z[512];
  dpi_rng rng = dpi_rng_make(w->def->seed, w->p->c->stream, purpose);
  rng.counter = (uint64_t)k << 16;
  for (int j = 0; j < n; j++) z[j] = dpi_rng_normal(&rng);
  for (int i = 0; i < n; i++) {
    eta[i] = 0;
    for (int j = 0; j <= i; j++) eta[i] += w->chol[i * n + j] * z[j];
  }
}

/* ---- target of the importance sampler ---- */

enum { CHUNK_LEAST = 64, CHUNK_BYTES = 1 << 20 }; /* draws of a chunk; their predictions stay in cache */

typedef struct chunks { /* points, a chunk of which one thread works on */
  work *w;
  const double *x;
  int n, each;
  double *logp, *individual, *chi2;
} chunks;

/* Points `at` .. of a chunk, with memory for them. */
static dp_status chunk_evaluate(const chunks *e, int at, int n, dpi_arena *arena) {
  const work *w = e->w;
  dpi_indiv *iv = w->iv;
  const size_t neta = (size_t)w->p->c->neta, nobs = (size_t)w->p->nobs, ne = (size_t)w->kind->neffect, m = (size_t)n;
  const double *x = e->x + (size_t)at * (size_t)iv->dim;
  double *eta = DPI_ARENA_ARRAY(arena, double, m *neta + 1);
  double *f = DPI_ARENA_ARRAY(arena, double, 2 * m * nobs + 1), *s = f + m * nobs;
  double *individual = e->individual ? e->individual + (size_t)at * ne : DPI_ARENA_ARRAY(arena, double, m * ne + 1);
  uint8_t *ok = DPI_ARENA_ARRAY(arena, uint8_t, m + 1);
  if (!eta || !f || !individual || !ok) return DP_ERR_MEMORY;
  const dpi_person_batch out = {f, s, individual, ok};
  for (size_t k = 0; k < m; k++) dpi_indiv_eta(iv, x + k * (size_t)iv->dim, eta + k * neta);
  DP_TRY(dpi_person_simulate(w->p, eta, n, &out));
  const double constant = dpi_indiv_constant(iv, false) + w->p->jacobian;
  for (size_t k = 0; k < m; k++) {
    const dpi_pred pred = {f + k * nobs, s + k * nobs, NULL, NULL};
    const double *xk = x + k * (size_t)iv->dim;
    double l = 0;
    const bool fine = ok[k] && dpi_indiv_value(iv, xk, &pred, &l);
    e->logp[(size_t)at + k] = fine ? -0.5 * (l + constant) : -INFINITY;
    if (e->chi2) e->chi2[(size_t)at + k] = fine ? dpi_indiv_chi2(iv, xk, &pred) : NAN;
  }
  return DP_OK;
}

/* dpi_work_fn */
static dp_status chunk(void *user, int i, int worker) {
  const chunks *e = user;
  const int at = i * e->each, left = e->n - at;
  dpi_arena arena;
  (void)worker;
  dpi_arena_init(&arena, e->w->ctx);
  const dp_status status = chunk_evaluate(e, at, left < e->each ? left : e->each, &arena);
  dpi_arena_release(&arena);
  return status;
}

/* ln p(y, x) of n points; individual parameters and chi-squared, each unless NULL. What a point gives does not depend
 * on the others, so chunks may be of any size: each thread has work, and all of it is one where evaluation needs the
 * person's own room. */
static dp_status evaluate(work *w, const double *x, int n, double *logp, double *individual, double *chi2) {
  const int nthread = dp_ctx_nthread(w->ctx);
  int each = (int)(CHUNK_BYTES / (2 * sizeof(double)) / (size_t)w->p->nobs);
  if (nthread > 1 && each > n / (4 * nthread)) each = n / (4 * nthread);
  each = each < CHUNK_LEAST ? CHUNK_LEAST : each / CHUNK_LEAST * CHUNK_LEAST;
  if (w->iv->def.discrepancy || each > n) each = n;
  chunks e = {w, x, n, each, logp, individual, chi2};
  return n > 0 ? dpi_parallel_for(w->ctx, (n + each - 1) / each, chunk, &e) : DP_OK;
}

/* dpi_importance_def.target: all of it is kept. */
static dp_status target(void *user, const double *x, int n, double *logp) {
  work *w = user;
  const size_t ne = (size_t)w->kind->neffect, have = (size_t)w->nproposal;
  if (w->nproposal + n > w->room) {
    const int room = 2 * (w->nproposal + n);
    double *individual = DPI_ARENA_ARRAY(&w->arena, double, (size_t)room *ne + 1);
    double *chi2 = DPI_ARENA_ARRAY(&w->arena, double, (size_t)room);
    if (!individual || !chi2) return DP_ERR_MEMORY;
    if (have > 0) memcpy(individual, w->individual, have * ne * sizeof *individual);
    if (have > 0) memcpy(chi2, w->chi2, have * sizeof *chi2);
    w->individual = individual;
    w->chi2 = chi2;
    w->room = room;
  }
  w->nproposal += n;
  return evaluate(w, x, n, logp, w->individual + have * ne, w->chi2 + have);
}

/* ---- the same as a density, for moves ---- */

typedef struct person_density {
  dpi_density base;
  work *w;
  double *logp;
} person_density;

static dp_status density_eval(dpi_density *d, int n, const double *x, unsigned what, dpi_density_value *value) {
  person_density *p = (person_density *)d;
  (void)what; /* moves ask for values alone */
  DP_TRY(evaluate(p->w, x, n, p->logp, NULL, NULL));
  for (int k = 0; k < n; k++) {
    value[k].ok = p->logp[k] > -INFINITY;
    value[k].loglik = p->logp[k];
  }
  return DP_OK;
}

/* ---- proposals ---- */

/* Covariance of l/2's Hessian at a mode (its Fisher matrix where the Hessian is not definite), factor and ln|.|. */
static dp_status mode_curvature(work *w, const double *x, double *cov, double *chol,
                                double *logdet) {
  dpi_indiv *iv = w->iv;
  int n = iv->dim;
  size_t n2 = (size_t)n * (size_t)n;
  double g[65];
  bool ok = false;
  double *h = DPI_ARENA_ARRAY(&w->arena, double, n2 + 1);
  if (!h) return DP_ERR_MEMORY;
  DP_TRY(dpi_mode_hessian(iv, x, DPI_HESS_STEP, h, NULL, &ok));
  if (ok) ok = dpi_chol(h, n);
  if (!ok) {
    dpi_point pt = {0, g, h};
    DP_TRY(dpi_indiv_eval(iv, x, true, &pt, &ok));
    for (int a = 0; a < n; a++) h[a * n + a] += 1e-9 * h[a * n + a] + 1e-12;
    if (ok) ok = dpi_chol(h, n);
  }
  if (!ok) { /* no curvature at all: the prior's */
    memset(h, 0, sizeof(double) * n2);
    for (int a = 0; a < n; a++) h[a * n + a] = 1;
  }
  *logdet = -dpi_chol_logdet(h, n);
  dpi_chol_inverse(h, n, cov);
  memcpy(chol, cov, sizeof(double) * n2);
  if (!dpi_chol(chol, n))
    return dpi_fail(w->ctx, DP_ERR_NUMERIC, "posterior of %s: curvature at the mode", w->p->c->id);
  for (int a = 0; a < n; a++)
    for (int b = a + 1; b < n; b++) chol[a * n + b] = 0;
  return DP_OK;
}

/* The prior as a component. */
static dp_status defence(work *w, dpi_component *c) {
  const dpi_indiv *iv = w->iv;
  int n = iv->dim, m = iv->nfree;
  c->weight = DEFENCE;
  c->mean = DPI_ARENA_ARRAY(&w->arena, double, (size_t)n + 1);
  c->chol = DPI_ARENA_ARRAY(&w->arena, double, (size_t)n *(size_t)n + 1);
  if (!c->mean || !c->chol) return DP_ERR_MEMORY;
  for (int a = 0; a < m; a++)
    for (int b = 0; b <= a; b++) c->chol[a * n + b] = iv->chol[a * m + b];
  if (n > m) {
    c->mean[m] = dpi_m_log(0.5 * iv->def.discrepancy_sd);
    c->chol[m * n + m] = 1;
  }
  return DP_OK;
}

/* Mode and Laplace covariance into the belief. */
static void belief_mode(work *w, const double *x, double l, const double *cov) {
  const dpi_indiv *iv = w->iv;
  int n = iv->dim, neta = w->p->c->neta;
  dp_belief *b = w->b;
  dpi_indiv_eta(iv, x, b->mode);
  b->nll = 0.5 * (l + dpi_indiv_constant(iv, false) + w->p->jacobian);
  for (int i = 0; i < neta; i++)
    for (int j = 0; j < neta; j++)
      b->covariance[i * neta + j] = w->seen[i] || w->seen[j] ? 0 : w->omega[i * neta + j];
  for (int a = 0; a < iv->nfree; a++)
    for (int c = 0; c < iv->nfree; c++)
      b->covariance[iv->free[a] * neta + iv->free[c]] = cov[a * n + c];
}

/* Components from the modes; the best one goes into the belief. */
static dp_status propose(work *w, dpi_component *comp, int *ncomp) {
  dpi_indiv *iv = w->iv;
  size_t n = (size_t)iv->dim;
  dpi_mode_def def = dpi_mode_def_default();
  dpi_mode mode[MAX_MODE];
  int nmode = 0;
  double *x = DPI_ARENA_ARRAY(&w->arena, double, MAX_MODE *n + 1);
  double *cov = DPI_ARENA_ARRAY(&w->arena, double, n *n + 1);
  if (!x || !cov) return DP_ERR_MEMORY;
  dpi_rng rng = dpi_rng_make(w->def->seed, w->p->c->stream, DPI_RNG_START);
  DP_TRY(dpi_mode_multi(iv, &def, NULL, w->def->nstart, rng, MAX_MODE, x, mode, &nmode));
  double best_volume = 0;
  *ncomp = 0;
  for (int k = 0; k < nmode; k++) {
    dpi_component *c = &comp[*ncomp];
    double logdet = 0;
    if (k > 0 && mode[k].l - mode[0].l > 40) continue; /* e^-20 of the best */
    c->mean = x + (size_t)k * n;
    c->chol = DPI_ARENA_ARRAY(&w->arena, double, n *n + 1);
    if (!c->chol) return DP_ERR_MEMORY;
    DP_TRY(mode_curvature(w, c->mean, cov, c->chol, &logdet));
    if (k == 0) {
      best_volume = logdet;
      belief_mode(w, x, mode[0].l, cov);
    }
    c->weight = fmin(
        10, fmax(0.1, dpi_m_exp(-0.5 * (mode[k].l - mode[0].l) + 0.5 * (logdet - best_volume))));
    (*ncomp)++;
  }
  double sum = 0;
  for (int k = 0; k < *ncomp; k++) sum += comp[k].weight;
  for (int k = 0; k < *ncomp; k++) comp[k].weight *= (1 - DEFENCE) / sum;
  return defence(w, &comp[(*ncomp)++]);
}

/* ---- what is kept ---- */

static dp_status belief_create(work *w) {
  dp_belief *b = DPI_NEW(w->ctx, dp_belief);
  if (!b) return DP_ERR_MEMORY;
  w->b = b;
  b->ctx = w->ctx;
  b->ndraw = w->def->ndraw;
  b->neta = w->p->c->neta;
  b->nindividual = w->kind->neffect;
  b->nobs = w->p->nobs;
  b->evidence = b->khat = b->ppc_p = b->nll = NAN;
  size_t nd = (size_t)b->ndraw, n = (size_t)b->neta;
  b->eta = DPI_NEW_ARRAY(w->ctx, double, nd *n + 1);
  b->individual = DPI_NEW_ARRAY(w->ctx, double, nd *(size_t)b->nindividual + 1);
  b->weight = DPI_NEW_ARRAY(w->ctx, double, nd);
  b->mode = DPI_NEW_ARRAY(w->ctx, double, n + 1);
  b->covariance = DPI_NEW_ARRAY(w->ctx, double, n *n + 1);
  if (w->iv->def.discrepancy) b->discrepancy = DPI_NEW_ARRAY(w->ctx, double, nd);
  bool ok = b->eta && b->individual && b->weight && b->mode && b->covariance &&
            (b->discrepancy || !w->iv->def.discrepancy);
  for (int k = 0; ok && k < b->ndraw; k++) b->weight[k] = 1.0 / b->ndraw;
  return ok ? DP_OK : DP_ERR_MEMORY;
}

/* Posterior-predictive check with a discrepancy measure (Gelman, Meng & Stern 1996, Statistica Sinica 6:733): given a
 * draw, replicated standardised residuals sum to chi-squared, so P(rep >= obs) needs no simulation. */
static double predictive_p(const work *w, const int *index) {
  int n = dpi_indiv_nmeasured(w->iv);
  if (n == 0) return NAN;
  double s = 0;
  for (int k = 0; k < w->b->ndraw; k++) s += 1 - dpi_gamma_p(0.5 * n, 0.5 * w->chi2[index[k]]);
  return s / w->b->ndraw;
}

/* Individual parameters of the draws kept; *nbad (unless NULL) counts draws at which the model can't be evaluated. */
static dp_status individual_fill(work *w, int *nbad) {
  dp_belief *b = w->b;
  size_t n = (size_t)b->ndraw, nobs = (size_t)w->p->nobs;
  double *f = DPI_ARENA_ARRAY(&w->arena, double, n *nobs + 1),
         *s = DPI_ARENA_ARRAY(&w->arena, double, n *nobs + 1);
  uint8_t *ok = DPI_ARENA_ARRAY(&w->arena, uint8_t, n);
  if (!f || !s || !ok) return DP_ERR_MEMORY;
  dpi_person_batch out = {f, s, b->individual, ok};
  DP_TRY(dpi_person_simulate(w->p, b->eta, b->ndraw, &out));
  for (int k = 0; nbad && k < b->ndraw; k++) *nbad += !ok[k];
  return DP_OK;
}

/* Draws of equal weight from the weighted ones. */
static dp_status keep(work *w, const dpi_importance *im) {
  dp_belief *b = w->b;
  const dpi_indiv *iv = w->iv;
  size_t ne = (size_t)b->nindividual;
  int *index = DPI_ARENA_ARRAY(&w->arena, int, (size_t)b->ndraw);
  double *all = DPI_ARENA_ARRAY(&w->arena, double, (size_t)b->neta + 1);
  if (!index || !all) return DP_ERR_MEMORY;
  dpi_rng rng = dpi_rng_make(w->def->seed, w->p->c->stream, DPI_RNG_RESAMPLE);
  DP_TRY(dpi_resample_even(&w->arena, im->x, iv->dim, im->weight, im->n, &rng, b->ndraw, index));
  for (int k = 0; k < b->ndraw; k++) {
    const double *x = im->x + (size_t)index[k] * iv->dim;
    double *eta = b->eta + (size_t)k * b->neta;
    dpi_indiv_eta(iv, x, eta);
    prior_draw(w, DPI_RNG_PRIOR, k, all);
    for (int j = 0; j < b->neta; j++)
      if (!w->seen[j]) eta[j] = all[j];
    memcpy(b->individual + (size_t)k * ne, w->individual + (size_t)index[k] * ne,
           ne * sizeof(double));
    if (b->discrepancy) b->discrepancy[k] = dpi_m_exp(x[iv->nfree]);
  }
  b->ppc_p = predictive_p(w, index);
  /* an occasion that began at the last observation acts on the parameters there, not yet on any observation */
  for (int j = 0; j < b->neta; j++)
    if (!w->seen[j]) return individual_fill(w, NULL);
  return DP_OK;
}

static void judge(work *w, const dpi_importance *im, int nmode, int turn) {
  dp_belief *b = w->b;
  b->ess = im->ess;
  b->khat = im->khat;
  b->evidence = im->evidence;
  b->usable = im->good && (turn == 0 || w->agreed);
  snprintf(b->method, sizeof b->method, "%s",
           turn > 0 ? "settled mixture" : im->nround > 1 ? "adaptive mixture" : "laplace+importance");
  if (!im->good)
    snprintf(b->verdict, sizeof b->verdict,
             "not usable: after %d rounds the importance weights are too uneven (k-hat %.2f, "
             "effective sample %.0f of %d)",
             im->nround, im->khat, im->ess, im->n);
  else if (!b->usable)
    snprintf(b->verdict, sizeof b->verdict,
             "not usable: of %d sets of draws, each from a mixture made of all before, no two in a row agree "
             "(k-hat %.2f, effective sample %.0f of %d)",
             turn + 1, im->khat, im->ess, im->n);
  else if (b->ppc_p < 0.001)
    snprintf(b->verdict, sizeof b->verdict,
             "usable, but the model hardly explains these data (posterior-predictive p %.1e); k-hat %.2f",
             b->ppc_p, im->khat);
  else
    snprintf(b->verdict, sizeof b->verdict,
             "usable: k-hat %.2f, effective sample %.0f of %d, %d mode%s", im->khat, im->ess, im->n,
             nmode, nmode == 1 ? "" : "s");
}

/* Without data the belief is the prior. */
static dp_status from_prior(work *w) {
  dp_belief *b = w->b;
  int nbad = 0;
  for (int k = 0; k < b->ndraw; k++) prior_draw(w, DPI_RNG_PRIOR, k, b->eta + (size_t)k * b->neta);
  dpi_rng rng = dpi_rng_make(w->def->seed, w->p->c->stream, DPI_RNG_DISCREPANCY);
  for (int k = 0; b->discrepancy && k < b->ndraw; k++)
    b->discrepancy[k] = fabs(dpi_rng_normal(&rng)) * w->iv->def.discrepancy_sd;
  DP_TRY(individual_fill(w, &nbad));
  memcpy(b->covariance, w->omega, sizeof(double) * (size_t)b->neta * (size_t)b->neta);
  b->nll = 0.5 * dpi_indiv_constant(w->iv, false);
  b->evidence = 0;
  b->ess = b->ndraw;
  b->khat = -INFINITY;
  b->usable = nbad == 0;
  snprintf(b->method, sizeof b->method, "prior");
  if (nbad)
    snprintf(b->verdict, sizeof b->verdict,
             "not usable: the model fails at %d of %d draws of the prior", nbad, b->ndraw);
  else
    snprintf(b->verdict, sizeof b->verdict, "usable: no observations yet, this is the prior");
  return DP_OK;
}

/* Data of a person without a random effect to learn: the prior, and what it says of the data. */
static dp_status from_fixed(work *w) {
  dp_belief *b = w->b;
  dpi_point pt = {0, NULL, NULL};
  double x = 0;
  bool ok = false;
  DP_TRY(from_prior(w));
  DP_TRY(dpi_indiv_eval(w->iv, &x, false, &pt, &ok));
  int n = dpi_indiv_nmeasured(w->iv);
  b->evidence = ok ? -0.5 * (pt.l + dpi_indiv_constant(w->iv, false) + w->p->jacobian) : -INFINITY;
  b->nll = -b->evidence;
  if (ok && n > 0)
    b->ppc_p = 1 - dpi_gamma_p(0.5 * n, 0.5 * dpi_indiv_chi2(w->iv, &x, &w->iv->pred));
  b->usable = b->usable && ok;
  snprintf(b->verdict, sizeof b->verdict, "%s",
           ok ? "usable: no random effect acts on these observations, this is the prior"
              : "not usable: these observations are impossible under the model");
  return DP_OK;
}

/* ---- where one mixture around the modes is not enough ---- */

/* Draws of even weight from the weighted ones, settled by moves, described by a mixture: the next proposals. */
static dp_status describe(work *w, const dpi_importance *im, int turn, dpi_component *comp, int *ncomp) {
  static const dpi_density_ops ops = {.eval = density_eval};
  const int dim = w->iv->dim;
  const size_t n = (size_t)dim;
  person_density d = {.base = {.ops = &ops, .ctx = w->ctx, .n = dim}, .w = w};
  double *x = DPI_ARENA_ARRAY(&w->arena, double, SETTLED *n), *bound = DPI_ARENA_ARRAY(&w->arena, double, 2 * n + 1);
  int *index = DPI_ARENA_ARRAY(&w->arena, int, SETTLED);
  d.logp = DPI_ARENA_ARRAY(&w->arena, double, SETTLED);
  if (!x || !bound || !index || !d.logp) return DP_ERR_MEMORY;
  for (size_t a = 0; a < n; a++) {
    bound[a] = -INFINITY;
    bound[n + a] = INFINITY;
  }
  d.base.lower = bound;
  d.base.upper = bound + n;
  dpi_rng rng = dpi_rng_make(w->def->seed, w->p->c->stream, DPI_RNG_RESAMPLE + 0x10u + (uint32_t)turn);
  DP_TRY(dpi_resample_even(&w->arena, im->x, dim, im->weight, im->n, &rng, SETTLED, index));
  for (size_t k = 0; k < SETTLED; k++) memcpy(x + k * n, im->x + (size_t)index[k] * n, n * sizeof *x);
  dpi_smc_def def = dpi_smc_def_default();
  def.seed = dpi_rng_at(w->def->seed, w->p->c->stream, DPI_RNG_SETTLE, 0);
  def.nparticle = SETTLED;
  def.first_repeat = turn;
  DP_TRY(dpi_smc_settle(&d.base, &def, SWEEPS_LEAST, SWEEPS, x));
  dpi_mixture mix;
  dpi_mixture_def fit = {.x = x, .npoint = SETTLED, .n = dim, .most = DPI_MIXTURE_MOST};
  DP_TRY(dpi_mixture_fit(&w->arena, &fit, &mix));
  for (size_t k = 0; k < (size_t)mix.ncomponent * n * n; k++) mix.chol[k] *= WIDER;
  for (int k = 0; k < mix.ncomponent; k++)
    comp[k] = (dpi_component){(1 - DEFENCE) * mix.weight[k], mix.mean + (size_t)k * n, mix.chol + (size_t)k * n * n};
  *ncomp = mix.ncomponent + 1;
  memset(&comp[mix.ncomponent], 0, sizeof *comp);
  return defence(w, &comp[mix.ncomponent]);
}

typedef struct summary { /* of one set of weighted draws */
  double mean[65], sd[65], evidence, ess;
  bool good;
} summary;

static void summarise(const dpi_importance *im, int dim, summary *s) {
  *s = (summary){.evidence = im->evidence, .ess = im->ess, .good = im->good};
  for (int a = 0; a < dim; a++) {
    double square = 0;
    for (int i = 0; i < im->n; i++) s->mean[a] += im->weight[i] * im->x[(size_t)i * (size_t)dim + (size_t)a];
    for (int i = 0; i < im->n; i++) {
      const double d = im->x[(size_t)i * (size_t)dim + (size_t)a] - s->mean[a];
      square += im->weight[i] * d * d;
    }
    s->sd[a] = sqrt(square);
  }
}

/* Do two sets say the same, within their errors or a fifth of a deviation? */
static bool agree(const summary *p, const summary *q, int dim) {
  if (!p->good || !q->good) return false;
  const double error = fmax(AGREE * sqrt(1 / p->ess + 1 / q->ess), ENOUGH);
  bool same = fabs(p->evidence - q->evidence) <= error;
  for (int a = 0; a < dim; a++) {
    same = same && fabs(p->mean[a] - q->mean[a]) <= error * fmax(p->sd[a], q->sd[a]);
    same = same && fabs(dpi_m_log(p->sd[a] / q->sd[a])) <= error;
  }
  return same;
}

/* Further sets, each from a mixture made of all draws so far, until two in a row agree: weights can be even and yet
 * know only a part of what is there. Sets are compared by their own weights; *all, what becomes the belief, is every
 * draw under all proposals, and counts for no more than the two sets that agree count by themselves. */
static dp_status settle(work *w, dpi_importance_def *def, dpi_component *comp, dpi_pool *pool, dpi_importance *all,
                        int *turn) {
  const double wanted = w->def->ess, least = fmin(wanted, SET_WORTH);
  dpi_importance set = *all;
  summary now, before;
  summarise(&set, def->dim, &now);
  bool sure = set.good && set.khat <= w->def->khat && set.ess >= wanted;
  for (*turn = 0; *turn < TURNS && set.ess > 0 && !sure; ++*turn) {
    DP_TRY(describe(w, all, *turn, comp, &def->ncomponent));
    before = now;
    def->max_round = ROUNDS;
    def->first_round = ROUNDS * (*turn + 1);
    def->dof = SETTLED_DOF;
    def->ess = *turn > 0 ? fmax(least, wanted - before.ess) : least;
    DP_TRY(dpi_pool_run(pool, def, &set, all));
    summarise(&set, def->dim, &now);
    w->agreed = agree(&before, &now, def->dim);
    all->ess = fmin(all->ess, before.ess + now.ess);
    sure = w->agreed && all->good && all->ess >= wanted;
    dpi_log(w->ctx, 3,
            "belief: set %d: %d components, %d draws worth %.0f, k-hat %.2f, ln evidence %.3f%s; all: %d, k-hat %.2f, "
            "%.3f",
            *turn + 1, def->ncomponent, set.n, set.ess, set.khat, set.evidence, w->agreed ? ", agrees" : "", all->n,
            all->khat, all->evidence);
  }
  return DP_OK;
}

static dp_status from_data(work *w) {
  dpi_component comp[DPI_MIXTURE_MOST + 1];
  memset(comp, 0, sizeof comp);
  dpi_importance_def def = {.dim = w->iv->dim,
                            .nproposal = w->def->nproposal,
                            .max_round = w->def->khat < KHAT_MOST ? FIRST : ROUNDS,
                            .ess = w->def->ess,
                            .dof = T_DOF,
                            .seed = w->def->seed,
                            .stream = w->p->c->stream,
                            .target = target,
                            .user = w,
                            .component = comp,
                            .quasi = true};
  dpi_importance im;
  dpi_pool pool;
  int turn = 0;
  dpi_pool_init(&pool, &w->arena, def.dim);
  DP_TRY(propose(w, comp, &def.ncomponent));
  const int nmode = def.ncomponent - 1;
  DP_TRY(dpi_pool_run(&pool, &def, &im, NULL));
  DP_TRY(settle(w, &def, comp, &pool, &im, &turn));
  if (!(im.ess > 0)) {
    /* nothing has a likelihood: show the prior, and say so */
    DP_TRY(from_prior(w));
    w->b->usable = 0;
    snprintf(w->b->verdict, sizeof w->b->verdict,
             "not usable: these observations are impossible under the model at all %d proposals",
             im.n);
    return DP_OK;
  }
  DP_TRY(keep(w, &im));
  judge(w, &im, nmode, turn);
  return DP_OK;
}

static dp_status belief_hash(work *w) {
  dp_belief *b = w->b;
  size_t nd = (size_t)b->ndraw;
  dpi_sha256 *h = dpi_sha256_create(w->ctx);
  if (!h) return DP_ERR_MEMORY;
  dpi_sha256_add(h, b->eta, nd * (size_t)b->neta * sizeof(double));
  dpi_sha256_add(h, b->individual, nd * (size_t)b->nindividual * sizeof(double));
  dpi_sha256_add(h, b->weight, nd * sizeof(double));
  if (b->discrepancy) dpi_sha256_add(h, b->discrepancy, nd * sizeof(double));
  dpi_sha256_finish(h, b->hash);
  return DP_OK;
}

dp_assimilate_def dp_assimilate_def_default(void) {
  dp_assimilate_def d = {.cookie = 0x61737331u,
                         .seed = 1,
                         .ndraw = 1000,
                         .nproposal = 4000,
                         .nstart = 8,
                         .khat = KHAT_MOST,
                         .discrepancy = -1};
  return d;
}

static dp_status def_check(const dp_kind *kind, const dp_assimilate_def *def, bool *discrepancy) {
  dp_ctx *ctx = kind->ctx;
  if (def->cookie != dp_assimilate_def_default().cookie)
    return dpi_fail(ctx, DP_ERR_USAGE, "dp_assimilate_def: start from dp_assimilate_def_default()");
  if (def->ndraw < 1 || def->nproposal < 100 || def->nstart < 1 || !(def->ess >= 0))
    return dpi_fail(ctx, DP_ERR_USAGE,
                    "dp_assimilate_def: ndraw %d, nproposal %d, nstart %d, ess %g; at least 1, 100, 1, 0",
                    def->ndraw, def->nproposal, def->nstart, def->ess);
  if (!(def->khat > 0 && def->khat <= KHAT_MOST))
    return dpi_fail(ctx, DP_ERR_USAGE, "dp_assimilate_def: khat %g: expected more than 0, at most %g", def->khat, KHAT_MOST);
  *discrepancy = def->discrepancy < 0 ? kind->discrepancy : def->discrepancy != 0;
  if (*discrepancy && !(kind->discrepancy_sd > 0 && kind->discrepancy_timescale > 0))
    return dpi_fail(ctx, DP_ERR_UNSUPPORTED,
                    "kind %s: twin.yaml gives no discrepancy sd and timescale", kind->id);
  return DP_OK;
}

static dp_status work_run(work *w) {
  if (w->p->c->neta > 512)
    return dpi_fail(w->ctx, DP_ERR_UNSUPPORTED, "subject %s: %d random effects, at most 512",
                    w->p->c->id, w->p->c->neta);
  DP_TRY(prior_set(w));
  if (w->iv->dim > 60)
    return dpi_fail(w->ctx, DP_ERR_UNSUPPORTED,
                    "subject %s: %d informed random effects, at most 60", w->p->c->id, w->iv->dim);
  DP_TRY(belief_create(w));
  if (w->p->nobs == 0)
    DP_TRY(from_prior(w));
  else if (w->iv->dim == 0)
    DP_TRY(from_fixed(w));
  else
    DP_TRY(from_data(w));
  return belief_hash(w);
}

dp_status dp_assimilate(const dp_kind *kind, const dp_record *record, int subject, double until,
                        const dp_prior *prior, const dp_assimilate_def *def, dp_belief **out) {
  work w;
  bool discrepancy = false;
  *out = NULL;
  memset(&w, 0, sizeof w);
  DP_TRY(def_check(kind, def, &discrepancy));
  w.ctx = kind->ctx;
  w.kind = kind;
  w.prior = prior;
  w.def = def;
  DP_TRY(dpi_person_create(kind, record, subject, until, discrepancy, &w.p));
  w.iv = w.p->iv;
  dpi_arena_init(&w.arena, w.ctx);
  dp_status st = work_run(&w);
  if (st == DP_OK)
    *out = w.b;
  else
    dp_belief_destroy(w.b);
  dpi_arena_release(&w.arena);
  dpi_person_destroy(w.p);
  return st;
}

void dp_belief_destroy(dp_belief *belief) {
  if (!belief) return;
  dp_ctx *ctx = belief->ctx;
  dpi_free(ctx, belief->eta);
  dpi_free(ctx, belief->individual);
  dpi_free(ctx, belief->weight);
  dpi_free(ctx, belief->mode);
  dpi_free(ctx, belief->covariance);
  dpi_free(ctx, belief->discrepancy);
  dpi_free(ctx, belief);
}
