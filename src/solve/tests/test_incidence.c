/* test_incidence.c - products and exponentials by each instruction set that this processor has, beside the plain one:
 * the same bytes. The plain one against what products must be: exp((s + t) M) = exp(s M) exp(t M), and derivatives by
 * differences. Closed forms against values of another program. */
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
    {"a depot and a centre", 2, "1", "0"},
    {"a chain of three", 3, "20", "01"},
    {"two that feed one", 3, "02", "11"},
    {"a chain into an absorbing end", 4, "012", "123"},
    {"everything from everything", 6, "0123450", "1234503"},
    {"depot, centre and periphery, urine", 4, "0112", "1213"},
    {"two cycles, one feeds the other", 5, "01233", "10342"},
    {"unconnected parts", 7, "01346", "10435"},
    {"a cycle", 2, "01", "10"},
    {"a cycle and an input", 3, "0122", "1001"},
    {"a cycle and what leaves it", 3, "120", "210"},
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
  out[n++] =
      (set){"avx512", &dpi_incidence_avx512, __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")};
#endif
  return n;
}

typedef struct result {
  double c[ENTRIES], dc[MANY], e[ENTRIES], de[MANY];
  bool finite;
} result;

/* Everything by one set. */
static void compute(bench *b, const dpi_incidence_ops *ops, int blocks, bool metzler, double h, const double *m,
                    const double *dm, result *r) {
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

/* The numbers that are the same everywhere are exponentials: the semigroup,
 * and the first direction by central differences. */
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

/* ---- up to three states without a cycle: the closed form ---- */

/* exp(m h) and its derivative along d, row by row, by mpmath with 80 digits: the exponential of [m d; 0 m] h. */
typedef struct known {
  const char *name;
  int n;
  double h, m[9], d[9], e[9], de[9];
} known;
static const known closed[] = {
    {"far apart", 3, 2.0,
     {-9.5, 0, 0, 9.5, -3.25, 0, 0.5, 3, -0.0625},
     {1, 0, 0, -1, 0.5, 0, 0.25, 0.75, -2},
     {5.6027964375372675e-9, 0, 0, 0.0022852190570753251, 0.0015034391929775724, 0, 0.8806898878875597,
      0.82917031848622855, 0.8824969025845954},
     {1.1205592875074535e-8, 0, 0, 0.0022274786909617844, 0.0015034391929775724, 0, -2.4549022493959605,
      -2.466134040732484, -3.5299876103383816}},
    {"equal", 3, 1.5,
     {-0.75, 0, 0, 0.75, -0.75, 0, 0.125, 0.75, -0.75},
     {1, 0, 0, -1, 0.5, 0, 0.25, 0.75, -2},
     {0.32465246735834973, 0, 0, 0.36523402577814345, 0.32465246735834973, 0, 0.26631647712989626,
      0.36523402577814345, 0.32465246735834973},
     {0.48697870103752459, 0, 0, -0.076090422037113218, 0.2434893505187623, 0, -0.0437519926713401,
      -0.045654253222267931, -0.97395740207504919}},
    {"nearly equal", 3, 1.0,
     {-1, 0, 0, 1, -0.9999998807907104, 0, 0, 1, -1.0000009536743164},
     {1, 0, 0, -1, 0.5, 0, 0, 0.75, -2},
     {0.36787944117144232, 0, 0, 0.3678794630987666, 0.36787948502609176, 0, 0.18393966942197895,
      0.36787928768022811, 0.36787909033443503},
     {0.36787944117144232, 0, 0, -0.091969867601968711, 0.18393974251304588, 0, -0.076641500907587741,
      8.2227428484012421e-8, -0.73575818066887007}},
    {"two equal, one far, states in another order", 3, 4.0,
     {-0.5, 0.375, 0, 0, -5, 0, 5, 0, -0.5},
     {0.5, 1, 0, 0, -1, 0, -1, 0, 0.25},
     {0.13533528323661269, 0.011277940097954922, 0, 0, 2.0611536224385578e-9, 0, 2.7067056647322538,
      0.21302776084107124, 0.13533528323661269},
     {0.27067056647322538, 0.048871074788381475, 0, 0, -8.2446144897542313e-9, 0, 3.51871736415193,
      0.78374723142087468, 0.13533528323661269}},
    {"just within reach of the series", 3, 1.0,
     {-2, 0, 0, 2, -1, 0, 0, 1, 0},
     {1, 0, 0, -1, -0.5, 0, 0, 0.5, 0.125},
     {0.13533528323661269, 0, 0, 0.46508831586965926, 0.36787944117144232, 0, 0.39957640089372805,
      0.63212055882855768, 1.0},
     {0.13533528323661269, 0, 0, -0.17346169177500845, -0.18393972058572116, 0, 0.059137813628968041,
      0.22992465073215145, 0.125}},
    {"just beyond it", 3, 1.0,
     {-2.000000238418579, 0, 0, 2, -1, 0, 0, 1, 0},
     {1, 0, 0, -1, -0.5, 0, 0, 0.5, 0.125},
     {0.13533525097017061, 0, 0, 0.46508826951685905, 0.36787944117144232, 0, 0.39957637643691219,
      0.63212055882855768, 1.0},
     {0.13533525097017061, 0, 0, -0.17346168768127756, -0.18393972058572116, 0, 0.059137805420669945,
      0.22992465073215145, 0.125}},
    {"an input and a depot that feed a centre", 3, 3.0,
     {-1.25, 0, 0, 1.25, -0.0625, 40, 0, 0, 0},
     {1, 0, 0, -1, 0.5, 3, 0, 0, 0},
     {0.023517745856009108, 0, 0, 0.84790670770988551, 0.82902911818040034, 109.42136436454378, 0, 0, 1.0},
     {0.070553237568027325, 0, 0, 0.9134147630810678, 1.2435436772706005, 87.709563790506698, 0, 0, 0}},
    {"growth", 2, 6.0,
     {0.5, 0, -0.25, 1.75},
     {1, 0, 2, -0.5},
     {20.085536923187668, 0, -7259.08342746469, 36315.502674246638},
     {120.51322153912601, 0, 71175.1715556157, -108946.50802273991}},
    {"one state", 1, 0.3125,
     {-4},
     {1.5},
     {0.2865047968601901},
     {0.13429912352821411}},
};

static void closed_forms_have_all_digits(void **state) {
  (void)state;
  for (int k = 0; k < DPI_COUNT(closed); k++) {
    const known *g = &closed[k];
    edges shape = {g->name, g->n, "", ""};
    char from[10] = "", to[10] = "";
    int nedge = 0;
    for (int i = 0; i < g->n * g->n; i++)
      if (i / g->n != i % g->n && (g->m[i] != 0 || g->d[i] != 0)) {
        from[nedge] = (char)('0' + i % g->n);
        to[nedge++] = (char)('0' + i / g->n);
      }
    shape.from = from;
    shape.to = to;
    bench b;
    bench_init(&b, &shape, 1);
    assert_int_equal(b.p.nchain, g->n);
    double m[9], dm[36] = {0}, e[9], de[36];
    for (int c = 0; c < b.p.nnz; c++) {
      m[c] = g->m[b.p.row[c] * g->n + b.p.col[c]];
      dm[4 * c + 1] = g->d[b.p.row[c] * g->n + b.p.col[c]];
    }
    assert_true(dpi_incidence_expm(&b.p, 1, m, dm, true, g->h, e, de, &b.work));
    for (int i = 0; i < g->n * g->n; i++) {
      const int c = b.p.at[i];
      if (c < 0) {
        assert_true(g->e[i] == 0 && g->de[i] == 0);
        continue;
      }
      if (!(fabs(e[c] - g->e[i]) <= 1e-15 * fabs(g->e[i])))
        fail_msg("%s: entry %d is %.17g, expected %.17g", g->name, i, e[c], g->e[i]);
      if (!(fabs(de[4 * c + 1] - g->de[i]) <= 2e-15 * (fabs(g->de[i]) + g->h * fabs(g->e[i]))))
        fail_msg("%s: derivative of entry %d is %.17g, expected %.17g", g->name, i, de[4 * c + 1], g->de[i]);
      assert_true(de[4 * c] == 0 && de[4 * c + 2] == 0 && de[4 * c + 3] == 0);
    }
    bench_release(&b);
  }
}

/* ---- cycles of two: the closed form ---- */

/* exp(m h) by mpmath with 60 digits. */
typedef struct turned {
  const char *name;
  int n;
  double h, m[9], e[9], tol; /* of each entry, relative */
} turned;
static const turned cycles[] = {
    {"an input", 3, 2.0,
     {-0.625, 0.25, 40, 0.5, -0.25, 0, 0, 0, 0},
     {0.38411358089792416, 0.23140916734331447, 48.981787012943006, 0.46281833468662894, 0.73122733191289587,
      23.912640476025382, 0.0, 0.0, 1.0}, 1e-15},
    {"nearly equal", 2, 1.5,
     {-1, 9.313225746154785e-10, 9.313225746154785e-10, -1},
     {0.22313016014842983, 3.1170923283569957e-10, 3.1170923283569957e-10, 0.22313016014842983}, 1e-15},
    {"slow beside fast", 2, 1000.0,
     {-64, 64, 64, -64.00000095367432},
     {0.49976164197968548, 0.4997616382561711, 0.4997616382561711, 0.49976163453265675}, 1e-13},
    {"a depot", 3, 3.0,
     {-1.25, 0, 0, 1.25, -0.625, 0.25, 0, 0.5, -0.25},
     {0.023517745856009108, 0.0, 0.0, 0.36647057443360474, 0.29709134809104639, 0.25397074492319078,
      0.45169157509117457, 0.50794148984638155, 0.67804746547583255}, 1e-15},
    {"a depot as fast as one that it feeds", 3, 8.0,
     {-0.125, 0, 0, 0.125, -0.5, 0.1875, 0, 0.25, -0.125},
     {0.36787944117144232, 0.0, 0.0, 0.17530033800043917, 0.14701478621352738, 0.26295050700065876,
      0.20335757269560171, 0.35060067600087834, 0.67291580021484489}, 1e-15},
    {"what leaves it", 3, 5.0,
     {-0.625, 0.25, 0, 0.5, -0.25, 0, 0.125, 0, 0},
     {0.23165913879351727, 0.25446001168076728, 0.0, 0.50892002336153456, 0.61334915631466819, 0.0,
      0.25942083784494817, 0.13219083200456453, 1.0}, 1e-15},
    {"waves", 2, 3.0,
     {-0.5, 2, -1.5, -0.25},
     {0.16803420365693069, -0.33506523432741, 0.2512989257455575, 0.12615104936600444}, 4e-15},
    {"slow waves", 2, 1.0,
     {-0.5, 1.4901161193847656e-08, -1.4901161193847656e-08, -0.5},
     {0.60653065971263336, 9.0380111293887109e-9, -9.0380111293887109e-9, 0.60653065971263336}, 1e-15},
    {"signs that differ, real", 2, 1.0,
     {-3, 1, -0.75, -1},
     {0.011562417861633278, 0.14104516152453103, -0.10578387114339828, 0.29365274091069535}, 2e-15},
};

static void cycles_have_all_digits(void **state) {
  (void)state;
  for (int k = 0; k < DPI_COUNT(cycles); k++) {
    const turned *g = &cycles[k];
    char from[10] = "", to[10] = "";
    for (int i = 0, nedge = 0; i < g->n * g->n; i++)
      if (i / g->n != i % g->n && g->m[i] != 0) {
        from[nedge] = (char)('0' + i % g->n);
        to[nedge++] = (char)('0' + i / g->n);
      }
    const edges shape = {g->name, g->n, from, to};
    bench b;
    bench_init(&b, &shape, 1);
    assert_true(b.p.has_cycle);
    double m[9], dm[36] = {0}, e[9], de[36], alone[9];
    for (int c = 0; c < b.p.nnz; c++) m[c] = g->m[b.p.row[c] * g->n + b.p.col[c]];
    assert_true(dpi_incidence_expm(&b.p, 0, m, dm, true, g->h, alone, de, &b.work));
    assert_true(dpi_incidence_expm(&b.p, 1, m, dm, true, g->h, e, de, &b.work));
    assert_memory_equal(e, alone, sizeof *e * (size_t)b.p.nnz);
    for (int i = 0; i < g->n * g->n; i++) {
      const int c = b.p.at[i];
      if (c < 0 ? g->e[i] != 0 : !(fabs(e[c] - g->e[i]) <= g->tol * fabs(g->e[i])))
        fail_msg("%s: entry %d is %.17g, expected %.17g", g->name, i, c < 0 ? 0 : e[c], g->e[i]);
    }
    bench_release(&b);
  }
}

/* One random matrix of the shape, by row and column [n x n]; kind 0: compartments, 1: signs as they come, 2: the two
 * eigenvalues of the cycle nearly or wholly equal, 3: complex ones. */
static void fill_cycle(const dpi_incidence *p, int kind, double *m) {
  fill(p, kind != 1, m, NULL, 0);
  const int i = p->cycle[0], j = p->cycle[1], n = p->n;
  double *own = &m[p->at[j * n + j]], *there = &m[p->at[i * n + j]], *back = &m[p->at[j * n + i]];
  const double small[] = {0, 1e-14, 1e-11, 1e-8, 1e-5};
  const double near_by = small[(int)(5 * uniform())];
  if (kind == 2) {
    *own = m[p->at[i * n + i]];
    *there = near_by * *there;
    *back = near_by * *back;
  }
  if (kind == 3) *back = -*back;
}

/* The closed form beside Pade's: 1e-13 of the largest entry, and a little more where many squarings are needed. */
static void cycles_agree_with_pade(void **state) {
  (void)state;
  double worst = 0;
  seed = 11;
  for (int k = DPI_COUNT(patterns) - 3; k < DPI_COUNT(patterns); k++) {
    bench b;
    bench_init(&b, &patterns[k], 0);
    const int n = b.p.n;
    assert_true(b.p.has_cycle);
    for (int turn = 0; turn < 20000; turn++) {
      double m[9], dm[9], e[9], de[9], full[9] = {0}, other[9], work[8 * 9 + 18], size = 0, largest = 0;
      fill_cycle(&b.p, turn % 4, m);
      for (int c = 0; c < b.p.nnz; c++) {
        full[b.p.row[c] * n + b.p.col[c]] = m[c];
        size = fmax(size, fabs(m[c]));
      }
      const double h = dpi_m_exp(6 * uniform() - 4) / size;
      assert_true(dpi_incidence_expm(&b.p, 0, m, dm, turn % 4 != 1 && turn % 4 != 3, h, e, de, &b.work));
      dpi_expm(full, n, h, other, work);
      for (int c = 0; c < n * n; c++) largest = fmax(largest, fabs(other[c]));
      for (int c = 0; c < n * n; c++) {
        const double miss = fabs((b.p.at[c] < 0 ? 0 : e[b.p.at[c]]) - other[c]) / largest;
        worst = fmax(worst, miss);
        if (!(miss <= 1e-13)) fail_msg("%s, matrix %d: differs by %g", patterns[k].name, turn, miss);
      }
    }
    bench_release(&b);
  }
  print_message("60000 matrices: largest difference %.1e\n", worst);
}

/* Not finite is said, not computed with. */
static void closed_forms_refuse(void **state) {
  (void)state;
  bench b;
  bench_init(&b, &patterns[1], 1);
  double m[9] = {0}, dm[36] = {0}, e[9], de[36];
  m[0] = -INFINITY;
  assert_false(dpi_incidence_expm(&b.p, 1, m, dm, true, 1, e, de, &b.work));
  m[0] = -1e200;
  assert_false(dpi_incidence_expm(&b.p, 1, m, dm, true, 1e200, e, de, &b.work));
  assert_true(dpi_incidence_expm(&b.p, 1, m, dm, true, 1, e, de, &b.work));
  assert_true(e[b.p.diag[0]] == 0);
  bench_release(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_sets_give_the_same_bytes),
      cmocka_unit_test(the_plain_one_is_an_exponential),
      cmocka_unit_test(closed_forms_have_all_digits),
      cmocka_unit_test(closed_forms_refuse),
      cmocka_unit_test(cycles_have_all_digits),
      cmocka_unit_test(cycles_agree_with_pade),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
