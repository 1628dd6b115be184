/* process_person.h - floor 6, folder filter: one person of a kind as a process.  O -> D
 *
 * What goes through time is a person under the doses of a record; members differ in their random effects. Courses are
 * determined by them, so a swarm simulates each distinct vector once, over the whole plan and behind the waist, and is
 * a table of predictions from then on: going to a time, copying and resampling cost next to nothing, and occasions
 * (which switch parameters on the way) need nothing special.
 *
 *     members' numbers as parameters   IBIS, SMC2, particle filters
 *     members' numbers as states       Kalman methods, which change them: the course is then simulated again from the
 *                                      start under the new numbers, never patched
 *
 * Outputs: 2 o is the prediction of observable o, 2 o + 1 the scale of its noise. A kind whose model is stochastic is
 * refused.
 */
#ifndef DPI_PROCESS_PERSON_H
#define DPI_PROCESS_PERSON_H

#include "infer/filter/filter.h"
#include "kind/kind_impl.h"

typedef struct dpi_process_person_def { /* all borrowed while the process lives, but row */
  const dpi_case *c;
  const double *typical; /* [kind's nparam] */
  const int *free;       /* [nfree] directions that members have of their own; the others are 0 */
  int nfree;
  const dp_output_time *row; /* [nrow] when readings may come, ascending. Copied */
  int nrow;
  bool state; /* numbers are states */
} dpi_process_person_def;
dp_status dpi_process_person(const dpi_process_person_def *def, dpi_process **out);
/* The process's time of row k: rows of one moment follow each other by single ticks, so that each is a time of its
 * own. */
dp_time dpi_process_person_time(const dpi_process *p, int row);
/* The row of a time, or -1. */
int dpi_process_person_row(const dpi_process *p, dp_time time);

#endif
