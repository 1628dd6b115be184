/* points8.h - floor 1: eight points side by side, for densities of many points and their moments.
 *
 * A block is [n x DPI_POINTS]: row a holds coordinate a of all points. Every point is worked on by itself, in one order
 * of operations; only sums over points run in eight parts, which the caller adds up in their order. So no byte depends
 * on how wide the processor's vectors are.
 */
#ifndef DPI_POINTS8_H
#define DPI_POINTS8_H

enum { DPI_POINTS = 8 };

/* Squared lengths [DPI_POINTS] of L^-1 (x - mean): chol [n x n] lower, inverse [n] reciprocals of its diagonal, x a
 * block; room: a block. */
void dpi_points_distance2(const double *chol, const double *inverse, int n, const double *mean, const double *x,
                          double *room, double *out);
/* sum [n x DPI_POINTS] += w x: the parts of a weighted sum; w [DPI_POINTS]. */
void dpi_points_add(int n, const double *w, const double *x, double *sum);
/* sum [n (n + 1)/2 x DPI_POINTS] += w (x - mean)(x - mean)', its lower rows one after the other; room: a block. */
void dpi_points_add_square(int n, const double *w, const double *x, const double *mean, double *room, double *sum);

#endif
