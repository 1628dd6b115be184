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

#include "format/petab/tests/petab_files.h"

static dp_ctx *ctx;

static int setup(void **state) {
  (void)state;
  dp_ctx_def def = dp_ctx_def_default();
  return dp_ctx_create(&def, &ctx) == DP_OK ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  size_t live = dpi_alloc_live(ctx);
  dp_ctx_destroy(ctx);
  return live == 0 ? 0 : -1;
}

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
    double a = dpi_petab_log_prior(&within->parameter[i].prior, 5.0, NULL);
    double b = dpi_petab_log_prior(&free_->parameter[i].prior, 5.0, NULL);
    if (fabs(a - rows[i].truncated) > 1e-14 || fabs(b - rows[i].plain) > 1e-14)
      fail_msg("%s: %.15g and %.15g, expected %.15g and %.15g", rows[i].prior, a, b, rows[i].truncated, rows[i].plain);
    assert_false(within->parameter[i].implied);
    assert_true(dpi_petab_log_prior(&within->parameter[i].prior, 10.5, NULL) == -INFINITY);
  }
  const dpi_petab_parameter *q = &within->parameter[DPI_COUNT(rows)];
  assert_true(q->implied && fabs(dpi_petab_log_prior(&q->prior, 1.0, NULL) + 0.69314718055994531) < 1e-15);
  assert_true(q[1].prior.family == DPI_PETAB_FLAT && !q[1].estimate);
  assert_true(dpi_petab_log_prior(&q[1].prior, 1.0, NULL) == 0.0);
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
      sum += w * exp(dpi_petab_log_prior(&p->parameter[i].prior, 4.0 + k * h, NULL));
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
    double x = 4.3, h = 1e-5, d;
    const dpi_petab_prior *q = &p->parameter[i].prior;
    dpi_petab_log_prior(q, x, &d);
    double slope = (dpi_petab_log_prior(q, x + h, NULL) - dpi_petab_log_prior(q, x - h, NULL)) / (2 * h);
    if (fabs(d - slope) > 1e-8) fail_msg("%s: slope %.12g, differences give %.12g", rows[i].prior, d, slope);
  }
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
  assert_true(fabs(dpi_petab_log_prior(&q[0].prior, 2.0, &d) - (-half - log(2.0) - 0.5 * pow((s - 0.5) / 2, 2))) <
              1e-14);
  assert_true(fabs(d - -(s - 0.5) / 4.0 / (2.0 * log(10.0))) < 1e-14);
  assert_true(isfinite(dpi_petab_log_prior(&q[0].prior, 1000.0, NULL)));
  /* of the value: with it */
  assert_true(fabs(dpi_petab_log_prior(&q[1].prior, 2.0, NULL) -
                   (-half - 2 * log(2.0) - 0.5 * pow((log(2.0) - 0.5) / 2, 2))) < 1e-14);
  assert_true(q[1].start.family == DPI_PETAB_NORMAL && q[1].start.a == 1.0 && q[1].start.b == 3.0);
  assert_true(q[2].prior.a == 0.0 && q[2].prior.b == 4.0); /* the bounds, when not given */
  assert_true(q[3].implied && q[3].prior.family == DPI_PETAB_FLAT);
  assert_true(q[3].start.family == DPI_PETAB_UNIFORM && q[3].start.a == -1.0 && q[3].start.on_scale);
  assert_true(q[0].start.family == DPI_PETAB_UNIFORM && q[0].start.scale == DPI_PETAB_LOG10 &&
              fabs(q[0].start.a + 2.0) < 1e-15);
  assert_true(fabs(dpi_petab_log_prior(&q[4].prior, 2.0, NULL) - (-log(4.0) - fabs(s - 0.5) / 2)) < 1e-14);
  assert_true(fabs(q[4].start.a + 2.0) < 1e-15 && fabs(q[4].start.b - 2.0) < 1e-15);
  assert_true(fabs(dpi_petab_from_scale(DPI_PETAB_LOG10, dpi_petab_to_scale(DPI_PETAB_LOG10, 3.0)) - 3.0) < 1e-14);
  dpi_petab_destroy(p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(asserted),
      cmocka_unit_test(normalised),
      cmocka_unit_test(slopes),
      cmocka_unit_test(version_1),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
