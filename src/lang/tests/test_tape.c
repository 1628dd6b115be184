/* Tapes against the plain recursive evaluation of the same graph (oracle) on random expressions, and bit for bit
 * against the meaning of each operation; prologue, body and registers against each other. */
#include "lang_check.h"

#define NSYM 8

static dpi_node random_node(dpi_graph *g, dpi_rng *rng, const dpi_node *pool, int n) {
  static const dpi_op ops[] = {DPI_OP_ADD,  DPI_OP_SUB, DPI_OP_MUL,  DPI_OP_DIV,  DPI_OP_NEG,
                               DPI_OP_EXP,  DPI_OP_SIN, DPI_OP_TANH, DPI_OP_MIN,  DPI_OP_LT,
                               DPI_OP_GE,   DPI_OP_AND, DPI_OP_NOT,  DPI_OP_IF,   DPI_OP_POWI,
                               DPI_OP_ABS,  DPI_OP_ADD, DPI_OP_MUL,  DPI_OP_SUB,  DPI_OP_MUL,
                               DPI_OP_SQRT, DPI_OP_NE,  DPI_OP_OR,   DPI_OP_FLOOR};
  dpi_op op = ops[dpi_rng_u64(rng) % (unsigned)DPI_COUNT(ops)];
  dpi_node a = pool[dpi_rng_u64(rng) % (unsigned)n], b = pool[dpi_rng_u64(rng) % (unsigned)n];
  if (op == DPI_OP_POWI) return dpi_g_powi(g, a, (int)(dpi_rng_u64(rng) % 9) - 4);
  if (op == DPI_OP_IF) return dpi_g_if(g, pool[dpi_rng_u64(rng) % (unsigned)n], a, b);
  return dpi_op_table[op].arity == 1 ? dpi_g_op1(g, op, a) : dpi_g_op2(g, op, a, b);
}

/* bit for bit: every node by dpi_op_eval, in order */
static void evaluate_all(const dpi_graph *g, const double *sym, double *value) {
  for (int i = 0; i < dpi_graph_count(g); i++) {
    dpi_gnode n = dpi_graph_at(g, i);
    if (n.op == DPI_OP_CONST)
      value[i] = n.value;
    else if (n.op == DPI_OP_SYM)
      value[i] = sym[n.arg[0]];
    else if (n.op == DPI_OP_POWI)
      value[i] = dpi_powi(value[n.arg[0]], n.arg[1]);
    else {
      int k = dpi_op_table[n.op].arity;
      value[i] = dpi_op_eval(n.op, value[n.arg[0]], k > 1 ? value[n.arg[1]] : 0,
                             k > 2 ? value[n.arg[2]] : 0);
    }
  }
}

static void same_bytes(double a, double b) {
  if (a != a && b != b) return; /* the bits of a NaN may differ */
  assert_memory_equal(&a, &b, sizeof a);
}

static void check_tape(dpi_graph *g, const dpi_node *out, int nout, const uint8_t *fast,
                       dpi_rng *rng) {
  dpi_tape *t = NULL;
  check_ok(dpi_tape_create(ctx, g, out, nout, fast, NSYM, &t));
  double *reg = DPI_NEW_ARRAY(ctx, double, dpi_tape_nreg(t)),
         *got = DPI_NEW_ARRAY(ctx, double, nout);
  double *want = DPI_NEW_ARRAY(ctx, double, dpi_graph_count(g)), sym[NSYM];
  dpi_tape_init(t, reg);
  for (int round = 0; round < 4; round++) {
    for (int s = 0; s < NSYM; s++)
      if (round == 0 || round == 2 || fast[s]) sym[s] = 4 * dpi_rng_uniform(rng) - 2;
    if (round == 0 || round == 2) dpi_tape_prologue(t, sym, reg);
    dpi_tape_eval(t, sym, reg, got);
    evaluate_all(g, sym, want);
    for (int i = 0; i < nout; i++) same_bytes(got[i], want[out[i]]);
  }
  dpi_free(ctx, reg);
  dpi_free(ctx, got);
  dpi_free(ctx, want);
  dpi_tape_destroy(t);
}

static void random_graphs_have_the_bytes_of_single_operations(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 300; seed++) {
    dpi_rng rng = dpi_rng_make(seed, 1, 1);
    dpi_graph *g = NULL;
    dpi_node pool[240], out[12];
    int n = 0;
    uint8_t fast[NSYM];
    check_ok(dpi_graph_create(ctx, &g));
    for (int s = 0; s < NSYM; s++) pool[n++] = dpi_g_sym(g, s);
    pool[n++] = dpi_g_const(g, 0.5);
    pool[n++] = dpi_g_const(g, 2.0);
    while (n < 240) {
      pool[n] = random_node(g, &rng, n > 30 && dpi_rng_uniform(&rng) < 0.7 ? pool + n - 20 : pool,
                            n > 30 ? 20 : n);
      assert_true(pool[n] >= 0);
      n++;
    }
    for (int s = 0; s < NSYM; s++) fast[s] = dpi_rng_uniform(&rng) < 0.5;
    for (int i = 0; i < 12; i++) out[i] = pool[240 - 1 - (int)(dpi_rng_u64(&rng) % 60)];
    check_tape(g, out, 12, fast, &rng);
    dpi_graph_destroy(g);
  }
}

static void values_match_the_c_library(void **state) {
  (void)state;
  static const char *const text[] = {"x*y + sin(x)*exp(-y)",
                                     "x^3/(x^3 + y^3)",
                                     "piecewise(ln(x), x > 0, 0) + tanh(x*y)",
                                     "x^y - log10(x + y)",
                                     "a*b + c*d - e",
                                     "x - a*b",
                                     "a*b - x*y"};
  dp_model *m = read_sealed("x=1.25;y=0.75;a=2.5;b=-0.3;c=1.1;d=7;e=0.01");
  double sym[16];
  for (int i = 0; i < m->nsym; i++) sym[i] = m->sym[i].value;
  for (int i = 0; i < DPI_COUNT(text); i++) {
    dpi_node n;
    check_ok(dpi_model_parse(m, text[i], "f", false, &n));
    assert_true(
        near_enough(tape_value(m->graph, n, sym, m->nsym), oracle(m->graph, n, sym), 1e-14));
  }
  dp_model_destroy(m);
}

/* the branch not taken may be NaN or infinite */
static void unchosen_branches_do_not_leak(void **state) {
  (void)state;
  dp_model *m = read_sealed("x = 1; y := piecewise(ln(x), x > 0, -1/x^2, x < 0, 7)");
  double sym[3] = {0}, xs[] = {-2, 0, 2}, want[] = {-0.25, 7, 0};
  want[2] = dpi_m_log(2);
  for (int i = 0; i < 3; i++) {
    sym[1] = xs[i];
    assert_true(tape_value(m->graph, dpi_model_value(m, sym_of(m, "y")), sym, m->nsym) == want[i]);
  }
  dp_model_destroy(m);
}

static void slow_steps_leave_the_body(void **state) {
  (void)state;
  dpi_graph *g = NULL;
  dpi_tape *t = NULL;
  check_ok(dpi_graph_create(ctx, &g));
  dpi_node k = dpi_g_sym(g, 1), x = dpi_g_sym(g, 2), e = dpi_g_op1(g, DPI_OP_EXP, k);
  dpi_node out[4] = {dpi_g_op2(g, DPI_OP_MUL, e, x), e, k, dpi_g_const(g, 3)};
  uint8_t fast[3] = {1, 0, 1};
  check_ok(dpi_tape_create(ctx, g, out, 4, fast, 3, &t));
  assert_int_equal(dpi_tape_nstep(t), 1);
  double reg[16], value[4], sym[3] = {0, 0, 5};
  dpi_tape_init(t, reg);
  dpi_tape_prologue(t, sym, reg);
  dpi_tape_eval(t, sym, reg, value);
  assert_true(value[0] == 5 && value[1] == 1 && value[2] == 0 && value[3] == 3);
  dpi_tape_destroy(t);
  dpi_graph_destroy(g);
}

/* a product inside a sum is one step with two roundings: a fused one would give another number */
static void sums_of_products_round_twice(void **state) {
  (void)state;
  dpi_graph *g = NULL;
  dpi_tape *t = NULL;
  check_ok(dpi_graph_create(ctx, &g));
  dpi_node a = dpi_g_sym(g, 0), b = dpi_g_sym(g, 1), c = dpi_g_sym(g, 2),
           p = dpi_g_op2(g, DPI_OP_MUL, a, b);
  dpi_node out = dpi_g_op2(g, DPI_OP_SUB, p, c);
  uint8_t fast[3] = {1, 1, 1};
  check_ok(dpi_tape_create(ctx, g, &out, 1, fast, 3, &t));
  assert_int_equal(dpi_tape_nstep(t), 1);
  double e = ldexp(1, -30), sym[3] = {1 + e, 1 - e, 1}, reg[8], value;
  dpi_tape_init(t, reg);
  dpi_tape_prologue(t, sym, reg);
  dpi_tape_eval(t, sym, reg, &value);
  assert_true(value == 0.0); /* fused: -2^-60 */
  dpi_tape_destroy(t);
  dpi_graph_destroy(g);
}

/* a chain needs few registers however long it is */
static void registers_are_used_again(void **state) {
  (void)state;
  dpi_graph *g = NULL;
  dpi_tape *t = NULL;
  check_ok(dpi_graph_create(ctx, &g));
  dpi_node x = dpi_g_sym(g, 0), n = x;
  for (int i = 0; i < 1000; i++) n = dpi_g_op1(g, DPI_OP_SIN, dpi_g_op2(g, DPI_OP_ADD, n, x));
  uint8_t fast = 1;
  check_ok(dpi_tape_create(ctx, g, &n, 1, &fast, 1, &t));
  assert_int_equal(dpi_tape_nstep(t), 2000);
  assert_true(dpi_tape_nreg(t) <= 4);
  dpi_tape_destroy(t);
  dpi_graph_destroy(g);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_graphs_have_the_bytes_of_single_operations),
      cmocka_unit_test(values_match_the_c_library),
      cmocka_unit_test(unchosen_branches_do_not_leak),
      cmocka_unit_test(slow_steps_leave_the_body),
      cmocka_unit_test(sums_of_products_round_twice),
      cmocka_unit_test(registers_are_used_again),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
