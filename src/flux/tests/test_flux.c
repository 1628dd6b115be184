/* Flux balance on small networks whose optimum can be read off: bounds, objectives, what has no solution,
 * what is wrong.
 *
 *     in: -> A (at most 10)   up: A -> B (at most 4)   down: A -> 2 C   out_b: B ->   out_c: C ->
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/tests/failing_memory.h"
#include "flux/flux.h"

static dp_ctx *ctx;

static failing_memory memory;

static int setup(void **state) {
  (void)state;
  dp_ctx_def def = failing_def(&memory);
  return dp_ctx_create(&def, &ctx) != DP_OK;
}

static int teardown(void **state) {
  (void)state;
  size_t live = dpi_alloc_live(ctx);
  dp_ctx_destroy(ctx);
  return live != 0;
}

static void param(dpi_net *net, const char *id, double value) { dpi_net_add_parameter(net, id)->value = value; }

static dpi_net_term *terms(dpi_net *net, const char *species, double n) {
  dpi_net_term *t = DPI_ARENA_ARRAY(&net->arena, dpi_net_term, 1);
  *t = (dpi_net_term){.id = "", .species = species, .stoichiometry = n, .constant = true};
  return t;
}

/* from, to: "" for nothing. */
static dpi_net_reaction *reaction(dpi_net *net, const char *id, const char *from, const char *to, double made,
                                  const char *lower, const char *upper) {
  dpi_net_reaction *r = dpi_net_add_reaction(net, id);
  if (*from) {
    r->reactant = terms(net, from, 1);
    r->nreactant = 1;
  }
  if (*to) {
    r->product = terms(net, to, made);
    r->nproduct = 1;
  }
  r->reversible = false;
  r->lower = lower;
  r->upper = upper;
  return r;
}

static void species(dpi_net *net, const char *id) {
  dpi_net_species *s = dpi_net_add_species(net, id);
  s->compartment = "cell";
  s->concentration = 0;
}

static void objective(dpi_net *net, const char *id, double c, bool maximize) {
  dpi_net_objective *o = dpi_net_add_objective(net, "OBJ");
  o->term = DPI_ARENA_ARRAY(&net->arena, dpi_net_flux_term, 1);
  o->term[0] = (dpi_net_flux_term){id, c};
  o->nterm = 1;
  o->maximize = maximize;
  net->active_objective = net->nobjective - 1;
}

static dpi_net *branch(void) {
  dpi_net *net = NULL;
  assert_int_equal(dpi_net_create(ctx, "branch.xml", &net), DP_OK);
  net->flux = true;
  dpi_net_add_compartment(net, "cell")->size = 1;
  species(net, "A");
  species(net, "B");
  species(net, "C");
  param(net, "zero", 0);
  param(net, "four", 4);
  param(net, "ten", 10);
  param(net, "free", INFINITY);
  reaction(net, "in", "", "A", 1, "zero", "ten");
  reaction(net, "up", "A", "B", 1, "zero", "four");
  reaction(net, "down", "A", "C", 2, "zero", "free");
  reaction(net, "out_b", "B", "", 0, "zero", "free");
  reaction(net, "out_c", "C", "", 0, "zero", "free");
  return net;
}

static dp_model *lowered(dpi_net *net) {
  dp_model *m = NULL;
  dp_ctx_clear_error(ctx);
  assert_int_equal(dpi_net_index(net), DP_OK);
  if (dpi_net_lower(net, &m) != DP_OK) fail_msg("%s", dp_ctx_error(ctx));
  return m;
}

static double flux_of(const dp_flux *f, const char *id) {
  for (int j = 0; j < f->nreaction; j++)
    if (!strcmp(f->reaction[j], id)) return f->value[j];
  fail_msg("no flux of %s", id);
  return NAN;
}

static void check(dpi_net *net, double value, double in, double up, double down) {
  dp_model *m = lowered(net);
  dp_flux *f = NULL;
  if (dp_flux_solve(m, &f) != DP_OK) fail_msg("%s", dp_ctx_error(ctx));
  assert_float_equal(f->objective, value, 1e-9);
  assert_float_equal(flux_of(f, "in"), in, 1e-9);
  assert_float_equal(flux_of(f, "up"), up, 1e-9);
  assert_float_equal(flux_of(f, "down"), down, 1e-9);
  assert_float_equal(flux_of(f, "out_b"), up, 1e-9);
  dp_flux_destroy(f);
  dp_model_destroy(m);
}

static void check_fails(dpi_net *net, dp_status wanted, const char *says) {
  dp_model *m = lowered(net);
  dp_flux *f = NULL;
  assert_int_equal(dp_flux_solve(m, &f), wanted);
  assert_null(f);
  if (!strstr(dp_ctx_error(ctx), says)) fail_msg("%s", dp_ctx_error(ctx));
  dp_ctx_clear_error(ctx);
  dp_model_destroy(m);
}

static void the_optimum_is_found(void **state) {
  (void)state;
  dpi_net *net = branch();
  objective(net, "out_c", 3, true);
  check(net, 60, 10, 0, 10);
  net = branch();
  net->reaction[1].lower = "four"; /* up is 4 now */
  objective(net, "in", 1, false);
  check(net, 4, 4, 4, 0);
  net = branch();
  objective(net, "out_b", 1, false); /* not active */
  objective(net, "out_c", -1, false);
  check(net, -20, 10, 0, 10);
}

static void boundary_and_constant_species_are_not_balanced(void **state) {
  (void)state;
  dpi_net *net = branch();
  species(net, "X");
  net->species[3].boundary = true;
  reaction(net, "leak", "A", "X", 1, "four", "four");
  objective(net, "out_c", 1, true);
  check(net, 12, 10, 0, 6);
  net = branch();
  species(net, "X");
  net->species[3].constant = true;
  reaction(net, "leak", "A", "X", 1, "four", "four");
  objective(net, "out_c", 1, true);
  check(net, 12, 10, 0, 6);
}

static void bounds_may_be_formulas_of_time_zero(void **state) {
  (void)state;
  dpi_net *net = branch();
  param(net, "half", NAN);
  param(net, "limit", 1);
  dpi_net_add_rule(net, DPI_RULE_INITIAL, "half",
                   dpi_ast_op2(net, DPI_AST_DIVIDE, dpi_ast_name(net, "ten"), dpi_ast_number(net, 2)));
  dpi_net_add_rule(net, DPI_RULE_INITIAL, "limit",
                   dpi_ast_op2(net, DPI_AST_MINUS, dpi_ast_name(net, "half"), dpi_ast_number(net, 0.5)));
  net->reaction[0].upper = "limit";
  objective(net, "out_c", 1, true);
  check(net, 9, 4.5, 0, 4.5);
}

static void a_missing_bound_is_none_unless_strict(void **state) {
  (void)state;
  dpi_net *net = branch();
  net->reaction[2].upper = net->reaction[4].upper = net->reaction[2].lower = "";
  objective(net, "out_c", 1, true);
  check(net, 20, 10, 0, 10);
  net = branch();
  net->reaction[2].upper = "";
  net->strict = true;
  objective(net, "out_c", 1, true);
  check_fails(net, DP_ERR_INPUT, "reaction 'down' has no upper flux bound");
}

static void what_has_no_solution_is_named(void **state) {
  (void)state;
  dpi_net *net = branch();
  net->reaction[2].lower = "ten";  /* down at least 10 ... */
  net->reaction[0].upper = "four"; /* ... of at most 4 */
  objective(net, "out_c", 1, true);
  check_fails(net, DP_ERR_CONVERGE, "'OBJ': infeasible");
  net = branch();
  net->reaction[0].upper = "free";
  objective(net, "out_c", 1, true);
  check_fails(net, DP_ERR_CONVERGE, "'OBJ': unbounded");
}

static void what_is_wrong_is_named(void **state) {
  (void)state;
  dpi_net *net = branch();
  net->reaction[1].lower = "ten"; /* above its upper bound */
  objective(net, "out_c", 1, true);
  check_fails(net, DP_ERR_INPUT, "'up': its flux bounds cross: lower 10, upper 4");
  net = branch();
  param(net, "unknown", NAN);
  net->reaction[1].upper = "unknown";
  objective(net, "out_c", 1, true);
  check_fails(net, DP_ERR_INPUT, "'up': its upper flux bound 'unknown' is nan");
  net = branch();
  objective(net, "nothing", 1, true);
  check_fails(net, DP_ERR_INPUT, "no reaction 'nothing'");
  net = branch();
  check_fails(net, DP_ERR_INPUT, "no flux balance problem");
}

static void what_is_only_a_flux_problem_is_known(void **state) {
  (void)state;
  dpi_net *net = branch();
  objective(net, "out_c", 1, true);
  dp_model *m = lowered(net);
  assert_true(dp_flux_has(m) && dp_flux_only(m));
  dp_model_destroy(m);
  net = branch();
  objective(net, "out_c", 1, true);
  net->reaction[0].rate = dpi_ast_name(net, "four");
  net->reaction[0].has_rate = true;
  m = lowered(net);
  assert_true(dp_flux_has(m) && !dp_flux_only(m));
  dp_model_destroy(m);
  m = lowered(branch());
  assert_false(dp_flux_has(m) || dp_flux_only(m));
  dp_model_destroy(m);
}

static void a_lack_of_memory_is_said_and_nothing_is_left(void **state) {
  (void)state;
  dpi_net *net = branch();
  objective(net, "out_c", 1, true);
  dp_model *m = lowered(net);
  dp_status status = DP_ERR_MEMORY;
  size_t live = dpi_alloc_live(ctx);
  int n = 0;
  for (; status != DP_OK && n < 1000; n++) {
    dp_flux *f = NULL;
    failing_next(&memory, n);
    status = dp_flux_solve(m, &f);
    failing_never(&memory);
    assert_true(status == DP_OK ? f != NULL : status == DP_ERR_MEMORY && f == NULL);
    dp_flux_destroy(f);
    assert_int_equal(dpi_alloc_live(ctx), live);
    dp_ctx_clear_error(ctx);
  }
  assert_true(n > 4 && n < 1000);
  dp_model_destroy(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_optimum_is_found),
      cmocka_unit_test(boundary_and_constant_species_are_not_balanced),
      cmocka_unit_test(bounds_may_be_formulas_of_time_zero),
      cmocka_unit_test(a_missing_bound_is_none_unless_strict),
      cmocka_unit_test(what_has_no_solution_is_named),
      cmocka_unit_test(what_is_wrong_is_named),
      cmocka_unit_test(what_is_only_a_flux_problem_is_known),
      cmocka_unit_test(a_lack_of_memory_is_said_and_nothing_is_left),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
