/* verdict.c - floor 6, folder sample: R-hat, effective sizes, Monte Carlo errors, and the verdict.
 *
 * Formulas: Vehtari et al. 2021 (verdict.h), equations 3 to 5 (R-hat), 10 to 13 (effective size), 14 (rank
 * normalisation); truncation of the autocorrelations: C. J. Geyer, Statistical Science 7 (1992) 473, initial monotone
 * sequence, with the last single even term that Stan adds; effective size at most S log10(S) as in Stan. Error of a
 * standard deviation by the delta method on (x - mean)^2.
 */
#include "infer/sample/verdict.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- effective size ---- */

static double mean_of(const double *x, int n) { return dpi_sum(x, n) / n; }

/* mean over chains of the autocovariance at a lag, each normalised by the number of draws */
static double autocov(const double *x, int nchain, int ndraw, int lag) {
  double total = 0;
  for (int c = 0; c < nchain; c++) {
    const double *y = x + (size_t)c * (size_t)ndraw;
    double m = mean_of(y, ndraw), s = 0;
    for (int i = 0; i + lag < ndraw; i++) s += (y[i] - m) * (y[i + lag] - m);
    total += s / ndraw;
  }
  return total / nchain;
}

static double variance_of_means(const double *x, int nchain, int ndraw) {
  double s = 0, all = 0;
  for (int c = 0; c < nchain; c++) all += mean_of(x + (size_t)c * (size_t)ndraw, ndraw) / nchain;
  for (int c = 0; c < nchain; c++) {
    double d = mean_of(x + (size_t)c * (size_t)ndraw, ndraw) - all;
    s += d * d;
  }
  return nchain > 1 ? s / (nchain - 1) : 0;
}

static bool constant(const double *x, int n) {
  double low = x[0], high = x[0];
  for (int i = 1; i < n; i++) {
    low = fmin(low, x[i]);
    high = fmax(high, x[i]);
  }
  return !(high > low);
}

/* Sum of autocorrelations over pairs of lags, each pair positive and no larger than the one before. */
double dpi_mixing_ess(const double *x, int nchain, int ndraw) {
  double total = (double)nchain * ndraw;
  for (int i = 0; i < nchain * ndraw; i++)
    if (!isfinite(x[i])) return NAN;
  if (ndraw < 4) return NAN;
  if (constant(x, nchain * ndraw)) return total;
  double within = autocov(x, nchain, ndraw, 0) * ndraw / (ndraw - 1.0);
  double plus = within * (ndraw - 1.0) / ndraw + variance_of_means(x, nchain, ndraw);
  double even = 1, odd = 1 - (within - autocov(x, nchain, ndraw, 1)) / plus;
  double pair = even + odd, sum = pair, rest = 0;
  int t = 1;
  while (t < ndraw - 3 && even + odd > 0) {
    even = 1 - (within - autocov(x, nchain, ndraw, t + 1)) / plus;
    odd = 1 - (within - autocov(x, nchain, ndraw, t + 2)) / plus;
    t += 2;
    if (even + odd < 0) break;
    pair = fmin(pair, even + odd);
    sum += pair;
  }
  /* the pair that ended it, by its even part; a pair that is still positive at the last lag is not counted */
  if (t >= ndraw - 3 && even + odd >= 0 && t > 1) sum -= pair;
  rest = even > 0 && t > 1 ? even : 0;
  double tau = fmax(2 * sum - 1 + rest, 1 / dpi_m_log10(total));
  return total / tau;
}

/* ---- ranks, splitting, folding ---- */

/* room for one quantity, split: [2 nchain x half] */
typedef struct work {
  int m, half, size; /* split chains, their draws, all */
  double *split, *y;
  int *order;
} work;

static dp_status work_make(dpi_arena *a, int nchain, int ndraw, work *w) {
  *w = (work){.m = 2 * nchain, .half = ndraw / 2, .size = 2 * nchain * (ndraw / 2)};
  w->split = DPI_ARENA_ARRAY(a, double, (size_t)w->size + 1);
  w->y = DPI_ARENA_ARRAY(a, double, (size_t)w->size + (size_t)nchain + 1);
  w->order = DPI_ARENA_ARRAY(a, int, (size_t)w->size + 1);
  return w->split && w->y && w->order ? DP_OK : DP_ERR_MEMORY;
}

/* halves of every chain; an odd number of draws loses the middle one */
static void split(work *w, const double *x, int nchain, int ndraw) {
  for (int c = 0; c < nchain; c++) {
    const double *from = x + (size_t)c * (size_t)ndraw;
    double *to = w->split + (size_t)(2 * c) * (size_t)w->half;
    memcpy(to, from, sizeof(double) * (size_t)w->half);
    memcpy(to + w->half, from + (ndraw - w->half), sizeof(double) * (size_t)w->half);
  }
}

/* y := normal scores of its ranks; equal values share their mean rank */
static void normal_scores(work *w, double *y) {
  int n = w->size;
  dpi_argsort(y, n, w->order);
  for (int i = 0, j; i < n; i = j) {
    double v = y[w->order[i]];
    for (j = i + 1; j < n && y[w->order[j]] == v; j++) continue;
    double rank = 0.5 * (i + j + 1), z = dpi_norm_quantile((rank - 0.375) / (n + 0.25));
    for (int k = i; k < j; k++) y[w->order[k]] = z;
  }
}

static double rhat_of(const work *w, const double *y) {
  double within = autocov(y, w->m, w->half, 0) * w->half / (w->half - 1.0);
  double between = variance_of_means(y, w->m, w->half);
  return sqrt((within * (w->half - 1.0) / w->half + between) / within);
}

/* quantile of x [n] by linear interpolation of order statistics (type 7) */
static double quantile7(double *sorted, int n, double p) {
  double h = (n - 1) * p;
  int i = (int)floor(h);
  if (i >= n - 1) return sorted[n - 1];
  return sorted[i] + (h - i) * (sorted[i + 1] - sorted[i]);
}

static double tail_ess(work *w, double q) {
  for (int i = 0; i < w->size; i++) w->y[i] = w->split[i] <= q;
  return dpi_mixing_ess(w->y, w->m, w->half);
}

static void errors(work *w, const double *x, int all, dpi_mixing *out) {
  double v = 0, v2 = 0;
  for (int i = 0; i < all; i++) {
    double d2 = (x[i] - out->mean) * (x[i] - out->mean);
    v += d2 / all;
    v2 += d2 * d2 / all;
  }
  for (int i = 0; i < w->size; i++) w->y[i] = (w->split[i] - out->mean) * (w->split[i] - out->mean);
  double ess = dpi_mixing_ess(w->y, w->m, w->half);
  out->ess_mean = dpi_mixing_ess(w->split, w->m, w->half);
  out->mcse_mean = out->sd / sqrt(out->ess_mean);
  out->mcse_sd = sqrt((v2 - v * v) / ess / v / 4);
}

static void mixing(work *w, const double *x, int nchain, int ndraw, double *sorted, dpi_mixing *out) {
  int all = nchain * ndraw;
  double s2 = 0;
  *out = (dpi_mixing){NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
  for (int i = 0; i < all; i++)
    if (!isfinite(x[i])) return;
  out->mean = mean_of(x, all);
  for (int i = 0; i < all; i++) s2 += (x[i] - out->mean) * (x[i] - out->mean);
  out->sd = all > 1 ? sqrt(s2 / (all - 1)) : NAN;
  if (ndraw < 8 || constant(x, all)) return;
  split(w, x, nchain, ndraw);
  memcpy(sorted, x, sizeof(double) * (size_t)all);
  dpi_sort(sorted, all);
  out->ess_tail = fmin(tail_ess(w, quantile7(sorted, all, 0.05)), tail_ess(w, quantile7(sorted, all, 0.95)));
  memcpy(w->y, w->split, sizeof(double) * (size_t)w->size);
  normal_scores(w, w->y);
  out->ess_bulk = dpi_mixing_ess(w->y, w->m, w->half);
  out->rhat = rhat_of(w, w->y);
  memcpy(sorted, w->split, sizeof(double) * (size_t)w->size);
  dpi_sort(sorted, w->size);
  double median = quantile7(sorted, w->size, 0.5);
  for (int i = 0; i < w->size; i++) w->y[i] = fabs(w->split[i] - median);
  normal_scores(w, w->y);
  double folded = rhat_of(w, w->y);
  out->rhat = folded > out->rhat ? folded : out->rhat;
  errors(w, x, all, out);
}

dp_status dpi_mixing_of(dp_ctx *ctx, const double *x, int nchain, int ndraw, dpi_mixing *out) {
  dpi_arena a;
  work w;
  dpi_arena_init(&a, ctx);
  dp_status status = work_make(&a, nchain, ndraw, &w);
  double *sorted = DPI_ARENA_ARRAY(&a, double, (size_t)nchain *(size_t)ndraw + 1);
  if (!sorted) status = DP_ERR_MEMORY;
  if (status == DP_OK) mixing(&w, x, nchain, ndraw, sorted, out);
  dpi_arena_release(&a);
  return status;
}

double dpi_mixing_bfmi(const double *energy, int ndraw) {
  double m = mean_of(energy, ndraw), change = 0, spread = 0;
  for (int i = 0; i < ndraw; i++) {
    spread += (energy[i] - m) * (energy[i] - m);
    if (i > 0) change += (energy[i] - energy[i - 1]) * (energy[i] - energy[i - 1]);
  }
  return change / spread;
}

/* ---- the verdict ---- */

static void verdict_clear(dpi_verdict *v) {
  *v = (dpi_verdict){.usable = 1,
                     .rhat = NAN,
                     .ess_bulk = NAN,
                     .ess_tail = NAN,
                     .worst_rhat = -1,
                     .worst_bulk = -1,
                     .worst_tail = -1,
                     .bfmi = NAN,
                     .khat = NAN,
                     .ess = NAN};
  snprintf(v->words, sizeof v->words, "usable");
}

void dpi_verdict_add(dpi_verdict *v, bool against, const char *fmt, ...) {
  char one[320];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(one, sizeof one, fmt, ap);
  va_end(ap);
  if (against && v->usable) {
    char before[sizeof v->words];
    const char *rest = strchr(v->words, ':');
    memcpy(before, rest ? rest : "", rest ? strlen(rest) + 1 : 1);
    snprintf(v->words, sizeof v->words, "not usable%.600s", before);
    v->usable = 0;
  }
  size_t have = strlen(v->words);
  snprintf(v->words + have, sizeof v->words - have, "%s %s", strchr(v->words, ':') ? ";" : ":", one);
}

static const char *who(const dpi_draws *s, int k) { return k < 0 ? "the log density" : s->name[k]; }

static bool above(double a, double b) { return !(a <= b); }

/* a takes the place of b as the worst: NaN is the worst of all */
static bool worse(double a, double b) { return !isnan(b) && above(a, b); }

static void worst(const dpi_mixing *m, int k, dpi_verdict *v, bool first) {
  if (first || worse(m->rhat, v->rhat)) v->rhat = m->rhat, v->worst_rhat = k;
  if (first || worse(-m->ess_bulk, -v->ess_bulk)) v->ess_bulk = m->ess_bulk, v->worst_bulk = k;
  if (first || worse(-m->ess_tail, -v->ess_tail)) v->ess_tail = m->ess_tail, v->worst_tail = k;
}

static void judge_mixing(const dpi_draws *s, dpi_verdict *v) {
  if (isnan(v->rhat))
    dpi_verdict_add(v, true, "%s does not vary, or there are too few draws", who(s, v->worst_rhat));
  else
    dpi_verdict_add(v, v->rhat > DPI_VERDICT_RHAT, "R-hat %.4g (%s)%s", v->rhat, who(s, v->worst_rhat),
                    v->rhat > DPI_VERDICT_RHAT ? ", above 1.01: chains disagree or move too slowly" : "");
  bool few = above(DPI_VERDICT_ESS, fmin(v->ess_bulk, v->ess_tail)) || isnan(v->ess_bulk) || isnan(v->ess_tail);
  dpi_verdict_add(v, few, "effective draws %.0f in the bulk (%s), %.0f in the tails (%s)%s", v->ess_bulk,
                  who(s, v->worst_bulk), v->ess_tail, who(s, v->worst_tail), few ? ", fewer than 400" : "");
}

static void judge_paths(const dpi_draws *s, double *energy, dpi_verdict *v) {
  double total = (double)s->nchain * s->ndraw;
  for (int c = 0; c < s->nchain; c++) {
    for (int i = 0; i < s->ndraw; i++) {
      const double *stat = s->stat + dpi_draws_at(s, c, i) * DPI_DRAW_NSTAT;
      v->divergent += stat[DPI_DRAW_DIVERGENT] / total;
      v->failed += stat[DPI_DRAW_FAILED] / total;
      energy[i] = stat[DPI_DRAW_ENERGY];
    }
    double b = dpi_mixing_bfmi(energy, s->ndraw);
    if (c == 0 || worse(-b, -v->bfmi)) v->bfmi = b;
  }
  bool many = v->divergent > DPI_VERDICT_DIVERGENT;
  dpi_verdict_add(v, many, "%.2g %% of the trajectories diverged%s", 100 * v->divergent,
                  many ? ": there is a region that the sampler can't enter" : "");
  if (v->failed > 0) dpi_verdict_add(v, false, "%.2g %% ran to where the density can't be evaluated", 100 * v->failed);
  bool poor = above(DPI_VERDICT_BFMI, v->bfmi);
  if (poor) dpi_verdict_add(v, true, "E-BFMI %.2g, below 0.3: the log density is explored too slowly", v->bfmi);
}

static dp_status judge_chains(dpi_arena *a, const dpi_draws *s, dpi_mixing *param, dpi_verdict *v) {
  size_t all = (size_t)s->nchain * (size_t)s->ndraw;
  work w;
  double *x = DPI_ARENA_ARRAY(a, double, all + 1), *sorted = DPI_ARENA_ARRAY(a, double, all + 1);
  DP_TRY(work_make(a, s->nchain, s->ndraw, &w));
  if (!x || !sorted) return DP_ERR_MEMORY;
  for (int k = -1; k < s->n; k++) {
    dpi_mixing m;
    dpi_draws_column(s, k, x);
    mixing(&w, x, s->nchain, s->ndraw, sorted, &m);
    worst(&m, k, v, k < 0);
    if (param && k >= 0) param[k] = m;
  }
  judge_mixing(s, v);
  if (s->stat) judge_paths(s, sorted, v);
  return DP_OK;
}

dp_status dpi_verdict_chains(const dpi_draws *s, dpi_mixing *param, dpi_verdict *v) {
  verdict_clear(v);
  for (int k = 0; param && k < s->n; k++) param[k] = (dpi_mixing){NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
  if (s->nchain < DPI_VERDICT_CHAINS) dpi_verdict_add(v, true, "one chain alone can't show that others would disagree");
  for (int c = 0; c < s->nchain; c++)
    if (s->done[c] < s->ndraw) {
      dpi_verdict_add(v, true, "chain %d has %d of %d draws%s", s->first_chain + c, s->done[c], s->ndraw,
                      s->done[c] == 0 ? ": no place to start from" : "");
      return DP_OK;
    }
  dpi_arena a;
  dpi_arena_init(&a, s->ctx);
  dp_status status = judge_chains(&a, s, param, v);
  dpi_arena_release(&a);
  return status;
}

void dpi_verdict_weights(double khat, double ess, double ess_wanted, dpi_verdict *v) {
  verdict_clear(v);
  v->khat = khat;
  v->ess = ess;
  bool bad = above(khat, DPI_VERDICT_KHAT), few = above(ess_wanted, ess);
  dpi_verdict_add(v, bad, "k-hat %.2g%s", khat, bad ? ", above 0.7: the proposal misses a part of the posterior" : "");
  dpi_verdict_add(v, few, "effective draws %.0f%s", ess, few ? ", too few" : "");
}
