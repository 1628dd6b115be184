/* trial_stats.c - floor 8: people's endpoints added up in their order; estimates of an arm; what an answer depends on.
 *
 *     mean                 Student's t; or percentile bootstrap over people (2,000 samples), where all people are kept
 *     proportion           Wilson's score interval, or Clopper-Pearson's
 *
 * Comparisons of arms: trial_compare.c.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "trial/trial_stats.h"

#define SKETCH_ERROR 5e-4

bool dpi_trial_same_people(const dp_trial *t) { return t->desc.design != DP_TRIAL_PARALLEL; }

/* Where chance has put a person: an arm, or a sequence of arms. */
static int group_of(const dp_trial *t, int person) {
  return t->desc.design == DP_TRIAL_PAIRED ? 0 : dpi_trial_assigned(t, person);
}

dp_status dpi_trial_tally_create(const dp_trial *t, dpi_trial_tally **out) {
  dp_ctx *ctx = t->ctx;
  dpi_trial_tally *w = *out = DPI_NEW(ctx, dpi_trial_tally);
  if (!w) return DP_ERR_MEMORY;
  w->t = t;
  w->narm = t->desc.narm;
  w->nend = t->desc.nendpoint;
  w->nperson = t->cohort.n;
  w->nstratum = t->desc.design == DP_TRIAL_CROSSOVER ? t->desc.narm : t->nstratum > 1 ? t->nstratum : 1;
  w->nkept = w->nperson < DPI_TRIAL_KEPT ? w->nperson : DPI_TRIAL_KEPT;
  const size_t cell = (size_t)w->narm * (size_t)w->nend;
  w->one = DPI_NEW_ARRAY(ctx, dpi_moments, cell);
  w->part = DPI_NEW_ARRAY(ctx, dpi_moments, cell * (size_t)w->nstratum);
  w->two = DPI_NEW_ARRAY(ctx, dpi_moments, dpi_trial_npair(w) * w->nend * w->nstratum + 1);
  w->look = DPI_NEW_ARRAY(ctx, dp_trial_seen, dpi_trial_npair(w) * w->nend * t->nlook + 1);
  w->sketch = DPI_NEW_ARRAY(ctx, dpi_sketch, cell);
  w->kept = DPI_NEW_ARRAY(ctx, double, (size_t)w->nkept *cell);
  w->group = DPI_NEW_ARRAY(ctx, short, w->nkept);
  w->layer = DPI_NEW_ARRAY(ctx, short, w->nkept);
  if (!w->one || !w->part || !w->two || !w->look || !w->sketch || !w->kept || !w->group || !w->layer)
    return DP_ERR_MEMORY;
  for (size_t k = 0; k < cell; k++) w->sketch[k].eps = w->nperson > DPI_TRIAL_KEPT ? SKETCH_ERROR : 0;
  return DP_OK;
}

void dpi_trial_tally_destroy(dpi_trial_tally *w) {
  if (!w) return;
  dp_ctx *ctx = w->t->ctx;
  for (int k = 0; w->sketch && k < w->narm * w->nend; k++) dpi_sketch_release(ctx, &w->sketch[k]);
  dpi_sketch_scratch_release(ctx, &w->scratch);
  void *const block[] = {w->one,   w->part, w->two,     w->look,  w->sketch, w->kept, w->x,
                         w->piece, w->work, w->stratum, w->group, w->layer,  w};
  for (int k = 0; k < DPI_COUNT(block); k++) dpi_free(ctx, block[k]);
}

/* ---- adding ---- */

static dp_status room(dpi_trial_tally *w, int n) {
  dp_ctx *ctx = w->t->ctx;
  if (n <= w->room) return DP_OK;
  dpi_free(ctx, w->x);
  dpi_free(ctx, w->piece);
  dpi_free(ctx, w->work);
  dpi_free(ctx, w->stratum);
  w->room = 0;
  w->x = DPI_NEW_ARRAY(ctx, double, n);
  w->piece = DPI_NEW_ARRAY(ctx, double, n + 16);
  w->work = DPI_NEW_ARRAY(ctx, uint64_t, 2 * n);
  w->stratum = DPI_NEW_ARRAY(ctx, int, n);
  if (!w->x || !w->piece || !w->work || !w->stratum) return DP_ERR_MEMORY;
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

/* Differences of two arms in people of one stratum. */
static void add_pair(dpi_trial_tally *w, const double *value, int n, int a, int b, int e, int stratum,
                     dpi_moments *sum) {
  const size_t width = (size_t)w->narm * (size_t)w->nend;
  int m = 0;
  for (int i = 0; i < n; i++) {
    const double *v = value + (size_t)i * width, x = v[a * w->nend + e] - v[b * w->nend + e];
    if (w->stratum[i] == stratum && isfinite(x)) w->x[m++] = x;
  }
  if (!m) return;
  const dpi_moments block = dpi_moments_of(w->x, m);
  dpi_moments_add(sum, &block);
}

/* An arm's endpoint in people of one stratum. */
static void add_part(dpi_trial_tally *w, const double *value, int n, int cell, int stratum) {
  const size_t width = (size_t)w->narm * (size_t)w->nend;
  int m = 0;
  for (int i = 0; i < n; i++) {
    const double x = value[(size_t)i * width + (size_t)cell];
    if (w->stratum[i] == stratum && isfinite(x)) w->x[m++] = x;
  }
  if (!m) return;
  const dpi_moments block = dpi_moments_of(w->x, m);
  dpi_moments_add(&w->part[cell * w->nstratum + stratum], &block);
}

static dp_status add_some(dpi_trial_tally *w, const double *value, int n) {
  const size_t width = (size_t)w->narm * (size_t)w->nend;
  const bool same = dpi_trial_same_people(w->t);
  DP_TRY(room(w, n));
  for (int i = 0; i < n; i++)
    w->stratum[i] = same ? group_of(w->t, w->seen + i) : dpi_trial_stratum_of(w->t, w->seen + i);
  for (int i = 0; i < n && w->have < w->nkept; i++, w->have++) {
    memcpy(w->kept + (size_t)w->have * width, value + (size_t)i * width, width * sizeof *value);
    w->group[w->have] = (short)group_of(w->t, w->have);
    w->layer[w->have] = (short)w->stratum[i];
  }
  for (int cell = 0; cell < w->narm * w->nend; cell++) {
    DP_TRY(add_cell(w, value, n, cell));
    for (int s = 0; s < w->nstratum && w->nstratum > 1 && !same; s++) add_part(w, value, n, cell, s);
  }
  w->seen += n;
  if (!dpi_trial_same_people(w->t)) return DP_OK;
  for (int b = 0, k = 0; b < w->narm; b++)
    for (int a = b + 1; a < w->narm; a++, k++)
      for (int e = 0; e < w->nend; e++)
        for (int s = 0; s < w->nstratum; s++)
          add_pair(w, value, n, a, b, e, s, &w->two[(k * w->nend + e) * w->nstratum + s]);
  return DP_OK;
}

/* A look sees whoever came before it: where one falls into a block, the block is added in two. */
dp_status dpi_trial_tally_add(dpi_trial_tally *w, const double *value, int n) {
  const dp_trial *t = w->t;
  const size_t width = (size_t)w->narm * (size_t)w->nend;
  while (n > 0) {
    const int left = w->nlook < t->nlook ? dpi_trial_look_at(t, w->nlook, w->nperson) - w->seen : n,
              m = left < n ? left : n;
    if (m > 0) DP_TRY(add_some(w, value, m));
    if (w->nlook < t->nlook && m == left) dpi_trial_look(w, w->nlook++);
    value += (size_t)m * width;
    n -= m;
  }
  return DP_OK;
}

/* ---- distributions ---- */

double dpi_trial_t_quantile(double alpha, double dof) {
  const double x = dpi_beta_quantile(alpha, dof / 2, 0.5);
  return sqrt(dof * (1 - x) / x);
}

double dpi_trial_t_tail(double t, double dof) { return dpi_beta_cdf(dof / (dof + t * t), dof / 2, 0.5); }

void dpi_trial_t_interval(double mean, double se, double dof, double confidence, dp_trial_estimate *out) {
  const double half = se > 0 ? dpi_trial_t_quantile(1 - confidence, dof) * se : 0;
  out->low = mean - half;
  out->high = mean + half;
}

void dpi_trial_wilson(double k, double n, double z, double *low, double *high) {
  const double p = k / n, centre = (p + z * z / (2 * n)) / (1 + z * z / n);
  const double half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  *low = k > 0 ? centre - half : 0;
  *high = k < n ? centre + half : 1;
}

/* ---- people kept, and drawn again ---- */

int dpi_trial_draw(dpi_rng *rng, int n) {
  const int k = (int)(dpi_rng_uniform(rng) * n);
  return k < n ? k : n - 1;
}

static double mean_again(dpi_rng *rng, const dpi_trial_pool *pool) {
  const int n = pool->n - pool->fewer;
  double sum = 0;
  for (int i = 0; i < n; i++) sum += pool->x[dpi_trial_draw(rng, pool->n)];
  return sum / n;
}

dp_status dpi_trial_bootstrap(const dp_trial *t, const dpi_trial_pool *pool, int npool, uint64_t what, double *low,
                              double *high) {
  double *mean = DPI_NEW_ARRAY(t->ctx, double, t->nbootstrap);
  if (!mean) return DP_ERR_MEMORY;
  for (int k = 0; k < t->nbootstrap; k++) {
    dpi_rng rng = dpi_rng_make(t->desc.seed ^ what, (uint64_t)k, DPI_TRIAL_BOOTSTRAP);
    for (int i = 0; i < npool; i++) mean[k] += pool[i].weight * mean_again(&rng, &pool[i]);
  }
  dpi_sort(mean, t->nbootstrap);
  const double tail = (1 - t->confidence) / 2;
  *low = dpi_quantile_weighted(mean, NULL, t->nbootstrap, tail, NULL);
  *high = dpi_quantile_weighted(mean, NULL, t->nbootstrap, 1 - tail, NULL);
  dpi_free(t->ctx, mean);
  return DP_OK;
}

int dpi_trial_kept(const dpi_trial_tally *w, int a, int b, int e, int stratum, double *x) {
  const size_t width = (size_t)w->narm * (size_t)w->nend;
  int n = 0;
  for (int i = 0; i < w->have; i++) {
    const double *v = w->kept + (size_t)i * width;
    const double value = b >= 0 ? v[a * w->nend + e] - v[b * w->nend + e] : v[a * w->nend + e];
    if (stratum >= 0 && w->layer[i] != stratum) continue;
    if (isfinite(value)) x[n++] = value;
  }
  return n;
}

/* ---- estimates ---- */

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
      dpi_trial_wilson(k, (double)m->count, z, &out->low, &out->high);
    out->low *= 100;
    out->high *= 100;
    out->method = t->clopper ? "Clopper-Pearson" : "Wilson";
    return DP_OK;
  }
  if (m->count < 2) return DP_OK;
  if (t->bootstrap && w->nperson <= DPI_TRIAL_KEPT) {
    out->method = "bootstrap";
    const dpi_trial_pool pool = {x, dpi_trial_kept(w, arm, -1, e, -1, x), 1, 0};
    return dpi_trial_bootstrap(t, &pool, 1, dpi_hash64("arm") + (uint64_t)(arm * w->nend + e), &out->low, &out->high);
  }
  out->method = "t";
  dpi_trial_t_interval(out->value, out->sd / sqrt((double)m->count), (double)m->count - 1, t->confidence, out);
  return DP_OK;
}

/* ---- the result ---- */

dp_status dpi_trial_tally_finish(dpi_trial_tally *w, dp_trial_result *out) {
  const dp_trial *t = w->t;
  double *x = DPI_NEW_ARRAY(t->ctx, double, (size_t)w->nkept + 1);
  dp_status status = x ? DP_OK : DP_ERR_MEMORY;
  for (int a = 0; a < w->narm && status == DP_OK; a++)
    for (int e = 0; e < w->nend && status == DP_OK; e++) {
      const dpi_sketch *s = &w->sketch[a * w->nend + e];
      status = estimate_one(w, a, e, x, &out->arm[a].estimate[e]);
      const bool have = s->count && !t->endpoint[e].relation; /* of yes and no they say nothing */
      out->arm[a].q05[e] = have ? dpi_sketch_quantile(s, 0.05) : NAN;
      out->arm[a].median[e] = have ? dpi_sketch_quantile(s, 0.5) : NAN;
      out->arm[a].q95[e] = have ? dpi_sketch_quantile(s, 0.95) : NAN;
    }
  dpi_free(t->ctx, x);
  return status == DP_OK ? dpi_trial_compare(w, out) : status;
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
  if (good) dpi_trial_tell_period(w, out);
  if (best[0].column >= 0) tell_drivers(w, best, n, &out->credibility);
  void *const block[] = {x, y, rank, row, order, who};
  for (int k = 0; k < DPI_COUNT(block); k++) dpi_free(ctx, block[k]);
  return good ? DP_OK : DP_ERR_MEMORY;
}
