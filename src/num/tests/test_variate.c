/* Draws against exact distribution functions (Kolmogorov-Smirnov) and probabilities (chi-square), fixed seeds: whole
 * distributions, distributions within bounds, far tails; domains; a stream gives the same numbers again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "num/num.h"

#define N 20000
#define PI 3.14159265358979323846

typedef struct law {
  dpi_variate v;
  double arg[4];
  int narg;
} law;

/* exact distribution function without bounds, lower (upper false) or upper tail */
static double tail(const law *w, double x, bool upper) {
  const double a = w->arg[0], b = w->arg[1];
  double p = NAN, z = (x - a) / b;
  switch (w->v) {
    case DPI_VARIATE_NORMAL: return dpi_norm_cdf(upper ? -z : z);
    case DPI_VARIATE_LOGNORMAL: z = ((x > 0 ? log(x) : -INFINITY) - a) / b; return dpi_norm_cdf(upper ? -z : z);
    case DPI_VARIATE_UNIFORM: p = x < a ? 0 : (x > b ? 1 : (x - a) / (b - a)); break;
    case DPI_VARIATE_EXPONENTIAL: return upper ? (x < 0 ? 1 : exp(-a * x)) : (x < 0 ? 0 : -expm1(-a * x));
    case DPI_VARIATE_GAMMA: p = x <= 0 ? 0 : (isinf(x) ? 1 : dpi_gamma_p(a, x / b)); break;
    case DPI_VARIATE_CHISQUARE: p = x <= 0 ? 0 : (isinf(x) ? 1 : dpi_gamma_p(a / 2, x / 2)); break;
    case DPI_VARIATE_LAPLACE:
      if (upper) z = -z;
      return z < 0 ? 0.5 * exp(z) : 1 - 0.5 * exp(-z);
    case DPI_VARIATE_CAUCHY:
      if (upper) z = -z;
      return z < -1 ? atan(-1 / z) / PI : 0.5 + atan(z) / PI;
    case DPI_VARIATE_RAYLEIGH: return upper ? exp(-0.5 * x * x / (a * a)) : -expm1(-0.5 * x * x / (a * a));
    default: fail();
  }
  return upper ? 1 - p : p;
}

/* the same within the bounds; differences are taken in the tail that is small */
static double cdf(const law *w, double x) {
  const int n = dpi_variate_narg(w->v);
  if (w->narg == n) return tail(w, x, false);
  const double lo = w->arg[n], hi = w->arg[n + 1];
  const bool up = tail(w, lo, false) > 0.5;
  return (tail(w, x, up) - tail(w, lo, up)) / (tail(w, hi, up) - tail(w, lo, up));
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void ks(const law *w, int index) {
  static double x[N];
  dpi_rng rng = dpi_rng_make(7, (uint64_t)index, 1);
  const int n = dpi_variate_narg(w->v);
  double d = 0;
  for (int i = 0; i < N; i++) {
    x[i] = dpi_variate_draw(w->v, w->arg, w->narg, &rng);
    if (w->narg > n) assert_true(x[i] >= w->arg[n] && x[i] <= w->arg[n + 1]);
  }
  qsort(x, N, sizeof *x, ascending);
  for (int i = 0; i < N; i++) {
    const double f = cdf(w, x[i]), e = fmax(f - (double)i / N, (i + 1.0) / N - f);
    if (!(e <= d)) d = e;
  }
  if (!(d * sqrt(N) < 1.95)) /* a chance of 1 in 1000 */
    fail_msg("law %d (%s): Kolmogorov-Smirnov %g", index, dpi_variate_name(w->v), d * sqrt(N));
}

static const law continuous[] = {
    {DPI_VARIATE_NORMAL, {1, 2}, 2},
    {DPI_VARIATE_NORMAL, {1, 2, 0, 5}, 4},
    {DPI_VARIATE_NORMAL, {0, 1, 3, 4}, 4},
    {DPI_VARIATE_NORMAL, {0, 1, 9, INFINITY}, 4},
    {DPI_VARIATE_NORMAL, {0, 1, -INFINITY, -33}, 4},
    {DPI_VARIATE_NORMAL, {0, 1, 31, 31.02}, 4},
    {DPI_VARIATE_UNIFORM, {-1, 3}, 2},
    {DPI_VARIATE_UNIFORM, {-1, 3, 0, 7}, 4},
    {DPI_VARIATE_EXPONENTIAL, {2.5}, 1},
    {DPI_VARIATE_EXPONENTIAL, {2.5, 1, 1.1}, 3},
    {DPI_VARIATE_EXPONENTIAL, {2.5, 100, INFINITY}, 3},
    {DPI_VARIATE_GAMMA, {0.3, 2}, 2},
    {DPI_VARIATE_GAMMA, {1, 2}, 2},
    {DPI_VARIATE_GAMMA, {7.5, 0.5}, 2},
    {DPI_VARIATE_GAMMA, {7.5, 0.5, 3, 4}, 4},
    {DPI_VARIATE_GAMMA, {7.5, 0.5, 0.1, 0.3}, 4},
    {DPI_VARIATE_GAMMA, {0.3, 2, 0.01, 0.02}, 4},
    {DPI_VARIATE_LOGNORMAL, {0.5, 0.8}, 2},
    {DPI_VARIATE_LOGNORMAL, {1, 2, 3, 10}, 4},
    {DPI_VARIATE_CHISQUARE, {5}, 1},
    {DPI_VARIATE_CHISQUARE, {5, 2, 9}, 3},
    {DPI_VARIATE_LAPLACE, {1, 2}, 2},
    {DPI_VARIATE_LAPLACE, {1, 2, 0, 9}, 4},
    {DPI_VARIATE_LAPLACE, {1, 2, 50, INFINITY}, 4},
    {DPI_VARIATE_LAPLACE, {1, 2, -70, -60}, 4},
    {DPI_VARIATE_CAUCHY, {1, 2}, 2},
    {DPI_VARIATE_CAUCHY, {1, 2, -3, 4}, 4},
    {DPI_VARIATE_CAUCHY, {1, 2, 1e9, 3e9}, 4},
    {DPI_VARIATE_CAUCHY, {1, 2, -INFINITY, -50}, 4},
    {DPI_VARIATE_RAYLEIGH, {3}, 1},
    {DPI_VARIATE_RAYLEIGH, {3, 1, 4}, 3},
    {DPI_VARIATE_RAYLEIGH, {3, 60, INFINITY}, 3},
};

static void test_continuous(void **state) {
  (void)state;
  for (int i = 0; i < DPI_COUNT(continuous); i++) ks(&continuous[i], i);
}

/* gamma far in its upper tail, where the lower distribution function says 1: mean of the excess by quadrature */
static void test_gamma_tail(void **state) {
  (void)state;
  const double arg[4] = {3, 1, 60, INFINITY};
  dpi_rng rng = dpi_rng_make(1, 2, 3);
  double sum = 0;
  for (int i = 0; i < N; i++) sum += dpi_variate_draw(DPI_VARIATE_GAMMA, arg, 4, &rng) - 60;
  /* int x^2 (x - 60) e^-x / int x^2 e^-x over x > 60, with y = x - 60: (3600 + 240 + 6) / (3600 + 120 + 2) */
  const double mean = 3846.0 / 3722.0;
  if (fabs(sum / N - mean) > 4 * 1.02 / sqrt(N)) fail_msg("mean excess %g, expected %g", sum / N, mean);
}

/* ---- discrete ---- */

static double log_pmf(const law *w, double k) {
  const double a = w->arg[0], p = w->arg[1];
  if (w->v == DPI_VARIATE_POISSON) return k * log(a) - a - lgamma(k + 1);
  if (w->v == DPI_VARIATE_BERNOULLI) return log(k == 1 ? a : 1 - a);
  return lgamma(a + 1) - lgamma(k + 1) - lgamma(a - k + 1) + k * log(p) + (a - k) * log1p(-p);
}

#define KMAX 20000
static void chisquare(const law *w, int index) {
  static double count[KMAX], prob[KMAX];
  dpi_rng rng = dpi_rng_make(11, (uint64_t)index, 2);
  const int n = dpi_variate_narg(w->v);
  const bool cut = w->narg > n;
  const double most = w->v == DPI_VARIATE_POISSON ? INFINITY : (w->v == DPI_VARIATE_BERNOULLI ? 1 : w->arg[0]);
  double total = 0, chi = 0, got = 0, want = 0;
  int cells = 0;
  for (int k = 0; k < KMAX; k++) {
    count[k] = 0;
    const bool in = k <= most && (!cut || (k >= w->arg[n] && k <= w->arg[n + 1]));
    prob[k] = in ? exp(log_pmf(w, k)) : 0;
    total += prob[k];
  }
  for (int i = 0; i < N; i++) {
    const double x = dpi_variate_draw(w->v, w->arg, w->narg, &rng);
    assert_true(x >= 0 && x < KMAX && floor(x) == x);
    assert_true(prob[(int)x] > 0);
    count[(int)x]++;
  }
  for (int k = 0; k < KMAX; k++) { /* neighbours are joined until 8 are expected */
    got += count[k];
    want += N * prob[k] / total;
    if (want < 8) continue;
    chi += (got - want) * (got - want) / want;
    cells++;
    got = want = 0;
  }
  if (cells > 1 && !(chi < dpi_chi2_quantile(0.999, cells - 1)))
    fail_msg("law %d (%s %g): chi-square %g on %d cells", index, dpi_variate_name(w->v), w->arg[0], chi, cells);
}

static const law discrete[] = {
    {DPI_VARIATE_POISSON, {0.01}, 1},
    {DPI_VARIATE_POISSON, {3.7}, 1},
    {DPI_VARIATE_POISSON, {10}, 1},
    {DPI_VARIATE_POISSON, {55.5}, 1},
    {DPI_VARIATE_POISSON, {9000}, 1},
    {DPI_VARIATE_POISSON, {3.7, 2, 5}, 3},
    {DPI_VARIATE_POISSON, {3.7, 14.5, INFINITY}, 3},
    {DPI_VARIATE_POISSON, {300, 0, 200}, 3},
    {DPI_VARIATE_BINOMIAL, {10, 0.3}, 2},
    {DPI_VARIATE_BINOMIAL, {1, 0.3}, 2},
    {DPI_VARIATE_BINOMIAL, {1000, 0.0004}, 2},
    {DPI_VARIATE_BINOMIAL, {60, 0.4}, 2},
    {DPI_VARIATE_BINOMIAL, {60, 0.8}, 2},
    {DPI_VARIATE_BINOMIAL, {15000, 0.37}, 2},
    {DPI_VARIATE_BINOMIAL, {60, 0.4, 20, 25}, 4},
    {DPI_VARIATE_BINOMIAL, {60, 0.4, 50, 100}, 4},
    {DPI_VARIATE_BERNOULLI, {0.3}, 1},
};

static void test_discrete(void **state) {
  (void)state;
  for (int i = 0; i < DPI_COUNT(discrete); i++) chisquare(&discrete[i], i);
}

/* means beyond every table: 8 standard errors about the exact mean and variance */
static void test_large(void **state) {
  (void)state;
  const law w[] = {{DPI_VARIATE_POISSON, {1e12}, 1}, {DPI_VARIATE_BINOMIAL, {1e14, 0.25}, 2}};
  const double mean[] = {1e12, 2.5e13}, var[] = {1e12, 1.875e13};
  for (int j = 0; j < 2; j++) {
    dpi_rng rng = dpi_rng_make(5, (uint64_t)j, 0);
    double s = 0, q = 0;
    for (int i = 0; i < N; i++) {
      const double z = (dpi_variate_draw(w[j].v, w[j].arg, w[j].narg, &rng) - mean[j]) / sqrt(var[j]);
      s += z;
      q += z * z;
    }
    assert_true(fabs(s) / sqrt(N) < 4);
    assert_true(fabs(q - N) / sqrt(2.0 * N) < 4);
  }
}

static void test_domain(void **state) {
  (void)state;
  const law wrong[] = {
      {DPI_VARIATE_NORMAL, {0, -1}, 2},          {DPI_VARIATE_NORMAL, {NAN, 1}, 2},
      {DPI_VARIATE_UNIFORM, {2, 1}, 2},          {DPI_VARIATE_EXPONENTIAL, {0}, 1},
      {DPI_VARIATE_GAMMA, {-1, 1}, 2},           {DPI_VARIATE_GAMMA, {1, 1, -3, -2}, 4},
      {DPI_VARIATE_POISSON, {-0.1}, 1},          {DPI_VARIATE_POISSON, {2, 3.2, 3.8}, 3},
      {DPI_VARIATE_BINOMIAL, {2.5, 0.5}, 2},     {DPI_VARIATE_BINOMIAL, {2, 1.5}, 2},
      {DPI_VARIATE_BERNOULLI, {2}, 1},           {DPI_VARIATE_BERNOULLI, {1, 0, 0.5}, 3},
      {DPI_VARIATE_NORMAL, {0, 1, 2, 1}, 4},     {DPI_VARIATE_NORMAL, {0, 1, 2}, 3},
      {DPI_VARIATE_UNIFORM, {0, 1, 2, 3}, 4},    {DPI_VARIATE_CAUCHY, {0, 0}, 2},
      {DPI_VARIATE_EXPONENTIAL, {1, NAN, 2}, 3}, {DPI_VARIATE_LOGNORMAL, {1, 1, -2, 0}, 4},
      {DPI_VARIATE_RAYLEIGH, {1, -2, -1}, 3},    {DPI_VARIATE_BINOMIAL, {3, 0, 1, 2}, 4},
  };
  dpi_rng rng = dpi_rng_make(1, 1, 1);
  for (int i = 0; i < DPI_COUNT(wrong); i++)
    if (!isnan(dpi_variate_draw(wrong[i].v, wrong[i].arg, wrong[i].narg, &rng))) fail_msg("law %d was drawn", i);
  const double sure[4] = {3, 0, 1, 5}, zero[2] = {7, 0}, one[2] = {7, 1}, none[1] = {0}, scale[1] = {2};
  assert_true(dpi_variate_draw(DPI_VARIATE_NORMAL, sure, 4, &rng) == 3);
  assert_true(dpi_variate_draw(DPI_VARIATE_BINOMIAL, zero, 2, &rng) == 0);
  assert_true(dpi_variate_draw(DPI_VARIATE_BINOMIAL, one, 2, &rng) == 7);
  assert_true(dpi_variate_draw(DPI_VARIATE_POISSON, none, 1, &rng) == 0);
  assert_true(isfinite(dpi_variate_draw(DPI_VARIATE_CAUCHY, scale, 1, &rng))); /* a scale alone: about 0 */
  for (int v = 0; v < DPI_VARIATE_COUNT; v++) assert_int_equal(dpi_variate_find(dpi_variate_name(v)), v);
  assert_int_equal(dpi_variate_find("zipf"), -1);
}

static void test_again(void **state) {
  (void)state;
  for (int i = 0; i < DPI_COUNT(continuous); i++) {
    dpi_rng a = dpi_rng_make(3, 4, 5), b = a;
    for (int k = 0; k < 20; k++) {
      const double x = dpi_variate_draw(continuous[i].v, continuous[i].arg, continuous[i].narg, &a);
      assert_true(x == dpi_variate_draw(continuous[i].v, continuous[i].arg, continuous[i].narg, &b));
    }
    assert_true(a.counter == b.counter);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_continuous), cmocka_unit_test(test_gamma_tail), cmocka_unit_test(test_discrete),
      cmocka_unit_test(test_large),      cmocka_unit_test(test_domain),     cmocka_unit_test(test_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
