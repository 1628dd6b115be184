/* What a check finds in small models: conserved sums and units against what a reader works out by hand; structure. */
#include "base/tests/failing_memory.h"
#include "lang_check.h"
#include "lang/network.h"

static dpi_str found; /* all findings of the last check, "kind:line:text" a line */

static dp_status collect(void *user, const dp_finding *f) {
  static const char *const kind[] = {"summary", "conserved", "units", "structure"};
  (void)user;
  dpi_str_addf(&found, "%s:%d:%s\n", kind[f->kind], f->line, f->text);
  return DP_OK;
}

static void check_text(const char *text) {
  dp_model *m = NULL;
  dpi_str_release(&found);
  dpi_str_init(&found, ctx);
  dp_ctx_clear_error(ctx);
  check_ok(dpi_model_read_text(ctx, text, strlen(text), "m", &m));
  assert_int_equal(dp_model_check(m, collect, NULL), DP_ERR_USAGE); /* not sealed */
  dp_ctx_clear_error(ctx);
  check_ok(dpi_model_seal(m));
  check_ok(dp_model_check(m, collect, NULL));
  dp_model_destroy(m);
}

static void expect(const char *line) {
  if (strstr(dpi_str_text(&found), line) == NULL) print_message("wanted: %s\nfound:\n%s", line, dpi_str_text(&found));
  assert_non_null(strstr(dpi_str_text(&found), line));
}

static void expect_not(const char *line) {
  if (strstr(dpi_str_text(&found), line)) print_message("not wanted: %s\nfound:\n%s", line, dpi_str_text(&found));
  assert_null(strstr(dpi_str_text(&found), line));
}

static void done(void) { dpi_str_release(&found); }

static void sums_of_an_enzyme(void **state) {
  (void)state;
  check_text("compartment C = 2; species S in C, E in C, ES in C, P in C; S = 5; E = 1; ES = 0; P = 0;\n"
             "J1: S + E -> ES; C*k1*S*E; J2: ES -> S + E; C*k2*ES; J3: ES -> E + P; C*k3*ES; k1 = 1; k2 = 1; k3 = 1;");
  expect("conserved:0:E + ES = 2\n");
  expect("conserved:0:S + ES + P = 10\n");
  expect("as random jumps of whole molecules: yes");
  expect("to run: 4 differential equations\n");
  done();
}

static void sums_with_shares_and_signs(void **state) {
  (void)state;
  check_text("species A, B, C; A = 1; B = 0; C = 4; A -> 2 B; k*A; C -> 0.5 B; k*C; k = 1");
  expect("conserved:0:4 A + 2 B + C = 8\n"); /* a(1) = 2 b, c = 0.5 b */
  expect("takes or makes no whole number of B");
  check_text("species A, B; A = 3; B = 1; -> A + B; k; A + B -> ; k*A*B; k = 1"); /* only the difference stays */
  expect("conserved:0:A - B = 2\n");
  check_text("species A, $B; A = 3; B = 1; A -> B; k*A; k = 1"); /* B is held */
  expect_not("conserved:");
  done();
}

static void what_an_event_sets_is_not_conserved_for_long(void **state) {
  (void)state;
  check_text("species A, B; A = 3; B = 1; A -> B; k*A; k = 1; at time > 2: A = 3");
  expect("conserved:0:A + B = 4 until an event sets one of them\n");
  done();
}

static void things_that_do_nothing(void **state) {
  (void)state;
  check_text("species A, B, D; A = 3; B = 1; D = 2; A -> B; k0; k0 = 1; k1 = 2; E1: at k1 > 3: k2 = 3; k2 = 1; y := D");
  expect("the rate of reaction _J0 (A) does not depend on what it consumes, which can become negative\n");
  expect("event E1 can never fire: its condition never changes\n");
  expect("species D never changes");
  expect_not("parameter k1 is not used");
  check_text("species A, B, X, Y; A = 1; B = 1; X = 1; Y = 1; A -> B; A; X -> Y; X; k9 = 3");
  expect("the model falls into 2 parts that know nothing of each other: {A, B}, {X, Y}\n");
  expect("parameter k9 is not used\n");
  done();
}

static const char head[] =
    "<?xml version='1.0'?>\n<sbml xmlns='http://www.sbml.org/sbml/level2/version4' level='2' version='4'><model>\n"
    "<listOfUnitDefinitions><unitDefinition id='per_second'><listOfUnits><unit kind='second' "
    "exponent='-1'/></listOfUnits>"
    "</unitDefinition></listOfUnitDefinitions>\n"
    "<listOfCompartments><compartment id='C' size='1'/></listOfCompartments>\n"
    "<listOfSpecies><species id='S' compartment='C' initialConcentration='1'/></listOfSpecies>\n";

static void check_law(const char *unit, const char *law) {
  char text[3000];
  snprintf(
      text, sizeof text,
      "%s<listOfParameters><parameter id='k' value='1' %s/></listOfParameters><listOfReactions>"
      "<reaction id='J' reversible='false'><listOfReactants><speciesReference species='S'/></listOfReactants>\n"
      "<kineticLaw><math xmlns='http://www.w3.org/1998/Math/MathML'>%s</math></kineticLaw></reaction></listOfReactions>"
      "</model></sbml>",
      head, unit, law);
  check_text(text);
}

static void units_of_level_2(void **state) {
  (void)state;
  const char *good = "<apply><times/><ci>C</ci><ci>k</ci><ci>S</ci></apply>";
  check_law("units='per_second'", good); /* mole per second */
  expect("units:0:the units of all 1 formulas agree\n");
  check_law("units='per_second'", "<apply><times/><ci>k</ci><ci>S</ci></apply>"); /* the compartment is forgotten */
  expect("units:6:reaction J: its rate and extent per time have the units mol/(L s) and mol/s\n");
  check_law("units='litre'", good);
  expect("reaction J: its rate and extent per time have the units mol L and mol/s\n");
  check_law("", good);
  expect("parameter k has no unit\n");
  expect("1 of 1 formulas could not be checked");
  check_law("units='per_second'", "<apply><plus/><ci>C</ci><ci>S</ci></apply>");
  expect("reaction J: added are L and mol/L\n");
  check_law("units='per_second'", "<apply><exp/><ci>k</ci></apply>");
  expect("reaction J: the argument of exp has the unit 1/s, not a pure number\n");
  check_law("units='per_second'", "<apply><times/><cn>3.6</cn><ci>k</ci><ci>S</ci></apply>"); /* 3.6 litres? */
  expect("J: units agree only if a number in the formula carries one\n");
  done();
}

/* the modeller's own units come back in the message: millimoles and hours */
static void units_of_antimony(void **state) {
  (void)state;
  check_text(
      "unit substance = 1e-3 mole; unit extent = 1e-3 mole; unit time_unit = 3600 second; unit volume = litre;\n"
      "unit per_h = 1/(3600 second); compartment C; C = 1; species S in C; S = 1; J: S -> ; k*S; k = 1; k has per_h;");
  expect("reaction J: its rate and extent per time have the units mmol/(L h) and mmol/h\n");
  done();
}

static void nothing_declared_is_said_once(void **state) {
  (void)state;
  check_text("species A, B; A = 3; B = 1; A -> B; k*A; k = 1");
  expect("units:0:no units are declared: nothing to check\n");
  done();
}

static dp_status stop(void *user, const dp_finding *f) {
  (void)user, (void)f;
  return DP_ERR_CANCELLED;
}

static void the_caller_may_stop(void **state) {
  (void)state;
  dp_model *m = read_sealed("species A; A = 1; A -> ; A");
  assert_int_equal(dp_model_check(m, stop, NULL), DP_ERR_CANCELLED);
  dp_model_destroy(m);
}

/* ---- memory and size ---- */
static dp_status ignore(void *user, const dp_finding *f) {
  (void)user, (void)f;
  return DP_OK;
}

/* whatever allocation fails: the status says so, and nothing is kept */
static void the_nth_allocation_fails_cleanly(void **state) {
  (void)state;
  dp_ctx *kept = ctx;
  failing_memory memory = {0};
  dp_ctx_def def = failing_def(&memory);
  assert_int_equal(dp_ctx_create(&def, &ctx), DP_OK);
  dp_model *m = read_sealed("unit mM = 1e-3 mole/litre; compartment C; C = 2; species S in C, E in C; S = 5; E = 1;\n"
                            "J1: S + E -> ; k1*S*E; J2: -> 2 S; k2; k1 = 1; k2 has mM; k2 = 2; at time > 3: S = 5");
  size_t live = dpi_alloc_live(ctx);
  bool done = false;
  for (long n = 0; !done; n++) {
    char *text = NULL, *notes = NULL;
    failing_next(&memory, n);
    dp_status s = dp_model_check(m, ignore, NULL);
    if (s == DP_OK) s = dp_model_write(m, "sbml", &text, &notes);
    done = !failing_happened(&memory);
    failing_never(&memory);
    assert_int_equal(s, done ? DP_OK : DP_ERR_MEMORY);
    dp_model_text_free(m, text);
    dp_model_text_free(m, notes);
    assert_int_equal(dpi_alloc_live(ctx), live);
    dp_ctx_clear_error(ctx);
    assert_true(n < 10000);
  }
  dp_model_destroy(m);
  dp_ctx_destroy(ctx);
  ctx = kept;
}

/* a ring of 1500 species: one sum, found without trying all combinations */
static void large_networks_take_no_time(void **state) {
  (void)state;
  enum { N = 1500 };
  dpi_str text;
  dpi_str_init(&text, ctx);
  for (int i = 0; i < N; i++) dpi_str_addf(&text, "S%d -> S%d; k*S%d; S%d = 1;\n", i, (i + 1) % N, i, i);
  dpi_str_add(&text, "k = 1");
  check_text(dpi_str_text(&text));
  expect("(1500 species) = 1500\n");
  dpi_str_release(&text);
  done();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sums_of_an_enzyme),
      cmocka_unit_test(sums_with_shares_and_signs),
      cmocka_unit_test(what_an_event_sets_is_not_conserved_for_long),
      cmocka_unit_test(things_that_do_nothing),
      cmocka_unit_test(units_of_level_2),
      cmocka_unit_test(units_of_antimony),
      cmocka_unit_test(nothing_declared_is_said_once),
      cmocka_unit_test(the_caller_may_stop),
      cmocka_unit_test(the_nth_allocation_fails_cleanly),
      cmocka_unit_test(large_networks_take_no_time),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
