/* path_figure.h - floor 5: a figure of one person's path, as it is typed in evidence.tsv and on the command line.
 *
 *     integral(Q, FROM, TO)   maximum(..)   minimum(..)          over a window
 *     time_between(Q, LOW, HIGH, FROM, TO)                       time spent there
 *     first_above(Q, LEVEL, FROM, TO)   first_below(..)          the time, counted from the plan's start
 *     time_of_maximum(Q, FROM, TO)   time_of_minimum(..)
 *     value(Q, TIME)   or   Q(TIME)                              just before what is given at TIME
 *     Q                                                          at the end of the record; an effect's id: the effect
 *
 * Q is the id of a quantity, an observable or an individual parameter. With it go a number that it is to reach and
 * doses:
 *
 *     FIGURE = NUMBER
 *     dose_for(FIGURE = NUMBER; duration 2 h, interval 24 h, count 11, control iv, steady)
 *     value_of(FIGURE; dose 1500 mg, duration 2 h)
 *
 * Numbers may carry a unit, which is converted to the kind's.
 */
#ifndef DPI_KIND_PATH_FIGURE_H
#define DPI_KIND_PATH_FIGURE_H

#include "kind/kind_impl.h"

typedef enum dpi_path_form {
  DPI_PATH_FUNCTIONAL, /* what the waist gives: functional */
  DPI_PATH_VALUE,      /* at the time `from`; NaN: the end of the record */
  DPI_PATH_TIME_OF,    /* when `functional` (maximum, minimum) is reached */
  DPI_PATH_EFFECT      /* a random effect itself: row `output` of kind->effect */
} dpi_path_form;

typedef struct dpi_path_figure {
  dpi_path_form form;
  dp_functional_kind functional;
  int output;      /* the sim's */
  double from, to; /* time units */
  double level, level2;
  char unit[128]; /* of its value */
} dpi_path_figure;

/* A dose given once or several times; amounts in the control's unit, times in time units. */
typedef struct dpi_dosing {
  int control;               /* row in control[], -1: the one the kind plans, or its only one */
  double dose;               /* NaN: not said */
  double interval, duration; /* 0: none */
  int count;   /* how often in all; 0, not said: once, at steady state as often as the figure's time needs */
  bool steady; /* the path begins in its steady state */
} dpi_dosing;

typedef enum dpi_path_ask { DPI_ASK_FIGURE, DPI_ASK_DOSE_FOR, DPI_ASK_VALUE_OF } dpi_path_ask;

typedef struct dpi_path_request {
  dpi_path_ask ask;
  dpi_path_figure figure;
  double wanted;     /* NaN: nothing is to be reached */
  dpi_dosing dosing; /* of DOSE_FOR, VALUE_OF */
} dpi_path_request;

dpi_dosing dpi_dosing_default(void);
/* ERR_INPUT begins with `where`. The kind must have been loaded to its end. */
dp_status dpi_path_request_parse(const dp_kind *kind, const char *text, const char *where, dpi_path_request *out);
/* Unit of what a request gives: the figure's, or of DOSE_FOR the control's. Borrowed from both. */
const char *dpi_path_request_unit(const dp_kind *kind, const dpi_path_request *request);
/* A number with or without a unit, as a time or in the unit `to`. what: for the message. */
dp_status dpi_path_number(const dp_kind *kind, const char *text, const char *to, const char *where, double *out);
/* Which control doses go by, what is impossible of them refused. */
dp_status dpi_dosing_check(const dp_kind *kind, const char *where, dpi_dosing *dosing);

#endif
