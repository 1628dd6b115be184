/* saem.c - the population's likelihood maximised by stochastic approximation EM: method "saem".
 *
 * Kuhn E, Lavielle M (2005), Comput Stat Data Anal 49:1020: in iteration k every person's effects are drawn anew by a
 * few steps of Markov chains under the present theta; what the M-step needs is averaged over iterations with steps
 * gamma_k = 1, then (k - K)^-0.7: first the estimate travels, then noise dies away; the result is the mean of theta
 * over the second phase (Polyak BT, Juditsky AB (1992), SIAM J Control Optim 30:838), which is as good as the best
 * steps would be, whatever part of the information is missing. No integral is approximated, so the limit is the maximum
 * itself, for any number of effects.
 *
 *   draws     proposals from the prior; one effect at a time; all at once. The width of the last two adapts to the
 *             share that is accepted, for all people together
 *   M-step    in phi = effect + what typical values have moved it: S1 = sum phi, S2 = sum phi phi', one unit a person
 *             and one an occasion. Typical values that shift effects: generalised least squares. Blocks of Omega:
 *             S2 around them
 *   the rest  (errors, typical values without an effect): Robbins & Monro with the averaged curvature. By Fisher's
 *             identity the mean of the complete data's slope is the slope of ln p(y), so that its zero is the maximum
 *   at the end  -2 ln L by importance sampling around each person's draws, with its standard error
 *
 * Invariants: a person's draws depend on that person, theta and the seed; sums run in the order of people.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "infer/population_impl.h"

#define CHAINS 120    /* at least so many draws an iteration, of all people together */
#define TRAVEL 200    /* iterations with gamma 1 */
#define AVERAGE 800   /* and with k^-PACE, theta averaged over them */
#define PACE 0.7
#define WARM 100      /* iterations in which no variance falls by more than a twentieth: widths first */
#define COOL 0.95
#define STEPS 2       /* of each kernel */
#define DRAWS 2000    /* a person for the likelihood */
#define T_DOF 5
#define DIFFERENCE 1e-3
#define RNG_SAEM 0x1401
#define RNG_SAEM_LIKELIHOOD 0x1402
enum { WIDTHS = 65 }; /* of the walk along each effect of the kind, and of all at once (the last) */

typedef struct soul { /* one person's chains */
  int n, dim, neta; /* chains, free effects, directions */
  dpi_rng rng;
  double *x, *try;  /* [n x dim] */
  double *eta;      /* [n x neta] */
  double *f;        /* predictions: f, s [n x nobs], individual [n x neffect] */
  uint8_t *ok;
  double *data, *data_try; /* [n] data part */
  double *mean, *second;   /* averaged moments of x [dim], [dim x dim] */
  double *slope, *curve;   /* [ngeneric] of this iteration */
  double accepted[WIDTHS], tried[WIDTHS];
  double value, variance;  /* -2 ln p(y) and the variance of that */
} soul;

typedef struct saem {
  dpi_population *pop;
  dp_ctx *ctx;
  dpi_arena arena;
  int nt, ne, nchain, ngeneric, nshift;
  int *generic, *shift;
  double *theta, *reference, *mean, *kept; /* [nt] present; origin of phi; averaged, at the end and half way */
  double *s1, *s2, *count;          /* [ne], [ne x ne], [ne] averaged */
  double *n1, *n2;                  /* of this iteration */
  double *slope, *curve;            /* [ngeneric] curve averaged */
  double *prec, *a, *b;             /* work */
  double width[WIDTHS], gamma;
  soul *soul;
  uint64_t seed;
  int iteration;
} saem;

/* ---- one person ---- */

static double prior_part(const dpi_indiv *iv, const double *x) {
  int n = iv->nfree;
  double s = 0;
  for (int a = 0; a < n; a++)
    for (int b = 0; b < n; b++) s += x[a] * iv->prec[a * n + b] * x[b];
  return s;
}

/* Data parts of m points; infinity where the model fails. Room for m is the caller's care. */
static dp_status data_parts(const saem *q, int i, const double *x, int m, double *data) {
  soul *p = &q->soul[i];
  dpi_person *person = q->pop->member[i].p;
  dpi_indiv *iv = person->iv;
  size_t no = (size_t)iv->def.nobs;
  for (int c = 0; c < m; c++) dpi_indiv_eta(iv, x + (size_t)c * (size_t)p->dim, p->eta + (size_t)c * (size_t)p->neta);
  dpi_person_batch batch = {p->f, p->f + (size_t)m * no, p->f + 2 * (size_t)m * no, p->ok};
  DP_TRY(dpi_person_simulate(person, p->eta, m, &batch));
  for (int c = 0; c < m; c++) {
    const double *at = x + (size_t)c * (size_t)p->dim;
    dpi_pred pred = {batch.f + (size_t)c * no, batch.s + (size_t)c * no, NULL, NULL};
    double l = INFINITY;
    if (p->ok[c] && dpi_indiv_value(iv, at, &pred, &l)) l -= prior_part(iv, at);
    data[c] = isfinite(l) ? l : INFINITY;
  }
  return DP_OK;
}

/* Accept or keep, chain by chain. prior: the proposals come from the prior itself. */
static void decide(const saem *q, int i, bool from_prior, int width) {
  soul *p = &q->soul[i];
  const dpi_indiv *iv = q->pop->member[i].p->iv;
  for (int c = 0; c < p->n; c++) {
    double *x = p->x + (size_t)c * (size_t)p->dim, *y = p->try + (size_t)c * (size_t)p->dim;
    double fall = p->data[c] - p->data_try[c], u = dpi_rng_uniform(&p->rng);
    if (!from_prior) fall += prior_part(iv, x) - prior_part(iv, y);
    bool yes = isfinite(p->data_try[c]) && (isinf(p->data[c]) || 2 * dpi_m_log(u) < fall);
    if (yes) {
      memcpy(x, y, sizeof(double) * (size_t)p->dim);
      p->data[c] = p->data_try[c];
    }
    if (width < 0) continue;
    p->tried[width]++;
    p->accepted[width] += yes;
  }
}

static dp_status kernel_prior(const saem *q, int i) {
  soul *p = &q->soul[i];
  const dpi_indiv *iv = q->pop->member[i].p->iv;
  for (int c = 0; c < p->n; c++) {
    double z[64];
    for (int a = 0; a < p->dim; a++) z[a] = dpi_rng_normal(&p->rng);
    dpi_tri_mul_lower(iv->chol, p->dim, z, p->try + (size_t)c * (size_t)p->dim);
  }
  DP_TRY(data_parts(q, i, p->try, p->n, p->data_try));
  decide(q, i, true, -1);
  return DP_OK;
}

static dp_status kernel_one(const saem *q, int i, int a) {
  soul *p = &q->soul[i];
  const dpi_person *person = q->pop->member[i].p;
  int effect = person->c->eta_effect[person->iv->free[a]];
  double sd = sqrt(q->pop->omega[effect * q->ne + effect]) * q->width[effect];
  memcpy(p->try, p->x, sizeof(double) * (size_t)p->n * (size_t)p->dim);
  for (int c = 0; c < p->n; c++) p->try[c * p->dim + a] += sd * dpi_rng_normal(&p->rng);
  DP_TRY(data_parts(q, i, p->try, p->n, p->data_try));
  decide(q, i, false, effect);
  return DP_OK;
}

static dp_status kernel_all(const saem *q, int i) {
  soul *p = &q->soul[i];
  const dpi_indiv *iv = q->pop->member[i].p->iv;
  for (int c = 0; c < p->n; c++) {
    double z[64], d[64];
    for (int a = 0; a < p->dim; a++) z[a] = q->width[WIDTHS - 1] * dpi_rng_normal(&p->rng);
    dpi_tri_mul_lower(iv->chol, p->dim, z, d);
    for (int a = 0; a < p->dim; a++) p->try[c * p->dim + a] = p->x[c * p->dim + a] + d[a];
  }
  DP_TRY(data_parts(q, i, p->try, p->n, p->data_try));
  decide(q, i, false, WIDTHS - 1);
  return DP_OK;
}

/* Slope and curvature of the data part in the thetas that shift nothing, at the present draws: means over chains. */
static dp_status person_slopes(const saem *q, int i) {
  soul *p = &q->soul[i];
  member *mb = &q->pop->member[i];
  for (int k = 0; k < q->ngeneric; k++) {
    const theta_def *t = &q->pop->theta[q->generic[k]];
    double at = q->theta[q->generic[k]], mean[3] = {0}, value = q->pop->typical[t->param];
    double h = t->scale == DPI_SCALE_LIN ? DIFFERENCE * fmax(fabs(at), 1e-3) : 10 * DIFFERENCE;
    for (int side = 0; side < 3; side++) {
      mb->typical[t->param] = dpi_theta_from(t->scale, at + (side - 1) * h);
      DP_TRY(data_parts(q, i, p->x, p->n, p->data_try));
      for (int c = 0; c < p->n; c++) mean[side] += isfinite(p->data_try[c]) ? p->data_try[c] / p->n : 0;
    }
    mb->typical[t->param] = value;
    p->slope[k] = (mean[2] - mean[0]) / (2 * h);
    p->curve[k] = (mean[2] - 2 * mean[1] + mean[0]) / (h * h);
  }
  return DP_OK;
}

static void person_moments(const saem *q, soul *p) {
  for (int a = 0; a < p->dim; a++) {
    double s = 0;
    for (int c = 0; c < p->n; c++) s += p->x[c * p->dim + a] / p->n;
    p->mean[a] += q->gamma * (s - p->mean[a]);
    for (int b = 0; b < p->dim; b++) {
      double m = 0;
      for (int c = 0; c < p->n; c++) m += p->x[c * p->dim + a] * p->x[c * p->dim + b] / p->n;
      p->second[a * p->dim + b] += q->gamma * (m - p->second[a * p->dim + b]);
    }
  }
}

/* dpi_work_fn: the draws of one person */
static dp_status person_draw(void *user, int i, int worker) {
  const saem *q = user;
  soul *p = &q->soul[i];
  member *mb = &q->pop->member[i];
  (void)worker;
  memcpy(mb->typical, q->pop->typical, sizeof(double) * (size_t)q->pop->nparam);
  dpi_person_omega(mb->p, q->pop->omega, mb->omega);
  DP_TRY(dpi_indiv_prior(mb->p->iv, mb->omega));
  memset(p->tried, 0, sizeof p->tried);
  memset(p->accepted, 0, sizeof p->accepted);
  DP_TRY(data_parts(q, i, p->x, p->n, p->data));
  for (int s = 0; s < STEPS; s++) {
    DP_TRY(kernel_prior(q, i));
    for (int a = 0; a < p->dim; a++) DP_TRY(kernel_one(q, i, a));
    if (p->dim > 1) DP_TRY(kernel_all(q, i));
  }
  person_moments(q, p);
  return person_slopes(q, i);
}

/* ---- the M-step ---- */

/* What theta has moved effect e since the origin of phi. */
static double moved(const saem *q, const dpi_person *person, int k, int j) {
  double d[64];
  if (!dpi_shift_direction(q->pop, person, q->pop->theta[q->shift[k]].param, d)) return 0;
  return d[j] * (q->theta[q->shift[k]] - q->reference[q->shift[k]]);
}

/* Sums over units of this iteration's draws in phi. */
static void add_person(saem *q, int i) {
  const soul *p = &q->soul[i];
  const dpi_person *person = q->pop->member[i].p;
  double shift[64] = {0};
  for (int k = 0; k < q->nshift; k++)
    for (int a = 0; a < p->dim; a++) shift[a] += moved(q, person, k, person->iv->free[a]);
  for (int a = 0; a < p->dim; a++) {
    int e = person->c->eta_effect[person->iv->free[a]];
    if (q->iteration == 0) q->count[e]++;
    for (int c = 0; c < p->n; c++) q->n1[e] += (p->x[c * p->dim + a] + shift[a]) / p->n;
    for (int b = 0; b < p->dim; b++) {
      int f = person->c->eta_effect[person->iv->free[b]];
      /* one unit: both of the person, or both of one occasion */
      if (dpi_person_occasion(person, person->iv->free[a]) != dpi_person_occasion(person, person->iv->free[b]))
        continue;
      for (int c = 0; c < p->n; c++)
        q->n2[e * q->ne + f] += (p->x[c * p->dim + a] + shift[a]) * (p->x[c * p->dim + b] + shift[b]) / p->n;
    }
  }
}

static bool same_level(const dp_kind *k, int e, int f) { return k->effect[e].occasion == k->effect[f].occasion; }

/* Does shifting theta k move effect e? */
static bool shifts(const saem *q, int k, int e) {
  const dp_kind *kind = q->pop->kind;
  int param = q->pop->theta[q->shift[k]].param;
  bool person = false;
  for (int f = 0; f < kind->neffect; f++)
    person = person || (kind->effect[f].typical == param && !kind->effect[f].occasion);
  return kind->effect[e].typical == param && kind->effect[e].occasion == !person;
}

/* Inverse of Omega [ne x ne] over the effects that have a variance. */
static bool precision(saem *q) {
  int ne = q->ne;
  const double *omega = q->pop->omega;
  for (int e = 0; e < ne; e++)
    for (int f = 0; f < ne; f++)
      q->a[e * ne + f] = omega[e * ne + e] > 0 && omega[f * ne + f] > 0 ? omega[e * ne + f] : e == f ? 1 : 0;
  if (!dpi_chol(q->a, ne)) return false;
  dpi_chol_inverse(q->a, ne, q->prec);
  return true;
}

/* Typical values that shift effects: generalised least squares of phi. */
static void step_shifts(saem *q) {
  int n = q->nshift, ne = q->ne;
  if (n == 0 || !precision(q)) return;
  for (int r = 0; r < n; r++) {
    q->b[r] = 0;
    for (int e = 0; e < ne; e++)
      for (int f = 0; f < ne && shifts(q, r, e); f++)
        if (same_level(q->pop->kind, e, f)) q->b[r] += q->prec[e * ne + f] * q->s1[f];
    for (int c = 0; c < n; c++) {
      double s = 0;
      for (int e = 0; e < ne; e++)
        for (int f = 0; f < ne && shifts(q, r, e); f++)
          if (same_level(q->pop->kind, e, f) && shifts(q, c, f)) s += q->prec[e * ne + f] * q->count[e];
      q->a[r * n + c] = s;
    }
  }
  if (!dpi_chol(q->a, n)) return;
  dpi_chol_solve(q->a, n, q->b);
  for (int k = 0; k < n; k++) {
    const theta_def *t = &q->pop->theta[q->shift[k]];
    q->theta[q->shift[k]] = fmin(fmax(q->reference[q->shift[k]] + q->b[k], t->lower), t->upper);
  }
}

/* Covariance of phi around the typical values, entry (e, f). */
static double scatter(const saem *q, int e, int f) {
  double me = 0, mf = 0;
  for (int k = 0; k < q->nshift; k++) {
    double d = q->theta[q->shift[k]] - q->reference[q->shift[k]];
    if (shifts(q, k, e)) me += d;
    if (shifts(q, k, f)) mf += d;
  }
  return (q->s2[e * q->ne + f] - me * q->s1[f] - mf * q->s1[e] + q->count[e] * me * mf) / q->count[e];
}

static void step_blocks(saem *q) {
  dpi_population *pop = q->pop;
  for (int k = 0; k < pop->ntheta; k++) {
    const theta_def *t = &pop->theta[k];
    if (t->param >= 0 || t->row != 0 || t->col != 0) continue;
    const block_def *b = &pop->block[t->block];
    const int *e = pop->order + b->first;
    for (int r = 0; r < b->n; r++)
      for (int c = 0; c < b->n; c++) q->a[r * b->n + c] = scatter(q, e[r], e[c]);
    for (int r = 0; r < b->n; r++) {
      double least = COOL * pop->omega[e[r] * q->ne + e[r]];
      if (q->iteration < WARM && q->a[r * b->n + r] < least) q->a[r * b->n + r] = least;
    }
    dpi_population_block_theta(q->a, b->n, q->theta + k);
  }
}

static void step_generic(saem *q) {
  for (int k = 0; k < q->ngeneric; k++) {
    const theta_def *t = &q->pop->theta[q->generic[k]];
    double curve = 0;
    q->slope[k] = 0;
    for (int i = 0; i < q->pop->npeople; i++) {
      q->slope[k] += q->soul[i].slope[k];
      curve += q->soul[i].curve[k];
    }
    /* the curvature follows at its own pace, so that it does not go with the noise of the slope */
    double pace = q->iteration == 0 ? 1 : fmin(q->gamma, 0.1);
    if (curve > 0) q->curve[k] += pace * (curve - q->curve[k]);
    if (!(q->curve[k] > 0)) continue;
    double most = t->scale == DPI_SCALE_LIN ? 0.5 * fmax(fabs(q->theta[q->generic[k]]), 1e-2) : 0.5;
    double step = fmin(fmax(-q->slope[k] / q->curve[k], -most), most);
    if (q->iteration < WARM && t->scale != DPI_SCALE_LIN) step = fmax(step, dpi_m_log(COOL));
    q->theta[q->generic[k]] = fmin(fmax(q->theta[q->generic[k]] + q->gamma * step, t->lower), t->upper);
  }
}

/* Draws stay in phi while typical values move: effects move the other way. */
static void follow(saem *q, const double *before) {
  for (int i = 0; i < q->pop->npeople; i++) {
    soul *p = &q->soul[i];
    const dpi_person *person = q->pop->member[i].p;
    for (int k = 0; k < q->nshift; k++) {
      double d[64], by = q->theta[q->shift[k]] - before[q->shift[k]];
      if (!dpi_shift_direction(q->pop, person, q->pop->theta[q->shift[k]].param, d)) continue;
      for (int a = 0; a < p->dim; a++) {
        double move = by * d[person->iv->free[a]];
        for (int c = 0; c < p->n; c++) p->x[c * p->dim + a] -= move;
        /* the averaged moments move along */
        for (int b = 0; b < p->dim; b++) {
          p->second[a * p->dim + b] -= move * p->mean[b];
          p->second[b * p->dim + a] -= move * p->mean[b];
        }
        p->second[a * p->dim + a] += move * move;
        p->mean[a] -= move;
      }
    }
  }
}

static void adapt(saem *q) {
  for (int e = 0; e < WIDTHS; e++) {
    double tried = 0, accepted = 0;
    for (int i = 0; i < q->pop->npeople; i++) {
      tried += q->soul[i].tried[e];
      accepted += q->soul[i].accepted[e];
    }
    if (tried == 0) continue;
    double wanted = e == WIDTHS - 1 ? 0.3 : 0.4;
    q->width[e] *= 1 + 0.4 * (accepted / tried - wanted);
  }
}

static dp_status iterate(saem *q, double *before) {
  int ne = q->ne;
  if (!dpi_population_unpack(q->pop, q->theta))
    return dpi_fail(q->ctx, DP_ERR_CONVERGE, "population fit by saem: iteration %d led outside the bounds",
                    q->iteration);
  DP_TRY(dpi_parallel_for(q->ctx, q->pop->npeople, person_draw, q));
  memset(q->n1, 0, sizeof(double) * (size_t)ne);
  memset(q->n2, 0, sizeof(double) * (size_t)(ne * ne));
  for (int i = 0; i < q->pop->npeople; i++) add_person(q, i);
  for (int e = 0; e < ne; e++) q->s1[e] += q->gamma * (q->n1[e] - q->s1[e]);
  for (int e = 0; e < ne * ne; e++) q->s2[e] += q->gamma * (q->n2[e] - q->s2[e]);
  memcpy(before, q->theta, sizeof(double) * (size_t)q->nt);
  step_shifts(q);
  step_blocks(q);
  step_generic(q);
  follow(q, before);
  if (q->iteration < TRAVEL) adapt(q);
  dpi_log(q->ctx, 3, "fit: saem iteration %d, first theta %.6g", q->iteration + 1, q->theta[0]);
  return DP_OK;
}

/* ---- the likelihood ---- */

/* dpi_work_fn: -2 ln p(y) of one person by importance sampling around its draws: a multivariate t. */
static dp_status person_likelihood(void *user, int i, int worker) {
  const saem *q = user;
  soul *p = &q->soul[i];
  member *mb = &q->pop->member[i];
  dpi_indiv *iv = mb->p->iv;
  int n = p->dim;
  double root[64 * 64], z[64], logroot = 0, most = -INFINITY, sum = 0, sum2 = 0;
  double *logw = DPI_NEW_ARRAY(q->ctx, double, DRAWS);
  (void)worker;
  if (!logw) return DP_ERR_MEMORY;
  dpi_rng rng = dpi_rng_make(q->seed, mb->p->c->stream, RNG_SAEM_LIKELIHOOD);
  memcpy(mb->typical, q->pop->typical, sizeof(double) * (size_t)q->pop->nparam);
  dpi_person_omega(mb->p, q->pop->omega, mb->omega);
  dp_status st = dpi_indiv_prior(iv, mb->omega);
  for (int a = 0; a < n; a++)
    for (int b = 0; b < n; b++) root[a * n + b] = p->second[a * n + b] - p->mean[a] * p->mean[b];
  for (int a = 0; a < n; a++) root[a * n + a] += 1e-8 + 1e-3 * root[a * n + a];
  if (!dpi_chol(root, n)) memcpy(root, iv->chol, sizeof(double) * (size_t)(n * n));
  for (int a = 0; a < n; a++) logroot += dpi_m_log(root[a * n + a]);
  for (int first = 0; first < DRAWS && st == DP_OK; first += p->n) {
    int m = DRAWS - first < p->n ? DRAWS - first : p->n;
    for (int c = 0; c < m; c++) {
      double chi = 0, r2 = 0, d[64], *x = p->try + (size_t)c * (size_t)n;
      for (int k = 0; k < T_DOF; k++) {
        double v = dpi_rng_normal(&rng);
        chi += v * v;
      }
      for (int a = 0; a < n; a++) z[a] = dpi_rng_normal(&rng) * sqrt(T_DOF / chi), r2 += z[a] * z[a];
      dpi_tri_mul_lower(root, n, z, d);
      for (int a = 0; a < n; a++) x[a] = p->mean[a] + d[a];
      logw[first + c] = -(dpi_t_logpdf(r2, n, T_DOF) - logroot);
    }
    st = data_parts(q, i, p->try, m, p->data_try);
    for (int c = 0; c < m; c++) {
      logw[first + c] -= 0.5 * (p->data_try[c] + prior_part(iv, p->try + (size_t)c * (size_t)n));
      most = fmax(most, logw[first + c]);
    }
  }
  for (int k = 0; k < DRAWS && st == DP_OK; k++) {
    double w = dpi_m_exp(logw[k] - most);
    sum += w;
    sum2 += w * w;
  }
  double mean = sum / DRAWS, cv2 = (sum2 / DRAWS - mean * mean) / (mean * mean);
  p->value = -2 * (most + dpi_m_log(mean)) + dpi_indiv_constant(iv, false) + mb->p->jacobian;
  p->variance = 4 * cv2 / DRAWS;
  dpi_free(q->ctx, logw);
  return st;
}

/* ---- the whole ---- */

static dp_status soul_create(saem *q, int i) {
  soul *p = &q->soul[i];
  const dpi_person *person = q->pop->member[i].p;
  const dpi_indiv *iv = person->iv;
  if (iv->dim > 64 || person->c->neta > 64)
    return dpi_fail(q->ctx, DP_ERR_UNSUPPORTED, "population fit by saem: %d random effects of subject %s, at most 64",
                    iv->dim, person->c->id);
  size_t n = (size_t)q->nchain, dim = (size_t)iv->dim, neta = (size_t)person->c->neta, no = (size_t)iv->def.nobs;
  p->n = q->nchain;
  p->dim = iv->dim;
  p->neta = person->c->neta;
  p->rng = dpi_rng_make(q->seed, person->c->stream, RNG_SAEM);
  const size_t own = dim + dim * dim + 2 * (size_t)q->ngeneric;
  double *m = DPI_ARENA_ARRAY(&q->arena, double, n * (2 * dim + neta + 2 * no + (size_t)q->ne + 2) + own + 1);
  p->ok = DPI_ARENA_ARRAY(&q->arena, uint8_t, n + 1);
  if (!m || !p->ok) return DP_ERR_MEMORY;
  double **slice[] = {&p->x,        &p->try,  &p->eta,    &p->f,     &p->data,
                      &p->data_try, &p->mean, &p->second, &p->slope, &p->curve};
  size_t width[] = {n * dim, n * dim, n * neta, n * (2 * no + (size_t)q->ne), n,
                    n,       dim,     dim * dim, (size_t)q->ngeneric,          (size_t)q->ngeneric};
  for (int k = 0; k < DPI_COUNT(slice); k++) {
    *slice[k] = m;
    m += width[k];
  }
  return DP_OK;
}

static dp_status saem_create(saem *q) {
  dpi_population *pop = q->pop;
  size_t nt = (size_t)pop->ntheta, ne = (size_t)pop->ne, big = (nt + ne) * (nt + ne);
  q->nt = pop->ntheta;
  q->ne = pop->ne;
  q->nchain = (CHAINS + pop->npeople - 1) / pop->npeople;
  q->generic = DPI_ARENA_ARRAY(&q->arena, int, 2 * nt + 1);
  q->theta = DPI_ARENA_ARRAY(&q->arena, double, 6 * nt + 3 * ne + 3 * ne * ne + 2 * big + 1);
  q->soul = DPI_ARENA_ARRAY(&q->arena, soul, (size_t)pop->npeople + 1);
  if (!q->generic || !q->theta || !q->soul) return DP_ERR_MEMORY;
  q->shift = q->generic + nt;
  double *m = q->theta + nt, **slice[] = {&q->reference, &q->mean, &q->kept, &q->slope, &q->curve, &q->s1,  &q->n1,
                                          &q->count,     &q->s2,   &q->n2,    &q->prec,  &q->a, &q->b};
  size_t width[] = {nt, nt, nt, nt, nt, ne, ne, ne, ne * ne, ne * ne, ne * ne, big, big};
  for (int k = 0; k < DPI_COUNT(slice); k++) {
    *slice[k] = m;
    m += width[k];
  }
  for (int k = 0; k < q->nt; k++) {
    if (pop->theta[k].kind == THETA_SHIFT) q->shift[q->nshift++] = k;
    if (pop->theta[k].kind == THETA_GENERIC) q->generic[q->ngeneric++] = k;
  }
  for (int e = 0; e < WIDTHS; e++) q->width[e] = 0.5;
  dpi_population_start(pop, q->theta);
  memcpy(q->reference, q->theta, sizeof(double) * nt);
  for (int i = 0; i < pop->npeople; i++) DP_TRY(soul_create(q, i));
  return DP_OK;
}

/* A variance that is estimated beside a fixed covariance has no closed M-step. */
static dp_status check_blocks(const dpi_population *pop) {
  for (int k = 0; k < pop->ntheta; k++) {
    if (pop->theta[k].kind != THETA_VARIANCE) continue;
    int e = pop->order[pop->block[pop->theta[k].block].first];
    for (int f = 0; f < pop->ne; f++)
      if (f != e && pop->omega[e * pop->ne + f] != 0)
        return dpi_fail(pop->ctx, DP_ERR_UNSUPPORTED,
                        "population fit by saem: the variance of %s is estimated and its covariance with %s is fixed; "
                        "estimate the whole block, or take another method",
                        pop->kind->effect[e].id, pop->kind->effect[f].id);
  }
  return DP_OK;
}

/* Has the estimate stood still over the second half of the averaging, beside what so few people can tell? */
static bool stood_still(const saem *q) {
  for (int k = 0; k < q->nt; k++) {
    const theta_def *t = &q->pop->theta[k];
    double size = sqrt(2.0 / q->pop->npeople);
    for (int e = 0; t->kind == THETA_SHIFT && e < q->ne; e++)
      if (q->pop->kind->effect[e].typical == t->param)
        size = sqrt(q->pop->omega[e * q->ne + e] / q->pop->npeople);
    if (t->kind == THETA_GENERIC && t->scale == DPI_SCALE_LIN) size *= fmax(fabs(q->theta[k]), 1e-3);
    if (t->kind == THETA_VARIANCE && dpi_m_exp(q->theta[k]) < 1e-5) continue; /* on its floor */
    if (fabs(q->theta[k] - q->kept[k]) > 0.1 * size) return false;
  }
  return true;
}

static dp_status saem_run(saem *q, dpi_saem_result *out) {
  double *before = DPI_ARENA_ARRAY(&q->arena, double, (size_t)q->nt + 1);
  if (!before) return DP_ERR_MEMORY;
  for (q->iteration = 0; q->iteration < TRAVEL + AVERAGE; q->iteration++) {
    int late = q->iteration - TRAVEL + 1;
    q->gamma = late < 1 ? 1 : dpi_m_pow(late, -PACE);
    DP_TRY(iterate(q, before));
    for (int k = 0; k < q->nt && late >= 1; k++) q->mean[k] += (q->theta[k] - q->mean[k]) / late;
    if (late == AVERAGE / 2) memcpy(q->kept, q->mean, sizeof(double) * (size_t)q->nt);
  }
  memcpy(q->theta, q->mean, sizeof(double) * (size_t)q->nt);
  if (!dpi_population_unpack(q->pop, q->theta))
    return dpi_fail(q->ctx, DP_ERR_CONVERGE, "population fit by saem: the end lies outside the bounds");
  DP_TRY(dpi_parallel_for(q->ctx, q->pop->npeople, person_likelihood, q));
  double variance = 0;
  out->objective = 0;
  for (int i = 0; i < q->pop->npeople; i++) {
    out->objective += q->soul[i].value;
    variance += q->soul[i].variance;
  }
  out->error = sqrt(variance);
  out->iterations = q->iteration;
  out->converged = isfinite(out->objective) && stood_still(q);
  return DP_OK;
}

dp_status dpi_saem(dpi_population *pop, uint64_t seed, double *theta, dpi_saem_result *out) {
  saem *q = DPI_NEW(pop->ctx, saem);
  if (!q) return DP_ERR_MEMORY;
  memset(q, 0, sizeof *q);
  q->pop = pop;
  q->ctx = pop->ctx;
  q->seed = seed;
  dpi_arena_init(&q->arena, pop->ctx);
  dp_status st = check_blocks(pop);
  if (st == DP_OK) st = saem_create(q);
  if (st == DP_OK) st = saem_run(q, out);
  if (st == DP_OK) memcpy(theta, q->theta, sizeof(double) * (size_t)q->nt);
  dpi_arena_release(&q->arena);
  dpi_free(pop->ctx, q);
  return st;
}
