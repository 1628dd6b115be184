/* From a network to equations: shapes of states and rates by kind of species and compartment, values at the start,
 * stoichiometry, conversion factors, functions, events; against equations written by hand. */
#include "base/tests/failing_memory.h"
#include "lang/infix.h"
#include "lang/network.h"
#include "lang/tests/lang_check.h"

static dpi_net *net;

static dpi_ast *text(const char *formula) {
  dpi_tok *tok = NULL;
  int ntok = 0;
  dpi_ast *a = NULL;
  dpi_lex_def def = {.arena = &net->arena, .text = formula, .size = strlen(formula), .where = "t"};
  check_ok(dpi_lex(ctx, &def, &tok, &ntok));
  dpi_infix p = {.net = net, .tok = tok, .where = "t", .budget = DPI_INFIX_WORK};
  check_ok(dpi_infix_expr(&p, &a));
  assert_non_null(a);
  return a;
}

static void begin(void) {
  dp_ctx_clear_error(ctx);
  check_ok(dpi_net_create(ctx, "net.xml", &net));
  net->id = "net";
  net->level = 3;
  net->version = 2;
}

static void compartment(const char *id, double size, bool constant) {
  dpi_net_compartment *c = dpi_net_add_compartment(net, id);
  c->size = size;
  c->constant = constant;
}

static dpi_net_species *species(const char *id, const char *home, double amount) {
  dpi_net_species *s = dpi_net_add_species(net, id);
  s->compartment = home;
  s->amount = amount;
  return s;
}

static void parameter(const char *id, double value) {
  dpi_net_parameter *p = dpi_net_add_parameter(net, id);
  p->value = value;
  p->constant = false;
}

static dpi_net_term *terms(int n) {
  dpi_net_term *t = DPI_ARENA_ARRAY(&net->arena, dpi_net_term, n);
  for (int i = 0; i < n; i++)
    t[i] = (dpi_net_term){.id = "", .species = "", .stoichiometry = 1.0, .constant = true};
  return t;
}

/* reactant -> product, either may be NULL */
static dpi_net_reaction *reaction(const char *id, const char *from, const char *to,
                                  const char *rate) {
  dpi_net_reaction *r = dpi_net_add_reaction(net, id);
  r->reactant = terms(1);
  r->product = terms(1);
  if (from) {
    r->reactant[0].species = from;
    r->nreactant = 1;
  }
  if (to) {
    r->product[0].species = to;
    r->nproduct = 1;
  }
  r->has_rate = rate != NULL;
  if (rate) r->rate = text(rate);
  return r;
}

static void rule(dpi_net_rule_kind kind, const char *variable, const char *math) {
  dpi_net_rule *r = dpi_net_add_rule(net, kind, variable, math ? text(math) : NULL);
  r->line = 7;
}

static dpi_net_event *event(const char *id, const char *trigger, int n) {
  dpi_net_event *e = dpi_net_add_event(net, id);
  e->trigger = text(trigger);
  e->assign = DPI_ARENA_ARRAY(&net->arena, dpi_net_assignment, n);
  e->nassign = n;
  return e;
}

static dp_model *lowered(void) {
  dp_model *m = NULL;
  check_ok(dpi_net_index(net));
  check_ok(dpi_net_lower(net, &m));
  return m;
}

static dp_model *sealed(void) {
  dp_model *m = lowered();
  check_ok(dpi_model_seal(m));
  return m;
}

static void refused(dp_status want, const char *part1, const char *part2) {
  dp_model *m = NULL;
  dp_status s = dpi_net_index(net);
  if (s == DP_OK)
    s = dpi_net_lower(net, &m);
  else
    dpi_net_destroy(net);
  if (s == DP_OK) s = dpi_model_seal(m);
  dp_model_destroy(m);
  if (s != want || !strstr(dp_ctx_error(ctx), part1) || !strstr(dp_ctx_error(ctx), part2))
    print_message("gave %s: %s\n", dp_status_name(s), dp_ctx_error(ctx));
  assert_int_equal(s, want);
  assert_non_null(strstr(dp_ctx_error(ctx), part1));
  assert_non_null(strstr(dp_ctx_error(ctx), part2));
}

static void says(const dp_model *m, dpi_node n, const char *want) {
  char buf[400];
  assert_string_equal(printed(m, n, buf, sizeof buf), want);
}

/* what `id` is by a formula, before sealing */
static void formula(const dp_model *m, const char *id, const char *want) {
  says(m, m->sym[sym_of(m, id)].formula, want);
}
static void starts(const dp_model *m, const char *id, const char *want) {
  says(m, m->sym[sym_of(m, id)].init, want);
}

/* ---- species ---- */
static void a_species_of_constant_volume_is_its_concentration(void **state) {
  (void)state;
  begin();
  compartment("C", 2, true);
  species("A", "C", 6);
  species("B", "C", NAN)->concentration = 1;
  reaction("R", "A", "B", "k*A*C");
  parameter("k", 3);
  dp_model *m = lowered();
  formula(m, "A", "-(R/C)");
  formula(m, "B", "R/C");
  formula(m, "R", "k*A*C");
  formula(m, "amount(A)", "A*C");
  formula(m, "concentration(A)", "A");
  starts(m, "A", "6/C");
  starts(m, "B", "1");
  check_ok(dpi_model_seal(m));
  assert_int_equal(dp_model_nstate(m), 2);
  assert_int_equal(m->nreaction, 1);
  assert_int_equal(m->reaction[0].nchange, 2);
  says(m, m->reaction[0].change[0].by, "-1/C");
  dp_model_destroy(m);
}

static void where_the_volume_varies_the_amount_is_the_state(void **state) {
  (void)state;
  begin();
  compartment("C", 2, false);
  species("A", "C", NAN)->concentration = 4;
  species("B", "C", 1)->only_substance = true;
  species("D", "C", 5); /* touched by nothing: its amount stays */
  reaction("R", "A", "B", "k*A");
  parameter("k", 3);
  rule(DPI_RULE_RATE, "C", "0.5");
  dp_model *m = lowered();
  formula(m, "amount(A)", "-R");
  formula(m, "A", "amount(A)/C");
  formula(m, "concentration(A)", "A");
  starts(m, "amount(A)", "4*C");
  formula(m, "B", "R");
  formula(m, "concentration(B)", "B/C");
  formula(m, "D", "amount(D)/C");
  assert_true(m->sym[sym_of(m, "amount(D)")].value == 5);
  dp_model_destroy(m);
}

static void a_compartment_set_by_an_event_varies(void **state) {
  (void)state;
  begin();
  compartment("C", 2, false);
  species("A", "C", 4);
  dpi_net_event *e = event("E", "time > 3", 2);
  e->assign[0] = (dpi_net_assignment){.variable = "A", .math = text("7")};
  e->assign[1] = (dpi_net_assignment){.variable = "C", .math = text("C + 1")};
  e = event("F", "time > 4", 1);
  e->assign[0] = (dpi_net_assignment){.variable = "A", .math = text("A")};
  dp_model *m = lowered();
  assert_string_equal(m->sym[m->event[0].assign[0].sym].id, "amount(A)");
  says(m, m->event[0].assign[0].value, "7"); /* another event at that instant may come before */
  says(m, m->event[1].assign[0].value, "A");
  assert_int_equal(m->event[0].assign[0].times, sym_of(m, "C"));
  assert_true(m->event[0].trigger >= 0 && m->event[0].delay == DPI_NODE_NONE);
  dp_model_destroy(m);
}

static void an_event_that_changes_the_volume_keeps_amounts(void **state) {
  (void)state;
  begin();
  compartment("C", 2, false);
  species("A", "C", 4);
  rule(DPI_RULE_RATE, "A", "0.4");
  rule(DPI_RULE_RATE, "C", "0.2");
  event("E", "time > 3", 1)->assign[0] = (dpi_net_assignment){.variable = "C", .math = text("5")};
  dp_model *m = lowered();
  formula(m, "amount(A)", "0.4*C + A*0.2");
  formula(m, "A", "amount(A)/C");
  dp_model_destroy(m);
}

static void values_from_before_a_delay_set_concentrations(void **state) {
  (void)state;
  for (int set = 0; set < 2; set++) {
    begin();
    compartment("C", 2, false);
    species("A", "C", 4);
    reaction("R", "A", NULL, "A");
    rule(DPI_RULE_RATE, "C", "0.2");
    dpi_net_event *e = event("E", "time > 3", 2);
    e->assign[0] = (dpi_net_assignment){.variable = "A", .math = text("A + 1")};
    e->delay = text("2");
    e->nassign = 1;
    if (set) /* the volume may jump until then: it is that of the execution which counts */
      event("F", "time > 4", 1)->assign[0] =
          (dpi_net_assignment){.variable = "C", .math = text("5")};
    dp_model *m = lowered();
    const dpi_event_assign *a = &m->event[0].assign[0];
    formula(m, set ? "amount(A)" : "A", set ? "-R" : "-(R/C) - A*0.2/C");
    assert_string_equal(m->sym[a->sym].id, set ? "amount(A)" : "A");
    assert_int_equal(a->times, set ? sym_of(m, "C") : 0);
    says(m, a->value, "A + 1");
    dp_model_destroy(m);
  }
}

static void without_dimensions_a_species_is_an_amount(void **state) {
  (void)state;
  begin();
  dpi_net_compartment *c = dpi_net_add_compartment(net, "C");
  c->dimensions = 0;
  species("A", "C", 4);
  reaction("R", "A", NULL, "A");
  dp_model *m = lowered();
  formula(m, "A", "-R");
  formula(m, "amount(A)", "A");
  dp_model_destroy(m);
}

static void rules_give_species_as_formulas_mean_them(void **state) {
  (void)state;
  begin();
  compartment("C", 2, false);
  species("A", "C", 4);
  species("B", "C", 4);
  species("D", "C", NAN);
  rule(DPI_RULE_RATE, "C", "1");
  rule(DPI_RULE_RATE, "A", "3");
  rule(DPI_RULE_ASSIGNMENT, "B", "A*2");
  rule(DPI_RULE_INITIAL, "D", "10");
  dp_model *m = lowered();
  formula(m, "A", "3");
  starts(m, "A", "4/C");
  formula(m, "amount(A)", "A*C");
  formula(m, "B", "A*2");
  starts(m, "amount(D)", "10*C");
  dp_model_destroy(m);
}

static void conversion_factors_multiply(void **state) {
  (void)state;
  begin();
  net->conversion = "cf";
  compartment("C", 2, true);
  species("A", "C", 4);
  species("B", "C", 4)->conversion = "cb";
  parameter("cf", 2);
  parameter("cb", 3);
  reaction("R", "A", "B", "A");
  dp_model *m = lowered();
  formula(m, "A", "-(R*cf/C)");
  formula(m, "B", "R*cb/C");
  says(m, m->reaction[0].change[1].by, "cb/C");
  dp_model_destroy(m);
}

/* ---- stoichiometry ---- */
static void stoichiometries_may_be_named_ruled_and_calculated(void **state) {
  (void)state;
  begin();
  species("A", "", 4);
  species("B", "", 4);
  species("D", "", 4);
  parameter("p", 2);
  dpi_net_reaction *r = reaction("R", "A", "B", "p");
  r->reactant[0].id = "sa";
  r->reactant[0].stoichiometry = NAN;
  r->product[0].math = text("p + 1");
  r = reaction("Q", NULL, "D", "p*sa");
  r->product[0].id = "sd";
  r->product[0].stoichiometry = NAN;
  rule(DPI_RULE_ASSIGNMENT, "sa", "2*p");
  dp_model *m = lowered();
  formula(m, "sa", "2*p");
  formula(m, "A", "-(sa*R)");
  formula(m, "B", "(p + 1)*R");
  formula(m, "Q", "p*sa");
  assert_true(m->sym[sym_of(m, "sd")].value == 1);
  dp_model_destroy(m);
}

static void a_species_on_both_sides_has_one_change(void **state) {
  (void)state;
  begin();
  species("A", "", 4);
  species("X", "", 1)->boundary = true;
  dpi_net_reaction *r = dpi_net_add_reaction(net, "R");
  r->rate = text("A*X");
  r->reactant = terms(2);
  r->nreactant = 2;
  r->reactant[0].species = "A";
  r->reactant[1].species = "X";
  r->product = terms(1);
  r->nproduct = 1;
  r->product[0].species = "A";
  r->product[0].stoichiometry = 3;
  dp_model *m = lowered();
  assert_int_equal(m->reaction[0].nchange, 1);
  says(m, m->reaction[0].change[0].by, "2");
  assert_int_equal(m->reaction[0].norder, 1);
  assert_int_equal(m->sym[sym_of(m, "X")].kind, DPI_SYM_PARAM);
  dp_model_destroy(m);
}

static void local_parameters_hide_others(void **state) {
  (void)state;
  begin();
  species("A", "", 4);
  parameter("k", 2);
  dpi_net_reaction *r = reaction("R", "A", NULL, "k*A");
  r->nlocal = 1;
  r->local = DPI_ARENA_ARRAY(&net->arena, dpi_net_parameter, 1);
  r->local[0] =
      (dpi_net_parameter){.id = "k", .name = "", .unit = "", .value = 5, .constant = true};
  reaction("Q", "A", NULL, "k*A");
  dp_model *m = lowered();
  formula(m, "R", "R.k*A");
  formula(m, "Q", "k*A");
  assert_true(m->sym[sym_of(m, "R.k")].value == 5);
  dp_model_destroy(m);
}

static void fast_reactions_are_sped_up(void **state) {
  (void)state;
  begin();
  species("A", "", 4);
  reaction("R", "A", NULL, "A")->fast = true;
  dp_model *m = lowered();
  formula(m, "A", "-(speed(fast)*R)");
  formula(m, "R", "A");
  assert_true(m->reaction[0].fast);
  dp_model_destroy(m);
}

/* ---- mathematics ---- */
static void define(const char *id, int narg, const char *const *arg, const char *body) {
  dpi_net_function *f = dpi_net_add_function(net, id);
  f->narg = narg;
  f->arg = DPI_ARENA_ARRAY(&net->arena, const char *, narg + 1);
  for (int i = 0; i < narg; i++) f->arg[i] = arg[i];
  f->body = text(body);
}

static dpi_ast *call(const char *name, dpi_ast *x) {
  dpi_ast *a = dpi_ast_new(net, DPI_AST_CALL, 1);
  a->name = name;
  a->arg[0] = x;
  return a;
}

static void functions_are_written_out(void **state) {
  (void)state;
  begin();
  parameter("x", 2);
  parameter("y", NAN);
  define("f", 1, (const char *const[]){"a"}, "a*a + time");
  define("g", 1, (const char *const[]){"x"}, "2*x");
  net->function[1].body->arg[1] = call("f", dpi_ast_name(net, "x"));
  dpi_net_add_rule(net, DPI_RULE_ASSIGNMENT, "y", call("g", text("x + 1")));
  dp_model *m = lowered();
  formula(m, "y", "2*((x + 1)*(x + 1) + time)");
  dp_model_destroy(m);
}

static void functions_that_call_themselves_are_refused(void **state) {
  (void)state;
  begin();
  parameter("y", NAN);
  define("f", 1, (const char *const[]){"a"}, "a");
  define("g", 1, (const char *const[]){"a"}, "a");
  net->function[0].body = call("g", dpi_ast_name(net, "a"));
  net->function[1].body = call("f", dpi_ast_name(net, "a"));
  dpi_net_add_rule(net, DPI_RULE_ASSIGNMENT, "y", call("f", text("1")));
  refused(DP_ERR_INPUT, "function 'f' calls itself", "the rule of 'y'");
  begin();
  parameter("y", NAN);
  define("f", 1, (const char *const[]){"a"}, "a*y");
  dpi_net_add_rule(net, DPI_RULE_ASSIGNMENT, "y", call("f", text("1")));
  refused(DP_ERR_INPUT, "function 'f' uses 'y'", "not one of its arguments");
}

/* each level doubles the work: 2^60 without a bound */
static void work_is_bounded(void **state) {
  (void)state;
  static char names[60][16];
  begin();
  parameter("y", NAN);
  for (int i = 0; i < 60; i++) {
    snprintf(names[i], sizeof names[i], "f%d", i);
    define(names[i], 1, (const char *const[]){"a"}, "a + a");
    if (i == 0) continue;
    for (int k = 0; k < 2; k++)
      net->function[i].body->arg[k] = call(names[i - 1], dpi_ast_name(net, "a"));
  }
  dpi_net_add_rule(net, DPI_RULE_ASSIGNMENT, "y", call("f59", text("time")));
  refused(DP_ERR_UNSUPPORTED, "too large", "the rule of 'y'");
}

static double value_of(const char *formula_text) {
  dpi_node n;
  dp_model *m = NULL;
  begin();
  parameter("p", NAN);
  dpi_ast *a = text(formula_text);
  check_ok(dpi_net_index(net));
  check_ok(dpi_net_lower(net, &m));
  check_ok(dpi_ast_lower(m, a, "t", DPI_NAMES_KNOWN, &n));
  double sym[64] = {1.5, -0.75}; /* time, p */
  double v = tape_value(m->graph, n, sym, m->nsym);
  assert_true(near_enough(v, oracle(m->graph, n, sym), 1e-12));
  dp_model_destroy(m);
  return v;
}

static void functions_have_their_values(void **state) {
  (void)state;
  static const struct {
    const char *text;
    double value;
  } row[] = {
      {"root(3, -8)", -2.0},
      {"root(3, p*0 + p)", -0.90856029641606983},
      {"root(2, 9)", 3.0},
      {"root(4*(p + 1.5), -8)", -2.0},
      {"root(8*(p + 1), 16)", 4.0},
      {"factorial(5)", 120.0},
      {"factorial(time + 0.5)", 2.0},
      {"factorial(p)", 3.625609908221908},      /* Gamma(1/4) */
      {"factorial(p - 1)", -4.834146544295877}, /* Gamma(-3/4) */
      {"quotient(-7, 2)", -3.0},
      {"rem(-7, 2)", -1.0},
      {"max(1, time, p)", 1.5},
      {"min(1, time, p)", -0.75},
      {"plus()", 0.0},
      {"times()", 1.0},
      {"and()", 1.0},
      {"or()", 0.0},
      {"xor(true, true, p < 0)", 1.0},
      {"lt(1, 2, 3)", 1.0},
      {"lt(1, 3, 2)", 0.0},
      {"implies(p < 0, time < 0)", 0.0},
      {"arccot(-2)", -0.46364760900080615},
      {"arccot(0)", 1.5707963267948966},
      {"arcsec(2)", 1.0471975511965979},
      {"arccsch(-2)", -0.48121182505960347},
      {"arccoth(2)", 0.54930614433405489},
      {"arcsech(0.5)", 1.3169578969248166},
      {"piecewise(1, p > 0, 2, time > 1, 3)", 2.0},
      {"piecewise(1, p > 0)", NAN},
      {"(p < 0) + (time > 0)", 2.0},
      {"true == (p < 0)", 1.0},
      {"!p", 0.0},
      {"erf(p)", -0.71115563365351508},
      {"log2(8)", 3.0},
      {"sqr(p)", 0.5625},
      {"mod(7, 4)", 3.0},
      {"atan2(1, -1)", 2.356194490192345},
  };
  for (int i = 0; i < DPI_COUNT(row); i++) {
    double v = value_of(row[i].text);
    if (!near_enough(v, row[i].value, 1e-13)) print_message("%s gives %.17g\n", row[i].text, v);
    assert_true(near_enough(v, row[i].value, 1e-13));
  }
}

static void delays_rates_and_draws_become_symbols(void **state) {
  (void)state;
  begin();
  parameter("x", 1);
  parameter("y", NAN);
  parameter("z", NAN);
  rule(DPI_RULE_RATE, "x", "2");
  rule(DPI_RULE_ASSIGNMENT, "y", "delay(x, 3) + delay(x, 3) + delay(x, 0)");
  rule(DPI_RULE_ASSIGNMENT, "z", "rateOf(x)");
  dpi_ast *draw = dpi_ast_new(net, DPI_AST_DRAW, 2);
  draw->draw = DPI_VARIATE_NORMAL;
  draw->arg[0] = text("0");
  draw->arg[1] = text("1");
  parameter("u", NAN);
  dpi_net_add_rule(net, DPI_RULE_INITIAL, "u", draw);
  dp_model *m = lowered();
  formula(m, "y", "delay(x, 3) + delay(x, 3) + x");
  int delayed = sym_of(m, "delay(x, 3)"), rate = sym_of(m, "rateOf(x)");
  assert_int_equal(m->sym[delayed].kind, DPI_SYM_DELAYED);
  says(m, m->sym[delayed].formula, "x");
  says(m, m->sym[delayed].delay, "3");
  assert_int_equal(m->sym[rate].kind, DPI_SYM_RATEOF);
  assert_int_equal(m->sym[rate].target, sym_of(m, "x"));
  assert_int_equal(m->ndraw, 1);
  assert_int_equal(m->draw[0].phase, DPI_DRAW_START);
  assert_int_equal(m->draw[0].narg, 2);
  dp_model_destroy(m);
}

static void draws_in_rates_are_refused(void **state) {
  (void)state;
  begin();
  species("A", "", 1);
  dpi_net_reaction *r = reaction("R", "A", NULL, "A");
  r->rate = dpi_ast_new(net, DPI_AST_DRAW, 1);
  r->rate->draw = DPI_VARIATE_POISSON;
  r->rate->arg[0] = text("1");
  refused(DP_ERR_UNSUPPORTED, "random draw 'poisson'", "the rate of reaction 'R'");
}

static void an_element_may_be_called_time(void **state) {
  (void)state;
  begin();
  parameter("time", 5);
  parameter("pi", 7);
  parameter("y", NAN);
  dpi_net_add_rule(net, DPI_RULE_ASSIGNMENT, "y",
                   dpi_ast_op2(net, DPI_AST_PLUS, dpi_ast_name(net, "time"),
                               dpi_ast_op2(net, DPI_AST_TIMES, dpi_ast_new(net, DPI_AST_TIME, 0),
                                           dpi_ast_name(net, "pi"))));
  dp_model *m = lowered();
  double sym[16] = {2, 0};
  sym[sym_of(m, "time")] = 5;
  sym[sym_of(m, "pi")] = 7;
  assert_true(sym_of(m, "time") > 0);
  assert_true(tape_value(m->graph, m->sym[sym_of(m, "y")].formula, sym, m->nsym) == 19);
  check_ok(dpi_model_seal(m));
  assert_true(sym_of(m, "time") > 0);
  dp_model_destroy(m);
}

/* functions that nest deeply, each within its bound */
static void depth_is_bounded(void **state) {
  (void)state;
  static char names[40][16];
  begin();
  parameter("y", NAN);
  for (int i = 0; i < 40; i++) {
    snprintf(names[i], sizeof names[i], "f%d", i);
    define(names[i], 1, (const char *const[]){"a"}, "a");
    dpi_ast *body = i ? call(names[i - 1], dpi_ast_name(net, "a")) : dpi_ast_name(net, "a");
    for (int k = 0; k < 500; k++) body = dpi_ast_op1(net, DPI_AST_SIN, body);
    net->function[i].body = body;
  }
  dpi_net_add_rule(net, DPI_RULE_ASSIGNMENT, "y", call("f39", text("time")));
  refused(DP_ERR_UNSUPPORTED, "deep", "the rule of 'y'");
}

static void delays_of_both_times_are_told_apart(void **state) {
  (void)state;
  begin();
  parameter("time", 5);
  parameter("y", NAN);
  dpi_ast *one = dpi_ast_op2(net, DPI_AST_DELAY, dpi_ast_name(net, "time"), dpi_ast_number(net, 1));
  dpi_ast *two =
      dpi_ast_op2(net, DPI_AST_DELAY, dpi_ast_new(net, DPI_AST_TIME, 0), dpi_ast_number(net, 1));
  dpi_net_add_rule(net, DPI_RULE_RATE, "time", dpi_ast_number(net, 2));
  dpi_net_add_rule(net, DPI_RULE_ASSIGNMENT, "y", dpi_ast_op2(net, DPI_AST_PLUS, one, two));
  dp_model *m = lowered();
  int n = 0;
  for (int i = 0; i < m->nsym; i++) n += m->sym[i].kind == DPI_SYM_DELAYED;
  assert_int_equal(n, 2);
  dp_model_destroy(m);
}

static void units_are_kept_as_text(void **state) {
  (void)state;
  begin();
  net->substance_unit = "mole";
  compartment("C", 2, true);
  net->compartment[0].unit = "mL";
  species("A", "C", 4);
  species("B", "C", 4)->only_substance = true;
  net->species[1].substance_unit = "mg";
  dp_model *m = lowered();
  assert_string_equal(m->sym[sym_of(m, "C")].unit, "mL");
  assert_string_equal(m->sym[sym_of(m, "A")].unit, "mole/mL");
  assert_string_equal(m->sym[sym_of(m, "amount(A)")].unit, "mole");
  assert_string_equal(m->sym[sym_of(m, "B")].unit, "mg");
  dp_model_destroy(m);
}

/* ---- what stands without mathematics; contradictions ---- */
static void without_mathematics_there_is_no_effect(void **state) {
  (void)state;
  begin();
  parameter("p", 3);
  parameter("q", 4);
  rule(DPI_RULE_ASSIGNMENT, "p", NULL);
  rule(DPI_RULE_RATE, "q", NULL);
  rule(DPI_RULE_ALGEBRAIC, "", NULL);
  dpi_net_event *e = event("E", "time > 1", 1);
  e->assign[0] = (dpi_net_assignment){.variable = "q"};
  dpi_net_add_event(net, "N"); /* no trigger: never fires */
  dp_model *m = sealed();
  assert_int_equal(m->sym[sym_of(m, "p")].kind, DPI_SYM_PARAM);
  assert_true(m->sym[sym_of(m, "q")].value == 4);
  assert_int_equal(m->nevent, 1);
  assert_int_equal(m->event[0].nassign, 0);
  dp_model_destroy(m);
}

static void contradictions_are_refused(void **state) {
  (void)state;
  begin();
  parameter("p", 3);
  rule(DPI_RULE_ASSIGNMENT, "p", "1");
  rule(DPI_RULE_RATE, "p", "1");
  refused(DP_ERR_INPUT, "net.xml:7", "'p' has two rules");
  begin();
  parameter("p", 3);
  rule(DPI_RULE_INITIAL, "p", "1");
  rule(DPI_RULE_INITIAL, "p", "1");
  refused(DP_ERR_INPUT, "net.xml:7", "'p' has two initial assignments");
  begin();
  dpi_net_add_parameter(net, "p")->value = 1;
  rule(DPI_RULE_RATE, "p", "1");
  refused(DP_ERR_INPUT, "net.xml:7", "declared constant");
  begin();
  species("A", "", 1);
  reaction("R", "A", NULL, "1");
  rule(DPI_RULE_RATE, "A", "1");
  refused(DP_ERR_INPUT, "'A'", "a rule beside its reactions");
  begin();
  species("A", "", 1);
  reaction("R", "A", NULL, NULL);
  refused(DP_ERR_UNSUPPORTED, "reaction 'R'", "no rate");
  begin();
  species("A", "nowhere", 1);
  refused(DP_ERR_INPUT, "species 'A'", "'nowhere'");
  begin();
  species("A", "", 1);
  reaction("R", "A", NULL, "A*kk");
  parameter("k", 1);
  refused(DP_ERR_INPUT, "'kk' is used but not defined", "did you mean 'k'?");
}

static void constraints_say_what_they_may_determine(void **state) {
  (void)state;
  begin();
  compartment("C", 1, true);
  species("A", "C", 1);
  species("B", "C", 1);
  parameter("p", NAN);
  reaction("R", "A", NULL, "A");
  rule(DPI_RULE_ALGEBRAIC, "", "A + B - p");
  dp_model *m = lowered();
  assert_int_equal(m->nconstraint, 1);
  assert_true(m->sym[sym_of(m, "p")].free);
  assert_true(m->sym[sym_of(m, "B")].free);
  assert_false(m->sym[sym_of(m, "A")].free);
  assert_false(m->sym[sym_of(m, "C")].free);
  dp_model_destroy(m);
}

/* ---- memory ---- */
static void rich_net(void) {
  begin();
  compartment("C", 2, false);
  species("A", "C", 4);
  species("B", "C", 4)->only_substance = true;
  parameter("k", 1);
  parameter("y", NAN);
  define("f", 1, (const char *const[]){"a"}, "a*a + time");
  reaction("R", "A", "B", "k*A")->fast = true;
  rule(DPI_RULE_RATE, "C", "0.1");
  dpi_net_add_rule(net, DPI_RULE_ASSIGNMENT, "y", call("f", text("delay(A, 2) + rateOf(C)")));
  dpi_net_event *e = event("E", "time > 3", 1);
  e->assign[0] = (dpi_net_assignment){.variable = "A", .math = text("A + 1")};
}

/* whatever allocation fails: the status says so, and nothing is kept */
static void the_nth_allocation_fails_cleanly(void **state) {
  (void)state;
  dp_ctx *kept = ctx;
  failing_memory memory = {0};
  dp_ctx_def def = failing_def(&memory);
  bool done = false;
  for (long n = 0; !done; n++) {
    failing_never(&memory);
    assert_int_equal(dp_ctx_create(&def, &ctx), DP_OK);
    rich_net();
    check_ok(dpi_net_index(net));
    dp_model *m = NULL;
    failing_next(&memory, n);
    dp_status s = dpi_net_lower(net, &m);
    done = !failing_happened(&memory);
    assert_int_equal(s, done ? DP_OK : DP_ERR_MEMORY);
    dp_model_destroy(m);
    dp_ctx_destroy(ctx);
    assert_true(n < 10000);
  }
  ctx = kept;
}

/* thousands of reactions: no step may be quadratic */
static void large_networks_take_no_time(void **state) {
  (void)state;
  enum { N = 4000 };
  static char name[N + 1][24], id[N][24];
  begin();
  compartment("C", 1, true);
  for (int i = 0; i <= N; i++) {
    snprintf(name[i], sizeof name[i], "S%d", i);
    species(name[i], "C", 1);
  }
  parameter("k", 1);
  for (int i = 0; i < N; i++) {
    snprintf(id[i], sizeof id[i], "R%d", i);
    dpi_net_reaction *r = reaction(id[i], name[i], name[i + 1], "1");
    r->rate = dpi_ast_op2(net, DPI_AST_TIMES, dpi_ast_name(net, "k"), dpi_ast_name(net, name[i]));
  }
  dp_model *m = lowered();
  assert_int_equal(m->nreaction, N);
  assert_true(dpi_graph_count(m->graph) < 12 * N);
  dp_model_destroy(m);
}

/* where nothing has had arguments before */
static void operations_may_have_no_arguments(void **state) {
  (void)state;
  begin();
  dp_model *m = NULL;
  dpi_node all = DPI_NODE_NONE;
  double value = NAN;
  assert_int_equal(dpi_model_create(net->ctx, "m", "m", &m), DP_OK);
  assert_int_equal(dpi_ast_lower(m, dpi_ast_new(net, DPI_AST_AND, 0), "here", DPI_NAMES_KNOWN, &all), DP_OK);
  assert_true(dpi_g_is_const(m->graph, all, &value) && value == 1.0);
  dp_model_destroy(m);
  dpi_net_destroy(net);
  net = NULL;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_species_of_constant_volume_is_its_concentration),
      cmocka_unit_test(where_the_volume_varies_the_amount_is_the_state),
      cmocka_unit_test(a_compartment_set_by_an_event_varies),
      cmocka_unit_test(an_event_that_changes_the_volume_keeps_amounts),
      cmocka_unit_test(values_from_before_a_delay_set_concentrations),
      cmocka_unit_test(without_dimensions_a_species_is_an_amount),
      cmocka_unit_test(rules_give_species_as_formulas_mean_them),
      cmocka_unit_test(conversion_factors_multiply),
      cmocka_unit_test(stoichiometries_may_be_named_ruled_and_calculated),
      cmocka_unit_test(a_species_on_both_sides_has_one_change),
      cmocka_unit_test(local_parameters_hide_others),
      cmocka_unit_test(fast_reactions_are_sped_up),
      cmocka_unit_test(functions_are_written_out),
      cmocka_unit_test(functions_that_call_themselves_are_refused),
      cmocka_unit_test(work_is_bounded),
      cmocka_unit_test(depth_is_bounded),
      cmocka_unit_test(units_are_kept_as_text),
      cmocka_unit_test(delays_of_both_times_are_told_apart),
      cmocka_unit_test(functions_have_their_values),
      cmocka_unit_test(delays_rates_and_draws_become_symbols),
      cmocka_unit_test(draws_in_rates_are_refused),
      cmocka_unit_test(an_element_may_be_called_time),
      cmocka_unit_test(without_mathematics_there_is_no_effect),
      cmocka_unit_test(contradictions_are_refused),
      cmocka_unit_test(constraints_say_what_they_may_determine),
      cmocka_unit_test(the_nth_allocation_fails_cleanly),
      cmocka_unit_test(large_networks_take_no_time),
      cmocka_unit_test(operations_may_have_no_arguments),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
