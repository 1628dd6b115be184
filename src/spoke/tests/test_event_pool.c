/* What spokes share: the pool of triggered events and a member's timeline, against orders worked out by hand and
 * against the chances of a fair lot. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "num/num.h"
#include "spoke/event_pool.h"
#include "spoke/timeline.h"

enum { WIDTH = 2 };

typedef struct bench { /* what a spoke's bench would be */
  dpi_event_pool pool;
  const double *priority; /* of each event; NaN: not a number */
  dpi_rng rng;
  int nlot;
} bench;

static bool priority_of(void *w, int i, double *p) {
  bench *b = w;
  *p = b->priority[b->pool.due[i].event];
  return !isnan(*p);
}

static int lot(void *w, int n) {
  bench *b = w;
  b->nlot++;
  return (int)(dpi_rng_uniform(&b->rng) * n);
}

static const dpi_event_law law = {priority_of, lot};

static dp_ctx *setup(void) {
  dp_ctx *ctx = NULL;
  const dp_ctx_def def = dp_ctx_def_default();
  assert_int_equal(dp_ctx_create(&def, &ctx), DP_OK);
  return ctx;
}

static void put(dp_ctx *ctx, bench *b, double time, int event) {
  assert_int_equal(dpi_event_pool_room(ctx, &b->pool, b->pool.n + 1, WIDTH), DP_OK);
  double *vec = dpi_event_pool_add(&b->pool, WIDTH, time, event);
  assert_true(vec[0] == 0 && vec[1] == 0);
  vec[0] = event;
  vec[1] = time;
}

/* by priority among what is due, each with its own numbers; what waits is left alone */
static void test_order(void **state) {
  (void)state;
  dp_ctx *ctx = setup();
  const double priority[] = {1, 3, -INFINITY, 2};
  bench b = {.priority = priority, .rng = dpi_rng_make(1, 0, 0)};
  put(ctx, &b, 5, 2);
  put(ctx, &b, 5, 0);
  put(ctx, &b, 6, 1);
  put(ctx, &b, 4, 3);
  assert_true(dpi_event_pool_next(&b.pool) == 4);
  const int want[] = {3, 0, 2, -1};
  for (int k = 0; k < 4; k++) {
    const int i = dpi_event_pool_choose(&b.pool, 5, &law, &b);
    assert_int_equal(i < 0 ? -1 : b.pool.due[i].event, want[k]);
    if (i < 0) break;
    assert_true(b.pool.vec[WIDTH * i] == want[k] && b.pool.vec[WIDTH * i + 1] == b.pool.due[i].time);
    dpi_event_pool_remove(&b.pool, WIDTH, i);
  }
  assert_int_equal(b.nlot, 0);
  assert_int_equal(b.pool.n, 1);
  assert_true(dpi_event_pool_next(&b.pool) == 6);
  dpi_event_pool_release(ctx, &b.pool);
  assert_true(isinf(dpi_event_pool_next(&b.pool)));
  dp_ctx_destroy(ctx);
}

/* all of an event's executions are taken back, nobody else's */
static void test_revoke(void **state) {
  (void)state;
  dp_ctx *ctx = setup();
  const double priority[] = {0, 0, 0};
  bench b = {.priority = priority, .rng = dpi_rng_make(1, 0, 0)};
  const int event[] = {1, 0, 1, 2, 1};
  for (int i = 0; i < 5; i++) put(ctx, &b, i, event[i]);
  dpi_event_pool_revoke(&b.pool, WIDTH, 1);
  assert_int_equal(b.pool.n, 2);
  assert_true(b.pool.due[0].event == 0 && b.pool.vec[1] == 1 && b.pool.due[1].event == 2 && b.pool.vec[3] == 3);
  assert_true(dpi_event_pool_plausible(&b.pool, 3));
  assert_false(dpi_event_pool_plausible(&b.pool, 2));
  dpi_event_pool_release(ctx, &b.pool);
  dp_ctx_destroy(ctx);
}

/* three that tie, and two that do not: each of the three in a third of 30000 cases, within 5 standard deviations */
static void test_ties(void **state) {
  (void)state;
  enum { TIMES = 30000 };
  dp_ctx *ctx = setup();
  const double priority[] = {2, 1, 2, -INFINITY, 2};
  bench b = {.priority = priority, .rng = dpi_rng_make(7, 1, 2)};
  int count[5] = {0};
  for (int e = 0; e < 5; e++) put(ctx, &b, 1, e);
  for (int k = 0; k < TIMES; k++) count[dpi_event_pool_choose(&b.pool, 1, &law, &b)]++;
  const double sd = sqrt(TIMES * (1.0 / 3) * (2.0 / 3));
  for (int e = 0; e < 5; e++) assert_true(fabs(count[e] - (priority[e] == 2 ? TIMES / 3.0 : 0)) <= 5 * sd);
  assert_int_equal(count[1] + count[3], 0);
  assert_int_equal(b.nlot, TIMES);
  dpi_event_pool_release(ctx, &b.pool);
  dp_ctx_destroy(ctx);
}

/* a priority that is not a number fails the member; without priorities all tie */
static void test_no_priority(void **state) {
  (void)state;
  dp_ctx *ctx = setup();
  const double none[] = {-INFINITY, -INFINITY}, bad[] = {1, NAN};
  bench b = {.priority = none, .rng = dpi_rng_make(3, 0, 0)};
  bool seen[2] = {false, false};
  put(ctx, &b, 1, 0);
  put(ctx, &b, 1, 1);
  for (int k = 0; k < 100; k++) seen[dpi_event_pool_choose(&b.pool, 1, &law, &b)] = true;
  assert_true(seen[0] && seen[1]);
  b.priority = bad;
  assert_int_equal(dpi_event_pool_choose(&b.pool, 1, &law, &b), -2);
  dpi_event_pool_release(ctx, &b.pool);
  dp_ctx_destroy(ctx);
}

/* 10000 at one instant and no more; two that alternate are both named; time that moves on starts anew */
static void test_calm(void **state) {
  (void)state;
  dpi_storm s = {0};
  int other = -1;
  for (int k = 0; k < 10000; k++) assert_true(dpi_event_calm(&s, 2, k % 2, &other));
  assert_false(dpi_event_calm(&s, 2, 0, &other));
  assert_int_equal(other, 1);
  s = (dpi_storm){0};
  for (int k = 0; k < 10000; k++) assert_true(dpi_event_calm(&s, 2, 4, &other));
  assert_false(dpi_event_calm(&s, nextafter(2, 3), 4, &other));
  assert_int_equal(other, 4);
  for (int k = 0; k < 30000; k++) assert_true(dpi_event_calm(&s, 3 + k, 4, &other));
}

/* instants with repeats: 1 + 2k (k to 3) beside 3 and 4; at 3 the earlier position first, and `order` before that */
static void test_timeline(void **state) {
  (void)state;
  const dp_instant instant[] = {
      {.time = DP_TICKS, .type = DP_SET, .repeats = 3, .interval = 2 * DP_TICKS},
      {.time = 3 * DP_TICKS, .type = DP_SET},
      {.time = 4 * DP_TICKS, .type = DP_SET, .order = 1},
      {.time = 5 * DP_TICKS, .type = DP_SET, .order = -1},
  };
  const dp_output_time out[] = {{.time = 3 * DP_TICKS}};
  const dp_member def = {.instant = instant, .ninstant = 4, .out = out, .nout = 1};
  int repeat[2];
  dpi_timeline line = {.repeat = repeat};
  assert_int_equal(dpi_timeline_repeating(&def), 1);
  const double time[] = {1, 3, 3, 4, 5, 5, 7};
  const int which[] = {0, 0, 1, 2, 3, 0, 0};
  for (int k = 0; k < 7; k++) {
    const dpi_coming n = dpi_timeline_next(&line, &def);
    assert_true(n.t == time[k] && n.instant == which[k]);
    assert_int_equal(dpi_timeline_before_output(&def, 0, &n), time[k] <= 3);
    assert_true(dpi_timeline_before_output(&def, 1, &n));
    dpi_timeline_pass(&line, &def, &n);
    assert_true(dpi_timeline_plausible(&line, &def));
  }
  const dpi_coming none = dpi_timeline_next(&line, &def);
  assert_true(none.instant == -1 && isinf(none.t) && !dpi_timeline_before_output(&def, 0, &none));
  line.nrepeat = 1;
  repeat[0] = 7;
  assert_false(dpi_timeline_plausible(&line, &def));
}

/* the sum, or the tick's time that it is but for rounding */
static void test_time(void **state) {
  (void)state;
  assert_true(0.1 + 0.2 != 0.3 && dpi_event_pool_time(0.1, 0.2) == 0.3);
  assert_true(0.1 + 0.7 != 0.8 && dpi_event_pool_time(0.1, 0.7) == 0.8);
  assert_true(dpi_event_pool_time(nextafter(1, 2), 1) == 2);
  assert_true(dpi_event_pool_time(nextafter(1, 2), 0) == nextafter(1, 2)); /* without a delay, then */
  assert_true(dpi_event_pool_time(1, 1e-13) == 1 + 1e-13);
  assert_true(dpi_event_pool_time(1e18, 2e17) == 1e18 + 2e17);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_order),       cmocka_unit_test(test_revoke), cmocka_unit_test(test_ties),
      cmocka_unit_test(test_no_priority), cmocka_unit_test(test_calm),   cmocka_unit_test(test_timeline),
      cmocka_unit_test(test_time),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
