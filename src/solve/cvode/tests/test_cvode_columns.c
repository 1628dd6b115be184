/* test_cvode_columns.c - vectors of all sensitivities and solves for them, by each instruction set that this processor
 * has, beside the library's own vectors and solvers, column by column: the same bytes. The corrector without iteration
 * beside the one that iterates: to the tolerance, and closed forms of a chain. */
#include <nvector/nvector_serial.h>
#include <sunlinsol/sunlinsol_dense.h>
#include <sunmatrix/sunmatrix_dense.h>
#include <sunmatrix/sunmatrix_sparse.h>

#include "base/tests/failing_memory.h"
#include "num/num.h"
#include "solve/cvode/cvode_corrector.h"
#include "solve/tests/solve_rig.h"

/* as in sunlinsol_klu.h, which wants KLU's own header */
SUNLinearSolver SUNLinSol_KLU(N_Vector y, SUNMatrix a, SUNContext sun);

enum { ROWS = 61, MOST = 77, VECTORS = 5, OPERATIONS = 200 };

/* ---- a bench: one family, the library's context, random numbers ---- */

typedef struct bench {
  dp_ctx *ctx;
  SUNContext sun;
  dpi_columns family;
  dpi_rng rng;
} bench;

static void bench_init(bench *b, int most, const dpi_columns_kernels *kernels) {
  const dp_ctx_def def = dp_ctx_def_default();
  *b = (bench){.rng = dpi_rng_make(20, 1, 1)};
  assert_int_equal(dp_ctx_create(&def, &b->ctx), DP_OK);
  assert_int_equal(SUNContext_Create(NULL, &b->sun), 0);
  assert_int_equal(dpi_columns_init(b->ctx, ROWS, most, &b->family), DP_OK);
  b->family.kernels = kernels;
}

static void bench_drop(bench *b) {
  dpi_columns_release(&b->family);
  SUNContext_Free(&b->sun);
  assert_int_equal(dpi_alloc_live(b->ctx), 0);
  dp_ctx_destroy(b->ctx);
}

static double number(bench *b) { return 4 * dpi_rng_uniform(&b->rng) - 2; }
static int below(bench *b, int n) { return (int)(dpi_rng_uniform(&b->rng) * n); }

/* Instruction sets this processor has; the plain one first. */
static int kernel_sets(const dpi_columns_kernels **out) {
  int n = 0;
  out[n++] = &dpi_columns_base;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx")) out[n++] = &dpi_columns_avx;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) out[n++] = &dpi_columns_avx512;
#endif
  return n;
}

/* ---- vectors ---- */

/* A vector of columns and the library's vectors that it must equal. */
typedef struct both {
  N_Vector all, one[MOST];
  int nc;
} both;

static both both_new(bench *b, int nc) {
  both v = {.all = dpi_columns_new(&b->family, b->sun, nc), .nc = nc};
  assert_non_null(v.all);
  double *x = dpi_columns_begin(v.all);
  for (int c = 0; c < nc; c++) {
    assert_non_null(v.one[c] = N_VNew_Serial(ROWS, b->sun));
    for (int i = 0; i < ROWS; i++) NV_Ith_S(v.one[c], i) = x[i * nc + c] = number(b);
  }
  return v;
}

static void both_drop(both *v) {
  N_VDestroy(v->all);
  for (int c = 0; c < v->nc; c++) N_VDestroy(v->one[c]);
}

static void assert_same(both *v) {
  const double *x = dpi_columns_data(v->all);
  for (int c = 0; c < v->nc; c++)
    for (int i = 0; i < ROWS; i++) assert_memory_equal(&NV_Ith_S(v->one[c], i), &x[i * v->nc + c], sizeof *x);
}

/* One random operation on both. */
static void operate(bench *b, both *v) {
  static const double special[] = {1, -1, 0.5, -0.5, 0.3, 1.7};
  const double a = special[below(b, 6)], s = special[below(b, 6)];
  both *x = &v[below(b, VECTORS)], *y = &v[below(b, VECTORS)], *z = &v[below(b, VECTORS)];
  const int kind = below(b, 8);
  for (int c = -1; c < z->nc; c++) {
    N_Vector p = c < 0 ? x->all : x->one[c], q = c < 0 ? y->all : y->one[c], r = c < 0 ? z->all : z->one[c];
    switch (kind) {
      case 0:
        N_VLinearSum(a, p, s, q, r);
        break;
      case 1:
        N_VScale(a, p, r);
        break;
      case 2:
        N_VProd(p, q, r);
        break;
      case 3:
        N_VDiv(p, q, r);
        break;
      case 4:
        N_VAbs(p, r);
        break;
      case 5:
        N_VInv(p, r);
        break;
      case 6:
        N_VAddConst(p, a, r);
        break;
      default:
        N_VConst(a, r);
        break;
    }
  }
}

static void same_vectors(const dpi_columns_kernels *kernels, int nc) {
  bench b;
  both v[VECTORS];
  bench_init(&b, MOST, kernels);
  for (int i = 0; i < VECTORS; i++) v[i] = both_new(&b, nc);
  for (int k = 0; k < OPERATIONS; k++) {
    operate(&b, v);
    if (k % 70 == 69) /* so many wait that the queue overflows on the way */
      for (int i = 0; i < VECTORS; i++) assert_same(&v[i]);
  }
  for (int i = 0; i < VECTORS; i++) { /* fresh numbers: those above may have run away */
    both_drop(&v[i]);
    v[i] = both_new(&b, nc);
  }
  double norm = 0, least = INFINITY, most = 0;
  for (int c = 0; c < nc; c++) {
    norm = fmax(norm, N_VWrmsNorm(v[0].one[c], v[1].one[c]));
    least = fmin(least, N_VMin(v[0].one[c]));
    most = fmax(most, N_VMaxNorm(v[0].one[c]));
  }
  assert_true(norm == N_VWrmsNorm(v[0].all, v[1].all));
  assert_true(least == N_VMin(v[0].all));
  assert_true(most == N_VMaxNorm(v[0].all));
  for (int i = 0; i < VECTORS; i++) both_drop(&v[i]);
  bench_drop(&b);
}

static void vectors(void **state) {
  (void)state;
  static const int columns[] = {1, 2, 7, 8, 16, 33, MOST};
  const dpi_columns_kernels *set[3];
  const int n = kernel_sets(set);
  for (int i = 0; i < n; i++)
    for (int k = 0; k < (int)(sizeof columns / sizeof *columns); k++) same_vectors(set[i], columns[k]);
}

/* A vector takes the shape of what comes in, has its own again when set or begun anew; lent numbers are used. */
static void shapes(void **state) {
  (void)state;
  bench b;
  double lent[ROWS * 3];
  bench_init(&b, MOST, &dpi_columns_base);
  N_Vector narrow = dpi_columns_new(&b.family, b.sun, 1), wide = dpi_columns_new(&b.family, b.sun, 3);
  N_VConst(2.5, wide);
  N_VAbs(wide, narrow);
  assert_int_equal(dpi_columns_count(narrow), 3);
  N_VScale(2.0, narrow, narrow);
  for (int i = 0; i < ROWS * 3; i++) assert_true(dpi_columns_data(narrow)[i] == 5.0);
  N_VScale(2.0, wide, narrow); /* waits, and must not come after what follows */
  double *x = dpi_columns_begin(narrow);
  assert_int_equal(dpi_columns_count(narrow), 1);
  for (int i = 0; i < ROWS; i++) x[i] = 1.0;
  N_VAddConst(narrow, 1.0, narrow);
  for (int i = 0; i < ROWS; i++) assert_true(dpi_columns_data(narrow)[i] == 2.0);
  N_VInv(wide, narrow);
  N_VConst(3.0, narrow);
  assert_int_equal(N_VGetLength(narrow), ROWS);
  dpi_columns_lend(wide, lent);
  N_VConst(7.0, wide);
  dpi_columns_lend(wide, NULL);
  for (int i = 0; i < ROWS * 3; i++) assert_true(lent[i] == 7.0);
  assert_true(dpi_columns_data(wide)[0] == 2.5);
  N_VDestroy(narrow);
  N_VDestroy(wide);
  bench_drop(&b);
}

/* ---- J S ---- */

static void products(void **state) {
  (void)state;
  static const int columns[] = {1, 3, 8, 31, 32, MOST};
  enum { ENTRIES = 300 };
  const dpi_columns_kernels *set[3];
  const int n = kernel_sets(set);
  static double jac[ENTRIES], in[ROWS * MOST], out[ROWS * MOST], want[ROWS * MOST];
  static int first[ROWS + 1], entry[ENTRIES], col[ENTRIES];
  bench b;
  bench_init(&b, 1, set[0]);
  for (int k = 0, r = 0; k < ENTRIES; k++) { /* row 5 is empty */
    while (k >= (r + 1) * ENTRIES / ROWS) first[++r] = k;
    entry[k] = ENTRIES - 1 - k;
    col[k] = below(&b, ROWS);
    jac[k] = number(&b);
  }
  first[ROWS] = ENTRIES;
  first[5] = first[6];
  const dpi_columns_rows rows = {.n = ROWS, .first = first, .entry = entry, .col = col};
  for (int i = 0; i < n; i++)
    for (int k = 0; k < (int)(sizeof columns / sizeof *columns); k++) {
      const int nc = columns[k];
      for (int j = 0; j < ROWS * nc; j++) {
        in[j] = number(&b);
        out[j] = want[j] = number(&b);
      }
      for (int r = 0; r < ROWS; r++)
        for (int e = first[r]; e < first[r + 1]; e++)
          for (int c = 0; c < nc; c++) want[r * nc + c] += jac[entry[e]] * in[col[e] * nc + c];
      set[i]->product(&rows, nc, jac, in, out);
      assert_memory_equal(out, want, (size_t)(ROWS * nc) * sizeof *out);
    }
  bench_drop(&b);
}

/* ---- solves ---- */

/* A random sparse matrix, `coupled`: how many entries beside the diagonal each column has; 0: several blocks. */
static SUNMatrix sparse_matrix(bench *b, int coupled) {
  static double a[ROWS][ROWS];
  memset(a, 0, sizeof a);
  for (int j = 0; j < ROWS; j++) {
    a[j][j] = 1 + number(b) * 0.1;
    if (coupled == 0 && j > 0) a[below(b, j)][j] = number(b);
    for (int e = 0; e < coupled; e++) a[below(b, ROWS)][j] += 3 * number(b);
  }
  SUNMatrix m = SUNSparseMatrix(ROWS, ROWS, ROWS * (coupled + 2), CSC_MAT, b->sun);
  assert_non_null(m);
  int k = 0;
  for (int j = 0; j < ROWS; j++) {
    SM_INDEXPTRS_S(m)[j] = k;
    for (int i = 0; i < ROWS; i++) {
      if (a[i][j] == 0) continue;
      SM_INDEXVALS_S(m)[k] = i;
      SM_DATA_S(m)[k++] = a[i][j];
    }
  }
  SM_INDEXPTRS_S(m)[ROWS] = k;
  return m;
}

static SUNMatrix dense_matrix(bench *b) {
  SUNMatrix m = SUNDenseMatrix(ROWS, ROWS, b->sun);
  assert_non_null(m);
  for (int i = 0; i < ROWS * ROWS; i++) SM_DATA_D(m)[i] = number(b);
  return m;
}

/* b of columns against the inner solver, one right-hand side at a time. */
static void assert_solves(bench *b, SUNLinearSolver s, SUNLinearSolver inner, SUNMatrix m, int nc) {
  both rhs = both_new(b, nc);
  N_Vector x = dpi_columns_new(&b->family, b->sun, 1), y = N_VNew_Serial(ROWS, b->sun);
  assert_int_equal(SUNLinSolSolve(s, m, x, rhs.all, 0), SUNLS_SUCCESS);
  assert_int_equal(dpi_columns_count(x), nc);
  for (int c = 0; c < nc; c++) {
    assert_int_equal(SUNLinSolSolve(inner, m, y, rhs.one[c], 0), SUNLS_SUCCESS);
    for (int i = 0; i < ROWS; i++)
      assert_memory_equal(&dpi_columns_data(x)[i * nc + c], &NV_Ith_S(y, i), sizeof(double));
  }
  N_VDestroy(x);
  N_VDestroy(y);
  both_drop(&rhs);
}

static void same_solutions(const dpi_columns_kernels *kernels, int coupled) {
  static const int columns[] = {1, 2, 8, 17, 32, MOST};
  const bool sparse = coupled >= 0;
  bench b;
  bench_init(&b, MOST, kernels);
  SUNMatrix m = sparse ? sparse_matrix(&b, coupled) : dense_matrix(&b);
  N_Vector y = N_VNew_Serial(ROWS, b.sun);
  SUNLinearSolver inner = sparse ? SUNLinSol_KLU(y, m, b.sun) : SUNLinSol_Dense(y, m, b.sun);
  SUNLinearSolver s = dpi_corrector_linear(&b.family, inner, sparse, b.sun);
  assert_non_null(s);
  assert_int_equal(SUNLinSolInitialize(s), SUNLS_SUCCESS);
  for (int again = 0; again < 3; again++) { /* other values, the same pattern: factors must be taken anew */
    assert_int_equal(SUNLinSolSetup(s, m), SUNLS_SUCCESS);
    for (int k = 0; k < (int)(sizeof columns / sizeof *columns); k++) assert_solves(&b, s, inner, m, columns[k]);
    double *value = sparse ? SM_DATA_S(m) : SM_DATA_D(m);
    const int n = sparse ? (int)SM_INDEXPTRS_S(m)[ROWS] : ROWS * ROWS;
    for (int i = 0; i < n; i++) value[i] *= 1 + 0.3 * number(&b);
  }
  SUNLinSolFree(s);
  SUNLinSolFree(inner);
  SUNMatDestroy(m);
  N_VDestroy(y);
  bench_drop(&b);
}

static void solutions(void **state) {
  (void)state;
  const dpi_columns_kernels *set[3];
  const int n = kernel_sets(set);
  for (int i = 0; i < n; i++)
    for (int coupled = -1; coupled < 3; coupled++) same_solutions(set[i], coupled);
}

/* ---- the corrector ---- */

enum { CHAIN = 64, KEPT = 8 }; /* states: sparse from 21 on */

/* x0 -> x1 -> ..., each with its own rate; what comes in at the front is made at kin. */
static void chain_text(char *to, size_t size) {
  size_t at = (size_t)snprintf(to, size, "model c()\n  x0' = kin - k0*x0 - q*x0^2\n");
  for (int i = 1; i < CHAIN; i++)
    at += (size_t)snprintf(to + at, size - at, "  x%d' = k%d*x%d - k%d*x%d\n", i, i - 1, i - 1, i, i);
  at += (size_t)snprintf(to + at, size - at, "  kin = 0; q = 0\n");
  for (int i = 0; i < CHAIN; i++)
    at += (size_t)snprintf(to + at, size - at, "  x%d = %d; k%d = %.17g\n", i, i == 0, i, i < 8 ? 1.0 : 1.0 + i);
  at += (size_t)snprintf(to + at, size - at, "end\n");
  assert_true(at < size);
}

/* S at t by one solver that carries all directions, or by one for each of them; the latter iterates. */
static void go(rig *r, int ndir, const double *seed, double rtol, double t, double *sens) {
  dpi_solver *s = rig_solver(r, "cvode", rtol, 1e-14);
  double x0[CHAIN] = {1.0};
  rig_must(r, s->ops->bind(s, r->sym, seed, ndir));
  assert_int_equal(s->ops->start(s, 0.0, x0, NULL), DPI_SOLVE_OK);
  while (s->t_now < t) assert_int_equal(s->ops->step(s, t), DPI_SOLVE_OK);
  memcpy(sens, s->sens_now, (size_t)(CHAIN * ndir) * sizeof *sens);
  dpi_solver_destroy(s);
}

/* Without the square the first state is exp(-k0 t): its derivative by k0 is -t exp(-k0 t), by kin
 * (1 - exp(-k0 t)) / k0, and no other rate moves it. All directions, corrected at once, beside each alone, iterated
 * with. */
static void corrector(void **state) {
  (void)state;
  static char text[8192];
  static double all[CHAIN * KEPT], alone[CHAIN], seed[KEPT * KEPT];
  chain_text(text, sizeof text);
  rig r = rig_make(text, "k0 k1 k2 k3 k4 k5 kin q");
  assert_int_equal(r.nactive, KEPT);
  assert_true((int)KEPT >= (int)DPI_CORRECTOR_LEAST && (int)CHAIN >= (int)DPI_CORRECTOR_STATES);
  for (int tight = 0; tight < 2; tight++) {
    const double rtol = tight ? 1e-10 : 1e-6, t = 3.0;
    go(&r, KEPT, r.seed, rtol, t, all);
    assert_true(fabs(all[0] + t * exp(-t)) < 10 * rtol);
    assert_true(fabs(all[6] - (1 - exp(-t))) < 10 * rtol);
    assert_true(all[1] == 0);
    for (int d = 0; d < KEPT; d++) {
      for (int a = 0; a < KEPT; a++) seed[a] = a == d;
      go(&r, 1, seed, rtol, t, alone);
      double size = 0;
      for (int i = 0; i < CHAIN; i++) size = fmax(size, fabs(alone[i]));
      for (int i = 0; i < CHAIN; i++) assert_true(fabs(all[i * KEPT + d] - alone[i]) < 10 * rtol * size);
    }
  }
  rig_drop(&r);
}

/* Memory that ends while vectors grow, or before the first step, is named, and the solver goes on when there is some
 * again. */
static void memory_ends(void **state) {
  (void)state;
  static char text[8192];
  static double want[CHAIN * KEPT];
  chain_text(text, sizeof text);
  rig r = rig_make(text, "k0 k1 k2 k3 k4 k5 kin q");
  go(&r, KEPT, r.seed, 1e-6, 1.0, want);
  bool done = false;
  for (int n = 0; !done; n++) {
    failing_memory memory = {0};
    dp_ctx *ctx = failing_context(&memory);
    dpi_solve_opts o = dpi_solve_opts_default();
    dpi_solver *s = NULL;
    double x0[CHAIN] = {1.0};
    o.rtol = 1e-6;
    o.atol = 1e-14;
    assert_int_equal(dpi_solver_create(ctx, "cvode", r.sys, &o, KEPT, &s), DP_OK);
    failing_stays(&memory, n);
    dpi_solve_outcome out = DPI_SOLVE_MEMORY;
    if (s->ops->bind(s, r.sym, r.seed, KEPT) == DP_OK) {
      out = s->ops->start(s, 0.0, x0, NULL);
      while (out == DPI_SOLVE_OK && s->t_now < 1.0) out = s->ops->step(s, 1.0);
      done = out == DPI_SOLVE_OK;
      if (!done) assert_int_equal(out, DPI_SOLVE_MEMORY);
    }
    failing_never(&memory);
    rig_must(&r, s->ops->bind(s, r.sym, r.seed, KEPT));
    assert_int_equal(s->ops->start(s, 0.0, x0, NULL), DPI_SOLVE_OK);
    while (s->t_now < 1.0) assert_int_equal(s->ops->step(s, 1.0), DPI_SOLVE_OK);
    assert_memory_equal(s->sens_now, want, sizeof want);
    dpi_solver_destroy(s);
    assert_int_equal(dpi_alloc_live(ctx), 0);
    dp_ctx_destroy(ctx);
    assert_true(n < 300);
  }
  rig_drop(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(vectors),   cmocka_unit_test(shapes),    cmocka_unit_test(products),
      cmocka_unit_test(solutions), cmocka_unit_test(corrector), cmocka_unit_test(memory_ends),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
