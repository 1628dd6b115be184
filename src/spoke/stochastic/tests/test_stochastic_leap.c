/* The approximations against exact results: tau-leap's bias on birth and death with many and with few individuals, on a
 * dimer; Langevin's mean and deviation for large counts, conserved sums, a rate that follows time. */
#include "st_bed.h"

static const st_reaction turnover_reaction[] = {
    {"in", "k", {{"X", "1", 0}}, false}, {"out", "mu*X", {{"X", "-1", 1}}, false}, {0}};
static const st_state one[] = {{"X", "0", NULL}, {0}};
static const dp_output_def x_out[] = {{.id = "X"}};
static const char *const method[] = {"tau-leap", "langevin"};

/* mean within `bias` of the exact one, sd within `sd_bias`, each relative, beside 4 standard errors */
static void near(const bed_stat *s, int t, int o, double mean, double sd, double bias, double sd_bias,
                 const char *what) {
  if (s->nfailed) fail_msg("%s: %d failed: %s", what, s->nfailed, s->reason);
  const double got = sqrt(s->m2[t][o] / (s->n - 1));
  if (!(fabs(s->mean[t][o] - mean) <= bias * fabs(mean) + 4 * sd / sqrt(s->n) &&
        fabs(got - sd) <= sd * (sd_bias + 4 / sqrt(2.0 * s->n))))
    fail_msg("%s, time %d: mean %g (exact %g), sd %g (exact %g)", what, t, s->mean[t][o], mean, got, sd);
}

/* Poisson at all times: mean k/mu (1 - e^(-mu t)) */
static void test_turnover(void **state) {
  (void)state;
  const double t[] = {0.5, 3, 20};
  for (int big = 0; big < 2; big++)
    for (int k = 0; k < 2 - !big; k++) {
      const st_param param[] = {{"k", big ? 1e5 : 30}, {"mu", 1}, {0}};
      const st_model d = {one, param, turnover_reaction, NULL, NULL};
      dp_model *m = bed_model(&d);
      dp_sim *sim = bed_sim(m, method[k], x_out, 1);
      const bed_stat s = bed_go(sim, 2000, t, 3, NULL, 0, 2);
      for (int i = 0; i < 3; i++) {
        const double mean = param[0].value * (1 - exp(-t[i]));
        near(&s, i, 0, mean, sqrt(mean), 0.005, 0.05, method[k]);
        assert_true(s.least[i][0] >= 0);
      }
      dp_sim_destroy(sim);
      dp_model_destroy(m);
    }
}

/* Decay to nothing: binomial survivors; never negative */
static void test_decay(void **state) {
  (void)state;
  static const st_state states[] = {{"X", "2000", NULL}, {"Y", "0", NULL}, {0}};
  static const st_reaction reaction[] = {{"r", "X", {{"X", "-1", 1}, {"Y", "1", 0}}, false}, {0}};
  static const st_model d = {states, NULL, reaction, NULL, NULL};
  static const dp_output_def out[] = {{.id = "X"}, {.id = "sum", .formula = "X + Y"}};
  const double t[] = {0.5, 2, 4};
  dp_model *m = bed_model(&d);
  dp_sim *sim = bed_sim(m, "tau-leap", out, 2);
  const bed_stat s = bed_go(sim, 4000, t, 3, NULL, 0, 4);
  for (int i = 0; i < 3; i++) {
    const double p = exp(-t[i]);
    near(&s, i, 0, 2000 * p, sqrt(2000 * p * (1 - p)), 0.01, 0.05, "decay");
    assert_true(s.least[i][0] >= 0 && s.least[i][1] == 2000 && s.most[i][1] == 2000);
  }
  dp_sim_destroy(sim);
  dp_model_destroy(m);
}

/* The leaps' reference is the direct method on the same model */
static void test_dimer(void **state) {
  (void)state;
  static const st_state states[] = {{"P", "4000", NULL}, {"P2", "0", NULL}, {0}};
  static const st_reaction reaction[] = {{"bind", "1e-4*P*(P - 1)/2", {{"P", "-2", 2}, {"P2", "1", 0}}, false},
                                         {"part", "0.1*P2", {{"P", "2", 0}, {"P2", "-1", 1}}, false},
                                         {0}};
  static const st_model d = {states, NULL, reaction, NULL, NULL};
  static const dp_output_def out[] = {{.id = "P2"}, {.id = "sum", .formula = "P + 2*P2"}};
  const double t[] = {1, 10};
  dp_model *m = bed_model(&d);
  dp_sim *exact = bed_sim(m, "direct", out, 2);
  const bed_stat e = bed_go(exact, 3000, t, 2, NULL, 0, 4);
  for (int k = 0; k < 2; k++) {
    dp_sim *sim = bed_sim(m, method[k], out, 2);
    const bed_stat s = bed_go(sim, 3000, t, 2, NULL, 0, 5);
    for (int i = 0; i < 2; i++) {
      near(&s, i, 0, e.mean[i][0], sqrt(e.m2[i][0] / (e.n - 1)), 0.005, 0.1, method[k]);
      assert_true(fabs(s.least[i][1] - 4000) < 1e-6 && fabs(s.most[i][1] - 4000) < 1e-6);
    }
    dp_sim_destroy(sim);
  }
  dp_sim_destroy(exact);
  dp_model_destroy(m);
}

/* Time in the propensity: tau-leap says no, langevin follows */
static void test_time(void **state) {
  (void)state;
  static const st_state states[] = {{"X", "0", NULL}, {"c", "1", "-c"}, {0}};
  static const st_reaction reaction[] = {{"in", "4e4*(1 + sin(time)) + 1e4*c", {{"X", "1", 0}}, false}, {0}};
  static const st_model d = {states, NULL, reaction, NULL, NULL};
  const double t[] = {1, 5};
  dp_model *m = bed_model(&d);
  dp_sim_def def = bed_def(m, "tau-leap", x_out, 1);
  dp_sim *sim = NULL;
  assert_int_equal(dp_sim_create(bed_ctx, &def, &sim), DP_ERR_UNSUPPORTED);
  assert_non_null(strstr(dp_ctx_error(bed_ctx), "tau-leap"));
  dp_ctx_clear_error(bed_ctx);
  sim = bed_sim(m, "langevin", x_out, 1);
  const bed_stat s = bed_go(sim, 2000, t, 2, NULL, 0, 5);
  for (int i = 0; i < 2; i++) {
    const double mean = 4e4 * (t[i] + 1 - cos(t[i])) + 1e4 * (1 - exp(-t[i]));
    near(&s, i, 0, mean, sqrt(mean), 0.005, 0.05, "langevin in time");
  }
  dp_sim_destroy(sim);
  dp_model_destroy(m);
}

/* An event at a known time and one on a count interrupt leaps */
static void test_events(void **state) {
  (void)state;
  static const st_param param[] = {{"k", 1e5}, {"mu", 1}, {"hits", 0}, {0}};
  static const st_event event[] = {{"empty", "time >= 2", NULL, NULL, true, true, true, {{"X", "0"}}},
                                   {"high", "X > 5e4", NULL, NULL, true, true, true, {{"hits", "hits + 1"}}},
                                   {0}};
  static const st_model d = {one, param, turnover_reaction, event, NULL};
  static const dp_output_def out[] = {{.id = "X"}, {.id = "hits"}};
  const double t[] = {1.9, 2, 2.5};
  dp_model *m = bed_model(&d);
  for (int k = 0; k < 2; k++) {
    dp_sim *sim = bed_sim(m, method[k], out, 2);
    const bed_stat s = bed_go(sim, 300, t, 3, NULL, 0, 5);
    near(&s, 0, 0, 1e5 * (1 - exp(-1.9)), sqrt(1e5 * (1 - exp(-1.9))), 0.005, 0.1, method[k]);
    assert_true(s.most[1][0] == 0 && s.least[0][1] == 1 && s.most[2][1] == 1);
    near(&s, 2, 0, 1e5 * (1 - exp(-0.5)), sqrt(1e5 * (1 - exp(-0.5))), 0.005, 0.1, method[k]);
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_turnover), cmocka_unit_test(test_decay),
                                     cmocka_unit_test(test_dimer), cmocka_unit_test(test_time),
                                     cmocka_unit_test(test_events)};
  return cmocka_run_group_tests(tests, bed_setup, bed_teardown);
}
