/* why_drivers.c - floor 8: which parameters' uncertainty a number hangs on.
 *
 * The correlation ratio: draws are put into bins of equally many by the parameter's rank, and the variance of the bins' means is
 * compared with the whole. With B bins and n draws its expectation without any dependence is (B - 1)/(n - 1), which is taken off
 * (Kelley 1935):  share = 1 - (1 - eta^2)(n - 1)/(n - B). The interval is a bootstrap over draws, centred: draws that come twice make a
 * bootstrap's shares larger on average, so its spread is taken and its mean is not. */
#include "explain/why_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BINS = 60, IN_A_BIN = 20, PURPOSE_WHY_BOOT = 0x57484242 };

typedef struct ranked {
  double key;
  int at;
} ranked;

static int by_key(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  return x->key != y->key ? (x->key > y->key) - (x->key < y->key) : x->at - y->at;
}

/* Ranks 0..n-1 of x; ties by place. */
static void ranks(const double *x, int n, ranked *room, int *rank) {
  for (int k = 0; k < n; k++) room[k] = (ranked){x[k], k};
  qsort(room, (size_t)n, sizeof *room, by_key);
  for (int k = 0; k < n; k++) rank[room[k].at] = k;
}

/* Enough bins that what varies within one counts little (1 % of a normal law's variance with 50), with enough draws in each. */
static int bins_for(int n) {
  int b = n / IN_A_BIN;
  return b < 2 ? 2 : b > MOST_BINS ? MOST_BINS : b;
}

/* The corrected correlation ratio of y by bin; which[k]: the draws that count (bootstrap), NULL: each once. */
static double ratio(const double *y, const int *bin, int nbin, const int *which, int n) {
  double sum[MOST_BINS] = {0}, total = 0, square = 0, between = 0;
  int count[MOST_BINS] = {0};
  for (int k = 0; k < n; k++) {
    int d = which ? which[k] : k;
    sum[bin[d]] += y[d];
    count[bin[d]]++;
    total += y[d];
  }
  double mean = total / n;
  for (int k = 0; k < n; k++) {
    double r = y[which ? which[k] : k] - mean;
    square += r * r;
  }
  for (int b = 0; b < nbin; b++)
    if (count[b]) between += count[b] * (sum[b] / count[b] - mean) * (sum[b] / count[b] - mean);
  if (!(square > 0)) return 0;
  double share = 1 - (1 - between / square) * (n - 1) / (n - nbin);
  return share < 0 ? 0 : share > 1 ? 1 : share;
}

/* The rank correlation of two rankings. */
static double spearman(const int *a, const int *b, int n) {
  double sum = 0, middle = (n - 1) / 2.0, square = 0;
  for (int k = 0; k < n; k++) {
    sum += (a[k] - middle) * (b[k] - middle);
    square += (a[k] - middle) * (a[k] - middle);
  }
  return square > 0 ? sum / square : 0;
}

static int by_number(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

typedef struct room {
  ranked *sort;
  int *rank_y, *rank_x, *bin, *which;
  double *y, *x, *boot;
} room;

static void room_release(dp_ctx *ctx, room *r) {
  dpi_free(ctx, r->sort);
  dpi_free(ctx, r->rank_y);
  dpi_free(ctx, r->rank_x);
  dpi_free(ctx, r->bin);
  dpi_free(ctx, r->which);
  dpi_free(ctx, r->y);
  dpi_free(ctx, r->x);
  dpi_free(ctx, r->boot);
}

static bool room_make(dp_ctx *ctx, room *r, int n, int nboot) {
  r->sort = DPI_NEW_ARRAY(ctx, ranked, n + 1);
  r->rank_y = DPI_NEW_ARRAY(ctx, int, n + 1);
  r->rank_x = DPI_NEW_ARRAY(ctx, int, n + 1);
  r->bin = DPI_NEW_ARRAY(ctx, int, n + 1);
  r->which = DPI_NEW_ARRAY(ctx, int, n + 1);
  r->y = DPI_NEW_ARRAY(ctx, double, n + 1);
  r->x = DPI_NEW_ARRAY(ctx, double, n + 1);
  r->boot = DPI_NEW_ARRAY(ctx, double, nboot + 1);
  return r->sort && r->rank_y && r->rank_x && r->bin && r->which && r->y && r->x && r->boot;
}

static dp_why_driver driver_of(const dpi_why_work *w, room *r, int column, const int *from, int n) {
  const dpi_kind_effect *e = &w->kind->effect[w->column[column].effect];
  dp_why_driver d = {.parameter = e->parameter, .name = e->name, .low = NAN, .high = NAN};
  int nbin = bins_for(n), nboot = w->def->nboot;
  for (int k = 0; k < n; k++) r->x[k] = w->z[(size_t)column * (size_t)w->a->ndraw + (size_t)from[k]];
  ranks(r->x, n, r->sort, r->rank_x);
  for (int k = 0; k < n; k++) r->bin[k] = (int)((int64_t)r->rank_x[k] * nbin / n);
  d.share = ratio(r->y, r->bin, nbin, NULL, n);
  d.direction = spearman(r->rank_x, r->rank_y, n);
  if (nboot < 20) return d;
  dpi_rng rng = dpi_rng_make(w->def->seed, (uint64_t)column, PURPOSE_WHY_BOOT);
  double mean = 0;
  for (int b = 0; b < nboot; b++) {
    for (int k = 0; k < n; k++) r->which[k] = (int)(dpi_rng_uniform(&rng) * n);
    r->boot[b] = ratio(r->y, r->bin, nbin, r->which, n);
    mean += r->boot[b] / nboot;
  }
  qsort(r->boot, (size_t)nboot, sizeof *r->boot, by_number);
  d.low = fmax(0, d.share + r->boot[(int)(0.05 * nboot)] - mean);
  d.high = fmin(1, d.share + r->boot[(int)(0.95 * nboot)] - mean);
  return d;
}

/* The drivers of y [ndraw], the largest share first; none when y is the same in every draw, or in too few. */
static dp_status drivers(const dpi_why_work *w, const double *y, dp_why_driver **out, int *nout) {
  dp_ctx *ctx = w->kind->ctx;
  int n = 0;
  room r = {0};
  int *from = DPI_NEW_ARRAY(ctx, int, w->a->ndraw + 1);
  *out = DPI_NEW_ARRAY(ctx, dp_why_driver, w->ncolumn + 1);
  bool good = from && *out && room_make(ctx, &r, w->a->ndraw, w->def->nboot);
  double low = INFINITY, high = -INFINITY;
  for (int k = 0; good && k < w->a->ndraw; k++) {
    if (!isfinite(y[k])) continue;
    low = fmin(low, y[k]);
    high = fmax(high, y[k]);
    r.y[n] = y[k];
    from[n++] = k;
  }
  if (good && n >= 40 && high - low > 1e-9 * (fabs(low) + fabs(high))) {
    ranks(r.y, n, r.sort, r.rank_y);
    for (int c = 0; c < w->ncolumn; c++) {
      dp_why_driver d = driver_of(w, &r, c, from, n);
      int at = (*nout)++;
      for (; at > 0 && d.share > (*out)[at - 1].share; at--) (*out)[at] = (*out)[at - 1];
      (*out)[at] = d;
    }
  }
  dpi_free(ctx, from);
  room_release(ctx, &r);
  return good ? DP_OK : DP_ERR_MEMORY;
}

dp_status dpi_why_drivers(dpi_why_work *w, int shown) {
  dp_why *y = w->why;
  const dp_appraisal *a = w->a;
  if (y->best >= 0 && y->runner_up >= 0) {
    for (int k = 0; k < a->ndraw; k++) w->work[k] = a->plan[y->best].draw[k] - a->plan[y->runner_up].draw[k];
    DP_TRY(drivers(w, w->work, &y->driver, &y->ndriver));
  }
  if (y->nlimit == 0) return DP_OK;
  return drivers(w, a->plan[shown].value + (size_t)y->limit[0].term * (size_t)a->ndraw, &y->limit_driver, &y->nlimit_driver);
}
