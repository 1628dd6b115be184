/* test_conformance.c - every clause of the waist on every spoke that offers it (tests/spokes/subjects.c). What is
 * compared with what: pieces with the whole, one member with many, forks and loaded runs with their originals, an edit
 * with SET instants, derivatives with Richardson-extrapolated differences, doses with the amount given; refusals and
 * failures of memory are provoked.
 *
 * A spoke promises one of two things of advancing in pieces: `exact` (no byte changes) or a tolerance (an integrator
 * starts anew where a piece ends). Everything else is compared byte by byte.
 */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "subjects.h"

#define T(x) ((dp_time)((x)*DP_TICKS))
#define NMEMBER 37 /* more than one batch for every subject, and no multiple of a batch */
#define NINSTANT 6
#define NOUT_MOST 16

/* ---- fixture: a sim and members with ragged timelines ---- */

typedef struct fixture {
  const subject *s;
  dp_ctx *ctx;
  dp_model *model;
  dp_sim *sim;
  const dp_sim_desc *desc;
  int n;
  dp_member *m;
  double *param; /* [n x nparam] */
  dp_instant *instant;
  dp_output_time *out;
  double seed[64];
  dp_run_opts opts;
} fixture;

static void must(const fixture *f, dp_status status) {
  if (status != DP_OK)
    fail_msg("%s: %s: %s", f->s->name, dp_status_name(status), dp_ctx_error(f->ctx));
}

static bool has(const fixture *f, uint32_t cap) { return (f->desc->caps & cap) != 0; }

static int param_of(const fixture *f, const char *id) {
  int k = dp_sim_param(f->sim, id);
  if (k < 0) fail_msg("%s: no parameter '%s'", f->s->name, id);
  return k;
}

static double *param_at(const fixture *f, int i, const char *id) {
  return &f->param[i * f->desc->nparam + param_of(f, id)];
}

static void fill_param(fixture *f, int i) {
  double *p = f->param + i * f->desc->nparam;
  memcpy(p, f->desc->param_default, (size_t)f->desc->nparam * sizeof *p);
  for (int k = 0; k < DPI_COUNT(f->s->param) && f->s->param[k].id; k++) {
    p[param_of(f, f->s->param[k].id)] = f->s->param[k].value;
  }
  p[param_of(f, f->s->param[0].id)] *= 1 + 0.003 * i;
}

/* Repeated dose at 1, 2.5, 4; a switch at 3; a state set at 3.5 and scaled at 5; every other member is reset at 6. */
static int fill_instants(const fixture *f, int i, dp_instant *s) {
  int state = dp_sim_state(f->sim, f->s->target), n = 0;
  for (int k = 0; k < NINSTANT; k++) s[k] = dp_instant_default();
  s[n++] = (dp_instant){.time = T(1),
                        .type = DP_ADD,
                        .amount = f->s->dose,
                        .interval = T(1.5),
                        .repeats = 2,
                        .dir_amount = f->opts.ndir ? f->s->nactive : -1,
                        .dir_time = -1};
  s[n++] = (dp_instant){.time = T(3),
                        .order = 1,
                        .type = DP_SWITCH,
                        .target = param_of(f, f->s->change.id),
                        .amount = f->s->change.value,
                        .dir_amount = -1,
                        .dir_time = -1};
  s[n++] = (dp_instant){.time = T(3.5),
                        .type = DP_SET,
                        .target = state,
                        .amount = f->s->dose * 2,
                        .dir_amount = -1,
                        .dir_time = -1};
  s[n++] = (dp_instant){.time = T(5),
                        .type = DP_SCALE,
                        .target = state,
                        .amount = 0.5,
                        .dir_amount = -1,
                        .dir_time = -1};
  if (i % 2)
    s[n++] = (dp_instant){.time = T(6), .type = DP_RESET, .dir_amount = -1, .dir_time = -1};
  return n;
}

/* Ragged: 5 to 11 times, both sides of the switch among them for every third member. */
static int fill_outs(int i, dp_output_time *o) {
  int n = 0, many = 5 + (i * 5) % 7;
  for (int k = 1; n < many; k++) {
    dp_time t = k * T(0.7) + (i % 3) * T(0.1);
    if (i % 3 == 2 && t == T(3.0)) o[n++] = (dp_output_time){.time = t, .order = 0};
    o[n++] = (dp_output_time){.time = t, .order = 2};
  }
  return n;
}

static fixture *fixture_with(const subject *s, const dp_ctx_def *ctx_def, int n, double rtol) {
  fixture *f = calloc(1, sizeof *f);
  f->s = s;
  f->n = n;
  assert_int_equal(dp_ctx_create(ctx_def, &f->ctx), DP_OK);
  must(f, dp_test_spokes_register(f->ctx));
  must(f, dp_test_subject_sim(f->ctx, s, rtol, &f->model, &f->sim));
  f->desc = dp_sim_describe(f->sim);
  f->opts = dp_run_opts_default();
  f->opts.seed = 42;
  f->opts.ndir = has(f, DP_CAP_JVP) ? s->nactive + 1 : 0;
  f->m = calloc((size_t)n, sizeof *f->m);
  f->param = calloc((size_t)(n * f->desc->nparam), sizeof *f->param);
  f->instant = calloc((size_t)n * NINSTANT, sizeof *f->instant);
  f->out = calloc((size_t)n * NOUT_MOST, sizeof *f->out);
  for (int a = 0; a < s->nactive; a++) f->seed[a * f->opts.ndir + a] = 1;
  for (int i = 0; i < n; i++) {
    fill_param(f, i);
    f->m[i] = (dp_member){.param = f->param + i * f->desc->nparam,
                          .seed = f->opts.ndir ? f->seed : NULL,
                          .instant = f->instant + i * NINSTANT,
                          .out = f->out + i * NOUT_MOST,
                          .stream = 1000 + (uint64_t)i};
    f->m[i].ninstant = fill_instants(f, i, f->instant + i * NINSTANT);
    f->m[i].nout = fill_outs(i, f->out + i * NOUT_MOST);
  }
  return f;
}

static fixture *fixture_new(const subject *s, int nthread) {
  dp_ctx_def def = dp_ctx_def_default();
  def.nthread = nthread;
  return fixture_with(s, &def, NMEMBER, 0);
}

static void fixture_free(fixture *f) {
  free(f->m);
  free(f->param);
  free(f->instant);
  free(f->out);
  dp_sim_destroy(f->sim);
  dp_model_destroy(f->model);
  assert_int_equal(dpi_alloc_live(f->ctx), 0);
  dp_ctx_destroy(f->ctx);
  free(f);
}

static dp_time end_of(const fixture *f) {
  dp_time end = 0;
  for (int i = 0; i < f->n; i++) {
    if (f->m[i].out[f->m[i].nout - 1].time > end) end = f->m[i].out[f->m[i].nout - 1].time;
  }
  return end;
}

/* ---- gathering what runs give ---- */

typedef struct gather {
  int n, noutput, ndir;
  size_t *at; /* [n + 1] first row */
  double *value, *dvalue;
  int *seen, *status;
  double *fail_time;
  int next, nvalue; /* member expected next in this emit; rows given */
} gather;

static gather *gather_new(const fixture *f, const dp_member *m, int n) {
  gather *g = calloc(1, sizeof *g);
  g->n = n;
  g->noutput = f->desc->noutput;
  g->ndir = f->opts.ndir;
  g->at = calloc((size_t)n + 1, sizeof *g->at);
  for (int i = 0; i < n; i++) g->at[i + 1] = g->at[i] + (size_t)m[i].nout;
  g->value = calloc(g->at[n] * (size_t)g->noutput + 1, sizeof *g->value);
  g->dvalue = calloc(g->at[n] * (size_t)(g->noutput * g->ndir) + 1, sizeof *g->dvalue);
  g->seen = calloc((size_t)n, sizeof *g->seen);
  g->status = calloc((size_t)n, sizeof *g->status);
  g->fail_time = calloc((size_t)n, sizeof *g->fail_time);
  return g;
}

static void gather_free(gather *g) {
  free(g->at);
  free(g->value);
  free(g->dvalue);
  free(g->seen);
  free(g->status);
  free(g->fail_time);
  free(g);
}

/* Members come in order, rows follow each other without gap or repetition. */
static dp_status gather_sink(void *user, const dp_member_result *block, int nblock) {
  gather *g = user;
  for (int k = 0; k < nblock; k++) {
    const dp_member_result *r = &block[k];
    assert_int_equal(r->member, g->next);
    g->next++;
    assert_int_equal(r->out_first, g->seen[r->member]);
    size_t row = g->at[r->member] + (size_t)r->out_first, width = (size_t)g->noutput;
    assert_true(row + (size_t)r->nout <= g->at[r->member + 1]);
    memcpy(g->value + row * width, r->value, (size_t)r->nout * width * sizeof(double));
    if (g->ndir) {
      width *= (size_t)g->ndir;
      memcpy(g->dvalue + row * width, r->dvalue, (size_t)r->nout * width * sizeof(double));
    }
    g->seen[r->member] += r->nout;
    g->nvalue += r->nout;
    g->status[r->member] = r->status;
    g->fail_time[r->member] = r->fail_time;
    assert_true((r->status == DP_MEMBER_OK) == (r->reason[0] == '\0'));
  }
  return DP_OK;
}

static void emit(const fixture *f, dp_run *run, gather *g) {
  g->next = 0;
  must(f, dp_run_emit(run, gather_sink, g));
  assert_int_equal(g->next, g->n);
}

/* All members to the end at once. */
static gather *run_whole(fixture *f) {
  gather *g = gather_new(f, f->m, f->n);
  dp_run *run = NULL;
  must(f, dp_run_open(f->sim, f->m, f->n, &f->opts, &run));
  must(f, dp_run_advance(run, end_of(f)));
  emit(f, run, g);
  dp_run_close(run);
  return g;
}

static void same_bytes(const fixture *f, const char *what, const double *a, const double *b,
                       size_t n) {
  for (size_t k = 0; k < n; k++) {
    if (memcmp(&a[k], &b[k], sizeof *a) == 0) continue;
    fail_msg("%s: %s: number %zu of %zu is %.17g, not %.17g", f->s->name, what, k, n, a[k], b[k]);
  }
}

static void close_to(const fixture *f, const char *what, const double *a, const double *b, size_t n,
                     double tol) {
  for (size_t k = 0; k < n; k++) {
    if (isnan(a[k]) && isnan(b[k])) continue;
    if (fabs(a[k] - b[k]) <= tol * (1 + fabs(b[k]))) continue;
    fail_msg("%s: %s: number %zu of %zu is %.17g, not %.17g (tolerance %g)", f->s->name, what, k, n,
             a[k], b[k], tol);
  }
}

/* As the subject promises of advancing in pieces. */
static void as_promised(const fixture *f, const char *what, const gather *a, const gather *b) {
  size_t n = a->at[a->n] * (size_t)a->noutput, nd = n * (size_t)a->ndir;
  for (int i = 0; i < a->n; i++) assert_int_equal(a->seen[i], b->seen[i]);
  if (f->s->exact) {
    same_bytes(f, what, a->value, b->value, n);
    same_bytes(f, what, a->dvalue, b->dvalue, nd);
  } else {
    close_to(f, what, a->value, b->value, n, f->s->tol);
    close_to(f, what, a->dvalue, b->dvalue, nd, f->s->tol * 10);
  }
}

static void same_gather(const fixture *f, const char *what, const gather *a, const gather *b) {
  size_t n = a->at[a->n] * (size_t)a->noutput;
  for (int i = 0; i < a->n; i++) assert_int_equal(a->seen[i], b->seen[i]);
  same_bytes(f, what, a->value, b->value, n);
  same_bytes(f, what, a->dvalue, b->dvalue, n * (size_t)a->ndir);
}

static void expect(const fixture *f, dp_status found, dp_status status, const char *a,
                   const char *b) {
  const char *says = dp_ctx_error(f->ctx);
  if (found != status)
    fail_msg("%s: %s, expected %s: %s", f->s->name, dp_status_name(found), dp_status_name(status),
             says);
  if (!strstr(says, a) || !strstr(says, b))
    fail_msg("%s: no '%s' and '%s' in: %s", f->s->name, a, b, says);
  dp_ctx_clear_error(f->ctx);
}

static dp_status ignore_sink(void *user, const dp_member_result *block, int nblock) {
  (void)user;
  (void)block;
  (void)nblock;
  return DP_OK;
}

/* ---- clauses ---- */

static void pieces(const subject *s) {
  fixture *f = fixture_new(s, 2);
  gather *whole = run_whole(f), *g = gather_new(f, f->m, f->n);
  dp_run *run = NULL;
  must(f, dp_run_open(f->sim, f->m, f->n, &f->opts, &run));
  emit(f, run, g); /* before any advance: nothing */
  assert_int_equal(g->nvalue, 0);
  static const double stop[] = {0, 0.75, 1, 1, 2.1, 3, 3.3, 6, 6.05};
  for (int k = 0; k < DPI_COUNT(stop); k++) {
    must(f, dp_run_advance(run, T(stop[k])));
    if (k % 3 != 1) emit(f, run, g);
  }
  must(f, dp_run_advance(run, end_of(f)));
  emit(f, run, g);
  int before = g->nvalue;
  emit(f, run, g); /* outputs come once */
  assert_int_equal(g->nvalue, before);
  assert_int_equal(g->nvalue, whole->nvalue);
  as_promised(f, "in pieces", g, whole);
  expect(f, dp_run_advance(run, T(1)), DP_ERR_USAGE, "advance", "");
  dp_run_close(run);
  gather_free(g);
  gather_free(whole);
  fixture_free(f);
}

/* dp_simulate gives the bytes of a run of that member alone to its own end. */
static void simulate_equals_run(const subject *s) {
  fixture *f = fixture_new(s, 2);
  dp_result *r = NULL;
  must(f, dp_simulate(f->sim, f->m, f->n, &f->opts, &r));
  assert_int_equal(r->nfailed, 0);
  for (int i = 0; i < f->n; i++) {
    gather *g = gather_new(f, &f->m[i], 1);
    dp_run *run = NULL;
    must(f, dp_run_open(f->sim, &f->m[i], 1, &f->opts, &run));
    must(f, dp_run_advance(run, f->m[i].out[f->m[i].nout - 1].time));
    emit(f, run, g);
    dp_run_close(run);
    size_t n = (size_t)(f->m[i].nout * r->noutput), at = r->value_at[i] * (size_t)r->noutput;
    same_bytes(f, "run", g->value, r->value + at, n);
    if (r->ndir)
      same_bytes(f, "run's derivatives", g->dvalue, r->dvalue + at * (size_t)r->ndir,
                 n * (size_t)r->ndir);
    gather_free(g);
  }
  dp_result_destroy(r);
  fixture_free(f);
}

typedef struct sum {
  const dp_result *r;
  int next;
} sum;

static dp_status into_sink(void *user, const dp_member_result *block, int nblock) {
  sum *s = user;
  const dp_result *r = s->r;
  for (int k = 0; k < nblock; k++) {
    int i = s->next++;
    size_t n = (r->value_at[i + 1] - r->value_at[i]) * (size_t)r->noutput,
           at = r->value_at[i] * (size_t)r->noutput;
    assert_int_equal(block[k].member, i);
    assert_int_equal((size_t)(block[k].nout * r->noutput), n);
    assert_memory_equal(block[k].value, r->value + at, n * sizeof(double));
    if (r->ndir)
      assert_memory_equal(block[k].dvalue, r->dvalue + at * (size_t)r->ndir,
                          n * (size_t)r->ndir * 8);
  }
  return DP_OK;
}

typedef struct stopping {
  int last, seen, nelsewhere;
  pthread_t caller;
} stopping;

static dp_status stopping_sink(void *user, const dp_member_result *block, int nblock) {
  stopping *s = user;
  s->nelsewhere += !pthread_equal(pthread_self(), s->caller);
  s->seen = block[nblock - 1].member;
  return s->seen >= s->last ? DP_ERR_IO : DP_OK;
}

/* Bounded memory, same bytes; many members so that there are several chunks in work; a sink that stops. */
static void simulate_into(const subject *s) {
  enum { MANY = 2300 };
  fixture *f = fixture_new(s, 2);
  dp_member *many = calloc(MANY, sizeof *many);
  for (int i = 0; i < MANY; i++) {
    many[i] = f->m[i % f->n];
    many[i].nout = 2;
  }
  f->opts.ndir = 0;
  for (int i = 0; i < f->n * NINSTANT; i++) f->instant[i].dir_amount = -1;
  dp_result *r = NULL;
  must(f, dp_simulate(f->sim, many, MANY, &f->opts, &r));
  sum sum = {.r = r};
  must(f, dp_simulate_into(f->sim, many, MANY, &f->opts, into_sink, &sum));
  assert_int_equal(sum.next, MANY);
  stopping stop = {.last = MANY / 3, .caller = pthread_self()};
  assert_int_equal(dp_simulate_into(f->sim, many, MANY, &f->opts, stopping_sink, &stop), DP_ERR_IO);
  assert_in_range(stop.seen, MANY / 3, MANY - 1);
  assert_int_equal(stop.nelsewhere, 0);
  dp_ctx_clear_error(f->ctx);
  dp_result_destroy(r);
  free(many);
  fixture_free(f);
}

/* A member's result depends on itself only: alone, and in the reverse order. */
static void alone_among_others(const subject *s) {
  fixture *f = fixture_new(s, 1);
  dp_result *all = NULL, *back = NULL;
  dp_member reverse[NMEMBER];
  for (int i = 0; i < f->n; i++) reverse[i] = f->m[f->n - 1 - i];
  must(f, dp_simulate(f->sim, f->m, f->n, &f->opts, &all));
  must(f, dp_simulate(f->sim, reverse, f->n, &f->opts, &back));
  for (int i = 0; i < f->n; i++) {
    dp_result *one = NULL;
    must(f, dp_simulate(f->sim, &f->m[i], 1, &f->opts, &one));
    size_t n = (size_t)(f->m[i].nout * all->noutput), nd = n * (size_t)all->ndir,
           w = (size_t)all->noutput;
    same_bytes(f, "alone", one->value, all->value + all->value_at[i] * w, n);
    same_bytes(f, "reversed", back->value + back->value_at[f->n - 1 - i] * w,
               all->value + all->value_at[i] * w, n);
    if (nd) {
      w *= (size_t)all->ndir;
      same_bytes(f, "alone, derivatives", one->dvalue, all->dvalue + all->value_at[i] * w, nd);
      same_bytes(f, "reversed, derivatives", back->dvalue + back->value_at[f->n - 1 - i] * w,
                 all->dvalue + all->value_at[i] * w, nd);
    }
    dp_result_destroy(one);
  }
  dp_result_destroy(all);
  dp_result_destroy(back);
  fixture_free(f);
}

/* Hash of all values and derivatives over 1, 2, 7, 16 threads. */
static void threads(const subject *s) {
  static const int many[] = {1, 2, 7, 16};
  char first[3][65];
  for (int k = 0; k < DPI_COUNT(many); k++) {
    fixture *f = fixture_new(s, many[k]);
    gather *g = run_whole(f);
    dp_result *r = NULL;
    must(f, dp_simulate(f->sim, f->m, f->n, &f->opts, &r));
    size_t n = g->at[g->n] * (size_t)(g->noutput) * sizeof(double);
    char hex[3][65];
    dpi_sha256_hex(g->value, n, hex[0]);
    dpi_sha256_hex(g->dvalue, n * (size_t)g->ndir, hex[1]);
    dpi_sha256_hex(r->value, n * (size_t)(1 + r->ndir), hex[2]); /* derivatives follow the values */
    if (k == 0) memcpy(first, hex, sizeof first);
    for (int j = 0; j < 3; j++) assert_string_equal(hex[j], first[j]);
    dp_result_destroy(r);
    gather_free(g);
    fixture_free(f);
  }
}

typedef struct share {
  const fixture *f;
  const dp_result *all;
  int different;
} share;

static dp_status share_one(void *user, int i, int worker) {
  (void)worker;
  share *x = user;
  dp_result *r = NULL;
  int k = i % x->f->n;
  DP_TRY(dp_simulate(x->f->sim, &x->f->m[k], 1, &x->f->opts, &r));
  size_t w = (size_t)r->noutput, n = (size_t)x->f->m[k].nout * w;
  if (memcmp(r->value, x->all->value + x->all->value_at[k] * w, n * sizeof(double)) != 0)
    x->different = 1;
  dp_result_destroy(r);
  return DP_OK;
}

/* One sim, many threads that call dp_simulate at once: how fitting uses it. */
static void shared(const subject *s) {
  fixture *f = fixture_new(s, 4);
  share x = {.f = f};
  if (has(f, DP_CAP_THREADS)) {
    dp_result *all = NULL;
    must(f, dp_simulate(f->sim, f->m, f->n, &f->opts, &all));
    x.all = all;
    must(f, dpi_parallel_for(f->ctx, 4 * f->n, share_one, &x));
    assert_int_equal(x.different, 0);
    dp_result_destroy(all);
  }
  fixture_free(f);
}

static void no_members(const subject *s) {
  fixture *f = fixture_new(s, 1);
  dp_result *r = NULL;
  must(f, dp_simulate(f->sim, NULL, 0, &f->opts, &r));
  assert_int_equal(r->nmember, 0);
  dp_result_destroy(r);
  must(f, dp_simulate_into(f->sim, NULL, 0, &f->opts, ignore_sink, NULL));
  dp_run *run = NULL, *again = NULL;
  void *bytes = NULL;
  size_t size = 0;
  must(f, dp_run_open(f->sim, NULL, 0, &f->opts, &run));
  must(f, dp_run_advance(run, T(1)));
  must(f, dp_run_emit(run, ignore_sink, NULL));
  must(f, dp_run_save(run, &bytes, &size));
  dp_run_close(run);
  must(f, dp_run_load(f->sim, NULL, 0, &f->opts, bytes, size, &again));
  dp_run_close(again);
  dp_run_bytes_free(f->sim, bytes);
  fixture_free(f);
}

/* Two instants and four output times at 2: each output says on which side of which instant it is. */
static void sides(const subject *s) {
  fixture *f = fixture_new(s, 1);
  int state = dp_sim_state(f->sim, s->target);
  dp_instant i[2] = {dp_instant_default(), dp_instant_default()};
  i[0] = (dp_instant){
      .time = T(2), .type = DP_ADD, .amount = s->dose, .dir_amount = -1, .dir_time = -1};
  i[1] = (dp_instant){.time = T(2),
                      .order = 2,
                      .type = DP_SET,
                      .target = state,
                      .amount = 7,
                      .dir_amount = -1,
                      .dir_time = -1};
  dp_output_time out[] = {{.time = T(2), .order = -1},
                          {.time = T(2), .order = 0},
                          {.time = T(2), .order = 1},
                          {.time = T(2), .order = 2}};
  dp_member m = {
      .param = f->param, .instant = i, .ninstant = 2, .out = out, .nout = 4, .stream = 5};
  dp_result *r = NULL;
  f->opts.ndir = 0;
  must(f, dp_simulate(f->sim, &m, 1, &f->opts, &r));
  double x[4];
  for (int k = 0; k < 4; k++) x[k] = r->value[k * r->noutput];
  assert_true(fabs(x[1] - x[0] - s->dose_step) <=
              1e-12 * (1 + fabs(x[1]))); /* ties: the instant first */
  assert_true(x[1] == x[2]);
  assert_true(x[3] == 7);
  dp_result_destroy(r);
  /* the other order: set, then dose */
  i[0].order = 3;
  dp_instant swap = i[0];
  i[0] = i[1];
  i[1] = swap;
  out[3].order = 3;
  must(f, dp_simulate(f->sim, &m, 1, &f->opts, &r));
  assert_true(fabs(r->value[3 * r->noutput] - 7 - s->dose_step) <= 1e-12 * 10);
  dp_result_destroy(r);
  fixture_free(f);
}

/* One member without a number, one that explodes: both fail alone, and nobody else sees it. */
static void failure_alone(const subject *s) {
  fixture *f = fixture_new(s, 2);
  dp_result *good = NULL, *r = NULL;
  must(f, dp_simulate(f->sim, f->m, f->n, &f->opts, &good));
  *param_at(f, 1, s->nan_param) = NAN;
  *param_at(f, 2, s->blow_up.id) = s->blow_up.value;
  must(f, dp_simulate(f->sim, f->m, f->n, &f->opts, &r));
  gather *g = run_whole(f);
  assert_int_equal(r->nfailed, 2);
  size_t w = (size_t)r->noutput;
  for (int i = 0; i < f->n; i++) {
    bool bad = i == 1 || i == 2;
    assert_int_equal(r->status[i], bad ? DP_MEMBER_FAILED : DP_MEMBER_OK);
    assert_int_equal(g->status[i], r->status[i]);
    assert_int_equal(g->seen[i], f->m[i].nout); /* masked rows are rows */
    assert_true(bad == (r->reason[i][0] != '\0'));
    assert_true(bad == !isnan(r->fail_time[i]));
    const double *v = r->value + r->value_at[i] * w;
    size_t n = (size_t)f->m[i].nout * w;
    if (!bad) same_bytes(f, "beside failures", v, good->value + r->value_at[i] * w, n);
    for (int k = 0; bad && k < f->m[i].nout; k++) {
      bool late = (double)f->m[i].out[k].time / DP_TICKS > r->fail_time[i];
      if (late) assert_true(isnan(v[(size_t)k * w]) && isnan(g->value[(g->at[i] + (size_t)k) * w]));
    }
    if (bad) assert_true(isnan(v[n - 1]) && r->fail_time[i] >= 0 && r->fail_time[i] <= 9);
  }
  gather_free(g);
  dp_result_destroy(good);
  dp_result_destroy(r);
  fixture_free(f);
}

/* A failed member in a run that is advanced, read, forked and saved. */
static void failure_in_runs(const subject *s) {
  fixture *f = fixture_new(s, 1);
  *param_at(f, 2, s->blow_up.id) = s->blow_up.value;
  dp_run *run = NULL, *again = NULL;
  double x[64];
  must(f, dp_run_open(f->sim, f->m, 4, &f->opts, &run));
  must(f, dp_run_advance(run, T(4.5)));
  must(f, dp_run_state_get(run, 2, x));
  for (int j = 0; j < f->desc->nstate; j++) assert_true(isnan(x[j]));
  if (has(f, DP_CAP_EDIT)) {
    must(f, dp_run_state_get(run, 1, x));
    expect(f, dp_run_state_set(run, 2, x), DP_ERR_INPUT, "member 2", "failed");
  }
  void *bytes = NULL;
  size_t size = 0;
  must(f, dp_run_save(run, &bytes, &size));
  gather *a = gather_new(f, f->m, 4), *b = gather_new(f, f->m, 4);
  must(f, dp_run_advance(run, T(9)));
  emit(f, run, a);
  dp_run_close(run);
  must(f, dp_run_load(f->sim, f->m, 4, &f->opts, bytes, size, &again));
  must(f, dp_run_advance(again, T(9)));
  emit(f, again, b);
  same_gather(f, "loaded with a failed member", b, a);
  assert_int_equal(b->status[2], DP_MEMBER_FAILED);
  assert_memory_equal(&a->fail_time[2], &b->fail_time[2], sizeof(double));
  dp_run_bytes_free(f->sim, bytes);
  dp_run_close(again);
  gather_free(a);
  gather_free(b);
  fixture_free(f);
}

/* Rows of `part` from `first` on are those of `whole`. */
static void same_future(const fixture *f, const char *what, const double *part, const double *whole,
                        int first, int nout) {
  size_t w = (size_t)f->desc->noutput;
  same_bytes(f, what, part + (size_t)first * w, whole + (size_t)first * w,
             (size_t)(nout - first) * w);
}

static int rows_until(const dp_member *m, dp_time t) {
  int n = 0;
  while (n < m->nout && m->out[n].time <= t) n++;
  return n;
}

/* What a fork gives goes on as its parent, once and twice over, and what it does afterwards does not touch the
 * parent. */
static void forks(const subject *s) {
  fixture *f = fixture_new(s, 2);
  const dp_time at = T(2.9), end = end_of(f);
  static const int index[] = {5, 5, 0, 11, 36}, again[] = {4, 0};
  dp_run *run = NULL, *child = NULL, *grand = NULL;
  must(f, dp_run_open(f->sim, f->m, f->n, &f->opts, &run));
  must(f, dp_run_advance(run, at));
  if (f->desc->max_instances == 1) {
    expect(f, dp_run_fork(run, index, 5, NULL, &child), DP_ERR_UNSUPPORTED, s->spoke,
           "max_instances");
    dp_run_close(run);
    fixture_free(f);
    return;
  }
  must(f, dp_run_fork(run, index, 5, NULL, &child));
  dp_member cm[5], gm[2];
  for (int k = 0; k < 5; k++) cm[k] = f->m[index[k]];
  for (int k = 0; k < 2; k++) gm[k] = cm[again[k]];
  gather *parent = gather_new(f, f->m, f->n), *c = gather_new(f, cm, 5), *g = gather_new(f, gm, 2);
  for (int k = 0; k < 5; k++) c->seen[k] = rows_until(&cm[k], at); /* the past is the parent's */
  must(f, dp_run_advance(child, T(4.5)));
  must(f, dp_run_fork(child, again, 2, NULL, &grand));
  for (int k = 0; k < 2; k++) g->seen[k] = rows_until(&gm[k], T(4.5));
  /* the parent stops where the child stopped: it is the same way */
  must(f, dp_run_advance(run, T(4.5)));
  must(f, dp_run_advance(run, end));
  must(f, dp_run_advance(child, end));
  must(f, dp_run_advance(grand, end));
  emit(f, run, parent);
  emit(f, child, c);
  emit(f, grand, g);
  size_t w = (size_t)f->desc->noutput;
  for (int k = 0; k < 5; k++) {
    same_future(f, "child", c->value + c->at[k] * w, parent->value + parent->at[index[k]] * w,
                rows_until(&cm[k], at), cm[k].nout);
  }
  for (int k = 0; k < 2; k++) {
    same_future(f, "grandchild", g->value + g->at[k] * w,
                parent->value + parent->at[index[again[k]]] * w, rows_until(&gm[k], T(4.5)),
                gm[k].nout);
  }
  int wrong = 37;
  expect(f, dp_run_fork(run, &wrong, 1, NULL, &(dp_run *){NULL}), DP_ERR_INPUT, "index[0]", "37");
  dp_run_close(grand);
  dp_run_close(child);
  dp_run_close(run);
  gather_free(parent);
  gather_free(c);
  gather_free(g);
  fixture_free(f);
}

/* Duplicates with streams of their own part ways after the fork and not before; the same stream gives the same way. */
static void fork_streams(const subject *s) {
  fixture *f = fixture_new(s, 1);
  if (!has(f, DP_CAP_STOCHASTIC)) {
    fixture_free(f);
    return;
  }
  dp_output_time out[40];
  for (int k = 0; k < 40; k++) out[k] = (dp_output_time){.time = T(0.2) * (k + 1), .order = 1};
  dp_member m = f->m[0], cm[3];
  m.out = out;
  m.nout = 40;
  static const int index[] = {0, 0, 0};
  static const uint64_t streams[] = {77, 78, 77};
  dp_run *run = NULL, *child = NULL, *loaded = NULL;
  must(f, dp_run_open(f->sim, &m, 1, &f->opts, &run));
  must(f, dp_run_advance(run, T(2)));
  must(f, dp_run_fork(run, index, 3, streams, &child));
  for (int k = 0; k < 3; k++) {
    cm[k] = m;
    cm[k].stream = streams[k];
  }
  void *bytes = NULL;
  size_t size = 0;
  must(f, dp_run_save(child, &bytes, &size));
  gather *c = gather_new(f, cm, 3), *d = gather_new(f, cm, 3);
  for (int k = 0; k < 3; k++) c->seen[k] = d->seen[k] = 10;
  must(f, dp_run_advance(child, T(8)));
  emit(f, child, c);
  size_t n = (size_t)(40 * c->noutput), past = (size_t)(10 * c->noutput), future = n - past;
  assert_memory_not_equal(c->value + past, c->value + n + past, future * sizeof(double));
  same_bytes(f, "same stream", c->value + 2 * n + past, c->value + past, future);
  must(f, dp_run_load(f->sim, cm, 3, &f->opts, bytes, size, &loaded));
  must(f, dp_run_advance(loaded, T(8)));
  emit(f, loaded, d);
  same_gather(f, "fork, saved and loaded", d, c);
  dp_run_bytes_free(f->sim, bytes);
  dp_run_close(loaded);
  dp_run_close(child);
  dp_run_close(run);
  gather_free(c);
  gather_free(d);
  fixture_free(f);
}

/* ---- save and load ---- */

static dp_run *half_way(fixture *f, gather *g) {
  dp_run *run = NULL;
  must(f, dp_run_open(f->sim, f->m, f->n, &f->opts, &run));
  must(f, dp_run_advance(run, T(1.2)));
  emit(f, run, g);
  if (has(f, DP_CAP_EDIT)) {
    double x[64];
    must(f, dp_run_state_get(run, 3, x));
    for (int j = 0; j < f->desc->nstate; j++) x[j] *= 1.25;
    must(f, dp_run_state_set(run, 3, x));
  }
  must(f, dp_run_advance(run, T(2.9))); /* rows since 1.2 are not emitted: they are saved */
  return run;
}

static void save_load(const subject *s) {
  fixture *f = fixture_new(s, 2);
  gather *a = gather_new(f, f->m, f->n), *b = gather_new(f, f->m, f->n);
  dp_run *run = half_way(f, a), *again = NULL;
  for (int i = 0; i < f->n; i++) b->seen[i] = a->seen[i];
  memcpy(b->value, a->value, a->at[a->n] * (size_t)a->noutput * sizeof(double));
  memcpy(b->dvalue, a->dvalue, a->at[a->n] * (size_t)(a->noutput * a->ndir) * sizeof(double));
  void *bytes = NULL, *twice = NULL;
  size_t size = 0, size2 = 0;
  must(f, dp_run_save(run, &bytes, &size));
  must(f, dp_run_advance(run, end_of(f)));
  emit(f, run, a);
  dp_run_close(run);
  must(f, dp_run_load(f->sim, f->m, f->n, &f->opts, bytes, size, &again));
  must(f, dp_run_save(again, &twice, &size2));
  assert_int_equal(size, size2);
  assert_memory_equal(bytes, twice, size);
  must(f, dp_run_advance(again, end_of(f)));
  emit(f, again, b);
  same_gather(f, "loaded", b, a);
  dp_run_bytes_free(f->sim, bytes);
  dp_run_bytes_free(f->sim, twice);
  dp_run_close(again);
  gather_free(a);
  gather_free(b);
  fixture_free(f);
}

/* Other sims' bytes, bytes cut at any place, bytes with one bit turned, other members, another seed. */
static void load_refused(const subject *s) {
  fixture *f = fixture_new(s, 1);
  gather *g = gather_new(f, f->m, f->n);
  dp_run *run = half_way(f, g), *none = NULL;
  void *bytes = NULL;
  size_t size = 0;
  must(f, dp_run_save(run, &bytes, &size));
  dp_run_close(run);
  dp_model *model = NULL;
  dp_sim *other = NULL;
  must(f, dp_test_subject_sim(f->ctx, s, 1e-5, &model, &other));
  expect(f, dp_run_load(other, f->m, f->n, &f->opts, bytes, size, &none), DP_ERR_INPUT, "sim",
         "saved by");
  dp_sim_destroy(other);
  dp_model_destroy(model);
  for (size_t cut = 0; cut < size; cut += 1 + size / 97) {
    expect(f, dp_run_load(f->sim, f->m, f->n, &f->opts, bytes, cut, &none), DP_ERR_INPUT,
           "dp_run_load", "");
  }
  for (size_t at = 0; at < size; at += 1 + size / 53) {
    ((char *)bytes)[at] ^= 4;
    expect(f, dp_run_load(f->sim, f->m, f->n, &f->opts, bytes, size, &none), DP_ERR_INPUT,
           "dp_run_load", "");
    ((char *)bytes)[at] ^= 4;
  }
  dp_run_opts opts = f->opts;
  opts.seed++;
  expect(f, dp_run_load(f->sim, f->m, f->n, &opts, bytes, size, &none), DP_ERR_INPUT, "seed", "");
  f->param[0] *= 2;
  expect(f, dp_run_load(f->sim, f->m, f->n, &f->opts, bytes, size, &none), DP_ERR_INPUT,
         "other members", "");
  f->param[0] /= 2;
  f->m[2].stream++;
  expect(f, dp_run_load(f->sim, f->m, f->n, &f->opts, bytes, size, &none), DP_ERR_INPUT,
         "other members", "");
  f->m[2].stream--;
  expect(f, dp_run_load(f->sim, f->m, f->n - 1, &f->opts, bytes, size, &none), DP_ERR_INPUT,
         "number of members", "");
  must(f, dp_run_load(f->sim, f->m, f->n, &f->opts, bytes, size, &none));
  dp_run_close(none);
  dp_run_bytes_free(f->sim, bytes);
  gather_free(g);
  fixture_free(f);
}

/* Damage whose checksum is right: any answer but a crash, and no more allocated than given back. */
static void load_damaged(const subject *s) {
  fixture *f = fixture_new(s, 1);
  gather *g = gather_new(f, f->m, f->n);
  dp_run *run = half_way(f, g), *none = NULL;
  void *bytes = NULL;
  size_t size = 0;
  uint64_t x = 88172645463325252u; /* xorshift (Marsaglia 2003) */
  must(f, dp_run_save(run, &bytes, &size));
  dp_run_close(run);
  char *copy = malloc(size);
  /* behind the hashes: the head and the first member, and everything where the spoke survives any state */
  size_t most = s->quick ? size - 64 : 216;
  for (int k = 0; k < 400; k++) {
    memcpy(copy, bytes, size);
    for (int j = 0; j < 3; j++) {
      x ^= x << 13;
      x ^= x >> 7;
      x ^= x << 17;
      size_t at = 140 + x % ((k % 2 ? 216 : most) - 140);
      copy[at] = (char)(x >> 40);
    }
    char hex[65];
    dpi_sha256_hex(copy, size - 64, hex);
    memcpy(copy + size - 64, hex, 64);
    dp_status status = dp_run_load(f->sim, f->m, f->n, &f->opts, copy, size, &none);
    assert_true(status == DP_OK || none == NULL);
    if (status == DP_OK && dp_run_advance(none, T(9)) == DP_OK)
      must(f, dp_run_emit(none, ignore_sink, NULL));
    dp_run_close(none);
    none = NULL;
    dp_ctx_clear_error(f->ctx);
  }
  free(copy);
  dp_run_bytes_free(f->sim, bytes);
  gather_free(g);
  fixture_free(f);
}

/* ---- edits, derivatives, random numbers ---- */

/* An edit at 3.3 is what SET instants of all states at 3.3 are. */
static void edits(const subject *s) {
  fixture *f = fixture_new(s, 1);
  if (!has(f, DP_CAP_EDIT)) {
    fixture_free(f);
    return;
  }
  f->opts.ndir = 0;
  int ns = f->desc->nstate;
  dp_instant plan[NINSTANT + 64];
  dp_member edited = f->m[2], given = f->m[2];
  double x[64];
  f->instant[2 * NINSTANT].dir_amount = -1;
  dp_run *run = NULL;
  must(f, dp_run_open(f->sim, &edited, 1, &f->opts, &run));
  must(f, dp_run_advance(run, T(3.3)));
  must(f, dp_run_state_get(run, 0, x));
  for (int j = 0; j < ns; j++) x[j] = 0.4 + 1.5 * fabs(x[j]);
  must(f, dp_run_state_set(run, 0, x));
  gather *a = gather_new(f, &edited, 1);
  must(f, dp_run_advance(run, T(9)));
  emit(f, run, a);
  dp_run_close(run);
  memcpy(plan, edited.instant, 2 * sizeof *plan);
  for (int j = 0; j < ns; j++) {
    plan[2 + j] = dp_instant_default();
    plan[2 + j].type = DP_SET;
    plan[2 + j].time = T(3.3);
    plan[2 + j].target = j;
    plan[2 + j].amount = x[j];
  }
  memcpy(plan + 2 + ns, edited.instant + 2, (size_t)(edited.ninstant - 2) * sizeof *plan);
  given.instant = plan;
  given.ninstant += ns;
  gather *b = gather_new(f, &given, 1);
  must(f, dp_run_open(f->sim, &given, 1, &f->opts, &run));
  must(f, dp_run_advance(run, T(9)));
  emit(f, run, b);
  dp_run_close(run);
  as_promised(f, "edited", a, b);
  must(f, dp_run_open(f->sim, &edited, 1, &f->opts, &run));
  x[0] = NAN;
  expect(f, dp_run_state_set(run, 0, x), DP_ERR_INPUT, "state", f->desc->state_id[0]);
  dp_run_close(run);
  gather_free(a);
  gather_free(b);
  fixture_free(f);
}

/* First output rows of one member under p, dose amount and dose time. */
static void probe(fixture *f, double *p, double amount, dp_time time, double *y, int *n) {
  dp_instant plan[NINSTANT];
  dp_member m = f->m[2];
  memcpy(plan, m.instant, (size_t)m.ninstant * sizeof *plan);
  plan[0].amount = amount;
  plan[0].time = time;
  for (int k = 0; k < m.ninstant; k++) plan[k].dir_amount = plan[k].dir_time = -1;
  m.instant = plan;
  m.param = p;
  m.seed = NULL;
  dp_run_opts opts = f->opts;
  opts.ndir = 0;
  dp_result *r = NULL;
  must(f, dp_simulate(f->sim, &m, 1, &opts, &r));
  *n = m.nout * r->noutput;
  memcpy(y, r->value, (size_t)*n * sizeof *y);
  dp_result_destroy(r);
}

/* Central difference in direction v: active parameter, then amount, then time. */
static void difference(fixture *f, int v, double h, double *d, int *n) {
  double y[2][NOUT_MOST * 4], p[64];
  for (int side = 0; side < 2; side++) {
    double step = side ? -h : h, amount = f->s->dose;
    dp_time time = T(1);
    memcpy(p, f->m[2].param, (size_t)f->desc->nparam * sizeof *p);
    if (v < f->s->nactive)
      p[param_of(f, f->s->active[v])] += step;
    else if (v == f->s->nactive)
      amount += step;
    else
      time += (dp_time)(step * DP_TICKS);
    probe(f, p, amount, time, y[side], n);
  }
  for (int k = 0; k < *n; k++) d[k] = (y[0][k] - y[1][k]) / (2 * h);
}

/* Against (4 D(h/2) - D(h)) / 3, good to order h^4. */
static void derivatives(const subject *s) {
  dp_ctx_def def = dp_ctx_def_default();
  fixture *f = fixture_with(s, &def, 3, 1e-11);
  if (!has(f, DP_CAP_JVP)) {
    fixture_free(f);
    return;
  }
  int ndir = f->opts.ndir = s->nactive + 1 + s->time_dir, n = 0;
  memset(f->seed, 0, sizeof f->seed);
  for (int a = 0; a < s->nactive; a++) f->seed[a * ndir + a] = 1;
  if (s->time_dir) f->instant[2 * NINSTANT].dir_time = s->nactive + 1;
  dp_result *r = NULL;
  must(f, dp_simulate(f->sim, &f->m[2], 1, &f->opts, &r));
  for (int v = 0; v < ndir; v++) {
    double a[NOUT_MOST * 4], b[NOUT_MOST * 4], most = 0;
    difference(f, v, 4e-3, a, &n);
    difference(f, v, 2e-3, b, &n);
    for (int k = 0; k < n; k++) {
      double d = (4 * b[k] - a[k]) / 3, found = r->dvalue[k * ndir + v];
      if (fabs(found - d) > s->jvp_tol * (1 + fabs(d))) {
        fail_msg("%s: direction %d, number %d: %.12g, differences give %.12g", s->name, v, k, found,
                 d);
      }
      if (fabs(d) > most) most = fabs(d);
    }
    assert_true(most > 0); /* else nothing was compared */
  }
  dp_result_destroy(r);
  fixture_free(f);
}

/* The same stream gives the same path under another plan up to the first difference; another stream or seed another
 * path. */
static void common_numbers(const subject *s) {
  fixture *f = fixture_new(s, 1);
  if (!has(f, DP_CAP_STOCHASTIC)) {
    fixture_free(f);
    return;
  }
  dp_output_time out[30];
  for (int k = 0; k < 30; k++) out[k] = (dp_output_time){.time = T(0.25) * (k + 1), .order = 1};
  dp_instant dose = dp_instant_default();
  dose.time = T(3);
  dose.amount = s->dose;
  dp_member m[4];
  for (int k = 0; k < 4; k++)
    m[k] = (dp_member){.param = f->param, .out = out, .nout = 30, .stream = k == 2 ? 8 : 7};
  m[1].instant = &dose;
  m[1].ninstant = 1;
  f->opts.ndir = 0;
  dp_result *r = NULL, *other = NULL;
  must(f, dp_simulate(f->sim, m, 4, &f->opts, &r));
  size_t n = (size_t)(30 * r->noutput), before = (size_t)(11 * r->noutput);
  same_bytes(f, "before the plans differ", r->value + n, r->value, before);
  assert_memory_not_equal(r->value + n + before, r->value + before, (n - before) * sizeof(double));
  assert_memory_not_equal(r->value + 2 * n, r->value, n * sizeof(double));
  same_bytes(f, "same stream, same plan", r->value + 3 * n, r->value, n);
  f->opts.seed++;
  must(f, dp_simulate(f->sim, m, 4, &f->opts, &other));
  assert_memory_not_equal(other->value, r->value, n * sizeof(double));
  dp_result_destroy(other);
  dp_result_destroy(r);
  fixture_free(f);
}

/* ---- control ---- */

typedef struct watch {
  dp_ctx *ctx;
  int ncall, cancel_at;
  double last;
} watch;

static void on_progress(void *user, double done) {
  watch *w = user;
  assert_true(done >= w->last && done <= 1);
  w->last = done;
  if (++w->ncall == w->cancel_at) dp_ctx_cancel(w->ctx);
}

/* Cancelled after the first batch: what was done is given, the rest follows after resuming, all as if never stopped. */
static void cancel(const subject *s) {
  fixture *f = fixture_new(s, 1);
  gather *whole = run_whole(f), *g = gather_new(f, f->m, f->n);
  watch w = {.ctx = f->ctx, .cancel_at = 1};
  dp_run_opts opts = f->opts;
  opts.progress = on_progress;
  opts.progress_user = &w;
  dp_run *run = NULL;
  must(f, dp_run_open(f->sim, f->m, f->n, &opts, &run));
  expect(f, dp_run_advance(run, end_of(f)), DP_ERR_CANCELLED, "stopped", "");
  emit(f, run, g);
  assert_true(g->nvalue > 0 && g->nvalue < whole->nvalue);
  double x[64];
  expect(f, dp_run_state_get(run, 0, x), DP_ERR_USAGE, "half-way", "");
  expect(f, dp_run_advance(run, end_of(f)), DP_ERR_CANCELLED, "stopped", ""); /* still cancelled */
  dp_result *r = NULL;
  w.last = 0;
  dp_status status = f->desc->max_instances == 1 ? DP_ERR_UNSUPPORTED : DP_ERR_CANCELLED;
  expect(f, dp_simulate(f->sim, f->m, f->n, &opts, &r), status, "", "");
  assert_null(r);
  dp_ctx_resume(f->ctx);
  must(f, dp_run_advance(run, end_of(f)));
  emit(f, run, g);
  same_gather(f, "after cancelling", g, whole);
  assert_true(w.last == 1);
  dp_run_close(run);
  gather_free(g);
  gather_free(whole);
  fixture_free(f);
}

static void deadline(const subject *s) {
  fixture *f = fixture_new(s, 2);
  f->opts.deadline_s = 1e-9;
  dp_result *r = NULL;
  dp_run *run = NULL;
  gather *g = gather_new(f, f->m, f->n);
  expect(f, dp_simulate(f->sim, f->m, f->n, &f->opts, &r), DP_ERR_CANCELLED, "deadline", "");
  must(f, dp_run_open(f->sim, f->m, f->n, &f->opts, &run));
  expect(f, dp_run_advance(run, T(1)), DP_ERR_CANCELLED, "deadline", "");
  emit(f, run, g);
  assert_int_equal(g->nvalue, 0);
  dp_run_close(run);
  f->opts.deadline_s = 1e6;
  must(f, dp_simulate(f->sim, f->m, f->n, &f->opts, &r));
  dp_result_destroy(r);
  gather_free(g);
  fixture_free(f);
}

static void progress(const subject *s) {
  fixture *f = fixture_new(s, 2);
  watch w = {.ctx = f->ctx};
  f->opts.progress = on_progress;
  f->opts.progress_user = &w;
  gather *g = run_whole(f);
  assert_true(w.ncall >= 1 && w.last == 1);
  gather_free(g);
  fixture_free(f);
}

/* ---- refusals ---- */

/* From open and from dp_simulate, before time zero. */
static void refused(fixture *f, const dp_member *m, dp_status status, const char *a,
                    const char *b) {
  dp_run *run = NULL;
  dp_result *r = NULL;
  expect(f, dp_run_open(f->sim, m, 1, &f->opts, &run), status, a, b);
  expect(f, dp_simulate(f->sim, m, 1, &f->opts, &r), status, a, b);
  assert_null(run);
  assert_null(r);
}

static void capabilities(const subject *s) {
  fixture *f = fixture_new(s, 1);
  dp_instant still = dp_instant_default(), steady = dp_instant_default();
  still.type = DP_EQUILIBRATE;
  steady.amount = 1;
  steady.interval = T(1);
  steady.steady = 1;
  dp_functional area = {.kind = DP_INTEGRAL, .from = 0, .to = T(1)};
  dp_member m = {.param = f->param};
  int ndir = f->opts.ndir;
  f->opts.ndir = 0;
  if (!has(f, DP_CAP_STEADY)) {
    m.instant = &still;
    m.ninstant = 1;
    refused(f, &m, DP_ERR_UNSUPPORTED, "DP_CAP_STEADY", s->spoke);
    m.instant = &steady;
    refused(f, &m, DP_ERR_UNSUPPORTED, "DP_CAP_STEADY", s->spoke);
    m.ninstant = 0;
  }
  if (!has(f, DP_CAP_FUNCTIONALS)) {
    m.functional = &area;
    m.nfunctional = 1;
    refused(f, &m, DP_ERR_UNSUPPORTED, "DP_CAP_FUNCTIONALS", s->spoke);
    m.nfunctional = 0;
  }
  if (!has(f, DP_CAP_JVP)) {
    f->opts.ndir = 1;
    refused(f, &m, DP_ERR_UNSUPPORTED, "DP_CAP_JVP", s->spoke);
    f->opts.ndir = 0;
  }
  if (!has(f, DP_CAP_EDIT)) {
    dp_run *run = NULL;
    double x[64];
    must(f, dp_run_open(f->sim, &m, 1, &f->opts, &run));
    must(f, dp_run_state_get(run, 0, x));
    expect(f, dp_run_state_set(run, 0, x), DP_ERR_UNSUPPORTED, "DP_CAP_EDIT", s->spoke);
    dp_run_close(run);
  }
  f->opts.ndir = ndir;
  fixture_free(f);
}

static void instances(const subject *s) {
  fixture *f = fixture_new(s, 1);
  if (f->desc->max_instances == 0) {
    fixture_free(f);
    return;
  }
  assert_int_equal(f->desc->max_instances, 1);
  dp_run *run = NULL, *second = NULL;
  dp_result *r = NULL;
  must(f, dp_run_open(f->sim, f->m, 3, &f->opts, &run));
  expect(f, dp_run_open(f->sim, f->m, 3, &f->opts, &second), DP_ERR_UNSUPPORTED, "max_instances",
         s->spoke);
  expect(f, dp_simulate(f->sim, f->m, 3, &f->opts, &r), DP_ERR_UNSUPPORTED, "max_instances",
         s->spoke);
  dp_run_close(run);
  must(f, dp_run_open(f->sim, f->m, 3, &f->opts, &second));
  dp_run_close(second);
  must(f, dp_simulate(f->sim, f->m, 3, &f->opts, &r));
  dp_result_destroy(r);
  fixture_free(f);
}

/* One thing wrong in a good member, named with its place. */
static void bad_members(const subject *s) {
  fixture *f = fixture_new(s, 1);
  f->opts.ndir = 0;
  for (int k = 0; k < 15; k++) {
    dp_instant i[3] = {dp_instant_default(), dp_instant_default(), dp_instant_default()};
    for (int j = 0; j < 3; j++) i[j].time = T(j + 1);
    dp_output_time o[2] = {{.time = T(1)}, {.time = T(2)}};
    dp_member m = {
        .param = f->param, .instant = i, .ninstant = 3, .out = o, .nout = 2, .start = T(0.5)};
    const char *place = "instant 1", *what = "";
    switch (k) {
      case 0:
        i[1].time = T(0.6);
        what = "ascending";
        break;
      case 1:
        i[1].target = 1;
        what = "target";
        break;
      case 2:
        i[1].type = DP_SET;
        i[1].target = f->desc->nstate;
        what = "target";
        break;
      case 3:
        i[1].type = DP_SWITCH;
        i[1].target = -1;
        what = "target";
        break;
      case 4:
        i[1].amount = NAN;
        what = "amount";
        break;
      case 5:
        i[1].repeats = 2;
        what = "interval";
        break;
      case 6:
        i[1].type = DP_INFUSE;
        i[1].rate = 0;
        what = "rate";
        break;
      case 7:
        i[1].dir_amount = 0;
        what = "dir_amount";
        break;
      case 8:
        i[1].type = DP_SET;
        i[1].repeats = 1;
        what = "repeat";
        break;
      case 9:
        i[1].type = (dp_instant_type)99;
        what = "type";
        break;
      case 10:
        i[0].time = T(0.1);
        place = "instant 0";
        what = "start";
        break;
      case 11:
        o[1].time = T(0.7);
        place = "output time 1";
        what = "ascending";
        break;
      case 12:
        o[0].time = 0;
        place = "output time 0";
        what = "start";
        break;
      case 13:
        m.param = NULL;
        place = "param";
        break;
      case 14:
        m.out = NULL;
        place = "out";
        break;
    }
    dp_run *run = NULL;
    dp_result *r = NULL;
    expect(f, dp_simulate(f->sim, &m, 1, &f->opts, &r), DP_ERR_INPUT, place, what);
    expect(f, dp_run_open(f->sim, &m, 1, &f->opts, &run), DP_ERR_INPUT, "member 0", place);
  }
  dp_run_opts opts = {0};
  dp_run *run = NULL;
  expect(f, dp_run_open(f->sim, f->m, 1, &opts, &run), DP_ERR_USAGE, "options", "");
  fixture_free(f);
}

/* ---- functionals: given once, with the last rows; pieces as promised ---- */

typedef struct area {
  int ngiven;
  double value[3];
} area;

static dp_status area_sink(void *user, const dp_member_result *block, int nblock) {
  area *a = user;
  assert_int_equal(nblock, 1);
  if (block->nfunctional == 0) return DP_OK;
  assert_int_equal(block->nfunctional, 3);
  a->ngiven++;
  memcpy(a->value, block->functional, sizeof a->value);
  return DP_OK;
}

static void functionals(const subject *s) {
  fixture *f = fixture_new(s, 1);
  if (!has(f, DP_CAP_FUNCTIONALS)) {
    fixture_free(f);
    return;
  }
  dp_functional fn[] = {{.kind = DP_INTEGRAL, .output = 1, .from = T(0.5), .to = T(4)},
                        {.kind = DP_MAXIMUM, .output = 0, .from = T(0.5), .to = T(6)},
                        {.kind = DP_FIRST_ABOVE, .output = 0, .from = 0, .to = T(5), .level = 1e9}};
  dp_member m = f->m[0];
  m.functional = fn;
  m.nfunctional = 3;
  dp_result *r = NULL;
  must(f, dp_simulate(f->sim, &m, 1, &f->opts, &r));
  assert_true(isfinite(r->functional[0]) && isfinite(r->functional[1]));
  assert_true(isnan(r->functional[2])); /* never reached: masked */
  dp_run *run = NULL, *again = NULL;
  void *bytes = NULL;
  size_t size = 0;
  must(f, dp_run_open(f->sim, &m, 1, &f->opts, &run));
  area a = {0};
  static const double stop[] = {0.6, 1.7, 4, 5.5};
  for (int k = 0; k < 4; k++) {
    must(f, dp_run_advance(run, T(stop[k])));
    must(f, dp_run_emit(run, area_sink, &a));
    assert_int_equal(a.ngiven, 0); /* a window is still open */
    if (k == 1) must(f, dp_run_save(run, &bytes, &size));
  }
  must(f, dp_run_advance(run, T(9)));
  must(f, dp_run_emit(run, area_sink, &a));
  must(f, dp_run_emit(run, area_sink, &a));
  assert_int_equal(a.ngiven, 1);
  close_to(f, "functionals", a.value, r->functional, 3, s->tol * 10);
  /* loaded inside the windows: same bytes */
  area b = {0};
  must(f, dp_run_load(f->sim, &m, 1, &f->opts, bytes, size, &again));
  for (int k = 2; k < 4; k++) must(f, dp_run_advance(again, T(stop[k])));
  must(f, dp_run_advance(again, T(9)));
  must(f, dp_run_emit(again, area_sink, &b));
  assert_int_equal(b.ngiven, 1);
  same_bytes(f, "functionals, loaded", b.value, a.value, 3);
  dp_run_bytes_free(f->sim, bytes);
  dp_run_close(again);
  dp_run_close(run);
  dp_result_destroy(r);
  fixture_free(f);
}

/* ---- memory ---- */

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
  if (++x->count == x->fail_at) return NULL;
  return realloc(ptr, size_new);
}

typedef struct scene {
  dp_model *model;
  dp_sim *sim;
  dp_run *run, *child, *loaded;
  void *bytes;
  dp_result *result;
} scene;

/* Everything the waist can do, with the members of a healthy fixture. */
static dp_status play(dp_ctx *ctx, const fixture *f, scene *x) {
  enum { N = 5 };
  static const int index[] = {4, 0};
  size_t size = 0;
  double state[64];
  bool one = f->desc->max_instances == 1;
  DP_TRY(dp_test_subject_sim(ctx, f->s, 0, &x->model, &x->sim));
  DP_TRY(dp_simulate(x->sim, f->m, N, &f->opts, &x->result));
  DP_TRY(dp_simulate_into(x->sim, f->m, N, &f->opts, ignore_sink, NULL));
  DP_TRY(dp_run_open(x->sim, f->m, N, &f->opts, &x->run));
  DP_TRY(dp_run_advance(x->run, T(1.2)));
  DP_TRY(dp_run_state_get(x->run, 1, state));
  if (has(f, DP_CAP_EDIT)) DP_TRY(dp_run_state_set(x->run, 1, state));
  DP_TRY(dp_run_advance(x->run, T(3)));
  DP_TRY(dp_run_emit(x->run, ignore_sink, NULL));
  if (!one) DP_TRY(dp_run_fork(x->run, index, 2, NULL, &x->child));
  if (!one) DP_TRY(dp_run_advance(x->child, T(5)));
  DP_TRY(dp_run_save(x->run, &x->bytes, &size));
  dp_run_close(x->run);
  x->run = NULL;
  DP_TRY(dp_run_load(x->sim, f->m, N, &f->opts, x->bytes, size, &x->loaded));
  return dp_run_advance(x->loaded, T(6));
}

/* What is there can be emitted and closed, however it came to its end. */
static void strike(scene *x) {
  if (x->run) assert_int_equal(dp_run_emit(x->run, ignore_sink, NULL), DP_OK);
  if (x->child) assert_int_equal(dp_run_emit(x->child, ignore_sink, NULL), DP_OK);
  if (x->loaded) assert_int_equal(dp_run_emit(x->loaded, ignore_sink, NULL), DP_OK);
  dp_run_close(x->loaded);
  dp_run_close(x->child);
  dp_run_close(x->run);
  if (x->bytes) dp_run_bytes_free(x->sim, x->bytes);
  dp_result_destroy(x->result);
  dp_sim_destroy(x->sim);
  dp_model_destroy(x->model);
}

/* The n-th allocation fails, for every n: an error of memory with a message, nothing lost, and the other members go
 * on. */
static void memory_fails(const subject *s) {
  fixture *f = fixture_new(s, 1);
  long n = 1;
  for (bool through = false; !through; n++) {
    faulty x = {.fail_at = n};
    dp_ctx_def def = dp_ctx_def_default();
    def.alloc = faulty_alloc;
    def.alloc_user = &x;
    dp_ctx *ctx = NULL;
    if (dp_ctx_create(&def, &ctx) != DP_OK) continue; /* the context itself */
    scene scene = {0};
    dp_status status = play(ctx, f, &scene);
    through = x.count < n;
    if (through && status != DP_OK)
      fail_msg("%s: %s: %s", s->name, dp_status_name(status), dp_ctx_error(ctx));
    if (!through && status == DP_OK) fail_msg("%s: allocation %ld failed unseen", s->name, n);
    if (status != DP_OK && status != DP_ERR_MEMORY) {
      fail_msg("%s: allocation %ld: %s: %s", s->name, n, dp_status_name(status), dp_ctx_error(ctx));
    }
    if (status != DP_OK) assert_true(dp_ctx_error(ctx)[0] != '\0');
    strike(&scene);
    if (dpi_alloc_live(ctx) != 0)
      fail_msg("%s: allocation %ld: %zu blocks are lost", s->name, n, dpi_alloc_live(ctx));
    dp_ctx_destroy(ctx);
    assert_true(n < 100000);
  }
  fixture_free(f);
}

/* ---- the table: every clause on every subject ---- */

typedef struct clause {
  const char *name;
  void (*check)(const subject *s);
} clause;

static const clause clauses[] = {
    {"pieces", pieces},
    {"simulate equals run", simulate_equals_run},
    {"simulate into", simulate_into},
    {"alone and among others", alone_among_others},
    {"threads", threads},
    {"shared by threads", shared},
    {"no members", no_members},
    {"sides of an instant", sides},
    {"failure alone", failure_alone},
    {"failure in runs", failure_in_runs},
    {"fork", forks},
    {"fork with streams", fork_streams},
    {"save and load", save_load},
    {"load refused", load_refused},
    {"load damaged", load_damaged},
    {"edit", edits},
    {"derivatives", derivatives},
    {"common random numbers", common_numbers},
    {"cancel", cancel},
    {"deadline", deadline},
    {"progress", progress},
    {"capabilities", capabilities},
    {"instances", instances},
    {"bad members", bad_members},
    {"functionals", functionals},
    {"memory fails", memory_fails},
};

typedef struct test {
  const subject *s;
  const clause *c;
  char name[96];
} test;

static void run_clause(void **state) {
  const test *t = *state;
  t->c->check(t->s);
}

/* With an argument only the tests whose name, "subject: clause", contains it. */
int main(int argc, char **argv) {
  int most = dp_test_nsubject * DPI_COUNT(clauses), n = 0;
  struct CMUnitTest *tests = calloc((size_t)most, sizeof *tests);
  test *each = calloc((size_t)most, sizeof *each);
  dp_ctx_def def = dp_ctx_def_default();
  dp_ctx *ctx = NULL;
  if (!tests || !each || dp_ctx_create(&def, &ctx) != DP_OK ||
      dp_test_spokes_register(ctx) != DP_OK)
    return 70;
  dp_ctx_destroy(ctx);
  for (int s = 0; s < dp_test_nsubject; s++) {
    if (!dpi_spoke_find(dp_test_subject[s].spoke)) continue;
    for (int c = 0; c < DPI_COUNT(clauses); c++) {
      test *t = &each[n];
      t->s = &dp_test_subject[s];
      t->c = &clauses[c];
      snprintf(t->name, sizeof t->name, "%s: %s", t->s->name, t->c->name);
      if (argc > 1 && !strstr(t->name, argv[1])) continue;
      tests[n] = (struct CMUnitTest){.name = t->name, .test_func = run_clause, .initial_state = t};
      n++;
    }
  }
  int failed = _cmocka_run_group_tests("conformance", tests, (size_t)n, NULL, NULL);
  free(tests);
  free(each);
  return failed;
}
