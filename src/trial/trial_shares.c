/* trial_shares.c - floor 8: shares compared: tests and intervals by counts.
 *
 *     parallel arms            Newcombe's hybrid score interval (1998, method 10); chi-squared, or Fisher's exact test
 *                              where fewer than five people are expected in a cell (Cochran 1954)
 *     parallel arms, strata    the difference with Mantel and Haenszel's weights and Miettinen and Nurminen's score
 *                              interval (1985) of it; Cochran, Mantel and Haenszel's test, which is that score at no
 *                              difference, or, where the count of yes could not be 5 higher or lower than expected
 *                              (Mantel & Fleiss 1980), the exact one on all tables with the same margins
 *     the same people          Bonett & Price (2012); McNemar's exact test
 *     cross-over               Bonett & Price within sequences; Mainland & Gart's exact test (1969), with more than two
 *                              arms the interval's z
 */
#include <math.h>

#include "trial/trial_stats.h"

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

/* ---- the same people ---- */

/* How many changed to yes and to no, from the moments of -1, 0, 1. */
static void changes(const dpi_moments *m, double *up, double *down) {
  const double n = (double)m->count, all = m->square + n * m->mean * m->mean;
  *up = floor((all + n * m->mean) / 2 + 0.5);
  *down = floor((all - n * m->mean) / 2 + 0.5);
}

/* Two more people in each stratum, one who changed to yes and one to no; the strata count alike. */
static void changed(const dpi_moments *m, int nstratum, double *centre, double *variance) {
  *centre = *variance = 0;
  for (int k = 0; k < nstratum; k++) {
    double up, down;
    changes(&m[k], &up, &down);
    const double n = (double)m[k].count + 2, a = (up + 1) / n, b = (down + 1) / n;
    *centre += (a - b) / nstratum;
    *variance += (a + b - (a - b) * (a - b)) / n / ((double)nstratum * nstratum);
  }
}

void dpi_trial_changes_interval(const dp_trial *t, const dpi_moments *m, int nstratum, dp_trial_estimate *s) {
  double centre, variance;
  changed(m, nstratum, &centre, &variance);
  const double half = dpi_norm_quantile(0.5 + t->confidence / 2) * sqrt(variance);
  s->low = 100 * fmax(centre - half, -1);
  s->high = 100 * fmin(centre + half, 1);
  s->method = nstratum > 1 ? "Bonett-Price in sequences" : "Bonett-Price";
}

double dpi_trial_changes_p(const dpi_moments *m, int nstratum, const char **test) {
  double up[2] = {0}, down[2] = {0}, centre, variance;
  for (int k = 0; k < nstratum && nstratum <= 2; k++) changes(&m[k], &up[k], &down[k]);
  if (nstratum == 1) return *test = "McNemar exact", p_of_tosses(up[0], down[0]);
  if (nstratum == 2) /* better in one period or the other, by sequence */
    return *test = "Mainland-Gart exact", dpi_trial_fisher(up[0], down[0], down[1], up[1]);
  changed(m, nstratum, &centre, &variance);
  return *test = "z", fmin(2 * dpi_norm_cdf(-fabs(centre / sqrt(variance))), 1);
}

/* ---- parallel arms ---- */

typedef struct counts { /* yes of all, in either arm */
  double k, n, l, m;
} counts;

static counts counts_of(const dpi_moments *p, const dpi_moments *q) {
  const double n = (double)p->count, m = (double)q->count;
  return (counts){n > 0 ? floor(p->mean * n + 0.5) : 0, n, m > 0 ? floor(q->mean * m + 0.5) : 0, m};
}

static void newcombe(counts c, double z, dp_trial_estimate *s) {
  const double p = c.k / c.n, q = c.l / c.m, d = p - q;
  double l1, u1, l2, u2;
  dpi_trial_wilson(c.k, c.n, z, &l1, &u1);
  dpi_trial_wilson(c.l, c.m, z, &l2, &u2);
  s->low = 100 * (d - sqrt((p - l1) * (p - l1) + (u2 - q) * (u2 - q)));
  s->high = 100 * (d + sqrt((u1 - p) * (u1 - p) + (q - l2) * (q - l2)));
  s->method = "Newcombe";
}

static double one_table(counts c, const char **test) {
  const double d = c.k / c.n - c.l / c.m, all = (c.k + c.l) / (c.n + c.m), least = fmin(all, 1 - all) * fmin(c.n, c.m);
  if (least < 5) return *test = "Fisher exact", dpi_trial_fisher(c.k, c.n - c.k, c.l, c.m - c.l);
  return *test = "chi-squared", 2 * dpi_norm_cdf(-fabs(d) / sqrt(all * (1 - all) * (1 / c.n + 1 / c.m)));
}

/* ---- strata ---- */

static double weight_of(counts c) { return c.n + c.m > 0 ? c.n * c.m / (c.n + c.m) : 0; }

bool dpi_trial_shares_mean(const dpi_moments *p, const dpi_moments *q, int n, double *value) {
  double sum = 0, all = 0;
  for (int s = 0; s < n; s++) {
    const counts c = counts_of(&p[s], &q[s]);
    const double w = weight_of(c);
    if (!(w > 0)) continue;
    sum += w * (c.k / c.n - c.l / c.m);
    all += w;
  }
  *value = sum / all;
  return all > 0;
}

/* The second arm's share that is likeliest where the first one's is higher by d: the score falls with it. */
static double likeliest(counts c, double d) {
  double low = fmax(0, -d), high = fmin(1, 1 - d);
  for (int i = 0; i < 60 && low < high; i++) {
    const double q = (low + high) / 2, p = q + d;
    double score = 0;
    if (c.k > 0) score += c.k / p;
    if (c.n > c.k) score -= (c.n - c.k) / (1 - p);
    if (c.l > 0) score += c.l / q;
    if (c.m > c.l) score -= (c.m - c.l) / (1 - q);
    *(score > 0 ? &low : &high) = q;
  }
  return (low + high) / 2;
}

/* Miettinen and Nurminen's z of a difference d in all strata. */
static double score_of(const dpi_moments *p, const dpi_moments *q, int n, double d) {
  double sum = 0, variance = 0;
  for (int s = 0; s < n; s++) {
    const counts c = counts_of(&p[s], &q[s]);
    const double w = weight_of(c);
    if (!(w > 0)) continue;
    const double b = likeliest(c, d), a = fmin(fmax(b + d, 0), 1), all = c.n + c.m;
    sum += w * (c.k / c.n - c.l / c.m - d);
    variance += w * w * (a * (1 - a) / c.n + b * (1 - b) / c.m) * all / (all - 1);
  }
  return variance > 0 ? sum / sqrt(variance) : sum > 0 ? INFINITY : sum < 0 ? -INFINITY : 0;
}

/* Where the score is z: between d, where it is 0, and end. */
static double limit(const dpi_moments *p, const dpi_moments *q, int n, double d, double end, double z) {
  double in = d, out = end;
  for (int i = 0; i < 60; i++) {
    const double x = (in + out) / 2;
    *(fabs(score_of(p, q, n, x)) < z ? &in : &out) = x;
  }
  return (in + out) / 2;
}

enum { most_table = 4096 };

/* P of the number of yes in the first arm, over all tables of a stratum, folded with those of strata before it. */
static void fold(double *chance, int *have, double n, double m, double yes) {
  const double low = fmax(0, yes - m), high = fmin(n, yes),
               mode = fmin(fmax(floor((yes + 1) * (n + 1) / (n + m + 2)), low), high);
  const int width = (int)(high - low), at = (int)(mode - low);
  double own[most_table + 1], sum = 0, folded[most_table + 1] = {0};
  own[at] = 1;
  for (int i = at; i < width; i++) {
    const double x = low + i;
    own[i + 1] = own[i] * (n - x) / (x + 1) * (yes - x) / (m - yes + x + 1);
  }
  for (int i = at; i > 0; i--) {
    const double x = low + i;
    own[i - 1] = own[i] * x / (n - x + 1) * (m - yes + x) / (yes - x + 1);
  }
  for (int i = 0; i <= width; i++) sum += own[i];
  for (int i = 0; i <= *have; i++)
    for (int k = 0; k <= width; k++) folded[i + k] += chance[i] * own[k] / sum;
  *have += width;
  for (int i = 0; i <= *have; i++) chance[i] = folded[i];
}

/* All tables with the same margins in every stratum whose total is as likely as the one seen, or less. */
static double exact_strata(const dpi_moments *p, const dpi_moments *q, int n) {
  double chance[most_table + 1] = {1}, seen = 0, sum = 0;
  int have = 0;
  for (int s = 0; s < n; s++) {
    const counts c = counts_of(&p[s], &q[s]);
    if (!(weight_of(c) > 0)) continue;
    seen += c.k - fmax(0, c.k + c.l - c.m);
    fold(chance, &have, c.n, c.m, c.k + c.l);
  }
  for (int i = 0; i <= have; i++)
    if (chance[i] <= chance[(int)seen] * (1 + 1e-7)) sum += chance[i];
  return fmin(sum, 1);
}

static double strata_p(const dpi_moments *p, const dpi_moments *q, int n, const char **test) {
  double sum = 0, variance = 0, below = 0, above = 0;
  for (int s = 0; s < n; s++) {
    const counts c = counts_of(&p[s], &q[s]);
    if (!(weight_of(c) > 0)) continue;
    const double all = c.n + c.m, yes = c.k + c.l, expected = c.n * yes / all;
    sum += c.k - expected;
    variance += all > 1 ? c.n * c.m * yes * (all - yes) / (all * all * (all - 1)) : 0;
    below += expected - fmax(0, yes - c.m);
    above += fmin(c.n, yes) - expected;
  }
  if (fmin(below, above) < 5 && below + above <= most_table)
    return *test = "exact Cochran-Mantel-Haenszel", exact_strata(p, q, n);
  return *test = "Cochran-Mantel-Haenszel", 2 * dpi_norm_cdf(-fabs(sum) / sqrt(variance));
}

/* ---- either ---- */

void dpi_trial_shares_interval(const dp_trial *t, const dpi_moments *p, const dpi_moments *q, int n,
                               dp_trial_estimate *s) {
  const double z = dpi_norm_quantile(0.5 + t->confidence / 2);
  double d;
  if (n == 1) {
    newcombe(counts_of(p, q), z, s);
    return;
  }
  dpi_trial_shares_mean(p, q, n, &d);
  s->low = 100 * limit(p, q, n, d, -1, z);
  s->high = 100 * limit(p, q, n, d, 1, z);
  s->method = "Miettinen-Nurminen in strata";
}

double dpi_trial_shares_p(const dpi_moments *p, const dpi_moments *q, int n, const char **test) {
  return n == 1 ? one_table(counts_of(p, q), test) : strata_p(p, q, n, test);
}
