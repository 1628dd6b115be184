/* Rates of change against differences along the flow, delayed values against their definition, draws, reactions and
 * values that nothing needs against hand-made expectations. */
#include "base/tests/failing_memory.h"
#include "seal_check.h"

#include "num/num.h"

/* ---- rateOf ---- */
static void rates_of_states_and_constants(void **state) {
  (void)state;
  dp_model *m =
      read_text("x' = -k*x; x = 2; k = 3; p = 1; c = 2*k; E: at (time > 1): p = 2; a = 0; b = 0; d = 0; e = 0");
  add_rate_of(m, "rx", "x");
  add_rate_of(m, "rp", "p");
  add_rate_of(m, "rc", "c");
  add_rate_of(m, "rt", "time");
  assign(m, "a", "rx + 1");
  assign(m, "b", "rp");
  assign(m, "d", "rc");
  assign(m, "e", "rt");
  check_ok(dpi_model_seal(m));
  check_value(m, "a", "1 - k*x");
  check_value(m, "b", "0");
  check_value(m, "d", "0");
  check_value(m, "e", "1");
  check_start(m, "a", "1 - 2*k");
  assert_int_equal(m->sym[sym_of(m, "rx")].kind, DPI_SYM_ASSIGNED);
  dp_model_destroy(m);
}

/* d f(x(t), t)/dt against a central difference along (x', 1); twice derived as well */
static void rates_of_assigned_values_follow_the_flow(void **state) {
  (void)state;
  dp_model *m = read_text("x' = y - 0.1*x; y' = -x + sin(time); x = 1; y = 0.5; k = 2;"
                          "u := x*y^2 + time; v := exp(-u/4)*k + x/(1 + y^2); w = 0; r = 0; z := max(x, y)*u");
  add_rate_of(m, "rv", "v");
  add_rate_of(m, "rz", "z");
  assign(m, "w", "rv");
  add_rate_of(m, "rw", "w"); /* the second derivative of v */
  check_ok(dpi_model_seal(m));
  const char *const pair[][2] = {{"v", "rv"}, {"z", "rz"}, {"w", "rw"}};
  double at[32] = {0}, up[32], down[32];
  at[0] = 0.7, at[1] = 1.3, at[2] = 0.6, at[sym_of(m, "k")] = 2;
  for (int i = 0; i < DPI_COUNT(pair); i++) {
    dpi_node f = m->value[sym_of(m, pair[i][0])];
    double h = 1e-5;
    memcpy(up, at, sizeof at);
    memcpy(down, at, sizeof at);
    for (int j = 0; j <= 2; j++) {
      double rate = j == 0 ? 1 : oracle(m->graph, m->sym[j].formula, at);
      up[j] += h * rate;
      down[j] -= h * rate;
    }
    double want = (oracle(m->graph, f, up) - oracle(m->graph, f, down)) / (2 * h);
    assert_true(near_enough(oracle(m->graph, m->value[sym_of(m, pair[i][1])], at), want, 1e-8));
  }
  dp_model_destroy(m);
}

static void rates_may_stand_in_rates_and_initial_values(void **state) {
  (void)state;
  dp_model *m = read_text("x' = -k*x; x = 2; k = 3; y' = 0; y = 1; q = 1; init = 1; r = 0; E: at (r > 5): q = r");
  add_rate_of(m, "rx", "x");
  add_rate_of(m, "ry", "y");
  set_formula(m, "y", "2*rx");
  assign(m, "r", "ry");
  int init = sym_of(m, "init");
  m->sym[init].init = parsed(m, "rx");
  m->sym[init].value = NAN;
  check_ok(dpi_model_seal(m));
  char buf[100];
  assert_string_equal(printed(m, m->sym[sym_of(m, "y")].formula, buf, sizeof buf), "-(k*x*2)");
  check_value(m, "r", "-(k*x*2)");
  assert_string_equal(printed(m, m->event[0].assign[0].value, buf, sizeof buf), "-(k*x*2)");
  check_value(m, "init", "-(k*2)"); /* what it was at the start */
  dp_model_destroy(m);
}

static void loops_of_rates_are_named(void **state) {
  (void)state;
  dp_model *m = read_text("x' = 1; x = 1");
  add_rate_of(m, "rx", "x");
  set_formula(m, "x", "rx + 1");
  check_seal_refused(m, DP_ERR_INPUT, "assignment loop: rx -> rx", "");
  m = read_text("x' = 1; x = 1; y' = 1; y = 2; a := y*y");
  add_rate_of(m, "rx", "x");
  add_rate_of(m, "ra", "a");
  set_formula(m, "x", "ra");
  set_formula(m, "y", "2*rx");
  check_seal_refused(m, DP_ERR_INPUT, "loop: ", "rx");
  m = read_text("y = 1");
  add_rate_of(m, "ry", "y");
  assign(m, "y", "ry + 1");
  check_seal_refused(m, DP_ERR_INPUT, "depends on its own rate of change", "");
}

static void rates_of_what_constraints_determine(void **state) {
  (void)state;
  dp_model *m = read_text("x' = -x; x = 2; y = 1; z = 1; w = 0; r = 0; s = 0; u = 1");
  add_rate_of(m, "ry", "y");
  add_rate_of(m, "rz", "z");
  add_rate_of(m, "ru", "u");
  set_free(m, "y z w u");
  constrain(m, "y - 3*x");
  constrain(m, "z^3 + z - x*time"); /* implicit */
  constrain(m, "w - ry");           /* another's rate may stand in a constraint */
  assign(m, "r", "rz");
  assign(m, "s", "ru + 1"); /* could have been determined, is not */
  check_ok(dpi_model_seal(m));
  check_value(m, "y", "3*x");
  check_value(m, "ry", "-(3*x)");
  check_value(m, "w", "-(3*x)");
  check_value(m, "s", "1");
  double at[32] = {0};
  at[0] = 4, at[1] = 2.5, at[sym_of(m, "z")] = 2; /* 8 + 2 = 2.5*4 */
  /* (3 z^2 + 1) z' = x + t x' */
  assert_true(near_enough(oracle(m->graph, m->value[sym_of(m, "r")], at), (2.5 - 4 * 2.5) / 13, 1e-14));
  dp_model_destroy(m);
  m = read_text("x' = -x; x = 2; y = 1");
  add_rate_of(m, "ry", "y");
  set_free(m, "y");
  constrain(m, "y + ry - x"); /* a differential equation in disguise */
  check_seal_refused(m, DP_ERR_UNSUPPORTED, "contains the rate of change of what it determines", "m.ant:100");
}

/* ---- delays ---- */
static void run_tape(const dpi_tape *t, const double *sym, double *out) {
  double *reg = DPI_NEW_ARRAY(ctx, double, dpi_tape_nreg(t));
  dpi_tape_init(t, reg);
  dpi_tape_prologue(t, sym, reg);
  dpi_tape_eval(t, sym, reg, out);
  dpi_free(ctx, reg);
}

static void delayed_symbols_follow_the_states(void **state) {
  (void)state;
  dp_model *m = read_text("k = 2; x' = 0; x = 5; y' = 0; y = k*time; a := x + 1; now = 0; tau = 3; out = 0");
  add_delay(m, "dx", "a", "tau");
  add_delay(m, "dd", "dx + y", "1"); /* a delay inside a delay */
  add_delay(m, "d0", "x", "0");
  set_formula(m, "x", "-k*dx");
  set_formula(m, "y", "dd");
  assign(m, "now", "d0");
  assign(m, "out", "dd*2");
  check_ok(dpi_model_seal(m));
  assert_int_equal(m->nstate, 2);
  assert_int_equal(m->ndelayed, 2);
  assert_string_equal(m->sym[3].id, "dx");
  assert_string_equal(m->sym[4].id, "dd");
  check_value(m, "now", "x");
  check_value(m, "out", "dd*2");
  check_start(m, "dx", "6");
  /* y(s) = k s before the start */
  double sym[32] = {0};
  sym[0] = 10, sym[sym_of(m, "k")] = 2;
  assert_true(oracle(m->graph, m->start[4], sym) == 6 + 2 * (10 - 1));
  dpi_system *sys = NULL;
  check_ok(dpi_system_create(ctx, m, NULL, 0, &sys));
  assert_int_equal(sys->ndelayed, 2);
  assert_false(sys->linear);
  double out[8];
  sym[1] = 50, sym[2] = 60, sym[3] = 70, sym[4] = 80, sym[sym_of(m, "tau")] = 3;
  run_tape(sys->rhs, sym, out);
  assert_true(out[0] == -140 && out[1] == 80);
  run_tape(sys->lag, sym, out);
  assert_true(out[0] == 3 && out[1] == 1 && out[2] == 51 && out[3] == 130);
  sym[0] = -4;
  run_tape(sys->past, sym, out);
  assert_true(out[0] == 6 && out[1] == 6 - 8);
  const int32_t *at; /* the fast symbols are contiguous: dpi_tape_run finds the delayed after the states */
  double reg[64], x[4] = {1, 2, 3, 4};
  assert_true(dpi_tape_nreg(sys->rhs) <= 64);
  dpi_tape_init(sys->rhs, reg);
  dpi_tape_prologue(sys->rhs, sym, reg);
  at = dpi_tape_run(sys->rhs, 0, x, reg);
  assert_true(reg[at[0]] == -6 && reg[at[1]] == 4);
  dpi_system_destroy(sys);
  dp_model_destroy(m);
}

/* before the start nothing moves but what its initial expression moves: rateOf is its derivative by time */
static void delayed_rates_were_those_of_initial_values(void **state) {
  (void)state;
  dp_model *m = read_text("k = 2; x' = -k*x; x = 5; y' = 1; y = k*time^2; rest = 0; moved = 0; tau = 3");
  add_rate_of(m, "rx", "x");
  add_rate_of(m, "ry", "y");
  add_delay(m, "drx", "rx", "tau");
  add_delay(m, "dry", "ry", "tau");
  assign(m, "rest", "drx");
  assign(m, "moved", "dry");
  check_ok(dpi_model_seal(m));
  char buf[64];
  check_start(m, "rx", "-(k*5)"); /* at the start the model runs */
  check_start(m, "rest", "0");
  assert_string_equal(printed(m, m->sym[sym_of(m, "drx")].formula, buf, sizeof buf), "-(k*x)");
  dpi_system *sys = NULL;
  check_ok(dpi_system_create(ctx, m, NULL, 0, &sys));
  double sym[32] = {0}, out[2];
  sym[0] = -1, sym[sym_of(m, "k")] = 2, sym[sym_of(m, "tau")] = 3;
  run_tape(sys->past, sym, out);
  assert_true(out[0] == 0 && out[1] == 2 * 2 * -1);
  assert_true(oracle(m->graph, m->start[sym_of(m, "moved")], sym) == 2 * 2 * (-1 - 3));
  dpi_system_destroy(sys);
  dp_model_destroy(m);
}

/* of time alone: no history is needed */
static void delays_of_time_are_written_out(void **state) {
  (void)state;
  dp_model *m = read_text("x := sin(10*time); y = 0; z = 0; tau = 3");
  add_delay(m, "dx", "x", "tau");
  add_delay(m, "dd", "dx + 1", "1");
  assign(m, "y", "dx");
  assign(m, "z", "dd");
  check_ok(dpi_model_seal(m));
  check_value(m, "y", "sin(10*(time - tau))");
  double sym[16] = {7};
  sym[sym_of(m, "tau")] = 3;
  /* the lag is that of the outer delay's past */
  assert_int_equal(m->ndelayed, 1);
  m->sym[sym_of(m, "tau")].value = 3;
  check_value(m, "z", "dd");
  dp_model_destroy(m);
  m = read_text("x := sin(10*time); z = 0");
  add_delay(m, "dx", "x", "2");
  add_delay(m, "dd", "dx + 1", "1");
  assign(m, "z", "dd");
  check_ok(dpi_model_seal(m));
  assert_int_equal(m->ndelayed, 0);
  assert_true(near_enough(oracle(m->graph, m->value[sym_of(m, "z")], sym), sin(40.0) + 1, 1e-15));
  dp_model_destroy(m);
}

static void wrong_delays_are_refused(void **state) {
  (void)state;
  dp_model *m = read_text("x' = -x; x = 1; a = 0");
  add_delay(m, "dx", "x", "-1");
  check_seal_refused(m, DP_ERR_INPUT, "'dx': the delay is -1", "");
  m = read_text("a = 0");
  add_delay(m, "da", "a", "1");
  assign(m, "a", "da + 1"); /* nothing says what it was before the start */
  check_seal_refused(m, DP_ERR_INPUT, "loop: a -> da -> a", "initial value");
  m = read_text("x' = -x; x = 1; b = 0; c = 0");
  add_delay(m, "dx", "x", "1");
  assign(m, "b", "dx");
  add_rate_of(m, "rb", "b");
  check_seal_refused(m, DP_ERR_UNSUPPORTED, "depends on a delay", "");
}

/* triggers may wait for what is delayed */
static void delays_stand_in_events(void **state) {
  (void)state;
  dp_model *m = read_text("x' = 1; x = 0; y = 0; t = 0; E: at (t > 3): y = t");
  add_delay(m, "dx", "x", "2");
  assign(m, "t", "dx");
  check_ok(dpi_model_seal(m));
  char buf[64];
  assert_int_equal(m->event[0].nroot, 1);
  assert_string_equal(printed(m, m->event[0].root[0], buf, sizeof buf), "dx - 3");
  dp_model_destroy(m);
}

/* ---- draws ---- */
static void draws_are_run_time_constants(void **state) {
  (void)state;
  dp_model *m = read_text("x' = -k*x; x = 0; k = 0; mean = 4; two := 2*mean; p = 1; E: at (time > 1): p = 0");
  int d1, d2, d3;
  check_ok(dpi_model_declare(m, "draw(k)", 3, &d1));
  check_ok(dpi_model_declare(m, "draw(x)", 3, &d2));
  check_ok(dpi_model_declare(m, "draw(E)", 3, &d3));
  int k = sym_of(m, "k"), x = sym_of(m, "x");
  check_ok(dpi_model_add_draw(
      m, &(dpi_draw){.sym = d1, .variate = DPI_VARIATE_NORMAL, .narg = 2, .arg = {parsed(m, "two"), parsed(m, "1")}}));
  m->sym[k].init = dpi_g_sym(m->graph, d1);
  check_ok(dpi_model_add_draw(
      m, &(dpi_draw){.sym = d2, .variate = DPI_VARIATE_POISSON, .narg = 1, .arg = {parsed(m, "k*p")}}));
  m->sym[x].init = dpi_g_sym(m->graph, d2);
  check_ok(dpi_model_add_draw(m, &(dpi_draw){.sym = d3, .variate = DPI_VARIATE_UNIFORM, .narg = 2,
                                             .arg = {parsed(m, "x"), parsed(m, "two")}, .phase = DPI_DRAW_EXECUTION}));
  ((dpi_event_assign *)m->event[0].assign)[0].value = dpi_g_sym(m->graph, d3);
  check_ok(dpi_model_seal(m));
  char buf[64];
  assert_string_equal(printed(m, m->draw[0].arg[0], buf, sizeof buf), "2*mean");
  assert_string_equal(printed(m, m->draw[1].arg[0], buf, sizeof buf), "draw(k)*p");
  assert_string_equal(printed(m, m->draw[2].arg[0], buf, sizeof buf), "x");
  for (int i = 0; i < 3; i++) assert_int_equal(m->sym[m->draw[i].sym].kind, DPI_SYM_DRAW);
  assert_string_equal(m->sym[m->draw[2].sym].id, "draw(E)");
  check_value(m, "k", "draw(k)"); /* k is the draw */
  assert_string_equal(printed(m, m->sym[1].init, buf, sizeof buf), "draw(x)");
  assert_string_equal(printed(m, m->sym[1].formula, buf, sizeof buf), "-(draw(k)*x)");
  assert_string_equal(printed(m, m->event[0].assign[0].value, buf, sizeof buf), "draw(E)");
  assert_int_equal(m->nstate, 1);
  dp_model_destroy(m);
}

/* an event sets what was drawn at the start: it becomes a state */
static void drawn_parameters_that_events_set_are_states(void **state) {
  (void)state;
  dp_model *m = read_text("k = 0; E: at (time > 1): k = 0");
  int d;
  check_ok(dpi_model_declare(m, "d", 3, &d));
  check_ok(dpi_model_add_draw(
      m, &(dpi_draw){.sym = d, .variate = DPI_VARIATE_NORMAL, .narg = 2, .arg = {parsed(m, "0"), parsed(m, "1")}}));
  m->sym[sym_of(m, "k")].init = dpi_g_sym(m->graph, d);
  check_ok(dpi_model_seal(m));
  assert_int_equal(m->nstate, 1);
  char buf[64];
  assert_string_equal(printed(m, m->sym[1].init, buf, sizeof buf), "d");
  dp_model_destroy(m);
}

/* ---- reactions ---- */
static void reactions_keep_their_jumps(void **state) {
  (void)state;
  dp_model *m = read_text("k = 2; n = 3; A' = 0; A = 10; B' = 0; B = 0; J := k*A");
  dpi_change change[2] = {{sym_of(m, "A"), parsed(m, "-1")}, {sym_of(m, "B"), parsed(m, "n")}};
  dpi_change order[1] = {{sym_of(m, "A"), parsed(m, "1")}};
  dpi_model_reaction r = {.id = "J", .sym = sym_of(m, "J"), .rate = parsed(m, "J"), .nchange = 2, .change = change,
                          .norder = 1, .order = order, .line = 7};
  check_ok(dpi_model_add_reaction(m, &r));
  change[0].state = change[1].state = 0; /* copied */
  check_ok(dpi_model_seal(m));
  char buf[64];
  assert_int_equal(m->nreaction, 1);
  assert_int_equal(m->reaction[0].sym, sym_of(m, "J"));
  assert_int_equal(m->reaction[0].change[0].state, 1);
  assert_int_equal(m->reaction[0].change[1].state, 2);
  assert_int_equal(m->reaction[0].order[0].state, 1);
  assert_string_equal(printed(m, m->reaction[0].rate, buf, sizeof buf), "A*k");
  assert_string_equal(printed(m, m->reaction[0].change[1].by, buf, sizeof buf), "n");
  dp_model_destroy(m);
}

/* ---- values ---- */
static void a_value_that_nothing_needs_may_be_missing(void **state) {
  (void)state;
  dp_model *m = read_text("x' = -k*x; x = c*2; k = 1");
  int a, b, c, d;
  check_ok(dpi_model_declare(m, "a", 1, &a));
  check_ok(dpi_model_declare(m, "b", 1, &b));
  check_ok(dpi_model_declare(m, "c", 1, &c));
  check_ok(dpi_model_declare(m, "d", 1, &d));
  m->sym[b].kind = DPI_SYM_STATE; /* never moves, has no value */
  m->sym[b].formula = dpi_g_const(m->graph, 0.0);
  assign(m, "d", "a + b");
  check_ok(dpi_model_seal(m));
  assert_int_equal(m->nstate, 1);
  assert_int_equal(m->sym[sym_of(m, "b")].kind, DPI_SYM_PARAM);
  assert_true(m->sym[sym_of(m, "k")].needed && m->sym[sym_of(m, "c")].needed);
  assert_false(m->sym[sym_of(m, "a")].needed || m->sym[sym_of(m, "b")].needed);
  dp_model_destroy(m);
}

static void names_may_hide_words_of_the_language(void **state) {
  (void)state;
  int sym;
  dp_model *m = read_text("x = 1");
  check_ok(dpi_model_declare(m, "sin", 1, &sym));
  m->sym[sym].value = 4;
  check_ok(dpi_model_declare(m, "time", 1, &sym));
  assert_true(sym > 0);
  m->sym[sym].value = 5;
  check_ok(dpi_model_seal(m));
  assert_true(m->sym[dpi_model_find(m, "time")].value == 5);
  assert_int_equal(m->sym[0].kind, DPI_SYM_TIME);
  dp_model_destroy(m);
}

/* ---- the n-th allocation fails: an error, no crash, nothing lost ---- */
static const struct {
  const char *id;
  dpi_sym_kind kind;
  const char *formula, *more; /* more: target, lag, initial value */
  bool free;
} everything[] = {
    {"k", DPI_SYM_PARAM, NULL, "d", false},       {"u", DPI_SYM_PARAM, NULL, NULL, true},
    {"v", DPI_SYM_PARAM, NULL, NULL, true},       {"w", DPI_SYM_PARAM, NULL, NULL, true},
    {"a", DPI_SYM_ASSIGNED, "x*u", NULL, false},  {"x", DPI_SYM_STATE, "ra - k*dx + v", "k", false},
    {"y", DPI_SYM_STATE, "x*w", "2*time", false}, {"ra", DPI_SYM_RATEOF, NULL, "y", false},
    {"rw", DPI_SYM_RATEOF, NULL, "w", false},     {"dx", DPI_SYM_DELAYED, "x + a + rw", "k", false},
};

static dp_status fill(dp_model *m) {
  int sym;
  dpi_node n, more;
  for (int i = 0; i < DPI_COUNT(everything); i++) DP_TRY(dpi_model_declare(m, everything[i].id, 1, &sym));
  DP_TRY(dpi_model_declare(m, "d", 1, &sym));
  dpi_node one = dpi_g_const(m->graph, 1.0);
  DP_TRY(dpi_model_add_draw(m, &(dpi_draw){.sym = sym, .variate = DPI_VARIATE_NORMAL, .narg = 2, .arg = {one, one}}));
  for (int i = 0; i < DPI_COUNT(everything); i++) {
    sym = dpi_model_find(m, everything[i].id);
    if (everything[i].formula != NULL) {
      DP_TRY(dpi_model_parse(m, everything[i].formula, "t", false, &n));
      m->sym[sym].formula = n;
    }
    if (everything[i].more != NULL) DP_TRY(dpi_model_parse(m, everything[i].more, "t", false, &more));
    m->sym[sym].kind = everything[i].kind;
    m->sym[sym].free = everything[i].free;
    if (everything[i].kind == DPI_SYM_RATEOF)
      m->sym[sym].target = dpi_model_find(m, everything[i].more);
    else if (everything[i].kind == DPI_SYM_DELAYED)
      m->sym[sym].delay = more;
    else if (everything[i].more != NULL)
      m->sym[sym].init = more;
  }
  const char *const zero[] = {"u + v - x", "u - v", "exp(w) - y"};
  for (int i = 0; i < DPI_COUNT(zero); i++) {
    DP_TRY(dpi_model_parse(m, zero[i], "t", false, &n));
    DP_TRY(dpi_model_add_constraint(m, n, 1));
  }
  dpi_change change = {dpi_model_find(m, "x"), one};
  DP_TRY(dpi_model_add_reaction(m, &(dpi_model_reaction){.id = "J", .sym = dpi_model_find(m, "a"), .rate = one,
                                                         .nchange = 1, .change = &change, .norder = 1,
                                                         .order = &change}));
  DP_TRY(dpi_model_parse(m, "x > u", "t", false, &n));
  return dpi_model_add_event(m, &(dpi_model_event){.id = "E", .trigger = n, .delay = one, .priority = one, .line = 1});
}

static dp_status make_all(dp_ctx *c, dp_model **m, dpi_system **sys, char **show) {
  DP_TRY(dpi_model_create(c, "m", "m", m));
  DP_TRY(fill(*m));
  DP_TRY(dpi_model_seal(*m));
  DP_TRY(dpi_system_create(c, *m, NULL, 0, sys));
  return dp_model_show(*m, show);
}

static void memory_may_run_out_anywhere(void **state) {
  (void)state;
  const char *const want[] = {"0 = exp(w) - y  # gives w\n", "d ~ normal(1, 1)  # drawn at the start\n",
                              "dx := delay(x + x*(x - x/2) + x*w/exp(w), d)\n", "# search from w = 1\n", "# J: -> x\n"};
  long failures = 0;
  for (long n = 0;; n++) {
    failing_memory memory = {0};
    failing_stays(&memory, n);
    dp_ctx *c = failing_context(&memory);
    dp_model *m = NULL;
    dpi_system *sys = NULL;
    char *show = NULL;
    if (c == NULL) continue;
    size_t live = dpi_alloc_live(c);
    dp_status s = make_all(c, &m, &sys, &show);
    if (s != DP_OK && s != DP_ERR_MEMORY) print_message("allocation %ld: %s\n", n, dp_ctx_error(c));
    for (int i = 0; i < DPI_COUNT(want) && s == DP_OK; i++) {
      if (strstr(show, want[i]) == NULL) print_message("%s\nhas no %s\n", show, want[i]);
      assert_non_null(strstr(show, want[i]));
    }
    if (s == DP_OK) dp_model_text_free(m, show);
    dpi_system_destroy(sys);
    dp_model_destroy(m);
    assert_int_equal(dpi_alloc_live(c), live);
    dp_ctx_destroy(c);
    if (s == DP_OK) break;
    assert_int_equal(s, DP_ERR_MEMORY);
    failures++;
    assert_true(n < 100000);
  }
  assert_true(failures > 100);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rates_of_states_and_constants),
      cmocka_unit_test(rates_of_assigned_values_follow_the_flow),
      cmocka_unit_test(rates_may_stand_in_rates_and_initial_values),
      cmocka_unit_test(loops_of_rates_are_named),
      cmocka_unit_test(rates_of_what_constraints_determine),
      cmocka_unit_test(delayed_symbols_follow_the_states),
      cmocka_unit_test(delayed_rates_were_those_of_initial_values),
      cmocka_unit_test(delays_of_time_are_written_out),
      cmocka_unit_test(wrong_delays_are_refused),
      cmocka_unit_test(delays_stand_in_events),
      cmocka_unit_test(draws_are_run_time_constants),
      cmocka_unit_test(drawn_parameters_that_events_set_are_states),
      cmocka_unit_test(reactions_keep_their_jumps),
      cmocka_unit_test(a_value_that_nothing_needs_may_be_missing),
      cmocka_unit_test(names_may_hide_words_of_the_language),
      cmocka_unit_test(memory_may_run_out_anywhere),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
