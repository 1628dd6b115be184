/* nuts.c - floor 6, folder sample: the No-U-Turn sampler as one state machine per chain.
 *
 * Sources:
 *   M. D. Hoffman, A. Gelman, "The No-U-Turn Sampler", JMLR 15 (2014) 1593: doubling, dual averaging (section 3.2)
 *   M. Betancourt, "A conceptual introduction to Hamiltonian Monte Carlo", arXiv:1701.02434 (2017), appendix A:
 *     multinomial choice within a trajectory, biased towards its new half, U-turn by the sum of momenta
 *   Stan reference manual, "MCMC sampling": the two extra U-turn checks across the seam of two halves; windows of
 *   adaptation
 *
 * A chain asks for one point at a time:
 *
 *     START --ok--> STEP (search of a first step; after each window again) --> TREE --draw done--> TREE ... --> DONE
 *                                      after warm-up by a coarser density: AGAIN (the place by the density itself)
 * --> TREE
 *       |                                                                        |
 *       +-- no place to start --> STUCK                                          +-- window ends --> STEP
 *
 * The tree of a trajectory is built without recursion: leaves come in order, two finished stretches of equal depth at
 * the top of the stack become one. That is the recursion's own order, and it needs no more than one stretch for each
 * depth.
 *
 * Sign conventions: H = kinetic - logp; a stretch keeps its ends in the order of time (l, r), whichever way it was
 * built.
 */
#include "infer/sample/nuts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "infer/sample/nuts_metric.h"

#define ENERGY_ERROR 1000.0 /* beyond it a trajectory has diverged (Stan's bound) */
#define START_TRIES 100
#define START_LOGIT 4 /* starts between two bounds stay this near to the middle: 1.8 % of the way */
#define STEP_TRIES 60
#define SPREAD_TRIES 4 /* places beside a start, each half as far away; then the start itself */
#define SPREAD_LOSS \
  5 /* ln of the density, beyond half the dimension times spread^2: further down is no place to start */

/* ---- a chain's memory ---- */

typedef struct place { /* a state of the chain */
  double *u, *g;       /* place and gradient of logp in R^n */
  double logp, loglik, logprior, energy;
} place;

typedef struct stretch {     /* some consecutive points of a trajectory */
  int depth;                 /* 2^depth points */
  double logw;               /* ln of the sum of exp(H0 - H) */
  double *rho;               /* sum of momenta */
  double *pl, *vl, *pr, *vr; /* momentum and velocity at both ends */
  place pick;
} stretch;

typedef struct edge { /* where a trajectory goes on */
  double *u, *p, *g;
} edge;

typedef enum phase { PHASE_START, PHASE_STEP, PHASE_TREE, PHASE_AGAIN, PHASE_DONE, PHASE_STUCK } phase;

typedef struct chain {
  int id; /* its number in everything */
  phase phase;
  int t;     /* draw being made, warm-up included */
  int tries; /* of this phase */
  int moved; /* places beside the start that were tried */
  bool fine; /* `here` is by the density itself, not by the coarser one */
  dpi_rng rng;
  place here;
  dpi_metric metric;
  dpi_dual_average dual;
  double step;
  int direction; /* step search: +1 doubling, -1 halving, 0 first; tree: of the present stretch */
  edge move, end[2];
  double *v;
  double *from; /* [n] where the present step began */
  double h0;    /* energy at the start of the trajectory */
  stretch tree;
  stretch *stack;
  int nstack;
  double accept; /* sum of min(1, exp(H0 - H)) */
  int nleap;
  bool divergent, failed;
  double *want; /* [n] u asked for */
  char reason[160];
} chain;

typedef struct sampler {
  dpi_density *d;
  const dpi_nuts_def *def;
  dpi_arena arena;
  dpi_nuts_schedule schedule;
  dpi_draws *draws;
  chain *chain;
  int *asking;            /* [nchain] chains in the present batch */
  double *u, *x, *logjac; /* the batch */
  double *gradient, *fisher;
  dpi_density_value *value;
  int saved; /* draws of the slowest chain when the file was last written */
} sampler;

static double *numbers(dpi_arena *a, int n) { return DPI_ARENA_ARRAY(a, double, (size_t)n); }

static bool place_make(dpi_arena *a, int n, place *p) {
  p->u = numbers(a, n);
  p->g = numbers(a, n);
  return p->u && p->g;
}

static bool stretch_make(dpi_arena *a, int n, stretch *s) {
  s->rho = numbers(a, n);
  s->pl = numbers(a, n);
  s->vl = numbers(a, n);
  s->pr = numbers(a, n);
  s->vr = numbers(a, n);
  return s->rho && s->pl && s->vl && s->pr && s->vr && place_make(a, n, &s->pick);
}

static bool edge_make(dpi_arena *a, int n, edge *e) {
  e->u = numbers(a, n);
  e->p = numbers(a, n);
  e->g = numbers(a, n);
  return e->u && e->p && e->g;
}

static void copy(double *to, const double *from, int n) { memcpy(to, from, sizeof(double) * (size_t)n); }

static void place_copy(place *to, const place *from, int n) {
  copy(to->u, from->u, n);
  copy(to->g, from->g, n);
  to->logp = from->logp;
  to->loglik = from->loglik;
  to->logprior = from->logprior;
  to->energy = from->energy;
}

static void place_swap(place *a, place *b) {
  place t = *a;
  *a = *b;
  *b = t;
}

static dp_status chain_make(sampler *s, int c) {
  chain *k = &s->chain[c];
  int n = s->d->n, depth = s->def->max_depth;
  dpi_arena *a = &s->arena;
  k->id = s->def->first_chain + c;
  k->v = numbers(a, n);
  k->want = numbers(a, n);
  k->from = numbers(a, n);
  k->stack = DPI_ARENA_ARRAY(a, stretch, (size_t)depth + 2);
  bool ok = k->v && k->want && k->from && k->stack && place_make(a, n, &k->here) && stretch_make(a, n, &k->tree) &&
            edge_make(a, n, &k->move) && edge_make(a, n, &k->end[0]) && edge_make(a, n, &k->end[1]);
  for (int i = 0; ok && i < depth + 2; i++) ok = stretch_make(a, n, &k->stack[i]);
  bool dense = s->def->metric == DPI_NUTS_DENSE || (s->def->metric == DPI_NUTS_AUTO && n <= DPI_NUTS_DENSE_MOST);
  return ok ? dpi_metric_make(a, n, dense, &k->metric) : DP_ERR_MEMORY;
}

/* ---- moving ---- */

static double dot(const double *a, const double *b, int n) {
  double s = 0;
  for (int i = 0; i < n; i++) s += a[i] * b[i];
  return s;
}

static double log_add(double a, double b) {
  double top = fmax(a, b);
  if (top == -INFINITY) return top;
  return top + dpi_m_log(dpi_m_exp(a - top) + dpi_m_exp(b - top));
}

/* Random numbers of the present draw start here. */
static void stream_at(sampler *s, chain *k, uint32_t purpose) {
  k->rng = dpi_rng_make(s->def->seed, (uint64_t)k->id, purpose);
  k->rng.counter = (uint64_t)k->t << DPI_SAMPLE_SHIFT;
}

/* Half a kick and a drift from k->move: the point wanted. */
static void leap(sampler *s, chain *k, double step) {
  int n = s->d->n;
  edge *m = &k->move;
  copy(k->from, m->u, n);
  for (int i = 0; i < n; i++) m->p[i] += 0.5 * step * m->g[i];
  dpi_metric_velocity(&k->metric, m->p, k->v);
  for (int i = 0; i < n; i++) m->u[i] += step * k->v[i];
  copy(k->want, m->u, n);
}

/* The other half at the point told; velocity in k->v; the energy, infinite where there is none. */
static double land(sampler *s, chain *k, double step, const place *p) {
  int n = s->d->n;
  edge *m = &k->move;
  if (p->logp == -INFINITY) return INFINITY;
  copy(m->g, p->g, n);
  for (int i = 0; i < n; i++) m->p[i] += 0.5 * step * m->g[i];
  dpi_metric_velocity(&k->metric, m->p, k->v);
  double h = 0.5 * dot(m->p, k->v, n) - p->logp;
  return h == h ? h : INFINITY;
}

static void begin_momentum(sampler *s, chain *k) {
  int n = s->d->n;
  dpi_metric_momentum(&k->metric, &k->rng, k->move.p);
  dpi_metric_velocity(&k->metric, k->move.p, k->v);
  copy(k->move.u, k->here.u, n);
  copy(k->move.g, k->here.g, n);
  k->h0 = 0.5 * dot(k->move.p, k->v, n) - k->here.logp;
}

/* ---- the tree ---- */

static bool ahead(const double *v, const double *rho, const double *extra, int n) {
  double s = 0;
  for (int i = 0; i < n; i++) s += v[i] * (rho[i] + extra[i]);
  return s > 0;
}

/* Does the joined stretch still go away from itself? l, r: in the order of time. */
static bool straight(const stretch *l, const stretch *r, int n) {
  return ahead(l->vl, l->rho, r->rho, n) && ahead(r->vr, l->rho, r->rho, n) && /* end to end */
         ahead(l->vl, l->rho, r->pl, n) && ahead(r->vl, l->rho, r->pl, n) &&   /* first half and one more */
         ahead(l->vr, r->rho, l->pr, n) && ahead(r->vr, r->rho, l->pr, n);     /* second half and one before */
}

/* Newer stretch b onto a; take: b's pick replaces a's. */
static bool join(stretch *a, stretch *b, int direction, bool take, int n) {
  bool on = direction > 0 ? straight(a, b, n) : straight(b, a, n);
  for (int i = 0; i < n; i++) a->rho[i] += b->rho[i];
  copy(direction > 0 ? a->pr : a->pl, direction > 0 ? b->pr : b->pl, n);
  copy(direction > 0 ? a->vr : a->vl, direction > 0 ? b->vr : b->vl, n);
  if (take) place_swap(&a->pick, &b->pick);
  a->logw = log_add(a->logw, b->logw);
  a->depth++;
  return on;
}

static void leaf(stretch *t, const double *p, const double *v, double logw, int n) {
  t->depth = 0;
  t->logw = logw;
  copy(t->rho, p, n);
  copy(t->pl, p, n);
  copy(t->pr, p, n);
  copy(t->vl, v, n);
  copy(t->vr, v, n);
}

static void begin_stretch(sampler *s, chain *k) {
  int n = s->d->n;
  k->direction = dpi_rng_uniform(&k->rng) > 0.5 ? 1 : -1;
  const edge *e = &k->end[k->direction > 0];
  copy(k->move.u, e->u, n);
  copy(k->move.p, e->p, n);
  copy(k->move.g, e->g, n);
  k->nstack = 0;
  leap(s, k, k->direction * k->step);
}

static void begin_tree(sampler *s, chain *k) {
  int n = s->d->n;
  k->phase = PHASE_TREE;
  stream_at(s, k, DPI_RNG_NUTS);
  begin_momentum(s, k);
  leaf(&k->tree, k->move.p, k->v, 0, n);
  place_copy(&k->tree.pick, &k->here, n);
  k->tree.pick.energy = k->h0;
  for (int i = 0; i < 2; i++) {
    copy(k->end[i].u, k->move.u, n);
    copy(k->end[i].p, k->move.p, n);
    copy(k->end[i].g, k->move.g, n);
  }
  k->accept = 0;
  k->nleap = 0;
  k->divergent = k->failed = false;
  begin_stretch(s, k);
}

/* One more leaf on the stack, joined with what is below as far as it goes; false: the trajectory ends here. */
static bool grow(sampler *s, chain *k, const place *told, double h) {
  int n = s->d->n;
  stretch *top = &k->stack[k->nstack++];
  leaf(top, k->move.p, k->v, k->h0 - h, n);
  place_copy(&top->pick, told, n);
  top->pick.energy = h;
  while (k->nstack > 1 && k->stack[k->nstack - 2].depth == k->stack[k->nstack - 1].depth) {
    stretch *a = &k->stack[k->nstack - 2], *b = a + 1;
    double chance = dpi_m_exp(b->logw - log_add(a->logw, b->logw));
    bool take = dpi_rng_uniform(&k->rng) < chance;
    k->nstack--;
    if (!join(a, b, k->direction, take, n)) return false;
  }
  return true;
}

/* The finished new half onto the trajectory; false: it ends here. */
static bool double_tree(sampler *s, chain *k) {
  int n = s->d->n;
  stretch *half = &k->stack[0];
  edge *e = &k->end[k->direction > 0];
  copy(e->u, k->move.u, n);
  copy(e->p, k->move.p, n);
  copy(e->g, k->move.g, n);
  bool take = dpi_rng_uniform(&k->rng) < dpi_m_exp(fmin(0, half->logw - k->tree.logw));
  return join(&k->tree, half, k->direction, take, n) && k->tree.depth < s->def->max_depth;
}

static dp_status end_draw(sampler *s, chain *k);

static dp_status told_tree(sampler *s, chain *k, const place *told) {
  double h = land(s, k, k->direction * k->step, told), change = k->h0 - h;
  k->nleap++;
  k->accept += h < INFINITY ? dpi_m_exp(fmin(0, change)) : 0;
  if (-change > ENERGY_ERROR) {
    k->failed = told->logp == -INFINITY;
    k->divergent = !k->failed;
    return end_draw(s, k);
  }
  if (!grow(s, k, told, h)) return end_draw(s, k);
  if (k->nstack == 1 && k->stack[0].depth == k->tree.depth) {
    if (!double_tree(s, k)) return end_draw(s, k);
    begin_stretch(s, k);
  } else {
    leap(s, k, k->direction * k->step);
  }
  return DP_OK;
}

/* ---- a first step ---- */

/* Doubled or halved until its acceptance crosses 0.8 (Hoffman & Gelman, algorithm 4, with Stan's bound). */

static void try_step(sampler *s, chain *k) {
  begin_momentum(s, k);
  leap(s, k, k->step);
}

static void begin_step(sampler *s, chain *k) {
  k->phase = PHASE_STEP;
  k->tries = 0;
  k->direction = 0;
  stream_at(s, k, DPI_RNG_NUTS_STEP);
  try_step(s, k);
}

static void told_step(sampler *s, chain *k, const place *told) {
  double change = k->h0 - land(s, k, k->step, told);
  int now = change > -0.22314355131420976 ? 1 : -1; /* ln 0.8 */
  if (k->direction == 0) k->direction = now;
  if (now == k->direction && k->tries++ < STEP_TRIES) {
    k->step *= k->direction > 0 ? 2 : 0.5;
    try_step(s, k);
    return;
  }
  if (k->direction > 0) k->step *= 0.5; /* the last one that was good enough */
  dpi_dual_restart(&k->dual, k->step);
  begin_tree(s, k);
}

/* ---- from draw to draw ---- */

static bool warming(const sampler *s, const chain *k) { return s->def->warm && k->t < s->def->nwarmup; }

static void begin_draw(sampler *s, chain *k) {
  if (s->def->warm && k->t == s->def->nwarmup && !k->fine) {
    k->phase = PHASE_AGAIN;
    copy(k->want, k->here.u, s->d->n);
  } else if (k->t == s->def->nwarmup + s->def->ndraw)
    k->phase = PHASE_DONE;
  else if (k->t == 0 || (k->t < s->def->nwarmup && dpi_nuts_window_ends(&s->schedule, k->t - 1)))
    begin_step(s, k);
  else
    begin_tree(s, k);
}

static void adapt(sampler *s, chain *k) {
  dpi_dual_add(&k->dual, k->accept / k->nleap, s->def->accept);
  k->step = k->dual.step;
  if (dpi_nuts_window_holds(&s->schedule, k->t)) dpi_metric_add(&k->metric, k->here.u);
  if (dpi_nuts_window_ends(&s->schedule, k->t)) dpi_metric_update(&k->metric);
  if (k->t + 1 == s->def->nwarmup) k->step = k->dual.mean_step;
}

static dp_status keep(sampler *s, chain *k) {
  dpi_draws *w = s->draws;
  int c = k->id - s->def->first_chain, i = k->t - s->def->nwarmup;
  size_t at = dpi_draws_at(w, c, i);
  double *stat = w->stat + at * DPI_DRAW_NSTAT;
  dpi_box_to(s->d, k->here.u, w->x + at * (size_t)w->n);
  w->loglik[at] = k->here.loglik;
  w->logprior[at] = k->here.logprior;
  stat[DPI_DRAW_ACCEPT] = k->accept / k->nleap;
  stat[DPI_DRAW_STEP] = k->step;
  stat[DPI_DRAW_DEPTH] = k->tree.depth;
  stat[DPI_DRAW_GRADIENTS] = k->nleap;
  stat[DPI_DRAW_DIVERGENT] = k->divergent;
  stat[DPI_DRAW_FAILED] = k->failed;
  stat[DPI_DRAW_ENERGY] = k->here.energy;
  w->done[c] = i + 1;
  if (!k->divergent) return DP_OK;
  dpi_box_to(s->d, k->from, k->v);
  return dpi_draws_place(w, k->id, i, k->v);
}

/* What a chain needs to go on from the draw it is at: see chain_load. */
static void chain_save(sampler *s, chain *k) {
  int n = s->d->n;
  double *at = s->draws->state + (size_t)(k->id - s->def->first_chain) * (size_t)s->draws->nstate;
  *at++ = k->phase == PHASE_STUCK ? -1 : k->t;
  *at++ = k->step;
  *at++ = k->here.logp;
  *at++ = k->here.loglik;
  *at++ = k->here.logprior;
  copy(at, k->here.u, n);
  copy(at + n, k->here.g, n);
  dpi_metric_save(&k->metric, &k->dual, at + 2 * n);
}

static int state_size(int n, const dpi_metric *m) { return 5 + 2 * n + dpi_metric_size(m); }

static dp_status end_draw(sampler *s, chain *k) {
  place_swap(&k->here, &k->tree.pick);
  if (k->t < s->def->nwarmup)
    adapt(s, k);
  else
    DP_TRY(keep(s, k));
  k->t++;
  chain_save(s, k);
  begin_draw(s, k);
  return DP_OK;
}

/* ---- starting ---- */

/* The next place to try: the caller's (once), the prior's, or anywhere within 2 of 0 (Stan's choice). */
static dp_status begin_start(sampler *s, chain *k) {
  int n = s->d->n, c = k->id - s->def->first_chain;
  k->phase = PHASE_START;
  if (k->tries >= (s->def->start ? 1 : START_TRIES)) {
    k->phase = PHASE_STUCK;
    chain_save(s, k);
    return DP_OK;
  }
  uint64_t at = ((uint64_t)k->id << DPI_SAMPLE_SHIFT) + (uint64_t)k->tries;
  dpi_rng rng = dpi_rng_make(s->def->seed, (uint64_t)k->id, DPI_RNG_SAMPLE_START);
  rng.counter = (uint64_t)k->tries++ << DPI_SAMPLE_SHIFT;
  if (s->def->start) {
    dpi_box_from(s->d, s->def->start + (size_t)c * (size_t)n, k->want);
    for (int i = 0; i < n; i++) /* an optimum on a bound is where the logit is flat: begin where it is not */
      if (isfinite(s->d->lower[i]) && isfinite(s->d->upper[i]))
        k->want[i] = fmax(-START_LOGIT, fmin(START_LOGIT, k->want[i]));
  } else if (s->d->ops->prior_draw) {
    DP_TRY(s->d->ops->prior_draw(s->d, s->def->seed, at, k->v));
    dpi_box_from(s->d, k->v, k->want);
  } else {
    for (int i = 0; i < n; i++) k->want[i] = 4 * dpi_rng_uniform(&rng) - 2;
  }
  return DP_OK;
}

/* Between two bounds the logit has at most the logistic law's spread where the data say nothing, and 1/3 is that law's
 * mean curvature; beside a bound the curvature at one place is next to nothing, and a metric made of it would take
 * steps of a hundredth of the way for all of the first windows. */
static void widest(const sampler *s, const double *u, double *fisher) {
  int n = s->d->n;
  for (int i = 0; i < n; i++) {
    if (!isfinite(s->d->lower[i]) || !isfinite(s->d->upper[i])) continue;
    double p = 1 / (1 + dpi_m_exp(-u[i]));
    fisher[i * n + i] += fmax(0, 1.0 / 3 - 2 * p * (1 - p));
  }
}

/* A place beside the start: here + spread L z, L of the metric's covariance. */
static bool displace(sampler *s, chain *k) {
  int n = s->d->n;
  const dpi_metric *m = &k->metric;
  if (!s->def->start || !(s->def->spread > 0) || k->moved >= SPREAD_TRIES) return false;
  dpi_rng rng = dpi_rng_make(s->def->seed, (uint64_t)k->id, DPI_RNG_SAMPLE_START);
  rng.counter = (uint64_t)(START_TRIES + k->moved) << DPI_SAMPLE_SHIFT;
  double scale = s->def->spread / (double)(1 << k->moved++);
  for (int i = 0; i < n; i++) k->v[i] = dpi_rng_normal(&rng);
  for (int i = 0; i < n; i++) {
    double step = 0;
    for (int j = 0; m->dense && j <= i; j++) step += m->chol[(size_t)i * (size_t)n + (size_t)j] * k->v[j];
    if (!m->dense) step = sqrt(m->cov[i]) * k->v[i];
    k->want[i] = k->here.u[i] + scale * step;
  }
  return true;
}

static void take_here(sampler *s, chain *k, const dpi_density_value *v, double logp) {
  copy(k->here.u, k->want, s->d->n);
  copy(k->here.g, v->gradient, s->d->n);
  dpi_box_gradient(s->d, k->here.u, k->here.g);
  k->here.loglik = v->loglik;
  k->here.logprior = v->logprior;
  k->here.logp = logp;
}

static void begin_chain(sampler *s, chain *k) {
  k->step = 1;
  k->t = 0;
  dpi_dual_restart(&k->dual, k->step);
  chain_save(s, k);
  begin_draw(s, k);
}

/* Of a place beside the start: it is taken when it is not too far down. */
static void told_beside(sampler *s, chain *k, const dpi_density_value *v, double logjac) {
  double logp = v->ok ? v->loglik + v->logprior + logjac : -INFINITY;
  double least = k->here.logp - SPREAD_LOSS - 0.5 * s->d->n * fmax(1, s->def->spread * s->def->spread);
  for (int i = 0; v->ok && i < s->d->n; i++)
    if (!isfinite(v->gradient[i])) logp = -INFINITY;
  if (logp >= least)
    take_here(s, k, v, logp);
  else if (displace(s, k))
    return;
  begin_chain(s, k);
}

static dp_status told_start(sampler *s, chain *k, const dpi_density_value *v, double logjac) {
  if (k->moved > 0) {
    told_beside(s, k, v, logjac);
    return DP_OK;
  }
  if (!v->ok) {
    snprintf(k->reason, sizeof k->reason, "%s", v->reason);
    return begin_start(s, k);
  }
  take_here(s, k, v, v->loglik + v->logprior + logjac);
  dpi_metric_identity(&k->metric);
  if (v->fisher) {
    dpi_box_fisher(s->d, k->here.u, v->fisher);
    widest(s, k->here.u, v->fisher);
    dpi_metric_fisher(&k->metric, v->fisher);
  }
  if (!displace(s, k)) begin_chain(s, k);
  return DP_OK;
}

/* ---- batches ---- */

static dp_status tell(sampler *s, chain *k, const dpi_density_value *v, double logjac) {
  int n = s->d->n;
  if (k->phase == PHASE_START) return told_start(s, k, v, logjac);
  if (k->phase ==
      PHASE_AGAIN) { /* where only the coarser one can be evaluated, its value has to do for one step more */
    if (v->ok) take_here(s, k, v, v->loglik + v->logprior + logjac);
    k->fine = true;
    begin_draw(s, k);
    return DP_OK;
  }
  place told = {k->want, v->gradient, -INFINITY, v->loglik, v->logprior, 0};
  if (v->ok) {
    dpi_box_gradient(s->d, k->want, v->gradient);
    told.logp = v->loglik + v->logprior + logjac;
    for (int i = 0; i < n; i++)
      if (!isfinite(v->gradient[i])) told.logp = -INFINITY;
  }
  if (k->phase == PHASE_TREE) return told_tree(s, k, &told);
  told_step(s, k, &told);
  return DP_OK;
}

static bool on_its_way(const chain *k) {
  return k->phase == PHASE_STEP || k->phase == PHASE_TREE || k->phase == PHASE_AGAIN;
}

/* All chains that start, or all that are on their way, by one of the densities: one batch. *any: there were some. */
static dp_status batch(sampler *s, bool start, bool warm, bool *any, dpi_nuts_report *report) {
  int m = 0;
  size_t n = (size_t)s->d->n;
  unsigned what = DPI_DENSITY_GRADIENT | (start && !s->def->no_fisher ? DPI_DENSITY_FISHER : 0u);
  for (int c = 0; c < s->def->nchain; c++) {
    chain *k = &s->chain[c];
    if ((start ? k->phase != PHASE_START : !on_its_way(k)) || warming(s, k) != warm) continue;
    copy(s->u + (size_t)m * n, k->want, s->d->n);
    s->value[m] = (dpi_density_value){.gradient = s->gradient + (size_t)m * n,
                                      .fisher = what & DPI_DENSITY_FISHER ? s->fisher + (size_t)m * n * n : NULL};
    s->asking[m++] = c;
  }
  if (m == 0) return DP_OK;
  *any = true;
  report->nbatch++;
  report->npoint += m;
  DP_TRY(dpi_box_eval(warm ? s->def->warm : s->d, m, s->u, what, s->x, s->logjac, s->value));
  for (int i = 0; i < m; i++) DP_TRY(tell(s, &s->chain[s->asking[i]], &s->value[i], s->logjac[i]));
  return DP_OK;
}

/* Write the file when the slowest chain has come far enough, or when told to. */
static dp_status checkpoint(sampler *s, bool now) {
  int slowest = s->def->nwarmup + s->def->ndraw;
  for (int c = 0; c < s->def->nchain; c++)
    if (s->chain[c].phase != PHASE_STUCK && s->chain[c].t < slowest) slowest = s->chain[c].t;
  if (!now && slowest < s->saved + s->def->checkpoint) return DP_OK;
  s->saved = slowest;
  dpi_log(s->d->ctx, 3, "nuts: %d of %d draws", slowest, s->def->nwarmup + s->def->ndraw);
  if (!s->def->file) return DP_OK;
  return dpi_draws_save(s->draws, s->def->file);
}

static dp_status go(sampler *s, dpi_nuts_report *report) {
  dp_status status = DP_OK;
  for (bool any = true; any && status == DP_OK;) {
    any = false;
    for (int k = 0; k < 4 && status == DP_OK; k++) status = batch(s, k < 2, k % 2, &any, report);
    if (status == DP_OK) status = checkpoint(s, false);
  }
  /* cancelled: what there is must not be lost, and the first message stays */
  if (status == DP_OK || status == DP_ERR_CANCELLED) {
    dp_status saved = checkpoint(s, true);
    if (status == DP_OK) status = saved;
  }
  return status;
}

/* ---- going on from a file ---- */

static bool chain_load(sampler *s, chain *k) {
  int n = s->d->n, c = k->id - s->def->first_chain, done = s->draws->done[c];
  const double *at = s->draws->state + (size_t)c * (size_t)s->draws->nstate;
  double t = at[0];
  if (t == -1) {
    k->phase = PHASE_STUCK;
    return done == 0;
  }
  if (t == 0 && at[1] == 0) return done == 0; /* it had not started */
  if (!(t >= 0 && t <= s->def->nwarmup + s->def->ndraw) || t != floor(t) || !(at[1] > 0)) return false;
  if (done != (t > s->def->nwarmup ? (int)t - s->def->nwarmup : 0)) return false;
  for (int i = 1; i < 5 + 2 * n; i++)
    if (!isfinite(at[i])) return false;
  k->t = (int)t;
  k->step = at[1];
  k->here.logp = at[2];
  k->here.loglik = at[3];
  k->here.logprior = at[4];
  copy(k->here.u, at + 5, n);
  copy(k->here.g, at + 5 + n, n);
  if (!dpi_metric_load(&k->metric, &k->dual, at + 5 + 2 * n)) return false;
  k->fine = k->t > s->def->nwarmup;
  begin_draw(s, k);
  return true;
}

static dp_status open_draws(sampler *s) {
  const dpi_nuts_def *def = s->def;
  const dpi_metric *m = &s->chain[0].metric;
  char tag[400];
  snprintf(tag, sizeof tag, "warmup=%d depth=%d accept=%.17g metric=%s fisher=%d %s", def->nwarmup, def->max_depth,
           def->accept, m->dense ? "dense" : "diagonal", !def->no_fisher, def->tag ? def->tag : "");
  size_t at = strlen(tag);
  if (def->spread > 0) snprintf(tag + at, sizeof tag - at, " spread=%.17g", def->spread);
  dpi_draws_def w = {.sampler = "nuts",
                     .tag = tag,
                     .seed = def->seed,
                     .n = s->d->n,
                     .name = s->d->name,
                     .nchain = def->nchain,
                     .first_chain = def->first_chain,
                     .ndraw = def->ndraw,
                     .stat = true,
                     .nstate = state_size(s->d->n, m)};
  bool old = def->file && dpi_file_exists(def->file);
  DP_TRY(old ? dpi_draws_load(s->d->ctx, def->file, &w, &s->draws) : dpi_draws_create(s->d->ctx, &w, &s->draws));
  for (int c = 0; c < def->nchain; c++) {
    chain *k = &s->chain[c];
    if (old && !chain_load(s, k))
      return dpi_fail(s->d->ctx, DP_ERR_INPUT, "%s: the state of chain %d is damaged: remove the file to start anew",
                      def->file, k->id);
    if (k->phase == PHASE_START) DP_TRY(begin_start(s, k));
  }
  return DP_OK;
}

/* ---- the call ---- */

dpi_nuts_def dpi_nuts_def_default(void) {
  return (dpi_nuts_def){.seed = 1,
                        .nchain = 4,
                        .nwarmup = 1000,
                        .ndraw = 1000,
                        .max_depth = 10,
                        .accept = 0.8,
                        .metric = DPI_NUTS_AUTO,
                        .checkpoint = 100};
}

static dp_status check(dpi_density *d, const dpi_nuts_def *def) {
  if (def->nchain < 1 || def->first_chain < 0 || def->nwarmup < 0 || def->ndraw < 1 || def->checkpoint < 1)
    return dpi_fail(d->ctx, DP_ERR_USAGE, "nuts: %d chains, %d warm-up draws, %d draws: out of range", def->nchain,
                    def->nwarmup, def->ndraw);
  if (!(def->spread >= 0 && def->spread <= 10))
    return dpi_fail(d->ctx, DP_ERR_USAGE, "nuts: spread %g of the starts: expected 0 to 10", def->spread);
  if (def->max_depth < 1 || def->max_depth > 20)
    return dpi_fail(d->ctx, DP_ERR_USAGE, "nuts: depth %d of a trajectory: expected 1 to 20", def->max_depth);
  if (!(def->accept > 0 && def->accept < 1))
    return dpi_fail(d->ctx, DP_ERR_USAGE, "nuts: acceptance %g: expected above 0 and below 1", def->accept);
  return DP_OK;
}

static dp_status make(sampler *s) {
  size_t m = (size_t)s->def->nchain, n = (size_t)s->d->n;
  dpi_arena *a = &s->arena;
  s->chain = DPI_ARENA_ARRAY(a, chain, m);
  s->asking = DPI_ARENA_ARRAY(a, int, m);
  s->u = DPI_ARENA_ARRAY(a, double, m *n);
  s->x = DPI_ARENA_ARRAY(a, double, m *n);
  s->logjac = DPI_ARENA_ARRAY(a, double, m);
  s->gradient = DPI_ARENA_ARRAY(a, double, m *n);
  s->value = DPI_ARENA_ARRAY(a, dpi_density_value, m);
  if (!s->chain || !s->asking || !s->u || !s->x || !s->logjac || !s->gradient || !s->value) return DP_ERR_MEMORY;
  if (!s->def->no_fisher) {
    s->fisher = DPI_ARENA_ARRAY(a, double, m *n *n);
    if (!s->fisher) return DP_ERR_MEMORY;
  }
  for (int c = 0; c < s->def->nchain; c++) DP_TRY(chain_make(s, c));
  dpi_nuts_schedule_make(s->def->nwarmup, &s->schedule);
  return open_draws(s);
}

static double at_limit(const dpi_draws *w, int most) {
  double count = 0, all = 0;
  for (int c = 0; c < w->nchain; c++)
    for (int i = 0; i < w->done[c]; i++, all++)
      count += w->stat[dpi_draws_at(w, c, i) * DPI_DRAW_NSTAT + DPI_DRAW_DEPTH] >= most;
  return all > 0 ? count / all : 0;
}

dp_status dpi_nuts_run(dpi_density *d, const dpi_nuts_def *def, dpi_draws **out, dpi_nuts_report *report) {
  sampler s = {.d = d, .def = def};
  *out = NULL;
  memset(report, 0, sizeof *report);
  DP_TRY(check(d, def));
  dpi_arena_init(&s.arena, d->ctx);
  dp_status status = make(&s);
  if (status == DP_OK) status = go(&s, report);
  for (int c = def->nchain - 1; status == DP_OK && c >= 0; c--)
    if (s.chain[c].phase == PHASE_STUCK) {
      report->nstuck++;
      snprintf(report->reason, sizeof report->reason, "chain %d: no place to start from: %s", s.chain[c].id,
               s.chain[c].reason[0] ? s.chain[c].reason : "not evaluable");
    }
  if (status == DP_OK) report->at_limit = at_limit(s.draws, def->max_depth);
  dpi_arena_release(&s.arena);
  if (status == DP_OK) {
    *out = s.draws;
  } else {
    dpi_draws_destroy(s.draws);
  }
  return status;
}
