/* insulin_outlook.c - floor 8: what a twin says of days under a therapy, the error of its model included (insulin.h).
 *
 * Draws of a belief say what follows from the model; that the model is another than the person is not in them. Here
 * each draw i carries, the same under every therapy so that two therapies are compared on common random numbers:
 * - errors of the sensor to come: boluses go by readings, and max(0, reading - 140) is more, in the mean, of a reading
 *   with errors than of one without;
 * - drift_i(t), what glucose does that the model does not have: stationary, normal, sd DRIFT_SD, forgotten in
 *   DRIFT_TIME;
 * - factors on the change from therapy A that it foretells: 1 + basal_i on what the basal rate does, 1 + bolus_i on
 *   what boluses do, both normal around 0. Under A a twin has seen neither change.
 * Said glucose = A + (1 + basal) (A with the other basal rate - A) + (1 + bolus) (the therapy - A with its basal rate)
 * + drift. The scales are what twins of other people, at other seeds, were found to err by (docs/insulin.md).
 */
#include <math.h>
#include <string.h>

#include "bench/insulin_impl.h"
#include "doppel/glucose.h"

enum { PURPOSE_DRIFT = 0x494e5304, OUTLOOK_DAYS = 16 };
static const double DRIFT_SD = 4, DRIFT_TIME = 180, BASAL_SD = 0.2, BOLUS_SD = 0.2;
static const dp_insulin_therapy START = {1, 1, 1};

/* Draws under a therapy by the model alone; boluses go by what the sensor would show of them. */
static dp_status rehearse(const dpi_insulin_outlook *o, dp_insulin_therapy therapy, double *glucose) {
  const dpi_insulin_case *c = o->c;
  dp_ctx *ctx = c->kind->ctx;
  const size_t np = (size_t)dp_sim_describe(c->model->kind->sim)->nparam, nmeal = (size_t)o->meals->n;
  double *param = DPI_NEW_ARRAY(ctx, double, (np + nmeal) * (size_t)o->n), *error = param + np * (size_t)o->n;
  if (!param) return DP_ERR_MEMORY;
  for (int i = 0; i < o->n; i++) {
    const double *eta = o->belief->eta + (size_t)(i * (o->belief->ndraw / o->n)) * (size_t)o->belief->neta;
    dpi_insulin_twin_param(c, eta, therapy, param + (size_t)i * np);
    for (size_t k = 0; k < nmeal; k++) {
      size_t at = (size_t)i * (size_t)o->nt + (size_t)(o->meals->time[k] / DPI_INSULIN_STEP);
      error[(size_t)i * nmeal + k] = o->sensor[at] + o->drift[at];
    }
  }
  dp_status status = dpi_insulin_live(c->model, param, o->n, o->meals, error, glucose, NULL);
  dpi_free(ctx, param);
  return status;
}

/* All that draw i has of its own. */
static dp_status draw_errors(const dpi_insulin_outlook *o, int i, const double *time) {
  const dp_sensor_model sensor = dp_sensor_model_default();
  const dp_insulin_def *def = o->c->def;
  const uint64_t stream = o->c->stream + OUTLOOK_DAYS + ((uint64_t)(i + 1) << 8);
  const double keep = dpi_m_exp(-DPI_INSULIN_STEP / DRIFT_TIME), fresh = DRIFT_SD * sqrt(1 - keep * keep);
  double *drift = o->drift + (size_t)i * (size_t)o->nt;
  dpi_rng rng = dpi_rng_make(def->seed, stream, PURPOSE_DRIFT);
  o->basal[i] = BASAL_SD * dpi_rng_normal(&rng);
  o->bolus[i] = BOLUS_SD * dpi_rng_normal(&rng);
  drift[0] = DRIFT_SD * dpi_rng_normal(&rng);
  for (int k = 1; k < o->nt; k++) drift[k] = keep * drift[k - 1] + fresh * dpi_rng_normal(&rng);
  return dp_sensor_errors(o->c->kind->ctx, &sensor, def->seed, stream, time, o->nt,
                          o->sensor + (size_t)i * (size_t)o->nt);
}

dp_status dpi_insulin_outlook_make(dpi_arena *arena, const dpi_insulin_case *c, const dp_belief *b, int n,
                                   const dpi_meals *meals, dpi_insulin_outlook *o) {
  const int nt = meals->days * DPI_INSULIN_DAY + 1;
  const size_t all = (size_t)nt * (size_t)n;
  *o = (dpi_insulin_outlook){.c = c, .belief = b, .meals = meals, .n = n, .nt = nt};
  double *time = DPI_ARENA_ARRAY(arena, double, nt);
  o->sensor = DPI_ARENA_ARRAY(arena, double, all);
  o->drift = DPI_ARENA_ARRAY(arena, double, all);
  o->start = DPI_ARENA_ARRAY(arena, double, all);
  o->other = DPI_ARENA_ARRAY(arena, double, all);
  o->basal = DPI_ARENA_ARRAY(arena, double, n);
  o->bolus = DPI_ARENA_ARRAY(arena, double, n);
  if (!time || !o->sensor || !o->drift || !o->start || !o->other || !o->basal || !o->bolus) return DP_ERR_MEMORY;
  for (int k = 0; k < nt; k++) time[k] = DPI_INSULIN_STEP * k;
  for (int i = 0; i < n; i++) DP_TRY(draw_errors(o, i, time));
  return rehearse(o, START, o->start);
}

dp_status dpi_insulin_outlook_say(dpi_insulin_outlook *o, dp_insulin_therapy therapy, double *glucose) {
  const bool moved = therapy.basal != START.basal,
             same = therapy.ratio == START.ratio && therapy.factor == START.factor;
  const double *other = o->start;
  if (moved) {
    DP_TRY(rehearse(o, (dp_insulin_therapy){therapy.basal, 1, 1}, o->other));
    other = o->other;
  }
  if (same)
    memcpy(glucose, other, sizeof *glucose * (size_t)o->n * (size_t)o->nt);
  else
    DP_TRY(rehearse(o, therapy, glucose));
  for (int i = 0; i < o->n; i++)
    for (size_t k = 0, at = (size_t)i * (size_t)o->nt; k < (size_t)o->nt; k++, at++) {
      double by_basal = other[at] - o->start[at], by_bolus = glucose[at] - other[at];
      glucose[at] += o->basal[i] * by_basal + o->bolus[i] * by_bolus + o->drift[at];
    }
  return DP_OK;
}
