/* glucose_metrics.c - floor 1: metrics of sensor glucose and the ambulatory profile (glucose.h).
 *
 * Sources: Battelino et al. 2019 (ranges, 14 days with 70 %); Bergenstal et al. 2018 (GMI); Kovatchev et al. 1997, 2006
 * (risk indices; the means are over all readings); Klonoff et al. 2023 (GRI). Ranges: 70 and 180 mg/dL belong to the
 * range.
 */
#include "doppel/glucose.h"

#include <math.h>

#include "num/num.h"

static const double GAP_FILLED = 45, DAY = 1440, ENOUGH_DAYS = 14, ENOUGH_SHARE = 0.7;

const double dp_glucose_level[DP_GLUCOSE_NLEVEL] = {.05, .25, .50, .75, .95};

/* Kovatchev's symmetrising scale: negative low, positive high. */
static double risk_scale(double g) { return 1.509 * (dpi_m_pow(dpi_m_log(g), 1.084) - 5.381); }

static int not_more_than(const dp_glucose_series *s, double x) {
  int n = 0;
  for (int i = 1; i < s->n; i++) n += s->time[i] - s->time[i - 1] <= x;
  return n;
}

/* Lower median of the times between readings, without memory: positive doubles are ordered as their bits are, so the
 * smallest one that enough differences do not exceed is found by halving. */
static double usual_interval(const dp_glucose_series *s) {
  union {
    double x;
    uint64_t bits;
  } low = {.x = 0}, high = {.x = INFINITY}, mid;
  if (s->n < 2) return NAN;
  while (high.bits - low.bits > 1) {
    mid.bits = low.bits + (high.bits - low.bits) / 2;
    *(not_more_than(s, mid.x) > (s->n - 2) / 2 ? &high : &low) = mid;
  }
  return high.x;
}

static void measure_coverage(const dp_glucose_series *s, dp_glucose_metrics *m) {
  m->interval = usual_interval(s);
  m->days = m->share = NAN;
  if (s->n < 2) return;
  double span = s->time[s->n - 1] - s->time[0], expected = floor(span / m->interval + 0.5) + 1;
  m->days = (span + m->interval) / DAY;
  m->share = s->n < expected ? s->n / expected : 1;
  for (int i = 1; i < s->n; i++) {
    double d = s->time[i] - s->time[i - 1];
    if (d <= 1.5 * m->interval) continue;
    m->ngap++;
    if (d > m->longest_gap) m->longest_gap = d;
  }
  m->sufficient = m->days >= ENOUGH_DAYS && m->share >= ENOUGH_SHARE;
}

/* Mean and squared deviations in two passes with compensated sums. */
static void measure_moments(const dp_glucose_series *s, dp_glucose_metrics *m) {
  double sum = 0, lost = 0, square = 0, slip = 0;
  for (int i = 0; i < s->n; i++) {
    double y = s->value[i] - lost, t = sum + y;
    lost = (t - sum) - y;
    sum = t;
  }
  m->mean = sum / s->n;
  for (int i = 0; i < s->n; i++) {
    double d = s->value[i] - m->mean;
    square += d * d;
    slip += d;
  }
  m->sd = s->n > 1 ? sqrt((square - slip * slip / s->n) / (s->n - 1)) : NAN;
  m->cv = 100 * m->sd / m->mean;
  m->gmi = 3.31 + 0.02392 * m->mean;
}

static void measure_ranges(const dp_glucose_series *s, dp_glucose_metrics *m) {
  int in = 0, low = 0, very_low = 0, high = 0, very_high = 0;
  double lbgi = 0, hbgi = 0;
  for (int i = 0; i < s->n; i++) {
    double g = s->value[i], f = risk_scale(g);
    in += g >= 70 && g <= 180;
    low += g < 70;
    very_low += g < 54;
    high += g > 180;
    very_high += g > 250;
    *(f < 0 ? &lbgi : &hbgi) += 10 * f * f;
  }
  double percent = 100.0 / s->n;
  m->tir = in * percent;
  m->tbr70 = low * percent;
  m->tbr54 = very_low * percent;
  m->tar180 = high * percent;
  m->tar250 = very_high * percent;
  m->lbgi = lbgi / s->n;
  m->hbgi = hbgi / s->n;
  m->gri = percent * (3.0 * very_low + 2.4 * (low - very_low) + 1.6 * very_high + 0.8 * (high - very_high));
}

dp_glucose_metrics dp_glucose_measure(const dp_glucose_series *series) {
  dp_glucose_metrics m = {.n = series->n};
  measure_coverage(series, &m);
  if (series->n == 0) {
    m.mean = m.sd = m.cv = m.gmi = m.tir = m.tbr70 = m.tbr54 = m.tar180 = m.tar250 = m.lbgi = m.hbgi = m.gri = NAN;
    return m;
  }
  measure_moments(series, &m);
  measure_ranges(series, &m);
  return m;
}

/* ---------------------------------------------------------------- the profile */

/* Readings with gaps of at most 45 min filled by lines, at the usual interval; at most `room` of them. Gives their
 * number. */
static int fill_gaps(const dp_glucose_series *s, double interval, double *time, double *value, int room) {
  int n = 0;
  for (int i = 0; i < s->n && n < room; i++) {
    time[n] = s->time[i];
    value[n++] = s->value[i];
    double gap = i + 1 < s->n ? s->time[i + 1] - s->time[i] : 0;
    if (!(gap > 1.5 * interval) || gap > GAP_FILLED) continue;
    for (int k = 1; k * interval < gap - 0.5 * interval && n < room; k++) {
      time[n] = s->time[i] + k * interval;
      value[n++] = s->value[i] + (s->value[i + 1] - s->value[i]) * (k * interval / gap);
    }
  }
  return n;
}

static int slot_of(const dp_glucose_profile *p, double time) {
  double clock = time - DAY * floor(time / DAY);
  int k = (int)(clock / p->slot);
  return k < p->nslot ? k : p->nslot - 1;
}

/* Between order statistics: the p-quantile of sorted x lies at (n - 1) p. */
static double quantile(const double *x, int n, double p) {
  double at = (n - 1) * p;
  int k = (int)at;
  return k + 1 < n ? x[k] + (x[k + 1] - x[k]) * (at - k) : x[n - 1];
}

/* Values by slot (counted, then placed), each slot sorted. bin: n numbers. */
static void fill_slots(dp_glucose_profile *p, const double *time, const double *value, int n, double *bin) {
  for (int i = 0; i < n; i++) p->count[slot_of(p, time[i])]++;
  for (int k = 0, first = 0; k < p->nslot; first += p->count[k++]) p->q[k] = first;
  for (int i = 0; i < n; i++) bin[(int)p->q[slot_of(p, time[i])]++] = value[i];
  for (int k = p->nslot - 1, end = n; k >= 0; end -= p->count[k--]) {
    double *x = bin + end - p->count[k];
    dpi_sort(x, p->count[k]);
    for (int l = 0; l < DP_GLUCOSE_NLEVEL; l++)
      p->q[k * DP_GLUCOSE_NLEVEL + l] = p->count[k] ? quantile(x, p->count[k], dp_glucose_level[l]) : NAN;
  }
}

/* Most readings that filling can give: those of the gaps that are filled, and the series itself. */
static int most_filled(const dp_glucose_series *s, double interval) {
  double n = s->n;
  for (int i = 1; i < s->n; i++) {
    double gap = s->time[i] - s->time[i - 1];
    if (gap > 1.5 * interval && gap <= GAP_FILLED) n += ceil(gap / interval);
  }
  return n < 1e7 ? (int)n : -1;
}

dp_status dp_glucose_profile_make(dp_ctx *ctx, const dp_glucose_series *series, double slot, dp_glucose_profile **out) {
  *out = NULL;
  double nslot = DAY / slot;
  if (!(slot >= 1 && slot <= DAY) || nslot != floor(nslot))
    return dpi_fail(ctx, DP_ERR_USAGE, "slots of %g min: expected 1 to 1440 min, a whole number of them in a day",
                    slot);
  dp_glucose_metrics m = dp_glucose_measure(series);
  int room = most_filled(series, m.interval);
  if (room < 0) return dpi_fail(ctx, DP_ERR_UNSUPPORTED, "too many readings for a profile");
  dp_glucose_profile *p = DPI_NEW(ctx, dp_glucose_profile);
  double *work = DPI_NEW_ARRAY(ctx, double, 3 * (size_t)room + 1);
  if (p) {
    *p = (dp_glucose_profile){.nslot = (int)nslot, .slot = slot, .sufficient = m.sufficient};
    p->q = DPI_NEW_ARRAY(ctx, double, p->nslot *DP_GLUCOSE_NLEVEL);
    p->count = DPI_NEW_ARRAY(ctx, int, p->nslot);
  }
  bool good = p && work && p->q && p->count;
  if (good) {
    int n = fill_gaps(series, m.interval, work, work + room, room);
    p->nfilled = n - series->n;
    fill_slots(p, work, work + room, n, work + 2 * (size_t)room);
    *out = p;
  } else {
    dp_glucose_profile_free(ctx, p);
  }
  dpi_free(ctx, work);
  return good ? DP_OK : DP_ERR_MEMORY;
}

void dp_glucose_profile_free(dp_ctx *ctx, dp_glucose_profile *profile) {
  if (!profile) return;
  dpi_free(ctx, profile->q);
  dpi_free(ctx, profile->count);
  dpi_free(ctx, profile);
}
