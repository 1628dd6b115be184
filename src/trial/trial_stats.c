/* trial_stats.c - floor 8: people's endpoints added up in their order; estimates, differences, intervals, power.
 *
 *     mean                 Student's t; or percentile bootstrap over people (2,000 samples), where all people are kept
 *     proportion           Wilson's score interval, or Clopper-Pearson's
 *     difference, parallel arms    Welch's t; of proportions Newcombe's hybrid score interval (1998, method 10)
 *     difference, same people      paired t; bootstrap over people; of proportions Bonett & Price's, McNemar's exact
 *     test
 *     power                trials of n people an arm drawn with replacement from the people kept; the share of them in
 *                          which the
 *                          t test (of shares: on 0 and 1) finds the difference at the trial's confidence, with
 *                          Clopper-Pearson's interval
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "num/num.h"
#include "num/sketch.h"
#include "trial/trial_impl.h"

#define SKETCH_ERROR 5e-4

struct dpi_trial_tally {
  const dp_trial *t;
  int nperson, nkept, narm, nend;
  dpi_moments *one;   /* [narm x nend] */
  dpi_moments *two;   /* [npair x nend] of differences, same people */
  dpi_sketch *sketch; /* [narm x nend] */
  dpi_sketch_scratch scratch;
  double *kept; /* [nkept x narm x nend] of the first people */
  int have;
  double *x, *piece; /* of one block */
  uint64_t *work;
  int room;
};

static int npair(const dpi_trial_tally *w) { return w->narm * (w->narm - 1) / 2; }
static bool same_people(const dp_trial *t) { return t->desc.design != DP_TRIAL_PARALLEL; }

dp_status dpi_trial_tally_create(const dp_trial *t, dpi_trial_tally **out) {
  dp_ctx *ctx = t->ctx;
  dpi_trial_tally *w = *out = DPI_NEW(ctx, dpi_trial_tally);
  if (!w) return DP_ERR_MEMORY;
  w->t = t;
  w->narm = t->desc.narm;
  w->nend = t->desc.nendpoint;
  w->nperson = t->cohort.n;
  w->nkept = w->nperson < DPI_TRIAL_KEPT ? w->nperson : DPI_TRIAL_KEPT;
  const size_t cell = (size_t)w->narm * (size_t)w->nend;
  w->one = DPI_NEW_ARRAY(ctx, dpi_moments, cell);
  w->two = DPI_NEW_ARRAY(ctx, dpi_moments, npair(w) * w->nend + 1);
  w->sketch = DPI_NEW_ARRAY(ctx, dpi_sketch, cell);
  w->kept = DPI_NEW_ARRAY(ctx, double, (size_t)w->nkept *cell);
  if (!w->one || !w->two || !w->sketch || !w->kept) return DP_ERR_MEMORY;
  for (size_t k = 0; k < cell; k++) w->sketch[k].eps = w->nperson > DPI_TRIAL_KEPT ? SKETCH_ERROR : 0;
  return DP_OK;
}

void dpi_trial_tally_destroy(dpi_trial_tally *w) {
  if (!w) return;
  dp_ctx *ctx = w->t->ctx;
  for (int k = 0; w->sketch && k < w->narm * w->nend; k++) dpi_sketch_release(ctx, &w->sketch[k]);
  dpi_sketch_scratch_release(ctx, &w->scratch);
  void *const block[] = {w->one, w->two, w->sketch, w->kept, w->x, w->piece, w->work, w};
  for (int k = 0; k < DPI_COUNT(block); k++) dpi_free(ctx, block[k]);
}

/* ---- adding ---- */

static dp_status room(dpi_trial_tally *w, int n) {
  dp_ctx *ctx = w->t->ctx;
  if (n <= w->room) return DP_OK;
  dpi_free(ctx, w->x);
  dpi_free(ctx, w->piece);
  dpi_free(ctx, w->work);
  w->room = 0;
  w->x = DPI_NEW_ARRAY(ctx, double, n);
  w->piece = DPI_NEW_ARRAY(ctx, double, n + 16);
  w->work = DPI_NEW_ARRAY(ctx, uint64_t, 2 * n);
  if (!w->x || !w->piece || !w->work) return DP_ERR_MEMORY;
  w->room = n;
  return DP_OK;
}

static dp_status add_cell(dpi_trial_tally *w, const double *value, int n, int cell) {
  const size_t width = (size_t)w->narm * (size_t)w->nend;
  int m = 0;
  for (int i = 0; i < n; i++) {
    const double x = value[(size_t)i * width + (size_t)cell];
    if (isfinite(x)) w->x[m++] = x;
  }
  if (!m) return DP_OK;
  const dpi_moments block = dpi_moments_of(w->x, m);
  dpi_moments_add(&w->one[cell], &block);
  dpi_sketch_sort(w->x, m, w->work);
  dpi_sketch_digest(w->x, m, w->sketch[cell].eps, w->piece);
  return dpi_sketch_add(w->t->ctx, &w->sketch[cell], w->piece, m, &w->scratch);
}

static void add_pair(dpi_trial_tally *w, const double *value, int n, int a, int b, int e, dpi_moments *sum) {
  const size_t width = (size_t)w->narm * (size_t)w->nend;
  int m = 0;
  for (int i = 0; i < n; i++) {
    const double *v = value + (size_t)i * width, x = v[a * w->nend + e] - v[b * w->nend + e];
    if (isfinite(x)) w->x[m++] = x;
  }
  if (!m) return;
  const dpi_moments block = dpi_moments_of(w->x, m);
  dpi_moments_add(sum, &block);
}

dp_status dpi_trial_tally_add(dpi_trial_tally *w, const double *value, int n) {
  const size_t width = (size_t)w->narm * (size_t)w->nend;
  DP_TRY(room(w, n));
  for (int i = 0; i < n && w->have < w->nkept; i++, w->have++)
    memcpy(w->kept + (size_t)w->have * width, value + (size_t)i * width, width * sizeof *value);
  for (int cell = 0; cell < w->narm * w->nend; cell++) DP_TRY(add_cell(w, value, n, cell));
  if (!same_people(w->t)) return DP_OK;
  for (int b = 0, k = 0; b < w->narm; b++)
    for (int a = b + 1; a < w->narm; a++, k++)
      for (int e = 0; e < w->nend; e++) add_pair(w, value, n, a, b, e, &w->two[k * w->nend + e]);
  return DP_OK;
}

/* ---- distributions ---- */

/* |T| is beyond it with probability alpha. */
static double t_quantile(double alpha, double dof) {
  const double x = dpi_beta_quantile(alpha, dof / 2, 0.5);
  return sqrt(dof * (1 - x) / x);
}

static double t_tail(double t, double dof) { return dpi_beta_cdf(dof / (dof + t * t), dof / 2, 0.5); }

static void wilson(double k, double n, double z, double *low, double *high) {
  const double p = k / n, centre = (p + z * z / (2 * n)) / (1 + z * z / n);
  const double half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  *low = k > 0 ? centre - half : 0;
  *high = k < n ? centre + half : 1;
}

/* ---- bootstrap over people ---- */

static int pick(dpi_rng *rng, int n) {
  const int k = (int)(dpi_rng_uniform(rng) * n);
  return k < n ? k : n - 1;
}

static double mean_again(dpi_rng *rng, const double *x, int n) {
  double sum = 0;
  for (int i = 0; i < n; i++) sum += x[pick(rng, n)];
  return sum / n;
}

/* Percentile interval of mean(x) - mean(y) (y: n of it may be 0). */
static dp_status bootstrap(const dp_trial *t, const double *x, int nx, const double *y, int ny, uint64_t what,
                           double *low, double *high) {
  double *mean = DPI_NEW_ARRAY(t->ctx, double, t->nbootstrap);
  if (!mean) return DP_ERR_MEMORY;
  for (int k = 0; k < t->nbootstrap; k++) {
    dpi_rng rng = dpi_rng_make(t->desc.seed ^ what, (uint64_t)k, DPI_TRIAL_BOOTSTRAP);
    mean[k] = mean_again(&rng, x, nx) - (ny ? mean_again(&rng, y, ny) : 0);
  }
  dpi_sort(mean, t->nbootstrap);
  const double tail = (1 - t->confidence) / 2;
  *low = dpi_quantile_weighted(mean, NULL, t->nbootstrap, tail, NULL);
  *high = dpi_quantile_weighted(mean, NULL, t->nbootstrap, 1 - tail, NULL);
  dpi_free(t->ctx, mean);
  return DP_OK;
}

/* What is kept of one arm's endpoint, or (b >= 0) of the differences of two. */
static int kept_of(const dpi_trial_tally *w, int a, int b, int e, double *x) {
  const size_t width = (size_t)w->narm * (size_t)w->nend;
  int n = 0;
  for (int i = 0; i < w->have; i++) {
    const double *v = w->kept + (size_t)i * width;
    const double value = b >= 0 ? v[a * w->nend + e] - v[b * w->nend + e] : v[a * w->nend + e];
    if (isfinite(value)) x[n++] = value;
  }
  return n;
}

/* ---- estimates ---- */

static void interval_t(double mean, double se, double dof, double confidence, dp_trial_estimate *out) {
  const double half = se > 0 ? t_quantile(1 - confidence, dof) * se : 0;
  out->low = mean - half;
  out->high = mean + half;
}

static dp_status estimate_one(dpi_trial_tally *w, int arm, int e, double *x, dp_trial_estimate *out) {
  const dp_trial *t = w->t;
  const dpi_moments *m = &w->one[arm * w->nend + e];
  const bool share = t->endpoint[e].relation != 0;
  const double scale = share ? 100 : 1;
  *out = (dp_trial_estimate){.n = (int)m->count, .value = NAN, .low = NAN, .high = NAN, .sd = NAN, .method = "none"};
  if (m->count < 1) return DP_OK;
  out->value = m->mean * scale;
  out->sd = dpi_moments_sd(m) * scale;
  if (share) {
    const double k = floor(m->mean * (double)m->count + 0.5), z = dpi_norm_quantile(0.5 + t->confidence / 2);
    if (t->clopper)
      dpi_binomial_bounds(k, (double)m->count, t->confidence, &out->low, &out->high);
    else
      wilson(k, (double)m->count, z, &out->low, &out->high);
    out->low *= 100;
    out->high *= 100;
    out->method = t->clopper ? "Clopper-Pearson" : "Wilson";
    return DP_OK;
  }
  if (m->count < 2) return DP_OK;
  if (t->bootstrap && w->nperson <= DPI_TRIAL_KEPT) {
    out->method = "bootstrap";
    const int n = kept_of(w, arm, -1, e, x);
    return bootstrap(t, x, n, NULL, 0, dpi_hash64("arm") + (uint64_t)(arm * w->nend + e), &out->low, &out->high);
  }
  out->method = "t";
  interval_t(out->value, out->sd / sqrt((double)m->count), (double)m->count - 1, t->confidence, out);
  return DP_OK;
}

/* Shares in the same people (Bonett & Price 2012): those who changed, two added; p by McNemar's exact test. */
static void difference_changes(const dp_trial *t, const dpi_moments *m, dp_trial_difference *out) {
  const double n = (double)m->count, square = m->square + n * m->mean * m->mean; /* all who changed */
  const double up = floor((square + n * m->mean) / 2 + 0.5), down = floor((square - n * m->mean) / 2 + 0.5);
  const double a = (up + 1) / (n + 2), b = (down + 1) / (n + 2), z = dpi_norm_quantile(0.5 + t->confidence / 2);
  const double half = z * sqrt((a + b - (a - b) * (a - b)) / (n + 2));
  dp_trial_estimate *s = &out->estimate;
  s->low = 100 * fmax(a - b - half, -1);
  s->high = 100 * fmin(a - b + half, 1);
  s->method = "Bonett-Price";
  const double least = up < down ? up : down, all = up + down; /* P(X <= least) of all tosses of a coin */
  out->p = all > 0 ? fmin(2 * dpi_beta_cdf(0.5, all - least, least + 1), 1) : 1;
}

/* Same people: differences d. */
static dp_status difference_paired(dpi_trial_tally *w, int k, int a, int b, int e, double *x,
                                   dp_trial_difference *out) {
  const dp_trial *t = w->t;
  const dpi_moments *m = &w->two[k * w->nend + e];
  const double scale = t->endpoint[e].relation ? 100 : 1;
  dp_trial_estimate *s = &out->estimate;
  s->n = (int)m->count;
  if (m->count < 2) return DP_OK;
  s->value = m->mean * scale;
  s->sd = dpi_moments_sd(m) * scale;
  if (t->endpoint[e].relation) return difference_changes(t, m, out), DP_OK;
  s->method = "paired t";
  const double se = s->sd / sqrt((double)m->count), dof = (double)m->count - 1;
  interval_t(s->value, se, dof, t->confidence, s);
  out->p = se > 0 ? t_tail(s->value / se, dof) : s->value == 0 ? 1 : 0;
  if (!t->bootstrap || w->nperson > DPI_TRIAL_KEPT) return DP_OK;
  s->method = "paired bootstrap";
  const int n = kept_of(w, a, b, e, x);
  return bootstrap(t, x, n, NULL, 0, dpi_hash64("pair") + (uint64_t)(k * w->nend + e), &s->low, &s->high);
}

static void difference_shares(const dp_trial *t, const dpi_moments *p, const dpi_moments *q, dp_trial_difference *out) {
  const double z = dpi_norm_quantile(0.5 + t->confidence / 2), n = (double)p->count, m = (double)q->count;
  double l1, u1, l2, u2;
  wilson(p->mean * n, n, z, &l1, &u1);
  wilson(q->mean * m, m, z, &l2, &u2);
  const double d = p->mean - q->mean;
  dp_trial_estimate *s = &out->estimate;
  s->low = 100 * (d - sqrt((p->mean - l1) * (p->mean - l1) + (u2 - q->mean) * (u2 - q->mean)));
  s->high = 100 * (d + sqrt((u1 - p->mean) * (u1 - p->mean) + (q->mean - l2) * (q->mean - l2)));
  s->method = "Newcombe";
  const double all = (p->mean * n + q->mean * m) / (n + m), se = sqrt(all * (1 - all) * (1 / n + 1 / m));
  out->p = se > 0 ? 2 * dpi_norm_cdf(-fabs(d) / se) : d == 0 ? 1 : 0;
}

/* Welch: standard error and degrees of freedom. */
static double welch(double v1, double n1, double v2, double n2, double *dof) {
  const double a = v1 / n1, b = v2 / n2;
  *dof = a + b > 0 ? (a + b) * (a + b) / (a * a / (n1 - 1) + b * b / (n2 - 1)) : n1 + n2 - 2;
  return sqrt(a + b);
}

static dp_status difference_apart(dpi_trial_tally *w, int a, int b, int e, double *x, dp_trial_difference *out) {
  const dp_trial *t = w->t;
  const dpi_moments *p = &w->one[a * w->nend + e], *q = &w->one[b * w->nend + e];
  const bool share = t->endpoint[e].relation != 0;
  dp_trial_estimate *s = &out->estimate;
  s->n = (int)(p->count + q->count);
  if (p->count < 2 || q->count < 2) return DP_OK;
  const double d = p->mean - q->mean, v1 = p->square / (double)(p->count - 1), v2 = q->square / (double)(q->count - 1);
  double dof;
  const double se = welch(v1, (double)p->count, v2, (double)q->count, &dof);
  s->value = share ? 100 * d : d;
  s->sd = sqrt((v1 + v2) / 2) * (share ? 100 : 1);
  if (share) return difference_shares(t, p, q, out), DP_OK;
  s->method = "Welch t";
  interval_t(d, se, dof, t->confidence, s);
  out->p = se > 0 ? t_tail(d / se, dof) : d == 0 ? 1 : 0;
  if (!t->bootstrap || w->nperson > DPI_TRIAL_KEPT) return DP_OK;
  s->method = "bootstrap";
  const int n = kept_of(w, a, -1, e, x), m = kept_of(w, b, -1, e, x + n);
  return bootstrap(t, x, n, x + n, m, dpi_hash64("two") + (uint64_t)((a * w->narm + b) * w->nend + e), &s->low,
                   &s->high);
}

/* ---- power ---- */

static dpi_moments sample(dpi_rng *rng, const double *x, int n, int draws) {
  dpi_moments m = {0};
  for (int i = 0; i < draws; i++) {
    const double v = x[pick(rng, n)], d = v - m.mean;
    m.count++;
    m.mean += d / (double)m.count;
    m.square += d * (v - m.mean);
  }
  return m;
}

static bool finds(const dp_trial *t, const double *x, int nx, const double *y, int ny, uint64_t trial, uint64_t what) {
  dpi_rng rng = dpi_rng_make(t->desc.seed ^ what, trial, DPI_TRIAL_POWER);
  const int n = t->power_n;
  const dpi_moments a = sample(&rng, x, nx, n);
  double dof = n - 1, se = sqrt(a.square / (n - 1) / n), d = a.mean;
  if (ny) {
    const dpi_moments b = sample(&rng, y, ny, n);
    se = welch(a.square / (n - 1), n, b.square / (n - 1), n, &dof);
    d -= b.mean;
  }
  return se > 0 ? t_tail(d / se, dof) < 1 - t->confidence : d != 0;
}

static void power_of(dpi_trial_tally *w, int a, int b, int e, double *x, dp_trial_difference *out) {
  const dp_trial *t = w->t;
  const bool same = same_people(t);
  const int nx = kept_of(w, a, same ? b : -1, e, x), ny = same ? 0 : kept_of(w, b, -1, e, x + nx);
  if (!t->power_n || nx < 2 || (!same && ny < 2)) return;
  int found = 0;
  const uint64_t what = dpi_hash64("power") + (uint64_t)((a * w->narm + b) * w->nend + e);
  for (int k = 0; k < t->power_trials; k++) found += finds(t, x, nx, x + nx, ny, (uint64_t)k, what);
  out->power_n = t->power_n;
  out->power_trials = t->power_trials;
  out->power = (double)found / t->power_trials;
  dpi_binomial_bounds(found, t->power_trials, 0.95, &out->power_low, &out->power_high);
}

/* ---- the result ---- */

dp_status dpi_trial_tally_finish(dpi_trial_tally *w, dp_trial_result *out) {
  const dp_trial *t = w->t;
  double *x = DPI_NEW_ARRAY(t->ctx, double, 2 * (size_t)w->nkept + 2);
  dp_status status = x ? DP_OK : DP_ERR_MEMORY;
  for (int a = 0; a < w->narm && status == DP_OK; a++)
    for (int e = 0; e < w->nend && status == DP_OK; e++) {
      const dpi_sketch *s = &w->sketch[a * w->nend + e];
      const double scale = t->endpoint[e].relation ? 100 : 1;
      status = estimate_one(w, a, e, x, &out->arm[a].estimate[e]);
      out->arm[a].q05[e] = s->count ? scale * dpi_sketch_quantile(s, 0.05) : NAN;
      out->arm[a].median[e] = s->count ? scale * dpi_sketch_quantile(s, 0.5) : NAN;
      out->arm[a].q95[e] = s->count ? scale * dpi_sketch_quantile(s, 0.95) : NAN;
    }
  int n = 0;
  for (int b = 0, k = 0; b < w->narm; b++)
    for (int a = b + 1; a < w->narm; a++, k++)
      for (int e = 0; e < w->nend && status == DP_OK; e++) {
        dp_trial_difference *d = &out->difference[n++];
        *d = (dp_trial_difference){.arm = a,
                                   .against = b,
                                   .endpoint = e,
                                   .p = NAN,
                                   .power = NAN,
                                   .power_low = NAN,
                                   .power_high = NAN,
                                   .estimate = {.value = NAN, .low = NAN, .high = NAN, .sd = NAN, .method = "none"}};
        status = same_people(t) ? difference_paired(w, k, a, b, e, x, d) : difference_apart(w, a, b, e, x, d);
        if (status == DP_OK) power_of(w, a, b, e, x, d);
      }
  out->ndifference = n;
  dpi_free(t->ctx, x);
  return status;
}

/* ---- what the answer depends on ---- */

typedef struct driver {
  int column;
  double rho;
} driver;

/* Mid-ranks of x[n], centred. */
static void ranks(const double *x, int n, int *order, double *rank) {
  dpi_argsort(x, n, order);
  for (int i = 0; i < n;) {
    int k = i;
    while (k < n && x[order[k]] == x[order[i]]) k++;
    for (int j = i; j < k; j++) rank[order[j]] = (i + k - n) / 2.0;
    i = k;
  }
}

static double correlation(const double *a, const double *b, int n) {
  double ab = 0, aa = 0, bb = 0;
  for (int i = 0; i < n; i++) ab += a[i] * b[i], aa += a[i] * a[i], bb += b[i] * b[i];
  return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

/* The three columns with the largest rank correlation (Spearman); x [ncolumn x n]. */
static void find_drivers(const dpi_cohort *c, const double *x, const double *y, int n, int *order, double *rank,
                         driver best[3]) {
  double *of_y = rank, *of_x = rank + n;
  ranks(y, n, order, of_y);
  for (int k = 0; k < c->ncolumn; k++) {
    ranks(x + (size_t)k * (size_t)n, n, order, of_x);
    driver d = {k, correlation(of_x, of_y, n)};
    for (int i = 0; i < 3; i++) {
      if (!(fabs(d.rho) > fabs(best[i].rho))) continue;
      const driver other = best[i];
      best[i] = d;
      d = other;
    }
  }
}

static void tell_drivers(const dpi_trial_tally *w, const driver best[3], int n, dp_trial_credibility *c) {
  dp_trial_evidence *e = &c->evidence[c->nevidence++];
  size_t at = 0;
  *e = (dp_trial_evidence){.state = DP_EVIDENCE_STATED, .value = best[0].rho, .limit = NAN};
  snprintf(e->factor, sizeof e->factor, "input: sensitivity");
  at += (size_t)snprintf(e->what, sizeof e->what, "over %d people '%.40s' in arm '%.40s' goes with", n,
                         w->t->endpoint[0].pub.id, w->t->arm[w->narm - 1].name);
  for (int i = 0; i < 3 && best[i].column >= 0 && at < sizeof e->what; i++)
    at += (size_t)snprintf(e->what + at, sizeof e->what - at, "%s %.30s (rank correlation %.2f)", i ? "," : "",
                           w->t->cohort.column[best[i].column], best[i].rho);
}

dp_status dpi_trial_tally_drivers(dpi_trial_tally *w, dp_trial_result *out) {
  const dpi_cohort *c = &w->t->cohort;
  const size_t width = (size_t)w->narm * (size_t)w->nend, cell = (size_t)(w->narm - 1) * (size_t)w->nend;
  const int most = w->have < 2000 ? w->have : 2000;
  dp_ctx *ctx = w->t->ctx;
  double *x = DPI_NEW_ARRAY(ctx, double, (size_t)most *(size_t)c->ncolumn + 1),
         *y = DPI_NEW_ARRAY(ctx, double, most + 1);
  double *rank = DPI_NEW_ARRAY(ctx, double, 2 * (size_t)most + 1), *row = DPI_NEW_ARRAY(ctx, double, c->ncolumn + 1);
  int *order = DPI_NEW_ARRAY(ctx, int, most + 1), *who = DPI_NEW_ARRAY(ctx, int, most + 1), n = 0;
  driver best[3] = {{-1, 0}, {-1, 0}, {-1, 0}};
  const bool good = x && y && rank && row && order && who;
  for (int i = 0; good && i < most; i++)
    if (isfinite(w->kept[(size_t)i * width + cell])) {
      y[n] = w->kept[(size_t)i * width + cell];
      who[n++] = i;
    }
  for (int i = 0; good && i < n; i++) {
    char id[64];
    dpi_cohort_person(w->t, who[i], row, id);
    for (int k = 0; k < c->ncolumn; k++) x[(size_t)k * (size_t)n + (size_t)i] = row[k];
  }
  if (good && n > 9) find_drivers(c, x, y, n, order, rank, best);
  if (best[0].column >= 0) tell_drivers(w, best, n, &out->credibility);
  void *const block[] = {x, y, rank, row, order, who};
  for (int k = 0; k < DPI_COUNT(block); k++) dpi_free(ctx, block[k]);
  return good ? DP_OK : DP_ERR_MEMORY;
}
