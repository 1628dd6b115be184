/* FAMoS against the known order of turns of the paper's synthetic problem, as PEtab Select's own test has it, and
 * against the definition on small spaces whose criteria are made up. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/tests/failing_memory.h"
#include "infer/estimate/select_famos.h"

enum { N = 16, MOST_TURNS = 64 };
static const struct {
  unsigned model;
  double aicc;
} known[] = {
#include "infer/estimate/tests/famos_2019.inc"
};

typedef struct record {
  dp_ctx *ctx;
  int n; /* parameters */
  double (*criterion)(unsigned model);
  int nfit, unknown, nturn;
  unsigned fitted[4000];
  struct {
    dpi_famos_method method;
    unsigned present;
    int ncandidate;
  } turn[MOST_TURNS];
} record;

static unsigned bits(const bool *m, int n) {
  unsigned x = 0;
  for (int k = 0; k < n; k++) x = 2 * x + m[k];
  return x;
}

static dp_status fit(void *user, const bool *m, int predecessor, int *number, double *criterion) {
  record *r = user;
  const unsigned x = bits(m, r->n);
  for (int k = 0; k < r->nfit; k++) assert_true(r->fitted[k] != x); /* nothing twice */
  assert_true(predecessor < r->nfit && r->nfit < 4000);
  *number = r->nfit;
  r->fitted[r->nfit++] = x;
  *criterion = r->criterion(x);
  return DP_OK;
}

static void turn(void *user, dpi_famos_method method, const bool *present, int ncandidate) {
  record *r = user;
  assert_true(r->nturn < MOST_TURNS);
  r->turn[r->nturn].method = method;
  r->turn[r->nturn].present = bits(present, r->n);
  r->turn[r->nturn++].ncandidate = ncandidate;
}

static int setup(void **state) {
  record *r = calloc(1, sizeof *r);
  dp_ctx_def def = dp_ctx_def_default();
  if (!r || dp_ctx_create(&def, &r->ctx) != DP_OK) return -1;
  *state = r;
  return 0;
}

static int teardown(void **state) {
  record *r = *state;
  const int live = (int)dpi_alloc_live(r->ctx);
  dp_ctx_destroy(r->ctx);
  free(r);
  return live;
}

static const bool all[N] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

static dpi_famos_def plain(record *r, int n, double (*criterion)(unsigned)) {
  r->n = n;
  r->criterion = criterion;
  return (dpi_famos_def){.nparam = n, .may_fix = all, .may_estimate = all, .fit = fit, .turn = turn, .user = r};
}

/* ---- the paper's synthetic problem ---- */

static double published(unsigned model) {
  for (int k = 0; k < (int)(sizeof known / sizeof *known); k++)
    if (known[k].model == model) return known[k].aicc;
  fail_msg("model %04x was never fitted in the published run", model);
  return NAN;
}

#define F DPI_FAMOS_FORWARD
#define B DPI_FAMOS_BACKWARD
#define L DPI_FAMOS_LATERAL
#define M DPI_FAMOS_MOST_DISTANT

static void test_published_order(void **state) {
  /* the method of each turn, and in what its present model differs from that of the turn before: columns from 1 */
  static const struct {
    dpi_famos_method method;
    int change[12];
  } expected[] = {{L, {0}},
                  {L, {4, 15}},
                  {L, {9, 13}},
                  {F, {0}},
                  {F, {3}},
                  {F, {11}},
                  {B, {0}},
                  {B, {6}},
                  {B, {10}},
                  {B, {8}},
                  {B, {14}},
                  {B, {1}},
                  {B, {16}},
                  {B, {4}},
                  {F, {0}},
                  {L, {0}},
                  {M, {2, 3, 4, 5, 6, 7, 9, 11, 12, 13, 15}},
                  {L, {0}},
                  {L, {16, 7}},
                  {L, {5, 12}},
                  {L, {13, 15}},
                  {L, {1, 6}},
                  {F, {0}},
                  {F, {3}},
                  {F, {7}},
                  {F, {2}},
                  {F, {11}},
                  {B, {0}},
                  {B, {7}},
                  {B, {16}},
                  {B, {4}},
                  {F, {0}},
                  {L, {0}},
                  {L, {9, 15}},
                  {F, {0}},
                  {B, {0}},
                  {L, {0}}};
  static const dpi_famos_rule scheme[] = {
      {2, {B, F}, L}, {2, {F, B}, L}, {2, {B, L}, DPI_FAMOS_END}, {2, {F, L}, DPI_FAMOS_END}, {1, {F}, B}, {1, {B}, F},
      {1, {L}, F},    {1, {M}, L},    {.n = 0, .next = L}};
  /* columns: ro_A ro_B ro_C ro_D  mu_AB mu_BA mu_AC mu_CA  mu_AD mu_DA mu_BC mu_CB  mu_BD mu_DB mu_CD mu_DC */
  static const int of_a[] = {0, 5, 7, 9}, of_b[] = {1, 4, 11, 13}, of_c[] = {2, 6, 10, 15}, of_d[] = {3, 8, 12, 14};
  static const dpi_famos_set swap[] = {{4, of_a}, {4, of_b}, {4, of_c}, {4, of_d}};
  static const bool start[N] = {1, 1, 0, 0, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1};
  record *r = *state;
  dpi_famos_def def = plain(r, N, published);
  def.start = start;
  def.rule = scheme;
  def.nrule = (int)(sizeof scheme / sizeof *scheme);
  def.swap = swap;
  def.nswap = 4;
  def.nreattempt = 1;
  def.consecutive = true;
  assert_int_equal(dpi_famos_run(r->ctx, &def), DP_OK);
  unsigned last = bits(start, N);
  for (int k = 0; k < r->nturn; k++) {
    unsigned change = 0;
    if (k >= (int)(sizeof expected / sizeof *expected)) fail_msg("%d turns", r->nturn);
    for (int i = 0; i < 12 && expected[k].change[i]; i++) change |= 1u << (N - expected[k].change[i]);
    if (r->turn[k].method != expected[k].method || (r->turn[k].present ^ last) != change)
      fail_msg("turn %d: %s at %04x", k, dpi_famos_name(r->turn[k].method), r->turn[k].present);
    last = r->turn[k].present;
  }
  assert_int_equal(r->nturn, sizeof expected / sizeof *expected);
  assert_int_equal(r->turn[15].present,
                   0x6828); /* 0110100000101000, the best of all: the model the data were made by */
  assert_int_equal(r->turn[36].present, 0xe82a); /* the second attempt ends elsewhere */
}

/* ---- small spaces ---- */

static int ones(unsigned x) {
  int n = 0;
  for (; x; x &= x - 1) n++;
  return n;
}

/* the best is 0b1011: each wrong parameter costs */
static double target(unsigned x) { return 10.0 * ones(x ^ 0xb) + 0.01 * x; }

static void test_without_a_start(void **state) {
  record *r = *state;
  dpi_famos_def def = plain(r, 4, target);
  assert_int_equal(dpi_famos_run(r->ctx, &def), DP_OK);
  /* nothing estimated, then one more each turn to 1011, no success forward, none backward, no swap sets: the end */
  static const dpi_famos_method method[] = {F, F, F, F, B};
  static const unsigned present[] = {0, 1, 3, 11, 11};
  static const int ncandidate[] = {4, 3, 2, 1, 1}; /* backward 0011 and 1001 were fitted before */
  assert_int_equal(r->nturn, 5);
  for (int k = 0; k < 5; k++) {
    assert_int_equal(r->turn[k].method, method[k]);
    assert_int_equal(r->turn[k].present, present[k]);
    assert_int_equal(r->turn[k].ncandidate, ncandidate[k]);
  }
  assert_int_equal(r->nfit, 1 + 4 + 3 + 2 + 1 + 1);
}

/* what may not be fixed is never fixed; of a critical set something stays */
static void test_what_must_be(void **state) {
  static const bool may_fix[4] = {1, 1, 1, 0}, may_estimate[4] = {0, 1, 1, 1}, start[4] = {0, 1, 1, 1};
  static const int set[] = {1, 2};
  static const dpi_famos_set critical = {2, set};
  record *r = *state;
  dpi_famos_def def = plain(r, 4, target);
  def.may_fix = may_fix;
  def.may_estimate = may_estimate;
  def.start = start;
  def.critical = &critical;
  def.ncritical = 1;
  assert_int_equal(dpi_famos_run(r->ctx, &def), DP_OK);
  for (int k = 0; k < r->nfit; k++) {
    assert_true((r->fitted[k] & 1) && !(r->fitted[k] & 8));
    assert_true(r->fitted[k] & 6);
  }
  assert_int_equal(r->nfit, 3); /* 0111, 0101, 0011 */
}

/* an infinite criterion is a model that could not be fitted: the search goes on by the others */
static double broken(unsigned x) { return x == 1 || x == 2 ? INFINITY : target(x); }
static void test_failed_fits(void **state) {
  record *r = *state;
  dpi_famos_def def = plain(r, 4, broken);
  assert_int_equal(dpi_famos_run(r->ctx, &def), DP_OK);
  assert_int_equal(r->turn[1].present, 8);
  bool found = false;
  for (int k = 0; k < r->nfit; k++) found = found || r->fitted[k] == 0xb;
  assert_true(found);
}

static void test_refusals(void **state) {
  static const int set[] = {0};
  static const bool nothing[4] = {0};
  static const dpi_famos_set critical = {1, set};
  static const dpi_famos_rule no_start = {1, {F}, B}, only_start = {.n = 0, .next = F}, lateral = {.n = 0, .next = L};
  static const dpi_famos_rule again[] = {{.n = 0, .next = F}, {1, {F}, F}};
  record *r = *state;
  for (int k = 0; k < 6; k++) {
    dpi_famos_def def = plain(r, 4, target);
    r->nfit = r->nturn = 0;
    if (k < 2) def.critical = &critical, def.ncritical = 1;
    if (k == 1) def.start = nothing;
    if (k == 2) def.rule = &no_start, def.nrule = 1;
    if (k == 3) def.rule = &only_start, def.nrule = 1;
    if (k == 4) def.rule = &lateral, def.nrule = 1;
    if (k == 5) def.rule = again, def.nrule = 2;
    static const char *const says[] = {"give predecessor_model", "estimates no parameter of one of the critical sets",
                                       "at the start",           "method_scheme: no entry",
                                       "give predecessor_model", "followed by itself"};
    assert_int_equal(dpi_famos_run(r->ctx, &def), DP_ERR_INPUT);
    if (!strstr(dp_ctx_error(r->ctx), says[k])) fail_msg("%d: %s", k, dp_ctx_error(r->ctx));
    dp_ctx_clear_error(r->ctx);
    assert_int_equal(dpi_alloc_live(r->ctx), 0);
  }
}

static void test_memory(void **state) {
  (void)state;
  failing_memory memory = {0};
  record r = {.ctx = failing_context(&memory)};
  bool failed = true;
  for (long granted = 0; failed; granted++) {
    dpi_famos_def def = plain(&r, 4, target);
    r.nfit = r.nturn = 0;
    failing_next(&memory, granted);
    const dp_status st = dpi_famos_run(r.ctx, &def);
    failed = failing_happened(&memory);
    failing_never(&memory);
    assert_int_equal(st, failed ? DP_ERR_MEMORY : DP_OK);
    assert_int_equal(dpi_alloc_live(r.ctx), 0);
    dp_ctx_clear_error(r.ctx);
  }
  dp_ctx_destroy(r.ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_published_order, setup, teardown),
      cmocka_unit_test_setup_teardown(test_without_a_start, setup, teardown),
      cmocka_unit_test_setup_teardown(test_what_must_be, setup, teardown),
      cmocka_unit_test_setup_teardown(test_failed_fits, setup, teardown),
      cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
      cmocka_unit_test(test_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
