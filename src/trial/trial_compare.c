/* trial_compare.c - floor 8: differences between arms: intervals, tests, looks at the data, Holm's correction.
 *
 *     means, parallel arms     Welch's t; with strata least squares with terms for arm and stratum: differences within
 *                              strata weighted by n m/(n + m), one variance for all
 *     means, same people       paired t; in a cross-over within sequences of arms, which takes out what periods do
 *                              (two arms: Hills & Armitage 1979)
 *     either                   or percentile bootstrap over people (within strata)
 *     shares                   trial_shares.c
 *     looks                    the same test on those who came first, its p against the nominal one of the boundary
 *                              (trial_looks.c): the significance level approach, Jennison & Turnbull 2000, section 3.3
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

double dpi_trial_welch(double v1, double n1, double v2, double n2, double *dof) {
  const double a = v1 / n1, b = v2 / n2;
  *dof = a + b > 0 ? (a + b) * (a + b) / (a * a / (n1 - 1) + b * b / (n2 - 1)) : n1 + n2 - 2;
  return sqrt(a + b);
}

/* Least squares with a term for every stratum and one for the arm. false: no stratum has both arms. */
static bool within_strata(const dpi_moments *p, const dpi_moments *q, int n, dpi_trial_mean *out) {
  double weight = 0, sum = 0, square = 0, count = 0;
  int nterm = 1;
  for (int s = 0; s < n; s++) {
    const double a = (double)p[s].count, b = (double)q[s].count, w = a + b > 0 ? a * b / (a + b) : 0;
    nterm += a + b > 0;
    count += a + b;
    square += (a > 0 ? p[s].square : 0) + (b > 0 ? q[s].square : 0);
    if (!(w > 0)) continue;
    weight += w;
    sum += w * (p[s].mean - q[s].mean);
  }
  if (!(weight > 0)) return false;
  out->value = sum / weight;
  for (int s = 0; s < n; s++) {
    const double a = (double)p[s].count, b = (double)q[s].count,
                 d = a > 0 && b > 0 ? p[s].mean - q[s].mean - out->value : 0;
    if (d != 0) square += a * b / (a + b) * d * d;
  }
  out->dof = count - nterm;
  out->sd = out->dof >= 1 ? sqrt(square / out->dof) : NAN;
  out->se = out->sd / sqrt(weight);
  return true;
}

static double weight_of(const dpi_moments *p, const dpi_moments *q) {
  const double a = (double)p->count, b = (double)q->count;
  return a + b > 0 ? a * b / (a + b) : 0;
}

/* All strata as one, for those who can't be told apart. */
static dpi_moments together(const dpi_moments *m, int n) {
  dpi_moments all = {0};
  for (int k = 0; k < n; k++)
    if (m[k].count) dpi_moments_add(&all, &m[k]);
  return all;
}

/* ---- a test ---- */

static void test_same(const dpi_moments *m, int nstratum, bool share, dpi_trial_verdict *v) {
  if (!dpi_trial_strata_mean(m, nstratum, &v->mean)) { /* periods and arms can't be told apart */
    if (nstratum > 1 && together(m, nstratum).count > 0) v->test = "none: nobody in a sequence";
    return;
  }
  v->found = true;
  if (!(v->mean.dof >= 1)) return;
  v->test = nstratum > 1 ? "cross-over t" : "paired t";
  v->p = share ? dpi_trial_changes_p(m, nstratum, &v->test) : p_of_t(&v->mean);
}

static void test_apart(const dpi_moments *p, const dpi_moments *q, int nstratum, bool share, dpi_trial_verdict *v) {
  const dpi_moments a = together(p, nstratum), b = together(q, nstratum);
  if (a.count < 2 || b.count < 2) return;
  if (nstratum == 1) {
    const double n = (double)p->count, m = (double)q->count, v1 = p->square / (n - 1), v2 = q->square / (m - 1);
    v->mean = (dpi_trial_mean){.value = p->mean - q->mean, .sd = sqrt((v1 + v2) / 2)};
    v->mean.se = dpi_trial_welch(v1, n, v2, m, &v->mean.dof);
    v->test = "Welch t";
  } else if (!within_strata(p, q, nstratum, &v->mean)) {
    v->test = "none: no stratum has both arms";
    return;
  } else {
    v->test = "stratified t";
  }
  v->found = true;
  if (share && nstratum > 1) dpi_trial_shares_mean(p, q, nstratum, &v->mean.value);
  if (share)
    v->p = dpi_trial_shares_p(p, q, nstratum, &v->test);
  else if (v->mean.dof > 0 && isfinite(v->mean.se))
    v->p = p_of_t(&v->mean);
  else
    v->test = "none";
}

void dpi_trial_test(const dpi_moments *m, const dpi_moments *q, int nstratum, bool share, dpi_trial_verdict *v) {
  *v = (dpi_trial_verdict){.mean = {.value = NAN, .se = NAN, .dof = NAN, .sd = NAN}, .p = NAN, .test = "none"};
  if (q)
    test_apart(m, q, nstratum, share, v);
  else
    test_same(m, nstratum, share, v);
}

/* ---- the same people ---- */

static dp_status bootstrap_same(const dpi_trial_tally *w, int k, const dp_trial_difference *d, int nstratum, double *x,
                                dp_trial_estimate *s) {
  dpi_trial_pool pool[DPI_TRIAL_STRATA];
  for (int i = 0; i < nstratum; i++) {
    const int n = dpi_trial_kept(w, d->arm, d->against, d->endpoint, nstratum > 1 ? i : -1, x);
    pool[i] = (dpi_trial_pool){x, n, 1.0 / nstratum, 0};
    x += n;
  }
  s->method = nstratum > 1 ? "cross-over bootstrap" : "paired bootstrap";
  return dpi_trial_bootstrap(w->t, pool, nstratum, dpi_hash64("pair") + (uint64_t)(k * w->nend + d->endpoint), &s->low,
                             &s->high);
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
           "'%.40s' in the second period less that in the first: %.4g [%.4g, %.4g]; differences of arms are free of "
           "that, but not of what one arm leaves behind for the next",
           t->endpoint[0].pub.id, scale * value, scale * s.low, scale * s.high);
}

/* ---- parallel arms ---- */

/* Within strata too: each counts as it does in the estimate. Where an arm has one person of a stratum nothing says how
 * much they vary: the interval stays that of t. */
static dp_status bootstrap_apart(const dpi_trial_tally *w, const dpi_moments *p, const dpi_moments *q,
                                 const dp_trial_difference *d, double *x, dp_trial_estimate *s) {
  dpi_trial_pool pool[2 * DPI_TRIAL_STRATA];
  double all = 0;
  int n = 0;
  for (int i = 0; i < w->nstratum; i++) all += weight_of(&p[i], &q[i]);
  for (int i = 0; i < w->nstratum; i++) {
    const double weight = w->nstratum > 1 ? weight_of(&p[i], &q[i]) / all : 1;
    if (!(weight > 0)) continue;
    for (int second = 0; second < 2; second++) {
      const int m = dpi_trial_kept(w, second ? d->against : d->arm, -1, d->endpoint, w->nstratum > 1 ? i : -1, x);
      if (w->nstratum > 1 && m < 2) return DP_OK;
      pool[n++] = (dpi_trial_pool){x, m, second ? -weight : weight, w->nstratum > 1};
      x += m;
    }
  }
  s->method = w->nstratum > 1 ? "stratified bootstrap" : "bootstrap";
  return dpi_trial_bootstrap(w->t, pool, n,
                             dpi_hash64("two") + (uint64_t)((d->arm * w->narm + d->against) * w->nend + d->endpoint),
                             &s->low, &s->high);
}

/* ---- a comparison ---- */

/* Moments of a pair's differences (q NULL), or of either arm. */
static const dpi_moments *sums_of(const dpi_trial_tally *w, int k, const dp_trial_difference *d,
                                  const dpi_moments **q) {
  const bool same = dpi_trial_same_people(w->t);
  *q = same ? NULL : dpi_trial_in_arm(w, d->against, d->endpoint);
  return same ? &w->two[(k * w->nend + d->endpoint) * w->nstratum] : dpi_trial_in_arm(w, d->arm, d->endpoint);
}

/* Pair k of arms. */
static dp_status compare(const dpi_trial_tally *w, int k, double *x, dp_trial_difference *out) {
  const dp_trial *t = w->t;
  const bool share = t->endpoint[out->endpoint].relation != 0;
  const double scale = share ? 100 : 1;
  const dpi_moments *q, *m = sums_of(w, k, out, &q);
  dp_trial_estimate *s = &out->estimate;
  dpi_trial_verdict v;
  dpi_trial_test(m, q, w->nstratum, share, &v);
  s->n = (int)together(m, w->nstratum).count + (q ? (int)together(q, w->nstratum).count : 0);
  out->test = v.test;
  if (!v.found) {
    s->method = v.test; /* "none", or why */
    return DP_OK;
  }
  s->value = scale * v.mean.value;
  s->sd = scale * v.mean.sd;
  if (isnan(v.p)) return DP_OK;
  out->p = v.p;
  if (share && q) return dpi_trial_shares_interval(t, m, q, w->nstratum, s), DP_OK;
  if (share) return dpi_trial_changes_interval(t, m, w->nstratum, s), DP_OK;
  s->method = v.test;
  dpi_trial_t_interval(v.mean.value, v.mean.se, v.mean.dof, t->confidence, s);
  if (!t->bootstrap || w->nperson > DPI_TRIAL_KEPT) return DP_OK;
  return q ? bootstrap_apart(w, m, q, out, x, s) : bootstrap_same(w, k, out, w->nstratum, x, s);
}

/* ---- looks at the data ---- */

double dpi_trial_nominal(const dp_trial *t, int k) { return 2 * dpi_norm_cdf(-t->critical[k]); }

void dpi_trial_look(dpi_trial_tally *w, int k) {
  const dp_trial *t = w->t;
  int n = 0;
  for (int b = 0, pair = 0; b < w->narm; b++)
    for (int a = b + 1; a < w->narm; a++, pair++)
      for (int e = 0; e < w->nend; e++, n++) {
        const dp_trial_difference d = {.arm = a, .against = b, .endpoint = e};
        const dpi_moments *q, *m = sums_of(w, pair, &d, &q);
        const bool share = t->endpoint[e].relation != 0;
        dpi_trial_verdict v;
        dpi_trial_test(m, q, w->nstratum, share, &v);
        w->look[n * t->nlook + k] = (dp_trial_seen){.value = (share ? 100 : 1) * v.mean.value, .p = v.p};
      }
}

/* The first look at which the difference was beyond its boundary. */
static void cross(const dpi_trial_tally *w, int n, dp_trial_difference *d) {
  const dp_trial *t = w->t;
  for (int k = 0; k < t->nlook; k++) {
    d->seen[k] = w->look[n * t->nlook + k];
    if (!d->crossed && d->seen[k].p <= dpi_trial_nominal(t, k)) d->crossed = k + 1;
  }
}

/* ---- all of them ---- */

/* Holm (1979): the k-th smallest of m times m - k + 1, never less than one before it. */
void dpi_trial_holm_of(const double *p, int n, int *order, double *holm) {
  double least = 0;
  dpi_argsort(p, n, order);
  for (int k = 0; k < n; k++) {
    least = fmax(least, fmin(p[order[k]] * (n - k), 1));
    holm[order[k]] = least;
  }
}

dp_status dpi_trial_holm(const dp_trial *t, dp_trial_result *out) {
  double *p = DPI_NEW_ARRAY(t->ctx, double, 2 * out->ndifference + 1);
  int *who = DPI_NEW_ARRAY(t->ctx, int, 2 * out->ndifference + 1), n = 0;
  const bool good = p && who;
  for (int k = 0; k < out->ndifference && good; k++) {
    if (isnan(out->difference[k].p)) continue;
    p[n] = out->difference[k].p;
    who[n++] = k;
  }
  if (good) dpi_trial_holm_of(p, n, who + out->ndifference, p + out->ndifference);
  for (int k = 0; k < n && good; k++) out->difference[who[k]].p_holm = p[out->ndifference + k];
  dpi_free(t->ctx, p);
  dpi_free(t->ctx, who);
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
                                   .power_people = NAN,
                                   .power_method = "",
                                   .estimate = {.value = NAN, .low = NAN, .high = NAN, .sd = NAN, .method = "none"}};
        d->seen = t->nlook ? out->seen + (size_t)(n - 1) * (size_t)t->nlook : NULL;
        status = compare(w, k, x, d);
        if (status == DP_OK) cross(w, n - 1, d);
      }
  out->ndifference = n;
  dpi_free(t->ctx, x);
  if (status == DP_OK && t->holm) status = dpi_trial_holm(t, out);
  return status == DP_OK && t->power_n ? dpi_trial_power(w, out) : status;
}
