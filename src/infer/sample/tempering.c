/* tempering.c - floor 6, folder sample: adaptive parallel tempering.
 *
 * Sources:
 *   ladder: W. D. Vousden, W. M. Farr, I. Mandel, MNRAS 455 (2016) 1919: ln of the gaps between temperatures follow the
 *     differences of neighbouring exchange rates (eq. 12), with a rate that falls off (eq. 13), hottest temperature
 *     infinite
 *   moves: adaptive Metropolis (H. Haario et al., Bernoulli 7 (2001) 223) with one covariance and scale for each level
 *     (B. Miasojedow, E. Moulines, M. Vihola, J. Comput. Graph. Stat. 22 (2013) 649); differences of two past places of
 *     the level (C. ter Braak, J. Vrugt, Stat. Comput. 18 (2008) 435); independent draws of the prior where beta = 0
 *   exchanges: even and odd pairs in turns (S. Syed et al., J. R. Stat. Soc. B 84 (2022) 321: non-reversible, so that
 *     round trips are faster)
 *   evidence: between neighbours the bridge with geometric mean (X.-L. Meng, W. H. Wong, Statistica Sinica 6 (1996)
 *     831): ln Z(cold)/Z(hot) = ln E_hot[L^(db/2)] - ln E_cold[L^(-db/2)]
 *
 * Everything that adapts is frozen after warm-up, so that what is drawn comes from fixed kernels. A point that can't be
 * evaluated has likelihood 0 at every beta > 0; the hottest level is the prior where the density can be evaluated, and
 * the share of that is part of the evidence.
 *
 * Streams: chain (chain << 8 | level), counter iteration << DPI_SAMPLE_SHIFT.
 */
#include "infer/sample/tempering.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define WANTED 0.234 /* acceptance (Roberts, Gelman & Gilks 1997); in one direction 0.44 */
#define PAST 200     /* places that a level remembers */
#define PAST_EVERY 5 /* iterations between two of them */
#define PAST_LEAST 20
#define PAST_SHARE 0.3 /* of the moves */
#define REFACTOR 20    /* iterations between two Cholesky factors of an adapting covariance */
#define TRIES 100
#define RATE_MEMORY 0.05

typedef struct level {
  double *u, loglik, logprior, jac;
  double *mean, *cov, *chol;
  double scale; /* ln */
  double *past; /* [PAST x n] ring */
  int npast;    /* ever */
  int carried;  /* which lineage is here */
  bool prior;   /* this iteration proposes an independent draw of the prior */
} level;

typedef struct chain {
  int id;
  bool stuck;
  level *level;            /* [nlevel] 0 is cold */
  double *beta, *rate;     /* rate[k]: exchanges between k and k + 1 */
  double *tried, *swapped; /* after warm-up */
  int8_t *heading;         /* of each lineage: +1 has been hot last, -1 cold, 0 neither */
  long trips;
  double nprior, nevaluable; /* draws of the prior after warm-up */
  double *lik;               /* [nlevel x nkept] loglik of every level */
} chain;

typedef struct sampler {
  dpi_density *d;
  const dpi_tempering_def *def;
  dpi_arena arena;
  int n, nlevel;
  int t, total; /* iterations: done, in all */
  bool proper;
  chain *chain;
  double *next, *x, *jac; /* a batch: [nchain x nlevel] */
  double *z, *square;     /* room: [2 n], [n x n] */
  dpi_density_value *value;
  dpi_draws *draws;
} sampler;

static double *numbers(dpi_arena *a, size_t n) { return DPI_ARENA_ARRAY(a, double, n); }

/* ---- memory ---- */

static dp_status level_make(sampler *s, level *l) {
  size_t n = (size_t)s->n;
  dpi_arena *a = &s->arena;
  l->u = numbers(a, n);
  l->mean = numbers(a, n);
  l->cov = numbers(a, n * n);
  l->chol = numbers(a, n * n);
  l->past = numbers(a, PAST * n);
  return l->u && l->mean && l->cov && l->chol && l->past ? DP_OK : DP_ERR_MEMORY;
}

static dp_status chain_make(sampler *s, chain *c) {
  size_t k = (size_t)s->nlevel;
  dpi_arena *a = &s->arena;
  c->level = DPI_ARENA_ARRAY(a, level, k);
  c->beta = numbers(a, k);
  c->rate = numbers(a, k);
  c->tried = numbers(a, k);
  c->swapped = numbers(a, k);
  c->heading = DPI_ARENA_ARRAY(a, int8_t, k);
  c->lik = numbers(a, k * (size_t)s->def->ndraw);
  if (!c->level || !c->beta || !c->rate || !c->tried || !c->swapped || !c->heading || !c->lik) return DP_ERR_MEMORY;
  for (int i = 0; i < s->nlevel; i++) DP_TRY(level_make(s, &c->level[i]));
  return DP_OK;
}

static dp_status sampler_make(sampler *s) {
  size_t all = (size_t)s->def->nchain * (size_t)s->nlevel, n = (size_t)s->n;
  dpi_arena *a = &s->arena;
  s->chain = DPI_ARENA_ARRAY(a, chain, (size_t)s->def->nchain);
  s->next = numbers(a, all * n);
  s->x = numbers(a, all * n);
  s->jac = numbers(a, all);
  s->z = numbers(a, 2 * n);
  s->square = numbers(a, n * n);
  s->value = DPI_ARENA_ARRAY(a, dpi_density_value, all);
  if (!s->chain || !s->next || !s->x || !s->jac || !s->z || !s->square || !s->value) return DP_ERR_MEMORY;
  for (int c = 0; c < s->def->nchain; c++) {
    s->chain[c].id = s->def->first_chain + c;
    DP_TRY(chain_make(s, &s->chain[c]));
  }
  return DP_OK;
}

static double *slot(sampler *s, int c, int k) {
  return s->next + ((size_t)c * (size_t)s->nlevel + (size_t)k) * (size_t)s->n;
}

static dp_status evaluate(sampler *s, dpi_tempering_report *report) {
  int all = s->def->nchain * s->nlevel;
  memset(s->value, 0, sizeof *s->value * (size_t)all);
  report->nbatch++;
  report->npoint += all;
  return dpi_box_eval(s->d, all, s->next, DPI_DENSITY_VALUE, s->x, s->jac, s->value);
}

static void take(sampler *s, int c, int k, level *l) {
  size_t at = (size_t)c * (size_t)s->nlevel + (size_t)k;
  memcpy(l->u, slot(s, c, k), sizeof(double) * (size_t)s->n);
  l->loglik = s->value[at].loglik;
  l->logprior = s->value[at].logprior;
  l->jac = s->jac[at];
}

/* ---- starting ---- */

static dp_status prior_into(sampler *s, const chain *c, int k, int64_t iteration, double *u) {
  uint64_t index = (uint64_t)c->id << 48 | (uint64_t)k << 40 | (uint64_t)iteration;
  DP_TRY(s->d->ops->prior_draw(s->d, s->def->seed, index, s->z));
  dpi_box_from(s->d, s->z, u);
  return DP_OK;
}

/* Place number `attempt` to start a level from. */
static dp_status start_at(sampler *s, int c, int k, int attempt) {
  chain *ch = &s->chain[c];
  double *u = slot(s, c, k);
  if (k == 0 && attempt == 0 && s->def->start) {
    dpi_box_from(s->d, s->def->start + (size_t)c * (size_t)s->n, u);
    return DP_OK;
  }
  if (s->d->ops->prior_draw) return prior_into(s, ch, k, attempt, u);
  dpi_rng rng = dpi_rng_make(s->def->seed, (uint64_t)ch->id << 8 | (uint64_t)k, DPI_RNG_SAMPLE_START);
  rng.counter = (uint64_t)attempt << DPI_SAMPLE_SHIFT;
  for (int i = 0; i < s->n; i++) u[i] = 4 * dpi_rng_uniform(&rng) - 2;
  if (s->def->start) { /* around it, within 10 % */
    double *x = s->z;
    dpi_box_from(s->d, s->def->start + (size_t)c * (size_t)s->n, x);
    for (int i = 0; i < s->n; i++) u[i] = x[i] + 0.05 * u[i];
  }
  return DP_OK;
}

/* Better starts to colder levels; the caller's own stays where it is. */
static void order_starts(sampler *s, chain *c) {
  for (int i = s->def->start ? 1 : 0; i < s->nlevel; i++)
    for (int j = i; j > (s->def->start ? 1 : 0) && c->level[j].loglik > c->level[j - 1].loglik; j--) {
      level t = c->level[j];
      c->level[j] = c->level[j - 1];
      c->level[j - 1] = t;
    }
}

/* Geometric from 1 to where the spread of the likelihood among the starts is of order 1, then 0 (or the least asked
 * for). */
static void first_ladder(sampler *s, chain *c) {
  int last = s->nlevel - 1;
  double worst = INFINITY, best = -INFINITY, hot = s->def->beta_least;
  for (int k = 0; k < s->nlevel; k++) {
    worst = fmin(worst, c->level[k].loglik);
    best = fmax(best, c->level[k].loglik);
  }
  if (s->proper) hot = fmin(0.3, fmax(1e-8, 2 / (best - worst + 1e-300)));
  int steps = s->proper ? last - 1 : last;
  for (int k = 0; k <= last; k++) c->beta[k] = dpi_m_exp(dpi_m_log(hot) * k / (steps > 0 ? steps : 1));
  if (s->proper) c->beta[last] = 0;
}

static void begin(sampler *s, chain *c) {
  int n = s->n;
  order_starts(s, c);
  first_ladder(s, c);
  for (int k = 0; k < s->nlevel; k++) {
    level *l = &c->level[k];
    memcpy(l->mean, l->u, sizeof(double) * (size_t)n);
    for (int i = 0; i < n; i++) l->cov[i * n + i] = l->chol[i * n + i] = 1;
    l->scale = dpi_m_log(2.38 / sqrt(n)) - 1;
    l->carried = k;
    c->rate[k] = 0.5;
  }
}

static dp_status start(sampler *s, dpi_tempering_report *report) {
  bool missing = true;
  size_t all = (size_t)s->def->nchain * (size_t)s->nlevel;
  uint8_t *have = DPI_ARENA_ARRAY(&s->arena, uint8_t, all);
  if (!have) return DP_ERR_MEMORY;
  for (int attempt = 0; missing && attempt < TRIES; attempt++) {
    missing = false;
    for (size_t i = 0; i < all; i++) /* who has a place stays there, so that batches keep their shape */
      if (!have[i]) DP_TRY(start_at(s, (int)(i / (size_t)s->nlevel), (int)(i % (size_t)s->nlevel), attempt));
    DP_TRY(evaluate(s, report));
    for (size_t i = 0; i < all; i++) {
      int c = (int)(i / (size_t)s->nlevel), k = (int)(i % (size_t)s->nlevel);
      if (!have[i] && s->value[i].ok) take(s, c, k, &s->chain[c].level[k]);
      have[i] = have[i] || s->value[i].ok;
      s->chain[c].stuck = (k > 0 && s->chain[c].stuck) || !have[i];
      missing = missing || !have[i];
      if (!have[i] && attempt == TRIES - 1 && report->reason[0] == 0)
        snprintf(report->reason, sizeof report->reason, "chain %d: no places to start from in %d tries: %s",
                 s->chain[c].id, TRIES, s->value[i].reason);
    }
  }
  for (int c = 0; c < s->def->nchain; c++) {
    report->nstuck += s->chain[c].stuck;
    if (!s->chain[c].stuck) begin(s, &s->chain[c]);
  }
  return DP_OK;
}

/* ---- moves ---- */

static dp_status propose(sampler *s, int c, int k, int64_t t, dpi_rng *rng) {
  chain *ch = &s->chain[c];
  level *l = &ch->level[k];
  int n = s->n, have = l->npast < PAST ? l->npast : PAST;
  double *to = slot(s, c, k), *z = s->z, *w = s->z + n;
  l->prior = s->proper && ch->beta[k] == 0;
  if (l->prior) return prior_into(s, ch, k, TRIES + t, to);
  double pick = dpi_rng_uniform(rng);
  for (int i = 0; i < n; i++) z[i] = dpi_rng_normal(rng);
  if (have >= PAST_LEAST && pick < PAST_SHARE) {
    int a = (int)(dpi_rng_uniform(rng) * have), b = (int)(dpi_rng_uniform(rng) * have);
    double step = pick < 0.1 * PAST_SHARE ? 1 : 2.38 / sqrt(2.0 * n); /* a whole difference leads from peak to peak */
    const double *p = l->past + (size_t)a * (size_t)n, *q = l->past + (size_t)b * (size_t)n;
    for (int i = 0; i < n; i++) to[i] = l->u[i] + step * (p[i] - q[i]) + 1e-3 * sqrt(l->cov[i * n + i]) * z[i];
    return DP_OK;
  }
  double scale = dpi_m_exp(l->scale) * (pick > 0.95 ? 0.1 : 1); /* now and then a small one */
  dpi_tri_mul_lower(l->chol, n, z, w);
  for (int i = 0; i < n; i++) to[i] = l->u[i] + scale * w[i];
  return DP_OK;
}

static void adapt_level(sampler *s, level *l, int t, double chance) {
  int n = s->n;
  double gain = dpi_m_pow(t + 1.0, -0.6), wanted = n == 1 ? 0.44 : WANTED;
  l->scale += gain * (chance - wanted) * 2;
  l->scale = fmax(-30, fmin(5, l->scale));
  for (int i = 0; i < n; i++) s->z[i] = l->u[i] - l->mean[i];
  for (int i = 0; i < n; i++) l->mean[i] += gain * s->z[i];
  for (int i = 0; i < n; i++)
    for (int j = 0; j <= i; j++) l->cov[i * n + j] += gain * (s->z[i] * s->z[j] - l->cov[i * n + j]);
  if (t % PAST_EVERY == 0) memcpy(l->past + (size_t)(l->npast++ % PAST) * (size_t)n, l->u, sizeof(double) * (size_t)n);
  if (t % REFACTOR != 0) return;
  double *try = s->square;
  memcpy(try, l->cov, sizeof(double) * (size_t)n * (size_t)n);
  for (int i = 0; i < n; i++) try[i * n + i] = try[i * n + i] * (1 + 1e-6) + 1e-12;
  if (dpi_chol(try, n)) memcpy(l->chol, try, sizeof(double) * (size_t)n * (size_t)n);
}

static void decide(sampler *s, int c, int k, int t, dpi_rng *rng) {
  chain *ch = &s->chain[c];
  level *l = &ch->level[k];
  size_t at = (size_t)c * (size_t)s->nlevel + (size_t)k;
  const dpi_density_value *v = &s->value[at];
  double pick = dpi_rng_uniform(rng), chance = 0;
  if (v->ok) {
    double gain = ch->beta[k] * (v->loglik - l->loglik) + v->logprior + s->jac[at] - l->logprior - l->jac;
    chance = l->prior || gain >= 0 ? 1 : dpi_m_exp(gain);
  }
  if (l->prior && t >= s->def->nwarmup) {
    ch->nprior++;
    ch->nevaluable += v->ok;
  }
  if (pick < chance) take(s, c, k, l);
  if (t < s->def->nwarmup && !l->prior) adapt_level(s, l, t, chance);
}

/* ---- exchanges ---- */

static void exchange(level *a, level *b) {
  level t = *a;
  a->u = b->u, a->loglik = b->loglik, a->logprior = b->logprior, a->jac = b->jac, a->carried = b->carried;
  b->u = t.u, b->loglik = t.loglik, b->logprior = t.logprior, b->jac = t.jac, b->carried = t.carried;
}

static void swap_levels(sampler *s, chain *c, int t) {
  dpi_rng rng = dpi_rng_make(s->def->seed, (uint64_t)c->id, DPI_RNG_TEMPER_SWAP);
  rng.counter = (uint64_t)t << DPI_SAMPLE_SHIFT;
  for (int k = t % 2; k + 1 < s->nlevel; k += 2) {
    level *a = &c->level[k], *b = a + 1;
    double gain = (c->beta[k] - c->beta[k + 1]) * (b->loglik - a->loglik), chance = gain >= 0 ? 1 : dpi_m_exp(gain);
    if (dpi_rng_uniform(&rng) < chance) exchange(a, b);
    c->rate[k] += RATE_MEMORY * (chance - c->rate[k]);
    if (t < s->def->nwarmup) continue;
    c->tried[k]++;
    c->swapped[k] += chance;
  }
}

/* Gaps between temperatures grow where neighbours meet more often than the next pair does. An infinite hottest
 * temperature leaves the others free; a finite one stays, and all gaps are scaled to it. */
static void adapt_ladder(sampler *s, chain *c, int t) {
  int last = s->nlevel - 1, free = s->proper ? last - 1 : last;
  double slow = 0.25 * s->def->nwarmup, rate = slow / (t + slow) / 30, sum = 0, temperature = 1;
  double gap[DPI_TEMPERING_MOST];
  for (int k = 1; k <= free; k++) {
    gap[k] = 1 / c->beta[k] - 1 / c->beta[k - 1];
    if (k < last) gap[k] *= dpi_m_exp(rate * (c->rate[k - 1] - c->rate[k]));
    sum += gap[k];
  }
  double scale = s->proper ? 1 : (1 / s->def->beta_least - 1) / sum;
  for (int k = 1; k <= free; k++) {
    temperature += scale * gap[k];
    c->beta[k] = 1 / fmin(temperature, 1e12 + k);
  }
}

static void follow(sampler *s, chain *c) {
  int hot = c->level[s->nlevel - 1].carried, cold = c->level[0].carried;
  if (s->nlevel < 2) return;
  c->heading[hot] = c->heading[hot] == -1 || c->heading[hot] == 2 ? 2 : 1; /* 2: came from the cold end */
  if (c->heading[cold] == 2) c->trips++;
  c->heading[cold] = -1;
}

/* ---- iterations ---- */

static void keep(sampler *s, int c, int t) {
  chain *ch = &s->chain[c];
  int after = t - s->def->nwarmup + 1, i = after / s->def->thin - 1;
  if (after < 1 || after % s->def->thin != 0) return;
  size_t at = dpi_draws_at(s->draws, c, i);
  dpi_box_to(s->d, ch->level[0].u, s->draws->x + at * (size_t)s->n);
  s->draws->loglik[at] = ch->level[0].loglik;
  s->draws->logprior[at] = ch->level[0].logprior;
  s->draws->done[c] = i + 1;
  for (int k = 0; k < s->nlevel; k++) ch->lik[(size_t)k * (size_t)s->def->ndraw + (size_t)i] = ch->level[k].loglik;
}

static dp_status iterate(sampler *s, int t, dpi_tempering_report *report) {
  for (int pass = 0; pass < 2; pass++) {
    for (int c = 0; c < s->def->nchain; c++)
      for (int k = 0; k < s->nlevel && !s->chain[c].stuck; k++) {
        dpi_rng rng = dpi_rng_make(s->def->seed, (uint64_t)s->chain[c].id << 8 | (uint64_t)k, DPI_RNG_TEMPER);
        rng.counter = ((uint64_t)t * 2 + (uint64_t)pass) << DPI_SAMPLE_SHIFT;
        if (pass == 0)
          DP_TRY(propose(s, c, k, t, &rng));
        else
          decide(s, c, k, t, &rng);
      }
    if (pass == 0) DP_TRY(evaluate(s, report));
  }
  for (int c = 0; c < s->def->nchain; c++) {
    if (s->chain[c].stuck) continue;
    swap_levels(s, &s->chain[c], t);
    if (t < s->def->nwarmup) adapt_ladder(s, &s->chain[c], t);
    if (t >= s->def->nwarmup) follow(s, &s->chain[c]);
    keep(s, c, t);
  }
  return DP_OK;
}

/* ---- going on from a file ---- */

typedef struct tape {
  double *at;
  bool load, bad;
} tape;

static void pass(tape *p, double *x, size_t n) {
  memcpy(p->load ? x : p->at, p->load ? p->at : x, sizeof(double) * n);
  p->at += n;
}

/* a whole number 0..most */
static int pass_whole(tape *p, int64_t x, int64_t most) {
  double d = (double)x;
  pass(p, &d, 1);
  if (d >= 0 && d <= (double)most && d == floor(d)) return (int)d;
  p->bad = true;
  return 0;
}

/* What a chain needs to go on, listed once for both directions. */
static void visit(sampler *s, chain *c, tape *p) {
  size_t n = (size_t)s->n, k = (size_t)s->nlevel;
  s->t = pass_whole(p, s->t, s->total);
  c->stuck = pass_whole(p, c->stuck, 1);
  c->trips = pass_whole(p, c->trips, s->total);
  pass(p, &c->nprior, 1);
  pass(p, &c->nevaluable, 1);
  pass(p, c->beta, k);
  pass(p, c->rate, k);
  pass(p, c->tried, k);
  pass(p, c->swapped, k);
  pass(p, c->lik, k * (size_t)s->def->ndraw);
  for (size_t i = 0; i < k; i++) {
    level *l = &c->level[i];
    c->heading[i] = (int8_t)(pass_whole(p, c->heading[i] + 1, 3) - 1);
    l->carried = pass_whole(p, l->carried, s->nlevel - 1);
    l->npast = pass_whole(p, l->npast, s->total);
    pass(p, &l->loglik, 1);
    pass(p, &l->logprior, 1);
    pass(p, &l->jac, 1);
    pass(p, &l->scale, 1);
    pass(p, l->u, n);
    pass(p, l->mean, n);
    pass(p, l->cov, n * n);
    pass(p, l->chol, n * n);
    pass(p, l->past, PAST * n);
  }
}

static int64_t state_size(const sampler *s) {
  int64_t n = s->n, k = s->nlevel;
  return 5 + 4 * k + k * s->def->ndraw + k * (7 + 2 * n + 2 * n * n + PAST * n);
}

static dp_status save(sampler *s) {
  dpi_log(s->d->ctx, 3, "tempering: %d of %d iterations", s->t, s->total);
  if (!s->def->file) return DP_OK;
  for (int c = 0; c < s->def->nchain; c++) {
    tape p = {s->draws->state + (size_t)c * (size_t)s->draws->nstate, false, false};
    visit(s, &s->chain[c], &p);
  }
  return dpi_draws_save(s->draws, s->def->file);
}

static dp_status load(sampler *s, dpi_tempering_report *report) {
  size_t size = (size_t)s->draws->nstate;
  int t = -1;
  for (int c = 0; c < s->def->nchain; c++) {
    double *state = s->draws->state + (size_t)c * size;
    chain *ch = &s->chain[c];
    tape p = {state, true, false};
    visit(s, ch, &p);
    for (size_t i = 0; i < size; i++) p.bad = p.bad || !isfinite(state[i]);
    for (int k = 0; k < s->nlevel && !ch->stuck; k++)
      p.bad = p.bad || ch->beta[k] < 0 || ch->beta[k] > 1 || (k > 0 && ch->beta[k] >= ch->beta[k - 1]);
    int made = s->t > s->def->nwarmup ? (s->t - s->def->nwarmup) / s->def->thin : 0;
    if (p.bad || (c > 0 && s->t != t) || s->draws->done[c] != (ch->stuck ? 0 : made))
      return dpi_fail(s->d->ctx, DP_ERR_INPUT, "%s: the state of chain %d is damaged: remove the file to start anew",
                      s->def->file, ch->id);
    t = s->t;
    report->nstuck += ch->stuck;
    if (ch->stuck) snprintf(report->reason, sizeof report->reason, "chain %d: no places to start from", ch->id);
  }
  return DP_OK;
}

/* ---- evidence ---- */

/* ln of the mean of exp(step x lik); what each draw adds to that logarithm goes, with a sign, into influence [m]. */
static double log_mean(const double *lik, int m, double step, double sign, double *influence) {
  double top = -INFINITY, sum = 0;
  for (int i = 0; i < m; i++) top = fmax(top, step * lik[i]);
  for (int i = 0; i < m; i++) sum += dpi_m_exp(step * lik[i] - top) / m;
  for (int i = 0; i < m; i++) influence[i] += sign * dpi_m_exp(step * lik[i] - top) / sum;
  return sign * (top + dpi_m_log(sum));
}

/* One chain's evidence. Its variance is that of one series, the sum of what all levels add at the same time: neighbours
 * exchange places, and a level serves two bridges, so that their errors are far from independent. */
static double chain_evidence(sampler *s, const chain *c, double *influence, double *var, double *integrated) {
  int m = s->def->ndraw;
  double e = c->nprior > 0 ? dpi_m_log(c->nevaluable / c->nprior) : 0, mean = 0, spread = 0;
  *integrated = e;
  memset(influence, 0, sizeof(double) * (size_t)m);
  for (int k = 0; k + 1 < s->nlevel; k++) {
    double step = c->beta[k] - c->beta[k + 1];
    const double *cold = c->lik + (size_t)k * (size_t)m, *hot = cold + m;
    e += log_mean(hot, m, 0.5 * step, 1, influence) + log_mean(cold, m, -0.5 * step, -1, influence);
    *integrated += 0.5 * step * (dpi_sum(cold, m) + dpi_sum(hot, m)) / m;
  }
  for (int i = 0; i < m; i++) mean += influence[i] / m;
  for (int i = 0; i < m; i++) spread += (influence[i] - mean) * (influence[i] - mean) / m;
  double ess = dpi_mixing_ess(influence, 1, m);
  *var = spread / (ess > 1 ? ess : 1) + (c->nevaluable > 0 ? (1 - c->nevaluable / c->nprior) / c->nevaluable : 0);
  return e;
}

/* The mean over chains; its error from the series and from the chains' spread, whichever is larger. */
static dp_status evidence(sampler *s, dpi_tempering_report *report) {
  int nchain = s->def->nchain, m = 0;
  double *w = numbers(&s->arena, (size_t)s->def->ndraw), *each = numbers(&s->arena, (size_t)nchain), var = 0,
         spread = 0;
  report->evidence = report->evidence_error = report->integrated = NAN;
  if (!w || !each) return DP_ERR_MEMORY;
  if (!s->proper || report->nstuck > 0) return DP_OK;
  report->evidence = report->integrated = 0;
  for (int c = 0; c < nchain; c++, m++) {
    double one, integrated;
    each[c] = chain_evidence(s, &s->chain[c], w, &one, &integrated);
    var += one / nchain / nchain;
    report->evidence += each[c] / nchain;
    report->integrated += integrated / nchain;
  }
  for (int c = 0; c < nchain; c++) spread += (each[c] - report->evidence) * (each[c] - report->evidence);
  if (m > 1) var = fmax(var, spread / (m - 1.0) / m);
  report->evidence_error = sqrt(var);
  return DP_OK;
}

static void summarise(sampler *s, dpi_tempering_report *report) {
  report->nlevel = s->nlevel;
  report->swap_least = 1;
  for (int c = 0; c < s->def->nchain; c++) {
    const chain *ch = &s->chain[c];
    for (int k = 0; k + 1 < s->nlevel; k++)
      if (ch->tried[k] > 0) report->swap_least = fmin(report->swap_least, ch->swapped[k] / ch->tried[k]);
    report->round_trips += (double)ch->trips / s->def->nchain;
  }
  for (int k = 0; k < s->nlevel; k++) report->beta[k] = s->chain[0].beta[k];
}

/* ---- the call ---- */

dpi_tempering_def dpi_tempering_def_default(void) {
  return (dpi_tempering_def){
      .seed = 1, .nchain = 2, .nwarmup = 5000, .ndraw = 5000, .thin = 2, .beta_least = 0.01, .checkpoint = 1000};
}

static dp_status check(dpi_density *d, const dpi_tempering_def *def) {
  if (def->nchain < 1 || def->first_chain < 0 || def->first_chain + def->nchain > 65535 || def->nwarmup < 10 ||
      def->ndraw < 8 || def->thin < 1 || def->checkpoint < 1 || def->nwarmup > 1000000000 ||
      def->ndraw > 1000000000 / def->thin)
    return dpi_fail(d->ctx, DP_ERR_USAGE,
                    "tempering: %d chains, %d iterations of warm-up, %d draws one in %d: out of range", def->nchain,
                    def->nwarmup, def->ndraw, def->thin);
  if (def->nlevel != 0 && (def->nlevel < 2 || def->nlevel > DPI_TEMPERING_MOST))
    return dpi_fail(d->ctx, DP_ERR_USAGE, "tempering: %d levels: expected 2 to %d", def->nlevel, DPI_TEMPERING_MOST);
  if (!(def->beta_least > 0 && def->beta_least < 1))
    return dpi_fail(d->ctx, DP_ERR_USAGE, "tempering: least beta %g: expected between 0 and 1", def->beta_least);
  return DP_OK;
}

static dp_status open_draws(sampler *s, bool old) {
  const dpi_tempering_def *def = s->def;
  char tag[300];
  int64_t size = def->file ? state_size(s) : 0;
  if (size > 1 << 28)
    return dpi_fail(s->d->ctx, DP_ERR_INPUT, "tempering: a file of %lld numbers a chain: draw fewer, or without a file",
                    (long long)size);
  snprintf(tag, sizeof tag, "levels=%d warmup=%d thin=%d least=%.17g start=%d %s", s->nlevel, def->nwarmup, def->thin,
           def->beta_least, def->start != NULL, def->tag ? def->tag : "");
  dpi_draws_def w = {.sampler = "tempering",
                     .tag = tag,
                     .seed = def->seed,
                     .n = s->n,
                     .name = s->d->name,
                     .nchain = def->nchain,
                     .first_chain = def->first_chain,
                     .ndraw = def->ndraw,
                     .nstate = (int)size};
  return old ? dpi_draws_load(s->d->ctx, def->file, &w, &s->draws) : dpi_draws_create(s->d->ctx, &w, &s->draws);
}

static dp_status go(sampler *s, dpi_tempering_report *report) {
  dp_status status = DP_OK;
  while (status == DP_OK && report->nstuck < s->def->nchain && s->t < s->total) {
    status = iterate(s, s->t, report);
    if (status == DP_OK && ++s->t % s->def->checkpoint == 0) status = save(s);
  }
  /* cancelled before anything of this iteration was decided: what there is must not be lost */
  if (status != DP_OK && status != DP_ERR_CANCELLED) return status;
  dp_status saved = save(s);
  return status == DP_OK ? saved : status;
}

static dp_status run(sampler *s, dpi_tempering_report *report) {
  bool old = s->def->file && dpi_file_exists(s->def->file);
  s->total = s->def->nwarmup + s->def->ndraw * s->def->thin;
  DP_TRY(open_draws(s, old));
  DP_TRY(sampler_make(s));
  DP_TRY(old ? load(s, report) : start(s, report));
  DP_TRY(go(s, report));
  summarise(s, report);
  return evidence(s, report);
}

dp_status dpi_tempering_run(dpi_density *d, const dpi_tempering_def *def, dpi_draws **out,
                            dpi_tempering_report *report) {
  sampler s = {.d = d, .def = def, .n = d->n, .proper = d->ops->prior_draw != NULL};
  *out = NULL;
  memset(report, 0, sizeof *report);
  DP_TRY(check(d, def));
  int some = 8 + (int)(2 * sqrt(d->n));
  s.nlevel = def->nlevel ? def->nlevel : (some < DPI_TEMPERING_MOST ? some : DPI_TEMPERING_MOST);
  dpi_arena_init(&s.arena, d->ctx);
  dp_status status = run(&s, report);
  dpi_arena_release(&s.arena);
  if (status == DP_OK)
    *out = s.draws;
  else
    dpi_draws_destroy(s.draws);
  return status;
}

dp_status dpi_tempering_verdict(const dpi_draws *draws, const dpi_tempering_report *report, dpi_verdict *v) {
  DP_TRY(dpi_verdict_chains(draws, NULL, v));
  if (report->nstuck > 0) {
    dpi_verdict_add(v, true, "%s", report->reason);
    return DP_OK;
  }
  bool apart = report->swap_least < DPI_VERDICT_SWAP, few = report->round_trips < DPI_VERDICT_TRIPS;
  dpi_verdict_add(v, apart, "neighbouring levels exchange at least %.2g of the time%s", report->swap_least,
                  apart ? ": use more levels" : "");
  dpi_verdict_add(v, few, "%.0f round trips a chain%s", report->round_trips,
                  few ? ": too few to weigh separate modes; draw longer" : "");
  if (isfinite(report->evidence))
    dpi_verdict_add(v, report->evidence_error > 0.5, "ln evidence %.4g +- %.2g", report->evidence,
                    report->evidence_error);
  return DP_OK;
}
