/* Networks made by hand, written as SBML: judged by libSBML's own checks and by what libSBML reads back. */
#include "lang/sbml/sbml_impl.h"
#include "lang/tests/lang_check.h"

static dpi_net *new_net(void) {
  dpi_net *net = NULL;
  check_ok(dpi_net_create(ctx, "hand", &net));
  return net;
}

static dpi_ast *name(dpi_net *net, const char *id) { return dpi_ast_name(net, id); }
static dpi_ast *number(dpi_net *net, double v) { return dpi_ast_number(net, v); }

static dpi_net_parameter *parameter(dpi_net *net, const char *id, double value) {
  dpi_net_parameter *p = dpi_net_add_parameter(net, id);
  p->value = value;
  return p;
}

static dpi_net_species *species(dpi_net *net, const char *id, const char *compartment, double concentration) {
  dpi_net_species *s = dpi_net_add_species(net, id);
  s->compartment = dpi_net_text(net, compartment);
  s->concentration = concentration;
  return s;
}

static dpi_net_term *terms(dpi_net *net, int n, const char *const *id, const double *by) {
  dpi_net_term *t = DPI_ARENA_ARRAY(&net->arena, dpi_net_term, n);
  for (int i = 0; i < n; i++)
    t[i] = (dpi_net_term){.id = "", .species = dpi_net_text(net, id[i]), .stoichiometry = by[i], .constant = true};
  return t;
}

/* A -> 2 B with rate k*A*E */
static dpi_net_reaction *reaction(dpi_net *net) {
  dpi_net_reaction *r = dpi_net_add_reaction(net, "J");
  r->nreactant = r->nproduct = 1;
  r->reactant = terms(net, 1, (const char *[]){"A"}, (double[]){1});
  r->product = terms(net, 1, (const char *[]){"B"}, (double[]){2});
  r->rate =
      dpi_ast_op2(net, DPI_AST_TIMES, dpi_ast_op2(net, DPI_AST_TIMES, name(net, "k"), name(net, "A")), name(net, "E"));
  r->has_rate = true;
  return r;
}

static dpi_net *small_net(void) {
  dpi_net *net = new_net();
  net->id = "small";
  dpi_net_add_compartment(net, "C")->size = 2;
  species(net, "A", "C", 0.1 + 0.2);
  species(net, "B", "C", 0);
  species(net, "E", "", 1e-300);
  parameter(net, "k", 1.1e-12);
  reaction(net);
  return net;
}

typedef struct written {
  dpi_str text, notes;
  SBMLDocument_t *doc;
  Model_t *model;
} written;

/* Errors of libSBML's checks (units and modelling practice apart; distrib is a package it does not know) */
static int count_errors(SBMLDocument_t *doc, const char *text) {
  int n = 0;
  for (unsigned i = 0; i < SBMLDocument_getNumErrors(doc); i++) {
    const SBMLError_t *e = SBMLDocument_getError(doc, i);
    if (XMLError_getSeverity((const XMLError_t *)e) < LIBSBML_SEV_ERROR) continue;
    if (XMLError_getErrorId((const XMLError_t *)e) == RequiredPackagePresent) continue;
    print_message("line %u: %s\n", XMLError_getLine((const XMLError_t *)e), XMLError_getMessage((const XMLError_t *)e));
    n++;
  }
  if (n > 0) print_message("%s\n", text);
  return n;
}

static void write_and_parse(dpi_net *net, written *w) {
  check_ok(dpi_net_index(net));
  dpi_str_init(&w->text, ctx);
  dpi_str_init(&w->notes, ctx);
  net->notes = &w->notes;
  check_ok(dpi_sbml_write(net, &w->text));
  w->doc = readSBMLFromString(dpi_str_text(&w->text));
  SBMLDocument_setConsistencyChecks(w->doc, LIBSBML_CAT_UNITS_CONSISTENCY, 0);
  SBMLDocument_setConsistencyChecks(w->doc, LIBSBML_CAT_MODELING_PRACTICE, 0);
  if (SBMLDocument_getNumErrors(w->doc) == 0) SBMLDocument_checkConsistency(w->doc);
  assert_int_equal(count_errors(w->doc, dpi_str_text(&w->text)), 0);
  w->model = SBMLDocument_getModel(w->doc);
  assert_non_null(w->model);
}

static void done(dpi_net *net, written *w) {
  SBMLDocument_free(w->doc);
  dpi_str_release(&w->text);
  dpi_str_release(&w->notes);
  dpi_net_destroy(net);
}

static bool has(const written *w, const char *part) { return strstr(dpi_str_text(&w->text), part) != NULL; }
static bool noted(const written *w, const char *part) { return strstr(dpi_str_text(&w->notes), part) != NULL; }

static void elements_and_exact_numbers(void **state) {
  (void)state;
  written w;
  dpi_net *net = small_net();
  write_and_parse(net, &w);
  assert_int_equal(SBMLDocument_getLevel(w.doc), 3);
  assert_int_equal(SBMLDocument_getVersion(w.doc), 2);
  assert_true(Species_getInitialConcentration(Model_getSpecies(w.model, 0)) == 0.1 + 0.2);
  assert_true(Species_getInitialConcentration(Model_getSpecies(w.model, 2)) == 1e-300);
  assert_true(Parameter_getValue(Model_getParameter(w.model, 0)) == 1.1e-12);
  assert_int_equal(Model_getNumCompartments(w.model), 2);
  assert_string_equal(Species_getCompartment(Model_getSpecies(w.model, 2)), "default_compartment");
  assert_true(noted(&w, "'default_compartment', of size 1"));
  Reaction_t *r = Model_getReaction(w.model, 0);
  assert_int_equal(Reaction_getNumModifiers(r), 1);
  assert_string_equal(SpeciesReference_getSpecies(Reaction_getModifier(r, 0)), "E");
  assert_true(SpeciesReference_getStoichiometry(Reaction_getProduct(r, 0)) == 2);
  done(net, &w);
}

static void numbers_in_formulas_keep_their_bits(void **state) {
  (void)state;
  static const double v[] = {0.1 + 0.2, 1.1e-12, 5e-324, 1.7976931348623157e308, -0.0, 1e22, 3,
                             -7,        1e5,     1e-7,   123456789012.0};
  written w;
  dpi_net *net = new_net();
  for (int i = 0; i < DPI_COUNT(v); i++) {
    char id[16];
    snprintf(id, sizeof id, "p%d", i);
    parameter(net, id, NAN);
    dpi_net_add_rule(net, DPI_RULE_INITIAL, id, number(net, v[i]));
  }
  write_and_parse(net, &w);
  for (int i = 0; i < DPI_COUNT(v); i++) {
    const ASTNode_t *a = InitialAssignment_getMath(Model_getInitialAssignment(w.model, (unsigned)i));
    double got = ASTNode_isInteger(a) ? (double)ASTNode_getInteger(a) : ASTNode_getReal(a);
    if (got != v[i]) print_message("%a became %a\n", v[i], got);
    assert_true(got == v[i]);
  }
  done(net, &w);
}

/* every operation that MathML has is written so that libSBML finds nothing wrong and reads the same formula */
static void all_operations(void **state) {
  (void)state;
  written w;
  dpi_net *net = new_net();
  parameter(net, "x", 2);
  for (int op = 0; op < DPI_AST_COUNT; op++) {
    if (op == DPI_AST_CALL || op == DPI_AST_DRAW || op == DPI_AST_BUILTIN || op == DPI_AST_NUMBER) continue;
    int n = op <= DPI_AST_NAN ? 0 : op == DPI_AST_PIECEWISE ? 3 : 2;
    if (op >= DPI_AST_LN && op <= DPI_AST_FACTORIAL) n = 1;
    if ((op >= DPI_AST_SIN && op <= DPI_AST_NOT) || op == DPI_AST_RATEOF) n = 1;
    dpi_ast *a = dpi_ast_new(net, (dpi_ast_op)op, n);
    if (op == DPI_AST_NAME) a->name = "x";
    bool logic = (op >= DPI_AST_NOT && op <= DPI_AST_IMPLIES);
    for (int k = 0; k < n; k++)
      a->arg[k] = logic || (n == 3 && k == 1) ? dpi_ast_new(net, DPI_AST_TRUE, 0) : name(net, "x");
    char id[16];
    snprintf(id, sizeof id, "y%d", op);
    parameter(net, id, NAN)->constant = false;
    dpi_net_add_rule(net, DPI_RULE_ASSIGNMENT, dpi_net_text(net, id), a);
  }
  write_and_parse(net, &w);
  assert_int_equal(Model_getNumRules(w.model), net->nrule);
  assert_true(has(&w, "<degree>") && has(&w, "<logbase>") && has(&w, "symbols/rateOf") && has(&w, "<otherwise>"));
  done(net, &w);
}

static void ids_and_units_that_sbml_has_not(void **state) {
  (void)state;
  written w;
  dpi_net *net = new_net();
  net->id = "k";
  parameter(net, "sub.k", 1)->unit = "second";
  parameter(net, "sub__k", 2)->unit = "furlong";
  parameter(net, "k", 3)->unit = "mole";
  parameter(net, "2x", 3)->unit = "liter";
  dpi_net_unit *u = dpi_net_add_unit(net, "mole");
  u->npart = 1;
  u->part = DPI_ARENA_NEW(&net->arena, dpi_net_unit_part);
  u->part[0] = (dpi_net_unit_part){"item", 1, 3, 1};
  write_and_parse(net, &w);
  Parameter_t *p = Model_getParameter(w.model, 0);
  assert_string_equal(Parameter_getId(p), "sub__k_2");
  assert_string_equal(Parameter_getName(p), "sub.k");
  assert_false(Parameter_isSetUnits(Model_getParameter(w.model, 1)));
  assert_string_equal(Parameter_getUnits(Model_getParameter(w.model, 2)), "mole_unit");
  assert_string_equal(Parameter_getUnits(Model_getParameter(w.model, 3)), "litre");
  assert_string_equal(Parameter_getId(Model_getParameter(w.model, 3)), "_2x");
  assert_string_equal(Model_getId(w.model), "k_2");
  assert_true(noted(&w, "'sub.k' is called 'sub__k_2'") && noted(&w, "'furlong' is not defined") &&
              noted(&w, "the model 'k' is called 'k_2'"));
  done(net, &w);
}

static void fast_reactions_need_version_1(void **state) {
  (void)state;
  written w;
  dpi_net *net = small_net();
  net->reaction[0].fast = true;
  net->reaction[0].rate = dpi_ast_op2(net, DPI_AST_MAX, net->reaction[0].rate, number(net, 0));
  write_and_parse(net, &w);
  assert_int_equal(SBMLDocument_getVersion(w.doc), 1);
  assert_true(Reaction_getFast(Model_getReaction(w.model, 0)));
  assert_true(has(&w, "l3v2extendedmath:required=\"true\""));
  done(net, &w);
}

static void events_rules_constraints(void **state) {
  (void)state;
  written w;
  dpi_net *net = small_net();
  dpi_net_event *e = dpi_net_add_event(net, "E0");
  e->trigger = dpi_ast_op2(net, DPI_AST_GT, dpi_ast_new(net, DPI_AST_TIME, 0), number(net, 3));
  e->delay = number(net, 0.5);
  e->priority = number(net, 2);
  e->persistent = false;
  e->initial_value = false;
  e->from_trigger = false;
  e->nassign = 1;
  e->assign = DPI_ARENA_NEW(&net->arena, dpi_net_assignment);
  e->assign[0] = (dpi_net_assignment){"A", number(net, 7), 0};
  dpi_net_constraint *c = dpi_net_add_constraint(net);
  c->math = dpi_ast_op2(net, DPI_AST_GE, name(net, "A"), number(net, 0));
  c->message = "A is < 0 & \"wrong\"";
  parameter(net, "z", NAN)->constant = false;
  dpi_net_add_rule(net, DPI_RULE_RATE, "z", name(net, "A"));
  dpi_ast *times = dpi_ast_op2(net, DPI_AST_TIMES, number(net, 2), name(net, "k"));
  net->reaction[0].product[0].math = times; /* Level 2's stoichiometryMath */
  write_and_parse(net, &w);
  Event_t *event = Model_getEvent(w.model, 0);
  assert_false(Event_getUseValuesFromTriggerTime(event));
  assert_false(Trigger_getPersistent(Event_getTrigger(event)) || Trigger_getInitialValue(Event_getTrigger(event)));
  assert_true(Event_isSetDelay(event) && Event_isSetPriority(event));
  assert_int_equal(Model_getNumConstraints(w.model), 1);
  assert_int_equal(Model_getNumRules(w.model), 2);
  assert_string_equal(Rule_getVariable(Model_getRule(w.model, 1)), "J_B_stoichiometry");
  assert_string_equal(SpeciesReference_getId(Reaction_getProduct(Model_getReaction(w.model, 0), 0)),
                      "J_B_stoichiometry");
  done(net, &w);
}

static void annotate(dpi_net *net, const char *id, const char *key, const char *value) {
  dpi_net_annotation *a = dpi_net_add_annotation(net, id, key);
  a->value = DPI_ARENA_ARRAY(&net->arena, const char *, 1);
  a->value[0] = value;
  a->nvalue = 1;
}

static void what_elements_are(void **state) {
  (void)state;
  written w;
  dpi_net *net = small_net();
  annotate(net, "A", "sbo", "247");
  annotate(net, "A", "identity", "http://identifiers.org/chebi/CHEBI:1");
  annotate(net, "A", "notes", "less < more & \x01\xff done");
  annotate(net, "", "notes", "<body xmlns=\"http://www.w3.org/1999/xhtml\"><p>whole</p></body>");
  annotate(net, "", "description", "urn:miriam:pubmed:1");
  annotate(net, "k", "created", "yesterday");
  write_and_parse(net, &w);
  SBase_t *a = (SBase_t *)Model_getSpecies(w.model, 0);
  assert_int_equal(SBase_getSBOTerm(a), 247);
  assert_int_equal(SBase_getNumCVTerms(a), 1);
  assert_int_equal(CVTerm_getBiologicalQualifierType(SBase_getCVTerm(a, 0)), BQB_IS);
  assert_int_equal(CVTerm_getModelQualifierType(SBase_getCVTerm((SBase_t *)w.model, 0)), BQM_IS_DESCRIBED_BY);
  assert_true(has(&w, "less &lt; more &amp;  done"));
  assert_true(has(&w, "<p>whole</p>"));
  assert_true(noted(&w, "1 annotation is left out (created)"));
  done(net, &w);
}

static void draws_declare_their_package(void **state) {
  (void)state;
  written w;
  dpi_net *net = small_net();
  dpi_ast *draw = dpi_ast_op2(net, DPI_AST_DRAW, number(net, 0), number(net, 1));
  draw->draw = DPI_VARIATE_NORMAL;
  dpi_net_add_rule(net, DPI_RULE_INITIAL, "k", draw);
  check_ok(dpi_net_index(net));
  dpi_str_init(&w.text, ctx);
  check_ok(dpi_sbml_write(net, &w.text));
  assert_true(has(&w, "definitionURL=\"http://www.sbml.org/sbml/symbols/distrib/normal\""));
  assert_true(has(&w, "distrib:required=\"true\""));
  dpi_str_release(&w.text);
  dpi_net_destroy(net);
}

static void flux_balance(void **state) {
  (void)state;
  written w;
  dpi_net *net = small_net();
  net->flux = true;
  net->strict = true;
  parameter(net, "lo", -INFINITY);
  parameter(net, "hi", 10);
  net->reaction[0].lower = "lo";
  net->reaction[0].upper = "hi";
  net->reaction[0].rate = NULL;
  net->reaction[0].has_rate = false;
  dpi_net_objective *o = dpi_net_add_objective(net, "obj");
  o->nterm = 1;
  o->term = DPI_ARENA_NEW(&net->arena, dpi_net_flux_term);
  o->term[0] = (dpi_net_flux_term){"J", 1};
  net->active_objective = 0;
  net->species[0].charge = -2;
  net->species[0].formula = "C6H12O6";
  write_and_parse(net, &w);
  assert_true(has(&w, "fbc:lowerFluxBound=\"lo\"") && has(&w, "value=\"-INF\"") && has(&w, "fbc:strict=\"true\""));
  assert_true(has(&w, "fbc:activeObjective=\"obj\"") && has(&w, "fbc:charge=\"-2\""));
  done(net, &w);
}

static void functions_know_their_arguments_only(void **state) {
  (void)state;
  written w;
  dpi_net *net = small_net();
  dpi_net_function *f = dpi_net_add_function(net, "f");
  f->narg = 1;
  f->arg = DPI_ARENA_ARRAY(&net->arena, const char *, 1);
  f->arg[0] = "u";
  f->body = dpi_ast_op2(net, DPI_AST_TIMES, name(net, "u"), number(net, 2));
  dpi_ast *call = dpi_ast_op1(net, DPI_AST_CALL, name(net, "k"));
  call->name = "f";
  dpi_net_add_rule(net, DPI_RULE_INITIAL, "A", call);
  write_and_parse(net, &w);
  assert_int_equal(Model_getNumFunctionDefinitions(w.model), 1);
  dpi_str_release(&w.text);
  net->function[0].body = name(net, "k");
  assert_int_equal(dpi_sbml_write(net, &w.text), DP_ERR_UNSUPPORTED);
  assert_non_null(strstr(dp_ctx_error(ctx), "function 'f' uses 'k'"));
  dp_ctx_clear_error(ctx);
  done(net, &w);
}

static void functions_that_sbml_has_not(void **state) {
  (void)state;
  written w;
  dpi_net *net = small_net();
  dpi_ast *a = dpi_ast_op1(net, DPI_AST_BUILTIN, name(net, "k"));
  a->name = "sign";
  dpi_net_add_rule(net, DPI_RULE_INITIAL, "A", a);
  write_and_parse(net, &w);
  dpi_str_release(&w.text);
  a->name = "erf";
  assert_int_equal(dpi_sbml_write(net, &w.text), DP_ERR_UNSUPPORTED);
  assert_non_null(strstr(dp_ctx_error(ctx), "SBML has no function 'erf'"));
  dp_ctx_clear_error(ctx);
  done(net, &w);
}

static void names_that_nothing_defines(void **state) {
  (void)state;
  dpi_str text;
  dpi_net *net = small_net();
  dpi_net_add_rule(net, DPI_RULE_INITIAL, "A", name(net, "nobody"));
  check_ok(dpi_net_index(net));
  dpi_str_init(&text, ctx);
  assert_int_equal(dpi_sbml_write(net, &text), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(ctx), "'nobody' is used but not defined"));
  dp_ctx_clear_error(ctx);
  dpi_str_release(&text);
  dpi_net_destroy(net);
}

/* a local parameter may not have the id of a species of its reaction in Level 3; elsewhere the id means the species */
static void locals_that_hide_a_species(void **state) {
  (void)state;
  written w;
  dpi_net *net = small_net();
  dpi_net_reaction *r = &net->reaction[0];
  r->nlocal = 1;
  r->local = DPI_ARENA_NEW(&net->arena, dpi_net_parameter);
  r->local[0] = (dpi_net_parameter){.id = "A", .name = "", .unit = "", .value = 5, .constant = true};
  dpi_net_add_rule(net, DPI_RULE_INITIAL, "B", name(net, "A"));
  write_and_parse(net, &w);
  KineticLaw_t *law = Reaction_getKineticLaw(Model_getReaction(w.model, 0));
  assert_string_equal(LocalParameter_getId(KineticLaw_getLocalParameter(law, 0)), "A_local");
  assert_string_equal(ASTNode_getName(InitialAssignment_getMath(Model_getInitialAssignment(w.model, 0))), "A");
  assert_true(noted(&w, "'A' of reaction 'J' is called 'A_local'"));
  done(net, &w);
}

/* Level 2's own words are written out, units made of units too, and what is no unit is left out */
static void units_of_other_levels(void **state) {
  (void)state;
  written w;
  dpi_net *net = small_net();
  net->level = 2;
  parameter(net, "x", 1)->unit = "volume";
  parameter(net, "y", 1)->unit = "minute2";
  parameter(net, "z", 1)->unit = "own";
  static const char *const id[] = {"minute", "minute2", "own"}, *const kind[] = {"second", "minute", "own"};
  for (int i = 0; i < 3; i++) {
    dpi_net_unit *u = dpi_net_add_unit(net, id[i]);
    u->npart = 1;
    u->part = DPI_ARENA_NEW(&net->arena, dpi_net_unit_part);
    u->part[0] = (dpi_net_unit_part){kind[i], 2, 0, i == 0 ? 60 : 1};
  }
  net->compartment[0].dimensions = 2;
  write_and_parse(net, &w);
  assert_string_equal(Model_getTimeUnits(w.model), "second");
  assert_string_equal(Model_getAreaUnits(w.model), "area");
  assert_string_equal(Parameter_getUnits(Model_getParameterById(w.model, "x")), "litre");
  Unit_t *u = UnitDefinition_getUnit(Model_getUnitDefinitionById(w.model, "minute2"), 0);
  assert_true(Unit_getExponentAsDouble(u) == 4 && Unit_getMultiplier(u) == 60);
  assert_false(Parameter_isSetUnits(Model_getParameterById(w.model, "z")));
  assert_true(noted(&w, "the unit 'own' is not made of SBML's units"));
  done(net, &w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(elements_and_exact_numbers),
      cmocka_unit_test(numbers_in_formulas_keep_their_bits),
      cmocka_unit_test(all_operations),
      cmocka_unit_test(ids_and_units_that_sbml_has_not),
      cmocka_unit_test(fast_reactions_need_version_1),
      cmocka_unit_test(events_rules_constraints),
      cmocka_unit_test(what_elements_are),
      cmocka_unit_test(draws_declare_their_package),
      cmocka_unit_test(flux_balance),
      cmocka_unit_test(functions_know_their_arguments_only),
      cmocka_unit_test(functions_that_sbml_has_not),
      cmocka_unit_test(names_that_nothing_defines),
      cmocka_unit_test(locals_that_hide_a_species),
      cmocka_unit_test(units_of_other_levels),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
