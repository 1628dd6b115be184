/* Tapes in lanes against the scalar interpreter, byte for byte in every lane, in every width this processor has and in
 * both arithmetics: each operation over hard arguments, random expressions of all operations, tapes of whole models.
 * Attached code is run in the interpreter's place. What DPI_OP_FMA means and what its builder may simplify. */
#include <float.h>

#include "lang/tape.h"
#include "lang_check.h"

#define NSYM 8

static bool same(double a, double b) { return (a != a && b != b) || memcmp(&a, &b, sizeof a) == 0; }

/* each width that there is, in both arithmetics */
static void everywhere(void (*check)(const dpi_lane_ops *)) {
  static const char *const arithmetic[] = {"fma", "nofma"};
  for (int k = 0; k < 2; k++) {
    if (!dpi_math_select(arithmetic[k])) continue;
    for (int w = 1; w <= DPI_LANES_MAX; w *= 2) {
      const dpi_lane_ops *ops = dpi_lane_ops_find(w);
      if (ops == NULL) continue;
      assert_int_equal(ops->width, w);
      assert_true(ops->fma == (k == 0));
      check(ops);
    }
  }
  dpi_math_select(NULL);
}

static const double hard[] = {
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.5, 3.0, 1e-3, 1e-300, DBL_MIN, DBL_MIN / 2, -3e-310, 4.94e-324,
    1e16, -1e16, 1e150, 1.1e150, -1e200, 1e300, DBL_MAX, -DBL_MAX, INFINITY, -INFINITY, NAN, 709.5, -709.5, 710.2,
    711.0, 745.0, 22.0, -22.0, 1.5707963267948966,
    1e5, 0.9999999999999999, 1.0000000000000002, 4503599627370497.5, -7.0, 171.0,
};
#define NHARD DPI_COUNT(hard)

static double number(dpi_rng *rng) {
  if (dpi_rng_u64(rng) % 3 == 0) return hard[dpi_rng_u64(rng) % NHARD];
  return 6 * dpi_rng_uniform(rng) - 3;
}

/* one tape with other symbols in each lane, against the plain workspace */
static void check_tape(const dpi_lane_ops *ops, const dpi_tape *t, const double *sym, int nsym) {
  const int w = ops->width;
  size_t size = dpi_tape_lanes_size(t, w);
  double *reg = dpi_lanes_alloc(ctx, size), *plain = DPI_NEW_ARRAY(ctx, double, dpi_tape_nreg(t));
  double *out = DPI_NEW_ARRAY(ctx, double, t->nout);
  assert_true(reg != NULL && plain != NULL && out != NULL && (uintptr_t)reg % 64 == 0);
  dpi_tape_lanes_init(t, w, reg);
  dpi_tape_init(t, plain);
  for (int l = 0; l < w; l++) {
    const double *own = sym + (size_t)l * (size_t)nsym;
    dpi_tape_lanes_prologue(t, w, reg, l, own, plain);
    for (int s = 0; s < nsym; s++)
      if (dpi_tape_row(t, s) >= 0) reg[dpi_tape_row(t, s) * w + l] = own[s];
  }
  dpi_tape_lanes_run(t, ops, reg);
  for (int l = 0; l < w; l++) {
    const double *own = sym + (size_t)l * (size_t)nsym;
    dpi_tape_prologue(t, own, plain);
    dpi_tape_eval(t, own, plain, out);
    for (int i = 0; i < t->nout; i++)
      if (!same(reg[t->out[i] * w + l], out[i]))
        fail_msg("%s %s width %d lane %d output %d: %a, scalar %a", ops->isa, dp_arithmetic(), w, l, i,
                 reg[t->out[i] * w + l], out[i]);
  }
  dpi_lanes_free(ctx, reg, size);
  dpi_free(ctx, plain);
  dpi_free(ctx, out);
}

/* two vectors side by side, both and the second alone, against the plain workspace; the first stays as it is then */
static void check_spread(const dpi_lane_ops *ops, const dpi_tape *t, const double *sym, int nsym) {
  enum { OF = 2 };
  const int w = ops->width, wide = OF * w;
  const size_t size = dpi_tape_lanes_size(t, wide);
  double *reg = dpi_lanes_alloc(ctx, size), *plain = DPI_NEW_ARRAY(ctx, double, dpi_tape_nreg(t));
  double *out = DPI_NEW_ARRAY(ctx, double, t->nout);
  dpi_tape *tape[OF] = {NULL, NULL};
  assert_true(reg != NULL && plain != NULL && out != NULL);
  for (int copies = 1; copies <= OF; copies++) check_ok(dpi_tape_spread(t, OF, copies, &tape[copies - 1]));
  dpi_tape_init(t, plain);
  for (int k = OF - 1; k >= 0; k--) {
    dpi_tape_lanes_init(t, wide, reg);
    for (int l = 0; l < wide; l++) {
      const double *own = sym + (size_t)((3 * l + 1) % w) * (size_t)nsym;
      dpi_tape_lanes_prologue(t, wide, reg, l, own, plain);
      for (int s = 0; s < nsym; s++)
        if (dpi_tape_row(t, s) >= 0) reg[dpi_tape_row(t, s) * wide + l] = own[s];
    }
    dpi_tape_lanes_run(tape[k], ops, k == 0 ? reg + w : reg);
    for (int l = k == 0 ? w : 0; l < wide; l++) {
      const double *own = sym + (size_t)((3 * l + 1) % w) * (size_t)nsym;
      dpi_tape_prologue(t, own, plain);
      dpi_tape_eval(t, own, plain, out);
      for (int i = 0; i < t->nout; i++)
        if (!same(reg[t->out[i] * wide + l], out[i]))
          fail_msg("%s %s width 2 x %d, %d at once, lane %d output %d: %a, scalar %a", ops->isa, dp_arithmetic(), w,
                   k + 1, l, i, reg[t->out[i] * wide + l], out[i]);
    }
  }
  for (int k = 0; k < OF; k++) dpi_tape_destroy(tape[k]);
  dpi_lanes_free(ctx, reg, size);
  dpi_free(ctx, plain);
  dpi_free(ctx, out);
}

/* ---- each operation ---- */
static dpi_node any_op(dpi_graph *g, dpi_op op, dpi_node a, dpi_node b, dpi_node c, int power) {
  if (op == DPI_OP_POWI) return dpi_g_powi(g, a, power);
  if (op == DPI_OP_IF) return dpi_g_if(g, a, b, c);
  if (op == DPI_OP_FMA) return dpi_g_fma(g, a, b, c);
  return dpi_op_table[op].arity == 1 ? dpi_g_op1(g, op, a) : dpi_g_op2(g, op, a, b);
}

/* all operations of x, y, z, and the steps that only a tape has */
static int all_operations(dpi_graph *g, dpi_node *out) {
  dpi_node x = dpi_g_sym(g, 0), y = dpi_g_sym(g, 1), z = dpi_g_sym(g, 2);
  int n = 0;
  for (dpi_op op = DPI_OP_ADD; op < DPI_OP_COUNT; op++) out[n++] = any_op(g, op, x, y, z, 5);
  static const int power[] = {-64, -3, -2, -1, 2, 3, 4, 7, 33, 64};
  for (int i = 0; i < DPI_COUNT(power); i++) out[n++] = dpi_g_powi(g, x, power[i]);
  dpi_node xz = dpi_g_op2(g, DPI_OP_MUL, x, z), yy = dpi_g_op2(g, DPI_OP_MUL, y, y);
  dpi_node yz = dpi_g_op2(g, DPI_OP_MUL, y, z);
  out[n++] = dpi_g_op2(g, DPI_OP_ADD, xz, y);
  out[n++] = dpi_g_op2(g, DPI_OP_SUB, yy, x);
  out[n++] = dpi_g_op2(g, DPI_OP_SUB, x, yz);
  return n;
}

static void check_operations(const dpi_lane_ops *ops) {
  dpi_graph *g = NULL;
  dpi_tape *t = NULL;
  dpi_node out[DPI_OP_COUNT + 16];
  uint8_t fast[3] = {1, 1, 1};
  check_ok(dpi_graph_create(ctx, &g));
  int n = all_operations(g, out);
  check_ok(dpi_tape_create(ctx, g, out, n, fast, 3, &t));
  bool seen[DPI_STEP_COUNT] = {false};
  for (int i = 0; i < t->nbody; i++) seen[t->body[i].op] = true;
  for (int op = DPI_OP_ADD; op < DPI_STEP_END; op++) assert_true(seen[op]);
  double sym[DPI_LANES_MAX][3];
  for (int i = 0; i < NHARD; i++) {
    for (int j = 0; j < NHARD; j++) {
      for (int l = 0; l < DPI_LANES_MAX; l++) {
        sym[l][0] = hard[(i + (j % 3) * l) % NHARD];
        sym[l][1] = hard[(j + l) % NHARD];
        sym[l][2] = hard[(i * 7 + j * 3 + l) % NHARD];
      }
      check_tape(ops, t, &sym[0][0], 3);
    }
  }
  dpi_tape_destroy(t);
  dpi_graph_destroy(g);
}

static void each_operation_has_the_scalar_bytes(void **state) {
  (void)state;
  everywhere(check_operations);
}

/* the table of calls is what machine code uses: the same functions, one by one */
static void check_calls(const dpi_lane_ops *ops) {
  dpi_rng rng = dpi_rng_make(5, 1, 1);
  for (dpi_op op = DPI_OP_ADD; op < DPI_OP_COUNT; op++) {
    bool plain = op <= DPI_OP_NEG || op == DPI_OP_POWI || op == DPI_OP_SQRT || op == DPI_OP_ABS ||
                 (op >= DPI_OP_LT && op <= DPI_OP_FMA);
    assert_true(plain == (ops->call[op] == NULL));
    for (int i = 0; i < 500 && !plain; i++) {
      double a[DPI_LANES_MAX] __attribute__((aligned(64))), b[DPI_LANES_MAX] __attribute__((aligned(64)));
      double out[DPI_LANES_MAX] __attribute__((aligned(64)));
      for (int l = 0; l < ops->width; l++) a[l] = number(&rng), b[l] = number(&rng);
      ops->call[op](a, b, out);
      for (int l = 0; l < ops->width; l++) assert_true(same(out[l], dpi_op_eval(op, a[l], b[l], 0)));
      ops->call[op](a, b, a);
      for (int l = 0; l < ops->width; l++) assert_true(same(out[l], a[l]));
    }
  }
}

static void calls_have_the_scalar_bytes(void **state) {
  (void)state;
  everywhere(check_calls);
}

/* ---- random expressions ---- */
static dpi_node random_node(dpi_graph *g, dpi_rng *rng, const dpi_node *pool, int n) {
  static const dpi_op usual[] = {DPI_OP_ADD, DPI_OP_SUB, DPI_OP_MUL, DPI_OP_DIV, DPI_OP_FMA, DPI_OP_NEG};
  dpi_op op = dpi_rng_uniform(rng) < 0.4 ? usual[dpi_rng_u64(rng) % DPI_COUNT(usual)]
                                         : (dpi_op)(DPI_OP_ADD + dpi_rng_u64(rng) % (DPI_OP_COUNT - DPI_OP_ADD));
  dpi_node a[3];
  for (int k = 0; k < 3; k++) a[k] = pool[dpi_rng_u64(rng) % (unsigned)n];
  return any_op(g, op, a[0], a[1], a[2], (int)(dpi_rng_u64(rng) % 13) - 6);
}

static void random_tape(uint64_t seed, dpi_graph *g, dpi_tape **t, dpi_rng *rng) {
  dpi_node pool[200], out[24];
  int n = 0;
  uint8_t fast[NSYM];
  *rng = dpi_rng_make(seed, 1, 1);
  for (int s = 0; s < NSYM; s++) pool[n++] = dpi_g_sym(g, s);
  pool[n++] = dpi_g_const(g, 0.5);
  pool[n++] = dpi_g_const(g, 2.0);
  while (n < 200) {
    pool[n] = random_node(g, rng, n > 40 && dpi_rng_uniform(rng) < 0.5 ? pool + n - 30 : pool, n > 40 ? 30 : n);
    assert_true(pool[n] >= 0);
    n++;
  }
  for (int s = 0; s < NSYM; s++) fast[s] = dpi_rng_uniform(rng) < 0.6;
  for (int i = 0; i < 24; i++) out[i] = pool[200 - 1 - (int)(dpi_rng_u64(rng) % 120)];
  check_ok(dpi_tape_create(ctx, g, out, 24, fast, NSYM, t));
}

static void check_random(const dpi_lane_ops *ops) {
  for (uint64_t seed = 0; seed < 150; seed++) {
    dpi_graph *g = NULL;
    dpi_tape *t = NULL;
    dpi_rng rng;
    double sym[DPI_LANES_MAX * NSYM];
    check_ok(dpi_graph_create(ctx, &g));
    random_tape(seed, g, &t, &rng);
    for (int round = 0; round < 6; round++) {
      for (int i = 0; i < DPI_LANES_MAX * NSYM; i++) sym[i] = number(&rng);
      check_tape(ops, t, sym, NSYM);
      check_spread(ops, t, sym, NSYM);
    }
    dpi_tape_destroy(t);
    dpi_graph_destroy(g);
  }
}

static void random_expressions_have_the_scalar_bytes(void **state) {
  (void)state;
  everywhere(check_random);
}

/* ---- whole models ---- */
static const char *const models[] = {
    "A -> B; k1*A; B -> C; k2*B*C; C -> ; k3*C^2/(K + C^2); A=1; B=0; C=0.2; k1=0.04; k2=1e4; k3=3e7; K=0.5",
    "$S -> X; vmax*S^n/(km^n + S^n)*exp(-0.1*time); X -> Y; kd*X; S=2; X=0; Y=0; vmax=1.2; km=0.7; n=2.5; kd=0.3",
    "G' = piecewise(2, sin(time) > 0, 0) - p1*G*max(I, 0.1) + ln(1 + I); I' = tanh(G - 5) - 0.2*I; G=6; I=1; p1=0.03",
    "x' = y; y' = mu*(1 - x^2)*y - x + sqrt(abs(x)); x=2; y=0; mu=1000",
    ("-> R; a/(1 + (P/K)^h) - d*R; -> P; b*R - d*P; R=0; P=1; a=10; K=2; h=2; d=0.1; b=0.5; "
     "z := floor(P/3) + ceil(R); q' = -z*q; q=1"),
};

static void check_model(const dpi_lane_ops *ops, const char *text) {
  dp_model *m = read_sealed(text);
  dpi_system *sys = NULL;
  int active[64], nactive = 0;
  for (int i = 1; i < m->nsym; i++)
    if (m->sym[i].kind == DPI_SYM_PARAM && nactive < 64) active[nactive++] = i;
  check_ok(dpi_system_create(ctx, m, active, nactive, &sys));
  const dpi_tape *const tape[] = {sys->rhs, sys->full, sys->init};
  double *sym = DPI_NEW_ARRAY(ctx, double, DPI_LANES_MAX *m->nsym);
  dpi_rng rng = dpi_rng_make(3, 1, 1);
  for (int round = 0; round < 20; round++) {
    for (int i = 0; i < DPI_LANES_MAX * m->nsym; i++) {
      double v = m->sym[i % m->nsym].value;
      sym[i] = (v == v ? v : 1.0) * exp(2 * dpi_rng_uniform(&rng) - 1) + (round % 2 ? dpi_rng_uniform(&rng) : 0);
    }
    for (int k = 0; k < DPI_COUNT(tape); k++) {
      check_tape(ops, tape[k], sym, m->nsym);
      check_spread(ops, tape[k], sym, m->nsym);
    }
  }
  dpi_free(ctx, sym);
  dpi_system_destroy(sys);
  dp_model_destroy(m);
}

static void check_models(const dpi_lane_ops *ops) {
  for (int i = 0; i < DPI_COUNT(models); i++) check_model(ops, models[i]);
}

static void models_have_the_scalar_bytes(void **state) {
  (void)state;
  everywhere(check_models);
}

/* ---- attached code ---- */
enum { ROW_K = 0, ROW_TWO_K, ROW_X, ROW_OUT }; /* of the tape below; a mistake there fails the test */

static void fake_prologue(double *reg, const dpi_lane_ops *op) {
  assert_int_equal(op->width, 1);
  reg[ROW_TWO_K] = 1000 * reg[ROW_K];
}
static void fake_body(double *reg, const dpi_lane_ops *op) {
  const int w = op->width;
  for (int l = 0; l < w; l++) reg[ROW_OUT * w + l] = reg[ROW_TWO_K * w + l] - reg[ROW_X * w + l];
}

static void attached_code_is_run(void **state) {
  (void)state;
  dpi_graph *g = NULL;
  dpi_tape *t = NULL;
  check_ok(dpi_graph_create(ctx, &g));
  dpi_node k = dpi_g_sym(g, 1), x = dpi_g_sym(g, 2);
  dpi_node out = dpi_g_op2(g, DPI_OP_DIV, dpi_g_op2(g, DPI_OP_ADD, k, k), x);
  uint8_t fast[3] = {1, 0, 1};
  check_ok(dpi_tape_create(ctx, g, &out, 1, fast, 3, &t));
  assert_true(t->nreg == 4 && t->out[0] == ROW_OUT && dpi_tape_row(t, 2) == ROW_X && dpi_tape_row(t, 1) == -1);
  static const dpi_code both = {fake_prologue, fake_body}, body = {NULL, fake_body};
  double reg[4], value, sym[3] = {0, 3, 4};
  dpi_tape_init(t, reg);
  dpi_tape_prologue(t, sym, reg);
  dpi_tape_eval(t, sym, reg, &value);
  assert_true(value == 1.5);
  dpi_tape_attach(t, 1, &body);
  dpi_tape_prologue(t, sym, reg);
  dpi_tape_eval(t, sym, reg, &value);
  assert_true(value == 2);
  dpi_tape_attach(t, 1, &both);
  dpi_tape_prologue(t, sym, reg);
  assert_true(reg[dpi_tape_run(t, 0, sym + 1, reg)[0]] == 2996);
  dpi_tape_attach(t, 1, NULL);
  dpi_tape_prologue(t, sym, reg);
  assert_true(reg[dpi_tape_run(t, 0, sym + 1, reg)[0]] == 1.5);
  for (int w = 1; w <= 8; w *= 2) {
    const dpi_lane_ops *ops = dpi_lane_ops_find(w);
    if (ops == NULL) continue;
    double *lanes = dpi_lanes_alloc(ctx, dpi_tape_lanes_size(t, w));
    dpi_tape_lanes_init(t, w, lanes);
    dpi_tape_lanes_prologue(t, w, lanes, w - 1, sym, reg);
    lanes[ROW_X * w + w - 1] = 4;
    dpi_tape_lanes_run(t, ops, lanes);
    assert_true(lanes[ROW_OUT * w + w - 1] == 1.5);
    dpi_tape_attach(t, w, &body);
    dpi_tape_lanes_run(t, ops, lanes);
    assert_true(lanes[ROW_OUT * w + w - 1] == 2);
    dpi_tape_attach(t, w, NULL);
    dpi_lanes_free(ctx, lanes, dpi_tape_lanes_size(t, w));
  }
  dpi_tape_destroy(t);
  dpi_graph_destroy(g);
}

/* ---- which widths ---- */
static void widths_follow_the_processor(void **state) {
  (void)state;
  assert_non_null(dpi_lane_ops_find(1));
  assert_non_null(dpi_lane_ops_find(2));
  assert_null(dpi_lane_ops_find(3));
  assert_null(dpi_lane_ops_find(16));
  assert_null(dpi_lane_ops_find(-1));
  const dpi_lane_ops *widest = dpi_lane_ops_find(0);
  for (int w = widest->width * 2; w <= DPI_LANES_MAX; w *= 2) assert_null(dpi_lane_ops_find(w));
  assert_ptr_equal(widest, dpi_lane_ops_find(widest->width));
}

/* ---- DPI_OP_FMA ---- */
static double fma_value(dpi_graph *g, dpi_node n, const double *sym) {
  dpi_tape *t = NULL;
  uint8_t fast[3] = {1, 1, 1};
  double reg[16], value;
  check_ok(dpi_tape_create(ctx, g, &n, 1, fast, 3, &t));
  dpi_tape_init(t, reg);
  dpi_tape_prologue(t, sym, reg);
  dpi_tape_eval(t, sym, reg, &value);
  dpi_tape_destroy(t);
  return value;
}

static void fma_follows_the_arithmetic(void **state) {
  (void)state;
  dpi_graph *g = NULL;
  check_ok(dpi_graph_create(ctx, &g));
  double e = ldexp(1, -30), sym[3] = {1 + e, 1 - e, -1};
  dpi_node a = dpi_g_sym(g, 0), b = dpi_g_sym(g, 1), c = dpi_g_sym(g, 2);
  dpi_node of_symbols = dpi_g_fma(g, a, b, c);
  dpi_node of_numbers = dpi_g_fma(g, dpi_g_const(g, sym[0]), dpi_g_const(g, sym[1]), dpi_g_const(g, sym[2]));
  assert_int_equal(dpi_g_fma(g, b, a, c), of_symbols);
  static const char *const arithmetic[] = {"fma", "nofma"};
  for (int k = 0; k < 2; k++) {
    if (!dpi_math_select(arithmetic[k])) continue;
    double want = k == 0 ? -ldexp(1, -60) : 0.0;
    assert_true(fma_value(g, of_symbols, sym) == want);
    assert_true(fma_value(g, of_numbers, sym) == want);
  }
  dpi_math_select(NULL);
  dpi_graph_destroy(g);
}

static void fma_is_simplified_where_it_is_exact(void **state) {
  (void)state;
  dpi_graph *g = NULL;
  check_ok(dpi_graph_create(ctx, &g));
  dpi_node a = dpi_g_sym(g, 0), b = dpi_g_sym(g, 1), c = dpi_g_sym(g, 2);
  dpi_node zero = dpi_g_const(g, 0), one = dpi_g_const(g, 1), minus = dpi_g_const(g, -1);
  assert_int_equal(dpi_g_fma(g, zero, b, c), c);
  assert_int_equal(dpi_g_fma(g, a, zero, c), c);
  assert_int_equal(dpi_g_fma(g, a, b, zero), dpi_g_op2(g, DPI_OP_MUL, a, b));
  assert_int_equal(dpi_g_fma(g, one, b, c), dpi_g_op2(g, DPI_OP_ADD, b, c));
  assert_int_equal(dpi_g_fma(g, a, one, c), dpi_g_op2(g, DPI_OP_ADD, a, c));
  assert_int_equal(dpi_g_fma(g, minus, b, c), dpi_g_op2(g, DPI_OP_SUB, c, b));
  assert_int_equal(dpi_g_fma(g, a, minus, c), dpi_g_op2(g, DPI_OP_SUB, c, a));
  assert_int_equal(dpi_g_fma(g, dpi_g_const(g, 3), dpi_g_const(g, 4), dpi_g_const(g, 5)), dpi_g_const(g, 17));
  assert_int_equal(dpi_g_fma(g, DPI_NODE_NONE, b, c), DPI_NODE_NONE);
  assert_int_equal(dpi_g_fma(g, a, b, DPI_NODE_NONE), DPI_NODE_NONE);
  dpi_graph_destroy(g);
}

static void fma_is_differentiated_replaced_and_printed(void **state) {
  (void)state;
  dp_model *m = read_sealed("x=1.25;y=0.75;z=2.5");
  dpi_graph *g = m->graph;
  int x = sym_of(m, "x"), y = sym_of(m, "y"), z = sym_of(m, "z");
  dpi_node xx = dpi_g_op2(g, DPI_OP_MUL, dpi_g_sym(g, x), dpi_g_sym(g, x));
  dpi_node f = dpi_g_fma(g, xx, dpi_g_sym(g, y), dpi_g_op1(g, DPI_OP_SIN, dpi_g_sym(g, x)));
  double sym[8] = {0}, h = 1e-6, up, down;
  char buf[100];
  for (int i = 0; i < m->nsym; i++) sym[i] = m->sym[i].value;
  assert_string_equal(printed(m, f, buf, sizeof buf), "fma(x*x, y, sin(x))");
  double slope = oracle(g, dpi_g_diff(g, f, x), sym);
  sym[x] += h, up = oracle(g, f, sym);
  sym[x] -= 2 * h, down = oracle(g, f, sym);
  assert_true(fabs(slope - (up - down) / (2 * h)) < 1e-8);
  assert_int_equal(dpi_g_diff(g, f, z), dpi_g_const(g, 0));
  assert_int_equal(dpi_g_diff(g, f, y), xx);
  dpi_node to[8];
  for (int i = 0; i < 8; i++) to[i] = DPI_NODE_NONE;
  to[y] = dpi_g_const(g, 1);
  assert_string_equal(printed(m, dpi_g_subst(g, f, to, m->nsym), buf, sizeof buf), "x*x + sin(x)");
  to[y] = dpi_g_sym(g, z);
  assert_string_equal(printed(m, dpi_g_subst(g, f, to, m->nsym), buf, sizeof buf), "fma(x*x, z, sin(x))");
  dp_model_destroy(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_operation_has_the_scalar_bytes),
      cmocka_unit_test(calls_have_the_scalar_bytes),
      cmocka_unit_test(random_expressions_have_the_scalar_bytes),
      cmocka_unit_test(models_have_the_scalar_bytes),
      cmocka_unit_test(attached_code_is_run),
      cmocka_unit_test(widths_follow_the_processor),
      cmocka_unit_test(fma_follows_the_arithmetic),
      cmocka_unit_test(fma_is_simplified_where_it_is_exact),
      cmocka_unit_test(fma_is_differentiated_replaced_and_printed),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
