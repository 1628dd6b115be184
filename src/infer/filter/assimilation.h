/* assimilation.h - inside of the folder filter: a person, or a calibration problem, observation by observation. */
#ifndef DPI_ASSIMILATION_H
#define DPI_ASSIMILATION_H

#include "doppel/assimilate.h"
#include "infer/filter/outlook.h"
#include "infer/sample/chain.h"

/* kind/kind_impl.h and infer/petab/calib.h have names in common: each file includes the one that it is about */
typedef struct dpi_case dpi_case;

struct dp_assimilation {
  dp_ctx *ctx;
  dpi_arena arena;
  const dp_kind *kind; /* NULL: a calibration problem (assimilation_problem.c); free, sensor, record_obs serve both */
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
  /* of a calibration problem */
  dp_problem *calib;   /* borrowed, or its `full`; NULL: a person */
  dpi_density *density; /* the same, as samplers see it */
  int *datum;          /* [nrecord] number of the measurement in the record's order: the process's time less 1 */
};

dp_status dpi_assimilation_check(const dp_assimilation *a); /* the def */
/* What learns, from a->problem and a->prior_def. */
dp_status dpi_assimilation_learn(dp_assimilation *a, int method, const dpi_reading *known, int nknown);
extern const char *const dpi_assimilation_method[4]; /* ibis, smc2, enkf, esrf */
dp_status dpi_assimilation_find_method(dp_assimilation *a, int *method);

/* Draws and weights; memory of the arena. */
typedef struct dpi_cloud {
  int n;
  const double *x, *weight;
  const double *logp; /* ln prior x likelihood, or NULL: not known */
} dpi_cloud;
dp_status dpi_assimilation_cloud(dp_assimilation *a, dpi_arena *arena, dpi_cloud *c);
dp_status dpi_assimilation_problem_reading(const dp_assimilation *a, const dp_observation *o, int k, dpi_reading *r);

/* An observation as a reading of the process; k: its number, for messages. */
dp_status dpi_assimilation_reading(const dp_assimilation *a, const dp_observation *o, int k, dpi_reading *r);

#endif
