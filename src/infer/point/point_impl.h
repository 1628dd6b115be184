/* point_impl.h - floor 6, inside infer/point: what the files of this folder share and nobody else needs.
 *
 * The model of J around a point, in units y = x / w:
 *
 *     q(s) = g's + s'Bs/2,   and with Coleman and Li's term   psi(s) = q(s) + sum_a c_a s_a^2 / (2 v_a)
 *
 * v_a is the distance to the bound that the negative gradient points to, capped at one unit; r_a = sqrt(v_a) scales the
 * trust region  |s / r| <= radius,  c_a = |g_a| where the cap does not hold and 0 elsewhere.
 */
#ifndef DPI_POINT_IMPL_H
#define DPI_POINT_IMPL_H

#include "infer/density.h"
#include "infer/point/trust.h"

/* Eigenvalues (ascending) and vectors (columns of v) of a symmetric matrix of any size; a is destroyed. work [2 n] */
void dpi_point_eig(double *a, int n, double *w, double *v, double *work);

/* Seconds of processor time of the whole process. */
double dpi_point_cpu(void);

/* One line of at most 159 bytes. */
void dpi_point_reason(char out[160], const char *text);

typedef struct dpi_quad { /* all memory is the caller's */
  int m;
  double *g, *b;       /* [m], [m x m] */
  double *v, *r, *c;   /* [m] */
  double *lo, *hi;     /* [m] room to the bounds, lo <= 0 <= hi, infinite allowed */
  bool plane;          /* solve in a plane instead of exactly */
  bool known;          /* lambda, vec hold the eigenvectors of this g, b, v */
  double *lambda, *vec;
  double *m1, *m2, *t; /* scratch [m x m], [m x m], [12 m] */
  int *index;          /* scratch [2 m] */
} dpi_quad;

/* v, r, c from g, lo and hi. */
void dpi_quad_scale(dpi_quad *q);
/* Largest |v_a g_a|: what is left to be gained, to first order, in one unit. */
double dpi_quad_optimality(const dpi_quad *q);
double dpi_quad_value(const dpi_quad *q, const double *s); /* q(s) */
/* The best step s [m] found within radius and bounds. theta: share of the way to a bound that a step may go. What
 * promises less than negligible is not followed. Gives |s / r|; *inside: neither radius nor bounds have
 * cut it short. */
double dpi_quad_step(dpi_quad *q, double radius, double theta, double negligible, double *s, bool *inside);

#endif
