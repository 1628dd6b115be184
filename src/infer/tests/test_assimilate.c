/* Independent comparison: posterior means, spreads and evidence of one person by dense quadrature over three effects;
 * the prior's own moments where nothing is observed; hashes over threads and over changed future values. */
#include "theophylline.h"

#include <stdlib.h>

static dp_belief *belief(world *w, int subject, double until, const dp_prior *prior,
                         int discrepancy) {
  dp_assimilate_def def = dp_assimilate_def_default();
  dp_belief *b = NULL;
  def.seed = 7;
  def.discrepancy = discrepancy;
  OK(dp_assimilate(w->kind, w->record, subject, until, prior, &def, &b));
  return b;
}

static dp_prior *nominal(world *w) {
  dp_prior *p = NULL;
  OK(dp_prior_nominal(w->kind, &p));
  return p;
}

static void moments(const dp_belief *b, double *mean, double *sd) {
  for (int j = 0; j < b->neta; j++) {
    double s = 0, s2 = 0;
    for (int k = 0; k < b->ndraw; k++) s += b->weight[k] * b->eta[k * b->neta + j];
    for (int k = 0; k < b->ndraw; k++)
      s2 += b->weight[k] * (b->eta[k * b->neta + j] - s) * (b->eta[k * b->neta + j] - s);
    mean[j] = s;
    sd[j] = sqrt(s2);
  }
}

enum { GRID = 41 };

/* Sum of p(y | eta) p(eta) over a grid of +-5.5 posterior sd around the mode, written out with the formulas. */
static void quadrature(world *w, int subject, double until, const dp_prior *prior,
                       const dp_belief *b, double *mean, double *sd, double *evidence) {
  dpi_person *p = NULL;
  OK(dpi_person_create(w->kind, w->record, subject, until, false, &p));
  p->typical = prior->typical;
  int n = GRID * GRID * GRID, nobs = p->nobs;
  double *eta = malloc(sizeof(double) * 3 * n), *f = malloc(sizeof(double) * n * nobs),
         *s = malloc(sizeof(double) * n * nobs), *ind = malloc(sizeof(double) * 3 * n),
         *lp = malloc(sizeof(double) * n), step[3], m1[3] = {0}, m2[3] = {0};
  uint8_t *ok = malloc(n);
  for (int j = 0; j < 3; j++) step[j] = 11 * sqrt(b->covariance[4 * j]) / (GRID - 1);
  for (int i = 0; i < n; i++) {
    int at[3] = {i / (GRID * GRID), i / GRID % GRID, i % GRID};
    for (int j = 0; j < 3; j++) eta[3 * i + j] = b->mode[j] + (at[j] - GRID / 2) * step[j];
  }
  dpi_person_batch out = {f, s, ind, ok};
  OK(dpi_person_simulate(p, eta, n, &out));
  double best = -INFINITY, sum = 0;
  for (int i = 0; i < n; i++) {
    lp[i] = -INFINITY;
    if (!ok[i]) continue;
    lp[i] = 0;
    for (int k = 0; k < nobs; k++) {
      double z = (p->c->obs[k].value - f[i * nobs + k]) / s[i * nobs + k];
      lp[i] -= 0.5 * (z * z + 1.8378770664093454836) + dpi_m_log(s[i * nobs + k]);
    }
    for (int j = 0; j < 3; j++) {
      double v = prior->omega[4 * j] + prior->uncertainty[4 * j];
      lp[i] -= 0.5 * (eta[3 * i + j] * eta[3 * i + j] / v + dpi_m_log(v) + 1.8378770664093454836);
    }
    best = fmax(best, lp[i]);
  }
  for (int i = 0; i < n; i++) {
    double wt = dpi_m_exp(lp[i] - best);
    sum += wt;
    for (int j = 0; j < 3; j++) {
      m1[j] += wt * eta[3 * i + j];
      m2[j] += wt * eta[3 * i + j] * eta[3 * i + j];
    }
  }
  for (int j = 0; j < 3; j++) {
    mean[j] = m1[j] / sum;
    sd[j] = sqrt(m2[j] / sum - mean[j] * mean[j]);
  }
  *evidence = best + dpi_m_log(sum * step[0] * step[1] * step[2]);
  free(eta), free(f), free(s), free(ind), free(lp), free(ok);
  dpi_person_destroy(p);
}

static void test_against_quadrature(void **state) {
  (void)state;
  world W, *w = &W;
  world_open(w, 2);
  dp_prior *prior = nominal(w);
  static const struct {
    int subject;
    double until;
  } cases[] = {{0, 2.25}, {3, 1.0}, {8, 30}, {11, 2.25}};
  for (int c = 0; c < 4; c++) {
    dp_belief *b = belief(w, cases[c].subject, cases[c].until, prior, 0);
    double mean[3], sd[3], qmean[3], qsd[3], evidence;
    assert_true(b->usable);
    assert_true(b->khat < 0.7);
    moments(b, mean, sd);
    quadrature(w, cases[c].subject, cases[c].until, prior, b, qmean, qsd, &evidence);
    for (int j = 0; j < 3; j++) {
      /* 1000 draws of an effective sample of a thousand or more: standard error .03 to .05 sd */
      if (fabs(mean[j] - qmean[j]) > 0.12 * qsd[j] || fabs(sd[j] / qsd[j] - 1) > 0.12)
        fail_msg("case %d eta %d: mean %g (%g), sd %g (%g)", c, j, mean[j], qmean[j], sd[j],
                 qsd[j]);
    }
    if (fabs(b->evidence - evidence) > 0.05)
      fail_msg("case %d: evidence %g (%g)", c, b->evidence, evidence);
    assert_true(b->ppc_p > 0.001 && b->ppc_p < 0.9999);
    dp_belief_destroy(b);
  }
  dp_prior_destroy(prior);
  world_close(w);
}

static void test_threads_and_future(void **state) {
  (void)state;
  static const int nthread[] = {1, 2, 7, 16};
  char first[2][65] = {"", ""};
  for (int k = 0; k < 4; k++) {
    world W, *w = &W;
    world_open(w, nthread[k]);
    dp_prior *prior = nominal(w);
    /* what is later than until may be anything */
    if (k >= 2) assert_true(world_change(w, 6, 2.25, 3.0) > 3);
    for (int disc = 0; disc < 2; disc++) {
      dp_belief *b = belief(w, 6, 2.25, prior, disc);
      if (k == 0) strcpy(first[disc], b->hash);
      assert_string_equal(b->hash, first[disc]);
      dp_belief_destroy(b);
    }
    /* what is earlier may not */
    if (k == 3) {
      world_change(w, 6, 0.3, 1.1);
      dp_belief *b = belief(w, 6, 2.25, prior, 0);
      assert_string_not_equal(b->hash, first[0]);
      dp_belief_destroy(b);
    }
    dp_prior_destroy(prior);
    world_close(w);
  }
}

static void test_before_the_first_sample(void **state) {
  (void)state;
  world W, *w = &W;
  world_open(w, 1);
  dp_prior *prior = nominal(w);
  prior->uncertainty[4] = 0.05;
  dp_belief *b = belief(w, 0, -1, prior, -1);
  assert_string_equal(b->method, "prior");
  assert_int_equal(b->nobs, 0);
  assert_true(b->usable && isnan(b->ppc_p) && b->evidence == 0);
  double mean[3], sd[3];
  moments(b, mean, sd);
  for (int j = 0; j < 3; j++) {
    double want = sqrt(prior->omega[4 * j] + prior->uncertainty[4 * j]);
    assert_true(fabs(mean[j]) < 0.13 * want);
    assert_true(fabs(sd[j] / want - 1) < 0.1);
  }
  /* individual parameters: P = typical exp(eta) */
  for (int k = 0; k < b->ndraw; k += 97)
    for (int j = 0; j < 3; j++) {
      double p = prior->typical[w->kind->effect[j].typical] * dpi_m_exp(b->eta[3 * k + j]);
      assert_true(fabs(b->individual[3 * k + j] / p - 1) < 1e-12);
    }
  dp_belief_destroy(b);
  dp_prior_destroy(prior);
  world_close(w);
}

/* a discrepancy sd is drawn, grows when the data do not fit, and widens the belief */
static void test_discrepancy(void **state) {
  (void)state;
  world W, *w = &W;
  world_open(w, 2);
  dp_prior *prior = nominal(w);
  double median[2];
  for (int bad = 0; bad < 2; bad++) {
    if (bad) { /* alternate samples high and low: no curve of the model does that */
      for (int i = 0; i < w->record->subject[1].nevent; i++)
        ((dp_event *)w->record->subject[1].event)[i].value *= i / 2 % 2 ? 1.5 : 0.6;
    }
    dp_belief *b = belief(w, 1, 30, prior, 1);
    assert_non_null(b->discrepancy);
    assert_true(b->usable);
    double d[1000];
    memcpy(d, b->discrepancy, sizeof d);
    dpi_sort(d, 1000);
    assert_true(d[0] > 0);
    median[bad] = d[500];
    dp_belief_destroy(b);
  }
  assert_true(median[1] > 1.5 * median[0]);
  dp_prior_destroy(prior);
  world_close(w);
}

/* Asked for more effective draws, further rounds are drawn; the posterior stays the same. */
static void test_effective_draws_wanted(void **state) {
  (void)state;
  world W, *w = &W;
  world_open(w, 1);
  dp_prior *prior = nominal(w);
  dp_assimilate_def def = dp_assimilate_def_default();
  dp_belief *few = NULL, *many = NULL;
  def.nproposal = 500;
  OK(dp_assimilate(w->kind, w->record, 0, 24, prior, &def, &few));
  def.ess = 900;
  OK(dp_assimilate(w->kind, w->record, 0, 24, prior, &def, &many));
  if (!(few->ess < 500 && many->ess >= 900)) fail_msg("effective draws %g and %g", few->ess, many->ess);
  assert_string_equal(many->method, "adaptive mixture");
  double mean[2][8], sd[2][8];
  moments(few, mean[0], sd[0]);
  moments(many, mean[1], sd[1]);
  for (int j = 0; j < many->neta; j++) /* 4.5 standard errors of 200 draws: false alarm below 1e-4 */
    if (fabs(mean[0][j] - mean[1][j]) > 4.5 * sd[1][j] / sqrt(200))
      fail_msg("effect %d: mean %g and %g, sd %g", j, mean[0][j], mean[1][j], sd[1][j]);
  dp_belief_destroy(few);
  dp_belief_destroy(many);
  dp_prior_destroy(prior);
  world_close(w);
}

static void test_refusals(void **state) {
  (void)state;
  world W, *w = &W;
  world_open(w, 1);
  dp_prior *prior = nominal(w);
  dp_assimilate_def def = dp_assimilate_def_default();
  dp_belief *b = NULL;
  def.ess = -1;
  assert_int_equal(dp_assimilate(w->kind, w->record, 0, 2, prior, &def, &b), DP_ERR_USAGE);
  dp_ctx_clear_error(w->ctx);
  def = dp_assimilate_def_default();
  def.ndraw = 0;
  assert_int_equal(dp_assimilate(w->kind, w->record, 0, 2, prior, &def, &b), DP_ERR_USAGE);
  dp_ctx_clear_error(w->ctx);
  def = dp_assimilate_def_default();
  prior->omega[0] = -1;
  assert_int_equal(dp_assimilate(w->kind, w->record, 0, 2, prior, &def, &b), DP_ERR_INPUT);
  assert_null(b);
  dp_ctx_clear_error(w->ctx);
  dp_prior_destroy(prior);
  world_close(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_against_quadrature), cmocka_unit_test(test_threads_and_future),
      cmocka_unit_test(test_before_the_first_sample), cmocka_unit_test(test_discrepancy),
      cmocka_unit_test(test_effective_draws_wanted), cmocka_unit_test(test_refusals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
