/* Independent comparison: a line that is Gaussian in its effects, seen by two sensors of which one drifts (Gaussian in
 * closed form, drift included): posterior moments, evidence and forecasts by every method, from the prior and from a
 * batch belief; a heavy-tailed sensor by brute force over the prior; theophylline people by the batch method.
 *
 * Monte Carlo: means over SEEDS seeds, fixed here, against 4.9 of their standard errors: 1e-4 false alarms each
 * (t with 19 degrees of freedom), 120 comparisons, about 1 % for the file. */
#include "../../tests/linear_kind.h"

#include "doppel/assimilate.h"
#include "infer/filter/assimilation.h"

enum { SEEDS = 20, NOBS = 7, OUTLOOKS = 4 };
#define BOUND 4.9

static const variant plain = {.name = "assimilation"};
static const char RECORD[] = "ID,TIME,DV\n1,1,4.1\n1,3,5.6\n1,5,8.2\n";
static const double TIME[NOBS] = {1, 1, 2, 3, 4, 5, 6}, Y[NOBS] = {4.1, 3.2, 5.9, 5.6, 7.4, 8.2, 10.1};
static const int WHO[NOBS] = {0, 1, 1, 0, 1, 0, 1};
static const double MORE[] = {2, 4, 6};
static dp_sensor fine = {.id = "fine", .observable = "seen", .scale = NAN};
static dp_sensor rough = {.id = "rough", .observable = "seen", .law = DP_SENSOR_NORMAL, .scale = 0.7};
static dp_sensor drifting = {.id = "rough",
                             .observable = "seen",
                             .law = DP_SENSOR_NORMAL,
                             .scale = 0.7,
                             .drift_sd = 0.3,
                             .drift_rate = 0.2,
                             .drift_diffusion = 0.5};

static void open_all(world *w, dp_prior **prior, int nthread) {
  linear_open(w, &plain, nthread);
  OK(linear_read(w, RECORD));
  OK(dp_prior_nominal(w->kind, prior));
}

static dp_assimilation *start(world *w, const dp_prior *prior, const dp_assimilation_def *given, const dp_sensor *s) {
  dp_assimilation_def def = *given;
  dp_assimilation *a;
  def.sensor = s;
  def.nsensor = 2;
  def.time = MORE;
  def.ntime = 3;
  OK(dp_assimilation_create(w->kind, w->record, 0, prior, &def, &a));
  return a;
}

static dp_observation observation(int k) { return (dp_observation){.time = TIME[k], .sensor = WHO[k], .value = Y[k]}; }

static double drift_cov(const dp_sensor *s, double t, double u) {
  double first = fmin(t, u), r = s->drift_rate, q = s->drift_diffusion;
  if (s->drift_sd == 0 && q == 0) return 0;
  double v = exp(-2 * r * first) * s->drift_sd * s->drift_sd + q * q * (1 - exp(-2 * r * first)) / (2 * r);
  return exp(-r * fabs(t - u)) * v;
}

/* Posterior of (base, slope) effects from readings use [n], ln evidence; law of the reading after them unless NULL. */
static double exact(const dp_sensor *s, const int *use, int n, double *mean, double *cov, double *next) {
  static const double omega[2] = {.5, .3};
  int m = n + (next != NULL);
  double v[NOBS * NOBS], a[NOBS * 2], r[NOBS], inv[NOBS * NOBS], l = -0.5 * n * LN_2PI;
  double t[NOBS];
  int who[NOBS];
  for (int i = 0; i < m; i++) {
    t[i] = TIME[use[i]];
    who[i] = WHO[use[i]];
    a[2 * i] = 1;
    a[2 * i + 1] = t[i];
    r[i] = Y[use[i]] - 2 - t[i];
  }
  double full[NOBS * NOBS];
  for (int i = 0; i < m; i++)
    for (int j = 0; j < m; j++) {
      double sd = who[i] ? s[1].scale : 0.4;
      full[i * m + j] = omega[0] + omega[1] * t[i] * t[j] + (i == j ? sd * sd : 0);
      if (who[i] == who[j]) full[i * m + j] += drift_cov(&s[who[i]], t[i], t[j]);
    }
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) v[i * n + j] = full[i * m + j];
  if (n) assert_true(dpi_chol(v, n));
  if (n) dpi_chol_inverse(v, n, inv), l -= 0.5 * dpi_chol_logdet(v, n);
  for (int k = 0; k < 2; k++)
    for (int q = 0; q < 2; q++) {
      cov[k * 2 + q] = k == q ? omega[k] : 0;
      for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
          cov[k * 2 + q] -= omega[k] * a[2 * i + k] * inv[i * n + j] * a[2 * j + q] * omega[q];
    }
  mean[0] = mean[1] = 0;
  if (next) next[0] = 2 + t[m - 1], next[1] = full[m * m - 1];
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) {
      for (int k = 0; k < 2; k++) mean[k] += omega[k] * a[2 * i + k] * inv[i * n + j] * r[j];
      l -= 0.5 * r[i] * inv[i * n + j] * r[j];
      if (!next) continue;
      next[0] += full[n * m + i] * inv[i * n + j] * r[j];
      next[1] -= full[n * m + i] * inv[i * n + j] * full[n * m + j];
    }
  return l;
}

typedef struct count { /* a number over seeds */
  double sum, square;
  int n;
} count;

static void add(count *c, double x) {
  c->sum += x;
  c->square += x * x;
  c->n++;
}

static void check(const char *method, const char *what, const count *c, double expected, double also) {
  double mean = c->sum / c->n, se = sqrt(fmax(0, c->square / c->n - mean * mean) / (c->n - 1));
  double all = sqrt(se * se + also * also);
  print_message("%-6s %-28s %9.5f +- %.5f, expected %9.5f\n", method, what, mean, all, expected);
  if (!(fabs(mean - expected) <= BOUND * all)) fail_msg("%s: %s: %g, expected %g", method, what, mean, expected);
}

static void belief_moments(const dp_belief *b, double *mean, double *var) {
  for (int j = 0; j < b->neta; j++) {
    mean[j] = var[j] = 0;
    for (int k = 0; k < b->ndraw; k++) mean[j] += b->weight[k] * b->eta[k * b->neta + j];
    for (int k = 0; k < b->ndraw; k++)
      var[j] += b->weight[k] * (b->eta[k * b->neta + j] - mean[j]) * (b->eta[k * b->neta + j] - mean[j]);
  }
}

/* Readings one by one by a method, from the prior or from the batch belief of the record's first two: then those
 * after. */
static void one_method(world *w, const dp_prior *prior, const char *method, int n, bool drifts, bool from_batch) {
  dp_sensor s[2] = {fine, drifts ? drifting : rough};
  static const int all[NOBS] = {0, 1, 2, 3, 4, 5, 6}, after[5] = {0, 3, 4, 5, 6};
  const int *use = from_batch ? after : all, nuse = from_batch ? 5 : NOBS;
  double mean[2], cov[4], next[2], found[2], var[2], evidence = exact(s, use, nuse, mean, cov, NULL);
  count m[2] = {0}, v[2] = {0}, z = {0}, look[OUTLOOKS] = {0};
  char name[40];
  snprintf(name, sizeof name, "%s%s", method, from_batch ? " on" : "");
  for (int seed = 0; seed < SEEDS; seed++) {
    dp_assimilation_def def = dp_assimilation_def_default();
    dp_belief *batch = NULL, *b;
    dp_assimilation_report r;
    dp_outlook o;
    def.method = method;
    def.nparticle = n;
    def.ninner = 60;
    def.ndraw = 4000;
    def.seed = 300 + (uint64_t)seed;
    if (from_batch) {
      dp_assimilate_def bd = dp_assimilate_def_default();
      bd.seed = def.seed;
      OK(dp_assimilate(w->kind, w->record, 0, 3, prior, &bd, &batch));
      def.belief = batch;
    }
    dp_assimilation *a = start(w, prior, &def, s);
    dp_belief_destroy(batch);
    for (int i = from_batch ? 2 : 0; i < nuse; i++) {
      dp_observation at = observation(use[i]);
      if (i == nuse - 1) {
        OK(dp_assimilation_forecast(a, &at, &o));
        for (int l = 0; l < 3; l++) add(&look[l], o.q[1 + 2 * l]);
        add(&look[3], o.crps);
      }
      OK(dp_assimilation_read(a, &at, 1));
    }
    OK(dp_assimilation_belief(a, &b));
    dp_assimilation_judge(a, &r);
    if (!r.usable) fail_msg("%s: %s", method, r.verdict);
    assert_int_equal(b->nobs, nuse);
    assert_int_equal(r.nrestart, !from_batch); /* two of one moment, taken apart: the second is late */
    belief_moments(b, found, var);
    for (int j = 0; j < 2; j++) add(&m[j], found[j]), add(&v[j], var[j] / cov[3 * j]);
    add(&z, exp(r.evidence - evidence));
    near("base", b->individual[0], 2 + b->eta[0], 1e-6);
    dp_belief_destroy(b);
    dp_assimilation_destroy(a);
  }
  check(name, "base", &m[0], mean[0], 0);
  check(name, "slope", &m[1], mean[1], 0);
  check(name, "variance of base / exact", &v[0], 1, 0);
  check(name, "variance of slope / exact", &v[1], 1, 0);
  check(name, "evidence / exact", &z, 1, 0);
  exact(s, use, nuse - 1, mean, cov, next);
  double sd = sqrt(next[1]), d = (Y[NOBS - 1] - next[0]) / sd;
  for (int i = 0; i < 3; i++)
    check(name, "forecast's quantile", &look[i], next[0] + (i - 1) * 1.6448536269514722 * sd, 0);
  double crps = sd * (d * (2 * dpi_norm_cdf(d) - 1) + 2 * dpi_norm_pdf(d) - 0.56418958354775629);
  check(name, "forecast's CRPS", &look[3], crps, 0);
}

static void test_exact(void **state) {
  (void)state;
  world W, *w = &W;
  dp_prior *prior;
  open_all(w, &prior, 2);
  one_method(w, prior, "ibis", 1000, false, false);
  one_method(w, prior, "smc2", 300, true, false);
  one_method(w, prior, "enkf", 4000, true, false);
  one_method(w, prior, "esrf", 2000, true, false);
  one_method(w, prior, "ibis", 1000, false, true);
  one_method(w, prior, "smc2", 300, true, true);
  one_method(w, prior, "esrf", 2000, false, true);
  dp_prior_destroy(prior);
  world_close(w);
}

/* Late ones, missing ones, one at a time or all at once, on any number of threads: the same bytes. */
static void test_orders(void **state) {
  (void)state;
  static const char *const method[] = {"ibis", "smc2", "enkf", "esrf"};
  static const int order[NOBS] = {3, 1, 6, 0, 5, 2, 4};
  for (int c = 0; c < 4; c++) {
    char hash[4][65];
    for (int how = 0; how < 4; how++) {
      world W, *w = &W;
      dp_prior *prior;
      open_all(w, &prior, how == 3 ? 3 : 1);
      dp_assimilation_def def = dp_assimilation_def_default();
      dp_observation all[NOBS + 1];
      dp_belief *b;
      dp_sensor s[2] = {fine, c ? drifting : rough};
      dp_assimilation_report r;
      def.method = method[c];
      def.nparticle = 100;
      def.ninner = 20;
      dp_assimilation *a = start(w, prior, &def, s);
      for (int k = 0; k < NOBS; k++) all[k] = observation(how == 1 ? order[k] : k);
      all[NOBS] = (dp_observation){.time = 4, .sensor = 0, .value = NAN};
      if (how == 2)
        OK(dp_assimilation_read(a, all, NOBS + 1));
      else
        for (int k = 0; k < NOBS; k++) OK(dp_assimilation_read(a, &all[k], 1));
      OK(dp_assimilation_belief(a, &b));
      dp_assimilation_judge(a, &r);
      assert_int_equal(r.nlate, how == 1 ? 5 : 0);
      assert_int_equal(r.nmissing, how == 2);
      strcpy(hash[how], b->hash);
      dp_belief_destroy(b);
      dp_assimilation_destroy(a);
      dp_prior_destroy(prior);
      world_close(w);
    }
    assert_string_equal(hash[1], hash[0]);
    assert_string_equal(hash[2], hash[0]);
    assert_string_equal(hash[3], hash[0]);
  }
}

/* Brute force over 400,000 draws of the prior: Student's law with an outlier, Laplace's, and a limit. */
static void test_laws(void **state) {
  (void)state;
  enum { N = 400000 };
  world W, *w = &W;
  dp_prior *prior;
  open_all(w, &prior, 2);
  dp_sensor s[2] = {{.id = "t", .observable = "seen", .law = DP_SENSOR_STUDENT, .scale = NAN, .dof = 3},
                    {.id = "l", .observable = "seen", .law = DP_SENSOR_LAPLACE, .scale = 0.5}};
  double y[NOBS], sum = 0, m[2] = {0}, v[2] = {0}, square = 0, m2[2] = {0};
  memcpy(y, Y, sizeof y);
  y[5] = 20; /* the outlier */
  for (int pass = 0; pass < 2; pass++)
    for (int i = 0; i < N; i++) {
      dpi_rng rng = dpi_rng_make(5, (uint64_t)i, 1);
      double eta[2] = {sqrt(.5) * dpi_rng_normal(&rng), sqrt(.3) * dpi_rng_normal(&rng)}, l = 20;
      for (int k = 0; k < NOBS; k++) {
        double z = y[k] - 2 - eta[0] - (1 + eta[1]) * TIME[k];
        if (k == 6)
          z /= 0.5, l += log(z < 0 ? 0.5 * exp(z) : 1 - 0.5 * exp(-z)); /* below y[6] */
        else if (WHO[k])
          l -= fabs(z) / 0.5;
        else
          l -= 2 * log(1 + z * z / (0.16 * 3));
      }
      double p = exp(l);
      if (!pass) sum += p, square += p * p;
      for (int j = 0; j < 2; j++) {
        if (!pass) m[j] += p * eta[j];
        if (pass) v[j] += p / sum * (eta[j] - m[j] / sum) * (eta[j] - m[j] / sum);
        if (pass) m2[j] += p * p / (sum * sum) * (eta[j] - m[j] / sum) * (eta[j] - m[j] / sum);
      }
    }
  count got[4] = {0};
  for (int seed = 0; seed < SEEDS; seed++) {
    dp_assimilation_def def = dp_assimilation_def_default();
    dp_belief *b;
    double mean[2], var[2];
    def.seed = 70 + (uint64_t)seed;
    def.ndraw = 4000;
    dp_assimilation *a = start(w, prior, &def, s);
    for (int k = 0; k < NOBS; k++) {
      dp_observation o = observation(k);
      o.value = y[k];
      o.censored = k == 6;
      OK(dp_assimilation_read(a, &o, 1));
    }
    OK(dp_assimilation_belief(a, &b));
    belief_moments(b, mean, var);
    for (int j = 0; j < 2; j++) add(&got[j], mean[j]), add(&got[2 + j], var[j] / v[j]);
    dp_belief_destroy(b);
    dp_assimilation_destroy(a);
  }
  double ess = sum * sum / square;
  check("ibis", "base, heavy tails", &got[0], m[0] / sum, sqrt(m2[0]));
  check("ibis", "slope, heavy tails", &got[1], m[1] / sum, sqrt(m2[1]));
  check("ibis", "variance of base", &got[2], 1, sqrt(3 / ess));
  check("ibis", "variance of slope", &got[3], 1, sqrt(3 / ess));
  dp_prior_destroy(prior);
  world_close(w);
}

/* Sequential equals batch: people of the study, all their samples; the batch belief has a Monte Carlo error of its
 * own. */
static void test_theophylline(void **state) {
  (void)state;
  static const int people[] = {0, 4, 8};
  world W, *w = &W;
  dp_prior *prior;
  world_open(w, 2);
  OK(dp_prior_nominal(w->kind, &prior));
  for (int i = 0; i < 3; i++) {
    dp_assimilate_def bd = dp_assimilate_def_default();
    dp_belief *batch, *b;
    double mean[3], var[3], found[3], fv[3];
    count m[3] = {0}, v[3] = {0}, z = {0};
    bd.nproposal = 40000;
    bd.ndraw = 40000;
    bd.seed = 3;
    bd.discrepancy = 0;
    OK(dp_assimilate(w->kind, w->record, people[i], INFINITY, prior, &bd, &batch));
    belief_moments(batch, mean, var);
    for (int seed = 0; seed < SEEDS; seed++) {
      dp_assimilation_def def = dp_assimilation_def_default();
      dp_assimilation *a;
      int n;
      def.seed = 900 + (uint64_t)seed;
      def.nparticle = 500;
      def.ndraw = 2000;
      OK(dp_assimilation_create(w->kind, w->record, people[i], prior, &def, &a));
      const dp_observation *o = dp_assimilation_record(a, &n);
      assert_int_equal(n, 11);
      for (int k = 0; k < n; k++) OK(dp_assimilation_read(a, &o[k], 1));
      OK(dp_assimilation_belief(a, &b));
      assert_true(b->usable);
      assert_int_equal(b->nobs, batch->nobs);
      belief_moments(b, found, fv);
      for (int j = 0; j < 3; j++) add(&m[j], found[j]), add(&v[j], fv[j] / var[j]);
      add(&z, b->evidence);
      dp_belief_destroy(b);
      dp_assimilation_destroy(a);
    }
    for (int j = 0; j < 3; j++) {
      check("ibis", w->kind->effect[j].id, &m[j], mean[j], sqrt(var[j] / batch->ess));
      check("ibis", "variance / batch", &v[j], 1, sqrt(3 / batch->ess));
    }
    check("ibis", "evidence", &z, batch->evidence, sqrt(2 / batch->ess));
    dp_belief_destroy(batch);
  }
  dp_prior_destroy(prior);
  world_close(w);
}

static void refused(world *w, dp_status wanted, dp_status found, const char *words) {
  if (wanted != found || !strstr(dp_ctx_error(w->ctx), words))
    fail_msg("%s (wanted %s): %s", dp_status_name(found), dp_status_name(wanted), dp_ctx_error(w->ctx));
  dp_ctx_clear_error(w->ctx);
}

static void test_refused(void **state) {
  (void)state;
  world W, *w = &W;
  dp_prior *prior;
  dp_assimilation *a;
  dp_outlook out;
  open_all(w, &prior, 1);
  dp_assimilation_def def = dp_assimilation_def_default(), bad = def;
  dp_sensor s = drifting;
  bad.sensor = &s;
  bad.nsensor = 1;
  refused(w, DP_ERR_UNSUPPORTED, dp_assimilation_create(w->kind, w->record, 0, prior, &bad, &a), "'rough' drifts");
  s.observable = "sean";
  refused(w, DP_ERR_INPUT, dp_assimilation_create(w->kind, w->record, 0, prior, &bad, &a), "'sean' is no observable");
  s = rough;
  s.law = DP_SENSOR_LOGNORMAL;
  s.scale = NAN;
  refused(w, DP_ERR_INPUT, dp_assimilation_create(w->kind, w->record, 0, prior, &bad, &a), "give a scale");
  s.scale = -1;
  refused(w, DP_ERR_INPUT, dp_assimilation_create(w->kind, w->record, 0, prior, &bad, &a), "scale of noise");
  bad = def;
  bad.method = "kalman";
  refused(w, DP_ERR_USAGE, dp_assimilation_create(w->kind, w->record, 0, prior, &bad, &a), "expected ibis");
  bad = def;
  bad.nparticle = 3;
  refused(w, DP_ERR_USAGE, dp_assimilation_create(w->kind, w->record, 0, prior, &bad, &a), "3 particles");
  dp_belief *b;
  dp_assimilate_def bd = dp_assimilate_def_default();
  OK(dp_assimilate(w->kind, w->record, 0, 3, prior, &bd, &b));
  b->usable = 0;
  strcpy(b->verdict, "k-hat 3");
  bad = def;
  bad.belief = b;
  refused(w, DP_ERR_CONFLICT, dp_assimilation_create(w->kind, w->record, 0, prior, &bad, &a), "k-hat 3");
  dp_belief_destroy(b);
  OK(dp_assimilation_create(w->kind, w->record, 0, prior, &def, &a));
  dp_observation o = {.time = 2.5, .value = 4};
  refused(w, DP_ERR_INPUT, dp_assimilation_read(a, &o, 1), "neither the record nor");
  o = (dp_observation){.time = 3, .sensor = 1, .value = 4};
  refused(w, DP_ERR_INPUT, dp_assimilation_forecast(a, &o, &out), "sensor 1");
  o = (dp_observation){.time = 3, .value = INFINITY};
  refused(w, DP_ERR_INPUT, dp_assimilation_read(a, &o, 1), "value inf");
  o.value = 4;
  OK(dp_assimilation_read(a, &o, 1)); /* nothing of it has done harm */
  dp_assimilation_destroy(a);
  dp_prior_destroy(prior);
  world_close(w);
}

/* A reading that nobody can explain is said, and no belief comes of it that may be used. */
static void test_impossible(void **state) {
  (void)state;
  world W, *w = &W;
  dp_prior *prior;
  dp_assimilation *a;
  dp_belief *b;
  open_all(w, &prior, 1);
  dp_assimilation_def def = dp_assimilation_def_default();
  OK(dp_assimilation_create(w->kind, w->record, 0, prior, &def, &a));
  dp_observation o = {.time = 3, .value = 1e200};
  OK(dp_assimilation_read(a, &o, 1));
  OK(dp_assimilation_belief(a, &b));
  assert_false(b->usable);
  print_message("%s\n", b->verdict);
  assert_non_null(strstr(b->verdict, "not usable"));
  dp_belief_destroy(b);
  dp_assimilation_destroy(a);
  dp_prior_destroy(prior);
  world_close(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_exact),   cmocka_unit_test(test_orders),
                                     cmocka_unit_test(test_laws),    cmocka_unit_test(test_theophylline),
                                     cmocka_unit_test(test_refused), cmocka_unit_test(test_impossible)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
