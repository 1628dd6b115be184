/* smc.c - floor 6, folder sample: adaptive sequential Monte Carlo.
 *
 * Sources:
 *   P. Del Moral, A. Doucet, A. Jasra, "Sequential Monte Carlo samplers", J. R. Stat. Soc. B 68 (2006) 411
 *   steps of beta by bisection on the effective size: A. Jasra et al., Scand. J. Stat. 38 (2011) 1
 *   moves: random walk with the particles' weighted covariance (N. Chopin, Biometrika 89 (2002) 539), mixed half and
 *     half with a preconditioned Crank-Nicolson move that is reversible for a multivariate t matched to the particles
 *     (K. Kamatani, Bernoulli 24 (2018) 3711; with t as in M. Karamanis et al., MNRAS 516 (2022) 1644): given the scale
 *     lambda drawn for the present place it is an autoregression towards the mean; with a full step it is an
 *     independence sampler. Where the particles lie in pieces, each of these is a piece's: a walk takes the covariance
 *     of a piece drawn by the shares here, and the same piece's shares here and there enter the ratio; an
 *     autoregression's piece is drawn so too, which is reversible for the mixture as it is for each piece; half the
 *     moves are then jumps, draws of the whole mixture
 *
 * One repeat:
 *
 *     draw the prior where the density can be evaluated (the share of that is part of the evidence)
 *     until beta = 1:  next beta -> weights -> evidence -> pieces (mixture.h) -> resample -> sweeps until decorrelated
 *
 * The particles are two halves with a common beta. Each is weighed and resampled by itself, and moved by the pieces
 * of the other: moves fitted to the very particles they move keep a direction narrow in which these happen
 * to be close together, and the evidence comes out too large (in 50 directions by a factor of 2 with 1000 particles).
 *
 * Sweeps end when the correlation with the places before them is small, or when it does not fall any more (peaks that
 * moves can't cross: then resampling alone decides about their weights).
 *
 * Particle i of repeat r has the stream (r << 32 | i), each sweep its own counter.
 */
#include "infer/sample/smc.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "infer/infer.h"
#include "infer/sample/mixture.h"

#define DOF 5.0           /* of the t that autoregression is reversible for */
#define WANTED 0.234      /* acceptance that both step sizes are adapted to */
#define PLATEAU 10        /* sweeps over which correlation must fall ... */
#define PLATEAU_FALL 0.95 /* ... to this share of what it was */
#define STEPS_MOST 2000
#define PIECES 8          /* of a half, at most */
#define JUMPS 0.5        /* share of moves that go anywhere, where there are several pieces */
#define REFIT 5           /* sweeps between two descriptions of particles that settle */
#define STILL 0.1         /* deviations by which no direction shifts or widens between two of these: settled */
#define BATCHES 20 /* of draws of the prior, until there are particles enough that can be evaluated */

typedef enum move_kind { WALK, REGRESS, JUMP, NKIND } move_kind;

typedef struct cloud {
  dpi_density *d;
  const dpi_smc_def *def;
  dpi_arena arena;
  int n, npart, half;
  uint64_t repeat;
  double beta;
  double evidence[2];        /* of both halves */
  double *u, *loglik, *base; /* the particles: place, likelihood, logprior + ln |dx/du| */
  double *logprior;
  double *next, *x, *next_jac; /* proposals */
  double *ratio;               /* ln of what a proposal's reversibility asks for */
  uint8_t *kind, *piece;       /* of move, and by which piece */
  double *here, *there;        /* ln density of the other half's pieces at places and proposals, */
  double *share, *share_there; /* [nparticle x DPI_MIXTURE_MOST] and each one's part */
  double *work;
  dpi_density_value *value;
  double *before, *loglik_before; /* after resampling */
  double *weight, *z;
  dpi_arena pieces[2];       /* of this beta, a half's each */
  dpi_mixture mix[2];        /* what both halves look like */
  int *index;
  double step[2]; /* of WALK and REGRESS */
  double accept;
  double correlation;
  long nsweep;
  int nstep;
} cloud;

static double *numbers(dpi_arena *a, size_t n) { return DPI_ARENA_ARRAY(a, double, n); }

static dp_status cloud_make(cloud *c, dpi_density *d, const dpi_smc_def *def) {
  size_t p = (size_t)def->nparticle, n = (size_t)d->n;
  dpi_arena *a = &c->arena;
  c->d = d;
  c->def = def;
  c->n = d->n;
  c->npart = def->nparticle;
  c->half = def->nparticle / 2;
  double **many[] = {&c->u, &c->next, &c->x, &c->before};
  double **one[] = {&c->loglik, &c->base,   &c->logprior,      &c->next_jac, &c->ratio,
                    &c->weight, &c->here, &c->there, &c->loglik_before};
  const dpi_mixture largest = {.n = d->n, .ncomponent = DPI_MIXTURE_MOST};
  bool ok = true;
  for (int i = 0; i < DPI_COUNT(many); i++) ok = ok && (*many[i] = numbers(a, p * n)) != NULL;
  for (int i = 0; i < DPI_COUNT(one); i++) ok = ok && (*one[i] = numbers(a, p)) != NULL;
  c->z = numbers(a, 2 * n);
  c->kind = DPI_ARENA_ARRAY(a, uint8_t, p);
  c->piece = DPI_ARENA_ARRAY(a, uint8_t, p);
  c->share = numbers(a, p * DPI_MIXTURE_MOST);
  c->share_there = numbers(a, p * DPI_MIXTURE_MOST);
  c->work = numbers(a, dpi_mixture_work(&largest));
  c->index = DPI_ARENA_ARRAY(a, int, p);
  c->value = DPI_ARENA_ARRAY(a, dpi_density_value, p);
  ok = ok && c->piece && c->share && c->share_there && c->work;
  return ok && c->z && c->kind && c->index && c->value ? DP_OK : DP_ERR_MEMORY;
}

static double *row(double *x, int i, int n) { return x + (size_t)i * (size_t)n; }

static dp_status evaluate(cloud *c, dpi_smc_report *report) {
  memset(c->value, 0, sizeof *c->value * (size_t)c->npart);
  report->nbatch++;
  report->npoint += c->npart;
  return dpi_box_eval(c->d, c->npart, c->next, DPI_DENSITY_VALUE, c->x, c->next_jac, c->value);
}

/* Proposal i becomes particle `slot`. */
static void take(cloud *c, int i, int slot) {
  memcpy(row(c->u, slot, c->n), row(c->next, i, c->n), sizeof(double) * (size_t)c->n);
  c->loglik[slot] = c->value[i].loglik;
  c->logprior[slot] = c->value[i].logprior;
  c->base[slot] = c->value[i].logprior + c->next_jac[i];
}

/* ---- beta, weights, evidence ---- */

/* Weights of a step of beta within one half, summing to 1; their mean's logarithm. */
static double weigh(cloud *c, int first, int m, double step) {
  double top = -INFINITY, sum = 0;
  double *w = c->weight + first;
  for (int i = 0; i < m; i++) {
    w[i] = c->loglik[first + i] == -INFINITY ? -INFINITY : step * c->loglik[first + i];
    top = fmax(top, w[i]);
  }
  for (int i = 0; i < m; i++) {
    w[i] = dpi_m_exp(w[i] - top);
    sum += w[i];
  }
  for (int i = 0; i < m; i++) w[i] /= sum;
  return top + dpi_m_log(sum / m);
}

/* Effective share of the particles after a step of beta: of the half that has less. */
static double effective(cloud *c, double step) {
  double least = 1;
  for (int h = 0; h < 2; h++) {
    weigh(c, h * c->half, c->half, step);
    least = fmin(least, dpi_ess(c->weight + h * c->half, c->half) / c->half);
  }
  return least;
}

/* The longest step that leaves enough effective particles. */
static double find_step(cloud *c) {
  double left = 1 - c->beta, low = 0, high = left;
  if (effective(c, left) >= c->def->ess) return left;
  for (int i = 0; i < 200 && high - low > 1e-6 * high; i++) {
    double step = 0.5 * (low + high);
    if (effective(c, step) < c->def->ess)
      high = step;
    else
      low = step;
  }
  return low > 0 ? low : high;
}

static void resample(cloud *c, int first, int m, int half) {
  uint64_t r = dpi_rng_at(c->def->seed, c->repeat, DPI_RNG_SMC_RESAMPLE, (uint64_t)c->nstep * 2 + (uint64_t)half);
  dpi_resample(c->weight + first, m, ((double)(r >> 12) + 0.5) * 0x1p-52, m, c->index + first);
  for (int i = first; i < first + m; i++) c->index[i] += first;
}

/* dpi_work_fn: the weighted particles of half h as a mixture. */
static dp_status describe_half(void *user, int h, int worker) {
  cloud *c = user;
  const int from = h * c->half;
  const dpi_mixture_def def = {
      .x = row(c->u, from, c->n), .weight = c->weight + from, .npoint = c->half, .n = c->n, .most = PIECES};
  (void)worker;
  return dpi_mixture_fit(&c->pieces[h], &def, &c->mix[h]);
}

static dp_status describe(cloud *c) {
  for (int h = 0; h < 2; h++) dpi_arena_release(&c->pieces[h]);
  return dpi_parallel_for(c->d->ctx, 2, describe_half, c);
}

static void gather(double *x, double *room, const int *index, int m, int width) {
  for (int i = 0; i < m; i++) memcpy(row(room, i, width), row(x, index[i], width), sizeof(double) * (size_t)width);
  memcpy(x, room, sizeof(double) * (size_t)m * (size_t)width);
}

/* The next beta: weights, evidence, moments, resampling. The first time, slots without a place are filled instead. */
static dp_status step_beta(cloud *c) {
  bool dead = false;
  int m = c->npart;
  for (int i = 0; i < m; i++) dead = dead || c->loglik[i] == -INFINITY;
  if (dead) {
    weigh(c, 0, m, 0);
    resample(c, 0, m, 0);
  } else {
    double step = find_step(c), left = 1 - c->beta;
    c->beta = step == left ? 1 : c->beta + step;
    for (int h = 0; h < 2; h++) {
      c->evidence[h] += weigh(c, h * c->half, c->half, step);
      resample(c, h * c->half, c->half, h);
    }
  }
  DP_TRY(describe(c));
  gather(c->u, c->next, c->index, m, c->n);
  gather(c->loglik, c->ratio, c->index, m, 1);
  gather(c->logprior, c->ratio, c->index, m, 1);
  gather(c->base, c->ratio, c->index, m, 1);
  memcpy(c->before, c->u, sizeof(double) * (size_t)m * (size_t)c->n);
  memcpy(c->loglik_before, c->loglik, sizeof(double) * (size_t)m);
  return DP_OK;
}

/* ---- moves ---- */

/* Which of pieces with these shares (or weights)? */
static int pick(const double *share, int k, double at) {
  int c = 0;
  while (c < k - 1 && at >= share[c]) at -= share[c++];
  return c;
}

/* to = mean + back (u - mean) + scale (factor of piece `k`) z: reversible for the piece's t law where `scale` is drawn
 * for its distance. */
static void regress(const dpi_mixture *mix, int k, double step, const double *u, dpi_rng *rng, const double *z,
                    double *w, double *to) {
  const int n = mix->n;
  const double *mean = mix->mean + (size_t)k * n, *chol = mix->chol + (size_t)k * n * n;
  double here = 0, back = sqrt(1 - step * step);
  for (int a = 0; a < n; a++) w[a] = u[a] - mean[a];
  dpi_tri_solve_lower(chol, n, w);
  for (int a = 0; a < n; a++) here += w[a] * w[a];
  double arg[2] = {0.5 * (DOF + n), 2 / (DOF + here)};
  double scale = step / sqrt(dpi_variate_draw(DPI_VARIATE_GAMMA, arg, 2, rng));
  dpi_tri_mul_lower(chol, n, z, w);
  for (int a = 0; a < n; a++) to[a] = mean[a] + back * (u[a] - mean[a]) + scale * w[a];
}

/* A draw of piece k's t law. */
static void jump(const dpi_mixture *mix, int k, dpi_rng *rng, const double *z, double *w, double *to) {
  const int n = mix->n;
  double arg[2] = {0.5 * DOF, 2 / DOF}, scale = 1 / sqrt(dpi_variate_draw(DPI_VARIATE_GAMMA, arg, 2, rng));
  dpi_tri_mul_lower(mix->chol + (size_t)k * n * n, n, z, w);
  for (int a = 0; a < n; a++) to[a] = mix->mean[(size_t)k * n + a] + scale * w[a];
}

/* Particle i's proposal; the density of where it is enters the ratio, that of where it goes is not known yet. */
static void propose(cloud *c, int i) {
  const int n = c->n;
  const dpi_mixture *mix = &c->mix[i < c->half]; /* of the half that it is not in */
  const double *u = row(c->u, i, n), *share = c->share + (size_t)i * DPI_MIXTURE_MOST;
  double *to = row(c->next, i, n), *z = c->z, *w = c->z + n;
  dpi_rng rng = dpi_rng_make(c->def->seed, c->repeat << 32 | (uint64_t)i, DPI_RNG_SMC);
  rng.counter = (uint64_t)(c->nsweep + 1) << DPI_SAMPLE_SHIFT;
  c->kind[i] = dpi_rng_uniform(&rng) < 0.5 ? REGRESS : WALK;
  int k = 0;
  if (mix->ncomponent > 1) {
    if (dpi_rng_uniform(&rng) < JUMPS) c->kind[i] = JUMP;
    k = pick(c->kind[i] == JUMP ? mix->weight : share, mix->ncomponent, dpi_rng_uniform(&rng));
  }
  for (int a = 0; a < n; a++) z[a] = dpi_rng_normal(&rng);
  if (c->kind[i] == WALK) {
    dpi_tri_mul_lower(mix->chol + (size_t)k * n * n, n, z, w);
    for (int a = 0; a < n; a++) to[a] = u[a] + c->step[WALK] * w[a];
  } else if (c->kind[i] == JUMP) {
    jump(mix, k, &rng, z, w, to);
  } else {
    regress(mix, k, c->step[REGRESS], u, &rng, z, w, to);
  }
  c->piece[i] = (uint8_t)k;
}

/* Density at x [npart x n] of the half that a particle is not in, and each piece's part: half h's particles. */
static void densities(cloud *c, int h, const double *x, double *density, double *share) {
  const dpi_mixture *mix = &c->mix[!h];
  const int first = h * c->half, m = h ? c->npart - c->half : c->half, k = mix->ncomponent;
  double *parts = share + (size_t)first * DPI_MIXTURE_MOST;
  dpi_mixture_logpdf(mix, DOF, x + (size_t)first * (size_t)c->n, m, density + first, parts, c->work);
  for (int i = m - 1; i > 0; i--)
    memmove(parts + (size_t)i * DPI_MIXTURE_MOST, parts + (size_t)i * (size_t)k, sizeof(double) * (size_t)k);
}

/* All proposals, and ln of what the reversibility of each asks for. */
static void propose_all(cloud *c) {
  for (int h = 0; h < 2; h++) densities(c, h, c->u, c->here, c->share);
  for (int i = 0; i < c->npart; i++) propose(c, i);
  for (int h = 0; h < 2; h++) densities(c, h, c->next, c->there, c->share_there);
  for (int i = 0; i < c->npart; i++) {
    const size_t at = (size_t)i * DPI_MIXTURE_MOST + c->piece[i];
    c->ratio[i] = c->kind[i] != WALK ? c->here[i] - c->there[i] : 0;
    if (c->kind[i] == WALK && c->mix[i < c->half].ncomponent > 1)
      c->ratio[i] = dpi_m_log(c->share_there[at]) - dpi_m_log(c->share[at]);
  }
}

/* Where adaptation begins: a walk's best step where the law is normal. */
static void first_steps(cloud *c) {
  c->step[WALK] = 2.38 / sqrt(c->n);
  c->step[REGRESS] = fmin(0.99, c->step[WALK]);
}

/* Step sizes towards the acceptance wanted; gain falls with the sweeps at this beta. */
static void adapt(cloud *c, const double *accepted, const int *tried, int sweep) {
  double gain = 2 / sqrt(sweep + 1.0);
  for (int k = WALK; k <= REGRESS; k++)
    if (tried[k] > 0) c->step[k] *= dpi_m_exp(gain * (accepted[k] / tried[k] - WANTED));
  c->step[WALK] = fmin(c->step[WALK], 10);
  c->step[REGRESS] = fmin(c->step[REGRESS], 0.99);
  c->accept = (accepted[WALK] + accepted[REGRESS] + accepted[JUMP]) / c->npart;
}

static dp_status sweep(cloud *c, int number, dpi_smc_report *report) {
  double accepted[NKIND] = {0};
  int tried[NKIND] = {0};
  propose_all(c);
  DP_TRY(evaluate(c, report));
  for (int i = 0; i < c->npart; i++) {
    const dpi_density_value *v = &c->value[i];
    uint64_t at = ((uint64_t)(c->nsweep + 1) << DPI_SAMPLE_SHIFT) - 1; /* the last number of the sweep before */
    uint64_t r = dpi_rng_at(c->def->seed, c->repeat << 32 | (uint64_t)i, DPI_RNG_SMC, at);
    double gain = -INFINITY, pick = ((double)(r >> 12) + 0.5) * 0x1p-52;
    if (v->ok) gain = c->beta * (v->loglik - c->loglik[i]) + v->logprior + c->next_jac[i] - c->base[i] + c->ratio[i];
    double chance = gain >= 0 ? 1 : (gain > -INFINITY ? dpi_m_exp(gain) : 0);
    accepted[c->kind[i]] += chance;
    tried[c->kind[i]]++;
    if (pick < chance) take(c, i, i);
  }
  adapt(c, accepted, tried, number);
  c->nsweep++;
  return DP_OK;
}

/* Correlation over particles of a and b, both with a stride. */
static double correlate(const double *a, const double *b, int m, int stride) {
  double ma = 0, mb = 0, aa = 0, bb = 0, ab = 0;
  for (int i = 0; i < m; i++) {
    ma += a[(size_t)i * (size_t)stride] / m;
    mb += b[(size_t)i * (size_t)stride] / m;
  }
  for (int i = 0; i < m; i++) {
    double p = a[(size_t)i * (size_t)stride] - ma, q = b[(size_t)i * (size_t)stride] - mb;
    aa += p * p;
    bb += q * q;
    ab += p * q;
  }
  return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

/* The largest correlation between now and before the sweeps: of every direction, and of the likelihood, whose
 * distribution forgets more slowly than any direction when there are many, and on which the evidence rests. */
static double correlation(const cloud *c) {
  double most = correlate(c->loglik_before, c->loglik, c->npart, 1);
  for (int k = 0; k < c->n; k++) most = fmax(most, correlate(c->before + k, c->u + k, c->npart, c->n));
  return most;
}

static dp_status move(cloud *c, dpi_smc_report *report) {
  double last = 1;
  for (int s = 0; s < c->def->max_move; s++) {
    DP_TRY(sweep(c, s, report));
    c->correlation = correlation(c);
    if (c->correlation <= c->def->correlation) break;
    if (s % PLATEAU != PLATEAU - 1) continue;
    if (s >= PLATEAU && c->correlation > PLATEAU_FALL * last) break;
    last = c->correlation;
  }
  return DP_OK;
}

/* ---- one repeat ---- */

/* Particles of the prior: batches of draws until all slots hold one that can be evaluated, or for long enough; what
 * share of draws can be is part of the evidence. *any: there is one. */
static dp_status begin(cloud *c, bool *any, dpi_smc_report *report) {
  double ok = 0, total = 0;
  int filled = 0;
  for (int i = 0; i < c->npart; i++) c->loglik[i] = -INFINITY;
  for (uint64_t batch = 0; batch < BATCHES && filled < c->npart; batch++) {
    for (int i = 0; i < c->npart; i++) {
      uint64_t index = c->repeat << 40 | batch << 32 | (uint64_t)i;
      DP_TRY(c->d->ops->prior_draw(c->d, c->def->seed, index, c->x));
      dpi_box_from(c->d, c->x, row(c->next, i, c->n));
    }
    DP_TRY(evaluate(c, report));
    for (int i = 0; i < c->npart; i++) {
      ok += c->value[i].ok;
      if (c->value[i].ok && filled < c->npart) take(c, i, filled++);
    }
    total += c->npart;
  }
  *any = filled > 0;
  if (!*any && report->nempty++ == 0)
    snprintf(report->reason, sizeof report->reason, "repeat %d: none of %.0f draws of the prior can be evaluated: %s",
             (int)c->repeat, total, c->value[0].reason);
  c->evidence[0] = c->evidence[1] = *any ? dpi_m_log(ok / total) : -INFINITY;
  c->beta = c->accept = 0;
  c->correlation = 1;
  c->nsweep = c->nstep = 0;
  first_steps(c);
  return DP_OK;
}

static void keep(cloud *c, dpi_draws *w, int slot) {
  int unique = 1;
  double *state = w->state + (size_t)slot * DPI_SMC_NSTATE;
  for (int i = 0; i < c->npart; i++) {
    size_t at = dpi_draws_at(w, slot, i);
    dpi_box_to(c->d, row(c->u, i, c->n), w->x + at * (size_t)w->n);
    w->loglik[at] = c->loglik[i];
    w->logprior[at] = c->logprior[i];
    unique += i > 0 && memcmp(row(c->u, i, c->n), row(c->u, i - 1, c->n), sizeof(double) * (size_t)c->n) != 0;
  }
  state[DPI_SMC_HALF_A] = c->evidence[0];
  state[DPI_SMC_HALF_B] = c->evidence[1];
  state[DPI_SMC_STEPS] = c->nstep;
  state[DPI_SMC_SWEEPS] = (double)c->nsweep;
  state[DPI_SMC_ACCEPT] = c->accept;
  state[DPI_SMC_CORRELATION] = c->correlation;
  state[DPI_SMC_UNIQUE] = (double)unique / c->npart;
  w->done[slot] = c->npart;
}

static dp_status repeat(cloud *c, dpi_draws *w, int slot, dpi_smc_report *report) {
  bool any;
  c->repeat = (uint64_t)(c->def->first_repeat + slot);
  DP_TRY(begin(c, &any, report));
  while (any && c->beta < 1) {
    if (c->nstep++ == STEPS_MOST)
      return dpi_fail(c->d->ctx, DP_ERR_CONVERGE, "sequential Monte Carlo: beta %g after %d steps", c->beta,
                      STEPS_MOST);
    DP_TRY(step_beta(c));
    DP_TRY(move(c, report));
    dpi_log(c->d->ctx, 3, "smc: repeat %d: beta %.3g after %ld sweeps", (int)c->repeat, c->beta, c->nsweep);
  }
  if (any) keep(c, w, slot);
  return DP_OK;
}

/* ---- the call ---- */

dpi_smc_def dpi_smc_def_default(void) {
  return (dpi_smc_def){.seed = 1, .nparticle = 1000, .nrepeat = 4, .ess = 0.5, .correlation = 0.1, .max_move = 200};
}

static dp_status check(dpi_density *d, const dpi_smc_def *def) {
  if (def->nparticle < 16 || def->nparticle % 2 != 0 || def->nrepeat < 1 || def->first_repeat < 0 || def->max_move < 1)
    return dpi_fail(d->ctx, DP_ERR_USAGE,
                    "sequential Monte Carlo: %d particles (even, at least 16), %d repeats, %d sweeps: out of "
                    "range",
                    def->nparticle, def->nrepeat, def->max_move);
  if (!(def->ess > 0 && def->ess < 1) || !(def->correlation > 0 && def->correlation < 1))
    return dpi_fail(d->ctx, DP_ERR_USAGE,
                    "sequential Monte Carlo: effective share %g, correlation %g: expected between 0 "
                    "and 1",
                    def->ess, def->correlation);
  return DP_OK;
}

/* The mean of all halves of all repeats; their spread as its error. */
static void summarise(const dpi_draws *w, dpi_smc_report *report) {
  double top = -INFINITY, sum = 0, mean = 0, var = 0;
  int m = 2 * w->nchain;
  report->evidence = report->evidence_error = NAN;
  if (report->nempty > 0) return;
  for (int i = 0; i < m; i++) {
    double e = w->state[(size_t)(i / 2) * DPI_SMC_NSTATE + DPI_SMC_HALF_A + (size_t)(i % 2)];
    top = fmax(top, e);
    mean += e / m;
  }
  for (int i = 0; i < m; i++) {
    double e = w->state[(size_t)(i / 2) * DPI_SMC_NSTATE + DPI_SMC_HALF_A + (size_t)(i % 2)];
    sum += dpi_m_exp(e - top) / m;
    var += (e - mean) * (e - mean) / (m - 1);
  }
  report->evidence = top + dpi_m_log(sum);
  report->evidence_error = sqrt(var / m);
}

static dp_status run(cloud *c, dpi_draws **out, dpi_smc_report *report) {
  const dpi_smc_def *def = c->def;
  char tag[300];
  snprintf(tag, sizeof tag, "ess=%.17g correlation=%.17g sweeps=%d %s", def->ess, def->correlation, def->max_move,
           def->tag ? def->tag : "");
  dpi_draws_def w = {.sampler = "smc",
                     .tag = tag,
                     .seed = def->seed,
                     .n = c->n,
                     .name = c->d->name,
                     .nchain = def->nrepeat,
                     .first_chain = def->first_repeat,
                     .ndraw = def->nparticle,
                     .nstate = DPI_SMC_NSTATE};
  bool old = def->file && dpi_file_exists(def->file);
  DP_TRY(old ? dpi_draws_load(c->d->ctx, def->file, &w, out) : dpi_draws_create(c->d->ctx, &w, out));
  for (int r = 0; r < def->nrepeat; r++) {
    if ((*out)->done[r] == def->nparticle) continue;
    (*out)->done[r] = 0; /* one that found no particle tries again, and says why */
    DP_TRY(repeat(c, *out, r, report));
    if (def->file) DP_TRY(dpi_draws_save(*out, def->file));
  }
  summarise(*out, report);
  return DP_OK;
}

/* Mean and deviation of each direction into now [2 x n]; the largest change since what stood there, in deviations. */
static double shift(const cloud *c, double *now) {
  double most = 0;
  for (int a = 0; a < c->n; a++) {
    double mean = 0, square = 0;
    for (int i = 0; i < c->npart; i++) mean += c->u[(size_t)i * (size_t)c->n + (size_t)a] / c->npart;
    for (int i = 0; i < c->npart; i++) {
      const double d = c->u[(size_t)i * (size_t)c->n + (size_t)a] - mean;
      square += d * d / c->npart;
    }
    const double sd = sqrt(square), change = fmax(fabs(mean - now[a]), fabs(sd - now[c->n + a]));
    most = fmax(most, sd > 0 ? change / sd : 0);
    now[a] = mean;
    now[c->n + a] = sd;
  }
  return most;
}

static dp_status settle(cloud *c, int least, int most, double *x) {
  dpi_smc_report report = {0};
  const int m = c->npart;
  double *now = numbers(&c->arena, 2 * (size_t)c->n);
  if (!now) return DP_ERR_MEMORY;
  c->repeat = (uint64_t)c->def->first_repeat;
  c->beta = 1;
  first_steps(c);
  for (int i = 0; i < m; i++) {
    dpi_box_from(c->d, row(x, i, c->n), row(c->next, i, c->n));
    c->weight[i] = 1.0 / m;
    c->loglik[i] = c->base[i] = -INFINITY;
  }
  DP_TRY(evaluate(c, &report));
  for (int i = 0; i < m; i++) take(c, i, i);
  for (int s = 0; s < most; s++) {
    if (s > 0 && s % REFIT == 0 && shift(c, now) < STILL && s >= least) break;
    if (s % REFIT == 0) DP_TRY(describe(c));
    DP_TRY(sweep(c, s, &report));
  }
  for (int i = 0; i < m; i++) dpi_box_to(c->d, row(c->u, i, c->n), row(x, i, c->n));
  return DP_OK;
}

dp_status dpi_smc_settle(dpi_density *d, const dpi_smc_def *def, int least, int most, double *x) {
  cloud c;
  memset(&c, 0, sizeof c);
  DP_TRY(check(d, def));
  dpi_arena_init(&c.arena, d->ctx);
  for (int h = 0; h < 2; h++) dpi_arena_init(&c.pieces[h], d->ctx);
  dp_status status = cloud_make(&c, d, def);
  if (status == DP_OK) status = settle(&c, least, most, x);
  dpi_arena_release(&c.arena);
  for (int h = 0; h < 2; h++) dpi_arena_release(&c.pieces[h]);
  return status;
}

dp_status dpi_smc_run(dpi_density *d, const dpi_smc_def *def, dpi_draws **out, dpi_smc_report *report) {
  cloud c;
  *out = NULL;
  memset(report, 0, sizeof *report);
  memset(&c, 0, sizeof c);
  DP_TRY(check(d, def));
  if (!d->ops->prior_draw)
    return dpi_fail(d->ctx, DP_ERR_UNSUPPORTED,
                    "sequential Monte Carlo starts from the prior: it must be proper, or the box "
                    "of every parameter finite");
  dpi_arena_init(&c.arena, d->ctx);
  for (int h = 0; h < 2; h++) dpi_arena_init(&c.pieces[h], d->ctx);
  dp_status status = cloud_make(&c, d, def);
  if (status == DP_OK) status = run(&c, out, report);
  dpi_arena_release(&c.arena);
  for (int h = 0; h < 2; h++) dpi_arena_release(&c.pieces[h]);
  if (status != DP_OK) {
    dpi_draws_destroy(*out);
    *out = NULL;
  }
  return status;
}

dp_status dpi_smc_verdict(const dpi_draws *draws, const dpi_smc_report *report, dpi_verdict *v) {
  DP_TRY(dpi_verdict_chains(draws, NULL, v));
  double left = 0;
  for (int r = 0; r < draws->nchain; r++)
    left = fmax(left, draws->state[(size_t)r * DPI_SMC_NSTATE + DPI_SMC_CORRELATION]);
  if (report->nempty > 0) dpi_verdict_add(v, true, "%s", report->reason);
  if (isfinite(report->evidence_error))
    dpi_verdict_add(v, report->evidence_error > 0.5, "ln evidence %.4g +- %.2g%s", report->evidence,
                    report->evidence_error, report->evidence_error > 0.5 ? ": repeats differ too much" : "");
  if (left > 0.5)
    dpi_verdict_add(v, false, "moves left a correlation of %.2g: weights of separate peaks rest on resampling", left);
  return DP_OK;
}
