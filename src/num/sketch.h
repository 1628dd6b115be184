/* sketch.h - floor 1: quantiles and moments of more numbers than are kept. Blocks of numbers are digested (by whoever
 * has them) and added in one fixed order, so that the result does not depend on who digested which.
 *
 *     dpi_sketch_sort(x, n, work)                   a block, ascending
 *     dpi_sketch_digest(x, n, eps, piece)           its numbers at ranks 1, 1 + w, ..., n
 *     dpi_sketch_add(ctx, &s, piece, n, &scratch)   blocks in their order
 *     dpi_sketch_quantile(&s, q)                    a number whose rank is within eps of the asked one
 *
 * Method: Greenwald & Khanna 2001 ("Space-efficient online computation of quantile summaries"): kept numbers v_i with
 * bounds on their ranks, rmin_i = gap_1 + ... + gap_i, rmax_i = rmin_i + slack_i; always gap_i + slack_i <= 2 eps count
 * (or 1), which makes the rank error a guarantee, not a probability. A block is itself such a summary (slack 0), two
 * summaries are merged by adding their bounds, and the sum keeps the larger of both eps. eps 0 keeps every number:
 * exact.
 *
 * Invariants:
 *   1. all decisions are comparisons of the numbers and integer arithmetic: same blocks in the same order, same bytes;
 *   2. numbers are finite (the caller leaves the others out); the smallest and the largest are kept;
 *   3. after dpi_sketch_add failed for want of memory the sketch is as before.
 */
#ifndef DPI_SKETCH_H
#define DPI_SKETCH_H

#include "base/base.h"

typedef struct dpi_sketch { /* zero and eps: empty */
  double eps;
  int64_t count;   /* numbers seen */
  int n, cap;      /* numbers kept */
  double *value;   /* [n] ascending, owned */
  uint32_t *gap;   /* [n] owned; NULL when eps is 0: all 1 */
  uint32_t *slack; /* [n] in the same block as gap */
} dpi_sketch;

typedef struct dpi_sketch_scratch { /* one for each thread; zero: empty */
  int cap;
  double *value;
  uint32_t *gap, *slack;
} dpi_sketch_scratch;

#define DPI_SKETCH_MOST INT32_MAX /* numbers that one sketch can take */

/* Ascending; x finite, work [2 n]. */
void dpi_sketch_sort(double *x, int n, uint64_t *work);
/* Of x[n], ascending and finite: the piece (may be x itself); how many numbers it has, at most n. */
int dpi_sketch_digest(const double *x, int n, double eps, double *piece);
/* Length of the piece of a block of n. */
int dpi_sketch_piece(int n, double eps);
/* Add a block of n numbers by its piece. */
dp_status dpi_sketch_add(dp_ctx *ctx, dpi_sketch *s, const double *piece, int n,
                         dpi_sketch_scratch *scratch);
/* Number of nearest rank floor(q (count - 1) + 1/2) + 1; NaN when empty. */
double dpi_sketch_quantile(const dpi_sketch *s, double q);
/* What is guaranteed by now: largest rank error of any quantile, as a share of the count. */
double dpi_sketch_error(const dpi_sketch *s);
void dpi_sketch_release(dp_ctx *ctx, dpi_sketch *s);
void dpi_sketch_scratch_release(dp_ctx *ctx, dpi_sketch_scratch *scratch);

/* Count, mean and sum of squared deviations; merged pairwise (Chan, Golub & LeVeque 1983). Merging into an empty one
 * copies. */
typedef struct dpi_moments {
  int64_t count;
  double mean, square;
} dpi_moments;
dpi_moments dpi_moments_of(const double *x, int n); /* sums in the order of x */
void dpi_moments_add(dpi_moments *m, const dpi_moments *block);
double dpi_moments_sd(const dpi_moments *m); /* divides by count - 1; NaN below two */

#endif
