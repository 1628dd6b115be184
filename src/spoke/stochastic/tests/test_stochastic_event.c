/* Events in jump processes: exact times, triggers on counts, delays, persistence, priorities and random ties, values
 * from trigger time, random draws of every phase; triggers on flow that is straight and that is not; what is refused
 * and what fails, by name. */
#include "st_bed.h"

#define Z 4.0

static const st_state one[] = {{"X", "100", NULL}, {0}};
static const st_reaction bd_reaction[] = {
    {"birth", "0.1*X", {{"X", "1", 1}}, false}, {"death", "0.11*X", {{"X", "-1", 1}}, false}, {0}};
static const dp_output_def x_out[] = {{.id = "X"}};
static const char *const exact[] = {"direct", "next-reaction"};

/* X = 20 at 22.5: then a new birth and death process */
static void test_time(void **state) {
  (void)state;
  static const st_event event[] = {{"reset", "time >= 22.5", NULL, NULL, false, true, true, {{"X", "20"}}}, {0}};
  static const st_model d = {one, NULL, bd_reaction, event, NULL};
  const double t[] = {22, 22.5, 23, 40};
  dp_model *m = bed_model(&d);
  for (int k = 0; k < 2; k++) {
    dp_sim *sim = bed_sim(m, exact[k], x_out, 1);
    const bed_stat s = bed_go(sim, 6000, t, 4, NULL, 0, 11);
    for (int i = 0; i < 4; i++) {
      const double r = -0.01, since = i < 1 ? t[i] : t[i] - 22.5, e = exp(r * since), x = i < 1 ? 100 : 20;
      bed_expect(&s, i, 0, x * e, sqrt(x * (0.21 / r) * e * (e - 1)), Z, exact[k]);
    }
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

/* Immigration that an event stops at the tenth: X stays 10, and the time of that is Erlang */
static void test_count(void **state) {
  (void)state;
  static const st_state states[] = {{"X", "0", NULL}, {"when", "0", NULL}, {0}};
  static const st_param param[] = {{"k", 5}, {0}};
  static const st_reaction reaction[] = {{"in", "k", {{"X", "1", 0}}, false}, {0}};
  static const st_event event[] = {{"full", "X >= 10", NULL, NULL, true, true, true, {{"k", "0"}, {"when", "time"}}},
                                   {0}};
  static const st_model d = {states, param, reaction, event, NULL};
  static const dp_output_def out[] = {{.id = "X"}, {.id = "when"}};
  const double t[] = {30};
  dp_model *m = bed_model(&d);
  for (int k = 0; k < 2; k++) {
    dp_sim *sim = bed_sim(m, exact[k], out, 2);
    const bed_stat s = bed_go(sim, 4000, t, 1, NULL, 0, 11);
    assert_true(s.least[0][0] == 10 && s.most[0][0] == 10);
    bed_expect(&s, 0, 1, 2, sqrt(10) / 5, Z, "Erlang");
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

/* Without jumps everything has one answer: value of each output at the times, for one member */
static void one_answer(const st_model *d, const dp_output_def *out, int nout, const double *t, int nt,
                       const double *want, double tol) {
  dp_model *m = bed_model(d);
  for (int k = 0; k < 2; k++) {
    dp_sim *sim = bed_sim(m, exact[k], out, nout);
    const bed_stat s = bed_go(sim, 3, t, nt, NULL, 0, 1);
    if (s.nfailed) fail_msg("%s", s.reason);
    for (int i = 0; i < nt; i++)
      for (int o = 0; o < nout; o++)
        if (!(fabs(s.mean[i][o] - want[i * nout + o]) <= tol && s.least[i][o] == s.most[i][o]))
          fail_msg("output %d at %g: %.17g, expected %.17g", o, t[i], s.mean[i][o], want[i * nout + o]);
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

static void test_delay(void **state) {
  (void)state;
  static const st_state states[] = {{"a", "0", NULL}, {"b", "0", NULL}, {"c", "0", NULL}, {"t", "0", "1"}, {0}};
  static const st_event event[] = {/* values from trigger time: 1; at execution: 3 */
                                   {"early", "t >= 1", "2", NULL, true, true, true, {{"a", "t"}}},
                                   {"late", "t >= 1", "2", NULL, true, true, false, {{"b", "t"}}},
                                   /* true from 1 to 1.5: what is not persistent never happens */
                                   {"lost", "t >= 1 && t < 1.5", "2", NULL, true, false, true, {{"c", "1"}}},
                                   {0}};
  static const st_model d = {states, NULL, NULL, event, NULL};
  static const dp_output_def out[] = {{.id = "a"}, {.id = "b"}, {.id = "c"}, {.id = "t"}};
  const double t[] = {2.999, 3, 5}, want[] = {0, 0, 0, 2.999, 1, 3, 0, 3, 1, 3, 0, 5};
  one_answer(&d, out, 4, t, 3, want, 1e-12);
}

/* priorities: 5*2 + 3, not (5 + 3)*2; a chain of events; one true at the start; a trigger that is true and false again
 */
static void test_priority(void **state) {
  (void)state;
  static const st_state states[] = {{"a", "5", NULL}, {"b", "0", NULL}, {"n", "0", NULL}, {0}};
  static const st_event event[] = {{"add", "time >= 1", NULL, "1", true, true, true, {{"a", "a + 3"}}},
                                   {"twice", "time >= 1", NULL, "2", true, true, false, {{"a", "a*2"}}},
                                   {"then", "a > 11", NULL, NULL, true, true, false, {{"b", "b + a"}}},
                                   {"start", "time >= 0", NULL, NULL, false, true, true, {{"b", "100"}}},
                                   {"wave", "sin(time) > 0.5", NULL, NULL, true, true, true, {{"n", "n + 1"}}},
                                   {0}};
  static const st_model d = {states, NULL, NULL, event, NULL};
  static const dp_output_def out[] = {{.id = "a"}, {.id = "b"}, {.id = "n"}};
  /* "add" has its value from trigger time (8), so the lower priority wins in the end: 8; "twice" made 10 before */
  const double t[] = {0, 0.999, 1, 20}, want[] = {5, 100, 0, 5, 100, 1, 8, 100, 1, 8, 100, 4};
  one_answer(&d, out, 3, t, 4, want, 0);
}

/* of two with equal priority, or without any, either is first, with equal chances */
static void one_tie(const char *priority) {
  const st_state states[] = {{"a", "0", NULL}, {0}};
  const st_event event[] = {{"add", "time >= 1", NULL, priority, true, true, false, {{"a", "a + 1"}}},
                            {"twice", "time >= 1", NULL, priority, true, true, false, {{"a", "a*2"}}},
                            {0}};
  const st_model d = {states, NULL, NULL, event, NULL};
  static const dp_output_def out[] = {{.id = "a"}};
  const double t[] = {1};
  dp_model *m = bed_model(&d);
  dp_sim *sim = bed_sim(m, "direct", out, 1);
  const bed_stat s = bed_go(sim, 4000, t, 1, NULL, 0, 1);
  bed_expect(&s, 0, 0, 1.5, 0.5, Z, "tie");
  dp_sim_destroy(sim);
  dp_model_destroy(m);
}

static void test_tie(void **state) {
  (void)state;
  one_tie("3");
  one_tie(NULL);
}

/* a clock that an event sets back each unit of time; every draw is new; initial values from draws that use each other
 */
static void test_draws(void **state) {
  (void)state;
  static const st_state states[] = {{"X", "d0 + d1", NULL}, {"Y", "0", NULL}, {"t", "0", "1"}, {"u", "0", NULL}, {0}};
  static const st_draw draw[] = {{"d0", DPI_VARIATE_NORMAL, {"10", "2"}, DPI_DRAW_START, 0},
                                 {"d1", DPI_VARIATE_NORMAL, {"d0", "1"}, DPI_DRAW_START, 0},
                                 {"d2", DPI_VARIATE_EXPONENTIAL, {"2"}, DPI_DRAW_TRIGGER, 0},
                                 {"d3", DPI_VARIATE_UNIFORM, {"0", "0.25"}, DPI_DRAW_TRIGGER, 1},
                                 {"d4", DPI_VARIATE_POISSON, {"4 + 0*Y"}, DPI_DRAW_EXECUTION, 1},
                                 {0}};
  static const st_event event[] = {
      {"tick", "t >= 0.5", NULL, NULL, true, true, true, {{"Y", "d2"}, {"t", "-0.5"}}},
      {"later", "t >= 0.25", "d3", NULL, true, true, false, {{"u", "d4 + 100*(t > 0.25)"}}},
      {0}};
  static const st_model d = {states, NULL, NULL, event, draw};
  static const dp_output_def out[] = {{.id = "X"}, {.id = "Y"}, {.id = "u"}, {.id = "t"}};
  const double t[] = {0, 1, 2, 9};
  dp_model *m = bed_model(&d);
  dp_sim *sim = bed_sim(m, "direct", out, 4);
  const bed_stat s = bed_go(sim, 6000, t, 4, NULL, 0, 1);
  for (int i = 0; i < 4; i++) {
    bed_expect(&s, i, 0, 20, sqrt(4 * 4 + 1), Z, "initial value");
    assert_true(fabs(s.least[i][3]) < 1e-12 && fabs(s.most[i][3]) < 1e-12);
    if (i == 0) continue;
    if (!(fabs(s.mean[i][1] - 0.5) < Z * 0.5 / sqrt(6000))) fail_msg("exponential: mean %g", s.mean[i][1]);
    bed_expect(&s, i, 2, 104, 2, Z, "Poisson after a random delay");
  }
  dp_sim_destroy(sim);
  dp_model_destroy(m);
}

/* c = e^-t crosses 1/2 at ln 2 while jumps go on; the event switches the flow's direction */
static void test_curved(void **state) {
  (void)state;
  static const st_state states[] = {{"c", "1", "s*c"}, {"X", "0", NULL}, {"when", "0", NULL}, {0}};
  static const st_param param[] = {{"s", -1}, {0}};
  static const st_reaction reaction[] = {{"in", "10 + 10*c", {{"X", "1", 0}}, false}, {0}};
  static const st_event event[] = {{"half", "c <= 0.5", NULL, NULL, true, true, true, {{"s", "0"}, {"when", "time"}}},
                                   {0}};
  static const st_model d = {states, param, reaction, event, NULL};
  static const dp_output_def out[] = {{.id = "c"}, {.id = "when"}, {.id = "X"}};
  const double t[] = {0.5, 3};
  dp_model *m = bed_model(&d);
  dp_sim *sim = bed_sim(m, "direct", out, 3);
  const bed_stat s = bed_go(sim, 3000, t, 2, NULL, 0, 1);
  for (int side = 0; side < 2; side++) {
    assert_true(fabs((side ? s.most : s.least)[1][0] - 0.5) < 1e-7);
    assert_true(fabs((side ? s.most : s.least)[1][1] - log(2)) < 1e-6);
  }
  const double x = 10 * 3 + 10 * 0.5 + 5 * (3 - log(2));
  bed_expect(&s, 1, 2, x, sqrt(x), Z, "jumps beside");
  dp_sim_destroy(sim);
  dp_model_destroy(m);
}

/* ---- instants ---- */

static void test_instants(void **state) {
  (void)state;
  static const st_param param[] = {{"lag", 0.5}, {0}};
  static const st_model d = {one, param, bd_reaction, NULL, NULL};
  const dp_control_def control[] = {{.id = "dose", .target = "X", .bioavailability = "0.5", .lag = "lag"}};
  dp_model *m = bed_model(&d);
  dp_sim_def def = bed_def(m, "direct", x_out, 1);
  def.control = control;
  def.ncontrol = 1;
  dp_sim *sim = NULL;
  BED_OK(dp_sim_create(bed_ctx, &def, &sim));
  dp_instant in[2] = {dp_instant_default(), dp_instant_default()};
  in[0].time = T(1);
  in[0].type = DP_SET;
  in[0].amount = 0;
  in[1].time = T(2);
  in[1].type = DP_ADD;
  in[1].amount = 200;
  const double t[] = {0.5, 1, 2, 2.49, 2.5, 10};
  const bed_stat s = bed_go(sim, 4000, t, 6, in, 2, 3);
  for (int i = 1; i < 4; i++) assert_true(s.most[i][0] == 0);
  assert_true(s.least[4][0] == 100 && s.most[4][0] == 100);
  const double r = -0.01, e = exp(r * 7.5);
  bed_expect(&s, 5, 0, 100 * e, sqrt(100 * (0.21 / r) * e * (e - 1)), Z, "after the dose");
  in[1].type = DP_INFUSE;
  in[1].rate = 3;
  const double param0[] = {0.5};
  const dp_member member = {.param = param0, .instant = in, .ninstant = 2};
  dp_run_opts opts = dp_run_opts_default();
  dp_run *run = NULL;
  assert_int_equal(dp_run_open(sim, &member, 1, &opts, &run), DP_ERR_UNSUPPORTED);
  assert_non_null(strstr(dp_ctx_error(bed_ctx), "infusion"));
  dp_ctx_clear_error(bed_ctx);
  dp_sim_destroy(sim);
  dp_model_destroy(m);
}

/* ---- what fails and what is refused ---- */

static void fails(const st_reaction *r, const st_state *s, const char *word) {
  const st_model d = {s, NULL, r, NULL, NULL};
  const double t[] = {5};
  dp_model *m = bed_model(&d);
  for (int k = 0; k < 2; k++) {
    dp_sim *sim = bed_sim(m, exact[k], x_out, 1);
    const bed_stat got = bed_go(sim, 5, t, 1, NULL, 0, 3);
    if (got.nfailed != 5 || !strstr(got.reason, word) || !(got.fail_time >= 0 && got.fail_time < 5))
      fail_msg("%d failed at %g: '%s', expected '%s'", got.nfailed, got.fail_time, got.reason, word);
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

static void test_failures(void **state) {
  (void)state;
  static const st_state half[] = {{"X", "2.5", NULL}, {0}}, bad[] = {{"X", "1/0", NULL}, {0}};
  static const st_reaction net[] = {
      {"back", "50 - X", {{"X", "-1", 1}}, false}, {"in", "100", {{"X", "1", 0}}, false}, {0}};
  static const st_reaction zero[] = {{"eat", "10", {{"X", "-1", 0}}, false}, {0}};
  static const st_reaction nan[] = {{"odd", "(X - 98.5)^0.5", {{"X", "-1", 0}}, false}, {0}};
  fails(net, one, "reaction 'back': its rate is");
  fails(zero, half, "takes 'X' from 0.5 below zero");
  fails(zero, bad, "initial value of 'X'");
  fails(nan, one, "reaction 'odd'");
}

static void refused(const st_model *d, const char *method, dp_status status, const char *word, int algebraic) {
  dp_model *m = bed_model(d);
  const int before = m->nalgebraic;
  m->nalgebraic = algebraic;
  const dp_sim_def def = bed_def(m, method, x_out, 1);
  dp_sim *sim = NULL;
  const dp_status got = dp_sim_create(bed_ctx, &def, &sim);
  if (got != status || !strstr(dp_ctx_error(bed_ctx), word))
    fail_msg("status %d: '%s', expected '%s'", (int)got, dp_ctx_error(bed_ctx), word);
  dp_ctx_clear_error(bed_ctx);
  m->nalgebraic = before;
  dp_model_destroy(m);
}

static void test_refusals(void **state) {
  (void)state;
  static const st_reaction net[] = {{"swap", "2*(3*X - 0.1*X*X)", {{"X", "-1", 1}}, true}, {0}};
  static const st_model reversible = {one, NULL, net, NULL, NULL}, plain = {one, NULL, bd_reaction, NULL, NULL};
  refused(&reversible, "direct", DP_ERR_UNSUPPORTED, "reaction 'swap' is reversible", 0);
  refused(&plain, "gillespie", DP_ERR_INPUT, "method 'gillespie'", 0);
  refused(&plain, "direct", DP_ERR_UNSUPPORTED, "'X' is given by an algebraic rule", 1);
}

/* what jumps has no rate of change; what flows has */
static void test_rate_of(void **state) {
  (void)state;
  static const char *const text[] = {"model m()\n  X = 5;\n  X => ; X;\n  y := rateOf(X);\nend\n",
                                     "model m()\n  X = 5;\n  X => ; X;\n  c = 1; c' = 2;\n  y := rateOf(c);\nend\n"};
  for (int i = 0; i < 2; i++) {
    dp_model *m = NULL;
    dp_sim *sim = NULL;
    BED_OK(dpi_antimony_read(bed_ctx, text[i], strlen(text[i]), "rate.ant", &m));
    BED_OK(dp_model_seal(m));
    const dp_sim_def def = bed_def(m, "direct", x_out, 1);
    assert_int_equal(dp_sim_create(bed_ctx, &def, &sim), i ? DP_OK : DP_ERR_UNSUPPORTED);
    assert_true(i || strstr(dp_ctx_error(bed_ctx), "rateOf(X)"));
    dp_ctx_clear_error(bed_ctx);
    dp_sim_destroy(sim);
    dp_model_destroy(m);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_time),     cmocka_unit_test(test_count),    cmocka_unit_test(test_delay),
      cmocka_unit_test(test_priority), cmocka_unit_test(test_tie),      cmocka_unit_test(test_draws),
      cmocka_unit_test(test_curved),   cmocka_unit_test(test_instants), cmocka_unit_test(test_failures),
      cmocka_unit_test(test_refusals), cmocka_unit_test(test_rate_of)};
  return cmocka_run_group_tests(tests, bed_setup, bed_teardown);
}
