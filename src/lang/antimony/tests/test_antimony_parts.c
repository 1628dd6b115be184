/* Submodels, conversion factors, deletions, DNA strands, flux balance and what else a text is made of, against
 * equations written by hand from the language's documentation; what libAntimony 3.3 makes of the same texts agrees. */
#include "lang/network.h"
#include "lang/tests/lang_check.h"

static void check_rate(dp_model *m, const char *id, const char *rate) {
  int s = sym_of(m, id);
  assert_int_equal(m->sym[s].kind, DPI_SYM_STATE);
  check_same(m, id, m->sym[s].formula, rate);
}

static void check_value(dp_model *m, const char *id, const char *formula) {
  check_same(m, id, dpi_model_value(m, sym_of(m, id)), formula);
}

static void check_number(const dp_model *m, const char *id, double value) {
  assert_true(near_enough(m->sym[sym_of(m, id)].value, value, 1e-15));
}

static void check_initial(dp_model *m, const char *id, const char *value) {
  check_same(m, id, m->sym[sym_of(m, id)].init, value);
}

#define SIDE                                                                  \
  "model side(S, k1)\n J0: S + E -> ES; k1*k2*S*E - k2*ES;\n S = 5; E = 3;\n" \
  " ES = E + S; k1 = 1.2; k2 = 0.4;\nend\n"

static void submodels_share_what_is_the_same(void **state) {
  (void)state;
  dp_model *m = read_sealed(SIDE
                            "model *full()\n species S; A: side(S); B: side(); B.S is S; B.k1 = 2.4; B.E = 10\n"
                            " A.J0 = A.k1*S*A.E\n J3: B.ES -> ; k3*B.ES; k3 = 0.02; t := A.E + B.E\nend\n");
  assert_string_equal(m->name, "full");
  check_rate(m, "S", "-(A__k1*S*A__E) - (B__k1*B__k2*S*B__E - B__k2*B__ES)");
  check_rate(m, "B__ES", "B__k1*B__k2*S*B__E - B__k2*B__ES - k3*B__ES");
  check_value(m, "t", "A__E + B__E");
  check_initial(m, "S", "5");
  check_initial(m, "B__E", "10");
  check_initial(m, "B__ES", "15"); /* its own E */
  check_number(m, "A__k1", 1.2);
  check_number(m, "B__k1", 2.4);
  dp_model_destroy(m);
}

/* the outer value counts where there is one, whatever the order */
static void values_of_what_is_the_same(void **state) {
  (void)state;
  dp_model *m = read_sealed(SIDE "y = 9\nA: side(); A.k1 is y; B: side(, z); C: side(, 7); A.S is B.S; B.S = 8\n");
  check_number(m, "y", 9);
  check_number(m, "z", 1.2);
  check_number(m, "C__k1", 7);
  check_initial(m, "B__S", "8");
  assert_int_equal(dpi_model_find(m, "A__S"), -1);
  dp_model_destroy(m);
  m = read_sealed("A -> B; k*A; A is ABA; ABA = 1; B = 0; k = 2");
  check_rate(m, "ABA", "-(k*ABA)");
  dp_model_destroy(m);
}

static void submodels_nest(void **state) {
  (void)state;
  dp_model *m = read_sealed(
      "model a()\n x = 1; x' = -k*x; k = 2\nend\nmodel b()\n A: a(); y := 2*A.x; A.k = q\nend\n"
      "B: b(); B.A.x = 7; B.q = 5; z := B.A.x + B.y; a()\n");
  check_rate(m, "B__A__x", "-(B__A__k*B__A__x)");
  check_initial(m, "B__A__x", "7");
  check_value(m, "z", "B__A__x + 2*B__A__x");
  check_rate(m, "_sys0__x", "-(_sys0__k*_sys0__x)");
  dp_model_destroy(m);
}

/* time, extent and single variables in other measures than the submodel's */
static void conversion_factors(void **state) {
  (void)state;
  dp_model *m = read_sealed(
      "model f()\n S=1; S -> E; k*S; E=2; k=3; z' = time + k; z=0; at 2 after E>2: S=k, E=4\nend\n"
      "A: f(), timeconv=tc, extentconv=xc; tc = 60; xc = 1000; S2 = 6; A.E*cf is S2; cf = 10\n");
  check_rate(m, "A__S", "-(A__k*A__S/tc*xc)");
  check_rate(m, "S2", "A__k*A__S/tc*xc");
  check_rate(m, "A__z", "(time/tc + A__k)/tc");
  check_same(m, "trigger", m->event[0].trigger, "S2/cf > 2");
  check_same(m, "delay", m->event[0].delay, "2*tc");
  check_same(m, "assignment", m->event[0].assign[1].value, "4*cf");
  check_initial(m, "S2", "6");
  dp_model_destroy(m);
  m = read_sealed("model f()\n x = 3; y := 2*x\nend\nA: f(); A.x is q/5; w := q");
  check_number(m, "q", 15); /* x * 5 */
  check_value(m, "A__y", "2*(q/5)");
  dp_model_destroy(m);
}

static void deleted_parts_leave_with_what_needs_them(void **state) {
  (void)state;
  dp_model *m = read_sealed(
      "model f()\n S=1; J0: S -> E; k*S; J1: E -> ; q; E=2; k=3; q=1; z' = k; z=0\n"
      " E1: at (E > 2): z=k, E=3; E2: at (S > 2): E=7; x := S + 1\nend\n"
      "A: f(); delete A.S, A.J0");
  check_rate(m, "A__E", "-A__q");
  assert_int_equal(dpi_model_find(m, "A__S"), -1);
  assert_int_equal(m->nevent, 1);
  assert_int_equal(m->event[0].nassign, 2);
  dp_model_destroy(m);
  m = read_sealed("model f()\n k = 3; z' = k; z = 0; y := k; w = 5*k\nend\nA: f(); A.y := ; A.y = 2; A.z' = ; A.w = 4");
  check_number(m, "A__y", 2);
  check_number(m, "A__z", 0);
  check_number(m, "A__w", 4);
  dp_model_destroy(m);
  check_refused("model f()\n k = 3\nend\nA: f(); delete A.k\ny := A.k", DP_ERR_INPUT, "'A__k' is used but deleted",
                ":5:");
}

static void dna_strands_hand_rates_down(void **state) {
  (void)state;
  dp_model *m = read_sealed(
      "dna1: --P1--RBS1--G1--\ndna2: P2--dna1\ndna3: P2--RBS2--G1\nP1 = ...+a; P2 = ...+b\n"
      "RBS1 = ...*c; RBS2 = ...*d; G1: -> p; ; p = 0; a=1;b=2;c=3;d=4\n");
  check_rate(m, "p", "(0 + b + a)*c + (0 + b)*d");
  check_value(m, "RBS1", "0");
  dp_model_destroy(m);
  m = read_sealed(
      "model s()\n --P1--R--G1--\n P1 = k + ...; R = ...*3; G1: -> p; ; p = 0; k = 2\nend\n"
      "A: s(); full: P2--A--stop; P2 = k2; k2 = 5");
  check_rate(m, "A__p", "(A__k + k2)*3");
  dp_model_destroy(m);
  check_refused("a: --b--c\nb: --a--d", DP_ERR_INPUT, "DNA strand", "");
}

/* an element is where its statement, its strand, its reaction or its submodel is */
static void compartments_are_inherited(void **state) {
  (void)state;
  dp_model *m = read_sealed("J in C: S -> T; k; S = 1; T = 1; T in D; C = 2; D = 4; k = 1");
  check_rate(m, "S", "-k/C");
  check_rate(m, "T", "k/D");
  dp_model_destroy(m);
  m = read_sealed("model f()\n S -> ; k; S = 1; k = 1\nend\nA: f() in C; C = 5");
  check_rate(m, "A__S", "-A__k/C");
  dp_model_destroy(m);
}

/* 6/C in a compartment C is an amount; 5*C of an amount a concentration */
static void amounts_and_concentrations(void **state) {
  (void)state;
  dp_model *m =
      read_text("compartment C = 2; species S in C = 6/C; substanceOnly species N in C = 5*C; species M in C = 3");
  assert_true(m->net->species[0].amount == 6 && m->net->species[0].concentration != m->net->species[0].concentration);
  assert_true(m->net->species[1].concentration == 5 && m->net->species[1].only_substance);
  assert_true(m->net->species[2].concentration == 3);
  dp_model_destroy(m);
}

static void flux_balance(void **state) {
  (void)state;
  dp_model *m = read_text(
      "J0: -> A; ; J1: A -> ; ;\n-10 <= J0 <= up; J1 >= 0; up = 20; x = 1; x < 3; "
      "constraint c: x > 0\nobj: maximize 2*J0 - J1/4");
  const dpi_net *n = m->net;
  assert_true(n->flux && n->nobjective == 1 && n->active_objective == 0);
  assert_string_equal(n->reaction[0].lower, "J0_lower_bound");
  assert_string_equal(n->reaction[0].upper, "up");
  assert_string_equal(n->reaction[1].lower, "J1_lower_bound");
  assert_string_equal(n->reaction[1].upper, "");
  assert_int_equal(n->nconstraint, 2);
  assert_string_equal(n->constraint[1].id, "c");
  assert_true(n->objective[0].maximize && n->objective[0].nterm == 2 && n->objective[0].term[1].coefficient == -0.25);
  dp_model_destroy(m);
  check_refused("J0: S1 -> ;\nup > J0;", DP_ERR_INPUT, "the flux of 'J0' is bounded by 'up'", "");
}

static void functions_of_the_text_and_of_the_language(void **state) {
  (void)state;
  dp_model *m = read_text(
      "x' = rateOf(y) + delay(y, 2); x = normal(1, 2); y' = 1; y = 3\n"
      "0 = a - 2*x; a = 1; E: at (x > 2): y = poisson(x)");
  assert_int_equal(m->ndraw, 2);
  assert_int_equal(m->nconstraint, 1);
  dp_model_destroy(m);
}

static void units_have_parts(void **state) {
  (void)state;
  dp_model *m = read_text(
      "unit mM = 1e-3 mole / litre; unit v = 1000 grams * meters^2 / seconds^3 / ampere\n"
      "x = 3 mM; y has mM/second; substance = mM; y = 1; unit n = 8 meter^3");
  const dpi_net *n = m->net;
  assert_int_equal(n->nunit, 4);
  assert_string_equal(n->unit[0].id, "mM");
  assert_int_equal(n->unit[0].npart, 2);
  assert_true(n->unit[0].part[0].multiplier == 1e-3 && n->unit[0].part[1].exponent == -1);
  assert_string_equal(n->unit[1].part[1].kind, "metre");
  assert_true(n->unit[1].part[2].exponent == -3);
  assert_string_equal(n->unit[2].id, "mM/second");
  assert_true(near_enough(n->unit[3].part[0].multiplier, 2, 1e-15)); /* 8 m^3 = (2 m)^3 */
  assert_string_equal(n->parameter[0].unit, "mM");
  assert_string_equal(n->substance_unit, "mM");
  dp_model_destroy(m);
}

static void annotations_are_kept(void **state) {
  (void)state;
  dp_model *m = read_text(
      "model *m()\nA -> ; 1; A = 1; A identity \"u1\",\n \"u2\"; A.sboTerm = 27; A is \"drug\"; A.mean = 3\n"
      "model notes ```two\nlines```\nend\nm is \"a model\"; m created.year 2019; m.sboTerm = SBO:0000004");
  const dpi_net *n = m->net;
  assert_string_equal(n->species[0].name, "drug");
  assert_string_equal(n->name, "a model");
  assert_int_equal(n->nannotation, 6);
  assert_string_equal(n->annotation[0].key, "identity");
  assert_int_equal(n->annotation[0].nvalue, 2);
  assert_string_equal(n->annotation[1].value[0], "SBO:0000027");
  assert_string_equal(n->annotation[3].value[0], "two\nlines");
  assert_string_equal(n->annotation[3].id, "");
  dp_model_destroy(m);
}

static void files_are_imported(void **state) {
  (void)state;
  const char *part = DOPPEL_BINARY_DIR "/test_antimony_part.ant", *path = DOPPEL_BINARY_DIR "/test_antimony_whole.ant";
  const char *text = "import \"test_antimony_part.ant\"\nmodel *w()\n A: part(); y := hill(A.x)\nend";
  const char *text2 =
      "model part()\n x = 3; x' = -x\nend\nfunction hill(x) x/(1+x) end\nimport \"test_antimony_whole.ant\"";
  dp_model *m = NULL;
  check_ok(dpi_file_write(ctx, part, text2, strlen(text2)));
  check_ok(dpi_file_write(ctx, path, text, strlen(text)));
  check_ok(dp_model_read(ctx, path, &m));
  check_ok(dp_model_seal(m));
  assert_string_equal(m->name, "w");
  check_value(m, "y", "A__x/(1 + A__x)");
  dp_model_destroy(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(submodels_share_what_is_the_same),
      cmocka_unit_test(values_of_what_is_the_same),
      cmocka_unit_test(submodels_nest),
      cmocka_unit_test(conversion_factors),
      cmocka_unit_test(deleted_parts_leave_with_what_needs_them),
      cmocka_unit_test(dna_strands_hand_rates_down),
      cmocka_unit_test(compartments_are_inherited),
      cmocka_unit_test(amounts_and_concentrations),
      cmocka_unit_test(flux_balance),
      cmocka_unit_test(functions_of_the_text_and_of_the_language),
      cmocka_unit_test(units_have_parts),
      cmocka_unit_test(annotations_are_kept),
      cmocka_unit_test(files_are_imported),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
