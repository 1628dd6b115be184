/* Streams and bands against closed forms: x' = -k x with a rate that the member's number gives. Threads, ranks (as
 * threads of this process that pass messages), members that fail, stopping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/tests/failing_memory.h"
#include "doppel/bands.h"

/* ---- one model for all ---- */

typedef struct bench {
  dp_ctx *ctx;
  dp_model *model;
  dp_sim *sim;
  int nmember; /* rates are spread over so many numbers */
  int bad;     /* every bad-th member gets no rate; 0: none */
  int stop_at; /* member at which the context is cancelled; 0: none */
} bench;

static const dp_output_time when[2] = {{0, 0}, {2 * DP_TICKS, 0}};

static failing_memory *memory; /* of contexts made from now on; NULL: the C library's */

static void start(bench *b, int nthread, const dp_ranks *ranks) {
  char path[] = "/tmp/test-bands-XXXXXX";
  static const char text[] = "model m\n k = 0.5; x = 10; x' = -k*x;\nend\n";
  int fd = mkstemp(path);
  assert_true(fd >= 0 && write(fd, text, sizeof text - 1) == (ssize_t)sizeof text - 1);
  close(fd);
  dp_ctx_def def = memory ? failing_def(memory) : dp_ctx_def_default();
  def.nthread = nthread;
  def.ranks = ranks;
  *b = (bench){.nmember = 1};
  assert_int_equal(dp_ctx_create(&def, &b->ctx), DP_OK);
  assert_int_equal(dp_model_read(b->ctx, path, &b->model), DP_OK);
  unlink(path);
  assert_int_equal(dp_model_seal(b->model), DP_OK);
  dp_sim_def sim = dp_sim_def_default();
  dp_output_def out = {.id = "x", .unit = ""};
  sim.model = b->model;
  sim.output = &out;
  sim.noutput = 1;
  assert_int_equal(dp_sim_create(b->ctx, &sim, &b->sim), DP_OK);
}

static void stop(bench *b) {
  dp_sim_destroy(b->sim);
  dp_model_destroy(b->model);
  assert_int_equal(dpi_alloc_live(b->ctx), 0);
  dp_ctx_destroy(b->ctx);
}

/* Scattered over (0, 1): a permutation of the numbers. */
static double rate_of(const bench *b, int i) {
  return ((double)((int64_t)i * 7919 % b->nmember) + 0.5) / b->nmember;
}

/* dp_source.fill */
static dp_status fill(void *user, int first, int n, dp_member *member, double *param) {
  const bench *b = user;
  int k = dp_sim_param(b->sim, "k");
  size_t nparam = (size_t)dp_sim_describe(b->sim)->nparam;
  for (int i = 0; i < n; i++) {
    bool bad = b->bad && (first + i) % b->bad == b->bad - 1;
    if (b->stop_at && first + i == b->stop_at) dp_ctx_cancel(b->ctx);
    assert_ptr_equal(member[i].param, param + (size_t)i * nparam);
    assert_true(param[(size_t)i * nparam + (size_t)k] == 0.5); /* the model's own */
    param[(size_t)i * nparam + (size_t)k] = bad ? NAN : rate_of(b, first + i);
    member[i].out = when;
    member[i].nout = 2;
  }
  return DP_OK;
}

static dp_status run(bench *b, int nmember, dp_bands **out) {
  dp_source source = {fill, b};
  dp_run_opts opts = dp_run_opts_default();
  dp_bands_def def = dp_bands_def_default();
  b->nmember = nmember;
  return dp_simulate_bands(b->sim, nmember, &source, &opts, &def, out);
}

/* The members' values at time 2 are 10 exp(-2 rate), rates evenly spread: quantile q of x is that of rate 1 - q. */
static void check_bands(const dp_bands *bands, int nmember) {
  dp_bands_desc d = dp_bands_describe(bands);
  assert_true(d.ndone == nmember && d.nfailed == 0 && d.first_failed == -1 && d.ntime == 2 &&
              d.noutput == 1);
  assert_true(nmember <= DP_BANDS_EXACT ? d.rank_error == 0
                                        : d.rank_error > 0 && d.rank_error <= 5e-4);
  double allowed = (d.rank_error * nmember + 0.51) / nmember;
  for (double q = 0; q <= 1; q += 0.05) {
    double rate = -log(dp_bands_quantile(bands, 1, 0, q) / 10) / 2,
           share = (0.5 + (1 - q) * (nmember - 1)) / nmember;
    assert_true(fabs(rate - share) <= allowed + 1e-6);
    assert_true(dp_bands_quantile(bands, 0, 0, q) == 10);
  }
  double mean = 5 * (1 - exp(-2)), square = 25 * (1 - exp(-4)) - mean * mean;
  assert_true(fabs(dp_bands_mean(bands, 1, 0) - mean) < 1e-3 &&
              fabs(dp_bands_sd(bands, 1, 0) - sqrt(square)) < 5e-3);
  assert_true(dp_bands_count(bands, 1, 0) == nmember && dp_bands_sd(bands, 0, 0) == 0);
  assert_true(isnan(dp_bands_quantile(bands, 2, 0, 0.5)) &&
              isnan(dp_bands_quantile(bands, 0, 1, 0.5)) &&
              isnan(dp_bands_quantile(bands, 0, 0, 2)));
}

enum { NUMBERS = 23 };
static void numbers(const dp_bands *b, double out[NUMBERS]) {
  for (int k = 0; k <= 20; k++) out[k] = dp_bands_quantile(b, 1, 0, k / 20.0);
  out[21] = dp_bands_mean(b, 1, 0);
  out[22] = dp_bands_sd(b, 1, 0);
}

static void test_threads(void **state) {
  (void)state;
  static const int size[] = {1, 2, 1000, DP_BANDS_EXACT, 40000};
  for (int k = 0; k < 5; k++) {
    double first[NUMBERS], x[NUMBERS];
    for (int nthread = 1; nthread <= 3; nthread += 2) {
      bench b;
      dp_bands *bands = NULL;
      start(&b, nthread, NULL);
      assert_int_equal(run(&b, size[k], &bands), DP_OK);
      if (size[k] >= 1000) check_bands(bands, size[k]);
      numbers(bands, nthread == 1 ? first : x);
      dp_bands_destroy(bands);
      stop(&b);
    }
    assert_memory_equal(first, x, sizeof x);
  }
}

static void test_failures(void **state) {
  (void)state;
  bench b;
  dp_bands *bands = NULL;
  start(&b, 2, NULL);
  b.bad = 1000;
  assert_int_equal(run(&b, 40000, &bands), DP_OK);
  dp_bands_desc d = dp_bands_describe(bands);
  assert_true(d.ndone == 40000 && d.nfailed == 40 && d.first_failed == 999 && d.reason[0]);
  assert_int_equal(dp_bands_count(bands, 1, 0), 39960);
  dp_bands_destroy(bands);
  stop(&b);
}

static void test_stopped(void **state) {
  (void)state;
  bench b;
  dp_bands *bands = NULL;
  start(&b, 2, NULL);
  b.stop_at = 30000;
  assert_int_equal(run(&b, 60000, &bands), DP_ERR_CANCELLED);
  dp_bands_desc d = dp_bands_describe(bands);
  assert_true(d.ndone <= 30000 && d.nmember == 60000 && dp_bands_count(bands, 1, 0) == d.ndone);
  dp_bands_destroy(bands);
  stop(&b);
}

static void test_usage(void **state) {
  (void)state;
  bench b;
  dp_bands *bands = NULL;
  dp_source source = {fill, &b}, none = {NULL, NULL};
  dp_run_opts opts = dp_run_opts_default();
  dp_bands_def def = dp_bands_def_default(), odd = def;
  start(&b, 1, NULL);
  odd.rank_error = 0.7;
  assert_int_equal(dp_simulate_bands(b.sim, 0, &source, &opts, &def, &bands), DP_ERR_USAGE);
  assert_int_equal(dp_simulate_bands(b.sim, 1, &none, &opts, &def, &bands), DP_ERR_USAGE);
  assert_int_equal(dp_simulate_bands(b.sim, 1, &source, &opts, &odd, &bands), DP_ERR_USAGE);
  odd.cookie = 0;
  assert_int_equal(dp_simulate_bands(b.sim, 1, &source, &opts, &odd, &bands), DP_ERR_USAGE);
  assert_int_equal(dp_simulate_stream(b.sim, -1, 1, &source, &opts, NULL, NULL), DP_ERR_USAGE);
  stop(&b);
}

/* Each request for memory that a run makes is refused once, the later ones every so often. */
static void test_memory(void **state) {
  (void)state;
  failing_memory m = {0};
  bench b;
  bool happened = true;
  memory = &m;
  start(&b, 1, NULL);
  memory = NULL;
  for (long n = 0; happened; n += 1 + n / 8) {
    dp_bands *bands = NULL;
    failing_next(&m, n);
    dp_status status = run(&b, 20000, &bands);
    happened = failing_happened(&m);
    failing_never(&m);
    assert_int_equal(status, happened ? DP_ERR_MEMORY : DP_OK);
    assert_true((bands == NULL) == happened);
    dp_bands_destroy(bands);
    dp_ctx_clear_error(b.ctx);
  }
  stop(&b); /* nothing is left behind: a sim may keep workspaces until then */
}

/* ---- ranks: threads with queues between them ---- */

enum { NRANK = 3, QUEUE = 64 };
typedef struct net {
  pthread_mutex_t lock;
  struct {
    void *bytes;
    size_t size;
  } queue[NRANK][QUEUE]; /* to rank 0, and from rank 0 to others: nothing */
  int head[NRANK], tail[NRANK];
  bool left[NRANK];
  dp_status end[NRANK];
} net;

typedef struct end {
  net *net;
  dp_ranks ranks;
  double x[NUMBERS];
  dp_status status;
  int trouble; /* this rank meets one: 1 an error, 2 another question */
  char message[400];
} end;

static dp_status net_send(void *user, int to, const void *bytes, size_t size) {
  end *e = user;
  net *n = e->net;
  pthread_mutex_lock(&n->lock);
  assert_int_equal(to, 0);
  int r = e->ranks.rank, at = n->tail[r]++ % QUEUE;
  n->queue[r][at].bytes = malloc(size);
  n->queue[r][at].size = size;
  memcpy(n->queue[r][at].bytes, bytes, size);
  bool gone = n->left[0];
  pthread_mutex_unlock(&n->lock);
  return gone ? DP_ERR_CANCELLED : DP_OK;
}

static int net_poll(void *user, int from, size_t *size, dp_status *status, const char **why) {
  end *e = user;
  net *n = e->net;
  pthread_mutex_lock(&n->lock);
  int there = e->ranks.rank == 0 && n->head[from] < n->tail[from];
  if (there) *size = n->queue[from][n->head[from] % QUEUE].size;
  if (!there && n->left[from]) {
    there = -1;
    *status = n->end[from];
    *why = "had enough";
  }
  pthread_mutex_unlock(&n->lock);
  return there;
}

static dp_status net_receive(void *user, int from, void *bytes, size_t size) {
  end *e = user;
  net *n = e->net;
  pthread_mutex_lock(&n->lock);
  int at = n->head[from]++ % QUEUE;
  assert_true(n->queue[from][at].size == size);
  memcpy(bytes, n->queue[from][at].bytes, size);
  free(n->queue[from][at].bytes);
  pthread_mutex_unlock(&n->lock);
  return DP_OK;
}

static void *rank_main(void *user) {
  end *e = user;
  bench b;
  dp_bands *bands = NULL;
  start(&b, 1, &e->ranks);
  e->status = e->trouble == 1 ? DP_ERR_MEMORY : run(&b, e->trouble == 2 ? 50000 : 60000, &bands);
  if (bands) numbers(bands, e->x);
  assert_true(bands == NULL || e->ranks.rank == 0);
  snprintf(e->message, sizeof e->message, "%s", dp_ctx_error(b.ctx));
  dp_bands_destroy(bands);
  stop(&b);
  pthread_mutex_lock(&e->net->lock);
  e->net->left[e->ranks.rank] = true;
  e->net->end[e->ranks.rank] = e->status;
  pthread_mutex_unlock(&e->net->lock);
  return NULL;
}

static void run_ranks(end *e, int trouble) {
  static net n;
  pthread_t thread[NRANK];
  memset(&n, 0, sizeof n);
  pthread_mutex_init(&n.lock, NULL);
  for (int r = 0; r < NRANK; r++) {
    e[r] = (end){.net = &n, .trouble = r == 2 ? trouble : 0};
    e[r].ranks = (dp_ranks){.rank = r,
                            .nrank = NRANK,
                            .user = &e[r],
                            .send = net_send,
                            .poll = net_poll,
                            .receive = net_receive};
    assert_int_equal(pthread_create(&thread[r], NULL, rank_main, &e[r]), 0);
  }
  for (int r = 0; r < NRANK; r++) pthread_join(thread[r], NULL);
  for (int r = 0; r < NRANK; r++)
    for (; n.head[r] < n.tail[r]; n.head[r]++) free(n.queue[r][n.head[r] % QUEUE].bytes);
  pthread_mutex_destroy(&n.lock);
}

static void test_ranks(void **state) {
  (void)state;
  static end e[NRANK];
  double alone[NUMBERS];
  bench b;
  dp_bands *bands = NULL;
  start(&b, 2, NULL);
  assert_int_equal(run(&b, 60000, &bands), DP_OK);
  numbers(bands, alone);
  dp_bands_destroy(bands);
  stop(&b);
  run_ranks(e, 0);
  for (int r = 0; r < NRANK; r++) assert_int_equal(e[r].status, DP_OK);
  assert_memory_equal(e[0].x, alone, sizeof alone);
  run_ranks(e, 1);
  assert_int_equal(e[0].status, DP_ERR_MEMORY);
  assert_non_null(strstr(e[0].message, "rank 2 of 3: had enough"));
  run_ranks(e, 2);
  assert_int_equal(e[0].status, DP_ERR_INPUT);
  assert_non_null(strstr(e[0].message, "rank 2 of 3: has another"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_threads), cmocka_unit_test(test_failures),
      cmocka_unit_test(test_stopped), cmocka_unit_test(test_usage),
      cmocka_unit_test(test_memory),  cmocka_unit_test(test_ranks)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
