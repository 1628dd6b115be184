/* glucose.h - glucose of a sensor: series read from files, the consensus metrics, the ambulatory profile, a sensor's
 * error.
 *
 *     dp_glucose_series *series;  int n;
 *     DP_TRY(dp_glucose_read(ctx, "cgm.csv", &def, &series, &n));
 *     dp_glucose_metrics m = dp_glucose_measure(&series[0]);
 *     dp_glucose_series_free(ctx, series, n);
 *
 * Concentrations are mg/dL, times min; mmol/L = mg/dL / 18.016, converted where a file enters. Metrics are those of the
 * international consensus on time in range (Battelino et al. 2019, Diabetes Care 42:1593), over the readings as they
 * are: each reading counts once, nothing is filled in. Only the profile fills gaps, of up to 45 min.
 */
#ifndef DOPPEL_GLUCOSE_H
#define DOPPEL_GLUCOSE_H

#include <stdint.h>

#include "doppel/context.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DP_GLUCOSE_MMOL 18.016 /* mg/dL in one mmol/L */

/* ---- O: a series of readings ---- */
typedef struct dp_glucose_series {
  const char *id;  /* "" when the file has no ids */
  int n;           /* readings that are there */
  double *time;    /* [n] min, ascending; 0 is a midnight */
  double *value;   /* [n] mg/dL */
  int nmissing;    /* rows without a value */
  int nrepeated;   /* rows that say once more what the row before said */
  int nlow, nhigh; /* readings that a word gave: below or above what the sensor shows */
} dp_glucose_series;

typedef struct dp_glucose_read_def {
  uint32_t cookie;
  const char *time, *glucose, *id; /* columns; NULL: found by their usual names (id may be absent) */
  const char
      *unit; /* "mg/dL" or "mmol/L"; NULL: the file must say it, as "glucose (mmol/L)" or "#units: glucose=mmol/L" */
  const char *time_unit; /* of times that are numbers: "min" (default), "h", "s", "d" */
  double clock;          /* min after midnight at time 0 of times that are numbers: 0 */
  int sort;              /* 1: rows come in any order; 0: each is later than the one before */
  double low, high;      /* mg/dL, what the words Low and High stand for; 0: these words are refused */
} dp_glucose_read_def;
dp_glucose_read_def dp_glucose_read_def_default(void);
/* A CSV or TSV with times as numbers or as 2024-05-31 07:15[:00], one series an id. ERR_INPUT with file and line; the
 * unit is never guessed. Times may end with Z or an offset, +02:00: all of them or none; they are then told apart by
 * UTC, and the clock is that of the series' first reading throughout. Two readings at one time are refused, unless they
 * are the same. */
dp_status dp_glucose_read(dp_ctx *ctx, const char *path, const dp_glucose_read_def *def, dp_glucose_series **out,
                          int *n);
void dp_glucose_series_free(dp_ctx *ctx, dp_glucose_series *series, int n);

/* ---- Q: metrics ---- */
typedef struct dp_glucose_metrics {
  int n;                 /* readings */
  double interval;       /* min between readings: the median */
  double days;           /* from the first reading to the last, its own interval included */
  double share;          /* of the readings that this time could have held, 0..1 */
  int ngap;              /* stretches of more than 1.5 intervals without a reading */
  double longest_gap;    /* min between the readings around it; 0 none */
  double mean, sd;       /* mg/dL; sd with n - 1 */
  double cv;             /* %, goal <= 36 */
  double gmi;            /* glucose management indicator, %: 3.31 + 0.02392 mean */
  double tir;            /* % of readings in 70..180, goal > 70 */
  double tbr70, tbr54;   /* % below 70 (goal < 4), below 54 (goal < 1) */
  double tar180, tar250; /* % above 180 (goal < 25), above 250 (goal < 5) */
  double lbgi, hbgi;     /* low and high blood glucose index */
  double gri;            /* glycemia risk index, as by its formula, not cut at 100 */
  int sufficient;        /* >= 14 days with >= 70 % of the readings */
} dp_glucose_metrics;
/* NaN where a number is not defined: everything for no readings, sd and cv for one. */
dp_glucose_metrics dp_glucose_measure(const dp_glucose_series *series);

#define DP_GLUCOSE_NLEVEL 5
extern const double dp_glucose_level[DP_GLUCOSE_NLEVEL]; /* .05 .25 .50 .75 .95 */

/* The ambulatory glucose profile: percentiles by clock. */
typedef struct dp_glucose_profile {
  int nslot;      /* slots of the day */
  double slot;    /* min */
  double *q;      /* [nslot x DP_GLUCOSE_NLEVEL] mg/dL, NaN where a slot is empty */
  int *count;     /* [nslot] readings and filled-in ones */
  int nfilled;    /* readings filled in by lines across gaps of <= 45 min */
  int sufficient; /* as of the metrics; an insufficient profile is for looking at only */
} dp_glucose_profile;
/* slot: a whole number of them makes a day; 15 is usual. Percentiles by linear interpolation between order statistics;
 * they are not smoothed. */
dp_status dp_glucose_profile_make(dp_ctx *ctx, const dp_glucose_series *series, double slot, dp_glucose_profile **out);
void dp_glucose_profile_free(dp_ctx *ctx, dp_glucose_profile *profile);

/* ---- a sensor's error (Breton & Kovatchev 2008) ---- */
/* e_0 = z_0, e_k = ar (e_{k-1} + z_k) on a grid, error = xi + lambda sinh((e - gamma)/delta); between the grid's points
 * by cubics with central slopes (the first point: a parabola through three). z: standard normal numbers of (seed,
 * stream). */
typedef struct dp_sensor_model {
  double ar, xi, lambda, gamma, delta;
  double grid;         /* min */
  double lower, upper; /* what the sensor can show, mg/dL */
} dp_sensor_model;
dp_sensor_model dp_sensor_model_default(void);
/* Errors at ascending times >= 0 (min); the same number at a time whatever else is asked. ERR_USAGE for other times. */
dp_status dp_sensor_errors(dp_ctx *ctx, const dp_sensor_model *model, uint64_t seed, uint64_t stream,
                           const double *time, int n, double *error);
double dp_sensor_show(const dp_sensor_model *model, double glucose, double error); /* within the sensor's bounds */

#ifdef __cplusplus
}
#endif
#endif
