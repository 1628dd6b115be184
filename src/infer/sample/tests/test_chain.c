/* Independent comparison: the map between box and R^n with differences of itself; tables of draws with what was
 * written, and with every kind of damage; running out of memory at each allocation of every sampler. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "infer/sample/laplace.h"
#include "infer/sample/nuts.h"
#include "infer/sample/sbc.h"
#include "infer/sample/smc.h"
#include "infer/sample/tempering.h"
#include "sample_target.h"

static target *boxes(dp_ctx *ctx) {
  target *t = target_make(ctx, 4, -INFINITY, INFINITY, false, peaks_fn);
  t->lower[1] = 2;
  t->upper[2] = -3;
  t->lower[3] = 1e-3, t->upper[3] = 1e3;
  return t;
}

static void test_box(void **state) {
  dp_ctx *ctx = target_ctx();
  target *t = boxes(ctx);
  double u[4], x[4], y[4], back[4], h = 1e-5;
  (void)state;
  for (int i = 0; i < 200; i++) {
    dpi_rng rng = dpi_rng_make(3, (uint64_t)i, 1);
    for (int k = 0; k < 4; k++) u[k] = 20 * dpi_rng_uniform(&rng) - 10;
    double jac = dpi_box_to(&t->d, u, x), slope = 0, g[4] = {0.3, -2, 1, 0.01}, want[4];
    for (int k = 0; k < 4; k++) {
      assert_true(x[k] > t->lower[k] && x[k] < t->upper[k]);
      double v[4], low[4], jp, jm;
      memcpy(v, u, sizeof v);
      v[k] += h;
      jp = dpi_box_to(&t->d, v, y);
      v[k] -= 2 * h;
      jm = dpi_box_to(&t->d, v, low);
      double d = (y[k] - low[k]) / (2 * h);
      assert_true(d > 0);
      slope += dpi_m_log(d);
      want[k] = g[k] * d + (jp - jm) / (2 * h);
    }
    assert_true(fabs(slope - jac) < 1e-4);
    dpi_box_gradient(&t->d, u, g);
    for (int k = 0; k < 4; k++) assert_true(fabs(g[k] - want[k]) < 1e-4 * (1 + fabs(want[k])));
    dpi_box_from(&t->d, x, back);
    for (int k = 0; k < 4; k++) assert_true(fabs(back[k] - u[k]) < 1e-7);
  }
  /* the curvature of ln |dx/du| where the Fisher matrix is 0: only a box with two sides has one */
  double zero[16] = {0};
  memset(u, 0, sizeof u);
  dpi_box_fisher(&t->d, u, zero);
  assert_true(zero[0] == 0 && zero[5] == 0 && zero[10] == 0 && fabs(zero[15] - 0.5) < 1e-15);
  double one[16] = {1, 0, 0, 0.5, 0, 1, 0, 0, 0, 0, 1, 0, 0.5, 0, 0, 1}, dx = 999.999 / 4;
  dpi_box_fisher(&t->d, u, one);
  assert_true(fabs(one[3] - 0.5 * dx) < 1e-9 && fabs(one[15] - dx * dx - 0.5) < 1e-6);
  free(t);
  dp_ctx_destroy(ctx);
}

/* far out, and no number at all */
static void test_box_edges(void **state) {
  dp_ctx *ctx = target_ctx();
  target *t = boxes(ctx);
  double far[] = {1e3, -1e3, 1e300, -1e300, 800, -800, 40, -40}, u[4], x[4];
  (void)state;
  for (int i = 0; i < DPI_COUNT(far); i++) {
    for (int k = 0; k < 4; k++) u[k] = far[i];
    assert_true(isfinite(dpi_box_to(&t->d, u, x)));
    for (int k = 0; k < 4; k++) assert_true(x[k] > t->lower[k] && x[k] < t->upper[k]);
  }
  for (int k = 0; k < 4; k++) {
    double bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
      memset(u, 0, sizeof u);
      u[k] = bad[i];
      assert_true(isnan(dpi_box_to(&t->d, u, x)));
      assert_true(isfinite(x[k]) && x[k] > t->lower[k] && x[k] < t->upper[k]);
    }
  }
  double on[4] = {5, 2, -3, 1e3};
  dpi_box_from(&t->d, on, u);
  dpi_box_to(&t->d, u, x);
  assert_true(x[0] == 5 && fabs(x[1] - 2.0003) < 1e-9 && fabs(x[2] + 3.0004) < 1e-9 &&
              fabs(x[3] - (1e3 - 0.0999999)) < 1e-9);
  free(t);
  dp_ctx_destroy(ctx);
}

/* ---- tables ---- */

static dpi_draws_def small(void) {
  static const char *const name[] = {"k_on", "k off", "x"};
  return (dpi_draws_def){.sampler = "test",
                         .tag = "abc 1",
                         .seed = 18446744073709551615u,
                         .n = 3,
                         .name = name,
                         .nchain = 2,
                         .first_chain = 5,
                         .ndraw = 4,
                         .stat = true,
                         .nstate = 2};
}

static dpi_draws *table(dp_ctx *ctx) {
  dpi_draws_def def = small();
  dpi_draws *s = NULL;
  assert_int_equal(dpi_draws_create(ctx, &def, &s), DP_OK);
  s->done[0] = 4;
  s->done[1] = 2;
  for (int i = 0; i < 24; i++) s->x[i] = i < 18 ? dpi_m_exp(i * 1.7 - 20) * (i % 2 ? 1 : -1) : 0;
  for (int i = 0; i < 6; i++) s->loglik[i] = -1e-300 * i, s->logprior[i] = i == 3 ? INFINITY : 0.1 * i;
  for (int i = 0; i < 6 * DPI_DRAW_NSTAT; i++) s->stat[i] = i / 7.0;
  for (int i = 0; i < 4; i++) s->state[i] = i == 2 ? NAN : 1.0 / (i + 3);
  assert_int_equal(dpi_draws_place(s, 6, 1, (double[]){0.1, 0.2, 0.3}), DP_OK);
  return s;
}

static char path[64];

static void put_file(const char *text, size_t n) {
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(text, 1, n, f), n);
  fclose(f);
}

static void test_table(void **state) {
  dp_ctx *ctx = target_ctx();
  dpi_draws *s = table(ctx), *r = NULL;
  dpi_draws_def def = small();
  (void)state;
  snprintf(path, sizeof path, "/tmp/test_chain.%d.tsv", (int)getpid());
  assert_int_equal(dpi_draws_save(s, path), DP_OK);
  assert_int_equal(dpi_draws_load(ctx, path, &def, &r), DP_OK);
  assert_memory_equal(s->x, r->x, sizeof(double) * 18);
  assert_memory_equal(s->loglik, r->loglik, sizeof(double) * 6);
  assert_memory_equal(s->logprior, r->logprior, sizeof(double) * 6);
  assert_memory_equal(s->stat, r->stat, sizeof(double) * 6 * DPI_DRAW_NSTAT);
  assert_memory_equal(s->done, r->done, sizeof(int) * 2);
  assert_true(isnan(r->state[2]) && r->state[3] == s->state[3]);
  assert_int_equal(r->nplace, 1);
  assert_memory_equal(s->place, r->place, sizeof(double) * 5);
  dpi_draws_destroy(r);
  /* another problem */
  for (int i = 0; i < 8; i++) {
    const char *other[] = {"k_on", "k_off", "x"};
    def = small();
    if (i == 0) def.tag = "abc 2";
    if (i == 1) def.seed = 1;
    if (i == 2) def.name = other;
    if (i == 3) def.ndraw = 5;
    if (i == 4) def.first_chain = 0;
    if (i == 5) def.stat = false;
    if (i == 6) def.nstate = 3;
    if (i == 7) def.sampler = "nuts";
    assert_int_equal(dpi_draws_load(ctx, path, &def, &r), DP_ERR_INPUT);
    assert_null(r);
    assert_non_null(strstr(dp_ctx_error(ctx), "remove the file to start anew"));
    dp_ctx_clear_error(ctx);
  }
  dpi_draws_destroy(s);
  unlink(path);
  assert_int_equal(dpi_alloc_live(ctx), 0);
  dp_ctx_destroy(ctx);
}

/* beginnings of it, and bytes of it replaced: refused or read, never worse */
static void test_damaged_table(void **state) {
  dp_ctx *ctx = target_ctx();
  dpi_draws *s = table(ctx), *r = NULL;
  dpi_draws_def def = small();
  char *text;
  size_t n;
  int refused = 0;
  (void)state;
  assert_int_equal(dpi_draws_save(s, path), DP_OK);
  assert_int_equal(dpi_file_read(ctx, path, 0, &text, &n), DP_OK);
  for (size_t i = 0; i < n; i += i + 20 < n ? 7 : 1) {
    put_file(text, i);
    assert_int_equal(dpi_draws_load(ctx, path, &def, &r), DP_ERR_INPUT);
    assert_null(r);
    dp_ctx_clear_error(ctx);
  }
  for (size_t i = 0; i < n; i += 2) {
    char was = text[i];
    text[i] = (char[]){'\t', '\n', 0, '9', '-', 'e'}[i / 2 % 6];
    put_file(text, n);
    text[i] = was;
    if (dpi_draws_load(ctx, path, &def, &r) != DP_OK) refused++;
    dpi_draws_destroy(r);
    dp_ctx_clear_error(ctx);
  }
  assert_true(refused > (int)n / 4);
  dpi_free(ctx, text);
  dpi_draws_destroy(s);
  unlink(path);
  assert_int_equal(dpi_alloc_live(ctx), 0);
  dp_ctx_destroy(ctx);
}

/* ---- no memory: the k-th allocation fails, for every k ---- */

typedef struct memory {
  long left;
} memory;

static void *failing(void *user, void *ptr, size_t old, size_t size) {
  memory *m = user;
  (void)old;
  if (size == 0) {
    free(ptr);
    return NULL;
  }
  if (m->left-- <= 0) return NULL;
  return realloc(ptr, size);
}

static dp_status sample(target *t, int which) {
  dpi_draws *s = NULL;
  dpi_verdict v;
  dp_status status = DP_ERR_BUG;
  if (which == 0) {
    dpi_nuts_def def = dpi_nuts_def_default();
    dpi_nuts_report report;
    def.nchain = 2, def.nwarmup = 20, def.ndraw = 20, def.file = path;
    status = dpi_nuts_run(&t->d, &def, &s, &report);
    if (status == DP_OK && (status = dpi_verdict_chains(s, NULL, &v)) != DP_OK) {
      dpi_draws_destroy(s);
      s = NULL;
    }
  } else if (which == 1) {
    dpi_smc_def def = dpi_smc_def_default();
    dpi_smc_report report;
    def.nparticle = 32, def.nrepeat = 2;
    status = dpi_smc_run(&t->d, &def, &s, &report);
  } else if (which == 2) {
    dpi_tempering_def def = dpi_tempering_def_default();
    dpi_tempering_report report;
    def.nlevel = 3, def.nwarmup = 20, def.ndraw = 20;
    status = dpi_tempering_run(&t->d, &def, &s, &report);
  } else if (which == 3) {
    dpi_laplace_def def = dpi_laplace_def_default();
    dpi_laplace_report report;
    double mode[2] = {1, 1};
    def.mode = mode, def.nmode = 1, def.nproposal = 50;
    status = dpi_laplace_run(&t->d, &def, &s, &report);
  } else {
    dpi_sbc sbc;
    double p;
    status = dpi_sbc_init(&sbc, t->d.ctx, 1, 5, 3, 0.1);
    if (status == DP_OK) status = dpi_sbc_pointwise(t->d.ctx, 20, 4, 0.9, &p);
    dpi_sbc_release(&sbc);
  }
  assert_true((status == DP_OK) || s == NULL);
  dpi_draws_destroy(s);
  return status;
}

static void test_no_memory(void **state) {
  (void)state;
  for (int which = 0; which < 5; which++) {
    dp_status status = DP_ERR_MEMORY;
    for (long k = 0; status != DP_OK; k++) {
      memory m = {1000000};
      dp_ctx_def def = dp_ctx_def_default();
      dp_ctx *ctx = NULL;
      def.alloc = failing;
      def.alloc_user = &m;
      assert_int_equal(dp_ctx_create(&def, &ctx), DP_OK);
      target *t = target_make(ctx, 2, -10, 10, true, peaks_fn);
      t->a = t->b = 1;
      unlink(path);
      size_t live = dpi_alloc_live(ctx);
      m.left = k;
      status = sample(t, which);
      m.left = 1000000;
      assert_true(status == DP_OK || status == DP_ERR_MEMORY);
      assert_int_equal(dpi_alloc_live(ctx), live);
      free(t);
      dp_ctx_destroy(ctx);
      assert_true(k < 5000);
    }
  }
  unlink(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_box),           cmocka_unit_test(test_box_edges), cmocka_unit_test(test_table),
      cmocka_unit_test(test_damaged_table), cmocka_unit_test(test_no_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
