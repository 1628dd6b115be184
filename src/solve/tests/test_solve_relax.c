/* Fast reactions brought to rest: against equilibria found by hand; which of several is reached; what is conserved;
 * a law that never comes to rest is said so. Then the whole system against the reduced one in closed form. */
#include "lang/network.h"
#include "solve_rig.h"

static rig r;
static dpi_net *net;

static void begin(void) {
  r = (rig){0};
  dp_ctx_def def = dp_ctx_def_default();
  assert_int_equal(dp_ctx_create(&def, &r.ctx), DP_OK);
  rig_must(&r, dpi_net_create(r.ctx, "fast.xml", &net));
  net->level = 2;
}

static void species(const char *id, double amount) {
  dpi_net_add_species(net, id)->amount = amount;
}
static dpi_ast *name(const char *id) { return dpi_ast_name(net, id); }
static dpi_ast *times(dpi_ast *a, dpi_ast *b) { return dpi_ast_op2(net, DPI_AST_TIMES, a, b); }

static dpi_net_term *term(const char *id) {
  dpi_net_term *t = DPI_ARENA_NEW(&net->arena, dpi_net_term);
  *t = (dpi_net_term){.id = "", .species = id, .stoichiometry = 1.0};
  return t;
}

static dpi_net_reaction *reaction(const char *id, const char *from, const char *to, bool fast,
                                  dpi_ast *rate) {
  dpi_net_reaction *x = dpi_net_add_reaction(net, id);
  x->reactant = term(from);
  x->product = term(to);
  x->nreactant = x->nproduct = 1;
  x->fast = fast;
  x->rate = rate;
  return x;
}

static dpi_solver *solver(void) {
  rig_must(&r, dpi_net_index(net));
  rig_must(&r, dpi_net_lower(net, &r.model));
  rig_must(&r, dpi_model_seal(r.model));
  rig_must(&r, dpi_system_create(r.ctx, r.model, NULL, 0, &r.sys));
  r.sym = calloc((size_t)r.model->nsym, sizeof *r.sym);
  assert_non_null(r.sym);
  for (int i = 0; i < r.model->nsym; i++) r.sym[i] = r.model->sym[i].value;
  dpi_solver *s = rig_solver(&r, "auto", 1e-9, 1e-12);
  assert_string_equal(s->ops->name, "cvode");
  rig_must(&r, s->ops->bind(s, r.sym, NULL, 0));
  return s;
}

/* A <-> B at A = 2 B from 3 + 0; the sum stays */
static void a_linear_equilibrium(void **state) {
  (void)state;
  begin();
  species("A", 3);
  species("B", 0);
  reaction("R", "A", "B", true,
           dpi_ast_op2(net, DPI_AST_MINUS, name("A"), times(dpi_ast_number(net, 2), name("B"))));
  dpi_solver *s = solver();
  double x[2] = {3, 0};
  assert_int_equal(dpi_solver_settle(s, 0, x), DPI_SOLVE_OK);
  rig_near("A", 0, x[0], 2, 1e-12, 0);
  rig_near("B", 0, x[1], 1, 1e-12, 0);
  dpi_solver_destroy(s);
  rig_drop(&r);
}

/* A -> B at rate k A B has two: the sign of k says which is reached; with k = 0 nothing moves */
static void of_two_equilibria_the_one_that_attracts(void **state) {
  (void)state;
  static const double k[] = {1, -1, 0}, want[] = {0, 5, 2};
  for (int i = 0; i < 3; i++) {
    begin();
    species("A", 2);
    species("B", 3);
    reaction("R", "A", "B", true, times(dpi_ast_number(net, k[i]), times(name("A"), name("B"))));
    dpi_solver *s = solver();
    double x[2] = {2, 3};
    assert_int_equal(dpi_solver_settle(s, 0, x), DPI_SOLVE_OK);
    rig_near("A", k[i], x[0], want[i], 1e-10, 1e-10);
    rig_near("A + B", k[i], x[0] + x[1], 5, 1e-12, 0);
    dpi_solver_destroy(s);
    rig_drop(&r);
  }
}

static void what_never_rests_is_said(void **state) {
  (void)state;
  begin();
  species("A", 2);
  species("B", 3);
  reaction("R", "A", "B", true, dpi_ast_number(net, 1));
  dpi_solver *s = solver();
  double x[2] = {2, 3};
  assert_int_equal(dpi_solver_settle(s, 0, x), DPI_SOLVE_FAILED);
  assert_non_null(strstr(s->reason, "do not come to rest"));
  dpi_solver_destroy(s);
  rig_drop(&r);
}

/* A <-> B fast with A = B, B -> C slow at rate B: T = A + B, T' = -T/2 */
static void the_slow_part_follows_the_reduced_law(void **state) {
  (void)state;
  begin();
  species("A", 2);
  species("B", 0);
  species("D", 0);
  reaction("R", "A", "B", true, dpi_ast_op2(net, DPI_AST_MINUS, name("A"), name("B")));
  reaction("Q", "B", "D", false, name("B"));
  dpi_solver *s = solver();
  double x[3] = {2, 0, 0};
  assert_int_equal(dpi_solver_settle(s, 0, x), DPI_SOLVE_OK);
  assert_int_equal(s->ops->start(s, 0, x, NULL), DPI_SOLVE_OK);
  while (s->t_now < 4) assert_int_equal(s->ops->step(s, 4), DPI_SOLVE_OK);
  rig_near("A", 4, s->x_now[0], exp(-2.0), 1e-7, 0);
  rig_near("B", 4, s->x_now[1], exp(-2.0), 1e-7, 0);
  rig_near("D", 4, s->x_now[2], 2 - 2 * exp(-2.0), 1e-7, 0);
  dpi_solver_destroy(s);
  rig_drop(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_linear_equilibrium),
      cmocka_unit_test(of_two_equilibria_the_one_that_attracts),
      cmocka_unit_test(what_never_rests_is_said),
      cmocka_unit_test(the_slow_part_follows_the_reduced_law),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
