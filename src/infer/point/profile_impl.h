/* profile_impl.h - floor 6, inside infer/point: one walk along a profile, as a machine around a search.
 *
 *     WALK: the next point outward   RETRY: the same from another start   BACK: earlier points, from a lower branch
 *     ROOT: where the threshold is crossed   CHECK: there, from the alternatives   DONE
 */
#ifndef DPI_PROFILE_IMPL_H
#define DPI_PROFILE_IMPL_H

#include "infer/point/profile.h"

typedef enum walk_phase { WALK_OUT, WALK_RETRY, WALK_BACK, WALK_ROOT, WALK_CHECK, WALK_DONE } walk_phase;

typedef struct dpi_walk_share { /* what all walks have in common */
  dpi_density *d;
  const dpi_profile_def *def;
  dpi_arena *arena; /* of the result */
  const double *x, *gradient, *fisher, *scale; /* the optimum */
  const signed char *at;
  double j, threshold;
  double *matrix, *vec; /* scratch [n x n], [8 n] */
  bool *fixed;          /* scratch [n] */
} dpi_walk_share;

typedef struct dpi_walk {
  const dpi_walk_share *share;
  dpi_profile_side *side;
  const dpi_profiled *prediction; /* NULL: a parameter's */
  int index, direction, cap;        /* cap: of side->point */
  dpi_trust *t;                     /* of the slot */
  walk_phase phase;
  dpi_profile_point now;  /* the last point accepted (at first the optimum) */
  double curvature;       /* of the profile there */
  double *tangent;        /* [n] dx / d at, there */
  double *last_x;         /* [n] the point before it, for the secant */
  double last_at;
  bool has_last, use_secant;
  double *guess_tangent, *guess_secant; /* [n] predicted x of the point in work */
  double at, step;        /* of the point in work; length of the step to it */
  double unit, largest;   /* length of the first step and of any, at most */
  double z, sigma2;       /* prediction: where it is pulled to */
  double crossing;        /* CHECK: where */
  double expected;        /* J of the point in work */
  dpi_profile_point kept; /* RETRY: the first answer */
  bool has_kept;
  bool from_outside; /* the crossing was come to from the other side too */
  int halved, nfailed, stuck, nstep, back, nroot;
  int alternative, nchecked; /* CHECK: which one, and how many in all */
  int low;                /* ROOT: side->point[low] (-1: the optimum) is below, low + 1 above the threshold */
  dpi_profile_point better;
} dpi_walk;

/* Ready for its first question. t is borrowed until the walk is done. */
dp_status dpi_walk_begin(dpi_walk *w, const dpi_walk_share *share, dpi_profile *p, int side,
                         const dpi_profiled *prediction, dpi_trust *t);
/* The search has ended: go on; *done. */
dp_status dpi_walk_ended(dpi_walk *w, bool *done);
/* Adds the prediction's pull to an answer of the density. g, grad [n]: the prediction where it was asked. */
void dpi_walk_pull(const dpi_walk *w, dpi_density_value *v, unsigned what, double g, const double *grad, bool ok);
/* A parameter that is at a bound at x and was not at the optimum (index apart), -1: none. */
int dpi_walk_met(const dpi_walk_share *share, int index, const double *x);

#endif
