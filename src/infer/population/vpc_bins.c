/* vpc_bins.c - floor 6: the visual predictive check, second half: bins of time, percentiles, their intervals.
 *
 * Below its limit of quantification a value counts as -infinity, observed and simulated alike: percentiles above the limit
 * stay what they are, and the fraction below is compared by itself.
 */
#include <math.h>
#include <string.h>

#include "infer/population/vpc_impl.h"

static const double PERCENTILE[DP_VPC_NPERCENTILE] = {0.05, 0.5, 0.95};
static const double INTERVAL[3] = {0.05, 0.5, 0.95};

/* Linear between order statistics: (n - 1) p counted from the first. */
double dpi_vpc_percentile(const double *x, int n, double p) {
  if (n == 0) return NAN;
  double h = (n - 1) * p;
  int k = (int)h;
  double part = h - k;
  if (k >= n - 1) return x[n - 1];
  if (part == 0 || x[k] == x[k + 1]) return x[k];
  return isinf(x[k]) ? x[k] : x[k] + part * (x[k + 1] - x[k]);
}

/* ---- bins ---- */

typedef struct panel_work {
  dpi_vpc_work *w;
  int observable;
  int n;          /* samples of the observable that have a time */
  int *at;        /* [n] which, ascending by time */
  int nbin, *end; /* [nbin] one behind a bin's last, index into at */
  double *factor; /* [nsample] what the correction does to a value: times, or plus */
  double *column; /* [max(n, nreplicate)] scratch */
  double *rep;    /* [(DP_VPC_NPERCENTILE + 1) x nreplicate] a bin's percentiles and fraction below, by replicate */
} panel_work;

/* As many as a person has samples in the middle, or one in thirty where people have few: 1 to 12. */
static int bins_by_default(const panel_work *p) {
  double *count = p->column;
  int npeople = 0, sample = 0;
  for (int i = 0; i < p->w->npeople; i++) {
    int n = 0;
    for (int j = 0; j < p->w->person[i]->nobs; j++) n += p->w->sample[sample++].observable == p->observable;
    if (n > 0) count[npeople++] = n;
  }
  dpi_sort(count, npeople);
  int by_person = (int)dpi_vpc_percentile(count, npeople, 0.5), by_all = p->n / 30 < 8 ? p->n / 30 : 8;
  int n = by_person > by_all ? by_person : by_all;
  return n < 1 ? 1 : n > 12 ? 12 : n;
}

/* Ends between different times, as near as can be to k n/nbin. */
static void bins_by_count(panel_work *p, int nbin) {
  const dpi_vpc_sample *s = p->w->sample;
  int begin = 0;
  p->nbin = 0;
  for (int k = 1; k < nbin; k++) {
    double aim = (double)k * p->n / nbin;
    int best = -1;
    for (int e = begin + 1; e < p->n; e++) {
      if (s[p->at[e]].time == s[p->at[e - 1]].time) continue;
      if (best < 0 || fabs(e - aim) < fabs(best - aim)) best = e;
      if (e > aim) break;
    }
    /* nearer to the next end than to this: that one will take it */
    if (best < 0 || fabs(best - aim) > 0.5 * p->n / nbin) continue;
    p->end[p->nbin++] = begin = best;
  }
  p->end[p->nbin++] = p->n;
}

/* Samples outside the edges leave; bins without samples are no bins. */
static void bins_by_edge(panel_work *p, const double *edge, int nedge) {
  const dpi_vpc_sample *s = p->w->sample;
  int from = 0, to = p->n;
  while (from < to && s[p->at[from]].time < edge[0]) from++;
  while (to > from && s[p->at[to - 1]].time > edge[nedge - 1]) to--;
  memmove(p->at, p->at + from, sizeof *p->at * (size_t)(to - from));
  p->n = to - from;
  p->nbin = 0;
  for (int k = 1, e = 0; k < nedge; k++) {
    int begin = e;
    while (e < p->n && (k == nedge - 1 || s[p->at[e]].time < edge[k])) e++;
    if (e > begin) p->end[p->nbin++] = e;
  }
}

static dp_status lay_bins(panel_work *p, dpi_arena *arena) {
  dpi_vpc_work *w = p->w;
  const dp_vpc_def *d = w->def;
  double *time = DPI_ARENA_ARRAY(arena, double, w->nsample);
  int *raw = DPI_ARENA_ARRAY(arena, int, w->nsample), *order = DPI_ARENA_ARRAY(arena, int, w->nsample);
  p->at = DPI_ARENA_ARRAY(arena, int, w->nsample);
  if (!time || !raw || !order || !p->at) return DP_ERR_MEMORY;
  p->n = 0;
  for (int i = 0; i < w->nsample; i++)
    if (w->sample[i].observable == p->observable && !isnan(w->sample[i].time)) {
      time[p->n] = w->sample[i].time;
      raw[p->n++] = i;
    }
  dpi_argsort(time, p->n, order);
  for (int i = 0; i < p->n; i++) p->at[i] = raw[order[i]];
  int nbin = d->edge ? d->nedge - 1 : d->nbin > 0 ? d->nbin : bins_by_default(p);
  p->end = DPI_ARENA_ARRAY(arena, int, nbin + 1);
  if (!p->end) return DP_ERR_MEMORY;
  if (d->edge)
    bins_by_edge(p, d->edge, d->nedge);
  else
    bins_by_count(p, nbin);
  for (int k = 0, i = 0; k < p->nbin && p->n > 0; k++)
    for (; i < p->end[k]; i++) w->sample[p->at[i]].bin = k;
  if (p->n == 0) p->nbin = 0;
  return DP_OK;
}

/* ---- correction ---- */

static dp_status correct(panel_work *p, dp_vpc_panel *panel) {
  dpi_vpc_work *w = p->w;
  const bool ratio = strcmp(w->def->correction, "ratio") == 0;
  const char *id = w->kind->observable[p->observable].id;
  for (int i = 0; i < w->nsample; i++) p->factor[i] = ratio ? 1 : 0;
  if (strcmp(w->def->correction, "none") == 0) return DP_OK;
  for (int k = 0, begin = 0; k < p->nbin; begin = p->end[k++]) {
    int n = p->end[k] - begin;
    for (int i = 0; i < n; i++) {
      const dpi_vpc_sample *s = &w->sample[p->at[begin + i]];
      if (s->limit > -INFINITY)
        return dpi_fail(w->ctx, DP_ERR_UNSUPPORTED,
                        "prediction-corrected check of '%s': it has a limit of quantification, and the rank of a value below it is not "
                        "known after the correction; take the check without it",
                        id);
      if (!isfinite(s->pred) || (ratio && s->pred < 0))
        return dpi_fail(w->ctx, DP_ERR_UNSUPPORTED,
                        "prediction-corrected check of '%s': a prediction at effects 0 is %g, expected %s", id, s->pred,
                        ratio ? "0 or more (for logarithms take the correction 'difference')" : "a number");
      p->column[i] = s->pred;
    }
    dpi_sort(p->column, n);
    double middle = dpi_vpc_percentile(p->column, n, 0.5);
    for (int i = begin; i < p->end[k]; i++) {
      double pred = w->sample[p->at[i]].pred;
      if (!ratio) p->factor[p->at[i]] = middle - pred;
      else if (pred > 0) p->factor[p->at[i]] = middle / pred;
      else panel->nuncorrected++;
    }
  }
  return DP_OK;
}

static double corrected(const panel_work *p, int sample, double y) {
  if (strcmp(p->w->def->correction, "ratio") == 0) return y * p->factor[sample];
  return y + p->factor[sample];
}

/* ---- a bin ---- */

/* Percentiles by replicate; those of replicates in which nobody is left are NaN. */
static void replicates(const panel_work *p, int begin, int end) {
  const dpi_vpc_work *w = p->w;
  size_t nrep = (size_t)w->def->nreplicate;
  for (size_t r = 0; r < nrep; r++) {
    int n = 0, below = 0;
    for (int i = begin; i < end; i++) {
      int at = p->at[i];
      double y = w->y[(size_t)at * nrep + r];
      if (isnan(y)) continue;
      bool under = y < w->sample[at].limit;
      below += under;
      p->column[n++] = under ? -INFINITY : corrected(p, at, y);
    }
    dpi_sort(p->column, n);
    for (int q = 0; q < DP_VPC_NPERCENTILE; q++) p->rep[(size_t)q * nrep + r] = dpi_vpc_percentile(p->column, n, PERCENTILE[q]);
    p->rep[DP_VPC_NPERCENTILE * nrep + r] = n > 0 ? (double)below / n : NAN;
  }
}

/* The interval over replicates; what is NaN does not count. */
static void interval(double *x, int n, double out[3]) {
  int m = 0;
  for (int i = 0; i < n; i++)
    if (!isnan(x[i])) x[m++] = x[i];
  dpi_sort(x, m);
  for (int k = 0; k < 3; k++) out[k] = dpi_vpc_percentile(x, m, INTERVAL[k]);
}

static void fill_bin(const panel_work *p, int begin, int end, dp_vpc_bin *b) {
  const dpi_vpc_work *w = p->w;
  int n = end - begin, nrep = w->def->nreplicate;
  for (int i = 0; i < n; i++) p->column[i] = w->sample[p->at[begin + i]].time;
  *b = (dp_vpc_bin){.low = p->column[0], .high = p->column[n - 1], .nobs = n};
  b->middle = dpi_vpc_percentile(p->column, n, 0.5);
  for (int i = 0; i < n; i++) {
    int at = p->at[begin + i];
    b->nbelow += w->sample[at].below;
    p->column[i] = w->sample[at].below ? -INFINITY : corrected(p, at, w->sample[at].y);
  }
  dpi_sort(p->column, n);
  for (int q = 0; q < DP_VPC_NPERCENTILE; q++) b->observed[q] = dpi_vpc_percentile(p->column, n, PERCENTILE[q]);
  replicates(p, begin, end);
  for (int q = 0; q < DP_VPC_NPERCENTILE; q++) {
    interval(p->rep + (size_t)q * (size_t)nrep, nrep, b->simulated[q]);
    b->inside[q] = b->observed[q] >= b->simulated[q][0] && b->observed[q] <= b->simulated[q][2];
  }
  interval(p->rep + DP_VPC_NPERCENTILE * (size_t)nrep, nrep, b->below);
}

/* ---- panels ---- */

static dp_status fill_panel(panel_work *p, dpi_vpc_answer *a, dp_vpc_panel *panel, int nall) {
  const dpi_kind_observable *o = &p->w->kind->observable[p->observable];
  dp_vpc_bin *bin = DPI_ARENA_ARRAY(&a->arena, dp_vpc_bin, p->nbin + 1);
  double *time = DPI_ARENA_ARRAY(&a->arena, double, p->n + 1), *value = DPI_ARENA_ARRAY(&a->arena, double, p->n + 1);
  panel->id = dpi_arena_strdup(&a->arena, o->id);
  panel->name = dpi_arena_strdup(&a->arena, o->name && o->name[0] ? o->name : o->id);
  panel->unit = dpi_arena_strdup(&a->arena, o->unit ? o->unit : "");
  if (!bin || !time || !value || !panel->id || !panel->name || !panel->unit) return DP_ERR_MEMORY;
  DP_TRY(correct(p, panel));
  for (int k = 0, begin = 0; k < p->nbin; begin = p->end[k++]) {
    fill_bin(p, begin, p->end[k], &bin[k]);
    for (int q = 0; q < DP_VPC_NPERCENTILE; q++) a->view.ninside += bin[k].inside[q];
    a->view.ncell += DP_VPC_NPERCENTILE;
  }
  for (int i = 0; i < p->n; i++) {
    const dpi_vpc_sample *s = &p->w->sample[p->at[i]];
    time[i] = s->time;
    value[i] = s->below ? -INFINITY : corrected(p, p->at[i], s->y);
  }
  panel->bin = bin;
  panel->nbin = p->nbin;
  panel->time = time;
  panel->value = value;
  panel->npoint = p->n;
  panel->nleft_out = nall - p->n;
  return DP_OK;
}

static dp_status one_observable(dpi_vpc_work *w, int observable, int nall, dpi_vpc_answer *a, dp_vpc_panel *panel) {
  dpi_arena arena;
  panel_work p = {.w = w, .observable = observable};
  int most = w->nsample > w->def->nreplicate ? w->nsample : w->def->nreplicate;
  if (w->npeople > most) most = w->npeople;
  dpi_arena_init(&arena, w->ctx);
  p.factor = DPI_ARENA_ARRAY(&arena, double, w->nsample);
  p.column = DPI_ARENA_ARRAY(&arena, double, most);
  p.rep = DPI_ARENA_ARRAY(&arena, double, (DP_VPC_NPERCENTILE + 1) * (size_t)w->def->nreplicate);
  dp_status st = p.factor && p.column && p.rep ? lay_bins(&p, &arena) : DP_ERR_MEMORY;
  if (st == DP_OK) st = fill_panel(&p, a, panel, nall);
  dpi_arena_release(&arena);
  return st;
}

dp_status dpi_vpc_compare(dpi_vpc_work *w, dpi_vpc_answer *a) {
  dp_vpc_panel *panel = DPI_ARENA_ARRAY(&a->arena, dp_vpc_panel, w->kind->nobservable + 1);
  if (!panel) return DP_ERR_MEMORY;
  a->view.panel = panel;
  for (int o = 0; o < w->kind->nobservable; o++) {
    int n = 0;
    for (int i = 0; i < w->nsample; i++) n += w->sample[i].observable == o;
    if (n > 0) DP_TRY(one_observable(w, o, n, a, &panel[a->view.npanel++]));
  }
  if (a->view.ncell == 0)
    return dpi_fail(w->ctx, DP_ERR_INPUT, "visual predictive check: found no measured value %s, expected some",
                    w->def->edge ? "within the edges of the bins" : "after a dose");
  return DP_OK;
}
