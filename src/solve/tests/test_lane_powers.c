/* test_lane_powers.c - powers of one base in a tape: the numbers that pow gives, to rounding, at zero and beside it
 * too, with one call for all; values to the byte the same without their derivatives. */
#include "base/tests/failing_memory.h"
#include "solve/lane_step.h"
#include "solve_rig.h"

enum { MOST = 16 };

typedef struct bed {
  rig r;
  int nout;
  dpi_node root[MOST]; /* rate, then its derivatives by x: first, second; by n */
  dpi_tape *plain, *alone, *all;
} bed;

static int count(const dpi_tape *t, int op) {
  int n = 0;
  for (int i = 0; i < t->nbody; i++) n += t->body[i].op == op;
  return n;
}

static dpi_tape *tape_of(const bed *k, int nout, bool powers) {
  const dpi_system *sys = k->r.sys;
  dpi_node root[MOST];
  uint8_t *fast = calloc((size_t)sys->nsym, 1);
  dpi_tape *tape = NULL;
  assert_non_null(fast);
  memset(fast, 1, (size_t)sys->nstate + 1);
  memcpy(root, k->root, sizeof root);
  if (powers) rig_must(&k->r, dpi_lane_powers(k->r.ctx, k->r.model->graph, root, nout, fast));
  rig_must(&k->r, dpi_tape_create(k->r.ctx, k->r.model->graph, root, nout, fast, sys->nsym, &tape));
  free(fast);
  return tape;
}

static bed make(const char *text) {
  bed k = {.r = rig_make(text, "")};
  dpi_graph *g = k.r.model->graph;
  k.root[k.nout++] = k.r.model->sym[1].formula;
  k.root[k.nout++] = dpi_g_diff(g, k.root[0], 1);
  k.root[k.nout++] = dpi_g_diff(g, k.root[1], 1);
  k.root[k.nout++] = dpi_g_diff(g, k.root[0], rig_sym(&k.r, "n"));
  k.plain = tape_of(&k, k.nout, false);
  k.alone = tape_of(&k, 1, true);
  k.all = tape_of(&k, k.nout, true);
  return k;
}

static void drop(bed *k) {
  dpi_tape_destroy(k->plain);
  dpi_tape_destroy(k->alone);
  dpi_tape_destroy(k->all);
  rig_drop(&k->r);
}

static void run(const bed *k, const dpi_tape *tape, double x, double n, double *out) {
  double *reg = calloc((size_t)dpi_tape_nreg(tape) + 1, sizeof *reg), sym[MOST];
  assert_non_null(reg);
  memcpy(sym, k->r.sym, sizeof *sym * (size_t)k->r.sys->nsym);
  sym[1] = x;
  sym[rig_sym(&k->r, "n")] = n;
  dpi_tape_init(tape, reg);
  dpi_tape_prologue(tape, sym, reg);
  dpi_tape_eval(tape, sym, reg, out);
  free(reg);
}

static const char *const texts[] = {
    "x' = -k*x^n/(K^n + x^n); x = 1; k = 0.7; K = 2; n = 2.5",
    "x' = k*x^(n + 1) - x^n*x^(n - 1); x = 1; k = 0.7; K = 2; n = 2.5",
    "x' = k*x^2.5 + x^1.5 - n*x; x = 1; k = 0.7; K = 2; n = 2.5",
};

static void test_values(void **state) {
  (void)state;
  static const double at[] = {1e-60, 1e-40, 1e-9, 0.3, 1, 1.7, 40, 1e12, 0, -0.0};
  static const double exponent[] = {0.4, 1, 1.6, 2, 3.3};
  for (int i = 0; i < DPI_COUNT(texts); i++) {
    bed k = make(texts[i]);
    int seen = 0;
    for (int a = 0; a < DPI_COUNT(at); a++)
      for (int e = 0; e < DPI_COUNT(exponent); e++) {
        double want[MOST], got[MOST], alone[MOST];
        run(&k, k.plain, at[a], exponent[e], want);
        run(&k, k.all, at[a], exponent[e], got);
        run(&k, k.alone, at[a], exponent[e], alone);
        assert_memory_equal(alone, got, sizeof *got); /* the value by itself */
        for (int j = 0; j < k.nout; j++) {
          if (!isfinite(want[j]) || fabs(want[j]) > 1e250) continue;
          rig_near("power", j, got[j], want[j], 1e-11, 1e-250);
          seen++;
        }
      }
    assert_true(seen > 120);
    drop(&k);
  }
}

/* one call of pow for each base and each kind of exponent */
static void test_calls(void **state) {
  (void)state;
  static const int most[] = {1, 1, 1};
  for (int i = 0; i < DPI_COUNT(texts); i++) {
    bed k = make(texts[i]);
    const int written = count(k.plain, DPI_OP_POW), now = count(k.all, DPI_OP_POW);
    print_message("%s: %d calls of pow, %d as written\n", texts[i], now, written);
    assert_true(written > most[i]);
    assert_int_equal(now, most[i]);
    drop(&k);
  }
}

/* an exponent that moves with a state is left alone: 0 to its power is not known beforehand */
static void test_moving(void **state) {
  (void)state;
  bed k = make("x' = x^(n + y); y' = x^(n + y - 1); x = 1; y = 1; n = 2");
  double want[MOST], got[MOST];
  run(&k, k.plain, 0.6, 2, want);
  run(&k, k.all, 0.6, 2, got);
  for (int j = 0; j < k.nout; j++) rig_near("power", j, got[j], want[j], 0, 0);
  assert_int_equal(count(k.all, DPI_OP_POW), count(k.plain, DPI_OP_POW));
  drop(&k);
}

/* wherever memory runs out, it is said and nothing is lost */
static void test_memory(void **state) {
  (void)state;
  failing_memory memory = {0};
  rig r = {.ctx = failing_context(&memory)};
  assert_non_null(r.ctx);
  rig_must(&r, dpi_antimony_read(r.ctx, texts[0], strlen(texts[0]), "test.ant", &r.model));
  rig_must(&r, dp_model_seal(r.model));
  rig_must(&r, dpi_system_create(r.ctx, r.model, NULL, 0, &r.sys));
  const dpi_node rate = r.model->sym[1].formula, slope = dpi_g_diff(r.model->graph, rate, 1);
  uint8_t fast[MOST] = {1, 1};
  bool done = false;
  for (long n = 0; !done; n++) {
    dpi_node root[2] = {rate, slope};
    failing_next(&memory, n);
    const dp_status status = dpi_lane_powers(r.ctx, r.model->graph, root, 2, fast);
    done = !failing_happened(&memory);
    failing_never(&memory);
    assert_int_equal(status, done ? DP_OK : DP_ERR_MEMORY);
  }
  rig_drop(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_values),
      cmocka_unit_test(test_calls),
      cmocka_unit_test(test_moving),
      cmocka_unit_test(test_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
