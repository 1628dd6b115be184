/* sens_shapley.c - floor 6, inside infer/sobol: Shapley effects by random permutations.
 *
 * The cost of a set J of groups is what stays uncertain when all others are known, c(J) = E[Var(f | x_-J)]. Along a
 * permutation groups join one by one; a group's effect is the mean, over permutations, of what it adds. c(all) is
 * the variance, so effects sum to it, correlated inputs or not. Conditional draws: the factor of the scores'
 * correlation in the permutation's reverse order leaves the known ones' coordinates first; those are kept, the
 * others drawn again.
 * Each permutation comes with its reverse, which halves what is left to chance (antithetic).
 *
 * Source: E. Song, B. L. Nelson, J. Staum, SIAM/ASA J. Uncertain. Quantif. 4 (2016) 1060, algorithm 1, with its 1
 * outer and 3 inner draws.
 */
#include <math.h>
#include <string.h>

#include "infer/sobol/sens.h"

enum { PURPOSE_ORDER = 0x53484150, PURPOSE_KNOWN = 0x53484b4e, PURPOSE_DRAWN = 0x53484452, PURPOSE_ALL = 0x5348414c };

typedef struct shapley {
  dpi_sens *s;
  int n, ngroup, npair; /* pairs of a permutation and its reverse */
  int each;             /* points a permutation: (ngroup - 1) x nouter x ninner */
  int *order;           /* [2 npair x ngroup] */
  int present;          /* permutation that the next three belong to */
  int *input;           /* [n] inputs, the last group of the permutation first */
  double *factor;       /* [n x n] of the correlation in that order */
  double *z, *work;     /* [n] */
} shapley;

static const int *order_of(const shapley *h, int permutation) {
  return h->order + (size_t)permutation * (size_t)h->ngroup;
}

static void draw_orders(shapley *h) {
  for (int p = 0; p < h->npair; p++) {
    int *order = h->order + (size_t)(2 * p) * (size_t)h->ngroup, *back = order + h->ngroup;
    dpi_rng rng = dpi_rng_make(h->s->def.seed, (uint64_t)p, PURPOSE_ORDER);
    for (int g = 0; g < h->ngroup; g++) order[g] = g;
    for (int g = h->ngroup - 1; g > 0; g--) {
      int other = (int)((dpi_rng_u64(&rng) >> 32) * (uint64_t)(g + 1) >> 32), t = order[g];
      order[g] = order[other];
      order[other] = t;
    }
    for (int g = 0; g < h->ngroup; g++) back[g] = order[h->ngroup - 1 - g];
  }
}

/* Inputs and factor of a permutation. */
static void turn_to(shapley *h, int permutation) {
  const int *order = order_of(h, permutation);
  int n = h->n, m = 0;
  h->present = permutation;
  for (int i = h->ngroup - 1; i >= 0; i--)
    for (int k = 0; k < n; k++)
      if (h->s->in.group[k] == order[i]) h->input[m++] = k;
  if (!h->s->in.correlation) return;
  for (int i = 0; i < n; i++)
    for (int j = 0; j <= i; j++) h->factor[i * n + j] = h->s->in.correlation[h->input[i] * n + h->input[j]];
  dpi_chol(h->factor, n); /* positive definite in one order, so in every one */
}

/* x from independent scores h->z in the present order. */
static void finish(shapley *h, double *x) {
  int n = h->n;
  if (h->s->in.correlation) dpi_tri_mul_lower(h->factor, n, h->z, h->z);
  for (int i = 0; i < n; i++) h->work[h->input[i]] = h->z[i];
  dpi_inputs_from_scores(&h->s->in, h->work, x);
}

static void make(void *user, int point, double *x, uint64_t *stream) {
  shapley *h = user;
  const dp_sensitivity_def *def = &h->s->def;
  uint64_t seed = def->seed;
  *stream = (uint64_t)point;
  if (point < def->nvariance) {
    dpi_rng all = dpi_rng_make(seed, (uint64_t)point, PURPOSE_ALL);
    if (h->present != 0) turn_to(h, 0);
    for (int i = 0; i < h->n; i++) h->z[i] = dpi_rng_normal(&all);
    finish(h, x);
    return;
  }
  int at = point - def->nvariance, permutation = at / h->each, within = at % h->each;
  int joined = 1 + within / (def->nouter * def->ninner); /* groups in J */
  uint64_t outer = (uint64_t)(at / def->ninner);
  dpi_rng known = dpi_rng_make(seed, outer, PURPOSE_KNOWN), drawn = dpi_rng_make(seed, (uint64_t)at, PURPOSE_DRAWN);
  if (h->present != permutation) turn_to(h, permutation);
  const int *order = order_of(h, permutation);
  for (int i = 0, left = h->n; i < h->ngroup; i++) { /* from the group that joins last */
    bool in_set = h->ngroup - 1 - i < joined;
    for (int k = h->n - left; k < h->n && h->s->in.group[h->input[k]] == order[h->ngroup - 1 - i]; k++, left--)
      h->z[k] = dpi_rng_normal(in_set ? &drawn : &known);
  }
  finish(h, x);
  *stream = (uint64_t)def->nvariance + outer;
}

/* ---- one output ---- */

typedef struct tally { /* of pairs of permutations */
  int npair;
  double *part;   /* [npair x ngroup] sum over both, without c(all); NaN: not known */
  uint16_t *last; /* [npair x ngroup] how often the group was the last */
} tally;

/* Mean over outer draws of the variance over inner ones; NaN when none is known. */
static double cost(const shapley *h, int output, int permutation, int joined) {
  const dpi_sens *s = h->s;
  int ninner = s->def.ninner, nouter = s->def.nouter, n = 0;
  double sum = 0;
  for (int o = 0; o < nouter; o++) {
    size_t first = (size_t)s->def.nvariance + (size_t)permutation * (size_t)h->each +
                   ((size_t)(joined - 1) * (size_t)nouter + (size_t)o) * (size_t)ninner;
    const double *y = s->y + first * (size_t)s->noutput + (size_t)output;
    double mean = 0, square = 0;
    for (int i = 0; i < ninner; i++) mean += y[i * s->noutput] / ninner;
    for (int i = 0; i < ninner; i++) square += (y[i * s->noutput] - mean) * (y[i * s->noutput] - mean);
    if (isnan(square)) continue;
    sum += square / (ninner - 1);
    n++;
  }
  return n ? sum / n : NAN;
}

static void count_parts(const shapley *h, int output, tally *t) {
  int ngroup = h->ngroup;
  for (int p = 0; p < h->npair; p++) {
    double *part = t->part + (size_t)t->npair * (size_t)ngroup;
    uint16_t *last = t->last + (size_t)t->npair * (size_t)ngroup;
    bool known = true;
    memset(part, 0, sizeof *part * (size_t)ngroup);
    memset(last, 0, sizeof *last * (size_t)ngroup);
    for (int q = 2 * p; q < 2 * p + 2; q++) {
      const int *order = order_of(h, q);
      double before = 0;
      for (int j = 1; j < ngroup; j++) {
        double c = cost(h, output, q, j);
        if (isnan(c)) known = false;
        part[order[j - 1]] += c - before;
        before = c;
      }
      part[order[ngroup - 1]] -= before;
      last[order[ngroup - 1]]++;
    }
    t->npair += known; /* else the next one takes its place */
  }
}

static void shares(const tally *t, int ngroup, const uint16_t *w, double variance, double *share) {
  double n = 0;
  for (int g = 0; g < ngroup; g++) share[g] = 0;
  for (int p = 0; p < t->npair; p++) {
    double k = w ? w[p] : 1;
    n += k;
    for (int g = 0; g < ngroup; g++)
      share[g] += k * (t->part[(size_t)p * (size_t)ngroup + (size_t)g] +
                       t->last[(size_t)p * (size_t)ngroup + (size_t)g] * variance);
  }
  for (int g = 0; g < ngroup; g++) share[g] = variance > 0 ? share[g] / (2 * n * variance) : NAN;
}

/* boot [ngroup x nboot], share [ngroup]; count: room for draws of the variance's sample and of pairs */
static void digest(const shapley *h, int output, tally *t, double *boot, double *share, uint16_t *count) {
  dpi_sens *s = h->s;
  int nb = s->def.nboot, ngroup = h->ngroup;
  double mean, other, v = dpi_sens_variance(s, output, s->def.nvariance, NULL, &mean);
  dpi_sens_moments(s, output, mean, sqrt(v));
  if (dpi_sens_constant(s, output)) return;
  count_parts(h, output, t);
  if (t->npair == 0) return;
  shares(t, ngroup, NULL, v, share);
  for (int g = 0; g < ngroup; g++) {
    dp_estimate *e = dpi_sens_at(s->out, output, g, 0);
    e->value = share[g];
    e->nused = 2 * t->npair;
  }
  for (int b = 0; b < nb; b++) {
    dpi_sens_resample(s->def.seed, 2 * b, s->def.nvariance, count);
    double vb = dpi_sens_variance(s, output, s->def.nvariance, count, &other);
    dpi_sens_resample(s->def.seed, 2 * b + 1, t->npair, count);
    shares(t, ngroup, count, vb, share);
    for (int g = 0; g < ngroup; g++) boot[(size_t)g * (size_t)nb + (size_t)b] = share[g];
  }
  for (int g = 0; g < ngroup; g++)
    dpi_sens_interval(dpi_sens_at(s->out, output, g, 0), boot + (size_t)g * (size_t)nb, nb, s->def.level);
}

/* dpi_work_fn */
static dp_status one_output(void *user, int output, int worker) {
  (void)worker;
  const shapley *h = user;
  dp_ctx *ctx = h->s->ctx;
  size_t ngroup = (size_t)h->ngroup, npair = (size_t)h->npair, nvariance = (size_t)h->s->def.nvariance;
  tally t = {.part = DPI_NEW_ARRAY(ctx, double, (npair + 1) * ngroup),
             .last = DPI_NEW_ARRAY(ctx, uint16_t, (npair + 1) * ngroup)};
  double *boot = DPI_NEW_ARRAY(ctx, double, ngroup *((size_t)h->s->def.nboot + 1));
  uint16_t *count = DPI_NEW_ARRAY(ctx, uint16_t, nvariance > npair ? nvariance : npair);
  dp_status status = t.part && t.last && boot && count ? DP_OK : DP_ERR_MEMORY;
  if (status == DP_OK) digest(h, output, &t, boot, boot + ngroup * (size_t)h->s->def.nboot, count);
  dpi_free(ctx, t.part);
  dpi_free(ctx, t.last);
  dpi_free(ctx, boot);
  dpi_free(ctx, count);
  return status;
}

/* ---- the call ---- */

static dp_status work(shapley *h) {
  dpi_sens *s = h->s;
  size_t n = (size_t)h->n;
  h->order = DPI_NEW_ARRAY(s->ctx, int, 2 * (size_t)h->npair * (size_t)h->ngroup);
  h->input = DPI_NEW_ARRAY(s->ctx, int, n);
  h->factor = DPI_NEW_ARRAY(s->ctx, double, n *n);
  h->z = DPI_NEW_ARRAY(s->ctx, double, 2 * n);
  if (!h->order || !h->input || !h->factor || !h->z) return DP_ERR_MEMORY;
  h->work = h->z + n;
  draw_orders(h);
  DP_TRY(dpi_sens_evaluate(s, s->def.nvariance + 2 * (int64_t)h->npair * h->each, make, h));
  return dpi_parallel_for(s->ctx, s->noutput, one_output, h);
}

dp_status dpi_sens_shapley(dpi_sens *s) {
  static const char *const measure[] = {"share"};
  const dp_sensitivity_def *def = &s->def;
  if (def->nouter < 1 || def->ninner < 2 || def->nvariance < 2 || def->nouter > 10000 || def->ninner > 10000)
    return dpi_fail(s->ctx, DP_ERR_USAGE,
                    "shapley: %d outer and %d inner draws, %d of the variance; expected at least 1, 2 and 2",
                    def->nouter, def->ninner, def->nvariance);
  shapley h = {.s = s, .n = s->in.n, .ngroup = s->in.ngroup, .npair = (def->nsample + 1) / 2, .present = -1};
  h.each = (h.ngroup - 1) * def->nouter * def->ninner;
  DP_TRY(dpi_sens_room(s, 1, measure, false));
  dp_status status = work(&h);
  dpi_free(s->ctx, h.order);
  dpi_free(s->ctx, h.input);
  dpi_free(s->ctx, h.factor);
  dpi_free(s->ctx, h.z);
  return status;
}
