/* test_lane_lu.c - sparse elimination in a graph against dense elimination with pivoting, on random patterns; what it
 * says of pivots that are too small. */
#include "solve/lane_step_impl.h"
#include "solve_rig.h"

enum { MOST = 24 };

typedef struct random_state {
  uint64_t s;
} random_state;
static double uniform(random_state *r) {
  r->s = r->s * 6364136223846793005u + 1442695040888963407u;
  return (double)(r->s >> 11) / 9007199254740992.0;
}

/* a x = b by Gauss with partial pivoting */
static void solve_dense(int n, double *a, double *b) {
  for (int k = 0; k < n; k++) {
    int p = k;
    for (int i = k; i < n; i++)
      if (fabs(a[i * MOST + k]) > fabs(a[p * MOST + k])) p = i;
    for (int j = 0; j < n; j++) {
      double t = a[k * MOST + j];
      a[k * MOST + j] = a[p * MOST + j];
      a[p * MOST + j] = t;
    }
    double t = b[k];
    b[k] = b[p];
    b[p] = t;
    for (int i = k + 1; i < n; i++) {
      double m = a[i * MOST + k] / a[k * MOST + k];
      for (int j = k; j < n; j++) a[i * MOST + j] -= m * a[k * MOST + j];
      b[i] -= m * b[k];
    }
  }
  for (int i = n - 1; i >= 0; i--) {
    for (int j = i + 1; j < n; j++) b[i] -= a[i * MOST + j] * b[j];
    b[i] /= a[i * MOST + i];
  }
}

typedef struct system {
  dpi_graph *g;
  dpi_arena arena;
  dpi_lane_lu lu;
  int n, nsym;
  double value[MOST * MOST + MOST]; /* elements, then right-hand side */
  dpi_node out[MOST + 1];           /* solution, growth */
} lu_system;

/* elements of a with value 0 are left out of the pattern */
static dp_status build(dp_ctx *ctx, lu_system *s, int n) {
  s->n = n;
  s->nsym = MOST * MOST + MOST;
  dpi_arena_init(&s->arena, ctx);
  DP_TRY(dpi_graph_create(ctx, &s->g));
  dpi_node *a = DPI_ARENA_ARRAY(&s->arena, dpi_node, n * n);
  if (a == NULL) return DP_ERR_MEMORY;
  for (int i = 0; i < n; i++) {
    s->out[i] = dpi_g_sym(s->g, MOST * MOST + i);
    if (s->out[i] == DPI_NODE_NONE) return DP_ERR_MEMORY;
    for (int j = 0; j < n; j++) {
      bool there = s->value[i * MOST + j] != 0.0;
      a[i * n + j] = there ? dpi_g_sym(s->g, i * MOST + j) : DPI_NODE_NONE;
      if (there && a[i * n + j] == DPI_NODE_NONE) return DP_ERR_MEMORY;
    }
  }
  DP_TRY(dpi_lane_lu_factor(&s->arena, s->g, n, a, &s->lu));
  dpi_lane_lu_solve(s->g, &s->lu, s->out);
  s->out[n] = s->lu.growth == DPI_NODE_NONE ? dpi_g_const(s->g, 0.0) : s->lu.growth;
  for (int i = 0; i <= n; i++)
    if (s->out[i] == DPI_NODE_NONE) return DP_ERR_MEMORY;
  return DP_OK;
}

static void evaluate(dp_ctx *ctx, const lu_system *s, double *out) {
  uint8_t fast[MOST * MOST + MOST];
  memset(fast, 1, sizeof fast);
  dpi_tape *tape = NULL;
  assert_int_equal(dpi_tape_create(ctx, s->g, s->out, s->n + 1, fast, s->nsym, &tape), DP_OK);
  double *reg = calloc((size_t)dpi_tape_nreg(tape), sizeof *reg);
  assert_non_null(reg);
  dpi_tape_init(tape, reg);
  dpi_tape_prologue(tape, s->value, reg);
  dpi_tape_eval(tape, s->value, reg, out);
  free(reg);
  dpi_tape_destroy(tape);
}

static void drop(lu_system *s) {
  dpi_graph_destroy(s->g);
  dpi_arena_release(&s->arena);
}

static dp_ctx *make_ctx(void) {
  dp_ctx *ctx = NULL;
  dp_ctx_def def = dp_ctx_def_default();
  assert_int_equal(dp_ctx_create(&def, &ctx), DP_OK);
  return ctx;
}

static void fill(lu_system *s, random_state *r, int n, double density) {
  memset(s, 0, sizeof *s);
  for (int i = 0; i < n; i++) {
    double sum = 0.0;
    for (int j = 0; j < n; j++) {
      if (i == j || uniform(r) > density) continue;
      s->value[i * MOST + j] = 2.0 * uniform(r) - 1.0;
      sum += fabs(s->value[i * MOST + j]);
    }
    s->value[i * MOST + i] = (uniform(r) < 0.5 ? -1.0 : 1.0) * (sum + 0.1 + uniform(r));
    s->value[MOST * MOST + i] = 2.0 * uniform(r) - 1.0;
  }
}

static void test_random(void **state) {
  (void)state;
  dp_ctx *ctx = make_ctx();
  random_state r = {7};
  static lu_system s;
  for (int trial = 0; trial < 60; trial++) {
    int n = 1 + trial % MOST;
    fill(&s, &r, n, 0.05 + 0.5 * uniform(&r));
    assert_int_equal(build(ctx, &s, n), DP_OK);
    double out[MOST + 1], a[MOST * MOST], b[MOST];
    evaluate(ctx, &s, out);
    memcpy(a, s.value, sizeof a);
    for (int i = 0; i < n; i++) b[i] = -s.value[MOST * MOST + i];
    solve_dense(n, a, b);
    for (int i = 0; i < n; i++) rig_near("x", n, out[i], b[i], 1e-11, 1e-12);
    assert_true(out[n] < 3.0);
    drop(&s);
  }
  assert_int_equal(dpi_alloc_live(ctx), 0);
  dp_ctx_destroy(ctx);
}

/* an arrow keeps its pattern only when its point is eliminated last */
static void test_order(void **state) {
  (void)state;
  dp_ctx *ctx = make_ctx();
  static lu_system s;
  memset(&s, 0, sizeof s);
  for (int i = 0; i < 20; i++) {
    s.value[i] = s.value[i * MOST] = 0.1;
    s.value[i * MOST + i] = 4.0;
    s.value[MOST * MOST + i] = 1.0;
  }
  assert_int_equal(build(ctx, &s, 20), DP_OK);
  assert_int_equal(s.lu.nnz, 2 * 19);
  drop(&s);
  dp_ctx_destroy(ctx);
}

/* [tiny 1; 1 1]: the first pivot takes all digits of the second; scaling rows and columns does not hide it */
static void test_growth(void **state) {
  (void)state;
  dp_ctx *ctx = make_ctx();
  static lu_system s;
  static const double scale[] = {1.0, 1e-6, 1e6};
  for (int k = 0; k < 3; k++) {
    memset(&s, 0, sizeof s);
    s.value[0] = 1e-12;
    s.value[1] = s.value[MOST] = scale[k];
    s.value[MOST + 1] = scale[k] * scale[k];
    s.value[MOST * MOST] = 1.0;
    assert_int_equal(build(ctx, &s, 2), DP_OK);
    double out[3];
    evaluate(ctx, &s, out);
    rig_near("growth", k, out[2], 1e12, 1e-3, 0.0);
    assert_true(out[2] > DPI_LANE_LOST);
    drop(&s);
  }
  dp_ctx_destroy(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_random),
      cmocka_unit_test(test_order),
      cmocka_unit_test(test_growth),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
