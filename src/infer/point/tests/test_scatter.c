/* Independent comparison: the least of a separable many-minima function by a fine scan of one coordinate; plain
 * multi-start with the same number of points; a run in pieces and in other batches against the run at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/tests/failing_memory.h"
#include "infer/point/scatter.h"
#include "infer/point/tests/point_densities.h"

enum { N = 10 };

/* J = sum_i (x_i^2 / 4 + (3 sin(1.5 x_i) + 0.3)^2) / 2: eight minima along each of ten coordinates */
static void waves(const void *user, const double *x, double *r, double *jac) {
  (void)user;
  memset(jac, 0, 2 * N * N * sizeof *jac);
  for (int i = 0; i < N; i++) {
    r[2 * i] = 0.5 * x[i];
    r[2 * i + 1] = 3 * dpi_m_sin(1.5 * x[i]) + 0.3;
    jac[2 * i * N + i] = 0.5;
    jac[(2 * i + 1) * N + i] = 4.5 * dpi_m_cos(1.5 * x[i]);
  }
}

static double least_of_all(void) {
  double least = INFINITY;
  for (double x = -8; x <= 8; x += 1e-4) {
    const double s = 3 * dpi_m_sin(1.5 * x) + 0.3;
    least = fmin(least, 0.125 * x * x + 0.5 * s * s);
  }
  return N * least;
}

typedef struct first { /* what starts have found */
  double x[3 * N], j[3];
} first;

static void begin(squares *q, dp_ctx *ctx, first *f) {
  squares_init(q, ctx, N, 2 * N, waves, NULL, -8, 8);
  dpi_multistart_def def = dpi_multistart_def_default();
  dpi_multistart *ms = NULL;
  def.nstart = 3;
  assert_int_equal(dpi_multistart_run(&q->base, &def, &ms), DP_OK);
  for (int k = 0; k < 3; k++) {
    memcpy(f->x + k * N, ms->start[k].x, N * sizeof(double));
    f->j[k] = ms->start[k].j;
  }
  dpi_multistart_destroy(ms);
  q->calls = 0;
}

static dpi_scatter *run(squares *q, const dpi_scatter_def *def, const first *f) {
  dpi_scatter *s = NULL;
  const dp_status status = dpi_scatter_run(&q->base, def, 3, f->x, f->j, &s);
  if (status != DP_OK) fail_msg("%s: %s", dp_status_name(status), dp_ctx_error(q->base.ctx));
  return s;
}

/* All that was found, to the last bit. */
static char *text_of(squares *q, const dpi_scatter_def *def, const first *f) {
  dpi_scatter *s = run(q, def, f);
  dpi_str text;
  dpi_str_init(&text, q->base.ctx);
  dpi_str_addf(&text, "%d %d %d %d %ld %ld %d\n", s->nmember, s->generations, s->nsearch, s->nbetter, s->neval,
               s->nfailed, s->ended);
  for (int k = 0; k < s->nmember; k++) {
    dpi_str_addf(&text, "%.17g", s->j[k]);
    for (int i = 0; i < N; i++) dpi_str_addf(&text, " %.17g", s->x[k * N + i]);
    dpi_str_add(&text, "\n");
  }
  dpi_scatter_destroy(s);
  return text.data;
}

/* the least of all is found; with as many points plain starts do not find it */
static void test_finds_the_least(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  squares q;
  first f;
  const double want = least_of_all();
  begin(&q, ctx, &f);
  dpi_scatter_def def = dpi_scatter_def_default();
  for (int scans = 1; scans >= 0; scans--) { /* also without scans, by combining and perturbing alone */
    def.levels = scans ? 6 : 0;
    def.patience = scans ? 15 : 60;
    def.local.seed = 1;
    q.calls = 0;
    dpi_scatter *s = run(&q, &def, &f);
    assert_true(fabs(s->j[0] - want) < 1e-6);
    assert_true(s->ended && s->nbetter > 0 && s->nsearch > 0);
    for (int k = 1; k < s->nmember; k++) assert_true(s->j[k] >= s->j[k - 1] + def.local.j_tol);
    assert_int_equal(q.calls, s->neval); /* what was spent is what is said */
    dpi_multistart_def plain = dpi_multistart_def_default();
    dpi_multistart *ms = NULL;
    plain.nstart = 100000;
    plain.max_eval = s->neval;
    plain.starts_only = true;
    assert_int_equal(dpi_multistart_run(&q.base, &plain, &ms), DP_OK);
    double least = INFINITY;
    for (int k = 0; k < ms->nstart; k++) least = fmin(least, ms->start[k].j);
    assert_true(ms->neval >= s->neval);
    assert_true(least > want + 0.1);
    dpi_multistart_destroy(ms);
    dpi_scatter_destroy(s);
  }
  dp_ctx_destroy(ctx);
}

/* the half-space beyond the wall can't be evaluated; other batches, the same bytes */
static const double wall[N + 1] = {1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 9};

static void test_any_batch(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  squares q;
  first f;
  char *text[3];
  begin(&q, ctx, &f);
  q.wall = wall;
  for (int b = 0; b < 3; b++) {
    const int batch[] = {1, 7, 64};
    dpi_scatter_def def = dpi_scatter_def_default();
    def.local.batch = batch[b];
    def.patience = 3;
    text[b] = text_of(&q, &def, &f);
    assert_string_equal(text[b], text[0]);
  }
  for (int b = 0; b < 3; b++) dpi_free(ctx, text[b]);
  dp_ctx_destroy(ctx);
}

/* interrupted at many places and gone on with, in other batches: the same set and the same file */
static void test_resume(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  squares q;
  first f;
  char *file = NULL, *again = NULL;
  size_t size;
  begin(&q, ctx, &f);
  q.wall = wall;
  dpi_scatter_def def = dpi_scatter_def_default();
  def.patience = 3;
  def.steps = 4; /* so short that searches go on in the next generation */
  def.file = "scatter_whole.tsv";
  remove(def.file);
  char *text = text_of(&q, &def, &f);
  assert_int_equal(dpi_file_read(ctx, def.file, 0, &file, &size), DP_OK);
  assert_non_null(strstr(file, "doppel scatter 1\nproblem\t"));
  def.file = "scatter_pieces.tsv";
  remove(def.file);
  int pieces = 0;
  for (dp_status status = DP_ERR_CANCELLED; status != DP_OK; pieces++) {
    dpi_scatter *s = NULL;
    def.local.batch = pieces % 2 ? 64 : 13;
    q.batches = 0;
    q.cancel_after = 40 + pieces; /* more than one generation, or no piece would get anywhere */
    status = dpi_scatter_run(&q.base, &def, 3, f.x, f.j, &s);
    dpi_scatter_destroy(s);
    assert_true(status == DP_OK || status == DP_ERR_CANCELLED);
    assert_true(pieces < 1000);
  }
  q.cancel_after = 0;
  assert_true(pieces > 2);
  char *after = text_of(&q, &def, &f); /* nothing is left to do */
  assert_string_equal(after, text);
  assert_int_equal(dpi_file_read(ctx, def.file, 0, &again, &size), DP_OK);
  assert_string_equal(again, file);
  char *block[] = {text, file, again, after};
  for (int k = 0; k < 4; k++) dpi_free(ctx, block[k]);
  dp_ctx_destroy(ctx);
}

/* time is spent at once: what was given stands, and it is said */
static void test_time(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  squares q;
  first f;
  begin(&q, ctx, &f);
  dpi_scatter_def def = dpi_scatter_def_default();
  def.max_cpu = 1e-12;
  dpi_scatter *s = run(&q, &def, &f);
  assert_true(!s->ended && s->nmember >= 1 && s->nsearch == 0);
  assert_true(s->j[0] == fmin(f.j[0], fmin(f.j[1], f.j[2])));
  dpi_scatter_destroy(s);
  dp_ctx_destroy(ctx);
}

/* files of another run, damaged or cut anywhere: an error or the same answer, never a crash */
static void test_bad_files(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  squares q;
  first f;
  char *file = NULL;
  size_t size;
  begin(&q, ctx, &f);
  dpi_scatter_def def = dpi_scatter_def_default();
  dpi_scatter *s = NULL;
  def.patience = 1;
  def.families = 2;
  def.members = 3;
  def.file = "scatter_bad.tsv";
  remove(def.file);
  dpi_free(ctx, text_of(&q, &def, &f));
  assert_int_equal(dpi_file_read(ctx, def.file, 0, &file, &size), DP_OK);
  def.local.seed = 2;
  assert_int_equal(dpi_scatter_run(&q.base, &def, 3, f.x, f.j, &s), DP_ERR_CONFLICT);
  assert_non_null(strstr(dp_ctx_error(ctx), "other settings"));
  dp_ctx_clear_error(ctx);
  def.local.seed = 1;
  for (size_t cut = 0; cut < size; cut += 17) {
    const char kept = file[cut];
    for (int kind = 0; kind < 2; kind++) {
      file[cut] = kind ? '\t' : '9';
      assert_int_equal(dpi_file_write(ctx, def.file, file, kind ? cut : size), DP_OK);
      const dp_status status = dpi_scatter_run(&q.base, &def, 3, f.x, f.j, &s);
      assert_true(status == DP_OK || status == DP_ERR_CONFLICT || status == DP_ERR_INPUT);
      if (kind) assert_int_not_equal(status, DP_OK);
      if (status != DP_OK) assert_string_not_equal(dp_ctx_error(ctx), "");
      dpi_scatter_destroy(s);
      dp_ctx_clear_error(ctx);
    }
    file[cut] = kept;
  }
  dpi_free(ctx, file);
  def.file = NULL;
  def.places = 0;
  assert_int_equal(dpi_scatter_run(&q.base, &def, 3, f.x, f.j, &s), DP_ERR_USAGE);
  def.places = 1;
  f.j[0] = f.j[1] = f.j[2] = INFINITY;
  assert_int_equal(dpi_scatter_run(&q.base, &def, 3, f.x, f.j, &s), DP_ERR_USAGE);
  dp_ctx_destroy(ctx);
}

static void test_memory(void **state) {
  (void)state;
  failing_memory memory = {0};
  dp_ctx *ctx = failing_context(&memory);
  squares q;
  first f;
  begin(&q, ctx, &f);
  dpi_scatter_def def = dpi_scatter_def_default();
  def.patience = 1;
  def.families = 2;
  def.places = 2;
  def.levels = 1;
  def.members = 2;
  def.steps = 2;
  def.file = "scatter_memory.tsv";
  for (long n = 0;; n++) {
    dpi_scatter *s = NULL;
    remove(def.file);
    failing_next(&memory, n);
    const dp_status status = dpi_scatter_run(&q.base, &def, 3, f.x, f.j, &s);
    const bool failed = failing_happened(&memory);
    failing_never(&memory);
    assert_int_equal(status, failed ? DP_ERR_MEMORY : DP_OK);
    assert_true((s != NULL) == !failed);
    dpi_scatter_destroy(s);
    assert_int_equal(dpi_alloc_live(ctx), 0);
    dp_ctx_clear_error(ctx);
    if (!failed) break;
  }
  dp_ctx_destroy(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_finds_the_least), cmocka_unit_test(test_any_batch), cmocka_unit_test(test_resume),
      cmocka_unit_test(test_time),            cmocka_unit_test(test_bad_files), cmocka_unit_test(test_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
