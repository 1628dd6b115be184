/* Members in company: the same bytes alone, in a batch and on two threads; failures of one member with its reason;
 * fork, save and load go on with the same bytes as the run they came from; editing; no allocation once warm. Compared
 * with the plain run of the same member. */
#include "eq_bed.h"

static const char *const methods[] = {"linear", "rk853", "cvode"};
#define NM 70
#define ND 7

static bed_run *members(const dp_sim *sim, int n) {
  bed_run *r = calloc(n, sizeof *r);
  for (int i = 0; i < n; i++) {
    bed_defaults(sim, &r[i]);
    bed_param_set(sim, &r[i], "CL", 2 + 0.1 * i);
    bed_param_set(sim, &r[i], "ka", 0.5 + 0.03 * (i % 17));
    bed_param_set(sim, &r[i], "L", 0.2 * (i % 5));
    r[i].in[0] = bed_at(0, DP_INFUSE, C_ALL, 100 + i);
    r[i].in[0].rate = DP_DURATION_MODEL;
    r[i].in[0].interval = bed_ticks(8);
    r[i].in[0].repeats = i % 4;
    r[i].in[0].steady = i % 3;
    r[i].in[1] = bed_at(1, DP_ADD, C_IV, 55);
    r[i].in[1].interval = bed_ticks(3);
    r[i].in[1].repeats = 4;
    r[i].in[2] = bed_at(5, DP_SWITCH, dp_sim_param(sim, "CL"), 3 + 0.05 * i);
    r[i].in[3] = bed_at(9.5, DP_ADD, C_ALL, 20);
    r[i].nin = 4;
    for (int t = 0; t <= i % 23; t++) bed_out(&r[i], 0.7 * t, 0);
    r[i].f[0] = (dp_functional){DP_MAXIMUM, 0, bed_ticks(1), bed_ticks(14), 0, 0};
    r[i].f[1] = (dp_functional){DP_INTEGRAL, 0, bed_ticks(2), bed_ticks(6), 0, 0};
    r[i].f[2] = (dp_functional){DP_TIME_BETWEEN, 0, bed_ticks(0), bed_ticks(15), 1, 2};
    r[i].nf = 3;
    r[i].ndir = ND;
    for (int k = 0; k < ND; k++) r[i].seed[k * ND + k] = 1;
  }
  return r;
}

static void same_result(const bed_run *a, const bed_run *b) {
  assert_int_equal(a->status, b->status);
  assert_memory_equal(a->value, b->value, sizeof(double) * 3 * a->nout);
  assert_memory_equal(a->dvalue, b->dvalue, sizeof(double) * 3 * a->nout * a->ndir);
  assert_memory_equal(a->functional, b->functional, sizeof(double) * a->nf);
}

static void test_company(void **state) {
  (void)state;
  dp_model *m = bed_model(bed_two, bed_two_param, NULL);
  for (int k = 0; k < DPI_COUNT(methods); k++) {
    dp_sim *sim = bed_sim(m, methods[k], 1e-7);
    bed_run *alone = members(sim, NM), *batch = members(sim, NM);
    dp_member list[NM];
    dp_result *res = NULL;
    dp_run_opts opts = dp_run_opts_default();
    opts.ndir = ND;
    for (int i = 0; i < NM; i++) {
      bed_go(sim, &alone[i]);
      list[i] = bed_member(&batch[i]);
      if (alone[i].status != DP_MEMBER_OK) fail_msg("%s", alone[i].reason);
    }
    BED_OK(dp_simulate(sim, list, NM, &opts, &res));
    for (int i = 0; i < NM; i++) {
      bed_take(&batch[i], res, i, 3);
      same_result(&alone[i], &batch[i]);
    }
    dp_result_destroy(res);
    free(alone);
    free(batch);
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

/* ---- going on ---- */

typedef struct tail { /* what came out after a time */
  double value[NM][BED_MAX * 3], dvalue[NM][BED_MAX * 3 * ND], functional[NM][4];
} tail;

static dp_status take_tail(void *user, const dp_member_result *b, int n) {
  tail *t = user;
  for (int i = 0; i < n; i++) {
    const int m = b[i].member;
    memcpy(t->value[m] + 3 * b[i].out_first, b[i].value, sizeof(double) * 3 * b[i].nout);
    if (b[i].dvalue) memcpy(t->dvalue[m] + 3 * ND * b[i].out_first, b[i].dvalue, sizeof(double) * 3 * ND * b[i].nout);
    if (b[i].nfunctional) memcpy(t->functional[m], b[i].functional, sizeof(double) * b[i].nfunctional);
  }
  return DP_OK;
}

static void finish(dp_run *run, tail *t) {
  memset(t, 0, sizeof *t);
  BED_OK(dp_run_advance(run, bed_ticks(17)));
  BED_OK(dp_run_emit(run, take_tail, t));
  dp_run_close(run);
}

static void test_fork_save_load(void **state) {
  (void)state;
  dp_model *m = bed_model(bed_two, bed_two_param, NULL);
  for (int k = 0; k < DPI_COUNT(methods); k++) {
    dp_sim *sim = bed_sim(m, methods[k], 1e-7);
    bed_run *r = members(sim, NM);
    dp_member list[NM];
    int index[NM];
    tail *own = calloc(3, sizeof *own), *forked = own + 1, *loaded = own + 2;
    dp_run *run = NULL, *fork = NULL, *load = NULL;
    dp_run_opts opts = dp_run_opts_default();
    void *bytes = NULL;
    size_t size = 0;
    opts.ndir = ND;
    for (int i = 0; i < NM; i++) {
      list[i] = bed_member(&r[i]);
      index[i] = (i * 11 + 3) % NM;
    }
    BED_OK(dp_run_open(sim, list, NM, &opts, &run));
    BED_OK(dp_run_advance(run, bed_ticks(9.75))); /* infusions run, a dose waits for its lag */
    BED_OK(dp_run_emit(run, take_tail, own));
    BED_OK(dp_run_fork(run, index, NM, NULL, &fork));
    BED_OK(dp_run_save(run, &bytes, &size));
    BED_OK(dp_run_load(sim, list, NM, &opts, bytes, size, &load));
    finish(run, own);
    finish(fork, forked);
    finish(load, loaded);
    for (int i = 0; i < NM; i++) {
      const int from = index[i], first = 14; /* outputs after 9.75 */
      for (int j = first; j < r[from].nout; j++) {
        assert_memory_equal(own->value[from] + 3 * j, forked->value[i] + 3 * j, 3 * sizeof(double));
        assert_memory_equal(own->dvalue[from] + 3 * ND * j, forked->dvalue[i] + 3 * ND * j, 3 * ND * sizeof(double));
      }
      assert_memory_equal(own->functional[from], forked->functional[i], 3 * sizeof(double));
      assert_memory_equal(own->value[i], loaded->value[i], sizeof own->value[i]);
      assert_memory_equal(own->functional[i], loaded->functional[i], 3 * sizeof(double));
    }
    dp_run_bytes_free(sim, bytes);
    free(own);
    free(r);
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

/* Cutting a run into advances changes results by no more than the tolerance. */
static void test_cut(void **state) {
  (void)state;
  dp_model *m = bed_model(bed_two, bed_two_param, NULL);
  for (int k = 0; k < DPI_COUNT(methods); k++) {
    dp_sim *sim = bed_sim(m, methods[k], 1e-9);
    bed_run *r = members(sim, NM);
    const dp_member one = bed_member(&r[22]);
    tail *t = calloc(1, sizeof *t);
    dp_run *run = NULL;
    dp_run_opts opts = dp_run_opts_default();
    opts.ndir = ND;
    bed_go(sim, &r[22]);
    BED_OK(dp_run_open(sim, &one, 1, &opts, &run));
    for (int i = 1; i <= 34; i++) BED_OK(dp_run_advance(run, bed_ticks(0.5 * i)));
    BED_OK(dp_run_emit(run, take_tail, t));
    dp_run_close(run);
    for (int j = 0; j < 3 * r[22].nout; j++) bed_near(t->value[0][j], r[22].value[j], 1e-7, 1e-9, methods[k], j);
    for (int j = 0; j < 3; j++) bed_near(t->functional[0][j], r[22].functional[j], 1e-7, 0, methods[k], j);
    free(t);
    free(r);
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

static void test_edit(void **state) {
  (void)state;
  dp_model *m = bed_model(bed_one, bed_one_param, NULL);
  dp_sim *sim = bed_sim(m, "auto", 1e-10);
  static bed_run r;
  static tail t;
  double x[2];
  dp_run *run = NULL;
  dp_run_opts opts = dp_run_opts_default();
  bed_defaults(sim, &r);
  r.in[0] = bed_at(0, DP_ADD, C_IV, 100);
  r.nin = 1;
  bed_out(&r, 6, 0);
  const dp_member one = bed_member(&r);
  BED_OK(dp_run_open(sim, &one, 1, &opts, &run));
  BED_OK(dp_run_advance(run, bed_ticks(4)));
  BED_OK(dp_run_state_get(run, 0, x));
  const int central = dp_sim_state(sim, "central");
  bed_near(x[central], 100 * exp(-4.0 / 70 * 4), 1e-10, 0, "state", 4);
  x[central] = 7;
  BED_OK(dp_run_state_set(run, 0, x));
  BED_OK(dp_run_advance(run, bed_ticks(6)));
  BED_OK(dp_run_emit(run, take_tail, &t));
  bed_near(t.value[0][1], 7 * exp(-4.0 / 70 * 2), 1e-10, 0, "edited", 6);
  x[0] = NAN;
  assert_int_equal(dp_run_state_set(run, 0, x), DP_ERR_INPUT);
  dp_ctx_clear_error(bed_ctx);
  dp_run_close(run);
  dp_sim_destroy(sim);
  dp_model_destroy(m);
}

/* ---- failures ---- */

static void fails(dp_sim *sim, bed_run *r, double at, const char *why) {
  bed_out(r, 0, 0);
  bed_out(r, 30, 0);
  bed_go(sim, r);
  assert_int_equal(r->status, DP_MEMBER_FAILED);
  if (!strstr(r->reason, why)) fail_msg("reason '%s', expected '%s'", r->reason, why);
  bed_near(r->fail_time, at, 1e-6, 0, why, at);
  assert_true(isnan(r->value[3])); /* the output at 30 is masked */
}

static void test_failures(void **state) {
  (void)state;
  static const bed_state grows[] = {{"depot", "0", "R*central"}, {"central", "0", "-CL/V*central"}, {0}};
  static const bed_state blows[] = {{"depot", "0", "0"}, {"central", "1", "ka*central^2"}, {0}};
  dp_model *m = bed_model(bed_one, bed_one_param, NULL), *area = bed_model(grows, bed_one_param, NULL),
           *blow = bed_model(blows, bed_one_param, NULL);
  dp_sim *sim = bed_sim(m, "auto", 1e-8), *sum = bed_sim(area, "auto", 1e-8), *pole = bed_sim(blow, "rk853", 1e-8);
  static bed_run r;
  bed_defaults(sim, &r);
  bed_param_set(sim, &r, "L", -1);
  r.in[r.nin++] = bed_at(3, DP_ADD, C_ALL, 10);
  fails(sim, &r, 3, "lag");
  bed_defaults(sim, &r);
  r.in[r.nin++] = bed_at(2, DP_INFUSE, C_IV, 10);
  r.in[0].rate = DP_RATE_MODEL;
  fails(sim, &r, 2, "no rate formula");
  bed_defaults(sim, &r);
  bed_param_set(sim, &r, "D", 0);
  r.in[r.nin++] = bed_at(2, DP_INFUSE, C_ALL, 10);
  r.in[0].rate = DP_DURATION_MODEL;
  fails(sim, &r, 2, "duration");
  bed_defaults(sim, &r);
  bed_param_set(sim, &r, "F", NAN);
  r.in[r.nin++] = bed_at(2, DP_ADD, C_ALL, 10);
  fails(sim, &r, 2, "parameter 'F' has no value");
  bed_defaults(sum, &r);
  r.in[r.nin++] = bed_at(1, DP_ADD, C_IV, 10);
  r.in[0].steady = 1;
  r.in[0].interval = bed_ticks(12);
  fails(sum, &r, 1, "no steady state: what is given gathers in state 'depot' for ever");
  bed_defaults(sim, &r);
  bed_param_set(sim, &r, "CL", -1);
  r.in[r.nin++] = bed_at(1, DP_ADD, C_IV, 10);
  r.in[0].steady = 1;
  r.in[0].interval = bed_ticks(12);
  fails(sim, &r, 1, "not stable");
  bed_defaults(pole, &r); /* central = 1/(1 - ka t) */
  bed_out(&r, 0.5, 0);
  bed_go(pole, &r);
  assert_int_equal(r.status, DP_MEMBER_OK);
  r.nout = 0;
  bed_out(&r, 0, 0);
  bed_out(&r, 30, 0);
  bed_go(pole, &r);
  assert_int_equal(r.status, DP_MEMBER_FAILED);
  assert_true(r.fail_time <= 1 / 1.1 + 1e-6 && r.fail_time > 0.5);
  dp_sim_destroy(sim);
  dp_sim_destroy(sum);
  dp_sim_destroy(pole);
  dp_model_destroy(m);
  dp_model_destroy(area);
  dp_model_destroy(blow);
}

/* One failing member leaves its neighbours alone. */
static void test_fails_alone(void **state) {
  (void)state;
  dp_model *m = bed_model(bed_two, bed_two_param, NULL);
  dp_sim *sim = bed_sim(m, "rk853", 1e-7);
  bed_run *plain = members(sim, 3), *mixed = members(sim, 3);
  dp_member list[3];
  dp_result *res = NULL;
  dp_run_opts opts = dp_run_opts_default();
  opts.ndir = ND;
  bed_param_set(sim, &mixed[1], "V", 0);
  for (int i = 0; i < 3; i++) {
    bed_go(sim, &plain[i]);
    list[i] = bed_member(&mixed[i]);
  }
  BED_OK(dp_simulate(sim, list, 3, &opts, &res));
  for (int i = 0; i < 3; i++) bed_take(&mixed[i], res, i, 3);
  assert_int_equal(mixed[1].status, DP_MEMBER_FAILED);
  same_result(&plain[0], &mixed[0]);
  same_result(&plain[2], &mixed[2]);
  dp_result_destroy(res);
  free(plain);
  free(mixed);
  dp_sim_destroy(sim);
  dp_model_destroy(m);
}

/* ---- memory ---- */

/* After the first runs the spoke takes nothing more: what is left is the sim's own, the same for every run. */
static void test_warm(void **state) {
  (void)state;
  dp_model *m = bed_model(bed_two, bed_two_param, NULL);
  for (int k = 0; k < DPI_COUNT(methods); k++) {
    dp_sim *sim = bed_sim(m, methods[k], 1e-7);
    bed_run *r = members(sim, NM);
    const dp_member one = bed_member(&r[22]);
    dp_run_opts opts = dp_run_opts_default();
    opts.ndir = ND;
    for (int turn = 0; turn < 4; turn++) {
      dp_run *run = NULL;
      BED_OK(dp_run_open(sim, &one, 1, &opts, &run));
      const size_t before = dpi_alloc_total(bed_ctx);
      BED_OK(dp_run_advance(run, bed_ticks(17)));
      if (turn > 0) assert_int_equal(dpi_alloc_total(bed_ctx), before);
      dp_run_close(run);
    }
    free(r);
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

typedef struct faulty {
  long count, fail_at; /* the allocation of this number fails, once */
} faulty;

static void *faulty_alloc(void *user, void *ptr, size_t size_old, size_t size_new) {
  (void)size_old;
  faulty *x = user;
  if (size_new == 0) {
    free(ptr);
    return NULL;
  }
  return ++x->count == x->fail_at ? NULL : realloc(ptr, size_new);
}

/* A steady state, lagged infusions and a delayed event on a model that is not linear: whichever allocation of the
 * advance fails, the call says so and no member is blamed. */
static dp_status advance_short_of_memory(const char *method, faulty *x, long fail_at, bool *through) {
  static const bed_state s[] = {
      {"depot", "0", "-ka*depot"}, {"central", "0", "ka*depot - CL*central/(V + central)"}, {0}};
  static const bed_event e[] = {{"central > 5", "0.5", NULL, true, true, false, "depot", "depot + 1"}, {0}};
  static bed_run r;
  dp_run_opts opts = dp_run_opts_default();
  dp_run *run = NULL;
  x->fail_at = 0;
  dp_model *m = bed_model(s, bed_one_param, e);
  dp_sim *sim = bed_sim(m, method, 1e-7);
  bed_defaults(sim, &r);
  r.in[0] = bed_at(0, DP_ADD, C_ORAL, 10);
  r.in[0].interval = bed_ticks(12);
  r.in[0].steady = 1;
  r.in[1] = bed_at(1, DP_INFUSE, C_IV_ALL, 8);
  r.in[1].rate = 2;
  r.nin = 2;
  bed_out(&r, 9, 1);
  const dp_member one = bed_member(&r);
  BED_OK(dp_run_open(sim, &one, 1, &opts, &run));
  x->count = 0;
  x->fail_at = fail_at;
  const dp_status st = dp_run_advance(run, bed_ticks(9));
  *through = x->count < fail_at;
  x->fail_at = 0;
  dp_run_close(run);
  dp_sim_destroy(sim);
  dp_model_destroy(m);
  return st;
}

static void test_short_of_memory(void **state) {
  (void)state;
  dp_ctx *keep = bed_ctx;
  for (int k = 1; k < DPI_COUNT(methods); k++) {
    long n = 1;
    for (bool through = false; !through; n++) {
      faulty x = {0};
      dp_ctx_def def = dp_ctx_def_default();
      def.alloc = faulty_alloc;
      def.alloc_user = &x;
      assert_int_equal(dp_ctx_create(&def, &bed_ctx), DP_OK);
      const dp_status st = advance_short_of_memory(methods[k], &x, n, &through);
      if (st != (through ? DP_OK : DP_ERR_MEMORY))
        fail_msg("%s: allocation %ld: %s: %s", methods[k], n, dp_status_name(st), dp_ctx_error(bed_ctx));
      assert_int_equal(dpi_alloc_live(bed_ctx), 0);
      dp_ctx_destroy(bed_ctx);
    }
    assert_true(n > 5);
  }
  bed_ctx = keep;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_company), cmocka_unit_test(test_fork_save_load), cmocka_unit_test(test_cut),
      cmocka_unit_test(test_edit),    cmocka_unit_test(test_failures),       cmocka_unit_test(test_fails_alone),
      cmocka_unit_test(test_warm),    cmocka_unit_test(test_short_of_memory),
  };
  return cmocka_run_group_tests(tests, bed_setup, bed_teardown);
}
