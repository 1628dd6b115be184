/* bench_rows.c - floor 8: measures a problem on both sides and tells its rows.
 *
 * Flow: members drawn -> reference and CVODE on the sampled members -> our tolerance from the ladder -> both sides
 * timed in turn -> more threads. One thread is timed by its own processor time, so that others on the machine disturb
 * less; several by the clock.
 */
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/bench_impl.h"

enum { COOKIE = 0x62656e63, MAX_REPEATS = 64 };

dp_bench_def dp_bench_def_default(void) {
  return (dp_bench_def){.cookie = COOKIE, .nsample = 400, .repeats = 5, .seed = 1, .nthread = 2, .method = "ensemble"};
}

static double processor_time(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct timing {
  double each[MAX_REPEATS];
  int n;
} timing;

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}
static void summary(timing *t, double *best, double *median) {
  qsort(t->each, (size_t)t->n, sizeof *t->each, ascending);
  *best = t->each[0];
  *median = t->each[t->n / 2];
}

/* All that is measured of one problem with one number of threads. */
typedef struct bench {
  const dp_bench_def *def;
  dp_ctx *ctx; /* own: its threads, its cache */
  dpi_bench_case *c;
  dp_sim *sim;
  int nmember, nsample;
  double *param;             /* [nmember x nparam] */
  dp_member *member;         /* [nmember] */
  double *reference, *value; /* of the sampled members */
  double *each;
} bench;

static dp_status open_context(const dp_bench_def *def, int nthread, bool cache, dp_ctx **out) {
  dp_ctx_def d = dp_ctx_def_default();
  d.nthread = nthread;
  d.cache = cache ? def->cache : NULL;
  return dp_ctx_create(&d, out);
}

static void close_bench(bench *b) {
  dp_sim_destroy(b->sim);
  dpi_bench_close(b->c);
  dpi_free(b->ctx, b->param);
  dpi_free(b->ctx, b->member);
  dpi_free(b->ctx, b->reference);
  dpi_free(b->ctx, b->value);
  dpi_free(b->ctx, b->each);
  dp_ctx_destroy(b->ctx);
  *b = (bench){0};
}

/* Context, model and members; *skipped as dpi_bench_open. */
static dp_status open_bench(const dp_bench_def *def, const dpi_bench_problem *p, int nthread, int nmember, bool cache,
                            bench *b, const char **skipped) {
  *b = (bench){.def = def, .nmember = nmember, .nsample = def->nsample < nmember ? def->nsample : nmember};
  DP_TRY(open_context(def, nthread, cache, &b->ctx));
  DP_TRY(dpi_bench_open(b->ctx, p, def->petab, &b->c, skipped));
  if (*skipped) return DP_OK;
  const size_t row = (size_t)p->nout * (size_t)p->peer->nstate;
  b->param = DPI_NEW_ARRAY(b->ctx, double, (size_t)nmember *(size_t)b->c->nparam);
  b->reference = DPI_NEW_ARRAY(b->ctx, double, (size_t)b->nsample *row);
  b->value = DPI_NEW_ARRAY(b->ctx, double, (size_t)b->nsample *row);
  b->each = DPI_NEW_ARRAY(b->ctx, double, b->nsample);
  if (!b->param || !b->reference || !b->value || !b->each) return DP_ERR_MEMORY;
  dpi_bench_draw(b->c, def->seed, 0, nmember, b->param);
  b->member = dpi_bench_members(b->c, b->param, nmember);
  return b->member ? DP_OK : DP_ERR_MEMORY;
}

/* ---- the peer ---- */

static const dpi_bench_cvode_ops *const installed = &dpi_bench_cvode_installed;

static dp_status create_peer(const bench *b, const dpi_bench_cvode_ops *ops, bool klu, double rtol, double atol,
                             dpi_bench_cvode **out) {
  *out = ops->create(b->c, klu, rtol, atol);
  return *out ? DP_OK : dpi_fail(b->ctx, DP_ERR_MEMORY, "CVODE could not be set up");
}

static dp_status find_reference(bench *b) {
  dpi_bench_cvode *s = NULL;
  dpi_bench_count count;
  DP_TRY(create_peer(b, installed, false, 1e-12, b->c->problem->atol * 1e-6, &s));
  installed->run(s, b->param, b->nsample, b->reference, &count);
  installed->destroy(s);
  return DP_OK;
}

/* One build of CVODE, with the faster of its dense and KLU solvers over the sampled members. */
typedef struct rival {
  const dpi_bench_cvode_ops *ops;
  dpi_bench_cvode *solver;
  const char *name; /* of the linear solver */
  dp_bench_error error;
  timing spent;
  dpi_bench_count count;
} rival;

static dp_status choose_solver(bench *b, double rtol, double atol, rival *r) {
  double best = INFINITY;
  for (int klu = 0; klu <= 1; klu++) {
    dpi_bench_cvode *s = NULL;
    dpi_bench_count count;
    DP_TRY(create_peer(b, r->ops, klu, rtol, atol, &s));
    double spent = INFINITY;
    for (int again = 0; again < 3; again++) {
      double t = processor_time();
      r->ops->run(s, b->param, b->nsample, b->value, &count);
      t = processor_time() - t;
      if (t < spent) spent = t;
    }
    dpi_bench_cvode *slower = spent < best ? r->solver : s;
    if (spent < best) {
      best = spent;
      r->solver = s;
      r->name = klu ? "klu" : "dense";
      r->error = dpi_bench_errors(b->c->problem, b->value, b->reference, b->nsample, b->each);
    }
    r->ops->destroy(slower);
  }
  return DP_OK;
}

/* The other build, a module that was opened by the caller. */
static dp_status open_module(dp_ctx *ctx, const char *path, void **handle, const dpi_bench_cvode_ops **ops) {
  *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  *ops = *handle ? dlsym(*handle, "dpi_bench_cvode_module") : NULL;
  return *ops ? DP_OK : dpi_fail(ctx, DP_ERR_INPUT, "%s: no CVODE for the benchmark in it: %s", path, dlerror());
}

/* ---- ours ---- */

/* A sim at this tolerance; atol goes with rtol as the problem's goes with 1e-6. */
static dp_status make_sim(bench *b, double rtol) {
  dp_sim_destroy(b->sim);
  b->sim = NULL;
  return dpi_bench_sim(b->c, b->def->method, rtol, b->c->problem->atol * (rtol / 1e-6), &b->sim);
}

static dp_status our_error(bench *b, dp_bench_error *error, int *nfailed) {
  const size_t n = (size_t)b->nsample * (size_t)b->c->problem->nout * (size_t)b->c->noutput;
  for (size_t k = 0; k < n; k++) b->value[k] = NAN;
  DP_TRY(dpi_bench_ours(b->c, b->sim, b->member, b->nsample, b->value, nfailed));
  *error = dpi_bench_errors(b->c->problem, b->value, b->reference, b->nsample, b->each);
  return DP_OK;
}

/* The loosest tolerance of a ladder, ten a decade, whose largest and whose rms error are no larger than the peer's. */
static dp_status choose_rtol(bench *b, dp_bench_row *row) {
  const double asked = b->def->rtol;
  for (int k = 0; k <= 80; k++) {
    row->rtol = asked > 0.0 ? asked : pow(10.0, -2.0 - 0.1 * k);
    row->atol = b->c->problem->atol * (row->rtol / 1e-6);
    DP_TRY(make_sim(b, row->rtol));
    DP_TRY(our_error(b, &row->error, &row->nfailed));
    if (asked > 0.0) return DP_OK;
    if (row->nfailed == 0 && row->error.largest <= row->peer_error.largest && row->error.rms <= row->peer_error.rms)
      return DP_OK;
  }
  return DP_OK;
}

/* Run until two runs take the same: machine code comes from the background. */
static dp_status warm_up(bench *b) {
  const double begin = dpi_clock_s();
  double last = INFINITY;
  for (int k = 0; k < 200; k++) {
    int nfailed;
    double t = processor_time();
    DP_TRY(dpi_bench_ours(b->c, b->sim, b->member, b->nmember, NULL, &nfailed));
    t = processor_time() - t;
    const double since = dpi_clock_s() - begin;
    if ((since > 2.0 && t > 0.95 * last) || since > 30.0) break;
    last = t;
  }
  return DP_OK;
}

/* Text to the end of the first batch of n members, in a context of its own; cache: NULL none. Members and times are
 * laid out already. */
static dp_status time_text(const bench *b, const char *cache, int n, double rtol, double *seconds) {
  dp_ctx_def d = dp_ctx_def_default();
  dpi_bench_case fresh = *b->c;
  dp_sim *sim = NULL;
  const char *skipped = NULL;
  int nfailed;
  const double begin = dpi_clock_s();
  d.cache = cache;
  fresh.model = NULL;
  DP_TRY(dp_ctx_create(&d, &fresh.ctx));
  dp_status status = dpi_bench_read(&fresh, b->def->petab, &skipped);
  if (status == DP_OK) status = dpi_bench_sim(&fresh, b->def->method, rtol, b->c->problem->atol * (rtol / 1e-6), &sim);
  if (status == DP_OK) status = dpi_bench_ours(&fresh, sim, b->member, n, NULL, &nfailed);
  *seconds = dpi_clock_s() - begin;
  dp_sim_destroy(sim);
  dp_model_destroy(fresh.model);
  dp_ctx_destroy(fresh.ctx);
  return status;
}

/* Best of some: nothing ready, and machine code in the cache; of a whole batch and of one member. */
static dp_status time_starts(const bench *b, dp_bench_row *row) {
  double s;
  row->cold_s = row->cold_one_s = INFINITY;
  for (int k = 0; k < 5; k++) {
    DP_TRY(time_text(b, NULL, 1, row->rtol, &s));
    if (s < row->cold_one_s) row->cold_one_s = s;
    DP_TRY(time_text(b, NULL, b->nmember, row->rtol, &s));
    if (s < row->cold_s) row->cold_s = s;
  }
  if (!b->def->cache) return DP_OK;
  row->cached_s = row->cached_one_s = INFINITY;
  for (int k = 0; k < 5; k++) {
    DP_TRY(time_text(b, b->def->cache, b->nmember, row->rtol, &s));
    if (s < row->cached_s) row->cached_s = s;
    DP_TRY(time_text(b, b->def->cache, 1, row->rtol, &s));
    if (s < row->cached_one_s) row->cached_one_s = s;
  }
  return DP_OK;
}

/* ---- rows ---- */

static void time_rival(const bench *b, rival *r) {
  double t = processor_time();
  r->ops->run(r->solver, b->param, b->nmember, NULL, &r->count);
  r->spent.each[r->spent.n++] = processor_time() - t;
}

static dp_status time_all(bench *b, rival *peer, int npeer, dp_bench_row *row) {
  timing ours = {0};
  DP_TRY(warm_up(b));
  for (int k = 0; k < b->def->repeats && k < MAX_REPEATS; k++) {
    for (int r = 0; k < 3 && r < npeer; r++) time_rival(b, &peer[r]);
    for (int again = 0; again < 3 && ours.n < MAX_REPEATS; again++) {
      double t = processor_time();
      DP_TRY(dpi_bench_ours(b->c, b->sim, b->member, b->nmember, NULL, &row->nfailed));
      ours.each[ours.n++] = processor_time() - t;
    }
  }
  summary(&ours, &row->seconds, &row->seconds_median);
  return DP_OK;
}

static dp_bench_row row_of(const dpi_bench_problem *p, const char *name) {
  return (dp_bench_row){.name = name,
                        .skipped = "",
                        .nstate = p->peer->nstate,
                        .nout = p->nout,
                        .t_end = p->t_end,
                        .peer = "cvode",
                        .peer_solver = "",
                        .peer_rtol = 1e-6,
                        .peer_atol = p->atol};
}

static void tell_peers(rival *peer, int npeer, dp_bench_row *row) {
  row->peer_solver = peer[0].name;
  row->peer_steps = (double)peer[0].count.nstep / row->nmember;
  row->peer_nfailed = peer[0].count.nfailed;
  summary(&peer[0].spent, &row->peer_seconds, &row->peer_seconds_median);
  row->ratio = row->peer_seconds / row->seconds;
  peer[0].ops->version(row->peer_version, sizeof row->peer_version);
  if (npeer < 2) return;
  double median;
  summary(&peer[1].spent, &row->other_seconds, &median);
  row->other_ratio = row->other_seconds / row->seconds;
  row->other_solver = peer[1].name;
  peer[1].ops->version(row->other_version, sizeof row->other_version);
}

static dp_status beside_cvode(bench *b, dp_bench_row *row) {
  rival peer[2] = {{.ops = installed}};
  void *handle = NULL;
  int npeer = 1;
  dp_status status = find_reference(b);
  if (status == DP_OK && b->def->peer_module) {
    status = open_module(b->ctx, b->def->peer_module, &handle, &peer[1].ops);
    npeer = status == DP_OK ? 2 : 1;
  }
  for (int k = 0; status == DP_OK && k < npeer; k++)
    status = choose_solver(b, row->peer_rtol, row->peer_atol, &peer[k]);
  row->peer_error = peer[0].error;
  if (status == DP_OK) status = choose_rtol(b, row);
  if (status == DP_OK) status = time_all(b, peer, npeer, row);
  if (status == DP_OK) tell_peers(peer, npeer, row);
  for (int k = 0; k < npeer; k++) peer[k].ops->destroy(peer[k].solver);
  if (handle) dlclose(handle);
  return status;
}

static dp_status time_wall(bench *b, timing *t, int *nfailed) {
  double begin = dpi_clock_s();
  DP_TRY(dpi_bench_ours(b->c, b->sim, b->member, b->nmember, NULL, nfailed));
  t->each[t->n++] = dpi_clock_s() - begin;
  return DP_OK;
}

/* Several threads beside one, each by the clock, in turn. */
static dp_status beside_one_thread(bench *one, dp_bench_row *row) {
  bench many;
  const char *skipped;
  timing ours = {0}, theirs = {0};
  dp_status status = open_bench(one->def, one->c->problem, row->nthread, one->nmember, true, &many, &skipped);
  if (status == DP_OK) status = make_sim(&many, row->rtol);
  if (status == DP_OK) status = warm_up(&many);
  for (int k = 0; status == DP_OK && k < 3 * one->def->repeats && k < MAX_REPEATS; k++) {
    status = time_wall(one, &theirs, &row->peer_nfailed);
    if (status == DP_OK) status = time_wall(&many, &ours, &row->nfailed);
  }
  if (status == DP_OK) {
    summary(&ours, &row->seconds, &row->seconds_median);
    summary(&theirs, &row->peer_seconds, &row->peer_seconds_median);
    row->ratio = row->peer_seconds / row->seconds;
  }
  close_bench(&many);
  return status;
}

static dp_status run_problem(const dp_bench_def *def, const dpi_bench_problem *p, dp_bench_fn each, void *user,
                             bench *b) {
  const int nmember = def->nmember > 0 ? def->nmember : p->nmember;
  dp_bench_row row = row_of(p, p->name);
  const char *skipped = NULL;
  DP_TRY(open_bench(def, p, 1, nmember, true, b, &skipped));
  if (skipped) {
    row.skipped = skipped;
    each(user, &row);
    return DP_OK;
  }
  row.nmember = nmember;
  row.nthread = 1;
  row.nsample = b->nsample;
  DP_TRY(beside_cvode(b, &row));
  DP_TRY(time_starts(b, &row));
  each(user, &row);
  if (def->nthread > 1) {
    char name[80];
    snprintf(name, sizeof name, "%s, %d threads", p->name, def->nthread);
    dp_bench_row more = row;
    more.name = name;
    more.nthread = def->nthread;
    more.cold_s = more.cold_one_s = more.cached_s = more.cached_one_s = 0.0;
    more.peer = "one thread";
    more.peer_solver = "";
    more.peer_rtol = row.rtol;
    more.peer_atol = row.atol;
    more.peer_error = row.error;
    more.peer_steps = 0.0;
    more.other_seconds = 0.0;
    more.peer_version[0] = 0;
    DP_TRY(beside_one_thread(b, &more));
    each(user, &more);
  }
  return DP_OK;
}

/* 10^6 members of Robertson's problem at rtol 1e-4. */
static dp_status run_million(const dp_bench_def *def, const dpi_bench_problem *p, dp_bench_fn each, void *user,
                             bench *b) {
  char name[80];
  const char *skipped;
  timing t = {0};
  snprintf(name, sizeof name, "%s, 10^6 at rtol 1e-4, %d threads", p->name, def->nthread);
  dp_bench_row row = row_of(p, name);
  DP_TRY(open_bench(def, p, def->nthread, 1000000, true, b, &skipped));
  row.nmember = b->nmember;
  row.nthread = def->nthread;
  row.nsample = b->nsample;
  row.rtol = 1e-4;
  row.atol = p->atol * 1e2;
  row.peer = "";
  DP_TRY(make_sim(b, row.rtol));
  DP_TRY(find_reference(b));
  DP_TRY(our_error(b, &row.error, &row.nfailed));
  DP_TRY(warm_up(b));
  for (int k = 0; k < def->repeats && k < MAX_REPEATS; k++) DP_TRY(time_wall(b, &t, &row.nfailed));
  summary(&t, &row.seconds, &row.seconds_median);
  each(user, &row);
  return DP_OK;
}

static bool wanted(const dp_bench_def *def, const char *name) {
  for (int k = 0; k < def->nonly; k++)
    if (strcmp(def->only[k], name) == 0) return true;
  return !def->only;
}

static dp_status check(dp_ctx *ctx, const dp_bench_def *def, const dpi_bench_problem *p, int n) {
  if (def->cookie != COOKIE)
    return dpi_fail(ctx, DP_ERR_INPUT, "dp_bench_ensemble: the definition is not from dp_bench_def_default");
  if (def->nsample < 1 || def->repeats < 1 || def->nmember < 0 || def->nthread < 1 || def->rtol < 0)
    return dpi_fail(ctx, DP_ERR_INPUT,
                    "dp_bench_ensemble: members, sampled members, repeats and threads must be positive");
  for (int k = 0; k < def->nonly; k++) {
    int i = 0;
    while (i < n && strcmp(p[i].name, def->only[k])) i++;
    if (i == n) return dpi_fail(ctx, DP_ERR_INPUT, "no benchmark problem '%s'", def->only[k]);
  }
  return DP_OK;
}

dp_status dp_bench_ensemble(dp_ctx *ctx, const dp_bench_def *def, dp_bench_fn each, void *user) {
  int n;
  const dpi_bench_problem *p = dpi_bench_problems(&n);
  DP_TRY(check(ctx, def, p, n));
  for (int k = 0; k < n; k++) {
    if (!wanted(def, p[k].name)) continue;
    for (int million = 0; million <= (def->million && k == 0); million++) {
      bench b = {0};
      dp_status status = million ? run_million(def, &p[k], each, user, &b) : run_problem(def, &p[k], each, user, &b);
      if (status != DP_OK)
        dpi_fail(ctx, status, "benchmark %s: %s", p[k].name, b.ctx ? dp_ctx_error(b.ctx) : "no context");
      close_bench(&b);
      if (status != DP_OK) return status;
      if (dp_ctx_cancelled(ctx)) return DP_ERR_CANCELLED;
    }
  }
  return DP_OK;
}
