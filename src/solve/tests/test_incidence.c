/* test_incidence.c - products and exponentials by each instruction set that this processor has, beside the plain one: the same bytes.
 * The plain one against what products must be: exp((s + t) M) = exp(s M) exp(t M), and derivatives by differences. */
#include "num/num.h"
#include "solve/linear/incidence.h"
#include "solve_rig.h"

enum { MOST = 7, BLOCKS = 5, ENTRIES = MOST * MOST, MANY = ENTRIES * 4 * BLOCKS };

/* ---- patterns: who is fed by whom ---- */

typedef struct edges {
  const char *name;
  int n;
  const char *from, *to; /* states as digits */
} edges;
static const edges patterns[] = {
    {"one state", 1, "", ""},
    {"a chain into an absorbing end", 4, "012", "123"},
    {"everything from everything", 6, "0123450", "1234503"},
    {"depot, centre and periphery, urine", 4, "0112", "1213"},
    {"two cycles, one feeds the other", 5, "01233", "10342"},
    {"unconnected parts", 7, "01346", "10435"},
};

/* ---- the work: one block of memory a matrix, so that a write beyond an end is found ---- */

typedef struct bench {
  dp_ctx *ctx;
  dpi_incidence p;
  dpi_expm_work work, inner;
  double *block[32];
  int nblock;
} bench;

static double *take(bench *b, size_t n) {
  double *v = dpi_alloc(b->ctx, n * sizeof *v);
  assert_non_null(v);
  memset(v, 0, n * sizeof *v);
  assert_true(b->nblock < 32);
  return b->block[b->nblock++] = v;
}

static void take_work(bench *b, dpi_expm_work *w, int directions) {
  size_t nnz = (size_t)b->p.nnz;
  for (int i = 0; i < 6; i++) {
    w->x[i] = take(b, nnz);
    w->dx[i] = take(b, nnz * (size_t)directions + 1);
  }
}

static void bench_init(bench *b, const edges *e, int blocks) {
  uint8_t reach[ENTRIES] = {0};
  *b = (bench){0};
  const dp_ctx_def def = dp_ctx_def_default();
  assert_int_equal(dp_ctx_create(&def, &b->ctx), DP_OK);
  for (size_t k = 0; k < strlen(e->from); k++) reach[(e->to[k] - '0') * e->n + (e->from[k] - '0')] = 1;
  assert_int_equal(dpi_incidence_init(b->ctx, e->n, reach, &b->p), DP_OK);
  take_work(b, &b->work, 4 * blocks);
  take_work(b, &b->inner, 4 * blocks);
  size_t nnz = (size_t)b->p.nnz;
  b->work.m = take(b, nnz);
  b->work.e = take(b, nnz);
  b->work.dm = take(b, nnz * 4 * (size_t)blocks + 1);
  b->work.de = take(b, nnz * 4 * (size_t)blocks + 1);
  b->work.inner = &b->inner;
}

static void bench_release(bench *b) {
  for (int i = 0; i < b->nblock; i++) dpi_free(b->ctx, b->block[i]);
  dpi_incidence_release(b->ctx, &b->p);
  dp_ctx_destroy(b->ctx);
}

/* ---- matrices ---- */

static uint64_t seed;
static double uniform(void) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (double)(seed >> 11) / 9007199254740992.0;
}

/* Rates over four orders of magnitude; metzler: what leaves a state is on its diagonal, else signs as they come. */
static void fill(const dpi_incidence *p, bool metzler, double *m, double *dm, int nl) {
  for (int c = 0; c < p->nnz; c++) {
    m[c] = dpi_m_exp(9.2 * uniform() - 6);
    if (!metzler && uniform() < 0.5) m[c] = -m[c];
  }
  for (int i = 0; i < p->n && metzler; i++) {
    double left = uniform();
    for (int j = 0; j < p->n; j++)
      if (j != i && p->at[j * p->n + i] >= 0) left += m[p->at[j * p->n + i]];
    m[p->diag[i]] = i == p->n - 1 ? 0 : -left;
  }
  for (int k = 0; k < p->nnz * nl; k++) dm[k] = 2 * uniform() - 1;
}

/* ---- the sets ---- */

typedef struct set {
  const char *name;
  const dpi_incidence_ops *ops;
  bool here;
} set;

static int sets(set out[3]) {
  int n = 0;
  out[n++] = (set){"base", &dpi_incidence_base, true};
#if defined(__x86_64__)
  out[n++] = (set){"avx", &dpi_incidence_avx, __builtin_cpu_supports("avx")};
  out[n++] = (set){"avx512", &dpi_incidence_avx512, __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")};
#endif
  return n;
}

typedef struct result {
  double c[ENTRIES], dc[MANY], e[ENTRIES], de[MANY];
  bool finite;
} result;

/* Everything by one set. */
static void compute(bench *b, const dpi_incidence_ops *ops, int blocks, bool metzler, double h, const double *m, const double *dm,
                    result *r) {
  memset(r, 0, sizeof *r);
  b->p.ops = ops;
  dpi_incidence_multiply(&b->p, blocks, m, dm, m, dm, r->c, r->dc);
  r->finite = dpi_incidence_expm(&b->p, blocks, m, dm, metzler, h, r->e, r->de, &b->work);
}

static void all_sets_give_the_same_bytes(void **state) {
  (void)state;
  static const double step[] = {1e-6, 3e-3, 0.07, 1, 40, 3e3, 1e9};
  static double m[ENTRIES], dm[MANY];
  static result plain, other;
  set list[3];
  int nset = sets(list), compared = 0, infinite = 0;
  seed = 20261123;
  for (int k = 0; k < DPI_COUNT(patterns); k++)
    for (int blocks = 0; blocks <= BLOCKS; blocks++) {
      bench b;
      bench_init(&b, &patterns[k], blocks);
      for (int i = 0; i < 2 * DPI_COUNT(step); i++) {
        bool metzler = i % 2;
        double h = step[i / 2];
        fill(&b.p, metzler, m, dm, 4 * blocks);
        compute(&b, &dpi_incidence_base, blocks, metzler, h, m, dm, &plain);
        infinite += !plain.finite;
        for (int s = 1; s < nset; s++) {
          if (!list[s].here) continue;
          compute(&b, list[s].ops, blocks, metzler, h, m, dm, &other);
          if (memcmp(&plain, &other, sizeof plain) != 0)
            fail_msg("%s, %d directions, h %g: %s differs from base", patterns[k].name, 4 * blocks, h, list[s].name);
          compared++;
        }
      }
      bench_release(&b);
    }
  for (int s = 1; s < nset; s++)
    if (!list[s].here) print_message("skipped: this processor has no %s\n", list[s].name);
  print_message("%d comparisons; %d exponentials were not finite\n", compared, infinite);
  assert_true(nset == 1 || !list[1].here || compared >= 500);
}

/* The numbers that are the same everywhere are exponentials: the semigroup, and the first direction by central differences. */
static void the_plain_one_is_an_exponential(void **state) {
  (void)state;
  static double m[ENTRIES], dm[MANY], moved[ENTRIES];
  static result whole, half, up, down;
  seed = 7;
  for (int k = 0; k < DPI_COUNT(patterns); k++) {
    bench b;
    bench_init(&b, &patterns[k], 1);
    fill(&b.p, true, m, dm, 4);
    compute(&b, &dpi_incidence_base, 1, true, 0.4, m, dm, &whole);
    compute(&b, &dpi_incidence_base, 1, true, 0.2, m, dm, &half);
    assert_true(whole.finite && half.finite);
    dpi_incidence_multiply(&b.p, 1, half.e, half.de, half.e, half.de, half.c, half.dc);
    double largest = 0;
    for (int c = 0; c < b.p.nnz; c++) largest = fmax(largest, fabs(whole.e[c]));
    assert_true(largest > 0.01);
    for (int c = 0; c < b.p.nnz; c++) assert_true(fabs(whole.e[c] - half.c[c]) <= 1e-13 * largest);
    const double t = 1e-6;
    for (int side = 0; side < 2; side++) {
      for (int c = 0; c < b.p.nnz; c++) moved[c] = m[c] + (side ? -t : t) * dm[4 * c];
      compute(&b, &dpi_incidence_base, 1, false, 0.4, moved, dm, side ? &down : &up);
    }
    double slope = 0;
    for (int c = 0; c < b.p.nnz; c++) slope = fmax(slope, fabs(whole.de[4 * c]));
    for (int c = 0; c < b.p.nnz; c++)
      assert_true(fabs(whole.de[4 * c] - (up.e[c] - down.e[c]) / (2 * t)) <= 1e-7 * (slope + 1));
    bench_release(&b);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_sets_give_the_same_bytes),
      cmocka_unit_test(the_plain_one_is_an_exponential),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
