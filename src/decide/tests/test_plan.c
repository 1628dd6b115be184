/* Compared with: rows written by hand; a plan written out and read back; what the waist gives for the same doses in a
 * record. */
#include "base/tests/failing_memory.h"
#include "decide_rig.h"

static const char good[] =
    "# an example\n"
    "controlId\ttime\tamount\tduration\tinterval\trepeats\tsteady\n"
    "oral\t0\t300\t\t12\t9\t\n"
    "oral\t30 min\t0.1 g\t2\t\t\t0\n"
    "oral\t1 d\t0\t\t\t\t\n";

static dp_plan *read_plan(const world *w, const char *text) {
  dp_plan *p = NULL;
  if (dp_plan_read_text(w->kind, text, strlen(text), "p.tsv", &p) != DP_OK) fail_msg("%s", dp_ctx_error(w->r->ctx));
  return p;
}

static void rows_are_read(void **state) {
  world w = world_open(*state, TWINS "/theophylline");
  dp_plan *p = read_plan(&w, good);
  assert_int_equal(p->nrow, 3);
  rig_near(p->row[0].amount, 300, 0);
  rig_near(p->row[0].interval, 12, 0);
  assert_int_equal(p->row[0].repeats, 9);
  rig_near(p->row[1].time, 0.5, 1e-15);
  rig_near(p->row[1].amount, 100, 1e-12);
  rig_near(p->row[1].duration, 2, 0);
  rig_near(p->row[2].time, 24, 1e-12);
  char *text = NULL, line[200];
  assert_int_equal(dp_plan_write(w.kind, p, &text), DP_OK);
  dp_plan *again = read_plan(&w, text);
  assert_int_equal(again->nrow, p->nrow);
  assert_memory_equal(again->row, p->row, sizeof *p->row * 3);
  assert_int_equal(dp_plan_describe(w.kind, p, line, sizeof line), DP_OK);
  assert_string_equal(line, "300 mg every 12 h, 10 times; 100 mg over 2 h at 0.5 h; 0 mg at 24 h");
  dp_plan *three =
      read_plan(&w, "controlId\ttime\tamount\noral\t0\t300\noral\t12\t300\noral\t24\t300\noral\t30\t100\n");
  assert_int_equal(dp_plan_describe(w.kind, three, line, sizeof line), DP_OK);
  assert_string_equal(line, "300 mg at 0, 12, 24 h; 100 mg at 30 h");
  dp_plan_destroy(three);
  dp_plan_text_free(p, text);
  dp_plan_destroy(again);
  dp_plan_destroy(p);
  world_close(&w);
}

static void a_file_gives_its_name(void **state) {
  rig *r = *state;
  world w = world_open(r, TWINS "/theophylline");
  char path[300];
  rig_join(path, sizeof path, r->dir, "high.dose.tsv");
  rig_write(path, "controlId\tamount\noral\t500\n");
  dp_plan *p = NULL;
  assert_int_equal(dp_plan_read(w.kind, path, &p), DP_OK);
  assert_string_equal(p->name, "high.dose");
  rig_near(p->row[0].amount, 500, 0);
  dp_plan_destroy(p);
  world_close(&w);
}

/* Each mistake is named with its line and column. */
static void mistakes_have_a_place(void **state) {
  static const struct {
    const char *text, *said;
  } bad[] = {
      {"controlId\tamount\noral\t\n", "p.tsv:2: column amount: found nothing, expected an amount in mg"},
      {"controlId\tamount\noraI\t1\n",
       "p.tsv:2: column controlId: found 'oraI', expected a control of controls.tsv; did you mean 'oral'?"},
      {"controlId\tamount\noral\t-1\n", "expected a number from 0 to"},
      {"controlId\tamount\noral\t5 L\n", "p.tsv:2: column amount: found the unit 'L', which does not convert to 'mg'"},
      {"controlId\tamount\tinterval\toften\noral\t5\t1\t2\n", "often"},
      {"controlId\tamount\trepeats\noral\t5\t2\n", "found no interval, expected one > 0 with repeats"},
      {"controlId\tamount\tsteady\noral\t5\t1\n", "found no interval, expected one > 0 with steady"},
      {"controlId\tamount\ttime\tinterval\tsteady\noral\t5\t3\t6\t1\n", "expected 0 with steady"},
      {"controlId\tamount\tinterval\tsteady\noral\t5\t6\t0\noral\t5\t6\t1\n", "p.tsv:3: column steady: "},
      {"controlId\tamount\trepeats\tinterval\noral\t5\t-2\t1\n", "found -2, expected 0 to"},
      {"controlId\tamount\ttime\noral\t5\t1e10\n", "expected a number from 0 to 1e+09"},
      {"amount\n5\n", "controlId"},
      {"", "p.tsv"},
  };
  world w = world_open(*state, TWINS "/theophylline");
  for (int i = 0; i < DPI_COUNT(bad); i++) {
    dp_plan *p = NULL;
    assert_int_equal(dp_plan_read_text(w.kind, bad[i].text, strlen(bad[i].text), "p.tsv", &p), DP_ERR_INPUT);
    if (!strstr(dp_ctx_error(w.r->ctx), bad[i].said))
      fail_msg("'%s' is not in '%s'", bad[i].said, dp_ctx_error(w.r->ctx));
    assert_null(p);
    dp_ctx_clear_error(w.r->ctx);
  }
  world_close(&w);
}

/* One row each: may it be given? said NULL: it may. */
static void check_row(const world *w, dp_plan_row row, double now, const char *said) {
  dp_plan p = {.ctx = w->r->ctx, .name = "x", .nrow = 1, .row = &row};
  dp_status status = dp_plan_check(w->kind, &p, now);
  if (!said) {
    if (status != DP_OK) fail_msg("%s", dp_ctx_error(w->r->ctx));
    return;
  }
  assert_int_equal(status, DP_ERR_INPUT);
  if (!strstr(dp_ctx_error(w->r->ctx), said)) fail_msg("'%s' is not in '%s'", said, dp_ctx_error(w->r->ctx));
  dp_ctx_clear_error(w->r->ctx);
}

static void bounds_are_named(void **state) {
  world w = world_open(*state, TWINS "/theophylline");
  check_row(&w, (dp_plan_row){.amount = 500}, 0, NULL); /* 300 + 200 */
  check_row(&w, (dp_plan_row){.amount = 1000}, 0,
            "plan 'x', row 1 (oral): 1000 mg is more than the control's upper bound of 900 mg");
  check_row(&w, (dp_plan_row){.amount = 250}, 0, "250 mg is no sum of at most 3 of its tablets");
  check_row(&w, (dp_plan_row){.amount = 300, .interval = 7, .repeats = 1}, 0,
            "an interval of 7 h is none of the control's 4 intervals");
  check_row(&w, (dp_plan_row){.amount = 300, .interval = 8, .repeats = 1}, 0, NULL);
  world_close(&w);
}

static void hours_steps_and_changes(void **state) {
  rig *r = *state;
  const char *dir = rig_kind(r, "theophylline");
  rig_edit(dir, "controls.tsv", "intervals\tapprover", "intervals\tapprover\tstep\trateLimit\thours");
  rig_edit(dir, "controls.tsv", "100;200;300\t3\t6;8;12;24\tprescriber", "\t\t6;8;12;24\tprescriber\t50\t100\t8-18");
  rig_edit(dir, "twin.yaml", "time_unit: h", "time_unit: h\nclock: 9");
  world w = world_open(r, dir);
  check_row(&w, (dp_plan_row){.amount = 150}, 0, NULL);
  check_row(&w, (dp_plan_row){.amount = 160}, 0, "160 mg is no multiple of 50 mg");
  check_row(&w, (dp_plan_row){.amount = 150}, 9, NULL); /* 18 o'clock */
  check_row(&w, (dp_plan_row){.amount = 150}, 9.5, "at 18.50 o'clock, outside the control's hours 8 to 18");
  check_row(&w, (dp_plan_row){.amount = 150, .time = 24}, 0, NULL);
  check_row(&w, (dp_plan_row){.amount = 150, .interval = 24, .repeats = 5}, 0, NULL);
  check_row(&w, (dp_plan_row){.amount = 150, .interval = 12, .repeats = 1}, 0, "at 21.00 o'clock");
  dp_plan *p = read_plan(&w, "controlId\ttime\tamount\noral\t0\t100\noral\t24\t200\noral\t48\t350\n");
  assert_int_equal(dp_plan_check(w.kind, p, 0), DP_ERR_INPUT);
  assert_non_null(
      strstr(dp_ctx_error(r->ctx),
             "row 3 (oral): a change of 150 mg from the dose before is more than the rate limit of 100 mg"));
  dp_ctx_clear_error(r->ctx);
  p->row[2].amount = 300;
  assert_int_equal(dp_plan_check(w.kind, p, 0), DP_OK);
  p->row[1].amount = 0; /* no dose: the third is held against the first */
  assert_int_equal(dp_plan_check(w.kind, p, 0), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(r->ctx), "row 3 (oral): a change of 200 mg from the dose before"));
  dp_ctx_clear_error(r->ctx);
  p->row[2].amount = 200;
  assert_int_equal(dp_plan_check(w.kind, p, 0), DP_OK);
  dp_plan_destroy(p);
  world_close(&w);
}

/* Any amount is told in six digits, of what is all but nothing none; amounts that are given are told as they are. */
static void amounts_are_readable(void **state) {
  static const struct {
    double amount;
    const char *text;
  } c[] = {{267.06379381277327, "267.064 mg"}, {2.8693766998918917e-10, "0 mg"}, {1.9414979192729973, "1.9415 mg"},
           {0.00900000001, "0.009 mg"},        {300, "300 mg"},                  {899.9999996, "900 mg"}};
  rig *r = *state;
  const char *dir = rig_kind(r, "theophylline");
  rig_edit(dir, "controls.tsv", "100;200;300\t3\t6;8;12;24", "\t\t6;8;12;24");
  world w = world_open(r, dir);
  char line[200];
  dp_plan_row row = {.control = 0};
  dp_plan p = {.ctx = w.r->ctx, .nrow = 1, .row = &row};
  for (int i = 0; i < DPI_COUNT(c); i++) {
    row.amount = c[i].amount;
    assert_int_equal(dp_plan_describe(w.kind, &p, line, sizeof line), DP_OK);
    assert_string_equal(line, c[i].text);
  }
  world_close(&w);
  w = world_open(r, TWINS "/theophylline");
  row.amount = 0.12345678901; /* a sum of tablets it is not, and told whole */
  assert_int_equal(dp_plan_describe(w.kind, &p, line, sizeof line), DP_OK);
  assert_string_equal(line, "0.12345678901 mg");
  world_close(&w);
}

/* Rows that begin together are one dose, also where repeats meet: 900 mg and three tablets is the most. */
static void doses_at_one_time(void **state) {
  static const struct {
    const char *rows, *said;
  } c[] = {
      {"oral\t0\t300\t0\t0\noral\t0\t200\t0\t0\n", NULL},
      {"oral\t0\t500\t0\t0\noral\t0\t500\t0\t0\n",
       "row 1 (oral), with 1 more at the same time: 1000 mg is more than the control's upper bound of 900 mg"},
      {"oral\t0\t400\t12\t3\noral\t24\t600\t0\t0\n",
       "row 1 (oral), with 1 more at the same time: 1000 mg is more than"},
      {"oral\t0\t400\t12\t3\noral\t30\t600\t0\t0\n", NULL},
      {"oral\t0\t200\t0\t0\noral\t0\t100\t0\t0\noral\t0\t100\t0\t0\noral\t0\t100\t0\t0\n", NULL}, /* 300 + 200 */
  };
  world w = world_open(*state, TWINS "/theophylline");
  char text[300];
  for (int i = 0; i < DPI_COUNT(c); i++) {
    snprintf(text, sizeof text, "controlId\ttime\tamount\tinterval\trepeats\n%s", c[i].rows);
    dp_plan *p = read_plan(&w, text);
    assert_int_equal(dp_plan_check(w.kind, p, 0), c[i].said ? DP_ERR_INPUT : DP_OK);
    if (c[i].said && !strstr(dp_ctx_error(w.r->ctx), c[i].said)) fail_msg("%s", dp_ctx_error(w.r->ctx));
    dp_ctx_clear_error(w.r->ctx);
    dp_plan_destroy(p);
  }
  dp_plan *p = read_plan(&w, "controlId\tamount\tinterval\trepeats\noral\t100\t12\t999999\noral\t100\t12\t9\n");
  assert_int_equal(dp_plan_check(w.kind, p, 0), DP_ERR_UNSUPPORTED);
  dp_ctx_clear_error(w.r->ctx);
  dp_plan_destroy(p);
  world_close(&w);
}

/* The last dose before now, its repeats included and those later than now not, is the one that the first may differ
 * from by 100 mg; a change that repeats of an earlier row bring counts too. */
static void changes_from_what_was_given(void **state) {
  rig *r = *state;
  const char *dir = rig_kind(r, "theophylline");
  rig_edit(dir, "controls.tsv", "intervals\tapprover", "intervals\tapprover\trateLimit");
  rig_edit(dir, "controls.tsv", "24\tprescriber", "24\tprescriber\t100");
  world w = world_open(r, dir);
  dp_instant history[3] = {w.history[0], w.history[0], w.history[0]};
  history[0].amount = 700; /* long ago */
  history[1].time = 4 * DP_TICKS;
  history[1].amount = 200; /* at 4, 10 and 16 h */
  history[1].interval = 6 * DP_TICKS;
  history[1].repeats = 2;
  history[2].time = 13 * DP_TICKS;
  history[2].amount = 500;
  dp_plan_patient patient = {.history = history, .nhistory = 3, .now = 12};
  dp_plan *p = read_plan(&w, "controlId\tamount\noral\t400\n");
  assert_int_equal(dp_plan_check(w.kind, p, 12), DP_OK); /* nobody's history */
  assert_int_equal(dp_plan_check_for(w.kind, p, &patient), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(r->ctx),
                         "a change of 200 mg from the last dose given (200 mg at 10 h) is more "
                         "than the rate limit of 100 mg"));
  dp_ctx_clear_error(r->ctx);
  bool may = true;
  assert_int_equal(dpi_plan_allowed(w.kind, p, &patient, &may), DP_OK);
  assert_false(may);
  p->row[0].amount = 300;
  assert_int_equal(dp_plan_check_for(w.kind, p, &patient), DP_OK);
  patient.now = 14; /* 500 mg at 13 h */
  assert_int_equal(dp_plan_check_for(w.kind, p, &patient), DP_ERR_INPUT);
  dp_ctx_clear_error(r->ctx);
  patient.now = -3; /* before anything else: 400 mg at -5 h count, 900 mg at -1 h do not */
  history[0].time = -5 * DP_TICKS;
  history[0].amount = 400;
  history[1].time = -1 * DP_TICKS;
  history[1].amount = 900;
  history[1].interval = history[1].repeats = 0;
  p->row[0].amount = 500;
  assert_int_equal(dp_plan_check_for(w.kind, p, &patient), DP_OK);
  p->row[0].amount = 600;
  assert_int_equal(dp_plan_check_for(w.kind, p, &patient), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(r->ctx), "(400 mg at -5 h)"));
  dp_ctx_clear_error(r->ctx);
  dp_plan_destroy(p);
  patient.nhistory = 0;
  p = read_plan(&w, "controlId\ttime\tamount\tinterval\trepeats\noral\t0\t300\t6\t3\noral\t3\t500\t0\t0\n");
  assert_int_equal(dp_plan_check_for(w.kind, p, &patient), DP_ERR_INPUT);
  dp_ctx_clear_error(r->ctx);
  p->row[1].amount = 400; /* 300, 400, 300 ... */
  assert_int_equal(dp_plan_check_for(w.kind, p, &patient), DP_OK);
  p->row[1].time = 24; /* after 18 h */
  p->row[1].amount = 500;
  assert_int_equal(dp_plan_check_for(w.kind, p, &patient), DP_ERR_INPUT);
  dp_ctx_clear_error(r->ctx);
  dp_plan_destroy(p);
  world_close(&w);
}

/* Infusions that would run into their own repeats are refused; rows of their own may overlap, and then rates add up. */
static void infusions_that_overlap(void **state) {
  world w = world_open(*state, TWINS "/theophylline");
  check_row(&w, (dp_plan_row){.amount = 300, .duration = 14, .interval = 12, .repeats = 1}, 0,
            "an infusion over 14 h has not ended when the next begins after 12 h");
  check_row(&w, (dp_plan_row){.amount = 300, .duration = 14, .interval = 12, .steady = 1}, 0, "an infusion over 14 h");
  check_row(&w, (dp_plan_row){.amount = 300, .duration = 12, .interval = 12, .repeats = 1}, 0, NULL);
  check_row(&w, (dp_plan_row){.amount = 300, .duration = 14}, 0, NULL);
  world_close(&w);
}

/* A steady state of clinic hours: every 12 h from 8 to 20 o'clock can be, from 8 to 18 not, whenever it begins. */
static void steady_within_hours(void **state) {
  static const struct {
    const char *hours;
    double interval;
    bool good;
  } c[] = {{"8-18", 12, false}, {"8-20", 12, true}, {"8-18", 24, true}, {"20-8", 12, true},
           {"20-6", 12, false}, {"8-18", 6, false}, {"0-18", 6, true},  {"23-1", 24, true}};
  for (int i = 0; i < DPI_COUNT(c); i++) {
    char row[80];
    const char *dir = rig_kind(*state, "theophylline");
    snprintf(row, sizeof row, "24\tprescriber\t%s", c[i].hours);
    rig_edit(dir, "controls.tsv", "intervals\tapprover", "intervals\tapprover\thours");
    rig_edit(dir, "controls.tsv", "24\tprescriber", row);
    world w = world_open(*state, dir);
    check_row(&w, (dp_plan_row){.amount = 300, .interval = c[i].interval, .steady = 1}, 0,
              c[i].good ? NULL : "for ever, can't stay within the control's hours");
    world_close(&w);
    rig_remove(dir);
  }
}

/* Two steady rows add up where the response is proportional to the doses, and are refused elsewhere. */
static void steady_states_add_up_or_not(void **state) {
  for (int i = 0; i < 2; i++) {
    world w = world_open(*state, i ? TWINS "/warfarin" : TWINS "/theophylline");
    dp_plan *p = read_plan(&w, "controlId\tamount\tinterval\tsteady\noral\t100\t24\t1\noral\t200\t24\t1\n");
    dp_instant *in;
    int n;
    dp_status status = dp_plan_instants(w.kind, p, 0, &in, &n);
    assert_int_equal(status, i ? DP_ERR_UNSUPPORTED : DP_OK);
    if (!i) {
      assert_true(n == 2 && in[0].steady == 1 && in[1].steady == 2);
      dp_plan_instants_free(p, in);
    } else {
      assert_non_null(strstr(dp_ctx_error(w.r->ctx), "row 2 (oral): a second steady row: steady states add up only"));
      dp_ctx_clear_error(w.r->ctx);
    }
    dp_plan_destroy(p);
    world_close(&w);
  }
}

static void instants_are_in_order(void **state) {
  world w = world_open(*state, TWINS "/theophylline");
  dp_plan *p =
      read_plan(&w,
                "controlId\ttime\tamount\tduration\tinterval\trepeats\noral\t5\t100\t\t\t\noral\t0\t200\t2\t6\t3\n"
                "oral\t3\t0\t\t\t\n");
  dp_instant *in;
  int n;
  assert_int_equal(dp_plan_instants(w.kind, p, 10, &in, &n), DP_OK);
  assert_int_equal(n, 2); /* a dose of nothing is none */
  assert_true(in[0].time == 10 * DP_TICKS && in[0].type == DP_INFUSE && in[0].rate == 100 && in[0].repeats == 3);
  assert_true(in[0].interval == 6 * DP_TICKS && in[0].dir_amount == -1);
  assert_true(in[1].time == 15 * DP_TICKS && in[1].type == DP_ADD && in[1].amount == 100 && in[1].order > in[0].order);
  dp_plan_instants_free(p, in);
  dp_plan_destroy(p);
  world_close(&w);
}

/* A control that sets a state to 0 (a meal: what left the stomach so far): before each dose, as in a record, and never
 * left out of repeats without a word. */
static void what_a_dose_sets_to_0(void **state) {
  world w = world_open(*state, TWINS "/s2008");
  const int emptied = dp_sim_state(w.kind->sim, "emptied");
  dp_plan *p = read_plan(&w,
                         "controlId\ttime\tamount\tduration\ncarbs\t30\t45000\t9\nbolus\t30\t4.5\t\n"
                         "carbs\t300\t20000\t4\n");
  dp_instant *in;
  int n, dose = 0, set = 0;
  assert_true(emptied >= 0);
  assert_int_equal(dp_plan_instants(w.kind, p, 60, &in, &n), DP_OK);
  assert_int_equal(n, 5); /* two meals with a zero each, a bolus without */
  for (int k = 0; k < n; k++) {
    if (in[k].type == DP_INFUSE) {
      assert_true(k > 0 && in[k - 1].type == DP_SET && in[k - 1].target == emptied && in[k - 1].amount == 0);
      assert_true(in[k - 1].time == in[k].time && in[k - 1].order < in[k].order);
      assert_true(in[k].time == (dose ? 360 : 90) * DP_TICKS && in[k].rate == 5000);
      dose++;
    }
    set += in[k].type == DP_SET;
  }
  assert_int_equal(dose, 2);
  assert_int_equal(set, 2);
  dp_plan_instants_free(p, in);
  dp_plan_destroy(p);
  p = read_plan(&w, "controlId\tamount\tduration\tinterval\trepeats\ncarbs\t45000\t9\t1440\t3\n");
  assert_int_equal(dp_plan_instants(w.kind, p, 60, &in, &n), DP_ERR_UNSUPPORTED);
  assert_non_null(strstr(dp_ctx_error(w.r->ctx), "expected a row for each"));
  dp_ctx_clear_error(w.r->ctx);
  dp_plan_destroy(p);
  world_close(&w);
}

/* Nothing at all is a plan too. */
static void nothing_is_a_plan(void **state) {
  world w = world_open(*state, TWINS "/theophylline");
  dp_plan *p = read_plan(&w, "controlId\tamount\n");
  dp_instant *in;
  char line[40];
  int n;
  assert_int_equal(p->nrow, 0);
  assert_int_equal(dp_plan_check(w.kind, p, 0), DP_OK);
  assert_int_equal(dp_plan_instants(w.kind, p, 0, &in, &n), DP_OK);
  assert_int_equal(n, 0);
  dp_plan_instants_free(p, in);
  assert_int_equal(dp_plan_describe(w.kind, p, line, sizeof line), DP_OK);
  assert_string_equal(line, "nothing");
  static const double zero[3], some[3] = {0.1, 0.1, 0.1};
  dp_belief *b = belief_make(10, zero, some, 1);
  dp_plan_patient patient = patient_of(&w, b, b);
  dp_plan *one[1] = {p};
  dp_appraisal *a = NULL;
  patient.nhistory = 0;
  assert_int_equal(dp_appraise(w.kind, &patient, one, 1, NULL, &a), DP_OK);
  for (int k = 0; k < 30; k++) rig_near(a->plan[0].value[k], 0, 0); /* no drug: trough, peak, time in range */
  dp_appraisal_destroy(a);
  dp_plan_destroy(p);
  belief_free(b);
  world_close(&w);
}

static void memory_may_run_out(void **state) {
  rig other = *(rig *)*state;
  failing_memory memory = {0};
  other.ctx = failing_context(&memory);
  world w = world_open(&other, TWINS "/theophylline");
  int failed = 0;
  for (long n = 0; n < 1000; n++) {
    dp_plan *p = NULL;
    char *text = NULL, line[100];
    failing_stays(&memory, n);
    dp_status status = dp_plan_read_text(w.kind, good, strlen(good), "p.tsv", &p);
    if (status == DP_OK) status = dp_plan_write(w.kind, p, &text);
    if (status == DP_OK) status = dp_plan_describe(w.kind, p, line, sizeof line);
    bool enough = !failing_happened(&memory);
    failing_never(&memory);
    if (status != DP_OK) assert_int_equal(status, DP_ERR_MEMORY), failed++;
    if (p) dp_plan_text_free(p, text);
    dp_plan_destroy(p);
    dp_ctx_clear_error(other.ctx);
    if (enough) break;
  }
  assert_true(failed > 5);
  world_close(&w);
  assert_int_equal(dpi_alloc_live(other.ctx), 0);
  dp_ctx_destroy(other.ctx);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(rows_are_read),       TEST(a_file_gives_its_name),       TEST(mistakes_have_a_place),
      TEST(bounds_are_named),    TEST(hours_steps_and_changes),     TEST(instants_are_in_order),
      TEST(amounts_are_readable),
      TEST(nothing_is_a_plan),   TEST(memory_may_run_out),          TEST(what_a_dose_sets_to_0),
      TEST(doses_at_one_time),   TEST(changes_from_what_was_given), TEST(infusions_that_overlap),
      TEST(steady_within_hours), TEST(steady_states_add_up_or_not),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
