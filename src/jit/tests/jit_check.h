/* jit_check.h - what the tests of this room share: contexts, random tapes of every operation, the comparison with the
 * interpreter in lanes. */
#ifndef JIT_CHECK_H
#define JIT_CHECK_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "jit/jit_impl.h"
#include "lang/lang_impl.h"
#include "num/num.h"

#define NSYM 12

static dp_ctx *ctx;

static inline dp_ctx *make_ctx(const char *cache) {
  dp_ctx_def def = dp_ctx_def_default();
  dp_ctx *c = NULL;
  def.cache = cache;
  assert_int_equal(dp_ctx_create(&def, &c), DP_OK);
  return c;
}

static inline int setup(void **state) {
  (void)state;
  ctx = make_ctx(NULL);
  return 0;
}

/* every block must have been given back */
static inline int teardown(void **state) {
  (void)state;
  size_t live = dpi_alloc_live(ctx);
  dp_ctx_destroy(ctx);
  return live == 0 ? 0 : -1;
}

static inline void check_ok(dp_status s) {
  if (s != DP_OK) print_message("%s: %s\n", dp_status_name(s), dp_ctx_error(ctx));
  assert_int_equal(s, DP_OK);
}

/* built without LLVM, or its library is not here: nothing to compare */
static inline void need_llvm(void) {
  if (!dpi_jit_available()) skip();
}

/* ---- tapes ---- */

static inline dpi_node random_node(dpi_graph *g, dpi_rng *rng, const dpi_node *pool, int n) {
  dpi_op op = DPI_OP_ADD + (int)(dpi_rng_u64(rng) % (DPI_OP_COUNT - DPI_OP_ADD));
  /* half of it plain arithmetic */
  if (dpi_rng_uniform(rng) < 0.5) op = DPI_OP_ADD + (int)(dpi_rng_u64(rng) % 4);
  dpi_node a = pool[dpi_rng_u64(rng) % (unsigned)n], b = pool[dpi_rng_u64(rng) % (unsigned)n];
  dpi_node c = pool[dpi_rng_u64(rng) % (unsigned)n];
  if (op == DPI_OP_POWI) return dpi_g_powi(g, a, (int)(dpi_rng_u64(rng) % 19) - 9);
  if (op == DPI_OP_IF) return dpi_g_if(g, c, a, b);
  if (op == DPI_OP_FMA) return dpi_g_fma(g, a, b, c);
  return dpi_op_table[op].arity == 1 ? dpi_g_op1(g, op, a) : dpi_g_op2(g, op, a, b);
}

/* A tape of about n steps with every operation; half of the symbols are slow. */
static inline dpi_tape *random_tape(uint64_t seed, int n, int nout, dpi_graph **graph) {
  dpi_rng rng = dpi_rng_make(seed, 7, 1);
  dpi_graph *g = NULL;
  dpi_tape *t = NULL;
  uint8_t fast[NSYM];
  check_ok(dpi_graph_create(ctx, &g));
  dpi_node *pool = DPI_NEW_ARRAY(ctx, dpi_node, n + NSYM + 4), *out = DPI_NEW_ARRAY(ctx, dpi_node, nout);
  int k = 0;
  for (int s = 0; s < NSYM; s++) fast[s] = s % 2 == 0, pool[k++] = dpi_g_sym(g, s);
  pool[k++] = dpi_g_const(g, 0.5);
  pool[k++] = dpi_g_const(g, -3.25);
  for (int i = 0; i < n; i++, k++) {
    /* mostly what is near, so that values are finite and registers busy */
    int near = k > 40 && dpi_rng_uniform(&rng) < 0.6 ? 24 : k;
    pool[k] = random_node(g, &rng, pool + k - near, near);
    assert_true(pool[k] >= 0);
  }
  for (int i = 0; i < nout; i++) out[i] = pool[k - 1 - (int)(dpi_rng_u64(&rng) % (unsigned)(i < nout / 2 ? 10 : k))];
  check_ok(dpi_tape_create(ctx, g, out, nout, fast, NSYM, &t));
  dpi_free(ctx, pool);
  dpi_free(ctx, out);
  if (graph)
    *graph = g;
  else
    dpi_graph_destroy(g);
  return t;
}

/* ordinary numbers, and those where arithmetic is hard */
static inline double hard_number(dpi_rng *rng) {
  static const double hard[] = {0.0,   -0.0,   1.0,     -1.0,  INFINITY, -INFINITY, NAN, 5e-324, -2.2e-308, 1.7e308,
                                709.7, -745.2, 0x1p-53, 1e300, -1e300,   0.5,       2.0, 3.0,    1e-300,    20.5};
  uint64_t k = dpi_rng_u64(rng) % 60;
  if (k < DPI_COUNT(hard)) return hard[k];
  if (k < 30) return floor(20 * dpi_rng_uniform(rng)) - 10;
  return 6 * dpi_rng_uniform(rng) - 3;
}

/* ---- comparing ---- */

static inline bool same_number(double a, double b) { return memcmp(&a, &b, sizeof a) == 0 || (a != a && b != b); }

/* The body of a tape by its code and by the interpreter, from the same rows. */
static inline void check_body(const dpi_tape *t, int width, dpi_rng *rng, int rounds) {
  const dpi_lane_ops *ops = dpi_lane_ops_find(width);
  const dpi_code *code = atomic_load(&((dpi_tape *)t)->code[dpi_width_index(width)]);
  assert_non_null(code);
  assert_non_null(code->body);
  size_t n = dpi_tape_lanes_size(t, width);
  double *a = dpi_lanes_alloc(ctx, n), *b = dpi_lanes_alloc(ctx, n);
  for (int round = 0; round < rounds; round++) {
    dpi_tape_lanes_init(t, width, a);
    for (int r = t->nconst; r < t->nreg; r++)
      for (int l = 0; l < width; l++) a[(size_t)r * (size_t)width + (size_t)l] = hard_number(rng);
    memcpy(b, a, n * sizeof *a);
    code->body(a, ops);
    ops->run(t->body, b);
    for (int i = 0; i < t->nout; i++)
      for (int l = 0; l < width; l++) {
        size_t at = (size_t)t->out[i] * (size_t)width + (size_t)l;
        if (!same_number(a[at], b[at]))
          print_message("width %d output %d lane %d: %a by code, %a\n", width, i, l, a[at], b[at]);
        assert_true(same_number(a[at], b[at]));
      }
  }
  dpi_lanes_free(ctx, a, n);
  dpi_lanes_free(ctx, b, n);
}

/* Prologue and body in a plain workspace, with and without code. */
static inline void check_plain(const dpi_tape *t, int nsym, dpi_rng *rng, int rounds) {
  const dpi_code *code = atomic_load(&((dpi_tape *)t)->code[0]);
  double *reg = DPI_NEW_ARRAY(ctx, double, t->nreg), *sym = DPI_NEW_ARRAY(ctx, double, nsym);
  double *with = DPI_NEW_ARRAY(ctx, double, t->nout + 1), *without = DPI_NEW_ARRAY(ctx, double, t->nout + 1);
  assert_non_null(code);
  for (int round = 0; round < rounds; round++) {
    for (int s = 0; s < nsym; s++) sym[s] = hard_number(rng);
    for (int k = 0; k < 2; k++) {
      dpi_tape_attach(t, 1, k == 0 ? code : NULL);
      dpi_tape_init(t, reg);
      dpi_tape_prologue(t, sym, reg);
      dpi_tape_eval(t, sym, reg, k == 0 ? with : without);
    }
    dpi_tape_attach(t, 1, code);
    for (int i = 0; i < t->nout; i++) assert_true(same_number(with[i], without[i]));
  }
  dpi_free(ctx, reg);
  dpi_free(ctx, sym);
  dpi_free(ctx, with);
  dpi_free(ctx, without);
}

/* all widths of this processor; returns how many */
static inline int units_of(const dpi_tape *t, dpi_jit_unit unit[DPI_NWIDTH]) {
  int n = 0;
  for (int w = 1; w <= DPI_LANES_MAX; w *= 2)
    if (dpi_lane_ops_find(w) != NULL) unit[n++] = (dpi_jit_unit){t, w};
  return n;
}

static inline dpi_jit *start_waiting(dp_ctx *with, const dpi_jit_unit *unit, int n, dpi_jit_tier tier) {
  dpi_jit *job = NULL;
  dpi_jit_opts opts = dpi_jit_opts_default();
  opts.tier = tier;
  opts.wait = true;
  check_ok(dpi_jit_start(with, unit, n, &opts, &job));
  return job;
}

#endif
