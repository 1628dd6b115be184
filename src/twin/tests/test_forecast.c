/* Independent comparison: bands, PIT and CRPS against the Gaussian mixture of the draws' closed-form curves (libm; mixture
 * quantiles by bisection; CRPS of a mixture after Grimit et al. 2006, Q J R Meteorol Soc 132:2925, eq. 5); the discrepancy
 * against the inverse of the joint covariance, and against draws of src/infer/discrepancy.c. */
#include "twin_rig.h"

enum { MANY = 3000 };

/* One twin up to the forecast, of patient 0. */
static dp_twin *forecast(world *w, int ndraw, int discrepancy, double until) {
  dp_twin_def def = quick_def();
  def.ndraw = ndraw;
  def.nproposal = 3 * ndraw;
  def.discrepancy = discrepancy;
  def.until = until;
  dp_twin *t = twin_of(w, 0, &def);
  OK(dpi_twin_observe(t));
  OK(dpi_twin_assimilate(t));
  OK(dpi_twin_forecast(t));
  return t;
}

typedef struct mixture {
  int n;
  double *mean, *sd;
} mixture;

/* The law of a sample at time t under the twin's belief, or the population's. */
static mixture law(const world *w, const dp_twin *t, const dp_belief *b, double time) {
  mixture m = {b->ndraw, calloc((size_t)b->ndraw, sizeof(double)), calloc((size_t)b->ndraw, sizeof(double))};
  double sd = w->prior->typical[parameter_row(w, "sd_add")];
  for (int k = 0; k < m.n; k++) {
    m.mean[k] = closed_form(w, b, k, t->dose_amount[0], time);
    m.sd[k] = sd;
  }
  return m;
}

static void law_free(mixture *m) {
  free(m->mean);
  free(m->sd);
}

static double law_cdf(const mixture *m, double y) {
  double s = 0;
  for (int k = 0; k < m->n; k++) s += phi((y - m->mean[k]) / m->sd[k]);
  return s / m->n;
}

static double law_density(const mixture *m, double y) {
  double s = 0;
  for (int k = 0; k < m->n; k++) s += bell((y - m->mean[k]) / m->sd[k]) / m->sd[k];
  return s / m->n;
}

static double law_quantile(const mixture *m, double p) {
  double a = -100, b = 100;
  for (int i = 0; i < 60; i++) {
    double mid = 0.5 * (a + b);
    if (law_cdf(m, mid) < p)
      a = mid;
    else
      b = mid;
  }
  return a;
}

static double spread(double mean, double var) {
  double sd = sqrt(var);
  return 2 * sd * bell(mean / sd) + mean * (2 * phi(mean / sd) - 1);
}

static double law_crps(const mixture *m, double y) {
  double a = 0, b = 0;
  for (int i = 0; i < m->n; i++) {
    a += spread(y - m->mean[i], m->sd[i] * m->sd[i]);
    for (int j = 0; j < m->n; j++) b += spread(m->mean[i] - m->mean[j], m->sd[i] * m->sd[i] + m->sd[j] * m->sd[j]);
  }
  return a / m->n - 0.5 * b / ((double)m->n * m->n);
}

/* within 4.5 standard errors of a quantile from one noise value a draw */
static void check_fan(const world *w, const dp_twin *t, const dp_fan *fan, const dp_belief *b) {
  for (int i = 0; i < fan->ntime; i++) {
    mixture m = law(w, t, b, fan->time[i]);
    for (int l = 0; l < DP_NLEVEL; l++) {
      double q = law_quantile(&m, dp_level[l]), p = dp_level[l];
      double error = sqrt(p * (1 - p) / m.n) / law_density(&m, q);
      if (!(fabs(fan->q[i * DP_NLEVEL + l] - q) <= 4.5 * error))
        fail_msg("time %g level %g: %g, expected %g +- %g", fan->time[i], p, fan->q[i * DP_NLEVEL + l], q, error);
    }
    law_free(&m);
  }
}

static void bands_are_the_mixture(void **state) {
  world u, *w = &u;
  world_open(w, *state, TWINS "/theophylline");
  dp_twin *t = forecast(w, MANY, 0, 2.25);
  assert_int_equal(t->view.nfan, 1);
  check_fan(w, t, &t->fan[0], t->belief);
  check_fan(w, t, &t->fan_population[0], t->before);
  dp_twin_destroy(t);
  world_close(w);
}

static void scores_are_the_mixtures(void **state) {
  world u, *w = &u;
  world_open(w, *state, TWINS "/theophylline");
  dp_twin *t = forecast(w, 600, 0, 2.25);
  OK(dpi_twin_score(t));
  assert_true(t->view.nsealed == 6 && t->view.nscore == 6);
  double last = t->seen[t->view.nseen - 1].value;
  for (int i = 0; i < t->view.nscore; i++) {
    const dp_sample_score *s = &t->score[i];
    const dp_seen *o = &t->seen[s->observation];
    mixture m = law(w, t, t->belief, o->time), pop = law(w, t, t->before, o->time);
    assert_true(o->sealed && o->time > 2.25);
    rig_near(s->pit, law_cdf(&m, o->value), 1e-6);
    rig_near(s->crps[DP_BY_TWIN], law_crps(&m, o->value), 0.02);
    rig_near(s->crps[DP_BY_POPULATION], law_crps(&pop, o->value), 0.02);
    rig_near(s->error[DP_BY_TWIN], law_quantile(&m, 0.5) - o->value, 0.03);
    rig_near(s->crps[DP_BY_LAST], fabs(last - o->value), 1e-15);
    for (int b = 0; b < 4; b++)
      assert_int_equal(s->inside[b], o->value >= s->q[3 - b] && o->value <= s->q[5 + b]);
    law_free(&m);
    law_free(&pop);
  }
  assert_null(t->ahead.result); /* not kept beyond the score */
  dp_twin_destroy(t);
  world_close(w);
}

/* with nothing seen the twin knows what the population knows */
static void before_any_sample(void **state) {
  world u, *w = &u;
  world_open(w, *state, TWINS "/theophylline");
  dp_twin_def def = quick_def();
  def.until = -1;
  dp_twin *t = twin_of(w, 3, &def);
  OK(dp_twin_step(t));
  assert_int_equal(t->view.nseen, 0);
  assert_string_equal(t->belief->method, "prior");
  assert_memory_equal(t->fan[0].q, t->fan_population[0].q, sizeof(double) * DP_NLEVEL * (size_t)t->fan[0].ntime);
  for (int i = 0; i < t->view.nscore; i++) {
    assert_true(t->score[i].crps[DP_BY_TWIN] == t->score[i].crps[DP_BY_POPULATION]);
    assert_true(isnan(t->score[i].crps[DP_BY_LAST])); /* nothing to carry forward */
  }
  dp_twin_destroy(t);
  world_close(w);
}

/* what is sealed changes the score and nothing else */
static void sealed_means_sealed(void **state) {
  world u, *w = &u;
  world_open(w, *state, TWINS "/theophylline");
  dp_twin_def def = quick_def();
  def.decide = 1;
  dp_twin *a = twin_of(w, 0, &def);
  OK(dp_twin_step(a));
  assert_int_equal(change_sealed(w, 0, 2.25, 2.5), 6);
  dp_twin *b = twin_of(w, 0, &def);
  OK(dp_twin_step(b));
  assert_string_equal(a->belief->hash, b->belief->hash);
  assert_string_equal(a->fresh->hash, b->fresh->hash);
  assert_true(strcmp(a->fresh->hash, a->belief->hash) != 0); /* the plan is scored again on other draws */
  assert_memory_equal(a->fan[0].q, b->fan[0].q, sizeof(double) * DP_NLEVEL * (size_t)a->fan[0].ntime);
  assert_string_equal(a->advice->reason, b->advice->reason);
  for (int c = 0; c < a->advice->ncandidate; c++) {
    assert_memory_equal(a->advice->candidate[c].term, b->advice->candidate[c].term,
                        sizeof(dp_term_value) * (size_t)a->advice->nterm);
  }
  for (int i = 0; i < a->advice->nnext; i++)
    assert_memory_equal(&a->advice->next[i], &b->advice->next[i], sizeof a->advice->next[i]);
  for (int i = 0; i < a->view.nscore; i++) {
    assert_true(a->score[i].pit != b->score[i].pit);
    assert_memory_equal(a->score[i].q, b->score[i].q, sizeof a->score[i].q);
  }
  assert_true(strcmp(a->view.hash, b->view.hash) != 0);
  dp_twin_destroy(a);
  dp_twin_destroy(b);
  world_close(w);
}

/* ---- model discrepancy ---- */

/* Mean and variance at `time` from the inverse P of the joint covariance of (residuals, d): 1/P_dd and -P_dr r / P_dd. */
static void by_inverse(const world *w, const dp_twin *t, int draw, double time, double *mean, double *var) {
  int n = t->view.nseen;
  double joint[12 * 12], inverse[12 * 12], f[12], at[12], delta = t->belief->discrepancy[draw];
  double tau = w->kind->discrepancy_timescale, sd = w->prior->typical[parameter_row(w, "sd_add")];
  for (int i = 0; i <= n; i++) {
    at[i] = i < n ? t->seen[i].time : time;
    f[i] = closed_form(w, t->belief, draw, t->dose_amount[0], at[i]);
  }
  for (int i = 0; i <= n; i++)
    for (int j = 0; j <= n; j++)
      joint[i * (n + 1) + j] = delta * delta * f[i] * f[j] * exp(-fabs(at[i] - at[j]) / tau) + (i == j && i < n ? sd * sd : 0);
  assert_true(dpi_chol(joint, n + 1));
  dpi_chol_inverse(joint, n + 1, inverse);
  const double *row = inverse + n * (n + 1);
  *var = 1 / row[n];
  *mean = 0;
  for (int i = 0; i < n; i++) *mean -= row[i] * (t->seen[i].value - f[i]) / row[n];
}

static void discrepancy_given_residuals(void **state) {
  world u, *w = &u;
  world_open(w, *state, TWINS "/theophylline");
  dp_twin *t = forecast(w, 100, 1, 2.25);
  assert_non_null(t->belief->discrepancy);
  for (int k = 0; k < 100; k += 7)
    for (int i = 2; i < t->view.nfan * 17; i += 3) { /* (at time 0 there is nothing to be wrong about) */
      double mean, var;
      by_inverse(w, t, k, t->fan_time[i], &mean, &var);
      size_t at = (size_t)k * (size_t)t->ahead.ntime + (size_t)t->fan_row[i];
      rig_near(t->ahead.shift[at], mean, 1e-5);
      rig_near(t->ahead.extra[at], var, 1e-5);
      at = (size_t)k * (size_t)t->population.ntime + (size_t)t->fan_row[i]; /* nothing seen: the marginal law */
      double d = t->before->discrepancy[k] * closed_form(w, t->before, k, t->dose_amount[0], t->fan_time[i]);
      assert_true(t->population.shift[at] == 0);
      rig_near(t->population.extra[at], d * d, 1e-5);
    }
  dp_twin_destroy(t);
  world_close(w);
}

/* the room below draws from the same law */
static void discrepancy_drawn_below(void **state) {
  world u, *w = &u;
  world_open(w, *state, TWINS "/theophylline");
  dp_twin *t = forecast(w, 100, 1, 2.25);
  enum { N = 4000 };
  int n = t->view.nseen, draw = 5, i = 9;
  double at[12], resid[12], f[12], s[12], work[400], sum = 0, sum2 = 0, sd = w->prior->typical[parameter_row(w, "sd_add")];
  assert_true(dpi_disc_draw_work(n, 1) < 400);
  for (int k = 0; k < n; k++) {
    at[k] = t->seen[k].time;
    f[k] = closed_form(w, t->belief, draw, t->dose_amount[0], at[k]);
    s[k] = sd;
    resid[k] = t->seen[k].value - f[k];
  }
  double fstar = closed_form(w, t->belief, draw, t->dose_amount[0], t->fan_time[i]);
  dpi_disc_draw_def def = {.n = n, .m = 1, .t = at, .resid = resid, .f = f, .s = s, .tstar = &t->fan_time[i], .fstar = &fstar,
                           .delta = t->belief->discrepancy[draw], .tau = w->kind->discrepancy_timescale};
  for (int k = 0; k < N; k++) {
    dpi_rng rng = dpi_rng_make(9, (uint64_t)k, 1);
    double x;
    assert_true(dpi_disc_draw(&def, &rng, work, &x));
    sum += x;
    sum2 += x * x;
  }
  size_t place = (size_t)draw * (size_t)t->ahead.ntime + (size_t)t->fan_row[i];
  double mean = sum / N, var = sum2 / N - mean * mean;
  assert_true(fabs(mean - t->ahead.shift[place]) < 4 * sqrt(var / N));
  assert_true(fabs(var - t->ahead.extra[place]) < 4 * var * sqrt(2.0 / N));
  dp_twin_destroy(t);
  world_close(w);
}

/* Wider on the whole; less is known of it later than beside what was seen; scored with the same law. */
static void discrepancy_widens(void **state) {
  world u, *w = &u;
  world_open(w, *state, TWINS "/theophylline");
  w->prior->typical[parameter_row(w, "sd_add")] = 0.4; /* a measurement good enough to show the model's error beside it */
  dp_twin *on = forecast(w, MANY, 1, 2.25), *off = forecast(w, MANY, 0, 2.25);
  double width[2] = {0}, known[2] = {0};
  for (int i = 0; i < 17; i++) {
    const double *a = on->fan[0].q + i * DP_NLEVEL, *b = off->fan[0].q + i * DP_NLEVEL;
    if (on->fan_time[i] < 4 || on->fan_time[i] > 14) continue;
    width[0] += a[7] - a[1];
    width[1] += b[7] - b[1];
  }
  assert_true(width[0] > 1.05 * width[1]);
  for (int k = 0; k < MANY; k++)
    for (int i = 0; i < 2; i++) { /* what is left of its variance at the last seen and at the last sealed sample */
      int o = i ? on->c->nobs - 1 : on->view.nseen - 1;
      double d = on->belief->discrepancy[k] * closed_form(w, on->belief, k, on->dose_amount[0], on->seen[o].time);
      known[i] += on->ahead.extra[(size_t)k * (size_t)on->ahead.ntime + (size_t)on->obs_row[o]] / (d * d) / MANY;
    }
  assert_true(known[0] < 0.9 && known[1] > 0.95 && known[1] <= 1 + 1e-9);
  /* PIT: the mixture with shift and extra */
  int row = on->obs_row[on->view.nseen + 2];
  double y = on->seen[on->view.nseen + 2].value, pit = 0, sd = w->prior->typical[parameter_row(w, "sd_add")];
  for (int k = 0; k < MANY; k++) {
    size_t at = (size_t)k * (size_t)on->ahead.ntime + (size_t)row;
    double f = closed_form(w, on->belief, k, on->dose_amount[0], on->seen[on->view.nseen + 2].time);
    pit += phi((y - f - on->ahead.shift[at]) / sqrt(sd * sd + on->ahead.extra[at])) / MANY;
  }
  OK(dpi_twin_score(on));
  rig_near(on->score[2].pit, pit, 1e-6);
  dp_twin_destroy(on);
  dp_twin_destroy(off);
  world_close(w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(bands_are_the_mixture),       TEST(scores_are_the_mixtures), TEST(before_any_sample),  TEST(sealed_means_sealed),
      TEST(discrepancy_given_residuals), TEST(discrepancy_drawn_below), TEST(discrepancy_widens),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
