/* bench_errors.c - floor 8: weighted errors of members and their distribution. */
#include <math.h>
#include <stdlib.h>

#include "bench/bench_impl.h"

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Largest |x - ref| / (atol + 1e-6 |ref|); NaN where either is missing. */
static double of_member(const dpi_bench_problem *p, const double *value, const double *reference) {
  double worst = 0.0;
  const int n = p->nout * p->peer->nstate;
  for (int k = 0; k < n; k++) {
    double e = fabs(value[k] - reference[k]) / (p->atol + 1e-6 * fabs(reference[k]));
    if (isnan(e)) return NAN;
    if (e > worst) worst = e;
  }
  return worst;
}

dp_bench_error dpi_bench_errors(const dpi_bench_problem *p, const double *value, const double *reference, int n,
                                double *each) {
  dp_bench_error out = {NAN, NAN, NAN, NAN};
  const size_t size = (size_t)p->nout * (size_t)p->peer->nstate;
  double square = 0.0;
  int m = 0;
  for (int i = 0; i < n; i++) {
    double e = of_member(p, value + (size_t)i * size, reference + (size_t)i * size);
    if (isnan(e)) continue;
    each[m++] = e;
    square += e * e;
  }
  if (m == 0) return out;
  qsort(each, (size_t)m, sizeof *each, ascending);
  out.median = each[m / 2];
  out.p95 = each[(int)(0.95 * (m - 1))];
  out.largest = each[m - 1];
  out.rms = sqrt(square / m);
  return out;
}
