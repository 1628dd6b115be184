/* outlook.c - floor 6, folder filter: the law of a reading as a mixture, one component a particle (outlook.h). */
#include "infer/filter/outlook.h"

#include <math.h>

#include "infer/filter/statics_impl.h"
#include "infer/infer.h"

#define COMPONENTS_MOST 4000
#define CRPS_DRAWS 4000

static dp_status make_room(dpi_outlook *o, int n, dpi_arena *arena) {
  o->n = n;
  o->h = DPI_ARENA_ARRAY(arena, double, (size_t)n + 1);
  o->scale = DPI_ARENA_ARRAY(arena, double, (size_t)n + 1);
  o->weight = DPI_ARENA_ARRAY(arena, double, (size_t)n + 1);
  o->centre = DPI_ARENA_ARRAY(arena, double, (size_t)n + 1);
  return o->h && o->scale && o->weight && o->centre ? DP_OK : DP_ERR_MEMORY;
}

/* Components without a prediction count nothing. */
static void clean(dpi_outlook *o) {
  double sum = 0;
  for (int i = 0; i < o->n; i++) {
    bool good = isfinite(o->h[i]) && o->scale[i] > 0 && isfinite(o->scale[i]) && o->weight[i] > 0;
    if (good && dpi_sensor_log(o->sensor)) good = o->h[i] > 0;
    if (!good) o->weight[i] = 0;
    o->centre[i] = !good ? 0 : dpi_sensor_log(o->sensor) ? dpi_m_log(o->h[i]) : o->h[i];
    sum += o->weight[i];
  }
  for (int i = 0; i < o->n && sum > 0; i++) o->weight[i] /= sum;
}

static dp_status from_filter(dpi_filter *f, dp_time time, int sensor, double *h, double *scale, double *weight) {
  DP_TRY(dpi_filter_advance(f, time));
  DP_TRY(dpi_filter_seen(f, sensor, h, scale));
  return dpi_filter_members(f, NULL, weight);
}

dp_status dpi_outlook_filter(dpi_filter *f, dp_time time, int sensor, dpi_arena *arena, dpi_outlook *out) {
  out->sensor = &f->problem.sensor[sensor];
  DP_TRY(make_room(out, f->n, arena));
  DP_TRY(from_filter(f, time, sensor, out->h, out->scale, out->weight));
  clean(out);
  return DP_OK;
}

/* Without noise: all particles from the start to the time. */
static dp_status plain(dpi_statics *s, dp_time time, int sensor, dpi_arena *arena, dpi_outlook *out) {
  dpi_filter *f = NULL;
  double *param = DPI_ARENA_ARRAY(arena, double, (size_t)s->n *(size_t)s->problem.process->nparam + 1);
  DP_TRY(make_room(out, s->n, arena));
  if (!param) return DP_ERR_MEMORY;
  dpi_statics_params(s, param);
  dpi_filter_def def = dpi_filter_def_default();
  def.method = DPI_FILTER_BOOTSTRAP;
  def.n = s->n;
  def.param = param;
  def.ncheckpoint = 0;
  DP_TRY(dpi_filter_create(&s->problem, &def, &f));
  dp_status status = from_filter(f, time, sensor, out->h, out->scale, out->weight);
  dpi_filter_destroy(f);
  for (int i = 0; i < s->n; i++) out->weight[i] = s->weight[i];
  return status;
}

/* Systematically chosen pairs of a particle and one of its filter's members. */
static dp_status thin(dpi_statics *s, dpi_outlook *all, dpi_arena *arena) {
  if (all->n <= COMPONENTS_MOST) return DP_OK;
  dpi_outlook few = *all;
  int *index = DPI_ARENA_ARRAY(arena, int, COMPONENTS_MOST);
  DP_TRY(make_room(&few, COMPONENTS_MOST, arena));
  if (!index) return DP_ERR_MEMORY;
  clean(all);
  dpi_rng rng = dpi_rng_make(s->def.seed, s->count, DPI_RNG_FILTER_OUTLOOK);
  dpi_resample(all->weight, all->n, dpi_rng_uniform(&rng), few.n, index);
  for (int i = 0; i < few.n; i++) {
    few.h[i] = all->h[index[i]];
    few.scale[i] = all->scale[index[i]];
    few.weight[i] = all->weight[index[i]] > 0 ? 1.0 / few.n : 0;
  }
  *all = few;
  return DP_OK;
}

static dp_status inner(dpi_statics *s, dp_time time, int sensor, dpi_arena *arena, dpi_outlook *out) {
  DP_TRY(dpi_nested_begin(s, 0));
  DP_TRY(make_room(out, s->n * s->ninner, arena));
  for (int i = 0; i < s->n; i++) {
    size_t at = (size_t)i * (size_t)s->ninner;
    DP_TRY(from_filter(s->inner[i], time, sensor, out->h + at, out->scale + at, out->weight + at));
    for (int j = 0; j < s->ninner; j++) out->weight[at + (size_t)j] *= s->weight[i];
  }
  return thin(s, out, arena);
}

dp_status dpi_outlook_statics(dpi_statics *s, dp_time time, int sensor, dpi_arena *arena, dpi_outlook *out) {
  out->sensor = &s->problem.sensor[sensor];
  DP_TRY(s->def.nested ? inner(s, time, sensor, arena, out) : plain(s, time, sensor, arena, out));
  clean(out);
  return DP_OK;
}

/* ---- the mixture ---- */

/* At v on the sensor's scale. */
static double below(const dpi_outlook *o, double v) {
  double sum = 0;
  for (int i = 0; i < o->n; i++)
    if (o->weight[i] > 0) sum += o->weight[i] * dpi_sensor_cdf(o->sensor, (v - o->centre[i]) / o->scale[i]);
  return sum;
}

double dpi_outlook_cdf(const dpi_outlook *o, double y) {
  if (!dpi_sensor_log(o->sensor)) return below(o, y);
  return y > 0 ? below(o, dpi_m_log(y)) : 0;
}

double dpi_outlook_log_density(const dpi_outlook *o, const dpi_reading *r) {
  double top = -INFINITY, sum = 0;
  for (int i = 0; i < o->n; i++)
    if (o->weight[i] > 0) top = fmax(top, dpi_sensor_loglik(o->sensor, r, o->h[i], 0, o->scale[i]));
  if (!isfinite(top)) return -INFINITY;
  for (int i = 0; i < o->n; i++)
    if (o->weight[i] > 0)
      sum += o->weight[i] * dpi_m_exp(dpi_sensor_loglik(o->sensor, r, o->h[i], 0, o->scale[i]) - top);
  return top + dpi_m_log(sum);
}

/* Root of below - p between low and high, where it has the signs - and +: chords, the end that stays counting half
 * as much each
 * time (the Illinois method), and the middle every fourth time. */
static double crossing(const dpi_outlook *o, double p, double low, double at_low, double high, double at_high,
                       double narrow) {
  int side = 0;
  for (int k = 0; k < 200 && high - low > 1e-9 * (fabs(low) + fabs(high)) + narrow; k++) {
    const double width = high - low, chord = low + width * (at_low / (at_low - at_high));
    const double v = k % 4 == 3 || !(chord > low && chord < high) ? low + 0.5 * width : chord, at = below(o, v) - p;
    if (at < 0) {
      low = v;
      at_low = at;
      if (side < 0) at_high *= 0.5;
      side = -1;
    } else {
      high = v;
      at_high = at;
      if (side > 0) at_low *= 0.5;
      side = 1;
    }
    if (at == 0) return v;
  }
  return 0.5 * (low + high);
}

double dpi_outlook_quantile(const dpi_outlook *o, double p) {
  double low = INFINITY, high = -INFINITY, wide = 0;
  for (int i = 0; i < o->n; i++) {
    if (!(o->weight[i] > 0)) continue;
    low = fmin(low, o->centre[i] - 2 * o->scale[i]);
    high = fmax(high, o->centre[i] + 2 * o->scale[i]);
    wide = fmax(wide, o->scale[i]);
  }
  if (!(low <= high)) return NAN;
  double reach = high - low + wide, at_low = below(o, low) - p, at_high = below(o, high) - p;
  for (int k = 0; k < 60 && at_low > 0; k++, reach *= 2) at_low = below(o, low -= reach) - p;
  reach = high - low + wide;
  for (int k = 0; k < 60 && at_high < 0; k++, reach *= 2) at_high = below(o, high += reach) - p;
  const double v = crossing(o, p, low, at_low, high, at_high, 1e-12 * wide);
  return dpi_sensor_log(o->sensor) ? dpi_m_exp(v) : v;
}

dp_status dpi_outlook_crps(const dpi_outlook *o, double y, uint64_t seed, dpi_arena *arena, double *crps) {
  int each = o->n < CRPS_DRAWS ? (CRPS_DRAWS + o->n - 1) / o->n : 1, n = 0;
  size_t room = (size_t)o->n * (size_t)each + 1;
  double *x = DPI_ARENA_ARRAY(arena, double, room), *w = DPI_ARENA_ARRAY(arena, double, room);
  int *order = DPI_ARENA_ARRAY(arena, int, room);
  if (!x || !w || !order) return DP_ERR_MEMORY;
  for (int i = 0; i < o->n; i++) {
    dpi_rng rng = dpi_rng_make(seed, (uint64_t)i, DPI_RNG_FILTER_OUTLOOK);
    for (int k = 0; k < each && o->weight[i] > 0; k++) {
      x[n] = dpi_sensor_draw(o->sensor, o->h[i], 0, o->scale[i], &rng);
      w[n++] = o->weight[i] / each;
    }
  }
  dpi_argsort(x, n, order);
  *crps = dpi_crps_sample(x, w, n, y, order);
  return DP_OK;
}

dp_outlook dpi_outlook_unknown(void) {
  dp_outlook out = {.pit = NAN, .crps = NAN, .log_density = NAN, .inside90 = -1};
  for (int l = 0; l < DP_OUTLOOK_NLEVEL; l++) out.q[l] = NAN;
  return out;
}

dp_status dpi_outlook_tell(const dpi_outlook *o, const dp_observation *at, uint64_t seed, dpi_arena *arena,
                           dp_outlook *out) {
  const dpi_reading r = {.y = at->value, .censored = at->censored};
  for (int l = 0; l < DP_OUTLOOK_NLEVEL; l++) out->q[l] = dpi_outlook_quantile(o, dp_outlook_level[l]);
  if (isnan(at->value)) return DP_OK;
  out->log_density = dpi_outlook_log_density(o, &r);
  if (at->censored) return DP_OK;
  out->pit = dpi_outlook_cdf(o, at->value);
  out->inside90 = at->value >= out->q[1] && at->value <= out->q[5];
  return dpi_outlook_crps(o, at->value, seed, arena, &out->crps);
}
