/* case_draws.h - floor 6, inside infer/sobol: draws of a person's random effects simulated at times of one's own. */
#ifndef DPI_CASE_DRAWS_H
#define DPI_CASE_DRAWS_H

#include "infer/infer.h"

typedef struct dpi_when { /* times in order, each once */
  dp_output_time *time;   /* [n] of the arena */
  int n;
} dpi_when;

/* Time p of a person: from 0 on. */
dp_status dpi_when_add(dpi_when *w, dpi_arena *arena, int most, const char *what, double time);
/* The row of a time that was added. */
int dpi_when_row(const dpi_when *w, double time);

/* An observable of the kind by its id; what: for the message. */
dp_status dpi_case_observable(const dp_kind *kind, const char *what, const char *id, const dpi_kind_observable **out);
/* Draw k is typical values and eta [n x neta]; all of the person's doses; by the kind's tolerance of ensembles. */
dp_status dpi_case_draws(const dpi_case *c, const double *typical, int n, const double *eta, const dpi_when *when,
                         uint64_t seed, dp_result **out);

#endif
