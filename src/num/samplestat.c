/* samplestat.c - sums, sorting, quantiles and scores of (weighted) samples. Nothing is allocated;
 * every result is a function of the sample alone. Where an `order` is taken it is dpi_argsort's;
 * NULL says that x is ascending already.
 */
#include "num/num.h"

#include <math.h>

/* Neumaier 1974: the lost low parts are summed too. */
double dpi_sum(const double *x, int n) {
  double s = 0.0, c = 0.0;
  for (int i = 0; i < n; i++) {
    double t = s + x[i];
    c += fabs(s) >= fabs(x[i]) ? (s - t) + x[i] : (x[i] - t) + s;
    s = t;
  }
  return isfinite(s) ? s + c : s;
}

/* ---- sorting: quicksort on the middle of three, heapsort when it goes too deep, insertion for
 * short runs ---- */
#define SHORT 24

/* the order of numbers with NaN last */
static bool before(double a, double b) { return a < b || (b != b && a == a); }

static void insertion(double *x, int n) {
  for (int i = 1; i < n; i++) {
    double v = x[i];
    int j = i;
    for (; j > 0 && before(v, x[j - 1]); j--) x[j] = x[j - 1];
    x[j] = v;
  }
}

static void sift(double *x, int root, int n) {
  double v = x[root];
  for (int child; (child = 2 * root + 1) < n; root = child) {
    if (child + 1 < n && before(x[child], x[child + 1])) child++;
    if (!before(v, x[child])) break;
    x[root] = x[child];
  }
  x[root] = v;
}

static void heap(double *x, int n) {
  for (int i = n / 2 - 1; i >= 0; i--) sift(x, i, n);
  for (int i = n - 1; i > 0; i--) {
    double t = x[0];
    x[0] = x[i];
    x[i] = t;
    sift(x, 0, i);
  }
}

static double middle(double a, double b, double c) {
  if (before(a, b)) return before(b, c) ? b : before(a, c) ? c : a;
  return before(a, c) ? a : before(b, c) ? c : b;
}

static void quick(double *x, int n, int depth) {
  while (n > SHORT) {
    if (depth-- == 0) {
      heap(x, n);
      return;
    }
    double pivot = middle(x[0], x[n / 2], x[n - 1]);
    int i = 0, j = n - 1;
    while (i <= j) {
      while (before(x[i], pivot)) i++;
      while (before(pivot, x[j])) j--;
      if (i > j) break;
      double t = x[i];
      x[i++] = x[j];
      x[j--] = t;
    }
    quick(x, j + 1, depth);
    x += i;
    n -= i;
  }
  insertion(x, n);
}

static int depth_of(int n) {
  int d = 2;
  while (n > 1) {
    n >>= 1;
    d += 2;
  }
  return d;
}

void dpi_sort(double *x, int n) { quick(x, n, depth_of(n)); }

/* equal numbers keep their places: the index decides */
static bool index_before(const double *x, int a, int b) {
  if (before(x[a], x[b])) return true;
  if (before(x[b], x[a])) return false;
  return a < b;
}

static void index_sift(const double *x, int *o, int root, int n) {
  int v = o[root];
  for (int child; (child = 2 * root + 1) < n; root = child) {
    if (child + 1 < n && index_before(x, o[child], o[child + 1])) child++;
    if (!index_before(x, v, o[child])) break;
    o[root] = o[child];
  }
  o[root] = v;
}

static void index_heap(const double *x, int *o, int n) {
  for (int i = n / 2 - 1; i >= 0; i--) index_sift(x, o, i, n);
  for (int i = n - 1; i > 0; i--) {
    int t = o[0];
    o[0] = o[i];
    o[i] = t;
    index_sift(x, o, 0, i);
  }
}

static int index_middle(const double *x, int a, int b, int c) {
  if (index_before(x, a, b)) return index_before(x, b, c) ? b : index_before(x, a, c) ? c : a;
  return index_before(x, a, c) ? a : index_before(x, b, c) ? c : b;
}

static void index_quick(const double *x, int *o, int n, int depth) {
  while (n > SHORT) {
    if (depth-- == 0) {
      index_heap(x, o, n);
      return;
    }
    int pivot = index_middle(x, o[0], o[n / 2], o[n - 1]), i = 0, j = n - 1;
    while (i <= j) {
      while (index_before(x, o[i], pivot)) i++;
      while (index_before(x, pivot, o[j])) j--;
      if (i > j) break;
      int t = o[i];
      o[i++] = o[j];
      o[j--] = t;
    }
    index_quick(x, o, j + 1, depth);
    o += i;
    n -= i;
  }
  for (int i = 1; i < n; i++) {
    int v = o[i], j = i;
    for (; j > 0 && index_before(x, v, o[j - 1]); j--) o[j] = o[j - 1];
    o[j] = v;
  }
}

void dpi_argsort(const double *x, int n, int *order) {
  for (int i = 0; i < n; i++) order[i] = i;
  index_quick(x, order, n, depth_of(n));
}

/* ---- weighted samples ---- */
static double weight_at(const double *w, int i) { return w ? w[i] : 1.0; }

static double total_weight(const double *w, int n) { return w ? dpi_sum(w, n) : (double)n; }

/* Each point of positive weight stands at the middle of its step of the distribution function;
 * between them linear. */
double dpi_quantile_weighted(const double *x, const double *w, int n, double p, const int *order) {
  double total = total_weight(w, n), target = p * total;
  double below = 0.0, last_at = 0.0, last_x = NAN;
  for (int k = 0; k < n; k++) {
    int i = order ? order[k] : k;
    double wi = weight_at(w, i);
    if (!(wi > 0.0)) continue;
    double at = below + 0.5 * wi;
    if (at >= target) {
      if (last_x != last_x || x[i] == last_x) return x[i];
      return last_x + (x[i] - last_x) * ((target - last_at) / (at - last_at));
    }
    below += wi;
    last_at = at;
    last_x = x[i];
  }
  return last_x;
}

/* Integral of (F(x) - 1{y <= x})^2 (the same number as eq. 20, without its cancellation): one
 * term for each gap between neighbours, none negative. */
double dpi_crps_sample(const double *x, const double *w, int n, double y, const int *order) {
  double total = total_weight(w, n), below = 0.0, sum = 0.0, last = NAN;
  for (int k = 0; k < n; k++) {
    int i = order ? order[k] : k;
    double wi = weight_at(w, i);
    if (!(wi > 0.0)) continue;
    if (last != last) {
      if (y < x[i]) sum += x[i] - y;
    } else {
      double f = below / total, g = 1.0 - f;
      double split = y < last ? last : y > x[i] ? x[i] : y;
      sum += f * f * (split - last) + g * g * (x[i] - split);
    }
    below += wi;
    last = x[i];
  }
  if (y > last) sum += y - last;
  return last == last ? sum : NAN;
}

double dpi_ess(const double *w, int n) {
  double s = 0.0, s2 = 0.0, scale = 0.0;
  /* by the largest, so that the squares of tiny weights do not vanish */
  for (int i = 0; i < n; i++) scale = fmax(scale, w[i]);
  if (!(scale > 0.0) || isinf(scale)) return 0.0;
  for (int i = 0; i < n; i++) {
    double v = w[i] / scale;
    s += v;
    s2 += v * v;
  }
  return s * s / s2;
}
