/* lanes_zero.c - floor 3: accepted steps in which a state goes through zero.
 *
 * V x/(K + x) with a K far smaller than the step's change is the same on both sides of zero: a step over it has no
 * error to estimate and leaves the branch on which x stays positive. So the rate at zero itself is looked at, by scalar
 * rates, lane by lane.
 */
#include <math.h>

#include "solve/lanes_impl.h"

#define LEAP 0.5  /* of a rate: by so much may it differ at zero from all around; V x/(K + x) differs by all of V, what
                     is smooth by the share that the step covers */
#define LEAPS 500 /* refused since the start: after these what comes is taken; a state that rests at zero would be held
                     up in each step */

/* where along the step the rate is asked for, besides zero itself: at both ends, and inside at uneven distances, so
 * that what swings with the step is not met at the same phase */
static const double places[] = {0.0, 0.07, 0.29, 0.53, 0.81, 1.0};

/* State at `part` of the step, on the straight line. */
static void along(const dpi_lanes_regs *r, int n, int lane, double part, double *x) {
  for (int j = 0; j < n; j++) x[j] = r->x[j][lane] + part * (r->x_new[j][lane] - r->x[j][lane]);
}

/* Does the rate of state i differ at zero from all around? */
static bool leaps(dpi_lane_face *f, int i, double *x, double *rate) {
  const dpi_lanes *g = f->g;
  const dpi_lanes_regs *r = &g->regs[f->form];
  const int l = f->lane;
  const double t = r->t[l], h = r->h[l], old = r->x[i][l], new = r->x_new[i][l], part = old / (old - new);
  double low = INFINITY, high = -INFINITY;
  along(r, g->n, l, part, x);
  x[i] = 0.0;
  if (!dpi_lane_face_rate(f, t + part * h, x, rate)) return false; /* zero is no place to be */
  const double at_zero = rate[i];
  for (int k = 0; k < DPI_COUNT(places); k++) {
    along(r, g->n, l, places[k], x);
    if (!dpi_lane_face_rate(f, t + places[k] * h, x, rate)) continue;
    if (rate[i] < low) low = rate[i];
    if (rate[i] > high) high = rate[i];
  }
  const double most = fabs(low) > fabs(high) ? fabs(low) : fabs(high), room = (high - low) + LEAP * most;
  return at_zero < low - room || at_zero > high + room;
}

static bool step_leaps(dpi_lane_face *f) {
  const dpi_lanes *g = f->g;
  const dpi_lanes_regs *r = &g->regs[f->form];
  const int l = f->lane;
  if (f->nleap >= LEAPS) return false;
  for (int i = 0; i < g->n; i++) {
    const double old = r->x[i][l], new = r->x_new[i][l];
    if (!(old * new < 0.0) || fabs(new) < DPI_LANES_NOISE * g->plan->atol_step[i]) continue;
    if (leaps(f, i, g->work, g->work + g->n)) return true;
  }
  return false;
}

bool dpi_lanes_pass_zero(dpi_lanes *g, int lane) {
  dpi_lane_face *f = &g->face[lane];
  const dpi_lanes_regs *r = &g->regs[f->form];
  const double t_new = *dpi_lanes_own(g, DPI_COL_T_NEW, lane);
  double *stop = dpi_lanes_own(g, DPI_COL_STOP, lane);
  if (step_leaps(f)) {
    f->nleap++;
    *dpi_lanes_own(g, DPI_COL_WISH, lane) = 0.1 * r->h[lane];
    *dpi_lanes_own(g, DPI_COL_PACE, lane) = 0.0;
    *dpi_lanes_own(g, DPI_COL_TAKEN, lane) -= 1.0;
    g->c.again |= 1u << lane;
  } else if (t_new >= *dpi_lanes_own(g, DPI_COL_ATTEND, lane)) {
    dpi_lanes_log_step(g, lane);
    *stop = DPI_LANES_COVERED;
    return false;
  } else {
    dpi_lanes_log_step(g, lane);
    for (int i = 0; i < g->nall; i++) r->x[i][lane] = r->x_new[i][lane];
    r->t[lane] = t_new;
  }
  if (*dpi_lanes_own(g, DPI_COL_LEFT, lane) > 0.0) return true;
  *stop = DPI_LANES_SPENT;
  return false;
}
