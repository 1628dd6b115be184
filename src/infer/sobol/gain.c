/* gain.c - floor 6, inside infer/sobol: which measurement would narrow a forecast most.
 *
 * Draw k of the belief: forecast q_k, error-free measurement f_k, error s_k. A measurement is imagined, y = f_i +
 * s_i z, and the draws other than i are weighted by p(y | f_k, s_k) (own draws would flatter: y lies where f_i is).
 * With these weights:
 *
 *     narrowing      1 - E_y[Var(q | y)] / Var(q)                       (E Var by the weights: Rao-Blackwell)
 *     information    E_y[ln p(y | f_i, s_i) - ln mean_k p(y | f_k, s_k)]   (nested Monte Carlo)
 *
 * Few draws explain one y, e = (sum w)^2 / sum w^2 of n: a weighted variance of so few is small by 1 - 1/e, and the
 * logarithm of a mean by (1/e - 1/n) / 2. Both are put right to that order.
 *
 * z is stratified over the measurements imagined. Errors: jackknife over 20 blocks of draws, each block left out
 * both as truth and as explanation, so that the chance in the draws themselves counts too.
 *
 * Linear figures: f and q jointly normal with the draws' moments, error of the mean square s (exact for linear
 * models).
 *
 * next_sample.c in decide asks what a sample is worth in reward under limits; here it is what it says. The weighting
 * itself is ten lines in both.
 */
#include <math.h>
#include <string.h>

#include "infer/sobol/sens.h"

#define COOKIE 0x4741494eu /* "GAIN" */
#define LEAST_ESS 20.0
enum { BLOCKS = 20, MOST_IMAGINED = 2000, PURPOSE_IMAGINED = 0x47414958, PURPOSE_TRUTH = 0x47414954 };

dp_gain_def dp_gain_def_default(void) { return (dp_gain_def){.cookie = COOKIE, .seed = 1}; }

typedef struct candidate { /* the draws that are usable for it */
  int n;
  double *q, *f, *s, *w; /* [n]; f and s on the scale where the error is normal; w sums to 1 */
  double *log_s, *dense; /* [n] */
  int *block;            /* [n] of the jackknife */
} candidate;

/* Sums over draws by block: weight, with q, with q^2, all times the density at y. */
typedef struct parts {
  double m[BLOCKS], q[BLOCKS], square[BLOCKS], heavy[BLOCKS];
} parts;

typedef struct tally { /* [BLOCKS]: block left out; [BLOCKS]: none */
  double n[BLOCKS + 1], variance[BLOCKS + 1], information[BLOCKS + 1], ess;
} tally;

/* ---- the draws ---- */

static dp_status check(dp_ctx *ctx, const dp_gain_def *def) {
  if (def->cookie != COOKIE) return dpi_fail(ctx, DP_ERR_USAGE, "dp_gain_def not from dp_gain_def_default");
  if (def->ndraw < 2 * BLOCKS || def->nmeasure < 1)
    return dpi_fail(ctx, DP_ERR_USAGE, "information gain: %d draws of %d candidates, expected at least %d and 1",
                    def->ndraw, def->nmeasure, 2 * BLOCKS);
  for (int k = 0; k < def->ndraw; k++) {
    if (!isfinite(def->forecast[k]))
      return dpi_fail(ctx, DP_ERR_INPUT, "information gain: forecast %d is no finite number", k + 1);
    if (def->weight && !(def->weight[k] >= 0 && isfinite(def->weight[k])))
      return dpi_fail(ctx, DP_ERR_INPUT, "information gain: weight %d is %g", k + 1, def->weight[k]);
  }
  return DP_OK;
}

static dp_status take(dp_ctx *ctx, const dp_gain_def *def, int c, candidate *out) {
  double sum = 0;
  out->n = 0;
  for (int k = 0; k < def->ndraw; k++) {
    double f = def->predicted[(size_t)k * (size_t)def->nmeasure + (size_t)c];
    double s = def->sd[(size_t)k * (size_t)def->nmeasure + (size_t)c], w = def->weight ? def->weight[k] : 1;
    if (!isfinite(f) || !(w > 0) || (def->lognormal && !(f > 0))) continue;
    if (!(s > 0) || !isfinite(s))
      return dpi_fail(ctx, DP_ERR_INPUT,
                      "information gain: candidate %d, draw %d: error %g, expected a positive number", c + 1, k + 1, s);
    int i = out->n++;
    out->f[i] = def->lognormal ? dpi_m_log(f) : f;
    out->s[i] = s;
    out->log_s[i] = dpi_m_log(s);
    out->q[i] = def->forecast[k];
    out->block[i] = i % BLOCKS;
    sum += out->w[i] = w;
  }
  for (int i = 0; i < out->n; i++) out->w[i] /= sum;
  return DP_OK;
}

/* ---- linear figures ---- */

static double moments(const candidate *c, dp_gain *g) {
  double mq = 0, mf = 0, vq = 0, vf = 0, cov = 0, error = 0;
  for (int i = 0; i < c->n; i++) {
    mq += c->w[i] * c->q[i];
    mf += c->w[i] * c->f[i];
  }
  for (int i = 0; i < c->n; i++) {
    vq += c->w[i] * (c->q[i] - mq) * (c->q[i] - mq);
    vf += c->w[i] * (c->f[i] - mf) * (c->f[i] - mf);
    cov += c->w[i] * (c->q[i] - mq) * (c->f[i] - mf);
    error += c->w[i] * c->s[i] * c->s[i];
  }
  g->linear_narrowing = vq > 0 ? cov * cov / (vq * (vf + error)) : NAN;
  g->linear_forecast_information = -0.5 * dpi_m_log1p(-g->linear_narrowing);
  g->linear_information = 0.5 * dpi_m_log1p(vf / error);
  return vq;
}

/* ---- imagined measurements ---- */

/* Densities at y times weight, by block; i itself left out. Gives the log density's scale. */
static double explain(const candidate *c, double y, int i, double centre, parts *p) {
  double top = -INFINITY;
  memset(p, 0, sizeof *p);
  for (int k = 0; k < c->n; k++) {
    double z = (y - c->f[k]) / c->s[k];
    c->dense[k] = -0.5 * z * z - c->log_s[k];
    if (k != i && c->dense[k] > top) top = c->dense[k];
  }
  for (int k = 0; k < c->n; k++) {
    double apart = c->dense[k] - top;
    if (k == i || apart < -50) continue;
    double m = c->w[k] * dpi_m_exp(apart), q = c->q[k] - centre;
    int b = c->block[k];
    p->m[b] += m;
    p->q[b] += m * q;
    p->square[b] += m * q * q;
    p->heavy[b] += m * m;
  }
  return top;
}

/* Add one measurement, imagined from draw i, to all tallies that keep draw i. share[b]: weight of block b's draws. */
static void add(const candidate *c, int i, double top, const parts *p, const double *share, tally *t) {
  double m = 0, q = 0, square = 0, heavy = 0;
  for (int b = 0; b < BLOCKS; b++) m += p->m[b], q += p->q[b], square += p->square[b], heavy += p->heavy[b];
  t->ess += m * m / heavy;
  for (int b = 0; b <= BLOCKS; b++) {
    if (b == c->block[i]) continue;
    double left = b < BLOCKS ? m - p->m[b] : m, sum = b < BLOCKS ? q - p->q[b] : q;
    double sum2 = b < BLOCKS ? square - p->square[b] : square, all = 1 - c->w[i] - (b < BLOCKS ? share[b] : 0);
    if (!(left > 0)) continue;
    double mean = sum / left, crowd = (b < BLOCKS ? heavy - p->heavy[b] : heavy) / (left * left); /* 1/e */
    if (!(crowd < 1)) crowd = 1 - 1e-9; /* one draw: no variance is seen, the verdict will say so */
    t->n[b] += 1;
    t->variance[b] += fmax(sum2 / left - mean * mean, 0) / (1 - crowd);
    t->information[b] += c->dense[i] - top - dpi_m_log(left / all) - 0.5 * (crowd - 1.0 / c->n);
  }
}

/* Truths by systematic choice from the weights, errors by strata in an order of their own. */
static void imagine(const candidate *c, const dp_gain_def *def, int number, const double *share, double centre,
                    tally *t) {
  int many = def->nimagined > 0 ? def->nimagined : c->n < MOST_IMAGINED ? c->n : MOST_IMAGINED, i = 0;
  uint64_t stream = (uint64_t)number;
  dpi_rng rng = dpi_rng_make(def->seed, stream, PURPOSE_IMAGINED),
          truth = dpi_rng_make(def->seed, stream, PURPOSE_TRUTH);
  double start = dpi_rng_uniform(&truth), below = 0;
  uint32_t step = (uint32_t)(0.6180339887498949 * many) | 1u, place = 0; /* through all strata, in jumps */
  while (many > 1) {                                                     /* coprime: each stratum once */
    uint32_t a = step, b = (uint32_t)many;
    while (b) {
      uint32_t r = a % b;
      a = b;
      b = r;
    }
    if (a == 1) break;
    step++;
  }
  for (int h = 0; h < many; h++) {
    double at = (h + start) / many;
    while (i < c->n - 1 && below + c->w[i] < at) below += c->w[i++];
    place = (uint32_t)(((uint64_t)place + step) % (uint64_t)many);
    double z = dpi_norm_quantile((place + dpi_rng_uniform(&rng)) / many);
    parts p;
    double top = explain(c, c->f[i] + c->s[i] * z, i, centre, &p);
    if (isfinite(top)) add(c, i, top, &p, share, t);
  }
  double n = t->n[BLOCKS];
  t->ess = n > 0 ? t->ess / n : 0;
}

/* Forecast's variance with block b left out (BLOCKS: none). */
static double variance_without(const candidate *c, int b) {
  double n = 0, sum = 0, square = 0, heavy = 0;
  for (int pass = 0; pass < 2; pass++)
    for (int i = 0; i < c->n; i++) {
      if (c->block[i] == b) continue;
      if (pass)
        square += c->w[i] * (c->q[i] - sum / n) * (c->q[i] - sum / n);
      else
        n += c->w[i], sum += c->w[i] * c->q[i], heavy += c->w[i] * c->w[i];
    }
  return square / n / (1 - heavy / (n * n));
}

static void finish(const candidate *c, const tally *t, dp_gain *g) {
  double narrow[BLOCKS + 1], know[BLOCKS + 1], mn = 0, mk = 0, vn = 0, vk = 0;
  for (int b = 0; b <= BLOCKS; b++) {
    narrow[b] = 1 - t->variance[b] / t->n[b] / variance_without(c, b);
    know[b] = t->information[b] / t->n[b];
    if (b < BLOCKS) mn += narrow[b] / BLOCKS, mk += know[b] / BLOCKS;
  }
  for (int b = 0; b < BLOCKS; b++) {
    vn += (narrow[b] - mn) * (narrow[b] - mn);
    vk += (know[b] - mk) * (know[b] - mk);
  }
  g->narrowing = narrow[BLOCKS];
  g->information = know[BLOCKS];
  g->narrowing_se = sqrt(vn * (BLOCKS - 1) / BLOCKS);
  g->information_se = sqrt(vk * (BLOCKS - 1) / BLOCKS);
  g->ess = t->ess;
  g->usable = isfinite(g->narrowing) && isfinite(g->information) && t->ess >= LEAST_ESS;
}

static void one(const dp_gain_def *def, const candidate *c, int number, dp_gain *g) {
  tally t = {.ess = 0};
  double share[BLOCKS] = {0}, centre = 0;
  g->ndraw = c->n;
  if (c->n < 2 * BLOCKS) return;
  double vq = moments(c, g);
  if (!(vq > 0)) return;
  for (int i = 0; i < c->n; i++) {
    share[c->block[i]] += c->w[i];
    centre += c->w[i] * c->q[i];
  }
  imagine(c, def, number, share, centre, &t);
  finish(c, &t, g);
}

typedef struct job {
  dp_ctx *ctx;
  const dp_gain_def *def;
  dp_gain *gain;
} job;

/* dpi_work_fn: one candidate */
static dp_status candidate_gain(void *user, int number, int worker) {
  (void)worker;
  const job *j = user;
  size_t n = (size_t)j->def->ndraw;
  double *block = DPI_NEW_ARRAY(j->ctx, double, 6 * n);
  int *which = DPI_NEW_ARRAY(j->ctx, int, n);
  candidate c = {0};
  dp_status status = DP_ERR_MEMORY;
  if (block && which) {
    c = (candidate){.q = block,
                    .f = block + n,
                    .s = block + 2 * n,
                    .w = block + 3 * n,
                    .log_s = block + 4 * n,
                    .dense = block + 5 * n,
                    .block = which};
    status = take(j->ctx, j->def, number, &c);
  }
  j->gain[number] = (dp_gain){NAN, NAN, NAN, NAN, NAN, NAN, NAN, 0, 0, 0};
  if (status == DP_OK) one(j->def, &c, number, &j->gain[number]);
  dpi_free(j->ctx, block);
  dpi_free(j->ctx, which);
  return status;
}

dp_status dp_gain_of(dp_ctx *ctx, const dp_gain_def *def, dp_gain *gain) {
  DP_TRY(check(ctx, def));
  return dpi_parallel_for(ctx, def->nmeasure, candidate_gain, &(job){ctx, def, gain});
}
