/* Compared with: the same loop on one thread; results, statuses and messages must be equal for 1,
 * 2, 7 and 16 workers. */
#include <fenv.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/base.h"

static const int sizes[] = {1, 2, 7, 16};

static dp_ctx *context(int nthread) {
  dp_ctx_def def = dp_ctx_def_default();
  def.nthread = nthread;
  dp_ctx *ctx = NULL;
  assert_int_equal(dp_ctx_create(&def, &ctx), DP_OK);
  assert_int_equal(dp_ctx_nthread(ctx), nthread);
  return ctx;
}

/* so that items end in another order than they began in */
static void linger(int i) {
  struct timespec t = {0, (i * 7919 % 13) * 20000L};
  nanosleep(&t, NULL);
}

enum { N = 500 };
typedef struct work {
  dp_ctx *ctx;
  atomic_int times[N];
  atomic_int inside[16]; /* how many items a worker number is running: never two */
  double out[N];
  int fail_from, fail_step;
  atomic_int lowest_skipped;
  bool linger;
} work;

static dp_status work_item(void *user, int i, int worker) {
  work *w = user;
  assert_in_range(worker, 0, dp_ctx_nthread(w->ctx) - 1);
  if (atomic_fetch_add(&w->inside[worker], 1) != 0) abort();
  if (w->linger) linger(i);
  atomic_fetch_add(&w->times[i], 1);
  double x = i + 1;
  for (int k = 0; k < 100; k++) x = x * 1.0000001 + 0.1 / x;
  w->out[i] = x;
  atomic_fetch_sub(&w->inside[worker], 1);
  if (w->fail_step && i >= w->fail_from && (i - w->fail_from) % w->fail_step == 0) {
    return dpi_fail(w->ctx, i % 2 ? DP_ERR_INPUT : DP_ERR_NUMERIC, "item %d of %d", i, N);
  }
  return DP_OK;
}

static void every_item_runs_once_with_the_same_result(void **state) {
  (void)state;
  static work first, w;
  for (int k = 0; k < DPI_COUNT(sizes); k++) {
    memset(&w, 0, sizeof w);
    w.ctx = context(sizes[k]);
    w.linger = k > 0;
    assert_int_equal(dpi_parallel_for(w.ctx, N, work_item, &w), DP_OK);
    for (int i = 0; i < N; i++) assert_int_equal(w.times[i], 1);
    if (k == 0) memcpy(first.out, w.out, sizeof w.out);
    assert_memory_equal(first.out, w.out, sizeof w.out);
    for (int again = 0; again < 200; again++) { /* the pool wakes and sleeps many times */
      assert_int_equal(dpi_parallel_for(w.ctx, 3, work_item, &w), DP_OK);
    }
    assert_int_equal(w.times[2], 201);
    assert_int_equal(dpi_parallel_for(w.ctx, 0, work_item, &w), DP_OK);
    assert_int_equal(dpi_parallel_for(w.ctx, -5, work_item, &w), DP_OK);
    dp_ctx_destroy(w.ctx);
  }
}

static void the_lowest_failure_wins(void **state) {
  (void)state;
  static const struct {
    int from, step;
  } cases[] = {{0, 1}, {3, 1}, {137, 1}, {N - 1, 1}, {20, 7}, {21, 2}};
  for (int c = 0; c < DPI_COUNT(cases); c++) {
    for (int k = 0; k < DPI_COUNT(sizes); k++) {
      static work w;
      memset(&w, 0, sizeof w);
      w.ctx = context(sizes[k]);
      w.linger = true;
      w.fail_from = cases[c].from;
      w.fail_step = cases[c].step;
      dp_status status = dpi_parallel_for(w.ctx, N, work_item, &w);
      assert_int_equal(status, cases[c].from % 2 ? DP_ERR_INPUT : DP_ERR_NUMERIC);
      char want[40];
      snprintf(want, sizeof want, "item %d of %d", cases[c].from, N);
      assert_string_equal(dp_ctx_error(w.ctx), want);
      int ran = 0;
      for (int i = 0; i < N; i++) {
        if (i <= cases[c].from) assert_int_equal(w.times[i], 1);
        ran += w.times[i];
      }
      assert_true(ran <= cases[c].from + 2 * sizes[k] + 40); /* the rest is left out */
      dp_ctx_destroy(w.ctx);
    }
  }
}

/* An item that fails inside and goes on must leave no message behind. */
static dp_status recovering_item(void *user, int i, int worker) {
  (void)worker;
  dp_ctx *ctx = user;
  dpi_fail(ctx, DP_ERR_NUMERIC, "handled in item %d", i);
  if (i % 3 == 0) dp_ctx_clear_error(ctx);
  return i == 40 ? dpi_fail(ctx, DP_ERR_INPUT, "item 40") : DP_OK;
}

static void handled_failures_leave_no_message(void **state) {
  (void)state;
  for (int k = 0; k < DPI_COUNT(sizes); k++) {
    dp_ctx *ctx = context(sizes[k]);
    assert_int_equal(dpi_parallel_for(ctx, 40, recovering_item, ctx), DP_OK);
    assert_string_equal(dp_ctx_error(ctx), "");
    assert_int_equal(dpi_parallel_for(ctx, 60, recovering_item, ctx), DP_ERR_INPUT);
    assert_string_equal(dp_ctx_error(ctx), "handled in item 40");
    /* an older message stays the first one */
    dp_ctx_clear_error(ctx);
    dpi_fail(ctx, DP_ERR_IO, "older");
    assert_int_equal(dpi_parallel_for(ctx, 60, recovering_item, ctx), DP_ERR_INPUT);
    assert_string_equal(dp_ctx_error(ctx), "older");
    dp_ctx_destroy(ctx);
  }
}

typedef struct nest {
  dp_ctx *ctx;
  int outer_worker;
  pthread_t thread;
  atomic_int *count;
  bool fails;
} nest;

static dp_status inner_item(void *user, int i, int worker) {
  nest *n = user;
  if (worker != n->outer_worker || !pthread_equal(pthread_self(), n->thread)) return DP_ERR_BUG;
  atomic_fetch_add(n->count, 1);
  if (n->fails && i == 5) return dpi_fail(n->ctx, DP_ERR_NUMERIC, "inner item 5");
  return DP_OK;
}

static dp_status outer_item(void *user, int i, int worker) {
  nest n = *(nest *)user;
  n.outer_worker = worker;
  n.thread = pthread_self();
  n.fails = i == 30;
  return dpi_parallel_for(n.ctx, 10, inner_item, &n);
}

static void a_loop_in_a_loop_stays_on_its_worker(void **state) {
  (void)state;
  for (int k = 0; k < DPI_COUNT(sizes); k++) {
    atomic_int count = 0;
    nest n = {.ctx = context(sizes[k]), .count = &count};
    assert_int_equal(dpi_parallel_for(n.ctx, 30, outer_item, &n), DP_OK);
    assert_int_equal(count, 300);
    assert_int_equal(dpi_parallel_for(n.ctx, 31, outer_item, &n), DP_ERR_NUMERIC);
    assert_string_equal(dp_ctx_error(n.ctx), "inner item 5");
    dp_ctx_destroy(n.ctx);
  }
}

/* A single outer item leaves the pool free: the inner loop uses it, with the same outcome. */
static dp_status free_item(void *user, int i, int worker) {
  nest *n = user;
  (void)worker;
  linger(i);
  atomic_fetch_add(n->count, 1);
  return i == 50 ? dpi_fail(n->ctx, DP_ERR_NUMERIC, "inner item 50") : DP_OK;
}
static dp_status only_item(void *user, int i, int worker) {
  (void)i, (void)worker;
  nest *n = user;
  return dpi_parallel_for(n->ctx, n->fails ? 100 : 50, free_item, n);
}

static void a_single_item_leaves_the_pool_to_loops_inside(void **state) {
  (void)state;
  for (int k = 0; k < DPI_COUNT(sizes); k++) {
    atomic_int count = 0;
    nest n = {.ctx = context(sizes[k]), .count = &count};
    assert_int_equal(dpi_parallel_for(n.ctx, 1, only_item, &n), DP_OK);
    assert_int_equal(count, 50);
    n.fails = true;
    assert_int_equal(dpi_parallel_for(n.ctx, 1, only_item, &n), DP_ERR_NUMERIC);
    assert_string_equal(dp_ctx_error(n.ctx), "inner item 50");
    dp_ctx_destroy(n.ctx);
  }
}

/* Two threads of the caller with one context: both loops come out right. */
static void *second_thread(void *user) {
  dp_ctx *ctx = user;
  for (int k = 0; k < 100; k++) {
    work *w = calloc(1, sizeof *w);
    w->ctx = ctx;
    bool ok = dpi_parallel_for(ctx, N, work_item, w) == DP_OK;
    for (int i = 0; i < N; i++) ok = ok && w->times[i] == 1;
    free(w);
    if (!ok) return NULL;
  }
  return user;
}

static void two_threads_share_a_context(void **state) {
  (void)state;
  dp_ctx *ctx = context(3);
  pthread_t a, b;
  void *ra, *rb;
  assert_int_equal(pthread_create(&a, NULL, second_thread, ctx), 0);
  assert_int_equal(pthread_create(&b, NULL, second_thread, ctx), 0);
  pthread_join(a, &ra);
  pthread_join(b, &rb);
  assert_non_null(ra);
  assert_non_null(rb);
  dp_ctx_destroy(ctx);
}

static dp_status cancelling_item(void *user, int i, int worker) {
  (void)worker;
  if (i == 10) dp_ctx_cancel(user);
  linger(i);
  return DP_OK;
}

static void cancelling_stops_the_loop(void **state) {
  (void)state;
  for (int k = 0; k < DPI_COUNT(sizes); k++) {
    dp_ctx *ctx = context(sizes[k]);
    assert_int_equal(dpi_parallel_for(ctx, 100000, cancelling_item, ctx), DP_ERR_CANCELLED);
    assert_string_equal(dp_ctx_error(ctx), "stopped on request");
    dp_ctx_destroy(ctx);
  }
}

static dp_status rounding_item(void *user, int i, int worker) {
  (void)i, (void)worker;
  linger(i);
  return fegetround() == *(int *)user ? DP_OK : DP_ERR_BUG;
}

/* The pool exists before the caller changes its rounding; the workers follow all the same. */
static void workers_take_over_the_floating_point_state(void **state) {
  (void)state;
  dp_ctx *ctx = context(4);
  int mode = FE_TONEAREST;
  assert_int_equal(dpi_parallel_for(ctx, 64, rounding_item, &mode), DP_OK);
  mode = FE_UPWARD;
  fesetround(mode);
  dp_status status = dpi_parallel_for(ctx, 64, rounding_item, &mode);
  fesetround(FE_TONEAREST);
  assert_int_equal(status, DP_OK);
  mode = FE_TONEAREST;
  assert_int_equal(dpi_parallel_for(ctx, 64, rounding_item, &mode), DP_OK);
  dp_ctx_destroy(ctx);
}

/* Only the context's own first block is given: no memory for a pool, so the loop runs on the
 * caller. */
static void *only_one(void *user, void *ptr, size_t size_old, size_t size_new) {
  (void)size_old;
  int *given = user;
  if (size_new == 0) {
    free(ptr);
    return NULL;
  }
  return (*given)++ == 0 ? malloc(size_new) : NULL;
}

static void without_memory_for_a_pool_the_caller_does_it(void **state) {
  (void)state;
  int given = 0;
  dp_ctx_def def = dp_ctx_def_default();
  def.nthread = 4;
  def.alloc = only_one;
  def.alloc_user = &given;
  static work w;
  memset(&w, 0, sizeof w);
  assert_int_equal(dp_ctx_create(&def, &w.ctx), DP_OK);
  assert_int_equal(dpi_parallel_for(w.ctx, N, work_item, &w), DP_OK);
  for (int i = 0; i < N; i++) assert_int_equal(w.times[i], 1);
  dp_ctx_destroy(w.ctx);
}

/* What the calling thread gives on, in order, of what has ended. */
typedef struct served {
  dp_ctx *ctx;
  atomic_bool ended[N];
  pthread_t caller;
  int given, fail_at, nelsewhere, item_fails;
} served;

static dp_status served_item(void *user, int i, int worker) {
  (void)worker;
  served *s = user;
  linger(i);
  if (i == s->item_fails) return dpi_fail(s->ctx, DP_ERR_NUMERIC, "item %d", i);
  atomic_store(&s->ended[i], true);
  return DP_OK;
}

static dp_status serve(void *user) {
  served *s = user;
  s->nelsewhere += !pthread_equal(pthread_self(), s->caller);
  for (; s->given < N && atomic_load(&s->ended[s->given]); s->given++)
    if (s->given == s->fail_at) return dpi_fail(s->ctx, DP_ERR_IO, "the server at %d", s->given);
  return DP_OK;
}

static void the_caller_serves_what_has_ended(void **state) {
  (void)state;
  static served s;
  for (int k = 0; k < DPI_COUNT(sizes); k++) {
    s = (served){.ctx = context(sizes[k]), .caller = pthread_self(), .fail_at = -1, .item_fails = -1};
    assert_int_equal(dpi_parallel_serve(s.ctx, N, served_item, serve, &s), DP_OK);
    assert_int_equal(s.given, N);
    assert_int_equal(s.nelsewhere, 0);
    dp_ctx_destroy(s.ctx);
  }
}

/* a failing item stops what follows it, not the giving of what lies before it; a failing server stops all */
static void a_failing_server_ends_the_loop(void **state) {
  (void)state;
  static served s;
  for (int k = 0; k < DPI_COUNT(sizes); k++) {
    s = (served){.ctx = context(sizes[k]), .caller = pthread_self(), .fail_at = -1, .item_fails = 77};
    assert_int_equal(dpi_parallel_serve(s.ctx, N, served_item, serve, &s), DP_ERR_NUMERIC);
    assert_string_equal(dp_ctx_error(s.ctx), "item 77");
    assert_int_equal(s.given, 77);
    dp_ctx_clear_error(s.ctx);
    s = (served){.ctx = s.ctx, .caller = pthread_self(), .fail_at = 50, .item_fails = 77};
    assert_int_equal(dpi_parallel_serve(s.ctx, N, served_item, serve, &s), DP_ERR_IO);
    assert_string_equal(dp_ctx_error(s.ctx), "the server at 50");
    assert_int_equal(s.given, 50);
    dp_ctx_destroy(s.ctx);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_item_runs_once_with_the_same_result),
      cmocka_unit_test(the_lowest_failure_wins),
      cmocka_unit_test(handled_failures_leave_no_message),
      cmocka_unit_test(a_loop_in_a_loop_stays_on_its_worker),
      cmocka_unit_test(a_single_item_leaves_the_pool_to_loops_inside),
      cmocka_unit_test(two_threads_share_a_context),
      cmocka_unit_test(cancelling_stops_the_loop),
      cmocka_unit_test(workers_take_over_the_floating_point_state),
      cmocka_unit_test(without_memory_for_a_pool_the_caller_does_it),
      cmocka_unit_test(the_caller_serves_what_has_ended),
      cmocka_unit_test(a_failing_server_ends_the_loop),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
