/* Instants added to a run under way, on every spoke of the conformance suite: as if they had been known at open (to the
 * tolerance where an integrator's steps end at what is known beforehand, else to the byte), and the same bytes through
 * saving, loading and forking; what is refused, by name. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "subjects.h"

enum { MEMBERS = 35, BASE = 1, ADDED = 3, NOUT = 9, MOST = 8 };

static dp_ctx *ctx;

#define OK(call)                                                                       \
  do {                                                                                 \
    if ((call) != DP_OK) fail_msg("%s:%d: %s", __FILE__, __LINE__, dp_ctx_error(ctx)); \
  } while (0)

static dp_time at(double t) { return (dp_time)(t * (double)DP_TICKS + 0.5); }

typedef struct rows {
  double value[MEMBERS][NOUT * MOST];
  int nout[MEMBERS], noutput;
  int nfailed;
} rows;

static dp_status take(void *user, const dp_member_result *b, int n) {
  rows *r = user;
  for (int i = 0; i < n; i++) {
    r->nfailed += b[i].status != DP_MEMBER_OK;
    memcpy(r->value[b[i].member] + b[i].out_first * r->noutput, b[i].value,
           sizeof(double) * (size_t)(b[i].nout * r->noutput));
    r->nout[b[i].member] += b[i].nout;
  }
  return DP_OK;
}

/* A sim, members with a dose at the start, and what some of them are given later: repeats begin behind a first one, and
 * something happens at 3, where the run will stand. */
typedef struct bed {
  dp_model *model;
  dp_sim *sim;
  dp_member member[MEMBERS], whole[MEMBERS];
  dp_instant base[BASE], all[BASE + ADDED];
  dp_output_time out[NOUT];
  double *param;
  bool discrete;
} bed;

static dp_instant dose(double t, double amount) {
  dp_instant in = dp_instant_default();
  in.time = at(t);
  in.amount = amount;
  return in;
}

static void make(const subject *s, bed *b) {
  OK(dp_test_subject_sim(ctx, s, 0, &b->model, &b->sim));
  const dp_sim_desc *d = dp_sim_describe(b->sim);
  assert_true(d->noutput <= MOST);
  b->param = malloc(sizeof(double) * (size_t)(MEMBERS * d->nparam + 1));
  b->base[0] = b->all[0] = dose(0, s->dose);
  b->all[1] = dose(4, s->dose);
  b->all[1].interval = at(1);
  b->all[1].repeats = 2;
  b->all[2] = dose(5, s->dose);
  b->all[3] = dose(6, s->dose);
  for (int k = 0; k < NOUT; k++) b->out[k] = (dp_output_time){.time = at(k), .order = 1};
  for (int i = 0; i < MEMBERS; i++) {
    double *p = b->param + i * d->nparam;
    memcpy(p, d->param_default, sizeof(double) * (size_t)d->nparam);
    for (int k = 0; k < DPI_COUNT(s->param) && s->param[k].id; k++)
      p[dp_sim_param(b->sim, s->param[k].id)] = s->param[k].value;
    p[dp_sim_param(b->sim, s->param[0].id)] *= 1 + 0.01 * i;
    b->member[i] = (dp_member){
        .param = p, .instant = b->base, .ninstant = BASE, .out = b->out, .nout = NOUT, .stream = (uint64_t)i};
    b->whole[i] = b->member[i];
    if (i % 3 == 0) continue; /* who is given nothing */
    b->whole[i].instant = b->all;
    b->whole[i].ninstant = BASE + ADDED;
  }
}

static void drop(bed *b) {
  dp_sim_destroy(b->sim);
  dp_model_destroy(b->model);
  free(b->param);
  *b = (bed){0};
}

static void finish(dp_run *run, const bed *b, rows *r) {
  *r = (rows){.noutput = dp_sim_describe(b->sim)->noutput};
  OK(dp_run_advance(run, at(4.5)));
  OK(dp_run_advance(run, at(8)));
  OK(dp_run_emit(run, take, r));
}

static void same(const char *name, const char *what, const rows *a, const rows *b, int shift) {
  for (int i = 0; i < MEMBERS; i++) {
    const int j = (i + shift) % MEMBERS, n = b->nout[i], skip = a->nout[j] - n;
    if (memcmp(a->value[j] + skip * a->noutput, b->value[i] + skip * a->noutput,
               sizeof(double) * (size_t)(n * a->noutput)) != 0)
      fail_msg("%s, %s: member %d differs", name, what, i);
  }
}

/* As if known beforehand. */
static void alike(const subject *s, const rows *a, const rows *b) {
  if (s->exact) {
    same(s->name, "added", a, b, 0);
    return;
  }
  for (int i = 0; i < MEMBERS; i++)
    for (int k = 0; k < NOUT * a->noutput; k++) {
      const double x = a->value[i][k], y = b->value[i][k];
      if (!(fabs(x - y) <= s->tol * (fabs(x) + s->dose_step)))
        fail_msg("%s, added: member %d, number %d: %.12g, known beforehand %.12g", s->name, i, k, y, x);
    }
}

static void added_on_the_way(const subject *s) {
  static rows want, mine, got;
  bed b = {0};
  dp_run *whole = NULL, *run = NULL, *load = NULL, *fork = NULL;
  dp_run_opts opts = dp_run_opts_default();
  void *bytes;
  size_t size;
  int index[MEMBERS];
  opts.seed = 11;
  make(s, &b);
  if (!(dp_sim_describe(b.sim)->caps & DP_CAP_SAVE)) {
    OK(dp_run_open(b.sim, b.member, MEMBERS, &opts, &run));
    assert_int_equal(dp_run_add(run, 1, b.all + 1, 1), DP_ERR_UNSUPPORTED);
    assert_non_null(strstr(dp_ctx_error(ctx), "DP_CAP_SAVE"));
    dp_ctx_clear_error(ctx);
    dp_run_close(run);
    drop(&b);
    return;
  }
  OK(dp_run_open(b.sim, b.whole, MEMBERS, &opts, &whole));
  OK(dp_run_advance(whole, at(3)));
  finish(whole, &b, &want);
  assert_int_equal(want.nfailed, 0);

  OK(dp_run_open(b.sim, b.member, MEMBERS, &opts, &run));
  for (int i = 0; i < MEMBERS; i += 5) /* before the first advance too */
    if (i % 3) OK(dp_run_add(run, i, b.all + 1, 1));
  OK(dp_run_advance(run, at(3)));
  for (int i = 0; i < MEMBERS; i++) {
    index[i] = (i + 1) % MEMBERS;
    if (i % 3 && i % 5) OK(dp_run_add(run, i, b.all + 1, 1));
    if (i % 3) OK(dp_run_add(run, i, b.all + 3, 1)); /* the later one first */
    if (i % 3) OK(dp_run_add(run, i, b.all + 2, 1));
  }
  OK(dp_run_save(run, &bytes, &size));
  OK(dp_run_fork(run, index, MEMBERS, NULL, &fork));
  OK(dp_run_load(b.sim, b.member, MEMBERS, &opts, bytes, size, &load));
  finish(run, &b, &mine);
  alike(s, &want, &mine);
  dp_run_close(run);
  finish(load, &b, &got);
  same(s->name, "loaded", &mine, &got, 0);
  finish(fork, &b, &got);
  same(s->name, "forked", &mine, &got, 1);
  for (size_t k = 0; k < size; k += 97) { /* damaged bytes are refused by their hash */
    dp_run *bad = NULL;
    ((char *)bytes)[k] ^= 1;
    assert_int_not_equal(dp_run_load(b.sim, b.member, MEMBERS, &opts, bytes, size, &bad), DP_OK);
    dp_ctx_clear_error(ctx);
    ((char *)bytes)[k] ^= 1;
  }
  /* damaged in spite of the right hash: refused or taken, never believed beyond the bytes */
  for (size_t k = 160; k + 64 < size && k < 2400; k += 3) {
    dp_run *bad = NULL;
    char hex[65], *at = bytes;
    const char was = at[k];
    at[k] ^= (char)(1 << k % 8);
    dpi_sha256_hex(bytes, size - 64, hex);
    memcpy(at + size - 64, hex, 64);
    if (dp_run_load(b.sim, b.member, MEMBERS, &opts, bytes, size, &bad) != DP_OK) dp_ctx_clear_error(ctx);
    dp_run_close(bad);
    at[k] = was;
    dpi_sha256_hex(bytes, size - 64, hex);
    memcpy(at + size - 64, hex, 64);
  }
  dp_run *other = NULL; /* it wants the members as they were */
  assert_int_equal(dp_run_load(b.sim, b.whole, MEMBERS, &opts, bytes, size, &other), DP_ERR_INPUT);
  dp_ctx_clear_error(ctx);
  dp_run_bytes_free(b.sim, bytes);
  dp_run_close(load);
  dp_run_close(fork);
  dp_run_close(whole);
  drop(&b);
}

static void test_subjects(void **state) {
  (void)state;
  for (int k = 0; k < dp_test_nsubject; k++) added_on_the_way(&dp_test_subject[k]);
}

/* At the present time: behind what was given there, before what comes next. */
static void test_present(void **state) {
  (void)state;
  const subject *s = &dp_test_subject[0];
  static rows want, got;
  bed b = {0};
  dp_run_opts opts = dp_run_opts_default();
  while (strcmp(s->spoke, "equations") != 0) s++;
  make(s, &b);
  dp_instant late[2] = {b.base[0], dose(3, s->dose)};
  late[1].order = 2; /* behind the output at 3 */
  dp_member known = b.member[0];
  known.instant = late;
  known.ninstant = 2;
  dp_run *whole = NULL, *run = NULL;
  OK(dp_run_open(b.sim, &known, 1, &opts, &whole));
  OK(dp_run_advance(whole, at(3)));
  finish(whole, &b, &want);
  OK(dp_run_open(b.sim, b.member, 1, &opts, &run));
  OK(dp_run_advance(run, at(3)));
  dp_instant now = dose(3, s->dose);
  now.order = -5;
  OK(dp_run_add(run, 0, &now, 1));
  finish(run, &b, &got);
  assert_memory_equal(want.value[0], got.value[0], sizeof(double) * (size_t)(NOUT * want.noutput));
  assert_true(want.value[0][4 * want.noutput] != want.value[0][3 * want.noutput]);
  dp_run_close(whole);
  dp_run_close(run);
  drop(&b);
}

static void test_refused(void **state) {
  (void)state;
  const subject *s = &dp_test_subject[0];
  bed b = {0};
  dp_run *run = NULL;
  dp_run_opts opts = dp_run_opts_default();
  while (strcmp(s->spoke, "equations") != 0) s++;
  make(s, &b);
  OK(dp_run_open(b.sim, b.member, 2, &opts, &run));
  OK(dp_run_advance(run, at(3)));
  const struct {
    int member, first, n;
    double shift;
    dp_status status;
    const char *word;
  } bad[] = {{2, 1, 1, 0, DP_ERR_INPUT, "member 2, expected 0 to 1"},
             {-1, 1, 1, 0, DP_ERR_INPUT, "member -1"},
             {0, 0, 1, 0, DP_ERR_INPUT, "before the run's present time 3"},
             {0, 1, -1, 0, DP_ERR_USAGE, "-1 instants"}};
  for (int k = 0; k < DPI_COUNT(bad); k++) {
    assert_int_equal(dp_run_add(run, bad[k].member, b.all + bad[k].first, bad[k].n), bad[k].status);
    if (!strstr(dp_ctx_error(ctx), bad[k].word)) fail_msg("'%s' does not say '%s'", dp_ctx_error(ctx), bad[k].word);
    dp_ctx_clear_error(ctx);
  }
  dp_instant wrong[2] = {dose(6, 1), dose(5, 1)};
  assert_int_equal(dp_run_add(run, 0, wrong, 2), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(ctx), "ascending"));
  dp_ctx_clear_error(ctx);
  wrong[0].target = 7;
  assert_int_equal(dp_run_add(run, 0, wrong, 1), DP_ERR_INPUT);
  dp_ctx_clear_error(ctx);
  OK(dp_run_add(run, 0, NULL, 0));
  dp_run_close(run);
  drop(&b);
}

static int setup(void **state) {
  (void)state;
  dp_ctx_def def = dp_ctx_def_default();
  def.nthread = 2;
  return dp_ctx_create(&def, &ctx) == DP_OK && dp_test_spokes_register(ctx) == DP_OK ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  const size_t live = dpi_alloc_live(ctx);
  dp_ctx_destroy(ctx);
  return live == 0 ? 0 : -1; /* everything was given back */
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_subjects), cmocka_unit_test(test_present),
                                     cmocka_unit_test(test_refused)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
