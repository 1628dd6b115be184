/* assimilation.h - inside of the folder filter: a person observation by observation. */
#ifndef DPI_ASSIMILATION_H
#define DPI_ASSIMILATION_H

#include "doppel/assimilate.h"
#include "infer/filter/outlook.h"
#include "infer/filter/process_person.h"
#include "infer/infer.h"

struct dp_assimilation {
  dp_ctx *ctx;
  dpi_arena arena;
  const dp_kind *kind;
  const dp_record *record;
  const dp_prior *prior;
  dp_assimilation_def def;
  int subject;
  const char *method;
  dpi_case *c; /* owned */
  /* the prior over the directions that vary */
  int *free, *index; /* [nfree] directions; 0, 1, 2 ... */
  int nfree;
  double *chol; /* [nfree x nfree] */
  /* what looks, and when */
  dpi_sensor *sensor;
  dpi_drift *drift;
  int *observable; /* [nsensor] */
  dp_sensor_desc *desc;
  int nsensor, ndrift;
  dp_output_time *row; /* [nrow] */
  int nrow;
  dp_observation *record_obs;
  int nrecord;
  /* where it started */
  double *draw; /* [ndraw x nfree] of the belief, or NULL: the prior */
  int ndraw, nknown;
  double known_evidence;
  /* what learns: one of statics and filter */
  dpi_process *process;
  dpi_problem problem;
  dpi_static_prior prior_def;
  dpi_statics *statics;
  dpi_filter *filter;
  /* what came */
  dp_time last;
  double until; /* time units, of the last reading */
  int nread, nmissing, nlate;
};

/* An observation as a reading of the process; k: its number, for messages. */
dp_status dpi_assimilation_reading(const dp_assimilation *a, const dp_observation *o, int k, dpi_reading *r);

#endif
