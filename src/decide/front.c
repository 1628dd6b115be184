/* front.c - floor 6: the Pareto front of a search that does not list all plans: of every plan it scored, those that
 * hold their limits and that no other beats in every objective.
 *
 * Points are looked at in the order in which the search met them. What is kept stays within KEPT: when it is full, half
 * of it goes, those that lie closest to others in the objectives (each in parts of its range). The ends of every
 * objective stay. Nothing of this is drawn by chance, so the same search gives the same front. */
#include <math.h>
#include <string.h>

#include "decide/decide.h"

enum { KEPT = 256, MAX_OBJECTIVE = 16 };

typedef struct front {
  const dpi_search *s;
  int no; /* objectives compared */
  int point[KEPT], n;
} front;

static const double *at(const front *f, int point) { return f->s->objective + (size_t)point * (size_t)f->no; }

/* Is a at least as good as b in everything? */
static bool covers(const front *f, const double *a, const double *b) {
  for (int k = 0; k < f->no; k++)
    if (!(a[k] >= b[k])) return false;
  return true;
}

/* Distance of two points, objectives in parts of their ranges. */
static double distance(const front *f, const double *range, int i, int j) {
  const double *a = at(f, f->point[i]), *b = at(f, f->point[j]);
  double sum = 0;
  for (int k = 0; k < f->no; k++)
    if (range[k] > 0) sum += (a[k] - b[k]) / range[k] * ((a[k] - b[k]) / range[k]);
  return sum;
}

/* The best in objective k, the first of equals; its range. */
static int end_of(const front *f, int k, double *range) {
  int best = 0;
  double least = INFINITY;
  for (int i = 0; i < f->n; i++) {
    double v = at(f, f->point[i])[k];
    if (v > at(f, f->point[best])[k]) best = i;
    least = fmin(least, v);
  }
  *range = at(f, f->point[best])[k] - least;
  return best;
}

/* Keep `most` that lie far from each other: the ends first, then always the one farthest from all that stay. */
static void thin(front *f, int most) {
  double range[MAX_OBJECTIVE], gap[KEPT];
  bool stays[KEPT] = {false};
  int end[MAX_OBJECTIVE], n = 0, kept = 0;
  if (f->n <= most) return;
  for (int k = 0; k < f->no; k++) end[k] = end_of(f, k, &range[k]);
  for (int i = 0; i < f->n; i++) gap[i] = INFINITY;
  while (n < most) {
    int next = n < f->no ? end[n] : -1;
    for (int i = 0; n >= f->no && i < f->n; i++)
      if (!stays[i] && (next < 0 || gap[i] > gap[next])) next = i;
    n++;
    stays[next] = true;
    for (int i = 0; i < f->n; i++) gap[i] = fmin(gap[i], distance(f, range, i, next));
  }
  for (int i = 0; i < f->n; i++)
    if (stays[i]) f->point[kept++] = f->point[i];
  f->n = kept;
}

/* Onto the front, unless something on it is as good in everything; what it covers itself leaves. */
static void offer(front *f, int point) {
  const double *mine = at(f, point);
  int kept = 0;
  for (int k = 0; k < f->no; k++)
    if (!isfinite(mine[k])) return;
  for (int i = 0; i < f->n; i++)
    if (covers(f, at(f, f->point[i]), mine)) return;
  for (int i = 0; i < f->n; i++)
    if (!covers(f, mine, at(f, f->point[i]))) f->point[kept++] = f->point[i];
  f->n = kept;
  if (f->n == KEPT) thin(f, KEPT / 2);
  f->point[f->n++] = point;
}

dp_status dpi_search_front(const dpi_search *s, int most, int *index, int *n) {
  front f = {.s = s, .no = s->kind->reward.npareto};
  if (f.no == 0) return DP_OK;
  if (f.no > MAX_OBJECTIVE)
    return dpi_fail(s->kind->ctx, DP_ERR_UNSUPPORTED, "%s: reward.yaml: pareto: %d objectives, at most %d",
                    s->kind->dir, f.no, MAX_OBJECTIVE);
  for (int i = 0; i < s->nseen; i++)
    if (s->miss[i] == 0) offer(&f, i);
  thin(&f, most);
  for (int i = 0; i < f.n; i++) {
    bool new = true;
    for (int k = 0; new &&k < *n; k++) new = index[k] != f.point[i] && dpi_search_apart(s, index[k], f.point[i]);
    if (new) index[(*n)++] = f.point[i];
  }
  return DP_OK;
}
