/* sensor_error.c - floor 1: the error of a glucose sensor as a function of time (glucose.h).
 *
 * Source: Breton M, Kovatchev B (2008) J Diabetes Sci Technol 2:853: an autoregressive series on a 15 min grid, its
 * values through Johnson's sinh transformation. Between grid points: cubics with central slopes, so that a time needs
 * two points on either side and not the whole series; they pass through the grid's values and have continuous slopes.
 */
#include <math.h>

#include "doppel/glucose.h"
#include "num/num.h"

enum { PURPOSE_SENSOR = 0x53454e53 };

dp_sensor_model dp_sensor_model_default(void) {
  return (dp_sensor_model){.ar = 0.7,
                           .xi = -5.47,
                           .lambda = 15.9574,
                           .gamma = -0.5444,
                           .delta = 1.6898,
                           .grid = 15,
                           .lower = 39,
                           .upper = 600};
}

/* The grid walked upwards: errors at the points at - 1 .. at + 2. */
typedef struct walk {
  const dp_sensor_model *model;
  dpi_rng rng;
  int64_t at;
  double e; /* at point at + 2 */
  double error[4];
} walk;

static double shaped(const dp_sensor_model *m, double e) {
  return m->xi + m->lambda * dpi_m_sinh((e - m->gamma) / m->delta);
}

static double next_error(walk *w) {
  w->e = w->model->ar * (w->e + dpi_rng_normal(&w->rng));
  return shaped(w->model, w->e);
}

static void walk_start(walk *w) {
  w->at = 0;
  w->e = dpi_rng_normal(&w->rng);
  w->error[1] = shaped(w->model, w->e);
  w->error[2] = next_error(w);
  w->error[3] = next_error(w);
  w->error[0] = 3 * (w->error[1] - w->error[2]) + w->error[3];
}

static double walk_to(walk *w, double t) {
  double point = floor(t / w->model->grid);
  for (; (double)w->at < point; w->at++) {
    for (int k = 0; k < 3; k++) w->error[k] = w->error[k + 1];
    w->error[3] = next_error(w);
  }
  const double u = t / w->model->grid - point, *n = w->error;
  return n[1] +
         0.5 * u * (n[2] - n[0] + u * (2 * n[0] - 5 * n[1] + 4 * n[2] - n[3] + u * (3 * (n[1] - n[2]) + n[3] - n[0])));
}

dp_status dp_sensor_errors(dp_ctx *ctx, const dp_sensor_model *model, uint64_t seed, uint64_t stream,
                           const double *time, int n, double *error) {
  walk w = {.model = model, .rng = dpi_rng_make(seed, stream, PURPOSE_SENSOR)};
  if (!(model->grid > 0) || !(fabs(model->delta) > 0) || !isfinite(model->grid))
    return dpi_fail(ctx, DP_ERR_USAGE, "sensor's error: expected a grid > 0 min and delta other than 0");
  walk_start(&w);
  for (int i = 0; i < n; i++) {
    if (!(time[i] >= 0 && time[i] / model->grid < 1e9) || (i > 0 && time[i] < time[i - 1]))
      return dpi_fail(ctx, DP_ERR_USAGE, "sensor's error at %g min: expected ascending times >= 0", time[i]);
    error[i] = walk_to(&w, time[i]);
  }
  return DP_OK;
}

double dp_sensor_show(const dp_sensor_model *model, double glucose, double error) {
  double y = glucose + error;
  return y < model->lower ? model->lower : y > model->upper ? model->upper : y;
}
