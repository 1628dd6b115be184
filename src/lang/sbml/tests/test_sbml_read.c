/* The SBML reader: small documents of all levels and packages against the network that the specifications mean. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/tests/failing_memory.h"
#include "lang/sbml/sbml_impl.h"

static failing_memory memory;
#define OWN_CONTEXT_DEF failing_def(&memory)
#include "base/tests/own_context.h"

#define MATH(x) "<math xmlns=\"http://www.w3.org/1998/Math/MathML\">" x "</math>"
#define CI(x) "<ci>" x "</ci>"
#define CN(x) "<cn>" x "</cn>"
#define L1(body)                                                                              \
  "<sbml xmlns='http://www.sbml.org/sbml/level1' level='1' version='2'><model name='m'>" body \
  "</model></sbml>"
#define L21(body)                                                                           \
  "<sbml xmlns='http://www.sbml.org/sbml/level2' level='2' version='1'><model id='m'>" body \
  "</model></sbml>"
#define L24(body)                                                                        \
  "<sbml xmlns='http://www.sbml.org/sbml/level2/version4' level='2' version='4'><model " \
  "id='m'>" body "</model></sbml>"
#define L31(body)                                                                             \
  "<sbml xmlns='http://www.sbml.org/sbml/level3/version1/core' level='3' version='1'><model " \
  "id='m'>" body "</model></sbml>"
#define L32(body)                                                                             \
  "<sbml xmlns='http://www.sbml.org/sbml/level3/version2/core' level='3' version='2'><model " \
  "id='m'>" body "</model></sbml>"
#define PACKAGE(name, version)                                                         \
  "<sbml xmlns='http://www.sbml.org/sbml/level3/version1/core' level='3' version='1' " \
  "xmlns:p='http://www.sbml.org/"                                                      \
  "sbml/level3/version1/" name "/version" version "' p:required="
#define CELL3 \
  "<listOfCompartments><compartment id='c' size='2' constant='true'/></listOfCompartments>"
#define SPECIES3(id, rest)                                                     \
  "<species id='" id                                                           \
  "' compartment='c' hasOnlySubstanceUnits='false' boundaryCondition='false' " \
  "constant='false' " rest "/>"

static dpi_net *read_net(const char *text) {
  dpi_net *net = NULL;
  dp_ctx_clear_error(ctx);
  dp_status s = dpi_language_sbml.read(ctx, text, strlen(text), "m.xml", &net);
  if (s != DP_OK) print_message("%s\n", dp_ctx_error(ctx));
  assert_int_equal(s, DP_OK);
  return net;
}

static void check_refused(const char *text, dp_status want, const char *part1, const char *part2) {
  dpi_net *net = NULL;
  dp_ctx_clear_error(ctx);
  dp_status s = dpi_language_sbml.read(ctx, text, strlen(text), "m.xml", &net);
  if (s != want || !strstr(dp_ctx_error(ctx), part1) || !strstr(dp_ctx_error(ctx), part2))
    print_message("gave %s: %s\n", dp_status_name(s), dp_ctx_error(ctx));
  assert_int_equal(s, want);
  assert_non_null(strstr(dp_ctx_error(ctx), part1));
  assert_non_null(strstr(dp_ctx_error(ctx), part2));
  dp_ctx_clear_error(ctx);
}

static void check_math(const dpi_ast *a, const char *want) {
  dpi_str s;
  dpi_str_init(&s, ctx);
  dpi_ast_print(a, &s);
  assert_string_equal(dpi_str_text(&s), want);
  dpi_str_release(&s);
}

/* ---- levels ---- */
static void level_1_says_little_and_means_much(void **state) {
  (void)state;
  dpi_net *net = read_net(
      L1("<listOfCompartments><compartment name='c'/><compartment name='d'/></listOfCompartments>"
         "<listOfSpecies><species name='S' compartment='c' initialAmount='2' charge='2'/>"
         "<species name='P' compartment='c' initialAmount='0' "
         "boundaryCondition='true'/></listOfSpecies>"
         "<listOfParameters><parameter name='k' value='1'/><parameter name='q' "
         "value='1'/></listOfParameters>"
         "<listOfRules><parameterRule name='q' formula='sqr(k)+log(k)+log10(k)+acos(k)+pow(k,3)'/>"
         "<speciesConcentrationRule species='P' type='rate' formula='k'/>"
         "<compartmentVolumeRule compartment='d' formula='2*k'/></listOfRules>"
         "<listOfReactions><reaction name='R'><listOfReactants><speciesReference species='S' "
         "stoichiometry='3'"
         " denominator='2'/></listOfReactants><kineticLaw "
         "formula='k2*S'><listOfParameters><parameter name='k2'"
         " value='0.1'/></listOfParameters></kineticLaw></reaction></listOfReactions>"));
  assert_string_equal(net->language, "SBML L1V2");
  assert_string_equal(net->id, "m");
  assert_true(net->compartment[0].size == 1.0 && net->compartment[0].dimensions == 3.0);
  assert_true(net->compartment[0].constant && !net->compartment[1].constant); /* a rule sets it */
  assert_true(net->species[0].amount == 2.0 && net->species[0].charge == 2.0);
  assert_true(isnan(net->species[0].concentration) && !net->species[0].only_substance &&
              net->species[1].boundary);
  assert_true(net->parameter[0].constant && !net->parameter[1].constant);
  check_math(net->rule[0].math, "k^2 + ln(k) + log10(k) + arccos(k) + k^3");
  assert_int_equal(net->rule[0].math->narg, 5); /* a flat sum, not a deep one */
  assert_int_equal(net->rule[1].kind, DPI_RULE_RATE);
  assert_int_equal(net->rule[2].kind, DPI_RULE_ASSIGNMENT);
  assert_true(net->reaction[0].reactant[0].stoichiometry == 1.5 && net->reaction[0].reversible);
  assert_string_equal(net->reaction[0].local[0].id, "k2");
  check_math(net->reaction[0].rate, "k2*S");
  dpi_net_destroy(net);
}

static void level_1_has_names_where_others_have_constants(void **state) {
  (void)state;
  dpi_net *net = read_net(
      L1("<listOfCompartments><compartment name='c'/></listOfCompartments>"
         "<listOfSpecies><species name='S' compartment='c' initialAmount='2'/></listOfSpecies>"
         "<listOfParameters><parameter name='PI' value='1'/><parameter name='nan' value='1'/>"
         "<parameter name='q' value='1'/></listOfParameters><listOfRules>"
         "<parameterRule name='q' formula='PI+nan+inf'/></listOfRules><listOfReactions>"
         "<reaction name='R'><listOfProducts><speciesReference species='S'/></listOfProducts>"
         "<kineticLaw formula='true'><listOfParameters><parameter name='true' value='1'/>"
         "</listOfParameters></kineticLaw></reaction></listOfReactions>"));
  const dpi_ast *a = net->rule[0].math;
  assert_int_equal(a->arg[0]->op, DPI_AST_NAME);
  assert_string_equal(a->arg[0]->name, "PI");
  assert_string_equal(a->arg[1]->name, "nan");
  assert_int_equal(a->arg[2]->op, DPI_AST_INFINITY);
  assert_int_equal(net->reaction[0].rate->op, DPI_AST_NAME);
  dpi_net_destroy(net);
}

static void level_2_has_defaults_and_computed_stoichiometry(void **state) {
  (void)state;
  dpi_net *net = read_net(L21(
      "<listOfCompartments><compartment id='c'/><compartment id='z' "
      "spatialDimensions='0'/></listOfCompartments>"
      "<listOfSpecies><species id='S' compartment='c' initialConcentration='2'/>"
      "<species id='P' compartment='z' hasOnlySubstanceUnits='true'/></listOfSpecies>"
      "<listOfParameters><parameter id='k'/><parameter id='v' constant='false'/></listOfParameters>"
      "<listOfReactions><reaction id='R' fast='true'><listOfReactants><speciesReference "
      "species='S'/>"
      "</listOfReactants><listOfProducts><speciesReference species='P'><stoichiometryMath>" MATH(
          "<apply><times/>" CN("2")
              CI("k") "</apply>") "</stoichiometryMath></speciesReference>"
                                  "<speciesReference species='S'><stoichiometryMath>" MATH(
                                      "<cn type='rational'>3<sep/>2</cn>") "</stoichiometryMath></"
                                                                           "speciesReference></"
                                                                           "listOfProducts></"
                                                                           "reaction></"
                                                                           "listOfReactions>"
                                                                           "<listOfEvents><event><"
                                                                           "trigger>" MATH(
                                                                               "<apply><gt/>" CI(
                                                                                   "S")
                                                                                   CN(
                                                                                       "1") "</"
                                                                                            "apply"
                                                                                            ">") "<"
                                                                                                 "/"
                                                                                                 "t"
                                                                                                 "r"
                                                                                                 "i"
                                                                                                 "g"
                                                                                                 "g"
                                                                                                 "e"
                                                                                                 "r"
                                                                                                 ">"
                                                                                                 "<"
                                                                                                 "l"
                                                                                                 "i"
                                                                                                 "s"
                                                                                                 "t"
                                                                                                 "O"
                                                                                                 "f"
                                                                                                 "E"
                                                                                                 "v"
                                                                                                 "e"
                                                                                                 "n"
                                                                                                 "t"
                                                                                                 "A"
                                                                                                 "s"
                                                                                                 "s"
                                                                                                 "i"
                                                                                                 "g"
                                                                                                 "n"
                                                                                                 "m"
                                                                                                 "e"
                                                                                                 "n"
                                                                                                 "t"
                                                                                                 "s"
                                                                                                 ">"
                                                                                                 "<"
                                                                                                 "e"
                                                                                                 "v"
                                                                                                 "e"
                                                                                                 "n"
                                                                                                 "t"
                                                                                                 "A"
                                                                                                 "s"
                                                                                                 "s"
                                                                                                 "i"
                                                                                                 "g"
                                                                                                 "n"
                                                                                                 "m"
                                                                                                 "e"
                                                                                                 "n"
                                                                                                 "t"
                                                                                                 " "
                                                                                                 "v"
                                                                                                 "a"
                                                                                                 "r"
                                                                                                 "i"
                                                                                                 "a"
                                                                                                 "b"
                                                                                                 "l"
                                                                                                 "e"
                                                                                                 "="
                                                                                                 "'"
                                                                                                 "v"
                                                                                                 "'"
                                                                                                 ">" MATH(CN(
                    "1")) "</eventAssignment>"
                    "</listOfEventAssignments></event></listOfEvents>"));
  assert_true(isnan(net->compartment[0].size) && net->compartment[0].constant);
  assert_true(net->compartment[1].dimensions == 0.0);
  assert_true(net->species[0].concentration == 2.0 && isnan(net->species[0].amount) &&
              isnan(net->species[1].amount));
  assert_true(!net->species[0].only_substance && net->species[1].only_substance);
  assert_true(net->parameter[0].constant && isnan(net->parameter[0].value) &&
              !net->parameter[1].constant);
  const dpi_net_reaction *r = &net->reaction[0];
  assert_true(r->fast && r->reversible && !r->has_rate && r->rate == NULL);
  assert_true(r->reactant[0].stoichiometry == 1.0);
  assert_true(isnan(r->product[0].stoichiometry));
  check_math(r->product[0].math, "2*k");
  assert_true(r->product[1].stoichiometry == 1.5);
  assert_true(net->event[0].initial_value && net->event[0].persistent &&
              net->event[0].from_trigger);
  assert_null(net->event[0].delay);
  dpi_net_destroy(net);
}

static void level_2_version_4_may_take_values_at_execution(void **state) {
  (void)state;
#define EVENT4(attribute) \
  L24("<listOfParameters><parameter id='v' constant='false'/></listOfParameters><listOfEvents><event " attribute    \
      "><trigger>" MATH("<true/>") "</trigger><listOfEventAssignments><eventAssignment variable='v'>" MATH(CN("1"))  \
      "</eventAssignment></listOfEventAssignments></event></listOfEvents>")
  dpi_net *net = read_net(EVENT4("useValuesFromTriggerTime='false'"));
  assert_false(net->event[0].from_trigger);
  dpi_net_destroy(net);
  net = read_net(EVENT4(""));
  assert_true(net->event[0].from_trigger);
  dpi_net_destroy(net);
}

static void level_3_says_all_or_nothing(void **state) {
  (void)state;
  dpi_net *net = read_net(L32(
      "<listOfCompartments><compartment id='c' "
      "constant='false'/></listOfCompartments><listOfSpecies>" SPECIES3(
          "S",
          "initialAmount='3' conversionFactor='f'") "</listOfSpecies>"
                                                    "<listOfParameters><parameter id='f' "
                                                    "constant='true' "
                                                    "units='second'/></listOfParameters>"
                                                    "<listOfInitialAssignments><initialAssignment "
                                                    "symbol='c'>" MATH(CN(
                                                        "4")) "</initialAssignment>"
                                                              "</"
                                                              "listOfInitialAssignments><"
                                                              "listOfRules><assignmentRule "
                                                              "variable='n'/></listOfRules>"
                                                              "<listOfReactions><reaction id='R' "
                                                              "reversible='false'><listOfProducts>"
                                                              "<speciesReference id='n' "
                                                              "species='S' "
                                                              "constant='false'/><speciesReference "
                                                              "species='S' stoichiometry='2'"
                                                              " constant='true'/></"
                                                              "listOfProducts><kineticLaw><"
                                                              "listOfLocalParameters><"
                                                              "localParameter id='k' value='2'/>"
                                                              "</listOfLocalParameters></"
                                                              "kineticLaw></reaction></"
                                                              "listOfReactions>"
                                                              "<listOfEvents><event id='E' "
                                                              "useValuesFromTriggerTime='true'><"
                                                              "trigger initialValue='false'"
                                                              " persistent='false'/"
                                                              "><priority>" MATH(
                                                                  CN("1")) "</priority></event></"
                                                                           "listOfEvents>"));
  assert_true(isnan(net->compartment[0].dimensions) && isnan(net->compartment[0].size) &&
              !net->compartment[0].constant);
  assert_string_equal(net->species[0].conversion, "f");
  assert_string_equal(net->parameter[0].unit, "second");
  assert_int_equal(net->rule[0].kind, DPI_RULE_INITIAL);
  check_math(net->rule[0].math, "4");
  assert_null(net->rule[1].math); /* Version 2 allows rules without mathematics */
  const dpi_net_reaction *r = &net->reaction[0];
  assert_true(r->has_rate && r->rate == NULL && r->nlocal == 1 && !r->reversible);
  assert_true(isnan(r->product[0].stoichiometry) && !r->product[0].constant &&
              r->product[1].constant);
  int index = -1;
  assert_int_equal(dpi_net_find(net, "n", &index), DPI_NET_TERM);
  assert_string_equal(dpi_net_term_at(net, index)->species, "S");
  assert_true(!net->event[0].initial_value && !net->event[0].persistent &&
              net->event[0].trigger == NULL);
  check_math(net->event[0].priority, "1");
  dpi_net_destroy(net);
  net = read_net(
      "<sbml xmlns='http://www.sbml.org/sbml/level3/version2/core' level='3' version='2'/>");
  assert_int_equal(net->nparameter, 0);
  dpi_net_destroy(net);
}

/* ---- mathematics ---- */
#define RULE(x) \
  L32("<listOfFunctionDefinitions><functionDefinition id='f'>" MATH("<lambda><bvar>" CI("x") "</bvar><bvar>" CI("y") \
      "</bvar><apply><minus/>" CI("y") "</apply></lambda>") "</functionDefinition></listOfFunctionDefinitions>"      \
      "<listOfParameters><parameter id='k' constant='false'/><parameter id='q' constant='false'/>" \
      "<parameter id='time' constant='false'/>"              \
      "</listOfParameters><listOfRules><assignmentRule variable='k'><math xmlns='http://www.w3.org/1998/Math/MathML'" \
      " xmlns:sbml='http://www.sbml.org/sbml/level3/version2/core'>" x "</math></assignmentRule></listOfRules>")
#define CSYMBOL(name)                                                              \
  "<csymbol encoding='text' definitionURL='http://www.sbml.org/sbml/symbols/" name \
  "'>whatever</csymbol>"

static void check_rule(const char *text, const char *want) {
  dpi_net *net = read_net(text);
  check_math(net->rule[0].math, want);
  dpi_net_destroy(net);
}

static void numbers_keep_their_value(void **state) {
  (void)state;
  dpi_net *net = read_net(
      RULE("<apply><plus/><cn type='e-notation'>1.1<sep/>5</cn><cn type='rational'>1<sep/>4</cn>"
           "<cn type='integer'>3000000000</cn><cn sbml:units='second'>0.1</cn></apply>"));
  static const double want[] = {1.1e5, 0.25, 3e9, 0.1};
  const dpi_ast *a = net->rule[0].math;
  assert_int_equal(a->narg, 4);
  for (int i = 0; i < 4; i++) assert_true(a->arg[i]->value == want[i]);
  assert_string_equal(a->arg[3]->unit, "second");
  dpi_net_destroy(net);
}

static void mathematics_is_read_as_meant(void **state) {
  (void)state;
  check_rule(RULE("<apply><log/>" CI("q") "</apply>"), "log10(q)");
  check_rule(RULE("<apply><log/><logbase>" CN("2") "</logbase>" CI("q") "</apply>"), "log(2, q)");
  check_rule(RULE("<apply><root/>" CI("q") "</apply>"), "root(2, q)");
  check_rule(RULE("<apply><root/><degree>" CN("3") "</degree>" CI("q") "</apply>"), "root(3, q)");
  check_rule(RULE("<apply><lt/>" CN("1") CI("q") CN("3") "</apply>"), "1 < q < 3");
  check_rule(RULE("<piecewise><piece>" CN("1") "<true/></piece><otherwise>" CN(
                 "2") "</otherwise></piecewise>"),
             "piecewise(1, true, 2)");
  check_rule(RULE("<apply>" CI("f") CI("q") CN("2") "</apply>"), "f(q, 2)");
  check_rule(RULE("<apply><max/>" CN("1") CN("2") CN("3") "</apply>"), "max(1, 2, 3)");
  check_rule(RULE("<apply><quotient/>" CN("1") "<apply><rem/>" CN("2") CI("q") "</apply></apply>"),
             "quotient(1, rem(2, q))");
  check_rule(RULE("<apply><implies/><true/><apply><xor/><false/><true/></apply></apply>"),
             "implies(true, xor(false, true))");
  check_rule(RULE("<apply><divide/><pi/><exponentiale/></apply>"), "pi/exponentiale");
  check_rule(
      RULE("<apply><plus/><infinity/><apply><minus/><infinity/></apply><notanumber/></apply>"),
      "infinity + -infinity + notanumber");
}

static void symbols_are_not_names(void **state) {
  (void)state;
  dpi_net *net = read_net(RULE(
      "<apply><times/>" CI("time") CSYMBOL("time") CSYMBOL("avogadro") "<apply>" CSYMBOL("delay")
          CI("q") CN("1") "</apply><apply>" CSYMBOL("rateOf") CI("q") "</apply></apply>"));
  const dpi_ast *a = net->rule[0].math;
  assert_int_equal(a->arg[0]->op, DPI_AST_NAME);
  assert_int_equal(a->arg[1]->op, DPI_AST_TIME);
  assert_int_equal(a->arg[2]->op, DPI_AST_AVOGADRO);
  assert_int_equal(a->arg[3]->op, DPI_AST_DELAY);
  assert_int_equal(a->arg[4]->op, DPI_AST_RATEOF);
  dpi_net_destroy(net);
}

/* ---- packages ---- */
static void submodels_are_written_out(void **state) {
  (void)state;
  dpi_net *net = read_net(PACKAGE(
      "comp",
      "1") "'true'><model id='m'><p:listOfSubmodels><p:submodel p:id='A' p:modelRef='inner'/>"
           "<p:submodel p:id='B' p:modelRef='inner'><p:listOfDeletions><p:deletion "
           "p:idRef='x'/></p:listOfDeletions>"
           "</p:submodel></p:listOfSubmodels></model><p:listOfModelDefinitions><p:modelDefinition "
           "id='inner'>"
           "<listOfParameters><parameter id='x' value='1' constant='true'/><parameter id='y' "
           "value='2' constant='true'/>"
           "</listOfParameters></p:modelDefinition></p:listOfModelDefinitions></sbml>");
  int index = -1;
  assert_int_equal(net->nparameter, 3);
  assert_int_equal(dpi_net_find(net, "A__x", &index), DPI_NET_PARAMETER);
  assert_int_equal(dpi_net_find(net, "B__y", &index), DPI_NET_PARAMETER);
  assert_int_equal(dpi_net_find(net, "B__x", &index), DPI_NET_NOTHING);
  dpi_net_destroy(net);
  check_refused(PACKAGE("comp", "1") "'true'><model id='m'><p:listOfSubmodels><p:submodel p:id='A' "
                "p:modelRef='m'/></p:listOfSubmodels></model></sbml>",
                DP_ERR_INPUT, "contains itself", "");
  check_refused(PACKAGE("comp", "1") "'true'><model id='m'><p:listOfSubmodels><p:submodel p:id='A' p:modelRef='E'/>"
                "</p:listOfSubmodels></model><p:listOfExternalModelDefinitions><p:externalModelDefinition p:id='E'"
                " p:source='not_there.xml'/></p:listOfExternalModelDefinitions></sbml>",
                DP_ERR_INPUT, "Unresolved reference", "not_there.xml");
}

/* libSBML converts times, not rates: in the submodel's own time x grows by 2 * F */
static void rates_in_a_converted_time_are_refused(void **state) {
  (void)state;
#define CONVERTED(factor, what)                                                                                     \
  PACKAGE("comp", "1") "'true'><model id='m'><listOfParameters><parameter id='F' value='10' constant='true'/>"      \
      "</listOfParameters><p:listOfSubmodels><p:submodel p:id='A' p:modelRef='outer'" factor "/></p:listOfSubmodels>" \
      "</model><p:listOfModelDefinitions><p:modelDefinition id='outer'><p:listOfSubmodels><p:submodel p:id='B' "    \
      "p:modelRef='inner'/></p:listOfSubmodels></p:modelDefinition><p:modelDefinition id='inner'><listOfParameters>" \
      "<parameter id='x' value='1' constant='false'/><parameter id='y' constant='false'/></listOfParameters>"       \
      "<listOfRules><assignmentRule variable='y'>" MATH("<apply><csymbol encoding='text' definitionURL="            \
      "'http://www.sbml.org/sbml/symbols/" what "'>r</csymbol>" CI("x") "<cn>1</cn></apply>")                       \
      "</assignmentRule></listOfRules></p:modelDefinition></p:listOfModelDefinitions></sbml>"
  check_refused(CONVERTED(" p:timeConversionFactor='F'", "rateOf"), DP_ERR_UNSUPPORTED, "rateOf", "'outer'");
  dpi_net_destroy(read_net(CONVERTED(" p:timeConversionFactor='F'", "delay")));
#undef CONVERTED
}

#define DRAW(name, args)                                                                          \
  "<apply><csymbol encoding='text' definitionURL='http://www.sbml.org/sbml/symbols/distrib/" name \
  "'>x\n</csymbol>" args "</apply>"
#define DRAWN(x) \
  PACKAGE("distrib", "1") "'true'><model id='m'><listOfParameters><parameter id='k' constant='true'>"               \
      "<p:listOfUncertainties/></parameter></listOfParameters>\n<listOfInitialAssignments><initialAssignment"       \
      " symbol='k'>" MATH(x) "\n</initialAssignment></listOfInitialAssignments>\n<listOfConstraints><constraint>"   \
      MATH("<true/>") "</constraint></listOfConstraints></model></sbml>"

static void draws_are_draws(void **state) {
  (void)state;
  dpi_net *net = read_net(DRAWN(DRAW("normal", CN("1") CN("2"))));
  assert_int_equal(net->rule[0].math->op, DPI_AST_DRAW);
  assert_int_equal(net->rule[0].math->draw, DPI_VARIATE_NORMAL);
  assert_int_equal(net->rule[0].math->narg, 2);
  assert_int_equal(net->constraint[0].line, 5); /* lines of the text, whatever was rewritten */
  dpi_net_destroy(net);
  net = read_net(
      DRAWN("<!-- <csymbol definitionURL='http://www.sbml.org/sbml/symbols/distrib/no'/> -->" DRAW(
          "cauchy", CN("3"))));
  check_math(net->rule[0].math, "cauchy(0, 3)");
  dpi_net_destroy(net);
  check_refused(DRAWN(DRAW("dagum", CN("1"))), DP_ERR_UNSUPPORTED, "'k'", "distribution 'dagum'");
  check_refused(DRAWN(DRAW("normal", CN("1"))), DP_ERR_INPUT, "'k'", "'normal' has 1 arguments");
}

static void older_models_draw_through_functions(void **state) {
  (void)state;
  dpi_net *net = read_net(L31(
      "<listOfFunctionDefinitions><functionDefinition id='n'><annotation><distribution"
      " xmlns='http://sbml.org/annotations/distribution' definition='http://en.wikipedia.org/wiki/"
      "Normal_distribution'/></annotation>" MATH("<lambda><bvar>" CI("a") "</bvar><bvar>" CI(
          "b") "</bvar>" CI("a") "</lambda>") "</functionDefinition></listOfFunctionDefinitions>"));
  check_math(net->function[0].body, "normal(a, b)");
  assert_int_equal(net->function[0].body->op, DPI_AST_DRAW);
  dpi_net_destroy(net);
}

static void flux_balance_version_1_has_bounds_of_its_own(void **state) {
  (void)state;
  dpi_net *net = read_net(
      PACKAGE("fbc", "1") "'false'><model id='m'>" CELL3 "<listOfSpecies>"
      SPECIES3("S", "p:charge='-2' p:chemicalFormula='C6H12'") "</listOfSpecies><listOfReactions><reaction id='R'"
      " reversible='true' fast='false'><listOfProducts>"
      "<speciesReference species='S' stoichiometry='1' constant='true'/>"
      "</listOfProducts></reaction></listOfReactions><p:listOfFluxBounds><p:fluxBound p:reaction='R'"
      " p:operation='lessEqual' p:value='7'/><p:fluxBound p:reaction='R' p:operation='greaterEqual' p:value='-1'/>"
      "</p:listOfFluxBounds><p:listOfObjectives p:activeObjective='o'><p:objective p:id='o' p:type='minimize'>"
      "<p:listOfFluxObjectives><p:fluxObjective p:reaction='R' p:coefficient='2'/></p:listOfFluxObjectives>"
      "</p:objective></p:listOfObjectives></model></sbml>");
  int index = -1;
  assert_true(net->flux && !net->strict && net->active_objective == 0 &&
              !net->objective[0].maximize);
  assert_true(net->objective[0].nterm == 1 && net->objective[0].term[0].coefficient == 2.0);
  assert_true(net->species[0].charge == -2.0);
  assert_string_equal(net->species[0].formula, "C6H12");
  assert_string_equal(net->reaction[0].upper, "fb_R_upper");
  assert_int_equal(dpi_net_find(net, "fb_R_lower", &index), DPI_NET_PARAMETER);
  assert_true(net->parameter[index].value == -1.0 && net->parameter[index].constant);
  dpi_net_destroy(net);
}

static void flux_balance_version_2_names_parameters(void **state) {
  (void)state;
  dpi_net *net = read_net(PACKAGE(
      "fbc",
      "2") "'false'><model id='m' p:strict='true'>" CELL3
           "<listOfSpecies>" SPECIES3(
               "S",
               "") "</listOfSpecies><listOfParameters><parameter id='lo' value='0' "
                   "constant='true'/><parameter id='hi' value='INF'"
                   " constant='true'/></listOfParameters><listOfReactions><reaction id='R' "
                   "reversible='true' fast='false'"
                   " p:lowerFluxBound='lo' p:upperFluxBound='hi'><listOfProducts><speciesReference "
                   "species='S' stoichiometry='1'"
                   " constant='true'/></listOfProducts></reaction></"
                   "listOfReactions><p:listOfObjectives p:activeObjective='o'>"
                   "<p:objective p:id='o' "
                   "p:type='maximize'><p:listOfFluxObjectives><p:fluxObjective p:reaction='R'"
                   " p:coefficient='1'/></p:listOfFluxObjectives></p:objective></"
                   "p:listOfObjectives></model></sbml>");
  assert_true(net->strict && net->objective[0].maximize);
  assert_string_equal(net->reaction[0].lower, "lo");
  assert_string_equal(net->reaction[0].upper, "hi");
  dpi_net_destroy(net);
}

/* ---- what elements are said to be ---- */
static void annotations_come_along(void **state) {
  (void)state;
  dpi_net *net = read_net(
      L24("<listOfParameters><parameter id='k' metaid='mk' name='rate' value='1' "
          "sboTerm='SBO:0000009'><notes>"
          "<p xmlns='http://www.w3.org/1999/xhtml'>a &lt; <b>b</b></p></notes><annotation><rdf:RDF"
          " xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' "
          "xmlns:bqbiol='http://biomodels.net/biology-qualifiers/'>"
          "<rdf:Description rdf:about='#mk'><bqbiol:isVersionOf><rdf:Bag><rdf:li "
          "rdf:resource='urn:x'/></rdf:Bag>"
          "</bqbiol:isVersionOf></rdf:Description></rdf:RDF></annotation></parameter></"
          "listOfParameters>"));
  assert_string_equal(net->parameter[0].name, "rate");
  assert_int_equal(net->nannotation, 3);
  assert_string_equal(net->annotation[0].key, "sbo");
  assert_string_equal(net->annotation[0].value[0], "SBO:0000009");
  assert_string_equal(net->annotation[1].key, "hypernym");
  assert_string_equal(net->annotation[1].value[0], "urn:x");
  assert_string_equal(net->annotation[2].key, "notes");
  assert_string_equal(net->annotation[2].value[0], "a < b");
  dpi_net_destroy(net);
}

/* ---- what is refused ---- */
static void what_is_wrong_is_named(void **state) {
  (void)state;
  check_refused("<sbml", DP_ERR_INPUT, "m.xml:", "");
  check_refused("<a/>", DP_ERR_INPUT, "m.xml:1: found <a>, expected <sbml>", "");
  check_refused("<sbml xmlns='http://www.sbml.org/sbml/level2' level='2' version='4'/>", DP_ERR_INPUT,
                "m.xml:1:", "version '4'");
  check_refused(L31("<listOfParameters><parameter id='k' constant='true'/>\n<parameter id='k' "
                    "constant='true'/>"
                    "</listOfParameters>"),
                DP_ERR_INPUT, "m.xml:2:", "'k'");
  check_refused(L31("<listOfParameters><parameter id='k'/></listOfParameters>"), DP_ERR_INPUT,
                "m.xml:1:", "constant");
  check_refused(RULE("<apply><sin/></apply>"), DP_ERR_INPUT, "m.xml:1:", "sin");
  check_refused(RULE("<apply>" CI("g") CN("1") "</apply>"), DP_ERR_INPUT, "m.xml:1:", "'g'");
  check_refused(
      RULE("<apply><csymbol encoding='text' "
           "definitionURL='http://www.sbml.org/sbml/symbols/luck'>x</csymbol>" CI("k") "</apply>"),
      DP_ERR_INPUT, "m.xml:1:", "csymbol");
  check_refused(PACKAGE("qual", "1") "'true'><model id='m'/></sbml>", DP_ERR_UNSUPPORTED,
                "m.xml:1:", "'qual'");
  check_refused("<!DOCTYPE sbml [<!ENTITY a 'b'>]>" L31(""), DP_ERR_UNSUPPORTED, "m.xml",
                "document type");
  dpi_net *net = read_net(PACKAGE("qual", "1") "'false'><model id='m'/></sbml>");
  dpi_net_destroy(net);
}

static void deep_documents_are_refused(void **state) {
  (void)state;
  dpi_str s;
  dpi_str_init(&s, ctx);
  dpi_str_add(
      &s,
      "<sbml xmlns='http://www.sbml.org/sbml/level2/version4' level='2' version='4'><model id='m'>"
      "<listOfParameters><parameter id='k' constant='false'/></listOfParameters><listOfRules>"
      "<assignmentRule variable='k'><math xmlns='http://www.w3.org/1998/Math/MathML'>");
  size_t start = s.len;
  for (int depth = 600; depth < 100000; depth *= 100) {
    s.len = start;
    for (int i = 0; i < depth; i++) dpi_str_add(&s, "<apply><sin/>");
    dpi_str_add(&s, "<cn>1</cn>");
    for (int i = 0; i < depth; i++) dpi_str_add(&s, "</apply>");
    dpi_str_add(&s, "</math></assignmentRule></listOfRules></model></sbml>");
    check_refused(dpi_str_text(&s), DP_ERR_UNSUPPORTED, "nested", "deep");
  }
  dpi_str_release(&s);
}

static void wide_operations_are_read_or_refused(void **state) {
  (void)state;
  for (int n = 3000; n < 100000; n *= 20) {
    dpi_str s;
    dpi_str_init(&s, ctx);
    dpi_str_add(&s,
                "<sbml xmlns='http://www.sbml.org/sbml/level2/version4' level='2' version='4'><model id='m'>"
                "<listOfParameters><parameter id='k' constant='false'/></listOfParameters><listOfRules>"
                "<assignmentRule variable='k'><math xmlns='http://www.w3.org/1998/Math/MathML'><apply><plus/>");
    for (int i = 0; i < n; i++) dpi_str_add(&s, "<cn>1</cn>");
    dpi_str_add(&s, "</apply></math></assignmentRule></listOfRules></model></sbml>");
    if (n < DPI_SBML_WIDE) {
      dpi_net *net = read_net(dpi_str_text(&s));
      assert_int_equal(net->rule[0].math->narg, n);
      dpi_net_destroy(net);
    } else {
      check_refused(dpi_str_text(&s), DP_ERR_UNSUPPORTED, "more than 50000", "arguments");
    }
    dpi_str_release(&s);
  }
  static const char closed[] =
      "<sbml xmlns='http://www.sbml.org/sbml/level2/version4' level='2' version='4'></a></a></a><b><c/>";
  dpi_net *net = NULL;
  assert_int_equal(dpi_language_sbml.read(ctx, closed, sizeof closed - 1, "closed.xml", &net), DP_ERR_INPUT);
  dp_ctx_clear_error(ctx);
}

static void sbml_is_told_from_other_text(void **state) {
  (void)state;
  static const char yes[] =
      "\xef\xbb\xbf<?xml version='1.0'?>\n<!-- <a> -->\n<s:sbml xmlns:s='x' level='3'/>";
  static const char *const no[] = {"",  "model m; end", "<html><sbml/></html>", "// <sbml",
                                   "<", "<!-- <sbml>"};
  assert_true(dpi_language_sbml.is(yes, strlen(yes)));
  for (int i = 0; i < DPI_COUNT(no); i++) assert_false(dpi_language_sbml.is(no[i], strlen(no[i])));
}

static void every_failing_allocation_is_survived(void **state) {
  (void)state;
  static const char text[] = DRAWN(DRAW("uniform", CN("1") CN("2")));
  dp_status s = DP_ERR_MEMORY;
  size_t live = dpi_alloc_live(ctx);
  for (long n = 0; s != DP_OK && n < 1000; n++) {
    dpi_net *net = NULL;
    dp_ctx_clear_error(ctx);
    failing_next(&memory, n);
    s = dpi_language_sbml.read(ctx, text, strlen(text), "m.xml", &net);
    failing_never(&memory);
    assert_true(s == DP_OK || s == DP_ERR_MEMORY);
    if (s == DP_OK) dpi_net_destroy(net);
    assert_int_equal(dpi_alloc_live(ctx), live);
  }
  assert_int_equal(s, DP_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(level_1_says_little_and_means_much),
      cmocka_unit_test(level_1_has_names_where_others_have_constants),
      cmocka_unit_test(level_2_has_defaults_and_computed_stoichiometry),
      cmocka_unit_test(level_2_version_4_may_take_values_at_execution),
      cmocka_unit_test(level_3_says_all_or_nothing),
      cmocka_unit_test(numbers_keep_their_value),
      cmocka_unit_test(mathematics_is_read_as_meant),
      cmocka_unit_test(symbols_are_not_names),
      cmocka_unit_test(submodels_are_written_out),
      cmocka_unit_test(rates_in_a_converted_time_are_refused),
      cmocka_unit_test(draws_are_draws),
      cmocka_unit_test(older_models_draw_through_functions),
      cmocka_unit_test(flux_balance_version_1_has_bounds_of_its_own),
      cmocka_unit_test(flux_balance_version_2_names_parameters),
      cmocka_unit_test(annotations_come_along),
      cmocka_unit_test(what_is_wrong_is_named),
      cmocka_unit_test(deep_documents_are_refused),
      cmocka_unit_test(wide_operations_are_read_or_refused),
      cmocka_unit_test(sbml_is_told_from_other_text),
      cmocka_unit_test(every_failing_allocation_is_survived),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
