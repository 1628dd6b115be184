/* outlook.h - floor 6, folder filter: the law of a reading as a mixture, one component a particle.  D -> Q */
#ifndef DPI_OUTLOOK_H
#define DPI_OUTLOOK_H

#include "doppel/assimilate.h"
#include "infer/filter/statics.h"

/* What a sensor sees without its noise, the noise's scale, and weights that sum to 1. */
typedef struct dpi_outlook {
  const dpi_sensor *sensor;
  int n;
  double *h, *scale, *weight; /* [n] memory of an arena */
  double *centre;             /* [n] h on the sensor's scale: its logarithm where noise is added to that */
} dpi_outlook;

/* Of a filter at a time; weights of members that have no prediction are 0. */
dp_status dpi_outlook_filter(dpi_filter *f, dp_time time, int sensor, dpi_arena *arena, dpi_outlook *out);
/* Of static parameters; nested: over all inner particles, thinned to a few thousand. */
dp_status dpi_outlook_statics(dpi_statics *s, dp_time time, int sensor, dpi_arena *arena, dpi_outlook *out);

double dpi_outlook_cdf(const dpi_outlook *o, double y);
double dpi_outlook_quantile(const dpi_outlook *o, double p); /* NaN: nobody has a prediction */
/* ln density at a reading, of a censored one ln P */
double dpi_outlook_log_density(const dpi_outlook *o, const dpi_reading *r);
/* Continuous ranked probability score by draws of the mixture. */
dp_status dpi_outlook_crps(const dpi_outlook *o, double y, uint64_t seed, dpi_arena *arena, double *crps);

/* An outlook of which nothing is known yet: NaN, and inside90 -1. */
dp_outlook dpi_outlook_unknown(void);
/* Quantiles into an unknown outlook, and the scores of the reading, if there is one (at->value NaN: none); of a
 * censored one ln P alone. */
dp_status dpi_outlook_tell(const dpi_outlook *o, const dp_observation *at, uint64_t seed, dpi_arena *arena,
                           dp_outlook *out);

#endif
