/* timeline.h - ring two of the waist (floor 4), for spokes: which of a member's instants and outputs comes next.  U
 *
 * The sim hands a member over with its instants in order of time. Repeats are not written out: an instant with
 * `repeats` is taken once and then stands in the list of those that go on, at time + k * interval for k = 1, 2, ...
 * At equal times `order` decides, then the position of the instant; a repeat has its instant's order and position.
 */
#ifndef DPI_TIMELINE_H
#define DPI_TIMELINE_H

#include "doppel/sim.h"

/* How far a member has come; part of its digital state. */
typedef struct dpi_timeline {
  int next;    /* instants before this one have been taken */
  int nrepeat; /* instants whose repeats go on */
  int *repeat; /* of each: instant, next k. Memory of the spoke: [2 x dpi_timeline_repeating] */
} dpi_timeline;

typedef struct dpi_coming {
  double t; /* real time; infinite: nothing is left */
  dp_time tick;
  int32_t order;
  int instant; /* index or -1: none */
  int repeat;  /* entry of the list of repeats, or -1: its first time */
  int32_t k;
} dpi_coming;

/* Ticks as a real time: never a running sum, so that equal ticks are equal numbers. */
static inline double dpi_real(dp_time ticks) { return (double)ticks / (double)DP_TICKS; }

/* Instants that repeat: each may need an entry. */
int dpi_timeline_repeating(const dp_member *def);
dpi_coming dpi_timeline_next(const dpi_timeline *line, const dp_member *def);
/* Take it from the timeline: what comes after it is next. */
void dpi_timeline_pass(dpi_timeline *line, const dp_member *def, const dpi_coming *n);
/* Should the instant come before the next output, `ndone` of them being passed? Exact, in ticks. */
bool dpi_timeline_before_output(const dp_member *def, int ndone, const dpi_coming *n);
/* Do its indices point into this member's list of instants? For bytes that were read. */
bool dpi_timeline_plausible(const dpi_timeline *line, const dp_member *def);

#endif
