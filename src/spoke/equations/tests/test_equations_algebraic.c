/* Models with constraints through the waist: settled at the start, after events, doses and edits, before outputs and
 * triggers; what can't be met fails by name and time. */
#include "eq_text.h"

/* States x..., one constraint 0 = residual for the free symbol z; an event when trigger is given. */
static dp_model *constrained(const bed_state *s, const char *z, double z0, const char *residual, const char *trigger,
                             const char *target, const char *value) {
  dp_model *m = NULL;
  int sym;
  dpi_node node;
  BED_OK(dpi_model_create(bed_ctx, "hand", "hand.ant", &m));
  BED_OK(dpi_model_symbol(m, z, 1, &sym));
  m->sym[sym].defined = m->sym[sym].free = true;
  m->sym[sym].value = z0;
  for (const bed_state *q = s; q->id; q++) {
    BED_OK(dpi_model_symbol(m, q->id, 1, &sym));
    m->sym[sym].kind = DPI_SYM_STATE;
    m->sym[sym].defined = true;
  }
  for (; s->id; s++) {
    sym = dpi_model_find(m, s->id);
    BED_OK(dpi_model_parse(m, s->init, "init", false, &m->sym[sym].init));
    BED_OK(dpi_model_parse(m, s->rate, "rate", false, &m->sym[sym].formula));
  }
  BED_OK(dpi_model_parse(m, residual, "residual", false, &node));
  BED_OK(dpi_model_add_constraint(m, node, 1));
  if (trigger) {
    dpi_event_assign *a = DPI_ARENA_NEW(&m->arena, dpi_event_assign);
    dpi_model_event e = {.id = "kick", .delay = DPI_NODE_NONE, .priority = DPI_NODE_NONE, .initial_value = true,
                         .persistent = true, .from_trigger = true, .nassign = 1, .assign = a};
    BED_OK(dpi_model_parse(m, trigger, "trigger", false, &e.trigger));
    a->sym = dpi_model_find(m, target);
    BED_OK(dpi_model_parse(m, value, "value", false, &a->value));
    BED_OK(dpi_model_add_event(m, &e));
  }
  BED_OK(dpi_model_seal(m));
  return m;
}

/* x' = -z with z^3 + z = x: an implicit decay; u = integral of z gathers what x loses. */
static const bed_state implicit[] = {{"x", "10", "-z"}, {"u", "0", "z"}, {0}};

static void check_rows(const text_run *r, double total, int from, int to) {
  for (int i = from; i <= to; i++) {
    const double x = r->value[i][0], u = r->value[i][1], z = r->value[i][2];
    bed_near(z * z * z + z, x, 1e-7, 1e-9, "constraint", r->t[i]);
    bed_near(x + u, total, 1e-9, 0, "sum", r->t[i]);
    /* time from x = 10 (z = 2): dt = -(3 z^2 + 1)/z dz */
    if (total == 10) bed_near(1.5 * (4 - z * z) + log(2 / z), r->t[i], 1e-7, 1e-7, "time", r->t[i]);
  }
}

static void test_decay(void **state) {
  (void)state;
  dp_model *m = constrained(implicit, "z", 1, "z^3 + z - x", NULL, NULL, NULL);
  assert_int_equal(m->nalgebraic, 1);
  text_run r = {.out = {"x", "u", "z"}}, many = r;
  text_times(&r, 4, 16);
  text_go_model(&r, m, NULL, 0);
  text_good(&r, "decay");
  check_rows(&r, 10, 0, 16);
  bed_near(r.value[0][2], 2, 1e-10, 0, "settled at the start", 0);
  assert_int_equal(r.caps & DP_CAP_JVP, 0);
  text_times(&many, 4, 160);
  text_go_model(&many, m, NULL, 0);
  for (int i = 0; i <= 16; i++)
    for (int k = 0; k < 3; k++) assert_true(r.value[i][k] == many.value[10 * i][k]);
  dp_model_destroy(m);
}

static void test_event_and_dose(void **state) {
  (void)state;
  dp_model *m = constrained(implicit, "z", 1, "z^3 + z - x", "z < 1.5", "x", "x + 5");
  text_run r = {.out = {"x", "u", "z"}};
  const dp_instant in[1] = {bed_at(0.5, DP_ADD, 0, 20)};
  text_times(&r, 1, 10); /* row 5 is the dose's */
  text_go_model(&r, m, in, 1);
  text_good(&r, "dose");
  check_rows(&r, 10, 0, 4);
  check_rows(&r, 30, 5, 10);
  /* the event acts by the algebraic state: z passes 1.5 at 1.5 (4 - 2.25) + ln(4/3) */
  const double when = 1.5 * 1.75 + log(2 / 1.5);
  r.nt = 0;
  r.t[r.nt++] = when - 1e-6;
  r.t[r.nt++] = when + 1e-6;
  text_go_model(&r, m, NULL, 0);
  text_good(&r, "event");
  bed_near(r.value[0][2], 1.5, 1e-5, 0, "before", when);
  bed_near(r.value[0][0], 4.875, 1e-5, 0, "before", when);
  bed_near(r.value[1][0], 9.875, 1e-5, 0, "after", when);
  bed_near(pow(r.value[1][2], 3) + r.value[1][2], r.value[1][0], 1e-8, 0, "settled after it", when);
  dp_model_destroy(m);
}

static void test_edit(void **state) {
  (void)state;
  dp_model *m = constrained(implicit, "z", 1, "z^3 + z - x", NULL, NULL, NULL);
  text_run r = {.out = {"x", "u", "z"}};
  text_times(&r, 4, 16);
  dp_sim *sim = text_sim(&r, m);
  if (!sim) fail_msg("%s", r.error);
  const dp_output_time out[2] = {{0, 0}, {bed_ticks(1), 0}};
  const double param[8] = {0};
  const dp_member member = {.param = param, .out = out, .nout = 2};
  const dp_run_opts opts = dp_run_opts_default();
  dp_run *run = NULL;
  BED_OK(dp_run_open(sim, &member, 1, &opts, &run));
  BED_OK(dp_run_advance(run, bed_ticks(1)));
  double x[3] = {30, 0, 0};
  BED_OK(dp_run_state_set(run, 0, x));
  BED_OK(dp_run_advance(run, bed_ticks(1.0000001)));
  BED_OK(dp_run_state_get(run, 0, x));
  const int z = dpi_model_find(m, "z") - 1;
  bed_near(x[z], 3, 1e-5, 0, "settled after an edit", 1);
  dp_run_close(run);
  dp_sim_destroy(sim);
  dp_model_destroy(m);
}

static void test_unmet(void **state) {
  (void)state;
  static const bed_state ramp[] = {{"x", "1", "-1"}, {0}};
  dp_model *m = constrained(ramp, "z", 1, "z^2 - x", NULL, NULL, NULL);
  text_run r = {.out = {"x", "z"}};
  text_times(&r, 2, 8);
  text_go_model(&r, m, NULL, 0);
  assert_int_equal(r.status, DP_MEMBER_FAILED);
  assert_true(r.fail_time > 0.9 && r.fail_time < 1.01);
  if (!strstr(r.reason, "at t = ")) fail_msg("%s", r.reason);
  bed_near(r.value[3][1], 0.5, 1e-7, 0, "rows before", 0.75);
  assert_true(isnan(r.value[6][1]));
  dp_model_destroy(m);
  m = constrained(ramp, "z", 1, "z^2 + x", NULL, NULL, NULL);
  text_go_model(&r, m, NULL, 0);
  assert_int_equal(r.status, DP_MEMBER_FAILED);
  if (!strstr(r.reason, "determines z")) fail_msg("%s", r.reason);
  assert_true(r.fail_time == 0);
  dp_model_destroy(m);
}

static void test_refused(void **state) {
  (void)state;
  static const char *const others[] = {"linear", "rk853", "cvode"};
  dp_model *m = constrained(implicit, "z", 1, "z^3 + z - x", NULL, NULL, NULL);
  for (int k = 0; k < DPI_COUNT(others); k++) {
    text_run r = {.out = {"x"}, .method = others[k], .t = {1}, .nt = 1};
    text_go_model(&r, m, NULL, 0);
    assert_int_equal(r.created, DP_ERR_UNSUPPORTED);
    if (!strstr(r.error, "algebraic")) fail_msg("%s", r.error);
  }
  dp_model_destroy(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_decay), cmocka_unit_test(test_event_and_dose), cmocka_unit_test(test_edit),
      cmocka_unit_test(test_unmet), cmocka_unit_test(test_refused),
  };
  return cmocka_run_group_tests(tests, bed_setup, bed_teardown);
}
