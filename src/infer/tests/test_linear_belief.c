/* Independent comparison: posteriors and evidence of a line that is Gaussian in its effects, in closed form (with
 * occasions, log-normal error, without effects) and by quadrature where a value is below its limit; beliefs before and
 * after the future was changed. */
#include "linear_kind.h"

static dp_belief *belief(world *w, double until, const dp_prior *prior) {
  dp_assimilate_def def = dp_assimilate_def_default();
  dp_belief *b = NULL;
  def.seed = 11;
  OK(dp_assimilate(w->kind, w->record, 0, until, prior, &def, &b));
  return b;
}

static const double VISIT_T[] = {1, 2, 3, 4, 6, 9};
static const char VISITS[] =
    "ID,TIME,DV,OCC\n1,1,4.1,1\n1,2,5.6,1\n1,3,6.2,1\n1,4,8.9,2\n1,6,9.1,2\n1,9,13,5\n";

/* derivative of y(t) by eta_base, eta_slope and the slope's effects of the occasions from 0, 4 and 9 h */
static void visit_row(double t, double a[5]) {
  a[0] = 1;
  a[1] = t;
  a[2] = fmin(t, 4);
  a[3] = fmax(0, fmin(t, 9) - 4);
  a[4] = fmax(0, t - 9);
}

/* Moments of the draws: 1000 of them, so a standard error of .03 sd. */
static void check_draws(const dp_belief *b, const double *mean, const double *cov) {
  for (int j = 0; j < b->neta; j++) {
    double m = 0, v = 0, sd = sqrt(cov[j * b->neta + j]);
    for (int k = 0; k < b->ndraw; k++) m += b->weight[k] * b->eta[k * b->neta + j];
    for (int k = 0; k < b->ndraw; k++)
      v += b->weight[k] * (b->eta[k * b->neta + j] - m) * (b->eta[k * b->neta + j] - m);
    if (fabs(m - mean[j]) > 0.12 * sd || fabs(sqrt(v) / sd - 1) > 0.12)
      fail_msg("eta %d: %g (%g), sd %g (%g)", j, m, mean[j], sqrt(v), sd);
  }
}

static void test_occasions(void **state) {
  (void)state;
  static const variant v = {.name = "occasions", .correlated = true, .iov = "slope"};
  static const double y[] = {4.1, 5.6, 6.2, 8.9, 9.1, 13};
  /* omega + uncertainty of the person's effects; the occasions' own variance */
  static const double omega[25] = {.55, .12, 0, 0, 0, .12, .3, 0, 0, 0, 0, 0, .2,
                                   0,   0,   0, 0, 0, .2,  0,  0, 0, 0, 0, .2};
  world W, *w = &W;
  linear_open(w, &v, 2);
  OK(linear_read(w, VISITS));
  dp_prior *prior = NULL;
  OK(dp_prior_nominal(w->kind, &prior));
  prior->uncertainty[0] = .05;
  prior->uncertainty[1] = prior->uncertainty[3] = .02;
  static const int last[] = {3, 4,
                             5}; /* the last sample begins an occasion, lies in one, begins one */
  for (int c = 0; c < 3; c++) {
    int n = last[c] + 1;
    double a[30], r[6], mean[5], cov[25];
    for (int i = 0; i < n; i++) {
      visit_row(VISIT_T[i], a + 5 * i);
      r[i] = y[i] - (2 + VISIT_T[i]);
    }
    double evidence = gaussian(n, 5, a, omega, .4, r, mean, cov);
    dp_belief *b = belief(w, VISIT_T[last[c]], prior);
    assert_int_equal(b->neta, 5);
    assert_int_equal(b->nobs, n);
    assert_true(b->usable);
    for (int j = 0; j < 5; j++) near("mode", b->mode[j], mean[j], 1e-6);
    for (int j = 0; j < 25; j++) near("covariance", b->covariance[j], cov[j], 1e-6);
    near("evidence", b->evidence, evidence, 0.01);
    check_draws(b, mean, cov);
    /* base, slope and slope again at the last sample, in the occasion that holds there */
    int occasion = c == 2 ? 4 : 3;
    for (int k = 0; k < b->ndraw; k++) {
      const double *e = b->eta + 5 * k, *p = b->individual + 3 * k;
      near("base", p[0], 2 + e[0], 1e-12);
      near("slope", p[1], 1 + e[1] + e[occasion], 1e-12);
      near("slope", p[2], p[1], 1e-12);
    }
    dp_belief_destroy(b);
  }
  dp_prior_destroy(prior);
  world_close(w);
}

/* At the start of the second occasion its effect on base shows and that on slope does not yet: it follows by
 * covariance. */
static void test_correlated_occasions(void **state) {
  (void)state;
  static const variant v = {.name = "pair", .iov = "slope", .iov_pair = true};
  static const double y[] = {4.1, 5.6, 6.2, 9.9};
  world W, *w = &W;
  linear_open(w, &v, 1);
  OK(linear_read(w, VISITS));
  dp_prior *prior = NULL;
  OK(dp_prior_nominal(w->kind, &prior));
  ((dp_event *)w->record->subject[0].event)[3].value = 9.9;
  /* eta_base, eta_slope, then slope's and base's of each occasion */
  double a[4 * 6], r[4], omega[36] = {0}, mean[6], cov[36];
  omega[0] = .5, omega[7] = .3;
  for (int o = 2; o < 6; o += 2) {
    omega[7 * o] = .2, omega[7 * (o + 1)] = .4;
    omega[6 * o + o + 1] = omega[6 * (o + 1) + o] = .25;
  }
  for (int i = 0; i < 4; i++) {
    double t = VISIT_T[i], row[6] = {1, t, t, i < 3, 0, i == 3};
    memcpy(a + 6 * i, row, sizeof row);
    r[i] = y[i] - (2 + t);
  }
  double evidence = gaussian(4, 6, a, omega, .4, r, mean, cov);
  assert_true(fabs(mean[4]) > .3 * sqrt(cov[28]));
  /* the record announces a third occasion: two more directions, at their prior */
  dp_belief *b = belief(w, 4, prior);
  assert_int_equal(b->neta, 8);
  double mean8[8] = {0}, cov8[64] = {0};
  for (int j = 0; j < 6; j++) {
    mean8[j] = mean[j];
    for (int k = 0; k < 6; k++) cov8[8 * j + k] = cov[6 * j + k];
  }
  cov8[54] = .2, cov8[63] = .4, cov8[55] = cov8[62] = .25;
  for (int j = 0; j < 8; j++) near("mode", b->mode[j], mean8[j], 1e-6);
  for (int j = 0; j < 64; j++) near("covariance", b->covariance[j], cov8[j], 1e-6);
  near("evidence", b->evidence, evidence, 0.01);
  check_draws(b, mean8, cov8);
  dp_belief_destroy(b);
  dp_prior_destroy(prior);
  world_close(w);
}

/* The evidence is a density of y itself: that of ln y less the sum of ln y. */
static void test_lognormal(void **state) {
  (void)state;
  static const variant v = {.name = "lognormal", .lognormal = true};
  static const double omega[4] = {.5, 0, 0, .3}, y[] = {20, 90, 4000};
  world W, *w = &W;
  linear_open(w, &v, 1);
  OK(linear_read(w, "ID,TIME,DV\n1,1,20\n1,2,90\n1,5,4000\n"));
  dp_prior *prior = NULL;
  OK(dp_prior_nominal(w->kind, &prior));
  double a[6], r[3], mean[2], cov[4], sum = 0;
  static const double t[] = {1, 2, 5};
  for (int i = 0; i < 3; i++) {
    a[2 * i] = 1;
    a[2 * i + 1] = t[i];
    r[i] = log(y[i]) - (2 + t[i]);
    sum += log(y[i]);
  }
  double want = gaussian(3, 2, a, omega, .4, r, mean, cov) - sum;
  dp_belief *b = belief(w, 5, prior);
  for (int j = 0; j < 2; j++) near("mode", b->mode[j], mean[j], 1e-6);
  near("evidence", b->evidence, want, 0.003);
  check_draws(b, mean, cov);
  double objective = 0;
  for (int m = 0; m < 2; m++) {
    OK(dp_prior_objective(w->kind, w->record, NULL, 0, prior, m ? "focei" : "laplace", &objective));
    near("objective", objective, -2 * want, 1e-8);
  }
  dp_belief_destroy(b);
  dp_prior_destroy(prior);
  world_close(w);
}

/* one value below its limit: p(y) by a 400 x 400 grid, with the limit's probability from erfc */
static void test_below_limit(void **state) {
  (void)state;
  static const variant v = {.name = "below", .lognormal = true};
  world W, *w = &W;
  linear_open(w, &v, 1);
  OK(linear_read(w, "ID,TIME,DV,CENS\n1,1,20,0\n1,2,15,1\n1,5,900,0\n"));
  dp_prior *prior = NULL;
  OK(dp_prior_nominal(w->kind, &prior));
  double sum = 0, m[2] = {0}, h = 0.02;
  for (int i = 0; i < 400; i++)
    for (int j = 0; j < 400; j++) {
      double e0 = (i - 199.5) * h, e1 = (j - 199.5) * h, base = 2 + e0, slope = 1 + e1;
      double z1 = (log(20) - base - slope) / .4, z5 = (log(900) - base - 5 * slope) / .4,
             u = (log(15) - base - 2 * slope) / .4;
      double lp = -0.5 * (z1 * z1 + z5 * z5 + e0 * e0 / .5 + e1 * e1 / .3);
      double p = exp(lp) * 0.5 * erfc(-u / sqrt(2.0)) * h * h;
      sum += p;
      m[0] += p * e0;
      m[1] += p * e1;
    }
  /* constants: two measured values, two effects, dy = y d ln y */
  double evidence = log(sum) - 2 * LN_2PI - 2 * log(.4) - 0.5 * log(.15) - log(20) - log(900);
  dp_belief *b = belief(w, 5, prior);
  near("evidence", b->evidence, evidence, 0.005);
  for (int j = 0; j < 2; j++) {
    double mean = 0;
    for (int k = 0; k < b->ndraw; k++) mean += b->eta[2 * k + j] / b->ndraw;
    if (fabs(mean - m[j] / sum) > 0.12 * sqrt(b->covariance[3 * j]))
      fail_msg("eta %d: %g (%g)", j, mean, m[j] / sum);
  }
  dp_belief_destroy(b);
  dp_prior_destroy(prior);
  world_close(w);
}

static void test_not_positive(void **state) {
  (void)state;
  static const variant v = {.name = "positive", .lognormal = true};
  static const char *const value[] = {"0", "-3"};
  world W, *w = &W;
  linear_open(w, &v, 1);
  for (int i = 0; i < 2; i++) {
    char text[100];
    snprintf(text, sizeof text, "ID,TIME,DV\n1,1,20\n1,2,%s\n", value[i]);
    assert_int_equal(linear_read(w, text), DP_ERR_INPUT);
    assert_null(w->record);
    assert_non_null(strstr(dp_ctx_error(w->ctx), "record.csv:3: column DV"));
    assert_non_null(strstr(dp_ctx_error(w->ctx), "lognormal"));
    dp_ctx_clear_error(w->ctx);
  }
  /* below a limit it is welcome */
  OK(linear_read(w, "ID,TIME,DV,CENS,LLOQ\n1,1,20,0,.\n1,2,0,1,0.5\n"));
  world_close(w);
}

/* y ~ N(2 + t, .4^2) and nothing to learn */
static void test_nobody_differs(void **state) {
  (void)state;
  static const variant v = {.name = "nobody", .no_effect = true};
  world W, *w = &W;
  linear_open(w, &v, 1);
  OK(linear_read(w, "ID,TIME,DV\n1,1,3.5\n1,3,4.8\n"));
  dp_prior *prior = NULL;
  OK(dp_prior_nominal(w->kind, &prior));
  dp_belief *b = belief(w, 3, prior);
  double chi2 = (.25 + .04) / .16;
  near("evidence", b->evidence, -0.5 * chi2 - LN_2PI - 2 * log(.4), 1e-9);
  near("p", b->ppc_p, exp(-0.5 * chi2), 1e-9); /* chi-squared with two degrees of freedom */
  assert_int_equal(b->nobs, 2);
  assert_true(b->usable);
  assert_null(strstr(b->verdict, "no observations"));
  dp_belief_destroy(b);
  dp_prior_destroy(prior);
  world_close(w);
}

/* p(y) = integral of N(y; f, .4^2 I + delta^2 f f' exp(-|dt|/3)) over a half-normal delta of scale .2, by
 * Simpson's rule */
static void test_discrepancy_evidence(void **state) {
  (void)state;
  static const variant v = {.name = "discrepancy", .no_effect = true};
  static const double y[] = {3.9, 5.6, 7.1}, t[] = {1, 2, 4};
  world W, *w = &W;
  linear_open(w, &v, 1);
  OK(linear_read(w, "ID,TIME,DV\n1,1,3.9\n1,2,5.6\n1,4,7.1\n"));
  dp_prior *prior = NULL;
  dp_belief *b = NULL;
  dp_assimilate_def def = dp_assimilate_def_default();
  OK(dp_prior_nominal(w->kind, &prior));
  def.discrepancy = 1;
  OK(dp_assimilate(w->kind, w->record, 0, 4, prior, &def, &b));
  enum { N = 2000 };
  double sum = 0, mean = 0, h = 2.0 / N;
  for (int k = 0; k <= N; k++) {
    double delta = k * h, a[9] = {0}, omega[9], r[3];
    for (int i = 0; i < 3; i++) {
      a[4 * i] = 2 + t[i];
      r[i] = y[i] - (2 + t[i]);
      for (int j = 0; j < 3; j++) omega[3 * i + j] = delta * delta * exp(-fabs(t[i] - t[j]) / 3);
    }
    double p = exp(gaussian(3, 3, a, omega, .4, r, NULL, NULL)) * sqrt(2 / 3.14159265358979) / .2 *
               exp(-0.5 * delta * delta / .04);
    p *= h / 3 * (k == 0 || k == N ? 1 : k % 2 ? 4 : 2);
    sum += p;
    mean += p * delta;
  }
  near("evidence", b->evidence, log(sum), 0.003);
  double got = 0;
  for (int k = 0; k < b->ndraw; k++) got += b->discrepancy[k] / b->ndraw;
  near("mean delta", got, mean / sum, 0.01);
  dp_belief_destroy(b);
  dp_prior_destroy(prior);
  world_close(w);
}

/* A covariate, an occasion and a value that come after `until` change no byte, whatever the convention. */
static void test_future_covariate(void **state) {
  (void)state;
  static const variant v[] = {{.name = "locf", .weight = "locf", .iov = "slope"},
                              {.name = "nocb", .weight = "nocb", .iov = "slope"}};
  static const char *const late[] = {"1,5,.,2,70,1\n1,6,7.9,0,70,1\n",
                                     "1,5,.,2,140,2\n1,6,99,0,35,3\n"};
  for (int k = 0; k < 2; k++) {
    world W, *w = &W;
    char text[300], hash[3][65];
    linear_open(w, &v[k], 1);
    dp_prior *prior = NULL;
    OK(dp_prior_nominal(w->kind, &prior));
    for (int f = 0; f < 2; f++)
      for (int seen = 0; seen < 2; seen++) {
        snprintf(text, sizeof text, "ID,TIME,DV,EVID,W,OCC\n1,0,.,2,70,1\n%s%s",
                 seen ? "1,2,4.4,0,70,1\n" : "", late[f]);
        OK(linear_read(w, text));
        dp_belief *b = belief(w, 3, prior);
        assert_int_equal(b->nobs, seen);
        /* the individual parameters; the whole belief also holds the effects of occasions to come */
        dpi_sha256 *h = dpi_sha256_create(w->ctx);
        dpi_sha256_add(h, b->individual, sizeof(double) * 3 * (size_t)b->ndraw);
        for (int i = 0; i < b->ndraw; i++)
          dpi_sha256_add(h, b->eta + (size_t)i * b->neta, 3 * sizeof(double));
        dpi_sha256_finish(h, f ? hash[2] : hash[seen]);
        if (f) assert_string_equal(hash[2], hash[seen]);
        dp_belief_destroy(b);
      }
    dp_prior_destroy(prior);
    world_close(w);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_occasions),
                                     cmocka_unit_test(test_correlated_occasions),
                                     cmocka_unit_test(test_lognormal),
                                     cmocka_unit_test(test_below_limit),
                                     cmocka_unit_test(test_not_positive),
                                     cmocka_unit_test(test_nobody_differs),
                                     cmocka_unit_test(test_discrepancy_evidence),
                                     cmocka_unit_test(test_future_covariate)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
