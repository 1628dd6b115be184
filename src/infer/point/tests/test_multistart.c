/* Independent comparison: all minima of a separable many-minima function by a fine scan of one coordinate; Sobol's
 * points against published ones; a run in pieces and in other batches against the run at once, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/tests/failing_memory.h"
#include "infer/point/multistart.h"
#include "infer/point/tests/point_densities.h"

/* J = sum_i (x_i^2 / 4 + (3 sin(1.5 x_i) + 0.3)^2) / 2: a product of many minima, the best near 0 */
static void waves(const void *user, const double *x, double *r, double *jac) {
  const int n = 2;
  (void)user;
  memset(jac, 0, 8 * sizeof *jac);
  for (int i = 0; i < n; i++) {
    r[2 * i] = 0.5 * x[i];
    r[2 * i + 1] = 3 * dpi_m_sin(1.5 * x[i]) + 0.3;
    jac[2 * i * n + i] = 0.5;
    jac[(2 * i + 1) * n + i] = 4.5 * dpi_m_cos(1.5 * x[i]);
  }
}

static double wave(double x) {
  double s = 3 * dpi_m_sin(1.5 * x) + 0.3;
  return 0.125 * x * x + 0.5 * s * s;
}

/* the values of all minima of one coordinate within [-8, 8], ascending */
static int scan(double *value) {
  int n = 0;
  double h = 1e-4;
  for (double x = -8 + h; x < 8; x += h) {
    if (wave(x) <= wave(x - h) && wave(x) < wave(x + h)) value[n++] = wave(x);
  }
  dpi_sort(value, n);
  return n;
}

static dpi_multistart *run(squares *q, const dpi_multistart_def *def) {
  dpi_multistart *ms = NULL;
  dp_status status = dpi_multistart_run(&q->base, def, &ms);
  if (status != DP_OK) fail_msg("%s: %s", dp_status_name(status), dp_ctx_error(q->base.ctx));
  return ms;
}

static void test_all_minima(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  squares q;
  double one[64], want[4096];
  int n1 = scan(one), n = 0;
  for (int a = 0; a < n1; a++) {
    for (int b = 0; b < n1; b++) want[n++] = one[a] + one[b];
  }
  dpi_sort(want, n);
  squares_init(&q, ctx, 2, 4, waves, NULL, -8, 8);
  dpi_multistart_def def = dpi_multistart_def_default();
  def.nstart = 400;
  def.j_tol = 1e-3;
  for (int s = 0; s < DPI_SAMPLING_COUNT; s++) {
    def.sampling = (dpi_sampling)s;
    dpi_multistart *ms = run(&q, &def);
    assert_int_equal(ms->nfound, 400);
    assert_true(fabs(ms->optimum[0].j - want[0]) < 1e-6);
    for (int r = 1; r < ms->nfound; r++) assert_true(ms->start[ms->order[r]].j >= ms->start[ms->order[r - 1]].j);
    /* every optimum inside is a known one; no two are the same; counts add up */
    int total = 0, inside = 0;
    for (int o = 0; o < ms->noptimum; o++) {
      double least = INFINITY;
      const dpi_optimum *p = &ms->optimum[o];
      for (int k = 0; k < n; k++) least = fmin(least, fabs(want[k] - p->j));
      if (!p->at[0] && !p->at[1]) assert_true(least < 1e-6);
      inside += !p->at[0] && !p->at[1];
      total += p->count;
      for (int m = 0; m < o; m++) {
        double dx = p->x[0] - ms->optimum[m].x[0], dy = p->x[1] - ms->optimum[m].x[1];
        assert_true(dx * dx + dy * dy > 1e-3);
      }
    }
    assert_int_equal(total, 400);
    assert_true(inside > n / 2 && ms->hit_rate > 0.002 && ms->hit_rate < 0.2);
    dpi_multistart_destroy(ms);
  }
  dp_ctx_destroy(ctx);
}

/* along a flat line every distance is none: one optimum, all starts hit it */
static void line(const void *user, const double *x, double *r, double *jac) {
  (void)user;
  r[0] = 10 * (x[0] + x[1] - 1);
  jac[0] = jac[1] = 10;
}

static void test_flat_is_one(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  squares q;
  squares_init(&q, ctx, 2, 1, line, NULL, -8, 8);
  dpi_multistart_def def = dpi_multistart_def_default();
  dpi_multistart *ms = run(&q, &def);
  assert_int_equal(ms->noptimum, 1);
  assert_true(ms->hit_rate == 1);
  dpi_multistart_destroy(ms);
  dp_ctx_destroy(ctx);
}

static char *text_of(squares *q, const dpi_multistart_def *def) {
  dpi_multistart *ms = run(q, def);
  dpi_str s;
  dpi_str_init(&s, q->base.ctx);
  dpi_multistart_write(ms, &q->base, &s);
  dpi_str_addf(&s, "%ld %ld %ld %.17g\n", ms->neval, ms->nfailed, ms->nredraw, ms->hit_rate);
  for (int k = 0; k < ms->nstart; k++) {
    dpi_str_addf(&s, "%ld %d %.17g %.17g %s\n", ms->start[k].neval, ms->start[k].nredraw, ms->start[k].x[0],
                 ms->start[k].x0[1], ms->start[k].reason);
  }
  dpi_multistart_destroy(ms);
  return s.data;
}

static void walled(squares *q, dp_ctx *ctx) {
  static const double wall[3] = {1, 1, 6};
  squares_init(q, ctx, 2, 4, waves, NULL, -8, 8);
  q->wall = wall;
}

static void test_any_batch(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  const int batch[] = {1, 7, 64};
  squares q;
  walled(&q, ctx);
  for (int variant = 0; variant < 5; variant++) {
    char *first = NULL;
    dpi_multistart_def def = dpi_multistart_def_default();
    def.nstart = 100;
    def.sampling = (dpi_sampling)(variant % 4);
    def.trust.refresh = variant == 4 ? 3 : 1;
    if (variant == 1) def.screen = 4;
    if (variant == 2) def.max_eval = 500;
    if (variant == 3) def.trust.hessian = DPI_HESSIAN_SR1;
    for (int b = 0; b < 3; b++) {
      def.batch = batch[b];
      q.largest = 0;
      char *text = text_of(&q, &def);
      assert_true(q.largest >= batch[b]); /* they do go together */
      if (first)
        assert_string_equal(text, first);
      else
        first = text;
      if (text != first) dpi_free(ctx, text);
    }
    def.race = true; /* in another order, and the same answer */
    def.batch = 5;
    char *text = text_of(&q, &def);
    assert_string_equal(text, first);
    dpi_free(ctx, text);
    dpi_free(ctx, first);
  }
  dp_ctx_destroy(ctx);
}

/* Lines of a state file that begin with a word; *most: the largest number of steps among searches under way, *least:
 * the smallest. */
static int lines_of(dp_ctx *ctx, const char *path, const char *word, int *most, int *least) {
  char *file = NULL, *save = NULL;
  size_t size;
  int n = 0;
  *most = 0;
  *least = 1 << 30;
  assert_int_equal(dpi_file_read(ctx, path, 0, &file, &size), DP_OK);
  for (char *line = strtok_r(file, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
    if (strncmp(line, word, strlen(word)) != 0) continue;
    n++;
    int niter = 0; /* the ninth number of the search, which is the last column */
    if (sscanf(strrchr(line, '\t') + 1, "%*d %*d %*d %*d %*d %*d %*d %*d %d", &niter) != 1) continue;
    if (niter > *most) *most = niter;
    if (niter < *least) *least = niter;
  }
  dpi_free(ctx, file);
  return n;
}

/* A race that is cut short has given all starts their first steps, and then the leading ones more; without it the same
 * number of rounds has gone to the first few. Gone on with, both give the whole answer. */
static void test_race(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  squares q;
  squares_init(&q, ctx, 2, 2, rosenbrock, NULL, -50, 50); /* a long valley: some 50 steps */
  dpi_multistart_def def = dpi_multistart_def_default();
  def.nstart = 32;
  def.batch = 4;
  def.trust.hessian = DPI_HESSIAN_BFGS;
  char *want = text_of(&q, &def);
  for (int race = 0; race < 2; race++) {
    dpi_multistart *ms = NULL;
    int most, least;
    def.race = race != 0;
    def.file = "point_race.tsv";
    def.save_every = 1e9;
    remove(def.file);
    q.batches = 0;
    q.cancel_after = 160; /* 640 points, twice the first rung */
    assert_int_equal(dpi_multistart_run(&q.base, &def, &ms), DP_ERR_CANCELLED);
    q.cancel_after = 0;
    const int done = lines_of(ctx, def.file, "done", &most, &least);
    const int under_way = lines_of(ctx, def.file, "search", &most, &least);
    if (race) {
      assert_int_equal(done + under_way, 32);
      assert_true(least >= 10 && most > least);
    } else {
      assert_true(under_way <= 4 && done + under_way < 32);
    }
    char *text = text_of(&q, &def);
    assert_string_equal(text, want);
    dpi_free(ctx, text);
    def.file = NULL;
  }
  dpi_free(ctx, want);
  dp_ctx_destroy(ctx);
}

/* interrupted after every few batches, begun again with another batch: the same text and the same file in the end */
static void test_resume(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  squares q;
  size_t size;
  char *text = NULL, *file = NULL, *again = NULL;
  walled(&q, ctx);
  for (int h = 0; h < 6; h++) { /* then information now and then, and races */
    dpi_multistart_def def = dpi_multistart_def_default();
    def.nstart = 40;
    def.trust.hessian = h < 3 ? (dpi_hessian)h : DPI_HESSIAN_HYBRID;
    def.trust.refresh = h == 3 || h == 5 ? 3 : 1;
    def.race = h >= 4;
    def.save_every = 1e9;
    def.file = "point_whole.tsv";
    remove(def.file);
    text = text_of(&q, &def);
    assert_int_equal(dpi_file_read(ctx, def.file, 0, &file, &size), DP_OK);
    def.file = "point_pieces.tsv";
    def.save_every = h == 0 ? 0 : 1e9; /* interrupted runs write the file anyway */
    remove(def.file);
    int pieces = 0;
    while (true) {
      dpi_multistart *ms = NULL;
      def.batch = pieces % 2 ? 40 : 7;
      q.batches = 0;
      q.cancel_after = 3;
      if (pieces > 5) def.batch = 3; /* smaller than the searches in the file */
      if (pieces > 8) q.cancel_after = 0;
      dp_status status = dpi_multistart_run(&q.base, &def, &ms);
      dpi_multistart_destroy(ms);
      if (status == DP_OK) break;
      assert_int_equal(status, DP_ERR_CANCELLED);
      pieces++;
    }
    q.cancel_after = 0;
    assert_true(pieces > 8);
    char *after = text_of(&q, &def); /* nothing is left to do */
    assert_string_equal(after, text);
    assert_int_equal(dpi_file_read(ctx, def.file, 0, &again, &size), DP_OK);
    assert_string_equal(again, file);
    void *block[] = {after, text, file, again};
    for (int k = 0; k < 4; k++) dpi_free(ctx, block[k]);
  }
  dp_ctx_destroy(ctx);
}

/* Processor time is spent at once: one round, what is under way is said to be cut, and the file goes on to the whole
 * answer. Also where values are asked for before gradients. */
static void test_time(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  squares q;
  walled(&q, ctx);
  for (int first = 1; first <= 2; first++) {
    dpi_multistart_def def = dpi_multistart_def_default();
    def.nstart = 40;
    def.batch = 7;
    def.trust.value_first = first;
    if (first == 1) q.wall = NULL; /* the one point of the round can be evaluated */
    else walled(&q, ctx);
    char *text = text_of(&q, &def);
    def.file = "point_time.tsv";
    remove(def.file);
    def.max_cpu = 1e-12;
    dpi_multistart *ms = NULL;
    dp_status status = dpi_multistart_run(&q.base, &def, &ms); /* a round of values alone finds nothing */
    assert_int_equal(status, first == 2 ? DP_ERR_CONVERGE : DP_OK);
    if (ms) {
      int cut = 0, waiting = 0;
      for (int k = 0; k < ms->nstart; k++) {
        cut += ms->start[k].end == DPI_TRUST_TIME;
        waiting += ms->start[k].end == DPI_TRUST_RUNNING;
      }
      assert_true(cut + ms->nended > 0 && cut <= 7 && waiting == 40 - cut - ms->nended);
    }
    dpi_multistart_destroy(ms);
    dp_ctx_clear_error(ctx);
    def.max_cpu = 0;
    char *after = text_of(&q, &def);
    assert_string_equal(after, text);
    dpi_free(ctx, text);
    dpi_free(ctx, after);
  }
  dp_ctx_destroy(ctx);
}

/* the context's own cancel, in the middle */
static void stop_at_ten(void *user, int done, int of, double best) {
  (void)of;
  (void)best;
  if (done >= 10) dp_ctx_cancel(user);
}

static void test_cancel(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  squares q;
  walled(&q, ctx);
  dpi_multistart_def def = dpi_multistart_def_default();
  def.batch = 5;
  def.file = "point_cancel.tsv";
  def.progress = stop_at_ten;
  def.user = ctx;
  remove(def.file);
  dpi_multistart *ms = NULL;
  assert_int_equal(dpi_multistart_run(&q.base, &def, &ms), DP_ERR_CANCELLED);
  assert_true(dpi_file_exists(def.file));
  dp_ctx_resume(ctx);
  def.progress = NULL;
  char *a = text_of(&q, &def);
  def.file = NULL;
  char *b = text_of(&q, &def);
  assert_string_equal(a, b);
  dpi_free(ctx, a);
  dpi_free(ctx, b);
  dp_ctx_destroy(ctx);
}

/* files that are not ours, or of another run, or damaged anywhere: an error or the same result, never a crash */
static void test_bad_files(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  squares q;
  dpi_multistart_def def = dpi_multistart_def_default();
  dpi_multistart *ms = NULL;
  char *file = NULL;
  size_t size;
  walled(&q, ctx);
  def.nstart = 10;
  def.file = "point_bad.tsv";
  def.save_every = 0;
  remove(def.file);
  q.cancel_after = 4;
  assert_int_equal(dpi_multistart_run(&q.base, &def, &ms), DP_ERR_CANCELLED);
  q.cancel_after = 0;
  assert_int_equal(dpi_file_read(ctx, def.file, 0, &file, &size), DP_OK);
  def.seed = 2;
  assert_int_equal(dpi_multistart_run(&q.base, &def, &ms), DP_ERR_CONFLICT);
  assert_non_null(strstr(dp_ctx_error(ctx), "another problem or of other settings"));
  def.seed = 1;
  dp_ctx_clear_error(ctx);
  def.save_every = 1e9;
  for (size_t cut = 0; cut < size; cut += 61) {
    char kept = file[cut];
    for (int kind = 0; kind < 2; kind++) {
      file[cut] = kind ? '\t' : '9';
      assert_int_equal(dpi_file_write(ctx, def.file, file, kind ? cut : size), DP_OK);
      dp_status status = dpi_multistart_run(&q.base, &def, &ms);
      assert_true(status == DP_OK || status == DP_ERR_CONFLICT || status == DP_ERR_INPUT || status == DP_ERR_CONVERGE);
      if (kind) assert_int_not_equal(status, DP_OK);
      if (status != DP_OK) assert_string_not_equal(dp_ctx_error(ctx), "");
      dpi_multistart_destroy(ms);
      dp_ctx_clear_error(ctx);
    }
    file[cut] = kept;
  }
  dpi_free(ctx, file);
  dp_ctx_destroy(ctx);
}

static void test_nothing_works(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  squares q;
  const double everywhere[3] = {0, 0, -1};
  dpi_multistart_def def = dpi_multistart_def_default();
  dpi_multistart *ms = NULL;
  squares_init(&q, ctx, 2, 2, rosenbrock, NULL, -5, 5);
  q.wall = everywhere;
  def.nstart = 12;
  def.max_redraw = 3;
  assert_int_equal(dpi_multistart_run(&q.base, &def, &ms), DP_ERR_CONVERGE);
  assert_string_equal(dp_ctx_error(ctx),
                      "none of 12 starts could be evaluated (48 points tried): 12 times 'beyond the wall'; "
                      "narrow the bounds or give a start");
  dp_ctx_clear_error(ctx);
  q.lower[1] = -INFINITY;
  q.wall = NULL;
  assert_int_equal(dpi_multistart_run(&q.base, &def, &ms), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(ctx), "parameter 'b': its bounds are [-inf, 5]"));
  dp_ctx_clear_error(ctx);
  def.nstart = 0;
  assert_int_equal(dpi_multistart_run(&q.base, &def, &ms), DP_ERR_USAGE);
  const double given[4] = {-1.2, 1, 3, 3};
  def.given = given;
  def.ngiven = 2;
  dp_ctx_clear_error(ctx);
  ms = run(&q, &def); /* given starts need no finite box */
  assert_true(ms->optimum[0].count == 2 && ms->hit_rate == 1 && fabs(ms->optimum[0].x[1] - 1) < 1e-6);
  dpi_multistart_destroy(ms);
  dp_ctx_destroy(ctx);
}

/* The first points of the sequence (Joe & Kuo's table; also what SciPy 1.17 gives), and a late one in many
 * dimensions. */
static void test_sobol(void **state) {
  (void)state;
  const double first[5][6] = {{.5, .5, .5, .5, .5, .5},
                              {.75, .25, .25, .25, .75, .75},
                              {.25, .75, .75, .75, .25, .25},
                              {.375, .375, .625, .875, .375, .125},
                              {.875, .875, .125, .375, .875, .625}};
  double u[DPI_SOBOL_MAX];
  for (uint32_t k = 0; k < 5; k++) {
    dpi_sobol_point(k + 1, 6, u);
    for (int i = 0; i < 6; i++) assert_true(u[i] == first[k][i]);
  }
  dpi_sobol_point(999, DPI_SOBOL_MAX, u);
  assert_true(fabs(u[5] - 0.84472656) < 1e-8 && fabs(u[100] - 0.70605469) < 1e-8);
  assert_true(fabs(u[255] - 0.43652344) < 1e-8 && fabs(u[299] - 0.58886719) < 1e-8);
  dp_ctx *ctx = plain_ctx();
  squares q;
  squares_init(&q, ctx, 3, 1, line, NULL, 0, 1);
  for (int sampling = 0; sampling < 2; sampling++) { /* each stratum of each parameter once, whatever the seed */
    dpi_starts s;
    int seen[3][64] = {{0}};
    double x[3];
    assert_int_equal(dpi_starts_init(&s, &q.base, (dpi_sampling)sampling, 64, 77), DP_OK);
    for (int k = 0; k < 64; k++) {
      assert_int_equal(dpi_starts_point(&s, k, 0, x), DP_OK);
      for (int i = 0; i < 3; i++) seen[i][(int)(64 * x[i])]++;
    }
    for (int i = 0; i < 3; i++) {
      for (int k = 0; k < 64; k++) assert_int_equal(seen[i][k], 1);
    }
    dpi_starts_release(&s);
  }
  dp_ctx_destroy(ctx);
}

static void test_memory(void **state) {
  (void)state;
  failing_memory memory = {0};
  dp_ctx *ctx = failing_context(&memory);
  squares q;
  walled(&q, ctx);
  dpi_multistart_def def = dpi_multistart_def_default();
  def.nstart = 5;
  def.batch = 2;
  def.file = "point_memory.tsv";
  for (long n = 0;; n++) {
    dpi_multistart *ms = NULL;
    remove(def.file);
    failing_next(&memory, n);
    dp_status status = dpi_multistart_run(&q.base, &def, &ms);
    bool failed = failing_happened(&memory);
    failing_never(&memory);
    assert_int_equal(status, failed ? DP_ERR_MEMORY : DP_OK);
    assert_true((ms != NULL) == !failed);
    dpi_multistart_destroy(ms);
    assert_int_equal(dpi_alloc_live(ctx), 0);
    dp_ctx_clear_error(ctx);
    if (!failed) break;
  }
  dp_ctx_destroy(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_all_minima),    cmocka_unit_test(test_flat_is_one), cmocka_unit_test(test_any_batch),
      cmocka_unit_test(test_resume),        cmocka_unit_test(test_cancel),      cmocka_unit_test(test_bad_files),
      cmocka_unit_test(test_nothing_works), cmocka_unit_test(test_sobol),       cmocka_unit_test(test_memory),
      cmocka_unit_test(test_time),          cmocka_unit_test(test_race),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
