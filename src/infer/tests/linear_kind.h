/* linear_kind.h - a kind of twin whose answers are known in closed form: y = base + slope t, Gaussian in its effects.
 * Its folder is written by the test; a variant is a set of words. */
#ifndef TEST_LINEAR_KIND_H
#define TEST_LINEAR_KIND_H

#include <sys/stat.h>

#include "theophylline.h"

#define LN_2PI 1.8378770664093454836

typedef struct variant {
  const char *name; /* of the folder: one for each test */
  bool correlated;  /* covariance of the two person effects, estimated */
  const char *iov;  /* parameter with an effect of occasions: "base", "slope" or NULL */
  bool iov_pair;    /* and one of base, correlated with it: iov must be slope */
  bool lognormal;   /* exp(base + slope t) is measured, its error on the logarithm */
  bool no_effect;   /* nobody differs */
  const char *
      weight; /* convention of a covariate W whose W/70 multiplies slope's typical value, or NULL */
  const char *extra_param;
} variant;

static inline void write_text(const char *dir, const char *file, const char *text) {
  char path[500];
  snprintf(path, sizeof path, "%s/%s", dir, file);
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  fputs(text, f);
  assert_int_equal(fclose(f), 0);
}

static inline void write_tables(const char *dir, const variant *v) {
  char text[2000];
  snprintf(text, sizeof text,
           "parameterId\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate\tunit\n"
           "tv_base\tlin\t-100\t100\t2\t1\t1\ntv_slope\tlin\t-100\t100\t1\t1\t1/h\n"
           "sd\tlog\t0.001\t10\t0.4\t1\t1\n%s",
           v->extra_param ? v->extra_param : "");
  write_text(dir, "parameters.tsv", text);
  snprintf(text, sizeof text,
           "parameterId\ttypical\tdistribution\teffectId\teffectId2\tlevel\tvariance\testimate\n"
           "base\ttv_base\tnormal\t%s\n"
           "slope\ttv_slope\tnormal\t%s\n",
           v->no_effect ? "\t\t\t\t" : "eta_base\t\tperson\t0.5\t1",
           v->no_effect ? "\t\t\t\t" : "eta_slope\t\tperson\t0.3\t1");
  if (v->correlated) strcat(text, "\t\t\teta_base\teta_slope\t\t0.1\t1\n");
  if (v->iov)
    snprintf(text + strlen(text), sizeof text - strlen(text),
             "%s\ttv_%s\tnormal\tiov\t\toccasion\t0.2\t1\n", v->iov, v->iov);
  if (v->iov_pair)
    strcat(text,
           "base\ttv_base\tnormal\tiov_b\t\toccasion\t0.4\t1\n"
           "\t\t\tiov\tiov_b\t\t0.25\t1\n");
  write_text(dir, "population.tsv", text);
  snprintf(text, sizeof text,
           "covariateId\tunit\tlower\tupper\tparameterId\tfactor\tmissing\tconvention\toccasion\n");
  if (v->iov) strcat(text, "OCC\t1\t0\t99\t\t\trefuse\tlocf\t1\n");
  if (v->weight)
    snprintf(text + strlen(text), sizeof text - strlen(text),
             "W\tkg\t1\t500\tslope\tW/70\trefuse\t%s\t0\n", v->weight);
  write_text(dir, "covariates.tsv", text);
}

/* The kind in DOPPEL_BINARY_DIR/linear_<name>. */
static inline void linear_open(world *w, const variant *v, int nthread) {
  char dir[400], text[1000];
  dp_ctx_def def = dp_ctx_def_default();
  memset(w, 0, sizeof *w);
  def.nthread = nthread;
  assert_int_equal(dp_ctx_create(&def, &w->ctx), DP_OK);
  snprintf(dir, sizeof dir, "%s/linear_%s", DOPPEL_BINARY_DIR, v->name);
  mkdir(dir, 0777);
  write_text(dir, "twin.yaml",
             "kind: line\ntitle: A line\nquestion: Which line?\nintended_use: A test.\n"
             "time_unit: h\nuntil: 4\nhorizon: 10\nmodel: model.ant\nparameters: parameters.tsv\n"
             "population: population.tsv\ncovariates: covariates.tsv\n"
             "observables: observables.tsv\ndiscrepancy: {sd: 0.2, timescale: 3}\n");
  write_text(dir, "model.ant",
             "model line()\n  base = 2; slope = 1;\n  x = 0;\n  x' = slope;\n  y := base + x;\n"
             "end\n");
  snprintf(text, sizeof text,
           "observableId\tobservableFormula\tnoiseFormula\tnoiseDistribution\tunit\n"
           "seen\t%s\tsd\t%s\t1\n",
           v->lognormal ? "exp(y)" : "y", v->lognormal ? "lognormal" : "normal");
  write_text(dir, "observables.tsv", text);
  write_tables(dir, v);
  OK(dp_kind_load(w->ctx, dir, &w->kind));
}

/* A record from its text, as record.csv in this folder; status of the reading. */
static inline dp_status linear_read_in(world *w, const char *dir, const char *text) {
  char path[500];
  write_text(dir, "record.csv", text);
  snprintf(path, sizeof path, "%s/record.csv", dir);
  dp_record_destroy(w->record);
  w->record = NULL;
  return dp_kind_record(w->kind, path, &w->record);
}

static inline dp_status linear_read(world *w, const char *text) { return linear_read_in(w, dp_kind_dir(w->kind), text); }

/* standard normal numbers that are the same everywhere */
static inline double noise(dpi_rng *rng) { return dpi_rng_normal(rng); }

/* y ~ N(A mu, A Omega A' + sd^2 I) with r = y - A mu: ln of its density; posterior mean and covariance of the effects
 * unless NULL. a [n x p] */
static inline double gaussian(int n, int p, const double *a, const double *omega, double sd,
                              const double *r, double *mean, double *cov) {
  double v[100], ao[100], inv[100], z[10];
  assert_true(n <= 10 && p <= 10);
  for (int i = 0; i < n; i++)
    for (int k = 0; k < p; k++) {
      ao[i * p + k] = 0;
      for (int m = 0; m < p; m++) ao[i * p + k] += a[i * p + m] * omega[m * p + k];
    }
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) {
      v[i * n + j] = i == j ? sd * sd : 0;
      for (int k = 0; k < p; k++) v[i * n + j] += ao[i * p + k] * a[j * p + k];
    }
  assert_true(dpi_chol(v, n));
  double l = -0.5 * (n * LN_2PI + dpi_chol_logdet(v, n));
  dpi_chol_inverse(v, n, inv);
  for (int i = 0; i < n; i++) {
    z[i] = 0;
    for (int j = 0; j < n; j++) z[i] += inv[i * n + j] * r[j];
    l -= 0.5 * r[i] * z[i];
  }
  for (int k = 0; mean && k < p; k++) {
    mean[k] = 0;
    for (int i = 0; i < n; i++) mean[k] += ao[i * p + k] * z[i];
    for (int m = 0; m < p; m++) {
      cov[k * p + m] = omega[k * p + m];
      for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
          cov[k * p + m] -= ao[i * p + k] * inv[i * n + j] * ao[j * p + m];
    }
  }
  return l;
}

static inline void near(const char *what, double found, double expected, double tolerance) {
  if (!(fabs(found - expected) <= tolerance * (1 + fabs(expected))))
    fail_msg("%s: found %.12g, expected %.12g", what, found, expected);
}

#endif
