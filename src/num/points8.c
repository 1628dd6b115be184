/* points8.c - floor 1: eight points side by side. One text, compiled for several processors: the same IEEE operations
 * in the same order whatever the width (nothing is contracted). */
#include "num/points8.h"

#include <stdbool.h>

typedef double eight __attribute__((vector_size(64), may_alias, aligned(8)));
#define INLINE static inline __attribute__((always_inline))

INLINE void distance2(const double *chol, const double *inverse, int n, const double *mean, const double *x,
                      double *room, double *out) {
  eight sum = {0}, *d = (eight *)room;
  for (int i = 0; i < n; i++) {
    const double *row = chol + (long)i * n;
    eight s = ((const eight *)x)[i] - mean[i];
    for (int k = 0; k < i; k++) s -= row[k] * d[k];
    s *= inverse[i];
    sum += s * s;
    d[i] = s;
  }
  *(eight *)out = sum;
}

INLINE void add(int n, const double *w, const double *x, double *sum) {
  const eight weight = *(const eight *)w;
  for (int a = 0; a < n; a++) ((eight *)sum)[a] += weight * ((const eight *)x)[a];
}

INLINE void add_square(int n, const double *w, const double *x, const double *mean, double *room, double *sum) {
  const eight weight = *(const eight *)w;
  eight *d = (eight *)room, *to = (eight *)sum;
  for (int a = 0; a < n; a++) {
    d[a] = ((const eight *)x)[a] - mean[a];
    const eight scaled = weight * d[a];
    for (int b = 0; b <= a; b++) *to++ += scaled * d[b];
  }
}

#if defined(__x86_64__)
#define WIDE __attribute__((target("avx512f")))
WIDE static void distance2_wide(const double *chol, const double *inverse, int n, const double *mean, const double *x,
                                double *room, double *out) {
  distance2(chol, inverse, n, mean, x, room, out);
}
WIDE static void add_wide(int n, const double *w, const double *x, double *sum) { add(n, w, x, sum); }
WIDE static void add_square_wide(int n, const double *w, const double *x, const double *mean, double *room,
                                 double *sum) {
  add_square(n, w, x, mean, room, sum);
}
static bool wide(void) { return __builtin_cpu_supports("avx512f"); }
#else
#define distance2_wide distance2
#define add_wide add
#define add_square_wide add_square
static bool wide(void) { return false; }
#endif

void dpi_points_distance2(const double *chol, const double *inverse, int n, const double *mean, const double *x,
                          double *room, double *out) {
  if (wide()) distance2_wide(chol, inverse, n, mean, x, room, out);
  else distance2(chol, inverse, n, mean, x, room, out);
}

void dpi_points_add(int n, const double *w, const double *x, double *sum) {
  if (wide()) add_wide(n, w, x, sum);
  else add(n, w, x, sum);
}

void dpi_points_add_square(int n, const double *w, const double *x, const double *mean, double *room, double *sum) {
  if (wide()) add_square_wide(n, w, x, mean, room, sum);
  else add_square(n, w, x, mean, room, sum);
}
