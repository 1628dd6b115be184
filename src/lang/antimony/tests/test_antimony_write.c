/* What is written must be read back as the same network: sealed equations are compared as text or node by node; and the
 * texts say what Antimony says. */
#include "lang/network.h"
#include "lang/tests/lang_check.h"

static void show(dp_model *m, char **text) {
  *text = NULL;
  check_ok(dpi_model_seal(m));
  check_ok(dp_model_show(m, text));
}

/* the first line of `show` names model and file */
static const char *behind_first_line(const char *s) {
  const char *end = strchr(s, '\n');
  return end == NULL ? s : end;
}

static void write(const dpi_net *net, dpi_str *out, dpi_str *notes) {
  dpi_net copy = *net;
  copy.notes = notes;
  dpi_str_init(out, ctx);
  dpi_str_init(notes, ctx);
  check_ok(dpi_language_antimony.write(&copy, out));
}

static void release(dpi_str *a, dpi_str *b) {
  dpi_str_release(a);
  dpi_str_release(b);
}

/* the other model's expression, read in the scope of this one, is the same node */
static void same_node(dp_model *m, dpi_node mine, const dp_model *other, dpi_node theirs) {
  dpi_str s;
  dpi_node got = DPI_NODE_NONE;
  if (mine == DPI_NODE_NONE && theirs == DPI_NODE_NONE) return;
  assert_true(mine != DPI_NODE_NONE && theirs != DPI_NODE_NONE);
  dpi_str_init(&s, ctx);
  dpi_model_print(other, theirs, &s);
  check_ok(dpi_model_parse(m, dpi_str_text(&s), "again", false, &got));
  if (got != mine) print_message("%s is another expression\n", dpi_str_text(&s));
  dpi_str_release(&s);
  assert_int_equal(got, mine);
}

static void same_model(dp_model *m, const dp_model *other) {
  assert_int_equal(m->nsym, other->nsym);
  assert_int_equal(m->nstate, other->nstate);
  for (int i = 1; i < m->nsym; i++) {
    int k = sym_of(other, m->sym[i].id);
    assert_int_equal(m->sym[i].kind, other->sym[k].kind);
    assert_true(near_enough(m->sym[i].value, other->sym[k].value, 0));
    if (m->sym[i].kind == DPI_SYM_PARAM) continue;
    same_node(m, m->sym[i].init, other, other->sym[k].init);
    same_node(m, m->sym[i].formula, other, other->sym[k].formula);
  }
  assert_int_equal(m->nevent, other->nevent);
  for (int i = 0; i < m->nevent; i++) {
    const dpi_model_event *a = &m->event[i], *b = &other->event[i];
    assert_string_equal(a->id, b->id);
    same_node(m, a->trigger, other, b->trigger);
    same_node(m, a->delay, other, b->delay);
    same_node(m, a->priority, other, b->priority);
    assert_true(a->initial_value == b->initial_value && a->persistent == b->persistent);
    assert_true(a->from_trigger == b->from_trigger && a->nassign == b->nassign);
    for (int k = 0; k < a->nassign; k++) same_node(m, a->assign[k].value, other, b->assign[k].value);
  }
}

static void round_trip(const char *text) {
  dpi_str out, notes;
  dp_model *m = read_text(text);
  write(m->net, &out, &notes);
  dp_model *again = read_text(dpi_str_text(&out));
  char *a, *b;
  show(m, &a);
  show(again, &b);
  if (strcmp(behind_first_line(a), behind_first_line(b)) != 0) same_model(m, again); /* terms in another order */
  assert_int_equal(m->net->nannotation, again->net->nannotation);
  assert_int_equal(m->net->nunit, again->net->nunit);
  assert_int_equal(m->net->nobjective, again->net->nobjective);
  dp_model_text_free(m, a);
  dp_model_text_free(again, b);
  dp_model_destroy(m);
  dp_model_destroy(again);
  release(&out, &notes);
}

static void texts_come_back(void **state) {
  (void)state;
  round_trip(
      "compartment C = 2, D; D = 3*C; species S in C = 6/C, $P in C = 1; substanceOnly species N in C = 4\n"
      "substanceOnly species O in C = 4*C; J: S + 2 P -> 0.5 N + n O; k*S*C; k = 0.1; n = 2; S => ; 3; const Q = 3\n");
  round_trip(
      "x' = -k*x + piecewise(1, time > 3 && x < 2, 0); x = 1 + k; k = 2; y := 2*x^-2 - (-x)^2 + log(2, x) + !(x > 1)\n"
      "E1: at 2*k after (x < 0.5), t0=false, priority=3, persistent=false, fromTrigger=false: x = 3, k = k + 1\n"
      "at (time > 5): x = 0");
  round_trip(
      "function hill(x, K)\n x/(K + x)\nend\nA -> B; hill(A, 3)*v; A = 1; B = 0; v = 1e-30; v has mole; A is \"the "
      "drug\"\n"
      "unit mM = 1e-3 mole/litre; B has mM; A identity \"u\", \"w\"; A.sboTerm = 27; B notes \"a note\"; B -o _J0");
  round_trip("x = 1; 0 = x - 2*y; const x; y = 0.4; z := rateOf(w); w' = x; w = 1; q' = delay(w, 2); q = 0");
  round_trip("J: A -> B; s*A; A = 1; B = 2; s = 2; n := 1 + time; J2: n A -> m B; 1; m = 2; at (time > 2): m = 3");
  round_trip("model a()\n x = 3; x' = -k*x; k = 2\nend\nA: a(); B: a(); A.k is B.k; y := A.x && B.x || A.x == 3");
}

/* SBML's names and local parameters that Antimony has no place for */
static void names_are_made_to_fit(void **state) {
  (void)state;
  dpi_net *net = NULL;
  dpi_str out, notes;
  check_ok(dpi_net_create(ctx, "m.xml", &net));
  dpi_net_add_compartment(net, "in")->size = 1;
  dpi_net_add_species(net, "model")->compartment = "in";
  net->species[0].amount = 3;
  dpi_net_add_parameter(net, "sin")->value = 2;
  dpi_net_add_parameter(net, "sin_")->value = 5;
  dpi_net_reaction *r = dpi_net_add_reaction(net, "R");
  dpi_net_parameter local = {.id = "sin", .name = "", .unit = "", .value = 7, .constant = true};
  dpi_net_term term = {.id = "", .species = "model", .stoichiometry = 1, .constant = true};
  r->nlocal = r->nreactant = 1;
  r->local = &local;
  r->reactant = &term;
  r->rate = dpi_ast_op2(net, DPI_AST_TIMES, dpi_ast_name(net, "sin"), dpi_ast_name(net, "model"));
  dpi_net_add_rule(net, DPI_RULE_ASSIGNMENT, "sin_", dpi_ast_name(net, "sin"));
  check_ok(dpi_net_index(net));
  write(net, &out, &notes);
  assert_non_null(strstr(dpi_str_text(&out), "species model_ in in_;\n  model_ = 3/in_;"));
  assert_non_null(strstr(dpi_str_text(&out), "R: model_ -> ; R_sin*model_;"));
  assert_non_null(strstr(dpi_str_text(&out), "sin_ := sin__;"));
  assert_non_null(strstr(dpi_str_text(&notes), "'model' is called 'model_' in Antimony\n"));
  assert_non_null(strstr(dpi_str_text(&notes), "the local parameter 'sin' of reaction 'R' is the parameter 'R_sin'"));
  release(&out, &notes);
  net->reaction[0].fast = true;
  dp_ctx_clear_error(ctx);
  dpi_str_init(&out, ctx);
  assert_int_equal(dpi_language_antimony.write(net, &out), DP_ERR_UNSUPPORTED);
  assert_non_null(strstr(dp_ctx_error(ctx), "the fast reaction 'R' can't be said in Antimony"));
  dpi_str_release(&out);
  dpi_net_destroy(net);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(texts_come_back),
      cmocka_unit_test(names_are_made_to_fit),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
