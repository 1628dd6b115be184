/* Machine code against the interpreter in lanes, bit for bit: random tapes of every operation, at hard arguments, in
 * every width, both arithmetics and both tiers; long tapes; models; jobs from start to end. */
#include "jit_check.h"

#include <pthread.h>
#include <stdatomic.h>

static void every_operation_has_the_interpreters_bytes(void **state) {
  (void)state;
  need_llvm();
  static const char *const arithmetic[] = {"fma", "nofma"};
  for (int m = 0; m < 2; m++) {
    if (!dpi_math_select(arithmetic[m])) continue;
    for (uint64_t seed = 0; seed < 12; seed++) {
      dpi_tape *t = random_tape(seed, seed < 8 ? 200 : 700, 40, NULL);
      dpi_jit_unit unit[DPI_NWIDTH];
      int n = units_of(t, unit);
      dpi_jit *job = start_waiting(ctx, unit, n, seed % 2 == 0 ? DPI_JIT_QUICK : DPI_JIT_OPTIMISED);
      dpi_jit_report r = dpi_jit_describe(job);
      assert_string_equal(r.why, "");
      assert_int_equal(r.ncode, n);
      dpi_rng rng = dpi_rng_make(seed, 1, 2);
      for (int k = 0; k < n; k++) check_body(t, unit[k].width, &rng, 30);
      check_plain(t, NSYM, &rng, 30);
      dpi_jit_destroy(job);
      for (int k = 0; k < DPI_NWIDTH; k++) assert_null(atomic_load(&t->code[k]));
      dpi_tape_destroy(t);
    }
  }
  assert_true(dpi_math_select(NULL));
}

/* each operation alone, so that the one that differs has a name */
static void single_operations(void **state) {
  (void)state;
  need_llvm();
  static const char *const arithmetic[] = {"fma", "nofma"};
  for (int m = 0; m < 2; m++) {
    if (!dpi_math_select(arithmetic[m])) continue;
    dpi_graph *g = NULL;
    dpi_node out[3 * DPI_OP_COUNT];
    uint8_t fast[NSYM];
    int n = 0;
    dpi_tape *t = NULL;
    memset(fast, 1, sizeof fast);
    check_ok(dpi_graph_create(ctx, &g));
    dpi_node a = dpi_g_sym(g, 0), b = dpi_g_sym(g, 1), c = dpi_g_sym(g, 2);
    for (int op = DPI_OP_ADD; op < DPI_OP_COUNT; op++) {
      if (op == DPI_OP_POWI) {
        for (int k = -4; k < 9; k++) out[n++] = dpi_g_powi(g, a, k);
      } else if (op == DPI_OP_IF) {
        out[n++] = dpi_g_if(g, a, b, c);
      } else if (op == DPI_OP_FMA) {
        out[n++] = dpi_g_fma(g, a, b, c);
      } else {
        out[n++] = dpi_op_table[op].arity == 1 ? dpi_g_op1(g, (dpi_op)op, a) : dpi_g_op2(g, (dpi_op)op, a, b);
      }
    }
    /* products inside sums: two roundings, whatever the processor offers */
    out[n++] = dpi_g_op2(g, DPI_OP_ADD, dpi_g_op2(g, DPI_OP_MUL, a, c), b);
    out[n++] = dpi_g_op2(g, DPI_OP_SUB, dpi_g_op2(g, DPI_OP_MUL, b, c), a);
    out[n++] = dpi_g_op2(g, DPI_OP_SUB, b, dpi_g_op2(g, DPI_OP_MUL, c, c));
    check_ok(dpi_tape_create(ctx, g, out, n, fast, NSYM, &t));
    dpi_jit_unit unit[DPI_NWIDTH];
    int nunit = units_of(t, unit);
    for (int tier = 0; tier < 2; tier++) {
      dpi_jit *job = start_waiting(ctx, unit, nunit, (dpi_jit_tier)tier);
      dpi_rng rng = dpi_rng_make(9, 1, 3);
      for (int k = 0; k < nunit; k++) check_body(t, unit[k].width, &rng, 3000 / unit[k].width);
      dpi_jit_destroy(job);
    }
    dpi_tape_destroy(t);
    dpi_graph_destroy(g);
  }
  assert_true(dpi_math_select(NULL));
}

static void long_tapes_are_cut_into_pieces(void **state) {
  (void)state;
  need_llvm();
  dpi_tape *t = random_tape(77, 12000, 300, NULL);
  assert_true(t->nbody > 3000);
  dpi_jit_unit unit[DPI_NWIDTH];
  int n = units_of(t, unit);
  dpi_jit *job = start_waiting(ctx, unit, n, DPI_JIT_TIERED);
  dpi_jit_report r = dpi_jit_describe(job);
  assert_int_equal(r.ncode, n);
  assert_int_equal(r.ncompiled, 2 * n);
  assert_true(r.bytes > 0 && r.compile_s > 0);
  dpi_rng rng = dpi_rng_make(77, 1, 2);
  for (int k = 0; k < n; k++) check_body(t, unit[k].width, &rng, 10);
  check_plain(t, NSYM, &rng, 5);
  dpi_jit_destroy(job);
  dpi_tape_destroy(t);
}

/* ---- models ---- */

static const char *const models[] = {
    "A = 1; B = 0; C = 0; k1 = 0.04; k2 = 3e7; k3 = 1e4\n"
    "A' = -k1*A + k3*B*C; B' = k1*A - k3*B*C - k2*B^2; C' = k2*B^2\n",
    "x = 0.3; y = 2; Vm = 1.5; Km = 0.2; n = 4; k = 0.5\n"
    "x' = Vm*y^n/(Km^n + y^n) - k*x; y' = piecewise(exp(-x), time > 3, sin(time)) + abs(y - x) - ln(1 + y)*y\n",
    "a = 1; b = 2; p = 0.7\n"
    "a' = floor(time*p) - a^1.5/(b + 1); b' = max(a, b)*p - min(a*b, 2) + (a > b && b < 3)\n",
};

static void check_tape_of_model(const dpi_tape *t, int nsym, dpi_jit_tier tier) {
  dpi_jit_unit unit[DPI_NWIDTH];
  int n = units_of(t, unit);
  dpi_jit *job = start_waiting(ctx, unit, n, tier);
  dpi_rng rng = dpi_rng_make(5, 1, 2);
  for (int k = 0; k < n; k++) check_body(t, unit[k].width, &rng, 50);
  check_plain(t, nsym, &rng, 50);
  dpi_jit_destroy(job);
}

static void models_run_the_same(void **state) {
  (void)state;
  need_llvm();
  for (int i = 0; i < DPI_COUNT(models); i++) {
    dp_model *m = NULL;
    dpi_system *sys = NULL;
    int active[32], nactive = 0;
    check_ok(dpi_antimony_read(ctx, models[i], strlen(models[i]), "m.ant", &m));
    check_ok(dp_model_seal(m));
    for (int s = 0; s < m->nsym; s++)
      if (m->sym[s].kind == DPI_SYM_PARAM) active[nactive++] = s;
    check_ok(dpi_system_create(ctx, m, active, nactive, &sys));
    for (int tier = 0; tier < 2; tier++) {
      check_tape_of_model(sys->rhs, m->nsym, (dpi_jit_tier)tier);
      check_tape_of_model(sys->full, m->nsym, (dpi_jit_tier)tier);
      check_tape_of_model(sys->init, m->nsym, (dpi_jit_tier)tier);
    }
    dpi_system_destroy(sys);
    dp_model_destroy(m);
  }
}

/* ---- jobs ---- */

typedef struct runner {
  const dpi_tape *tape;
  const dpi_lane_ops *ops;
  const double *start, *want;
  size_t n;
  atomic_bool stop;
  atomic_int wrong, rounds;
} runner;

static void *run_all_the_time(void *user) {
  runner *r = user;
  double *reg = dpi_lanes_alloc(ctx, r->n);
  while (!atomic_load(&r->stop)) {
    memcpy(reg, r->start, r->n * sizeof *reg);
    dpi_tape_lanes_run(r->tape, r->ops, reg);
    for (int i = 0; i < r->tape->nout; i++)
      for (int l = 0; l < r->ops->width; l++) {
        size_t at = (size_t)r->tape->out[i] * (size_t)r->ops->width + (size_t)l;
        if (!same_number(reg[at], r->want[at])) atomic_fetch_add(&r->wrong, 1);
      }
    atomic_fetch_add(&r->rounds, 1);
  }
  dpi_lanes_free(ctx, reg, r->n);
  return NULL;
}

/* code comes in, quick and then optimised, while another thread runs the tape */
static void code_comes_while_the_tape_runs(void **state) {
  (void)state;
  dpi_tape *t = random_tape(3, 2000, 60, NULL);
  const dpi_lane_ops *ops = dpi_lane_ops_find(0);
  size_t n = dpi_tape_lanes_size(t, ops->width);
  double *start = dpi_lanes_alloc(ctx, n), *want = dpi_lanes_alloc(ctx, n);
  dpi_rng rng = dpi_rng_make(3, 1, 2);
  dpi_tape_lanes_init(t, ops->width, start);
  for (size_t i = (size_t)t->nconst * (size_t)ops->width; i < n; i++) start[i] = dpi_rng_uniform(&rng);
  memcpy(want, start, n * sizeof *want);
  ops->run(t->body, want);
  runner r = {.tape = t, .ops = ops, .start = start, .want = want, .n = n};
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, run_all_the_time, &r), 0);
  while (atomic_load(&r.rounds) == 0) continue;
  dpi_jit *job = NULL;
  dpi_jit_unit unit = {t, ops->width};
  check_ok(dpi_jit_start(ctx, &unit, 1, NULL, &job));
  dpi_jit_wait(job);
  int seen = atomic_load(&r.rounds);
  while (atomic_load(&r.rounds) < seen + 3) continue;
  assert_int_equal(dpi_jit_describe(job).ncode, dpi_jit_available() ? 1 : 0);
  atomic_store(&r.stop, true);
  pthread_join(thread, NULL);
  assert_int_equal(atomic_load(&r.wrong), 0);
  dpi_jit_destroy(job);
  dpi_lanes_free(ctx, start, n);
  dpi_lanes_free(ctx, want, n);
  dpi_tape_destroy(t);
}

static void a_job_can_be_destroyed_at_any_time(void **state) {
  (void)state;
  dpi_tape *t[6];
  dpi_jit_unit unit[6];
  for (int i = 0; i < 6; i++) {
    t[i] = random_tape((uint64_t)i, 400, 20, NULL);
    unit[i] = (dpi_jit_unit){t[i], 1};
  }
  for (int k = 0; k < 4; k++) {
    dpi_jit *job[3];
    for (int j = 0; j < 3; j++) check_ok(dpi_jit_start(ctx, unit + 2 * j, 2, NULL, &job[j]));
    for (int j = 0; j < 3; j++) dpi_jit_destroy(job[j]);
    for (int i = 0; i < 6; i++) assert_null(atomic_load(&t[i]->code[0]));
  }
  for (int i = 0; i < 6; i++) dpi_tape_destroy(t[i]);
  dpi_jit_destroy(NULL);
}

static void without_a_compiler_the_interpreter_goes_on(void **state) {
  (void)state;
  dpi_tape *t = random_tape(1, 100, 10, NULL);
  dpi_jit_unit unit = {t, 1};
  dpi_jit_opts opts = dpi_jit_opts_default();
  dpi_jit *job = NULL;
  opts.cached_only = true;
  check_ok(dpi_jit_start(ctx, &unit, 1, &opts, &job));
  dpi_jit_wait(job);
  assert_int_equal(dpi_jit_describe(job).ncode, 0);
  assert_string_not_equal(dpi_jit_describe(job).why, "");
  assert_null(atomic_load(&t->code[0]));
  dpi_jit_destroy(job);

  dp_ctx_def def = dp_ctx_def_default();
  dp_ctx *interpret = NULL;
  def.interpret = 1;
  assert_int_equal(dp_ctx_create(&def, &interpret), DP_OK);
  check_ok(dpi_jit_start(interpret, &unit, 1, NULL, &job));
  dpi_jit_wait(job);
  assert_int_equal(dpi_jit_describe(job).ncode, 0);
  dpi_jit_destroy(job);
  dp_ctx_destroy(interpret);

  check_ok(dpi_jit_start(ctx, NULL, 0, NULL, &job));
  dpi_jit_wait(job);
  dpi_jit_destroy(job);
  dpi_tape_destroy(t);
}

/* a tape that nobody compiled soundly is refused, not run */
static void unsound_tapes_get_no_code(void **state) {
  (void)state;
  need_llvm();
  for (int what = 0; what < 3; what++) {
    dpi_tape *t = random_tape(4, 60, 5, NULL);
    dpi_jit_unit unit = {t, 1};
    if (what == 0) t->body[3].a = t->nreg;
    if (what == 1) t->body[3].dst = -1;
    if (what == 2) t->body[3].op = DPI_OP_SYM;
    dpi_jit *job = start_waiting(ctx, &unit, 1, DPI_JIT_QUICK);
    assert_int_equal(dpi_jit_describe(job).ncode, 0);
    assert_string_not_equal(dpi_jit_describe(job).why, "");
    dpi_jit_destroy(job);
    dpi_tape_destroy(t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_operation_has_the_interpreters_bytes),
      cmocka_unit_test(single_operations),
      cmocka_unit_test(long_tapes_are_cut_into_pieces),
      cmocka_unit_test(models_run_the_same),
      cmocka_unit_test(code_comes_while_the_tape_runs),
      cmocka_unit_test(a_job_can_be_destroyed_at_any_time),
      cmocka_unit_test(without_a_compiler_the_interpreter_goes_on),
      cmocka_unit_test(unsound_tapes_get_no_code),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
