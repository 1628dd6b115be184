/* The Antimony reader against equations written by hand from the language's documentation, and against messages with
 * the right line for what is wrong or not supported. */
#include "lang/network.h"
#include "lang_check.h"

static void check_state(dp_model *m, const char *id, const char *rate, const char *init) {
  int s = sym_of(m, id);
  assert_int_equal(m->sym[s].kind, DPI_SYM_STATE);
  assert_true(s >= 1 && s <= m->nstate);
  check_same(m, id, m->sym[s].formula, rate);
  check_same(m, id, m->sym[s].init, init);
}

static void check_assigned(dp_model *m, const char *id, const char *formula) {
  int s = sym_of(m, id);
  assert_int_equal(m->sym[s].kind, DPI_SYM_ASSIGNED);
  check_same(m, id, dpi_model_value(m, s), formula);
}

static void check_param(const dp_model *m, const char *id, double value) {
  int s = sym_of(m, id);
  assert_int_equal(m->sym[s].kind, DPI_SYM_PARAM);
  assert_true(near_enough(m->sym[s].value, value, 0));
}

static void one_compartment_with_absorption(void **state) {
  (void)state;
  dp_model *m = read_sealed(
      "// theophylline-like\n"
      "model *pk(ka, CL)\n"
      "  depot' = -ka*depot;  central' = ka*depot - CL/V*central  # two rates\n"
      "  depot = 320; central = 0\n"
      "  ka = 1.5; CL = 2.8; V = 32\n"
      "  Cc := central/V /* concentration */\n"
      "end\n");
  assert_string_equal(m->name, "pk");
  assert_int_equal(m->nstate, 2);
  check_state(m, "depot", "-(ka*depot)", "320");
  check_state(m, "central", "ka*depot - CL/V*central", "0");
  check_assigned(m, "Cc", "central/V");
  check_param(m, "ka", 1.5);
  dp_model_destroy(m);
}

static void reactions_become_rates(void **state) {
  (void)state;
  dp_model *m = read_sealed(
      "J0: A + 2 B -> 3.5 C; k*A*B^2\n"
      "C => ; d*C; -> A; s; $X -> A; 0.1*X\n"
      "B + B -> n D; k\n"
      "A=1; B=2; C=0; D=0; X=7; k=0.5; d=0.1; s=2; n=4\n"
      "v := J0 + _J0\n");
  check_state(m, "A", "s - k*A*B^2 + 0.1*X", "1");
  check_state(m, "B", "-(2*(k*A*B^2)) - k - k", "2");
  check_state(m, "C", "3.5*(k*A*B^2) - d*C", "0");
  check_state(m, "D", "n*k", "0");
  check_param(m, "X", 7);
  check_assigned(m, "v", "k*A*B^2 + d*C");
  dp_model_destroy(m);
}

/* rates are amounts per time, species in compartments are concentrations */
static void compartments_divide(void **state) {
  (void)state;
  dp_model *m = read_sealed(
      "compartment C = 2, D; D = 3*C\n"
      "species S in C, $P in C, T in D = 5; substanceOnly species N in C\n"
      "S = 6/C; N = 1; P = 1\n"
      "J: S -> T; k*S*C; S -> N; k; k = 0.1\n");
  check_state(m, "S", "(-(k*S*C) - k)/C", "6/C");
  check_state(m, "T", "k*S*C/(C*3)", "5");
  check_state(m, "N", "k", "1");
  check_assigned(m, "D", "C*3");
  dp_model_destroy(m);
  m = read_sealed("compartment default_compartment = 4; species S; S = 1; S -> ; S");
  check_state(m, "S", "-S/default_compartment", "1");
  dp_model_destroy(m);
}

/* parameters computed from others follow them; numbers stay numbers */
static void initial_expressions(void **state) {
  (void)state;
  dp_model *m = read_sealed(
      "k1 = 2; k2 = 3*k1; k3 = 1/24; A = k2 + B; B = 4*k1; tot = A + B; A' = -k2*A; B' = 0; z = "
      "tot/2");
  check_param(m, "k1", 2);
  check_param(m, "k3", 1.0 / 24);
  check_assigned(m, "k2", "k1*3");
  check_state(m, "A", "-(k1*3*A)", "k1*3 + k1*4");
  check_assigned(m, "tot", "k1*3 + k1*4 + k1*4"); /* start values of states */
  check_assigned(m, "z", "(k1*3 + k1*4 + k1*4)/2");
  dp_model_destroy(m);
}

/* what an event changes, or was computed from what an event changes, is not a formula but a state that rests */
static void initial_expressions_beside_events(void **state) {
  (void)state;
  dp_model *m = read_sealed(
      "k1 = 2; a = 3*k1; b = 5*k1; c = 2*a; d = 7; x = 0; x' = 1; E: at (x > 1): a = 0, d = 1\n"
      "e = 2*d; t0x = 2*time");
  check_state(m, "a", "0", "k1*3");
  check_assigned(m, "b", "k1*5");
  check_assigned(m, "c", "2*(k1*3)"); /* from a's start value, which events don't change */
  check_param(m, "d", 7);
  check_state(m, "e", "0", "d*2");
  check_state(m, "t0x", "0", "time*2");
  dp_model_destroy(m);
}

static void events_have_options_and_roots(void **state) {
  (void)state;
  dp_model *m = read_sealed(
      "x = 1; x' = -x; y = 0; y' = 1\n"
      "E1: at (time > 5 && !(x < y)), t0=false, priority=2*x, persistent=false, fromTrigger=false: "
      "x = 3,\n y = x + 4\n"
      "at 3 after y >= 2: x = x/2; E3: at x: y = 0\n");
  assert_int_equal(m->nevent, 3);
  const dpi_model_event *e = &m->event[0];
  assert_string_equal(e->id, "E1");
  assert_false(e->initial_value || e->persistent || e->from_trigger);
  check_same(m, "event", e->trigger, "time > 5 && !(x < y)");
  check_same(m, "event", e->priority, "x*2");
  assert_int_equal(e->nassign, 2);
  assert_string_equal(m->sym[e->assign[1].sym].id, "y");
  check_same(m, "event", e->assign[1].value, "x + 4");
  assert_int_equal(e->nroot, 2);
  check_same(m, "event", e->root[0], "time - 5");
  check_same(m, "event", e->root[1], "x - y");
  e = &m->event[1];
  assert_string_equal(e->id, "_E0");
  assert_true(e->initial_value && e->persistent && e->from_trigger);
  check_same(m, "event", e->delay, "3");
  check_same(m, "event", e->root[0], "y - 2");
  e = &m->event[2]; /* a number as trigger */
  check_same(m, "event", e->trigger, "x != 0");
  assert_int_equal(e->nroot, 1);
  dp_model_destroy(m);
}

static void functions_are_written_out(void **state) {
  (void)state;
  dp_model *m = read_sealed(
      "function hill(x, K, n)\n  x^n/(K^n + x^n);\nend\n"
      "function twice(x) 2*hill(x, 3, 2) end\n"
      "a := hill(b, 2, 4); c := twice(b + 1); b = 1; f = one() + 1\n"
      "function one() 1 end\n");
  check_assigned(m, "a", "b^4/(b^4 + 16)");
  check_assigned(m, "c", "2*((b + 1)^2/((b + 1)^2 + 9))");
  check_param(m, "f", 2);
  dp_model_destroy(m);
}

static void what_changes_no_equation_is_read_over(void **state) {
  (void)state;
  dp_model *m = read_sealed(
      "unit mL = 1e-3 litre; length = metre; time_unit = 60 second\n"
      "model *m()\n"
      "species A; A is \"the drug, \\ with; signs\"; A = 3 mL; A has mL; k has 1/second; k = 2 / 1 "
      "second\n"
      "A identity \"http://x\",\n   \"http://y\"; A.sboTerm = 247\n"
      "A notes ```\n any; text -> 'here'\n```\n"
      "J: A -> ; k*A; J identity \"z\"; B -| J; B -o J; i1: B + A -( J\n"
      "var B; B = 1; const k; model creator.name \"me\"; A.mean = 3; assert A > 0\n"
      "volume = 5; w := volume*2\n"
      "x := 1 + \\\n 2\n"
      "end\nm is \"name\"\nm created.year 2019\n");
  check_state(m, "A", "-(k*A)", "3");
  assert_string_equal(m->net->species[0].substance_unit, "mL");
  int at = -1;
  assert_int_equal(dpi_net_find(m->net, "k", &at), DPI_NET_PARAMETER);
  assert_string_equal(m->net->parameter[at].unit, "1/second");
  check_param(m, "B", 1);
  check_param(m, "volume", 5);
  dp_model_destroy(m);
}

static void the_main_model_is_chosen(void **state) {
  (void)state;
  dp_model *m = read_text("model a()\n x=1\nend\nmodel b()\n y=2\nend\nb is \"B\"");
  assert_string_equal(m->name, "b");
  dp_model_destroy(m);
  m = read_text("model *a()\n x=1\nend\nmodel b()\n y=2\nend");
  assert_string_equal(m->name, "a");
  assert_true(dpi_model_find(m, "x") > 0 && dpi_model_find(m, "y") < 0);
  dp_model_destroy(m);
  m = read_text("model a()\n x=1\nend\nz = 3\nfunction f(x) x end");
  assert_true(dpi_model_find(m, "z") > 0 && dpi_model_find(m, "x") < 0);
  dp_model_destroy(m);
  m = read_text("");
  assert_int_equal(m->nsym, 1);
  dp_model_destroy(m);
}

static void line_ends_and_marks_do_not_matter(void **state) {
  (void)state;
  const char *texts[] = {"A' = -k*A; A = 1; k = 2", "A' = -k*A\r\nA = 1\r\nk = 2\r\n",
                         "\xef\xbb\xbf\nA' = -k*A;;;\n\n\tA = 1; k = 2;",
                         "A -> ; (k*\nA); A = 1; k = 2"};
  for (int i = 0; i < 4; i++) {
    dp_model *m = read_sealed(texts[i]);
    check_state(m, "A", "-(k*A)", "1");
    dp_model_destroy(m);
  }
}

static void typing_errors_are_named_with_their_line(void **state) {
  (void)state;
  check_refused("A = 1\nkel = 2\n\nA' = -kell*A", DP_ERR_INPUT,
                "m.ant:4: 'kell' is used but not defined", "did you mean 'kel'?");
  check_refused("x = 1\ny := x +\n", DP_ERR_INPUT, "m.ant:3:", "expected a number");
  check_refused("x = 1\nx = (2 + 3", DP_ERR_INPUT, "m.ant:2:", "expected ')'");
  check_refused("a := b; b := c + 1\nc := 2*a", DP_ERR_INPUT, "assignment loop: a -> b -> c -> a",
                "m.ant:1");
  check_refused("a := a + 1", DP_ERR_INPUT, "assignment loop: a -> a", "m.ant:1");
  check_refused("a = b; b = 2*a", DP_ERR_INPUT, "initial value loop: a -> b -> a", "");
  check_refused("x := 3\nx = 4", DP_ERR_INPUT,
                "m.ant:2: 'x' has an initial value beside its formula (line 1)", "");
  check_refused("x' = 3\nx := 4", DP_ERR_INPUT, "m.ant:2: 'x' has a formula beside its rate", "");
  check_refused("S = 3\nS -> ; S\nS' = 3", DP_ERR_INPUT, "'S' has a rate beside its reactions",
                "m.ant:3");
  check_refused("x' = 3", DP_ERR_INPUT, "m.ant:1: state 'x' has no initial value",
                "expected 'x = ...'");
  check_refused("model m()\n x = 1\n", DP_ERR_INPUT, "m.ant:1: model 'm' is not closed",
                "expected 'end'");
  check_refused("x = 1\nend", DP_ERR_INPUT, "m.ant:2:", "found 'end'");
  check_refused("x = 1 /* no end", DP_ERR_INPUT, "m.ant:1:", "comment that is not closed");
  check_refused("x = 1\nx is \"no end\ny = 2", DP_ERR_INPUT, "m.ant:2:", "not closed");
  check_refused("x = 1\n\ny = foo(x)", DP_ERR_INPUT, "m.ant:3: unknown function 'foo'",
                "did you mean");
  check_refused("function f(x) x + zz end\na := f(1)", DP_ERR_INPUT, "function 'f' uses 'zz'",
                "m.ant:1");
  check_refused("function f(x) x end\na := f(1, 2)", DP_ERR_INPUT,
                "m.ant:2: function 'f' has 2 arguments, expected 1", "");
  check_refused("k = 2 x; x = 1", DP_ERR_INPUT, "found 'x' after the number 2", "or a unit");
  check_refused("time = 3", DP_ERR_INPUT, "'time' is a word of the language", "m.ant:1");
  check_refused("x = 1 y = 2", DP_ERR_INPUT, "m.ant:1:", "found 'y'");
  check_refused("A -> B\nA = 1", DP_ERR_UNSUPPORTED, "m.ant:1: reaction '_J0' has no rate", "");
  check_refused("A -> B, C; 1", DP_ERR_INPUT, "m.ant:1: found ','", "expected");
  check_refused("x @ 3", DP_ERR_INPUT, "m.ant:1: found '@'", "");
  check_refused("x = 1\nx y", DP_ERR_INPUT, "m.ant:2: found 'y', expected a statement such as", "");
  check_refused("x := 1\nE: at (time > 1): x = 2", DP_ERR_INPUT,
                "m.ant:2: event 'E' sets 'x', which is given by a formula", "");
  check_refused("x = 1\nat (x > 1), prio=2: x = 1", DP_ERR_INPUT,
                "m.ant:2: found the event option 'prio'", "priority");
  check_refused("x = 1\nat (x > 1), t0=x: x = 1", DP_ERR_INPUT, "expected 'true' or 'false'",
                "m.ant:2");
  check_refused("const x = 1; x' = 2", DP_ERR_INPUT, "'x' is declared const but has a rate", "");
}

static void what_is_not_supported_is_named_with_its_line(void **state) {
  (void)state;
  check_refused("model *b()\n\n A: b()\nend", DP_ERR_INPUT, "nested more than", "does 'b' contain itself?");
  check_refused("x = 1\nA: foo()", DP_ERR_INPUT, "m.ant:2: there is no model 'foo'", "");
  check_refused("x = 1\nimport \"no_such.ant\"", DP_ERR_INPUT, "m.ant:2: the imported file 'no_such.ant'", "");
  check_refused("x = 1\ny := A.z", DP_ERR_INPUT, "m.ant:2: 'A.': 'A' is not a submodel", "");
  check_refused("model a()\n x=1\nend\nmodel *b()\n A: a()\n y := A.z\nend", DP_ERR_INPUT, "m.ant:6:", "'.z'");
  check_refused("J: A -> B\nmaximize J^2", DP_ERR_UNSUPPORTED, "m.ant:2: an objective", "");
  check_refused("x = ... + 1", DP_ERR_INPUT, "m.ant:1: '...' stands outside of a DNA strand", "");
}

/* f0 is written out 2^n times: refused, not run for ever */
static void exploding_functions_are_refused(void **state) {
  (void)state;
  dpi_str s;
  dpi_str_init(&s, ctx);
  dpi_str_add(&s, "function f0(x) x + 1 end\n");
  for (int i = 1; i < 60; i++)
    dpi_str_addf(&s, "function f%d(x) f%d(x)*f%d(x + 1) end\n", i, i - 1, i - 1);
  dpi_str_add(&s, "a := f59(b); b = 1\n");
  check_refused(dpi_str_text(&s), DP_ERR_UNSUPPORTED,
                "too large when its functions are written out", "");
  dpi_str_release(&s);
  check_refused("function f(x) f(x) end\na := f(1)", DP_ERR_INPUT, "calls itself", "");
}

static void files_are_recognised_by_content(void **state) {
  (void)state;
  const char *path = DOPPEL_BINARY_DIR "/test_antimony_model.ant";
  const char *xml = "<?xml version=\"1.0\"?>\n<model xmlns=\"http://www.cellml.org/cellml/1.0#\"/>";
  dp_model *m = NULL;
  check_ok(dpi_file_write(ctx, path, "x = 1; x' = -x", 14));
  check_ok(dp_model_read(ctx, path, &m));
  check_ok(dp_model_seal(m));
  assert_int_equal(dp_model_nstate(m), 1);
  assert_string_equal(dp_model_name(m), "main");
  char *text = NULL;
  check_ok(dp_model_show(m, &text));
  assert_non_null(strstr(text, "d[x]/dt = -x\n"));
  dp_model_text_free(m, text);
  dp_model_destroy(m);
  check_ok(dpi_file_write(ctx, path, xml, strlen(xml)));
  dp_ctx_clear_error(ctx);
  assert_int_equal(dp_model_read(ctx, path, &m), DP_ERR_UNSUPPORTED);
  assert_non_null(strstr(dp_ctx_error(ctx), "CellML is not readable by this build"));
  dp_ctx_clear_error(ctx);
  assert_int_equal(dp_model_read(ctx, DOPPEL_BINARY_DIR "/no_such_file.ant", &m), DP_ERR_INPUT);
  dp_ctx_clear_error(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_compartment_with_absorption),
      cmocka_unit_test(reactions_become_rates),
      cmocka_unit_test(compartments_divide),
      cmocka_unit_test(initial_expressions),
      cmocka_unit_test(initial_expressions_beside_events),
      cmocka_unit_test(events_have_options_and_roots),
      cmocka_unit_test(functions_are_written_out),
      cmocka_unit_test(what_changes_no_equation_is_read_over),
      cmocka_unit_test(the_main_model_is_chosen),
      cmocka_unit_test(line_ends_and_marks_do_not_matter),
      cmocka_unit_test(typing_errors_are_named_with_their_line),
      cmocka_unit_test(what_is_not_supported_is_named_with_its_line),
      cmocka_unit_test(exploding_functions_are_refused),
      cmocka_unit_test(files_are_recognised_by_content),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
