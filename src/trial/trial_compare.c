/* trial_compare.c - floor 8: differences between arms: intervals, tests, Holm's correction, power.
 *
 *     means, parallel arms     Welch's t
 *     means, same people       paired t; in a cross-over within sequences of arms, which takes out what periods do
 *                              (two arms: Hills & Armitage 1979)
 *     either                   or percentile bootstrap over people
 *     shares, parallel arms    Newcombe's hybrid score interval (1998, method 10); chi-squared, or Fisher's exact test
 *                              where fewer than five people are expected in a cell (Cochran 1954)
 *     shares, same people      Bonett & Price (2012); McNemar's exact test
 *     shares, cross-over       Bonett & Price within sequences; Mainland & Gart's exact test (1969), with more than two
 *                              arms the interval's z
 *     power                    trials of n people an arm drawn with replacement from the people kept, those whose
 *                              endpoint is missing too; the share of them in which the t test of the design (of shares:
 *                              on 0 and 1) finds the difference at the trial's confidence, with Clopper-Pearson's
 *                              interval
 *
 * Periods. In a cross-over each arm comes once in each place, so over the sequences what periods add to a difference
 * sums to nought: the mean of the sequences' means is free of it, however many people each has, and so is the variance
 * within them. What an arm leaves behind for the next (carry-over) is not taken out by anything but a wash-out.
 */
#include <math.h>
#include <stdio.h>

#include "trial/trial_stats.h"

/* ---- means of strata ---- */

bool dpi_trial_strata_mean(const dpi_moments *m, int n, dpi_trial_mean *out) {
  double sum = 0, square = 0, count = 0, inverse = 0;
  for (int s = 0; s < n; s++) {
    if (m[s].count < 1) return false;
    sum += m[s].mean;
    square += m[s].square;
    count += (double)m[s].count;
    inverse += 1 / (double)m[s].count;
  }
  out->dof = count - n;
  out->sd = out->dof >= 1 ? sqrt(square / out->dof) : NAN;
  out->value = sum / n;
  out->se = out->sd * sqrt(inverse) / n;
  return true;
}

static double p_of_t(const dpi_trial_mean *m) {
  return m->se > 0 ? dpi_trial_t_tail(m->value / m->se, m->dof) : m->value == 0 ? 1 : 0;
}

/* ---- exact tests ---- */

double dpi_trial_fisher(double a, double b, double c, double d) {
  const double row = a + b, column = a + c, all = a + b + c + d;
  const double low = fmax(0, row + column - all), high = fmin(row, column);
  const double mode = fmin(fmax(floor((row + 1) * (column + 1) / (all + 2)), low), high);
  double own = 1, total = 0, beyond = 0; /* weights of tables by their first cell; that of the likeliest is 1 */
  for (double x = mode; x < a; x++) own *= (row - x) / (x + 1) * (column - x) / (all - row - column + x + 1);
  for (double x = mode; x > a; x--) own *= x / (row - x + 1) * (all - row - column + x) / (column - x + 1);
  const double bound = own * (1 + 1e-7); /* as likely, but for rounding */
  double w = 1;
  for (double x = mode; x <= high && w > 0; x++) {
    total += w;
    if (w <= bound) beyond += w;
    w *= (row - x) / (x + 1) * (column - x) / (all - row - column + x + 1);
  }
  w = 1;
  for (double x = mode; x > low && w > 0; x--) {
    w *= x / (row - x + 1) * (all - row - column + x) / (column - x + 1);
    total += w;
    if (w <= bound) beyond += w;
  }
  return fmin(beyond / total, 1);
}

/* P of a coin's tosses that are as unequal as `up` and `down`, or more so. */
static double p_of_tosses(double up, double down) {
  const double least = up < down ? up : down, all = up + down;
  return all > 0 ? fmin(2 * dpi_beta_cdf(0.5, all - least, least + 1), 1) : 1;
}

/* ---- shares in the same people ---- */

/* How many changed to yes and to no, from the moments of -1, 0, 1. */
static void changes(const dpi_moments *m, double *up, double *down) {
  const double n = (double)m->count, all = m->square + n * m->mean * m->mean;
  *up = floor((all + n * m->mean) / 2 + 0.5);
  *down = floor((all - n * m->mean) / 2 + 0.5);
}

/* Two more people in each stratum, one who changed to yes and one to no; the strata count alike. */
static void changes_interval(const dp_trial *t, const dpi_moments *m, int nstratum, dp_trial_estimate *s,
                             double *z_of) {
  double centre = 0, variance = 0;
  for (int k = 0; k < nstratum; k++) {
    double up, down;
    changes(&m[k], &up, &down);
    const double n = (double)m[k].count + 2, a = (up + 1) / n, b = (down + 1) / n;
    centre += (a - b) / nstratum;
    variance += (a + b - (a - b) * (a - b)) / n / ((double)nstratum * nstratum);
  }
  const double half = dpi_norm_quantile(0.5 + t->confidence / 2) * sqrt(variance);
  s->low = 100 * fmax(centre - half, -1);
  s->high = 100 * fmin(centre + half, 1);
  *z_of = centre / sqrt(variance);
}

static void compare_changes(const dp_trial *t, const dpi_moments *m, int nstratum, dp_trial_difference *out) {
  double z, up[2] = {0}, down[2] = {0};
  changes_interval(t, m, nstratum, &out->estimate, &z);
  out->estimate.method = nstratum > 1 ? "Bonett-Price in sequences" : "Bonett-Price";
  for (int k = 0; k < nstratum && nstratum <= 2; k++) changes(&m[k], &up[k], &down[k]);
  if (nstratum > 2) {
    out->test = "z";
    out->p = fmin(2 * dpi_norm_cdf(-fabs(z)), 1);
  } else if (nstratum == 2) {
    out->test = "Mainland-Gart exact";
    out->p = dpi_trial_fisher(up[0], down[0], down[1], up[1]); /* better in one period or the other, by sequence */
  } else {
    out->test = "McNemar exact";
    out->p = p_of_tosses(up[0], down[0]);
  }
}

/* ---- the same people ---- */

/* All strata as one, for those who can't be told apart. */
static dpi_moments together(const dpi_moments *m, int n) {
  dpi_moments all = {0};
  for (int k = 0; k < n; k++)
    if (m[k].count) dpi_moments_add(&all, &m[k]);
  return all;
}

static dp_status bootstrap_same(const dpi_trial_tally *w, int k, const dp_trial_difference *d, int nstratum, double *x,
                                dp_trial_estimate *s) {
  dpi_trial_pool pool[DPI_TRIAL_STRATA];
  for (int i = 0; i < nstratum; i++) {
    const int n = dpi_trial_kept(w, d->arm, d->against, d->endpoint, nstratum > 1 ? i : -1, false, x);
    pool[i] = (dpi_trial_pool){x, n, 1.0 / nstratum};
    x += n;
  }
  s->method = nstratum > 1 ? "cross-over bootstrap" : "paired bootstrap";
  return dpi_trial_bootstrap(w->t, pool, nstratum, dpi_hash64("pair") + (uint64_t)(k * w->nend + d->endpoint), &s->low,
                             &s->high);
}

/* Pair k of arms. */
static dp_status compare_same(const dpi_trial_tally *w, int k, double *x, dp_trial_difference *out) {
  const dp_trial *t = w->t;
  const dpi_moments *m = &w->two[(k * w->nend + out->endpoint) * w->nstratum];
  const bool share = t->endpoint[out->endpoint].relation != 0;
  const dpi_moments all = together(m, w->nstratum);
  dp_trial_estimate *s = &out->estimate;
  dpi_trial_mean mean;
  const int nstratum = w->nstratum;
  s->n = (int)all.count;
  if (!dpi_trial_strata_mean(m, nstratum, &mean)) { /* nobody in a sequence: periods and arms can't be told apart */
    if (nstratum > 1 && all.count > 0) s->method = out->test = "none: nobody in a sequence";
    return DP_OK;
  }
  s->value = mean.value * (share ? 100 : 1);
  s->sd = mean.sd * (share ? 100 : 1);
  if (!(mean.dof >= 1)) return DP_OK;
  if (share) return compare_changes(t, m, nstratum, out), DP_OK;
  s->method = out->test = nstratum > 1 ? "cross-over t" : "paired t";
  dpi_trial_t_interval(mean.value, mean.se, mean.dof, t->confidence, s);
  out->p = p_of_t(&mean);
  return t->bootstrap && w->nperson <= DPI_TRIAL_KEPT ? bootstrap_same(w, k, out, nstratum, x, s) : DP_OK;
}

/* What the second period of two adds, by the same moments: half of what sequences differ by. */
void dpi_trial_tell_period(const dpi_trial_tally *w, dp_trial_result *out) {
  const dp_trial *t = w->t;
  dp_trial_credibility *c = &out->credibility;
  dpi_trial_mean mean;
  dp_trial_estimate s;
  if (w->nstratum != 2 || c->nevidence == DPI_TRIAL_EVIDENCE || !dpi_trial_strata_mean(w->two, 2, &mean) ||
      !(mean.dof >= 1))
    return;
  const double scale = t->endpoint[0].relation ? 100 : 1, value = (w->two[0].mean - w->two[1].mean) / 2;
  dpi_trial_t_interval(value, mean.se, mean.dof, t->confidence, &s);
  dp_trial_evidence *e = &c->evidence[c->nevidence++];
  *e = (dp_trial_evidence){.state = DP_EVIDENCE_STATED, .value = scale * value, .limit = NAN};
  snprintf(e->factor, sizeof e->factor, "design: periods");
  snprintf(e->what, sizeof e->what,
           "'%.40s' in the second period is higher by %.4g [%.4g, %.4g]; differences of arms are free of that, but not "
           "of what one arm leaves behind for the next",
           t->endpoint[0].pub.id, scale * value, scale * s.low, scale * s.high);
}

/* ---- parallel arms ---- */

double dpi_trial_welch(double v1, double n1, double v2, double n2, double *dof) {
  const double a = v1 / n1, b = v2 / n2;
  *dof = a + b > 0 ? (a + b) * (a + b) / (a * a / (n1 - 1) + b * b / (n2 - 1)) : n1 + n2 - 2;
  return sqrt(a + b);
}

static void compare_shares(const dp_trial *t, const dpi_moments *p, const dpi_moments *q, dp_trial_difference *out) {
  const double z = dpi_norm_quantile(0.5 + t->confidence / 2), n = (double)p->count, m = (double)q->count;
  const double k = floor(p->mean * n + 0.5), l = floor(q->mean * m + 0.5), d = k / n - l / m;
  double l1, u1, l2, u2;
  dpi_trial_wilson(k, n, z, &l1, &u1);
  dpi_trial_wilson(l, m, z, &l2, &u2);
  dp_trial_estimate *s = &out->estimate;
  s->low = 100 * (d - sqrt((k / n - l1) * (k / n - l1) + (u2 - l / m) * (u2 - l / m)));
  s->high = 100 * (d + sqrt((u1 - k / n) * (u1 - k / n) + (l / m - l2) * (l / m - l2)));
  s->method = "Newcombe";
  const double all = (k + l) / (n + m), least = fmin(all, 1 - all) * fmin(n, m);
  out->test = least < 5 ? "Fisher exact" : "chi-squared";
  out->p = least < 5 ? dpi_trial_fisher(k, n - k, l, m - l)
                     : 2 * dpi_norm_cdf(-fabs(d) / sqrt(all * (1 - all) * (1 / n + 1 / m)));
}

static dp_status bootstrap_apart(const dpi_trial_tally *w, const dp_trial_difference *d, double *x,
                                 dp_trial_estimate *s) {
  const int n = dpi_trial_kept(w, d->arm, -1, d->endpoint, -1, false, x);
  const int m = dpi_trial_kept(w, d->against, -1, d->endpoint, -1, false, x + n);
  const dpi_trial_pool pool[] = {{x, n, 1}, {x + n, m, -1}};
  s->method = "bootstrap";
  return dpi_trial_bootstrap(w->t, pool, 2,
                             dpi_hash64("two") + (uint64_t)((d->arm * w->narm + d->against) * w->nend + d->endpoint),
                             &s->low, &s->high);
}

static dp_status compare_apart(const dpi_trial_tally *w, double *x, dp_trial_difference *out) {
  const dp_trial *t = w->t;
  const dpi_moments *p = &w->one[out->arm * w->nend + out->endpoint],
                    *q = &w->one[out->against * w->nend + out->endpoint];
  const bool share = t->endpoint[out->endpoint].relation != 0;
  dp_trial_estimate *s = &out->estimate;
  s->n = (int)(p->count + q->count);
  if (p->count < 2 || q->count < 2) return DP_OK;
  const double v1 = p->square / (double)(p->count - 1), v2 = q->square / (double)(q->count - 1);
  dpi_trial_mean d = {.value = p->mean - q->mean};
  d.se = dpi_trial_welch(v1, (double)p->count, v2, (double)q->count, &d.dof);
  s->value = share ? 100 * d.value : d.value;
  s->sd = sqrt((v1 + v2) / 2) * (share ? 100 : 1);
  if (share) return compare_shares(t, p, q, out), DP_OK;
  s->method = out->test = "Welch t";
  dpi_trial_t_interval(d.value, d.se, d.dof, t->confidence, s);
  out->p = p_of_t(&d);
  return t->bootstrap && w->nperson <= DPI_TRIAL_KEPT ? bootstrap_apart(w, out, x, s) : DP_OK;
}

/* ---- power ---- */

/* n people drawn, of whom those count who have a number. */
static dpi_moments sample(dpi_rng *rng, const dpi_trial_pool *from, int draws) {
  dpi_moments m = {0};
  for (int i = 0; i < draws; i++) {
    const double v = from->x[dpi_trial_draw(rng, from->n)], d = v - m.mean;
    if (isnan(v)) continue;
    m.count++;
    m.mean += d / (double)m.count;
    m.square += d * (v - m.mean);
  }
  return m;
}

static bool finds(const dp_trial *t, const dpi_trial_pool *pool, int npool, uint64_t trial, uint64_t what) {
  dpi_rng rng = dpi_rng_make(t->desc.seed ^ what, trial, DPI_TRIAL_POWER);
  const bool apart = !dpi_trial_same_people(t);
  dpi_moments m[DPI_TRIAL_STRATA];
  dpi_trial_mean d = {0};
  for (int i = 0; i < npool; i++) {
    const int extra = !apart && i < t->power_n % npool; /* people of a cross-over are shared out to its sequences */
    m[i] = sample(&rng, &pool[i], apart ? t->power_n : t->power_n / npool + extra);
  }
  if (!apart && !(dpi_trial_strata_mean(m, npool, &d) && d.dof >= 1)) return false;
  if (apart) {
    if (m[0].count < 2 || m[1].count < 2) return false;
    const double n1 = (double)m[0].count, n2 = (double)m[1].count;
    d.value = m[0].mean - m[1].mean;
    d.se = dpi_trial_welch(m[0].square / (n1 - 1), n1, m[1].square / (n2 - 1), n2, &d.dof);
  }
  return p_of_t(&d) < 1 - t->confidence;
}

/* Does the pool have two people with a number? */
static bool is_drawn_from(const dpi_trial_pool *p) {
  int n = 0;
  for (int i = 0; i < p->n; i++) n += !isnan(p->x[i]);
  return n >= 2;
}

static void find_power(const dpi_trial_tally *w, double *x, dp_trial_difference *out) {
  const dp_trial *t = w->t;
  const bool apart = !dpi_trial_same_people(t);
  const int npool = apart ? 2 : w->nstratum;
  dpi_trial_pool pool[DPI_TRIAL_STRATA];
  if (!t->power_n) return;
  for (int i = 0; i < npool; i++) {
    const int a = apart && i ? out->against : out->arm, b = apart ? -1 : out->against;
    const int n = dpi_trial_kept(w, a, b, out->endpoint, npool > 1 && !apart ? i : -1, true, x);
    pool[i] = (dpi_trial_pool){x, n, 1};
    if (!is_drawn_from(&pool[i])) return;
    x += n;
  }
  int found = 0;
  const uint64_t what = dpi_hash64("power") + (uint64_t)((out->arm * w->narm + out->against) * w->nend + out->endpoint);
  for (int k = 0; k < t->power_trials; k++) found += finds(t, pool, npool, (uint64_t)k, what);
  out->power_n = t->power_n;
  out->power_trials = t->power_trials;
  out->power = (double)found / t->power_trials;
  dpi_binomial_bounds(found, t->power_trials, 0.95, &out->power_low, &out->power_high);
}

/* ---- all of them ---- */

/* Holm (1979): the k-th smallest of m times m - k + 1, never less than one before it. */
dp_status dpi_trial_holm(const dp_trial *t, dp_trial_result *out) {
  double *p = DPI_NEW_ARRAY(t->ctx, double, out->ndifference + 1);
  int *who = DPI_NEW_ARRAY(t->ctx, int, out->ndifference + 1),
      *order = DPI_NEW_ARRAY(t->ctx, int, out->ndifference + 1);
  const bool good = p && who && order;
  int n = 0;
  for (int k = 0; k < out->ndifference && good; k++) {
    if (isnan(out->difference[k].p)) continue;
    p[n] = out->difference[k].p;
    who[n++] = k;
  }
  if (good) dpi_argsort(p, n, order);
  double least = 0;
  for (int k = 0; k < n && good; k++) {
    least = fmax(least, fmin(p[order[k]] * (n - k), 1));
    out->difference[who[order[k]]].p_holm = least;
  }
  dpi_free(t->ctx, p);
  dpi_free(t->ctx, who);
  dpi_free(t->ctx, order);
  return good ? DP_OK : DP_ERR_MEMORY;
}

dp_status dpi_trial_compare(dpi_trial_tally *w, dp_trial_result *out) {
  const dp_trial *t = w->t;
  double *x = DPI_NEW_ARRAY(t->ctx, double, 2 * (size_t)w->nkept + 2);
  dp_status status = x ? DP_OK : DP_ERR_MEMORY;
  int n = 0;
  for (int b = 0, k = 0; b < w->narm; b++)
    for (int a = b + 1; a < w->narm; a++, k++)
      for (int e = 0; e < w->nend && status == DP_OK; e++) {
        dp_trial_difference *d = &out->difference[n++];
        *d = (dp_trial_difference){.arm = a,
                                   .against = b,
                                   .endpoint = e,
                                   .p = NAN,
                                   .p_holm = NAN,
                                   .test = "none",
                                   .power = NAN,
                                   .power_low = NAN,
                                   .power_high = NAN,
                                   .estimate = {.value = NAN, .low = NAN, .high = NAN, .sd = NAN, .method = "none"}};
        status = dpi_trial_same_people(t) ? compare_same(w, k, x, d) : compare_apart(w, x, d);
        if (status == DP_OK) find_power(w, x, d);
      }
  out->ndifference = n;
  dpi_free(t->ctx, x);
  return status == DP_OK && t->holm ? dpi_trial_holm(t, out) : status;
}
