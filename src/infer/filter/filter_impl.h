/* filter_impl.h - inside of the folder filter: an ensemble at a time, and the methods that take readings into it. */
#ifndef DPI_FILTER_IMPL_H
#define DPI_FILTER_IMPL_H

#include "infer/filter/filter.h"

/* Members at a time, after all readings up to it. */
typedef struct dpi_place {
  dpi_swarm *swarm;
  dp_time time;
  bool reached;     /* the swarm was advanced to time (not so before the first time) */
  int ntaken;       /* readings that are in it: the first of the filter's list */
  double *drift;    /* [n x ndrift] */
  double *weight;   /* [n] sum 1 */
  uint64_t *stream; /* [n] */
  int *origin;      /* [n] row of the filter's parameters */
  double evidence, ess_least;
  int nresample;
  bool lost; /* at some time no member could explain a reading ... */
  dp_time lost_time;
  int lost_sensor;
} dpi_place;

struct dpi_filter {
  dpi_problem problem;
  dpi_filter_def def;
  dp_ctx *ctx;
  int n, nstate, ndrift, nz, noutput;
  double *param;        /* owned [n x nparam] where def.param was given, [nparam] where def.param_one was; or NULL */
  double *start_weight; /* owned [n] or NULL */
  double *taper;        /* owned or NULL */
  dpi_reading *reading; /* sorted, none missing */
  int nreading, cap_reading;
  int nmissing, nlate, nrestart;
  dpi_place *now;   /* at the last reading */
  dpi_place *ahead; /* a forecast from it, or NULL */
  dpi_place **kept; /* [ncheckpoint] oldest first */
  int nkept, since; /* since: times since the last one was kept */
};

/* What a step needs of the present ensemble; memory of its arena. */
typedef struct dpi_view {
  double *z;     /* [n x nz] */
  double *f;     /* [n x noutput] or NULL when no reading needs outputs */
  uint8_t *good; /* [n] all states are numbers */
  int ngood;
} dpi_view;
dp_status dpi_view_make(const dpi_filter *f, dpi_place *p, const dpi_reading *r, int n, dpi_arena *arena,
                        dpi_view *out);
/* What the sensor sees in member i, without bias; its bias; its scale. */
double dpi_view_seen(const dpi_filter *f, const dpi_view *v, const dpi_sensor *s, int i);
double dpi_view_bias(const dpi_filter *f, const dpi_view *v, const dpi_sensor *s, int i);
double dpi_view_scale(const dpi_filter *f, const dpi_view *v, const dpi_sensor *s, int i);

/* place.c */
dp_status dpi_place_open(const dpi_filter *f, dpi_place **out);
dp_status dpi_place_fork(const dpi_filter *f, const dpi_place *from, dpi_place **out);
void dpi_place_close(const dpi_filter *f, dpi_place *p);
dp_status dpi_place_advance(const dpi_filter *f, dpi_place *p, dp_time to);
/* Systematic resampling: new streams, equal weights. along [n]: a number of each member that goes with it, or NULL. */
dp_status dpi_place_resample(const dpi_filter *f, dpi_place *p, double *along);
/* A generator of one member's numbers at the place's time. */
dpi_rng dpi_place_rng(const dpi_filter *f, const dpi_place *p, int member, uint32_t purpose);

/* The methods: the place stands before `time`; readings [n] of that time. */
dp_status dpi_kalman_step(const dpi_filter *f, dpi_place *p, const dpi_reading *r, int n);   /* enkf.c */
dp_status dpi_particle_step(const dpi_filter *f, dpi_place *p, const dpi_reading *r, int n); /* particle.c */

/* To the readings' time; adds each member's ln likelihood of them to l [n]. */
dp_status dpi_particle_likelihood(const dpi_filter *f, dpi_place *p, const dpi_reading *r, int n, double *l);

/* filter.c */
dp_status dpi_reading_check(const dpi_problem *p, const dpi_reading *r, int k);
/* Into its place of a sorted list. */
dp_status dpi_reading_insert(dp_ctx *ctx, dpi_reading **list, int *n, int *cap, const dpi_reading *r);
/* As dpi_filter_fork, with streams and a seed of its own from now on. */
dp_status dpi_filter_fork_as(const dpi_filter *f, uint64_t seed, dpi_filter **out);

#endif
