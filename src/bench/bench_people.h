/* bench_people.h - floor 8: virtual people of closed loops: who they are, what they eat and when. */
#ifndef DPI_BENCH_PEOPLE_H
#define DPI_BENCH_PEOPLE_H

#include "base/base.h"
#include "doppel/bench.h"
#include "doppel/sim.h"

extern const char dpi_s2008_text[];   /* twins/s2008/model.ant */
extern const char dpi_s2008_people[]; /* twins/s2008/people.tsv */

#define DPI_SAMPLE 5      /* min from reading to reading */
#define DPI_MEALS 3       /* a day */
#define DPI_EATING 5000.0 /* mg/min */

typedef struct dpi_bench_people {
  dp_ctx *ctx;
  int nrow, ncol;
  char **id;     /* [ncol] */
  double *value; /* [nrow x ncol], NaN where it is no number */
  char *text;    /* owned, cut into ids */
} dpi_bench_people;
dp_status dpi_bench_people_read(dp_ctx *ctx, dpi_bench_people *out);
void dpi_bench_people_release(dpi_bench_people *p);
double dpi_bench_people_value(const dpi_bench_people *p, int row, const char *id); /* NaN: there is none */

typedef struct dpi_bench_meal {
  int minute;   /* since the start */
  double grams; /* a whole number */
} dpi_bench_meal;
/* Meals of a member, DPI_MEALS x days, ascending, none before the one before has been eaten. */
void dpi_bench_people_meals(const dpi_bench_people *p, int member, int days, uint64_t seed, dpi_bench_meal *meal);

/* ---- plain C (peer_loop.c) ---- */
typedef struct dpi_loop_peer {
  double cr, cf, rate;     /* g/U, mg/dL/U, U/h */
  double low, in_range, n; /* out: readings */
  double glucose;          /* out: at the end, mg/dL */
} dpi_loop_peer;
void dpi_peer_loop(const dpi_bench_people *p, int row, const dpi_bench_meal *meal, int nmeal, int days,
                   dpi_loop_peer *out);

#endif
