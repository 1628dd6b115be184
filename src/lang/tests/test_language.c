/* Languages are recognised by what the text contains; every model's hash is that of its text; elements of a network. */
#include "lang_check.h"
#include "lang/network.h"

#define XML "<?xml version='1.0' encoding='UTF-8'?>\n"
static const char sbml[] =
    XML "<sbml xmlns='http://www.sbml.org/sbml/level3/version2/core' level='3' version='2'><model id='two'>"
        "<listOfCompartments><compartment id='c' size='2' constant='true'/></listOfCompartments>"
        "<listOfSpecies><species id='A' compartment='c' initialAmount='6' hasOnlySubstanceUnits='false'"
        " boundaryCondition='false' constant='false'/></listOfSpecies>"
        "<listOfParameters><parameter id='k' value='3' constant='true'/>"
        "<parameter id='q' value='3' constant='false'/></listOfParameters>"
        "<listOfReactions><reaction id='J' reversible='false'><listOfReactants>"
        "<speciesReference id='n' species='A' stoichiometry='1' constant='true'/></listOfReactants>"
        "<kineticLaw><math xmlns='http://www.w3.org/1998/Math/MathML'><apply><times/><ci>k</ci><ci>A</ci></apply>"
        "</math></kineticLaw></reaction></listOfReactions></model></sbml>\n";

static void the_text_says_what_it_is(void **state) {
  (void)state;
  char hex[65], text[sizeof sbml + 10];
  dp_model *m = NULL;
  check_ok(dpi_model_read_text(ctx, sbml, sizeof sbml - 1, "any.txt", &m));
  dpi_sha256_hex(sbml, sizeof sbml - 1, hex);
  assert_string_equal(dp_model_hash(m), hex);
  check_ok(dp_model_seal(m));
  assert_int_equal(dp_model_nstate(m), 1);
  dp_model_destroy(m);
  snprintf(text, sizeof text, "\xef\xbb\xbf%s", sbml); /* a byte order mark */
  check_ok(dpi_model_read_text(ctx, text, strlen(text), "any.txt", &m));
  dp_model_destroy(m);
  const char *antimony = "\n  x = 1; x' = -x";
  check_ok(dpi_model_read_text(ctx, antimony, strlen(antimony), "any", &m));
  dpi_sha256_hex(antimony, strlen(antimony), hex);
  assert_string_equal(dp_model_hash(m), hex);
  check_ok(dp_model_seal(m));
  assert_int_equal(dp_model_nstate(m), 1);
  dp_model_destroy(m);
  assert_non_null(dpi_language_find("sbml"));
  assert_null(dpi_language_find("cellml"));
}

static void check_read_refused(const char *text, const char *source, dp_status want, const char *part) {
  dp_model *m = NULL;
  dp_ctx_clear_error(ctx);
  assert_int_equal(dpi_model_read_text(ctx, text, strlen(text), source, &m), want);
  if (strstr(dp_ctx_error(ctx), part) == NULL) print_message("%s has no %s\n", dp_ctx_error(ctx), part);
  assert_non_null(strstr(dp_ctx_error(ctx), part));
  dp_ctx_clear_error(ctx);
}

static void other_languages_are_refused_by_name(void **state) {
  (void)state;
  check_read_refused(XML "<model xmlns='http://www.cellml.org/cellml/1.0#'/>", "m.xml", DP_ERR_UNSUPPORTED,
                     "m.xml: CellML");
  check_read_refused(XML "<html/>", "m.ant", DP_ERR_UNSUPPORTED, "m.ant: XML is not readable");
  check_read_refused("x = 1", "m.sbml", DP_ERR_INPUT, "m.sbml: the text is not XML though the name says so");
}

static void elements_are_those_of_the_text(void **state) {
  (void)state;
  dp_model *m = NULL;
  check_ok(dpi_model_read_text(ctx, sbml, sizeof sbml - 1, "m.xml", &m));
  for (int sealed = 0; sealed < 2; sealed++) {
    const struct {
      const char *id;
      dp_element_kind kind;
      bool constant;
    } want[] = {{"c", DP_ELEMENT_COMPARTMENT, true}, {"A", DP_ELEMENT_SPECIES, false},
                {"k", DP_ELEMENT_PARAMETER, true},   {"q", DP_ELEMENT_PARAMETER, true},
                {"J", DP_ELEMENT_REACTION, false},   {"n", DP_ELEMENT_STOICHIOMETRY, true}};
    assert_int_equal(dp_model_nelement(m), DPI_COUNT(want));
    for (int i = 0; i < DPI_COUNT(want); i++) {
      dp_element e = dp_model_element(m, i);
      assert_string_equal(e.id, want[i].id);
      assert_int_equal(e.kind, want[i].kind);
      if (sealed) assert_int_equal(e.constant, want[i].constant);
    }
    assert_string_equal(dp_model_element(m, 1).compartment, "c");
    assert_false(dp_model_element(m, 1).amount);
    check_ok(dp_model_seal(m));
  }
  assert_true(m->sym[sym_of(m, "amount(A)")].varies && m->sym[sym_of(m, "J")].varies && m->sym[0].varies);
  assert_false(m->sym[sym_of(m, "c")].varies);
  dp_model_destroy(m);
  check_ok(dpi_model_create(ctx, "by hand", "here", &m));
  assert_int_equal(dp_model_nelement(m), 0);
  dp_model_destroy(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_text_says_what_it_is),
      cmocka_unit_test(other_languages_are_refused_by_name),
      cmocka_unit_test(elements_are_those_of_the_text),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
