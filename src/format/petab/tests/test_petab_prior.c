/* Compared with: the log priors that PEtab's own test suite asserts (with and without truncation), derivatives by
 * differences, the mass of truncated densities by quadrature, and version 1's priors by closed forms. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/tests/own_context.h"
#include "format/petab/tests/petab_files.h"

static dpi_petab *problem(const char *yaml, const char *parameters, const char *measurements) {
  petab_text file[] = {
      {"y", yaml},
      {"p.tsv", parameters},
      {"o.tsv", "observableId\tobservableFormula\tnoiseFormula\nobs\tA\t1\n"},
      {"m.tsv", measurements},
      {"c.tsv", "conditionId\nc0\n"},
  };
  petab_texts all = {file, DPI_COUNT(file)};
  dpi_petab_def def = {.path = "y", .load = petab_texts_load, .user = &all};
  dpi_petab *p = NULL;
  if (dpi_petab_read(ctx, &def, &p) != DP_OK) fail_msg("%s", dp_ctx_error(ctx));
  return p;
}

#define V2_YAML                                                                                            \
  "format_version: 2.0.0\nparameter_files: [p.tsv]\nmodel_files: {m: {location: m.xml, language: sbml}}\n" \
  "measurement_files: [m.tsv]\nobservable_files: [o.tsv]\n"
#define V2_MEASURED "observableId\texperimentId\ttime\tmeasurement\nobs\t\t0\t1\n"
#define V1_MEASURED "observableId\tsimulationConditionId\ttime\tmeasurement\nobs\tc0\t0\t1\n"

typedef struct row {
  const char *prior, *values;
  double truncated, plain; /* ln density at 5, within [0, 10] and without bounds */
} row;

static const row rows[] = {
    {"uniform", "2.0;8.0", -1.79175946922805, -1.79175946922805},
    {"normal", "4.0;2.0", -1.71269052620973, -1.73708571376462},
    {"log-normal", "5.0;2.0", -2.23619159741645, -4.65851253490362},
    {"cauchy", "3.0;5.0", -2.15728237835358, -2.90258780340177},
    {"chisquare", "4.0", -2.23558885282238, -2.27685644868579},
    {"exponential", "3.0", -2.72895309496787, -2.76527895533478},
    {"gamma", "3.0;5.0", -2.17348344324312, -3.30258509299405},
    {"laplace", "3.0;5.0", -2.19557833470717, -2.70258509299405},
    {"log-laplace", "3.0;5.0", -3.35750526098019, -4.19013542294133},
    {"log-uniform", "3.0;5.0", -0.93771092034198, -0.93771092034198},
    {"rayleigh", "3.0", -1.9728021416671, -1.97667555379101},
};

static dpi_petab *table(const char *lower, const char *upper) {
  static char text[4000];
  char *s =
      text +
      sprintf(text,
              "parameterId\tlowerBound\tupperBound\tnominalValue\testimate\tpriorDistribution\tpriorParameters\n");
  for (int i = 0; i < DPI_COUNT(rows); i++)
    s += sprintf(s, "p%d\t%s\t%s\t5.0\ttrue\t%s\t%s\n", i, lower, upper, rows[i].prior, rows[i].values);
  sprintf(s, "q\t0\t2\t1\ttrue\t\t\nfixed\t\t\t1\tfalse\t\t\n");
  return problem(V2_YAML, text, V2_MEASURED);
}

static void asserted(void **state) {
  (void)state;
  dpi_petab *within = table("0.0", "10.0"), *free_ = table("-inf", "inf");
  for (int i = 0; i < DPI_COUNT(rows); i++) {
    double a = dpi_petab_log_prior(&within->parameter[i].prior, 5.0, NULL, NULL);
    double b = dpi_petab_log_prior(&free_->parameter[i].prior, 5.0, NULL, NULL);
    if (fabs(a - rows[i].truncated) > 1e-14 || fabs(b - rows[i].plain) > 1e-14)
      fail_msg("%s: %.15g and %.15g, expected %.15g and %.15g", rows[i].prior, a, b, rows[i].truncated, rows[i].plain);
    assert_false(within->parameter[i].implied);
    assert_true(dpi_petab_log_prior(&within->parameter[i].prior, 10.5, NULL, NULL) == -INFINITY);
  }
  const dpi_petab_parameter *q = &within->parameter[DPI_COUNT(rows)];
  assert_true(q->implied && fabs(dpi_petab_log_prior(&q->prior, 1.0, NULL, NULL) + 0.69314718055994531) < 1e-15);
  assert_true(q[1].prior.family == DPI_PETAB_FLAT && !q[1].estimate);
  assert_true(dpi_petab_log_prior(&q[1].prior, 1.0, NULL, NULL) == 0.0);
  dpi_petab_destroy(within);
  dpi_petab_destroy(free_);
}

/* Simpson's rule in 1/4000 of the range: each density integrates to 1 between its bounds. */
static void normalised(void **state) {
  (void)state;
  dpi_petab *p = table("4.0", "4.75");
  for (int i = 0; i < DPI_COUNT(rows); i++) {
    double sum = 0.0, h = 0.75 / 4000;
    for (int k = 0; k <= 4000; k++) {
      double w = k == 0 || k == 4000 ? 1.0 : k % 2 ? 4.0 : 2.0;
      sum += w * exp(dpi_petab_log_prior(&p->parameter[i].prior, 4.0 + k * h, NULL, NULL));
    }
    if (fabs(sum * h / 3.0 - 1.0) > (rows[i].prior[0] == 'u' ? 1e-12 : 1e-9))
      fail_msg("%s: mass %.15g", rows[i].prior, sum * h / 3.0);
  }
  dpi_petab_destroy(p);
}

static void slopes(void **state) {
  (void)state;
  dpi_petab *p = table("0.0", "10.0");
  for (int i = 0; i < DPI_COUNT(rows); i++) {
    double x = 4.3, h = 1e-5, d, d2, up, down;
    const dpi_petab_prior *q = &p->parameter[i].prior;
    dpi_petab_log_prior(q, x, &d, &d2);
    double slope = (dpi_petab_log_prior(q, x + h, NULL, NULL) - dpi_petab_log_prior(q, x - h, NULL, NULL)) / (2 * h);
    if (fabs(d - slope) > 1e-8) fail_msg("%s: slope %.12g, differences give %.12g", rows[i].prior, d, slope);
    dpi_petab_log_prior(q, x + h, &up, NULL);
    dpi_petab_log_prior(q, x - h, &down, NULL);
    if (fabs(d2 - (up - down) / (2 * h)) > 1e-8)
      fail_msg("%s: curvature %.12g, differences give %.12g", rows[i].prior, d2, (up - down) / (2 * h));
  }
  dpi_petab_destroy(p);
}

/* What lies below a quantile is what was asked for, by Simpson's rule; bounds far out in a tail and none at all. */
static void quantiles(void **state) {
  (void)state;
  static const char *const bounds[][2] = {{"0.5", "10.0"}, {"4.0", "4.75"}, {"0.001", "inf"}};
  for (int b = 0; b < DPI_COUNT(bounds); b++) {
    dpi_petab *p = table(bounds[b][0], bounds[b][1]);
    for (int i = 0; i < DPI_COUNT(rows); i++)
      for (double share = 0.1; share < 1.0; share += 0.2) {
        const dpi_petab_prior *q = &p->parameter[i].prior;
        const double y = dpi_petab_prior_quantile(q, share), x = dpi_petab_from_scale(q->scale, y), low = q->lower;
        /* in ln x: densities of logarithms and tails are smooth there */
        double sum = 0.0, h = (log(x) - log(low)) / 8000;
        if (!(x >= q->lower && x <= q->upper)) fail_msg("%s: the quantile of %g is %g", rows[i].prior, share, x);
        for (int k = 0; k <= 8000; k++) {
          const double at = exp(log(low) + k * h), ln = dpi_petab_log_prior(q,
                                                                            at > x     ? x
                                                                            : at < low ? low
                                                                                       : at,
                                                                            NULL, NULL);
          if (ln > -INFINITY) sum += (k == 0 || k == 8000 ? 1.0 : k % 2 ? 4.0 : 2.0) * exp(ln) * at;
        }
        if (fabs(sum * h / 3.0 - share) > 1e-3)
          fail_msg("%s in [%s, %s]: below the quantile of %g lies %.9g", rows[i].prior, bounds[b][0], bounds[b][1],
                   share, sum * h / 3.0);
      }
    dpi_petab_destroy(p);
  }
}

/* Truncation far out: closed forms. P(8 < Z < 9) of the standard normal; Laplace and exponential are themselves
 * shifted; Cauchy by arctangents; Rayleigh by exponentials. */
static void tails(void **state) {
  (void)state;
  const double pi = 3.14159265358979324, ln_2pi = 1.83787706640934548;
  static const char text[] =
      "parameterId\tlowerBound\tupperBound\tnominalValue\testimate\tpriorDistribution\tpriorParameters\n"
      "a\t8\t9\t8.5\ttrue\tnormal\t0;1\n"
      "b\t30\tinf\t31\ttrue\tlaplace\t0;1\n"
      "c\t30\tinf\t31\ttrue\texponential\t2\n"
      "d\t1e6\t2e6\t1.5e6\ttrue\tcauchy\t0;1\n"
      "e\t5\t6\t5.5\ttrue\trayleigh\t0.5\n"
      "f\t1\t20\t2\ttrue\tlog-laplace\t0;0.5\n"
      "g\t0\t3\t2\ttrue\tchisquare\t2\n"
      "h\t0\t3\t2\ttrue\tgamma\t2;0.5\n";
  dpi_petab *p = problem(V2_YAML, text, V2_MEASURED);
  const double mass_normal = 6.22096057427178e-16 - 1.12858840595384e-19; /* Q(8) - Q(9) */
  const double expected[] = {
      -0.5 * 8.5 * 8.5 - 0.5 * ln_2pi - log(mass_normal),
      -1.0,
      -log(2.0) - 0.5,
      -log(pi * (1 + 1.5e6 * 1.5e6)) - log((atan(1e-6) - atan(0.5e-6)) / pi),
      log(5.5 / 0.25) - 0.5 * 121 - (-0.5 * 100 + log1p(-exp(-0.5 * (144 - 100)))),
      -log(2.0) - log(2.0) / 0.5 - log(0.5 * (1 - exp(-log(20.0) / 0.5))), /* b = 1/2: 1/(2b) = 1 */
      -log(2.0) - 1.0 - log(1 - exp(-1.5)),
      log(2.0 / 0.25) - 4.0 - log(1 - exp(-6.0) * 7.0),
  };
  for (int i = 0; i < DPI_COUNT(expected); i++) {
    const double x = p->parameter[i].nominal, found = dpi_petab_log_prior(&p->parameter[i].prior, x, NULL, NULL);
    if (fabs(found - expected[i]) > 1e-9 * (1 + fabs(expected[i])))
      fail_msg("%s: %.15g, expected %.15g", p->parameter[i].id, found, expected[i]);
  }
  dpi_petab_destroy(p);
}

/* Version 1's priors on the scale: the same by x and by its logarithm, derivatives by each. */
static void on_scale(void **state) {
  (void)state;
  dpi_petab *p =
      problem(PETAB_V1_YAML,
              "parameterId\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate\tobjectivePriorType\t"
              "objectivePriorParameters\n"
              "a\tlog10\t0.01\t100\t2\t1\tparameterScaleNormal\t0.5;2\n"
              "b\tlog\t0.01\t100\t2\t1\tparameterScaleLaplace\t0.5;2\n"
              "c\tlog10\t0.01\t100\t2\t1\tparameterScaleUniform\t-1;1\n"
              "d\tlin\t0.01\t100\t2\t1\tparameterScaleNormal\t0.5;2\n",
              V1_MEASURED);
  for (int i = 0; i < p->nparameter; i++) {
    const dpi_petab_prior *q = &p->parameter[i].prior;
    const double x = 2.0, y = dpi_petab_to_scale(q->scale, x), h = 1e-5;
    double d1, d2, e1, e2, up, down;
    const double v = dpi_petab_log_prior(q, x, &d1, &d2), w = dpi_petab_log_prior_on_scale(q, y, &e1, &e2);
    assert_true(q->on_scale && fabs(v - w) < 1e-14);
    dpi_petab_log_prior(q, x + h, &up, NULL);
    dpi_petab_log_prior(q, x - h, &down, NULL);
    assert_true(fabs(d2 - (up - down) / (2 * h)) < 1e-8);
    const double slope =
        (dpi_petab_log_prior_on_scale(q, y + h, &up, NULL) - dpi_petab_log_prior_on_scale(q, y - h, &down, NULL)) /
        (2 * h);
    assert_true(fabs(e1 - slope) < 1e-8 && fabs(e2 - (up - down) / (2 * h)) < 1e-8);
  }
  assert_true(fabs(dpi_petab_prior_quantile(&p->parameter[0].prior, 0.5) - 0.5) < 1e-12);
  assert_true(fabs(dpi_petab_prior_quantile(&p->parameter[2].prior, 0.75) - 0.5) < 1e-12);
  dpi_petab_destroy(p);
}

static void version_1(void **state) {
  (void)state;
  dpi_petab *p =
      problem(PETAB_V1_YAML,
              "parameterId\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate\tobjectivePriorType\t"
              "objectivePriorParameters\tinitializationPriorType\tinitializationPriorParameters\n"
              "a\tlog10\t0.01\t100\t2\t1\tparameterScaleNormal\t0.5;2\t\t\n"
              "b\tlog\t0.01\t100\t2\t1\tlogNormal\t0.5;2\tnormal\t1;3\n"
              "c\tlin\t0\t4\t2\t1\tuniform\t\t\t\n"
              "d\tlog10\t0.01\t100\t2\t1\t\t\tparameterScaleUniform\t-1;1\n"
              "e\tlog10\t0.01\t100\t2\t1\tparameterScaleLaplace\t0.5;2\tparameterScaleUniform\t\n",
              V1_MEASURED);
  const dpi_petab_parameter *q = p->parameter;
  const double half = 0.5 * log(2.0 * 3.14159265358979324), s = log10(2.0);
  double d;
  /* on the scale itself: no Jacobian; no truncation */
  assert_true(fabs(dpi_petab_log_prior(&q[0].prior, 2.0, &d, NULL) - (-half - log(2.0) - 0.5 * pow((s - 0.5) / 2, 2))) <
              1e-14);
  assert_true(fabs(d - -(s - 0.5) / 4.0 / (2.0 * log(10.0))) < 1e-14);
  assert_true(isfinite(dpi_petab_log_prior(&q[0].prior, 1000.0, NULL, NULL)));
  /* of the value: with it */
  assert_true(fabs(dpi_petab_log_prior(&q[1].prior, 2.0, NULL, NULL) -
                   (-half - 2 * log(2.0) - 0.5 * pow((log(2.0) - 0.5) / 2, 2))) < 1e-14);
  assert_true(q[1].start.family == DPI_PETAB_NORMAL && q[1].start.a == 1.0 && q[1].start.b == 3.0);
  assert_true(q[2].prior.a == 0.0 && q[2].prior.b == 4.0); /* the bounds, when not given */
  assert_true(q[3].implied && q[3].prior.family == DPI_PETAB_FLAT);
  assert_true(q[3].start.family == DPI_PETAB_UNIFORM && q[3].start.a == -1.0 && q[3].start.on_scale);
  assert_true(q[0].start.family == DPI_PETAB_UNIFORM && q[0].start.scale == DPI_PETAB_LOG10 &&
              fabs(q[0].start.a + 2.0) < 1e-15);
  assert_true(fabs(dpi_petab_log_prior(&q[4].prior, 2.0, NULL, NULL) - (-log(4.0) - fabs(s - 0.5) / 2)) < 1e-14);
  assert_true(fabs(q[4].start.a + 2.0) < 1e-15 && fabs(q[4].start.b - 2.0) < 1e-15);
  assert_true(fabs(dpi_petab_from_scale(DPI_PETAB_LOG10, dpi_petab_to_scale(DPI_PETAB_LOG10, 3.0)) - 3.0) < 1e-14);
  dpi_petab_destroy(p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(asserted),  cmocka_unit_test(normalised), cmocka_unit_test(slopes),
      cmocka_unit_test(quantiles), cmocka_unit_test(tails),      cmocka_unit_test(on_scale),
      cmocka_unit_test(version_1),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
