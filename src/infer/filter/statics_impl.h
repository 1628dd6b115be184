/* statics_impl.h - inside of the folder filter: static parameters. */
#ifndef DPI_STATICS_IMPL_H
#define DPI_STATICS_IMPL_H

#include "infer/filter/filter_impl.h"
#include "infer/filter/statics.h"

struct dpi_statics {
  dpi_problem problem;
  dpi_static_prior prior;
  dpi_statics_def def;
  dp_ctx *ctx;
  dpi_arena arena;
  int n, dim;
  dpi_reading *reading; /* sorted, none missing */
  int nreading, cap_reading, ntaken;
  double *x, *weight, *logprior;
  double *past; /* [n] ln likelihood of the readings of earlier times */
  double *last; /* [n] and of the time under way; nested: of all up to it, in `past` */
  double *next_x, *next_prior, *next_past, *next_last, *ratio; /* proposals */
  double *before, *copy;
  uint8_t *out;              /* [n] the proposal lies outside the prior */
  double *mean[2], *chol[2]; /* of both halves */
  int *index;
  dpi_filter *run;         /* ibis: all particles as members, at the present time; or NULL */
  dpi_filter **inner;      /* nested: [n] */
  dpi_filter **next_inner; /* nested: [n] */
  int ninner;
  dpi_statics *pilot; /* nested: decides; or NULL */
  int moves;          /* nested: sweeps made at the last time; 0: nobody moved */
  bool grown;         /* ... and the filters got twice the particles */
  uint64_t count;     /* filters' seeds given so far */
  dp_time *time;
  double *gained;
  int cap_time, cap_gained;
  dpi_statics_report report;
  bool lost;         /* at some time no particle could explain a reading ... */
  dp_time lost_time; /* ... for the first time then, ... */
  int lost_sensor;   /* ... of this one; -1: there were several */
};

/* statics_move.c */
dp_status dpi_statics_draw_prior(dpi_statics *s);
double dpi_statics_logprior(const dpi_statics *s, const double *x);
void dpi_statics_param(const dpi_statics *s, const double *x, double *param);
/* Moments of each half for the other's moves, then resampling: index is filled, weights become equal; the caller
 * moves what
 * else belongs to a particle. */
void dpi_statics_resample(dpi_statics *s, uint64_t key);
/* Proposals of sweep k at time group `key`; ratio: ln of what reversibility asks for. */
void dpi_statics_propose(dpi_statics *s, uint64_t key, int sweep);
bool dpi_statics_accept(const dpi_statics *s, uint64_t key, int sweep, int i, double logratio);
double dpi_statics_correlation(const dpi_statics *s);
/* Does the report's correlation say that moves did not mix? */
static inline bool dpi_statics_unmixed(const dpi_statics *s) {
  return s->report.correlation > 2 * s->def.correlation && s->report.correlation > 0.5;
}
/* After the moves: counts them. */
void dpi_statics_moved(dpi_statics *s);

/* ibis.c, nested.c: take readings [first, first + n), all of one time */
dp_status dpi_ibis_step(dpi_statics *s, int first, int n, double *gained);
dp_status dpi_nested_step(dpi_statics *s, int first, int n, double *gained);
void dpi_nested_release(dpi_statics *s);
/* The likelihood of the readings so far at the particles, into past; nested: with filters of their own, unless there
 * are some. */
dp_status dpi_ibis_begin(dpi_statics *s);
dp_status dpi_nested_begin(dpi_statics *s, int nread);

#endif
